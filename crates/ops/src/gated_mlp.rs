//! The gated feed-forward block `y = W₃ (f(W₁ x + b₁) ⊙ (W₂ x + b₂)) + b₃` as one operation
//! (Shazeer 2020, arXiv 2002.05202, equation 6).

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::linear::{Input, Linear, linear_concat, multiply, storage_dtype};
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};
use crate::trained_linear::{Before, trained_linear};

/// Two linear maps side by side, one of them through an activation, multiplied, and mapped back.
#[derive(Debug, Clone)]
pub struct GatedMlp {
    /// `W₁`, `b₁`: the map that goes through the activation.
    pub gate: Linear,
    /// `W₂`, `b₂`: the map that is multiplied by it.
    pub up: Linear,
    /// The activation.
    pub activation: Activation,
    /// `W₃`, `b₃`: the map back.
    pub down: Linear,
}

impl GatedMlp {
    /// Applies the block.
    ///
    /// # Shapes
    /// - `x`: `[.., in]`
    /// - result: `[.., out]`
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.down.in_features();
        for map in [&self.gate, &self.up] {
            if map.out_features() != hidden {
                let got = map.out_features();
                return Err(shape_error("gated mlp", "hidden width", hidden, got));
            }
            if x.dims().last() != Some(&map.in_features()) {
                let expected = map.in_features();
                let what = "last dimension of the input";
                return Err(shape_error("gated mlp", what, expected, x.dims()));
            }
        }
        let constant = [&self.gate, &self.up, &self.down].iter().all(|map| map.is_constant());
        if x.device().is_cpu() && constant {
            return x
                .contiguous()?
                .apply_op1(FrozenGatedMlp { mlp: self.clone(), hidden: OnceLock::new() });
        }
        if x.device().is_cpu() {
            let hidden = linear_concat(x, &[&self.gate, &self.up])?;
            return trained_linear(&hidden, &[&self.down], Before::Gated(self.activation));
        }
        self.composed(x)
    }

    /// The block out of separate operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let gate = self.activation.forward(&self.gate.forward(x)?)?;
        self.down.forward(&(gate * self.up.forward(x)?)?)
    }
}

struct FrozenGatedMlp {
    mlp: GatedMlp,
    /// `W₁ x + b₁` and `W₂ x + b₂` of the forward pass, which the backward pass needs.
    hidden: OnceLock<[Arc<CpuStorage>; 2]>,
}

impl CustomOp1 for FrozenGatedMlp {
    fn name(&self) -> &'static str {
        "gated mlp"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let GatedMlp { gate, up, activation, down } = &self.mlp;
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            let rows = x.len() / up.in_features().max(1);
            let (width, out_width) = (up.out_features(), down.out_features());
            let mut gates = vec![T::ZERO; rows * width];
            let mut ups = vec![T::ZERO; rows * width];
            let mut out = vec![T::ZERO; rows * out_width];
            if rows > 0 {
                let x = Input::new(x, up.in_features());
                gate.forward_slice(&x, &mut gates, width)?;
                up.forward_slice(&x, &mut ups, width)?;
                let product = Input::activated(&gates, width, *activation, Some(&ups));
                down.forward_slice(&product, &mut out, out_width)?;
            }
            let keep = |values| Arc::new(T::to_cpu_storage_owned(values));
            // A second forward pass of the same instance cannot happen: one is made per call.
            let _ = self.hidden.set([keep(gates), keep(ups)]);
            let mut dims = layout.dims().to_vec();
            if let Some(last) = dims.last_mut() {
                *last = out_width;
            }
            Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
        })
    }

    /// With h = W₃ᵀ dy, g = W₁ x + b₁ and u = W₂ x + b₂:
    /// dx = W₁ᵀ (h ⊙ u ⊙ f'(g)) + W₂ᵀ (h ⊙ f(g)).
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let GatedMlp { gate, up, activation, down } = &self.mlp;
        let dy = dy.contiguous()?;
        let Some([gates, ups]) = self.hidden.get() else {
            candle_core::bail!("gated mlp: backward before forward");
        };
        for_real!(self.name(), x.dtype(), T => {
            let gates = T::cpu_storage_as_slice(gates)?;
            let ups = T::cpu_storage_as_slice(ups)?;
            with_slice::<T, _>(self.name(), &dy, |dy| {
                let rows = dy.len() / down.out_features().max(1);
                let width = up.out_features();
                let mut dx = vec![T::ZERO; rows * up.in_features()];
                if rows > 0 {
                    let mut dups = vec![T::ZERO; rows * width];
                    down.backward_slice(dy, down.out_features(), rows, false, &mut dups)?;
                    let mut dgates = dups.clone();
                    multiply(&mut dgates, ups);
                    activation.scale_by_derivative(gates, &mut dgates);
                    let mut active = gates.to_vec();
                    activation.apply(&mut active);
                    multiply(&mut dups, &active);
                    gate.backward_slice(&dgates, width, rows, false, &mut dx)?;
                    up.backward_slice(&dups, width, rows, true, &mut dx)?;
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
    use crate::weight::Weight;

    fn block(activation: Activation, hidden: usize) -> GatedMlp {
        GatedMlp {
            gate: Linear::new(weight(1, &[hidden, 5]), Some(weight(2, &[hidden]))).unwrap(),
            up: Linear::new(weight(3, &[hidden, 5]), None).unwrap(),
            activation,
            down: Linear::new(weight(4, &[4, hidden]), Some(weight(5, &[4]))).unwrap(),
        }
    }

    #[test]
    fn fused_block_is_the_separate_operations() {
        for activation in [Activation::Silu, Activation::GeluTanh, Activation::Relu] {
            let mlp = block(activation, 7);
            let x = [random(6, &[2, 3, 5])];
            assert_same(&x, |x| mlp.forward(&x[0]), |x| mlp.composed(&x[0]));
            if activation != Activation::Relu {
                assert_gradient(&x, |x| mlp.forward(&x[0]));
            }
        }
    }

    #[test]
    fn trained_block_has_weight_gradients() {
        let inputs =
            [random(1, &[2, 3]), random(2, &[4, 3]), random(3, &[4, 3]), random(4, &[3, 4])];
        let block = |x: &[candle_core::Tensor]| {
            let map = |i: usize| Linear::new(Weight::from_tensor(x[i].clone()), None).unwrap();
            GatedMlp { gate: map(1), up: map(2), activation: Activation::Silu, down: map(3) }
        };
        assert_gradient(&inputs, |x| block(x).forward(&x[0]));
        assert_same(&inputs, |x| block(x).forward(&x[0]), |x| block(x).composed(&x[0]));
    }

    #[test]
    fn packed_block_agrees_with_double_precision() {
        for (rows, hidden) in [(3, 64), (21, 50)] {
            let constants =
                [random(1, &[hidden, 32]), random(2, &[hidden, 32]), random(3, &[20, hidden])];
            assert_f32_gradient(&random(4, &[rows, 32]), &constants, |x, weights| {
                let map = |i: usize| Linear::new(weights[i].clone(), None);
                let activation = Activation::Silu;
                GatedMlp { gate: map(0)?, up: map(1)?, activation, down: map(2)? }.forward(x)
            });
        }
    }

    #[test]
    fn widths_that_do_not_fit_are_errors() {
        let mut mlp = block(Activation::Silu, 7);
        assert!(mlp.forward(&random(1, &[2, 4])).is_err());
        mlp.up = Linear::new(weight(3, &[6, 5]), None).unwrap();
        assert!(mlp.forward(&random(1, &[2, 5])).is_err());
    }
}
