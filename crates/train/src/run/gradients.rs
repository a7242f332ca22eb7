//! The gradients of one step.
//!
//! A batch is cut into shards by its tokens, never by the number of threads; shards run side by
//! side, and their gradients are added in the order of shards. So the number of threads changes
//! nothing.

use glossator_models::{Batch, Encoding, Model, Trace};
use glossator_ops::{Tensor, Var, threads};
use rayon::prelude::*;

use crate::batching::mix;
use crate::error::Result;
use crate::item::{Gold, Hider, Item};
use crate::objective::Objective;
use crate::optimizer::{CHUNK, read, squares};

/// Tokens of a shard at least, where a batch is cut: below, a second thread costs more than it
/// saves, and each shard has gradients of all weights to add.
const SHARD: usize = 384;

/// Shards of a batch at most: each holds gradients of all weights.
const SHARDS: usize = 8;

/// What a step is made of.
pub(super) struct Pass<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) objective: &'a Objective,
    pub(super) hider: Option<&'a Hider>,
    pub(super) dropout: f64,
    /// Of this step.
    pub(super) seed: u64,
}

/// What came of a step's batches.
pub(super) struct Outcome {
    /// The mean loss.
    pub(super) loss: f64,
    /// Tokens that went through the model, padding apart.
    pub(super) tokens: u64,
    /// Whether anything counted.
    pub(super) counted: bool,
}

/// Gradients of the variables that are trained, as plain memory that stays from step to step.
pub(super) struct Gradients {
    buffers: Vec<Vec<f32>>,
}

/// A prepared item.
struct Row {
    encoding: Encoding,
    gold: Gold,
    weight: f64,
}

impl Gradients {
    pub(super) fn new(variables: &[(String, Var)]) -> Self {
        Self { buffers: variables.iter().map(|(_, var)| vec![0.0; var.elem_count()]).collect() }
    }

    pub(super) fn of(&self, variable: usize) -> &[f32] {
        &self.buffers[variable]
    }

    /// The Euclidean norm of all of them.
    pub(super) fn norm(&self) -> f64 {
        self.buffers.iter().map(|buffer| squares(buffer)).sum::<f64>().sqrt()
    }

    /// Computes the gradients of the mean loss over all batches' items.
    pub(super) fn compute(
        &mut self,
        pass: &Pass<'_>,
        variables: &[(String, Var)],
        batches: &[Vec<&Item>],
    ) -> Result<Outcome> {
        let mut total = 0.0;
        let mut prepared: Vec<Vec<Row>> = Vec::with_capacity(batches.len());
        for (b, batch) in batches.iter().enumerate() {
            let rows = batch.iter().enumerate().map(|(i, item)| {
                let (encoding, gold) = match pass.hider {
                    Some(hider) => hider.hide(item, mix(&[pass.seed, b as u64, i as u64])),
                    None => (item.encoding(), item.gold.clone()),
                };
                let weight = pass.objective.weight(&gold);
                Row { encoding, gold, weight }
            });
            prepared.push(rows.collect());
            total += prepared[b].iter().map(|row| row.weight).sum::<f64>();
        }
        let tokens = batches.iter().flatten().map(|item| item.len() as u64).sum();
        let mut outcome = Outcome { loss: 0.0, tokens, counted: total > 0.0 };
        if !outcome.counted {
            return Ok(outcome);
        }
        let mut first = true;
        for (b, mut rows) in prepared.into_iter().enumerate() {
            // Rows of like length side by side: each shard is padded by itself.
            rows.sort_by_key(|row| row.encoding.tokens.len());
            let shards: Vec<(usize, &[Row])> = shards(&rows)
                .enumerate()
                .filter(|(_, shard)| shard.iter().any(|row| row.weight > 0.0))
                .collect();
            let one = |&(s, shard): &(usize, &[Row])| {
                let seed = mix(&[pass.seed, 1 << 32, b as u64, s as u64]);
                shard_gradients(pass, variables, shard, total, seed)
            };
            let made: Vec<(f64, Vec<Tensor>)> = match shards.as_slice() {
                [alone] => vec![one(alone)?],
                several => several
                    .par_iter()
                    .map(|shard| threads::serial(|| one(shard)))
                    .collect::<Result<_>>()?,
            };
            for (loss, gradients) in made {
                outcome.loss += loss;
                self.add(&gradients, first)?;
                first = false;
            }
        }
        Ok(outcome)
    }

