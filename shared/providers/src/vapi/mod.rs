//! Vapi, the voice AI provider.
//!
//! **What is sent.** One `POST /call` per call. Our call id is its `name` and is in `assistantOverrides.metadata`, so that
//! whatever Vapi reports or lists can be told apart; `schedulePlan` ends with the legal calling window, so that a request
//! which is late cannot ring anybody; `assistantOverrides.server` says where the reports go and how they prove themselves.
//!
//! **What is made of the answer.** Only what is certain is believed:
//!
//! | answer | outcome |
//! |---|---|
//! | no connection (name, TCP, TLS) | [`PlaceCall::NotSent`] |
//! | 2xx with an id | [`PlaceCall::Accepted`] |
//! | 429, or "over concurrency limit" | [`PlaceCall::Refused`], [`RefusalKind::Capacity`] |
//! | 401, 402, 403, 407 | [`PlaceCall::Refused`], [`RefusalKind::Unauthorized`] |
//! | another 4xx that HTTP defines for a request that was not acted on | [`PlaceCall::Refused`], [`RefusalKind::Invalid`] |
//! | 408, 409, 425, a 4xx that HTTP does not define, 3xx, 5xx, 2xx without an id, no answer | [`PlaceCall::Unknown`] |
//!
//! 408, 425 and the 499 of proxies are said by whoever stands in between, when the request may be on its way; 409 may be
//! the conflict with the very call that was asked for. `Unknown` is solved by [`Vapi::calls_of_number`] or by a webhook.
//!
//! **What is not here**: retries. A request is sent once; whether again is for the caller to know.

mod assistants;
mod heard;
pub mod kept;
mod numbers;
mod opening;
pub mod webhook;
pub mod webhook_auth;
mod wire;

use std::collections::BTreeSet;
use std::fmt;

use ::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::{CallId, CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp, TraceId, Usd};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

pub use self::assistants::{ProviderAssistant, Written};
use crate::http::{Transport, TransportError};
use crate::json::{self, Json};

/// How many calls are asked for at once.
///
/// Calls come with their transcripts, and a page that is too long for the transport would prove nothing.
const PAGE: usize = 25;

/// A number makes 75 calls a day, if its company does not say otherwise: more pages than this are not what was asked for.
const PAGES: usize = 20;

/// The body of a request to take one call back: the contract requires one.
const WITHDRAW: &[u8] = b"{}";

/// How much of the provider's words about a refusal is kept, in characters.
const MESSAGE_CHARACTERS: usize = 200;

/// Vapi's API, for one account.
#[derive(Debug, Clone)]
pub struct Vapi {
    transport: Transport,
    base_url: String,
    api_key: SecretString,
}

/// A call to be placed.
#[derive(Debug)]
pub struct NewCall<'a> {
    /// Our id of it.
    pub call_id: &'a CallId,
    /// The tenant.
    pub company: &'a CompanyId,
    /// The campaign that it is part of.
    pub campaign_id: &'a CampaignId,
    /// What it came of.
    pub trace_id: &'a TraceId,
    /// The assistant that speaks.
    pub assistant_id: &'a str,
    /// The provider's id of the number to call from.
    pub phone_number_id: &'a str,
    /// The number to call.
    pub customer: &'a PhoneNumber,
    /// Who is called; cut to 40 characters.
    pub customer_name: Option<&'a str>,
    /// The lead: whole in the metadata, cut to 40 characters in `customer.externalId`.
    pub lead: &'a LeadId,
    /// The provider may start the call from here: now.
    pub earliest_at: Timestamp,
    /// The provider must not start the call later: the end of the legal window, or sooner.
    pub latest_at: Timestamp,
    /// Whether a message is left when a machine answers; else the call ends there.
    pub leave_voicemail: bool,
    /// Where reports of the call go.
    pub webhook: &'a WebhookTarget,
}

/// Where reports go, and how they prove themselves.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    /// The address.
    pub url: String,
    /// The secret of the server. It is not sent: unless there is a credential, each call carries a secret that follows from it
    /// and opens news of that call only (see [`webhook_auth`]).
    pub secret: SecretString,
    /// The provider's id of a webhook credential (bearer or HMAC) to be used instead.
    pub credential_id: Option<String>,
}

