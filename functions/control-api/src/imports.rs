//! Numbers and contacts from CSV and JSON: every row is taken or refused with its line and the reason.
//!
//! CSV has a header line; columns are found by their name or one of its aliases, in any order, and unknown ones are left
//! alone. JSON is an array of objects with the same names. A file that cannot be read at all, or that has too many rows, is refused
//! as a whole: all of it is judged, while it comes in, before the first row is written.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::consent::{Consent, ConsentKind};
use dialpool_domain::contact::NewContact;
use dialpool_domain::event::Cause;
use dialpool_domain::place::{AreaCode, Place, State as Region};
use dialpool_domain::pool::{History, HoldHours, NewNumber};
use dialpool_domain::time::InvalidTimestamp;
use dialpool_domain::{CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp};
use dialpool_dynamo::{Added, Imported, Store, StoreError};
use dialpool_runtime::http::{Caller, IdIn, MediaType, Parameters, Pieces, Problem};
use futures::{StreamExt, TryStreamExt, stream};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ControlApi;
use crate::claims::{self, NumbersReport};
use crate::columns::{Columns, Mapping, Role};
use crate::people::{Marked, contact_of, suppress_marked, without_marked};
use crate::rows::{Cell, Read, Row, Rows, excerpt};
use crate::wire::ImportParameters;
use crate::words::spelled;

/// The most rows of one file.
const MOST_ROWS: usize = 10_000;

/// The most characters of one value.
const LONGEST_VALUE: usize = 1_000;

/// More calls than this no number made.
const MOST_CALLS: u64 = 1_000_000_000;

/// Rows written at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowRefused {
    /// The line of the file, from 1, the header included; in JSON the place in the array, from 1.
    pub line: u64,
    /// The column that is wrong.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a file has, row by row.
#[derive(Debug, Clone)]
pub struct Accepted<T> {
    /// The rows that can be taken, with their lines.
    pub rows: Vec<(u64, T)>,
    /// The rows that cannot.
    pub refused: Vec<RowRefused>,
    /// What the file says must not be called.
    pub suppressed: Vec<Marked>,
    /// The headers of the columns that were not read.
    pub not_read: Vec<String>,
    /// Rows in the file.
    pub read: usize,
}

/// What became of an import.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Rows in the file.
    pub rows: usize,
    /// New.
    pub added: u64,
    /// Known before: renewed, for numbers; left alone, for contacts.
    pub known: u64,
    /// The contacts that were left alone.
    pub skipped: Vec<RowRefused>,
    /// Not taken.
    pub refused: Vec<RowRefused>,
    /// Numbers that the file says must not be called: on the company's suppression list now, and no contacts.
    pub suppressed: Vec<RowRefused>,
    /// The headers of the columns that were not read.
    pub not_read: Vec<String>,
    /// Nothing was changed: the report says what would be.
    pub dry_run: bool,
}

