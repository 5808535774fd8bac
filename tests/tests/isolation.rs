//! Queries that find nothing although something is there: DynamoDB isolates them from transactions as read-committed.

use dialpool::audit::Stage;
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Assigned, Waiting};
use dialpool_tests::chaos::nothing_at_first;
use dialpool_tests::{World, lead, with_numbers};
use serde_json::Value;

/// A stack in which every query finds nothing at first.
async fn short_sighted() -> World {
    let world = World::with(|settings| {
        settings.intercept = Some(nothing_at_first());
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await;
    with_numbers(&world, 4).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_lead_gets_a_number_although_a_query_shows_none() {
    let world = short_sighted().await;

    let assigned = world.send("POST", "/v1/assignments", serde_json::json!({ "lead": "lead-1" })).await;

    assert_eq!(assigned.status, 201, "{assigned:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_with_nothing_free_says_so_after_two_readings() {
    let world = World::new().await;
    with_numbers(&world, 1).await;
    assert!(matches!(world.assign("first").await, Assigned::Granted(..)));
    let before = world.local.stack.engine.requests()["DynamoDB.Query"];

    let second = world.assign("second").await;

    assert!(matches!(second, Assigned::Exhausted { next_at: Some(_) }), "{second:?}");
    assert_eq!(world.local.stack.engine.requests()["DynamoDB.Query"] - before, 2);
}

#[tokio::test(start_paused = true)]
async fn everybody_is_called_although_queries_show_nobody_due() {
    let world = short_sighted().await;
    let rows: String = (0..4).map(|n| format!("+1646555{:04},lead-{n}\n", 100 + n)).collect();

    world.campaign(1, &format!("phone,lead\n{rows}")).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!(world.local.simulator.ledger().len(), 4);
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn lists_are_not_empty_because_a_query_is() {
    let world = short_sighted().await;
    let rows: String = (0..3).map(|n| format!("+1646555{:04},lead-{n}\n", 100 + n)).collect();
    let campaign = world.campaign(1, &format!("phone,lead\n{rows}")).await;

    let path = format!("/v1/campaigns/{campaign}/contacts");
    let contacts = world.send("GET", &path, Value::Null).await.json;
    let numbers = world.send("GET", "/v1/numbers", Value::Null).await.json;
    let pool = world.send("GET", "/v1/pool", Value::Null).await.json;

    assert_eq!(contacts["contacts"].as_array().map(Vec::len), Some(3), "{contacts}");
    assert_eq!(numbers["numbers"].as_array().map(Vec::len), Some(4), "{numbers}");
    let known = ["assigned", "available", "resting"].map(|state| pool[state].as_u64().unwrap_or_default());
    assert_eq!(known.iter().sum::<u64>(), 4, "{pool}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_seen_although_a_query_shows_nobody() {
    let world = short_sighted().await;
    let hold_hours = dialpool_domain::pool::HoldHours::default();
    let waiting = Waiting { lead: lead("waits"), since: world.now(), hold_hours, area: None, region: None };
    world.store().wait(&world.company, &waiting).await.expect("an answer");

    // The first run does not see that anybody waits in the company: the next is its second reading.
    for _run in 0..2 {
        world.local.stack.tick("ReleaseSweeper").await;
    }
    world.local.quiet().await;

    let held = world.store().hold_of(world.now(), &world.company, &waiting.lead).await.expect("an answer");
    assert!(held.is_some());
}
