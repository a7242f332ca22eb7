//! The linear map `y = x Wᵀ + b`.

use std::cell::OnceCell;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::lines::{Lines, LinesBuf, Matrix};
use crate::matmul::{View, packed_backward, packed_forward, product_nt_parallel, product_parallel};
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::trained_linear::{Before, trained_linear};
use crate::weight::Weight;

/// A linear map with an optional bias.
///
/// With constant weights an explanation pays for the input's gradient only. With weights that are
/// tracked tensors ([`Weight::from_tensor`]) their gradients are computed too.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Weight>,
}

impl Linear {
    /// A map with `weight: [out, in]` and `bias: [out]`.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn new(weight: Weight, bias: Option<Weight>) -> Result<Self> {
        let &[out, _] = weight.shape() else {
            return Err(shape_error("linear", "weight", "[out, in]", weight.shape()));
        };
        if let Some(bias) = &bias
            && bias.shape() != [out]
        {
            return Err(shape_error("linear", "bias", [out], bias.shape()));
        }
        Ok(Self { weight, bias })
    }

    /// The number of inputs.
    pub fn in_features(&self) -> usize {
        self.weight.shape()[1]
    }

    /// The number of outputs.
    pub fn out_features(&self) -> usize {
        self.weight.shape()[0]
    }

    /// Applies the map.
    ///
    /// # Shapes
    /// - `x`: `[.., in]`
    /// - result: `[.., out]`
    ///
    /// # Errors
    /// If the last dimension is not `in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear_concat(x, &[self])
    }

    /// Weight and bias.
    pub(crate) fn weights(&self) -> (&Weight, Option<&Weight>) {
        (&self.weight, self.bias.as_ref())
    }

    /// Both weights are constants in host memory.
    pub(crate) fn is_constant(&self) -> bool {
        self.weight.is_constant() && self.bias.as_ref().is_none_or(Weight::is_constant)
    }

    /// The map written with candle's own operations, for other devices and as a reference.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.to_tensor(x.device())?;
        let dims = x.dims();
        let rows: usize = dims[..dims.len() - 1].iter().product();
        let flat = x.reshape((rows, self.in_features()))?;
        let mut y = flat.matmul(&weight.t()?)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(&bias.to_tensor(x.device())?)?;
        }
        let mut out_dims = dims.to_vec();
        if let Some(last) = out_dims.last_mut() {
            *last = self.out_features();
        }
        y.reshape(out_dims)
    }

    /// `out[rows, out_features] = x Wᵀ + b` on slices, `out` in rows of `out_stride`.
    pub(crate) fn forward_slice<T: Real>(
        &self,
        x: &Input<'_, T>,
        out: &mut [T],
        out_stride: usize,
    ) -> Result<()> {
        let (rows, k, n) = (x.rows, self.in_features(), self.out_features());
        let bias = self.bias.as_ref().map(constant::<T>).transpose()?;
        if let Some(weight) = self.weight.lines()
            && let Some(x) = x.lines()
            && let Some(out) = T::as_f32_mut(out)
        {
            packed_forward((rows, k, n), x, weight, bias.and_then(T::as_f32), out, out_stride);
            return Ok(());
        }
        let weight = constant::<T>(&self.weight)?;
        let x = x.plain();
        product_nt_parallel((rows, k, n), View::rows(x, k), View::rows(weight, k), out, out_stride);
        if let Some(bias) = bias {
            simd!({
                for row in out.chunks_mut(out_stride).take(rows) {
                    for (value, &bias) in row.iter_mut().zip(bias) {
                        *value += bias;
                    }
                }
            });
        }
        Ok(())
    }

    /// `dx[rows, in] (+)= dy W` on slices, `dy` in rows of `dy_stride`.
    pub(crate) fn backward_slice<T: Real>(
        &self,
        dy: &[T],
        dy_stride: usize,
        rows: usize,
        accumulate: bool,
        dx: &mut [T],
    ) -> Result<()> {
        let (n, k) = (self.out_features(), self.in_features());
        if let Some(weight) = self.weight.lines()
            && let Some(data) = T::as_f32(dy)
            && let Some(dx) = T::as_f32_mut(dx)
        {
            let dy = Matrix { data, rows, columns: n, stride: dy_stride };
            let dy = LinesBuf::along_columns(dy);
            packed_backward((rows, n, k), dy.as_lines(), weight, accumulate, dx);
            return Ok(());
        }
        let weight = constant::<T>(&self.weight)?;
        let (dy, weight) = (View::rows(dy, dy_stride), View::rows(weight, k));
        product_parallel((rows, n, k), dy, weight, accumulate, dx, k);
        Ok(())
    }
}

