//! A server with tiny models, and a client without a socket.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use glossator_models::BUNDLED;
use glossator_server::{Catalogue, Location, Server, Settings};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A model of `testdata/models`.
pub(crate) fn tiny(name: &str) -> Location {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models"));
    Location::Path(root.join(name))
}

/// Some tiny models, one a task, and the bundled one.
pub(crate) fn models() -> Catalogue {
    let mut models = Catalogue::new();
    for name in [
        "bert-cls",
        "bert-question-answering",
        "bert-token-classification",
        "bert-masked-lm",
        "gpt2",
        "bert-sentence-similarity",
        "t5",
    ] {
        models.add(name, tiny(name));
    }
    models.add("sentiment-en", Location::Bundled(&BUNDLED[0]));
    models
}

/// An address that nobody listens on.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new("127.0.0.1:7010".parse().unwrap());
    settings.workers = 2;
    settings.limits.timeout = Duration::from_secs(60);
    settings
}

/// The routes of a server with these settings.
pub(crate) fn server(change: impl FnOnce(&mut Settings)) -> Router {
    let mut settings = settings();
    change(&mut settings);
    Server::start(settings, models()).unwrap().router()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem, after checking that it is one.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        for key in ["type", "title", "detail"] {
            assert!(!problem[key].as_str().unwrap().is_empty(), "{problem}");
        }
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request from this machine.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:7010")
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    send(router, request("GET", path).body(Body::empty()).unwrap()).await
}

/// A request with a body of JSON.
pub(crate) fn posted(path: &str, body: &Value) -> Request<Body> {
    let request = request("POST", path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

pub(crate) async fn post(router: &Router, path: &str, body: &Value) -> Answer {
    send(router, posted(path, body)).await
}

/// A metric without labels.
pub(crate) async fn metric(router: &Router, name: &str) -> u64 {
    let answer = get(router, "/metrics").await;
    let line = answer.text().lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}

/// Waits until a metric has a value.
pub(crate) async fn until(router: &Router, name: &str, wanted: u64) {
    for _ in 0..500 {
        if metric(router, name).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never was {wanted}");
}

/// A request that is computed for many seconds if nobody stops it; `seed` makes it another one.
pub(crate) fn long(seed: u64) -> Value {
    serde_json::json!({
        "model": "sentiment-en",
        "input": {"text": "a touching , funny and wise film that nobody should miss ".repeat(8)},
        "method": "smoothgrad",
        "settings": {"samples": 5000, "seed": seed},
    })
}
