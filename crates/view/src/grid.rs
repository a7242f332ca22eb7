//! Several written tokens at once: which of the tokens before each spoke for it.

use crate::units::{Scale, read_of, trim};
use crate::wire::{Document, Explanation, Field, Prediction, Token};

/// Rows are written tokens, columns the tokens before them.
#[derive(Debug)]
pub(crate) struct Grid<'a> {
    pub(crate) columns: Vec<Column<'a>>,
    pub(crate) rows: Vec<Row<'a>>,
    /// One for all rows, so that they can be compared.
    pub(crate) scale: Scale,
}

/// A token that was read.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    pub(crate) text: &'a str,
    pub(crate) field: usize,
    pub(crate) special: bool,
}

/// A token that was written.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) explanation: &'a Explanation,
    pub(crate) text: &'a str,
    /// One for each column; none for a token that had not been written yet.
    pub(crate) scores: Vec<Option<f64>>,
}

impl<'a> Grid<'a> {
    /// The grid of a document, which has been checked; none if it does not explain several written
    /// tokens.
    pub(crate) fn of(document: &'a Document) -> Option<Self> {
        let (Prediction::CausalLm(_) | Prediction::Seq2SeqLm(_)) = document.prediction else {
            return None;
        };
        let explanations = &document.explanations;
        let tokens = explanations.iter().all(|one| one.target.position().is_some());
        if explanations.len() < 2 || !tokens {
            return None;
        }
        let last = explanations.iter().filter_map(|one| one.target.position()).max()?;
        let fields = document.input.fields.iter().enumerate();
        let all = fields.flat_map(|(f, field)| field.tokens.iter().map(move |t| (f, field, t)));
        let column = |(field, of, token): (usize, &'a Field, &'a Token)| Column {
            text: spelled(of, token),
            field,
            special: token.special,
        };
        let columns: Vec<Column<'a>> = all.take(last).map(column).collect();
        let rows: Vec<Row<'a>> = explanations.iter().map(|one| row(document, one, last)).collect();
        let scores = || rows.iter().flat_map(|row| row.scores.iter().flatten());
        let max = scores().fold(0.0, |max: f64, score| max.max(score.abs()));
        let signed =
            scores().any(|score| *score < 0.0) || explanations.iter().any(|one| !one.magnitudes);
        Some(Self { columns, rows, scale: Scale::new(max, signed) })
    }

    /// The columns to show where there is room for `most`: the strongest, in their order.
    pub(crate) fn strongest(&self, most: usize) -> Vec<usize> {
        let strength = |c: &usize| {
            let scores = self.rows.iter().filter_map(|row| row.scores[*c]);
            scores.fold(0.0, |max: f64, score| max.max(score.abs()))
        };
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        if shown.len() > most {
            shown.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
            shown.truncate(most);
            shown.sort_unstable();
        }
        shown
    }
}

fn row<'a>(document: &'a Document, explanation: &'a Explanation, columns: usize) -> Row<'a> {
    let read = read_of(document, explanation);
    let scores = explanation.scores.iter().zip(read).flat_map(|(scores, read)| {
        let scores = scores.iter().enumerate();
        scores.map(move |(t, score)| (t < read).then_some(*score))
    });
    let text = explanation.target.parts().0;
    // The space before it is seen where the text is.
    let text = if text.trim().is_empty() { text } else { text.trim() };
    Row { explanation, text, scores: scores.take(columns).collect() }
}

/// A token as it stands in the text; as the vocabulary spells it if it stands for nothing there.
fn spelled<'a>(field: &'a Field, token: &'a Token) -> &'a str {
    let (start, end) = trim(&field.text, token.start, token.end);
    if start == end { &token.text } else { &field.text[start..end] }
}
