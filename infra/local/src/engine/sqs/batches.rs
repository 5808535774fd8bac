//! Up to ten messages in one request. Each entry succeeds or fails for itself; a batch that is none fails as a whole.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LONGEST_BODY, MOST_AT_ONCE, Refused, Sqs};

impl Sqs {
    pub(super) fn send_batch(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        let entries = request["Entries"].as_array().into_iter().flatten();
        let bytes: usize = entries.filter_map(|entry| entry["MessageBody"].as_str()).map(str::len).sum();
        if bytes > LONGEST_BODY {
            let text = format!(
                "Batch requests cannot be longer than {LONGEST_BODY} bytes. You have sent {bytes} bytes."
            );
            return Err(Refused::Named("BatchRequestTooLong", text));
        }
        self.batch(name, request, |entry| self.send(name, entry))
    }

    pub(super) fn delete_batch(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        self.batch(name, request, |entry| self.delete(name, entry))
    }

    pub(super) fn change_visibility_batch(&self, name: &str, request: &Value) -> Result<Value, Refused> {
        self.batch(name, request, |entry| self.change_visibility(name, entry))
    }

    fn batch(
        &self,
        name: &str,
        request: &Value,
        one: impl Fn(&Value) -> Result<Value, Refused>,
    ) -> Result<Value, Refused> {
        if !self.queues().contains_key(name) {
            return Err(Refused::NoQueue);
        }
        let entries = request["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        if entries.is_empty() {
            return Err(Refused::Named("EmptyBatchRequest", "There should be at least one entry".to_owned()));
        }
        if entries.len() > MOST_AT_ONCE {
            let text = format!("Maximum number of entries per request are {MOST_AT_ONCE}");
            return Err(Refused::Named("TooManyEntriesInBatchRequest", text));
        }
        let mut ids = BTreeSet::new();
        for entry in entries {
            let id = entry["Id"].as_str().unwrap_or_default();
            if !is_id(id) {
                let text = "an Id has 1 to 80 of a-z, A-Z, 0-9, - and _".to_owned();
                return Err(Refused::Named("InvalidBatchEntryId", text));
            }
            if !ids.insert(id) {
                return Err(Refused::Named("BatchEntryIdsNotDistinct", format!("Id {id} repeated.")));
            }
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            match one(entry) {
                Ok(mut done) => {
                    done["Id"] = entry["Id"].clone();
                    successful.push(done);
                }
                Err(refused) => {
                    let (code, text, is_senders) = told(refused);
                    failed.push(json!({
                        "Id": entry["Id"], "Code": code, "Message": text, "SenderFault": is_senders,
                    }));
                }
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=80).contains(&id.len()) && id.bytes().all(allowed)
}

/// How an entry that failed is told: the code, why, and whether the sender is at fault.
fn told(refused: Refused) -> (&'static str, String, bool) {
    match refused {
        Refused::NoQueue => ("QueueDoesNotExist", "The specified queue does not exist.".to_owned(), true),
        Refused::Invalid(text) => ("InvalidParameterValue", text, true),
        Refused::Named(kind, text) => (kind, text, true),
        Refused::Unsaved(error) => ("InternalFailure", error.to_string(), false),
    }
}
