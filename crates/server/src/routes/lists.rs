//! What a server has, and how it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use glossator_interpret::attack::{ATTACKS, CONSTRAINTS};
use glossator_interpret::{METHODS, Quantity};
use glossator_view::convert;
use glossator_view::wire::{AttackList, Health, MethodList, ModelList, SettingEntry};

use crate::app::App;
use crate::settings::Limits;
use crate::work::DEFAULT_METHOD;

pub(crate) async fn models(State(app): State<Arc<App>>) -> Json<ModelList> {
    // At the start they are looked at; an answer waits for that rather than tell half of it.
    let mut surveyed = app.surveyed.clone();
    let _ = surveyed.wait_for(|done| *done).await;
    Json(ModelList { models: app.catalogue.list() })
}

pub(crate) async fn methods(State(app): State<Arc<App>>) -> Json<MethodList> {
    let limits = &app.settings.limits;
    let methods = METHODS.iter().map(|entry| {
        let mut method = convert::method_entry(entry.info);
        bound(&mut method.settings, limits);
        method
    });
    Json(MethodList {
        methods: methods.collect(),
        default: DEFAULT_METHOD.to_owned(),
        quantities: Quantity::ALL.iter().map(|quantity| quantity.id().to_owned()).collect(),
    })
}

pub(crate) async fn attacks(State(app): State<Arc<App>>) -> Json<AttackList> {
    let limits = &app.settings.limits;
    let attacks = ATTACKS.iter().map(|entry| {
        let mut attack = convert::attack_entry(entry.info);
        bound(&mut attack.settings, limits);
        attack
    });
    let constraints = CONSTRAINTS.iter().map(|entry| {
        let mut constraint = convert::constraint_entry(entry.info);
        bound(&mut constraint.settings, limits);
        constraint
    });
    Json(AttackList { attacks: attacks.collect(), constraints: constraints.collect() })
}

/// Says how far each setting goes here.
fn bound(settings: &mut [SettingEntry], limits: &Limits) {
    for setting in settings {
        setting.most = limits.most(&setting.name);
    }
}

pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let text = app.metrics.text(&app.jobs.gauge());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
