//! Softmax and its logarithm over the last dimension.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, WithDType};

use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, lane_max, lane_sum, simd, tensor, with_slice};
use crate::threads;

/// `e^x / Σ e^x` over the last dimension; rows sum to 1. A row that is all -∞ gives zeros, so
/// that a fully masked row carries no NaN.
///
/// # Errors
/// If `x` is not a floating-point tensor of rank 1 or more.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Softmax) } else { composed_softmax(x) }
}

/// `x - ln Σ e^x` over the last dimension.
///
/// # Errors
/// If `x` is not a floating-point tensor of rank 1 or more.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.contiguous()?.apply_op1(LogSoftmax)
    } else {
        composed_log_softmax(x)
    }
}

pub(crate) fn composed_softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

pub(crate) fn composed_log_softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Softmax of one row in place.
#[inline(always)]
pub(crate) fn softmax_row<T: Real>(row: &mut [T]) {
    let max = lane_max(row);
    if max == T::NEG_INFINITY && !row.iter().any(|value| value.to_f64().is_nan()) {
        row.fill(T::ZERO);
        return;
    }
    for value in row.iter_mut() {
        // Exact zero for -∞, which the polynomial would round up to the smallest number.
        let shifted = *value - max;
        *value = if shifted == T::NEG_INFINITY { T::ZERO } else { shifted.exp() };
    }
    let scale = T::ONE
        / lane_sum(
            row.len(),
            #[inline(always)]
            |i| row[i],
        );
    for value in row.iter_mut() {
        *value *= scale;
    }
}

/// `dx = y (dy - Σ y dy)` of one row, overwriting `dy`.
#[inline(always)]
pub(crate) fn softmax_backward_row<T: Real>(y: &[T], dy: &mut [T]) {
    let dot = lane_sum(
        y.len(),
        #[inline(always)]
        |i| y[i] * dy[i],
    );
    for (dy, &y) in dy.iter_mut().zip(y) {
        *dy = y * (*dy - dot);
    }
}

fn width(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1).max(1)
}

/// Runs `f` on stretches of whole rows, with the index of the first, in parallel if that pays.
fn each_row<T: Real>(values: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    /// Multiply-adds that an element costs.
    const COST: usize = 16;
    let parts = threads::parts_for(COST * values.len());
    threads::split_rows(values, width, parts, f);
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let mut out = contiguous::<T>(self.name(), storage, layout)?.to_vec();
            each_row(&mut out, width(layout), |_, out| {
                simd!({
                    for row in out.chunks_mut(width(layout)) {
                        softmax_row(row);
                    }
                });
            });
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), y.dtype(), T => {
            let mut dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(dy.to_vec()))?;
            let width = width(y.layout());
            with_slice::<T, _>(self.name(), y, |y| {
                each_row(&mut dx, width, |first, dx| {
                    simd!({
                        let rows = y[first * width..].chunks(width).zip(dx.chunks_mut(width));
                        for (y, dx) in rows {
                            softmax_backward_row(y, dx);
                        }
                    });
                });
                Ok(())
            })?;
            tensor(dx, y.dims()).map(Some)
        })
    }
}

struct LogSoftmax;

impl CustomOp1 for LogSoftmax {
    fn name(&self) -> &'static str {
        "log softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let mut out = contiguous::<T>(self.name(), storage, layout)?.to_vec();
            each_row(&mut out, width(layout), |_, out| {
                simd!({
                    for row in out.chunks_mut(width(layout)) {
                        let max = lane_max(row);
                        let log_sum = lane_sum(row.len(), #[inline(always)] |i| (row[i] - max).exp()).ln() + max;
                        for value in row.iter_mut() {
                            *value -= log_sum;
                        }
                    }
                });
            });
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    /// dx = dy - softmax(x) Σ dy
    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), y.dtype(), T => {
            let mut dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(dy.to_vec()))?;
            let width = width(y.layout());
            with_slice::<T, _>(self.name(), y, |y| {
                each_row(&mut dx, width, |first, dx| {
                    simd!({
                        let rows = y[first * width..].chunks(width).zip(dx.chunks_mut(width));
                        for (y, dx) in rows {
                            let sum = lane_sum(dx.len(), #[inline(always)] |i| dx[i]);
                            for (dx, &y) in dx.iter_mut().zip(y) {
                                *dx -= y.exp() * sum;
                            }
                        }
                    });
                });
                Ok(())
            })?;
            tensor(dx, y.dims()).map(Some)
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
            rows in 1usize..4, width in 1usize..40, seed in 0u64..1000,
        ) {
            let x = random(seed, &[rows, width]);
            assert_gradient(std::slice::from_ref(&x), |x| softmax(&x[0]));
            assert_gradient(std::slice::from_ref(&x), |x| log_softmax(&x[0]));
            assert_same(std::slice::from_ref(&x), |x| softmax(&x[0]), |x| composed_softmax(&x[0]));
            assert_same(std::slice::from_ref(&x), |x| log_softmax(&x[0]), |x| composed_log_softmax(&x[0]));
            assert_f32(std::slice::from_ref(&x), |x| softmax(&x[0]), 1e-6);
            // Rows sum to one, and a shift changes nothing.
            let y = softmax(&x).unwrap();
            let sums = y.sum(1).unwrap().to_vec1::<f64>().unwrap();
            prop_assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12));
            let shifted = softmax(&(&x + 100.0).unwrap()).unwrap();
            prop_assert!(max_abs(&(shifted - y).unwrap()) < 1e-12);
        }
    }

    #[test]
    fn masked_entries_are_exactly_zero() {
        let inf = f32::NEG_INFINITY;
        let x =
            Tensor::new(&[[1.0, inf, 2.0], [inf, inf, inf]], &candle_core::Device::Cpu).unwrap();
        let y = softmax(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y[0][1], 0.0);
        assert_eq!(y[1], [0.0; 3]);
    }
}
