//! What stops a call: switches, consents, frequency, other calls to the same person; and whose turn it is for a line.

use std::collections::{BTreeMap, BTreeSet};

use dialpool::audit::Stage;
use dialpool::simulator::Ending;
use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, CampaignId, Timestamp};
use dialpool_runtime::http::issue_api_key;
use dialpool_tests::{World, script, with_numbers};
use serde_json::{Value, json};

fn people(from: u32, count: u32) -> String {
    let rows: String = (from..from + count).map(|n| format!("+1646555{:04},lead-{n}\n", 100 + n)).collect();
    format!("phone,lead\n{rows}")
}

/// A provider at which a call waits for half a minute before it rings; and then everybody answers.
async fn waiting_at_provider() -> World {
    World::with(|settings| {
        settings.simulator.queue_time = Duration::from_secs(30);
        settings.simulator.answer_rate = 1.0;
    })
    .await
}

async fn make(world: &World, request: Value, contacts: &str) -> CampaignId {
    let made = world.send("POST", "/v1/campaigns", request).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json["id"].as_str().expect("an id").to_owned();
    let added = world.send_csv(&format!("/v1/campaigns/{id}/contacts"), contacts).await;
    assert_eq!(added.status, 200, "{added:?}");
    let started = world.send("POST", &format!("/v1/campaigns/{id}/start"), Value::Null).await;
    assert_eq!(started.status, 200, "{started:?}");
    id.parse().expect("an id")
}

async fn contact(world: &World, campaign: &CampaignId, nth: usize) -> Value {
    let path = format!("/v1/campaigns/{campaign}/contacts");
    world.send("GET", &path, Value::Null).await.json["contacts"][nth].clone()
}

/// When each call was claimed.
async fn claims(world: &World) -> Vec<(CallId, Timestamp)> {
    let books = world.books().await;
    let claims = books.events().iter().filter(|event| matches!(event.data, EventData::CallClaimed { .. }));
    claims.map(|event| (event.aggregate.key().parse().expect("a call"), event.time)).collect()
}

#[tokio::test(start_paused = true)]
async fn who_did_not_agree_is_not_called_and_who_did_is() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 4).await;
    let contacts = "phone,lead,consent,consent_at,consent_evidence\n\
        +16465550100,agreed,express_written,2026-01-01,form 1\n\
        +16465550101,said-so,express,2026-01-01,form 2\n\
        +16465550102,unknown,,,\n\
        +16465550103,in-ledger,,,\n";
    let given = json!({ "phone": "+16465550103", "kind": "express_written", "evidence": "call 7", "text": "I agree" });
    assert_eq!(world.send("POST", "/v1/consents", given).await.status, 201);

    let campaign = make(&world, json!({ "name": "Test", "assistant_id": "a-1" }), contacts).await;
    world.pass(Duration::from_mins(10)).await;

    let mut done = Vec::new();
    for nth in 0..4 {
        done.push(contact(&world, &campaign, nth).await["done"].clone());
    }
    assert_eq!(done, [json!("reached"), json!("no_consent"), json!("no_consent"), json!("reached")]);
    let call = claims(&world).await[0].0.clone();
    let basis =
        world.send("GET", &format!("/v1/calls/{call}"), Value::Null).await.json["legal_basis"].clone();
    assert_eq!(basis["consent"]["kind"], "express_written");
    assert_eq!((&basis["lists"], &basis["states"]), (&json!(["company", "everybody"]), &json!(["NY"])));
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_is_taken_back_is_gone_whoever_brought_it() {
    let world = World::new().await;
    with_numbers(&world, 2).await;
    let revoked = world.send("POST", "/v1/consents/+16465550100/revoke", Value::Null).await;
    let contacts = "phone,lead,consent,consent_at,consent_evidence\n\
        +16465550100,lead-1,express_written,2026-01-01,form 1\n";

    let campaign = make(&world, json!({ "name": "Test", "assistant_id": "a-1" }), contacts).await;
    world.pass(Duration::from_mins(10)).await;

    assert_eq!(revoked.status, 200);
    assert_eq!(contact(&world, &campaign, 0).await["done"], "no_consent");
    assert!(claims(&world).await.is_empty());
}

