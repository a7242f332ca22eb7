//! The tokenizer of a GGUF file: its metadata written as the `tokenizer.json` of the same model.
//!
//! Two kinds are read. `gpt2` is byte-level BPE, with merges in the file; how text is split before
//! is only named there, so the names are a table here. `llama` is SentencePiece as llama.cpp runs
//! it: pairs are merged in the order of the scores of what comes out, and what the vocabulary
//! cannot spell becomes bytes.

use std::collections::HashMap;

use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use super::SpecialTokens;
use super::declared::Declared;
use crate::checkpoint::gguf::Metadata;
use crate::error::{Error, Result, clip};

const TOKENS: &str = "tokenizer.ggml.tokens";
const PRE: &str = "tokenizer.ggml.pre";

/// The most tokens; the largest vocabularies in use have 262 144.
const MAX_TOKENS: usize = 1 << 22;

/// The longest piece that pairs may be merged to, in bytes. SentencePiece's own default is 16
/// characters.
const MAX_PIECE: usize = 512;

/// What a token is, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn of(number: i64) -> Option<Self> {
        Some(match number {
            0 | 1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// How text is split into the words that merges stay within.
struct Split {
    /// The names in `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    how: How,
    /// Whether accents are composed first (NFC).
    composes: bool,
    /// Whether a word that is in the vocabulary is one token, whatever the merges say.
    whole_words: bool,
    /// Whether a text begins with the token for it where the file does not say.
    begins: bool,
    /// Whether a token's place in the text leaves out the space before it.
    trims: bool,
}

enum How {
    /// As GPT-2 does.
    Gpt2,
    /// As GPT-2 does, but digits stand alone.
    Digits,
    /// By this expression.
    Expression(&'static str),
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const PLAIN: Split = Split {
    names: &["gpt-2", "default"],
    how: How::Gpt2,
    composes: false,
    whole_words: false,
    begins: false,
    trims: false,
};

const SPLITS: [Split; 5] = [
    PLAIN,
    Split { names: &["smollm"], how: How::Digits, ..PLAIN },
    Split {
        names: &["llama-bpe", "llama3", "llama-v3"],
        how: How::Expression(LLAMA3),
        whole_words: true,
        begins: true,
        trims: true,
        ..PLAIN
    },
    Split {
        names: &["qwen2", "deepseek-r1-qwen"],
        how: How::Expression(QWEN2),
        composes: true,
        ..PLAIN
    },
    Split {
        names: &["tekken"],
        how: How::Expression(TEKKEN),
        whole_words: true,
        begins: true,
        ..PLAIN
    },
];

/// The `tokenizer.json`, and what stands in the files beside it.
pub(super) fn describe(metadata: &Metadata<'_>) -> Result<(Vec<u8>, Declared)> {
    let key = "tokenizer.ggml.model";
    let vocabulary = Vocabulary::read(metadata)?;
    let written = match metadata.text(key)? {
        Some("gpt2") => byte_level(metadata, &vocabulary)?,
        Some("llama") => sentence_piece(metadata, &vocabulary)?,
        Some(_) => return Err(metadata.unsupported(key, "gpt2 or llama")),
        None => return Err(metadata.bad(key, "the kind of tokenizer")),
    };
    let special = SpecialTokens {
        pad: vocabulary.special(metadata, "padding")?.map(str::to_owned),
        unk: vocabulary.special(metadata, "unknown")?.map(str::to_owned),
        ..SpecialTokens::default()
    };
    Ok((written, Declared { special, ..Declared::default() }))
}

/// The tokens of a file.
struct Vocabulary<'a> {
    tokens: Vec<&'a str>,
    kinds: Vec<Kind>,
    ids: HashMap<&'a str, u32>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &Metadata<'a>) -> Result<Self> {
        let tokens = metadata.texts(TOKENS)?;
        let tokens = tokens.filter(|tokens| (1..=MAX_TOKENS).contains(&tokens.len()));
        let tokens =
            tokens.ok_or_else(|| metadata.bad(TOKENS, "a list of one to 4194304 texts"))?;
        let key = "tokenizer.ggml.token_type";
        let kinds = match metadata.wholes(key)? {
            None => vec![Kind::Normal; tokens.len()],
            Some(kinds) => {
                let kinds: Option<Vec<Kind>> = kinds.into_iter().map(Kind::of).collect();
                let kinds = kinds.filter(|kinds| kinds.len() == tokens.len());
                kinds.ok_or_else(|| metadata.bad(key, "a number from 1 to 6 for each token"))?
            }
        };
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, &token) in (0_u32..).zip(&tokens) {
            if let Some(first) = ids.insert(token, id) {
                let token = clip(token.to_owned());
                let what = format!("token {token:?} stands twice: {first} and {id}");
                return Err(bad(metadata, what));
            }
        }
        Ok(Self { tokens, kinds, ids })
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        let tokens = (0_u32..).zip(&self.tokens).zip(&self.kinds);
        tokens.map(|((id, &token), &kind)| (id, token, kind))
    }

    /// A token that the file names by its id.
    fn special(&self, metadata: &Metadata<'_>, name: &str) -> Result<Option<&'a str>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = metadata.whole(&key)? else { return Ok(None) };
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id).copied());
        let expected = format!("the id of one of {} tokens", self.tokens.len());
        token.map(Some).ok_or_else(|| metadata.bad(&key, &expected))
    }

    /// The tokens that are found in a text before it is split.
    fn added(&self, ends: [Option<&str>; 2]) -> Vec<Value> {
        let added = |(id, token, kind): (u32, &str, Kind)| {
            let special =
                matches!(kind, Kind::Control | Kind::Unknown) || ends.contains(&Some(token));
            // The library finds an empty one nowhere, and may not end looking for it.
            let wanted = (special || kind == Kind::UserDefined) && !token.is_empty();
            wanted.then(|| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": special,
                })
            })
        };
        self.iter().filter_map(added).collect()
    }
}

