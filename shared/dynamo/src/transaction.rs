//! Transactions of conditional writes, and what becomes of them.
//!
//! A refused transaction says which write was refused and what stood there instead (`ALL_OLD`). A conflict with another
//! transaction under way is tried again at once, jittered; so is throttling, later. A transaction whose answer was lost
//! is repeated by the SDK with the same client token, which DynamoDB answers with the first result for ten minutes.
//!
//! **Events after a restore.** The sequence of an event follows from the item that it is about. When the item's table was
//! restored to an earlier moment, the journal has that event already. Then every other write of the transaction passes,
//! and only the event is refused. Such an event goes on after the last one of its aggregate, and the transaction is sent
//! again. A doubled request does not come here: its item's own condition refuses it, too.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use dialpool_domain::event::Event;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::{Store, StoreError};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Conflicting transactions last milliseconds: this many tries see any storm of them through.
const TRIES: u32 = 12;

enum Kind {
    Put(Item),
    Update(Item, String),
    Delete(Item),
    Check(Item),
}

/// One conditional write of a transaction.
pub(crate) struct Write {
    table: String,
    kind: Kind,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: Item,
    /// What is written, when that is an event of the journal.
    event: Option<Box<Event>>,
}

impl Write {
    fn of(table: &str, kind: Kind) -> Self {
        Self {
            table: table.to_owned(),
            kind,
            condition: None,
            names: HashMap::new(),
            values: HashMap::new(),
            event: None,
        }
    }

    /// Writes an item whatever is there, so that another write of the transaction decides.
    pub(crate) fn put(table: &str, item: Item) -> Self {
        Self::of(table, Kind::Put(item))
    }

    /// Writes an event that the journal must not have yet.
    pub(crate) fn event(table: &str, item: Item, event: Event) -> Self {
        Self { event: Some(Box::new(event)), ..Self::insert(table, item) }
    }

    /// Writes a whole item, which must not exist yet.
    pub(crate) fn insert(table: &str, item: Item) -> Self {
        Self::of(table, Kind::Put(item)).when("attribute_not_exists(pk)")
    }

    /// Changes the attributes that `expression` names and leaves the others alone.
    pub(crate) fn update(table: &str, key: Item, expression: impl Into<String>) -> Self {
        Self::of(table, Kind::Update(key, expression.into()))
    }

    /// Removes an item.
    pub(crate) fn delete(table: &str, key: Item) -> Self {
        Self::of(table, Kind::Delete(key))
    }

    /// Changes nothing, but the transaction is refused unless the condition holds.
    pub(crate) fn check(table: &str, key: Item, condition: &str) -> Self {
        Self::of(table, Kind::Check(key)).when(condition)
    }

    /// Refused unless `condition` holds.
    pub(crate) fn when(mut self, condition: &str) -> Self {
        self.condition = Some(condition.to_owned());
        self
    }

    /// Binds `:name` of the expressions.
    pub(crate) fn value(mut self, name: &str, value: impl IntoAttribute) -> Self {
        self.values.insert(name.to_owned(), value.into_attribute());
        self
    }

    /// Binds `#name` of the expressions.
    pub(crate) fn name(mut self, name: &str, attribute: impl Into<String>) -> Self {
        self.names.insert(name.to_owned(), attribute.into());
        self
    }

    fn into_item(self) -> Result<TransactWriteItem, StoreError> {
        let invalid = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Refused(error.to_string());
        let names = (!self.names.is_empty()).then_some(self.names);
        let values = (!self.values.is_empty()).then_some(self.values);
        let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
        let item = TransactWriteItem::builder();
        Ok(match self.kind {
            Kind::Put(whole) => item.put(
                Put::builder()
                    .table_name(self.table)
                    .set_item(Some(whole))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(all_old)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Update(key, expression) => item.update(
                Update::builder()
                    .table_name(self.table)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(all_old)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(self.table)
                    .set_key(Some(key))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(all_old)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Check(key) => item.condition_check(
                ConditionCheck::builder()
                    .table_name(self.table)
                    .set_key(Some(key))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(all_old)
                    .build()
                    .map_err(invalid)?,
            ),
        }
        .build())
    }
}

/// What becomes a DynamoDB attribute.
pub(crate) trait IntoAttribute {
    fn into_attribute(self) -> AttributeValue;
}

impl IntoAttribute for AttributeValue {
    fn into_attribute(self) -> AttributeValue {
        self
    }
}

impl IntoAttribute for &str {
    fn into_attribute(self) -> AttributeValue {
        AttributeValue::S(self.to_owned())
    }
}

impl IntoAttribute for String {
    fn into_attribute(self) -> AttributeValue {
        AttributeValue::S(self)
    }
}

impl IntoAttribute for dialpool_domain::Timestamp {
    fn into_attribute(self) -> AttributeValue {
        AttributeValue::N(self.as_millis().to_string())
    }
}

impl IntoAttribute for u64 {
    fn into_attribute(self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }
}

impl IntoAttribute for i64 {
    fn into_attribute(self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }
}

/// What became of a transaction.
#[must_use]
pub(crate) enum Transacted {
    /// All of it took place.
    Done,
    /// None of it took place: some condition did not hold.
    Refused(Refusal),
}

/// Which writes of a transaction were refused.
pub(crate) struct Refusal(Vec<CancellationReason>);

impl Refusal {
    /// Whether the `index`-th write was refused.
    pub(crate) fn at(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|reason| reason.code() == Some("ConditionalCheckFailed"))
    }

    /// What stood where the `index`-th write was refused; `None` when nothing stood there or it was not refused.
    pub(crate) fn found(&self, index: usize) -> Option<&Item> {
        self.0.get(index).filter(|_| self.at(index)).and_then(|reason| reason.item())
    }

    /// A text attribute of what stood there.
    pub(crate) fn found_text(&self, index: usize, attribute: &str) -> Option<&str> {
        self.found(index)?.get(attribute)?.as_s().ok().map(String::as_str)
    }

    /// Which writes were refused.
    fn refused(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|index| self.at(*index))
    }
}

