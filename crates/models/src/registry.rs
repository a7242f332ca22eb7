//! The list of model families, and opening a model directory.

use std::path::Path;

use glossator_ops::{DType, Device, Var};

use crate::architectures::words::WordModel;
use crate::architectures::{Core, EncoderDecoder, Parts, Plan, SentenceEncoder, SingleStack};
use crate::checkpoint::adapter::{self, Adapter};
use crate::checkpoint::gguf::{self, Gguf};
use crate::checkpoint::{Checkpoint, exists, read_file};
use crate::config::Config;
use crate::error::{Error, Result, clip};
use crate::families;
use crate::heads::Pooling;
use crate::model::{Labels, Model, ModelInfo, Problem, Task};
use crate::sentence::SentenceSettings;
use crate::text::Tokenizer;
use crate::weights::Weights;

/// Every family that can be loaded. A new one is one line here and one file in `families/`.
pub static FAMILIES: &[&Family] = &[
    &families::bert::FAMILY,
    &families::roberta::ROBERTA,
    &families::roberta::XLM_ROBERTA,
    &families::distilbert::FAMILY,
    &families::electra::FAMILY,
    &families::albert::FAMILY,
    &families::mpnet::FAMILY,
    &families::deberta_v2::FAMILY,
    &families::modernbert::FAMILY,
    &families::gpt2::FAMILY,
    &families::gpt_neox::FAMILY,
    &families::llama::FAMILY,
    &families::mistral::FAMILY,
    &families::qwen::QWEN2,
    &families::qwen::QWEN3,
    &families::gemma::GEMMA2,
    &families::gemma::GEMMA3,
    &families::t5::FAMILY,
    &families::bart::BART,
    &families::bart::MARIAN,
    &families::classic::FAMILY,
];

/// A model family.
pub struct Family {
    /// The name in the wire format.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// Values of `model_type` in `config.json`.
    pub model_types: &'static [&'static str],
    /// Values of `architectures` in `config.json`, with the tasks that they are for.
    pub architectures: &'static [(&'static str, Task)],
    /// What names of tensors begin with, except where a bare model was saved.
    pub prefix: &'static str,
    /// Makes the parts of a checkpoint.
    pub build: Build,
}

/// How a family makes its parts.
#[derive(Clone, Copy)]
pub enum Build {
    /// Transformer layers.
    Layers(fn(&Builder<'_>) -> Result<Parts>),
    /// Whatever the configuration says.
    Any(fn(&Builder<'_>) -> Result<Plan>),
}

impl Build {
    /// Makes the parts.
    ///
    /// # Errors
    /// If the configuration is wrong, or tensors do not fit it.
    pub fn run(self, builder: &Builder<'_>) -> Result<Plan> {
        match self {
            Self::Layers(build) => Ok(Plan::Layers(build(builder)?)),
            Self::Any(build) => build(builder),
        }
    }
}

impl Family {
    /// The tasks that it can do, each once.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        Task::ALL
            .into_iter()
            .filter(|task| self.architectures.iter().any(|(_, t)| t == task))
            .collect()
    }
}

/// What a family makes its parts of.
pub struct Builder<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The tensors.
    pub weights: &'a Weights<'a>,
    /// The task that the checkpoint was saved for.
    pub task: Task,
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

/// Opens a Hugging Face model directory (`config.json`, a tokenizer, weights), a GGUF file or a
/// directory with one, or a LoRA adapter whose base model is one of these.
///
/// # Errors
/// If a part is missing, damaged, or of a kind that is not supported; the error says which.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>> {
    let opened = open_any(path)?;
    let Opened { id, config, checkpoint, tokenizer, sentence, stop_ids, family, task } = opened;
    let config = &config;
    let source = Source { id, config, checkpoint, tokenizer, sentence, stop_ids, variables: &[] };
    source.assemble(family, task, options)
}

/// What a model is, by its configuration alone: no weights are read.
///
/// # Errors
/// If the configuration is missing, damaged, or names a family or task that is not supported.
pub fn identify(path: &Path) -> Result<(&'static Family, Task)> {
    if adapter::is_one(path)? {
        let opened = open_adapter(path)?;
        return Ok((opened.family, opened.task));
    }
    if let Some(file) = gguf::find(path)? {
        let bytes = gguf::map(&file)?;
        let config = Gguf::read(&file, bytes.as_slice())?.config(bytes.as_slice())?;
        return find(&config, false);
    }
    let config = Config::open(path)?;
    find(&config, SentenceSettings::open(path)?.is_some())
}

/// A model whose files have been found and checked.
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) config: Config,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) sentence: Option<SentenceSettings>,
    pub(crate) stop_ids: Vec<u32>,
    pub(crate) family: &'static Family,
    pub(crate) task: Task,
}

