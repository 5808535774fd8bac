//! Calling hours: when the law allows a number to be called, and the record of why it did.
//!
//! 47 CFR 64.1200(c)(1) allows telephone solicitations from 8 a.m. to 9 p.m., local time at the called party's
//! location. Where that is, is known from an explicit zone, an address (ZIP code, state), or the number's area code:
//!
//! 1. A number outside the United States, of no place (toll-free, premium, personal), or of an area code that the
//!    tables do not know is not dialed, whatever else is known of the person: no rule here covers it.
//! 2. An explicit zone decides alone, when it is one of the United States: any other (`UTC` is what many exports say of
//!    everybody) is refused, not passed over.
//! 3. Else the zones of the address; where phone and address lie in different states, those of both. Else the phone's.
//!    A ZIP code that lies in no state, with no state beside it, is not dialed.
//! 4. Every zone that remains must be open: a state or an area code that spans zones is legal only in all of them.
//!
//! Not here: holidays, suppression lists, consent, how often.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::place::{Area, AreaKind, State, Zone};
use crate::time::Duration;
use crate::{PhoneNumber, Timestamp};

/// Hours of a day on the clock of the called person: from `opens` on, and no longer from `closes` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyHours {
    opens: Time,
    closes: Time,
}

/// The calling hours in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Names this version of the rules in the record of a call.
    pub version: String,
    /// What holds everywhere.
    pub federal: DailyHours,
    /// States with narrower hours.
    pub states: BTreeMap<State, DailyHours>,
}

/// What is known of where the called person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// IANA name of a zone, as given.
    pub zone: Option<String>,
    /// State of the address.
    pub state: Option<State>,
    /// ZIP code of the address, as given.
    pub zip: Option<String>,
    /// The number to call.
    pub phone: PhoneNumber,
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
    Open {
        /// The first moment that is no longer allowed in one of the zones.
        closes_at: Timestamp,
    },
    /// No.
    Closed {
        /// The earliest moment at which every zone is open.
        opens_at: Timestamp,
    },
    /// No: the zones are not open together at any moment of the year ahead.
    Never,
}

/// Why a call was lawful at the moment it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalBasis {
    /// Version of the rules.
    pub rules_version: String,
    /// The zones that were all open.
    pub zones: Vec<Zone>,
    /// What the zones were concluded from.
    pub zone_sources: Vec<ZoneSource>,
    /// End of the legal window.
    pub closes_at: Timestamp,
    /// The moment for which this was found.
    pub evaluated_at: Timestamp,
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

    /// These hours of a day in a zone. A clock time that a zone change skips or repeats is taken to the strict side.
    fn on(self, date: Date, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
        let opens = zone.time_zone().to_ambiguous_timestamp(date.to_datetime(self.opens)).later().ok()?;
        let closes = zone.time_zone().to_ambiguous_timestamp(date.to_datetime(self.closes)).earlier().ok()?;
        Some((opens.into(), closes.into()))
    }

    /// The window in progress at `now`, else the next one.
    fn window(self, zone: &Zone, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let today = now.in_zone(zone.time_zone()).date();
        // The day after tomorrow is for a day that ends before it begins on the strict side of a zone change.
        let mut date = today;
        for _ in 0..3 {
            match self.on(date, zone)? {
                (opens, closes) if now < closes && opens < closes => return Some((opens, closes)),
                _ => date = date.tomorrow().ok()?,
            }
        }
        None
    }
}

impl Rules {
    /// The federal hours alone: 08:00 to 21:00 everywhere, 47 CFR 64.1200(c)(1).
    pub fn federal() -> Self {
        Self {
            version: "us-federal-1".to_owned(),
            federal: DailyHours { opens: Time::constant(8, 0, 0, 0), closes: Time::constant(21, 0, 0, 0) },
            states: BTreeMap::new(),
        }
    }

    /// The hours in a state: the federal ones, narrowed by its own; none when nothing is left.
    pub fn window_of(&self, state: &State) -> Option<DailyHours> {
        match self.states.get(state) {
            Some(own) => self.federal.and(*own),
            None => Some(self.federal),
        }
    }
}

impl LegalBasis {
    /// The record for a call at `now` inside the window that ends at `closes_at`.
    pub fn new(rules: &Rules, zones: &Zones, closes_at: Timestamp, now: Timestamp) -> Self {
        Self {
            rules_version: rules.version.clone(),
            zones: zones.zones.clone(),
            zone_sources: zones.sources.clone(),
            closes_at,
            evaluated_at: now,
        }
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
        AreaKind::Placeless => return Err(NotDialable::NotGeographic),
    }
    let zip = whereabouts.zip.as_deref().map(str::trim).filter(|zip| !zip.is_empty());
    let of_zip = zip.and_then(State::of_zip);
    let address = [(ZoneSource::Zip, &of_zip), (ZoneSource::State, &whereabouts.state)];

