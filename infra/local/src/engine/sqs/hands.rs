//! What an operator does to messages, as the runbook has it: purge, visibility, moves out of a dead-letter queue.

use serde_json::{Value, json};
use std::time::Duration;

use super::{LONGEST_VISIBILITY_SECONDS, Message, Queue, Refused, Sqs, within};
use crate::template;

/// Moves that are remembered of a queue.
const MOVES_KEPT: usize = 10;

impl Sqs {
    /// Deletes all messages, those in flight included.
    pub(super) fn purge(&self, name: &str) -> Result<Value, Refused> {
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused::NoQueue)?;
        while let Some(id) = queue.messages.keys().next().cloned() {
            self.forget(name, &id)?;
            queue.messages.remove(&id);
        }
        Ok(json!({}))
    }

    /// Hides a message in flight for another while from now on; for none, it can be received at once.
    pub(super) fn change_visibility(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        let seconds = within("VisibilityTimeout", request, LONGEST_VISIBILITY_SECONDS)?;
        let seconds = seconds.ok_or_else(|| Refused::Invalid("VisibilityTimeout is missing".to_owned()))?;
        let receipt = request["ReceiptHandle"].as_str().unwrap_or_default();
        let now = self.clock.now();
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused::NoQueue)?;
        let found = queue.messages.values_mut().find(|message| message.receipt.as_deref() == Some(receipt));
        let Some(message) = found else {
            let text = "The input receipt handle is not of a message of the queue.".to_owned();
            return Err(Refused::Named("ReceiptHandleIsInvalid", text));
        };
        if message.visible_at <= now {
            let text = "The message is available for visibility time-out change no more.".to_owned();
            return Err(Refused::Named("MessageNotInflight", text));
        }
        message.visible_at = now + Duration::from_secs(seconds);
        let message = message.clone();
        self.save(name, &message)?;
        drop(queues);
        self.changed.notify_waiters();
        Ok(json!({}))
    }

    /// Moves what is visible in a dead-letter queue to where it failed, or to a queue that is named, as new messages.
    pub(super) fn start_move(&self, request: &Value) -> Result<Value, Refused> {
        let source = queue_of(request["SourceArn"].as_str().unwrap_or_default());
        let destination = request["DestinationArn"].as_str().map(queue_of);
        if request["MaxNumberOfMessagesPerSecond"].as_i64().is_some_and(|most| !(1..=500).contains(&most)) {
            return Err(Refused::Invalid("MaxNumberOfMessagesPerSecond must be 1 to 500".to_owned()));
        }
        let now = self.clock.now();
        let mut queues = self.queues();
        let missing = [Some(&source), destination.as_ref()].into_iter().flatten();
        if let Some(name) = missing.into_iter().find(|name| !queues.contains_key(*name)) {
            return Err(Refused::Named("ResourceNotFoundException", format!("there is no queue {name}")));
        }
        let feeds = |queue: &Queue| queue.redrive.as_ref().is_some_and(|(dead, _)| *dead == source);
        let fed_by: Vec<String> =
            queues.iter().filter(|(_, queue)| feeds(queue)).map(|(name, _)| name.clone()).collect();
        let Some(usual) = fed_by.first() else {
            let text = "Source queue must be configured as a Dead Letter Queue.".to_owned();
            return Err(Refused::Invalid(text));
        };
        let visible = queues.get(&source).into_iter().flat_map(|queue| queue.messages.values());
        let visible: Vec<Message> = visible.filter(|message| message.visible_at <= now).cloned().collect();
        let mut moved = 0_u64;
        for message in visible {
            let failed_in = message.failed_in.as_ref().filter(|name| fed_by.contains(name));
            let to = destination.as_ref().or(failed_in).unwrap_or(usual).clone();
            let (id, formerly) = (self.ids.next(), message.id.clone());
            let message = Message {
                id: id.clone(),
                body: message.body,
                sent_at: now,
                visible_at: now,
                receives: 0,
                receipt: None,
                delayed: false,
                failed_in: None,
            };
            // Kept in the one queue before it leaves the other: a crash in between duplicates and loses nothing.
            self.save(&to, &message)?;
            self.forget(&source, &formerly)?;
            if let Some(queue) = queues.get_mut(&source) {
                queue.messages.remove(&formerly);
            }
            if let Some(queue) = queues.get_mut(&to) {
                queue.messages.insert(id, message);
            }
            moved += 1;
        }
        let handle = self.ids.next();
        if let Some(queue) = queues.get_mut(&source) {
            let mut task = json!({
                "Status": "COMPLETED",
                "SourceArn": template::queue_arn(&source),
                "ApproximateNumberOfMessagesMoved": moved,
                "ApproximateNumberOfMessagesToMove": moved,
                "StartedTimestamp": now.as_millis(),
            });
            if let Some(destination) = &destination {
                task["DestinationArn"] = template::queue_arn(destination).into();
            }
            queue.moves.insert(0, task);
            queue.moves.truncate(MOVES_KEPT);
        }
        drop(queues);
        self.changed.notify_waiters();
        Ok(json!({ "TaskHandle": handle }))
    }

    pub(super) fn list_moves(&self, request: &Value) -> Result<Value, Refused> {
        let source = queue_of(request["SourceArn"].as_str().unwrap_or_default());
        let most = match request["MaxResults"].as_u64().unwrap_or(1) {
            most @ 1..=10 => usize::try_from(most).unwrap_or(MOVES_KEPT),
            _ => return Err(Refused::Invalid("MaxResults must be 1 to 10".to_owned())),
        };
        let queues = self.queues();
        let Some(queue) = queues.get(&source) else {
            return Err(Refused::Named("ResourceNotFoundException", format!("there is no queue {source}")));
        };
        Ok(json!({ "Results": queue.moves.iter().take(most).collect::<Vec<_>>() }))
    }
}

/// The name that is the last part of a queue's ARN.
fn queue_of(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or_default().to_owned()
}
