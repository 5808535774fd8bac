//! Who calls back is answered, and what is said there counts as on any call.

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, script, talk_of, with_numbers};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);
const CALLER: &str = "+16465550150";
const CONTACTS: &str = "phone,lead\n+16465550150,lead-1\n";
const SECRET: [(&str, &str); 1] = [("x-vapi-secret", "local-webhook-secret")];

/// A provider at which nobody is at home at `CALLER`.
async fn world() -> World {
    world_where(Ending::NoAnswer).await
}

async fn world_where(ending: Ending) -> World {
    let world = World::with(|settings| {
        settings.schedule_stretch = 60;
        settings.simulator.answer_rate = 0.0;
        settings.simulator.voicemail_rate = 0.0;
        settings.simulator.busy_rate = 0.0;
        settings.simulator.scripts.insert(CALLER.parse().expect("a number"), script(ending));
    })
    .await;
    with_numbers(&world, 3).await;
    world
}

async fn contact(world: &World, campaign: &str) -> Value {
    let path = format!("/v1/campaigns/{campaign}/contacts");
    world.send("GET", &path, Value::Null).await.json["contacts"][0].clone()
}

/// The number that a call of ours came from.
async fn number_of(world: &World, nth: usize) -> String {
    let name = world.local.simulator.ledger()[nth].name.clone();
    let call = world.send("GET", &format!("/v1/calls/{name}"), Value::Null).await.json;
    call["from"].as_str().expect("a number").to_owned()
}

async fn assistant_for(world: &World, number: &str, caller: &str) -> Value {
    let question = json!({ "message": {
        "type": "assistant-request",
        "phoneNumber": { "number": number },
        "customer": { "number": caller },
        "call": { "id": "inbound-1", "type": "inboundPhoneCall" },
    }});
    world.send_with("POST", "/v1/webhooks/vapi", question, &SECRET).await.json["assistantId"].clone()
}

/// Reports a call of the person's that is over, with this structured data.
async fn report(world: &World, id: &str, kind: &str, number: &str, caller: &str, data: Value) {
    let body = json!({ "message": {
        "type": "end-of-call-report",
        "endedReason": "customer-ended-call",
        "startedAt": world.now() - Duration::from_secs(40),
        "endedAt": world.now(),
        "phoneNumber": { "number": number },
        "customer": { "number": caller },
        "analysis": { "structuredData": data },
        "call": { "id": id, "type": kind },
    }});
    let taken = world.send_with("POST", "/v1/webhooks/vapi", body, &SECRET).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    world.pass(Duration::from_secs(5)).await;
}

async fn inbound(world: &World, id: &str, number: &str, data: Value) {
    report(world, id, "inboundPhoneCall", number, CALLER, data).await;
}

async fn told(world: &World) -> Vec<EventData> {
    let books = world.books().await;
    let events = books.events().iter().map(|event| event.data.clone());
    events.filter(|data| matches!(data, EventData::CallInboundEnded { .. })).collect()
}

fn calls(world: &World) -> usize {
    world.local.simulator.ledger().len()
}

