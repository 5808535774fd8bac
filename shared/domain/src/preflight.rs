//! Preflight: what a campaign would do with its contacts if it began now, and what that would take.
//!
//! Each contact has the verdict that its dial would have ([`dialable`](crate::dialable)). The estimate calls each of them once, on so many
//! lines, in the order in which they may be called.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::Serialize;

use crate::dialable::{Verdict, Wait};
use crate::law::NotDialable;
use crate::retry::DoneReason;
use crate::time::Duration;
use crate::{Timestamp, Usd};

/// What a preflight found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preflight {
    /// Contacts looked at.
    pub contacts: usize,
    /// May be called now.
    pub now: usize,
    /// May be called later, by the moment from which on.
    pub later: Vec<Later>,
    /// Of these, so many were called as often as is allowed.
    pub over_frequency: usize,
    /// On a suppression list.
    pub suppressed: usize,
    /// A call of the last 30 days found that there is no such number.
    pub invalid_number: usize,
    /// Without the consent that the campaign asks for.
    pub without_consent: usize,
    /// Where it is not known which hours are legal.
    pub unknown_time_zone: usize,
    /// Not of the United States, toll-free, or premium.
    pub not_callable: usize,
    /// Already done, or on a call.
    pub done_or_under_way: usize,
}

/// Contacts that may be called from the same moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Later {
    /// From then on.
    pub at: Timestamp,
    /// How many.
    pub contacts: usize,
}

/// What one call to each contact takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Calls: one each to those who may be called.
    pub calls: usize,
    /// At once.
    pub lines: u32,
    /// Assumed length of a call with all that surrounds it.
    pub seconds_per_call: u64,
    /// What a call costs on the average.
    pub cost_per_call: Usd,
    /// What they cost together.
    pub cost: Usd,
    /// When the last of them is over, if a number is always free; none: nobody may be called, or there is nothing to call from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// The same if everybody is reached, and so keeps the number that called for as long as the campaign says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at_if_kept: Option<Timestamp>,
}

impl Preflight {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Self {
        let mut found = Self::default();
        let mut later: BTreeMap<Timestamp, usize> = BTreeMap::new();
        for verdict in verdicts {
            found.contacts += 1;
            match verdict {
                Verdict::Now(..) => found.now += 1,
                Verdict::Later(at, wait) => {
                    *later.entry(*at).or_default() += 1;
                    found.over_frequency += usize::from(*wait == Wait::Frequency);
                }
                Verdict::Never(DoneReason::Suppressed, _) => found.suppressed += 1,
                Verdict::Never(DoneReason::InvalidNumber, _) => found.invalid_number += 1,
                Verdict::Never(DoneReason::NoConsent, _) => found.without_consent += 1,
                Verdict::Never(_, Some(NotDialable::UnknownZone | NotDialable::InvalidZone) | None) => {
                    found.unknown_time_zone += 1;
                }
                Verdict::Never(_, Some(NotDialable::NotUnitedStates | NotDialable::NotGeographic)) => {
                    found.not_callable += 1;
                }
            }
        }
        found.later = later.into_iter().map(|(at, contacts)| Later { at, contacts }).collect();
        found
    }
}

/// When calls to contacts who may be called from `from` on are over, on so many lines. `may_call(n, at)` is when the `n`-th
/// contact may be called from `at` on.
pub fn done_at(
    mut from: Vec<(Timestamp, usize)>,
    lines: u32,
    call: Duration,
    may_call: impl Fn(usize, Timestamp) -> Option<Timestamp>,
) -> Option<Timestamp> {
    from.sort_unstable();
    let first = from.first()?.0;
    let mut waiting: BinaryHeap<Reverse<(Timestamp, usize)>> = from.into_iter().map(Reverse).collect();
    let mut free: BinaryHeap<Reverse<Timestamp>> = (0..lines.max(1)).map(|_| Reverse(first)).collect();
    let mut last = None;
    while let Some(Reverse((at, contact))) = waiting.pop() {
        let Some(Reverse(line)) = free.pop() else { break };
        let start = at.max(line);
        // The hours may be over by the time that a line is free.
        match may_call(contact, start) {
            Some(now) if now == start => {
                let over = start + call;
                last = last.max(Some(over));
                free.push(Reverse(over));
            }
            Some(later) => {
                waiting.push(Reverse((later, contact)));
                free.push(Reverse(line));
            }
            None => free.push(Reverse(line)),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_the_lines_and_wait_for_their_hours() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let minute = Duration::from_secs(60);
        let any_time = |_, at| Some(at);
        // Five calls on two lines: three rounds.
        let five = (0..5).map(|contact| (at(0), contact)).collect();
        assert_eq!(done_at(five, 2, minute, any_time), Some(at(180)));
        // One that may be called later does not hold up the others.
        let mixed = vec![(at(600), 0), (at(0), 1), (at(0), 2)];
        assert_eq!(done_at(mixed, 1, minute, any_time), Some(at(660)));
        // Nobody is called in the second minute.
        let closed = |_, now: Timestamp| Some(if now == at(60) { at(120) } else { now });
        let two = vec![(at(0), 0), (at(0), 1)];
        assert_eq!(done_at(two, 1, minute, closed), Some(at(180)));
        assert_eq!(done_at(Vec::new(), 1, minute, any_time), None);
    }
}
