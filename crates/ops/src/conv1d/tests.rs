use super::gate::composed_glu;
use super::*;
use crate::testing::{assert_f32, assert_gradient, assert_same, constant, max_abs, random};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn convolution_over_random_shapes(
        batch in 1usize..3, tokens in 1usize..7, width in 1usize..5, out in 1usize..5,
        kernel in 1usize..5, kind in 0usize..4, seed in 0u64..1000, biased in any::<bool>(),
    ) {
        let padding =
            [Padding::Valid, Padding::Same, Padding::Causal, Padding::Explicit(1, 3)][kind];
        let inputs = [
            random(seed, &[batch, tokens, width]),
            random(seed + 1, &[out, width, kernel]),
            random(seed + 2, &[out]),
        ];
        let inputs = if biased { &inputs[..] } else { &inputs[..2] };
        let map = |x: &[Tensor]| {
            let bias = x.get(2).map(|bias| Weight::from_tensor(bias.clone()));
            Conv1d::new(Weight::from_tensor(x[1].clone()), bias)
        };
        let trained = |x: &[Tensor]| map(x)?.forward(&x[0], padding);
        let frozen = Conv1d::new(constant(&inputs[1]), inputs.get(2).map(constant)).unwrap();
        let steps = trained(inputs).unwrap().dim(1).unwrap();
        if steps == 0 {
            prop_assert!(padding == Padding::Valid && tokens < kernel);
            return Ok(());
        }
        assert_gradient(inputs, trained);
        assert_gradient(&inputs[..1], |x| frozen.forward(&x[0], padding));
        let (left, right) = padding.sides(kernel);
        let shape = Convolution {
            batch, tokens, width, kernel, out, left, padded: left + tokens + right, steps,
        };
        assert_same(inputs, trained, |x| map(x)?.composed(&x[0], &shape));
        assert_same(&inputs[..1], |x| frozen.forward(&x[0], padding), |x| {
            frozen.composed(&x[0], &shape)
        });
        assert_f32(inputs, trained, 1e-5);
    }

    #[test]
    fn maximum_and_gate_over_random_shapes(
        batch in 1usize..3, tokens in 1usize..6, width in 1usize..5, seed in 0u64..1000,
    ) {
        let x = [random(seed, &[batch, tokens, 2 * width])];
        let lengths: Vec<usize> =
            (0..batch).map(|b| 1 + (seed as usize + b) % tokens).collect();
        let largest = |x: &[Tensor]| max_over_tokens(&x[0], Some(&lengths));
        assert_gradient(&x, largest);
        assert_same(&x, |x| max_over_tokens(&x[0], None), |x| x[0].max(1));
        assert_gradient(&x, |x| glu(&x[0]));
        assert_same(&x, |x| glu(&x[0]), |x| composed_glu(&x[0]));
        assert_f32(&x, |x| glu(&x[0]), 1e-6);
    }
}

/// An input that fits in no kernel has no output, and still a gradient: zeros.
#[test]
fn too_short_a_sequence_has_no_output() {
    let map = Conv1d::new(constant(&random(1, &[2, 3, 4])), None).unwrap();
    let x = candle_core::Var::from_tensor(&random(2, &[2, 3, 3])).unwrap();
    let y = map.forward(&x, Padding::Valid).unwrap();
    assert_eq!(y.dims(), [2, 0, 2]);
    assert_eq!(max_abs(&crate::gradient(&y, &x).unwrap()), 0.0);
}

#[test]
fn gradient_of_a_tie_goes_to_the_first() {
    let x = Tensor::new(&[[[1.0], [2.0], [2.0], [9.0]]], &candle_core::Device::Cpu).unwrap();
    let x = candle_core::Var::from_tensor(&x).unwrap();
    let y = max_over_tokens(&x, Some(&[3])).unwrap();
    let gradient = crate::gradient(&y, &x).unwrap().flatten_all().unwrap();
    assert_eq!(gradient.to_vec1::<f64>().unwrap(), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn threads_change_nothing() {
    let weight = random(1, &[128, 64, 3]).to_dtype(candle_core::DType::F32).unwrap();
    let map = Conv1d::new(constant(&weight), None).unwrap();
    let x = random(2, &[9, 40, 64]).to_dtype(candle_core::DType::F32).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = candle_core::Var::from_tensor(&x).unwrap();
            let y = map.forward(&x, Padding::Same).unwrap();
            (crate::gradient(&y.sqr().unwrap(), &x).unwrap(), y)
        })
    };
    let ((dx, y), (dx3, y3)) = (run(1), run(3));
    assert_eq!(max_abs(&(dx - dx3).unwrap()), 0.0);
    assert_eq!(max_abs(&(y - y3).unwrap()), 0.0);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let weight = |dims: &[usize]| constant(&random(1, dims));
    assert!(Conv1d::new(weight(&[2, 3]), None).is_err());
    assert!(Conv1d::new(weight(&[2, 3, 1]), Some(weight(&[3]))).is_err());
    let map = Conv1d::new(weight(&[2, 3, 1]), None).unwrap();
    let error = map.forward(&random(1, &[1, 2, 4]), Padding::Valid).unwrap_err().to_string();
    assert!(error.contains("conv1d: last dimension of the input"), "{error}");
    let far = Padding::Explicit(usize::MAX, 1);
    assert!(map.forward(&random(1, &[1, 2, 3]), far).is_err());
    assert!(max_over_tokens(&random(1, &[1, 2, 3]), Some(&[0])).is_err());
    assert!(max_over_tokens(&random(1, &[1, 2, 3]), Some(&[1, 1])).is_err());
    assert!(glu(&random(1, &[1, 3])).is_err());
}
