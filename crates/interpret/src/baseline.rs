//! What an input is compared with.

use glossator_models::{Batch, ModelInfo};
use glossator_ops::DType;

use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting};
use crate::options::Options;
use crate::subject::Subject;
use crate::tasks;

/// What stands in place of a token's embedding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BaselineKind {
    /// What is well behaved for the model: the mean embedding where nothing is added to word
    /// embeddings before they are normed (rotary and relative positions: the output then depends
    /// on their direction only, and turns without end towards zero); zero elsewhere.
    #[default]
    Auto,
    /// A vector of zeros.
    Zero,
    /// The embedding of the padding token.
    Pad,
    /// The embedding of the mask token.
    Mask,
    /// The mean over all rows of the embedding table.
    Mean,
    /// The embedding of a token of the vocabulary, such as the end of a text.
    Token(String),
    /// The embeddings of another text, token by token, filled up with padding.
    Text(String),
}

/// What a baseline does at the tokens that the tokenizer added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// They keep their own embedding, and get a score of exactly 0.
    Keep,
    /// They are replaced like the others.
    Replace,
}

/// A baseline: the other end of a path, or what stands for "not there".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// What stands in place of the tokens.
    pub kind: BaselineKind,
    /// What happens to special tokens; `None`: replaced by zeros, kept by all other kinds. A zero
    /// vector is no token anyhow, while a `[PAD]` in place of `[CLS]` is an input that the model
    /// never saw.
    pub special: Option<SpecialTokens>,
}

/// The parameters that [`Baseline::from_options`] reads.
pub(crate) const BASELINE: ParameterInfo = ParameterInfo {
    name: "baseline",
    value: "BASELINE",
    help: "What the input is compared with: auto, zero, pad, mask, mean (of the embedding table), \
           token:... (one token in place of each) or text:... (another text, token by token)",
    default: "auto, which is mean where nothing is added to word embeddings before a norm, else zero",
};
pub(crate) const SPECIAL_TOKENS: ParameterInfo = ParameterInfo {
    name: "special-tokens",
    value: "keep|replace",
    help: "Whether special tokens keep their embedding in the baseline, and so score 0",
    default: "replace for zero, keep for other baselines",
};

impl Baseline {
    /// Reads `--baseline` and `--special-tokens`.
    ///
    /// # Errors
    /// If either has a value that it cannot have.
    pub fn from_options(options: &Options) -> Result<Self> {
        let kind = match options.text("baseline") {
            None | Some("auto") => BaselineKind::Auto,
            Some("zero") => BaselineKind::Zero,
            Some("pad") => BaselineKind::Pad,
            Some("mask") => BaselineKind::Mask,
            Some("mean") => BaselineKind::Mean,
            Some(other) => match (other.strip_prefix("text:"), other.strip_prefix("token:")) {
                (Some(text), _) => BaselineKind::Text(text.to_owned()),
                (None, Some(token)) => BaselineKind::Token(token.to_owned()),
                (None, None) => {
                    return Err(Error::BadSetting {
                        setting: "baseline".to_owned(),
                        expected: "auto, zero, pad, mask, mean, token:... or text:...".to_owned(),
                        got: other.to_owned(),
                    });
                }
            },
        };
        let choices =
            [("keep", Some(SpecialTokens::Keep)), ("replace", Some(SpecialTokens::Replace))];
        Ok(Self { kind, special: options.choice("special-tokens", None, &choices)? })
    }

