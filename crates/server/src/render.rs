//! Documents in other forms than JSON, by the same renderers as on the command line.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use glossator_view::render::attack::AttackRenderer;
use glossator_view::render::{self, Renderer};
use glossator_view::wire::{AttackDocument, Document};

use crate::problem::{Code, Failure};

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Svg,
    Html,
    Csv,
}

impl Format {
    /// Every form with its name.
    const ALL: [(&'static str, Self); 4] =
        [("json", Self::Json), ("svg", Self::Svg), ("html", Self::Html), ("csv", Self::Csv)];

    /// Reads the name of a form, out of those that a route has.
    pub(crate) fn read(name: Option<&str>, known: &[Self]) -> Result<Self, Failure> {
        let Some(name) = name else { return Ok(Self::Json) };
        let known = Self::ALL.iter().filter(|(_, format)| known.contains(format));
        known.clone().find(|(id, _)| *id == name).map(|(_, format)| *format).ok_or_else(|| {
            let ids: Vec<_> = known.map(|(id, _)| *id).collect();
            let detail = format!("format: expected {}, got {name:?}", ids.join(", "));
            Failure::new(Code::BadRequest, detail)
        })
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Svg => "image/svg+xml",
            Self::Html => "text/html; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    fn end(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("json", |(id, _)| id)
    }
}

/// An answer as JSON.
pub(crate) fn json(bytes: Bytes) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// An explanation in some form.
pub(crate) async fn explanation(bytes: Bytes, format: Format) -> Result<Response, Failure> {
    if format == Format::Json {
        return Ok(json(bytes));
    }
    drawn(format, "explanation", move || {
        let document: Document = serde_json::from_slice(&bytes).ok()?;
        let mut renderer: Box<dyn Renderer> = match format {
            Format::Svg => Box::new(render::svg::Svg::default()),
            Format::Html => Box::new(render::html::Html::default()),
            Format::Json | Format::Csv => Box::new(render::csv::Csv::default()),
        };
        render::to_string(renderer.as_mut(), [&document]).ok()
    })
    .await
}

/// An attack in some form.
pub(crate) async fn attack(bytes: Bytes, format: Format) -> Result<Response, Failure> {
    if format == Format::Json {
        return Ok(json(bytes));
    }
    drawn(format, "attack", move || {
        let document: AttackDocument = serde_json::from_slice(&bytes).ok()?;
        let mut renderer: Box<dyn AttackRenderer> = match format {
            Format::Html => Box::new(render::html::Html::default()),
            Format::Json | Format::Svg | Format::Csv => Box::new(render::csv::Attacks::new()),
        };
        let mut out = Vec::new();
        renderer.begin(&mut out).ok()?;
        renderer.attack(&document, &mut out).ok()?;
        renderer.end(&mut out).ok()?;
        String::from_utf8(out).ok()
    })
    .await
}

/// Draws on a thread that answers nothing. The result is a file to keep, never a page of ours.
async fn drawn(
    format: Format,
    name: &str,
    draw: impl FnOnce() -> Option<String> + Send + 'static,
) -> Result<Response, Failure> {
    let drawn = tokio::task::spawn_blocking(draw).await.ok().flatten();
    let drawn = drawn.ok_or_else(Failure::internal)?;
    let mut response = drawn.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.kind()));
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.end());
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
