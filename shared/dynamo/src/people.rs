//! Companies and the keys that their callers present.

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::place::Zone;
use dialpool_domain::pool::HoldHours;
use dialpool_domain::retry::RetryPolicy;
use dialpool_domain::time::{TimeZone, millis};
use dialpool_domain::usage::{Limits, Thresholds, zone_of};
use dialpool_domain::{CompanyId, PhoneNumber, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::lines::Lines;
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, Table, items, keys, query};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Its id.
    pub company: CompanyId,
    /// A name for people.
    pub label: String,
    /// How long a number is held for a lead when nothing else is said.
    #[serde(default)]
    pub hold_hours: HoldHours,
    /// Calls at once, of all its campaigns.
    #[serde(default = "usual_lines", rename = "n_lines")]
    pub lines: u32,
    /// The limits of its numbers.
    #[serde(default)]
    pub limits: Limits,
    /// From where on something is done about its numbers.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// When who was not reached is called again.
    #[serde(default, rename = "retry_policy")]
    pub retry: RetryPolicy,
    /// Whether a number near the lead is preferred.
    #[serde(default = "yes")]
    pub local_presence: bool,
    /// Where it is: the days of its numbers of no place are those of this zone.
    #[serde(default, rename = "company_zone", skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Of 1,000 calls from its numbers, so many are answered: what a number's health is compared with. None: unknown yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_rate: Option<u32>,
    /// How often its settings were changed. A company that is made has no such attribute: it was never changed.
    #[serde(default, skip_serializing)]
    pub settings_version: u64,
}

fn yes() -> bool {
    true
}

fn usual_lines() -> u32 {
    50
}

impl Company {
    /// A company that changed none of its settings.
    pub fn new(company: CompanyId, label: impl Into<String>) -> Self {
        Self {
            company,
            label: label.into(),
            hold_hours: HoldHours::default(),
            lines: usual_lines(),
            limits: Limits::default(),
            thresholds: Thresholds::default(),
            retry: RetryPolicy::default(),
            local_presence: true,
            zone: None,
            usual_rate: None,
            settings_version: 0,
        }
    }

    /// The zone in which the days of one of its numbers are counted.
    pub fn zone_of(&self, number: &PhoneNumber) -> TimeZone {
        zone_of(number, self.zone.as_ref())
    }
}

/// An API key as it is kept: never the secret, only its hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public part.
    pub key_id: String,
    /// SHA-256 of the secret part, in hexadecimal digits. The secret has 256 random bits: a slow hash adds nothing.
    pub secret_sha256: String,
    /// The one company that it opens; none: an operator's, which makes and lists companies and opens none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// From then on it opens nothing.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Since when it is withdrawn.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A key to be made.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// The public part.
    pub key_id: &'a str,
    /// The secret part.
    pub secret: &'a str,
    /// The one company that it opens; none: an operator's.
    pub company: Option<&'a CompanyId>,
    /// From then on it opens nothing; `None`: until it is revoked.
    pub valid_until: Option<Timestamp>,
}

/// What is known of a key that somebody presents.
#[must_use]
#[derive(Debug, Clone)]
pub enum KeyFound {
    /// The key, to be compared with what was presented.
    Valid(ApiKey),
    /// It was withdrawn or has run out.
    Over,
    /// There is no such key.
    Unknown,
}

