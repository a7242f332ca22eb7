//! What does a model say?

use glossator_interpret::{Progress, predict};
use glossator_view::convert;
use glossator_view::wire::PredictRequest;

use super::{Desk, done, read};
use crate::problem::Failure;
use crate::task::Done;

pub(super) fn run(
    desk: &Desk,
    request: PredictRequest,
    progress: &dyn Progress,
) -> Result<Done, Failure> {
    let loaded = desk.entry.load()?;
    let model = loaded.model.as_ref();
    let (input, options) = read(model, request.input, &request.options, &desk.limits)?;
    let predicted = predict(model, &input, &options, progress)?;
    let name = convert::model(model.info(), Some(loaded.sha256()));
    let document = convert::predict_document(name, &predicted);
    document.check().map_err(|_| Failure::internal())?;
    done(&document, true)
}
