//! Gemma 2 (arXiv 2408.00118) and the text model of Gemma 3 (arXiv 2503.19786).

use super::llama_like::{self, Recipe};
use super::rope::RopeKeys;
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry of Gemma 2.
pub const GEMMA2: Family = Family {
    id: "gemma2",
    name: "Gemma 2",
    model_types: &["gemma2"],
    architectures: &[
        ("Gemma2ForCausalLM", Task::CausalLm),
        ("Gemma2ForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(|builder| {
        let mut recipe = recipe(builder)?;
        recipe.is_local = |_, l| Ok(l % 2 == 0);
        build(builder, &recipe)
    }),
};

/// The registry's entry of Gemma 3.
pub const GEMMA3: Family = Family {
    id: "gemma3",
    name: "Gemma 3 (text)",
    model_types: &["gemma3_text"],
    architectures: &[
        ("Gemma3ForCausalLM", Task::CausalLm),
        ("Gemma3TextForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(|builder| {
        let mut recipe = recipe(builder)?;
        recipe.head_norms = true;
        recipe.is_local =
            |builder, l| Ok((l + 1) % builder.config.count_or("sliding_window_pattern", 6)? != 0);
        recipe.rope = [
            RopeKeys {
                kind: Some("full_attention"),
                base: "rope_theta",
                default_base: 1_000_000.0,
                scaled: true,
            },
            RopeKeys {
                kind: Some("sliding_attention"),
                base: "rope_local_base_freq",
                default_base: 10_000.0,
                scaled: false,
            },
        ];
        build(builder, &recipe)
    }),
};

fn recipe(builder: &Builder<'_>) -> Result<Recipe> {
    let bias = builder.config.flag_or("attention_bias", false)?;
    Ok(Recipe {
        input_bias: bias,
        output_bias: bias,
        norms_after: true,
        norm_plus: 1.0,
        activation: "hidden_activation",
        tied: true,
        scaled: true,
        window: Some(builder.config.count_or("sliding_window", 4096)?),
        scale_key: Some("query_pre_attn_scalar"),
        ..Recipe::default()
    })
}

fn build(builder: &Builder<'_>, recipe: &Recipe) -> Result<Parts> {
    if builder.config.flag_or("use_bidirectional_attention", false)? {
        return Err(builder.config.unsupported("use_bidirectional_attention", "false"));
    }
    llama_like::build(builder, recipe)
}
