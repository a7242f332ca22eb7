//! Parts of which families are built. A fix to attention is made here, once.

pub mod attention;
pub mod convolution;
pub mod disentangled;
pub mod embeddings;
pub mod encoder;
pub mod features;
pub mod highway;
pub mod layer;
pub mod norm;
pub mod pooling;
pub mod positions;
pub mod recurrent;
pub mod stack;
pub mod window;
