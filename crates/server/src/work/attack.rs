//! How does what a model says break?

use std::sync::Arc;

use glossator_interpret::attack::{
    self, Aim, AttackEntry, Attacker, DecisionChoice, FieldChoice, constraints, useless_setting,
};
use glossator_interpret::{Error, Progress};
use glossator_models::Model;
use glossator_view::convert::{self, AttackHead};
use glossator_view::wire::AttackRequest;

use super::{Desk, check_options, check_settings, done, read};
use crate::problem::{Code, Failure};
use crate::settings::Limits;
use crate::task::Done;

/// Checks the request.
pub(super) fn check(request: &mut AttackRequest, limits: &Limits) -> Result<(), Failure> {
    check_options(&request.options, limits)?;
    check_settings(&mut request.settings, limits)?;
    let most = limits.passes();
    if request.max_passes.is_some_and(|passes| passes == 0 || passes > most) {
        let got = request.max_passes.unwrap_or(0).to_string();
        let expected = format!("a number from 1 to {most} on this server");
        return Err(Failure::setting("max_passes", &expected, &got));
    }
    request.max_passes.get_or_insert(most);
    let entry = find(&request.attack)?;
    let settings = convert::settings(&request.settings);
    if let Some(name) = useless_setting(&settings, entry.info.parameters) {
        let detail = format!("{name} is no setting of {} or of a constraint", entry.info.id);
        let hint = "`GET /v1/attacks` lists the settings there are";
        return Err(Failure::new(Code::BadSetting, detail).with_hint(hint));
    }
    Ok(())
}

fn find(id: &str) -> Result<&'static AttackEntry, Failure> {
    attack::find(id).map_err(|error| {
        Failure::new(Code::UnknownAttack, error.to_string())
            .with_hint("`GET /v1/attacks` lists them")
    })
}

pub(super) fn run(
    desk: &Desk,
    request: AttackRequest,
    progress: &dyn Progress,
) -> Result<Done, Failure> {
    let entry = find(&request.attack)?;
    let settings = convert::settings(&request.settings);
    let built = (entry.build)(&settings)?;
    let constraints = constraints::build(&settings, &|name| judge(desk, name))?;
    let loaded = desk.entry.load()?;
    let model = loaded.model.as_ref();
    let (input, options) = read(model, request.input, &request.options, &desk.limits)?;
    let mut attacker =
        Attacker::new(model, built.as_ref()).with_constraints(&constraints).with_progress(progress);
    attacker.options = options;
    attacker.aim = request.target.map_or(Aim::Change, Aim::Become);
    attacker.fields = request.field.as_deref().map_or(FieldChoice::Usual, FieldChoice::parse);
    attacker.decision =
        request.decision.as_deref().map_or(DecisionChoice::All, DecisionChoice::parse);
    attacker.limits.passes = request.max_passes.map(|passes| passes as usize);
    // What was found by then is worth more than the news that time is over.
    attacker.limits.time = Some(desk.limits.timeout.mul_f64(0.8));
    let head =
        AttackHead::new(model.info(), Some(loaded.sha256()), entry.info.id, attacker.settings());
    let document = head.document(&attacker.attack_input(&input)?, None);
    document.check().map_err(|_| Failure::internal())?;
    // Another run may get further in the same time.
    let keep = document.results.iter().all(|result| result.stopped != "spent");
    done(&document, keep)
}

/// Opens a model that a constraint asks: one of the server's, by its name.
fn judge(desk: &Desk, name: &str) -> glossator_interpret::Result<Box<dyn Model>> {
    let load = || desk.catalogue.find(Some(name))?.load();
    let loaded = load().map_err(|failure: Failure| Error::Input {
        what: failure.problem().detail,
        hint: "name a model that `GET /v1/models` lists".to_owned(),
    })?;
    Ok(Box::new(Arc::clone(&loaded.model)))
}
