//! What the local stack itself must remember over a restart: queued messages, the bus's archive, stream positions, the
//! simulator's calls. Kept in one more table of the same file.

use dynoxide::Database;
use serde_json::{Value, json};

const TABLE: &str = "dialpool-local";

/// Keys and JSON values; forgets everything with the process when there is no file.
#[derive(Clone)]
pub struct StateTable(Option<Database>);

impl StateTable {
    /// Remembers nothing beyond the process.
    pub(super) fn forgetful() -> Self {
        Self(None)
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
        Ok(Self(Some(database.clone())))
    }

    /// Remembers `value` under `key`: a kind, `/`, and a name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, key: &str, value: &Value) -> anyhow::Result<()> {
        let Some(database) = &self.0 else { return Ok(()) };
        let (kind, name) = split(key);
        database.put_item(serde_json::from_value(json!({
            "TableName": TABLE,
            "Item": { "pk": { "S": kind }, "sk": { "S": name }, "json": { "S": value.to_string() } },
        }))?)?;
        Ok(())
    }

    /// Forgets what is under `key`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delete(&self, key: &str) -> anyhow::Result<()> {
        let Some(database) = &self.0 else { return Ok(()) };
        let (kind, name) = split(key);
        database.delete_item(serde_json::from_value(json!({
            "TableName": TABLE, "Key": { "pk": { "S": kind }, "sk": { "S": name } },
        }))?)?;
        Ok(())
    }

    /// What is under the keys that begin with `prefix`, by key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, prefix: &str) -> anyhow::Result<Vec<(String, Value)>> {
        let Some(database) = &self.0 else { return Ok(Vec::new()) };
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
                found.push((key, serde_json::from_str(item["json"]["S"].as_str().unwrap_or_default())?));
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
