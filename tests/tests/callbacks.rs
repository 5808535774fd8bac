//! Promised callbacks: made at their time, before leads that nobody waits for, and never against the law.

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, Timestamp};
use dialpool_tests::{Answer, World, script, with_numbers};
use serde_json::{Value, json};

const WAITS: Duration = Duration::from_mins(15);

fn talks(call_again: Option<Duration>) -> Ending {
    let talk = Duration::from_secs(40);
    Ending::Answered { talk, customer_hangs_up: true, opted_out: false, booked: false, call_again }
}

/// Everybody answers, and nobody asks for anything.
async fn quiet_world() -> World {
    World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await
}

async fn promise(world: &World, campaign: &CampaignId, request: Value) -> Answer {
    world.send("POST", &format!("/v1/campaigns/{campaign}/callbacks"), request).await
}

async fn contact(world: &World, campaign: &CampaignId, phone: &str) -> Value {
    let path = format!("/v1/campaigns/{campaign}/contacts");
    let listed = world.send("GET", &path, Value::Null).await.json;
    let contacts = listed["contacts"].as_array().expect("contacts");
    contacts.iter().find(|contact| contact["phone"] == phone).cloned().unwrap_or_default()
}

/// When each call was claimed, and to whom.
async fn claims(world: &World) -> Vec<(Timestamp, String)> {
    let books = world.books().await;
    let mut claims: Vec<_> = books
        .events()
        .iter()
        .filter_map(|event| match &event.data {
            EventData::CallClaimed { to, .. } => Some((event.time, to.to_string())),
            _ => None,
        })
        .collect();
    claims.sort();
    claims
}

async fn claims_to(world: &World, phone: &str) -> Vec<Timestamp> {
    claims(world).await.into_iter().filter(|(_, to)| to == phone).map(|(at, _)| at).collect()
}

