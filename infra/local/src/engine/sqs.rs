//! SQS, as far as the stack and the runbook use it: visibility time-outs, delays, long polls, redrive to a dead-letter queue;
//! batches in `batches`, the operator's hands (purge, visibility, moves out of a dead-letter queue) in `hands`.
//!
//! Messages live in memory in the order in which they become visible; with a file behind the engine each is kept there as
//! well, until it is deleted. As on AWS, delivery is at least once, and order is not promised.

mod batches;
mod hands;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dialpool_domain::Timestamp;
use dialpool_runtime::Clock;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Answer;
use super::state::StateTable;
use crate::template;

/// A message holds at most 1 MiB.
const LONGEST_BODY: usize = 1024 * 1024;

const MOST_AT_ONCE: usize = 10;

/// A message is held back no longer than this.
const LONGEST_DELAY_SECONDS: u64 = 900;

/// A caller waits for messages no longer than this.
const LONGEST_POLL_SECONDS: u64 = 20;

/// A message stays hidden no longer than this.
const LONGEST_VISIBILITY_SECONDS: u64 = 12 * 3_600;

#[derive(Clone)]
pub(super) struct Sqs {
    clock: Clock,
    state: StateTable,
    queues: Arc<Mutex<BTreeMap<String, Queue>>>,
    changed: Arc<Notify>,
    ids: Ids,
}

/// Makes the ids of messages and of receipts. No two are alike, in whichever queues, before or after a restart, and wherever
/// the clock was set to: a message that goes to another queue keeps its id, and must meet no other of the same there.
#[derive(Clone)]
struct Ids {
    /// How often the engine was opened.
    opened: u64,
    made: Arc<AtomicU64>,
}

impl Ids {
    /// Ids look like the service's and are in the order in which they were made.
    fn next(&self) -> String {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-0000-4000-8000-{made:012x}", self.opened)
    }
}

struct Queue {
    visibility: Duration,
    delay: Duration,
    redrive: Option<(String, u32)>,
    messages: BTreeMap<String, Message>,
    /// What was moved out of it, the newest first.
    moves: Vec<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Message {
    id: String,
    body: String,
    sent_at: Timestamp,
    visible_at: Timestamp,
    receives: u32,
    receipt: Option<String>,
    delayed: bool,
    /// The queue in which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_in: Option<String>,
}

/// How many messages a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be received.
    pub visible: usize,
    /// Received and not deleted.
    pub in_flight: usize,
    /// Held back for now.
    pub delayed: usize,
}

impl Depth {
    /// All of them.
    pub fn total(self) -> usize {
        self.visible + self.in_flight + self.delayed
    }
}

