//! The page, out of the binary: strong entity tags by content, compressed once.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// A file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    plain: Bytes,
    /// None where that is no smaller.
    packed: Option<Bytes>,
    tag: String,
}

macro_rules! asset {
    ($path:literal, $file:literal, $kind:literal) => {
        Asset::new(
            $path,
            $kind,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist/", $file)),
        )
    };
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        asset!("/", "index.html", "text/html; charset=utf-8"),
        asset!("/app.js", "app.js", "text/javascript; charset=utf-8"),
        asset!("/app.css", "app.css", "text/css; charset=utf-8"),
        asset!("/elements.js", "elements.js", "text/javascript; charset=utf-8"),
    ]
});

impl Asset {
    fn new(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let tag: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let packed = packed(bytes).filter(|packed| packed.len() < bytes.len()).map(Bytes::from);
        Self { path, kind, plain: Bytes::from_static(bytes), packed, tag }
    }
}

fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// The paths of the page.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ASSETS.iter().map(|asset| asset.path)
}

/// A file of the page, or that the client has it already.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let packed = asset.packed.as_ref().filter(|_| takes_gzip(headers));
    // Two forms are two entities.
    let tag = match packed {
        Some(_) => format!("\"{}-gz\"", asset.tag),
        None => format!("\"{}\"", asset.tag),
    };
    let mut response = if has(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        packed.unwrap_or(&asset.plain).clone().into_response()
    };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    if packed.is_some() {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

/// The items of a header that is a list.
fn items(headers: &HeaderMap, name: header::HeaderName) -> Vec<String> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    items(headers, header::ACCEPT_ENCODING).iter().any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight: String = weight.chars().filter(|c| !c.is_whitespace()).collect();
        let refused = weight.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        matches!(coding.trim(), "gzip" | "*") && !refused
    })
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = items(headers, header::IF_NONE_MATCH);
    known.iter().any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
