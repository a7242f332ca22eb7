//! What is asked over HTTP. The keys of an input are those of a row of JSON Lines on the command
//! line, so that a row can be posted as it is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// The texts that a model is to read. Keys that are not here are ignored: a row of a data set may
/// hold more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct InputRequest {
    /// The text; of a question, its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The context of a question, in place of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The second text of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// The question about a context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What a language model is to have written after the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
}

impl InputRequest {
    /// A text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// A pair of texts.
    pub fn pair(text: impl Into<String>, pair: impl Into<String>) -> Self {
        Self { pair: Some(pair.into()), ..Self::text(text) }
    }

    /// A question about a context.
    pub fn question(question: impl Into<String>, context: impl Into<String>) -> Self {
        let (question, context) = (Some(question.into()), Some(context.into()));
        Self { question, context, ..Self::default() }
    }
}

/// How predictions are read. What a task has no use for is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OptionsRequest {
    /// Cut texts that are longer than the model reads, instead of failing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncate: bool,
    /// Candidates to tell for a token, or answers to a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<u32>,
    /// Tokens that a language model writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<u32>,
    /// How labels of tokens become entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<AggregationRequest>,
    /// Tokens that the windows over a long context overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
    /// Tokens of an answer at most.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "max-answer")]
    pub max_answer: Option<u32>,
    /// A question may have no answer in its context.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswerable: bool,
}

/// How labels of tokens become entities: neighbours as they are, or each word by its first token, by
/// the mean, or by its most certain token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AggregationRequest {
    /// Neighbours as they are.
    Simple,
    /// Each word by its first token.
    First,
    /// Each word by the mean of its tokens.
    Average,
    /// Each word by its most certain token.
    Max,
}

/// A setting's value: a switch, a number, or a text that holds one of these or a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SettingRequest {
    /// A switch.
    Switch(bool),
    /// A number.
    Number(Number),
    /// A choice or a text.
    Text(String),
}

/// Settings by name, as `/v1/methods` and `/v1/attacks` list them.
pub type SettingsRequest = BTreeMap<String, SettingRequest>;

/// What does a model say of an input?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PredictRequest {
    /// The model's id; without one, the default of `/v1/models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts.
    pub input: InputRequest,
    /// How the prediction is read.
    #[serde(default)]
    pub options: OptionsRequest,
}

/// Why does a model say that of an input?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExplainRequest {
    /// The model's id; without one, the default of `/v1/models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts.
    pub input: InputRequest,
    /// The method's id; without one, `integrated-gradients`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The method's settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: SettingsRequest,
    /// Compute what another tool's code computed; goes with neither settings, target nor quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetRequest>,
    /// What to explain: `predicted`, a label, a kind of entity, a token, words of the context, or
    /// `A-vs-B`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How the target is measured: `logit`, `probability`, `log-probability` or `loss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// How the prediction is read.
    #[serde(default)]
    pub options: OptionsRequest,
}

/// Whose code is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PresetRequest {
    /// AllenNLP Interpret's.
    Allennlp,
}

/// How does what a model says of an input break?
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttackRequest {
    /// The model's id; without one, the default of `/v1/models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts.
    pub input: InputRequest,
    /// The attack's id, as `/v1/attacks` lists them.
    pub attack: String,
    /// Settings of the attack and of constraints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: SettingsRequest,
    /// What the prediction is to become; anything else without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The text that may be changed, by its field's name, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which of several decisions is attacked: its number from 1, or an entity's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Forward passes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_passes: Option<u64>,
    /// How predictions are read.
    #[serde(default)]
    pub options: OptionsRequest,
}

/// Where does a model read?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttentionRequest {
    /// The model's id; without one, the default of `/v1/models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts.
    pub input: InputRequest,
    /// How the input is read.
    #[serde(default)]
    pub options: OptionsRequest,
}
