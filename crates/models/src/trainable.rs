//! Models whose weights are variables: where training starts from, and what it leaves.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use glossator_ops::{DType, Var};
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, exists, read_file};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Model, Problem, Task};
use crate::registry::{self, Builder, Family, LoadOptions, Opened, Parameters, Source};
use crate::sentence::SentenceSettings;
use crate::text::Tokenizer;
use crate::weights::Weights;

/// What is to become of a model that is trained further.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another task than the one it was saved for: it gets a new head.
    pub task: Option<Task>,
    /// Other labels.
    pub labels: Option<Vec<String>>,
    /// How the labels are read.
    pub problem: Option<Problem>,
    /// What tensors are drawn from that the model does not have yet.
    pub seed: u64,
}

/// The type in which weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// 32 bits.
    F32,
    /// 16 bits with 5 of exponent: half the size.
    F16,
}

/// A model whose weights are variables in 32 bits.
///
/// ```no_run
/// # use glossator_models::{Change, Stored, Task, Trainable};
/// # fn main() -> glossator_models::Result<()> {
/// let change = Change { task: Some(Task::TextClassification), ..Change::default() };
/// let trainable = Trainable::from_dir("all-MiniLM-L6-v2".as_ref(), &change)?;
/// let model = trainable.model()?; // a forward pass and its loss; then change the variables
/// trainable.save("my-classifier".as_ref(), Stored::F32)?;
/// # Ok(())
/// # }
/// ```
pub struct Trainable {
    id: String,
    config: Config,
    tokenizer: Tokenizer,
    /// Files beside the weights that are passed on as they are.
    files: Vec<(&'static str, Vec<u8>)>,
    sentence: Option<SentenceSettings>,
    stop_ids: Vec<u32>,
    family: &'static Family,
    task: Task,
    variables: Vec<(String, Var)>,
}

/// Settings of the tokenizer and of generation: small, and true of the trained model too.
const PASSED_ON: [&str; 3] =
    ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"];

impl Trainable {
    /// Opens whatever [`load`](crate::load) opens. Tensors that a new task or new labels ask for
    /// are made anew; others that the files lack are too, so that a bare encoder can be trained.
    ///
    /// # Errors
    /// As for `load`, and if the family does not have the task.
    pub fn from_dir(path: &Path, change: &Change) -> Result<Self> {
        let opened = registry::open_any(path)?;
        let Opened { id, mut config, checkpoint, tokenizer, mut sentence, stop_ids, .. } = opened;
        let family = opened.family;
        let task = change.task.unwrap_or(opened.task);
        if task != opened.task {
            config.set("architectures", json!([architecture(family, task)?]));
            sentence = None;
        }
        if task != opened.task || change.labels.is_some() {
            config.remove("problem_type");
        }
        if let Some(labels) = &change.labels {
            set_labels(&mut config, labels);
        }
        if let Some(problem) = change.problem {
            config.set("problem_type", name_of(problem).into());
        }
        let mut files = Vec::new();
        for name in PASSED_ON {
            let file = path.join(name);
            if exists(&file)? {
                files.push((name, read_file(&file, 64 << 20, "settings")?));
            }
        }
        let mut trainable = Self {
            id,
            config,
            tokenizer,
            files,
            sentence,
            stop_ids,
            family,
            task,
            variables: Vec::new(),
        };
        trainable.read(&checkpoint, change.seed)?;
        Ok(trainable)
    }

    /// A new model of a configuration, all of whose tensors are drawn from a seed.
    ///
    /// # Errors
    /// If the configuration or the tokenizer cannot be used.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it for this")]
    pub fn from_config(config: Value, tokenizer_json: &[u8], seed: u64) -> Result<Self> {
        let path = PathBuf::from("config.json");
        let config = Config::parse(path.clone(), config.to_string().as_bytes())?;
        let (family, task) = registry::find(&config, false)?;
        let mut trainable = Self {
            id: family.id.to_owned(),
            config,
            tokenizer: Tokenizer::from_bytes(tokenizer_json)?,
            files: Vec::new(),
            sentence: None,
            stop_ids: Vec::new(),
            family,
            task,
            variables: Vec::new(),
        };
        trainable.read(&Checkpoint::empty(path), seed)?;
        Ok(trainable)
    }

