//! What the columns of a file of contacts say, by their headers, whatever way these are spelled.
//!
//! A column is one that is read, one about whether somebody may be called, or one that is not read and named in the report. A column that
//! looks like a place, a time zone, a consent or a do-not-call mark and is not understood is none of these: the file is refused until
//! somebody says what it is (`map`). So no such column is passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use dialpool_runtime::http::Problem;

use crate::imports::{
    CONSENT, CONSENT_AT, CONSENT_EVIDENCE, CONSENT_EXPIRES, CONSENT_TEXT, FIRST_NAME, LAST_NAME, LEAD, NAME,
    column,
};
use crate::marks::{CALL_WORDS, OTHER_CHANNELS, names_calls};
use crate::rows::excerpt;
use crate::words::{has_any, has_run, spelled, words};

/// Headers that are remembered, and columns that an answer names.
const MOST_KNOWN: usize = 1_000;
const MOST_NAMED: usize = 200;

/// Which of several phones of a row a column is about: `Phone 1`, `Mobile`, `contact_1_phone2`.
pub(crate) type Group = Vec<String>;

/// What a column says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// A field of its own.
    Field(&'static str),
    /// A number to call; the lowest rank that has a value is called.
    Phone(Group, (u8, Group)),
    /// A time zone.
    Zone,
    /// The state or the ZIP code of the address of this name.
    State(Group),
    Zip(Group),
    /// The person, or the phone of this group, must not be called.
    Flag(Option<Group>),
    /// Whether the person may be called.
    MayCall,
    /// Something else, which may name a do-not-call mark: of the person, or of the phone of this group.
    Status(Option<Group>),
    /// Nothing that is read.
    Unread,
    /// Something that must be read, and is not understood.
    Unclear(&'static str),
}

/// A column of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) header: String,
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// What somebody said of columns: `Header=field`.
#[derive(Debug, Clone, Default)]
pub struct Mapping(Vec<(String, String)>);

/// Fields that a header may be mapped to.
const FIELDS: &[&str] = &[
    "phone",
    "lead",
    "name",
    "first_name",
    "last_name",
    "state",
    "zip",
    "timezone",
    "consent",
    "consent_at",
    "consent_evidence",
    "consent_text",
    "consent_expires",
    "do_not_call",
    "may_call",
    "ignore",
];

impl Mapping {
    /// Reads `Header=field`, several of them parted by commas.
    ///
    /// # Errors
    /// When one is not so, or names no field.
    pub fn parse<'a>(lists: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut found = Vec::new();
        for list in lists {
            // A header may have a comma in it: what has no `=` belongs to what follows.
            let mut open = String::new();
            for piece in list.split(',') {
                open.push_str(piece);
                let Some((header, field)) = open.rsplit_once('=') else {
                    open.push(',');
                    continue;
                };
                let (header, field) = (words(header).join(" "), spelled(field));
                if header.is_empty() || !FIELDS.contains(&field.as_str()) {
                    return Err(format!(
                        "{} is not Header=field: a field is one of {}",
                        excerpt(&open),
                        FIELDS.join(", ")
                    ));
                }
                found.push((header, field));
                open.clear();
            }
            if !open.trim_matches([',', ' ']).is_empty() {
                return Err(format!("{} is not Header=field", excerpt(&open)));
            }
        }
        Ok(Self(found))
    }

    fn of(&self, words: &[String]) -> Option<&str> {
        let words = words.join(" ");
        self.0.iter().find(|(header, _)| *header == words).map(|(_, field)| field.as_str())
    }
}

/// The columns of a file, as far as they were met.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    contacts: bool,
    mapping: Mapping,
    known: BTreeMap<String, Arc<Column>>,
    met: Vec<Arc<Column>>,
}

impl Columns {
    pub(crate) fn of_numbers() -> Self {
        Self::default()
    }

    pub(crate) fn of_contacts(mapping: Mapping) -> Self {
        Self { contacts: true, mapping, ..Self::default() }
    }

