//! Parts of which families are built. A fix to attention is made here, once.

pub mod embeddings;
pub mod encoder;
