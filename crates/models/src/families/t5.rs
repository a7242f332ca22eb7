//! T5 (Raffel et al. 2020, arXiv 1910.10683) and FLAN-T5 (Chung et al. 2022, arXiv 2210.11416).

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Activation, GatedMlp, Mlp};

use crate::architectures::{DecoderParts, Parts};
use crate::blocks::attention::{Attention, CrossAttention};
use crate::blocks::embeddings::Embeddings;
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::norm::Norm;
use crate::blocks::positions::{Buckets, RelativeBias};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Step, unembedding};
use crate::model::Task;
use crate::registry::{Build, Builder, Family};
use crate::trace::Site;

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "t5",
    name: "T5, FLAN-T5",
    model_types: &["t5"],
    architectures: &[
        ("T5ForConditionalGeneration", Task::Seq2SeqLm),
        ("T5WithLMHeadModel", Task::Seq2SeqLm),
    ],
    prefix: "",
    build: Build::Layers(build),
};

/// Sizes and settings of both stacks.
struct Shape {
    width: usize,
    heads: Heads,
    hidden: usize,
    eps: f64,
    activation: Activation,
    gated: bool,
    buckets: Buckets,
}

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    // `relu`, `gated-gelu` or `gated-silu`; the gated one of v1.1 means the tanh form.
    let kind = config.string("feed_forward_proj")?.unwrap_or("relu");
    let (gated, name) = match kind.strip_prefix("gated-") {
        Some("gelu") => (true, "gelu_new"),
        Some(name) => (true, name),
        None => (false, kind),
    };
    let Some(activation) = Activation::from_name(name) else {
        return Err(config.unsupported("feed_forward_proj", "relu, gated-gelu or gated-silu"));
    };
    let shape = Shape {
        width: config.count("d_model")?,
        heads: Heads::equal(config.count("num_heads")?, config.count("d_kv")?),
        hidden: config.count("d_ff")?,
        eps: config.number_or("layer_norm_epsilon", 1e-6)?,
        activation,
        gated,
        buckets: Buckets {
            count: config.count_or("relative_attention_num_buckets", 32)?,
            max_distance: config.count_or("relative_attention_max_distance", 128)?,
            both_sides: true,
        },
    };
    let layers = config.count("num_layers")?;
    let decoder_layers = config.count_or("num_decoder_layers", layers)?;
    let word = weights.get("shared.weight", &[config.count("vocab_size")?, shape.width])?;
    // New files say "tied" of all models, and what that means for the scale in a key of its own;
    // an output map that is there counts.
    let tied = config.flag_or("tie_word_embeddings", true)?;
    let map = unembedding(weights, "lm_head", "lm_head.bias", &word, false)?;
    let mut head = Head::vocabulary(builder.task, vec![Step::Linear(map)]);
    if config.flag_or("scale_decoder_outputs", tied)? {
        head.scale = 1.0 / (shape.width as f64).sqrt();
    }
    Ok(Parts {
        embeddings: Embeddings::new(word.clone()),
        stack: stack(builder, &shape, "encoder", 0, layers)?,
        decoder: Some(DecoderParts {
            embeddings: Embeddings::new(word),
            stack: stack(builder, &shape, "decoder", layers, decoder_layers)?,
            start_id: config.id("decoder_start_token_id")?.unwrap_or(0),
        }),
        head: Some(head),
        heads: shape.heads.queries,
        // Distances beyond the last bucket are all alike: a text has no largest length.
        max_tokens: config.count_or("n_positions", 512)?,
        stop_ids: config.ids("eos_token_id")?,
    })
}

fn stack(
    builder: &Builder<'_>,
    shape: &Shape,
    name: &str,
    first_site: usize,
    count: usize,
) -> Result<Stack> {
    let weights = builder.weights;
    let is_decoder = name == "decoder";
    let Shape { width, heads, hidden, eps, activation, gated, buckets } = *shape;
    let norm = |name: &str| -> Result<Norm> { weights.rms_norm(name, width, eps, 0.0) };
    let bias = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    let relative = Arc::new(RelativeBias {
        table: weights.get(&bias, &[buckets.count, heads.queries])?,
        buckets: Buckets { both_sides: !is_decoder, ..buckets },
    });
    let inner = heads.queries * heads.width;
    let layer = |l: usize| {
        let at = |part: usize, rest: &str| format!("{name}.block.{l}.layer.{part}.{rest}");
        let projection = |part: usize, kind: &str, which: &str| {
            weights.map(&at(part, &format!("{kind}.{which}")), width, inner, false)
        };
        let output = |part: usize, kind: &str| {
            weights.map(&at(part, &format!("{kind}.o")), inner, width, false)
        };
        let cross = is_decoder.then(|| {
            let kind = "EncDecAttention";
            let cross = CrossAttention {
                query: projection(1, kind, "q")?,
                key: projection(1, kind, "k")?,
                value: projection(1, kind, "v")?,
                output: output(1, kind)?,
                heads,
                scale: 1.0,
            };
            Ok::<_, crate::Error>((cross, Norms::before(norm(&at(1, "layer_norm"))?)))
        });
        let last = if is_decoder { 2 } else { 1 };
        let dense = |which: &str, n_in, n_out| {
            weights.map(&at(last, &format!("DenseReluDense.{which}")), n_in, n_out, false)
        };
        let down = dense("wo", hidden, width)?;
        let feed_forward = if gated {
            let (gate, up) = (dense("wi_0", width, hidden)?, dense("wi_1", width, hidden)?);
            FeedForward::Gated(GatedMlp { gate, up, activation, down })
        } else {
            FeedForward::Plain(Mlp { up: dense("wi", width, hidden)?, activation, down })
        };
        let kind = "SelfAttention";
        Ok(Arc::new(Layer {
            attention: Attention {
                // The initialisation makes up for it.
                scale: 1.0,
                causal: is_decoder,
                relative: Some(Arc::clone(&relative)),
                ..Attention::new(
                    [
                        projection(0, kind, "q")?,
                        projection(0, kind, "k")?,
                        projection(0, kind, "v")?,
                        output(0, kind)?,
                    ],
                    heads,
                )
            },
            attention_norms: Norms::before(norm(&at(0, "layer_norm"))?),
            cross: cross.transpose()?,
            feed_forward,
            feed_forward_norms: Norms::before(norm(&at(last, "layer_norm"))?),
            parallel: false,
        }))
    };
    Ok(Stack {
        final_norm: Some(norm(&format!("{name}.final_layer_norm"))?),
        first_site,
        output_site: (!is_decoder).then_some(Site::Encoded),
        ..Stack::new((0..count).map(layer).collect::<Result<_>>()?)
    })
}
