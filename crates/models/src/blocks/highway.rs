//! Highway layers (Srivastava et al. 2015, arXiv 1505.00387).

use glossator_ops::{Activation, Linear, Tensor};

use crate::error::Result;
use crate::trace::{Site, Trace};

/// `g f(W x + b) + (1 - g) x` with the gate `g = σ(V x + c)`.
pub struct Highway {
    /// `W`, as wide as what it reads.
    pub map: Linear,
    /// `V`
    pub gate: Linear,
    /// `f`
    pub activation: Activation,
}

impl Highway {
    /// As wide as `x`.
    pub(crate) fn forward(&self, l: usize, x: &Tensor, trace: &mut Trace<'_>) -> Result<Tensor> {
        let new = self.activation.forward(&self.map.forward(x)?)?;
        let gate = Activation::Sigmoid.forward(&self.gate.forward(x)?)?;
        let gate = trace.at(Site::Gate(l), gate)?;
        // x + g (f - x): one product less.
        Ok((x + (gate * (new - x)?)?)?)
    }
}
