//! The models of the repository: each is whole, has a card and a licence, and says what it should of
//! an input that nobody would disagree on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use glossator_interpret::prediction::Prediction;
use glossator_interpret::tasks::{Input, TaskOptions};
use glossator_interpret::{Explainer, Gradient, Quantity, TargetSpec};
use glossator_models::{LoadOptions, load};

/// The repository is cloned whole: together they may not be larger.
const MOST_BYTES: u64 = 90_000_000;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"))
}

fn bytes(path: &Path) -> u64 {
    let metadata = path.metadata().unwrap();
    if metadata.is_file() {
        return metadata.len();
    }
    std::fs::read_dir(path).unwrap().map(|entry| bytes(&entry.unwrap().path())).sum()
}

/// What a model says of an input, in a word or two.
fn says(name: &str, input: &Input) -> String {
    let model = load(&folder().join(name), &LoadOptions::default()).unwrap();
    let method = Gradient::default();
    let explainer = Explainer::new(model.as_ref(), &method);
    let options = TaskOptions::default();
    let answer =
        explainer.explain_input(input, &options, &TargetSpec::Predicted, Quantity::Logit).unwrap();
    assert!(!answer.explanations.is_empty(), "{name}");
    match answer.prediction {
        Prediction::TextClassification(classes) => classes.labels[classes.best()].label.clone(),
        Prediction::TokenClassification(entities) => {
            let entity = |e: &glossator_interpret::prediction::Entity| {
                format!("{} {}", &input.text[e.span.clone()], e.label)
            };
            entities.iter().map(entity).collect::<Vec<_>>().join(", ")
        }
        Prediction::QuestionAnswering(answers) => {
            input.text[answers[0].span.clone().unwrap()].to_owned()
        }
        Prediction::CausalLm(choices) | Prediction::MaskedLm(choices) => {
            choices[0].chosen.text.clone()
        }
        other => panic!("{name}: {other:?}"),
    }
}

/// Models with an input and what is right of it.
fn examples() -> Vec<(&'static str, Input, &'static str)> {
    vec![
        ("sentiment-en", Input::text("a touching , funny and wise film"), "positive"),
        ("sentiment-lstm-en", Input::text("a tedious , lifeless mess"), "negative"),
        ("sentiment-zh", Input::text("房间很干净，服务也很好"), "正面"),
        ("characters-en", Input::text("the princ"), "e"),
        (
            "masked-en",
            Input::text("The film was released in the United [MASK] in 2005 ."),
            "states",
        ),
        (
            "qa-en",
            Input::question(
                "How is the battery?",
                "The screen is bright but the battery life is very short.",
            ),
            "the battery life is very short",
        ),
        (
            "nli-en",
            Input::pair("Two women are walking in the park.", "Nobody is outside."),
            "contradiction",
        ),
        (
            "ner-en",
            Input::text("Angela Merkel met Barack Obama in Berlin"),
            "Angela Merkel PER, Barack Obama PER, Berlin LOC",
        ),
    ]
}

#[test]
fn each_says_what_it_should() {
    for (name, input, right) in examples() {
        assert_eq!(says(name, &input), right, "{name}");
    }
}

#[test]
fn each_is_whole_described_and_licensed() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let card = std::fs::read_to_string(dir.join("MODEL_CARD.md")).unwrap();
        assert!(card.starts_with("---\nlicense: "), "{name}");
        for part in ["tools/recipes/", "## Scores", "What limits it"] {
            assert!(card.contains(part), "{name}: the card lacks {part:?}");
        }
        assert!(dir.join("LICENSE").is_file(), "{name}");
        load(&dir, &LoadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        names.push(name);
    }
    let mut tried: Vec<_> = examples().into_iter().map(|(name, ..)| name.to_owned()).collect();
    names.sort();
    tried.sort();
    assert_eq!(names, tried);
    let all = bytes(&folder());
    assert!(all < MOST_BYTES, "{all} bytes");
}