fn bad(metadata: &Metadata<'_>, what: String) -> Error {
    Error::weights(metadata.path(), what)
}

/// The layout of a `tokenizer.json`. Lists that are long are written from where they are.
#[derive(serde::Serialize)]
struct Written<'a> {
    version: &'static str,
    truncation: Value,
    padding: Value,
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Bpe<'a>,
}

#[derive(serde::Serialize)]
struct Bpe<'a> {
    r#type: &'static str,
    dropout: Value,
    unk_token: Option<&'a str>,
    continuing_subword_prefix: Value,
    end_of_word_suffix: Value,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Ids<'a>,
    merges: Vec<(&'a str, &'a str)>,
}

/// Tokens as an object with their ids.
struct Ids<'a>(&'a [&'a str]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(0_u32..))
    }
}

impl Written<'_> {
    fn bytes(&self, metadata: &Metadata<'_>) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| bad(metadata, error.to_string()))
    }
}

fn byte_level(metadata: &Metadata<'_>, vocabulary: &Vocabulary<'_>) -> Result<Vec<u8>> {
    let name = metadata.text(PRE)?;
    let split = name.and_then(|name| SPLITS.iter().find(|split| split.names.contains(&name)));
    let Some(split) = split else {
        let names: Vec<&str> = SPLITS.iter().flat_map(|split| split.names).copied().collect();
        return Err(metadata.unsupported(PRE, &names.join(" or ")));
    };
    let key = "tokenizer.ggml.merges";
    let merges = metadata.texts(key)?.ok_or_else(|| metadata.bad(key, "a list of texts"))?;
    let mut pairs = Vec::with_capacity(merges.len());
    let mut merged = String::new();
    for merge in merges {
        let wrong = |expected: &str| {
            let got = clip(merge.to_owned());
            bad(metadata, format!("{key}: expected {expected}, got {got:?}"))
        };
        let (left, right) = pair(merge).ok_or_else(|| wrong("a pair"))?;
        merged.clear();
        merged.push_str(left);
        merged.push_str(right);
        // The library would panic at some that are not.
        if ![left, right, &merged].into_iter().all(|token| vocabulary.ids.contains_key(token)) {
            return Err(wrong("two tokens that make a third"));
        }
        pairs.push((left, right));
    }
    let ends = ends(metadata, vocabulary, split.begins)?;
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": split.trims,
        "use_regex": matches!(split.how, How::Gpt2 | How::Digits),
    });
    let pre_tokenizer = match split.how {
        How::Gpt2 => bytes.clone(),
        How::Digits => {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true}, bytes,
            ]})
        }
        How::Expression(expression) => {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated",
                 "invert": false},
                bytes,
            ]})
        }
    };
    let post_processor = match template(vocabulary, ends) {
        Value::Null => bytes.clone(),
        template => json!({"type": "Sequence", "processors": [bytes, template]}),
    };
    let model = Bpe {
        r#type: "BPE",
        dropout: Value::Null,
        unk_token: None,
        continuing_subword_prefix: Value::Null,
        end_of_word_suffix: Value::Null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: split.whole_words,
        vocab: Ids(&vocabulary.tokens),
        merges: pairs,
    };
    let normalizer = if split.composes { json!({"type": "NFC"}) } else { Value::Null };
    Written {
        version: "1.0",
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: vocabulary.added(named_ends(metadata, vocabulary)?),
        normalizer,
        pre_tokenizer,
        post_processor,
        decoder: bytes,
        model,
    }
    .bytes(metadata)
}

