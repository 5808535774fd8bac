//! Claims on numbers: what a company says are numbers of its own, until the provider or an operator confirms it.
//!
//! A claim is no number of a pool. Nothing is assigned, dialed or found by it, and it keeps no other company from the number
//! or from its id at the provider. Confirming it imports the number as the claim has it. A claim that nobody confirms is
//! forgotten after [`CLAIM_LASTS`].

use dialpool_domain::event::Cause;
use dialpool_domain::pool::NewNumber;
use dialpool_domain::time::Duration;
use dialpool_domain::{CompanyId, PhoneNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Imported, Store, StoreError, items, keys};

/// How long a claim waits to be confirmed.
const CLAIM_LASTS: Duration = Duration::from_hours(90 * 24);

/// Claims that are read at once.
const PAGE: i32 = 500;

#[derive(Serialize, Deserialize)]
struct ClaimItem {
    claimed: NewNumber,
    claimed_at: Timestamp,
    expires_at: i64,
}

impl Store {
    /// Keeps what a company says is its own, in place of what it said of the same number before.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn claim_number(
        &self,
        now: Timestamp,
        company: &CompanyId,
        claimed: &NewNumber,
    ) -> Result<(), StoreError> {
        let expires_at = (now + CLAIM_LASTS).as_millis() / 1_000;
        let body = ClaimItem { claimed: claimed.clone(), claimed_at: now, expires_at };
        let item = items::write("claim", keys::claim(company, &claimed.number), &body)?;
        self.client.put_item().table_name(&self.tables.pool).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// The claim of a company on a number, if nobody has confirmed it.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn claim_on(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
    ) -> Result<Option<NewNumber>, StoreError> {
        let found = self.get("claim", &self.tables.pool, keys::claim(company, number)).await?;
        Ok(found.map(|item: ClaimItem| item.claimed))
    }

    /// The claims of a company that nobody has confirmed, by number.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn claims(&self, company: &CompanyId) -> Result<Vec<NewNumber>, StoreError> {
        let (mut claims, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.pool)
                .consistent_read(true)
                .key_condition_expression("pk = :pool AND begins_with(sk, :claim)")
                .expression_attribute_values(":pool", keys::pool(company).into_attribute())
                .expression_attribute_values(":claim", keys::CLAIM_PREFIX.into_attribute())
                .set_exclusive_start_key(after)
                .limit(PAGE)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                claims.push(items::read::<ClaimItem>("claim", item)?.claimed);
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(claims);
            }
        }
    }

    /// Forgets a claim.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn drop_claim(&self, company: &CompanyId, number: &PhoneNumber) -> Result<(), StoreError> {
        let key = Some(keys::claim(company, number));
        self.client.delete_item().table_name(&self.tables.pool).set_key(key).send().await?;
        Ok(())
    }

    /// Imports a number that the company claimed, now that it is confirmed. A claim that cannot be carried out stays.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn confirm_number(
        &self,
        cause: &Cause,
        company: &CompanyId,
        claimed: &NewNumber,
    ) -> Result<Imported, StoreError> {
        let imported = self.import_number(cause, company, claimed).await?;
        match imported {
            Imported::Added | Imported::Updated => self.drop_claim(company, &claimed.number).await?,
            Imported::OthersNumber | Imported::OthersProviderId => {}
        }
        Ok(imported)
    }

    /// Takes a number that is retired, and held by nobody, out of the pool of its company, so that it can be another's.
    /// Returns whether it is in no pool now.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn give_up_retired(&self, number: &PhoneNumber) -> Result<bool, StoreError> {
        #[derive(Deserialize)]
        struct OwnerItem {
            company: CompanyId,
        }
        let table = &self.tables.pool;
        let owner: Option<OwnerItem> = self.get("number", table, keys::owner(number)).await?;
        let Some(OwnerItem { company }) = owner else { return Ok(true) };
        let item = self.number_item(&company, number).await?;
        let mut writes = vec![
            Write::delete(table, keys::number(&company, number)).when(
                "attribute_not_exists(available_at) AND attribute_not_exists(assignment_id) \
                 AND attribute_not_exists(active_call)",
            ),
            Write::delete(table, keys::owner(number))
                .when("company = :company")
                .value(":company", company.as_str()),
        ];
        if let Some(vapi_id) = item.and_then(|item| item.vapi_id) {
            writes.push(
                Write::delete(table, keys::vapi_owner(&vapi_id))
                    .when("attribute_not_exists(pk) OR e164 = :e164")
                    .value(":e164", number.as_str()),
            );
        }
        Ok(matches!(self.transact(writes).await?, Transacted::Done))
    }
}
