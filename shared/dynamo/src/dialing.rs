//! Calls: claimed once, and followed until they are over.
//!
//! **Claim**, one transaction: the contact goes from due to under way; the campaign runs and has a free slot, and so do the
//! provider account and the company, whose switches are not on stop; what the company knows of the person is as it was read:
//! not on its suppression list, on no other call, called no more often than is allowed, with the consent that the campaign asks
//! for; nor is the number on everybody's list; the caller number is still held by this lead, is on no other call, and stays the lead's
//! through the call; the call is written as an intent; the event. Whoever is second finds one of these conditions false, and
//! nothing has happened.
//!
//! **Slots** are maps on the campaign, the account and the company with the calls as keys, taken under
//! `size(slots) < cap`. Freeing a slot twice is harmless, a lowered cap holds at once, and a slot that should not be there
//! names its call.
//!
//! How a call ends is in `settlement`.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::call::{Call, CallReport, CallState, FIRST_LOOK_AFTER, HELD_THROUGH_CALL, SILENT_AFTER};
use dialpool_domain::campaign::{Campaign, Mode};
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::contact::Contact;
use dialpool_domain::dialable::Person;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::law::{CallsBefore, LegalBasis};
use dialpool_domain::place::State;
use dialpool_domain::pool::Hold;
use dialpool_domain::rules::Frequency;
use dialpool_domain::{CallId, CampaignId, CompanyId, PhoneNumber, Timestamp};

use crate::campaigns::{calls_of, company_index};
use crate::items::{AssignmentItem, CallItem, NumberItem, PersonItem};
use crate::numbers::{NumberKeys, NumberWrite};
use crate::people::Company;
use crate::suppression::PhoneHasher;
use crate::transaction::{IntoAttribute, Item, Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// A call that changes under us this often is in a storm of reports.
pub(crate) const ROUNDS: u32 = 16;

/// A provider account: its name, and how many outbound calls it takes at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineLimits {
    /// Names the account.
    pub account: String,
    /// Calls at once, of all companies.
    pub outbound: u32,
}

/// What a call is claimed with.
#[derive(Debug)]
pub struct Claim<'a> {
    /// The id that the call gets.
    pub call_id: &'a CallId,
    /// The campaign, as it was read.
    pub campaign: &'a Campaign,
    /// The contact, as it was read.
    pub contact: &'a Contact,
    /// The number that the lead holds.
    pub hold: &'a Hold,
    /// The account that the call goes through.
    pub line: &'a LineLimits,
    /// Names the number called on the suppression lists.
    pub hasher: &'a PhoneHasher,
    /// Why calling is lawful, as far as hours go.
    pub legal_basis: &'a LegalBasis,
    /// How often the number may be called.
    pub frequency: Frequency,
    /// The last moment at which the provider may start the call.
    pub start_by: Timestamp,
}

/// What became of a claim. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The call is ours to place, once.
    Placed(Box<Call>),
    /// The contact is not due any more: somebody else was faster.
    NotDue,
    /// The campaign does not run, all its lines are taken, or its batch has begun in full.
    CampaignFull,
    /// All lines of the provider account are taken.
    NoLine,
    /// All lines of the company are taken.
    CompanyFull,
    /// A switch of the operator's or of the company's is on stop.
    Stopped {
        /// Whether for everybody; else for the place that is called.
        everywhere: bool,
    },
    /// The number called is on a suppression list.
    Suppressed,
    /// It is not known that the person agreed to be called.
    NoConsent,
    /// The number called was called as often as is allowed.
    TooOften {
        /// When it may be called again.
        until: Timestamp,
    },
    /// Another campaign of the company has the person on a call.
    BeingCalled,
    /// The lead does not hold the caller number any more, or the number is on another call.
    NumberLost,
    /// The caller number rests, or is at one of its limits.
    NumberResting {
        /// When it can call again.
        until: Timestamp,
    },
    /// The caller number has no id at the provider and cannot dial.
    NumberNotAtProvider,
}

/// What became of a call's move.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// The call is in the new state now.
    Done(Box<Call>),
    /// The call is as far or further: an old or repeated report.
    Stale(Box<Call>),
    /// The provider's id is not the one that is known: there are two calls where there must be one.
    OtherCall {
        /// The id that is known.
        known: String,
    },
    /// There is no such call.
    NotFound,
}

