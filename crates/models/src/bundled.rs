//! The models inside the binary.

use std::path::PathBuf;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::registry::{self, LoadOptions};
use crate::text::Tokenizer;

/// A model whose files are compiled into the library.
pub struct Bundled {
    /// What it is called.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Under which licence, as a SPDX identifier.
    pub license: &'static str,
    config: &'static [u8],
    tokenizer: &'static [u8],
    weights: &'static [u8],
}

impl Bundled {
    /// Bytes of its weights.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.weights.len() as u64
    }
}

macro_rules! file {
    ($model:literal, $name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/", $model, "/", $name))
    };
}

/// Every bundled model; the first is the default.
pub static BUNDLED: &[Bundled] = &[Bundled {
    id: "sentiment-en",
    summary: "is an English sentence of a review positive or negative?",
    license: "Apache-2.0",
    config: file!("sentiment-en", "config.json"),
    tokenizer: file!("sentiment-en", "tokenizer.json"),
    weights: file!("sentiment-en", "model.safetensors"),
}];

/// Loads a bundled model.
///
/// # Errors
/// None that a user can cause: a test loads every bundled model.
pub fn load_bundled(bundled: &Bundled, options: &LoadOptions) -> Result<Box<dyn Model>> {
    let config = Config::parse(PathBuf::from("config.json"), bundled.config)?;
    let (family, task) = registry::find(&config, false)?;
    let tokenizer = Tokenizer::from_bytes(bundled.tokenizer)?;
    let checkpoint = Checkpoint::from_static("model.safetensors", bundled.weights)?;
    let id = bundled.id.to_owned();
    let source = registry::Source {
        id,
        config: &config,
        checkpoint,
        tokenizer,
        sentence: None,
        stop_ids: Vec::new(),
        variables: &[],
    };
    source.assemble(family, task, options)
}
