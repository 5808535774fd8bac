//! How much a number is used, when it may be used again, and how well it does.
//!
//! A number called too often is flagged by carriers, and a flagged number rings nowhere. So each number has a rest after
//! a call, at most so many calls in an hour and in a day of its own zone, fewer while it is new. None of this is a state
//! that somebody has to change: all of it is one moment, the earliest at which the number may call again.
//!
//! Health is a gate, never an order: a healthy number is not preferred, an unhealthy one is not used.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::place::Zone;
use crate::time::{Duration, millis};
use crate::{PhoneNumber, Timestamp};

/// An hour, as the limit per hour means it: any 60 minutes, not those of a clock.
const HOUR: Duration = Duration::from_hours(1);

/// A number that the provider lets call no more today is tried again after this: the provider does not say when its day ends.
const USED_UP_FOR: Duration = HOUR;

/// A number makes no more calls than one in this, whatever it is allowed.
const BETWEEN_CALLS: Duration = Duration::from_secs(1);

/// Days of use that are kept: the seven that health looks at, and the two before which an alarm compares.
const DAYS_KEPT: usize = 9;

/// Health looks at the calls of so many days, today included.
const HEALTH_DAYS: i64 = 7;

/// Fewer ended calls than this say nothing of a number.
const FEWEST_CALLS: u32 = 20;

/// An answered call shorter than this was hung up on sight.
pub const SHORT_CALL: Duration = Duration::from_secs(6);

/// The limits of each number of a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Calls in a day of the number's zone.
    pub per_day: u32,
    /// Calls in any 60 minutes.
    pub per_hour: u32,
    /// Minutes from the end of a call to the next call.
    pub rest_minutes: u32,
    /// Calls a day in the first, the second and the third seven days of a number.
    pub warm_up: [u32; 3],
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_day: 75, per_hour: 12, rest_minutes: 10, warm_up: [10, 20, 30] }
    }
}

impl Limits {
    /// From the end of a call to the next.
    pub fn rest(&self) -> Duration {
        Duration::from_mins(u64::from(self.rest_minutes))
    }

    /// Calls on a day that is so many days after the number was new.
    fn on_day(&self, age: i64) -> u32 {
        let week = usize::try_from(age.max(0) / 7).unwrap_or(usize::MAX);
        self.warm_up.get(week).map_or(self.per_day, |warm_up| (*warm_up).min(self.per_day))
    }
}

/// From where on something is done about a company's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// A number under this health is not used.
    pub fit: u8,
    /// A number under this health rests for `rest_days`, and is new after it.
    pub sick: u8,
    /// Days that a number rests that did badly.
    pub rest_days: u32,
    /// By how many percent fewer calls have to be answered than before until it is told.
    pub answers_drop_percent: u32,
    /// Calls on two days without which that says nothing.
    pub answers_drop_calls: u32,
    /// Days for which a lead gets the number that it had before.
    pub sticky_days: u32,
    /// Days for which an inbound call is the last holder's.
    pub inbound_days: u32,
    /// Percent of a pool in use that are told, the lower first.
    pub utilisation: [u8; 2],
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            fit: 50,
            sick: 40,
            rest_days: 30,
            answers_drop_percent: 40,
            answers_drop_calls: 50,
            sticky_days: 90,
            inbound_days: 30,
            utilisation: [80, 95],
        }
    }
}

impl Thresholds {
    /// How long a number rests that did badly.
    pub fn rest(&self) -> Duration {
        days(self.rest_days)
    }

    /// For how long a lead gets the number that it had before.
    pub fn sticky(&self) -> Duration {
        days(self.sticky_days)
    }

    /// For how long an inbound call is the last holder's.
    pub fn inbound(&self) -> Duration {
        days(self.inbound_days)
    }
}

fn days(days: u32) -> Duration {
    Duration::from_hours(24 * u64::from(days))
}

/// The calls from a number on one day of its zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Calls begun: what the limit counts.
    #[serde(rename = "b", default)]
    pub begun: u32,
    /// Calls that rang, or should have: what rates are shares of.
    #[serde(rename = "e", default)]
    pub ended: u32,
    /// Calls that a person answered.
    #[serde(rename = "a", default)]
    pub answered: u32,
    /// Answered calls under [`SHORT_CALL`].
    #[serde(rename = "s", default)]
    pub short: u32,
    /// Calls that a carrier refused.
    #[serde(rename = "r", default)]
    pub refused: u32,
    /// Complaints.
    #[serde(rename = "c", default)]
    pub complaints: u32,
}

