//! A file of 10,000 wide rows into a campaign, over HTTP, to one embedded stack in a process of its own, its tables in a file:
//! how long it takes, and how much memory the process needs for it. Then a preflight of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::throughput::Served;

pub(crate) const ROWS: usize = 10_000;

/// Bytes of a row: with that a file has about as many as are taken.
const WIDE: usize = 1_000;

/// One of so many rows is not taken.
const WRONG: usize = 1_000;

const PREFLIGHTS: usize = 11;

/// The word that has the bench be the process of the stack.
pub(crate) const SERVE: &str = "serve";

const AREAS: &str = include_str!("../../../shared/domain/data/nanp.csv");

pub(crate) fn run() {
    let mut table =
        crate::table(&["file", "sent", "time", "of the processor", "memory when idle", "at most above it"]);
    let mut report = Value::Null;
    for (name, query, gzip, key) in [
        ("CSV", "", false, false),
        ("CSV, with an Idempotency-Key", "", false, true),
        ("CSV, compressed", "", true, false),
        ("CSV, dry run", "?dry_run=true", false, false),
    ] {
        let (stack, file) = (Stack::start(), file());
        let (body, encoding) = if gzip { (zipped(&file), "gzip") } else { (file.into_bytes(), "identity") };
        let sent = body.len();
        let (took, worked, answer, idle, most) = crate::in_real_time(async {
            let campaign = stack.campaign().await;
            let idle = stack.memory("VmRSS");
            let path = format!("{campaign}/contacts{query}");
            let mut request = stack.post(&path).header("content-type", "text/csv");
            request = request.header("content-encoding", encoding);
            if key {
                request = request.header("idempotency-key", "upload");
            }
            let (began, worked) = (Instant::now(), stack.processor());
            let answer = request.body(body).send().await.expect("an answer");
            assert!(answer.status().is_success(), "{answer:?}");
            let answer: Value = answer.json().await.expect("a body");
            (began.elapsed(), stack.processor() - worked, answer, idle, stack.memory("VmHWM"))
        });
        assert_eq!(answer["added"], json!(ROWS - ROWS / WRONG), "{answer}");
        table.add_row([
            name.to_owned(),
            format!("{:.1} MB", sent as f64 / 1e6),
            format!("{:.2} s", took.as_secs_f64()),
            format!("{worked:.2} s"),
            format!("{:.0} MB", idle / 1e6),
            format!("{:.1} MB", (most - idle) / 1e6),
        ]);
        report = answer["refused"].clone();
    }
    println!("{ROWS} rows, {} of them not taken\n\n{table}", report.as_array().map_or(0, Vec::len));
    for row in report.as_array().into_iter().flatten().take(3) {
        println!("line {}: {} {}", row["line"], row["field"], row["reason"]);
    }
}

pub(crate) fn preflight() {
    let stack = Stack::start();
    let (mut times, worked, answer) = crate::in_real_time(async {
        let campaign = stack.campaign().await;
        let request = stack.post(&format!("{campaign}/contacts")).header("content-type", "text/csv");
        assert!(request.body(file()).send().await.expect("an answer").status().is_success());
        let (mut times, mut answer, worked) = (Vec::new(), Value::Null, stack.processor());
        for _ in 0..PREFLIGHTS {
            let began = Instant::now();
            let response = stack.post(&format!("{campaign}/preflight")).send().await.expect("an answer");
            answer = response.json().await.expect("a body");
            times.push(began.elapsed());
        }
        (times, stack.processor() - worked, answer)
    });
    times.sort();
    println!("{} contacts, {} of them callable now", answer["contacts"], answer["now"]);
    println!(
        "{PREFLIGHTS} preflights: {:.2} s (median), {:.2} s at most; {:.2} s of the processor each",
        times[PREFLIGHTS / 2].as_secs_f64(),
        times[PREFLIGHTS - 1].as_secs_f64(),
        worked / PREFLIGHTS as f64,
    );
}

/// The stack, until nobody listens any more: what [`Stack`] starts.
pub(crate) fn serve() {
    crate::in_real_time(async {
        let served = Served::with(0).await;
        println!("{} {}", served.url, served.key);
        let over = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        over.await.expect("no panic").expect("an end");
    });
}

/// A stack in a process of its own.
struct Stack {
    child: Child,
    url: String,
    key: String,
    client: reqwest::Client,
}

impl Stack {
    fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut child = Command::new(program)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        let (url, key) = line.trim().split_once(' ').expect("where it is, and a key");
        Self { url: url.to_owned(), key: key.to_owned(), client: reqwest::Client::new(), child }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// Makes a campaign; answers its path.
    async fn campaign(&self) -> String {
        let request = json!({ "name": "Bench", "assistant_id": "assistant-1", "consent_required": "none" });
        let made = self.post("/v1/campaigns").json(&request).send().await.expect("an answer");
        let made: Value = made.json().await.expect("a body");
        format!("/v1/campaigns/{}", made["id"].as_str().expect("an id"))
    }

    /// How long the process kept a core busy so far, in seconds.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let fields = stat.rsplit(')').next().expect("what follows its name").split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
        ticks / 100.0
    }

    /// What the process has of memory, in bytes: `VmRSS` now, `VmHWM` at most so far.
    fn memory(&self, which: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("memory");
        let kilobytes: f64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number");
        kilobytes * 1_024.0
    }
}

impl Drop for Stack {
    /// It removes its folder and ends.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("an end");
    }
}

fn file() -> String {
    let mut areas = AREAS.lines().filter(|line| line.contains(",geographic,US,")).map(|line| &line[..3]);
    let mut file = "phone,lead,name,zip,consent,consent_at,consent_evidence,notes\n".to_owned();
    let mut area = "";
    for n in 0..ROWS {
        if n % 100 == 0 {
            area = areas.next().expect("an area code");
        }
        let phone = if n % WRONG == 0 {
            "nobody knows".to_owned()
        } else {
            format!("+1{area}555{:04}", n % 100 + 100)
        };
        let row = format!(
            "{phone},lead-{n},\"Example Lead {n}\",,express_written,2026-01-01,https://consents.example.invalid/{n},"
        );
        file.push_str(&row);
        file.extend(std::iter::repeat_n('x', WIDE - row.len()));
        file.push('\n');
    }
    file
}

fn zipped(file: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(file.as_bytes()).expect("memory");
    gzip.finish().expect("memory")
}
