//! Jobs by name: made, followed, cancelled.

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::{Answer, get, long, metric, post, posted, request, send, server, until};

/// Asks for an answer that comes later.
async fn later(router: &Router, path: &str, body: &Value) -> Answer {
    let mut request = posted(path, body);
    request.headers_mut().insert("prefer", "wait=1, respond-async".parse().unwrap());
    send(router, request).await
}

/// The path of a job that was made.
async fn made(router: &Router, body: &Value) -> String {
    let answer = later(router, "/v1/explain", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/v1/jobs/{}", answer.json()["id"].as_str().unwrap()));
    location
}

/// The events of a job to its end: names with their data.
async fn events(router: &Router, path: &str) -> Vec<(String, Value)> {
    let request = request("GET", path).header("accept", "text/event-stream");
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap().to_owned();
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
        (field("event: ").unwrap().to_owned(), data)
    };
    text.split("\n\n").filter(|block| block.contains("event: ")).map(event).collect()
}

async fn delete(router: &Router, path: &str) -> Answer {
    send(router, request("DELETE", path).body(Body::empty()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_followed_to_its_result() {
    let router = server(|_| {});
    let body = json!({
        "model": "sentiment-en", "input": {"text": "a touching , funny and wise film"},
        "method": "smoothgrad", "settings": {"samples": 400},
    });
    let path = made(&router, &body).await;
    let told = events(&router, &path).await;
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    let (last, before) = names.split_last().unwrap();
    assert_eq!(*last, "result");
    assert!(!before.is_empty() && before.iter().all(|name| *name == "progress"), "{names:?}");
    let evaluations: Vec<u64> = told[..before.len()]
        .iter()
        .map(|(_, data)| data["evaluations"].as_u64().unwrap())
        .collect();
    assert!(evaluations.is_sorted(), "{evaluations:?}");
    assert!(told[0].1["state"] == "queued" || told[0].1["state"] == "running");
    let status = get(&router, &path).await.json();
    assert_eq!((&status["state"], &status["evaluations"]), (&json!("done"), &json!(401)));
    assert_eq!(status["result"], told.last().unwrap().1);
    // What is waited for is the same.
    assert_eq!(post(&router, "/v1/explain", &body).await.json(), status["result"]);
    // A second follower, and a second job, find it finished.
    let again = events(&router, &path).await;
    assert_eq!(again.len(), 2, "{again:?}");
    let path = made(&router, &body).await;
    assert_eq!(get(&router, &path).await.json()["state"], "done");
    assert_eq!(metric(&router, "glossator_tasks_computed_total").await, 1);
    // A finished one is forgotten.
    assert_eq!(delete(&router, &path).await.status, 204);
    assert_eq!(get(&router, &path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_knows_its_place_and_one_that_is_cancelled_says_so() {
    let router = server(|settings| settings.workers = 1);
    let first = made(&router, &long(0)).await;
    until(&router, "glossator_tasks_running", 1).await;
    let (second, third) = (made(&router, &long(1)).await, made(&router, &long(2)).await);
    let status = get(&router, &third).await.json();
    assert_eq!((&status["state"], &status["position"]), (&json!("queued"), &json!(1)));
    assert_eq!(get(&router, &second).await.json()["position"], 0);
    let follower = {
        let (router, first) = (router.clone(), first.clone());
        tokio::spawn(async move { events(&router, &first).await })
    };
    assert_eq!(delete(&router, &second).await.status, 204);
    assert_eq!(get(&router, &third).await.json()["position"], 0);
    assert_eq!(delete(&router, &third).await.status, 204);
    assert_eq!(delete(&router, &first).await.status, 204);
    let told = follower.await.unwrap();
    assert_eq!(told.last().unwrap().0, "cancelled");
    assert!(told.iter().rev().skip(1).all(|(name, _)| name == "progress"));
    for path in [&first, &second, &third] {
        let status = get(&router, path).await.json();
        assert_eq!(status["state"], "cancelled");
        assert!(status.get("result").is_none() && status.get("problem").is_none());
    }
    until(&router, "glossator_tasks_running", 0).await;
    until(&router, "glossator_tasks_cancelled_total", 3).await;
    assert_eq!(delete(&router, "/v1/jobs/none").await.code(), "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_a_job_leaves_others_who_wait_for_the_same() {
    let router = server(|settings| settings.workers = 1);
    let (first, second) = (made(&router, &long(0)).await, made(&router, &long(0)).await);
    assert_ne!(first, second);
    assert_eq!(delete(&router, &first).await.status, 204);
    until(&router, "glossator_tasks_running", 1).await;
    assert_eq!(get(&router, &first).await.json()["state"], "cancelled");
    assert_eq!(get(&router, &second).await.json()["state"], "running");
    assert_eq!(delete(&router, &second).await.status, 204);
    until(&router, "glossator_tasks_running", 0).await;
}

#[tokio::test]
async fn a_job_that_fails_ends_with_its_problem() {
    let router = server(|_| {});
    let wrong = json!({"input": {"text": "the cat"}, "target": "9"});
    let path = made(&router, &wrong).await;
    let told = events(&router, &path).await;
    let (name, problem) = told.last().unwrap();
    assert_eq!((name.as_str(), &problem["code"]), ("problem", &json!("bad_target")));
    let status = get(&router, &path).await.json();
    assert_eq!((&status["state"], &status["problem"]), (&json!("failed"), problem));
    // What can be told at once is.
    let unknown = json!({"input": {"text": "the cat"}, "method": "lime"});
    assert_eq!(later(&router, "/v1/explain", &unknown).await.code(), "unknown_method");
    let answer = later(&router, "/v1/explain?format=svg", &wrong).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_request"));
    let attack = json!({"input": {"text": "the cat was good"}, "attack": "hotflip", "settings": {"max-edits": 1}});
    assert_eq!(later(&router, "/v1/attack", &attack).await.status, 202);
}

#[tokio::test]
async fn jobs_are_bounded_in_number() {
    let router = server(|settings| settings.queue = 10);
    let body = |n: u64| {
        json!({"input": {"text": "the cat"}, "method": "smoothgrad",
                               "settings": {"samples": 1, "seed": n}})
    };
    let first = made(&router, &body(0)).await;
    for n in 1..300 {
        let path = made(&router, &body(n)).await;
        // Whoever is told to come again does.
        while get(&router, &path).await.json()["state"] != "done" {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    assert_eq!(metric(&router, "glossator_jobs").await, 256);
    assert_eq!(get(&router, &first).await.code(), "not_found", "the oldest is forgotten first");
}
