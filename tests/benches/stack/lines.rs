//! How busy the lines of a campaign are while it has contacts left, in virtual time: the next contact is dialed when a line
//! frees. Beside it the same calls under a scheduler that fills the free lines once a minute.

use std::collections::BTreeMap;

use dialpool::audit::Stage;
use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, Timestamp};
use dialpool_tests::World;

use crate::operations::latency;

const CONTACTS: usize = 1_000;
const LINES: u32 = 8;
const TICK: Duration = Duration::from_secs(60);

/// A hundred people of each live here; it is noon.
const THEIRS: [&str; 10] = ["212", "646", "917", "718", "347", "929", "201", "973", "732", "908"];

/// A hundred numbers of each call them.
const OURS: [&str; 11] = ["215", "267", "412", "610", "717", "724", "814", "570", "484", "410", "443"];

type Span = (Timestamp, Timestamp);

pub(crate) fn run() {
    let mut table =
        crate::table(&["lines in use", "from claim to end in the books", "with a call at the provider"]);
    for seed in 1..=3 {
        let (ours, provided) = crate::in_virtual_time(campaign(seed));
        table.add_row([
            format!("when a line frees, seed {seed}"),
            percent(share(&ours, &ours)),
            percent(share(&provided, &ours)),
        ]);
        let ticked = by_ticks(&provided);
        let used = percent(share(&ticked, &ticked));
        table.add_row([format!("every {} s, the same calls", TICK.as_secs()), used.clone(), used]);
        let lengths = provided.iter().map(|(from, to)| to.since(*from).as_secs_f64());
        let mean = lengths.sum::<f64>() / provided.len() as f64;
        println!(
            "seed {seed}: {} calls of {:.1} s on the average, the last claimed {} min after the first",
            ours.len(),
            mean,
            ours.last().expect("a call").0.since(ours[0].0).as_secs() / 60,
        );
    }
    println!("\n{CONTACTS} contacts, {LINES} lines, until no contact is left to dial\n\n{table}");
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Runs the campaign. The calls by the time of their claim: in the books, and at the provider.
async fn campaign(seed: u64) -> (Vec<Span>, Vec<Span>) {
    let world = World::with(|settings| {
        settings.seed = seed;
        settings.intercept = Some(latency(seed));
        let provider = &mut settings.simulator;
        provider.seed = seed;
        provider.latency = Duration::from_millis(120);
        provider.concurrency_limit = 100;
        provider.answer_rate = 1.0;
        provider.voicemail_rate = 0.0;
        provider.busy_rate = 0.0;
        provider.opt_out_rate = 0.0;
        // With a second and a half until it rings: 45 s on the average.
        provider.ring = Duration::from_secs(6);
        provider.mean_call = Duration::from_millis(38_200);
    })
    .await;
    let numbers: Vec<String> = OURS.iter().flat_map(|area| of_area(area)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let phones = THEIRS.iter().flat_map(|area| of_area(area)).take(CONTACTS);
    let rows: String = phones.enumerate().map(|(n, phone)| format!("{phone},lead-{n}\n")).collect();
    world.campaign(LINES, &format!("phone,lead\n{rows}")).await;
    while !world.is_over().await {
        world.pass(Duration::from_mins(1)).await;
    }
    world.local.quiet().await;

    let books = world.books().await;
    assert_eq!(books.violations(Stage::Finished), Vec::<String>::new());
    let mut spans = BTreeMap::<CallId, (Timestamp, Option<Timestamp>)>::new();
    for event in books.events() {
        match event.data {
            EventData::CallClaimed { .. } => {
                spans.insert(event.aggregate.key().parse().expect("a call"), (event.time, None));
            }
            EventData::CallEnded(_) => {
                let call: CallId = event.aggregate.key().parse().expect("a call");
                spans.get_mut(&call).expect("a claim").1 = Some(event.time);
            }
            _ => {}
        }
    }
    let mut ours: Vec<Span> = spans.into_values().map(|(from, to)| (from, to.expect("an end"))).collect();
    ours.sort_unstable();
    assert_eq!(ours.len(), CONTACTS);
    let ledger = world.local.simulator.ledger();
    let provided = ledger.iter().map(|call| (call.created_at, call.ended_at.expect("an end"))).collect();
    (ours, provided)
}

fn of_area(area: &str) -> impl Iterator<Item = String> {
    (100..200).map(move |n| format!("+1{area}555{n:04}"))
}

/// Which share of all lines `spans` use from the first claim until the last, when nobody is left to dial.
fn share(spans: &[Span], claims: &[Span]) -> f64 {
    let (first, last) = (claims[0].0, claims.last().expect("a claim").0);
    let used = |(from, to): &Span| (*to).min(last).since((*from).max(first)).as_secs_f64();
    spans.iter().map(used).sum::<f64>() / (f64::from(LINES) * last.since(first).as_secs_f64())
}

/// The same calls, begun by a scheduler that fills what lines are free at each tick.
fn by_ticks(calls: &[Span]) -> Vec<Span> {
    let mut tick = calls[0].0;
    let mut begun: Vec<Span> = Vec::with_capacity(calls.len());
    let mut left = calls.iter().map(|(from, to)| to.since(*from));
    loop {
        let busy = begun.iter().filter(|(_, to)| *to > tick).count();
        for length in left.by_ref().take(LINES as usize - busy) {
            begun.push((tick, tick + length));
        }
        if begun.len() == calls.len() {
            return begun;
        }
        tick = tick + TICK;
    }
}
