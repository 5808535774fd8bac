//! The numbers of a pool: what is known of each, how it is used, when it may be used again.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::place::{AreaCode, State};
use dialpool_domain::pool::{HoldHours, NewNumber, Registration};
use dialpool_domain::time::Duration;
use dialpool_domain::usage::{Health, Label, OverCall, Thresholds, Usage};
use dialpool_domain::{AssignmentId, CompanyId, LeadId, PhoneNumber, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::dialing::ROUNDS;
use crate::items::{AssignmentItem, NumberItem};
use crate::people::Company;
use crate::transaction::{IntoAttribute, Item, Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// What reports call a day.
const DAY: Duration = Duration::from_hours(24);

/// A number whose health was under the gate elsewhere rests so long before its first call here.
const UNFIT_REST: Duration = Duration::from_hours(7 * 24);

/// A number that is labelled does not get fit by waiting: it is out of service until the label is gone.
const UNTIL_UNLABELLED: Duration = Duration::from_hours(10 * 366 * 24);

/// Numbers that a report reads at once.
const REPORT_PAGE: u32 = 500;

/// Numbers that are looked through at once when their company's settings change, and changed at once.
const SETTLE_PAGE: u32 = 1_000;
const SETTLED_AT_ONCE: usize = 16;

/// A fall of a number's answer rate is told again after this.
const FLAG_AGAIN: Duration = Duration::from_hours(2 * 24);

/// What became of an imported number.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The company has it now.
    Added,
    /// The company had it; what was given replaces what was known.
    Updated,
    /// The number is in another company's pool.
    OthersNumber,
    /// The provider's id belongs to another number.
    OthersProviderId,
}

/// Whose a number is, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberOwner {
    /// The company that has the number in its pool.
    pub company: CompanyId,
    /// The lead that holds it now.
    pub held_by: Option<LeadId>,
    /// The lead that held it last, and until when.
    pub held_before: Option<(LeadId, Timestamp)>,
    /// The assistant that spoke last from this number.
    pub last_assistant: Option<String>,
}

/// A number of a pool, for reports.
#[derive(Debug, Clone, Serialize)]
pub struct NumberState {
    /// The number.
    pub number: PhoneNumber,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its area code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaCode>,
    /// The state it is local to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Its id at Vapi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vapi_id: Option<String>,
    /// Its id at SignalWire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signalwire_id: Option<String>,
    /// From when on it can be assigned, unless `not_before` is later; none when it is retired.
    pub available_at: Option<Timestamp>,
    /// It is not used before: a rest, a limit, its health, a quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Why an operator put it aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_until: Option<Timestamp>,
    /// Whether it leaves the pool once nobody holds it.
    pub draining: bool,
    /// When the present hold is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_at: Option<Timestamp>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<LeadId>,
    /// Whether a call from it is under way.
    pub on_call: bool,
    /// The hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignment_id: Option<AssignmentId>,
    /// Calls made from it.
    pub calls: u64,
    /// Calls that a person answered.
    pub answered: u64,
    /// When it called last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// What others say of it.
    pub label: Label,
    /// How carriers know it.
    pub registration: Registration,
    /// What people noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What it was used for lately.
    #[serde(skip)]
    pub usage: Usage,
}

impl NumberState {
    /// How well it does, beside the other numbers of its company.
    pub fn health(&self, now: Timestamp, company: &Company) -> Health {
        self.usage.health(now, &company.zone_of(&self.number), company.usual_rate, self.label)
    }

    /// What it is doing at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let Some(available_at) = self.available_at else {
            return if self.held_by.is_some() { Standing::Assigned } else { Standing::Retired };
        };
        let free_at = self.not_before.map_or(available_at, |rest| rest.max(available_at));
        let held = self.on_call || self.release_at.is_some_and(|release_at| now < release_at);
        match () {
            () if held && self.held_by.is_some() => Standing::Assigned,
            () if self.draining => Standing::Retired,
            () if self.quarantined_until.is_some_and(|until| now < until) => Standing::Quarantined,
            () if now < free_at => Standing::Resting,
            () => Standing::Available,
        }
    }
}

/// What a number is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It can be assigned.
    Available,
    /// A lead holds it.
    Assigned,
    /// It rests after a call, is at a limit, or did badly.
    Resting,
    /// An operator put it aside.
    Quarantined,
    /// It is out of service.
    Retired,
}

