//! Where a number is called: state, area code, and the zones that follow from them.
//!
//! The tables under `data/` are facts with their sources in `data/README.md`. A row that cannot be read is as if it
//! were absent (a test shows that there is none), and what is absent is unknown: it is not local and not dialed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::PhoneNumber;

/// The text does not name a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlace(&'static str);

/// A state of the United States, the District of Columbia or a territory, by its two letters (`CA`, `DC`, `PR`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(&'static str);

/// The three digits after +1 of a number of the North American Numbering Plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AreaCode(String);

/// A time zone by its IANA name, known to the bundled database. Equal when the names are.
#[derive(Clone)]
pub struct Zone(TimeZone);

/// Where a lead is, as far as it decides which number is local to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The area code of the lead's phone; none for numbers that belong to no place.
    pub area: Option<AreaCode>,
    /// The state.
    pub state: Option<State>,
}

/// What the numbers of an area code are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AreaKind {
    /// Lines and mobiles of the United States and its territories.
    UnitedStates,
    /// Lines and mobiles of Canada and the Caribbean.
    Abroad,
    /// Toll-free numbers: of no place.
    TollFree,
    /// Premium, personal and other numbers: of no place.
    Placeless,
}

/// What is known of an area code.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) kind: AreaKind,
    /// The state, of an area code of the United States.
    pub(crate) state: Option<State>,
    /// The zones of all numbers of the area code. Empty unless it is of the United States.
    pub(crate) zones: Vec<Zone>,
}

/// Names of zones of the United States that the IANA database keeps for older programs, and those with the same hours
/// that the tables do not list.
const OLDER_NAMES: &[(&str, &str)] = &[
    ("US/Eastern", "America/New_York"),
    ("US/Central", "America/Chicago"),
    ("US/Mountain", "America/Denver"),
    ("US/Pacific", "America/Los_Angeles"),
    ("US/Arizona", "America/Phoenix"),
    ("US/Alaska", "America/Anchorage"),
    ("US/Hawaii", "Pacific/Honolulu"),
    ("EST5EDT", "America/New_York"),
    ("CST6CDT", "America/Chicago"),
    ("MST7MDT", "America/Denver"),
    ("PST8PDT", "America/Los_Angeles"),
    ("America/Detroit", "America/New_York"),
    ("America/Indiana/Indianapolis", "America/New_York"),
    ("America/Indianapolis", "America/New_York"),
    ("America/Kentucky/Louisville", "America/New_York"),
    ("America/Louisville", "America/New_York"),
    ("America/Boise", "America/Denver"),
    ("US/Aleutian", "America/Adak"),
    ("US/East-Indiana", "America/New_York"),
    ("US/Indiana-Starke", "America/Chicago"),
    ("US/Michigan", "America/New_York"),
    ("US/Samoa", "Pacific/Pago_Pago"),
    ("Navajo", "America/Denver"),
    ("America/Atka", "America/Adak"),
    ("America/Fort_Wayne", "America/New_York"),
    ("America/Indiana/Knox", "America/Chicago"),
    ("America/Indiana/Marengo", "America/New_York"),
    ("America/Indiana/Petersburg", "America/New_York"),
    ("America/Indiana/Tell_City", "America/Chicago"),
    ("America/Indiana/Vevay", "America/New_York"),
    ("America/Indiana/Vincennes", "America/New_York"),
    ("America/Indiana/Winamac", "America/New_York"),
    ("America/Juneau", "America/Anchorage"),
    ("America/Kentucky/Monticello", "America/New_York"),
    ("America/Knox_IN", "America/Chicago"),
    ("America/Menominee", "America/Chicago"),
    ("America/Metlakatla", "America/Anchorage"),
    ("America/Nome", "America/Anchorage"),
    ("America/North_Dakota/Beulah", "America/Chicago"),
    ("America/North_Dakota/Center", "America/Chicago"),
    ("America/North_Dakota/New_Salem", "America/Chicago"),
    ("America/Shiprock", "America/Denver"),
    ("America/Sitka", "America/Anchorage"),
    ("America/Virgin", "America/St_Thomas"),
    ("America/Yakutat", "America/Anchorage"),
    ("Pacific/Samoa", "Pacific/Pago_Pago"),
];

