//! What is explained: one number out of a model's outputs.

use std::str::FromStr;

use glossator_models::{Labels, Output, Problem};
use glossator_ops::{Activation, Tensor, log_softmax, softmax};

use crate::error::{Error, Result};
use crate::prediction::Prediction;

/// How an output is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantity {
    /// The score before softmax or sigmoid; the value itself for a regression.
    #[default]
    Logit,
    /// After softmax or sigmoid, from 0 to 1.
    Probability,
    /// The natural logarithm of the probability, in nats.
    LogProbability,
    /// The negative log probability, in nats: what training minimises.
    Loss,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 4] = [Self::Logit, Self::Probability, Self::LogProbability, Self::Loss];

    /// The name in the wire format and on the command line.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Logit => "logit",
            Self::Probability => "probability",
            Self::LogProbability => "log-probability",
            Self::Loss => "loss",
        }
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|quantity| quantity.id() == id).ok_or_else(|| {
            Error::BadSetting {
                setting: "quantity".to_owned(),
                expected: Self::ALL.map(Self::id).join(", "),
                got: id.to_owned(),
            }
        })
    }
}

/// Which output a user wants explained.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TargetSpec {
    /// The predicted label.
    #[default]
    Predicted,
    /// A label by name or number.
    Label(String),
    /// Why one label rather than another: the first minus the second.
    Contrast(String, String),
}

impl TargetSpec {
    /// Reads `predicted`, a label, or `A-vs-B`. A label that has `-vs-` in its own name, or is
    /// called `predicted`, is found first.
    ///
    /// # Errors
    /// If a label is unknown.
    pub fn parse(text: &str, labels: &Labels) -> Result<Self> {
        if labels.names.iter().any(|name| name == text) {
            return Ok(Self::Label(text.to_owned()));
        }
        if text == "predicted" {
            return Ok(Self::Predicted);
        }
        // The separator may also stand inside one of the names: try each place.
        let splits =
            text.match_indices("-vs-").map(|(at, sep)| (&text[..at], &text[at + sep.len()..]));
        let mut first_error = None;
        for (a, b) in splits {
            match (labels.find(a), labels.find(b)) {
                (Ok(_), Ok(_)) => return Ok(Self::Contrast(a.to_owned(), b.to_owned())),
                (Err(error), _) | (_, Err(error)) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) => Err(error.into()),
            None => {
                labels.find(text)?;
                Ok(Self::Label(text.to_owned()))
            }
        }
    }

    /// The outputs that this means, for one prediction.
    ///
    /// # Errors
    /// If a label is unknown, or a contrast is of a label with itself.
    pub fn resolve(&self, labels: &Labels, prediction: &Prediction) -> Result<TargetKind> {
        Ok(match self {
            Self::Predicted => TargetKind::Label(prediction.best()),
            Self::Label(name) => TargetKind::Label(labels.find(name)?),
            Self::Contrast(a, b) => {
                let (first, second) = (labels.find(a)?, labels.find(b)?);
                if first == second {
                    let what =
                        format!("--target {a}-vs-{b}: a label does not contrast with itself");
                    return Err(Error::Conflict { what });
                }
                TargetKind::Contrast(first, second)
            }
        })
    }
}

/// Which columns of the logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// One label.
    Label(usize),
    /// The first minus the second.
    Contrast(usize, usize),
}

/// One number out of a model's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Which outputs.
    pub kind: TargetKind,
    /// How they are measured.
    pub quantity: Quantity,
    /// How the logits are read.
    pub problem: Problem,
}

impl Target {
    /// A target, if the outputs have that quantity.
    ///
    /// # Errors
    /// If a probability of a regression is asked for.
    pub fn new(kind: TargetKind, quantity: Quantity, problem: Problem) -> Result<Self> {
        if problem == Problem::Regression && quantity != Quantity::Logit {
            let outputs = "a regression: its outputs are numbers, not labels";
            return Err(Error::Quantity { quantity: quantity.id(), outputs });
        }
        Ok(Self { kind, quantity, problem })
    }

    /// The number, for each row of a batch, differentiably.
    ///
    /// # Shapes
    /// - `output.logits`: `[batch, labels]`
    /// - result: `[batch]`
    ///
    /// # Errors
    /// If the labels are not columns of the logits.
    pub fn score(&self, output: &Output) -> Result<Tensor> {
        Ok(match self.kind {
            TargetKind::Label(label) => self.column(&output.logits, label)?,
            TargetKind::Contrast(a, b) => {
                (self.column(&output.logits, a)? - self.column(&output.logits, b)?)?
            }
        })
    }

    fn column(&self, logits: &Tensor, label: usize) -> Result<Tensor> {
        let pick = |x: &Tensor| x.narrow(1, label, 1)?.squeeze(1);
        Ok(match (self.quantity, self.problem) {
            (Quantity::Logit, _) | (_, Problem::Regression) => pick(logits)?,
            (Quantity::Probability, Problem::SingleLabel) => pick(&softmax(logits)?)?,
            (Quantity::LogProbability, Problem::SingleLabel) => pick(&log_softmax(logits)?)?,
            (Quantity::Loss, Problem::SingleLabel) => pick(&log_softmax(logits)?)?.neg()?,
            (Quantity::Probability, Problem::MultiLabel) => {
                Activation::Sigmoid.forward(&pick(logits)?)?
            }
            (Quantity::LogProbability, Problem::MultiLabel) => log_sigmoid(&pick(logits)?)?,
            (Quantity::Loss, Problem::MultiLabel) => log_sigmoid(&pick(logits)?)?.neg()?,
        })
    }
}

/// `ln σ(z)`, as the first entry of the log softmax of `(z, 0)`, which neither overflows nor
/// cancels.
fn log_sigmoid(z: &Tensor) -> Result<Tensor> {
    let pair = Tensor::stack(&[z, &z.zeros_like()?], 1)?;
    Ok(log_softmax(&pair)?.narrow(1, 0, 1)?.squeeze(1)?)
}