    /// What the column of this header says.
    pub(crate) fn column(&mut self, header: &str) -> Arc<Column> {
        if let Some(known) = self.known.get(header) {
            return Arc::clone(known);
        }
        let role = self.looked_at(header);
        let column = Column {
            header: excerpt(header.trim()).into_owned(),
            name: excerpt(&spelled(header)).into_owned(),
            role,
        };
        let column = Arc::new(column);
        if self.known.len() < MOST_KNOWN {
            self.known.insert(header.to_owned(), Arc::clone(&column));
        }
        if matches!(column.role, Role::Unread | Role::Unclear(_)) && self.met.len() < MOST_NAMED {
            self.met.push(Arc::clone(&column));
        }
        column
    }

    /// The same of what may be no header.
    pub(crate) fn looked_at(&self, header: &str) -> Role {
        if self.contacts { self.role(header) } else { column(header).map_or(Role::Unread, Role::Field) }
    }

    fn role(&self, header: &str) -> Role {
        let words = words(header);
        let role = of_contacts(&words);
        match self.mapping.of(&words) {
            None => role,
            // What says that somebody must not be called is not to be passed over, whatever else it is said to be.
            Some(field)
                if field != "do_not_call"
                    && matches!(role, Role::Flag(_) | Role::MayCall | Role::Status(_)) =>
            {
                role
            }
            Some("ignore") => Role::Unread,
            Some("phone") => Role::Phone(words.clone(), (0, Vec::new())),
            Some("state") => Role::State(words.clone()),
            Some("zip") => Role::Zip(words.clone()),
            Some("timezone") => Role::Zone,
            Some("do_not_call") => Role::Flag(None),
            Some("may_call") => Role::MayCall,
            Some(field) => column(field).map_or(Role::Unread, Role::Field),
        }
    }

    /// The headers of the columns that nobody read.
    pub(crate) fn not_read(&self) -> Vec<String> {
        let unread =
            self.met.iter().filter(|column| column.role == Role::Unread && !column.header.is_empty());
        unread.map(|column| column.header.clone()).collect()
    }

    /// Refuses a file with a column that must be read and is not understood.
    pub(crate) fn must_be_clear(&self) -> Result<(), Problem> {
        let unclear: Vec<String> = self
            .met
            .iter()
            .filter_map(|column| match column.role {
                Role::Unclear(what) => Some(format!("\"{}\" ({what})", column.header)),
                _ => None,
            })
            .take(20)
            .collect();
        if unclear.is_empty() {
            return Ok(());
        }
        let (columns, fields) = (unclear.join(", "), FIELDS.join(", "));
        Err(Problem::field(
            "header",
            format!(
                "it is not clear what these columns say: {columns}. Say it with ?map=Header=field, on the command line --map; \
                 a field is one of {fields}"
            ),
        ))
    }
}

const ADDRESSES: &[&str] = &[
    "property",
    "mailing",
    "mail",
    "owner",
    "home",
    "residence",
    "residential",
    "billing",
    "shipping",
    "contact",
    "person",
    "lead",
    "customer",
    "client",
    "seller",
    "buyer",
    "borrower",
    "applicant",
    "homeowner",
    "primary",
    "secondary",
    "current",
    "physical",
    "situs",
    "site",
    "subject",
    "street",
    "work",
    "business",
    "company",
    "ip",
    "other",
    "tax",
    "postal",
];
const NOISE: &[&str] =
    &["address", "code", "abbr", "abbreviation", "full", "s", "the", "of", "hs", "us", "usa", "region"];
const KINDS: &[&str] = &[
    "mobile",
    "cell",
    "cellular",
    "wireless",
    "landline",
    "home",
    "work",
    "office",
    "business",
    "primary",
    "secondary",
    "alternate",
    "alt",
    "other",
    "main",
    "best",
    "preferred",
    "contact",
    "lead",
    "owner",
    "person",
    "customer",
    "client",
    "seller",
    "buyer",
    "borrower",
    "applicant",
    "homeowner",
    "prospect",
    "daytime",
    "day",
    "evening",
    "direct",
];
const PHONES: &[&str] =
    &["phone", "phones", "telephone", "tel", "mobile", "cell", "cellular", "landline", "msisdn"];
const PHONE_NOISE: &[&str] =
    &["phone", "phones", "telephone", "tel", "number", "no", "num", "value", "msisdn", "e", "164"];