/// What became of the request for a call. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceCall {
    /// The provider took it.
    Accepted {
        /// The provider's id of the call.
        provider_call_id: String,
    },
    /// The provider said that it will not place the call.
    Refused {
        /// Why, in our words.
        kind: RefusalKind,
        /// The status of the answer.
        status: u16,
        /// Why, in the provider's words: 200 characters at most, phone numbers masked.
        message: String,
    },
    /// Nothing was sent: there was no connection.
    NotSent {
        /// What went wrong.
        cause: String,
    },
    /// The provider may have the call, or not.
    Unknown {
        /// What is unclear.
        cause: String,
    },
}

/// What became of a call that was to be taken back. None of these is an error.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It has not begun, and will not.
    Done,
    /// It rings already, or is over: it stays as it is.
    Begun,
    /// It waits still, or the provider says nothing that tells: asking again may help.
    Waits,
    /// The provider does not have it.
    NotFound,
}

/// Why the provider will not place a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Too many calls or requests at the moment.
    Capacity,
    /// The key, the account or its balance.
    Unauthorized,
    /// The request itself.
    Invalid,
}

/// The provider could not be asked, or its answer is of no use. Asking again is harmless and may help.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer.
    #[error(transparent)]
    Send(#[from] TransportError),
    /// An answer that is not what was asked for.
    #[error("answered with {status}: {message}")]
    Status {
        /// The status of the answer.
        status: u16,
        /// The provider's words: 200 characters at most, phone numbers masked.
        message: String,
    },
    /// An answer that cannot be read.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
    /// The request cannot be written: the base address or the key is malformed.
    #[error("not a request: {0}")]
    Request(String),
    /// A call that does not bear the id of ours that was asked for.
    #[error("call {0} of the provider does not bear our id")]
    AnotherCall(String),
    /// More entries than there can be of what was asked for; what was read proves nothing.
    #[error("more entries than there can be")]
    TooMany,
}

/// A call as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCall {
    /// The provider's id.
    pub id: String,
    /// Our ids that it bears: one, when it is ours.
    pub our_call_ids: Vec<CallId>,
    /// The provider's status, an open set.
    pub status: Option<String>,
    /// Why it ended, in the provider's words, an open set.
    pub ended_reason: Option<String>,
    /// When the provider made it.
    pub created_at: Option<Timestamp>,
    /// When somebody answered.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it cost.
    pub cost: Option<Usd>,
    /// What was said.
    pub transcript: Option<String>,
    /// Where the recording is.
    pub recording_url: Option<String>,
    /// What was said, in short.
    pub summary: Option<String>,
    /// Whether the call did what it was for, in the assistant's judgement.
    pub success_evaluation: Option<String>,
    /// What the assistant was told to find out, in a form of the assistant's own.
    pub found_out: Vec<Map<String, Value>>,
    /// How it was heard that the person does not want to be called again, if so.
    pub opt_out: Option<String>,
    /// How long a person who answered heard nobody of ours, in milliseconds, when the provider told that.
    pub silence_ms: Option<u64>,
}

/// What the provider says of the calls of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCalls {
    /// The calls that can be read.
    pub calls: Vec<ProviderCall>,
    /// Why there may be more, if so: an entry that cannot be read, or a list that breaks off.
    pub incomplete: Option<String>,
}

impl ProviderCall {
    /// Our id of the call; none when Dialpool did not place it.
    pub fn our_call_id(&self) -> Option<&CallId> {
        match self.our_call_ids.as_slice() {
            [id] => Some(id),
            _ => None,
        }
    }

    /// Whether it may wait to be started: what a deletion says of itself says nothing of that.
    fn may_wait(&self) -> bool {
        matches!(self.status.as_deref(), Some("queued" | "scheduled" | "deletion-failed" | "not-found"))
    }

    /// Where the call stands, in our words. A status that is not known says that the provider has the call, no more.
    pub fn state(&self) -> CallState {
        wire::state(self.status.as_deref(), self.ended_reason.as_deref())
    }

