//! Text to tokens: what the model reads, and which bytes of the text each token stands for.
//!
//! Splitting is done by the `tokenizers` library, which is also what Python uses, so ids agree.
//! This module finds a model's tokenizer, builds the one of old BERT checkpoints from their
//! `vocab.txt`, checks that vocabulary and special tokens belong together, and groups tokens into
//! words.

mod declared;
mod encoding;
mod gguf;
mod vectors;
mod vocabulary;
mod wordpiece;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

pub use self::declared::SpecialTokens;
use self::declared::{Declared, Role};
pub use self::encoding::{Encoding, Field, Token, Written};
pub use self::vectors::{Found, fill_vectors};
pub use self::vocabulary::{Marks, Unit, build_vocabulary};
pub use self::wordpiece::WordPieceOptions;
use crate::checkpoint::gguf::Metadata;
use crate::checkpoint::{check_directory, exists, read_file};
use crate::error::{Error, Result};

/// The files that may hold a tokenizer, in the order in which they are looked for.
const CANDIDATES: &[&str] = &["tokenizer.json", "vocab.txt"];

/// The largest tokenizer file; the largest vocabularies in use take some 40 MB.
const MAX_FILE: u64 = 256 << 20;

/// Splits text as a model's vocabulary demands.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    /// What errors call it.
    source: String,
    vocab_size: usize,
    roles: [Option<u32>; Role::COUNT],
    max_length: Option<usize>,
}