/// What an operator, or somebody who complains, does to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberChange {
    /// It is neither assigned nor called from before then. A hold stays.
    Quarantine {
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// It is in service again: what put it aside is undone, its limits are not.
    Restore,
    /// It leaves the pool once nobody holds it: at once, when nobody does.
    Drain,
    /// What others say of it.
    Label(Label),
    /// Somebody complained of a call from it.
    Complaint,
    /// How carriers know it. Parts that are none stay as they are.
    Register(Registration),
}

/// What became of a change of a number.
#[must_use]
#[derive(Debug, Clone)]
pub enum NumberChanged {
    /// It was made, or was so already; this is the number now.
    Done(Box<NumberState>),
    /// The company has no such number.
    NotFound,
}

/// A pool in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PoolSummary {
    /// Numbers that can be assigned now.
    pub available: u64,
    /// Numbers held by a lead.
    pub assigned: u64,
    /// Numbers that rest after a call, are at a limit, or did badly.
    pub resting: u64,
    /// Numbers that an operator put aside.
    pub quarantined: u64,
    /// Numbers out of service.
    pub retired: u64,
}

impl PoolSummary {
    /// The figures of these numbers at `now`.
    pub fn of(numbers: &[NumberState], now: Timestamp) -> Self {
        let mut summary = Self::default();
        for number in numbers {
            *match number.standing(now) {
                Standing::Available => &mut summary.available,
                Standing::Assigned => &mut summary.assigned,
                Standing::Resting => &mut summary.resting,
                Standing::Quarantined => &mut summary.quarantined,
                Standing::Retired => &mut summary.retired,
            } += 1;
        }
        summary
    }

    /// Numbers in service that cannot be assigned now.
    pub fn in_use(&self) -> u64 {
        self.assigned + self.resting + self.quarantined
    }

    /// Numbers in service.
    pub fn in_service(&self) -> u64 {
        self.available + self.in_use()
    }

    /// Of 100 numbers in service, so many cannot be assigned now.
    pub fn utilisation_percent(&self) -> u64 {
        (self.in_use() * 100).checked_div(self.in_service()).unwrap_or(0)
    }
}

/// A pool, number by number, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct PoolReport {
    /// The numbers, in their order.
    pub numbers: Vec<NumberState>,
    /// Leads with two numbers, and numbers whose lead does not know of them. There must be none.
    pub double_assignments: Vec<String>,
    /// Holds granted within 24 hours.
    pub assignments_24_h: u64,
}

impl Store {
    /// Brings a number into a company's pool, with the hold that it had elsewhere, or renews what is known of it. Its hold
    /// and its availability stay as they are when the company has it already.
    ///
    /// # Errors
    /// When the store gives no answer; the import can be repeated.
    pub async fn import_number(
        &self,
        cause: &Cause,
        company: &CompanyId,
        number: &NewNumber,
    ) -> Result<Imported, StoreError> {
        let now = cause.at;
        let history = &number.history;
        let settings = self.settings(company).await?;
        let Thresholds { fit, sick, .. } = settings.thresholds;
        let unwell = history.health.and_then(|health| match health {
            health if health < sick => Some(now + settings.thresholds.rest()),
            health if health < fit => Some(now + UNFIT_REST),
            _ => None,
        });
        // Who waited longest is next, also when it waited elsewhere.
        let available_at = history.last_used_at.map_or(now, |used| used.min(now));
        let held = history.held_by.as_ref().filter(|(_, until)| *until > now);
        // Held elsewhere, and nobody says by whom or until when: not before the longest usual hold is over.
        let taken = (history.taken && held.is_none()).then(|| now + HoldHours::default().duration());
        let rest_until = unwell.max(taken);
        let available_at = rest_until.unwrap_or(available_at);
        let mut usage = match history.calls {
            0 => Usage::new(now, &settings.zone_of(&number.number)),
            _ => Usage::elsewhere(None),
        };
        if let Some(until) = rest_until {
            usage.rest(until);
        }
        let item = NumberItem {
            e164: number.number.clone(),
            area: number.area.clone(),
            region: number.state.clone(),
            vapi_id: number.vapi_id.clone(),
            signalwire_id: number.signalwire_id.clone(),
            label: number.name.clone(),
            available_at: Some(available_at),
            area_available: keys::area_available(number.area.as_ref(), available_at),
            state_available: keys::state_available(number.state.as_ref(), available_at),
            assignment_id: None,
            held_by: None,
            release_at: None,
            hold_version: 0,
            usage,
            usage_version: 0,
            not_before: rest_until,
            quarantine: None,
            quarantined_until: None,
            external_label: Label::None,
            registration: Registration::default(),
            notes: history.notes.clone(),
            n_events: 0,
            flagged_at: None,
            draining: false,
            last_held_by: None,
            last_ended_at: None,
            active_call: None,
            calls: history.calls,
            answered: history.answered,
            last_used_at: history.last_used_at,
            last_assistant: None,
        };
        let key = keys::number(company, &number.number);
        let mut owner = keys::owner(&number.number);
        owner.insert("company".to_owned(), company.as_str().into_attribute());
        let mut writes = vec![
            Write::insert(&self.tables.pool, items::write("number", key.clone(), &item)?),
            Write::insert(&self.tables.pool, owner)
                .when("attribute_not_exists(pk) OR company = :company")
                .value(":company", company.as_str()),
        ];
        writes.extend(number.vapi_id.as_deref().map(|id| self.vapi_owner(id, &number.number)));
        let imported = match self.transact(writes).await? {
            Transacted::Done => Imported::Added,
            Transacted::Refused(refusal) if refusal.at(1) => Imported::OthersNumber,
            Transacted::Refused(refusal) if refusal.at(0) => self.renew_number(company, number).await?,
            Transacted::Refused(_) => Imported::OthersProviderId,
        };
        if let (Imported::Added | Imported::Updated, Some((lead, until))) = (imported, held) {
            let until = (*until).min(now + HoldHours::longest().duration());
            self.carry_over(cause, company, &number.number, lead, until).await?;
        }
        Ok(imported)
    }