#[tokio::test(start_paused = true)]
async fn who_asks_on_a_call_to_be_called_again_is_called_then_before_fresh_leads() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.webhook_duplicate_rate = 0.5;
        settings.simulator.webhook_delay_rate = 0.3;
        let again = script(talks(Some(WAITS)));
        settings.simulator.scripts.insert("+16465550100".parse().expect("a number"), again);
    })
    .await;
    with_numbers(&world, 60).await;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,asks\n").await;
    world.pass(Duration::from_secs(10)).await;
    let rows: String = (101..160).map(|n| format!("+1646555{n:04},lead-{n}\n")).collect();
    let path = format!("/v1/campaigns/{campaign}/contacts");
    assert_eq!(world.send_csv(&path, &format!("phone,lead\n{rows}")).await.status, 200);

    world.pass(Duration::from_mins(30)).await;

    let all = claims(&world).await;
    let again = claims_to(&world, "+16465550100").await;
    let (first, second) = (again[0], again[1]);
    let promised = second.since(first);
    // The call itself, and one that was on the line when the time came.
    assert!(promised >= WAITS && promised < WAITS + Duration::from_mins(4), "{promised:?}");
    let late = first + WAITS + Duration::from_mins(2);
    let between = all.iter().filter(|(at, _)| *at > late && *at < second).count();
    assert!(between <= 1, "{between} fresh leads were called first");
    let campaign = world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json;
    assert_ne!(campaign["contacts_open"], 0, "nobody else waited");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_callback_is_promised_in_the_leads_zone_and_kept_by_a_campaign_that_was_completed() {
    let world = quiet_world().await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(2, "phone,lead\n+16505550151,lead-1\n").await;
    world.pass(Duration::from_mins(10)).await;
    let path = format!("/v1/campaigns/{campaign}");
    assert_eq!(world.send("GET", &path, Value::Null).await.json["status"], "completed");

    let request = json!({ "phone": "+16505550151", "at": "2026-03-03T15:00" });
    let promised = promise(&world, &campaign, request.clone()).await;
    let moved =
        promise(&world, &campaign, json!({ "phone": "+16505550151", "at": "2026-03-03T15:00:20" })).await;
    let again = promise(&world, &campaign, request).await;
    world.pass(Duration::from_hours(36)).await;

    assert_eq!([promised.status, moved.status, again.status], [201, 201, 201], "{promised:?}");
    assert_eq!(promised.json["due_at"], "2026-03-03T23:00:00.000Z");
    let second = claims_to(&world, "+16505550151").await[1];
    let due: Timestamp = "2026-03-03T23:00:00Z".parse().expect("a moment");
    assert!(second >= due && second.since(due) < Duration::from_secs(5), "{second}");
    let campaign = world.send("GET", &path, Value::Null).await.json;
    assert_eq!((&campaign["status"], &campaign["answered"]), (&json!("completed"), &json!(2)));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_callback_for_a_closed_hour_is_made_when_the_next_one_opens() {
    let world = quiet_world().await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(2, "phone,lead\n+12125550151,lead-1\n").await;
    world.pass(Duration::from_mins(10)).await;

    let request = json!({ "phone": "+12125550151", "at": "2026-03-02T22:30" });
    let promised = promise(&world, &campaign, request).await;
    world.pass(Duration::from_hours(24)).await;

    assert_eq!(
        (&promised.json["at"], &promised.json["later"]),
        (&json!("2026-03-03T03:30:00.000Z"), &json!("hours"))
    );
    assert_eq!(promised.json["due_at"], "2026-03-03T13:00:05.000Z");
    let second = claims_to(&world, "+12125550151").await[1];
    assert_eq!(second.to_string().get(..16), Some("2026-03-03T13:00"));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_names_another_number_is_called_there_and_not_at_the_first() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.scripts.insert("+12125550151".parse().expect("a number"), script(Ending::Busy));
    })
    .await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(2, "phone,lead,name\n+12125550151,lead-1,Example Lead\n").await;
    world.pass(Duration::from_mins(2)).await;

    let request = json!({ "phone": "+12125550151", "number": "650-555-0152", "at": "2026-03-03T15:00" });
    let promised = promise(&world, &campaign, request.clone()).await;
    let again = promise(&world, &campaign, request).await;
    world.pass(Duration::from_hours(36)).await;

    assert_eq!([promised.status, again.status], [201, 201], "{promised:?}");
    assert_eq!((&promised.json["phone"], &promised.json["lead"]), (&json!("+16505550152"), &json!("lead-1")));
    let there = claims_to(&world, "+16505550152").await;
    assert_eq!(
        there.iter().map(|at| at.to_string()[..16].to_owned()).collect::<Vec<_>>(),
        ["2026-03-03T23:00"]
    );
    assert_eq!(claims_to(&world, "+12125550151").await.len(), 1);
    assert_eq!(contact(&world, &campaign, "+12125550151").await["done"], "other_number");
    assert_eq!(contact(&world, &campaign, "+16505550152").await["name"], "Example Lead");
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_promised_is_refused_and_nothing_is_changed() {
    let world = quiet_world().await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(2, "phone,lead\n+12125550151,lead-1\n+12125550152,lead-2\n").await;
    let opted_out = json!({ "phone": "+12125550152" });
    assert_eq!(world.send("POST", "/v1/suppressions", opted_out).await.status, 201);
    world.pass(Duration::from_mins(10)).await;
    let before = world.event_types().await.len();

    let good = "2026-03-03T15:00";
    for (request, status, field) in [
        (json!({ "phone": "+12125550151", "at": "2026-03-01T15:00" }), 422, Some("at")),
        (json!({ "phone": "+12125550151", "at": "2026-09-01T15:00" }), 422, Some("at")),
        (json!({ "phone": "+12125550151", "at": "tomorrow at 3" }), 422, None),
        (json!({ "phone": "+12125550151", "number": "+493023125000", "at": good }), 422, Some("at")),
        (json!({ "phone": "+12125550152", "at": good }), 409, None),
        (json!({ "phone": "+12125550151", "number": "+12125550152", "at": good }), 409, None),
        (json!({ "phone": "+12125550152", "number": "+16505550153", "at": good }), 409, None),
        (json!({ "phone": "+12125550159", "at": good }), 404, None),
    ] {
        let answer = promise(&world, &campaign, request.clone()).await;
        assert_eq!(answer.status, status, "{request} {answer:?}");
        assert!(field.is_none_or(|field| answer.wrong_fields() == [field]), "{answer:?}");
    }
    let elsewhere = CampaignId::new(world.now(), 7);
    assert_eq!(promise(&world, &elsewhere, json!({ "phone": "+12125550151", "at": good })).await.status, 404);
    assert_eq!(world.event_types().await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn who_was_reached_and_then_names_another_number_is_called_there_alone() {
    for call_again in [None, Some(Duration::from_hours(25))] {
        let world = World::with(|settings| {
            settings.simulator.answer_rate = 1.0;
            settings.simulator.opt_out_rate = 0.0;
            let first = script(talks(call_again));
            settings.simulator.scripts.insert("+12125550151".parse().expect("a number"), first);
        })
        .await;
        with_numbers(&world, 2).await;
        let campaign = world.campaign(2, "phone,lead\n+12125550151,lead-1\n").await;
        world.pass(Duration::from_mins(10)).await;

        let request = json!({ "phone": "+12125550151", "number": "+16505550152", "at": "2026-03-03T15:00" });
        let promised = promise(&world, &campaign, request).await;
        world.pass(Duration::from_hours(48)).await;

        assert_eq!(promised.status, 201, "{promised:?}");
        let calls =
            [claims_to(&world, "+12125550151").await.len(), claims_to(&world, "+16505550152").await.len()];
        assert_eq!(calls, [1, 1], "{call_again:?}");
        assert_eq!(contact(&world, &campaign, "+12125550151").await["done"], "other_number");
        assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
    }
}

/// What was agreed on after the call is the last word, also when the report of the call comes late.
#[tokio::test(start_paused = true)]
async fn a_late_report_does_not_replace_what_was_agreed_on_since() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.webhook_loss_rate = 0.0;
        let first = script(talks(Some(Duration::from_hours(2))));
        settings.simulator.scripts.insert("+12125550151".parse().expect("a number"), first);
    })
    .await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(2, "phone,lead\n+12125550151,lead-1\n").await;
    let reached = async || contact(&world, &campaign, "+12125550151").await["done"] == "reached";
    while !reached().await {
        world.pass(Duration::from_millis(200)).await;
    }

    let request = json!({ "phone": "+12125550151", "at": "2026-03-03T15:00" });
    let promised = promise(&world, &campaign, request).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!(promised.status, 201, "{promised:?}");
    let waits = contact(&world, &campaign, "+12125550151").await;
    assert_eq!(waits["due_at"], "2026-03-03T20:00:00.000Z", "{waits}");
}
