//! How good a model is on data: predictions, compared by the rules of [`metrics`](crate::metrics).

mod answers;
mod language;
mod outputs;
mod tags;
mod texts;

use glossator_models::{Model, Task};

use crate::data::Example;
use crate::encode::Limits;
use crate::error::{Error, Result};
use crate::metrics::bootstrap::Bootstrap;
use crate::metrics::spans::Mode;
use crate::metrics::{ClassScore, Score};

/// How a model is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluateOptions {
    /// How long inputs are cut.
    pub limits: Limits,
    /// How tags are read.
    pub mode: Mode,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// The share of tokens that a masked language model has to find.
    pub mask_rate: f64,
    /// The most tokens of an answer.
    pub max_answer: usize,
    /// Whether a question may have no answer; else it may if some question of the data has none.
    pub unanswerable: Option<bool>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            mode: Mode::default(),
            bootstrap: Bootstrap::default(),
            mask_rate: 0.15,
            max_answer: 30,
            unanswerable: None,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The task.
    pub task: Task,
    /// Examples that were measured.
    pub examples: usize,
    /// Examples of which tokens were cut off.
    pub truncated: usize,
    /// The scores, the most telling first.
    pub scores: Vec<Score>,
    /// The labels, or kinds of entities, one by one.
    pub classes: Vec<ClassScore>,
    /// How often each label (row) was predicted as each (column), in the order of `classes`.
    pub confusion: Vec<Vec<u64>>,
}

impl Evaluation {
    /// A score by its name.
    #[must_use]
    pub fn score(&self, name: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.name == name)
    }
}

/// Watches a long evaluation.
pub trait Watch: Sync {
    /// So many more examples are measured.
    fn measured(&self, examples: usize) {
        let _ = examples;
    }

    /// Whether to stop.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Examples are read and measured so many at a time.
const PART: usize = 256;

/// Measures a model on examples.
///
/// # Errors
/// If a row cannot be used, there is none, or the model's outputs are not numbers.
pub fn evaluate(
    model: &dyn Model,
    mut examples: impl Iterator<Item = Result<Example>>,
    options: &EvaluateOptions,
    watch: &dyn Watch,
) -> Result<Evaluation> {
    let mut measure: Box<dyn Measure> = match model.info().task {
        Task::TokenClassification => Box::new(tags::Tags::new(model, options)),
        Task::QuestionAnswering => Box::new(answers::Asked::new(model, options)),
        Task::MaskedLm | Task::CausalLm | Task::Seq2SeqLm => {
            Box::new(language::Tokens::new(model, options)?)
        }
        _ => Box::new(texts::Texts::new(model, options)),
    };
    let mut count = 0;
    loop {
        let part = examples.by_ref().take(PART).collect::<Result<Vec<_>>>()?;
        if part.is_empty() {
            break;
        }
        if watch.is_cancelled() {
            return Err(glossator_interpret::Error::Cancelled.into());
        }
        count += part.len();
        measure.measure(&part)?;
        watch.measured(part.len());
    }
    let mut evaluation = measure.finish()?;
    evaluation.examples = count;
    Ok(evaluation)
}

/// What a task does with examples.
trait Measure {
    fn measure(&mut self, examples: &[Example]) -> Result<()>;

    fn finish(self: Box<Self>) -> Result<Evaluation>;
}

/// The error of data without anything to measure.
fn nothing(what: &str) -> Error {
    Error::settings(format!("the data has no {what} to measure"), "check --data and its columns")
}

/// The scores of a metric over all its items, with intervals.
struct Scores<'a> {
    items: Vec<usize>,
    bootstrap: &'a Bootstrap,
    made: Vec<Score>,
}

impl<'a> Scores<'a> {
    fn new(items: usize, bootstrap: &'a Bootstrap) -> Self {
        Self { items: (0..items).collect(), bootstrap, made: Vec::new() }
    }

    fn add(&mut self, name: &'static str, more_is_better: bool, of: impl Fn(&[usize]) -> f64) {
        let interval = self.bootstrap.interval(self.items.len(), &of);
        self.made.push(Score { name, value: of(&self.items), interval, more_is_better });
    }

    /// A mean without an interval.
    fn plain(&mut self, name: &'static str, value: f64) {
        self.made.push(Score { name, value, interval: None, more_is_better: false });
    }
}

/// `ln Σ eᶻ` of a row.
fn log_sum_exp(row: &[f32]) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max) + row.iter().map(|&z| f64::from(z - max).exp()).sum::<f64>().ln()
}

/// The index of the largest element; the first of equals.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &z) in row.iter().enumerate() {
        if z > row[best] {
            best = i;
        }
    }
    best
}
