//! The words that can be put into a text: every token of the vocabulary that stands for some, with
//! its embedding.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use glossator_models::{Batch, Encoding, Model, Token, Tokenizer};
use glossator_ops::weight::Weight;
use glossator_ops::{DType, Device, Linear, Tensor};
use rayon::prelude::*;

use super::edits::is_wide;
use crate::error::Result;

/// How a token joins the text before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// It begins a word.
    Begins,
    /// It goes on where the text before it ended (`##ing`, `ing` beside `Ġing`).
    Continues,
}

/// What a text is made of: only like replaces like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Letters of one script, by the number of its first block.
    Letters(u8),
    /// Digits.
    Digits,
    /// Anything else.
    Marks,
}

impl Kind {
    /// The kind of a text: that of its first letter, or of its digits where it has no letter.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if let Some(c) = text.chars().find(|c| c.is_alphabetic()) {
            return Self::Letters(script(c));
        }
        if text.chars().any(char::is_numeric) { Self::Digits } else { Self::Marks }
    }
}

/// The script of a letter, coarsely: those that are read by the same people are one.
fn script(c: char) -> u8 {
    match u32::from(c) {
        0..0x370 | 0x1e00..0x1f00 => 0,
        0x370..0x400 | 0x1f00..0x2000 => 1,
        0x400..0x530 => 2,
        0x530..0x590 => 3,
        0x590..0x600 => 4,
        0x600..0x780 | 0x8a0..0x900 | 0xfb50..0xfe00 | 0xfe70..0xff00 => 5,
        // A block of 128 for each script of India and its neighbours.
        code @ 0x900..0x1100 => 6 + ((code - 0x900) / 0x80) as u8,
        0x1100..0x1200 | 0xac00..0xd7b0 => 30,
        0x3040..0x3100 => 31,
        0x2e80..0xa000 | 0xf900..0xfb00 | 0x20000..0x32000 => 32,
        _ => 33,
    }
}

/// A token that can be put into a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the vocabulary.
    pub id: u32,
    /// What it reads, without the space before it.
    pub text: String,
    /// How it joins what is before it.
    pub form: Form,
    /// What it is made of.
    pub kind: Kind,
    /// Whether it can be a word by itself: it begins one, or there is a token of the same text that
    /// does, or its script has no spaces.
    pub word: bool,
}

/// Everything that can be put into a text.
pub struct Vocabulary {
    entries: Vec<Entry>,
    /// The place of each id in `entries`.
    places: HashMap<u32, usize>,
    forms: HashMap<u32, Form>,
    embeddings: Arc<Vec<f32>>,
    width: usize,
    scorer: Linear,
    cased: bool,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// The vocabulary of a model. Special tokens, tokens that are only some of a character's bytes,
    /// and tokens that stand for nothing but space are left out.
    ///
    /// # Errors
    /// If the model cannot embed its own tokens.
    pub fn new(model: &dyn Model) -> Result<Self> {
        let tokenizer = model.tokenizer();
        let size = tokenizer.vocab_size().min(model.info().vocab_size);
        let spelled = spelled(tokenizer, size);
        let forms = spelled.iter().map(|(id, form, _)| (*id, *form)).collect();
        let begin: HashSet<&str> = spelled
            .iter()
            .filter(|(_, form, _)| *form == Form::Begins)
            .map(|(_, _, text)| text.as_str())
            .collect();
        let entry = |(id, form, text): &(u32, Form, String)| {
            let whole = text.chars().all(is_wide);
            let word = *form == Form::Begins || whole || begin.contains(text.as_str());
            Entry { id: *id, text: text.clone(), form: *form, kind: Kind::of(text), word }
        };
        let entries: Vec<Entry> =
            spelled.iter().filter(|(_, _, text)| is_clean(text)).map(entry).collect();
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
        let cased = is_cased(tokenizer, &entries);
        let width = model.info().width;
        let embeddings = Arc::new(embed(model, &entries)?);
        let shape = [entries.len(), width];
        let scorer = Linear::new(Weight::from_f32(embeddings.clone(), &shape)?, None)?;
        Ok(Self { entries, places, forms, embeddings, width, scorer, cased })
    }

    /// The tokens that can be put into a text.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The place of a token among the entries.
    #[must_use]
    pub fn place(&self, id: u32) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// How a token joins what is before it, where the vocabulary tells.
    #[must_use]
    pub fn form(&self, id: u32) -> Option<Form> {
        self.forms.get(&id).copied()
    }

    /// Whether the tokenizer tells capital letters from small ones.
    #[must_use]
    pub fn is_cased(&self) -> bool {
        self.cased
    }

    /// The embedding of an entry.
    #[must_use]
    pub fn embedding(&self, place: usize) -> &[f32] {
        self.embeddings.get(place * self.width..(place + 1) * self.width).unwrap_or_default()
    }

    /// `g · e` for each of `rows` vectors `g` and each entry: `[rows, entries]`, in one product.
    ///
    /// # Errors
    /// If a vector does not have the embeddings' width.
    pub fn products(&self, vectors: &[f64]) -> Result<Vec<f32>> {
        let rows = vectors.len() / self.width.max(1);
        if rows == 0 || self.entries.is_empty() {
            return Ok(Vec::new());
        }
        let vectors: Vec<f32> = vectors.iter().map(|&x| x as f32).collect();
        let vectors = Tensor::from_vec(vectors, (rows, self.width), &Device::Cpu)?;
        Ok(self.scorer.forward(&vectors)?.flatten_all()?.to_vec1()?)
    }

