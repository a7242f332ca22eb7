//! `glossator train` and `glossator eval`: what they leave, and that nothing is lost when a run is
//! killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;
#[cfg(target_os = "linux")]
#[path = "common/signals.rs"]
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Answer, glossator, good, run};
use serde_json::Value;
use tempfile::TempDir;

const MODEL: &str = "../../testdata/models/bert-cls";

/// A file of 60 texts with labels that depend on their first word.
fn rows(dir: &TempDir) -> PathBuf {
    let words = ["good", "bad", "great", "awful", "film", "story", "dog", "never", "very", "was"];
    let mut text = "review,stars\n".to_owned();
    for i in 0..60_usize {
        let label = ["negative", "positive"][i % 2];
        let rest: Vec<_> = (0..3 + i % 9).map(|k| words[(i * 7 + k * 3) % 10]).collect();
        text += &format!("{} {},{label}\n", words[i % 2], rest.join(" "));
    }
    let path = dir.path().join("reviews.csv");
    fs::write(&path, text).unwrap();
    path
}

/// A run of 60 steps that draws and remembers, with a checkpoint each two steps.
fn command(data: &Path, out: &Path) -> assert_cmd::Command {
    let mut command = glossator(&["train", "text-classification", "--from", MODEL, "--quiet"]);
    command.arg("--data").arg(data).arg("--out").arg(out);
    command
        .args("--text review --label stars --labels negative,positive --dev-share 0.2".split(' '));
    command.args("--steps 60 --batch 8 --learning-rate 3e-3 --dropout 0.2 --seed 5".split(' '));
    command.args(["--evaluate-every", "7", "--checkpoint-every", "2", "--threads", "1"]);
    command
}

fn spawn(command: &assert_cmd::Command) -> Child {
    let mut child = std::process::Command::new(command.get_program());
    child.args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().unwrap()
}

/// Steps and measurements of a log, without the times.
fn log(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("training.jsonl")).unwrap_or_default();
    let mut records: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for record in &mut records {
        record.as_object_mut().unwrap().remove("seconds");
    }
    records
}

