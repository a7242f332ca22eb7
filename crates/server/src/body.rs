//! Requests as JSON, bounded in bytes and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::{Code, Failure};

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// The body of a request as what a route takes.
pub(crate) struct Posted<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Posted<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let failure = Failure::new(Code::UnsupportedMediaType, "the body is not JSON");
            return Err(failure.with_hint("send the header Content-Type: application/json"));
        }
        let bytes = read(&parts.headers, body, app.settings.limits.body).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let failure = Failure::new(Code::BadRequest, format!("the body: {error}"));
            failure.with_hint("`GET /openapi.json` describes what each path takes")
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || {
        let detail = format!("the body is longer than {limit} bytes");
        Failure::new(Code::BodyTooLarge, detail).with_hint("send shorter texts")
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|n| n > limit as u64) {
        return Err(too_large());
    }
    let arrived = tokio::time::timeout(ARRIVAL, to_bytes(body, limit)).await;
    let arrived = arrived.map_err(|_| {
        let detail = format!("the body did not arrive within {} s", ARRIVAL.as_secs());
        Failure::new(Code::SlowRequest, detail)
    })?;
    arrived.map_err(|error| {
        if error.into_inner().is::<LengthLimitError>() {
            return too_large();
        }
        Failure::new(Code::BadRequest, "the body did not arrive whole")
    })
}
