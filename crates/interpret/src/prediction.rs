//! What the model says, task by task.

use std::ops::Range;

use glossator_models::{Labels, Problem};

/// What the model says of one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// Labels of the whole text.
    TextClassification(Classification),
    /// The entities, in their order; there may be none.
    TokenClassification(Vec<Entity>),
    /// The answers, the best first; there is at least one.
    QuestionAnswering(Vec<Answer>),
    /// What may stand in place of each mask.
    MaskedLm(Vec<Choice>),
    /// What may come next; for each token of a continuation, if there is one.
    CausalLm(Vec<Choice>),
    /// What may come next in the decoder's text; for each token of it.
    Seq2SeqLm(Vec<Choice>),
    /// The cosine of two texts.
    SentenceSimilarity(f64),
}

impl Prediction {
    /// The labels of a classifier of whole texts; empty for other tasks.
    #[must_use]
    pub fn labels(&self) -> &[LabelScore] {
        match self {
            Self::TextClassification(classification) => &classification.labels,
            _ => &[],
        }
    }

    /// The index of the predicted label of a classifier of whole texts; 0 for other tasks.
    #[must_use]
    pub fn best(&self) -> usize {
        match self {
            Self::TextClassification(classification) => classification.best(),
            _ => 0,
        }
    }
}

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

/// What a classifier says of a whole text.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// How the logits are read.
    pub problem: Problem,
    /// One entry a label, in the model's order.
    pub labels: Vec<LabelScore>,
}

impl Classification {
    /// Reads one row of logits.
    #[must_use]
    pub fn new(labels: &Labels, logits: &[f64]) -> Self {
        let shares = softmax(logits);
        let probability = |i: usize, z: f64| match labels.problem {
            Problem::SingleLabel => Some(shares[i]),
            Problem::MultiLabel => Some(1.0 / (1.0 + (-z).exp())),
            Problem::Regression => None,
        };
        let scores = labels.names.iter().zip(logits).enumerate();
        let scores = scores.map(|(i, (label, &logit))| LabelScore {
            label: label.clone(),
            logit,
            probability: probability(i, logit),
        });
        Self { problem: labels.problem, labels: scores.collect() }
    }

    /// The index of the label with the largest logit; the first of equals.
    #[must_use]
    pub fn best(&self) -> usize {
        largest(self.labels.iter().map(|label| label.logit))
    }
}

/// Some tokens that the model gave one label.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The label, without the prefix that says where in an entity a token stands.
    pub label: String,
    /// The mean probability of its tokens' labels.
    pub probability: f64,
    /// The field that it stands in.
    pub field: usize,
    /// Its bytes in the field's text.
    pub span: Range<usize>,
    /// Its tokens, indices into the encoding.
    pub tokens: Vec<usize>,
    /// The label of each token, indices into the model's labels.
    pub labels: Vec<usize>,
}

/// A part of the text that answers the question, or the answer that there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its bytes in the context; none if the question has no answer there.
    pub span: Option<Range<usize>>,
    /// The product of the probabilities of its first and its last token, over all windows' answers.
    pub probability: f64,
    /// The first and the last token, indices into the window's encoding.
    pub tokens: (usize, usize),
    /// Which window of a long context it was found in.
    pub window: usize,
}

/// Which token stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The token it is about, an index into the encoding: a mask, or the token that comes next,
    /// which may be one behind the last.
    pub at: usize,
    /// The token that is there or that the model would put there.
    pub chosen: Candidate,
    /// The most likely ones, the best first.
    pub candidates: Vec<Candidate>,
}

/// A token with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// What it adds to a text, as people read it.
    pub text: String,
    /// Before the softmax.
    pub logit: f64,
    /// After it.
    pub probability: f64,
}

/// The softmax of a row.
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
    logits.iter().map(|z| (z - max).exp() / sum).collect()
}

/// The index of the largest value; the first of equals.
pub(crate) fn largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}
