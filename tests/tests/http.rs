//! HTTP as clients speak it: what is taken in more than one spelling, what is refused, and with which words.

use std::io::Write;

use axum::Router;
use axum::body::Body;
use dialpool::engine::{Fault, WireRequest};
use dialpool::template::{Template, Trigger};
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Begun, StoredAnswer};
use dialpool_runtime::http::ROUTES;
use dialpool_tests::{Answer, World};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tower::ServiceExt;

const JSON: &str = "application/json";

fn zipped(file: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(file).expect("memory");
    gzip.finish().expect("memory")
}

/// Sends a request as it is, without a key unless it has one.
async fn ask(
    api: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, http::HeaderMap, Vec<u8>) {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = api.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    (parts.status.as_u16(), parts.headers, body.to_vec())
}

async fn campaign(world: &World) -> String {
    let request = json!({ "name": "Test", "assistant_id": "a-1", "consent_required": "none" });
    let made = world.send("POST", "/v1/campaigns", request).await;
    format!("/v1/campaigns/{}", made.json["id"].as_str().expect("an id"))
}

fn told(answer: &Answer) -> String {
    answer.json["detail"].as_str().unwrap_or_default().to_owned()
}

// ---- compressed bodies ------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn every_member_of_a_compressed_file_is_imported() {
    let world = World::new().await;
    let path = format!("{}/contacts", campaign(&world).await);
    let parts: [&[u8]; 4] = [b"phone,lead\n+14155550101,a\n", b"", b"+14155550102,b\n+1415", b"5550103,c\n"];
    let file: Vec<u8> = parts.iter().flat_map(|part| zipped(part)).collect();

    let taken = world.send_file(&path, file, &[("content-encoding", "GZIP")]).await;

    assert_eq!((taken.status, &taken.json["added"]), (200, &json!(3)), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_last_member_of_a_compressed_file_refuses_all_of_it() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let path = format!("{campaign}/contacts");
    let whole = zipped(b"phone,lead\n+14155550101,a\n");
    let second = zipped(b"+14155550102,b\n");

    for more in [b"+14155550102,b\n".as_slice(), b"\0", &second[..12], &second[..second.len() - 1]] {
        let file = [whole.as_slice(), more].concat();
        let answer = world.send_file(&path, file, &[("content-encoding", "gzip")]).await;
        assert_eq!(answer.status, 400, "{more:?}: {answer:?}");
    }
    let nothing = world.send_file(&path, Vec::new(), &[("content-encoding", "gzip")]).await;

    assert_eq!(nothing.wrong_fields(), ["header"], "an empty body is an empty file: {nothing:?}");
    assert_eq!(world.send("GET", &campaign, Value::Null).await.json["contacts"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_taken_by_the_routes_of_every_function_and_other_encodings_by_none() {
    let world = World::new().await;
    world.add_numbers(&["+14155550101"]).await;
    let message = json!({
        "trigger": "message_received", "id": "m-1", "lead": "lead-1", "phone": "+14155550150", "channel": "sms",
        "text": "STOP",
    });
    for (path, body, status) in [
        ("/v1/assignments", json!({ "lead": "lead-1" }), 201),
        ("/v1/decisions", message, 200),
        ("/v1/suppressions", json!({ "phone": "+14155550151" }), 201),
    ] {
        let send = async |coding: &str, body: Vec<u8>| {
            let headers = [("content-encoding", coding), ("content-type", JSON)];
            world.send_bytes("POST", path, body, &headers).await
        };
        let other = send("br", body.to_string().into_bytes()).await;
        let taken = send("gzip", zipped(body.to_string().as_bytes())).await;
        assert_eq!(
            (other.status, &other.headers["accept-encoding"]),
            (415, &"gzip".parse().unwrap()),
            "{path}"
        );
        assert_eq!(taken.status, status, "{path}: {taken:?}");
    }
}

// ---- JSON -------------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn text_after_the_json_value_refuses_the_request_on_every_route() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let two = |one: Value, other: Value| format!("{one}\n{other}");
    let suppress = |phone: &str| json!({ "phone": phone });
    for (method, path, body) in [
        ("POST", "/v1/suppressions".to_owned(), two(suppress("+14155550151"), suppress("+14155550152"))),
        ("POST", "/v1/assignments".to_owned(), two(json!({ "lead": "a" }), json!({ "lead": "b" }))),
        ("PATCH", campaign.clone(), r#"{"cap":3} {"cap":4}"#.to_owned()),
        ("PUT", "/v1/stops".to_owned(), r#"{"reason":"test"}]"#.to_owned()),
        ("POST", "/v1/campaigns".to_owned(), r#"{"name":"a","assistant_id":"a"},"#.to_owned()),
        (
            "POST",
            format!("{campaign}/contacts"),
            r#"[{"phone":"+14155550101"}][{"phone":"+14155550102"}]"#.to_owned(),
        ),
        ("POST", "/v1/numbers/import".to_owned(), r#"[{"phone":"+14155550101"}] x"#.to_owned()),
    ] {
        let answer = world.send_bytes(method, &path, body.into_bytes(), &[("content-type", JSON)]).await;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (400, &json!("urn:dialpool:problem:unreadable")),
            "{path}"
        );
    }
    let message = json!({ "trigger": "message_received", "id": "m-1" }).to_string() + "{}";
    let answer =
        world.send_bytes("POST", "/v1/decisions", message.into_bytes(), &[("content-type", JSON)]).await;

    assert!(
        told(&answer).contains("goes on after the end of the JSON value, at line 1 column"),
        "{answer:?}"
    );
    assert_eq!(world.send("GET", "/v1/numbers", Value::Null).await.json["numbers"], json!([]));
    assert_eq!(world.send("GET", &campaign, Value::Null).await.json["contacts"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_type_is_told_with_the_path_of_its_field_and_what_was_expected() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    for (method, path, body, expected) in [
        (
            "PATCH",
            campaign.as_str(),
            json!({ "cap": "5" }),
            "cap: must be a whole number from 1 to 50, not a text",
        ),
        ("PATCH", &campaign, json!({ "cap": 51 }), "cap: must be a whole number from 1 to 50, not 51"),
        ("PATCH", &campaign, json!({ "cap": 2.5 }), "cap: must be a whole number from 1 to 50, not 2.5"),
        ("PATCH", &campaign, json!([]), "body: must be an object, not a list"),
        (
            "POST",
            "/v1/campaigns",
            json!({ "name": "a", "assistant_id": "a", "mode": "fast" }),
            "mode: must be one of continuous, batch",
        ),
        (
            "POST",
            "/v1/assignments",
            json!({ "lead": "a", "hold_hours": 0 }),
            "hold_hours: must be a whole number from 1 to 168, not 0",
        ),
        ("POST", "/v1/assignments", json!({ "lead": ["a"] }), "lead: must be a text, not a list"),
        (
            "POST",
            "/v1/assignments",
            json!({ "lead": "a", "wait": "yes" }),
            "wait: must be true or false, not a text",
        ),
        (
            "PATCH",
            "/v1/company",
            json!({ "limits": { "per_day": "50" } }),
            "limits.per_day: must be a whole number, 0 or more, not a text",
        ),
        ("PATCH", "/v1/company", json!({ "limits": { "per_dya": 50 } }), "limits.per_dya: is not known here"),
        (
            "PATCH",
            "/v1/company",
            json!({ "limits": { "warm_up": [1, 2] } }),
            "limits.warm_up: must be a list of 3, not of 2",
        ),
    ] {
        let answer = world.send(method, path, body.clone()).await;
        assert_eq!((answer.status, told(&answer).as_str()), (422, expected), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_is_taken_where_text_is_meant_and_a_byte_order_mark_before_json() {
    let world = World::new().await;
    world.add_numbers(&["+14155550101", "+14155550102"]).await;

    let body = "\u{feff}{\"lead\":4711,\"phone\":4155550150,\"zip\":94105}";
    let assigned = world.send_bytes("POST", "/v1/assignments", body.into(), &[("content-type", JSON)]).await;
    let floating = world.send("POST", "/v1/assignments", json!({ "lead": 4711.0 })).await;
    let suppressed = world.send("POST", "/v1/suppressions", json!({ "phone": 14_155_550_151_u64 })).await;
    let decided = json!({
        "trigger": "message_received", "id": 17, "lead": 4711, "phone": 4_155_550_150_u64, "channel": "sms", "text": 7,
    });
    let decided = world.send("POST", "/v1/decisions", decided).await;

    assert_eq!((assigned.status, &assigned.json["lead"]), (201, &json!("4711")), "{assigned:?}");
    assert_eq!(
        (floating.status, &floating.json["lead"]),
        (200, &json!("4711")),
        "the same lead: {floating:?}"
    );
    assert_eq!(
        (suppressed.status, &suppressed.json["phone"]),
        (201, &json!("+14155550151")),
        "{suppressed:?}"
    );
    assert_eq!(decided.status, 200, "{decided:?}");
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_is_there_twice_is_not_known_or_cannot_be_read_is_named() {
    let world = World::new().await;
    for (path, field) in [
        ("/v1/campaigns?limit=5&limit=6", "limit"),
        ("/v1/campaigns?limmit=5", "limmit"),
        ("/v1/campaigns?limit=many", "limit"),
        ("/v1/numbers?health_under=-1", "health_under"),
        ("/v1/numbers?standing=resting%20well", "standing"),
    ] {
        let answer = world.send("GET", path, Value::Null).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec![field]), "{path}: {answer:?}");
        assert!(!told(&answer).contains("u8") && !told(&answer).contains("u32"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn media_types_and_the_scheme_of_a_key_are_known_in_any_case() {
    let world = World::new().await;
    let path = format!("{}/contacts", campaign(&world).await);
    let csv = b"phone,lead\n+14155550101,a\n";
    let send = async |kind: &str, body: &[u8]| {
        world.send_bytes("POST", &path, body.to_vec(), &[("content-type", kind)]).await
    };

    let loud = send("Text/CSV; Charset=UTF-8", csv).await;
    let json = send("APPLICATION/JSON;charset=utf-8", br#"[{"phone":"+14155550102"}]"#).await;
    let none = send("application/x-www-form-urlencoded", csv).await;
    let form = world
        .send_bytes("POST", "/v1/assignments", b"lead=a".to_vec(), &[("content-type", "text/plain")])
        .await;
    let bearer = world.bearer().replacen("Bearer", "bearer", 1);
    let quiet = world.send_as(&bearer, "GET", "/v1/pool", JSON, Vec::new(), &[]).await;
    let other =
        world.send_as(&bearer.replacen("bearer", "Basic", 1), "GET", "/v1/pool", JSON, Vec::new(), &[]).await;

    assert_eq!((loud.status, json.status), (200, 200), "{loud:?} {json:?}");
    assert_eq!((none.status, &none.headers["accept"]), (415, &"text/csv, application/json".parse().unwrap()));
    assert_eq!((form.status, &form.headers["accept"]), (415, &JSON.parse().unwrap()));
    assert_eq!((quiet.status, other.status), (200, 401));
}

// ---- methods and origins ----------------------------------------------------------------------------------------------

#[test]
fn the_routes_that_a_wrong_method_is_told_are_those_of_the_template() {
    let template = Template::parse(dialpool::local::TEMPLATE).expect("the template");
    let mut routes = std::collections::BTreeMap::<String, Vec<String>>::new();
    for trigger in template.functions.into_iter().flat_map(|function| function.triggers) {
        if let Trigger::Http { method, path } = trigger {
            routes.entry(path).or_default().push(method);
        }
    }
    let told = ROUTES.iter().map(|(path, methods)| {
        let mut methods: Vec<String> = methods.split(", ").map(str::to_owned).collect();
        methods.sort();
        ((*path).to_owned(), methods)
    });
    routes.values_mut().for_each(|methods| methods.sort());
    assert_eq!(routes, told.collect());
}

#[tokio::test(start_paused = true)]
async fn a_method_that_a_route_does_not_take_is_answered_405_with_those_that_it_takes() {
    let world = World::new().await;
    for (route, methods) in ROUTES {
        let path = route.replace("{number}", "+14155550101").replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PURGE"] {
            if methods.split(", ").any(|taken| taken == method) {
                continue;
            }
            // Without a key: which methods there are is no secret, and a browser asks without one.
            let (status, headers, body) = ask(world.local.stack.api(), method, &path, &[]).await;
            assert_eq!((status, headers["allow"].to_str().unwrap()), (405, *methods), "{method} {path}");
            assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
            // The answer to HEAD has no body.
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            assert!(method != "HEAD" || body.is_empty());
            assert!(
                method == "HEAD" || problem["type"] == "urn:dialpool:problem:method-not-allowed",
                "{method} {path}: {problem}"
            );
        }
    }
    for (method, path) in [("HEAD", "/v1/nowhere"), ("OPTIONS", "/"), ("GET", "/v1/health/")] {
        assert_eq!(ask(world.local.stack.api(), method, path, &[]).await.0, 404, "{method} {path}");
    }
}

const APP: &str = "https://app.example.com";

fn preflight(origin: &str) -> [(&str, &str); 3] {
    [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_page_of_an_origin_of_the_setting_may_call_and_no_other() {
    let world = World::with(|settings| settings.cors_origins = format!("{APP}, http://localhost:5173")).await;
    let api = || world.local.stack.api();
    for path in ["/v1/assignments", "/v1/campaigns", "/v1/decisions"] {
        let (status, headers, _) = ask(api(), "OPTIONS", path, &preflight(APP)).await;
        assert_eq!((status, headers["access-control-allow-origin"].to_str().unwrap()), (204, APP), "{path}");
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"), "{path}");
        let allowed = headers["access-control-allow-headers"].to_str().unwrap();
        for needed in ["authorization", "content-type", "idempotency-key"] {
            assert!(allowed.contains(needed), "{path}: {allowed}");
        }
        assert!(!headers.contains_key("access-control-allow-credentials"));
        assert_eq!(headers["vary"], "origin");
    }
    // An answer may be read whatever it says: a page shows the problem.
    let (status, headers, _) = ask(api(), "GET", "/v1/pool", &[("origin", APP)]).await;
    assert_eq!((status, headers["access-control-allow-origin"].to_str().unwrap()), (401, APP));

    let (status, headers, _) =
        ask(api(), "OPTIONS", "/v1/pool", &preflight("https://evil.example.com")).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (405, false));
    let (status, _, _) = ask(api(), "OPTIONS", "/v1/nowhere", &preflight(APP)).await;
    assert_eq!(status, 404);
}

#[tokio::test(start_paused = true)]
async fn no_page_may_call_without_the_setting_and_any_page_with_a_star() {
    let (off, any) =
        (World::new().await, World::with(|settings| settings.cors_origins = "*".to_owned()).await);

    let (status, headers, _) = ask(off.local.stack.api(), "OPTIONS", "/v1/pool", &preflight(APP)).await;
    let (taken, granted, _) = ask(any.local.stack.api(), "OPTIONS", "/v1/pool", &preflight(APP)).await;
    let (_, none, _) = ask(any.local.stack.api(), "GET", "/v1/pool", &[]).await;

    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (405, false));
    assert_eq!((taken, granted["access-control-allow-origin"].to_str().unwrap()), (204, "*"));
    assert!(!granted.contains_key("access-control-allow-credentials"));
    assert!(!none.contains_key("access-control-allow-origin"), "who names no origin is no page");
}

// ---- idempotency ------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_the_same_however_its_json_is_written() {
    let world = World::new().await;
    let send = async |body: &str| {
        let headers = [("content-type", JSON), ("idempotency-key", "order-1")];
        world.send_bytes("POST", "/v1/campaigns", body.as_bytes().to_vec(), &headers).await
    };

    let first = send(r#"{"name":"Spring","assistant_id":"a-1","cap":5}"#).await;
    let again =
        send("\u{feff}{ \"cap\": 5.0,\n \"assistant_id\": \"a\\u002d1\", \"name\": \"Spring\" }").await;

    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!(first.json, again.json);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    for other in [
        r#"{"name":"Spring","assistant_id":"a-1","cap":6}"#,
        r#"{"name":"Spring","assistant_id":"a-1"}"#,
        r#"{"name":"Spring","assistant_id":"a-1","cap":5,"voicemail":"skip"}"#,
        r#"{"name":"spring","assistant_id":"a-1","cap":5}"#,
    ] {
        let answer = send(other).await;
        assert_eq!(
            (answer.status, answer.wrong_fields()),
            (422, vec!["Idempotency-Key"]),
            "{other}: {answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_twice_at_once_is_carried_out_once_and_the_other_is_told_to_wait() {
    let world = World::new().await;
    let key = [("idempotency-key", "order-1")];
    let body = json!({ "name": "Spring", "assistant_id": "a-1" });
    let send = async || world.send_with("POST", "/v1/campaigns", body.clone(), &key).await;

    let (one, two) = tokio::join!(send(), send());
    let later = send().await;

    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(matches!(statuses, [201, 409] | [201, 201]), "{one:?} {two:?}");
    for told in [&one, &two].into_iter().filter(|answer| answer.status == 409) {
        assert_eq!(told.json["type"], "urn:dialpool:problem:under-way");
        assert_eq!(told.headers["retry-after"], "1");
    }
    assert_eq!(later.status, 201);
    let campaigns = world.send("GET", "/v1/campaigns", Value::Null).await;
    assert_eq!(campaigns.json["campaigns"].as_array().map(Vec::len), Some(1), "{campaigns:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_larger_than_an_item_is_given_again_whole() {
    let world = World::new().await;
    let path = format!("{}/contacts", campaign(&world).await);
    let row = |n: u32| format!("not a phone {:x},{}\n", n.wrapping_mul(2_654_435_761), "x".repeat(20));
    let file: String = std::iter::once("phone,lead\n".to_owned()).chain((0..9_000).map(row)).collect();
    let key = [("idempotency-key", "list-1")];

    let first = world.send_file(&path, file.clone().into_bytes(), &key).await;
    let again = world.send_file(&path, file.into_bytes(), &key).await;

    assert!(first.text.len() > 400 * 1024, "{} bytes", first.text.len());
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert!(again.text == first.text, "{} and {} bytes", first.text.len(), again.text.len());
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_request_whose_process_died_is_free_after_a_minute_and_the_dead_one_answers_for_nobody()
{
    let world = World::new().await;
    let (store, company) = (world.store(), &world.company);
    let begin = async |attempt: &str, request: &str| {
        store.begin_idempotent(world.now(), company, "name", request, attempt).await.expect("an answer")
    };
    let answer = |body: &str| StoredAnswer { http_status: 200, body: body.to_owned() };

    assert_eq!(begin("first", "request").await, Begun::Fresh);
    let begun_at = world.now();
    assert_eq!(begin("second", "request").await, Begun::UnderWay);
    assert_eq!(begin("second", "another").await, Begun::OtherRequest);
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(begin("second", "another").await, Begun::OtherRequest);
    assert_eq!(begin("second", "request").await, Begun::Fresh);

    // The first was not dead after all, only slow.
    store.abandon_idempotent(company, "name", "first").await.expect("an answer");
    store.finish_idempotent(begun_at, company, "name", "first", answer("late")).await.expect("an answer");
    assert_eq!(begin("third", "request").await, Begun::UnderWay);
    let large = "é\"".repeat(300_000);
    store.finish_idempotent(world.now(), company, "name", "second", answer(&large)).await.expect("an answer");
    store
        .finish_idempotent(world.now(), company, "name", "second", answer("twice"))
        .await
        .expect("an answer");
    store.abandon_idempotent(company, "name", "second").await.expect("an answer");
    assert_eq!(begin("third", "request").await, Begun::Answered(answer(&large)));
}

// ---- health -----------------------------------------------------------------------------------------------------------

fn asked(world: &World) -> u64 {
    let requests = world.local.stack.engine.requests();
    ["DynamoDB.GetItem", "SQS.GetQueueAttributes"]
        .iter()
        .filter_map(|operation| requests.get(*operation))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn the_dependencies_are_asked_once_in_ten_seconds_whoever_asks() {
    let world = World::new().await;
    let health = async || ask(world.local.stack.api(), "GET", "/v1/health", &[]).await;
    let before = asked(&world);

    let at_once = futures::future::join_all((0..20).map(|_| health())).await;
    let first = asked(&world);
    world.pass(Duration::from_secs(9)).await;
    health().await;
    let soon = asked(&world);
    world.pass(Duration::from_secs(2)).await;
    health().await;

    assert!(at_once.iter().all(|(status, _, body)| (*status, body) == (200, &at_once[0].2)));
    // Four tables and a queue; the simulated provider looks into a table for its numbers.
    assert_eq!((first - before, soon - first, asked(&world) - soon), (6, 0, 6));
    let report: Value = serde_json::from_slice(&at_once[0].2).unwrap();
    assert_eq!(report["status"], "ok");
    let names: Vec<_> =
        report["dependencies"].as_array().unwrap().iter().map(|it| it["name"].as_str()).collect();
    let expected =
        ["pool_table", "dialing_table", "people_table", "journal_table", "dial_queue", "voice_provider"];
    assert_eq!(names, expected.map(Some));
    assert!(report["dependencies"].as_array().unwrap().iter().all(|it| it["ms"].is_u64()), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_fails_is_named_with_503_and_nothing_of_the_cause() {
    for (failing, service, part) in [
        ("people_table", "DynamoDB", "PeopleTable"),
        ("journal_table", "DynamoDB", "JournalTable"),
        ("dial_queue", "SQS", "DialQueue"),
    ] {
        let world = World::with(|settings| {
            settings.intercept = Some(std::sync::Arc::new(move |request: &WireRequest<'_>| {
                let body = String::from_utf8_lossy(request.body);
                let refused = request.service == service && body.contains(part);
                let cause = r#"{"__type":"AccessDeniedException","message":"secret-cause"}"#;
                if refused { Fault::Refused(400, cause.to_owned()) } else { Fault::None }
            }));
        })
        .await;

        let (status, _, body) = ask(world.local.stack.api(), "GET", "/v1/health", &[]).await;

        let report: Value = serde_json::from_slice(&body).unwrap();
        let dependencies = report["dependencies"].as_array().unwrap().iter();
        let failed: Vec<_> =
            dependencies.filter(|it| it["status"] != "ok").map(|it| it["name"].clone()).collect();
        assert_eq!(
            (status, &report["status"], failed),
            (503, &json!("failing"), vec![json!(failing)]),
            "{report}"
        );
        assert!(!String::from_utf8_lossy(&body).contains("secret-cause"), "{report}");
    }
}