/// Opens a directory, a GGUF file or an adapter.
pub(crate) fn open_any(path: &Path) -> Result<Opened> {
    if adapter::is_one(path)? { open_adapter(path) } else { open(path) }
}

fn open(path: &Path) -> Result<Opened> {
    if let Some(file) = gguf::find(path)? {
        return open_gguf(&file);
    }
    let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !metadata.is_dir() {
        return Err(Error::NotADirectory { path: path.to_owned() });
    }
    let config = Config::open(path)?;
    let sentence = SentenceSettings::open(path)?;
    let (family, task) = find(&config, sentence.is_some())?;
    let tokenizer = Tokenizer::from_dir(path)?;
    let checkpoint = Checkpoint::open(path)?;
    let (id, stop_ids) = (name_of(path)?, stop_ids(path)?);
    Ok(Opened { id, config, checkpoint, tokenizer, sentence, stop_ids, family, task })
}

/// Opens a GGUF file, which holds all parts.
fn open_gguf(path: &Path) -> Result<Opened> {
    let bytes = gguf::map(path)?;
    let file = Gguf::read(path, bytes.as_slice())?;
    let config = file.config(bytes.as_slice())?;
    let (family, task) = find(&config, false)?;
    let tokenizer = Tokenizer::from_gguf(file.metadata())?;
    let checkpoint = file.checkpoint(&bytes)?;
    let id = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let (sentence, stop_ids) = (None, Vec::new());
    Ok(Opened { id, config, checkpoint, tokenizer, sentence, stop_ids, family, task })
}

/// The tokens that end a generated text, as `generation_config.json` names them; it may name more
/// than the configuration does.
fn stop_ids(dir: &Path) -> Result<Vec<u32>> {
    let path = dir.join("generation_config.json");
    if !exists(&path)? {
        return Ok(Vec::new());
    }
    let bytes = read_file(&path, 1 << 20, "a configuration")?;
    Config::parse(path, &bytes)?.ids("eos_token_id")
}

/// Opens the model that an adapter is for, and changes it.
fn open_adapter(dir: &Path) -> Result<Opened> {
    let adapter = Adapter::open(dir)?;
    let settings = adapter.settings();
    let base = dir.join(adapter.base()?);
    let no_base = || {
        let base = clip(adapter.base().unwrap_or_default().to_owned());
        Error::NoBase { path: settings.path().to_owned(), base }
    };
    let base = if exists(&base)? {
        base
    } else {
        let named = crate::hub::ModelId::parse(adapter.base()?).map_err(|_| no_base())?;
        crate::hub::Hub::from_env()?.find(&named)?
    };
    if adapter::is_one(&base)? {
        return Err(settings.unsupported("base_model_name_or_path", "a model, not an adapter"));
    }
    let mut opened = open(&base)?;
    let replaced = opened.checkpoint.adapt(&adapter, opened.family.prefix)?;
    let task = match settings.string("task_type")? {
        Some("SEQ_CLS") => Some(Task::TextClassification),
        Some("TOKEN_CLS") => Some(Task::TokenClassification),
        Some("QUESTION_ANS") => Some(Task::QuestionAnswering),
        _ => None,
    };
    if let Some(task) = task.filter(|&task| task != opened.task) {
        let known = opened.family.tasks().contains(&task);
        opened.task = known.then_some(task).ok_or_else(|| {
            settings.unsupported("task_type", "a task that the base model's family has")
        })?;
    }
    // A new head is not described anywhere but by its shape.
    let config = &mut opened.config;
    if config.is_absent("id2label") && config.is_absent("num_labels") {
        let shape =
            |name: &String| opened.checkpoint.describe(name).map(|(shape, _)| shape.to_vec());
        let head =
            replaced.iter().filter(|name| ["score", "classifier"].iter().any(|h| name.contains(h)));
        let rows = head.filter_map(shape).find_map(|shape| (shape.len() == 2).then(|| shape[0]));
        if let Some(rows) = rows {
            config.set("num_labels", rows.into());
        }
    }
    if replaced.iter().any(|name| name == "lm_head.weight") {
        config.set("tie_word_embeddings", false.into());
    }
    if exists(&dir.join("tokenizer.json"))? {
        opened.tokenizer = Tokenizer::from_dir(dir)?;
    }
    opened.id = name_of(dir)?;
    Ok(opened)
}

