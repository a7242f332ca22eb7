//! Layers on top of each other.

use std::sync::Arc;

use glossator_ops::{Activation, Linear, Tensor};

use crate::blocks::attention::{KeyValues, Memory, Scope};
use crate::blocks::layer::Layer;
use crate::blocks::norm::Norm;
use crate::blocks::positions::select;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// An encoder's or a decoder's layers.
pub struct Stack {
    /// The layers, from the first; several places may share one (ALBERT).
    pub layers: Vec<Arc<Layer>>,
    /// A norm after the last one (pre-norm families).
    pub final_norm: Option<Norm>,
    /// A convolution beside the first layer (large DeBERTa).
    pub convolution: Option<Convolution>,
    /// The number of the first layer among the model's sites.
    pub first_site: usize,
    /// The site of the last layer's output; what the layer behind it would read, if this is the
    /// model's last stack.
    pub output_site: Option<Site>,
}

/// Which rows of the output are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Every token's: `[batch, tokens, width]`.
    All,
    /// Those at these positions: `[batch, positions, width]`. The last layer then computes only
    /// these rows, exactly, which saves nearly its whole cost.
    At(Vec<usize>),
    /// The last real token's of each sequence: `[batch, 1, width]`.
    Last,
}

/// What a pass through a stack needs besides the residual.
pub(crate) struct Pass<'a> {
    /// Real tokens of each sequence, where some are padding.
    pub(crate) lengths: Option<Arc<[usize]>>,
    /// What a decoder attends to.
    pub(crate) memory: Option<&'a Memory>,
    /// Keys and values of the tokens before, one entry a layer.
    pub(crate) cache: Option<&'a mut [KeyValues]>,
    /// How many tokens those are.
    pub(crate) start: usize,
}

impl Pass<'_> {
    pub(crate) fn new(lengths: Option<Arc<[usize]>>) -> Self {
        Self { lengths, memory: None, cache: None, start: 0 }
    }
}

impl Stack {
    /// Layers and nothing else.
    #[must_use]
    pub fn new(layers: Vec<Arc<Layer>>) -> Self {
        Self { layers, final_norm: None, convolution: None, first_site: 0, output_site: None }
    }

    /// Whether what a token says depends on no token behind it.
    pub(crate) fn is_causal(&self) -> bool {
        let causal = |layer: &Arc<Layer>| {
            layer.attention.causal
                && layer.attention.disentangled.is_none()
                && layer.cross.is_none()
        };
        self.convolution.is_none() && self.layers.iter().all(causal)
    }

    /// The rows that are asked for, after the final norm. With a trace that asks for a site of the
    /// last layer, that layer still computes all rows.
    pub(crate) fn forward(
        &self,
        mut x: Tensor,
        mut pass: Pass<'_>,
        rows: &Rows,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let tokens = x.dim(1)?;
        let positions = match rows {
            Rows::All => None,
            Rows::At(positions) => Some(positions.clone()),
            Rows::Last if pass.lengths.is_none() => Some(vec![tokens.saturating_sub(1)]),
            Rows::Last => None,
        };
        let last = self.layers.len().saturating_sub(1);
        let last_site = self.first_site + last;
        let output_site = self.output_site.unwrap_or(Site::Residual(last_site + 1));
        let sees_last = trace.wants(|site| site.layer() == Some(last_site) || site == output_site);
        let mut pruned = false;
        let embedded = x.clone();
        for (l, layer) in self.layers.iter().enumerate() {
            let convolved = self.convolution.is_some() && l == 0;
            let prune = l == last && !sees_last && !convolved && pass.cache.is_none();
            let chosen = positions.as_deref().filter(|_| prune);
            pruned |= chosen.is_some();
            let scope = Scope { lengths: pass.lengths.clone(), rows: chosen, start: pass.start };
            let cache = pass.cache.as_mut().and_then(|cache| cache.get_mut(l));
            x = layer.forward(self.first_site + l, &x, &scope, pass.memory, cache, trace)?;
            if let (Some(convolution), true) = (&self.convolution, convolved) {
                x = convolution.forward(&embedded, &x, pass.lengths.as_deref())?;
            }
            let site = self.first_site + l + 1;
            x = trace.at(if l == last { output_site } else { Site::Residual(site) }, x)?;
        }
        if let (Some(positions), false) = (&positions, pruned) {
            x = select(&x, positions)?;
        }
        if let (Rows::Last, Some(lengths)) = (rows, &pass.lengths) {
            x = last_rows(&x, lengths)?;
        }
        match &self.final_norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }
}

/// The last real row of each sequence: `[batch, 1, width]`.
pub(crate) fn last_rows(x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let ids = lengths.iter().enumerate().map(|(b, &n)| (b * tokens + n.max(1) - 1) as u32);
    let ids = Tensor::from_vec(ids.collect::<Vec<_>>(), batch, x.device())?;
    let rows = x.contiguous()?.reshape((batch * tokens, width))?.index_select(&ids, 0)?;
    Ok(rows.reshape((batch, 1, width))?)
}

/// `norm(h + f(conv(x)))`: a convolution over the tokens that large DeBERTa models add to the first
/// layer's output (He et al. 2021, section 5.1 of arXiv 2006.03654v6).
pub struct Convolution {
    /// One map for each place of the kernel, the middle one for the token itself. The bias is that
    /// of the first.
    pub taps: Vec<Linear>,
    /// The activation.
    pub activation: Activation,
    /// The norm over the sum.
    pub norm: Norm,
}

impl Convolution {
    fn forward(&self, x: &Tensor, h: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let middle = self.taps.len() / 2;
        let padding = |n: usize| Tensor::zeros((batch, n, width), x.dtype(), x.device());
        let padded = Tensor::cat(&[padding(middle)?, x.clone(), padding(middle)?], 1)?;
        let mut sum: Option<Tensor> = None;
        for (k, tap) in self.taps.iter().enumerate() {
            let part = tap.forward(&padded.narrow(1, k, tokens)?.contiguous()?)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        let Some(convolved) = sum else { return Ok(h.clone()) };
        let mask = real(lengths, batch, tokens, x)?;
        let convolved = match &mask {
            Some(mask) => convolved.broadcast_mul(mask)?,
            None => convolved,
        };
        let y = self.norm.forward_sum(&self.activation.forward(&convolved)?, h)?;
        Ok(match mask {
            Some(mask) => y.broadcast_mul(&mask)?,
            None => y,
        })
    }
}

/// 1 at real tokens and 0 at padding, `[batch, tokens, 1]`; nothing where all are real.
pub(crate) fn real(
    lengths: Option<&[usize]>,
    batch: usize,
    tokens: usize,
    like: &Tensor,
) -> Result<Option<Tensor>> {
    let Some(lengths) = lengths else { return Ok(None) };
    let mut mask = vec![0.0_f64; batch * tokens];
    for (row, &length) in mask.chunks_mut(tokens.max(1)).zip(lengths) {
        row[..length.min(tokens)].fill(1.0);
    }
    let mask = Tensor::from_vec(mask, (batch, tokens, 1), like.device())?;
    Ok(Some(mask.to_dtype(like.dtype())?))
}
