//! Models with variables are the models that were opened, follow their variables, get new heads,
//! and come back from the disk as they were.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "common/compare.rs"]
mod compare;

use common::{open, testdata, values};
use compare::{assert_same, distance};
use glossator_models::{
    Batch, Change, DType, Encoding, Error, Model, Problem, Stored, Task, Tensor, Trace, Trainable,
    load,
};

/// Two ways through a model in f32: as in `families.rs`.
const F32: f64 = 2e-5;

fn encode(model: &dyn Model) -> Encoding {
    let text = "the film was good";
    match model.info().task {
        Task::QuestionAnswering => model.encode_pair(text, text).unwrap(),
        Task::TextClassification if model.info().reads_pairs => {
            model.encode_pair(text, "a plot").unwrap()
        }
        Task::SentenceSimilarity => {
            let second = model.encode("a plot", false).unwrap();
            model.encode(text, false).unwrap().with_second(second, "other")
        }
        Task::Seq2SeqLm => {
            let start = model.decoder_start().unwrap();
            let name = model.tokenizer().id_to_token(start).unwrap();
            let written = model.tokenizer().written(&model.tokenizer().ids_of(text).unwrap());
            model.encode(text, false).unwrap().with_written(&written, "w", Some((start, name)))
        }
        _ => model.encode(text, false).unwrap(),
    }
}

fn logits_with(model: &dyn Model, trace: &mut Trace<'_>) -> Tensor {
    let encoding = encode(model);
    let batch = Batch::new(&[&encoding], model.pad_id());
    model.forward(&model.embed(&batch).unwrap(), &batch, trace).unwrap().logits
}

fn logits(model: &dyn Model) -> Tensor {
    logits_with(model, &mut Trace::new())
}