/// What a directory is called, wherever it is named from.
fn name_of(dir: &Path) -> Result<String> {
    let canonical = dir.canonicalize().map_err(|error| Error::io(dir, error))?;
    let name = canonical.file_name().unwrap_or(canonical.as_os_str());
    Ok(name.to_string_lossy().into_owned())
}

/// The parts of a model directory.
pub(crate) struct Source<'a> {
    pub(crate) id: String,
    pub(crate) config: &'a Config,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) sentence: Option<SentenceSettings>,
    /// The tokens that end a generated text, where a file of its own names them.
    pub(crate) stop_ids: Vec<u32>,
    /// Tensors that are there already; the checkpoint has the others.
    pub(crate) variables: &'a [(String, Var)],
}

impl Source<'_> {
    pub(crate) fn assemble(
        self,
        family: &'static Family,
        task: Task,
        options: &LoadOptions,
    ) -> Result<Box<dyn Model>> {
        let weights = Weights::new(&self.checkpoint, options.clone(), family.prefix)
            .with_variables(self.variables);
        let builder = Builder { config: self.config, weights: &weights, task };
        let plan = family.build.run(&builder)?;
        let (parameters, trained) = (weights.parameters(), weights.into_trained());
        let limit = self.tokenizer.model_max_length().unwrap_or(usize::MAX);
        let mut info = ModelInfo {
            id: self.id,
            family: family.id,
            task,
            labels: Labels { names: vec!["similarity".to_owned()], problem: Problem::Regression },
            width: 0,
            layers: 0,
            decoder: None,
            heads: 1,
            vocab_size: 0,
            max_tokens: limit,
            window: None,
            reads_pairs: task == Task::SentenceSimilarity,
            parameters,
            norms_embeddings: false,
            dtype: options.dtype,
            sites: Vec::new().into(),
        };
        let parts = match plan {
            Plan::Layers(parts) => parts,
            Plan::Words(words) => {
                words.describe(&mut info);
                let (tokenizer, checkpoint) = (self.tokenizer, self.checkpoint);
                let core = Core { info, tokenizer, checkpoint, trained };
                core.check()?;
                return Ok(Box::new(WordModel::new(core, words, self.stop_ids)));
            }
        };
        parts.describe(&mut info);
        let mut core =
            Core { info, tokenizer: self.tokenizer, checkpoint: self.checkpoint, trained };
        core.check()?;
        let Parts { embeddings, stack, decoder, head, stop_ids, .. } = parts;
        let stop_ids = if self.stop_ids.is_empty() { stop_ids } else { self.stop_ids };
        Ok(match (head, decoder) {
            (Some(head), Some(decoder)) => {
                Box::new(EncoderDecoder { core, embeddings, stack, decoder, head, stop_ids })
            }
            (Some(head), None) => Box::new(SingleStack { core, embeddings, stack, head, stop_ids }),
            (None, _) => {
                let settings = self.sentence.unwrap_or_default();
                if let Some(limit) = settings.max_tokens {
                    core.info.max_tokens = core.info.max_tokens.min(limit);
                }
                let pooling = settings.pooling.unwrap_or(Pooling::Mean);
                Box::new(SentenceEncoder { core, embeddings, stack, pooling })
            }
        })
    }
}

/// The family that a configuration names, and the task. `sentence`: the directory says that texts
/// are to be compared.
pub(crate) fn find(config: &Config, sentence: bool) -> Result<(&'static Family, Task)> {
    let model_type = config.string("model_type")?;
    let architecture = config.architecture();
    let has = |family: &Family, name| family.architectures.iter().any(|(known, _)| *known == name);
    let family = FAMILIES.iter().find(|family| match model_type {
        Some(model_type) => family.model_types.contains(&model_type),
        None => architecture.is_some_and(|name| has(family, name)),
    });
    let path = config.path().to_owned();
    let Some(family) = family else {
        let Some(got) = model_type.or(architecture) else {
            return Err(config.bad("model_type", "the name of a model family"));
        };
        return Err(Error::UnknownFamily { path, got: clip(got.to_owned()) });
    };
    let compares = family.architectures.iter().any(|(_, t)| *t == Task::SentenceSimilarity);
    if sentence && compares {
        return Ok((family, Task::SentenceSimilarity));
    }
    // A file without a name gets the family's first.
    let name = architecture.unwrap_or(family.architectures[0].0);
    match family.architectures.iter().find(|(known, _)| *known == name) {
        Some(&(_, task)) => Ok((family, task)),
        None => {
            let supported = family.architectures.iter().map(|(name, _)| *name).collect();
            Err(Error::UnknownArchitecture { path, got: clip(name.to_owned()), supported })
        }
    }
}
