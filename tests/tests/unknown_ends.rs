//! Calls that were in progress and of whose end nobody told: for a person, and put right by a late report.

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, script, talk_of, with_numbers};
use serde_json::{Value, json};

const SECRET: [(&str, &str); 1] = [("x-vapi-secret", "local-webhook-secret")];

/// A company of two numbers, and one person who is called.
async fn world(ending: Ending, lost: bool) -> World {
    let world = World::with(|settings| {
        settings.simulator.scripts.insert("+16465550100".parse().expect("a number"), script(ending));
        settings.simulator.webhook_loss_rate = if lost { 1.0 } else { 0.0 };
    })
    .await;
    with_numbers(&world, 2).await;
    world
}

async fn contact(world: &World, campaign: &str) -> Value {
    let path = format!("/v1/campaigns/{campaign}/contacts");
    world.send("GET", &path, Value::Null).await.json["contacts"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_in_progress_and_never_ended_is_for_a_person_and_not_called_again() {
    let world = world(talk_of(Duration::from_hours(60)), false).await;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;

    world.pass(Duration::from_hours(50)).await;

    assert_eq!(world.local.simulator.ledger().len(), 1);
    let contact = contact(&world, campaign.as_str()).await;
    assert_eq!(contact["done"], "end_unknown", "{contact}");
    let tasks = world.send("GET", "/v1/tasks", Value::Null).await.json["tasks"].clone();
    assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks}");
    assert_eq!((&tasks[0]["kind"], &tasks[0]["lead"]), (&json!("call_end_unknown"), &json!("lead-1")));
    let call = world.send("GET", "/v1/calls", Value::Null).await.json["calls"][0].clone();
    let number = call["from"].as_str().expect("a number").to_owned();
    let number = world.send("GET", &format!("/v1/numbers/{number}"), Value::Null).await.json;
    assert_eq!(number["answered"], 0, "nobody knows that it was answered by a person: {number}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_late_report_of_a_talk_puts_an_unknown_end_right() {
    let world = world(talk_of(Duration::from_hours(5)), false).await;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    world.pass(Duration::from_hours(3)).await;
    let before = contact(&world, campaign.as_str()).await["done"].clone();

    world.pass(Duration::from_hours(3)).await;

    assert_eq!(
        (before, contact(&world, campaign.as_str()).await["done"].clone()),
        (json!("end_unknown"), json!("reached"))
    );
    let call = world.send("GET", "/v1/calls", Value::Null).await.json["calls"][0].clone();
    assert_eq!((&call["state"], &call["outcome"]), (&json!("ended"), &json!("answered")), "{call}");
    let found = world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json;
    assert_eq!((&found["answered"], &found["failed"]), (&json!(1), &json!(0)), "{found}");
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_late_report_of_a_voicemail_has_the_contact_called_again() {
    let world = world(talk_of(Duration::from_hours(60)), false).await;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    world.pass(Duration::from_hours(3)).await;
    let name = world.local.simulator.ledger()[0].name.clone();
    let report = json!({ "message": {
        "type": "end-of-call-report", "timestamp": world.now().as_millis(), "endedReason": "voicemail",
        "endedAt": world.now().to_string(), "cost": 0.1,
        "call": { "id": world.local.simulator.ledger()[0].provider_call_id, "name": name },
    }});

    let told = world.send_with("POST", "/v1/webhooks/vapi", report, &SECRET).await;
    world.pass(Duration::from_mins(1)).await;

    assert_eq!(told.status, 200, "{told:?}");
    let contact = contact(&world, campaign.as_str()).await;
    assert_eq!((&contact["status"], &contact["done"]), (&json!("pending"), &Value::Null), "{contact}");
    let found = world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json;
    assert_eq!(
        (&found["status"], &found["contacts_open"], &found["voicemails"]),
        (&json!("running"), &json!(1), &json!(1))
    );
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

/// Of a call that only rang, nobody was on the line: it is retried as before.
#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_heard_of_and_that_ends_in_time_is_as_it_is_told() {
    let world = world(talk_of(Duration::from_secs(40)), true).await;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;

    world.pass(Duration::from_hours(2)).await;

    assert_eq!(contact(&world, campaign.as_str()).await["done"], "reached");
    assert_eq!(world.send("GET", "/v1/tasks", Value::Null).await.json["tasks"], json!([]));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}
