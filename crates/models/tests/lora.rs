//! LoRA adapters: the model that comes of one is the one that transformers merges, and adapters
//! that do not fit give errors that say so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "common/compare.rs"]
mod compare;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{open, testdata, values};
use compare::distance;
use glossator_models::{
    Batch, DType, Device, Encoding, Error, LoadOptions, Model, Tensor, Trace, Var, load,
};
use glossator_ops::gradient;
use serde_json::{Value, json};

type Tensors = HashMap<String, Tensor>;

fn run(model: &dyn Model, text: &str) -> Vec<f64> {
    let encoding = model.encode(text, true).unwrap();
    let batch = Batch::repeat(&encoding, 1);
    let embeddings = model.embed(&batch).unwrap();
    values(&model.forward(&embeddings, &batch, &mut Trace::default()).unwrap().logits)
}

/// The goldens have three rows, of which the first is the longest and has no padding.
#[test]
fn adapters_agree_with_transformers() {
    for name in ["llama-lora", "llama-lora-rs"] {
        let file = testdata("golden/families").join(format!("{name}.safetensors"));
        let golden: Tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
        let row = |name: &str| golden[name].get(0).unwrap();
        let ids: Vec<i64> = row("input_ids").to_vec1().unwrap();
        // Relative to the largest value. Reached: see the output.
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
            let model = open(&testdata("models").join(name), dtype);
            assert_eq!(model.info().id, name);
            let mut encoding = model.encode("a", false).unwrap();
            let token = encoding.tokens[0].clone();
            encoding.tokens = ids
                .iter()
                .map(|&id| glossator_models::Token { id: id as u32, ..token.clone() })
                .collect();
            let batch = Batch::repeat(&encoding, 1);
            let embeddings = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
            let output =
                model.forward(embeddings.as_tensor(), &batch, &mut Trace::default()).unwrap();
            let off = distance(&values(&output.logits), &values(&row("logits")));
            let cotangent = row("cotangent").to_dtype(dtype).unwrap().unsqueeze(0).unwrap();
            let score = (output.logits * cotangent).unwrap();
            let gradient = gradient(&score, &embeddings).unwrap();
            let off_gradient = distance(&values(&gradient), &values(&row("grad.embeddings")));
            println!("{name} {dtype:?}: logits {off:.1e}, gradient {off_gradient:.1e}");
            assert!(off < tolerance && off_gradient < tolerance, "{off:e} {off_gradient:e}");
        }
    }
}

// ---- adapters made here -------------------------------------------------------------------------

/// An adapter of a model of the test data.
struct Adapter {
    dir: tempfile::TempDir,
    settings: Value,
    tensors: Tensors,
}

/// Numbers that differ from each other.
fn numbers(rows: usize, columns: usize) -> Tensor {
    let numbers: Vec<f32> =
        (0..rows * columns).map(|i| ((i * 37 % 19) as f32 - 9.0) / 16.0).collect();
    Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
}

impl Adapter {
    fn of(base: &str) -> Self {
        let settings = json!({
            "peft_type": "LORA", "base_model_name_or_path": testdata("models").join(base),
            "r": 2, "lora_alpha": 6, "bias": "none", "fan_in_fan_out": false,
        });
        Self { dir: tempfile::tempdir().unwrap(), settings, tensors: Tensors::new() }
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings[key] = value.into();
        self
    }

    fn tensor(mut self, name: &str, tensor: Tensor) -> Self {
        self.tensors.insert(format!("base_model.model.{name}"), tensor);
        self
    }

    fn change(self, module: &str, rank: usize, n_in: usize, n_out: usize) -> Self {
        self.tensor(&format!("{module}.lora_A.weight"), numbers(rank, n_in))
            .tensor(&format!("{module}.lora_B.weight"), numbers(n_out, rank))
    }

    fn write(&self) -> &Path {
        let path = self.dir.path();
        fs::write(path.join("adapter_config.json"), self.settings.to_string()).unwrap();
        candle_core::safetensors::save(&self.tensors, path.join("adapter_model.safetensors"))
            .unwrap();
        path
    }

    fn error(&self) -> Error {
        match load(self.write(), &LoadOptions::default()) {
            Ok(_) => panic!("it loads"),
            Err(error) => error,
        }
    }

    #[track_caller]
    fn fails(&self, what: &str) {
        let error = self.error();
        let message = error.to_string();
        assert!(message.contains(what), "{message}");
        assert!(error.is_input_error() && error.hint().is_some(), "{message}");
    }
}

/// A copy of a model with some of its tensors changed.
fn merged(base: &str, change: impl Fn(&mut Tensors)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(testdata("models").join(base)).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    for tensor in tensors.values_mut() {
        *tensor = tensor.to_dtype(DType::F64).unwrap();
    }
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, path).unwrap();
    dir
}

fn product(rank: usize, n_in: usize, n_out: usize, scale: f64) -> Tensor {
    let product = numbers(n_out, rank).to_dtype(DType::F64).unwrap();
    (product.matmul(&numbers(rank, n_in).to_dtype(DType::F64).unwrap()).unwrap() * scale).unwrap()
}

#[track_caller]
fn assert_agree(adapter: &Adapter, expected: &Path, base: &str) {
    let text = "the cat was good";
    let got = run(&*open(adapter.write(), DType::F64), text);
    let want = run(&*open(expected, DType::F64), text);
    let off = distance(&got, &want);
    // Only the order of a few sums differs.
    assert!(off < 1e-14, "{off:e}");
    let plain = run(&*open(&testdata("models").join(base), DType::F64), text);
    assert!(distance(&got, &plain) > 1e-3, "nothing changed");
}

