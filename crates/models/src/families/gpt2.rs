//! GPT-2 (Radford et al. 2019).

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Linear, Mlp};

use crate::architectures::Parts;
use crate::blocks::attention::Attention;
use crate::blocks::embeddings::{Embeddings, Positions};
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Pooling, Step, labels, unembedding};
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "gpt2",
    name: "GPT-2",
    model_types: &["gpt2"],
    architectures: &[
        ("GPT2LMHeadModel", Task::CausalLm),
        ("GPT2ForSequenceClassification", Task::TextClassification),
    ],
    prefix: "transformer.",
    build: Build::Layers(build),
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let width = config.count("n_embd")?;
    let count = config.count("n_head")?;
    if width % count != 0 {
        let what = format!("n_embd {width} is not a multiple of n_head {count}");
        return Err(config.contradiction(what));
    }
    let heads = Heads::equal(count, width / count);
    let hidden = config.count_or("n_inner", 4 * width)?;
    let eps = config.number_or("layer_norm_epsilon", 1e-5)?;
    let activation = config.activation("activation_function", "gelu_new")?;
    // Maps are stored transposed, `[in, out]`, and several side by side.
    let map = |name: &str, n_in: usize, n_all: usize, first: usize, n_out: usize| {
        let weight = weights.changed(&format!("{name}.weight"), &[n_in, n_all], |w| {
            w.narrow(1, first, n_out)?.t()?.contiguous()
        })?;
        let bias = weights.changed(&format!("{name}.bias"), &[n_all], |b| {
            b.narrow(0, first, n_out)?.contiguous()
        })?;
        Ok::<_, crate::Error>(Linear::new(weight, Some(bias))?)
    };
    let depth_scaled = config.flag_or("scale_attn_by_inverse_layer_idx", false)?;
    let width_scaled = config.flag_or("scale_attn_weights", true)?;
    let layer = |l: usize| {
        let at = |name: &str| format!("transformer.h.{l}.{name}");
        let packed = at("attn.c_attn");
        let part = |i: usize| map(&packed, width, 3 * width, i * width, width);
        let norm = |name: &str| weights.layer_norm(&at(name), width, eps);
        let by_width = if width_scaled { (heads.width as f64).sqrt() } else { 1.0 };
        let by_depth = if depth_scaled { (l + 1) as f64 } else { 1.0 };
        Ok(Arc::new(Layer {
            attention: Attention {
                scale: 1.0 / (by_width * by_depth),
                causal: true,
                ..Attention::new(
                    [
                        part(0)?,
                        part(1)?,
                        part(2)?,
                        map(&at("attn.c_proj"), width, width, 0, width)?,
                    ],
                    heads,
                )
            },
            attention_norms: Norms::before(norm("ln_1")?),
            cross: None,
            feed_forward: FeedForward::Plain(Mlp {
                up: map(&at("mlp.c_fc"), width, hidden, 0, hidden)?,
                activation,
                down: map(&at("mlp.c_proj"), hidden, width, 0, width)?,
            }),
            feed_forward_norms: Norms::before(norm("ln_2")?),
            parallel: false,
        }))
    };
    let word = weights.get("transformer.wte.weight", &[config.count("vocab_size")?, width])?;
    let positions = config.count_or("n_positions", 1024)?;
    let table = weights.get("transformer.wpe.weight", &[positions, width])?;
    let head = match builder.task {
        Task::TextClassification => {
            let labels = labels(config, weights, builder.task, "score")?;
            let score = weights.map("score", width, labels.names.len(), false)?;
            Head::new(builder.task, Pooling::Last, labels, vec![Step::Linear(score)])
        }
        _ => {
            let tied = config.flag_or("tie_word_embeddings", true)?;
            let map = unembedding(weights, "lm_head", "lm_head.bias", &word, tied)?;
            Head::vocabulary(builder.task, vec![Step::Linear(map)])
        }
    };
    Ok(Parts {
        embeddings: Embeddings {
            positions: Some(Positions { table, offset: 0 }),
            ..Embeddings::new(word)
        },
        stack: Stack {
            final_norm: Some(weights.layer_norm("transformer.ln_f", width, eps)?),
            ..Stack::new((0..config.count("n_layer")?).map(layer).collect::<Result<_>>()?)
        },
        decoder: None,
        head: Some(head),
        heads: count,
        max_tokens: positions,
        stop_ids: config.ids("eos_token_id")?,
    })
}
