//! How the learning rate changes over a run.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A number of steps, or of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Span {
    /// Steps.
    Steps(u64),
    /// Epochs, whole or not.
    Epochs(f64),
}

impl Span {
    fn steps(self, per_epoch: u64) -> f64 {
        match self {
            Self::Steps(steps) => steps as f64,
            Self::Epochs(epochs) => epochs * per_epoch as f64,
        }
    }
}

/// What the rate is multiplied by once the warm-up is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// 1.
    Constant,
    /// From 1 to 0 in a straight line.
    Linear,
    /// From 1 to 0 along half a cosine (Loshchilov & Hutter 2017).
    Cosine,
    /// Times `factor` behind each `every`.
    Step {
        /// How long the rate stays.
        every: Span,
        /// What it is multiplied by then.
        factor: f64,
    },
    /// Times `factor` over each `every`, a little at each step.
    Exponential {
        /// How long that takes.
        every: Span,
        /// What it is multiplied by over that time.
        factor: f64,
    },
}

impl FromStr for Decay {
    type Err = Error;

    /// `constant`, `linear`, `cosine`, `step:EVERY:FACTOR` or `exponential:EVERY:FACTOR`; `EVERY`
    /// is a number of steps, or of epochs with an `e` behind it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            let what = format!(
                "--schedule: expected constant, linear, cosine, step:EVERY:FACTOR or \
                 exponential:EVERY:FACTOR, got {text:?}"
            );
            let hint = "EVERY is a number of steps, or of epochs as in step:1e:0.5";
            Error::settings(what, hint)
        };
        let mut parts = text.split(':');
        let id = parts.next().unwrap_or_default();
        let simple = match id {
            "constant" => Some(Self::Constant),
            "linear" => Some(Self::Linear),
            "cosine" => Some(Self::Cosine),
            _ => None,
        };
        if let Some(decay) = simple {
            return parts.next().is_none().then_some(decay).ok_or_else(bad);
        }
        let (Some(every), Some(factor), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let every = match every.strip_suffix('e') {
            Some(epochs) => {
                let epochs = epochs.parse().ok().filter(|e: &f64| e.is_finite() && *e > 0.0);
                Span::Epochs(epochs.ok_or_else(bad)?)
            }
            None => Span::Steps(every.parse().ok().filter(|&n| n > 0).ok_or_else(bad)?),
        };
        let factor = factor.parse().ok().filter(|f: &f64| *f > 0.0 && *f <= 1.0).ok_or_else(bad)?;
        match id {
            "step" => Ok(Self::Step { every, factor }),
            "exponential" => Ok(Self::Exponential { every, factor }),
            _ => Err(bad()),
        }
    }
}

/// Warm-up and decay over a known number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The decay.
    pub decay: Decay,
    /// Steps over which the rate grows to its full height.
    pub warmup: u64,
    /// All steps of the run, those of the warm-up included.
    pub total: u64,
    /// Steps of one epoch.
    pub per_epoch: u64,
}

impl Schedule {
    /// What the rate of a step, counted from 1, is multiplied by. With `w` steps of warm-up, step
    /// `n` has `n / (w + 1)` up to step `w`, and step `w + 1` has 1.
    #[must_use]
    pub fn factor(&self, step: u64) -> f64 {
        if step <= self.warmup {
            return step as f64 / (self.warmup + 1) as f64;
        }
        let after = (step - self.warmup - 1) as f64;
        let share = after / self.total.saturating_sub(self.warmup).max(1) as f64;
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => (1.0 - share).max(0.0),
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos()),
            Decay::Step { every, factor } => {
                factor.powf((after / every.steps(self.per_epoch)).floor())
            }
            Decay::Exponential { every, factor } => {
                factor.powf(after / every.steps(self.per_epoch))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(decay: &str, warmup: u64) -> Vec<f64> {
        let decay = decay.parse().unwrap();
        let schedule = Schedule { decay, warmup, total: 8, per_epoch: 4 };
        (1..=8).map(|step| schedule.factor(step)).collect()
    }

    #[test]
    fn values_by_hand() {
        assert_eq!(factors("constant", 0), [1.0; 8]);
        assert_eq!(factors("linear", 0), [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
        let warm = factors("linear", 3);
        assert_eq!(warm, [0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 1.0 - 4.0 / 5.0]);
        let cosine = factors("cosine", 0);
        assert!((cosine[4] - 0.5).abs() < 1e-15 && cosine[0] == 1.0);
        assert!((cosine[2] - (0.5 + 0.5 * 0.5_f64.sqrt())).abs() < 1e-15);
        assert_eq!(factors("step:3:0.5", 0), [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(factors("step:1e:0.5", 0), [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
        let exponential = factors("exponential:4:0.25", 0);
        assert_eq!((exponential[2], exponential[4]), (0.5, 0.25));
    }

    #[test]
    fn what_is_no_schedule_is_an_error() {
        for wrong in ["", "cosin", "step", "step:0:0.5", "step:1:1.5", "linear:3", "step:1:0.5:2"] {
            let error = wrong.parse::<Decay>().unwrap_err();
            assert!(error.to_string().starts_with("--schedule: expected"), "{error}");
        }
    }
}
