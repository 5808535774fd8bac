//! What cannot be taken is refused with the field or the line that is wrong, and nothing is half done.

use dialpool_tests::World;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_field_that_is_wrong_is_named() {
    let world = World::new().await;
    let cases = [
        (json!({}), "lead"),
        (json!({ "lead": "a#b" }), "lead"),
        (json!({ "lead": "a", "phone": "call me" }), "phone"),
        (json!({ "lead": "a", "state": "ZZ" }), "state"),
        (json!({ "lead": "a", "zip": "00000" }), "zip"),
        (json!({ "lead": "a", "hold_hours": 169 }), "hold_hours"),
        (json!({ "lead": "a", "leed": "b" }), "leed"),
    ];
    for (body, field) in cases {
        let answer = world.send("POST", "/v1/assignments", body.clone()).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec![field]), "{body}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.json["trace_id"].as_str().map(str::len), Some(32));
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_route_takes_is_a_problem() {
    let world = World::new().await;
    let (not_found, not_allowed) = ((404, "not-found"), (405, "method-not-allowed"));
    // All of it is answered by control-api, which knows the paths of the other functions, too.
    for (method, path, (status, kind)) in [
        ("GET", "/v1/nowhere", not_found),
        ("GET", "/", not_found),
        ("DELETE", "/v1/health", not_allowed),
        ("PATCH", "/v1/campaigns", not_allowed),
        ("DELETE", "/v1/assignments", not_allowed),
    ] {
        let answer = world.send(method, path, Value::Null).await;
        let kind = json!(format!("urn:dialpool:problem:{kind}"));
        assert_eq!((answer.status, &answer.json["type"]), (status, &kind), "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_valid_key_nothing_is_told() {
    let world = World::new().await;
    for authorization in ["", "Bearer", "Bearer dp_x_y", "Bearer dp_0000000000000000_0", "Basic abc"] {
        let answer =
            world.send_as(authorization, "GET", "/v1/pool", "application/json", Vec::new(), &[]).await;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (401, &json!("urn:dialpool:problem:unauthenticated"))
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_opens_its_own_company_only() {
    let world = World::new().await;
    world.add_numbers(&["+14155550101"]).await;
    let assigned = world.send("POST", "/v1/assignments", json!({ "lead": "lead-1" })).await;
    let id = assigned.json["assignment_id"].as_str().unwrap().to_owned();
    let campaign = world.campaign(1, "phone,lead\n+18085550150,early\n").await;
    let other = world.local.company(&"rival".parse().unwrap(), "Rival").await.unwrap();
    let bearer = format!("Bearer {other}");
    let paths = [
        format!("/v1/assignments/{id}"),
        "/v1/leads/lead-1/assignment".to_owned(),
        format!("/v1/campaigns/{campaign}"),
        format!("/v1/campaigns/{campaign}/contacts"),
    ];
    for path in paths {
        let answer = world.send_as(&bearer, "GET", &path, "application/json", Vec::new(), &[]).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    let named = world.send("POST", "/v1/assignments", json!({ "company": "rival", "lead": "lead-2" })).await;
    assert_eq!(named.status, 403, "{named:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unauthenticated_webhook_is_refused_and_a_large_one_too() {
    let world = World::new().await;
    let body = json!({ "message": { "type": "hang" } });
    let answer = world.send("POST", "/v1/webhooks/vapi", body).await;
    assert_eq!(answer.status, 401, "{answer:?}");

    let large = vec![b' '; 11 * 1024 * 1024];
    let secret = [("x-vapi-secret", "local-webhook-secret")];
    let answer = world.send_as("", "POST", "/v1/webhooks/vapi", "application/json", large, &secret).await;
    assert_eq!((answer.status, &answer.json["type"]), (413, &json!("urn:dialpool:problem:too-large")));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_nobody_understands_is_kept_for_a_human() {
    let world = World::new().await;
    let secret = [("x-vapi-secret", "local-webhook-secret")];
    let unknown = json!({ "message": { "type": "teleport", "call": { "id": "c1" } } });

    let answer = world.send_with("POST", "/v1/webhooks/vapi", unknown, &secret).await;
    let garbled =
        world.send_as("", "POST", "/v1/webhooks/vapi", "application/json", b"{".to_vec(), &secret).await;
    world.pass(dialpool_domain::time::Duration::from_hours(1)).await;

    assert_eq!((answer.status, garbled.status), (200, 200));
    let engine = &world.local.stack.engine;
    assert_eq!((engine.queue_depth("InboxQueue").total(), engine.queue_depth("InboxDlq").total()), (0, 2));
    assert!(engine.queue_bodies("InboxDlq")[0].contains("teleport"));
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_are_reported_and_the_others_are_taken() {
    let world = World::new().await;
    let csv = "number,vapi_id,state\n+14155550101,pn-1,CA\nnonsense,pn-2,CA\n+14155550103,pn-3,CA,x\n";

    let dry = world.send_csv("/v1/numbers/import?dry_run=true", csv).await;
    let before = world.send("GET", "/v1/numbers", Value::Null).await;
    let taken = world.send_csv("/v1/numbers/import", csv).await;
    let after = world.send("GET", "/v1/numbers", Value::Null).await;

    assert_eq!((dry.status, before.json["numbers"].as_array().unwrap().len()), (200, 0));
    assert_eq!((&dry.json["added"], &dry.json["refused"]), (&taken.json["added"], &taken.json["refused"]));
    assert_eq!((&taken.json["added"], &taken.json["rows"]), (&json!(1), &json!(3)));
    let lines: Vec<_> =
        taken.json["refused"].as_array().unwrap().iter().map(|row| row["line"].clone()).collect();
    assert_eq!(lines, [json!(3), json!(4)]);
    assert_eq!(after.json["numbers"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_idempotency_key_gets_the_same_answer_and_another_request_is_refused() {
    let world = World::new().await;
    let key = [("idempotency-key", "order-1")];
    let campaign = json!({ "name": "Spring", "assistant_id": "a-1" });

    let first = world.send_with("POST", "/v1/campaigns", campaign.clone(), &key).await;
    let again = world.send_with("POST", "/v1/campaigns", campaign, &key).await;
    let other = world
        .send_with("POST", "/v1/campaigns", json!({ "name": "Fall", "assistant_id": "a-1" }), &key)
        .await;

    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json, again.json);
    assert_eq!((other.status, other.wrong_fields()), (422, vec!["Idempotency-Key"]), "{other:?}");
}
