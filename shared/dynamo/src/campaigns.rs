//! Campaigns and their contacts.
//!
//! A contact is its next due time, as a number is its next available time: `due_at` in the past means dial it, in the
//! future means not yet (or, with a call, under way), absent means done. The next contact is one query; whom a callback was
//! promised goes before the others (`callbacks`).

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use dialpool_domain::assistant::AssistantUse;
use dialpool_domain::campaign::{Campaign, CampaignCommand, CampaignStatus, Cap, NewCampaign, Progress};
use dialpool_domain::contact::{Contact, ContactState, NewContact};
use dialpool_domain::dead_air::DeadAir;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::{AssistantId, CampaignId, CompanyId, PhoneNumber, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};

use crate::assistants::{Found, claimed_for, pinned, pinned_again, planned, planned_no_more, used_no_more};
use crate::batch::{KEYS_AT_ONCE, REQUESTS_AT_ONCE};
use crate::dialing::ROUNDS;
use crate::items::{CampaignItem, ContactItem};
use crate::transaction::{IntoAttribute, Item, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// A transaction has at most 100 writes: 98 contacts, the campaign and its event.
const CONTACTS_AT_ONCE: usize = 98;

/// What became of contacts that were to be added.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// All of them are in the campaign; these were before.
    Done {
        /// How many are new.
        added: u64,
        /// Which were in the campaign before, or twice in the list.
        known: Vec<PhoneNumber>,
    },
    /// The campaign is over and takes no contacts.
    Over(CampaignStatus),
    /// The company has no such campaign.
    NotFound,
}

/// What became of a campaign that was to be made.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignMade {
    /// It is there.
    Done,
    /// The company has no such assistant.
    UnknownAssistant,
    /// The assistant at the provider is another company's.
    OthersAssistant,
}

/// What became of the choice of another assistant for a campaign.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssistantChosen {
    /// The campaign will use it; this is the campaign now.
    Done(Box<Campaign>),
    /// The campaign has begun: its assistant stays.
    Begun(CampaignStatus),
    /// The company has no such assistant.
    UnknownAssistant,
    /// The assistant at the provider is another company's.
    OthersAssistant,
    /// The company has no such campaign.
    NotFound,
}

/// What became of a change of a campaign's lines.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapChanged {
    /// It has so many; this is the campaign now.
    Done(Box<Campaign>),
    /// It calls from one number only, which makes one call at a time.
    OneNumber,
    /// The campaign is over.
    Over(CampaignStatus),
    /// The company has no such campaign.
    NotFound,
}

/// What became of a command to a campaign.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commanded {
    /// It was carried out; this is the campaign now.
    Done(Campaign),
    /// The campaign is in that state already: the command was given before.
    Already(Campaign),
    /// The command makes no sense in the state in which the campaign is.
    Impossible(CampaignStatus),
    /// Its assistant is being changed, or it is not known yet whether it was: it cannot begin now.
    AssistantChanging(AssistantId),
    /// Its assistant at the provider is another company's.
    OthersAssistant,
    /// The company has no such campaign.
    NotFound,
}

/// What a campaign begins with.
enum Beginning {
    /// Itself, and the write by which its assistant is its own.
    With(Box<(CampaignItem, Write)>),
    AssistantChanging(AssistantId),
    OthersAssistant,
}

/// Contacts of a campaign, by number, and where the next page starts.
#[derive(Debug)]
pub struct ContactPage {
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// Where the next page starts, when there is one.
    pub next: Option<PhoneNumber>,
}

