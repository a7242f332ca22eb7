//! What stands in place of masked tokens.

use glossator_models::{Encoding, Model, Task};

use super::{Decide, Input, TaskOptions, bad_input, language, no_continuation};
use crate::error::Result;
use crate::prediction::{Choice, Prediction};
use crate::target::{Quantity, Target, TargetSpec};

pub(super) struct MaskedLm;

/// The places of the masks.
fn masks(model: &dyn Model, encoding: &Encoding) -> Vec<usize> {
    let mask = model.tokenizer().mask_token();
    let is_mask = |&t: &usize| Some(encoding.tokens[t].id) == mask;
    (0..encoding.tokens.len()).filter(is_mask).collect()
}

impl Decide for MaskedLm {
    fn task(&self) -> Task {
        Task::MaskedLm
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_continuation(input, "a masked language model")?;
        let encoding = match &input.pair {
            Some(pair) => model.tokenizer().encode_pair(&input.text, pair)?,
            None => model.tokenizer().encode(&input.text)?,
        };
        Ok(vec![model.fit(encoding, options.truncate)?])
    }

    fn reads(&self, model: &dyn Model, encoding: &Encoding) -> Result<Option<Vec<usize>>> {
        let masks = masks(model, encoding);
        if !masks.is_empty() {
            return Ok(Some(masks));
        }
        let tokenizer = model.tokenizer();
        let Some(name) = tokenizer.mask_token().and_then(|id| tokenizer.id_to_token(id)) else {
            return Err(bad_input("the tokenizer has no mask token", "use another model"));
        };
        Err(bad_input(
            "the text has no mask to fill",
            format!("write {name} where the model is to choose a token"),
        ))
    }

    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction> {
        let mut choices = Vec::new();
        for (encoding, rows) in windows {
            for (at, row) in masks(model, encoding).into_iter().zip(rows) {
                choices.push(language::choice(model.tokenizer(), at, row, None, options.top));
            }
        }
        Ok(Prediction::MaskedLm(choices))
    }

    fn targets(
        &self,
        model: &dyn Model,
        _: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let Prediction::MaskedLm(choices) = prediction else { return Ok(Vec::new()) };
        let target = |choice: &Choice| {
            let place = language::Place { position: choice.at, prefix: None };
            language::target(model, choice, &place, spec, quantity)
        };
        choices.iter().map(target).collect()
    }
}
