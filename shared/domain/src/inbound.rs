//! What follows from a call that a person makes to us: the same as from one that we make, as far as it is about the person.

use crate::call::CallReport;
use crate::contact::Address;
use crate::outcome::Outcome;
use crate::said_time::{DayAlone, SaidTime, Understood};
use crate::task::TaskKind;
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
    let whereabouts = address.cloned().unwrap_or_default().whereabouts(caller);
    let callback = report.callback.as_ref().filter(|_| believed(report));
    match callback.map(|said| said.understood(&whereabouts, ended_at, DayAlone::Daytime)) {
        Some(Understood::At(at)) => Follows::Promised(at),
        Some(Understood::ThatCall | Understood::Unclear) | None
            if report.outcome.is_some_and(Outcome::talked) =>
        {
            Follows::Reached
        }
        Some(Understood::ThatCall | Understood::Unclear) | None => Follows::Nothing,
    }
}

/// What was said on an inbound call that a person has to act on: a callback at a time that is not understood, and each appointment,
/// because the number that the caller reached may be held by another lead.
pub fn for_a_person<'a>(
    report: &'a CallReport,
    address: Option<&Address>,
    caller: &PhoneNumber,
    ended_at: Timestamp,
) -> Vec<(TaskKind, &'a SaidTime)> {
    if report.opted_out || !believed(report) {
        return Vec::new();
    }
    let whereabouts = address.cloned().unwrap_or_default().whereabouts(caller);
    let unclear =
        |said: &&SaidTime| said.understood(&whereabouts, ended_at, DayAlone::Daytime) == Understood::Unclear;
    let callback = report.callback.as_ref().filter(unclear).map(|said| (TaskKind::CallbackUnclear, said));
    let appointment = report.appointment.as_ref().map(|said| (TaskKind::AppointmentUnclear, said));
    callback.into_iter().chain(appointment).collect()
}

/// Whether somebody talked: as on a call of ours, one that broke off, or ended in a way that nobody knows, may have been a talk.
fn believed(report: &CallReport) -> bool {
    match report.outcome {
        Some(Outcome::Answered | Outcome::ProviderFailed | Outcome::Other) => true,
        Some(
            Outcome::Voicemail
            | Outcome::NoAnswer
            | Outcome::Busy
            | Outcome::InvalidNumber
            | Outcome::CapacityLimited
            | Outcome::NotPlaced
            | Outcome::Canceled,
        )
        | None => false,
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
            let callback = callback.and_then(SaidTime::new);
            let report = CallReport { outcome, callback, opted_out, ..CallReport::default() };
            let found = follows(&report, None, &caller, ended_at);
            assert_eq!(found, expected, "{outcome:?} {opted_out}");
        }
    }

    #[test]
    fn what_is_said_on_an_inbound_call_and_not_understood_is_for_a_person() {
        let caller: PhoneNumber = "+12125550151".parse().unwrap();
        let ended_at: Timestamp = "2026-03-02T17:00:00Z".parse().unwrap();
        let (unclear, appointment) = (TaskKind::CallbackUnclear, TaskKind::AppointmentUnclear);
        for (outcome, callback, booked, opted_out, expected) in [
            (Outcome::Answered, Some("after the harvest"), None, false, &[unclear][..]),
            (Outcome::Answered, Some("2026-03-03T15:00"), None, false, &[]),
            (Outcome::Answered, None, Some("2026-03-03T15:00"), false, &[appointment]),
            (Outcome::Other, Some("soon"), Some("some day"), false, &[unclear, appointment]),
            (Outcome::Answered, Some("after the harvest"), None, true, &[]),
            (Outcome::Voicemail, Some("after the harvest"), Some("some day"), false, &[]),
        ] {
            let report = CallReport {
                outcome: Some(outcome),
                callback: callback.and_then(SaidTime::new),
                appointment: booked.and_then(SaidTime::new),
                opted_out,
                ..CallReport::default()
            };
            let found: Vec<_> =
                for_a_person(&report, None, &caller, ended_at).into_iter().map(|(kind, _)| kind).collect();
            assert_eq!(found, expected, "{outcome:?} {callback:?} {booked:?}");
        }
    }
}
