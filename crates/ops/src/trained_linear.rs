//! The linear map with weights that are trained, and an activation before it.
//!
//! Each gradient is one product over all rows, split over threads by columns of its result.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::leaves;
use crate::linear::{Linear, multiply, storage_dtype};
use crate::matmul::{View, product_nt_parallel, product_parallel};
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;

/// What happens to the input before the product.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before {
    Nothing,
    /// `f(x)`
    Activation(Activation),
    /// `f(a) b` of the halves `a`, `b` of each row.
    Gated(Activation),
}

/// The maps side by side, on the CPU, as in [`crate::linear::linear_concat`].
pub(crate) fn trained_linear(x: &Tensor, maps: &[&Linear], before: Before) -> Result<Tensor> {
    let device = x.device();
    let mut weights = Vec::with_capacity(maps.len());
    let mut biases = Vec::with_capacity(maps.len());
    for map in maps {
        let (weight, bias) = map.weights();
        weights.push(weight.to_tensor(device)?.contiguous()?);
        biases.push(match bias {
            Some(bias) => bias.to_tensor(device)?.contiguous()?,
            None => Tensor::zeros(map.out_features(), x.dtype(), device)?,
        });
    }
    let operation = TrainedLinear { before, active: OnceLock::new() };
    x.contiguous()?.apply_op3(&stack(&weights)?, &stack(&biases)?, operation)
}

/// Rows of one tensor after those of another.
fn stack(parts: &[Tensor]) -> Result<Tensor> {
    match parts {
        [one] => Ok(one.clone()),
        [a, b] => a.apply_op3(b, &b.narrow(0, 0, 0)?.detach(), Stack),
        [a, b, c] => a.apply_op3(b, c, Stack),
        many => Tensor::cat(many, 0),
    }
}

/// Three weights, one after the other.
struct Stack;

impl CustomOp3 for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
        c: &CpuStorage,
        c_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let layouts = [a_layout, b_layout, c_layout];
        let mut dims = a_layout.dims().to_vec();
        dims[0] = layouts.iter().map(|layout| layout.dims()[0]).sum();
        for_real!(self.name(), storage_dtype(a), T => {
            let mut out = Vec::with_capacity(dims.iter().product());
            for (part, layout) in [a, b, c].into_iter().zip(layouts) {
                out.extend_from_slice(contiguous::<T>(self.name(), part, layout)?);
            }
            Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
        })
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dout = dout.contiguous()?;
        for_real!(self.name(), a.dtype(), T => with_slice::<T, _>(self.name(), &dout, |dout| {
            let mut rest = dout;
            let mut next = |part: &Tensor| {
                let (mine, others) = rest.split_at(part.elem_count());
                rest = others;
                leaves::gradient::<T>(out, part, |to, add| {
                    if add {
                        add_to(to, mine);
                    } else {
                        to.copy_from_slice(mine);
                    }
                    Ok(())
                })
            };
            Ok((next(a)?, next(b)?, next(c)?))
        }))
    }
}

fn add_to<T: Real>(to: &mut [T], from: &[T]) {
    simd!({
        for (to, &from) in to.iter_mut().zip(from) {
            *to += from;
        }
    });
}

/// `y = W f(x) + b` of `x`, `W` and `b`.
struct TrainedLinear {
    before: Before,
    /// `f(x)` of the forward pass; not set where it is `x`.
    active: OnceLock<CpuStorage>,
}

/// Multiply-adds that an activation costs.
const ACTIVATION: usize = 32;

impl Before {
    /// `f(x)`, in rows of `width`.
    fn forward<T: Real>(self, x: &[T], width: usize) -> Vec<T> {
        let (activation, times) = match self {
            Self::Nothing => (Activation::Linear, 1),
            Self::Activation(activation) => (activation, 1),
            Self::Gated(activation) => (activation, 2),
        };
        let mut out = vec![T::ZERO; x.len() / times];
        let parts = threads::parts_for(ACTIVATION * out.len());
        threads::split_rows(&mut out, width.max(1), parts, |first, out| {
            let x = &x[first * width * times..][..out.len() * times];
            if times == 1 {
                out.copy_from_slice(x);
                activation.apply(out);
                return;
            }
            for (out, x) in out.chunks_mut(width).zip(x.chunks(2 * width)) {
                let (gate, up) = x.split_at(width);
                out.copy_from_slice(gate);
                activation.apply(out);
                multiply(out, up);
            }
        });
        out
    }

