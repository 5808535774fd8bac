//! Inbound calls: who answers a person that calls back, and what is said there.
//!
//! ```text
//!  reported ──▶ not settled ──settle_inbound──▶ settled, for good
//!                                   │
//!                                   ├─ contact waits, or is done: closed, or a callback promised, in the same transaction
//!                                   ├─ contact is on a call of ours: noted on the person; the end of that call acts on it
//!                                   └─ nobody we called: the event alone
//! ```
//! 1. Dialpool has no id of such a call. Its item is filed under the provider's id and written once: a report that comes again, or two at
//!    once, find it and change nothing.
//! 2. The item, the person, the event and the contact are one transaction, conditional on person and contact as they were read. A claim and
//!    the end of a call change the person, too. So one of two that meet is refused, and reads again.
//! 3. An opt-out goes first and alone, before the rest is looked at. It is repeated with every report.
//! 4. The contact is that of the person who calls, in the campaign that called from this number last, else in the one that called last. The
//!    lead that holds the number may be somebody else, whose contact and hold are left alone.
//! 5. Nothing here counts as a call to the person or of the number, and a hold that is on a call is never touched.

use dialpool_domain::call::CallReport;
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::inbound::{Follows, follows, for_a_person};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::task::Task;
use dialpool_domain::time::millis;
use dialpool_domain::{CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::callbacks::Promise;
use crate::corrections::LateTold;
use crate::dialing::{ROUNDS, as_read};
use crate::items::{CampaignItem, ContactItem, HeardInbound, PersonItem, RecentCall};
use crate::tasks::TaskAdded;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// What is told of an inbound call that is over.
#[derive(Debug, Clone, Copy)]
pub struct InboundCall<'a> {
    /// The company that has the number called.
    pub company: &'a CompanyId,
    /// The provider's id of the call.
    pub provider_call_id: &'a str,
    /// The number called.
    pub number: &'a PhoneNumber,
    /// Who called.
    pub caller: &'a PhoneNumber,
    /// The caller, as suppression lists file the number.
    pub hash: &'a str,
    /// What was said.
    pub report: &'a CallReport,
}

/// What became of the report of an inbound call: it is settled, by this report or by one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundSettled {
    /// The campaign that had called the person.
    pub campaign: Option<CampaignId>,
}

/// An inbound call that is over: `INBOUND#<provider's id>` / `INBOUND`.
#[derive(Debug, Serialize, Deserialize)]
struct InboundItem {
    provider_call_id: String,
    company: CompanyId,
    e164: PhoneNumber,
    caller: PhoneNumber,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lead_id: Option<LeadId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign_id: Option<CampaignId>,
    report: CallReport,
    #[serde(with = "millis")]
    settled_at: Timestamp,
}

/// The contact of somebody who calls, and its campaign.
struct Known {
    campaign: CampaignItem,
    contact: ContactItem,
}

