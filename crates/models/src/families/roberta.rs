//! RoBERTa (Liu et al. 2019, arXiv 1907.11692) and XLM-R (Conneau et al. 2020, arXiv 1911.02116).

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, parts, stack};
use crate::architectures::Parts;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry of RoBERTa.
pub const ROBERTA: Family = Family {
    id: "roberta",
    name: "RoBERTa",
    model_types: &["roberta", "camembert"],
    architectures: &[
        ("RobertaForSequenceClassification", Task::TextClassification),
        ("RobertaForTokenClassification", Task::TokenClassification),
        ("RobertaForQuestionAnswering", Task::QuestionAnswering),
        ("RobertaForMaskedLM", Task::MaskedLm),
        ("RobertaModel", Task::SentenceSimilarity),
        ("CamembertForSequenceClassification", Task::TextClassification),
        ("CamembertForTokenClassification", Task::TokenClassification),
        ("CamembertForQuestionAnswering", Task::QuestionAnswering),
        ("CamembertForMaskedLM", Task::MaskedLm),
    ],
    prefix: "roberta.",
    build: Build::Layers(build),
};

/// The registry's entry of XLM-R.
pub const XLM_ROBERTA: Family = Family {
    id: "xlm-roberta",
    name: "XLM-RoBERTa",
    model_types: &["xlm-roberta"],
    architectures: &[
        ("XLMRobertaForSequenceClassification", Task::TextClassification),
        ("XLMRobertaForTokenClassification", Task::TokenClassification),
        ("XLMRobertaForQuestionAnswering", Task::QuestionAnswering),
        ("XLMRobertaForMaskedLM", Task::MaskedLm),
        ("XLMRobertaModel", Task::SentenceSimilarity),
    ],
    prefix: "roberta.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "roberta.encoder.layer.{}.attention.self.query",
    key: "roberta.encoder.layer.{}.attention.self.key",
    value: "roberta.encoder.layer.{}.attention.self.value",
    attention_output: "roberta.encoder.layer.{}.attention.output.dense",
    attention_norm: "roberta.encoder.layer.{}.attention.output.LayerNorm",
    up: "roberta.encoder.layer.{}.intermediate.dense",
    down: "roberta.encoder.layer.{}.output.dense",
    output_norm: "roberta.encoder.layer.{}.output.LayerNorm",
};

const FILLER: Filler = Filler {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    decoder: "lm_head.decoder",
    bias: "lm_head.bias",
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    // The head's activation is GELU whatever the layers use; all published models use it in both.
    let shape = Shape::read(builder)?;
    // Positions begin behind the padding's own.
    let offset = builder.config.id("pad_token_id")?.unwrap_or(1) as usize + 1;
    let embeddings =
        embeddings(builder, "roberta.embeddings.", shape.width, shape.eps, offset, true)?;
    let stack = stack(builder, &LAYER, shape)?;
    let head = head(builder, shape, &embeddings.word, &Pooler::DENSE, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
