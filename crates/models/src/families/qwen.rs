//! Qwen2 (Yang et al. 2024, arXiv 2407.10671) and Qwen3 (arXiv 2505.09388).

use super::llama_like::{self, Recipe};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry of Qwen2.
pub const QWEN2: Family = Family {
    id: "qwen2",
    name: "Qwen2",
    model_types: &["qwen2"],
    architectures: &[
        ("Qwen2ForCausalLM", Task::CausalLm),
        ("Qwen2ForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(|builder| {
        let recipe = Recipe { input_bias: true, ..Recipe::default() };
        build(builder, recipe)
    }),
};

/// The registry's entry of Qwen3.
pub const QWEN3: Family = Family {
    id: "qwen3",
    name: "Qwen3",
    model_types: &["qwen3"],
    architectures: &[
        ("Qwen3ForCausalLM", Task::CausalLm),
        ("Qwen3ForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(|builder| {
        let bias = builder.config.flag_or("attention_bias", false)?;
        let recipe =
            Recipe { input_bias: bias, output_bias: bias, head_norms: true, ..Recipe::default() };
        build(builder, recipe)
    }),
};

fn build(builder: &Builder<'_>, mut recipe: Recipe) -> Result<Parts> {
    let config = builder.config;
    if config.flag_or("use_sliding_window", false)? && !config.is_absent("sliding_window") {
        recipe.window = Some(config.count("sliding_window")?);
        recipe.is_local = |builder, l| Ok(l >= builder.config.count_or("max_window_layers", 28)?);
    }
    llama_like::build(builder, &recipe)
}
