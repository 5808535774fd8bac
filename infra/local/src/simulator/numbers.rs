//! The phone numbers of the simulated provider: those of the pools of the stack and those that companies claim, so that what is
//! imported is there and confirmed, and what a test says. Their names say whose they are.
//!
//! A number of a pool that has no id at the provider is there as a carrier's own, by a SIP trunk.

use std::collections::BTreeMap;

use dialpool_domain::{CompanyId, PhoneNumber};
use dialpool_dynamo::StoreError;
use serde_json::{Value, json};

use super::call::ORG_ID;
use super::{Inner, script};

/// A number at the simulated provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedNumber {
    /// The provider's id.
    pub id: String,
    /// Who carries its calls: `vapi`, `byo-phone-number`.
    pub provider: &'static str,
    /// `active`, `activating`, `blocked`.
    pub status: &'static str,
}

impl Inner {
    /// Every number, as `GET /phone-number` shows it.
    pub(super) async fn numbers(&self) -> Result<Vec<Value>, StoreError> {
        let mut numbers: BTreeMap<PhoneNumber, (SimulatedNumber, Option<CompanyId>)> = BTreeMap::new();
        let mut claims = Vec::new();
        if let Some(pools) = self.pools.get() {
            let mut after = None;
            loop {
                let (companies, next) = pools.companies(after.as_ref(), 100).await?;
                for company in companies {
                    for pooled in pools.all_numbers(&company.company).await? {
                        let number = self.of_pool(&pooled.number, pooled.vapi_id);
                        numbers.insert(pooled.number, (number, Some(company.company.clone())));
                    }
                    for claimed in pools.claims(&company.company).await? {
                        claims.push((company.company.clone(), claimed));
                    }
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        for (company, claimed) in claims {
            let others =
                numbers.get(&claimed.number).is_some_and(|(_, owner)| *owner != Some(company.clone()));
            if !others {
                let number = self.of_pool(&claimed.number, claimed.vapi_id);
                numbers.insert(claimed.number, (number, Some(company)));
            }
        }
        for (number, at_provider) in &self.state().numbers {
            match at_provider {
                Some(at_provider) => numbers.insert(number.clone(), (at_provider.clone(), None)),
                None => numbers.remove(number),
            };
        }
        // All were there from the beginning, and are listed as if the last was made last.
        let shown = numbers.iter().enumerate().rev().map(|(nth, (number, (at_provider, company)))| {
            let made_at = dialpool_domain::Timestamp::from_millis(i64::try_from(nth).unwrap_or(0));
            let mut shown = json!({
                "id": at_provider.id, "orgId": ORG_ID, "number": number, "provider": at_provider.provider,
                "status": at_provider.status, "createdAt": made_at, "updatedAt": made_at,
            });
            if let Some(company) = company {
                shown["name"] = json!(company);
            }
            if at_provider.provider == "byo-phone-number" {
                shown["credentialId"] = json!(script::uuid(self.config.seed, &["trunk"]));
                shown["numberE164CheckEnabled"] = json!(true);
            }
            shown
        });
        Ok(shown.collect())
    }

    fn of_pool(&self, number: &PhoneNumber, id: Option<String>) -> SimulatedNumber {
        let provider = if id.is_some() { "vapi" } else { "byo-phone-number" };
        let id = id.unwrap_or_else(|| script::uuid(self.config.seed, &["number", number.as_str()]));
        SimulatedNumber { id, provider, status: "active" }
    }
}
