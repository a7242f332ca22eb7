//! BERT's tokenizer from the `vocab.txt` that checkpoints of before 2020 come with.
//!
//! # References
//! Devlin, Chang, Lee and Toutanova, BERT (2019), arXiv:1810.04805; its `tokenization.py`.

use std::collections::HashMap;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::declared::{Role, SpecialTokens};
use crate::error::{Error, Result};

/// The settings of BERT's tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Whether text is changed to lower case.
    pub lowercase: bool,
    /// Whether accents are dropped; `None` if they are exactly when text is changed to lower case.
    pub strip_accents: Option<bool>,
    /// Whether each Chinese character is a token of its own.
    pub split_chinese: bool,
    /// The special tokens. Those that are `None` have their usual names, such as `[CLS]`.
    pub special: SpecialTokens,
}

impl Default for WordPieceOptions {
    /// The settings of `bert-base-uncased`.
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: None,
            split_chinese: true,
            special: SpecialTokens::default(),
        }
    }
}

/// Builds the tokenizer from the lines of a vocabulary, which `source` names in errors.
pub(super) fn build(source: &str, vocab: &str, options: &WordPieceOptions) -> Result<Tokenizer> {
    let bad = |what: String| Error::BadTokenizer { source_name: source.to_owned(), what };
    // A token may end in white space of another kind, so only the end of the line is taken off. A
    // token that stands twice keeps its last id, as in Python.
    let mut ids = HashMap::new();
    for (id, line) in vocab.split_terminator('\n').enumerate() {
        let id = u32::try_from(id).map_err(|_| bad("too many tokens".to_owned()))?;
        ids.insert(line.strip_suffix('\r').unwrap_or(line).to_owned(), id);
    }

    let declared = |role| options.special.get(role);
    let required = |role: Role, name: &'static str, usual: &'static str| {
        let token = declared(role).unwrap_or(usual);
        match ids.get(token) {
            Some(&id) => Ok((token.to_owned(), id)),
            None => Err(Error::SpecialToken {
                source_name: source.to_owned(),
                role: name,
                token: token.to_owned(),
                expected: "a line of the vocabulary".to_owned(),
                got: format!("none in {} lines", ids.len()),
            }),
        }
    };
    let cls = required(Role::Cls, "cls", "[CLS]")?;
    let sep = required(Role::Sep, "sep", "[SEP]")?;
    let (unk, _) = required(Role::Unk, "unk", "[UNK]")?;
    // Without these a model can still be read, so they are only used if they are there.
    let optional = [(Role::Mask, "[MASK]"), (Role::Pad, "[PAD]")]
        .map(|(role, usual)| declared(role).unwrap_or(usual))
        .into_iter()
        .filter(|token| ids.contains_key(*token))
        .map(str::to_owned);

    // Typed in a text, a special token is itself: it is neither changed to lower case nor split.
    let special: Vec<AddedToken> = [&cls.0, &sep.0, &unk]
        .into_iter()
        .cloned()
        .chain(optional)
        .map(|token| AddedToken::from(token, true))
        .collect();
    // An empty map of the type that the builder takes, which is not the standard library's.
    let mut vocab = WordPiece::read_bytes(b"").map_err(|error| bad(error.to_string()))?;
    vocab.extend(ids);
    let model = WordPiece::builder()
        .vocab(vocab)
        .unk_token(unk)
        .build()
        .map_err(|error| bad(error.to_string()))?;
    let mut tokenizer = Tokenizer::new(model);
    let normalizer =
        BertNormalizer::new(true, options.split_chinese, options.strip_accents, options.lowercase);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| bad(error.to_string()))?;
    tokenizer
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(sep, cls)));
    tokenizer.add_special_tokens(special).map_err(|error| bad(error.to_string()))?;
    Ok(tokenizer)
}
