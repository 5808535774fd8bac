//! Queries, and what one proves that finds nothing.
//!
//! Also a strongly consistent query is isolated from transactions as read-committed only: while one is carried out, the query may show some
//! of its items and not others, miss an item that moves within an index, and now and then bring an empty page. So what a query
//! shows is a hint that a conditional write checks, and what it does not show is asked for twice: "nothing there" ends work, and is
//! told to callers. A list that misses one item of many is put right by whoever asks next; of the sweepers and the pacer, which mostly
//! find nothing, the next run is the second reading ([`swept`]).
//!
//! Reads of single items (`GetItem`, each item of `BatchGetItem`) are serializable and asked once.

use std::time::Duration;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;

use crate::StoreError;
use crate::transaction::Item;

/// From one reading to the next: a transaction is carried out in a few milliseconds.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(30);

/// A page of what a query finds. An empty one that is not the last is passed over, and where all are empty it is read again.
///
/// # Errors
/// When the store gives no answer.
pub(crate) async fn page(query: QueryFluentBuilder) -> Result<QueryOutput, StoreError> {
    let first = first_with_items(query.clone()).await?;
    if first.count > 0 {
        return Ok(first);
    }
    pause().await;
    first_with_items(query).await
}

/// The keys in the table of the rows that an index has.
pub(crate) fn keys(found: QueryOutput) -> Vec<Item> {
    let key = |mut row: Item| ["pk", "sk"].into_iter().filter_map(|part| row.remove_entry(part)).collect();
    found.items.unwrap_or_default().into_iter().map(key).collect()
}

/// Waits before something is read again that was not there.
pub(crate) async fn pause() {
    tokio::time::sleep(READ_AGAIN_AFTER).await;
}

async fn first_with_items(query: QueryFluentBuilder) -> Result<QueryOutput, StoreError> {
    let mut found = query.clone().send().await?;
    while found.count == 0 && found.last_evaluated_key.is_some() {
        found = query.clone().set_exclusive_start_key(found.last_evaluated_key).send().await?;
    }
    Ok(found)
}

/// All that a query finds, `limit` items at most. Where that is nothing it is read again.
///
/// # Errors
/// When the store gives no answer.
pub(crate) async fn all(query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>, StoreError> {
    let found = page(query.clone()).await?;
    rest(query, found, limit).await
}

/// All that a query finds at one reading, `limit` items at most: for work that comes again by itself.
///
/// # Errors
/// When the store gives no answer.
pub(crate) async fn swept(query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>, StoreError> {
    let found = query.clone().send().await?;
    rest(query, found, limit).await
}

async fn rest(
    query: QueryFluentBuilder,
    mut found: QueryOutput,
    limit: usize,
) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    loop {
        items.extend(found.items.unwrap_or_default());
        if items.len() >= limit || found.last_evaluated_key.is_none() {
            items.truncate(limit);
            return Ok(items);
        }
        found = query.clone().set_exclusive_start_key(found.last_evaluated_key).send().await?;
    }
}
