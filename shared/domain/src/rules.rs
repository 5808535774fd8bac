//! The rules of calling: reviewed data, not code (`rules/us.toml`).
//!
//! What holds everywhere, and per state what is narrower. A row cites its source, says when it was reviewed last and
//! from when on it is in force; a state may have a row for now and one for later. No row in force: closed. Where two
//! rules apply the narrower one does, and so it is written down where sources disagree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jiff::civil::{Date, Time, Weekday};
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::call::START_WITHIN;
use crate::place::State;
use crate::time::Duration;

const UNITED_STATES: &str = include_str!("../rules/us.toml");

/// A rule that the data cannot say, by its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules cannot be read: {0}")]
pub struct InvalidRules(String);

/// Hours of a day on the clock of the called person: from `opens` on, and no longer from `closes` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyHours {
    pub(crate) opens: Time,
    pub(crate) closes: Time,
}

/// The hours of one kind of day; none: closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours(Option<DailyHours>);

/// One row: when calling is allowed somewhere, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Monday to Friday.
    pub monday_to_friday: Hours,
    /// Saturday.
    pub saturday: Hours,
    /// Sunday.
    pub sunday: Hours,
    /// The lists of days on which nobody is called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
    /// Calls to one number in 24 hours, where the source has a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_24_h: Option<u32>,
    /// The source.
    pub citation: String,
    /// When a person last compared the row with its source.
    pub reviewed_on: Date,
    /// From this day on it is in force.
    pub effective_from: Date,
}

/// A day on which nobody is called, as its law names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HolidayRow", into = "HolidayRow")]
pub struct Holiday {
    name: String,
    day: HolidayDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HolidayDay {
    /// The same day each year, and the day on which it is observed when that is a weekend.
    Fixed { month: i8, day: i8 },
    /// So many days after the `nth` such weekday of the month, from 1; the last for -1.
    Nth { month: i8, nth: i8, weekday: Weekday, plus: i8 },
    /// So many days after Easter Sunday.
    Easter { days: i32 },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolidayRow {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    month: Option<i8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<i8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<i8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weekday: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    easter: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plus: Option<i8>,
}

/// How often one number may be called, whatever the campaign: in any such span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frequency {
    /// Calls in 24 hours.
    pub per_24_h: u32,
    /// Calls in 7 days.
    pub per_7_days: u32,
    /// Calls in 30 days.
    pub per_30_days: u32,
    /// From one call to the next: long enough for the first to be over, whoever placed it.
    pub minutes_apart: u64,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Names this version in the record of a call.
    pub version: String,
    /// How often one number may be called.
    pub frequency: Frequency,
    /// What holds everywhere.
    pub federal: Rule,
    /// What is narrower in a state, ascending by the day from which on it is in force.
    pub states: BTreeMap<State, Vec<Rule>>,
    /// The lists of days on which nobody is called.
    pub holidays: BTreeMap<String, Vec<Holiday>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    version: String,
    frequency: Frequency,
    federal: Rule,
    #[serde(default)]
    holidays: BTreeMap<String, Vec<Holiday>>,
    #[serde(default)]
    states: BTreeMap<String, Vec<Rule>>,
}

impl DailyHours {
    /// Hours of one day; none when they are empty or would reach past midnight.
    pub fn new(opens: Time, closes: Time) -> Option<Self> {
        (opens < closes).then_some(Self { opens, closes })
    }

    /// What both allow; none when that is nothing.
    pub fn and(self, other: Self) -> Option<Self> {
        Self::new(self.opens.max(other.opens), self.closes.min(other.closes))
    }
}

impl TryFrom<String> for Hours {
    type Error = InvalidRules;

