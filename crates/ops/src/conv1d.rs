//! Convolution over the tokens of sequences (Kim 2014, arXiv 1408.5882; gated: Dauphin et al.
//! 2017, arXiv 1612.08083), and what stands around it: the maximum over tokens, the gate.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::matmul::{View, product, product_nt, product_parallel};
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;
use crate::weight::Weight;

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
                    if x[at(t)] > x[best] || (x[at(t)] != x[at(t)] && x[best] == x[best]) {
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

fn composed_glu(x: &Tensor) -> Result<Tensor> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32, assert_gradient, assert_same, constant, max_abs, random};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn convolution_over_random_shapes(
            batch in 1usize..3, tokens in 1usize..7, width in 1usize..5, out in 1usize..5,
            kernel in 1usize..5, kind in 0usize..4, seed in 0u64..1000, biased in any::<bool>(),
        ) {
            let padding =
                [Padding::Valid, Padding::Same, Padding::Causal, Padding::Explicit(1, 3)][kind];
            let inputs = [
                random(seed, &[batch, tokens, width]),
                random(seed + 1, &[out, width, kernel]),
                random(seed + 2, &[out]),
            ];
            let inputs = if biased { &inputs[..] } else { &inputs[..2] };
            let map = |x: &[Tensor]| {
                let bias = x.get(2).map(|bias| Weight::from_tensor(bias.clone()));
                Conv1d::new(Weight::from_tensor(x[1].clone()), bias)
            };
            let trained = |x: &[Tensor]| map(x)?.forward(&x[0], padding);
            let frozen = Conv1d::new(constant(&inputs[1]), inputs.get(2).map(constant)).unwrap();
            let steps = trained(inputs).unwrap().dim(1).unwrap();
            if steps == 0 {
                prop_assert!(padding == Padding::Valid && tokens < kernel);
                return Ok(());
            }
            assert_gradient(inputs, trained);
            assert_gradient(&inputs[..1], |x| frozen.forward(&x[0], padding));
            let (left, right) = padding.sides(kernel);
            let shape = Convolution {
                batch, tokens, width, kernel, out, left, padded: left + tokens + right, steps,
            };
            assert_same(inputs, trained, |x| map(x)?.composed(&x[0], &shape));
            assert_same(&inputs[..1], |x| frozen.forward(&x[0], padding), |x| {
                frozen.composed(&x[0], &shape)
            });
            assert_f32(inputs, trained, 1e-5);
        }

        #[test]
        fn maximum_and_gate_over_random_shapes(
            batch in 1usize..3, tokens in 1usize..6, width in 1usize..5, seed in 0u64..1000,
        ) {
            let x = [random(seed, &[batch, tokens, 2 * width])];
            let lengths: Vec<usize> =
                (0..batch).map(|b| 1 + (seed as usize + b) % tokens).collect();
            let largest = |x: &[Tensor]| max_over_tokens(&x[0], Some(&lengths));
            assert_gradient(&x, largest);
            assert_same(&x, |x| max_over_tokens(&x[0], None), |x| x[0].max(1));
            assert_gradient(&x, |x| glu(&x[0]));
            assert_same(&x, |x| glu(&x[0]), |x| composed_glu(&x[0]));
            assert_f32(&x, |x| glu(&x[0]), 1e-6);
        }
    }

    /// An input that fits in no kernel has no output, and still a gradient: zeros.
    #[test]
    fn too_short_a_sequence_has_no_output() {
        let map = Conv1d::new(constant(&random(1, &[2, 3, 4])), None).unwrap();
        let x = candle_core::Var::from_tensor(&random(2, &[2, 3, 3])).unwrap();
        let y = map.forward(&x, Padding::Valid).unwrap();
        assert_eq!(y.dims(), [2, 0, 2]);
        assert_eq!(max_abs(&crate::gradient(&y, &x).unwrap()), 0.0);
    }

    #[test]
    fn gradient_of_a_tie_goes_to_the_first() {
        let x = Tensor::new(&[[[1.0], [2.0], [2.0], [9.0]]], &candle_core::Device::Cpu).unwrap();
        let x = candle_core::Var::from_tensor(&x).unwrap();
        let y = max_over_tokens(&x, Some(&[3])).unwrap();
        let gradient = crate::gradient(&y, &x).unwrap().flatten_all().unwrap();
        assert_eq!(gradient.to_vec1::<f64>().unwrap(), [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn threads_change_nothing() {
        let weight = random(1, &[128, 64, 3]).to_dtype(candle_core::DType::F32).unwrap();
        let map = Conv1d::new(constant(&weight), None).unwrap();
        let x = random(2, &[9, 40, 64]).to_dtype(candle_core::DType::F32).unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x = candle_core::Var::from_tensor(&x).unwrap();
                let y = map.forward(&x, Padding::Same).unwrap();
                (crate::gradient(&y.sqr().unwrap(), &x).unwrap(), y)
            })
        };
        let ((dx, y), (dx3, y3)) = (run(1), run(3));
        assert_eq!(max_abs(&(dx - dx3).unwrap()), 0.0);
        assert_eq!(max_abs(&(y - y3).unwrap()), 0.0);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let weight = |dims: &[usize]| constant(&random(1, dims));
        assert!(Conv1d::new(weight(&[2, 3]), None).is_err());
        assert!(Conv1d::new(weight(&[2, 3, 1]), Some(weight(&[3]))).is_err());
        let map = Conv1d::new(weight(&[2, 3, 1]), None).unwrap();
        let error = map.forward(&random(1, &[1, 2, 4]), Padding::Valid).unwrap_err().to_string();
        assert!(error.contains("conv1d: last dimension of the input"), "{error}");
        let far = Padding::Explicit(usize::MAX, 1);
        assert!(map.forward(&random(1, &[1, 2, 3]), far).is_err());
        assert!(max_over_tokens(&random(1, &[1, 2, 3]), Some(&[0])).is_err());
        assert!(max_over_tokens(&random(1, &[1, 2, 3]), Some(&[1, 1])).is_err());
        assert!(glu(&random(1, &[1, 3])).is_err());
    }
}
