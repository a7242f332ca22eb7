//! Jobs by their names.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use glossator_view::wire::{JobState, JobStatus};

use crate::app::App;
use crate::events;
use crate::jobs::Handle;
use crate::problem::{Code, Failure};
use crate::render;
use crate::task::Phase;

type Name = Result<Path<String>, PathRejection>;

pub(crate) async fn status(
    State(app): State<Arc<App>>,
    name: Name,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let handle = find(&app, name)?;
    if wants_events(&headers) {
        return Ok(events::follow(app, handle));
    }
    Ok(render::json(told(&app, &handle)?))
}

pub(crate) async fn cancel(State(app): State<Arc<App>>, name: Name) -> Result<StatusCode, Failure> {
    let id = id(name)?;
    if app.jobs.cancel(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&id)) }
}

fn id(name: Name) -> Result<String, Failure> {
    name.map(|Path(id)| id).map_err(|_| unknown("?"))
}

fn find(app: &App, name: Name) -> Result<Arc<Handle>, Failure> {
    let id = id(name)?;
    app.jobs.handle(&id).ok_or_else(|| unknown(&id))
}

fn unknown(id: &str) -> Failure {
    let detail = format!("{id:?}: no job of that name");
    Failure::new(Code::NotFound, detail).with_hint("finished jobs are kept for ten minutes")
}

fn wants_events(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

/// The job as JSON. The result is put in as the bytes that it is, whatever its size.
fn told(app: &App, handle: &Handle) -> Result<Bytes, Failure> {
    let mut progress = handle.task.progress(app.jobs.position(&handle.task));
    let phase = handle.task.phase();
    let mut result = None;
    let mut problem = None;
    match phase {
        _ if handle.is_cancelled() => {
            progress.state = JobState::Cancelled;
            progress.position = None;
        }
        Phase::Finished(Ok(json)) => result = Some(json),
        Phase::Finished(Err(failure)) if failure.code != Code::Cancelled => {
            problem = Some(failure.problem());
        }
        _ => {}
    }
    let status = JobStatus { id: handle.id.clone(), progress, result: None, problem };
    let mut json = serde_json::to_vec(&status).map_err(|_| Failure::internal())?;
    if let Some(result) = result {
        // Before the brace that closes the object.
        json.pop();
        json.extend_from_slice(b",\"result\":");
        json.extend_from_slice(&result);
        json.push(b'}');
    }
    Ok(Bytes::from(json))
}
