//! BERT's numbers are PyTorch's: outputs, intermediate values and gradients, on every path through
//! the code, from every way to store the weights.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the accuracy that is reached")]

mod common;
#[path = "common/compare.rs"]
mod compare;

use std::collections::{BTreeMap, HashMap};

use common::{open, testdata, values};
use compare::{assert_same, distance, split};
use glossator_models::{
    Batch, DType, Device, Encoding, LoadOptions, Model, Parameters, Site, Tensor, Trace, Var, load,
};
use glossator_ops::gradient;
use serde::Deserialize;

const CASES: [&str; 9] =
    ["single", "padded", "pair", "regression", "multilabel", "silu", "gelu-tanh", "f16", "bf16"];

/// Relative to the largest value of the tensor. Reached: 3.5e-15, some ten roundings, since only
/// the order of sums and the last bits of erf, exp and tanh differ from PyTorch's. The rest is room
/// for other processors and libraries; a wrong formula (an epsilon, tanh for erf) is off by 1e-7
/// and more.
const F64: f64 = 1e-12;

/// Compared with the golden f64 numbers, because PyTorch's own f32 ones are up to 2.4e-6 away from
/// them. Reached: 4.7e-6 in logits, where large terms cancel, and 2.9e-6 elsewhere.
const F32: f64 = 1e-5;

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    One(String),
    Two(String, String),
}

#[derive(Deserialize)]
struct Description {
    model: String,
    texts: Vec<Text>,
    tokens: Vec<Vec<String>>,
    targets: Vec<usize>,
}

/// What PyTorch computed.
struct Golden {
    case: &'static str,
    description: Description,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    fn read(case: &'static str) -> Self {
        let file = |ending| testdata("golden/bert").join(format!("{case}.{ending}"));
        let description = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
        let tensors = candle_core::safetensors::load(file("safetensors"), &Device::Cpu).unwrap();
        Self { case, description, tensors }
    }

    fn load(&self, dtype: DType, parameters: Parameters) -> Box<dyn Model> {
        let name = self.description.model.strip_prefix("testdata/").unwrap();
        load(&testdata(name), &LoadOptions { dtype, parameters, ..Default::default() }).unwrap()
    }

    fn encodings(&self, model: &dyn Model) -> Vec<Encoding> {
        let encode = |text: &Text| match text {
            Text::One(text) => model.encode(text, false).unwrap(),
            Text::Two(first, second) => {
                model.fit(model.tokenizer().encode_pair(first, second).unwrap(), false).unwrap()
            }
        };
        self.description.texts.iter().map(encode).collect()
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.case))
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        self.tensor(name).flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The sum over the rows of the logit of each row's target.
    fn score(&self, logits: &Tensor) -> Tensor {
        let (rows, labels) = logits.dims2().unwrap();
        let mut chosen = vec![0.0; rows * labels];
        for (row, target) in self.description.targets.iter().enumerate() {
            chosen[row * labels + target] = 1.0;
        }
        let chosen = Tensor::from_vec(chosen, (rows, labels), &Device::Cpu).unwrap();
        (logits * chosen.to_dtype(logits.dtype()).unwrap()).unwrap().sum_all().unwrap()
    }
}

fn batch(model: &dyn Model, encodings: &[Encoding]) -> Batch {
    Batch::new(&encodings.iter().collect::<Vec<_>>(), model.pad_id())
}

/// A way through the code. All have to give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Path {
    /// Fused operations, and only the first row of the last layer.
    Fused,
    /// Fused operations, all rows of each layer, because the layers' outputs are kept.
    AllRows,
    /// Attention in its visible steps, because its probabilities are kept.
    Observed,
    /// Operations that could train the weights, in their composed forms.
    Trained,
}

