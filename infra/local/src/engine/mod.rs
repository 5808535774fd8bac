//! AWS on one machine: the services that the stack uses, behind the AWS SDK.
//!
//! DynamoDB is dynoxide, kept in a file; SQS and EventBridge are small and know exactly what the template uses. Everything
//! is reached by the SDK's own requests, in this process ([`Engine::sdk_config`]) or over loopback ([`Engine::endpoint`]).
//! The endpoint asks nobody who they are: what listens for others puts an [`Entrance`](crate::entrance::Entrance) before it.

mod connector;
mod dynamodb;
mod eventbridge;
mod meter;
mod sqs;
mod state;
mod under_way;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_types::retry::RetryConfig;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use dialpool_dynamo::{Store, Tables};
use dialpool_runtime::Clock;
use dynoxide::Database;
use serde_json::{Value, json};
use tokio::sync::watch;

pub use connector::{Crashed, Fault, Hidden, Intercept, WireRequest, run_invocation};
pub use eventbridge::BusEvent;
pub use meter::{Cost, metered};
pub use sqs::{Depth, Received};
pub use state::StateTable;

use self::dynamodb::{DynamoDb, Remote};
use self::eventbridge::EventBridge;
use self::sqs::Sqs;
use self::under_way::UnderWay;
use crate::template::{Table, Template};

/// The services. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    dynamodb: DynamoDb,
    sqs: Sqs,
    eventbridge: EventBridge,
    state: StateTable,
    /// Counts the writes, so that whoever follows a stream knows when to look.
    writes: watch::Sender<u64>,
    requests: Arc<Mutex<BTreeMap<String, u64>>>,
    under_way: UnderWay,
}

/// An answer on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    body: Bytes,
    /// The code of the older query protocol, by which the SDK tells SQS errors apart.
    query_error: Option<&'static str>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), query_error: None }
    }

    fn error(status: u16, kind: &str, message: &str) -> Self {
        Self::new(status, json!({ "__type": kind, "message": message }).to_string())
    }
}

