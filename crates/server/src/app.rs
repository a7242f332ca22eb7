//! What all routes share, and what happens around each of them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::models::Catalogue;
use crate::problem::{Code, Failure};
use crate::routes;
use crate::settings::Settings;

/// The state of a server.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) catalogue: Catalogue,
    /// Whether the models were looked at.
    pub(crate) surveyed: watch::Receiver<bool>,
    pub(crate) jobs: Jobs,
    pub(crate) metrics: Metrics,
    guard: Guard,
}

impl App {
    /// Starts the workers, and looks at the models meanwhile.
    pub(crate) fn start(settings: Settings, catalogue: Catalogue) -> std::io::Result<Arc<Self>> {
        let (done, surveyed) = watch::channel(false);
        let models = catalogue.clone();
        std::thread::Builder::new().name("survey".to_owned()).spawn(move || {
            // A model that makes a reader panic must not keep others from being told of.
            let survey = std::panic::AssertUnwindSafe(|| models.survey());
            let _ = std::panic::catch_unwind(survey);
            done.send_replace(true);
        })?;
        let jobs = Jobs::start(&settings)?;
        let guard = Guard::new(&settings);
        let metrics = Metrics::default();
        Ok(Arc::new(Self { settings, catalogue, surveyed, jobs, metrics, guard }))
    }

    /// All routes, with what is around them.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let (routes, _) = routes::all().split_for_parts();
        let report = Arc::clone(&self.settings.report);
        let panicked = move |panic: Box<dyn std::any::Any + Send>| {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
            report(&format!("a route panicked: {}", what.unwrap_or("no message")));
            Failure::internal().into_response()
        };
        routes
            .fallback(nothing)
            .method_not_allowed_fallback(not_allowed)
            .layer(from_fn_with_state(Arc::clone(self), watched))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(Arc::clone(self), guarded))
            .with_state(Arc::clone(self))
    }
}

async fn nothing(request: Request) -> Failure {
    let detail = format!("{}: no such path", request.uri().path());
    Failure::new(Code::NotFound, detail).with_hint("`GET /openapi.json` lists the paths there are")
}

async fn not_allowed(request: Request) -> Failure {
    let (method, path) = (request.method(), request.uri().path());
    Failure::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
        .with_hint("`GET /openapi.json` lists what each path takes")
}

/// Refuses who may not ask, and tells browsers how little an answer may do.
async fn guarded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let secret = path.starts_with("/v1/") || path == "/metrics";
    let allowed = app
        .guard
        .check(request.uri(), request.headers())
        .and_then(|()| if secret { app.guard.authorize(request.headers()) } else { Ok(()) });
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let no_store = || HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert_with(no_store);
    response
}

/// Headers of every answer.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Counts the answer.
async fn watched(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = known(request.method());
    let response = next.run(request).await;
    let route = route.as_deref().unwrap_or("other");
    app.metrics.answered(route, method, response.status().as_u16(), began.elapsed());
    response
}

/// The method as a label: a client may send any word.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
