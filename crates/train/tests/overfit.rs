//! Each task learns 32 items by heart.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Chance, StopAfter, by_heart, model, request};
use glossator_models::{LoadOptions, Problem, Task, load};
use glossator_train::data::{Format, ReadOptions};
use glossator_train::run::Data;
use glossator_train::train;

/// Trains on a file, measures on the same, and checks the loss and that the result opens.
fn learns(
    task: Task,
    from: &str,
    name: &str,
    text: &str,
    steps: u64,
    problem: Option<Problem>,
) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, text).unwrap();
    let options =
        ReadOptions { format: Some(Format::of(&file).unwrap()), ..ReadOptions::default() };
    let options = match problem {
        Some(Problem::MultiLabel) => {
            ReadOptions { label_separator: Some("|".to_owned()), ..options }
        }
        _ => options,
    };
    let data = Data { train: vec![file.clone()], dev: vec![file], options };
    let (from, out) = (model(from), dir.path().join("out"));
    let mut settings = by_heart(steps);
    settings.block = 12;
    let mut request = request(task, &from, data, settings, out.clone());
    request.problem = problem;
    let finished = train(&request, &StopAfter::never()).unwrap();
    let evaluation = finished.evaluation.unwrap();
    let opened = load(&out, &LoadOptions::default()).unwrap();
    assert_eq!(opened.info().task, task);
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("## Scores") && card.contains(name), "{card}");
    assert!(!out.join("checkpoint").exists());
    match evaluation.score("loss") {
        Some(loss) => loss.value,
        None => 1.0 - evaluation.scores[0].value,
    }
}

fn rows(chance: &mut Chance, header: &str, mut row: impl FnMut(&mut Chance) -> String) -> String {
    let mut text = format!("{header}\n");
    (0..32).for_each(|_| text += &(row(chance) + "\n"));
    text
}

#[test]
fn text_classification() {
    let text = rows(&mut Chance(1), "text,label", |chance| {
        format!("{},{}", chance.letters(6).join(" "), ["x", "y", "z"][chance.below(3)])
    });
    let loss = learns(Task::TextClassification, "bert-cls", "a.csv", &text, 150, None);
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn several_labels() {
    let text = rows(&mut Chance(2), "text,label", |chance| {
        let labels = ["x", "y", "z"].into_iter().filter(|_| chance.below(2) == 1);
        let labels = labels.collect::<Vec<_>>().join("|");
        format!("{},{labels}", chance.letters(6).join(" "))
    });
    let several = Some(Problem::MultiLabel);
    let loss = learns(Task::TextClassification, "bert-cls", "a.csv", &text, 150, several);
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn regression() {
    let text = rows(&mut Chance(3), "text,label", |chance| {
        format!("{},{}", chance.letters(6).join(" "), chance.below(100) as f64 / 50.0 - 1.0)
    });
    let number = Some(Problem::Regression);
    let loss = learns(Task::TextClassification, "bert-cls", "a.csv", &text, 300, number);
    assert!(loss < 0.01, "{loss}");
}

#[test]
fn token_classification() {
    let tags = ["O", "B-PER", "I-PER", "B-LOC"];
    let text = rows(&mut Chance(4), "", |chance| {
        let words = chance.letters(6).into_iter();
        words.map(|word| format!("{word} {}\n", tags[chance.below(4)])).collect()
    });
    let task = Task::TokenClassification;
    let loss = learns(task, "bert-token-classification", "a.conll", &text, 300, None);
    assert!(loss < 0.1, "{loss}");
}

#[test]
fn question_answering() {
    let text = rows(&mut Chance(5), "question,context,answer,start", |chance| {
        let context = chance.letters(8);
        let (first, more) = (chance.below(6), chance.below(3));
        let answer = context[first..first + more].join(" ");
        format!("{},{},{answer},{}", chance.letter(), context.join(" "), 2 * first)
    });
    let task = Task::QuestionAnswering;
    let missed = learns(task, "bert-question-answering", "a.csv", &text, 400, None);
    // One of 32 may be missed: without --start the first of several like answers is learned.
    assert!(missed < 0.1, "{missed}");
}

/// Letters in the order of the alphabet: each is known by its neighbours.
fn alphabet(chance: &mut Chance, count: usize) -> String {
    let first = chance.below(26);
    let letter = |i| char::from(b'a' + ((first + i) % 26) as u8).to_string();
    (0..count).map(letter).collect::<Vec<_>>().join(" ")
}

#[test]
fn masked_language_model() {
    // What is hidden stands beside it: other places are hidden each time, so nothing less will do.
    let text = rows(&mut Chance(6), "", |chance| vec![chance.letters(1).concat(); 12].join(" "));
    let loss = learns(Task::MaskedLm, "bert-masked-lm", "a.txt", &text, 1200, None);
    assert!(loss < 0.3, "{loss}");
}

#[test]
fn causal_language_model() {
    let text = alphabet(&mut Chance(7), 32 * 12).replace(' ', "");
    let loss = learns(Task::CausalLm, "gpt2", "a.txt", &text, 200, None);
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn sequence_to_sequence() {
    let text = rows(&mut Chance(8), "text,target", |chance| {
        let source = chance.letters(5);
        let target: Vec<_> = source.iter().rev().cloned().collect();
        format!("{},{}", source.join(" "), target.join(" "))
    });
    for from in ["t5", "bart"] {
        let loss = learns(Task::Seq2SeqLm, from, "a.csv", &text, 400, None);
        assert!(loss < 0.05, "{from}: {loss}");
    }
}
