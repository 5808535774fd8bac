//! Campaigns as CSV: contacts with what became of them, and calls with why each was lawful.
//!
//! An export comes in pages, each of which fits into the answer of a Lambda function. The first has the header line; as long as
//! there is more, `Link` says where (`rel="next"`). Pages put one behind the other are one file. Each is read for itself: what
//! changes in between is as it was when its page was read.
//!
//! Cells are safe in a spreadsheet ([`cells`](crate::cells)). The columns of contacts that an import knows have its names: an
//! export can be imported.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use dialpool_domain::call::Call;
use dialpool_domain::consent::Consent;
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::{CallId, CampaignId, CompanyId, PhoneNumber, Timestamp, Usd};
use dialpool_dynamo::{Store, StoreError, ToldOfCall};
use dialpool_runtime::http::{Api, Caller, IdIn, Parameters, Problem};
use serde::Serialize;

use crate::cells::push_row;
use crate::wire::{Onward, place};

/// Rows that are read at once.
const CONTACTS_AT_ONCE: u32 = 1_000;
const CALLS_AT_ONCE: u32 = 500;

/// Calls that are looked up for a page of contacts. A contact's cost is that of all of its calls: one that alone has more is a
/// page by itself.
const MOST_CALLS_OF_CONTACTS: usize = 2_000;

/// A page ends behind the row that makes it longer than this: a function may answer 6 MB, of which JSON around it takes a part.
const LONG_ENOUGH: usize = 2 * 1024 * 1024;

const CONTACT_COLUMNS: [&str; 21] = [
    "phone",
    "lead",
    "name",
    "state",
    "zip",
    "timezone",
    "status",
    "done_reason",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "calls",
    "last_outcome",
    "last_ended_reason",
    "cost",
    "last_recording_url",
    "next_due_at",
    "consent",
    "consent_at",
    "consent_evidence",
    "consent_expires_at",
];

const CALL_COLUMNS: [&str; 32] = [
    "call_id",
    "campaign_id",
    "lead",
    "to",
    "from",
    "attempt",
    "call_state",
    "outcome",
    "ended_reason",
    "claimed_at",
    "answered_at",
    "ended_at",
    "cost",
    "recording_url",
    "provider_call_id",
    "opted_out",
    "rules_version",
    "citations",
    "zones",
    "zone_sources",
    "law_states",
    "window_opened_at",
    "window_closes_at",
    "not_on_lists",
    "consent_kind",
    "consent_captured_at",
    "consent_evidence",
    "consent_text_sha256",
    "calls_before_24_h",
    "calls_before_7_days",
    "calls_before_30_days",
    "evaluated_at",
];

/// A part of an export, and where the next begins.
#[derive(Debug)]
pub struct ExportPage<K> {
    /// Its rows, and before the first of all the header line.
    pub csv: String,
    /// The `after` of the next part; none: this was the last.
    pub next: Option<K>,
}

type Cells<'a> = Vec<Cow<'a, str>>;

/// The contacts of a campaign by number, from behind `after` on, with what became of their calls. `None`: the company has no
/// such campaign.
///
/// # Errors
/// When the store gives no answer.
pub async fn export_contacts(
    store: &Store,
    company: &CompanyId,
    campaign: &CampaignId,
    after: Option<&PhoneNumber>,
) -> Result<Option<ExportPage<PhoneNumber>>, StoreError> {
    let Some(page) = store.contacts(company, campaign, after, CONTACTS_AT_ONCE).await? else {
        return Ok(None);
    };
    let contacts = within_calls(&page.contacts);
    let ids: Vec<&CallId> = contacts.iter().flat_map(|contact| &contact.calls).collect();
    let told = store.told_of_calls(&ids).await?;
    let mut csv = header(&CONTACT_COLUMNS, after.is_none());
    for contact in contacts {
        let calls: Vec<&ToldOfCall> = contact.calls.iter().filter_map(|id| told.get(id)).collect();
        push_row(&mut csv, &contact_cells(contact, &calls));
        if csv.len() > LONG_ENOUGH {
            return Ok(Some(ExportPage { csv, next: Some(contact.phone.clone()) }));
        }
    }
    let behind = contacts.last().filter(|_| contacts.len() < page.contacts.len());
    Ok(Some(ExportPage { csv, next: behind.map(|contact| contact.phone.clone()).or(page.next) }))
}

