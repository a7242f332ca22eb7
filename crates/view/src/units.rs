//! What every picture shares: the units of a text with their scores, and one scale for them all.
//!
//! A unit is a word or a token, as [`By`] says. Tokens that overlap (pieces of one character, or
//! one character that the tokenizer expanded) are one unit, because the reader sees one place.

mod focus;
mod scale;

use crate::wire::{Document, Explanation, Field};
pub(crate) use focus::{Focus, read_of};
pub(crate) use scale::Scale;

/// What gets a score of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Words; a word's score is the sum of its tokens' scores.
    #[default]
    Word,
    /// The model's own tokens, special ones included.
    Token,
}

/// One scored place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    /// First byte in the field's text, white space left out.
    pub(crate) start: usize,
    /// One past the last; equal to `start` for a token that covers nothing.
    pub(crate) end: usize,
    /// What it reads, still unescaped.
    pub(crate) text: String,
    pub(crate) score: f64,
    /// A bound of the score's error. Errors of summed scores add up: the triangle inequality holds
    /// for absolute errors and for standard deviations alike.
    pub(crate) error: Option<f64>,
    pub(crate) special: bool,
}

/// A stretch of a field's text, in reading order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Text that has no score.
    Plain(&'a str),
    /// A unit, which may cover no text.
    Scored(&'a Unit),
}

/// One field with its units in reading order.
#[derive(Debug)]
pub(crate) struct FieldUnits<'a> {
    pub(crate) field: &'a Field,
    /// Without those that the model had not read yet when it decided.
    pub(crate) units: Vec<Unit>,
    /// The part of the text that the explanation is about.
    focus: Option<(usize, usize)>,
}

/// The scores that belong to no word, when words are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rest {
    pub(crate) score: f64,
    pub(crate) tokens: usize,
    /// Whether the tokenizer added all of these tokens.
    pub(crate) special: bool,
}

impl Rest {
    /// What to call them.
    pub(crate) fn name(self) -> &'static str {
        match (self.special, self.tokens) {
            (true, 1) => "special token",
            (true, _) => "special tokens",
            (false, 1) => "other token",
            (false, _) => "other tokens",
        }
    }
}

/// An explanation, ready to be drawn.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) explanation: &'a Explanation,
    pub(crate) fields: Vec<FieldUnits<'a>>,
    pub(crate) rest: Option<Rest>,
    pub(crate) scale: Scale,
}

impl<'a> View<'a> {
    /// Gathers the units of an explanation of this document, which has been checked.
    pub(crate) fn new(document: &'a Document, explanation: &'a Explanation, by: By) -> Self {
        let input = &document.input;
        let focus = Focus::of(document, explanation);
        let read = read_of(document, explanation);
        let mut rest = Rest { score: 0.0, tokens: 0, special: true };
        let mut fields = Vec::with_capacity(input.fields.len());
        for (f, field) in input.fields.iter().enumerate() {
            let scores = &explanation.scores[f][..read[f]];
            let units = match by {
                By::Word => word_units(field, f, explanation, read[f]),
                By::Token => token_units(field, f, explanation, read[f]),
            };
            let focus = focus.filter(|focus| focus.field == f).map(|f| (f.start, f.end));
            fields.push(FieldUnits { field, units, focus });
            let tokens = field.tokens.iter().zip(scores);
            for (token, score) in tokens.filter(|(token, _)| token.word.is_none()) {
                rest.score += score;
                rest.tokens += 1;
                rest.special &= token.special;
            }
        }
        let rest = (by == By::Word && rest.tokens > 0).then_some(rest);
        let scale = Scale::of(input, explanation, &fields);
        Self { explanation, fields, rest, scale }
    }

    /// Whether the part of the text that the explanation is about is marked.
    pub(crate) fn has_focus(&self) -> bool {
        self.fields.iter().any(|field| field.focus.is_some())
    }

    /// Counts the units of all fields.
    pub(crate) fn len(&self) -> usize {
        self.fields.iter().map(|f| f.units.len()).sum()
    }
}

