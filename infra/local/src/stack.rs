//! The functions of the template, in this process, each run by what triggers it there.
//!
//! What the Lambda service does is done here: messages are received in batches and deleted when the function is done with
//! them, changes of a table come in order from where the function got to, schedules tick, requests reach the function
//! whose route they match, or the one that takes all others. A function that fails, runs out of time or dies gets its
//! work again.
//!
//! Everything waits on tokio's clock only. On a paused clock the whole stack runs in virtual time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use dialpool_dynamo::Store;
use dialpool_providers::http::{Transport, TransportError};
use dialpool_runtime::{Clock, Entropy, Environment, Start};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, error, warn};

use crate::engine::{Engine, Intercept, run_invocation};
use crate::template::{self, Function, Template, Trigger};

/// How long a stream that brought a failed batch rests before it brings it again.
const STREAM_RETRY: Duration = Duration::from_secs(1);

/// How often a stream is looked at of whose writes nobody tells: those of another process, such as an import's.
const STREAM_POLL: Duration = Duration::from_mins(5);

/// How long records are collected for a batch.
const STREAM_WINDOW: Duration = Duration::from_millis(500);

type Job<E, R> = Arc<dyn Fn(E) -> Pin<Box<dyn Future<Output = R> + Send>> + Send + Sync>;

/// What a stack is made of, apart from the template.
pub struct Options {
    /// The services.
    pub engine: Engine,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// Values of variables that the template cannot know: secrets (by the last part of their dynamic reference) and
    /// settings of this machine (by the variable's name, which wins over the template).
    pub variables: BTreeMap<String, String>,
    /// The way to the voice provider.
    pub provider: Transport,
    /// What goes wrong between the functions and the services.
    pub intercept: Option<Intercept>,
    /// Whether the SDK tries again by itself.
    pub sdk_retries: bool,
    /// By how many milliseconds the clock of a function, by its name, differs.
    pub clock_skew_ms: fn(&str) -> i64,
    /// Schedules tick this many times slower than the template says.
    pub schedule_stretch: u32,
}

impl Options {
    /// The usual: nothing goes wrong.
    pub fn new(
        engine: Engine,
        clock: Clock,
        entropy: Entropy,
        provider: Transport,
        variables: BTreeMap<String, String>,
    ) -> Self {
        Self {
            engine,
            clock,
            entropy,
            variables,
            provider,
            intercept: None,
            sdk_retries: true,
            clock_skew_ms: |_| 0,
            schedule_stretch: 1,
        }
    }
}

/// A stack that runs until it is dropped.
pub struct Stack {
    /// The services.
    pub engine: Engine,
    /// The tables, for whoever imports or looks.
    pub store: Store,
    api: Router,
    schedules: BTreeMap<String, Job<(), ()>>,
    _running: JoinSet<()>,
}

/// The HTTP API of a stack that is still being made: the simulator calls the stack, and the stack the simulator.
#[derive(Clone, Default)]
pub struct Loopback(Arc<OnceLock<Weak<Router>>>);

impl Loopback {
    /// A way to the API, once there is one.
    pub fn transport(&self) -> Transport {
        let api = self.0.clone();
        Transport::from_service(tower::service_fn(move |request: http::Request<bytes::Bytes>| {
            let api = api.get().and_then(Weak::upgrade);
            async move {
                let api = api.ok_or_else(|| TransportError::NotSent("the stack is not up".to_owned()))?;
                in_process(Router::clone(&api), request).await
            }
        }))
    }

    /// The API is there, for as long as what this returns is kept: two that call each other would keep each other for ever.
    #[must_use]
    pub fn is(&self, api: Router) -> Arc<Router> {
        let api = Arc::new(api);
        // A second API would be another stack's: the first one stays.
        self.0.get_or_init(|| Arc::downgrade(&api));
        api
    }
}

/// A way to a router in this process.
pub fn transport_to(router: Router) -> Transport {
    Transport::from_service(tower::service_fn(move |request: http::Request<bytes::Bytes>| {
        in_process(router.clone(), request)
    }))
}

