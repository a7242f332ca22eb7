//! Where a model reads: attention probabilities, and their rollout through the layers.
//!
//! What a head attends to is where it reads, and not by itself why the model decided as it did
//! (Jain & Wallace 2019, arXiv:1902.10186). Gradients and interventions tell that.

use glossator_models::{Batch, Encoding, Model, ModelInfo, Site, Task, Trace};
use glossator_ops::DType;

use crate::error::{Error, Result};
use crate::predict::predict;
use crate::progress::Progress;
use crate::tasks::{self, Input, TaskOptions};

/// The attention probabilities of one input, of every layer and head.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// The tokens that attend and are attended to, in the model's order.
    pub encoding: Encoding,
    /// Heads of a layer.
    pub heads: usize,
    /// One entry a layer, row-major `[heads, queries, keys]`; each row sums to 1.
    pub layers: Vec<Vec<f64>>,
}

/// Whether every layer of a model attends within one sequence of tokens, so that there is something
/// to show for each.
#[must_use]
pub fn is_supported(info: &ModelInfo) -> bool {
    let has = |l| info.sites().contains(&Site::AttentionProbabilities(l));
    let apart = info.decoder.is_some() || info.task == Task::SentenceSimilarity;
    info.layers > 0 && !apart && (0..info.layers).all(has)
}

/// The tokens whose attention is to be looked at: of a long context, the window with the answer.
///
/// # Errors
/// If the model has no such attention, the input lacks what the task needs, or it is too long.
pub fn encode(
    model: &dyn Model,
    input: &Input,
    options: &TaskOptions,
    progress: &dyn Progress,
) -> Result<Encoding> {
    let unsupported = || Error::Input {
        what: format!("{}: no attention within one sequence of tokens", model.info().id),
        hint: "choose a model whose layers all attend to one text: an encoder or a decoder alone"
            .to_owned(),
    };
    if !is_supported(model.info()) {
        return Err(unsupported());
    }
    let mut windows = tasks::of(model).encode(model, input, options)?;
    let encoding = match windows.len() {
        1 => windows.remove(0),
        _ => predict(model, input, options, progress)?.encoding,
    };
    // Two texts that are read apart attend apart.
    if encoding.second.is_some() { Err(unsupported()) } else { Ok(encoding) }
}

impl Attention {
    /// Reads the attention of every layer in one pass.
    ///
    /// # Errors
    /// If the model lacks a layer's attention, a number is not finite, or the caller cancelled.
    pub fn of(model: &dyn Model, encoding: Encoding, progress: &dyn Progress) -> Result<Self> {
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let sites: Vec<Site> = (0..model.info().layers).map(Site::AttentionProbabilities).collect();
        let mut trace = sites.iter().fold(Trace::new(), |trace, &site| trace.keep(site));
        let batch = Batch::repeat(&encoding, 1);
        model.forward(&model.embed(&batch)?, &batch, &mut trace)?;
        progress.evaluated(1);
        let n = encoding.tokens.len();
        let mut heads = model.info().heads;
        let mut layers = Vec::with_capacity(sites.len());
        for site in sites {
            let value = trace.value(site)?;
            // Heads may differ from what the configuration says of the others: the tensor knows.
            heads = value.dim(1)?;
            let layer: Vec<f64> = value.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
            if layer.len() != heads * n * n || layer.iter().any(|p| !p.is_finite()) {
                return Err(Error::NotFinite { what: "attention", at: format!(" at {site}") });
            }
            layers.push(layer);
        }
        Ok(Self { encoding, heads, layers })
    }

    /// The number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.encoding.tokens.len()
    }

    /// Where each token's final representation was read from, if attention were all that moves
    /// anything: row-major `[queries, keys]`, each row sums to 1.
    ///
    /// The product over the layers of `½ Ā + ½ I`, Ā the mean over heads and I what the residual
    /// carries on (Abnar & Zuidema 2020, arXiv:2005.00928, section 3.1).
    #[must_use]
    pub fn rollout(&self) -> Vec<f64> {
        let n = self.tokens();
        let mut rolled = identity(n);
        if n == 0 {
            return rolled;
        }
        for layer in &self.layers {
            let mixed = self.mixed(layer);
            rolled = product(&mixed, &rolled, n);
        }
        rolled
    }

    /// `½ Ā + ½ I` of a layer, with rows that sum to 1.
    fn mixed(&self, layer: &[f64]) -> Vec<f64> {
        let n = self.tokens();
        let mut mixed = identity(n);
        for head in layer.chunks(n * n) {
            for (sum, p) in mixed.iter_mut().zip(head) {
                *sum += p / self.heads as f64;
            }
        }
        for row in mixed.chunks_mut(n) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        mixed
    }
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect()
}

/// `A B` of square matrices, row-major.
fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for (row, out) in a.chunks(n).zip(out.chunks_mut(n)) {
        for (&x, line) in row.iter().zip(b.chunks(n)) {
            if x != 0.0 {
                out.iter_mut().zip(line).for_each(|(out, y)| *out += x * y);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_models::Token;
    use proptest::prelude::*;

    /// Tokens without a text.
    fn encoding(n: usize) -> Encoding {
        let token = |id| Token {
            id,
            text: String::new(),
            start: 0,
            end: 0,
            word: None,
            special: true,
            field: 0,
            segment: 0,
        };
        let tokens = (0..n as u32).map(token).collect();
        Encoding { tokens, fields: Vec::new(), truncated: 0, second: None }
    }

    fn attention(n: usize, heads: usize, layers: Vec<Vec<f64>>) -> Attention {
        Attention { encoding: encoding(n), heads, layers }
    }

    #[test]
    fn one_layer_is_the_mean_of_its_heads_and_the_residual() {
        // Two heads over two tokens: rows (1, 0), (½, ½) and (0, 1), (1, 0).
        let layer = vec![1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 0.0];
        let rollout = attention(2, 2, vec![layer]).rollout();
        assert_eq!(rollout, [0.75, 0.25, 0.375, 0.625]);
    }

    #[test]
    fn two_layers_multiply_the_later_one_first() {
        // Layer 0: token 1 reads token 0. Layer 1: token 0 reads token 1.
        let first = vec![1.0, 0.0, 1.0, 0.0];
        let second = vec![0.0, 1.0, 0.0, 1.0];
        let rollout = attention(2, 1, vec![first, second]).rollout();
        // ½ (first row of I + second row of ½ A₀ + ½ I): ½ (1, 0) + ½ (½, ½).
        assert_eq!(rollout, [0.75, 0.25, 0.5, 0.5]);
    }

    #[test]
    fn tokens_that_read_only_themselves_stay_themselves() {
        let layer = [identity(3), identity(3)].concat();
        assert_eq!(attention(3, 2, vec![layer.clone(), layer]).rollout(), identity(3));
        assert_eq!(attention(2, 1, Vec::new()).rollout(), identity(2));
    }

    proptest! {
        #[test]
        fn rows_of_a_rollout_are_shares(
            weights in proptest::collection::vec(0.01..1.0_f64, 3 * 2 * 4 * 4),
        ) {
            let mut layers: Vec<Vec<f64>> = weights.chunks(2 * 4 * 4).map(<[f64]>::to_vec).collect();
            for row in layers.iter_mut().flat_map(|layer| layer.chunks_mut(4)) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|x| *x /= sum);
            }
            for row in attention(4, 2, layers).rollout().chunks(4) {
                // Rounding of three products of four terms.
                prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14);
                prop_assert!(row.iter().all(|&x| x >= 0.0));
            }
        }
    }
}
