//! What follows from a call that a person makes to us: the same as from one that we make, as far as it is about the person.

use crate::call::CallReport;
use crate::callback::PromisedTime;
use crate::contact::Address;
use crate::outcome::Outcome;
use crate::{PhoneNumber, Timestamp};

/// What follows for the contact of somebody who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: nobody talked.
    Nothing,
    /// The person does not want to be called.
    OptedOut,
    /// The person wants to be called again, then.
    Promised(Timestamp),
    /// The person was reached.
    Reached,
}

/// What follows from an inbound call that ended at `ended_at`, for a contact at this address.
pub fn follows(
    report: &CallReport,
    address: Option<&Address>,
    caller: &PhoneNumber,
    ended_at: Timestamp,
) -> Follows {
    if report.opted_out {
        return Follows::OptedOut;
    }
    let promised = |time: PromisedTime| {
        let whereabouts = address.cloned().unwrap_or_default().whereabouts(caller);
        time.after_call(&whereabouts, ended_at).ok()
    };
    // As on a call of ours: one that broke off, or ended in a way that nobody knows, may have been a talk.
    let believed = match report.outcome {
        Some(Outcome::Answered | Outcome::ProviderFailed | Outcome::Other) => report.callback,
        Some(
            Outcome::Voicemail
            | Outcome::NoAnswer
            | Outcome::Busy
            | Outcome::InvalidNumber
            | Outcome::CapacityLimited
            | Outcome::NotPlaced
            | Outcome::Canceled,
        )
        | None => None,
    };
    match believed.and_then(promised) {
        Some(at) => Follows::Promised(at),
        None if report.outcome.is_some_and(Outcome::talked) => Follows::Reached,
        None => Follows::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbound_call_counts_for_what_was_said() {
        let caller: PhoneNumber = "+12125550151".parse().unwrap();
        let ended_at: Timestamp = "2026-03-02T17:00:00Z".parse().unwrap();
        let at: Timestamp = "2026-03-03T20:00:00Z".parse().unwrap();
        for (outcome, callback, opted_out, expected) in [
            (Some(Outcome::Answered), None, false, Follows::Reached),
            (Some(Outcome::Answered), Some("2026-03-03T15:00"), false, Follows::Promised(at)),
            (Some(Outcome::Answered), Some("2026-03-03T20:00:00Z"), false, Follows::Promised(at)),
            (Some(Outcome::Answered), Some("2026-03-01T15:00"), false, Follows::Reached),
            (Some(Outcome::Answered), Some("2026-03-03T15:00"), true, Follows::OptedOut),
            (None, None, true, Follows::OptedOut),
            (Some(Outcome::Other), None, false, Follows::Nothing),
            (Some(Outcome::Other), Some("2026-03-03T15:00"), false, Follows::Promised(at)),
            (Some(Outcome::Voicemail), Some("2026-03-03T15:00"), false, Follows::Nothing),
            (None, Some("2026-03-03T15:00"), false, Follows::Nothing),
        ] {
            let callback = callback.map(|text| text.parse().unwrap());
            let report = CallReport { outcome, callback, opted_out, ..CallReport::default() };
            let found = follows(&report, None, &caller, ended_at);
            assert_eq!(found, expected, "{outcome:?} {callback:?} {opted_out}");
        }
    }
}