    /// What is known of its end, no longer than can be kept.
    pub fn report(&self) -> CallReport {
        let whole = CallReport {
            outcome: self.ended_reason.as_deref().map(dialpool_domain::outcome::Outcome::of_ended_reason),
            ended_reason: self.ended_reason.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            cost: self.cost,
            recording_url: self.recording_url.clone(),
            transcript: self.transcript.clone(),
            summary: self.summary.clone(),
            success_evaluation: self.success_evaluation.clone(),
            opted_out: self.opt_out.is_some(),
            opt_out_heard: self.opt_out.clone(),
            callback: wire::said_callback(&self.found_out),
            appointment: wire::said_appointment(&self.found_out),
            silence_ms: self.silence_ms,
        };
        whole.within_limits()
    }
}

impl Vapi {
    /// The API at `base_url` (`https://api.vapi.ai`).
    pub fn new(transport: Transport, base_url: &str, api_key: SecretString) -> Self {
        Self { transport, base_url: base_url.trim_end_matches('/').to_owned(), api_key }
    }

    /// Asks for a call, once.
    pub async fn place_call(&self, call: &NewCall<'_>) -> PlaceCall {
        let request = serde_json::to_vec(&wire::CreateCall::of(call))
            .map_err(|error| error.to_string())
            .and_then(|body| self.request(Method::POST, self.url(&["call"], &[])?, body.into()));
        let request = match request {
            Ok(request) => request,
            Err(cause) => return PlaceCall::NotSent { cause },
        };
        match self.transport.send(request).await {
            Ok(response) => answer(response.status(), response.body()),
            Err(error @ TransportError::NotSent(_)) => PlaceCall::NotSent { cause: error.to_string() },
            Err(error @ TransportError::NoAnswer(_)) => PlaceCall::Unknown { cause: error.to_string() },
        }
    }

    /// Every call of a number that was made at or after a moment, the provider's clock being meant. An entry that cannot be read
    /// keeps no other from being read; that a call is not among them is no proof then.
    ///
    /// # Errors
    /// When the provider gives no answer, one that is no list in the order that was asked for, or more than 500 calls.
    pub async fn calls_of_number(
        &self,
        phone_number_id: &str,
        created_from: Timestamp,
    ) -> Result<ListedCalls, ProviderError> {
        let mut listed = ListedCalls { calls: Vec::new(), incomplete: None };
        let mut created_to: Option<Timestamp> = None;
        for _page in 0..PAGES {
            let mut query = vec![
                ("phoneNumberId", phone_number_id.to_owned()),
                ("createdAtGe", created_from.to_string()),
                ("limit", PAGE.to_string()),
            ];
            query.extend(created_to.map(|moment| ("createdAtLe", moment.to_string())));
            let body = self.get(&["call"], &query).await?.map_err(|answer| answer.into_error())?;
            let reading = json::read(&body);
            let page = list(&reading)?;
            if !reading.whole {
                listed.incomplete = Some("the list breaks off or is damaged".to_owned());
            }
            let (length, before) = (page.len(), listed.calls.len());
            let mut oldest = created_to;
            for entry in page {
                let call = match call_of(entry, &[]) {
                    Ok(call) => call,
                    Err(error) => {
                        listed.incomplete = Some(error);
                        continue;
                    }
                };
                // The next page starts where this one ends, which takes the order for granted: it is checked.
                match (call.created_at, oldest) {
                    (Some(created_at), Some(oldest)) if created_at > oldest => {
                        return Err(ProviderError::Unreadable(
                            "the calls are not listed newest first".to_owned(),
                        ));
                    }
                    (None, _) => listed.incomplete = Some(format!("{} has no createdAt", call.id)),
                    (created_at, _) => oldest = created_at,
                }
                if !listed.calls.iter().any(|known| known.id == call.id) {
                    listed.calls.push(call);
                }
            }
            if length < PAGE {
                return Ok(listed);
            }
            if listed.calls.len() == before {
                return Err(ProviderError::TooMany);
            }
            created_to = oldest;
        }
        Err(ProviderError::TooMany)
    }

