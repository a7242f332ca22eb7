//! Every family's numbers are those of `transformers`: tokens, embeddings, outputs, hidden states,
//! gradients, generated tokens, on tiny random models.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the accuracy that is reached")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "common/compare.rs"]
mod compare;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use common::{testdata, values};
use compare::{distance, split};
use glossator_models::{
    Batch, DType, Device, Encoding, FAMILIES, Field, LoadOptions, Model, Parameters, Site, Task,
    Tensor, Token, Trace, Var, load,
};
use glossator_ops::gradient;
use serde::Deserialize;

/// Relative to the largest value of a tensor. Reached: 5e-15, some ten roundings; a wrong formula is
/// off by 1e-7 and more.
const F64: f64 = 1e-12;

/// In f32, compared with the f64 numbers. Reached: 4.2e-6, where large terms cancel.
const F32: f64 = 2e-5;

#[derive(Deserialize)]
struct Generated {
    prompt: Vec<u32>,
    new: Vec<u32>,
}

#[derive(Deserialize)]
struct TokenizerExample {
    text: String,
    pair: Option<String>,
    ids: Vec<u32>,
    tokens: Vec<String>,
    type_ids: Vec<u32>,
    special: Vec<u32>,
    offsets: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Description {
    model: String,
    #[serde(default)]
    generated: Vec<Generated>,
    #[serde(default)]
    tokenizer_examples: Vec<TokenizerExample>,
    /// The configuration as transformers writes it today, where the model's is an older one.
    config_new_format: Option<serde_json::Value>,
}

struct Golden {
    name: String,
    description: Description,
    tensors: HashMap<String, Tensor>,
}

fn goldens() -> Vec<Golden> {
    let mut names: Vec<String> = std::fs::read_dir(testdata("golden/families"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    // Adapters have tests of their own.
    names.retain(|name| !name.contains("-lora"));
    names.sort();
    names.into_iter().map(|name| Golden::read(&name)).collect()
}

impl Golden {
    fn read(name: &str) -> Self {
        let file = |ending| testdata("golden/families").join(format!("{name}.{ending}"));
        let description = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
        let tensors = candle_core::safetensors::load(file("safetensors"), &Device::Cpu).unwrap();
        Self { name: name.to_owned(), description, tensors }
    }

    fn load(&self, dtype: DType, parameters: Parameters) -> Box<dyn Model> {
        self.load_from(&self.directory(), dtype, parameters)
    }

    fn load_from(&self, dir: &Path, dtype: DType, parameters: Parameters) -> Box<dyn Model> {
        let options = LoadOptions { dtype, parameters, ..Default::default() };
        load(dir, &options).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn directory(&self) -> PathBuf {
        testdata(self.description.model.strip_prefix("testdata/").unwrap())
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        Some(self.tensors.get(name)?.clone())
    }

    fn tensor(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    fn rows(&self, name: &str) -> Vec<Vec<u32>> {
        let rows: Vec<Vec<i64>> = self.tensor(name).to_vec2().unwrap();
        rows.iter().map(|row| row.iter().map(|&id| id as u32).collect()).collect()
    }

    fn lengths(&self, mask: &str) -> Vec<usize> {
        self.rows(mask).iter().map(|row| row.iter().filter(|&&m| m == 1).count()).collect()
    }

    /// The rows as encodings without padding.
    fn encodings(&self) -> Vec<Encoding> {
        let lengths = self.lengths("attention_mask");
        let segments = self.find("token_type_ids").map(|_| self.rows("token_type_ids"));
        let ids = self.rows("input_ids");
        let mut encodings: Vec<Encoding> = (0..ids.len())
            .map(|row| {
                let segment = |t: usize| segments.as_ref().map_or(0, |s| s[row][t]);
                let tokens = (0..lengths[row]).map(|t| token(ids[row][t], segment(t)));
                encoding(tokens.collect())
            })
            .collect();
        if self.find("decoder_input_ids").is_some() {
            let lengths = self.lengths("decoder_attention_mask");
            let ids = self.rows("decoder_input_ids");
            for (row, encoding) in encodings.iter_mut().enumerate() {
                encoding.second = Some(encoding.tokens.len());
                encoding.tokens.extend(ids[row][..lengths[row]].iter().map(|&id| token(id, 0)));
            }
        }
        encodings
    }

    /// The logits in our layout: of question answering, starts and ends side by side.
    fn logits(&self, name: &str) -> Tensor {
        match self.find(name) {
            Some(logits) => logits.to_dtype(DType::F64).unwrap(),
            None => {
                let prefix = if name == "logits" { "" } else { "cotangent." };
                let part = |name| {
                    let part = self.tensor(&format!("{prefix}{name}_logits"));
                    part.to_dtype(DType::F64).unwrap()
                };
                Tensor::stack(&[part("start"), part("end")], 1).unwrap()
            }
        }
    }
}

fn token(id: u32, segment: u32) -> Token {
    let (start, end, word, special, field) = (0, 0, None, false, 0);
    Token { id, text: String::new(), start, end, word, special, field, segment }
}

fn encoding(tokens: Vec<Token>) -> Encoding {
    let field = Field { name: "text".to_owned(), text: String::new(), words: Vec::new() };
    Encoding { tokens, fields: vec![field], truncated: 0, second: None }
}

/// The logits at real positions only: `tokens` is the dimension that is padded, if one is.
fn real(logits: &Tensor, task: Task, lengths: &[usize]) -> Vec<f64> {
    match task {
        Task::TextClassification | Task::SentenceSimilarity => values(logits),
        Task::QuestionAnswering => split(logits, 2, lengths).0,
        _ => split(logits, 1, lengths).0,
    }
}

/// Runs a check on each model, and fails with the names of all for which it failed.
fn each(check: impl Fn(&Golden)) {
    let check = std::panic::AssertUnwindSafe(check);
    let failed: Vec<String> = goldens()
        .into_iter()
        // Its vectors are compared below.
        .filter(|golden| golden.find("sentence_embedding").is_none())
        .filter(|golden| {
            let golden = std::panic::AssertUnwindSafe(golden);
            std::panic::catch_unwind(|| check(&golden)).is_err()
        })
        .map(|golden| golden.name)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// A way through the code.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Fused,
    Observed,
    Trained,
}

fn compare(golden: &Golden, dtype: DType, way: Way, tolerance: f64) -> f64 {
    let parameters = if way == Way::Trained { Parameters::Trained } else { Parameters::Frozen };
    compare_model(golden, &*golden.load(dtype, parameters), way, tolerance)
}

fn compare_model(golden: &Golden, model: &dyn Model, way: Way, tolerance: f64) -> f64 {
    let dtype = model.info().dtype;
    let task = model.info().task;
    let encodings = golden.encodings();
    let batch = Batch::new(&encodings.iter().collect::<Vec<_>>(), model.pad_id());
    let decoder = encodings[0].second.is_some();
    let lengths = golden.lengths("attention_mask");
    let read = if decoder { golden.lengths("decoder_attention_mask") } else { lengths.clone() };

    let mut trace = Trace::new();
    if way == Way::Observed {
        trace = Site::all(model.info().sites()).fold(trace, Trace::keep);
    }
    let embeddings = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
    let output = model.forward(&embeddings, &batch, &mut trace);
    let logits = output.unwrap_or_else(|e| panic!("{} {way:?}: {e}", golden.name)).logits;
    assert_eq!(logits.dtype(), dtype);
    let cotangent = golden.logits("cotangent").to_dtype(dtype).unwrap();
    let score = (&logits * &cotangent).unwrap().sum_all().unwrap();
    let gradient = gradient(&score, &embeddings).unwrap();

    let mut worst = 0.0_f64;
    let mut check = |what: &str, got: &[f64], want: &[f64]| {
        assert_eq!(got.len(), want.len(), "{} {way:?}: {what}", golden.name);
        let d = distance(got, want);
        let name = &golden.name;
        assert!(d <= tolerance, "{name}, {dtype:?}, {way:?}: {what} differs by {d:e}");
        worst = worst.max(d);
    };
    check("logits", &real(&logits, task, &read), &real(&golden.logits("logits"), task, &read));
    let start = batch.second().unwrap_or(batch.tokens());
    let part = |x: &Tensor, second: bool| {
        if second {
            split(&x.narrow(1, start, batch.tokens() - start).unwrap(), 1, &read)
        } else {
            split(&x.narrow(1, 0, start).unwrap(), 1, &lengths)
        }
    };
    let sides: &[(bool, &str)] =
        if decoder { &[(false, ""), (true, "decoder_")] } else { &[(false, "")] };
    for &(second, prefix) in sides {
        let of = |name: &str| {
            let name = match name.strip_prefix("grad.") {
                Some(rest) => format!("grad.{prefix}{rest}"),
                None => format!("{prefix}{name}"),
            };
            let lengths = if second { &read } else { &lengths };
            split(&golden.tensor(&name), 1, lengths).0
        };
        check("embeddings", &part(&embeddings, second).0, &of("embeddings"));
        let (real, padding) = part(&gradient, second);
        check("gradient", &real, &of("grad.embeddings"));
        assert!(padding.iter().all(|&x| x == 0.0), "{}: {way:?}", golden.name);
    }
    if way == Way::Observed {
        // The last one of transformers is after a final norm, if there is one.
        let first = model.info().decoder.unwrap_or(model.info().layers);
        for l in 0..model.info().layers {
            let (name, lengths) = match l.checked_sub(first) {
                None => (format!("hidden.{l}"), &lengths),
                Some(l) => (format!("decoder_hidden.{l}"), &read),
            };
            let got = trace.value(Site::Residual(l)).unwrap();
            let want = golden.tensor(&name);
            check("hidden", &split(got, 1, lengths).0, &split(&want, 1, lengths).0);
        }
    }
    worst
}

fn walk(dtype: DType, paths: &[Way], tolerance: f64) {
    each(|golden| {
        for &way in paths {
            let worst = compare(golden, dtype, way, tolerance);
            println!("{dtype:?} {way:?} {}: {worst:.1e}", golden.name);
        }
    });
}

#[test]
fn f64_agrees_with_transformers_on_every_path() {
    walk(DType::F64, &[Way::Fused, Way::Observed, Way::Trained], F64);
}

/// Old and new configuration files mean the same.
#[test]
fn new_configurations_are_read_like_old_ones() {
    let mut n = 0;
    for golden in goldens() {
        let Some(config) = &golden.description.config_new_format else { continue };
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(golden.directory()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let model = golden.load_from(dir.path(), DType::F64, Parameters::Frozen);
        compare_model(&golden, &*model, Way::Fused, F64);
        n += 1;
    }
    assert!(n > 1, "{n}");
}

#[test]
fn f32_agrees_with_transformers() {
    walk(DType::F32, &[Way::Fused], F32);
}

/// A row alone, without padding, gives what it gives in a batch; and asking for single positions
/// gives the rows of the whole.
#[test]
fn rows_alone_and_single_positions_are_those_of_the_batch() {
    each(|golden| {
        let model = golden.load(DType::F64, Parameters::Frozen);
        let task = model.info().task;
        let whole = golden.logits("logits");
        for (row, encoding) in golden.encodings().iter().enumerate() {
            let alone = Batch::repeat(encoding, 2);
            let read = encoding.second.map_or(encoding.tokens.len(), |s| encoding.tokens.len() - s);
            let run = |batch: &Batch| {
                let words = model.embed(batch).unwrap();
                model.forward(&words, batch, &mut Trace::new()).unwrap().logits
            };
            let logits = run(&alone);
            let want = whole.narrow(0, row, 1).unwrap();
            let want = real(&want, task, &[read]);
            for copy in 0..2 {
                let got = logits.narrow(0, copy, 1).unwrap();
                let d = distance(&values(&got), &want);
                assert!(d <= F64, "{}: row {row} alone differs by {d:e}", golden.name);
            }
            if task.is_language_model() || task == Task::TokenClassification {
                let positions = [read - 1, 0];
                let some = run(&alone.clone().reading(&positions));
                assert_eq!(some.dim(1).unwrap(), 2);
                for (i, &at) in positions.iter().enumerate() {
                    let got = some.narrow(1, i, 1).unwrap();
                    let want = logits.narrow(1, at, 1).unwrap();
                    let d = distance(&values(&got), &values(&want));
                    assert!(d <= F64, "{}: position {at} differs by {d:e}", golden.name);
                }
            }
        }
    });
}

#[test]
fn generated_tokens_are_those_of_transformers() {
    let n = Cell::new(0);
    each(|golden| {
        if golden.description.generated.is_empty() {
            return;
        }
        let model = golden.load(DType::F64, Parameters::Frozen);
        for case in &golden.description.generated {
            let prompt = encoding(case.prompt.iter().map(|&id| token(id, 0)).collect());
            let made = model.generate(&prompt, case.new.len(), &[]).unwrap();
            assert_eq!(made.as_ref(), Some(&case.new), "{}", golden.name);
            n.set(n.get() + 1);
        }
    });
    assert!(n.get() > 20, "{n:?}");
}

#[test]
fn tokens_are_those_of_transformers() {
    let n = Cell::new(0);
    each(|golden| {
        let model = golden.load(DType::F32, Parameters::Frozen);
        for example in &golden.description.tokenizer_examples {
            let tokenizer = model.tokenizer();
            let encoding = match &example.pair {
                None => tokenizer.encode(&example.text).unwrap(),
                Some(pair) => tokenizer.encode_pair(&example.text, pair).unwrap(),
            };
            let name = &golden.name;
            assert_eq!(encoding.ids(), example.ids, "{name}");
            assert_eq!(encoding.segments(), example.type_ids, "{name}");
            for (i, token) in encoding.tokens.iter().enumerate() {
                // The reference names the unknown token where we keep what it stands for.
                if Some(token.id) != tokenizer.unk_token() {
                    assert_eq!(token.text, example.tokens[i], "{name}");
                }
                assert_eq!(u32::from(token.special), example.special[i], "{name}: {token:?}");
                assert_eq!((token.start, token.end), example.offsets[i], "{name}: {token:?}");
            }
            n.set(n.get() + 1);
        }
    });
    assert!(n.get() > 100, "{n:?}");
}

/// Cosines of the reference's vectors, for texts of unequal length in both orders.
#[test]
fn similarities_are_those_of_the_vectors() {
    let golden = Golden::read("bert-sentence-similarity");
    let model = golden.load(DType::F64, Parameters::Frozen);
    let vectors: Vec<Vec<f64>> = golden.tensor("sentence_embedding").to_vec2().unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let encodings = golden.encodings();
    let pairs = [(0, 1), (1, 2), (2, 0), (1, 1)];
    let joined: Vec<Encoding> = pairs
        .iter()
        .map(|&(a, b)| encodings[a].clone().with_second(encodings[b].clone(), "text_pair"))
        .collect();
    let batch = Batch::new(&joined.iter().collect::<Vec<_>>(), model.pad_id());
    let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
    let got = model.forward(&x, &batch, &mut Trace::new()).unwrap().logits;
    for (&(a, b), got) in pairs.iter().zip(values(&got)) {
        let want = cosine(&vectors[a], &vectors[b]);
        assert!((got - want).abs() < F64, "{a} and {b}: {got} is not {want}");
    }
    // The gradient by differences: no reference has it.
    let gradient = gradient(&got.sum_all().unwrap(), &x).unwrap();
    let (flat, analytic) = (values(&x), values(&gradient));
    for i in (0..flat.len()).step_by(97) {
        let at = |step: f64| {
            let mut moved = flat.clone();
            moved[i] += step;
            let moved = Tensor::from_vec(moved, x.dims(), &Device::Cpu).unwrap();
            values(&model.forward(&moved, &batch, &mut Trace::new()).unwrap().logits)
                .iter()
                .sum::<f64>()
        };
        let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((numeric - analytic[i]).abs() < 1e-7, "{i}: {numeric} is not {}", analytic[i]);
    }
}

#[test]
fn every_family_and_every_task_of_it_has_a_reference() {
    let mut seen: Vec<(&str, Task)> = Vec::new();
    for golden in goldens() {
        let model = golden.load(DType::F32, Parameters::Frozen);
        seen.push((model.info().family, model.info().task));
    }
    // Those over words have one of their own, in classic.rs.
    for family in FAMILIES.iter().filter(|family| family.id != "glossator") {
        assert!(seen.iter().any(|(id, _)| *id == family.id), "{} has no reference", family.id);
    }
    for task in Task::ALL {
        assert!(seen.iter().any(|(_, t)| *t == task), "{task:?} has no reference");
    }
}

/// A text ends where `generation_config.json` says, else where the configuration does.
#[test]
fn generated_texts_end_at_the_tokens_that_are_named() {
    let golden = Golden::read("llama");
    let usual = golden.load(DType::F32, Parameters::Frozen);
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden.directory()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let case = &golden.description.generated[0];
    let stop = case.new[2];
    let named = format!("{{\"eos_token_id\": [9999, {stop}]}}");
    std::fs::write(dir.path().join("generation_config.json"), named).unwrap();
    let model = golden.load_from(dir.path(), DType::F64, Parameters::Frozen);
    assert_eq!(model.stop_ids(), [9999, stop]);
    assert_ne!(usual.stop_ids(), model.stop_ids());
    let prompt = encoding(case.prompt.iter().map(|&id| token(id, 0)).collect());
    let made = model.generate(&prompt, 8, model.stop_ids()).unwrap().unwrap();
    assert_eq!(made, case.new[..3]);
}
