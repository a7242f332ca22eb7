//! What the tests of the operations share.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::gradcheck;
use crate::weight::Weight;

/// The invariant of the specification: analytic and numeric gradients agree to 1e-6 in f64.
pub(crate) const TOLERANCE: f64 = 1e-6;

/// Standard normal-ish numbers (a sum of uniforms) from a seed, in f64.
pub(crate) fn random(seed: u64, dims: &[usize]) -> Tensor {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let len = dims.iter().product();
    let values: Vec<f64> =
        (0..len).map(|_| (0..3).map(|_| rng.random_range(-1.0..1.0)).sum::<f64>()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// A constant weight of random numbers.
pub(crate) fn weight(seed: u64, dims: &[usize]) -> Weight {
    constant(&random(seed, dims))
}

/// A tensor as a constant weight of its own type.
pub(crate) fn constant(x: &Tensor) -> Weight {
    let flat = x.flatten_all().unwrap();
    match x.dtype() {
        DType::F32 => {
            Weight::from_f32(std::sync::Arc::new(flat.to_vec1::<f32>().unwrap()), x.dims())
        }
        _ => Weight::from_f64(std::sync::Arc::new(flat.to_vec1::<f64>().unwrap()), x.dims()),
    }
    .unwrap()
}

/// Asserts that gradients agree with central differences.
pub(crate) fn assert_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let worst = gradcheck::check(inputs, f).unwrap();
    assert!(worst.relative < TOLERANCE, "{worst:?}");
}

/// Asserts that two forms of a function agree in value and in gradient, in f64 to 1e-12 (only
/// the order of sums differs), and that the f32 fast path agrees to 1e-5 of the largest value.
pub(crate) fn assert_same(
    inputs: &[Tensor],
    fast: impl Fn(&[Tensor]) -> Result<Tensor>,
    composed: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let run = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let out = f(&tracked).unwrap();
        let mut grads = (out.sqr().unwrap() + out.sin().unwrap()).unwrap().backward().unwrap();
        let mut all = vec![out];
        all.extend(vars.iter().map(|v| grads.remove(v.as_tensor()).expect("a gradient")));
        all
    };
    for (i, (a, b)) in run(&fast).iter().zip(&run(&composed)).enumerate() {
        assert_eq!(a.dims(), b.dims());
        let difference = max_abs(&(a - b).unwrap());
        assert!(difference <= 1e-12 * (1.0 + max_abs(b)), "value {i}: {difference}");
    }
}

/// Largest absolute element.
pub(crate) fn max_abs(x: &Tensor) -> f64 {
    let values = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    // f64::max would drop a NaN.
    values.iter().fold(0.0, |max, v| if v.abs() > max || v.is_nan() { v.abs() } else { max })
}

/// Asserts that `f` on f32 copies of the inputs agrees with `f` on the f64 ones.
pub(crate) fn assert_f32(
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
    tolerance: f64,
) {
    let narrow: Vec<Tensor> = inputs.iter().map(|x| x.to_dtype(DType::F32).unwrap()).collect();
    let wide: Vec<Tensor> = narrow.iter().map(|x| x.to_dtype(DType::F64).unwrap()).collect();
    let (a, b) = (f(&narrow).unwrap().to_dtype(DType::F64).unwrap(), f(&wide).unwrap());
    let difference = max_abs(&(&a - &b).unwrap());
    assert!(difference <= tolerance * (1.0 + max_abs(&b)), "f32 differs by {difference}");
}

/// [`assert_f32`] of the value of `f(x, constants)` and its gradient in `x`.
pub(crate) fn assert_f32_gradient(
    x: &Tensor,
    constants: &[Tensor],
    f: impl Fn(&Tensor, &[Weight]) -> Result<Tensor>,
) {
    let mut inputs = vec![x.clone()];
    inputs.extend_from_slice(constants);
    let value_and_gradient = |inputs: &[Tensor]| {
        let x = Var::from_tensor(&inputs[0])?;
        let weights: Vec<Weight> = inputs[1..].iter().map(constant).collect();
        let y = f(&x, &weights)?;
        let gradient = crate::gradient(&y.sqr()?.sum_all()?, &x).unwrap();
        Tensor::cat(&[y.flatten_all()?, gradient.flatten_all()?], 0)
    };
    assert_f32(&inputs, value_and_gradient, 2e-6);
}
