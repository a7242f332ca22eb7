//! One stack of layers: encoders and decoder-only models.

use glossator_ops::{Tensor, Var};

use super::{Core, argmax, mean_row};
use crate::batch::Batch;
use crate::blocks::attention::KeyValues;
use crate::blocks::embeddings::Embeddings;
use crate::blocks::stack::{Pass, Rows, Stack};
use crate::error::{Error, Result};
use crate::heads::Head;
use crate::model::{Model, ModelInfo, Output, Prefix, Task};
use crate::text::{Encoding, Tokenizer};
use crate::trace::{Site, Trace};

/// Embeddings, layers, a head.
pub struct SingleStack {
    pub(crate) core: Core,
    pub(crate) embeddings: Embeddings,
    pub(crate) stack: Stack,
    pub(crate) head: Head,
    pub(crate) stop_ids: Vec<u32>,
}

impl SingleStack {
    /// The logits after `ids`, which follow `start` cached tokens: `[1, 1, vocabulary]`.
    fn next(&self, ids: Vec<u32>, start: usize, cache: &mut [KeyValues]) -> Result<Tensor> {
        let batch = Batch::of_ids(ids);
        let trace = &mut Trace::new();
        let words = self.embeddings.lookup(&batch)?;
        let x = self.embeddings.forward(&words, &batch, start, trace, Site::Residual(0))?;
        let pass = Pass { lengths: None, memory: None, cache: Some(cache), start };
        let x = self.stack.forward(x, pass, &Rows::Last, trace)?;
        self.head.forward(&x, &batch, trace)
    }
}

/// The keys and values of an input.
struct Read<'a> {
    model: &'a SingleStack,
    cache: Vec<KeyValues>,
    tokens: usize,
}

impl Prefix for Read<'_> {
    fn forward(&self, start: usize, rest: &Tensor, batch: &Batch) -> Result<Output> {
        let SingleStack { core, embeddings, stack, head, .. } = self.model;
        core.check_batch(rest, batch)?;
        core.check_length(start + batch.tokens())?;
        // What is not there cannot be shared.
        if start > self.tokens {
            return Err(Error::TooLong { tokens: start, limit: self.tokens });
        }
        let kept = self.cache.iter().map(|layer| layer.first(start, batch.rows()));
        let mut cache = kept.collect::<Result<Vec<_>>>()?;
        let trace = &mut Trace::new();
        let x = embeddings.forward(rest, batch, start, trace, Site::Residual(0))?;
        let lengths = None;
        let pass = Pass { lengths, memory: None, cache: Some(&mut cache), start };
        let x = stack.forward(x, pass, &head.rows(batch), trace)?;
        Ok(Output::new(head.forward(&x, batch, trace)?))
    }
}

impl Model for SingleStack {
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
        self.core.check_length(batch.tokens())?;
        self.core.check_segments(batch, self.embeddings.segments())?;
        let words = trace.at(Site::Embeddings, embeddings.clone())?;
        let x = self.embeddings.forward(&words, batch, 0, trace, Site::Residual(0))?;
        let rows = self.head.rows(batch);
        let x = self.stack.forward(x, Pass::new(batch.padding()), &rows, trace)?;
        let logits = self.head.forward(&x, batch, trace)?;
        Ok(Output::new(trace.at(Site::Logits, logits)?))
    }

    fn prefix<'a>(
        &'a self,
        embeddings: &Tensor,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Prefix + 'a>>> {
        let reads_on = self.core.info.task == Task::CausalLm && self.stack.is_causal();
        if !reads_on || batch.rows() != 1 {
            return Ok(None);
        }
        self.core.check_batch(embeddings, batch)?;
        self.core.check_length(batch.tokens())?;
        let mut cache = vec![KeyValues::default(); self.stack.layers.len()];
        let trace = &mut Trace::new();
        let x = self.embeddings.forward(embeddings, batch, 0, trace, Site::Residual(0))?;
        let pass = Pass { lengths: None, memory: None, cache: Some(&mut cache), start: 0 };
        self.stack.forward(x, pass, &Rows::Last, trace)?;
        Ok(Some(Box::new(Read { model: self, cache, tokens: batch.tokens() })))
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

    fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    fn generate(&self, input: &Encoding, count: usize, stop: &[u32]) -> Result<Option<Vec<u32>>> {
        if self.core.info.task != Task::CausalLm {
            return Ok(None);
        }
        let mut cache = vec![KeyValues::default(); self.stack.layers.len()];
        let (mut ids, mut start) = (input.ids(), 0);
        let mut made = Vec::new();
        while made.len() < count && !ids.is_empty() {
            let known = ids.len();
            self.core.check_length(start + known)?;
            let next = argmax(&self.next(ids, start, &mut cache)?)?;
            start += known;
            made.push(next);
            if stop.contains(&next) {
                break;
            }
            ids = vec![next];
        }
        Ok(Some(made))
    }
}
