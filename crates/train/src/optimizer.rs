//! Rules by which gradients change weights.
//!
//! A rule works on plain slices of one element type, so that it can be compared with a reference in
//! f64; a training run uses f32. What a rule remembers of a weight is in its *slots*, slices of the
//! weight's length that begin as zeros. An optimiser is one variant here, with its formula.

mod clip;
mod in_place;
mod real;

#[cfg(test)]
mod tests;

pub use clip::{Clip, squares};
pub(crate) use in_place::{in_place, read};
use rayon::prelude::*;
pub use real::Real;
use serde::{Deserialize, Serialize};

/// Elements that one thread takes at a time. Sums over a chunk are added in the order of chunks, so
/// that the number of threads changes nothing.
pub(crate) const CHUNK: usize = 1 << 16;

/// How a gradient `g` changes a weight `w` at rate `η` with weight decay `λ`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2):
    /// `w ← (1 − ηλ) w`, `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
    /// `w ← w − η m̂ / (√v̂ + ε)` with `m̂ = m / (1 − β₁ᵗ)`, `v̂ = v / (1 − β₂ᵗ)`.
    AdamW {
        /// The decay of the mean.
        beta1: f64,
        /// The decay of the mean square.
        beta2: f64,
        /// What keeps the division from zero.
        epsilon: f64,
    },
    /// Gradient descent with momentum (Polyak 1964, as Sutskever et al. 2013 write it without
    /// damping): `g ← g + λ w`, `b ← μ b + g`, `w ← w − η b`.
    Sgd {
        /// `μ`; 0 for none.
        momentum: f64,
    },
    /// Division by the root of a running mean square (Tieleman & Hinton 2012): `g ← g + λ w`,
    /// `v ← α v + (1 − α) g²`, `b ← μ b + g / (√v + ε)`, `w ← w − η b`.
    RmsProp {
        /// `α`.
        alpha: f64,
        /// What keeps the division from zero.
        epsilon: f64,
        /// `μ`; 0 for none.
        momentum: f64,
    },
}

/// What a step of a rule is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The number of the step, from 1.
    pub number: u64,
    /// The learning rate `η`.
    pub rate: f64,
    /// The weight decay `λ` of this weight.
    pub decay: f64,
    /// What gradients are multiplied by before anything else: 1, or less where they are clipped.
    pub scale: f64,
    /// The largest absolute value of an element of the gradient, behind `scale`; infinite for any.
    pub clamp: f64,
}

impl Optimizer {
    /// How many slots the rule has for each weight.
    #[must_use]
    pub fn slots(&self) -> usize {
        match *self {
            Self::AdamW { .. } => 2,
            Self::Sgd { momentum } => usize::from(momentum != 0.0),
            Self::RmsProp { momentum, .. } => 1 + usize::from(momentum != 0.0),
        }
    }

    /// Takes one step. All slices have the same length.
    ///
    /// # Panics
    /// If there are not as many slots as [`Optimizer::slots`] says, or their lengths differ.
    pub fn update<T: Real>(
        &self,
        step: &Step,
        weights: &mut [T],
        gradient: &[T],
        slots: &mut [Vec<T>],
    ) {
        assert_eq!(slots.len(), self.slots(), "slots of the optimiser");
        assert_eq!(weights.len(), gradient.len(), "a gradient is of its weight's length");
        let real = T::from_f64;
        let (rate, decay) = (real(step.rate), real(step.decay));
        let (scale, clamp) = (real(step.scale), real(step.clamp));
        let gradient = gradient.par_chunks(CHUNK);
        let clipped = move |g: T| (g * scale).clamp_to(clamp);
        match (*self, slots) {
            (Self::AdamW { beta1, beta2, epsilon }, [mean, square]) => {
                let correction = |beta: f64| 1.0 - beta.powf(step.number as f64);
                let (unbias1, root2) = (correction(beta1), real(correction(beta2).sqrt()));
                let (shrink, rate) =
                    (real(1.0 - step.rate * step.decay), real(step.rate / unbias1));
                let (keep1, take1) = (real(beta1), real(1.0 - beta1));
                let (keep2, take2) = (real(beta2), real(1.0 - beta2));
                let epsilon = real(epsilon);
                let state = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
                weights.par_chunks_mut(CHUNK).zip(gradient).zip(state).for_each(
                    |((weights, gradient), (mean, square))| {
                        let state = mean.iter_mut().zip(square);
                        for ((w, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(state) {
                            let g = clipped(g);
                            *m = keep1 * *m + take1 * g;
                            *v = keep2 * *v + take2 * g * g;
                            *w = shrink * *w - rate * *m / (v.root() / root2 + epsilon);
                        }
                    },
                );
            }
            (Self::Sgd { momentum }, [buffer]) => {
                let keep = real(momentum);
                weights
                    .par_chunks_mut(CHUNK)
                    .zip(gradient)
                    .zip(buffer.par_chunks_mut(CHUNK))
                    .for_each(|((weights, gradient), buffer)| {
                        for ((w, &g), b) in weights.iter_mut().zip(gradient).zip(buffer) {
                            *b = keep * *b + clipped(g) + decay * *w;
                            *w = *w - rate * *b;
                        }
                    });
            }
            (Self::RmsProp { alpha, epsilon, momentum }, [square, buffer @ ..]) => {
                let (keep, take) = (real(alpha), real(1.0 - alpha));
                let (epsilon, mu) = (real(epsilon), real(momentum));
                let change = move |w: T, g: T, v: &mut T| {
                    let g = clipped(g) + decay * w;
                    *v = keep * *v + take * g * g;
                    g / (v.root() + epsilon)
                };
                let rows =
                    weights.par_chunks_mut(CHUNK).zip(gradient).zip(square.par_chunks_mut(CHUNK));
                match buffer {
                    [buffer] => {
                        rows.zip(buffer.par_chunks_mut(CHUNK)).for_each(|(((ws, gs), vs), bs)| {
                            for (((w, &g), v), b) in ws.iter_mut().zip(gs).zip(vs).zip(bs) {
                                *b = mu * *b + change(*w, g, v);
                                *w = *w - rate * *b;
                            }
                        });
                    }
                    _ => rows.for_each(|((ws, gs), vs)| {
                        for ((w, &g), v) in ws.iter_mut().zip(gs).zip(vs) {
                            *w = *w - rate * change(*w, g, v);
                        }
                    }),
                }
            }
            // Without momentum nothing is remembered.
            _ => weights.par_chunks_mut(CHUNK).zip(gradient).for_each(|(weights, gradient)| {
                for (w, &g) in weights.iter_mut().zip(gradient) {
                    *w = *w - rate * (clipped(g) + decay * *w);
                }
            }),
        }
    }
}
