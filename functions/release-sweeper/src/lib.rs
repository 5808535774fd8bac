//! `release-sweeper`: closes the books of holds that are over, has silent calls looked up, gives numbers whose rest is over
//! to who waits, looks through pools that nobody looked at lately, and has the inventory looked at once an hour.
//!
//! Hygiene, not correctness: a hold that is over is over whether or not this ran, and any number of sweepers may run at
//! once. It takes no input, does a bounded amount of work, and never tries twice: the next run is the retry.

use dialpool_domain::event::Cause;
use dialpool_dynamo::{Changed, Store, StoreError};
use dialpool_runtime::jobs::DialJob;
use dialpool_runtime::{Queue, QueueError, Start, StartError};
use futures::{StreamExt, stream};
use tracing::{info, warn};

/// More expired holds than this wait for the next run.
const HOLDS_PER_RUN: usize = 5_000;

/// More silent calls than this wait for the next run.
const CALLS_PER_RUN: usize = 1_000;

/// A run within the first minutes of an hour has the inventory looked at: as many as lie between two runs.
const INVENTORY_MINUTES: i64 = 5;

/// Holds closed at the same time.
const AT_ONCE: usize = 8;

/// The state of the function.
#[derive(Debug)]
pub struct ReleaseSweeper {
    start: Start,
    store: Store,
    dial_queue: Queue,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Holds whose end was written down.
    pub closed: u64,
    /// Calls handed to the dispatcher to be looked up.
    pub handed_on: u64,
    /// Leads that got the number they waited for.
    pub served: u64,
}

/// A run broke off; the next one does what is left.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl ReleaseSweeper {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self { store: start.store()?, dial_queue: start.queue("DIAL_QUEUE_URL")?, start: start.clone() })
    }

    /// One run.
    ///
    /// # Errors
    /// When the store or the queue gave no answer; what could be done is done.
    pub async fn sweep(&self) -> Result<(), SweepError> {
        let cause = self.start.cause("release-sweeper");
        let mut failed = None;
        // The calls first: they are what people wait for.
        let handed_on = self.hand_on(&cause).await?;
        let closed = self.close_expired(&cause, &mut failed).await?;
        let swept = Swept { closed, handed_on, served: self.serve_waiting(&cause, &mut failed).await? };
        self.watch_pools(&cause, &mut failed).await?;
        if cause.at.as_millis() / 60_000 % 60 < INVENTORY_MINUTES {
            let job = DialJob::CheckNumbers { trace_id: cause.trace_id.clone() };
            self.dial_queue.send(&job, std::time::Duration::ZERO).await?;
        }
        info!(
            holds.closed = swept.closed,
            calls.handed_on = swept.handed_on,
            leads.served = swept.served,
            "closed {} holds",
            swept.closed
        );
        failed.map_or(Ok(()), |error| Err(SweepError::Store(error)))
    }

    async fn close_expired(&self, cause: &Cause, failed: &mut Option<StoreError>) -> Result<u64, SweepError> {
        let expired = self.store.expired_holds(cause.at, HOLDS_PER_RUN).await?;
        if expired.len() == HOLDS_PER_RUN {
            warn!("more than {HOLDS_PER_RUN} holds are over: the rest waits for the next run");
        }
        // One that cannot be closed does not keep the others open.
        let closed = stream::iter(expired)
            .map(async |(company, id)| (self.store.close_expired(cause, &company, &id).await, id))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut count = 0;
        for (changed, id) in closed {
            match changed {
                Ok(Changed::Done(assignment)) => count += u64::from(assignment.ended.is_some()),
                Ok(Changed::AlreadyOver(_) | Changed::NotFound) => {}
                Err(error) => {
                    warn!("failed to close hold {id}: {error}");
                    *failed = Some(error);
                }
            }
        }
        Ok(count)
    }

    /// Numbers whose rest is over are for who waits: of that no event tells.
    async fn serve_waiting(&self, cause: &Cause, failed: &mut Option<StoreError>) -> Result<u64, SweepError> {
        let mut served = 0;
        for company in self.store.companies_with_waiting().await? {
            match self.store.serve_waiting(cause, &company, || self.start.entropy.next_u128()).await {
                Ok(leads) => served += leads,
                Err(error) => {
                    warn!("failed to serve who waits in {company}: {error}");
                    *failed = Some(error);
                }
            }
        }
        Ok(served)
    }

    /// Pools in which something happened after they were looked through are looked through again.
    async fn watch_pools(&self, cause: &Cause, failed: &mut Option<StoreError>) -> Result<(), SweepError> {
        for company in self.store.pools_to_watch().await? {
            if let Err(error) = self.store.watch_pool_again(cause, &company).await {
                warn!("failed to look through the pool of {company}: {error}");
                *failed = Some(error);
            }
        }
        Ok(())
    }

    async fn hand_on(&self, cause: &Cause) -> Result<u64, SweepError> {
        let silent = self.store.silent_calls(cause.at, CALLS_PER_RUN).await?;
        let mut handed_on = 0;
        for call_id in silent {
            let job = DialJob::Settle { call_id, trace_id: cause.trace_id.clone() };
            self.dial_queue.send(&job, std::time::Duration::ZERO).await?;
            handed_on += 1;
        }
        Ok(handed_on)
    }
}
