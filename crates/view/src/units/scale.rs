//! One scale for all scores of an explanation: how strong, which sign, how many digits.

use super::FieldUnits;
use crate::number::Digits;
use crate::wire::{Explanation, Input};

/// What the scores of one explanation are measured by, over all its fields together: were each
/// field its own measure, a weak one would look as strong as the one that decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The largest absolute score.
    pub(crate) max: f64,
    /// Whether any score is negative; if none is, the method may well know no sign.
    pub(crate) signed: bool,
    digits: Digits,
}

impl Scale {
    pub(super) fn of(input: &Input, explanation: &Explanation, fields: &[FieldUnits<'_>]) -> Self {
        let units = fields.iter().flat_map(|f| f.units.iter().map(|u| u.score));
        let special = input
            .fields
            .iter()
            .zip(&explanation.scores)
            .flat_map(|(field, scores)| field.tokens.iter().zip(scores))
            .filter_map(|(token, score)| token.special.then_some(*score));
        let max = units.chain(special).fold(0.0, |max: f64, score| max.max(score.abs()));
        // A sign that is there is shown, whatever the method promised.
        let negative = explanation.scores.iter().flatten().any(|score| *score < 0.0);
        let signed = negative || !explanation.magnitudes;
        Self::new(max, signed)
    }

    /// A scale up to `max`.
    pub(crate) fn new(max: f64, signed: bool) -> Self {
        Self { max, signed, digits: Digits::of(max) }
    }

    /// Returns the score's share of the strongest one, -1 to 1; 0 when all are 0.
    pub(crate) fn share(&self, score: f64) -> f64 {
        if self.max > 0.0 { (score / self.max).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// Writes a score, with a sign where scores have one.
    pub(crate) fn number(&self, score: f64) -> String {
        if self.signed { self.digits.signed(score) } else { self.digits.unsigned(score) }
    }

    /// Writes a score as short as it makes sense below a word: `+.81`.
    pub(crate) fn short(&self, score: f64) -> String {
        let text = self.digits.shorter().signed(score);
        let text = if self.signed { &text } else { text.trim_start_matches('+') };
        match text.split_once("0.") {
            Some((sign @ ("" | "+" | "-"), digits)) => format!("{sign}.{digits}"),
            _ => text.to_owned(),
        }
    }

    /// Writes a number without a sign, such as an error, with the digits of the scores.
    pub(crate) fn bare(&self, number: f64) -> String {
        self.digits.unsigned(number)
    }
}
