//! Seeded faults over the whole flow: lost requests and answers, crashes between any two steps, conflicts, throttling,
//! lost, repeated and late webhooks, calls that were made although the provider said nothing, two sweepers and pacers at
//! once, clocks that differ. After each schedule the invariants are checked. `just faults N` runs more of them.

use dialpool::audit::Stage;
use dialpool_domain::time::Duration;
use dialpool_tests::World;
use dialpool_tests::chaos::Chaos;

/// How many schedules a plain test run tries; `.ci/run` tries four times as many.
const SCHEDULES: u64 = 500;

fn skew(function: &str) -> i64 {
    match function.len() % 3 {
        0 => -1_000,
        1 => 0,
        _ => 1_000,
    }
}

/// One schedule: a campaign under faults for a while, then without until it is over.
async fn schedule(seed: u64) -> (Vec<String>, u64) {
    let chaos = Chaos::new(seed, 4 + seed % 12);
    let world = World::with(|settings| {
        settings.seed = seed;
        settings.simulator.seed = seed;
        let faults = &mut settings.simulator;
        faults.answer_rate = 0.7;
        faults.voicemail_rate = 0.0;
        faults.busy_rate = 0.2;
        faults.invalid_rate = 0.1;
        faults.opt_out_rate = 0.2;
        faults.mean_call = Duration::from_secs(20);
        faults.refusal_rate = 0.03;
        faults.rate_limit_rate = 0.05;
        faults.error_before_rate = 0.05;
        faults.error_after_rate = 0.08;
        faults.accept_then_timeout_rate = 0.08;
        faults.webhook_loss_rate = 0.1;
        faults.webhook_duplicate_rate = 0.2;
        faults.webhook_delay_rate = 0.2;
        settings.intercept = Some(chaos.intercept());
        settings.sdk_retries = false;
        settings.clock_skew_ms = skew;
        settings.schedule_stretch = 20;
    })
    .await;
    world.add_numbers(&["+14155550101", "+12125550102"]).await;
    let contacts = "phone,lead\n+14155550150,a\n+12125550151,b\n+13055550152,c\n";
    world.quiet_campaign(2, contacts).await;
    chaos.begin();
    world.local.stack.tick("CampaignPacer").await;

    world.pass(Duration::from_mins(10)).await;
    tokio::join!(world.local.stack.tick("ReleaseSweeper"), world.local.stack.tick("ReleaseSweeper"));
    tokio::join!(world.local.stack.tick("CampaignPacer"), world.local.stack.tick("CampaignPacer"));
    world.pass(Duration::from_mins(20)).await;
    let mut violations = world.violations(Stage::UnderWay).await;

    chaos.stop();
    world.local.simulator.set_faults(false);
    for _half_hour in 0..120 {
        world.pass(Duration::from_mins(30)).await;
        if world.is_over().await {
            break;
        }
    }
    world.pass(Duration::from_hours(1)).await;
    world.local.quiet().await;
    violations.extend(world.violations(Stage::Finished).await);
    (violations, chaos.injected())
}

fn run(seeds: impl Iterator<Item = u64>) {
    let (mut schedules, mut faults) = (0_u64, 0);
    for seed in seeds {
        let virtual_time = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (violations, injected) = virtual_time.block_on(schedule(seed));
        assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
        schedules += 1;
        faults += injected;
    }
    println!("{schedules} schedules, {faults} requests met a fault, 0 violations");
    assert!(faults >= schedules, "next to nothing went wrong: the test shows nothing");
}

fn share(part: u64) {
    if let Ok(seed) = std::env::var("DIALPOOL_FAULT_SEED") {
        if part == 0 {
            run(std::iter::once(seed.parse().expect("a seed")));
        }
        return;
    }
    let schedules =
        std::env::var("DIALPOOL_FAULT_SCHEDULES").map_or(SCHEDULES, |count| count.parse().expect("a count"));
    run((0..schedules).filter(|seed| seed % 2 == part));
}

#[test]
fn no_invariant_is_violated_under_faults_even_seeds() {
    share(0);
}

#[test]
fn no_invariant_is_violated_under_faults_odd_seeds() {
    share(1);
}
