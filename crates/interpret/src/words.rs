//! From tokens to words: sums over pieces, never averages, so that completeness survives.

use std::ops::Range;

use glossator_models::Encoding;

/// A word's score.
#[derive(Debug, Clone, PartialEq)]
pub struct WordScore {
    /// Its bytes in the field's text.
    pub span: Range<usize>,
    /// The sum of its tokens' scores.
    pub score: f64,
}

/// The words of each field with the sums of their tokens' scores. Words that the model never saw
/// (cut off, or dropped by the tokenizer) are left out.
///
/// `scores` has one entry for each token of `encoding`.
#[must_use]
pub fn word_scores(encoding: &Encoding, scores: &[f64]) -> Vec<Vec<WordScore>> {
    let mut sums: Vec<Vec<Option<f64>>> =
        encoding.fields.iter().map(|field| vec![None; field.words.len()]).collect();
    for (token, score) in encoding.tokens.iter().zip(scores) {
        if let Some(word) = token.word
            && let Some(sum) = sums.get_mut(token.field).and_then(|field| field.get_mut(word))
        {
            *sum = Some(sum.unwrap_or(0.0) + score);
        }
    }
    let field_scores = |(field, sums): (&glossator_models::Field, Vec<Option<f64>>)| {
        let words = field.words.iter().cloned().zip(sums);
        words.filter_map(|(span, sum)| Some(WordScore { span, score: sum? })).collect()
    };
    encoding.fields.iter().zip(sums).map(field_scores).collect()
}

/// The place of each of a field's words in the list that [`word_scores`] makes; none for a word
/// that is left out of it.
#[must_use]
pub fn word_places(encoding: &Encoding) -> Vec<Vec<Option<usize>>> {
    let mut read: Vec<Vec<bool>> =
        encoding.fields.iter().map(|field| vec![false; field.words.len()]).collect();
    for token in &encoding.tokens {
        if let Some(word) = token.word
            && let Some(seen) = read.get_mut(token.field).and_then(|field| field.get_mut(word))
        {
            *seen = true;
        }
    }
    let places = |words: Vec<bool>| {
        let mut next = 0..;
        words.into_iter().map(|seen| if seen { next.next() } else { None }).collect()
    };
    read.into_iter().map(places).collect()
}
