//! The list of model families, and opening a model directory.

use std::path::Path;

use glossator_ops::{DType, Device};

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::{Error, Result, clip};
use crate::families;
use crate::model::Model;
use crate::text::Tokenizer;

/// Every family that can be loaded. A new one is one line here and one file in `families/`.
pub static FAMILIES: &[&Family] = &[&families::bert::FAMILY];

/// Makes a model out of its name and the parts of its directory.
pub type Load = fn(String, &Config, Checkpoint, Tokenizer, &LoadOptions) -> Result<Box<dyn Model>>;

/// A model family.
pub struct Family {
    /// The name in the wire format.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// Values of `model_type` in `config.json`.
    pub model_types: &'static [&'static str],
    /// Values of `architectures` in `config.json`: the tasks that are supported.
    pub architectures: &'static [&'static str],
    /// Makes a model out of the parts of its directory.
    pub load: Load,
}

/// How the weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// As constants: explanations pay for input gradients only.
    Frozen,
    /// As variables, in [`Model::parameters`]: for training.
    Trained,
}

/// How to load a model.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The type to compute in, `F32` or `F64`, whatever type the file holds.
    pub dtype: DType,
    /// Where to compute.
    pub device: Device,
    /// How the weights are held.
    pub parameters: Parameters,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { dtype: DType::F32, device: Device::Cpu, parameters: Parameters::Frozen }
    }
}

/// Opens a Hugging Face model directory: `config.json`, a tokenizer, weights.
///
/// # Errors
/// If a part is missing, damaged, or of a kind that is not supported; the error says which.
pub fn load(dir: &Path, options: &LoadOptions) -> Result<Box<dyn Model>> {
    let metadata = std::fs::metadata(dir).map_err(|error| Error::io(dir, error))?;
    if !metadata.is_dir() {
        return Err(Error::NotADirectory { path: dir.to_owned() });
    }
    let config = Config::open(dir)?;
    let family = find(&config)?;
    let tokenizer = Tokenizer::from_dir(dir)?;
    let checkpoint = Checkpoint::open(dir)?;
    let canonical = dir.canonicalize().map_err(|error| Error::io(dir, error))?;
    let name = canonical.file_name().unwrap_or(canonical.as_os_str());
    (family.load)(name.to_string_lossy().into_owned(), &config, checkpoint, tokenizer, options)
}

/// The family that a configuration names.
pub(crate) fn find(config: &Config) -> Result<&'static Family> {
    let model_type = config.string("model_type")?;
    let architecture = config.architecture();
    let family = FAMILIES.iter().find(|family| match model_type {
        Some(model_type) => family.model_types.contains(&model_type),
        None => architecture.is_some_and(|name| family.architectures.contains(&name)),
    });
    let path = config.path().to_owned();
    let Some(family) = family else {
        let Some(got) = model_type.or(architecture) else {
            return Err(config.bad("model_type", "the name of a model family"));
        };
        return Err(Error::UnknownFamily { path, got: clip(got.to_owned()) });
    };
    match architecture {
        Some(name) if !family.architectures.contains(&name) => {
            let supported = family.architectures;
            Err(Error::UnknownArchitecture { path, got: clip(name.to_owned()), supported })
        }
        _ => Ok(family),
    }
}
