//! The two kinds of normalisation, behind one type.

use glossator_ops::{LayerNorm, RmsNorm, Tensor};

use crate::error::Result;

/// A normalisation over the last dimension.
#[derive(Debug, Clone)]
pub enum Norm {
    /// Mean and variance.
    Layer(LayerNorm),
    /// Root mean square.
    Rms(RmsNorm),
}

impl Norm {
    /// Normalises `x`.
    ///
    /// # Errors
    /// If the width does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Layer(norm) => norm.forward(x)?,
            Self::Rms(norm) => norm.forward(x)?,
        })
    }

    /// Normalises `x + residual`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_sum(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Layer(norm) => norm.forward_residual(x, residual)?,
            Self::Rms(norm) => norm.forward(&(x + residual)?)?,
        })
    }
}

/// Applies a norm, if there is one.
pub(crate) fn maybe(norm: Option<&Norm>, x: &Tensor) -> Result<Tensor> {
    norm.map_or_else(|| Ok(x.clone()), |norm| norm.forward(x))
}
