//! What comes next.

use glossator_models::{Encoding, Model, Task};

use super::{Decide, Input, TaskOptions, bad_input, language, no_pair};
use crate::error::Result;
use crate::prediction::Prediction;
use crate::target::{Quantity, Target, TargetSpec};

pub(super) struct CausalLm;

/// What the model is to have written is a field of its own behind the prompt.
const WRITTEN: usize = 1;

/// The tokens that are predicted: those of the continuation, or the one behind the last.
fn predicted(encoding: &Encoding) -> Vec<usize> {
    let n = encoding.tokens.len();
    match encoding.tokens.iter().position(|token| token.field == WRITTEN) {
        Some(first) => (first..n).collect(),
        None => vec![n],
    }
}

impl Decide for CausalLm {
    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_pair(input, "a causal language model")?;
        let tokenizer = model.tokenizer();
        let mut prompt = model.encode(&input.text, options.truncate)?;
        // A closing token would end the text: what follows it is another one.
        while let Some(token) = prompt.tokens.last()
            && token.special
            && model.stop_ids().contains(&token.id)
            && prompt.tokens.len() > 1
        {
            prompt.tokens.pop();
        }
        if prompt.tokens.is_empty() {
            return Err(bad_input(
                "the prompt has no tokens, and the tokenizer adds none",
                "give a prompt of at least one token",
            ));
        }
        let written = match &input.continuation {
            Some(text) => {
                // As the model would write it: behind the prompt if that keeps the prompt's tokens.
                let whole = tokenizer.encode(&format!("{}{text}", input.text))?.ids();
                let ids = prompt.ids();
                match whole.strip_prefix(ids.as_slice()) {
                    Some(rest) => rest.to_vec(),
                    None => tokenizer.ids_of(text)?,
                }
            }
            None if options.generate > 1 => {
                let stop = model.stop_ids();
                model.generate(&prompt, options.generate, stop)?.unwrap_or_default()
            }
            None => return Ok(vec![prompt]),
        };
        if written.is_empty() {
            return Err(bad_input("the continuation has no tokens", "leave out --continuation"));
        }
        let spans = tokenizer.written(&written);
        Ok(vec![model.fit(prompt.with_written(&spans, "continuation", None), false)?])
    }

    fn reads(&self, _: &dyn Model, encoding: &Encoding) -> Result<Option<Vec<usize>>> {
        Ok(Some(predicted(encoding).into_iter().map(|at| at - 1).collect()))
    }

    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction> {
        let mut choices = Vec::new();
        for (encoding, rows) in windows {
            for (at, row) in predicted(encoding).into_iter().zip(rows) {
                let there = encoding.tokens.get(at).map(|token| token.id);
                choices.push(language::choice(model.tokenizer(), at, row, there, options.top));
            }
        }
        Ok(Prediction::CausalLm(choices))
    }

    fn targets(
        &self,
        model: &dyn Model,
        encoding: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let Prediction::CausalLm(choices) = prediction else { return Ok(Vec::new()) };
        let hint = "leave out --target, or write one token";
        language::written(model, encoding, choices, 0, spec, quantity, hint)
    }
}
