//! Attacks keep their promises: on every tokenizer and task, at every edge, and against brute force.
//!
//! Names such as H1 are the defects of an earlier toolkit's attacks, each of which has a test here
//! that shows that this one does not have it. Numbers in parentheses are those of the list of
//! invariants that the project keeps for its property tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/closed.rs"]
#[expect(dead_code, reason = "each test binary uses some of it")]
mod closed;
#[expect(dead_code, reason = "each test binary uses some of it")]
mod common;

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

proptest! {
    #![proptest_config(few(12))]

    /// (36) On a linear model the first-order score is the true change, for every flip.
    #[test]
    fn first_order_is_exact_on_linear_models(seed in 0_u64..1000, text in sentence()) {
        let model = linear(seed);
        let settings = HotFlip { insert: false, ..HotFlip::default() };
        let attacker = Attacker::new(&model, &settings);
        let logits = |text: &str| {
            let prediction = predict(&model, &Input::text(text), &TaskOptions::default());
            prediction.labels().iter().map(|label| label.logit).collect::<Vec<_>>()
        };
        let before = logits(&text);
        let best = label(&model, &text);
        let mut order: Vec<usize> = (0..before.len()).filter(|&c| c != best).collect();
        order.sort_by(|&a, &b| before[b].total_cmp(&before[a]));
        let rival = order[0];
        let (_, flips) = attacker
            .each(&Input::text(text.as_str()), |case| {
                let flips = hotflip::first_order(case, &settings, 1000)?;
                Ok(flips.into_iter().map(|f| (case.texts.with(f.edit).unwrap(), f.gain)).collect::<Vec<_>>())
            })
            .unwrap();
        let words = text.split(' ').count();
        // Every other word at each place; no place may be missing, no own word may be there.
        prop_assert_eq!(flips[0].len(), words * (WORDS.len() - 1));
        for (texts, gain) in &flips[0] {
            let after = logits(&texts.render()[0]);
            let change = (after[rival] - after[best]) - (before[rival] - before[best]);
            // The products with the vocabulary are in f32.
            prop_assert!((change - gain).abs() < 1e-5, "{gain} {change}");
        }
    }

    /// (37, 40) A success is one for whoever reads the text; a wider beam never needs more edits
    /// than the certificate of a narrow one allows.
    #[test]
    fn successes_hold_on_the_text(seed in 0_u64..1000, text in sentence(), beam in 1_usize..4) {
        let model = curved(seed);
        let attack = HotFlip { beam, ..HotFlip::default() };
        let result = run(&model, &attack, &Input::text(text.as_str())).results.remove(0);
        let turned = label(&model, &result.texts.render()[0]) != label(&model, &text);
        prop_assert_eq!(result.success, turned);
        prop_assert!(result.texts.edits().iter().all(|edit| edit.from != edit.to));
    }

    /// Brute force over all replacements finds the same smallest number of flips.
    #[test]
    fn certificates_agree_with_brute_force(seed in 0_u64..300, text in sentence()) {
        let model = curved(seed);
        let certify = Some(Exhaustive { replacements: 3, passes: 100_000 });
        let attack = HotFlip { max_edits: 3, certify, ..HotFlip::default() };
        let input = Input::text(text.as_str());
        let result = run(&model, &attack, &input).results.remove(0);
        // The stated set: three replacements of each word, by the first-order score.
        let single = HotFlip::default();
        let (_, sets) = Attacker::new(&model, &single)
            .each(&input, |case| {
                let flips = hotflip::first_order(case, &single, 10_000)?;
                let mut sets = std::collections::BTreeMap::<usize, Vec<String>>::new();
                for flip in flips {
                    let set = sets.entry(flip.edit.start).or_default();
                    if set.len() < 3 {
                        set.push(flip.edit.to);
                    }
                }
                Ok(sets)
            })
            .unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let own = label(&model, &text);
        // Every text with any of its words replaced: base 4 numbers.
        let mut smallest = None;
        for code in 1..4_usize.pow(words.len() as u32) {
            let mut rest = code;
            let mut edited: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
            let (mut edits, mut at) = (0, 0);
            for word in &mut edited {
                let digit = rest % 4;
                rest /= 4;
                let start = at;
                at += word.len() + 1;
                if digit > 0 {
                    edits += 1;
                    word.clone_from(&sets[0][&start][digit - 1]);
                }
            }
            if edits <= 3 && smallest.is_none_or(|least| edits < least) && label(&model, &edited.join(" ")) != own {
                smallest = Some(edits);
            }
        }
        match (result.success, result.certificate.unwrap()) {
            (true, Certificate::Minimal { size, .. }) => {
                prop_assert_eq!(size, result.texts.edits().len());
                // The beam may also have left the stated set for something smaller.
                prop_assert!(smallest.is_none_or(|least| size <= least), "{size} {smallest:?}");
            }
            (false, Certificate::Nothing { .. }) => prop_assert_eq!(smallest, None),
            (success, other) => prop_assert!(false, "{success} {other:?}"),
        }
    }

    /// (39, 40) A reduction keeps the prediction, is a part of the text in its order, has a word
    /// left, and finds nothing more in its own output; certified it is as short as brute force.
    #[test]
    fn reductions_are_shortest(seed in 0_u64..1000, text in sentence(), allennlp in any::<bool>()) {
        let model = curved(seed);
        let rule = if allennlp { Rule::AllenNlp } else { Rule::Feng };
        let words: Vec<&str> = text.split(' ').collect();
        let own = label(&model, &text);
        let mut shortest = words.len();
        for mask in 1..1_usize << words.len() {
            let left: Vec<&str> = (0..words.len()).filter(|w| mask >> w & 1 == 1).map(|w| words[w]).collect();
            if left.len() < shortest && label(&model, &left.join(" ")) == own {
                shortest = left.len();
            }
        }
        for certify in [None, Some(Exhaustive::default())] {
            let attack = InputReduction { rule, certify, ..InputReduction::default() };
            let result = run(&model, &attack, &Input::text(text.as_str())).results.remove(0);
            let reduced = result.texts.render().remove(0);
            let left: Vec<&str> = reduced.split(' ').collect();
            prop_assert_eq!(label(&model, &reduced), own);
            prop_assert!(!reduced.is_empty());
            // A part of the text in its order, and exactly the tokens that are said to be kept.
            let encoding = model.encode(&text, false).unwrap();
            let kept = result.kept.clone().unwrap();
            let spelled: Vec<&str> = kept.iter().map(|&t| &text[encoding.tokens[t].start..encoding.tokens[t].end]).collect();
            prop_assert_eq!(&spelled, &left);
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(result.success, left.len() < words.len());
            prop_assert!(left.len() >= shortest);
            for other in &result.others {
                prop_assert_eq!(other.render()[0].split(' ').count(), left.len());
                prop_assert_eq!(label(&model, &other.render()[0]), own);
            }
            let again = run(&model, &attack, &Input::text(reduced.as_str())).results.remove(0);
            prop_assert_eq!(&again.texts.render()[0], &reduced, "idempotent");
            if certify.is_some() && words.len() > 1 {
                prop_assert_eq!(left.len(), shortest);
                let proven = matches!(result.certificate, Some(Certificate::Minimal { size, .. }) if size == shortest);
                prop_assert!(proven, "{:?}", result.certificate);
            }
        }
    }
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

#[test]
fn every_tokenizer_and_script_holds_its_promises() {
    for name in CLASSIFIERS {
        let model = tiny(name);
        let model = model.as_ref();
        for text in TEXTS {
            for grain in [Grain::Word, Grain::Token] {
                let attack = HotFlip {
                    grain,
                    insert: true,
                    delete: true,
                    punctuation: true,
                    max_edits: 2,
                    candidates: 12,
                    ..HotFlip::default()
                };
                let result = run(model, &attack, &Input::text(text)).results.remove(0);
                check_flip(model, text, &result, name);
            }
            let result =
                run(model, &InputReduction::default(), &Input::text(text)).results.remove(0);
            let reduced = &result.texts.render()[0];
            assert_eq!(label(model, reduced), label(model, text), "{name} {text:?} {reduced:?}");
            assert!(!reduced.trim().is_empty());
            let greedy = Greedy { candidates: 5, max_edits: 2, ..Greedy::default() };
            let result = run(model, &greedy, &Input::text(text)).results.remove(0);
            check_flip(model, text, &result, name);
        }
    }
}

#[track_caller]
fn check_flip(model: &dyn Model, text: &str, result: &AttackResult, name: &str) {
    let edited = &result.texts.render()[0];
    let turned = label(model, edited) != label(model, text);
    assert_eq!(result.success, turned, "{name}: {text:?} -> {edited:?}");
    let ids = |text: &str| model.encode(text, false).unwrap().ids();
    if !result.texts.edits().is_empty() {
        assert_ne!(ids(text), ids(edited), "{name}: a flip that changes nothing: {edited:?}");
    }
    for edit in result.texts.edits() {
        // H9: no special token, no replacement character, and the edit is of whole characters.
        let added = ids(&format!(" {}", edit.to));
        let special = |id: &u32| model.tokenizer().is_special(*id);
        let known = ids("");
        assert!(added.iter().all(|id| !special(id) || known.contains(id)), "{name}: {edit:?}");
        assert!(!edit.to.contains('\u{fffd}') && !edit.to.contains("##"), "{name}: {edit:?}");
        assert_eq!(&text[edit.start..edit.end], edit.from);
    }
}

/// H1: AllenNLP's greedy search put the same word everywhere and gave up without saying so.
#[test]
fn h1_failure_is_said_and_words_differ() {
    let model = tiny("bert-cls");
    // A target that a constraint keeps out of reach.
    let options = Options::new().with("min-cosine", "0.999");
    let constraints = constraints::build(&options, &|_| unreachable!()).unwrap();
    let attack = HotFlip::default();
    let attacker = Attacker::new(model.as_ref(), &attack).with_constraints(&constraints);
    let result =
        attacker.attack_input(&Input::text("the film was good")).unwrap().results.remove(0);
    assert!(!result.success);
    assert_eq!(result.stopped, Stopped::Fixed);
    assert!(!result.notes.is_empty());
    let (_, flips) = Attacker::new(model.as_ref(), &attack)
        .each(&Input::text("the film was good and we loved it"), |case| {
            hotflip::first_order(case, &attack, 30)
        })
        .unwrap();
    for part in [|f: &attack::Flip| f.edit.to.clone(), |f: &attack::Flip| f.edit.start.to_string()]
    {
        let distinct: std::collections::BTreeSet<_> = flips[0].iter().map(part).collect();
        assert!(distinct.len() >= 3, "one of a kind: {distinct:?}");
    }
}

/// H2: a flip is never a no-op, not even after letters are made small.
#[test]
fn h2_no_flip_changes_nothing() {
    let model = tiny("bert-cls");
    let attack = HotFlip { candidates: 100_000, ..HotFlip::default() };
    let input = Input::text("The FILM was Good");
    let (_, edited) = Attacker::new(model.as_ref(), &attack)
        .each(&input, |case| {
            let flips = hotflip::first_order(case, &attack, 100_000)?;
            Ok(flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect::<Vec<_>>())
        })
        .unwrap();
    let own = model.encode(&input.text, false).unwrap().ids();
    assert!(edited[0].len() > 100);
    for texts in &edited[0] {
        assert_ne!(model.encode(&texts.render()[0], false).unwrap().ids(), own, "{texts:?}");
    }
    let capital = edited[0].iter().filter(|texts| texts.edits()[0].start == 0);
    for texts in capital {
        assert!(texts.edits()[0].to.starts_with(char::is_uppercase), "{texts:?}");
    }
}

fn masked() -> Box<dyn Model> {
    tiny("bert-masked-lm")
}

fn aimed<'a>(model: &'a dyn Model, attack: &'a dyn Attack, target: &str) -> Attacker<'a> {
    let mut attacker = Attacker::new(model, attack);
    attacker.aim = Aim::Become(target.to_owned());
    attacker
}

/// H3: the target of a masked language model is a token, not its first character.
#[test]
fn h3_a_target_is_a_whole_token() {
    let model = masked();
    let attack = HotFlip { max_edits: 6, ..HotFlip::default() };
    let input = Input::text("the [MASK] was good and we loved it");
    let attacker = aimed(model.as_ref(), &attack, "film");
    let results = attacker.attack_input(&input).unwrap().results;
    for result in results.iter().filter(|result| result.success) {
        let edited = final_input(model.as_ref(), &input, result);
        let prediction = predict(model.as_ref(), &edited, &TaskOptions::default());
        let Prediction::MaskedLm(choices) = prediction else { panic!("{prediction:?}") };
        assert_eq!(choices[0].chosen.text, "film");
    }
    let error = fails(&aimed(model.as_ref(), &attack, "zebracrossing"), &input);
    assert!(error.to_string().contains("zebracrossing"), "{error}");
}

fn entities(model: &dyn Model, input: &Input) -> Vec<(String, String)> {
    let Prediction::TokenClassification(entities) = predict(model, input, &TaskOptions::default())
    else {
        panic!("no entities")
    };
    let text = &input.text;
    entities.into_iter().map(|e| (text[e.span].trim().to_owned(), e.label)).collect()
}

/// H4, H11: each entity is attacked by itself; none is no crash; plain, IO and BIO tags all do.
#[test]
fn h4_h11_each_entity_by_itself() {
    for name in [
        "bert-token-classification",
        "roberta-token-classification",
        "xlm-roberta-token-classification",
        "electra-token-classification",
    ] {
        let model = tiny(name);
        let model = model.as_ref();
        for text in ["we loved the film and the cat was good", "我电 the cat", "cat"] {
            let input = Input::text(text);
            let before = entities(model, &input);
            let attack = HotFlip { max_edits: 3, ..HotFlip::default() };
            let attacked = run(model, &attack, &input);
            assert_eq!(attacked.results.len(), before.len(), "{name}: one result an entity");
            for (result, entity) in attacked.results.iter().zip(&before) {
                let edited = final_input(model, &input, result);
                let still = entities(model, &edited).contains(entity);
                if result.success {
                    assert!(
                        !still || edited.text.matches(&entity.0).count() > 1,
                        "{name} {entity:?}"
                    );
                }
                // Its own words are there in any case.
                assert!(edited.text.contains(&entity.0), "{name}: {entity:?} in {edited:?}");
            }
            let reduced = run(model, &InputReduction::default(), &input);
            for (result, entity) in reduced.results.iter().zip(&before) {
                let edited = final_input(model, &input, result);
                assert!(entities(model, &edited).contains(entity), "{name} {entity:?} {edited:?}");
            }
        }
    }
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

/// A text without entities: an empty answer.
#[test]
fn no_entity_is_an_answer() {
    let name = "bert-token-classification";
    let own = entities(tiny(name).as_ref(), &Input::text("cat"));
    // The label of this word and that of no entity change their names.
    let begin = format!("B-{}", own[0].1);
    let inside = format!("I-{}", own[0].1);
    let none = [begin, inside].into_iter().find_map(|label| {
        let dir = renamed(name, &[(label.as_str(), "O"), ("O", label.as_str())]);
        let model = open(dir.path(), DType::F64);
        entities(model.as_ref(), &Input::text("cat")).is_empty().then_some(model)
    });
    let model = none.unwrap();
    for attack in attack::ATTACKS {
        let attack = (attack.build)(&Options::new()).unwrap();
        let attacked = run(model.as_ref(), attack.as_ref(), &Input::text("cat"));
        assert!(attacked.results.is_empty());
    }
}

fn answer(model: &dyn Model, input: &Input) -> String {
    let Prediction::QuestionAnswering(answers) = predict(model, input, &TaskOptions::default())
    else {
        panic!("no answers")
    };
    input.text[answers[0].span.clone().unwrap()].trim().to_owned()
}

/// H5: answers are compared by their text, whichever field is attacked.
#[test]
fn h5_answers_are_told_apart_by_their_text() {
    for name in
        ["bert-question-answering", "roberta-question-answering", "albert-question-answering"]
    {
        let model = tiny(name);
        let model = model.as_ref();
        let context = "the film was good and we loved it . the cat was a film";
        let input = Input::question("was the cat good", context);
        let own = answer(model, &input);
        for field in ["question", "context"] {
            let reduction = InputReduction::default();
            let mut attacker = Attacker::new(model, &reduction);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            let reduced = final_input(model, &input, &result);
            assert_eq!(answer(model, &reduced), own, "{name} {field}");
            if field == "context" {
                assert!(reduced.text.contains(&own));
                assert_eq!(reduced.pair, input.pair);
                // AllenNLP took none away: any change of the context was a change of the answer.
                assert!(result.success || own.len() * 2 > context.len(), "{name}: {reduced:?}");
            } else {
                assert_eq!(reduced.text, input.text);
            }
            let hotflip = HotFlip { max_edits: 2, ..HotFlip::default() };
            let mut attacker = Attacker::new(model, &hotflip);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            let edited = final_input(model, &input, &result);
            assert_eq!(answer(model, &edited) != own, result.success, "{name} {field}");
        }
    }
}

/// H6: masks are found again by their order, so that texts can be reduced.
#[test]
fn h6_masked_texts_are_reduced() {
    for (name, mask) in [("bert-masked-lm", "[MASK]"), ("roberta-masked-lm", "<mask>")] {
        let model = tiny(name);
        let text = format!("we loved the {mask} and the cat was {mask} and good");
        let input = Input::text(text);
        let fillers = |input: &Input| {
            let prediction = predict(model.as_ref(), input, &TaskOptions::default());
            let Prediction::MaskedLm(choices) = prediction else { panic!("{prediction:?}") };
            choices.into_iter().map(|choice| choice.chosen.id).collect::<Vec<_>>()
        };
        let before = fillers(&input);
        let attacked = run(model.as_ref(), &InputReduction::default(), &input);
        assert_eq!(attacked.results.len(), 2);
        for (order, result) in attacked.results.iter().enumerate() {
            let reduced = final_input(model.as_ref(), &input, result);
            assert_eq!(reduced.text.matches(mask).count(), 2, "{reduced:?}");
            assert_eq!(fillers(&reduced)[order], before[order]);
        }
        assert!(attacked.results.iter().any(|result| result.success), "{name}");
    }
}

fn built(options: &Options) -> Vec<Box<dyn attack::Constraint>> {
    constraints::build(options, &|name| Ok(tiny(name))).unwrap()
}

/// H7: protected words stay, in every attack.
#[test]
fn h7_protected_words_stay() {
    let model = tiny("bert-cls");
    let text = "the film was not good but very touching";
    let constraints = built(&Options::new().with("protect", "Not, touching,film"));
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let attacker =
            Attacker::new(model.as_ref(), attack.as_ref()).with_constraints(&constraints);
        let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
        for word in ["not", "touching", "film"] {
            let edited = &result.texts.render()[0];
            assert!(edited.split(' ').any(|w| w == word), "{}: {edited}", entry.info.id);
        }
    }
    let all = built(&Options::new().with("protect", &text.replace(' ', ",")));
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let attacker = Attacker::new(model.as_ref(), attack.as_ref()).with_constraints(&all);
        let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
        assert!(!result.success, "{}", entry.info.id);
        assert_eq!(result.stopped, Stopped::Fixed);
        assert_eq!(result.texts.render()[0], text);
        assert!(!result.notes.is_empty());
    }
}