    /// What importing a number would do now; nothing is changed.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn would_import_number(
        &self,
        company: &CompanyId,
        number: &NewNumber,
    ) -> Result<Imported, StoreError> {
        #[derive(Deserialize)]
        struct Owner {
            company: CompanyId,
        }
        #[derive(Deserialize)]
        struct ProviderIdOwner {
            e164: PhoneNumber,
        }
        let table = &self.tables.pool;
        let owner: Option<Owner> = self.get("number", table, keys::owner(&number.number)).await?;
        if owner.as_ref().is_some_and(|owner| owner.company != *company) {
            return Ok(Imported::OthersNumber);
        }
        if let Some(id) = &number.vapi_id {
            let of_id: Option<ProviderIdOwner> = self.get("number", table, keys::vapi_owner(id)).await?;
            if of_id.is_some_and(|of_id| of_id.e164 != number.number) {
                return Ok(Imported::OthersProviderId);
            }
        }
        Ok(if owner.is_some() { Imported::Updated } else { Imported::Added })
    }

    async fn renew_number(&self, company: &CompanyId, number: &NewNumber) -> Result<Imported, StoreError> {
        let key = keys::number(company, &number.number);
        let mut renewed = NumberWrite::new(&self.tables.pool, key);
        for (attribute, bound, value) in [
            ("vapi_id", ":vapi", &number.vapi_id),
            ("signalwire_id", ":signalwire", &number.signalwire_id),
            ("label", ":label", &number.name),
            ("notes", ":notes", &number.history.notes),
        ] {
            if let Some(value) = value {
                renewed = renewed.set(&format!("{attribute} = {bound}")).bind(bound, value.as_str());
            }
        }
        if renewed.is_empty() {
            return Ok(Imported::Updated);
        }
        let mut writes = vec![renewed.when("attribute_exists(pk)").write()];
        if let Some(vapi_id) = &number.vapi_id {
            let known = self.number_item(company, &number.number).await?.and_then(|item| item.vapi_id);
            writes.push(self.vapi_owner(vapi_id, &number.number));
            if let Some(former) = known.filter(|known| known != vapi_id) {
                writes.push(
                    Write::delete(&self.tables.pool, keys::vapi_owner(&former))
                        .when("e164 = :e164")
                        .value(":e164", number.number.as_str()),
                );
            }
        }
        match self.transact(writes).await? {
            Transacted::Done => Ok(Imported::Updated),
            Transacted::Refused(refusal) if refusal.at(1) => Ok(Imported::OthersProviderId),
            Transacted::Refused(_) => {
                Err(StoreError::Busy("the number changed while it was renewed".to_owned()))
            }
        }
    }

    /// The write by which an id at Vapi belongs to a number: refused when it belongs to another.
    fn vapi_owner(&self, vapi_id: &str, number: &PhoneNumber) -> Write {
        let mut owner = keys::vapi_owner(vapi_id);
        owner.insert("e164".to_owned(), number.as_str().into_attribute());
        Write::insert(&self.tables.pool, owner)
            .when("attribute_not_exists(pk) OR e164 = :e164")
            .value(":e164", number.as_str())
    }

    /// One number of a company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn number(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
    ) -> Result<Option<NumberState>, StoreError> {
        Ok(self.number_item(company, number).await?.map(NumberState::from))
    }

    pub(crate) async fn number_item(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
    ) -> Result<Option<NumberItem>, StoreError> {
        self.get("number", &self.tables.pool, keys::number(company, number)).await
    }

    /// Changes what is known of a number, and tells it. A hold of it stays as it is.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn change_number(
        &self,
        cause: &Cause,
        company: &CompanyId,
        number: &PhoneNumber,
        change: &NumberChange,
    ) -> Result<NumberChanged, StoreError> {
        for _round in 0..ROUNDS {
            let (item, settings) =
                tokio::try_join!(self.number_item(company, number), self.settings(company))?;
            let Some(item) = item else {
                return Ok(NumberChanged::NotFound);
            };
            let (mut after, told) = item.clone().changed(cause.at, &settings, change);
            let Some(told) = told else {
                return Ok(NumberChanged::Done(Box::new(item.into())));
            };
            let write = self.moved_by_change(cause.at, company, &item, &mut after);
            let mut writes = vec![write.becomes(&after)?.write()];
            writes.push(self.number_event(cause, company, &after, told)?);
            if let Transacted::Done = self.transact(writes).await? {
                return Ok(NumberChanged::Done(Box::new(after.into())));
            }
        }
        Err(StoreError::Busy(format!("the number changed under {ROUNDS} attempts to change it")))
    }

    /// Where a number that is held by nobody can be assigned from, after a change of what keeps it aside.
    fn moved_by_change(
        &self,
        now: Timestamp,
        company: &CompanyId,
        item: &NumberItem,
        after: &mut NumberItem,
    ) -> NumberWrite {
        if let Some(id) = &item.assignment_id {
            return NumberWrite::new(&self.tables.pool, keys::number(company, &item.e164))
                .when("assignment_id = :assignment")
                .bind(":assignment", id.as_str());
        }
        // What kept it aside until later may have been undone.
        let free_at = item.available_at.map_or(now, |at| at.min(now));
        after.available_at = after.available_after(free_at);
        self.available_from(company, &NumberKeys::of_number(after), after.available_at)
            .when("attribute_not_exists(assignment_id)")
    }

    /// Puts the numbers of a company where its settings want them now: those that a limit of before kept aside are free
    /// again, those that are over a limit of now are not handed out. Changes no number that is there already.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated then, which changes the rest.
    pub async fn settle_numbers(&self, now: Timestamp, company: &CompanyId) -> Result<(), StoreError> {
        let (settings, mut after) = (self.settings(company).await?, None);
        loop {
            let (page, next) = self.number_items(company, after.as_ref(), SETTLE_PAGE).await?;
            let moved = page.into_iter().filter(|item| item.settled(now, &settings).is_some());
            let mut settling = stream::iter(moved)
                .map(|item| self.settle_number(now, company, item.e164))
                .buffer_unordered(SETTLED_AT_ONCE);
            while settling.try_next().await?.is_some() {}
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn settle_number(
        &self,
        now: Timestamp,
        company: &CompanyId,
        number: PhoneNumber,
    ) -> Result<(), StoreError> {
        for _round in 0..ROUNDS {
            let (item, settings) =
                tokio::try_join!(self.number_item(company, &number), self.settings(company))?;
            let Some((item, mut after)) =
                item.and_then(|item| item.settled(now, &settings).map(|after| (item, after)))
            else {
                return Ok(());
            };
            let write = self.moved_by_change(now, company, &item, &mut after).becomes(&after)?.write();
            if let Transacted::Done = self.transact(vec![write]).await? {
                return Ok(());
            }
        }
        Err(StoreError::Busy(format!("number {number:?} changed under {ROUNDS} attempts to settle it")))
    }

    /// The event of a number whose `n_events` counts it already.
    pub(crate) fn number_event(
        &self,
        cause: &Cause,
        company: &CompanyId,
        after: &NumberItem,
        told: EventData,
    ) -> Result<Write, StoreError> {
        self.journal(cause, company, Aggregate::Number(after.e164.clone()), after.n_events, told)
    }

    /// Whose a number is, and who holds it at `now`; `None`: nobody's.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn owner_of(
        &self,
        now: Timestamp,
        number: &PhoneNumber,
    ) -> Result<Option<NumberOwner>, StoreError> {
        #[derive(serde::Deserialize)]
        struct OwnerItem {
            company: CompanyId,
        }
        let owner: Option<OwnerItem> = self.get("number", &self.tables.pool, keys::owner(number)).await?;
        let Some(OwnerItem { company }) = owner else {
            return Ok(None);
        };
        let key = keys::number(&company, number);
        let item: Option<NumberItem> = self.get("number", &self.tables.pool, key).await?;
        Ok(item.map(|item| NumberOwner {
            held_before: match (&item.held_by, item.release_at) {
                // Over, and nobody wrote it down yet.
                (Some(lead), Some(release_at)) if release_at <= now => Some((lead.clone(), release_at)),
                _ => item.last_held_by.zip(item.last_ended_at),
            },
            held_by: item.held_by.filter(|_| item.release_at.is_some_and(|release_at| now < release_at)),
            last_assistant: item.last_assistant,
            company,
        }))
    }

    /// The number that has this id at the provider.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn number_of_provider(&self, provider_id: &str) -> Result<Option<PhoneNumber>, StoreError> {
        #[derive(serde::Deserialize)]
        struct ProviderIdOwner {
            e164: PhoneNumber,
        }
        let key = keys::vapi_owner(provider_id);
        let owner: Option<ProviderIdOwner> = self.get("number", &self.tables.pool, key).await?;
        Ok(owner.map(|owner| owner.e164))
    }

    /// The numbers of a company, by number, from behind `after` on, and where the next page starts.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn numbers(
        &self,
        company: &CompanyId,
        after: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<(Vec<NumberState>, Option<PhoneNumber>), StoreError> {
        let (items, next) = self.number_items(company, after, limit).await?;
        Ok((items.into_iter().map(NumberState::from).collect(), next))
    }

    async fn number_items(
        &self,
        company: &CompanyId,
        after: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<(Vec<NumberItem>, Option<PhoneNumber>), StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.pool)
            .consistent_read(true)
            .key_condition_expression("pk = :pool AND begins_with(sk, :number)")
            .expression_attribute_values(":pool", keys::pool(company).into_attribute())
            .expression_attribute_values(":number", keys::NUMBER_PREFIX.into_attribute())
            .set_exclusive_start_key(after.map(|number| keys::number(company, number)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await?;
        let more = page.last_evaluated_key.is_some();
        let items = page.items.unwrap_or_default().into_iter().map(|item| items::read("number", item));
        let items = items.collect::<Result<Vec<NumberItem>, _>>()?;
        let next = items.last().filter(|_| more).map(|item| item.e164.clone());
        Ok((items, next))
    }

    /// How many numbers of a company are in which state at `now`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn pool_summary(&self, now: Timestamp, company: &CompanyId) -> Result<PoolSummary, StoreError> {
        Ok(PoolSummary::of(&self.all_numbers(company).await?, now))
    }

    /// Every number of a company, in the order of the numbers.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn all_numbers(&self, company: &CompanyId) -> Result<Vec<NumberState>, StoreError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (numbers, next) = self.numbers(company, after.as_ref(), 1_000).await?;
            all.extend(numbers);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// The pool of a company, with a check: each number's hold is known to its lead, and to no other.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn pool_report(&self, now: Timestamp, company: &CompanyId) -> Result<PoolReport, StoreError> {
        // What leads know is read while the numbers behind theirs still are.
        let (mut numbers, mut after, mut reads) = (Vec::new(), None, JoinSet::new());
        loop {
            let (page, next) = self.numbers(company, after.as_ref(), REPORT_PAGE).await?;
            let leads: Vec<LeadId> = page.iter().filter_map(|number| number.held_by.clone()).collect();
            let (store, company) = (self.clone(), company.clone());
            reads.spawn(async move { store.holds_of(&company, &leads).await });
            numbers.extend(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        let assignments_24_h = self.assignments_since(company, now - DAY, now).await?;
        let mut holds = BTreeMap::new();
        while let Some(read) = reads.join_next().await {
            holds.extend(read.map_err(|died| StoreError::NoAnswer(died.to_string()))??);
        }
        let held: Vec<_> = numbers
            .iter()
            .filter_map(|number| {
                Some((number.held_by.clone()?, &number.number, number.assignment_id.as_ref()?))
            })
            .collect();
        let mut findings = Vec::new();
        let mut seen: BTreeMap<&LeadId, &PhoneNumber> = BTreeMap::new();
        for (lead, number, id) in &held {
            if let Some(other) = seen.insert(lead, number) {
                findings.push((lead, other, format!("lead {lead} holds {other} and {number}")));
                findings.push((lead, number, format!("lead {lead} holds {number} and {other}")));
            } else if holds.get(lead) != Some(*id) {
                findings.push((lead, number, format!("{number} is held by {lead}, who does not know of it")));
            }
        }
        // Read at different moments: what changed in between is looked at once more.
        let mut confirmed = Vec::new();
        for (lead, number, finding) in findings {
            let (number, hold) =
                tokio::try_join!(self.number_item(company, number), self.hold_of(now, company, lead))?;
            let held_by_lead = number.as_ref().is_some_and(|number| number.held_by.as_ref() == Some(lead));
            let agrees =
                hold.map(|hold| hold.assignment_id) == number.and_then(|number| number.assignment_id);
            if held_by_lead && !agrees {
                confirmed.push(finding);
            }
        }
        Ok(PoolReport { numbers, double_assignments: confirmed, assignments_24_h })
    }

    /// The assignment that each of these leads knows to be in force.
    async fn holds_of(
        &self,
        company: &CompanyId,
        leads: &[LeadId],
    ) -> Result<BTreeMap<LeadId, AssignmentId>, StoreError> {
        let chunks: Vec<Vec<LeadId>> = leads.chunks(100).map(<[LeadId]>::to_vec).collect();
        let reads = chunks.into_iter().map(|leads| self.holds_of_some(company, leads));
        let found: Vec<_> = stream::iter(reads).buffer_unordered(8).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn holds_of_some(
        &self,
        company: &CompanyId,
        leads: Vec<LeadId>,
    ) -> Result<Vec<(LeadId, AssignmentId)>, StoreError> {
        let wanted = leads.iter().map(|lead| keys::hold(company, lead)).collect();
        let found = self.get_some(&self.tables.pool, wanted, Some("pk, assignment_id")).await?;
        let hold = |item: Item| {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let lead = text("pk").and_then(|pk| pk.rsplit_once('#')).and_then(|(_, lead)| lead.parse().ok());
            lead.zip(text("assignment_id").and_then(|id| id.parse().ok()))
        };
        Ok(found.into_iter().filter_map(hold).collect())
    }

    /// The write that moves the moment from which a number can be assigned, in every index; `None`: never.
    pub(crate) fn available_from(
        &self,
        company: &CompanyId,
        number: &NumberKeys<'_>,
        available_at: Option<Timestamp>,
    ) -> NumberWrite {
        let write = NumberWrite::new(&self.tables.pool, keys::number(company, number.e164));
        let Some(at) = available_at else {
            return write.remove("available_at, area_available, state_available");
        };
        let mut write = write.set("available_at = :available_at").bind(":available_at", at);
        if let Some(key) = keys::area_available(number.area, at) {
            write = write.set("area_available = :area_at").bind(":area_at", key);
        }
        if let Some(key) = keys::state_available(number.region, at) {
            write = write.set("state_available = :state_at").bind(":state_at", key);
        }
        write
    }
}

/// What a number is filed under.
pub(crate) struct NumberKeys<'a> {
    e164: &'a PhoneNumber,
    area: Option<&'a AreaCode>,
    region: Option<&'a State>,
}