/// The largest distances seen, for each quantity.
type Worst = BTreeMap<(&'static str, String), f64>;

fn compare_with_golden(golden: &Golden, dtype: DType, path: Path, tolerance: f64) -> Worst {
    let parameters = if path == Path::Trained { Parameters::Trained } else { Parameters::Frozen };
    let model = golden.load(dtype, parameters);
    let layers = model.info().layers;
    let encodings = golden.encodings(&*model);
    let batch = batch(&*model, &encodings);
    let lengths = batch.lengths();

    let mut trace = Trace::new();
    if matches!(path, Path::AllRows | Path::Observed) {
        trace = (0..=layers).fold(trace, |trace, l| trace.keep(Site::Residual(l)));
    }
    if path == Path::Observed {
        trace = (0..layers).fold(trace, |trace, l| trace.keep(Site::AttentionProbabilities(l)));
    }
    let embeddings = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
    let logits = model.forward(&embeddings, &batch, &mut trace).unwrap().logits;
    assert_eq!(logits.dtype(), dtype);
    let gradient = gradient(&golden.score(&logits), &embeddings).unwrap();

    let real = |x: &Tensor, tokens| split(x, tokens, lengths).0;
    let mut worst = Worst::new();
    let mut check = |quantity: &'static str, got: &Tensor, golden_name: &str, tokens| {
        let want = golden.tensor(&format!("f64.{golden_name}"));
        assert_eq!(got.dims(), want.dims());
        let d = match tokens {
            None => distance(&values(got), &values(want)),
            Some(tokens) => distance(&real(got, tokens), &real(want, tokens)),
        };
        let case = golden.case;
        assert!(d <= tolerance, "{case}, {dtype:?}, {path:?}: {golden_name} differs by {d:e}");
        let entry = worst.entry((quantity, format!("{path:?}"))).or_default();
        *entry = entry.max(d);
    };
    check("embeddings", &embeddings, "embeddings", None);
    check("logits", &logits, "logits", None);
    check("gradient", &gradient, "grad.embeddings", None);
    assert!(split(&gradient, 1, lengths).1.iter().all(|&x| x == 0.0), "{path:?}");
    for l in 0..=layers {
        if let Ok(residual) = trace.value(Site::Residual(l)) {
            check("hidden", residual, &format!("hidden.{l}"), Some(1));
        }
        if let Ok(probabilities) = trace.value(Site::AttentionProbabilities(l)) {
            check("attention", probabilities, &format!("attention.{l}"), Some(2));
            // Keys are the last dimension: transposed, padded keys are the padding.
            let keys = probabilities.transpose(2, 3).unwrap();
            assert!(split(&keys, 2, lengths).1.iter().all(|&p| p == 0.0));
        }
    }
    worst
}

fn agrees_with_golden(dtype: DType, tolerance: f64) {
    let mut worst = Worst::new();
    for case in CASES {
        let golden = Golden::read(case);
        for path in [Path::Fused, Path::AllRows, Path::Observed, Path::Trained] {
            for (key, d) in compare_with_golden(&golden, dtype, path, tolerance) {
                let entry = worst.entry(key).or_default();
                *entry = entry.max(d);
            }
        }
    }
    for ((quantity, path), d) in worst {
        println!("{dtype:?} {quantity} {path}: {d:.1e}");
    }
}

#[test]
fn f64_agrees_with_pytorch_on_every_path() {
    agrees_with_golden(DType::F64, F64);
}

#[test]
fn f32_agrees_with_pytorch_on_every_path() {
    agrees_with_golden(DType::F32, F32);
}

#[test]
fn batches_are_those_of_the_reference() {
    for case in CASES {
        let golden = Golden::read(case);
        let model = golden.load(DType::F32, Parameters::Frozen);
        let encodings = golden.encodings(&*model);
        let batch = batch(&*model, &encodings);
        let ids: Vec<i64> = batch.ids().iter().map(|&id| id.into()).collect();
        assert_eq!(ids, golden.integers("input_ids"), "{case}");
        let segments: Vec<i64> = batch.segments().iter().map(|&s| s.into()).collect();
        assert_eq!(segments, golden.integers("token_type_ids"), "{case}");
        let mask: Vec<i64> = batch
            .lengths()
            .iter()
            .flat_map(|&length| (0..batch.tokens()).map(move |t| (t < length).into()))
            .collect();
        assert_eq!(mask, golden.integers("attention_mask"), "{case}");
        for (encoding, tokens) in encodings.iter().zip(&golden.description.tokens) {
            let texts: Vec<_> = encoding.tokens.iter().map(|token| &token.text).collect();
            assert_eq!(texts, tokens.iter().take(texts.len()).collect::<Vec<_>>(), "{case}");
        }
    }
}

