//! What a report says after the end of its call: costs, and how a call ended whose end was not learned.
//!
//! A call that was in progress and of whose end nobody told is over with the outcome `other`; its contact is done (`end_unknown`) and a task
//! for a person is there before that is written. The first report that says how it ended is the last word: the call gets its
//! outcome and its state, the campaign's counters go with it, and the contact, if it is still done for want of an end and was not
//! called since, is done for the reason that the outcome gives, or open again. The number is credited with nothing late: what it was
//! used for was counted at the end. The task stays, for whoever took it on.

use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::contact::Contact;
use dialpool_domain::event::Cause;
use dialpool_domain::outcome::Outcome;
use dialpool_domain::retry::{self, DoneReason, Next};
use dialpool_domain::{CampaignId, Timestamp, Usd};

use crate::items::{CallItem, ContactItem};
use crate::settlement::counter;
use crate::transaction::Write;
use crate::{Store, StoreError, items, keys};

/// What a campaign's counters learn late of a call.
#[derive(Debug, Default)]
pub(crate) struct LateTold {
    /// What it cost.
    pub(crate) cost: Option<Usd>,
    /// How it ended, where that was counted as `other`.
    pub(crate) outcome: Option<Outcome>,
}

impl LateTold {
    /// The write that counts it, and so many open contacts more.
    pub(crate) fn count(&self, table: &str, campaign: &CampaignId, opened: i64) -> Write {
        let recounted = self.outcome.map(counter).filter(|right| *right != counter(Outcome::Other));
        let mut expression = "ADD n_open :opened, cost_e4 :cost".to_owned();
        if let Some(right) = recounted {
            expression.push_str(&format!(", {} :less, {right} :more", counter(Outcome::Other)));
        }
        let write = Write::update(table, keys::campaign(campaign), expression)
            .value(":opened", opened)
            .value(":cost", self.cost.unwrap_or(Usd::ZERO).as_ten_thousandths());
        match recounted {
            Some(_) => write.value(":less", -1i64).value(":more", 1i64),
            None => write,
        }
    }

    /// Whether there is nothing to count.
    pub(crate) fn is_nothing(&self) -> bool {
        self.cost.is_none() && self.outcome.is_none()
    }
}

/// The write of a campaign, refused when it is over.
pub(crate) fn still_open(write: Write) -> Write {
    write
        .when("campaign_status IN (:created, :running, :paused)")
        .value(":created", CampaignStatus::Created.as_str())
        .value(":running", CampaignStatus::Running.as_str())
        .value(":paused", CampaignStatus::Paused.as_str())
}

impl Store {
    /// The writes to contact and campaign that follow when it is told late how a call ended.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub(crate) async fn corrected(
        &self,
        cause: &Cause,
        call: &CallItem,
        late: &LateTold,
        opted_out: bool,
    ) -> Result<Vec<Write>, StoreError> {
        let dialing = &self.tables.dialing;
        let counted = |opened: i64| late.count(dialing, &call.campaign_id, opened);
        let (campaign, contact, settings) = tokio::try_join!(
            self.campaign_item(&call.campaign_id),
            self.contact_item(&call.campaign_id, &call.to_number),
            self.settings(&call.company),
        )?;
        let (Some(outcome), Some((campaign, contact))) = (late.outcome, campaign.zip(contact)) else {
            return Ok(vec![counted(0)]);
        };
        let waits_for_this =
            contact.done == Some(DoneReason::EndUnknown) && contact.calls.last() == Some(&call.call_id);
        if !waits_for_this {
            return Ok(vec![counted(0)]);
        }
        let mut attempts = contact.attempts.clone();
        if !outcome.counts() {
            attempts.pop();
        }
        let provider_failures = contact.provider_failures + u32::from(outcome == Outcome::ProviderFailed);
        let begun: Vec<Timestamp> = attempts.iter().map(|at| Timestamp::from_millis(*at)).collect();
        let next = match opted_out {
            true => Next::Done(DoneReason::OptedOut),
            false => retry::plan(outcome, &begun, provider_failures, cause.at, &settings.retry),
        };
        let corrected = ContactItem { attempts, provider_failures, ..contact.clone() };
        match next {
            Next::Done(reason) => {
                let finished = Contact::try_from(corrected.clone())?;
                let key = keys::contact(&call.campaign_id, &call.to_number);
                let expression = "SET done = :done, attempts = :attempts, provider_failures = :failures, \
                                  item_version = :next, n_events = :events";
                let write = as_it_was(Write::update(dialing, key, expression), &contact, &corrected)?
                    .value(":done", items::attribute("reason", &reason)?)
                    .value(":events", contact.n_events + 1);
                let event =
                    self.contact_finished(cause, &call.company, &call.campaign_id, &finished, reason)?;
                Ok(vec![counted(0), write, event])
            }
            Next::At(due_at) => {
                if !self.keep_open(cause, &campaign).await? {
                    return Ok(vec![counted(0)]);
                }
                let key = keys::contact(&call.campaign_id, &call.to_number);
                let expression = "SET due_at = :due, attempts = :attempts, provider_failures = :failures, \
                                  item_version = :next REMOVE done";
                let write = as_it_was(Write::update(dialing, key, expression), &contact, &corrected)?
                    .value(":due", due_at);
                Ok(vec![still_open(counted(1)), write])
            }
        }
    }
}

/// The write of a contact that is not on a call, refused when it changed since it was read.
fn as_it_was(write: Write, read: &ContactItem, corrected: &ContactItem) -> Result<Write, StoreError> {
    Ok(write
        .when("item_version = :version AND attribute_not_exists(call_id)")
        .value(":version", read.item_version)
        .value(":next", read.item_version + 1)
        .value(":attempts", items::attribute("contact", &corrected.attempts)?)
        .value(":failures", u64::from(corrected.provider_failures)))
}