impl Store {
    /// Carries `writes` out together or not at all.
    ///
    /// # Errors
    /// When DynamoDB gives no clear answer, or conflicts go on for longer than [`TRIES`] tries.
    pub(crate) async fn transact(&self, mut writes: Vec<Write>) -> Result<Transacted, StoreError> {
        let events = writes.iter_mut().enumerate();
        let mut events: BTreeMap<usize, Event> =
            events.filter_map(|(index, write)| Some((index, *write.event.take()?))).collect();
        let mut renumbered = false;
        let mut items = writes.into_iter().map(Write::into_item).collect::<Result<Vec<_>, _>>()?;
        // What tells it from others that meet the same conflict: worked out when there is one.
        let mut token = None;
        for attempt in 0..TRIES {
            let sent =
                self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await;
            let Err(error) = sent else {
                if renumbered {
                    self.catch_up(events.values()).await;
                }
                return Ok(Transacted::Done);
            };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    let reasons = canceled.cancellation_reasons();
                    let codes = || reasons.iter().filter_map(CancellationReason::code);
                    if codes().any(|code| code == "ConditionalCheckFailed") {
                        let refusal = Refusal(reasons.to_vec());
                        if !refusal.refused().all(|index| events.contains_key(&index)) {
                            return Ok(Transacted::Refused(refusal));
                        }
                        for index in refusal.refused() {
                            let Some(event) = events.remove(&index) else { continue };
                            let event = self.after_the_last(event).await?;
                            items[index] = self.event_write(event.clone())?.into_item()?;
                            events.insert(index, event);
                        }
                        renumbered = true;
                        continue;
                    }
                    let passing =
                        ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
                    if !codes().all(|code| passing.contains(&code)) {
                        return Err(StoreError::Refused(format!("{canceled}: {reasons:?}")));
                    }
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(error.into()),
            }
            let token = token.get_or_insert_with(|| Sha256::digest(format!("{items:?}")));
            tokio::time::sleep(pause(attempt, token[attempt as usize % token.len()])).await;
        }
        Err(StoreError::Busy(format!("{TRIES} transactions in a row met a conflict")))
    }
}

impl Store {
    /// The event in the place after the last one that the journal has of its aggregate.
    async fn after_the_last(&self, event: Event) -> Result<Event, StoreError> {
        let last = self.last_sequence(&event.company, &event.aggregate).await?;
        warn!(
            "the journal has {} {} already, as after a restore: {} goes on after {last}",
            event.aggregate.key(),
            event.sequence,
            event.data.kind(),
        );
        let next = event.sequence.max(last) + 1;
        Ok(event.renumbered(next))
    }

    /// Lets the items count as far as their events do. What fails here is made up for by the next change of the item.
    async fn catch_up(&self, events: impl Iterator<Item = &Event>) {
        for event in events {
            if let Err(error) = self.count_up_to(event).await {
                warn!("{} does not count up to {}: {error}", event.aggregate.key(), event.sequence);
            }
        }
    }

    async fn count_up_to(&self, event: &Event) -> Result<(), StoreError> {
        let Some(counter) = self.counter(&event.company, &event.aggregate) else { return Ok(()) };
        let write = Write::update(&counter.table, counter.key, "SET #counter = :sequence")
            .when("attribute_exists(pk) AND #counter < :sequence")
            .name("#counter", counter.attribute)
            .value(":sequence", event.sequence);
        let _as_far_or_gone: Transacted = Box::pin(self.transact(vec![write])).await?;
        Ok(())
    }
}

/// How long to wait after the `attempt`-th conflict: up to 5 ms at first, doubling to at most 320 ms, spread by `jitter`.
fn pause(attempt: u32, jitter: u8) -> Duration {
    let longest = Duration::from_millis(5) * 2u32.pow(attempt.min(6));
    longest * (u32::from(jitter) + 1) / 256
}