    /// From the gradient of `f(x)` to that of `x`.
    fn backward<T: Real>(self, x: &[T], width: usize, mut dactive: Vec<T>) -> Vec<T> {
        let parts = threads::parts_for(ACTIVATION * dactive.len());
        match self {
            Self::Nothing => dactive,
            Self::Activation(activation) => {
                threads::split_rows(&mut dactive, width.max(1), parts, |first, dactive| {
                    let x = &x[first * width..][..dactive.len()];
                    activation.scale_by_derivative(x, dactive);
                });
                dactive
            }
            Self::Gated(activation) => {
                let mut dx = vec![T::ZERO; x.len()];
                threads::split_rows(&mut dx, (2 * width).max(1), parts, |first, dx| {
                    for (i, dx) in dx.chunks_mut(2 * width).enumerate() {
                        let (gate, up) = x[(first + i) * 2 * width..][..2 * width].split_at(width);
                        let dactive = &dactive[(first + i) * width..][..width];
                        let (dgate, dup) = dx.split_at_mut(width);
                        dgate.copy_from_slice(dactive);
                        multiply(dgate, up);
                        activation.scale_by_derivative(gate, dgate);
                        dup.copy_from_slice(gate);
                        activation.apply(dup);
                        multiply(dup, dactive);
                    }
                });
                dx
            }
        }
    }
}

/// Above so many rows, a product that adds to the bias is the faster.
const MANY: usize = 384;

fn forward<T: Real>(
    x: &[T],
    weight: &[T],
    bias: &[T],
    (rows, k, n): (usize, usize, usize),
) -> Vec<T> {
    let mut out = vec![T::ZERO; rows * n];
    if n == 0 {
        return out;
    }
    let parts = threads::parts_for(2 * out.len());
    let (x, weight) = (View::rows(x, k), View::rows(weight, k));
    if rows > MANY {
        threads::split_rows(&mut out, n, parts, |_, out| {
            for row in out.chunks_mut(n) {
                row.copy_from_slice(bias);
            }
        });
        product_parallel((rows, k, n), x, weight.transposed(), true, &mut out, n);
    } else {
        product_nt_parallel((rows, k, n), x, weight, &mut out, n);
        threads::split_rows(&mut out, n, parts, |_, out| {
            for row in out.chunks_mut(n) {
                add_to(row, bias);
            }
        });
    }
    out
}

/// Sums of the columns of `dy`, added to `sums`.
pub(crate) fn add_column_sums<T: Real>(dy: &[T], sums: &mut [T]) {
    let n = sums.len();
    let parts = threads::parts_for(2 * dy.len());
    threads::split_rows(sums, 1, parts, |first, sums| {
        simd!({
            for row in dy.chunks_exact(n) {
                for (sum, &value) in sums.iter_mut().zip(&row[first..]) {
                    *sum += value;
                }
            }
        });
    });
}

