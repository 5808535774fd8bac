//! The law, row by row: what `rules/us.toml` says, written down a second time, and asked to the minute.

use dialpool_domain::Timestamp;
use dialpool_domain::law::{Located, Whereabouts, Window, Zones, candidate_zones, window};
use dialpool_domain::place::{State, Zone};
use dialpool_domain::rules::Rules;
use jiff::civil::{Date, date};

/// Monday to Friday, Saturday, Sunday; hours on the clock, `None` is closed.
type Week = [Option<(i8, i8)>; 3];

const fn daily(opens: i8, closes: i8) -> Week {
    [Some((opens, closes)); 3]
}

/// Where hours are narrower than the federal ones, in the week of Monday, 2026-11-30: no holiday is in it.
const NARROWER: [(&str, Week); 31] = [
    ("AL", [Some((8, 20)), Some((8, 20)), None]),
    ("CA", daily(9, 21)),
    ("CT", daily(9, 20)),
    ("FL", daily(8, 20)),
    ("IL", daily(9, 21)),
    ("IN", daily(9, 20)),
    ("KY", daily(10, 21)),
    ("LA", [Some((8, 20)), Some((8, 20)), None]),
    ("MA", daily(8, 20)),
    ("MD", daily(8, 20)),
    ("ME", [Some((9, 17)), None, None]),
    ("MI", daily(9, 21)),
    ("MN", daily(9, 21)),
    ("MS", [Some((9, 20)), Some((9, 20)), None]),
    ("NE", [Some((8, 21)), Some((8, 21)), Some((13, 21))]),
    ("NM", daily(9, 21)),
    ("NV", daily(9, 20)),
    ("OK", daily(9, 20)),
    ("OR", daily(9, 20)),
    ("PA", [Some((9, 19)), Some((9, 12)), None]),
    ("PR", daily(9, 21)),
    ("RI", [Some((9, 18)), Some((10, 17)), None]),
    ("SC", daily(8, 19)),
    ("SD", [Some((9, 21)), None, None]),
    ("TX", [Some((9, 21)), Some((9, 21)), Some((12, 21))]),
    ("UT", [Some((8, 21)), Some((8, 21)), None]),
    ("WA", daily(8, 20)),
    ("WY", daily(8, 20)),
    // Nothing narrower, and yet asked with the others: they have several zones.
    ("ID", daily(8, 21)),
    ("ND", daily(8, 21)),
    ("TN", daily(8, 21)),
];

const STATES: &str = "AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND \
                      NE NH NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UT VA VI VT WA WI WV WY";

fn state(code: &str) -> State {
    code.parse().expect("a state")
}

fn is_open(zones: &Zones, at: Timestamp) -> bool {
    matches!(window(Rules::united_states(), zones, at), Window::Open(_))
}

/// The moment at which the clocks of a zone show this.
fn at(zone: &Zone, day: Date, hour: i8, minute: i8) -> Timestamp {
    let clock = day.at(hour, minute, 0, 0);
    zone.time_zone().to_ambiguous_timestamp(clock).compatible().expect("a moment").into()
}

fn of_state(code: &str, zone: &Zone) -> Zones {
    Zones { zones: vec![zone.clone()], sources: Vec::new(), states: vec![state(code)] }
}

/// Whoever changes the law's data names a source, and looks at it again within a year.
#[test]
#[expect(clippy::disallowed_methods, reason = "the rules grow old with the days of the calendar")]
fn every_row_has_a_source_and_was_compared_with_it_within_a_year() {
    let today = jiff::Zoned::now().date();
    for row in Rules::united_states().rows() {
        assert!(row.citation.chars().any(|letter| letter.is_ascii_digit()), "{row:?} names no section");
        let age = (today - row.reviewed_on).get_days();
        assert!(age <= 366, "{} was reviewed {age} days ago, on {}", row.citation, row.reviewed_on);
        assert!(row.reviewed_on <= today, "{} is reviewed in the future", row.citation);
    }
}

#[test]
fn every_state_has_its_hours_to_the_minute_on_every_day_of_the_week() {
    let monday = date(2026, 11, 30);
    for code in STATES.split_whitespace() {
        let week = NARROWER.iter().find(|(narrower, _)| *narrower == code);
        let week = week.map_or(daily(8, 21), |(_, week)| *week);
        for zone in state(code).zones() {
            let zones = of_state(code, zone);
            for (days_on, kind) in [(0, 0), (2, 0), (4, 0), (5, 1), (6, 2)] {
                let day = monday.checked_add(jiff::Span::new().days(days_on)).expect("a day");
                let said = |hour, minute| is_open(&zones, at(zone, day, hour, minute));
                let Some((opens, closes)) = week[kind] else {
                    for hour in 0..24 {
                        assert!(!said(hour, 0) && !said(hour, 59), "{code} {day} {hour}:00");
                    }
                    continue;
                };
                let edges = [
                    said(opens - 1, 59),
                    said(opens, 0),
                    said(closes - 1, 59),
                    said(closes, 0),
                    said(23, 59),
                    said(0, 0),
                ];
                assert_eq!(edges, [false, true, true, false, false, false], "{code} in {zone} on {day}");
            }
        }
    }
}