impl Row {
    /// The value of the first of `names` that has one.
    pub(crate) fn text(&self, names: &[&str]) -> Result<Option<String>, RowRefused> {
        for name in names {
            match self.values.get(*name) {
                Some(Cell::Text(text)) if !text.trim().is_empty() => return Ok(Some(text.trim().to_owned())),
                Some(Cell::Nested | Cell::Texts(_)) => {
                    return Err(self.refuse(&[*name], "is a list or an object: a text or a number is taken"));
                }
                Some(Cell::Text(_) | Cell::Empty) | None => {}
            }
        }
        Ok(None)
    }

    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        names: &[&str],
    ) -> Result<Option<T>, RowRefused> {
        let Some(text) = self.text(names)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: T::Err| self.refuse(names, error.to_string()))
    }

    /// What is known of a number from where it was.
    fn history(&self, status: &str) -> Result<History, RowRefused> {
        let calls = self.whole(CALLS)?.unwrap_or(0);
        if calls > MOST_CALLS {
            return Err(self.refuse(CALLS, format!("is over {MOST_CALLS}")));
        }
        let health = match self.whole(HEALTH)? {
            Some(score @ 0..=100) => u8::try_from(score).ok(),
            Some(_) => return Err(self.refuse(HEALTH, "is not 0 to 100")),
            None => None,
        };
        let answered = match self.parsed::<Decimal>(ANSWER_RATE)? {
            // A share of one, or of a hundred.
            Some(rate) if rate >= Decimal::ZERO && rate <= Decimal::ONE => rate * Decimal::from(calls),
            Some(rate) if rate > Decimal::ONE && rate <= Decimal::ONE_HUNDRED => {
                rate * Decimal::from(calls) / Decimal::ONE_HUNDRED
            }
            Some(_) => return Err(self.refuse(ANSWER_RATE, "is not 0 to 100")),
            None => Decimal::ZERO,
        };
        let since: Option<Timestamp> = self.moment(HELD_SINCE)?;
        let until = self.moment(HELD_UNTIL)?.or(since.map(|since| since + HoldHours::default().duration()));
        let over = FREE.contains(&status);
        let lead: Option<LeadId> = if over { None } else { self.parsed(HELD_BY)? };
        let taken = lead.is_some() || TAKEN.contains(&status);
        Ok(History {
            calls,
            answered: answered.round().to_u64().unwrap_or(0),
            last_used_at: self.moment(LAST_USED)?,
            health,
            notes: self.text(NOTES)?,
            held_by: lead.zip(until),
            taken,
        })
    }

    /// What the person agreed to: the kind, since when, and where the proof is, all three or nothing.
    pub(crate) fn consent(&self) -> Result<Option<Consent>, RowRefused> {
        let Some(kind) = self.text(CONSENT)? else { return Ok(None) };
        let kind = match kind.to_lowercase().replace([' ', '-'], "_").as_str() {
            "express_written" | "written" | "pewc" => ConsentKind::ExpressWritten,
            "express" | "pec" => ConsentKind::Express,
            "none" | "no" | "false" => return Ok(None),
            _ => return Err(self.refuse(CONSENT, "is none of express_written, express, none")),
        };
        let missing = |names: &[&str]| self.refuse(names, "is missing: a consent needs it");
        Ok(Some(Consent {
            kind,
            text_sha256: self.text(CONSENT_TEXT)?.map(|text| hex::encode(Sha256::digest(text))),
            evidence: self.text(CONSENT_EVIDENCE)?.ok_or_else(|| missing(CONSENT_EVIDENCE))?,
            captured_at: self.moment(CONSENT_AT)?.ok_or_else(|| missing(CONSENT_AT))?,
            expires_at: self.moment(CONSENT_EXPIRES)?,
            revoked_at: None,
        }))
    }

    /// An id at a provider, which is part of a key here.
    fn provider_id(&self, names: &[&str]) -> Result<Option<String>, RowRefused> {
        match self.text(names)? {
            Some(id) if id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(self.refuse(names, "is not 1 to 100 visible ASCII characters"))
            }
            id => Ok(id),
        }
    }

    fn whole(&self, names: &[&str]) -> Result<Option<u64>, RowRefused> {
        match self.parsed::<Decimal>(names)? {
            Some(value) if value.is_sign_negative() => Err(self.refuse(names, "is negative")),
            Some(value) => match value.round().to_u64() {
                Some(value) => Ok(Some(value)),
                None => Err(self.refuse(names, "is too large")),
            },
            None => Ok(None),
        }
    }

    /// A moment as databases write them: RFC 3339, or with a space for the `T` and perhaps without a zone, which is UTC then.
    fn moment(&self, names: &[&str]) -> Result<Option<Timestamp>, RowRefused> {
        let Some(text) = self.text(names)? else { return Ok(None) };
        let mut text = text.replacen(' ', "T", 1);
        let zone = text.get(10..).and_then(|time| time.find(['Z', 'z', '+', '-']));
        match zone {
            None if text.len() == 10 => text.push_str("T00:00:00Z"),
            None => text.push('Z'),
            // `+00` is how PostgreSQL writes an offset.
            Some(at) if text.len() - (10 + at) == 3 => text.push_str(":00"),
            Some(_) => {}
        }
        text.parse().map(Some).map_err(|_: InvalidTimestamp| {
            self.refuse(names, "is not a day or moment such as 2026-02-20 or 2026-02-20T15:04:05Z")
        })
    }

    pub(crate) fn within_limits(&self) -> Result<(), RowRefused> {
        for (name, cell) in &self.values {
            let Cell::Text(text) = cell else { continue };
            if text.chars().count() > LONGEST_VALUE {
                return Err(self.refuse(&[*name], format!("has more than {LONGEST_VALUE} characters")));
            }
        }
        for (column, cell) in &self.more {
            // What says whether somebody may be called counts however long it is, and is not kept.
            let is_mark = matches!(column.role, Role::Flag(_) | Role::MayCall | Role::Status(_));
            if let Cell::Text(text) = cell
                && !is_mark
                && text.chars().count() > LONGEST_VALUE
            {
                let reason = format!("has more than {LONGEST_VALUE} characters");
                return Err(refusal(self.line, &column.name, &reason));
            }
        }
        Ok(())
    }

    pub(crate) fn refuse(&self, names: &[&str], reason: impl Into<String>) -> RowRefused {
        let named = names.iter().find(|name| self.values.contains_key(**name)).or(names.first());
        RowRefused { line: self.line, field: (*named.unwrap_or(&"row")).to_owned(), reason: reason.into() }
    }
}

