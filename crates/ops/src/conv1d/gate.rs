//! The gated linear unit.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};

/// `a σ(b)` of the first half `a` and the second half `b` of the last dimension (Dauphin et al.
/// 2017, arXiv 1612.08083, equation 1).
///
/// # Shapes
/// - `x`: `[.., 2 width]`
/// - result: `[.., width]`
///
/// # Errors
/// If the last dimension is odd.
pub fn glu(x: &Tensor) -> Result<Tensor> {
    match x.dims().last() {
        Some(width) if width.is_multiple_of(2) => {}
        _ => return Err(shape_error("glu", "last dimension", "an even number", x.dims())),
    }
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Glu) } else { composed_glu(x) }
}

pub(super) fn composed_glu(x: &Tensor) -> Result<Tensor> {
    let last = x.rank() - 1;
    let half = x.dims()[last] / 2;
    let gate = x.narrow(last, half, half)?.contiguous()?;
    x.narrow(last, 0, half)? * Activation::Sigmoid.composed(&gate)?
}

struct Glu;

impl CustomOp1 for Glu {
    fn name(&self) -> &'static str {
        "glu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut dims = layout.dims().to_vec();
        let half = dims.last().map_or(0, |&width| width / 2);
        if let Some(last) = dims.last_mut() {
            *last = half;
        }
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let mut y = vec![T::ZERO; x.len() / 2];
            simd!({
                let rows = x.chunks_exact((2 * half).max(1)).zip(y.chunks_exact_mut(half.max(1)));
                for (x, y) in rows {
                    let (a, b) = x.split_at(half);
                    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                        *y = a / (T::ONE + (-b).exp());
                    }
                }
            });
            Ok((T::to_cpu_storage_owned(y), Shape::from(dims)))
        })
    }

    /// da = dy σ(b), db = dy a σ(b) (1 - σ(b))
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let half = x.dims().last().map_or(0, |&width| width / 2);
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = with_slice::<T, _>(self.name(), x, |x| Ok(x.to_vec()))?;
            with_slice::<T, _>(self.name(), &dy, |dy| {
                simd!({
                    let rows = dx.chunks_exact_mut((2 * half).max(1)).zip(dy.chunks_exact(half.max(1)));
                    for (dx, dy) in rows {
                        let (a, b) = dx.split_at_mut(half);
                        for ((a, b), &dy) in a.iter_mut().zip(b).zip(dy) {
                            let gate = T::ONE / (T::ONE + (-*b).exp());
                            *b = dy * *a * gate * (T::ONE - gate);
                            *a = dy * gate;
                        }
                    }
                });
                Ok(())
            })?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}
