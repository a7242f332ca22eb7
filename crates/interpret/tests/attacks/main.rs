//! Attacks keep their promises: on every tokenizer and task, at every edge, and against brute force.
//!
//! Names such as H1 are the defects of an earlier toolkit's attacks, each of which has a test here
//! that shows that this one does not have it. Numbers in parentheses are those of the list of
//! invariants that the project keeps for its property tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/closed.rs"]
#[expect(dead_code, reason = "each test binary uses some of it")]
mod closed;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each test binary uses some of it")]
mod common;
mod constraints_hold;
mod defects;
mod exact;
mod limits;
mod reach;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use glossator_interpret::attack::{
    self, Aim, Attack, AttackResult, Attacked, Attacker, Certificate, DecisionChoice, Exhaustive,
    FieldChoice, Grain, Greedy, HotFlip, InputReduction, Limits, Rule, Stopped, TriggerSearch,
    constraints, hotflip,
};
use glossator_interpret::{
    Error, Explainer, Gradient, Input, Options, Prediction, Progress, Quantity, Silent, TargetSpec,
    TaskOptions,
};
use glossator_models::{
    BUNDLED, Batch, DType, LoadOptions, Model, ModelInfo, Output, Tensor, Tokenizer, Trace, Var,
    load_bundled,
};
use proptest::prelude::*;

use crate::closed::{Closed, WORDS, random};
use crate::common::{open, testdata};

fn tiny(name: &str) -> Box<dyn Model> {
    open(&testdata("models").join(name), DType::F64)
}

fn bundled() -> Box<dyn Model> {
    load_bundled(&BUNDLED[0], &LoadOptions::default()).unwrap()
}

