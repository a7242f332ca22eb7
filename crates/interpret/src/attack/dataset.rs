//! How often attacks on many inputs succeed.

use super::attacker::Attacked;

/// What came of attacks on many inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Inputs that came.
    pub inputs: usize,
    /// Inputs that could not be attacked at all.
    pub errors: usize,
    /// Inputs whose label was given and that the model had wrong: they were not attacked.
    pub wrong: usize,
    /// Decisions that were attacked.
    pub attacked: usize,
    /// Those whose attack succeeded.
    pub succeeded: usize,
    /// Those whose attack a limit ended.
    pub spent: usize,
    /// The number of edits of each success.
    edits: Vec<f64>,
    /// The forward passes of each attack.
    passes: Vec<f64>,
    /// The gradients of each attack.
    gradients: Vec<f64>,
    /// The share of its words' tokens that each reduction kept.
    kept: Vec<f64>,
}

/// The numbers of one attack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct One {
    /// Whether it succeeded.
    pub success: bool,
    /// Whether a limit ended it.
    pub spent: bool,
    /// Its edits.
    pub edits: usize,
    /// Its forward passes.
    pub passes: usize,
    /// Its gradients.
    pub gradients: usize,
    /// The share of the tokens that it kept, of a reduction.
    pub kept: Option<f64>,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The interval: from a normal approximation for means, Wilson's for shares.
    pub interval: (f64, f64),
}

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

impl Summary {
    /// Counts one attacked input.
    pub fn add(&mut self, attacked: &Attacked) {
        self.add_input();
        let tokens = attacked.encoding.tokens.iter().filter(|token| !token.special).count();
        for result in &attacked.results {
            let kept = result.kept.as_ref().filter(|_| tokens > 0);
            self.add_attack(&One {
                success: result.success,
                spent: result.stopped == super::Stopped::Spent,
                edits: result.texts.edits().len(),
                passes: result.forward_passes,
                gradients: result.gradient_evaluations,
                kept: kept.map(|kept| kept.len() as f64 / tokens as f64),
            });
        }
    }

    /// Counts an input; its attacks are counted by themselves.
    pub fn add_input(&mut self) {
        self.inputs += 1;
    }

    /// Counts one attack.
    pub fn add_attack(&mut self, one: &One) {
        self.attacked += 1;
        self.passes.push(one.passes as f64);
        self.gradients.push(one.gradients as f64);
        self.spent += usize::from(one.spent);
        if one.success {
            self.succeeded += 1;
            self.edits.push(one.edits as f64);
        }
        self.kept.extend(one.kept);
    }

    /// Counts an input that the model had wrong to begin with.
    pub fn add_wrong(&mut self) {
        self.inputs += 1;
        self.wrong += 1;
    }

    /// Counts an input that could not be attacked.
    pub fn add_error(&mut self) {
        self.inputs += 1;
        self.errors += 1;
    }

    /// The share of attacks that succeeded; none without any.
    #[must_use]
    pub fn success_rate(&self) -> Option<Mean> {
        wilson(self.succeeded, self.attacked)
    }

    /// Edits of a success.
    #[must_use]
    pub fn edits(&self) -> Option<Mean> {
        mean(&self.edits)
    }

    /// Forward passes of an attack.
    #[must_use]
    pub fn passes(&self) -> Option<Mean> {
        mean(&self.passes)
    }

    /// Gradients of an attack.
    #[must_use]
    pub fn gradients(&self) -> Option<Mean> {
        mean(&self.gradients)
    }

    /// The share of the tokens that a reduction kept.
    #[must_use]
    pub fn kept(&self) -> Option<Mean> {
        mean(&self.kept)
    }
}

/// A share with Wilson's interval (1927), which stays within 0 and 1 and is honest at both ends.
#[must_use]
pub fn wilson(successes: usize, of: usize) -> Option<Mean> {
    if of == 0 {
        return None;
    }
    let n = of as f64;
    let p = successes as f64 / n;
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Some(Mean { mean: p, interval: ((centre - half).max(0.0), (centre + half).min(1.0)) })
}

fn mean(values: &[f64]) -> Option<Mean> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let variance = if values.len() > 1 {
        values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)
    } else {
        0.0
    };
    let half = Z * (variance / n).sqrt();
    Some(Mean { mean, interval: (mean - half, mean + half) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_that_of_the_books() {
        // Agresti and Coull 1998: 0 of 10 gives 0 to 0.278.
        let none = wilson(0, 10).unwrap();
        assert_eq!(none.interval.0, 0.0);
        assert!((none.interval.1 - 0.2775).abs() < 1e-3);
        let half = wilson(50, 100).unwrap();
        assert!((half.interval.0 - 0.4038).abs() < 1e-3 && (half.interval.1 - 0.5962).abs() < 1e-3);
        assert_eq!(wilson(0, 0), None);
        assert!(wilson(10, 10).unwrap().interval.1 <= 1.0);
    }

    #[test]
    fn means_have_intervals() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[2.0]).unwrap().interval, (2.0, 2.0));
        let two = mean(&[1.0, 3.0]).unwrap();
        assert_eq!(two.mean, 2.0);
        assert!((two.interval.1 - (2.0 + Z)).abs() < 1e-9);
    }
}