impl<'a> NumberKeys<'a> {
    pub(crate) fn of_number(number: &'a NumberItem) -> Self {
        Self { e164: &number.e164, area: number.area.as_ref(), region: number.region.as_ref() }
    }

    /// The number of a hold.
    pub(crate) fn of(assignment: &'a AssignmentItem) -> Self {
        Self { e164: &assignment.e164, area: assignment.area.as_ref(), region: assignment.region.as_ref() }
    }
}

impl NumberItem {
    /// When the number can be assigned if its hold is over at `ended_at`; never, when it is on its way out.
    pub(crate) fn available_after(&self, ended_at: Timestamp) -> Option<Timestamp> {
        (!self.draining).then(|| self.not_before.map_or(ended_at, |rest| rest.max(ended_at)))
    }

    /// The earliest moment from `now` on at which a call from it may begin: by its limits, its health and who put it aside.
    pub(crate) fn may_call_at(&self, now: Timestamp, company: &Company) -> Timestamp {
        let (zone, usual) = (company.zone_of(&self.e164), company.usual_rate);
        let allowed = self.usage.allowed_at(now, &zone, &company.limits);
        let fit = self.usage.fit_at(now, &zone, usual, self.external_label, company.thresholds.fit);
        let at = allowed.max(fit.unwrap_or(now + UNTIL_UNLABELLED));
        self.quarantined_until.map_or(at, |until| until.max(at))
    }