const STRONG: &[&[&str]] = &[
    &["dnc"],
    &["dncs"],
    &["dncl"],
    &["dncr"],
    &["ndnc"],
    &["dnd"],
    &["do", "not"],
    &["dont"],
    &["opt", "out"],
    &["opted", "out"],
    &["opts", "out"],
    &["litigator"],
    &["litigators"],
    &["litigant"],
    &["litigious"],
    &["litigation"],
    &["tcpa"],
    &["unsubscribe"],
    &["unsubscribed"],
    &["unsubscribes"],
    &["unsub"],
    &["blacklist"],
    &["blacklisted"],
    &["blocklist"],
    &["blocklisted"],
    &["suppress"],
    &["suppressed"],
    &["suppression"],
    &["never", "call"],
    &["stop", "call"],
    &["stop", "calls"],
    &["stop", "calling"],
    &["stop", "contact"],
    &["revoked"],
    &["revocation"],
    &["cease"],
];

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words that tell one phone from another, when all of `words` are about a phone.
fn phone_group(words: &[String]) -> Option<Group> {
    let known = |word: &str| KINDS.contains(&word) || PHONE_NOISE.contains(&word) || is_number(word);
    if !words.iter().all(|word| known(word)) {
        return None;
    }
    let mut group: Group =
        words.iter().filter(|word| !PHONE_NOISE.contains(&word.as_str())).cloned().collect();
    for word in &mut group {
        if word == "cell" || word == "cellular" || word == "wireless" {
            "mobile".clone_into(word);
        }
    }
    group.sort();
    Some(group)
}

/// The group of a mark: none when it names no phone.
fn marked_phone(words: &[String]) -> Option<Group> {
    let about =
        |word: &&String| PHONES.contains(&word.as_str()) || KINDS.contains(&word.as_str()) || is_number(word);
    let of_phone: Vec<String> = words.iter().filter(about).cloned().collect();
    let names_one = of_phone.iter().any(|word| PHONES.contains(&word.as_str()) || is_number(word));
    names_one.then(|| phone_group(&of_phone)).flatten()
}