async fn in_process(
    router: Router,
    request: http::Request<bytes::Bytes>,
) -> Result<http::Response<bytes::Bytes>, TransportError> {
    let response = match router.oneshot(request.map(Body::from)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await;
    let body = body.map_err(|error| TransportError::NoAnswer(error.to_string()))?;
    Ok(http::Response::from_parts(parts, body))
}

/// A function, by what starts it.
enum Handler {
    Http(Router),
    Queue(Job<SqsEvent, Value>),
    Stream(Job<Value, Value>),
    Schedule(Job<(), ()>),
}

impl Stack {
    /// Makes what the template describes, and runs it.
    ///
    /// # Errors
    /// When the template has a function that is not in this program, or a function cannot start.
    pub async fn start(template: &Template, options: Options) -> anyhow::Result<Self> {
        let engine = options.engine.clone();
        engine.create(template).await?;
        let mut sources: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        let (mut api, mut default) = (Router::new(), None);
        let mut schedules = BTreeMap::new();
        for function in &template.functions {
            let start = start_of(function, &options);
            let handler = handler(function, &start, &options.provider)
                .await
                .with_context(|| format!("failed to start function {}", function.name))?;
            for trigger in &function.triggers {
                match (trigger, &handler) {
                    (Trigger::Http { method, path }, Handler::Http(router)) => {
                        let method: http::Method = method.parse().context("HTTP method")?;
                        let filter = MethodFilter::try_from(method)?;
                        api = api.route(path, on(filter, http_invocation(function, router.clone())));
                    }
                    (Trigger::HttpDefault, Handler::Http(router)) => {
                        let others = default.replace(http_invocation(function, router.clone()));
                        anyhow::ensure!(others.is_none(), "two functions take what no route takes");
                    }
                    (Trigger::Queue { queue, batch_size, concurrency }, Handler::Queue(job)) => {
                        let source = QueueSource {
                            engine: engine.clone(),
                            function: function.clone(),
                            queue: queue.clone(),
                            batch_size: *batch_size,
                        };
                        sources.push(Box::pin(source.run(job.clone(), *concurrency)));
                    }
                    (Trigger::Stream { table, batch_size, patterns }, Handler::Stream(job)) => {
                        let source = StreamSource {
                            engine: engine.clone(),
                            client: aws_sdk_dynamodbstreams::Client::new(&engine.sdk_config(None, true)),
                            function: function.clone(),
                            table: table.clone(),
                            batch_size: i32::try_from(*batch_size).unwrap_or(100),
                            patterns: patterns.clone(),
                            positions: Mutex::new(saved_positions(&engine)?),
                            iterators: Mutex::default(),
                        };
                        sources.push(Box::pin(source.run(job.clone())));
                    }
                    (Trigger::Schedule { every }, Handler::Schedule(job)) => {
                        let every = *every * options.schedule_stretch.max(1);
                        schedules.insert(function.name.clone(), job.clone());
                        sources.push(Box::pin(run_schedule(function.clone(), every, job.clone())));
                    }
                    (trigger, _) => {
                        anyhow::bail!("function {} cannot be triggered by {trigger:?}", function.name);
                    }
                }
            }
        }
        // A method that a path has no route for is a request that no route takes, too.
        if let Some(default) = default {
            api = api.method_not_allowed_fallback(default.clone()).fallback(default);
        }
        // Nothing runs before everything can: a start that fails has had no work done.
        let mut running = JoinSet::new();
        for source in sources {
            running.spawn(source);
        }
        Ok(Self { store: engine.store(), api, engine, schedules, _running: running })
    }

    /// The HTTP API.
    pub fn api(&self) -> Router {
        self.api.clone()
    }

    /// Runs a scheduled function now, beside its schedule.
    pub async fn tick(&self, function: &str) {
        if let Some(job) = self.schedules.get(function) {
            job(()).await;
        }
    }
}

fn start_of(function: &Function, options: &Options) -> Start {
    let variable = |(name, value): (&String, &String)| {
        let secret = value
            .strip_prefix("{{resolve:")
            .and_then(|reference| options.variables.get(reference.trim_end_matches('}').rsplit(':').next()?));
        let value = options.variables.get(name).or(secret).unwrap_or(value);
        (name.clone(), value.clone())
    };
    let environment: Environment = function.environment.iter().map(variable).collect();
    let skew_ms = (options.clock_skew_ms)(&function.name);
    let clock = options.clock.clone();
    Start {
        environment,
        sdk: options.engine.sdk_config(options.intercept.clone(), options.sdk_retries),
        clock: Clock::from_fn(move || {
            dialpool_domain::Timestamp::from_millis(clock.now().as_millis().saturating_add(skew_ms))
        }),
        entropy: options.entropy.clone(),
    }
}

/// The function that the template calls by this name.
async fn handler(function: &Function, start: &Start, provider: &Transport) -> anyhow::Result<Handler> {
    Ok(match function.name.as_str() {
        "ControlApi" => Handler::Http(control_api::router(start, provider.clone()).await?),
        "DecisionApi" => Handler::Http(decision_api::router(start).await?),
        "PoolAssign" => Handler::Http(pool_assign::router(start)?),
        "WebhookIngress" => Handler::Http(webhook_ingress::router(start).await?),
        "CallDispatcher" => {
            let function = Arc::new(call_dispatcher::CallDispatcher::new(start, provider.clone()).await?);
            Handler::Queue(Arc::new(move |event| {
                let function = function.clone();
                Box::pin(async move { json!(function.handle(event).await) })
            }))
        }
        "InboxWorker" => {
            let function = Arc::new(inbox_worker::InboxWorker::new(start).await?);
            Handler::Queue(Arc::new(move |event| {
                let function = function.clone();
                Box::pin(async move { json!(function.handle(event).await) })
            }))
        }
        "EventRelay" => {
            let function = Arc::new(event_relay::EventRelay::new(start)?);
            Handler::Stream(Arc::new(move |event| {
                let function = function.clone();
                Box::pin(async move {
                    match serde_json::from_value(event) {
                        Ok(event) => json!(function.relay(event).await),
                        Err(error) => unreadable_record(&error),
                    }
                })
            }))
        }
        "JournalWatch" => {
            let function = Arc::new(journal_watch::JournalWatch::new(start)?);
            Handler::Stream(Arc::new(move |event| {
                let function = function.clone();
                Box::pin(async move {
                    match serde_json::from_value(event) {
                        Ok(event) => json!(function.watch(event).await),
                        Err(error) => unreadable_record(&error),
                    }
                })
            }))
        }
        "CampaignPacer" => {
            let function = Arc::new(campaign_pacer::CampaignPacer::new(start)?);
            Handler::Schedule(Arc::new(move |()| {
                let function = function.clone();
                Box::pin(async move {
                    if let Err(error) = function.pace().await {
                        error!("campaign-pacer broke off: {error}");
                    }
                })
            }))
        }
        "ReleaseSweeper" => {
            let function = Arc::new(release_sweeper::ReleaseSweeper::new(start)?);
            Handler::Schedule(Arc::new(move |()| {
                let function = function.clone();
                Box::pin(async move {
                    if let Err(error) = function.sweep().await {
                        error!("release-sweeper broke off: {error}");
                    }
                })
            }))
        }
        name => anyhow::bail!("the template has a function {name}, which this program does not have"),
    })
}

fn unreadable_record(error: &serde_json::Error) -> Value {
    error!("a stream record is not what Lambda would send: {error}");
    json!({ "batchItemFailures": [{ "itemIdentifier": null }] })
}

/// Runs an invocation for as long as the function may take; `None` when it died or ran out of time.
async fn invoke<F: Future>(function: &Function, invocation: F) -> Option<F::Output> {
    match run_invocation(tokio::time::timeout(function.timeout, invocation)).await {
        Ok(Ok(output)) => Some(output),
        Ok(Err(_)) => {
            warn!("function {} ran out of its {} s", function.name, function.timeout.as_secs());
            None
        }
        Err(crashed) => {
            debug!("function {}: {crashed}", function.name);
            None
        }
    }
}

/// What the HTTP API does with a request for a function.
fn http_invocation(
    function: &Function,
    router: Router,
) -> impl Fn(Request) -> Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    let function = function.clone();
    move |mut request: Request| {
        // The function gets the request alone, and matches the route for itself.
        request.extensions_mut().clear();
        let (function, router) = (function.clone(), router.clone());
        Box::pin(async move {
            Ok(match invoke(&function, router.oneshot(request)).await {
                Some(Ok(response)) => response,
                Some(Err(never)) => match never {},
                // What API Gateway answers for a function that died.
                None => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"Internal Server Error"}"#)
                    .into_response(),
            })
        })
    }
}

