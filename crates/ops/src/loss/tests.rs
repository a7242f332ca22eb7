use super::*;
use crate::testing::{assert_f32, assert_gradient, assert_same, random};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn cross_entropy_over_random_shapes_and_options(
        rows in 1usize..6, classes in 1usize..20, seed in 0u64..1000,
        ignores in any::<bool>(), weighted in any::<bool>(), smooth in any::<bool>(),
    ) {
        let logits = [random(seed, &[rows, classes])];
        let mut targets: Vec<u32> =
            (0..rows).map(|i| ((seed as usize + 7 * i) % classes) as u32).collect();
        if ignores && rows > 1 {
            targets[0] = 4_000_000_000;
        }
        let weights: Vec<f64> = (0..classes).map(|c| 0.5 + (c % 3) as f64).collect();
        let options = CrossEntropy {
            ignore: ignores.then_some(4_000_000_000),
            class_weights: weighted.then_some(&weights),
            label_smoothing: if smooth { 0.2 } else { 0.0 },
        };
        let fast = |x: &[Tensor]| cross_entropy(&x[0], &targets, options);
        assert_gradient(&logits, fast);
        assert_same(&logits, fast, |x| {
            composed_cross_entropy(&x[0], &RowWeights::new(&x[0], &targets, options)?)
        });
        assert_f32(&logits, fast, 1e-6);
    }
}

#[test]
fn cross_entropy_survives_large_logits() {
    let x = Tensor::new(&[[1e4f32, -1e4, 0.0]], &candle_core::Device::Cpu).unwrap();
    let loss = |target| {
        let loss = cross_entropy(&x, &[target], CrossEntropy::default()).unwrap();
        loss.to_scalar::<f32>().unwrap()
    };
    assert_eq!((loss(0), loss(1)), (0.0, 2e4));
}

#[test]
fn cross_entropy_refuses_what_has_no_mean() {
    let x = random(1, &[2, 3]);
    let options = CrossEntropy { ignore: Some(9), ..CrossEntropy::default() };
    let error = cross_entropy(&x, &[9, 9], options).unwrap_err().to_string();
    assert!(error.contains("a row that counts"), "{error}");
    let error = cross_entropy(&x, &[3, 0], options).unwrap_err().to_string();
    assert!(error.contains("a class below 3"), "{error}");
    assert!(cross_entropy(&x, &[0], options).is_err());
    let smooth = CrossEntropy { label_smoothing: 1.5, ..options };
    assert!(cross_entropy(&x, &[0, 0], smooth).is_err());
    let weights = CrossEntropy { class_weights: Some(&[1.0]), ..options };
    assert!(cross_entropy(&x, &[0, 0], weights).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pointwise_losses_over_random_shapes(
        rows in 1usize..5, labels in 1usize..6, seed in 0u64..1000, weighted in any::<bool>(),
    ) {
        let x = [random(seed, &[rows, labels])];
        let other = random(seed + 1, &[rows, labels]);
        let targets = other.ge(0.0).unwrap().to_dtype(x[0].dtype()).unwrap();
        let weights: Vec<f64> = (0..labels).map(|l| 1.0 + l as f64).collect();
        let given = weighted.then_some(weights.as_slice());
        let ones = vec![1.0; labels];
        let binary = |x: &[Tensor]| binary_cross_entropy(&x[0], &targets, given);
        assert_gradient(&x, binary);
        assert_same(&x, binary, |x| {
            composed_binary(&x[0], &targets, given.unwrap_or(&ones))
        });
        assert_f32(&x, binary, 1e-6);
        let squared = |x: &[Tensor]| mean_squared_error(&x[0], &other);
        assert_gradient(&x, squared);
        assert_same(&x, squared, |x| (&x[0] - &other)?.sqr()?.mean_all());
        assert_f32(&x, |x| mean_squared_error(&x[0], &other), 1e-6);
    }
}

#[test]
fn pointwise_losses_refuse_what_does_not_fit() {
    let x = random(1, &[2, 3]);
    assert!(mean_squared_error(&x, &random(1, &[3, 2])).is_err());
    assert!(mean_squared_error(&random(1, &[0]), &random(1, &[0])).is_err());
    let twos = (x.ones_like().unwrap() * 2.0).unwrap();
    assert!(binary_cross_entropy(&x, &twos, None).is_err());
    let ones = x.ones_like().unwrap();
    assert!(binary_cross_entropy(&x, &ones, Some(&[1.0])).is_err());
}
