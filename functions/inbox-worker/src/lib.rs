//! `inbox-worker`: applies what providers sent, in any order and any number of times.
//!
//! An opt-out is settled before anything else is looked at: also one in a message that cannot be understood, of a second call or of
//! a call that is not known. Then every event of a call goes to the call's log, as far as that has room. States only move forward; the first report of an end, with
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
use dialpool_dynamo::{Ended, Logged, Moved, PhoneHasher, Settlement, Store, StoreError, Suppressed, Told};
use dialpool_providers::vapi::webhook::{About, Kind, Received, UnreadableWebhook};
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
    /// Somebody opted out, and it cannot be told who.
    #[error(
        "somebody opted out, and the message names no call or numbers that are known: find out who, and suppress the number"
    )]
    Nobody,
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
    /// When the environment is incomplete.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self {
            store: start.store()?,
            dial_queue: start.queue("DIAL_QUEUE_URL")?,
            hasher: start.phone_hasher()?,
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
        let cause = Cause { trace_id: message.trace_id, ..self.start.cause("inbox-worker") };
        let received = Received::read(&body);
        let opt_out = message.opt_out.or_else(|| received.opt_out());
        let calls = if message.calls.is_empty() { received.about.calls.clone() } else { message.calls };
        let about = About { calls, ..received.about.clone() };
        if let Some(heard) = &opt_out {
            self.suppress(&cause, &about, heard).await?;
        }
        let kept = received.kept();
        let webhook = received.webhook?.with_opt_out(opt_out);
        let Some(call_id) = webhook.call_id.clone() else {
            info!("a webhook about a call that Dialpool did not place: {}", webhook.dedupe_key());
            return Ok(());
        };
        if self.store.call(&call_id).await?.is_none() {
            return Err(InboxError::UnknownCall(call_id));
        }
        if let Some(kept) = kept {
            let entry = webhook.dedupe_key();
            match self.store.log_call(message.received_at, &call_id, entry, &kept).await? {
                Logged::Done => {}
                Logged::NotNow => {
                    info!(call.id = %call_id, "{entry} is in the log of call {call_id}, or the log is full");
                }
            }
        }

        let (provider_call_id, told_at) = (webhook.provider_call_id.as_deref(), webhook.timestamp);
        let told = match &webhook.kind {
            Kind::EndOfCallReport { .. } if webhook.whole => Told::All,
            Kind::EndOfCallReport { .. }
            | Kind::StatusUpdate { .. }
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

    /// The person does not want to be called again: whoever placed the call, and whatever else the message says. The person is
    /// known by a call of ours, else by the numbers of the message.
    async fn suppress(&self, cause: &Cause, about: &About, heard: &str) -> Result<(), InboxError> {
        let mut known = false;
        for id in &about.calls {
            let Some(call) = self.store.call(id).await? else { continue };
            known = true;
            info!(call.id = %id, "the person of call {id} opted out");
            let (company, lead) = (&call.company, Some(&call.lead));
            let _: Suppressed =
                self.store.suppress(cause, company, &self.hasher, &call.to, lead, "voice").await?;
        }
        if known {
            return Ok(());
        }
        let ours = match (&about.our_number, &about.our_number_id) {
            (Some(number), _) => Some(number.clone()),
            (None, Some(id)) => self.store.number_of_provider(id).await?,
            (None, None) => None,
        };
        let owner = match &ours {
            Some(ours) => self.store.owner_of(cause.at, ours).await?,
            None => None,
        };
        match (owner, &about.their_number) {
            (Some(owner), Some(theirs)) => {
                let lead = owner.held_by.as_ref();
                let _: Suppressed =
                    self.store.suppress(cause, &owner.company, &self.hasher, theirs, lead, "voice").await?;
                Ok(())
            }
            // Of a call of ours it is for a human; the account has other users, too, whose calls are none of ours.
            _ if about.calls.is_empty() && ours.is_none() => {
                warn!("somebody opted out in a message without a number of ours: {} characters", heard.len());
                Ok(())
            }
            (None, _) if about.calls.is_empty() => Ok(()),
            _ => Err(InboxError::Nobody),
        }
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
