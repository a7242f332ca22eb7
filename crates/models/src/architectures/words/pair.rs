//! Two texts that attend to each other: decomposable attention (Parikh et al. 2016, arXiv
//! 1606.01933) and the enhanced sequential inference model (Chen et al. 2017, arXiv 1609.06038).

use std::sync::Arc;

use glossator_ops::conv1d::max_over_tokens;
use glossator_ops::{Tensor, softmax};

use super::Body;
use super::two::Two;
use crate::batch::Batch;
use crate::blocks::convolution::masked;
use crate::blocks::encoder::Encoder;
use crate::error::Result;
use crate::heads::{Step, mean, take};
use crate::model::Output;
use crate::trace::{Site, Trace};

/// A classifier of two texts.
pub struct Pair {
    /// The layers that both texts go through.
    pub encoder: Encoder,
    /// How they are compared.
    pub matching: Matching,
    /// From the comparison to the labels.
    pub steps: Vec<Step>,
}

/// How two texts are compared.
pub enum Matching {
    /// Each token with what it attends to, by itself; then sums.
    Decomposable {
        /// What scores are products of.
        attend: Vec<Step>,
        /// Of a token and what it attends to.
        compare: Vec<Step>,
    },
    /// Tokens, what they attend to, difference and product, through more layers.
    Sequential {
        /// To the width of these layers.
        project: Vec<Step>,
        /// The layers.
        composition: Encoder,
    },
}

/// What each text attends to in the other: `[rows, own tokens, width]`.
fn attend(
    two: &Two,
    scored: [&Tensor; 2],
    states: &[Tensor; 2],
    trace: &mut Trace<'_>,
) -> Result<[Tensor; 2]> {
    let scores = scored[0].matmul(&scored[1].t()?.contiguous()?)?;
    let scores = trace.at(Site::PairScores, two.hide(&scores)?)?;
    let to_second = trace.at(Site::FirstToSecond, softmax(&scores)?)?;
    let to_first = trace.at(Site::SecondToFirst, softmax(&scores.t()?.contiguous()?)?)?;
    Ok([to_second.matmul(&states[1])?, to_first.matmul(&states[0])?])
}

impl Pair {
    /// Decomposable attention: `[rows, 2 compared width]`.
    fn decompose(
        two: &Two,
        states: &Tensor,
        (f, g): (&[Step], &[Step]),
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let scored = two.split(&take(f, states.clone(), false, trace)?)?;
        let states = two.split(states)?;
        let [beta, alpha] = attend(two, [&scored[0], &scored[1]], &states, trace)?;
        let a = Tensor::cat(&[&states[0], &beta], 2)?;
        let b = Tensor::cat(&[&states[1], &alpha], 2)?;
        let compared = take(g, two.join(&a, &b)?, true, trace)?;
        let [v1, v2] = two.split(&masked(&compared, two.padding.as_deref())?)?;
        Ok(Tensor::cat(&[v1.sum(1)?, v2.sum(1)?], 1)?)
    }

    /// Sequential inference: `[rows, 4 composed width]`.
    fn infer(
        two: &Two,
        states: &Tensor,
        (project, composition): (&[Step], &Encoder),
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let states = two.split(states)?;
        let attended = attend(two, [&states[0], &states[1]], &states, trace)?;
        let enhance = |x: &Tensor, y: &Tensor| Tensor::cat(&[x, y, &(x - y)?, &(x * y)?], 2);
        let m =
            two.join(&enhance(&states[0], &attended[0])?, &enhance(&states[1], &attended[1])?)?;
        let m = take(project, m, false, trace)?;
        let composed = composition.forward(m, two.padding.as_ref(), trace)?.states;
        let mut vectors = Vec::with_capacity(4);
        for (part, lengths) in two.split(&composed)?.iter().zip(&two.lengths) {
            vectors.push(mean(part, Some(lengths))?);
            vectors.push(max_over_tokens(part, Some(lengths))?);
        }
        Ok(Tensor::cat(&vectors, 1)?)
    }
}

impl Body for Pair {
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        let two = Two::new(batch)?;
        let padding: Option<&Arc<[usize]>> = two.padding.as_ref();
        let states = self.encoder.forward(two.stack(words)?, padding, trace)?.states;
        let vectors = match &self.matching {
            Matching::Decomposable { attend, compare } => {
                Self::decompose(&two, &states, (attend, compare), trace)?
            }
            Matching::Sequential { project, composition } => {
                Self::infer(&two, &states, (project, composition), trace)?
            }
        };
        let vectors = trace.at(Site::Pooled, vectors)?;
        Ok(Output::new(take(&self.steps, vectors, true, trace)?))
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = self.encoder.sites();
        sites.extend([Site::PairScores, Site::FirstToSecond, Site::SecondToFirst]);
        if let Matching::Sequential { composition, .. } = &self.matching {
            sites.extend(composition.sites());
        }
        sites.push(Site::Pooled);
        sites
    }

    fn layers(&self) -> usize {
        let more = match &self.matching {
            Matching::Sequential { composition, .. } => composition.layers.len(),
            Matching::Decomposable { .. } => 0,
        };
        self.encoder.layers.len() + more
    }

    fn reads_two(&self) -> bool {
        true
    }
}