/// What a number was used for lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When the latest calls began, the earliest first; as many as the limit per hour needs.
    #[serde(default)]
    latest: Vec<i64>,
    /// By day of the number's zone.
    #[serde(default)]
    days: BTreeMap<Date, Day>,
    /// From this day on the number is warmed up; none: it is not new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new_on: Option<Date>,
    /// No call before.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    rest_until: Option<Timestamp>,
}

/// How a call ended, as far as its number is judged by it.
#[derive(Debug, Clone, Copy)]
pub struct OverCall {
    /// How it ended.
    pub outcome: Outcome,
    /// For how long somebody was on the line.
    pub talked: Option<Duration>,
    /// Whether a carrier refused it.
    pub carrier_refused: bool,
    /// Whether the provider lets the number call no more for a while.
    pub used_up: bool,
    /// When it began, as far as the limits go.
    pub claimed_at: Timestamp,
}

/// What others say of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Nothing.
    #[default]
    None,
    /// Phones show it as likely spam.
    Spam,
    /// Phones show it as fraud, or a carrier blocks it.
    Scam,
}

/// How well a number does, from 0 to 100, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// 100, less what the parts take away.
    pub score: u8,
    /// What was looked at.
    pub parts: Vec<HealthPart>,
}

/// One thing that health looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthPart {
    /// What it is.
    pub name: &'static str,
    /// How much of 100 it takes away.
    pub takes: u8,
    /// What was seen.
    pub seen: String,
}

/// The zone in which a number's days are counted: of its area code; `otherwise`, or else UTC, when that has none.
pub fn zone_of(number: &PhoneNumber, otherwise: Option<&Zone>) -> jiff::tz::TimeZone {
    let zone = Zone::of_phone(number).or(otherwise.cloned());
    zone.map_or(jiff::tz::TimeZone::UTC, |zone| zone.time_zone().clone())
}

impl Usage {
    /// What is known of a number that was used elsewhere: it is not new, and may rest first.
    pub fn elsewhere(rest_until: Option<Timestamp>) -> Self {
        Self { rest_until, ..Self::default() }
    }

    /// A number that was never used.
    pub fn new(now: Timestamp, zone: &jiff::tz::TimeZone) -> Self {
        Self { new_on: Some(now.in_zone(zone).date()), ..Self::default() }
    }

    /// The earliest moment from `now` on at which a call may begin: `now` itself when it may.
    pub fn allowed_at(&self, now: Timestamp, zone: &jiff::tz::TimeZone, limits: &Limits) -> Timestamp {
        let mut at = self.rest_until.map_or(now, |rest| rest.max(now));
        if let Some(nth) = self.latest.len().checked_sub(limits.per_hour.max(1) as usize) {
            at = at.max(Timestamp::from_millis(self.latest[nth]) + HOUR);
        }
        // A day at its limit ends; the one after it has no calls yet.
        let date = at.in_zone(zone).date();
        if self.day(date).begun >= self.limit_on(date, limits) {
            at = start_of(date.tomorrow().unwrap_or(date), zone).unwrap_or(at);
        }
        at
    }

    /// The calls that the number may begin on a day.
    fn limit_on(&self, date: Date, limits: &Limits) -> u32 {
        match self.new_on {
            None => limits.per_day,
            Some(new_on) => limits.on_day(days_between(new_on, date)),
        }
    }

    /// The calls of the day that `now` is in, and how many it may have.
    pub fn today_of(&self, now: Timestamp, zone: &jiff::tz::TimeZone, limits: &Limits) -> (Day, u32) {
        let date = now.in_zone(zone).date();
        (self.day(date), self.limit_on(date, limits))
    }

    /// The calls of a day.
    fn day(&self, date: Date) -> Day {
        self.days.get(&date).copied().unwrap_or_default()
    }

    /// A call begins.
    pub fn begin(&mut self, now: Timestamp, zone: &jiff::tz::TimeZone, limits: &Limits) {
        self.latest.push(now.as_millis());
        let surplus = self.latest.len().saturating_sub(limits.per_hour.max(1) as usize);
        self.latest.drain(..surplus);
        self.today(now, zone).begun += 1;
    }

