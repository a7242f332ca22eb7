//! What the files around a vocabulary say about its special tokens.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::wordpiece::WordPieceOptions;
use crate::checkpoint::{exists, read_file};
use crate::error::{Error, Result};

/// The largest settings file.
const MAX_FILE: u64 = 64 << 20;
/// Python writes 10^30 for "no limit".
const MAX_LENGTH: u64 = 1 << 32;

/// What a special token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Cls,
    Sep,
    Mask,
    Pad,
    Unk,
}

impl Role {
    pub(super) const COUNT: usize = 5;
    const ALL: [Self; Self::COUNT] = [Self::Cls, Self::Sep, Self::Mask, Self::Pad, Self::Unk];

    fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Sep => "sep",
            Self::Mask => "mask",
            Self::Pad => "pad",
            Self::Unk => "unk",
        }
    }

    /// What the token is called where no file says: in BERT, and in RoBERTa.
    fn usual(self) -> [&'static str; 2] {
        match self {
            Self::Cls => ["[CLS]", "<s>"],
            Self::Sep => ["[SEP]", "</s>"],
            Self::Mask => ["[MASK]", "<mask>"],
            Self::Pad => ["[PAD]", "<pad>"],
            Self::Unk => ["[UNK]", "<unk>"],
        }
    }
}

/// The texts of the special tokens, where they are declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// The token that opens a text.
    pub cls: Option<String>,
    /// The token that closes a text.
    pub sep: Option<String>,
    /// The token that hides a word.
    pub mask: Option<String>,
    /// The token that fills up a batch.
    pub pad: Option<String>,
    /// The token that stands for what the vocabulary cannot spell.
    pub unk: Option<String>,
}

impl SpecialTokens {
    pub(super) fn get(&self, role: Role) -> Option<&str> {
        match role {
            Role::Cls => &self.cls,
            Role::Sep => &self.sep,
            Role::Mask => &self.mask,
            Role::Pad => &self.pad,
            Role::Unk => &self.unk,
        }
        .as_deref()
    }

    /// Takes over what `json` declares and what is not known yet.
    fn add(&mut self, json: &Value) {
        let targets = [
            ("cls_token", &mut self.cls),
            ("sep_token", &mut self.sep),
            ("mask_token", &mut self.mask),
            ("pad_token", &mut self.pad),
            ("unk_token", &mut self.unk),
        ];
        for (key, target) in targets {
            if target.is_none() {
                *target = token_text(json.get(key));
            }
        }
    }
}

/// A token is written as its text, or as an object with flags that only matter for training.
fn token_text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

/// Everything that the files around a vocabulary say.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    pub(super) special: SpecialTokens,
    pub(super) max_length: Option<usize>,
    pub(super) config: Option<Value>,
}

impl Declared {
    /// Reads the settings of a model directory; the files are optional.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut declared = Self::default();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = dir.join(name);
            if !exists(&path)? {
                continue;
            }
            let bytes = read_file(&path, MAX_FILE, "settings of a tokenizer")?;
            let json: Value =
                serde_json::from_slice(&bytes).map_err(|error| Error::BadTokenizer {
                    source_name: path.display().to_string(),
                    what: error.to_string(),
                })?;
            declared.special.add(&json);
            if declared.max_length.is_none() {
                let length = json.get("model_max_length").and_then(Value::as_u64);
                let length = length.filter(|length| *length <= MAX_LENGTH);
                declared.max_length = length.and_then(|length| length.try_into().ok());
            }
            if name == "tokenizer_config.json" {
                declared.config = Some(json);
            }
        }
        Ok(declared)
    }

    /// The settings of BERT's tokenizer.
    pub(super) fn wordpiece(&self) -> WordPieceOptions {
        let mut options = WordPieceOptions { special: self.special.clone(), ..Default::default() };
        let flag = |name: &str| self.config.as_ref()?.get(name)?.as_bool();
        if let Some(lowercase) = flag("do_lower_case") {
            options.lowercase = lowercase;
        }
        if let Some(chinese) = flag("tokenize_chinese_chars") {
            options.split_chinese = chinese;
        }
        options.strip_accents = flag("strip_accents");
        options
    }

    /// The ids of the special tokens. What is declared must be in the vocabulary; what is not may
    /// be there under its usual name.
    pub(super) fn resolve(
        &self,
        source: &str,
        id: impl Fn(&str) -> Option<u32>,
    ) -> Result<[Option<u32>; Role::COUNT]> {
        let mut roles = [None; Role::COUNT];
        for role in Role::ALL {
            roles[role as usize] = match self.special.get(role) {
                None => role.usual().into_iter().find_map(&id),
                Some(token) => {
                    let found = id(token);
                    if found.is_none() {
                        return Err(Error::SpecialToken {
                            source_name: source.to_owned(),
                            role: role.name(),
                            token: token.to_owned(),
                            expected: "a token of the vocabulary".to_owned(),
                            got: describe(None),
                        });
                    }
                    found
                }
            };
        }
        self.check_ids(source, id)?;
        Ok(roles)
    }

    /// Checks the ids that newer versions of `tokenizer_config.json` list.
    fn check_ids(&self, source: &str, id: impl Fn(&str) -> Option<u32>) -> Result<()> {
        let listed = self.config.as_ref().and_then(|config| config.get("added_tokens_decoder"));
        let Some(Value::Object(listed)) = listed else { return Ok(()) };
        for (key, token) in listed {
            let (Ok(expected), Some(token)) = (key.parse(), token_text(Some(token))) else {
                continue;
            };
            check_id(source, &token, expected, id(&token))?;
        }
        Ok(())
    }
}

/// The part of a `tokenizer.json` that says which ids its added tokens have.
#[derive(Deserialize)]
pub(super) struct Added {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

impl Added {
    /// Checks the ids, because the library gives an added token whose text is in the vocabulary the
    /// id that it has there, and only logs that the file says otherwise.
    pub(super) fn check(&self, source: &str, id: impl Fn(&str) -> Option<u32>) -> Result<()> {
        self.added_tokens
            .iter()
            .try_for_each(|token| check_id(source, &token.content, token.id, id(&token.content)))
    }
}

fn check_id(source: &str, token: &str, expected: u32, got: Option<u32>) -> Result<()> {
    if got == Some(expected) {
        return Ok(());
    }
    Err(Error::SpecialToken {
        source_name: source.to_owned(),
        role: "added",
        token: token.to_owned(),
        expected: format!("id {expected}"),
        got: describe(got),
    })
}

/// What the vocabulary says about a token.
pub(super) fn describe(id: Option<u32>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| format!("id {id}"))
}
