//! The model under attack: texts in, judged predictions out, with a count of what that cost.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use glossator_models::{Batch, Encoding, Model, Task, Trace};
use glossator_ops::{DType, gradient, threads};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::prediction::Prediction;
use crate::progress::Progress;
use crate::subject::SHARD_TOKENS;
use crate::target::Target;
use crate::tasks::{self, AtInput, Input, TaskOptions};

/// The rows of a text's logits.
type Rows = Vec<Vec<f64>>;

/// Texts that are read as one batch, by item and window, and the positions that are asked for.
type Shard<'a> = (Option<&'a [usize]>, Vec<(usize, usize)>);

/// When to give up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Forward passes at most; those of a gradient count too.
    pub passes: Option<usize>,
    /// Time at most.
    pub time: Option<Duration>,
}

/// What an attack asks the model, and how often it did.
pub struct Victim<'a> {
    model: &'a dyn Model,
    options: &'a TaskOptions,
    input: &'a Input,
    progress: &'a dyn Progress,
    limits: Limits,
    began: Instant,
    passes: AtomicUsize,
    gradients: AtomicUsize,
    keeps: bool,
    kept: Mutex<Option<Arc<Kept>>>,
}

/// The forward pass of the text that was read by itself last, kept so that its gradient needs no
/// second one.
struct Kept {
    encoding: Encoding,
    pass: AtInput,
}

/// Texts as the model reads them.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// One, or several windows over a long context.
    pub windows: Vec<Encoding>,
    /// The positions that each window's prediction needs; none: all.
    positions: Vec<Option<Vec<usize>>>,
}

/// What the model says of some texts.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The texts as the model read them.
    pub windows: Vec<Encoding>,
    /// The rows of the logits of each window.
    pub rows: Vec<Vec<Vec<f64>>>,
    /// What it says.
    pub prediction: Prediction,
}

impl Reading {
    /// The window that the prediction is about.
    #[must_use]
    pub fn window(&self) -> usize {
        let window = match &self.prediction {
            Prediction::QuestionAnswering(answers) => answers.first().map_or(0, |a| a.window),
            _ => 0,
        };
        window.min(self.windows.len().saturating_sub(1))
    }
}

impl<'a> Victim<'a> {
    /// A model and the input that is attacked.
    #[must_use]
    pub fn new(
        model: &'a dyn Model,
        input: &'a Input,
        options: &'a TaskOptions,
        limits: Limits,
        progress: &'a dyn Progress,
    ) -> Self {
        let (passes, gradients) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (began, kept) = (Instant::now(), Mutex::new(None));
        let keeps = false;
        Self { model, options, input, progress, limits, began, passes, gradients, keeps, kept }
    }

    /// The same, for an attack that takes gradients: keeps the forward pass of the text that was
    /// read by itself last.
    #[must_use]
    pub fn keeping_passes(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// The same with limits and counts of its own, and what is kept.
    pub(crate) fn afresh(&self) -> Self {
        let mut new = Self::new(self.model, self.input, self.options, self.limits, self.progress);
        new.keeps = self.keeps;
        new.kept = Mutex::new(self.kept());
        new
    }

    fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a dyn Model {
        self.model
    }

    /// How predictions are read.
    #[must_use]
    pub fn options(&self) -> &'a TaskOptions {
        self.options
    }