#[test]
fn stored_the_other_way_around() {
    let module = "transformer.h.1.attn.c_attn";
    let adapter = Adapter::of("gpt2").set("fan_in_fan_out", true).change(module, 2, 16, 48);
    let expected = merged("gpt2", |tensors| {
        let weight = tensors.get_mut(&format!("{module}.weight")).unwrap();
        *weight = (&*weight + product(2, 16, 48, 3.0).t().unwrap()).unwrap();
    });
    assert_agree(&adapter, expected.path(), "gpt2");
}

#[test]
fn heads_are_replaced_and_patterns_give_ranks() {
    let module = "bert.encoder.layer.0.attention.self.query";
    let adapter = Adapter::of("bert-cls")
        .set("rank_pattern", json!({"layer.0.attention.self.query": 4}))
        .set("alpha_pattern", json!({"query": 2}))
        .set("task_type", "SEQ_CLS")
        .change(module, 4, 16, 16)
        .tensor("classifier.weight", numbers(3, 16));
    let expected = merged("bert-cls", |tensors| {
        let weight = tensors.get_mut(&format!("{module}.weight")).unwrap();
        *weight = (&*weight + product(4, 16, 16, 0.5)).unwrap();
        let head = numbers(3, 16).to_dtype(DType::F64).unwrap();
        tensors.insert("classifier.weight".to_owned(), head);
    });
    assert_agree(&adapter, expected.path(), "bert-cls");
}

#[test]
fn embeddings_may_be_adapted() {
    let module = "model.embed_tokens";
    let adapter = Adapter::of("llama")
        .tensor(&format!("{module}.lora_embedding_A"), numbers(2, 274))
        .tensor(&format!("{module}.lora_embedding_B"), numbers(16, 2));
    let expected = merged("llama", |tensors| {
        let weight = tensors.get_mut(&format!("{module}.weight")).unwrap();
        *weight = (&*weight + product(2, 274, 16, 3.0).t().unwrap()).unwrap();
    });
    assert_agree(&adapter, expected.path(), "llama");
}

#[test]
fn a_quantised_base_may_be_adapted() {
    let path = testdata("gguf/mixed.gguf");
    let module = "model.layers.0.self_attn.q_proj";
    let adapter = Adapter::of("bert-cls")
        .set("base_model_name_or_path", path.to_str().unwrap())
        .change(module, 2, 32, 32);
    let got = run(&*open(adapter.write(), DType::F32), "the cat");
    assert!(distance(&got, &run(&*open(&path, DType::F32), "the cat")) > 1e-3);
}

#[test]
fn a_new_head_brings_its_labels() {
    let adapter = Adapter::of("llama")
        .set("task_type", "SEQ_CLS")
        .change("model.layers.0.self_attn.q_proj", 2, 16, 32)
        .tensor("score.weight", numbers(5, 16));
    let model = open(adapter.write(), DType::F32);
    assert_eq!(model.info().labels.names.len(), 5);
    assert_eq!(run(&*model, "the cat").len(), 5);
}

#[test]
fn what_does_not_fit_is_named() {
    let module = "bert.encoder.layer.0.attention.self.query";
    let good = || Adapter::of("bert-cls").change(module, 2, 16, 16);
    assert!(load(good().write(), &LoadOptions::default()).is_ok());
    good().set("peft_type", "IA3").fails("peft_type: expected \"LORA\", got \"IA3\"");
    good().set("use_dora", true).fails("use_dora: expected false");
    good().set("bias", "all").fails("bias: expected \"none\"");
    good().set("init_lora_weights", "pissa").fails("init_lora_weights");
    good().set("layer_replication", json!([[0, 1]])).fails("layer_replication");
    good().set("alpha_pattern", json!({"^a.*": 2})).fails("alpha_pattern: expected names");
    good().set("r", 0).fails("r: expected a positive whole number");
    good().set("r", 3).fails("expected rank 3");
    good().set("task_type", "QUESTION_ANS").fails("missing tensor");
    good().set("base_model_name_or_path", "").fails("base_model_name_or_path");
    let missing = good().set("base_model_name_or_path", "../nowhere");
    assert!(matches!(missing.error(), Error::NoBase { .. }));
    let by_id = good().set("base_model_name_or_path", "glossator-tests/is-not-there");
    assert!(matches!(by_id.error(), Error::NotCached { .. }));
    good().change("bert.encoder.layer.7.x", 2, 16, 16).fails("has no tensor");
    good()
        .change("bert.encoder.layer.1.attention.self.key", 2, 8, 16)
        .fails("the change has shape");
    let half = Adapter::of("bert-cls").tensor(&format!("{module}.lora_A.weight"), numbers(2, 16));
    half.fails("expected both lora_A and lora_B");
    good().tensor("x.lora_magnitude_vector", numbers(1, 1)).fails("not known");
    Adapter::of("bert-cls").fails("no tensors");
    let nested = good();
    let again = Adapter::of("bert-cls")
        .set("base_model_name_or_path", nested.write().to_str().unwrap())
        .change(module, 2, 16, 16);
    again.fails("a model, not an adapter");
    let bare = good();
    fs::remove_file(bare.write().join("adapter_model.safetensors")).unwrap();
    let error = load(bare.dir.path(), &LoadOptions::default()).err().unwrap();
    assert!(error.to_string().contains("adapter_model.safetensors"), "{error}");
}

#[test]
fn encodings_are_those_of_the_base() {
    let adapter = Adapter::of("bert-cls").change("bert.pooler.dense", 2, 16, 16);
    let ids = |model: &dyn Model| -> Vec<u32> {
        let encoding: Encoding = model.encode("the cat", false).unwrap();
        encoding.ids()
    };
    let base = open(&testdata("models/bert-cls"), DType::F32);
    assert_eq!(ids(&*open(adapter.write(), DType::F32)), ids(&*base));
}
