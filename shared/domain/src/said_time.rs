//! A day and a time as a person says it or an assistant writes it down: "tomorrow at 3pm", "3/4/2026 3:00 PM", "in two hours".
//!
//! What was said is kept in its own words. It is understood against the moment at which it was said and the zone where the person
//! is:
//! 1. A day that was named without a year is the next one. A weekday is the next one after today; with "next", the one of the next
//!    week.
//! 2. An hour without am or pm is the one in the usual calling hours: 1 to 7 is the afternoon, 9 to 11 the morning. Eight may be both.
//! 3. A day, or a part of a day, without an hour is a time for a callback ([`DayAlone::Daytime`]), and none for an appointment.
//! 4. Where the person may be in one of several zones, the latest of the moments counts, as for
//!    [`PromisedTime`].
//! 5. One word that is not known makes the whole not understood: a person has to look.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::callback::PromisedTime;
use crate::law::{self, Whereabouts};
use crate::place::Zone;
use crate::task::LONGEST_SAID;
use crate::time::Duration;

/// A time before the end of the call by no more than this is the one for which the call itself was promised. One that is longer
/// ago was not meant: an assistant that does not know the date makes such times.
const OF_THE_CALL_ITSELF: Duration = Duration::from_hours(12);

/// What was said of a time, in its own words; at most [`LONGEST_SAID`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SaidTime(String);

/// What a day without an hour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayAlone {
    /// A usual hour of that day, or of that part of it: a callback may be made then.
    Daytime,
    /// No time: an appointment needs its hour.
    Unclear,
}

/// What a time means that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Understood {
    /// This moment, behind the one at which it was said.
    At(Timestamp),
    /// The time of the call in which it was said: nothing follows.
    ThatCall,
    /// Nothing certain: a person has to look.
    Unclear,
}

impl From<String> for SaidTime {
    fn from(said: String) -> Self {
        Self(said.trim().chars().take(LONGEST_SAID).collect())
    }
}

impl From<SaidTime> for String {
    fn from(said: SaidTime) -> Self {
        said.0
    }
}

impl From<PromisedTime> for SaidTime {
    fn from(time: PromisedTime) -> Self {
        Self(time.to_string())
    }
}

impl fmt::Display for SaidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SaidTime {
    /// What was said; none when that is nothing, or says that there is none.
    pub fn new(said: &str) -> Option<Self> {
        let words: String = said.chars().filter(|character| character.is_alphanumeric()).collect();
        let nothing = [
            "",
            "null",
            "none",
            "na",
            "nil",
            "no",
            "false",
            "unknown",
            "undefined",
            "notspecified",
            "notgiven",
            "notprovided",
            "notapplicable",
            "notmentioned",
            "nottime",
            "notime",
            "notset",
            "tbd",
            "notdiscussed",
            "nocallback",
            "noappointment",
            "notrequested",
            "notscheduled",
            "n",
            "0",
        ];
        (!nothing.contains(&words.to_lowercase().as_str())).then(|| Self::from(said.to_owned()))
    }

    /// In its own words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same in a zone that was named apart from it; itself when it names one already.
    #[must_use]
    pub fn in_zone_named(self, zone: &str) -> Self {
        let local = ["local", "their own", "same", "customer", "lead", "person"];
        let Some(zone) =
            Self::new(zone).filter(|zone| !local.iter().any(|word| zone.0.to_lowercase().contains(word)))
        else {
            return self;
        };
        let names_one = read(&self.0).is_some_and(|said| {
            said.zone.is_some() || matches!(said.day, Day::Moment(_) | Day::After { .. })
        });
        if names_one { self } else { Self::from(format!("{} {}", self.0, zone.0)) }
    }

    /// Whether it has the form of a time; what it means is to be seen.
    pub fn is_a_time(&self) -> bool {
        read(&self.0).is_some()
    }

