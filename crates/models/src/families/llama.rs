//! Llama (Touvron et al. 2023, arXiv 2302.13971) and models of its architecture, SmolLM among them.

use super::llama_like::{self, Recipe};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "llama",
    name: "Llama, SmolLM",
    model_types: &["llama"],
    architectures: &[
        ("LlamaForCausalLM", Task::CausalLm),
        ("LlamaForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(build),
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let bias = builder.config.flag_or("attention_bias", false)?;
    let recipe = Recipe {
        input_bias: bias,
        output_bias: bias,
        mlp_bias: builder.config.flag_or("mlp_bias", false)?,
        ..Recipe::default()
    };
    llama_like::build(builder, &recipe)
}
