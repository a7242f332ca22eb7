//! A question and a context: bidirectional attention flow (Seo et al. 2017, arXiv 1611.01603).

use glossator_ops::conv1d::max_over_tokens;
use glossator_ops::{Linear, Tensor, Weight, softmax};

use super::Body;
use super::two::Two;
use crate::batch::Batch;
use crate::blocks::encoder::Encoder;
use crate::error::Result;
use crate::model::Output;
use crate::trace::{Site, Trace};

/// A reader of a question (the first part of its batches) and a context (the second).
pub struct Reader {
    /// The layers that both go through.
    pub encoder: Encoder,
    /// How context and question attend to each other.
    pub flow: Flow,
    /// The layers that read both together.
    pub modeling: Encoder,
    /// The layers before the end of the answer is chosen.
    pub end: Encoder,
    /// From both to where the answer begins and ends, without a bias: it would choose nothing.
    pub edges: [Linear; 2],
}

/// The scores `w₁ · h + w₂ · u + w₃ · (h u)` of a context's vector `h` and a question's `u`.
pub struct Flow {
    /// `w₁`, as a map to one number
    pub context: Linear,
    /// `w₂`, as a map to one number
    pub question: Linear,
    /// `w₃`: `[1, width]`
    pub product: Weight,
}

/// The score of a place where no answer can begin or end: the softmax over all places is 0 there.
const NOWHERE: f64 = -1e4;

impl Flow {
    /// `[rows, question tokens, context tokens]`
    fn scores(&self, question: &Tensor, context: &Tensor) -> Result<Tensor> {
        let product = self.product.to_tensor(question.device())?;
        let scores =
            question.broadcast_mul(&product.unsqueeze(0)?)?.matmul(&context.t()?.contiguous()?)?;
        let of_question = self.question.forward(question)?;
        let of_context = self.context.forward(context)?.t()?.contiguous()?;
        Ok(scores.broadcast_add(&of_question)?.broadcast_add(&of_context)?)
    }

    /// The context's tokens with what they attend to: `[rows, context tokens, 4 width]`.
    fn forward(
        &self,
        two: &Two,
        [question, context]: &[Tensor; 2],
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        let scores = two.hide(&self.scores(question, context)?)?;
        let scores = trace.at(Site::PairScores, scores)?;
        // The likeliest of the question's tokens decides how much of each of the context's.
        let most = max_over_tokens(&scores, Some(&two.lengths[0]))?;
        let to_context = trace.at(Site::FirstToSecond, softmax(&most)?.unsqueeze(1)?)?;
        let to_question = trace.at(Site::SecondToFirst, softmax(&scores.t()?.contiguous()?)?)?;
        let asked = to_question.matmul(question)?;
        let found = to_context.matmul(context)?;
        let parts =
            [context.clone(), asked.clone(), (context * asked)?, context.broadcast_mul(&found)?];
        Ok(Tensor::cat(&parts, 2)?)
    }
}

impl Body for Reader {
    fn forward(&self, words: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        let two = Two::new(batch)?;
        let states = self.encoder.forward(two.stack(words)?, two.padding.as_ref(), trace)?.states;
        let flow = self.flow.forward(&two, &two.split(&states)?, trace)?;
        let [asked, tokens] = two.tokens;
        let lengths = &two.lengths[1];
        let padding = lengths.iter().any(|&n| n < tokens).then_some(lengths);
        let read = self.modeling.forward(flow.clone(), padding, trace)?.states;
        let ended = self.end.forward(read.clone(), padding, trace)?.states;
        let mut edges = Vec::with_capacity(2);
        for (map, states) in self.edges.iter().zip([&read, &ended]) {
            let both = trace.drop_out(Tensor::cat(&[&flow, states], 2)?)?;
            edges.push(map.forward(&both)?.squeeze(2)?);
        }
        let found = Tensor::stack(&edges, 1)?;
        let nowhere = |n: usize| -> Result<Tensor> {
            let shape = (batch.rows(), 2, n);
            Ok(Tensor::full(NOWHERE, shape, found.device())?.to_dtype(found.dtype())?)
        };
        let found = match padding {
            None => found.clone(),
            Some(lengths) => {
                let mut real = vec![0_u8; batch.rows() * 2 * tokens];
                for (row, &length) in real.chunks_mut((2 * tokens).max(1)).zip(lengths.iter()) {
                    row.chunks_mut(tokens).for_each(|edge| edge[..length.min(tokens)].fill(1));
                }
                let real = Tensor::from_vec(real, found.dims(), found.device())?;
                real.where_cond(&found, &nowhere(tokens)?)?
            }
        };
        Ok(Output::new(Tensor::cat(&[nowhere(asked)?, found], 2)?))
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = self.encoder.sites();
        sites.extend([Site::PairScores, Site::FirstToSecond, Site::SecondToFirst]);
        sites.extend(self.modeling.sites());
        sites.extend(self.end.sites());
        sites
    }

    fn layers(&self) -> usize {
        self.encoder.layers.len() + self.modeling.layers.len() + self.end.layers.len()
    }

    fn reads_two(&self) -> bool {
        true
    }
}
