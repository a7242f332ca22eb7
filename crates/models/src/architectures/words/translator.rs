//! A source and its answer: an encoder, and a recurrent decoder that attends to it (Bahdanau et
//! al. 2015, arXiv 1409.0473; Luong et al. 2015, arXiv 1508.04025, section 3.1).

use std::sync::Arc;

use glossator_ops::recurrent::State;
use glossator_ops::{Activation, Linear, Tensor, softmax};

use super::super::argmax;
use super::Body;
use crate::batch::Batch;
use crate::blocks::encoder::{Encoded, Encoder};
use crate::blocks::pooling::hide;
use crate::blocks::positions::select;
use crate::blocks::recurrent::{RecurrentLayer, last_hidden};
use crate::error::{Error, Result};
use crate::heads::{Step, mean, take};
use crate::model::Output;
use crate::text::Encoding;
use crate::trace::{Site, Trace};

/// An encoder and a recurrent decoder.
///
/// The decoder's layers read the answer so far; the last one's states `s` attend to the source, and
/// `tanh(W [c; s])` of what they find there, `c`, makes the outputs.
pub struct Translator {
    /// Reads the source.
    pub encoder: Encoder,
    /// Read the answer, one way.
    pub decoder: Vec<RecurrentLayer>,
    /// From what stands for the whole source to the states that each layer begins with: `tanh` of
    /// a map to the hidden state, and to the cell state if there is one.
    pub bridges: Vec<(Linear, Option<Linear>)>,
    /// How states and source are scored.
    pub score: PairScore,
    /// `W`
    pub combine: Linear,
    /// To the vocabulary.
    pub steps: Vec<Step>,
    /// The token that the decoder starts with.
    pub start_id: u32,
}

/// The score of a decoder's state `s` with a vector `h` of the source.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum PairScore {
    /// `v · tanh(W s + U h)`
    Additive {
        /// `W`
        state: Linear,
        /// `U`, with a bias
        source: Linear,
        /// `v`, as a map to one number
        query: Linear,
    },
    /// `scale (s · W h)`
    Product {
        /// `W`; none: the identity
        map: Option<Linear>,
        /// The factor.
        scale: f64,
    },
}

impl PairScore {
    /// `[batch, answer tokens, source tokens]`
    fn of(&self, s: &Tensor, h: &Tensor) -> Result<Tensor> {
        match self {
            Self::Additive { state, source, query } => {
                let (s, h) = (state.forward(s)?.unsqueeze(2)?, source.forward(h)?.unsqueeze(1)?);
                let sum = Activation::Tanh.forward(&s.broadcast_add(&h)?)?;
                Ok(query.forward(&sum)?.squeeze(3)?)
            }
            Self::Product { map, scale } => {
                let h = match map {
                    Some(map) => map.forward(h)?,
                    None => h.clone(),
                };
                Ok((s.contiguous()?.matmul(&h.t()?.contiguous()?)? * *scale)?)
            }
        }
    }
}

/// What the decoder attends to.
struct Source {
    /// `[batch, tokens, width]`
    states: Tensor,
    lengths: Option<Arc<[usize]>>,
}

impl Translator {
    /// The number of the decoder's first layer.
    fn first(&self) -> usize {
        self.encoder.layers.len()
    }

    fn encode(
        &self,
        words: Tensor,
        lengths: Option<Arc<[usize]>>,
        trace: &mut Trace<'_>,
    ) -> Result<(Source, Vec<State>)> {
        let encoded = self.encoder.forward(words, lengths.as_ref(), trace)?;
        let states = self.begin(&encoded, lengths.as_deref())?;
        Ok((Source { states: encoded.states.contiguous()?, lengths }, states))
    }

    /// The states that the decoder begins with.
    fn begin(&self, encoded: &Encoded, lengths: Option<&[usize]>) -> Result<Vec<State>> {
        let whole = match encoded.left.as_slice() {
            [] => mean(&encoded.states, lengths)?,
            left => last_hidden(left)?,
        };
        let start = |map: &Linear| Ok::<_, Error>(Activation::Tanh.forward(&map.forward(&whole)?)?);
        let of = |(hidden, cell): &(Linear, Option<Linear>)| {
            Ok(State { hidden: start(hidden)?, cell: cell.as_ref().map(start).transpose()? })
        };
        self.bridges.iter().map(of).collect()
    }

