//! What a model says, and what of it is explained.

use std::ops::Range;

use glossator_interpret::{Choice, Classification, Decision, Prediction, Quantity, Target};
use glossator_models::{Encoding, Problem};

use crate::wire;

/// The field of an answer's context; the question comes first.
const CONTEXT: usize = 1;

/// The prediction as the wire has it.
pub(super) fn prediction(encoding: &Encoding, prediction: &Prediction) -> wire::Prediction {
    match prediction {
        Prediction::TextClassification(classification) => labels(classification),
        Prediction::TokenClassification(entities) => {
            let entities = entities.iter().map(|entity| {
                let text = cut(encoding, entity.field, &entity.span);
                let (label, share) = (&entity.label, entity.probability);
                wire::Entity::new(label, share, entity.field, entity.span.start, text)
            });
            wire::Prediction::TokenClassification(wire::Entities::new(entities.collect()))
        }
        Prediction::QuestionAnswering(answers) => {
            let answer = |answer: &glossator_interpret::prediction::Answer| match &answer.span {
                None => wire::Answer::none(answer.probability),
                Some(span) => {
                    let text = cut(encoding, CONTEXT, span);
                    wire::Answer::new(span.start, text, answer.probability)
                }
            };
            let answers = wire::Answers::new(CONTEXT, answers.iter().map(answer).collect());
            wire::Prediction::QuestionAnswering(answers)
        }
        Prediction::MaskedLm(choices) => {
            wire::Prediction::MaskedLm(wire::Masks::new(masks(encoding, choices)))
        }
        Prediction::CausalLm(choices) => wire::Prediction::CausalLm(next(choices)),
        Prediction::Seq2SeqLm(choices) => wire::Prediction::Seq2SeqLm(next(choices)),
        Prediction::SentenceSimilarity(cosine) => {
            wire::Prediction::SentenceSimilarity(wire::Similarity::new(*cosine))
        }
    }
}

fn labels(classification: &Classification) -> wire::Prediction {
    let label = |score: &glossator_interpret::LabelScore| {
        let probability = score.probability.unwrap_or(0.0);
        wire::LabelScore::new(&score.label, probability, Some(score.logit))
    };
    let labels = || wire::Labels::new(classification.labels.iter().map(label).collect());
    let with_labels = match classification.problem {
        Problem::SingleLabel => labels().map(wire::Prediction::single_label),
        Problem::MultiLabel => labels().map(wire::Prediction::multi_label),
        Problem::Regression => None,
    };
    with_labels.unwrap_or_else(|| {
        let best = classification.labels.get(classification.best());
        let (name, value) = best.map_or(("", 0.0), |best| (&best.label, best.logit));
        wire::Prediction::regression(name, value)
    })
}

fn masks(encoding: &Encoding, choices: &[Choice]) -> Vec<wire::Mask> {
    let mask = |choice: &Choice| {
        let token = encoding.tokens.get(choice.at)?;
        let before = encoding.tokens[..choice.at].iter();
        let place = before.filter(|other| other.field == token.field).count();
        let candidates = choice.candidates.iter().map(candidate).collect();
        Some(wire::Mask::new(token.field, place, (token.start, token.end), candidates))
    };
    choices.iter().filter_map(mask).collect()
}

fn next(choices: &[Choice]) -> wire::Next {
    let next = |choice: &Choice| {
        let candidates = choice.candidates.iter().map(candidate).collect();
        wire::NextToken::new(candidate(&choice.chosen), candidates)
    };
    wire::Next::new(choices.iter().map(next).collect())
}

fn candidate(candidate: &glossator_interpret::Candidate) -> wire::Candidate {
    let glossator_interpret::Candidate { id, text, logit, probability } = candidate;
    wire::Candidate::new(text, *id, *probability, *logit)
}

/// The target as the wire has it.
pub(super) fn target(encoding: &Encoding, target: &Target) -> wire::Target {
    let quantity = match (target.problem, target.quantity) {
        // The output of a regression is no logit of anything, and neither is a cosine.
        (Problem::Regression, Quantity::Logit) => "value",
        (_, quantity) => quantity.id(),
    };
    match &target.decision {
        Decision::Label(label) => wire::Target::label(label, quantity),
        Decision::Contrast(label, versus) => wire::Target::contrast(label, versus, quantity),
        Decision::Entity { label, field, span } => {
            wire::Target::entity(label, *field, (span.start, span.end), quantity)
        }
        Decision::Answer { field, span } => {
            let mut answer = match span {
                None => wire::Target::no_answer(*field, quantity),
                Some(span) => {
                    let text = cut(encoding, *field, span);
                    wire::Target::answer(*field, span.start, text, quantity)
                }
            };
            if let wire::Target::Answer { versus, .. } = &mut answer {
                *versus = other_answer(encoding, *field, target);
            }
            answer
        }
        Decision::Token { token, at } => {
            wire::Target::token(token, position(encoding, *at), quantity)
        }
        Decision::TokenContrast { token, versus, at } => {
            wire::Target::token_contrast(token, versus, position(encoding, *at), quantity)
        }
        Decision::Similarity => wire::Target::similarity(quantity),
    }
}

/// The text of the answer that another one is compared with: from the first to the last token whose
/// numbers are subtracted.
fn other_answer(encoding: &Encoding, field: usize, target: &Target) -> Option<String> {
    let ends = target.against.iter().filter_map(|end| encoding.tokens.get(end.column));
    let start = ends.clone().map(|token| token.start).min()?;
    let end = ends.map(|token| token.end).max()?;
    Some(cut(encoding, field, &(start..end)))
}

/// The place of a token among those of all fields, one field after the other.
pub(super) fn position(encoding: &Encoding, at: usize) -> usize {
    let Some(token) = encoding.tokens.get(at) else { return encoding.tokens.len() };
    let before = encoding.tokens.iter().enumerate();
    let precedes = |i: usize, field: usize| field < token.field || (field == token.field && i < at);
    before.filter(|(i, other)| precedes(*i, other.field)).count()
}

fn cut(encoding: &Encoding, field: usize, span: &Range<usize>) -> String {
    let field = encoding.fields.get(field);
    field.and_then(|field| field.text.get(span.clone())).unwrap_or_default().to_owned()
}
