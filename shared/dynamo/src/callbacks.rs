//! Promised callbacks: the contact is due at a time that was agreed on, and before contacts that nobody waits for.
//!
//! A contact that was done is not any more, and a campaign that was completed runs again: what was promised is kept. Who is
//! on a call, or does not want to be called, is promised nothing.

use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::{CampaignId, CompanyId, PhoneNumber, Timestamp};

use crate::corrections::{LateTold, still_open};
use crate::dialing::ROUNDS;
use crate::items::ContactItem;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, keys};

/// A callback to be promised.
#[derive(Debug, Clone, Copy)]
pub struct Promise<'a> {
    /// The campaign whose assistant calls.
    pub campaign: &'a CampaignId,
    /// The number to call, a contact's.
    pub phone: &'a PhoneNumber,
    /// What was agreed on.
    pub at: Timestamp,
    /// When it is due: then, or as soon after as calling is lawful.
    pub due_at: Timestamp,
}

/// What became of a promise. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promised {
    /// The contact is due then.
    Done(Box<Contact>),
    /// The company has no such campaign, or the campaign no such contact.
    NotFound,
    /// The campaign was cancelled, or is completed and has no assistant any more.
    Over(CampaignStatus),
    /// The contact is on a call.
    BeingCalled,
    /// The contact is not to be called any more, for this reason.
    Refused(DoneReason),
}

impl Store {
    /// Promises a contact a callback; a promise made before is moved.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn promise_callback(
        &self,
        cause: &Cause,
        company: &CompanyId,
        promise: &Promise<'_>,
    ) -> Result<Promised, StoreError> {
        for _round in 0..ROUNDS {
            let (campaign, item) = tokio::try_join!(
                self.campaign_item_of(company, promise.campaign),
                self.contact_item(promise.campaign, promise.phone),
            )?;
            let (Some(campaign), Some(item)) = (campaign, item) else {
                return Ok(Promised::NotFound);
            };
            match Contact::try_from(item.clone())?.state {
                ContactState::InFlight { .. } => return Ok(Promised::BeingCalled),
                ContactState::Done { reason: reason @ (DoneReason::OptedOut | DoneReason::Suppressed) } => {
                    return Ok(Promised::Refused(reason));
                }
                ContactState::Pending { .. } | ContactState::Done { .. } => {}
            }
            if !self.keep_open(cause, &campaign).await? {
                return Ok(Promised::Over(campaign.campaign_status));
            }
            let writes = self.promise_writes(cause, company, promise, &item, &LateTold::default())?;
            if let Transacted::Done = self.transact(writes).await? {
                let promised = ContactItem {
                    due_at: Some(promise.due_at),
                    promised_for: Some(promise.at),
                    ahead_due: Some(promise.due_at),
                    done: None,
                    item_version: item.item_version + 1,
                    n_events: item.n_events + 1,
                    ..item
                };
                return Ok(Promised::Done(Box::new(promised.try_into()?)));
            }
        }
        Err(StoreError::Busy(format!("a contact changed under {ROUNDS} attempts to promise it a callback")))
    }

    /// Has a contact called no more, because the person is called at another number; `Done` when that is so.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn call_elsewhere(
        &self,
        cause: &Cause,
        company: &CompanyId,
        campaign: &CampaignId,
        phone: &PhoneNumber,
    ) -> Result<Promised, StoreError> {
        let reason = DoneReason::OtherNumber;
        for _round in 0..ROUNDS {
            let Some(contact) = self.contact(campaign, phone).await? else {
                return Ok(Promised::NotFound);
            };
            match contact.state {
                ContactState::InFlight { .. } => return Ok(Promised::BeingCalled),
                ContactState::Done { reason: known } if known == reason => {
                    return Ok(Promised::Done(Box::new(contact)));
                }
                ContactState::Done { reason: reason @ (DoneReason::OptedOut | DoneReason::Suppressed) } => {
                    return Ok(Promised::Refused(reason));
                }
                ContactState::Done { .. } | ContactState::Pending { .. } => {}
            }
            let writes = self.finish_writes(cause, company, campaign, &contact, reason)?;
            let _or_look_again: Transacted = self.transact(writes).await?;
        }
        Err(StoreError::Busy(format!("a contact changed under {ROUNDS} attempts to call elsewhere")))
    }

    /// Has a completed campaign run again. Whether it runs, or has not begun, when this returns.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn open_again(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &CampaignId,
    ) -> Result<bool, StoreError> {
        for _round in 0..ROUNDS {
            let Some(campaign) = self.campaign_item_of(company, id).await? else { return Ok(false) };
            if !self.keep_open(cause, &campaign).await? {
                return Ok(false);
            }
            if campaign.campaign_status != CampaignStatus::Completed {
                return Ok(true);
            }
        }
        Err(StoreError::Busy(format!("campaign {id} changed under {ROUNDS} attempts to open it again")))
    }

    /// The writes that promise a callback to a contact as it was read, not on a call, of a campaign that is not over; what was told
    /// late of a call is added to the campaign's counters in the same breath: an item is written once in a transaction.
    pub(crate) fn promise_writes(
        &self,
        cause: &Cause,
        company: &CompanyId,
        promise: &Promise<'_>,
        contact: &ContactItem,
        late: &LateTold,
    ) -> Result<Vec<Write>, StoreError> {
        let opened = i64::from(contact.done.is_some());
        let campaign = still_open(late.count(&self.tables.dialing, promise.campaign, opened));
        let event = EventData::ContactCallbackPromised {
            lead: contact.lead_id.clone(),
            phone: promise.phone.clone(),
            at: promise.at,
        };
        Ok(vec![
            Write::update(
                &self.tables.dialing,
                keys::contact(promise.campaign, promise.phone),
                "SET due_at = :due, ahead_due = :due, promised_for = :promised, item_version = :next, n_events = :event \
                 REMOVE done",
            )
            .when("item_version = :version AND attribute_not_exists(call_id)")
            .value(":due", promise.due_at)
            .value(":promised", promise.at)
            .value(":version", contact.item_version)
            .value(":next", contact.item_version + 1)
            .value(":event", contact.n_events + 1),
            campaign,
            self.journal(
                cause,
                company,
                Aggregate::contact(promise.campaign, promise.phone),
                contact.n_events + 1,
                event,
            )?,
        ])
    }
}
