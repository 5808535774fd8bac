//! `event-relay`: from the journal to the event bus.
//!
//! The stream of the journal brings every event once it is committed, in the order of its aggregate, at least once. The
//! relay puts each on the bus and answers with the first that the bus did not take: the stream starts again from there.
//! So none is lost, none is invented, and some come twice; consumers know them by their id.

use aws_lambda_events::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use dialpool_domain::event::Event;
use dialpool_dynamo::event_of_stream_image;
use dialpool_runtime::{Start, StartError};
use tracing::{error, info};

/// The source that rules on the bus match.
pub const SOURCE: &str = "dialpool";

/// The bus takes this many events in one request.
const AT_ONCE: usize = 10;

/// The state of the function.
#[derive(Debug)]
pub struct EventRelay {
    client: Client,
    bus: String,
}

impl EventRelay {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment does not name the bus.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self { client: Client::new(&start.sdk), bus: start.environment.text("BUS_NAME")?.to_owned() })
    }

    /// Puts the events of a batch on the bus, in their order. The answer names the record to start again from, if any.
    pub async fn relay(&self, batch: StreamEvent) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        if let Err(sequence_number) = self.relay_all(batch.records).await {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = sequence_number;
            response.batch_item_failures = vec![failure];
        }
        response
    }

    /// `Err` is the stream's sequence number of the first record that the bus did not take.
    async fn relay_all(&self, records: Vec<EventRecord>) -> Result<(), Option<String>> {
        let mut pending: Vec<(Option<String>, Event)> = Vec::new();
        for record in records {
            let sequence_number = record.change.sequence_number;
            match event_of_stream_image(record.change.new_image) {
                Ok(Some(event)) => pending.push((sequence_number, event)),
                Ok(None) => {}
                Err(unreadable) => {
                    error!("failed to read a record of the journal: {unreadable}");
                    self.put(&pending).await?;
                    return Err(sequence_number);
                }
            }
        }
        self.put(&pending).await?;
        info!(events = pending.len(), "relayed {} events", pending.len());
        Ok(())
    }

    async fn put(&self, events: &[(Option<String>, Event)]) -> Result<(), Option<String>> {
        for chunk in events.chunks(AT_ONCE) {
            let first = || chunk.first().and_then(|(sequence_number, _)| sequence_number.clone());
            let mut entries = Vec::with_capacity(chunk.len());
            for (sequence_number, event) in chunk {
                let detail = serde_json::to_string(event).map_err(|error| {
                    error!(event.id = %event.id, "failed to write event {}: {error}", event.id);
                    sequence_number.clone()
                })?;
                entries.push(
                    PutEventsRequestEntry::builder()
                        .event_bus_name(&self.bus)
                        .source(SOURCE)
                        .detail_type(event.data.kind())
                        .detail(detail)
                        .build(),
                );
            }
            let put = self.client.put_events().set_entries(Some(entries)).send().await.map_err(|error| {
                error!("failed to put events on the bus: {}", DisplayErrorContext(error));
                first()
            })?;
            let refused = put.entries().iter().position(|entry| entry.error_code().is_some());
            if let Some(position) = refused {
                let entry = &put.entries()[position];
                error!("the bus refused an event: {:?} {:?}", entry.error_code(), entry.error_message());
                return Err(chunk.get(position).and_then(|(sequence_number, _)| sequence_number.clone()));
            }
        }
        Ok(())
    }
}
