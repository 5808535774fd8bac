//! Calling hours: when the law allows a number to be called, and the record of why it did.
//!
//! The hours are in [`Rules`](crate::rules). They are those of the clock where the called person is, and that is known from an
//! explicit zone, an address (ZIP code, state), or the number's area code:
//!
//! 1. A number outside the United States, of no place (toll-free, premium, personal), or of an area code that the
//!    tables do not know is not dialed, whatever else is known of the person: no rule here covers it.
//! 2. The zones of the number, of every address, and every explicit zone count together. An explicit zone only narrows: it may
//!    be that of whoever wrote the file, so it removes no zone that the number or an address gives.
//! 3. An explicit zone is one of the United States: any other (`UTC` is what many exports say of everybody) is refused, not
//!    passed over. A ZIP code that lies in no state, with no state beside it, is not dialed.
//! 4. Every zone must be open: a state or an area code that spans zones is legal only in all of them. The rules of each
//!    address's state and of the number's all apply: an owner may live where the property is, or where the mail goes.
//!
//! The hours are the law's, exact to the millisecond. What is dialed rings a little later, and clocks differ: so dialing begins
//! [`AFTER_OPENING`] and ends [`BEFORE_CLOSE`] ([`dialing_window`]).
//!
//! Not here: suppression lists, consent, how often.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::call::START_WITHIN;
use crate::consent::Consent;
use crate::place::{Area, AreaKind, State, Zone};
use crate::rules::{DailyHours, Frequency, Rules};
use crate::time::Duration;
use crate::{PhoneNumber, Timestamp};

/// Nobody is dialed until the hours have been open for so long: clocks differ.
pub const AFTER_OPENING: Duration = Duration::from_secs(5);

/// The provider may start a call until so long before the hours close: it is a while from there to the first ring.
pub const BEFORE_CLOSE: Duration = Duration::from_mins(1);

/// What is known of where the called person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The zones that were given, by their names.
    pub zones: Vec<String>,
    /// The addresses that were given.
    pub addresses: Vec<Located>,
    /// The number to call.
    pub phone: PhoneNumber,
}

/// An address, as far as it tells of the law that applies there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// ZIP code, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// State.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// What a zone was concluded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneSource {
    /// A zone was given.
    Explicit,
    /// The ZIP code of the address.
    Zip,
    /// The state of the address.
    State,
    /// The area code of the number.
    Phone,
}

/// The zones that must all be open for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zones {
    /// The zones; at least one, each once.
    pub zones: Vec<Zone>,
    /// What they were concluded from; at least one.
    pub sources: Vec<ZoneSource>,
    /// The states whose law applies: of the address and of the number.
    pub states: Vec<State>,
}

/// Why the law cannot be known for a number, so that it is not dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotDialable {
    /// Area code or ZIP code are not in the tables.
    #[error("the called person's time zone is unknown")]
    UnknownZone,
    /// A number of another country, Canada and the Caribbean included.
    #[error("the number is not of the United States")]
    NotUnitedStates,
    /// A toll-free, premium or personal number.
    #[error("the number belongs to no place")]
    NotGeographic,
    /// The zone that was given is none of the United States.
    #[error("the given time zone is none of the United States")]
    InvalidZone,
}

/// Whether a call may be placed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Window {
    /// Yes, before `closes_at`.
    Open(OpenWindow),
    /// No.
    Closed {
        /// The earliest moment at which every zone is open.
        opens_at: Timestamp,
    },
    /// No: the zones are not open together at any moment of the year ahead.
    Never,
}

/// Hours in which calling is allowed in every zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    /// The first of these moments.
    pub opened_at: Timestamp,
    /// The first moment that is no longer allowed in one of the zones.
    pub closes_at: Timestamp,
}

impl OpenWindow {
    /// From then on people are dialed.
    pub fn dial_from(self) -> Timestamp {
        self.opened_at + AFTER_OPENING
    }

    /// The first moment at which nobody is dialed any more.
    pub fn dial_until(self) -> Timestamp {
        self.closes_at - BEFORE_CLOSE
    }
}

