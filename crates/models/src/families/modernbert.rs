//! ModernBERT (Warner et al. 2024, arXiv 2412.13663).

use std::sync::Arc;

use glossator_ops::attention::{Heads, Window};
use glossator_ops::{GatedMlp, LayerNorm, Linear};

use super::post_norm::each_token;
use super::rope::{RopeKeys, rotary};
use crate::architectures::Parts;
use crate::blocks::attention::Attention;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::norm::Norm;
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Pooling, Step, labels, unembedding};
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "modernbert",
    name: "ModernBERT",
    model_types: &["modernbert"],
    architectures: &[
        ("ModernBertForSequenceClassification", Task::TextClassification),
        ("ModernBertForTokenClassification", Task::TokenClassification),
        ("ModernBertForQuestionAnswering", Task::QuestionAnswering),
        ("ModernBertForMaskedLM", Task::MaskedLm),
        ("ModernBertModel", Task::SentenceSimilarity),
    ],
    prefix: "model.",
    build: Build::Layers(build),
};

const ROPE: [RopeKeys; 2] = [
    RopeKeys {
        kind: Some("full_attention"),
        base: "global_rope_theta",
        default_base: 160_000.0,
        scaled: true,
    },
    RopeKeys {
        kind: Some("sliding_attention"),
        base: "local_rope_theta",
        default_base: 10_000.0,
        scaled: true,
    },
];

/// Sizes that several parts need.
struct Shape {
    width: usize,
    eps: f64,
    norm_bias: bool,
}

impl Shape {
    fn norm(&self, builder: &Builder<'_>, name: &str) -> Result<Norm> {
        if self.norm_bias {
            return builder.weights.layer_norm(name, self.width, self.eps);
        }
        let weight = builder.weights.get(&format!("{name}.weight"), &[self.width])?;
        Ok(Norm::Layer(LayerNorm::new(weight, None, self.eps)?))
    }
}

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let shape = Shape {
        width: config.count("hidden_size")?,
        eps: config.number_or("norm_eps", 1e-5)?,
        norm_bias: config.flag_or("norm_bias", false)?,
    };
    let width = shape.width;
    let count = config.count("num_attention_heads")?;
    if !width.is_multiple_of(2 * count) {
        let what =
            format!("hidden_size {width} is not an even multiple of num_attention_heads {count}");
        return Err(config.contradiction(what));
    }
    let heads = Heads::equal(count, width / count);
    let hidden = config.count("intermediate_size")?;
    let activation = config.activation("hidden_activation", "gelu")?;
    let (attention_bias, mlp_bias) =
        (config.flag_or("attention_bias", false)?, config.flag_or("mlp_bias", false)?);
    let (global, local) =
        (rotary(config, ROPE[0], heads.width)?, rotary(config, ROPE[1], heads.width)?);
    let window = Window::Around(config.count_or("local_attention", 128)? / 2);
    let every = config.count_or("global_attn_every_n_layers", 3)?;
    let kinds = config.strings("layer_types")?;
    // Some maps lie side by side: `n` of `rows` rows each.
    let part = |name: &str, n: usize, rows: usize, i: usize, bias: bool| {
        let weight = weights.changed(&format!("{name}.weight"), &[n * rows, width], |w| {
            w.narrow(0, i * rows, rows)?.contiguous()
        })?;
        let bias = bias.then(|| {
            weights.changed(&format!("{name}.bias"), &[n * rows], |b| {
                b.narrow(0, i * rows, rows)?.contiguous()
            })
        });
        Ok::<_, crate::Error>(Linear::new(weight, bias.transpose()?)?)
    };
    let layer = |l: usize| {
        let is_local = match kinds.as_ref().and_then(|kinds| kinds.get(l)) {
            Some(&kind) => kind == "sliding_attention",
            None => !l.is_multiple_of(every),
        };
        let at = |name: &str| format!("model.layers.{l}.{name}");
        let packed = at("attn.Wqkv");
        let qkv = |i| part(&packed, 3, width, i, attention_bias);
        // The embeddings are normed already.
        let first = (l > 0).then(|| shape.norm(builder, &at("attn_norm"))).transpose()?;
        Ok(Arc::new(Layer {
            attention: Attention {
                window: is_local.then_some(window),
                rotary: Some(Arc::clone(if is_local { &local } else { &global })),
                ..Attention::new(
                    [
                        qkv(0)?,
                        qkv(1)?,
                        qkv(2)?,
                        weights.map(&at("attn.Wo"), width, width, attention_bias)?,
                    ],
                    heads,
                )
            },
            attention_norms: Norms { before: first, ..Norms::default() },
            cross: None,
            feed_forward: FeedForward::Gated(GatedMlp {
                gate: part(&at("mlp.Wi"), 2, hidden, 0, mlp_bias)?,
                up: part(&at("mlp.Wi"), 2, hidden, 1, mlp_bias)?,
                activation,
                down: weights.map(&at("mlp.Wo"), hidden, width, mlp_bias)?,
            }),
            feed_forward_norms: Norms::before(shape.norm(builder, &at("mlp_norm"))?),
            parallel: false,
        }))
    };
    let layers = (0..config.count("num_hidden_layers")?).map(layer).collect::<Result<_>>()?;
    let vocabulary = config.count("vocab_size")?;
    let word = weights.get("model.embeddings.tok_embeddings.weight", &[vocabulary, width])?;
    let embeddings = Embeddings {
        norm: Some(shape.norm(builder, "model.embeddings.norm")?),
        ..Embeddings::new(word)
    };
    let head = head(builder, &shape, &embeddings)?;
    Ok(Parts {
        embeddings,
        stack: Stack {
            final_norm: Some(shape.norm(builder, "model.final_norm")?),
            ..Stack::new(layers)
        },
        decoder: None,
        head,
        heads: count,
        max_tokens: config.count_or("max_position_embeddings", 8192)?,
        stop_ids: Vec::new(),
    })
}

/// Every head begins with `norm(f(dense(x)))`.
fn head(builder: &Builder<'_>, shape: &Shape, embeddings: &Embeddings) -> Result<Option<Head>> {
    let (config, weights) = (builder.config, builder.weights);
    let begin = || {
        let bias = config.flag_or("classifier_bias", false)?;
        let width = shape.width;
        Ok::<_, crate::Error>(vec![
            Step::Linear(weights.map("head.dense", width, width, bias)?),
            Step::Activation(config.activation("classifier_activation", "gelu")?),
            Step::Norm(shape.norm(builder, "head.norm")?),
        ])
    };
    Ok(Some(match builder.task {
        Task::TextClassification => {
            let pooling = match config.string("classifier_pooling")?.unwrap_or("cls") {
                "cls" => Pooling::First,
                "mean" => Pooling::Mean,
                _ => return Err(config.unsupported("classifier_pooling", "cls or mean")),
            };
            let labels = labels(config, weights, builder.task, "classifier")?;
            let mut steps = begin()?;
            let map = weights.linear("classifier", shape.width, labels.names.len())?;
            steps.push(Step::Linear(map));
            Head::new(builder.task, pooling, labels, steps)
        }
        Task::MaskedLm => {
            let tied = config.flag_or("tie_word_embeddings", true)?;
            let map = unembedding(weights, "decoder", "decoder.bias", &embeddings.word, tied)?;
            let mut steps = begin()?;
            steps.push(Step::Linear(map));
            Head::vocabulary(builder.task, steps)
        }
        Task::TokenClassification | Task::QuestionAnswering => {
            each_token(builder, shape.width, begin()?, "classifier")?
        }
        _ => return Ok(None),
    }))
}
