//! GGUF files: what models out of them compute is what transformers computes from the same numbers,
//! and damaged files give errors that say what is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the accuracy that is reached")]

mod common;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "common/compare.rs"]
mod compare;

use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{open, testdata, values};
use compare::distance;
use glossator_models::{
    Batch, DType, Encoding, Error, LoadOptions, Model, Tensor, Trace, Var, load,
};
use glossator_ops::gradient;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
    logits: Vec<f64>,
}

#[derive(Deserialize)]
struct Small {
    file: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Golden {
    models: Vec<Small>,
}

fn golden<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(testdata("golden").join(name)).unwrap()).unwrap()
}

/// The logits after the last token.
fn last_logits(model: &dyn Model, encoding: &Encoding) -> Vec<f64> {
    let batch = Batch::repeat(encoding, 1).reading(&[encoding.tokens.len() - 1]);
    let embeddings = model.embed(&batch).unwrap();
    values(&model.forward(&embeddings, &batch, &mut Trace::default()).unwrap().logits)
}

#[test]
fn small_models_of_every_architecture_agree_with_transformers() {
    let golden: Golden = golden("gguf.json");
    assert_eq!(golden.models.len(), 7);
    for small in &golden.models {
        let path = testdata(small.file.strip_prefix("testdata/").unwrap());
        // Relative to the largest logit. Reached: see the output; a wrong formula is off by 1e-7.
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
            let model = open(&path, dtype);
            for case in &small.cases {
                let encoding = model.encode(&case.text, false).unwrap();
                let tokens: Vec<&str> = encoding.tokens.iter().map(|t| t.text.as_str()).collect();
                assert_eq!(tokens, case.tokens, "{}", small.file);
                assert_eq!(encoding.ids(), case.ids, "{}", small.file);
                let got = last_logits(&*model, &encoding);
                let off = distance(&got, &case.logits);
                println!("{} {dtype:?}: {off:.1e}", small.file);
                assert!(off < tolerance, "{} {dtype:?}: {off:e}", small.file);
            }
        }
    }
}

// ---- SmolLM2 ------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Computed {
    top: Top,
    sample: Vec<f64>,
    largest: f64,
    gradient_norms: Vec<f64>,
    generated: Vec<u32>,
}

#[derive(Deserialize)]
struct Top {
    ids: Vec<usize>,
    logits: Vec<f64>,
}

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
    f32: Computed,
    f64: Computed,
}

#[derive(Deserialize)]
struct SmolLm2 {
    sha256: String,
    columns: Vec<usize>,
    cases: Vec<Prompt>,
}

fn largest_difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn check_smollm2(path: &Path, golden: &SmolLm2, dtype: DType, tolerance: f64) {
    let start = Instant::now();
    let model = open(path, dtype);
    println!("SmolLM2 {dtype:?}: loaded in {:.2?}", start.elapsed());
    assert_eq!(model.sha256(), golden.sha256, "another file than the golden's");
    for case in &golden.cases {
        let want = if dtype == DType::F64 { &case.f64 } else { &case.f32 };
        let encoding = model.encode(&case.prompt, false).unwrap();
        let tokens: Vec<&str> = encoding.tokens.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(tokens, case.tokens);
        assert_eq!(encoding.ids(), case.ids);
        let last = encoding.tokens.len() - 1;
        let batch = Batch::repeat(&encoding, 1).reading(&[last]);
        let embeddings = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
        let output = model.forward(embeddings.as_tensor(), &batch, &mut Trace::default()).unwrap();
        let logits = output.logits.flatten_all().unwrap();
        let got = values(&logits);
        let mut order: Vec<usize> = (0..got.len()).collect();
        order.sort_by(|&a, &b| got[b].total_cmp(&got[a]));
        assert_eq!(order[..want.top.ids.len()], want.top.ids);
        let top: Vec<f64> = want.top.ids.iter().map(|&id| got[id]).collect();
        let sample: Vec<f64> = golden.columns.iter().map(|&id| got[id]).collect();
        let off = largest_difference(&top, &want.top.logits)
            .max(largest_difference(&sample, &want.sample))
            / want.largest;
        let predicted = logits.get(want.top.ids[0]).unwrap();
        let gradient = gradient(&predicted, &embeddings).unwrap();
        let norms: Tensor = gradient.sqr().unwrap().sum(2).unwrap().sqrt().unwrap();
        let off_norms = distance(&values(&norms), &want.gradient_norms);
        println!("SmolLM2 {dtype:?} {:?}: logits {off:.1e}, gradient {off_norms:.1e}", case.prompt);
        assert!(off < tolerance && off_norms < tolerance, "{off:e} {off_norms:e}");
        let generated = model.generate(&encoding, want.generated.len(), &[]).unwrap();
        assert_eq!(generated.unwrap(), want.generated);
    }
}

