//! What one call finds out of a number, every later call of the company knows: whichever campaign it is of.

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, script, talk_of, with_numbers};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);
const PHONE: &str = "+16465550150";

/// A provider at which calls to `PHONE` end like this, and everybody else answers.
async fn world(ending: Ending) -> World {
    let world = World::with(|settings| {
        settings.schedule_stretch = 60;
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.scripts.insert(PHONE.parse().expect("a number"), script(ending));
    })
    .await;
    with_numbers(&world, 4).await;
    world
}

async fn contact(world: &World, campaign: &str) -> Value {
    let path = format!("/v1/campaigns/{campaign}/contacts");
    world.send("GET", &path, Value::Null).await.json["contacts"][0].clone()
}

/// Calls to `PHONE` that the provider made.
fn calls(world: &World) -> usize {
    world.local.simulator.ledger().iter().filter(|call| call.customer == PHONE).count()
}

const CONTACTS: &str = "phone,lead\n+16465550150,lead-1\n";

#[tokio::test(start_paused = true)]
async fn a_number_found_invalid_in_one_campaign_is_dialed_by_no_campaign_for_thirty_days_and_then_again() {
    let world = world(Ending::InvalidNumber).await;
    let first = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;
    let found = contact(&world, first.as_str()).await;

    let second = world.campaign(1, "phone,lead\n+16465550150,lead-2\n+16465550151,lead-3\n").await;
    world.pass(DAY).await;
    let next_day = contact(&world, second.as_str()).await;
    world.pass(DAY * 28).await;
    let third = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(30)).await;
    let after_29_days = (contact(&world, third.as_str()).await["done"].clone(), calls(&world));
    world.pass(DAY).await;
    let fourth = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(30)).await;

    let attempts = |contact: &Value| contact["attempts"].as_array().map_or(0, Vec::len);
    assert_eq!((&found["done"], attempts(&found)), (&json!("invalid_number"), 1));
    assert_eq!((&next_day["done"], attempts(&next_day)), (&json!("invalid_number"), 0), "{next_day}");
    assert_eq!(after_29_days, (json!("invalid_number"), 1));
    let again = contact(&world, fourth.as_str()).await;
    assert_eq!((&again["done"], attempts(&again), calls(&world)), (&json!("invalid_number"), 1, 2));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_preflight_says_how_many_numbers_were_found_invalid_lately() {
    let world = world(Ending::InvalidNumber).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;
    let request = json!({ "name": "Next", "assistant_id": "a-1", "consent_required": "none" });
    let next =
        world.send("POST", "/v1/campaigns", request).await.json["id"].as_str().expect("an id").to_owned();
    let two = "phone,lead\n+16465550150,lead-1\n+16465550151,lead-2\n";
    assert_eq!(world.send_csv(&format!("/v1/campaigns/{next}/contacts"), two).await.status, 200);

    let ahead = async || {
        let found = world.send("POST", &format!("/v1/campaigns/{next}/preflight"), Value::Null).await.json;
        ["now", "invalid_number", "unknown_time_zone"].map(|name| found[name].as_u64().expect("a count"))
    };

    let today = ahead().await;
    world.pass(DAY * 30).await;
    assert_eq!((today, ahead().await), ([1, 1, 0], [2, 0, 0]));
}

/// The provider of a campaign of its own asks, and Dialpool answers by the same rules.
#[tokio::test(start_paused = true)]
async fn a_campaign_of_the_providers_own_may_not_call_a_number_that_was_found_invalid() {
    let world = world(Ending::InvalidNumber).await;
    for phone in [PHONE, "+16465550151"] {
        let given =
            json!({ "phone": phone, "kind": "express_written", "evidence": "form 7", "text": "I agree" });
        assert_eq!(world.send("POST", "/v1/consents", given).await.status, 201);
    }
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;

    let may = async |phone: &str| {
        let question = json!({ "message": {
            "type": "campaign.predial",
            "phoneNumber": { "number": "+12125550103" },
            "customer": { "number": phone },
        }});
        let secret = [("x-vapi-secret", "local-webhook-secret")];
        world.send_with("POST", "/v1/webhooks/vapi", question, &secret).await.json["eligible"].clone()
    };

    assert_eq!([may(PHONE).await, may("+16465550151").await], [json!(false), json!(true)]);
}

