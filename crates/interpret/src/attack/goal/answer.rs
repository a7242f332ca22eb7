//! Another answer to a question. Answers are told apart by their text: the same words at another
//! place, or further along in a context that has grown, are the same answer.

use glossator_models::{Encoding, Problem};

use super::{Aim, Goal, Judge, Kind, Seen, already, recorded};
use crate::error::{Error, Result};
use crate::prediction::{Answer, Prediction};
use crate::target::{Decision, Element, Quantity, Target};
use crate::tasks::answer_places;

/// The field of the context; the question comes first.
const CONTEXT: usize = 1;

/// The answer of a text, or that there is none.
#[derive(Debug, Clone)]
pub(super) struct AnswerGoal {
    current: Option<String>,
    wanted: Option<String>,
}

pub(super) fn goals(seen: &Seen<'_>, answers: &[Answer], aim: &Aim) -> Result<Vec<Goal>> {
    let Some(context) = seen.texts.originals().get(CONTEXT) else { return Ok(Vec::new()) };
    let current = answers.first().and_then(|answer| text_of(context, answer));
    let wanted = match aim {
        Aim::Change => None,
        Aim::Become(wanted) => Some(wanted.trim().to_owned()),
    };
    let mut protected = Vec::new();
    if let Some(span) = answers.first().and_then(|answer| answer.span.clone()) {
        protected.push((CONTEXT, span));
    }
    if let Some(wanted) = &wanted {
        if current.as_ref() == Some(wanted) {
            return Err(already(wanted));
        }
        let at = context.find(wanted.as_str()).filter(|_| !wanted.is_empty());
        let Some(at) = at else {
            return Err(Error::Input {
                what: format!("--target {wanted:?} is not a part of the context"),
                hint: "give some words of the context as they stand there".to_owned(),
            });
        };
        protected.push((CONTEXT, at..at + wanted.len()));
    }
    let kind = Kind::Answer(AnswerGoal { current, wanted });
    Ok(vec![Goal { kind, target: recorded(seen, 0)?, protected }])
}

fn text_of(context: &str, answer: &Answer) -> Option<String> {
    Some(context.get(answer.span.clone()?)?.trim().to_owned())
}

/// An answer's ends with what speaks for it.
#[derive(Debug, Clone, Copy)]
struct Span {
    window: usize,
    first: usize,
    last: usize,
    score: f64,
}

/// The best answer of some text, and the best of any other.
#[derive(Debug, Clone, Copy, Default)]
struct Rivals {
    own: Option<Span>,
    other: Option<Span>,
}

impl AnswerGoal {
    fn pivot(&self) -> Option<&str> {
        self.wanted.as_deref().or(self.current.as_deref())
    }

    /// `window`: look there only.
    fn rivals(&self, seen: &Seen<'_>, window: Option<usize>) -> Rivals {
        let mut rivals = Rivals::default();
        let windows = seen.reading.windows.iter().zip(&seen.reading.rows).enumerate();
        for (w, (encoding, rows)) in windows.filter(|(w, _)| window.is_none_or(|one| one == *w)) {
            let [starts, ends] = rows.as_slice() else { continue };
            self.compare(seen, w, encoding, (starts, ends), &mut rivals);
        }
        rivals
    }

    fn compare(
        &self,
        seen: &Seen<'_>,
        window: usize,
        encoding: &Encoding,
        (starts, ends): (&[f64], &[f64]),
        rivals: &mut Rivals,
    ) {
        let Some(context) = encoding.fields.get(CONTEXT).map(|field| field.text.as_str()) else {
            return;
        };
        let places = answer_places(encoding);
        // Over the windows of a long context, what speaks for an answer is its share in its window.
        let (start, end) = (log_shares(starts, &places), log_shares(ends, &places));
        let mut offer = |own: bool, first: usize, last: usize, score: f64| {
            let best = if own { &mut rivals.own } else { &mut rivals.other };
            if best.is_none_or(|best| score > best.score) {
                *best = Some(Span { window, first, last, score });
            }
        };
        for (i, &first) in places.iter().enumerate() {
            let token = &encoding.tokens[first];
            if token.special {
                if seen.options.unanswerable {
                    offer(self.pivot().is_none(), first, first, start[i] + end[i]);
                }
                continue;
            }
            for (j, &last) in places.iter().enumerate().skip(i).take(seen.options.max_answer) {
                let till = encoding.tokens[last].end.max(token.start);
                let text = context.get(token.start..till).unwrap_or_default().trim();
                offer(self.pivot() == Some(text), first, last, start[i] + end[j]);
            }
        }
    }

    fn now(&self, seen: &Seen<'_>) -> Option<Option<String>> {
        let Prediction::QuestionAnswering(answers) = &seen.reading.prediction else { return None };
        let window = seen.reading.windows.first()?;
        let context = &window.fields.get(CONTEXT)?.text;
        Some(text_of(context, answers.first()?))
    }
}

impl Judge for AnswerGoal {
    fn reached(&self, seen: &Seen<'_>) -> bool {
        let Some(now) = self.now(seen) else { return false };
        match &self.wanted {
            None => now != self.current,
            Some(wanted) => now.as_ref() == Some(wanted),
        }
    }

    fn margin(&self, seen: &Seen<'_>) -> f64 {
        let Rivals { own, other } = self.rivals(seen, None);
        let score = |span: Option<Span>| span.map_or(f64::NEG_INFINITY, |span| span.score);
        match (self.wanted.is_some(), own, other) {
            (_, None, None) => f64::NEG_INFINITY,
            (true, ..) => score(own) - score(other),
            (false, ..) => score(other) - score(own),
        }
    }

    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let all = self.rivals(seen, None);
        let (wins, loses) =
            if self.wanted.is_some() { (all.own, all.other) } else { (all.other, all.own) };
        // Both ends in one pass: in the window of the answer that is to win.
        let window = wins.or(loses).map_or(0, |span| span.window);
        let here = self.rivals(seen, Some(window));
        let loses = if self.wanted.is_some() { here.other } else { here.own };
        let mut target = target(wins, Quantity::Logit)?;
        target.against = loses.map(edges).unwrap_or_default();
        Ok((window, target))
    }

    fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let own = AnswerGoal { current: self.current.clone(), wanted: None };
        let own = own.rivals(seen, None).own;
        let window = own.map_or(0, |span| span.window);
        let mut target = target(own, Quantity::Loss)?;
        target.choices = seen.reading.windows.get(window).map(answer_places);
        Ok((window, target))
    }

    fn confidence(&self, seen: &Seen<'_>) -> f64 {
        let Prediction::QuestionAnswering(answers) = &seen.reading.prediction else { return 0.0 };
        match self.now(seen) {
            Some(now) if now == self.current => answers.first().map_or(0.0, |a| a.probability),
            _ => 0.0,
        }
    }
}

fn edges(span: Span) -> Vec<Element> {
    vec![Element { row: 0, column: span.first }, Element { row: 1, column: span.last }]
}

fn target(span: Option<Span>, quantity: Quantity) -> Result<Target> {
    let decision = Decision::Answer { field: CONTEXT, span: None };
    let outputs = span.map(edges).unwrap_or_default();
    Target::new(decision, outputs, quantity, Problem::SingleLabel)
}

/// The log softmax over some places of a row, in their order.
fn log_shares(row: &[f64], places: &[usize]) -> Vec<f64> {
    let values: Vec<f64> =
        places.iter().map(|&place| row.get(place).copied().unwrap_or(f64::NEG_INFINITY)).collect();
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|z| (z - most).exp()).sum();
    values.into_iter().map(|z| z - most - sum.ln()).collect()
}
