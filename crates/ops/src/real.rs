//! The scalar types that the fast paths serve: `f32` for use, `f64` for checking.

use candle_core::WithDType;

use crate::weight::Weight;

/// A floating-point scalar with the functions that the kernels need.
///
/// The `f32` versions are branch-free polynomials, so that loops over them vectorise; their
/// absolute error is below 2e-7 (tested against the `f64` versions, which use the platform's and
/// libm's correctly rounded functions).
pub(crate) trait Real:
    WithDType
    + Copy
    + PartialOrd
    + Default
    + Send
    + Sync
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::SubAssign
    + std::ops::MulAssign
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;

    fn of(value: f64) -> Self;
    fn exp(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    /// `(Φ(x), φ(x))`: the standard normal distribution function and its density.
    fn normal(self) -> (Self, Self);
    fn larger(self, other: Self) -> Self;

    /// The elements of a constant weight, if they are of this type.
    fn constant(weight: &Weight) -> Option<&[Self]>;
    /// A constant weight that takes over the elements.
    fn into_constant(elements: Vec<Self>, shape: &[usize]) -> candle_core::Result<Weight>;
    /// The elements of storage of this type.
    fn owned(storage: candle_core::CpuStorage) -> candle_core::Result<Vec<Self>>;
    /// The slice itself where `Self` is `f32`: specialisation without `unsafe`.
    fn as_f32(data: &[Self]) -> Option<&[f32]>;
    fn as_f32_mut(data: &mut [Self]) -> Option<&mut [f32]>;
}

/// 1 / sqrt(2 π)
const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        let distribution = 0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2);
        (distribution, INV_SQRT_2PI * f64::exp(-0.5 * self * self))
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    fn constant(weight: &Weight) -> Option<&[Self]> {
        weight.elements_f64()
    }
    fn into_constant(elements: Vec<Self>, shape: &[usize]) -> candle_core::Result<Weight> {
        Weight::from_f64(std::sync::Arc::new(elements), shape)
    }
    fn owned(storage: candle_core::CpuStorage) -> candle_core::Result<Vec<Self>> {
        match storage {
            candle_core::CpuStorage::F64(values) => Ok(values),
            _ => candle_core::bail!("expected f64 elements"),
        }
    }
    #[inline(always)]
    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }
    #[inline(always)]
    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp_f32(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        tanh_f32(self)
    }
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        normal_f32(self)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    fn constant(weight: &Weight) -> Option<&[Self]> {
        weight.elements_f32()
    }
    fn into_constant(elements: Vec<Self>, shape: &[usize]) -> candle_core::Result<Weight> {
        Weight::from_f32(std::sync::Arc::new(elements), shape)
    }
    fn owned(storage: candle_core::CpuStorage) -> candle_core::Result<Vec<Self>> {
        match storage {
            candle_core::CpuStorage::F32(values) => Ok(values),
            _ => candle_core::bail!("expected f32 elements"),
        }
    }
    #[inline(always)]
    fn as_f32(data: &[Self]) -> Option<&[f32]> {
        Some(data)
    }
    #[inline(always)]
    fn as_f32_mut(data: &mut [Self]) -> Option<&mut [f32]> {
        Some(data)
    }
}

/// e^x by range reduction x = n ln 2 + r, |r| <= ln 2 / 2, and a degree-7 polynomial in r.
///
/// Saturates below -87.3 to the smallest normal number and above 88.3 to 2^127: the kernels
/// only exponentiate differences from a maximum. NaN stays NaN.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Written so that a NaN passes through both comparisons.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a branch.
    const ROUND: f32 = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts: the first has trailing zero bits, so n * HIGH is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let r = (x - n * HIGH) - n * LOW;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    // 2^n through the exponent bits; n is an integer in [-126, 127]. For NaN, `as` gives 0.
    let scale = f32::from_bits(((n as i32 + 127) as u32) << 23);
    p * scale
}

