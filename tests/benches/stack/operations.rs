//! Requests, round trips, read and write units of the operations that a call is made of.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use dialpool::engine::{Cost, Fault, Intercept, metered};
use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::law::{LegalBasis, Window, candidate_zones, window};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::pool::ReleaseReason;
use dialpool_domain::rules::Rules;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, PhoneNumber};
use dialpool_dynamo::{
    Assigned, Changed, Claim, Claimed, Ended, LineLimits, PhoneHasher, Request, Settlement, Told,
};
use dialpool_tests::World;
use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

const CALLERS: usize = 64;

/// How often each caller asks: the first times it has to learn how many others there are.
const TIMES: usize = 20;

pub(crate) fn run() {
    let mut table = crate::table(&["operation", "requests", "round trips", "read units", "write units"]);
    for (name, costs) in crate::in_virtual_time(alone()) {
        table.add_row(row(&name, &costs));
    }
    println!("{table}\n");

    println!(
        "{CALLERS} callers at once on 1,500 numbers, each in a process of its own, requests of 4 to 12 ms. Order: 0 when \
         each gets the number that has been free longest, 0.5 when anyone gets any.\n"
    );
    let mut table =
        crate::table(&["assign", "requests", "round trips", "most", "read units", "write units", "order"]);
    for percent in [10, 90] {
        let (cold, warm) = crate::in_virtual_time(crowd(1_500, percent));
        for (name, crowd) in [("first", cold), ("later", warm)] {
            let mut cells = row(&format!("{percent} % held, {name}"), &crowd.costs);
            let most = crowd.costs.iter().map(|cost| cost.round_trips).max().unwrap_or_default();
            cells.insert(3, most.to_string());
            cells.push(format!("{:.3}", crowd.order));
            table.add_row(cells);
        }
    }
    println!("{table}\n");

    let losers = crate::in_virtual_time(one_left(1_500));
    let most = losers.iter().map(|cost| cost.round_trips).max().unwrap_or_default();
    println!(
        "1 number left of 1,500: {} learn that none is free, in {most} round trips at most",
        losers.len()
    );
}

fn row(name: &str, costs: &[Cost]) -> Vec<String> {
    let count = costs.len().max(1) as f64;
    let mean = |part: fn(&Cost) -> f64| format!("{:.2}", costs.iter().map(part).sum::<f64>() / count);
    vec![
        name.to_owned(),
        mean(|cost| f64::from(cost.requests)),
        mean(|cost| f64::from(cost.round_trips)),
        mean(|cost| cost.read_units),
        mean(|cost| cost.write_units),
    ]
}

/// Each request takes 4 to 12 ms, by seed.
pub(crate) fn latency(seed: u64) -> Intercept {
    let chance = Mutex::new(ChaCha12Rng::seed_from_u64(seed));
    Arc::new(move |_| {
        let draw = chance.lock().expect("no panic").next_u64();
        Fault::Delay(Duration::from_micros(4_000 + draw % 8_000))
    })
}