/// A consent that came with a contact is younger than the first revocation and older than the second.
#[tokio::test(start_paused = true)]
async fn a_consent_can_be_taken_back_again() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 2).await;
    let revoke = async |phone: &str| {
        let revoked = world.send("POST", &format!("/v1/consents/{phone}/revoke"), Value::Null).await;
        assert_eq!(revoked.status, 200, "{revoked:?}");
    };
    revoke("+16465550100").await;
    revoke("+16465550101").await;
    world.pass(Duration::from_hours(24)).await;
    revoke("+16465550101").await;
    let contacts = "phone,lead,consent,consent_at,consent_evidence\n\
        +16465550100,once,express_written,2026-03-03T12:00:00Z,form 1\n\
        +16465550101,twice,express_written,2026-03-03T12:00:00Z,form 2\n";

    let campaign = make(&world, json!({ "name": "Test", "assistant_id": "a-1" }), contacts).await;
    world.pass(Duration::from_mins(10)).await;

    let done = [contact(&world, &campaign, 0).await, contact(&world, &campaign, 1).await];
    assert_eq!(done.map(|contact| contact["done"].clone()), [json!("reached"), json!("no_consent")]);
    assert_eq!(claims(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_of_which_the_provider_begins_no_call_is_paused_and_its_contacts_keep_their_chances() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
        settings.simulator.refusal_rate = 1.0;
    })
    .await;
    with_numbers(&world, 40).await;
    let rows: String = (0..40).map(|n| format!("+1646555{:04},lead-{n}\n", 100 + n)).collect();
    let campaign = world.campaign(3, &format!("phone,lead\n{rows}")).await;
    let path = format!("/v1/campaigns/{campaign}");
    world.pass(Duration::from_mins(2)).await;

    let paused = world.send("GET", &path, Value::Null).await.json;
    world.local.simulator.set_faults(false);
    let resumed = world.send("POST", &format!("{path}/resume"), Value::Null).await.json;
    world.pass(Duration::from_hours(2)).await;

    assert_eq!((&paused["status"], &paused["contacts_open"]), (&json!("paused"), &json!(40)));
    let refused = paused["refused_in_a_row"].as_u64().expect("a count");
    assert!((10..=13).contains(&refused), "{refused} calls were refused");
    assert_eq!(resumed["refused_in_a_row"], Value::Null);
    let ended = world.send("GET", &path, Value::Null).await.json;
    assert_eq!((&ended["status"], &ended["answered"]), (&json!("completed"), &json!(40)), "{ended}");
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn two_campaigns_never_call_a_person_at_once_nor_too_often() {
    let world = World::with(|settings| settings.simulator.answer_rate = 0.0).await;
    with_numbers(&world, 4).await;
    for _ in 0..4 {
        world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    }

    world.pass(Duration::from_hours(23)).await;

    let times: Vec<Timestamp> = claims(&world).await.into_iter().map(|(_, at)| at).collect();
    assert_eq!(times.len(), 3, "{times:?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_switch_on_stop_stops_its_company_and_withdraws_what_waits() {
    let world = waiting_at_provider().await;
    with_numbers(&world, 8).await;
    world.campaign(4, &people(0, 8)).await;
    world.pass(Duration::from_secs(2)).await;
    let before = claims(&world).await.len();

    let stopped = world.send("PUT", "/v1/stops", json!({ "reason": "a complaint" })).await;
    world.pass(Duration::from_mins(10)).await;
    let rang = world.local.simulator.ledger().iter().filter(|call| call.answered_at.is_some()).count();
    let during = claims(&world).await.len();
    let resumed = world.send("DELETE", "/v1/stops", Value::Null).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!((stopped.status, &stopped.json["stopped"]), (200, &json!("a complaint")));
    assert_eq!((before, during, rang), (4, 4, 0), "no call is claimed, and none rings");
    assert_eq!((resumed.status, &resumed.json["stopped"]), (200, &Value::Null));
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_switch_of_a_state_stops_the_calls_there_and_no_others() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 4).await;
    let stop = json!({ "state": "NJ", "reason": "a new law" });
    assert_eq!(world.send("PUT", "/v1/stops", stop).await.status, 200);

    let campaign = world.campaign(4, "phone,lead\n+12015550100,jersey\n+16465550100,york\n").await;
    world.pass(Duration::from_mins(5)).await;
    let during = [contact(&world, &campaign, 0).await, contact(&world, &campaign, 1).await];
    assert_eq!(world.send("DELETE", "/v1/stops?state=NJ", Value::Null).await.status, 200);
    world.pass(Duration::from_mins(15)).await;
    let after = contact(&world, &campaign, 0).await;

    assert_eq!((&during[0]["status"], &during[1]["done"]), (&json!("pending"), &json!("reached")));
    assert_eq!(after["done"], "reached");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_called_for_a_switch_takes_no_number_from_who_is() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 2).await;
    let stop = json!({ "state": "NJ", "reason": "a new law" });
    assert_eq!(world.send("PUT", "/v1/stops", stop).await.status, 200);
    let jersey: String = (0..20).map(|n| format!("+1201555{:04},jersey-{n}\n", 100 + n)).collect();

    world.campaign(4, &format!("phone,lead\n{jersey}+16465550100,york\n")).await;
    world.pass(Duration::from_mins(5)).await;

    assert_eq!(claims(&world).await.len(), 1);
    let pool = world.send("GET", "/v1/pool", Value::Null).await.json;
    assert_eq!(pool["assigned"], 1, "{pool}");
}

