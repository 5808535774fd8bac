//! Whether and when a contact is called again, and what becomes of the number that was held for it.
//!
//! | outcome | next attempt |
//! |---|---|
//! | answered | none |
//! | busy | 15 minutes after the call ended |
//! | no answer | 4 hours after: another part of the day |
//! | voicemail, reason unknown | 20 hours after: the next day, a little earlier |
//! | provider failed | 30 minutes after, once per contact |
//! | no capacity at the provider, never placed | 2 minutes after; not an attempt, nobody was called |
//! | invalid number, canceled | none |
//!
//! A call that was in progress and whose end is never learned is followed by none either: that is for a person
//! ([`DoneReason::EndUnknown`]). A report that tells the end later is planned for as any other.
//!
//! A retry moves later, never earlier, until it keeps every limit:
//! 1. At most 5 attempts per contact.
//! 2. At most 3 attempts begin within any 24 hours.
//! 3. An attempt after one that rang begins 2 hours after it. A busy line did not ring, and neither did a call that the
//!    provider failed to place: after these the delay alone holds.
//!
//! Calling hours are not known here: the dispatcher moves a retry into the legal window, which is later too. The delay runs
//! from the moment at which the end of the call was written down.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::outcome::Outcome;
use crate::pool::ReleaseReason;
use crate::time::Duration;

/// The numbers of the retry plan. `Default` has the product's; a field absent in JSON is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts per contact.
    pub attempts: NonZeroU8,
    /// Attempts that begin within any 24 hours.
    pub attempts_per_24_h: NonZeroU8,
    /// From the start of an attempt that rang to the start of the next.
    pub spacing_min: u32,
    /// Wait after a busy line.
    pub busy_min: u32,
    /// Wait after nobody answered.
    pub no_answer_min: u32,
    /// Wait after a voicemail, and after an end whose reason is unknown.
    pub voicemail_min: u32,
    /// Wait after a provider's failure.
    pub provider_failed_min: u32,
    /// How many provider failures of one contact are followed by another attempt.
    pub provider_failures: u32,
    /// Wait after the provider had no capacity.
    pub capacity_limited_min: u32,
}

/// What follows for the contact after a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Another attempt, not before this moment.
    At(Timestamp),
    /// No other attempt.
    Done(DoneReason),
}

/// Why a contact is not called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneReason {
    /// Somebody took the call.
    Reached,
    /// As many attempts as allowed were made.
    AttemptsUsedUp,
    /// There is no such number.
    InvalidNumber,
    /// The provider failed more often than is retried.
    ProviderFailed,
    /// The call was withdrawn.
    Canceled,
    /// The person asked not to be called. Found by the rules of opting out, never by [`plan`].
    OptedOut,
    /// The number is on a suppression list. Found when the call is claimed.
    Suppressed,
    /// It is not known when calling is lawful there. Found by the calling law.
    NotDialable,
    /// It is not known that the person agreed to be called, or the person took that back. Found when the call is claimed.
    NoConsent,
    /// The person asked to be called at another number.
    OtherNumber,
    /// The call was in progress, and how it ended was never learned: the person may have been reached. A task for a person says so.
    EndUnknown,
    /// The lead was reached at another of its numbers. Found when the call is claimed.
    LeadReached,
}

impl DoneReason {
    /// The reason as text, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::AttemptsUsedUp => "attempts_used_up",
            Self::InvalidNumber => "invalid_number",
            Self::ProviderFailed => "provider_failed",
            Self::Canceled => "canceled",
            Self::OptedOut => "opted_out",
            Self::Suppressed => "suppressed",
            Self::NotDialable => "not_dialable",
            Self::NoConsent => "no_consent",
            Self::OtherNumber => "other_number",
            Self::EndUnknown => "end_unknown",
            Self::LeadReached => "lead_reached",
        }
    }
}

/// What becomes of a lead's hold on its number after a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum HoldAfter {
    /// The hold stays as it is.
    Keep,
    /// The hold lasts at least until then.
    KeepUntil(Timestamp),
    /// The hold ends now.
    Release(ReleaseReason),
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU8::MIN.saturating_add(4),
            attempts_per_24_h: NonZeroU8::MIN.saturating_add(2),
            spacing_min: 2 * 60,
            busy_min: 15,
            no_answer_min: 4 * 60,
            voicemail_min: 20 * 60,
            provider_failed_min: 30,
            provider_failures: 1,
            capacity_limited_min: 2,
        }
    }
}

