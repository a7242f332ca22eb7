//! Leave one out.

use glossator_models::ModelInfo;

use crate::baseline::{BASELINE, Baseline, SPECIAL_TOKENS};
use crate::error::Result;
use crate::method::{Attribution, Method, MethodInfo, Settings};
use crate::registry::Entry;
use crate::subject::Subject;

/// `F(x) - F(x without t)` for each token t, its embedding replaced by the baseline's.
#[derive(Debug, Clone, Default)]
pub struct Occlusion {
    /// What stands in place of the token.
    pub baseline: Baseline,
}

static INFO: MethodInfo = MethodInfo {
    id: "occlusion",
    name: "Occlusion",
    meaning: "How much the output falls when a token's embedding is replaced by the baseline's, \
              exactly and one token at a time.",
    caution: "Does not see what two tokens do together; the scores need not sum to anything.",
    citation: "Zeiler & Fergus 2014, arXiv:1311.2901; Li, Monroe & Jurafsky 2016, arXiv:1612.08220",
    cost: "1 forward pass a token",
    parameters: &[BASELINE, SPECIAL_TOKENS],
    allennlp: None,
};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: &INFO,
    build: |options| Ok(Box::new(Occlusion { baseline: Baseline::from_options(options)? })),
    allennlp: None,
};

impl Method for Occlusion {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        self.baseline.settings().into()
    }

    fn settings_for(&self, info: &ModelInfo) -> Settings {
        self.baseline.resolved(info).settings().into()
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let (embeddings, width) = (subject.embeddings(), subject.width());
        let baseline = self.baseline.embeddings(subject)?;
        let rows = |x: &[f64], t: usize| t * width..((t + 1) * width).min(x.len());
        // A token that is its own baseline changes nothing: exactly 0, without a pass.
        let changed: Vec<usize> = (0..subject.tokens())
            .filter(|&t| embeddings[rows(embeddings, t)] != baseline[rows(&baseline, t)])
            .collect();
        // In their order: what stands before a token is the same for all those behind it.
        let without = subject.values_behind(&changed, |i, x| {
            x.copy_from_slice(embeddings);
            let range = rows(x, changed[i]);
            x[range.clone()].copy_from_slice(&baseline[range]);
        })?;
        let mut scores = vec![0.0; subject.tokens()];
        for (&t, value) in changed.iter().zip(without) {
            scores[t] = subject.output() - value;
        }
        Ok(Attribution::new(scores, subject.output(), 0))
    }
}
