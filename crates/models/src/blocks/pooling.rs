//! From the tokens of a text to one vector, or from those up to each token to one for each.
//!
//! Attention pooling is that of the classifiers of Jain & Wallace (2019, arXiv 1902.10186, section
//! 2): additive (Bahdanau et al. 2015) or a product (Vaswani et al. 2017) with one learned query.

use std::sync::Arc;

use glossator_ops::conv1d::max_over_tokens;
use glossator_ops::{Activation, DType, Linear, Tensor, softmax};

use crate::blocks::encoder::Encoded;
use crate::blocks::recurrent::last_hidden;
use crate::blocks::stack::last_rows;
use crate::error::Result;
use crate::heads::mean;
use crate::trace::{Site, Trace};

/// How tokens become one vector.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum Pool {
    /// The states that a recurrent layer leaves, of both ways if it reads both; else the last
    /// token's vector.
    Last,
    /// The mean over the tokens.
    Mean,
    /// The maximum over the tokens, element by element.
    Max,
    /// The mean, weighed by attention.
    Attention(Score),
}

/// How attention scores a token's vector `h`.
pub enum Score {
    /// `v · tanh(W h + b)`
    Additive {
        /// `W` and `b`
        map: Linear,
        /// `v`, as a map to one number
        query: Linear,
    },
    /// `scale (w · h)`
    Product {
        /// `w`, as a map to one number
        query: Linear,
        /// The factor.
        scale: f64,
    },
}

/// What can be seen of attention.
pub(crate) const ATTENTION_SITES: [Site; 3] =
    [Site::PoolingScores, Site::PoolingProbabilities, Site::Pooled];

impl Score {
    /// `[batch, tokens]` of `[batch, tokens, width]`.
    fn of(&self, h: &Tensor) -> Result<Tensor> {
        let scores = match self {
            Self::Additive { map, query } => {
                query.forward(&Activation::Tanh.forward(&map.forward(h)?)?)?
            }
            Self::Product { query, scale } => (query.forward(h)? * *scale)?,
        };
        Ok(scores.squeeze(2)?)
    }
}

impl Pool {
    pub(crate) fn sites(&self) -> Vec<Site> {
        match self {
            Self::Attention(_) => ATTENTION_SITES.to_vec(),
            _ => vec![Site::Pooled],
        }
    }

    /// `[batch, width]`; padding does not count.
    pub(crate) fn forward(
        &self,
        encoded: &Encoded,
        lengths: Option<&Arc<[usize]>>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let h = &encoded.states;
        let real = lengths.map(|lengths| &lengths[..]);
        let pooled = match self {
            Self::Last if !encoded.left.is_empty() => last_hidden(&encoded.left)?,
            Self::Last => match real {
                Some(lengths) => last_rows(h, lengths)?.squeeze(1)?,
                None => h.narrow(1, h.dim(1)?.saturating_sub(1), 1)?.squeeze(1)?.contiguous()?,
            },
            Self::Mean => mean(h, real)?,
            Self::Max => max_over_tokens(h, real)?,
            Self::Attention(score) => {
                let h = h.contiguous()?;
                let scores = hide(&score.of(&h)?, real, 1)?;
                let scores = trace.at(Site::PoolingScores, scores)?;
                let shares = trace.at(Site::PoolingProbabilities, softmax(&scores)?)?;
                shares.unsqueeze(1)?.matmul(&h)?.squeeze(1)?
            }
        };
        trace.at(Site::Pooled, pooled)
    }
}

/// A vector for each of these positions of a text (none: all): the mean over the tokens up to it and
/// with it, weighed by attention. `[batch, positions, width]`
///
/// A token's score is the same at every position; what it is weighed against is not. Padding comes
/// behind every token, so none is seen by one.
pub(crate) fn attend_back(
    score: &Score,
    h: &Tensor,
    positions: Option<&[usize]>,
    trace: &mut Trace<'_>,
) -> Result<Tensor> {
    let h = h.contiguous()?;
    let (_, tokens, _) = h.dims3()?;
    let scores = trace.at(Site::PoolingScores, score.of(&h)?)?.unsqueeze(1)?;
    let hide = |at| (0..tokens).map(move |t| if t > at { f64::NEG_INFINITY } else { 0.0 });
    let ahead: Vec<f64> = match positions {
        Some(positions) => positions.iter().flat_map(|&at| hide(at)).collect(),
        None => (0..tokens).flat_map(hide).collect(),
    };
    let rows = ahead.len() / tokens.max(1);
    let ahead = Tensor::from_vec(ahead, (1, rows, tokens), h.device())?.to_dtype(h.dtype())?;
    let scores = scores.broadcast_add(&ahead)?;
    let shares = trace.at(Site::PoolingProbabilities, softmax(&scores)?)?;
    trace.at(Site::Pooled, shares.matmul(&h)?)
}

/// Scores with `-∞` at the padding of their last dimension. `between`: how many rows of scores each
/// text has.
pub(crate) fn hide(scores: &Tensor, lengths: Option<&[usize]>, between: usize) -> Result<Tensor> {
    let Some(lengths) = lengths else { return Ok(scores.clone()) };
    let tokens = scores.dims().last().copied().unwrap_or(0);
    if lengths.iter().all(|&length| length >= tokens) {
        return Ok(scores.clone());
    }
    let mut mask = vec![0.0_f64; scores.elem_count()];
    let rows = mask.chunks_mut(tokens.max(1));
    for (row, length) in rows.zip(lengths.iter().flat_map(|&n| std::iter::repeat_n(n, between))) {
        row[length.min(tokens)..].fill(f64::NEG_INFINITY);
    }
    let mask = Tensor::from_vec(mask, scores.dims(), scores.device())?;
    let mask = if scores.dtype() == DType::F64 { mask } else { mask.to_dtype(scores.dtype())? };
    Ok((scores + mask)?)
}
