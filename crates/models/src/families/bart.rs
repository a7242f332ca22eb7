//! BART (Lewis et al. 2020, arXiv 1910.13461) and Marian (Junczys-Dowmunt et al. 2018, arXiv
//! 1804.00344), which differ in positions and norms of the embeddings.

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Activation, Linear, Mlp, Weight};

use crate::architectures::{DecoderParts, Parts};
use crate::blocks::attention::{Attention, CrossAttention};
use crate::blocks::embeddings::{Embeddings, Positions};
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::positions::sinusoids;
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Step};
use crate::model::Task;
use crate::registry::{Build, Builder, Family};
use crate::trace::Site;

/// The registry's entry of BART.
pub const BART: Family = Family {
    id: "bart",
    name: "BART",
    model_types: &["bart"],
    architectures: &[
        ("BartForConditionalGeneration", Task::Seq2SeqLm),
        ("BartModel", Task::Seq2SeqLm),
    ],
    prefix: "model.",
    build: Build::Layers(|builder| build(builder, Kind::Bart)),
};

/// The registry's entry of Marian.
pub const MARIAN: Family = Family {
    id: "marian",
    name: "Marian",
    model_types: &["marian"],
    architectures: &[("MarianMTModel", Task::Seq2SeqLm)],
    prefix: "model.",
    build: Build::Layers(|builder| build(builder, Kind::Marian)),
};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bart,
    Marian,
}

/// BART's learned positions begin with two unused rows.
const OFFSET: usize = 2;
/// No published model comes near.
const MAX_POSITIONS: usize = 1 << 20;
/// Of `nn.LayerNorm`; no configuration names it.
const EPS: f64 = 1e-5;

fn build(builder: &Builder<'_>, kind: Kind) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let width = config.count("d_model")?;
    let vocabulary = config.count("vocab_size")?;
    let activation = config.activation("activation_function", "gelu")?;
    let scaled = config.flag_or("scale_embedding", false)?;
    if !config.flag_or("share_encoder_decoder_embeddings", true)? {
        return Err(config.unsupported("share_encoder_decoder_embeddings", "true"));
    }
    // Old files hold the same table under each of its names, new ones under the first.
    let names = ["model.shared.weight", "model.encoder.embed_tokens.weight"];
    let name = names.into_iter().find(|name| weights.contains(name)).unwrap_or(names[0]);
    let word = weights.get(name, &[vocabulary, width])?;
    let positions = config.count("max_position_embeddings")?;
    // Marian's table of them is made, not read: before anything of that size is.
    if positions > MAX_POSITIONS {
        return Err(config.bad("max_position_embeddings", "at most a million"));
    }
    let embeddings = |stack: &str| {
        let (table, offset) = match kind {
            Kind::Bart => {
                let name = format!("model.{stack}.embed_positions.weight");
                (weights.get(&name, &[positions + OFFSET, width])?, OFFSET)
            }
            Kind::Marian => {
                (weights.constant(sinusoids(positions, width), &[positions, width])?, 0)
            }
        };
        let norm = (kind == Kind::Bart)
            .then(|| weights.layer_norm(&format!("model.{stack}.layernorm_embedding"), width, EPS));
        // Where the factor applies matters to whoever replaces embeddings: as in the reference.
        let factor = if scaled { (width as f64).sqrt() } else { 1.0 };
        let late = kind == Kind::Marian && stack == "decoder";
        Ok::<_, crate::Error>(Embeddings {
            lookup_scale: if late { 1.0 } else { factor },
            scale: if late { factor } else { 1.0 },
            positions: Some(Positions { table, offset }),
            norm: norm.transpose()?,
            ..Embeddings::new(word.clone())
        })
    };
    let sizes = |stack: &str| {
        let heads = config.count(&format!("{stack}_attention_heads"))?;
        if width % heads != 0 {
            let what =
                format!("d_model {width} is not a multiple of {stack}_attention_heads {heads}");
            return Err(config.contradiction(what));
        }
        let hidden = config.count(&format!("{stack}_ffn_dim"))?;
        let layers = config.count(&format!("{stack}_layers"))?;
        Ok(Sizes { width, heads: Heads::equal(heads, width / heads), hidden, layers, activation })
    };
    let (encoder, decoder) = (sizes("encoder")?, sizes("decoder")?);
    let bias = weights
        .contains("final_logits_bias")
        .then(|| weights.changed("final_logits_bias", &[1, vocabulary], |bias| bias.squeeze(0)));
    let map = Linear::new(output(builder, &word)?, bias.transpose()?)?;
    let start_id = match config.id("decoder_start_token_id")? {
        Some(id) => id,
        None => config.id("eos_token_id")?.unwrap_or(2),
    };
    Ok(Parts {
        embeddings: embeddings("encoder")?,
        stack: stack(builder, "encoder", 0, &encoder)?,
        decoder: Some(DecoderParts {
            embeddings: embeddings("decoder")?,
            stack: stack(builder, "decoder", encoder.layers, &decoder)?,
            start_id,
        }),
        head: Some(Head::vocabulary(builder.task, vec![Step::Linear(map)])),
        heads: encoder.heads.queries,
        max_tokens: positions,
        stop_ids: config.ids("eos_token_id")?,
    })
}

