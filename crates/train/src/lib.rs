//! Trains and measures language models.

pub mod batching;
pub mod data;
pub mod error;
pub mod metrics;
pub mod optimizer;
pub mod schedule;

pub use error::{Error, Result};
