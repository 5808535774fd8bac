//! Assigns of one embedded stack over HTTP, as its users call it: the API of `dialpool serve`, its tables in a file.

use std::sync::Arc;
use std::time::Duration;

use dialpool::engine::Engine;
use dialpool::local::{Local, Settings, TEMPLATE};
use dialpool::template::Template;
use dialpool_domain::TraceId;
use dialpool_domain::event::Cause;
use dialpool_domain::pool::NewNumber;
use dialpool_runtime::Clock;
use serde_json::json;
use tokio::time::Instant;

const NUMBERS: usize = 3_000;
const ASSIGNS: usize = 1_280;

pub(crate) fn run() {
    let mut table = crate::table(&["clients", "assigns/s", "p50", "p99"]);
    for clients in [1, 8, 32, 64] {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let measured = runtime.block_on(measure(clients));
        table.add_row([
            clients.to_string(),
            format!("{:.0}", ASSIGNS as f64 / measured.elapsed.as_secs_f64()),
            format!("{:.1} ms", measured.percentile(50)),
            format!("{:.1} ms", measured.percentile(99)),
        ]);
    }
    println!("{ASSIGNS} assigns over HTTP in a company of {NUMBERS} numbers, all on this machine\n\n{table}");
}

struct Measured {
    elapsed: Duration,
    /// Ascending.
    latencies: Vec<Duration>,
}

impl Measured {
    fn percentile(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() - 1) * percent / 100;
        self.latencies[index].as_secs_f64() * 1_000.0
    }
}

async fn measure(clients: usize) -> Measured {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let engine = Engine::in_folder(folder.path(), clock.clone()).expect("an engine");
    let template = Template::parse(TEMPLATE).expect("the template");
    let local = Local::start(&template, Settings::new(engine, clock.clone(), 1)).await.expect("a stack");
    let company = "acme".parse().expect("a company");
    let key = local.company(&company, "Acme").await.expect("a key");
    let cause = Cause { at: clock.now(), actor: "bench".to_owned(), trace_id: TraceId::new(1) };
    for n in 0..NUMBERS {
        let number = format!("+1{}555{:04}", 201 + n / 100, n % 100 + 100).parse().expect("a number");
        let imported = local.stack.store.import_number(&cause, &company, &NewNumber::bare(number)).await;
        assert!(imported.is_ok(), "{imported:?}");
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, local.stack.api()).into_future());

    let url: Arc<str> = format!("http://{address}/v1/assignments").into();
    let bearer: Arc<str> = format!("Bearer {key}").into();
    let client = reqwest::Client::new();
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..clients {
        let (client, url, bearer) = (client.clone(), url.clone(), bearer.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for time in 0..ASSIGNS / clients {
                let body = json!({ "lead": format!("lead-{n}-{time}") });
                let sent = Instant::now();
                let request = client.post(&*url).header("authorization", &*bearer).json(&body);
                let response = request.send().await.expect("an answer");
                let status = response.status();
                let text = response.text().await.expect("a body");
                assert_eq!(status, 201, "{text}");
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    let mut latencies: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = began.elapsed();
    latencies.sort();
    Measured { elapsed, latencies }
}
