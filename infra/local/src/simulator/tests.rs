use std::collections::VecDeque;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::*;

/// 2026-03-02T15:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_772_463_600_000);

/// What a webhook was, and when it came.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    after: Duration,
    token: String,
    message: Value,
}

/// A provider, the receiver of its webhooks and a kept journal, in virtual time.
struct World {
    simulator: Simulator,
    clock: Clock,
    webhooks: Transport,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Answers of the receiver, in turn; 200 when none is left.
    answers: Arc<Mutex<VecDeque<u16>>>,
    kept: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl World {
    fn new(config: Config) -> Self {
        let began = tokio::time::Instant::now();
        let clock = Clock::from_fn(move || START + began.elapsed());
        let (heard, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(VecDeque::new())));
        let kept = Arc::new(Mutex::new(BTreeMap::new()));
        let receiver = (heard.clone(), answers.clone());
        let webhooks = Transport::from_service(tower::service_fn(move |request: Request<Bytes>| {
            let (heard, answers) = receiver.clone();
            async move {
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                heard.lock().unwrap().push(Heard {
                    after: began.elapsed(),
                    token: request.headers()["x-token"].to_str().unwrap().to_owned(),
                    message: body["message"].clone(),
                });
                let status = answers.lock().unwrap().pop_front().unwrap_or(200);
                let response = Response::builder().status(status).body(Bytes::new()).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            }
        }));
        let journal = journal(&kept);
        let simulator = Simulator::new(config, clock.clone(), webhooks.clone(), Some(journal)).unwrap();
        Self { simulator, clock, webhooks, heard, answers, kept }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer local")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.simulator.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn make(&self, name: &str) -> (StatusCode, Value) {
        self.ask("POST", "/call", &request(name)).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// What was heard, as the status or, of a report, its type.
    fn told(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let told = heard.iter().map(|heard| match &heard.message["status"] {
            Value::String(status) => status.clone(),
            _ => heard.message["type"].as_str().unwrap().to_owned(),
        });
        told.collect()
    }

    fn messages(&self) -> Vec<Value> {
        self.heard.lock().unwrap().iter().map(|heard| heard.message.clone()).collect()
    }
}

fn journal(kept: &Arc<Mutex<BTreeMap<String, Value>>>) -> CallJournal {
    let saved = kept.lock().unwrap().values().cloned().collect();
    let kept = kept.clone();
    let save = move |id: &str, call: Value| drop(kept.lock().unwrap().insert(id.to_owned(), call));
    CallJournal { save: Arc::new(save), saved }
}

fn request(name: &str) -> Value {
    json!({
        "name": name,
        "assistantId": "4a170597-a0c2-4657-8c32-cb93f080cead",
        "phoneNumberId": "c6ea6cb0-0dfb-4a65-918f-6a33abb54b64",
        "customer": { "number": "+14155550123", "name": "Example Lead 7" },
        "assistantOverrides": {
            "metadata": { "company": "example" },
            "server": { "url": "http://hooks.example.invalid/vapi", "headers": { "x-token": "secret" } },
        },
    })
}

fn answered() -> Config {
    Config { answer_rate: 1.0, ..Config::default() }
}

/// Longer than any call with all its webhooks.
const ALL_OVER: Duration = Duration::from_hours(1);

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn without_faults_webhooks_come_in_order_and_the_report_last() {
    let world = World::new(Config { booking_rate: 1.0, opt_out_rate: 0.0, ..answered() });
    let (status, made) = world.make("call_1").await;
    assert_eq!((status, &made["status"]), (StatusCode::CREATED, &json!("queued")));
    pass(ALL_OVER).await;
    assert_eq!(world.told(), ["queued", "ringing", "in-progress", "ended", "end-of-call-report"]);
    for message in world.messages() {
        assert_eq!(message["call"]["id"], made["id"]);
        assert_eq!(message["call"]["name"], "call_1");
        assert_eq!(message["call"]["assistantOverrides"], json!({ "metadata": { "company": "example" } }));
        assert_eq!(message["call"]["phoneNumberId"], "c6ea6cb0-0dfb-4a65-918f-6a33abb54b64");
        assert_eq!(message["customer"]["number"], "+14155550123");
    }
    let (messages, entry) = (world.messages(), world.simulator.ledger().remove(0));
    let report = &messages[4];
    assert_eq!(report["analysis"]["structuredData"], json!({ "opted_out": false, "booked": true }));
    assert_eq!(report["analysis"]["successEvaluation"], "true");
    assert_eq!(report["startedAt"], json!(entry.answered_at));
    assert_eq!(report["endedAt"], json!(entry.ended_at));
    assert_eq!(report["cost"].to_string().parse::<Usd>().unwrap(), entry.cost.unwrap());
    assert!(entry.cost > Some(Usd::ZERO));
    assert!(world.heard.lock().unwrap().iter().all(|heard| heard.token == "secret"));
}

#[tokio::test(start_paused = true)]
async fn a_looked_up_call_stands_where_its_webhooks_say() {
    let world = World::new(answered());
    let (_, made) = world.make("call_1").await;
    let path = format!("/call/{}", made["id"].as_str().unwrap());
    for status in ["queued", "ringing", "in-progress", "ended"] {
        while world.told().last().is_none_or(|told| told != status) {
            pass(Duration::from_millis(100)).await;
        }
        assert_eq!(world.get(&path).await["status"], status);
    }
    assert_eq!(world.get(&path).await["analysis"], Value::Null, "what was said is worked out after the end");
    pass(Duration::from_secs(4)).await;
    let shown = world.get(&path).await;
    let report = world.messages().remove(4);
    for property in ["endedReason", "startedAt", "endedAt", "cost", "artifact", "analysis"] {
        assert_eq!(shown[property], report[property], "{property}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_a_call_the_same_fate_whenever_it_is_made() {
    let fates = async |seed: u64, names: Vec<usize>| {
        let config = Config {
            seed,
            invalid_rate: 0.05,
            provider_fault_rate: 0.05,
            concurrency_limit: 50,
            ..Config::default()
        };
        let world = World::new(config);
        for number in names {
            world.make(&format!("call_{number}")).await;
        }
        pass(ALL_OVER).await;
        let fate = |entry: LedgerEntry| {
            let talk = entry.ended_at.unwrap().since(entry.answered_at.unwrap_or(entry.created_at));
            (entry.name, (entry.provider_call_id, entry.ended_reason, entry.cost, talk))
        };
        world.simulator.ledger().into_iter().map(fate).collect::<BTreeMap<_, _>>()
    };
    let first = fates(7, (0..40).collect()).await;
    assert_eq!(first, fates(7, (0..40).rev().collect()).await);
    assert_ne!(first, fates(8, (0..40).collect()).await);
    let reasons: BTreeSet<_> = first.into_values().map(|(_, reason, ..)| reason.unwrap()).collect();
    assert!(reasons.len() >= 4, "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_script_decides_the_calls_to_its_number() {
    let script = Script { ring: Duration::from_secs(2), ending: Ending::Busy };
    let scripts = BTreeMap::from([("+14155550123".parse().unwrap(), script)]);
    let world = World::new(Config { scripts, ..answered() });
    world.make("call_1").await;
    pass(ALL_OVER).await;
    assert_eq!(world.told(), ["queued", "ended", "end-of-call-report"]);
    let report = world.messages().remove(2);
    assert_eq!((&report["endedReason"], &report["analysis"]), (&json!("customer-busy"), &json!({})));
    assert_eq!(world.simulator.ledger()[0].cost, Some(Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_lost_webhook_never_comes() {
    let world = World::new(Config { webhook_loss_rate: 1.0, webhook_duplicate_rate: 1.0, ..answered() });
    world.make("call_1").await;
    pass(ALL_OVER).await;
    assert!(world.told().is_empty());
    assert!(world.simulator.ledger()[0].ended_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_webhook_comes_twice_word_for_word() {
    let world = World::new(Config { webhook_duplicate_rate: 1.0, ..answered() });
    world.make("call_1").await;
    pass(ALL_OVER).await;
    let messages = world.messages();
    assert_eq!(messages.len(), 10);
    assert!(messages.iter().all(|message| messages.iter().filter(|other| *other == message).count() == 2));
}

#[tokio::test(start_paused = true)]
async fn delayed_webhooks_come_within_three_minutes_and_out_of_order() {
    let world = World::new(Config { webhook_delay_rate: 1.0, concurrency_limit: 20, ..answered() });
    for number in 0..20 {
        world.make(&format!("call_{number}")).await;
    }
    pass(ALL_OVER).await;
    let heard = world.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 100);
    for heard in &heard {
        let said_at = Timestamp::from_millis(heard.message["timestamp"].as_i64().unwrap());
        assert!((START + heard.after).since(said_at) <= Duration::from_secs(181));
    }
    assert!(!heard.is_sorted_by_key(|heard| heard.message["timestamp"].as_i64()));
}

#[tokio::test(start_paused = true)]
async fn faults_that_are_turned_off_spare_the_webhooks_still_to_come() {
    let faults =
        Config { webhook_loss_rate: 1.0, webhook_duplicate_rate: 1.0, refusal_rate: 1.0, ..answered() };
    let world = World::new(faults);
    assert_eq!(world.make("call_1").await.0, StatusCode::BAD_REQUEST);
    world.simulator.set_faults(false);
    assert_eq!(world.make("call_1").await.0, StatusCode::CREATED);
    pass(ALL_OVER).await;
    assert_eq!(world.told(), ["queued", "ringing", "in-progress", "ended", "end-of-call-report"]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_sent_again_with_growing_waits_until_it_is_taken() {
    let scripts = BTreeMap::from([(
        "+14155550123".parse().unwrap(),
        Script { ring: Duration::ZERO, ending: Ending::Busy },
    )]);
    let world = World::new(Config { scripts, ..Config::default() });
    world.make("call_1").await;
    while world.told().last().is_none_or(|told| told != "ended") {
        pass(Duration::from_millis(100)).await;
    }
    world.answers.lock().unwrap().extend([500, 429, 503, 500, 502, 500]);
    pass(ALL_OVER).await;
    let heard = world.heard.lock().unwrap().clone();
    let reports: Vec<_> =
        heard.iter().filter(|heard| heard.message["type"] == "end-of-call-report").collect();
    let waits: Vec<_> = reports.windows(2).map(|pair| (pair[1].after - pair[0].after).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_refused_for_good_is_not_sent_again() {
    let world = World::new(answered());
    world.answers.lock().unwrap().extend([401; 5]);
    world.make("call_1").await;
    pass(ALL_OVER).await;
    assert_eq!(world.told().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_call_whose_answer_never_came_is_found_at_the_provider() {
    let world = World::new(Config { accept_then_timeout_rate: 1.0, ..answered() });
    let timeout = Duration::from_secs(30);
    assert!(tokio::time::timeout(timeout, world.make("call_1")).await.is_err());
    let calls = world.get("/call").await;
    assert_eq!(calls[0]["name"], "call_1");
    assert_eq!(world.simulator.ledger().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_with_or_without_a_call() {
    for (config, calls) in [
        (Config { error_before_rate: 1.0, ..answered() }, 0),
        (Config { error_after_rate: 1.0, ..answered() }, 1),
    ] {
        let world = World::new(config);
        assert_eq!(world.make("call_1").await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(world.simulator.ledger().len(), calls);
    }
    let world = World::new(Config { rate_limit_rate: 1.0, ..answered() });
    let limited = json!({ "message": "Rate limit exceeded", "statusCode": 429 });
    assert_eq!(world.make("call_1").await, (StatusCode::TOO_MANY_REQUESTS, limited));
    assert!(world.simulator.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_may_pass_when_sent_again() {
    let world = World::new(Config { rate_limit_rate: 0.5, ..answered() });
    let mut answers = BTreeSet::new();
    for _ in 0..10 {
        answers.insert(world.make("call_1").await.0);
    }
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_under_way_than_there_are_lines() {
    let world = World::new(Config { concurrency_limit: 2, ..answered() });
    let made = world.make("call_1").await.1;
    assert_eq!(made["subscriptionLimits"]["remainingConcurrentCalls"], 1);
    assert_eq!(world.make("call_2").await.0, StatusCode::CREATED);
    assert_eq!(
        world.make("call_3").await,
        (StatusCode::BAD_REQUEST, json!({ "error": "Over Concurrency Limit" }))
    );
    assert_eq!((world.simulator.active(), world.simulator.most_at_once()), (2, 2));
    pass(ALL_OVER).await;
    assert_eq!((world.simulator.active(), world.simulator.most_at_once()), (0, 2));
    assert_eq!(world.make("call_3").await.0, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn calls_are_listed_newest_first_by_what_is_asked() {
    let world = World::new(answered());
    for number in 1..=3 {
        world.make(&format!("call_{number}")).await;
        pass(Duration::from_secs(1)).await;
    }
    let names = async |query: &str| {
        let calls = world.get(&format!("/call?{query}")).await;
        calls
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let second = world.get("/call").await[1].clone();
    let (id, at) = (second["id"].as_str().unwrap(), second["createdAt"].as_str().unwrap());
    assert_eq!(names("").await, ["call_3", "call_2", "call_1"]);
    assert_eq!(names("limit=1").await, ["call_3"]);
    assert_eq!(names(&format!("id={id}")).await, ["call_2"]);
    assert_eq!(names(&format!("createdAtGt={at}")).await, ["call_3"]);
    assert_eq!(names(&format!("createdAtGe={at}")).await, ["call_3", "call_2"]);
    assert_eq!(names(&format!("createdAtLt={at}")).await, ["call_1"]);
    assert_eq!(
        names(&format!("createdAtLe={at}&phoneNumberId=c6ea6cb0-0dfb-4a65-918f-6a33abb54b64")).await,
        ["call_2", "call_1"]
    );
    assert!(names("assistantId=another").await.is_empty());
    for query in ["limit=1001", "createdAtGt=yesterday", "name=call_1"] {
        assert_eq!(
            world.ask("GET", &format!("/call?{query}"), &Value::Null).await.0,
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_request_is_refused_with_every_reason() {
    let world = World::new(answered());
    let body = json!({
        "name": "n".repeat(41),
        "customer": { "name": "n".repeat(41) },
        "color": "red",
        "schedulePlan": { "earliestAt": START, "latestAt": START },
    });
    let (status, refusal) = world.ask("POST", "/call", &body).await;
    assert_eq!((status, &refusal["error"]), (StatusCode::BAD_REQUEST, &json!("Bad Request")));
    let reasons = [
        "property color should not exist",
        "assistantId must be a string",
        "phoneNumberId must be a string",
        "customer.number must be a valid phone number in the E.164 format",
        "name must be shorter than or equal to 40 characters",
        "customer.name must be shorter than or equal to 40 characters",
        "schedulePlan.latestAt must be in the future",
    ];
    assert_eq!(refusal["message"], json!(reasons));
    assert_eq!(world.ask("POST", "/call", &json!([])).await.0, StatusCode::BAD_REQUEST);
    assert!(world.simulator.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_runs_out_on_the_way_makes_no_call() {
    let world = World::new(Config { latency: Duration::from_secs(10), ..answered() });
    let mut body = request("call_1");
    body["schedulePlan"] = json!({ "earliestAt": START, "latestAt": START + Duration::from_secs(1) });
    assert_eq!(world.ask("POST", "/call", &body).await.0, StatusCode::BAD_REQUEST);
    assert!(world.simulator.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_key_nothing_is_told() {
    let world = World::new(answered());
    for token in ["", "Bearer other", "local"] {
        let request = Request::get("/call").header("authorization", token).body(Body::empty()).unwrap();
        let response = world.simulator.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_after_a_restart_and_unheard_webhooks_are_sent_again() {
    let mut world = World::new(answered());
    world.answers.lock().unwrap().extend([200, 500]);
    world.make("call_1").await;
    while world.told().len() < 2 {
        pass(Duration::from_millis(100)).await;
    }
    let before = world.simulator.ledger();
    let journal = journal(&world.kept);
    let (clock, webhooks) = (world.clock.clone(), world.webhooks.clone());
    world.simulator = Simulator::new(answered(), clock, webhooks, Some(journal)).unwrap();
    assert_eq!(world.simulator.ledger(), before);
    assert_eq!(world.simulator.active(), 1);
    pass(ALL_OVER).await;
    assert_eq!(world.told(), ["queued", "ringing", "ringing", "in-progress", "ended", "end-of-call-report"]);
    let again = world.make("call_1").await.1;
    assert_ne!(again["id"], before[0].provider_call_id, "an id is not given twice");
}

#[tokio::test(start_paused = true)]
async fn a_saved_call_that_cannot_be_read_is_an_error() {
    let world = World::new(answered());
    let journal = CallJournal { save: Arc::new(|_, _| {}), saved: vec![json!({ "id": "1" })] };
    assert!(Simulator::new(answered(), world.clock, world.webhooks, Some(journal)).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_call_ends_and_a_deleted_end_is_forgotten() {
    let world = World::new(Config { mean_call: Duration::from_mins(10), ..answered() });
    let (_, made) = world.make("call_1").await;
    let path = format!("/call/{}", made["id"].as_str().unwrap());
    while world.told().len() < 3 {
        pass(Duration::from_millis(100)).await;
    }
    assert_eq!(world.ask("DELETE", &path, &Value::Null).await.1["endedReason"], "call-deleted");
    assert_eq!(world.simulator.active(), 0);
    pass(ALL_OVER).await;
    assert_eq!(world.told(), ["queued", "ringing", "in-progress", "ended", "end-of-call-report"]);
    assert_eq!(world.ask("DELETE", &path, &Value::Null).await.0, StatusCode::OK);
    assert_eq!(world.ask("GET", &path, &Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/call").await, json!([]));
    assert_eq!(world.simulator.ledger()[0].ended_reason.as_deref(), Some("call-deleted"));
}

#[tokio::test(start_paused = true)]
async fn assistants_are_made_changed_listed_and_deleted() {
    let world = World::new(Config::default());
    let (status, made) =
        world.ask("POST", "/assistant", &json!({ "name": "First", "voicemailMessage": "Hello" })).await;
    assert_eq!((status, &made["name"]), (StatusCode::CREATED, &json!("First")));
    let path = format!("/assistant/{}", made["id"].as_str().unwrap());
    pass(Duration::from_secs(1)).await;
    let (_, changed) = world.ask("PATCH", &path, &json!({ "name": "Second", "id": "mine" })).await;
    assert_eq!((&changed["name"], &changed["id"]), (&json!("Second"), &made["id"]));
    assert_eq!(world.get("/assistant").await, json!([changed]));
    assert_eq!(world.ask("DELETE", &path, &Value::Null).await.0, StatusCode::OK);
    assert_eq!(world.ask("GET", &path, &Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn assistants_are_there_after_a_restart_and_deleted_ones_are_not() {
    let mut world = World::new(Config::default());
    let (_, kept) = world.ask("POST", "/assistant", &json!({ "name": "Kept" })).await;
    let (_, deleted) = world.ask("POST", "/assistant", &json!({ "name": "Deleted" })).await;
    let path = format!("/assistant/{}", deleted["id"].as_str().unwrap());
    world.ask("DELETE", &path, &Value::Null).await;
    let journal = journal(&world.kept);
    let (clock, webhooks) = (world.clock.clone(), world.webhooks.clone());
    world.simulator = Simulator::new(Config::default(), clock, webhooks, Some(journal)).unwrap();
    assert_eq!(world.get("/assistant").await, json!([kept]));
    let (_, new) = world.ask("POST", "/assistant", &json!({ "name": "New" })).await;
    assert!(new["id"] != kept["id"] && new["id"] != deleted["id"], "an id is not given twice");
}

#[tokio::test(start_paused = true)]
async fn what_is_scripted_goes_wrong_with_the_next_request_for_an_assistant() {
    let world = World::new(Config::default());
    world.simulator.script_assistants([
        Some(AssistantFault::Refused),
        Some(AssistantFault::ErrorBefore),
        Some(AssistantFault::ErrorAfter),
        None,
    ]);
    let mut statuses = Vec::new();
    for name in ["1", "2", "3", "4"] {
        statuses.push(world.ask("POST", "/assistant", &json!({ "name": name })).await.0.as_u16());
    }
    let there = world.get("/assistant").await;
    assert_eq!(statuses, [400, 500, 500, 201]);
    assert_eq!(
        (&there[0]["name"], &there[1]["name"], there.as_array().unwrap().len()),
        (&json!("4"), &json!("3"), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn the_numbers_are_those_that_are_said_the_last_first() {
    let world = World::new(Config::default());
    let number = |text: &str| text.parse::<PhoneNumber>().unwrap();
    let vapi = SimulatedNumber { id: "pn-1".to_owned(), provider: "vapi", status: "active" };
    let trunk = SimulatedNumber { id: "pn-2".to_owned(), provider: "byo-phone-number", status: "blocked" };
    world.simulator.set_number(number("+14155550101"), Some(vapi));
    world.simulator.set_number(number("+14155550102"), Some(trunk));
    world.simulator.set_number(number("+14155550103"), None);
    let listed = world.get("/phone-number?limit=10").await;
    assert_eq!(
        (&listed[0]["id"], &listed[1]["id"], listed.as_array().unwrap().len()),
        (&json!("pn-2"), &json!("pn-1"), 2)
    );
    assert!(listed[0]["credentialId"].is_string() && listed[1].get("credentialId").is_none());
    assert_eq!(world.get("/phone-number/pn-2").await, listed[0]);
    assert_eq!(world.ask("GET", "/phone-number/pn-3", &Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.ask("GET", "/phone-number?odd=1", &Value::Null).await.0, StatusCode::BAD_REQUEST);
}
