//! Mistral (Jiang et al. 2023, arXiv 2310.06825).

use super::llama_like::{self, Recipe};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "mistral",
    name: "Mistral",
    model_types: &["mistral"],
    architectures: &[
        ("MistralForCausalLM", Task::CausalLm),
        ("MistralForSequenceClassification", Task::TextClassification),
    ],
    prefix: "model.",
    build: Build::Layers(build),
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let config = builder.config;
    let local = !config.is_absent("sliding_window");
    let window = local.then(|| config.count("sliding_window")).transpose()?;
    llama_like::build(builder, &Recipe { window, ..Recipe::default() })
}
