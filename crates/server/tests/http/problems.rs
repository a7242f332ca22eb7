//! Every kind of problem, with its code and status.

use axum::body::Body;
use serde_json::{Value, json};

use crate::client::{get, models, post, posted, request, send, server, settings};

/// The status and code of what is wrong with a request.
async fn wrong(path: &str, body: Value) -> (u16, String, String) {
    let router = server(|_| {});
    let answer = post(&router, path, &body).await;
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), answer.code(), detail)
}

#[tokio::test]
async fn what_cannot_be_done() {
    let text = json!({"text": "the cat was good"});
    let long = json!({"text": "the cat ".repeat(100)});
    let cases = [
        ("/v1/explain", json!({"model": "../../etc", "input": text}), "unknown_model"),
        ("/v1/explain", json!({"model": "", "input": text}), "unknown_model"),
        ("/v1/explain", json!({"input": text, "method": "lime"}), "unknown_method"),
        ("/v1/attack", json!({"input": text, "attack": "trigger"}), "unknown_attack"),
        ("/v1/explain", json!({"input": text, "settings": {"samples": 5}}), "bad_setting"),
        (
            "/v1/explain",
            json!({"input": text, "method": "smoothgrad", "settings": {"samples": 5001}}),
            "bad_setting",
        ),
        (
            "/v1/explain",
            json!({"input": text, "method": "smoothgrad", "settings": {"samples": "many"}}),
            "bad_setting",
        ),
        ("/v1/explain", json!({"input": text, "quantity": "odds"}), "bad_setting"),
        (
            "/v1/explain",
            json!({"input": text, "method": "occlusion", "preset": "allennlp"}),
            "bad_setting",
        ),
        (
            "/v1/explain",
            json!({"input": text, "method": "gradient", "preset": "allennlp", "target": "1"}),
            "bad_setting",
        ),
        (
            "/v1/explain",
            json!({"input": text, "settings": {"baseline": "pad", "rule": "best"}}),
            "bad_setting",
        ),
        (
            "/v1/explain",
            json!({"model": "gpt2", "input": text, "options": {"generate": 65}}),
            "bad_setting",
        ),
        (
            "/v1/explain",
            json!({"model": "gpt2", "input": text, "options": {"top": 0}}),
            "bad_setting",
        ),
        (
            "/v1/attack",
            json!({"input": text, "attack": "hotflip", "settings": {"confidence": 0.5}}),
            "bad_setting",
        ),
        (
            "/v1/attack",
            json!({"input": text, "attack": "hotflip", "settings": {"dictionary": "/etc/passwd"}}),
            "bad_setting",
        ),
        (
            "/v1/attack",
            json!({"input": text, "attack": "greedy", "settings": {"source": "wordnet", "synonyms": "/tmp"}}),
            "bad_setting",
        ),
        ("/v1/attack", json!({"input": text, "attack": "hotflip", "max_passes": 0}), "bad_setting"),
        (
            "/v1/attack",
            json!({"input": text, "attack": "hotflip", "field": "context"}),
            "bad_setting",
        ),
        (
            "/v1/attack",
            json!({"input": text, "attack": "hotflip", "settings": {"similar-by": "/etc"}}),
            "bad_input",
        ),
        ("/v1/explain", json!({"input": text, "target": "7"}), "bad_target"),
        (
            "/v1/attack",
            json!({"input": text, "attack": "input-reduction", "target": "1"}),
            "bad_target",
        ),
        ("/v1/predict", json!({"input": long}), "too_long"),
        ("/v1/predict", json!({"input": {}}), "bad_input"),
        ("/v1/predict", json!({"input": {"context": "a"}}), "bad_input"),
        ("/v1/predict", json!({"input": {"text": "a", "pair": "b", "question": "c"}}), "bad_input"),
        ("/v1/predict", json!({"input": {"text": "a", "continuation": "b"}}), "bad_input"),
        ("/v1/predict", json!({"input": text, "options": {"top": 3}}), "bad_input"),
        ("/v1/predict", json!({"model": "bert-question-answering", "input": text}), "bad_input"),
        ("/v1/attention", json!({"model": "t5", "input": text}), "bad_input"),
        (
            "/v1/attention",
            json!({"model": "bert-sentence-similarity", "input": {"text": "a", "pair": "b"}}),
            "bad_input",
        ),
    ];
    for (path, body, expected) in cases {
        let (status, code, detail) = wrong(path, body.clone()).await;
        assert_eq!((status, code.as_str()), (422, expected), "{path} {body}: {detail}");
        assert!(!detail.contains("--") && !detail.contains("glossator "), "{detail}");
    }
}

