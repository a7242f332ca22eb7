//! The promises that types cannot make: finite numbers, aligned lists, spans within their text.
//!
//! JSON has no NaN, and serde_json would write one as null without a word; so everything that
//! writes a document checks it first.

use super::{Classification, Document, Explanation, Field, Labels, Prediction, VERSION, WordScore};

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
        if self.version != VERSION {
            return Err(CheckError::Version { got: self.version });
        }
        check_prediction(&self.prediction)?;
        for (f, field) in self.input.fields.iter().enumerate() {
            for (t, token) in field.tokens.iter().enumerate() {
                let place = || format!("input.fields[{f}].tokens[{t}]");
                check_span(&field.text, token.start, token.end, place)?;
                if let (true, Some(word)) = (token.special, token.word) {
                    let place = format!("{}.word", place());
                    return Err(CheckError::Word { place, word, words: 0 });
                }
            }
        }
        for (e, explanation) in self.explanations.iter().enumerate() {
            check_explanation(&self.input.fields, explanation, &format!("explanations[{e}]"))?;
        }
        Ok(())
    }
}

fn check_prediction(prediction: &Prediction) -> Result<(), CheckError> {
    let Prediction::TextClassification(classification) = prediction;
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

fn check_explanation(
    fields: &[Field],
    explanation: &Explanation,
    at: &str,
) -> Result<(), CheckError> {
    let Explanation { scores, words, output, baseline_output, delta, .. } = explanation;
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

fn aligned(
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

fn probability(value: f64, place: impl Fn() -> String) -> Result<(), CheckError> {
    finite(value, &place)?;
    // A softmax in single precision may miss 1 by a rounding error.
    if (-1e-6..=1.0 + 1e-6).contains(&value) {
        return Ok(());
    }
    Err(CheckError::NotProbability { place: place(), value })
}
