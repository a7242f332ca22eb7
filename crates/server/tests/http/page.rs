//! The page: what browsers are told of it, and who gets it.

use axum::body::Body;

use crate::client::{get, request, send, server};

#[tokio::test]
async fn files_of_the_page_have_tags_and_are_sent_once() {
    let router = server(|_| {});
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/elements.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("vary"), "accept-encoding");
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
        assert!(!answer.body.is_empty());
        let ask = |known: &str| {
            let request = request("GET", path).header("if-none-match", known);
            request.body(Body::empty()).unwrap()
        };
        for known in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".into()] {
            let again = send(&router, ask(&known)).await;
            assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path} {known}");
            assert_eq!(again.header("etag"), tag);
        }
        assert_eq!(send(&router, ask("\"other\"")).await.status, 200);
    }
}

#[tokio::test]
async fn large_files_are_packed_for_who_takes_that() {
    let router = server(|_| {});
    let plain = get(&router, "/app.js").await;
    let ask = |coding: &str| {
        let request = request("GET", "/app.js").header("accept-encoding", coding);
        request.body(Body::empty()).unwrap()
    };
    let packed = send(&router, ask("br, gzip;q=0.5")).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_ne!(packed.header("etag"), plain.header("etag"), "two forms are two entities");
    assert!(packed.body.len() < plain.body.len());
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(packed.body.as_ref());
    std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    for coding in ["br", "gzip;q=0", "identity", ""] {
        assert_eq!(send(&router, ask(coding)).await.header("content-encoding"), "", "{coding}");
    }
}

#[tokio::test]
async fn every_answer_forbids_what_no_answer_needs() {
    let router = server(|_| {});
    for path in ["/", "/app.js", "/v1/models", "/healthz", "/nothing", "/metrics", "/openapi.json"]
    {
        let answer = get(&router, path).await;
        let policy = answer.header("content-security-policy");
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
             connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_page_obeys_its_own_policy() {
    let router = server(|_| {});
    let page = get(&router, "/").await;
    let text = page.text().to_lowercase();
    for (at, _) in text.match_indices("<script") {
        let tag = &text[at..at + text[at..].find('>').unwrap()];
        assert!(tag.contains("src=\"/") || tag.contains("src=\"./"), "an inline script: {tag}");
    }
    for forbidden in
        ["<style", " style=", "javascript:", "http://", "https://", " onclick=", " onload="]
    {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn another_host_or_origin_gets_nothing() {
    let router = server(|_| {});
    for path in ["/", "/v1/models", "/healthz", "/nothing"] {
        let ask = |host: &str, origin: Option<&str>| {
            let request = axum::http::Request::get(path).header("host", host);
            let request = match origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            };
            request.body(Body::empty()).unwrap()
        };
        let answer = send(&router, ask("rebound.example:7010", None)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden_host"));
        let answer = send(&router, ask("localhost:7010", Some("http://evil.example"))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden_origin"));
        let answer = send(&router, ask("localhost:7010", Some("http://localhost:7010"))).await;
        assert_ne!(answer.status.as_u16(), 403);
    }
}
