//! Damaged, mismatched and malicious model directories, and hostile texts: each gives an error that
//! says what is wrong, or works. None panics, hangs or takes memory that it does not need.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{open, testdata, values};
use glossator_models::error::StandIn;
use glossator_models::{Batch, DType, Device, Error, LoadOptions, Model, Tensor, Trace, Var, load};
use serde_json::{Map, Value, json};

type Tensors = HashMap<String, Tensor>;

/// A copy of a good model, to damage.
struct Directory(tempfile::TempDir);

impl Directory {
    fn copy(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(testdata("models").join(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        Self(dir)
    }

    fn new() -> Self {
        Self::copy("bert-cls")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn remove(self, name: &str) -> Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    fn json(self, name: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Self {
        let mut json: Value = serde_json::from_slice(&self.read(name)).unwrap();
        change(json.as_object_mut().unwrap());
        self.write(name, json.to_string())
    }

    /// Sets a value of `config.json`.
    fn config(self, key: &str, value: Value) -> Self {
        self.json("config.json", |config| {
            config.insert(key.to_owned(), value);
        })
    }

    fn tensors(self, change: impl FnOnce(&mut Tensors)) -> Self {
        let path = self.path("model.safetensors");
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        self
    }

    fn model(&self) -> Box<dyn Model> {
        open(self.0.path(), DType::F32)
    }

    /// Loads what must not load.
    fn failure(&self) -> Failure {
        let start = Instant::now();
        let Err(error) = load(self.0.path(), &LoadOptions::default()) else {
            panic!("the model loaded");
        };
        // A tenth of a second would do; the rest is for a busy machine.
        assert!(start.elapsed() < Duration::from_secs(10), "{error} after {:?}", start.elapsed());
        assert!(error.is_input_error(), "{error}");
        Failure { message: self.shorten(&error.to_string()), hint: error.hint(), error }
    }

    /// A message without the name of the temporary directory.
    fn shorten(&self, message: &str) -> String {
        message.replace(&self.0.path().display().to_string(), "DIR")
    }
}

struct Failure {
    error: Error,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Asserts the whole message and the start of the hint.
    #[track_caller]
    fn says(&self, message: &str, hint: &str) {
        assert_eq!(self.message, message);
        self.hints(hint);
    }

    #[track_caller]
    fn hints(&self, hint: &str) {
        assert!(!self.message.contains('\n'), "{}", self.message);
        let got = self.hint.as_deref().unwrap_or("none");
        assert!(got.starts_with(hint), "{:?} hints {got:?}, not {hint:?}", self.message);
    }
}

/// The model predicts something from a text.
fn predicts(model: &dyn Model, text: &str) -> Vec<f64> {
    let batch = Batch::repeat(&model.encode(text, true).unwrap(), 1);
    let x = model.embed(&batch).unwrap();
    values(&model.forward(&x, &batch, &mut Trace::new()).unwrap().logits)
}

#[test]
fn the_copy_is_a_good_model() {
    assert!(predicts(&*Directory::new().model(), "a good film").iter().all(|x| x.is_finite()));
    // And so it is when its parts are written as this file writes them.
    let same = Directory::new().json("config.json", |_| {}).json("tokenizer.json", |_| {});
    let same = same.tensors(|_| {}).model();
    assert_eq!(
        predicts(&*same, "a good film"),
        predicts(&*Directory::new().model(), "a good film")
    );
}

// The directory.

#[test]
fn paths_that_are_no_model_directories() {
    let failure = |path: &Path| {
        let error = load(path, &LoadOptions::default()).err().unwrap();
        assert!(error.is_input_error());
        (error.to_string(), error.hint().unwrap())
    };
    let dir = Directory::new();
    let (message, hint) = failure(&dir.path("nowhere"));
    assert!(dir.shorten(&message).starts_with("DIR/nowhere: No such file"), "{message}");
    assert!(hint.starts_with("check the path; a model is a directory with config.json"));
    let (message, hint) = failure(&dir.path("config.json"));
    assert_eq!(dir.shorten(&message), "DIR/config.json: not a directory");
    assert_eq!(dir.shorten(&hint), "name the model's directory: DIR");

    let empty = tempfile::tempdir().unwrap();
    let (message, hint) = failure(empty.path());
    assert!(message.contains("config.json: No such file"), "{message}");
    assert!(hint.contains("config.json, weights and a tokenizer"));
}

// config.json.

#[test]
fn configurations_that_are_not() {
    let failure = Directory::new().remove("config.json").failure();
    assert!(failure.message.starts_with("DIR/config.json: No such file"), "{}", failure.message);
    failure.hints("check the path; a model is a directory with config.json");

    let whole = Directory::new().read("config.json");
    let half = &whole[..whole.len() / 2];
    for (content, message) in [
        (
            &b"{hidden_size: 16}"[..],
            "DIR/config.json: not JSON: key must be a string at line 1 column 2",
        ),
        (b"[]", "DIR/config.json: expected a JSON object, got an array"),
        (b"7", "DIR/config.json: expected a JSON object, got a number"),
        (b"\xff\xfe", "DIR/config.json: not JSON: expected value at line 1 column 1"),
        (half, "DIR/config.json: not JSON: EOF while parsing a value at line 19 column 28"),
    ] {
        let failure = Directory::new().write("config.json", content).failure();
        assert!(matches!(failure.error, Error::BadConfig { .. }));
        failure.says(message, "correct the file, or take it again from where the model came from");
    }
    let failure = Directory::new().write("config.json", "").failure();
    failure.says("DIR/config.json: the file is empty", "download the file again");

    // Not followed down by recursion.
    let failure = Directory::new().write("config.json", "[".repeat(1 << 20)).failure();
    assert!(failure.message.contains("recursion limit exceeded"), "{}", failure.message);
}

#[test]
fn a_huge_configuration_is_not_read_whole() {
    let dir = Directory::new();
    // A gigabyte of nothing, which takes no place on disk.
    fs::File::create(dir.path("config.json")).unwrap().set_len(1 << 30).unwrap();
    let failure = dir.failure();
    assert!(matches!(failure.error, Error::FileTooLarge { .. }));
    failure.says(
        "DIR/config.json: 1073741824 bytes; expected at most 67108864",
        "this is not the file that its name promises: download it again",
    );
}

#[test]
fn numbers_that_no_model_has() {
    let positive = "expected a positive whole number, got";
    for (key, value, found) in [
        ("hidden_size", json!(-16), "-16"),
        ("hidden_size", json!(0), "0"),
        ("hidden_size", json!(16.5), "16.5"),
        ("hidden_size", json!("16"), "\"16\""),
        ("hidden_size", json!(null), "null"),
        ("hidden_size", json!([16]), "[16]"),
        ("num_hidden_layers", json!(-1), "-1"),
        ("num_attention_heads", json!(0), "0"),
        ("intermediate_size", json!(1e300), "1e+300"),
        ("vocab_size", json!(u64::MAX), "18446744073709551615"),
        ("max_position_embeddings", json!(false), "false"),
        ("type_vocab_size", json!({}), "{}"),
    ] {
        let failure = Directory::new().config(key, value).failure();
        failure.says(&format!("DIR/config.json: {key}: {positive} {found}"), "correct the file");
    }
    let failure = Directory::new().json("config.json", |c| _ = c.remove("hidden_size")).failure();
    failure.says(&format!("DIR/config.json: hidden_size: {positive} nothing"), "correct the file");
    for eps in [json!(-1e-12), json!("1e-12"), json!({})] {
        let failure = Directory::new().config("layer_norm_eps", eps).failure();
        assert!(failure.message.contains("layer_norm_eps: expected a number of at least zero"));
    }

    // Numbers of a megabyte.
    let digits = "9".repeat(1 << 20);
    for number in [digits.clone(), format!("0.{digits}"), format!("1e{digits}")] {
        let text = format!("{{\"model_type\":\"bert\",\"hidden_size\":{number}}}");
        let failure = Directory::new().write("config.json", text).failure();
        assert!(failure.message.len() < 300, "{} bytes", failure.message.len());
        failure.hints("correct the file");
    }
    let failure = Directory::new().config("hidden_size", json!("x".repeat(1 << 20))).failure();
    assert!(failure.message.len() < 300 && failure.message.ends_with("..."));
}

/// Sizes are compared with the tensors before anything is made of that size.
#[test]
fn sizes_that_are_not_those_of_the_tensors() {
    let different = "the directory's files belong to different models";
    let table = "bert.embeddings.word_embeddings.weight";
    for (key, value, message) in [
        ("vocab_size", 184_i64, format!("tensor {table:?}: expected shape [184, 16] from config.json, got [183, 16]")),
        ("vocab_size", 182, format!("tensor {table:?}: expected shape [182, 16] from config.json, got [183, 16]")),
        ("vocab_size", 1 << 31, format!("tensor {table:?}: expected shape [2147483648, 16] from config.json, got [183, 16]")),
        ("hidden_size", 32, format!("tensor {table:?}: expected shape [183, 32] from config.json, got [183, 16]")),
        ("hidden_size", 1 << 30, format!("tensor {table:?}: expected shape [183, 1073741824] from config.json, got [183, 16]")),
        ("intermediate_size", 64, "tensor \"bert.encoder.layer.0.intermediate.dense.weight\": expected shape [64, 16] from config.json, got [32, 16]".to_owned()),
        ("max_position_embeddings", 512, "tensor \"bert.embeddings.position_embeddings.weight\": expected shape [512, 16] from config.json, got [40, 16]".to_owned()),
        ("type_vocab_size", 1, "tensor \"bert.embeddings.token_type_embeddings.weight\": expected shape [1, 16] from config.json, got [2, 16]".to_owned()),
    ] {
        let failure = Directory::new().config(key, json!(value)).failure();
        assert!(matches!(failure.error, Error::TensorShape { .. }));
        failure.says(&message, different);
    }
    let transposed = Directory::new().tensors(|tensors| {
        let name = "bert.encoder.layer.1.output.dense.weight";
        let weight = tensors[name].t().unwrap().contiguous().unwrap();
        tensors.insert(name.to_owned(), weight);
    });
    transposed.failure().says(
        "tensor \"bert.encoder.layer.1.output.dense.weight\": expected shape [16, 32] from \
         config.json, got [32, 16]",
        different,
    );
    let scalar = Directory::new().tensors(|tensors| {
        let name = "bert.pooler.dense.bias".to_owned();
        tensors.insert(name, Tensor::new(1_f32, &Device::Cpu).unwrap());
    });
    scalar.failure().says(
        "tensor \"bert.pooler.dense.bias\": expected shape [16] from config.json, got []",
        different,
    );
}

#[test]
fn heads_that_do_not_divide_the_width() {
    for heads in [3_u64, 17, 1 << 31] {
        let failure = Directory::new().config("num_attention_heads", json!(heads)).failure();
        failure.says(
            &format!(
                "DIR/config.json: hidden_size 16 is not a multiple of num_attention_heads {heads}"
            ),
            "correct the file",
        );
    }
    // Heads of one element each are fine.
    let model = Directory::new().config("num_attention_heads", json!(16)).model();
    assert!(predicts(&*model, "a good film").iter().all(|x| x.is_finite()));
}

#[test]
fn more_layers_than_there_are_tensors() {
    for layers in [3_u64, 1 << 31] {
        let failure = Directory::new().config("num_hidden_layers", json!(layers)).failure();
        assert!(matches!(failure.error, Error::MissingTensor { .. }));
        failure.says(
            "DIR/model.safetensors: missing tensor \
             \"bert.encoder.layer.2.attention.self.query.weight\"",
            "the weights are not those that config.json describes",
        );
    }
    let failure =
        Directory::new().config("num_hidden_layers", json!(u64::from(u32::MAX))).failure();
    assert!(failure.message.ends_with("expected a positive whole number, got 4294967295"));
}

#[test]
fn labels_that_are_not_those_of_the_classifier() {
    let failure = Directory::new().config("id2label", json!({"0": "bad", "1": "good"})).failure();
    failure.says(
        "DIR/config.json: id2label names 2 labels, but the tensor \"classifier.weight\" is for 3",
        "correct the file",
    );
    let number = |n| {
        Directory::new().config("num_labels", n).json("config.json", |c| _ = c.remove("id2label"))
    };
    assert_eq!(number(json!(3)).model().info().labels.names[2], "LABEL_2");
    number(json!(5)).failure().says(
        "DIR/config.json: num_labels is 5, but the tensor \"classifier.weight\" is for 3",
        "correct the file",
    );
    number(json!(null)).failure().says(
        "DIR/config.json: without id2label and num_labels there are 2 labels, but the tensor \
         \"classifier.weight\" is for 3",
        "correct the file",
    );
    for (n, fragment) in [
        (json!(1_u64 << 31), "num_labels: expected at most a million labels, got 2147483648"),
        (json!(-3), "num_labels: expected a positive whole number, got -3"),
    ] {
        let failure = number(n).failure();
        assert!(failure.message.ends_with(fragment), "{}", failure.message);
    }
    for names in [
        json!({}),
        json!({"0": "a", "1": "b", "3": "c"}),
        json!({"0": "a", "1": "b", "x": "c"}),
        json!({"0": "a", "00": "b", "1": "c"}),
        json!({"0": "a", "1": "b", "2": 3}),
        json!(["a", "b", "c"]),
        json!("a"),
    ] {
        let failure = Directory::new().config("id2label", names).failure();
        let expected = "DIR/config.json: id2label: expected names for the ids 0, 1, 2 and so on";
        assert!(failure.message.starts_with(expected), "{}", failure.message);
    }
    let failure = Directory::new().config("problem_type", json!("ranking")).failure();
    failure.says(
        "DIR/config.json: problem_type: expected single_label_classification, \
         multi_label_classification or regression, got \"ranking\"",
        "models with this setting are not supported",
    );
}

#[test]
fn families_and_tasks_that_are_not_supported() {
    let failure = Directory::new().config("model_type", json!("mamba")).failure();
    assert!(matches!(failure.error, Error::UnknownFamily { .. }));
    let known: Vec<_> = glossator_models::FAMILIES.iter().map(|family| family.id).collect();
    failure.says(
        "DIR/config.json: unknown model family \"mamba\"",
        &format!("supported families: {}", known.join(", ")),
    );

    let failure = Directory::new().write("config.json", "{}").failure();
    failure.says(
        "DIR/config.json: model_type: expected the name of a model family, got nothing",
        "correct the file",
    );

    let task = json!(["BertForMultipleChoice"]);
    let failure = Directory::new().config("architectures", task).failure();
    assert!(matches!(failure.error, Error::UnknownArchitecture { .. }));
    failure.says(
        "DIR/config.json: unknown architecture \"BertForMultipleChoice\"; expected \
         BertForSequenceClassification or BertForTokenClassification or \
         BertForQuestionAnswering or BertForMaskedLM or BertForPreTraining or BertModel",
        "use a model that was fine-tuned for one of the supported tasks",
    );
    // A head that the file does not have.
    let task = json!(["BertForQuestionAnswering"]);
    let failure = Directory::new().config("architectures", task).failure();
    assert!(failure.message.ends_with(": missing tensor \"qa_outputs.weight\""));

    let relative = json!("relative_key");
    let failure = Directory::new().config("position_embedding_type", relative).failure();
    failure.says(
        "DIR/config.json: position_embedding_type: expected \"absolute\", got \"relative_key\"",
        "models with this setting are not supported: use another model",
    );
    let failure = Directory::new().config("hidden_act", json!("swiglu")).failure();
    assert!(
        failure
            .message
            .contains("hidden_act: expected the name of a supported activation, got \"swiglu\"")
    );
    let failure = Directory::new().config("hidden_act", json!({"sparse": true})).failure();
    assert!(failure.message.ends_with("hidden_act: expected a string, got {\"sparse\":true}"));

    let long = "x".repeat(1 << 20);
    for (key, value) in [
        ("model_type", json!(long)),
        ("architectures", json!([long])),
        ("position_embedding_type", json!(long)),
        ("problem_type", json!(long)),
    ] {
        let failure = Directory::new().config(key, value).failure();
        assert!(failure.message.len() < 1000, "{key}: {} bytes", failure.message.len());
    }
}

// The weights.

#[test]
fn truncated_weights() {
    let whole = Directory::new().read("model.safetensors");
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for length in [0, 1, 7, 8, 9, header - 1, header, header + 1, whole.len() / 2, whole.len() - 1]
    {
        let dir = Directory::new().write("model.safetensors", &whole[..length]);
        let failure = dir.failure();
        assert!(
            matches!(
                failure.error,
                Error::EmptyFile { .. } | Error::BadWeights { .. } | Error::BadTensor { .. }
            ),
            "{}",
            failure.message
        );
        assert!(failure.message.starts_with("DIR/model.safetensors: "), "{}", failure.message);
        failure.hints(if length == 0 { "download the file again" } else { "the file is damaged" });
    }
    let binary = Directory::copy("bert-bin").read("pytorch_model.bin");
    for length in [0, 1, 4, 100, binary.len() / 2, binary.len() - 1] {
        let dir = Directory::copy("bert-bin").write("pytorch_model.bin", &binary[..length]);
        assert!(dir.failure().message.starts_with("DIR/pytorch_model.bin: "));
    }
}

#[test]
fn a_header_that_claims_an_exabyte() {
    let mut bytes = Directory::new().read("model.safetensors");
    bytes[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let failure = Directory::new().write("model.safetensors", bytes).failure();
    assert!(matches!(failure.error, Error::BadWeights { .. }));
    failure.says(
        "DIR/model.safetensors: not a safetensors file: its header would have 1152921504606846976 \
         bytes, more than the 100000000 allowed",
        "the file is damaged",
    );
}

#[test]
fn every_tensor_is_needed() {
    let mut names: Vec<String> = Vec::new();
    let good = Directory::new().tensors(|tensors| names = tensors.keys().cloned().collect());
    drop(good);
    for name in names {
        let failure = Directory::new().tensors(|tensors| _ = tensors.remove(&name)).failure();
        failure.says(
            &format!("DIR/model.safetensors: missing tensor {name:?}"),
            "the weights are not those that config.json describes",
        );
    }
}

#[test]
fn weights_that_are_not_there_or_in_another_format() {
    let failure = Directory::new().remove("model.safetensors").failure();
    failure.says(
        "DIR: no weights; looked for model.safetensors, model.safetensors.index.json, \
         pytorch_model.bin, pytorch_model.bin.index.json",
        "name a directory that a Hugging Face model was saved to",
    );
    let foreign = Directory::new().remove("model.safetensors").write("tf_model.h5", "x");
    foreign.failure().hints("tf_model.h5 is in a format that is not read");
    let failure = Directory::copy("bert-sharded").remove("model-00002-of-00003.safetensors");
    let failure = failure.failure();
    failure.says(
        "DIR/model.safetensors.index.json: missing shard \"model-00002-of-00003.safetensors\"",
        "download the file again",
    );
}

#[test]
fn weights_of_whole_numbers() {
    let integers = Directory::new().tensors(|tensors| {
        let zeros = Tensor::zeros(16, DType::I64, &Device::Cpu).unwrap();
        tensors.insert("bert.pooler.dense.bias".to_owned(), zeros);
    });
    let failure = integers.failure();
    assert!(matches!(failure.error, Error::TensorType { .. }));
    failure.says(
        "tensor \"bert.pooler.dense.bias\": expected F32, F64, F16 or BF16 numbers, got I64",
        "save the weights as float32, float16 or bfloat16",
    );
}

/// Such a model loads, because looking at each weight would take longer than a prediction; when the
/// output is not a number, the model can tell why.
#[test]
fn weights_that_are_not_numbers() {
    for bad in [f32::NAN, f32::INFINITY] {
        let name = "bert.encoder.layer.1.output.dense.weight";
        let dir = Directory::new().tensors(|tensors| {
            let mut elements: Vec<f32> = tensors[name].flatten_all().unwrap().to_vec1().unwrap();
            elements[77] = bad;
            let weight = Tensor::from_vec(elements, (16, 32), &Device::Cpu).unwrap();
            tensors.insert(name.to_owned(), weight);
        });
        for dtype in [DType::F32, DType::F64] {
            let model = open(dir.0.path(), dtype);
            assert_eq!(model.first_bad_weight().unwrap().as_deref(), Some(name));
            let batch = Batch::repeat(&model.encode("a good film", false).unwrap(), 1);
            let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
            let logits = model.forward(&x, &batch, &mut Trace::new()).unwrap().logits;
            assert!(values(&logits).iter().any(|x| !x.is_finite()), "{:?}", values(&logits));
            glossator_ops::gradient(&logits, &x).unwrap();
        }
    }
    assert_eq!(Directory::new().model().first_bad_weight().unwrap(), None);
}

// The tokenizer.

#[test]
fn tokenizers_that_are_not_there_or_damaged() {
    let failure = Directory::new().remove("tokenizer.json").failure();
    assert!(matches!(failure.error, Error::NoTokenizer { .. }));
    failure.says(
        "DIR: no tokenizer; looked for tokenizer.json, vocab.txt",
        "save the tokenizer next to the weights: tokenizer.save_pretrained(directory)",
    );
    let whole = Directory::new().read("tokenizer.json");
    for content in [&b"not json"[..], b"{}", b"[]", b"null", &whole[..whole.len() / 2]] {
        let failure = Directory::new().write("tokenizer.json", content).failure();
        assert!(matches!(failure.error, Error::BadTokenizer { .. }), "{}", failure.message);
        assert!(failure.message.starts_with("DIR/tokenizer.json: "), "{}", failure.message);
        failure.hints("save the tokenizer again: tokenizer.save_pretrained(directory)");
    }
    let failure = Directory::new().write("tokenizer.json", "not json").failure();
    assert_eq!(
        failure.message,
        "DIR/tokenizer.json: not a tokenizer: expected ident at line 1 column 2"
    );
    let failure = Directory::new().write("tokenizer_config.json", "{").failure();
    assert!(failure.message.starts_with("DIR/tokenizer_config.json: "), "{}", failure.message);
    failure.hints("save the tokenizer again");

    let binary = Directory::copy("bert-vocab-txt").write("vocab.txt", b"[PAD]\n\xff\n");
    binary.failure().says("DIR/vocab.txt: not UTF-8 after byte 6", "save the tokenizer again");
    let empty = Directory::copy("bert-vocab-txt").write("vocab.txt", "");
    empty.failure().says("DIR/vocab.txt: the file is empty", "download the file again");
}

#[test]
fn a_tokenizer_with_more_tokens_than_there_are_embeddings() {
    for id in [183_u32, u32::MAX] {
        let more = Directory::new().json("tokenizer.json", |tokenizer| {
            let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
            vocab.insert("new".to_owned(), json!(id));
        });
        let failure = more.failure();
        assert!(matches!(failure.error, Error::Vocabulary { .. }));
        failure.says(
            &format!("the tokenizer has ids from 0 to {id}, but the model has only 183 embeddings"),
            "the directory's files belong to different models",
        );
    }
    // Embeddings without a token are common: vocabularies are padded to a round number.
    let name = "bert.embeddings.word_embeddings.weight";
    let rounded = Directory::new().config("vocab_size", json!(192)).tensors(|tensors| {
        let padded = tensors[name].pad_with_zeros(0, 0, 9).unwrap();
        tensors.insert(name.to_owned(), padded);
    });
    assert_eq!(rounded.model().info().vocab_size, 192);
}

#[test]
fn stand_ins_for_files() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 37924\n";
    let page = "<!DOCTYPE html><html><title>Sign in</title></html>";
    for (name, expected) in [
        ("model.safetensors", "weights"),
        ("tokenizer.json", "a tokenizer"),
        ("config.json", "a configuration"),
    ] {
        let failure = Directory::new().write(name, pointer).failure();
        assert!(matches!(failure.error, Error::StandIn { got: StandIn::GitLfsPointer, .. }));
        failure.says(
            &format!("DIR/{name}: expected {expected}, got a git-lfs pointer"),
            "run `git lfs pull` in the model's repository to get the real file",
        );
        let failure = Directory::new().write(name, page).failure();
        failure.says(
            &format!("DIR/{name}: expected {expected}, got a web page"),
            "download the file again",
        );
    }
}

#[test]
fn directories_and_pipes_in_place_of_files() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let dir = Directory::new().remove(name);
        fs::create_dir(dir.path(name)).unwrap();
        let failure = dir.failure();
        assert!(matches!(failure.error, Error::NotAFile { .. }));
        assert_eq!(failure.message, format!("DIR/{name}: not a regular file"));
        // Reading a pipe would wait for a writer.
        #[cfg(unix)]
        {
            fs::remove_dir(dir.path(name)).unwrap();
            let made = std::process::Command::new("mkfifo").arg(dir.path(name)).status().unwrap();
            assert!(made.success());
            assert!(matches!(dir.failure().error, Error::NotAFile { .. }), "{name}");
        }
    }
}

// Texts.

#[test]
fn an_empty_text_is_a_text() {
    let model = Directory::new().model();
    for text in ["", " ", "\n\t \u{3000}"] {
        let encoding = model.encode(text, false).unwrap();
        let tokens: Vec<_> = encoding.tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(tokens, ["[CLS]", "[SEP]"], "{text:?}");
        assert!(predicts(&*model, text).iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_text_of_a_megabyte() {
    let model = Directory::new().model();
    let text = "good ".repeat((1 << 20) / 5);
    let words = (1 << 20) / 5;
    let error = model.encode(&text, false).unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 40, .. }) && error.is_input_error());
    assert_eq!(
        error.to_string(),
        format!("the text has {} tokens; the model reads at most 40", words + 2)
    );
    assert_eq!(error.hint().unwrap(), "shorten the text, or cut it with --truncate");
    let cut = model.encode(&text, true).unwrap();
    assert_eq!((cut.tokens.len(), cut.truncated), (40, words - 38));
    assert_eq!(cut.tokens.last().unwrap().text, "[SEP]");
    assert!(predicts(&*model, &text).iter().all(|x| x.is_finite()));

    // A word of a megabyte is one unknown token.
    let word = "x".repeat(1 << 20);
    let encoding = model.encode(&word, false).unwrap();
    assert_eq!((encoding.tokens.len(), encoding.tokens[1].end), (3, 1 << 20));
}

#[test]
fn a_text_at_the_limit_and_one_over() {
    let model = Directory::new().model();
    let words = |n: usize| vec!["good"; n].join(" ");
    assert_eq!(model.info().max_tokens, 40);
    let full = model.encode(&words(38), false).unwrap();
    assert_eq!((full.tokens.len(), full.truncated), (40, 0));
    assert!(predicts(&*model, &words(38)).iter().all(|x| x.is_finite()));
    let error = model.encode(&words(39), false).unwrap_err();
    assert_eq!(error.to_string(), "the text has 41 tokens; the model reads at most 40");
    let cut = model.encode(&words(39), true).unwrap();
    assert_eq!((cut.ids(), cut.truncated), (full.ids(), 1));

    // A pair is cut where it is longer.
    let pair = model.tokenizer().encode_pair(&words(30), &words(10)).unwrap();
    assert!(matches!(model.fit(pair.clone(), false), Err(Error::TooLong { tokens: 43, .. })));
    let pair = model.fit(pair, true).unwrap();
    let second = pair.tokens.iter().filter(|token| token.field == 1 && !token.special).count();
    assert_eq!((pair.tokens.len(), second), (40, 10));

    // A limit that leaves no room for the special tokens.
    let none = Directory::new().json("tokenizer_config.json", |config| {
        config.insert("model_max_length".to_owned(), json!(1));
    });
    let model = none.model();
    let error = model.encode("", true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at most 1 tokens are allowed, and the special tokens alone are 2"
    );
    assert!(matches!(model.encode("", false), Err(Error::TooLong { tokens: 2, limit: 1 })));
}

#[test]
fn texts_of_odd_characters() {
    let model = Directory::new().model();
    let all_controls: String = (0..0x20_u8).chain(0x7f..0xa0).map(char::from).collect();
    for text in [
        "\0",
        "good\0film",
        all_controls.as_str(),
        "\u{feff}good",
        "\u{202e}doog",
        "go\u{200b}od",
        "e\u{301}\u{301}\u{301}",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "\u{10ffff}\u{e000}",
        "[CLS] [SEP] [PAD] [MASK] [UNK]",
        "</s> <pad> ##ing ##",
        "ǅ İ ß ﬁ ㎏",
    ] {
        let encoding = model.encode(text, false).unwrap();
        for token in encoding.tokens.iter().filter(|token| !token.special) {
            assert!(text.get(token.start..token.end).is_some(), "{text:?}: {token:?}");
        }
        assert!(predicts(&*model, text).iter().all(|x| x.is_finite()), "{text:?}");
    }
}
