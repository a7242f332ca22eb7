//! What a server says of itself: its models, methods and attacks, its jobs, and what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InputRequest;

/// The models that a server has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// In the order in which the server was told of them.
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelEntry {
    /// What requests call it.
    pub id: String,
    /// The architecture, for example `bert`; empty while that cannot be told.
    pub family: String,
    /// What it decides, for example `text-classification`; empty while that cannot be told.
    pub task: String,
    /// Its labels; empty for tasks without.
    pub labels: Vec<String>,
    /// Number of parameters; null for a large model that was not used yet.
    pub parameters: Option<u64>,
    /// Bytes of its weights.
    pub bytes: u64,
    /// What it is, in a sentence; empty where nothing says so.
    pub description: String,
    /// The licence as the model's card names it; null where it names none.
    pub license: Option<String>,
    /// Whether it answers requests that name no model.
    pub default: bool,
    /// The keys of an input that it has a use for.
    pub fields: Vec<String>,
    /// Whether `/v1/attention` can show where it reads.
    pub attention: bool,
    /// Number of layers; null for a large model that was not used yet.
    pub layers: Option<usize>,
    /// Heads of a layer; null for a large model that was not used yet.
    pub heads: Option<usize>,
    /// The most tokens that it reads; null for a large model that was not used yet.
    pub max_tokens: Option<usize>,
    /// Inputs to begin with.
    pub examples: Vec<ExampleEntry>,
    /// Why it cannot be used; absent where it can, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// An input to begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExampleEntry {
    /// What it shows.
    pub title: String,
    /// The input.
    pub input: InputRequest,
}

/// The methods of explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MethodList {
    /// Every method.
    pub methods: Vec<MethodEntry>,
    /// The id of the method that is used where none is named.
    pub default: String,
    /// How a target can be measured.
    pub quantities: Vec<String>,
}

/// A method, or an attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MethodEntry {
    /// What requests call it.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What it does, in a sentence or two.
    pub summary: String,
    /// When it misleads.
    pub caution: String,
    /// Where it comes from.
    pub citation: String,
    /// What it costs.
    pub cost: String,
    /// What the preset `allennlp` computes; absent for what AllenNLP had not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allennlp: Option<String>,
    /// Its settings.
    pub settings: Vec<SettingEntry>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingEntry {
    /// Its name.
    pub name: String,
    /// What it does.
    pub help: String,
    /// What holds without it, in words.
    pub default: String,
    /// What its values are.
    pub kind: SettingKind,
    /// The values of a choice; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// The largest value that this server takes; absent where it sets no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}

/// What a setting's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// One of some names.
    Choice,
    /// True or false.
    Boolean,
    /// A text.
    Text,
}

/// The attacks, and what they can be held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttackList {
    /// Every attack on one input.
    pub attacks: Vec<MethodEntry>,
    /// Every constraint; the settings of several combine.
    pub constraints: Vec<ConstraintEntry>,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConstraintEntry {
    /// Its name.
    pub name: String,
    /// What it demands.
    pub help: String,
    /// Where it comes from.
    pub citation: String,
    /// Its settings; the first switches it on.
    pub settings: Vec<SettingEntry>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for others.
    Queued,
    /// It is computed.
    Running,
    /// Its result is there.
    Done,
    /// It ended with a problem.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// The answer to a request that is computed later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobAccepted {
    /// The name of the job: `/v1/jobs/{id}`.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobProgress {
    /// Where it stands.
    pub state: JobState,
    /// Forward and gradient evaluations so far.
    pub evaluations: u64,
    /// Milliseconds since it was asked for; of a finished one, until it was.
    pub elapsed_ms: u64,
    /// How many jobs are before it; absent unless it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

/// A job with what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobStatus {
    /// The name of the job.
    pub id: String,
    /// How far it is.
    #[serde(flatten)]
    pub progress: JobProgress,
    /// The document, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// What went wrong, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What went wrong (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URI for this kind of problem.
    pub r#type: String,
    /// The kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong here: the thing, what was expected, what came.
    pub detail: String,
    /// The kind as a name that stays.
    pub code: String,
    /// What to do; absent where there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
}
