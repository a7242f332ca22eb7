//! One encoder for two texts, compared by the cosine of their vectors.

use glossator_ops::{Tensor, Var};

use super::{Core, mean_row};
use crate::batch::Batch;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::stack::{Pass, Rows, Stack};
use crate::error::{Error, Result};
use crate::heads::{Pooling, mean};
use crate::model::{Model, ModelInfo, Output};
use crate::text::Tokenizer;
use crate::trace::{Site, Trace};

/// A model whose batches have two parts: the two texts.
///
/// The sites of a trace are those of both texts, one behind the other in the first dimension:
/// first texts, then second texts. They have the length of the longer text.
pub struct SentenceEncoder {
    pub(crate) core: Core,
    pub(crate) embeddings: Embeddings,
    pub(crate) stack: Stack,
    pub(crate) pooling: Pooling,
}

impl SentenceEncoder {
    /// Both texts' word embeddings as one batch of twice as many rows.
    fn both(&self, words: &Tensor, first: &Batch, second: &Batch) -> Result<(Tensor, Batch)> {
        let tokens = first.tokens().max(second.tokens());
        let pad = self.core.tokenizer.pad_token().unwrap_or(0);
        let stacked = Batch::stack(first, second, pad);
        let fill = |part: Tensor| -> Result<Tensor> {
            let (rows, n, width) = part.dims3()?;
            if n == tokens {
                return Ok(part);
            }
            let padding = Tensor::zeros((rows, tokens - n, width), part.dtype(), part.device())?;
            Ok(Tensor::cat(&[part, padding], 1)?)
        };
        let a = fill(words.narrow(1, 0, first.tokens())?.contiguous()?)?;
        let b = fill(words.narrow(1, first.tokens(), second.tokens())?.contiguous()?)?;
        Ok((Tensor::cat(&[a, b], 0)?, stacked))
    }
}

impl Model for SentenceEncoder {
    fn info(&self) -> &ModelInfo {
        &self.core.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.core.tokenizer
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        self.embeddings.lookup(batch)
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        trace.check(&self.core.info)?;
        self.core.check_batch(embeddings, batch)?;
        let Some((first, second)) = batch.parts() else { return Err(Error::OnePart) };
        let words = trace.at(Site::Embeddings, embeddings.clone())?;
        let (words, both) = self.both(&words, &first, &second)?;
        self.core.check_length(both.tokens())?;
        self.core.check_segments(&both, self.embeddings.segments())?;
        let x = self.embeddings.forward(&words, &both, 0, trace, Site::Residual(0))?;
        let rows = if self.pooling == Pooling::First { Rows::At(vec![0]) } else { Rows::All };
        let x = self.stack.forward(x, Pass::new(both.padding()), &rows, trace)?;
        let vectors = match self.pooling {
            Pooling::First => x.squeeze(1)?,
            _ => mean(&x, both.padding().as_deref())?,
        };
        let n = batch.rows();
        let (a, b) = (vectors.narrow(0, 0, n)?, vectors.narrow(0, n, n)?);
        let dot = |a: &Tensor, b: &Tensor| (a * b)?.sum_keepdim(1);
        let norms = (dot(&a, &a)? * dot(&b, &b)?)?.sqrt()?;
        let cosine = (dot(&a, &b)? / norms)?;
        Ok(Output::new(trace.at(Site::Logits, cosine)?))
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        mean_row(&self.embeddings.word, self.embeddings.lookup_scale)
    }

    fn sha256(&self) -> String {
        self.core.sha256()
    }

    fn parameters(&self) -> &[(String, Var)] {
        &self.core.trained
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        self.core.first_bad_weight()
    }
}