/// The model is 98 MB and not in this repository: `testdata/README.md` says how to get it.
#[test]
fn smollm2_agrees_with_transformers() {
    let Some(path) = std::env::var_os("GLOSSATOR_SMOLLM2").map(PathBuf::from) else {
        println!("skipped: GLOSSATOR_SMOLLM2 does not name the file; see testdata/README.md");
        return;
    };
    let golden: SmolLm2 = golden("smollm2.json");
    check_smollm2(&path, &golden, DType::F64, 1e-8);
    // 30 layers in single precision, in another order of sums.
    check_smollm2(&path, &golden, DType::F32, 1e-4);
}

// ---- where a file is ----------------------------------------------------------------------------

fn small(name: &str) -> PathBuf {
    testdata("gguf").join(format!("{name}.gguf"))
}

fn error_of(path: &Path) -> Error {
    match load(path, &LoadOptions::default()) {
        Ok(_) => panic!("{} loads", path.display()),
        Err(error) => error,
    }
}

#[test]
fn a_directory_may_hold_one_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(small("qwen3"), dir.path().join("a.gguf")).unwrap();
    assert_eq!(open(dir.path(), DType::F32).info().family, "qwen3");
    assert_eq!(open(dir.path(), DType::F32).info().id, "a");
    std::fs::copy(small("qwen2"), dir.path().join("b.gguf")).unwrap();
    let error = error_of(dir.path());
    assert!(matches!(error, Error::SeveralModels { count: 2, .. }), "{error}");
    assert!(error.hint().unwrap().ends_with("a.gguf"));
}

#[test]
fn a_file_is_known_by_its_content_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    std::fs::copy(small("llama"), &path).unwrap();
    assert_eq!(open(&path, DType::F32).info().vocab_size, 274);
    std::fs::write(&path, "not a model").unwrap();
    assert!(matches!(error_of(&path), Error::NotADirectory { .. }));
}

// ---- damage -------------------------------------------------------------------------------------

/// A file written by hand.
#[derive(Clone)]
struct File {
    version: u32,
    keys: Vec<(Vec<u8>, u32, Vec<u8>)>,
    tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
    data: usize,
}

fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

fn list(kind: u32, count: u64, values: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
}

fn texts(values: &[&str]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(text).collect();
    list(8, values.len() as u64, &bytes)
}

