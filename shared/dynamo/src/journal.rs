//! The journal: what became of holds, numbers, calls, contacts, campaigns, decisions and opt-outs, as events, each written
//! in the transaction that made the change.
//!
//! It is the outbox (its stream feeds the event bus), the feed and the audit trail at once. An event is never changed
//! and never removed by this program.

use dialpool_domain::CompanyId;
use dialpool_domain::event::{Aggregate, Cause, Event, EventData};
use serde::Deserialize;

use crate::transaction::{IntoAttribute, Item, Write};
use crate::{Store, StoreError, Tables, items, keys, query};

/// The attribute of an item that is the sequence of its last event.
pub(crate) struct Counter {
    pub(crate) table: String,
    pub(crate) key: Item,
    pub(crate) attribute: &'static str,
}

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
        self.event_write(Event::new(cause, company, aggregate, sequence, data))
    }

    pub(crate) fn event_write(&self, event: Event) -> Result<Write, StoreError> {
        let key = keys::event(&event.company, &event.aggregate.key(), event.sequence);
        Ok(Write::event(&self.tables.journal, items::write("event", key, &event)?, event))
    }

    /// The sequence of the last event of one thing; 0: there is none.
    pub(crate) async fn last_sequence(
        &self,
        company: &CompanyId,
        aggregate: &Aggregate,
    ) -> Result<u64, StoreError> {
        #[derive(Deserialize)]
        struct Numbered {
            sequence: u64,
        }
        let partition = keys::journal_partition(company, &aggregate.key());
        let page = self
            .client
            .query()
            .table_name(&self.tables.journal)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :event)")
            .expression_attribute_values(":pk", partition.into_attribute())
            .expression_attribute_values(":event", keys::EVENT_PREFIX.into_attribute())
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await?;
        let last = page.items.unwrap_or_default().into_iter().next();
        let last = last.map(|item| items::read::<Numbered>("event", item)).transpose()?;
        Ok(last.map_or(0, |last| last.sequence))
    }

    /// Where the item of an aggregate counts its events. Nothing, where each event is the first of its aggregate, or where
    /// the count is more than that: an assistant's is the number of its present version.
    pub(crate) fn counter(&self, company: &CompanyId, aggregate: &Aggregate) -> Option<Counter> {
        let Tables { dialing, pool, .. } = &self.tables;
        let (table, key, attribute) = match aggregate {
            Aggregate::Call(id) => (dialing, keys::call(id), "item_version"),
            Aggregate::Campaign(id) => (dialing, keys::campaign(id), "item_version"),
            Aggregate::Contact(name) => {
                let (campaign, phone) = name.split_once(':')?;
                (dialing, keys::contact(&campaign.parse().ok()?, &phone.parse().ok()?), "n_events")
            }
            Aggregate::Number(number) => (pool, keys::number(company, number), "n_events"),
            Aggregate::Pool(company) => (pool, keys::watch(company), "n_events"),
            Aggregate::Lines(company) => (dialing, keys::company_line(company), "n_events"),
            Aggregate::Consent(hash) => (dialing, keys::person(company, hash), "n_consents"),
            Aggregate::Person(hash) => (dialing, keys::person(company, hash), "n_permitted"),
            // Its count is on the number, too, and both have to agree: `recovery` sees to that.
            Aggregate::Assignment(_) => return None,
            Aggregate::Assistant(_) | Aggregate::Suppression(_) => return None,
            Aggregate::Decision(_) | Aggregate::Task(_) => return None,
        };
        Some(Counter { table: table.clone(), key, attribute })
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
