//! Trains and measures language models.
//!
//! ```text
//! files ── data::read ──> Example ── tokens ──> batches ── loss, gradients ──> Optimizer
//!                            └───── evaluate ──> scores with intervals
//! ```
//!
//! [`train()`] makes a directory that `glossator_models::load` opens, out of data files and a
//! model (or an architecture); [`evaluate()`] measures any model on data.
//!
//! # Invariants
//!
//! * Same settings, data, model and seed: same weights, bit for bit, whatever the number of threads
//!   (on machines with the same instructions). What is random is a pure function of the seed and of
//!   the step, so a run that was killed and goes on ends with the same weights too.
//! * A checkpoint is replaced in one step. Whoever is killed loses the steps since the last one.
//! * A row that cannot be used is an error that names its file and line.
//! * Data files are hostile input: no panic, no unbounded allocation.

pub mod batching;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod metrics;
pub mod optimizer;
pub mod run;
pub mod schedule;
pub mod settings;

mod encode;
mod item;
mod objective;

pub use encode::Limits;
pub use error::{Error, Result};
pub use evaluate::{EvaluateOptions, Evaluation, evaluate};
pub use run::{Request, train};
pub use settings::Settings;