#[test]
fn nobody_is_called_on_a_holiday_of_a_state_that_forbids_it() {
    let closed: [(&str, &[Date]); 7] = [
        // Confederate Memorial Day, Mardi Gras, Independence Day of a Saturday and as observed, Thanksgiving, Christmas.
        (
            "AL",
            &[date(2026, 4, 27), date(2026, 2, 17), date(2026, 7, 4), date(2026, 7, 3), date(2026, 11, 26)],
        ),
        (
            "LA",
            &[date(2026, 4, 3), date(2026, 11, 27), date(2026, 11, 3), date(2027, 1, 8), date(2026, 12, 25)],
        ),
        ("ME", &[date(2026, 4, 20), date(2026, 6, 19), date(2026, 10, 12)]),
        ("NE", &[date(2026, 4, 24), date(2026, 11, 27)]),
        ("PA", &[date(2026, 12, 15), date(2026, 6, 15), date(2027, 11, 2)]),
        ("RI", &[date(2026, 5, 4), date(2026, 8, 10), date(2026, 11, 11)]),
        ("UT", &[date(2026, 7, 24), date(2027, 7, 23), date(2026, 6, 15), date(2026, 5, 25)]),
    ];
    for (code, days) in closed {
        let zone = &state(code).zones()[0];
        for day in days {
            let open = is_open(&of_state(code, zone), at(zone, *day, 11, 0));
            assert!(!open, "{code} on {day}, {:?}", day.weekday());
        }
    }
    // Others do not know these days.
    let new_york = &state("NY").zones()[0];
    for day in [date(2026, 12, 25), date(2026, 7, 4), date(2026, 11, 26)] {
        assert!(is_open(&of_state("NY", new_york), at(new_york, day, 11, 0)), "{day}");
    }
}

#[test]
fn a_law_is_in_force_from_its_first_day_on() {
    let zone = &state("PA").zones()[0];
    let zones = of_state("PA", zone);
    // Act 47 of 2026: from 2026-10-18 on not before nine, not from seven on, and not on Sundays.
    let asked = [(16, 8, true), (16, 20, true), (19, 8, false), (19, 19, false), (19, 18, true)];
    for (day, hour, open) in asked {
        assert_eq!(is_open(&zones, at(zone, date(2026, 10, day), hour, 30)), open, "{day}, {hour}:30");
    }
    assert!(is_open(&zones, at(zone, date(2026, 10, 11), 11, 0)), "a Sunday before");
    assert!(!is_open(&zones, at(zone, date(2026, 10, 18), 11, 0)), "the Sunday it began");
    let before_all = Timestamp::from_millis(0);
    assert!(matches!(window(Rules::united_states(), &zones, before_all), Window::Never), "no rule, no call");
}

#[test]
fn an_area_code_that_spans_zones_is_open_only_where_all_of_it_is() {
    // Pensacola and Tallahassee; Boise and Coeur d'Alene; Flagstaff, and the Navajo Nation, which changes its clocks.
    for (phone, west, east) in [
        ("+18505550100", "America/Chicago", "America/New_York"),
        ("+12085550100", "America/Los_Angeles", "America/Denver"),
        ("+12705550100", "America/Chicago", "America/New_York"),
        ("+16055550100", "America/Denver", "America/Chicago"),
        ("+19285550100", "America/Phoenix", "America/Denver"),
    ] {
        let whereabouts =
            Whereabouts { zones: Vec::new(), addresses: Vec::new(), phone: phone.parse().expect("a number") };
        let zones = candidate_zones(&whereabouts).expect("zones");
        let (west, east): (Zone, Zone) = (west.parse().expect("a zone"), east.parse().expect("a zone"));
        assert!(zones.zones.contains(&west) && zones.zones.contains(&east), "{phone}: {:?}", zones.zones);
        let wednesday = date(2026, 12, 2);
        for minute in 0..24 * 60 {
            let (hour, minute) = (minute / 60, minute % 60);
            let moment = at(&east, wednesday, i8::try_from(hour).unwrap(), i8::try_from(minute).unwrap());
            let everywhere = zones
                .zones
                .iter()
                .all(|zone| is_open(&Zones { zones: vec![zone.clone()], ..zones.clone() }, moment));
            assert_eq!(is_open(&zones, moment), everywhere, "{phone} at {hour}:{minute} in {east}");
        }
    }
}