    /// Reads `08:00-21:00` or `closed`.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "closed" {
            return Ok(Self(None));
        }
        let time = |text: &str| (text.len() == 5).then(|| Time::strptime("%H:%M", text).ok()).flatten();
        let hours = text.split_once('-').and_then(|(opens, closes)| {
            let closes = if closes == "24:00" { Time::MAX } else { time(closes)? };
            DailyHours::new(time(opens)?, closes)
        });
        hours
            .map(|hours| Self(Some(hours)))
            .ok_or_else(|| InvalidRules(format!("{text:?} is neither hours such as 08:00-21:00 nor closed")))
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        match hours.0 {
            None => "closed".to_owned(),
            Some(DailyHours { opens, closes }) => {
                format!("{}-{}", opens.strftime("%H:%M"), closes.strftime("%H:%M"))
            }
        }
    }
}

impl TryFrom<HolidayRow> for Holiday {
    type Error = InvalidRules;

    fn try_from(row: HolidayRow) -> Result<Self, Self::Error> {
        let invalid = || InvalidRules(format!("the holiday {:?} is no day", row.name));
        let weekday = |name: &str| {
            let days = [
                ("monday", Weekday::Monday),
                ("tuesday", Weekday::Tuesday),
                ("wednesday", Weekday::Wednesday),
                ("thursday", Weekday::Thursday),
                ("friday", Weekday::Friday),
            ];
            days.into_iter().find(|(day, _)| *day == name).map(|(_, day)| day)
        };
        let day = match &row {
            HolidayRow {
                month: Some(month),
                day: Some(day),
                nth: None,
                weekday: None,
                easter: None,
                plus: None,
                ..
            } => {
                // Every year has the day.
                Date::new(2025, *month, *day).map_err(|_| invalid())?;
                HolidayDay::Fixed { month: *month, day: *day }
            }
            HolidayRow {
                month: Some(month),
                day: None,
                nth: Some(nth),
                weekday: Some(name),
                easter: None,
                plus,
                ..
            } if (1..=12).contains(month) && matches!(nth, -1 | 1..=4) => {
                let weekday = weekday(name).ok_or_else(invalid)?;
                HolidayDay::Nth { month: *month, nth: *nth, weekday, plus: plus.unwrap_or(0) }
            }
            HolidayRow {
                month: None,
                day: None,
                nth: None,
                weekday: None,
                easter: Some(days),
                plus: None,
                ..
            } => HolidayDay::Easter { days: *days },
            _ => return Err(invalid()),
        };
        Ok(Self { name: row.name, day })
    }
}

impl From<Holiday> for HolidayRow {
    fn from(holiday: Holiday) -> Self {
        let row = Self { name: holiday.name, ..Self::default() };
        match holiday.day {
            HolidayDay::Fixed { month, day } => Self { month: Some(month), day: Some(day), ..row },
            HolidayDay::Nth { month, nth, weekday, plus } => Self {
                month: Some(month),
                nth: Some(nth),
                weekday: Some(format!("{weekday:?}").to_lowercase()),
                plus: (plus != 0).then_some(plus),
                ..row
            },
            HolidayDay::Easter { days } => Self { easter: Some(days), ..row },
        }
    }
}

impl Holiday {
    /// Whether it is, or is observed, on that day.
    fn is_on(&self, date: Date) -> bool {
        match self.day {
            // A Saturday's holiday is observed on the Friday before, a Sunday's on the Monday after (5 U.S.C. 6103);
            // some states know one of the two only: closed on both is the narrower reading.
            HolidayDay::Fixed { month, day } => {
                let is = |date: Date| date.month() == month && date.day() == day;
                let next_is = |weekday| date.weekday() == weekday && date.tomorrow().is_ok_and(is);
                let last_was = date.weekday() == Weekday::Monday && date.yesterday().is_ok_and(is);
                is(date) || next_is(Weekday::Friday) || last_was
            }
            HolidayDay::Nth { month, nth, weekday, plus } => {
                date.checked_sub(jiff::Span::new().days(plus)).is_ok_and(|date| {
                    date.month() == month
                        && date.nth_weekday_of_month(nth, weekday).is_ok_and(|day| day == date)
                })
            }
            HolidayDay::Easter { days } => easter(date.year()).is_some_and(|easter| {
                easter.checked_add(jiff::Span::new().days(days)).is_ok_and(|day| day == date)
            }),
        }
    }
}

