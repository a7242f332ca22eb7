//! One explanation: what was explained, a score for each token, and how far to trust them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Target;

/// Scores for one target.
///
/// F is the target's quantity as a function of the input, x the input, x' the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Explanation {
    /// What is explained.
    pub target: Target,
    /// One raw score per token, per field, aligned with the field's `tokens`.
    pub scores: Vec<Vec<f64>>,
    /// The same scores added up over the tokens of each word, per field.
    pub words: Vec<Vec<WordScore>>,
    /// F(x): the quantity for the input.
    pub output: f64,
    /// F(x'): the quantity for the baseline; null when the method has none.
    pub baseline_output: Option<f64>,
    /// The completeness error: the sum of all scores minus F(x) - F(x'). Null when the method does
    /// not promise that the scores add up to the difference.
    pub delta: Option<f64>,
    /// The method's own estimate of its error, in the unit of the scores; null when it has none.
    pub error_estimate: Option<f64>,
    /// Whether the method reached the accuracy it was asked for; null when it has no such notion.
    pub converged: Option<bool>,
    /// How many gradients of the model this explanation cost, counting each text of a batch.
    pub gradient_evaluations: u64,
    /// The error estimate of each score, aligned with `scores`; absent when the method gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_error_estimates: Option<Vec<Vec<f64>>>,
    /// Whether the scores are magnitudes, without a direction; absent when they are signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub magnitudes: bool,
    /// What a reader of the scores should know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Explanation {
    /// Makes an explanation with what every method has; set the other fields where there is more.
    pub fn new(
        target: Target,
        scores: Vec<Vec<f64>>,
        words: Vec<Vec<WordScore>>,
        output: f64,
    ) -> Self {
        Self {
            target,
            scores,
            words,
            output,
            baseline_output: None,
            delta: None,
            error_estimate: None,
            converged: None,
            gradient_evaluations: 0,
            token_error_estimates: None,
            magnitudes: false,
            notes: Vec::new(),
        }
    }

    /// Returns the sum of all scores, special tokens included.
    pub fn total(&self) -> f64 {
        self.scores.iter().flatten().sum()
    }
}

/// The score of one word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WordScore {
    /// First byte of the word in the field's text.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// The sum (never the mean) of its tokens' scores.
    pub score: f64,
}

impl WordScore {
    /// Makes a word's score.
    pub fn new(start: usize, end: usize, score: f64) -> Self {
        Self { start, end, score }
    }
}
