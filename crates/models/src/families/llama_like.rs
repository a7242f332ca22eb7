//! What the decoders in Llama's image share: RMS norms before each block, rotary positions, gated
//! feed-forward blocks, and the same names of tensors.

use std::sync::Arc;

use glossator_ops::GatedMlp;
use glossator_ops::attention::{Heads, Window};

use super::rope::{RopeKeys, rotary};
use crate::architectures::Parts;
use crate::blocks::attention::Attention;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Pooling, Step, labels, unembedding};
use crate::model::Task;
use crate::registry::Builder;

/// How a family differs.
pub(super) struct Recipe {
    /// Biases of queries, keys and values.
    pub(super) input_bias: bool,
    /// The bias of the attention's output.
    pub(super) output_bias: bool,
    /// Biases of the feed-forward block.
    pub(super) mlp_bias: bool,
    /// Whether queries and keys of each head are normed.
    pub(super) head_norms: bool,
    /// Whether what a block adds is normed too, as Gemma does.
    pub(super) norms_after: bool,
    /// What is added to the weights of norms.
    pub(super) norm_plus: f64,
    /// The key of the activation.
    pub(super) activation: &'static str,
    /// Whether the logits use the word embeddings if the configuration does not say.
    pub(super) tied: bool,
    /// Whether word embeddings are multiplied by the root of the width.
    pub(super) scaled: bool,
    /// The window of each local layer.
    pub(super) window: Option<usize>,
    /// Which layers are local: those for which this is true, of the layers without `layer_types`.
    pub(super) is_local: fn(&Builder<'_>, usize) -> Result<bool>,
    /// Rotary settings of layers that see everything, and of local ones.
    pub(super) rope: [RopeKeys; 2],
    /// The key of the width whose inverse root scales the scores; else the head's width.
    pub(super) scale_key: Option<&'static str>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            input_bias: false,
            output_bias: false,
            mlp_bias: false,
            head_norms: false,
            norms_after: false,
            norm_plus: 0.0,
            activation: "hidden_act",
            tied: false,
            scaled: false,
            window: None,
            is_local: |_, _| Ok(true),
            rope: [RopeKeys::USUAL; 2],
            scale_key: None,
        }
    }
}