    /// What is meant by who says it at a moment, and is there.
    pub fn understood(
        &self,
        whereabouts: &Whereabouts,
        said_at: Timestamp,
        day_alone: DayAlone,
    ) -> Understood {
        let Some(said) = read(&self.0) else { return Understood::Unclear };
        let zones: Vec<TimeZone> = match (&said.zone, law::candidate_zones(whereabouts)) {
            (Some(zone), _) => vec![zone.clone()],
            (None, Ok(found)) => found.zones.iter().map(|zone| zone.time_zone().clone()).collect(),
            // The moment needs no zone.
            (None, Err(_)) if matches!(said.day, Day::Moment(_)) => vec![TimeZone::UTC],
            (None, Err(_)) => return Understood::Unclear,
        };
        let moments: Option<Vec<Timestamp>> =
            zones.iter().map(|zone| said.moment(&said_at.in_zone(zone), day_alone)).collect();
        match moments.and_then(|moments| moments.into_iter().max()) {
            Some(at) if at > said_at => Understood::At(at),
            Some(at) if at + OF_THE_CALL_ITSELF >= said_at && said.is_a_date_and_time() => {
                Understood::ThatCall
            }
            Some(_) | None => Understood::Unclear,
        }
    }
}

/// What was said, taken apart.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    day: Day,
    clock: Option<Clock>,
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Day {
    /// A moment, whatever the zone.
    Moment(Timestamp),
    /// So much later.
    After {
        days: i64,
        minutes: i64,
    },
    Date {
        year: Option<i16>,
        month: i8,
        day: i8,
    },
    /// So many days from today.
    Days(i32),
    Weekday {
        day: Weekday,
        of_next_week: bool,
    },
    /// None was named: today, or the next day on which the time is to come.
    Unsaid,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Clock {
    At(Time),
    /// An hour of which nobody said whether it is before or after noon.
    Half(i8, i8),
    Part(DayPart),
    /// The time at which it was said.
    Same,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayPart {
    Morning,
    Afternoon,
    Evening,
}

impl DayPart {
    /// The hour that is meant when no other is said.
    fn hour(self) -> i8 {
        match self {
            Self::Morning => 10,
            Self::Afternoon => 14,
            Self::Evening => 18,
        }
    }

    /// The hour of 24 of an hour of 12 in this part of the day.
    fn hour_of(self, hour: i8) -> Option<i8> {
        match self {
            Self::Morning => (5..=11).contains(&hour).then_some(hour),
            Self::Afternoon => match hour {
                12 => Some(12),
                1..=6 => Some(hour + 12),
                _ => None,
            },
            Self::Evening => (4..=10).contains(&hour).then_some(hour + 12),
        }
    }
}

impl Parts {
    /// Whether day and hour were written out.
    fn is_a_date_and_time(&self) -> bool {
        match self.day {
            Day::Moment(_) => true,
            Day::Date { .. } => matches!(self.clock, Some(Clock::At(_) | Clock::Half(..))),
            Day::After { .. } | Day::Days(_) | Day::Weekday { .. } | Day::Unsaid => false,
        }
    }

    fn moment(&self, said_at: &Zoned, day_alone: DayAlone) -> Option<Timestamp> {
        let today = said_at.date();
        let time = match self.clock {
            Some(Clock::At(time)) => Some(time),
            Some(Clock::Half(hour, minute)) => Some(Time::new(likely_hour(hour)?, minute, 0, 0).ok()?),
            Some(Clock::Same) => Some(said_at.time().with().second(0).subsec_nanosecond(0).build().ok()?),
            Some(Clock::Part(part)) => match day_alone {
                DayAlone::Daytime => Some(Time::new(part.hour(), 0, 0, 0).ok()?),
                DayAlone::Unclear => return None,
            },
            None => None,
        };
        let date = match self.day {
            Day::Moment(at) => return self.clock.is_none().then_some(at),
            Day::After { days: 0, minutes } => {
                let later = said_at.checked_add(minutes.minutes()).ok()?;
                return time.is_none().then(|| later.timestamp().into());
            }
            Day::After { days, .. } => today.checked_add(days.days()).ok()?,
            Day::Date { year: Some(year), month, day } => Date::new(year, month, day).ok()?,
            Day::Date { year: None, month, day } => {
                let this_year = Date::new(today.year(), month, day).ok()?;
                if this_year >= today { this_year } else { Date::new(today.year() + 1, month, day).ok()? }
            }
            Day::Days(days) => today.checked_add(days.days()).ok()?,
            Day::Weekday { day, of_next_week: false } => today.nth_weekday(1, day).ok()?,
            Day::Weekday { day, of_next_week: true } => {
                let monday = today.nth_weekday(1, Weekday::Monday).ok()?;
                monday.checked_add(i32::from(day.to_monday_zero_offset()).days()).ok()?
            }
            // "At three", said at four, is no time that was meant.
            Day::Unsaid => match self.clock {
                Some(Clock::Part(_)) => return None,
                Some(Clock::At(_) | Clock::Half(..) | Clock::Same) | None => today,
            },
        };
        let time = match (time, day_alone) {
            (Some(time), _) => time,
            (None, DayAlone::Daytime) if date > today => Time::constant(DayPart::Morning.hour(), 0, 0, 0),
            (None, DayAlone::Daytime | DayAlone::Unclear) => return None,
        };
        let at = said_at.time_zone().to_ambiguous_timestamp(date.to_datetime(time)).later().ok()?;
        // The same hour of today is over.
        let over = self.day == Day::Unsaid && Timestamp::from(at) <= Timestamp::from(said_at.timestamp());
        (!over).then(|| at.into())
    }
}

/// The hour of 24 that is meant by an hour of 12 in the usual calling hours.
fn likely_hour(hour: i8) -> Option<i8> {
    match hour {
        1..=7 => Some(hour + 12),
        9..=12 => Some(hour),
        _ => None,
    }
}

/// Said around a time without changing it.
const FILLER: &[&str] = &[
    "at",
    "on",
    "the",
    "of",
    "for",
    "around",
    "about",
    "approximately",
    "approx",
    "roughly",
    "sharp",
    "exactly",
    "please",
    "call",
    "me",
    "back",
    "again",
    "time",
    "after",
    "from",
    "oclock",
    "hrs",
    "hours",
    "h",
    "in",
    "and",
    "her",
    "his",
    "their",
    "my",
    "local",
    "your",
    "will",
    "be",
    "is",
    "him",
    "them",
    "us",
    "coming",
    "then",
    "give",
    "a",
    "just",
    "day",
    "today's",
    "this",
    "works",
    "good",
    "fine",
];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const WHOLE_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// What a text says of a time; none when a word of it is not understood.
fn read(said: &str) -> Option<Parts> {
    let said = said.trim();
    if let Ok(written) = said.parse::<PromisedTime>() {
        return Some(match written {
            PromisedTime::Moment(at) => Parts { day: Day::Moment(at), clock: None, zone: None },
            PromisedTime::Local(clock) => local(clock),
        });
    }
    if let Some(at) = epoch(said) {
        return Some(Parts { day: Day::Moment(at), clock: None, zone: None });
    }
    // A zone in brackets, as RFC 9557 has it.
    if let Some((time, zone)) = said.strip_suffix(']').and_then(|said| said.rsplit_once('[')) {
        let parts = read(time)?;
        let zone = zone_named(&[&zone.to_lowercase()]).map(|(zone, _)| zone)?;
        return Some(match parts.day {
            Day::Moment(_) => parts,
            _ => Parts { zone: Some(zone), ..parts },
        });
    }
    let words = words(said);
    let mut rest: &[&str] = &words.iter().map(String::as_str).collect::<Vec<_>>();
    let mut parts = Parts { day: Day::Unsaid, clock: None, zone: None };
    let mut half_of_day = None;
    while let Some((first, after)) = rest.split_first() {
        if let ["tonight", after @ ..] = rest {
            if parts.day != Day::Unsaid || half_of_day.is_some() {
                return None;
            }
            (parts.day, half_of_day, rest) = (Day::Days(0), Some(DayPart::Evening), after);
        } else if let ["this", "morning" | "afternoon" | "evening", ..] = rest {
            if parts.day != Day::Unsaid {
                return None;
            }
            // The part is read in the next round.
            (parts.day, rest) = (Day::Days(0), &rest[1..]);
        } else if let Some((day, after)) = day(rest) {
            if parts.day != Day::Unsaid
                && !(matches!(parts.day, Day::Weekday { .. }) && matches!(day, Day::Date { .. }))
            {
                return None;
            }
            (parts.day, rest) = (day, after);
        } else if let Some((part, after)) = day_part(rest) {
            if half_of_day.replace(part).is_some() {
                return None;
            }
            rest = after;
        } else if let Some((clock, after)) = clock(rest) {
            if parts.clock.replace(clock).is_some() {
                return None;
            }
            rest = after;
        } else if let Some((zone, after)) = zone_named(rest) {
            if parts.zone.replace(zone).is_some() {
                return None;
            }
            rest = after;
        } else if FILLER.contains(first) {
            rest = after;
        } else {
            return None;
        }
    }
    parts.clock = match (parts.clock, half_of_day) {
        (Some(Clock::Half(hour, minute)), Some(part)) => {
            Some(Clock::At(Time::new(part.hour_of(hour)?, minute, 0, 0).ok()?))
        }
        (None, Some(part)) => Some(Clock::Part(part)),
        // "3 pm in the afternoon".
        (clock, _) => clock,
    };
    (parts.day != Day::Unsaid || parts.clock.is_some()).then_some(parts)
}

fn local(clock: DateTime) -> Parts {
    let day = Day::Date { year: Some(clock.year()), month: clock.month(), day: clock.day() };
    Parts { day, clock: Some(Clock::At(clock.time())), zone: None }
}

/// Seconds or milliseconds since 1970, of the years 2001 to 2286.
fn epoch(said: &str) -> Option<Timestamp> {
    let (whole, fraction) = said.split_once('.').unwrap_or((said, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = whole.parse().ok().filter(|_| digits(whole) && digits(fraction))?;
    match whole.len() {
        10 => Some(Timestamp::from_millis(number * 1_000)),
        13 => Some(Timestamp::from_millis(number)),
        _ => None,
    }
}

/// Lower-case words; "3pm" is two, and so is "2026-03-04T15:00". A sign that belongs to a date, a time or a zone stays.
fn words(said: &str) -> Vec<String> {
    let said = said
        .to_lowercase()
        .replace("a.m.", "am")
        .replace("p.m.", "pm")
        .replace("a.m", "am")
        .replace("p.m", "pm");
    let said = said.replace("o'clock", " ").replace("o\u{2019}clock", " ").replace('@', " at ");
    let mut words = Vec::new();
    for word in said.split(|character: char| character.is_whitespace() || ",;()\"~".contains(character)) {
        let word = word.trim_matches(['.', '!', '?', ':']).trim_end_matches("'s");
        if word.is_empty() {
            continue;
        }
        let day_and_time = word.split_once('t').filter(|(date, time)| {
            iso_date(date).is_some() && time.starts_with(|c: char| c.is_ascii_digit())
        });
        match day_and_time {
            Some((date, time)) => {
                words.push(date.to_owned());
                push_time(time, &mut words);
            }
            None => push_time(word, &mut words),
        }
    }
    words
}

/// "3pm", "15:00z", "15:00-05:00" and "4th" as the words that they are.
fn push_time(word: &str, words: &mut Vec<String>) {
    let end = word
        .find(|character: char| !character.is_ascii_digit() && !":.".contains(character))
        .unwrap_or(word.len());
    let (number, rest) = word.split_at(end);
    let begins_as_date = rest.starts_with(['/', '-']) && !number.contains(':');
    if number.is_empty() || rest.is_empty() || begins_as_date {
        words.push(word.to_owned());
        return;
    }
    words.push(number.to_owned());
    if !["st", "nd", "rd", "th"].contains(&rest) {
        words.push(rest.to_owned());
    }
}

fn iso_date(word: &str) -> Option<Date> {
    (word.len() == 10).then(|| word.parse().ok())?
}

/// A day at the beginning of the words, and what follows.
fn day<'a, 'b>(words: &'a [&'b str]) -> Option<(Day, &'a [&'b str])> {
    let named = |name: &str| {
        let of = |names: &[&str; 12]| names.iter().position(|month| *month == name);
        let short = name.strip_prefix("sept").map_or(name, |rest| if rest.is_empty() { "sep" } else { name });
        let month = of(&WHOLE_MONTHS).or_else(|| MONTHS.iter().position(|month| *month == short))?;
        i8::try_from(month + 1).ok()
    };
    let day_of_month =
        |word: &str| word.parse::<i8>().ok().filter(|day| (1..=31).contains(day) && word.len() <= 2);
    let year = |word: &str| word.parse::<i16>().ok().filter(|year| (2000..2100).contains(year));
    match words {
        ["day", "after", "tomorrow", rest @ ..] => Some((Day::Days(2), rest)),
        ["today", rest @ ..] => Some((Day::Days(0), rest)),
        ["tomorrow" | "tomorow" | "tommorow" | "tommorrow" | "tmrw" | "tmr" | "tomm", rest @ ..] => {
            Some((Day::Days(1), rest))
        }
        ["in", rest @ ..] if relative(rest).is_some() => relative(rest),
        [first, rest @ ..] if iso_date(first).is_some() => {
            let date = iso_date(first)?;
            Some((Day::Date { year: Some(date.year()), month: date.month(), day: date.day() }, rest))
        }
        [first, rest @ ..] if first.contains(['/', '-']) => Some((numeric_date(first)?, rest)),
        [month, day, this, rest @ ..]
            if named(month).is_some() && day_of_month(day).is_some() && year(this).is_some() =>
        {
            Some((Day::Date { year: year(this), month: named(month)?, day: day_of_month(day)? }, rest))
        }
        [month, "the", day, rest @ ..] | [month, day, rest @ ..]
            if named(month).is_some() && day_of_month(day).is_some() =>
        {
            Some((Day::Date { year: None, month: named(month)?, day: day_of_month(day)? }, rest))
        }
        [day, "of", month, rest @ ..] | [day, month, rest @ ..]
            if day_of_month(day).is_some() && named(month).is_some() =>
        {
            let (this, rest) = match rest {
                [this, rest @ ..] if year(this).is_some() => (year(this), rest),
                _ => (None, rest),
            };
            Some((Day::Date { year: this, month: named(month)?, day: day_of_month(day)? }, rest))
        }
        ["next", name, rest @ ..] => Some((Day::Weekday { day: weekday(name)?, of_next_week: true }, rest)),
        [name, "next", "week", rest @ ..] => {
            Some((Day::Weekday { day: weekday(name)?, of_next_week: true }, rest))
        }
        [name, rest @ ..] if weekday(name).is_some() => {
            Some((Day::Weekday { day: weekday(name)?, of_next_week: false }, rest))
        }
        [.., "from", "now"] if relative(words).is_some() => relative(words),
        _ => None,
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" | "tues" => Weekday::Tuesday,
        "wednesday" | "wed" | "weds" => Weekday::Wednesday,
        "thursday" | "thu" | "thur" | "thurs" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// Month, day and year, as they are written in the United States: `3/4`, `3/4/26`, `03-04-2026`.
fn numeric_date(word: &str) -> Option<Day> {
    let mut numbers = word.split(['/', '-']);
    let (month, day) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let year = match numbers.next() {
        None => None,
        Some(year) if year.len() == 2 => Some(2000 + year.parse::<i16>().ok()?),
        Some(year) => Some(year.parse::<i16>().ok().filter(|year| (2000..2100).contains(year))?),
    };
    // "3-4" is a span of hours as often as a day.
    let is_a_date = numbers.next().is_none() && (year.is_some() || word.contains('/'));
    Date::new(year.unwrap_or(2000), month, day).ok().filter(|_| is_a_date).map(|_| Day::Date {
        year,
        month,
        day,
    })
}

/// "two hours", "30 min from now", "half an hour".
fn relative<'a, 'b>(words: &'a [&'b str]) -> Option<(Day, &'a [&'b str])> {
    let (count, rest) = match words {
        ["half", "an", "hour", rest @ ..] => {
            return Some((Day::After { days: 0, minutes: 30 }, from_now(rest)));
        }
        ["a", "couple", "of", rest @ ..] | ["a", "couple", rest @ ..] => (2, rest),
        ["a" | "an" | "one", rest @ ..] => (1, rest),
        ["about" | "around", rest @ ..] => return relative(rest),
        [count, rest @ ..] => (small_number(count)?, rest),
        [] => return None,
    };
    let (unit, rest) = rest.split_first()?;
    let (days, minutes) = match *unit {
        "minute" | "minutes" | "min" | "mins" | "m" => (0, count),
        "hour" | "hours" | "hr" | "hrs" | "h" => (0, count * 60),
        "day" | "days" => (count, 0),
        "week" | "weeks" => (count * 7, 0),
        _ => return None,
    };
    Some((Day::After { days, minutes }, from_now(rest)))
}

fn from_now<'a, 'b>(rest: &'a [&'b str]) -> &'a [&'b str] {
    match rest {
        ["from", "now", rest @ ..] => rest,
        rest => rest,
    }
}

