//! Fetching models into the cache, from a server on this machine.

#![cfg(feature = "download")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::testdata;
use glossator_models::hub::{Hub, ModelId};
use glossator_models::{Error, LoadOptions, load};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a server does.
#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes after which a transfer of a file breaks, the first time.
    breaks: BTreeMap<String, usize>,
    /// Files whose content is not what was announced.
    damaged: Vec<String>,
    /// Answers a request for anything with this.
    refuses: Option<u16>,
    /// Ignores ranges.
    whole: bool,
    /// The request lines with the headers that matter.
    requests: Vec<String>,
}

struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that hangs up is not this server's problem.
                let _ = answer(stream, &shared);
            }
        });
        Self { address, state }
    }

    fn hub(&self, cache: &Path) -> Hub {
        let (endpoint, token) = (self.address.clone(), Some("hf_secret".to_owned()));
        Hub { cache: cache.to_owned(), endpoint, token }
    }

    fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap()?;
    let (mut range, mut token) = (None, String::new());
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.trim().strip_prefix("bytes=").map(str::to_owned),
            "authorization" => token = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut state = state.lock().unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    state.requests.push(format!("{path} {} {token}", range.clone().unwrap_or_default()));
    let close = "connection: close\r\n\r\n";
    if let Some(status) = state.refuses {
        return write!(stream, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\n{close}");
    }
    if path.starts_with("/api/models/org/name/revision/main") {
        let file = |(name, bytes): (&String, &Vec<u8>)| {
            let (size, sha256) = (bytes.len(), hash(bytes));
            if name.ends_with(".json") || name.ends_with(".txt") {
                json!({"rfilename": name, "size": size, "blobId": &sha256[..40]})
            } else {
                json!({"rfilename": name, "size": 7, "lfs": {"sha256": sha256, "size": size}})
            }
        };
        let siblings: Vec<_> = state.files.iter().map(file).collect();
        let body = json!({"sha": COMMIT, "siblings": siblings, "id": "org/name"}).to_string();
        let length = body.len();
        return write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{close}{body}");
    }
    // As the hub does, an address that leads to another.
    if let Some(name) = path.strip_prefix(&format!("/org/name/resolve/{COMMIT}/")) {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: /blob/{name}\r\ncontent-length: 0\r\n{close}"
        );
    }
    let name = path.strip_prefix("/blob/").unwrap_or_default();
    let Some(mut bytes) = state.files.get(name).cloned() else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n{close}");
    };
    if state.damaged.iter().any(|damaged| damaged == name) {
        bytes[0] ^= 1;
    }
    let start = range.filter(|_| !state.whole);
    let start: usize = start.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let (total, end) = (bytes.len(), bytes.len() - 1);
    let status = if start > 0 {
        format!("206 Partial Content\r\ncontent-range: bytes {start}-{end}/{total}")
    } else {
        "200 OK".to_owned()
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{close}", total - start)?;
    let until = state.breaks.remove(name).unwrap_or(total);
    stream.write_all(&bytes[start..until])
}