#[tokio::test(start_paused = true)]
async fn another_company_finds_out_for_itself_that_a_number_is_invalid() {
    let world = world(Ending::InvalidNumber).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;
    let other = "other".parse().expect("a company");
    let key = format!("Bearer {}", world.local.company(&other, "Other").await.expect("a key"));
    let send = async |path: &str, kind: &str, body: &str| {
        let sent = world.send_as(&key, "POST", path, kind, body.as_bytes().to_vec(), &[]).await;
        assert!(sent.status < 300, "{sent:?}");
        sent.json
    };
    send("/v1/numbers:import", "text/csv", "number,vapi_id\n+17185550100,pn-o-1\n").await;
    let request = json!({ "name": "Theirs", "assistant_id": "a-o", "consent_required": "none" }).to_string();
    let made = send("/v1/campaigns", "application/json", &request).await;
    let path = format!("/v1/campaigns/{}", made["id"].as_str().expect("an id"));
    send(&format!("{path}/contacts"), "text/csv", CONTACTS).await;

    send(&format!("{path}/start"), "application/json", "null").await;
    world.pass(Duration::from_mins(10)).await;

    assert_eq!(calls(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_left_once_in_three_days_and_the_calls_between_take_place_without_it() {
    let world = world(Ending::Voicemail { talk: Duration::from_secs(9) }).await;
    world.campaign(1, CONTACTS).await;

    world.pass(DAY * 7).await;

    let calls = world.local.simulator.ledger();
    let left: Vec<bool> = calls.iter().map(|call| call.left_message).collect();
    assert_eq!(left, [true, false, false, false, true], "{calls:#?}");
    let mut told = Vec::new();
    for call in &calls {
        told.push(
            world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await.json["voicemail"]
                .clone(),
        );
    }
    assert_eq!(told, ["leave", "skip", "skip", "skip", "leave"]);
    let list = world.send("GET", "/v1/calls", Value::Null).await.json;
    assert_eq!(
        (&list["calls"][0]["voicemail"], &list["calls"][1]["voicemail"]),
        (&json!("leave"), &json!("skip"))
    );
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_one_campaign_counts_for_the_calls_of_the_next() {
    let world = world(Ending::Voicemail { talk: Duration::from_secs(9) }).await;
    let first = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;
    let cancelled = world.send("POST", &format!("/v1/campaigns/{first}/cancel"), Value::Null).await;
    assert_eq!(cancelled.status, 200);

    let second = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(2)).await;
    world.send("POST", &format!("/v1/campaigns/{second}/cancel"), Value::Null).await;
    world.pass(DAY * 3).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(2)).await;

    let left: Vec<bool> = world.local.simulator.ledger().iter().map(|call| call.left_message).collect();
    assert_eq!(left, [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_that_leaves_no_messages_keeps_no_other_from_leaving_one() {
    let world = world(Ending::Voicemail { talk: Duration::from_secs(9) }).await;
    let request = json!({
        "name": "Quiet", "assistant_id": "a-1", "consent_required": "none", "voicemail": "skip",
    });
    let quiet =
        world.send("POST", "/v1/campaigns", request).await.json["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/campaigns/{quiet}");
    assert_eq!(world.send_csv(&format!("{path}/contacts"), CONTACTS).await.status, 200);
    assert_eq!(world.send("POST", &format!("{path}/start"), Value::Null).await.status, 200);
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(world.send("POST", &format!("{path}/cancel"), Value::Null).await.status, 200);

    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(2)).await;

    let left: Vec<bool> = world.local.simulator.ledger().iter().map(|call| call.left_message).collect();
    assert_eq!(left, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_answers_was_left_no_message() {
    let world = world(talk_of(Duration::from_secs(30))).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;

    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(3)).await;

    let mut told = Vec::new();
    for call in world.local.simulator.ledger() {
        told.push(
            world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await.json["voicemail"]
                .clone(),
        );
    }
    assert_eq!(told, ["leave", "leave"]);
}
