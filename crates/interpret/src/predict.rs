//! What a model says of an input, without asking why.

use glossator_models::{Encoding, Model};

use crate::error::Result;
use crate::prediction::Prediction;
use crate::progress::Progress;
use crate::tasks::{self, AtInput, Input, TaskOptions};

/// What a model says of an input.
pub struct Predicted {
    /// The input as the model read it: of a long context, the window with the answer.
    pub encoding: Encoding,
    /// What it says.
    pub prediction: Prediction,
    /// The pass that said it, where the input is one window.
    pub(crate) pass: Option<AtInput>,
}

/// Runs a model on one input: one pass, or one for each window of a long context.
///
/// # Errors
/// If the input lacks what the task needs or is longer than the model reads, an output is not
/// finite, or the caller cancelled.
pub fn predict(
    model: &dyn Model,
    input: &Input,
    options: &TaskOptions,
    progress: &dyn Progress,
) -> Result<Predicted> {
    let task = tasks::of(model);
    let mut windows = task.encode(model, input, options)?;
    if windows.len() == 1 {
        let encoding = windows.remove(0);
        let (prediction, pass) = tasks::predict(model, &encoding, options, progress)?;
        return Ok(Predicted { encoding, prediction, pass: Some(pass) });
    }
    let mut rows = Vec::with_capacity(windows.len());
    for window in &windows {
        let positions = task.reads(model, window)?;
        let pass = AtInput::run(model, window, positions, progress)?;
        rows.push((window, pass.rows(model)?));
    }
    let prediction = task.predict(model, &rows, options)?;
    let chosen = task.window(&prediction);
    let encoding = windows.swap_remove(chosen.min(windows.len() - 1));
    Ok(Predicted { encoding, prediction, pass: None })
}
