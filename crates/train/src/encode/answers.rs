//! Windows over contexts, with the answer's tokens in each.

use glossator_interpret::tasks::windows;
use glossator_models::{Encoding, Model};

use super::places;
use crate::data::Question;
use crate::error::Result;
use crate::item::{Gold, Item};

/// The field of the context; the question comes first.
const CONTEXT: usize = 1;

/// The question and the whole context.
pub(crate) fn whole_question(model: &dyn Model, question: &Question) -> Result<Encoding> {
    Ok(model.encode_pair(&question.question, &question.context)?)
}

/// The windows of a question. One that does not hold the whole answer says that there is none,
/// with the first token, if the model has one for that; else nothing is learned from it.
pub(super) fn items(
    whole: Encoding,
    question: &Question,
    limit: usize,
    stride: usize,
) -> Result<Vec<Item>> {
    let answer = question.answers.first().map(|(text, start)| *start..*start + text.len());
    let last_byte = |encoding: &Encoding| context(encoding).map(|t| t.end).max();
    let mut items = Vec::new();
    for window in windows(whole, limit, stride)? {
        let choices = places(&window);
        let inside = answer.as_ref().filter(|answer| {
            let first = context(&window).map(|t| t.start).min();
            first.is_some_and(|first| first <= answer.start)
                && last_byte(&window).is_some_and(|last| answer.end <= last)
        });
        let touched = |answer: &std::ops::Range<usize>| {
            let touches = |(_, t): &(usize, &glossator_models::Token)| {
                !t.special && t.field == CONTEXT && t.start < answer.end && t.end > answer.start
            };
            let mut tokens = window.tokens.iter().enumerate().filter(touches).map(|(i, _)| i);
            let first = tokens.next()?;
            Some((first as u32, tokens.next_back().unwrap_or(first) as u32))
        };
        let none = choices.first().copied().filter(|&place| place == 0).map(|place| (place, place));
        if let Some((first, last)) = inside.and_then(touched).or(none) {
            items.push(Item::new(&window, Gold::Answer { first, last, choices }));
        }
    }
    Ok(items)
}

fn context(encoding: &Encoding) -> impl Iterator<Item = &glossator_models::Token> {
    encoding.tokens.iter().filter(|token| !token.special && token.field == CONTEXT)
}