#[derive(Debug)]
enum Refused {
    NoQueue,
    Invalid(String),
    /// By the name that the service has for it.
    Named(&'static str, String),
    /// The file could not be written.
    Unsaved(anyhow::Error),
}

impl Sqs {
    /// `opened`: another number each time that the same file is opened.
    pub(super) fn new(clock: Clock, state: StateTable, opened: u64) -> Self {
        let ids = Ids { opened, made: Arc::default() };
        Self { clock, state, queues: Arc::default(), changed: Arc::default(), ids }
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a queue, with the messages that it had before a restart.
    pub(super) fn create(&self, queue: &template::Queue) -> anyhow::Result<()> {
        let mut messages = BTreeMap::new();
        for (_, saved) in self.state.list(&saved_prefix(&queue.name))? {
            let message: Message = serde_json::from_value(saved)?;
            messages.insert(message.id.clone(), message);
        }
        let created = Queue {
            visibility: queue.visibility_timeout,
            delay: queue.delay,
            redrive: queue
                .redrive
                .as_ref()
                .map(|redrive| (redrive.queue_name.clone(), redrive.max_receive_count)),
            messages,
            moves: Vec::new(),
        };
        self.queues().insert(queue.name.clone(), created);
        Ok(())
    }

    pub(super) fn depth(&self, queue: &str) -> Depth {
        let now = self.clock.now();
        let queues = self.queues();
        let mut depth = Depth::default();
        for message in queues.get(queue).into_iter().flat_map(|queue| queue.messages.values()) {
            match (message.visible_at <= now, message.delayed) {
                (true, _) => depth.visible += 1,
                (false, true) => depth.delayed += 1,
                (false, false) => depth.in_flight += 1,
            }
        }
        depth
    }

    /// The bodies of all messages of a queue, the oldest first.
    pub(super) fn bodies(&self, queue: &str) -> Vec<String> {
        let queues = self.queues();
        let messages = queues.get(queue).map(|queue| queue.messages.values().cloned().collect::<Vec<_>>());
        let mut messages = messages.unwrap_or_default();
        messages.sort_by(|a, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
        messages.into_iter().map(|message| message.body).collect()
    }

    pub(super) async fn answer(&self, operation: &str, body: &[u8]) -> Answer {
        let request: Value = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Answer::error(400, "SerializationException", &error.to_string()),
        };
        let name = request["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
        let answered = match operation {
            "SendMessage" => self.send(name, &request),
            "SendMessageBatch" => self.send_batch(name, &request),
            "ReceiveMessage" => match within("WaitTimeSeconds", &request, LONGEST_POLL_SECONDS) {
                Ok(_) => self.receive(name, &request).await,
                Err(refused) => Err(refused),
            },
            "DeleteMessage" => self.delete(name, &request),
            "DeleteMessageBatch" => self.delete_batch(name, &request),
            "ChangeMessageVisibility" => self.change_visibility(name, &request),
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(name, &request),
            "PurgeQueue" => self.purge(name),
            "StartMessageMoveTask" => self.start_move(&request),
            "ListMessageMoveTasks" => self.list_moves(&request),
            "GetQueueUrl" => self.url(&request),
            "GetQueueAttributes" => self.attributes(name),
            "ListQueues" => {
                let urls: Vec<String> = self.queues().keys().map(|name| template::queue_url(name)).collect();
                Ok(json!({ "QueueUrls": urls }))
            }
            _ => {
                let text = "the local stack does not know this operation";
                return Answer::error(400, "com.amazonaws.sqs#UnsupportedOperation", text);
            }
        };
        match answered {
            Ok(json) => Answer::new(200, json.to_string()),
            Err(Refused::NoQueue) => refused(
                "com.amazonaws.sqs#QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue;Sender",
                &format!("The specified queue does not exist: {name}"),
            ),
            Err(Refused::Invalid(text)) => {
                refused("com.amazonaws.sqs#InvalidParameterValue", "InvalidParameterValue;Sender", &text)
            }
            Err(Refused::Named(kind, text)) => {
                refused(&format!("com.amazonaws.sqs#{kind}"), query_code(kind), &text)
            }
            Err(Refused::Unsaved(error)) => Answer::error(500, "InternalFailure", &error.to_string()),
        }
    }

    fn send(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        let body = request["MessageBody"]
            .as_str()
            .ok_or_else(|| Refused::Invalid("MessageBody is missing".into()))?;
        if body.is_empty() || body.len() > LONGEST_BODY {
            return Err(Refused::Invalid("MessageBody must have 1 to 1048576 bytes".to_owned()));
        }
        let now = self.clock.now();
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused::NoQueue)?;
        let delay = within("DelaySeconds", request, LONGEST_DELAY_SECONDS)?;
        let delay = delay.map_or(queue.delay, Duration::from_secs);
        let message = Message {
            id: self.ids.next(),
            body: body.to_owned(),
            sent_at: now,
            visible_at: now + delay,
            receives: 0,
            receipt: None,
            delayed: !delay.is_zero(),
            failed_in: None,
        };
        self.save(name, &message)?;
        let answer = json!({ "MessageId": message.id, "MD5OfMessageBody": hex::encode(Md5::digest(body)) });
        queue.messages.insert(message.id.clone(), message);
        drop(queues);
        self.changed.notify_waiters();
        Ok(answer)
    }

    async fn receive(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        let most = match request["MaxNumberOfMessages"].as_u64().unwrap_or(1) {
            most @ 1..=10 => usize::try_from(most).unwrap_or(MOST_AT_ONCE),
            _ => return Err(Refused::Invalid("MaxNumberOfMessages must be 1 to 10".to_owned())),
        };
        let wait = Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let visibility = within("VisibilityTimeout", request, LONGEST_VISIBILITY_SECONDS)?;
            let (messages, next) = self.take(name, most, visibility)?;
            if !messages.is_empty() || tokio::time::Instant::now() >= deadline {
                return Ok(json!({ "Messages": messages }));
            }
            let wake = next.map(|at| tokio::time::Instant::now() + at.since(self.clock.now()));
            let wake = wake.map_or(deadline, |wake| wake.min(deadline));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Takes up to `most` visible messages; when there are none, says when the next one becomes visible.
    fn take(
        &self,
        name: &str,
        most: usize,
        visibility_seconds: Option<u64>,
    ) -> Result<(Vec<Value>, Option<Timestamp>), Refused> {
        let now = self.clock.now();
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused::NoQueue)?;
        let mut visible: Vec<(Timestamp, String)> = queue
            .messages
            .values()
            .filter(|message| message.visible_at <= now)
            .map(|message| (message.visible_at, message.id.clone()))
            .collect();
        visible.sort();
        let next = queue.messages.values().map(|message| message.visible_at).filter(|at| *at > now).min();
        let visibility = visibility_seconds.map_or(queue.visibility, Duration::from_secs);
        let redrive = queue.redrive.clone();
        let (mut taken, mut dead, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for (_, id) in visible {
            if taken.len() == most {
                break;
            }
            let receipt = self.ids.next();
            let Some(message) = queue.messages.get_mut(&id) else {
                continue;
            };
            if redrive.as_ref().is_some_and(|(_, most_receives)| message.receives >= *most_receives) {
                dead.push(id);
                continue;
            }
            message.receives += 1;
            message.delayed = false;
            message.visible_at = now + visibility;
            message.receipt = Some(receipt.clone());
            let mut received = json!({
                "MessageId": message.id,
                "ReceiptHandle": receipt,
                "Body": message.body,
                "MD5OfBody": hex::encode(Md5::digest(&message.body)),
                "Attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": message.sent_at.as_millis().to_string(),
                },
            });
            if let Some(source) = &message.failed_in {
                let arn = template::queue_arn(source);
                received["Attributes"]["DeadLetterQueueSourceArn"] = arn.into();
            }
            taken.push(received);
            let message = message.clone();
            self.save(name, &message)?;
        }
        for id in &dead {
            let message = queue.messages.get(id).cloned();
            let Some(((dead_letters, _), message)) = redrive.as_ref().zip(message) else {
                continue;
            };
            let failed_in = Some(name.to_owned());
            let message = Message { visible_at: now, receives: 0, receipt: None, failed_in, ..message };
            // Kept in the one queue before it leaves the other: a crash in between duplicates and loses nothing.
            self.save(dead_letters, &message)?;
            self.forget(name, id)?;
            moved.push(message);
        }
        for message in &moved {
            queue.messages.remove(&message.id);
        }
        if let Some((dead_letters, _)) = redrive.filter(|_| !moved.is_empty()) {
            let dead_letters = queues.get_mut(&dead_letters).ok_or(Refused::NoQueue)?;
            dead_letters.messages.extend(moved.into_iter().map(|message| (message.id.clone(), message)));
            drop(queues);
            self.changed.notify_waiters();
        }
        Ok((taken, next))
    }

    fn delete(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        let receipt = request["ReceiptHandle"].as_str().unwrap_or_default();
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused::NoQueue)?;
        let found = queue.messages.values().find(|message| message.receipt.as_deref() == Some(receipt));
        // A receipt that another receive made stale deletes nothing.
        if let Some(id) = found.map(|message| message.id.clone()) {
            self.forget(name, &id)?;
            queue.messages.remove(&id);
        }
        Ok(json!({}))
    }