/// Rows that go into one or several maps, packed at most once.
pub(crate) struct Input<'a, T: Real> {
    rows: usize,
    columns: usize,
    x: &'a [T],
    /// `x ↦ f(x) ⊙ times`, which is fused with packing.
    map: Option<(Activation, Option<&'a [T]>)>,
    plain: OnceCell<Vec<T>>,
    lines: OnceCell<LinesBuf>,
}

impl<'a, T: Real> Input<'a, T> {
    /// `x: [.., columns]`.
    pub(crate) fn new(x: &'a [T], columns: usize) -> Self {
        let rows = x.len() / columns.max(1);
        Self { rows, columns, x, map: None, plain: OnceCell::new(), lines: OnceCell::new() }
    }

    /// `activation(x) ⊙ times`, both `[.., columns]`.
    pub(crate) fn activated(
        x: &'a [T],
        columns: usize,
        activation: Activation,
        times: Option<&'a [T]>,
    ) -> Self {
        Self { map: Some((activation, times)), ..Self::new(x, columns) }
    }

    fn plain(&self) -> &[T] {
        let Some((activation, times)) = self.map else { return self.x };
        self.plain.get_or_init(|| {
            let mut values = self.x.to_vec();
            activation.apply(&mut values);
            if let Some(times) = times {
                multiply(&mut values, times);
            }
            values
        })
    }

    fn lines(&self) -> Option<Lines<'_>> {
        let matrix = |data| {
            let (rows, columns) = (self.rows, self.columns);
            T::as_f32(data).map(|data| Matrix { data, rows, columns, stride: columns })
        };
        let x = matrix(self.x)?;
        let lines = self.lines.get_or_init(|| match self.map {
            None => LinesBuf::along_rows(x, |_| (), None),
            Some((activation, times)) => {
                LinesBuf::along_rows(x, |part| activation.apply(part), times.and_then(matrix))
            }
        });
        Some(lines.as_lines())
    }
}

/// `values ⊙ by`.
pub(crate) fn multiply<T: Real>(values: &mut [T], by: &[T]) {
    simd!({
        for (value, &by) in values.iter_mut().zip(by) {
            *value *= by;
        }
    });
}

fn constant<T: Real>(weight: &Weight) -> Result<&[T]> {
    T::constant(weight).ok_or_else(|| {
        shape_error("linear", "element type of the weight", T::DTYPE, weight.dtype())
    })
}

/// Several maps of the same input side by side: `[x W₁ᵀ + b₁, x W₂ᵀ + b₂, ..]` along the last
/// dimension, without copying the weights together.
///
/// # Shapes
/// - `x`: `[.., in]`
/// - result: `[.., out₁ + out₂ + ..]`
///
/// # Errors
/// If `x` does not fit the maps.
pub fn linear_concat(x: &Tensor, maps: &[&Linear]) -> Result<Tensor> {
    let last = x.dims().last().copied();
    if maps.iter().any(|map| Some(map.in_features()) != last) {
        let expected: Vec<_> = maps.iter().map(|map| map.in_features()).collect();
        return Err(shape_error("linear", "last dimension of the input", expected, x.dims()));
    }
    if x.device().is_cpu() && maps.iter().all(|map| map.is_constant()) {
        let maps: Vec<Linear> = maps.iter().map(|&map| map.clone()).collect();
        return x.contiguous()?.apply_op1(FrozenLinear { maps: maps.into() });
    }
    if x.device().is_cpu() {
        return trained_linear(x, maps, Before::Nothing);
    }
    let parts = maps.iter().map(|map| map.composed(x)).collect::<Result<Vec<_>>>()?;
    match parts.as_slice() {
        [one] => Ok(one.clone()),
        many => Tensor::cat(many, candle_core::D::Minus1),
    }
}

/// [`linear_concat`] over constants: a unary operation of `x`.
struct FrozenLinear {
    maps: Arc<[Linear]>,
}