    /// The number when a call from it begins.
    pub(crate) fn with_call_begun(mut self, now: Timestamp, company: &Company) -> Self {
        self.usage.begin(now, &company.zone_of(&self.e164), &company.limits);
        self.usage_version += 1;
        self
    }

    /// The number when a call from it is over; and what there is to tell of it.
    pub(crate) fn with_call_over(
        mut self,
        ended_at: Timestamp,
        company: &Company,
        over: &OverCall,
    ) -> (Self, Option<EventData>) {
        let (zone, thresholds) = (company.zone_of(&self.e164), &company.thresholds);
        self.usage_version += 1;
        self.usage.end(ended_at, &zone, &company.limits, over);
        let health = self.usage.health(ended_at, &zone, company.usual_rate, self.external_label).score;
        let told = if health < thresholds.sick {
            let until = ended_at + thresholds.rest();
            self.usage.rest_and_begin_anew(ended_at, &zone, until);
            Some(EventData::NumberRested { number: self.e164.clone(), until, health })
        } else if self.flagged_at.is_none_or(|at| ended_at.since(at) > FLAG_AGAIN)
            && self.usage.answers_dropped(ended_at, &zone, thresholds)
        {
            self.flagged_at = Some(ended_at);
            Some(EventData::NumberFlagged { number: self.e164.clone(), health })
        } else {
            None
        };
        self.n_events += u64::from(told.is_some());
        self.settle_not_before(ended_at, company);
        (self, told)
    }

