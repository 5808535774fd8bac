//! The journal: what became of holds, numbers, calls, contacts, campaigns, decisions and opt-outs, as events, each written
//! in the transaction that made the change.
//!
//! It is the outbox (its stream feeds the event bus), the feed and the audit trail at once. An event is never changed
//! and never removed by this program.

use dialpool_domain::CompanyId;
use dialpool_domain::event::{Aggregate, Cause, Event, EventData};

use crate::transaction::{IntoAttribute, Write};
use crate::{Store, StoreError, items, keys, query};

impl Store {
    /// The write that puts an event into the journal. It is refused when the aggregate has that event already.
    pub(crate) fn journal(
        &self,
        cause: &Cause,
        company: &CompanyId,
        aggregate: Aggregate,
        sequence: u64,
        data: EventData,
    ) -> Result<Write, StoreError> {
        let event = Event::new(cause, company, aggregate, sequence, data);
        let key = keys::event(company, &event.aggregate.key(), sequence);
        Ok(Write::insert(&self.tables.journal, items::write("event", key, &event)?))
    }

    /// The events of one thing, in their order.
    ///
    /// # Errors
    /// When the store does not answer, or an event cannot be read.
    pub async fn events_of(
        &self,
        company: &CompanyId,
        aggregate: &Aggregate,
    ) -> Result<Vec<Event>, StoreError> {
        let events = self
            .client
            .query()
            .table_name(&self.tables.journal)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :event)")
            .expression_attribute_values(
                ":pk",
                keys::journal_partition(company, &aggregate.key()).into_attribute(),
            )
            .expression_attribute_values(":event", keys::EVENT_PREFIX.into_attribute());
        let found = query::all(events, usize::MAX).await?;
        found.into_iter().map(|item| items::read("event", item)).collect()
    }
}

/// The event in the new image of a stream record of the journal; `None` when the record is of another kind of item.
///
/// # Errors
/// When an event cannot be read.
pub fn event_of_stream_image(image: serde_dynamo::Item) -> Result<Option<Event>, StoreError> {
    let sort_key = image.get("sk");
    let is_event =
        matches!(sort_key, Some(serde_dynamo::AttributeValue::S(sk)) if sk.starts_with(keys::EVENT_PREFIX));
    if !is_event {
        return Ok(None);
    }
    serde_dynamo::from_item(image).map(Some).map_err(|error| StoreError::unreadable("event", error))
}
