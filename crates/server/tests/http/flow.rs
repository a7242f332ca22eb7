//! Who computes and who waits: sharing, keeping, turning away.

use std::time::{Duration, Instant};

use axum::body::Body;
use serde_json::json;

use crate::client::{get, long, metric, post, posted, request, send, server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_is_computed_once() {
    let router = server(|_| {});
    let body = json!({
        "model": "sentiment-en", "input": {"text": "a touching , funny and wise film"},
        "method": "smoothgrad", "settings": {"samples": 400},
    });
    // The order of keys does not matter, and neither does a default that is written out.
    let same = json!({
        "settings": {"samples": 400.0}, "method": "smoothgrad", "options": {"truncate": false},
        "input": {"text": "a touching , funny and wise film"}, "model": "sentiment-en",
    });
    let ask = |body: serde_json::Value| {
        let router = router.clone();
        tokio::spawn(async move { post(&router, "/v1/explain", &body).await })
    };
    let asked: Vec<_> =
        (0..8).map(|i| ask(if i % 2 == 0 { body.clone() } else { same.clone() })).collect();
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    let first = answers[0].json();
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.json() == first));
    assert_eq!(metric(&router, "glossator_tasks_computed_total").await, 1);
    let joined = metric(&router, "glossator_requests_joined_total").await;
    let hits = metric(&router, "glossator_cache_hits_total").await;
    assert_eq!(joined + hits, 7);
    // 400 samples and the pass that predicts.
    assert_eq!(metric(&router, "glossator_evaluations_total").await, 401);
    // Later it is known.
    assert_eq!(post(&router, "/v1/explain", &body).await.json(), first);
    assert_eq!(metric(&router, "glossator_evaluations_total").await, 401);
    assert_eq!(metric(&router, "glossator_cache_hits_total").await, hits + 1);
    // Another text is another request.
    let other =
        json!({"model": "sentiment-en", "input": {"text": "a dull film"}, "method": "gradient"});
    post(&router, "/v1/explain", &other).await;
    assert_eq!(metric(&router, "glossator_tasks_computed_total").await, 2);
}

#[tokio::test]
async fn nothing_is_kept_without_a_cache_and_no_failure_ever() {
    let router = server(|settings| settings.cache = 0);
    let body = json!({"input": {"text": "the cat was good"}});
    for _ in 0..2 {
        assert_eq!(post(&router, "/v1/predict", &body).await.status, 200);
    }
    assert_eq!(metric(&router, "glossator_tasks_computed_total").await, 2);
    let router = server(|_| {});
    let wrong = json!({"input": {"text": "the cat"}, "target": "9"});
    for _ in 0..2 {
        assert_eq!(post(&router, "/v1/explain", &wrong).await.status, 422);
    }
    assert_eq!(metric(&router, "glossator_tasks_failed_total").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_queue_requests_are_turned_away_and_others_are_answered() {
    let router = server(|settings| {
        settings.workers = 1;
        settings.queue = 2;
    });
    let mut waiting = Vec::new();
    for seed in 0..3 {
        let asking = router.clone();
        waiting.push(tokio::spawn(async move { post(&asking, "/v1/explain", &long(seed)).await }));
        until(&router, "glossator_tasks_running", 1).await;
    }
    until(&router, "glossator_tasks_waiting", 2).await;
    let answer = post(&router, "/v1/explain", &long(9)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "busy"));
    let after: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(metric(&router, "glossator_requests_refused_total").await, 1);
    // One that asks for what is computed already waits with the others.
    let same = router.clone();
    let joined = tokio::spawn(async move { post(&same, "/v1/explain", &long(0)).await });
    until(&router, "glossator_requests_joined_total", 1).await;
    // Whoever computes nothing does not wait for what does (seconds, here).
    let began = Instant::now();
    assert_eq!(get(&router, "/healthz").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    for one in waiting.into_iter().chain([joined]) {
        one.abort();
    }
    until(&router, "glossator_tasks_running", 0).await;
    until(&router, "glossator_tasks_cancelled_total", 3).await;
    assert_eq!(metric(&router, "glossator_tasks_waiting").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_others_share_goes_on_when_one_of_them_leaves() {
    let router = server(|settings| settings.workers = 1);
    let ask = || {
        let router = router.clone();
        tokio::spawn(async move { send(&router, posted("/v1/explain", &long(0))).await })
    };
    let (first, second) = (ask(), ask());
    until(&router, "glossator_requests_joined_total", 1).await;
    first.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(metric(&router, "glossator_tasks_running").await, 1, "it was cancelled for both");
    second.abort();
    until(&router, "glossator_tasks_running", 0).await;
    assert_eq!(metric(&router, "glossator_tasks_cancelled_total").await, 1);
}

#[tokio::test]
async fn a_token_is_asked_for_where_something_is_told() {
    let router = server(|settings| settings.token = Some("a-long-token".into()));
    for path in ["/v1/models", "/v1/jobs/x", "/v1/nothing", "/metrics"] {
        let answer = get(&router, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for path in ["/healthz", "/openapi.json", "/", "/app.js"] {
        assert_eq!(get(&router, path).await.status, 200, "{path}");
    }
    let with = |token: &str| {
        let request = request("GET", "/v1/methods").header("authorization", token);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(send(&router, with("Bearer a-long-token")).await.status, 200);
    assert_eq!(send(&router, with("Bearer a-long-tokem")).await.status, 401);
}
