//! Layer normalisation (Ba, Kiros & Hinton 2016, arXiv 1607.06450), with an optional residual.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, lane_sum, simd, tensor, with_slice};
use crate::weight::Weight;

/// `y = (x - mean) / sqrt(var + eps) * weight + bias` over the last dimension, with the biased
/// variance.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Weight,
    bias: Option<Weight>,
    eps: f64,
}

impl LayerNorm {
    /// A norm with `weight: [width]` and `bias: [width]`.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn new(weight: Weight, bias: Option<Weight>, eps: f64) -> Result<Self> {
        let &[width] = weight.shape() else {
            return Err(shape_error("layer norm", "weight", "[width]", weight.shape()));
        };
        if let Some(bias) = &bias
            && bias.shape() != [width]
        {
            return Err(shape_error("layer norm", "bias", [width], bias.shape()));
        }
        Ok(Self { weight, bias, eps })
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
        self.check(x)?;
        if self.is_fast(x) {
            // The residual of the binary operation is an untracked scalar zero: no gradient.
            let none = Tensor::zeros((), x.dtype(), x.device())?;
            x.contiguous()?.apply_op2(&none, self.operation())
        } else {
            self.composed(x)
        }
    }

    /// Normalises `x + residual`, the post-norm step of a transformer, without storing the sum.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn forward_residual(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.check(x)?;
        if x.dims() != residual.dims() {
            return Err(shape_error("layer norm", "residual", x.dims(), residual.dims()));
        }
        if self.is_fast(x) {
            x.contiguous()?.apply_op2(&residual.contiguous()?, self.operation())
        } else {
            self.composed(&(x + residual)?)
        }
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        if x.dims().last() == Some(&self.weight.shape()[0]) {
            return Ok(());
        }
        let expected = self.weight.shape()[0];
        Err(shape_error("layer norm", "last dimension of the input", expected, x.dims()))
    }

    fn is_fast(&self, x: &Tensor) -> bool {
        x.device().is_cpu() && self.is_constant()
    }

    /// Both weights are constants in host memory.
    pub(crate) fn is_constant(&self) -> bool {
        self.weight.is_constant() && self.bias.as_ref().is_none_or(Weight::is_constant)
    }

    fn operation(&self) -> Normalise {
        Normalise { norm: self.clone(), statistics: OnceLock::new() }
    }

    /// Writes the norm of `x + residual` (no residual if it is empty), and returns what
    /// [`backward_slice`](Self::backward_slice) needs.
    pub(crate) fn forward_slice<T: Real>(
        &self,
        x: &[T],
        residual: &[T],
        out: &mut [T],
    ) -> Result<RowStatistics> {
        let width = self.weight.shape()[0];
        let weight = constant::<T>(&self.weight)?;
        let bias = self.bias.as_ref().map(constant::<T>).transpose()?.unwrap_or(&[]);
        let mut statistics = Vec::with_capacity(x.len() / width.max(1));
        let (count, eps) = (T::of(width as f64), T::of(self.eps));
        simd!({
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let range = row * width..(row + 1) * width;
                let x = &x[range.clone()];
                if residual.is_empty() {
                    out.copy_from_slice(x);
                } else {
                    for ((out, &x), &r) in out.iter_mut().zip(x).zip(&residual[range]) {
                        *out = x + r;
                    }
                }
                let mean = lane_sum(
                    width,
                    #[inline(always)]
                    |i| out[i],
                ) / count;
                let variance = lane_sum(
                    width,
                    #[inline(always)]
                    |i| (out[i] - mean) * (out[i] - mean),
                ) / count;
                let scale = T::ONE / (variance + eps).sqrt();
                statistics.push((mean.to_f64(), scale.to_f64()));
                if bias.is_empty() {
                    for (out, &w) in out.iter_mut().zip(weight) {
                        *out = (*out - mean) * scale * w;
                    }
                } else {
                    for ((out, &w), &b) in out.iter_mut().zip(weight).zip(bias) {
                        *out = (*out - mean) * scale * w + b;
                    }
                }
            }
        });
        Ok(statistics)
    }

    /// Turns `gradient` from dy into dx, which is also the residual's.
    ///
    /// With x̂ = (x - mean) s and h = dy * weight: dx = s (h - mean(h) - x̂ mean(h x̂)).
    pub(crate) fn backward_slice<T: Real>(
        &self,
        statistics: &RowStatistics,
        x: &[T],
        residual: &[T],
        gradient: &mut [T],
    ) -> Result<()> {
        let width = self.weight.shape()[0];
        let weight = constant::<T>(&self.weight)?;
        let count = T::of(width as f64);
        simd!({
            for (row, dx) in gradient.chunks_exact_mut(width).enumerate() {
                let range = row * width..(row + 1) * width;
                let x = &x[range.clone()];
                let r = if residual.is_empty() { residual } else { &residual[range] };
                let (mean, scale) = statistics[row];
                let (mean, scale) = (T::of(mean), T::of(scale));
                for (dx, &w) in dx.iter_mut().zip(weight) {
                    *dx *= w;
                }
                let mean_h = lane_sum(
                    width,
                    #[inline(always)]
                    |i| dx[i],
                ) / count;
                let mean_hx = lane_sum(
                    width,
                    #[inline(always)]
                    |i| dx[i] * ((sum_at(x, r, i) - mean) * scale),
                ) / count;
                for (i, dx) in dx.iter_mut().enumerate() {
                    let normed = (sum_at(x, r, i) - mean) * scale;
                    *dx = scale * (*dx - mean_h - normed * mean_hx);
                }
            }
        });
        Ok(())
    }

    /// The norm written with candle's own operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let last = candle_core::D::Minus1;
        let centred = x.broadcast_sub(&x.mean_keepdim(last)?)?;
        let variance = centred.sqr()?.mean_keepdim(last)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        let scaled = normed.broadcast_mul(&self.weight.to_tensor(x.device())?)?;
        match &self.bias {
            Some(bias) => scaled.broadcast_add(&bias.to_tensor(x.device())?),
            None => Ok(scaled),
        }
    }
}

