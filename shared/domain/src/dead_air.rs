//! Dead air: calls that a person answers, and in which nobody of ours speaks for two seconds.
//!
//! 47 CFR 64.1200(a)(7) allows 3 percent of the calls of a campaign, over 30 days, that are answered by a person and not connected within
//! two seconds of the person's completed greeting. So the clock of a call starts at the end of a greeting that begins within two seconds of
//! the answer, and at the answer when there is no such greeting.
//!
//! Only calls count whose first words the provider told the times of. The figures say how many these are.

use serde::{Deserialize, Serialize};

use crate::time::Duration;

/// A person who hears nobody of ours for this long was abandoned.
pub const SILENCE: Duration = Duration::from_secs(2);

/// Days that the figures of a campaign are of, the present day of UTC included.
pub const DAYS: u64 = 30;

/// Fewer measured calls say nothing: one silent call of 28 would be over the limit. Of 50 it takes two.
pub const FEWEST_CALLS: u64 = 50;

/// Of 1,000 measured calls, as many silent ones are told. This is the law's limit.
const WARN_PER_MILLE: u64 = 30;

/// Of 1,000 measured calls, as many silent ones pause the campaign.
const PAUSE_PER_MILLE: u64 = 35;

/// The answered calls of a campaign in 30 days, as far as their first words were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadAir {
    /// Answered calls whose first words were measured.
    pub measured: u64,
    /// Of these, the calls in which nobody of ours spoke for two seconds.
    pub silent: u64,
}

/// What figures of dead air call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    Normal,
    /// An event.
    Warn,
    /// The campaign is paused.
    Pause,
}

/// What was last told of the dead air of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What was done.
    pub level: Level,
    /// When the call ended whose figures were told.
    #[serde(with = "crate::time::millis")]
    pub ended_at: crate::Timestamp,
}

/// Whether a silence is dead air.
pub fn is_silent(silence_ms: u64) -> bool {
    u128::from(silence_ms) >= SILENCE.as_millis()
}

impl DeadAir {
    /// What these figures call for.
    pub fn level(self) -> Level {
        let reaches = |per_mille: u64| self.silent * 1_000 >= self.measured * per_mille;
        match self.measured {
            ..FEWEST_CALLS => Level::Normal,
            _ if reaches(PAUSE_PER_MILLE) => Level::Pause,
            _ if reaches(WARN_PER_MILLE) => Level::Warn,
            _ => Level::Normal,
        }
    }

    /// Of 10,000 measured calls, so many are silent; none, when no call was measured.
    pub fn per_ten_thousand(self) -> Option<u64> {
        (self.silent * 10_000).checked_div(self.measured)
    }

    /// What is to be done now that a call is counted, which ended at `ended_at`.
    ///
    /// A warning is told once a day. A campaign that was resumed by hand is paused again by the next silent call, and by no other: an
    /// assistant that was mended is to have the chance to show it.
    #[must_use]
    pub fn follows(
        self,
        told: Option<Told>,
        running: bool,
        silent: bool,
        ended_at: crate::Timestamp,
    ) -> Level {
        const TOLD_AGAIN: Duration = Duration::from_hours(24);

        let level = self.level();
        let worse = told.is_none_or(|told| told.level < level);
        let since = |wait: Duration| told.is_none_or(|told| ended_at > told.ended_at + wait);
        match level {
            Level::Pause if running && (worse || (silent && since(Duration::ZERO))) => Level::Pause,
            Level::Pause | Level::Warn if since(TOLD_AGAIN) => Level::Warn,
            Level::Pause | Level::Warn | Level::Normal => Level::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    const NOON: Timestamp = Timestamp::from_millis(1_772_463_600_000);

    #[test]
    fn three_percent_warn_and_three_and_a_half_pause_from_fifty_measured_calls_on() {
        for (measured, silent, level) in [
            (0, 0, Level::Normal),
            (3, 3, Level::Normal),
            (49, 49, Level::Normal),
            (50, 1, Level::Normal),
            (50, 2, Level::Pause),
            (100, 2, Level::Normal),
            (100, 3, Level::Warn),
            (200, 6, Level::Warn),
            (200, 7, Level::Pause),
            (1_000, 29, Level::Normal),
            (1_000, 30, Level::Warn),
            (1_000, 34, Level::Warn),
            (1_000, 35, Level::Pause),
        ] {
            assert_eq!(DeadAir { measured, silent }.level(), level, "{silent} of {measured}");
        }
    }

    #[test]
    fn two_seconds_without_a_word_are_dead_air() {
        assert_eq!([0, 1_999, 2_000, 9_000].map(is_silent), [false, false, true, true]);
    }

    #[test]
    fn a_campaign_that_goes_on_is_paused_again_by_the_next_silent_call_and_by_no_other() {
        let figures = DeadAir { measured: 100, silent: 4 };
        let paused = Some(Told { level: Level::Pause, ended_at: NOON });
        let warned = Some(Told { level: Level::Warn, ended_at: NOON });
        let later = NOON + Duration::from_mins(1);
        for (told, running, silent, at, follows) in [
            (None, true, true, NOON, Level::Pause),
            (None, true, false, NOON, Level::Pause),
            (None, false, true, NOON, Level::Warn),
            (warned, true, false, later, Level::Pause),
            (paused, true, false, later, Level::Normal),
            (paused, true, true, later, Level::Pause),
            // The same call, reported again after the campaign was resumed.
            (paused, true, true, NOON, Level::Normal),
            (paused, false, true, later, Level::Normal),
            (paused, false, true, later + Duration::from_hours(24), Level::Warn),
        ] {
            assert_eq!(
                figures.follows(told, running, silent, at),
                follows,
                "{told:?} {running} {silent} {at}"
            );
        }
    }

    #[test]
    fn a_warning_is_told_once_a_day() {
        let figures = DeadAir { measured: 100, silent: 3 };
        let warned = Some(Told { level: Level::Warn, ended_at: NOON });
        for (told, hours, follows) in
            [(None, 0, Level::Warn), (warned, 23, Level::Normal), (warned, 25, Level::Warn)]
        {
            let at = NOON + Duration::from_hours(hours);
            assert_eq!(figures.follows(told, true, true, at), follows, "{told:?} {hours}");
        }
    }
}