    /// A call is over.
    pub fn end(&mut self, now: Timestamp, zone: &jiff::tz::TimeZone, limits: &Limits, over: &OverCall) {
        let OverCall { outcome, talked, carrier_refused, used_up, claimed_at } = *over;
        if outcome.counts() {
            self.rest(now + limits.rest().max(BETWEEN_CALLS));
        } else {
            self.take_back(claimed_at, zone);
        }
        if used_up {
            self.rest(now + USED_UP_FOR);
        }
        let day = self.today(now, zone);
        match outcome {
            Outcome::Answered | Outcome::Voicemail => {
                day.ended += 1;
                day.answered += u32::from(outcome == Outcome::Answered);
                let short = outcome == Outcome::Answered && talked.is_some_and(|talked| talked < SHORT_CALL);
                day.short += u32::from(short);
            }
            Outcome::NoAnswer | Outcome::Busy | Outcome::Other => day.ended += 1,
            Outcome::ProviderFailed if carrier_refused => {
                day.ended += 1;
                day.refused += 1;
            }
            // Nobody's phone rang, for a reason that is not the number's.
            Outcome::ProviderFailed
            | Outcome::InvalidNumber
            | Outcome::CapacityLimited
            | Outcome::NotPlaced
            | Outcome::Canceled => {}
        }
    }

    /// A call that began was none: nobody was called.
    fn take_back(&mut self, began: Timestamp, zone: &jiff::tz::TimeZone) {
        if let Some(this) = self.latest.iter().rposition(|at| *at == began.as_millis()) {
            self.latest.remove(this);
        }
        if let Some(day) = self.days.get_mut(&began.in_zone(zone).date()) {
            day.begun = day.begun.saturating_sub(1);
        }
    }

    /// Somebody complained about a call from the number.
    pub fn complaint(&mut self, now: Timestamp, zone: &jiff::tz::TimeZone) {
        self.today(now, zone).complaints += 1;
    }

    /// The number does not call before `until`.
    pub fn rest(&mut self, until: Timestamp) {
        self.rest_until = Some(self.rest_until.map_or(until, |rest| rest.max(until)));
    }

    /// The number did badly: it rests, what it did is forgotten, and it is new after that.
    pub fn rest_and_begin_anew(&mut self, now: Timestamp, zone: &jiff::tz::TimeZone, until: Timestamp) {
        self.rest(until);
        self.new_on = Some(until.in_zone(zone).date());
        let today = now.in_zone(zone).date();
        let begun = self.day(today).begun;
        self.days = BTreeMap::from([(today, Day { begun, ..Day::default() })]);
    }

    /// How well the number does. `usual_rate`: of 1,000 calls from numbers like it, so many are answered.
    pub fn health(
        &self,
        now: Timestamp,
        zone: &jiff::tz::TimeZone,
        usual_rate: Option<u32>,
        label: Label,
    ) -> Health {
        self.health_on(now.in_zone(zone).date(), usual_rate, label)
    }

    fn health_on(&self, date: Date, usual_rate: Option<u32>, label: Label) -> Health {
        let week = self.sum(date, HEALTH_DAYS);
        let enough = week.ended >= FEWEST_CALLS;
        let share = |part: u32, of: u32| (part * 1_000).checked_div(of).unwrap_or(0);
        let rate = share(week.answered, week.ended);
        let usual = usual_rate.unwrap_or(0);
        // Half of what is usual takes all there is to take.
        let below = match (rate * 1_000).checked_div(usual) {
            Some(of_usual) if enough => 1_000u32.saturating_sub(of_usual),
            _ => 0,
        };
        let answers = scaled(below, 0, 500, 35);
        let short = if enough { scaled(share(week.short, week.answered), 100, 500, 20) } else { 0 };
        let refused = if enough { scaled(share(week.refused, week.ended), 50, 300, 25) } else { 0 };
        let complaints = u8::try_from(week.complaints.min(4) * 15).unwrap_or(60);
        let labelled = match label {
            Label::None => 0,
            Label::Spam => 60,
            Label::Scam => 100,
        };
        let parts = vec![
            HealthPart {
                name: "answer_rate",
                takes: answers,
                seen: match usual_rate {
                    Some(usual) if enough => {
                        format!("{} answered, usual is {}", percent(rate), percent(usual))
                    }
                    _ => format!("{} calls: too few to tell", week.ended),
                },
            },
            HealthPart {
                name: "short_calls",
                takes: short,
                seen: format!("{} of {} answered calls under 6 s", week.short, week.answered),
            },
            HealthPart {
                name: "carrier_refusals",
                takes: refused,
                seen: format!("{} of {} calls refused", week.refused, week.ended),
            },
            HealthPart {
                name: "complaints",
                takes: complaints,
                seen: format!("{} complaints", week.complaints),
            },
            HealthPart { name: "label", takes: labelled, seen: format!("{label:?}").to_lowercase() },
        ];
        let taken: u32 = parts.iter().map(|part| u32::from(part.takes)).sum();
        Health { score: 100 - u8::try_from(taken.min(100)).unwrap_or(100), parts }
    }

