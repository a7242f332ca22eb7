//! One text: a label for it, a label for each of its tokens, or what comes next.

use std::sync::Arc;

use glossator_ops::Tensor;
use glossator_ops::crf::Crf;

use super::super::argmax;
use super::Body;
use crate::batch::Batch;
use crate::blocks::encoder::{Encoded, Encoder, EncoderLayer};
use crate::blocks::pooling::{ATTENTION_SITES, Pool, Score, attend_back};
use crate::blocks::positions::select;
use crate::blocks::window::Window;
use crate::error::Result;
use crate::heads::{Step, take};
use crate::model::{Chain, Output};
use crate::text::Encoding;
use crate::trace::{Site, Trace};

/// A model that reads one text.
pub struct Sequence {
    /// What it reads of a text; none: all of it. Labels of tokens have none.
    pub window: Option<Window>,
    /// The layers.
    pub encoder: Encoder,
    /// What comes of them.
    pub output: SequenceOutput,
}

/// What a model says of one text.
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
        /// How a token attends to those up to it, if its own vector is not what is read.
        attention: Option<Score>,
        /// From a token's vector to the vocabulary.
        steps: Vec<Step>,
    },
}

impl Sequence {
    /// What the layers make of each text, or of what is read of it.
    fn encode(
        &self,
        words: &Tensor,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> Result<(Encoded, Option<Arc<[usize]>>)> {
        let (x, lengths) = match &self.window {
            Some(window) => (window.of_texts(words, batch)?, None),
            None => (words.clone(), batch.padding()),
        };
        Ok((self.encoder.forward(x, lengths.as_ref(), trace)?, lengths))
    }

    /// The vectors that say what comes next: `[rows, positions, width]`. With a window, what is read
    /// up to a token is a text of its own.
    fn ahead(
        &self,
        attention: Option<&Score>,
        words: &Tensor,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let last = self.window.as_ref().map(|window| [window.tokens.saturating_sub(1)]);
        let positions = last.as_ref().map_or_else(|| batch.read(), |last| Some(&last[..]));
        let (x, lengths) = match &self.window {
            Some(window) => (window.up_to(words, batch)?, None),
            None => (words.clone(), batch.padding()),
        };
        let states = self.encoder.forward(x, lengths.as_ref(), trace)?.states;
        let states = match (attention, positions) {
            (Some(score), _) => attend_back(score, &states, positions, trace)?,
            (None, Some(positions)) => select(&states, positions)?,
            (None, None) => states,
        };
        Ok(match self.window {
            Some(_) => states.reshape((batch.rows(), (), states.dim(2)?))?,
            None => states,
        })
    }
}

impl Body for Sequence {
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        Ok(match &self.output {
            SequenceOutput::Label { pool, steps } => {
                let (encoded, lengths) = self.encode(words, batch, trace)?;
                let pooled = pool.forward(&encoded, lengths.as_ref(), trace)?;
                Output::new(take(steps, pooled, true, trace)?)
            }
            SequenceOutput::Tags { steps, crf } => {
                let (encoded, lengths) = self.encode(words, batch, trace)?;
                let rows = match batch.read() {
                    Some(positions) => select(&encoded.states, positions)?,
                    None => encoded.states,
                };
                let logits = take(steps, rows, true, trace)?;
                // Some of the tokens alone are no chain.
                let whole = crf.as_ref().filter(|_| batch.read().is_none());
                let chain = whole.map(|crf| Chain { crf: Arc::clone(crf), lengths });
                Output { chain, ..Output::new(logits) }
            }
            SequenceOutput::Next { attention, steps } => {
                let ahead = self.ahead(attention.as_ref(), words, batch, trace)?;
                Output::new(take(steps, ahead, true, trace)?)
            }
        })
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = self.encoder.sites();
        match &self.output {
            SequenceOutput::Label { pool, .. } => sites.extend(pool.sites()),
            SequenceOutput::Next { attention: Some(_), .. } => sites.extend(ATTENTION_SITES),
            _ => {}
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

    fn window(&self) -> Option<usize> {
        self.window.as_ref().map(|window| window.tokens)
    }

    fn generate(
        &self,
        words: &dyn Fn(&Batch) -> Result<Tensor>,
        input: &Encoding,
        count: usize,
        stop: &[u32],
        fits: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Option<Vec<u32>>> {
        let SequenceOutput::Next { attention, steps } = &self.output else { return Ok(None) };
        let trace = &mut Trace::new();
        let mut text = input.ids();
        let (mut carried, mut read, mut seen) = (None, 0, None);
        let mut made = Vec::new();
        while made.len() < count && !text.is_empty() {
            let known = text.len();
            fits(known)?;
            let ahead = if self.window.is_some() {
                // What is read begins elsewhere each time, so nothing can be carried along.
                let batch = Batch::of_ids(text.clone()).reading(&[known - 1]);
                self.ahead(attention.as_ref(), &words(&batch)?, &batch, trace)?
            } else {
                let x = words(&Batch::of_ids(text[read..].to_vec()))?;
                if carried.is_none() {
                    carried = Some(self.encoder.start(&x)?);
                }
                let states = self.encoder.carry_on(x, carried.get_or_insert_default(), read)?;
                match attention {
                    Some(score) => {
                        let all = match seen.take() {
                            Some(seen) => Tensor::cat(&[&seen, &states], 1)?,
                            None => states,
                        };
                        let ahead = attend_back(score, &all, Some(&[known - 1]), trace)?;
                        seen = Some(all);
                        ahead
                    }
                    None => states.narrow(1, known - read - 1, 1)?,
                }
            };
            read = known;
            let next = argmax(&take(steps, ahead, false, trace)?)?;
            made.push(next);
            text.push(next);
            if stop.contains(&next) {
                break;
            }
        }
        Ok(Some(made))
    }
}