impl File {
    /// A model of one layer with one head, whose weights are all zero.
    fn good() -> Self {
        let mut file = Self { version: 3, keys: Vec::new(), tensors: Vec::new(), data: 0 };
        for (key, n) in [
            ("llama.embedding_length", 4_u32),
            ("llama.block_count", 1),
            ("llama.context_length", 16),
            ("llama.feed_forward_length", 4),
            ("llama.attention.head_count", 1),
            ("tokenizer.ggml.bos_token_id", 0),
        ] {
            file = file.with(key, 4, n.to_le_bytes());
        }
        file = file
            .with("general.architecture", 8, text("llama"))
            .with("llama.attention.layer_norm_rms_epsilon", 6, 1e-5_f32.to_le_bytes())
            .with("tokenizer.ggml.model", 8, text("gpt2"))
            .with("tokenizer.ggml.pre", 8, text("smollm"))
            .with("tokenizer.ggml.tokens", 9, texts(&["<s>", "a", "b", "ab"]))
            .with("tokenizer.ggml.merges", 9, texts(&["a b"]));
        let wide = [
            "token_embd.weight",
            "blk.0.attn_q.weight",
            "blk.0.attn_k.weight",
            "blk.0.attn_v.weight",
            "blk.0.attn_output.weight",
            "blk.0.ffn_gate.weight",
            "blk.0.ffn_up.weight",
            "blk.0.ffn_down.weight",
        ];
        for name in wide {
            file = file.tensor(name, &[4, 4], 0, 64);
        }
        for name in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"] {
            file = file.tensor(name, &[4], 0, 32);
        }
        file
    }

    fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(known, ..)| known != key.as_bytes());
        self.tensors.retain(|(known, ..)| *known != key);
        self
    }

    fn with(self, key: &str, kind: u32, value: impl AsRef<[u8]>) -> Self {
        let mut file = self.without(key);
        file.keys.push((key.as_bytes().to_vec(), kind, value.as_ref().to_vec()));
        file
    }

    fn tensor(self, name: &'static str, shape: &[u64], kind: u32, bytes: usize) -> Self {
        let offset = self.data as u64;
        let mut file = self.at(name, shape, kind, offset);
        file.data += bytes;
        file
    }

    fn at(self, name: &'static str, shape: &[u64], kind: u32, offset: u64) -> Self {
        let mut file = self.without(name);
        file.tensors.push((name, shape.to_vec(), kind, offset));
        file
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.keys {
            bytes.extend(text(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        for (name, shape, kind, offset) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|axis| bytes.extend(axis.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }

    fn error(&self) -> Error {
        error_of_bytes(&self.bytes())
    }

    #[track_caller]
    fn fails(&self, what: &str) {
        let error = self.error();
        let message = error.to_string();
        assert!(message.contains(what), "{message}");
        assert!(error.is_input_error() && error.hint().is_some(), "{message}");
        assert!(!message.contains('\n') && message.len() < 2000, "{message}");
    }
}

fn load_bytes(bytes: &[u8]) -> Result<Box<dyn Model>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, bytes).unwrap();
    load(&path, &LoadOptions::default())
}

fn error_of_bytes(bytes: &[u8]) -> Error {
    match load_bytes(bytes) {
        Ok(_) => panic!("it loads"),
        Err(error) => error,
    }
}

#[test]
fn a_file_by_hand_is_read_in_both_versions() {
    for version in [2, 3] {
        let model = load_bytes(&File { version, ..File::good() }.bytes()).unwrap();
        let ids = model.encode("abba", false).unwrap().ids();
        assert_eq!(ids, [3, 2, 1]);
        assert_eq!(model.info().parameters, 8 * 16 + 3 * 4);
    }
}

#[test]
fn headers_are_checked() {
    let good = File::good();
    for (version, what) in [
        (1, "expected version 2 or 3 of GGUF, got 1"),
        (4, "got 4"),
        (3_u32.swap_bytes(), "big endian"),
    ] {
        File { version, ..good.clone() }.fails(what);
    }
    let mut bytes = good.bytes();
    bytes[0] = b'X';
    assert!(error_of_bytes(&bytes).to_string().contains("not a GGUF file"));
    for (at, what) in [(8, "tensors; expected at most"), (16, "keys; expected at most")] {
        let mut bytes = good.bytes();
        bytes[at..at + 8].fill(0xff);
        assert!(error_of_bytes(&bytes).to_string().contains(what));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = File::good().bytes();
    // The last tensor has 16 bytes, padded to 32.
    for length in 1..bytes.len() - 16 {
        let error = error_of_bytes(&bytes[..length]);
        let known = matches!(error, Error::BadWeights { .. } | Error::BadTensor { .. });
        assert!(known && error.to_string().contains("truncated"), "{length}: {error}");
    }
}

#[test]
fn values_are_checked() {
    let good = File::good();
    good.clone().with("x", 99, []).fails("x: a value of kind 99 is not known");
    good.clone().with("x", 7, [2]).fails("expected 0 or 1 for a flag, got 2");
    let endless = u64::MAX.to_le_bytes();
    good.clone().with("x", 8, endless).fails("truncated");
    good.clone().with("x", 9, list(8, u64::MAX, &[])).fails("a list of 18446744073709551615");
    good.clone().with("x", 9, list(4, u64::MAX / 2, &[])).fails("truncated");
    good.clone().with("x", 9, list(9, 1, &list(4, 0, &[]))).fails("a list of values of kind 9");
    let mut twice = good.clone();
    twice.keys.extend(good.keys.first().cloned());
    twice.fails("the key stands twice");
    let mut odd = good.clone();
    odd.keys.push((vec![0xff, 0xfe], 7, vec![0]));
    odd.fails("expected UTF-8");
    good.clone().with("general.alignment", 4, 48_u32.to_le_bytes()).fails("a power of two");
    good.clone().with("general.alignment", 4, 0_u32.to_le_bytes()).fails("a power of two");
    good.clone().with("split.count", 2, 2_u16.to_le_bytes()).fails("a model in one file");
}

#[test]
fn settings_are_checked() {
    let good = File::good();
    let with = |key: &str, n: u32| good.clone().with(key, 4, n.to_le_bytes());
    good.clone().without("general.architecture").fails("general.architecture: expected");
    good.clone().with("general.architecture", 8, text("mamba")).fails("llama or qwen2");
    good.clone().with("general.architecture", 8, text([0xff])).fails("text in UTF-8");
    for key in ["embedding_length", "block_count", "context_length", "attention.head_count"] {
        good.clone().without(&format!("llama.{key}")).fails("got nothing");
        with(&format!("llama.{key}"), 0).fails("a positive whole number");
    }
    with("llama.embedding_length", 1 << 30).fails("expected 1073741824 columns");
    with("llama.attention.key_length", 1 << 30).fails("what fits the rows of");
    with("llama.block_count", 1 << 30).fails("missing tensor");
    with("llama.attention.head_count", 3).fails("what fits the rows of");
    with("llama.attention.head_count_kv", 3).fails("3 heads");
    with("llama.expert_count", 8).fails("without experts");
    with("llama.rope.dimension_count", 2).fails("the width of a head, 4");
    with("llama.attention.value_length", 8).fails("the width of a head, 4");
    good.clone().with("llama.rope.scaling.type", 8, text("longrope")).fails("none, linear or yarn");
    let nan = f32::NAN.to_le_bytes();
    good.clone().with("llama.rope.freq_base", 6, nan).fails("a finite number");
}

#[test]
fn tensors_are_checked() {
    let good = File::good();
    let name = "blk.0.attn_q.weight";
    good.clone().without(name).fails("missing tensor \"blk.0.attn_q.weight\"");
    good.clone()
        .without("blk.0.attn_k.weight")
        .fails("missing tensor \"model.layers.0.self_attn.k_proj.weight\"");
    good.clone().without("token_embd.weight").fails("missing tensor \"token_embd.weight\"");
    good.clone().at(name, &[4, 4], 23, 64).fails("is quantised as IQ4_XS");
    good.clone().at(name, &[4, 4], 77, 64).fails("is quantised as number 77");
    good.clone().at(name, &[4, 4], 26, 64).fails("got I32");
    good.clone().at(name, &[4, 4], 2, 64).fails("whole blocks of Q4_0");
    good.clone().at(name, &[32, 4], 2, 0).fails("overlaps");
    good.clone().at(name, &[4, 4], 0, 3).fails("no multiple of 32");
    good.clone().at(name, &[4, 4], 0, 0).fails("overlaps");
    good.clone().at(name, &[4, 4], 0, 1 << 40).fails("truncated");
    good.clone().at(name, &[4, 4], 0, u64::MAX - 31).fails("truncated");
    good.clone().at(name, &[u64::MAX, 4], 0, 0).fails("too large");
    good.clone().at(name, &[1 << 40, 1 << 40], 0, 0).fails("too large");
    good.clone().at(name, &[0, 4], 0, 64).fails("an axis is empty");
    good.clone().at(name, &[1; 5], 0, 64).fails("5 axes; expected at most 4");
    good.clone().at(name, &[2, 8], 0, 64).fails("expected 4 columns");
    let keys = "blk.0.attn_k.weight";
    good.clone().at(keys, &[2, 8], 0, 128).fails("expected shape [4, 4]");
    good.clone().at(keys, &[16, 1], 0, 128).fails("an even number of rows");
    good.clone().tensor("rope_freqs.weight", &[3], 0, 32).fails("every two elements of a head");
    let mut twice = good.clone();
    twice.tensors.extend(good.tensors.first().cloned());
    twice.fails("it stands twice");
}

#[test]
fn tokenizers_are_checked() {
    let good = File::good();
    let merges = "tokenizer.ggml.merges";
    good.clone().with("tokenizer.ggml.pre", 8, text("odd")).fails("gpt-2 or default or smollm");
    good.clone().without("tokenizer.ggml.pre").fails("got nothing");
    good.clone().with("tokenizer.ggml.model", 8, text("rwkv")).fails("expected gpt2 or llama");
    good.clone().with("tokenizer.ggml.model", 8, text("llama")).fails("a number for each token");
    good.clone().without("tokenizer.ggml.tokens").fails("a list of one to");
    let texts_of =
        |texts: &[&str]| good.clone().with("tokenizer.ggml.tokens", 9, self::texts(texts));
    texts_of(&[]).fails("a list of one to");
    texts_of(&["a", "b", "a", "ab"]).fails("token \"a\" stands twice: 0 and 2");
    texts_of(&["a", "b", "ab", "c", "d"]).fails("ids from 0 to 4");
    texts_of(&["a", "b"]).fails("expected two tokens that make a third, got \"a b\"");
    let bad_text = list(8, 1, &text([0xc3, 0x28]));
    good.clone().with("tokenizer.ggml.tokens", 9, bad_text).fails("UTF-8");
    good.clone().without(merges).fails("a list of texts");
    good.clone().with(merges, 9, texts(&["ab"])).fails("expected a pair");
    good.clone().with(merges, 9, texts(&[""])).fails("expected a pair");
    let kinds = |kinds: &[u8]| {
        let count = kinds.len() as u64;
        good.clone().with("tokenizer.ggml.token_type", 9, list(0, count, kinds))
    };
    kinds(&[1, 1, 1]).fails("a number from 1 to 6 for each token");
    kinds(&[1, 1, 1, 9]).fails("a number from 1 to 6 for each token");
    let bos = "tokenizer.ggml.bos_token_id";
    good.clone().with(bos, 4, 9_u32.to_le_bytes()).fails("the id of one of 4 tokens");
    let adds = good.clone().with("tokenizer.ggml.add_bos_token", 7, [1]);
    assert_eq!(load_bytes(&adds.bytes()).unwrap().encode("a", false).unwrap().ids(), [0, 1]);
    adds.without(bos).fails("the id of the token that is added");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever a few bytes become: an error, or a model that splits a text.
    #[test]
    fn mutations_do_not_panic(
        which in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        early in any::<bool>(),
    ) {
        let mut bytes = match which {
            0 => File::good().bytes(),
            1 => std::fs::read(small("mixed")).unwrap(),
            2 => std::fs::read(small("gemma3")).unwrap(),
            _ => std::fs::read(small("mistral")).unwrap(),
        };
        let length = if early { bytes.len().min(1500) } else { bytes.len() };
        for (at, value) in edits {
            bytes[at.index(length)] = value;
        }
        match load_bytes(&bytes) {
            Ok(model) => {
                let _ = model.encode("a film\nwas good", true);
            }
            Err(error) => {
                prop_assert!(!matches!(error, Error::Panic { .. }), "{}", error);
                prop_assert!(error.to_string().len() < 4000);
            }
        }
    }
}