/// The first of the contacts: as many as have no more calls than are looked up for a page, and one in any case.
fn within_calls(contacts: &[Contact]) -> &[Contact] {
    let mut calls = 0;
    let fits = |contact: &&Contact| {
        calls += contact.calls.len();
        calls <= MOST_CALLS_OF_CONTACTS
    };
    let fitting = contacts.iter().take_while(fits).count();
    &contacts[..fitting.max(1).min(contacts.len())]
}

/// The calls of a campaign, the newest first, from behind `after` on, each with the record of why it was lawful.
///
/// # Errors
/// When the store gives no answer.
pub async fn export_calls(
    store: &Store,
    company: &CompanyId,
    campaign: &CampaignId,
    after: Option<(Timestamp, CallId)>,
) -> Result<ExportPage<(Timestamp, String)>, StoreError> {
    let mut csv = header(&CALL_COLUMNS, after.is_none());
    let page = store.calls(company, Some(campaign), after, CALLS_AT_ONCE).await?;
    for call in &page.entries {
        push_row(&mut csv, &call_cells(call));
        if csv.len() > LONG_ENOUGH {
            return Ok(ExportPage { csv, next: Some((call.claimed_at, call.id.to_string())) });
        }
    }
    Ok(ExportPage { csv, next: page.next })
}

fn header(columns: &[&'static str], first: bool) -> String {
    let mut csv = String::new();
    if first {
        let names: Cells<'_> = columns.iter().map(|name| Cow::Borrowed(*name)).collect();
        push_row(&mut csv, &names);
    }
    csv
}

fn contact_cells<'a>(contact: &'a Contact, calls: &[&'a ToldOfCall]) -> Cells<'a> {
    let (status, due_at, done) = match &contact.state {
        ContactState::Pending { due_at } => ("pending", Some(*due_at), None),
        ContactState::InFlight { .. } => ("in_flight", None, None),
        ContactState::Done { reason } => ("done", None, Some(reason.as_str())),
    };
    let cost: Usd = calls.iter().filter_map(|call| call.report.cost).sum();
    let last = calls.iter().rev().find(|call| call.report.outcome.is_some()).map(|call| &call.report);
    let recording = calls.iter().rev().find_map(|call| call.report.recording_url.as_deref());
    let [consent, consent_at, evidence, expires_at] = consent_cells(contact.consent.as_ref());
    vec![
        contact.phone.as_str().into(),
        contact.lead.as_str().into(),
        text(contact.name.as_deref()),
        text(contact.address.state.as_ref().map(|state| state.as_str())),
        text(contact.address.zip.as_deref()),
        text(contact.address.zone.as_deref()),
        status.into(),
        text(done),
        contact.attempts.len().to_string().into(),
        moment(contact.attempts.first().copied()),
        moment(contact.attempts.last().copied()),
        contact.calls.len().to_string().into(),
        text(last.and_then(|report| report.outcome).map(|outcome| outcome.as_str())),
        text(last.and_then(|report| report.ended_reason.as_deref())),
        cost.to_string().into(),
        text(recording),
        moment(due_at),
        consent,
        consent_at,
        evidence,
        expires_at,
    ]
}

fn call_cells(call: &Call) -> Cells<'_> {
    let (report, basis) = (&call.report, &call.legal_basis);
    let [consent, consent_at, evidence, _] = consent_cells(basis.consent.as_ref());
    let agreed_to = basis.consent.as_ref().and_then(|consent| consent.text_sha256.as_deref());
    let before = &basis.calls_before;
    vec![
        call.id.as_str().into(),
        call.campaign_id.as_str().into(),
        call.lead.as_str().into(),
        call.to.as_str().into(),
        call.from.as_str().into(),
        call.attempt.to_string().into(),
        call.state.as_str().into(),
        text(report.outcome.map(|outcome| outcome.as_str())),
        text(report.ended_reason.as_deref()),
        moment(Some(call.claimed_at)),
        moment(report.started_at),
        moment(report.ended_at),
        report.cost.map(|cost| cost.to_string()).unwrap_or_default().into(),
        text(report.recording_url.as_deref()),
        text(call.provider_call_id.as_deref()),
        report.opted_out.to_string().into(),
        basis.rules_version.as_str().into(),
        basis.citations.join("; ").into(),
        names(&basis.zones),
        names(&basis.zone_sources),
        names(&basis.states),
        moment(Some(basis.opened_at)),
        moment(Some(basis.closes_at)),
        basis.lists.join("; ").into(),
        consent,
        consent_at,
        evidence,
        text(agreed_to),
        before.in_24_h.to_string().into(),
        before.in_7_days.to_string().into(),
        before.in_30_days.to_string().into(),
        moment(Some(basis.evaluated_at)),
    ]
}

/// Kind, moment, proof and end.
fn consent_cells(consent: Option<&Consent>) -> [Cow<'_, str>; 4] {
    let Some(consent) = consent else { return Default::default() };
    [
        name(&consent.kind).into(),
        moment(Some(consent.captured_at)),
        consent.evidence.as_str().into(),
        moment(consent.expires_at),
    ]
}

fn text(text: Option<&str>) -> Cow<'_, str> {
    text.unwrap_or_default().into()
}

