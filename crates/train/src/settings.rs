//! What decides the result of a training run. The same settings, data and model give the same
//! weights.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::optimizer::{Clip, Optimizer};
use crate::schedule::Decay;

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Passes over the data, whole or not.
    Epochs(f64),
    /// Steps.
    Steps(u64),
}

/// How long the rate grows at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warmup {
    /// A share of all steps.
    Share(f64),
    /// Steps.
    Steps(u64),
}

impl FromStr for Warmup {
    type Err = Error;

    /// A number below 1 is a share, a whole one is steps.
    fn from_str(text: &str) -> Result<Self> {
        let share = text.parse().ok().filter(|share: &f64| (0.0..1.0).contains(share));
        let found = match text.parse() {
            Ok(steps) => Some(Self::Steps(steps)),
            Err(_) => share.map(Self::Share),
        };
        found.ok_or_else(|| {
            let what = format!("--warmup: expected steps, or a share from 0 to 1, got {text:?}");
            Error::settings(what, "for example --warmup 0.06, or --warmup 500")
        })
    }
}

/// How much the items of each label count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// `n / (k nₗ)` for the `nₗ` of `n` items with label `l` of `k`: all labels count alike.
    Balanced,
    /// By label; 1 for others.
    Given(BTreeMap<String, f64>),
}

impl FromStr for ClassWeights {
    type Err = Error;

    /// `balanced`, or `LABEL=WEIGHT,...`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "balanced" {
            return Ok(Self::Balanced);
        }
        let bad = |part: &str| {
            let what =
                format!("--class-weights: expected balanced or LABEL=WEIGHT,..., got {part:?}");
            Error::settings(what, "for example --class-weights negative=1,positive=2.5")
        };
        let mut given = BTreeMap::new();
        for part in text.split(',') {
            let (label, weight) = part.rsplit_once('=').ok_or_else(|| bad(part))?;
            let weight = weight.parse().ok().filter(|w: &f64| w.is_finite() && *w >= 0.0);
            given.insert(label.to_owned(), weight.ok_or_else(|| bad(part))?);
        }
        Ok(Self::Given(given))
    }
}

