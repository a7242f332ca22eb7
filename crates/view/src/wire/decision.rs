//! What models say that do more than label a text: entities, answers, tokens, likeness.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The entities of a token classifier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Entities {
    /// In the order of the text; there may be none.
    pub entities: Vec<Entity>,
}

impl Entities {
    /// Makes the answer of a token classifier.
    pub fn new(entities: Vec<Entity>) -> Self {
        Self { entities }
    }
}

/// Some tokens that have one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Entity {
    /// The label, without the prefix that says where in an entity a token stands.
    pub label: String,
    /// The mean probability of its tokens' labels, 0 to 1.
    pub probability: f64,
    /// The field that it stands in, counted from 0.
    pub field: usize,
    /// First byte in the field's text.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// The text from `start` to `end`.
    pub text: String,
}

impl Entity {
    /// Makes an entity of `text`, which begins at byte `start` of its field.
    pub fn new(
        label: impl Into<String>,
        probability: f64,
        field: usize,
        start: usize,
        text: impl Into<String>,
    ) -> Self {
        let text = text.into();
        Self { label: label.into(), probability, field, start, end: start + text.len(), text }
    }
}

/// The answers to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Answers {
    /// The field in which the answers stand, counted from 0.
    pub field: usize,
    /// The best answer.
    #[serde(flatten)]
    pub best: Answer,
    /// The best answers, the first of all included, with falling probability.
    pub answers: Vec<Answer>,
}

impl Answers {
    /// Makes the answers in a field out of a list whose first is the best. An empty list says that
    /// there is none.
    pub fn new(field: usize, answers: Vec<Answer>) -> Self {
        let best = answers.first().cloned().unwrap_or_else(|| Answer::none(0.0));
        Self { field, best, answers }
    }
}

/// A part of a context that answers a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Answer {
    /// Its text; null says that the context has no answer.
    pub answer: Option<String>,
    /// First byte in the field's text; null without an answer.
    pub start: Option<usize>,
    /// One past its last byte; null without an answer.
    pub end: Option<usize>,
    /// How probable it is, 0 to 1.
    pub probability: f64,
}

impl Answer {
    /// Makes the answer `text`, which begins at byte `start` of the context.
    pub fn new(start: usize, text: impl Into<String>, probability: f64) -> Self {
        let text = text.into();
        let (start, end) = (Some(start), Some(start + text.len()));
        Self { answer: Some(text), start, end, probability }
    }

    /// Makes the answer that there is none.
    pub fn none(probability: f64) -> Self {
        Self { answer: None, start: None, end: None, probability }
    }
}

/// The masks of a masked language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Masks {
    /// In the order of the text.
    pub masks: Vec<Mask>,
}

impl Masks {
    /// Makes the answer of a masked language model.
    pub fn new(masks: Vec<Mask>) -> Self {
        Self { masks }
    }
}

/// A mask with what may stand in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Mask {
    /// The field that it stands in, counted from 0.
    pub field: usize,
    /// Which of the field's tokens it is, counted from 0.
    pub token: usize,
    /// Its first byte in the field's text.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// The most likely tokens, with falling probability.
    pub candidates: Vec<Candidate>,
}

impl Mask {
    /// Makes a mask: token number `token` of a field, at bytes `start` to `end`.
    pub fn new(
        field: usize,
        token: usize,
        (start, end): (usize, usize),
        candidates: Vec<Candidate>,
    ) -> Self {
        Self { field, token, start, end, candidates }
    }
}

/// A token that may stand at a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Candidate {
    /// What it adds to a text; its name in the vocabulary if that is nothing.
    pub token: String,
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its probability, 0 to 1.
    pub probability: f64,
    /// The model's raw output for it.
    pub logit: f64,
}

impl Candidate {
    /// Makes a candidate.
    pub fn new(token: impl Into<String>, id: u32, probability: f64, logit: f64) -> Self {
        Self { token: token.into(), id, probability, logit }
    }
}

/// The tokens that a language model wrote or was made to write; of one that only reads on, the
/// token that comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Next {
    /// In the order in which they were written.
    pub next: Vec<NextToken>,
}

impl Next {
    /// Makes the answer of a language model.
    pub fn new(next: Vec<NextToken>) -> Self {
        Self { next }
    }
}

/// A written token with what else could stand there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NextToken {
    /// The token that is there, or that the model would write.
    #[serde(flatten)]
    pub chosen: Candidate,
    /// The most likely tokens, with falling probability.
    pub candidates: Vec<Candidate>,
}

impl NextToken {
    /// Makes a written token.
    pub fn new(chosen: Candidate, candidates: Vec<Candidate>) -> Self {
        Self { chosen, candidates }
    }
}

/// How alike two texts are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Similarity {
    /// The cosine of the angle between the two texts' vectors, -1 to 1.
    pub similarity: f64,
}

impl Similarity {
    /// Makes a similarity.
    pub fn new(similarity: f64) -> Self {
        Self { similarity }
    }
}
