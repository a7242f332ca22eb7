//! Accuracy and F1 of labels.

use super::{ClassScore, Counts, mean};

/// Predictions of one label each.
#[derive(Debug, Clone, Default)]
pub struct SingleLabel {
    /// `(right, predicted)` of each item, indices of labels.
    pub items: Vec<(usize, usize)>,
    /// How many labels there are.
    pub labels: usize,
}

impl SingleLabel {
    /// The share of a sample that is right.
    #[must_use]
    pub fn accuracy(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| f64::from(self.items[i].0 == self.items[i].1)))
    }

    /// The mean F1 over the labels that are in the sample, right or predicted, as scikit-learn's
    /// `f1_score(average="macro")` has it.
    #[must_use]
    pub fn macro_f1(&self, sample: &[usize]) -> f64 {
        let counts = self.counts(sample);
        mean(counts.iter().filter(|c| c.expected + c.predicted > 0).map(|c| c.f1()))
    }

    /// The counts of each label.
    fn counts(&self, sample: &[usize]) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); self.labels];
        for &i in sample {
            let (right, predicted) = self.items[i];
            counts[right].expected += 1;
            counts[predicted].predicted += 1;
            if right == predicted {
                counts[right].correct += 1;
            }
        }
        counts
    }

    /// The scores of each label, in the order of `names`.
    #[must_use]
    pub fn classes(&self, names: &[String]) -> Vec<ClassScore> {
        let all: Vec<usize> = (0..self.items.len()).collect();
        names.iter().zip(self.counts(&all)).map(|(name, counts)| counts.score(name)).collect()
    }

    /// How often each label (row) was predicted as each (column).
    #[must_use]
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut table = vec![vec![0; self.labels]; self.labels];
        for &(right, predicted) in &self.items {
            table[right][predicted] += 1;
        }
        table
    }
}

/// Predictions of any number of labels each.
#[derive(Debug, Clone, Default)]
pub struct MultiLabel {
    /// The labels that are right and those that were predicted, as flags.
    pub items: Vec<(Vec<bool>, Vec<bool>)>,
    /// How many labels there are.
    pub labels: usize,
}

impl MultiLabel {
    /// The share of a sample whose labels are all right.
    #[must_use]
    pub fn subset_accuracy(&self, sample: &[usize]) -> f64 {
        mean(sample.iter().map(|&i| f64::from(self.items[i].0 == self.items[i].1)))
    }

    /// The mean F1 over all labels.
    #[must_use]
    pub fn macro_f1(&self, sample: &[usize]) -> f64 {
        mean(self.counts(sample).iter().map(|counts| counts.f1()))
    }

    /// The F1 of all decisions together.
    #[must_use]
    pub fn micro_f1(&self, sample: &[usize]) -> f64 {
        let mut all = Counts::default();
        self.counts(sample).into_iter().for_each(|counts| all += counts);
        all.f1()
    }

    fn counts(&self, sample: &[usize]) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); self.labels];
        for &i in sample {
            let (right, predicted) = &self.items[i];
            for ((count, &right), &predicted) in counts.iter_mut().zip(right).zip(predicted) {
                count.expected += u64::from(right);
                count.predicted += u64::from(predicted);
                count.correct += u64::from(right && predicted);
            }
        }
        counts
    }

    /// The scores of each label, in the order of `names`.
    #[must_use]
    pub fn classes(&self, names: &[String]) -> Vec<ClassScore> {
        let all: Vec<usize> = (0..self.items.len()).collect();
        names.iter().zip(self.counts(&all)).map(|(name, counts)| counts.score(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_macro_f1_by_hand() {
        // Label 0: 2 of 3 predicted are right, 2 of 2 found: F1 4/5. Label 1: 1 of 1, 1 of 2: 2/3.
        // Label 2 is in no item and does not count.
        let metric = SingleLabel { items: vec![(0, 0), (0, 0), (1, 0), (1, 1)], labels: 3 };
        let all = [0, 1, 2, 3];
        assert_eq!(metric.accuracy(&all), 0.75);
        assert!((metric.macro_f1(&all) - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert_eq!(metric.accuracy(&[2, 2, 3]), 1.0 / 3.0);
        assert_eq!(metric.confusion(), [[2, 0, 0], [1, 1, 0], [0, 0, 0]]);
        let names = ["a", "b", "c"].map(str::to_owned);
        let classes = metric.classes(&names);
        assert_eq!((classes[0].precision, classes[0].recall), (2.0 / 3.0, 1.0));
        assert_eq!((classes[1].support, classes[2].support), (2, 0));
        assert_eq!(classes[2].f1, 0.0);
    }

    #[test]
    fn several_labels_by_hand() {
        let items = vec![
            (vec![true, false], vec![true, true]),
            (vec![false, true], vec![false, false]),
            (vec![true, true], vec![true, true]),
        ];
        let metric = MultiLabel { items, labels: 2 };
        let all = [0, 1, 2];
        assert_eq!(metric.subset_accuracy(&all), 1.0 / 3.0);
        // Correct 3, predicted 4, expected 4.
        assert_eq!(metric.micro_f1(&all), 0.75);
        // Label 0: 2, 2, 2; label 1: 1, 2, 2.
        assert_eq!(metric.macro_f1(&all), 0.75);
    }
}
