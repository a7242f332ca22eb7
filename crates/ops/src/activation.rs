//! Pointwise activations.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;

/// A pointwise non-linearity, by the name that model configurations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`, the exact Gaussian error linear unit (Hendrycks & Gimpel 2016, arXiv 1606.08415).
    Gelu,
    /// GELU with Φ approximated by tanh (the same paper, section 2).
    GeluTanh,
    /// `x σ(1.702 x)` (the same paper, section 2).
    QuickGelu,
    /// `max(0, x)`; its derivative at 0 is taken as 0.
    Relu,
    /// `x σ(x)`, also called swish (Elfwing et al. 2017, arXiv 1702.03118).
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// The identity.
    Linear,
}

/// sqrt(2 / π)
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// The cubic coefficient of the tanh approximation.
const GELU_CUBIC: f64 = 0.044_715;
const QUICK_GELU_SLOPE: f64 = 1.702;

impl Activation {
    /// Every activation, for tests and documentation.
    pub const ALL: [Self; 8] = [
        Self::Gelu,
        Self::GeluTanh,
        Self::QuickGelu,
        Self::Relu,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Linear,
    ];

    /// The activation that a `config.json` calls `name`, if it is known.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate"
            | "gelu_python_tanh" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            "linear" => Self::Linear,
            _ => return None,
        })
    }

    /// Applies the activation to every element; the result has the shape of `x`.
    ///
    /// # Errors
    /// If `x` is not a floating-point tensor.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() { x.contiguous()?.apply_op1(self) } else { self.composed(x) }
    }

    /// The activation written with candle's own operations.
    pub(crate) fn composed(self, x: &Tensor) -> Result<Tensor> {
        let sigmoid = |x: &Tensor| (x.neg()?.exp()? + 1.0)?.recip();
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => {
                let inner = ((x + ((x.sqr()? * x)? * GELU_CUBIC)?)? * SQRT_2_OVER_PI)?;
                (x * (inner.tanh()? + 1.0)?)? * 0.5
            }
            Self::QuickGelu => x * sigmoid(&(x * QUICK_GELU_SLOPE)?)?,
            Self::Relu => x.relu(),
            Self::Silu => x * sigmoid(x)?,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(x),
            Self::Linear => Ok(x.clone()),
        }
    }

    /// `f(x)` for each element, in place.
    pub(crate) fn apply<T: Real>(self, values: &mut [T]) {
        // One vectorised loop per variant: the match is outside.
        macro_rules! each {
            ($f:expr) => {
                simd!({
                    for value in values.iter_mut() {
                        *value = $f(*value).0;
                    }
                })
            };
        }
        match self {
            Self::Gelu => each!(gelu),
            Self::GeluTanh => each!(gelu_tanh),
            Self::QuickGelu => each!(quick_gelu),
            Self::Relu => each!(relu),
            Self::Silu => each!(silu),
            Self::Tanh => each!(tanh),
            Self::Sigmoid => each!(logistic),
            Self::Linear => {}
        }
    }

    /// `gradient *= f'(x)` for each element.
    pub(crate) fn scale_by_derivative<T: Real>(self, x: &[T], gradient: &mut [T]) {
        macro_rules! each {
            ($f:expr) => {
                simd!({
                    for (gradient, &x) in gradient.iter_mut().zip(x) {
                        *gradient *= $f(x).1;
                    }
                })
            };
        }
        match self {
            Self::Gelu => each!(gelu),
            Self::GeluTanh => each!(gelu_tanh),
            Self::QuickGelu => each!(quick_gelu),
            Self::Relu => each!(relu),
            Self::Silu => each!(silu),
            Self::Tanh => each!(tanh),
            Self::Sigmoid => each!(logistic),
            Self::Linear => {}
        }
    }
}

// Each returns value and derivative; the compiler drops the one that a loop does not use.

/// x Φ(x) and Φ(x) + x φ(x)
#[inline(always)]
fn gelu<T: Real>(x: T) -> (T, T) {
    let (distribution, density) = x.normal();
    (x * distribution, distribution + x * density)
}