/// What people and other programs call the zones of the United States: abbreviations, the names of Windows, and those of
/// Rails, all without case. A name that may mean two zones stands for both.
const COMMON_NAMES: &[(&str, &[&str])] = &[
    ("est, edt, et, est/edt, eastern, us eastern, new york", &["America/New_York"]),
    ("eastern time, eastern standard time, eastern daylight time", &["America/New_York"]),
    ("us eastern standard time, us eastern daylight time, indiana (east), indiana", &["America/New_York"]),
    ("cst, cdt, ct, cst/cdt, central, us central, chicago", &["America/Chicago"]),
    ("central time, central standard time, central daylight time", &["America/Chicago"]),
    // Arizona keeps standard time in summer, and its people name it like their neighbours.
    ("mst, mt, mst/mdt, mountain, us mountain", &["America/Denver", "America/Phoenix"]),
    ("mountain time, mountain standard time", &["America/Denver", "America/Phoenix"]),
    ("mdt, mountain daylight time, denver", &["America/Denver"]),
    ("us mountain standard time, us mountain daylight time, arizona, phoenix", &["America/Phoenix"]),
    ("pst, pdt, pt, pst/pdt, pacific, us pacific, los angeles", &["America/Los_Angeles"]),
    ("pacific time, pacific standard time, pacific daylight time", &["America/Los_Angeles"]),
    ("akst, akdt, akt, akst/akdt, alaska, anchorage", &["America/Anchorage"]),
    ("alaska time, alaska standard time, alaska daylight time", &["America/Anchorage"]),
    ("alaskan standard time, alaskan daylight time", &["America/Anchorage"]),
    ("aleutian standard time, aleutian daylight time, hdt, aleutian islands", &["America/Adak"]),
    ("hst, ht, hawaii, honolulu, hawaii time, hawaii standard time", &["Pacific/Honolulu"]),
    ("hawaiian standard time, hawaii-aleutian standard time", &["Pacific/Honolulu"]),
    ("ast, atlantic, atlantic time, atlantic standard time", &["America/Puerto_Rico"]),
    ("sa western standard time, puerto rico", &["America/Puerto_Rico"]),
    ("chst, guam, chamorro standard time", &["Pacific/Guam"]),
    ("west pacific standard time", &["Pacific/Guam"]),
    ("sst, american samoa, samoa standard time", &["Pacific/Pago_Pago"]),
    ("utc-11", &["Pacific/Pago_Pago"]),
];

struct Territory {
    name: &'static str,
    zones: Vec<Zone>,
}

struct ZipRange {
    first: String,
    last: String,
    state: State,
}

const STATES_CSV: &str = include_str!("../data/states.csv");
const NANP_CSV: &str = include_str!("../data/nanp.csv");
const ZIP_CSV: &str = include_str!("../data/zip.csv");

static STATES: LazyLock<BTreeMap<&'static str, Territory>> =
    LazyLock::new(|| rows(STATES_CSV).filter_map(read_state).collect());
static AREAS: LazyLock<BTreeMap<&'static str, Area>> =
    LazyLock::new(|| rows(NANP_CSV).filter_map(read_area).collect());
static ZIPS: LazyLock<Vec<ZipRange>> = LazyLock::new(|| rows(ZIP_CSV).filter_map(read_zip).collect());

/// The rows of a table without comments and header.
fn rows(csv: &'static str) -> impl Iterator<Item = &'static str> {
    csv.lines().filter(|line| !line.starts_with('#')).skip(1)
}

fn read_state(row: &'static str) -> Option<(&'static str, Territory)> {
    let (state, rest) = row.split_once(',')?;
    let (name, zones) = rest.split_once(',')?;
    Some((state, Territory { name, zones: read_zones(zones)? }))
}

fn read_area(row: &'static str) -> Option<(&'static str, Area)> {
    let mut fields = row.splitn(5, ',');
    let (code, kind, country) = (fields.next()?, fields.next()?, fields.next()?);
    let (state, zones) = (fields.next()?, fields.next()?);
    code.parse::<AreaCode>().ok()?;
    let area = match (kind, country) {
        ("geographic", "US") => {
            Area { kind: AreaKind::UnitedStates, state: Some(state.parse().ok()?), zones: read_zones(zones)? }
        }
        ("geographic", _) => Area { kind: AreaKind::Abroad, state: None, zones: Vec::new() },
        ("toll_free", "") => Area { kind: AreaKind::TollFree, state: None, zones: Vec::new() },
        ("premium" | "other", "") => Area { kind: AreaKind::Placeless, state: None, zones: Vec::new() },
        _ => return None,
    };
    Some((code, area))
}

fn read_zip(row: &'static str) -> Option<ZipRange> {
    let (first, rest) = row.split_once(',')?;
    let (last, state) = rest.split_once(',')?;
    let state = state.parse().ok()?;
    Some(ZipRange { first: zip_digits(first)?.to_owned(), last: zip_digits(last)?.to_owned(), state })
}

/// All zones of a list; none when one of them is unknown, so that a zone cannot get lost.
fn read_zones(list: &str) -> Option<Vec<Zone>> {
    list.split(';').map(|name| name.parse().ok()).collect()
}

/// The five digits of a ZIP or ZIP+4 code.
fn zip_digits(text: &str) -> Option<&str> {
    let text = text.trim();
    let (zip, more) = text.split_at_checked(5)?;
    let more = more.strip_prefix('-').unwrap_or(more);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(zip) && digits(more) && (text.len() == 5 || more.len() == 4)).then_some(zip)
}

