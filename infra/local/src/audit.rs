//! The invariants, checked on what a stack has written down, what its provider has seen, and what its bus has.
//!
//! The checks read every item and every event and count for themselves. With what keeps the invariants they share the law,
//! the zones of numbers and how many calls a day of a number has, which have tests of their own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::event::{Aggregate, CallOver, Event, EventData};
use dialpool_domain::law::{self, Located, Whereabouts, Window};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::pool::CLOCK_SKEW;
use dialpool_domain::rules::Rules;
use dialpool_domain::time::Duration;
use dialpool_domain::usage::Usage;
use dialpool_domain::{CallId, CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp, Usd};
use dialpool_dynamo::Company;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::Engine;
use crate::simulator::LedgerEntry;

/// What is wrong, in words.
pub type Violation = String;

/// What a stack has written down.
pub struct Books {
    items: BTreeMap<&'static str, Vec<Value>>,
    companies: BTreeMap<CompanyId, Company>,
    numbers: BTreeMap<PhoneNumber, Usage>,
    events: Vec<Event>,
    /// The events as the bus has to have them, by id.
    written: BTreeMap<String, Value>,
    bus: Vec<Value>,
    calls: Vec<LedgerEntry>,
}

/// A number, as far as its limits go.
#[derive(Deserialize)]
struct NumberUsed {
    e164: PhoneNumber,
    #[serde(default, rename = "usage_of")]
    usage: Usage,
}

/// How far the work is when the books are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In the middle: calls may be under way.
    UnderWay,
    /// Everything should have come to its end.
    Finished,
}

/// By how much the clocks of any two functions differ at most.
const CLOCKS_DIFFER: Duration = CLOCK_SKEW;

const TABLES: [&str; 4] = ["PoolTable", "DialingTable", "PeopleTable", "JournalTable"];

impl Books {
    /// Reads everything.
    ///
    /// # Errors
    /// When a table cannot be read, or a company, a number or an event cannot be understood.
    pub async fn read(engine: &Engine, calls: Vec<LedgerEntry>) -> anyhow::Result<Self> {
        let client = Client::new(&engine.sdk_config(None, true));
        let mut items = BTreeMap::new();
        for table in TABLES {
            let mut pages =
                client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
            let mut rows = Vec::new();
            while let Some(item) = pages.next().await {
                let mut item = item?;
                // Bodies that nobody can read are kept as bytes, which JSON does not have.
                item.retain(|_, value| !value.is_b());
                rows.push(serde_dynamo::from_item(item)?);
            }
            items.insert(table, rows);
        }
        let companies = understood::<Company>(&items["PeopleTable"], "COMPANY")?;
        let companies = companies.into_iter().map(|company| (company.company.clone(), company)).collect();
        let numbers = understood::<NumberUsed>(&items["PoolTable"], "NUM#")?;
        let numbers = numbers.into_iter().map(|number| (number.e164, number.usage)).collect();
        let mut events = understood::<Event>(&items["JournalTable"], "EVT#")?;
        events.sort_by(|a, b| {
            (a.time, a.aggregate.key(), a.sequence).cmp(&(b.time, b.aggregate.key(), b.sequence))
        });
        let written = events.iter().map(|event| Ok((event.id.to_string(), serde_json::to_value(event)?)));
        let written = written.collect::<serde_json::Result<_>>()?;
        let bus = engine.bus_events().into_iter().map(|event| event.detail).collect();
        Ok(Self { items, companies, numbers, events, written, bus, calls })
    }

    /// The events, by time.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Everything that is wrong.
    pub fn violations(&self, stage: Stage) -> Vec<Violation> {
        let mut wrong = Vec::new();
        self.check_items(&mut wrong);
        self.check_holds(&mut wrong);
        self.check_hold_items(&mut wrong);
        self.check_provider(&mut wrong);
        self.check_calls(&mut wrong, stage);
        self.check_caps(&mut wrong);
        self.check_number_limits(&mut wrong);
        self.check_law(&mut wrong);
        self.check_persons(&mut wrong);
        self.check_found_out(&mut wrong);
        self.check_dead_air(&mut wrong, stage);
        self.check_inbound(&mut wrong);
        self.check_promises(&mut wrong, stage);
        self.check_unknown_ends(&mut wrong);
        self.check_course(&mut wrong);
        self.check_journal(&mut wrong, stage);
        self.check_campaigns(&mut wrong, stage);
        self.check_assistants(&mut wrong);
        wrong
    }

    /// What an item does not have is left out: conditions ask whether an attribute exists, and one that is null does.
    fn check_items(&self, wrong: &mut Vec<Violation>) {
        for (table, items) in &self.items {
            for item in items {
                let nulls = item.as_object().into_iter().flatten().filter(|(_, value)| value.is_null());
                wrong.extend(nulls.map(|(name, _)| format!("{table}: {name} of {} is null", sort_key(item))));
            }
        }
    }

