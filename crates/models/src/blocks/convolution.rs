//! Convolutions over tokens: filters of several widths with an activation (Kim 2014, arXiv
//! 1408.5882), and with a gate (Dauphin et al. 2017, arXiv 1612.08083).

use glossator_ops::conv1d::{Conv1d, Padding, glu};
use glossator_ops::{Activation, Tensor};

use crate::blocks::stack::real;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// What lies around the tokens: zeros, so that there are as many outputs as tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Before and behind: an output sees tokens on both sides.
    Around,
    /// Before: an output sees its own token and those before it.
    Before,
}

impl Sight {
    fn padding(self) -> Padding {
        match self {
            Self::Around => Padding::Same,
            Self::Before => Padding::Causal,
        }
    }
}

/// Filters of several widths side by side, then an activation.
pub struct Convolution {
    /// One for each width.
    pub filters: Vec<Conv1d>,
    /// How many tokens the widest sees.
    pub widest: usize,
    /// Which tokens are seen.
    pub sight: Sight,
    /// What follows; none: nothing.
    pub activation: Option<Activation>,
}

impl Convolution {
    /// Elements of an output.
    #[must_use]
    pub fn width(&self) -> usize {
        self.filters.iter().map(Conv1d::out_features).sum()
    }

    /// `[batch, tokens, width]` of `[batch, tokens, in]`.
    pub(crate) fn forward(
        &self,
        l: usize,
        x: &Tensor,
        lengths: Option<&[usize]>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let x = masked(x, lengths)?;
        let y = self.filter(&x, self.sight.padding())?;
        self.activate(trace.at(Site::Convolution(l), y)?)
    }

    /// The outputs of the last tokens of `x`, which begins with the `widest - 1` tokens before
    /// them.
    pub(crate) fn carry_on(&self, x: &Tensor) -> Result<Tensor> {
        let mut outputs = Vec::with_capacity(self.filters.len());
        let fresh = x.dim(1)?.saturating_sub(self.widest - 1);
        for filter in &self.filters {
            let y = filter.forward(x, Padding::Valid)?;
            // Narrow filters have outputs for some of the tokens before, too.
            let n = y.dim(1)?;
            outputs.push(y.narrow(1, n - fresh, fresh)?.contiguous()?);
        }
        self.activate(Tensor::cat(&outputs, 2)?)
    }

    /// Before the activation.
    pub(crate) fn filter(&self, x: &Tensor, padding: Padding) -> Result<Tensor> {
        let outputs: Vec<Tensor> = self
            .filters
            .iter()
            .map(|filter| filter.forward(x, padding))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Tensor::cat(&outputs, 2)?)
    }

    pub(crate) fn activate(&self, x: Tensor) -> Result<Tensor> {
        match self.activation {
            Some(activation) => Ok(activation.forward(&x)?),
            None => Ok(x),
        }
    }
}

/// `(W * x + b) σ(V * x + c)`, with `x` added where the layer is as wide as what it reads.
pub struct GatedConvolution {
    /// Both convolutions, `W` first: `[2 width, in, kernel]`.
    pub filter: Conv1d,
    /// How many tokens it sees.
    pub kernel: usize,
    /// Which tokens are seen.
    pub sight: Sight,
    /// Whether `x` is added.
    pub residual: bool,
}

impl GatedConvolution {
    /// Elements of an output.
    #[must_use]
    pub fn width(&self) -> usize {
        self.filter.out_features() / 2
    }

    /// `[batch, tokens, width]` of `[batch, tokens, in]`.
    pub(crate) fn forward(
        &self,
        l: usize,
        x: &Tensor,
        lengths: Option<&[usize]>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let both = self.filter.forward(&masked(x, lengths)?, self.sight.padding())?;
        let inside = [Site::Convolution(l), Site::Gate(l)];
        let y = if trace.wants(|site| inside.contains(&site)) {
            let width = self.width();
            let linear = trace.at(inside[0], both.narrow(2, 0, width)?.contiguous()?)?;
            let gate = Activation::Sigmoid.forward(&both.narrow(2, width, width)?.contiguous()?)?;
            (linear * trace.at(inside[1], gate)?)?
        } else {
            glu(&both)?
        };
        if self.residual { Ok((y + x)?) } else { Ok(y) }
    }

    /// The outputs of the last tokens of `x`, which begins with the `kernel - 1` tokens before them.
    pub(crate) fn carry_on(&self, x: &Tensor) -> Result<Tensor> {
        let y = glu(&self.filter.forward(x, Padding::Valid)?)?;
        if !self.residual {
            return Ok(y);
        }
        let fresh = y.dim(1)?;
        Ok((y + x.narrow(1, x.dim(1)? - fresh, fresh)?)?)
    }
}

/// `x` with zeros at padding, as beyond a text that stands alone.
pub(crate) fn masked(x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
    let (batch, tokens, _) = x.dims3()?;
    match real(lengths, batch, tokens, x)? {
        Some(mask) => Ok(x.broadcast_mul(&mask)?),
        None => Ok(x.clone()),
    }
}
