//! Requests with an `Idempotency-Key`: carried out once, answered the same way ever after (for a day).
//!
//! A record that is begun and not finished belongs to a request under way, or to one whose process died. After
//! [`UNDER_WAY`] it counts as dead and the next request takes it over; the operation itself must bear repetition.

use dialpool_domain::time::Duration;
use dialpool_domain::{CompanyId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// How long a request may take before another one with its key goes ahead: longer than any function lives.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);

/// An answer as it was given the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// In seconds since 1970: DynamoDB removes the record some time after.
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<StoredAnswer>,
}

impl Store {
    /// Claims `name` (operation and key) for the request with this hash.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn begin_idempotent(
        &self,
        now: Timestamp,
        company: &CompanyId,
        name: &str,
        request_sha256: &str,
    ) -> Result<Begun, StoreError> {
        let key = keys::idempotency(company, name);
        let record = RecordItem {
            request_sha256: request_sha256.to_owned(),
            begun_at: now.as_millis(),
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
            Some(answer) => Begun::Answered(answer),
            None => Begun::UnderWay,
        })
    }

    /// Keeps the answer of a request that was begun.
    ///
    /// # Errors
    /// When the store gives no answer; the request then counts as under way for a minute.
    pub async fn finish_idempotent(
        &self,
        company: &CompanyId,
        name: &str,
        answer: &StoredAnswer,
    ) -> Result<(), StoreError> {
        let key = keys::idempotency(company, name);
        let finish = Write::update(&self.tables.journal, key, "SET answer = :answer")
            .value(":answer", items::attribute("idempotency record", answer)?);
        let _: Transacted = self.transact(vec![finish]).await?;
        Ok(())
    }

    /// Gives up a request that was begun, so that its key can be used again at once.
    ///
    /// # Errors
    /// When the store gives no answer; the request then counts as under way for a minute.
    pub async fn abandon_idempotent(&self, company: &CompanyId, name: &str) -> Result<(), StoreError> {
        let key = keys::idempotency(company, name);
        let abandon = Write::delete(&self.tables.journal, key).when("attribute_not_exists(answer)");
        let _: Transacted = self.transact(vec![abandon]).await?;
        Ok(())
    }
}
