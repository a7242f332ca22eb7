//! Text to tokens to embeddings to outputs: language models that can be looked into.
//!
//! ```text
//! text ── Tokenizer::encode ──> Encoding ── Batch ──> Model::embed ──> [batch, tokens, width]
//!                                                        Model::forward(.., &mut Trace) ──> Output
//! ```
//!
//! A model is split at its word embeddings: [`Model::embed`] and [`Model::forward`] are two calls,
//! so that whatever lies between (a gradient, a path, noise) is an ordinary tensor. Hooks live in
//! the [`Trace`] of one call; a model has no state that a call could change.
//!
//! # Invariants
//!
//! * No model changes its weights on load. Weights are constants unless loaded for training.
//! * Model files are hostile input: whatever they hold, the result is a model or an [`Error`].
//! * Score *i* can be mapped to a byte span of the original text ([`Token::start`], [`Token::end`]).

pub mod architectures;
pub mod blocks;
pub mod checkpoint;
pub mod classic;
pub mod config;
pub mod error;
pub mod families;
pub mod heads;
pub mod hub;
pub mod registry;
pub mod text;

mod batch;
#[cfg(feature = "bundled")]
mod bundled;
mod initial;
mod model;
mod sentence;
mod trace;
mod trainable;
mod weights;

pub use batch::Batch;
#[cfg(feature = "bundled")]
pub use bundled::{BUNDLED, Bundled, load_bundled};
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use glossator_ops::recurrent::Stage;
pub use glossator_ops::{DType, Device, Tensor, Var};
pub use initial::Init;
pub use model::{Chain, Labels, Model, ModelInfo, Output, Prefix, Problem, Task};
pub use registry::{Build, Builder, FAMILIES, Family, LoadOptions, Parameters, load};
pub use text::{Encoding, Field, Token, Tokenizer, Written};
pub use trace::{Direction, Layers, Site, Trace};
pub use trainable::{Change, Stored, Trainable};
pub use weights::Weights;
