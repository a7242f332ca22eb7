//! Convolution over the tokens of sequences (Kim 2014, arXiv 1408.5882; gated: Dauphin et al.
//! 2017, arXiv 1612.08083), and what stands around it: the maximum over tokens, the gate.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::matmul::{View, product, product_nt, product_parallel};
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;
use crate::weight::Weight;

mod gate;
mod max;
#[cfg(test)]
mod tests;

pub use gate::glu;
pub use max::max_over_tokens;

/// Zeros around a sequence before it is convolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// None: the output is shorter by `kernel - 1`.
    Valid,
    /// `kernel - 1` zeros, half of them on each side and one more on the right if they are odd:
    /// the output is as long as the input.
    Same,
    /// `kernel - 1` zeros before the first token: an output sees no later token.
    Causal,
    /// So many before and after.
    Explicit(usize, usize),
}

impl Padding {
    /// Zeros before and after.
    fn sides(self, kernel: usize) -> (usize, usize) {
        let all = kernel - 1;
        match self {
            Self::Valid => (0, 0),
            Self::Same => (all / 2, all - all / 2),
            Self::Causal => (all, 0),
            Self::Explicit(left, right) => (left, right),
        }
    }
}

/// `y[t] = b + Σ_k W[:, :, k] x[t + k - left]`, with stride and dilation 1.
#[derive(Debug, Clone)]
pub struct Conv1d {
    /// `[out, kernel, in]`: what one output reads lies in one row, as it does in the input.
    rows: Weight,
    bias: Option<Weight>,
    out: usize,
    kernel: usize,
    width: usize,
}

impl Conv1d {
    /// A convolution with `weight: [out, in, kernel]` and `bias: [out]`.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    #[expect(clippy::needless_pass_by_value, reason = "layers take over their weights")]
    pub fn new(weight: Weight, bias: Option<Weight>) -> Result<Self> {
        let &[out, width, kernel] = weight.shape() else {
            let expected = "[out, in, kernel]";
            return Err(shape_error("conv1d", "weight", expected, weight.shape()));
        };
        if out == 0 || width == 0 || kernel == 0 {
            let expected = "at least 1 of each";
            return Err(shape_error("conv1d", "weight", expected, weight.shape()));
        }
        if let Some(bias) = &bias
            && bias.shape() != [out]
        {
            return Err(shape_error("conv1d", "bias", [out], bias.shape()));
        }
        let rows = if weight.is_constant() {
            for_real!("conv1d", weight.dtype(), T => {
                let from = constant::<T>(&weight)?;
                let mut to = vec![T::ZERO; from.len()];
                for (from, to) in from.chunks(width * kernel).zip(to.chunks_mut(width * kernel)) {
                    for (i, &value) in from.iter().enumerate() {
                        to[i % kernel * width + i / kernel] = value;
                    }
                }
                T::into_constant(to, &[out, kernel, width])
            })?
        } else {
            let device = candle_core::Device::Cpu;
            Weight::from_tensor(weight.to_tensor(&device)?.transpose(1, 2)?.contiguous()?)
        };
        Ok(Self { rows, bias, out, kernel, width })
    }

    /// The number of inputs of one token.
    pub fn in_features(&self) -> usize {
        self.width
    }

    /// The number of outputs of one token.
    pub fn out_features(&self) -> usize {
        self.out
    }

