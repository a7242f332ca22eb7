//! Models over words or characters: recurrent, convolutional and attention layers in any order, as
//! one configuration describes them (`docs/architectures.md`).

mod embedding;
mod encoder;
mod pair;
mod seq2seq;
mod text;

use glossator_ops::{Linear, Weight};

use crate::architectures::Plan;
use crate::config::Config;
use crate::error::Result;
use crate::initial::Init;
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "glossator",
    name: "Classic",
    model_types: &["glossator"],
    architectures: &[
        ("TextClassifier", Task::TextClassification),
        ("PairClassifier", Task::TextClassification),
        ("TokenClassifier", Task::TokenClassification),
        ("QuestionAnswering", Task::QuestionAnswering),
        ("CausalLm", Task::CausalLm),
        ("Seq2SeqLm", Task::Seq2SeqLm),
    ],
    prefix: "",
    build: Build::Any(build),
};

/// The widest that anything may be.
const MAX_WIDTH: usize = 1 << 16;
/// The most layers of an encoder.
const MAX_LAYERS: usize = 64;
/// The most tokens that a filter sees.
const MAX_KERNEL: usize = 256;
/// The most filters of different widths, or maps one behind the other.
const MAX_LIST: usize = 16;
/// The most tokens that are read where the configuration names no limit.
const MAX_TOKENS: usize = 1 << 16;
/// The most tokens of a window.
const MAX_WINDOW: usize = 1 << 10;
/// The most that are read of a language model whose work is that of all tokens for each: with
/// attention over all before it, or a window of its own.
const MAX_READ_AGAIN: usize = 1 << 12;

fn build(builder: &Builder<'_>) -> Result<Plan> {
    let config = builder.config;
    let pairs = config.architecture() == Some("PairClassifier");
    let two = pairs || matches!(builder.task, Task::QuestionAnswering | Task::Seq2SeqLm);
    for key in ["concatenate_layers", "window"] {
        if two && !config.is_absent(key) {
            return Err(config.bad(key, "nothing: it is for models of one text"));
        }
    }
    Ok(match builder.task {
        Task::QuestionAnswering => Plan::Words(pair::reader(builder)?),
        Task::Seq2SeqLm => seq2seq::plan(builder)?,
        _ if pairs => Plan::Words(pair::pair(builder)?),
        _ => Plan::Words(text::words(builder)?),
    })
}

/// A linear map whose new weights keep the spread of what passes.
fn linear(
    builder: &Builder<'_>,
    name: &str,
    n_in: usize,
    n_out: usize,
    bias: bool,
) -> Result<Linear> {
    let weight = drawn(builder, &format!("{name}.weight"), &[n_out, n_in])?;
    let bias = bias.then(|| builder.weights.get(&format!("{name}.bias"), &[n_out])).transpose()?;
    Ok(Linear::new(weight, bias)?)
}

/// A weight of a map: `[out, in]` or `[out, in, kernel]`.
fn drawn(builder: &Builder<'_>, name: &str, shape: &[usize]) -> Result<Weight> {
    builder.weights.get_init(name, shape, Init::glorot(shape))
}

/// A table of embeddings.
fn table(builder: &Builder<'_>, name: &str, shape: &[usize]) -> Result<Weight> {
    builder.weights.get_init(name, shape, Init::Normal(0.1))
}

/// The number of tokens that a model reads at most.
fn max_tokens(config: &Config) -> Result<usize> {
    if config.is_absent("max_tokens") {
        return Ok(MAX_TOKENS);
    }
    config.count_within("max_tokens", 1 << 24)
}
