//! Contiguous access to candle's CPU storage, and SIMD dispatch.

use candle_core::{CpuStorage, Layout, Result, Tensor};

use crate::real::Real;

/// The contiguous elements of an operation's input.
///
/// Every entry point of this crate makes its inputs contiguous before it applies an operation, so
/// the error is reached only by calling an operation's internals in another way.
pub(crate) fn contiguous<'a, T: Real>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [T]> {
    let all = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// Runs `f` on the elements of a contiguous CPU tensor.
pub(crate) fn with_slice<T: Real, R>(
    op: &'static str,
    tensor: &Tensor,
    f: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(cpu) => f(contiguous(op, cpu, layout)?),
        _ => candle_core::bail!("{op}: the fast path serves the CPU only"),
    }
}

/// A CPU tensor that takes over `data`.
pub(crate) fn tensor<T: Real>(
    data: Vec<T>,
    shape: impl Into<candle_core::Shape>,
) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &candle_core::Device::Cpu)
}

/// Evaluates an expression compiled for the best SIMD level that this machine has.
///
/// The body must be inlined into the function that has the SIMD level, or it is compiled for the
/// baseline (measured: every activation and norm was, at an eighth of the width). So the closure
/// is `#[inline(always)]`, and it consumes a value, which makes it a pure `FnOnce`: others are
/// called through a shim that is not inlined. For the same reason what the expression calls must
/// be `#[inline(always)]`, closures too unless they are trivial.
macro_rules! simd {
    ($body:expr) => {{
        let consumed = crate::storage::Consumed;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let _consumed = consumed;
                $body
            },
        )
    }};
}
pub(crate) use simd;

/// See [`simd`].
pub(crate) struct Consumed;

/// Evaluates `$body` with `$T` as the scalar type of `$dtype`.
macro_rules! for_real {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op).bt()),
        }
    };
}
pub(crate) use for_real;

/// The largest of `values`, in sixteen interleaved maxima; -∞ if there are none, and NaN loses.
#[inline(always)]
pub(crate) fn lane_max<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = lane.larger(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = lane.larger(value);
    }
    let mut max = T::NEG_INFINITY;
    for lane in lanes {
        max = max.larger(lane);
    }
    max
}

const LANES: usize = 16;

/// Sum of `f(i)` in sixteen interleaved partial sums: vectorises, and rounds less than one
/// running sum.
#[inline(always)]
pub(crate) fn lane_sum<T: Real>(len: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let blocks = len / LANES;
    for block in 0..blocks {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(block * LANES + lane);
        }
    }
    for i in blocks * LANES..len {
        lanes[i % LANES] += f(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] += other;
        }
        width /= 2;
    }
    lanes[0]
}
