//! Assistants: a company's records of what the provider has, version by version.
//!
//! ```text
//!            fence                       finish: the provider has it
//!   at rest ───────▶ a change under way ─────────────────────────────▶ at rest, one version more
//!      ▲                    │ abandon: the provider does not have it
//!      └────────────────────┘
//! ```
//! 1. A change is fenced before the provider is asked: one at a time, and none while a campaign that has begun uses the
//!    assistant. No campaign begins while a change is fenced.
//! 2. A fence has the whole of what the assistant becomes. Whoever finds one whose time is over asks the provider whether it
//!    has that, and finishes or abandons it.
//! 3. An assistant at the provider is one company's. Which campaigns use it is on its item, written in the transactions that
//!    make, begin and end them.
//!
//! Nothing here asks the provider.

use std::collections::BTreeMap;

use dialpool_domain::assistant::{
    Assistant, AssistantName, AssistantUse, AssistantVersion, Configuration, InvalidConfiguration, Origin,
    PendingUpdate, UPDATE_WITHIN,
};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::{AssistantId, CampaignId, CompanyId, Timestamp};

use crate::dialing::ROUNDS;
use crate::items::{AssistantItem, AssistantOwnerItem, CampaignItem, UpdatingItem, VersionItem};
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// An assistant that the provider has, to be put on record.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAssistant {
    /// Its id.
    pub id: AssistantId,
    /// Its name.
    pub name: AssistantName,
    /// Its id at the provider.
    pub provider_id: String,
    /// How it is configured there.
    pub configuration: Configuration,
    /// What it was made from.
    pub origin: Origin,
}

/// What became of an assistant that was to be put on record.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub enum Registered {
    /// It is on record now.
    Done(Assistant),
    /// The company had it on record.
    Already(Assistant),
    /// Another company has it on record.
    Others,
}

/// A change of an assistant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssistantChanged {
    /// Its name from then on, if that changes.
    pub name: Option<AssistantName>,
    /// Fields that take the place of those of the same name.
    pub configuration: Option<Configuration>,
}

/// What became of the attempt to fence a change.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub enum Fenced {
    /// Nobody else changes it until the change is finished or abandoned.
    Taken(Box<Assistant>, Box<PendingUpdate>),
    /// Somebody else is changing it, until then at most.
    Changing {
        /// When it is over at the latest.
        until: Timestamp,
    },
    /// A change was broken off: ask the provider whether it has it, finish or abandon it, and try again.
    Unfinished(Box<Assistant>, Box<PendingUpdate>),
    /// Campaigns that have begun use it, with their names.
    Pinned(BTreeMap<CampaignId, String>),
    /// What it would become cannot be kept.
    Invalid(InvalidConfiguration),
    /// The company has no such assistant.
    NotFound,
}

/// What became of an assistant that was to be struck off the record.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It is not on record any more. The provider still has it.
    Done,
    /// Campaigns that are not over use it, with their names.
    Used(BTreeMap<CampaignId, String>),
    /// Somebody is changing it, until then at most.
    Changing {
        /// When it is over at the latest.
        until: Timestamp,
    },
    /// The company has no such assistant.
    NotFound,
}

/// Which assistant a campaign names.
pub(crate) enum Found {
    /// One that the company has on record.
    Record(Box<AssistantItem>),
    /// One at the provider that nobody has on record.
    Unregistered,
    /// None that the company has on record.
    Unknown,
    /// One that another company has on record.
    Others,
}

impl AssistantItem {
    /// What a campaign says of it that begins now.
    pub(crate) fn as_used(&self) -> AssistantUse {
        AssistantUse { id: self.assistant_id.clone(), version: self.n_versions }
    }

    fn used_by(&self) -> BTreeMap<CampaignId, String> {
        self.planned_by.iter().chain(&self.pinned_by).map(|(id, name)| (id.clone(), name.clone())).collect()
    }
}

/// A change of which campaigns use an assistant of a company.
fn use_by(
    table: &str,
    (company, assistant): (&CompanyId, &AssistantId),
    campaign: &CampaignId,
    expression: &str,
) -> Write {
    Write::update(table, keys::assistant(company, assistant), expression).name("#campaign", campaign.as_str())
}

