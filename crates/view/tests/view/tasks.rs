//! Documents of every task but text classification. The gallery example draws them too.

use glossator_view::wire::{
    Answer, Answers, Candidate, Document, Entities, Entity, Explanation, Mask, Masks, Next,
    NextToken, Prediction, Similarity, Target,
};

use crate::sample;

/// A score that looks arbitrary but is always the same.
fn wave(n: usize) -> f64 {
    let n = n as f64;
    (n * 1.3 + 0.4).sin() * (n * 0.37).cos()
}

/// Makes a document say something else; `explanations` lists targets, with how many of the tokens
/// were read for each.
fn say(
    mut document: Document,
    prediction: Prediction,
    explanations: Vec<(Target, usize)>,
) -> Document {
    document.prediction = prediction;
    let one = document.explanations.remove(0);
    document.explanations = explanations
        .into_iter()
        .enumerate()
        .map(|(e, (target, read))| explain(&document, &one, target, read, 17 * e))
        .collect();
    document
}

fn explain(
    document: &Document,
    like: &Explanation,
    target: Target,
    read: usize,
    seed: usize,
) -> Explanation {
    let mut one = like.clone();
    one.target = target;
    let mut position = 0;
    for (f, field) in document.input.fields.iter().enumerate() {
        one.words[f].iter_mut().for_each(|word| word.score = 0.0);
        for (t, token) in field.tokens.iter().enumerate() {
            let score = if position < read { wave(seed + position) } else { 0.0 };
            one.scores[f][t] = score;
            if let Some(word) = token.word {
                one.words[f][word].score += score;
            }
            position += 1;
        }
    }
    one.baseline_output = Some(one.output + 0.0013 - one.total());
    one
}

const ALL: usize = usize::MAX;

fn candidates(tokens: &[&str]) -> Vec<Candidate> {
    let share = |i: usize| 0.6 / f64::powi(2.0, i as i32);
    let candidate = |(i, token): (usize, &&str)| {
        Candidate::new(*token, 100 + i as u32, share(i), 9.5 - i as f64)
    };
    tokens.iter().enumerate().map(candidate).collect()
}

/// Makes a document with the entities that stand at these words.
pub(crate) fn entities(text: &str, named: &[(&str, &str)]) -> Document {
    let document = sample::document(&[("text", text)], |n, _| wave(n));
    let entity = |(label, words): &(&str, &str)| {
        let start = text.find(words).expect("the words are in the text");
        Entity::new(*label, 0.97, 0, start, *words)
    };
    let entities: Vec<Entity> = named.iter().map(entity).collect();
    let target =
        |one: &Entity| (Target::entity(&one.label, one.field, (one.start, one.end), "logit"), ALL);
    let targets = entities.iter().map(target).collect();
    say(document, Prediction::TokenClassification(Entities::new(entities)), targets)
}

/// Makes a document with an answer that stands in the context; none: there is no answer.
pub(crate) fn answer(question: &str, context: &str, answer: Option<&str>) -> Document {
    let fields = [("question", question), ("context", context)];
    let document = sample::document(&fields, |n, _| wave(n));
    let second = Answer::new(0, context.split(' ').next().unwrap_or(""), 0.04);
    let (best, target) = match answer {
        None => (Answer::none(0.71), Target::no_answer(1, "logit")),
        Some(text) => {
            let start = context.find(text).expect("the answer is in the context");
            (Answer::new(start, text, 0.93), Target::answer(1, start, text, "logit"))
        }
    };
    let answers = Answers::new(1, vec![best, second]);
    say(document, Prediction::QuestionAnswering(answers), vec![(target, ALL)])
}

/// Makes a document whose masks are words that read `MASK`.
pub(crate) fn masks(text: &str) -> Document {
    let document = sample::document(&[("text", text)], |n, _| wave(n));
    let tokens = document.input.fields[0].tokens.iter().enumerate();
    let masks = tokens.filter(|(_, token)| token.text == "MASK");
    let masks: Vec<Mask> = masks
        .map(|(t, token)| {
            let fillers = candidates(&["cat", "dog", "##s", "the"]);
            Mask::new(0, t, (token.start, token.end), fillers)
        })
        .collect();
    let targets = masks.iter().map(|mask| (Target::token("cat", mask.token, "logit"), ALL));
    let targets = targets.collect();
    say(document, Prediction::MaskedLm(Masks::new(masks)), targets)
}