/// H8: a beam's survivors are its best, whoever their parent is: a wider beam is at least as good
/// on average, and reversed word order changes nothing about which words can be left.
#[test]
fn h8_the_beam_keeps_the_best() {
    let mut lengths = [0, 0];
    for seed in 0..20 {
        let model = curved(seed);
        for (beam, length) in [1, 5].into_iter().zip(&mut lengths) {
            let attack = InputReduction { beam, ..InputReduction::default() };
            let input = Input::text("a b c d e f g h");
            let result = run(&model, &attack, &input).results.remove(0);
            *length += result.texts.render()[0].split(' ').count();
        }
    }
    assert!(lengths[1] <= lengths[0], "{lengths:?}");
}

/// H10, H14: the candidates come from the model's own vocabulary, whatever its tokenizer, and an id
/// is never taken for another's.
#[test]
fn h10_h14_every_vocabulary_is_its_own() {
    for name in CLASSIFIERS {
        let model = tiny(name);
        let vocabulary = attack::Vocabulary::new(model.as_ref()).unwrap();
        assert!(vocabulary.entries().len() > 20, "{name}: {vocabulary:?}");
        for (place, entry) in vocabulary.entries().iter().enumerate() {
            assert_eq!(vocabulary.place(entry.id), Some(place));
            assert!(!model.tokenizer().is_special(entry.id), "{name}: {entry:?}");
            let name_of = model.tokenizer().id_to_token(entry.id).unwrap();
            let plain = name_of.trim_start_matches(['Ġ', '▁']).trim_start_matches("##").to_owned();
            if entry.text.is_ascii() {
                assert_eq!(entry.text, plain, "{name}");
            }
        }
        // A word in the middle of a text is the token that the vocabulary says.
        let words =
            vocabulary.entries().iter().filter(|e| e.form == attack::vocabulary::Form::Begins);
        let mut same = 0;
        let words: Vec<_> = words.filter(|e| e.text.is_ascii()).take(30).collect();
        for entry in &words {
            let ids = model.encode(&format!("the {} the", entry.text), false).unwrap().ids();
            same += usize::from(ids.contains(&entry.id));
        }
        assert!(same * 2 >= words.len(), "{name}: {same} of {}", words.len());
    }
}

