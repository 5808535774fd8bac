//! Requests with an `Idempotency-Key`: carried out once, answered the same way ever after (for a day).
//!
//! A record that is begun and not finished belongs to a request under way, or to one whose process died. After
//! [`UNDER_WAY`] it counts as dead and the next request takes it over; the operation itself must bear repetition. Each attempt
//! has a name of its own: one that was taken over can neither answer for the next nor give its key up.
//!
//! An item holds 400 KB. A longer answer is packed, and lies in parts in the table that has no stream.

use std::io::{Read, Write as _};

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::time::Duration;
use dialpool_domain::{CompanyId, Timestamp};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// How long a request may take before another one with its key goes ahead: longer than any function lives.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);

/// A longer answer is packed and kept in parts, in bytes.
const MOST_INLINE: usize = 256 * 1024;

/// A part, in bytes: what is left of an item is for its keys.
const PART_BYTES: usize = 350 * 1024;

/// An answer as it was given the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub http_status: u16,
    /// The body.
    pub body: String,
}

/// What is known of a request's key.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The key is new: carry the request out, then finish.
    Fresh,
    /// The request was answered before.
    Answered(StoredAnswer),
    /// The request is being carried out.
    UnderWay,
    /// The key was used for another request.
    OtherRequest,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordItem {
    request_sha256: String,
    begun_at: i64,
    /// Which of the requests with the key it is that is carried out.
    #[serde(default)]
    attempt: String,
    /// In seconds since 1970: DynamoDB removes the record some time after.
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerItem>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnswerItem {
    http_status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// In so many parts the body lies elsewhere, packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
}

impl Store {
    /// Claims `name` (operation and key) for the request with this hash. `attempt` is named by chance, and finishes or gives up
    /// what it began.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn begin_idempotent(
        &self,
        now: Timestamp,
        company: &CompanyId,
        name: &str,
        request_sha256: &str,
        attempt: &str,
    ) -> Result<Begun, StoreError> {
        let key = keys::idempotency(company, name);
        let record = RecordItem {
            request_sha256: request_sha256.to_owned(),
            begun_at: now.as_millis(),
            attempt: attempt.to_owned(),
            expires_at: (now + KEPT).as_millis() / 1_000,
            answer: None,
        };
        let insert = Write::insert(&self.tables.journal, items::write("idempotency record", key, &record)?)
            .when(
                "attribute_not_exists(pk) OR expires_at < :now_seconds \
                 OR (attribute_not_exists(answer) AND begun_at < :dead AND request_sha256 = :request)",
            )
            .value(":now_seconds", now.as_millis() / 1_000)
            .value(":dead", now - UNDER_WAY)
            .value(":request", request_sha256);
        let refusal = match self.transact(vec![insert]).await? {
            Transacted::Done => return Ok(Begun::Fresh),
            Transacted::Refused(refusal) => refusal,
        };
        let Some(found) = refusal.found(0) else {
            return Ok(Begun::UnderWay);
        };
        let found: RecordItem = items::read("idempotency record", found.clone())?;
        Ok(match found.answer {
            _ if found.request_sha256 != request_sha256 => Begun::OtherRequest,
            Some(answer) => {
                let body = match (answer.body, answer.parts) {
                    (Some(body), _) => body,
                    (None, parts) => {
                        self.packed_answer(company, name, &found.attempt, parts.unwrap_or(0)).await?
                    }
                };
                Begun::Answered(StoredAnswer { http_status: answer.http_status, body })
            }
            None => Begun::UnderWay,
        })
    }

    /// Keeps the answer of an attempt that was begun at `begun_at`, unless another took its request over.
    ///
    /// # Errors
    /// When the store gives no answer; the request then counts as under way for a minute.
    pub async fn finish_idempotent(
        &self,
        begun_at: Timestamp,
        company: &CompanyId,
        name: &str,
        attempt: &str,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        let StoredAnswer { http_status, body } = answer;
        let item = if body.len() <= MOST_INLINE {
            AnswerItem { http_status, body: Some(body), parts: None }
        } else {
            let packed = pack(body.as_bytes()).map_err(|error| unreadable(&error))?;
            let parts = packed.chunks(PART_BYTES);
            let count = parts.len();
            // Longer than the record that names them.
            let expires_at = (begun_at + KEPT + UNDER_WAY).as_millis() / 1_000;
            for (part, bytes) in parts.enumerate() {
                let mut item = keys::answer_part(company, name, attempt, part);
                item.insert("body".to_owned(), AttributeValue::B(bytes.into()));
                item.insert("expires_at".to_owned(), expires_at.into_attribute());
                self.client.put_item().table_name(&self.tables.people).set_item(Some(item)).send().await?;
            }
            AnswerItem { http_status, body: None, parts: Some(count) }
        };
        let key = keys::idempotency(company, name);
        let finish = Write::update(&self.tables.journal, key, "SET answer = :answer")
            .when("attempt = :attempt AND attribute_not_exists(answer)")
            .value(":attempt", attempt)
            .value(":answer", items::attribute("idempotency record", &item)?);
        // Refused: another attempt answers for the request.
        let _: Transacted = self.transact(vec![finish]).await?;
        Ok(())
    }

    /// Gives up an attempt that was begun, so that its key can be used again at once.
    ///
    /// # Errors
    /// When the store gives no answer; the request then counts as under way for a minute.
    pub async fn abandon_idempotent(
        &self,
        company: &CompanyId,
        name: &str,
        attempt: &str,
    ) -> Result<(), StoreError> {
        let key = keys::idempotency(company, name);
        let abandon = Write::delete(&self.tables.journal, key)
            .when("attempt = :attempt AND attribute_not_exists(answer)")
            .value(":attempt", attempt);
        let _: Transacted = self.transact(vec![abandon]).await?;
        Ok(())
    }

    async fn packed_answer(
        &self,
        company: &CompanyId,
        name: &str,
        attempt: &str,
        parts: usize,
    ) -> Result<String, StoreError> {
        let mut packed = Vec::new();
        for part in 0..parts {
            let key = keys::answer_part(company, name, attempt, part);
            let request = self.client.get_item().table_name(&self.tables.people).set_key(Some(key));
            let item = request.consistent_read(true).send().await?.item.unwrap_or_default();
            let bytes = item.get("body").and_then(|body| body.as_b().ok());
            let bytes = bytes.ok_or_else(|| unreadable(&format!("part {part} is missing")))?;
            packed.extend_from_slice(bytes.as_ref());
        }
        let mut body = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut body).map_err(|error| unreadable(&error))?;
        Ok(body)
    }
}

fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body)?;
    gzip.finish()
}

fn unreadable(cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::unreadable("answer to an idempotent request", cause)
}