/// What follows after a call ended with `outcome` at `ended_at`.
///
/// `attempts` are the starts of all attempts of the contact that count ([`Outcome::counts`]), this call's included when
/// it does, ascending. `provider_failures` is how many of them the provider failed, this call included.
pub fn plan(
    outcome: Outcome,
    attempts: &[Timestamp],
    provider_failures: u32,
    ended_at: Timestamp,
    policy: &RetryPolicy,
) -> Next {
    let wait_min = match outcome {
        Outcome::Answered => return Next::Done(DoneReason::Reached),
        Outcome::InvalidNumber => return Next::Done(DoneReason::InvalidNumber),
        Outcome::Canceled => return Next::Done(DoneReason::Canceled),
        Outcome::ProviderFailed if provider_failures > policy.provider_failures => {
            return Next::Done(DoneReason::ProviderFailed);
        }
        Outcome::ProviderFailed => policy.provider_failed_min,
        Outcome::Busy => policy.busy_min,
        Outcome::NoAnswer => policy.no_answer_min,
        Outcome::Voicemail | Outcome::Other => policy.voicemail_min,
        Outcome::CapacityLimited | Outcome::NotPlaced => policy.capacity_limited_min,
    };
    if attempts.len() >= usize::from(policy.attempts.get()) {
        return Next::Done(DoneReason::AttemptsUsedUp);
    }
    let mut at = ended_at + minutes(wait_min);
    if let Some(last) = attempts.last().filter(|_| outcome.rang()) {
        at = at.max(*last + minutes(policy.spacing_min));
    }
    // The attempt that would be one too many waits until the first of its 24 hours is out of them.
    let first_of_24_h = attempts.len().checked_sub(usize::from(policy.attempts_per_24_h.get()));
    if let Some(first) = first_of_24_h.and_then(|index| attempts.get(index)) {
        at = at.max(*first + Duration::from_hours(24));
    }
    Next::At(at)
}

