//! EventBridge, as far as the stack uses it: `PutEvents` onto a bus whose archive keeps what was put.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use dialpool_domain::Timestamp;
use dialpool_runtime::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Answer;
use super::state::StateTable;

const MOST_AT_ONCE: usize = 10;
const ARCHIVE: &str = "archive/";

/// An event on a bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusEvent {
    /// The bus.
    pub bus: String,
    /// Who put it there.
    pub source: String,
    /// Its type.
    pub detail_type: String,
    /// What it says.
    pub detail: Value,
    /// When it was put.
    pub time: Timestamp,
}

#[derive(Clone)]
pub(super) struct EventBridge {
    clock: Clock,
    state: StateTable,
    buses: Arc<Mutex<BTreeSet<String>>>,
    archived: Arc<Mutex<Vec<BusEvent>>>,
}

impl EventBridge {
    pub(super) fn new(clock: Clock, state: StateTable) -> anyhow::Result<Self> {
        let saved = state.list(ARCHIVE)?;
        let archived =
            saved.into_iter().map(|(_, event)| serde_json::from_value(event)).collect::<Result<_, _>>()?;
        Ok(Self { clock, state, buses: Arc::default(), archived: Arc::new(Mutex::new(archived)) })
    }

    pub(super) fn create(&self, bus: &str) {
        self.buses.lock().unwrap_or_else(PoisonError::into_inner).insert(bus.to_owned());
    }

    pub(super) fn events(&self) -> Vec<BusEvent> {
        self.archived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn answer(&self, operation: &str, body: &[u8]) -> Answer {
        if operation != "PutEvents" {
            return Answer::error(
                400,
                "UnknownOperationException",
                "the local stack does not know this operation",
            );
        }
        let request: Value = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Answer::error(400, "SerializationException", &error.to_string()),
        };
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        if entries.is_empty() || entries.len() > MOST_AT_ONCE {
            return Answer::error(400, "ValidationException", "Entries must be 1 to 10");
        }
        let put: Vec<Value> = entries.iter().map(|entry| self.put(entry)).collect();
        let failed = put.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
        Answer::new(200, json!({ "FailedEntryCount": failed, "Entries": put }).to_string())
    }

    fn put(&self, entry: &Value) -> Value {
        let refused = |code: &str, text: &str| json!({ "ErrorCode": code, "ErrorMessage": text });
        let bus = entry["EventBusName"].as_str().unwrap_or("default");
        if !self.buses.lock().unwrap_or_else(PoisonError::into_inner).contains(bus) {
            return refused("ResourceNotFoundException", &format!("Event bus {bus} does not exist."));
        }
        let detail = entry["Detail"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let (Some(source), Some(detail_type), Some(detail @ Value::Object(_))) =
            (entry["Source"].as_str(), entry["DetailType"].as_str(), detail)
        else {
            return refused("MalformedDetail", "Source, DetailType and Detail (a JSON object) are required.");
        };
        let event = BusEvent {
            bus: bus.to_owned(),
            source: source.to_owned(),
            detail_type: detail_type.to_owned(),
            detail,
            time: self.clock.now(),
        };
        let mut archived = self.archived.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{ARCHIVE}{:012}", archived.len());
        let saved = serde_json::to_value(&event)
            .map_err(anyhow::Error::from)
            .and_then(|event| self.state.put(&key, &event));
        if let Err(error) = saved {
            return refused("InternalFailure", &error.to_string());
        }
        archived.push(event);
        json!({ "EventId": key })
    }
}
