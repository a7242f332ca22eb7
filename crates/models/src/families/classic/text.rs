//! Models that read one text.

use std::sync::Arc;

use glossator_ops::Linear;
use glossator_ops::crf::Crf;

use super::encoder::{Place, activation, encoder};
use super::{MAX_LIST, MAX_READ_AGAIN, MAX_WIDTH, MAX_WINDOW, embedding, linear};
use crate::architectures::Words;
use crate::architectures::words::{Sequence, SequenceOutput};
use crate::blocks::encoder::{Encoder, EncoderLayer};
use crate::blocks::features::Features;
use crate::blocks::pooling::{Pool, Score};
use crate::blocks::window::Window;
use crate::config::Config;
use crate::error::Result;
use crate::heads::{self, Step};
use crate::initial::Init;
use crate::model::{Labels, Problem, Task};
use crate::registry::Builder;

/// Classifiers of texts and tokens, and causal language models.
pub(super) fn words(builder: &Builder<'_>) -> Result<Words> {
    let config = builder.config;
    let features = embedding::features(builder)?;
    let input = features.width();
    let positions = embedding::positions(builder, input)?;
    let window = window(builder, &features)?;
    let mut max_tokens = match (&window, &positions) {
        (Some(window), Some(table)) if window.tokens > table.shape()[0] => {
            let expected = format!("at least the window's {}", window.tokens);
            return Err(embedding::section(builder)?.bad("positions.count", &expected));
        }
        // Positions are those of the window.
        (Some(_), _) => embedding::max_tokens(builder, None)?,
        (None, table) => embedding::max_tokens(builder, table.as_ref())?,
    };
    let sight = embedding::sight(builder.task);
    let place = Place { key: "encoder", input, first: 0, sight, positions };
    let mut encoder = encoder(builder, config, place)?;
    encoder.concatenate = config.flag_or("concatenate_layers", false)?;
    let width = encoder.width();
    if builder.task == Task::TokenClassification && !config.is_absent("pooling") {
        return Err(config.bad("pooling", "nothing: each token has an output of its own"));
    }
    if builder.task != Task::TokenClassification && config.flag_or("crf", false)? {
        return Err(config.bad("crf", "nothing: only labels of tokens are a chain"));
    }
    let (output, labels) = match builder.task {
        Task::CausalLm => {
            let pooled = !config.is_absent("pooling");
            let attention = pooled.then(|| attention(builder, width)).transpose()?;
            if attention.is_some() || window.is_some() {
                max_tokens = max_tokens.min(MAX_READ_AGAIN);
            }
            let mut steps = Vec::new();
            let width = hidden(builder, &mut steps, width)?;
            steps.push(Step::Linear(vocabulary(builder, &features.words, width)?));
            let labels = Labels { names: Vec::new(), problem: Problem::SingleLabel };
            (SequenceOutput::Next { attention, steps }, labels)
        }
        Task::TokenClassification => {
            let (steps, labels) = classifier(builder, width)?;
            let crf = config.flag_or("crf", false)?;
            let crf = crf.then(|| chain(builder, labels.names.len())).transpose()?;
            (SequenceOutput::Tags { steps, crf }, labels)
        }
        _ => {
            let pool = pool(builder, width)?;
            if matches!(pool, Pool::Last) && ends_recurrent(&encoder) && !encoder.concatenate {
                // The states that are left are read, not the outputs.
                encoder.output_site = None;
            }
            let (steps, labels) = classifier(builder, width)?;
            (SequenceOutput::Label { pool, steps }, labels)
        }
    };
    Ok(Words {
        features,
        body: Box::new(Sequence { window, encoder, output }),
        labels,
        max_tokens,
        stop_ids: config.ids("eos_token_id")?,
    })
}

fn ends_recurrent(encoder: &Encoder) -> bool {
    matches!(encoder.layers.last(), Some(EncoderLayer::Recurrent(_)))
}

/// The section `window`.
fn window(builder: &Builder<'_>, features: &Features) -> Result<Option<Window>> {
    let config = builder.config;
    let Some(section) = config.section("window")? else { return Ok(None) };
    if builder.task == Task::TokenClassification {
        return Err(config.bad("window", "nothing: every token has a label"));
    }
    if features.characters.is_some() || features.casing.is_some() {
        let expected = "nothing, for tokens with characters or casing: what fills up has neither";
        return Err(config.bad("window", expected));
    }
    let tokens = section.count_within("tokens", MAX_WINDOW)?;
    let fill = section.id("fill")?.unwrap_or(0);
    let skip = section.ids("skip")?;
    let known = |id: u32| (id as usize) < features.vocabulary();
    for (key, fits) in [("fill", known(fill)), ("skip", skip.iter().all(|&id| known(id)))] {
        if !fits {
            let expected =
                format!("ids below {}, the size of the vocabulary", features.vocabulary());
            return Err(section.bad(key, &expected));
        }
    }
    Ok(Some(Window { tokens, fill, skip, words: features.words.clone() }))
}

