//! Scores of predictions, each computable on any sample of the items, so that
//! [`bootstrap`] can tell how much chance is in it.

pub mod bootstrap;
pub mod classification;
pub mod language;
pub mod regression;
pub mod spans;
pub mod squad;

/// One score with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Its name, such as `macro-f1`.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The bootstrap's 95 % interval; none where there are too few items for one.
    pub interval: Option<(f64, f64)>,
    /// Whether more is better.
    pub more_is_better: bool,
}

/// What one label or kind of entity came to.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScore {
    /// The label.
    pub label: String,
    /// Correct among predicted; 0 if nothing was predicted.
    pub precision: f64,
    /// Correct among those that should have been; 0 if there were none.
    pub recall: f64,
    /// Their harmonic mean; 0 if both are 0.
    pub f1: f64,
    /// How many there are in the data.
    pub support: u64,
}

/// Correct, predicted and expected items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Predicted and right.
    pub correct: u64,
    /// Predicted.
    pub predicted: u64,
    /// In the data.
    pub expected: u64,
}

impl Counts {
    /// The share of `predicted` that is right; 0 of nothing.
    #[must_use]
    pub fn precision(self) -> f64 {
        ratio(self.correct, self.predicted)
    }

    /// The share of `expected` that was found; 0 of nothing.
    #[must_use]
    pub fn recall(self) -> f64 {
        ratio(self.correct, self.expected)
    }

    /// The harmonic mean of both; 0 if there is nothing.
    #[must_use]
    pub fn f1(self) -> f64 {
        ratio(2 * self.correct, self.predicted + self.expected)
    }

    /// The scores of a label.
    #[must_use]
    pub fn score(self, label: &str) -> ClassScore {
        ClassScore {
            label: label.to_owned(),
            precision: self.precision(),
            recall: self.recall(),
            f1: self.f1(),
            support: self.expected,
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.predicted += other.predicted;
        self.expected += other.expected;
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The mean; 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u64);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}