impl Store {
    /// Makes a campaign. A campaign with that id that is there already stays as it is: the request was made before.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn create_campaign(
        &self,
        cause: &Cause,
        new: &NewCampaign,
    ) -> Result<CampaignMade, StoreError> {
        for _round in 0..ROUNDS {
            let assistant = match self.find_assistant(&new.company, &new.assistant_id).await? {
                Found::Record(assistant) => Some(assistant),
                Found::Unregistered => None,
                Found::Unknown => return Ok(CampaignMade::UnknownAssistant),
                Found::Others => return Ok(CampaignMade::OthersAssistant),
            };
            let item = CampaignItem {
                campaign_id: new.id.clone(),
                company: new.company.clone(),
                label: new.name.clone(),
                assistant_id: assistant
                    .as_ref()
                    .map_or_else(|| new.assistant_id.clone(), |assistant| assistant.provider_id.clone()),
                assistant_use: assistant.as_ref().map(|assistant| assistant.as_used()),
                campaign_status: CampaignStatus::Created,
                cap: new.cap,
                hold_hours: new.hold,
                from_number: new.from_number.clone(),
                policy: new.policy,
                batch_left: 0,
                created_at: cause.at,
                running_shard: None,
                company_index: company_index("CAMP", &new.company),
                slots: std::collections::BTreeMap::new(),
                item_version: 1,
                n_contacts: 0,
                n_open: 0,
                n_calls: 0,
                n_answered: 0,
                n_no_answer: 0,
                n_busy: 0,
                n_voicemail: 0,
                n_failed: 0,
                refused_in_a_row: 0,
                cost_e4: 0,
                dead_air: None,
            };
            let mut writes = vec![
                Write::insert(
                    &self.tables.dialing,
                    items::write("campaign", keys::campaign(&new.id), &item)?,
                ),
                self.journal(
                    cause,
                    &new.company,
                    Aggregate::Campaign(new.id.clone()),
                    1,
                    EventData::CampaignCreated { name: new.name.clone() },
                )?,
            ];
            if let Some(assistant) = &assistant {
                writes.push(planned(&self.tables.dialing, assistant, &item));
            }
            match self.transact(writes).await? {
                Transacted::Done => return Ok(CampaignMade::Done),
                Transacted::Refused(refusal) if refusal.at(0) => return Ok(CampaignMade::Done),
                // The assistant changed, or is gone.
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("an assistant changed under {ROUNDS} attempts to use it")))
    }

    /// Has a campaign that has not begun use another assistant.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn choose_assistant(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &CampaignId,
        assistant: &str,
    ) -> Result<AssistantChosen, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.campaign_item_of(company, id).await? else {
                return Ok(AssistantChosen::NotFound);
            };
            if item.campaign_status != CampaignStatus::Created {
                return Ok(AssistantChosen::Begun(item.campaign_status));
            }
            let found = match self.find_assistant(company, assistant).await? {
                Found::Record(assistant) => Some(assistant),
                Found::Unregistered => None,
                Found::Unknown => return Ok(AssistantChosen::UnknownAssistant),
                Found::Others => return Ok(AssistantChosen::OthersAssistant),
            };
            let used = found.as_ref().map(|assistant| assistant.as_used());
            let provider_id =
                found.as_ref().map_or_else(|| assistant.to_owned(), |found| found.provider_id.clone());
            if used == item.assistant_use && provider_id == item.assistant_id {
                return Ok(AssistantChosen::Done(Box::new(item.into())));
            }
            let mut write = Write::update(
                &self.tables.dialing,
                keys::campaign(id),
                match used {
                    Some(_) => "SET assistant_id = :provider, assistant_use = :use, item_version = :next",
                    None => "SET assistant_id = :provider, item_version = :next REMOVE assistant_use",
                },
            )
            .when("item_version = :version AND campaign_status = :created")
            .value(":provider", provider_id.as_str())
            .value(":version", item.item_version)
            .value(":next", item.item_version + 1)
            .value(":created", CampaignStatus::Created.as_str());
            if let Some(used) = &used {
                write = write.value(":use", items::attribute("assistant", used)?);
            }
            let told = EventData::CampaignAssistantChanged {
                provider_id: provider_id.clone(),
                assistant_id: used.as_ref().map(|used| used.id.clone()),
            };
            let aggregate = Aggregate::Campaign(id.clone());
            let mut writes =
                vec![write, self.journal(cause, company, aggregate, item.item_version + 1, told)?];
            let table = &self.tables.dialing;
            writes.extend(found.as_ref().map(|found| planned(table, found, &item)));
            let former = item.assistant_use.as_ref().map(|former| &former.id);
            let former = former.filter(|former| used.as_ref().is_none_or(|used| used.id != **former));
            writes.extend(former.map(|former| planned_no_more(table, company, former, id)));
            if let Transacted::Done = self.transact(writes).await? {
                let (assistant_id, item_version) = (provider_id, item.item_version + 1);
                let item = CampaignItem { assistant_id, assistant_use: used, item_version, ..item };
                return Ok(AssistantChosen::Done(Box::new(item.into())));
            }
        }
        Err(StoreError::Busy(format!("campaign {id} changed under {ROUNDS} attempts to change it")))
    }

    /// Gives a campaign another number of lines. In force for the next claim; calls under way go on.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn change_cap(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &CampaignId,
        cap: Cap,
    ) -> Result<CapChanged, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.campaign_item_of(company, id).await? else {
                return Ok(CapChanged::NotFound);
            };
            let status = item.campaign_status;
            if status == CampaignStatus::Cancelled {
                return Ok(CapChanged::Over(status));
            }
            if item.from_number.is_some() && cap != Cap::ONE {
                return Ok(CapChanged::OneNumber);
            }
            if item.cap == cap {
                return Ok(CapChanged::Done(Box::new(item.into())));
            }
            let item_version = item.item_version + 1;
            let key = keys::campaign(id);
            let write = Write::update(&self.tables.dialing, key, "SET cap = :cap, item_version = :next")
                .when("item_version = :version")
                .value(":cap", u64::from(cap.lines()))
                .value(":version", item.item_version)
                .value(":next", item_version);
            let told = EventData::CampaignCapChanged { from: item.cap, to: cap };
            let event = self.journal(cause, company, Aggregate::Campaign(id.clone()), item_version, told)?;
            if let Transacted::Done = self.transact(vec![write, event]).await? {
                return Ok(CapChanged::Done(Box::new(CampaignItem { cap, item_version, ..item }.into())));
            }
        }
        Err(StoreError::Busy(format!("campaign {id} changed under {ROUNDS} attempts to change its cap")))
    }

    pub(crate) async fn campaign_item(&self, id: &CampaignId) -> Result<Option<CampaignItem>, StoreError> {
        self.get("campaign", &self.tables.dialing, keys::campaign(id)).await
    }

    pub(crate) async fn campaign_item_of(
        &self,
        company: &CompanyId,
        id: &CampaignId,
    ) -> Result<Option<CampaignItem>, StoreError> {
        Ok(self.campaign_item(id).await?.filter(|item| item.company == *company))
    }

    /// A campaign of a company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn campaign(
        &self,
        company: &CompanyId,
        id: &CampaignId,
    ) -> Result<Option<Campaign>, StoreError> {
        Ok(self.campaign_item_of(company, id).await?.map(Campaign::from))
    }

    /// A campaign, of whatever company: for work that the campaign itself asked for.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn campaign_of_job(&self, id: &CampaignId) -> Result<Option<Campaign>, StoreError> {
        Ok(self.campaign_item(id).await?.map(Campaign::from))
    }

    /// Starts, pauses, resumes or cancels a campaign. A pause is in force with the write: every claim checks it.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn command_campaign(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &CampaignId,
        command: CampaignCommand,
    ) -> Result<Commanded, StoreError> {
        for _round in 0..ROUNDS {
            let Some(item) = self.campaign_item_of(company, id).await? else {
                return Ok(Commanded::NotFound);
            };
            let wanted = match command {
                CampaignCommand::Start | CampaignCommand::Resume => CampaignStatus::Running,
                CampaignCommand::Pause => CampaignStatus::Paused,
                CampaignCommand::Cancel => CampaignStatus::Cancelled,
            };
            if item.campaign_status == wanted {
                return Ok(Commanded::Already(item.into()));
            }
            let Some(next) = item.campaign_status.after(command) else {
                return Ok(Commanded::Impossible(item.campaign_status));
            };
            let (mut moved, pin) = match (item.campaign_status, next) {
                (CampaignStatus::Created, CampaignStatus::Running) => match self.beginning(&item).await? {
                    Beginning::With(begun) => {
                        let (moved, pin) = *begun;
                        (moved, Some(pin))
                    }
                    Beginning::AssistantChanging(assistant) => {
                        return Ok(Commanded::AssistantChanging(assistant));
                    }
                    Beginning::OthersAssistant => return Ok(Commanded::OthersAssistant),
                },
                _ => (item.clone(), None),
            };
            moved.campaign_status = next;
            if next == CampaignStatus::Running {
                moved.refused_in_a_row = 0;
            }
            if self.move_campaign(cause, &item, &moved, None, pin, None).await? {
                return Ok(Commanded::Done(Campaign::from(moved)));
            }
        }
        Err(StoreError::Busy(format!("campaign {id} changed under {ROUNDS} attempts to {command:?} it")))
    }

    /// What a campaign begins with: who speaks in it is settled then.
    async fn beginning(&self, item: &CampaignItem) -> Result<Beginning, StoreError> {
        let mut moved = item.clone();
        let pin = match self.find_assistant(&item.company, item.assistant_named()).await? {
            Found::Record(assistant) if assistant.update_id.is_some() => {
                return Ok(Beginning::AssistantChanging(assistant.assistant_id));
            }
            Found::Record(assistant) => {
                moved.assistant_id.clone_from(&assistant.provider_id);
                moved.assistant_use = Some(assistant.as_used());
                pinned(&self.tables.dialing, &assistant, item)
            }
            Found::Unregistered => claimed_for(&self.tables.dialing, item),
            Found::Unknown | Found::Others => return Ok(Beginning::OthersAssistant),
        };
        Ok(Beginning::With(Box::new((moved, pin))))
    }

    /// Whether a campaign as it was read takes contacts and promises. One that is completed runs again for them, with the assistant that it had,
    /// also when that is being changed; not when it was struck off. Who writes looks again.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub(crate) async fn keep_open(&self, cause: &Cause, item: &CampaignItem) -> Result<bool, StoreError> {
        match item.campaign_status {
            CampaignStatus::Created | CampaignStatus::Running | CampaignStatus::Paused => return Ok(true),
            CampaignStatus::Cancelled => return Ok(false),
            CampaignStatus::Completed => {}
        }
        let pin = match self.find_assistant(&item.company, item.assistant_named()).await? {
            // One that came on record since is not what the campaign names, and it would never let go of it.
            Found::Record(assistant) if item.assistant_use.is_some() => {
                Some(pinned_again(&self.tables.dialing, &assistant, item))
            }
            Found::Record(_) | Found::Unregistered => None,
            Found::Unknown | Found::Others => return Ok(false),
        };
        let moved = CampaignItem { campaign_status: CampaignStatus::Running, ..item.clone() };
        self.move_campaign(cause, item, &moved, None, pin, None).await?;
        Ok(true)
    }

    /// Completes a running campaign whose contacts are all done and whose lines are all free. Returns whether it did.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn complete_campaign(&self, cause: &Cause, id: &CampaignId) -> Result<bool, StoreError> {
        match self.campaign_item(id).await? {
            Some(item)
                if item.campaign_status == CampaignStatus::Running
                    && item.n_contacts > 0
                    && item.n_open == 0
                    && item.slots.is_empty() =>
            {
                let nothing_left = "n_open = :none AND size(slots) = :none";
                let moved = CampaignItem { campaign_status: CampaignStatus::Completed, ..item.clone() };
                self.move_campaign(cause, &item, &moved, Some(nothing_left), None, None).await
            }
            _ => Ok(false),
        }
    }

    /// Moves a campaign on, together with `pin`, the write by which its assistant is its own from now on. With its end
    /// the campaign lets go of the assistant. `dead_air`: the figures for which it is paused.
    pub(crate) async fn move_campaign(
        &self,
        cause: &Cause,
        item: &CampaignItem,
        moved: &CampaignItem,
        also: Option<&str>,
        pin: Option<Write>,
        dead_air: Option<DeadAir>,
    ) -> Result<bool, StoreError> {
        let next = moved.campaign_status;
        let mut condition = "item_version = :version AND campaign_status = :from".to_owned();
        if let Some(also) = also {
            condition = format!("{condition} AND {also}");
        }
        let (running, over) = match next {
            CampaignStatus::Running => (true, false),
            CampaignStatus::Created | CampaignStatus::Paused => (false, false),
            CampaignStatus::Completed | CampaignStatus::Cancelled => (false, true),
        };
        let mut change = "SET campaign_status = :to, item_version = :next".to_owned();
        let used = moved.assistant_use.as_ref().filter(|_| pin.is_some());
        if used.is_some() {
            change.push_str(", assistant_id = :provider, assistant_use = :use");
        }
        let told = moved.dead_air.as_ref().filter(|_| dead_air.is_some());
        if told.is_some() {
            change.push_str(", dead_air = :told");
        }
        change.push_str(if running {
            ", running_shard = :shard REMOVE refused_in_a_row"
        } else {
            " REMOVE running_shard"
        });
        let mut write = Write::update(&self.tables.dialing, keys::campaign(&item.campaign_id), change)
            .when(&condition)
            .value(":version", item.item_version)
            .value(":next", item.item_version + 1)
            .value(":from", item.campaign_status.as_str())
            .value(":to", next.as_str());
        if running {
            write = write.value(":shard", keys::shard(item.campaign_id.as_str()));
        }
        if also.is_some() {
            write = write.value(":none", 0u64);
        }
        if let Some(told) = told {
            write = write.value(":told", items::attribute("campaign", told)?);
        }
        if let Some(used) = used {
            write = write
                .value(":provider", moved.assistant_id.as_str())
                .value(":use", items::attribute("assistant", used)?);
        }
        let event = self.journal(
            cause,
            &item.company,
            Aggregate::Campaign(item.campaign_id.clone()),
            item.item_version + 1,
            EventData::CampaignStatusChanged { from: item.campaign_status, to: next, dead_air },
        )?;
        let mut writes = vec![write, event];
        writes.extend(pin);
        if let Some(AssistantUse { id, .. }) = item.assistant_use.as_ref().filter(|_| over) {
            writes.push(used_no_more(&self.tables.dialing, &item.company, id, &item.campaign_id));
        }
        Ok(matches!(self.transact(writes).await?, Transacted::Done))
    }

    /// Adds contacts, due at once or when a callback was promised. A number that the campaign has already stays as it is. A
    /// campaign that is completed runs again.
    ///
    /// # Errors
    /// When the store gives no answer. Some of the contacts may be in then; adding all of them again adds the rest.
    pub async fn add_contacts(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &CampaignId,
        contacts: &[NewContact],
    ) -> Result<Added, StoreError> {
        let mut seen = BTreeSet::new();
        let (fresh, mut known): (Vec<&NewContact>, Vec<_>) =
            contacts.iter().partition(|contact| seen.insert(&contact.phone));
        let mut known: Vec<PhoneNumber> = known.drain(..).map(|contact| contact.phone.clone()).collect();
        let mut added = 0;
        // As it is after our own change, as long as nobody else changes it: then the next chunk is refused and reads it again.
        let mut expected: Option<CampaignItem> = None;
        for chunk in fresh.chunks(CONTACTS_AT_ONCE) {
            let mut chunk = chunk.to_vec();
            let mut rounds = 0..ROUNDS;
            while !chunk.is_empty() {
                if rounds.next().is_none() {
                    return Err(StoreError::Busy(format!(
                        "campaign {id} changed under {ROUNDS} attempts to add to it"
                    )));
                }
                let campaign = match expected.take() {
                    Some(campaign) => Some(campaign),
                    None => self.campaign_item_of(company, id).await?,
                };
                let Some(campaign) = campaign else {
                    return Ok(Added::NotFound);
                };
                if campaign.campaign_status == CampaignStatus::Completed {
                    // It does not run again for those that it has.
                    let phones: Vec<_> = chunk.iter().map(|contact| contact.phone.clone()).collect();
                    let there = self.contacts_there(id, &phones).await?;
                    chunk.retain(|contact| !there.contains(&contact.phone));
                    known.extend(there);
                    if chunk.is_empty() {
                        break;
                    }
                }
                if !self.keep_open(cause, &campaign).await? {
                    return Ok(Added::Over(campaign.campaign_status));
                }
                if campaign.campaign_status == CampaignStatus::Completed {
                    continue;
                }
                let writes = self.chunk_writes(cause, &campaign, &chunk)?;
                match self.transact(writes).await? {
                    Transacted::Done => {
                        added += chunk.len() as u64;
                        chunk.clear();
                        let item_version = campaign.item_version + 1;
                        expected = Some(CampaignItem { item_version, ..campaign });
                    }
                    Transacted::Refused(refusal) => {
                        let mut place = 0..;
                        chunk.retain(|contact| {
                            let refused = place.next().is_some_and(|index| refusal.at(index));
                            if refused {
                                known.push(contact.phone.clone());
                            }
                            !refused
                        });
                    }
                }
            }
        }
        match self.campaign_item_of(company, id).await? {
            Some(_) => Ok(Added::Done { added, known }),
            None => Ok(Added::NotFound),
        }
    }

    /// What adding contacts would do now; nothing is changed.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn would_add_contacts(
        &self,
        company: &CompanyId,
        id: &CampaignId,
        contacts: &[NewContact],
    ) -> Result<Added, StoreError> {
        let Some(campaign) = self.campaign_item_of(company, id).await? else {
            return Ok(Added::NotFound);
        };
        if campaign.campaign_status == CampaignStatus::Cancelled {
            return Ok(Added::Over(campaign.campaign_status));
        }
        let mut seen = BTreeSet::new();
        let phones = contacts.iter().map(|contact| contact.phone.clone());
        let (fresh, mut known): (Vec<PhoneNumber>, Vec<_>) =
            phones.partition(|phone| seen.insert(phone.clone()));
        let all = fresh.len();
        let there = self.contacts_there(id, &fresh).await?;
        let new = (all - there.len()) as u64;
        known.extend(there);
        Ok(Added::Done { added: new, known })
    }

    /// Which of the numbers the campaign has as contacts.
    async fn contacts_there(
        &self,
        id: &CampaignId,
        phones: &[PhoneNumber],
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        let keys =
            phones.chunks(KEYS_AT_ONCE).map(|phones| phones.iter().map(|phone| keys::contact(id, phone)));
        let reads: Vec<_> =
            keys.map(|keys| self.get_some(&self.tables.dialing, keys.collect(), Some("e164"))).collect();
        let found: Vec<Vec<Item>> = stream::iter(reads).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let phone = |item: Item| items::read::<PhoneRow>("contact", item).map(|row| row.e164);
        found.into_iter().flatten().map(phone).collect()
    }

    fn chunk_writes(
        &self,
        cause: &Cause,
        campaign: &CampaignItem,
        chunk: &[&NewContact],
    ) -> Result<Vec<Write>, StoreError> {
        let count = chunk.len() as u64;
        let mut writes = Vec::with_capacity(chunk.len() + 2);
        for contact in chunk {
            let item = ContactItem {
                e164: contact.phone.clone(),
                lead_id: contact.lead.clone(),
                label: contact.name.clone(),
                address: contact.address.clone(),
                consent: contact.consent.clone(),
                due_at: Some(contact.callback_at.unwrap_or(cause.at)),
                call_id: None,
                done: None,
                attempts: Vec::new(),
                calls: Vec::new(),
                provider_failures: 0,
                promised_for: contact.callback_at,
                ahead_due: contact.callback_at,
                n_events: 0,
                item_version: 1,
            };
            let key = keys::contact(&campaign.campaign_id, &contact.phone);
            writes.push(Write::insert(&self.tables.dialing, items::write("contact", key, &item)?));
        }
        writes.push(
            Write::update(
                &self.tables.dialing,
                keys::campaign(&campaign.campaign_id),
                "SET item_version = :next ADD n_contacts :count, n_open :count",
            )
            .when("item_version = :version")
            .value(":version", campaign.item_version)
            .value(":next", campaign.item_version + 1)
            .value(":count", count),
        );
        writes.push(self.journal(
            cause,
            &campaign.company,
            Aggregate::Campaign(campaign.campaign_id.clone()),
            campaign.item_version + 1,
            EventData::CampaignContactsAdded { contacts: count },
        )?);
        Ok(writes)
    }

    /// The contacts to be called at `now`, at most `limit`: those to whom a callback was promised or whose leads keep their numbers
    /// for it, then those that have been due longest, calls under way whose lease is over included.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn due_contacts(
        &self,
        now: Timestamp,
        campaign: &CampaignId,
        limit: u32,
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        // That nobody goes ahead is the usual case, and hides nobody: they are among all that are due.
        let ahead = async { Ok(self.due(BY_AHEAD, now, campaign, limit).send().await?) };
        let (ahead, longest) = tokio::try_join!(ahead, query::page(self.due(BY_DUE, now, campaign, limit)))?;
        let read = |page: QueryOutput| -> Result<Vec<DueRow>, StoreError> {
            page.items.unwrap_or_default().into_iter().map(|item| items::read("contact", item)).collect()
        };
        let mut due = read(ahead)?;
        for row in read(longest)? {
            if !due.iter().any(|ahead| ahead.sk == row.sk) {
                due.push(row);
            }
        }
        due.truncate(limit as usize);
        due.iter().map(DueRow::phone).collect()
    }

    /// When the first contact of a campaign is due, if that is before `until`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn first_due(
        &self,
        until: Timestamp,
        campaign: &CampaignId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let first = query::page(self.due(BY_DUE, until, campaign, 1)).await?.items.unwrap_or_default();
        let first =
            first.into_iter().next().map(|item| items::read::<DueRow>("contact", item)).transpose()?;
        Ok(first.and_then(|row| row.due_at))
    }

    fn due(
        &self,
        (index, moment): (&str, &str),
        now: Timestamp,
        campaign: &CampaignId,
        limit: u32,
    ) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.tables.dialing)
            .index_name(index)
            .consistent_read(true)
            .key_condition_expression(format!("pk = :campaign AND {moment} <= :now"))
            .expression_attribute_values(":campaign", keys::campaign_partition(campaign).into_attribute())
            .expression_attribute_values(":now", now.into_attribute())
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
    }

    pub(crate) async fn contact_item(
        &self,
        campaign: &CampaignId,
        phone: &PhoneNumber,
    ) -> Result<Option<ContactItem>, StoreError> {
        self.get("contact", &self.tables.dialing, keys::contact(campaign, phone)).await
    }

    /// A contact of a campaign.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn contact(
        &self,
        campaign: &CampaignId,
        phone: &PhoneNumber,
    ) -> Result<Option<Contact>, StoreError> {
        self.contact_item(campaign, phone).await?.map(Contact::try_from).transpose()
    }

    /// The contacts of a campaign of a company, by number, from behind `after` on.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn contacts(
        &self,
        company: &CompanyId,
        campaign: &CampaignId,
        after: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<Option<ContactPage>, StoreError> {
        if self.campaign_item_of(company, campaign).await?.is_none() {
            return Ok(None);
        }
        let contacts = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .consistent_read(true)
            .key_condition_expression("pk = :campaign AND begins_with(sk, :contact)")
            .expression_attribute_values(":campaign", keys::campaign_partition(campaign).into_attribute())
            .expression_attribute_values(":contact", keys::CONTACT_PREFIX.into_attribute())
            .set_exclusive_start_key(after.map(|phone| keys::contact(campaign, phone)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query::page(contacts).await?;
        let more = page.last_evaluated_key.is_some();
        let contacts = page
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| items::read::<ContactItem>("contact", item).and_then(Contact::try_from))
            .collect::<Result<Vec<_>, _>>()?;
        let next = contacts.last().filter(|_| more).map(|contact| contact.phone.clone());
        Ok(Some(ContactPage { contacts, next }))
    }

    /// Puts a pending contact off until `due_at`. Returns whether it was still as it was read.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn defer_contact(
        &self,
        campaign: &CampaignId,
        contact: &Contact,
        due_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let write = Write::update(
            &self.tables.dialing,
            keys::contact(campaign, &contact.phone),
            if contact.goes_ahead {
                "SET due_at = :due, ahead_due = :due, item_version = :next"
            } else {
                "SET due_at = :due, item_version = :next"
            },
        )
        .when("item_version = :version AND attribute_not_exists(call_id) AND attribute_exists(due_at)")
        .value(":due", due_at)
        .value(":version", contact.version)
        .value(":next", contact.version + 1);
        Ok(matches!(self.transact(vec![write]).await?, Transacted::Done))
    }

    /// Has a pending contact go ahead of the others no more. Returns whether it was still as it was read.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn file_with_others(
        &self,
        campaign: &CampaignId,
        contact: &Contact,
    ) -> Result<bool, StoreError> {
        let key = keys::contact(campaign, &contact.phone);
        let write = Write::update(&self.tables.dialing, key, "SET item_version = :next REMOVE ahead_due")
            .when("item_version = :version AND attribute_not_exists(call_id)")
            .value(":version", contact.version)
            .value(":next", contact.version + 1);
        Ok(matches!(self.transact(vec![write]).await?, Transacted::Done))
    }

    /// Ends a pending contact without a call. Returns whether it was still as it was read.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn finish_contact(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        reason: DoneReason,
    ) -> Result<bool, StoreError> {
        if !matches!(contact.state, ContactState::Pending { .. }) {
            return Ok(false);
        }
        let writes = self.finish_writes(cause, &campaign.company, &campaign.id, contact, reason)?;
        Ok(matches!(self.transact(writes).await?, Transacted::Done))
    }

    /// The writes that end a contact as it was read, not on a call, or have it done for another reason than before.
    pub(crate) fn finish_writes(
        &self,
        cause: &Cause,
        company: &CompanyId,
        campaign: &CampaignId,
        contact: &Contact,
        reason: DoneReason,
    ) -> Result<Vec<Write>, StoreError> {
        let open = i64::from(matches!(contact.state, ContactState::Pending { .. }));
        Ok(vec![
            Write::update(
                &self.tables.dialing,
                keys::contact(campaign, &contact.phone),
                "SET done = :reason, item_version = :next, n_events = :event REMOVE due_at, ahead_due, promised_for",
            )
            .when("item_version = :version AND attribute_not_exists(call_id)")
            .value(":reason", items::attribute("reason", &reason)?)
            .value(":event", contact.events + 1)
            .value(":version", contact.version)
            .value(":next", contact.version + 1),
            Write::update(&self.tables.dialing, keys::campaign(campaign), "ADD n_open :less")
                .value(":less", -open),
            self.contact_finished(cause, company, campaign, contact, reason)?,
        ])
    }

    pub(crate) fn contact_finished(
        &self,
        cause: &Cause,
        company: &CompanyId,
        campaign: &CampaignId,
        contact: &Contact,
        reason: DoneReason,
    ) -> Result<Write, StoreError> {
        self.journal(
            cause,
            company,
            Aggregate::contact(campaign, &contact.phone),
            contact.events + 1,
            EventData::ContactFinished {
                lead: contact.lead.clone(),
                reason,
                attempts: u32::try_from(contact.attempts.len()).unwrap_or(u32::MAX),
            },
        )
    }

    /// The campaigns that are running, of whatever company. Read from an index that may lag by a moment.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn running_campaigns(&self) -> Result<Vec<CampaignId>, StoreError> {
        let mut running = Vec::new();
        for shard in 0..keys::SHARDS {
            let campaigns = self
                .client
                .query()
                .table_name(&self.tables.dialing)
                .index_name("by_running")
                .key_condition_expression("running_shard = :shard")
                .expression_attribute_values(":shard", keys::shard_name(shard).into_attribute());
            let found = query::swept(campaigns, usize::MAX).await?;
            running.extend(found.iter().filter_map(keys::campaign_of));
        }
        Ok(running)
    }
}

