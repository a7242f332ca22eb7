//! Linear-chain conditional random fields (Lafferty, McCallum & Pereira 2001): a distribution over
//! the sequences of tags of a sentence.
//!
//! A sequence `y` of tags has the score
//! `start[y₁] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T]`, and the
//! probability `e^score / Z`. Sums over sequences are exact, in the log domain and in `f64`
//! whatever the type of the emissions; gradients come from the forward-backward recursions.

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};
use std::sync::OnceLock;

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};
use crate::threads;
use crate::weight::Weight;

mod chain;

use chain::Chain;

const OP: &str = "crf";

/// The scores of transitions between tags.
#[derive(Debug, Clone)]
pub struct Crf {
    transitions: Weight,
    start: Weight,
    end: Weight,
    tags: usize,
}

impl Crf {
    /// A field with `transitions: [tags, tags]`, from the row's tag to the column's, and `start`
    /// and `end`: `[tags]`. A forbidden transition is -∞ or a large negative number.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn new(transitions: Weight, start: Weight, end: Weight) -> Result<Self> {
        let &[tags, columns] = transitions.shape() else {
            let expected = "[tags, tags]";
            return Err(shape_error(OP, "transitions", expected, transitions.shape()));
        };
        if tags == 0 || tags != columns {
            let expected = "a square of at least one tag";
            return Err(shape_error(OP, "transitions", expected, transitions.shape()));
        }
        for (what, scores) in [("start scores", &start), ("end scores", &end)] {
            if scores.shape() != [tags] {
                return Err(shape_error(OP, what, [tags], scores.shape()));
            }
        }
        Ok(Self { transitions, start, end, tags })
    }

    /// The number of tags.
    pub fn tags(&self) -> usize {
        self.tags
    }

    /// The log of the probability of each sequence of tags.
    ///
    /// # Shapes
    /// - `emissions`: `[batch, tokens, tags]`
    /// - `tags`: for each sequence, a tag of each of its real tokens (more are not read)
    /// - `lengths`: the number of real tokens of each sequence. `None`: all are.
    /// - result: `[batch]`
    ///
    /// # Errors
    /// If the shapes do not fit together, or a tag is none.
    pub fn log_likelihood(
        &self,
        emissions: &Tensor,
        tags: &[Vec<usize>],
        lengths: Option<&[usize]>,
    ) -> Result<Tensor> {
        let real = self.lengths(emissions, lengths)?;
        if tags.len() != real.len() {
            return Err(shape_error(OP, "number of tag sequences", real.len(), tags.len()));
        }
        for (tags, &length) in tags.iter().zip(&real) {
            if tags.len() < length {
                return Err(shape_error(OP, "number of tags", length, tags.len()));
            }
        }
        let all = tags.iter().zip(&real);
        let all: Vec<Vec<(usize, usize)>> =
            all.map(|(tags, &n)| tags[..n].iter().copied().enumerate().collect()).collect();
        let score = self.constrained_log_partition(emissions, lengths, &all)?;
        score - self.log_partition(emissions, lengths)?
    }

    /// The log of the sum of `e^score` over all sequences of tags.
    ///
    /// # Shapes
    /// - `emissions`: `[batch, tokens, tags]`
    /// - `lengths`: the number of real tokens of each sequence. `None`: all are.
    /// - result: `[batch]`
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn log_partition(&self, emissions: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
        let lengths = self.lengths(emissions, lengths)?;
        let free = vec![Vec::new(); lengths.len()];
        self.apply(emissions, lengths, &free)
    }

    /// The log of the sum of `e^score` over the sequences that have chosen tags at chosen
    /// positions. Less [`log_partition`](Self::log_partition), it is the log of the marginal
    /// probability of these tags, for instance of a span's.
    ///
    /// # Shapes
    /// - `emissions`, `lengths`, result: as in [`log_partition`](Self::log_partition)
    /// - `allowed`: for each sequence, pairs of a position and its tag
    ///
    /// # Errors
    /// If the shapes do not fit together, a position is not a real token, a tag is none, or a
    /// position has two.
    pub fn constrained_log_partition(
        &self,
        emissions: &Tensor,
        lengths: Option<&[usize]>,
        allowed: &[Vec<(usize, usize)>],
    ) -> Result<Tensor> {
        let lengths = self.lengths(emissions, lengths)?;
        if allowed.len() != lengths.len() {
            let got = allowed.len();
            return Err(shape_error(OP, "number of constraints", lengths.len(), got));
        }
        self.apply(emissions, lengths, allowed)
    }

    /// The probability of each tag at each token; 0 at padding. No gradient flows through it.
    ///
    /// # Shapes
    /// - `emissions`: `[batch, tokens, tags]`
    /// - `lengths`: the number of real tokens of each sequence. `None`: all are.
    /// - result: `[batch, tokens, tags]`
    ///
    /// # Errors
    /// If the shapes do not fit together, or no sequence of tags has a score above -∞.
    pub fn marginals(&self, emissions: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
        let lengths = self.lengths(emissions, lengths)?;
        let chain = self.chain()?;
        let values = doubles(emissions)?;
        let mut out = vec![0.0; values.len()];
        let row = out.len() / lengths.len().max(1);
        for (b, &length) in lengths.iter().enumerate() {
            let emissions = &values[b * row..][..length * self.tags];
            let (forward, log_sum) = chain.forward(emissions, &[]);
            if log_sum == f64::NEG_INFINITY {
                return Err(no_path());
            }
            let place = &mut out[b * row..][..length * self.tags];
            chain.backward(emissions, &[], &forward, 1.0, place, None);
        }
        Tensor::from_vec(out, emissions.dims(), &Device::Cpu)?
            .to_dtype(emissions.dtype())?
            .to_device(emissions.device())
    }

    /// The sequence of tags with the largest score (Viterbi 1967), and that score. Of equal ones,
    /// each tag is the first that leads there.
    ///
    /// # Shapes
    /// - `emissions`: `[batch, tokens, tags]`
    /// - `lengths`: the number of real tokens of each sequence. `None`: all are.
    /// - result: for each sequence, a tag of each real token
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn viterbi(
        &self,
        emissions: &Tensor,
        lengths: Option<&[usize]>,
    ) -> Result<Vec<(Vec<usize>, f64)>> {
        let lengths = self.lengths(emissions, lengths)?;
        let chain = self.chain()?;
        let values = doubles(emissions)?;
        let row = values.len() / lengths.len().max(1);
        let best = lengths.iter().enumerate();
        Ok(best.map(|(b, &n)| chain.viterbi(&values[b * row..][..n * self.tags])).collect())
    }

    /// The number of real tokens of each sequence.
    fn lengths(&self, emissions: &Tensor, lengths: Option<&[usize]>) -> Result<Vec<usize>> {
        let &[batch, tokens, tags] = emissions.dims() else {
            let expected = "[batch, tokens, tags]";
            return Err(shape_error(OP, "emissions", expected, emissions.dims()));
        };
        if tags != self.tags {
            return Err(shape_error(OP, "number of tags of the emissions", self.tags, tags));
        }
        let lengths = lengths.map_or_else(|| vec![tokens; batch], <[usize]>::to_vec);
        if lengths.len() != batch {
            return Err(shape_error(OP, "number of lengths", batch, lengths.len()));
        }
        match lengths.iter().find(|&&length| length == 0 || length > tokens) {
            None => Ok(lengths),
            Some(length) => Err(shape_error(OP, "length", format!("from 1 to {tokens}"), length)),
        }
    }

    fn apply(
        &self,
        emissions: &Tensor,
        lengths: Vec<usize>,
        allowed: &[Vec<(usize, usize)>],
    ) -> Result<Tensor> {
        let mut clamped = Vec::with_capacity(lengths.len());
        for (pairs, &length) in allowed.iter().zip(&lengths) {
            let mut tags = vec![None; if pairs.is_empty() { 0 } else { length }];
            for &(position, tag) in pairs {
                let Some(place) = tags.get_mut(position) else {
                    let expected = format!("below {length}");
                    return Err(shape_error(OP, "position of a tag", expected, position));
                };
                if tag >= self.tags {
                    let expected = format!("below {}", self.tags);
                    return Err(shape_error(OP, "tag", expected, tag));
                }
                if place.is_some_and(|other| other != tag) {
                    return Err(shape_error(OP, "tags of a position", "one", "two"));
                }
                *place = Some(tag);
            }
            clamped.push(tags);
        }
        // On another device, the recursions run on the CPU all the same: they are short and have
        // no parallel form.
        let device = emissions.device();
        let emissions = emissions.to_device(&Device::Cpu)?.contiguous()?;
        let operation =
            LogPartition { tags: self.tags, lengths, clamped, forward: OnceLock::new() };
        emissions.apply_op2(&self.scores()?, operation)?.to_device(device)
    }

    /// Transitions, start and end scores in a row, in `f64`.
    fn scores(&self) -> Result<Tensor> {
        let parts = [&self.transitions, &self.start, &self.end].map(|weight| {
            let flat = weight.to_tensor(&Device::Cpu)?.flatten_all()?;
            flat.to_dtype(DType::F64)
        });
        let [transitions, start, end] = parts;
        Tensor::cat(&[transitions?, start?, end?], 0)
    }

    fn chain(&self) -> Result<Chain> {
        Ok(Chain::new(&doubles(&self.scores()?)?, self.tags))
    }
}

