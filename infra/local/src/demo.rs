//! The demo: 25 numbers, 200 leads, one campaign against the simulated provider, in virtual time.
//!
//! The stack is the deployed one; only time is not real. The clock jumps to the next thing that happens, so that days of
//! calling take seconds, and the same seed gives the same demo.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use axum::body::Body;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use control_api::{read_contacts, read_numbers};
use dialpool_domain::campaign::{CampaignStatus, Cap, NewCampaign, Policy};
use dialpool_domain::event::Cause;
use dialpool_domain::event::{Event, EventData};
use dialpool_domain::pool::HoldHours;
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, CompanyId, Timestamp, TraceId, Usd};
use dialpool_dynamo::{Added, CampaignMade};
use indicatif::{ProgressBar, ProgressStyle};
use tower::ServiceExt;

use crate::audit::{Books, Stage};
use crate::engine::Engine;
use crate::import;
use crate::local::{Local, Settings, TEMPLATE, clock_from};
use crate::simulator;
use crate::template::Template;

const NUMBERS: &str = include_str!("../../../events/demo/numbers.csv");
const CONTACTS: &str = include_str!("../../../events/demo/contacts.csv");

/// A Monday, 11 o'clock in New York.
const BEGIN: &str = "2026-03-02T17:00:00Z";

/// A demo that is not over by then hangs.
const LONGEST: Duration = Duration::from_hours(21 * 24);

/// Runs the demo and prints what it does; returns the number of violated invariants.
///
/// # Errors
/// When the stack cannot be run.
pub async fn run(seed: u64) -> anyhow::Result<usize> {
    let begin: Timestamp = BEGIN.parse()?;
    let clock = clock_from(begin);
    let engine = Engine::in_memory(clock.clone())?;
    let mut settings = Settings::new(engine.clone(), clock.clone(), seed);
    // Ticks are hygiene: the calls themselves ask for the next dial. Fewer of them make the days shorter.
    settings.schedule_stretch = 5;
    settings.simulator = simulator::Config { answer_rate: 0.45, opt_out_rate: 0.04, ..settings.simulator };
    let local = Local::start(&Template::parse(TEMPLATE)?, settings).await?;
    let store = &local.stack.store;

    println!("Dialpool demo: the deployed functions, a simulated provider, virtual time (seed {seed})\n");
    let company: CompanyId = "demo".parse()?;
    let key = local.company(&company, "Demo company").await?;
    let cause = Cause { at: begin, actor: "demo".to_owned(), trace_id: TraceId::new(u128::from(seed)) };

    let numbers =
        read_numbers(NUMBERS.as_bytes(), false, &company).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let report = import::import_numbers(store, &cause, &company, numbers, false).await?;
    println!("events/demo/numbers.csv   {} numbers in the pool", report.added);
    let campaign = NewCampaign {
        id: CampaignId::new(begin, u128::from(seed)),
        company: company.clone(),
        name: "Demo campaign".to_owned(),
        assistant_id: "assistant-demo".to_owned(),
        cap: Cap::default(),
        hold: HoldHours::try_from(1)?,
        from_number: None,
        policy: Policy::default(),
    };
    let made = store.create_campaign(&cause, &campaign).await?;
    anyhow::ensure!(made == CampaignMade::Done, "{company} has no assistant {}", campaign.assistant_id);
    let contacts =
        read_contacts(CONTACTS.as_bytes(), false).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let contacts: Vec<_> = contacts.rows.into_iter().map(|(_, contact)| contact).collect();
    match store.add_contacts(&cause, &company, &campaign.id, &contacts).await? {
        Added::Done { added, .. } => println!("events/demo/contacts.csv  {added} leads in the campaign\n"),
        Added::Over(_) | Added::NotFound => anyhow::bail!("the campaign took no contacts"),
    }
    let start = http::Request::post(format!("/v1/campaigns/{}/start", campaign.id))
        .header("authorization", format!("Bearer {key}"))
        .body(Body::empty())?;
    let answer = local.stack.api().oneshot(start).await?;
    anyhow::ensure!(answer.status().is_success(), "the campaign did not start: {}", answer.status());

    watch(&local, &company, &campaign.id, begin).await?;
    // Late reports, the relay, and the sweeper have their say before the books are read.
    tokio::time::sleep(Duration::from_hours(2)).await;
    local.quiet().await;
    let books = Books::read(&engine, local.simulator.ledger()).await?;
    let violations = books.violations(Stage::Finished);
    summary(&local, &books, &campaign, begin, violations.len());
    for violation in &violations {
        println!("violated: {violation}");
    }
    Ok(violations.len())
}

