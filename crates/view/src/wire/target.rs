//! What is explained: one number out of what the model said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is explained: a quantity of what was decided, or of that against something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Target {
    /// Why this label.
    Label {
        /// The label's name.
        label: String,
        /// What was measured: `logit`, `probability`, `log-probability`, `loss`, `value`.
        quantity: String,
    },
    /// Why this label rather than that one: the difference of their quantities.
    Contrast {
        /// The label's name.
        label: String,
        /// The label it is compared with.
        versus: String,
        /// What was measured of each, as for a label.
        quantity: String,
    },
    /// Why these words are an entity. Logits, log probabilities and losses of its tokens' labels
    /// are added, probabilities multiplied.
    Entity {
        /// The entity's label.
        label: String,
        /// The field that it stands in, counted from 0.
        field: usize,
        /// First byte in the field's text, and one past the last.
        span: [usize; 2],
        /// What was measured, as for a label.
        quantity: String,
    },
    /// Why this is the answer. The numbers of its first token as a beginning and of its last as an
    /// end are added, or multiplied where they are probabilities.
    Answer {
        /// The field in which the answer is looked for, counted from 0.
        field: usize,
        /// First byte in the field's text, and one past the last; null says: no answer.
        span: Option<[usize; 2]>,
        /// Its text; null without an answer.
        text: Option<String>,
        /// The text of the answer that it is compared with; absent when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        versus: Option<String>,
        /// What was measured, as for a label.
        quantity: String,
    },
    /// Why this token stands there.
    Token {
        /// What the token adds to the text.
        token: String,
        /// Where: an index into the tokens of all fields, one field after the other; the number of
        /// all tokens for what comes after the last.
        position: usize,
        /// What was measured, as for a label.
        quantity: String,
    },
    /// Why this token stands there rather than that one.
    TokenContrast {
        /// What the token adds to the text.
        token: String,
        /// What the other one would add.
        versus: String,
        /// Where, as for a token.
        position: usize,
        /// What was measured of each, as for a label.
        quantity: String,
    },
    /// Why two texts are as alike as they are.
    Similarity {
        /// What was measured: `value`.
        quantity: String,
    },
}

impl Target {
    /// Makes the target "why `label`".
    pub fn label(label: impl Into<String>, quantity: impl Into<String>) -> Self {
        Self::Label { label: label.into(), quantity: quantity.into() }
    }

    /// Makes the target "why `label` rather than `versus`".
    pub fn contrast(
        label: impl Into<String>,
        versus: impl Into<String>,
        quantity: impl Into<String>,
    ) -> Self {
        Self::Contrast { label: label.into(), versus: versus.into(), quantity: quantity.into() }
    }

    /// Makes the target "why this part of a field is a `label`".
    pub fn entity(
        label: impl Into<String>,
        field: usize,
        (start, end): (usize, usize),
        quantity: impl Into<String>,
    ) -> Self {
        Self::Entity { label: label.into(), field, span: [start, end], quantity: quantity.into() }
    }

    /// Makes the target "why the answer is `text`", which begins at byte `start` of a field.
    pub fn answer(
        field: usize,
        start: usize,
        text: impl Into<String>,
        quantity: impl Into<String>,
    ) -> Self {
        let text = text.into();
        let span = Some([start, start + text.len()]);
        Self::Answer { field, span, text: Some(text), versus: None, quantity: quantity.into() }
    }

    /// Makes the target "why there is no answer in this field".
    pub fn no_answer(field: usize, quantity: impl Into<String>) -> Self {
        Self::Answer { field, span: None, text: None, versus: None, quantity: quantity.into() }
    }

    /// Makes the target "why `token` stands at `position`".
    pub fn token(token: impl Into<String>, position: usize, quantity: impl Into<String>) -> Self {
        Self::Token { token: token.into(), position, quantity: quantity.into() }
    }

    /// Makes the target "why `token` rather than `versus` stands at `position`".
    pub fn token_contrast(
        token: impl Into<String>,
        versus: impl Into<String>,
        position: usize,
        quantity: impl Into<String>,
    ) -> Self {
        let (token, versus) = (token.into(), versus.into());
        Self::TokenContrast { token, versus, position, quantity: quantity.into() }
    }

    /// Makes the target "why are the texts this much alike".
    pub fn similarity(quantity: impl Into<String>) -> Self {
        Self::Similarity { quantity: quantity.into() }
    }

    /// Returns the measured quantity's name.
    pub fn quantity(&self) -> &str {
        match self {
            Self::Label { quantity, .. }
            | Self::Contrast { quantity, .. }
            | Self::Entity { quantity, .. }
            | Self::Answer { quantity, .. }
            | Self::Token { quantity, .. }
            | Self::TokenContrast { quantity, .. }
            | Self::Similarity { quantity } => quantity,
        }
    }

    /// Returns the place of a token that is explained, as an index into all fields' tokens.
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::Token { position, .. } | Self::TokenContrast { position, .. } => Some(*position),
            _ => None,
        }
    }

    /// Returns the target in words: `positive`, or `positive rather than negative`.
    pub fn describe(&self) -> String {
        let (what, versus) = self.parts();
        match versus {
            Some(versus) => format!("{what} rather than {versus}"),
            None => what.to_owned(),
        }
    }

    /// Returns what is explained, and what it is compared with.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self {
            Self::Label { label, .. } | Self::Entity { label, .. } => (label, None),
            Self::Contrast { label, versus, .. } => (label, Some(versus)),
            Self::Answer { text, versus, .. } => {
                (text.as_deref().unwrap_or("no answer"), versus.as_deref())
            }
            Self::Token { token, .. } => (token, None),
            Self::TokenContrast { token, versus, .. } => (token, Some(versus)),
            Self::Similarity { .. } => ("similarity", None),
        }
    }
}