impl FrozenLinear {
    fn out_features(&self) -> usize {
        self.maps.iter().map(Linear::out_features).sum()
    }
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let total = self.out_features();
            let rows = x.len() / self.maps[0].in_features().max(1);
            let mut out = vec![T::ZERO; rows * total];
            let mut column = 0;
            let x = Input::new(x, self.maps[0].in_features());
            for map in self.maps.iter() {
                if rows > 0 {
                    map.forward_slice(&x, &mut out[column..], total)?;
                }
                column += map.out_features();
            }
            let mut dims = layout.dims().to_vec();
            if let Some(last) = dims.last_mut() {
                *last = total;
            }
            Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            with_slice::<T, _>(self.name(), &dy, |dy| {
                let total = self.out_features();
                let rows = dy.len() / total.max(1);
                let mut dx = vec![T::ZERO; rows * self.maps[0].in_features()];
                let mut column = 0;
                for (i, map) in self.maps.iter().enumerate() {
                    if rows > 0 {
                        map.backward_slice(&dy[column..], total, rows, i > 0, &mut dx)?;
                    }
                    column += map.out_features();
                }
                tensor(dx, x.dims()).map(Some)
            })
        })
    }
}

pub(crate) fn storage_dtype(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_f32_gradient, assert_gradient, assert_same, constant, random, weight,
    };
    use proptest::prelude::*;

    #[test]
    fn frozen_concatenation_has_the_exact_input_gradient() {
        let (a, b) = (
            Linear::new(weight(1, &[3, 5]), Some(weight(2, &[3]))).unwrap(),
            Linear::new(weight(3, &[4, 5]), None).unwrap(),
        );
        let x = random(4, &[2, 3, 5]);
        let fast = |x: &[Tensor]| linear_concat(&x[0], &[&a, &b]);
        assert_gradient(std::slice::from_ref(&x), fast);
        assert_same(&[x], fast, |x| {
            Tensor::cat(&[a.composed(&x[0])?, b.composed(&x[0])?], candle_core::D::Minus1)
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_gradients_over_random_shapes(
            rows in 1usize..5, n_in in 1usize..7, n_out in 1usize..7, seed in 0u64..1000,
        ) {
            let inputs = [random(seed, &[rows, n_in]), random(seed + 1, &[n_out, n_in]),
                          random(seed + 2, &[n_out])];
            let trained = |x: &[Tensor]| {
                let bias = Some(Weight::from_tensor(x[2].clone()));
                Linear::new(Weight::from_tensor(x[1].clone()), bias)?.forward(&x[0])
            };
            assert_gradient(&inputs, trained);
            assert_same(&inputs, trained, |x| {
                x[0].matmul(&x[1].t()?)?.broadcast_add(&x[2])
            });
            // Frozen and trained weights give the same map.
            let frozen = Linear::new(constant(&inputs[1]), Some(constant(&inputs[2]))).unwrap();
            assert_same(&inputs[..1], |x| frozen.forward(&x[0]), |x| {
                x[0].matmul(&inputs[1].t()?)?.broadcast_add(&inputs[2])
            });
        }
    }

    #[test]
    fn packed_maps_agree_with_double_precision() {
        // Widths that are whole lines and that are not; one map too narrow to be packed.
        for (rows, widths) in [(1, [32, 48, 16]), (7, [33, 50, 3]), (40, [19, 100, 21])] {
            let constants = [
                random(1, &[widths[1], widths[0]]),
                random(2, &[widths[1]]),
                random(3, &[widths[2], widths[0]]),
            ];
            assert_f32_gradient(&random(4, &[rows, widths[0]]), &constants, |x, weights| {
                let first = Linear::new(weights[0].clone(), Some(weights[1].clone()))?;
                let second = Linear::new(weights[2].clone(), None)?;
                linear_concat(x, &[&first, &second])
            });
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let map = Linear::new(weight(1, &[3, 5]), None).unwrap();
        let error = map.forward(&random(1, &[2, 4])).unwrap_err().to_string();
        assert!(error.contains("linear: last dimension of the input"), "{error}");
        assert!(Linear::new(weight(1, &[3, 5]), Some(weight(1, &[4]))).is_err());
        assert!(Linear::new(weight(1, &[3]), None).is_err());
    }

    #[test]
    fn empty_input_gives_empty_output() {
        let map = Linear::new(weight(1, &[3, 5]), Some(weight(2, &[3]))).unwrap();
        assert_eq!(map.forward(&random(1, &[0, 5])).unwrap().dims(), [0, 3]);
    }
}