    /// Puts the moment before which it is not used where it belongs now.
    fn settle_not_before(&mut self, now: Timestamp, company: &Company) {
        if self.quarantined_until.is_some_and(|until| until <= now) {
            self.quarantine = None;
            self.quarantined_until = None;
        }
        self.not_before = Some(self.may_call_at(now, company));
    }

    /// The number where the settings want it now; `None`: it is there, or retired.
    fn settled(&self, now: Timestamp, company: &Company) -> Option<Self> {
        let mut after = self.clone();
        after.settle_not_before(now, company);
        after.usage_version += 1;
        let moves = after.not_before.max(Some(now)) != self.not_before.max(Some(now));
        (moves && self.available_at.is_some()).then_some(after)
    }

    fn changed(
        mut self,
        now: Timestamp,
        company: &Company,
        change: &NumberChange,
    ) -> (Self, Option<EventData>) {
        let number = self.e164.clone();
        let noted = |what: &str| EventData::NumberNoted { number: number.clone(), what: what.to_owned() };
        let told = match change {
            NumberChange::Quarantine { until, reason } => {
                self.quarantine = Some(reason.clone());
                self.quarantined_until = Some(*until);
                self.settle_not_before(now, company);
                EventData::NumberQuarantined { number: number.clone(), until: *until, reason: reason.clone() }
            }
            NumberChange::Restore => {
                self.quarantine = None;
                self.quarantined_until = None;
                self.draining = false;
                self.settle_not_before(now, company);
                EventData::NumberRestored { number: number.clone() }
            }
            NumberChange::Drain if self.draining => return (self, None),
            NumberChange::Drain => {
                self.draining = true;
                EventData::NumberDraining { number: number.clone() }
            }
            NumberChange::Label(label) if *label == self.external_label => return (self, None),
            NumberChange::Label(label) => {
                self.external_label = *label;
                self.settle_not_before(now, company);
                noted(&format!("label {label:?}").to_lowercase())
            }
            NumberChange::Complaint => {
                self.usage.complaint(now, &company.zone_of(&number));
                self.settle_not_before(now, company);
                noted("complaint")
            }
            NumberChange::Register(registration) => {
                let Registration { cnam, attestation, caller_registry, branded_calling } =
                    registration.clone();
                let known = &mut self.registration;
                known.cnam = cnam.or(known.cnam.take());
                known.attestation = attestation.or(known.attestation);
                known.caller_registry = caller_registry.or(known.caller_registry);
                known.branded_calling = branded_calling.or(known.branded_calling);
                noted("registration")
            }
        };
        self.usage_version += 1;
        self.n_events += 1;
        (self, Some(told))
    }
}