    /// Makes the variables: the checkpoint's tensors, and new ones.
    fn read(&mut self, checkpoint: &Checkpoint, seed: u64) -> Result<()> {
        let weights = Weights::new(checkpoint, options(), self.family.prefix).initialising(seed);
        let builder = Builder { config: &self.config, weights: &weights, task: self.task };
        // The parts hold the variables of this moment; `model` makes them again.
        self.family.build.run(&builder)?;
        self.variables = weights.into_trained();
        // Everything else that can be wrong is told now, not after an hour.
        self.model().map(drop)
    }

    /// The model around the variables as they are now. Make it anew after they have changed: some
    /// families compute weights from their variables.
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn model(&self) -> Result<Box<dyn Model>> {
        let source = Source {
            id: self.id.clone(),
            config: &self.config,
            checkpoint: Checkpoint::empty(self.config.path().to_owned()),
            tokenizer: self.tokenizer.clone(),
            sentence: self.sentence.clone(),
            stop_ids: self.stop_ids.clone(),
            variables: &self.variables,
        };
        source.assemble(self.family, self.task, &options())
    }

    /// The variables, by the names of their tensors.
    #[must_use]
    pub fn variables(&self) -> &[(String, Var)] {
        &self.variables
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What it decides.
    #[must_use]
    pub fn task(&self) -> Task {
        self.task
    }

    /// Writes a directory that [`load`](crate::load) opens: `config.json`, `tokenizer.json` and what
    /// belongs to it, `model.safetensors`. Each file appears only when it is complete, the weights
    /// last.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, stored: Stored) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        let (dtype, name) = match stored {
            Stored::F32 => (DType::F32, "float32"),
            Stored::F16 => (DType::F16, "float16"),
        };
        let mut config = self.config.clone();
        config.remove("torch_dtype");
        config.set("dtype", name.into());
        write(dir, "config.json", &config.to_json())?;
        write(dir, "tokenizer.json", &self.tokenizer.to_json()?)?;
        for (name, bytes) in &self.files {
            write(dir, name, bytes)?;
        }
        let mut tensors = BTreeMap::new();
        for (name, var) in &self.variables {
            tensors.insert(name.as_str(), var.as_detached_tensor().to_dtype(dtype)?);
        }
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|error| {
            Error::weights(&dir.join("model.safetensors"), format!("cannot be written: {error}"))
        })?;
        write(dir, "model.safetensors", &bytes)
    }
}

/// Weights as variables, on the CPU.
fn options() -> LoadOptions {
    LoadOptions { parameters: Parameters::Trained, ..LoadOptions::default() }
}

/// What a checkpoint of this family and task calls itself.
fn architecture(family: &'static Family, task: Task) -> Result<&'static str> {
    let found = family.architectures.iter().find(|(_, known)| *known == task);
    found.map(|&(name, _)| name).ok_or_else(|| Error::NoSuchTask {
        family: family.id,
        task,
        tasks: family.tasks(),
    })
}

fn set_labels(config: &mut Config, labels: &[String]) {
    let names = labels.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name)));
    config.set("id2label", Value::Object(names.collect()));
    let ids = labels.iter().enumerate().map(|(i, name)| (name.clone(), json!(i)));
    config.set("label2id", Value::Object(ids.collect()));
    config.remove("num_labels");
}

/// As `problem_type` has it.
fn name_of(problem: Problem) -> &'static str {
    match problem {
        Problem::SingleLabel => "single_label_classification",
        Problem::MultiLabel => "multi_label_classification",
        Problem::Regression => "regression",
    }
}

/// Writes a file of a directory: under its name only when all of it is on the disk.
fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let fail = |error| Error::io(&path, error);
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    // A temporary file is for its owner alone; a model is for whoever may read the directory.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(fail)?;
    }
    file.persist(&path).map_err(|error| fail(error.error))?;
    Ok(())
}