/// What a claim read before it writes.
struct Read<'a> {
    assignment: &'a AssignmentItem,
    /// The number as the call begins.
    used: &'a NumberItem,
    settings: &'a Company,
    hash: &'a str,
    person: PersonItem,
}

/// The places of the writes of a claim.
const CONTACT: usize = 0;
const CAMPAIGN: usize = 1;
const ACCOUNT: usize = 2;
const COMPANY: usize = 3;
const LIST_OF_EVERYBODY: usize = 4;
const PERSON: usize = 5;
const CALL: usize = 7;

/// The most messages of a provider that the log of a call takes. A call has five, and one more for each of its tools.
pub const LOG_ENTRIES: u64 = 200;

/// When the log of a call has this many bytes it takes no further entry.
pub const LOG_BYTES: u64 = 1024 * 1024;

/// An item holds 400 KB.
const PART_BYTES: usize = 300 * 1024;

/// What became of an entry for the log of a call. None of these is an error.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// It is in the log now.
    Done,
    /// It was there, or the log is full.
    NotNow,
}

/// Something that a provider sent about a call, as far as it may be kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogEntry {
    /// When it was taken in.
    pub at: Timestamp,
    /// The body.
    pub body: String,
}

/// A part of an entry: an item holds 400 KB.
#[derive(serde::Deserialize)]
struct LogItem {
    #[serde(with = "dialpool_domain::time::millis")]
    logged_at: Timestamp,
    entry: String,
    body: String,
}

/// The text in parts that fit into an item each.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        rest = after;
        Some(part)
    })
}

impl Store {
    /// Claims a call: see the module's header.
    ///
    /// # Errors
    /// When the store gives no answer. The call may be claimed then; it is found and settled as a silent one.
    pub async fn claim(&self, cause: &Cause, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
        let company = &claim.campaign.company;
        let required = claim.campaign.policy.consent_required;
        let hash = claim.hasher.hash(&claim.contact.phone);
        let (number, assignment, settings, person) = tokio::try_join!(
            self.number_item(company, &claim.hold.number),
            self.assignment_item(company, &claim.hold.assignment_id),
            self.settings(company),
            self.person(company, &hash),
        )?;
        if person.suppressed_at.is_some() {
            return Ok(Claimed::Suppressed);
        }
        let brought = claim.contact.consent.as_ref();
        let Ok(agreed) = required.met_by(person.consent.as_ref(), brought, cause.at) else {
            return Ok(Claimed::NoConsent);
        };
        if person.active_call.is_some() {
            return Ok(Claimed::BeingCalled);
        }
        let begun = person.calls();
        let until = claim.frequency.next_at(&begun, cause.at);
        if until > cause.at {
            return Ok(Claimed::TooOften { until });
        }
        let (Some(number), Some(assignment)) = (number, assignment) else {
            return Ok(Claimed::NumberLost);
        };
        if number.assignment_id.as_ref() != Some(&claim.hold.assignment_id)
            || assignment.release_at <= cause.at
        {
            return Ok(Claimed::NumberLost);
        }
        let Some(provider_number_id) = number.vapi_id.clone() else {
            return Ok(Claimed::NumberNotAtProvider);
        };
        let until = number.may_call_at(cause.at, &settings);
        if until > cause.at {
            if number.not_before != Some(until) {
                // A limit was lowered, or a health gate raised: whoever is to get the number next must know, too.
                let rests = NumberWrite::new(&self.tables.pool, keys::number(company, &claim.hold.number))
                    .set("not_before = :until")
                    .bind(":until", until)
                    .when("usage_version = :usage_read")
                    .bind(":usage_read", number.usage_version);
                let _: Transacted = self.transact(vec![rests.write()]).await?;
            }
            return Ok(Claimed::NumberResting { until });
        }
        let call = CallItem {
            call_id: claim.call_id.clone(),
            company: company.clone(),
            campaign_id: claim.campaign.id.clone(),
            lead_id: claim.contact.lead.clone(),
            to_number: claim.contact.phone.clone(),
            from_number: claim.hold.number.clone(),
            provider_number_id,
            account: claim.line.account.clone(),
            assignment_id: claim.hold.assignment_id.clone(),
            attempt: u32::try_from(claim.contact.attempts.len() + 1).unwrap_or(u32::MAX),
            only_number: claim.campaign.from_number.is_some(),
            call_state: CallState::Intent,
            claimed_at: cause.at,
            start_by: claim.start_by,
            provider_call_id: None,
            legal_basis: LegalBasis {
                lists: vec!["company".to_owned(), "everybody".to_owned()],
                consent: agreed,
                calls_before: CallsBefore::count(&begun, cause.at),
                ..claim.legal_basis.clone()
            },
            report: CallReport::default(),
            answered_at: None,
            withdrawn_at: None,
            check_at: Some(cause.at + FIRST_LOOK_AFTER),
            check_shard: Some(keys::shard(claim.call_id.as_str())),
            report_due: false,
            company_index: company_index("CALL", company),
            campaign_index: calls_of(&claim.campaign.id),
            created_at: cause.at,
            item_version: 1,
        };
        let read = Read {
            assignment: &assignment,
            used: &number.with_call_begun(cause.at, &settings),
            settings: &settings,
            hash: &hash,
            person,
        };
        let refusal = match self.transact(self.claim_writes(cause, claim, &call, read)?).await? {
            Transacted::Done => return Ok(Claimed::Placed(Box::new(call.into()))),
            Transacted::Refused(refusal) => refusal,
        };
        let switches = || [ACCOUNT, COMPANY].into_iter().filter_map(|line| refusal.found(line));
        let everywhere = switches().any(|line| line.contains_key("stopped"));
        let here = switches()
            .filter_map(|line| line.get("stopped_states")?.as_ss().ok())
            .flatten()
            .any(|stop| claim.legal_basis.states.iter().any(|state| state.as_str() == stop));
        Ok(match () {
            // A repeated transaction whose first answer was lost finds its own call.
            () if refusal.at(CALL) => Claimed::Placed(Box::new(call.into())),
            () if refusal.at(CONTACT) => Claimed::NotDue,
            () if refusal.at(LIST_OF_EVERYBODY) => Claimed::Suppressed,
            // Read again, it says what is new.
            () if refusal.at(PERSON) => Claimed::NotDue,
            () if refusal.at(CAMPAIGN) => Claimed::CampaignFull,
            () if everywhere || here => Claimed::Stopped { everywhere },
            () if refusal.at(COMPANY) => Claimed::CompanyFull,
            () if refusal.at(ACCOUNT) => Claimed::NoLine,
            () => Claimed::NumberLost,
        })
    }

