//! What every attribution method is.

use std::collections::BTreeMap;

use glossator_models::ModelInfo;

use crate::error::Result;
use crate::subject::Subject;

/// How a target is attributed to the tokens. A method's settings are its own fields.
#[diagnostic::on_unimplemented(
    note = "see `examples/custom_method.rs` for a method written outside of this crate"
)]
pub trait Method: Send + Sync {
    /// What the method is.
    fn info(&self) -> &'static MethodInfo;

    /// Every setting with its value, for the record.
    fn settings(&self) -> Settings;

    /// The settings as they are for a model, where some depend on it.
    fn settings_for(&self, info: &ModelInfo) -> Settings {
        let _ = info;
        self.settings()
    }

    /// The scores of one input's tokens.
    ///
    /// # Errors
    /// If a setting does not fit the model or the input, or an evaluation is not finite.
    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution>;
}

/// What a method is, for help, documentation and pages.
#[derive(Debug)]
pub struct MethodInfo {
    /// The name in the wire format and on the command line.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// What the scores mean, in a sentence or two.
    pub meaning: &'static str,
    /// When it misleads.
    pub caution: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// What it costs, in evaluations.
    pub cost: &'static str,
    /// The settings.
    pub parameters: &'static [ParameterInfo],
    /// What `--preset allennlp` computes, for the methods that AllenNLP had.
    pub allennlp: Option<&'static str>,
}

/// One setting of a method.
#[derive(Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// The flag, without dashes.
    pub name: &'static str,
    /// What the value is, such as `N`; empty for a switch.
    pub value: &'static str,
    /// What it does.
    pub help: &'static str,
    /// What holds without it.
    pub default: &'static str,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A switch.
    Bool(bool),
    /// A count or seed.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A choice or a text.
    Text(String),
}

impl From<&str> for Setting {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Settings by name.
pub type Settings = BTreeMap<&'static str, Setting>;

/// Scores of one target, with what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// One for each token of the encoding, special ones included: raw, signed, in units of the
    /// target's quantity unless the method says otherwise.
    pub scores: Vec<f64>,
    /// The target's value at the input, F(x).
    pub output: f64,
    /// The target's value at the baseline, F(x'), for methods that have one.
    pub baseline_output: Option<f64>,
    /// The completeness error, Σ scores - (F(x) - F(x')), for methods that promise it.
    pub completeness_error: Option<f64>,
    /// Estimated absolute error of each score.
    pub token_errors: Option<Vec<f64>>,
    /// Whether the errors are within the tolerance, for methods that know.
    pub converged: Option<bool>,
    /// Number of gradients computed.
    pub gradient_evaluations: usize,
    /// Whether the scores are magnitudes, without a direction.
    pub magnitudes: bool,
    /// What a reader must know to read the scores right.
    pub notes: Vec<String>,
}

impl Attribution {
    /// Scores without any promise about them.
    #[must_use]
    pub fn new(scores: Vec<f64>, output: f64, gradient_evaluations: usize) -> Self {
        Self {
            scores,
            output,
            baseline_output: None,
            completeness_error: None,
            token_errors: None,
            converged: None,
            gradient_evaluations,
            magnitudes: false,
            notes: Vec::new(),
        }
    }

    /// The largest estimated error of a score.
    #[must_use]
    pub fn largest_error(&self) -> Option<f64> {
        let errors = self.token_errors.as_ref()?;
        Some(errors.iter().copied().fold(0.0, f64::max))
    }
}
