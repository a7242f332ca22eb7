//! Requests made up from the OpenAPI document, right ones and wrong ones: whatever comes, the answer
//! is a document or a problem with a code, and never a failure of the server.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::Rng;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::client::{request, send, server};

/// Requests to each operation.
const EACH: usize = 150;

/// Texts that something means something to, and others.
const TEXTS: [&str; 34] = [
    "",
    "the cat was good",
    "bert-cls",
    "gpt2",
    "bert-question-answering",
    "t5",
    "bert-masked-lm",
    "sentiment-en",
    "bert-token-classification",
    "bert-sentence-similarity",
    "the [MASK] was",
    "gradient",
    "smoothgrad",
    "occlusion",
    "integrated-gradients",
    "input-x-gradient",
    "hotflip",
    "input-reduction",
    "greedy",
    "logit",
    "loss",
    "probability",
    "1",
    "0-vs-2",
    "predicted",
    "all",
    "<script>alert(1)</script>",
    "\0\u{202e}𝔘",
    "-1",
    "1e400",
    "../../../../etc/passwd",
    "nan",
    "vocabulary",
    "5",
];

/// Names of settings, of every kind.
const SETTINGS: [&str; 22] = [
    "samples",
    "sigma",
    "seed",
    "squared",
    "baseline",
    "rule",
    "steps",
    "tolerance",
    "max-evaluations",
    "beam",
    "candidates",
    "max-edits",
    "insert",
    "certify",
    "confidence",
    "protect",
    "dictionary",
    "synonyms",
    "plausible-by",
    "min-cosine",
    "source",
    "reduction",
];

struct Maker {
    rng: TestRng,
    schemas: Map<String, Value>,
}

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn text(&mut self) -> String {
        match self.below(12) {
            0 => (0..self.below(400)).map(|_| char::from(b' ' + (self.below(90)) as u8)).collect(),
            1 => "the cat was good ".repeat(self.below(30)),
            _ => TEXTS[self.below(TEXTS.len())].to_owned(),
        }
    }

    fn number(&mut self) -> Value {
        match self.below(8) {
            0 => json!(-1),
            1 => json!(u64::MAX),
            2 => json!(1e300),
            3 => json!(0.5),
            4 => json!(self.rng.next_u64()),
            _ => json!(self.below(20)),
        }
    }

    /// Anything at all.
    fn anything(&mut self, depth: usize) -> Value {
        match self.below(if depth > 3 { 4 } else { 6 }) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 => self.number(),
            3 => json!(self.text()),
            4 => (0..self.below(4)).map(|_| self.anything(depth + 1)).collect(),
            _ => (0..self.below(4)).map(|_| (self.text(), self.anything(depth + 1))).collect(),
        }
    }

    /// A value that a schema allows, or now and then one that it does not.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if self.one_in(25) {
            return self.anything(depth);
        }
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap().to_owned();
            let schema = self.schemas[&name].clone();
            return self.value(&schema, depth);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(choices) = schema[key].as_array() {
                let choice = choices[self.below(choices.len())].clone();
                return self.value(&choice, depth);
            }
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices[self.below(choices.len())].clone();
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[self.below(kinds.len())].clone(),
            kind => kind.clone(),
        };
        match kind.as_str() {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                (0..self.below(3)).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            Some("string") => json!(self.text()),
            Some("boolean") => json!(self.one_in(2)),
            Some("integer") => json!(self.below(12)),
            Some("number") => self.number(),
            Some("null") => Value::Null,
            _ => self.anything(depth),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, inner) in schema["properties"].as_object().cloned().unwrap_or_default() {
            let needed = required.iter().any(|r| r == name.as_str());
            let keep = if needed || name == "text" { !self.one_in(20) } else { self.one_in(3) };
            if keep {
                let value = self.value(&inner, depth + 1);
                object.insert(name, value);
            }
        }
        if schema["additionalProperties"].is_object() {
            for _ in 0..self.below(3) {
                let name = SETTINGS[self.below(SETTINGS.len())].to_owned();
                let value = self.value(&schema["additionalProperties"].clone(), depth + 1);
                object.insert(name, value);
            }
        }
        if self.one_in(30) {
            let name = self.text();
            object.insert(name, Value::Null);
        }
        Value::Object(object)
    }

    /// A request to an operation.
    fn request(&mut self, method: &str, path: &str, operation: &Value) -> (Request<Body>, String) {
        let id = ["0123456789abcdef0123456789abcdef", "x", "%00", "%ff", "..", "%2e%2e%2f"];
        let mut uri = path.replace("{id}", id[self.below(id.len())]);
        let mut builder = request(&method.to_uppercase(), "/");
        for parameter in operation["parameters"].as_array().cloned().unwrap_or_default() {
            let value = match self.value(&parameter["schema"], 0) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let plain: String = value.chars().filter(char::is_ascii_graphic).take(40).collect();
            let plain = plain.replace(['%', '#', '<', '>', '"', '\\', '^', '`', '{', '|', '}'], "");
            match parameter["in"].as_str() {
                Some("query") if self.one_in(2) => uri += &format!("?format={plain}"),
                Some("header") if self.one_in(4) => builder = builder.header("prefer", plain),
                _ => {}
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let mut body = String::new();
        if !schema.is_null() {
            body = self.value(schema, 0).to_string();
            if self.one_in(40) {
                body.truncate(body.floor_char_boundary(self.below(body.len() + 1)));
            }
            let kinds = ["application/json", "application/json; charset=utf-8"];
            let kind = if self.one_in(40) { "text/html" } else { kinds[self.below(2)] };
            builder = builder.header("content-type", kind);
        }
        let what = format!("{method} {uri} {body}");
        (builder.uri(uri).body(Body::from(body)).unwrap(), what)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_makes_the_server_fail() {
    let router = server(|settings| {
        settings.limits.evaluations = 20;
        settings.limits.tokens = 64;
        settings.limits.timeout = Duration::from_secs(120);
    });
    let document = glossator_server::openapi();
    let codes = document["info"]["description"].as_str().unwrap().to_owned();
    // The same requests each time: a failure can be looked at.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let schemas = document["components"]["schemas"].as_object().unwrap().clone();
    let mut maker = Maker { rng: runner.new_rng(), schemas };
    let (mut good, mut bad) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let count = if method == "post" { EACH } else { EACH / 10 };
            for _ in 0..count {
                let (request, what) = maker.request(method, path, operation);
                let answer = send(&router, request).await;
                let status = answer.status.as_u16();
                assert!(status < 500, "{what}: {}", answer.text());
                if status >= 400 {
                    assert!(codes.contains(&answer.code()), "{what}: {}", answer.text());
                    bad += 1;
                } else {
                    good += 1;
                }
                // What the document does not know of does not come.
                let known = operation["responses"].as_object().unwrap();
                let known = known.contains_key(&status.to_string()) || status == 404;
                assert!(known, "{what}: {status} is not described");
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} right and {bad} wrong requests are one-sided");
}
