//! What a model says of an input, and where it reads, without an explanation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{
    CheckError, aligned, below, check_prediction, check_tokens, probability, version,
};
use super::{Input, Model, Prediction, VERSION};

/// One input and what the model said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct PredictDocument {
    /// The version of this format; a reader that knows another one should refuse.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was asked.
    pub model: Model,
    /// The text as it was given, and as the model read it.
    pub input: Input,
    /// What the model said.
    pub prediction: Prediction,
    /// How many tokens did not fit the model and were not read; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<usize>,
}

impl PredictDocument {
    /// Makes a document.
    pub fn new(model: Model, input: Input, prediction: Prediction) -> Self {
        Self { version: VERSION, model, input, prediction, truncated: None }
    }

    /// Checks every number and span.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self) -> Result<(), CheckError> {
        version(self.version)?;
        check_tokens(&self.input.fields, "input")?;
        check_prediction(&self.prediction, &self.input.fields)
    }
}

/// Where a model reads: attention probabilities of every layer and head, rounded to five digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AttentionDocument {
    /// The version of this format; a reader that knows another one should refuse.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The model that was asked.
    pub model: Model,
    /// The text as it was given, and as the model read it.
    pub input: Input,
    /// Number of layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// The token of each row and column, an index into the tokens of all fields, one field after
    /// the other.
    pub queries: Vec<usize>,
    /// How much each token reads of each: by layer, head, query and key. Rows sum to 1.
    pub attention: Vec<Vec<Vec<Vec<f64>>>>,
    /// Attention rollout (Abnar & Zuidema 2020): the same through all layers, by query and key.
    pub rollout: Vec<Vec<f64>>,
    /// How many tokens did not fit the model and were not read; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<usize>,
}

impl AttentionDocument {
    /// Makes a document of the attention of each layer and head, and its rollout.
    pub fn new(
        model: Model,
        input: Input,
        queries: Vec<usize>,
        attention: Vec<Vec<Vec<Vec<f64>>>>,
        rollout: Vec<Vec<f64>>,
    ) -> Self {
        let (layers, heads) = (attention.len(), attention.first().map_or(0, Vec::len));
        let (version, truncated) = (VERSION, None);
        Self { version, model, input, layers, heads, queries, attention, rollout, truncated }
    }

    /// Checks every number, index and alignment.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self) -> Result<(), CheckError> {
        version(self.version)?;
        check_tokens(&self.input.fields, "input")?;
        let tokens = self.input.fields.iter().map(|field| field.tokens.len()).sum();
        for (q, &query) in self.queries.iter().enumerate() {
            below(query, tokens, "token", || format!("queries[{q}]"))?;
        }
        aligned(self.attention.len(), self.layers, "layer", || "attention".into())?;
        for (l, layer) in self.attention.iter().enumerate() {
            aligned(layer.len(), self.heads, "head", || format!("attention[{l}]"))?;
            for (h, head) in layer.iter().enumerate() {
                self.square(head, &format!("attention[{l}][{h}]"))?;
            }
        }
        self.square(&self.rollout, "rollout")
    }

    /// Checks a matrix over queries and keys.
    fn square(&self, rows: &[Vec<f64>], at: &str) -> Result<(), CheckError> {
        let n = self.queries.len();
        aligned(rows.len(), n, "query", || at.into())?;
        for (q, row) in rows.iter().enumerate() {
            aligned(row.len(), n, "key", || format!("{at}[{q}]"))?;
            for (k, &share) in row.iter().enumerate() {
                probability(share, || format!("{at}[{q}][{k}]"))?;
            }
        }
        Ok(())
    }
}