    /// No number is held by two leads at once, and no lead of a company holds two numbers; every hold that ended
    /// ended once.
    fn check_holds(&self, wrong: &mut Vec<Violation>) {
        struct Span {
            company: String,
            number: PhoneNumber,
            lead: LeadId,
            from: Timestamp,
            until: Timestamp,
            ended: bool,
        }
        let mut spans: BTreeMap<String, Span> = BTreeMap::new();
        // The order of a hold's events is their sequence: by the clocks of two functions the later may be the earlier.
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| (event.aggregate.key(), event.sequence));
        for event in events {
            let id = event.aggregate.key();
            match &event.data {
                EventData::NumberAssigned { lead, number, release_at, .. } => {
                    let span = Span {
                        company: event.company.to_string(),
                        number: number.clone(),
                        lead: lead.clone(),
                        from: event.time,
                        until: *release_at,
                        ended: false,
                    };
                    if spans.insert(id.clone(), span).is_some() {
                        wrong.push(format!("{id} was granted twice"));
                    }
                }
                EventData::NumberExtended { release_at, .. } => match spans.get_mut(&id) {
                    Some(span) if !span.ended => span.until = *release_at,
                    _ => wrong.push(format!("{id} was extended when it was not held")),
                },
                EventData::NumberReleased { ended_at, .. } => match spans.get_mut(&id) {
                    Some(span) if !span.ended => {
                        span.until = *ended_at;
                        span.ended = true;
                    }
                    _ => wrong.push(format!("{id} was released when it was not held")),
                },
                _ => {}
            }
        }
        type Owner<'a> = Box<dyn Fn(&'a Span) -> String>;
        let by: [Owner<'_>; 2] = [
            Box::new(|span| format!("{} number {}", span.company, span.number)),
            Box::new(|span| format!("{} lead {}", span.company, span.lead)),
        ];
        for owner in by {
            let mut held: BTreeMap<String, Vec<&Span>> = BTreeMap::new();
            for span in spans.values() {
                held.entry(owner(span)).or_default().push(span);
            }
            for (owner, mut spans) in held {
                spans.sort_by_key(|span| (span.from, span.until));
                for pair in spans.windows(2) {
                    // Functions' clocks differ by up to the skew that the pool allows for.
                    if pair[1].from + dialpool_domain::pool::CLOCK_SKEW * 2 < pair[0].until {
                        let (from, until) = (pair[1].from, pair[0].until);
                        wrong
                            .push(format!("{owner} is held twice: again at {from}, when held until {until}"));
                    }
                }
            }
        }
    }

    /// The number and the lead tell of the same hold.
    fn check_hold_items(&self, wrong: &mut Vec<Violation>) {
        let pool = &self.items["PoolTable"];
        let held = |prefix: &str, whose: &str| -> BTreeMap<String, String> {
            let items = pool.iter().filter(|item| text(item, whose).starts_with(prefix));
            let held = items.filter(|item| item.get("assignment_id").is_some());
            held.map(|item| (text(item, "assignment_id").to_owned(), text(item, "e164").to_owned())).collect()
        };
        let numbers = held("NUM#", "sk");
        let leads = held("HOLD", "sk");
        if numbers != leads {
            wrong.push(format!("numbers and leads tell of different holds: {numbers:?} and {leads:?}"));
        }
        let holders =
            pool.iter().filter(|item| sort_key(item) == "HOLD" && item.get("assignment_id").is_some());
        let numbers: Vec<&str> = holders.map(|item| text(item, "e164")).collect();
        if numbers.iter().collect::<BTreeSet<_>>().len() != numbers.len() {
            wrong.push("a number is held by two leads".to_owned());
        }
    }

    /// The provider was asked once for each call, and never had two calls to one person at once.
    fn check_provider(&self, wrong: &mut Vec<Violation>) {
        let mut names = BTreeSet::new();
        let claimed: BTreeSet<String> = self.claims().map(|(id, _)| id.to_string()).collect();
        for call in &self.calls {
            if !names.insert(&call.name) {
                wrong.push(format!("the provider was asked twice for {}", call.name));
            }
            if !claimed.contains(&call.name) {
                wrong.push(format!("the provider has a call {} that was never claimed", call.name));
            }
        }
        let mut by_person: BTreeMap<&str, Vec<&LedgerEntry>> = BTreeMap::new();
        for call in &self.calls {
            by_person.entry(&call.customer).or_default().push(call);
        }
        for (_, mut calls) in by_person {
            calls.sort_by_key(|call| call.created_at);
            for pair in calls.windows(2) {
                if pair[0].ended_at.is_none_or(|ended| ended > pair[1].created_at) {
                    wrong.push(format!("{} and {} call the same person at once", pair[0].name, pair[1].name));
                }
            }
        }
    }

    fn claims(&self) -> impl Iterator<Item = (&CallId, &Event)> {
        self.events.iter().filter_map(|event| match (&event.aggregate, &event.data) {
            (dialpool_domain::event::Aggregate::Call(id), EventData::CallClaimed { .. }) => Some((id, event)),
            _ => None,
        })
    }

    /// The ends of calls.
    fn ends(&self) -> impl Iterator<Item = (&Event, &CallOver)> {
        self.events.iter().filter_map(|event| Some((event, event.data.call_over()?)))
    }

    /// Every call ends, once.
    fn check_calls(&self, wrong: &mut Vec<Violation>, stage: Stage) {
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        for event in &self.events {
            if matches!(event.data, EventData::CallClaimed { .. }) {
                ends.entry(event.aggregate.key()).or_default();
            } else if event.data.call_over().is_some() {
                *ends.entry(event.aggregate.key()).or_default() += 1;
            }
        }
        for (call, ends) in ends {
            if ends > 1 {
                wrong.push(format!("{call} ended {ends} times"));
            }
            if ends == 0 && stage == Stage::Finished {
                wrong.push(format!("{call} never ended"));
            }
        }
        for entry in self.calls.iter().filter(|entry| stage == Stage::Finished && entry.ended_at.is_none()) {
            wrong.push(format!("{} is still under way at the provider", entry.name));
        }
    }

    /// No campaign has more calls under way than its cap.
    fn check_caps(&self, wrong: &mut Vec<Violation>) {
        let mut campaign_of: BTreeMap<String, CampaignId> = BTreeMap::new();
        let mut active: BTreeMap<CampaignId, BTreeSet<String>> = BTreeMap::new();
        let mut caps: BTreeMap<String, u64> = self
            .items_of("DialingTable", "CAMPAIGN")
            .filter_map(|item| Some((text(item, "campaign_id").to_owned(), item["cap"].as_u64()?)))
            .collect();
        // What a campaign began with is what it had before it was changed first.
        for event in self.events.iter().rev() {
            if let EventData::CampaignCapChanged { from, .. } = &event.data {
                caps.insert(event.aggregate.key(), from.lines().into());
            }
        }
        let over: BTreeMap<String, Timestamp> =
            self.ends().map(|(event, _)| (event.aggregate.key(), event.time)).collect();
        // Of changes in the same millisecond, the ends come first: a slot is freed before it is taken again.
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| (event.time, matches!(event.data, EventData::CallClaimed { .. })));
        for event in events {
            let call = event.aggregate.key();
            match &event.data {
                EventData::CampaignCapChanged { to, .. } => {
                    caps.insert(call, to.lines().into());
                }
                // A call that was over in the millisecond in which it was claimed takes no time.
                EventData::CallClaimed { .. } if over.get(&call) == Some(&event.time) => {}
                EventData::CallClaimed { campaign_id, .. } => {
                    campaign_of.insert(call.clone(), campaign_id.clone());
                    let active = active.entry(campaign_id.clone()).or_default();
                    active.insert(call);
                    match caps.get(campaign_id.as_str()) {
                        Some(cap) if active.len() as u64 > *cap => wrong.push(format!(
                            "{campaign_id} has {} calls under way, its cap is {cap}",
                            active.len()
                        )),
                        Some(_) => {}
                        None => wrong.push(format!("{campaign_id} has calls, and no cap that can be read")),
                    }
                }
                data if data.call_over().is_some() => {
                    if let Some(active) = campaign_of.get(&call).and_then(|campaign| active.get_mut(campaign))
                    {
                        active.remove(&call);
                    }
                }
                _ => {}
            }
        }
    }

    /// No number calls more often in an hour or in a day of its zone than its company allows, on a day less while it is new;
    /// nor before it rested.
    fn check_number_limits(&self, wrong: &mut Vec<Violation>) {
        /// When each call was claimed, and how it ended.
        type Claims<'a> = Vec<(Timestamp, Option<&'a CallOver>)>;
        let ends: BTreeMap<String, &CallOver> =
            self.ends().map(|(event, over)| (event.aggregate.key(), over)).collect();
        let mut by_number: BTreeMap<(&CompanyId, &PhoneNumber), Claims<'_>> = BTreeMap::new();
        // As of when a number that did badly is new. How new it was before that is not kept.
        let mut anew: BTreeMap<&PhoneNumber, Timestamp> = BTreeMap::new();
        for event in &self.events {
            match &event.data {
                EventData::CallClaimed { from, .. } => {
                    let over = ends.get(&event.aggregate.key()).copied();
                    by_number.entry((&event.company, from)).or_default().push((event.time, over));
                }
                EventData::NumberRested { number, until, .. } => {
                    anew.insert(number, *until);
                }
                _ => {}
            }
        }
        for ((company, number), mut claims) in by_number {
            let (Some(settings), Some(usage)) = (self.companies.get(company), self.numbers.get(number))
            else {
                wrong.push(format!("{number} called for {company}, and one of them is not there"));
                continue;
            };
            let (limits, zone) = (&settings.limits, settings.zone_of(number));
            claims.sort_by_key(|(at, _)| *at);
            for (index, (at, _)) in claims.iter().enumerate() {
                let date = at.in_zone(&zone).date();
                // One that ended without having been a call was none.
                let before =
                    claims[..index].iter().filter(|(_, over)| over.is_none_or(|over| over.outcome.counts()));
                let today = 1 + before.clone().filter(|(at, _)| at.in_zone(&zone).date() == date).count();
                // The clocks of two functions differ: an hour and a rest may seem that much shorter.
                let hour = Duration::from_hours(1) - CLOCKS_DIFFER;
                let lately = 1 + before.clone().filter(|(other, _)| at.since(*other) < hour).count();
                let per_day = match anew.get(number) {
                    Some(anew) if at < anew => limits.per_day,
                    _ => usage.today_of(*at, &zone, limits).1,
                };
                if today > per_day as usize || lately > limits.per_hour as usize {
                    wrong.push(format!(
                        "{number} made {lately} calls in an hour, {today} on {date}, where {per_day} are allowed"
                    ));
                }
                let rested = before.rev().find_map(|(_, over)| *over);
                if rested.is_some_and(|over| at.since(over.ended_at) + CLOCKS_DIFFER < limits.rest()) {
                    wrong.push(format!("{number} called at {at} without a rest"));
                }
            }
        }
    }

    /// Nobody is called outside the legal hours, nor after an opt-out.
    fn check_law(&self, wrong: &mut Vec<Violation>) {
        let mut opted_out: BTreeMap<&PhoneNumber, Timestamp> = BTreeMap::new();
        for event in &self.events {
            if let EventData::LeadOptedOut { phone, .. } = &event.data {
                opted_out.entry(phone).or_insert(event.time);
            }
        }
        let contacts: BTreeMap<(&str, &str), &Value> = self.items["DialingTable"]
            .iter()
            .filter(|item| sort_key(item).starts_with("CON#"))
            .map(|item| ((text(item, "pk").trim_start_matches("CAMP#"), text(item, "e164")), item))
            .collect();
        for (call, event) in self.claims() {
            let EventData::CallClaimed { to, campaign_id, .. } = &event.data else {
                continue;
            };
            if opted_out.get(to).is_some_and(|at| *at < event.time) {
                wrong.push(format!("{call} was claimed after its person had opted out"));
            }
            let contact = contacts.get(&(campaign_id.as_str(), to.as_str()));
            if let Some(revoked_at) = self.consent_taken_back(&event.company, to, event.time) {
                // What came with the contact may be later than that.
                let brought = contact.and_then(|contact| contact.get("consent")?["captured_at"].as_str());
                let again = brought.and_then(|at| at.parse::<Timestamp>().ok());
                if again.is_none_or(|again| again <= revoked_at) {
                    wrong.push(format!(
                        "{call} was claimed after its person took consent back at {revoked_at}"
                    ));
                }
            }
            let part =
                |name: &str| contact.and_then(|contact| contact.get(name)?.as_str()).map(str::to_owned);
            let Ok(state) = part("state").map(|state| state.parse()).transpose() else {
                wrong.push(format!("{call} was claimed for a contact in a state that is none"));
                continue;
            };
            let list = |name: &str| {
                contact
                    .and_then(|contact| contact.get(name))
                    .cloned()
                    .unwrap_or_else(|| Value::Array(Vec::new()))
            };
            let others: Result<Vec<Located>, _> = serde_json::from_value(list("other_addresses"));
            let more_zones: Result<Vec<String>, _> = serde_json::from_value(list("other_zones"));
            let (Ok(others), Ok(more_zones)) = (others, more_zones) else {
                wrong.push(format!("{call} was claimed for a contact whose other addresses cannot be read"));
                continue;
            };
            let first = Located { zip: part("zip"), state };
            let whereabouts = Whereabouts {
                zones: part("zone").into_iter().chain(more_zones).collect(),
                addresses: std::iter::once(first).chain(others).collect(),
                phone: to.clone(),
            };
            let lawful = |at: Timestamp| {
                law::candidate_zones(&whereabouts).is_ok_and(|zones| {
                    matches!(law::window(Rules::united_states(), &zones, at), Window::Open(_))
                })
            };
            if !lawful(event.time) {
                wrong.push(format!("{call} was claimed at {}, outside the legal hours", event.time));
            }
            let at_provider = self.calls.iter().filter(|entry| entry.name == call.as_str());
            for rang_at in at_provider.filter_map(|entry| entry.ringing_at.or(entry.answered_at)) {
                if !lawful(rang_at) {
                    wrong.push(format!("{call} rang at {rang_at}, outside the legal hours"));
                }
            }
        }
    }

    /// When a person took back what was agreed to, if that was the last word in the ledger by then.
    fn consent_taken_back(
        &self,
        company: &CompanyId,
        phone: &PhoneNumber,
        by: Timestamp,
    ) -> Option<Timestamp> {
        let of_person =
            self.events.iter().filter(|event| event.company == *company && event.time + CLOCKS_DIFFER < by);
        let words = of_person.filter_map(|event| match &event.data {
            EventData::ConsentRevoked { phone: of } if of == phone => {
                Some((event.sequence, Some(event.time)))
            }
            EventData::ConsentCaptured { phone: of, .. } if of == phone => Some((event.sequence, None)),
            _ => None,
        });
        words.max_by_key(|(sequence, _)| *sequence)?.1
    }

    /// A call that was in progress and of whose end nothing was told is followed by no other, unless that is told later or a callback
    /// was promised; and a person has a task about it.
    fn check_unknown_ends(&self, wrong: &mut Vec<Violation>) {
        let answered: BTreeSet<String> = self
            .events
            .iter()
            .filter(|event| matches!(event.data, EventData::CallInProgress {}))
            .map(|event| event.aggregate.key())
            .collect();
        for (call, claim) in self.claims().filter(|(call, _)| answered.contains(call.as_str())) {
            let EventData::CallClaimed { campaign_id, to, .. } = &claim.data else { continue };
            let of_call = |event: &&Event| event.aggregate == Aggregate::Call(call.clone());
            let lost = self.events.iter().filter(of_call).find(|event| {
                event.data.call_over().is_some_and(|over| {
                    over.outcome == Outcome::Other && matches!(event.data, EventData::CallTimedOut(_))
                })
            });
            let Some(lost) = lost else { continue };
            let contact = Aggregate::contact(campaign_id, to);
            let told = self.events.iter().filter(|event| match &event.data {
                EventData::CallReported { outcome: Some(_), .. } => of_call(event),
                EventData::ContactCallbackPromised { .. } => event.aggregate == contact,
                _ => false,
            });
            let told_at = told.map(|event| event.time).filter(|at| *at + CLOCKS_DIFFER >= lost.time).min();
            let again = self.claims().find(|(_, other)| match &other.data {
                EventData::CallClaimed { campaign_id: campaign, to: number, .. } => {
                    campaign == campaign_id && number == to && other.time > lost.time + CLOCKS_DIFFER
                }
                _ => false,
            });
            if let Some((again, event)) = again
                && told_at.is_none_or(|at| at > event.time + CLOCKS_DIFFER)
            {
                wrong.push(format!("{again} was claimed, and how {call} ended is not known"));
            }
            let task = self.events.iter().any(|event| match &event.data {
                EventData::TaskCreated { call_id, .. } => call_id.as_ref() == Some(call),
                _ => false,
            });
            if !task {
                wrong.push(format!("how {call} ended is not known, and nobody has a task about it"));
            }
        }
    }

    /// Whom a callback was promised is not called before its time, and is called then, unless the contact ends.
    fn check_promises(&self, wrong: &mut Vec<Violation>, stage: Stage) {
        let mut by_contact: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            let contact = match &event.data {
                EventData::CallClaimed { campaign_id, to, .. } => Aggregate::contact(campaign_id, to).key(),
                EventData::ContactCallbackPromised { .. } | EventData::ContactFinished { .. } => {
                    event.aggregate.key()
                }
                _ => continue,
            };
            by_contact.entry(contact).or_default().push(event);
        }
        for (contact, events) in by_contact {
            for promise in &events {
                let EventData::ContactCallbackPromised { at, .. } = promise.data else { continue };
                // What was written before may have a later time by another function's clock.
                let after = events.iter().filter(|event| event.time > promise.time + CLOCKS_DIFFER);
                let next = after.min_by_key(|event| event.time);
                let superseded = events.iter().any(|other| {
                    other.aggregate == promise.aggregate
                        && other.sequence > promise.sequence
                        && next.is_none_or(|next| other.time <= next.time)
                });
                let claimed_at = next
                    .filter(|event| matches!(event.data, EventData::CallClaimed { .. }) && !superseded)
                    .map(|event| event.time + CLOCKS_DIFFER);
                if let Some(claimed_at) = claimed_at.filter(|time| *time < at) {
                    wrong.push(format!(
                        "{contact} was called at {claimed_at}, a callback was promised for {at}"
                    ));
                }
                if stage == Stage::Finished && next.is_none() && !superseded {
                    wrong.push(format!("{contact} was not called, a callback was promised for {at}"));
                }
            }
        }
    }

    /// Nobody is on two calls of a company at once, nor called more often than is allowed.
    fn check_persons(&self, wrong: &mut Vec<Violation>) {
        let ends: BTreeMap<String, (Timestamp, Outcome)> =
            self.ends().map(|(event, over)| (event.aggregate.key(), (event.time, over.outcome))).collect();
        let mut by_person: BTreeMap<(&CompanyId, &PhoneNumber), Vec<&Event>> = BTreeMap::new();
        for (_, event) in self.claims() {
            if let EventData::CallClaimed { to, .. } = &event.data {
                by_person.entry((&event.company, to)).or_default().push(event);
            }
        }
        let most = Rules::united_states().frequency;
        for ((company, to), mut claims) in by_person {
            claims.sort_by_key(|claim| claim.time);
            for pair in claims.windows(2) {
                let ended = ends.get(&pair[0].aggregate.key()).map(|(at, _)| *at);
                if ended.is_none_or(|ended| pair[1].time + CLOCKS_DIFFER < ended) {
                    wrong.push(format!("{to} was called by {company} while on a call of it"));
                }
            }
            claims
                .retain(|claim| ends.get(&claim.aggregate.key()).is_none_or(|(_, outcome)| outcome.counts()));
            for (calls, days) in [(most.per_24_h, 1), (most.per_7_days, 7), (most.per_30_days, 30)] {
                let span = Duration::from_hours(days * 24) - CLOCKS_DIFFER;
                if claims.windows(calls as usize + 1).any(|crowd| {
                    crowd
                        .last()
                        .zip(crowd.first())
                        .is_some_and(|(last, first)| last.time.since(first.time) < span)
                }) {
                    wrong.push(format!("{to} was called by {company} over {calls} times in {days} days"));
                }
            }
        }
    }

    /// Nobody is called for 30 days after a call of the company found that there is no such number; and a person finds one message in three
    /// days, whichever campaigns call. Messages are counted where they are left, at the provider.
    fn check_found_out(&self, wrong: &mut Vec<Violation>) {
        let day = Duration::from_hours(24);
        let claims: BTreeMap<String, (&CompanyId, &PhoneNumber, Timestamp)> = self
            .claims()
            .filter_map(|(id, event)| match &event.data {
                EventData::CallClaimed { to, .. } => Some((id.to_string(), (&event.company, to, event.time))),
                _ => None,
            })
            .collect();
        for (event, over) in self.ends().filter(|(_, over)| over.outcome == Outcome::InvalidNumber) {
            let Some((company, to, _)) = claims.get(&event.aggregate.key()) else { continue };
            let again = claims.iter().filter(|(_, claim)| (claim.0, claim.1) == (*company, *to));
            let until = over.ended_at + day * 30;
            for (call, (.., at)) in again
                .filter(|(_, claim)| claim.2 > event.time + CLOCKS_DIFFER && claim.2 + CLOCKS_DIFFER < until)
            {
                wrong.push(format!("{call} was claimed at {at}, {to} was invalid at {}", over.ended_at));
            }
        }
        let mut left: BTreeMap<(&CompanyId, &PhoneNumber), Vec<Timestamp>> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.left_message) {
            if let Some(((company, to, _), at)) = claims.get(&call.name).zip(call.ended_at) {
                left.entry((company, to)).or_default().push(at);
            }
        }
        for ((company, to), mut times) in left {
            times.sort();
            for pair in times.windows(2).filter(|pair| pair[1].since(pair[0]) + CLOCKS_DIFFER < day * 3) {
                wrong.push(format!(
                    "{company} left {to} a message at {}, and another at {}",
                    pair[0], pair[1]
                ));
            }
        }
    }

    /// An inbound call is told once. Whoever talked on one is called by that campaign no more, unless a callback was promised since.
    fn check_inbound(&self, wrong: &mut Vec<Violation>) {
        let mut told = BTreeSet::new();
        for event in &self.events {
            let EventData::CallInboundEnded {
                provider_call_id,
                caller,
                campaign_id,
                outcome,
                callback_at,
                opted_out,
                ..
            } = &event.data
            else {
                continue;
            };
            if !told.insert(provider_call_id) {
                wrong.push(format!("inbound call {provider_call_id} is told twice"));
            }
            let talked = *outcome == Some(Outcome::Answered) && callback_at.is_none();
            let Some(campaign) = campaign_id.as_ref().filter(|_| talked || *opted_out) else { continue };
            let contact = Aggregate::contact(campaign, caller);
            let promised = self.events.iter().any(|other| {
                other.aggregate == contact
                    && matches!(other.data, EventData::ContactCallbackPromised { .. })
                    && other.time + CLOCKS_DIFFER >= event.time
            });
            for (call, claim) in self.claims().filter(|(_, claim)| claim.time > event.time + CLOCKS_DIFFER) {
                if let EventData::CallClaimed { campaign_id, to, .. } = &claim.data
                    && (campaign_id, to) == (campaign, caller)
                    && (*opted_out || !promised)
                {
                    wrong.push(format!(
                        "{call} was claimed at {}, {to} talked on {provider_call_id}",
                        claim.time
                    ));
                }
            }
        }
    }

    /// The dead air of a campaign is that of its answered calls: as the provider had them, by the day on which they ended. Where it is too much
    /// that was told, and a pause for it says figures that call for one.
    fn check_dead_air(&self, wrong: &mut Vec<Violation>, stage: Stage) {
        let at_provider: BTreeMap<&str, &LedgerEntry> =
            self.calls.iter().map(|call| (call.name.as_str(), call)).collect();
        let mut days: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for item in self.items_of("DialingTable", "CALL").filter(|item| is_over(item)) {
            let (call, report) = (text(item, "call_id"), &item["report"]);
            let Some(told) = report["silence_ms"].as_u64() else { continue };
            let silence =
                at_provider.get(call).and_then(|call| call.silence).map(|silence| silence.as_millis());
            if silence != Some(told.into()) {
                wrong.push(format!("{call} was silent for {silence:?} milliseconds, and {told} are kept"));
            }
            if text(report, "outcome") == "answered" {
                let day = text(report, "ended_at").get(..10).unwrap_or_default().to_owned();
                let counted = days.entry((text(item, "campaign_id").to_owned(), day)).or_default();
                counted.0 += 1;
                counted.1 += u64::from(told >= 2_000);
            }
        }
        let mut kept: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for item in &self.items["DialingTable"] {
            let Some(day) = sort_key(item).strip_prefix("DEADAIR#") else { continue };
            let campaign = text(item, "pk").trim_start_matches("CAMP#").to_owned();
            let count = |name: &str| item[name].as_u64().unwrap_or_default();
            kept.insert((campaign, day.to_owned()), (count("n_measured"), count("n_silent")));
        }
        if kept != days {
            wrong.push(format!("the dead air of campaigns is {days:?}, and {kept:?} is kept"));
        }
        let mut told = BTreeSet::new();
        for event in &self.events {
            let figures = match &event.data {
                EventData::CampaignDeadAirHigh(figures) => figures,
                EventData::CampaignStatusChanged { dead_air: Some(figures), .. } => {
                    if figures.measured < 50 || figures.silent * 200 < figures.measured * 7 {
                        wrong.push(format!("{} is paused for {figures:?}", event.aggregate.key()));
                    }
                    figures
                }
                _ => continue,
            };
            if figures.measured < 50 || figures.silent * 100 < figures.measured * 3 {
                wrong.push(format!("{} has too much dead air with {figures:?}", event.aggregate.key()));
            }
            told.insert(event.aggregate.key());
        }
        // On one day the figures are those of the day: over more of them they may have been better when each call was counted.
        for ((campaign, day), (measured, silent)) in days {
            if stage == Stage::Finished
                && measured >= 50
                && silent * 200 >= measured * 7
                && !told.contains(&campaign)
                && !kept.keys().any(|(other, date)| *other == campaign && *date != day)
            {
                wrong
                    .push(format!("{campaign} has {silent} silent calls of {measured}, and nobody was told"));
            }
        }
    }

    /// No call is claimed while its campaign is paused or over; and in batches no more begin than there are lines, until all of
    /// them are over.
    fn check_course(&self, wrong: &mut Vec<Violation>) {
        let ends: BTreeMap<String, Timestamp> =
            self.ends().map(|(event, _)| (event.aggregate.key(), event.time)).collect();
        let mut moves: BTreeMap<&str, Vec<(u64, Timestamp, CampaignStatus)>> = BTreeMap::new();
        for event in &self.events {
            if let (EventData::CampaignStatusChanged { to, .. }, Aggregate::Campaign(id)) =
                (&event.data, &event.aggregate)
            {
                moves.entry(id.as_str()).or_default().push((event.sequence, event.time, *to));
            }
        }
        let mut claims: BTreeMap<&str, Vec<(Timestamp, String)>> = BTreeMap::new();
        for (_, event) in self.claims() {
            if let EventData::CallClaimed { campaign_id, .. } = &event.data {
                claims.entry(campaign_id.as_str()).or_default().push((event.time, event.aggregate.key()));
            }
        }
        for item in self.items_of("DialingTable", "CAMPAIGN") {
            let id = text(item, "campaign_id");
            let mut claims = claims.remove(id).unwrap_or_default();
            claims.sort();
            let mut moves = moves.remove(id).unwrap_or_default();
            moves.sort_by_key(|(sequence, ..)| *sequence);
            for (nth, (_, from, status)) in moves.iter().enumerate() {
                let until = moves.get(nth + 1).map(|(_, until, _)| *until);
                let within = |at: Timestamp| {
                    at > *from + CLOCKS_DIFFER && until.is_none_or(|until| at + CLOCKS_DIFFER < until)
                };
                if *status != CampaignStatus::Running {
                    let late = claims.iter().filter(|(at, _)| within(*at));
                    wrong.extend(
                        late.map(|(at, call)| format!("{call} was claimed at {at}, {id} was {status}")),
                    );
                }
            }
            if item["policy"]["mode"] != "batch" {
                continue;
            }
            let Some(mut cap) = number(item, "cap", wrong) else { continue };
            for event in &self.events {
                if let EventData::CampaignCapChanged { from, to } = &event.data
                    && event.aggregate.key() == id
                {
                    cap = cap.max(from.lines().into()).max(to.lines().into());
                }
            }
            let mut batch = 0;
            for (nth, (at, call)) in claims.iter().enumerate() {
                let under_way = claims[..nth]
                    .iter()
                    .any(|(_, other)| ends.get(other).is_none_or(|ended| *ended > *at + CLOCKS_DIFFER));
                batch = if under_way { batch + 1 } else { 1 };
                if batch > cap {
                    wrong.push(format!("{call} began as number {batch} of a batch of {cap}"));
                }
            }
        }
    }

    /// Every event has its place in its aggregate, and is on the bus; nothing else is.
    fn check_journal(&self, wrong: &mut Vec<Violation>, stage: Stage) {
        let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for event in &self.events {
            let key = format!("{}/{}", event.company, event.aggregate.key());
            sequences.entry(key).or_default().push(event.sequence);
        }
        for (aggregate, mut sequence) in sequences {
            sequence.sort_unstable();
            if sequence.iter().zip(1..).any(|(found, expected)| *found != expected) {
                wrong.push(format!("the events of {aggregate} have the sequence {sequence:?}"));
            }
        }
        let mut told = BTreeSet::new();
        for event in &self.bus {
            let id = event["id"].as_str().unwrap_or_default();
            match self.written.get(id) {
                Some(written) if written == event => {
                    told.insert(id);
                }
                Some(_) => wrong.push(format!("{id} is on the bus with another content")),
                None => wrong.push(format!("{id} is on the bus and not in the journal")),
            }
        }
        if stage == Stage::Finished {
            for event in self.events.iter().filter(|event| !told.contains(event.id.as_str())) {
                wrong.push(format!(
                    "{} {} {} never reached the bus",
                    event.time,
                    event.data.kind(),
                    event.id
                ));
            }
        }
    }

    /// The counters of a campaign are those of its events; at the end nothing is left over.
    fn check_campaigns(&self, wrong: &mut Vec<Violation>, stage: Stage) {
        let mut costs: BTreeMap<&str, Usd> = BTreeMap::new();
        let mut calls: BTreeMap<&str, i64> = BTreeMap::new();
        for item in self.items_of("DialingTable", "CALL").filter(|item| is_over(item)) {
            let campaign = text(item, "campaign_id");
            *calls.entry(campaign).or_default() += 1;
            match serde_json::from_value::<Option<Usd>>(item["report"]["cost"].clone()) {
                Ok(cost) => {
                    let sum = costs.entry(campaign).or_default();
                    *sum = *sum + cost.unwrap_or_default();
                }
                Err(error) => wrong.push(format!("{}: report.cost: {error}", text(item, "call_id"))),
            }
        }
        for item in self.items_of("DialingTable", "CAMPAIGN") {
            let id = text(item, "campaign_id");
            let ended = calls.get(id).copied().unwrap_or(0);
            if let Some(counted) = number(item, "n_calls", wrong).filter(|counted| *counted != ended) {
                wrong.push(format!("{id} counts {counted} calls, {ended} ended"));
            }
            let cost = costs.get(id).copied().unwrap_or(Usd::ZERO);
            let counted = number(item, "cost_e4", wrong);
            if let Some(counted) = counted.filter(|counted| *counted != cost.as_ten_thousandths()) {
                wrong.push(format!("{id} cost {counted} in ten-thousandths, its calls {cost}"));
            }
            let open = self.items["DialingTable"]
                .iter()
                .filter(|contact| text(contact, "pk").trim_start_matches("CAMP#") == id)
                .filter(|contact| sort_key(contact).starts_with("CON#") && contact.get("done").is_none())
                .count();
            if let Some(counted) = number(item, "n_open", wrong).filter(|counted| *counted != open as i64) {
                wrong.push(format!("{id} counts {counted} open contacts, there are {open}"));
            }
            if stage == Stage::Finished {
                let slots = &item["slots"];
                if slots.as_object().is_none_or(|slots| !slots.is_empty()) {
                    wrong.push(format!("{id} still has lines in use: {slots}"));
                }
                if !["completed", "cancelled"].contains(&text(item, "campaign_status")) {
                    wrong.push(format!(
                        "{id} is still {} with {open} open contacts",
                        text(item, "campaign_status")
                    ));
                }
            }
        }
        if stage == Stage::Finished {
            for line in self.items_of("DialingTable", "LINE") {
                let slots = &line["slots"];
                if slots.as_object().is_none_or(|slots| !slots.is_empty()) {
                    wrong.push(format!("{} still has lines in use: {slots}", text(line, "pk")));
                }
            }
            for number in self.items["PoolTable"].iter().filter(|item| item.get("active_call").is_some()) {
                wrong.push(format!("a number is still on call {}", text(number, "active_call")));
            }
        }
    }

    /// An assistant knows the campaigns that will use it and do, and each of its versions was told.
    fn check_assistants(&self, wrong: &mut Vec<Violation>) {
        let assistants = self.items["DialingTable"].iter().filter(|item| item.get("planned_by").is_some());
        for item in assistants {
            let id = text(item, "assistant_id");
            for (attribute, statuses) in
                [("planned_by", &["created"][..]), ("pinned_by", &["running", "paused"][..])]
            {
                let of = self.items_of("DialingTable", "CAMPAIGN").filter(|campaign| {
                    text(&campaign["assistant_use"], "id") == id
                        && statuses.contains(&text(campaign, "campaign_status"))
                });
                let campaigns: BTreeSet<&str> = of.map(|campaign| text(campaign, "campaign_id")).collect();
                let known = item[attribute].as_object().into_iter().flatten();
                let known: BTreeSet<&str> = known.map(|(campaign, _)| campaign.as_str()).collect();
                if known != campaigns {
                    wrong.push(format!("{id} is {attribute} {known:?}, and there are {campaigns:?}"));
                }
            }
            let told = self.events.iter().filter(|event| event.aggregate.key() == id).count() as u64;
            if item["n_versions"].as_u64() != Some(told) {
                wrong.push(format!("{id} has {} versions, and {told} were told", item["n_versions"]));
            }
        }
    }

    fn items_of(&self, table: &'static str, sk: &'static str) -> impl Iterator<Item = &Value> {
        self.items[table].iter().filter(move |item| sort_key(item) == sk)
    }
}

fn sort_key(item: &Value) -> &str {
    text(item, "sk")
}

/// What the items of a table say whose sort keys begin with `prefix`.
fn understood<T: DeserializeOwned>(items: &[Value], prefix: &str) -> anyhow::Result<Vec<T>> {
    let items = items.iter().filter(|item| sort_key(item).starts_with(prefix));
    let understood = items.map(|item| {
        let place = || format!("failed to understand {} {}", text(item, "pk"), sort_key(item));
        serde_json::from_value(item.clone()).with_context(place)
    });
    understood.collect()
}

/// A number of an item; where it has none that can be read, that is wrong.
fn number(item: &Value, name: &str, wrong: &mut Vec<Violation>) -> Option<i64> {
    let number = item[name].as_i64();
    if number.is_none() {
        wrong.push(format!("{} has no {name} that can be read", text(item, "pk")));
    }
    number
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a call is over: one that is looked up now and then is, too, while its report is awaited.
fn is_over(call: &Value) -> bool {
    call.get("check_at").is_none() || call["report_due"] == true
}
