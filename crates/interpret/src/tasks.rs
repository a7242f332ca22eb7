//! Tasks: how an input becomes tokens, outputs a prediction, and a prediction targets. One task a
//! file; [`TASKS`] lists them.

mod causal_lm;
mod language;
mod masked_lm;
mod question_answering;
mod sentence_similarity;
mod seq2seq_lm;
mod text_classification;
mod token_classification;
pub mod uses;

use glossator_models::{Batch, Encoding, Model, Output, Trace};
use glossator_ops::{DType, Var};
pub(crate) use question_answering::choices as answer_places;
pub use question_answering::{choices, windows};
pub use token_classification::Aggregation;
pub(crate) use token_classification::kind as entity_kind;

use crate::error::{Error, Result};
use crate::prediction::Prediction;
use crate::progress::Progress;
use crate::target::{Quantity, Target, TargetSpec};

/// Every task.
pub static TASKS: &[&dyn Decide] = &[
    &text_classification::TextClassification,
    &token_classification::TokenClassification,
    &question_answering::QuestionAnswering,
    &masked_lm::MaskedLm,
    &causal_lm::CausalLm,
    &seq2seq_lm::Seq2SeqLm,
    &sentence_similarity::SentenceSimilarity,
];

/// What is explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The text; the context of a question.
    pub text: String,
    /// The other text of a pair; the question about a context.
    pub pair: Option<String>,
    /// What a language model is to have written after the text, instead of what it would.
    pub continuation: Option<String>,
}

impl Input {
    /// A text alone.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A pair of texts.
    #[must_use]
    pub fn pair(text: impl Into<String>, pair: impl Into<String>) -> Self {
        Self { text: text.into(), pair: Some(pair.into()), continuation: None }
    }

    /// A question about a context.
    #[must_use]
    pub fn question(question: impl Into<String>, context: impl Into<String>) -> Self {
        Self { text: context.into(), pair: Some(question.into()), continuation: None }
    }
}

/// How predictions are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOptions {
    /// Cut inputs that are longer than the model reads.
    pub truncate: bool,
    /// How many candidates to tell for a token.
    pub top: usize,
    /// How many tokens a language model writes where no continuation is given.
    pub generate: usize,
    /// How tokens are put together to entities.
    pub aggregation: Aggregation,
    /// How many tokens the windows over a long context overlap.
    pub stride: usize,
    /// The most tokens of an answer.
    pub max_answer: usize,
    /// Whether a question may have no answer.
    pub unanswerable: bool,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            truncate: false,
            top: 5,
            generate: 1,
            aggregation: Aggregation::Simple,
            stride: 128,
            max_answer: 30,
            unanswerable: false,
        }
    }
}

/// What a task does.
pub trait Decide: Sync {
    /// Which task it is.
    fn task(&self) -> glossator_models::Task;

    /// The encodings of an input: one, or several windows over a long one.
    ///
    /// # Errors
    /// If the input lacks what the task needs, or is longer than the model reads.
    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>>;

    /// The positions whose outputs a prediction needs; none: all.
    ///
    /// # Errors
    /// If there is nothing to predict.
    fn reads(&self, model: &dyn Model, encoding: &Encoding) -> Result<Option<Vec<usize>>> {
        let _ = (model, encoding);
        Ok(None)
    }

    /// What the model says. `logits` are the rows of each window's outputs.
    ///
    /// # Errors
    /// If there is nothing to predict.
    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction>;

    /// One target for each independent decision of a prediction.
    ///
    /// # Errors
    /// If what is asked for does not exist.
    fn targets(
        &self,
        model: &dyn Model,
        encoding: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>>;

    /// The window that a prediction is about.
    fn window(&self, prediction: &Prediction) -> usize {
        let _ = prediction;
        0
    }
}

/// The token that a text names; `flag` is what errors call it.
pub(crate) fn token(model: &dyn Model, text: &str, flag: &str) -> Result<u32> {
    language::token(model, text, flag)
}

/// The task of a model.
#[must_use]
pub fn of(model: &dyn Model) -> &'static dyn Decide {
    let wanted = model.info().task;
    // The list is complete: a test walks it.
    TASKS.iter().find(|task| task.task() == wanted).copied().unwrap_or(TASKS[0])
}

/// A forward pass at an input, kept so that its gradient needs no second one.
pub(crate) struct AtInput {
    pub(crate) embeddings: Var,
    pub(crate) output: Output,
    pub(crate) positions: Option<Vec<usize>>,
}

impl AtInput {
    /// Runs the model.
    pub(crate) fn run(
        model: &dyn Model,
        encoding: &Encoding,
        positions: Option<Vec<usize>>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut batch = Batch::repeat(encoding, 1);
        if let Some(positions) = &positions {
            batch = batch.reading(positions);
        }
        let embeddings = Var::from_tensor(&model.embed(&batch)?.detach())?;
        let output = model.forward(&embeddings, &batch, &mut Trace::new())?;
        progress.evaluated(1);
        Ok(Self { embeddings, output, positions })
    }

    /// The rows of the logits.
    pub(crate) fn rows(&self, model: &dyn Model) -> Result<Vec<Vec<f64>>> {
        let logits = self.output.logits.to_dtype(DType::F64)?;
        let rows = match logits.rank() {
            2 => logits.to_vec2::<f64>()?,
            _ => logits.squeeze(0)?.to_vec2::<f64>()?,
        };
        if rows.iter().flatten().any(|z| !z.is_finite()) {
            let at = match model.first_bad_weight()? {
                Some(tensor) => format!(": tensor {tensor:?} holds a NaN or an infinity"),
                None => String::new(),
            };
            return Err(Error::NotFinite { what: "the output", at });
        }
        Ok(rows)
    }
}

/// What the model says of an encoding.
pub(crate) fn predict(
    model: &dyn Model,
    encoding: &Encoding,
    options: &TaskOptions,
    progress: &dyn Progress,
) -> Result<(Prediction, AtInput)> {
    let task = of(model);
    let pass = AtInput::run(model, encoding, task.reads(model, encoding)?, progress)?;
    let prediction = task.predict(model, &[(encoding, pass.rows(model)?)], options)?;
    Ok((prediction, pass))
}

/// The error of an input that lacks a part, or has one too many.
fn bad_input(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Input { what: what.into(), hint: hint.into() }
}

/// Fails if there is a second text for a task that reads one.
fn no_pair(input: &Input, task: &str) -> Result<()> {
    match input.pair {
        Some(_) => Err(bad_input(format!("{task} reads one text, got a pair"), "leave out --pair")),
        None => Ok(()),
    }
}

/// Fails if there is a continuation for a task that writes nothing.
fn no_continuation(input: &Input, task: &str) -> Result<()> {
    match input.continuation {
        Some(_) => Err(bad_input(format!("{task} writes nothing"), "leave out --continuation")),
        None => Ok(()),
    }
}