async fn pool(numbers: usize, held_percent: usize) -> World {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    let names: Vec<String> =
        (0..numbers).map(|n| format!("+1{}555{:04}", 201 + n / 100, n % 100 + 100)).collect();
    world.add_numbers(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 0..numbers * held_percent / 100 {
        assert!(matches!(world.assign(&format!("early-{n}")).await, Assigned::Granted(..)));
    }
    world
}

/// One caller, nobody else: assign, claim, end of call, and the rest of a lead's way.
async fn alone() -> Vec<(String, Vec<Cost>)> {
    let world = pool(25, 0).await;
    let (store, rules) = (world.store(), Rules::united_states());
    let hasher = PhoneHasher::new("bench".to_owned().into());
    let line = LineLimits { account: "vapi".to_owned(), outbound: 70 };
    let leads: Vec<String> = (0..20).map(|n| format!("lead-{n}")).collect();
    let rows: String = (0..20).map(|n| format!("+14155550{:03},lead-{n}\n", 100 + n)).collect();
    let campaign = world.quiet_campaign(20, &format!("phone,lead\n{rows}")).await;
    let mut costs: Vec<(String, Vec<Cost>)> =
        ["assign", "assign again", "claim of a call", "end of a call", "release"]
            .map(|name| (name.to_owned(), Vec::new()))
            .into();

    for (n, name) in leads.iter().enumerate() {
        let (assigned, assign) = metered(world.assign(name)).await;
        let Assigned::Granted(hold, _) = assigned else { panic!("{assigned:?}") };
        let (again, repeated) = metered(world.assign(name)).await;
        assert_eq!(again, Assigned::AlreadyHeld(hold.clone()));

        let phone: PhoneNumber = format!("+14155550{:03}", 100 + n).parse().expect("a number");
        let contact = store.contact(&campaign, &phone).await.expect("an answer").expect("a contact");
        let running = store.campaign_of_job(&campaign).await.expect("an answer").expect("a campaign");
        let zones = candidate_zones(&contact.address.whereabouts(&phone)).expect("zones");
        let Window::Open(open) = window(rules, &zones, world.now()) else { panic!("a closed window") };
        let claim = Claim {
            call_id: &CallId::new(world.now(), n as u128),
            campaign: &running,
            contact: &contact,
            hold: &hold,
            line: &line,
            hasher: &hasher,
            legal_basis: &LegalBasis::of_hours(rules, &zones, open, world.now()),
            frequency: rules.frequency,
            start_by: open.closes_at,
        };
        let (claimed, claim_cost) = metered(store.claim(&world.cause(), &claim)).await;
        let Ok(Claimed::Placed(call)) = claimed else { panic!("{claimed:?}") };

        let report = CallReport { outcome: Some(Outcome::NoAnswer), ..CallReport::default() };
        let settlement = Settlement {
            call_id: &call.id,
            state: CallState::Ended,
            provider_call_id: Some("call-1"),
            report: &report,
            told: Told::All,
            hasher: &hasher,
        };
        let (ended, end) = metered(store.end_call(&world.cause(), &settlement)).await;
        assert!(matches!(ended, Ok(Ended::Applied { .. })), "{ended:?}");
        let (released, release) = metered(store.release(
            &world.cause(),
            &world.company,
            &hold.assignment_id,
            ReleaseReason::Requested,
        ))
        .await;
        assert!(matches!(released, Ok(Changed::Done(_))), "{released:?}");
        for ((_, costs), cost) in costs.iter_mut().zip([assign, repeated, claim_cost, end, release]) {
            costs.push(cost);
        }
    }
    costs
}

struct Crowd {
    costs: Vec<Cost>,
    order: f64,
}

/// All callers ask again and again, each for another lead each time, and give the number back at once: as many numbers
/// are held all the time. Answers their first requests and all the later ones.
async fn crowd(numbers: usize, held_percent: usize) -> (Crowd, Crowd) {
    let world = Arc::new(pool(numbers, held_percent).await);
    let latency = latency(numbers as u64);
    let queue = Arc::new(Mutex::new(free_in_order(&world).await));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (world, store, queue) =
            (world.clone(), world.local.stack.engine.store_behind(Some(latency.clone())), queue.clone());
        callers.spawn(async move {
            let mut grants = Vec::new();
            for time in 0..TIMES {
                let request = world.request(&format!("lead-{caller}-{time}"));
                let (assigned, cost) = metered(store.assign(&world.cause(), &request)).await;
                let Ok(Assigned::Granted(hold, _)) = assigned else { panic!("{assigned:?}") };
                let place = take(&queue, &hold.number);
                let released = store
                    .release(&world.cause(), &world.company, &hold.assignment_id, ReleaseReason::Requested)
                    .await;
                assert!(matches!(released, Ok(Changed::Done(_))), "{released:?}");
                queue.lock().expect("no panic").push(hold.number);
                grants.push((cost, place));
            }
            grants
        });
    }
    let grants = callers.join_all().await;
    let part = |times: std::ops::Range<usize>| {
        let grants: Vec<_> = grants.iter().flat_map(|grants| &grants[times.clone()]).collect();
        let order = grants.iter().map(|(_, place)| place).sum::<f64>() / grants.len() as f64;
        Crowd { costs: grants.iter().map(|(cost, _)| *cost).collect(), order }
    };
    (part(0..1), part(1..TIMES))
}

/// The numbers that are free, the one that has been longest first.
async fn free_in_order(world: &World) -> Vec<PhoneNumber> {
    let (store, mut free, mut after) = (world.store(), Vec::new(), None);
    loop {
        let (numbers, next) = store.numbers(&world.company, after.as_ref(), 1_000).await.expect("an answer");
        free.extend(numbers.into_iter().filter(|number| number.held_by.is_none()));
        after = next;
        if after.is_none() {
            break;
        }
    }
    free.sort_by_key(|number| number.available_at);
    free.into_iter().map(|number| number.number).collect()
}

/// Takes a number out of the queue; answers how far behind its head it stood: 0 at the head, 1 at the end.
fn take(queue: &Mutex<Vec<PhoneNumber>>, number: &PhoneNumber) -> f64 {
    let mut queue = queue.lock().expect("no panic");
    let place = queue.iter().position(|free| free == number).expect("a free number");
    let share = place as f64 / queue.len().saturating_sub(1).max(1) as f64;
    queue.remove(place);
    share
}

/// What it cost those who went without, when all callers wanted the last number at once.
async fn one_left(numbers: usize) -> Vec<Cost> {
    let world = Arc::new(pool(numbers, 0).await);
    for n in 0..numbers - 1 {
        assert!(matches!(world.assign(&format!("early-{n}")).await, Assigned::Granted(..)));
    }
    let latency = latency(1);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (world, store) = (world.clone(), world.local.stack.engine.store_behind(Some(latency.clone())));
        let request: Request = world.request(&format!("late-{caller}"));
        callers.spawn(async move { metered(store.assign(&world.cause(), &request)).await });
    }
    let answers = callers.join_all().await;
    let winners: BTreeSet<_> = answers
        .iter()
        .filter_map(|(answer, _)| match answer {
            Ok(Assigned::Granted(hold, _)) => Some(hold.lead.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(winners.len(), 1);
    let lost = answers.into_iter().filter(|(answer, _)| matches!(answer, Ok(Assigned::Exhausted { .. })));
    lost.map(|(_, cost)| cost).collect()
}
