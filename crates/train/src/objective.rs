//! The loss of each task. One function a task: what a model computes by itself, such as the
//! likelihood of a random field, takes the place of one of them.

use glossator_models::{Chain, Output};
use glossator_ops::{CrossEntropy, Tensor, cross_entropy, loss};

use crate::error::{Error, Result};
use crate::item::{Gold, IGNORE};

/// How a loss is measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Objective {
    /// The part of each target that is spread over all labels or tokens.
    pub(crate) label_smoothing: f64,
    /// A factor of each label.
    pub(crate) class_weights: Option<Vec<f64>>,
    /// Whether labels of tokens depend on each other: a sentence then counts as a whole.
    pub(crate) chain: bool,
}

impl Objective {
    /// How much an item counts for in the mean over a step: losses of parts of a step are put
    /// together by it, whatever parts the step is cut into.
    pub(crate) fn weight(&self, gold: &Gold) -> f64 {
        let of = |label: u32| match &self.class_weights {
            Some(weights) => weights.get(label as usize).copied().unwrap_or(0.0),
            None => 1.0,
        };
        match gold {
            Gold::Label(label) => of(*label),
            Gold::Tokens(_) if self.chain => 1.0,
            Gold::Tokens(tokens) => tokens.iter().filter(|&&t| t != IGNORE).map(|&t| of(t)).sum(),
            Gold::Flags(_) | Gold::Number(_) | Gold::Answer { .. } => 1.0,
            Gold::Hidden => 0.0,
        }
    }

    /// The mean loss of some rows, by [`Objective::weight`]: a scalar.
    pub(crate) fn loss(&self, output: &Output, golds: &[&Gold]) -> Result<Tensor> {
        let logits = &output.logits;
        match golds.first() {
            Some(Gold::Label(_)) => self.labels(logits, golds),
            Some(Gold::Flags(_)) => self.flags(logits, golds),
            Some(Gold::Number(_)) => numbers(logits, golds),
            Some(Gold::Tokens(_)) => match &output.chain {
                Some(chain) => sentences(chain, logits, golds),
                None => self.tokens(logits, golds),
            },
            Some(Gold::Answer { .. }) => self.answers(logits, golds),
            Some(Gold::Hidden) | None => {
                Err(Error::settings("a batch without targets", "give data with examples"))
            }
        }
    }

    fn options(&self) -> CrossEntropy<'_> {
        CrossEntropy {
            ignore: Some(IGNORE),
            class_weights: self.class_weights.as_deref(),
            label_smoothing: self.label_smoothing,
        }
    }

    /// `logits`: `[rows, labels]`.
    fn labels(&self, logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
        let label = |gold: &&Gold| match gold {
            Gold::Label(label) => *label,
            _ => IGNORE,
        };
        let right: Vec<u32> = golds.iter().map(label).collect();
        Ok(cross_entropy(logits, &right, self.options())?)
    }

    /// `logits`: `[rows, labels]`.
    fn flags(&self, logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
        let mut right = Vec::with_capacity(logits.elem_count());
        for gold in golds {
            if let Gold::Flags(flags) = gold {
                right.extend_from_slice(flags);
            }
        }
        // Smoothing moves each target towards one half.
        let (keep, half) = (1.0 - self.label_smoothing, 0.5 * self.label_smoothing);
        right.iter_mut().for_each(|x| *x = (f64::from(*x) * keep + half) as f32);
        let right = Tensor::from_vec(right, logits.dims(), logits.device())?;
        Ok(loss::binary_cross_entropy(logits, &right, self.class_weights.as_deref())?)
    }

    /// `logits`: `[rows, positions, labels or tokens]`.
    fn tokens(&self, logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
        let (_, positions, classes) = logits.dims3()?;
        let mut right = Vec::with_capacity(golds.len() * positions);
        for gold in golds {
            if let Gold::Tokens(tokens) = gold {
                let row = right.len();
                right.extend_from_slice(&tokens[..tokens.len().min(positions)]);
                right.resize(row + positions, IGNORE);
            }
        }
        let logits = logits.reshape(((), classes))?;
        Ok(cross_entropy(&logits, &right, self.options())?)
    }

    /// `logits`: `[rows, 2, tokens]`; the mean of both ends' losses. As in a prediction, answers
    /// begin and end only where they can.
    fn answers(&self, logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
        // Its exponential is 0 beside any logit.
        const NEVER: f32 = -1e30;
        let (rows, ends, tokens) = logits.dims3()?;
        let mut barred = vec![NEVER; rows * ends * tokens];
        let mut right = Vec::with_capacity(rows * ends);
        for (row, gold) in golds.iter().enumerate() {
            let Gold::Answer { first, last, choices } = gold else { continue };
            right.extend([*first, *last]);
            for end in 0..ends {
                for &choice in choices {
                    barred[(row * ends + end) * tokens + choice as usize] = 0.0;
                }
            }
        }
        let barred = Tensor::from_vec(barred, logits.dims(), logits.device())?;
        let logits = (logits + barred.to_dtype(logits.dtype())?)?.reshape(((), tokens))?;
        // Spread over all tokens, smoothing would reach those that cannot be.
        let options = CrossEntropy { label_smoothing: 0.0, class_weights: None, ..self.options() };
        Ok(cross_entropy(&logits, &right, options)?)
    }
}

/// The likelihood of the labels of whole sentences; `logits`: `[rows, tokens, labels]`.
fn sentences(chain: &Chain, logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
    let labels: Vec<Vec<Option<usize>>> = golds
        .iter()
        .map(|gold| match gold {
            Gold::Tokens(tokens) => {
                tokens.iter().map(|&t| (t != IGNORE).then_some(t as usize)).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    Ok(chain.loss(logits, &labels)?)
}

/// `logits`: `[rows, 1]`.
fn numbers(logits: &Tensor, golds: &[&Gold]) -> Result<Tensor> {
    let number = |gold: &&Gold| match gold {
        Gold::Number(number) => *number,
        _ => f32::NAN,
    };
    let right: Vec<f32> = golds.iter().map(number).collect();
    let right = Tensor::from_vec(right, logits.dims(), logits.device())?;
    Ok(loss::mean_squared_error(logits, &right)?)
}
