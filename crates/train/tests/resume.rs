//! A run that was interrupted ends with the same weights; so does one on another number of threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use std::path::Path;

use common::{Chance, StopAfter, model, request};
use glossator_models::Task;
use glossator_train::run::{Data, History};
use glossator_train::settings::{ClassWeights, Length, Settings};
use glossator_train::{Error, Request, train};

fn write_rows(dir: &Path, count: usize) -> Data {
    let mut chance = Chance(11);
    let mut text = "text,label\n".to_owned();
    for _ in 0..count {
        let (words, label) = (2 + chance.below(20), ["x", "y", "z"][chance.below(3)]);
        text += &format!("{},{label}\n", chance.letters(words).join(" "));
    }
    let file = dir.join("rows.csv");
    std::fs::write(&file, text).unwrap();
    Data { train: vec![file], ..Data::default() }
}

/// Everything that draws or remembers is in these.
fn settings() -> Settings {
    Settings {
        length: Length::Epochs(2.5),
        batch: 7,
        accumulate: 2,
        rate: 1e-3,
        dropout: 0.2,
        dev_share: 0.2,
        label_smoothing: 0.1,
        class_weights: Some(ClassWeights::Balanced),
        evaluate_every: Some(3),
        patience: Some(100),
        seed: 9,
        ..Settings::default()
    }
}

fn weights(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("model.safetensors")).unwrap()
}

#[test]
fn interrupted_often_or_never_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (write_rows(dir.path(), 90), model("bert-cls"));
    let request = |out: &str| -> Request<'_> {
        let task = Task::TextClassification;
        request(task, &from, data.clone(), settings(), dir.path().join(out))
    };
    let whole = request("whole");
    let finished = train(&whole, &StopAfter::never()).unwrap();
    assert!(finished.steps > 12);

    let parts = request("parts");
    let mut interrupted = 0;
    while let Err(error) = train(&parts, &StopAfter::steps(4)) {
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        interrupted += 1;
    }
    assert_eq!(
        interrupted,
        finished.steps.div_ceil(4) - u64::from(!finished.steps.is_multiple_of(4))
    );
    assert!(weights(&parts.out) == weights(&whole.out));
    let history = |out: &Path| {
        let mut history = History::read(&out.join("training.jsonl")).unwrap();
        history.steps.iter_mut().for_each(|step| step.seconds = 0.0);
        history
    };
    assert_eq!(history(&parts.out), history(&whole.out));

    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = request("alone");
    single.install(|| train(&alone, &StopAfter::never())).unwrap();
    assert!(weights(&alone.out) == weights(&whole.out));

    let mut other = request("other");
    other.settings.seed = 10;
    train(&other, &StopAfter::never()).unwrap();
    assert!(weights(&other.out) != weights(&whole.out));
}

#[test]
fn a_run_does_not_go_on_with_other_settings_or_data() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (write_rows(dir.path(), 30), model("bert-cls"));
    let task = Task::TextClassification;
    let mut run = request(task, &from, data.clone(), settings(), dir.path().join("out"));
    train(&run, &StopAfter::steps(2)).unwrap_err();
    run.settings.batch = 8;
    let error = train(&run, &StopAfter::never()).unwrap_err().to_string();
    assert!(error.ends_with("holds an unfinished run with settings.batch 7, not 8"), "{error}");
    run.settings.batch = 7;
    let file = &data.train[0];
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.clone() + "a b,x\n").unwrap();
    let error = train(&run, &StopAfter::never()).unwrap_err().to_string();
    assert!(error.contains("holds an unfinished run with data.train"), "{error}");
    std::fs::write(file, text).unwrap();
    run.resume = true;
    train(&run, &StopAfter::never()).unwrap();
    let error = train(&run, &StopAfter::never()).unwrap_err().to_string();
    assert!(error.ends_with("holds a finished run"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (write_rows(dir.path(), 30), model("bert-cls"));
    let mut run =
        request(Task::TextClassification, &from, data, settings(), dir.path().join("out"));
    run.settings.rate = 1e38;
    run.settings.clip.norm = None;
    run.settings.dev_share = 0.0;
    run.settings.patience = None;
    run.checkpoint_steps = Some(1);
    let error = train(&run, &StopAfter::never()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("is not a finite number at step"), "{message}");
    assert!(message.ends_with("the last checkpoint is kept"), "{message}");
    assert!(error.hint().unwrap().starts_with("lower --learning-rate"));
    assert!(run.out.join("checkpoint/state.safetensors").exists());
}

#[test]
fn gradients_of_small_batches_add_up_to_those_of_a_large_one() {
    let dir = tempfile::tempdir().unwrap();
    let (data, from) = (write_rows(dir.path(), 32), model("bert-cls"));
    let first = |batch, accumulate, out: &str| {
        let mut settings = settings();
        settings.length = Length::Epochs(1.0);
        (settings.batch, settings.accumulate) = (batch, accumulate);
        (settings.dev_share, settings.patience, settings.dropout) = (0.0, None, 0.0);
        let task = Task::TextClassification;
        let run = request(task, &from, data.clone(), settings, dir.path().join(out));
        train(&run, &StopAfter::never()).unwrap();
        History::read(&run.out.join("training.jsonl")).unwrap().steps[0]
    };
    let (large, small) = (first(32, 1, "a"), first(4, 8, "b"));
    // The same sums in another order, in f32.
    assert!((large.loss - small.loss).abs() < 1e-6 * large.loss);
    assert!((large.gradient_norm - small.gradient_norm).abs() < 1e-5 * large.gradient_norm);
}
