//! Transactions whose answer is not out yet, and what a query may leave out because of them.
//!
//! DynamoDB isolates a query from transactions as read-committed: while it passes over the items of a transaction that is being
//! carried out it may find some of them as they were and some as they are, and an item that moves within an index in neither
//! place. No local engine does so by itself.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Answer;
use super::connector::Hidden;

/// A table and the key of an item in it.
type Place = (String, String, String);

/// How many transactions that are under way write each item.
#[derive(Clone, Default)]
pub(super) struct UnderWay(Arc<Mutex<BTreeMap<Place, usize>>>);

/// A transaction that is under way until this is dropped.
pub(super) struct Transaction {
    under_way: UnderWay,
    places: Vec<Place>,
}

impl UnderWay {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Place, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transaction of this request is under way.
    pub(super) fn begin(&self, request: &[u8]) -> Transaction {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let parts = request["TransactItems"].as_array().into_iter().flatten();
        let places = parts.filter_map(|part| {
            let (kind, write) = part.as_object()?.iter().next()?;
            let key = match kind.as_str() {
                "Put" => &write["Item"],
                "Update" | "Delete" => &write["Key"],
                _ => return None,
            };
            place(write["TableName"].as_str()?, key)
        });
        let places: Vec<Place> = places.collect();
        for place in &places {
            *self.places().entry(place.clone()).or_default() += 1;
        }
        Transaction { under_way: self.clone(), places }
    }

    /// The answer to a query without what is hidden from it.
    pub(super) fn hide(&self, hidden: Hidden, request: &[u8], answer: Answer) -> Answer {
        let (Ok(request), Ok(mut found)) =
            (serde_json::from_slice::<Value>(request), serde_json::from_slice::<Value>(&answer.body))
        else {
            return answer;
        };
        let table = request["TableName"].as_str().unwrap_or_default();
        let Some(items) = found["Items"].as_array_mut().filter(|_| answer.status == 200) else {
            return answer;
        };
        let places = self.places();
        items.retain(|item| match hidden {
            Hidden::All => false,
            Hidden::UnderWay(draw) => !place(table, item).is_some_and(|place| {
                let mut falls_on = DefaultHasher::new();
                (draw, &place).hash(&mut falls_on);
                places.contains_key(&place) && falls_on.finish().is_multiple_of(2)
            }),
        });
        let count = items.len();
        found["Count"] = json!(count);
        Answer::new(answer.status, found.to_string())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut places = self.under_way.places();
        for place in &self.places {
            if let Some(count) = places.get_mut(place) {
                *count -= 1;
                if *count == 0 {
                    places.remove(place);
                }
            }
        }
    }
}

fn place(table: &str, item: &Value) -> Option<Place> {
    let part = |name: &str| Some(item[name]["S"].as_str()?.to_owned());
    Some((table.to_owned(), part("pk")?, part("sk")?))
}