    /// The first moment from `now` on at which the health of the number is at least `fit`, should it not be used before:
    /// bad days fall out of sight one by one. None: it does not get fit by waiting.
    pub fn fit_at(
        &self,
        now: Timestamp,
        zone: &jiff::tz::TimeZone,
        usual_rate: Option<u32>,
        label: Label,
        fit: u8,
    ) -> Option<Timestamp> {
        let today = now.in_zone(zone).date();
        let fit = |date: Date| self.health_on(date, usual_rate, label).score >= fit;
        if fit(today) {
            return Some(now);
        }
        let mut days = today.series(jiff::Span::new().days(1)).skip(1).take(DAYS_KEPT);
        days.find(|date| fit(*date)).and_then(|date| start_of(date, zone))
    }

    /// Whether fewer people answer than did: over the two latest days the rate is so much under that of the seven days
    /// before, with enough calls in those two.
    pub fn answers_dropped(
        &self,
        now: Timestamp,
        zone: &jiff::tz::TimeZone,
        thresholds: &Thresholds,
    ) -> bool {
        let date = now.in_zone(zone).date();
        let lately = self.sum(date, 2);
        let before = self.sum(date.saturating_sub(jiff::Span::new().days(2)), HEALTH_DAYS);
        let left = u64::from(100u32.saturating_sub(thresholds.answers_drop_percent));
        lately.ended >= thresholds.answers_drop_calls
            && before.ended >= FEWEST_CALLS
            && u64::from(lately.answered) * u64::from(before.ended) * 100
                <= u64::from(before.answered) * u64::from(lately.ended) * left
            && before.answered > 0
    }

    /// The calls that health looks at.
    pub fn week(&self, now: Timestamp, zone: &jiff::tz::TimeZone) -> Day {
        self.sum(now.in_zone(zone).date(), HEALTH_DAYS)
    }

    /// All of the `days` days up to `last`.
    fn sum(&self, last: Date, days: i64) -> Day {
        let first = last.saturating_sub(jiff::Span::new().days(days - 1));
        self.days.range(first..=last).fold(Day::default(), |sum, (_, day)| Day {
            begun: sum.begun + day.begun,
            ended: sum.ended + day.ended,
            answered: sum.answered + day.answered,
            short: sum.short + day.short,
            refused: sum.refused + day.refused,
            complaints: sum.complaints + day.complaints,
        })
    }

    /// Today's entry. Entries that nobody looks at any more are dropped.
    fn today(&mut self, now: Timestamp, zone: &jiff::tz::TimeZone) -> &mut Day {
        let today = now.in_zone(zone).date();
        while self.days.len() >= DAYS_KEPT && !self.days.contains_key(&today) {
            self.days.pop_first();
        }
        self.days.entry(today).or_default()
    }
}

/// `value`, in thousandths, as points: none up to `from`, `most` from `to` on, in proportion between.
fn scaled(value: u32, from: u32, to: u32, most: u32) -> u8 {
    let inside = value.clamp(from, to) - from;
    u8::try_from(inside * most / (to - from)).unwrap_or(u8::MAX)
}

fn percent(thousandths: u32) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn start_of(date: Date, zone: &jiff::tz::TimeZone) -> Option<Timestamp> {
    // The first moment of a day whose midnight is skipped by a zone change is the one after the gap.
    let zoned = date.to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp().into())
}