    /// The call of ours among those of a number that were made at or after a moment; none proves that the provider does not have
    /// it.
    ///
    /// # Errors
    /// When the provider gives no answer, or one that has not the call and cannot be read to the end.
    pub async fn our_call(
        &self,
        call_id: &CallId,
        phone_number_id: &str,
        created_from: Timestamp,
    ) -> Result<Option<ProviderCall>, ProviderError> {
        let listed = self.calls_of_number(phone_number_id, created_from).await?;
        let found = listed.calls.into_iter().find(|call| call.our_call_id() == Some(call_id));
        match (found, listed.incomplete) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(incomplete)) => Err(ProviderError::Unreadable(incomplete)),
        }
    }

    /// A call by the provider's id; none when the provider says that there is no such call.
    ///
    /// # Errors
    /// When the provider gives no answer, or one that does not say which call it is about.
    pub async fn call(&self, provider_call_id: &str) -> Result<Option<ProviderCall>, ProviderError> {
        match self.get(&["call", provider_call_id], &[]).await? {
            Ok(body) => Ok(Some(read_call(&body)?)),
            Err(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            Err(answer) => Err(answer.into_error()),
        }
    }

    /// Takes a call of ours back that waits at the provider. One that has begun stays as it is, and so does one that does not bear
    /// our id: the provider's id may have been told by somebody who must not speak of that call.
    ///
    /// # Errors
    /// When the provider gives no clear answer: the call may be withdrawn then, and asking again tells.
    pub async fn withdraw(&self, provider_call_id: &str, ours: &CallId) -> Result<Withdrawn, ProviderError> {
        let Some(call) = self.call(provider_call_id).await? else {
            return Ok(Withdrawn::NotFound);
        };
        if call.our_call_id() != Some(ours) {
            return Err(ProviderError::AnotherCall(call.id));
        }
        if !call.may_wait() {
            return Ok(Withdrawn::Begun);
        }
        let request = self
            .url(&["call", provider_call_id], &[])
            .and_then(|url| self.request(Method::DELETE, url, Bytes::from_static(WITHDRAW)))
            .map_err(ProviderError::Request)?;
        let response = self.transport.send(request).await?;
        let status = response.status();
        let body = response.into_body();
        match status {
            // It may have begun between question and answer, and not every deletion succeeds: what was answered shows it.
            StatusCode::OK => {
                let deleted = read_call(&body)?;
                let ended = deleted.status.as_deref() == Some("ended") && deleted.started_at.is_none();
                Ok(match ended {
                    true => Withdrawn::Done,
                    false if deleted.may_wait() => Withdrawn::Waits,
                    false => Withdrawn::Begun,
                })
            }
            StatusCode::NOT_FOUND => Ok(Withdrawn::NotFound),
            _ => Err(Answer { status, body }.into_error()),
        }
    }

    /// Everything of a list that is in the order of its making, the newest first, from `created_from` on. All or an error.
    async fn listed(
        &self,
        path: &str,
        page_size: usize,
        pages: usize,
        created_from: Option<Timestamp>,
    ) -> Result<Vec<Map<String, Value>>, ProviderError> {
        let mut all: Vec<Map<String, Value>> = Vec::new();
        let mut created_to: Option<Timestamp> = None;
        for _page in 0..pages {
            let mut query = vec![("limit", page_size.to_string())];
            query.extend(created_from.map(|moment| ("createdAtGe", moment.to_string())));
            query.extend(created_to.map(|moment| ("createdAtLe", moment.to_string())));
            let body = self.get(&[path], &query).await?.map_err(|answer| answer.into_error())?;
            let reading = json::read(&body);
            let page = list(&reading)?.iter().map(|entry| match entry.to_value() {
                Value::Object(fields) if reading.whole => Ok(fields),
                _ => Err(ProviderError::Unreadable(format!(
                    "the list of {path} is damaged, or not of objects"
                ))),
            });
            let page = page.collect::<Result<Vec<Map<String, Value>>, _>>()?;
            let (length, before) = (page.len(), all.len());
            let made_at = |entry: &Map<String, Value>| entry.get("createdAt")?.as_str()?.parse().ok();
            let times: Vec<Option<Timestamp>> = page.iter().map(made_at).collect();
            let known: BTreeSet<String> = all.iter().filter_map(wire::id_of).collect();
            all.extend(
                page.into_iter().filter(|entry| wire::id_of(entry).is_none_or(|id| !known.contains(&id))),
            );
            if length < page_size {
                return Ok(all);
            }
            // The next page starts where this one ends, which takes the order for granted: it is checked.
            if !times.iter().all(Option::is_some) || !times.is_sorted_by(|newer, older| newer >= older) {
                return Err(ProviderError::Unreadable(format!("the list of {path} is not newest first")));
            }
            if all.len() == before {
                return Err(ProviderError::TooMany);
            }
            created_to = times.last().copied().flatten();
        }
        Err(ProviderError::TooMany)
    }

    async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Result<Bytes, Answer>, ProviderError> {
        let request = self
            .url(path, query)
            .and_then(|url| self.request(Method::GET, url, Bytes::new()))
            .map_err(ProviderError::Request)?;
        let response = self.transport.send(request).await?;
        let status = response.status();
        let body = response.into_body();
        Ok(if status == StatusCode::OK { Ok(body) } else { Err(Answer { status, body }) })
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, String> {
        let mut url = Url::parse(&self.base_url).map_err(|error| format!("the base address: {error}"))?;
        url.path_segments_mut()
            .map_err(|()| "the base address has no path".to_owned())?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn request(&self, method: Method, url: Url, body: Bytes) -> Result<Request<Bytes>, String> {
        let bearer = format!("Bearer {}", self.api_key.expose_secret());
        let mut bearer =
            header::HeaderValue::from_str(&bearer).map_err(|_| "the key is no header".to_owned())?;
        bearer.set_sensitive(true);
        Request::builder()
            .method(method)
            .uri(String::from(url))
            .header(header::AUTHORIZATION, bearer)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| error.to_string())
    }
}

/// An answer that is not 200.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    fn into_error(self) -> ProviderError {
        ProviderError::Status { status: self.status.as_u16(), message: said(&self.body) }
    }
}

