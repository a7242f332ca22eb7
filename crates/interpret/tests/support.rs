//! Every method runs on every task of every family: the table of `docs/support.md` is written from
//! the lists, and this walks it with the tiny models.
//!
//! `GLOSSATOR_UPDATE=1 cargo test --release --workspace --test support` writes the table again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use glossator_interpret::{
    Attention, Explainer, Input, METHODS, Options, Quantity, Silent, TargetSpec, TaskOptions,
    attention,
};
use glossator_models::{FAMILIES, LoadOptions, Model, Task, load};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The tiny models that are whole models.
fn models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("testdata/models")).unwrap();
    let mut models: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    models.retain(|dir| dir.join("config.json").exists());
    models.sort();
    models
}

fn table() -> String {
    let mut out = String::from(
        "# What runs on what\n\nWritten by `crates/interpret/tests/support.rs` from the lists of \
         families, tasks and methods; the same test runs\nevery method on every task and family of \
         these tables.\n\n## Families and tasks\n\n",
    );
    let names: Vec<_> = Task::ALL.iter().map(|task| task.id()).collect();
    let _ = writeln!(out, "| family | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(names.len()));
    for family in FAMILIES {
        let tasks = family.tasks();
        let marks = Task::ALL.map(|task| if tasks.contains(&task) { "yes" } else { "" });
        let _ = writeln!(out, "| {} | {} |", family.name, marks.join(" | "));
    }
    out.push_str("\n## Methods\n\nEach on every task.\n\n| method | what it costs |\n|---|---|\n");
    for entry in METHODS {
        let _ = writeln!(out, "| `{}` | {} |", entry.info.id, entry.info.cost);
    }
    out
}

#[test]
fn the_table_is_that_of_the_lists() {
    let path = root().join("docs/support.md");
    let table = table();
    if std::env::var_os("GLOSSATOR_UPDATE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, table, "run with GLOSSATOR_UPDATE=1");
}

/// An input that a task can use, of words that tiny vocabularies know.
fn input(model: &dyn Model) -> Input {
    let text = "the cat was good and we loved the film";
    match model.info().task {
        Task::SentenceSimilarity => Input::pair(text, "it was the cat"),
        Task::TextClassification if model.info().reads_pairs => Input::pair(text, "it was the cat"),
        Task::QuestionAnswering => Input::question("was it good", text),
        Task::MaskedLm => {
            let tokenizer = model.tokenizer();
            let mask = tokenizer.id_to_token(tokenizer.mask_token().unwrap()).unwrap();
            Input::text(format!("the cat was {mask} and we loved it"))
        }
        _ => Input::text(text),
    }
}

/// A few settings that keep the walk short; everything else at its default.
fn options(method: &str) -> Options {
    match method {
        "integrated-gradients" => Options::new().with("max-evaluations", "40"),
        "smoothgrad" => Options::new().with("samples", "3"),
        _ => Options::new(),
    }
}

fn check(dir: &Path) -> (&'static str, Task) {
    let model = load(dir, &LoadOptions::default()).unwrap();
    let task = TaskOptions { generate: 2, ..TaskOptions::default() };
    for entry in METHODS {
        let method = entry.method(&options(entry.info.id)).unwrap();
        let explainer = Explainer::new(&*model, &*method);
        let answer = explainer.explain_input(
            &input(&*model),
            &task,
            &TargetSpec::Predicted,
            Quantity::Logit,
        );
        let what = format!("{} on {}", entry.info.id, dir.display());
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let entities = model.info().task == Task::TokenClassification;
        assert!(entities || !answer.explanations.is_empty(), "{what}");
        for explanation in &answer.explanations {
            let scores = &explanation.attribution.scores;
            assert_eq!(scores.len(), answer.encoding.tokens.len(), "{what}");
            assert!(scores.iter().all(|score| score.is_finite()), "{what}");
            assert!(scores.iter().any(|&score| score != 0.0), "{what}: nothing matters");
        }
    }
    (model.info().family, model.info().task)
}

#[test]
fn every_method_runs_on_every_task_of_every_family() {
    let seen: BTreeSet<(&str, &str)> =
        models().iter().map(|dir| check(dir)).map(|(family, task)| (family, task.id())).collect();
    for family in FAMILIES {
        let some = family.tasks().into_iter().filter(|task| seen.contains(&(family.id, task.id())));
        assert!(some.count() > 0, "{} was not tried", family.id);
    }
    for task in Task::ALL {
        assert!(seen.iter().any(|(_, id)| *id == task.id()), "{} was not tried", task.id());
    }
    // Of the families that share their code, one is tried on every task of it.
    for id in ["roberta", "distilbert", "electra", "albert", "mpnet", "deberta-v2", "modernbert"] {
        let family = FAMILIES.iter().find(|family| family.id == id).unwrap();
        for task in family.tasks().into_iter().filter(|&t| t != Task::SentenceSimilarity) {
            assert!(seen.contains(&(id, task.id())), "{id} was not tried on {}", task.id());
        }
    }
}

#[test]
fn rows_of_attention_are_shares_wherever_there_is_attention_over_one_text() {
    let mut families = BTreeSet::new();
    for dir in models() {
        let model = load(&dir, &LoadOptions::default()).unwrap();
        let what = dir.display();
        let (input, options) = (input(&*model), TaskOptions::default());
        let encoding = attention::encode(&*model, &input, &options, &Silent);
        if !attention::is_supported(model.info()) {
            assert!(encoding.unwrap_err().to_string().contains("no attention"), "{what}");
            continue;
        }
        let attention = Attention::of(&*model, encoding.unwrap(), &Silent).unwrap();
        let n = attention.tokens();
        assert_eq!(attention.layers.len(), model.info().layers, "{what}");
        for layer in &attention.layers {
            assert_eq!(layer.len(), attention.heads * n * n, "{what}");
        }
        let rows = attention.layers.iter().flat_map(|layer| layer.chunks(n));
        for row in rows.chain(attention.rollout().chunks(n)) {
            let sum: f64 = row.iter().sum();
            // The softmax is in single precision.
            assert!((sum - 1.0).abs() < 1e-5, "{what}: a row sums to {sum}");
        }
        families.insert(model.info().family);
    }
    assert!(families.len() >= 15, "attention was looked at in {families:?} only");
}