struct Counter {
    passes: AtomicUsize,
    cancel_after: usize,
}

impl Progress for Counter {
    fn evaluated(&self, count: usize) {
        self.passes.fetch_add(count, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.passes.load(Ordering::Relaxed) >= self.cancel_after
    }
}

/// A gradient at a text that was just read by itself needs no second pass, and is the same.
#[test]
fn kept_passes_serve_the_next_gradient() {
    for (name, input) in [
        ("bert-cls", Input::text("the film was good")),
        ("gpt2", Input::text("the film was good")),
        ("bert-masked-lm", Input::text("the [MASK] was good")),
    ] {
        let (model, options) = (tiny(name), TaskOptions::default());
        let victim =
            || attack::Victim::new(model.as_ref(), &input, &options, Limits::default(), &Silent);
        let (plain, keeping) = (victim(), victim().keeping_passes());
        let texts = [input.text.clone()];
        let method = Gradient { reduction: glossator_interpret::Reduction::L2 };
        let explainer = Explainer::new(model.as_ref(), &method);
        let (spec, quantity) = (TargetSpec::Predicted, Quantity::Logit);
        let mut answer = explainer.explain_input(&input, &options, &spec, quantity).unwrap();
        let target = answer.explanations.swap_remove(0).target;
        let mut slopes = Vec::new();
        for (victim, passes) in [(&plain, 2), (&keeping, 1)] {
            let reading = victim.read(&texts).unwrap();
            slopes.push(victim.gradients(&[(&reading.windows[0], target.clone())]).unwrap());
            assert_eq!((victim.passes(), victim.gradient_evaluations()), (passes, 1), "{name}");
        }
        assert_eq!(slopes[0][0].gradient, slopes[1][0].gradient, "{name}");
        // Another text's gradient is not that of the text that was kept.
        let other = keeping.encode(&[input.text.replace("good", "bad")]).unwrap();
        let other = keeping.gradients(&[(&other.windows[0], target.clone())]).unwrap();
        assert_ne!(other[0].gradient, slopes[1][0].gradient, "{name}");
        assert_eq!(keeping.passes(), 2, "{name}");
    }
}

/// The greedy search asks anything that judges texts: here, whether "good" and "fine" are gone.
#[test]
fn a_black_box_of_ones_own_is_searched() {
    let texts = attack::EditedTexts::new(vec!["a good and fine film".to_owned()]);
    let word = |from: &str, to: &str| {
        let start = texts.originals()[0].find(from).unwrap();
        let (from, to) = (from.to_owned(), to.to_owned());
        attack::Edit { field: 0, start, end: start + from.len(), from, to }
    };
    let proposals =
        [vec![word("good", "bad")], vec![word("fine", "foul")], vec![word("film", "movie")]];
    let places: Vec<_> = proposals.iter().map(|p| (0, p[0].start..p[0].end)).collect();
    let mut asked = 0;
    let mut judge = |tried: Vec<attack::EditedTexts>| {
        asked += tried.len();
        let judged = tried.into_iter().map(|texts| {
            let text = texts.render().swap_remove(0);
            let left = ["good", "fine"].iter().filter(|word| text.contains(**word)).count();
            attack::Tried::new(texts, left == 0, -(left as f64))
        });
        Ok((judged.collect(), false))
    };
    let found = attack::greedy::search(&texts, &places, &proposals, 3, &mut judge).unwrap();
    assert!(found.reached && !found.spent);
    assert_eq!(found.texts.render(), ["a bad and foul film"]);
    // Each word left out, two replacements, and each of them taken back.
    assert_eq!(asked, 3 + 2 + 2);
}

/// H12: budgets of passes and of time hold, progress is told, and a caller can stop it.
#[test]
fn h12_budgets_progress_and_cancelling() {
    let model = tiny("bert-cls");
    let input = Input::text("the film was good and we loved it");
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        for limit in [1, 2, 7, 30] {
            let counter = Counter { passes: AtomicUsize::new(0), cancel_after: usize::MAX };
            let mut attacker =
                Attacker::new(model.as_ref(), attack.as_ref()).with_progress(&counter);
            attacker.limits = Limits { passes: Some(limit), time: None };
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            // Reading the text at first and the final one by itself are beyond it.
            assert!(
                result.forward_passes <= limit + 3,
                "{} {limit}: {}",
                entry.info.id,
                result.forward_passes
            );
            assert_eq!(counter.passes.load(Ordering::Relaxed), result.forward_passes + 1);
            if !result.success && result.stopped != Stopped::Searched {
                assert_eq!(result.stopped, Stopped::Spent, "{} {limit}", entry.info.id);
            }
        }
        let mut attacker = Attacker::new(model.as_ref(), attack.as_ref());
        attacker.limits = Limits { passes: None, time: Some(Duration::ZERO) };
        let result = attacker.attack_input(&input).unwrap().results.remove(0);
        assert!(!result.success);
        assert_eq!(result.stopped, Stopped::Spent, "{}", entry.info.id);
        let counter = Counter { passes: AtomicUsize::new(0), cancel_after: 2 };
        let attacker = Attacker::new(model.as_ref(), attack.as_ref()).with_progress(&counter);
        assert!(matches!(fails(&attacker, &input), Error::Cancelled), "{}", entry.info.id);
    }
}

