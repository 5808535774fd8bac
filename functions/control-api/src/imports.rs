//! Numbers and contacts from CSV and JSON: every row is taken or refused with its line and the reason.
//!
//! CSV has a header line; columns are found by their name or one of its aliases, in any order, and unknown ones are left
//! alone. JSON is an array of objects with the same names. A file that cannot be read at all is refused as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use dialpool_domain::contact::{Address, NewContact};
use dialpool_domain::place::{Place, State as Region};
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CampaignId, LeadId, PhoneNumber};
use dialpool_dynamo::{Added, Imported};
use dialpool_runtime::http::{Api, Caller, IdIn, Parameters, Problem, RawBody};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ControlApi;
use crate::wire::ImportParameters;

/// The most rows of one file (D2).
const MOST_ROWS: usize = 10_000;

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
    /// Not taken.
    pub refused: Vec<RowRefused>,
    /// Nothing was changed: the report says what would be.
    pub dry_run: bool,
}

/// One row: its values by column name, in lower case.
struct Row {
    line: u64,
    values: Map<String, Value>,
}

impl Row {
    /// The value of the first of `names` that has one.
    fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.values.get(*name)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        names: &[&str],
    ) -> Result<Option<T>, RowRefused> {
        let Some(text) = self.text(names) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: T::Err| self.refuse(names, error.to_string()))
    }

    fn refuse(&self, names: &[&str], reason: impl Into<String>) -> RowRefused {
        let named = names.iter().find(|name| self.values.contains_key(**name)).or(names.first());
        RowRefused { line: self.line, field: (*named.unwrap_or(&"row")).to_owned(), reason: reason.into() }
    }
}

const PHONE: &[&str] = &["phone", "phone_number", "number", "e164", "mobile"];
const LEAD: &[&str] = &["lead", "lead_id", "external_id", "id"];
const NAME: &[&str] = &["name", "full_name", "first_name", "label"];
const ZIP: &[&str] = &["zip", "zip_code", "postal_code"];
const STATE: &[&str] = &["state", "region"];
const ZONE: &[&str] = &["timezone", "time_zone", "zone"];
const VAPI: &[&str] = &["vapi_id", "vapi_phone_number_id", "phone_number_id"];
const SIGNALWIRE: &[&str] = &["signalwire_id", "signalwire_phone_number_id"];

/// Reads the numbers of a file.
///
/// # Errors
/// When the file cannot be read as CSV or JSON at all.
pub fn read_numbers(body: &[u8], json: bool) -> Result<Accepted<NewNumber>, Problem> {
    read(body, json, |row| {
        let number: PhoneNumber = row.parsed(PHONE)?.ok_or_else(|| row.refuse(PHONE, "is missing"))?;
        let place = Place::of_phone(&number);
        Ok(NewNumber {
            vapi_id: row.text(VAPI),
            signalwire_id: row.text(SIGNALWIRE),
            name: row.text(NAME),
            area: place.area,
            state: row.parsed::<Region>(STATE)?.or(place.state),
            number,
        })
    })
}

/// Reads the contacts of a file. A row without a lead gets the phone number's digits as its lead.
///
/// # Errors
/// When the file cannot be read as CSV or JSON at all.
pub fn read_contacts(body: &[u8], json: bool) -> Result<Accepted<NewContact>, Problem> {
    read(body, json, |row| {
        let phone: PhoneNumber = row.parsed(PHONE)?.ok_or_else(|| row.refuse(PHONE, "is missing"))?;
        let lead: LeadId = match row.parsed(LEAD)? {
            Some(lead) => lead,
            None => phone.as_str().parse().map_err(|_| row.refuse(LEAD, "is missing"))?,
        };
        Ok(NewContact {
            address: Address { zone: row.text(ZONE), zip: row.text(ZIP), state: row.parsed(STATE)? },
            name: row.text(NAME),
            lead,
            phone,
        })
    })
}

fn read<T>(
    body: &[u8],
    json: bool,
    parse: impl Fn(&Row) -> Result<T, RowRefused>,
) -> Result<Accepted<T>, Problem> {
    let (rows, mut refused) = if json { (json_rows(body)?, Vec::new()) } else { csv_rows(body)? };
    if rows.len() > MOST_ROWS {
        return Err(Problem::field(
            "body",
            format!("has {} rows; at most {MOST_ROWS} are taken at once", rows.len()),
        ));
    }
    let mut accepted = Vec::with_capacity(rows.len());
    for row in rows {
        match parse(&row) {
            Ok(value) => accepted.push((row.line, value)),
            Err(row) => refused.push(row),
        }
    }
    refused.sort_by_key(|row| row.line);
    Ok(Accepted { rows: accepted, refused })
}

fn json_rows(body: &[u8]) -> Result<Vec<Row>, Problem> {
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(body)
        .map_err(|error| Problem::unreadable(format!("the body is not a JSON array of objects: {error}")))?;
    let row = |(values, line)| Row { line, values };
    Ok(rows.into_iter().zip(1..).map(row).collect())
}

