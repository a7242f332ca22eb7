//! DistilBERT (Sanh et al. 2019, arXiv 1910.01108).

use glossator_ops::Activation;

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, parts, stack};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "distilbert",
    name: "DistilBERT",
    model_types: &["distilbert"],
    architectures: &[
        ("DistilBertForSequenceClassification", Task::TextClassification),
        ("DistilBertForTokenClassification", Task::TokenClassification),
        ("DistilBertForQuestionAnswering", Task::QuestionAnswering),
        ("DistilBertForMaskedLM", Task::MaskedLm),
        ("DistilBertModel", Task::SentenceSimilarity),
    ],
    prefix: "distilbert.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "distilbert.transformer.layer.{}.attention.q_lin",
    key: "distilbert.transformer.layer.{}.attention.k_lin",
    value: "distilbert.transformer.layer.{}.attention.v_lin",
    attention_output: "distilbert.transformer.layer.{}.attention.out_lin",
    attention_norm: "distilbert.transformer.layer.{}.sa_layer_norm",
    up: "distilbert.transformer.layer.{}.ffn.lin1",
    down: "distilbert.transformer.layer.{}.ffn.lin2",
    output_norm: "distilbert.transformer.layer.{}.output_layer_norm",
};

const POOLER: Pooler =
    Pooler { dense: "pre_classifier", activation: Activation::Relu, classifier: "classifier" };

const FILLER: Filler = Filler {
    dense: "vocab_transform",
    norm: "vocab_layer_norm",
    decoder: "vocab_projector",
    bias: "vocab_projector.bias",
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let config = builder.config;
    let shape = Shape {
        layers: config.count("n_layers")?,
        width: config.count("dim")?,
        heads: config.count("n_heads")?,
        hidden: config.count("hidden_dim")?,
        activation: config.activation("activation", "gelu")?,
        eps: 1e-12,
    }
    .checked(builder)?;
    let embeddings =
        embeddings(builder, "distilbert.embeddings.", shape.width, shape.eps, 0, false)?;
    let stack = stack(builder, &LAYER, shape)?;
    let head = head(builder, shape, &embeddings.word, &POOLER, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
