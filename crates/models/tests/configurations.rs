//! Random configurations of every family: a model or an error, never a panic; and where a model
//! comes out, numbers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use std::path::{Path, PathBuf};

use common::{testdata, values};
use glossator_models::{
    Batch, Encoding, Field, LoadOptions, Model, Token, Trace, Var, load, registry::identify,
};
use glossator_ops::gradient;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

fn models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(testdata("models")).unwrap();
    let mut models: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    models.retain(|dir| dir.join("config.json").exists() && dir.join("model.safetensors").exists());
    models.sort();
    models
}

/// A directory with the files of another, and another configuration.
fn changed(model: &Path, config: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
    }
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

/// Numbers that fit sometimes, and some that never do.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0_u64..40).prop_map(Value::from),
        2 => prop::sample::select(vec![64_u64, 128, 1 << 20, 1 << 31, u64::MAX]).prop_map(Value::from),
        2 => (-2.0_f64..20.0).prop_map(|x| json!(x)),
        1 => Just(Value::Null),
        1 => Just(json!("x")),
    ]
}

/// Numbers, and whatever else JSON has.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => number(),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop::sample::select(vec![
            json!([]), json!([3]), json!([1_u64 << 40]), json!({}), json!([{"kind": "lstm"}]),
            json!([{"kind": "highway"}]), json!({"kind": "attention"}), json!({"size": 6}),
        ]),
        2 => prop::sample::select(vec![
            "rnn", "gru", "lstm", "cnn", "gated-cnn", "transformer", "highway", "linear",
            "layer-norm", "max", "mean", "last", "attention", "additive", "dot", "scaled",
            "general", "learned", "sinusoidal", "esim", "decomposable-attention", "bidaf",
            "CausalLm", "TextClassifier", "PairClassifier", "TokenClassifier", "Seq2SeqLm",
            "QuestionAnswering", "none", "tanh", "我",
        ]).prop_map(Value::from),
    ]
}

fn is_nested(dir: &Path) -> bool {
    dir.file_name().unwrap().to_str().unwrap().starts_with("classic-")
}

/// Where everything stands in a configuration.
fn pointers(value: &Value, here: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, format!("{here}/{key}"), all));
        }
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(i, value)| pointers(value, format!("{here}/{i}"), all));
        }
        _ => {}
    }
    if !here.is_empty() {
        all.push(here);
    }
}

fn encoding(ids: &[u32], second: Option<usize>) -> Encoding {
    let token = |&id: &u32| Token {
        id,
        text: String::new(),
        start: 0,
        end: 0,
        word: None,
        special: false,
        field: 0,
        segment: 0,
    };
    let field = Field { name: "text".to_owned(), text: String::new(), words: Vec::new() };
    let tokens = ids.iter().map(token).collect();
    Encoding { tokens, fields: vec![field], truncated: 0, second }
}