    fn url(&self, request: &Value) -> Result<Value, Refused> {
        let name = request["QueueName"].as_str().unwrap_or_default();
        let url = self.queues().contains_key(name).then(|| template::queue_url(name));
        url.map(|url| json!({ "QueueUrl": url })).ok_or(Refused::NoQueue)
    }

    fn attributes(&self, name: &str) -> Result<Value, Refused> {
        let depth = self.depth(name);
        let queues = self.queues();
        let queue = queues.get(name).ok_or(Refused::NoQueue)?;
        let mut attributes = json!({
            "QueueArn": template::queue_arn(name),
            "ApproximateNumberOfMessages": depth.visible.to_string(),
            "ApproximateNumberOfMessagesNotVisible": depth.in_flight.to_string(),
            "ApproximateNumberOfMessagesDelayed": depth.delayed.to_string(),
            "VisibilityTimeout": queue.visibility.as_secs().to_string(),
        });
        if let Some((dead_letters, most_receives)) = &queue.redrive {
            let target = template::queue_arn(dead_letters);
            let policy = json!({ "deadLetterTargetArn": target, "maxReceiveCount": most_receives });
            attributes["RedrivePolicy"] = policy.to_string().into();
        }
        Ok(json!({ "Attributes": attributes }))
    }

    fn save(&self, queue: &str, message: &Message) -> Result<(), Refused> {
        let saved = serde_json::to_value(message).map_err(|error| Refused::Unsaved(error.into()))?;
        let key = format!("{}{}", saved_prefix(queue), message.id);
        self.state.put(&key, &saved).map_err(Refused::Unsaved)
    }

