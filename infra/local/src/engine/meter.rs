//! What an operation costs: requests, round trips, read and write units.

use std::cell::RefCell;
use std::future::Future;
use std::ops::AddAssign;

use serde_json::Value;

/// The cost of an operation, as the engine meters it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Requests to AWS, repetitions included.
    pub requests: u32,
    /// Times that the operation waited for answers: requests made at the same time are one round trip.
    pub round_trips: u32,
    /// Read request units.
    pub read_units: f64,
    /// Write request units. What a refused transaction would be charged is not in them: no engine tells.
    pub write_units: f64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.round_trips += other.round_trips;
        self.read_units += other.read_units;
        self.write_units += other.write_units;
    }
}

#[derive(Default)]
struct Meter {
    cost: Cost,
    in_flight: u32,
}

tokio::task_local! {
    static METER: RefCell<Meter>;
}

/// Runs an operation and tells what its requests to the engine cost. Tasks that it spawns are not counted.
pub async fn metered<F: Future>(operation: F) -> (F::Output, Cost) {
    METER
        .scope(RefCell::default(), async {
            let output = operation.await;
            (output, METER.with(|meter| meter.borrow().cost))
        })
        .await
}

/// A request of a metered operation that is under way. Dropped when the answer is there, or when nobody waits any more.
pub(super) struct Metered(());

impl Metered {
    /// `None`: nobody meters.
    pub(super) fn begin() -> Option<Self> {
        METER
            .try_with(|meter| {
                let mut meter = meter.borrow_mut();
                meter.cost.requests += 1;
                meter.cost.round_trips += u32::from(meter.in_flight == 0);
                meter.in_flight += 1;
                Self(())
            })
            .ok()
    }

    /// The request, asking for its cost.
    pub(super) fn ask(&self, body: &[u8]) -> Vec<u8> {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(mut request)) => {
                request.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
                Value::Object(request).to_string().into_bytes()
            }
            _ => body.to_vec(),
        }
    }

    /// Takes the cost out of the answer.
    pub(super) fn read(&self, operation: &str, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let units: f64 = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
            one => one["CapacityUnits"].as_f64().unwrap_or(0.0),
        };
        METER.with(|meter| {
            let cost = &mut meter.borrow_mut().cost;
            match operation {
                "Query" | "Scan" | "GetItem" | "BatchGetItem" => {
                    cost.read_units += units;
                }
                _ => cost.write_units += units,
            }
        });
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        // Outside of the measurement there is nothing left to count.
        let _ended = METER.try_with(|meter| meter.borrow_mut().in_flight -= 1);
    }
}