#[test]
fn every_family_is_what_it_was_and_comes_back_from_the_disk() {
    let out = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(testdata("models")).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() || dir.join("adapter_config.json").exists() {
            continue;
        }
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let trainable = Trainable::from_dir(&dir, &Change::default()).unwrap();
        let frozen = open(&dir, DType::F32);
        let trained = logits(trainable.model().unwrap().as_ref());
        let far = distance(&values(&trained), &values(&logits(frozen.as_ref())));
        assert!(far < F32, "{name}: {far:e}");
        assert_eq!(trainable.model().unwrap().info().parameters, frozen.info().parameters);

        let saved = out.path().join(&name);
        trainable.save(&saved, Stored::F32).unwrap();
        let again = Trainable::from_dir(&saved, &Change::default()).unwrap();
        assert_same(&trained, &logits(again.model().unwrap().as_ref()), &name);
        let loaded = open(&saved, DType::F32);
        assert_same(&logits(frozen.as_ref()), &logits(loaded.as_ref()), &name);
        assert_eq!(loaded.stop_ids(), frozen.stop_ids(), "{name}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn a_model_made_again_follows_its_variables() {
    // Families that compute weights from variables: transposed, reordered, with 1 added.
    for name in ["gpt2", "gpt-neox", "gemma2", "modernbert-masked-lm", "bert-regression"] {
        let trainable = Trainable::from_dir(&testdata("models").join(name), &Change::default());
        let trainable = trainable.unwrap();
        let before = values(&logits(trainable.model().unwrap().as_ref()));
        for (variable, var) in trainable.variables() {
            let changed = (var.as_tensor() * 1.5).unwrap().detach();
            let old = var.as_tensor().copy().unwrap();
            var.set(&changed).unwrap();
            let after = values(&logits(trainable.model().unwrap().as_ref()));
            // A key's bias and positions may be of no consequence; matrices of layers never.
            if variable.contains("layer") && variable.ends_with("weight") && old.rank() == 2 {
                assert!(before != after, "{name}: {variable}");
            }
            var.set(&old).unwrap();
        }
        assert_eq!(before, values(&logits(trainable.model().unwrap().as_ref())));
    }
}

#[test]
fn another_task_gets_a_new_head_and_keeps_the_rest() {
    let base = testdata("models/bert-masked-lm");
    let change = Change {
        task: Some(Task::TextClassification),
        labels: Some(["bad", "so-so", "good"].map(str::to_owned).to_vec()),
        problem: Some(Problem::MultiLabel),
        seed: 7,
    };
    let trainable = Trainable::from_dir(&base, &change).unwrap();
    let model = trainable.model().unwrap();
    assert_eq!(model.info().labels.names, ["bad", "so-so", "good"]);
    assert_eq!(model.info().labels.problem, Problem::MultiLabel);
    let find = |t: &Trainable, name: &str| {
        t.variables().iter().find(|(known, _)| known == name).map(|(_, var)| values(var))
    };
    let head = find(&trainable, "classifier.weight").unwrap();
    assert!(head.iter().all(|x| x.abs() < 0.2) && head.iter().any(|x| x.abs() > 1e-3));
    let again = Trainable::from_dir(&base, &change).unwrap();
    assert_eq!(head, find(&again, "classifier.weight").unwrap());
    let other = Trainable::from_dir(&base, &Change { seed: 8, ..change }).unwrap();
    assert_ne!(head, find(&other, "classifier.weight").unwrap());
    // The encoder is the one that was there.
    let kept = "bert.encoder.layer.0.output.dense.weight";
    let plain = Trainable::from_dir(&base, &Change::default()).unwrap();
    assert_eq!(find(&plain, kept).unwrap(), find(&trainable, kept).unwrap());

    let out = tempfile::tempdir().unwrap();
    trainable.save(out.path(), Stored::F16).unwrap();
    let loaded = load(out.path(), &Default::default()).unwrap();
    assert_eq!(loaded.info().labels, model.info().labels);
    // 16 bits have 11 of precision.
    let far = distance(&values(&logits(loaded.as_ref())), &values(&logits(model.as_ref())));
    assert!(far > 0.0 && far < 1e-2, "{far}");
}

#[test]
fn a_new_model_is_drawn_from_its_seed() {
    let dir = testdata("models/bert-token-classification");
    let config = std::fs::read(dir.join("config.json")).unwrap();
    let tokenizer = std::fs::read(dir.join("tokenizer.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let make = |seed| Trainable::from_config(config.clone(), &tokenizer, seed).unwrap();
    let a = logits(make(1).model().unwrap().as_ref());
    assert_same(&a, &logits(make(1).model().unwrap().as_ref()), "same seed");
    assert_ne!(values(&a), values(&logits(make(2).model().unwrap().as_ref())));
}

#[test]
fn only_a_training_pass_drops_out_and_its_seed_decides_what() {
    for name in ["bert-token-classification", "t5", "llama", "gpt-neox", "albert-masked-lm"] {
        let trainable =
            Trainable::from_dir(&testdata("models").join(name), &Change::default()).unwrap();
        let model = trainable.model().unwrap();
        let model = model.as_ref();
        let dropped = |rate, seed| values(&logits_with(model, &mut Trace::training(rate, seed)));
        assert_eq!(dropped(0.0, 1), values(&logits(model)), "{name}");
        assert_eq!(dropped(0.3, 1), dropped(0.3, 1), "{name}");
        assert_ne!(dropped(0.3, 1), dropped(0.3, 2), "{name}");
        assert_ne!(dropped(0.3, 1), values(&logits(model)), "{name}");
    }
}

#[test]
fn what_cannot_be_trained_is_an_error_with_advice() {
    let change = Change { task: Some(Task::Seq2SeqLm), ..Change::default() };
    let error = Trainable::from_dir(&testdata("models/llama"), &change).err().unwrap();
    assert!(matches!(error, Error::NoSuchTask { .. }), "{error}");
    assert_eq!(error.to_string(), "llama models cannot be trained for seq2seq-lm");
    assert!(error.hint().unwrap().contains("causal-lm"));
    let config = serde_json::json!({"model_type": "bert", "architectures": ["BertModel"]});
    assert!(Trainable::from_config(config, b"{}", 1).is_err());
}