    /// `tanh(W [c; s])` of the answer's tokens; `states` go on behind them.
    fn decode(
        &self,
        words: Tensor,
        lengths: Option<&[usize]>,
        source: &Source,
        states: &mut [State],
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let mut x = trace.drop_out(words)?;
        let first = self.first();
        for ((l, layer), state) in (first..).zip(&self.decoder).zip(states) {
            x = trace.at(Site::Residual(l), x)?;
            let (y, left) = layer.run(l, &x, lengths, Some(state), trace)?;
            x = trace.drop_out(y)?;
            if let Some(left) = left.into_iter().next() {
                *state = left;
            }
        }
        let last = first + self.decoder.len();
        let s = trace.at(Site::Residual(last), x)?;
        let l = last.saturating_sub(1);
        let scores = self.score.of(&s, &source.states)?;
        let answer = scores.dim(1)?;
        let scores = hide(&scores, source.lengths.as_deref(), answer)?.unsqueeze(1)?;
        let scores = trace.at(Site::CrossAttentionScores(l), scores)?;
        let shares = trace.at(Site::CrossAttentionProbabilities(l), softmax(&scores)?)?;
        let found = shares.squeeze(1)?.matmul(&source.states)?;
        let found = trace.at(Site::CrossAttentionOutput(l), found)?;
        let both = Tensor::cat(&[found, s], 2)?;
        Ok(Activation::Tanh.forward(&self.combine.forward(&both)?)?)
    }
}

impl Body for Translator {
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        let Some((source, answer)) = batch.parts() else { return Err(Error::OnePart) };
        let part = |start, n| words.narrow(1, start, n)?.contiguous();
        let read = part(0, source.tokens())?;
        let (memory, mut states) = self.encode(read, source.padding(), trace)?;
        let written = part(source.tokens(), answer.tokens())?;
        let lengths = answer.padding();
        let x = self.decode(written, lengths.as_deref(), &memory, &mut states, trace)?;
        let x = match answer.read() {
            Some(positions) => select(&x, positions)?,
            None => x,
        };
        Ok(Output::new(take(&self.steps, x, true, trace)?))
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = self.encoder.sites();
        for (l, layer) in (self.first()..).zip(&self.decoder) {
            sites.push(Site::Residual(l));
            sites.extend(layer.sites(l));
        }
        let last = self.first() + self.decoder.len();
        let l = last.saturating_sub(1);
        sites.extend([
            Site::Residual(last),
            Site::CrossAttentionScores(l),
            Site::CrossAttentionProbabilities(l),
            Site::CrossAttentionOutput(l),
        ]);
        sites
    }

    fn layers(&self) -> usize {
        self.first() + self.decoder.len()
    }

    fn decoder(&self) -> Option<usize> {
        Some(self.first())
    }

    fn reads_two(&self) -> bool {
        true
    }

    fn decoder_start(&self) -> Option<u32> {
        Some(self.start_id)
    }

    /// Generates after the decoder's tokens in `input`, or from its start token.
    fn generate(
        &self,
        words: &dyn Fn(&Batch) -> Result<Tensor>,
        input: &Encoding,
        count: usize,
        stop: &[u32],
        fits: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Option<Vec<u32>>> {
        let all = input.ids();
        let (source, begun) = all.split_at(input.second.unwrap_or(all.len()));
        if source.is_empty() {
            return Err(Error::NoTokens);
        }
        fits(source.len())?;
        let trace = &mut Trace::new();
        let read = words(&Batch::of_ids(source.to_vec()))?;
        let (memory, mut states) = self.encode(read, None, trace)?;
        let mut ids = if begun.is_empty() { vec![self.start_id] } else { begun.to_vec() };
        let (mut made, mut start) = (Vec::new(), 0);
        while made.len() < count {
            let known = ids.len();
            fits(start + known)?;
            let written = words(&Batch::of_ids(ids))?;
            let x = self.decode(written, None, &memory, &mut states, trace)?;
            let last = x.narrow(1, known - 1, 1)?;
            let next = argmax(&take(&self.steps, last, false, trace)?)?;
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
