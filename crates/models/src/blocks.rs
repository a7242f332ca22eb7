//! Parts of which families are built. A fix to attention is made here, once.

pub mod attention;
pub mod disentangled;
pub mod embeddings;
pub mod layer;
pub mod norm;
pub mod positions;
pub mod stack;
