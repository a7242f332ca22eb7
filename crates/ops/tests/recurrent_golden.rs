//! Recurrent layers, convolutions and the cross-entropy against PyTorch, in f64.

#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

use glossator_ops::conv1d::Padding;
use glossator_ops::recurrent::{Cell, State};
use glossator_ops::{
    Conv1d, CrossEntropy, Device, Recurrent, Tensor, Var, Weight, backward, cross_entropy,
};
use serde_json::Value;

/// Only the order of sums differs.
const TOLERANCE: f64 = 1e-12;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/recurrent.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A tensor from nested arrays.
fn tensor(value: &Value) -> Tensor {
    fn walk(value: &Value, depth: usize, dims: &mut Vec<usize>, out: &mut Vec<f64>) {
        if let Some(items) = value.as_array() {
            if dims.len() == depth {
                dims.push(items.len());
            }
            items.iter().for_each(|item| walk(item, depth + 1, dims, out));
        } else {
            out.push(value.as_f64().unwrap());
        }
    }
    let (mut dims, mut out) = (Vec::new(), Vec::new());
    walk(value, 0, &mut dims, &mut out);
    Tensor::from_vec(out, dims, &Device::Cpu).unwrap()
}

fn var(value: &Value) -> Var {
    Var::from_tensor(&tensor(value)).unwrap()
}

fn weight(var: &Var) -> Weight {
    Weight::from_tensor(var.as_tensor().clone())
}

fn largest(x: &Tensor) -> f64 {
    let values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert!(values.iter().all(|value| value.is_finite()));
    values.iter().fold(0.0, |max: f64, value| max.max(value.abs()))
}

fn assert_near(what: &str, got: &Tensor, want: &Value) {
    let want = tensor(want);
    assert_eq!(got.dims(), want.dims(), "{what}");
    let error = largest(&(got - &want).unwrap()) / largest(&want);
    assert!(error < TOLERANCE, "{what}: {error}");
}

#[test]
fn recurrent_layers_agree_with_pytorch() {
    let golden = golden();
    let lengths: Vec<usize> = golden["lengths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as usize)
        .collect();
    let cases = golden["recurrent"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let cell = match case["cell"].as_str().unwrap() {
            "rnn" => Cell::Rnn,
            "gru" => Cell::Gru,
            "lstm" => Cell::Lstm,
            other => panic!("unknown cell {other}"),
        };
        let directions = if case["bidirectional"].as_bool().unwrap() { 2 } else { 1 };
        let name = format!("{cell:?} x{directions}");
        let parameters: Vec<(&String, Var)> = case["parameters"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name, var(value)))
            .collect();
        let parameter =
            |name: &str| weight(&parameters.iter().find(|(other, _)| *other == name).unwrap().1);
        let input = var(&case["input"]);
        let initial: Vec<Var> = case["initial"].as_array().unwrap().iter().map(var).collect();
        let mut x = input.as_tensor().clone();
        let (mut hidden, mut cells) = (Vec::new(), Vec::new());
        for layer in 0..2 {
            let mut outputs = Vec::new();
            for direction in 0..directions {
                let suffix = if direction == 1 { "_reverse" } else { "" };
                let [w_ih, w_hh, b_ih, b_hh] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                    .map(|name| parameter(&format!("{name}_l{layer}{suffix}")));
                let map = Recurrent::new(cell, w_ih, w_hh, Some(b_ih), Some(b_hh)).unwrap();
                let row = |state: &Var| state.get(layer * directions + direction).unwrap();
                let state = State { hidden: row(&initial[0]), cell: initial.get(1).map(row) };
                let reverse = direction == 1;
                let (output, last) =
                    map.forward(&x, Some(&lengths), reverse, Some(&state)).unwrap();
                outputs.push(output);
                hidden.push(last.hidden);
                cells.extend(last.cell);
            }
            x = Tensor::cat(&outputs, 2).unwrap();
        }
        let mut results = vec![x, Tensor::stack(&hidden, 0).unwrap()];
        if cell == Cell::Lstm {
            results.push(Tensor::stack(&cells, 0).unwrap());
        }
        let wanted = case["results"].as_array().unwrap();
        assert_eq!(results.len(), wanted.len());
        let mut total = Tensor::zeros((), results[0].dtype(), &Device::Cpu).unwrap();
        for ((result, want), cotangent) in
            results.iter().zip(wanted).zip(case["cotangents"].as_array().unwrap())
        {
            assert_near(&name, result, want);
            total = (total + (result * tensor(cotangent)).unwrap().sum_all().unwrap()).unwrap();
        }
        let grads = backward(&total).unwrap();
        let wanted = &case["gradients"];
        assert_near(&name, grads.get(&input).unwrap(), &wanted["input"]);
        for (state, want) in initial.iter().zip(wanted["initial"].as_array().unwrap()) {
            assert_near(&name, grads.get(state).unwrap(), want);
        }
        for (parameter, var) in &parameters {
            let what = format!("{name} {parameter}");
            assert_near(&what, grads.get(var).unwrap(), &wanted["parameters"][parameter.as_str()]);
        }
    }
}

#[test]
fn convolutions_agree_with_pytorch() {
    let golden = golden();
    let cases = golden["conv1d"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = case["padding"].as_str().unwrap();
        let padding = match name {
            "valid" => Padding::Valid,
            "same" => Padding::Same,
            "causal" => Padding::Causal,
            "explicit" => Padding::Explicit(2, 1),
            other => panic!("unknown padding {other}"),
        };
        let inputs: Vec<Var> = case["inputs"].as_array().unwrap().iter().map(var).collect();
        let map = Conv1d::new(weight(&inputs[1]), Some(weight(&inputs[2]))).unwrap();
        let y = map.forward(&inputs[0], padding).unwrap();
        assert_near(name, &y, &case["output"]);
        let grads = backward(&(y * tensor(&case["cotangent"])).unwrap()).unwrap();
        for (input, want) in inputs.iter().zip(case["gradients"].as_array().unwrap()) {
            assert_near(name, grads.get(input).unwrap(), want);
        }
    }
}

#[test]
fn cross_entropy_agrees_with_pytorch() {
    let golden = golden();
    let cases = golden["cross_entropy"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let logits = var(&case["logits"]);
        let targets: Vec<u32> = case["targets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_u64().unwrap() as u32)
            .collect();
        let weights: Option<Vec<f64>> = case["class_weights"]
            .as_array()
            .map(|weights| weights.iter().map(|weight| weight.as_f64().unwrap()).collect());
        let options = CrossEntropy {
            ignore: case["ignore"].as_u64().map(|class| class as u32),
            class_weights: weights.as_deref(),
            label_smoothing: case["label_smoothing"].as_f64().unwrap(),
        };
        let loss = cross_entropy(&logits, &targets, options).unwrap();
        let name = format!("{options:?}");
        assert_near(&name, &loss, &case["loss"]);
        assert_near(&name, backward(&loss).unwrap().get(&logits).unwrap(), &case["gradient"]);
    }
}