pub(super) fn build(builder: &Builder<'_>, recipe: &Recipe) -> Result<Parts> {
    let (config, weights) = (builder.config, builder.weights);
    let width = config.count("hidden_size")?;
    let queries = config.count("num_attention_heads")?;
    let keys = config.count_or("num_key_value_heads", queries)?;
    if queries % keys != 0 {
        let what = format!(
            "num_attention_heads {queries} is not a multiple of num_key_value_heads {keys}"
        );
        return Err(config.contradiction(what));
    }
    let heads = Heads { queries, keys, width: config.count_or("head_dim", width / queries)? };
    if heads.width == 0 || !heads.width.is_multiple_of(2) {
        return Err(config.bad("head_dim", "an even number"));
    }
    let hidden = config.count("intermediate_size")?;
    let eps = config.number_or("rms_norm_eps", 1e-6)?;
    let activation = config.activation(recipe.activation, "silu")?;
    let norm = |name: &str, width| weights.rms_norm(name, width, eps, recipe.norm_plus);
    let scale_width = match recipe.scale_key {
        Some(key) => config.number_or(key, heads.width as f64)?,
        None => heads.width as f64,
    };
    let softcap = |key| match config.is_absent(key) {
        true => Ok(None),
        false => config.number_or(key, 0.0).map(|cap| (cap > 0.0).then_some(cap)),
    };
    let [global, local] = recipe.rope;
    let (global, local) =
        (rotary(config, global, heads.width)?, rotary(config, local, heads.width)?);
    let count = config.count("num_hidden_layers")?;
    let kinds = config.strings("layer_types")?;
    if kinds.as_ref().is_some_and(|kinds| kinds.len() != count) {
        return Err(config.bad("layer_types", "one kind for each layer"));
    }
    let layer = |l: usize| {
        let is_local = match &kinds {
            Some(kinds) => kinds[l] == "sliding_attention",
            None => recipe.window.is_some() && (recipe.is_local)(builder, l)?,
        };
        let at = |name: &str| format!("model.layers.{l}.{name}");
        let map = |name: &str, n_in, n_out, bias| weights.map(&at(name), n_in, n_out, bias);
        let (q_width, k_width) = (queries * heads.width, keys * heads.width);
        let head_norms = recipe.head_norms.then(|| {
            let norm = |name: &str| norm(&at(name), heads.width);
            Ok::<_, crate::Error>((norm("self_attn.q_norm")?, norm("self_attn.k_norm")?))
        });
        let attention = Attention {
            scale: 1.0 / scale_width.sqrt(),
            causal: true,
            window: recipe.window.filter(|_| is_local).map(Window::Before),
            softcap: softcap("attn_logit_softcapping")?,
            head_norms: head_norms.transpose()?,
            rotary: Some(Arc::clone(if is_local { &local } else { &global })),
            ..Attention::new(
                [
                    map("self_attn.q_proj", width, q_width, recipe.input_bias)?,
                    map("self_attn.k_proj", width, k_width, recipe.input_bias)?,
                    map("self_attn.v_proj", width, k_width, recipe.input_bias)?,
                    map("self_attn.o_proj", q_width, width, recipe.output_bias)?,
                ],
                heads,
            )
        };
        // Gemma's second norm has the name of Llama's norm before the feed-forward block.
        let (before, after) = ("post_attention_layernorm", "pre_feedforward_layernorm");
        let mut attention_norms = Norms::before(norm(&at("input_layernorm"), width)?);
        let mut feed_forward_norms =
            Norms::before(norm(&at(if recipe.norms_after { after } else { before }), width)?);
        if recipe.norms_after {
            attention_norms.after = Some(norm(&at(before), width)?);
            feed_forward_norms.after = Some(norm(&at("post_feedforward_layernorm"), width)?);
        }
        Ok(Arc::new(Layer {
            attention,
            attention_norms,
            cross: None,
            feed_forward: FeedForward::Gated(GatedMlp {
                gate: map("mlp.gate_proj", width, hidden, recipe.mlp_bias)?,
                up: map("mlp.up_proj", width, hidden, recipe.mlp_bias)?,
                activation,
                down: map("mlp.down_proj", hidden, width, recipe.mlp_bias)?,
            }),
            feed_forward_norms,
            parallel: false,
        }))
    };
    let layers = (0..count).map(layer).collect::<Result<_>>()?;
    let word = weights.get("model.embed_tokens.weight", &[config.count("vocab_size")?, width])?;
    let head = match builder.task {
        Task::TextClassification => {
            let labels = labels(config, weights, builder.task, "score")?;
            let score = weights.map("score", width, labels.names.len(), false)?;
            Head::new(builder.task, Pooling::Last, labels, vec![Step::Linear(score)])
        }
        _ => {
            let tied = config.flag_or("tie_word_embeddings", recipe.tied)?;
            let map = unembedding(weights, "lm_head", "lm_head.bias", &word, tied)?;
            let mut head = Head::vocabulary(builder.task, vec![Step::Linear(map)]);
            head.softcap = softcap("final_logit_softcapping")?;
            head
        }
    };
    Ok(Parts {
        embeddings: Embeddings {
            lookup_scale: if recipe.scaled { (width as f64).sqrt() } else { 1.0 },
            ..Embeddings::new(word)
        },
        stack: Stack { final_norm: Some(norm("model.norm", width)?), ..Stack::new(layers) },
        decoder: None,
        head: Some(head),
        heads: queries,
        max_tokens: config.count_or("max_position_embeddings", 2048)?,
        stop_ids: config.ids("eos_token_id")?,
    })
}