/// Runs a model. `fits`: the configuration makes sense, so that outputs have to be numbers.
fn runs(
    model: &dyn Model,
    seed: u64,
    lengths: [usize; 2],
    fits: bool,
) -> Result<(), TestCaseError> {
    let vocabulary = model.info().vocab_size as u64;
    let two = model.info().decoder.is_some() || model.info().reads_pairs;
    let rows = lengths.map(|n| {
        let n = n.min(model.info().max_tokens).max(1);
        let ids: Vec<u32> =
            (0..n as u64).map(|i| ((seed ^ (i * 7919)) % vocabulary) as u32).collect();
        encoding(&ids, (two && n > 1).then_some(n / 2))
    });
    if two && rows.iter().any(|row| row.second.is_none()) {
        return Ok(());
    }
    let batch = Batch::new(&[&rows[0], &rows[1]], model.pad_id());
    let words = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
    let output = match model.forward(&words, &batch, &mut Trace::new()) {
        Ok(output) => output,
        Err(error) => {
            prop_assert!(!fits, "{}: {error}", model.info().id);
            return Ok(());
        }
    };
    // A window of nothing or an epsilon of nothing may give no numbers; that is for whoever reads
    // them to say, and they do.
    let finite = values(&output.logits).iter().all(|x| x.is_finite());
    prop_assert!(finite || !fits, "{} gives no numbers", model.info().id);
    if finite {
        let score = output.logits.sum_all().unwrap();
        let slopes = gradient(&score, &words);
        prop_assert!(slopes.is_ok());
        prop_assert!(!fits || values(&slopes.unwrap()).iter().all(|x| x.is_finite()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20, ..ProptestConfig::default() })]
    #[test]
    fn no_configuration_panics(
        which: prop::sample::Index, keys in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        value in number(), seed: u64, lengths in [1_usize..34, 1_usize..34],
    ) {
        let models = models();
        let model = &models[which.index(models.len())];
        let text = std::fs::read_to_string(model.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let numeric: Vec<String> = config
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_number() || value.is_null() || value.is_boolean())
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            config[&numeric[key.index(numeric.len())]] = value.clone();
        }
        let dir = changed(model, &config);
        let _ = identify(dir.path());
        if let Ok(model) = load(dir.path(), &LoadOptions::default()) {
            runs(&*model, seed, lengths, false)?;
        }
    }

    /// Configurations of models over words are nested: anything may stand in any place of them.
    #[test]
    fn no_nested_configuration_panics(
        which: prop::sample::Index, places in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        value in anything(), seed: u64, lengths in [1_usize..20, 1_usize..20],
    ) {
        let models: Vec<PathBuf> = models().into_iter().filter(|dir| is_nested(dir)).collect();
        let model = &models[which.index(models.len())];
        let text = std::fs::read_to_string(model.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        for place in places {
            let mut leaves = Vec::new();
            pointers(&config, String::new(), &mut leaves);
            let pointer = &leaves[place.index(leaves.len())];
            *config.pointer_mut(pointer).unwrap() = value.clone();
        }
        let dir = changed(model, &config);
        if let Ok(model) = load(dir.path(), &LoadOptions::default()) {
            runs(&*model, seed, lengths, false)?;
        }
    }

    /// Configurations that fit the weights: other heads, fewer layers, other windows.
    #[test]
    fn configurations_that_fit_give_numbers(
        which: prop::sample::Index, heads in prop::sample::select(vec![1_usize, 2, 4, 8]),
        window in 1_usize..12, seed: u64, lengths in [1_usize..33, 1_usize..33],
    ) {
        let models = models();
        let model = &models[which.index(models.len())];
        let text = std::fs::read_to_string(model.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let plain = config.get("num_key_value_heads").is_none() && config.get("head_dim").is_none();
        for key in ["num_attention_heads", "n_head", "n_heads"] {
            if plain && config.get(key).is_some() {
                config[key] = heads.into();
            }
        }
        for key in ["sliding_window", "local_attention"] {
            if config.get(key).is_some_and(Value::is_number) {
                config[key] = window.into();
            }
        }
        let dir = changed(model, &config);
        match load(dir.path(), &LoadOptions::default()) {
            Ok(loaded) => runs(&*loaded, seed, lengths, true)?,
            // Tables of biases are made for one number of heads; rotations turn pairs.
            Err(error) => {
                let text = error.to_string();
                let named = text.contains("relative_attention_bias") || text.contains("multiple");
                prop_assert!(named, "{}: {error}", model.display());
            }
        }
    }
}

/// Sizes of what is made, not read, are checked before it is made.
#[test]
fn sizes_that_no_tensor_backs_are_errors() {
    for (model, key, expected) in [
        ("marian", "max_position_embeddings", "at most a million"),
        ("albert-masked-lm", "num_hidden_layers", "at most a thousand"),
        ("llama", "head_dim", "elements are not supported"),
    ] {
        let model = testdata("models").join(model);
        let text = std::fs::read_to_string(model.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config[key] = json!(1_u64 << 31);
        let dir = changed(&model, &config);
        let Err(error) = load(dir.path(), &LoadOptions::default()) else { panic!("{key}") };
        assert!(error.to_string().contains(expected), "{error}");
    }
}