pub(crate) const PHONE: &[&str] = &["phone", "phone_number", "number", "e164", "mobile", "from_number"];
pub(crate) const LEAD: &[&str] =
    &["lead", "lead_id", "external_id", "id", "contact_id", "record_id", "customer_id"];
pub(crate) const FIRST_NAME: &[&str] =
    &["first_name", "first", "given_name", "owner_1_first_name", "owner_first_name"];
pub(crate) const LAST_NAME: &[&str] =
    &["last_name", "last", "surname", "family_name", "owner_1_last_name", "owner_last_name"];
pub(crate) const NAME: &[&str] = &[
    "name",
    "full_name",
    "label",
    "friendly_name",
    "contact_name",
    "owner_name",
    "owner_1_name",
    "customer_name",
];

const STATE: &[&str] = &["state", "region", "state_code"];
const AREA: &[&str] = &["area_code", "area", "npa"];

const VAPI: &[&str] = &["vapi_id", "vapi_phone_number_id", "phone_number_id"];
const SIGNALWIRE: &[&str] = &["signalwire_id", "signalwire_phone_number_id", "signalwire_sid", "sid"];
pub(crate) const CONSENT: &[&str] = &["consent", "consent_kind", "consent_type"];
pub(crate) const CONSENT_AT: &[&str] =
    &["consent_at", "consent_captured_at", "opt_in_at", "consent_date", "consent_timestamp", "opt_in_date"];
pub(crate) const CONSENT_EVIDENCE: &[&str] = &[
    "consent_evidence",
    "trusted_form_url",
    "trusted_form_cert_url",
    "jornaya_id",
    "consent_source",
    "consent_url",
];
pub(crate) const CONSENT_TEXT: &[&str] = &["consent_text"];
pub(crate) const CONSENT_EXPIRES: &[&str] = &["consent_expires", "consent_expires_at"];
const COMPANY: &[&str] = &["company", "company_id", "company_name"];
const HEALTH: &[&str] = &["health_score", "health", "reputation_score"];
const CALLS: &[&str] = &["call_count", "calls", "total_calls", "usage_count"];
const ANSWER_RATE: &[&str] = &["answer_rate", "answered_rate"];
const LAST_USED: &[&str] = &["last_used", "last_used_at", "last_call_at"];
const NOTES: &[&str] = &["notes", "comment"];
const ACTIVE: &[&str] = &["is_active", "active", "enabled"];
const STATUS: &[&str] = &["status", "number_status"];
/// Every column that is read; of others nothing is kept.
const READ: &[&[&str]] = &[
    PHONE,
    LEAD,
    NAME,
    FIRST_NAME,
    LAST_NAME,
    STATE,
    AREA,
    VAPI,
    SIGNALWIRE,
    CONSENT,
    CONSENT_AT,
    CONSENT_EVIDENCE,
    CONSENT_TEXT,
    CONSENT_EXPIRES,
    COMPANY,
    HEALTH,
    CALLS,
    ANSWER_RATE,
    LAST_USED,
    NOTES,
    ACTIVE,
    STATUS,
    HELD_BY,
    HELD_UNTIL,
    HELD_SINCE,
];

