//! Routes that compute a document.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use glossator_view::wire::{
    AttackRequest, AttentionRequest, ExplainRequest, JobAccepted, PredictRequest,
};
use serde::Deserialize;

use crate::app::App;
use crate::body::Posted;
use crate::problem::{Code, Failure};
use crate::render::{self, Format};
use crate::work::Request;

/// What may stand behind the path.
#[derive(Deserialize)]
pub(crate) struct Form {
    format: Option<String>,
}

type FormQuery = Result<Query<Form>, QueryRejection>;

pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    Posted(request): Posted<PredictRequest>,
) -> Result<Response, Failure> {
    waited(&app, Request::Predict(request)).await
}

pub(crate) async fn attention(
    State(app): State<Arc<App>>,
    Posted(request): Posted<AttentionRequest>,
) -> Result<Response, Failure> {
    waited(&app, Request::Attention(request)).await
}

pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    form: FormQuery,
    headers: HeaderMap,
    Posted(request): Posted<ExplainRequest>,
) -> Result<Response, Failure> {
    let all = [Format::Json, Format::Svg, Format::Html, Format::Csv];
    let format = form_of(form, &all)?;
    let request = Request::Explain(request);
    if is_for_later(&headers) {
        return later(&app, request, format);
    }
    let asked = request.asked(&app.catalogue, &app.settings.limits)?;
    render::explanation(app.jobs.result(asked).await?, format).await
}

pub(crate) async fn attack(
    State(app): State<Arc<App>>,
    form: FormQuery,
    headers: HeaderMap,
    Posted(request): Posted<AttackRequest>,
) -> Result<Response, Failure> {
    let format = form_of(form, &[Format::Json, Format::Html, Format::Csv])?;
    let request = Request::Attack(request);
    if is_for_later(&headers) {
        return later(&app, request, format);
    }
    let asked = request.asked(&app.catalogue, &app.settings.limits)?;
    render::attack(app.jobs.result(asked).await?, format).await
}

/// The answer of a route that has one form.
async fn waited(app: &App, request: Request) -> Result<Response, Failure> {
    let asked = request.asked(&app.catalogue, &app.settings.limits)?;
    Ok(render::json(app.jobs.result(asked).await?))
}

fn form_of(form: FormQuery, known: &[Format]) -> Result<Format, Failure> {
    let Query(form) = form.map_err(|error| Failure::new(Code::BadRequest, error.body_text()))?;
    Format::read(form.format.as_deref(), known)
}

/// Whether a client wants the answer later (RFC 7240).
fn is_for_later(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|preference| {
        let name = preference.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("respond-async")
    })
}

/// Gives a name under which the answer is to be asked for.
fn later(app: &App, request: Request, format: Format) -> Result<Response, Failure> {
    if format != Format::Json {
        let detail = "format: a job's result is told as JSON";
        let hint = "leave out the format, or wait for the answer";
        return Err(Failure::new(Code::BadRequest, detail).with_hint(hint));
    }
    let asked = request.asked(&app.catalogue, &app.settings.limits)?;
    let handle = app.jobs.detach(asked)?;
    let state = handle.task.progress(None).state;
    let accepted = JobAccepted { id: handle.id.clone(), state };
    let body = serde_json::to_vec(&accepted).map_err(|_| Failure::internal())?;
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let location = HeaderValue::from_str(&format!("/v1/jobs/{}", handle.id));
    headers.insert(header::LOCATION, location.map_err(|_| Failure::internal())?);
    let applied = HeaderName::from_static("preference-applied");
    headers.insert(applied, HeaderValue::from_static("respond-async"));
    Ok(response)
}