fn small_number(word: &str) -> Option<i64> {
    const WORDS: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let tens = [
        ("fifteen", 15),
        ("twenty", 20),
        ("thirty", 30),
        ("forty", 40),
        ("forty-five", 45),
        ("sixty", 60),
        ("ninety", 90),
    ];
    let named = WORDS.iter().position(|name| *name == word).and_then(|place| i64::try_from(place + 1).ok());
    let named = named.or_else(|| tens.iter().find(|(name, _)| *name == word).map(|(_, number)| *number));
    named.or_else(|| word.parse().ok()).filter(|number| (1..=600).contains(number))
}

fn day_part<'a, 'b>(words: &'a [&'b str]) -> Option<(DayPart, &'a [&'b str])> {
    match words {
        ["in" | "this", "the", rest @ ..] | ["in" | "this", rest @ ..] | rest => match rest {
            ["morning", rest @ ..] => Some((DayPart::Morning, rest)),
            ["afternoon", rest @ ..] => Some((DayPart::Afternoon, rest)),
            ["evening" | "night", rest @ ..] => Some((DayPart::Evening, rest)),
            _ => None,
        },
    }
}

/// A time of day at the beginning of the words, and what follows.
fn clock<'a, 'b>(words: &'a [&'b str]) -> Option<(Clock, &'a [&'b str])> {
    let at = |hour: i8, minute: i8| Some(Clock::At(Time::new(hour, minute, 0, 0).ok()?));
    match words {
        ["noon" | "midday" | "noontime" | "lunchtime", rest @ ..] => return Some((at(12, 0)?, rest)),
        ["same", "time", rest @ ..] => return Some((Clock::Same, rest)),
        ["half", "past", hour, rest @ ..] => {
            let (clock, rest) = half(hour, 30, rest)?;
            return Some((clock, rest));
        }
        ["quarter", "past", hour, rest @ ..] => return half(hour, 15, rest),
        _ => {}
    }
    let (first, rest) = words.split_first()?;
    let first = if first.contains(':') { (*first).to_owned() } else { first.replace('.', ":") };
    let mut numbers = first.split(':');
    let hour_text = numbers.next()?;
    let hour: i8 = match small_number(hour_text) {
        Some(hour) if hour <= 12 => i8::try_from(hour).ok()?,
        _ => hour_text.parse().ok().filter(|hour| (0..24).contains(hour) && hour_text.len() <= 2)?,
    };
    let minute = match numbers.next() {
        Some(minute) if minute.len() == 2 => {
            Some(minute.parse::<i8>().ok().filter(|minute| (0..60).contains(minute))?)
        }
        Some(_) => return None,
        None => None,
    };
    let seconds = numbers.next();
    if seconds.is_some_and(|seconds| seconds.len() != 2 || seconds.parse::<u8>().is_err())
        || numbers.next().is_some()
    {
        return None;
    }
    match (hour, minute) {
        (13..=23, Some(minute)) => match rest {
            // "15:00 pm" says it twice.
            ["pm", rest @ ..] => Some((at(hour, minute)?, rest)),
            rest => Some((at(hour, minute)?, rest)),
        },
        (1..=12, minute) => half(hour_text, minute.unwrap_or(0), rest),
        _ => None,
    }
}

