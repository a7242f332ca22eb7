//! What the model says.

use glossator_models::{Labels, Problem};

/// One label's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScore {
    /// The label's name.
    pub label: String,
    /// The score before softmax or sigmoid; the value of a regression.
    pub logit: f64,
    /// After softmax or sigmoid; `None` for a regression.
    pub probability: Option<f64>,
}

/// What a classifier says of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// How the logits are read.
    pub problem: Problem,
    /// One entry a label, in the model's order.
    pub labels: Vec<LabelScore>,
}

impl Prediction {
    /// Reads one row of logits.
    #[must_use]
    pub fn new(labels: &Labels, logits: &[f64]) -> Self {
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
        let probability = |z: f64| match labels.problem {
            Problem::SingleLabel => Some((z - max).exp() / sum),
            Problem::MultiLabel => Some(1.0 / (1.0 + (-z).exp())),
            Problem::Regression => None,
        };
        let scores = labels.names.iter().zip(logits).map(|(label, &logit)| LabelScore {
            label: label.clone(),
            logit,
            probability: probability(logit),
        });
        Self { problem: labels.problem, labels: scores.collect() }
    }

    /// The index of the label with the largest logit; the first of equals.
    #[must_use]
    pub fn best(&self) -> usize {
        let mut best = 0;
        for (i, label) in self.labels.iter().enumerate() {
            if label.logit > self.labels[best].logit {
                best = i;
            }
        }
        best
    }
}
