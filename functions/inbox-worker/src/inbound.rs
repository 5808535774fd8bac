//! What is said on a call that a person makes to one of our numbers.

use dialpool_domain::PhoneNumber;
use dialpool_domain::call::CallReport;
use dialpool_domain::event::Cause;
use dialpool_dynamo::{InboundCall, InboundSettled, NumberOwner, Suppressed};
use dialpool_providers::vapi::webhook::Webhook;
use tracing::info;

use crate::{InboxError, InboxWorker};

impl InboxWorker {
    /// Puts the person who called one of our numbers, or was called from it, on the list of its company.
    pub(crate) async fn suppress_caller(
        &self,
        cause: &Cause,
        owner: &NumberOwner,
        ours: &PhoneNumber,
        theirs: &PhoneNumber,
    ) -> Result<(), InboxError> {
        let (store, company) = (&self.store, &owner.company);
        // The lead that holds the number may be somebody else than the one who calls.
        let known = store.lead_of_caller(company, ours, theirs, &self.hasher.hash(theirs)).await?;
        let lead = known.as_ref().or(owner.held_by.as_ref());
        let _: Suppressed = store.suppress(cause, company, &self.hasher, theirs, lead, "voice").await?;
        Ok(())
    }

    /// Applies the report of a call that a person made to a number of a company. Its opt-out, if any, is settled by now.
    pub(crate) async fn heard(
        &self,
        cause: &Cause,
        webhook: &Webhook,
        owner: &NumberOwner,
        (ours, theirs): (&PhoneNumber, &PhoneNumber),
        report: &CallReport,
    ) -> Result<(), InboxError> {
        let (store, company) = (&self.store, &owner.company);
        let hash = self.hasher.hash(theirs);
        let Some(provider_call_id) = webhook.provider_call_id.as_deref().filter(|_| webhook.inbound) else {
            return Ok(());
        };
        let call =
            InboundCall { company, provider_call_id, number: ours, caller: theirs, hash: &hash, report };
        let InboundSettled { campaign } = store.settle_inbound(cause, &call).await?;
        info!(company = %company, "inbound call {provider_call_id} to a number of {company} is settled");
        if let Some(campaign) = campaign {
            store.complete_campaign(cause, &campaign).await?;
        }
        Ok(())
    }
}
