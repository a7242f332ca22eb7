//! One text: a label for it, a label for each of its tokens, or what comes next.

use std::sync::Arc;

use glossator_ops::Tensor;
use glossator_ops::crf::Crf;

use super::super::argmax;
use super::Body;
use crate::batch::Batch;
use crate::blocks::encoder::{Encoder, EncoderLayer};
use crate::blocks::pooling::Pool;
use crate::blocks::positions::select;
use crate::error::Result;
use crate::heads::{Step, take};
use crate::model::{Chain, Output};
use crate::text::Encoding;
use crate::trace::{Site, Trace};

/// A model that reads one text.
pub struct Sequence {
    /// The layers.
    pub encoder: Encoder,
    /// What comes of them.
    pub output: SequenceOutput,
}

/// What a model says of one text.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum SequenceOutput {
    /// Labels of the text as a whole.
    Label {
        /// How its tokens become one vector.
        pool: Pool,
        /// From there to the labels.
        steps: Vec<Step>,
    },
    /// A label for each token.
    Tags {
        /// From a token's vector to its labels.
        steps: Vec<Step>,
        /// How labels of neighbours go together; none: each is for itself.
        crf: Option<Arc<Crf>>,
    },
    /// The next token, at each token.
    Next {
        /// From a token's vector to the vocabulary.
        steps: Vec<Step>,
    },
}

impl Body for Sequence {
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        let lengths = batch.padding();
        let encoded = self.encoder.forward(words.clone(), lengths.as_ref(), trace)?;
        let rows = || match batch.read() {
            Some(positions) => select(&encoded.states, positions),
            None => Ok(encoded.states.clone()),
        };
        Ok(match &self.output {
            SequenceOutput::Label { pool, steps } => {
                let pooled = pool.forward(&encoded, lengths.as_ref(), trace)?;
                Output::new(take(steps, pooled, true, trace)?)
            }
            SequenceOutput::Tags { steps, crf } => {
                let logits = take(steps, rows()?, true, trace)?;
                // Some of the tokens alone are no chain.
                let whole = crf.as_ref().filter(|_| batch.read().is_none());
                let chain = whole.map(|crf| Chain { crf: Arc::clone(crf), lengths });
                Output { chain, ..Output::new(logits) }
            }
            SequenceOutput::Next { steps } => Output::new(take(steps, rows()?, true, trace)?),
        })
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = self.encoder.sites();
        if let SequenceOutput::Label { pool, .. } = &self.output {
            sites.extend(pool.sites());
        }
        sites
    }

    fn chain(&self) -> Option<Chain> {
        match &self.output {
            SequenceOutput::Tags { crf: Some(crf), .. } => {
                Some(Chain { crf: Arc::clone(crf), lengths: None })
            }
            _ => None,
        }
    }

    fn layers(&self) -> usize {
        self.encoder.layers.len()
    }

    fn heads(&self) -> usize {
        self.encoder.layers.iter().map(EncoderLayer::heads).max().unwrap_or(1)
    }

    fn generate(
        &self,
        words: &dyn Fn(&Batch) -> Result<Tensor>,
        input: &Encoding,
        count: usize,
        stop: &[u32],
        fits: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Option<Vec<u32>>> {
        let SequenceOutput::Next { steps } = &self.output else { return Ok(None) };
        let mut carried = None;
        let trace = &mut Trace::new();
        let (mut ids, mut start) = (input.ids(), 0);
        let mut made = Vec::new();
        while made.len() < count && !ids.is_empty() {
            let known = ids.len();
            fits(start + known)?;
            let x = words(&Batch::of_ids(ids))?;
            if carried.is_none() {
                carried = Some(self.encoder.start(&x)?);
            }
            let carried = carried.get_or_insert_default();
            let x = self.encoder.carry_on(x, carried, start)?;
            let last = x.narrow(1, known - 1, 1)?;
            let next = argmax(&take(steps, last, false, trace)?)?;
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
