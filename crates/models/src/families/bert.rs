//! BERT (Devlin et al. 2019, arXiv 1810.04805).

use glossator_ops::Activation;

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, parts, stack};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "bert",
    name: "BERT",
    model_types: &["bert"],
    architectures: &[
        ("BertForSequenceClassification", Task::TextClassification),
        ("BertForTokenClassification", Task::TokenClassification),
        ("BertForQuestionAnswering", Task::QuestionAnswering),
        ("BertForMaskedLM", Task::MaskedLm),
        ("BertForPreTraining", Task::MaskedLm),
        ("BertModel", Task::SentenceSimilarity),
    ],
    prefix: "bert.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "bert.encoder.layer.{}.attention.self.query",
    key: "bert.encoder.layer.{}.attention.self.key",
    value: "bert.encoder.layer.{}.attention.self.value",
    attention_output: "bert.encoder.layer.{}.attention.output.dense",
    attention_norm: "bert.encoder.layer.{}.attention.output.LayerNorm",
    up: "bert.encoder.layer.{}.intermediate.dense",
    down: "bert.encoder.layer.{}.output.dense",
    output_norm: "bert.encoder.layer.{}.output.LayerNorm",
};

const POOLER: Pooler =
    Pooler { dense: "bert.pooler.dense", activation: Activation::Tanh, classifier: "classifier" };

const FILLER: Filler = Filler {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder",
    bias: "cls.predictions.bias",
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let shape = Shape::read(builder)?;
    let embeddings = embeddings(builder, "bert.embeddings.", shape.width, shape.eps, 0, true)?;
    let stack = stack(builder, &LAYER, shape)?;
    let head = head(builder, shape, &embeddings.word, &POOLER, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