fn of_contacts(words: &[String]) -> Role {
    let joined = words.join("");
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |any: &[&str]| has_any(words, any);
    let is_consent = has(&[
        "consent",
        "consents",
        "consented",
        "pewc",
        "permission",
        "permissions",
        "gdpr",
        "jornaya",
        "trustedform",
    ]) || has_run(words, &["opt", "in"])
        || has_run(words, &["opted", "in"])
        || has_run(words, &["trusted", "form"]);
    let other_channel = has(OTHER_CHANNELS) && !names_calls(words);

    // Whether somebody may be called comes before all else that a header may mean.
    let strong = STRONG.iter().any(|run| has_run(words, run));
    if strong && (!is_consent || has(&["revoked", "revocation"])) {
        let law = has(&["litigator", "litigators", "litigant", "litigious", "litigation", "tcpa"]);
        if other_channel && !law {
            return Role::Unread;
        }
        let looked_at = has(&[
            "check",
            "checked",
            "scrub",
            "scrubbed",
            "scrubbing",
            "verified",
            "verify",
            "non",
            "clean",
            "cleaned",
        ]);
        let unsure = has_run(words, &["do", "not"])
            && !has_run(words, &["do", "not", "disturb"])
            && !has(CALL_WORDS)
            && !has(&["dnc"]);
        let by_other = has(OTHER_CHANNELS)
            && has(&["contact", "contacted"])
            && !has(&["call", "calls", "calling", "phone"]);
        if looked_at || unsure || by_other || all.first() == Some(&"not") {
            return Role::Unclear("do-not-call");
        }
        return Role::Flag(marked_phone(words));
    }
    if matches!(
        all.as_slice(),
        ["no", "call" | "contact"] | ["blocked" | "stop" | "revoked"] | ["is", "blocked"]
    ) {
        return Role::Flag(None);
    }
    if matches!(
        all.as_slice(),
        ["callable" | "contactable" | "dialable" | "subscribed"]
            | [
                "ok" | "okay" | "can" | "may" | "allow" | "allowed" | "safe",
                "call" | "contact" | "calls" | "calling"
            ]
            | ["ok" | "okay" | "allowed" | "safe", "to", "call" | "contact" | "dial"]
            | ["call" | "calls" | "calling", "allowed" | "ok" | "permitted"]
    ) {
        return Role::MayCall;
    }
    for names in [
        LEAD,
        NAME,
        FIRST_NAME,
        LAST_NAME,
        CONSENT,
        CONSENT_AT,
        CONSENT_EVIDENCE,
        CONSENT_TEXT,
        CONSENT_EXPIRES,
    ] {
        if let Some(name) = names.iter().find(|name| name.replace('_', "") == joined) {
            return Role::Field(name);
        }
    }
    if is_consent {
        return if other_channel { Role::Unread } else { Role::Unclear("consent") };
    }
    // Time zones.
    if has(&["zone", "timezone", "timezones", "tz"])
        || has_run(words, &["utc", "offset"])
        || has_run(words, &["gmt", "offset"])
    {
        const OF_LAND: &[&str] = &[
            "flood",
            "school",
            "climate",
            "opportunity",
            "hazard",
            "fire",
            "enterprise",
            "fema",
            "seismic",
            "plant",
            "land",
            "use",
            "overlay",
            "district",
            "delivery",
            "parking",
        ];
        let plain = |word: &&String| {
            ["time", "zone", "timezone", "tz", "iana", "name", "local", "id"].contains(&word.as_str())
                || ADDRESSES.contains(&word.as_str())
                || NOISE.contains(&word.as_str())
        };
        return match () {
            () if words.iter().filter(plain).count() == words.len() => Role::Zone,
            () if has(OF_LAND) => Role::Unread,
            () => Role::Unclear("time zone"),
        };
    }
    let status = has(&[
        "status",
        "disposition",
        "tag",
        "tags",
        "outcome",
        "result",
        "stage",
        "list",
        "lists",
        "segment",
        "notes",
        "note",
        "comment",
        "comments",
        "remarks",
        "reason",
        "flag",
        "flags",
        "label",
        "labels",
    ]);
    // Phones.
    if let Some(group) = phone_group(words)
        && (has(PHONES) || matches!(all.as_slice(), ["number"] | ["e", "164"] | ["contact", "number" | "no"]))
    {
        let kind = match () {
            () if has(&["home"]) => 6,
            () if has(&["work", "office", "business"]) => 7,
            () if has(&["other", "alternate", "alt", "secondary"]) => 8,
            () if has(&["mobile", "cell", "cellular"]) => 4,
            () if all == ["phone"] => 0,
            () if has(&["phone", "telephone", "tel"]) => 1,
            () => 2,
        };
        return Role::Phone(
            group.clone(),
            (kind, group.into_iter().filter(|word| is_number(word)).collect()),
        );
    }
    if all == ["from", "number"] {
        return Role::Phone(vec!["from".to_owned()], (9, Vec::new()));
    }
    // Places.
    let zip = has(&["zip", "zips", "postcode"])
        || has_run(words, &["postal", "code"])
        || has_run(words, &["post", "code"])
        || all == ["postal"];
    let state = has(&["state", "province"]) || (has(&["region"]) && !has(&["country"])) || all == ["st"];
    if (zip || state) && !has_run(words, &["phone", "country"]) {
        const PARTS: &[&str] =
            &["zip", "zips", "postcode", "post", "postal", "state", "province", "region", "st", "name"];
        let rest =
            words.iter().filter(|word| !PARTS.contains(&word.as_str()) && !NOISE.contains(&word.as_str()));
        let rest: Vec<String> =
            rest.map(|word| if word == "mail" { "mailing".to_owned() } else { word.clone() }).collect();
        let known = rest.iter().all(|word| ADDRESSES.contains(&word.as_str()) || is_number(word));
        return match () {
            () if zip && (all.ends_with(&["4"]) || has(&["plus"])) => Role::Unclear("place"),
            () if !known || (zip && state) => Role::Unclear("place"),
            () if zip => Role::Zip(rest),
            () => Role::State(rest),
        };
    }
    if status { Role::Status(marked_phone(words)) } else { Role::Unread }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(header: &str) -> Role {
        of_contacts(&words(header))
    }

    #[test]
    fn a_do_not_call_column_is_known_in_every_usual_spelling() {
        for header in [
            "do_not_call",
            "Do Not Call",
            "donotcall",
            "DoNotCall",
            "Do Not Contact",
            "DNC",
            "dnd",
            "DND",
            "Is DNC",
            "DNC Flag",
            "Internal DNC",
            "State DNC",
            "National DNC",
            "Opt-Out",
            "optout",
            "Opted Out",
            "opted_out_at",
            "Unsubscribed",
            "Litigator",
            "TCPA",
            "TCPA Litigator",
            "is_litigator",
            "Has Opted Out",
            "Do Not Call/Mail",
            "DNC Date",
            "Suppressed",
            "Blacklisted",
            "Do_Not_Call__c",
            "Don't Call",
            "Consent Revoked",
            "consent_revoked_at",
            "Do Not Disturb",
            "DNC Reason",
        ] {
            assert!(matches!(role(header), Role::Flag(None)), "{header}: {:?}", role(header));
        }
        for (header, phone) in [
            ("Phone 1 DNC", "Phone 1"),
            ("Phone1DNC", "phone_1"),
            ("Mobile DNC", "Cell Phone"),
            ("DNC Phone 2", "Phone 2"),
        ] {
            let (Role::Flag(Some(flag)), Role::Phone(group, _)) = (role(header), role(phone)) else {
                panic!("{header}: {:?}, {phone}: {:?}", role(header), role(phone));
            };
            assert_eq!(flag, group, "{header}");
        }
    }

    #[test]
    fn a_column_about_something_else_is_none() {
        for header in [
            "estate",
            "Statement",
            "real_estate_agent",
            "Callback",
            "Contact owner",
            "Last Activity Date",
            "Do Not Mail",
            "Email Opt Out",
            "SMS Opt Out",
            "Unsubscribed from all email",
            "City",
            "County",
            "Flood Zone",
            "MLS Agent Phone",
            "Phone 1 Type",
            "Est. Value",
            "Owner Occupied",
            "Email 1",
            "Company",
            "Interest Rate",
            "Call Attempts",
        ] {
            assert_eq!(role(header), Role::Unread, "{header}");
        }
    }

    #[test]
    fn what_must_be_read_and_is_not_understood_is_asked_for() {
        for header in [
            "State of Incorporation",
            "Sales Region",
            "UTC offset",
            "Opt In",
            "TCPA Consent",
            "DNC scrubbed",
            "Do Not Use",
            "Created Time Zone",
            "Zip+4",
            "Last DNC Check",
            "Not DNC",
        ] {
            assert!(matches!(role(header), Role::Unclear(_)), "{header}: {:?}", role(header));
        }
    }

    #[test]
    fn places_and_zones_are_known_in_every_usual_spelling() {
        for header in ["Zipcode", "ZIP", "zip_code", "Postal Code", "postcode", "Zip-Code", "ZIP #"] {
            assert_eq!(role(header), Role::Zip(Vec::new()), "{header}");
        }
        for header in ["State", "State/Region", "state_code", "Province", "Region", "State Code", "ST"] {
            assert_eq!(role(header), Role::State(Vec::new()), "{header}");
        }
        for header in ["tz", "Time Zone", "timezone", "TimeZone", "time_zone", "Contact Timezone", "zone"] {
            assert_eq!(role(header), Role::Zone, "{header}");
        }
        assert_eq!(role("Mailing State"), Role::State(vec!["mailing".to_owned()]));
        assert_eq!(role("mailingzip"), Role::Zip(vec!["mailing".to_owned()]));
        assert_eq!(role("property_address_zipcode"), Role::Zip(vec!["property".to_owned()]));
        for header in [
            "phone",
            "Phone Number",
            "cell",
            "mobile_number",
            "phoneNumber",
            "Phone 1 - Value",
            "Mobile Phone Number",
            "Contact No",
        ] {
            assert!(matches!(role(header), Role::Phone(..)), "{header}: {:?}", role(header));
        }
    }
}