/// The same, with the campaign's name.
fn named_use(table: &str, assistant: &AssistantItem, campaign: &CampaignItem, expression: &str) -> Write {
    let assistant = (&assistant.company, &assistant.assistant_id);
    use_by(table, assistant, &campaign.campaign_id, expression).value(":name", campaign.label.as_str())
}

/// A campaign that has not begun will use the assistant as it is now.
pub(crate) fn planned(table: &str, assistant: &AssistantItem, campaign: &CampaignItem) -> Write {
    named_use(table, assistant, campaign, "SET planned_by.#campaign = :name")
        .when("n_versions = :version")
        .value(":version", assistant.n_versions)
}

/// A campaign that has not begun will not use the assistant.
pub(crate) fn planned_no_more(
    table: &str,
    company: &CompanyId,
    assistant: &AssistantId,
    campaign: &CampaignId,
) -> Write {
    use_by(table, (company, assistant), campaign, "REMOVE planned_by.#campaign").when("attribute_exists(pk)")
}

/// A campaign begins with the assistant as it is now, which stays so.
pub(crate) fn pinned(table: &str, assistant: &AssistantItem, campaign: &CampaignItem) -> Write {
    named_use(table, assistant, campaign, "SET pinned_by.#campaign = :name REMOVE planned_by.#campaign")
        .when("n_versions = :version AND attribute_not_exists(update_id)")
        .value(":version", assistant.n_versions)
}

/// A campaign that was completed runs again, with the assistant as the record has it.
pub(crate) fn pinned_again(table: &str, assistant: &AssistantItem, campaign: &CampaignItem) -> Write {
    named_use(table, assistant, campaign, "SET pinned_by.#campaign = :name").when("attribute_exists(pk)")
}

/// A campaign is over.
pub(crate) fn used_no_more(
    table: &str,
    company: &CompanyId,
    assistant: &AssistantId,
    campaign: &CampaignId,
) -> Write {
    let no_more = "REMOVE planned_by.#campaign, pinned_by.#campaign";
    use_by(table, (company, assistant), campaign, no_more).when("attribute_exists(pk)")
}

/// A campaign begins with an assistant that is on nobody's record: no other company puts it on its own.
pub(crate) fn claimed_for(table: &str, campaign: &CampaignItem) -> Write {
    owned(table, &campaign.assistant_id, &campaign.company, "SET company = :company")
}

/// The write that makes an assistant at the provider a company's, which is on no record yet and no other company's.
fn owned(table: &str, provider_id: &str, company: &CompanyId, expression: &str) -> Write {
    Write::update(table, keys::assistant_owner(provider_id), expression)
        .when("attribute_not_exists(assistant_id) AND (attribute_not_exists(pk) OR company = :company)")
        .value(":company", company.as_str())
}