impl State {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        self.0
    }

    /// The state that a ZIP (`94105`) or ZIP+4 (`94105-1804`, `941051804`) code lies in. None for military post,
    /// the freely associated states, unassigned prefixes, and text that is no such code.
    pub fn of_zip(zip: &str) -> Option<Self> {
        let zip = zip_digits(zip)?;
        let after = ZIPS.partition_point(|range| range.first.as_str() <= zip);
        let range = ZIPS.get(after.checked_sub(1)?)?;
        (zip <= range.last.as_str()).then(|| range.state.clone())
    }

    /// Every zone of the state.
    pub fn zones(&self) -> &'static [Zone] {
        STATES.get(self.0).map_or(&[], |state| &state.zones)
    }
}

impl AreaCode {
    /// The three digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Area {
    /// What is known of the area code of a number; none outside North America and for area codes not in the table.
    pub(crate) fn of_phone(phone: &PhoneNumber) -> Option<&'static Self> {
        AREAS.get(phone.area_code()?)
    }
}

impl Zone {
    /// The IANA name.
    pub fn as_str(&self) -> &str {
        self.0.iana_name().unwrap_or_default()
    }

    /// The zone that this name has in the tables of the United States; older names of such zones are known, too.
    pub fn of_united_states(name: &str) -> Option<Self> {
        let name = name.trim();
        let older = OLDER_NAMES.iter().find(|(older, _)| older.eq_ignore_ascii_case(name));
        let name = older.map_or(name, |(_, zone)| zone);
        let mut zones = STATES.values().flat_map(|state| &state.zones);
        zones.find(|zone| zone.as_str().eq_ignore_ascii_case(name)).cloned()
    }

    /// The zones of the United States that a name stands for: one of the tables, an older one, or what people and other programs
    /// call it (`EST`, `(GMT-05:00) Eastern Time (US & Canada)`). Empty when it is none of them.
    pub fn named_in_united_states(name: &str) -> Vec<Self> {
        if let Some(zone) = Self::of_united_states(name) {
            return vec![zone];
        }
        let name = name.to_lowercase();
        // Windows and Rails put the offset before the name: `(UTC-05:00) Eastern Time (US & Canada)`.
        let name = match name.trim().strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((offset, rest)) if offset.starts_with("utc") || offset.starts_with("gmt") => rest,
            _ => &name,
        };
        let name = name.replace("(us & canada)", "").replace("(us and canada)", "").replace("(us)", "");
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let common = COMMON_NAMES.iter().find(|(names, _)| names.split(", ").any(|known| known == name));
        common
            .map_or(&[][..], |(_, zones)| zones)
            .iter()
            .filter_map(|zone| Self::of_united_states(zone))
            .collect()
    }

    /// A zone of a number's area code, the first of them where it spans several.
    pub fn of_phone(phone: &PhoneNumber) -> Option<Self> {
        Area::of_phone(phone)?.zones.first().cloned()
    }

    /// The zone, to compute with.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl Place {
    /// The place of a phone number. Empty outside North America, and for toll-free, premium and personal numbers.
    pub fn of_phone(phone: &PhoneNumber) -> Self {
        let area = Area::of_phone(phone);
        if area.is_some_and(|area| matches!(area.kind, AreaKind::Placeless | AreaKind::TollFree)) {
            return Self::default();
        }
        Self {
            area: phone.area_code().and_then(|code| code.parse().ok()),
            state: area.and_then(|area| area.state.clone()),
        }
    }

    /// The place of a lead: its state as given, else by its ZIP code, else by its phone. The area code is the phone's.
    pub fn resolve(state: Option<State>, zip: Option<&str>, phone: &PhoneNumber) -> Self {
        let of_phone = Self::of_phone(phone);
        Self { area: of_phone.area, state: state.or_else(|| zip.and_then(State::of_zip)).or(of_phone.state) }
    }
}

