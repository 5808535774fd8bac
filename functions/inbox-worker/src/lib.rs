//! `inbox-worker`: applies what providers sent, in any order and any number of times.
//!
//! Every event of a call goes to the call's log first. States only move forward; the first report of an end, with
//! its reason, ends the call, once, with everything that follows; what later reports add is merged. When a call is over its line is free,
//! and the next dial is asked for in the same breath.
//!
//! What cannot be read, or is of a type that nobody has heard of, fails: the queue brings it again and then keeps it, with
//! its cause in the log, for a human.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use dialpool_domain::call::CallState;
use dialpool_domain::event::Cause;
use dialpool_domain::outcome::Outcome;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, Timestamp};
use dialpool_dynamo::{Ended, Moved, PhoneHasher, Settlement, Store, StoreError, Suppressed, Told};
use dialpool_providers::vapi::webhook::{Kind, UnreadableWebhook, Webhook, without_secrets};
use dialpool_runtime::jobs::{DialJob, InboxBody, InboxMessage};
use dialpool_runtime::{Queue, QueueError, Start, StartError, queue};
use tracing::{info, warn};

/// The provider is asked how a call ended when its report has not come by then.
const ASK_FOR_REASON_AFTER: Duration = Duration::from_mins(1);

/// The state of the function.
#[derive(Debug)]
pub struct InboxWorker {
    start: Start,
    store: Store,
    dial_queue: Queue,
    hasher: PhoneHasher,
}

/// A message could not be applied; the queue brings it again, and keeps it when that does not help.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The message is not what the provider's contract says.
    #[error("unreadable webhook: {0}")]
    Unreadable(#[from] UnreadableWebhook),
    /// Nobody we know sent it.
    #[error("provider: {0} is not known")]
    UnknownProvider(String),
    /// It is about a call that is not ours.
    #[error("call {0} is not known")]
    UnknownCall(CallId),
    /// Two calls where there must be one.
    #[error("the provider has a second call for {call}, beside {known}")]
    SecondCall {
        /// Our call.
        call: CallId,
        /// The provider's id that was known first.
        known: String,
    },
}

impl InboxWorker {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete, or its hash key is not that of the tables.
    pub async fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self {
            store: start.store()?,
            dial_queue: start.queue("DIAL_QUEUE_URL")?,
            hasher: start.phone_hasher().await?,
            start: start.clone(),
        })
    }

    /// Works on a batch of messages; the answer names those that the queue is to bring again.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        queue::each_message(event, |message| self.apply(message)).await
    }

    async fn apply(&self, message: InboxMessage) -> Result<(), InboxError> {
        if message.provider != "vapi" {
            return Err(InboxError::UnknownProvider(message.provider));
        }
        let body = match message.body {
            InboxBody::Inline(text) => text.into_bytes(),
            InboxBody::Reference(reference) => self.store.inbox_body(&reference).await?,
        };
        let webhook = Webhook::parse(&body)?;
        let cause = Cause { trace_id: message.trace_id, ..self.start.cause("inbox-worker") };
        let Some(call_id) = webhook.call_id.clone() else {
            return self.others_call(&cause, &webhook).await;
        };
        if self.store.call(&call_id).await?.is_none() {
            return Err(InboxError::UnknownCall(call_id));
        }
        let text = without_secrets(&body)?;
        self.store.log_call(message.received_at, &call_id, webhook.dedupe_key(), &text).await?;

        let (provider_call_id, told_at) = (webhook.provider_call_id.as_deref(), webhook.timestamp);
        let told = match &webhook.kind {
            Kind::EndOfCallReport { .. } => Told::All,
            Kind::StatusUpdate { .. }
            | Kind::AssistantRequest { .. }
            | Kind::Predial
            | Kind::Other { .. } => Told::End,
        };
        match webhook.kind {
            // How a call ended decides what comes next: an end without its reason waits for the report.
            Kind::StatusUpdate { state, report } if state.is_over() && report.outcome.is_none() => {
                self.store.check_call_again(&call_id, cause.at + ASK_FOR_REASON_AFTER).await?;
                Ok(())
            }
            Kind::StatusUpdate { state, mut report } | Kind::EndOfCallReport { state, mut report }
                if state.is_over() =>
            {
                // A status says when it came to be by its own time only.
                report.ended_at = report.ended_at.or(told_at);
                let settlement = Settlement {
                    call_id: &call_id,
                    state,
                    provider_call_id,
                    report: &report,
                    told,
                    hasher: &self.hasher,
                };
                self.end(&cause, &settlement).await
            }
            Kind::StatusUpdate { state, .. } | Kind::EndOfCallReport { state, .. } => {
                self.advance(&cause, &call_id, state, provider_call_id, told_at).await
            }
            Kind::AssistantRequest { .. } | Kind::Predial | Kind::Other { .. } => Ok(()),
        }
    }

    /// A call that Dialpool did not place: somebody called one of its numbers, or the account has other users. Nothing
    /// follows from it, but a wish not to be called is one whoever placed the call.
    async fn others_call(&self, cause: &Cause, webhook: &Webhook) -> Result<(), InboxError> {
        info!("a webhook about a call that Dialpool did not place: {}", webhook.dedupe_key());
        let Kind::EndOfCallReport { report, .. } = &webhook.kind else { return Ok(()) };
        let (Some(ours), Some(theirs)) = (&webhook.our_number, &webhook.their_number) else { return Ok(()) };
        if !report.opted_out {
            return Ok(());
        }
        if let Some(owner) = self.store.owner_of(cause.at, ours).await? {
            let lead = owner.held_by.as_ref();
            let _: Suppressed =
                self.store.suppress(cause, &owner.company, &self.hasher, theirs, lead, "voice").await?;
        }
        Ok(())
    }

    async fn advance(
        &self,
        cause: &Cause,
        call_id: &CallId,
        state: CallState,
        provider_call_id: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), InboxError> {
        match self.store.move_call(cause, call_id, state, provider_call_id, None, at).await? {
            Moved::Done(_) | Moved::Stale(_) => Ok(()),
            Moved::OtherCall { known } => Err(InboxError::SecondCall { call: call_id.clone(), known }),
            Moved::NotFound => Err(InboxError::UnknownCall(call_id.clone())),
        }
    }

    async fn end(&self, cause: &Cause, settlement: &Settlement<'_>) -> Result<(), InboxError> {
        let call = match self.store.end_call(cause, settlement).await? {
            Ended::Applied { call, .. } => {
                info!(call.id = %call.id, "call {} is {}", call.id, call.state);
                if call.report.outcome == Some(Outcome::Other) {
                    // `UnknownEndedReasonAlarm` counts these lines by their first words.
                    warn!(call.id = %call.id, "unknown ended reason {:?} of call {}", call.report.ended_reason, call.id);
                }
                call
            }
            Ended::AlreadyOver(call) => call,
            Ended::OtherCall { known } => {
                return Err(InboxError::SecondCall { call: settlement.call_id.clone(), known });
            }
            Ended::GoesOn => return Ok(()),
            Ended::NotFound => return Err(InboxError::UnknownCall(settlement.call_id.clone())),
        };
        if !self.store.complete_campaign(cause, &call.campaign_id).await? {
            let job =
                DialJob::Dial { campaign_id: call.campaign_id.clone(), trace_id: cause.trace_id.clone() };
            self.dial_queue.send(&job, Duration::ZERO).await?;
        }
        Ok(())
    }
}