/// The section `pooling` of a language model.
fn attention(builder: &Builder<'_>, width: usize) -> Result<Score> {
    match pool(builder, width)? {
        Pool::Attention(score) => Ok(score),
        _ => {
            let section = builder.config.section("pooling")?;
            let section = section.as_ref().unwrap_or(builder.config);
            Err(section.bad("kind", "attention, in a language model"))
        }
    }
}

/// The section `pooling`.
fn pool(builder: &Builder<'_>, width: usize) -> Result<Pool> {
    let config = builder.config;
    let section = config.section("pooling")?.ok_or_else(|| config.bad("pooling", "an object"))?;
    Ok(match section.string("kind")? {
        Some("last") => Pool::Last,
        Some("mean") => Pool::Mean,
        Some("max") => Pool::Max,
        Some("attention") => Pool::Attention(score(builder, &section, width)?),
        _ => return Err(section.unsupported("kind", "last, mean, max or attention")),
    })
}

fn score(builder: &Builder<'_>, section: &Config, width: usize) -> Result<Score> {
    let query = |n| linear(builder, "pooling.query", n, 1, false);
    Ok(match section.string("score")? {
        Some("additive") => {
            let size = section.count_within("size", MAX_WIDTH)?;
            let map = linear(builder, "pooling.map", width, size, true)?;
            Score::Additive { map, query: query(size)? }
        }
        Some("dot") => Score::Product { query: query(width)?, scale: 1.0 },
        Some("scaled") => {
            Score::Product { query: query(width)?, scale: 1.0 / (width as f64).sqrt() }
        }
        _ => return Err(section.unsupported("score", "additive, dot or scaled")),
    })
}

/// The hidden maps of the section `head`, if there are any; the width behind them.
pub(super) fn hidden(
    builder: &Builder<'_>,
    steps: &mut Vec<Step>,
    mut width: usize,
) -> Result<usize> {
    let Some(section) = builder.config.section("head")? else { return Ok(width) };
    let function = activation(&section, Some("relu"))?;
    for (i, size) in section.counts("sizes", MAX_WIDTH, MAX_LIST)?.into_iter().enumerate() {
        steps.push(Step::Linear(linear(builder, &format!("head.{i}"), width, size, true)?));
        steps.extend(function.map(Step::Activation));
        width = size;
    }
    Ok(width)
}

/// From a vector of this width to labels.
pub(super) fn classifier(builder: &Builder<'_>, width: usize) -> Result<(Vec<Step>, Labels)> {
    let labels = heads::labels(builder.config, builder.weights, builder.task, "output")?;
    let mut steps = Vec::new();
    let width = hidden(builder, &mut steps, width)?;
    steps.push(Step::Linear(linear(builder, "output", width, labels.names.len(), true)?));
    Ok((steps, labels))
}

/// From a vector of this width to the vocabulary.
pub(super) fn vocabulary(
    builder: &Builder<'_>,
    words: &glossator_ops::Weight,
    width: usize,
) -> Result<Linear> {
    let (config, weights) = (builder.config, builder.weights);
    let &[rows, size] = words.shape() else { return Ok(Linear::new(words.clone(), None)?) };
    if !config.flag_or("tie_word_embeddings", false)? {
        return linear(builder, "output", width, rows, true);
    }
    if size != width {
        let expected = format!("false, for embeddings of {size} and an output of {width}");
        return Err(config.bad("tie_word_embeddings", &expected));
    }
    Ok(Linear::new(words.clone(), Some(weights.get("output.bias", &[rows])?))?)
}

fn chain(builder: &Builder<'_>, labels: usize) -> Result<Arc<Crf>> {
    let get = |part: &str, shape: &[usize]| {
        builder.weights.get_init(&format!("crf.{part}"), shape, Init::ZEROS)
    };
    let transitions = get("transitions", &[labels, labels])?;
    Ok(Arc::new(Crf::new(transitions, get("start", &[labels])?, get("end", &[labels])?)?))
}