struct QueueSource {
    engine: Engine,
    function: Function,
    queue: String,
    batch_size: u32,
}

impl QueueSource {
    async fn run(self, job: Job<SqsEvent, Value>, concurrency: u32) {
        let free = Arc::new(Semaphore::new(concurrency.max(1) as usize));
        let source = Arc::new(self);
        let mut invocations = JoinSet::new();
        loop {
            let Ok(permit) = free.clone().acquire_owned().await else {
                return;
            };
            let received = match source.engine.receive(&source.queue, source.batch_size).await {
                Ok(received) => received,
                Err(error) => return error!("function {}: {error}", source.function.name),
            };
            while invocations.try_join_next().is_some() {}
            let (source, job) = (source.clone(), job.clone());
            invocations.spawn(async move {
                source.invoke(&job, received).await;
                drop(permit);
            });
        }
    }

    async fn invoke(&self, job: &Job<SqsEvent, Value>, received: Vec<crate::engine::Received>) {
        let records: Vec<&Value> = received.iter().map(|message| &message.record).collect();
        let event = match serde_json::from_value(json!({ "Records": records })) {
            Ok(event) => event,
            Err(error) => {
                return error!("messages of {} are not what Lambda would send: {error}", self.queue);
            }
        };
        let Some(answer) = invoke(&self.function, job(event)).await else {
            return;
        };
        let failures = answer["batchItemFailures"].as_array().cloned().unwrap_or_default();
        for message in received {
            let failed = failures.iter().any(|failure| failure["itemIdentifier"] == message.id.as_str());
            if !failed && let Err(error) = self.engine.delete(&self.queue, &message.receipt) {
                error!("failed to delete a message of {}: {error}", self.queue);
            }
        }
    }
}

