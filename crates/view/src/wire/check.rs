//! The promises that types cannot make: finite numbers, aligned lists, spans within their text.
//!
//! JSON has no NaN, and serde_json would write one as null without a word; so everything that
//! writes a document checks it first.

use super::{
    Answer, Candidate, Classification, Document, Explanation, Field, Labels, Prediction, Target,
    VERSION, WordScore,
};

/// What is wrong with a document, and where: `place` is a path such as `explanations[0].output`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The document is of another version.
    #[error("version: expected {VERSION}, got {got}")]
    Version {
        /// The document's version.
        got: u32,
    },
    /// A number is NaN or infinite.
    #[error("{place}: {value} is not a finite number")]
    NotFinite {
        /// Path of the number.
        place: String,
        /// The number.
        value: f64,
    },
    /// A probability is outside 0 to 1.
    #[error("{place}: {value} is not a probability")]
    NotProbability {
        /// Path of the number.
        place: String,
        /// The number.
        value: f64,
    },
    /// A list is longer or shorter than what it describes.
    #[error("{place}: expected one entry per {of}, {expected} in all, got {got}")]
    Misaligned {
        /// Path of the list.
        place: String,
        /// What each entry describes.
        of: &'static str,
        /// How many there are of that.
        expected: usize,
        /// How many entries the list has.
        got: usize,
    },
    /// Something names a field, token or position that the input does not have.
    #[error("{place}: there is no {of} {index}; the last is {last}")]
    Missing {
        /// Path of the index.
        place: String,
        /// What it counts.
        of: &'static str,
        /// The index.
        index: usize,
        /// The largest that there is, in words.
        last: String,
    },
    /// A text is not what stands at its span.
    #[error("{place}: {text:?} is not what stands at {start}..{end}")]
    Quote {
        /// Path of the text.
        place: String,
        /// The text.
        text: String,
        /// First byte of the span.
        start: usize,
        /// One past the last byte.
        end: usize,
    },
    /// Of values that belong together, some are there and some are not.
    #[error("{place}: a text, a start and an end are either all there or all null")]
    Half {
        /// Path of what holds them.
        place: String,
    },
    /// A span is reversed, leaves the text, or cuts a character.
    #[error("{place}: {start}..{end} is not a span of whole characters in a text of {len} bytes")]
    Span {
        /// Path of the token or word.
        place: String,
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
        /// Bytes in the text.
        len: usize,
    },
    /// A token names a word that does not exist, or a special token names any.
    #[error("{place}: word {word} is not one of the {words} words this token can belong to")]
    Word {
        /// Path of the token's word.
        place: String,
        /// The word's index.
        word: usize,
        /// How many words there are to choose from.
        words: usize,
    },
    /// A word's score is not the sum of its tokens' scores.
    #[error("{place}: {score} is not the sum of the word's tokens, {sum}")]
    WordSum {
        /// Path of the word.
        place: String,
        /// The word's score.
        score: f64,
        /// The sum of its tokens' scores.
        sum: f64,
    },
}

impl Document {
    /// Checks every number, alignment and span. Call it once, before the document leaves.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self) -> Result<(), CheckError> {
        version(self.version)?;
        check_prediction(&self.prediction, &self.input.fields)?;
        check_tokens(&self.input.fields, "input")?;
        for (e, explanation) in self.explanations.iter().enumerate() {
            check_explanation(&self.input.fields, explanation, &format!("explanations[{e}]"))?;
        }
        Ok(())
    }
}

/// Refuses another version than ours.
pub(super) fn version(got: u32) -> Result<(), CheckError> {
    if got == VERSION { Ok(()) } else { Err(CheckError::Version { got }) }
}

/// Checks the tokens of an input, which `at` names.
pub(super) fn check_tokens(fields: &[Field], at: &str) -> Result<(), CheckError> {
    for (f, field) in fields.iter().enumerate() {
        for (t, token) in field.tokens.iter().enumerate() {
            let place = || format!("{at}.fields[{f}].tokens[{t}]");
            check_span(&field.text, token.start, token.end, place)?;
            if let (true, Some(word)) = (token.special, token.word) {
                let place = format!("{}.word", place());
                return Err(CheckError::Word { place, word, words: 0 });
            }
        }
    }
    Ok(())
}