    /// Adds one shard's gradients, or takes the place of what was there.
    fn add(&mut self, gradients: &[Tensor], replace: bool) -> Result<()> {
        let all = self.buffers.par_iter_mut().zip(gradients);
        all.try_for_each(|(buffer, gradient)| {
            read(gradient, |elements| {
                let chunks = buffer.par_chunks_mut(CHUNK).zip(elements.par_chunks(CHUNK));
                if replace {
                    chunks.for_each(|(to, from)| to.copy_from_slice(from));
                } else {
                    chunks
                        .for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(a, b)| *a += b));
                }
            })
        })?;
        Ok(())
    }
}

/// Consecutive parts of a batch's rows.
fn shards(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let tokens: usize = rows.iter().map(|row| row.encoding.tokens.len()).sum();
    let fitting = (tokens / SHARD).clamp(1, SHARDS);
    // A power of two is spread evenly over the usual numbers of threads.
    let count = (1 << fitting.ilog2()).min(rows.len().max(1));
    // As many tokens in each as go: long rows are few.
    let mut start = 0;
    let mut taken = 0;
    (0..count).map(move |shard| {
        let goal = tokens * (shard + 1) / count;
        let left = count - shard - 1;
        let mut end = start;
        while end < rows.len() - left && (end == start || taken < goal) {
            taken += rows[end].encoding.tokens.len();
            end += 1;
        }
        let part = &rows[start..if left == 0 { rows.len() } else { end }];
        start = end;
        part
    })
}

/// The loss of some rows as a part of the step's, and its gradients.
fn shard_gradients(
    pass: &Pass<'_>,
    variables: &[(String, Var)],
    rows: &[Row],
    total: f64,
    seed: u64,
) -> Result<(f64, Vec<Tensor>)> {
    let encodings: Vec<&Encoding> = rows.iter().map(|row| &row.encoding).collect();
    let batch = Batch::new(&encodings, pass.model.pad_id());
    let shifted: Vec<Gold> =
        rows.iter().map(|row| row.gold.shifted(&row.encoding, batch.second())).collect();
    let golds: Vec<&Gold> = shifted.iter().collect();
    let mut trace = Trace::training(pass.dropout, seed);
    let output = pass.model.forward(&pass.model.embed(&batch)?, &batch, &mut trace)?;
    let share = rows.iter().map(|row| row.weight).sum::<f64>() / total;
    let loss = (pass.objective.loss(&output, &golds)? * share)?;
    let value = f64::from(loss.to_scalar::<f32>()?);
    let mut gradients = loss.backward()?;
    let of = |(name, var): &(String, Var)| {
        gradients.remove(var).ok_or_else(|| {
            glossator_ops::Error::MissingGradient { of: format!("the weight {name:?}") }.into()
        })
    };
    Ok((value, variables.iter().map(of).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lengths: &[usize]) -> Vec<Row> {
        let row = |&length: &usize| {
            let item = Item::of_ids(vec![0; length], Gold::Label(0));
            Row { encoding: item.encoding(), gold: Gold::Label(0), weight: 1.0 }
        };
        lengths.iter().map(row).collect()
    }

    #[test]
    fn shards_hold_all_rows_in_order_and_like_many_tokens() {
        for lengths in [vec![5; 3], vec![100; 32], vec![500, 500, 500], vec![1; 4000], vec![9000]] {
            let rows = rows(&lengths);
            let made: Vec<usize> = shards(&rows).map(<[Row]>::len).collect();
            assert_eq!(made.iter().sum::<usize>(), rows.len());
            assert!(made.iter().all(|&n| n > 0), "{made:?}");
        }
        let rows = rows(&[vec![10; 60], vec![100; 6], vec![300, 300]].concat());
        let tokens: Vec<usize> = shards(&rows)
            .map(|shard| shard.iter().map(|row| row.encoding.tokens.len()).sum())
            .collect();
        assert_eq!(tokens, [450, 450, 600, 300]);
    }
}
