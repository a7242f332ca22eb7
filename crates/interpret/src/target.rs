//! What is explained: one number out of a model's outputs.

use std::ops::Range;
use std::str::FromStr;

use glossator_models::{Labels, ModelInfo, Output, Problem, Task};
use glossator_ops::{Activation, Tensor, log_softmax, softmax};

use crate::error::{Error, Result};

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
    /// What the model says: the predicted label, each entity, the answer, each mask's first
    /// filler, the next token.
    #[default]
    Predicted,
    /// A label by name or number; a token of a language model by its text.
    Label(String),
    /// Why one label or token rather than another: the first minus the second.
    Contrast(String, String),
}

impl TargetSpec {
    /// Reads what a user wants of a model; nothing means what it says.
    ///
    /// # Errors
    /// If a label is unknown.
    pub fn for_model(text: Option<&str>, info: &ModelInfo) -> Result<Self> {
        // Not by its name: a label may be called that.
        let Some(text) = text else { return Ok(Self::Predicted) };
        // Only where the whole text has a label is the target one of the model's labels.
        match info.task {
            Task::TextClassification => Self::parse(text, &info.labels),
            _ => Self::parse(text, &Labels { names: Vec::new(), problem: info.labels.problem }),
        }
    }

    /// Reads `predicted`, a label, or `A-vs-B`. A label that has `-vs-` in its own name, or is
    /// called `predicted`, is found first. Without labels (a language model), any text is a token.
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
        if labels.names.is_empty() {
            return Ok(match text.split_once("-vs-") {
                Some((a, b)) => Self::Contrast(a.to_owned(), b.to_owned()),
                None => Self::Label(text.to_owned()),
            });
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
}

/// What is decided, in the terms of the task.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// A label of the whole text.
    Label(String),
    /// One label rather than another.
    Contrast(String, String),
    /// That some tokens are an entity of this label.
    Entity {
        /// The label.
        label: String,
        /// The field that it stands in.
        field: usize,
        /// Its bytes in the field's text.
        span: Range<usize>,
    },
    /// That a part of the context answers the question; none: that nothing does.
    Answer {
        /// The field of the context.
        field: usize,
        /// Its bytes in the context.
        span: Option<Range<usize>>,
    },
    /// That this token stands at a place.
    Token {
        /// What the token adds to the text.
        token: String,
        /// The place, an index into the encoding; one behind the last for what comes next.
        at: usize,
    },
    /// That this token stands at a place rather than another.
    TokenContrast {
        /// What the token adds to the text.
        token: String,
        /// What the other would.
        versus: String,
        /// The place.
        at: usize,
    },
    /// How alike two texts are.
    Similarity,
}

/// An element of the outputs of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// The row, among those that are read; 0 where there is one for the whole text.
    pub row: usize,
    /// The label, token of the vocabulary, or place of an answer.
    pub column: usize,
}

/// One number out of a model's outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What is decided.
    pub decision: Decision,
    /// How it is measured.
    pub quantity: Quantity,
    /// How the logits are read.
    pub problem: Problem,
    /// The outputs that decide it together: logits and log probabilities add up, probabilities
    /// multiply.
    pub outputs: Vec<Element>,
    /// The outputs of what it is contrasted with, whose number is subtracted.
    pub against: Vec<Element>,
    /// The positions that the model has to read for them; none: all.
    pub positions: Option<Vec<usize>>,
    /// The columns between which the model chooses; none: all. Ascending.
    pub choices: Option<Vec<usize>>,
    /// The leading tokens that it depends on; none: all.
    pub prefix: Option<usize>,
}

impl Target {
    /// A target of some outputs, if they have that quantity.
    ///
    /// # Errors
    /// If a probability of a regression is asked for.
    pub fn new(
        decision: Decision,
        outputs: Vec<Element>,
        quantity: Quantity,
        problem: Problem,
    ) -> Result<Self> {
        if problem == Problem::Regression && quantity != Quantity::Logit {
            let outputs = "a regression: its outputs are numbers, not labels";
            return Err(Error::Quantity { quantity: quantity.id(), outputs });
        }
        Ok(Self {
            decision,
            quantity,
            problem,
            outputs,
            against: Vec::new(),
            positions: None,
            choices: None,
            prefix: None,
        })
    }