impl Store {
    /// Puts an assistant of the provider on record as a company's.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn register_assistant(
        &self,
        cause: &Cause,
        company: &CompanyId,
        new: &NewAssistant,
    ) -> Result<Registered, StoreError> {
        let item = AssistantItem {
            assistant_id: new.id.clone(),
            company: company.clone(),
            label: new.name.clone(),
            provider_id: new.provider_id.clone(),
            n_versions: 1,
            sha256: new.configuration.sha256(),
            origin: new.origin.clone(),
            made_at: cause.at,
            updated_at: cause.at,
            planned_by: BTreeMap::new(),
            pinned_by: BTreeMap::new(),
            update_id: None,
            updating: None,
        };
        let table = &self.tables.dialing;
        let key = keys::assistant(company, &new.id);
        let told = EventData::AssistantCreated {
            name: new.name.to_string(),
            provider_id: new.provider_id.clone(),
            origin: new.origin.clone(),
            sha256: item.sha256.clone(),
        };
        let writes = vec![
            owned(table, &new.provider_id, company, "SET company = :company, assistant_id = :assistant")
                .value(":assistant", new.id.as_str()),
            Write::insert(table, items::write("assistant", key, &item)?),
            self.version(cause, &new.id, 1, &new.name, &new.configuration)?,
            self.journal(cause, company, Aggregate::Assistant(new.id.clone()), 1, told)?,
        ];
        if let Transacted::Done = self.transact(writes).await? {
            return Ok(Registered::Done(item.try_into()?));
        }
        let known = match self.owner_of_assistant(&new.provider_id).await? {
            Some(owner) if owner.company != *company => return Ok(Registered::Others),
            Some(AssistantOwnerItem { assistant_id: Some(id), .. }) => self.assistant(company, &id).await?,
            Some(AssistantOwnerItem { assistant_id: None, .. }) | None => None,
        };
        known
            .map(Registered::Already)
            .ok_or_else(|| StoreError::Busy("the record was struck off while it was made".to_owned()))
    }

    async fn owner_of_assistant(&self, provider_id: &str) -> Result<Option<AssistantOwnerItem>, StoreError> {
        self.get("assistant", &self.tables.dialing, keys::assistant_owner(provider_id)).await
    }

    async fn assistant_item(
        &self,
        company: &CompanyId,
        id: &AssistantId,
    ) -> Result<Option<AssistantItem>, StoreError> {
        self.get("assistant", &self.tables.dialing, keys::assistant(company, id)).await
    }

    /// Which assistant a campaign of a company names, by our id or by the provider's.
    pub(crate) async fn find_assistant(&self, company: &CompanyId, named: &str) -> Result<Found, StoreError> {
        let id = match named.parse::<AssistantId>() {
            Ok(id) => id,
            // It means to be ours.
            Err(_) if named.starts_with("ast_") => return Ok(Found::Unknown),
            Err(_) => match self.owner_of_assistant(named).await? {
                None => return Ok(Found::Unregistered),
                Some(owner) if owner.company != *company => return Ok(Found::Others),
                Some(AssistantOwnerItem { assistant_id: Some(id), .. }) => id,
                Some(AssistantOwnerItem { assistant_id: None, .. }) => return Ok(Found::Unregistered),
            },
        };
        let found = self.assistant_item(company, &id).await?;
        Ok(found.map_or(Found::Unknown, |item| Found::Record(Box::new(item))))
    }

    /// An assistant of a company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn assistant(
        &self,
        company: &CompanyId,
        id: &AssistantId,
    ) -> Result<Option<Assistant>, StoreError> {
        self.assistant_item(company, id).await?.map(Assistant::try_from).transpose()
    }

    /// The assistants of a company behind `after`, in the order of their making, and where the next page starts.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn assistants(
        &self,
        company: &CompanyId,
        after: Option<&AssistantId>,
        limit: u32,
    ) -> Result<(Vec<Assistant>, Option<AssistantId>), StoreError> {
        let assistants = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .consistent_read(true)
            .key_condition_expression("pk = :company AND begins_with(sk, :assistant)")
            .expression_attribute_values(":company", keys::assistants_partition(company).into_attribute())
            .expression_attribute_values(":assistant", keys::ASSISTANT_PREFIX.into_attribute())
            .set_exclusive_start_key(after.map(|id| keys::assistant(company, id)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query::page(assistants).await?;
        let more = page.last_evaluated_key.is_some();
        let read = |item| items::read::<AssistantItem>("assistant", item).and_then(Assistant::try_from);
        let found = page.items.unwrap_or_default().into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let next = found.last().filter(|_| more).map(|last| last.id.clone());
        Ok((found, next))
    }

    /// A version of an assistant.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn assistant_version(
        &self,
        id: &AssistantId,
        version: u64,
    ) -> Result<Option<AssistantVersion>, StoreError> {
        let item: Option<VersionItem> =
            self.get("assistant version", &self.tables.dialing, keys::assistant_version(id, version)).await?;
        item.map(AssistantVersion::try_from).transpose()
    }

    /// The versions of an assistant before `before`, the newest first.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn assistant_versions(
        &self,
        id: &AssistantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AssistantVersion>, StoreError> {
        let versions = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .consistent_read(true)
            .key_condition_expression("pk = :assistant AND begins_with(sk, :version)")
            .expression_attribute_values(":assistant", keys::versions_partition(id).into_attribute())
            .expression_attribute_values(":version", keys::VERSION_PREFIX.into_attribute())
            .set_exclusive_start_key(before.map(|before| keys::assistant_version(id, before)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query::page(versions).await?;
        let read =
            |item| items::read::<VersionItem>("assistant version", item).and_then(AssistantVersion::try_from);
        page.items.unwrap_or_default().into_iter().map(read).collect()
    }

    fn version(
        &self,
        cause: &Cause,
        id: &AssistantId,
        nth: u64,
        name: &AssistantName,
        configuration: &Configuration,
    ) -> Result<Write, StoreError> {
        let item = VersionItem {
            nth,
            label: name.clone(),
            configuration: configuration.text(),
            sha256: configuration.sha256(),
            made_at: cause.at,
            actor: cause.actor.clone(),
        };
        let key = keys::assistant_version(id, nth);
        // The record says which versions there are. One that it does not know is half of a transaction that a restore kept.
        Ok(Write::put(&self.tables.dialing, items::write("assistant version", key, &item)?))
    }

    /// Fences a change: until it is finished or abandoned, or its time is over, nobody else changes the assistant, and no
    /// campaign begins with it.
    ///
    /// # Errors
    /// When the store gives no answer; the fence may be there then, and its time runs out.
    pub async fn fence_assistant(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssistantId,
        request: &str,
        change: &AssistantChanged,
    ) -> Result<Fenced, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.assistant_item(company, id).await? else {
                return Ok(Fenced::NotFound);
            };
            let assistant = Assistant::try_from(item)?;
            if let Some(update) = assistant.update.clone() {
                return Ok(if cause.at < update.until {
                    Fenced::Changing { until: update.until }
                } else {
                    Fenced::Unfinished(Box::new(assistant), Box::new(update))
                });
            }
            if !assistant.pinned_by.is_empty() {
                return Ok(Fenced::Pinned(assistant.pinned_by));
            }
            let present = self.assistant_version(id, assistant.version).await?;
            let present = present
                .ok_or_else(|| StoreError::unreadable("assistant", "its present version is not there"))?;
            let configuration = match &change.configuration {
                None => present.configuration,
                Some(changes) => match present.configuration.changed_by(changes) {
                    Ok(configuration) => configuration,
                    Err(invalid) => return Ok(Fenced::Invalid(invalid)),
                },
            };
            let name = change.name.clone().unwrap_or_else(|| assistant.name.clone());
            let until = cause.at + UPDATE_WITHIN;
            let update = PendingUpdate { request: request.to_owned(), name, configuration, until };
            let updating = UpdatingItem {
                label: update.name.clone(),
                configuration: update.configuration.text(),
                until,
            };
            let write = Write::update(
                &self.tables.dialing,
                keys::assistant(company, id),
                "SET update_id = :request, updating = :updating",
            )
            .when("n_versions = :version AND attribute_not_exists(update_id) AND size(pinned_by) = :none")
            .value(":request", request)
            .value(":updating", items::attribute("assistant", &updating)?)
            .value(":version", assistant.version)
            .value(":none", 0u64);
            if let Transacted::Done = self.transact(vec![write]).await? {
                return Ok(Fenced::Taken(Box::new(assistant), Box::new(update)));
            }
        }
        Err(StoreError::Busy(format!("assistant {id} changed under {ROUNDS} attempts to change it")))
    }

    /// Writes down that the provider has a change: one version more. `None`: somebody else saw to it, one way or the other.
    ///
    /// # Errors
    /// When the store gives no answer; the fence stays then, and whoever finds it finishes the change.
    pub async fn finish_update(
        &self,
        cause: &Cause,
        assistant: &Assistant,
        update: &PendingUpdate,
    ) -> Result<Option<Assistant>, StoreError> {
        let (company, id, version) = (&assistant.company, &assistant.id, assistant.version + 1);
        let sha256 = update.configuration.sha256();
        let now = Write::update(
            &self.tables.dialing,
            keys::assistant(company, id),
            "SET label = :name, n_versions = :next, sha256 = :sha256, updated_at = :now \
             REMOVE update_id, updating",
        )
        .when("update_id = :request AND n_versions = :version")
        .value(":name", update.name.as_str())
        .value(":next", version)
        .value(":sha256", sha256.as_str())
        .value(":now", cause.at)
        .value(":request", update.request.as_str())
        .value(":version", assistant.version);
        let told = EventData::AssistantUpdated {
            name: update.name.to_string(),
            provider_id: assistant.provider_id.clone(),
            version,
            sha256: sha256.clone(),
        };
        let writes = vec![
            now,
            self.version(cause, id, version, &update.name, &update.configuration)?,
            self.journal(cause, company, Aggregate::Assistant(id.clone()), version, told)?,
        ];
        Ok(match self.transact(writes).await? {
            Transacted::Done => Some(Assistant {
                name: update.name.clone(),
                version,
                sha256,
                updated_at: cause.at,
                update: None,
                ..assistant.clone()
            }),
            Transacted::Refused(_) => None,
        })
    }

    /// Takes the fence away: the provider does not have the change.
    ///
    /// # Errors
    /// When the store gives no answer; the fence stays then until its time is over.
    pub async fn abandon_update(
        &self,
        company: &CompanyId,
        id: &AssistantId,
        request: &str,
    ) -> Result<(), StoreError> {
        let write =
            Write::update(&self.tables.dialing, keys::assistant(company, id), "REMOVE update_id, updating")
                .when("update_id = :request")
                .value(":request", request);
        let _: Transacted = self.transact(vec![write]).await?;
        Ok(())
    }

    /// Strikes an assistant off the record. Its versions and its events stay.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn delete_assistant(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssistantId,
    ) -> Result<Deleted, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.assistant_item(company, id).await? else {
                return Ok(Deleted::NotFound);
            };
            let used_by = item.used_by();
            if !used_by.is_empty() {
                return Ok(Deleted::Used(used_by));
            }
            if let Some(until) =
                item.updating.as_ref().map(|update| update.until).filter(|end| cause.at < *end)
            {
                return Ok(Deleted::Changing { until });
            }
            let unused = "n_versions = :version AND size(planned_by) = :none AND size(pinned_by) = :none";
            let (condition, fence) = match &item.update_id {
                None => (format!("{unused} AND attribute_not_exists(update_id)"), None),
                Some(request) => (format!("{unused} AND update_id = :request"), Some(request)),
            };
            let table = &self.tables.dialing;
            let mut record = Write::delete(table, keys::assistant(company, id))
                .when(&condition)
                .value(":version", item.n_versions)
                .value(":none", 0u64);
            if let Some(request) = fence {
                record = record.value(":request", request.as_str());
            }
            let told = EventData::AssistantDeleted {
                name: item.label.to_string(),
                provider_id: item.provider_id.clone(),
            };
            let writes = vec![
                record,
                Write::delete(table, keys::assistant_owner(&item.provider_id))
                    .when("attribute_not_exists(pk) OR assistant_id = :id")
                    .value(":id", id.as_str()),
                self.journal(cause, company, Aggregate::Assistant(id.clone()), item.n_versions + 1, told)?,
            ];
            if let Transacted::Done = self.transact(writes).await? {
                return Ok(Deleted::Done);
            }
        }
        Err(StoreError::Busy(format!("assistant {id} changed under {ROUNDS} attempts to delete it")))
    }
}

