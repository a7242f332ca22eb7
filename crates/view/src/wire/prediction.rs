//! What a model said, tagged by the task it was asked to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::{Answers, Entities, Masks, Next, Similarity};

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "task", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Prediction {
    /// Labels, or one number, for a whole text or pair of texts.
    TextClassification(Classification),
    /// The entities in a text; there may be none.
    TokenClassification(Entities),
    /// The part of a context that answers a question.
    QuestionAnswering(Answers),
    /// What may stand in place of each mask.
    MaskedLm(Masks),
    /// What comes next, for each token that was written.
    CausalLm(Next),
    /// What comes next in the decoder's text, for each token that was written.
    #[serde(rename = "seq2seq-lm")]
    Seq2SeqLm(Next),
    /// How alike two texts are.
    SentenceSimilarity(Similarity),
}

impl Prediction {
    /// Makes the prediction of a model whose labels exclude each other.
    pub fn single_label(labels: Labels) -> Self {
        Self::TextClassification(Classification::SingleLabel(labels))
    }

    /// Makes the prediction of a model that decides on each label alone.
    pub fn multi_label(labels: Labels) -> Self {
        Self::TextClassification(Classification::MultiLabel(labels))
    }

    /// Makes the prediction of a model that returns one number.
    pub fn regression(label: impl Into<String>, value: f64) -> Self {
        Self::TextClassification(Classification::Regression(Regression {
            label: label.into(),
            value,
        }))
    }

    /// The tokens that a language model wrote, or would write first; empty for other tasks.
    pub fn next(&self) -> &[super::NextToken] {
        match self {
            Self::CausalLm(next) | Self::Seq2SeqLm(next) => &next.next,
            _ => &[],
        }
    }
}

/// The answer of a text classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Classification {
    /// Exactly one label holds; the probabilities (softmax) add up to 1.
    SingleLabel(Labels),
    /// Each label holds or not by itself; each probability is a sigmoid.
    MultiLabel(Labels),
    /// The model returns a number, not a label.
    Regression(Regression),
}

/// Every label with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Labels {
    /// The most probable label.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f64,
    /// All labels in the model's order, the most probable one included.
    pub labels: Vec<LabelScore>,
}

impl Labels {
    /// Picks the most probable of `labels`, the first of equals; None when there are none.
    pub fn new(labels: Vec<LabelScore>) -> Option<Self> {
        let best = labels.iter().rev().max_by(|a, b| a.probability.total_cmp(&b.probability))?;
        Some(Self { label: best.label.clone(), probability: best.probability, labels })
    }
}

/// One label of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LabelScore {
    /// The label's name from the model's configuration.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f64,
    /// The model's raw output for it; null when the model is a black box.
    pub logit: Option<f64>,
}

impl LabelScore {
    /// Makes a label with its probability and raw output.
    pub fn new(label: impl Into<String>, probability: f64, logit: Option<f64>) -> Self {
        Self { label: label.into(), probability, logit }
    }
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Regression {
    /// What the number measures, from the model's configuration.
    pub label: String,
    /// The number, in the model's own unit.
    pub value: f64,
}
