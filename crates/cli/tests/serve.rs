//! `glossator serve` as a process: what it says, what it refuses, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/signals.rs"]
mod signals;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{explain, glossator, good, run};

const MODEL: &str = "../../testdata/models/bert-cls";

/// A server that is ended with the test.
struct Running {
    child: Child,
    address: String,
    said: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server on a free port, and waits until it says where.
fn start(args: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glossator"));
    command.args(["serve", "--port", "0", "--model", MODEL]).args(args);
    command.env_remove("GLOSSATOR_MODELS").env("XDG_DATA_HOME", "no-data");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: String = (0..3).map(|_| lines.next().unwrap().unwrap() + "\n").collect();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    Running { child, address, said }
}

impl Running {
    /// An answer to a request, with its head.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = self.send(method, path, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// Sends a signal by its name.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end, and gives the exit code with the errors.
    fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (status.code(), errors)
    }
}

#[test]
fn it_says_where_it_is_and_answers_there() {
    let server = start(&["--only"]);
    assert_eq!(
        server.said,
        format!("serving http://{}/\nmodels: bert-cls\nstop with Ctrl-C\n", server.address)
    );
    assert!(server.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200 OK"));
    assert!(server.ask("GET", "/", "").contains("<!doctype html>"));
    let body = r#"{"input": {"text": "the cat was good"}, "method": "gradient"}"#;
    let answer = server.ask("POST", "/v1/explain", body);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // The same document as on the command line.
    let told = answer.split("\r\n\r\n").nth(1).unwrap();
    let method = ["--method", "gradient", "--format", "json"];
    let printed = good(explain(&method).arg("the cat was good"));
    let (told, printed): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(told).unwrap(), serde_json::from_str(&printed).unwrap());
    assert_eq!(told, printed);
}

#[test]
fn the_bundled_model_and_those_by_name_are_there_too() {
    let server = start(&[]);
    let models = server.said.lines().nth(1).unwrap().to_owned();
    assert!(models.starts_with("models: bert-cls, sentiment-en"), "{models}");
}

#[test]
fn another_address_needs_a_token() {
    let serve = |args: &[&str]| {
        let mut command = glossator(&["serve", "--port", "0"]);
        run(command.args(args).env_remove("GLOSSATOR_TOKEN"))
    };
    let answer = serve(&["--host", "0.0.0.0"]);
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{answer:?}");
    insta::assert_snapshot!(answer.err, @r"
    error: --host 0.0.0.0: others can reach that address, and there is no token
    hint: set GLOSSATOR_TOKEN to a token that clients must send, or add --insecure-no-token to let everyone ask
    ");
    let answer = serve(&["--host", "::", "--token", "short"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    insta::assert_snapshot!(answer.err, @r"
    error: the token: expected 8 or more letters, digits and signs of ASCII
    hint: make one with `openssl rand -hex 16`
    ");
    let answer = serve(&["--host", "example"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    insta::assert_snapshot!(answer.err, @r"
    error: invalid value 'example' for '--host <ADDRESS>': invalid IP address syntax
    hint: `glossator serve --help` lists what can be given
    ");
    let server = start(&["--host", "0.0.0.0", "--token", "a-long-token"]);
    assert!(server.said.contains("which asks for the token"), "{}", server.said);
    assert!(!server.said.contains("a-long-token"), "{}", server.said);
    assert!(server.ask("GET", "/v1/models", "").starts_with("HTTP/1.1 401"));
    assert!(server.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200"));
    drop(start(&["--host", "0.0.0.0", "--insecure-no-token"]));
}

#[test]
fn what_cannot_be_served_is_told_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let answer = run(&mut glossator(&["serve", "--port", &port]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{answer:?}");
    insta::assert_snapshot!(answer.err.replace(&port, "PORT"), @r"
    error: 127.0.0.1:PORT: Address already in use (os error 98)
    hint: choose another --port, or 0 for any that is free
    ");
    let answer = run(&mut glossator(&["serve", "--port", "0", "--model", "nowhere/at-all/x"]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{answer:?}");
    let answer = run(&mut glossator(&["serve", "--port", "0", "--model", MODEL, "--model", MODEL]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{answer:?}");
    insta::assert_snapshot!(answer.err, @r"
    error: two models are called bert-cls
    hint: rename one of the directories
    ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_to_terminate_lets_what_runs_end() {
    let server = start(&["--threads", "1"]);
    // Some hundred milliseconds.
    let text = "a touching , funny and wise film ".repeat(6);
    let body = format!(
        r#"{{"model": "sentiment-en", "input": {{"text": "{text}"}}, "method": "smoothgrad",
             "settings": {{"samples": 150}}}}"#
    );
    let mut waiting = server.send("POST", "/v1/explain", &body);
    let began = Instant::now();
    while !server.ask("GET", "/metrics", "").contains("glossator_tasks_running 1") {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    server.signal("TERM");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(server.end(), (Some(0), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_is_told_by_the_exit_code() {
    if signals::are_ignored() {
        return;
    }
    let server = start(&["--only"]);
    assert!(server.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200"));
    server.signal("INT");
    assert_eq!(server.end(), (Some(130), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_waits_for_nothing() {
    let server = start(&["--threads", "1"]);
    let body = r#"{"model": "sentiment-en", "input": {"text": "a touching film"},
                   "method": "smoothgrad", "settings": {"samples": 5000}}"#;
    let mut waiting = server.send("POST", "/v1/explain", body);
    let began = Instant::now();
    while !server.ask("GET", "/metrics", "").contains("glossator_tasks_running 1") {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    let began = Instant::now();
    assert_eq!(server.end(), (Some(0), String::new()));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let mut answer = String::new();
    let _ = waiting.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"),
        "{answer}"
    );
}
