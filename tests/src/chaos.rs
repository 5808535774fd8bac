//! Faults by seed: what goes wrong between the functions and the services.
//!
//! The draws depend on the seed and on the order of the requests only, and on a paused clock that order is the same each
//! time: a seed that fails, fails again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dialpool::engine::{Fault, Hidden, Intercept, WireRequest};
use dialpool_domain::time::Duration;
use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

/// Faults that can be switched off, so that one can see whether the work comes to its end.
#[derive(Clone)]
pub struct Chaos {
    seed: u64,
    drawn: Arc<AtomicU64>,
    on: Arc<AtomicBool>,
    /// Of 1,000 requests, so many meet each kind of fault.
    rate: u64,
    injected: Arc<AtomicU64>,
}

impl Chaos {
    /// Faults of all kinds from [`Chaos::begin`] on; of 1,000 requests, `rate` meet each.
    pub fn new(seed: u64, rate: u64) -> Self {
        Self { seed, drawn: Arc::default(), on: Arc::default(), rate, injected: Arc::default() }
    }

    /// Things go wrong from now on.
    pub fn begin(&self) {
        self.on.store(true, Ordering::Relaxed);
    }

    /// How many requests met a fault.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Nothing goes wrong from now on.
    pub fn stop(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// What to put between the functions and the services.
    pub fn intercept(&self) -> Intercept {
        let chaos = self.clone();
        Arc::new(move |request| chaos.fault(request))
    }

    fn fault(&self, request: &WireRequest<'_>) -> Fault {
        if !self.on.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut chance = ChaCha12Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ drawn);
        let draw = chance.next_u64() % 1_000;
        let fault = match draw / self.rate.max(1) {
            0 => Fault::Lost,
            1 => Fault::AnswerLost,
            2 => Fault::CrashBefore,
            3 => Fault::CrashAfter,
            4 => Fault::Delay(Duration::from_millis(chance.next_u64() % 3_000)),
            5 => Fault::Refused(400, throttled()),
            6 if request.operation == "TransactWriteItems" => Fault::Refused(400, conflict(request.body)),
            7 | 8 if request.operation == "TransactWriteItems" => {
                Fault::AnswerLate(Duration::from_millis(chance.next_u64() % 2_000))
            }
            _ => Fault::None,
        };
        if fault == Fault::None && request.operation == "Query" {
            return Fault::Hides(hidden(chance.next_u64()));
        }
        self.injected.fetch_add(u64::from(fault != Fault::None), Ordering::Relaxed);
        fault
    }
}

/// What a query leaves out: each time some of what transactions under way write, and now and then everything.
fn hidden(draw: u64) -> Hidden {
    if draw.is_multiple_of(40) { Hidden::All } else { Hidden::UnderWay(draw) }
}

/// Every other time that the same place is queried nothing is found there, beginning with the first time.
pub fn nothing_at_first() -> Intercept {
    let asked: Mutex<BTreeMap<String, u64>> = Mutex::default();
    Arc::new(move |request| {
        if request.operation != "Query" {
            return Fault::None;
        }
        let query: serde_json::Value = serde_json::from_slice(request.body).unwrap_or_default();
        // The moment that is asked about is another each time.
        let values = query["ExpressionAttributeValues"].as_object().into_iter().flatten();
        let values: Vec<_> = values.filter_map(|(_, value)| value["S"].as_str()).collect();
        let place = format!(
            "{} {} {} {values:?}",
            query["TableName"], query["IndexName"], query["ExclusiveStartKey"]
        );
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(place).or_default();
        *times += 1;
        if *times % 2 == 1 { Fault::Hides(Hidden::All) } else { Fault::None }
    })
}

/// Every `one_in`-th transaction, by chance, conflicts with another one; and queries leave out some of what transactions under way
/// write.
pub fn conflicts(seed: u64, one_in: u64) -> Intercept {
    let drawn = AtomicU64::new(0);
    Arc::new(move |request| {
        let drawn = drawn.fetch_add(1, Ordering::Relaxed);
        let mut chance = ChaCha12Rng::seed_from_u64(seed ^ drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if request.operation == "TransactWriteItems" && chance.next_u64().is_multiple_of(one_in) {
            Fault::Refused(400, conflict(request.body))
        } else if request.operation == "Query" {
            Fault::Hides(hidden(chance.next_u64()))
        } else {
            Fault::None
        }
    })
}

fn throttled() -> String {
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}"#
        .to_owned()
}

/// The answer to a transaction one of whose items is in another transaction right now.
fn conflict(body: &[u8]) -> String {
    let request: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let items = request["TransactItems"].as_array().map_or(1, Vec::len);
    let reasons: Vec<_> = (0..items)
        .map(|index| match index {
            0 => serde_json::json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" }),
            _ => serde_json::json!({ "Code": "None" }),
        })
        .collect();
    serde_json::json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    })
    .to_string()
}
