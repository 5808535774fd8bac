//! Assigns of one embedded stack over HTTP, as its users call it: the API of `dialpool serve`, its tables in a file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dialpool::engine::Engine;
use dialpool::local::{Local, Settings, TEMPLATE};
use dialpool::template::Template;
use dialpool_domain::event::Cause;
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CompanyId, TraceId};
use dialpool_runtime::Clock;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Numbers of the company.
pub(crate) const NUMBERS: usize = 1_500;

/// Leads, each of which asks once.
const ASSIGNS: usize = 1_408;

/// How many ask at the same time.
pub(crate) const CLIENTS: [usize; 4] = [1, 8, 32, 64];

/// What the columns of [`Measured::cells`] are.
pub(crate) const HEADER: [&str; 6] =
    ["clients", "assigns/s", "p50", "p99", "failed picks", "double assignments"];

pub(crate) fn run() {
    let mut table = crate::table(&HEADER);
    for clients in CLIENTS {
        table.add_row(crate::in_real_time(dialpool(clients)).cells(clients));
    }
    println!("{ASSIGNS} assigns over HTTP in a company of {NUMBERS} numbers, all on this machine\n\n{table}");
}

/// What clients saw.
pub(crate) struct Measured {
    elapsed: Duration,
    /// Ascending.
    latencies: Vec<Duration>,
    /// Requests that got no number, though some were free.
    failed: usize,
    /// Grants of a number that somebody had been granted.
    doubles: usize,
}

impl Measured {
    fn percentile(&self, percent: usize) -> String {
        let index = (self.latencies.len() - 1) * percent / 100;
        format!("{:.1} ms", self.latencies[index].as_secs_f64() * 1_000.0)
    }

    pub(crate) fn cells(&self, clients: usize) -> Vec<String> {
        vec![
            clients.to_string(),
            format!("{:.0}", self.latencies.len() as f64 / self.elapsed.as_secs_f64()),
            self.percentile(50),
            self.percentile(99),
            self.failed.to_string(),
            self.doubles.to_string(),
        ]
    }
}

/// The number that the company has in this place.
pub(crate) fn number(n: usize) -> String {
    format!("+1{}555{:04}", 201 + n / 100, n % 100 + 100)
}

/// Dialpool, embedded, behind HTTP, its tables in a file.
pub(crate) struct Served {
    pub(crate) local: Local,
    pub(crate) company: CompanyId,
    /// Where it is: `http://127.0.0.1:4711`.
    pub(crate) url: String,
    pub(crate) key: String,
    _folder: tempfile::TempDir,
}

impl Served {
    /// One with so many numbers in the pool of a company.
    pub(crate) async fn with(numbers: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        let engine = Engine::in_folder(folder.path(), clock.clone()).expect("an engine");
        let template = Template::parse(TEMPLATE).expect("the template");
        let local = Local::start(&template, Settings::new(engine, clock, 1)).await.expect("a stack");
        let company = "acme".parse().expect("a company");
        let key = local.company(&company, "Acme").await.expect("a key");
        let url = listen(local.stack.api()).await;
        let served = Self { local, company, url, key, _folder: folder };
        for n in 0..numbers {
            let new = NewNumber::bare(number(n).parse().expect("a number"));
            let store = &served.local.stack.store;
            let imported = store.import_number(&served.cause(), &served.company, &new).await;
            assert!(imported.is_ok(), "{imported:?}");
        }
        served
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause { at: self.local.clock.now(), actor: "bench".to_owned(), trace_id: TraceId::new(1) }
    }
}

/// Serves on a free port; answers where.
pub(crate) async fn listen(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, routes).into_future());
    format!("http://{address}")
}

pub(crate) async fn dialpool(clients: usize) -> Measured {
    let served = Served::with(NUMBERS).await;
    measure(clients, &format!("{}/v1/assignments", served.url), &served.key).await
}

/// Clients that ask at once, each for one lead after the other.
pub(crate) async fn measure(clients: usize, url: &str, key: &str) -> Measured {
    let (url, bearer): (Arc<str>, Arc<str>) = (url.into(), format!("Bearer {key}").into());
    let client = reqwest::Client::new();
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..clients {
        let (client, url, bearer) = (client.clone(), url.clone(), bearer.clone());
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for time in 0..ASSIGNS / clients {
                let body = json!({ "lead": format!("lead-{n}-{time}") });
                let sent = Instant::now();
                let request = client.post(&*url).header("authorization", &*bearer).json(&body);
                let response = request.send().await.expect("an answer");
                let status = response.status().as_u16();
                let answer: Value = response.json().await.expect("a body");
                assert!(matches!(status, 201 | 409), "{answer}");
                answers.push((sent.elapsed(), answer["number"].as_str().map(str::to_owned)));
            }
            answers
        });
    }
    let answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = began.elapsed();
    let mut grants = BTreeMap::<&str, usize>::new();
    for number in answers.iter().filter_map(|(_, number)| number.as_deref()) {
        *grants.entry(number).or_default() += 1;
    }
    let failed = answers.iter().filter(|(_, number)| number.is_none()).count();
    let doubles = grants.values().map(|times| times - 1).sum();
    let mut latencies: Vec<_> = answers.into_iter().map(|(latency, _)| latency).collect();
    latencies.sort();
    Measured { elapsed, latencies, failed, doubles }
}