/// Easter Sunday of a year of the Gregorian calendar.
fn easter(year: i16) -> Option<Date> {
    // Gauss's rule as completed by Meeus ("Astronomical Algorithms", 1991, chapter 8).
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let of_march = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(of_march / 31).ok()?, i8::try_from(of_march % 31 + 1).ok()?).ok()
}

impl Rule {
    fn hours_on(&self, date: Date, lists: &BTreeMap<String, Vec<Holiday>>) -> Option<DailyHours> {
        let mut holidays = self.holidays.iter().filter_map(|list| lists.get(list)).flatten();
        if holidays.any(|holiday| holiday.is_on(date)) {
            return None;
        }
        match date.weekday() {
            Weekday::Saturday => self.saturday.0,
            Weekday::Sunday => self.sunday.0,
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => {
                self.monday_to_friday.0
            }
        }
    }
}

impl Rules {
    /// The rules that this program was built with.
    pub fn united_states() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(|| {
            Rules::parse(UNITED_STATES).expect("a test reads the rules that are compiled in")
        });
        &RULES
    }

    /// Reads rules: see `rules/us.toml` for their form.
    ///
    /// # Errors
    /// When they cannot be read, or name a state or a list of holidays that there is not; the text names the line.
    pub fn parse(text: &str) -> Result<Self, InvalidRules> {
        let file: RulesFile = toml::from_str(text).map_err(|error| InvalidRules(error.to_string()))?;
        let mut states = BTreeMap::new();
        for (state, mut rows) in file.states {
            let known: State =
                state.parse().map_err(|error| InvalidRules(format!("states.{state}: {error}")))?;
            rows.sort_by_key(|row| row.effective_from);
            states.insert(known, rows);
        }
        let rules = Self {
            version: file.version,
            frequency: file.frequency,
            federal: file.federal,
            states,
            holidays: file.holidays,
        };
        let Frequency { per_24_h, per_7_days, per_30_days, .. } = rules.frequency;
        if [per_24_h, per_7_days, per_30_days].contains(&0) {
            return Err(InvalidRules("a frequency of no calls is a stop, not a frequency".to_owned()));
        }
        for rule in rules.rows() {
            if rule.calls_per_24_h == Some(0) {
                return Err(InvalidRules(format!("{}: calls_per_24_h is at least 1", rule.citation)));
            }
            if let Some(list) = rule.holidays.iter().find(|list| !rules.holidays.contains_key(*list)) {
                return Err(InvalidRules(format!("there are no holidays {list:?}")));
            }
        }
        Ok(rules)
    }

    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = &Rule> {
        std::iter::once(&self.federal).chain(self.states.values().flatten())
    }

    /// The rows that apply on a day where all of `states` have a say; none when one of them has none in force.
    pub fn in_force(&self, states: &[State], date: Date) -> Option<Vec<&Rule>> {
        let mut rows = vec![&self.federal];
        for state in states {
            let of_state = self.states.get(state)?;
            rows.push(of_state.iter().rev().find(|row| row.effective_from <= date)?);
        }
        Some(rows)
    }

    /// The hours of a day that every rule allows; none: closed.
    pub fn hours_on(&self, states: &[State], date: Date) -> Option<DailyHours> {
        let mut hours: Option<DailyHours> = None;
        for row in self.in_force(states, date)? {
            let of_row = row.hours_on(date, &self.holidays)?;
            hours = Some(hours.map_or(Some(of_row), |hours| hours.and(of_row))?);
        }
        hours
    }

    /// How often a number may be called where all of `states` have a say.
    pub fn frequency_in(&self, states: &[State], date: Date) -> Frequency {
        let rows = self.in_force(states, date).unwrap_or_default();
        let least = rows.iter().filter_map(|row| row.calls_per_24_h).min();
        Frequency {
            per_24_h: least.map_or(self.frequency.per_24_h, |least| least.min(self.frequency.per_24_h)),
            ..self.frequency
        }
    }
}

