//! DeBERTa v2 and v3 (He et al. 2021, arXiv 2006.03654 and 2111.09543).

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Activation, Linear};

use super::post_norm::{Filler, LayerNames, Pooler, Shape, head, layer, parts};
use crate::architectures::Parts;
use crate::blocks::disentangled::{Disentangled, Distances};
use crate::blocks::embeddings::{Embeddings, Positions};
use crate::blocks::stack::{Convolution, Stack};
use crate::error::Result;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "deberta-v2",
    name: "DeBERTa v2 and v3",
    model_types: &["deberta-v2"],
    architectures: &[
        ("DebertaV2ForSequenceClassification", Task::TextClassification),
        ("DebertaV2ForTokenClassification", Task::TokenClassification),
        ("DebertaV2ForQuestionAnswering", Task::QuestionAnswering),
        ("DebertaV2ForMaskedLM", Task::MaskedLm),
        ("DebertaV2Model", Task::SentenceSimilarity),
    ],
    prefix: "deberta.",
    build: Build::Layers(build),
};

const LAYER: LayerNames = LayerNames {
    query: "deberta.encoder.layer.{}.attention.self.query_proj",
    key: "deberta.encoder.layer.{}.attention.self.key_proj",
    value: "deberta.encoder.layer.{}.attention.self.value_proj",
    attention_output: "deberta.encoder.layer.{}.attention.output.dense",
    attention_norm: "deberta.encoder.layer.{}.attention.output.LayerNorm",
    up: "deberta.encoder.layer.{}.intermediate.dense",
    down: "deberta.encoder.layer.{}.output.dense",
    output_norm: "deberta.encoder.layer.{}.output.LayerNorm",
};

const POOLER: Pooler =
    Pooler { dense: "pooler.dense", activation: Activation::Gelu, classifier: "classifier" };

const FILLER: Filler = Filler {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder",
    bias: "cls.predictions.bias",
};

/// The names of files that are not marked as legacy.
const NEW_FILLER: Filler = Filler {
    dense: "lm_predictions.lm_head.dense",
    norm: "lm_predictions.lm_head.LayerNorm",
    decoder: "lm_predictions.lm_head.decoder",
    bias: "lm_predictions.lm_head.bias",
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let shape = Shape { eps: config.number_or("layer_norm_eps", 1e-7)?, ..Shape::read(builder)? };
    let width = shape.width;
    let positions = config.count_or("max_position_embeddings", 512)?;
    let max_distance = match config.id("max_relative_positions")? {
        None | Some(0) => positions,
        Some(n) => n as usize,
    };
    let buckets = config.id("position_buckets")?.unwrap_or(0) as usize;
    let distances = if config.flag_or("relative_attention", false)? {
        let span = if buckets > 0 { buckets } else { max_distance };
        let kinds = config.string("norm_rel_ebd")?.unwrap_or("none");
        let normed = kinds.split('|').any(|kind| kind.trim() == "layer_norm");
        let norm =
            normed.then(|| weights.layer_norm("deberta.encoder.LayerNorm", width, shape.eps));
        Some(Arc::new(Distances {
            table: weights.get("deberta.encoder.rel_embeddings.weight", &[2 * span, width])?,
            norm: norm.transpose()?,
            buckets,
            max_distance,
        }))
    } else {
        None
    };
    let layers = (0..shape.layers).map(|l| {
        let mut layer = layer(builder, &LAYER, l, shape)?;
        if let Some(distances) = &distances {
            disentangle(builder, &mut layer.attention, distances, l, width)?;
        }
        Ok(Arc::new(layer))
    });
    let stack = Stack {
        convolution: convolution(builder, shape)?,
        ..Stack::new(layers.collect::<Result<_>>()?)
    };
    let embeddings = embeddings(builder, shape, positions)?;
    let legacy = config.flag_or("legacy", true)?;
    let filler = if legacy { &FILLER } else { &NEW_FILLER };
    let head = head(builder, shape, &embeddings.word, &POOLER, filler)?;
    let mut parts = parts(embeddings, stack, head, shape.heads);
    // Distances have no end, but texts beyond this were never seen.
    parts.max_tokens = positions;
    Ok(parts)
}