    /// The number, for each row of a batch, differentiably.
    ///
    /// Where labels of tokens depend on each other ([`Output::chain`]), a probability is the one
    /// that these tokens have these labels, whatever the others have.
    ///
    /// # Shapes
    /// - `output.logits`: `[batch, columns]` or `[batch, rows, columns]`
    /// - result: `[batch]`
    ///
    /// # Errors
    /// If an element is outside of the logits.
    pub fn score(&self, output: &Output) -> Result<Tensor> {
        let score = self.joint(output, &self.outputs)?;
        if self.against.is_empty() {
            return Ok(score);
        }
        Ok((score - self.joint(output, &self.against)?)?)
    }

    /// The number of some outputs together.
    fn joint(&self, output: &Output, elements: &[Element]) -> Result<Tensor> {
        let logits = match output.logits.rank() {
            2 => &output.logits.unsqueeze(1)?,
            _ => &output.logits,
        };
        if let (Some(chain), false) = (&output.chain, self.quantity == Quantity::Logit) {
            let labels: Vec<(usize, usize)> = elements.iter().map(|e| (e.row, e.column)).collect();
            let marginal = chain.log_marginal(logits, &labels)?;
            return Ok(match self.quantity {
                Quantity::Probability => marginal.exp()?,
                Quantity::Loss => marginal.neg()?,
                Quantity::Logit | Quantity::LogProbability => marginal,
            });
        }
        let mut total: Option<Tensor> = None;
        for &element in elements {
            let one = self.element(logits, element)?;
            total = Some(match total {
                None => one,
                Some(total) if self.quantity == Quantity::Probability => (total * one)?,
                Some(total) => (total + one)?,
            });
        }
        match total {
            Some(total) => Ok(total),
            None => Ok(Tensor::zeros(logits.dim(0)?, logits.dtype(), logits.device())?),
        }
    }

    fn element(&self, logits: &Tensor, Element { row, column }: Element) -> Result<Tensor> {
        let mut logits = logits.narrow(1, row, 1)?.squeeze(1)?;
        let mut column = column;
        let plain = self.quantity == Quantity::Logit || self.problem == Problem::Regression;
        if let (Some(choices), false) = (&self.choices, plain) {
            let ids: Vec<u32> = choices.iter().map(|&c| c as u32).collect();
            let ids = Tensor::from_vec(ids, choices.len(), logits.device())?;
            logits = logits.contiguous()?.index_select(&ids, 1)?;
            column = choices.binary_search(&column).unwrap_or(0);
        }
        let pick = |x: &Tensor| x.narrow(1, column, 1)?.squeeze(1);
        Ok(match (self.quantity, self.problem) {
            (Quantity::Logit, _) | (_, Problem::Regression) => pick(&logits)?,
            (Quantity::Probability, Problem::SingleLabel) => pick(&softmax(&logits)?)?,
            (Quantity::LogProbability, Problem::SingleLabel) => pick(&log_softmax(&logits)?)?,
            (Quantity::Loss, Problem::SingleLabel) => pick(&log_softmax(&logits)?)?.neg()?,
            (Quantity::Probability, Problem::MultiLabel) => {
                Activation::Sigmoid.forward(&pick(&logits)?)?
            }
            (Quantity::LogProbability, Problem::MultiLabel) => log_sigmoid(&pick(&logits)?)?,
            (Quantity::Loss, Problem::MultiLabel) => log_sigmoid(&pick(&logits)?)?.neg()?,
        })
    }
}

/// `ln σ(z)`, as the first entry of the log softmax of `(z, 0)`, which neither overflows nor
/// cancels.
fn log_sigmoid(z: &Tensor) -> Result<Tensor> {
    let pair = Tensor::stack(&[z, &z.zeros_like()?], 1)?;
    Ok(log_softmax(&pair)?.narrow(1, 0, 1)?.squeeze(1)?)
}
