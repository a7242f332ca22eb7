//! One layer: attention and a feed-forward block, each added to the residual, with norms in any of
//! the usual places.

use glossator_ops::{GatedMlp, Mlp, Tensor};

use crate::blocks::attention::{Attention, CrossAttention, KeyValues, Memory, Scope};
use crate::blocks::norm::{Norm, maybe};
use crate::blocks::positions::select;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// The feed-forward block.
pub enum FeedForward {
    /// Two maps with an activation between them.
    Plain(Mlp),
    /// With a gate.
    Gated(GatedMlp),
}

impl FeedForward {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Plain(mlp) => mlp.forward(x)?,
            Self::Gated(mlp) => mlp.forward(x)?,
        })
    }
}

/// The norms around one block `f`: `x + after(f(before(x)))`, then `sum` over that.
#[derive(Debug, Clone, Default)]
pub struct Norms {
    /// Over what the block reads (pre-norm layers).
    pub before: Option<Norm>,
    /// Over what the block adds.
    pub after: Option<Norm>,
    /// Over the sum (post-norm layers).
    pub sum: Option<Norm>,
}

impl Norms {
    /// A norm over what the block reads.
    #[must_use]
    pub fn before(norm: Norm) -> Self {
        Self { before: Some(norm), ..Self::default() }
    }

    /// A norm over the sum of the block and the residual.
    #[must_use]
    pub fn sum(norm: Norm) -> Self {
        Self { sum: Some(norm), ..Self::default() }
    }

    fn read(&self, x: &Tensor) -> Result<Tensor> {
        maybe(self.before.as_ref(), x)
    }

    fn added(&self, x: &Tensor) -> Result<Tensor> {
        maybe(self.after.as_ref(), x)
    }

    fn total(&self, added: &Tensor, x: &Tensor) -> Result<Tensor> {
        match &self.sum {
            Some(norm) => norm.forward_sum(added, x),
            None => Ok((added + x)?),
        }
    }
}

/// One layer.
pub struct Layer {
    /// Self-attention.
    pub attention: Attention,
    /// Its norms.
    pub attention_norms: Norms,
    /// Attention to an encoder's output, with its norms.
    pub cross: Option<(CrossAttention, Norms)>,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
    /// Its norms.
    pub feed_forward_norms: Norms,
    /// Whether both blocks read the layer's input, instead of one after the other (GPT-NeoX).
    pub parallel: bool,
}

impl Layer {
    /// The residual after this layer, at the rows in scope; whoever calls shows it to the trace.
    pub(crate) fn forward(
        &self,
        l: usize,
        x: &Tensor,
        scope: &Scope<'_>,
        memory: Option<&Memory>,
        cache: Option<&mut KeyValues>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let norms = &self.attention_norms;
        let attended = self.attention.forward(l, &norms.read(x)?, scope, cache, trace)?;
        let attended = trace.drop_out(norms.added(&attended)?)?;
        let attended = trace.at(Site::AttentionOutput(l), attended)?;
        let x = match scope.rows {
            Some(rows) => select(x, rows)?,
            None => x.clone(),
        };
        let norms = &self.feed_forward_norms;
        if self.parallel {
            let fed = norms.added(&self.feed_forward.forward(&norms.read(&x)?)?)?;
            let fed = trace.drop_out(fed)?;
            let fed = trace.at(Site::Mlp(l), fed)?;
            return Ok(((attended + fed)? + x)?);
        }
        let mut x = self.attention_norms.total(&attended, &x)?;
        if let (Some((cross, norms)), Some(memory)) = (&self.cross, memory) {
            let found = norms.added(&cross.forward(l, &norms.read(&x)?, memory, trace)?)?;
            let found = trace.drop_out(found)?;
            x = norms.total(&trace.at(Site::CrossAttentionOutput(l), found)?, &x)?;
        }
        let fed = norms.added(&self.feed_forward.forward(&norms.read(&x)?)?)?;
        let fed = trace.drop_out(fed)?;
        let fed = trace.at(Site::Mlp(l), fed)?;
        norms.total(&fed, &x)
    }
}
