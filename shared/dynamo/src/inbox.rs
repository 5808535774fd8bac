//! Bodies that are too large for a queue message: kept in parts, so that the message can refer to them.

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::Timestamp;
use dialpool_domain::time::Duration;

use crate::transaction::IntoAttribute;
use crate::{Store, StoreError, keys};

/// An item holds 400 KB; what is left is for its keys.
const PART_BYTES: usize = 350 * 1024;

/// Longer than a queue, or its dead-letter queue, keeps the message that refers to it.
const KEPT: Duration = Duration::from_hours(30 * 24);

impl Store {
    /// Keeps a body under `reference`; the same body again changes nothing.
    ///
    /// # Errors
    /// When the store gives no answer: the body must not be acknowledged.
    pub async fn put_inbox_body(
        &self,
        now: Timestamp,
        reference: &str,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let parts: Vec<&[u8]> = body.chunks(PART_BYTES).collect();
        for (part, bytes) in parts.iter().enumerate() {
            let mut item = keys::inbox_part(reference, part);
            item.insert("body".to_owned(), AttributeValue::B((*bytes).into()));
            item.insert("parts".to_owned(), (parts.len() as u64).into_attribute());
            item.insert("expires_at".to_owned(), ((now + KEPT).as_millis() / 1_000).into_attribute());
            self.client.put_item().table_name(&self.tables.journal).set_item(Some(item)).send().await?;
        }
        Ok(())
    }

    /// The body kept under `reference`.
    ///
    /// # Errors
    /// When the store gives no answer, or some part is missing.
    pub async fn inbox_body(&self, reference: &str) -> Result<Vec<u8>, StoreError> {
        let missing = |part: usize| {
            StoreError::unreadable("inbox body", format!("part {part} of {reference} is missing"))
        };
        let mut body = Vec::new();
        let mut parts = 1;
        let mut part = 0;
        while part < parts {
            let key = keys::inbox_part(reference, part);
            let request = self.client.get_item().table_name(&self.tables.journal).set_key(Some(key));
            let item = request.consistent_read(true).send().await?.item.ok_or_else(|| missing(part))?;
            let bytes = item.get("body").and_then(|body| body.as_b().ok()).ok_or_else(|| missing(part))?;
            body.extend_from_slice(bytes.as_ref());
            parts =
                item.get("parts").and_then(|n| n.as_n().ok()?.parse().ok()).ok_or_else(|| missing(part))?;
            part += 1;
        }
        Ok(body)
    }
}
