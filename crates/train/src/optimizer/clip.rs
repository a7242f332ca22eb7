//! Keeping gradients small.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{CHUNK, Real};

/// What large gradients are cut to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Clip {
    /// The largest Euclidean norm of all gradients together (Pascanu et al. 2013).
    pub norm: Option<f64>,
    /// The largest absolute value of each element.
    pub value: Option<f64>,
}

impl Clip {
    /// What gradients of this norm are multiplied by.
    #[must_use]
    pub fn scale(&self, norm: f64) -> f64 {
        match self.norm {
            // The small number is PyTorch's; it keeps a norm of zero from dividing.
            Some(most) => (most / (norm + 1e-6)).min(1.0),
            None => 1.0,
        }
    }

    /// The largest absolute value of an element.
    #[must_use]
    pub fn clamp(&self) -> f64 {
        self.value.unwrap_or(f64::INFINITY)
    }
}

/// The sum of squares of a gradient, in f64: chunk by chunk, so that threads change nothing.
#[must_use]
pub fn squares<T: Real>(gradient: &[T]) -> f64 {
    let of_chunk = |chunk: &[T]| -> f64 {
        // Eight sums at once, for the processor's sake.
        let mut sums = [0.0; 8];
        let (whole, rest) = chunk.as_chunks::<8>();
        for eight in whole {
            for (sum, x) in sums.iter_mut().zip(eight) {
                *sum += x.to_f64() * x.to_f64();
            }
        }
        sums.iter().sum::<f64>() + rest.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>()
    };
    let sums: Vec<f64> = gradient.par_chunks(CHUNK).map(of_chunk).collect();
    sums.iter().sum()
}