/// The entries of an answer that is a list.
fn list(reading: &json::Reading) -> Result<&[Json], ProviderError> {
    match &reading.value {
        Json::Array(entries) => Ok(entries),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
            Err(ProviderError::Unreadable("not a list".to_owned()))
        }
    }
}

fn read_call(body: &[u8]) -> Result<ProviderCall, ProviderError> {
    let reading = json::read(body);
    let lost: Vec<&[u8]> = reading.lost.iter().map(|part| &body[part.clone()]).collect();
    call_of(&reading.value, &lost).map_err(ProviderError::Unreadable)
}

/// A call, with what it says of an opt-out, also in the bytes that are not in its value.
fn call_of(value: &Json, lost: &[&[u8]]) -> Result<ProviderCall, String> {
    let call = wire::call(value)?;
    let opt_out = heard::opt_out(value).or_else(|| lost.iter().find_map(|part| heard::opt_out_in(part)));
    Ok(ProviderCall { opt_out, ..call })
}

/// What the answer to a request for a call means.
fn answer(status: StatusCode, body: &[u8]) -> PlaceCall {
    if status.is_success() {
        return match wire::created(body) {
            Some(provider_call_id) => PlaceCall::Accepted { provider_call_id },
            None => PlaceCall::Unknown { cause: format!("{status} without the id of a call") },
        };
    }
    let message = said(body);
    match refusal_kind(status, &message) {
        Some(kind) => PlaceCall::Refused { kind, status: status.as_u16(), message },
        None => PlaceCall::Unknown { cause: format!("answered with {status}: {message}") },
    }
}

/// Why the provider did not act on a request; `None`: it may have.
fn refusal_kind(status: StatusCode, message: &str) -> Option<RefusalKind> {
    let over_limit = message.to_ascii_lowercase().contains("over concurrency limit");
    match status.as_u16() {
        429 => Some(RefusalKind::Capacity),
        400..=499 if over_limit => Some(RefusalKind::Capacity),
        401..=403 | 407 => Some(RefusalKind::Unauthorized),
        400 | 404..=406 | 410..=417 | 421..=424 | 426 | 428 | 431 | 451 => Some(RefusalKind::Invalid),
        _ => None,
    }
}

/// The provider's words in the body of an answer, made fit for a log.
fn said(body: &[u8]) -> String {
    let text = wire::problem(body).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let mut said = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(['\n']) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        // Seven digits in a row may be somebody's phone number.
        said.push_str(if digits.len() < 7 { &digits } else { "•••" });
        digits.clear();
        said.push(if character.is_control() { ' ' } else { character });
    }
    said.trim().chars().take(MESSAGE_CHARACTERS).collect()
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capacity => "capacity",
            Self::Unauthorized => "unauthorized",
            Self::Invalid => "invalid",
        })
    }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;