    fn forget(&self, queue: &str, id: &str) -> Result<(), Refused> {
        let key = format!("{}{id}", saved_prefix(queue));
        self.state.delete(&key).map_err(Refused::Unsaved)
    }
}

fn refused(kind: &str, code: &'static str, text: &str) -> Answer {
    Answer { query_error: Some(code), ..Answer::error(400, kind, text) }
}

/// What the older query protocol calls an error.
fn query_code(kind: &str) -> &'static str {
    match kind {
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest;Sender",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest;Sender",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct;Sender",
        "InvalidBatchEntryId" => "AWS.SimpleQueueService.InvalidBatchEntryId;Sender",
        "BatchRequestTooLong" => "AWS.SimpleQueueService.BatchRequestTooLong;Sender",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight;Sender",
        "ReceiptHandleIsInvalid" => "ReceiptHandleIsInvalid;Sender",
        _ => "ResourceNotFoundException;Sender",
    }
}

fn saved_prefix(queue: &str) -> String {
    format!("queue/{queue}/")
}

/// A number of seconds that a request may give.
fn within(property: &str, request: &Value, most: u64) -> Result<Option<u64>, Refused> {
    match &request[property] {
        Value::Null => Ok(None),
        given => match given.as_u64().filter(|seconds| *seconds <= most) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(Refused::Invalid(format!("{property} must be 0 to {most}"))),
        },
    }
}

/// A message that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message as the `Records` of a Lambda event have it.
    pub record: Value,
    /// Deletes it.
    pub receipt: String,
    /// Names it in a batch's answer.
    pub id: String,
}

impl Sqs {
    /// Waits until there are messages and takes up to `most` of them: what the Lambda service does for a function.
    pub(super) async fn receive_for_function(&self, name: &str, most: u32) -> anyhow::Result<Vec<Received>> {
        let request =
            json!({ "MaxNumberOfMessages": most.clamp(1, 10), "WaitTimeSeconds": 365 * 24 * 3_600 });
        let received =
            self.receive(name, &request).await.map_err(|_| anyhow::anyhow!("there is no queue {name}"))?;
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        Ok(messages
            .into_iter()
            .map(|message| {
                let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
                let record = json!({
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "md5OfBody": message["MD5OfBody"],
                    "attributes": message["Attributes"],
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": template::queue_arn(name),
                    "awsRegion": "us-east-1",
                });
                Received { record, receipt: text("ReceiptHandle"), id: text("MessageId") }
            })
            .collect())
    }

    /// Deletes a message that a function is done with.
    pub(super) fn delete_for_function(&self, name: &str, receipt: &str) -> anyhow::Result<()> {
        self.delete(name, &json!({ "ReceiptHandle": receipt }))
            .map(drop)
            .map_err(|_| anyhow::anyhow!("there is no queue {name}"))
    }
}
