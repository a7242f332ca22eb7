//! What the encoders in BERT's image share: layers with norms after each sum.

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Activation, Mlp, Weight};

use crate::architectures::Parts;
use crate::blocks::attention::Attention;
use crate::blocks::embeddings::{Embeddings, Positions};
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::stack::Stack;
use crate::error::Result;
use crate::heads::{Head, Pooling, Step, labels, span_labels, unembedding};
use crate::model::Task;
use crate::registry::Builder;

/// The names of one layer's tensors; `{}` stands for the layer's index.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerNames {
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) attention_output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) output_norm: &'static str,
}

/// Sizes and settings of the layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) hidden: usize,
    pub(super) activation: Activation,
    pub(super) eps: f64,
}

impl Shape {
    /// The keys that most families use.
    pub(super) fn read(builder: &Builder<'_>) -> Result<Self> {
        let config = builder.config;
        Self {
            layers: config.count("num_hidden_layers")?,
            width: config.count("hidden_size")?,
            heads: config.count("num_attention_heads")?,
            hidden: config.count("intermediate_size")?,
            activation: config.activation("hidden_act", "gelu")?,
            eps: config.number_or("layer_norm_eps", 1e-12)?,
        }
        .checked(builder)
    }

    /// The same if heads divide the width.
    pub(super) fn checked(self, builder: &Builder<'_>) -> Result<Self> {
        let Self { width, heads, .. } = self;
        if width % heads != 0 {
            let what =
                format!("hidden_size {width} is not a multiple of num_attention_heads {heads}");
            return Err(builder.config.contradiction(what));
        }
        Ok(self)
    }
}

/// One layer.
pub(super) fn layer(
    builder: &Builder<'_>,
    names: &LayerNames,
    l: usize,
    shape: Shape,
) -> Result<Layer> {
    let Shape { width, hidden, activation, eps, .. } = shape;
    let name = |template: &str| template.replace("{}", &l.to_string());
    let linear = |template, n_in, n_out| builder.weights.linear(&name(template), n_in, n_out);
    let norm = |template| builder.weights.layer_norm(&name(template), width, eps);
    let heads = Heads::equal(shape.heads, width / shape.heads);
    Ok(Layer {
        attention: Attention {
            ..Attention::new(
                [
                    linear(names.query, width, width)?,
                    linear(names.key, width, width)?,
                    linear(names.value, width, width)?,
                    linear(names.attention_output, width, width)?,
                ],
                heads,
            )
        },
        attention_norms: Norms::sum(norm(names.attention_norm)?),
        cross: None,
        feed_forward: FeedForward::Plain(Mlp {
            up: linear(names.up, width, hidden)?,
            activation,
            down: linear(names.down, hidden, width)?,
        }),
        feed_forward_norms: Norms::sum(norm(names.output_norm)?),
        parallel: false,
    })
}

/// All layers.
pub(super) fn stack(builder: &Builder<'_>, names: &LayerNames, shape: Shape) -> Result<Stack> {
    let layers = (0..shape.layers).map(|l| Ok(Arc::new(layer(builder, names, l, shape)?)));
    Ok(Stack::new(layers.collect::<Result<_>>()?))
}

/// `{prefix}word_embeddings`, `position_embeddings`, `token_type_embeddings`, `LayerNorm`.
pub(super) fn embeddings(
    builder: &Builder<'_>,
    prefix: &str,
    width: usize,
    eps: f64,
    offset: usize,
    has_segments: bool,
) -> Result<Embeddings> {
    let (config, weights) = (builder.config, builder.weights);
    if let Some(kind) = config.string("position_embedding_type")?
        && kind != "absolute"
    {
        return Err(config.unsupported("position_embedding_type", "\"absolute\""));
    }
    let rows = (config.count("vocab_size")?, config.count_or("max_position_embeddings", 512)?);
    let table = |name: &str, rows| {
        weights.get(&format!("{prefix}{name}_embeddings.weight"), &[rows, width])
    };
    let word = table("word", rows.0)?;
    let segment = has_segments
        .then(|| table("token_type", config.count_or("type_vocab_size", 2)?))
        .transpose()?;
    Ok(Embeddings {
        positions: Some(Positions { table: table("position", rows.1)?, offset }),
        segment,
        norm: Some(weights.layer_norm(&format!("{prefix}LayerNorm"), width, eps)?),
        ..Embeddings::new(word)
    })
}