/// These hours of a day in a zone. A clock time that a zone change skips or repeats is taken to the strict side.
fn hours_of_day(hours: DailyHours, date: Date, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
    let opens = zone.time_zone().to_ambiguous_timestamp(date.to_datetime(hours.opens)).later().ok()?;
    let closes = zone.time_zone().to_ambiguous_timestamp(date.to_datetime(hours.closes)).earlier().ok()?;
    (opens < closes).then(|| (opens.into(), closes.into()))
}

/// The window of a zone that is in progress at `now`, else its next one.
fn window_of_zone(
    rules: &Rules,
    states: &[State],
    zone: &Zone,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    // More days in a row than any law closes.
    const DAYS_AHEAD: usize = 15;

    let today = now.in_zone(zone.time_zone()).date();
    let mut days = today.series(jiff::Span::new().days(1)).take(DAYS_AHEAD);
    days.find_map(|date| {
        let hours = rules.hours_on(states, date)?;
        hours_of_day(hours, date, zone).filter(|(_, closes)| now < *closes)
    })
}

/// Why a call was lawful at the moment it was claimed: what was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalBasis {
    /// Version of the rules.
    pub rules_version: String,
    /// The sources of the rules that applied.
    pub citations: Vec<String>,
    /// The zones that were all open.
    pub zones: Vec<Zone>,
    /// What the zones were concluded from.
    pub zone_sources: Vec<ZoneSource>,
    /// The states whose rules applied.
    pub states: Vec<State>,
    /// Start of the legal window.
    pub opened_at: Timestamp,
    /// End of the legal window.
    pub closes_at: Timestamp,
    /// Start and end of the part of the window in which calls are dialed. A call of before there were margins has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial_from: Option<Timestamp>,
    /// See `dial_from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial_until: Option<Timestamp>,
    /// The suppression lists that the number was on none of.
    pub lists: Vec<String>,
    /// What the called person had agreed to, where the campaign asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// Calls to the number before this one, of every campaign of the company.
    pub calls_before: CallsBefore,
    /// The moment for which all this was found.
    pub evaluated_at: Timestamp,
}

/// How often a number was called lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsBefore {
    /// In the last 24 hours.
    pub in_24_h: usize,
    /// In the last 7 days.
    pub in_7_days: usize,
    /// In the last 30 days.
    pub in_30_days: usize,
}

impl LegalBasis {
    /// The record of the hours, for a call at `now` inside `window`; lists, consent and earlier calls are added by who looks
    /// at them.
    pub fn of_hours(rules: &Rules, zones: &Zones, window: OpenWindow, now: Timestamp) -> Self {
        let mut citations: Vec<String> = Vec::new();
        for zone in &zones.zones {
            let date = now.in_zone(zone.time_zone()).date();
            for row in rules.in_force(&zones.states, date).unwrap_or_default() {
                if !citations.contains(&row.citation) {
                    citations.push(row.citation.clone());
                }
            }
        }
        Self {
            rules_version: rules.version.clone(),
            citations,
            zones: zones.zones.clone(),
            zone_sources: zones.sources.clone(),
            states: zones.states.clone(),
            opened_at: window.opened_at,
            closes_at: window.closes_at,
            dial_from: Some(window.dial_from()),
            dial_until: Some(window.dial_until()),
            lists: Vec::new(),
            consent: None,
            calls_before: CallsBefore::default(),
            evaluated_at: now,
        }
    }
}

impl LegalBasis {
    /// The last moment at which the provider may start a call that is claimed at `now`.
    pub fn start_by(&self, now: Timestamp) -> Timestamp {
        self.dial_until.unwrap_or(self.closes_at - BEFORE_CLOSE).min(now + START_WITHIN)
    }
}

impl CallsBefore {
    /// Counts the calls before `now`.
    pub fn count(calls: &[Timestamp], now: Timestamp) -> Self {
        let within =
            |days: u64| calls.iter().filter(|at| now.since(**at) < Duration::from_hours(days * 24)).count();
        Self { in_24_h: within(1), in_7_days: within(7), in_30_days: within(30) }
    }
}

