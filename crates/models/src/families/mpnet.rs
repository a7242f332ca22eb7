//! MPNet (Song et al. 2020, arXiv 2004.09297): BERT with a bias of attention by distance.

use std::sync::Arc;

use super::post_norm::{Filler, LayerNames, Pooler, Shape, embeddings, head, layer, parts};
use crate::architectures::Parts;
use crate::blocks::positions::{Buckets, RelativeBias};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "mpnet",
    name: "MPNet",
    model_types: &["mpnet"],
    architectures: &[
        ("MPNetForSequenceClassification", Task::TextClassification),
        ("MPNetForTokenClassification", Task::TokenClassification),
        ("MPNetForQuestionAnswering", Task::QuestionAnswering),
        ("MPNetForMaskedLM", Task::MaskedLm),
        ("MPNetModel", Task::SentenceSimilarity),
    ],
    prefix: "mpnet.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "mpnet.encoder.layer.{}.attention.attn.q",
    key: "mpnet.encoder.layer.{}.attention.attn.k",
    value: "mpnet.encoder.layer.{}.attention.attn.v",
    attention_output: "mpnet.encoder.layer.{}.attention.attn.o",
    attention_norm: "mpnet.encoder.layer.{}.attention.LayerNorm",
    up: "mpnet.encoder.layer.{}.intermediate.dense",
    down: "mpnet.encoder.layer.{}.output.dense",
    output_norm: "mpnet.encoder.layer.{}.output.LayerNorm",
};

const FILLER: Filler = Filler {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    decoder: "lm_head.decoder",
    bias: "lm_head.bias",
};

/// No configuration names it.
const MAX_DISTANCE: usize = 128;
/// Positions begin behind the padding's own, whose id is always 1.
const OFFSET: usize = 2;

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let shape = Shape::read(builder)?;
    let embeddings =
        embeddings(builder, "mpnet.embeddings.", shape.width, shape.eps, OFFSET, false)?;
    let count = builder.config.count_or("relative_attention_num_buckets", 32)?;
    let relative = Arc::new(RelativeBias {
        table: builder
            .weights
            .get("mpnet.encoder.relative_attention_bias.weight", &[count, shape.heads])?,
        buckets: Buckets { count, max_distance: MAX_DISTANCE, both_sides: true },
    });
    let layers = (0..shape.layers).map(|l| {
        let mut layer = layer(builder, &LAYER, l, shape)?;
        layer.attention.relative = Some(Arc::clone(&relative));
        Ok(Arc::new(layer))
    });
    let stack = Stack::new(layers.collect::<Result<_>>()?);
    let head = head(builder, shape, &embeddings.word, &Pooler::DENSE, &FILLER)?;
    Ok(parts(embeddings, stack, head, shape.heads))
}
