//! Whether a contact may be called, and when: the one answer that a dial and a preflight give.
//!
//! In this order: a person on a suppression list, a number that was found invalid lately, a place of which the law is not known, and a
//! person who did not agree or took that back are never called; a person who was called as often as is allowed, or has no calling hours
//! now, is called later. The claim of a call checks again what can change.

use crate::PhoneNumber;
use crate::Timestamp;
use crate::consent::{Consent, ConsentRequired};
use crate::contact::Address;
use crate::law::{self, LegalBasis, NotDialable, Window};
use crate::retry::DoneReason;
use crate::rules::{Frequency, Rules};
use crate::time::Duration;

/// A number that does not exist is called by no campaign of its company for this long. Numbers are given out again, so it is not for
/// good.
pub const INVALID_FOR: Duration = Duration::from_hours(30 * 24);

/// What is known of a person whom a company calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// On a suppression list: the company's, or that of everybody.
    pub suppressed: bool,
    /// What the ledger says that was agreed to, or taken back.
    pub consent: Option<Consent>,
    /// When each call of the last 30 days began, ascending.
    pub calls: Vec<Timestamp>,
    /// When a call found last that there is no such number.
    pub invalid_at: Option<Timestamp>,
}

impl Person {
    /// Whether a call found so lately that there is no such number that it is not called at `now`.
    pub fn is_invalid(&self, now: Timestamp) -> bool {
        found_invalid_lately(self.invalid_at, now)
    }
}

/// Whether a number of which a call found at `invalid_at` that it does not exist is not to be called at `now`.
pub fn found_invalid_lately(invalid_at: Option<Timestamp>, now: Timestamp) -> bool {
    invalid_at.is_some_and(|at| now.since(at) < INVALID_FOR)
}

/// Whom a campaign wants to call.
#[derive(Debug, Clone, Copy)]
pub struct Callee<'a> {
    /// The number.
    pub phone: &'a PhoneNumber,
    /// Where the person is.
    pub address: &'a Address,
    /// What whoever brought the contact says that was agreed to.
    pub consent: Option<&'a Consent>,
    /// What is known of the person.
    pub person: &'a Person,
}

/// Whether a contact may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Now.
    Now(Box<LegalBasis>, Frequency),
    /// Not before this moment.
    Later(Timestamp, Wait),
    /// Never, for this reason, and more exactly this one where the law is not known.
    Never(DoneReason, Option<NotDialable>),
}

/// What a contact waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// Calling hours.
    Hours,
    /// An earlier call to be long enough ago.
    Frequency,
    /// Its own time: a retry, a promised callback.
    Due,
}

impl Wait {
    /// What is waited for, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hours => "hours",
            Self::Frequency => "frequency",
            Self::Due => "due",
        }
    }
}

/// Whether `callee` may be called at `now`.
pub fn judge(rules: &Rules, required: ConsentRequired, callee: Callee<'_>, now: Timestamp) -> Verdict {
    if callee.person.suppressed {
        return Verdict::Never(DoneReason::Suppressed, None);
    }
    if callee.person.is_invalid(now) {
        return Verdict::Never(DoneReason::InvalidNumber, None);
    }
    let zones = match law::candidate_zones(&callee.address.whereabouts(callee.phone)) {
        Ok(zones) => zones,
        Err(unknown) => return Verdict::Never(DoneReason::NotDialable, Some(unknown)),
    };
    if required.met_by(callee.person.consent.as_ref(), callee.consent, now).is_err() {
        return Verdict::Never(DoneReason::NoConsent, None);
    }
    let mut wait = Wait::Hours;
    let mut at = now;
    // Each turn moves on to the next hours, or past an earlier call; there are 15 of these at most.
    loop {
        let frequency = law::frequency(rules, &zones, at);
        let allowed_at = frequency.next_at(&callee.person.calls, at);
        if allowed_at > at {
            (at, wait) = (allowed_at, Wait::Frequency);
        }
        match law::dialing_window(rules, &zones, at) {
            Window::Open(open) if at == now => {
                return Verdict::Now(Box::new(LegalBasis::of_hours(rules, &zones, open, now)), frequency);
            }
            Window::Open(_) => return Verdict::Later(at, wait),
            Window::Closed { opens_at } => at = opens_at,
            Window::Never => return Verdict::Never(DoneReason::NotDialable, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::ConsentKind;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn each_reason_not_to_call_has_its_verdict() {
        let noon = at("2026-03-02T17:00:00Z");
        let (new_york, abroad): (PhoneNumber, PhoneNumber) =
            ("+12125550100".parse().unwrap(), "+493023125000".parse().unwrap());
        let written = Consent {
            kind: ConsentKind::ExpressWritten,
            text_sha256: None,
            evidence: "form 7".to_owned(),
            captured_at: at("2026-01-01T00:00:00Z"),
            expires_at: None,
            revoked_at: None,
        };
        let hours = |hours: u64| noon - Duration::from_hours(hours);
        let person = |suppressed, calls: &[Timestamp]| Person {
            suppressed,
            calls: calls.to_vec(),
            ..Person::default()
        };
        let judged = |phone, consent, person: &Person, now| {
            let callee = Callee { phone, address: &Address::default(), consent, person };
            judge(Rules::united_states(), ConsentRequired::ExpressWritten, callee, now)
        };
        let (fresh, agreed) = (person(false, &[]), Some(&written));

        assert!(matches!(judged(&new_york, agreed, &fresh, noon), Verdict::Now(..)));
        for (phone, consent, person, reason) in [
            (&new_york, agreed, person(true, &[]), DoneReason::Suppressed),
            (&new_york, None, person(false, &[]), DoneReason::NoConsent),
            (&abroad, agreed, person(false, &[]), DoneReason::NotDialable),
        ] {
            let verdict = judged(phone, consent, &person, noon);
            assert!(matches!(&verdict, Verdict::Never(why, _) if *why == reason), "{verdict:?}");
        }
        // 22 hours ago it was 14:00; the third call of a day is 24 hours old at 14:00, the fourth of three days ago is not counted.
        let thrice = person(false, &[hours(70), hours(22), hours(4), hours(2)]);
        let after = noon + Duration::from_hours(2) + crate::call::START_WITHIN;
        assert_eq!(judged(&new_york, agreed, &thrice, noon), Verdict::Later(after, Wait::Frequency));
        // What was found on a call is believed for 30 days, to the millisecond.
        let found = |ago: Duration| Person { invalid_at: Some(noon - ago), ..Person::default() };
        let invalid = Verdict::Never(DoneReason::InvalidNumber, None);
        for ago in [Duration::ZERO, Duration::from_hours(29 * 24), INVALID_FOR - Duration::from_millis(1)] {
            assert_eq!(judged(&new_york, agreed, &found(ago), noon), invalid, "{ago:?}");
        }
        assert!(matches!(judged(&new_york, agreed, &found(INVALID_FOR), noon), Verdict::Now(..)));
        let opted_out = Person { suppressed: true, ..found(Duration::ZERO) };
        let suppressed = Verdict::Never(DoneReason::Suppressed, None);
        assert_eq!(
            judged(&new_york, agreed, &opted_out, noon),
            suppressed,
            "the opt-out is told, which is for good"
        );
        // At 02:00 both keep: the hours are the later.
        let night = at("2026-03-02T07:00:00Z");
        assert_eq!(
            judged(&new_york, agreed, &fresh, night),
            Verdict::Later(at("2026-03-02T13:00:05Z"), Wait::Hours)
        );
    }
}
