//! Seeded faults over the whole flow: lost requests and answers, crashes between any two steps, conflicts, throttling,
//! queries that leave out what transactions under way write, or everything; lost, repeated and late webhooks, calls that were made although the provider said nothing, two sweepers and pacers at
//! once, clocks that differ; retries, batches, pauses, opt-outs while a call waits at the provider, two withdrawals of it at once, a provider that is behind itself or left alone,
//! promised callbacks, ends of calling hours and both nights of a clock change. After each schedule the invariants are checked.
//! `just faults N` runs more of them.

use dialpool::audit::Stage;
use dialpool_domain::campaign::{CampaignCommand, Mode};
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, PhoneNumber};
use dialpool_dynamo::{Commanded, Lines, LinesInUse, Promise, Promised, StoreError};
use dialpool_tests::World;
use dialpool_tests::chaos::Chaos;
use serde_json::Value;

/// How many schedules a plain test run tries; `.ci/run` tries as many as three minutes have room for.
const SCHEDULES: u64 = 250;

/// So many schedules each of the two tests has to try, however slow the machine is, for a run of minutes to show anything.
const FEWEST_OF_EACH: u64 = 50;

fn skew(function: &str) -> i64 {
    match function.len() % 3 {
        0 => -1_000,
        1 => 0,
        _ => 1_000,
    }
}

/// When a schedule begins: at noon, shortly before the calling hours of Florida end, and on the evenings before both nights of a
/// clock change.
const BEGINNINGS: [&str; 4] =
    ["2026-03-02T17:00:00Z", "2026-03-03T00:35:00Z", "2026-03-08T00:40:00Z", "2026-10-31T23:45:00Z"];

/// Asks until there is an answer: what asks is under the same faults as everything else.
async fn insist<T>(world: &World, ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    for _ in 0..100 {
        if let Ok(answer) = ask().await {
            return answer;
        }
        world.pass(Duration::from_millis(300)).await;
    }
    panic!("no answer to the hundredth time of asking");
}

/// What people do meanwhile: somebody opts out, the campaign is paused and goes on, a callback is promised for the small hours.
async fn meddle(world: &World, seed: u64, campaign: &CampaignId) {
    let (store, company) = (world.store(), &world.company);
    world.pass(Duration::from_secs(5 + seed % 90)).await;
    if seed.is_multiple_of(3) {
        let person = serde_json::json!({ "phone": "+12125550151", "lead": "b" });
        while !matches!(world.send("POST", "/v1/suppressions", person.clone()).await.status, 200 | 201) {
            world.pass(Duration::from_millis(300)).await;
        }
    }
    if seed % 4 == 1 {
        let at = world.now() + Duration::from_hours(9) + Duration::from_mins(seed % 50);
        let number: PhoneNumber = "+14155550150".parse().expect("a number");
        let promise = Promise { campaign, phone: &number, at, due_at: at };
        let _: Promised =
            insist(world, async || store.promise_callback(&world.cause(), company, &promise).await).await;
    }
    if seed % 6 == 5 {
        // Somebody calls back, once before and once while somebody may be called, and each report comes twice.
        for call in [1, 1, 2, 2] {
            let data = if call == 2 && seed % 4 == 3 {
                serde_json::json!({ "opted_out": true })
            } else {
                Value::Null
            };
            let report = serde_json::json!({ "message": {
                "type": "end-of-call-report",
                "endedReason": "customer-ended-call",
                "endedAt": world.now(),
                "phoneNumber": { "number": "+14155550101" },
                "customer": { "number": "+13055550152" },
                "analysis": { "structuredData": data },
                "call": { "id": format!("inbound-{call}"), "type": "inboundPhoneCall" },
            }});
            let secret = [("x-vapi-secret", "local-webhook-secret")];
            while world.send_with("POST", "/v1/webhooks/vapi", report.clone(), &secret).await.status != 200 {
                world.pass(Duration::from_millis(300)).await;
            }
            world.pass(Duration::from_secs(20)).await;
        }
    }
    if seed % 5 == 2 {
        for command in [CampaignCommand::Pause, CampaignCommand::Resume] {
            let asked = async || store.command_campaign(&world.cause(), company, campaign, command).await;
            let _: Commanded = insist(world, asked).await;
            world.pass(Duration::from_mins(3)).await;
        }
    }
    // What waits at the provider is withdrawn twice at once: for the campaign, and for the company.
    if seed.is_multiple_of(2) {
        let lines = Lines::Company(company.clone());
        for (command, reason) in [(CampaignCommand::Pause, Some("test")), (CampaignCommand::Resume, None)] {
            let commanded = async || store.command_campaign(&world.cause(), company, campaign, command).await;
            let stopped = async || store.stop(&world.cause(), &lines, None, reason).await;
            let _: (Commanded, LinesInUse) = tokio::join!(insist(world, commanded), insist(world, stopped));
            world.pass(Duration::from_secs(20 + seed % 60)).await;
        }
    }
}