    /// Convolves.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, in]`
    /// - result: `[batch, tokens + padding - kernel + 1, out]`; no tokens if the padded sequence
    ///   is shorter than the kernel
    ///
    /// # Errors
    /// If the input does not fit the weight.
    pub fn forward(&self, x: &Tensor, padding: Padding) -> Result<Tensor> {
        let &[batch, tokens, width] = x.dims() else {
            return Err(shape_error("conv1d", "input", "[batch, tokens, in]", x.dims()));
        };
        if width != self.width {
            return Err(shape_error("conv1d", "last dimension of the input", self.width, width));
        }
        let (left, right) = padding.sides(self.kernel);
        let padded = left.checked_add(tokens).and_then(|n| n.checked_add(right));
        let Some(padded) = padded else {
            return Err(shape_error("conv1d", "padding", "a length", padding));
        };
        let steps = (padded + 1).saturating_sub(self.kernel);
        let (kernel, out) = (self.kernel, self.out);
        let shape = Convolution { batch, tokens, width, kernel, out, left, padded, steps };
        if !x.device().is_cpu() {
            return self.composed(x, &shape);
        }
        let constant =
            self.rows.is_constant() && self.bias.as_ref().is_none_or(Weight::is_constant);
        if constant {
            return x.contiguous()?.apply_op1(Frozen { map: self.clone(), shape });
        }
        let rows = self.rows.to_tensor(x.device())?.contiguous()?;
        let bias = match &self.bias {
            Some(bias) => bias.to_tensor(x.device())?.contiguous()?,
            None => Tensor::zeros(out, x.dtype(), x.device())?,
        };
        x.contiguous()?.apply_op3(&rows, &bias, shape)
    }

    /// The convolution written with candle's own operations.
    fn composed(&self, x: &Tensor, shape: &Convolution) -> Result<Tensor> {
        let &Convolution { batch, left, padded, steps, tokens, .. } = shape;
        let x = x.pad_with_zeros(1, left, padded - left - tokens)?;
        let rows = self.rows.to_tensor(x.device())?;
        let mut sum = Tensor::zeros((batch * steps, self.out), x.dtype(), x.device())?;
        for k in 0..self.kernel {
            if steps == 0 {
                break;
            }
            let part = x.narrow(1, k, steps)?.contiguous()?.reshape((batch * steps, self.width))?;
            let weight = rows.narrow(1, k, 1)?.squeeze(1)?.contiguous()?;
            sum = (sum + part.matmul(&weight.t()?)?)?;
        }
        if let Some(bias) = &self.bias {
            sum = sum.broadcast_add(&bias.to_tensor(x.device())?)?;
        }
        sum.reshape((batch, steps, self.out))
    }
}

fn constant<T: Real>(weight: &Weight) -> Result<&[T]> {
    T::constant(weight).ok_or_else(|| {
        shape_error("conv1d", "element type of the weight", T::DTYPE, weight.dtype())
    })
}

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
struct Convolution {
    batch: usize,
    tokens: usize,
    width: usize,
    kernel: usize,
    out: usize,
    left: usize,
    /// Tokens and zeros.
    padded: usize,
    /// Tokens of the output.
    steps: usize,
}

/// A product for each sequence. The inputs of one output lie side by side, and those of the next
/// begin one token further: as a matrix, the sequence is `[steps, kernel * width]` with rows that
/// overlap, and nothing is copied for it.
impl Convolution {
    /// What one output reads.
    fn span(&self) -> usize {
        self.kernel * self.width
    }

    /// One sequence between zeros, in `scratch` unless there are none.
    fn pad<'a, T: Real>(&self, x: &'a [T], sequence: usize, scratch: &'a mut [T]) -> &'a [T] {
        let len = self.tokens * self.width;
        let x = &x[sequence * len..][..len];
        if self.padded == self.tokens {
            return x;
        }
        scratch[self.left * self.width..][..len].copy_from_slice(x);
        scratch
    }

    fn forward<T: Real>(&self, x: &[T], rows: &[T], bias: &[T]) -> Vec<T> {
        let (span, out) = (self.span(), self.out);
        let mut y = vec![T::ZERO; self.batch * self.steps * out];
        let parts = threads::parts_for(y.len() * span);
        threads::split_rows(&mut y, self.steps * out, parts, |first, chunk| {
            let mut scratch = vec![T::ZERO; self.padded * self.width];
            for (i, y) in chunk.chunks_mut((self.steps * out).max(1)).enumerate() {
                let x = View::rows(self.pad(x, first + i, &mut scratch), self.width);
                product_nt((self.steps, span, out), x, View::rows(rows, span), y, out);
                if !bias.is_empty() {
                    simd!({
                        for row in y.chunks_mut(out) {
                            for (value, &bias) in row.iter_mut().zip(bias) {
                                *value += bias;
                            }
                        }
                    });
                }
            }
        });
        y
    }