impl Store {
    /// Makes a company. Answers whether it is new: one that is there stays as it is.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn create_company(&self, company: &Company) -> Result<bool, StoreError> {
        let id = &company.company;
        // Lines and a place in the list may be there from before a restore: only the company says that it is.
        self.open_lines(&Lines::Company(id.clone())).await?;
        let writes = vec![
            Write::insert(&self.tables.people, items::write("company", keys::company(id), company)?),
            Write::put(&self.tables.people, keys::listed_company(id)),
        ];
        Ok(matches!(self.transact(writes).await?, Transacted::Done))
    }

    /// The companies behind `after`, by id, and where the next page starts.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn companies(
        &self,
        after: Option<&CompanyId>,
        limit: i32,
    ) -> Result<(Vec<Company>, Option<CompanyId>), StoreError> {
        let companies = self
            .client
            .query()
            .table_name(&self.tables.people)
            .consistent_read(true)
            .key_condition_expression("pk = :companies")
            .expression_attribute_values(":companies", keys::COMPANIES.into_attribute())
            .set_exclusive_start_key(after.map(keys::listed_company))
            .limit(limit);
        let page = query::page(companies).await?;
        let next = page.last_evaluated_key.as_ref().and_then(keys::company_of);
        let mut companies = Vec::new();
        for item in page.items.unwrap_or_default() {
            if let Some(id) = keys::company_of(&item) {
                companies.extend(self.company(&id).await?);
            }
        }
        Ok((companies, next))
    }

    /// A company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn company(&self, company: &CompanyId) -> Result<Option<Company>, StoreError> {
        self.get("company", &self.tables.people, keys::company(company)).await
    }

    /// Changes the settings of a company, as they were read and then altered; `usual_rate` is none of them. None when
    /// they are no longer what was read: somebody changed them meanwhile, or there is no such company.
    ///
    /// # Errors
    /// When the store gives no answer; what was asked for can be made of settings that are read again.
    pub async fn change_company(&self, settings: &Company) -> Result<Option<Company>, StoreError> {
        let mut expression = "SET settings_version = :next, label = :label, hold_hours = :hours, \
                              local_presence = :local, n_lines = :lines, limits = :limits, thresholds = :thresholds, \
                              retry_policy = :retry"
            .to_owned();
        if settings.zone.is_some() {
            expression.push_str(", company_zone = :zone");
        }
        let write = Write::update(&self.tables.people, keys::company(&settings.company), expression);
        let write = match settings.settings_version {
            0 => write.when("attribute_exists(pk) AND attribute_not_exists(settings_version)"),
            version => write.when("settings_version = :version").value(":version", version),
        };
        let write = write
            .value(":next", settings.settings_version + 1)
            .value(":label", settings.label.as_str())
            .value(":hours", u64::from(u32::from(settings.hold_hours)))
            .value(":lines", u64::from(settings.lines))
            .value(":local", AttributeValue::Bool(settings.local_presence))
            .value(":limits", items::attribute("company", &settings.limits)?)
            .value(":thresholds", items::attribute("company", &settings.thresholds)?)
            .value(":retry", items::attribute("company", &settings.retry)?);
        let write = match &settings.zone {
            Some(zone) => write.value(":zone", zone.as_str()),
            None => write,
        };
        match self.transact(vec![write]).await? {
            Transacted::Done => self.company(&settings.company).await,
            Transacted::Refused(_) => Ok(None),
        }
    }

    /// Remembers how many of 1,000 calls from a company's numbers are answered.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn remember_usual_rate(&self, company: &CompanyId, rate: u32) -> Result<(), StoreError> {
        let write = Write::update(&self.tables.people, keys::company(company), "SET usual_rate = :rate")
            .when("attribute_exists(pk)")
            .value(":rate", u64::from(rate));
        let _: Transacted = self.transact(vec![write]).await?;
        Ok(())
    }

    /// A company; the usual settings when it is not there.
    pub(crate) async fn settings(&self, company: &CompanyId) -> Result<Company, StoreError> {
        Ok(self.company(company).await?.unwrap_or_else(|| Company::new(company.clone(), "")))
    }

    /// Stores the hash of a new key. Returns whether the key id was free.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn put_api_key(&self, new: &NewApiKey<'_>) -> Result<bool, StoreError> {
        let key = ApiKey {
            key_id: new.key_id.to_owned(),
            secret_sha256: hex::encode(Sha256::digest(new.secret)),
            company: new.company.cloned(),
            valid_until: new.valid_until,
            revoked_at: None,
        };
        let item = items::write("API key", keys::api_key(new.key_id), &key)?;
        let transacted = self.transact(vec![Write::insert(&self.tables.people, item)]).await?;
        Ok(matches!(transacted, Transacted::Done))
    }

    /// Looks up what is not there: the connection is there then, and the first request need not wait for it. In the pool,
    /// which every function with routes may read; of those, not every one may read the keys.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        let _nothing: Option<IgnoredAny> =
            self.get("number", &self.tables.pool, keys::vapi_owner("-")).await?;
        Ok(())
    }

    /// Asks a table for an item that is not there.
    ///
    /// # Errors
    /// When the table gives no answer.
    pub async fn reach(&self, table: Table) -> Result<(), StoreError> {
        let name = match table {
            Table::Pool => &self.tables.pool,
            Table::Dialing => &self.tables.dialing,
            Table::People => &self.tables.people,
            Table::Journal => &self.tables.journal,
        };
        let request = self.client.get_item().table_name(name).set_key(Some(keys::nothing()));
        request.send().await?;
        Ok(())
    }

    /// Withdraws a key. Answers whether there is such a key; withdrawing it again changes nothing.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn revoke_api_key(&self, now: Timestamp, key_id: &str) -> Result<bool, StoreError> {
        let revoke = Write::update(
            &self.tables.people,
            keys::api_key(key_id),
            "SET revoked_at = if_not_exists(revoked_at, :now)",
        )
        .when("attribute_exists(pk)")
        .value(":now", now);
        Ok(matches!(self.transact(vec![revoke]).await?, Transacted::Done))
    }

    /// The key with this public part, as far as it is good at `now`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn api_key(&self, now: Timestamp, key_id: &str) -> Result<KeyFound, StoreError> {
        let found: Option<ApiKey> = self.get("API key", &self.tables.people, keys::api_key(key_id)).await?;
        Ok(match found {
            None => KeyFound::Unknown,
            Some(key) if key.revoked_at.is_some() || key.valid_until.is_some_and(|end| end <= now) => {
                KeyFound::Over
            }
            Some(key) => KeyFound::Valid(key),
        })
    }
}
