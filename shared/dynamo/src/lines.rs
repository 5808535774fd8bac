//! Lines: how many calls at once a provider account and a company have, whose turn it is, and the switches that stop them.
//!
//! A switch on stop is part of every claim: the write that takes a line is refused. What the provider has queued by then is
//! withdrawn by who throws the switch.
//!
//! **Turns.** A campaign that finds no line writes itself into the account's `waiting`. A line that frees is for the waiting
//! campaign whose company has the fewest lines, among those the one that waits longest. These are hints: a line is
//! only taken by a claim, and a hint that is lost costs the time until the pacer's next run.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::campaign::Campaign;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::place::State;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, CampaignId, CompanyId, Timestamp};

use crate::dialing::ROUNDS;
use crate::items::LineItem;
use crate::transaction::{IntoAttribute, Item, Transacted, Write};
use crate::{Store, StoreError, keys};

/// A campaign that was not heard of for longer has nothing to dial any more: whoever waits says so again with every dial that it is
/// asked for, and the pacer asks every minute.
const HEARD_WITHIN: Duration = Duration::from_mins(5);

/// So many of them are struck off with one write.
const STRUCK_OFF_AT_ONCE: usize = 20;

/// Whose lines a switch stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lines {
    /// Those of a provider account: of everybody.
    Account(String),
    /// Those of a company.
    Company(CompanyId),
}

/// Lines, as they were read.
#[derive(Debug, Clone, Default)]
pub struct LinesInUse {
    line: LineItem,
}

impl Lines {
    fn key(&self) -> Item {
        match self {
            Self::Account(account) => keys::account_line(account),
            Self::Company(company) => keys::company_line(company),
        }
    }

    /// Lines on which no call is.
    pub(crate) fn new_item(&self) -> Item {
        let mut item = self.key();
        for map in ["slots", "waiting"] {
            item.insert(map.to_owned(), AttributeValue::M(Item::new()));
        }
        item.insert("n_events".to_owned(), 0u64.into_attribute());
        item
    }
}

impl LinesInUse {
    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.line.slots.len()
    }

    /// The calls that have them.
    pub fn calls(&self) -> impl Iterator<Item = &CallId> {
        self.line.slots.keys()
    }

    /// Why nobody is called; none: somebody may be.
    pub fn stopped(&self) -> Option<&str> {
        self.line.stopped.as_deref()
    }

    /// The states in which nobody is called.
    pub fn stopped_states(&self) -> &BTreeSet<State> {
        &self.line.stopped_states
    }

    /// Whether nobody is called in one of these states.
    pub fn stop_one_of(&self, states: &[State]) -> bool {
        states.iter().any(|state| self.line.stopped_states.contains(state))
    }

    /// The campaign whose turn it is when `campaign` could have a line at `now`: another that waits, or none.
    pub fn turn_of_another(&self, now: Timestamp, campaign: &Campaign) -> Option<&CampaignId> {
        let own_since = self.line.waiting.get(&campaign.id).map_or(now, |waits| waits.since);
        let own = (self.lines_of(&campaign.company), own_since);
        self.first_waiting(now, &campaign.id).filter(|(_, turn)| *turn < own).map(|(id, _)| id)
    }

    /// The campaign whose turn it is when `campaign` does not use the line.
    pub fn next_turn(&self, now: Timestamp, campaign: &CampaignId) -> Option<&CampaignId> {
        self.first_waiting(now, campaign).map(|(id, _)| id)
    }

    fn first_waiting(&self, now: Timestamp, but: &CampaignId) -> Option<(&CampaignId, (usize, Timestamp))> {
        let others = self
            .line
            .waiting
            .iter()
            .filter(|(id, waits)| *id != but && now.since(waits.heard_at) < HEARD_WITHIN);
        others
            .map(|(id, waits)| (id, (self.lines_of(&waits.company), waits.since)))
            .min_by_key(|(_, turn)| *turn)
    }

    fn lines_of(&self, company: &CompanyId) -> usize {
        self.line.slots.values().filter(|of| *of == company).count()
    }

    /// Whether the switch is where it is wanted.
    fn is_as_wanted(&self, state: Option<&State>, reason: Option<&str>) -> bool {
        match state {
            None => self.line.stopped.as_deref() == reason,
            Some(state) => self.line.stopped_states.contains(state) == reason.is_some(),
        }
    }

    /// Whether the campaign is among those that wait.
    pub fn awaits(&self, campaign: &CampaignId) -> bool {
        self.line.waiting.contains_key(campaign)
    }
}

