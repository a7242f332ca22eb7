//! Models that read a source and write its answer.

use std::sync::Arc;

use glossator_ops::Linear;
use glossator_ops::recurrent::Cell;

use super::encoder::{Place, encoder, layer_of, recurrent};
use super::text::vocabulary;
use super::{MAX_LAYERS, MAX_WIDTH, embedding, linear};
use crate::architectures::words::{PairScore, Translator};
use crate::architectures::{DecoderParts, Parts, Plan, Words};
use crate::blocks::convolution::Sight;
use crate::blocks::embeddings::{Embeddings, Positions};
use crate::blocks::encoder::EncoderLayer;
use crate::blocks::stack::Stack;
use crate::config::Config;
use crate::error::Result;
use crate::heads::{Head, Step};
use crate::model::{Labels, Problem};
use crate::registry::Builder;
use crate::trace::Site;

/// An encoder and a decoder.
pub(super) fn plan(builder: &Builder<'_>) -> Result<Plan> {
    let config = builder.config;
    let section = config.section("decoder")?.ok_or_else(|| config.bad("decoder", "an object"))?;
    match section.string("kind")? {
        Some("rnn" | "gru" | "lstm") => Ok(Plan::Words(translator(builder, &section)?)),
        Some("transformer") => Ok(Plan::Layers(transformer(builder, &section)?)),
        _ => Err(section.unsupported("kind", "rnn, gru, lstm or transformer")),
    }
}

/// The token that a decoder starts with.
fn start_id(config: &Config) -> Result<u32> {
    let expected = "the id of a token";
    config
        .id("decoder_start_token_id")?
        .ok_or_else(|| config.bad("decoder_start_token_id", expected))
}

fn translator(builder: &Builder<'_>, section: &Config) -> Result<Words> {
    let config = builder.config;
    let features = embedding::features(builder)?;
    let input = features.width();
    let positions = embedding::positions(builder, input)?;
    let max_tokens = embedding::max_tokens(builder, positions.as_ref())?;
    let place = Place { key: "encoder", input, first: 0, sight: Sight::Around, positions };
    let mut encoder = encoder(builder, config, place)?;
    encoder.output_site = Some(Site::Encoded);
    let source = encoder.width();

    let layers =
        if section.is_absent("layers") { 1 } else { section.count_within("layers", MAX_LAYERS)? };
    if section.flag_or("bidirectional", false)? {
        return Err(section.bad("bidirectional", "false: what comes next is not known yet"));
    }
    let (mut decoder, mut bridges) = (Vec::new(), Vec::new());
    let mut width = input;
    for i in 0..layers {
        let layer = recurrent(builder, section, &format!("decoder.{i}"), width, "size")?;
        width = layer.width();
        let bridge =
            |part: &str| linear(builder, &format!("bridge.{i}.{part}"), source, width, true);
        let cell = (layer.forward.cell() == Cell::Lstm).then(|| bridge("cell")).transpose()?;
        bridges.push((bridge("hidden")?, cell));
        decoder.push(layer);
    }
    let score = score(builder, section, width, source)?;
    let combined = if section.is_absent("combine") {
        width
    } else {
        section.count_within("combine", MAX_WIDTH)?
    };
    let combine: Linear = linear(builder, "decoder.combine", source + width, combined, true)?;
    let steps = vec![Step::Linear(vocabulary(builder, &features.words, combined)?)];
    let body = Translator {
        encoder,
        decoder,
        bridges,
        score,
        combine,
        steps,
        start_id: start_id(config)?,
    };
    Ok(Words {
        features,
        body: Box::new(body),
        labels: Labels { names: Vec::new(), problem: Problem::SingleLabel },
        max_tokens,
        stop_ids: config.ids("eos_token_id")?,
    })
}

fn score(
    builder: &Builder<'_>,
    section: &Config,
    state: usize,
    source: usize,
) -> Result<PairScore> {
    let map = |part: &str, n_in, n_out, bias| {
        linear(builder, &format!("decoder.attention.{part}"), n_in, n_out, bias)
    };
    let fits = || {
        let expected =
            format!("general or additive, for states of {state} and a source of {source}");
        if state == source { Ok(()) } else { Err(section.bad("score", &expected)) }
    };
    let product = |map, scale| PairScore::Product { map, scale };
    Ok(match section.string("score")? {
        Some("additive") => {
            let size = section.count_within("attention", MAX_WIDTH)?;
            PairScore::Additive {
                state: map("state", state, size, false)?,
                source: map("source", source, size, true)?,
                query: map("query", size, 1, false)?,
            }
        }
        Some("general") => product(Some(map("general", source, state, false)?), 1.0),
        Some("dot") => {
            fits()?;
            product(None, 1.0)
        }
        Some("scaled") => {
            fits()?;
            product(None, 1.0 / (state as f64).sqrt())
        }
        _ => return Err(section.unsupported("score", "additive, general, dot or scaled")),
    })
}

/// A Transformer (Vaswani et al. 2017): the stacks that pretrained models have, too.
fn transformer(builder: &Builder<'_>, section: &Config) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let features = embedding::features(builder)?;
    let width = features.width();
    let table = embedding::positions(builder, width)?;
    let max_tokens = embedding::max_tokens(builder, table.as_ref())?;
    let embeddings = || Embeddings {
        positions: table.clone().map(|table| Positions { table, offset: 0 }),
        ..Embeddings::new(features.words.clone())
    };
    let place =
        Place { key: "encoder", input: width, first: 0, sight: Sight::Around, positions: None };
    let mut layers = Vec::new();
    let (mut final_norm, mut heads) = (None, 1);
    for layer in encoder(builder, config, place)?.layers {
        heads = heads.max(layer.heads());
        match layer {
            EncoderLayer::Transformer(layer) if final_norm.is_none() => {
                layers.push(Arc::from(layer))
            }
            EncoderLayer::Norm(norm, _) if final_norm.is_none() => final_norm = Some(norm),
            _ => {
                let expected = "transformer layers and at most a layer-norm behind them, for a \
                                decoder of that kind";
                return Err(config.bad("encoder", expected));
            }
        }
    }
    if layers.is_empty() {
        return Err(config.bad("encoder", "some transformer layers"));
    }
    let first = layers.len();
    let count = section.count_within("layers", MAX_LAYERS)?;
    let decoder = (0..count)
        .map(|i| {
            Ok(Arc::new(layer_of(
                builder,
                section,
                &format!("decoder.{i}"),
                width,
                Sight::Before,
                true,
            )?))
        })
        .collect::<Result<Vec<_>>>()?;
    let before = section.string("norm")? != Some("after");
    let norm = before.then(|| weights.layer_norm("decoder.norm", width, 1e-5)).transpose()?;
    let map = vocabulary(builder, &features.words, width)?;
    Ok(Parts {
        embeddings: embeddings(),
        stack: Stack { final_norm, output_site: Some(Site::Encoded), ..Stack::new(layers) },
        decoder: Some(DecoderParts {
            embeddings: embeddings(),
            stack: Stack { first_site: first, final_norm: norm, ..Stack::new(decoder) },
            start_id: start_id(config)?,
        }),
        head: Some(Head::vocabulary(builder.task, vec![Step::Linear(map)])),
        heads,
        max_tokens,
        stop_ids: config.ids("eos_token_id")?,
    })
}
