//! Scores of numbers.

use super::mean;

/// `(right, predicted)` of each item.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The items.
    pub items: Vec<(f64, f64)>,
}

impl Numbers {
    /// Pearson's correlation; not a number where either side does not vary.
    #[must_use]
    pub fn pearson(&self, sample: &[usize]) -> f64 {
        pearson(sample.iter().map(|&i| self.items[i]))
    }

    /// Spearman's correlation: Pearson's of ranks, equals sharing the mean of theirs.
    #[must_use]
    pub fn spearman(&self, sample: &[usize]) -> f64 {
        let right: Vec<f64> = sample.iter().map(|&i| self.items[i].0).collect();
        let predicted: Vec<f64> = sample.iter().map(|&i| self.items[i].1).collect();
        pearson(ranks(&right).into_iter().zip(ranks(&predicted)))
    }

    /// The mean absolute error.
    #[must_use]
    pub fn absolute_error(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| (self.items[i].0 - self.items[i].1).abs()))
    }

    /// The root of the mean squared error.
    #[must_use]
    pub fn root_squared_error(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| (self.items[i].0 - self.items[i].1).powi(2))).sqrt()
    }
}

fn pearson(items: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (x, y) = (mean(items.clone().map(|i| i.0)), mean(items.clone().map(|i| i.1)));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in items {
        xy += (a - x) * (b - y);
        xx += (a - x) * (a - x);
        yy += (b - y) * (b - y);
    }
    xy / (xx * yy).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (same.len() - 1) as f64 / 2.0;
        same.iter().for_each(|&i| ranks[i] = rank);
        start += same.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_and_errors_by_hand() {
        let metric = Numbers { items: vec![(1.0, 2.0), (2.0, 3.0), (3.0, 5.0), (4.0, 4.0)] };
        let all = [0, 1, 2, 3];
        // Deviations -1.5 -0.5 0.5 1.5 and -1.5 -0.5 1.5 0.5: products sum to 4, squares to 5.
        assert!((metric.pearson(&all) - 0.8).abs() < 1e-15);
        assert!((metric.spearman(&all) - 0.8).abs() < 1e-15);
        assert_eq!(metric.absolute_error(&all), 1.0);
        assert!((metric.root_squared_error(&all) - (6.0_f64 / 4.0).sqrt()).abs() < 1e-15);
        assert!(metric.pearson(&[0, 0]).is_nan());
    }

    #[test]
    fn equals_share_their_rank() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
    }
}
