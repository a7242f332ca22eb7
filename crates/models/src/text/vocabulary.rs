//! Tokenizers of whole words or single characters, made from texts.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::{
    NormalizedString, Normalizer as _, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _,
};

use super::guard;
use crate::error::{Error, Result};

/// What one token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A word, or a punctuation mark: texts are split at white space and around punctuation.
    Word,
    /// What stands between white space: for texts that are split already.
    Spaced,
    /// A character (a code point of Unicode), white space too.
    Character,
}

impl Unit {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 3] =
        [("word", Self::Word), ("spaced", Self::Spaced), ("character", Self::Character)];
}

/// The special tokens of a vocabulary, besides `[PAD]` and `[UNK]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marks {
    /// None. A text is its tokens; of a pair, one text follows the other.
    None,
    /// `[CLS]` before a text and `[SEP]` behind each, and `[MASK]`.
    Bounds,
    /// `[BOS]` before a text, and `[EOS]`, with which a model ends one.
    Begin,
    /// `[BOS]` and `[EOS]`, with which a decoder begins and ends; texts have neither.
    Decoder,
}

impl Marks {
    fn tokens(self) -> &'static [&'static str] {
        match self {
            Self::None => &["[PAD]", "[UNK]"],
            Self::Bounds => &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            Self::Begin | Self::Decoder => &["[PAD]", "[UNK]", "[BOS]", "[EOS]"],
        }
    }

    /// The template that puts them around texts.
    fn template(self) -> Value {
        let special =
            |name: &str, segment: u32| json!({"SpecialToken": {"id": name, "type_id": segment}});
        let text = |id: &str, segment: u32| json!({"Sequence": {"id": id, "type_id": segment}});
        let (single, pair) = match self {
            Self::None | Self::Decoder => (vec![text("A", 0)], vec![text("A", 0), text("B", 1)]),
            Self::Begin => {
                let begin = special("[BOS]", 0);
                (vec![begin.clone(), text("A", 0)], vec![begin, text("A", 0), text("B", 1)])
            }
            Self::Bounds => {
                let (open, close) = (special("[CLS]", 0), special("[SEP]", 0));
                let first = vec![open, text("A", 0), close];
                let second = [text("B", 1), special("[SEP]", 1)];
                (first.clone(), first.into_iter().chain(second).collect())
            }
        };
        let ids: serde_json::Map<String, Value> = self
            .tokens()
            .iter()
            .enumerate()
            .map(|(id, &name)| {
                (name.to_owned(), json!({"id": name, "ids": [id], "tokens": [name]}))
            })
            .collect();
        json!({
            "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids,
        })
    }
}

/// Makes the `tokenizer.json` of the words or characters of some texts: special tokens first, then
/// the most frequent ones, in the order of their characters where they are equally frequent. Of
/// what the vocabulary lacks, each token is `[UNK]`.
///
/// - `size`: the most tokens, special ones included
/// - `min_count`: how often a token must occur to have a place
/// - `lowercase`: whether letter case is dropped
///
/// Splitting keeps the bytes of the text: every token has its own place in it, in any script.
///
/// # Errors
/// If there is no room for a token, or the tokenizer library fails.
pub fn build_vocabulary(
    texts: impl IntoIterator<Item = impl AsRef<str>>,
    unit: Unit,
    size: usize,
    min_count: usize,
    lowercase: bool,
    marks: Marks,
) -> Result<Vec<u8>> {
    let bad = |what: String| Error::BadTokenizer { source_name: "the vocabulary".to_owned(), what };
    let special = marks.tokens();
    if size <= special.len() {
        let n = special.len();
        return Err(bad(format!("expected room for more than its {n} special tokens, got {size}")));
    }
    let described = tokenizer(
        unit,
        lowercase,
        marks,
        &special.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(),
    );
    let splitter =
        guard("making a vocabulary", || tokenizers::Tokenizer::from_bytes(described.to_string()))?
            .map_err(|error| bad(error.to_string()))?;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let pieces = guard("splitting a text", || split(&splitter, text.as_ref()))?
            .map_err(|error| Error::Encode { what: error.to_string() })?;
        for piece in pieces {
            *counts.entry(piece).or_default() += 1;
        }
    }
    let mut found: Vec<(String, usize)> = counts
        .into_iter()
        .filter(|(token, count)| *count >= min_count && !special.contains(&token.as_str()))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let tokens: Vec<String> = special
        .iter()
        .map(|&name| name.to_owned())
        .chain(found.into_iter().map(|(token, _)| token))
        .take(size)
        .collect();
    Ok(tokenizer(unit, lowercase, marks, &tokens).to_string().into_bytes())
}

/// The pieces of a text, normalised.
fn split(tokenizer: &tokenizers::Tokenizer, text: &str) -> tokenizers::Result<Vec<String>> {
    let mut normal = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut normal)?;
    }
    let mut pieces = PreTokenizedString::from(normal);
    if let Some(splitter) = tokenizer.get_pre_tokenizer() {
        splitter.pre_tokenize(&mut pieces)?;
    }
    let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(pieces.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
}

