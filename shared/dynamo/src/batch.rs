//! Many items at once.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use dialpool_domain::CompanyId;
use dialpool_domain::dialable::Person;
use futures::{StreamExt, TryStreamExt, stream};

use crate::items::PersonItem;
use crate::transaction::Item;
use crate::{Store, StoreError, items, keys};

/// As many keys as one request takes.
pub(crate) const KEYS_AT_ONCE: usize = 100;

/// Requests at the same time.
pub(crate) const REQUESTS_AT_ONCE: usize = 8;

impl Store {
    /// Reads at most 100 items, strongly consistent, in no order; one that is not there is left out.
    pub(crate) async fn get_some(
        &self,
        table: &str,
        mut keys: Vec<Item>,
        projection: Option<&str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .set_projection_expression(projection.map(str::to_owned))
                .build()
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(table, wanted).send().await?;
            found.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
            keys = answer
                .unprocessed_keys
                .unwrap_or_default()
                .remove(table)
                .map(|left| left.keys)
                .unwrap_or_default();
        }
        Ok(found)
    }

    /// What is known of each of the persons whom a company calls, by the hashes of their numbers, in their order.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn persons_called(
        &self,
        company: &CompanyId,
        hashes: &[String],
    ) -> Result<Vec<Person>, StoreError> {
        let chunks: Vec<Vec<String>> = hashes.chunks(KEYS_AT_ONCE / 2).map(<[String]>::to_vec).collect();
        let reads = chunks.into_iter().map(|hashes| self.some_persons(company, hashes));
        let found: Vec<Vec<Person>> = stream::iter(reads).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn some_persons(
        &self,
        company: &CompanyId,
        hashes: Vec<String>,
    ) -> Result<Vec<Person>, StoreError> {
        let keys =
            hashes.iter().flat_map(|hash| [keys::person(company, hash), keys::suppressed_everywhere(hash)]);
        let mut known = BTreeMap::new();
        // A number twice in a list is one key.
        let distinct: BTreeMap<String, Item> =
            keys.map(|key| (format!("{:?}", key.get("pk")), key)).collect();
        for item in self.get_some(&self.tables.dialing, distinct.into_values().collect(), None).await? {
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
            known.insert(pk, item);
        }
        let person = |hash: &String| {
            let everywhere = known.contains_key(&keys::everywhere_partition(hash));
            let item = known.get(&keys::person_partition(company, hash)).cloned();
            let person: PersonItem =
                item.map(|item| items::read("person", item)).transpose()?.unwrap_or_default();
            Ok(person.known(everywhere))
        };
        hashes.iter().map(person).collect()
    }
}
