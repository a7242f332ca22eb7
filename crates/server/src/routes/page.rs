//! The page and the description of everything else.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use crate::problem::Failure;
use crate::{assets, render};

static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| {
    let document = crate::openapi::document();
    Bytes::from(document.to_string())
});

pub(crate) async fn openapi() -> Response {
    render::json(OPENAPI.clone())
}

pub(crate) async fn asset(request: Request) -> Response {
    let answer = assets::answer(request.uri().path(), request.headers());
    answer.unwrap_or_else(|| Failure::internal().into_response())
}