/// Asking for a site changes the path through the code, and with it the order of sums, but nothing
/// else. Reached: 9e-16 in f64 and 5e-7 in f32.
#[test]
fn looking_does_not_change_what_is_seen() {
    let golden = Golden::read("padded");
    for (dtype, tolerance) in [(DType::F64, F64), (DType::F32, F32)] {
        let model = golden.load(dtype, Parameters::Frozen);
        let batch = batch(&*model, &golden.encodings(&*model));
        let run = |mut trace: Trace<'_>| {
            let embeddings = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
            let logits = model.forward(&embeddings, &batch, &mut trace).unwrap().logits;
            let gradient = gradient(&golden.score(&logits), &embeddings).unwrap();
            [values(&logits), values(&gradient)]
        };
        let plain = run(Trace::new());
        let mut worst = 0.0_f64;
        for site in Site::all(model.info().sites()) {
            for (trace, how) in [
                (Trace::new().keep(site), "keep"),
                (Trace::new().gradient_at(site), "gradient"),
                (Trace::new().edit(site, |x| Ok(x.affine(1.0, 0.0)?)), "edit"),
            ] {
                for (got, want) in run(trace).iter().zip(&plain) {
                    let d = distance(got, want);
                    assert!(d <= tolerance, "{dtype:?}, {how} {site}: {d:e}");
                    worst = worst.max(d);
                }
            }
        }
        println!("{dtype:?}: {worst:.1e}");
    }
}

#[test]
fn gradients_of_trained_weights_are_those_of_pytorch() {
    let golden = Golden::read("padded");
    let model = golden.load(DType::F64, Parameters::Trained);
    let batch = batch(&*model, &golden.encodings(&*model));
    let score = || {
        let embeddings = model.embed(&batch).unwrap();
        let output = model.forward(&embeddings, &batch, &mut Trace::new()).unwrap();
        golden.score(&output.logits)
    };
    let store = score().backward().unwrap();
    let numbers: u64 = model.parameters().iter().map(|(_, var)| var.elem_count() as u64).sum();
    assert_eq!(numbers, model.info().parameters);

    let (mut with_golden, mut worst) = (0, 0.0_f64);
    for (name, var) in model.parameters() {
        let gradient = store.get(var).unwrap_or_else(|| panic!("no gradient for {name}"));
        if let Some(want) = golden.tensors.get(&format!("f64.grad.weight.{name}")) {
            assert_eq!(gradient.dims(), want.dims(), "{name}");
            let d = distance(&values(gradient), &values(want));
            assert!(d <= F64, "{name}: {d:e}");
            (with_golden, worst) = (with_golden + 1, worst.max(d));
        }
        // PyTorch's numbers cover some of the weights, central differences all: in the direction
        // of the gradient itself, along which the score changes by the gradient's square norm.
        let norm = values(gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
        let direction = (gradient * (1e-5 / norm.max(1e-12))).unwrap();
        let start = var.as_tensor().copy().unwrap();
        let at = |sign: f64| {
            var.set(&(&start + (&direction * sign).unwrap()).unwrap()).unwrap();
            score().to_scalar::<f64>().unwrap()
        };
        let numeric = (at(1.0) - at(-1.0)) / 2e-5;
        var.set(&start).unwrap();
        assert!((numeric - norm).abs() <= 1e-6 * norm.max(1.0), "{name}: {norm:e}, {numeric:e}");
    }
    let expected = golden.tensors.keys().filter(|key| key.contains("grad.weight")).count();
    assert_eq!(with_golden, expected);
    println!("gradients of weights: {worst:.1e}");
}

#[test]
fn a_frozen_model_has_no_parameters_and_a_trained_one_all() {
    let golden = Golden::read("single");
    assert!(golden.load(DType::F32, Parameters::Frozen).parameters().is_empty());
    let trained = golden.load(DType::F32, Parameters::Trained);
    let checkpoint = glossator_models::Checkpoint::open(&testdata("models/bert-cls")).unwrap();
    let mut names: Vec<_> = trained.parameters().iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, checkpoint.names().collect::<Vec<_>>());
}

