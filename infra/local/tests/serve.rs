//! `dialpool serve`, as its user starts and stops it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialpool"));
    command.arg("serve").args(arguments).arg("--folder").arg(folder);
    for variable in ["VAPI_API_KEY", "AWS_ENDPOINT_URL", "DIALPOOL_PUBLIC_URL", "DIALPOOL_PORT"] {
        command.env_remove(variable);
    }
    command
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = serve(folder, arguments).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// A stack that is up; killed when it is dropped.
struct Up {
    child: Child,
    address: String,
    time: String,
    aws_secret: String,
    _output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Up {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |mark: &str| loop {
            let line = lines.next().expect("serve is up").unwrap();
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        let (address, time) = (after("http://"), after("time "));
        let aws_secret = after("AWS_SECRET_ACCESS_KEY=");
        Self { child, address, time, aws_secret, _output: lines }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// What is answered to a request that closes its connection.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn tell(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Whether it ends well within so long.
    fn ends_within(&mut self, time: Duration) -> bool {
        let pause = Duration::from_millis(20);
        for _ in 0..time.as_millis() / pause.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::park_timeout(pause);
        }
        false
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        let _: std::io::Result<()> = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_start_that_fails_leaves_the_clock_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let began_at = folder.path().join("began-at");
    let at = ["--at", "2026-03-02T17:00:00Z"];
    drop(Up::start(serve(folder.path(), &at).args(["--port", "0"])));
    let kept = std::fs::read_to_string(&began_at).unwrap();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let later = ["--at", "2026-06-01T17:00:00Z"];
    let template = folder.path().join("template.yaml");
    std::fs::write(&template, "Resources: {}\n").unwrap();
    let unknown = folder.path().join("unknown.yaml");
    let function = "Resources:\n  Unknown: { Type: AWS::Serverless::Function }\n";
    std::fs::write(&unknown, function).unwrap();
    let of = |file: &Path| {
        ["--port", "0", "--template"]
            .map(str::to_owned)
            .into_iter()
            .chain([file.to_str().unwrap().to_owned()])
            .collect::<Vec<_>>()
    };
    let failures: [Vec<String>; 3] = [vec!["--port".to_owned(), port], of(&template), of(&unknown)];
    for arguments in failures {
        let arguments: Vec<&str> = later.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let error = refused(folder.path(), &arguments);
        assert_eq!(std::fs::read_to_string(&began_at).unwrap(), kept, "{error}");
    }

    let again = Up::start(&mut serve(folder.path(), &["--port", "0"]));
    assert!(again.time.starts_with("2026-03-02T17:0"), "{}", again.time);
}

#[test]
fn a_first_start_that_fails_begins_no_simulated_past() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let error = refused(folder.path(), &["--at", "2026-03-02T17:00:00Z", "--port", &port]);

    assert!(error.contains("failed to listen on"), "{error}");
    assert!(!folder.path().join("began-at").exists());
}

#[test]
fn a_second_stack_on_the_same_folder_is_refused_and_moves_no_clock() {
    let folder = tempfile::tempdir().unwrap();
    let first = Up::start(&mut serve(folder.path(), &["--port", "0", "--at", "2026-03-02T17:00:00Z"]));
    let kept = std::fs::read_to_string(folder.path().join("began-at")).unwrap();

    let error = refused(folder.path(), &["--port", "0", "--at", "2026-06-01T17:00:00Z"]);

    assert!(error.contains("another `dialpool serve` runs on"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join("began-at")).unwrap(), kept);
    drop(first);
    drop(Up::start(&mut serve(folder.path(), &["--port", "0"])));
}

#[test]
fn a_stop_is_obeyed_whatever_clients_do() {
    let requests: [&[u8]; 4] = [
        b"",
        b"GET /v1/health HTTP/1.1\r\nHost: loc",
        b"POST /v1/campaigns HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut up = Up::start(&mut serve(folder.path(), &["--port", "0"]));
        let clients: Vec<TcpStream> = requests
            .iter()
            .map(|request| {
                let mut stream = up.connect();
                stream.write_all(request).unwrap();
                stream
            })
            .collect();
        // The last was answered, and its connection stays open.
        let mut answer = [0; 12];
        (&clients[3]).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");

        up.tell(signal);

        assert!(up.ends_within(Duration::from_secs(8)), "{signal}");
        drop(clients);
    }
}

const SCAN: &str =
    "X-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

#[test]
fn what_listens_answers_this_machine_by_its_name_alone_and_its_services_to_signatures_alone() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&mut serve(folder.path(), &["--port", "0"]));
    let other = tempfile::tempdir().unwrap();
    let public = Up::start(
        serve(other.path(), &["--port", "0"]).env("DIALPOOL_PUBLIC_URL", "https://calls.example.com/"),
    );
    let status = |up: &Up, request: String| up.ask(&request).split(' ').nth(1).unwrap_or_default().to_owned();
    let health = |up: &Up, host: &str| {
        status(up, format!("GET /v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    let scan = |up: &Up, host: &str| status(up, format!("POST / HTTP/1.1\r\nHost: {host}\r\n{SCAN}"));

    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:7700", "[::1]:7700"] {
        assert_eq!((health(&up, host), scan(&up, host)), ("200".to_owned(), "403".to_owned()), "{host}");
    }
    for host in [
        "rebound.example.com",
        "calls.example.com",
        "127.0.0.1.nip.example.com",
        "localhost.example.com",
        "0.0.0.0",
    ] {
        assert_eq!((health(&up, host), scan(&up, host)), ("421".to_owned(), "421".to_owned()), "{host}");
    }
    assert_eq!(health(&public, "Calls.example.com"), "200");
    assert_eq!(health(&public, "other.example.com"), "421");
    assert_eq!(scan(&public, "calls.example.com"), "421", "the services are for this machine alone");
    assert_ne!(up.aws_secret, public.aws_secret);
}
