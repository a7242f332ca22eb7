//! One input and target, ready to be evaluated at many points near it.

use std::ops::Range;

use glossator_models::families::classic;
use glossator_models::{Batch, Encoding, Model, Trace};
use glossator_ops::{DType, Device, Tensor, Var, gradient, threads};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::prediction::Prediction;
use crate::progress::Progress;
use crate::target::{Quantity, Target, TargetSpec};
use crate::tasks::{self, AtInput, TaskOptions};

/// An input's embeddings, its prediction, and the target of an explanation.
///
/// Methods see a model as a function F of the word embeddings `[tokens, width]`. Points are made
/// in `f64` and evaluated in the model's type; what comes back is `f64` again.
pub struct Subject<'a> {
    model: &'a dyn Model,
    encoding: &'a Encoding,
    target: Target,
    prediction: Prediction,
    progress: &'a dyn Progress,
    /// Row-major `[tokens, width]`.
    embeddings: Vec<f64>,
    /// The forward pass at the input, kept so that its gradient needs no second one.
    at_input: (Var, Tensor),
    output: f64,
}

/// Tokens that one shard of a batch holds at most: enough rows for fast matrix products, and few
/// enough that activations, which are kept for the backward pass, cost little memory. Twice as many
/// are no faster on models of MiniLM's, BERT-base's and SmolLM2-135M's sizes.
pub(crate) const SHARD_TOKENS: usize = 128;

/// Texts that one shard holds at most of a model that may walk from token to token: each step is a
/// product with as many rows as there are texts, and few rows wait for the weights.
const RECURRENT_ROWS: usize = 32;

/// Tokens of such a shard at most.
const RECURRENT_TOKENS: usize = 4096;

impl<'a> Subject<'a> {
    /// Runs the model once, and chooses the first target.
    ///
    /// # Errors
    /// If the target does not exist, the outputs are not finite (naming the weight to blame), or
    /// the caller cancelled.
    pub fn new(
        model: &'a dyn Model,
        encoding: &'a Encoding,
        spec: &TargetSpec,
        quantity: Quantity,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let (prediction, pass) =
            tasks::predict(model, encoding, &TaskOptions::default(), progress)?;
        let targets = tasks::of(model).targets(model, encoding, &prediction, spec, quantity)?;
        let Some(target) = targets.into_iter().next() else {
            let what = "the model decides nothing about this input".to_owned();
            return Err(Error::Input { what, hint: "explain another text".to_owned() });
        };
        Self::of_target(model, encoding, target, prediction, Some(pass), progress)
    }

    /// Any number out of a model's outputs, whether or not the task would ask for it.
    ///
    /// # Errors
    /// As for [`Subject::new`].
    pub fn for_target(
        model: &'a dyn Model,
        encoding: &'a Encoding,
        target: Target,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let (prediction, _) = tasks::predict(model, encoding, &TaskOptions::default(), progress)?;
        Self::of_target(model, encoding, target, prediction, None, progress)
    }

    /// A target of its own. `pass` is a forward pass at the input, if there was one.
    pub(crate) fn of_target(
        model: &'a dyn Model,
        encoding: &'a Encoding,
        target: Target,
        prediction: Prediction,
        pass: Option<AtInput>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        // The pass that made the prediction serves if it read the same positions.
        let pass = match pass {
            Some(pass) if pass.positions == target.positions && target.prefix.is_none() => pass,
            _ => AtInput::run(model, encoding, target.positions.clone(), progress)?,
        };
        let score = target.score(&pass.output)?;
        let output = to_f64(&score)?[0];
        check_finite(&[output], "the output", String::new)?;
        let embeddings = to_f64(&pass.embeddings)?;
        let at_input = (pass.embeddings, score);
        Ok(Self { model, encoding, target, prediction, progress, embeddings, at_input, output })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a dyn Model {
        self.model
    }

    /// The input's tokens.
    #[must_use]
    pub fn encoding(&self) -> &'a Encoding {
        self.encoding
    }

