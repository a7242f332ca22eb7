//! Comparison with PyTorch, see `tools/reference/optimizer_golden.py`.

use serde_json::Value;

use super::*;

const BETAS: (f64, f64) = (0.9, 0.98);

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The gradient of the mean logistic loss: the weights', then the bias's.
fn gradient(x: &[Vec<f64>], y: &[f64], weights: &[f64]) -> Vec<f64> {
    let width = weights.len() - 1;
    let mut gradient = vec![0.0; weights.len()];
    for (row, y) in x.iter().zip(y) {
        let z: f64 = row.iter().zip(weights).map(|(a, b)| a * b).sum::<f64>() + weights[width];
        let error = (1.0 / (1.0 + (-z).exp()) - y) / x.len() as f64;
        for (g, a) in gradient.iter_mut().zip(row.iter().chain([&1.0])) {
            *g += error * a;
        }
    }
    gradient
}

#[test]
fn agree_with_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/optimizers.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let x: Vec<_> = golden["x"].as_array().unwrap().iter().map(numbers).collect();
    let y = numbers(&golden["y"]);
    let (rate, decay) = (golden["rate"].as_f64().unwrap(), golden["decay"].as_f64().unwrap());
    let sgd = |momentum| Optimizer::Sgd { momentum };
    let rmsprop = |momentum| Optimizer::RmsProp { alpha: 0.95, epsilon: 1e-6, momentum };
    let none = Clip::default();
    let cases = [
        ("adamw", Optimizer::AdamW { beta1: BETAS.0, beta2: BETAS.1, epsilon: 1e-8 }, none),
        ("sgd", sgd(0.0), none),
        ("sgd-momentum", sgd(0.9), none),
        ("rmsprop", rmsprop(0.0), none),
        ("rmsprop-momentum", rmsprop(0.5), none),
        ("sgd-clip-norm", sgd(0.9), Clip { norm: Some(0.05), value: None }),
        ("sgd-clip-value", sgd(0.9), Clip { norm: None, value: Some(0.02) }),
    ];
    assert_eq!(golden["cases"].as_object().unwrap().len(), cases.len());
    for (name, optimizer, clip) in cases {
        let mut all = numbers(&golden["start"]);
        let width = all.len() - 1;
        let mut slots = vec![vec![0.0; all.len()]; optimizer.slots()];
        let trace = golden["cases"][name].as_array().unwrap();
        for (n, expected) in trace.iter().enumerate() {
            let gradient = gradient(&x, &y, &all);
            let scale = clip.scale(squares(&gradient).sqrt());
            let rate = rate * (1.0 - n as f64 / trace.len() as f64);
            let number = n as u64 + 1;
            for (from, to, decay) in [(0, width, decay), (width, width + 1, 0.0)] {
                let step = Step { number, rate, decay, scale, clamp: clip.clamp() };
                let mut part: Vec<_> = slots.iter().map(|s| s[from..to].to_vec()).collect();
                optimizer.update(&step, &mut all[from..to], &gradient[from..to], &mut part);
                slots.iter_mut().zip(part).for_each(|(s, p)| s[from..to].copy_from_slice(&p));
            }
            for (got, expected) in all.iter().zip(numbers(expected)) {
                assert!((got - expected).abs() < 1e-12, "{name} {n}: {got} {expected}");
            }
        }
    }
}

#[test]
fn chunks_are_one_vector() {
    let gradient: Vec<f32> = (0..3 * CHUNK / 2).map(|i| (i % 17) as f32 - 8.0).collect();
    let plain: f64 = gradient.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    assert_eq!(squares(&gradient), plain);
    let optimizer = Optimizer::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let step = Step { number: 1, rate: 0.1, decay: 0.0, scale: 1.0, clamp: f64::INFINITY };
    let mut weights = vec![0.0_f32; gradient.len()];
    let mut slots = vec![vec![0.0; gradient.len()]; 2];
    optimizer.update(&step, &mut weights, &gradient, &mut slots);
    // The first step of Adam is the sign of the gradient, as long as the rate.
    for (w, g) in weights.iter().zip(&gradient) {
        assert!((w + 0.1 * g.signum() * f32::from(*g != 0.0)).abs() < 1e-6, "{w} {g}");
    }
}

#[test]
fn variables_change_in_place() {
    use candle_core::{Device, Var};
    let variable = Var::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    in_place(&variable, |elements| elements.iter_mut().for_each(|x| *x *= 2.0)).unwrap();
    let transposed = variable.as_tensor().t().unwrap();
    let got = read(&transposed, <[f32]>::to_vec).unwrap();
    assert_eq!(got, [2.0, 6.0, 4.0, 8.0]);
}
