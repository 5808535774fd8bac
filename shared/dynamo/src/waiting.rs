//! Leads that wait for a number: first come, first served.
//!
//! Who waits has an entry in the order of coming and, beside the hold of the lead, a marker that says when it came: a lead
//! waits once. An entry goes when its lead holds a number; serving twice, or at the same time, gives the lead one number.

use dialpool_domain::event::Cause;
use dialpool_domain::place::{AreaCode, Place, State};
use dialpool_domain::pool::HoldHours;
use dialpool_domain::time::millis;
use dialpool_domain::{AssignmentId, CompanyId, LeadId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pool::{Assigned, Request};
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// The most leads that one run serves.
const SERVED_AT_ONCE: i32 = 50;

/// A lead that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Who.
    pub lead: LeadId,
    /// Since when.
    #[serde(serialize_with = "text", deserialize_with = "millis::deserialize")]
    pub since: Timestamp,
    /// How long it holds its number once it has one.
    pub hold_hours: HoldHours,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaCode>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<State>,
}

fn text<S: serde::Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    moment.serialize(serializer)
}

/// When a lead came: beside its hold.
#[derive(Deserialize)]
struct Marker {
    #[serde(with = "millis")]
    since: Timestamp,
}

impl Store {
    /// Has a lead wait for a number. Answers since when it waits: one that waits already keeps its place.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn wait(&self, company: &CompanyId, waiting: &Waiting) -> Result<Timestamp, StoreError> {
        let table = &self.tables.pool;
        let mut entry = keys::waiting(company, waiting.since, &waiting.lead);
        entry.extend([
            ("lead".to_owned(), waiting.lead.as_str().into_attribute()),
            ("since".to_owned(), waiting.since.into_attribute()),
            ("hold_hours".to_owned(), u64::from(u32::from(waiting.hold_hours)).into_attribute()),
        ]);
        if let Some(area) = &waiting.area {
            entry.insert("area".to_owned(), area.as_str().into_attribute());
        }
        if let Some(region) = &waiting.region {
            entry.insert("region".to_owned(), region.as_str().into_attribute());
        }
        let mut marker = keys::waits(company, &waiting.lead);
        marker.insert("since".to_owned(), waiting.since.into_attribute());
        // The marker says whether the lead waits. An entry without one is half of a transaction that a restore kept.
        let writes = vec![
            Write::insert(table, marker),
            Write::put(table, entry),
            Write::update(table, keys::has_waiting(company), "SET company = :company")
                .value(":company", company.as_str()),
        ];
        match self.transact(writes).await? {
            Transacted::Done => Ok(waiting.since),
            Transacted::Refused(_) => {
                Ok(self.waits_since(company, &waiting.lead).await?.unwrap_or(waiting.since))
            }
        }
    }

    async fn waits_since(&self, company: &CompanyId, lead: &LeadId) -> Result<Option<Timestamp>, StoreError> {
        let marker: Option<Marker> =
            self.get("waiting", &self.tables.pool, keys::waits(company, lead)).await?;
        Ok(marker.map(|marker| marker.since))
    }

    /// Who waits, the first that came first; at most so many.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn waiting(&self, company: &CompanyId, most: i32) -> Result<Vec<Waiting>, StoreError> {
        let waiting = self
            .client
            .query()
            .table_name(&self.tables.pool)
            .consistent_read(true)
            .key_condition_expression("pk = :waiting")
            .expression_attribute_values(":waiting", keys::waiting_partition(company).into_attribute())
            .limit(most);
        let page = query::page(waiting).await?;
        page.items.unwrap_or_default().into_iter().map(|item| items::read("waiting", item)).collect()
    }

    /// A lead waits no longer. Answers whether it did.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn stop_waiting(&self, company: &CompanyId, lead: &LeadId) -> Result<bool, StoreError> {
        let Some(since) = self.waits_since(company, lead).await? else {
            return Ok(false);
        };
        let table = &self.tables.pool;
        let writes = vec![
            Write::delete(table, keys::waits(company, lead)).when("since = :since").value(":since", since),
            Write::delete(table, keys::waiting(company, since, lead)),
        ];
        Ok(matches!(self.transact(writes).await?, Transacted::Done))
    }

    /// The companies in which somebody waits, or did.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn companies_with_waiting(&self) -> Result<Vec<CompanyId>, StoreError> {
        self.companies_under(keys::HAS_WAITING).await
    }

    /// The companies that are listed under a partition of the pool's table.
    pub(crate) async fn companies_under(&self, partition: &str) -> Result<Vec<CompanyId>, StoreError> {
        #[derive(Deserialize)]
        struct Item {
            company: CompanyId,
        }
        let companies = self
            .client
            .query()
            .table_name(&self.tables.pool)
            .key_condition_expression("pk = :partition")
            .expression_attribute_values(":partition", partition.into_attribute());
        let found = query::swept(companies, usize::MAX).await?;
        found.into_iter().map(|item| Ok(items::read::<Item>("company", item)?.company)).collect()
    }

    /// Gives numbers to those who wait, in the order in which they came, until none is left of either. Answers how many
    /// got one. `chance`: random bits for each new hold's id.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn serve_waiting(
        &self,
        cause: &Cause,
        company: &CompanyId,
        chance: impl Fn() -> u128,
    ) -> Result<u64, StoreError> {
        let mut served = 0;
        let (waiting, settings) =
            tokio::try_join!(self.waiting(company, SERVED_AT_ONCE), self.settings(company))?;
        for waiting in waiting {
            let place = Place { area: waiting.area.clone(), state: waiting.region.clone() };
            let assignment_id = AssignmentId::new(cause.at, chance());
            let request =
                Request::new(&settings, waiting.lead.clone(), place, waiting.hold_hours, assignment_id);
            match self.assign(cause, &request).await? {
                Assigned::Granted(..) | Assigned::AlreadyHeld(_) => {
                    self.stop_waiting(company, &waiting.lead).await?;
                    served += 1;
                }
                Assigned::Exhausted { .. } | Assigned::AtLimit { .. } => break,
            }
        }
        Ok(served)
    }
}
