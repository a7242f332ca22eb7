//! Percentile bootstrap (Efron 1979; Efron & Tibshirani 1993, chapter 13): items are drawn with
//! replacement many times, and the score of each draw is noted.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How an interval is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many times all items are drawn again; 0 for no intervals.
    pub samples: usize,
    /// Of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// The 95 % interval of `score` over samples of `items` items; `score` gets the indices of the
    /// items in a sample. None of fewer than two items or samples, or if a score is not a number.
    ///
    /// Draws depend on the seed and the number of items alone: scores of the same items are
    /// measured on the same samples.
    #[must_use]
    pub fn interval(&self, items: usize, score: impl Fn(&[usize]) -> f64) -> Option<(f64, f64)> {
        if items < 2 || self.samples < 2 {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut sample = vec![0; items];
        let mut scores = Vec::with_capacity(self.samples);
        for _ in 0..self.samples {
            sample.fill_with(|| random.random_range(0..items));
            scores.push(score(&sample));
        }
        if scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        scores.sort_by(f64::total_cmp);
        Some((quantile(&scores, 0.025), quantile(&scores, 0.975)))
    }
}

/// A quantile of sorted values, between the two nearest (Hyndman & Fan's type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_the_binomials() {
        // 300 of 400: the normal approximation gives 0.75 ± 1.96 sqrt(0.75 0.25 / 400) = 0.0424.
        let right = |sample: &[usize]| {
            sample.iter().filter(|&&i| i < 300).count() as f64 / sample.len() as f64
        };
        let (low, high) = Bootstrap::default().interval(400, right).unwrap();
        // 1000 samples: each end has a standard error of about 0.0018.
        assert!((low - 0.7076).abs() < 0.008, "{low}");
        assert!((high - 0.7924).abs() < 0.008, "{high}");
        assert_eq!(Bootstrap::default().interval(400, right), Some((low, high)));
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&values, 0.5), 2.0);
        assert_eq!(quantile(&values, 0.75), 3.0);
        assert_eq!(quantile(&values, 1.0), 4.0);
    }

    #[test]
    fn too_little_has_no_interval() {
        assert_eq!(Bootstrap::default().interval(1, |_| 1.0), None);
        assert_eq!(Bootstrap { samples: 0, seed: 0 }.interval(10, |_| 1.0), None);
        assert_eq!(Bootstrap::default().interval(10, |_| f64::NAN), None);
    }
}