impl Store {
    /// The provider's id of the assistant that answers a call to `number`; none: nobody was called from it lately. A caller whom the
    /// company called lately gets the assistant of that campaign; others get the one that spoke last from the number, while a lead holds it
    /// and for 30 days after, or what the company says instead.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn inbound_assistant(
        &self,
        now: Timestamp,
        number: &PhoneNumber,
        caller_hash: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let Some(owner) = self.owner_of(now, number).await? else { return Ok(None) };
        let settings = self.settings(&owner.company).await?;
        let lately = |at: Timestamp| now.since(at) <= settings.thresholds.inbound();
        if let Some(hash) = caller_hash {
            let person = self.person(&owner.company, hash).await?;
            if let Some(call) = person.called_from(number).filter(|call| lately(call.at)) {
                let campaign = self.campaign_item_of(&owner.company, &call.campaign_id).await?;
                if let Some(campaign) = campaign {
                    return Ok(Some(campaign.assistant_id));
                }
            }
        }
        let held = owner.held_by.is_some() || owner.held_before.is_some_and(|(_, until)| lately(until));
        Ok(owner.last_assistant.filter(|_| held))
    }

    /// The lead whose contact the person is that calls a number of a company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn lead_of_caller(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
        caller: &PhoneNumber,
        hash: &str,
    ) -> Result<Option<LeadId>, StoreError> {
        let person = self.person(company, hash).await?;
        let known = self.known_caller(company, number, caller, &person).await?;
        Ok(known.map(|known| known.contact.lead_id))
    }

    async fn known_caller(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
        caller: &PhoneNumber,
        person: &PersonItem,
    ) -> Result<Option<Known>, StoreError> {
        let Some(RecentCall { campaign_id, .. }) = person.called_from(number) else { return Ok(None) };
        let (campaign, contact) = tokio::try_join!(
            self.campaign_item_of(company, campaign_id),
            self.contact_item(campaign_id, caller),
        )?;
        Ok(campaign.zip(contact).map(|(campaign, contact)| Known { campaign, contact }))
    }

    /// Settles an inbound call that is over, once: see the module's header. An opt-out is on the list already.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn settle_inbound(
        &self,
        cause: &Cause,
        call: &InboundCall<'_>,
    ) -> Result<InboundSettled, StoreError> {
        for _round in 0..ROUNDS {
            let key = keys::inbound_call(call.provider_call_id);
            let (settled, person) = tokio::try_join!(
                self.get::<InboundItem>("inbound call", &self.tables.dialing, key),
                self.person(call.company, call.hash),
            )?;
            if let Some(settled) = settled {
                return Ok(InboundSettled { campaign: settled.campaign_id });
            }
            let known = self.known_caller(call.company, call.number, call.caller, &person).await?;
            self.add_inbound_tasks(cause, call, known.as_ref()).await?;
            let writes = self.inbound_writes(cause, call, &person, known.as_ref()).await?;
            if let Transacted::Done = self.transact(writes).await? {
                return Ok(InboundSettled { campaign: known.map(|known| known.campaign.campaign_id) });
            }
        }
        let id = call.provider_call_id;
        Err(StoreError::Busy(format!("a person changed under {ROUNDS} attempts to settle inbound call {id}")))
    }

    /// Adds the tasks of a call before it is settled: after a crash between the two the repetition finds them there.
    async fn add_inbound_tasks(
        &self,
        cause: &Cause,
        call: &InboundCall<'_>,
        known: Option<&Known>,
    ) -> Result<(), StoreError> {
        let ended_at = call.report.ended_at.unwrap_or(cause.at).min(cause.at);
        let address = known.map(|known| &known.contact.address);
        for (kind, said) in for_a_person(call.report, address, call.caller, ended_at) {
            let task = Task {
                lead: known.map(|known| known.contact.lead_id.clone()),
                campaign_id: known.map(|known| known.campaign.campaign_id.clone()),
                ..Task::new(call.company, kind, format!("inbound:{}", call.provider_call_id), cause.at)
            };
            let _: TaskAdded = self.add_task(cause, &task.saying(said.as_str())).await?;
        }
        Ok(())
    }

    async fn inbound_writes(
        &self,
        cause: &Cause,
        call: &InboundCall<'_>,
        person: &PersonItem,
        known: Option<&Known>,
    ) -> Result<Vec<Write>, StoreError> {
        let report = call.report;
        let ended_at = report.ended_at.unwrap_or(cause.at).min(cause.at);
        let mut follows = follows(report, known.map(|known| &known.contact.address), call.caller, ended_at);
        let mut of_contact = Vec::new();
        let mut meanwhile = None;
        if let Some(Known { campaign, contact }) = known {
            let as_read = Contact::try_from(contact.clone())?;
            (of_contact, meanwhile) = match (follows, &as_read.state) {
                (Follows::Nothing, _) => (Vec::new(), None),
                // Its own end finds the opt-out on the list.
                (Follows::OptedOut, ContactState::InFlight { .. }) => (Vec::new(), None),
                (Follows::Reached, ContactState::InFlight { call_id }) => {
                    (Vec::new(), Some(HeardInbound { during: call_id.clone(), ended_at, callback: None }))
                }
                (Follows::Promised(at), ContactState::InFlight { call_id }) => {
                    (Vec::new(), Some(HeardInbound { during: call_id.clone(), ended_at, callback: Some(at) }))
                }
                (Follows::OptedOut, ContactState::Pending { .. }) => {
                    (self.inbound_end(cause, campaign, &as_read, DoneReason::OptedOut)?, None)
                }
                (Follows::Reached, ContactState::Pending { .. }) => {
                    (self.inbound_end(cause, campaign, &as_read, DoneReason::Reached)?, None)
                }
                (Follows::OptedOut | Follows::Reached, ContactState::Done { .. }) => (Vec::new(), None),
                (Follows::Promised(at), ContactState::Pending { .. } | ContactState::Done { .. }) => {
                    let refused = matches!(
                        contact.done,
                        Some(DoneReason::OptedOut | DoneReason::Suppressed | DoneReason::OtherNumber)
                    );
                    if refused || person.suppressed_at.is_some() || !self.keep_open(cause, campaign).await? {
                        follows = Follows::Nothing;
                        (Vec::new(), None)
                    } else {
                        let id = &campaign.campaign_id;
                        let promise = Promise { campaign: id, phone: call.caller, at, due_at: at };
                        let nothing = LateTold::default();
                        (self.promise_writes(cause, call.company, &promise, contact, &nothing)?, None)
                    }
                }
            };
        }
        let item = InboundItem {
            provider_call_id: call.provider_call_id.to_owned(),
            company: call.company.clone(),
            e164: call.number.clone(),
            caller: call.caller.clone(),
            lead_id: known.map(|known| known.contact.lead_id.clone()),
            campaign_id: known.map(|known| known.campaign.campaign_id.clone()),
            report: report.clone(),
            settled_at: cause.at,
        };
        let event = EventData::CallInboundEnded {
            provider_call_id: item.provider_call_id.clone(),
            number: item.e164.clone(),
            caller: item.caller.clone(),
            lead: item.lead_id.clone(),
            campaign_id: item.campaign_id.clone(),
            outcome: report.outcome,
            ended_reason: report.ended_reason.clone(),
            ended_at,
            opted_out: report.opted_out,
            callback_at: match follows {
                Follows::Promised(at) => Some(at),
                Follows::Nothing | Follows::OptedOut | Follows::Reached => None,
            },
            cost: report.cost,
        };
        let set = match meanwhile {
            Some(_) => "SET item_version = :next, inbound = :inbound ADD n_permitted :one",
            None => "SET item_version = :next ADD n_permitted :one",
        };
        let dialing = &self.tables.dialing;
        let update = Write::update(dialing, keys::person(call.company, call.hash), set);
        let mut update =
            as_read(update, person.item_version).value(":next", person.item_version + 1).value(":one", 1u64);
        if let Some(meanwhile) = &meanwhile {
            update = update.value(":inbound", items::attribute("person", meanwhile)?);
        }
        let key = keys::inbound_call(call.provider_call_id);
        let aggregate = Aggregate::Person(call.hash.to_owned());
        let mut writes = vec![
            Write::insert(dialing, items::write("inbound call", key, &item)?),
            update,
            self.journal(cause, call.company, aggregate, person.n_permitted + 1, event)?,
        ];
        writes.extend(of_contact);
        Ok(writes)
    }

    fn inbound_end(
        &self,
        cause: &Cause,
        campaign: &CampaignItem,
        contact: &Contact,
        reason: DoneReason,
    ) -> Result<Vec<Write>, StoreError> {
        self.finish_writes(cause, &campaign.company, &campaign.campaign_id, contact, reason)
    }
}