#[tokio::test(start_paused = true)]
async fn who_calls_back_after_the_release_is_answered_by_the_leads_assistant_for_thirty_days() {
    let world = world_where(talk_of(Duration::from_secs(30))).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;

    let held = assistant_for(&world, &number, CALLER).await;
    world.pass(DAY * 2).await;
    let released = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await.status;
    let after = assistant_for(&world, &number, CALLER).await;
    let stranger = assistant_for(&world, &number, "+16465550199").await;
    world.pass(DAY * 27).await;
    let on_day_29 = assistant_for(&world, &number, CALLER).await;
    world.pass(DAY * 3).await;
    let on_day_32 = assistant_for(&world, &number, CALLER).await;

    let ours = json!("assistant-1");
    assert_eq!(released, 404);
    assert_eq!([held, after, stranger, on_day_29], [ours.clone(), ours.clone(), ours.clone(), ours]);
    assert_eq!(on_day_32, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn who_was_called_by_another_campaign_gets_its_assistant_whoever_holds_the_number_now() {
    let world = world_where(talk_of(Duration::from_secs(30))).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;
    let request = json!({
        "name": "Other", "assistant_id": "assistant-2", "consent_required": "none", "from_number": number,
    });
    world.pass(DAY * 2).await;
    let other =
        world.send("POST", "/v1/campaigns", request).await.json["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/campaigns/{other}");
    world.send_csv(&format!("{path}/contacts"), "phone,lead\n+16465550151,lead-2\n").await;
    world.send("POST", &format!("{path}/start"), Value::Null).await;
    world.pass(Duration::from_mins(5)).await;

    let first = assistant_for(&world, &number, CALLER).await;
    let second = assistant_for(&world, &number, "+16465550151").await;

    assert_eq!((first, second), (json!("assistant-1"), json!("assistant-2")));
}

#[tokio::test(start_paused = true)]
async fn who_opted_out_and_calls_is_answered() {
    let world = world().await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;
    let stop = json!({ "phone": CALLER, "lead": "lead-1" });
    assert_eq!(world.send("POST", "/v1/suppressions", stop).await.status, 201);

    assert_eq!(assistant_for(&world, &number, CALLER).await, "assistant-1");
}

#[tokio::test(start_paused = true)]
async fn who_calls_back_and_talks_is_reached_and_not_called_again() {
    let world = world().await;
    let campaign = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;
    let before = world.send("GET", &format!("/v1/numbers/{number}"), Value::Null).await.json;

    for _twice in 0..2 {
        inbound(&world, "inbound-1", &number, json!({})).await;
    }
    let after = world.send("GET", &format!("/v1/numbers/{number}"), Value::Null).await.json;
    let hold = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await;
    world.pass(DAY * 3).await;

    let contact = contact(&world, campaign.as_str()).await;
    assert_eq!((&contact["done"], calls(&world)), (&json!("reached"), 1), "{contact}");
    let status =
        world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json["status"].clone();
    assert_eq!(status, "completed");
    assert_eq!((hold.status, &hold.json["number"]), (200, &json!(number)), "the hold stays");
    assert_eq!((&before["calls"], &before["not_before"]), (&after["calls"], &after["not_before"]));
    let [EventData::CallInboundEnded { lead, caller, opted_out, .. }] = &told(&world).await[..] else {
        panic!("one event")
    };
    assert_eq!(
        (lead.as_ref().map(|lead| lead.as_str()), caller.as_str(), *opted_out),
        (Some("lead-1"), CALLER, false)
    );
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_is_asked_for_on_an_inbound_call_is_made_then() {
    let world = world().await;
    let campaign = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;

    inbound(&world, "inbound-1", &number, json!({ "callback_at": "2026-03-04T15:00" })).await;
    let promised = contact(&world, campaign.as_str()).await;
    world.pass(DAY).await;
    let before = calls(&world);
    world.pass(DAY + Duration::from_hours(5)).await;

    assert_eq!(promised["promised_for"], "2026-03-04T20:00:00.000Z", "{promised}");
    let ledger = world.local.simulator.ledger();
    assert_eq!(before, 1, "not before");
    assert!(ledger[1].created_at >= "2026-03-04T20:00:00Z".parse().expect("a moment"), "{ledger:#?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_on_an_inbound_call_closes_the_contact_and_frees_the_number() {
    let world = world().await;
    let campaign = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;

    for _twice in 0..2 {
        inbound(&world, "inbound-1", &number, json!({ "opted_out": true })).await;
    }

    let closed = contact(&world, campaign.as_str()).await;
    assert_eq!(closed["done"], "opted_out", "{closed}");
    assert_eq!(world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await.status, 404);
    world.pass(DAY * 3).await;
    assert_eq!(calls(&world), 1);
    let types = world.event_types().await;
    let count = |kind: &str| types.iter().filter(|found| **found == kind).count();
    assert_eq!((count("lead.opted_out"), count("call.inbound_ended"), count("number.released")), (1, 1, 1));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

/// The person is on the line with our assistant while we ring in vain.
#[tokio::test(start_paused = true)]
async fn what_is_said_while_a_call_of_ours_rings_counts_when_that_call_is_over() {
    for (data, done) in [(json!({}), "reached"), (json!({ "callback_at": "2026-03-04T15:00" }), "pending")] {
        let world = world().await;
        let campaign = world.campaign(1, CONTACTS).await;
        world.pass(Duration::from_secs(2)).await;
        let number = number_of(&world, 0).await;
        let ringing = contact(&world, campaign.as_str()).await;

        inbound(&world, "inbound-1", &number, data).await;
        world.pass(Duration::from_mins(5)).await;

        let after = contact(&world, campaign.as_str()).await;
        assert_eq!(ringing["status"], "in_flight", "{ringing}");
        if done == "reached" {
            assert_eq!(after["done"], "reached", "{after}");
        } else {
            assert_eq!(after["promised_for"], "2026-03-04T20:00:00.000Z", "{after}");
        }
        world.pass(DAY).await;
        assert_eq!(calls(&world), 1);
        assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_calls_the_number_of_a_lead_changes_nothing_of_the_lead() {
    let world = world().await;
    let campaign = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;

    report(&world, "inbound-1", "inboundPhoneCall", &number, "+16465550199", json!({})).await;

    assert_eq!(contact(&world, campaign.as_str()).await["status"], "pending");
    let [EventData::CallInboundEnded { lead: None, campaign_id: None, .. }] = &told(&world).await[..] else {
        panic!("an event of nobody")
    };
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn another_contact_of_the_company_that_calls_the_number_is_settled_for_itself() {
    let world = world().await;
    let campaign = world.campaign(2, "phone,lead\n+16465550150,lead-1\n+16465550151,lead-2\n").await;
    world.pass(Duration::from_mins(5)).await;
    let numbers = [number_of(&world, 0).await, number_of(&world, 1).await];
    let first = world.local.simulator.ledger()[0].customer.clone();
    let (held_by_first, second) = (&numbers[0], if first == CALLER { "+16465550151" } else { CALLER });

    report(&world, "inbound-1", "inboundPhoneCall", held_by_first, second, json!({ "opted_out": true }))
        .await;

    let path = format!("/v1/campaigns/{campaign}/contacts");
    let contacts = world.send("GET", &path, Value::Null).await.json["contacts"].clone();
    for contact in contacts.as_array().expect("contacts") {
        let expected = if contact["phone"] == second { ("done", true) } else { ("pending", false) };
        assert_eq!(
            (contact["status"].as_str(), contact["done"] == "opted_out"),
            (Some(expected.0), expected.1)
        );
        let lead = contact["lead"].as_str().expect("a lead");
        let held = world.send("GET", &format!("/v1/leads/{lead}/assignment"), Value::Null).await.status;
        assert_eq!(held, if expected.1 { 404 } else { 200 }, "{contact}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_somebody_else_placed_is_no_call_of_the_persons() {
    let world = world().await;
    let campaign = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let number = number_of(&world, 0).await;

    report(&world, "other-1", "outboundPhoneCall", &number, CALLER, json!({})).await;

    assert_eq!(contact(&world, campaign.as_str()).await["status"], "pending");
    assert_eq!(told(&world).await.len(), 0);
}