impl<'a> FieldUnits<'a> {
    /// Splits the whole text into scored and other pieces, nothing left out; with each, whether
    /// the explanation is about it.
    pub(crate) fn pieces(&'a self) -> Vec<(Piece<'a>, bool)> {
        let text = &self.field.text;
        let mut pieces = Vec::with_capacity(2 * self.units.len() + 3);
        let mut at = 0;
        for unit in &self.units {
            self.plain(at, unit.start, &mut pieces);
            let focused = self.focus.is_some_and(|(start, end)| {
                // What covers nothing stands between two letters.
                let last = if unit.start == unit.end { unit.end } else { unit.end - 1 };
                let first = if unit.start == unit.end { start + 1 } else { start };
                first <= last && unit.start < end
            });
            pieces.push((Piece::Scored(unit), focused));
            at = unit.end.max(at);
        }
        self.plain(at, text.len(), &mut pieces);
        pieces
    }

    /// Adds the text between two units, in parts where the focus begins or ends in it.
    fn plain(&'a self, from: usize, to: usize, pieces: &mut Vec<(Piece<'a>, bool)>) {
        let (start, end) = self.focus.unwrap_or((to, to));
        let inside = |at: usize| at.clamp(from, to.max(from));
        let bounds = [from, inside(start), inside(end), to];
        for (i, bound) in bounds.windows(2).enumerate() {
            if bound[0] < bound[1] {
                pieces.push((Piece::Plain(&self.field.text[bound[0]..bound[1]]), i == 1));
            }
        }
    }
}

/// Adds up the error estimates of each word's tokens; None when the method gives none.
pub(crate) fn word_errors(field: &Field, f: usize, explanation: &Explanation) -> Option<Vec<f64>> {
    let estimates = explanation.token_error_estimates.as_ref()?;
    let mut errors = vec![0.0; explanation.words[f].len()];
    for (token, error) in field.tokens.iter().zip(&estimates[f]) {
        if let Some(sum) = token.word.and_then(|word| errors.get_mut(word)) {
            *sum += error.abs();
        }
    }
    Some(errors)
}

/// The first `read` tokens' words; of a word that was read in part, that part.
fn word_units(field: &Field, f: usize, explanation: &Explanation, read: usize) -> Vec<Unit> {
    let errors = word_errors(field, f, explanation);
    let whole = read == field.tokens.len();
    let mut reached = vec![None; explanation.words[f].len()];
    for token in &field.tokens[..read] {
        if let Some(reached) = token.word.and_then(|word| reached.get_mut(word)) {
            *reached = (*reached).max(Some(token.end));
        }
    }
    let words = explanation.words[f].iter().zip(reached).enumerate();
    merge(
        &field.text,
        words.filter_map(|(w, (word, reached))| {
            let end = if whole { word.end } else { reached?.clamp(word.start, word.end) };
            let (start, end) = trim(&field.text, word.start, end);
            let text = field.text[start..end].to_owned();
            let error = errors.as_ref().map(|errors| errors[w]);
            Some(Unit { start, end, text, score: word.score, error, special: false })
        }),
    )
}

fn token_units(field: &Field, f: usize, explanation: &Explanation, read: usize) -> Vec<Unit> {
    let scores = explanation.scores[f].iter().enumerate();
    merge(
        &field.text,
        field.tokens[..read].iter().zip(scores).map(|(token, (t, &score))| {
            let (start, end) = trim(&field.text, token.start, token.end);
            let text = if start == end { &token.text } else { &field.text[start..end] };
            let error = explanation.token_error_estimates.as_ref().map(|e| e[f][t].abs());
            Unit { start, end, text: text.to_owned(), score, error, special: token.special }
        }),
    )
}

/// Leaves out white space at both ends, as byte-level tokens carry it, unless there is nothing else.
pub(crate) fn trim(text: &str, start: usize, end: usize) -> (usize, usize) {
    let span = &text[start..end];
    let kept = span.trim_start();
    if kept.is_empty() {
        return (start, end);
    }
    let start = end - kept.len();
    (start, start + kept.trim_end().len())
}

