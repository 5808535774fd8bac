//! Who is let in to the services of AWS: tools of this machine that sign by the key of the stack. The SDK signs here.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use axum::Router;
use axum::body::Body;
use dialpool::engine::Engine;
use dialpool::entrance::{ACCESS_KEY, Entrance, Signatures};
use dialpool::template::Template;
use dialpool_runtime::Clock;
use http::Request;
use tower::ServiceExt;

const SECRET: &str = "c0ffee";

const TEMPLATE: &str = "
Resources:
  Jobs: { Type: AWS::SQS::Queue }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
";

/// The services, behind an entrance that tells time by `clock`.
async fn entrance(clock: Clock) -> Router {
    let engine = Engine::in_memory(Clock::system()).unwrap();
    engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
    let services = (engine.endpoint(), Signatures::by(SECRET.to_owned(), clock));
    Entrance::new(Router::new(), None, Some(services)).router()
}

/// The SDK's way to the entrance, past any socket. Remembers what it sent.
#[derive(Clone)]
struct Wire {
    entrance: Router,
    sent: Arc<Mutex<Option<Request<Vec<u8>>>>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().unwrap();
            let (mut parts, body) = request.into_parts();
            let host = parts.uri.authority().unwrap().as_str().parse().unwrap();
            parts.headers.insert("host", host);
            parts.uri = parts.uri.path().parse().unwrap();
            let request = Request::from_parts(parts, body.bytes().unwrap_or_default().to_vec());
            *wire.sent.lock().unwrap() = Some(request.clone());
            let response = wire.entrance.oneshot(request.map(Body::from)).await.unwrap();
            let status = response.status().as_u16().try_into().unwrap();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

struct Tool {
    sdk: SdkConfig,
    wire: Wire,
}

fn tool(entrance: Router, endpoint: &str, key: &str, secret: &str, token: Option<&str>) -> Tool {
    let wire = Wire { entrance, sent: Arc::default() };
    let credentials = Credentials::new(key, secret, token.map(str::to_owned), None, "test");
    let connector = SharedHttpConnector::new(wire.clone());
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Tool { sdk, wire }
}

impl Tool {
    /// `None`: answered; else why not.
    async fn refused(&self) -> Option<String> {
        let asked = aws_sdk_dynamodb::Client::new(&self.sdk).list_tables().send().await;
        asked.err().map(|error| format!("{:?}", aws_sdk_dynamodb::Error::from(error)))
    }
}

#[tokio::test]
async fn a_tool_that_signs_by_the_key_of_the_stack_is_answered() {
    let entrance = entrance(Clock::system()).await;
    for (endpoint, token) in [
        ("http://127.0.0.1:7700", None),
        ("http://localhost:7700", None),
        ("http://[::1]:7700", Some("a-session-token")),
        ("http://localhost", None),
    ] {
        let tool = tool(entrance.clone(), endpoint, ACCESS_KEY, SECRET, token);
        assert_eq!(tool.refused().await, None, "{endpoint}");
        let queues = aws_sdk_sqs::Client::new(&tool.sdk).list_queues().send().await.unwrap();
        assert_eq!(queues.queue_urls().len(), 1);
    }
}

#[tokio::test]
async fn another_key_another_secret_and_another_host_are_refused() {
    let entrance = entrance(Clock::system()).await;
    let local = "http://127.0.0.1:7700";
    let rebound = "http://rebound.example.com:7700";
    for (endpoint, key, secret, why) in [
        (local, "AKIAIOSFODNN7EXAMPLE", SECRET, "UnrecognizedClientException"),
        (local, ACCESS_KEY, "c0ffe", "InvalidSignatureException"),
        (rebound, ACCESS_KEY, SECRET, "AccessDeniedException"),
    ] {
        let refused = tool(entrance.clone(), endpoint, key, secret, None).refused().await;
        assert!(refused.as_ref().is_some_and(|text| text.contains(why)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_a_quarter_of_an_hour() {
    for (late_ms, is_good) in
        [(-14 * 60_000, true), (14 * 60_000, true), (-16 * 60_000, false), (16 * 60_000, false)]
    {
        let system = Clock::system();
        let clock = Clock::from_fn(move || {
            dialpool_domain::Timestamp::from_millis(system.now().as_millis() + late_ms)
        });
        let tool = tool(entrance(clock).await, "http://localhost:7700", ACCESS_KEY, SECRET, None);
        assert_eq!(tool.refused().await.is_none(), is_good, "{late_ms}");
    }
}

#[tokio::test]
async fn a_signed_request_that_was_changed_or_comes_from_a_page_is_refused() {
    let entrance = entrance(Clock::system()).await;
    let tool = tool(entrance.clone(), "http://localhost:7700", ACCESS_KEY, SECRET, None);
    assert_eq!(tool.refused().await, None);
    let signed = tool.wire.sent.lock().unwrap().take().unwrap();
    type Change = fn(&mut Request<Vec<u8>>);
    let changes: [(&str, Change, u16); 12] = [
        ("nothing", |_| {}, 200),
        ("body", |request| *request.body_mut() = br#"{"Limit":1}"#.to_vec(), 403),
        ("target", |request| put(request, "x-amz-target", "DynamoDB_20120810.Scan"), 403),
        ("date", |request| put(request, "x-amz-date", "20200101T000000Z"), 403),
        ("no date", |request| drop(request.headers_mut().remove("x-amz-date")), 403),
        ("signed host", |request| put(request, "host", "127.0.0.1:7700"), 403),
        ("no signature", |request| drop(request.headers_mut().remove("authorization")), 403),
        ("bearer", |request| put(request, "authorization", "Bearer dp_1_2"), 403),
        ("method", |request| *request.method_mut() = http::Method::PUT, 403),
        ("query", |request| *request.uri_mut() = "/?a=1".parse().unwrap(), 403),
        ("page", |request| put(request, "origin", "http://localhost:3000"), 403),
        ("browser", |request| put(request, "sec-fetch-site", "cross-site"), 403),
    ];
    for (what, change, status) in changes {
        let mut request = signed.clone();
        change(&mut request);
        let answer = entrance.clone().oneshot(request.map(Body::from)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{what}");
    }
}

#[tokio::test]
async fn a_request_names_one_host_that_is_this_machine_and_no_other() {
    let entrance = entrance(Clock::system()).await;
    let hosts: [(&[&str], u16); 8] = [
        (&["localhost"], 404),
        (&["127.0.0.1:1", "[::1]"], 404),
        (&[], 421),
        (&[""], 421),
        (&["localhost", "rebound.example.com"], 421),
        (&["rebound.example.com@localhost"], 421),
        (&["localhost@rebound.example.com"], 421),
        (&["[::ffff:127.0.0.1]"], 421),
    ];
    for (named, status) in hosts {
        let mut request = Request::get("/v1/health");
        for host in named {
            request = request.header("host", *host);
        }
        let answer = entrance.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{named:?}");
    }
    // A proxy's form of a request names the host twice.
    let request = Request::get("http://rebound.example.com/v1/health").header("host", "localhost");
    let answer = entrance.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 421);
}

fn put(request: &mut Request<Vec<u8>>, name: &'static str, value: &'static str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}
