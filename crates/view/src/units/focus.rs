//! What an explanation is about, as a place in the input, and how much of it the model had read.

use super::trim;
use crate::wire::{Document, Explanation, Prediction, Target};

/// A part of a field's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) field: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Focus {
    /// The entity, answer, mask or written token that is explained; none for what stands nowhere
    /// in the input. The document has been checked.
    pub(crate) fn of(document: &Document, explanation: &Explanation) -> Option<Self> {
        let fields = &document.input.fields;
        let (field, start, end) = match &explanation.target {
            Target::Entity { field, span: [start, end], .. }
            | Target::Answer { field, span: Some([start, end]), .. } => (*field, *start, *end),
            target => {
                let (field, t) = locate(document, target.position()?)?;
                let token = &fields[field].tokens[t];
                (field, token.start, token.end)
            }
        };
        let (start, end) = trim(&fields[field].text, start, end);
        (start < end).then_some(Self { field, start, end })
    }
}

/// The field of a token, and its place there, by its place among the tokens of all fields.
fn locate(document: &Document, mut position: usize) -> Option<(usize, usize)> {
    for (f, field) in document.input.fields.iter().enumerate() {
        if position < field.tokens.len() {
            return Some((f, position));
        }
        position -= field.tokens.len();
    }
    None
}

/// How many of each field's tokens the model had read: those before the token that it was to
/// write. For other tasks, all.
pub(crate) fn read_of(document: &Document, explanation: &Explanation) -> Vec<usize> {
    let writes = matches!(document.prediction, Prediction::CausalLm(_) | Prediction::Seq2SeqLm(_));
    let mut left = explanation.target.position().filter(|_| writes).unwrap_or(usize::MAX);
    let count = |tokens: usize| {
        let read = tokens.min(left);
        left -= read;
        read
    };
    document.input.fields.iter().map(|field| field.tokens.len()).map(count).collect()
}
