//! `kill -9` in the middle of a campaign: after the restart the campaign ends, nobody was called twice, no event is lost.

#![expect(clippy::unwrap_used, reason = "all of this file is one test")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dialpool::audit::{Books, Stage};
use dialpool::engine::Engine;
use dialpool::simulator::{CallJournal, Config, Simulator};
use dialpool::stack::Loopback;
use dialpool_runtime::Clock;
use serde_json::Value;

/// A `dialpool serve` that is killed when it is dropped.
struct Serve {
    child: Child,
    address: String,
    key: String,
    /// Read no further, and kept: a closed pipe would end the stack before it is killed.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Serve {
    /// Starts it in `folder` at a moment of simulated time, and waits until it says that it is up.
    fn start(folder: &Path, at: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dialpool"))
            .args(["--folder", &folder.to_string_lossy(), "serve", "--port", "0", "--at", at])
            .args(["--call-seconds", "1", "--answer-percent", "100"])
            .env_remove("VAPI_API_KEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |mark: &str| loop {
            let line = lines.next().expect("serve is up").unwrap();
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        let address = after("http://");
        let key = after("API key (demo)");
        Self { child, address, key, _output: lines }
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", content_type)
            .body(body.to_owned())
            .unwrap();
        let mut answer = ureq::run(request).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn campaign(&self, id: &str) -> Value {
        self.send("GET", &format!("/v1/campaigns/{id}"), "application/json", "")
    }

    /// Looks at the campaign for a quarter of a minute, or until it is as wanted. Returns whether it is.
    fn becomes(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> bool {
        (0..150).any(|_| {
            std::thread::park_timeout(Duration::from_millis(100));
            wanted(&self.campaign(id))
        })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_killed_stack_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: String = (0..20).map(|n| format!("+1415555{:04},pn-{n}\n", 100 + n)).collect();
    let contacts: String = (0..16).map(|n| format!("+1415555{:04},lead-{n}\n", 150 + n)).collect();

    let first = Serve::start(folder.path(), "2026-03-02T18:00:00Z");
    first.send("POST", "/v1/numbers/import", "text/csv", &format!("number,vapi_id\n{numbers}"));
    let request = r#"{"name":"Kill","assistant_id":"a-1","cap":4,"consent_required":"none"}"#;
    let id =
        first.send("POST", "/v1/campaigns", "application/json", request)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/campaigns/{id}");
    first.send("POST", &format!("{path}/contacts"), "text/csv", &format!("phone,lead\n{contacts}"));
    first.send("POST", &format!("{path}/start"), "application/json", "");
    assert!(first.becomes(&id, |campaign| campaign["calls"].as_u64() >= Some(4)), "{}", first.campaign(&id));
    drop(first);

    // Killed again and again, each time for twenty minutes of simulated time, until the campaign is over.
    let mut campaign = Value::Null;
    for restart in ["18:20", "18:40", "19:00", "19:20", "19:40", "20:00"] {
        let again = Serve::start(folder.path(), &format!("2026-03-02T{restart}:00Z"));
        let completed = again.becomes(&id, |campaign| campaign["status"] == "completed");
        campaign = again.campaign(&id);
        if completed {
            break;
        }
    }

    assert_eq!(campaign["status"], "completed", "{campaign}");
    assert_eq!((&campaign["contacts_open"], &campaign["lines_in_use"]), (&0.into(), &0.into()), "{campaign}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let violations = runtime.block_on(async {
        let engine = Engine::in_folder(folder.path(), Clock::system()).unwrap();
        let saved = engine.state().list("simulator/").unwrap().into_iter().map(|(_, call)| call).collect();
        let calls = CallJournal { save: Arc::new(|_, _| {}), saved };
        let clock = Clock::system();
        let simulator =
            Simulator::new(Config::default(), clock, Loopback::default().transport(), Some(calls)).unwrap();
        Books::read(&engine, simulator.ledger()).await.unwrap().violations(Stage::UnderWay)
    });
    assert_eq!(violations, Vec::<String>::new());
}
