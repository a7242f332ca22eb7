//! Layer normalisation (Ba, Kiros & Hinton 2016, arXiv 1607.06450), with an optional residual.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, lane_sum, simd, tensor, with_slice};
use crate::threads;
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
        if !x.device().is_cpu() {
            return self.composed(x);
        }
        // The residual of the operation is an untracked scalar zero: no gradient.
        self.apply(x, &Tensor::zeros((), x.dtype(), x.device())?)
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
        if !x.device().is_cpu() {
            return self.composed(&(x + residual)?);
        }
        self.apply(x, &residual.contiguous()?)
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        if x.dims().last() == Some(&self.weight.shape()[0]) {
            return Ok(());
        }
        let expected = self.weight.shape()[0];
        Err(shape_error("layer norm", "last dimension of the input", expected, x.dims()))
    }

    fn apply(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let (eps, statistics) = (self.eps, OnceLock::new());
        if self.is_constant() {
            let operation = Normalise { norm: self.clone(), statistics };
            return x.contiguous()?.apply_op2(residual, operation);
        }
        // Weight and bias as one input: an operation has at most three.
        let mut weights = self.weight.to_tensor(x.device())?;
        if let Some(bias) = &self.bias {
            weights = Tensor::cat(&[weights, bias.to_tensor(x.device())?], 0)?;
        }
        let operation = TrainedNorm { eps, statistics };
        x.contiguous()?.apply_op3(residual, &weights.contiguous()?, operation)
    }

    /// Both weights are constants in host memory.
    pub(crate) fn is_constant(&self) -> bool {
        self.weight.is_constant() && self.bias.as_ref().is_none_or(Weight::is_constant)
    }

    /// Weight and bias; no bias is empty.
    fn constants<T: Real>(&self) -> Result<(&[T], &[T])> {
        let bias = self.bias.as_ref().map(constant::<T>).transpose()?.unwrap_or(&[]);
        Ok((constant::<T>(&self.weight)?, bias))
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
type RowStatistics = Vec<(f64, f64)>;

/// Multiply-adds that an element costs.
const COST: usize = 8;

/// The norm of `x + residual` (no residual, no bias if they are empty), and what the backward pass
/// needs.
fn normalise<T: Real>(
    x: &[T],
    residual: &[T],
    weight: &[T],
    bias: &[T],
    eps: f64,
) -> (Vec<T>, RowStatistics) {
    let width = weight.len();
    let mut out = vec![T::ZERO; x.len()];
    let mut statistics = vec![(0.0, 0.0); x.len() / width.max(1)];
    let (count, eps) = (T::of(width as f64), T::of(eps));
    let parts = threads::parts_for(COST * x.len());
    threads::split_two(&mut out, &mut statistics, (width, 1), parts, |first, out, statistics| {
        simd!({
            let rows = out.chunks_exact_mut(width.max(1)).zip(statistics.iter_mut());
            for (row, (out, statistics)) in rows.enumerate() {
                let range = (first + row) * width..(first + row + 1) * width;
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
                *statistics = (mean.to_f64(), scale.to_f64());
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
    });
    (out, statistics)
}

/// dx, which is also the residual's gradient.
///
/// With x̂ = (x - mean) s and h = dy * weight: dx = s (h - mean(h) - x̂ mean(h x̂)).
fn input_gradient<T: Real>(
    statistics: &[(f64, f64)],
    x: &[T],
    residual: &[T],
    weight: &[T],
    dy: &[T],
) -> Vec<T> {
    let width = weight.len();
    let mut gradient = vec![T::ZERO; dy.len()];
    let count = T::of(width as f64);
    let parts = threads::parts_for(COST * x.len());
    threads::split_rows(&mut gradient, width, parts, |first, gradient| {
        simd!({
            for (row, dx) in gradient.chunks_exact_mut(width.max(1)).enumerate() {
                let row = first + row;
                let range = row * width..(row + 1) * width;
                let (x, dy) = (&x[range.clone()], &dy[range.clone()]);
                let r = if residual.is_empty() { residual } else { &residual[range] };
                let (mean, scale) = statistics[row];
                let (mean, scale) = (T::of(mean), T::of(scale));
                for ((dx, &dy), &w) in dx.iter_mut().zip(dy).zip(weight) {
                    *dx = dy * w;
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
    });
    gradient
}

/// `Σ dy x̂` and, where there is a bias, `Σ dy` behind it.
fn weight_gradient<T: Real>(
    statistics: &[(f64, f64)],
    x: &[T],
    residual: &[T],
    dy: &[T],
    (width, biased): (usize, bool),
) -> Vec<T> {
    let len = if biased { 2 * width } else { width };
    sum_over_rows(statistics.len(), len, COST * width, |row, sums| {
        let range = row * width..(row + 1) * width;
        let (x, dy) = (&x[range.clone()], &dy[range.clone()]);
        let r = if residual.is_empty() { residual } else { &residual[range] };
        let (mean, scale) = statistics[row];
        let (mean, scale) = (T::of(mean), T::of(scale));
        let (dweight, dbias) = sums.split_at_mut(width);
        simd!({
            for (i, (sum, &dy)) in dweight.iter_mut().zip(dy).enumerate() {
                *sum += dy * ((sum_at(x, r, i) - mean) * scale);
            }
            for (sum, &dy) in dbias.iter_mut().zip(dy) {
                *sum += dy;
            }
        });
    })
}

/// Sums of `len` elements to which `add` adds those of a row, for each row. Blocks of rows are
/// summed apart: their size does not depend on threads.
pub(crate) fn sum_over_rows<T: Real>(
    rows: usize,
    len: usize,
    cost: usize,
    add: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    const BLOCK: usize = 64;
    let mut blocks = vec![T::ZERO; rows.div_ceil(BLOCK) * len];
    let parts = threads::parts_for(rows * cost);
    threads::split_rows(&mut blocks, len, parts, |first, blocks| {
        for (i, sums) in blocks.chunks_mut(len.max(1)).enumerate() {
            let start = (first + i) * BLOCK;
            for row in start..rows.min(start + BLOCK) {
                add(row, sums);
            }
        }
    });
    let mut total = vec![T::ZERO; len];
    for sums in blocks.chunks(len.max(1)) {
        for (total, &sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}

/// `x[i] + residual[i]`, where an empty residual means zero.
#[inline(always)]
fn sum_at<T: Real>(x: &[T], residual: &[T], i: usize) -> T {
    if residual.is_empty() { x[i] } else { x[i] + residual[i] }
}

/// The elements of a residual; none of the scalar that stands for it.
fn residual_slice<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.dims() {
        [] => Ok(&[]),
        _ => contiguous::<T>("layer norm", storage, layout),
    }
}

/// Runs `f` on the elements of the input and the residual.
fn with_both<T: Real, R>(
    x: &Tensor,
    residual: &Tensor,
    f: impl FnOnce(&[T], &[T]) -> Result<R>,
) -> Result<R> {
    with_slice::<T, _>("layer norm", x, |x| {
        with_slice::<T, _>("layer norm", residual, |values| {
            f(x, if residual.rank() == 0 { &[] } else { values })
        })
    })
}

/// One call of a norm with constant weights.
struct Normalise {
    norm: LayerNorm,
    statistics: OnceLock<RowStatistics>,
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
            let residual = residual_slice::<T>(residual, residual_layout)?;
            let (weight, bias) = self.norm.constants::<T>()?;
            let (out, statistics) = normalise(x, residual, weight, bias, self.norm.eps);
            let _ = self.statistics.set(statistics);
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
        let gradient = for_real!(self.name(), x.dtype(), T => {
            let (weight, _) = self.norm.constants::<T>()?;
            with_slice::<T, _>(self.name(), &dy, |dy| with_both::<T, _>(x, residual, |x, residual| {
                Ok(input_gradient(statistics, x, residual, weight, dy))
            }))
            .and_then(|dx| tensor(dx, x.dims()))
        })?;
        let for_residual = residual.track_op().then(|| gradient.clone());
        Ok((Some(gradient), for_residual))
    }
}

/// One call of a norm with weights that are trained, the bias behind the weight.
struct TrainedNorm {
    eps: f64,
    statistics: OnceLock<RowStatistics>,
}

impl CustomOp3 for TrainedNorm {
    fn name(&self) -> &'static str {
        "layer norm (trained)"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = x_layout.dims().last().copied().unwrap_or(0);
        for_real!(self.name(), storage_dtype(x), T => {
            let x = contiguous::<T>(self.name(), x, x_layout)?;
            let residual = residual_slice::<T>(residual, residual_layout)?;
            let weights = contiguous::<T>(self.name(), weights, weights_layout)?;
            let (weight, bias) = weights.split_at(width);
            let (out, statistics) = normalise(x, residual, weight, bias, self.eps);
            let _ = self.statistics.set(statistics);
            Ok((T::to_cpu_storage_owned(out), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        weights: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let Some(statistics) = self.statistics.get() else {
            candle_core::bail!("layer norm: backward before forward");
        };
        let width = x.dims().last().copied().unwrap_or(0);
        let biased = weights.elem_count() > width;
        let name = self.name();
        for_real!(name, x.dtype(), T => with_slice::<T, _>(name, &dy, |dy| {
            with_both::<T, _>(x, residual, |values, others| {
                let dx = if x.track_op() || residual.track_op() {
                    let dx = with_slice::<T, _>(name, weights, |weights| {
                        Ok(input_gradient(statistics, values, others, &weights[..width], dy))
                    })?;
                    Some(tensor(dx, x.dims())?)
                } else {
                    None
                };
                let dweights = weights.track_op().then(|| {
                    let sums = weight_gradient(statistics, values, others, dy, (width, biased));
                    tensor(sums, weights.dims())
                });
                let dresidual = dx.clone().filter(|_| residual.track_op());
                Ok((dx.filter(|_| x.track_op()), dresidual, dweights.transpose()?))
            })
        }))
    }
}

pub(crate) fn constant<T: Real>(weight: &Weight) -> Result<&[T]> {
    T::constant(weight)
        .ok_or_else(|| shape_error("norm", "element type of the weight", T::DTYPE, weight.dtype()))
}

#[cfg(test)]
mod tests;
