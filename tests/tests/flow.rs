//! The main job through all functions: post this, expect that.

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::CallId;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, script, talk_of};
use serde_json::{Value, json};

const LEAD: &str = "+14155550150";
const CONTACTS: &str = "phone,lead,name\n+14155550150,lead-1,Example Lead 1\n";

fn talk() -> Ending {
    Ending::Answered {
        talk: Duration::from_secs(40),
        customer_hangs_up: true,
        opted_out: false,
        booked: true,
        call_again: None,
    }
}

fn opt_out() -> Ending {
    Ending::Answered {
        talk: Duration::from_secs(20),
        customer_hangs_up: true,
        opted_out: true,
        booked: false,
        call_again: None,
    }
}

async fn world(ending: Ending) -> World {
    let world = World::with(|settings| {
        settings.simulator.scripts.insert(LEAD.parse().expect("a number"), script(ending));
    })
    .await;
    world.add_numbers(&["+14155550101", "+14155550102"]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_lead_is_called_once_from_its_number_and_the_outcome_is_taken_in() {
    let world = world(talk()).await;

    let id = world.campaign(2, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;

    let campaign = world.send("GET", &format!("/v1/campaigns/{id}"), Value::Null).await;
    assert_eq!(campaign.json["status"], "completed", "{campaign:?}");
    assert_eq!((&campaign.json["answered"], &campaign.json["lines_in_use"]), (&json!(1), &json!(0)));
    let ledger = world.local.simulator.ledger();
    assert_eq!(ledger.len(), 1);
    let call = world.send("GET", &format!("/v1/calls/{}", ledger[0].name), Value::Null).await;
    assert_eq!(
        (&call.json["state"], &call.json["outcome"]),
        (&json!("ended"), &json!("answered")),
        "{call:?}"
    );
    assert_eq!(call.json["cost"].as_str(), ledger[0].cost.map(|cost| cost.to_string()).as_deref());
    assert!(call.json["provider_log"].as_array().unwrap().len() >= 4, "{call:?}");
    let hold = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await;
    assert_eq!(hold.status, 200, "who was reached keeps the number: {hold:?}");
    let kinds = world.event_types().await;
    for kind in [
        "number.assigned",
        "call.claimed",
        "call.accepted",
        "call.ringing",
        "call.in_progress",
        "call.ended",
        "contact.finished",
    ] {
        assert_eq!(kinds.iter().filter(|found| **found == kind).count(), 1, "{kind} in {kinds:?}");
    }
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_opts_out_in_a_call_is_never_called_again_and_the_number_is_free() {
    let world = world(opt_out()).await;

    world.campaign(2, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let second = world.campaign(2, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;

    assert_eq!(world.local.simulator.ledger().len(), 1);
    let campaign = world.send("GET", &format!("/v1/campaigns/{second}/contacts"), Value::Null).await;
    assert_eq!(campaign.json["contacts"][0]["done"], "suppressed", "{campaign:?}");
    assert_eq!(world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await.status, 404);
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

/// All webhooks are lost, and the call is looked up before the provider knows what it was about.
#[tokio::test(start_paused = true)]
async fn an_opt_out_is_not_missed_when_a_silent_call_is_looked_up_as_soon_as_it_is_over() {
    let world = World::with(|settings| {
        settings.simulator.webhook_loss_rate = 1.0;
        settings.simulator.scripts.insert(LEAD.parse().expect("a number"), script(opt_out()));
    })
    .await;
    world.add_numbers(&["+14155550101"]).await;
    world.campaign(1, CONTACTS).await;
    let ended = || world.local.simulator.ledger().first().is_some_and(|call| call.ended_at.is_some());
    while !ended() {
        world.pass(Duration::from_millis(100)).await;
    }

    let call: CallId = world.local.simulator.ledger()[0].name.parse().expect("a call");
    world.store().check_call_again(&call, world.now()).await.expect("an answer");
    world.local.stack.tick("ReleaseSweeper").await;
    world.pass(Duration::from_secs(2)).await;
    let looked_up = world.send("GET", &format!("/v1/calls/{call}"), Value::Null).await.json;
    world.pass(Duration::from_mins(10)).await;

    assert_eq!(
        (&looked_up["state"], &looked_up["opted_out"]),
        (&json!("ended"), &Value::Null),
        "{looked_up}"
    );
    let second = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let contacts = world.send("GET", &format!("/v1/campaigns/{second}/contacts"), Value::Null).await.json;
    assert_eq!(contacts["contacts"][0]["done"], "suppressed", "{contacts}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_provider_never_ends_gives_its_line_back() {
    let world = world(talk_of(Duration::from_hours(9))).await;
    let id = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(1)).await;
    let path = format!("/v1/campaigns/{id}");
    let during = world.send("GET", &path, Value::Null).await.json;

    world.pass(Duration::from_mins(75)).await;

    let after = world.send("GET", &path, Value::Null).await.json;
    assert_eq!((&during["lines_in_use"], &after["lines_in_use"]), (&json!(1), &json!(0)), "{after}");
    let call = world.send("GET", "/v1/calls", Value::Null).await.json["calls"][0].clone();
    assert_eq!((&call["state"], &call["ended_reason"]), (&json!("timed_out"), &json!("no-end-at-provider")));
    let contacts = world.send("GET", &format!("{path}/contacts"), Value::Null).await.json;
    let attempts = contacts["contacts"][0]["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(1), "whoever was called is not called again at once: {contacts}");
    assert_eq!(world.local.simulator.ledger().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_number_whose_calls_are_hung_up_on_sight_is_known_by_it() {
    let world = world(talk_of(Duration::from_secs(3))).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(10)).await;

    let number = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await.json["number"].clone();
    let path = format!("/v1/numbers/{}", number.as_str().expect("a number"));
    let parts = world.send("GET", &path, Value::Null).await.json["health"]["parts"].clone();
    let seen = parts.as_array().expect("parts").iter().map(|part| part["seen"].as_str().unwrap_or_default());
    assert!(
        seen.clone().any(|seen| seen == "1 of 1 answered calls under 6 s"),
        "{:?}",
        seen.collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_outside_the_legal_hours_and_an_unknown_place_never() {
    let world = world(talk()).await;
    // It is 6 o'clock in Honolulu, and nobody knows the hours of a number that is not in the United States.
    let contacts = "phone,lead\n+18085550150,early\n+442079460123,abroad\n";

    let id = world.campaign(2, contacts).await;
    world.pass(Duration::from_mins(5)).await;

    assert!(world.local.simulator.ledger().is_empty());
    let contacts = world.send("GET", &format!("/v1/campaigns/{id}/contacts"), Value::Null).await;
    assert_eq!(contacts.json["contacts"][0]["due_at"], "2026-03-02T18:00:05.000Z", "{contacts:?}");
    assert_eq!(contacts.json["contacts"][1]["done"], "not_dialable", "{contacts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_is_found_and_not_placed_again() {
    let world = World::with(|settings| {
        settings.simulator.accept_then_timeout_rate = 1.0;
        settings.simulator.webhook_loss_rate = 1.0;
        settings.simulator.scripts.insert(LEAD.parse().unwrap(), script(talk()));
    })
    .await;
    world.add_numbers(&["+14155550101"]).await;

    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!(world.local.simulator.ledger().len(), 1);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
    assert!(world.event_types().await.contains(&"call.unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_provider_never_had_is_placed_again_after_its_absence_is_proven() {
    let world = World::with(|settings| {
        settings.simulator.error_before_rate = 1.0;
        settings.simulator.scripts.insert(LEAD.parse().unwrap(), script(talk()));
    })
    .await;
    world.add_numbers(&["+14155550101"]).await;
    let id = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(4)).await;
    assert!(!world.event_types().await.contains(&"call.failed"), "absence is not proven before five minutes");

    world.local.simulator.set_faults(false);
    world.pass(Duration::from_mins(30)).await;

    let campaign = world.send("GET", &format!("/v1/campaigns/{id}"), Value::Null).await;
    assert_eq!(
        (&campaign.json["status"], &campaign.json["answered"]),
        (&json!("completed"), &json!(1)),
        "{campaign:?}"
    );
    assert_eq!(world.local.simulator.ledger().len(), 1);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_paused_campaign_dials_nobody_and_goes_on_when_resumed() {
    let world = world(talk()).await;
    let id = world.campaign(1, "phone,lead\n+14155550150,a\n+14155550151,b\n+14155550152,c\n").await;
    world.pass(Duration::from_secs(10)).await;

    let paused = world.send("POST", &format!("/v1/campaigns/{id}/pause"), Value::Null).await;
    world.pass(Duration::from_hours(1)).await;
    let dialed_while_paused = world.local.simulator.ledger().len();
    let resumed = world.send("POST", &format!("/v1/campaigns/{id}/resume"), Value::Null).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!((paused.status, resumed.status), (200, 200));
    assert_eq!(dialed_while_paused, 1);
    assert!(world.local.simulator.ledger().len() >= 2);
}

#[tokio::test(start_paused = true)]
async fn an_inbound_call_gets_the_assistant_that_called_the_lead() {
    let world = world(talk()).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let hold = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await;
    let number = hold.json["number"].as_str().unwrap();
    let question = json!({ "message": {
        "type": "assistant-request", "phoneNumber": { "number": number }, "customer": { "number": LEAD },
        "call": { "id": "inbound-1" },
    }});

    let answer = world
        .send_with(
            "POST",
            "/v1/webhooks/vapi",
            question.clone(),
            &[("x-vapi-secret", "local-webhook-secret")],
        )
        .await;

    assert_eq!((answer.status, &answer.json), (200, &json!({ "assistantId": "assistant-1" })));
}

#[tokio::test(start_paused = true)]
async fn the_same_trigger_gets_the_same_decision_and_a_stop_is_in_force_when_it_is_answered() {
    let world = world(talk()).await;
    let stop = json!({ "trigger": "message_received", "id": "m-1", "lead": "lead-1", "phone": LEAD, "channel": "sms", "text": "STOP" });

    let first = world.send("POST", "/v1/decisions", stop.clone()).await;
    let id = world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let second = world.send("POST", "/v1/decisions", stop.clone()).await;
    let mut other = stop;
    other["text"] = json!("yes");
    let reused = world.send("POST", "/v1/decisions", other).await;

    assert_eq!((first.status, &first.json), (200, &second.json));
    let kinds: Vec<_> =
        first.json["actions"].as_array().unwrap().iter().map(|action| &action["type"]).collect();
    assert_eq!(kinds, ["stop_campaign", "update_contact", "send_message"]);
    assert_eq!((reused.status, reused.wrong_fields()), (422, vec!["id"]));
    assert!(world.local.simulator.ledger().is_empty());
    let contacts = world.send("GET", &format!("/v1/campaigns/{id}/contacts"), Value::Null).await;
    assert_eq!(contacts.json["contacts"][0]["done"], "suppressed");
}

#[tokio::test(start_paused = true)]
async fn a_decision_about_a_call_follows_its_outcome() {
    let world = world(talk()).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(5)).await;
    let call = world.local.simulator.ledger()[0].name.clone();

    let decision =
        world.send("POST", "/v1/decisions", json!({ "trigger": "call_ended", "call_id": call })).await;
    let shown = world
        .send(
            "GET",
            &format!("/v1/decisions/{}", decision.json["decision_id"].as_str().unwrap()),
            Value::Null,
        )
        .await;

    assert_eq!(decision.json["actions"][0]["parameters"]["value"], "contacted", "{decision:?}");
    assert_eq!(decision.json, shown.json);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_decided_about_when_its_report_is_there_and_not_before() {
    let minutes = Ending::Answered {
        talk: Duration::from_mins(4),
        customer_hangs_up: true,
        opted_out: false,
        booked: true,
        call_again: None,
    };
    let world = world(minutes).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_mins(1)).await;
    let call = world.local.simulator.ledger()[0].clone();
    let over = json!({ "message": {
        "type": "status-update",
        "status": "ended",
        "endedReason": "customer-ended-call",
        "call": { "id": call.provider_call_id, "name": call.name },
    } });
    let told = world
        .send_with("POST", "/v1/webhooks/vapi", over, &[("x-vapi-secret", "local-webhook-secret")])
        .await;
    assert_eq!(told.status, 200);
    world.pass(Duration::from_secs(5)).await;
    let trigger = json!({ "trigger": "call_ended", "call_id": call.name });

    let early = world.send("POST", "/v1/decisions", trigger.clone()).await;
    world.pass(Duration::from_mins(5)).await;
    let decided = world.send("POST", "/v1/decisions", trigger).await;

    assert_eq!((early.status, &early.headers["retry-after"]), (409, &"10".parse().unwrap()), "{early:?}");
    assert_eq!(decided.json["actions"][0]["parameters"]["value"], "contacted", "{decided:?}");
}

#[tokio::test(start_paused = true)]
async fn who_says_stop_in_writing_while_on_a_call_is_called_no_more_and_the_number_is_free() {
    let world = world(Ending::NoAnswer).await;
    world.campaign(1, CONTACTS).await;
    world.pass(Duration::from_secs(5)).await;

    let stopped = world.send("POST", "/v1/suppressions", json!({ "phone": LEAD })).await;
    world.pass(Duration::from_mins(5)).await;

    assert_eq!(stopped.status, 201, "{stopped:?}");
    assert_eq!(world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await.status, 404);
    world.pass(Duration::from_hours(48)).await;
    assert_eq!(world.local.simulator.ledger().len(), 1);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}
