//! Promised callbacks: "call me tomorrow at three".
//!
//! A time without a zone is meant where the person is. Where that may be one of several zones, or a clock shows the time twice, the
//! latest of the moments counts: nobody is called before the time that was agreed on. The law still decides: a promise for a
//! closed hour is kept when the next one opens.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::law::{self, NotDialable, Whereabouts};
use crate::time::Duration;

/// A promise for a later day is for an appointment, not for a campaign.
const FARTHEST: Duration = Duration::from_hours(90 * 24);

/// "In five minutes" may be asked for when these are over.
const LATEST: Duration = Duration::from_hours(1);

/// The time of a promised callback, as it was said: RFC 3339, or without a zone (`2026-03-03T15:00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromisedTime {
    /// A moment.
    Moment(Timestamp),
    /// What the clock shows where the person is.
    Local(DateTime),
}

/// The text is no time of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time such as 2026-03-03T15:00 (where the person is) or 2026-03-03T15:00:00-05:00")]
pub struct InvalidPromisedTime;

/// Why a callback cannot be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPromised {
    /// It is not known where the person is.
    #[error(transparent)]
    NotDialable(#[from] NotDialable),
    /// The moment is over.
    #[error("the time is in the past")]
    Past,
    /// The moment is too far away.
    #[error("the time is more than 90 days ahead")]
    TooFar,
}

impl PromisedTime {
    /// The moment that is meant for a person who is there, or now when it was less than an hour ago.
    ///
    /// # Errors
    /// When it is not known where the person is, or the moment is more than an hour ago or more than 90 days ahead.
    pub fn moment(self, whereabouts: &Whereabouts, now: Timestamp) -> Result<Timestamp, NotPromised> {
        let at = self.meant(whereabouts, now)?;
        if at + LATEST < now { Err(NotPromised::Past) } else { Ok(at.max(now)) }
    }

    /// The moment that is meant by who promises it on a call, which ended then. A time before that is the one for which the call
    /// itself was promised.
    ///
    /// # Errors
    /// When it is not known where the person is, or the moment is not behind the call or more than 90 days ahead.
    pub fn after_call(
        self,
        whereabouts: &Whereabouts,
        ended_at: Timestamp,
    ) -> Result<Timestamp, NotPromised> {
        let at = self.meant(whereabouts, ended_at)?;
        if at <= ended_at { Err(NotPromised::Past) } else { Ok(at) }
    }

    fn meant(self, whereabouts: &Whereabouts, now: Timestamp) -> Result<Timestamp, NotPromised> {
        let zones = law::candidate_zones(whereabouts)?;
        let at = match self {
            Self::Moment(at) => at,
            Self::Local(clock) => zones
                .zones
                .iter()
                .filter_map(|zone| zone.time_zone().to_ambiguous_timestamp(clock).later().ok())
                .map(Timestamp::from)
                .max()
                .ok_or(NotPromised::TooFar)?,
        };
        if at > now + FARTHEST { Err(NotPromised::TooFar) } else { Ok(at) }
    }
}

impl FromStr for PromisedTime {
    type Err = InvalidPromisedTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(moment) = text.parse() {
            return Ok(Self::Moment(moment));
        }
        // A day alone says nothing of the hour, and an offset that was not understood is not passed over.
        let (date, time) = text.split_once(['T', 't', ' ']).ok_or(InvalidPromisedTime)?;
        let date: jiff::civil::Date = date.parse().map_err(|_| InvalidPromisedTime)?;
        if !time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
            || !time.contains(':')
        {
            return Err(InvalidPromisedTime);
        }
        let time: jiff::civil::Time = time.parse().map_err(|_| InvalidPromisedTime)?;
        Ok(Self::Local(date.to_datetime(time)))
    }
}

impl fmt::Display for PromisedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moment(at) => at.fmt(f),
            Self::Local(clock) => clock.fmt(f),
        }
    }
}

impl Serialize for PromisedTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PromisedTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::Address;

    const NOW: &str = "2026-03-02T17:00:00Z";

    fn meant(text: &str, phone: &str) -> Result<String, NotPromised> {
        let whereabouts = Address::default().whereabouts(&phone.parse().unwrap());
        let time: PromisedTime = text.parse().unwrap();
        time.moment(&whereabouts, NOW.parse().unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn a_time_without_a_zone_is_meant_where_the_person_is() {
        for (text, phone, moment) in [
            ("2026-03-03T15:00", "+16505550151", "2026-03-03T23:00:00.000Z"),
            ("2026-03-03 15:00:00", "+12125550151", "2026-03-03T20:00:00.000Z"),
            ("2026-03-03T15:00:00-08:00", "+12125550151", "2026-03-03T23:00:00.000Z"),
            // Area code 850 is Eastern and Central: at three in both.
            ("2026-03-03T15:00", "+18505550151", "2026-03-03T21:00:00.000Z"),
            // Skipped in the night of the clock change, and shown twice in the other.
            ("2026-03-08T02:30", "+12125550151", "2026-03-08T07:30:00.000Z"),
        ] {
            assert_eq!(meant(text, phone).as_deref(), Ok(moment), "{text} {phone}");
        }
    }

    #[test]
    fn what_was_just_promised_is_now_and_what_is_over_or_far_away_is_not_promised() {
        let phone = "+12125550151";
        assert_eq!(meant("2026-03-02T16:30:00Z", phone).as_deref(), Ok("2026-03-02T17:00:00.000Z"));
        assert_eq!(meant("2026-03-02T15:00:00Z", phone), Err(NotPromised::Past));
        assert_eq!(meant("2025-03-03T15:00", phone), Err(NotPromised::Past));
        assert_eq!(meant("2026-07-03T15:00", phone), Err(NotPromised::TooFar));
        let nowhere = Err(NotPromised::NotDialable(NotDialable::NotUnitedStates));
        assert_eq!(meant("2026-03-03T15:00", "+493023125000"), nowhere);
    }

    #[test]
    fn the_time_for_which_a_call_was_promised_is_no_promise_of_another() {
        let whereabouts = Address::default().whereabouts(&"+12125550151".parse().unwrap());
        let ended_at: Timestamp = "2026-03-02T20:03:00Z".parse().unwrap();
        let said = |text: &str| text.parse::<PromisedTime>().unwrap().after_call(&whereabouts, ended_at);
        assert_eq!(said("2026-03-02T15:00"), Err(NotPromised::Past));
        assert_eq!(
            said("2026-03-02T15:05").map(|at| at.to_string()).as_deref(),
            Ok("2026-03-02T20:05:00.000Z")
        );
    }

    #[test]
    fn a_time_is_read_as_it_is_written_and_nothing_else_is() {
        for text in ["2026-03-03T15:00:00", "2026-03-03T20:00:00.000Z"] {
            assert_eq!(text.parse::<PromisedTime>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "tomorrow at 3",
            "2026-03-03",
            "15:00",
            "2026-03-03T15",
            "2026-03-03T15:00 PST",
            "2026-02-30T15:00",
        ] {
            assert_eq!(text.parse::<PromisedTime>(), Err(InvalidPromisedTime), "{text}");
        }
    }
}