fn doubles(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

fn no_path() -> candle_core::Error {
    shape_error(OP, "scores", "a sequence of tags that is possible", "none")
}

/// The log partition functions of a batch, of emissions and scores of transitions.
struct LogPartition {
    tags: usize,
    lengths: Vec<usize>,
    /// The tag that a token must have; empty if none must.
    clamped: Vec<Vec<Option<usize>>>,
    /// The forward variables of each sequence, and its log partition function.
    forward: OnceLock<Vec<(Vec<f64>, f64)>>,
}

impl LogPartition {
    /// `T tags²` exponentials for each sequence, in multiply-adds.
    fn parts(&self) -> usize {
        threads::parts_for(32 * self.lengths.iter().sum::<usize>() * self.tags * self.tags)
    }

    /// The emissions of a sequence's real tokens.
    fn emissions<T: Real>(&self, x: &[T], sequence: usize) -> Vec<f64> {
        let row = x.len() / self.lengths.len();
        let len = self.lengths[sequence] * self.tags;
        x[sequence * row..][..len].iter().map(|x| x.to_f64()).collect()
    }
}

impl CustomOp2 for LogPartition {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scores: &CpuStorage,
        scores_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let chain = Chain::new(contiguous::<f64>(OP, scores, scores_layout)?, self.tags);
        for_real!(OP, storage_dtype(x), T => {
            let x = contiguous::<T>(OP, x, x_layout)?;
            let mut all = vec![(Vec::new(), 0.0); self.lengths.len()];
            threads::split_rows(&mut all, 1, self.parts(), |first, all| {
                for (i, result) in all.iter_mut().enumerate() {
                    let emissions = self.emissions(x, first + i);
                    *result = chain.forward(&emissions, &self.clamped[first + i]);
                }
            });
            let values: Vec<T> = all.iter().map(|(_, log_sum)| T::of(*log_sum)).collect();
            let _ = self.forward.set(all);
            Ok((T::to_cpu_storage_owned(values), Shape::from(self.lengths.len())))
        })
    }

    /// The derivative of a log partition function with respect to a score is the expected number
    /// of times that a sequence has it.
    fn bwd(
        &self,
        x: &Tensor,
        scores: &Tensor,
        _log_sums: &Tensor,
        dlog_sums: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let factors = doubles(dlog_sums)?;
        let Some(forward) = self.forward.get() else {
            candle_core::bail!("crf: backward before forward");
        };
        if forward.iter().any(|(_, log_sum)| *log_sum == f64::NEG_INFINITY) {
            return Err(no_path());
        }
        let chain = Chain::new(&doubles(scores)?, self.tags);
        let row = x.elem_count() / self.lengths.len().max(1);
        for_real!(OP, x.dtype(), T => with_slice::<T, _>(OP, x, |x| {
            // A gradient of the emissions and one of the scores for each sequence, the latter
            // summed in order: the same for any number of threads.
            let wanted = scores.track_op();
            let mut all = vec![(Vec::new(), Vec::new()); self.lengths.len()];
            threads::split_rows(&mut all, 1, self.parts(), |first, all| {
                for (i, (demissions, dscores)) in all.iter_mut().enumerate() {
                    let sequence = first + i;
                    let (variables, _) = &forward[sequence];
                    let emissions = self.emissions(x, sequence);
                    *demissions = vec![0.0; emissions.len()];
                    if wanted {
                        *dscores = vec![0.0; self.tags * (self.tags + 2)];
                    }
                    let counts = wanted.then_some(dscores.as_mut_slice());
                    let clamped = &self.clamped[sequence];
                    let factor = factors[sequence];
                    chain.backward(&emissions, clamped, variables, factor, demissions, counts);
                }
            });
            let mut dx = vec![T::ZERO; x.len()];
            let mut total = vec![0.0; if wanted { self.tags * (self.tags + 2) } else { 0 }];
            for (sequence, (demissions, dscores)) in all.iter().enumerate() {
                for (to, from) in dx[sequence * row..].iter_mut().zip(demissions) {
                    *to = T::of(*from);
                }
                for (to, from) in total.iter_mut().zip(dscores) {
                    *to += *from;
                }
            }
            let dims = (self.lengths.len(), row / self.tags, self.tags);
            let dscores = if wanted { Some(tensor(total, scores.dims())?) } else { None };
            Ok((Some(tensor(dx, dims)?), dscores))
        }))
    }
}

#[cfg(test)]
mod tests;
