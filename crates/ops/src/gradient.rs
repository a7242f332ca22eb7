//! Gradients that are exact or an error.

use candle_core::{Tensor, Var};

use crate::error::{Error, Result};

/// The gradient of `Σ output` with respect to `input`.
///
/// # Shapes
/// - `output`: any; its elements are summed
/// - result: as `input`
///
/// # Errors
/// [`Error::MissingGradient`] if no differentiable path joins the two.
pub fn gradient(output: &Tensor, input: &Var) -> Result<Tensor> {
    if !output.track_op() {
        return Err(missing());
    }
    let mut store = output.backward()?;
    store.remove(input.as_tensor()).ok_or_else(missing)
}

fn missing() -> Error {
    Error::MissingGradient { of: "the input".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn a_gradient_that_does_not_exist_is_an_error() {
        let input = Var::ones(3, DType::F64, &Device::Cpu).unwrap();
        let other = Var::ones(3, DType::F64, &Device::Cpu).unwrap();
        let unrelated = other.sqr().unwrap();
        assert!(matches!(gradient(&unrelated, &input), Err(Error::MissingGradient { .. })));
        let constant = Tensor::ones(3, DType::F64, &Device::Cpu).unwrap();
        assert!(matches!(gradient(&constant, &input), Err(Error::MissingGradient { .. })));
    }
}