impl Tokenizer {
    /// Reads the tokenizer of a model directory: `tokenizer.json`, else `vocab.txt`, with the
    /// settings in `tokenizer_config.json` and `special_tokens_map.json` if they are there.
    ///
    /// # Errors
    /// If there is none, if a file cannot be used, or if the files contradict each other.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        check_directory(dir)?;
        let declared = Declared::read(dir)?;
        for name in CANDIDATES {
            let path = dir.join(name);
            if !exists(&path)? {
                continue;
            }
            let bytes = read_file(&path, MAX_FILE, "a tokenizer")?;
            let source = path.display().to_string();
            return if *name == "vocab.txt" {
                let vocab = String::from_utf8(bytes).map_err(|error| Error::BadTokenizer {
                    source_name: source.clone(),
                    what: format!("not UTF-8 after byte {}", error.utf8_error().valid_up_to()),
                })?;
                let inner = wordpiece::build(&source, &vocab, &declared.wordpiece())?;
                Self::new(inner, source, &declared)
            } else {
                Self::parse(&bytes, source, &declared)
            };
        }
        Err(Error::NoTokenizer { dir: dir.to_owned(), looked_for: CANDIDATES })
    }

    /// Makes the tokenizer that the metadata of a GGUF file describes.
    ///
    /// # Errors
    /// If the metadata lacks a part, contradicts itself, or asks for what is not supported.
    pub(crate) fn from_gguf(metadata: &Metadata<'_>) -> Result<Self> {
        let (json, declared) = gguf::describe(metadata)?;
        Self::parse(&json, metadata.path().display().to_string(), &declared)
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// If it cannot be used or contradicts itself.
    pub fn from_bytes(tokenizer_json: &[u8]) -> Result<Self> {
        Self::parse(tokenizer_json, "tokenizer.json".to_owned(), &Declared::default())
    }

    /// Builds BERT's tokenizer from the lines of a `vocab.txt`.
    ///
    /// # Errors
    /// If the vocabulary lacks the tokens that the options name.
    pub fn from_vocab_txt(vocab: &str, options: WordPieceOptions) -> Result<Self> {
        let source = "vocab.txt".to_owned();
        let inner = wordpiece::build(&source, vocab, &options)?;
        let declared = Declared { special: options.special, ..Declared::default() };
        Self::new(inner, source, &declared)
    }

    fn parse(bytes: &[u8], source: String, declared: &Declared) -> Result<Self> {
        let bad = |what: String| Error::BadTokenizer { source_name: source.clone(), what };
        let added: declared::Added = serde_json::from_slice(bytes)
            .map_err(|error| bad(format!("not a tokenizer: {error}")))?;
        let inner = guard("reading a tokenizer", || tokenizers::Tokenizer::from_bytes(bytes))?
            .map_err(|error| bad(format!("not a tokenizer: {error}")))?;
        added.check(&source, |token| inner.token_to_id(token))?;
        Self::new(inner, source, declared)
    }

    fn new(mut inner: tokenizers::Tokenizer, source: String, declared: &Declared) -> Result<Self> {
        let bad = |what: String| Error::BadTokenizer { source_name: source.clone(), what };
        // A file may carry the lengths of the last training run. Texts here are cut and filled up
        // where the model is known, and never unnoticed.
        inner.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        inner.with_padding(None);
        let last = inner.get_vocab(true).into_values().max();
        let vocab_size = last.map_or(0, |last| last as usize + 1);
        if vocab_size == 0 {
            return Err(bad("the vocabulary is empty".to_owned()));
        }
        let roles = declared.resolve(&source, |token| inner.token_to_id(token))?;
        let (inner, max_length) = (Arc::new(inner), declared.max_length);
        let tokenizer = Self { inner, source, vocab_size, roles, max_length };
        tokenizer.check_template()?;
        Ok(tokenizer)
    }

    /// Checks that the ids which the template adds are those of the vocabulary.
    fn check_template(&self) -> Result<()> {
        // A tokenizer may have no template for pairs; then it has nothing to check.
        for encoding in [self.encode(""), self.encode_pair("", "")].into_iter().flatten() {
            for token in encoding.tokens {
                let known = self.token_to_id(&token.text);
                if known != Some(token.id) {
                    return Err(Error::SpecialToken {
                        source_name: self.source.clone(),
                        role: "template",
                        token: token.text,
                        expected: format!("id {}", token.id),
                        got: declared::describe(known),
                    });
                }
            }
        }
        Ok(())
    }

    /// Splits one text and adds the special tokens.
    ///
    /// # Errors
    /// If the tokenizer fails, for example because its vocabulary has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoding = guard("splitting a text", || self.inner.encode(text, true))?;
        encoding::convert(encoding, &[("text", text)])
    }

    /// Splits two texts that the model reads together, and adds the special tokens.
    ///
    /// # Errors
    /// If the tokenizer fails, or cannot join two texts.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding> {
        let encoding = guard("splitting a text", || self.inner.encode((first, second), true))?;
        encoding::convert(encoding, &[("text", first), ("text_pair", second)])
    }

    /// The content of a `tokenizer.json` that makes this tokenizer.
    ///
    /// # Errors
    /// If the library cannot write it.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let json = guard("writing a tokenizer", || self.inner.to_string(true))?;
        json.map(String::into_bytes).map_err(|error| Error::BadTokenizer {
            source_name: self.source.clone(),
            what: error.to_string(),
        })
    }

    /// Whether pieces inside of a word are marked as such in the vocabulary (`##ing`).
    #[must_use]
    pub fn has_continuing_prefix(&self) -> bool {
        use tokenizers::models::ModelWrapper;
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => !model.continuing_subword_prefix.is_empty(),
            ModelWrapper::BPE(model) => {
                model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
            }
            _ => false,
        }
    }

    /// The ids of a text without any special tokens around it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn ids_of(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = guard("splitting a text", || self.inner.encode(text, false))?;
        let encoding = encoding.map_err(|error| Error::Encode { what: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// What a token adds to a text; none if the vocabulary lacks it.
    #[must_use]
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)?;
        self.decode(&[id])
    }

    fn decode(&self, ids: &[u32]) -> Option<String> {
        guard("writing tokens as text", || self.inner.decode(ids, false)).ok()?.ok()
    }

    /// Tokens that were written by a model, each with what it adds to their text. Bytes that are
    /// no whole character yet come with the token that completes it.
    #[must_use]
    pub fn written(&self, ids: &[u32]) -> Vec<Written> {
        let mut shown = String::new();
        let mut written = Vec::with_capacity(ids.len());
        for (i, &id) in ids.iter().enumerate() {
            let name = self.id_to_token(id).unwrap_or_default();
            let text = self.decode(&ids[..=i]).unwrap_or_default();
            let complete = !text.ends_with('\u{fffd}') || i + 1 == ids.len();
            let added = match text.strip_prefix(shown.as_str()) {
                Some(added) if complete => added.to_owned(),
                _ => String::new(),
            };
            shown.push_str(&added);
            written.push(Written { id, name, text: added });
        }
        written
    }

    /// One more than the largest id: the rows that the model's embeddings must have at least.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of a token.
    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token with an id.
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The token that opens a text.
    #[must_use]
    pub fn cls_token(&self) -> Option<u32> {
        self.roles[Role::Cls as usize]
    }

    /// The token that closes a text.
    #[must_use]
    pub fn sep_token(&self) -> Option<u32> {
        self.roles[Role::Sep as usize]
    }

    /// The token that hides a word.
    #[must_use]
    pub fn mask_token(&self) -> Option<u32> {
        self.roles[Role::Mask as usize]
    }

    /// The token that fills up a batch.
    #[must_use]
    pub fn pad_token(&self) -> Option<u32> {
        self.roles[Role::Pad as usize]
    }

    /// The token that stands for what the vocabulary cannot spell.
    #[must_use]
    pub fn unk_token(&self) -> Option<u32> {
        self.roles[Role::Unk as usize]
    }

    /// Whether an id is that of a special token, wherever it stands.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        self.roles.contains(&Some(id)) || added.get(&id).is_some_and(|token| token.special)
    }

    /// The largest number of tokens that `tokenizer_config.json` allows, if it names one.
    #[must_use]
    pub fn model_max_length(&self) -> Option<usize> {
        self.max_length
    }
}

/// Turns a panic of the tokenizer library into an error. The panic's message still goes where the
/// program's panic hook sends it.
fn guard<T>(doing: &'static str, run: impl FnOnce() -> T) -> Result<T> {
    // Nothing is used after a panic: the value that may be half changed is dropped or was shared.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Error::Panic {
        library: "tokenizers",
        doing,
        what: match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(message), _) => message.clone(),
            (_, Some(message)) => (*message).to_owned(),
            _ => "no message".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests;
