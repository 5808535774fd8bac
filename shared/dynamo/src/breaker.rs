//! The circuit breaker of a provider account, shared by all that ask the provider.

use dialpool_domain::Timestamp;
use dialpool_domain::breaker::{Breaker, Pass};
use serde::{Deserialize, Serialize};

use crate::dialing::as_read;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// Attempts to write down how a request went: when many write at once, one that is not counted does no harm.
const ROUNDS: u32 = 4;

#[derive(Debug, Default, Serialize, Deserialize)]
struct BreakerItem {
    breaker: Breaker,
    item_version: u64,
}

impl Store {
    /// Whether the provider of an account may be asked.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn may_ask_provider(&self, now: Timestamp, account: &str) -> Result<Pass, StoreError> {
        Ok(self.breaker(account).await?.breaker.pass(now))
    }

    /// Where the provider of an account may be asked once: whether the caller is who may. It asks within a minute, or gives it
    /// back by [`Store::did_not_try_provider`].
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn try_provider(&self, now: Timestamp, account: &str) -> Result<bool, StoreError> {
        let item = self.breaker(account).await?;
        match item.breaker.pass(now) {
            Pass::Closed => Ok(true),
            Pass::Open { .. } => Ok(false),
            Pass::Once => {
                let tried = item.breaker.tried(now);
                self.write_breaker(account, tried, item.item_version).await
            }
        }
    }

    /// Who was to ask the provider once, since `tried_at`, had nothing to ask: another may.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn did_not_try_provider(
        &self,
        tried_at: Timestamp,
        now: Timestamp,
        account: &str,
    ) -> Result<(), StoreError> {
        let item = self.breaker(account).await?;
        let breaker = item.breaker.clone().not_tried(tried_at, now);
        if breaker != item.breaker {
            // Refused when somebody wrote since: then the provider was asked, or another asks it.
            let _: bool = self.write_breaker(account, breaker, item.item_version).await?;
        }
        Ok(())
    }

    /// Writes down how a request to the provider of an account went. Answers until when the provider is left alone now.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn asked_provider(
        &self,
        now: Timestamp,
        account: &str,
        fault: bool,
    ) -> Result<Option<Timestamp>, StoreError> {
        for _round in 0..ROUNDS {
            let item = self.breaker(account).await?;
            let after = item.breaker.after(now, fault);
            let pass = after.pass(now);
            if self.write_breaker(account, after, item.item_version).await? {
                return Ok(match pass {
                    Pass::Open { until } => Some(until),
                    Pass::Closed | Pass::Once => None,
                });
            }
        }
        Ok(None)
    }

    async fn breaker(&self, account: &str) -> Result<BreakerItem, StoreError> {
        Ok(self.get("breaker", &self.tables.dialing, keys::breaker(account)).await?.unwrap_or_default())
    }

    async fn write_breaker(&self, account: &str, breaker: Breaker, read: u64) -> Result<bool, StoreError> {
        let write = Write::update(
            &self.tables.dialing,
            keys::breaker(account),
            "SET breaker = :breaker, item_version = :next",
        );
        let write = as_read(write, read)
            .value(":breaker", items::attribute("breaker", &breaker)?)
            .value(":next", read + 1);
        Ok(matches!(self.transact(vec![write]).await?, Transacted::Done))
    }
}
