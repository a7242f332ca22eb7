//! Differentiable operations for language models, on [`candle_core`] tensors.
//!
//! Each file holds one operation: its forward pass, its exact backward pass, and its *composed
//! form*, the same function written with candle's own differentiable operations. The fast path
//! serves the CPU; the composed form serves every other device and is the reference that the
//! tests compare with.
//!
//! # Invariants
//!
//! * A gradient is exact or an error. Every operation here returns a gradient for each input that
//!   is tracked; [`gradient()`] turns a gradient that did not arrive into [`Error::MissingGradient`].
//! * Weights are constants ([`Weight`]) unless they are being trained. The gradient of a constant
//!   is never computed.
//! * Nothing here knows of text or of models.
//! * SIMD levels are chosen at run time; nothing depends on how the crate was compiled.
//!
//! # Should I be using this crate?
//!
//! To explain a model, use `glossator-interpret`; to read one, `glossator-models`. Use this crate
//! to write a new model family or a new operation. The recipe is in `CONTRIBUTING.md`.

pub mod activation;
pub mod attention;
pub mod conv1d;
pub mod crf;
pub mod dropout;
pub mod embedding;
pub mod error;
pub mod gated_mlp;
pub mod gradcheck;
pub mod gradient;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod mlp;
pub mod recurrent;
pub mod rms_norm;
pub mod rotary;
pub mod softmax;
pub mod tap;
pub mod threads;
pub mod weight;

#[cfg(test)]
mod testing;

mod few_rows;
mod leaves;
mod lines;
mod matmul;
mod packed;
mod real;
mod storage;
mod trained_linear;

pub use activation::Activation;
pub use attention::{AttentionMask, attention};
pub use conv1d::{Conv1d, glu, max_over_tokens};
pub use crf::Crf;
pub use dropout::dropout;
pub use embedding::embedding;
pub use error::{Error, Result};
pub use gated_mlp::GatedMlp;
pub use gradient::{backward, gradient};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use loss::{CrossEntropy, cross_entropy};
pub use mlp::Mlp;
pub use recurrent::Recurrent;
pub use rms_norm::RmsNorm;
pub use rotary::Rotary;
pub use softmax::{log_softmax, softmax};
pub use tap::Tap;
pub use weight::Weight;

pub use candle_core::{DType, Device, Tensor, Var};