#[inline(always)]
fn tanh_f32(x: f32) -> f32 {
    let x2 = x * x;
    // Odd Taylor series near zero, where 1 - 2 / (e^2x + 1) cancels.
    let mut small = 62.0 / 2835.0_f32;
    small = small * x2 - 17.0 / 315.0;
    small = small * x2 + 2.0 / 15.0;
    small = small * x2 - 1.0 / 3.0;
    small = small * x2 + 1.0;
    let large = 1.0 - 2.0 / (exp_f32(2.0 * x.abs()) + 1.0);
    let large = large.copysign(x);
    if x.abs() < 0.25 { small * x } else { large }
}

/// Φ(x) and φ(x), sharing one exponential.
///
/// Beyond |x| = 1 by Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 7.1.26
/// (absolute error of erf below 1.5e-7). Nearer to zero, where its terms cancel in f32, by the
/// Taylor series Φ(x) = 1/2 + Σ (-1)^k x^(2k+1) / (sqrt(2 π) 2^k k! (2k+1)).
#[inline(always)]
fn normal_f32(x: f32) -> (f32, f32) {
    let e = exp_f32(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let mut p = 1.061_405_4_f32;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let upper_tail = 0.5 * p * t * e;
    let far = if x > 0.0 { 1.0 - upper_tail } else { upper_tail };
    // With h = x²/2 the coefficients are (-1)^k / (k! (2k+1)).
    let h = 0.5 * x * x;
    let mut q = 1.0 / (40_320.0 * 17.0_f32);
    q = q * h - 1.0 / (5_040.0 * 15.0);
    q = q * h + 1.0 / (720.0 * 13.0);
    q = q * h - 1.0 / (120.0 * 11.0);
    q = q * h + 1.0 / (24.0 * 9.0);
    q = q * h - 1.0 / (6.0 * 7.0);
    q = q * h + 1.0 / (2.0 * 5.0);
    q = q * h - 1.0 / 3.0;
    q = q * h + 1.0;
    let near = 0.5 + INV_SQRT_2PI as f32 * x * q;
    let distribution = if x.abs() < 1.0 { near } else { far };
    (distribution, INV_SQRT_2PI as f32 * e)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The polynomials against the f64 functions over the range that models visit.
    #[test]
    fn f32_functions_are_within_2e_7() {
        for i in -400_000..=400_000 {
            let x = i as f32 * 5e-5; // -20 ..= 20
            let wide = f64::from(x);
            let relative_exp = (f64::from(exp_f32(x)) / wide.exp() - 1.0).abs();
            assert!(relative_exp < 2e-7, "exp({x}): relative error {relative_exp}");
            let tanh = (f64::from(tanh_f32(x)) - wide.tanh()).abs();
            assert!(tanh < 2e-7, "tanh({x}): {tanh}");
            let (distribution, density) = normal_f32(x);
            let (distribution64, density64) = wide.normal();
            let error = (f64::from(distribution) - distribution64).abs();
            assert!(error < 2e-7, "Phi({x}): {error}");
            assert!((f64::from(density) - density64).abs() < 2e-7, "phi({x})");
        }
    }

    #[test]
    fn extremes_stay_finite_and_nan_stays_nan() {
        assert!(exp_f32(-1e30) < 1.3e-38 && exp_f32(-1e30) >= 0.0);
        assert!(exp_f32(f32::NEG_INFINITY) < 1.3e-38);
        assert!(exp_f32(1e30).is_finite());
        assert!(exp_f32(f32::NAN).is_nan());
        assert!(tanh_f32(f32::NAN).is_nan());
        assert!(normal_f32(f32::NAN).0.is_nan());
        assert_eq!(tanh_f32(1e9), 1.0);
        assert_eq!(tanh_f32(-1e9), -1.0);
        assert_eq!(exp_f32(0.0), 1.0);
    }
}
