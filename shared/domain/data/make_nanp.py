#!/usr/bin/env python3
"""Writes nanp.csv, the area codes of the North American Numbering Plan, from libphonenumber's data.

    python3 -m venv /tmp/nanp && /tmp/nanp/bin/pip install phonenumbers==9.0.43
    /tmp/nanp/bin/python make_nanp.py

An area code gets every zone that libphonenumber lists for any prefix inside it, so that an area code that spans zones
is legal only when all of them are. Codes that libphonenumber has no zone for are left out: unknown, hence not dialed,
unless NEW_OVERLAYS says by hand which code they relieve.
"""

import re
from collections import Counter
from pathlib import Path

import phonenumbers
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

PINNED = "9.0.43"
if phonenumbers.__version__ != PINNED:
    raise SystemExit(f"phonenumbers {phonenumbers.__version__} is installed, this script is made for {PINNED}")

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "Florida": "FL", "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID",
    "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA",
    "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN",
    "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV",
    "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC",
    "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX",
    "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington State": "WA", "Washington D.C.": "DC",
    "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}
TERRITORIES = {"PR", "VI", "GU", "MP", "AS"}

# Overlays serve the same ground as the code they relieve, but libphonenumber lists fewer (or other) zones for them.
# Both codes of a pair get the zones of both.
OVERLAYS = [("270", "364"), ("407", "689"), ("541", "458"), ("812", "930"), ("850", "448"), ("208", "986")]

# Codes in service that libphonenumber does not know: each gets the state and the zones of the code that it relieves.
# With the date from which its numbers are assigned, and who says so.
NEW_OVERLAYS = {
    "357": "559",  # California, 2025-03-26: California Public Utilities Commission
    "436": "440",  # Ohio, 2024-03-01: Public Utilities Commission of Ohio
    "457": "318",  # Louisiana, 2025-09-25: Louisiana Public Service Commission
    "465": "718",  # New York, June 2026: New York State Department of Public Service
    "471": "662",  # Mississippi, 2026-01-30: NANPA, by way of Wikipedia, "Area codes 662 and 471"
    "483": "334",  # Alabama, 2026-02-23: Alabama Public Service Commission
    "621": "713",  # Texas, 2025-01-23: Public Utility Commission of Texas
    "624": "716",  # New York, 2023-09-11: New York State Department of Public Service
    "679": "313",  # Michigan, 2025-11-07: Michigan Public Service Commission
    "729": "423",  # Tennessee, 2025-09-05: Tennessee Public Utility Commission
    "837": "530",  # California, 2025-01-31: California Public Utilities Commission, by way of area code directories
    "861": "309",  # Illinois, 2023-02-24: Illinois Commerce Commission
    "924": "507",  # Minnesota, 2025-08-30: Minnesota Public Utilities Commission
}

KINDS = {
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll_free",
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium",
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: "other",
    phonenumbers.PhoneNumberType.VOIP: "other",
    phonenumbers.PhoneNumberType.UAN: "other",
}


def inside(area, data):
    return {prefix: value for prefix, value in data.items() if len(prefix) >= 4 and prefix.startswith("1" + area)}


def sample(area):
    """A number of the area code that libphonenumber calls valid, with its region and type."""
    for subscriber in ("2345678", "5550123", "2125678", "9825678"):
        number = phonenumbers.parse(f"+1{area}{subscriber}")
        if phonenumbers.is_valid_number(number):
            return phonenumbers.region_code_for_number(number), phonenumbers.number_type(number)
    for region in phonenumbers.region_codes_for_country_code(1):
        leading = phonenumbers.PhoneMetadata.metadata_for_region(region).leading_digits
        if leading and re.fullmatch(leading, area):
            return region, None
    return None, None


def state_of(area, region):
    if region in TERRITORIES:
        return region
    whole = GEOCODE_DATA.get("1" + area, {}).get("en", "")
    names = [whole] if whole else [name.get("en", "") for name in inside(area, GEOCODE_DATA).values()]
    found = Counter(state for name in names if (state := STATES.get(name) or abbreviated(name)))
    # Exchanges at a border carry the neighbour's name now and then: the state of nine in ten is the area code's.
    if not found or found.most_common(1)[0][1] < 0.9 * found.total():
        raise SystemExit(f"area code {area} is in {dict(found) or 'no state'}: say which by hand")
    return found.most_common(1)[0][0]


def abbreviated(name):
    match = re.search(r", ([A-Z]{2})$", name)
    return match and match.group(1)


def main():
    rows, zones = {}, {}
    for area in map(str, range(200, 1000)):
        region, kind = sample(area)
        zones[area] = {zone for found in inside(area, TIMEZONE_DATA).values() for zone in found}
        if kind in KINDS:
            rows[area] = (KINDS[kind], "", "")
        elif region and zones[area]:
            american = region == "US" or region in TERRITORIES
            rows[area] = ("geographic", "US" if american else region, state_of(area, region) if american else "")
    for one, other in OVERLAYS:
        zones[one] = zones[other] = zones[one] | zones[other]
    for new, relieved in NEW_OVERLAYS.items():
        if new in rows:
            raise SystemExit(f"libphonenumber knows area code {new} now: take it out of NEW_OVERLAYS")
        rows[new], zones[new] = rows[relieved], zones[relieved]

    lines = [
        "# Area codes of the North American Numbering Plan. Made by make_nanp.py: do not edit by hand.",
        f"# Derived from libphonenumber (Apache-2.0, The Libphonenumber Authors) by way of phonenumbers {PINNED} of PyPI.",
        "area_code,kind,country,state,zones",
    ]
    for area, (kind, country, state) in sorted(rows.items()):
        listed = ";".join(sorted(zones[area])) if kind == "geographic" else ""
        lines.append(f"{area},{kind},{country},{state},{listed}")
    Path(__file__).with_name("nanp.csv").write_text("\n".join(lines) + "\n")


main()