/// Gives a layer's attention its scores by distance.
fn disentangle(
    builder: &Builder<'_>,
    attention: &mut crate::blocks::attention::Attention,
    distances: &Arc<Distances>,
    l: usize,
    width: usize,
) -> Result<()> {
    let config = builder.config;
    // A list in new files, a text in old ones.
    let kinds: Vec<String> = match config.strings("pos_att_type") {
        Ok(kinds) => kinds.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        Err(_) => {
            let text = config.string("pos_att_type")?.unwrap_or_default();
            text.split('|').map(|kind| kind.trim().to_owned()).collect()
        }
    };
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    let shared = config.flag_or("share_att_key", false)?;
    let projection = |kind, name: &str, own: &Linear| -> Result<Option<Linear>> {
        if !has(kind) {
            return Ok(None);
        }
        if shared {
            return Ok(Some(own.clone()));
        }
        let name = format!("deberta.encoder.layer.{l}.attention.self.{name}");
        builder.weights.linear(&name, width, width).map(Some)
    };
    let key = projection("c2p", "pos_key_proj", &attention.key)?;
    let query = projection("p2c", "pos_query_proj", &attention.query)?;
    let parts = 1 + usize::from(key.is_some()) + usize::from(query.is_some());
    let Heads { width: head, .. } = attention.heads;
    let scale = 1.0 / ((head * parts) as f64).sqrt();
    attention.scale = scale;
    attention.disentangled =
        Some(Disentangled { distances: Arc::clone(distances), key, query, scale });
    Ok(())
}

fn embeddings(builder: &Builder<'_>, shape: Shape, positions: usize) -> Result<Embeddings> {
    let (config, weights) = (builder.config, builder.weights);
    let narrow = config.count_or("embedding_size", shape.width)?;
    let table = |name: &str, rows| {
        weights.get(&format!("deberta.embeddings.{name}_embeddings.weight"), &[rows, narrow])
    };
    let segments = config.id("type_vocab_size")?.unwrap_or(0) as usize;
    let absolute = config.flag_or("position_biased_input", true)?;
    let norm = weights.layer_norm("deberta.embeddings.LayerNorm", shape.width, shape.eps)?;
    if narrow != shape.width {
        return Err(config.unsupported("embedding_size", "the same as hidden_size"));
    }
    Ok(Embeddings {
        positions: absolute
            .then(|| {
                Ok::<_, crate::Error>(Positions { table: table("position", positions)?, offset: 0 })
            })
            .transpose()?,
        segment: (segments > 0).then(|| table("token_type", segments)).transpose()?,
        norm: Some(norm),
        masked: true,
        ..Embeddings::new(table("word", config.count("vocab_size")?)?)
    })
}

fn convolution(builder: &Builder<'_>, shape: Shape) -> Result<Option<Convolution>> {
    let (config, weights) = (builder.config, builder.weights);
    let size = config.id("conv_kernel_size")?.unwrap_or(0) as usize;
    if size == 0 {
        return Ok(None);
    }
    if config.count_or("conv_groups", 1)? != 1 || size.is_multiple_of(2) {
        return Err(config.unsupported("conv_kernel_size", "an odd number, and conv_groups 1"));
    }
    let width = shape.width;
    let tap = |k: usize| {
        let weight = weights.changed(
            "deberta.encoder.conv.conv.weight",
            &[width, width, size],
            |kernel| kernel.narrow(2, k, 1)?.squeeze(2)?.contiguous(),
        )?;
        let bias = (k == 0).then(|| weights.get("deberta.encoder.conv.conv.bias", &[width]));
        Ok(Linear::new(weight, bias.transpose()?)?)
    };
    Ok(Some(Convolution {
        taps: (0..size).map(tap).collect::<Result<_>>()?,
        activation: config.activation("conv_act", "tanh")?,
        norm: weights.layer_norm("deberta.encoder.conv.LayerNorm", width, shape.eps)?,
    }))
}
