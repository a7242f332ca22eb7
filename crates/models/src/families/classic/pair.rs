//! Models that read two texts: pairs to compare, a question and its context.

use super::encoder::{Place, activation, encoder};
use super::text::classifier;
use super::{MAX_LIST, MAX_WIDTH, drawn, embedding, linear};
use crate::architectures::Words;
use crate::architectures::words::{Body, Flow, Matching, Pair, Reader};
use crate::blocks::convolution::Sight;
use crate::blocks::encoder::Encoder;
use crate::blocks::features::Features;
use crate::config::Config;
use crate::error::Result;
use crate::heads::{Step, span_labels};
use crate::model::Labels;
use crate::registry::Builder;
use crate::trace::Site;

/// Classifiers of pairs.
pub(super) fn pair(builder: &Builder<'_>) -> Result<Words> {
    let config = builder.config;
    let (features, encoder, max_tokens) = shared(builder)?;
    let width = encoder.width();
    let section = config.section("pair")?.ok_or_else(|| config.bad("pair", "an object"))?;
    let (matching, compared) = match section.string("kind")? {
        Some("decomposable-attention") => {
            let (attend, _) = maps(builder, &section, "attend", width)?;
            let (compare, compared) = maps(builder, &section, "compare", 2 * width)?;
            (Matching::Decomposable { attend, compare }, 2 * compared)
        }
        Some("esim") => {
            let size = section.count_within("projection", MAX_WIDTH)?;
            let function = activation(&section, Some("relu"))?;
            let map = linear(builder, "pair.projection", 4 * width, size, true)?;
            let mut project = vec![Step::Linear(map)];
            project.extend(function.map(Step::Activation));
            let composition = behind(builder, &section, "composition", size, &[&encoder])?;
            let composed = composition.width();
            (Matching::Sequential { project, composition }, 4 * composed)
        }
        _ => return Err(section.unsupported("kind", "decomposable-attention or esim")),
    };
    let (steps, labels) = classifier(builder, compared)?;
    Ok(words(features, Pair { encoder, matching, steps }, labels, max_tokens))
}

/// Readers of a question and a context.
pub(super) fn reader(builder: &Builder<'_>) -> Result<Words> {
    let config = builder.config;
    let (features, encoder, max_tokens) = shared(builder)?;
    let width = encoder.width();
    let section = config.section("reader")?.ok_or_else(|| config.bad("reader", "an object"))?;
    if section.string("kind")? != Some("bidaf") {
        return Err(section.unsupported("kind", "bidaf"));
    }
    let map = |name: &str, n| linear(builder, &format!("reader.{name}"), n, 1, false);
    let product = drawn(builder, "reader.product.weight", &[1, width])?;
    let flow = Flow { context: map("context", width)?, question: map("question", width)?, product };
    let mut modeling = behind(builder, &section, "modeling", 4 * width, &[&encoder])?;
    // It is what the next layers read.
    modeling.output_site = None;
    let end = behind(builder, &section, "end", modeling.width(), &[&encoder, &modeling])?;
    let edges =
        [map("start", 4 * width + modeling.width())?, map("stop", 4 * width + end.width())?];
    let reader = Reader { encoder, flow, modeling, end, edges };
    Ok(words(features, reader, span_labels(), max_tokens))
}

fn words(
    features: Features,
    body: impl Body + 'static,
    labels: Labels,
    max_tokens: usize,
) -> Words {
    Words { features, body: Box::new(body), labels, max_tokens, stop_ids: Vec::new() }
}

/// What both texts go through.
fn shared(builder: &Builder<'_>) -> Result<(Features, Encoder, usize)> {
    let features = embedding::features(builder)?;
    let input = features.width();
    let positions = embedding::positions(builder, input)?;
    let max_tokens = embedding::max_tokens(builder, positions.as_ref())?;
    let place = Place { key: "encoder", input, first: 0, sight: Sight::Around, positions };
    let mut encoder = encoder(builder, builder.config, place)?;
    encoder.output_site = Some(Site::Encoded);
    Ok((features, encoder, max_tokens))
}

/// Layers behind those of other encoders.
fn behind(
    builder: &Builder<'_>,
    section: &Config,
    key: &'static str,
    input: usize,
    before: &[&Encoder],
) -> Result<Encoder> {
    let first = before.iter().map(|encoder| encoder.layers.len()).sum();
    let place = Place { key, input, first, sight: Sight::Around, positions: None };
    encoder(builder, section, place)
}

/// Maps one behind the other, each with an activation, and the width behind them.
fn maps(
    builder: &Builder<'_>,
    section: &Config,
    key: &str,
    mut width: usize,
) -> Result<(Vec<Step>, usize)> {
    let function = activation(section, Some("relu"))?;
    let sizes = section.counts(key, MAX_WIDTH, MAX_LIST)?;
    if sizes.is_empty() {
        return Err(section.bad(key, "the sizes of some maps, [200, 200] for instance"));
    }
    let mut steps = Vec::new();
    for (i, size) in sizes.into_iter().enumerate() {
        steps.push(Step::Linear(linear(builder, &format!("pair.{key}.{i}"), width, size, true)?));
        steps.extend(function.map(Step::Activation));
        width = size;
    }
    Ok((steps, width))
}