/// H13: of several masks each is a decision of its own, and can be chosen.
#[test]
fn h13_every_decision_counts() {
    let model = masked();
    let attack = HotFlip { max_edits: 4, ..HotFlip::default() };
    let input = Input::text("we [MASK] the film and the [MASK] was good");
    let all = run(model.as_ref(), &attack, &input);
    assert_eq!(all.results.len(), 2);
    let mut attacker = Attacker::new(model.as_ref(), &attack);
    attacker.decision = DecisionChoice::parse("2");
    let second = attacker.attack_input(&input).unwrap().results;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].texts, all.results[1].texts);
    attacker.decision = DecisionChoice::parse("3");
    assert!(fails(&attacker, &input).to_string().contains("no such decision"));
}

/// H15: the next token of a language model is a token too.
#[test]
fn h15_the_next_token_is_a_whole_token() {
    for name in ["gpt2", "llama", "mistral"] {
        let model = tiny(name);
        let model = model.as_ref();
        let input = Input::text("the film was good and the");
        let next = |input: &Input| {
            let prediction = predict(model, input, &TaskOptions::default());
            let Prediction::CausalLm(choices) = prediction else { panic!("{prediction:?}") };
            choices[0].chosen.clone()
        };
        let attack = HotFlip { max_edits: 4, ..HotFlip::default() };
        let result = run(model, &attack, &input).results.remove(0);
        let edited = final_input(model, &input, &result);
        assert_eq!(next(&edited).id != next(&input).id, result.success, "{name}");
        // A target that the flip itself showed to be in reach.
        let wanted = next(&edited);
        let named = model.tokenizer().id_to_token(wanted.id).unwrap();
        if result.success && model.tokenizer().token_to_id(&named) == Some(wanted.id) {
            let mut attacker = Attacker::new(model, &attack);
            attacker.aim = Aim::Become(named.clone());
            if let Ok(attacked) = attacker.attack_input(&input) {
                let result = &attacked.results[0];
                if result.success {
                    let last = next(&final_input(model, &input, result));
                    assert_eq!(model.tokenizer().id_to_token(last.id).unwrap(), named);
                }
            }
        }
    }
}