/// One schedule: a campaign under faults for a while, then without until it is over.
async fn schedule(seed: u64) -> (Vec<String>, u64) {
    let chaos = Chaos::new(seed, 4 + seed % 12);
    let beginning = BEGINNINGS[(seed / 7 % 4) as usize];
    let world = World::starting(beginning, |settings| {
        settings.seed = seed;
        settings.simulator.seed = seed;
        let faults = &mut settings.simulator;
        faults.answer_rate = 0.7;
        faults.voicemail_rate = 0.0;
        faults.busy_rate = 0.2;
        faults.invalid_rate = 0.1;
        faults.opt_out_rate = 0.2;
        faults.callback_rate = 0.2;
        faults.dead_air_rate = 0.3;
        faults.mean_call = Duration::from_secs(20);
        // A call that waits at the provider can be taken back.
        faults.queue_time = Duration::from_secs(if seed.is_multiple_of(3) { 20 } else { 0 });
        // And one that is behind itself does not know what it has.
        faults.lag = Duration::from_secs(if seed.is_multiple_of(5) { 40 } else { 0 });
        faults.refusal_rate = 0.03;
        faults.rate_limit_rate = 0.05;
        // Every eleventh provider fails so often that it is left alone for a while.
        faults.error_before_rate = if seed.is_multiple_of(11) { 0.6 } else { 0.05 };
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
    let mode = if seed % 4 == 2 { Mode::Batch } else { Mode::Continuous };
    let campaign = world.quiet_campaign_in(mode, 2, contacts).await;
    chaos.begin();
    world.local.stack.tick("CampaignPacer").await;
    meddle(&world, seed, &campaign).await;

    world.pass(Duration::from_mins(10)).await;
    tokio::join!(world.local.stack.tick("ReleaseSweeper"), world.local.stack.tick("ReleaseSweeper"));
    tokio::join!(world.local.stack.tick("CampaignPacer"), world.local.stack.tick("CampaignPacer"));
    world.pass(Duration::from_mins(20)).await;
    let mut violations = world.violations(Stage::UnderWay).await;

    chaos.stop();
    world.local.simulator.set_faults(false);
    // A report that was lost is asked for hours later, and what it tells may open a campaign again.
    let mut quiet_hours = 0;
    for _hour in 0..240 {
        world.pass(Duration::from_hours(1)).await;
        quiet_hours = if world.is_over().await { quiet_hours + 1 } else { 0 };
        if quiet_hours == 5 {
            break;
        }
    }
    world.local.quiet().await;
    violations.extend(world.violations(Stage::Finished).await);
    (violations, chaos.injected())
}

/// Returns how many schedules there were.
fn run(seeds: impl Iterator<Item = u64>) -> u64 {
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
    schedules
}

/// The seeds until the minutes are over, of which real time is the measure: schedules run in virtual time.
#[expect(clippy::disallowed_methods, reason = "a run of so many minutes ends by the clock on the wall")]
fn run_for(minutes: u64, seeds: impl Iterator<Item = u64>) {
    let began = std::time::Instant::now();
    let schedules = run(seeds.take_while(|_| began.elapsed() < Duration::from_mins(minutes)));
    println!("{schedules} schedules in {minutes} minutes");
    assert!(
        schedules >= FEWEST_OF_EACH,
        "only {schedules} schedules in {minutes} minutes: they show too little"
    );
}

fn share(part: u64) {
    if let Ok(seed) = std::env::var("DIALPOOL_FAULT_SEED") {
        if part == 0 {
            run(std::iter::once(seed.parse().expect("a seed")));
        }
        return;
    }
    if let Ok(minutes) = std::env::var("DIALPOOL_FAULT_MINUTES") {
        return run_for(minutes.parse().expect("a number of minutes"), (part..).step_by(2));
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