/// Mean and reciprocal standard deviation of each row.
pub(crate) type RowStatistics = Vec<(f64, f64)>;

/// One call of a norm with constant weights.
struct Normalise {
    norm: LayerNorm,
    statistics: OnceLock<RowStatistics>,
}

/// `x[i] + residual[i]`, where an empty residual means zero.
#[inline(always)]
fn sum_at<T: Real>(x: &[T], residual: &[T], i: usize) -> T {
    if residual.is_empty() { x[i] } else { x[i] + residual[i] }
}

impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(x), T => {
            let x = contiguous::<T>(self.name(), x, x_layout)?;
            let residual: &[T] = match residual_layout.dims() {
                [] => &[],
                _ => contiguous::<T>(self.name(), residual, residual_layout)?,
            };
            let mut out = vec![T::ZERO; x.len()];
            let _ = self.statistics.set(self.norm.forward_slice(x, residual, &mut out)?);
            Ok((T::to_cpu_storage_owned(out), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let Some(statistics) = self.statistics.get() else {
            candle_core::bail!("layer norm: backward before forward");
        };
        let has_residual = residual.rank() > 0;
        let gradient = for_real!(self.name(), x.dtype(), T => {
            let name = self.name();
            let mut dx = with_slice::<T, _>(name, &dy, |dy| Ok(dy.to_vec()))?;
            with_slice::<T, _>(name, x, |x| with_slice::<T, _>(name, residual, |residual| {
                let residual: &[T] = if has_residual { residual } else { &[] };
                self.norm.backward_slice(statistics, x, residual, &mut dx)
            }))?;
            tensor(dx, x.dims())
        })?;
        let for_residual = (has_residual && residual.track_op()).then(|| gradient.clone());
        Ok((Some(gradient), for_residual))
    }
}

pub(crate) fn constant<T: Real>(weight: &Weight) -> Result<&[T]> {
    T::constant(weight)
        .ok_or_else(|| shape_error("norm", "element type of the weight", T::DTYPE, weight.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32, assert_gradient, assert_same, constant, random, weight};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn gradients_over_random_shapes(
            rows in 1usize..4, width in 2usize..40, seed in 0u64..1000, biased in any::<bool>(),
        ) {
            let bias = biased.then(|| weight(seed + 1, &[width]));
            let norm = LayerNorm::new(weight(seed, &[width]), bias, 1e-5).unwrap();
            let inputs = [random(seed + 2, &[rows, width]), random(seed + 3, &[rows, width])];
            // Rows of two nearly equal numbers have huge second derivatives: differences need a
            // spread that the step does not see.
            let inputs = inputs.map(|x| {
                let ramp = Tensor::arange(0.0, width as f64, x.device()).unwrap();
                x.broadcast_add(&ramp).unwrap()
            });
            assert_gradient(&inputs[..1], |x| norm.forward(&x[0]));
            assert_gradient(&inputs, |x| norm.forward_residual(&x[0], &x[1]));
            assert_same(&inputs[..1], |x| norm.forward(&x[0]), |x| norm.composed(&x[0]));
            assert_same(&inputs, |x| norm.forward_residual(&x[0], &x[1]), |x| {
                norm.composed(&(&x[0] + &x[1])?)
            });
            assert_f32(&inputs, |x| {
                let narrow = |w: &Weight| constant(
                    &w.to_tensor(x[0].device()).unwrap().to_dtype(x[0].dtype()).unwrap());
                let bias = norm.bias.as_ref().map(narrow);
                LayerNorm::new(narrow(&norm.weight), bias, 1e-5)?.forward_residual(&x[0], &x[1])
            }, 1e-5);
        }
    }

    #[test]
    fn trained_norm_has_weight_gradients() {
        let inputs = [random(1, &[3, 6]), random(2, &[6]), random(3, &[6])];
        assert_gradient(&inputs, |x| {
            let bias = Some(Weight::from_tensor(x[2].clone()));
            LayerNorm::new(Weight::from_tensor(x[1].clone()), bias, 1e-5)?.forward(&x[0])
        });
    }
}