/// The column that a file calls so, when it is one that is read.
pub(crate) fn column(name: &str) -> Option<&'static str> {
    let name = spelled(name).replace('_', "");
    READ.iter().copied().flatten().find(|column| column.replace('_', "") == name).copied()
}

/// What the old tables call a number that nobody has, one that somebody has, and one that is in service or a hold in force.
const FREE: &[&str] = &["available", "free", "idle", "released", "expired", "completed", "ready"];
const TAKEN: &[&str] = &["assigned", "in_use", "held", "reserved", "busy", "booked"];
const EITHER: &[&str] = &["active"];
const HELD_BY: &[&str] =
    &["assigned_to", "assigned_lead_id", "assigned_lead", "current_lead_id", "held_by", "lead_id"];
const HELD_UNTIL: &[&str] = &["release_at", "hold_until", "assigned_until", "expires_at", "held_until"];
const HELD_SINCE: &[&str] = &["assigned_at", "held_since"];

/// Reads the numbers of a file: of ours, or an export of `phone_pool` or `phone_assignments` of the n8n flows, of
/// `phone_numbers` or `signalwire_phone_numbers` of the Supabase project. A hold of theirs that is in force is carried
/// over: until the moment that is given, or for 18 hours from its start.
///
/// # Errors
/// When the file cannot be read as CSV or JSON at all.
pub fn read_numbers(body: &[u8], json: bool, company: &CompanyId) -> Result<Accepted<NewNumber>, Problem> {
    Reading::new(json, Columns::of_numbers(), number_of(company)).all(body)
}

fn number_of(
    company: &CompanyId,
) -> impl Fn(&Row, &mut Vec<Marked>) -> Result<Option<NewNumber>, RowRefused> {
    move |row, _| {
        row.within_limits()?;
        if let Some(other) = row.text(COMPANY)?.filter(|name| !name.eq_ignore_ascii_case(company.as_str())) {
            return Err(row.refuse(COMPANY, format!("is {}: the pool is of {company}", excerpt(&other))));
        }
        if row
            .text(ACTIVE)?
            .is_some_and(|text| ["false", "0", "no", "f"].contains(&text.to_lowercase().as_str()))
        {
            return Err(row.refuse(ACTIVE, "is out of service there"));
        }
        let status = row.text(STATUS)?.map(|text| text.to_lowercase()).unwrap_or_default();
        let known = [FREE, TAKEN, EITHER].concat();
        if !status.is_empty() && !known.contains(&status.as_str()) {
            let (status, known) = (excerpt(&status), known.join(", "));
            return Err(
                row.refuse(STATUS, format!("is {status}: only numbers in service are taken ({known})"))
            );
        }
        let number: PhoneNumber = row.parsed(PHONE)?.ok_or_else(|| row.refuse(PHONE, "is missing"))?;
        let place = Place::of_phone(&number);
        Ok(Some(NewNumber {
            vapi_id: row.provider_id(VAPI)?,
            signalwire_id: row.provider_id(SIGNALWIRE)?,
            name: row.text(NAME)?,
            area: match row.parsed::<AreaCode>(AREA)? {
                Some(area) if Some(area.as_str()) != number.area_code() => {
                    return Err(row.refuse(AREA, format!("is {area}, which is not that of the number")));
                }
                _ => place.area,
            },
            state: row.parsed::<Region>(STATE)?.or(place.state),
            history: row.history(&status)?,
            number,
        }))
    }
}

