//! The attention of a layer: projections, norms and rotations of queries and keys, heads.

use std::sync::Arc;

use glossator_ops::attention::{
    AttentionSettings, AttentionStage, Heads, Window, attention, attention_observed,
    attention_packed, attention_packed_kv,
};
use glossator_ops::linear::linear_concat;
use glossator_ops::{AttentionMask, Linear, Tensor, Weight};

use crate::blocks::disentangled::Disentangled;
use crate::blocks::norm::Norm;
use crate::blocks::positions::{RelativeBias, RotarySettings, select};
use crate::error::Result;
use crate::trace::{Site, Trace};

/// Self-attention.
pub struct Attention {
    /// Query projection.
    pub query: Linear,
    /// Key projection.
    pub key: Linear,
    /// Value projection.
    pub value: Linear,
    /// Projection of the attended values.
    pub output: Linear,
    /// Number and width of the heads.
    pub heads: Heads,
    /// Factor of the scores.
    pub scale: f64,
    /// Whether tokens see what follows them.
    pub causal: bool,
    /// How far tokens see.
    pub window: Option<Window>,
    /// See [`AttentionSettings::softcap`].
    pub softcap: Option<f64>,
    /// Norms over the elements of each head's queries and keys.
    pub head_norms: Option<(Norm, Norm)>,
    /// Rotations of queries and keys.
    pub rotary: Option<Arc<RotarySettings>>,
    /// Biases of the scores by distance; layers may share one.
    pub relative: Option<Arc<RelativeBias>>,
    /// Scores by content and distance (DeBERTa).
    pub disentangled: Option<Disentangled>,
}

/// Which tokens a call is about.
pub(crate) struct Scope<'a> {
    /// Real tokens of each sequence, where some are padding.
    pub(crate) lengths: Option<Arc<[usize]>>,
    /// Rows of the result: all, or those at these positions.
    pub(crate) rows: Option<&'a [usize]>,
    /// The position of the first token, behind those in the cache.
    pub(crate) start: usize,
}

/// Keys and values of the tokens so far: `[batch, tokens, 2 * heads.keys * heads.width]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyValues(Option<Tensor>);

impl KeyValues {
    /// All so far, with these behind them.
    fn append(&mut self, new: Tensor) -> Result<Tensor> {
        let all = match self.0.take() {
            Some(before) => Tensor::cat(&[before, new], 1)?,
            None => new,
        };
        self.0 = Some(all.clone());
        Ok(all)
    }

    /// Those of the first tokens of one sequence, for so many rows that begin with them.
    pub(crate) fn first(&self, tokens: usize, rows: usize) -> Result<Self> {
        let Some(all) = self.0.as_ref().filter(|_| tokens > 0) else { return Ok(Self(None)) };
        let width = all.dim(2)?;
        Ok(Self(Some(all.narrow(1, 0, tokens)?.expand((rows, tokens, width))?.contiguous()?)))
    }
}

impl Attention {
    /// Attention that sees everything, with the usual scale: query, key, value and output maps.
    #[must_use]
    pub fn new([query, key, value, output]: [Linear; 4], heads: Heads) -> Self {
        Self {
            query,
            key,
            value,
            output,
            heads,
            scale: 1.0 / (heads.width as f64).sqrt(),
            causal: false,
            window: None,
            softcap: None,
            head_norms: None,
            rotary: None,
            relative: None,
            disentangled: None,
        }
    }

    /// The attended values of the rows in scope, projected.
    ///
    /// `x`: `[batch, tokens, width]`.
    pub(crate) fn forward(
        &self,
        l: usize,
        x: &Tensor,
        scope: &Scope<'_>,
        cache: Option<&mut KeyValues>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let tokens = x.dim(1)?;
        let positions: Vec<usize> = (scope.start..scope.start + tokens).collect();
        let queries: Vec<usize> =
            scope.rows.map_or_else(|| positions.clone(), |rows| rows.to_vec());
        let n_keys = scope.start + tokens;
        let mut settings = AttentionSettings {
            heads: self.heads,
            scale: self.scale,
            mask: AttentionMask {
                key_lengths: scope.lengths.clone(),
                causal: self.causal,
                window: self.window,
                query_positions: scope.rows.map(Into::into),
            },
            bias: self.relative.as_ref().map(|bias| bias.at(&queries, n_keys)).transpose()?,
            softcap: self.softcap,
        };
        let observed = wants_inside(l, trace);
        let rows = match scope.rows {
            Some(rows) => &select(x, rows)?,
            None => x,
        };
        let whole = scope.rows.is_none() && cache.is_none() && self.disentangled.is_none();
        if whole && !observed && self.head_norms.is_none() {
            let mut qkv = linear_concat(x, &[&self.query, &self.key, &self.value])?;
            if let Some(rotary) = &self.rotary {
                let turned = self.heads.queries + self.heads.keys;
                qkv = rotary.at(&positions).forward(&qkv, turned, self.heads.width)?;
            }
            return Ok(self.output.forward(&attention_packed(&qkv, &settings)?)?);
        }
        let q = self.turned_queries(&self.query.forward(rows)?, &queries)?;
        let kv = self.key_values(x, &positions)?;
        let kv = match cache {
            Some(cache) => cache.append(kv)?,
            None => kv,
        };
        if let Some(disentangled) = &self.disentangled {
            let k = kv.narrow(2, 0, self.heads.keys * self.heads.width)?;
            let bias = disentangled.bias(&q, &k, &queries, self.heads)?;
            settings.bias = Some(Weight::from_tensor(bias));
        }
        let context = if observed {
            let width = self.heads.keys * self.heads.width;
            let part = |start| kv.narrow(2, start, width)?.contiguous();
            observe(l, [&q, &part(0)?, &part(width)?], &settings, Place::Own, trace)?
        } else {
            attention_packed_kv(&q, &kv, &settings)?
        };
        Ok(self.output.forward(&context)?)
    }