/// Shows the campaign until it is completed.
async fn watch(local: &Local, company: &CompanyId, id: &CampaignId, begin: Timestamp) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} leads done  {msg}")?;
    let bar = ProgressBar::new(0).with_style(style);
    loop {
        let now = local.clock.now();
        anyhow::ensure!(now.since(begin) < LONGEST, "the campaign is not over after three weeks");
        let campaign = local.stack.store.campaign(company, id).await?.context("the campaign is gone")?;
        let progress = campaign.progress;
        bar.set_length(progress.contacts);
        bar.set_position(progress.contacts - progress.contacts_open);
        bar.set_message(format!(
            "day {} {}  lines {}/{}  calls {}  answered {}  cost ${}",
            now.since(begin).as_secs() / 86_400 + 1,
            now.to_string().get(11..16).unwrap_or_default(),
            campaign.lines_in_use,
            campaign.cap.lines(),
            progress.calls,
            progress.answered,
            progress.cost,
        ));
        if campaign.status == CampaignStatus::Completed {
            bar.finish();
            println!();
            return Ok(());
        }
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
}

fn summary(local: &Local, books: &Books, campaign: &NewCampaign, begin: Timestamp, violations: usize) {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut attempts: BTreeMap<u32, u64> = BTreeMap::new();
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let mut local_presence = 0_u64;
    let mut grants = 0_u64;
    for Event { data, .. } in books.events() {
        match data {
            EventData::CallEnded(over)
            | EventData::CallFailed(over)
            | EventData::CallCanceled(over)
            | EventData::CallTimedOut(over) => *outcomes.entry(over.outcome.as_str()).or_default() += 1,
            EventData::ContactFinished { attempts: made, reason, .. } => {
                *attempts.entry(*made).or_default() += 1;
                *done.entry(reason.as_str()).or_default() += 1;
            }
            EventData::NumberAssigned { number, tier, .. } => {
                numbers.insert(number.clone());
                grants += 1;
                local_presence += u64::from(*tier != dialpool_domain::pool::Tier::Any);
            }
            _ => {}
        }
    }
    let ledger = local.simulator.ledger();
    let cost: Usd = ledger.iter().filter_map(|call| call.cost).sum();
    let list = |counts: Vec<String>| counts.join("   ");
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.add_row(["calls", &ledger.len().to_string()]);
    table.add_row([
        "outcomes",
        &list(outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect()),
    ]);
    table.add_row(["leads", &list(done.iter().map(|(name, count)| format!("{name} {count}")).collect())]);
    table.add_row([
        "attempts per lead",
        &list(attempts.iter().map(|(made, count)| format!("{made}: {count}")).collect()),
    ]);
    table.add_row([
        "lines kept busy",
        &format!(
            "{} of {} in the mean, until all numbers were held",
            busy(books, begin),
            campaign.cap.lines()
        ),
    ]);
    table.add_row([
        "numbers used",
        &format!(
            "{} of 25, {grants} holds, {} % local to the lead",
            numbers.len(),
            local_presence * 100 / grants.max(1)
        ),
    ]);
    table.add_row(["cost", &format!("${cost}")]);
    table.add_row([
        "events relayed",
        &format!("{} of {}", local.stack.engine.bus_events().len(), books.events().len()),
    ]);
    table.add_row(["violations of the invariants", &violations.to_string()]);
    println!("{table}");
}

/// How many lines were in use in the mean, from the start until every number was held by somebody.
fn busy(books: &Books, begin: Timestamp) -> String {
    let mut granted = BTreeSet::new();
    let all_held = books.events().iter().find(|event| match &event.data {
        EventData::NumberAssigned { number, .. } => {
            granted.insert(number.clone());
            granted.len() == NUMBERS.lines().count() - 1
        }
        _ => false,
    });
    let end = all_held.map_or(begin, |event| event.time);
    let mut began: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut in_use_ms = 0_u128;
    for event in books.events() {
        let call = event.aggregate.key();
        match &event.data {
            EventData::CallClaimed { .. } if event.time < end => {
                began.insert(call, event.time);
            }
            EventData::CallEnded(_)
            | EventData::CallFailed(_)
            | EventData::CallCanceled(_)
            | EventData::CallTimedOut(_) => {
                if let Some(began) = began.remove(&call) {
                    in_use_ms += event.time.min(end).since(began).as_millis();
                }
            }
            _ => {}
        }
    }
    let tenths = in_use_ms * 10 / end.since(begin).as_millis().max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