pub(super) fn check_prediction(
    prediction: &Prediction,
    fields: &[Field],
) -> Result<(), CheckError> {
    match prediction {
        Prediction::TextClassification(classification) => check_labels(classification),
        Prediction::TokenClassification(entities) => {
            for (i, entity) in entities.entities.iter().enumerate() {
                let place = format!("prediction.entities[{i}]");
                probability(entity.probability, || format!("{place}.probability"))?;
                let text = check_field(fields, entity.field, &place)?;
                check_quote(text, entity.start, entity.end, &entity.text, &place)?;
            }
            Ok(())
        }
        Prediction::QuestionAnswering(answers) => {
            let text = check_field(fields, answers.field, "prediction")?;
            check_answer(text, &answers.best, "prediction")?;
            for (i, answer) in answers.answers.iter().enumerate() {
                check_answer(text, answer, &format!("prediction.answers[{i}]"))?;
            }
            Ok(())
        }
        Prediction::MaskedLm(masks) => {
            for (i, mask) in masks.masks.iter().enumerate() {
                let place = format!("prediction.masks[{i}]");
                let text = check_field(fields, mask.field, &place)?;
                let tokens = fields[mask.field].tokens.len();
                below(mask.token, tokens, "token", || format!("{place}.token"))?;
                check_span(text, mask.start, mask.end, || place.clone())?;
                check_candidates(&mask.candidates, &place)?;
            }
            Ok(())
        }
        Prediction::CausalLm(next) | Prediction::Seq2SeqLm(next) => {
            for (i, next) in next.next.iter().enumerate() {
                let place = format!("prediction.next[{i}]");
                check_candidate(&next.chosen, &place)?;
                check_candidates(&next.candidates, &place)?;
            }
            Ok(())
        }
        Prediction::SentenceSimilarity(similarity) => {
            finite(similarity.similarity, || "prediction.similarity".into())
        }
    }
}

fn check_labels(classification: &Classification) -> Result<(), CheckError> {
    let labels = match classification {
        Classification::Regression(regression) => {
            return finite(regression.value, || "prediction.value".into());
        }
        Classification::SingleLabel(labels) | Classification::MultiLabel(labels) => labels,
    };
    let Labels { probability: best, labels, .. } = labels;
    probability(*best, || "prediction.probability".into())?;
    for (i, label) in labels.iter().enumerate() {
        let place = |name| format!("prediction.labels[{i}].{name}");
        probability(label.probability, || place("probability"))?;
        optional(label.logit, || place("logit"))?;
    }
    Ok(())
}

fn check_answer(text: &str, answer: &Answer, place: &str) -> Result<(), CheckError> {
    probability(answer.probability, || format!("{place}.probability"))?;
    match (&answer.answer, answer.start, answer.end) {
        (None, None, None) => Ok(()),
        (Some(answer), Some(start), Some(end)) => check_quote(text, start, end, answer, place),
        _ => Err(CheckError::Half { place: place.into() }),
    }
}

fn check_candidates(candidates: &[Candidate], at: &str) -> Result<(), CheckError> {
    let mut numbered = candidates.iter().enumerate();
    numbered.try_for_each(|(i, one)| check_candidate(one, &format!("{at}.candidates[{i}]")))
}

fn check_candidate(candidate: &Candidate, place: &str) -> Result<(), CheckError> {
    probability(candidate.probability, || format!("{place}.probability"))?;
    finite(candidate.logit, || format!("{place}.logit"))
}

pub(super) fn check_target(
    target: &Target,
    fields: &[Field],
    place: &str,
) -> Result<(), CheckError> {
    match target {
        Target::Label { .. } | Target::Contrast { .. } | Target::Similarity { .. } => Ok(()),
        Target::Entity { field, span: [start, end], .. } => {
            let text = check_field(fields, *field, place)?;
            check_span(text, *start, *end, || format!("{place}.span"))
        }
        Target::Answer { field, span, text, .. } => {
            let context = check_field(fields, *field, place)?;
            match (span, text) {
                (None, None) => Ok(()),
                (Some([start, end]), Some(text)) => check_quote(context, *start, *end, text, place),
                _ => Err(CheckError::Half { place: place.into() }),
            }
        }
        Target::Token { position, .. } | Target::TokenContrast { position, .. } => {
            let tokens: usize = fields.iter().map(|field| field.tokens.len()).sum();
            below(*position, tokens + 1, "position", || format!("{place}.position"))
        }
    }
}