#[test]
fn where_address_and_number_differ_both_states_have_their_say() {
    // A number of Kentucky (from ten on) and an address in Florida (until eight).
    let whereabouts = Whereabouts {
        zones: Vec::new(),
        addresses: vec![Located { state: Some(state("FL")), zip: Some("33101".to_owned()) }],
        phone: "+15025550100".parse().expect("a number"),
    };
    let zones = candidate_zones(&whereabouts).expect("zones");
    let louisville: Zone = "America/New_York".parse().expect("a zone");
    let day = date(2026, 12, 2);
    for (hour, open) in [(9, false), (10, false), (11, true), (19, true), (20, false)] {
        assert_eq!(is_open(&zones, at(&louisville, day, hour, 0)), open, "{hour}:00, {:?}", zones.zones);
    }
}

/// A zone that a file gives everybody is often that of whoever wrote it.
#[test]
fn an_explicit_zone_narrows_the_hours_and_never_widens_them() {
    let day = date(2026, 12, 2);
    let places = [
        ("+14155550100", None),
        ("+12125550100", Some("CA")),
        ("+18505550100", Some("FL")),
        ("+19285550100", Some("AZ")),
        ("+18085550100", None),
        ("+12705550100", Some("KY")),
    ];
    let given =
        ["America/New_York", "EST", "America/Los_Angeles", "Central Standard Time", "Pacific/Guam", "MST"];
    for (phone, of_state) in places {
        let address = Located { state: of_state.map(state), zip: None };
        let without = Whereabouts {
            zones: Vec::new(),
            addresses: vec![address],
            phone: phone.parse().expect("a number"),
        };
        let known = candidate_zones(&without).expect("zones");
        for name in given {
            let with = Whereabouts { zones: vec![name.to_owned()], ..without.clone() };
            let narrowed = candidate_zones(&with).expect("zones");
            assert!(known.zones.iter().all(|zone| narrowed.zones.contains(zone)), "{phone} {name}");
            assert_eq!(narrowed.states, known.states, "{phone} {name}");
            let explicit = Zone::named_in_united_states(name);
            for half in 0..24 * 2 {
                let moment = at(&known.zones[0], day, half / 2, half % 2 * 30);
                let alone = Zones { zones: explicit.clone(), ..known.clone() };
                let both = is_open(&known, moment) && is_open(&alone, moment);
                assert_eq!(is_open(&narrowed, moment), both, "{phone} {of_state:?} {name} at {moment}");
            }
        }
    }
}

#[test]
fn a_zone_given_for_everybody_does_not_move_california_to_half_past_six() {
    let whereabouts = Whereabouts {
        zones: vec!["America/New_York".to_owned()],
        addresses: Vec::new(),
        phone: "+14155550100".parse().expect("a number"),
    };
    let zones = candidate_zones(&whereabouts).expect("zones");
    let los_angeles: Zone = "America/Los_Angeles".parse().expect("a zone");
    let day = date(2026, 12, 2);
    let asked = [(6, 30, false), (8, 59, false), (9, 0, true), (17, 59, true), (18, 0, false)];
    for (hour, minute, open) in asked {
        assert_eq!(is_open(&zones, at(&los_angeles, day, hour, minute)), open, "{hour}:{minute}");
    }
}

/// An owner may live at the property or where the mail goes.
#[test]
fn the_address_of_the_property_and_that_of_the_mail_must_both_allow_a_call() {
    let whereabouts = Whereabouts {
        zones: Vec::new(),
        addresses: vec![
            Located { state: Some(state("CA")), zip: Some("95814".to_owned()) },
            Located { state: Some(state("CT")), zip: Some("06103".to_owned()) },
        ],
        phone: "+19165550101".parse().expect("a number"),
    };
    let zones = candidate_zones(&whereabouts).expect("zones");
    let hartford: Zone = "America/New_York".parse().expect("a zone");
    let day = date(2026, 12, 2);
    // California opens at nine of its clock, Connecticut closes at eight of its own.
    for (hour, minute, open) in
        [(9, 0, false), (11, 59, false), (12, 0, true), (19, 59, true), (20, 0, false)]
    {
        assert_eq!(is_open(&zones, at(&hartford, day, hour, minute)), open, "{hour}:{minute}");
    }
}
