//! What a decoder writes in answer to a source.

use glossator_models::{Encoding, Model, Task};

use super::{Decide, Input, TaskOptions, bad_input, language, no_pair};
use crate::error::Result;
use crate::prediction::Prediction;
use crate::target::{Quantity, Target, TargetSpec};

pub(super) struct Seq2SeqLm;

/// How many tokens are written where nobody says how many.
const USUAL: usize = 64;

/// The written tokens: those of the decoder behind its start token.
fn written(encoding: &Encoding) -> (usize, Vec<usize>) {
    let second = encoding.second.unwrap_or(encoding.tokens.len());
    let n = encoding.tokens.len();
    if n > second + 1 { (second, (second + 1..n).collect()) } else { (second, vec![n]) }
}

impl Decide for Seq2SeqLm {
    fn task(&self) -> Task {
        Task::Seq2SeqLm
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_pair(input, "a sequence-to-sequence model")?;
        let tokenizer = model.tokenizer();
        let source = model.encode(&input.text, options.truncate)?;
        let Some(start) = model.decoder_start() else {
            return Err(bad_input("the model has no decoder", "use another model"));
        };
        let ids = match &input.continuation {
            Some(text) => tokenizer.ids_of(text)?,
            None => {
                let count = if options.generate > 1 { options.generate } else { USUAL };
                let count = count.min(model.info().max_tokens.saturating_sub(1));
                let stop = model.stop_ids();
                let mut ids = model.generate(&source, count, stop)?.unwrap_or_default();
                // The end is not explained, unless it is all there is.
                if ids.len() > 1 && ids.last().is_some_and(|id| stop.contains(id)) {
                    ids.pop();
                }
                ids
            }
        };
        if ids.is_empty() {
            return Err(bad_input("the continuation has no tokens", "leave out --continuation"));
        }
        let spans = tokenizer.written(&ids);
        let name = tokenizer.id_to_token(start).unwrap_or_default();
        Ok(vec![source.with_written(&spans, "written", Some((start, name)))])
    }

    fn reads(&self, _: &dyn Model, encoding: &Encoding) -> Result<Option<Vec<usize>>> {
        let (second, written) = written(encoding);
        Ok(Some(written.into_iter().map(|at| at - 1 - second).collect()))
    }

    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction> {
        let mut choices = Vec::new();
        for (encoding, rows) in windows {
            for (at, row) in written(encoding).1.into_iter().zip(rows) {
                let there = encoding.tokens.get(at).map(|token| token.id);
                choices.push(language::choice(model.tokenizer(), at, row, there, options.top));
            }
        }
        Ok(Prediction::Seq2SeqLm(choices))
    }

    fn targets(
        &self,
        model: &dyn Model,
        encoding: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let Prediction::Seq2SeqLm(choices) = prediction else { return Ok(Vec::new()) };
        let second = encoding.second.unwrap_or(0);
        let hint = "leave out --target, or give a --continuation of one token";
        language::written(model, encoding, choices, second, spec, quantity, hint)
    }
}
