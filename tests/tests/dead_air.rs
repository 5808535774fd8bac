//! Dead air: answered calls in which nobody of ours speaks for two seconds are counted, told, and pause their campaign.

use dialpool::audit::Stage;
use dialpool_domain::CampaignId;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, with_numbers};
use serde_json::{Value, json};

/// A provider at which everybody answers and talks, and of whose calls so many begin with silence.
async fn world(dead_air_rate: f64) -> World {
    let world = World::with(|settings| {
        // Numbers enough for everybody: nothing waits for a schedule.
        settings.schedule_stretch = 60;
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.booking_rate = 0.0;
        settings.simulator.dead_air_rate = dead_air_rate;
    })
    .await;
    with_numbers(&world, 90).await;
    world
}

fn people(from: u32, count: u32) -> String {
    let rows: String = (from..from + count).map(|n| format!("+1646555{n:04},lead-{n}\n")).collect();
    format!("phone,lead\n{rows}")
}

async fn shown(world: &World, campaign: &CampaignId) -> Value {
    world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json
}

fn figures(shown: &Value) -> (u64, u64) {
    let count = |name: &str| shown["dead_air"][name].as_u64().expect("a count");
    (count("measured"), count("silent"))
}

/// What was told of campaigns, and of their dead air.
fn told(world: &World) -> Vec<(String, Value)> {
    let events = world.local.stack.engine.bus_events().into_iter();
    let of_campaigns = events.filter(|event| {
        event.detail_type == "campaign.dead_air_high" || event.detail["data"]["to"] == "paused"
    });
    of_campaigns.map(|event| (event.detail_type, event.detail["data"].clone())).collect()
}

async fn report(world: &World, call: &Value, artifact: Value) {
    let body = json!({ "message": {
        "type": "end-of-call-report",
        "endedReason": "customer-ended-call",
        "artifact": artifact,
        "call": { "id": call["provider_call_id"], "name": call["id"] },
    }});
    let secret = [("x-vapi-secret", "local-webhook-secret")];
    assert_eq!(world.send_with("POST", "/v1/webhooks/vapi", body, &secret).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_whose_calls_begin_with_silence_is_paused_and_the_event_has_the_figures() {
    let world = world(0.2).await;
    let campaign = world.campaign(4, &people(100, 80)).await;

    world.pass(Duration::from_hours(2)).await;

    let paused = shown(&world, &campaign).await;
    let (measured, silent) = figures(&paused);
    assert_eq!(paused["status"], "paused", "{paused}");
    assert!((50..=54).contains(&measured) && silent >= 2, "{silent} of {measured}");
    assert!(paused["contacts_open"].as_u64().expect("a count") >= 26, "{paused}");
    let percent = paused["dead_air"]["percent"].as_f64().expect("a share");
    assert!((percent - silent as f64 * 100.0 / measured as f64).abs() < 0.01, "{paused}");
    let told = told(&world);
    let (kind, data) = told.last().expect("an event");
    assert_eq!(
        (kind.as_str(), &data["from"], &data["to"]),
        ("campaign.status_changed", &json!("running"), &json!("paused"))
    );
    let at_pause = (data["dead_air"]["measured"].as_u64(), data["dead_air"]["silent"].as_u64());
    assert!(at_pause.0 >= Some(50) && at_pause.1 >= Some(2), "{data}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_few_silent_calls_of_a_few_calls_pause_nothing() {
    let world = world(1.0).await;
    let campaign = world.campaign(4, &people(100, 30)).await;

    world.pass(Duration::from_hours(2)).await;

    let ended = shown(&world, &campaign).await;
    let (measured, silent) = figures(&ended);
    assert_eq!((&ended["status"], &ended["answered"]), (&json!("completed"), &json!(30)));
    // A person who hangs up within two seconds, of the answer or of the own greeting, waits for nobody.
    assert!(measured == silent && (20..50).contains(&measured), "{ended}");
    assert_eq!(told(&world), []);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_campaign_whose_assistant_speaks_at_once_goes_on() {
    let world = world(0.0).await;
    let campaign = world.campaign(4, &people(100, 80)).await;

    world.pass(Duration::from_hours(2)).await;

    let ended = shown(&world, &campaign).await;
    assert_eq!((&ended["status"], figures(&ended)), (&json!("completed"), (80, 0)));
    assert_eq!(ended["dead_air"]["percent"], json!(0.0));
    assert_eq!(told(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_that_is_resumed_is_paused_again_by_the_next_silent_call_only() {
    let world = world(0.2).await;
    let campaign = world.campaign(4, &people(100, 90)).await;
    world.pass(Duration::from_hours(2)).await;
    let (measured, silent) = figures(&shown(&world, &campaign).await);

    let resumed = world.send("POST", &format!("/v1/campaigns/{campaign}/resume"), Value::Null).await;
    world.pass(Duration::from_hours(2)).await;

    assert_eq!(resumed.status, 200);
    let after = shown(&world, &campaign).await;
    let (measured_after, silent_after) = figures(&after);
    assert!(measured_after > measured, "{after}");
    assert_eq!((&after["status"], silent_after > silent), (&json!("paused"), true), "{after}");
    let pauses = told(&world).iter().filter(|(_, data)| data["to"] == "paused").count();
    assert_eq!(pauses, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_thirty_days_does_not_count() {
    let world = world(1.0).await;
    let campaign = world.campaign(4, &people(100, 10)).await;
    world.pass(Duration::from_hours(2)).await;
    let first = figures(&shown(&world, &campaign).await);

    world.pass(Duration::from_hours(29 * 24)).await;
    let in_thirty_days = figures(&shown(&world, &campaign).await);
    world.pass(Duration::from_hours(24)).await;
    let after = shown(&world, &campaign).await;

    assert!(first.0 >= 8, "{first:?}");
    assert_eq!((in_thirty_days, figures(&after)), (first, (0, 0)));
    assert_eq!(after["dead_air"]["percent"], Value::Null);
}

/// The end is told first, without a word of what was said; then the report comes, twice.
#[tokio::test(start_paused = true)]
async fn a_call_is_counted_once_when_its_times_are_told_after_its_end_and_not_at_all_when_they_never_are() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.mean_call = Duration::from_hours(1);
    })
    .await;
    with_numbers(&world, 3).await;
    let campaign = world.campaign(3, &people(100, 3)).await;
    world.pass(Duration::from_mins(1)).await;
    let calls = world.send("GET", "/v1/calls", Value::Null).await.json["calls"].clone();
    let bot = |seconds: f64| json!({ "messages": [{ "role": "bot", "message": "Hi.", "secondsFromStart": seconds }] });
    for call in 0..3 {
        report(&world, &calls[call], Value::Null).await;
    }
    world.pass(Duration::from_secs(5)).await;
    let untold = figures(&shown(&world, &campaign).await);

    for _twice in 0..2 {
        report(&world, &calls[0], bot(2.4)).await;
        report(&world, &calls[1], bot(1.2)).await;
        world.pass(Duration::from_secs(5)).await;
    }

    let ended = shown(&world, &campaign).await;
    assert_eq!((untold, figures(&ended), &ended["answered"]), ((0, 0), (2, 1), &json!(3)));
    let path = format!("/v1/calls/{}", calls[0]["id"].as_str().expect("an id"));
    assert_eq!(world.send("GET", &path, Value::Null).await.json["silence_ms"], 2_400);
}
