//! The models that a server was started with, each read when it is first asked for.
//!
//! Nothing that a client writes is ever a path: a request names one of these, or nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use glossator_interpret::{attention, uses};
use glossator_models::{
    Bundled, LoadOptions, Model, ModelInfo, Task, load, load_bundled, registry,
};
use glossator_view::wire::ModelEntry;

use crate::card::Card;
use crate::examples;
use crate::problem::{Code, Failure};

/// Where a model is.
#[derive(Clone)]
pub enum Location {
    /// Inside the program.
    Bundled(&'static Bundled),
    /// A directory or a GGUF file.
    Path(PathBuf),
}

/// Models by the names that requests call them; the first is the default.
#[derive(Clone, Default)]
pub struct Catalogue {
    entries: Vec<Arc<Entry>>,
}

/// One model.
pub(crate) struct Entry {
    pub(crate) id: String,
    location: Location,
    bytes: u64,
    card: Card,
    loaded: Mutex<Option<Arc<Loaded>>>,
    known: Mutex<Option<Known>>,
}

/// A model that is ready.
pub(crate) struct Loaded {
    pub(crate) model: Arc<dyn Model>,
    sha256: OnceLock<String>,
}

impl Loaded {
    /// The digest of its weights; the first call reads them.
    pub(crate) fn sha256(&self) -> String {
        self.sha256.get_or_init(|| self.model.sha256()).clone()
    }
}

/// What is known of a model without having it at hand.
#[derive(Clone)]
enum Known {
    /// It was read once; a masked language model has a name for masks.
    Whole(Box<ModelInfo>, Option<String>),
    /// It is large: its configuration alone was read.
    Half(&'static str, Task),
    /// Why it cannot be used.
    Not(String),
}

/// A file of weights beyond this is not read only to tell of it.
const LARGE: u64 = 1 << 30;

impl Catalogue {
    /// No models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model. The first of a name is the one that is found.
    pub fn add(&mut self, id: impl Into<String>, location: Location) {
        let id = id.into();
        if self.entries.iter().any(|entry| entry.id == id) {
            return;
        }
        let (bytes, card) = match &location {
            Location::Bundled(bundled) => {
                let license = Some(bundled.license.to_owned());
                let description = bundled.summary.to_owned();
                (bundled.bytes(), Card { description, license })
            }
            Location::Path(path) => (size(path), Card::beside(path)),
        };
        let (loaded, known) = (Mutex::default(), Mutex::default());
        self.entries.push(Arc::new(Entry { id, location, bytes, card, loaded, known }));
    }

    /// The names, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.id.as_str())
    }

    /// The model of a name; without one the default.
    pub(crate) fn find(&self, id: Option<&str>) -> Result<&Arc<Entry>, Failure> {
        let found = match id {
            None => self.entries.first(),
            Some(id) => self.entries.iter().find(|entry| entry.id == id),
        };
        found.ok_or_else(|| {
            let detail = match id {
                Some(id) => format!("{id:?}: no model of that name"),
                None => "the server has no models".to_owned(),
            };
            Failure::new(Code::UnknownModel, detail).with_hint("`GET /v1/models` lists them")
        })
    }

    /// Learns what can be told of each model. It may take seconds.
    pub(crate) fn survey(&self) {
        for (place, entry) in self.entries.iter().enumerate() {
            // The default will be asked for; the others are let go again.
            let keep = place == 0 || matches!(entry.location, Location::Bundled(_));
            entry.survey(keep);
        }
    }

    /// What is told of the models.
    pub(crate) fn list(&self) -> Vec<ModelEntry> {
        self.entries.iter().enumerate().map(|(i, entry)| entry.tell(i == 0)).collect()
    }
}

impl Entry {
    /// The model, read now if it was not before.
    pub(crate) fn load(&self) -> Result<Arc<Loaded>, Failure> {
        let mut loaded = lock(&self.loaded);
        if let Some(loaded) = loaded.as_ref() {
            return Ok(Arc::clone(loaded));
        }
        let model = self.read()?;
        *lock(&self.known) = Some(whole(model.as_ref()));
        Ok(Arc::clone(loaded.insert(Arc::new(Loaded { model, sha256: OnceLock::new() }))))
    }

