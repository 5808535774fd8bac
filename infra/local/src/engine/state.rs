//! What the local stack itself must remember over a restart: queued messages, the bus's archive, stream positions, the
//! simulator's calls. Kept in one more table of the same file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dynoxide::Database;
use serde_json::{Value, json};

const TABLE: &str = "dialpool-local";

/// An item holds at most 400 KB: a longer value is kept in parts.
const LONGEST_PART: usize = 256 * 1024;

/// Keys and JSON values; they end with the process when there is no file.
#[derive(Clone)]
pub struct StateTable(Kept);

#[derive(Clone)]
enum Kept {
    InFile(Database),
    InMemory(Arc<Mutex<BTreeMap<String, Value>>>),
}

impl StateTable {
    /// Remembers nothing beyond the process.
    pub(super) fn forgetful() -> Self {
        Self(Kept::InMemory(Arc::default()))
    }

    /// Remembers in a table of `database`.
    pub(super) fn in_database(database: &Database) -> anyhow::Result<Self> {
        if database.get_table_metadata(TABLE)?.is_none() {
            database.create_table(serde_json::from_value(json!({
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    { "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" },
                ],
                "KeySchema": [
                    { "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" },
                ],
            }))?)?;
        }
        Ok(Self(Kept::InFile(database.clone())))
    }

    /// Remembers `value` under `key`: a kind, `/`, and a name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, key: &str, value: &Value) -> anyhow::Result<()> {
        let database = match &self.0 {
            Kept::InFile(database) => database,
            Kept::InMemory(values) => {
                values.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value.clone());
                return Ok(());
            }
        };
        let text = value.to_string();
        let parts = parts(&text);
        let writes: Vec<Value> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let (pk, sk) = place(key, index);
                let item = json!({ "pk": { "S": pk }, "sk": { "S": sk }, "json": { "S": part },
                                   "parts": { "N": parts.len().to_string() } });
                json!({ "Put": { "TableName": TABLE, "Item": item } })
            })
            .collect();
        // One transaction: a value is never half old and half new.
        database.transact_write_items(serde_json::from_value(json!({ "TransactItems": writes }))?)?;
        Ok(())
    }

    /// Forgets what is under `key`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delete(&self, key: &str) -> anyhow::Result<()> {
        let database = match &self.0 {
            Kept::InFile(database) => database,
            Kept::InMemory(values) => {
                values.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
                return Ok(());
            }
        };
        let mut index = 0;
        loop {
            let (pk, sk) = place(key, index);
            let gone = database.delete_item(serde_json::from_value(json!({
                "TableName": TABLE, "Key": { "pk": { "S": pk }, "sk": { "S": sk } }, "ReturnValues": "ALL_OLD",
            }))?)?;
            let gone = serde_json::to_value(gone)?;
            index += 1;
            if part_count(&gone["Attributes"]) <= index {
                return Ok(());
            }
        }
    }

    /// What is under the keys that begin with `prefix`, by key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, prefix: &str) -> anyhow::Result<Vec<(String, Value)>> {
        let database = match &self.0 {
            Kept::InFile(database) => database,
            Kept::InMemory(values) => {
                let values = values.lock().unwrap_or_else(PoisonError::into_inner);
                let found = values.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
                return Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect());
            }
        };
        let (kind, name) = split(prefix);
        let mut found = Vec::new();
        let mut start: Option<Value> = None;
        loop {
            let mut query = json!({
                "TableName": TABLE,
                "KeyConditionExpression": "pk = :kind",
                "ExpressionAttributeValues": { ":kind": { "S": kind } },
            });
            if !name.is_empty() {
                query["KeyConditionExpression"] = "pk = :kind AND begins_with(sk, :name)".into();
                query["ExpressionAttributeValues"][":name"] = json!({ "S": name });
            }
            if let Some(start) = start {
                query["ExclusiveStartKey"] = start;
            }
            let page = serde_json::to_value(database.query(serde_json::from_value(query)?)?)?;
            for item in page["Items"].as_array().into_iter().flatten() {
                let key = format!("{kind}/{}", item["sk"]["S"].as_str().unwrap_or_default());
                let mut text = item["json"]["S"].as_str().unwrap_or_default().to_owned();
                for index in 1..part_count(item) {
                    let (pk, sk) = place(&key, index);
                    let part = database.get_item(serde_json::from_value(json!({
                        "TableName": TABLE, "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
                    }))?)?;
                    text.push_str(
                        serde_json::to_value(part)?["Item"]["json"]["S"].as_str().unwrap_or_default(),
                    );
                }
                found.push((key, serde_json::from_str(&text)?));
            }
            match &page["LastEvaluatedKey"] {
                Value::Null => return Ok(found),
                last => start = Some(last.clone()),
            }
        }
    }
}

fn split(key: &str) -> (&str, &str) {
    let (kind, name) = key.rsplit_once('/').unwrap_or((key, ""));
    (kind, name)
}

/// The key of a part of a value. The parts after the first are not where [`StateTable::list`] looks.
fn place(key: &str, index: usize) -> (String, String) {
    let (kind, name) = split(key);
    if index == 0 {
        (kind.to_owned(), name.to_owned())
    } else {
        (format!("part/{kind}"), format!("{name}/{index:04}"))
    }
}

fn part_count(item: &Value) -> usize {
    item["parts"]["N"].as_str().and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > LONGEST_PART {
        let (part, rest) = text.split_at(text.floor_char_boundary(LONGEST_PART));
        parts.push(part);
        text = rest;
    }
    parts.push(text);
    parts
}