/// The same weights in another container are the same model, to the last bit.
#[test]
fn storage_does_not_matter() {
    let texts = ["the plot was almost perfect", "boring", "我喜欢电影", ""];
    let run = |name: &str, dtype| {
        let model = open(&testdata("models").join(name), dtype);
        let encodings: Vec<_> =
            texts.iter().map(|text| model.encode(text, false).unwrap()).collect();
        let batch = batch(&*model, &encodings);
        let embeddings = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
        let logits = model.forward(&embeddings, &batch, &mut Trace::new()).unwrap().logits;
        let gradient = gradient(&logits.narrow(1, 0, 1).unwrap(), &embeddings).unwrap();
        assert_eq!(model.info().id, name);
        (logits, gradient, model.info().labels.clone(), model.info().parameters)
    };
    for dtype in [DType::F32, DType::F64] {
        for (name, twin) in [
            ("bert-vocab-txt", "bert-cls"),
            ("bert-sharded", "bert-cls"),
            ("bert-bin", "bert-cls"),
            ("bert-bin-legacy", "bert-cls"),
            ("bert-bin-f16", "bert-f16"),
        ] {
            let (a, b) = (run(name, dtype), run(twin, dtype));
            assert_same(&a.0, &b.0, name);
            assert_same(&a.1, &b.1, name);
            assert_eq!((a.2, a.3), (b.2, b.3), "{name}");
        }
        // And the twins are not all one model.
        assert_ne!(values(&run("bert-f16", dtype).0), values(&run("bert-cls", dtype).0));
    }
}

#[cfg(feature = "bundled")]
mod bundled {
    use glossator_models::{BUNDLED, load_bundled};

    use super::*;

    fn positive(model: &dyn Model, text: &str) -> f64 {
        let label = model.info().labels.find("positive").unwrap();
        let batch = Batch::repeat(&model.encode(text, false).unwrap(), 1);
        let embeddings = model.embed(&batch).unwrap();
        let logits = model.forward(&embeddings, &batch, &mut Trace::new()).unwrap().logits;
        values(&glossator_ops::softmax(&logits).unwrap())[label]
    }

    /// The probabilities are those that PyTorch gives for the stored f16 weights, to the digits known.
    #[test]
    fn the_bundled_model_knows_good_from_bad() {
        for dtype in [DType::F32, DType::F64] {
            let options = LoadOptions { dtype, ..Default::default() };
            let model = load_bundled(&BUNDLED[0], &options).unwrap();
            assert_eq!(model.info().id, "sentiment-en");
            assert_eq!(model.info().labels.names, ["negative", "positive"]);
            let good = positive(&*model, "a touching , funny and wise film");
            assert!((good - 0.9615).abs() <= 0.002, "{dtype:?}: {good}");
            let bad = positive(&*model, "a dull , lifeless and utterly predictable mess");
            assert!((bad - 0.0477).abs() <= 0.002, "{dtype:?}: {bad}");
            println!("{dtype:?}: {good:.5} {bad:.5}");
        }
    }

    /// Every bundled model loads, is sound, and is the same as its directory.
    #[test]
    fn bundled_models_are_their_directories() {
        for bundled in BUNDLED {
            let model = load_bundled(bundled, &LoadOptions::default()).unwrap();
            assert_eq!(model.first_bad_weight().unwrap(), None);
            let dir = testdata("../models").join(bundled.id);
            let twin = open(&dir, DType::F32);
            assert_eq!(model.sha256(), twin.sha256());
            assert_eq!(model.info().max_tokens, twin.info().max_tokens);
            let text = "It's a café's story , isn't it ?";
            assert_eq!(model.encode(text, false).unwrap(), twin.encode(text, false).unwrap());
            assert_eq!(positive(&*model, text), positive(&*twin, text));
        }
    }
}