#[tokio::test]
async fn what_cannot_be_read() {
    for body in [
        json!({}),
        json!([]),
        json!({"input": "a"}),
        json!({"input": {"text": 3}}),
        json!({"input": {"text": "a"}, "metod": "gradient"}),
        json!({"input": {"text": "a"}, "preset": "captum"}),
        json!({"input": {"text": "a"}, "options": {"aggregation": "best"}}),
        json!({"input": {"text": "a"}, "options": {"top": -1}}),
        json!({"input": {"text": "a"}, "settings": {"samples": [1]}}),
    ] {
        let (status, code, detail) = wrong("/v1/explain", body.clone()).await;
        assert_eq!((status, code.as_str()), (400, "bad_request"), "{body}: {detail}");
    }
    let router = server(|_| {});
    let json = |body: &[u8]| {
        let request = request("POST", "/v1/explain").header("content-type", "application/json");
        request.body(Body::from(body.to_vec())).unwrap()
    };
    for body in [
        &b""[..],
        b"{",
        b"\xff\xfe",
        b"{\"input\":{\"text\":\"\xc3\x28\"}}",
        "[".repeat(5000).as_bytes(),
    ] {
        let answer = send(&router, json(body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_request"));
    }
    let answer = post(&router, "/v1/explain?format=pdf", &json!({"input": {"text": "a"}})).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_request"));
    let answer = post(
        &router,
        "/v1/attack?format=svg",
        &json!({"input": {"text": "a"}, "attack": "hotflip"}),
    )
    .await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn paths_methods_and_kinds() {
    let router = server(|_| {});
    let answer = get(&router, "/v1/nothing").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    let answer = get(&router, "/v1/jobs/0").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    let answer = get(&router, "/v1/jobs/%ff").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    let answer = get(&router, "/v1/explain").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "POST");
    for kind in ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"] {
        let body = request("POST", "/v1/explain").header("content-type", kind);
        let answer = send(&router, body.body(Body::from("{}")).unwrap()).await;
        let got = (answer.status.as_u16(), answer.code());
        assert_eq!(got, (415, "unsupported_media_type".to_owned()), "{kind}");
    }
}

#[tokio::test]
async fn sizes_have_an_end() {
    let router = server(|settings| {
        settings.limits.body = 1000;
        settings.limits.tokens = 20;
        settings.limits.attention_tokens = 8;
    });
    let answer = post(&router, "/v1/predict", &json!({"input": {"text": "a".repeat(1000)}})).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "body_too_large"));
    // Without a length in the header.
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 500]));
    let endless = Body::from_stream(futures_util::stream::iter(chunks));
    let kind = request("POST", "/v1/predict").header("content-type", "application/json");
    let answer = send(&router, kind.body(endless).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "body_too_large"));
    let body = json!({"model": "sentiment-en", "input": {"text": "good ".repeat(30)}});
    let answer = post(&router, "/v1/predict", &body).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "too_long"));
    let body = json!({"model": "sentiment-en", "input": {"text": "good ".repeat(12)}});
    let answer = post(&router, "/v1/attention", &body).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "attention_too_large"));
    assert_eq!(post(&router, "/v1/predict", &body).await.status, 200);
}

#[tokio::test]
async fn time_has_an_end() {
    let router = server(|settings| {
        settings.limits.timeout = std::time::Duration::from_millis(300);
    });
    // Reading the model is not part of it.
    let short = json!({"model": "sentiment-en", "input": {"text": "good"}});
    post(&router, "/v1/predict", &short).await;
    let answer = post(&router, "/v1/explain", &crate::client::long(1)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "timeout"));
}

#[tokio::test]
async fn a_model_that_cannot_be_used_is_told_of_without_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret-place");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("config.json"), "{\"model_type\": \"bert\"}").unwrap();
    let mut models = models();
    models.add("broken", glossator_server::Location::Path(secret));
    let router = glossator_server::Server::start(settings(), models).unwrap().router();
    let answer =
        post(&router, "/v1/predict", &json!({"model": "broken", "input": {"text": "a"}})).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "model_unusable"));
    assert!(!answer.text().contains("secret-place"), "{}", answer.text());
    let list = get(&router, "/v1/models").await;
    assert!(!list.text().contains("secret-place"), "{}", list.text());
    let broken = &list.json()["models"][8];
    assert!(broken["problem"].is_string(), "{broken}");
}

#[tokio::test]
async fn a_judge_has_to_be_one() {
    let router = server(|_| {});
    let body = json!({
        "input": {"text": "the cat was good"}, "attack": "hotflip",
        "settings": {"plausible-by": "gpt2"},
    });
    let answer = send(&router, posted("/v1/attack", &body)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "bad_setting"));
}