/// Makes units that neither overlap nor go backwards. A unit that covers nothing stands behind the
/// one before it, whatever its position says: tokenizers give all special tokens position 0.
fn merge(text: &str, units: impl Iterator<Item = Unit>) -> Vec<Unit> {
    let mut merged: Vec<Unit> = Vec::new();
    let mut reached = 0;
    for mut unit in units {
        if unit.start == unit.end {
            (unit.start, unit.end) = (reached, reached);
            merged.push(unit);
            continue;
        }
        if unit.start >= reached {
            reached = unit.end;
            merged.push(unit);
            continue;
        }
        let first = first_overlap(&merged, unit.start);
        let mut markers = Vec::new();
        for other in merged.drain(first..).collect::<Vec<_>>() {
            if other.start == other.end {
                markers.push(other);
                continue;
            }
            unit.start = unit.start.min(other.start);
            unit.end = unit.end.max(other.end);
            unit.score += other.score;
            unit.error = unit.error.zip(other.error).map(|(a, b)| a + b);
            unit.special &= other.special;
        }
        // A merged unit reads as the place it covers.
        text[unit.start..unit.end].clone_into(&mut unit.text);
        reached = unit.end;
        merged.push(unit);
        merged.extend(markers.into_iter().map(|m| Unit { start: reached, end: reached, ..m }));
    }
    merged
}

/// Finds where the units begin that end behind `start`, looking back from the last.
fn first_overlap(units: &[Unit], start: usize) -> usize {
    let mut first = units.len();
    for (i, unit) in units.iter().enumerate().rev().filter(|(_, u)| u.start < u.end) {
        if unit.end <= start {
            break;
        }
        first = i;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Document, Input, Method, Model, Prediction, Target, Token, WordScore};

    fn view(text: &str, tokens: Vec<Token>, scores: Vec<f64>, words: &[(usize, usize)]) -> String {
        let mut sums = vec![0.0; words.len()];
        for (token, score) in tokens.iter().zip(&scores) {
            if let Some(word) = token.word {
                sums[word] += score;
            }
        }
        let words = words.iter().zip(sums).map(|(w, s)| WordScore::new(w.0, w.1, s)).collect();
        let input = Input::new(vec![Field::new("text", text, tokens)]);
        let target = Target::label("x", "logit");
        let explanation = Explanation::new(target, vec![scores], vec![words], 0.0);
        let method = Method::new("m", [].into());
        let said = Prediction::regression("x", 0.0);
        let document = Document::new(Model::new("m", "f", "t", None), method, input, said);
        [By::Token, By::Word]
            .map(|by| {
                let view = View::new(&document, &explanation, by);
                let pieces = view.fields[0].pieces();
                let text = |(piece, _): &(Piece<'_>, bool)| match piece {
                    Piece::Plain(text) => text.to_string(),
                    Piece::Scored(u) => format!("<{} {}>", u.text, view.scale.share(u.score)),
                };
                let rest = view.rest.map_or(String::new(), |rest| format!(" {rest:?}"));
                pieces.iter().map(text).collect::<String>() + &rest
            })
            .join("\n")
    }

    #[test]
    fn words_are_sums_and_special_tokens_share_the_scale() {
        let tokens = vec![
            Token::special("[CLS]", 0),
            Token::new("a", 0, 1, Some(0)),
            Token::new("##b", 1, 2, Some(0)),
            Token::new("Ġc", 2, 4, Some(1)),
            Token::special("[SEP]", 0),
        ];
        insta::assert_snapshot!(view("ab c.", tokens, vec![4.0, 1.0, 1.0, -2.0, 0.0], &[(0, 2), (2, 4)]), @"
        <[CLS] 1><a 0.25><b 0.25> <c -0.5><[SEP] 0>.
        <ab 0.5> <c -0.5>. Rest { score: 4.0, tokens: 2, special: true }
        ");
    }

    #[test]
    fn overlapping_tokens_are_one_unit() {
        let tokens = vec![
            Token::new("a", 0, 1, Some(0)),
            Token::new("ä", 1, 4, Some(1)),
            Token::new("¸", 1, 4, Some(1)),
            Token::new("x", 0, 1, Some(0)),
        ];
        insta::assert_snapshot!(view("a中", tokens, vec![1.0, 1.0, 1.0, 1.0], &[(0, 1), (1, 4)]), @"
        <a中 1>
        <a 1><中 1>
        ");
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let tokens = vec![Token::new("a", 0, 1, Some(0))];
        insta::assert_snapshot!(view("a", tokens, vec![0.0], &[(0, 1)]), @"
        <a 0>
        <a 0>
        ");
    }
}