struct StreamSource {
    engine: Engine,
    client: aws_sdk_dynamodbstreams::Client,
    function: Function,
    table: String,
    batch_size: i32,
    patterns: Vec<Value>,
    /// By shard, the sequence number of the last record that the function took.
    positions: Mutex<BTreeMap<String, String>>,
    /// By shard, where to read on; empty when the stream is not open.
    iterators: Mutex<BTreeMap<String, Option<String>>>,
}

impl StreamSource {
    async fn run(self, job: Job<Value, Value>) {
        let mut writes = self.engine.writes();
        loop {
            match self.follow(&job).await {
                Ok(()) => {
                    match tokio::time::timeout(STREAM_POLL, writes.changed()).await {
                        // The engine is gone.
                        Ok(Err(_)) => return,
                        // What is written next goes into the same batch.
                        Ok(Ok(())) => tokio::time::sleep(STREAM_WINDOW).await,
                        Err(_) => {}
                    }
                }
                Err(error) => {
                    warn!("function {}: the stream of {}: {error:#}", self.function.name, self.table);
                    tokio::time::sleep(STREAM_RETRY).await;
                }
            }
        }
    }

    /// Brings everything that is new, from where the function got to.
    async fn follow(&self, job: &Job<Value, Value>) -> anyhow::Result<()> {
        let mut iterators = self.iterators.lock().await;
        if iterators.is_empty() {
            *iterators = self.open().await?;
        }
        let mut open = std::mem::take(&mut *iterators);
        for (shard, iterator) in &mut open {
            // When this fails the iterators are gone, and the next look opens the stream again where it got to.
            self.follow_shard(job, shard, iterator).await?;
        }
        // A shard that is at its end has none: the stream is opened again for the shards after it.
        if open.values().all(Option::is_some) {
            *iterators = open;
        }
        Ok(())
    }

    /// An iterator for each shard, from where the function got to.
    async fn open(&self) -> anyhow::Result<BTreeMap<String, Option<String>>> {
        let mut iterators = BTreeMap::new();
        let streams = self.client.list_streams().table_name(&self.table).send().await?;
        for arn in streams.streams().iter().filter_map(|stream| stream.stream_arn()) {
            let described = self.client.describe_stream().stream_arn(arn).send().await?;
            let shards = described.stream_description().map(|stream| stream.shards()).unwrap_or_default();
            for shard in shards.iter().filter_map(|shard| shard.shard_id()) {
                let position = self.positions.lock().await.get(&self.position_key(shard)).cloned();
                let request = self.client.get_shard_iterator().stream_arn(arn).shard_id(shard);
                let request = match &position {
                    None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                    Some(number) => request
                        .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                        .sequence_number(number),
                };
                iterators.insert(shard.to_owned(), request.send().await?.shard_iterator);
            }
        }
        Ok(iterators)
    }

