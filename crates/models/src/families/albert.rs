//! ALBERT (Lan et al. 2020, arXiv 1909.11942): layers that share their weights.

use std::sync::Arc;

use glossator_ops::Activation;

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, layer, parts};
use crate::architectures::Parts;
use crate::blocks::layer::Layer;
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "albert",
    name: "ALBERT",
    model_types: &["albert"],
    architectures: &[
        ("AlbertForSequenceClassification", Task::TextClassification),
        ("AlbertForTokenClassification", Task::TokenClassification),
        ("AlbertForQuestionAnswering", Task::QuestionAnswering),
        ("AlbertForMaskedLM", Task::MaskedLm),
        ("AlbertModel", Task::SentenceSimilarity),
    ],
    prefix: "albert.",
    build: Build::Layers(build),
};

/// The layer of a group; groups of several layers do not occur.
const LAYER: LayerNames = LayerNames {
    query: "albert.encoder.albert_layer_groups.{}.albert_layers.0.attention.query",
    key: "albert.encoder.albert_layer_groups.{}.albert_layers.0.attention.key",
    value: "albert.encoder.albert_layer_groups.{}.albert_layers.0.attention.value",
    attention_output: "albert.encoder.albert_layer_groups.{}.albert_layers.0.attention.dense",
    attention_norm: "albert.encoder.albert_layer_groups.{}.albert_layers.0.attention.LayerNorm",
    up: "albert.encoder.albert_layer_groups.{}.albert_layers.0.ffn",
    down: "albert.encoder.albert_layer_groups.{}.albert_layers.0.ffn_output",
    output_norm: "albert.encoder.albert_layer_groups.{}.albert_layers.0.full_layer_layer_norm",
};

const POOLER: Pooler =
    Pooler { dense: "albert.pooler", activation: Activation::Tanh, classifier: "classifier" };

const FILLER: Filler = Filler {
    dense: "predictions.dense",
    norm: "predictions.LayerNorm",
    decoder: "predictions.decoder",
    bias: "predictions.bias",
};

/// No published model comes near.
const MAX_LAYERS: usize = 1000;

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let shape =
        Shape { activation: config.activation("hidden_act", "gelu_new")?, ..Shape::read(builder)? };
    // Layers that share their weights need no tensors to be there.
    if shape.layers > MAX_LAYERS {
        return Err(config.bad("num_hidden_layers", "at most a thousand"));
    }
    let groups = config.count_or("num_hidden_groups", 1)?;
    if config.count_or("inner_group_num", 1)? != 1 {
        return Err(config.unsupported("inner_group_num", "1"));
    }
    if groups > shape.layers {
        let what =
            format!("num_hidden_groups {groups} is more than num_hidden_layers {}", shape.layers);
        return Err(config.contradiction(what));
    }
    let narrow = config.count_or("embedding_size", 128)?;
    let mut embeddings = embeddings(builder, "albert.embeddings.", narrow, shape.eps, 0, true)?;
    let projection = "albert.encoder.embedding_hidden_mapping_in";
    embeddings.projection = Some(weights.linear(projection, narrow, shape.width)?);
    let shared: Vec<Arc<Layer>> = (0..groups)
        .map(|group| Ok(Arc::new(layer(builder, &LAYER, group, shape)?)))
        .collect::<Result<_>>()?;
    let layers = (0..shape.layers).map(|l| Arc::clone(&shared[l * groups / shape.layers]));
    let stack = Stack::new(layers.collect());
    let head = head(builder, shape, &embeddings.word, &POOLER, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
