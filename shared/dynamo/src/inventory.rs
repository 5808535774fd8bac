//! The numbers of the pools that are in service, as the inventory looks at them.

use dialpool_domain::inventory::PooledNumber;
use dialpool_domain::{CompanyId, Timestamp};

use crate::{Standing, Store, StoreError};

/// Companies that are read at once.
const COMPANIES_PAGE: i32 = 100;

impl Store {
    /// The numbers of a company that are in service at `now`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn pooled_numbers(
        &self,
        now: Timestamp,
        company: &CompanyId,
    ) -> Result<Vec<PooledNumber>, StoreError> {
        let numbers = self.all_numbers(company).await?.into_iter();
        let in_service = numbers.filter(|number| number.standing(now) != Standing::Retired);
        let pooled = in_service.map(|number| PooledNumber {
            number: number.number,
            company: company.clone(),
            provider_id: number.vapi_id,
        });
        Ok(pooled.collect())
    }

    /// The numbers of all companies that are in service at `now`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn all_pooled_numbers(&self, now: Timestamp) -> Result<Vec<PooledNumber>, StoreError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (companies, next) = self.companies(after.as_ref(), COMPANIES_PAGE).await?;
            for company in companies {
                all.extend(self.pooled_numbers(now, &company.company).await?);
            }
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}
