//! Texts of a fixed number of tokens, for models that were trained without a mask.

use glossator_ops::{Tensor, Weight, embedding};

use crate::batch::Batch;
use crate::error::Result;

/// What such a model reads: the last tokens of a text, and before them, where there are fewer, one
/// that fills up. To the model it is a token like any other; to a text it does not belong.
pub struct Window {
    /// How many tokens are read.
    pub tokens: usize,
    /// The row of `words` that fills up.
    pub fill: u32,
    /// Tokens that are left out, as tokenizers do that give some words no id.
    pub skip: Vec<u32>,
    /// `[vocabulary, width]`: the word embeddings.
    pub words: Weight,
}

impl Window {
    /// What is read of each text: `[rows, window, width]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub(crate) fn of_texts(&self, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        let ends = batch.lengths().iter().copied().enumerate();
        self.read(x, batch, ends)
    }

    /// What is read of each text up to and with each position whose output is asked for:
    /// `[rows × positions, window, width]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub(crate) fn up_to(&self, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        let all = || (0..batch.tokens()).collect();
        let positions: Vec<usize> = batch.read().map_or_else(all, <[usize]>::to_vec);
        let ends = batch.lengths().iter().enumerate().flat_map(|(row, &length)| {
            // Behind the end of a text is its end: nothing reads padding.
            positions.iter().map(move |&at| (row, (at + 1).min(length)))
        });
        self.read(x, batch, ends)
    }

    /// `ends`: rows of the batch, and how many of their tokens have come.
    fn read(
        &self,
        x: &Tensor,
        batch: &Batch,
        ends: impl Iterator<Item = (usize, usize)>,
    ) -> Result<Tensor> {
        let (rows, tokens, width) = x.dims3()?;
        let filler = (rows * tokens) as u32;
        let mut places: Vec<u32> = Vec::new();
        let mut read = Vec::with_capacity(self.tokens);
        for (row, end) in ends {
            let ids = batch.ids().iter().skip(row * tokens).take(end).enumerate();
            let real = ids.rev().filter(|(_, id)| !self.skip.contains(id)).take(self.tokens);
            read.extend(real.map(|(at, _)| (row * tokens + at) as u32));
            places.resize(places.len() + self.tokens - read.len(), filler);
            places.extend(read.drain(..).rev());
        }
        let filled = embedding(&self.words, &[self.fill], &[1])?;
        let all = Tensor::cat(&[&x.contiguous()?.reshape((rows * tokens, width))?, &filled], 0)?;
        let windows = places.len() / self.tokens.max(1);
        let places = Tensor::from_vec(places, windows * self.tokens, x.device())?;
        Ok(all.index_select(&places, 0)?.reshape((windows, self.tokens, width))?)
    }
}
