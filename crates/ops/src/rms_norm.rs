//! Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::layer_norm::{constant, sum_over_rows};
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, lane_sum, simd, tensor, with_slice};
use crate::threads;
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
        if !x.device().is_cpu() {
            return self.composed(x);
        }
        let operation = Normalise { norm: self.clone(), scales: OnceLock::new() };
        if self.weight.is_constant() {
            return x.contiguous()?.apply_op1(operation);
        }
        let weight = self.weight.to_tensor(x.device())?.contiguous()?;
        x.contiguous()?.apply_op2(&weight, operation)
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

/// Multiply-adds that an element costs.
const COST: usize = 4;

impl Normalise {
    fn forward<T: Real>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let width = weight.len();
        let mut out = x.to_vec();
        let mut scales = vec![0.0; x.len() / width.max(1)];
        let (count, eps) = (T::of(width as f64), T::of(self.norm.eps));
        let parts = threads::parts_for(COST * x.len());
        threads::split_two(&mut out, &mut scales, (width, 1), parts, |_, out, scales| {
            simd!({
                for (row, kept) in out.chunks_exact_mut(width.max(1)).zip(scales) {
                    let mean_square = lane_sum(
                        width,
                        #[inline(always)]
                        |i| row[i] * row[i],
                    ) / count;
                    let scale = T::ONE / (mean_square + eps).sqrt();
                    *kept = scale.to_f64();
                    for (value, &w) in row.iter_mut().zip(weight) {
                        *value = *value * scale * w;
                    }
                }
            });
        });
        let _ = self.scales.set(scales);
        out
    }

    fn scales(&self) -> Result<&[f64]> {
        match self.scales.get() {
            Some(scales) => Ok(scales),
            None => candle_core::bail!("rms norm: backward before forward"),
        }
    }

    /// With x̂ = x s and h = dy * weight: dx = s (h - x̂ mean(h x̂)).
    fn input_gradient<T: Real>(&self, x: &[T], weight: &[T], dy: &[T]) -> Result<Vec<T>> {
        let scales = self.scales()?;
        let width = weight.len();
        let count = T::of(width as f64);
        let mut dx = dy.to_vec();
        let parts = threads::parts_for(COST * x.len());
        threads::split_rows(&mut dx, width, parts, |first, dx| {
            simd!({
                for (row, dx) in dx.chunks_exact_mut(width.max(1)).enumerate() {
                    let x = &x[(first + row) * width..][..width];
                    let scale = T::of(scales[first + row]);
                    for (dx, &w) in dx.iter_mut().zip(weight) {
                        *dx *= w;
                    }
                    let mean_hx = lane_sum(
                        width,
                        #[inline(always)]
                        |i| dx[i] * (x[i] * scale),
                    ) / count;
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        *dx = scale * (*dx - x * scale * mean_hx);
                    }
                }
            });
        });
        Ok(dx)
    }

    /// Σ dy x̂
    fn weight_gradient<T: Real>(&self, x: &[T], dy: &[T], width: usize) -> Result<Vec<T>> {
        let scales = self.scales()?;
        Ok(sum_over_rows(scales.len(), width, COST * width, |row, sums| {
            let (x, dy) = (&x[row * width..][..width], &dy[row * width..][..width]);
            let scale = T::of(scales[row]);
            simd!({
                for ((sum, &x), &dy) in sums.iter_mut().zip(x).zip(dy) {
                    *sum += dy * (x * scale);
                }
            });
        }))
    }
}

impl CustomOp1 for Normalise {
    fn name(&self) -> &'static str {
        "rms norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let name = CustomOp1::name(self);
        for_real!(name, storage_dtype(storage), T => {
            let x = contiguous::<T>(name, storage, layout)?;
            let out = self.forward(x, constant::<T>(&self.norm.weight)?);
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let name = CustomOp1::name(self);
        for_real!(name, x.dtype(), T => {
            let weight = constant::<T>(&self.norm.weight)?;
            let dx = with_slice::<T, _>(name, &dy, |dy| {
                with_slice::<T, _>(name, x, |x| self.input_gradient(x, weight, dy))
            })?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}

/// With a weight that is trained.
impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        "rms norm (trained)"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = CustomOp2::name(self);
        for_real!(name, storage_dtype(x), T => {
            let x = contiguous::<T>(name, x, x_layout)?;
            let out = self.forward(x, contiguous::<T>(name, weight, weight_layout)?);
            Ok((T::to_cpu_storage_owned(out), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let name = CustomOp2::name(self);
        for_real!(name, x.dtype(), T => with_slice::<T, _>(name, &dy, |dy| {
            with_slice::<T, _>(name, x, |values| with_slice::<T, _>(name, weight, |weights| {
                let dx = x.track_op().then(|| {
                    tensor(self.input_gradient(values, weights, dy)?, x.dims())
                });
                let dweight = weight.track_op().then(|| {
                    tensor(self.weight_gradient(values, dy, weights.len())?, weight.dims())
                });
                Ok((dx.transpose()?, dweight.transpose()?))
            }))
        }))
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
        let norm = |x: &[Tensor]| RmsNorm::new(Weight::from_tensor(x[1].clone()), 1e-5).unwrap();
        assert_gradient(&inputs, |x| norm(x).forward(&x[0]));
        assert_same(&inputs, |x| norm(x).forward(&x[0]), |x| norm(x).composed(&x[0]));
    }
}
