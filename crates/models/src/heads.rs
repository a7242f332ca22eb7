//! What stands on top of an encoder: one file for each task.

pub mod sequence_classification;
