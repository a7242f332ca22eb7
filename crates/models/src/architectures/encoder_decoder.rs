//! An encoder, and a decoder that attends to it.

use glossator_ops::{Tensor, Var};

use super::{Core, DecoderParts, argmax, mean_row};
use crate::batch::Batch;
use crate::blocks::attention::{KeyValues, Memory};
use crate::blocks::embeddings::Embeddings;
use crate::blocks::stack::{Pass, Rows, Stack};
use crate::error::{Error, Result};
use crate::heads::Head;
use crate::model::{Model, ModelInfo, Output};
use crate::text::{Encoding, Tokenizer};
use crate::trace::{Site, Trace};

/// A model whose batches have two parts: the source, and what the decoder has read.
pub struct EncoderDecoder {
    pub(crate) core: Core,
    pub(crate) embeddings: Embeddings,
    pub(crate) stack: Stack,
    pub(crate) decoder: DecoderParts,
    pub(crate) head: Head,
    pub(crate) stop_ids: Vec<u32>,
}

impl EncoderDecoder {
    fn encode(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Memory> {
        self.core.check_length(batch.tokens())?;
        let x = self.embeddings.forward(words, batch, 0, trace, Site::Residual(0))?;
        let states = self.stack.forward(x, Pass::new(batch.padding()), &Rows::All, trace)?;
        Ok(Memory { states, lengths: batch.padding() })
    }

    fn decode(
        &self,
        words: &Tensor,
        batch: &Batch,
        rows: &Rows,
        pass: Pass<'_>,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        self.core.check_length(pass.start + batch.tokens())?;
        let site = Site::Residual(self.decoder.stack.first_site);
        let x = self.decoder.embeddings.forward(words, batch, pass.start, trace, site)?;
        let x = self.decoder.stack.forward(x, pass, rows, trace)?;
        self.head.forward(&x, batch, trace)
    }
}

impl Model for EncoderDecoder {
    fn info(&self) -> &ModelInfo {
        &self.core.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.core.tokenizer
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        match batch.parts() {
            Some((source, target)) => {
                let source = self.embeddings.lookup(&source)?;
                Ok(Tensor::cat(&[source, self.decoder.embeddings.lookup(&target)?], 1)?)
            }
            None => self.embeddings.lookup(batch),
        }
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        trace.check(&self.core.info)?;
        self.core.check_batch(embeddings, batch)?;
        let Some((source, target)) = batch.parts() else { return Err(Error::OnePart) };
        let words = trace.at(Site::Embeddings, embeddings.clone())?;
        let part =
            |start: usize, batch: &Batch| words.narrow(1, start, batch.tokens())?.contiguous();
        let memory = self.encode(&part(0, &source)?, &source, trace)?;
        let mut pass = Pass::new(target.padding());
        pass.memory = Some(&memory);
        let words = part(source.tokens(), &target)?;
        let logits = self.decode(&words, &target, &self.head.rows(&target), pass, trace)?;
        Ok(Output::new(trace.at(Site::Logits, logits)?))
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

    fn decoder_start(&self) -> Option<u32> {
        Some(self.decoder.start_id)
    }

    /// Generates after the decoder's tokens in `input`, or from its start token.
    fn generate(&self, input: &Encoding, count: usize, stop: &[u32]) -> Result<Option<Vec<u32>>> {
        let all = input.ids();
        let (source, begun) = all.split_at(input.second.unwrap_or(all.len()));
        let trace = &mut Trace::new();
        let source = Batch::of_ids(source.to_vec());
        let memory = self.encode(&self.embeddings.lookup(&source)?, &source, trace)?;
        let mut cache = vec![KeyValues::default(); self.decoder.stack.layers.len()];
        let mut ids = if begun.is_empty() { vec![self.decoder.start_id] } else { begun.to_vec() };
        let (mut made, mut start) = (Vec::new(), 0);
        while made.len() < count {
            let known = ids.len();
            let batch = Batch::of_ids(ids);
            let words = self.decoder.embeddings.lookup(&batch)?;
            let pass =
                Pass { lengths: None, memory: Some(&memory), cache: Some(&mut cache), start };
            let next = argmax(&self.decode(&words, &batch, &Rows::Last, pass, trace)?)?;
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
