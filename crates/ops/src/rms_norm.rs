//! Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::layer_norm::constant;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, lane_sum, simd, tensor, with_slice};
use crate::weight::Weight;

/// `y = x / sqrt(mean(x²) + eps) * weight` over the last dimension.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Weight,
    eps: f64,
}

impl RmsNorm {
    /// A norm with `weight: [width]`.
    ///
    /// # Errors
    /// If the weight is not a vector.
    pub fn new(weight: Weight, eps: f64) -> Result<Self> {
        match weight.shape() {
            [_] => Ok(Self { weight, eps }),
            other => Err(shape_error("rms norm", "weight", "[width]", other)),
        }
    }

    /// Normalises `x`.
    ///
    /// # Shapes
    /// - `x`: `[.., width]`
    /// - result: the same
    ///
    /// # Errors
    /// If the last dimension is not the norm's width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.shape()[0];
        if x.dims().last() != Some(&width) {
            return Err(shape_error("rms norm", "last dimension of the input", width, x.dims()));
        }
        if x.device().is_cpu() && self.weight.is_constant() {
            let operation = Normalise { norm: self.clone(), scales: OnceLock::new() };
            x.contiguous()?.apply_op1(operation)
        } else {
            self.composed(x)
        }
    }

    /// The norm written with candle's own operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let mean_square = x.sqr()?.mean_keepdim(candle_core::D::Minus1)?;
        let normed = x.broadcast_div(&(mean_square + self.eps)?.sqrt()?)?;
        normed.broadcast_mul(&self.weight.to_tensor(x.device())?)
    }
}

struct Normalise {
    norm: RmsNorm,
    /// The factor of each row.
    scales: OnceLock<Vec<f64>>,
}

impl CustomOp1 for Normalise {
    fn name(&self) -> &'static str {
        "rms norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = self.norm.weight.shape()[0];
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let weight = constant::<T>(&self.norm.weight)?;
            let mut out = x.to_vec();
            let mut scales = Vec::with_capacity(x.len() / width.max(1));
            let (count, eps) = (T::of(width as f64), T::of(self.norm.eps));
            simd!({
                for row in out.chunks_exact_mut(width) {
                    let mean_square = lane_sum(width, #[inline(always)] |i| row[i] * row[i]) / count;
                    let scale = T::ONE / (mean_square + eps).sqrt();
                    scales.push(scale.to_f64());
                    for (value, &w) in row.iter_mut().zip(weight) {
                        *value = *value * scale * w;
                    }
                }
            });
            let _ = self.scales.set(scales);
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    /// With x̂ = x s and h = dy * weight: dx = s (h - x̂ mean(h x̂)).
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let width = self.norm.weight.shape()[0];
        let dy = dy.contiguous()?;
        let Some(scales) = self.scales.get() else {
            candle_core::bail!("rms norm: backward before forward");
        };
        for_real!(self.name(), x.dtype(), T => {
            let weight = constant::<T>(&self.norm.weight)?;
            let mut dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(dy.to_vec()))?;
            with_slice::<T, _>(self.name(), x, |x| {
                let count = T::of(width as f64);
                simd!({
                    let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    for ((dx, x), &scale) in rows.zip(scales) {
                        let scale = T::of(scale);
                        for (dx, &w) in dx.iter_mut().zip(weight) {
                            *dx *= w;
                        }
                        let mean_hx = lane_sum(width, #[inline(always)] |i| dx[i] * (x[i] * scale)) / count;
                        for (dx, &x) in dx.iter_mut().zip(x) {
                            *dx = scale * (*dx - x * scale * mean_hx);
                        }
                    }
                });
                Ok(())
            })?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same, random, weight};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn gradients_over_random_shapes(
            rows in 1usize..4, width in 1usize..40, seed in 0u64..1000,
        ) {
            let norm = RmsNorm::new(weight(seed, &[width]), 1e-5).unwrap();
            // Away from the origin, where the function turns too fast for the step.
            let x = (random(seed + 2, &[rows, width]).abs().unwrap() + 0.5).unwrap();
            assert_gradient(std::slice::from_ref(&x), |x| norm.forward(&x[0]));
            assert_same(&[x], |x| norm.forward(&x[0]), |x| norm.composed(&x[0]));
        }
    }

    #[test]
    fn trained_norm_has_weight_gradients() {
        let inputs = [random(1, &[3, 6]), random(2, &[6])];
        assert_gradient(&inputs, |x| {
            RmsNorm::new(Weight::from_tensor(x[1].clone()), 1e-5)?.forward(&x[0])
        });
    }
}