fn csv_rows(body: &[u8]) -> Result<(Vec<Row>, Vec<RowRefused>), Problem> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(body);
    let header =
        reader.headers().map_err(|error| Problem::unreadable(format!("the header of the CSV: {error}")))?;
    let columns: Vec<String> = header
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_lowercase().replace([' ', '-'], "_"))
        .collect();
    if !columns.iter().any(|column| PHONE.contains(&column.as_str())) {
        let expected = PHONE.join(", ");
        return Err(Problem::field(
            "header",
            format!("has no column for the phone number: one of {expected}"),
        ));
    }
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok((rows, refused)),
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let values = columns.iter().cloned().zip(record.iter().map(Value::from)).collect();
                rows.push(Row { line, values });
            }
            Err(error) if error.is_io_error() => return Err(Problem::unreadable("the body broke off")),
            Err(error) => refused.push(unreadable_row(line, &error)),
        }
    }
}

fn unreadable_row(line: u64, error: &csv::Error) -> RowRefused {
    let (line, reason) = match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => (
            pos.as_ref().map_or(line, csv::Position::line),
            format!("has {len} columns, the header has {expected_len}"),
        ),
        csv::ErrorKind::Utf8 { pos, .. } => {
            (pos.as_ref().map_or(line, csv::Position::line), "is not UTF-8 text".to_owned())
        }
        _ => (line, error.to_string()),
    };
    RowRefused { line, field: "row".to_owned(), reason }
}

fn is_json(headers: &HeaderMap) -> Result<bool, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => Ok(true),
        "text/csv" => Ok(false),
        _ => Err(Problem::field("Content-Type", "is text/csv or application/json")),
    }
}

pub(crate) async fn import_numbers(
    State(api): State<Api>,
    caller: Caller,
    Parameters(parameters): Parameters<ImportParameters>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<Report>, Problem> {
    let accepted = read_numbers(&body, is_json(&headers)?)?;
    let mut report = report(&accepted, parameters.dry_run);
    if parameters.dry_run {
        return Ok(Json(report));
    }
    for (line, number) in accepted.rows {
        match api.store.import_number(caller.at, &caller.company, &number).await? {
            Imported::Added => report.added += 1,
            Imported::Updated => report.known += 1,
            Imported::OthersNumber => report.refused.push(others_number(line)),
        }
    }
    Ok(Json(report))
}

pub(crate) async fn import_contacts(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(parameters): Parameters<ImportParameters>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<Report>, Problem> {
    let accepted = read_contacts(&body, is_json(&headers)?)?;
    let mut report = report(&accepted, parameters.dry_run);
    let contacts: Vec<NewContact> = accepted.rows.into_iter().map(|(_, contact)| contact).collect();
    let store = &state.api.store;
    let campaign =
        store.campaign(&caller.company, &id).await?.ok_or_else(|| Problem::not_found("campaign"))?;
    if parameters.dry_run {
        return Ok(Json(report));
    }
    match store.add_contacts(&caller.cause(), &caller.company, &id, &contacts).await? {
        Added::Done { added, known } => {
            report.added = added;
            report.known = known.len() as u64;
        }
        Added::Over(status) => {
            return Err(Problem::conflict(format!("the campaign is {status}: it takes no contacts")));
        }
        Added::NotFound => return Err(Problem::not_found("campaign")),
    }
    if campaign.status == dialpool_domain::campaign::CampaignStatus::Running {
        state.ask_for_dials(&caller, &campaign).await?;
    }
    Ok(Json(report))
}

/// Why a row is refused whose number is in another company's pool.
pub fn others_number(line: u64) -> RowRefused {
    RowRefused { line, field: "number".to_owned(), reason: "is in another company's pool".to_owned() }
}

fn report<T>(accepted: &Accepted<T>, dry_run: bool) -> Report {
    let rows = accepted.rows.len() + accepted.refused.len();
    Report { rows, added: 0, known: 0, refused: accepted.refused.clone(), dry_run }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_row_has_its_line_and_reason_and_the_others_are_taken() {
        let file = "Phone Number,name,state\n\
                    +14155550101,Example Lead 1,CA\n\
                    not a phone,Example Lead 2,CA\n\
                    +14155550103,Example Lead 3\n\
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
        let problem = read_numbers(b"name,state\nA,CA\n", false).unwrap_err();
        assert_eq!(problem.status().as_u16(), 422);
    }

    #[test]
    fn json_has_the_same_names_as_csv() {
        let accepted =
            read_numbers(br#"[{"number":"+14155550101","vapi_id":"pn-1"},{"number":12}]"#, true).unwrap();
        assert_eq!(accepted.rows[0].1.vapi_id.as_deref(), Some("pn-1"));
        assert_eq!(accepted.refused[0].line, 2);
    }
}
