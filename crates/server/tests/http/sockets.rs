//! Connections: who leaves, who is slow, and how a server ends.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{long, metric, models, settings, until};

/// A server on a port of this machine; its routes, for questions without a socket, think that it is
/// on another one.
async fn listening() -> (Router, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = settings();
    settings.hosts = vec![address.to_string()];
    let router = glossator_server::Server::start(settings, models()).unwrap().router();
    let served = router.clone();
    tokio::spawn(async move { axum::serve(listener, served).await });
    (router, address)
}

async fn sent(address: SocketAddr, path: &str, extra: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{extra}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_ends_what_it_asked_for() {
    let (router, address) = listening().await;
    let stream = sent(address, "/v1/explain", "", &long(0)).await;
    until(&router, "glossator_tasks_running", 1).await;
    drop(stream);
    until(&router, "glossator_tasks_running", 0).await;
    assert_eq!(metric(&router, "glossator_tasks_cancelled_total").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_later_may_leave() {
    let (router, address) = listening().await;
    let mut stream = sent(address, "/v1/explain", "prefer: respond-async\r\n", &long(0)).await;
    let mut answer = vec![0; 1000];
    let n = stream.read(&mut answer).await.unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 202"));
    drop(stream);
    until(&router, "glossator_tasks_running", 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(metric(&router, "glossator_tasks_running").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_is_refused_and_the_server_goes_on() {
    let (_, address) = listening().await;
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let ask = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