    /// What is explained.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the model says of the input.
    #[must_use]
    pub fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// F(x).
    #[must_use]
    pub fn output(&self) -> f64 {
        self.output
    }

    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.encoding.tokens.len()
    }

    /// Elements of an embedding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.model.info().width
    }

    /// The input's word embeddings, row-major `[tokens, width]`.
    #[must_use]
    pub fn embeddings(&self) -> &[f64] {
        &self.embeddings
    }

    /// ∂F/∂x at the input, row-major `[tokens, width]`.
    ///
    /// # Errors
    /// If the gradient is not finite, or the caller cancelled.
    pub fn gradient(&self) -> Result<Vec<f64>> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let (input, score) = &self.at_input;
        let gradient = to_f64(&gradient(score, input)?)?;
        self.progress.evaluated(1);
        check_finite(&gradient, "the gradient", || " at the input".to_owned())?;
        Ok(gradient)
    }

    /// F at `n` points, in their order. `point(i, x)` fills row-major `[tokens, width]`.
    ///
    /// # Errors
    /// If an output is not finite, or the caller cancelled.
    pub fn values(&self, n: usize, point: impl Fn(usize, &mut [f64]) + Sync) -> Result<Vec<f64>> {
        self.shards(n, |range| {
            let (input, batch) = self.points(range.clone(), &point)?;
            let output = self.model.forward(&input, &batch, &mut Trace::new())?;
            let values = to_f64(&self.target.score(&output)?)?;
            check_finite(&values, "the output", String::new)?;
            Ok(values)
        })
    }

    /// F at points that equal the input in all tokens before one, `first[i]`, which grow with i. A
    /// model whose tokens see none behind them then reads what is shared only once.
    ///
    /// # Errors
    /// As for [`Subject::values`].
    pub fn values_behind(
        &self,
        first: &[usize],
        point: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Result<Vec<f64>> {
        let tokens = self.tokens();
        // What is read of the output must be computed: of all positions, all.
        let read = self.target.positions.iter().flatten().copied().min();
        let prefix = match read {
            Some(_) if first.len() > 1 => {
                let batch = Batch::repeat(self.encoding, 1);
                self.model.prefix(&self.at_input.0.as_detached_tensor(), &batch)?
            }
            _ => None,
        };
        let (Some(prefix), Some(read)) = (prefix, read) else {
            return self.values(first.len(), point);
        };
        self.shards(first.len(), |range| {
            let start = first[range.start].min(read);
            let (input, batch) = self.points(range, &point)?;
            let rest = input.narrow(1, start, tokens - start)?.contiguous()?;
            let output = prefix.forward(start, &rest, &batch.behind(start))?;
            let values = to_f64(&self.target.score(&output)?)?;
            check_finite(&values, "the output", String::new)?;
            Ok(values)
        })
    }

    /// F and ∂F/∂x at `n` points, in their order: `reduce(i, F, gradient)` makes of each point
    /// what the method needs, so that the gradients of a long path are never all in memory.
    ///
    /// # Errors
    /// If an output or a gradient is not finite, or the caller cancelled.
    pub fn gradients<R: Send>(
        &self,
        n: usize,
        point: impl Fn(usize, &mut [f64]) + Sync,
        reduce: impl Fn(usize, f64, &[f64]) -> R + Sync,
    ) -> Result<Vec<R>> {
        let size = self.embeddings.len().max(1);
        self.shards(n, |range| {
            let (input, batch) = self.points(range.clone(), &point)?;
            let input = Var::from_tensor(&input)?;
            let output = self.model.forward(&input, &batch, &mut Trace::new())?;
            let score = self.target.score(&output)?;
            let gradient = to_f64(&gradient(&score, &input)?)?;
            let values = to_f64(&score)?;
            let at = || " on the path".to_owned();
            check_finite(&values, "the output", at)?;
            check_finite(&gradient, "the gradient", at)?;
            let rows = values.iter().zip(gradient.chunks(size)).zip(range);
            Ok(rows.map(|((&value, gradient), i)| reduce(i, value, gradient)).collect())
        })
    }

    fn points(
        &self,
        range: Range<usize>,
        point: &(impl Fn(usize, &mut [f64]) + Sync),
    ) -> Result<(Tensor, Batch)> {
        let (rows, size) = (range.len(), self.embeddings.len());
        let shape = (rows, self.tokens(), self.width());
        let mut batch = Batch::repeat(self.encoding, rows);
        if let Some(positions) = &self.target.positions {
            batch = batch.reading(positions);
        }
        let mut row = vec![0.0; size];
        // Filled point by point: only the model's type is ever held for the whole shard.
        let input = match self.model.info().dtype {
            DType::F64 => {
                let mut all = Vec::with_capacity(rows * size);
                for i in range {
                    point(i, &mut row);
                    all.extend_from_slice(&row);
                }
                Tensor::from_vec(all, shape, &Device::Cpu)?
            }
            _ => {
                let mut all: Vec<f32> = Vec::with_capacity(rows * size);
                for i in range {
                    point(i, &mut row);
                    all.extend(row.iter().map(|&x| x as f32));
                }
                Tensor::from_vec(all, shape, &Device::Cpu)?
            }
        };
        Ok((input, batch))
    }

    /// Runs `f` on ranges of `0..n` side by side, and joins what they return in order.
    ///
    /// The ranges depend on `n` and the length of the input only, not on the number of threads:
    /// results are the same on every machine with the same instructions.
    fn shards<R: Send>(
        &self,
        n: usize,
        f: impl Fn(Range<usize>) -> Result<Vec<R>> + Sync,
    ) -> Result<Vec<R>> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let tokens = self.tokens().max(1);
        let mut at_most = (SHARD_TOKENS / tokens).max(1);
        if self.model.info().family == classic::FAMILY.id {
            at_most = at_most.max(RECURRENT_ROWS.min(RECURRENT_TOKENS / tokens));
        }
        // An even number of shards of nearly equal size keeps two, four .. threads busy.
        let shards = n.div_ceil(at_most).next_multiple_of(2).min(n);
        let ranges: Vec<Range<usize>> =
            (0..shards).map(|s| s * n / shards..(s + 1) * n / shards).collect();
        let run = |range: Range<usize>| {
            if self.progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let rows = range.len();
            let result = f(range);
            self.progress.evaluated(rows);
            result
        };
        let parts: Vec<Vec<R>> = if shards == 1 || threads::available() == 1 {
            ranges.into_iter().map(run).collect::<Result<_>>()?
        } else {
            ranges
                .into_par_iter()
                .map(|range| threads::serial(|| run(range)))
                .collect::<Result<_>>()?
        };
        Ok(parts.into_iter().flatten().collect())
    }
}

fn to_f64(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn check_finite(values: &[f64], what: &'static str, at: impl Fn() -> String) -> Result<()> {
    if values.iter().all(|x| x.is_finite()) {
        Ok(())
    } else {
        Err(Error::NotFinite { what, at: at() })
    }
}
