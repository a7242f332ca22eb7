//! Models over words and characters give the numbers of independent PyTorch code written from the
//! papers: outputs, gradients, marginals of a conditional random field, generated tokens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "common/compare.rs"]
mod compare;

use std::collections::HashMap;

use common::{testdata, values};
use compare::distance;
use glossator_models::{
    Batch, DType, Device, Encoding, LoadOptions, Model, Parameters, Task, Tensor, Trace, Var, load,
};
use glossator_ops::gradient;
use serde::Deserialize;

/// Relative to the largest value of a tensor. Reached: 4e-15, some roundings.
const F64: f64 = 1e-12;
/// In f32, compared with the f64 numbers. Reached: 3e-6.
const F32: f64 = 3e-5;

#[derive(Deserialize)]
struct Row {
    text: String,
    pair: Option<String>,
    ids: Vec<u32>,
    second_ids: Option<Vec<u32>>,
    new: Option<Vec<u32>>,
    best: Option<Vec<usize>>,
    spans: Option<Vec<Vec<(usize, usize)>>>,
}

#[derive(Deserialize)]
struct Description {
    rows: Vec<Row>,
}

struct Golden {
    name: String,
    rows: Vec<Row>,
    tensors: HashMap<String, Tensor>,
}

fn goldens() -> Vec<Golden> {
    let mut names: Vec<String> = std::fs::read_dir(testdata("golden/classic"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 16, "{names:?}");
    let read = |name: String| {
        let file = |ending| testdata("golden/classic").join(format!("{name}.{ending}"));
        let json = std::fs::read(file("json")).unwrap();
        let Description { rows } = serde_json::from_slice(&json).unwrap();
        let tensors = candle_core::safetensors::load(file("safetensors"), &Device::Cpu).unwrap();
        Golden { name, rows, tensors }
    };
    names.into_iter().map(read).collect()
}

impl Golden {
    fn load(&self, dtype: DType, parameters: Parameters) -> Box<dyn Model> {
        let options = LoadOptions { dtype, parameters, ..Default::default() };
        let dir = testdata(&format!("models/{}", self.name));
        load(&dir, &options).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn values(&self, name: &str) -> Vec<f64> {
        values(&self.tensors[name])
    }

    fn encodings(&self, model: &dyn Model) -> Vec<Encoding> {
        let encode = |row: &Row| {
            let tokenizer = model.tokenizer();
            let encoding = match (&row.pair, model.decoder_start()) {
                (Some(pair), Some(start)) => {
                    let name = tokenizer.id_to_token(start).unwrap();
                    let written = tokenizer.written(&tokenizer.ids_of(pair).unwrap());
                    let source = model.encode(&row.text, false).unwrap();
                    source.with_written(&written, "written", Some((start, name)))
                }
                (Some(pair), None) => model.encode_pair(&row.text, pair).unwrap(),
                (None, _) => model.encode(&row.text, false).unwrap(),
            };
            let mut ids = row.ids.clone();
            ids.extend(row.second_ids.iter().flatten());
            assert_eq!(encoding.ids(), ids, "{}", self.name);
            encoding
        };
        self.rows.iter().map(encode).collect()
    }
}

/// Row `row` of a padded tensor of tokens without its padding: the first part, or the second.
fn part(x: &Tensor, row: usize, encoding: &Encoding, batch: &Batch, second: bool) -> Vec<f64> {
    let own = encoding.second.unwrap_or(encoding.tokens.len());
    let (start, n) = match (second, batch.second()) {
        (true, Some(start)) => (start, encoding.tokens.len() - own),
        _ => (0, own),
    };
    values(&x.narrow(0, row, 1).unwrap().narrow(1, start, n).unwrap())
}

fn compare(
    golden: &Golden,
    dtype: DType,
    parameters: Parameters,
    seen: bool,
    tolerance: f64,
) -> f64 {
    let model = golden.load(dtype, parameters);
    let name = &golden.name;
    let encodings = golden.encodings(&*model);
    let batch = Batch::new(&encodings.iter().collect::<Vec<_>>(), model.pad_id());
    let x = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
    let mut trace = Trace::new();
    if seen {
        trace = model.info().sites().iter().fold(trace, |trace, &site| trace.keep(site));
    }
    let logits = model.forward(&x, &batch, &mut trace).unwrap().logits;
    let mut worst = 0.0_f64;
    for (row, encoding) in encodings.iter().enumerate() {
        let mut check = |what: &str, got: &[f64], want: &[f64]| {
            let d = distance(got, want);
            assert!(d <= tolerance, "{name}, {dtype:?}: {what} of row {row} differs by {d:e}");
            worst = worst.max(d);
        };
        let mine = logits.narrow(0, row, 1).unwrap();
        let mine = match model.info().task {
            Task::TextClassification => mine,
            Task::QuestionAnswering => {
                let start = batch.second().unwrap();
                let n = encoding.tokens.len() - encoding.second.unwrap();
                mine.narrow(2, start, n).unwrap()
            }
            _ => {
                let n =
                    encoding.second.map_or(encoding.tokens.len(), |s| encoding.tokens.len() - s);
                mine.narrow(1, 0, n).unwrap()
            }
        };
        check("logits", &values(&mine), &golden.values(&format!("{row}.logits")));
        let cotangent = golden.tensors[&format!("{row}.cotangent")].to_dtype(dtype).unwrap();
        let cotangent = cotangent.reshape(mine.dims()).unwrap();
        let score = (mine * cotangent).unwrap().sum_all().unwrap();
        let gradient = gradient(&score, &x).unwrap();
        let parts: &[bool] = if encoding.second.is_some() { &[false, true] } else { &[false] };
        let mut total = 0.0;
        for (which, &second) in parts.iter().enumerate() {
            let got = part(&x, row, encoding, &batch, second);
            check("embeddings", &got, &golden.values(&format!("{row}.embeddings.{which}")));
            let got = part(&gradient, row, encoding, &batch, second);
            check("gradient", &got, &golden.values(&format!("{row}.gradient.{which}")));
            total += got.iter().map(|g| g.abs()).sum::<f64>();
        }
        // Nothing anywhere else: not at padding, not in other rows.
        let all: f64 = values(&gradient).iter().map(|g| g.abs()).sum();
        assert!((all - total).abs() <= tolerance * total, "{name}: {all} is not {total}");
    }
    worst
}

#[test]
fn f64_agrees_on_every_path() {
    for golden in goldens() {
        for (parameters, seen) in
            [(Parameters::Frozen, false), (Parameters::Frozen, true), (Parameters::Trained, false)]
        {
            let worst = compare(&golden, DType::F64, parameters, seen, F64);
            println!("{} {parameters:?} {seen}: {worst:.1e}", golden.name);
        }
    }
}

#[test]
fn f32_agrees() {
    for golden in goldens() {
        let worst = compare(&golden, DType::F32, Parameters::Frozen, false, F32);
        println!("{}: {worst:.1e}", golden.name);
    }
}

#[test]
fn generated_tokens_agree() {
    let mut n = 0;
    for golden in goldens() {
        let model = golden.load(DType::F64, Parameters::Frozen);
        for row in &golden.rows {
            let Some(new) = &row.new else { continue };
            let prompt = model.encode(&row.text, false).unwrap();
            let made = model.generate(&prompt, new.len(), &[]).unwrap().unwrap();
            assert_eq!(&made, new, "{}", golden.name);
            n += 1;
        }
    }
    assert!(n >= 20, "{n}");
}

/// Log marginals of parts of the labels are those of the sum over all sequences of labels, and so
/// are their gradients, in rows that are padded.
#[test]
fn marginals_agree_with_enumeration() {
    let golden = goldens().into_iter().find(|g| g.name == "classic-tagger-crf").unwrap();
    let model = golden.load(DType::F64, Parameters::Frozen);
    let encodings = golden.encodings(&*model);
    let longest = encodings.iter().max_by_key(|e| e.tokens.len()).unwrap();
    let mut n = 0;
    for (row, described) in golden.rows.iter().enumerate() {
        let (Some(path), Some(spans)) = (&described.best, &described.spans) else { continue };
        let batch = Batch::new(&[&encodings[row], longest], model.pad_id());
        assert!(batch.is_padded());
        let x = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
        let output = model.forward(&x, &batch, &mut Trace::new()).unwrap();
        let chain = output.chain.unwrap();
        assert_eq!(&chain.best(&output.logits).unwrap()[0], path);
        for (i, span) in spans.iter().enumerate() {
            let marginal = chain.log_marginal(&output.logits, span).unwrap();
            let marginal = marginal.narrow(0, 0, 1).unwrap();
            let want = golden.values(&format!("{row}.marginal.{i}"));
            let d = distance(&values(&marginal), &want);
            assert!(d <= F64, "row {row}, {span:?}: {d:e}");
            let gradient = gradient(&marginal, &x).unwrap();
            let got = part(&gradient, 0, &encodings[row], &batch, false);
            let d = distance(&got, &golden.values(&format!("{row}.marginal.{i}.gradient")));
            assert!(d <= 10.0 * F64, "row {row}, {span:?}: the gradient differs by {d:e}");
            n += 1;
        }
    }
    assert!(n >= 6, "{n}");
}
