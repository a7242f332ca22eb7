//! The wire format, version 1: the one shape in which an explanation leaves the house.
//!
//! Command line, server, Python and the page all speak it, so these types are plain data: what was
//! asked, of which model, by which method, and one number per token in return. Scores are raw and
//! signed; normalising, rounding and colouring happen in [`crate::render`], never here.
//!
//! The types may gain fields and variants. They are therefore `#[non_exhaustive]` and built with
//! `new`, and readers ignore keys they do not know.

mod attack;
mod check;
mod decision;
mod explanation;
mod http;
mod prediction;
mod reading;
mod request;
mod service;
mod target;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use attack::{
    AttackDocument, AttackResult, AttackSummary, Certificate, Counts, Edit, Mean, Trigger,
    TriggerDocument,
};
pub use check::CheckError;
pub use decision::{
    Answer, Answers, Candidate, Entities, Entity, Mask, Masks, Next, NextToken, Similarity,
};
pub use explanation::{Explanation, WordScore};
pub use http::components;
pub use prediction::{Classification, LabelScore, Labels, Prediction, Regression};
pub use reading::{AttentionDocument, PredictDocument};
pub use request::{
    AggregationRequest, AttackRequest, AttentionRequest, ExplainRequest, InputRequest,
    OptionsRequest, PredictRequest, PresetRequest, SettingRequest, SettingsRequest,
};
pub use service::{
    AttackList, ConstraintEntry, ExampleEntry, Health, JobAccepted, JobProgress, JobState,
    JobStatus, MethodEntry, MethodList, ModelEntry, ModelList, Problem, SettingEntry, SettingKind,
};
pub use target::Target;

/// The version of the format that this crate writes and reads.
pub const VERSION: u32 = 1;

/// One input, what the model said about it, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Document {
    /// The version of this format; a reader that knows another one should refuse.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was asked.
    pub model: Model,
    /// The method that explained it.
    pub method: Method,
    /// The text as it was given, and as the model read it.
    pub input: Input,
    /// What the model said.
    pub prediction: Prediction,
    /// One explanation for each target, in the order they were asked for.
    pub explanations: Vec<Explanation>,
    /// How many tokens did not fit the model and were not read; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<usize>,
}

impl Document {
    /// Makes a document without explanations; push them, then call [`Document::check`].
    pub fn new(model: Model, method: Method, input: Input, prediction: Prediction) -> Self {
        Self {
            version: VERSION,
            model,
            method,
            input,
            prediction,
            explanations: Vec::new(),
            truncated: None,
        }
    }
}

/// Names a model well enough to find the very same one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Model {
    /// The name it was asked for by: a directory or a registered name.
    pub id: String,
    /// The architecture, for example `bert`.
    pub family: String,
    /// What it was trained to answer, for example `text-classification`.
    pub task: String,
    /// SHA-256 of the weights in hexadecimal; null when they did not come from a file.
    pub sha256: Option<String>,
}

impl Model {
    /// Makes a model's name; `sha256` is the digest of its weights.
    pub fn new(
        id: impl Into<String>,
        family: impl Into<String>,
        task: impl Into<String>,
        sha256: Option<String>,
    ) -> Self {
        Self { id: id.into(), family: family.into(), task: task.into(), sha256 }
    }
}

/// The method and every setting it ran with, defaults included, so that it can run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Method {
    /// The method's registered name, for example `integrated-gradients`.
    pub id: String,
    /// Its settings by name.
    pub settings: BTreeMap<String, Value>,
}

impl Method {
    /// Makes a method's description.
    pub fn new(id: impl Into<String>, settings: BTreeMap<String, Value>) -> Self {
        Self { id: id.into(), settings }
    }
}

/// The text that was explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Input {
    /// The input's parts in the order the model reads them, for example premise and hypothesis.
    pub fields: Vec<Field>,
}

impl Input {
    /// Makes an input of these fields.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields }
    }
}

/// One part of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Field {
    /// The part's name, for example `text` or `premise`.
    pub name: String,
    /// The text as it was given; all positions count bytes of its UTF-8 form.
    pub text: String,
    /// What the model read of it, special tokens included, in the model's order.
    pub tokens: Vec<Token>,
}

impl Field {
    /// Makes a field.
    pub fn new(name: impl Into<String>, text: impl Into<String>, tokens: Vec<Token>) -> Self {
        Self { name: name.into(), text: text.into(), tokens }
    }
}

/// One token as the model's vocabulary spells it, and the place it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Token {
    /// The vocabulary's spelling, for example `##ing`; for reading, cut the field's text instead.
    pub text: String,
    /// First byte of the token in the field's text.
    pub start: usize,
    /// One past its last byte. A special token covers nothing: its start is its end.
    pub end: usize,
    /// Index of its word in every explanation's `words`; null for a token of no word.
    pub word: Option<usize>,
    /// True for a token that the tokenizer added, such as `[CLS]`.
    pub special: bool,
}

impl Token {
    /// Makes a token of the text that belongs to word number `word`.
    pub fn new(text: impl Into<String>, start: usize, end: usize, word: Option<usize>) -> Self {
        Self { text: text.into(), start, end, word, special: false }
    }

    /// Makes a token that the tokenizer added at byte `at`.
    pub fn special(text: impl Into<String>, at: usize) -> Self {
        Self { text: text.into(), start: at, end: at, word: None, special: true }
    }
}

/// Returns the JSON Schema (draft 2020-12) of [`Document`] as this crate writes it.
pub fn schema() -> Value {
    schema_for::<Document>()
}

/// What a run of attacks writes: a document for each input, then a summary; or a trigger.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum AttackLine {
    Attack(AttackDocument),
    Summary(AttackSummary),
    Trigger(TriggerDocument),
}

/// Returns the JSON Schema (draft 2020-12) of the lines that attacks write: [`AttackDocument`],
/// [`AttackSummary`] and [`TriggerDocument`].
pub fn attack_schema() -> Value {
    schema_for::<AttackLine>()
}

fn schema_for<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