/// The zones whose hours decide about a call, by the rules at the top of this module.
///
/// # Errors
/// When the law cannot be known: the number is not dialed.
pub fn candidate_zones(whereabouts: &Whereabouts) -> Result<Zones, NotDialable> {
    let Some(area) = Area::of_phone(&whereabouts.phone) else {
        // An unknown area code may be another country's: a zone alone does not make United States law apply.
        let north_american = whereabouts.phone.area_code().is_some();
        return Err(if north_american { NotDialable::UnknownZone } else { NotDialable::NotUnitedStates });
    };
    match area.kind {
        AreaKind::UnitedStates => {}
        AreaKind::Abroad => return Err(NotDialable::NotUnitedStates),
        AreaKind::TollFree | AreaKind::Placeless => return Err(NotDialable::NotGeographic),
    }
    let mut found = Zones { zones: Vec::new(), sources: Vec::new(), states: Vec::new() };
    for name in whereabouts.zones.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let zones = Zone::named_in_united_states(name);
        if zones.is_empty() {
            return Err(NotDialable::InvalidZone);
        }
        found.add(ZoneSource::Explicit, &zones, None);
    }
    for address in &whereabouts.addresses {
        let zip = address.zip.as_deref().map(str::trim).filter(|zip| !zip.is_empty());
        let of_zip = zip.and_then(State::of_zip);
        // An address that leads nowhere (military post abroad, a damaged ZIP code) is not replaced by a guess.
        if zip.is_some() && of_zip.is_none() && address.state.is_none() {
            return Err(NotDialable::UnknownZone);
        }
        for (source, state) in [(ZoneSource::Zip, &of_zip), (ZoneSource::State, &address.state)] {
            if let Some(state) = state {
                found.add(source, state.zones(), Some(state));
            }
        }
    }
    let is_new = |zone: &Zone| !found.zones.contains(zone);
    if area.zones.iter().any(is_new) || area.state.as_ref().is_none_or(|state| !found.states.contains(state))
    {
        found.add(ZoneSource::Phone, &area.zones, area.state.as_ref());
    }
    if found.zones.is_empty() { Err(NotDialable::UnknownZone) } else { Ok(found) }
}

impl Zones {
    fn add(&mut self, source: ZoneSource, zones: &[Zone], state: Option<&State>) {
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        for zone in zones {
            if !self.zones.contains(zone) {
                self.zones.push(zone.clone());
            }
        }
        if let Some(state) = state.filter(|state| !self.states.contains(state)) {
            self.states.push(state.clone());
        }
    }
}

/// How often a number may be called where these zones and states are.
pub fn frequency(rules: &Rules, zones: &Zones, now: Timestamp) -> Frequency {
    // Where it is already tomorrow in one zone, a law that begins tomorrow counts.
    let dates = zones.zones.iter().map(|zone| now.in_zone(zone.time_zone()).date());
    let mut frequencies = dates.map(|date| rules.frequency_in(&zones.states, date));
    let first = frequencies.next().unwrap_or(rules.frequency);
    frequencies.fold(first, |least, other| if other.per_24_h < least.per_24_h { other } else { least })
}

/// Whether every one of the zones is open at `now`, and until or from when. Exact to the millisecond.
pub fn window(rules: &Rules, zones: &Zones, now: Timestamp) -> Window {
    // Long enough for zones that are open together only while one of them is on daylight-saving time.
    const AHEAD: Duration = Duration::from_hours(400 * 24);

    // No zone that is closed opens before its own next opening, so the latest of these is never past the answer.
    let mut at = now;
    loop {
        let mut both: Option<(Timestamp, Timestamp)> = None;
        for zone in &zones.zones {
            let Some((opens, closes)) = window_of_zone(rules, &zones.states, zone, at) else {
                return Window::Never;
            };
            both = Some(
                both.map_or((opens, closes), |(latest, earliest)| (latest.max(opens), earliest.min(closes))),
            );
        }
        let Some((opened_at, closes_at)) = both else {
            return Window::Never;
        };
        if opened_at <= at {
            return if at == now {
                Window::Open(OpenWindow { opened_at, closes_at })
            } else {
                Window::Closed { opens_at: at }
            };
        }
        if opened_at > now + AHEAD {
            return Window::Never;
        }
        at = opened_at;
    }
}

