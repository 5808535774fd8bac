//! `pool-watch`: whoever waits gets the number that came free, and somebody hears when a pool runs short.
//!
//! The stream of the journal brings what happened to numbers. A number that came free is for who waits longest; a number
//! that rests first is given out by the sweeper when its rest is over. Any of it may come twice, or late: serving and
//! watching look at the pool as it is now.

use std::collections::BTreeMap;

use aws_lambda_events::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use dialpool_domain::CompanyId;
use dialpool_domain::event::{Cause, Event, EventData};
use dialpool_dynamo::{Store, StoreError, event_of_stream_image};
use dialpool_runtime::{Start, StartError};
use tracing::{error, info, warn};

/// The state of the function.
#[derive(Debug)]
pub struct PoolWatch {
    start: Start,
    store: Store,
}

/// What a batch tells of one company.
#[derive(Default)]
struct News {
    /// Whether a number came free.
    freed: bool,
}

impl PoolWatch {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self { store: start.store()?, start: start.clone() })
    }

    /// Looks after the companies whose numbers a batch is about. When one cannot be looked after, the batch is brought again.
    pub async fn watch(&self, batch: StreamEvent) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        let first = batch.records.first().and_then(|record| record.change.sequence_number.clone());
        for (company, news) in companies(batch.records) {
            if let Err(error) = self.look_after(&company, &news).await {
                warn!("failed to look after the pool of {company}: {error}");
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier = first.clone();
                response.batch_item_failures = vec![failure];
            }
        }
        response
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

    fn cause(&self) -> Cause {
        self.start.cause("pool-watch")
    }
}

fn companies(records: Vec<EventRecord>) -> BTreeMap<CompanyId, News> {
    let mut companies: BTreeMap<CompanyId, News> = BTreeMap::new();
    for record in records {
        match event_of_stream_image(record.change.new_image) {
            Ok(Some(Event { company, data, .. })) => {
                let news = companies.entry(company).or_default();
                news.freed |=
                    matches!(data, EventData::NumberReleased { .. } | EventData::NumberRestored { .. });
            }
            Ok(None) => {}
            // The relay tells of it; nothing follows from it here.
            Err(unreadable) => error!("failed to read a record of the journal: {unreadable}"),
        }
    }
    companies
}