/// 0.5 x (1 + tanh(c (x + a x³)))
#[inline(always)]
fn gelu_tanh<T: Real>(x: T) -> (T, T) {
    let (half, scale, cubic) = (T::of(0.5), T::of(SQRT_2_OVER_PI), T::of(GELU_CUBIC));
    let x2 = x * x;
    let t = (scale * (x + cubic * x2 * x)).tanh();
    let inner_slope = scale * (T::ONE + T::of(3.0) * cubic * x2);
    let value = half * x * (T::ONE + t);
    (value, half * (T::ONE + t) + half * x * (T::ONE - t * t) * inner_slope)
}

#[inline(always)]
fn quick_gelu<T: Real>(x: T) -> (T, T) {
    let slope = T::of(QUICK_GELU_SLOPE);
    let s = sigmoid(x * slope);
    (x * s, s + x * slope * s * (T::ONE - s))
}

#[inline(always)]
fn relu<T: Real>(x: T) -> (T, T) {
    // A NaN is not greater than zero, and must not become a quiet zero.
    let value = if x < T::ZERO { T::ZERO } else { x };
    (value, if x > T::ZERO { T::ONE } else { T::ZERO })
}

#[inline(always)]
fn silu<T: Real>(x: T) -> (T, T) {
    let s = sigmoid(x);
    (x * s, s + x * s * (T::ONE - s))
}

#[inline(always)]
fn tanh<T: Real>(x: T) -> (T, T) {
    let t = x.tanh();
    (t, T::ONE - t * t)
}

#[inline(always)]
fn logistic<T: Real>(x: T) -> (T, T) {
    let s = sigmoid(x);
    (s, s * (T::ONE - s))
}

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// Multiply-adds that an element costs.
const COST: usize = 32;

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let mut out = contiguous::<T>(self.name(), storage, layout)?.to_vec();
            let parts = threads::parts_for(COST * out.len());
            threads::split_rows(&mut out, 1, parts, |_, out| self.apply(out));
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(dy.to_vec()))?;
            with_slice::<T, _>(self.name(), x, |x| {
                let parts = threads::parts_for(COST * dx.len());
                threads::split_rows(&mut dx, 1, parts, |first, dx| {
                    self.scale_by_derivative(&x[first..][..dx.len()], dx);
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
    use crate::testing::{assert_f32, assert_gradient, assert_same, random};

    #[test]
    fn every_activation_has_its_exact_gradient() {
        // Away from 0, where the derivative of relu jumps.
        let x = (random(3, &[4, 9]) + 0.03).unwrap();
        for activation in Activation::ALL {
            assert_gradient(std::slice::from_ref(&x), |x| activation.forward(&x[0]));
        }
    }

    #[test]
    fn every_activation_agrees_with_its_composed_form() {
        let x = (random(5, &[7, 11]) * 3.0).unwrap();
        for activation in Activation::ALL {
            if activation == Activation::Gelu {
                continue; // candle's erf is accurate to 1e-7 only; see the next test.
            }
            assert_same(
                std::slice::from_ref(&x),
                |x| activation.forward(&x[0]),
                |x| activation.composed(&x[0]),
            );
        }
    }

    /// Values of x Φ(x) to 16 digits from mpmath 1.3 (50 digits).
    #[test]
    fn gelu_has_its_textbook_values() {
        for (x, expected) in [
            (1.0, 0.841_344_746_068_542_9),
            (-1.0, -0.158_655_253_931_457_05),
            (0.5, 0.345_731_230_637_006_56),
            (-6.0, -5.919_525_870_623_186e-9),
        ] {
            let y =
                Activation::Gelu.forward(&Tensor::new(&[x], &candle_core::Device::Cpu).unwrap());
            let y = y.unwrap().to_vec1::<f64>().unwrap()[0];
            assert!((y - expected).abs() < 1e-15, "{x}: {y}");
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        let x = (random(6, &[1000]) * 4.0).unwrap();
        for activation in Activation::ALL {
            // Φ is good to 2e-7 absolute, times |x| up to 12, relative to the largest value.
            assert_f32(std::slice::from_ref(&x), |x| activation.forward(&x[0]), 5e-7);
        }
    }

    #[test]
    fn nan_is_never_hidden() {
        for activation in Activation::ALL {
            let x = Tensor::new(&[f32::NAN, 1.0], &candle_core::Device::Cpu).unwrap();
            let y = activation.forward(&x).unwrap().to_vec1::<f32>().unwrap();
            assert!(y[0].is_nan(), "{activation:?}");
        }
    }
}
