//! Rotary position embeddings (Su et al. 2021, arXiv 2104.09864): pairs of elements of queries and
//! keys are turned by an angle that grows with the position.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};

/// The angles of each position.
///
/// Element `i` of a head is paired with element `i + pairs`, as Llama and GPT-NeoX do; elements
/// beyond the pairs are left alone.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosines, `[positions, pairs]`.
    cos: Arc<[f64]>,
    /// Sines, `[positions, pairs]`.
    sin: Arc<[f64]>,
    pairs: usize,
}

impl Rotary {
    /// Angles `position * frequencies[i]` at the given positions. `scale` multiplies the turned
    /// elements (attention factors of long-context variants; else 1).
    #[must_use]
    pub fn new(positions: &[usize], frequencies: &[f64], scale: f64) -> Self {
        let angles =
            || positions.iter().flat_map(|&at| frequencies.iter().map(move |f| at as f64 * f));
        Self {
            cos: angles().map(|angle| angle.cos() * scale).collect(),
            sin: angles().map(|angle| angle.sin() * scale).collect(),
            pairs: frequencies.len(),
        }
    }

    /// The usual frequencies, `base^(-2i / width)` for `i` in `0..width / 2`.
    #[must_use]
    pub fn frequencies(base: f64, width: usize) -> Vec<f64> {
        (0..width / 2).map(|i| base.powf(-2.0 * i as f64 / width as f64)).collect()
    }

    /// Turns the first `heads` heads of `width` elements of each row.
    ///
    /// # Shapes
    /// - `x`: `[batch, positions, >= heads * width]`
    /// - result: the same
    ///
    /// # Errors
    /// If `x` has another number of positions, or the heads do not fit.
    pub fn forward(&self, x: &Tensor, heads: usize, width: usize) -> Result<Tensor> {
        let (_, positions, row) = x.dims3()?;
        if positions * self.pairs != self.cos.len() {
            let expected = self.cos.len() / self.pairs.max(1);
            return Err(shape_error("rotary", "positions", expected, positions));
        }
        if heads * width > row || 2 * self.pairs > width {
            let expected = (heads, 2 * self.pairs);
            return Err(shape_error("rotary", "heads and their width", expected, (row, width)));
        }
        if self.pairs == 0 || heads == 0 {
            return Ok(x.clone());
        }
        if !x.device().is_cpu() {
            return self.composed(x, heads, width);
        }
        x.contiguous()?.apply_op1(Turn { rotary: self.clone(), heads, width })
    }

    /// The rotation written with candle's own operations.
    pub(crate) fn composed(&self, x: &Tensor, heads: usize, width: usize) -> Result<Tensor> {
        let (batch, positions, row) = x.dims3()?;
        let table = |values: &[f64]| {
            let table = Tensor::from_slice(values, (positions, 1, self.pairs), x.device())?;
            table.to_dtype(x.dtype())
        };
        let (cos, sin) = (table(&self.cos)?, table(&self.sin)?);
        let turned = x.narrow(2, 0, heads * width)?.reshape((batch, positions, heads, width))?;
        let first = turned.narrow(3, 0, self.pairs)?;
        let second = turned.narrow(3, self.pairs, self.pairs)?;
        let a = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
        let b = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
        let rest = turned.narrow(3, 2 * self.pairs, width - 2 * self.pairs)?;
        let turned = Tensor::cat(&[a, b, rest], 3)?.reshape((batch, positions, heads * width))?;
        let kept = x.narrow(2, heads * width, row - heads * width)?;
        Tensor::cat(&[turned, kept], 2)
    }

    /// Turns in place; backwards with `direction` -1.
    fn turn<T: Real>(&self, x: &mut [T], row: usize, heads: usize, width: usize, direction: f64) {
        let positions = self.cos.len() / self.pairs;
        let cos: Vec<T> = self.cos.iter().map(|&c| T::of(c)).collect();
        let sin: Vec<T> = self.sin.iter().map(|&s| T::of(direction * s)).collect();
        for (at, row) in x.chunks_exact_mut(row).enumerate() {
            let angles = at % positions * self.pairs..(at % positions + 1) * self.pairs;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for head in row[..heads * width].chunks_exact_mut(width) {
                let (first, rest) = head.split_at_mut(self.pairs);
                let pairs = first.iter_mut().zip(rest.iter_mut());
                for ((a, b), (&c, &s)) in pairs.zip(cos.iter().zip(sin)) {
                    (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                }
            }
        }
    }
}

struct Turn {
    rotary: Rotary,
    heads: usize,
    width: usize,
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, row) = layout.shape().dims3()?;
        for_real!(self.name(), storage_dtype(storage), T => {
            let mut out = contiguous::<T>(self.name(), storage, layout)?.to_vec();
            self.rotary.turn(&mut out, row, self.heads, self.width, 1.0);
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    /// A rotation's transpose is the rotation back.
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, row) = x.dims3()?;
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(dy.to_vec()))?;
            self.rotary.turn(&mut dx, row, self.heads, self.width, -1.0);
            tensor(dx, x.dims()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32, assert_gradient, assert_same, max_abs, random};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn gradients_over_random_shapes(
            batch in 1usize..3, n in 1usize..5, heads in 1usize..4, pairs in 1usize..4,
            alone in 0usize..3, extra in 0usize..5, start in 0usize..50, seed in 0u64..1000,
        ) {
            let width = 2 * pairs + alone;
            let positions: Vec<usize> = (start..start + n).collect();
            let rotary = Rotary::new(&positions, &Rotary::frequencies(100.0, 2 * pairs), 1.3);
            let x = [random(seed, &[batch, n, heads * width + extra])];
            let fast = |x: &[Tensor]| rotary.forward(&x[0], heads, width);
            assert_gradient(&x, fast);
            assert_same(&x, fast, |x| rotary.composed(&x[0], heads, width));
            assert_f32(&x, fast, 1e-5);
        }

        /// What the rotation is for: products depend on the distance of positions only.
        #[test]
        fn products_depend_on_distance_only(start in 0usize..1000, seed in 0u64..1000) {
            let (q, k) = (random(seed, &[1, 1, 8]), random(seed + 1, &[1, 1, 8]));
            let product = |at: usize| {
                let turn = |x: &Tensor, at| {
                    Rotary::new(&[at], &Rotary::frequencies(1e4, 8), 1.0).forward(x, 1, 8).unwrap()
                };
                let sum = (turn(&q, at) * turn(&k, at + 3)).unwrap().sum_all().unwrap();
                sum.to_scalar::<f64>().unwrap()
            };
            prop_assert!((product(0) - product(start)).abs() < 1e-10);
        }
    }

    #[test]
    fn position_zero_changes_nothing() {
        let x = random(1, &[1, 1, 6]);
        let turned = Rotary::new(&[0], &[1.0, 0.1], 1.0).forward(&x, 1, 6).unwrap();
        assert_eq!(max_abs(&(turned - x).unwrap()), 0.0);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let rotary = Rotary::new(&[0, 1], &[1.0, 0.1], 1.0);
        assert!(rotary.forward(&random(1, &[1, 3, 4]), 1, 4).is_err());
        assert!(rotary.forward(&random(1, &[1, 2, 4]), 2, 4).is_err());
        assert!(rotary.forward(&random(1, &[1, 2, 4]), 1, 3).is_err());
    }
}
