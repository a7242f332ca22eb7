//! ELECTRA (Clark et al. 2020, arXiv 2003.10555).

use glossator_ops::Activation;

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, parts, stack};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "electra",
    name: "ELECTRA",
    model_types: &["electra"],
    architectures: &[
        ("ElectraForSequenceClassification", Task::TextClassification),
        ("ElectraForTokenClassification", Task::TokenClassification),
        ("ElectraForQuestionAnswering", Task::QuestionAnswering),
        ("ElectraForMaskedLM", Task::MaskedLm),
        ("ElectraModel", Task::SentenceSimilarity),
    ],
    prefix: "electra.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "electra.encoder.layer.{}.attention.self.query",
    key: "electra.encoder.layer.{}.attention.self.key",
    value: "electra.encoder.layer.{}.attention.self.value",
    attention_output: "electra.encoder.layer.{}.attention.output.dense",
    attention_norm: "electra.encoder.layer.{}.attention.output.LayerNorm",
    up: "electra.encoder.layer.{}.intermediate.dense",
    down: "electra.encoder.layer.{}.output.dense",
    output_norm: "electra.encoder.layer.{}.output.LayerNorm",
};

const POOLER: Pooler = Pooler { activation: Activation::Gelu, ..Pooler::DENSE };

const FILLER: Filler = Filler {
    dense: "generator_predictions.dense",
    norm: "generator_predictions.LayerNorm",
    decoder: "generator_lm_head",
    bias: "generator_lm_head.bias",
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let shape = Shape::read(builder)?;
    let narrow = builder.config.count_or("embedding_size", shape.width)?;
    let mut embeddings = embeddings(builder, "electra.embeddings.", narrow, shape.eps, 0, true)?;
    if narrow != shape.width {
        let projection =
            builder.weights.linear("electra.embeddings_project", narrow, shape.width)?;
        embeddings.projection = Some(projection);
    }
    let stack = stack(builder, &LAYER, shape)?;
    let head = head(builder, shape, &embeddings.word, &POOLER, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
