//! Words that the model itself holds for alike.

use super::{Constraint, ConstraintEntry, ConstraintInfo, Proposal};
use crate::attack::vocabulary::{Vocabulary, cosine};
use crate::method::{ParameterInfo, Setting, Settings};

/// The embeddings of the old and the new word point the same way.
#[derive(Debug, Clone, Copy)]
struct EmbeddingCosine {
    least: f64,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "embedding-cosine",
    meaning: "The model's own embeddings of the old and the new word have at least this cosine; \
              of a word of several tokens, their mean.",
    citation: "Ebrahimi, Rao, Lowd & Dou 2018, arXiv:1712.06751, which demands 0.8",
    parameters: &[ParameterInfo {
        name: "min-cosine",
        value: "X",
        help: "Least cosine of the old and the new word's embeddings, -1 to 1",
        default: "none; the paper has 0.8",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, _| {
        if options.text("min-cosine").is_none() {
            return Ok(None);
        }
        let valid = |x: &f64| (-1.0..=1.0).contains(x);
        let least = options.get("min-cosine", 0.8, "a number from -1 to 1", valid)?;
        Ok(Some(Box::new(EmbeddingCosine { least })))
    },
};

impl Constraint for EmbeddingCosine {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("min-cosine", Setting::Number(self.least))])
    }

    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        // What is inserted or deleted is like nothing.
        if proposal.vector.is_empty() || proposal.edit.to.trim().is_empty() {
            return false;
        }
        let similar = match proposal.place {
            Some(place) => cosine(proposal.vector, proposal.vocabulary.embedding(place)),
            None => {
                let text = format!(" {}", proposal.edit.to.trim());
                let ids = proposal.tokenizer.ids_of(&text).unwrap_or_default();
                cosine(proposal.vector, &mean(proposal.vocabulary, &ids))
            }
        };
        similar >= self.least
    }
}

/// The mean embedding of some tokens; empty if none of them stands for a text.
fn mean(vocabulary: &Vocabulary, ids: &[u32]) -> Vec<f32> {
    let places: Vec<usize> = ids.iter().filter_map(|&id| vocabulary.place(id)).collect();
    let mut sum: Vec<f32> = Vec::new();
    for &place in &places {
        let embedding = vocabulary.embedding(place);
        sum.resize(embedding.len(), 0.0);
        sum.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += x);
    }
    // The length of a sum does not change its direction.
    sum
}
