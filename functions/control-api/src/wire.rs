//! What callers send and what they get.

use std::fmt;

use dialpool_domain::call::Call;
use dialpool_domain::campaign::{Cap, Mode, Voicemail};
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::event::Event;
use dialpool_domain::pool::HoldHours;
use dialpool_domain::retry::DoneReason;
use dialpool_domain::{CallId, CompanyId, LeadId, PhoneNumber, Timestamp};
use dialpool_dynamo::LogEntry;
use dialpool_runtime::http::Problem;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignRequest {
    pub(crate) company: Option<CompanyId>,
    pub(crate) name: String,
    pub(crate) assistant_id: String,
    pub(crate) cap: Option<Cap>,
    pub(crate) from_number: Option<PhoneNumber>,
    pub(crate) hold_hours: Option<HoldHours>,
    #[serde(default)]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) consent_required: ConsentRequired,
    #[serde(default)]
    pub(crate) voicemail: Voicemail,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignChange {
    pub(crate) company: Option<CompanyId>,
    pub(crate) assistant_id: Option<String>,
    pub(crate) cap: Option<Cap>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressionRequest {
    pub(crate) company: Option<CompanyId>,
    pub(crate) phone: PhoneNumber,
    pub(crate) lead: Option<LeadId>,
}

/// Which part of a list, by phone number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PhonePage {
    pub(crate) after: Option<PhoneNumber>,
    limit: Option<u32>,
}

impl PhonePage {
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=1_000 => Ok(limit),
            _ => Err(Problem::field("limit", "is 1 to 1000")),
        }
    }
}

/// How a file is to be imported. `map` may be given several times.
#[derive(Debug, Default)]
pub(crate) struct ImportParameters {
    pub(crate) dry_run: bool,
    pub(crate) map: Vec<String>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ImportParameter {
    DryRun,
    Map,
}

impl<'de> Deserialize<'de> for ImportParameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;

        impl<'de> Visitor<'de> for Given {
            type Value = ImportParameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dry_run and map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<ImportParameters, A::Error> {
                let mut parameters = ImportParameters::default();
                while let Some(name) = given.next_key()? {
                    match name {
                        ImportParameter::DryRun => parameters.dry_run = given.next_value()?,
                        ImportParameter::Map => parameters.map.push(given.next_value()?),
                    }
                }
                Ok(parameters)
            }
        }

        deserializer.deserialize_map(Given)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ContactView {
    phone: PhoneNumber,
    lead: LeadId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promised_for: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<CallId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<DoneReason>,
    attempts: Vec<Timestamp>,
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        let (status, due_at, call_id, done) = match contact.state {
            ContactState::Pending { due_at } => ("pending", Some(due_at), None, None),
            ContactState::InFlight { call_id } => ("in_flight", None, Some(call_id), None),
            ContactState::Done { reason } => ("done", None, None, Some(reason)),
        };
        let (phone, lead, name, attempts) = (contact.phone, contact.lead, contact.name, contact.attempts);
        let promised_for = contact.promised_for;
        Self { phone, lead, name, status, due_at, promised_for, call_id, done, attempts }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ContactsView {
    pub(crate) contacts: Vec<ContactView>,
    /// The `after` of the next page; none: this was the last.
    pub(crate) next: Option<PhoneNumber>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CallView {
    #[serde(flatten)]
    pub(crate) call: Call,
    pub(crate) events: Vec<Event>,
    pub(crate) provider_log: Vec<LogEntry>,
}

/// Where the next page of a list begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Onward<T> {
    pub(crate) after: Option<T>,
}

/// Which part of a list that is ordered by time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    after: Option<String>,
    limit: Option<u32>,
}

impl Since {
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=100 => Ok(limit),
            _ => Err(Problem::field("limit", "is 1 to 100")),
        }
    }

    /// The place behind which the page starts: a moment and an id, as `next` gave them.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<(Timestamp, T)>, Problem> {
        place(self.after.as_deref())
    }
}

/// A moment and an id, as the `next` of a page has them.
pub(crate) fn place<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<(Timestamp, T)>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let place = text
        .split_once('~')
        .and_then(|(at, id)| Some((Timestamp::from_millis(at.parse().ok()?), id.parse().ok()?)));
    place.map(Some).ok_or_else(|| Problem::field("after", "is the `next` of a page before"))
}

/// The entries of a page, under a name of their own.
pub(crate) fn listed<T: Serialize>(name: &str, page: dialpool_dynamo::Page<T>) -> serde_json::Value {
    let next = page.next.map(|(at, id)| format!("{}~{id}", at.as_millis()));
    serde_json::json!({ name: page.entries, "next": next })
}