    fn read(&self) -> Result<Arc<dyn Model>, Failure> {
        let options = LoadOptions::default();
        let model = match &self.location {
            Location::Bundled(bundled) => load_bundled(bundled, &options),
            Location::Path(path) => load(path, &options),
        };
        model.map(Arc::from).map_err(|error| {
            // The message may name paths of this machine, which are none of a client's business.
            let place = match &self.location {
                Location::Path(path) => path.display().to_string(),
                Location::Bundled(_) => String::new(),
            };
            let what = error.to_string().replace(&place, &self.id);
            Failure::new(Code::ModelUnusable, what)
        })
    }

    fn survey(&self, keep: bool) {
        let known = match &self.location {
            Location::Path(path) if self.bytes > LARGE => match registry::identify(path) {
                Ok((family, task)) => Known::Half(family.id, task),
                Err(error) => Known::Not(error.to_string()),
            },
            _ if keep => match self.load() {
                Ok(_) => return,
                Err(failure) => Known::Not(failure.problem().detail),
            },
            _ => match self.read() {
                Ok(model) => whole(model.as_ref()),
                Err(failure) => Known::Not(failure.problem().detail),
            },
        };
        lock(&self.known).get_or_insert(known);
    }

    fn tell(&self, default: bool) -> ModelEntry {
        let known = lock(&self.known).clone();
        let mut entry = ModelEntry {
            id: self.id.clone(),
            family: String::new(),
            task: String::new(),
            labels: Vec::new(),
            parameters: None,
            bytes: self.bytes,
            description: self.card.description.clone(),
            license: self.card.license.clone(),
            default,
            fields: Vec::new(),
            attention: false,
            layers: None,
            heads: None,
            max_tokens: None,
            examples: Vec::new(),
            problem: None,
        };
        let mut mask = None;
        let task = match known {
            None => return entry,
            Some(Known::Not(problem)) => {
                entry.problem = Some(problem);
                return entry;
            }
            Some(Known::Half(family, task)) => {
                family.clone_into(&mut entry.family);
                task
            }
            Some(Known::Whole(info, name)) => {
                mask = name;
                info.family.clone_into(&mut entry.family);
                entry.attention = attention::is_supported(&info);
                entry.parameters = Some(info.parameters);
                entry.layers = Some(info.layers);
                entry.heads = Some(info.heads);
                // A model without positions reads any number.
                entry.max_tokens = Some(info.max_tokens).filter(|&most| most < usize::MAX);
                entry.labels = info.labels.names;
                info.task
            }
        };
        task.id().clone_into(&mut entry.task);
        entry.fields = fields(task).map(str::to_owned).collect();
        entry.examples = examples::of(&self.id, task, mask.as_deref());
        entry
    }
}

/// What is known of a model that was read.
fn whole(model: &dyn Model) -> Known {
    let tokenizer = model.tokenizer();
    let mask = tokenizer.mask_token().and_then(|id| tokenizer.id_to_token(id));
    Known::Whole(Box::new(model.info().clone()), mask)
}

/// The keys of an input that a task has a use for.
fn fields(task: Task) -> impl Iterator<Item = &'static str> {
    let text = if task == Task::QuestionAnswering { "context" } else { "text" };
    let others = ["pair", "question", "continuation"];
    std::iter::once(text).chain(others.into_iter().filter(move |name| uses::fits(name, task)))
}

/// Bytes of the weights at a path.
fn size(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let Ok(entries) = std::fs::read_dir(path) else { return length(path) };
    let files = entries.flatten().map(|entry| entry.path());
    let weights = files.filter(|file| {
        let end = file.extension().and_then(|end| end.to_str());
        matches!(end, Some("safetensors" | "bin" | "gguf"))
    });
    weights.map(|file| length(&file)).sum()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
