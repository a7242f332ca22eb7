//! Tokens with their places in the text.

use std::ops::Range;

use super::{Tokenizer, guard, words};
use crate::error::{Error, Result};

/// One token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The number in the vocabulary.
    pub id: u32,
    /// The text in the vocabulary, such as `##ly`.
    pub text: String,
    /// The first byte in its field's text.
    pub start: usize,
    /// The byte after the last; equal to `start` (both 0) for a special token.
    pub end: usize,
    /// The word it belongs to, an index into [`Field::words`]; none for special tokens and for
    /// tokens that stand for no text or only for space.
    pub word: Option<usize>,
    /// Whether the tokenizer's template added it (`[CLS]`, `[SEP]`).
    ///
    /// A special token that is written out in the text, such as `[MASK]`, gets its special id, as in
    /// Python. But it stands for bytes of the text, so it has a span and a word, and is not marked.
    pub special: bool,
    /// The field it belongs to, an index into [`Encoding::fields`]; for a special token, the field
    /// that it opens or closes.
    pub field: usize,
    /// The segment (token type) that the model is told.
    pub segment: u32,
}

/// One of the texts of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What the text is called: `text`, and `text_pair` for the second of a pair.
    pub name: String,
    /// The text as it was given.
    pub text: String,
    /// The bytes of each word, in order and apart from each other. Truncation leaves words without
    /// tokens, and so do characters that the tokenizer drops.
    pub words: Vec<Range<usize>>,
}

/// A text, or a pair of them, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The tokens in the order in which the model reads them.
    pub tokens: Vec<Token>,
    /// The texts.
    pub fields: Vec<Field>,
    /// The number of tokens that were dropped to keep to a limit.
    pub truncated: usize,
    /// Where a second sequence begins that the model reads apart from the first: the decoder's
    /// tokens, or the second of two texts to compare. Positions and padding start anew there.
    pub second: Option<usize>,
}

/// A token that a model wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The number in the vocabulary.
    pub id: u32,
    /// The text in the vocabulary.
    pub name: String,
    /// What it adds to the text before it.
    pub text: String,
}

impl Encoding {
    /// This with another encoding behind it, which the model reads apart from it.
    #[must_use]
    pub fn with_second(mut self, second: Self, name: &str) -> Self {
        self.second = Some(self.tokens.len());
        self.truncated += second.truncated;
        let fields = self.fields.len();
        self.tokens.extend(second.tokens.into_iter().map(|mut token| {
            token.field += fields;
            token
        }));
        let named = |(i, mut field): (usize, Field)| {
            if i == 0 {
                name.clone_into(&mut field.name);
            }
            field
        };
        self.fields.extend(second.fields.into_iter().enumerate().map(named));
        self
    }

    /// This with tokens behind it that a model wrote, as a field of their own. `start`: the token
    /// that a decoder begins with, which reads them apart from this.
    #[must_use]
    pub fn with_written(
        mut self,
        written: &[Written],
        name: &str,
        start: Option<(u32, String)>,
    ) -> Self {
        let field = self.fields.len();
        let segment = 0;
        if let Some((id, text)) = start {
            self.second = Some(self.tokens.len());
            let (start, end, word, special) = (0, 0, None, true);
            self.tokens.push(Token { id, text, start, end, word, special, field, segment });
        }
        let mut text = String::new();
        let first = self.tokens.len();
        for token in written {
            let start = text.len();
            text.push_str(&token.text);
            self.tokens.push(Token {
                id: token.id,
                text: token.name.clone(),
                start,
                end: text.len(),
                word: None,
                special: false,
                field,
                segment,
            });
        }
        let spans: Vec<_> =
            self.tokens[first..].iter().map(|token| token.start..token.end).collect();
        let (words, of_token) = words::group(&text, &spans);
        for (token, word) in self.tokens[first..].iter_mut().zip(of_token) {
            token.word = word;
        }
        self.fields.push(Field { name: name.to_owned(), text, words });
        self
    }

