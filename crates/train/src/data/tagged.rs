//! Words with tags, and the text that they make.

use std::ops::Range;

use super::Place;
use crate::error::{Error, Result};

/// A sentence whose words have tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The words put together: a space between them, but none between two characters of a script
    /// that is written without.
    pub text: String,
    /// The bytes of each word.
    pub words: Vec<Range<usize>>,
    /// The tag of each word.
    pub tags: Vec<String>,
}

impl Tagged {
    /// Puts words together.
    pub(super) fn new(words: Vec<String>, tags: Vec<String>, place: &Place) -> Result<Self> {
        let spaced = vec![None; words.len()];
        Self::spaced(words, tags, &spaced, place)
    }

    /// Puts words together; `spaced` says of each whether a space follows it, where that is known.
    #[expect(clippy::needless_pass_by_value, reason = "readers make it for this")]
    pub(super) fn spaced(
        words: Vec<String>,
        tags: Vec<String>,
        spaced: &[Option<bool>],
        place: &Place,
    ) -> Result<Self> {
        if words.len() != tags.len() {
            let what = format!("{} tokens, but {} tags", words.len(), tags.len());
            return Err(Error::data(place, what, "give each token one tag"));
        }
        let mut text = String::new();
        let mut spans = Vec::with_capacity(words.len());
        for (i, word) in words.iter().enumerate() {
            let first = word.chars().next();
            if i > 0 {
                let joined = text.chars().next_back().is_some_and(is_unspaced)
                    && first.is_some_and(is_unspaced);
                if spaced.get(i - 1).copied().flatten().unwrap_or(!joined) {
                    text.push(' ');
                }
            }
            spans.push(text.len()..text.len() + word.len());
            text.push_str(word);
        }
        Ok(Self { text, words: spans, tags })
    }
}

/// Whether a character is of Chinese or Japanese writing, which puts no spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x3000..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF
        | 0x20000..=0x3FFFF)
}