/// Two people are not at home in the evening, and keep the only two numbers for their next call. In the morning they and those who were
/// not called yet may be called from the same moment on.
#[tokio::test(start_paused = true)]
async fn in_the_morning_those_are_called_whose_numbers_are_kept_for_them() {
    let world = World::starting("2026-03-02T23:30:00Z", |settings| {
        settings.simulator.answer_rate = 0.0;
        settings.simulator.voicemail_rate = 0.0;
        settings.simulator.busy_rate = 0.0;
    })
    .await;
    with_numbers(&world, 2).await;

    world.campaign(4, &people(0, 30)).await;
    world.pass(Duration::from_hours(14)).await;

    let opens: Timestamp = "2026-03-03T13:00:00Z".parse().expect("a moment");
    let times: Vec<Timestamp> = claims(&world).await.into_iter().map(|(_, at)| at).collect();
    let (evening, morning): (Vec<_>, Vec<_>) = times.into_iter().partition(|at| *at < opens);
    assert_eq!((evening.len(), morning.len()), (2, 2), "{evening:?} {morning:?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_lowered_cap_holds_for_the_next_call_and_calls_under_way_go_on() {
    let world = waiting_at_provider().await;
    with_numbers(&world, 8).await;
    let campaign = world.campaign(4, &people(0, 8)).await;
    world.pass(Duration::from_secs(2)).await;
    let path = format!("/v1/campaigns/{campaign}");

    let lowered = world.send("PATCH", &path, json!({ "cap": 1 })).await;
    let again = world.send("PATCH", &path, json!({ "cap": 1 })).await;
    let refused = [json!({ "cap": 51 }), json!({}), json!({ "cap": 2, "assistant_id": "a-2" })];
    for request in refused {
        assert_eq!(world.send("PATCH", &path, request).await.wrong_fields(), ["cap"]);
    }
    world.pass(Duration::from_hours(1)).await;

    assert_eq!((lowered.status, &lowered.json["cap"], again.json), (200, &json!(1), lowered.json.clone()));
    let times: Vec<Timestamp> = claims(&world).await.into_iter().map(|(_, at)| at).collect();
    assert_eq!(times.len(), 8);
    for pair in times[4..].windows(2) {
        assert!(pair[1].since(pair[0]) >= Duration::from_secs(30), "{times:?}");
    }
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_completed_campaign_runs_again_for_new_contacts_and_only_for_them() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 4).await;
    let campaign = world.campaign(4, &people(0, 2)).await;
    world.pass(Duration::from_mins(30)).await;
    let contacts = format!("/v1/campaigns/{campaign}/contacts");
    let status = async || {
        world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json["status"].clone()
    };

    let known = world.send_csv(&contacts, &people(0, 2)).await.json;
    let after_known = status().await;
    let would = world.send_csv(&format!("{contacts}?dry_run=true"), &people(1, 2)).await.json;
    let added = world.send_csv(&contacts, &people(1, 2)).await.json;
    let after_added = status().await;
    world.pass(Duration::from_mins(30)).await;

    assert_eq!((&known["added"], &known["known"], after_known), (&json!(0), &json!(2), json!("completed")));
    let skipped = json!([{ "line": 2, "field": "phone", "reason": "is in the campaign already" }]);
    assert_eq!((&would["added"], &would["skipped"]), (&json!(1), &skipped));
    assert_eq!((&added["added"], &added["skipped"], after_added), (&json!(1), &skipped, json!("running")));
    assert_eq!((claims(&world).await.len(), status().await), (3, json!("completed")));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_campaign_whose_only_number_is_taken_out_of_service_is_paused() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    with_numbers(&world, 2).await;
    let request = json!({
        "name": "Test", "assistant_id": "a-1", "consent_required": "none", "from_number": "+12125550100",
    });
    let campaign = make(&world, request, &people(0, 3)).await;
    world.pass(Duration::from_mins(5)).await;

    let retired = world.send("POST", "/v1/numbers/+12125550100/retire", Value::Null).await;
    world.pass(Duration::from_mins(30)).await;

    assert_eq!(retired.status, 200, "{retired:?}");
    let found = world.send("GET", &format!("/v1/campaigns/{campaign}"), Value::Null).await.json;
    assert_eq!((&found["status"], &found["contacts_open"]), (&json!("paused"), &json!(2)), "{found}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_everybody_and_a_company_cannot() {
    let world = World::new().await;
    with_numbers(&world, 4).await;
    let operator = issue_api_key(world.store(), &world.local.entropy, None).await.expect("a key");
    let bearer = format!("Bearer {operator}");
    let stop = json!({ "reason": "an order" });
    let refused = world.send("PUT", "/v1/operator/stops", stop.clone()).await;
    let body = stop.to_string().into_bytes();
    let stopped = world.send_as(&bearer, "PUT", "/v1/operator/stops", "application/json", body, &[]).await;

    world.campaign(4, &people(0, 2)).await;
    world.pass(Duration::from_mins(5)).await;
    let during = claims(&world).await.len();
    let resumed =
        world.send_as(&bearer, "DELETE", "/v1/operator/stops", "application/json", Vec::new(), &[]).await;
    world.pass(Duration::from_mins(5)).await;

    assert_eq!((refused.status, stopped.status, resumed.status), (403, 200, 200));
    assert_eq!((during, claims(&world).await.len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_pause_withdraws_what_waits_at_the_provider_and_the_people_are_called_later() {
    let world = waiting_at_provider().await;
    with_numbers(&world, 4).await;
    let campaign = world.campaign(3, &people(0, 4)).await;
    world.pass(Duration::from_secs(2)).await;

    let paused = world.send("POST", &format!("/v1/campaigns/{campaign}/pause"), Value::Null).await;
    world.pass(Duration::from_secs(5)).await;
    let active = world.local.simulator.active();
    world.pass(Duration::from_hours(1)).await;
    let rang = world.local.simulator.ledger().iter().filter(|call| call.answered_at.is_some()).count();
    let resumed = world.send("POST", &format!("/v1/campaigns/{campaign}/resume"), Value::Null).await;
    world.pass(Duration::from_hours(1)).await;

    assert_eq!((paused.status, resumed.status), (200, 200));
    assert_eq!((active, rang), (0, 0), "within five seconds nothing waits any more, and nobody is called");
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_opts_out_while_a_call_waits_at_the_provider_is_not_called() {
    let world = waiting_at_provider().await;
    with_numbers(&world, 2).await;
    let campaign = world.campaign(1, &people(0, 1)).await;
    world.pass(Duration::from_secs(2)).await;

    let stop = json!({
        "trigger": "message_received", "id": "m-1", "lead": "lead-0", "phone": "+16465550100", "channel": "sms",
        "text": "STOP",
    });
    let decided = world.send("POST", "/v1/decisions", stop).await;
    world.pass(Duration::from_mins(10)).await;

    assert!(decided.status < 300, "{decided:?}");
    assert!(world.local.simulator.ledger().iter().all(|call| call.answered_at.is_none()));
    assert_eq!(contact(&world, &campaign, 0).await["done"], "suppressed");
}

#[tokio::test(start_paused = true)]
async fn a_batch_begins_when_the_one_before_is_done() {
    let world = World::with(|settings| {
        // One in four talks for long: the lines of the others stay free.
        for n in 0..12 {
            let talks = Duration::from_secs(if n % 4 == 0 { 600 } else { 20 });
            let phone = format!("+1646555{:04}", 100 + n).parse().expect("a number");
            let ending = Ending::Answered {
                talk: talks,
                customer_hangs_up: false,
                opted_out: false,
                booked: false,
                call_again: None,
            };
            settings.simulator.scripts.insert(phone, script(ending));
        }
    })
    .await;
    with_numbers(&world, 12).await;
    let request = json!({
        "name": "Test", "assistant_id": "a-1", "cap": 4, "mode": "batch", "consent_required": "none",
    });

    make(&world, request, &people(0, 12)).await;
    world.pass(Duration::from_hours(1)).await;

    let times: Vec<Timestamp> = claims(&world).await.into_iter().map(|(_, at)| at).collect();
    assert_eq!(times.len(), 12);
    for batch in times.chunks(4) {
        assert!(batch[3].since(batch[0]) < Duration::from_secs(10), "{batch:?}");
    }
    for (batch, next) in times.chunks(4).zip(times.chunks(4).skip(1)) {
        assert!(next[0].since(batch[0]) > Duration::from_mins(10), "{batch:?} {next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn companies_share_the_lines_of_an_account() {
    let world = World::with(|settings| {
        settings.account_lines = 10;
        settings.simulator.answer_rate = 1.0;
    })
    .await;
    with_numbers(&world, 60).await;
    let other = "other".parse().expect("a company");
    let key = world.local.company(&other, "Other").await.expect("a key");
    let bearer = format!("Bearer {key}");
    let numbers: String = (0..20).map(|n| format!("+1718555{:04},pn-o-{n}\n", 100 + n)).collect();
    let send = async |method: &str, path: &str, kind: &str, body: String| {
        world.send_as(&bearer, method, path, kind, body.into_bytes(), &[]).await
    };
    let brought = send("POST", "/v1/numbers/import", "text/csv", format!("phone,vapi_id\n{numbers}")).await;
    assert_eq!(brought.status, 200, "{brought:?}");

    // The first company has more to do than there are lines; the second comes later with a little.
    world.campaign(50, &people(0, 60)).await;
    world.pass(Duration::from_secs(30)).await;
    let request = json!({ "name": "Other", "assistant_id": "a-2", "cap": 3, "consent_required": "none" });
    let made = send("POST", "/v1/campaigns", "application/json", request.to_string()).await;
    let id = made.json["id"].as_str().expect("an id").to_owned();
    let rows: String = (0..6).map(|n| format!("+1917555{:04},o-{n}\n", 100 + n)).collect();
    send("POST", &format!("/v1/campaigns/{id}/contacts"), "text/csv", format!("phone,lead\n{rows}")).await;
    let begun = world.now();
    send("POST", &format!("/v1/campaigns/{id}/start"), "application/json", String::new()).await;
    world.pass(Duration::from_mins(10)).await;

    let books = world.books().await;
    let of_other = books
        .events()
        .iter()
        .filter(|event| event.company == other && matches!(event.data, EventData::CallClaimed { .. }));
    let waited: Vec<Duration> = of_other.map(|event| event.time.since(begun)).collect();
    assert_eq!(waited.len(), 6, "{waited:?}");
    let of_first = claims(&world).await.len() - 6;
    assert!(of_first > 20, "{of_first}: the lines were not empty");
    // A line frees every few seconds; without turns the second company waits until the first has nobody left.
    assert!(waited[2] < Duration::from_mins(2), "three lines within two minutes: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_left_alone_and_tried_again() {
    let world = World::with(|settings| {
        settings.simulator.error_before_rate = 1.0;
        settings.simulator.answer_rate = 1.0;
    })
    .await;
    with_numbers(&world, 30).await;
    world.campaign(8, &people(0, 20)).await;

    world.pass(Duration::from_mins(30)).await;
    let during = claims(&world).await.len();
    world.local.simulator.set_faults(false);
    world.pass(Duration::from_hours(3)).await;

    // Five until it opens, and one each time that it is tried.
    assert!((5..=12).contains(&during), "{during} calls were claimed in half an hour");
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_campaign_of_the_providers_own_is_answered_by_the_same_rules() {
    let world = World::starting("2026-03-02T22:00:00Z", |_| {}).await;
    with_numbers(&world, 1).await;
    let question: Value =
        serde_json::from_str(include_str!("../../events/vapi/campaign-predial.json")).expect("a question");
    let secret = [("x-vapi-secret", "local-webhook-secret")];
    let ask = async || {
        let answer = world.send_with("POST", "/v1/webhooks/vapi", question.clone(), &secret).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["eligible"].as_bool().expect("an answer")
    };
    let agreed = json!({ "phone": "+16465550100", "kind": "express_written", "evidence": "form 1" });
    let stop = json!({ "reason": "test" });

    let mut answers = vec![("nothing is known", ask().await)];
    world.send("POST", "/v1/consents", agreed).await;
    answers.push(("agreed", ask().await));
    world.send("PUT", "/v1/stops", stop).await;
    answers.push(("stopped", ask().await));
    world.send("DELETE", "/v1/stops", Value::Null).await;
    answers.push(("at once", ask().await));
    for when in ["twice", "three times", "too often"] {
        world.pass(Duration::from_mins(15)).await;
        answers.push((when, ask().await));
    }
    world.pass(Duration::from_hours(5)).await;
    answers.push(("at night", ask().await));
    world.pass(Duration::from_hours(20)).await;
    answers.push(("the next day", ask().await));
    world.send("POST", "/v1/suppressions", json!({ "phone": "+16465550100" })).await;
    answers.push(("suppressed", ask().await));

    let yes: Vec<&str> = answers.iter().filter(|(_, yes)| *yes).map(|(when, _)| *when).collect();
    assert_eq!(yes, ["agreed", "twice", "three times", "the next day"], "{answers:?}");
    let books = world.books().await;
    let permitted: Vec<_> = books
        .events()
        .iter()
        .filter_map(|event| match &event.data {
            EventData::CallPermitted { legal_basis, .. } => Some(legal_basis.calls_before.in_24_h),
            _ => None,
        })
        .collect();
    assert_eq!(permitted, [0, 1, 2, 0], "each with why it was lawful");
}

/// What a preflight says is what a campaign then does.
#[tokio::test(start_paused = true)]
async fn a_preflight_says_what_the_campaign_then_does() {
    for seed in 0..8usize {
        println!("seed {seed}");
        let start =
            ["2026-03-02T17:00:05Z", "2026-03-02T13:30:00Z", "2026-03-07T23:30:00Z", "2026-11-01T00:10:00Z"];
        let world = World::starting(start[seed % start.len()], |settings| {
            settings.simulator.seed = seed as u64;
            settings.simulator.answer_rate = 1.0;
        })
        .await;
        with_numbers(&world, 30).await;
        let areas = ["212", "415", "850", "208", "502", "401", "800", "416", "299", "207", "605", "808"];
        let mut rows = "phone,lead,consent,consent_at,consent_evidence\n".to_owned();
        for n in 0..24 {
            let area = areas[(n * 7 + seed * 5) % areas.len()];
            let consent = if (n + seed) % 5 == 0 { ",," } else { "express_written,2026-01-01,form" };
            let phone = format!("+1{area}555{:04}", 100 + n);
            rows.push_str(&format!("{phone},lead-{n},{consent}\n"));
            if (n + seed) % 6 == 1 {
                world.send("POST", "/v1/suppressions", json!({ "phone": phone })).await;
            }
        }
        let made =
            world.send("POST", "/v1/campaigns", json!({ "name": "T", "assistant_id": "a", "cap": 50 })).await;
        let id = made.json["id"].as_str().expect("an id").to_owned();
        world.send_csv(&format!("/v1/campaigns/{id}/contacts"), &rows).await;

        let ahead = world.send("POST", &format!("/v1/campaigns/{id}/preflight"), Value::Null).await;
        let begun = world.now();
        let started = world.send("POST", &format!("/v1/campaigns/{id}/start"), Value::Null).await;
        world.pass(Duration::from_hours(40)).await;

        assert_eq!((ahead.status, started.status), (200, 200), "{ahead:?}");
        let contacts = world.send("GET", &format!("/v1/campaigns/{id}/contacts"), Value::Null).await.json;
        let mut done: BTreeMap<String, u64> = BTreeMap::new();
        for contact in contacts["contacts"].as_array().expect("contacts") {
            *done.entry(contact["done"].as_str().unwrap_or("pending").to_owned()).or_default() += 1;
        }
        let count = |name: &str| ahead.json[name].as_u64().expect("a figure");
        let never = |name: &str| done.get(name).copied().unwrap_or(0);
        assert_eq!(count("suppressed"), never("suppressed"), "{done:?} {}", ahead.json);
        assert_eq!(count("without_consent"), never("no_consent"), "{done:?} {}", ahead.json);
        assert_eq!(count("unknown_time_zone") + count("not_callable"), never("not_dialable"), "{done:?}");
        // The first call of each of the others is not before the moment that was said, and there are as many of them.
        let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
        for event in world.books().await.events() {
            if let EventData::CallClaimed { to, .. } = &event.data {
                first.entry(to.to_string()).or_insert(event.time);
            }
        }
        let soon = |at: &Timestamp| at.since(begun) < Duration::from_mins(10);
        let now = first.values().filter(|at| soon(at)).count() as u64;
        assert_eq!(count("now"), now, "{first:?} {}", ahead.json);
        let said: BTreeSet<String> = ahead.json["later"]
            .as_array()
            .expect("moments")
            .iter()
            .map(|later| later["at"].as_str().expect("a moment").to_owned())
            .collect();
        let later = first.values().filter(|at| !soon(at)).count() as u64;
        let all: u64 = ahead.json["later"]
            .as_array()
            .expect("moments")
            .iter()
            .map(|l| l["contacts"].as_u64().unwrap_or(0))
            .sum();
        assert_eq!(all, later, "{said:?} {first:?}");
        for at in first.values().filter(|at| !soon(at)) {
            let said = said.iter().any(|moment| {
                let moment: Timestamp = moment.parse().expect("a moment");
                *at >= moment && at.since(moment) < Duration::from_mins(10)
            });
            assert!(said, "a first call at {at}: {}", ahead.json["later"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_campaign_of_one_number_calls_from_it_alone_one_lead_after_another() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await;
    with_numbers(&world, 3).await;
    let number = "+12125550101";
    let request = |from: &str, cap: u32| json!({ "name": "Test", "assistant_id": "a-1", "consent_required": "none", "from_number": from, "cap": cap });
    for (request, field) in [(request(number, 2), "cap"), (request("+12125550155", 1), "from_number")] {
        let refused = world.send("POST", "/v1/campaigns", request).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec![field]), "{refused:?}");
    }

    make(&world, request(number, 1), &people(0, 3)).await;
    world.pass(Duration::from_hours(2)).await;

    let books = world.books().await;
    let from: Vec<String> = books
        .events()
        .iter()
        .filter_map(|event| match &event.data {
            EventData::CallClaimed { from, .. } => Some(from.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(from, [number; 3]);
    assert_eq!(books.violations(Stage::Finished), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn whom_nobody_may_call_is_called_by_no_company() {
    let world = World::new().await;
    with_numbers(&world, 2).await;
    let operator = issue_api_key(world.store(), &world.local.entropy, None).await.expect("a key");
    let path = "/v1/operator/suppressions";
    let person = json!({ "phone": "+16465550100" });

    let refused = world.send("POST", path, person.clone()).await.status;
    let (bearer, body) = (format!("Bearer {operator}"), person.to_string().into_bytes());
    let listed = world.send_as(&bearer, "POST", path, "application/json", body.clone(), &[]).await.status;
    let again = world.send_as(&bearer, "POST", path, "application/json", body, &[]).await.status;
    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    world.pass(Duration::from_mins(10)).await;

    assert_eq!([refused, listed, again], [403, 201, 200]);
    assert_eq!(contact(&world, &campaign, 0).await["done"], "suppressed");
    assert!(claims(&world).await.is_empty());
}