fn few(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What anyone sees who asks the model about a text.
fn predict(model: &dyn Model, input: &Input, options: &TaskOptions) -> Prediction {
    let explainer =
        Explainer::new(model, &Gradient { reduction: glossator_interpret::Reduction::L2 });
    let answer =
        explainer.explain_input(input, options, &TargetSpec::Predicted, Quantity::Logit).unwrap();
    answer.prediction
}

/// The input that a result ends with.
fn final_input(model: &dyn Model, input: &Input, result: &AttackResult) -> Input {
    let limits = Limits::default();
    let options = TaskOptions::default();
    let victim = attack::Victim::new(model, input, &options, limits, &Silent);
    victim.with_texts(&result.texts.render())
}

fn label(model: &dyn Model, text: &str) -> usize {
    predict(model, &Input::text(text), &TaskOptions::default()).best()
}

#[track_caller]
fn run(model: &dyn Model, attack: &dyn Attack, input: &Input) -> Attacked {
    Attacker::new(model, attack).attack_input(input).unwrap()
}

#[track_caller]
fn fails(attacker: &Attacker<'_>, input: &Input) -> Error {
    attacker.attack_input(input).unwrap_err()
}

/// A closed form that reads each text of a batch by itself, as models do: what fills up a batch is
/// no part of a text.
struct ByRow(Closed);

impl Model for ByRow {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.0.tokenizer()
    }

    fn embed(&self, batch: &Batch) -> glossator_models::Result<Tensor> {
        self.0.embed(batch)
    }

    fn forward(
        &self,
        embeddings: &Tensor,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> glossator_models::Result<Output> {
        let mut rows = Vec::new();
        for (row, &length) in batch.lengths().iter().enumerate() {
            let text = embeddings.narrow(0, row, 1)?.narrow(1, 0, length)?;
            rows.push(self.0.forward(&text, batch, trace)?);
        }
        let logits: Vec<&Tensor> = rows.iter().map(|output| &output.logits).collect();
        let logits = Tensor::cat(&logits, 0)?;
        let mut output = rows.swap_remove(0);
        output.logits = logits;
        Ok(output)
    }

    fn mean_embedding(&self) -> glossator_models::Result<Tensor> {
        self.0.mean_embedding()
    }

    fn sha256(&self) -> String {
        self.0.sha256()
    }

    fn parameters(&self) -> &[(String, Var)] {
        self.0.parameters()
    }

    fn first_bad_weight(&self) -> glossator_models::Result<Option<String>> {
        self.0.first_bad_weight()
    }
}

/// A linear classifier: the logits are a map of the mean embedding.
fn linear(seed: u64) -> ByRow {
    let weights = random(seed + 1, &[3, 4]);
    ByRow(Closed::new(3, 4, seed, move |x| x.mean(1)?.matmul(&weights)))
}

/// A small classifier that is not linear.
fn curved(seed: u64) -> ByRow {
    let (first, second) = (random(seed + 1, &[3, 5]), random(seed + 2, &[5, 3]));
    ByRow(Closed::new(3, 3, seed, move |x| {
        let (rows, tokens, width) = x.dims3()?;
        let hidden = x.contiguous()?.reshape((rows * tokens, width))?.matmul(&first)?.tanh()?;
        let pooled = hidden.reshape((rows, tokens, 5))?.sum(1)?.affine(1.3, 0.0)?.tanh()?;
        pooled.matmul(&second)
    }))
}

fn sentence() -> impl Strategy<Value = String> {
    prop::collection::vec(0..WORDS.len(), 1..7)
        .prop_map(|words| words.iter().map(|&w| WORDS[w]).collect::<Vec<_>>().join(" "))
}

/// Tiny models of every tokenizer: word pieces, byte-level BPE, SentencePiece (unigram and BPE).
const CLASSIFIERS: [&str; 6] = [
    "bert-cls",
    "gpt2-sequence-classification",
    "roberta-sequence-classification",
    "llama-sequence-classification",
    "albert-sequence-classification",
    "deberta-v3-sequence-classification",
];

/// Texts in several scripts, with what a text can have.
const TEXTS: [&str; 7] = [
    "the film was good and we loved it",
    "我电我电",
    "the 电 film, 我 loved it!",
    "Good",
    "don't   like\tit ...",
    "é ünïcode 😀 ok",
    ".",
];

fn masked() -> Box<dyn Model> {
    tiny("bert-masked-lm")
}

fn aimed<'a>(model: &'a dyn Model, attack: &'a dyn Attack, target: &str) -> Attacker<'a> {
    let mut attacker = Attacker::new(model, attack);
    attacker.aim = Aim::Become(target.to_owned());
    attacker
}

fn entities(model: &dyn Model, input: &Input) -> Vec<(String, String)> {
    let Prediction::TokenClassification(entities) = predict(model, input, &TaskOptions::default())
    else {
        panic!("no entities")
    };
    let text = &input.text;
    entities.into_iter().map(|e| (text[e.span].trim().to_owned(), e.label)).collect()
}

/// A copy of a tiny model with other names for its labels.
fn renamed(name: &str, names: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = testdata("models").join(name);
    for file in std::fs::read_dir(&from).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let config = std::fs::read_to_string(from.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let new = |old: &str| names.iter().find(|(o, _)| *o == old).map_or(old, |(_, n)| n).to_owned();
    let labels = config["id2label"].as_object().unwrap().clone();
    let named =
        |(id, label): (&String, &serde_json::Value)| (id.clone(), new(label.as_str().unwrap()));
    let labels: std::collections::BTreeMap<String, String> = labels.iter().map(named).collect();
    config["label2id"] = labels
        .iter()
        .map(|(id, l)| (l.clone(), id.parse::<u64>().unwrap().into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    config["id2label"] = serde_json::to_value(labels).unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

fn answer(model: &dyn Model, input: &Input) -> String {
    let Prediction::QuestionAnswering(answers) = predict(model, input, &TaskOptions::default())
    else {
        panic!("no answers")
    };
    input.text[answers[0].span.clone().unwrap()].trim().to_owned()
}

fn built(options: &Options) -> Vec<Box<dyn attack::Constraint>> {
    constraints::build(options, &|name| Ok(tiny(name))).unwrap()
}