/// Whether somebody may be dialed in these zones at `now`, and until or from when: the legal window less its margins.
pub fn dialing_window(rules: &Rules, zones: &Zones, now: Timestamp) -> Window {
    // No law has more windows without a moment to dial in one after the other.
    const WINDOWS: usize = 400;

    let mut at = now;
    for _window in 0..WINDOWS {
        match window(rules, zones, at) {
            Window::Open(open) if at >= open.dial_until() => at = open.closes_at,
            Window::Open(open) if at < open.dial_from() => at = open.dial_from(),
            Window::Open(open) if at == now => return Window::Open(open),
            Window::Open(_) => return Window::Closed { opens_at: at },
            Window::Closed { opens_at } => at = opens_at,
            Window::Never => return Window::Never,
        }
    }
    Window::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn whereabouts(phone: &str, state: Option<&str>, zip: Option<&str>, zone: Option<&str>) -> Whereabouts {
        Whereabouts {
            zones: zone.map(str::to_owned).into_iter().collect(),
            addresses: vec![located(state, zip)],
            phone: phone.parse().unwrap(),
        }
    }

    fn located(state: Option<&str>, zip: Option<&str>) -> Located {
        Located { state: state.map(|state| state.parse().unwrap()), zip: zip.map(str::to_owned) }
    }

    fn zones(names: &[&str]) -> Zones {
        let zones = names.iter().map(|name| name.parse().unwrap()).collect();
        Zones { zones, sources: vec![ZoneSource::Explicit], states: Vec::new() }
    }

    fn names(zones: &Zones) -> Vec<&str> {
        zones.zones.iter().map(Zone::as_str).collect()
    }

    /// Rules that hold everywhere, and nothing narrower anywhere.
    fn hours(of_day: &str) -> Rules {
        Rules::parse(&format!(
            r#"
            version = "test"
            frequency = {{ per_24_h = 3, per_7_days = 7, per_30_days = 15, minutes_apart = 10 }}
            [federal]
            monday_to_friday = "{of_day}"
            saturday = "{of_day}"
            sunday = "{of_day}"
            citation = "the test"
            reviewed_on = "2026-01-01"
            effective_from = "2000-01-01"
            "#
        ))
        .unwrap()
    }

    /// What matters of a window: until when it is open, or from when.
    fn until(window: Window) -> Result<Timestamp, Option<Timestamp>> {
        match window {
            Window::Open(open) => Ok(open.closes_at),
            Window::Closed { opens_at } => Err(Some(opens_at)),
            Window::Never => Err(None),
        }
    }

    fn open_until(text: &str) -> Result<Timestamp, Option<Timestamp>> {
        Ok(at(text))
    }

    fn closed_until(text: &str) -> Result<Timestamp, Option<Timestamp>> {
        Err(Some(at(text)))
    }

    #[test]
    fn the_window_is_exact_at_its_edges() {
        let (rules, new_york) = (hours("08:00-21:00"), zones(&["America/New_York"]));
        let cases = [
            ("2026-03-02T12:59:59.999Z", closed_until("2026-03-02T13:00:00Z")),
            ("2026-03-02T13:00:00.000Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T01:59:59.999Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T02:00:00.000Z", closed_until("2026-03-03T13:00:00Z")),
            ("2026-03-03T04:59:59.999Z", closed_until("2026-03-03T13:00:00Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(until(window(&rules, &new_york, at(now))), expected, "{now}");
        }
    }

    #[test]
    fn dialing_begins_five_seconds_after_the_opening_and_ends_a_minute_before_the_close() {
        let (rules, new_york) = (hours("08:00-21:00"), zones(&["America/New_York"]));
        let cases = [
            ("2026-03-02T12:59:59.999Z", closed_until("2026-03-02T13:00:05Z")),
            ("2026-03-02T13:00:00Z", closed_until("2026-03-02T13:00:05Z")),
            ("2026-03-02T13:00:04.999Z", closed_until("2026-03-02T13:00:05Z")),
            ("2026-03-02T13:00:05Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T01:58:59.999Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T01:59:00Z", closed_until("2026-03-03T13:00:05Z")),
            ("2026-03-03T01:59:59.999Z", closed_until("2026-03-03T13:00:05Z")),
            // The night in which the clocks change.
            ("2026-03-08T01:59:30Z", closed_until("2026-03-08T12:00:05Z")),
            ("2026-11-01T00:59:30Z", closed_until("2026-11-01T13:00:05Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(until(dialing_window(&rules, &new_york, at(now))), expected, "{now}");
        }
        let both = zones(&["America/New_York", "Pacific/Honolulu"]);
        assert_eq!(
            until(dialing_window(&rules, &both, at("2026-01-15T18:00:01Z"))),
            closed_until("2026-01-15T18:00:05Z")
        );
        // A window of a minute is shorter than its margins.
        let short = hours("08:00-08:01");
        assert_eq!(until(dialing_window(&short, &new_york, at("2026-03-02T13:00:30Z"))), Err(None));
    }

    #[test]
    fn a_call_is_started_within_four_minutes_and_a_minute_before_the_close() {
        let zones = candidate_zones(&whereabouts("+12125550100", None, None, None)).unwrap();
        let open =
            OpenWindow { opened_at: at("2026-03-02T13:00:00Z"), closes_at: at("2026-03-03T02:00:00Z") };
        let cases = [
            ("2026-03-02T18:00:00Z", "2026-03-02T18:04:00Z"),
            ("2026-03-03T01:55:00Z", "2026-03-03T01:59:00Z"),
            ("2026-03-03T01:58:59Z", "2026-03-03T01:59:00Z"),
        ];
        for (now, expected) in cases {
            let basis = LegalBasis::of_hours(Rules::united_states(), &zones, open, at(now));
            assert_eq!(basis.start_by(at(now)), at(expected), "{now}");
            assert_eq!(basis.closes_at, at("2026-03-03T02:00:00Z"), "the law's own hours are on record");
        }
    }

    #[test]
    fn the_clocks_change_and_the_local_hours_stay() {
        let (rules, new_york) = (hours("08:00-21:00"), zones(&["America/New_York"]));
        let cases = [
            // 2026-03-08: 02:00 EST becomes 03:00 EDT.
            ("2026-03-08T01:59:59.999Z", open_until("2026-03-08T02:00:00Z")),
            ("2026-03-08T02:00:00Z", closed_until("2026-03-08T12:00:00Z")),
            ("2026-03-08T11:59:59.999Z", closed_until("2026-03-08T12:00:00Z")),
            ("2026-03-08T12:00:00Z", open_until("2026-03-09T01:00:00Z")),
            // 2026-11-01: 02:00 EDT becomes 01:00 EST.
            ("2026-11-01T01:00:00Z", closed_until("2026-11-01T13:00:00Z")),
            ("2026-11-01T12:59:59.999Z", closed_until("2026-11-01T13:00:00Z")),
            ("2026-11-01T13:00:00Z", open_until("2026-11-02T02:00:00Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(until(window(&rules, &new_york, at(now))), expected, "{now}");
        }
    }

    #[test]
    fn several_zones_are_open_only_together() {
        let (rules, both) = (hours("08:00-21:00"), zones(&["America/New_York", "Pacific/Honolulu"]));
        // Honolulu opens at 18:00 UTC, New York closes at 02:00 UTC in winter and 01:00 UTC in summer.
        let cases = [
            ("2026-01-15T13:00:00Z", closed_until("2026-01-15T18:00:00Z")),
            ("2026-01-15T18:00:00Z", open_until("2026-01-16T02:00:00Z")),
            ("2026-01-16T02:00:00Z", closed_until("2026-01-16T18:00:00Z")),
            ("2026-07-15T18:00:00Z", open_until("2026-07-16T01:00:00Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(until(window(&rules, &both, at(now))), expected, "{now}");
        }
        // Guam opens at 22:00 UTC: New York's evening is Guam's next morning.
        let far = zones(&["Pacific/Guam", "America/New_York"]);
        assert_eq!(
            until(window(&rules, &far, at("2026-01-15T02:00:00Z"))),
            closed_until("2026-01-15T22:00:00Z")
        );
        assert_eq!(
            until(window(&rules, &far, at("2026-01-15T22:00:00Z"))),
            open_until("2026-01-16T02:00:00Z")
        );
    }

    #[test]
    fn zones_that_are_never_open_together_are_never_called() {
        let rules = hours("09:00-17:00");
        let far = zones(&["Pacific/Guam", "America/New_York"]);
        assert_eq!(until(window(&rules, &far, at("2026-01-15T12:00:00Z"))), Err(None));
        let none = Zones { zones: Vec::new(), ..far };
        assert_eq!(
            until(window(&rules, &none, at("2026-01-15T12:00:00Z"))),
            Err(None),
            "no zone is not every zone"
        );
    }

    #[test]
    fn zones_that_meet_only_in_one_season_wait_for_it() {
        // From 08:00 to 14:00 New York is open until 19:00 UTC in winter and 18:00 UTC in summer, Honolulu from 18:00 UTC.
        let rules = hours("08:00-14:00");
        let both = zones(&["America/New_York", "Pacific/Honolulu"]);
        assert_eq!(
            until(window(&rules, &both, at("2026-07-01T12:00:00Z"))),
            closed_until("2026-11-01T18:00:00Z")
        );
    }

    #[test]
    fn the_zone_comes_from_what_is_known_best() {
        use ZoneSource::{Explicit, Phone, State, Zip};
        let cases: [(_, _, _, _, &[&str], &[ZoneSource]); 13] = [
            ("+12125550100", None, None, None, &["America/New_York"], &[Phone]),
            ("+12705550100", None, None, None, &["America/Chicago", "America/New_York"], &[Phone]),
            ("+14155550100", Some("CA"), None, None, &["America/Los_Angeles"], &[State]),
            ("+14155550100", None, Some("94105"), None, &["America/Los_Angeles"], &[Zip]),
            (
                "+12125550100",
                Some("CA"),
                None,
                None,
                &["America/Los_Angeles", "America/New_York"],
                &[State, Phone],
            ),
            (
                "+12125550100",
                None,
                Some("94105"),
                None,
                &["America/Los_Angeles", "America/New_York"],
                &[Zip, Phone],
            ),
            (
                "+12125550100",
                Some("NY"),
                Some("94105"),
                None,
                &["America/Los_Angeles", "America/New_York"],
                &[Zip, State],
            ),
            (
                "+12125550100",
                Some("CA"),
                None,
                Some("America/Denver"),
                &["America/Denver", "America/Los_Angeles", "America/New_York"],
                &[Explicit, State, Phone],
            ),
            (
                "+12125550100",
                None,
                None,
                Some("America/Denver"),
                &["America/Denver", "America/New_York"],
                &[Explicit, Phone],
            ),
            (
                "+12145550100",
                Some("TX"),
                None,
                Some("US/Mountain"),
                &["America/Denver", "America/Chicago"],
                &[Explicit, State],
            ),
            (
                "+14155550100",
                None,
                None,
                Some("Eastern Time (US & Canada)"),
                &["America/New_York", "America/Los_Angeles"],
                &[Explicit, Phone],
            ),
            (
                "+14155550100",
                None,
                Some("94105"),
                Some("America/Los_Angeles"),
                &["America/Los_Angeles"],
                &[Explicit, Zip],
            ),
            (
                "+12145550100",
                Some("TX"),
                Some(" "),
                Some(""),
                &["America/Chicago", "America/Denver"],
                &[State],
            ),
        ];
        for (phone, state, zip, zone, expected, sources) in cases {
            let found = candidate_zones(&whereabouts(phone, state, zip, zone)).unwrap();
            assert_eq!(
                (names(&found).as_slice(), found.sources.as_slice()),
                (expected, sources),
                "{phone} {state:?} {zip:?}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_not_dialed() {
        let new_york = Some("America/New_York");
        let cases = [
            ("+493023125000", None, new_york, NotDialable::NotUnitedStates),
            ("+14165550100", None, new_york, NotDialable::NotUnitedStates),
            ("+12425550100", None, None, NotDialable::NotUnitedStates),
            ("+18005550100", None, new_york, NotDialable::NotGeographic),
            ("+19005550100", None, None, NotDialable::NotGeographic),
            ("+15005550100", None, None, NotDialable::NotGeographic),
            ("+12995550100", None, new_york, NotDialable::UnknownZone),
            ("+12125550100", Some("09012"), None, NotDialable::UnknownZone),
            ("+12125550100", Some("2134"), None, NotDialable::UnknownZone),
            ("+12125550100", None, Some("Eastern Europe"), NotDialable::InvalidZone),
            ("+12125550100", None, Some("UTC"), NotDialable::InvalidZone),
            ("+12125550100", Some("09012"), new_york, NotDialable::UnknownZone),
            ("+12125550100", None, Some("Etc/Unknown"), NotDialable::InvalidZone),
        ];
        for (phone, zip, zone, reason) in cases {
            assert_eq!(
                candidate_zones(&whereabouts(phone, None, zip, zone)),
                Err(reason),
                "{phone} {zip:?} {zone:?}"
            );
        }
    }

    #[test]
    fn every_address_and_every_zone_that_is_given_has_its_say() {
        let whereabouts = Whereabouts {
            zones: vec!["America/Denver".to_owned(), "HST".to_owned()],
            addresses: vec![
                located(Some("CA"), Some("95814")),
                located(None, Some("06103")),
                located(None, None),
            ],
            phone: "+19165550101".parse().unwrap(),
        };
        let found = candidate_zones(&whereabouts).unwrap();
        let expected = ["America/Denver", "Pacific/Honolulu", "America/Los_Angeles", "America/New_York"];
        assert_eq!(names(&found), expected);
        assert_eq!(found.states.iter().map(State::as_str).collect::<Vec<_>>(), ["CA", "CT"]);

        let lost = Whereabouts {
            addresses: vec![located(Some("CA"), None), located(None, Some("00000"))],
            ..whereabouts
        };
        assert_eq!(
            candidate_zones(&lost),
            Err(NotDialable::UnknownZone),
            "one address is not made up for by another"
        );
    }

    #[test]
    fn the_record_of_why_a_call_was_lawful_reads_back() {
        let now = at("2026-03-02T18:00:00Z");
        let zones = candidate_zones(&whereabouts("+12125550100", Some("CA"), None, None)).unwrap();
        let open =
            OpenWindow { opened_at: at("2026-03-02T17:00:00Z"), closes_at: at("2026-03-03T02:00:00Z") };
        let basis = LegalBasis::of_hours(Rules::united_states(), &zones, open, now);
        let json = serde_json::to_value(&basis).unwrap();
        let expected = serde_json::json!({
            "rules_version": Rules::united_states().version,
            "citations": [
                "47 CFR 64.1200(c)(1)",
                "Cal. Pub. Util. Code 2872(c)",
                "N.Y. Gen. Bus. Law 399-z(2)",
            ],
            "zones": ["America/Los_Angeles", "America/New_York"],
            "zone_sources": ["state", "phone"],
            "states": ["CA", "NY"],
            "opened_at": "2026-03-02T17:00:00.000Z",
            "closes_at": "2026-03-03T02:00:00.000Z",
            "dial_from": "2026-03-02T17:00:05.000Z",
            "dial_until": "2026-03-03T01:59:00.000Z",
            "lists": [],
            "calls_before": { "in_24_h": 0, "in_7_days": 0, "in_30_days": 0 },
            "evaluated_at": "2026-03-02T18:00:00.000Z",
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<LegalBasis>(json).unwrap(), basis);
    }
}
