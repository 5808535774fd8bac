//! `call-dispatcher`: places the calls that are due, each once, and finds out what became of those that are silent.
//!
//! A dial job is a hint that a line may be free. One that finds nothing to dial ends there: what ends a call, and the
//! pacer, give the next. The dispatcher takes the contact that is due longest, has a number held
//! for it, claims the call in one transaction (see `dialpool_dynamo`), and asks the provider once. A clear answer is
//! written down. Anything unclear leaves the call `unknown`: it is looked up at the provider 15 s, 1 min and 5 min after,
//! and only then does its absence there prove that nobody was called; by then the provider itself refuses to start it.
//!
//! A line of the account that frees is for the campaign whose turn it is (`dialpool_dynamo::LinesInUse`): a dial that could use it
//! hands it on. A call that must not be any more is withdrawn while it waits at the provider.
//!
//! Not here: what ends a call in the ordinary way; that is the inbox worker's.

mod dial;
mod inventory;
mod settle;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use dialpool_domain::event::Cause;
use dialpool_domain::rules::Rules;
use dialpool_domain::{TraceId, call};
use dialpool_dynamo::{LineLimits, Lines, PhoneHasher, Store, StoreError};
use dialpool_providers::http::Transport;
use dialpool_providers::vapi::{Vapi, WebhookTarget};
use dialpool_runtime::jobs::DialJob;
use dialpool_runtime::{Queue, QueueError, Start, StartError, queue};

/// Of a provider account's lines, this share is kept for inbound calls.
const INBOUND_PERCENT: u32 = 30;

/// The state of the function.
#[derive(Debug)]
pub struct CallDispatcher {
    start: Start,
    store: Store,
    dial_queue: Queue,
    withdraw_queue: Queue,
    vapi: Vapi,
    webhook: WebhookTarget,
    line: LineLimits,
    hasher: PhoneHasher,
    rules: &'static Rules,
}

/// A job could not be carried out; the queue brings it again.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Two calls where there must be one.
    #[error("the provider has a second call for {call}, beside {known}")]
    SecondCall {
        /// Our call.
        call: dialpool_domain::CallId,
        /// The provider's id that was known first.
        known: String,
    },
}

impl CallDispatcher {
    /// The state that the start provides. Makes the provider account known to the store, which also warms the connection.
    ///
    /// # Errors
    /// When the environment is incomplete or the store gives no answer.
    pub async fn new(start: &Start, transport: Transport) -> Result<Self, DispatcherStartError> {
        let environment = &start.environment;
        let concurrency: u32 = environment.value("VAPI_ACCOUNT_CONCURRENCY").map_err(StartError::from)?;
        let text = |name: &str| environment.text(name).map_err(StartError::from);
        let secret = |name: &str| environment.secret(name).map_err(StartError::from);
        let dispatcher = Self {
            store: start.store()?,
            dial_queue: start.queue("DIAL_QUEUE_URL")?,
            withdraw_queue: start.queue("WITHDRAW_QUEUE_URL")?,
            vapi: Vapi::new(transport, text("VAPI_BASE_URL")?, secret("VAPI_API_KEY")?),
            webhook: WebhookTarget {
                url: text("WEBHOOK_URL")?.to_owned(),
                secret: secret("VAPI_WEBHOOK_SECRET")?,
                credential_id: environment.optional_text("VAPI_WEBHOOK_CREDENTIAL_ID").map(str::to_owned),
            },
            line: LineLimits { account: "vapi".to_owned(), outbound: outbound_lines(concurrency) },
            hasher: start.phone_hasher().await?,
            rules: Rules::united_states(),
            start: start.clone(),
        };
        dispatcher.store.open_lines(&dispatcher.account()).await?;
        Ok(dispatcher)
    }

    /// Works on a batch of jobs; the answer names those that the queue is to bring again.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        queue::each_message(event, |job| self.work(job)).await
    }

    async fn work(&self, job: DialJob) -> Result<(), DispatchError> {
        match job {
            DialJob::Dial { campaign_id, trace_id } => self.dial(&campaign_id, &trace_id).await,
            DialJob::Settle { call_id, trace_id } => self.settle(&call_id, &trace_id).await,
            DialJob::Withdraw { call_id, trace_id } => self.withdraw(&call_id, &trace_id).await,
            DialJob::CheckNumbers { trace_id } => {
                self.check_numbers(&self.cause(&trace_id)).await;
                Ok(())
            }
        }
    }

    /// The lines of the provider account.
    fn account(&self) -> Lines {
        Lines::Account(self.line.account.clone())
    }

    fn cause(&self, trace_id: &TraceId) -> Cause {
        Cause { trace_id: trace_id.clone(), ..self.start.cause("call-dispatcher") }
    }

    /// Has the call looked up again, `delay` from now.
    async fn look_again(
        &self,
        call_id: &dialpool_domain::CallId,
        trace_id: &TraceId,
        delay: std::time::Duration,
    ) -> Result<(), DispatchError> {
        self.store.check_call_again(call_id, self.start.clock.now() + delay).await?;
        if delay < call::SILENT_AFTER {
            let job = DialJob::Settle { call_id: call_id.clone(), trace_id: trace_id.clone() };
            self.dial_queue.send(&job, delay).await?;
        }
        Ok(())
    }
}

/// The dispatcher cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DispatcherStartError {
    /// Its configuration is incomplete.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many outbound calls an account with `concurrency` lines makes at once; at least one.
fn outbound_lines(concurrency: u32) -> u32 {
    (concurrency - concurrency * INBOUND_PERCENT / 100).max(1)
}

#[cfg(test)]
mod tests {
    use super::outbound_lines;

    #[test]
    fn three_lines_in_ten_are_kept_for_inbound_calls() {
        assert_eq!([outbound_lines(10), outbound_lines(1), outbound_lines(12)], [7, 1, 9]);
    }
}