/// The weight of the logits: the word embeddings unless they are not tied.
fn output(builder: &Builder<'_>, word: &Weight) -> Result<Weight> {
    if !builder.config.flag_or("tie_word_embeddings", true)?
        && builder.weights.contains("lm_head.weight")
    {
        return builder.weights.get("lm_head.weight", word.shape());
    }
    Ok(word.clone())
}

struct Sizes {
    width: usize,
    heads: Heads,
    hidden: usize,
    layers: usize,
    activation: Activation,
}

fn stack(builder: &Builder<'_>, name: &str, first_site: usize, sizes: &Sizes) -> Result<Stack> {
    let weights = builder.weights;
    let Sizes { width, heads, hidden, layers, activation } = *sizes;
    let is_decoder = name == "decoder";
    let scale = 1.0 / (heads.width as f64).sqrt();
    let layer = |l: usize| {
        let at = |rest: &str| format!("model.{name}.layers.{l}.{rest}");
        let norm = |name: &str| weights.layer_norm(&at(name), width, EPS);
        let map = |kind: &str, which: &str| {
            weights.linear(&at(&format!("{kind}.{which}_proj")), width, width)
        };
        let cross = is_decoder.then(|| {
            let kind = "encoder_attn";
            let cross = CrossAttention {
                query: map(kind, "q")?,
                key: map(kind, "k")?,
                value: map(kind, "v")?,
                output: map(kind, "out")?,
                heads,
                scale,
            };
            Ok::<_, crate::Error>((cross, Norms::sum(norm("encoder_attn_layer_norm")?)))
        });
        let kind = "self_attn";
        Ok(Arc::new(Layer {
            attention: Attention {
                scale,
                causal: is_decoder,
                ..Attention::new(
                    [map(kind, "q")?, map(kind, "k")?, map(kind, "v")?, map(kind, "out")?],
                    heads,
                )
            },
            attention_norms: Norms::sum(norm("self_attn_layer_norm")?),
            cross: cross.transpose()?,
            feed_forward: FeedForward::Plain(Mlp {
                up: weights.linear(&at("fc1"), width, hidden)?,
                activation,
                down: weights.linear(&at("fc2"), hidden, width)?,
            }),
            feed_forward_norms: Norms::sum(norm("final_layer_norm")?),
            parallel: false,
        }))
    };
    Ok(Stack {
        first_site,
        output_site: (!is_decoder).then_some(Site::Encoded),
        ..Stack::new((0..layers).map(layer).collect::<Result<_>>()?)
    })
}
