//! Why does a model say that?

use glossator_interpret::{Explainer, Method, Progress, Quantity, TargetSpec, registry};
use glossator_view::convert::{self, Head};
use glossator_view::wire::{ExplainRequest, PresetRequest};

use super::{Desk, check_options, check_settings, done, read};
use crate::problem::{Code, Failure};
use crate::settings::Limits;
use crate::task::Done;

/// The method that is used where none is named.
pub(crate) const DEFAULT: &str = "integrated-gradients";

/// Checks the request, and fills in what holds where nothing is said.
pub(super) fn check(request: &mut ExplainRequest, limits: &Limits) -> Result<(), Failure> {
    check_options(&request.options, limits)?;
    check_settings(&mut request.settings, limits)?;
    request.method.get_or_insert_with(|| DEFAULT.to_owned());
    method(request).map(|_| ())
}

/// The method with its settings, and how its target is measured.
fn method(request: &ExplainRequest) -> Result<(Box<dyn Method>, Quantity), Failure> {
    let entry = registry::find(request.method.as_deref().unwrap_or(DEFAULT))?;
    let quantity = request.quantity.as_deref().map(str::parse::<Quantity>).transpose()?;
    match request.preset {
        None => {
            let method = entry.method(&convert::settings(&request.settings))?;
            Ok((method, quantity.unwrap_or_default()))
        }
        Some(PresetRequest::Allennlp) => {
            let Some(make) = entry.allennlp else {
                let detail = format!("preset: AllenNLP had no {}", entry.info.id);
                return Err(Failure::new(Code::BadSetting, detail));
            };
            let clash = |what: &str, why: &str| {
                let detail = format!("preset: allennlp does not go with {what}");
                Err(Failure::new(Code::BadSetting, detail).with_hint(why))
            };
            if !request.settings.is_empty() {
                return clash("settings", "it fixes every setting of the method");
            }
            if quantity.is_some_and(|quantity| quantity != Quantity::Loss) {
                return clash("a quantity", "AllenNLP explained the loss");
            }
            if request.target.as_deref().is_some_and(|target| target != "predicted") {
                return clash("a target", "AllenNLP explained the predicted label");
            }
            Ok((make(), Quantity::Loss))
        }
    }
}

pub(super) fn run(
    desk: &Desk,
    request: ExplainRequest,
    progress: &dyn Progress,
) -> Result<Done, Failure> {
    let (method, quantity) = method(&request)?;
    let loaded = desk.entry.load()?;
    let model = loaded.model.as_ref();
    let (input, options) = read(model, request.input, &request.options, &desk.limits)?;
    let target = TargetSpec::for_model(request.target.as_deref(), model.info())?;
    let explainer = Explainer::new(model, method.as_ref()).with_progress(progress);
    let answer = explainer.explain_input(&input, &options, &target, quantity)?;
    let head = Head::new(model.info(), Some(loaded.sha256()), method.as_ref());
    let document = head.document(&answer);
    document.check().map_err(|_| Failure::internal())?;
    done(&document, true)
}