    /// The settings for the record.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, Setting); 2] {
        let kind = match &self.kind {
            BaselineKind::Auto => "auto".into(),
            BaselineKind::Zero => "zero".into(),
            BaselineKind::Pad => "pad".into(),
            BaselineKind::Mask => "mask".into(),
            BaselineKind::Mean => "mean".into(),
            BaselineKind::Token(token) => Setting::Text(format!("token:{token}")),
            BaselineKind::Text(text) => Setting::Text(format!("text:{text}")),
        };
        let special = match self.special() {
            Some(SpecialTokens::Keep) => "keep",
            Some(SpecialTokens::Replace) => "replace",
            None => "auto",
        };
        [("baseline", kind), ("special-tokens", special.into())]
    }

    /// What this means for a model.
    #[must_use]
    pub fn resolved(&self, info: &ModelInfo) -> Self {
        let kind = match &self.kind {
            BaselineKind::Auto if info.norms_embeddings => BaselineKind::Mean,
            BaselineKind::Auto => BaselineKind::Zero,
            other => other.clone(),
        };
        let resolved = Self { kind, special: self.special };
        Self { special: resolved.special(), ..resolved }
    }

    fn special(&self) -> Option<SpecialTokens> {
        self.special.or(match self.kind {
            BaselineKind::Auto => None,
            BaselineKind::Zero => Some(SpecialTokens::Replace),
            _ => Some(SpecialTokens::Keep),
        })
    }

    /// The baseline's embeddings, row-major `[tokens, width]`.
    ///
    /// # Errors
    /// If the tokenizer lacks the token, or the baseline text is longer than the input.
    pub fn embeddings(&self, subject: &Subject<'_>) -> Result<Vec<f64>> {
        let resolved = self.resolved(subject.model().info());
        let (tokens, width) = (subject.tokens(), subject.width());
        let tokenizer = subject.model().tokenizer();
        let id = |id: Option<u32>, token| id.ok_or(Error::NoBaselineToken { token });
        let mut rows = match &resolved.kind {
            BaselineKind::Auto | BaselineKind::Zero => vec![0.0; tokens * width],
            BaselineKind::Mean => {
                let mean = subject.model().mean_embedding()?.to_dtype(DType::F64)?;
                mean.to_vec1::<f64>()?.repeat(tokens)
            }
            BaselineKind::Pad => {
                let pad = id(tokenizer.pad_token(), "pad")?;
                embed(subject, &vec![pad; tokens])?
            }
            BaselineKind::Mask => {
                let mask = id(tokenizer.mask_token(), "mask")?;
                embed(subject, &vec![mask; tokens])?
            }
            BaselineKind::Token(token) => {
                let token = tasks::token(subject.model(), token, "baseline token:")?;
                embed(subject, &vec![token; tokens])?
            }
            BaselineKind::Text(text) => embed(subject, &text_ids(subject, text)?)?,
        };
        if resolved.special == Some(SpecialTokens::Keep) {
            let own = subject.embeddings();
            for (i, token) in subject.encoding().tokens.iter().enumerate() {
                if token.special {
                    let range = i * width..(i + 1) * width;
                    rows[range.clone()].copy_from_slice(&own[range]);
                }
            }
        }
        Ok(rows)
    }
}

/// The ids of a baseline text at the places of the input's own tokens, then padding.
fn text_ids(subject: &Subject<'_>, text: &str) -> Result<Vec<u32>> {
    let model = subject.model();
    let other = model.tokenizer().encode(text)?;
    let mut words = other.tokens.iter().filter(|token| !token.special).map(|token| token.id);
    let own = &subject.encoding().tokens;
    let room = own.iter().filter(|token| !token.special).count();
    let got = words.clone().count();
    if got > room {
        return Err(Error::BaselineTooLong { got, room });
    }
    let pad = model.pad_id();
    Ok(own
        .iter()
        .map(|token| if token.special { token.id } else { words.next().unwrap_or(pad) })
        .collect())
}

fn embed(subject: &Subject<'_>, ids: &[u32]) -> Result<Vec<f64>> {
    let mut encoding = subject.encoding().clone();
    for (place, &id) in ids.iter().enumerate() {
        encoding.put(place, id, subject.model().tokenizer());
    }
    let rows = subject.model().embed(&Batch::repeat(&encoding, 1))?;
    Ok(rows.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}
