//! Finite-difference checks of gradients, for this crate's tests and for operations written
//! elsewhere.

use candle_core::{DType, Device, Result, Tensor, Var};

/// The largest disagreement between a gradient and central differences.
#[derive(Debug, Clone)]
pub struct Disagreement {
    /// Largest `|analytic - numeric| / max(1, |analytic|, |numeric|)`.
    pub relative: f64,
    /// Index of the input (in `inputs`) and of the element where it is.
    pub at: (usize, usize),
    /// The gradient there.
    pub analytic: f64,
    /// The central difference there.
    pub numeric: f64,
}

/// Compares the gradients of `Σ f(inputs) ∘ R`, with a fixed pseudo-random `R`, with central
/// differences in `f64`.
///
/// The random weights `R` make sure that an error cannot cancel in a plain sum (the gradient of
/// a sum of softmax outputs is zero, right or wrong). The step is 1e-5 per element: truncation
/// (about step²) and rounding (about 1e-16 / step) are then both near 1e-10 for well-scaled `f`.
///
/// # Errors
/// If `f` fails, or if a gradient is missing.
pub fn check(
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> crate::Result<Disagreement> {
    const STEP: f64 = 1e-5;
    let vars = inputs
        .iter()
        .map(|x| Var::from_tensor(&x.to_dtype(DType::F64)?))
        .collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let output = f(&tracked)?;
    let weights: Vec<f64> =
        (0..output.elem_count()).map(|i| ((i * 37 + 11) % 101) as f64 / 50.0 - 1.0).collect();
    let weights = Tensor::from_vec(weights, output.dims(), &Device::Cpu)?;
    let mut store = (&output * &weights)?.backward()?;
    let value = |inputs: &[Tensor]| -> Result<f64> {
        (f(inputs)? * &weights)?.sum_all()?.to_scalar::<f64>()
    };
    let mut worst = Disagreement { relative: 0.0, at: (0, 0), analytic: 0.0, numeric: 0.0 };
    let plain = vars.iter().map(|v| v.as_tensor().copy()).collect::<Result<Vec<_>>>()?;
    for (index, var) in vars.iter().enumerate() {
        let Some(gradient) = store.remove(var.as_tensor()) else {
            return Err(crate::Error::MissingGradient { of: format!("input {index}") });
        };
        let gradient = gradient.flatten_all()?.to_vec1::<f64>()?;
        let elements = plain[index].flatten_all()?.to_vec1::<f64>()?;
        for (i, &analytic) in gradient.iter().enumerate() {
            let at = |delta: f64| -> Result<f64> {
                let mut moved = elements.clone();
                moved[i] += delta;
                let mut inputs = plain.clone();
                inputs[index] = Tensor::from_vec(moved, plain[index].dims(), &Device::Cpu)?;
                value(&inputs)
            };
            let numeric = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            let relative =
                (analytic - numeric).abs() / 1.0_f64.max(analytic.abs()).max(numeric.abs());
            // A NaN must count as the worst disagreement, not as none.
            if relative > worst.relative || relative.is_nan() {
                worst = Disagreement { relative, at: (index, i), analytic, numeric };
            }
        }
    }
    Ok(worst)
}
