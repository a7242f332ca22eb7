//! The flips of a text in the order of what the gradient promises of them: a product with the whole
//! vocabulary, and the best that constraints allow.

use std::collections::HashMap;

use super::HotFlip;
use crate::attack::case::Case;
use crate::attack::constraints::{Proposal, word_around};
use crate::attack::edits::{Edit, deletions, is_wide};
use crate::attack::units::Unit;
use crate::attack::victim::AtTokens;
use crate::attack::vocabulary::Vocabulary;
use crate::error::Result;

/// A flip with what the gradient promises of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// The edit of the original text.
    pub edit: Edit,
    /// How much nearer to the goal it leads, to first order, in logits.
    pub gain: f64,
}

/// Products of slopes and embeddings that are held at once: 64 MiB of them, however large the
/// vocabulary and long the text.
const PRODUCTS: usize = 16 << 20;

/// The flips that the gradient promises most of and constraints allow, the best first. No place and
/// no word has more than `share` of them.
pub(super) fn best_flips(
    case: &Case<'_>,
    places: &[Unit],
    slope: &AtTokens,
    settings: &HotFlip,
    (most, share): (usize, usize),
) -> Result<Vec<Flip>> {
    let vocabulary = case.vocabulary()?;
    let entries = vocabulary.entries().len();
    let mut all: Vec<(Flip, u32)> = Vec::new();
    for group in places.chunks((PRODUCTS / entries.max(1)).max(1)) {
        let slopes: Vec<f64> =
            group.iter().flat_map(|unit| slope.slope(unit.tokens[0]).to_vec()).collect();
        let products = vocabulary.products(&slopes)?;
        for (unit, row) in group.iter().zip(products.chunks(entries.max(1))) {
            all.extend(at_place(case, vocabulary, unit, row, slope, settings, share));
        }
    }
    // Stable: equal gains stay in the order of the text.
    all.sort_by(|a, b| b.0.gain.total_cmp(&a.0.gain));
    let mut with_word = HashMap::<u32, usize>::new();
    let mut flips = Vec::with_capacity(most.min(all.len()));
    for (flip, word) in all {
        let used = with_word.entry(word).or_default();
        if word != NO_WORD && *used >= share {
            continue;
        }
        *used += 1;
        flips.push(flip);
        if flips.len() >= most {
            break;
        }
    }
    Ok(flips)
}

/// In place of a word of the vocabulary, where a word is deleted.
const NO_WORD: u32 = u32::MAX;

/// The best flips at one place, at most `share`, each with its word. `products`: `g · E` of every
/// word of the vocabulary.
fn at_place(
    case: &Case<'_>,
    vocabulary: &Vocabulary,
    unit: &Unit,
    products: &[f32],
    slope: &AtTokens,
    settings: &HotFlip,
    share: usize,
) -> Vec<(Flip, u32)> {
    let own: f64 = unit.tokens.iter().map(|&t| slope.dot(t)).sum();
    let mut ranked: Vec<(f32, u32, Change)> = Vec::new();
    for (e, (entry, &product)) in vocabulary.entries().iter().zip(products).enumerate() {
        if unit.takes(entry) {
            ranked.push((product - own as f32, e as u32, Change::Replace));
            if settings.insert {
                ranked.push((product, e as u32, Change::Insert));
            }
        }
    }
    if settings.delete {
        ranked.push((-own as f32, NO_WORD, Change::Delete));
    }
    let order =
        |a: &(f32, u32, Change), b: &(f32, u32, Change)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let vector = slope.mean(&unit.tokens);
    let tokenizer = case.victim.model().tokenizer();
    let mut flips = Vec::new();
    let mut rest = ranked.as_mut_slice();
    // Only as much is sorted as constraints leave over.
    let mut chunk = share.saturating_mul(4).max(64);
    while !rest.is_empty() && flips.len() < share {
        let n = chunk.min(rest.len());
        chunk = chunk.saturating_mul(4);
        if n < rest.len() {
            rest.select_nth_unstable_by(n - 1, order);
        }
        let (head, tail) = rest.split_at_mut(n);
        head.sort_unstable_by(order);
        for &(gain, e, change) in head.iter() {
            if flips.len() >= share {
                break;
            }
            let place = (e != NO_WORD).then_some(e as usize);
            let Some(edit) = edit(case, vocabulary, unit, place, change) else { continue };
            let Some(original) = case.texts.originals().get(edit.field) else { continue };
            let vector: &[f32] = if change == Change::Insert { &[] } else { &vector };
            let proposal = Proposal { edit: &edit, original, vocabulary, tokenizer, vector, place };
            if case.may_edit(&edit) && case.constraints.iter().all(|c| c.allows(&proposal)) {
                flips.push((Flip { edit, gain: f64::from(gain) }, e));
            }
        }
        rest = tail;
    }
    flips
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Replace,
    Insert,
    Delete,
}

fn edit(
    case: &Case<'_>,
    vocabulary: &Vocabulary,
    unit: &Unit,
    entry: Option<usize>,
    change: Change,
) -> Option<Edit> {
    let entry = entry.and_then(|e| vocabulary.entries().get(e));
    match change {
        Change::Replace => unit.replaced(entry?, vocabulary.is_cased()),
        Change::Insert => {
            // Behind the word, with a space where its script has some.
            let text = case.texts.originals().get(unit.field)?;
            let at = word_around(text, unit.original.clone()).end;
            let space = if unit.text.chars().all(is_wide) { "" } else { " " };
            let to = format!("{space}{}", entry?.text);
            Some(Edit { field: unit.field, start: at, end: at, from: String::new(), to })
        }
        Change::Delete => {
            let text = case.texts.originals().get(unit.field)?;
            deletions(unit.field, text, std::slice::from_ref(&unit.original), |_| true).pop()
        }
    }
}

impl AtTokens {
    /// The mean embedding of some tokens.
    fn mean(&self, tokens: &[usize]) -> Vec<f32> {
        let width = self.slope(0).len();
        let mut mean = vec![0.0; width];
        for &t in tokens {
            let embedding = self.embeddings.get(t * width..(t + 1) * width).unwrap_or_default();
            mean.iter_mut().zip(embedding).for_each(|(sum, &x)| *sum += x as f32);
        }
        mean.iter_mut().for_each(|sum| *sum /= tokens.len().max(1) as f32);
        mean
    }
}