/// An update of a number, put together from parts.
pub(crate) struct NumberWrite {
    table: String,
    key: Item,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    conditions: Vec<String>,
    values: Vec<(String, AttributeValue)>,
}

impl NumberWrite {
    pub(crate) fn new(table: &str, key: Item) -> Self {
        Self {
            table: table.to_owned(),
            key,
            sets: Vec::new(),
            removes: Vec::new(),
            adds: Vec::new(),
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, assignments: &str) -> Self {
        self.sets.push(assignments.to_owned());
        self
    }

    pub(crate) fn remove(mut self, attributes: &str) -> Self {
        self.removes.push(attributes.to_owned());
        self
    }

    pub(crate) fn add(mut self, increments: &str) -> Self {
        self.adds.push(increments.to_owned());
        self
    }

    pub(crate) fn when(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    pub(crate) fn bind(mut self, name: &str, value: impl IntoAttribute) -> Self {
        self.values.push((name.to_owned(), value.into_attribute()));
        self
    }

    /// What is known of the number becomes what `after` says: refused when it changed since it was read. Where it can be
    /// assigned from is not part of it.
    pub(crate) fn becomes(mut self, after: &NumberItem) -> Result<Self, StoreError> {
        self = self
            .set("usage_of = :usage, usage_version = :usage_version, n_events = :n_events, draining = :draining")
            .set("external_label = :external, registration = :registration")
            .when("usage_version = :usage_read")
            .bind(":usage", items::attribute("number", &after.usage)?)
            .bind(":usage_version", after.usage_version)
            .bind(":usage_read", after.usage_version - 1)
            .bind(":n_events", after.n_events)
            .bind(":draining", AttributeValue::Bool(after.draining))
            .bind(":external", items::attribute("number", &after.external_label)?)
            .bind(":registration", items::attribute("number", &after.registration)?);
        let moments = [
            ("not_before", ":not_before", after.not_before),
            ("flagged_at", ":flagged", after.flagged_at),
            ("quarantined_until", ":aside_until", after.quarantined_until),
        ];
        for (attribute, bound, moment) in moments {
            self = match moment {
                Some(at) => self.set(&format!("{attribute} = {bound}")).bind(bound, at),
                None => self.remove(attribute),
            };
        }
        Ok(match &after.quarantine {
            Some(reason) => self.set("quarantine = :quarantine").bind(":quarantine", reason.as_str()),
            None => self.remove("quarantine"),
        })
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.removes.is_empty() && self.adds.is_empty()
    }

    pub(crate) fn write(self) -> Write {
        let clauses = [("SET", self.sets), ("REMOVE", self.removes), ("ADD", self.adds)];
        let expression: Vec<String> = clauses
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(clause, parts)| format!("{clause} {}", parts.join(", ")))
            .collect();
        let write = Write::update(&self.table, self.key, expression.join(" "));
        let write = self.values.into_iter().fold(write, |write, (name, value)| write.value(&name, value));
        if self.conditions.is_empty() { write } else { write.when(&self.conditions.join(" AND ")) }
    }
}

impl From<NumberItem> for NumberState {
    fn from(item: NumberItem) -> Self {
        Self {
            number: item.e164,
            name: item.label,
            area: item.area,
            state: item.region,
            vapi_id: item.vapi_id,
            signalwire_id: item.signalwire_id,
            available_at: item.available_at,
            not_before: item.not_before,
            quarantine: item.quarantine,
            quarantined_until: item.quarantined_until,
            draining: item.draining,
            release_at: item.release_at,
            held_by: item.held_by,
            on_call: item.active_call.is_some(),
            assignment_id: item.assignment_id,
            calls: item.calls,
            answered: item.answered,
            last_used_at: item.last_used_at,
            label: item.external_label,
            registration: item.registration,
            notes: item.notes,
            usage: item.usage,
        }
    }
}