/// An hour of 12, and which half of the day it is in, if that is said.
fn half<'a, 'b>(hour: &str, minute: i8, rest: &'a [&'b str]) -> Option<(Clock, &'a [&'b str])> {
    let hour = small_number(hour.trim_start_matches('0'))
        .and_then(|hour| i8::try_from(hour).ok())
        .filter(|hour| *hour <= 12)?;
    let at = |hour: i8| Some(Clock::At(Time::new(hour, minute, 0, 0).ok()?));
    match rest {
        ["am" | "a", rest @ ..] => Some((at(hour % 12)?, rest)),
        ["pm" | "p", rest @ ..] => Some((at(hour % 12 + 12)?, rest)),
        ["noon", rest @ ..] if hour == 12 => Some((at(12)?, rest)),
        rest => Some((Clock::Half(hour, minute), rest)),
    }
}

/// A zone at the beginning of the words, and what follows.
fn zone_named<'a, 'b>(words: &'a [&'b str]) -> Option<(TimeZone, &'a [&'b str])> {
    let (first, rest) = words.split_first()?;
    let name = match *first {
        "eastern" | "est" | "edt" | "et" => "America/New_York",
        "central" | "cst" | "cdt" | "ct" => "America/Chicago",
        "mountain" | "mst" | "mdt" | "mt" => "America/Denver",
        "pacific" | "pst" | "pdt" | "pt" => "America/Los_Angeles",
        "alaska" | "akst" | "akdt" => "America/Anchorage",
        "hawaii" | "hst" | "hawaiian" => "Pacific/Honolulu",
        "arizona" => "America/Phoenix",
        "utc" | "gmt" | "z" => return Some((TimeZone::UTC, rest)),
        other => {
            return offset(other)
                .map(TimeZone::fixed)
                .or_else(|| Some(Zone::of_united_states(other)?.time_zone().clone()))
                .map(|zone| (zone, rest));
        }
    };
    let rest = match rest {
        ["standard" | "daylight", "time", rest @ ..] | ["standard" | "daylight", rest @ ..] => rest,
        rest => rest,
    };
    let rest = match rest {
        ["time", rest @ ..] => rest,
        rest => rest,
    };
    Some((Zone::of_united_states(name)?.time_zone().clone(), rest))
}

