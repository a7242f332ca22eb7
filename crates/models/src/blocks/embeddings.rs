//! From word embeddings to what the first layer reads.

use glossator_ops::{Linear, Tensor, Weight, embedding};

use crate::batch::Batch;
use crate::blocks::norm::Norm;
use crate::blocks::stack::real;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// Absolute positions.
pub struct Positions {
    /// `[positions, width]`
    pub table: Weight,
    /// The row of the first token (RoBERTa leaves the first two unused).
    pub offset: usize,
}

/// The embedding block.
pub struct Embeddings {
    /// `[vocabulary, embedding width]`
    pub word: Weight,
    /// What word embeddings are multiplied by where they are looked up.
    pub lookup_scale: f64,
    /// What they are multiplied by after that, as part of the forward pass.
    pub scale: f64,
    /// Absolute positions, for families that have them.
    pub positions: Option<Positions>,
    /// `[segments, embedding width]`, for families that have segments.
    pub segment: Option<Weight>,
    /// The norm over the sum.
    pub norm: Option<Norm>,
    /// Whether padding is set to zero after that.
    pub masked: bool,
    /// A map from the embedding width to the residual's.
    pub projection: Option<Linear>,
}

impl Embeddings {
    /// Word embeddings and nothing else.
    #[must_use]
    pub fn new(word: Weight) -> Self {
        Self {
            word,
            lookup_scale: 1.0,
            scale: 1.0,
            positions: None,
            segment: None,
            norm: None,
            masked: false,
            projection: None,
        }
    }

    /// Rows of the word embeddings.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.word.shape()[0]
    }

    /// Elements of a word embedding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.word.shape()[1]
    }

    /// The most tokens for which there are positions.
    #[must_use]
    pub fn max_positions(&self) -> Option<usize> {
        self.positions.as_ref().map(|p| p.table.shape()[0].saturating_sub(p.offset))
    }

    /// The number of segments; one if there is no table of them.
    #[must_use]
    pub fn segments(&self) -> Option<usize> {
        self.segment.as_ref().map(|table| table.shape()[0])
    }

    /// Whether nothing is added to word embeddings.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.positions.is_none() && self.segment.is_none()
    }

    /// The word embeddings of a batch.
    ///
    /// # Shapes
    /// - result: `[batch, tokens, embedding width]`
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub fn lookup(&self, batch: &Batch) -> Result<Tensor> {
        let words = embedding(&self.word, batch.ids(), &[batch.rows(), batch.tokens()])?;
        scaled(words, self.lookup_scale)
    }

    /// What the first layer reads, `start` tokens into the text.
    ///
    /// # Errors
    /// If the batch is longer than there are positions.
    pub fn forward(
        &self,
        words: &Tensor,
        batch: &Batch,
        start: usize,
        trace: &mut Trace<'_>,
        site: Site,
    ) -> Result<Tensor> {
        let (rows, tokens) = (batch.rows(), batch.tokens());
        let words = scaled(words.clone(), self.scale)?;
        let mut added = None;
        if let Some(Positions { table, offset }) = &self.positions {
            let first = (start + offset) as u32;
            let ids: Vec<u32> =
                (first..first + tokens as u32).cycle().take(rows * tokens).collect();
            added = Some(embedding(table, &ids, &[rows, tokens])?);
        }
        if let Some(table) = &self.segment {
            let segments = embedding(table, batch.segments(), &[rows, tokens])?;
            added = Some(match added {
                Some(added) => (added + segments)?,
                None => segments,
            });
        }
        let mut x = match (&self.norm, added) {
            (Some(norm), Some(added)) => norm.forward_sum(&words, &added)?,
            (Some(norm), None) => norm.forward(&words)?,
            (None, Some(added)) => (words + added)?,
            (None, None) => words,
        };
        if self.masked && batch.is_padded() {
            let mask = real(Some(batch.lengths()), rows, tokens, &x)?;
            if let Some(mask) = mask {
                x = x.broadcast_mul(&mask)?;
            }
        }
        x = trace.drop_out(x)?;
        if let Some(projection) = &self.projection {
            x = projection.forward(&x)?;
        }
        trace.at(site, x)
    }
}

fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { Ok((x * factor)?) }
}