    /// Queries after norm and rotation.
    fn turned_queries(&self, q: &Tensor, positions: &[usize]) -> Result<Tensor> {
        let q = match &self.head_norms {
            Some((norm, _)) => self.norm_heads(q, self.heads.queries, norm)?,
            None => q.clone(),
        };
        match &self.rotary {
            Some(rotary) => {
                Ok(rotary.at(positions).forward(&q, self.heads.queries, self.heads.width)?)
            }
            None => Ok(q),
        }
    }

    /// Keys after norm and rotation, and values, side by side.
    fn key_values(&self, x: &Tensor, positions: &[usize]) -> Result<Tensor> {
        let kv = match &self.head_norms {
            None => linear_concat(x, &[&self.key, &self.value])?,
            Some((_, norm)) => {
                let k = self.norm_heads(&self.key.forward(x)?, self.heads.keys, norm)?;
                Tensor::cat(&[k, self.value.forward(x)?], 2)?
            }
        };
        match &self.rotary {
            Some(rotary) => {
                Ok(rotary.at(positions).forward(&kv, self.heads.keys, self.heads.width)?)
            }
            None => Ok(kv),
        }
    }

    fn norm_heads(&self, x: &Tensor, heads: usize, norm: &Norm) -> Result<Tensor> {
        let (batch, n, row) = x.dims3()?;
        let split = x.reshape((batch, n, heads, self.heads.width))?;
        Ok(norm.forward(&split)?.reshape((batch, n, row))?)
    }
}

/// Attention of a decoder's tokens to what the encoder made.
pub struct CrossAttention {
    /// Query projection, of the decoder's residual.
    pub query: Linear,
    /// Key projection, of the encoder's output.
    pub key: Linear,
    /// Value projection, of the encoder's output.
    pub value: Linear,
    /// Projection of the attended values.
    pub output: Linear,
    /// Number and width of the heads.
    pub heads: Heads,
    /// Factor of the scores.
    pub scale: f64,
}

/// What an encoder made, for a decoder to attend to.
pub(crate) struct Memory {
    /// `[batch, tokens, width]`
    pub(crate) states: Tensor,
    /// Real tokens of each sequence, where some are padding.
    pub(crate) lengths: Option<Arc<[usize]>>,
}

impl CrossAttention {
    /// `x`: `[batch, queries, width]`.
    pub(crate) fn forward(
        &self,
        l: usize,
        x: &Tensor,
        memory: &Memory,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let mask =
            AttentionMask { key_lengths: memory.lengths.clone(), ..AttentionMask::default() };
        let settings =
            AttentionSettings { scale: self.scale, mask, ..AttentionSettings::new(self.heads) };
        let q = self.query.forward(x)?;
        let (k, v) = (self.key.forward(&memory.states)?, self.value.forward(&memory.states)?);
        let context = if trace.wants(|site| Place::Cross.sites(l).contains(&site)) {
            observe(l, [&q, &k, &v], &settings, Place::Cross, trace)?
        } else {
            attention(&q, &k, &v, &settings)?
        };
        Ok(self.output.forward(&context)?)
    }
}

/// Which attention of a layer.
#[derive(Debug, Clone, Copy)]
enum Place {
    Own,
    Cross,
}

impl Place {
    /// Values, scores, probabilities.
    fn sites(self, l: usize) -> [Site; 3] {
        match self {
            Self::Own => [
                Site::AttentionValues(l),
                Site::AttentionScores(l),
                Site::AttentionProbabilities(l),
            ],
            Self::Cross => [
                Site::CrossAttentionValues(l),
                Site::CrossAttentionScores(l),
                Site::CrossAttentionProbabilities(l),
            ],
        }
    }
}

fn wants_inside(l: usize, trace: &Trace<'_>) -> bool {
    trace.wants(|site| Place::Own.sites(l).contains(&site))
}

/// Attention in visible steps.
fn observe(
    l: usize,
    [q, k, v]: [&Tensor; 3],
    settings: &AttentionSettings,
    place: Place,
    trace: &mut Trace<'_>,
) -> Result<Tensor> {
    let [values, scores, probabilities] = place.sites(l);
    // candle's error type carries ours through the operation and back.
    let mut failed = None;
    let hook = &mut |stage, value| {
        let site = match stage {
            AttentionStage::Values => values,
            AttentionStage::Scores => scores,
            AttentionStage::Probabilities => probabilities,
        };
        trace.at(site, value).map_err(|error| {
            let message = error.to_string();
            failed = Some(error);
            candle_core::Error::Msg(message)
        })
    };
    let context = attention_observed(q, k, v, settings, hook);
    match (context, failed) {
        (_, Some(error)) => Err(error),
        (context, None) => Ok(context?),
    }
}
