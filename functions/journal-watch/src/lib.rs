//! `journal-watch`: what follows from what was written down, and need not be part of it.
//!
//! The stream of the journal brings what happened. A number that came free is for who waits longest (one that rests first
//! is given out by the sweeper when its rest is over), and somebody hears when a pool runs short. Who opted out, what was
//! paused, cancelled or stopped is not called any more: no call is claimed from the moment of the write on, and those that
//! wait at the provider by then are withdrawn. Nobody else has them withdrawn: a batch that fails comes again for longer than
//! a call may wait there. Any of it may come twice, or late: what is done looks at things as they are now.

use std::collections::BTreeMap;

use aws_lambda_events::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::event::{Aggregate, Cause, Event, EventData};
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, CompanyId};
use dialpool_dynamo::{Lines, Store, StoreError, event_of_stream_image};
use dialpool_runtime::jobs::DialJob;
use dialpool_runtime::{Queue, QueueError, Start, StartError};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// A batch looks after pools no longer than this, so that the next, which may say who is not to be called, does not wait for it: the
/// sweeper looks after the others.
const POOLS_WITHIN: Duration = Duration::from_secs(2);

/// The state of the function.
#[derive(Debug)]
pub struct JournalWatch {
    start: Start,
    store: Store,
    withdraw_queue: Queue,
}

/// A company cannot be looked after; its events are brought again.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// What a batch tells of one company.
#[derive(Default)]
struct News {
    /// Whether anything happened to a number.
    numbers: bool,
    /// Whether a number came free.
    freed: bool,
    /// After which calls that wait at the provider are to be withdrawn.
    stops: Vec<Event>,
}

impl JournalWatch {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        let withdraw_queue = start.queue("WITHDRAW_QUEUE_URL")?;
        Ok(Self { store: start.store()?, withdraw_queue, start: start.clone() })
    }

    /// Looks after the companies that a batch is about: first what must not be called any more, of all of them. When that cannot
    /// be done, the batch is brought again; for the pools there is the sweeper.
    pub async fn watch(&self, batch: StreamEvent) -> DynamoDbEventResponse {
        let first = batch.records.first().and_then(|record| record.change.sequence_number.clone());
        let companies = companies(batch.records);
        let mut failed = false;
        for stop in companies.values().flat_map(|news| &news.stops) {
            if let Err(error) = Box::pin(self.withdraw_under(stop)).await {
                warn!("failed to have the calls withdrawn after {}: {error}", stop.id);
                failed = true;
            }
        }
        let since = Instant::now();
        for (company, news) in companies.iter().filter(|(_, news)| news.numbers) {
            if since.elapsed() > POOLS_WITHIN {
                break;
            }
            if let Err(error) = Box::pin(self.look_after(company, news)).await {
                warn!("failed to look after the pool of {company}: {error}");
            }
        }
        let mut response = DynamoDbEventResponse::default();
        if failed {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = first;
            response.batch_item_failures = vec![failure];
        }
        response
    }

    async fn withdraw_under(&self, stop: &Event) -> Result<(), WatchError> {
        for call_id in self.calls_under(stop).await? {
            let job = DialJob::Withdraw { call_id, trace_id: stop.trace_id.clone() };
            self.withdraw_queue.send(&job, Duration::ZERO).await?;
        }
        if let EventData::LeadOptedOut { lead: Some(lead), .. } = &stop.data {
            // Who is not called needs no number.
            self.store.stop_waiting(&stop.company, lead).await?;
        }
        Ok(())
    }

    async fn look_after(&self, company: &CompanyId, news: &News) -> Result<(), StoreError> {
        let cause = self.cause();
        if news.freed {
            let served = self.store.serve_waiting(&cause, company, || self.start.entropy.next_u128()).await?;
            if served > 0 {
                info!("{served} leads of {company} got the number that they waited for");
            }
        }
        self.store.watch_pool(&cause, company).await?;
        Ok(())
    }

    /// The calls under way that an event says should not be, if what it says still holds.
    async fn calls_under(&self, stop: &Event) -> Result<Vec<CallId>, StoreError> {
        match (&stop.aggregate, &stop.data) {
            (Aggregate::Suppression(hash) | Aggregate::Consent(hash), _) => {
                Ok(self.store.call_under_way(&stop.company, hash).await?.into_iter().collect())
            }
            (Aggregate::Campaign(id), _) => {
                let campaign = self.store.campaign_of_job(id).await?;
                let stands = |status| matches!(status, CampaignStatus::Paused | CampaignStatus::Cancelled);
                match campaign.filter(|campaign| stands(campaign.status)) {
                    Some(_) => self.store.calls_of_campaign(id).await,
                    None => Ok(Vec::new()),
                }
            }
            (Aggregate::Lines(company), EventData::CallingStopped { state, .. }) => {
                let lines = self.store.lines(&Lines::Company(company.clone())).await?.unwrap_or_default();
                let stands = match state {
                    None => lines.stopped().is_some(),
                    Some(state) => lines.stopped_states().contains(state),
                };
                let mut calls = Vec::new();
                for id in lines.calls().filter(|_| stands) {
                    let call = self.store.call(id).await?;
                    let there = call.is_some_and(|call| {
                        state.as_ref().is_none_or(|state| call.legal_basis.states.contains(state))
                    });
                    calls.extend(there.then(|| id.clone()));
                }
                Ok(calls)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn cause(&self) -> Cause {
        self.start.cause("journal-watch")
    }
}

fn companies(records: Vec<EventRecord>) -> BTreeMap<CompanyId, News> {
    let mut companies: BTreeMap<CompanyId, News> = BTreeMap::new();
    for record in records {
        match event_of_stream_image(record.change.new_image) {
            Ok(Some(event)) => {
                let news = companies.entry(event.company.clone()).or_default();
                news.numbers |= event.data.kind().starts_with("number.");
                news.freed |=
                    matches!(event.data, EventData::NumberReleased { .. } | EventData::NumberRestored { .. });
                let stops = match &event.data {
                    EventData::LeadOptedOut { .. }
                    | EventData::ConsentRevoked { .. }
                    | EventData::CallingStopped { .. } => true,
                    EventData::CampaignStatusChanged { to, .. } => {
                        matches!(to, CampaignStatus::Paused | CampaignStatus::Cancelled)
                    }
                    _ => false,
                };
                news.stops.extend(stops.then_some(event));
            }
            Ok(None) => {}
            // The relay tells of it; nothing follows from it here.
            Err(unreadable) => error!("failed to read a record of the journal: {unreadable}"),
        }
    }
    companies
}