/// The two parts of a merge. The space that separates them is not its first character, as a token
/// is not empty.
fn pair(merge: &str) -> Option<(&str, &str)> {
    let second = merge.char_indices().nth(1)?.0;
    let space = second + merge.get(second..)?.find(' ')?;
    Some((merge.get(..space)?, merge.get(space + 1..)?))
}

fn sentence_piece(metadata: &Metadata<'_>, vocabulary: &Vocabulary<'_>) -> Result<Vec<u8>> {
    let key = "tokenizer.ggml.scores";
    let scores = metadata.singles(key)?.filter(|scores| scores.len() == vocabulary.tokens.len());
    let scores = scores.ok_or_else(|| metadata.bad(key, "a number for each token"))?;
    let merges = merges(metadata, vocabulary, &scores)?;
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let to_mark = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let from_mark = json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "});
    let (normalizer, decoders) = if prefix {
        let normalizers = json!([{"type": "Prepend", "prepend": "\u{2581}"}, to_mark]);
        let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
        (
            json!({"type": "Sequence", "normalizers": normalizers}),
            json!([from_mark, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]),
        )
    } else {
        (to_mark, json!([from_mark, {"type": "ByteFallback"}, {"type": "Fuse"}]))
    };
    let unknown = vocabulary.special(metadata, "unknown")?.or_else(|| {
        vocabulary.iter().find(|(_, _, kind)| *kind == Kind::Unknown).map(|(_, token, _)| token)
    });
    let ends = ends(metadata, vocabulary, true)?;
    let model = Bpe {
        r#type: "BPE",
        dropout: Value::Null,
        unk_token: unknown,
        continuing_subword_prefix: Value::Null,
        end_of_word_suffix: Value::Null,
        fuse_unk: true,
        byte_fallback: vocabulary.kinds.contains(&Kind::Byte),
        ignore_merges: false,
        vocab: Ids(&vocabulary.tokens),
        merges,
    };
    Written {
        version: "1.0",
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: vocabulary.added(named_ends(metadata, vocabulary)?),
        normalizer,
        pre_tokenizer: Value::Null,
        post_processor: template(vocabulary, ends),
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        model,
    }
    .bytes(metadata)
}

