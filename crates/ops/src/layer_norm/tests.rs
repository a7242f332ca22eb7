use super::*;
use crate::testing::{assert_f32, assert_gradient, assert_same, constant, random, weight};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gradients_over_random_shapes(
        rows in 1usize..4, width in 2usize..40, seed in 0u64..1000, biased in any::<bool>(),
    ) {
        let bias = biased.then(|| weight(seed + 1, &[width]));
        let norm = LayerNorm::new(weight(seed, &[width]), bias, 1e-5).unwrap();
        let inputs = [random(seed + 2, &[rows, width]), random(seed + 3, &[rows, width])];
        // Rows of two nearly equal numbers have huge second derivatives: differences need a
        // spread that the step does not see.
        let inputs = inputs.map(|x| {
            let ramp = Tensor::arange(0.0, width as f64, x.device()).unwrap();
            x.broadcast_add(&ramp).unwrap()
        });
        assert_gradient(&inputs[..1], |x| norm.forward(&x[0]));
        assert_gradient(&inputs, |x| norm.forward_residual(&x[0], &x[1]));
        assert_same(&inputs[..1], |x| norm.forward(&x[0]), |x| norm.composed(&x[0]));
        assert_same(&inputs, |x| norm.forward_residual(&x[0], &x[1]), |x| {
            norm.composed(&(&x[0] + &x[1])?)
        });
        assert_f32(&inputs, |x| {
            let narrow = |w: &Weight| constant(
                &w.to_tensor(x[0].device()).unwrap().to_dtype(x[0].dtype()).unwrap());
            let bias = norm.bias.as_ref().map(narrow);
            LayerNorm::new(narrow(&norm.weight), bias, 1e-5)?.forward_residual(&x[0], &x[1])
        }, 1e-5);
    }
}

#[test]
fn trained_norm_has_weight_gradients() {
    // More rows than one block of sums.
    for rows in [3, 70] {
        let dims = [&[rows, 6][..], &[6], &[6], &[rows, 6]];
        let inputs: Vec<_> = dims.iter().zip(1..).map(|(dims, seed)| random(seed, dims)).collect();
        let norm = |x: &[Tensor], biased: bool| {
            let bias = biased.then(|| Weight::from_tensor(x[2].clone()));
            LayerNorm::new(Weight::from_tensor(x[1].clone()), bias, 1e-5).unwrap()
        };
        assert_gradient(&inputs[..3], |x| norm(x, true).forward(&x[0]));
        assert_gradient(&inputs[..2], |x| norm(x, false).forward(&x[0]));
        assert_gradient(&inputs, |x| norm(x, true).forward_residual(&x[0], &x[3]));
        assert_same(
            &inputs,
            |x| norm(x, true).forward_residual(&x[0], &x[3]),
            |x| norm(x, true).composed(&(&x[0] + &x[3])?),
        );
    }
}

#[test]
fn threads_change_nothing() {
    let inputs = [random(1, &[700, 384]), random(2, &[384]), random(3, &[384])];
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = inputs.each_ref().map(|x| candle_core::Var::from_tensor(x).unwrap());
            let [weight, bias] = [1, 2].map(|i| Weight::from_tensor(x[i].as_tensor().clone()));
            let norm = LayerNorm::new(weight, Some(bias), 1e-5).unwrap();
            let y = norm.forward(&x[0]).unwrap();
            let grads = crate::backward(&y.sqr().unwrap()).unwrap();
            let mut all = vec![y];
            all.extend(x.iter().map(|x| grads.get(x).unwrap().clone()));
            all
        })
    };
    for (one, three) in run(1).iter().zip(run(3)) {
        assert_eq!(crate::testing::max_abs(&(one - three).unwrap()), 0.0);
    }
}
