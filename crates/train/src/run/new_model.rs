//! Models that begin from nothing: an architecture, and a vocabulary of the texts to learn from.

use std::path::PathBuf;

use glossator_models::classic::Architecture;
use glossator_models::text::{Found, Marks, Unit, build_vocabulary, fill_vectors};
use glossator_models::{Problem, Task, Trainable};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::optimizer::in_place;

/// A model that is to be made.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its layers.
    pub architecture: &'static Architecture,
    /// Values in the places of those of the architecture's configuration.
    pub overrides: Value,
    /// What a token is.
    pub unit: Unit,
    /// Tokens of the vocabulary at most, special ones included.
    pub vocabulary: usize,
    /// How often a token must occur to have a place in it.
    pub min_count: usize,
    /// Whether letter case is dropped.
    pub lowercase: bool,
    /// What is put around texts; else nothing, and of a decoder what it needs.
    pub marks: Option<Marks>,
    /// A file of word vectors that the embeddings begin with.
    pub vectors: Option<PathBuf>,
}

/// What a new model is made for and of.
pub(super) struct Ingredients<'a> {
    pub(super) task: Task,
    pub(super) labels: Vec<String>,
    pub(super) problem: Problem,
    pub(super) seed: u64,
    pub(super) texts: Box<dyn Iterator<Item = Result<String>> + 'a>,
}

/// The word embeddings of all architectures.
const WORDS: &str = "embedding.words.weight";

impl NewModel {
    /// A model of an architecture with the usual settings.
    #[must_use]
    pub fn new(architecture: &'static Architecture) -> Self {
        Self {
            architecture,
            overrides: Value::Null,
            unit: Unit::Word,
            vocabulary: 20_000,
            min_count: 1,
            lowercase: false,
            marks: None,
            vectors: None,
        }
    }

    /// Makes the model; what was found of its vocabulary among the word vectors.
    pub(super) fn make(&self, with: Ingredients<'_>) -> Result<(Trainable, Option<Found>)> {
        let marks = self.marks.unwrap_or(match with.task {
            Task::Seq2SeqLm => Marks::Decoder,
            _ => Marks::None,
        });
        let mut failed = None;
        // Ends at the first error, which is looked at behind it.
        let texts = with.texts.map_while(|text| text.map_err(|error| failed = Some(error)).ok());
        let (size, least) = (self.vocabulary, self.min_count);
        let tokenizer = build_vocabulary(texts, self.unit, size, least, self.lowercase, marks)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let size = glossator_models::Tokenizer::from_bytes(&tokenizer)?.vocab_size();
        let mut config =
            self.architecture.config(with.task, &with.labels, size, &self.overrides)?;
        let problem = match with.problem {
            Problem::SingleLabel => None,
            Problem::MultiLabel => Some("multi_label_classification"),
            Problem::Regression => Some("regression"),
        };
        if let (Some(problem), Some(config)) = (problem, config.as_object_mut()) {
            config.insert("problem_type".to_owned(), problem.into());
        }
        let trainable = Trainable::from_config(config, &tokenizer, with.seed)?;
        let found = match &self.vectors {
            Some(path) => {
                let words = trainable.variables().iter().find(|(name, _)| name == WORDS);
                let Some((_, words)) = words else {
                    let what = format!("{} has no word embeddings", self.architecture.id);
                    return Err(Error::settings(what, "leave out --vectors"));
                };
                let width = words.dims2()?.1;
                let mut filled = Ok(Found { tokens: 0, of: 0 });
                in_place(words, |table| {
                    filled = fill_vectors(path, trainable.tokenizer(), width, table);
                })?;
                Some(filled?)
            }
            None => None,
        };
        Ok((trainable, found))
    }
}