    /// The input as it was given.
    #[must_use]
    pub fn input(&self) -> &'a Input {
        self.input
    }

    /// Forward passes so far, those of gradients included.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.passes.load(Ordering::Relaxed)
    }

    /// Gradients so far.
    #[must_use]
    pub fn gradient_evaluations(&self) -> usize {
        self.gradients.load(Ordering::Relaxed)
    }

    /// How many of `wanted` forward passes the limits still allow.
    #[must_use]
    pub fn room(&self, wanted: usize) -> usize {
        if self.limits.time.is_some_and(|time| self.began.elapsed() >= time) {
            return 0;
        }
        match self.limits.passes {
            None => wanted,
            Some(limit) => wanted.min(limit.saturating_sub(self.passes())),
        }
    }

    /// The texts of an input in the order in which the model reads them.
    #[must_use]
    pub fn texts(task: Task, input: &Input) -> Vec<String> {
        match (&input.pair, task) {
            (None, _) => vec![input.text.clone()],
            // The question comes first.
            (Some(question), Task::QuestionAnswering) => {
                vec![question.clone(), input.text.clone()]
            }
            (Some(pair), _) => vec![input.text.clone(), pair.clone()],
        }
    }

    /// The input with other texts, which are in the order in which the model reads them.
    #[must_use]
    pub fn with_texts(&self, texts: &[String]) -> Input {
        let mut input = self.input.clone();
        let question = self.model.info().task == Task::QuestionAnswering;
        match texts {
            [text] => input.text.clone_from(text),
            [first, second] if question => {
                input.pair = Some(first.clone());
                input.text.clone_from(second);
            }
            [first, second] => {
                input.text.clone_from(first);
                input.pair = Some(second.clone());
            }
            _ => {}
        }
        input
    }

    /// Splits texts as the model reads them.
    ///
    /// # Errors
    /// If they are longer than the model reads, or lack what the task needs.
    pub fn encode(&self, texts: &[String]) -> Result<Encoded> {
        let task = tasks::of(self.model);
        let windows = task.encode(self.model, &self.with_texts(texts), self.options)?;
        if windows.iter().any(|window| window.tokens.is_empty()) {
            return Err(Error::Input {
                what: "the text has no tokens".to_owned(),
                hint: "give a text of at least one word".to_owned(),
            });
        }
        let positions = windows.iter().map(|window| task.reads(self.model, window));
        let positions = positions.collect::<Result<_>>()?;
        Ok(Encoded { windows, positions })
    }

    /// What the model says of some texts, by themselves: as anyone sees it who asks.
    ///
    /// # Errors
    /// If the texts cannot be read, or the outputs are not finite.
    pub fn read(&self, texts: &[String]) -> Result<Reading> {
        let encoded = self.encode(texts)?;
        let mut read = self.evaluate(vec![encoded], |_, reading| reading)?;
        read.pop().unwrap_or(Err(Error::Cancelled))
    }

    /// What the model says of many texts, in batches. `judge` makes of each what the attack needs,
    /// so that the outputs of all are never kept.
    ///
    /// # Errors
    /// If the caller cancelled, or the model fails; a text without a prediction is an error of its
    /// own.
    pub fn evaluate<R: Send>(
        &self,
        encoded: Vec<Encoded>,
        judge: impl Fn(usize, Reading) -> R + Sync,
    ) -> Result<Vec<Result<R>>> {
        // One of a kind may share a batch: those whose outputs are asked for at the same places.
        let mut groups: BTreeMap<Option<&[usize]>, Vec<(usize, usize)>> = BTreeMap::new();
        for (item, texts) in encoded.iter().enumerate() {
            for (window, positions) in texts.positions.iter().enumerate() {
                groups.entry(positions.as_deref()).or_default().push((item, window));
            }
        }
        let tokens = |&(item, window): &(usize, usize)| encoded[item].windows[window].tokens.len();
        let mut shards: Vec<Shard<'_>> = Vec::new();
        for (positions, mut members) in groups {
            members.sort_by_key(tokens);
            for range in shard(&members.iter().map(tokens).collect::<Vec<_>>()) {
                shards.push((positions, members[range].to_vec()));
            }
        }
        let run = |(positions, members): &Shard<'_>| {
            let texts: Vec<&Encoding> =
                members.iter().map(|&(item, window)| &encoded[item].windows[window]).collect();
            self.forward(&texts, *positions)
        };
        let parts: Vec<Vec<Rows>> = if shards.len() == 1 || threads::available() == 1 {
            shards.iter().map(run).collect::<Result<_>>()?
        } else {
            shards.par_iter().map(|shard| threads::serial(|| run(shard))).collect::<Result<_>>()?
        };
        let mut rows: Vec<Vec<Rows>> =
            encoded.iter().map(|texts| vec![Vec::new(); texts.windows.len()]).collect();
        for ((_, members), part) in shards.iter().zip(parts) {
            for (&(item, window), one) in members.iter().zip(part) {
                rows[item][window] = one;
            }
        }
        drop(shards);
        let judged = |(item, (texts, rows)): (usize, (Encoded, Vec<Rows>))| {
            self.reading(texts.windows, rows).map(|reading| judge(item, reading))
        };
        let all: Vec<_> = encoded.into_iter().zip(rows).enumerate().collect();
        Ok(if threads::available() == 1 || all.len() == 1 {
            all.into_iter().map(judged).collect()
        } else {
            all.into_par_iter().map(|one| threads::serial(|| judged(one))).collect()
        })
    }

    fn reading(&self, windows: Vec<Encoding>, mut rows: Vec<Rows>) -> Result<Reading> {
        let model = self.model;
        if rows.iter().flatten().flatten().any(|z| !z.is_finite()) {
            let at = match model.first_bad_weight()? {
                Some(tensor) => format!(": tensor {tensor:?} holds a NaN or an infinity"),
                None => String::new(),
            };
            return Err(Error::NotFinite { what: "the output", at });
        }
        // What was read of each window goes there and comes back, so that nothing is copied.
        let take = |(window, rows): (_, &mut Rows)| (window, std::mem::take(rows));
        let seen: Vec<(&Encoding, _)> = windows.iter().zip(&mut rows).map(take).collect();
        let prediction = tasks::of(model).predict(model, &seen, self.options)?;
        let rows = seen.into_iter().map(|(_, rows)| rows).collect();
        Ok(Reading { windows, rows, prediction })
    }

    /// The rows of the logits of each of these texts, which are one batch.
    fn forward(&self, texts: &[&Encoding], positions: Option<&[usize]>) -> Result<Vec<Rows>> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let model = self.model;
        let output = match texts {
            [encoding] if self.keeps => {
                let positions = positions.map(<[usize]>::to_vec);
                let pass = AtInput::run(model, encoding, positions, self.progress)?;
                self.passes.fetch_add(1, Ordering::Relaxed);
                let output = pass.output.clone();
                let kept = Arc::new(Kept { encoding: (*encoding).clone(), pass });
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                output
            }
            _ => {
                let mut batch = Batch::new(texts, model.pad_id());
                if let Some(positions) = positions {
                    batch = batch.reading(positions);
                }
                let embeddings = model.embed(&batch)?.detach();
                let output = model.forward(&embeddings, &batch, &mut Trace::new())?;
                self.count(texts.len());
                output
            }
        };
        let logits = output.logits.to_dtype(DType::F64)?;
        Ok(match logits.rank() {
            2 => logits.to_vec2::<f64>()?.into_iter().map(|row| vec![row]).collect(),
            _ => {
                let mut rows = logits.to_vec3::<f64>()?;
                // A row for each token: none for what fills up the batch.
                if model.info().task == Task::TokenClassification && positions.is_none() {
                    for (rows, text) in rows.iter_mut().zip(texts) {
                        rows.truncate(text.tokens.len());
                    }
                }
                rows
            }
        })
    }

    /// The gradients of targets with respect to the word embeddings, `tokens * width` each, and the
    /// embeddings themselves.
    ///
    /// # Errors
    /// If the caller cancelled, or a gradient is not finite.
    pub fn gradients(&self, wanted: &[(&Encoding, Target)]) -> Result<Vec<AtTokens>> {
        let run = |(encoding, target): &(&Encoding, Target)| self.gradient(encoding, target);
        if wanted.len() == 1 || threads::available() == 1 {
            return wanted.iter().map(run).collect();
        }
        wanted.par_iter().map(|one| threads::serial(|| run(one))).collect()
    }

    fn gradient(&self, encoding: &Encoding, target: &Target) -> Result<AtTokens> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let serves = |kept: &Arc<Kept>| {
            kept.encoding == *encoding
                && kept.pass.positions == target.positions
                && target.prefix.is_none()
        };
        let (embeddings, output) = match self.kept().filter(serves) {
            Some(kept) => (kept.pass.embeddings.clone(), kept.pass.output.clone()),
            None => {
                let positions = target.positions.clone();
                let pass = AtInput::run(self.model, encoding, positions, self.progress)?;
                self.passes.fetch_add(1, Ordering::Relaxed);
                (pass.embeddings, pass.output)
            }
        };
        let slope = gradient(&target.score(&output)?, &embeddings)?;
        self.gradients.fetch_add(1, Ordering::Relaxed);
        let values = |x: &glossator_ops::Tensor| -> Result<Vec<f64>> {
            Ok(x.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
        };
        let (gradient, embeddings) = (values(&slope)?, values(&embeddings)?);
        if gradient.iter().any(|g| !g.is_finite()) {
            return Err(Error::NotFinite { what: "the gradient", at: " at the text".to_owned() });
        }
        Ok(AtTokens { gradient, embeddings, width: self.model.info().width })
    }

    fn count(&self, passes: usize) {
        self.passes.fetch_add(passes, Ordering::Relaxed);
        self.progress.evaluated(passes);
    }
}

