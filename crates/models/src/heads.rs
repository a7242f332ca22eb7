//! From the residual to the outputs of a task.
//!
//! A head picks rows (the first token, the last, the mean, all), takes them through a few steps, and
//! ends with a map to labels or to the vocabulary.

use glossator_ops::{Activation, Linear, Tensor, Weight};

use crate::batch::Batch;
use crate::blocks::norm::Norm;
use crate::blocks::stack::{Rows, real};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Labels, Problem, Task};
use crate::trace::Trace;
use crate::weights::Weights;

/// Which rows a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's.
    First,
    /// The last real token's.
    Last,
    /// The mean over the real tokens.
    Mean,
    /// Each token's by itself.
    Each,
}

/// One step of a head.
pub enum Step {
    /// A linear map.
    Linear(Linear),
    /// An activation.
    Activation(Activation),
    /// A norm.
    Norm(Norm),
}

/// A head.
pub struct Head {
    /// Which rows it reads.
    pub pooling: Pooling,
    /// What happens to them, in order.
    pub steps: Vec<Step>,
    /// What the outputs are multiplied by.
    pub scale: f64,
    /// Outputs `z` become `c tanh(z / c)` (Gemma 2).
    pub softcap: Option<f64>,
    /// What the outputs mean.
    pub labels: Labels,
    /// The task.
    pub task: Task,
}

impl Head {
    /// A head without outputs of its own yet.
    #[must_use]
    pub fn new(task: Task, pooling: Pooling, labels: Labels, steps: Vec<Step>) -> Self {
        Self { pooling, steps, scale: 1.0, softcap: None, labels, task }
    }

    /// A head over the whole vocabulary.
    #[must_use]
    pub fn vocabulary(task: Task, steps: Vec<Step>) -> Self {
        let labels = Labels { names: Vec::new(), problem: Problem::SingleLabel };
        Self::new(task, Pooling::Each, labels, steps)
    }

    /// The rows that it needs of the last layer.
    pub(crate) fn rows(&self, batch: &Batch) -> Rows {
        match (self.pooling, batch.read()) {
            (Pooling::First, _) => Rows::At(vec![0]),
            (Pooling::Last, _) => Rows::Last,
            (Pooling::Each, Some(positions)) if self.task != Task::QuestionAnswering => {
                Rows::At(positions.to_vec())
            }
            (Pooling::Each | Pooling::Mean, _) => Rows::All,
        }
    }

    /// The outputs; see [`Output::logits`](crate::Output::logits).
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let mut x = match self.pooling {
            Pooling::First | Pooling::Last => x.squeeze(1)?,
            Pooling::Mean => mean(x, batch.padding().as_deref())?,
            Pooling::Each => x.clone(),
        };
        x = take(&self.steps, x, !self.task.is_language_model(), trace)?;
        if self.scale != 1.0 {
            x = (x * self.scale)?;
        }
        if let Some(cap) = self.softcap {
            x = (Activation::Tanh.forward(&(x / cap)?)? * cap)?;
        }
        if self.task == Task::QuestionAnswering {
            x = x.transpose(1, 2)?.contiguous()?;
        }
        Ok(x)
    }
}

/// Takes rows through steps; `drops`: whether values drop out before the last one in training.
pub(crate) fn take(
    steps: &[Step],
    mut x: Tensor,
    drops: bool,
    trace: &mut Trace<'_>,
) -> Result<Tensor> {
    let last = steps.len().saturating_sub(1);
    for (i, step) in steps.iter().enumerate() {
        if drops && i == last {
            x = trace.drop_out(x)?;
        }
        x = match step {
            Step::Linear(map) => map.forward(&x.contiguous()?)?,
            Step::Activation(activation) => activation.forward(&x)?,
            Step::Norm(norm) => norm.forward(&x)?,
        };
    }
    Ok(x)
}

/// The mean over the real tokens: `[batch, width]`.
pub(crate) fn mean(x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
    let (batch, tokens, _) = x.dims3()?;
    let Some(mask) = real(lengths, batch, tokens, x)? else { return Ok(x.mean(1)?) };
    let counts = mask.sum(1)?;
    Ok(x.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&counts)?)
}

/// The labels of a classifier, and how `transformers` reads its logits: `problem_type`, else
/// regression for a single output, else one label of several.
///
/// # Errors
/// If the configuration contradicts itself or the tensor `{classifier}.weight`.
pub fn labels(
    config: &Config,
    weights: &Weights<'_>,
    task: Task,
    classifier: &str,
) -> Result<Labels> {
    let names = config.labels()?;
    // Say what is wrong in terms of labels, not of a matrix.
    let (n, tensor) = (names.len(), format!("{classifier}.weight"));
    if let Some(&rows) = weights.shape(&tensor).as_deref().and_then(<[_]>::first)
        && rows != n
    {
        let said = match (config.is_absent("id2label"), config.is_absent("num_labels")) {
            (false, _) => format!("id2label names {n} labels"),
            (true, false) => format!("num_labels is {n}"),
            (true, true) => format!("without id2label and num_labels there are {n} labels"),
        };
        let what = format!("{said}, but the tensor {tensor:?} is for {rows}");
        return Err(config.contradiction(what));
    }
    let problem = match config.string("problem_type")? {
        // Of each token, exactly one label is right.
        _ if task == Task::TokenClassification => Problem::SingleLabel,
        Some("single_label_classification") => Problem::SingleLabel,
        Some("multi_label_classification") => Problem::MultiLabel,
        Some("regression") => Problem::Regression,
        Some(_) => {
            let expected = "single_label_classification, multi_label_classification or regression";
            return Err(config.unsupported("problem_type", expected));
        }
        None if names.len() == 1 => Problem::Regression,
        None => Problem::SingleLabel,
    };
    Ok(Labels { names, problem })
}

/// The labels of the two outputs of extractive question answering.
#[must_use]
pub fn span_labels() -> Labels {
    let names = ["start", "end"].map(str::to_owned).to_vec();
    Labels { names, problem: Problem::SingleLabel }
}

/// The map to the vocabulary: `{name}.weight`, or the word embeddings where the checkpoint ties
/// them, and `bias` where it has that.
///
/// # Errors
/// If a shape does not fit.
pub fn unembedding(
    weights: &Weights<'_>,
    name: &str,
    bias: &str,
    word: &Weight,
    tied: bool,
) -> Result<Linear> {
    let &[vocabulary, width] = word.shape() else {
        return Ok(Linear::new(word.clone(), None)?);
    };
    let weight = if !tied && weights.contains(&format!("{name}.weight")) {
        weights.get(&format!("{name}.weight"), &[vocabulary, width])?
    } else {
        word.clone()
    };
    Ok(Linear::new(weight, weights.optional(bias, &[vocabulary])?)?)
}