impl Engine {
    /// Everything in memory.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub fn in_memory(clock: Clock) -> anyhow::Result<Self> {
        let database = Database::memory_with_clock(Arc::new(DatabaseClock(clock.clone())))?;
        Self::new(DynamoDb::Embedded(Box::new(database)), StateTable::forgetful(), clock)
    }

    /// Everything in a file of the folder, which is made when it is not there. Stream records carry the system's time:
    /// dynoxide takes a clock only for a database in memory.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn in_folder(folder: &Path, clock: Clock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join("dialpool.db");
        let database = Database::new(&file.to_string_lossy())?;
        let state = StateTable::in_database(&database)?;
        Self::new(DynamoDb::Embedded(Box::new(database)), state, clock)
    }

    /// DynamoDB by an emulator at `endpoint`, with tables that no other engine sees; the rest in memory.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub fn with_dynamodb_at(endpoint: &str, clock: Clock) -> anyhow::Result<Self> {
        Self::new(DynamoDb::Remote(Remote::new(endpoint)), StateTable::forgetful(), clock)
    }

    fn new(dynamodb: DynamoDb, state: StateTable, clock: Clock) -> anyhow::Result<Self> {
        Ok(Self {
            dynamodb,
            sqs: Sqs::new(clock.clone(), state.clone(), opened(&state)?),
            eventbridge: EventBridge::new(clock, state.clone())?,
            state,
            writes: watch::Sender::new(0),
            requests: Arc::default(),
            under_way: UnderWay::default(),
        })
    }

    /// Makes what the template describes: tables, queues, the bus. What is there already stays, with what is in it.
    ///
    /// # Errors
    /// When a table that is there has other keys or indexes than the template.
    pub async fn create(&self, template: &Template) -> anyhow::Result<()> {
        for queue in &template.queues {
            self.sqs.create(queue)?;
        }
        for bus in &template.buses {
            self.eventbridge.create(bus);
        }
        for table in &template.tables {
            self.create_table(table).await?;
        }
        Ok(())
    }

    async fn create_table(&self, table: &Table) -> anyhow::Result<()> {
        let name = json!({ "TableName": table.name }).to_string();
        let found = self.answer("DynamoDB_20120810.DescribeTable", name.as_bytes()).await;
        if found.status == 200 {
            let found: Value = serde_json::from_slice(&found.body)?;
            let differs = table.difference_from(&found["Table"]);
            anyhow::ensure!(
                differs.is_none(),
                "table {} is not what the template says ({}): remove the folder of the local stack, or migrate it",
                table.name,
                differs.unwrap_or_default(),
            );
            return Ok(());
        }
        let created =
            self.answer("DynamoDB_20120810.CreateTable", table.definition.to_string().as_bytes()).await;
        let text = String::from_utf8_lossy(&created.body);
        anyhow::ensure!(created.status == 200, "failed to create table {}: {text}", table.name);
        Ok(())
    }

    /// A configuration of the AWS SDK whose requests end here.
    ///
    /// `retries`: whether the SDK tries again by itself, as it does when deployed.
    pub fn sdk_config(&self, intercept: Option<Intercept>, retries: bool) -> SdkConfig {
        let retry = if retries { RetryConfig::standard() } else { RetryConfig::disabled() };
        let credentials = Credentials::new("local", "local", None, None, "local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://local.invalid")
            .retry_config(retry)
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .http_client(connector::http_client(self, intercept))
            .build()
    }

    /// The tables of the template, as the local stack names them.
    pub fn store(&self) -> Store {
        self.store_behind(None)
    }

    /// The tables, as a process of its own reaches them: it shares nothing with others but what is stored.
    pub fn store_behind(&self, intercept: Option<Intercept>) -> Store {
        let tables = Tables {
            pool: "PoolTable".to_owned(),
            dialing: "DialingTable".to_owned(),
            people: "PeopleTable".to_owned(),
            journal: "JournalTable".to_owned(),
        };
        Store::new(aws_sdk_dynamodb::Client::new(&self.sdk_config(intercept, true)), tables)
    }

    /// The services over HTTP, for `aws --endpoint-url` and other tools on this machine.
    pub fn endpoint(&self) -> Router {
        let engine = self.clone();
        Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let engine = engine.clone();
            async move {
                let target =
                    headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
                let answer = engine.answer(target, &body).await;
                let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut headers = HeaderMap::new();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
                if let Some(code) = answer.query_error {
                    headers.insert("x-amzn-query-error", HeaderValue::from_static(code));
                }
                (status, headers, answer.body)
            }
        })
    }

    /// The events on all buses, in the order in which they came.
    pub fn bus_events(&self) -> Vec<BusEvent> {
        self.eventbridge.events()
    }

    /// How many messages the queue has.
    pub fn queue_depth(&self, queue: &str) -> Depth {
        self.sqs.depth(queue)
    }

    /// The messages of the queue, the oldest first.
    pub fn queue_bodies(&self, queue: &str) -> Vec<String> {
        self.sqs.bodies(queue)
    }

    /// Waits until the queue has messages and takes up to `most` of them, as the Lambda service does for a function.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn receive(&self, queue: &str, most: u32) -> anyhow::Result<Vec<Received>> {
        self.sqs.receive_for_function(queue, most).await
    }

    /// Deletes a message that a function is done with.
    ///
    /// # Errors
    /// When there is no such queue.
    pub fn delete(&self, queue: &str, receipt: &str) -> anyhow::Result<()> {
        self.sqs.delete_for_function(queue, receipt)
    }

    /// What the local stack remembers over a restart.
    pub fn state(&self) -> &StateTable {
        &self.state
    }

    /// How many requests of each operation were answered: `DynamoDB.Query` and so on.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes whenever a table was written to.
    pub fn writes(&self) -> watch::Receiver<u64> {
        self.writes.subscribe()
    }

    pub(crate) async fn answer(&self, target: &str, body: &[u8]) -> Answer {
        let (service, operation) = split_target(target);
        let counted = format!("{service}.{operation}");
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(counted).or_default() += 1;
        match service {
            "DynamoDB" | "DynamoDBStreams" => {
                let answer = self.dynamodb.answer(target, operation, body).await;
                if matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems") {
                    self.writes.send_modify(|writes| *writes += 1);
                }
                answer
            }
            "SQS" => self.sqs.answer(operation, body).await,
            "Events" => self.eventbridge.answer(operation, body),
            _ => Answer::error(
                400,
                "UnknownOperationException",
                "X-Amz-Target names no service of the local stack",
            ),
        }
    }
}

/// How often these services were opened, this time included.
fn opened(state: &StateTable) -> anyhow::Result<u64> {
    const KEY: &str = "engine/opened";
    let before = state.list(KEY)?.into_iter().next().and_then(|(_, count)| count.as_u64()).unwrap_or(0);
    state.put(KEY, &json!(before + 1))?;
    Ok(before + 1)
}

/// The time of stream records and of what dynoxide expires.
struct DatabaseClock(Clock);

impl dynoxide::storage_backend::Clock for DatabaseClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_millis() / 1_000).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        Duration::from_millis(u64::try_from(self.0.now().as_millis()).unwrap_or(0)).as_secs_f64()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// The service and the operation that an `X-Amz-Target` header names.
fn split_target(target: &str) -> (&str, &str) {
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let service = match service {
        "DynamoDB_20120810" => "DynamoDB",
        "DynamoDBStreams_20120810" => "DynamoDBStreams",
        "AmazonSQS" => "SQS",
        "AWSEvents" => "Events",
        other => other,
    };
    (service, operation)
}
