//! Queues: messages out, and batches of messages in.

use std::future::Future;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{Instrument, Span, error, info_span};

use crate::jobs::Traced;

/// The longest that a queue holds a message back.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// How many messages of a batch are worked on at once.
const AT_ONCE: usize = 5;

/// A queue to send to.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message was not taken, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take a message, or gave no answer: {0}")]
pub struct QueueError(String);

impl Queue {
    /// The queue at `url`.
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }

    /// Asks the queue how it is.
    ///
    /// # Errors
    /// When it gives no answer.
    pub async fn reach(&self) -> Result<(), QueueError> {
        let asked = self.client.get_queue_attributes().queue_url(&self.url);
        let asked = asked.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await;
        asked.map(|_| ()).map_err(|error| QueueError(DisplayErrorContext(error).to_string()))
    }

    /// Sends a message, to be seen after `delay`, at most [`LONGEST_DELAY`]. Once this returns the message is durable; it
    /// may be delivered more than once.
    ///
    /// # Errors
    /// When the queue does not confirm it.
    pub async fn send<T: Serialize + Sync>(&self, message: &T, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(error.to_string()))?;
        let seconds = delay.min(LONGEST_DELAY).as_millis().div_ceil(1_000);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(i32::try_from(seconds).unwrap_or(0))
            .send()
            .await
            .map_err(|error| QueueError(DisplayErrorContext(error).to_string()))?;
        Ok(())
    }
}

/// Works on each message of a batch; the answer names those that failed, which the queue delivers again and finally
/// hands to the dead-letter queue. A message that cannot be read fails like any other: nothing is dropped.
pub async fn each_message<T, E, F>(event: SqsEvent, work: impl Fn(T) -> F) -> SqsBatchResponse
where
    T: DeserializeOwned + Traced,
    E: std::fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let failures = futures::stream::iter(event.records)
        .map(|record| {
            let parsed = serde_json::from_str::<T>(record.body.as_deref().unwrap_or_default());
            let span = match &parsed {
                Ok(message) => info_span!("message", trace.id = %message.trace_id()),
                Err(_) => Span::none(),
            };
            let work = parsed.map(&work);
            let worked_on = async move {
                match work {
                    Err(error) => failed(&record, &error),
                    Ok(work) => work.await.err().and_then(|error| failed(&record, &error)),
                }
            };
            worked_on.instrument(span)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failure| failure)
        .collect::<Vec<_>>()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

fn failed(record: &SqsMessage, error: &dyn std::fmt::Display) -> Option<BatchItemFailure> {
    let message = record.message_id.clone().unwrap_or_default();
    error!(message.id = %message, "failed to work on message {message}: {error}");
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message;
    Some(failure)
}
