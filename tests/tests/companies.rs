//! Companies: who makes them, what they set, and that none sees another.

use dialpool_domain::time::Duration;
use dialpool_dynamo::Company;
use dialpool_runtime::http::issue_api_key;
use dialpool_tests::{Answer, World};
use serde_json::{Value, json};

async fn operator(world: &World) -> String {
    issue_api_key(world.store(), &world.local.entropy, None).await.expect("a key")
}

async fn send(world: &World, key: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    world.send_as(&bearer, method, path, "application/json", body, &[]).await
}

#[tokio::test(start_paused = true)]
async fn an_operator_makes_a_company_and_its_key_opens_that_company_alone() {
    let world = World::new().await;
    let operator = operator(&world).await;
    let request = json!({ "company": "beta", "name": "Beta", "hold_hours": 2, "zone": "America/Denver" });

    let made = send(&world, &operator, "POST", "/v1/companies", request.clone()).await;
    let key = made.json["api_key"].as_str().expect("a key").to_owned();
    let again = send(&world, &operator, "POST", "/v1/companies", request.clone()).await;
    world.add_numbers(&["+14155550101"]).await;
    let others = send(&world, &key, "GET", "/v1/numbers/+14155550101", Value::Null).await;
    let own = send(&world, &key, "GET", "/v1/company", Value::Null).await;

    assert_eq!((made.status, again.status, others.status, own.status), (201, 409, 404, 200));
    assert_eq!((&own.json["name"], &own.json["hold_hours"]), (&json!("Beta"), &json!(2)));
    assert_eq!(own.json["zone"], "America/Denver");
    for (method, path, body) in [("POST", "/v1/companies", request), ("GET", "/v1/companies", Value::Null)] {
        assert_eq!(send(&world, &key, method, path, body).await.status, 403, "{method} {path}");
    }
    for path in ["/v1/company", "/v1/numbers", "/v1/pool"] {
        assert_eq!(send(&world, &operator, "GET", path, Value::Null).await.status, 403, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_the_pool_of_every_company_page_by_page() {
    let world = World::new().await;
    let operator = operator(&world).await;
    for company in ["zeta", "beta"] {
        let made = send(&world, &operator, "POST", "/v1/companies", json!({ "company": company })).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    world.add_numbers(&["+14155550101", "+14155550102"]).await;
    let _held = world.assign("lead-1").await;

    let first = send(&world, &operator, "GET", "/v1/companies?limit=2", Value::Null).await;
    let rest = send(&world, &operator, "GET", "/v1/companies?limit=2&after=beta", Value::Null).await;

    let ids = |answer: &Answer| -> Vec<String> {
        let companies = answer.json["companies"].as_array().expect("companies").iter();
        companies.map(|company| company["company"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!((ids(&first), ids(&rest)), (vec!["acme".into(), "beta".into()], vec!["zeta".to_owned()]));
    assert_eq!((&first.json["next"], &rest.json["next"]), (&json!("beta"), &Value::Null));
    assert_eq!(first.json["companies"][0]["pool"]["assigned"], 1);
    assert_eq!(first.json["companies"][0]["utilisation_percent"], 50);
}

#[tokio::test(start_paused = true)]
async fn an_operators_request_is_carried_out_whether_or_not_it_has_an_idempotency_key() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", operator(&world).await);
    let key = [("idempotency-key", "order-1")];
    for (path, body, statuses) in [
        ("/v1/operator/suppressions", json!({ "phone": "+16465550100" }), [201_u16, 200]),
        ("/v1/companies", json!({ "company": "beta" }), [201, 409]),
    ] {
        let body = body.to_string().into_bytes();
        let mut answers = Vec::new();
        for _time in 0..2 {
            answers.push(world.send_as(&bearer, "POST", path, "application/json", body.clone(), &key).await);
        }
        let answered: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(answered, statuses, "{path}: {answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_of_settings_at_once_both_hold() {
    let world = World::new().await;
    for n in 1..=20 {
        let hours = json!({ "hold_hours": n, "limits": { "per_day": n } });
        let lines = json!({ "lines": n, "limits": { "rest_minutes": n } });

        let (one, other) = tokio::join!(
            world.send("PATCH", "/v1/company", hours),
            world.send("PATCH", "/v1/company", lines),
        );

        assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
        let after = world.send("GET", "/v1/company", Value::Null).await.json;
        let set = [&after["hold_hours"], &after["lines"]];
        let limits = [&after["limits"]["per_day"], &after["limits"]["rest_minutes"]];
        assert_eq!([set, limits], [[&json!(n); 2]; 2], "round {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_changed_since_they_were_read_are_not_written_over() {
    let world = World::new().await;
    let store = world.store();
    for lines in [7, 8] {
        let read = store.company(&world.company).await.unwrap().expect("a company");

        let first = store.change_company(&Company { lines, ..read.clone() }).await.unwrap();
        let stale = store.change_company(&Company { local_presence: false, ..read }).await.unwrap();

        assert_eq!(first.map(|company| company.lines), Some(lines));
        assert_eq!(stale, None);
        let after = store.company(&world.company).await.unwrap().expect("a company");
        assert_eq!((after.lines, after.local_presence), (lines, true));
    }
    let nobodys = Company::new("nobody".parse().unwrap(), "Nobody");
    assert_eq!(store.change_company(&nobodys).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_measured_in_characters() {
    let world = World::new().await;
    for (characters, statuses) in [(100, [200, 201]), (101, [422, 422])] {
        let name = "é".repeat(characters);

        let company = world.send("PATCH", "/v1/company", json!({ "name": name })).await;
        let campaign =
            world.send("POST", "/v1/campaigns", json!({ "name": name, "assistant_id": "a-1" })).await;

        assert_eq!([company.status, campaign.status], statuses, "{company:?} {campaign:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_out_of_its_bounds_is_named_and_changes_nothing() {
    let world = World::new().await;
    let before = world.send("GET", "/v1/company", Value::Null).await.json;
    for (settings, field) in [
        (json!({ "limits": { "per_hour": 0 }, "name": "New" }), "limits.per_hour"),
        (json!({ "limits": { "warm_up": [1, 0, 3] } }), "limits.warm_up"),
        (json!({ "thresholds": { "sick": 60 } }), "thresholds.sick"),
        (json!({ "thresholds": { "utilisation": [90, 80] } }), "thresholds.utilisation"),
        (json!({ "thresholds": { "rest_days": 400 } }), "thresholds.rest_days"),
        (json!({ "retry": { "attempts": 0 } }), "retry.attempts"),
        (json!({ "retry": { "busy_min": 0 } }), "retry.busy_min"),
        (json!({ "hold_hours": 169 }), "hold_hours"),
        (json!({ "zone": "Mars/Olympus" }), "zone"),
    ] {
        let refused = world.send("PATCH", "/v1/company", settings).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec![field]), "{refused:?}");
    }
    assert_eq!(world.send("GET", "/v1/company", Value::Null).await.json, before);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_reached_is_called_again_when_and_as_often_as_the_company_wants() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 0.0;
        settings.simulator.voicemail_rate = 0.0;
        settings.simulator.busy_rate = 1.0;
    })
    .await;
    world.add_numbers(&["+12125550100"]).await;
    let retry = json!({ "attempts": 2, "spacing_min": 30, "busy_min": 40 });
    let changed = world.send("PATCH", "/v1/company", json!({ "retry": retry })).await.json;

    let campaign = world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    world.pass(Duration::from_hours(3)).await;

    assert_eq!((&changed["retry"]["attempts"], &changed["retry"]["no_answer_min"]), (&json!(2), &json!(240)));
    let found = world.send("GET", &format!("/v1/campaigns/{campaign}/contacts"), Value::Null).await.json;
    let contact = &found["contacts"][0];
    assert_eq!(
        (&contact["done"], contact["attempts"].as_array().map(Vec::len)),
        (&json!("attempts_used_up"), Some(2))
    );
}

#[tokio::test(start_paused = true)]
async fn a_lead_gets_a_number_of_its_area_unless_its_company_switched_that_off() {
    let world = World::new().await;
    world.add_numbers(&["+12125550102"]).await;
    world.pass(Duration::from_mins(1)).await;
    world.add_numbers(&["+14155550101"]).await;
    // Settings are remembered for half a minute.
    for (local, expected) in [(true, "+14155550101"), (false, "+12125550102")] {
        let set = world.send("PATCH", "/v1/company", json!({ "local_presence": local })).await;
        assert_eq!(set.status, 200);
        world.pass(Duration::from_secs(31)).await;

        let lead = json!({ "lead": format!("lead-{local}"), "phone": "+14155550150" });
        let granted = world.send("POST", "/v1/assignments", lead).await;

        assert_eq!(granted.json["number"], expected, "local presence {local}: {granted:?}");
        let path = format!("/v1/assignments/{}/release", granted.json["assignment_id"].as_str().unwrap());
        assert_eq!(world.send("POST", &path, Value::Null).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_campaign_dials_from_any_number_when_its_company_switched_local_presence_off() {
    let world = World::new().await;
    world.add_numbers(&["+12125550102"]).await;
    world.pass(Duration::from_mins(1)).await;
    world.add_numbers(&["+14155550101"]).await;
    world.send("PATCH", "/v1/company", json!({ "local_presence": false })).await;

    world.campaign(1, "phone,lead\n+14155550150,lead-1\n").await;
    world.pass(Duration::from_mins(1)).await;

    let hold = world.send("GET", "/v1/leads/lead-1/assignment", Value::Null).await;
    assert_eq!(hold.json["number"], "+12125550102", "{hold:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_withdrawn_opens_nothing_half_a_minute_later() {
    let world = World::new().await;
    let key = issue_api_key(world.store(), &world.local.entropy, Some(&world.company)).await.unwrap();
    let id = key.split('_').nth(1).unwrap();
    assert_eq!(send(&world, &key, "GET", "/v1/company", Value::Null).await.status, 200);

    let revoked = world.store().revoke_api_key(world.now(), id).await.unwrap();
    let unknown = world.store().revoke_api_key(world.now(), "nobody").await.unwrap();
    world.pass(Duration::from_secs(31)).await;

    assert!(revoked && !unknown);
    assert_eq!(send(&world, &key, "GET", "/v1/company", Value::Null).await.status, 401);
}
