//! Two texts that go through the same layers.

use std::sync::Arc;

use glossator_ops::Tensor;

use crate::batch::Batch;
use crate::error::{Error, Result};

/// How the two parts of a batch are put one behind the other in the first dimension.
pub(super) struct Two {
    rows: usize,
    /// Tokens of the longest first text, and of the longest second one.
    pub(super) tokens: [usize; 2],
    /// Real tokens of the first texts and of the second.
    pub(super) lengths: [Arc<[usize]>; 2],
    /// Those of both, where some are padding.
    pub(super) padding: Option<Arc<[usize]>>,
}

impl Two {
    pub(super) fn new(batch: &Batch) -> Result<Self> {
        let Some((first, second)) = batch.parts() else { return Err(Error::OnePart) };
        let tokens = [first.tokens(), second.tokens()];
        let lengths = [Arc::clone(first.lengths()), Arc::clone(second.lengths())];
        let longest = tokens[0].max(tokens[1]);
        let all: Arc<[usize]> = lengths.iter().flat_map(|l| l.iter().copied()).collect();
        let padding = all.iter().any(|&length| length < longest).then_some(all);
        Ok(Self { rows: batch.rows(), tokens, lengths, padding })
    }

    /// Both parts of a batch of tokens, `[rows, first + second, width]`, as `[2 rows, longest,
    /// width]`.
    pub(super) fn stack(&self, words: &Tensor) -> Result<Tensor> {
        let [first, second] = self.tokens;
        let a = words.narrow(1, 0, first)?;
        self.join(&a, &words.narrow(1, first, second)?)
    }

    /// First and second texts as `[2 rows, longest, width]`.
    pub(super) fn join(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let longest = self.tokens[0].max(self.tokens[1]);
        let fill = |part: &Tensor| -> Result<Tensor> {
            let (rows, tokens, width) = part.dims3()?;
            if tokens == longest {
                return Ok(part.contiguous()?);
            }
            let zeros =
                Tensor::zeros((rows, longest - tokens, width), part.dtype(), part.device())?;
            Ok(Tensor::cat(&[part, &zeros], 1)?)
        };
        Ok(Tensor::cat(&[fill(a)?, fill(b)?], 0)?)
    }

    /// First and second texts by themselves, each as long as its longest.
    pub(super) fn split(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let part = |which: usize| {
            let rows = x.narrow(0, which * self.rows, self.rows)?;
            rows.narrow(1, 0, self.tokens[which])?.contiguous()
        };
        Ok([part(0)?, part(1)?])
    }

    /// Scores `[rows, first, second]` with `-∞` where either token is padding.
    pub(super) fn hide(&self, scores: &Tensor) -> Result<Tensor> {
        let [first, second] = self.tokens;
        let short = |which: usize| self.lengths[which].iter().any(|&n| n < self.tokens[which]);
        if !short(0) && !short(1) {
            return Ok(scores.clone());
        }
        let mut mask = vec![f64::NEG_INFINITY; self.rows * first * second];
        for (row, block) in mask.chunks_mut((first * second).max(1)).enumerate() {
            for line in block.chunks_mut(second.max(1)).take(self.lengths[0][row]) {
                line[..self.lengths[1][row].min(second)].fill(0.0);
            }
        }
        let mask = Tensor::from_vec(mask, (self.rows, first, second), scores.device())?;
        Ok((scores + mask.to_dtype(scores.dtype())?)?)
    }
}
