//! Tags of words: on the first piece of each.

use std::ops::Range;

use glossator_models::{Encoding, Labels};

use super::labels::index;
use crate::data::{Place, Tagged};
use crate::error::Result;
use crate::item::{Gold, IGNORE};

/// The first token of each word, if it has one: the tokenizer drops some characters, and tokens
/// beyond what the model reads are cut off.
pub(crate) fn first_tokens(encoding: &Encoding, words: &[Range<usize>]) -> Vec<Option<usize>> {
    let mut tokens = encoding.tokens.iter().enumerate().peekable();
    words
        .iter()
        .map(|word| {
            while let Some((_, token)) = tokens.peek()
                && (token.special || token.end <= word.start)
            {
                tokens.next();
            }
            let (index, token) = tokens.peek()?;
            (token.start < word.end && token.start < token.end).then_some(*index)
        })
        .collect()
}

/// The targets of a sentence; none if no word has a token.
pub(super) fn gold(
    labels: &Labels,
    encoding: &Encoding,
    tagged: &Tagged,
    place: &Place,
) -> Result<Option<Gold>> {
    let mut right = vec![IGNORE; encoding.tokens.len()];
    for (token, tag) in first_tokens(encoding, &tagged.words).into_iter().zip(&tagged.tags) {
        let label = index(labels, tag, place)? as u32;
        // A token that reaches over two words has the tag of the first.
        if let Some(token) = token.filter(|&token| right[token] == IGNORE) {
            right[token] = label;
        }
    }
    let some = right.iter().any(|&label| label != IGNORE);
    Ok(some.then_some(Gold::Tokens(right)))
}
