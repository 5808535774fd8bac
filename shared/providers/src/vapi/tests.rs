//! What is sent, and what is made of each answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ::http::Response;
use dialpool_domain::assistant::{AssistantName, Configuration, Mark};
use dialpool_domain::time::Duration;
use serde_json::json;

use super::{
    Bytes, CallId, CallState, CampaignId, ListedCalls, NewCall, PAGE, PAGES, PlaceCall, ProviderError,
    RefusalKind, Request, Timestamp, TraceId, Transport, TransportError, Vapi, WebhookTarget, Withdrawn,
    Written, wire,
};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_772_463_845_678);

type Answer = Result<Response<Bytes>, TransportError>;

/// A provider that gives these answers, one per request, and keeps what it was sent.
#[derive(Clone)]
struct Peer {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Peer {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, requests: Arc::default() }
    }

    fn vapi(&self) -> Vapi {
        let peer = self.clone();
        let transport = Transport::from_service(tower::service_fn(move |request| {
            peer.requests.lock().unwrap().push(request);
            let answer = peer.answers.lock().unwrap().pop_front();
            async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        }));
        Vapi::new(transport, "https://api.vapi.example/", "key-7".into())
    }

    fn requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn answered(status: u16, body: impl Into<Bytes>) -> Answer {
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

/// Runs `with` on a request for a call.
pub(super) fn with_new_call<T>(credential_id: Option<&str>, with: impl FnOnce(&NewCall<'_>) -> T) -> T {
    let webhook = WebhookTarget {
        url: "https://hooks.example.com/v1/webhooks/vapi".to_owned(),
        secret: "whsec-7".into(),
        credential_id: credential_id.map(str::to_owned),
    };
    with(&NewCall {
        call_id: &"call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap(),
        company: &"acme".parse().unwrap(),
        campaign_id: &"cmp_01J8ZQ4T7M3N5P6R8S9V0W1X2Z".parse().unwrap(),
        trace_id: &"0af7651916cd43dd8448eb211c80319c".parse().unwrap(),
        assistant_id: "4a170597-a0c2-4657-8c32-cb93f080cead",
        phone_number_id: "c6ea6cb0-0dfb-4a65-918f-6a33abb54b64",
        customer: &"+12125550123".parse().unwrap(),
        customer_name: Some("Example Lead 7 with a name of more than forty characters"),
        lead: &"crm:0123456789-0123456789-0123456789-0123456789".parse().unwrap(),
        earliest_at: NOW,
        latest_at: NOW + dialpool_domain::call::START_WITHIN,
        leave_voicemail: false,
        webhook: &webhook,
    })
}

async fn place(answer: Answer) -> PlaceCall {
    place_with(&Peer::new([answer]).vapi()).await
}

async fn place_with(vapi: &Vapi) -> PlaceCall {
    let call_id = CallId::new(NOW, 7);
    let webhook =
        WebhookTarget { url: "https://hooks.example.com".into(), secret: "s".into(), credential_id: None };
    vapi.place_call(&NewCall {
        call_id: &call_id,
        company: &"acme".parse().unwrap(),
        campaign_id: &CampaignId::new(NOW, 7),
        trace_id: &TraceId::new(7),
        assistant_id: "assistant-7",
        phone_number_id: "number-7",
        customer: &"+12125550123".parse().unwrap(),
        customer_name: None,
        lead: &"lead-7".parse().unwrap(),
        earliest_at: NOW,
        latest_at: NOW,
        leave_voicemail: true,
        webhook: &webhook,
    })
    .await
}

#[test]
fn the_request_for_a_call() {
    let body = with_new_call(None, |call| serde_json::to_value(wire::CreateCall::of(call)).unwrap());
    insta::assert_json_snapshot!(body, @r#"
    {
      "assistantId": "4a170597-a0c2-4657-8c32-cb93f080cead",
      "assistantOverrides": {
        "metadata": {
          "call_id": "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y",
          "campaign_id": "cmp_01J8ZQ4T7M3N5P6R8S9V0W1X2Z",
          "company": "acme",
          "lead": "crm:0123456789-0123456789-0123456789-0123456789",
          "trace_id": "0af7651916cd43dd8448eb211c80319c"
        },
        "server": {
          "backoffPlan": {
            "baseDelaySeconds": 1,
            "excludedStatusCodes": [
              400,
              401,
              403,
              404,
              413,
              422
            ],
            "maxRetries": 5,
            "type": "exponential"
          },
          "headers": {
            "X-Dialpool-Call": "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y",
            "X-Vapi-Secret": "b95b5ff5ba20514485915d8c750c65fed9946fe9c678a1a3380768d49ebca79c"
          },
          "timeoutSeconds": 20,
          "url": "https://hooks.example.com/v1/webhooks/vapi"
        },
        "serverMessages": [
          "status-update",
          "end-of-call-report"
        ],
        "voicemailDetection": {
          "provider": "vapi"
        },
        "voicemailMessage": ""
      },
      "customer": {
        "externalId": "crm:0123456789-0123456789-0123456789-012",
        "name": "Example Lead 7 with a name of more than ",
        "number": "+12125550123"
      },
      "name": "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y",
      "phoneNumberId": "c6ea6cb0-0dfb-4a65-918f-6a33abb54b64",
      "schedulePlan": {
        "earliestAt": "2026-03-02T15:04:05.678Z",
        "latestAt": "2026-03-02T15:08:05.678Z"
      }
    }
    "#);
}

#[test]
fn a_credential_takes_the_place_of_the_secret() {
    let body =
        with_new_call(Some("credential-7"), |call| serde_json::to_value(wire::CreateCall::of(call)).unwrap());
    let server = &body["assistantOverrides"]["server"];
    assert_eq!((&server["credentialId"], server.get("headers")), (&json!("credential-7"), None));
}

#[test]
fn no_call_carries_the_secret_of_the_server() {
    for credential_id in [None, Some("credential-7")] {
        let body =
            with_new_call(credential_id, |call| serde_json::to_string(&wire::CreateCall::of(call)).unwrap());
        assert!(!body.contains("whsec-7"), "{body}");
    }
}

#[tokio::test]
async fn the_key_goes_with_every_request() {
    let peer = Peer::new([answered(201, r#"{"id":"p7"}"#), answered(404, "")]);
    let vapi = peer.vapi();

    let _: PlaceCall = place_with(&vapi).await;
    let found = vapi.call("a/../b?c").await.unwrap();

    let requests = peer.requests();
    assert_eq!(found, None);
    assert!(requests.iter().all(|request| request.headers()["authorization"] == "Bearer key-7"));
    assert_eq!(requests[0].uri(), "https://api.vapi.example/call");
    assert_eq!(requests[1].uri(), "https://api.vapi.example/call/a%2F..%2Fb%3Fc", "an id stays an id");
}

#[tokio::test]
async fn a_call_counts_as_taken_back_when_the_provider_says_so_and_is_asked_for_again_while_it_may_ring() {
    let ours: CallId = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap();
    let status =
        |status: &str| answered(200, json!({ "id": "p7", "name": ours, "status": status }).to_string());
    let begun = || answered(200, r#"{"id":"p7","status":"ended","startedAt":"2026-03-02T15:04:06Z"}"#);
    for (answers, expected) in [
        (vec![status("queued"), status("ended")], Withdrawn::Done),
        (vec![status("queued"), status("queued")], Withdrawn::Waits),
        (vec![status("scheduled"), status("deletion-failed")], Withdrawn::Waits),
        (vec![status("deletion-failed"), status("ended")], Withdrawn::Done),
        (vec![status("queued"), status("ringing")], Withdrawn::Begun),
        (vec![status("queued"), begun()], Withdrawn::Begun),
        (vec![status("in-progress")], Withdrawn::Begun),
        (vec![status("queued"), answered(404, "")], Withdrawn::NotFound),
        (vec![answered(404, "")], Withdrawn::NotFound),
    ] {
        let told = format!("{answers:?}");
        assert_eq!(Peer::new(answers).vapi().withdraw("p7", &ours).await.unwrap(), expected, "{told}");
    }
}

#[tokio::test]
async fn a_call_that_the_provider_has_is_accepted() {
    let answer = place(answered(201, r#"{"id":"p7","status":"queued","news":1}"#)).await;
    assert_eq!(answer, PlaceCall::Accepted { provider_call_id: "p7".to_owned() });
}

#[tokio::test]
async fn a_definite_no_is_a_refusal_and_says_why() {
    let validation =
        r#"{"message":["property customer should not exist"],"error":"Bad Request","statusCode":400}"#;
    for (status, body, kind, message) in [
        (400, validation, RefusalKind::Invalid, "property customer should not exist"),
        (400, r#"{"error":"Over Concurrency Limit"}"#, RefusalKind::Capacity, "Over Concurrency Limit"),
        (
            400,
            r#"{"message":"Over Concurrency Limit.","error":"Bad Request"}"#,
            RefusalKind::Capacity,
            "Over Concurrency Limit.",
        ),
        (429, r#"{"message":"Rate limit exceeded"}"#, RefusalKind::Capacity, "Rate limit exceeded"),
        (401, r#"{"message":"Invalid Key."}"#, RefusalKind::Unauthorized, "Invalid Key."),
        (402, "no credit", RefusalKind::Unauthorized, "no credit"),
        (404, "", RefusalKind::Invalid, ""),
        (422, r#"{"message":"+12125550123 is odd"}"#, RefusalKind::Invalid, "+••• is odd"),
    ] {
        let refused = PlaceCall::Refused { kind, status, message: message.to_owned() };
        assert_eq!(place(answered(status, body)).await, refused);
    }
    let PlaceCall::Refused { message, .. } = place(answered(400, "x".repeat(9_000))).await else { panic!() };
    assert_eq!(message.len(), 200);
}

#[tokio::test]
async fn what_is_not_certain_is_unknown() {
    for (status, body) in [
        (200, "{}"),
        (201, r#"{"id":""}"#),
        (201, "<html>"),
        (302, ""),
        (408, ""),
        (409, ""),
        (425, ""),
        (499, ""),
        (500, ""),
        (502, ""),
        (503, ""),
        (504, ""),
    ] {
        let answer = place(answered(status, body)).await;
        assert!(matches!(answer, PlaceCall::Unknown { .. }), "{status} {body}: {answer:?}");
    }
    let answer = place(Err(TransportError::NoAnswer("reset".to_owned()))).await;
    assert_eq!(answer, PlaceCall::Unknown { cause: "no answer: reset".to_owned() });
}

#[tokio::test]
async fn a_request_that_did_not_leave_was_not_sent() {
    let answer = place(Err(TransportError::NotSent("refused".to_owned()))).await;
    assert_eq!(answer, PlaceCall::NotSent { cause: "not sent: refused".to_owned() });
    let nowhere = Vapi::new(Peer::new([]).vapi().transport, "nowhere", "key-7".into());
    assert!(matches!(place_with(&nowhere).await, PlaceCall::NotSent { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_given_up_after_ten_seconds() {
    let started = tokio::time::Instant::now();
    let answer = place_with(&Peer::new([]).vapi()).await;
    assert!(matches!(answer, PlaceCall::Unknown { .. }), "{answer:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

/// A page of calls with these numbers; the higher, the newer.
fn page(numbers: impl Iterator<Item = usize>) -> Answer {
    let calls = numbers.map(|number| {
        json!({ "id": format!("p{number}"), "createdAt": Timestamp::from_millis(number as i64).to_string() })
    });
    answered(200, serde_json::to_vec(&calls.collect::<Vec<_>>()).unwrap())
}

#[tokio::test]
async fn the_calls_of_a_number_are_read_to_the_last() {
    let peer = Peer::new([page((6..31).rev()), page((0..7).rev())]);

    let ListedCalls { calls, incomplete } = peer.vapi().calls_of_number("number 7", NOW).await.unwrap();

    let requests = peer.requests();
    assert_eq!(incomplete, None);
    assert_eq!(calls.len(), 31, "the call at which a page ends is on both");
    assert_eq!(
        requests[0].uri().query().unwrap(),
        "phoneNumberId=number+7&createdAtGe=2026-03-02T15%3A04%3A05.678Z&limit=25"
    );
    assert!(requests[1].uri().query().unwrap().ends_with("&createdAtLe=1970-01-01T00%3A00%3A00.006Z"));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_proves_nothing() {
    let same = || page(std::iter::repeat_n(7, PAGE));
    assert!(matches!(
        Peer::new([same(), same()]).vapi().calls_of_number("n", NOW).await,
        Err(ProviderError::TooMany)
    ));
    let pages = (0..PAGES).rev().map(|number| page((number * PAGE..(number + 1) * PAGE).rev()));
    assert!(matches!(Peer::new(pages).vapi().calls_of_number("n", NOW).await, Err(ProviderError::TooMany)));
    for (answer, error) in [
        (page(0..2), "unreadable answer: the calls are not listed newest first"),
        (answered(200, r#"{"results":[]}"#), "unreadable answer: not a list"),
        (answered(503, "busy"), "answered with 503: busy"),
        (answered(404, ""), "answered with 404: "),
    ] {
        let calls = Peer::new([answer]).vapi().calls_of_number("n", NOW).await;
        assert_eq!(calls.unwrap_err().to_string(), error);
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_read_hides_no_other_and_keeps_absence_from_being_proof() {
    let ours: CallId = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap();
    let found = format!(
        r#"{{"id":"p7","createdAt":"2026-03-02T15:04:06Z","name":"{ours}","customer":{{"name":"\ud83d"}}}}"#
    );
    let deep = format!(
        r#"{{"id":"p8","createdAt":"2026-03-02T15:04:07Z","news":{}7{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    for (list, there, error) in [
        (format!("[{found}]"), true, None),
        (format!("[{deep},{found}]"), true, None),
        (format!("[{{}},{found}]"), true, None),
        (format!("[7,{{\"id\":\"p9\"}},{found}"), true, None),
        (format!("[{deep}]"), false, None),
        ("[]".to_owned(), false, None),
        ("[{}]".to_owned(), false, Some("unreadable answer: a call without an id")),
        (r#"[{"id":"p7"}]"#.to_owned(), false, Some("unreadable answer: p7 has no createdAt")),
        (format!("[{deep}"), false, Some("unreadable answer: the list breaks off or is damaged")),
        (String::new(), false, Some("unreadable answer: not a list")),
    ] {
        let answer = Peer::new([answered(200, list.clone())]).vapi().our_call(&ours, "n", NOW).await;
        match answer {
            Ok(call) => assert_eq!((call.is_some(), None), (there, error), "{list:.200}"),
            Err(wrong) => assert_eq!(Some(wrong.to_string().as_str()), error, "{list:.200}"),
        }
    }
}

#[tokio::test]
async fn a_call_is_not_taken_back_that_does_not_bear_our_id() {
    let ours: CallId = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap();
    for name in ["call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8", "Sales 7", ""] {
        let body = json!({ "id": "p7", "status": "queued", "name": name });
        let peer = Peer::new([answered(200, body.to_string())]);
        let error = peer.vapi().withdraw("p7", &ours).await.unwrap_err();
        assert!(matches!(error, ProviderError::AnotherCall(_)), "{error}");
        assert_eq!(peer.requests().len(), 1, "nothing is deleted");
    }
}

#[tokio::test]
async fn an_opt_out_is_heard_in_a_call_that_is_looked_up_whatever_its_state() {
    let opted_out = r#""analysis":{"structuredData":{"opted_out":true}}"#;
    for body in [
        format!(r#"{{"id":"p7","artifact":{{"transcript":"\ud83d"}},{opted_out}}}"#),
        format!(r#"{{"id":"p7","news":{}7{},{opted_out}}}"#, "[".repeat(500), "]".repeat(500)),
        format!(r#"{{"id":"p7",{opted_out},"artifact":{{"transcript":"cut he"#),
        format!(r#"{{"id":"p7" oops,{opted_out}}}"#),
    ] {
        let call = Peer::new([answered(200, body.clone())]).vapi().call("p7").await.unwrap().unwrap();
        assert!(call.report().opted_out, "{body:.200}");
    }
}

#[tokio::test]
async fn a_call_at_the_provider_is_ours_by_its_metadata_or_its_name() {
    let ours = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y";
    for (body, our_call_id) in [
        (json!({ "id": "p7", "name": ours }), Some(ours)),
        (json!({ "id": "p7", "assistantOverrides": { "metadata": { "call_id": ours } } }), Some(ours)),
        (json!({ "id": "p7", "name": "Sales 7" }), None),
    ] {
        let call = Peer::new([answered(200, body.to_string())]).vapi().call("p7").await.unwrap().unwrap();
        assert_eq!(call.our_call_id().map(CallId::as_str), our_call_id, "{body}");
    }
}

#[tokio::test]
async fn a_call_that_ended_at_the_provider_is_reported_like_by_a_webhook() {
    let body = r#"{"id":"p7","status":"ended","endedReason":"customer-ended-call","cost":0.1432,
        "startedAt":"2026-03-02T15:00:12.410Z","endedAt":"2026-03-02T15:02:03.902Z",
        "analysis":{"summary":"Booked.","successEvaluation":true,"structuredData":{"opted_out":true}}}"#;

    let call = Peer::new([answered(200, body)]).vapi().call("p7").await.unwrap().unwrap();

    let report = call.report();
    assert_eq!(call.state(), CallState::Ended);
    assert_eq!(report.cost.unwrap().to_string(), "0.1432");
    assert_eq!(
        (report.summary.as_deref(), report.success_evaluation.as_deref()),
        (Some("Booked."), Some("true"))
    );
    assert!(report.opted_out);
}

fn given(name: &str) -> (AssistantName, Configuration, Mark) {
    let mark = Mark {
        company: "acme".parse().unwrap(),
        assistant_id: "ast_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap(),
        request: "r-7".to_owned(),
    };
    (name.to_owned().try_into().unwrap(), Configuration::default(), mark)
}

#[tokio::test]
async fn what_becomes_of_a_change_of_an_assistant() {
    let refused = |kind, message: &str| Written::Refused { kind, message: message.to_owned() };
    let unknown = |cause: &str| Written::Unknown { cause: cause.to_owned() };
    for (answer, written) in [
        (answered(400, r#"{"message":["voice is odd"]}"#), refused(RefusalKind::Invalid, "voice is odd")),
        (answered(401, r#"{"message":"Invalid Key."}"#), refused(RefusalKind::Unauthorized, "Invalid Key.")),
        (answered(429, ""), refused(RefusalKind::Capacity, "")),
        (answered(404, ""), Written::Gone),
        (answered(409, ""), unknown("answered with 409 Conflict: ")),
        (answered(500, "oops"), unknown("answered with 500 Internal Server Error: oops")),
        (answered(200, "{}"), unknown("200 OK that cannot be read: an assistant without an id")),
        (
            Err(TransportError::NotSent("refused".to_owned())),
            Written::NotSent { cause: "not sent: refused".to_owned() },
        ),
        (Err(TransportError::NoAnswer("reset".to_owned())), unknown("no answer: reset")),
    ] {
        let peer = Peer::new([answer]);
        let (name, configuration, mark) = given("Anna");
        assert_eq!(peer.vapi().update_assistant("a/1", &name, &configuration, &mark).await, written);
        let request = &peer.requests()[0];
        assert_eq!((request.method().as_str(), request.uri().path()), ("PATCH", "/assistant/a%2F1"));
    }
    let (name, configuration, mark) = given("Anna");
    let created = Peer::new([answered(404, "")]).vapi().create_assistant(&name, &configuration, &mark).await;
    assert_eq!(created, refused(RefusalKind::Invalid, ""), "there is nothing that could be gone");
}

/// A page of numbers, the newest first.
fn numbers(range: std::ops::Range<usize>) -> Answer {
    let numbers = range.rev().map(|n| {
        json!({ "id": format!("pn-{n}"), "createdAt": Timestamp::from_millis(n as i64).to_string(), "provider": "vapi" })
    });
    answered(200, serde_json::to_vec(&numbers.collect::<Vec<_>>()).unwrap())
}

#[tokio::test]
async fn the_phone_numbers_are_read_to_the_last() {
    let peer = Peer::new([numbers(499..999), numbers(1..500)]);

    let found = peer.vapi().phone_numbers().await.unwrap();

    assert_eq!(found.len(), 998, "the number at which a page ends is on both");
    let queries: Vec<_> =
        peer.requests().iter().map(|request| request.uri().query().unwrap().to_owned()).collect();
    assert_eq!(queries, ["limit=500", "limit=500&createdAtLe=1970-01-01T00%3A00%3A00.499Z"]);
    for (answer, error) in [
        (answered(503, "busy"), "answered with 503: busy"),
        (answered(200, r#"[{"number":"+14155550100"}]"#), "unreadable answer: a phone number without an id"),
    ] {
        assert_eq!(Peer::new([answer]).vapi().phone_numbers().await.unwrap_err().to_string(), error);
    }
    let same = || numbers(0..500);
    let endless = Peer::new([same(), same()]).vapi().phone_numbers().await;
    assert!(matches!(endless, Err(ProviderError::TooMany)), "{endless:?}");
}
