//! The feed-forward block `y = W₂ f(W₁ x + b₁) + b₂` as one operation.
//!
//! As one operation the wide hidden activations are written once and never pass through the
//! autograd graph: about a tenth of an explanation's time at small batch sizes.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::linear::{Input, Linear, storage_dtype};
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};
use crate::trained_linear::{Before, trained_linear};

/// Two linear maps with an activation between them.
#[derive(Debug, Clone)]
pub struct Mlp {
    /// `W₁`, `b₁`: the map into the hidden width.
    pub up: Linear,
    /// The activation between the maps.
    pub activation: Activation,
    /// `W₂`, `b₂`: the map back.
    pub down: Linear,
}

impl Mlp {
    /// Applies the block.
    ///
    /// # Shapes
    /// - `x`: `[.., in]`
    /// - result: `[.., out]`
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.up.out_features() != self.down.in_features() {
            let (up, down) = (self.up.out_features(), self.down.in_features());
            return Err(shape_error("mlp", "hidden width of the second map", up, down));
        }
        if x.dims().last() != Some(&self.up.in_features()) {
            let expected = self.up.in_features();
            return Err(shape_error("mlp", "last dimension of the input", expected, x.dims()));
        }
        if x.device().is_cpu() && self.up.is_constant() && self.down.is_constant() {
            return x
                .contiguous()?
                .apply_op1(FrozenMlp { mlp: self.clone(), hidden: OnceLock::new() });
        }
        if x.device().is_cpu() {
            let hidden = self.up.forward(x)?;
            return trained_linear(&hidden, &[&self.down], Before::Activation(self.activation));
        }
        self.composed(x)
    }

    /// The block out of the three separate operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&self.activation.forward(&self.up.forward(x)?)?)
    }
}

struct FrozenMlp {
    mlp: Mlp,
    /// `W₁ x + b₁` of the forward pass, which the backward pass needs.
    hidden: OnceLock<Arc<CpuStorage>>,
}

impl CustomOp1 for FrozenMlp {
    fn name(&self) -> &'static str {
        "mlp"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Mlp { up, activation, down } = &self.mlp;
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let rows = x.len() / up.in_features().max(1);
            let (width, out_width) = (up.out_features(), down.out_features());
            let mut hidden = vec![T::ZERO; rows * width];
            let mut out = vec![T::ZERO; rows * out_width];
            if rows > 0 {
                up.forward_slice(&Input::new(x, up.in_features()), &mut hidden, width)?;
                let active = Input::activated(&hidden, width, *activation, None);
                down.forward_slice(&active, &mut out, out_width)?;
            }
            // A second forward pass of the same instance cannot happen: one is made per call.
            let _ = self.hidden.set(Arc::new(T::to_cpu_storage_owned(hidden)));
            let mut dims = layout.dims().to_vec();
            if let Some(last) = dims.last_mut() {
                *last = out_width;
            }
            Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Mlp { up, activation, down } = &self.mlp;
        let dy = dy.contiguous()?;
        let Some(hidden) = self.hidden.get() else {
            candle_core::bail!("mlp: backward before forward");
        };
        for_real!(self.name(), x.dtype(), T => {
            let hidden = T::cpu_storage_as_slice(hidden)?;
            with_slice::<T, _>(self.name(), &dy, |dy| {
                let rows = dy.len() / down.out_features().max(1);
                let mut dx = vec![T::ZERO; rows * up.in_features()];
                if rows > 0 {
                    let mut dhidden = vec![T::ZERO; rows * up.out_features()];
                    down.backward_slice(dy, down.out_features(), rows, false, &mut dhidden)?;
                    activation.scale_by_derivative(hidden, &mut dhidden);
                    up.backward_slice(&dhidden, up.out_features(), rows, false, &mut dx)?;
                }
                tensor(dx, x.dims()).map(Some)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32_gradient, assert_gradient, assert_same, random, weight};

    #[test]
    fn fused_block_is_the_three_operations() {
        for activation in [Activation::Gelu, Activation::Relu, Activation::Silu] {
            let mlp = Mlp {
                up: Linear::new(weight(1, &[9, 5]), Some(weight(2, &[9]))).unwrap(),
                activation,
                down: Linear::new(weight(3, &[4, 9]), Some(weight(4, &[4]))).unwrap(),
            };
            let x = random(5, &[2, 3, 5]);
            assert_same(std::slice::from_ref(&x), |x| mlp.forward(&x[0]), |x| mlp.composed(&x[0]));
            if activation != Activation::Relu {
                assert_gradient(&[x], |x| mlp.forward(&x[0]));
            }
        }
    }

    #[test]
    fn trained_block_has_all_gradients() {
        let dims = [vec![2, 3, 5], vec![9, 5], vec![9], vec![4, 9], vec![4]];
        let inputs: Vec<_> = dims.iter().zip(1..).map(|(dims, seed)| random(seed, dims)).collect();
        let block = |x: &[candle_core::Tensor]| {
            let map = |i: usize| {
                let [weight, bias] = [i, i + 1].map(|i| crate::Weight::from_tensor(x[i].clone()));
                Linear::new(weight, Some(bias)).unwrap()
            };
            Mlp { up: map(1), activation: Activation::GeluTanh, down: map(3) }
        };
        assert_gradient(&inputs, |x| block(x).forward(&x[0]));
        assert_same(&inputs, |x| block(x).forward(&x[0]), |x| block(x).composed(&x[0]));
        // Without gradients of the weights too.
        assert_gradient(&inputs[..1], |x| block(&inputs).forward(&x[0]));
    }

    #[test]
    fn packed_block_agrees_with_double_precision() {
        for (rows, hidden) in [(3, 64), (21, 50)] {
            let constants = [
                random(1, &[hidden, 32]),
                random(2, &[hidden]),
                random(3, &[20, hidden]),
                random(4, &[20]),
            ];
            assert_f32_gradient(&random(5, &[rows, 32]), &constants, |x, weights| {
                let map = |i: usize| Linear::new(weights[i].clone(), Some(weights[i + 1].clone()));
                Mlp { up: map(0)?, activation: Activation::Gelu, down: map(2)? }.forward(x)
            });
        }
    }

    #[test]
    fn widths_that_do_not_fit_are_errors() {
        let mlp = Mlp {
            up: Linear::new(weight(1, &[9, 5]), None).unwrap(),
            activation: Activation::Relu,
            down: Linear::new(weight(3, &[4, 8]), None).unwrap(),
        };
        assert!(mlp.forward(&random(1, &[2, 5])).is_err());
    }
}