/// What a `tokenizer.json` holds.
fn tokenizer(unit: Unit, lowercase: bool, marks: Marks, tokens: &[String]) -> Value {
    let splitter = match unit {
        Unit::Word => json!({"type": "BertPreTokenizer"}),
        Unit::Spaced => json!({"type": "WhitespaceSplit"}),
        Unit::Character => json!({
            "type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated",
            "invert": false,
        }),
    };
    // Words are written with a space between them, which is what happens without a decoder.
    let decoder = match unit {
        Unit::Character => json!({"type": "Fuse"}),
        Unit::Word | Unit::Spaced => Value::Null,
    };
    let added: Vec<Value> = marks
        .tokens()
        .iter()
        .enumerate()
        .map(|(id, name)| {
            json!({
                "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": if lowercase { json!({"type": "Lowercase"}) } else { Value::Null },
        "pre_tokenizer": splitter,
        "post_processor": marks.template(),
        "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    const TEXTS: [&str; 4] = ["The cat sat, the dog sat.", "我喜欢吃苹果", "a 👍🏽 b", "The END"];

    fn made(unit: Unit, size: usize, lowercase: bool, marks: Marks) -> Tokenizer {
        let bytes = build_vocabulary(TEXTS, unit, size, 1, lowercase, marks).unwrap();
        Tokenizer::from_bytes(&bytes).unwrap()
    }

    fn spelled(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        let encoding = tokenizer.encode(text).unwrap();
        encoding.tokens.iter().map(|token| text[token.start..token.end].to_owned()).collect()
    }

    #[test]
    fn words_have_their_places_and_the_frequent_ones_come_first() {
        let tokenizer = made(Unit::Word, 100, true, Marks::None);
        assert_eq!(spelled(&tokenizer, "The cat, 我 x."), ["The", "cat", ",", "我", "x", "."]);
        let ids = tokenizer.encode("THE cat x").unwrap().ids();
        assert_eq!(ids[0], 2, "the most frequent word");
        assert_eq!(Some(ids[2]), tokenizer.unk_token());
        assert_eq!(tokenizer.pad_token(), Some(0));
        assert_eq!(tokenizer.ids_of("sat").unwrap(), [3]);
        let spaced = made(Unit::Spaced, 100, false, Marks::None);
        assert_eq!(spelled(&spaced, "The cat sat, x"), ["The", "cat", "sat,", "x"]);
    }

    #[test]
    fn characters_have_their_places_in_any_script() {
        let tokenizer = made(Unit::Character, 100, false, Marks::None);
        let text = "我喜欢吃苹果 👍🏽\nA";
        let characters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(spelled(&tokenizer, text), characters);
        let encoding = tokenizer.encode("我 果").unwrap();
        assert!(encoding.tokens.iter().all(|token| Some(token.id) != tokenizer.unk_token()));
        let written = tokenizer.written(&tokenizer.ids_of("苹果").unwrap());
        let texts: Vec<&str> = written.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["苹", "果"]);
    }

    #[test]
    fn marks_stand_where_they_say() {
        let names = |tokenizer: &Tokenizer| {
            let encoding = tokenizer.encode_pair("cat", "dog").unwrap();
            encoding.tokens.into_iter().map(|token| token.text).collect::<Vec<_>>()
        };
        let bounds = made(Unit::Word, 100, true, Marks::Bounds);
        assert_eq!(names(&bounds), ["[CLS]", "cat", "[SEP]", "dog", "[SEP]"]);
        assert!(bounds.mask_token().is_some() && bounds.cls_token().is_some());
        assert_eq!(names(&made(Unit::Word, 100, true, Marks::Begin)), ["[BOS]", "cat", "dog"]);
        let decoder = made(Unit::Word, 100, true, Marks::Decoder);
        assert_eq!(names(&decoder), ["cat", "dog"]);
        assert!(decoder.token_to_id("[EOS]").is_some());
    }

    #[test]
    fn size_and_count_are_limits() {
        let tokenizer = made(Unit::Word, 5, true, Marks::None);
        assert_eq!(tokenizer.vocab_size(), 5);
        let bytes = build_vocabulary(TEXTS, Unit::Word, 100, 2, true, Marks::None).unwrap();
        // "the" stands there three times, "sat" twice.
        assert_eq!(Tokenizer::from_bytes(&bytes).unwrap().vocab_size(), 4);
        assert!(build_vocabulary(TEXTS, Unit::Word, 2, 1, true, Marks::None).is_err());
        let none: [&str; 0] = [];
        let empty = build_vocabulary(none, Unit::Word, 9, 1, true, Marks::None).unwrap();
        assert_eq!(Tokenizer::from_bytes(&empty).unwrap().vocab_size(), 2);
        // A special token in a text does not come twice.
        let bytes = build_vocabulary(["[PAD] x"], Unit::Spaced, 9, 1, false, Marks::None).unwrap();
        assert_eq!(Tokenizer::from_bytes(&bytes).unwrap().vocab_size(), 3);
    }
}