impl Store {
    /// Makes the lines known, so that calls can be claimed on them.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn open_lines(&self, lines: &Lines) -> Result<(), StoreError> {
        let new = Write::insert(&self.tables.dialing, lines.new_item());
        let _or_known: Transacted = self.transact(vec![new]).await?;
        Ok(())
    }

    /// The lines, and what is the matter with them; `None`: they are not known yet.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn lines(&self, lines: &Lines) -> Result<Option<LinesInUse>, StoreError> {
        let line = self.get("line", &self.tables.dialing, lines.key()).await?;
        Ok(line.map(|line| LinesInUse { line }))
    }

    /// Notes that a campaign found no line free on an account, and strikes off those of whom nothing was heard for long. It
    /// waits since it said so first.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn wait_for_line(
        &self,
        now: Timestamp,
        account: &str,
        campaign: &Campaign,
        lines: &LinesInUse,
    ) -> Result<(), StoreError> {
        let waiting = &lines.line.waiting;
        let since = waiting.get(&campaign.id).map_or(now, |waits| waits.since);
        let waits = Item::from([
            ("company".to_owned(), campaign.company.as_str().into_attribute()),
            ("since".to_owned(), since.into_attribute()),
            ("heard_at".to_owned(), now.into_attribute()),
        ]);
        let silent: Vec<&CampaignId> = waiting
            .iter()
            .filter(|(id, waits)| **id != campaign.id && now.since(waits.heard_at) >= HEARD_WITHIN)
            .map(|(id, _)| id)
            .take(STRUCK_OFF_AT_ONCE)
            .collect();
        let mut expression = "SET waiting.#campaign = :waits".to_owned();
        for nth in 0..silent.len() {
            expression.push_str(if nth == 0 { " REMOVE " } else { ", " });
            expression.push_str(&format!("waiting.#silent{nth}"));
        }
        let write = Write::update(&self.tables.dialing, keys::account_line(account), expression)
            .when("attribute_exists(pk)")
            .name("#campaign", campaign.id.as_str())
            .value(":waits", AttributeValue::M(waits));
        let write = silent
            .into_iter()
            .enumerate()
            .fold(write, |write, (nth, id)| write.name(&format!("#silent{nth}"), id.as_str()));
        let _: Transacted = self.transact(vec![write]).await?;
        Ok(())
    }

    /// Strikes a campaign off those that wait.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn waits_no_longer(&self, account: &str, campaign: &CampaignId) -> Result<(), StoreError> {
        let write =
            Write::update(&self.tables.dialing, keys::account_line(account), "REMOVE waiting.#campaign")
                .when("attribute_exists(pk)")
                .name("#campaign", campaign.as_str());
        let _: Transacted = self.transact(vec![write]).await?;
        Ok(())
    }

    /// Puts a switch on stop, for everybody or for one state, or lets calls go on. In force when this returns. Answers with
    /// the lines: calls that have one may still be queued at the provider.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn stop(
        &self,
        cause: &Cause,
        lines: &Lines,
        state: Option<&State>,
        reason: Option<&str>,
    ) -> Result<LinesInUse, StoreError> {
        self.open_lines(lines).await?;
        for _round in 0..ROUNDS {
            let Some(found) = self.lines(lines).await? else {
                return Err(StoreError::unreadable("line", "it was opened, and is not there"));
            };
            if found.is_as_wanted(state, reason) {
                return Ok(found);
            }
            let n_events = found.line.n_events + 1;
            let expression = match (state, reason) {
                (None, Some(_)) => "SET stopped = :what, n_events = :next",
                (None, None) => "SET n_events = :next REMOVE stopped",
                (Some(_), Some(_)) => "SET n_events = :next ADD stopped_states :what",
                (Some(_), None) => "SET n_events = :next DELETE stopped_states :what",
            };
            let mut switch = Write::update(&self.tables.dialing, lines.key(), expression)
                .when("n_events = :read")
                .value(":next", n_events)
                .value(":read", found.line.n_events);
            if let Some(state) = state {
                switch = switch.value(":what", AttributeValue::Ss(vec![state.as_str().to_owned()]));
            } else if let Some(reason) = reason {
                switch = switch.value(":what", reason);
            }
            let mut writes = vec![switch];
            match lines {
                // An event is a company's. The recovery of the other table reads this.
                Lines::Account(account) => {
                    let mut entry = keys::stop_entry(account, cause.at, n_events);
                    let texts = [("state", state.map(State::as_str)), ("reason", reason)];
                    for (name, text) in texts {
                        entry.extend(text.map(|text| (name.to_owned(), text.into_attribute())));
                    }
                    entry.insert("stopped_at".to_owned(), cause.at.into_attribute());
                    entry.insert("actor".to_owned(), cause.actor.as_str().into_attribute());
                    writes.push(Write::put(&self.tables.journal, entry));
                }
                Lines::Company(company) => {
                    let state = state.cloned();
                    let told = match reason {
                        Some(reason) => EventData::CallingStopped { state, reason: reason.to_owned() },
                        None => EventData::CallingResumed { state },
                    };
                    writes.push(self.journal(
                        cause,
                        company,
                        Aggregate::Lines(company.clone()),
                        n_events,
                        told,
                    )?);
                }
            }
            let _again: Transacted = self.transact(writes).await?;
        }
        Err(StoreError::Busy(format!("the switch of {lines:?} changed under {ROUNDS} attempts")))
    }
}