/// A gradient and the word embeddings at which it was taken.
#[derive(Debug, Clone)]
pub struct AtTokens {
    /// Row-major `[tokens, width]`.
    pub gradient: Vec<f64>,
    /// Row-major `[tokens, width]`.
    pub embeddings: Vec<f64>,
    width: usize,
}

impl AtTokens {
    /// The gradient at a token.
    #[must_use]
    pub fn slope(&self, token: usize) -> &[f64] {
        self.gradient.get(token * self.width..(token + 1) * self.width).unwrap_or_default()
    }

    /// `g · e` of a token: how much the target would fall, to first order, were it gone.
    #[must_use]
    pub fn dot(&self, token: usize) -> f64 {
        let range = token * self.width..(token + 1) * self.width;
        let embedding = self.embeddings.get(range).unwrap_or_default();
        self.slope(token).iter().zip(embedding).map(|(g, e)| g * e).sum()
    }
}

/// Cuts a list of lengths, shortest first, into ranges that fit a shard when filled up to the
/// longest of each: an even number of them where there are several, to keep threads busy.
fn shard(lengths: &[usize]) -> Vec<Range<usize>> {
    let n = lengths.len();
    let total: usize = lengths.iter().sum();
    let count = total.div_ceil(SHARD_TOKENS).next_multiple_of(2).min(n).max(1);
    let most = total.div_ceil(count).max(1);
    let mut ranges = Vec::new();
    let mut start = 0;
    for (i, &length) in lengths.iter().enumerate() {
        if i > start && length * (i + 1 - start) > most.max(length) {
            ranges.push(start..i);
            start = i;
        }
    }
    if start < n {
        ranges.push(start..n);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_hold_every_text_once_and_stay_small() {
        for lengths in [vec![], vec![5], vec![5; 8], vec![1, 2, 400], vec![30; 100]] {
            let ranges = shard(&lengths);
            let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
            assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for range in ranges {
                let padded = lengths[range.end - 1] * range.len();
                assert!(padded <= SHARD_TOKENS || range.len() == 1, "{lengths:?} {range:?}");
            }
        }
        assert_eq!(shard(&[25; 8]).len(), 2, "both threads have work");
    }
}