/// What becomes of the hold when a call ended at `ended_at` and `next` follows, as it was planned: the calling hours may move
/// it later.
///
/// A hold is kept for retries of the same day, which is what begins within 12 hours, and for an hour past their start;
/// it is kept as it is when the person was reached, and released otherwise.
pub fn hold_after(next: Next, ended_at: Timestamp) -> HoldAfter {
    const SAME_DAY: Duration = Duration::from_hours(12);
    const PAST_START: Duration = Duration::from_hours(1);

    match next {
        Next::At(at) if at.since(ended_at) <= SAME_DAY => HoldAfter::KeepUntil(at + PAST_START),
        Next::At(_) => HoldAfter::Release(ReleaseReason::NextDay),
        // Who may have been reached may call back.
        Next::Done(
            DoneReason::Reached | DoneReason::OtherNumber | DoneReason::EndUnknown | DoneReason::LeadReached,
        ) => HoldAfter::Keep,
        Next::Done(DoneReason::AttemptsUsedUp) => HoldAfter::Release(ReleaseReason::AttemptsUsedUp),
        Next::Done(DoneReason::InvalidNumber) => HoldAfter::Release(ReleaseReason::InvalidNumber),
        Next::Done(DoneReason::ProviderFailed) => HoldAfter::Release(ReleaseReason::ProviderFailed),
        Next::Done(DoneReason::Canceled) => HoldAfter::Release(ReleaseReason::Canceled),
        Next::Done(DoneReason::OptedOut | DoneReason::Suppressed) => {
            HoldAfter::Release(ReleaseReason::OptedOut)
        }
        Next::Done(DoneReason::NotDialable | DoneReason::NoConsent) => {
            HoldAfter::Release(ReleaseReason::Canceled)
        }
    }
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONDAY: Timestamp = Timestamp::from_millis(1_772_463_600_000);

    fn after(minutes_later: u32) -> Timestamp {
        MONDAY + minutes(minutes_later)
    }

    #[test]
    fn the_delay_follows_the_outcome() {
        let cases = [
            (Outcome::Busy, Next::At(after(16))),
            (Outcome::NoAnswer, Next::At(after(241))),
            (Outcome::Voicemail, Next::At(after(1_201))),
            (Outcome::Other, Next::At(after(1_201))),
            (Outcome::ProviderFailed, Next::At(after(31))),
            (Outcome::Answered, Next::Done(DoneReason::Reached)),
            (Outcome::InvalidNumber, Next::Done(DoneReason::InvalidNumber)),
            (Outcome::Canceled, Next::Done(DoneReason::Canceled)),
        ];
        for (outcome, next) in cases {
            let failures = u32::from(outcome == Outcome::ProviderFailed);
            let planned = plan(outcome, &[MONDAY], failures, after(1), &RetryPolicy::default());
            assert_eq!(planned, next, "{outcome}");
        }
    }

    #[test]
    fn a_call_that_the_provider_had_no_line_for_is_tried_soon_and_is_no_attempt() {
        let policy = RetryPolicy::default();
        assert_eq!(plan(Outcome::CapacityLimited, &[], 0, MONDAY, &policy), Next::At(after(2)));
        let four = [MONDAY, after(1_440), after(2_880), after(4_320)];
        assert_eq!(plan(Outcome::CapacityLimited, &four, 0, after(5_760), &policy), Next::At(after(5_762)));
    }

    #[test]
    fn a_provider_failure_is_tried_again_once_per_contact() {
        let attempts = [MONDAY, after(31)];
        let again = plan(Outcome::ProviderFailed, &attempts, 2, after(32), &RetryPolicy::default());
        assert_eq!(again, Next::Done(DoneReason::ProviderFailed));
    }

    #[test]
    fn the_fourth_attempt_waits_until_the_first_is_a_day_old() {
        let attempts = [MONDAY, after(16), after(32)];
        assert_eq!(
            plan(Outcome::Busy, &attempts, 0, after(33), &RetryPolicy::default()),
            Next::At(after(1_440))
        );
    }

    #[test]
    fn a_short_delay_gives_way_to_the_spacing_after_an_attempt_that_rang() {
        let policy = RetryPolicy { no_answer_min: 10, busy_min: 10, ..RetryPolicy::default() };
        assert_eq!(plan(Outcome::NoAnswer, &[MONDAY], 0, after(1), &policy), Next::At(after(120)));
        assert_eq!(plan(Outcome::Busy, &[MONDAY], 0, after(1), &policy), Next::At(after(11)));
    }

    #[test]
    fn after_the_fifth_attempt_there_is_no_other() {
        let attempts = [MONDAY, after(1_500), after(3_000), after(4_500), after(6_000)];
        for outcome in [Outcome::Busy, Outcome::NoAnswer, Outcome::Voicemail, Outcome::Other] {
            let next = plan(outcome, &attempts, 0, after(6_001), &RetryPolicy::default());
            assert_eq!(next, Next::Done(DoneReason::AttemptsUsedUp));
        }
    }

    #[test]
    fn a_hold_is_kept_for_the_same_day_and_released_otherwise() {
        let cases = [
            (Next::At(after(16)), HoldAfter::KeepUntil(after(76))),
            (Next::At(after(720)), HoldAfter::KeepUntil(after(780))),
            (Next::At(after(721)), HoldAfter::Release(ReleaseReason::NextDay)),
            (Next::Done(DoneReason::Reached), HoldAfter::Keep),
            (Next::Done(DoneReason::EndUnknown), HoldAfter::Keep),
            (Next::Done(DoneReason::AttemptsUsedUp), HoldAfter::Release(ReleaseReason::AttemptsUsedUp)),
            (Next::Done(DoneReason::OptedOut), HoldAfter::Release(ReleaseReason::OptedOut)),
        ];
        for (next, hold) in cases {
            assert_eq!(hold_after(next, MONDAY), hold, "{next:?}");
        }
    }

    #[test]
    fn a_policy_names_only_what_it_changes() {
        let policy: RetryPolicy = serde_json::from_str(r#"{"attempts":3}"#).unwrap();
        assert_eq!(policy, RetryPolicy { attempts: NonZeroU8::new(3).unwrap(), ..RetryPolicy::default() });
        for refused in [r#"{"attempts":0}"#, r#"{"attempt":3}"#] {
            assert!(serde_json::from_str::<RetryPolicy>(refused).is_err(), "{refused}");
        }
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(vec![
            Outcome::Voicemail,
            Outcome::NoAnswer,
            Outcome::Busy,
            Outcome::ProviderFailed,
            Outcome::CapacityLimited,
            Outcome::Other,
        ])
    }

    proptest! {
        /// A contact whose calls never reach anybody, each placed as soon as the plan allows or later.
        #[test]
        fn a_contact_is_never_called_more_or_closer_than_allowed(
            calls in prop::collection::vec((any_outcome(), 0_u32..120, 0_u32..2_000), 40),
            (attempts_at_most, per_24_h) in (1_u8..8, 1_u8..5),
            (spacing_min, busy_min, no_answer_min) in (0_u32..300, 0_u32..30, 0_u32..300),
        ) {
            let policy = RetryPolicy {
                attempts: NonZeroU8::new(attempts_at_most).unwrap(),
                attempts_per_24_h: NonZeroU8::new(per_24_h).unwrap(),
                spacing_min,
                busy_min,
                no_answer_min,
                ..RetryPolicy::default()
            };
            let (mut attempts, mut rang, mut failures, mut start) = (Vec::new(), Vec::new(), 0, MONDAY);
            for (outcome, lasted_min, late_min) in calls {
                if outcome.counts() {
                    attempts.push(start);
                    rang.push(outcome.rang());
                }
                failures += u32::from(outcome == Outcome::ProviderFailed);
                let ended_at = start + minutes(lasted_min);
                match plan(outcome, &attempts, failures, ended_at, &policy) {
                    Next::At(at) => {
                        prop_assert!(at >= ended_at);
                        start = at + minutes(late_min);
                    }
                    Next::Done(_) => break,
                }
            }
            prop_assert!(attempts.len() <= usize::from(attempts_at_most));
            prop_assert!(failures <= policy.provider_failures + 1);
            for crowd in attempts.windows(usize::from(per_24_h) + 1) {
                prop_assert!(crowd[usize::from(per_24_h)].since(crowd[0]) >= Duration::from_hours(24));
            }
            for (pair, _) in attempts.windows(2).zip(&rang).filter(|(_, rang)| **rang) {
                prop_assert!(pair[1].since(pair[0]) >= minutes(spacing_min));
            }
        }
    }
}