/// The files of a model of the test data.
fn model(name: &str) -> State {
    let mut state = State::default();
    for entry in fs::read_dir(testdata("models").join(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        state.files.insert(name, fs::read(&path).unwrap());
    }
    state.files.insert("training_args.bin".to_owned(), vec![1; 100]);
    state.files.insert("../evil.json".to_owned(), vec![1; 100]);
    state
}

fn id() -> ModelId {
    ModelId::parse("org/name").unwrap()
}

fn download(hub: &Hub) -> Result<std::path::PathBuf, Error> {
    hub.download(&id(), &mut |_| {})
}

#[test]
fn a_model_is_fetched_once_and_loads() {
    let server = Server::start(model("bert-cls"));
    let cache = tempfile::tempdir().unwrap();
    let hub = server.hub(cache.path());
    assert!(matches!(hub.find(&id()), Err(Error::NotCached { .. })));
    let mut seen = Vec::new();
    let dir = hub
        .download(&id(), &mut |progress| {
            assert!(progress.done <= progress.total && progress.index < progress.files);
            seen.push((progress.file.to_owned(), progress.done == progress.total));
        })
        .unwrap();
    assert!(seen.contains(&("model.safetensors".to_owned(), true)));
    assert_eq!(hub.find(&id()).unwrap(), dir);
    assert_eq!(dir, cache.path().join("models--org--name/snapshots").join(COMMIT));
    assert!(load(&dir, &LoadOptions::default()).is_ok());
    let weights = fs::canonicalize(dir.join("model.safetensors")).unwrap();
    let sha256 = hash(&fs::read(&weights).unwrap());
    assert_eq!(weights.file_name().unwrap().to_str().unwrap(), sha256);
    let before = server.requests();
    assert!(before.iter().all(|request| request.ends_with("Bearer hf_secret")), "{before:?}");
    assert!(!before.iter().any(|request| request.contains("training") || request.contains("evil")));
    download(&hub).unwrap();
    assert_eq!(server.requests().len(), before.len() + 1, "only the listing again");
}

#[test]
fn shards_follow_their_index() {
    let server = Server::start(model("bert-sharded"));
    let cache = tempfile::tempdir().unwrap();
    let dir = download(&server.hub(cache.path())).unwrap();
    assert!(load(&dir, &LoadOptions::default()).is_ok());
    let mut without = model("bert-sharded");
    without.files.retain(|name, _| !name.contains("-00002-of"));
    let cache = tempfile::tempdir().unwrap();
    let hub = Server::start(without).hub(cache.path());
    assert!(matches!(download(&hub), Err(Error::MissingShard { .. })));
    assert!(matches!(hub.find(&id()), Err(Error::NotCached { .. })), "not whole, so not there");
}

#[test]
fn what_was_begun_is_continued() {
    for whole in [false, true] {
        let mut state = model("bert-cls");
        state.breaks.insert("model.safetensors".to_owned(), 1000);
        state.whole = whole;
        let server = Server::start(state);
        let cache = tempfile::tempdir().unwrap();
        let dir = download(&server.hub(cache.path())).unwrap();
        assert!(load(&dir, &LoadOptions::default()).is_ok());
        let asked = "/blob/model.safetensors 1000-";
        assert!(server.requests().iter().any(|request| request.starts_with(asked)), "{whole}");
    }
}

#[test]
fn damage_is_noticed_and_not_kept() {
    let mut state = model("bert-cls");
    state.damaged.push("model.safetensors".to_owned());
    let server = Server::start(state);
    let cache = tempfile::tempdir().unwrap();
    let hub = server.hub(cache.path());
    let error = download(&hub).unwrap_err();
    assert!(error.to_string().contains("damaged: expected SHA-256"), "{error}");
    assert!(!error.to_string().contains("hf_secret"));
    assert!(hub.find(&id()).is_err());
    server.state.lock().unwrap().damaged.clear();
    assert!(load(&download(&hub).unwrap(), &LoadOptions::default()).is_ok());
}

#[test]
fn refusals_say_what_to_do() {
    for (status, hint) in [(401, "HF_TOKEN"), (404, "id and revision"), (400, "connection")] {
        let server = Server::start(State { refuses: Some(status), ..State::default() });
        let cache = tempfile::tempdir().unwrap();
        let error = download(&server.hub(cache.path())).unwrap_err();
        assert!(matches!(error, Error::Refused { status: got, .. } if got == status), "{error}");
        assert!(error.hint().unwrap().contains(hint));
    }
    let nobody = Hub {
        cache: tempfile::tempdir().unwrap().path().to_owned(),
        endpoint: "http://127.0.0.1:9".to_owned(),
        token: None,
    };
    assert!(matches!(download(&nobody), Err(Error::Download { .. })));
}

#[test]
fn repositories_of_gguf_files_need_a_choice() {
    let file = fs::read(testdata("gguf/qwen3.gguf")).unwrap();
    let mut state = State::default();
    state.files.insert("q.gguf".to_owned(), file.clone());
    state.files.insert("config.json".to_owned(), b"{}".to_vec());
    let server = Server::start(state);
    let cache = tempfile::tempdir().unwrap();
    let hub = server.hub(cache.path());
    let dir = download(&hub).unwrap();
    assert_eq!(hub.find(&id()).unwrap(), dir);
    assert_eq!(load(&dir, &LoadOptions::default()).unwrap().info().family, "qwen3");
    server.state.lock().unwrap().files.insert("p.gguf".to_owned(), file);
    assert!(matches!(download(&hub), Err(Error::NothingToDownload { gguf: 2, .. })));
}