    /// The call to a number that is under way, by the hash under which suppression lists file the number.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn call_under_way(
        &self,
        company: &CompanyId,
        hash: &str,
    ) -> Result<Option<CallId>, StoreError> {
        Ok(self.person(company, hash).await?.active_call)
    }

    /// The calls of a campaign that are under way.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn calls_of_campaign(&self, campaign: &CampaignId) -> Result<Vec<CallId>, StoreError> {
        let campaign = self.campaign_item(campaign).await?;
        Ok(campaign.map(|item| item.slots.into_keys().collect()).unwrap_or_default())
    }

    /// What is known of a person whom a company calls, by the hash of the number.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn person_called(&self, company: &CompanyId, hash: &str) -> Result<Person, StoreError> {
        let (person, everywhere) =
            tokio::try_join!(self.person(company, hash), self.is_suppressed_everywhere(hash))?;
        Ok(person.known(everywhere))
    }

    /// Counts a call from `from` to `to` that the provider places by itself, if `may` says why it is lawful, and no switch is on stop;
    /// writes down why. Whoever is second counts the first.
    ///
    /// # Errors
    /// When the store gives no answer: then the call is not to be made.
    pub async fn permit_call(
        &self,
        cause: &Cause,
        owner: &CompanyId,
        account: &str,
        (from, to, hash): (&PhoneNumber, &PhoneNumber, &str),
        may: impl Fn(&Person) -> Option<LegalBasis>,
    ) -> Result<bool, StoreError> {
        for _round in 0..ROUNDS {
            let (person, everywhere) =
                tokio::try_join!(self.person(owner, hash), self.is_suppressed_everywhere(hash))?;
            if person.active_call.is_some() {
                return Ok(false);
            }
            let Some(basis) = may(&person.clone().known(everywhere)) else { return Ok(false) };
            let (required, begun) = (ConsentRequired::default(), person.calls());
            let basis = LegalBasis {
                lists: vec!["company".to_owned(), "everybody".to_owned()],
                consent: required.met_by(person.consent.as_ref(), None, cause.at).unwrap_or_default(),
                calls_before: CallsBefore::count(&begun, cause.at),
                ..basis
            };
            let dialing = &self.tables.dialing;
            let lines = [keys::account_line(account), keys::company_line(owner)];
            let mut writes: Vec<Write> = lines
                .into_iter()
                .map(|line| unless_stopped(Write::check(dialing, line, ""), "", &basis.states))
                .collect();
            let sequence = person.n_permitted + 1;
            writes.push(called_now(dialing, owner, hash, person, None, cause.at)?);
            writes.push(Write::check(dialing, keys::suppressed_everywhere(hash), "attribute_not_exists(pk)"));
            let (from, to) = (from.clone(), to.clone());
            let event = EventData::CallPermitted { to, from, legal_basis: Box::new(basis) };
            writes.push(self.journal(cause, owner, Aggregate::Person(hash.to_owned()), sequence, event)?);
            match self.transact(writes).await? {
                Transacted::Done => return Ok(true),
                Transacted::Refused(refusal) if (0..2).any(|line| refusal.at(line)) => return Ok(false),
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("a person changed under {ROUNDS} attempts to count a call")))
    }

    /// What a company knows of a number; nothing, when it was never called.
    pub(crate) async fn person(&self, company: &CompanyId, hash: &str) -> Result<PersonItem, StoreError> {
        let item = self.get("person", &self.tables.dialing, keys::person(company, hash)).await?;
        Ok(item.unwrap_or_default())
    }

    fn claim_writes(
        &self,
        cause: &Cause,
        claim: &Claim<'_>,
        call: &CallItem,
        read: Read<'_>,
    ) -> Result<Vec<Write>, StoreError> {
        let Claim { call_id, campaign, contact, hold, .. } = claim;
        let Read { assignment, used, settings, hash, person } = read;
        let dialing = &self.tables.dialing;
        let held_until = cause.at + HELD_THROUGH_CALL;
        let extend = assignment.release_at < held_until;
        let number = if extend {
            self.available_from(&campaign.company, &NumberKeys::of(assignment), Some(held_until))
                .set("release_at = :available_at, hold_version = :hold_next")
                .bind(":hold_next", assignment.hold_version + 1)
        } else {
            NumberWrite::new(&self.tables.pool, keys::number(&campaign.company, &hold.number))
        };
        let states = &claim.legal_basis.states;
        let mut writes = vec![
            Write::update(
                dialing,
                keys::contact(&campaign.id, &contact.phone),
                "SET call_id = :call, due_at = :lease, attempts = list_append(attempts, :attempt), \
                 calls = list_append(if_not_exists(calls, :none), :calls), item_version = :next \
                 REMOVE ahead_due",
            )
            .when("item_version = :version AND attribute_not_exists(call_id) AND due_at <= :now")
            .value(":call", call_id.as_str())
            .value(":calls", items::attribute("contact", &[call_id])?)
            .value(":none", AttributeValue::L(Vec::new()))
            .value(":lease", held_until)
            .value(":attempt", items::attribute("contact", &[cause.at.as_millis()])?)
            .value(":next", contact.version + 1)
            .value(":version", contact.version)
            .value(":now", cause.at),
            campaign_slot(dialing, campaign, call_id, cause.at + SILENT_AFTER),
            take_line(dialing, keys::account_line(&claim.line.account), call, states, claim.line.outbound),
            take_line(dialing, keys::company_line(&campaign.company), call, states, settings.lines),
            Write::check(dialing, keys::suppressed_everywhere(hash), "attribute_not_exists(pk)"),
            called_now(dialing, &campaign.company, hash, person, Some(call), cause.at)?,
            number
                .set("active_call = :call, last_assistant = :assistant")
                .becomes(used)?
                .when(
                    "assignment_id = :assignment AND hold_version = :hold_version AND attribute_not_exists(active_call)",
                )
                .bind(":call", call_id.as_str())
                .bind(":assistant", campaign.assistant_id.as_str())
                .bind(":assignment", hold.assignment_id.as_str())
                .bind(":hold_version", assignment.hold_version)
                .write(),
            Write::insert(dialing, items::write("call", keys::call(call_id), call)?),
            self.journal(
                cause,
                &campaign.company,
                Aggregate::Call((*call_id).clone()),
                1,
                EventData::CallClaimed {
                    campaign_id: campaign.id.clone(),
                    lead: contact.lead.clone(),
                    to: contact.phone.clone(),
                    from: hold.number.clone(),
                    assignment_id: hold.assignment_id.clone(),
                    attempt: call.attempt,
                    legal_basis: Box::new(call.legal_basis.clone()),
                },
            )?,
        ];
        if extend {
            writes.extend(self.moved_apart_from_number(
                cause,
                &campaign.company,
                assignment,
                held_until,
                assignment.appointment_at,
            )?);
        }
        Ok(writes)
    }

    async fn call_item(&self, id: &CallId) -> Result<Option<CallItem>, StoreError> {
        self.get("call", &self.tables.dialing, keys::call(id)).await
    }

    /// A call, of whatever company: the caller checks whose it is.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn call(&self, id: &CallId) -> Result<Option<Call>, StoreError> {
        Ok(self.call_item(id).await?.map(Call::from))
    }

    /// Moves a call that is not over forward to another such state, and learns the provider's id of it.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn move_call(
        &self,
        cause: &Cause,
        id: &CallId,
        next: CallState,
        provider_call_id: Option<&str>,
        unclear: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<Moved, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.call_item(id).await? else {
                return Ok(Moved::NotFound);
            };
            if let Some(known) = other_call(&item, provider_call_id) {
                return Ok(Moved::OtherCall { known });
            }
            let data = match next {
                CallState::Accepted => EventData::CallAccepted {
                    provider_call_id: provider_call_id.unwrap_or_default().to_owned(),
                },
                CallState::Ringing => EventData::CallRinging {},
                CallState::InProgress => EventData::CallInProgress {},
                CallState::Unknown => {
                    EventData::CallUnknown { cause: unclear.unwrap_or_default().to_owned() }
                }
                CallState::Intent
                | CallState::Ended
                | CallState::Failed
                | CallState::Canceled
                | CallState::TimedOut => return Ok(Moved::Stale(Box::new(item.into()))),
            };
            if !item.call_state.may_become(next) {
                return Ok(Moved::Stale(Box::new(item.into())));
            }
            let check_at = if next == CallState::Unknown {
                cause.at + FIRST_LOOK_AFTER
            } else {
                cause.at + SILENT_AFTER
            };
            let mut expression =
                "SET call_state = :state, item_version = :next, check_at = :check".to_owned();
            if provider_call_id.is_some() {
                expression.push_str(", provider_call_id = :provider");
            }
            let answered_at = (next == CallState::InProgress).then_some(at).flatten();
            if answered_at.is_some() {
                expression.push_str(", answered_at = :answered");
            }
            let mut write = Write::update(&self.tables.dialing, keys::call(id), expression)
                .when("item_version = :version")
                .value(":state", next.as_str())
                .value(":next", item.item_version + 1)
                .value(":version", item.item_version)
                .value(":check", check_at);
            if let Some(provider_call_id) = provider_call_id {
                write = write.value(":provider", provider_call_id);
            }
            if let Some(answered_at) = answered_at {
                write = write.value(":answered", answered_at);
            }
            let event =
                self.journal(cause, &item.company, Aggregate::Call(id.clone()), item.item_version + 1, data)?;
            match self.transact(vec![write, event]).await? {
                Transacted::Done => {
                    let provider_call_id =
                        provider_call_id.map(str::to_owned).or(item.provider_call_id.clone());
                    let moved =
                        CallItem { call_state: next, provider_call_id, check_at: Some(check_at), ..item };
                    return Ok(Moved::Done(Box::new(moved.into())));
                }
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("{id} changed under {ROUNDS} attempts to move it")))
    }

    /// Notes that a call is being taken back, before the provider is asked to: whatever becomes of the answer, its end is known
    /// for what it is. Answers whether it was noted before; `None`: it does not wait at the provider any more.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn begin_withdrawal(&self, now: Timestamp, id: &CallId) -> Result<Option<bool>, StoreError> {
        for _round in 0..ROUNDS {
            let waits = |item: &CallItem| item.call_state == CallState::Accepted;
            let Some(item) = self.call_item(id).await?.filter(waits) else {
                return Ok(None);
            };
            if item.withdrawn_at.is_some() {
                return Ok(Some(true));
            }
            let write = Write::update(&self.tables.dialing, keys::call(id), "SET withdrawn_at = :now")
                .when("item_version = :version AND attribute_not_exists(withdrawn_at)")
                .value(":now", now)
                .value(":version", item.item_version);
            if let Transacted::Done = self.transact(vec![write]).await? {
                return Ok(Some(false));
            }
        }
        Err(StoreError::Busy(format!("{id} changed under {ROUNDS} attempts to take it back")))
    }

    /// Notes that a call under way was looked up, and when to look again.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn check_call_again(&self, id: &CallId, check_at: Timestamp) -> Result<(), StoreError> {
        let write = Write::update(&self.tables.dialing, keys::call(id), "SET check_at = :check")
            .when("attribute_exists(check_shard)")
            .value(":check", check_at);
        let _: Transacted = self.transact(vec![write]).await?;
        Ok(())
    }

    /// Appends what a provider sent about a call to the call's log. The same entry again changes nothing, and a log that is full
    /// takes no more: whoever knows the secret of a call could fill the table.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn log_call(
        &self,
        at: Timestamp,
        id: &CallId,
        entry: &str,
        body: &str,
    ) -> Result<Logged, StoreError> {
        let dialing = &self.tables.dialing;
        let room = "attribute_not_exists(n_entries) OR (n_entries < :entries AND n_bytes < :bytes)";
        let counted = Write::update(dialing, keys::call_log_size(id), "ADD n_entries :one, n_bytes :length")
            .when(room)
            .value(":entries", LOG_ENTRIES)
            .value(":bytes", LOG_BYTES)
            .value(":one", 1u64)
            .value(":length", body.len() as u64);
        let mut writes = vec![counted];
        for (part, text) in parts(body).enumerate() {
            let mut item = keys::call_log(id, entry, part);
            item.insert("logged_at".to_owned(), at.into_attribute());
            item.insert("entry".to_owned(), entry.into_attribute());
            item.insert("body".to_owned(), text.into_attribute());
            writes.push(Write::insert(dialing, item));
        }
        Ok(match self.transact(writes).await? {
            Transacted::Done => Logged::Done,
            Transacted::Refused(_) => Logged::NotNow,
        })
    }

    /// What providers sent about a call, by entry: the first [`LOG_ENTRIES`] and [`LOG_BYTES`], whatever there is.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn call_log(&self, id: &CallId) -> Result<Vec<LogEntry>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .consistent_read(true)
            .key_condition_expression("pk = :call AND begins_with(sk, :entry)")
            .expression_attribute_values(":call", keys::call_partition(id).into_attribute())
            .expression_attribute_values(":entry", keys::LOG_PREFIX.into_attribute())
            .into_paginator()
            .items()
            .send();
        let mut entries: BTreeMap<String, LogEntry> = BTreeMap::new();
        let mut bytes = 0u64;
        while let Some(item) = pages.next().await {
            let part: LogItem = items::read("call log", item?)?;
            bytes += part.body.len() as u64;
            let more = !entries.contains_key(&part.entry);
            // A log of before there was a bound may be longer.
            if bytes > LOG_BYTES + PART_BYTES as u64 || (more && entries.len() as u64 == LOG_ENTRIES) {
                break;
            }
            let entry = entries
                .entry(part.entry)
                .or_insert_with(|| LogEntry { at: part.logged_at, body: String::new() });
            entry.body.push_str(&part.body);
        }
        let mut entries: Vec<LogEntry> = entries.into_values().collect();
        entries.sort_by_key(|entry| entry.at);
        Ok(entries)
    }

    /// The calls, of whatever company, that are to be looked up by `now`: at most `limit`. Read from an index that may
    /// lag by a moment; settling one checks again.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn silent_calls(&self, now: Timestamp, limit: usize) -> Result<Vec<CallId>, StoreError> {
        let mut silent = Vec::new();
        for shard in 0..keys::SHARDS {
            let mut pages = self
                .client
                .query()
                .table_name(&self.tables.dialing)
                .index_name("by_check")
                .key_condition_expression("check_shard = :shard AND check_at <= :now")
                .expression_attribute_values(":shard", keys::shard_name(shard).into_attribute())
                .expression_attribute_values(":now", now.into_attribute())
                .into_paginator()
                .items()
                .send();
            while let Some(item) = pages.next().await {
                silent.extend(keys::call_of(&item?));
                if silent.len() == limit {
                    return Ok(silent);
                }
            }
        }
        Ok(silent)
    }
}