impl Frequency {
    /// The longest span that is looked at.
    pub const SPAN: Duration = Duration::from_hours(30 * 24);

    /// The earliest moment from `now` on for another call, after those at `calls`, which ascend.
    pub fn next_at(&self, calls: &[Timestamp], now: Timestamp) -> Timestamp {
        let hours = |hours: u64| Duration::from_hours(hours);
        let spans = [
            (1, Duration::from_mins(self.minutes_apart)),
            (self.per_24_h, hours(24)),
            (self.per_7_days, hours(7 * 24)),
            (self.per_30_days, hours(30 * 24)),
        ];
        spans.into_iter().fold(now, |at, (most, span)| {
            let oldest = calls.len().checked_sub(most as usize).and_then(|nth| calls.get(nth));
            // A call rings up to so much later than it is claimed.
            oldest.map_or(at, |oldest| at.max(*oldest + span + START_WITHIN))
        })
    }
}

impl fmt::Display for DailyHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.opens.strftime("%H:%M"), self.closes.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_on_the_day_that_the_calendar_has() {
        for (year, month, day) in
            [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2030, 4, 21), (2038, 4, 25)]
        {
            assert_eq!(easter(year), Date::new(year, month, day).ok());
        }
    }

    #[test]
    fn a_row_that_says_nothing_is_refused_by_its_line() {
        let rules = |hours: &str, more: &str| {
            Rules::parse(&format!(
                "version = \"1\"\n[frequency]\nper_24_h = 3\nper_7_days = 7\nper_30_days = 15\nminutes_apart = 10\n[federal]\n\
                 monday_to_friday = \"{hours}\"\nsaturday = \"closed\"\nsunday = \"closed\"\ncitation = \"law\"\n\
                 reviewed_on = \"2026-01-01\"\neffective_from = \"2020-01-01\"\n{more}"
            ))
        };
        assert!(rules("08:00-21:00", "").is_ok());
        for (hours, more, named) in [
            ("8-21", "", "line 8"),
            ("21:00-08:00", "", "21:00-08:00"),
            ("08:00-21:00", "holidays = [\"none\"]\n", "none"),
            ("08:00-21:00", "hours = 3\n", "hours"),
            ("08:00-21:00", "[[holidays.a]]\nname = \"Leap\"\nmonth = 2\nday = 29\n", "Leap"),
            ("08:00-21:00", "[[states.XX]]\n", "states"),
        ] {
            let error = rules(hours, more).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn no_span_has_more_calls_than_are_allowed() {
        let frequency = Frequency { per_24_h: 3, per_7_days: 7, per_30_days: 15, minutes_apart: 10 };
        let hour = |hour: i64| Timestamp::from_millis(hour * 3_600_000);
        let calls = |hours: &[i64]| hours.iter().map(|at| hour(*at)).collect::<Vec<_>>();
        for (made, expected) in [
            (vec![], 100),
            (vec![90, 95], 100),
            (vec![90, 95, 99], 114),
            (vec![10, 20, 76, 80, 90, 95, 99], 10 + 7 * 24),
        ] {
            let late = if expected == 100 { Duration::ZERO } else { START_WITHIN };
            assert_eq!(frequency.next_at(&calls(&made), hour(100)), hour(expected) + late, "{made:?}");
        }
        let apart = Duration::from_mins(10) + START_WITHIN;
        assert_eq!(frequency.next_at(&calls(&[100]), hour(100)), hour(100) + apart);
        // As many as are allowed, as early as they are, for a year.
        let (mut made, mut now) = (Vec::new(), hour(0));
        for _ in 0..180 {
            now = frequency.next_at(&made, now);
            made.push(now);
        }
        for (most, days) in [(3, 1), (7, 7), (15, 30)] {
            for crowd in made.windows(most + 1) {
                assert!(
                    crowd[most].since(crowd[0]) >= Duration::from_hours(days * 24),
                    "{most} in {days} days"
                );
            }
        }
    }
}