#[test]
fn killed_at_any_moment_a_run_ends_with_the_same_weights() {
    let dir = tempfile::tempdir().unwrap();
    let (data, whole, parts) = (rows(&dir), dir.path().join("whole"), dir.path().join("parts"));
    good(&mut command(&data, &whole));
    let mut kills = 0_u64;
    loop {
        let before = log(&parts).len();
        let mut child = spawn(&command(&data, &parts));
        // Some steps later, or some milliseconds after the start, in the middle of whatever it is.
        let patience = if kills % 3 == 2 { 30 + 10 * kills } else { 20_000 };
        let mut waited = 0;
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if log(&parts).len() > before + 5 || waited > patience {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
            waited += 2;
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        std::thread::sleep(Duration::from_millis(kills * 7 % 11));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(kills < 60, "the run does not get on");
    }
    assert!(kills >= 3, "{kills}");
    let weights = |out: &Path| fs::read(out.join("model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&parts));
    assert_eq!(log(&whole), log(&parts));
    // The curves say nothing of times.
    let curves = |out: &Path| fs::read_to_string(out.join("curves.svg")).unwrap();
    assert_eq!(curves(&whole).replace("whole", "parts"), curves(&parts));
    assert!(!parts.join("checkpoint").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_a_checkpoint() {
    if signals::are_ignored() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (rows(&dir), dir.path().join("out"));
    let mut long = command(&data, &out);
    long.args(["--checkpoint-minutes", "1000"]);
    // Only the checkpoint of the interrupt: none by steps.
    let arguments: Vec<_> = long.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments: Vec<_> =
        arguments.iter().map(|a| if a == "2" { "100000" } else { a.as_str() }).collect();
    let command = glossator(&arguments);
    let mut child = spawn(&command);
    while log(&out).len() < 4 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(out.join("checkpoint/state.safetensors").exists());
    let before = log(&out).len();
    assert!(before >= 4);
    let mut again = glossator(&arguments);
    again.arg("--resume");
    good(&mut again);
    assert!(log(&out).len() > before);
}

#[test]
fn what_a_run_leaves_is_a_model_with_a_card() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (rows(&dir), dir.path().join("my-model"));
    let mut train = command(&data, &out);
    train.args(["--license", "MIT", "--language", "en", "--description", "For <tests>."]);
    good(&mut train);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for part in [
        "license: \"MIT\"",
        "# my-model",
        "For <tests>.",
        "`reviews.csv`",
        "Labels: `negative`, `positive`.",
        "| accuracy |",
        "- Data: *(not stated)*",
        "| seed | `5` |",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let model = out.to_str().unwrap();
    let explained =
        good(&mut glossator(&["explain", "--model", model, "good film", "--by", "token"]));
    assert!(explained.contains("positive") || explained.contains("negative"), "{explained}");
    let data = data.to_str().unwrap();
    let eval = ["eval", model, "--data", data, "--text", "review", "--label", "stars"];
    let text = good(&mut glossator(&eval));
    assert!(
        text.starts_with("my-model · text-classification · 60 examples\n\n  accuracy"),
        "{text}"
    );
    let json = good(&mut glossator(&[&eval[..], &["--format", "json"]].concat()));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["scores"][0]["name"], "accuracy");
    // Each text begins with a word that tells its label.
    assert!(json["scores"][0]["value"].as_f64().unwrap() > 0.9, "{json}");
    assert!(json["scores"][0]["interval"].is_array());
    assert_eq!(json["classes"][1]["label"], "positive");
    assert_eq!(json["confusion"].as_array().unwrap().len(), 2);
    let same = good(&mut glossator(&[&eval[..], &["--format", "json"]].concat()));
    assert_eq!(serde_json::from_str::<Value>(&same).unwrap(), json);
}

/// Runs a command that has to fail over its arguments, and to say so in two lines.
fn bad(command: &mut assert_cmd::Command, dir: &TempDir) -> String {
    let Answer { code, out, err } = run(command);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    let lines: Vec<_> = err.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert!(lines.len() == 2, "{err}");
    assert!(lines[0].starts_with("error: ") && lines[1].starts_with("hint: "), "{err}");
    lines.join("\n").replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn what_is_wrong_is_told_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let data = rows(&dir);
    let data = data.to_str().unwrap();
    let out = dir.path().join("out");
    let mut errors = Vec::new();
    let mut check = |task: &str, more: &str| {
        let mut command = glossator(&["train", task, "--from", MODEL, "--data", data]);
        command.arg("--out").arg(&out).args(more.split(' ').filter(|word| !word.is_empty()));
        let typed = format!("{task} {more}");
        errors.push(format!("{}\n{}\n", typed.trim_end(), bad(&mut command, &dir)));
        assert!(!out.join("model.safetensors").exists());
    };
    check("sentiment", "");
    check("sentence-similarity", "--text review --label stars --pair review");
    check("text-classification", "");
    check("text-classification", "--text review --label stars --tags 2");
    check("text-classification", "--text review --label stars --labels positive,neutral");
    check("text-classification", "--text review --label stars --learning-rate -1");
    check("text-classification", "--text review --label stars --schedule cosin");
    check("text-classification", "--text review --label stars --beta1 0.5 --optimizer sgd");
    check("text-classification", "--text review --label stars --freeze nothing.*");
    check("text-classification", "--text review --label stars --patience 2");
    check("causal-lm", "--text review");
    insta::assert_snapshot!(errors.join("\n"), @r#"
    sentiment
    error: unknown task "sentiment"
    hint: tasks are text-classification, token-classification, question-answering, masked-lm, causal-lm, seq2seq-lm

    sentence-similarity --text review --label stars --pair review
    error: sentence-similarity cannot be trained
    hint: similarity is measured, not trained; train text-classification with --pair and --problem regression

    text-classification
    error: reviews.csv:1: no column "text" (--text); there are "review", "stars"
    hint: name the column with --text; by its number, from 1, if the first row is no header

    text-classification --text review --label stars --tags 2
    error: --tags is for token-classification, not for text-classification
    hint: leave out --tags

    text-classification --text review --label stars --labels positive,neutral
    error: reviews.csv:2: the label "negative" is not one of the model's, which are "positive", "neutral"
    hint: --rename-labels negative=OTHER says what it is called there; check --label and --tags

    text-classification --text review --label stars --learning-rate -1
    error: unexpected argument '-1' found
    hint: `glossator train --help` lists what can be given

    text-classification --text review --label stars --schedule cosin
    error: --schedule: expected constant, linear, cosine, step:EVERY:FACTOR or exponential:EVERY:FACTOR, got "cosin"
    hint: EVERY is a number of steps, or of epochs as in step:1e:0.5

    text-classification --text review --label stars --beta1 0.5 --optimizer sgd
    error: --beta1 is for the optimiser adamw
    hint: leave out --beta1

    text-classification --text review --label stars --freeze nothing.*
    error: --freeze "nothing.*" fits no weight of the model
    hint: * stands for any characters; names are like bert.embeddings.word_embeddings.weight, bert.embeddings.token_type_embeddings.weight, bert.embeddings.position_embeddings.weight

    text-classification --text review --label stars --patience 2
    error: --patience needs data to measure with
    hint: give --dev FILE or --dev-share 0.1

    causal-lm --text review
    error: bert models cannot be trained for causal-lm
    hint: start from another model, or train it for text-classification, token-classification, question-answering, masked-lm, sentence-similarity
    "#);
    let out = dir.path().join("mine");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "precious").unwrap();
    let mut command = glossator(&["train", "text-classification", "--from", MODEL, "--data", data]);
    command.args(["--text", "review", "--label", "stars", "--out"]).arg(&out);
    let error = bad(&mut command, &dir);
    assert!(error.contains("exists and is not the directory of a run"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (rows(&dir), dir.path().join("out"));
    let error = bad(command(&data, &out).args(["--log", "/dev/full"]), &dir);
    assert!(error.contains("No space left") && error.contains("make room"), "{error}");
}

#[test]
fn eval_names_labels_that_a_model_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.tsv");
    fs::write(&file, "pos\tgood\nneg\tbad\n").unwrap();
    let file = file.to_str().unwrap();
    let eval = ["eval", MODEL, "--data", file, "--text", "2", "--label", "1"];
    let error = bad(&mut glossator(&eval), &dir);
    insta::assert_snapshot!(error, @r#"
    error: a.tsv:1: the label "pos" is not one of the model's, which are "negative", "neutral", "positive"
    hint: --rename-labels pos=OTHER says what it is called there; check --label and --tags
    "#);
    let renamed = ["--rename-labels", "pos=positive,neg=negative"];
    let text = good(&mut glossator(&[&eval[..], &renamed].concat()));
    assert!(text.contains("2 examples"), "{text}");
}