/// The write that takes a slot of a campaign, until somebody looks at `silent_at` what became of the call.
fn campaign_slot(table: &str, campaign: &Campaign, call: &CallId, silent_at: Timestamp) -> Write {
    let take = |expression: &str, condition: &str| {
        let condition =
            format!("campaign_status = :running AND attribute_not_exists(slots.#call) AND {condition}");
        Write::update(
            table,
            keys::campaign(&campaign.id),
            format!("SET slots.#call = :silent_at{expression}"),
        )
        .when(&condition)
        .name("#call", call.as_str())
        .value(":silent_at", silent_at)
        .value(":running", "running")
    };
    match campaign.policy.mode {
        Mode::Continuous => take("", "size(slots) < cap"),
        Mode::Batch if campaign.lines_in_use == 0 => {
            let begins = take(", batch_left = :left", "size(slots) = :none");
            begins.value(":left", u64::from(campaign.cap.lines() - 1)).value(":none", 0u64)
        }
        Mode::Batch => {
            let joins = take(", batch_left = batch_left - :one", "size(slots) < cap AND batch_left > :none");
            joins.value(":one", 1u64).value(":none", 0u64)
        }
    }
}

/// The write that takes a line of an account or of a company, unless a switch of it is on stop.
fn take_line(table: &str, key: Item, call: &CallItem, states: &[State], cap: u32) -> Write {
    let free = "size(slots) < :cap AND attribute_not_exists(slots.#call) AND ";
    let write = Write::update(table, key, "SET slots.#call = :company")
        .name("#call", call.call_id.as_str())
        .value(":company", call.company.as_str())
        .value(":cap", u64::from(cap));
    unless_stopped(write, free, states)
}