/// F5: what is left is told by index, so that of two equal words the right one is meant.
#[test]
fn f5_kept_words_are_told_by_index() {
    let model = bundled();
    let text = "good , bad , good , bad and bad , good , bad";
    let result =
        run(model.as_ref(), &InputReduction::default(), &Input::text(text)).results.remove(0);
    let encoding = model.encode(text, false).unwrap();
    let kept = result.kept.unwrap();
    let at: Vec<usize> = kept.iter().map(|&t| encoding.tokens[t].start).collect();
    for edit in result.texts.edits() {
        assert!(at.iter().all(|start| !(edit.start..edit.end).contains(start)), "{edit:?} {at:?}");
    }
    let spelled: Vec<&str> =
        kept.iter().map(|&t| &text[encoding.tokens[t].start..encoding.tokens[t].end]).collect();
    assert_eq!(spelled.join(" "), result.texts.render()[0]);
}

/// (38) Whatever a constraint demands holds for every output.
#[test]
fn constraints_hold_on_every_output() {
    let model = bundled();
    let texts = ["a touching and funny film", "it is boring and much too long", "A GOOD Story"];
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("words.txt");
    std::fs::write(&list, "bad\nfilm\ngreat\nawful\nwonderful\nshort\n").unwrap();
    let list = list.to_str().unwrap();
    for (name, value) in [
        ("max-distance", "2"),
        ("min-cosine", "0.3"),
        ("dictionary", "vocabulary"),
        ("dictionary", list),
    ] {
        let constraints = built(&Options::new().with(name, value));
        assert_eq!(constraints.len(), 1);
        for attack in [&HotFlip::default() as &dyn Attack, &Greedy::default()] {
            let attacker = Attacker::new(model.as_ref(), attack).with_constraints(&constraints);
            for text in texts {
                let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
                for edit in result.texts.edits() {
                    let to = edit.to.to_lowercase();
                    match (name, value) {
                        ("max-distance", _) => assert!(edit.from.len().abs_diff(to.len()) <= 2),
                        ("dictionary", "vocabulary") => {
                            let ids = model.tokenizer().ids_of(&to).unwrap();
                            assert_eq!(ids.len(), 1, "{edit:?}");
                        }
                        ("dictionary", _) => assert!(
                            ["bad", "film", "great", "awful", "wonderful", "short"]
                                .contains(&to.as_str()),
                            "{edit:?}"
                        ),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn models_judge_edits() {
    let model = tiny("bert-cls");
    let text = "the film was good and we loved it";
    for (name, other) in
        [("plausible-by", "bert-masked-lm"), ("similar-by", "bert-sentence-similarity")]
    {
        let loose = Options::new().with(name, other);
        let strict = match name {
            "plausible-by" => loose.clone().with("plausible-rank", "1"),
            _ => loose.clone().with("min-similarity", "1"),
        };
        let count = |options: &Options| {
            let constraints = built(options);
            let attack = HotFlip { max_edits: 1, candidates: 40, ..HotFlip::default() };
            let (_, allowed) = Attacker::new(model.as_ref(), &attack)
                .each(&Input::text(text), |case| {
                    let flips = hotflip::first_order(case, &attack, 40)?;
                    let texts: Vec<_> =
                        flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect();
                    let allowed = constraints[0].allows_texts(&texts.iter().collect::<Vec<_>>())?;
                    Ok(allowed.into_iter().filter(|&allowed| allowed).count())
                })
                .unwrap();
            allowed[0]
        };
        let (few, many) = (
            count(&strict),
            count(&loose.with(
                if name == "plausible-by" { "plausible-rank" } else { "min-similarity" },
                if name == "plausible-by" { "100000" } else { "-1" },
            )),
        );
        assert_eq!(many, 40, "{name}");
        assert!(few < 40, "{name}: {few}");
    }
    // A model of another kind is told apart, and what is missing is said.
    for (options, expected) in [
        (Options::new().with("tagger", "bert-cls"), "expected a token classifier"),
        (
            Options::new().with("tagger", "bert-token-classification"),
            "expected labels such as NOUN",
        ),
        (Options::new().with("plausible-by", "bert-cls"), "expected a masked language model"),
        (Options::new().with("similar-by", "bert-cls"), "expected a sentence encoder"),
        (Options::new().with("plausible-rank", "3"), "without --plausible-by"),
        (Options::new().with("min-similarity", "0.5"), "without --similar-by"),
        (Options::new().with("min-cosine", "2"), "--min-cosine: expected"),
        (Options::new().with("max-distance", "0"), "--max-distance: expected"),
        (Options::new().with("dictionary", "no-such-file"), "--dictionary no-such-file"),
        (Options::new().with("synonyms", "no-such-directory"), "no index.noun"),
    ] {
        let error = constraints::build(&options, &|name| Ok(tiny(name))).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_tagger_keeps_parts_of_speech() {
    // Tiny taggers with their labels named as parts of speech.
    let names = [("B-PER", "NOUN"), ("I-PER", "VERB"), ("B-LOC", "ADJ"), ("I-LOC", "DET")];
    let mut seen = [0, 0];
    for name in ["bert", "electra", "distilbert", "mpnet"] {
        let dir = renamed(&format!("{name}-token-classification"), &names);
        tags_stay(dir.path(), &mut seen);
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

fn tags_stay(dir: &std::path::Path, seen: &mut [usize; 2]) {
    let options = Options::new().with("tagger", dir.to_str().unwrap());
    let constraints =
        constraints::build(&options, &|name| Ok(open(name.as_ref(), DType::F64))).unwrap();
    let model = tiny("bert-cls");
    let attack = HotFlip::default();
    let (_, allowed) = Attacker::new(model.as_ref(), &attack)
        .each(&Input::text("the film was good and we loved it"), |case| {
            let flips = hotflip::first_order(case, &attack, 60)?;
            let texts: Vec<_> =
                flips.into_iter().map(|f| case.texts.with(f.edit).unwrap()).collect();
            let allowed = constraints[0].allows_texts(&texts.iter().collect::<Vec<_>>())?;
            Ok(texts.into_iter().zip(allowed).collect::<Vec<_>>())
        })
        .unwrap();
    let tagger = open(dir, DType::F64);
    let tag = |text: &str, at: usize| {
        let encoding = tagger.encode(text, false).unwrap();
        let t = encoding.tokens.iter().position(|t| !t.special && t.end > at).unwrap();
        let batch = Batch::repeat(&encoding, 1);
        let embeddings = tagger.embed(&batch).unwrap();
        let output = tagger.forward(&embeddings, &batch, &mut Trace::new()).unwrap();
        let rows = output.logits.squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        (0..rows[t].len()).max_by(|&a, &b| rows[t][a].total_cmp(&rows[t][b])).unwrap()
    };
    for (texts, allowed) in &allowed[0] {
        let at = texts.edits()[0].start;
        let same = tag(&texts.originals()[0], at) == tag(&texts.render()[0], at);
        assert_eq!(same, *allowed, "{texts:?}");
        seen[usize::from(*allowed)] += 1;
    }
}

#[test]
fn pairs_are_attacked_in_either_field() {
    let model = tiny("bert-cls");
    let model = model.as_ref();
    let input = Input::pair("the film was good", "we loved it very much");
    let own = predict(model, &input, &TaskOptions::default()).best();
    for (field, index) in [("text", 0), ("premise", 0), ("pair", 1), ("hypothesis", 1)] {
        for attack in [&HotFlip::default() as &dyn Attack, &InputReduction::default()] {
            let mut attacker = Attacker::new(model, attack);
            attacker.fields = FieldChoice::parse(field);
            let result = attacker.attack_input(&input).unwrap().results.remove(0);
            assert!(result.texts.edits().iter().all(|edit| edit.field == index));
            let edited = final_input(model, &input, &result);
            let turned = predict(model, &edited, &TaskOptions::default()).best() != own;
            assert_eq!(turned, attack.changes() && result.success);
        }
    }
    let attack = HotFlip::default();
    let mut attacker = Attacker::new(model, &attack);
    attacker.fields = FieldChoice::parse("question");
    assert!(fails(&attacker, &input).to_string().contains("expected text, premise, pair"));
}

#[test]
fn targets_are_reached_or_refused() {
    let model = bundled();
    let model = model.as_ref();
    let attack = HotFlip::default();
    let input = Input::text("a touching and funny film");
    let result = aimed(model, &attack, "negative").attack_input(&input).unwrap().results.remove(0);
    assert!(result.success);
    assert_eq!(label(model, &result.texts.render()[0]), 0);
    let already = fails(&aimed(model, &attack, "positive"), &input);
    assert!(already.to_string().contains("says so already"), "{already}");
    let unknown = fails(&aimed(model, &attack, "sad"), &input);
    assert!(unknown.to_string().contains("sad"), "{unknown}");
    let reduction = InputReduction::default();
    let error = fails(&aimed(model, &reduction, "negative"), &input);
    assert!(error.to_string().contains("keeps the prediction"), "{error}");
}

#[test]
fn what_cannot_be_attacked_is_said() {
    let attack = HotFlip::default();
    for (name, input, expected) in [
        ("bert-regression", Input::text("the film"), "regression"),
        ("bert-sentence-similarity", Input::pair("the film", "a film"), "sentence-similarity"),
        ("t5", Input::text("the film"), "seq2seq-lm"),
    ] {
        let model = tiny(name);
        let error = fails(&Attacker::new(model.as_ref(), &attack), &input);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.is_input_error() && error.hint().is_some());
    }
}

#[test]
fn multi_label_models_switch_one_label() {
    let model = tiny("bert-multilabel");
    let model = model.as_ref();
    let input = Input::text("the film was good and we loved it");
    let on = |input: &Input| {
        let prediction = predict(model, input, &TaskOptions::default());
        prediction.labels().iter().map(|label| label.logit >= 0.0).collect::<Vec<_>>()
    };
    let attack = HotFlip::default();
    let result = run(model, &attack, &input).results.remove(0);
    assert_eq!(on(&final_input(model, &input, &result)) != on(&input), result.success);
    let reduced = run(model, &InputReduction::default(), &input).results.remove(0);
    assert_eq!(on(&final_input(model, &input, &reduced)), on(&input));
    for (label, on) in model.info().labels.names.iter().zip(on(&input)) {
        let attacker = aimed(model, &attack, label);
        match attacker.attack_input(&input) {
            Ok(_) => assert!(!on),
            Err(error) => assert!(on && error.to_string().contains("already"), "{error}"),
        }
    }
}

#[test]
fn confidence_is_kept() {
    let model = bundled();
    let text = "a touching , funny and wise film that nobody should miss";
    for confidence in [0.5, 0.9] {
        let attack = InputReduction { confidence, ..InputReduction::default() };
        let result = run(model.as_ref(), &attack, &Input::text(text)).results.remove(0);
        let prediction = predict(
            model.as_ref(),
            &Input::text(result.texts.render().remove(0)),
            &TaskOptions::default(),
        );
        let best = &prediction.labels()[prediction.best()];
        assert!(best.probability.unwrap() >= confidence, "{best:?}");
    }
    let attack = InputReduction { confidence: 1.0, ..InputReduction::default() };
    let result = run(model.as_ref(), &attack, &Input::text(text)).results.remove(0);
    assert!(!result.success && result.notes[0].contains("--confidence"), "{result:?}");
}

#[test]
fn a_budget_that_ends_is_in_the_certificate() {
    let model = bundled();
    let certify = Some(Exhaustive { replacements: 10, passes: 50 });
    let attack = HotFlip { max_edits: 2, certify, ..HotFlip::default() };
    let constraints = built(&Options::new().with("min-cosine", "0.2"));
    let attacker = Attacker::new(model.as_ref(), &attack).with_constraints(&constraints);
    let text = "a wonderful , warm , touching , funny and wise film that everyone will love";
    let result = attacker.attack_input(&Input::text(text)).unwrap().results.remove(0);
    match result.certificate.unwrap() {
        Certificate::Spent { evaluated, of, .. } => assert!(evaluated >= 50 && of > 50),
        Certificate::Minimal { size, .. } => assert_eq!(size, 1),
        other @ Certificate::Nothing { .. } => panic!("{other:?}"),
    }
}

#[test]
fn long_contexts_are_attacked_in_windows() {
    let model = tiny("bert-question-answering");
    let context = "the film was good and we loved it . a cat b c d e f g h ".repeat(12);
    let input = Input::question("was the film good", context);
    let mut options = TaskOptions { stride: 8, ..TaskOptions::default() };
    options.max_answer = 3;
    let limit = model.info().max_tokens;
    let windows = model.tokenizer().encode(&input.text).unwrap().tokens.len() > limit;
    assert!(windows, "the context is longer than the model reads: {limit}");
    let attack = HotFlip { max_edits: 1, candidates: 8, ..HotFlip::default() };
    let mut attacker = Attacker::new(model.as_ref(), &attack);
    attacker.options = options.clone();
    let result = attacker.attack_input(&input).unwrap().results.remove(0);
    let text = |input: &Input| {
        let prediction = predict(model.as_ref(), input, &options);
        let Prediction::QuestionAnswering(answers) = prediction else { panic!("{prediction:?}") };
        input.text[answers[0].span.clone().unwrap()].trim().to_owned()
    };
    let edited = final_input(model.as_ref(), &input, &result);
    assert_eq!(text(&edited) != text(&input), result.success);
}

#[test]
fn triggers_turn_many_texts() {
    let model = bundled();
    let texts = [
        "a touching , funny and wise film",
        "one of the best films of the year",
        "a warm and moving story",
        "wonderful performances from everyone",
        "smart , fresh and very funny",
        "an honest and beautiful picture",
    ];
    let inputs: Vec<Input> = texts.iter().map(|text| Input::text(*text)).collect();
    let search = TriggerSearch {
        words: 2,
        candidates: 8,
        beam: 1,
        rounds: 1,
        aim: Aim::Become("negative".to_owned()),
        ..TriggerSearch::default()
    };
    let options = TaskOptions::default();
    let trigger = search.search(model.as_ref(), &inputs, &options, &[], &Silent).unwrap();
    assert_eq!((trigger.searched_on, trigger.tested_on, trigger.skipped), (3, 3, 0));
    assert_eq!(trigger.text.split(' ').count(), 2);
    // (41) What is reported is what the phrase does.
    let turned = texts
        .iter()
        .enumerate()
        .filter(|(i, text)| {
            i % 2 == 0 && label(model.as_ref(), &format!("{} {text}", trigger.text)) == 0
        })
        .count();
    assert_eq!((trigger.seen.mean * 3.0).round() as usize, turned);
    assert!(turned > 0, "{trigger:?}");
    let regression = tiny("gpt2");
    assert!(search.search(regression.as_ref(), &inputs, &options, &[], &Silent).is_err());
    assert!(search.search(model.as_ref(), &[], &options, &[], &Silent).is_err());
}

#[test]
fn the_same_attack_twice_and_on_any_number_of_threads_is_the_same() {
    let model = bundled();
    let text = "it is not bad at all , but the ending drags and drags";
    for entry in attack::ATTACKS {
        let attack = (entry.build)(&Options::new()).unwrap();
        let one = run(model.as_ref(), attack.as_ref(), &Input::text(text)).results.remove(0);
        let serial = glossator_ops::threads::serial(|| {
            run(model.as_ref(), attack.as_ref(), &Input::text(text)).results.remove(0)
        });
        assert_eq!(one.texts, serial.texts, "{}", entry.info.id);
        assert_eq!(one.forward_passes, serial.forward_passes, "{}", entry.info.id);
    }
}

#[test]
fn settings_are_checked() {
    for (id, name, value) in [
        ("hotflip", "max-edits", "0"),
        ("hotflip", "beam", "x"),
        ("hotflip", "unit", "letter"),
        ("hotflip", "certify-passes", "5"),
        ("input-reduction", "rule", "none"),
        ("input-reduction", "confidence", "2"),
        ("greedy", "source", "thesaurus"),
        ("greedy", "candidates", "0"),
    ] {
        let entry = attack::find(id).unwrap();
        let error = (entry.build)(&Options::new().with(name, value)).err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(attack::find("magic").err().unwrap().to_string().contains("hotflip, input-reduction"));
}
