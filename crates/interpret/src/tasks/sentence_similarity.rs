//! How alike two texts are.

use glossator_models::{Encoding, Model, Problem, Task};

use super::{Decide, Input, TaskOptions, bad_input, no_continuation};
use crate::error::Result;
use crate::prediction::Prediction;
use crate::target::{Decision, Element, Quantity, Target, TargetSpec};

pub(super) struct SentenceSimilarity;

impl Decide for SentenceSimilarity {
    fn task(&self) -> Task {
        Task::SentenceSimilarity
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_continuation(input, "a sentence encoder")?;
        let Some(pair) = &input.pair else {
            return Err(bad_input("one text to compare, and no other", "give it with --pair TEXT"));
        };
        let first = model.encode(&input.text, options.truncate)?;
        let second = model.encode(pair, options.truncate)?;
        Ok(vec![first.with_second(second, "text_pair")])
    }

    fn predict(
        &self,
        _: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        _: &TaskOptions,
    ) -> Result<Prediction> {
        let cosine = windows.first().and_then(|(_, rows)| rows.first()?.first().copied());
        Ok(Prediction::SentenceSimilarity(cosine.unwrap_or(0.0)))
    }

    fn targets(
        &self,
        _: &dyn Model,
        _: &Encoding,
        _: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        if !matches!(spec, TargetSpec::Predicted) {
            return Err(bad_input(
                "--target: two texts have one similarity, and nothing to choose",
                "leave out --target",
            ));
        }
        let outputs = vec![Element { row: 0, column: 0 }];
        Ok(vec![Target::new(Decision::Similarity, outputs, quantity, Problem::Regression)?])
    }
}