/// Reads the contacts of a file. A row without a lead gets the phone number's digits as its lead.
///
/// # Errors
/// When the file cannot be read as CSV or JSON at all, or a column must be read and is not understood.
pub fn read_contacts(body: &[u8], json: bool) -> Result<Accepted<NewContact>, Problem> {
    read_mapped_contacts(body, json, Mapping::default())
}

/// The same, where somebody said what some columns are.
///
/// # Errors
/// When the file cannot be read as CSV or JSON at all, or a column must be read and is not understood.
pub fn read_mapped_contacts(
    body: &[u8],
    json: bool,
    mapping: Mapping,
) -> Result<Accepted<NewContact>, Problem> {
    Reading::new(json, Columns::of_contacts(mapping), contact_of).all(body).map(without_marked)
}

/// A file that is being read: what is kept of it are the rows that can be taken, and why others cannot.
struct Reading<T, P> {
    rows: Rows,
    parse: P,
    read: usize,
    accepted: Accepted<T>,
}

impl<T, P: Fn(&Row, &mut Vec<Marked>) -> Result<Option<T>, RowRefused>> Reading<T, P> {
    fn new(json: bool, columns: Columns, parse: P) -> Self {
        let (rows, refused, suppressed) = (Vec::new(), Vec::new(), Vec::new());
        let accepted = Accepted { rows, refused, suppressed, not_read: Vec::new(), read: 0 };
        Self { rows: Rows::new(json, columns), parse, read: 0, accepted }
    }

    fn feed(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let Self { rows, parse, read, accepted } = self;
        rows.feed(piece, &mut |row| take(row, parse, read, accepted))
    }

    fn finish(self) -> Result<Accepted<T>, Problem> {
        let Self { rows, parse, mut read, mut accepted } = self;
        accepted.not_read = rows.finish(&mut |row| take(row, &parse, &mut read, &mut accepted))?;
        accepted.read = read;
        Ok(accepted)
    }

    /// A file that is here already.
    fn all(mut self, file: &[u8]) -> Result<Accepted<T>, Problem> {
        self.feed(file)?;
        self.finish()
    }

    /// A file that is sent.
    async fn sent(mut self, mut body: Pieces) -> Result<Accepted<T>, Problem> {
        while let Some(piece) = body.next().await? {
            self.feed(&piece)?;
        }
        self.finish()
    }
}

