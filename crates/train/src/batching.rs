//! Which examples are seen when.
//!
//! Everything is a pure function of the seed and the epoch: a run that goes on after it was killed
//! sees what it would have seen.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The order of a run's examples.
#[derive(Debug, Clone)]
pub struct Batching {
    /// The number of tokens of each example.
    pub lengths: Vec<u32>,
    /// Examples of a batch.
    pub size: usize,
    /// Of the order.
    pub seed: u64,
    /// Whether examples of like length go into one batch; else the order is random throughout.
    pub by_length: bool,
}

/// How many batches' examples are sorted by length together: enough that lengths hardly differ
/// within one, few enough that an epoch is well mixed.
const WINDOW: usize = 64;

impl Batching {
    /// The number of batches of an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.lengths.len().div_ceil(self.size.max(1))
    }

    /// The batches of an epoch, counted from 0, as indices of examples. Each example is in one.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let size = self.size.max(1);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch);
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.shuffle(&mut random);
        if !self.by_length {
            return order.chunks(size).map(<[usize]>::to_vec).collect();
        }
        for window in order.chunks_mut(WINDOW * size) {
            window.sort_by_key(|&i| self.lengths[i]);
        }
        let mut batches: Vec<_> = order.chunks(size).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut random);
        batches
    }
}

/// A number that depends on all of `parts` and looks random (splitmix64).
pub(crate) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x243F_6A88_85A3_08D3, |state: u64, &part| {
        let mut z = (state ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batching(by_length: bool) -> Batching {
        let lengths = (0..1000).map(|i| mix(&[i]) as u32 % 100).collect();
        Batching { lengths, size: 16, seed: 5, by_length }
    }

    #[test]
    fn each_example_is_in_one_batch_of_each_epoch() {
        for by_length in [true, false] {
            let batching = batching(by_length);
            let epoch = batching.epoch(3);
            assert_eq!(epoch.len(), batching.batches());
            let mut seen: Vec<usize> = epoch.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
            assert_eq!(epoch, batching.epoch(3));
            assert_ne!(epoch, batching.epoch(4));
        }
    }

    #[test]
    fn batches_by_length_have_little_padding() {
        let padded = |by_length| -> u32 {
            let batching = batching(by_length);
            let longest = |batch: &Vec<usize>| batch.iter().map(|&i| batching.lengths[i]).max();
            batching.epoch(0).iter().filter_map(|b| Some(longest(b)? * b.len() as u32)).sum()
        };
        let real: u32 = batching(true).lengths.iter().sum();
        assert!(f64::from(padded(true)) < 1.05 * f64::from(real));
        assert!(f64::from(padded(false)) > 1.5 * f64::from(real));
    }

    #[test]
    fn every_part_changes_the_mix() {
        assert_ne!(mix(&[1, 2]), mix(&[2, 1]));
        assert_ne!(mix(&[1]), mix(&[1, 0]));
    }
}
