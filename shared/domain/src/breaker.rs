//! The circuit breaker of a provider account: when the provider fails, it is left alone for a while.
//!
//! ```text
//!           half of at least 5 requests in 120 s failed              5 min
//!  closed ─────────────────────────────────────────────▶ open ───────────────────▶ one request is tried
//!     ▲                                                   ▲                             │
//!     └───────────────────────────── it did not fail ─────┼─────────────────────────────┤
//!                                                         └────────── it failed ────────┘
//! ```
//! Only faults of the provider count: that nobody answers, or that all lines are taken, says nothing of it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::time::{Duration, millis};

/// What is looked at.
const SPAN: Duration = Duration::from_secs(120);

/// Fewer requests say nothing.
const FEWEST: usize = 5;

/// For so long nothing is asked.
const OPEN_FOR: Duration = Duration::from_mins(5);

/// A request that is tried has its answer by then; else another may be.
const TRIED_WITHIN: Duration = Duration::from_secs(60);

/// More are not kept: enough to tell, and an item stays small.
const KEPT: usize = 40;

/// How one request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    #[serde(with = "millis")]
    at: Timestamp,
    fault: bool,
}

/// What is known of a provider account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    #[serde(default)]
    recent: Vec<Seen>,
    /// Nothing is asked before this; none: it is closed.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    open_until: Option<Timestamp>,
}

/// Whether the provider may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pass {
    /// Yes.
    Closed,
    /// Once, by whoever writes [`Breaker::tried`] down first.
    Once,
    /// No.
    Open {
        /// Until then.
        until: Timestamp,
    },
}

impl Breaker {
    /// Whether the provider may be asked at `now`.
    pub fn pass(&self, now: Timestamp) -> Pass {
        match self.open_until {
            None => Pass::Closed,
            Some(until) if now < until => Pass::Open { until },
            Some(_) => Pass::Once,
        }
    }

    /// One request is being tried: no other is until its answer is known.
    #[must_use]
    pub fn tried(self, now: Timestamp) -> Self {
        Self { open_until: Some(now + TRIED_WITHIN), ..self }
    }

    /// The request that was to be tried at `tried_at` was none: the next may be tried, unless another is already.
    #[must_use]
    pub fn not_tried(self, tried_at: Timestamp, now: Timestamp) -> Self {
        if self.open_until == Some(tried_at + TRIED_WITHIN) {
            Self { open_until: Some(now), ..self }
        } else {
            self
        }
    }

    /// After a request that failed by the provider's fault, or did not.
    #[must_use]
    pub fn after(mut self, now: Timestamp, fault: bool) -> Self {
        if self.open_until.is_some() {
            return if fault {
                Self { open_until: Some(now + OPEN_FOR), recent: Vec::new() }
            } else {
                Self::default()
            };
        }
        self.recent.retain(|seen| now.since(seen.at) < SPAN);
        self.recent.push(Seen { at: now, fault });
        let surplus = self.recent.len().saturating_sub(KEPT);
        self.recent.drain(..surplus);
        let faults = self.recent.iter().filter(|seen| seen.fault).count();
        if self.recent.len() >= FEWEST && faults * 2 >= self.recent.len() {
            return Self { open_until: Some(now + OPEN_FOR), recent: Vec::new() };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn after(requests: &[(i64, bool)]) -> Breaker {
        requests.iter().fold(Breaker::default(), |breaker, (when, fault)| breaker.after(at(*when), *fault))
    }

    #[test]
    fn half_of_five_in_two_minutes_opens_it() {
        for (requests, open) in [
            (vec![(0, true), (1, true), (2, true), (3, true)], false),
            (vec![(0, true), (1, true), (2, true), (3, false), (4, false)], true),
            (vec![(0, true), (1, true), (2, false), (3, false), (4, false)], false),
            // The first two are too long ago.
            (
                vec![
                    (0, true),
                    (1, true),
                    (121, false),
                    (122, true),
                    (123, false),
                    (124, false),
                    (125, false),
                ],
                false,
            ),
        ] {
            let breaker = after(&requests);
            assert_eq!(breaker.pass(at(130)) != Pass::Closed, open, "{requests:?}: {breaker:?}");
        }
    }

    #[test]
    fn after_five_minutes_one_request_is_tried_and_decides() {
        let open = after(&[(0, true), (0, true), (0, true), (0, true), (0, true)]);
        assert_eq!(open.pass(at(299)), Pass::Open { until: at(300) });
        assert_eq!(open.pass(at(300)), Pass::Once);
        let tried = open.tried(at(300));
        assert_eq!(tried.pass(at(301)), Pass::Open { until: at(360) }, "another waits for its answer");
        assert_eq!(tried.clone().after(at(302), false).pass(at(302)), Pass::Closed);
        assert_eq!(tried.clone().after(at(302), true).pass(at(303)), Pass::Open { until: at(602) });
        assert_eq!(tried.pass(at(360)), Pass::Once, "the answer got lost");
    }

    #[test]
    fn who_has_nothing_to_ask_leaves_the_one_request_to_the_next() {
        let open = after(&[(0, true), (0, true), (0, true), (0, true), (0, true)]);
        let tried = open.tried(at(300));
        assert_eq!(tried.clone().not_tried(at(300), at(301)).pass(at(301)), Pass::Once);
        let by_another = tried.clone().tried(at(360));
        assert_eq!(by_another.clone().not_tried(at(300), at(361)), by_another);
        let failed = tried.after(at(302), true);
        assert_eq!(failed.clone().not_tried(at(300), at(303)), failed);
    }
}