fn moment(at: Option<Timestamp>) -> Cow<'static, str> {
    at.map(|at| at.to_string()).unwrap_or_default().into()
}

/// A value as JSON names it.
fn name<T: Serialize>(value: &T) -> String {
    let name = serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned));
    name.unwrap_or_default()
}

fn names<T: Serialize>(values: &[T]) -> Cow<'static, str> {
    values.iter().map(name).collect::<Vec<_>>().join("; ").into()
}

pub(crate) async fn contacts(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(from): Parameters<Onward<PhoneNumber>>,
) -> Result<Response, Problem> {
    let page = export_contacts(&api.store, &caller.company, &id, from.after.as_ref()).await?;
    let page = page.ok_or_else(|| Problem::not_found("campaign"))?;
    // A bare `+` would be a blank to whoever reads the query.
    let next = page.next.map(|phone| phone.as_str().replace('+', "%2B"));
    answer(
        &format!("/v1/campaigns/{id}/export"),
        &format!("{id}-contacts"),
        from.after.is_none(),
        page.csv,
        next,
    )
}

pub(crate) async fn calls(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(from): Parameters<Onward<String>>,
) -> Result<Response, Problem> {
    if api.store.campaign(&caller.company, &id).await?.is_none() {
        return Err(Problem::not_found("campaign"));
    }
    let after = place(from.after.as_deref())?;
    let first = after.is_none();
    let page = export_calls(&api.store, &caller.company, &id, after).await?;
    let next = page.next.map(|(at, id)| format!("{}~{id}", at.as_millis()));
    answer(&format!("/v1/campaigns/{id}/calls/export"), &format!("{id}-calls"), first, page.csv, next)
}

fn answer(
    path: &str,
    file: &str,
    first: bool,
    csv: String,
    next: Option<String>,
) -> Result<Response, Problem> {
    let value = |text: String| HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error));
    let mut response = csv.into_response();
    let headers = response.headers_mut();
    let line = if first { "present" } else { "absent" };
    headers.insert(header::CONTENT_TYPE, value(format!("text/csv; charset=utf-8; header={line}"))?);
    headers.insert(header::CONTENT_DISPOSITION, value(format!("attachment; filename=\"{file}.csv\""))?);
    if let Some(next) = next {
        headers.insert(header::LINK, value(format!("<{path}?after={next}>; rel=\"next\""))?);
    }
    Ok(response)
}