    /// The first `count` tokens, with all fields.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        let mut prefix = self.clone();
        prefix.tokens.truncate(count);
        prefix.second = prefix.second.filter(|&second| second <= count);
        prefix
    }

    /// How a token stands in its text, letter case and all; what it is called in the vocabulary if
    /// it stands in none. Nothing for a token that the template added.
    #[must_use]
    pub fn written<'a>(&'a self, token: &'a Token) -> &'a str {
        if token.special {
            return "";
        }
        let field = self.fields.get(token.field).map_or("", |field| field.text.as_str());
        match field.get(token.start..token.end) {
            Some(text) if !text.is_empty() => text,
            _ => &token.text,
        }
    }

    /// Puts another token of a vocabulary in the place of one. It stands in no text.
    pub fn put(&mut self, place: usize, id: u32, tokenizer: &Tokenizer) {
        if let Some(token) = self.tokens.get_mut(place).filter(|token| token.id != id) {
            let text = tokenizer.id_to_token(id).unwrap_or_default();
            let special = tokenizer.is_special(id);
            *token = Token { id, text, start: 0, end: 0, special, ..token.clone() };
        }
    }

    /// The ids of the tokens.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }

    /// The segments of the tokens.
    #[must_use]
    pub fn segments(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.segment).collect()
    }

    /// Drops tokens from the ends of the texts until at most `max_tokens` are left. Special tokens
    /// stay. Of a pair, the longer text is shortened first, as `longest_first` in Python does.
    ///
    /// # Errors
    /// If the special tokens alone are more than `max_tokens`.
    pub fn truncate(mut self, max_tokens: usize) -> Result<Self> {
        if self.tokens.len() <= max_tokens {
            return Ok(self);
        }
        let special = self.tokens.iter().filter(|token| token.special).count();
        let room = max_tokens.checked_sub(special).ok_or(Error::NoRoom { max_tokens, special })?;
        let mut kept = vec![0_usize; self.fields.len()];
        for token in self.tokens.iter().filter(|token| !token.special) {
            kept[token.field] += 1;
        }
        match &mut kept[..] {
            [first, second] => (*first, *second) = longest_first(*first, *second, room),
            one => one.iter_mut().for_each(|count| *count = room.min(*count)),
        }
        let before = self.tokens.len();
        let (mut place, mut first) = (0, 0);
        let second = self.second.unwrap_or(before);
        self.tokens.retain(|token| {
            let keep = token.special
                || match &mut kept[token.field] {
                    0 => false,
                    left => {
                        *left -= 1;
                        true
                    }
                };
            first += usize::from(keep && place < second);
            place += 1;
            keep
        });
        self.second = self.second.map(|_| first);
        self.truncated += before - self.tokens.len();
        Ok(self)
    }
}

/// The lengths that two texts of `first` and `second` tokens are cut to.
fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first > second {
        let (second, first) = longest_first(second, first, room);
        return (first, second);
    }
    // The shorter text is cut only if an equal share of the room is not enough for it; an odd
    // token goes to the longer.
    let first = first.min(room / 2);
    (first, second.min(room - first))
}

/// Turns what the library gives into tokens of the `texts`, each with its name.
///
/// # Errors
/// If the library failed.
pub(super) fn convert(
    encoding: tokenizers::Result<tokenizers::Encoding>,
    texts: &[(&str, &str)],
) -> Result<Encoding> {
    let encoding = encoding.map_err(|error| Error::Encode { what: error.to_string() })?;
    let sequences = guard("telling texts apart", || encoding.get_sequence_ids())?;
    let last_field = texts.len() - 1;
    let mut field = 0;
    let mut tokens = Vec::with_capacity(encoding.len());
    let columns = encoding
        .get_ids()
        .iter()
        .zip(encoding.get_tokens())
        .zip(encoding.get_offsets())
        .zip(encoding.get_type_ids())
        .zip(encoding.get_special_tokens_mask())
        .zip(sequences);
    for (((((&id, token), &offsets), &segment), &mask), sequence) in columns {
        let special = mask != 0 || sequence.is_none();
        field = match sequence {
            Some(sequence) if !special => sequence,
            // The token that closes an empty second text has only its segment to say so.
            _ => field.max(segment as usize),
        }
        .min(last_field);
        let (start, end) = if special { (0, 0) } else { on_boundaries(texts[field].1, offsets) };
        let text = token.clone();
        tokens.push(Token { id, text, start, end, word: None, special, field, segment });
    }
    let mut fields = Vec::with_capacity(texts.len());
    for (index, &(name, text)) in texts.iter().enumerate() {
        let mine = |token: &&mut Token| token.field == index && !token.special;
        let spans: Vec<_> =
            tokens.iter_mut().filter(mine).map(|token| token.start..token.end).collect();
        let (words, of_token) = words::group(text, &spans);
        for (token, word) in tokens.iter_mut().filter(mine).zip(of_token) {
            token.word = word;
        }
        fields.push(Field { name: name.to_owned(), text: text.to_owned(), words });
    }
    Ok(Encoding { tokens, fields, truncated: 0, second: None })
}

/// The span of whole characters that covers the library's, which it does not promise to be one.
fn on_boundaries(text: &str, (start, end): (usize, usize)) -> (usize, usize) {
    let start = text.floor_char_boundary(start);
    (start, text.ceil_char_boundary(end).max(start))
}
