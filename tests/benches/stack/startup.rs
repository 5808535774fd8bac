//! From the start of a function's process to its first request for work, against the least that `lambda_http` takes; and
//! what is uploaded.
//!
//! Builds the functions for release, for this machine. A Runtime API and the engine's endpoint are on loopback.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use dialpool::engine::Engine;
use dialpool::local::TEMPLATE;
use dialpool::template::Template;
use dialpool_runtime::Clock;
use tokio::sync::mpsc;
use tokio::time::Instant;

const TIMES: usize = 21;

const FUNCTIONS: [&str; 10] = [
    "pool-assign",
    "decision-api",
    "webhook-ingress",
    "control-api",
    "call-dispatcher",
    "inbox-worker",
    "campaign-pacer",
    "release-sweeper",
    "event-relay",
    "journal-watch",
];

pub(crate) fn run() {
    let folder = build();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let services = Services::start().await;
        let hello = folder.join("examples/hello-world");
        // Turn by turn, so that what else the machine does falls on all alike.
        let mut times = vec![Vec::new(); FUNCTIONS.len() + 1];
        for _ in 0..TIMES {
            times[0].push(services.first_next(&hello).await);
            for (times, function) in times[1..].iter_mut().zip(FUNCTIONS) {
                times.push(services.first_next(&folder.join(function)).await);
            }
        }
        let least = median(&mut times[0]);
        let mut table = crate::table(&["function", "start (median)", "of hello world", "size", "zipped"]);
        let programs = std::iter::once(("hello world", hello.clone()))
            .chain(FUNCTIONS.map(|function| (function, folder.join(function))));
        for ((name, program), times) in programs.zip(&mut times) {
            let start = median(times);
            let (size, zipped) = sizes(&program);
            table.add_row([
                name.to_owned(),
                format!("{:.1} ms", start.as_secs_f64() * 1_000.0),
                format!("{:.2}", start.as_secs_f64() / least.as_secs_f64()),
                format!("{size:.2} MB"),
                format!("{zipped:.2} MB"),
            ]);
        }
        println!("{TIMES} starts each, from the start of the process to its first `next`\n\n{table}");
    });
}

fn build() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet"]);
    for function in FUNCTIONS {
        command.args(["--package", function]);
    }
    command.args(["--package", "dialpool-runtime", "--bins", "--example", "hello-world"]);
    let status = command.status().expect("cargo");
    assert!(status.success(), "the functions cannot be built");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("release")
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// In megabytes: the program, and its archive as it is uploaded.
fn sizes(program: &Path) -> (f64, f64) {
    let bytes = std::fs::read(program).expect("a program");
    let mut archive = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    archive.write_all(&bytes).expect("memory");
    let zipped = archive.finish().expect("memory");
    (bytes.len() as f64 / 1e6, zipped.len() as f64 / 1e6)
}

/// What a function finds around it.
struct Services {
    runtime_api: String,
    aws: String,
    /// When somebody asked for work.
    asked: tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<Instant, String>>>,
}

type Asked = mpsc::UnboundedSender<Result<Instant, String>>;

impl Services {
    async fn start() -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let runtime_api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(sender);
        let engine = Engine::in_memory(Clock::system()).expect("an engine");
        engine.create(&Template::parse(TEMPLATE).expect("the template")).await.expect("tables");
        Self {
            runtime_api: listen(runtime_api).await,
            aws: format!("http://{}", listen(engine.endpoint()).await),
            asked: tokio::sync::Mutex::new(asked),
        }
    }

    /// How long the program takes from its start to its first request for work.
    async fn first_next(&self, program: &Path) -> Duration {
        let began = Instant::now();
        let mut child = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", &self.runtime_api)
            .envs(VARIABLES)
            .env("AWS_ENDPOINT_URL", &self.aws)
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let asked = self.asked.lock().await.recv().await.expect("the Runtime API");
        child.kill().and_then(|()| child.wait()).expect("an end");
        match asked {
            Ok(at) => at - began,
            Err(error) => panic!("{} does not start: {error}", program.display()),
        }
    }
}

/// Never has any work.
async fn next(State(asked): State<Asked>) {
    asked.send(Ok(Instant::now())).expect("a listener");
    std::future::pending::<()>().await;
}

async fn init_error(State(asked): State<Asked>, body: String) {
    asked.send(Err(body)).expect("a listener");
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

const VARIABLES: [(&str, &str); 21] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "local"),
    ("AWS_SECRET_ACCESS_KEY", "local"),
    ("RUST_LOG", "info"),
    ("POOL_TABLE", "PoolTable"),
    ("DIALING_TABLE", "DialingTable"),
    ("PEOPLE_TABLE", "PeopleTable"),
    ("JOURNAL_TABLE", "JournalTable"),
    ("DIAL_QUEUE_URL", "http://local.invalid/DialQueue"),
    ("WITHDRAW_QUEUE_URL", "http://local.invalid/WithdrawQueue"),
    ("INBOX_QUEUE_URL", "http://local.invalid/InboxQueue"),
    ("BUS_NAME", "EventBus"),
    ("PHONE_HASH_KEY", "bench"),
    ("VAPI_ACCOUNT_CONCURRENCY", "10"),
    ("VAPI_API_KEY", "bench"),
    ("VAPI_BASE_URL", "http://local.invalid"),
    ("VAPI_WEBHOOK_SECRET", "bench"),
    ("WEBHOOK_URL", "http://local.invalid/v1/webhooks/vapi"),
];