fn configuration_of(text: &str) -> Result<Configuration, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::unreadable("assistant", error))
}

impl TryFrom<AssistantItem> for Assistant {
    type Error = StoreError;

    fn try_from(item: AssistantItem) -> Result<Self, StoreError> {
        let update = match (item.update_id, item.updating) {
            (None, None) => None,
            (Some(request), Some(updating)) => Some(PendingUpdate {
                request,
                name: updating.label,
                configuration: configuration_of(&updating.configuration)?,
                until: updating.until,
            }),
            _ => return Err(StoreError::unreadable("assistant", "half of a fence")),
        };
        Ok(Self {
            id: item.assistant_id,
            company: item.company,
            name: item.label,
            provider_id: item.provider_id,
            version: item.n_versions,
            sha256: item.sha256,
            origin: item.origin,
            created_at: item.made_at,
            updated_at: item.updated_at,
            planned_by: item.planned_by,
            pinned_by: item.pinned_by,
            update,
        })
    }
}

impl TryFrom<VersionItem> for AssistantVersion {
    type Error = StoreError;

    fn try_from(item: VersionItem) -> Result<Self, StoreError> {
        Ok(Self {
            version: item.nth,
            name: item.label,
            configuration: configuration_of(&item.configuration)?,
            sha256: item.sha256,
            at: item.made_at,
            actor: item.actor,
        })
    }
}
