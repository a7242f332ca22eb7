//! Transformer encoder layers with the norm after each residual sum (Vaswani et al. 2017).

use std::sync::Arc;

use glossator_ops::attention::{
    AttentionSettings, AttentionStage, Heads, attention_observed, attention_packed,
    attention_packed_kv,
};
use glossator_ops::linear::linear_concat;
use glossator_ops::{AttentionMask, LayerNorm, Linear, Mlp, Tensor};

use crate::batch::Batch;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// The names of one layer's tensors; `{}` stands for the layer's index.
#[derive(Debug, Clone, Copy)]
pub struct LayerNames {
    /// Query projection.
    pub query: &'static str,
    /// Key projection.
    pub key: &'static str,
    /// Value projection.
    pub value: &'static str,
    /// Projection of the attended values.
    pub attention_output: &'static str,
    /// Norm after attention.
    pub attention_norm: &'static str,
    /// First map of the feed-forward block.
    pub up: &'static str,
    /// Second map of the feed-forward block.
    pub down: &'static str,
    /// Norm after the feed-forward block.
    pub output_norm: &'static str,
}

/// Sizes and settings of an encoder's layers.
#[derive(Debug, Clone, Copy)]
pub struct EncoderShape {
    /// Number of layers.
    pub layers: usize,
    /// Elements of the residual.
    pub width: usize,
    /// Attention heads; a divisor of the width.
    pub heads: usize,
    /// Hidden elements of the feed-forward block.
    pub hidden: usize,
    /// Activation of the feed-forward block.
    pub activation: glossator_ops::Activation,
    /// The norms' epsilon.
    pub eps: f64,
}

/// One layer.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    mlp: Mlp,
    output_norm: LayerNorm,
}

/// Which rows of the output are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every token's: `[batch, tokens, width]`.
    All,
    /// The first token's: `[batch, 1, width]`. The last layer then computes only that row, which
    /// saves nearly its whole cost, exactly.
    First,
}

/// A stack of post-norm layers.
pub struct Encoder {
    shape: EncoderShape,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Reads the layers' tensors.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(
        weights: &crate::Weights<'_>,
        names: &LayerNames,
        shape: EncoderShape,
    ) -> Result<Self> {
        let EncoderShape { width, hidden, eps, activation, .. } = shape;
        let layers = (0..shape.layers)
            .map(|l| {
                let name = |template: &str| template.replace("{}", &l.to_string());
                let linear = |template, n_in, n_out| weights.linear(&name(template), n_in, n_out);
                let norm = |template| weights.layer_norm(&name(template), width, eps);
                Ok(Layer {
                    query: linear(names.query, width, width)?,
                    key: linear(names.key, width, width)?,
                    value: linear(names.value, width, width)?,
                    attention_output: linear(names.attention_output, width, width)?,
                    attention_norm: norm(names.attention_norm)?,
                    mlp: Mlp {
                        up: linear(names.up, width, hidden)?,
                        activation,
                        down: linear(names.down, hidden, width)?,
                    },
                    output_norm: norm(names.output_norm)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { shape, layers })
    }

    /// Runs the layers.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, width]`
    /// - result: see [`Rows`]. With [`Rows::First`] and a trace that asks for a site of the last
    ///   layer, that layer still computes all rows, and the first is cut out at the end.
    ///
    /// # Errors
    /// If the shapes do not fit, or an edit fails.
    pub fn forward(
        &self,
        mut x: Tensor,
        batch: &Batch,
        rows: Rows,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let last = self.layers.len().saturating_sub(1);
        let sees_last = trace.wants(|site| match site {
            Site::Residual(l) => l == last + 1,
            Site::AttentionValues(l)
            | Site::AttentionScores(l)
            | Site::AttentionProbabilities(l)
            | Site::AttentionOutput(l)
            | Site::Mlp(l) => l == last,
            Site::Embeddings | Site::Logits => false,
        });
        for (l, layer) in self.layers.iter().enumerate() {
            if l == last && rows == Rows::First && !sees_last {
                return self.first_row(layer, &x, batch);
            }
            x = self.layer(l, layer, &x, batch, trace)?;
        }
        Ok(if rows == Rows::First { x.narrow(1, 0, 1)? } else { x })
    }

    fn settings(&self, batch: &Batch) -> AttentionSettings {
        let heads = Heads::equal(self.shape.heads, self.shape.width / self.shape.heads);
        let key_lengths = batch.is_padded().then(|| Arc::clone(batch.lengths()));
        AttentionSettings {
            heads,
            scale: 1.0 / (heads.width as f64).sqrt(),
            mask: AttentionMask { key_lengths, causal: false },
        }
    }

    fn layer(
        &self,
        l: usize,
        layer: &Layer,
        x: &Tensor,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let settings = self.settings(batch);
        let inside =
            [Site::AttentionValues(l), Site::AttentionScores(l), Site::AttentionProbabilities(l)];
        let context = if trace.wants(|site| inside.contains(&site)) {
            let (q, k) = (layer.query.forward(x)?, layer.key.forward(x)?);
            let v = layer.value.forward(x)?;
            // candle's error type carries ours through the operation and back.
            let mut failed = None;
            let hook = &mut |stage, value| {
                let site = match stage {
                    AttentionStage::Values => Site::AttentionValues(l),
                    AttentionStage::Scores => Site::AttentionScores(l),
                    AttentionStage::Probabilities => Site::AttentionProbabilities(l),
                };
                trace.at(site, value).map_err(|error| {
                    let message = error.to_string();
                    failed = Some(error);
                    candle_core::Error::Msg(message)
                })
            };
            let context = attention_observed(&q, &k, &v, &settings, hook);
            match (context, failed) {
                (_, Some(error)) => return Err(error),
                (context, None) => context?,
            }
        } else {
            let qkv = linear_concat(x, &[&layer.query, &layer.key, &layer.value])?;
            attention_packed(&qkv, &settings)?
        };
        let attended = layer.attention_output.forward(&context)?;
        let attended = trace.at(Site::AttentionOutput(l), attended)?;
        let x = layer.attention_norm.forward_residual(&attended, x)?;
        let fed = trace.at(Site::Mlp(l), layer.mlp.forward(&x)?)?;
        trace.at(Site::Residual(l + 1), layer.output_norm.forward_residual(&fed, &x)?)
    }

    /// The last layer for the first token only: keys and values of all tokens, the rest of one.
    fn first_row(&self, layer: &Layer, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        let first = x.narrow(1, 0, 1)?.contiguous()?;
        let q = layer.query.forward(&first)?;
        let kv = linear_concat(x, &[&layer.key, &layer.value])?;
        let context = attention_packed_kv(&q, &kv, &self.settings(batch))?;
        let attended = layer.attention_output.forward(&context)?;
        let x = layer.attention_norm.forward_residual(&attended, &first)?;
        Ok(layer.output_norm.forward_residual(&layer.mlp.forward(&x)?, &x)?)
    }
}
