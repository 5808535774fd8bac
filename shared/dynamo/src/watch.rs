//! What is watched of a pool: how much of it is in use, and how often its calls are answered.

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::time::{Duration, millis};
use dialpool_domain::{CompanyId, Timestamp};
use serde::Deserialize;

use crate::numbers::{NumberState, PoolSummary};
use crate::people::Company;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, keys};

/// A pool is looked through no more often than this: it is read as a whole.
const EVERY: Duration = Duration::from_mins(5);

/// All is well again when the use of a pool is so many percent under the lowest level.
const WELL_UNDER: u64 = 5;

/// Fewer calls than this do not say how often calls are answered.
const FEWEST_CALLS: u32 = 50;

#[derive(Default, Deserialize)]
struct WatchItem {
    #[serde(with = "millis::option")]
    checked_at: Option<Timestamp>,
    #[serde(default)]
    utilisation_level: u8,
    #[serde(default)]
    n_events: u64,
    /// Whether something happened since, and nobody looked.
    #[serde(default)]
    look_again: bool,
}

impl Store {
    /// Looks through a pool, unless somebody just did: tells when its use passes a level, and remembers how often calls
    /// from its numbers are answered. When somebody just did, it is put down for [`Self::pools_to_watch`]: what happens
    /// last is seen, too. Answers whether it looked.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn watch_pool(&self, cause: &Cause, company: &CompanyId) -> Result<bool, StoreError> {
        let before = self.watch_item(company).await?;
        if before.checked_at.is_some_and(|at| cause.at.since(at) < EVERY) {
            if !before.look_again {
                let table = &self.tables.pool;
                let writes = vec![
                    Write::update(table, keys::watch(company), "SET look_again = :yes")
                        .value(":yes", AttributeValue::Bool(true)),
                    Write::update(table, keys::watch_again(company), "SET company = :company")
                        .value(":company", company.as_str()),
                ];
                let _: Transacted = self.transact(writes).await?;
            }
            return Ok(false);
        }
        let Some((numbers, settings)) = self.look_through(cause, company, &before).await? else {
            return Ok(false);
        };
        if let Some(rate) = usual_rate(&numbers, cause.at, &settings) {
            self.remember_usual_rate(company, rate).await?;
        }
        Ok(true)
    }

    /// Looks through a pool whoever did before, and tells when its use passes a level.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn watch_pool_again(&self, cause: &Cause, company: &CompanyId) -> Result<(), StoreError> {
        let before = self.watch_item(company).await?;
        let _seen = self.look_through(cause, company, &before).await?;
        Ok(())
    }

    /// The companies in whose pools something happened that nobody looked at.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn pools_to_watch(&self) -> Result<Vec<CompanyId>, StoreError> {
        self.companies_under(keys::WATCH_AGAIN).await
    }

    async fn watch_item(&self, company: &CompanyId) -> Result<WatchItem, StoreError> {
        Ok(self.get("watch", &self.tables.pool, keys::watch(company)).await?.unwrap_or_default())
    }

    /// The numbers, and whose they are; `None` when somebody else looked at the same time.
    async fn look_through(
        &self,
        cause: &Cause,
        company: &CompanyId,
        before: &WatchItem,
    ) -> Result<Option<(Vec<NumberState>, Company)>, StoreError> {
        let (numbers, settings) = tokio::try_join!(self.all_numbers(company), self.settings(company))?;
        let summary = PoolSummary::of(&numbers, cause.at);
        let level = level(&summary, settings.thresholds.utilisation, before.utilisation_level);
        let told = (level != before.utilisation_level).then(|| match level {
            0 => EventData::PoolUtilisationNormal { in_use: summary.in_use(), of: summary.in_service() },
            level => {
                EventData::PoolUtilisationHigh { level, in_use: summary.in_use(), of: summary.in_service() }
            }
        });
        let n_events = before.n_events + u64::from(told.is_some());
        let update = Write::update(
            &self.tables.pool,
            keys::watch(company),
            "SET checked_at = :now, utilisation_level = :level, n_events = :events REMOVE look_again",
        )
        .value(":now", cause.at)
        .value(":level", u64::from(level))
        .value(":events", n_events);
        let update = match before.checked_at {
            Some(at) => update.when("checked_at = :before").value(":before", at),
            None => update.when("attribute_not_exists(pk)"),
        };
        let mut writes = vec![update, Write::delete(&self.tables.pool, keys::watch_again(company))];
        if let Some(told) = told {
            writes.push(self.journal(cause, company, Aggregate::Pool(company.clone()), n_events, told)?);
        }
        Ok(match self.transact(writes).await? {
            Transacted::Done => Some((numbers, settings)),
            Transacted::Refused(_) => None,
        })
    }
}

/// The level that the use of a pool is at. A level once passed lasts until all is well, so that it is told once.
fn level(summary: &PoolSummary, levels: [u8; 2], before: u8) -> u8 {
    let percent = summary.utilisation_percent();
    let passed = levels.into_iter().filter(|level| percent >= u64::from(*level)).max().unwrap_or(0);
    let well = levels.into_iter().min().is_none_or(|lowest| percent + WELL_UNDER < u64::from(lowest));
    if well { passed } else { passed.max(before) }
}

/// Of 1,000 calls from these numbers within a week, so many were answered; none: too few calls to say.
fn usual_rate(numbers: &[NumberState], now: Timestamp, company: &Company) -> Option<u32> {
    let (calls, answered) = numbers.iter().fold((0_u32, 0_u32), |(calls, answered), number| {
        let week = number.usage.week(now, &company.zone_of(&number.number));
        (calls + week.ended, answered + week.answered)
    });
    (calls >= FEWEST_CALLS).then(|| answered * 1_000 / calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(available: u64, assigned: u64) -> PoolSummary {
        PoolSummary { available, assigned, ..PoolSummary::default() }
    }

    #[test]
    fn a_level_is_told_once_until_all_is_well_again() {
        let steps = [(21, 79, 0), (20, 80, 80), (24, 76, 80), (5, 95, 95), (10, 90, 95), (26, 74, 0)];
        let mut before = 0;
        for (available, assigned, expected) in steps {
            before = level(&summary(available, assigned), [80, 95], before);
            assert_eq!(before, expected, "{assigned} of 100");
        }
    }

    #[test]
    fn an_empty_pool_is_at_no_level() {
        assert_eq!(level(&PoolSummary::default(), [80, 95], 0), 0);
    }
}