/// The settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long it is.
    pub length: Length,
    /// Examples of a batch.
    pub batch: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// The rule.
    pub optimizer: Optimizer,
    /// The learning rate at its highest.
    pub rate: f64,
    /// Weight decay, of everything but biases and norms.
    pub weight_decay: f64,
    /// How the rate falls.
    pub decay: Decay,
    /// How it rises.
    pub warmup: Warmup,
    /// What large gradients are cut to.
    pub clip: Clip,
    /// Patterns of the names of weights that stay as they are.
    pub freeze: Vec<String>,
    /// The share of values that drop out.
    pub dropout: f64,
    /// The part of each target that is spread over all.
    pub label_smoothing: f64,
    /// How much labels count.
    pub class_weights: Option<ClassWeights>,
    /// Whether examples of like length go into one batch.
    pub by_length: bool,
    /// Tokens of an input at most.
    pub max_tokens: Option<usize>,
    /// Tokens that windows over a long context overlap.
    pub stride: usize,
    /// Tokens of a block of a language model's text.
    pub block: usize,
    /// The share of tokens that a masked language model is to find.
    pub mask_rate: f64,
    /// The share of the data that is kept for measuring.
    pub dev_share: f64,
    /// Measured each so many steps; else after each epoch.
    pub evaluate_every: Option<u64>,
    /// The score that the best weights have most of, by name; else the task's first.
    pub metric: Option<String>,
    /// The run ends after so many measurements without a better one.
    pub patience: Option<u32>,
    /// Of everything that is drawn.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            length: Length::Epochs(3.0),
            batch: 32,
            accumulate: 1,
            optimizer: Optimizer::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            rate: 5e-5,
            weight_decay: 0.01,
            decay: Decay::Linear,
            warmup: Warmup::Share(0.06),
            clip: Clip { norm: Some(1.0), value: None },
            freeze: Vec::new(),
            dropout: 0.1,
            label_smoothing: 0.0,
            class_weights: None,
            by_length: true,
            max_tokens: None,
            stride: 128,
            block: 128,
            mask_rate: 0.15,
            dev_share: 0.0,
            evaluate_every: None,
            metric: None,
            patience: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// With the first setting that is out of range.
    pub fn check(&self) -> Result<()> {
        let bad = |flag: &str, expected: &str, got: &dyn std::fmt::Display| {
            let what = format!("{flag}: expected {expected}, got {got}");
            Err(Error::settings(what, "`glossator train --help` has the defaults"))
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match self.length {
            Length::Epochs(epochs) if !(positive(epochs) && epochs < 1e6) => {
                return bad("--epochs", "a number above 0", &epochs);
            }
            Length::Steps(0) => return bad("--steps", "a number above 0", &0),
            _ => {}
        }
        if !positive(self.rate) {
            return bad("--learning-rate", "a number above 0", &self.rate);
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("--weight-decay", "a number from 0 on", &self.weight_decay);
        }
        for (flag, share) in [
            ("--dropout", self.dropout),
            ("--label-smoothing", self.label_smoothing),
            ("--dev-share", self.dev_share),
        ] {
            if !(0.0..1.0).contains(&share) {
                return bad(flag, "a share from 0 to 1, without 1", &share);
            }
        }
        if !(self.mask_rate > 0.0 && self.mask_rate < 1.0) {
            return bad("--mask-rate", "a share between 0 and 1", &self.mask_rate);
        }
        for (flag, limit) in [("--clip-norm", self.clip.norm), ("--clip-value", self.clip.value)] {
            if let Some(limit) = limit.filter(|&limit| !positive(limit)) {
                return bad(flag, "a number above 0", &limit);
            }
        }
        let share = |x: f64| (0.0..1.0).contains(&x);
        match self.optimizer {
            Optimizer::AdamW { beta1, beta2, epsilon } => {
                if !(share(beta1) && share(beta2)) {
                    return bad("--beta1 and --beta2", "numbers from 0 to 1, without 1", &beta1);
                }
                if !positive(epsilon) {
                    return bad("--epsilon", "a number above 0", &epsilon);
                }
            }
            Optimizer::Sgd { momentum } if !share(momentum) => {
                return bad("--momentum", "a number from 0 to 1, without 1", &momentum);
            }
            Optimizer::RmsProp { alpha, epsilon, momentum } => {
                if !(share(alpha) && share(momentum)) {
                    return bad("--alpha and --momentum", "numbers from 0 to 1, without 1", &alpha);
                }
                if !positive(epsilon) {
                    return bad("--epsilon", "a number above 0", &epsilon);
                }
            }
            Optimizer::Sgd { .. } => {}
        }
        Ok(())
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters and `?` for one.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how far it has reached.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match &mut star {
                Some((at, reached)) => {
                    *reached += 1;
                    (p, n) = (*at + 1, *reached);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let name = "bert.encoder.layer.0.output.dense.weight";
        for yes in ["*", "bert.*", "*.weight", "bert.*.0.*", "*layer.?.*", name] {
            assert!(fits(yes, name), "{yes}");
        }
        for no in ["", "bert", "*.bias", "bert.*.1.*", "?", "*layer.??.*"] {
            assert!(!fits(no, name), "{no}");
        }
        assert!(fits("", "") && fits("**", "") && !fits("?", ""));
    }

    #[test]
    fn texts_are_settings_or_errors() {
        assert_eq!("0.1".parse::<Warmup>().unwrap(), Warmup::Share(0.1));
        assert_eq!("10".parse::<Warmup>().unwrap(), Warmup::Steps(10));
        assert!("1.5".parse::<Warmup>().is_err());
        let given = [("a".to_owned(), 1.0), ("b=c".to_owned(), 2.5)].into();
        assert_eq!("a=1,b=c=2.5".parse::<ClassWeights>().unwrap(), ClassWeights::Given(given));
        assert!("a".parse::<ClassWeights>().is_err() && "a=-1".parse::<ClassWeights>().is_err());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let check = |settings: Settings, expected: &str| {
            assert_eq!(settings.check().unwrap_err().to_string(), expected);
        };
        let usual = Settings::default();
        usual.check().unwrap();
        check(
            Settings { rate: f64::NAN, ..usual.clone() },
            "--learning-rate: expected a number above 0, got NaN",
        );
        check(
            Settings { dropout: 1.0, ..usual.clone() },
            "--dropout: expected a share from 0 to 1, without 1, got 1",
        );
        check(
            Settings { length: Length::Steps(0), ..usual },
            "--steps: expected a number above 0, got 0",
        );
    }
}