/// The parts of an encoder.
pub(super) fn parts(
    embeddings: Embeddings,
    stack: Stack,
    head: Option<Head>,
    heads: usize,
) -> Parts {
    let max_tokens = embeddings.max_positions().unwrap_or(usize::MAX);
    Parts { embeddings, stack, decoder: None, head, heads, max_tokens, stop_ids: Vec::new() }
}

/// How a classifier of whole texts makes its labels: `classifier(f(dense(x₀)))`.
pub(super) struct Pooler {
    pub(super) dense: &'static str,
    pub(super) activation: Activation,
    pub(super) classifier: &'static str,
}

impl Pooler {
    /// RoBERTa's head, which many took over.
    pub(super) const DENSE: Self = Self {
        dense: "classifier.dense",
        activation: Activation::Tanh,
        classifier: "classifier.out_proj",
    };
}

/// How a masked language model makes its logits: `decoder(norm(f(dense(x))))`, where the decoder's
/// weight is that of the word embeddings if it is tied.
pub(super) struct Filler {
    pub(super) dense: &'static str,
    pub(super) norm: &'static str,
    pub(super) decoder: &'static str,
    pub(super) bias: &'static str,
}

/// The head for a task.
pub(super) fn head(
    builder: &Builder<'_>,
    shape: Shape,
    word: &Weight,
    pooler: &Pooler,
    filler: &Filler,
) -> Result<Option<Head>> {
    let Shape { width, .. } = shape;
    let weights = builder.weights;
    Ok(Some(match builder.task {
        Task::TextClassification => {
            let labels = labels(builder.config, weights, builder.task, pooler.classifier)?;
            let steps = vec![
                Step::Linear(weights.linear(pooler.dense, width, width)?),
                Step::Activation(pooler.activation),
                Step::Linear(weights.linear(pooler.classifier, width, labels.names.len())?),
            ];
            Head::new(builder.task, Pooling::First, labels, steps)
        }
        Task::MaskedLm => {
            // ELECTRA and ALBERT make logits at the width of their embeddings.
            let narrow = word.shape()[1];
            let tied = builder.config.flag_or("tie_word_embeddings", true)?;
            let steps = vec![
                Step::Linear(weights.linear(filler.dense, width, narrow)?),
                Step::Activation(shape.activation),
                Step::Norm(weights.layer_norm(filler.norm, narrow, shape.eps)?),
                Step::Linear(unembedding(weights, filler.decoder, filler.bias, word, tied)?),
            ];
            Head::vocabulary(builder.task, steps)
        }
        Task::TokenClassification | Task::QuestionAnswering => {
            each_token(builder, width, vec![], "qa_outputs")?
        }
        _ => return Ok(None),
    }))
}

/// Labels of tokens, or starts and ends of answers: one map, after these steps. `answers` is what
/// the family calls the map for answers.
pub(super) fn each_token(
    builder: &Builder<'_>,
    width: usize,
    mut steps: Vec<Step>,
    answers: &str,
) -> Result<Head> {
    let (name, labels) = if builder.task == Task::QuestionAnswering {
        (answers, span_labels())
    } else {
        ("classifier", labels(builder.config, builder.weights, builder.task, "classifier")?)
    };
    steps.push(Step::Linear(builder.weights.linear(name, width, labels.names.len())?));
    Ok(Head::new(builder.task, Pooling::Each, labels, steps))
}
