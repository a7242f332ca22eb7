//! Gradients that are exact or an error.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::error::{Error, Result};
use crate::leaves;

/// The gradient of `Σ output` with respect to `input`.
///
/// # Shapes
/// - `output`: any; its elements are summed
/// - result: as `input`
///
/// # Errors
/// [`Error::MissingGradient`] if no differentiable path joins the two.
pub fn gradient(output: &Tensor, input: &Var) -> Result<Tensor> {
    backward(output)?.remove(input.as_tensor()).ok_or_else(missing)
}

/// The gradients of `Σ output` with respect to all variables: candle's `backward`, but operations
/// of this crate add the gradients of weights in place, which saves a training step most of the
/// memory traffic of its weights. The numbers are the same.
///
/// # Errors
/// [`Error::MissingGradient`] if the output depends on no variable.
pub fn backward(output: &Tensor) -> Result<GradStore> {
    if !output.track_op() {
        return Err(missing());
    }
    let (mut store, leaves) = leaves::collect(output, || output.backward())?;
    for (id, gradient) in leaves {
        let gradient = match store.get_id(id) {
            // Other operations returned a part of it.
            Some(other) => (other + gradient)?,
            None => gradient,
        };
        store.insert_id(id, gradient);
    }
    Ok(store)
}

fn missing() -> Error {
    Error::MissingGradient { of: "the input".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{max_abs, random};
    use crate::{Linear, Weight, embedding};
    use candle_core::{DType, Device};

    /// A table that is read twice, one weight in two maps and in an operation of candle's own.
    fn shared(weight: &Var, table: &Var) -> Tensor {
        let map = Linear::new(Weight::from_tensor(weight.as_tensor().clone()), None).unwrap();
        let table = Weight::from_tensor(table.as_tensor().clone());
        let x = embedding(&table, &[3, 1, 3], &[3]).unwrap();
        let y = embedding(&table, &[0, 3, 2], &[3]).unwrap();
        let twice = map.forward(&map.forward(&x).unwrap().tanh().unwrap()).unwrap();
        let product = y.matmul(weight).unwrap();
        (twice * product).unwrap()
    }

    #[test]
    fn gradients_in_place_are_those_of_candle() {
        let weight = Var::from_tensor(&random(1, &[4, 4])).unwrap();
        let table = Var::from_tensor(&random(2, &[5, 4])).unwrap();
        let output = shared(&weight, &table);
        let (ours, candles) = (backward(&output).unwrap(), output.backward().unwrap());
        for var in [&weight, &table] {
            let (a, b) = (ours.get(var).unwrap(), candles.get(var).unwrap());
            assert!(max_abs(&(a - b).unwrap()) < 1e-14);
        }
        // Nothing stays behind: a second pass gives the same.
        let again = backward(&output).unwrap();
        let difference = again.get(&table).unwrap() - ours.get(&table).unwrap();
        assert_eq!(max_abs(&difference.unwrap()), 0.0);
    }

    /// A pass that runs inside of another one, on the same thread, keeps to itself.
    #[test]
    fn passes_within_passes_do_not_mix() {
        let weight = Var::from_tensor(&random(1, &[4, 4])).unwrap();
        let table = Var::from_tensor(&random(2, &[5, 4])).unwrap();
        let (outer, inner) = (shared(&weight, &table), shared(&weight, &table));
        let alone = inner.backward().unwrap();
        let ((plain, ours), leaves) = leaves::collect(&outer, || {
            let plain = inner.backward()?;
            Ok((plain, backward(&inner).unwrap()))
        })
        .unwrap();
        assert!(leaves.is_empty());
        for store in [plain, ours] {
            for var in [&weight, &table] {
                let difference = store.get(var).unwrap() - alone.get(var).unwrap();
                assert!(max_abs(&difference.unwrap()) < 1e-14);
            }
        }
    }

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
