//! The maximum over the tokens of a sequence.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};

/// The maximum of each element over the tokens of a sequence. The gradient goes to the first
/// token that has it.
///
/// # Shapes
/// - `x`: `[batch, tokens, width]`
/// - `lengths`: the number of real tokens of each sequence; the rest is padding. `None`: none is.
/// - result: `[batch, width]`
///
/// # Errors
/// If the shapes do not fit together, or a sequence has no token.
pub fn max_over_tokens(x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
    const OP: &str = "max over tokens";
    let &[batch, tokens, _] = x.dims() else {
        return Err(shape_error(OP, "input", "[batch, tokens, width]", x.dims()));
    };
    let lengths = lengths.map_or_else(|| vec![tokens; batch], <[usize]>::to_vec);
    if lengths.len() != batch {
        return Err(shape_error(OP, "number of lengths", batch, lengths.len()));
    }
    if let Some(length) = lengths.iter().find(|&&length| length == 0 || length > tokens) {
        let expected = format!("from 1 to {tokens}");
        return Err(shape_error(OP, "length", expected, length));
    }
    if !x.device().is_cpu() {
        let rows = lengths
            .iter()
            .enumerate()
            .map(|(b, &length)| x.narrow(0, b, 1)?.narrow(1, 0, length)?.max(1));
        return match rows.collect::<Result<Vec<_>>>()?.as_slice() {
            [] => x.sum(1),
            rows => Tensor::cat(rows, 0),
        };
    }
    x.contiguous()?.apply_op1(MaxOverTokens { lengths })
}

struct MaxOverTokens {
    lengths: Vec<usize>,
}

impl MaxOverTokens {
    /// Calls `f(output, input)` with the indices of each maximum and of the element it is.
    fn each<T: Real>(&self, x: &[T], tokens: usize, width: usize, mut f: impl FnMut(usize, usize)) {
        for (b, &length) in self.lengths.iter().enumerate() {
            for column in 0..width {
                let at = |t: usize| (b * tokens + t) * width + column;
                let mut best = at(0);
                for t in 1..length {
                    // A NaN must not be passed over.
                    let (here, there) = (x[at(t)].to_f64(), x[best].to_f64());
                    if here > there || (here.is_nan() && !there.is_nan()) {
                        best = at(t);
                    }
                }
                f(b * width + column, best);
            }
        }
    }
}

impl CustomOp1 for MaxOverTokens {
    fn name(&self) -> &'static str {
        "max over tokens"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, tokens, width) = layout.shape().dims3()?;
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let mut y = vec![T::ZERO; batch * width];
            self.each(x, tokens, width, |to, from| y[to] = x[from]);
            Ok((T::to_cpu_storage_owned(y), Shape::from((batch, width))))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, tokens, width) = x.dims3()?;
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = vec![T::ZERO; x.elem_count()];
            with_slice::<T, _>(self.name(), &dy, |dy| with_slice::<T, _>(self.name(), x, |x| {
                self.each(x, tokens, width, |to, from| dx[from] = dy[to]);
                Ok(())
            }))?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}