fn check_explanation(
    fields: &[Field],
    explanation: &Explanation,
    at: &str,
) -> Result<(), CheckError> {
    let Explanation { scores, words, output, baseline_output, delta, .. } = explanation;
    check_target(&explanation.target, fields, &format!("{at}.target"))?;
    finite(*output, || format!("{at}.output"))?;
    optional(*baseline_output, || format!("{at}.baseline_output"))?;
    optional(*delta, || format!("{at}.delta"))?;
    optional(explanation.error_estimate, || format!("{at}.error_estimate"))?;
    check_numbers(fields, scores, &format!("{at}.scores"))?;
    if let Some(errors) = &explanation.token_error_estimates {
        check_numbers(fields, errors, &format!("{at}.token_error_estimates"))?;
    }
    let place = format!("{at}.words");
    aligned(words.len(), fields.len(), "field", || place.clone())?;
    for (f, (field, words)) in fields.iter().zip(words).enumerate() {
        check_words(field, f, &scores[f], words, &format!("{place}[{f}]"))?;
    }
    Ok(())
}

fn check_numbers(fields: &[Field], numbers: &[Vec<f64>], at: &str) -> Result<(), CheckError> {
    aligned(numbers.len(), fields.len(), "field", || at.into())?;
    for (f, (field, row)) in fields.iter().zip(numbers).enumerate() {
        aligned(row.len(), field.tokens.len(), "token", || format!("{at}[{f}]"))?;
        for (t, &number) in row.iter().enumerate() {
            finite(number, || format!("{at}[{f}][{t}]"))?;
        }
    }
    Ok(())
}

fn check_words(
    field: &Field,
    f: usize,
    scores: &[f64],
    words: &[WordScore],
    at: &str,
) -> Result<(), CheckError> {
    let mut sums = vec![(0.0, 0.0); words.len()];
    for (t, (token, &score)) in field.tokens.iter().zip(scores).enumerate() {
        let Some(word) = token.word else { continue };
        let Some((sum, size)) = sums.get_mut(word) else {
            let place = format!("input.fields[{f}].tokens[{t}].word");
            return Err(CheckError::Word { place, word, words: words.len() });
        };
        *sum += score;
        *size += score.abs();
    }
    for (w, (word, (sum, size))) in words.iter().zip(sums).enumerate() {
        check_span(&field.text, word.start, word.end, || format!("{at}[{w}]"))?;
        finite(word.score, || format!("{at}[{w}].score"))?;
        // Room for sums that were taken in single precision and in another order.
        if (word.score - sum).abs() > 1e-5 * size {
            let place = format!("{at}[{w}]");
            return Err(CheckError::WordSum { place, score: word.score, sum });
        }
    }
    Ok(())
}

/// The text of a field that something names.
fn check_field<'a>(fields: &'a [Field], field: usize, at: &str) -> Result<&'a str, CheckError> {
    below(field, fields.len(), "field", || format!("{at}.field"))?;
    Ok(&fields[field].text)
}

pub(super) fn below(
    index: usize,
    count: usize,
    of: &'static str,
    place: impl Fn() -> String,
) -> Result<(), CheckError> {
    if index < count {
        return Ok(());
    }
    let last = count.checked_sub(1).map_or_else(|| "none".into(), |last| last.to_string());
    Err(CheckError::Missing { place: place(), of, index, last })
}

pub(super) fn check_quote(
    text: &str,
    start: usize,
    end: usize,
    quote: &str,
    place: &str,
) -> Result<(), CheckError> {
    check_span(text, start, end, || place.into())?;
    if text[start..end] == *quote {
        return Ok(());
    }
    let (place, text) = (format!("{place}.text"), quote.to_owned());
    Err(CheckError::Quote { place, text, start, end })
}

fn check_span(
    text: &str,
    start: usize,
    end: usize,
    place: impl Fn() -> String,
) -> Result<(), CheckError> {
    match text.get(start..end) {
        Some(_) => Ok(()),
        None => Err(CheckError::Span { place: place(), start, end, len: text.len() }),
    }
}

pub(super) fn aligned(
    got: usize,
    expected: usize,
    of: &'static str,
    place: impl Fn() -> String,
) -> Result<(), CheckError> {
    if got == expected {
        return Ok(());
    }
    Err(CheckError::Misaligned { place: place(), of, expected, got })
}

fn finite(value: f64, place: impl Fn() -> String) -> Result<(), CheckError> {
    if value.is_finite() { Ok(()) } else { Err(CheckError::NotFinite { place: place(), value }) }
}

fn optional(value: Option<f64>, place: impl Fn() -> String) -> Result<(), CheckError> {
    value.map_or(Ok(()), |value| finite(value, place))
}

pub(super) fn probability(value: f64, place: impl Fn() -> String) -> Result<(), CheckError> {
    finite(value, &place)?;
    // A softmax in single precision may miss 1 by a rounding error.
    if (-1e-6..=1.0 + 1e-6).contains(&value) {
        return Ok(());
    }
    Err(CheckError::NotProbability { place: place(), value })
}
