//! The words of a text that may go, and the text that is left without some of them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Rule;
use super::search::State;
use crate::attack::case::Case;
use crate::attack::edits::{EditedTexts, deletions};
use crate::attack::victim::AtTokens;

/// The words of the attacked fields.
pub(super) struct Words {
    /// Each with its field and bytes.
    pub(super) all: Vec<(usize, Range<usize>)>,
    /// The places in `all` of those that may go.
    pub(super) free: Vec<usize>,
    /// Fields without any word that must stay: one word has to be left in each.
    open: Vec<usize>,
}

/// Some of the words that may go are left: their places among those.
pub(super) type Left = BTreeSet<usize>;

impl Words {
    pub(super) fn new(case: &Case<'_>) -> Self {
        let window = case.window();
        let tokenizer = case.victim.model().tokenizer();
        let (mut all, mut free) = (Vec::new(), Vec::new());
        let mut open: Vec<usize> = Vec::new();
        for &field in case.fields {
            let Some(words) = window.fields.get(field).map(|field| &field.words) else { continue };
            let mut fixed = false;
            for (w, span) in words.iter().enumerate() {
                // A mask that is written out is what the task is about.
                let special = window.tokens.iter().any(|token| {
                    token.field == field
                        && token.word == Some(w)
                        && tokenizer.is_special(token.id)
                        && tokenizer.unk_token() != Some(token.id)
                });
                if special || case.is_protected(field, span.clone()) {
                    fixed = true;
                } else {
                    free.push(all.len());
                }
                all.push((field, span.clone()));
            }
            if !fixed && !words.is_empty() {
                open.push(field);
            }
        }
        Self { all, free, open }
    }

    /// The fewest words that may be left of those that may go.
    pub(super) fn fewest(&self) -> usize {
        self.open.len()
    }

    /// Whether no field is left without a word.
    pub(super) fn is_text(&self, left: &Left) -> bool {
        let has = |field: &usize| left.iter().any(|&one| self.all[self.free[one]].0 == *field);
        self.open.iter().all(has)
    }

    /// The text with only these words left.
    pub(super) fn texts(&self, case: &Case<'_>, left: &Left) -> Option<EditedTexts> {
        let mut gone = vec![false; self.all.len()];
        for (one, &word) in self.free.iter().enumerate() {
            gone[word] = !left.contains(&one);
        }
        let mut edits = Vec::new();
        for &field in case.fields {
            let text = case.texts.originals().get(field)?;
            let here: Vec<usize> =
                (0..self.all.len()).filter(|&w| self.all[w].0 == field).collect();
            let spans: Vec<_> = here.iter().map(|&w| self.all[w].1.clone()).collect();
            edits.extend(deletions(field, text, &spans, |w| gone[here[w]]));
        }
        case.texts.replaced(edits)
    }

    /// How much each of the words that are left matters.
    pub(super) fn importance(
        &self,
        state: &State,
        slope: &AtTokens,
        rule: Rule,
    ) -> Vec<(usize, f64)> {
        let mut sums = vec![0.0; self.all.len()];
        for (t, token) in state.encoding.tokens.iter().enumerate() {
            if token.special || token.start >= token.end {
                continue;
            }
            let place = state.texts.to_original(token.field, token.start..token.end);
            let own = |range: &Range<usize>| {
                let inside = |(field, span): &(usize, Range<usize>)| {
                    *field == token.field && span.start < range.end && range.start < span.end
                };
                self.all.iter().position(inside)
            };
            // A byte-level token begins with a space, which may be an edit's: its end is its own.
            let end = || state.texts.to_original(token.field, token.end - 1..token.end);
            let Some(word) = place.and_then(|p| own(&p)).or_else(|| own(&end()?)) else { continue };
            sums[word] += match rule {
                Rule::Feng => -slope.dot(t),
                Rule::AllenNlp => slope.slope(t).iter().map(|g| g * g).sum::<f64>(),
            };
        }
        state.left.iter().map(|&one| (one, sums[self.free[one]])).collect()
    }
}

/// The tokens of the original that are left, of all fields.
pub(super) fn kept(case: &Case<'_>, words: &Words, left: &Left) -> Vec<usize> {
    let gone: Vec<&(usize, Range<usize>)> = (0..words.free.len())
        .filter(|one| !left.contains(one))
        .map(|one| &words.all[words.free[one]])
        .collect();
    let stays = |token: &glossator_models::Token| {
        let inside = |(field, span): &&(usize, Range<usize>)| {
            *field == token.field && span.start < token.end && token.start < span.end
        };
        !token.special && token.start < token.end && !gone.iter().any(inside)
    };
    let tokens = case.window().tokens.iter().enumerate();
    tokens.filter(|(_, token)| stays(token)).map(|(t, _)| t).collect()
}
