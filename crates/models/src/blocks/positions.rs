//! Where tokens stand: frequencies of rotary embeddings, buckets of relative distances, sinusoids.

use std::sync::Arc;

use glossator_ops::{DType, Rotary, Tensor, Weight};

use crate::error::Result;

/// Rotary position embeddings of a kind of layer.
#[derive(Debug, Clone)]
pub struct RotarySettings {
    /// Radians a position, one for each pair of a head's elements.
    pub frequencies: Vec<f64>,
    /// What the turned elements are multiplied by; 1 in all but some long-context variants.
    pub scale: f64,
}

impl RotarySettings {
    /// The angles of the positions.
    #[must_use]
    pub fn at(&self, positions: &[usize]) -> Rotary {
        Rotary::new(positions, &self.frequencies, self.scale)
    }
}

/// How distances are put into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// How many there are.
    pub count: usize,
    /// From this distance on, all share the last bucket.
    pub max_distance: usize,
    /// Whether keys after the query have buckets of their own; else they share that of distance 0.
    pub both_sides: bool,
}

impl Buckets {
    /// The bucket of `key - query`: exact for near keys, logarithmic for far ones (Raffel et al.
    /// 2020, arXiv 1910.10683, section 2.1).
    #[must_use]
    pub fn of(self, offset: i64) -> usize {
        let (count, first) = match (self.both_sides, offset > 0) {
            (true, true) => (self.count / 2, self.count / 2),
            (true, false) => (self.count / 2, 0),
            (false, _) => (self.count, 0),
        };
        let distance =
            if self.both_sides { offset.unsigned_abs() } else { (-offset).max(0) as u64 } as usize;
        let exact = count / 2;
        if distance < exact {
            return first + distance;
        }
        // In f32, as the reference computes it: at the borders of buckets the rounding decides.
        let range = (self.max_distance as f64 / exact.max(1) as f64).ln();
        let ratio = (distance as f32 / exact.max(1) as f32).ln() / range as f32;
        let far = exact + (ratio * (count - exact) as f32) as usize;
        first + far.min(count.saturating_sub(1))
    }
}

/// A bias of attention scores that depends on the distance (T5, MPNet).
#[derive(Debug, Clone)]
pub struct RelativeBias {
    /// `[buckets, heads]`
    pub table: Weight,
    /// How distances are put into buckets.
    pub buckets: Buckets,
}

impl RelativeBias {
    /// The bias for queries at these positions and keys `0..n_keys`: `[heads, queries, keys]`.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn at(&self, queries: &[usize], n_keys: usize) -> Result<Weight> {
        let heads = self.table.shape()[1];
        let bucket = |query: usize, key: usize| self.buckets.of(key as i64 - query as i64) as u32;
        let ids: Vec<u32> = queries
            .iter()
            .flat_map(|&query| (0..n_keys).map(move |key| bucket(query, key)))
            .collect();
        let rows = glossator_ops::embedding(&self.table, &ids, &[queries.len(), n_keys])?;
        let bias = rows.permute((2, 0, 1))?.contiguous()?;
        if bias.track_op() {
            return Ok(Weight::from_tensor(bias));
        }
        let shape = [heads, queries.len(), n_keys];
        let flat = bias.flatten_all()?;
        Ok(match bias.dtype() {
            DType::F64 => Weight::from_f64(Arc::new(flat.to_vec1::<f64>()?), &shape)?,
            _ => Weight::from_f32(Arc::new(flat.to_vec1::<f32>()?), &shape)?,
        })
    }
}

/// Sines in the first half of each row and cosines in the second, row-major
/// `[positions, width]` (Vaswani et al. 2017, section 3.5, in the order of Marian's tables).
#[must_use]
pub fn sinusoids(positions: usize, width: usize) -> Vec<f64> {
    let half = width.div_ceil(2);
    let mut table = Vec::with_capacity(positions * width);
    for position in 0..positions {
        for i in 0..width {
            let frequency = |pair: usize| 10_000_f64.powf(-2.0 * pair as f64 / width as f64);
            table.push(if i < half {
                (position as f64 * frequency(i)).sin()
            } else {
                (position as f64 * frequency(i - half)).cos()
            });
        }
    }
    table
}

/// The rows of `x` at `positions` of dimension 1, in that order.
pub(crate) fn select(x: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let n = x.dim(1)?;
    if positions.len() == n && positions.iter().enumerate().all(|(i, &at)| i == at) {
        return Ok(x.clone());
    }
    if let [one] = *positions
        && one < n
    {
        return Ok(x.narrow(1, one, 1)?.contiguous()?);
    }
    let ids: Vec<u32> = positions.iter().map(|&at| at as u32).collect();
    let ids = Tensor::from_vec(ids, positions.len(), x.device())?;
    Ok(x.contiguous()?.index_select(&ids, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_have_buckets_of_their_own() {
        let both = Buckets { count: 32, max_distance: 128, both_sides: true };
        assert_eq!([0, -1, -7, 1, 7].map(|d| both.of(d)), [0, 1, 7, 17, 23]);
        assert_eq!([-8, -128, -5000, 5000].map(|d| both.of(d)), [8, 15, 15, 31]);
        let back = Buckets { both_sides: false, ..both };
        assert_eq!([5, 0, -1, -15, -16, -127, -128].map(|d| back.of(d)), [0, 0, 1, 15, 16, 31, 31]);
    }

    #[test]
    fn sinusoids_begin_with_zero_and_one() {
        let table = sinusoids(2, 4);
        assert_eq!(table[..4], [0.0, 0.0, 1.0, 1.0]);
        assert!(
            (table[4] - 1_f64.sin()).abs() < 1e-15 && (table[7] - 0.01_f64.cos()).abs() < 1e-15
        );
    }
}
