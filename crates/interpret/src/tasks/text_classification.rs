//! Classification of a text or a pair of texts.

use glossator_models::{Encoding, Model, Task};

use super::{Decide, Input, TaskOptions, no_continuation};
use crate::error::{Error, Result};
use crate::prediction::{Classification, Prediction};
use crate::target::{Decision, Element, Quantity, Target, TargetSpec};

pub(super) struct TextClassification;

impl Decide for TextClassification {
    fn task(&self) -> Task {
        Task::TextClassification
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_continuation(input, "a classifier")?;
        let encoding = match &input.pair {
            Some(pair) => model.encode_pair(&input.text, pair)?,
            None => model.tokenizer().encode(&input.text)?,
        };
        Ok(vec![model.fit(encoding, options.truncate)?])
    }

    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        _: &TaskOptions,
    ) -> Result<Prediction> {
        let row = windows.first().and_then(|(_, rows)| rows.first());
        let logits = row.map_or(&[][..], Vec::as_slice);
        let classification = Classification::new(&model.info().labels, logits);
        Ok(Prediction::TextClassification(classification))
    }

    fn targets(
        &self,
        model: &dyn Model,
        _: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let labels = &model.info().labels;
        let name = |i: usize| labels.names.get(i).cloned().unwrap_or_default();
        let of = |column| vec![Element { row: 0, column }];
        let label = |i| Target::new(Decision::Label(name(i)), of(i), quantity, labels.problem);
        let target = match spec {
            TargetSpec::Predicted => label(prediction.best())?,
            TargetSpec::Label(wanted) => label(labels.find(wanted)?)?,
            TargetSpec::Contrast(a, b) => {
                let (first, second) = (labels.find(a)?, labels.find(b)?);
                if first == second {
                    let what =
                        format!("--target {a}-vs-{b}: a label does not contrast with itself");
                    return Err(Error::Conflict { what });
                }
                let decision = Decision::Contrast(name(first), name(second));
                let mut target = Target::new(decision, of(first), quantity, labels.problem)?;
                target.against = of(second);
                target
            }
        };
        Ok(vec![target])
    }
}
