//! Every route with its description. One list makes both the router and the OpenAPI document.

mod documents;
mod jobs;
mod lists;
mod page;

use std::sync::Arc;

use axum::routing::{delete, get, post};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::openapi::{Operation, empty, route};

/// All routes.
pub(crate) fn all() -> OpenApiRouter<Arc<App>> {
    let mut router = OpenApiRouter::with_openapi(empty());
    router = route(
        router,
        "/v1/models",
        [(
            Operation::get("models", "The models, with examples").json(
                200,
                "ModelList",
                "The models.",
            ),
            get(lists::models),
        )],
    );
    router = route(
        router,
        "/v1/methods",
        [(
            Operation::get("methods", "The methods of explanation, with their settings").json(
                200,
                "MethodList",
                "The methods.",
            ),
            get(lists::methods),
        )],
    );
    router = route(
        router,
        "/v1/attacks",
        [(
            Operation::get("attacks", "The attacks and constraints, with their settings").json(
                200,
                "AttackList",
                "The attacks.",
            ),
            get(lists::attacks),
        )],
    );
    router = route(
        router,
        "/v1/predict",
        [(
            Operation::post("predict", "What does a model say of an input?", "PredictRequest")
                .json(200, "PredictDocument", "What it says.")
                .computes(),
            post(documents::predict),
        )],
    );
    router = route(
        router,
        "/v1/explain",
        [(
            Operation::post("explain", "Why does a model say that of an input?", "ExplainRequest")
                .json(200, "Document", "What it says, and why.")
                .forms(200, &["image/svg+xml", "text/html", "text/csv"])
                .formats(&["json", "svg", "html", "csv"])
                .computes()
                .later(),
            post(documents::explain),
        )],
    );
    router = route(
        router,
        "/v1/attack",
        [(
            Operation::post("attack", "How does that break?", "AttackRequest")
                .json(200, "AttackDocument", "What became of it.")
                .forms(200, &["text/html", "text/csv"])
                .formats(&["json", "html", "csv"])
                .computes()
                .later(),
            post(documents::attack),
        )],
    );
    router = route(
        router,
        "/v1/attention",
        [(
            Operation::post("attention", "Where does a model read?", "AttentionRequest")
                .json(200, "AttentionDocument", "The attention of every layer and head.")
                .computes(),
            post(documents::attention),
        )],
    );
    router = route(
        router,
        "/v1/jobs/{id}",
        [
            (
                Operation::get("job", "How far a job is, and what came of it")
                    .describe(
                        "With `Accept: text/event-stream`, events: `progress` (a JobProgress) at \
                         once and at most ten times a second, then one of `result` (the \
                         document), `problem` (a Problem) and `cancelled`.",
                    )
                    .path("id", "The name that the job was given.")
                    .json(200, "JobStatus", "The job.")
                    .forms(200, &["text/event-stream"])
                    .problem(404, "There is no such job; finished ones are kept ten minutes."),
                get(jobs::status),
            ),
            (
                Operation::delete("cancel", "Cancels a job, or forgets a finished one")
                    .path("id", "The name that the job was given.")
                    .nothing(204, "It is cancelled.")
                    .problem(404, "There is no such job."),
                delete(jobs::cancel),
            ),
        ],
    );
    router = route(
        router,
        "/healthz",
        [(
            Operation::get("health", "Whether the server answers")
                .json(200, "Health", "It does.")
                .open(),
            get(lists::health),
        )],
    );
    router = route(
        router,
        "/metrics",
        [(
            Operation::get("metrics", "Counters and gauges, in Prometheus' text format").text(
                200,
                "text/plain",
                "The metrics.",
            ),
            get(lists::metrics),
        )],
    );
    router = route(
        router,
        "/openapi.json",
        [(
            Operation::get("openapi", "This document").value(200, "The document.").open(),
            get(page::openapi),
        )],
    );
    for path in crate::assets::paths() {
        // The page is for people: it is no part of the description.
        router = router.route(path, get(page::asset));
    }
    router
}