    fn position_key(&self, shard: &str) -> String {
        format!("{POSITION_PREFIX}{}.{}.{shard}", self.function.name, self.table)
    }

    async fn advance(&self, key: &str, sequence_number: &str) -> anyhow::Result<()> {
        self.engine.state().put(key, &json!(sequence_number))?;
        self.positions.lock().await.insert(key.to_owned(), sequence_number.to_owned());
        Ok(())
    }

    async fn follow_shard(
        &self,
        job: &Job<Value, Value>,
        shard: &str,
        iterator: &mut Option<String>,
    ) -> anyhow::Result<()> {
        let position_key = self.position_key(shard);
        while let Some(from) = iterator.take() {
            let page = self.client.get_records().shard_iterator(from).limit(self.batch_size).send().await?;
            *iterator = page.next_shard_iterator;
            let records = page.records.unwrap_or_default();
            let Some(last) = records.last().and_then(sequence_number) else {
                return Ok(());
            };
            let all = records.iter().map(record_json).collect::<Vec<_>>();
            let wanted: Vec<&Value> = all
                .iter()
                .filter(|record| {
                    self.patterns.is_empty()
                        || self.patterns.iter().any(|pattern| template::matches(pattern, record))
                })
                .collect();
            if !wanted.is_empty() {
                let event = json!({ "Records": wanted });
                let answer = invoke(&self.function, job(event)).await.context("the invocation died")?;
                if let Some(failure) =
                    answer["batchItemFailures"].as_array().and_then(|failures| failures.first())
                {
                    let failed = failure["itemIdentifier"].as_str().unwrap_or_default();
                    let before =
                        all.iter().take_while(|record| record["dynamodb"]["SequenceNumber"] != failed).last();
                    if let Some(before) =
                        before.and_then(|record| record["dynamodb"]["SequenceNumber"].as_str())
                    {
                        self.advance(&position_key, before).await?;
                    }
                    anyhow::bail!("the function did not take record {failed}");
                }
            }
            self.advance(&position_key, last).await?;
        }
        Ok(())
    }
}

const POSITION_PREFIX: &str = "stream/";

fn saved_positions(engine: &Engine) -> anyhow::Result<BTreeMap<String, String>> {
    let saved = engine.state().list(POSITION_PREFIX)?;
    Ok(saved.into_iter().filter_map(|(key, number)| Some((key, number.as_str()?.to_owned()))).collect())
}

fn sequence_number(record: &aws_sdk_dynamodbstreams::types::Record) -> Option<&str> {
    record.dynamodb()?.sequence_number()
}

/// The record as the `Records` of a Lambda event have it.
fn record_json(record: &aws_sdk_dynamodbstreams::types::Record) -> Value {
    let change = record.dynamodb();
    let image = |item: Option<&std::collections::HashMap<String, _>>| {
        let fields = item.into_iter().flatten().map(|(name, value)| (name.clone(), attribute_json(value)));
        Value::Object(fields.collect())
    };
    json!({
        "eventID": record.event_id().unwrap_or_default(),
        "eventName": record.event_name().map(|name| name.as_str()).unwrap_or_default(),
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": image(change.and_then(|change| change.keys())),
            "NewImage": image(change.and_then(|change| change.new_image())),
            "SequenceNumber": change.and_then(|change| change.sequence_number()),
            "SizeBytes": change.and_then(|change| change.size_bytes()).unwrap_or_default(),
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

fn attribute_json(value: &aws_sdk_dynamodbstreams::types::AttributeValue) -> Value {
    use aws_sdk_dynamodbstreams::types::AttributeValue;
    use base64::Engine as _;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(flag) => json!({ "NULL": flag }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::B(bytes) => json!({ "B": base64(bytes.as_ref()) }),
        AttributeValue::Bs(all) => {
            json!({ "BS": all.iter().map(|bytes| base64(bytes.as_ref())).collect::<Vec<_>>() })
        }
        AttributeValue::L(items) => json!({ "L": items.iter().map(attribute_json).collect::<Vec<_>>() }),
        AttributeValue::M(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), attribute_json(value)));
            json!({ "M": Value::Object(fields.collect()) })
        }
        _ => Value::Null,
    }
}

async fn run_schedule(function: Function, every: Duration, job: Job<(), ()>) {
    loop {
        tokio::time::sleep(every).await;
        invoke(&function, job(())).await;
    }
}