#[derive(serde::Deserialize)]
struct PhoneRow {
    e164: PhoneNumber,
}

/// The index of those that go ahead of the others, and its moment.
const BY_AHEAD: (&str, &str) = ("by_ahead", "ahead_due");

/// The index of all contacts that wait, and its moment.
const BY_DUE: (&str, &str) = ("by_due", "due_at");

#[derive(serde::Deserialize)]
struct DueRow {
    sk: String,
    #[serde(default, with = "dialpool_domain::time::millis::option")]
    due_at: Option<Timestamp>,
}

impl DueRow {
    fn phone(&self) -> Result<PhoneNumber, StoreError> {
        let phone = self.sk.strip_prefix(keys::CONTACT_PREFIX).unwrap_or(&self.sk);
        phone.parse().map_err(|error| StoreError::unreadable("contact", error))
    }
}

/// The partition of the index that lists a company's campaigns or calls.
pub(crate) fn company_index(kind: &str, company: &CompanyId) -> String {
    format!("{kind}#{company}")
}

/// The partition of the index that lists a campaign's calls.
pub(crate) fn calls_of(campaign: &CampaignId) -> String {
    format!("CALL#{campaign}")
}

impl From<CampaignItem> for Campaign {
    fn from(item: CampaignItem) -> Self {
        let cost = item.cost();
        Self {
            id: item.campaign_id,
            company: item.company,
            name: item.label,
            assistant_id: item.assistant_id,
            assistant: item.assistant_use,
            status: item.campaign_status,
            cap: item.cap,
            hold_hours: item.hold_hours,
            from_number: item.from_number,
            policy: item.policy,
            batch_left: item.batch_left,
            refused_in_a_row: item.refused_in_a_row,
            created_at: item.created_at,
            lines_in_use: item.slots.len(),
            progress: Progress {
                contacts: item.n_contacts,
                contacts_open: item.n_open,
                calls: item.n_calls,
                answered: item.n_answered,
                no_answer: item.n_no_answer,
                busy: item.n_busy,
                voicemails: item.n_voicemail,
                failed: item.n_failed,
                cost,
            },
        }
    }
}

impl TryFrom<ContactItem> for Contact {
    type Error = StoreError;

    fn try_from(item: ContactItem) -> Result<Self, Self::Error> {
        let state = match (item.call_id, item.due_at, item.done) {
            (Some(call_id), Some(_lease), None) => ContactState::InFlight { call_id },
            (None, Some(due_at), None) => ContactState::Pending { due_at },
            (None, None, Some(reason)) => ContactState::Done { reason },
            _ => {
                return Err(StoreError::unreadable("contact", "neither pending, in flight nor done"));
            }
        };
        Ok(Self {
            phone: item.e164,
            lead: item.lead_id,
            name: item.label,
            address: item.address,
            consent: item.consent,
            state,
            attempts: item.attempts.into_iter().map(Timestamp::from_millis).collect(),
            calls: item.calls,
            provider_failures: item.provider_failures,
            promised_for: item.promised_for,
            goes_ahead: item.ahead_due.is_some(),
            events: item.n_events,
            version: item.item_version,
        })
    }
}