    let mut found = Zones { zones: Vec::new(), sources: Vec::new(), states: Vec::new() };
    for (source, state) in address {
        if let Some(state) = state {
            found.add(source, state.zones(), Some(state));
        }
    }
    // An address that leads nowhere (military post abroad, a damaged ZIP code) is not replaced by a guess.
    let lost = zip.is_some() && found.states.is_empty();
    if area.state.as_ref().is_none_or(|state| !found.states.contains(state)) {
        found.add(ZoneSource::Phone, &area.zones, area.state.as_ref());
    }

    match whereabouts.zone.as_deref().map(str::trim).filter(|zone| !zone.is_empty()) {
        Some(name) => {
            let zone = Zone::of_united_states(name).ok_or(NotDialable::InvalidZone)?;
            Ok(Zones { zones: vec![zone], sources: vec![ZoneSource::Explicit], states: found.states })
        }
        None if lost || found.zones.is_empty() => Err(NotDialable::UnknownZone),
        None => Ok(found),
    }
}

impl Zones {
    fn add(&mut self, source: ZoneSource, zones: &[Zone], state: Option<&State>) {
        self.sources.push(source);
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

/// Whether every one of the zones is open at `now`, and until or from when. Exact to the millisecond.
pub fn window(rules: &Rules, zones: &Zones, now: Timestamp) -> Window {
    // Long enough for zones that are open together only while one of them is on daylight-saving time.
    const AHEAD: Duration = Duration::from_hours(400 * 24);

    let mut hours = rules.federal;
    for state in &zones.states {
        match rules.window_of(state).and_then(|of_state| hours.and(of_state)) {
            Some(both) => hours = both,
            None => return Window::Never,
        }
    }

    // No zone that is closed opens before its own next opening, so the latest of these is never past the answer.
    let mut at = now;
    loop {
        let mut opens_at = at;
        let mut closes_at = None;
        for zone in &zones.zones {
            let Some((opens, closes)) = hours.window(zone, at) else {
                return Window::Never;
            };
            opens_at = opens_at.max(opens);
            closes_at = Some(closes_at.map_or(closes, |earliest: Timestamp| earliest.min(closes)));
        }
        let Some(closes_at) = closes_at else {
            return Window::Never;
        };
        if opens_at == at {
            return if at == now { Window::Open { closes_at } } else { Window::Closed { opens_at } };
        }
        if opens_at > now + AHEAD {
            return Window::Never;
        }
        at = opens_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn whereabouts(phone: &str, state: Option<&str>, zip: Option<&str>, zone: Option<&str>) -> Whereabouts {
        Whereabouts {
            zone: zone.map(str::to_owned),
            state: state.map(|state| state.parse().unwrap()),
            zip: zip.map(str::to_owned),
            phone: phone.parse().unwrap(),
        }
    }

    fn zones(names: &[&str]) -> Zones {
        let zones = names.iter().map(|name| name.parse().unwrap()).collect();
        Zones { zones, sources: vec![ZoneSource::Explicit], states: Vec::new() }
    }

    fn names(zones: &Zones) -> Vec<&str> {
        zones.zones.iter().map(Zone::as_str).collect()
    }

    fn open_until(text: &str) -> Window {
        Window::Open { closes_at: at(text) }
    }

    fn closed_until(text: &str) -> Window {
        Window::Closed { opens_at: at(text) }
    }

    #[test]
    fn the_window_is_exact_at_its_edges() {
        let (rules, new_york) = (Rules::federal(), zones(&["America/New_York"]));
        let cases = [
            ("2026-03-02T12:59:59.999Z", closed_until("2026-03-02T13:00:00Z")),
            ("2026-03-02T13:00:00.000Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T01:59:59.999Z", open_until("2026-03-03T02:00:00Z")),
            ("2026-03-03T02:00:00.000Z", closed_until("2026-03-03T13:00:00Z")),
            ("2026-03-03T04:59:59.999Z", closed_until("2026-03-03T13:00:00Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(window(&rules, &new_york, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn the_clocks_change_and_the_local_hours_stay() {
        let (rules, new_york) = (Rules::federal(), zones(&["America/New_York"]));
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
            assert_eq!(window(&rules, &new_york, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn several_zones_are_open_only_together() {
        let (rules, both) = (Rules::federal(), zones(&["America/New_York", "Pacific/Honolulu"]));
        // Honolulu opens at 18:00 UTC, New York closes at 02:00 UTC in winter and 01:00 UTC in summer.
        let cases = [
            ("2026-01-15T13:00:00Z", closed_until("2026-01-15T18:00:00Z")),
            ("2026-01-15T18:00:00Z", open_until("2026-01-16T02:00:00Z")),
            ("2026-01-16T02:00:00Z", closed_until("2026-01-16T18:00:00Z")),
            ("2026-07-15T18:00:00Z", open_until("2026-07-16T01:00:00Z")),
        ];
        for (now, expected) in cases {
            assert_eq!(window(&rules, &both, at(now)), expected, "{now}");
        }
        // Guam opens at 22:00 UTC: New York's evening is Guam's next morning.
        let far = zones(&["Pacific/Guam", "America/New_York"]);
        assert_eq!(window(&rules, &far, at("2026-01-15T02:00:00Z")), closed_until("2026-01-15T22:00:00Z"));
        assert_eq!(window(&rules, &far, at("2026-01-15T22:00:00Z")), open_until("2026-01-16T02:00:00Z"));
    }

    #[test]
    fn zones_that_are_never_open_together_are_never_called() {
        let narrow = DailyHours::new(Time::constant(9, 0, 0, 0), Time::constant(17, 0, 0, 0)).unwrap();
        let rules = Rules { federal: narrow, ..Rules::federal() };
        let far = zones(&["Pacific/Guam", "America/New_York"]);
        assert_eq!(window(&rules, &far, at("2026-01-15T12:00:00Z")), Window::Never);
        let none = Zones { zones: Vec::new(), ..far };
        assert_eq!(
            window(&rules, &none, at("2026-01-15T12:00:00Z")),
            Window::Never,
            "no zone is not every zone"
        );
    }

    #[test]
    fn zones_that_meet_only_in_one_season_wait_for_it() {
        // From 08:00 to 14:00 New York is open until 19:00 UTC in winter and 18:00 UTC in summer, Honolulu from 18:00 UTC.
        let hours = DailyHours::new(Time::constant(8, 0, 0, 0), Time::constant(14, 0, 0, 0)).unwrap();
        let rules = Rules { federal: hours, ..Rules::federal() };
        let both = zones(&["America/New_York", "Pacific/Honolulu"]);
        assert_eq!(window(&rules, &both, at("2026-07-01T12:00:00Z")), closed_until("2026-11-01T18:00:00Z"));
    }

    #[test]
    fn a_state_may_narrow_the_hours_and_never_widen_them() {
        let hours =
            |opens, closes| DailyHours::new(Time::constant(opens, 0, 0, 0), Time::constant(closes, 0, 0, 0));
        let texas: State = "TX".parse().unwrap();
        let mut rules = Rules::federal();
        rules.states.insert(texas.clone(), hours(9, 23).unwrap());
        assert_eq!(rules.window_of(&texas), hours(9, 21));
        assert_eq!(rules.window_of(&"CA".parse().unwrap()), hours(8, 21));
        let dallas =
            candidate_zones(&whereabouts("+12145550100", None, None, Some("America/Chicago"))).unwrap();
        assert_eq!(window(&rules, &dallas, at("2026-01-15T14:30:00Z")), closed_until("2026-01-15T15:00:00Z"));
    }

    #[test]
    fn the_zone_comes_from_what_is_known_best() {
        use ZoneSource::{Explicit, Phone, State, Zip};
        let cases: [(_, _, _, _, &[&str], &[ZoneSource]); 9] = [
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
            ("+12125550100", Some("CA"), None, Some("America/Denver"), &["America/Denver"], &[Explicit]),
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
            ("+12125550100", None, Some("Eastern"), NotDialable::InvalidZone),
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
    fn the_record_of_why_a_call_was_lawful_reads_back() {
        let now = at("2026-03-02T15:00:00Z");
        let zones = candidate_zones(&whereabouts("+12125550100", Some("CA"), None, None)).unwrap();
        let basis = LegalBasis::new(&Rules::federal(), &zones, at("2026-03-03T02:00:00Z"), now);
        let json = serde_json::to_value(&basis).unwrap();
        let expected = serde_json::json!({
            "rules_version": "us-federal-1",
            "zones": ["America/Los_Angeles", "America/New_York"],
            "zone_sources": ["state", "phone"],
            "closes_at": "2026-03-03T02:00:00.000Z",
            "evaluated_at": "2026-03-02T15:00:00.000Z",
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<LegalBasis>(json).unwrap(), basis);
    }
}
