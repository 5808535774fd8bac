//! What a campaign cost is what its calls cost, to the ten-thousandth of a dollar, however their reports come.

use dialpool_domain::Usd;
use dialpool_domain::time::Duration;
use dialpool_tests::World;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const REPORT: &str = include_str!("../../events/vapi/end-of-call-report-answered.json");
const SECRET: [(&str, &str); 1] = [("x-vapi-secret", "local-webhook-secret")];

/// Another report on a call that is over at the provider, with a cost of its own.
fn report(id: &str, name: &str, customer: &str, cost: i64) -> Value {
    let mut report: Value = serde_json::from_str(REPORT).expect("JSON");
    let message = &mut report["message"];
    message["cost"] = json!(cost as f64 / 10_000.0);
    message["call"]["id"] = json!(id);
    message["call"]["name"] = json!(name);
    message["customer"]["number"] = json!(customer);
    report
}

/// An amount as it is written: with four decimals, as text.
fn amount(value: &Value) -> Usd {
    let text = value.as_str().expect("text");
    assert_eq!(text.split_once('.').map(|(_, decimals)| decimals.len()), Some(4), "{text}");
    text.parse().expect("an amount")
}

/// A campaign whose reports are lost, late, repeated, and contradicted.
async fn campaign(seed: u64) {
    let mut chance = ChaCha12Rng::seed_from_u64(seed);
    let world = World::with(|settings| {
        settings.seed = seed;
        let provider = &mut settings.simulator;
        provider.seed = seed;
        provider.answer_rate = 0.7;
        provider.opt_out_rate = 0.0;
        provider.mean_call = Duration::from_secs(30);
        provider.cost_per_minute = Usd::from_ten_thousandths(chance.random_range(1..50_000));
        provider.webhook_loss_rate = 0.15;
        provider.webhook_duplicate_rate = 0.5;
        provider.webhook_delay_rate = 0.4;
    })
    .await;
    // Who is reached keeps a number: there is one for each.
    let numbers: Vec<String> = (0..6).map(|n| format!("+1212555{:04}", 100 + n)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let rows: String = (0..6).map(|n| format!("+1646555{:04},lead-{n}\n", 100 + n)).collect();
    let id = world.campaign(3, &format!("phone,lead\n{rows}")).await;

    for _ in 0..40 {
        world.pass(Duration::from_secs(chance.random_range(1..90))).await;
        let over = world.local.simulator.ledger().into_iter().filter(|call| call.ended_at.is_some());
        let over: Vec<_> = over.collect();
        if over.is_empty() {
            continue;
        }
        let call = &over[chance.random_range(0..over.len())];
        let cost = chance.random_range(0..200_000);
        let report = report(&call.provider_call_id, &call.name, &call.customer, cost);
        let answer = world.send_with("POST", "/v1/webhooks/vapi", report, &SECRET).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    world.local.simulator.set_faults(false);
    world.pass(Duration::from_hours(2)).await;

    let campaign = world.send("GET", &format!("/v1/campaigns/{id}"), Value::Null).await.json;
    let calls = world.send("GET", &format!("/v1/campaigns/{id}/calls?limit=100"), Value::Null).await.json;
    let calls = calls["calls"].as_array().expect("calls");
    let costs: Vec<Usd> =
        calls.iter().map(|call| &call["cost"]).filter(|cost| !cost.is_null()).map(amount).collect();
    assert!(costs.len() >= 6, "seed {seed}: {calls:?}");
    assert_eq!(amount(&campaign["cost"]), costs.into_iter().sum(), "seed {seed}: {calls:?}");
}

#[test]
fn a_campaign_costs_what_its_calls_cost_however_reports_come() {
    for seed in 0..12 {
        let virtual_time = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        virtual_time.block_on(campaign(seed));
    }
}
