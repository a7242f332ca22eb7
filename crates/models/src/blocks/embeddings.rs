//! Word embeddings with absolute positions and segments added, then normalised.

use glossator_ops::{LayerNorm, Tensor, Weight, embedding};

use crate::batch::Batch;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// The embedding block of BERT-like encoders.
pub struct Embeddings {
    /// `[vocabulary, width]`
    pub word: Weight,
    /// `[positions, width]`
    pub position: Weight,
    /// `[segments, width]`, for families that have segments.
    pub segment: Option<Weight>,
    /// The norm over the sum.
    pub norm: LayerNorm,
}

impl Embeddings {
    /// The word embeddings of a batch.
    ///
    /// # Shapes
    /// - result: `[batch, tokens, width]`
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub fn lookup(&self, batch: &Batch) -> Result<Tensor> {
        Ok(embedding(&self.word, batch.ids(), &[batch.rows(), batch.tokens()])?)
    }

    /// What the first layer reads: positions and segments added, and normalised.
    ///
    /// # Errors
    /// If the batch is longer than there are positions.
    pub fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Tensor> {
        let (rows, tokens) = (batch.rows(), batch.tokens());
        let words = trace.at(Site::Embeddings, words.clone())?;
        let positions: Vec<u32> = (0..tokens as u32).cycle().take(rows * tokens).collect();
        let mut added = embedding(&self.position, &positions, &[rows, tokens])?;
        if let Some(segment) = &self.segment {
            added = (added + embedding(segment, batch.segments(), &[rows, tokens])?)?;
        }
        trace.at(Site::Residual(0), self.norm.forward_residual(&words, &added)?)
    }
}
