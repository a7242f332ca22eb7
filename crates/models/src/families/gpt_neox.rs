//! GPT-NeoX (Black et al. 2022, arXiv 2204.06745), Pythia (Biderman et al. 2023, arXiv 2304.01373).

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Linear, Mlp};

use super::rope::{RopeKeys, rotary};
use crate::architectures::Parts;
use crate::blocks::attention::Attention;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Step, unembedding};
use crate::model::Task;
use crate::registry::{Build, Builder, Family};

/// The registry's entry.
pub const FAMILY: Family = Family {
    id: "gpt-neox",
    name: "GPT-NeoX, Pythia",
    model_types: &["gpt_neox"],
    architectures: &[("GPTNeoXForCausalLM", Task::CausalLm)],
    prefix: "gpt_neox.",
    build: Build::Layers(build),
};

fn build(builder: &Builder<'_>) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let width = config.count("hidden_size")?;
    let count = config.count("num_attention_heads")?;
    if width % count != 0 {
        let what = format!("hidden_size {width} is not a multiple of num_attention_heads {count}");
        return Err(config.contradiction(what));
    }
    let heads = Heads::equal(count, width / count);
    let hidden = config.count("intermediate_size")?;
    let eps = config.number_or("layer_norm_eps", 1e-5)?;
    let activation = config.activation("hidden_act", "gelu")?;
    let share = match config.section("rope_parameters")? {
        Some(rope) if !rope.is_absent("partial_rotary_factor") => {
            rope.number_or("partial_rotary_factor", 0.25)?
        }
        _ => config.number_or("rotary_pct", 0.25)?,
    };
    let turned = ((heads.width as f64 * share.min(1.0)) as usize) / 2 * 2;
    let keys = RopeKeys { base: "rotary_emb_base", ..RopeKeys::USUAL };
    let rotary = rotary(config, keys, turned)?;
    let bias = config.flag_or("attention_bias", true)?;
    let parallel = config.flag_or("use_parallel_residual", true)?;
    let layer = |l: usize| {
        let at = |name: &str| format!("gpt_neox.layers.{l}.{name}");
        // Queries, keys and values of a head lie together, head after head.
        let part = |i: usize| {
            let name = at("attention.query_key_value");
            let weight = weights.changed(&format!("{name}.weight"), &[3 * width, width], |w| {
                let heads = w.reshape((count, 3, heads.width, width))?;
                heads.narrow(1, i, 1)?.contiguous()?.reshape((width, width))
            })?;
            let bias = bias.then(|| {
                weights.changed(&format!("{name}.bias"), &[3 * width], |b| {
                    let heads = b.reshape((count, 3, heads.width))?;
                    heads.narrow(1, i, 1)?.contiguous()?.reshape(width)
                })
            });
            Ok::<_, crate::Error>(Linear::new(weight, bias.transpose()?)?)
        };
        let norm = |name: &str| weights.layer_norm(&at(name), width, eps);
        Ok(Arc::new(Layer {
            attention: Attention {
                causal: true,
                rotary: Some(Arc::clone(&rotary)),
                ..Attention::new(
                    [
                        part(0)?,
                        part(1)?,
                        part(2)?,
                        weights.map(&at("attention.dense"), width, width, bias)?,
                    ],
                    heads,
                )
            },
            attention_norms: Norms::before(norm("input_layernorm")?),
            cross: None,
            feed_forward: FeedForward::Plain(Mlp {
                up: weights.linear(&at("mlp.dense_h_to_4h"), width, hidden)?,
                activation,
                down: weights.linear(&at("mlp.dense_4h_to_h"), hidden, width)?,
            }),
            feed_forward_norms: Norms::before(norm("post_attention_layernorm")?),
            parallel,
        }))
    };
    let layers = (0..config.count("num_hidden_layers")?).map(layer).collect::<Result<_>>()?;
    let word = weights.get("gpt_neox.embed_in.weight", &[config.count("vocab_size")?, width])?;
    let tied = config.flag_or("tie_word_embeddings", false)?;
    let map = unembedding(weights, "embed_out", "embed_out.bias", &word, tied)?;
    Ok(Parts {
        stack: Stack {
            final_norm: Some(weights.layer_norm("gpt_neox.final_layer_norm", width, eps)?),
            ..Stack::new(layers)
        },
        embeddings: Embeddings::new(word),
        decoder: None,
        head: Some(Head::vocabulary(builder.task, vec![Step::Linear(map)])),
        heads: count,
        max_tokens: config.count_or("max_position_embeddings", 2048)?,
        stop_ids: config.ids("eos_token_id")?,
    })
}