/// The pairs whose merging gives a piece of the vocabulary, those of the best score first; among
/// pairs for one piece, the order is that of transformers' own conversion.
fn merges<'a>(
    metadata: &Metadata<'_>,
    vocabulary: &Vocabulary<'a>,
    scores: &[f32],
) -> Result<Vec<(&'a str, &'a str)>> {
    /// A pair with what it is sorted by.
    struct Pair<'a> {
        score: f32,
        lengths: (usize, usize),
        ids: (u32, u32),
        texts: (&'a str, &'a str),
    }
    let id = |part: &str| {
        let id = vocabulary.ids.get(part).copied()?;
        (vocabulary.kinds.get(id as usize) == Some(&Kind::Normal)).then_some(id)
    };
    let mut pairs = Vec::new();
    for ((_, piece, kind), &score) in vocabulary.iter().zip(scores) {
        if kind != Kind::Normal {
            continue;
        }
        if piece.len() > MAX_PIECE {
            let length = piece.len();
            let what = format!("a token has {length} bytes; expected at most {MAX_PIECE}");
            return Err(bad(metadata, what));
        }
        let characters = piece.chars().count();
        for (i, (at, _)) in piece.char_indices().enumerate().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(l), Some(r)) = (id(left), id(right)) {
                let lengths = (i, characters - i);
                pairs.push(Pair { score, lengths, ids: (l, r), texts: (left, right) });
            }
        }
    }
    pairs.sort_by(|a, b| {
        let order = b.score.total_cmp(&a.score).then(b.lengths.cmp(&a.lengths));
        order.then(a.ids.cmp(&b.ids))
    });
    Ok(pairs.into_iter().map(|pair| pair.texts).collect())
}

/// The tokens that begin and end texts, as the file names them.
fn named_ends<'a>(
    metadata: &Metadata<'_>,
    vocabulary: &Vocabulary<'a>,
) -> Result<[Option<&'a str>; 2]> {
    Ok([vocabulary.special(metadata, "bos")?, vocabulary.special(metadata, "eos")?])
}

/// The tokens that are put before and after a text.
fn ends<'a>(
    metadata: &Metadata<'_>,
    vocabulary: &Vocabulary<'a>,
    begins: bool,
) -> Result<[Option<&'a str>; 2]> {
    let named = named_ends(metadata, vocabulary)?;
    let mut ends = [None; 2];
    for (i, (name, usual)) in [("bos", begins), ("eos", false)].into_iter().enumerate() {
        let said = metadata.flag(&format!("tokenizer.ggml.add_{name}_token"))?;
        if !said.unwrap_or(usual) {
            continue;
        }
        if named[i].is_none() {
            let key = format!("tokenizer.ggml.{name}_token_id");
            return Err(metadata.bad(&key, "the id of the token that is added to a text"));
        }
        ends[i] = named[i];
    }
    Ok(ends)
}

fn template(vocabulary: &Vocabulary<'_>, ends: [Option<&str>; 2]) -> Value {
    if ends == [None; 2] {
        return Value::Null;
    }
    let [begin, end] = ends;
    let part = |sequence: &str, segment: u32| {
        let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": segment}});
        let text = json!({"Sequence": {"id": sequence, "type_id": segment}});
        let parts = [begin.map(special), Some(text), end.map(special)];
        parts.into_iter().flatten().collect::<Vec<_>>()
    };
    let used = ends.into_iter().flatten().map(|token| {
        let id = vocabulary.ids.get(token);
        (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}))
    });
    let special_tokens: serde_json::Map<String, Value> = used.collect();
    let pair: Vec<Value> = part("A", 0).into_iter().chain(part("B", 1)).collect();
    json!({
        "type": "TemplateProcessing", "single": part("A", 0), "pair": pair,
        "special_tokens": special_tokens,
    })
}