    /// `dx[t + k - left] += dy[t] W[:, k, :]`
    fn input_gradient<T: Real>(&self, dy: &[T], rows: &[T]) -> Vec<T> {
        let (span, out, width) = (self.span(), self.out, self.width);
        let mut dx = vec![T::ZERO; self.batch * self.tokens * width];
        if self.steps == 0 {
            return dx;
        }
        let parts = threads::parts_for(self.batch * self.steps * out * span);
        threads::split_rows(&mut dx, self.tokens * width, parts, |first, chunk| {
            let mut spans = vec![T::ZERO; self.steps * span];
            let mut padded = vec![T::ZERO; self.padded * width];
            for (i, dx) in chunk.chunks_mut((self.tokens * width).max(1)).enumerate() {
                let dy = View::rows(&dy[(first + i) * self.steps * out..], out);
                let rows = View::rows(rows, span);
                product((self.steps, out, span), T::ONE, dy, rows, false, &mut spans, span);
                padded.fill(T::ZERO);
                simd!({
                    for (t, from) in spans.chunks(span).enumerate() {
                        for (to, &from) in padded[t * width..][..span].iter_mut().zip(from) {
                            *to += from;
                        }
                    }
                });
                dx.copy_from_slice(&padded[self.left * width..][..self.tokens * width]);
            }
        });
        dx
    }

    /// `dW[:, k, :] = Σ_t dy[t]ᵀ x[t + k - left]`
    fn weight_gradient<T: Real>(&self, x: &[T], dy: &[T]) -> Vec<T> {
        let (span, out) = (self.span(), self.out);
        let mut dw = vec![T::ZERO; out * span];
        let mut scratch = vec![T::ZERO; self.padded * self.width];
        for sequence in 0..self.batch {
            if self.steps == 0 {
                break;
            }
            let x = View::rows(self.pad(x, sequence, &mut scratch), self.width);
            let dy = View::rows(&dy[sequence * self.steps * out..], out).transposed();
            product_parallel((out, self.steps, span), dy, x, true, &mut dw, span);
        }
        dw
    }
}

struct Frozen {
    map: Conv1d,
    shape: Convolution,
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let bias = self.map.bias.as_ref().map(constant::<T>).transpose()?.unwrap_or(&[]);
            let y = self.shape.forward(x, constant::<T>(&self.map.rows)?, bias);
            let Convolution { batch, steps, out, .. } = self.shape;
            Ok((T::to_cpu_storage_owned(y), Shape::from((batch, steps, out))))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let rows = constant::<T>(&self.map.rows)?;
            with_slice::<T, _>(self.name(), &dy, |dy| {
                tensor(self.shape.input_gradient(dy, rows), x.dims()).map(Some)
            })
        })
    }
}

/// With weights that are trained.
impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "conv1d (trained)"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        for_real!(name, storage_dtype(x), T => {
            let x = contiguous::<T>(name, x, x_layout)?;
            let rows = contiguous::<T>(name, rows, rows_layout)?;
            let y = self.forward(x, rows, contiguous::<T>(name, bias, bias_layout)?);
            let shape = Shape::from((self.batch, self.steps, self.out));
            Ok((T::to_cpu_storage_owned(y), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        rows: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let name = self.name();
        for_real!(name, x.dtype(), T => {
            with_slice::<T, _>(name, &dy, |dy| {
                let dx = x.track_op().then(|| {
                    with_slice::<T, _>(name, rows, |rows| {
                        tensor(self.input_gradient(dy, rows), x.dims())
                    })
                });
                let dw = rows.track_op().then(|| {
                    with_slice::<T, _>(name, x, |x| {
                        tensor(self.weight_gradient(x, dy), rows.dims())
                    })
                });
                let db = bias.track_op().then(|| {
                    let mut db = vec![T::ZERO; self.out];
                    for row in dy.chunks(self.out) {
                        for (sum, &value) in db.iter_mut().zip(row) {
                            *sum += value;
                        }
                    }
                    tensor(db, self.out)
                });
                Ok((dx.transpose()?, dw.transpose()?, db.transpose()?))
            })
        })
    }
}