fn take<T>(
    row: Read,
    parse: &impl Fn(&Row, &mut Vec<Marked>) -> Result<Option<T>, RowRefused>,
    read: &mut usize,
    accepted: &mut Accepted<T>,
) -> Result<(), Problem> {
    *read += 1;
    if *read > MOST_ROWS {
        return Err(Problem::field("body", format!("has more than {MOST_ROWS} rows: send it in parts")));
    }
    let judged = row.and_then(|row| Ok((row.line, parse(&row, &mut accepted.suppressed)?)));
    match judged {
        Ok((line, row)) => accepted.rows.extend(row.map(|row| (line, row))),
        Err(row) => accepted.refused.push(row),
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> Result<bool, Problem> {
    match MediaType::of(headers) {
        MediaType::Json => Ok(true),
        MediaType::Csv => Ok(false),
        MediaType::Unsaid | MediaType::Other => {
            Err(Problem::unknown_media_type("text/csv, application/json"))
        }
    }
}

pub(crate) async fn import_numbers(
    State(state): State<ControlApi>,
    caller: Caller,
    Parameters(parameters): Parameters<ImportParameters>,
    headers: HeaderMap,
    body: Pieces,
) -> Result<Json<NumbersReport>, Problem> {
    if !parameters.map.is_empty() {
        return Err(Problem::field("map", "is for the columns of contacts"));
    }
    let reading = Reading::new(is_json(&headers)?, Columns::of_numbers(), number_of(&caller.company));
    let accepted = reading.sent(body).await?;
    let (cause, dry_run) = (&caller.cause(), parameters.dry_run);
    Ok(Json(Box::pin(claims::bring(&state, cause, &caller.company, accepted, dry_run)).await?))
}

/// Brings the numbers of a file into a company's pool, on an operator's word; a dry run only says what would be. `row_done` is called after each.
///
/// # Errors
/// When the store gives no answer; the import can be repeated.
pub async fn bring_numbers(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    accepted: Accepted<NewNumber>,
    dry_run: bool,
    row_done: impl Fn(),
) -> Result<Report, StoreError> {
    let mut report = report(&accepted, dry_run);
    let mut imported = stream::iter(accepted.rows)
        .map(async |(line, number)| {
            let imported = if dry_run {
                store.would_import_number(company, &number).await?
            } else {
                store.import_number(cause, company, &number).await?
            };
            Ok::<_, StoreError>((line, imported))
        })
        .buffer_unordered(AT_ONCE);
    while let Some((line, imported)) = imported.try_next().await? {
        match imported {
            Imported::Added => report.added += 1,
            Imported::Updated => report.known += 1,
            Imported::OthersNumber => {
                report.refused.push(refusal(line, "number", "is in another company's pool"));
            }
            Imported::OthersProviderId => {
                report.refused.push(refusal(line, "vapi_id", "belongs to another number"));
            }
        }
        row_done();
    }
    report.refused.sort_by_key(|row| row.line);
    Ok(report)
}

pub(crate) async fn import_contacts(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(parameters): Parameters<ImportParameters>,
    headers: HeaderMap,
    body: Pieces,
) -> Result<Json<Report>, Problem> {
    let store = &state.api.store;
    let campaign =
        store.campaign(&caller.company, &id).await?.ok_or_else(|| Problem::not_found("campaign"))?;
    let mapping = Mapping::parse(parameters.map.iter().map(String::as_str));
    let columns = Columns::of_contacts(mapping.map_err(|reason| Problem::field("map", reason))?);
    let accepted = without_marked(Reading::new(is_json(&headers)?, columns, contact_of).sent(body).await?);
    if campaign.status != CampaignStatus::Cancelled && !parameters.dry_run {
        // Before the first contact is there: whoever must not be called is called by no other campaign either.
        let cause = caller.cause();
        suppress_marked(store, &cause, &caller.company, &state.hasher, &accepted.suppressed).await?;
    }
    let mut report = report(&accepted, parameters.dry_run);
    let (lines, contacts): (Vec<u64>, Vec<NewContact>) = accepted.rows.into_iter().unzip();
    let added = if parameters.dry_run {
        store.would_add_contacts(&caller.company, &id, &contacts).await?
    } else {
        store.add_contacts(&caller.cause(), &caller.company, &id, &contacts).await?
    };
    match added {
        Added::Done { added, known } => {
            report.added = added;
            report.skipped = skipped(&lines, &contacts, known);
            report.known = report.skipped.len() as u64;
        }
        Added::Over(status) => {
            return Err(Problem::conflict(format!("the campaign is {status}: it takes no contacts")));
        }
        Added::NotFound => return Err(Problem::not_found("campaign")),
    }
    if parameters.dry_run {
        return Ok(Json(report));
    }
    // One that was completed runs again.
    if matches!(campaign.status, CampaignStatus::Running | CampaignStatus::Completed) && report.added > 0 {
        state.ask_for_dials(&caller, &campaign).await?;
    }
    Ok(Json(report))
}

/// The rows whose numbers were `known`. Of a number that the file has several times the last rows are.
pub fn skipped(lines: &[u64], contacts: &[NewContact], known: Vec<PhoneNumber>) -> Vec<RowRefused> {
    let mut times: BTreeMap<PhoneNumber, usize> = BTreeMap::new();
    for phone in known {
        *times.entry(phone).or_default() += 1;
    }
    let mut skipped = Vec::new();
    for (line, contact) in lines.iter().zip(contacts).rev() {
        if let Some(left) = times.get_mut(&contact.phone).filter(|left| **left > 0) {
            *left -= 1;
            skipped.push(refusal(*line, "phone", "is in the campaign already"));
        }
    }
    skipped.reverse();
    skipped
}

pub(crate) fn refusal(line: u64, field: &str, reason: &str) -> RowRefused {
    RowRefused { line, field: field.to_owned(), reason: reason.to_owned() }
}

pub(crate) fn report<T>(accepted: &Accepted<T>, dry_run: bool) -> Report {
    Report {
        rows: accepted.read,
        added: 0,
        known: 0,
        skipped: Vec::new(),
        refused: accepted.refused.clone(),
        suppressed: accepted.suppressed.iter().map(|marked| marked.row.clone()).collect(),
        not_read: accepted.not_read.clone(),
        dry_run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_row_has_its_line_and_reason_and_the_others_are_taken() {
        let file = "Phone Number,name,state\n\
                    +14155550101,Example Lead 1,CA\n\
                    not a phone,Example Lead 2,CA\n\
                    +14155550103,Example Lead 3,CA,too many\n\
                    +14155550104,Example Lead 4,ZZ\n\
                    ,Example Lead 5,CA\n\
                    +14155550106,Example Lead 6,NY\n";
        let accepted = read_contacts(file.as_bytes(), false).unwrap();
        let taken: Vec<_> =
            accepted.rows.iter().map(|(line, contact)| (*line, contact.phone.as_str())).collect();
        assert_eq!(taken, [(2, "+14155550101"), (7, "+14155550106")]);
        let refused: Vec<_> = accepted.refused.iter().map(|row| (row.line, row.field.as_str())).collect();
        assert_eq!(refused, [(3, "phone_number"), (4, "row"), (5, "state"), (6, "phone_number")]);
        assert!(accepted.refused.iter().all(|row| !row.reason.is_empty()));
    }

    #[test]
    fn a_file_without_a_phone_column_is_refused_as_a_whole() {
        let problem = read_numbers(b"name,state\nA,CA\n", false, &acme()).unwrap_err();
        assert_eq!(problem.status().as_u16(), 422);
    }

    fn acme() -> CompanyId {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_moment_is_read_as_databases_write_it() {
        for text in [
            "2026-03-02T15:04:05Z",
            "2026-03-02 15:04:05+00",
            "2026-03-02 15:04:05",
            "2026-03-02T10:04:05-05:00",
        ] {
            let file = format!("number,last_used\n+14155550101,{text}\n");
            let accepted = read_numbers(file.as_bytes(), false, &acme()).unwrap();
            let history = &accepted.rows[0].1.history;
            assert_eq!(history.last_used_at, "2026-03-02T15:04:05Z".parse().ok(), "{text}");
        }
    }

    #[test]
    fn a_number_that_is_out_of_service_or_of_another_company_is_refused_with_its_column() {
        let file = "number,status,company,is_active,area_code\n+14155550101,retired,acme,true,415\n\
                    +14155550102,available,other,true,415\n+14155550103,available,acme,false,415\n\
                    +14155550104,available,acme,true,212\n+14155550105,available,ACME,true,415\n";
        let accepted = read_numbers(file.as_bytes(), false, &acme()).unwrap();
        let refused: Vec<_> = accepted.refused.iter().map(|row| (row.line, row.field.as_str())).collect();
        assert_eq!(refused, [(2, "status"), (3, "company"), (4, "is_active"), (5, "area_code")]);
        assert_eq!(accepted.rows.len(), 1);
    }

    #[test]
    fn where_a_contact_is_is_judged_when_it_comes_in() {
        let file = "phone,zip,state,timezone\n+14155550101,2134,,\n+14155550102,94105,California,America/Detroit\n\
                    +14155550103,9410X,ca,\n+14155550104,9410X,,\n+14155550105,,,Eastern Europe\n+14155550106,,Ontario,\n";
        let accepted = read_contacts(file.as_bytes(), false).unwrap();
        let zips: Vec<_> = accepted.rows.iter().map(|(_, contact)| contact.address.zip.as_deref()).collect();
        assert_eq!(zips, [Some("02134"), Some("94105"), Some("9410X")]);
        let refused: Vec<_> = accepted.refused.iter().map(|row| (row.line, row.field.as_str())).collect();
        assert_eq!(refused, [(5, "zip"), (6, "timezone"), (7, "state")]);
    }

    #[test]
    fn what_is_not_read_refuses_no_row() {
        let file = format!(
            "phone,name,remarks,notes\n1415555101,a,,\n4155550102,b,\"{}\n2\",\"two\nlines\"\n4155550105,e,f,g\n",
            "x".repeat(5_000)
        );
        let accepted = read_contacts(file.as_bytes(), false).unwrap();
        let taken: Vec<_> =
            accepted.rows.iter().map(|(line, contact)| (*line, contact.phone.as_str())).collect();
        assert_eq!(taken, [(3, "+14155550102"), (6, "+14155550105")]);
        assert_eq!(accepted.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn json_has_the_same_names_as_csv() {
        let accepted =
            read_numbers(br#"[{"number":"+14155550101","vapi_id":"pn-1"},{"number":12}]"#, true, &acme())
                .unwrap();
        assert_eq!(accepted.rows[0].1.vapi_id.as_deref(), Some("pn-1"));
        assert_eq!(accepted.refused[0].line, 2);
    }

    #[test]
    fn a_list_where_a_text_is_expected_is_refused_with_its_field_and_elsewhere_left_alone() {
        let file = br#"[{"phone":"+14155550101","tags":["a"],"meta":{}},{"phone":["+14155550102"]},
            {"phone":"+14155550103","full_name":{"first":"A"}}]"#;

        let accepted = read_contacts(file, true).unwrap();

        assert_eq!(accepted.rows.len(), 1);
        let reason = "is a list or an object: a text or a number is taken";
        assert_eq!(accepted.refused, [refusal(2, "phone", reason), refusal(3, "full_name", reason)]);
    }

    /// How large the report of a file is as a function answers it: JSON that is a text in JSON.
    fn answered<T>(accepted: &Accepted<T>) -> usize {
        let report = serde_json::to_string(&report(accepted, false)).unwrap();
        serde_json::to_string(&report).unwrap().len()
    }

    #[test]
    fn the_answer_stays_under_5_mb_whatever_the_refused_rows_say() {
        for sign in ["x", "é", "漢", "\u{1f600}", "\"", "\\", "\u{1}", "\u{7f}"] {
            let (cell, name) = (sign.repeat(1_000), sign.repeat(100));
            let told = serde_json::to_string(&cell).unwrap();
            let long = serde_json::to_string(&"x".repeat(LONGEST_VALUE + 1)).unwrap();
            let name = serde_json::to_string(&name).unwrap();
            let rows = [
                format!("{{\"number_status\":{told}}}"),
                format!("{{\"company_name\":{told}}}"),
                format!("{{\"signalwire_phone_number_id\":{told},\"phone\":\"+14155550101\"}}"),
                format!("{{\"phone_number\":{told}}}"),
                format!("{{{name}:{long}}}"),
                format!("{{{name}:[],\"phone\":[]}}"),
            ];
            for row in rows {
                let file = format!("[{}]", vec![row.as_str(); MOST_ROWS].join(","));
                let accepted = read_numbers(file.as_bytes(), true, &"c".repeat(40).parse().unwrap()).unwrap();
                let size = answered(&accepted);
                assert_eq!(accepted.refused.len(), MOST_ROWS);
                assert!(size < 5_000_000, "{size} bytes for {:?}", accepted.refused[0]);
            }
        }
    }

    #[test]
    fn a_refusal_repeats_the_first_hundred_characters() {
        let row = format!("[{{\"status\":\"{}\"}}]", "x".repeat(500));

        let accepted = read_numbers(row.as_bytes(), true, &acme()).unwrap();

        let begins = format!("is {}…: only numbers in service are taken (", "x".repeat(100));
        assert!(accepted.refused[0].reason.starts_with(&begins), "{:?}", accepted.refused);
    }
}
