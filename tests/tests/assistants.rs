//! Assistants: made, imported, changed, copied, struck off, held against what the provider has, and fixed for a campaign
//! that has begun.

use std::collections::BTreeSet;

use axum::body::Body;
use dialpool::audit::Stage;
use dialpool::simulator::AssistantFault;
use dialpool_domain::time::Duration;
use dialpool_tests::{Answer, World};
use serde_json::{Value, json};
use tower::ServiceExt;

fn configuration() -> Value {
    json!({
        "firstMessage": "Hello, this is the AI assistant of Acme.",
        "model": {
            "provider": "openai", "model": "gpt-4o", "temperature": 0.5,
            "messages": [{ "role": "system", "content": "You are an AI assistant." }],
        },
        "voice": { "provider": "vapi", "voiceId": "Elliot" },
    })
}

async fn made(world: &World, name: &str) -> Value {
    let request = json!({ "name": name, "configuration": configuration() });
    let made = world.send("POST", "/v1/assistants", request).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json
}

fn path(assistant: &Value) -> String {
    format!("/v1/assistants/{}", assistant["id"].as_str().expect("an id"))
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world.send("GET", path, Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

/// A request of somebody who works at the provider itself.
async fn at_provider(world: &World, method: &str, path: &str, body: Value) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer local")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    let response = world.local.simulator.router().oneshot(request).await.expect("an answer");
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    serde_json::from_slice(&body).unwrap_or_default()
}

fn provider_path(assistant: &Value) -> String {
    format!("/assistant/{}", assistant["provider_id"].as_str().expect("an id"))
}

async fn theirs(world: &World, assistant: &Value) -> Value {
    at_provider(world, "GET", &provider_path(assistant), Value::Null).await
}

fn says(text: &str) -> Value {
    json!({ "configuration": { "firstMessage": text } })
}

/// The stack's other company, by its key.
async fn other(world: &World) -> String {
    let company = "other".parse().expect("a company");
    format!("Bearer {}", world.local.company(&company, "Other").await.expect("a key"))
}

async fn send_as(world: &World, bearer: &str, method: &str, path: &str, body: Value) -> Answer {
    world.send_as(bearer, method, path, "application/json", body.to_string().into_bytes(), &[]).await
}

/// A campaign that is made and has not begun.
async fn campaign(world: &World, assistant: &str) -> Answer {
    let request = json!({ "name": "Spring", "assistant_id": assistant, "consent_required": "none" });
    world.send("POST", "/v1/campaigns", request).await
}

async fn command(world: &World, campaign: &Value, command: &str) -> Answer {
    let id = campaign["id"].as_str().expect("an id");
    world.send("POST", &format!("/v1/campaigns/{id}/{command}"), Value::Null).await
}

#[tokio::test(start_paused = true)]
async fn an_assistant_is_made_at_the_provider_and_changed_there_first() {
    let world = World::new().await;

    let first = made(&world, "Anna").await;
    world.pass(Duration::from_mins(1)).await;
    let changed = world.send("PATCH", &path(&first), says("Good morning.")).await;

    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!((&first["version"], &changed.json["version"]), (&json!(1), &json!(2)));
    assert_eq!(changed.json["configuration"]["voice"], configuration()["voice"], "what is not named stays");
    let theirs = theirs(&world, &first).await;
    assert_eq!((&theirs["name"], &theirs["firstMessage"]), (&json!("Anna"), &json!("Good morning.")));
    assert_eq!(theirs["metadata"]["dialpool"]["assistant_id"], first["id"]);
    let versions = get(&world, &format!("{}/versions", path(&first))).await;
    let said: Vec<&Value> = versions["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|version| &version["configuration"]["firstMessage"])
        .collect();
    assert_eq!(said, ["Good morning.", "Hello, this is the AI assistant of Acme."]);
    assert_eq!(get(&world, &path(&first)).await, changed.json);
    let drift = get(&world, &format!("{}/drift", path(&first))).await;
    assert_eq!((&drift["state"], &drift["differences"]), (&json!("in_sync"), &json!([])));
    assert_eq!(world.event_types().await, ["assistant.created", "assistant.updated"]);
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_provider_refuses_changes_nothing() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;
    let before = (get(&world, &path(&first)).await, theirs(&world, &first).await);

    world.local.simulator.script_assistants([Some(AssistantFault::Refused)]);
    let refused = world.send("PATCH", &path(&first), says("Good morning.")).await;
    let after = (get(&world, &path(&first)).await, theirs(&world, &first).await);
    let again = world.send("PATCH", &path(&first), says("Good morning.")).await;

    assert_eq!((refused.status, refused.wrong_fields()), (422, vec!["configuration"]), "{refused:?}");
    assert!(refused.json["detail"].as_str().expect("a detail").contains("model.provider must be one of"));
    assert_eq!(before, after);
    assert_eq!((again.status, &again.json["version"]), (200, &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_is_found_to_be_made() {
    for fault in [AssistantFault::AnswerLost, AssistantFault::ErrorAfter] {
        let world = World::new().await;
        let first = made(&world, "Anna").await;

        world.local.simulator.script_assistants([Some(fault)]);
        let changed = world.send("PATCH", &path(&first), says("Good morning.")).await;

        assert_eq!((changed.status, &changed.json["version"]), (200, &json!(2)), "{fault:?}: {changed:?}");
        assert_eq!(theirs(&world, &first).await["firstMessage"], "Good morning.");
    }
}

/// What is unclear is not guessed at: nothing is written down, nobody else comes in between, and the provider is asked again.
#[tokio::test(start_paused = true)]
async fn a_change_that_stays_unclear_changes_nothing_until_the_provider_says_what_it_has() {
    let fails = Some(AssistantFault::ErrorBefore);
    for (fault, version) in [(AssistantFault::ErrorAfter, 2), (AssistantFault::ErrorBefore, 1)] {
        let world = World::new().await;
        let first = made(&world, "Anna").await;

        world.local.simulator.script_assistants([Some(fault), fails]);
        let unclear = world.send("PATCH", &path(&first), says("Good morning.")).await;
        let meanwhile = get(&world, &path(&first)).await;
        let at_once = world.send("PATCH", &path(&first), says("Good evening.")).await;
        let wait = unclear.headers["retry-after"].to_str().expect("seconds").parse().expect("seconds");
        world.pass(Duration::from_secs(wait)).await;
        let drift = get(&world, &format!("{}/drift", path(&first))).await;
        let later = world.send("PATCH", &path(&first), says("Good evening.")).await;

        assert_eq!((unclear.status, &meanwhile["version"]), (503, &json!(1)), "{fault:?}: {unclear:?}");
        assert_eq!(at_once.status, 409, "{at_once:?}");
        assert!(at_once.headers.contains_key("retry-after"));
        assert_eq!((&drift["state"], &drift["version"]), (&json!("in_sync"), &json!(version)), "{drift}");
        assert_eq!((later.status, &later.json["version"]), (200, &json!(version + 1)));
        assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
    }
}

/// A request that was given up may still arrive: then the provider has what nobody wrote down, and the drift check says so.
#[tokio::test(start_paused = true)]
async fn a_change_that_arrives_when_nobody_waits_for_it_any_more_is_seen_as_drift() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;

    world.local.simulator.script_assistants([Some(AssistantFault::Late(Duration::from_secs(90)))]);
    let unclear = world.send("PATCH", &path(&first), says("Good morning.")).await;
    world.pass(Duration::from_secs(60)).await;
    let before = get(&world, &format!("{}/drift", path(&first))).await;
    world.pass(Duration::from_secs(60)).await;
    let after = get(&world, &format!("{}/drift", path(&first))).await;
    let adopted = world.send("POST", &format!("{}/adopt", path(&first)), Value::Null).await;

    assert_eq!((unclear.status, &before["state"]), (503, &json!("in_sync")));
    assert_eq!((&after["state"], &after["version"]), (&json!("drifted"), &json!(1)));
    assert_eq!(after["differences"][0]["pointer"], "/firstMessage");
    assert_eq!((adopted.status, &adopted.json["version"]), (200, &json!(2)), "{adopted:?}");
    assert_eq!(adopted.json["configuration"]["firstMessage"], "Good morning.");
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_at_once_one_is_made_and_the_other_is_told_to_wait() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;

    world.local.simulator.script_assistants([Some(AssistantFault::Late(Duration::from_secs(1)))]);
    let at = path(&first);
    let (one, other) = tokio::join!(
        world.send("PATCH", &at, says("Good morning.")),
        world.send("PATCH", &at, says("Good evening.")),
    );

    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
    let winner = if one.status == 200 { "Good morning." } else { "Good evening." };
    let ours = get(&world, &at).await;
    assert_eq!((&ours["version"], &ours["configuration"]["firstMessage"]), (&json!(2), &json!(winner)));
    assert_eq!(theirs(&world, &first).await["firstMessage"], winner);
}

/// Two changes and a start of a campaign at about the same time, at a provider that fails every way it can but one: no
/// request arrives when nobody waits for it any more.
#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_what_is_on_record_is_what_the_provider_has() {
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let world = World::with(|settings| settings.seed = seed).await;
        let first = made(&world, "Anna").await;
        let planned = campaign(&world, first["id"].as_str().expect("an id")).await.json;
        let draw = |of: u64| world.local.entropy.next_u64() % of;
        let faults: Vec<Option<AssistantFault>> = (0..12)
            .map(|_| match draw(8) {
                0 => Some(AssistantFault::Refused),
                1 => Some(AssistantFault::ErrorBefore),
                2 => Some(AssistantFault::ErrorAfter),
                3 => Some(AssistantFault::AnswerLost),
                4 => Some(AssistantFault::Late(Duration::from_millis(800))),
                _ => None,
            })
            .collect();
        let delays = [(); 3].map(|()| match draw(4) {
            0 => Duration::ZERO,
            1 => Duration::from_millis(1),
            2 => Duration::from_millis(500),
            _ => Duration::from_secs(70),
        });
        world.local.simulator.script_assistants(faults.clone());

        let at = path(&first);
        let change = async |text: &str, delay| {
            world.pass(delay).await;
            world.send("PATCH", &at, says(text)).await.status
        };
        let start = async {
            world.pass(delays[2]).await;
            command(&world, &planned, "start").await
        };
        let (one, other, started) =
            tokio::join!(change("One.", delays[0]), change("Other.", delays[1]), start);
        world.pass(Duration::from_mins(2)).await;
        world.local.simulator.script_assistants([]);
        let drift = get(&world, &format!("{at}/drift")).await;
        let ours = get(&world, &at).await;

        let told = format!("seed {seed}: {faults:?} {delays:?}: {one} {other} {started:?}");
        assert_eq!(drift["state"], "in_sync", "{told}: {drift}");
        if started.status == 200 {
            assert_eq!(started.json["assistant"]["version"], ours["version"], "{told}");
        }
        let changed = [one, other].iter().filter(|status| **status == 200).count() as u64;
        assert!(ours["version"].as_u64() > Some(changed), "{told}: {ours}");
        let wrong = world.violations(Stage::UnderWay).await;
        assert_eq!(wrong, Vec::<String>::new(), "{told}");
        seen.extend([one, other, started.status]);
    }
    assert_eq!(seen, BTreeSet::from([200, 409, 422, 503]), "every answer was given");
}

#[tokio::test(start_paused = true)]
async fn an_assistant_whose_making_is_unclear_is_not_made_twice() {
    let lost = Some(AssistantFault::ErrorAfter);
    let fails = Some(AssistantFault::ErrorBefore);
    let request = json!({ "name": "Anna", "configuration": configuration() });
    let key = [("idempotency-key", "anna-1")];
    let world = World::new().await;

    // The answer is lost, and what was made is found at once.
    world.local.simulator.script_assistants([lost]);
    let found = world.send("POST", "/v1/assistants", request.clone()).await;
    // It is not found at once either: the same request finds it later. First it looks whether it was made before.
    world.local.simulator.script_assistants([None, lost, fails]);
    let unclear = world.send_with("POST", "/v1/assistants", request.clone(), &key).await;
    world.pass(Duration::from_mins(5)).await;
    let again = world.send_with("POST", "/v1/assistants", request.clone(), &key).await;
    let once_more = world.send_with("POST", "/v1/assistants", request, &key).await;

    assert_eq!((found.status, unclear.status), (201, 503), "{found:?} {unclear:?}");
    assert_eq!((again.status, once_more.status), (201, 201), "{again:?} {once_more:?}");
    assert_eq!(again.json, once_more.json);
    let all = at_provider(&world, "GET", "/assistant", Value::Null).await;
    assert_eq!(all.as_array().expect("assistants").len(), 2);
    assert_eq!(get(&world, "/v1/assistants").await["assistants"].as_array().expect("assistants").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_of_the_provider_is_imported_by_one_company() {
    let world = World::new().await;
    let bearer = other(&world).await;
    let mut there = configuration();
    there["name"] = json!("Bert of the dashboard, who has a name of more than forty characters");
    there["server"] = json!({ "url": "https://example.com" });
    let there = at_provider(&world, "POST", "/assistant", there).await;
    let request = json!({ "provider_id": there["id"] });

    let imported = world.send("POST", "/v1/assistants/import", request.clone()).await;
    let again = world.send("POST", "/v1/assistants/import", request.clone()).await;
    let by_other = send_as(&world, &bearer, "POST", "/v1/assistants/import", request.clone()).await;
    let unknown = world.send("POST", "/v1/assistants/import", json!({ "provider_id": "nobody" })).await;
    let marked = json!({ "provider_id": made(&world, "Anna").await["provider_id"] });
    let deleted = world.send("DELETE", &path(&imported.json), Value::Null).await;
    let then_by_other = send_as(&world, &bearer, "POST", "/v1/assistants/import", request).await;
    let marked = send_as(&world, &bearer, "POST", "/v1/assistants/import", marked).await;

    assert_eq!((imported.status, again.status), (201, 200), "{imported:?}");
    assert_eq!(imported.json, again.json);
    assert_eq!(imported.json["origin"], json!({ "from": "imported" }));
    assert_eq!(imported.json["configuration"], configuration(), "what the provider adds is not kept");
    assert_eq!(imported.json["name"], "Bert of the dashboard, who has a name of");
    assert_eq!((by_other.status, by_other.wrong_fields()), (422, vec!["provider_id"]));
    assert_eq!((unknown.status, unknown.wrong_fields()), (422, vec!["provider_id"]));
    assert_eq!((deleted.status, then_by_other.status), (204, 201), "who lets go of it lets others have it");
    assert_eq!(marked.status, 422, "what a company had made is its own");
    assert_eq!(theirs(&world, &imported.json).await["id"], there["id"], "nothing is deleted at the provider");
}

#[tokio::test(start_paused = true)]
async fn a_template_or_another_assistant_is_copied_and_stays_as_it_is() {
    let world = World::new().await;
    let listed = get(&world, "/v1/assistant-templates").await;
    let ids: Vec<&Value> =
        listed["templates"].as_array().expect("templates").iter().map(|template| &template["id"]).collect();

    let of_template = world.send("POST", "/v1/assistants", json!({ "template": "lead-qualifier" })).await;
    let clone = json!({ "clone_of": of_template.json["id"], "name": "Copy" });
    let copy = world.send("POST", "/v1/assistants", clone).await;
    let changed = world.send("PATCH", &path(&copy.json), says("Good morning.")).await;
    let original = get(&world, &path(&of_template.json)).await;
    let mut refused = Vec::new();
    for (method, path) in [
        ("PATCH", "/v1/assistant-templates"),
        ("DELETE", "/v1/assistant-templates"),
        ("DELETE", "/v1/assistant-templates/lead-qualifier"),
        ("PATCH", "/v1/assistants/lead-qualifier"),
        ("DELETE", "/v1/assistants/lead-qualifier"),
    ] {
        refused.push(world.send(method, path, says("Mine.")).await.status);
    }

    assert_eq!(ids, ["lead-qualifier", "appointment-setter", "no-show-follow-up"]);
    assert_eq!((of_template.status, copy.status, changed.status), (201, 201, 200), "{of_template:?}");
    assert_eq!(of_template.json["name"], "Lead qualifier");
    assert_eq!(of_template.json["origin"], json!({ "from": "template", "template": "lead-qualifier" }));
    let first = of_template.json["configuration"]["firstMessage"].as_str().expect("a message");
    assert!(first.contains("AI assistant of Acme"), "{first}");
    assert_eq!(copy.json["origin"], json!({ "from": "clone", "assistant_id": of_template.json["id"] }));
    assert_ne!(copy.json["provider_id"], of_template.json["provider_id"]);
    assert_eq!(original, of_template.json);
    assert!(refused.iter().all(|status| (404..=422).contains(status)), "{refused:?}");
    assert_eq!(get(&world, "/v1/assistant-templates").await, listed);
}

#[tokio::test(start_paused = true)]
async fn drift_is_named_by_pointer_and_a_change_or_an_adoption_ends_it() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;
    let drift_path = format!("{}/drift", path(&first));
    let mut model = configuration()["model"].clone();
    model["messages"][0]["content"] = json!("You are a person.");
    model["maxTokens"] = json!(100);
    let change = json!({ "model": model, "endCallMessage": "Bye.", "name": "Bert" });
    at_provider(&world, "PATCH", &provider_path(&first), change.clone()).await;

    let drifted = get(&world, &drift_path).await;
    let renewed = world.send("PATCH", &path(&first), json!({ "name": "Anna" })).await;
    let renewed_drift = get(&world, &drift_path).await;
    at_provider(&world, "PATCH", &provider_path(&first), change).await;
    let adopted = world.send("POST", &format!("{}/adopt", path(&first)), Value::Null).await;
    let adopted_again = world.send("POST", &format!("{}/adopt", path(&first)), Value::Null).await;
    at_provider(&world, "DELETE", &provider_path(&first), Value::Null).await;
    let gone = get(&world, &drift_path).await;
    let change_gone = world.send("PATCH", &path(&first), says("Hello?")).await;
    let after = get(&world, &path(&first)).await;

    let pointers: Vec<&Value> =
        drifted["differences"].as_array().expect("differences").iter().map(|one| &one["pointer"]).collect();
    assert_eq!(
        (&drifted["state"], pointers),
        (&json!("drifted"), vec![&json!("/model/messages/0/content"), &json!("/name")])
    );
    assert_eq!(drifted["differences"][0]["theirs"], "You are a person.");
    assert_eq!((renewed.status, &renewed_drift["state"]), (200, &json!("in_sync")));
    assert_eq!(
        (adopted.status, &adopted.json["version"], &adopted.json["name"]),
        (200, &json!(3), &json!("Bert"))
    );
    assert_eq!(adopted.json["configuration"]["endCallMessage"], "Bye.");
    assert_eq!((adopted_again.status, &adopted_again.json["version"]), (200, &json!(3)));
    assert_eq!(gone["state"], "gone");
    assert_eq!(change_gone.status, 409, "{change_gone:?}");
    assert!(change_gone.json["detail"].as_str().expect("a detail").contains("does not have this assistant"));
    assert_eq!(after, adopted.json, "nothing has changed, and nothing is fenced");
}

#[tokio::test(start_paused = true)]
async fn what_speaks_is_fixed_when_a_campaign_begins_and_free_when_it_is_over() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;
    let id = first["id"].as_str().expect("an id");
    let planned = campaign(&world, id).await;
    let by_provider_id = campaign(&world, first["provider_id"].as_str().expect("an id")).await;

    let changed = world.send("PATCH", &path(&first), says("Good morning.")).await;
    let started = command(&world, &planned.json, "start").await;
    let mut while_running = Vec::new();
    for command_given in ["", "pause"] {
        if !command_given.is_empty() {
            assert_eq!(command(&world, &planned.json, command_given).await.status, 200);
        }
        while_running.push(world.send("PATCH", &path(&first), says("Good evening.")).await);
        while_running.push(world.send("POST", &format!("{}/adopt", path(&first)), Value::Null).await);
        while_running.push(world.send("DELETE", &path(&first), Value::Null).await);
    }
    let clone = world.send("POST", "/v1/assistants", json!({ "clone_of": id, "name": "Copy" })).await;
    let cancelled = command(&world, &planned.json, "cancel").await;
    let after = world.send("PATCH", &path(&first), says("Good evening.")).await;
    let still_planned = world.send("DELETE", &path(&first), Value::Null).await;
    command(&world, &by_provider_id.json, "cancel").await;
    let deleted = world.send("DELETE", &path(&first), Value::Null).await;

    let uses = |version: u64| json!({ "id": id, "version": version });
    assert_eq!((planned.status, &planned.json["assistant"]), (201, &uses(1)), "{planned:?}");
    assert_eq!(by_provider_id.json["assistant"], uses(1), "a provider's id that is on record is the record");
    assert_eq!(planned.json["assistant_id"], first["provider_id"]);
    assert_eq!((changed.status, started.status), (200, 200), "{changed:?} {started:?}");
    assert_eq!(started.json["assistant"], uses(2), "the version with which it begins");
    for refused in &while_running {
        assert_eq!(refused.status, 409, "{refused:?}");
        let detail = refused.json["detail"].as_str().expect("a detail");
        assert!(detail.contains(planned.json["id"].as_str().expect("an id")), "{detail}");
    }
    assert_eq!((clone.status, cancelled.status, after.status), (201, 200, 200), "{after:?}");
    assert_eq!((still_planned.status, deleted.status), (409, 204));
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_campaign_that_is_completed_lets_go_of_its_assistant() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    world.add_numbers(&["+12125550100"]).await;
    let first = made(&world, "Anna").await;
    let planned = campaign(&world, first["id"].as_str().expect("an id")).await.json;
    let contacts = format!("/v1/campaigns/{}/contacts", planned["id"].as_str().expect("an id"));
    world.send_csv(&contacts, "phone,lead\n+16465550100,lead-1\n").await;
    command(&world, &planned, "start").await;
    world.pass(Duration::from_secs(5)).await;
    let during = get(&world, &path(&first)).await;
    world.pass(Duration::from_hours(2)).await;

    let deleted = world.send("DELETE", &path(&first), Value::Null).await;

    assert_eq!(during["pinned_by"].as_object().expect("campaigns").len(), 1);
    let calls = world.send("GET", "/v1/calls", Value::Null).await;
    assert_eq!(calls.json["calls"].as_array().expect("calls").len(), 1);
    assert_eq!(deleted.status, 204, "{deleted:?}");
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

/// A campaign may name an assistant that nobody has on record, and open again after it was put there.
#[tokio::test(start_paused = true)]
async fn a_campaign_that_opens_again_holds_no_assistant_that_came_on_record_since() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await;
    world.add_numbers(&["+12125550100"]).await;
    let mut there = configuration();
    there["name"] = json!("Bert");
    let there = at_provider(&world, "POST", "/assistant", there).await;
    let planned = campaign(&world, there["id"].as_str().expect("an id")).await.json;
    let of_campaign = format!("/v1/campaigns/{}", planned["id"].as_str().expect("an id"));
    world.send_csv(&format!("{of_campaign}/contacts"), "phone,lead\n+16465550100,lead-1\n").await;
    command(&world, &planned, "start").await;
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
    world.pass(Duration::from_hours(1)).await;
    let completed = get(&world, &of_campaign).await;
    let request = json!({ "provider_id": there["id"] });
    let imported = world.send("POST", "/v1/assistants/import", request).await.json;

    let request = json!({ "phone": "+16465550100", "at": "2026-03-02T15:00" });
    let promised = world.send("POST", &format!("{of_campaign}/callbacks"), request).await;
    let open = get(&world, &of_campaign).await;
    world.pass(Duration::from_hours(12)).await;
    let deleted = world.send("DELETE", &path(&imported), Value::Null).await;
    world.pass(Duration::from_mins(1)).await;

    assert_eq!(
        (&completed["status"], promised.status, &open["status"]),
        (&json!("completed"), 201, &json!("running"))
    );
    assert_eq!(get(&world, &of_campaign).await["answered"], 2);
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn no_campaign_begins_while_its_assistant_is_being_changed() {
    let world = World::new().await;
    let first = made(&world, "Anna").await;
    let planned = campaign(&world, first["id"].as_str().expect("an id")).await.json;
    let fails = Some(AssistantFault::ErrorBefore);

    world.local.simulator.script_assistants([Some(AssistantFault::ErrorAfter), fails]);
    let unclear = world.send("PATCH", &path(&first), says("Good morning.")).await;
    let at_once = command(&world, &planned, "start").await;
    world.pass(Duration::from_mins(1)).await;
    let later = command(&world, &planned, "start").await;

    assert_eq!((unclear.status, at_once.status), (503, 409), "{at_once:?}");
    assert_eq!(later.status, 200, "{later:?}");
    assert_eq!(
        later.json["assistant"]["version"], 2,
        "what the provider has is what the campaign begins with"
    );
}

#[tokio::test(start_paused = true)]
async fn a_campaign_gets_another_assistant_only_before_it_begins() {
    let world = World::new().await;
    let (anna, bert) = (made(&world, "Anna").await, made(&world, "Bert").await);
    let planned = campaign(&world, anna["id"].as_str().expect("an id")).await.json;
    let campaign_path = format!("/v1/campaigns/{}", planned["id"].as_str().expect("an id"));
    let choose = async |assistant: &Value| {
        world.send("PATCH", &campaign_path, json!({ "assistant_id": assistant })).await
    };

    let chosen = choose(&bert["id"]).await;
    let again = choose(&bert["id"]).await;
    let anna_is_free = world.send("DELETE", &path(&anna), Value::Null).await;
    let unregistered = choose(&json!("another-one")).await;
    let bert_is_free = get(&world, &path(&bert)).await["planned_by"].clone();
    let unknown = choose(&anna["id"]).await;
    choose(&bert["id"]).await;
    let started = command(&world, &planned, "start").await;
    let too_late = choose(&json!("another-one")).await;

    assert_eq!((chosen.status, again.status), (200, 200), "{chosen:?}");
    assert_eq!(chosen.json["assistant"]["id"], bert["id"]);
    assert_eq!((anna_is_free.status, bert_is_free), (204, json!({})));
    assert_eq!((unregistered.status, &unregistered.json["assistant_id"]), (200, &json!("another-one")));
    assert_eq!(unregistered.json["assistant"], Value::Null);
    assert_eq!((unknown.status, unknown.wrong_fields()), (422, vec!["assistant_id"]));
    assert_eq!((started.status, too_late.status), (200, 409), "{started:?} {too_late:?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn another_companys_assistant_is_none() {
    let world = World::new().await;
    let bearer = other(&world).await;
    let first = made(&world, "Anna").await;
    let at = path(&first);

    let mut answers = Vec::new();
    for (method, path, body) in [
        ("GET", at.clone(), Value::Null),
        ("PATCH", at.clone(), says("Mine.")),
        ("DELETE", at.clone(), Value::Null),
        ("GET", format!("{at}/versions"), Value::Null),
        ("GET", format!("{at}/drift"), Value::Null),
        ("POST", format!("{at}/adopt"), Value::Null),
    ] {
        answers.push((send_as(&world, &bearer, method, &path, body).await.status, method, path));
    }
    let clone = send_as(&world, &bearer, "POST", "/v1/assistants", json!({ "clone_of": first["id"] })).await;
    let mut campaigns = Vec::new();
    for assistant in [&first["id"], &first["provider_id"]] {
        let request = json!({ "name": "Theirs", "assistant_id": assistant });
        let made = send_as(&world, &bearer, "POST", "/v1/campaigns", request).await;
        campaigns.push((made.status, made.wrong_fields().join(",")));
    }
    let listed = send_as(&world, &bearer, "GET", "/v1/assistants", Value::Null).await;

    assert!(answers.iter().all(|(status, ..)| *status == 404), "{answers:?}");
    assert_eq!((clone.status, clone.wrong_fields()), (422, vec!["clone_of"]));
    assert_eq!(campaigns, [(422, "assistant_id".to_owned()), (422, "assistant_id".to_owned())]);
    assert_eq!(listed.json["assistants"], json!([]));
}

/// A campaign may name an assistant that nobody has on record; when another company puts it on record before the campaign
/// begins, it does not begin.
#[tokio::test(start_paused = true)]
async fn a_campaign_does_not_begin_with_what_became_anothers() {
    let world = World::new().await;
    let bearer = other(&world).await;
    let mut there = configuration();
    there["name"] = json!("Bert");
    let there = at_provider(&world, "POST", "/assistant", there).await;
    let planned = campaign(&world, there["id"].as_str().expect("an id")).await;
    let request = json!({ "provider_id": there["id"] });
    let imported = send_as(&world, &bearer, "POST", "/v1/assistants/import", request).await;

    let started = command(&world, &planned.json, "start").await;

    assert_eq!((planned.status, imported.status, started.status), (201, 201, 422), "{started:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_refused_with_the_field() {
    let world = World::new().await;
    let long = "n".repeat(41);
    for (body, field) in [
        (json!({ "name": "Anna" }), "configuration"),
        (json!({ "name": "Anna", "configuration": {}, "template": "lead-qualifier" }), "configuration"),
        (json!({ "name": "Anna", "configuration": {} }), "configuration"),
        (json!({ "configuration": configuration() }), "name"),
        (json!({ "name": long, "configuration": configuration() }), "name"),
        (json!({ "name": "Anna", "configuration": { "id": "a" } }), "configuration.id"),
        (json!({ "name": "Anna", "configuration": { "credentials": [] } }), "configuration.credentials"),
        (json!({ "template": "cold-caller" }), "template"),
        (json!({ "clone_of": "ast_01J8ZQ4T7M3N5P6R8S9V0W1X2Y" }), "clone_of"),
        (json!({ "name": "Anna", "voice": {} }), "voice"),
    ] {
        let refused = world.send("POST", "/v1/assistants", body.clone()).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec![field]), "{body}: {refused:?}");
    }
    let nothing = at_provider(&world, "GET", "/assistant", Value::Null).await;
    assert_eq!(nothing, json!([]));
}

#[tokio::test(start_paused = true)]
async fn every_event_of_an_assistant_is_as_its_schema_says() {
    let world = World::new().await;
    let of_template =
        world.send("POST", "/v1/assistants", json!({ "template": "appointment-setter" })).await.json;
    let clone = json!({ "clone_of": of_template["id"] });
    let copy = world.send("POST", "/v1/assistants", clone).await.json;
    world.send("PATCH", &path(&copy), says("Good morning.")).await;
    let planned = campaign(&world, copy["id"].as_str().expect("an id")).await.json;
    let campaign_path = format!("/v1/campaigns/{}", planned["id"].as_str().expect("an id"));
    world.send("PATCH", &campaign_path, json!({ "assistant_id": of_template["id"] })).await;
    world.send("DELETE", &path(&copy), Value::Null).await;
    made(&world, "Anna").await;
    world.pass(Duration::from_mins(1)).await;

    let mut seen = Vec::new();
    for event in world.local.stack.engine.bus_events() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/schemas");
        let schema =
            std::fs::read_to_string(format!("{folder}/{}.json", event.detail_type)).expect("a schema");
        let schema = serde_json::from_str(&schema).expect("JSON");
        let wrong: Vec<String> = jsonschema::validator_for(&schema)
            .expect("a schema")
            .iter_errors(&event.detail)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "{} {}", event.detail_type, event.detail);
        seen.push(event.detail_type);
    }
    for kind in ["assistant.created", "assistant.updated", "assistant.deleted", "campaign.assistant_changed"]
    {
        assert!(seen.iter().any(|seen| seen == kind), "{kind} did not happen: {seen:?}");
    }
}