fn days_between(from: Date, to: Date) -> i64 {
    i64::from((to - from).get_days())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new_york() -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get("America/New_York").unwrap()
    }

    fn over(outcome: Outcome, talked: Option<Duration>) -> OverCall {
        OverCall {
            outcome,
            talked,
            carrier_refused: outcome == Outcome::ProviderFailed,
            used_up: false,
            claimed_at: Timestamp::from_millis(0),
        }
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const LIMITS: Limits = Limits { per_day: 75, per_hour: 12, rest_minutes: 10, warm_up: [10, 20, 30] };

    #[test]
    fn the_thirteenth_call_within_an_hour_waits_until_the_first_is_an_hour_old() {
        let (zone, start) = (new_york(), moment("2026-03-02T15:00:00Z"));
        let mut usage = Usage::default();
        for minute in 0..12 {
            usage.begin(start + Duration::from_mins(minute), &zone, &LIMITS);
        }

        let at = usage.allowed_at(start + Duration::from_mins(12), &zone, &LIMITS);

        assert_eq!(at, start + HOUR);
    }

    #[test]
    fn a_new_number_begins_ten_calls_on_each_of_its_first_seven_days_then_twenty_then_thirty() {
        let (zone, start) = (new_york(), moment("2026-03-02T15:00:00Z"));
        let usage = Usage::new(start, &zone);
        let first = start.in_zone(&zone).date();
        let limit = |day: i64| usage.limit_on(first.saturating_add(jiff::Span::new().days(day)), &LIMITS);

        assert_eq!([0, 6, 7, 13, 14, 20, 21].map(limit), [10, 10, 20, 20, 30, 30, 75]);
    }

    #[test]
    fn a_number_at_its_daily_limit_waits_until_midnight_of_its_zone_also_on_the_nights_of_a_clock_change() {
        let zone = new_york();
        for (noon, midnight) in [
            ("2026-03-02T17:00:00Z", "2026-03-03T05:00:00Z"),
            ("2026-03-08T17:00:00Z", "2026-03-09T04:00:00Z"),
            ("2026-11-01T17:00:00Z", "2026-11-02T05:00:00Z"),
        ] {
            let limits = Limits { per_day: 1, ..LIMITS };
            let mut usage = Usage::default();
            usage.begin(moment(noon), &zone, &limits);

            assert_eq!(usage.allowed_at(moment(noon) + HOUR * 2, &zone, &limits), moment(midnight));
        }
    }

    #[test]
    fn a_call_that_was_never_placed_uses_nothing_up() {
        let (zone, now) = (new_york(), moment("2026-03-02T15:00:00Z"));
        let mut usage = Usage::new(now, &zone);
        for outcome in [Outcome::CapacityLimited, Outcome::NotPlaced].repeat(50) {
            usage.begin(now, &zone, &LIMITS);
            usage.end(now, &zone, &LIMITS, &OverCall { claimed_at: now, ..over(outcome, None) });
        }
        assert_eq!(usage.allowed_at(now, &zone, &LIMITS), now);
        assert_eq!(usage.today_of(now, &zone, &LIMITS).0.begun, 0);

        let over = OverCall { used_up: true, claimed_at: now, ..over(Outcome::CapacityLimited, None) };
        usage.begin(now, &zone, &LIMITS);
        usage.end(now, &zone, &LIMITS, &over);
        assert_eq!(usage.allowed_at(now, &zone, &LIMITS), now + HOUR, "the provider has limits of its own");
    }

    #[test]
    fn a_number_that_is_answered_half_as_often_as_usual_is_below_the_gate_with_short_calls_beside_it() {
        let (zone, now) = (new_york(), moment("2026-03-02T15:00:00Z"));
        let mut usage = Usage::default();
        for call in 0..40 {
            let (outcome, talked) = if call < 6 {
                (Outcome::Answered, Some(Duration::from_secs(2)))
            } else {
                (Outcome::NoAnswer, None)
            };
            usage.end(now, &zone, &LIMITS, &over(outcome, talked));
        }
        let health = usage.health(now, &zone, Some(400), Label::None);

        assert_eq!(health.score, 100 - 35 - 20);
        assert!(usage.fit_at(now, &zone, Some(400), Label::None, 50) > Some(now + HOUR * 24 * 6));
        assert_eq!(usage.fit_at(now, &zone, Some(400), Label::Spam, 50), None);
    }

    #[test]
    fn few_calls_say_nothing() {
        let (zone, now) = (new_york(), moment("2026-03-02T15:00:00Z"));
        let mut usage = Usage::default();
        for _ in 0..19 {
            usage.end(now, &zone, &LIMITS, &over(Outcome::NoAnswer, None));
        }

        assert_eq!(usage.health(now, &zone, Some(400), Label::None).score, 100);
    }

    #[test]
    fn an_answer_rate_forty_percent_under_its_own_mean_over_two_days_and_fifty_calls_is_told() {
        let zone = new_york();
        let day = |day: u64| moment("2026-03-02T15:00:00Z") + HOUR * 24 * u32::try_from(day).unwrap();
        let mut usage = Usage::default();
        let calls = |usage: &mut Usage, at: Timestamp, answered: u32, of: u32| {
            for call in 0..of {
                let outcome = if call < answered { Outcome::Answered } else { Outcome::NoAnswer };
                usage.end(at, &zone, &LIMITS, &over(outcome, Some(HOUR)));
            }
        };
        for n in 0..7 {
            calls(&mut usage, day(n), 20, 40);
        }
        calls(&mut usage, day(7), 8, 25);
        calls(&mut usage, day(8), 7, 24);
        assert!(!usage.answers_dropped(day(8), &zone, &Thresholds::default()), "49 calls are too few");
        calls(&mut usage, day(8), 0, 1);
        assert!(usage.answers_dropped(day(8), &zone, &Thresholds::default()));
    }

    proptest! {
        /// Whatever is begun only when it is allowed stays inside every limit, over midnights and clock changes.
        #[test]
        fn calls_begun_when_allowed_never_pass_a_limit(
            start in 1_772_000_000_000i64..1_800_000_000_000,
            waits in proptest::collection::vec(0u64..5_400, 1..150),
            per_day in 1u32..20,
            per_hour in 1u32..8,
            new in any::<bool>(),
        ) {
            let zone = new_york();
            let limits = Limits { per_day, per_hour, rest_minutes: 1, warm_up: [2, 4, 6] };
            let mut now = Timestamp::from_millis(start);
            let mut usage = if new { Usage::new(now, &zone) } else { Usage::default() };
            let first = now.in_zone(&zone).date();
            let mut begun: Vec<Timestamp> = Vec::new();
            for wait in waits {
                now = now + Duration::from_secs(wait);
                let at = usage.allowed_at(now, &zone, &limits);
                prop_assert!(at >= now);
                prop_assert_eq!(usage.allowed_at(at, &zone, &limits), at, "allowed when it says so");
                now = at;
                usage.begin(now, &zone, &limits);
                begun.push(now);
                usage.end(now, &zone, &limits, &over(Outcome::NoAnswer, None));
            }
            for call in &begun {
                let hour = begun.iter().filter(|other| *other <= call && call.since(**other) < HOUR).count();
                prop_assert!(hour <= per_hour as usize);
                let date = call.in_zone(&zone).date();
                let day = begun.iter().filter(|other| other.in_zone(&zone).date() == date).count();
                let limit = if new { limits.on_day(days_between(first, date)) } else { per_day };
                prop_assert!(day <= limit as usize);
            }
            for pair in begun.windows(2) {
                prop_assert!(pair[1].since(pair[0]) >= limits.rest());
            }
        }

        /// A worse number is never healthier.
        #[test]
        fn health_falls_with_every_bad_call(good in 0u32..60, bad in 0u32..60, usual in 1u32..1_000) {
            let zone = new_york();
            let now = moment("2026-03-02T15:00:00Z");
            let mut usage = Usage::default();
            for _ in 0..good {
                usage.end(now, &zone, &LIMITS, &over(Outcome::Answered, Some(HOUR)));
            }
            for _ in 0..bad {
                usage.end(now, &zone, &LIMITS, &over(Outcome::NoAnswer, None));
            }
            let before = usage.health(now, &zone, Some(usual), Label::None).score;
            usage.end(now, &zone, &LIMITS, &over(Outcome::ProviderFailed, None));
            let after = usage.health(now, &zone, Some(usual), Label::None).score;
            prop_assert!(after <= before || good + bad < FEWEST_CALLS);
        }
    }
}