/// Makes a document of a model that wrote something after a text.
pub(crate) fn written(text: &str, continuation: &str) -> Document {
    let fields = [("text", text), ("continuation", continuation)];
    let mut document = sample::document(&fields, |n, _| wave(n));
    // A decoder adds nothing at the end.
    for (f, field) in document.input.fields.iter_mut().enumerate() {
        field.tokens.pop();
        document.explanations[0].scores[f].pop();
    }
    let before = document.input.fields[0].tokens.len();
    let tokens = document.input.fields[1].tokens.clone();
    let next = tokens.iter().map(|token| {
        let chosen = Candidate::new(format!(" {}", token.text), 7, 0.31, 8.25);
        NextToken::new(chosen, candidates(&[" the", " a", "\n"]))
    });
    let next = Next::new(next.collect());
    let targets = tokens.iter().enumerate().map(|(i, token)| {
        (Target::token(format!(" {}", token.text), before + i, "logit"), before + i)
    });
    let targets = targets.collect();
    say(document, Prediction::CausalLm(next), targets)
}

/// Makes a document of a model that says what may come next.
pub(crate) fn next(text: &str) -> Document {
    let document = sample::document(&[("text", text)], |n, _| wave(n));
    let tokens = document.input.fields[0].tokens.len();
    let fillers = candidates(&[" Paris", " the", " a", "\n"]);
    let next = Next::new(vec![NextToken::new(fillers[0].clone(), fillers)]);
    let target = Target::token_contrast(" Paris", " the", tokens, "logit");
    say(document, Prediction::CausalLm(next), vec![(target, tokens)])
}

/// Makes a document of two texts that are compared.
pub(crate) fn similarity(first: &str, second: &str) -> Document {
    let document = sample::document(&[("text", first), ("text_pair", second)], |n, _| wave(n));
    let said = Prediction::SentenceSimilarity(Similarity::new(0.8123));
    say(document, said, vec![(Target::similarity("value"), ALL)])
}

/// One document of each kind.
pub(crate) fn all() -> Vec<(&'static str, Document)> {
    let place = "The capital of the old kingdom, far in the north, was";
    let long = "a quiet town by the sea, unremarkably grey, 北京 and קטן and 🎉 \u{1b}[31m";
    vec![
        (
            "entities",
            entities(
                "Marie Curie, born in Warsaw, worked in Paris for the Radium Institute.",
                &[("PER", "Marie Curie"), ("LOC", "Warsaw"), ("ORG", "Radium Institute")],
            ),
        ),
        ("no entities", entities("nothing here has a name", &[])),
        (
            "answer",
            answer(
                "Where was Marie Curie born?",
                "Marie Curie was born in Warsaw, which then belonged to Russia. She went to Paris.",
                Some("Warsaw, which then belonged to Russia"),
            ),
        ),
        ("no answer", answer("Who sang?", "She went to Paris.", None)),
        (
            "chinese answer",
            answer("她在哪里出生？", "居里夫人出生于华沙，后来去了巴黎。", Some("华沙")),
        ),
        (
            "arabic answer",
            answer("أين ولدت؟", "ولدت ماري كوري في وارسو ثم ذهبت إلى باريس.", Some("وارسو")),
        ),
        ("one mask", masks("The MASK sat on the mat.")),
        ("two masks", masks("The MASK sat on the MASK, as cats do.")),
        ("next", next("The capital of France is")),
        ("written", written("The capital of France is", "Paris, of course.")),
        ("long written", written(&format!("{place} {place}"), &long.repeat(2))),
        ("similarity", similarity("A cat sits on a mat.", "Cats are sitting on mats.")),
    ]
}
