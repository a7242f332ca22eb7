//! What the model said.

use super::{name, quote};
use crate::number::{amount, percent};
use crate::text::{Marks, token};
use crate::wire::{
    Candidate, Classification, Document, LabelScore, NextToken, Prediction, Regression,
};

/// How many labels beside the predicted ones are named.
const OTHERS: usize = 4;
/// How many entities, answers, and candidates of a token are named.
const MOST: usize = 20;
/// How many decisions a headline names.
const FIRST: usize = 5;

/// A label, entity, answer or token with its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) label: String,
    pub(crate) value: String,
    /// The share of 1 to draw; None for a number that is no probability.
    pub(crate) probability: Option<f64>,
    /// Whether the model says that it holds.
    pub(crate) holds: bool,
}

/// The answers to one decision.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Group {
    /// Which decision, where there are several.
    pub(crate) title: Option<String>,
    pub(crate) answers: Vec<Answer>,
    /// How many more there are.
    pub(crate) hidden: usize,
}

/// Everything that the prediction says, decision by decision.
pub(crate) fn groups(document: &Document, marks: Marks) -> Vec<Group> {
    match &document.prediction {
        Prediction::TextClassification(classification) => vec![labels(classification, marks)],
        Prediction::TokenClassification(entities) => {
            let answers = entities.entities.iter().take(MOST).map(|entity| Answer {
                label: format!("{} {}", quote(&entity.text, marks), name(&entity.label, marks)),
                value: percent(entity.probability),
                probability: Some(entity.probability),
                holds: true,
            });
            let hidden = entities.entities.len().saturating_sub(MOST);
            vec![Group { title: None, answers: answers.collect(), hidden }]
        }
        Prediction::QuestionAnswering(answers) => {
            let hidden = answers.answers.len().saturating_sub(MOST);
            let shown = answers.answers.iter().take(MOST).enumerate();
            let answers = shown.map(|(i, answer)| Answer {
                label: match &answer.answer {
                    Some(text) => quote(text, marks),
                    None => "no answer".into(),
                },
                value: percent(answer.probability),
                probability: Some(answer.probability),
                holds: i == 0,
            });
            let answers = answers.collect();
            vec![Group { title: None, answers, hidden }]
        }
        Prediction::MaskedLm(masks) => {
            let several = masks.masks.len() > 1;
            let groups = masks.masks.iter().enumerate().map(|(i, mask)| {
                let title = several.then(|| format!("mask {}", i + 1));
                candidates(title, mask.candidates.first(), &mask.candidates, marks)
            });
            groups.collect()
        }
        Prediction::CausalLm(next) | Prediction::Seq2SeqLm(next) => {
            let several = next.next.len() > 1;
            let groups = next.next.iter().enumerate().map(|(i, next): (_, &NextToken)| {
                let title = several.then(|| format!("token {}", i + 1));
                candidates(title, Some(&next.chosen), &next.candidates, marks)
            });
            groups.collect()
        }
        Prediction::SentenceSimilarity(similarity) => {
            vec![number("similarity".into(), similarity.similarity)]
        }
    }
}

fn labels(classification: &Classification, marks: Marks) -> Group {
    let (labels, best, single) = match classification {
        Classification::Regression(Regression { label, value, .. }) => {
            return number(name(label, marks), *value);
        }
        Classification::SingleLabel(labels) => (&labels.labels, &labels.label, true),
        Classification::MultiLabel(labels) => (&labels.labels, &labels.label, false),
    };
    let holds = |score: &LabelScore| {
        if single { score.label == *best } else { score.probability >= 0.5 }
    };
    let mut sorted: Vec<_> = labels.iter().map(|label| (holds(label), label)).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.probability.total_cmp(&a.1.probability)));
    let shown = sorted.iter().filter(|(holds, _)| *holds).count() + OTHERS;
    let hidden = sorted.len().saturating_sub(shown);
    let answer = |(holds, score): (bool, &LabelScore)| Answer {
        label: name(&score.label, marks),
        value: percent(score.probability),
        probability: Some(score.probability),
        holds,
    };
    let answers = sorted.into_iter().take(shown).map(answer).collect();
    Group { title: None, answers, hidden }
}

fn number(label: String, value: f64) -> Group {
    let answer = Answer { label, value: amount(value), probability: None, holds: true };
    Group { answers: vec![answer], ..Group::default() }
}

/// The token that is there, then what else could be.
fn candidates(
    title: Option<String>,
    chosen: Option<&Candidate>,
    candidates: &[Candidate],
    marks: Marks,
) -> Group {
    let others = candidates.iter().filter(|other| chosen.is_none_or(|c| c.id != other.id));
    let all = chosen.into_iter().chain(others);
    let hidden = all.clone().count().saturating_sub(MOST);
    let answers = all.take(MOST).map(|candidate| Answer {
        label: name(&token(&candidate.token, marks), marks),
        value: percent(candidate.probability),
        probability: Some(candidate.probability),
        holds: chosen.is_some_and(|chosen| chosen.id == candidate.id),
    });
    Group { title, answers: answers.collect(), hidden }
}

/// What the prediction says holds, and how much more of that there is; nothing where it is a text
/// of several tokens.
pub(crate) fn holding(document: &Document, marks: Marks) -> (Vec<Answer>, usize) {
    if document.prediction.next().len() > 1 {
        return (Vec::new(), 0);
    }
    let groups = groups(document, marks);
    let hidden = match document.prediction {
        // Only entities all hold.
        Prediction::TokenClassification(_) => groups.iter().map(|group| group.hidden).sum(),
        _ => 0,
    };
    let answers = groups.into_iter().flat_map(|group| group.answers);
    let mut holding: Vec<Answer> = answers.filter(|answer| answer.holds).collect();
    match document.prediction {
        // Labels that hold are few, or worth to be seen all.
        Prediction::TextClassification(_) => (holding, 0),
        _ => {
            let left = holding.len().saturating_sub(FIRST) + hidden;
            holding.truncate(FIRST);
            (holding, left)
        }
    }
}

/// The prediction in one phrase: `positive 99.8%`.
pub(crate) fn headline(document: &Document, marks: Marks) -> String {
    let written = document.prediction.next().len() > 1;
    if let (true, Some(field)) = (written, document.input.fields.last()) {
        return quote(&field.text, marks);
    }
    let (answers, left) = holding(document, marks);
    let phrase = |answer: &Answer| format!("{} {}", answer.label, answer.value);
    let mut phrases: Vec<_> = answers.iter().map(phrase).collect();
    if left > 0 {
        phrases.push(format!("{left} more"));
    }
    match document.prediction {
        _ if !phrases.is_empty() => phrases.join(", "),
        Prediction::TextClassification(_) => "no label reaches 50%".into(),
        Prediction::TokenClassification(_) => "no entities".into(),
        Prediction::MaskedLm(_) => "no masks".into(),
        _ => "no answer".into(),
    }
}

/// Why there is no explanation, where the prediction alone does not say so.
pub(crate) fn unexplained(document: &Document) -> Option<&'static str> {
    match &document.prediction {
        Prediction::TokenClassification(entities) if !entities.entities.is_empty() => {
            Some("none of these entities was to be explained")
        }
        Prediction::TokenClassification(_) => Some("there is nothing to explain"),
        _ => None,
    }
}