impl CustomOp3 for TrainedLinear {
    fn name(&self) -> &'static str {
        "linear (trained)"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, k) = weight_layout.shape().dims2()?;
        let mut dims = x_layout.dims().to_vec();
        let rows = dims[..dims.len().saturating_sub(1)].iter().product();
        if let Some(last) = dims.last_mut() {
            *last = n;
        }
        for_real!(self.name(), storage_dtype(x), T => {
            let x = contiguous::<T>(self.name(), x, x_layout)?;
            let weight = contiguous::<T>(self.name(), weight, weight_layout)?;
            let bias = contiguous::<T>(self.name(), bias, bias_layout)?;
            let out = if matches!(self.before, Before::Nothing) {
                forward(x, weight, bias, (rows, k, n))
            } else {
                let active = self.before.forward(x, k);
                let out = forward(&active, weight, bias, (rows, k, n));
                // A second forward pass of the same instance cannot happen: one is made per call.
                let _ = self.active.set(T::to_cpu_storage_owned(active));
                out
            };
            Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
        })
    }

    /// dx = f'(x) (dy W), dW = dyᵀ f(x), db = Σ dy.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (n, k) = weight.dims2()?;
        let name = self.name();
        for_real!(name, x.dtype(), T => with_slice::<T, _>(name, &dy, |dy| {
            let rows = dy.len() / n.max(1);
            let dy_view = View::rows(dy, n);
            with_slice::<T, _>(name, x, |x_values| {
                let dx = if x.track_op() {
                    let mut dactive = vec![T::ZERO; rows * k];
                    with_slice::<T, _>(name, weight, |weight| {
                        let weight = View::rows(weight, k);
                        product_parallel((rows, n, k), dy_view, weight, false, &mut dactive, k);
                        Ok(())
                    })?;
                    Some(tensor(self.before.backward(x_values, k, dactive), x.dims())?)
                } else {
                    None
                };
                let active = match self.active.get() {
                    Some(active) => T::cpu_storage_as_slice(active)?,
                    None => x_values,
                };
                let dw = leaves::gradient::<T>(y, weight, |dw, add| {
                    let active = View::rows(active, k);
                    product_parallel((n, rows, k), dy_view.transposed(), active, add, dw, k);
                    Ok(())
                })?;
                let db = leaves::gradient::<T>(y, bias, |db, _| {
                    add_column_sums(dy, db);
                    Ok(())
                })?;
                Ok((dx, dw, db))
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::linear_concat;
    use crate::testing::{assert_gradient, assert_same, max_abs, random};
    use crate::weight::Weight;
    use proptest::prelude::*;

    fn map(x: &[Tensor], i: usize) -> Linear {
        let [weight, bias] = [i, i + 1].map(|i| Weight::from_tensor(x[i].clone()));
        Linear::new(weight, Some(bias)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn several_maps_over_random_shapes(
            rows in 1usize..5, k in 1usize..6, n in 1usize..6, count in 1usize..5,
            seed in 0u64..1000,
        ) {
            let mut inputs = vec![random(seed, &[rows, k])];
            for i in 0..count {
                inputs.push(random(seed + 10 + i as u64, &[n + i, k]));
                inputs.push(random(seed + 20 + i as u64, &[n + i]));
            }
            let maps = |x: &[Tensor]| -> Vec<Linear> {
                (0..count).map(|i| map(x, 1 + 2 * i)).collect()
            };
            let fast = |x: &[Tensor]| {
                linear_concat(&x[0], &maps(x).iter().collect::<Vec<_>>())
            };
            assert_gradient(&inputs, fast);
            assert_same(&inputs, fast, |x| {
                let parts = maps(x).iter().map(|map| map.composed(&x[0])).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&parts, 1)
            });
        }
    }

    /// Sizes at which products and sums are split, in both forms of the bias.
    #[test]
    fn threads_change_nothing() {
        for rows in [100, 500] {
            let dims = [vec![rows, 192], vec![400, 192], vec![400]];
            let inputs: Vec<Tensor> = dims
                .iter()
                .zip(1..)
                .map(|(dims, seed)| random(seed, dims).to_dtype(candle_core::DType::F32).unwrap())
                .collect();
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let vars: Vec<_> =
                        inputs.iter().map(|x| candle_core::Var::from_tensor(x).unwrap()).collect();
                    let x: Vec<Tensor> = vars.iter().map(|x| x.as_tensor().clone()).collect();
                    let maps = [map(&x, 1)];
                    let before = Before::Activation(Activation::Gelu);
                    let y = trained_linear(&x[0], &[&maps[0]], before).unwrap();
                    let grads = crate::backward(&y.sqr().unwrap()).unwrap();
                    let mut results = vec![y];
                    results.extend(x.iter().map(|x| grads.get(x).unwrap().clone()));
                    results
                })
            };
            for (one, three) in run(1).iter().zip(run(3)) {
                assert_eq!(max_abs(&(one - three).unwrap()), 0.0);
            }
        }
    }
}