/// `-05:00`, `-0500`, `+00`, `utc-5`.
fn offset(word: &str) -> Option<Offset> {
    let word = word.strip_prefix("utc").or_else(|| word.strip_prefix("gmt")).unwrap_or(word);
    let (sign, digits) = match word.split_at_checked(1)? {
        ("-" | "\u{2212}", digits) => (-1, digits),
        ("+", digits) => (1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then(|| Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::Address;

    /// A Monday, noon in New York and 9 in Los Angeles.
    const SAID_AT: &str = "2026-03-02T17:00:00Z";
    const NEW_YORK: &str = "+12125550151";

    fn understood(said: &str, phone: &str, day_alone: DayAlone) -> String {
        let whereabouts = Address::default().whereabouts(&phone.parse().unwrap());
        match SaidTime::new(said).unwrap().understood(&whereabouts, SAID_AT.parse().unwrap(), day_alone) {
            Understood::At(at) => at.to_string()[..16].to_owned(),
            Understood::ThatCall => "that call".to_owned(),
            Understood::Unclear => "unclear".to_owned(),
        }
    }

    #[test]
    fn a_time_is_understood_in_the_usual_forms() {
        for (said, at) in [
            ("3:00 PM", "2026-03-02T20:00"),
            ("3pm", "2026-03-02T20:00"),
            ("15:00", "2026-03-02T20:00"),
            ("3 p.m.", "2026-03-02T20:00"),
            ("at 3", "2026-03-02T20:00"),
            ("March 4 at 3pm", "2026-03-04T20:00"),
            ("March 4th at 3", "2026-03-04T20:00"),
            ("Mar 4, 2026 3:00 PM", "2026-03-04T20:00"),
            ("4th of March at 10:30 am", "2026-03-04T15:30"),
            ("3/4/2026 3:00 PM", "2026-03-04T20:00"),
            ("3/4/26 at 15:00", "2026-03-04T20:00"),
            ("Wednesday, March 4, 2026 at 3:00 PM EST", "2026-03-04T20:00"),
            ("tomorrow at 3pm", "2026-03-03T20:00"),
            ("3 PM tomorrow", "2026-03-03T20:00"),
            ("Tomorrow afternoon at 2", "2026-03-03T19:00"),
            ("tomorrow morning at 9:30", "2026-03-03T14:30"),
            ("Wednesday at noon", "2026-03-04T17:00"),
            ("next Tuesday 10:30", "2026-03-10T14:30"),
            ("Friday 9 am", "2026-03-06T14:00"),
            ("in two hours", "2026-03-02T19:00"),
            ("in 30 minutes", "2026-03-02T17:30"),
            ("in half an hour", "2026-03-02T17:30"),
            ("2 hours from now", "2026-03-02T19:00"),
            ("tonight at 7", "2026-03-03T00:00"),
            ("tomorrow at 3pm PST", "2026-03-03T23:00"),
            ("3:30 PM Pacific", "2026-03-02T23:30"),
            ("10 am Pacific time tomorrow", "2026-03-03T18:00"),
            ("tomorrow at 3pm Central Standard Time", "2026-03-03T21:00"),
            ("2026-03-03T15:00", "2026-03-03T20:00"),
            ("2026-03-03 15:00", "2026-03-03T20:00"),
            ("2026-03-03T15:00Z", "2026-03-03T15:00"),
            ("2026-03-03T15:00-08:00", "2026-03-03T23:00"),
            ("2026-03-03T15:00:00-05:00", "2026-03-03T20:00"),
            ("2026-03-03T15:00 PST", "2026-03-03T23:00"),
            ("2026-03-03 3:00 PM", "2026-03-03T20:00"),
            ("2026-03-03T15:00[America/Los_Angeles]", "2026-03-03T23:00"),
            ("2026-03-03T15:00:00-05:00[America/New_York]", "2026-03-03T20:00"),
            ("1772568000", "2026-03-03T20:00"),
            ("1772568000000", "2026-03-03T20:00"),
            ("tomorrow at the same time", "2026-03-03T17:00"),
        ] {
            for day_alone in [DayAlone::Daytime, DayAlone::Unclear] {
                assert_eq!(understood(said, NEW_YORK, day_alone), at, "{said}");
            }
        }
    }

    #[test]
    fn a_day_without_an_hour_is_a_time_for_a_callback_and_none_for_an_appointment() {
        for (said, at) in [
            ("tomorrow", "2026-03-03T15:00"),
            ("March 4", "2026-03-04T15:00"),
            ("3/4", "2026-03-04T15:00"),
            ("2026-03-04", "2026-03-04T15:00"),
            ("Thursday", "2026-03-05T15:00"),
            ("tomorrow afternoon", "2026-03-03T19:00"),
            ("this evening", "2026-03-02T23:00"),
            ("tonight", "2026-03-02T23:00"),
            ("in three days", "2026-03-05T15:00"),
            ("in a week", "2026-03-09T14:00"),
        ] {
            assert_eq!(understood(said, NEW_YORK, DayAlone::Daytime), at, "{said}");
            assert_eq!(understood(said, NEW_YORK, DayAlone::Unclear), "unclear", "{said}");
        }
    }

    #[test]
    fn what_is_not_certain_is_not_understood() {
        for said in [
            "after the harvest",
            "later",
            "soon",
            "next week",
            "in a few minutes",
            "sometime tomorrow-ish",
            "today",
            "3-4pm",
            "before 5",
            "tomorrow at 8",
            "tomorrow at 25:00",
            "February 30 at 3pm",
            "yesterday at 3pm",
            "11 am",
            "2023-03-04T15:00",
            "13/4 at 3pm",
            "tomorrow at 3 or 4",
            "Monday or Tuesday",
            "3pm Boston time",
            "true",
            "this morning",
            "at 3 at 4",
            "2026-03-03T15:00 XYZ",
        ] {
            assert_eq!(understood(said, NEW_YORK, DayAlone::Daytime), "unclear", "{said}");
        }
        assert_eq!(understood("tomorrow at 3pm", "+493023125000", DayAlone::Daytime), "unclear");
    }

    #[test]
    fn the_latest_moment_counts_where_the_person_may_be_in_several_zones() {
        // Area code 850 is Eastern and Central.
        assert_eq!(understood("tomorrow at 3pm", "+18505550151", DayAlone::Daytime), "2026-03-03T21:00");
        assert_eq!(understood("tomorrow at 3pm", "+16505550151", DayAlone::Daytime), "2026-03-03T23:00");
    }

    #[test]
    fn the_time_for_which_the_call_was_made_is_no_other() {
        assert_eq!(understood("2026-03-02T11:55", NEW_YORK, DayAlone::Daytime), "that call");
    }

    #[test]
    fn what_says_that_there_is_no_time_says_nothing() {
        for said in ["", " ", "null", "None", "N/A", "n/a", "not specified", "no", "unknown", "-"] {
            assert_eq!(SaidTime::new(said), None, "{said}");
        }
    }

    #[test]
    fn a_zone_that_was_named_apart_counts_unless_the_time_has_one() {
        let said = |time: &str, zone: &str| SaidTime::new(time).unwrap().in_zone_named(zone).to_string();
        assert_eq!(said("2026-03-03T15:00", "Pacific"), "2026-03-03T15:00 Pacific");
        assert_eq!(said("2026-03-03T15:00-05:00", "Pacific"), "2026-03-03T15:00-05:00");
        assert_eq!(said("3pm EST", "America/New_York"), "3pm EST");
        assert_eq!(said("3pm", "not specified"), "3pm");
    }
}