impl FromStr for State {
    type Err = InvalidPlace;

    /// Reads two letters, or the name, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let named = |(letters, state): &(&&str, &Territory)| {
            letters.eq_ignore_ascii_case(&text) || state.name.eq_ignore_ascii_case(&text)
        };
        let known = STATES.iter().find(named);
        known
            .map(|(letters, _)| Self(letters))
            .ok_or(InvalidPlace("not a state of the United States such as CA"))
    }
}

impl FromStr for AreaCode {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            [b'2'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(Self(text.to_owned())),
            _ => Err(InvalidPlace("an area code is three digits, the first of them 2 to 9")),
        }
    }
}

impl FromStr for Zone {
    type Err = InvalidPlace;

    /// Reads an IANA name in any case. The database's two names for "not set" are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidPlace("not a time zone of the IANA database such as America/New_York");
        let Ok(zone) = TimeZone::get(text.trim()) else {
            return Err(invalid);
        };
        if zone.is_unknown() || zone.iana_name().is_none_or(|name| name == "Factory") {
            return Err(invalid);
        }
        Ok(Self(zone))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! text_forms {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_forms!(State AreaCode Zone);

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(text: &str) -> PhoneNumber {
        text.parse().unwrap()
    }

    fn state(text: &str) -> State {
        text.parse().unwrap()
    }

    #[test]
    fn every_row_of_the_tables_is_read() {
        assert_eq!((rows(STATES_CSV).count(), STATES.len()), (56, 56), "50 states, DC and 5 territories");
        assert_eq!(rows(NANP_CSV).count(), AREAS.len());
        assert_eq!(rows(ZIP_CSV).count(), ZIPS.len());
        assert!(AREAS.len() > 450);
    }

    #[test]
    fn zip_ranges_ascend_and_do_not_overlap_and_reach_every_state() {
        assert!(ZIPS.iter().all(|range| range.first <= range.last));
        assert!(ZIPS.windows(2).all(|pair| pair[0].last < pair[1].first));
        for code in STATES.keys() {
            assert!(ZIPS.iter().any(|range| range.state.as_str() == *code), "{code}");
        }
    }

    #[test]
    fn an_area_code_keeps_the_hours_of_its_state() {
        // The two tables come from different sources: where they share no offset, one of them is wrong.
        let offset = |zone: &Zone, month| {
            let noon = jiff::civil::date(2026, month, 15).at(12, 0, 0, 0);
            zone.time_zone().to_ambiguous_zoned(noon).compatible().unwrap().offset()
        };
        for (code, area) in AREAS.iter() {
            let Some(state) = &area.state else { continue };
            let agree = state.zones().iter().any(|of_state| {
                area.zones
                    .iter()
                    .any(|of_area| [1, 7].iter().all(|m| offset(of_state, *m) == offset(of_area, *m)))
            });
            assert!(agree, "{code} in {state}: {:?} and {:?}", area.zones, state.zones());
        }
    }

    #[test]
    fn an_overlay_has_the_zones_of_the_code_it_relieves() {
        for (overlay, relieved) in [
            ("364", "270"),
            ("448", "850"),
            ("458", "541"),
            ("930", "812"),
            ("689", "407"),
            ("729", "423"),
            ("861", "309"),
        ] {
            assert_eq!(AREAS[overlay].zones, AREAS[relieved].zones, "{overlay}");
            assert_eq!(AREAS[overlay].state, AREAS[relieved].state, "{overlay}");
        }
        assert_eq!(AREAS["364"].zones.len(), 2, "western Kentucky is on central time");
        assert_eq!(AREAS["729"].zones.len(), 2, "Tennessee west of Chattanooga is on central time");
    }

    #[test]
    fn a_zone_is_known_by_the_names_that_people_and_programs_give_it() {
        let names = |name| {
            let zones = Zone::named_in_united_states(name);
            zones.iter().map(|zone| zone.as_str().to_owned()).collect::<Vec<_>>().join(" ")
        };
        for (name, expected) in [
            ("America/New_York", "America/New_York"),
            ("EST", "America/New_York"),
            ("Eastern", "America/New_York"),
            ("Eastern Time (US & Canada)", "America/New_York"),
            ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
            ("(UTC-06:00) Central Time (US & Canada)", "America/Chicago"),
            ("Central Standard Time", "America/Chicago"),
            ("Mountain Time (US & Canada)", "America/Denver America/Phoenix"),
            ("MST", "America/Denver America/Phoenix"),
            ("US Mountain Standard Time", "America/Phoenix"),
            ("(UTC-07:00) Arizona", "America/Phoenix"),
            ("pacific  time", "America/Los_Angeles"),
            ("Alaskan Standard Time", "America/Anchorage"),
            ("Hawaii", "Pacific/Honolulu"),
            ("SA Western Standard Time", "America/Puerto_Rico"),
            ("UTC", ""),
            ("GMT", ""),
            ("(UTC) Coordinated Universal Time", ""),
            ("Eastern European Time", ""),
            ("IST", ""),
            ("", ""),
        ] {
            assert_eq!(names(name), expected, "{name}");
        }
        for (names, zones) in COMMON_NAMES {
            assert!(zones.iter().all(|zone| Zone::of_united_states(zone).is_some()), "{names}");
            assert!(!names.chars().any(char::is_uppercase), "{names}");
        }
    }

    #[test]
    fn a_zip_code_lies_in_a_state() {
        let states = [
            ("94105", "CA"),
            ("94105-1804", "CA"),
            ("941051804", "CA"),
            (" 02134 ", "MA"),
            ("20500", "DC"),
            ("20191", "VA"),
            ("06390", "NY"),
            ("06390-0001", "NY"),
            ("06830", "CT"),
            ("73301", "TX"),
            ("83414", "WY"),
            ("88510", "TX"),
            ("96799", "AS"),
            ("96910", "GU"),
            ("96950", "MP"),
            ("00901", "PR"),
            ("00802", "VI"),
            ("99950", "AK"),
        ];
        for (zip, expected) in states {
            assert_eq!(State::of_zip(zip), Some(state(expected)), "{zip}");
        }
        for zip in
            ["", "2134", "941O5", "94105-", "94105-18", "09012", "34002", "96201", "96940", "00000", "94105é"]
        {
            assert_eq!(State::of_zip(zip), None, "{zip}");
        }
    }

    #[test]
    fn a_phone_number_has_a_place_unless_it_belongs_to_none() {
        let san_francisco = Place::of_phone(&phone("+14155550100"));
        assert_eq!(san_francisco.area.as_ref().map(AreaCode::as_str), Some("415"));
        assert_eq!(san_francisco.state, Some(state("CA")));
        let toronto = Place::of_phone(&phone("+14165550100"));
        assert_eq!((toronto.area.is_some(), toronto.state), (true, None));
        for placeless in ["+18005550100", "+19005550100", "+15005550100", "+493023125000"] {
            assert_eq!(Place::of_phone(&phone(placeless)), Place::default(), "{placeless}");
        }
    }

    #[test]
    fn the_state_is_the_given_one_then_the_zips_then_the_phones() {
        let number = phone("+14155550100");
        let of = |given: Option<&str>, zip| Place::resolve(given.map(state), zip, &number);
        assert_eq!(of(Some("TX"), Some("10001")).state, Some(state("TX")));
        assert_eq!(of(None, Some("10001")).state, Some(state("NY")));
        assert_eq!(of(None, Some("unknown")).state, Some(state("CA")));
        assert_eq!(of(Some("TX"), None).area.unwrap().as_str(), "415", "the area code is always the phone's");
    }

    #[test]
    fn text_that_names_no_place_is_refused() {
        assert_eq!(state("ca").as_str(), "CA");
        assert_eq!(state(" new york ").as_str(), "NY");
        for text in ["", "C", "Ontario", "ON", "AE", "XX"] {
            assert!(text.parse::<State>().is_err(), "{text}");
        }
        for text in ["", "41", "4155", "115", "015", "4a5"] {
            assert!(text.parse::<AreaCode>().is_err(), "{text}");
        }
        for text in ["", "Eastern", "EDT", "America/Springfield", "Etc/Unknown", "Factory", "+05:00"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
        assert_eq!("america/new_york".parse::<Zone>().unwrap().as_str(), "America/New_York");
    }
}