    /// The cosine of the angle between two entries' embeddings.
    #[must_use]
    pub fn cosine(&self, a: usize, b: usize) -> f64 {
        cosine(self.embedding(a), self.embedding(b))
    }
}

/// Whether the tokenizer tells capital letters from small ones.
fn is_cased(tokenizer: &Tokenizer, entries: &[Entry]) -> bool {
    /// Words that are tried.
    const WORDS: usize = 50;
    let mut words = entries
        .iter()
        .filter(|entry| entry.word && entry.text.to_uppercase() != entry.text)
        .take(WORDS);
    words.any(|entry| {
        let (small, capital) =
            (format!(" {}", entry.text), format!(" {}", entry.text.to_uppercase()));
        match (tokenizer.ids_of(&small), tokenizer.ids_of(&capital)) {
            (Ok(small), Ok(capital)) => small != capital,
            _ => false,
        }
    })
}

/// The cosine of the angle between two vectors; 0 if one of them is 0.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// Whether a text can stand in a text as it is: no control characters, no space, no piece of a
/// character.
fn is_clean(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\u{fffd}' || c == '▁')
        && text.chars().any(|c| !is_mark(c))
        && is_uniform(text)
}

/// Whether a text is letters, or digits, or neither: `[unused7]` is none of these.
fn is_uniform(text: &str) -> bool {
    let letter = |c: char| c.is_alphabetic() || is_mark(c) || matches!(c, '\'' | '’' | '-');
    let digit = |c: char| c.is_numeric() || matches!(c, '.' | ',');
    match Kind::of(text) {
        Kind::Letters(_) => text.chars().all(letter),
        Kind::Digits => text.chars().all(digit),
        Kind::Marks => true,
    }
}

/// Whether a character only changes the one before it.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x300..0x370 | 0x200b..0x2010 | 0xfe00..0xfe10 | 0x20d0..0x2100)
}

/// What each token reads, and how it joins what is before it.
fn spelled(tokenizer: &Tokenizer, size: usize) -> Vec<(u32, Form, String)> {
    let prefixed = tokenizer.has_continuing_prefix();
    // Tokens are written behind this one: alone, some decoders take their space away.
    let anchor = (0..size as u32).find(|&id| {
        let plain =
            |name: String| name.chars().count() > 1 && name.chars().all(char::is_alphanumeric);
        !tokenizer.is_special(id) && tokenizer.id_to_token(id).is_some_and(plain)
    });
    let one = |id: u32| -> Option<(u32, Form, String)> {
        let name = tokenizer.id_to_token(id)?;
        if tokenizer.is_special(id) || tokenizer.unk_token() == Some(id) {
            return None;
        }
        if prefixed {
            let (form, text) = match name.strip_prefix("##") {
                Some(rest) if !rest.is_empty() => (Form::Continues, rest.to_owned()),
                _ => (Form::Begins, name),
            };
            return Some((id, form, text));
        }
        let text = match anchor {
            Some(anchor) => tokenizer.written(&[anchor, id]).pop()?.text,
            None => tokenizer.token_text(id)?,
        };
        let form =
            if text.starts_with(char::is_whitespace) { Form::Begins } else { Form::Continues };
        Some((id, form, text.trim_start().to_owned()))
    };
    (0..size as u32).into_par_iter().filter_map(one).collect()
}

/// The embeddings of the entries, `[entries, width]`.
fn embed(model: &dyn Model, entries: &[Entry]) -> Result<Vec<f32>> {
    /// Tokens that are embedded at once.
    const CHUNK: usize = 4096;
    let mut all = Vec::with_capacity(entries.len() * model.info().width);
    for chunk in entries.chunks(CHUNK) {
        let tokens = chunk.iter().map(|entry| Token {
            id: entry.id,
            text: model.tokenizer().id_to_token(entry.id).unwrap_or_default(),
            start: 0,
            end: 0,
            word: None,
            special: false,
            field: 0,
            segment: 0,
        });
        let encoding =
            Encoding { tokens: tokens.collect(), fields: Vec::new(), truncated: 0, second: None };
        let embeddings = model.embed(&Batch::repeat(&encoding, 1))?;
        let flat = embeddings.flatten_all()?.to_dtype(DType::F32)?;
        all.extend(flat.to_vec1::<f32>()?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_replaces_like() {
        assert_eq!(Kind::of("don't"), Kind::of("Film"));
        assert_ne!(Kind::of("电"), Kind::of("Film"));
        assert_eq!(Kind::of("电"), Kind::of("影"));
        assert_eq!(Kind::of("1,000"), Kind::Digits);
        assert_eq!(Kind::of("..."), Kind::Marks);
        assert_ne!(Kind::of("фильм"), Kind::of("film"));
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        for text in ["", "\u{fffd}", "a b", "\n", "\u{301}", "▁", "[unused7]", "a1"] {
            assert!(!is_clean(text), "{text:?}");
        }
        assert!(is_clean("电影") && is_clean("e\u{301}") && is_clean("'s"));
    }

    #[test]
    fn cosines() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[2.0, 2.0]) - 1.0).abs() < 1e-12);
        assert_eq!(cosine(&[0.0, 0.0], &[2.0, 2.0]), 0.0);
    }
}