/// The write, refused when `also` does not hold or a switch of the line is on stop for one of the states.
fn unless_stopped(write: Write, also: &str, states: &[State]) -> Write {
    let mut condition = format!("{also}attribute_not_exists(stopped)");
    for place in 0..states.len() {
        condition.push_str(&format!(" AND NOT contains(stopped_states, :state{place})"));
    }
    states.iter().enumerate().fold(write.when(&condition), |write, (place, state)| {
        write.value(&format!(":state{place}"), state.as_str())
    })
}

/// The write that counts a call to a number. Refused when anything happened to the person since it was read.
fn called_now(
    table: &str,
    company: &CompanyId,
    hash: &str,
    read: PersonItem,
    call: Option<&CallItem>,
    now: Timestamp,
) -> Result<Write, StoreError> {
    let mut begun = read.begun;
    begun.retain(|at| now.since(Timestamp::from_millis(*at)) < Frequency::SPAN);
    begun.push(now.as_millis());
    let expression = match call {
        Some(_) => "SET begun = :begun, item_version = :next, active_call = :call",
        None => "SET begun = :begun, item_version = :next ADD n_permitted :one",
    };
    let write = as_read(Write::update(table, keys::person(company, hash), expression), read.item_version)
        .value(":begun", items::attribute("person", &begun)?)
        .value(":next", read.item_version + 1);
    Ok(match call {
        Some(call) => write.value(":call", call.call_id.as_str()),
        None => write.value(":one", 1u64),
    })
}

/// The write, refused unless the item has that version; 0: unless it is not there.
pub(crate) fn as_read(write: Write, version: u64) -> Write {
    match version {
        0 => write.when("attribute_not_exists(pk)"),
        version => write.when("item_version = :version").value(":version", version),
    }
}

/// The provider's id that is known of a call, when it is another than the one reported.
pub(crate) fn other_call(item: &CallItem, reported: Option<&str>) -> Option<String> {
    let known = item.provider_call_id.as_deref()?;
    (reported? != known).then(|| known.to_owned())
}

impl From<CallItem> for Call {
    fn from(item: CallItem) -> Self {
        Self {
            id: item.call_id,
            company: item.company,
            campaign_id: item.campaign_id,
            lead: item.lead_id,
            to: item.to_number,
            from: item.from_number,
            provider_number_id: item.provider_number_id,
            assignment_id: item.assignment_id,
            attempt: item.attempt,
            state: item.call_state,
            claimed_at: item.claimed_at,
            start_by: item.start_by,
            provider_call_id: item.provider_call_id,
            legal_basis: item.legal_basis,
            report: item.report,
            report_due: item.report_due,
            version: item.item_version,
        }
    }
}
