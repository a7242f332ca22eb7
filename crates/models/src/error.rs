//! What can go wrong between a model directory and a prediction.

use std::path::{Path, PathBuf};

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the file, tensor or token it happened to.
///
/// A message is one line: the thing, then what was expected and found. [`Error::hint`] gives the
/// line of what to do about it, where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open or read a file or directory.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A path that has to be a directory is something else.
    #[error("{}: not a directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },

    /// A path that has to be a file is a directory, a pipe or a device.
    #[error("{}: not a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// A model directory holds no weights that can be read.
    #[error("{}: no weights; looked for {}", .dir.display(), .looked_for.join(", "))]
    NoWeights {
        /// The model directory.
        dir: PathBuf,
        /// The file names that were tried.
        looked_for: &'static [&'static str],
        /// A file of weights in a format that is not read.
        found: Option<String>,
    },

    /// A directory holds several models in one file each.
    #[error("{}: {count} GGUF files and no config.json", .dir.display())]
    SeveralModels {
        /// The directory.
        dir: PathBuf,
        /// The number of files.
        count: usize,
        /// The first of them.
        first: PathBuf,
    },

    /// The model that an adapter changes is not there.
    #[error("{}: the base model {base:?} is not there", .path.display())]
    NoBase {
        /// The adapter's settings.
        path: PathBuf,
        /// What they call the model.
        base: String,
    },

    /// What should name a model on the hub does not.
    #[error("{id:?} is not the id of a model")]
    BadModelId {
        /// The text.
        id: String,
    },

    /// The environment does not say where the cache of models is.
    #[error("no directory for the cache of models")]
    NoCache,

    /// A model is not in the cache, or not whole.
    #[error("{id}: not in the cache {}", .cache.display())]
    NotCached {
        /// The model.
        id: String,
        /// The cache.
        cache: PathBuf,
    },

    /// A repository without files that are read, or with several GGUF files.
    #[error(
        "{id}: expected weights in one format and config.json, or one GGUF file; got {gguf} GGUF files"
    )]
    NothingToDownload {
        /// The model.
        id: String,
        /// The number of GGUF files.
        gguf: usize,
    },

    /// A server answers that it will not give what it was asked for.
    #[error("{url}: the server answered {status}")]
    Refused {
        /// The address.
        url: String,
        /// The number of the answer.
        status: u16,
    },

    /// A transfer failed.
    #[error("{url}: {what}")]
    Download {
        /// The address.
        url: String,
        /// The reason.
        what: String,
    },

    /// A file has no bytes.
    #[error("{}: the file is empty", .path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// A file is not the thing its name promises but a stand-in for it.
    #[error("{}: expected {expected}, got {got}", .path.display())]
    StandIn {
        /// The file.
        path: PathBuf,
        /// What the file should hold.
        expected: &'static str,
        /// What it holds.
        got: StandIn,
    },

    /// A file that is read whole is too large to be what it claims to be.
    #[error("{}: {got} bytes; expected at most {limit}", .path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size that is read.
        limit: u64,
        /// The size of the file.
        got: u64,
    },

    /// A weight file, or its index, breaks the rules of its format.
    #[error("{}: {what}", .path.display())]
    BadWeights {
        /// The file.
        path: PathBuf,
        /// The rule it breaks, with what was expected and found.
        what: String,
    },

    /// What a weight file says about one tensor cannot be true.
    #[error("{}: tensor {tensor:?}: {what}", .path.display())]
    BadTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong, with what was expected and found.
        what: String,
    },

    /// A pickle asks for something that loading weights never needs.
    #[error("{}: refused: the pickle asks for {global}", .path.display())]
    RefusedGlobal {
        /// The file.
        path: PathBuf,
        /// The Python object it names, such as `os.system`.
        global: String,
    },

    /// An index of shards names a file outside of its own directory.
    #[error("{}: shard {shard:?} is not a plain file name", .index.display())]
    ShardName {
        /// The index file.
        index: PathBuf,
        /// The name it gives.
        shard: String,
    },

    /// An index of shards names a file that is not there.
    #[error("{}: missing shard {shard:?}", .index.display())]
    MissingShard {
        /// The index file.
        index: PathBuf,
        /// The name it gives.
        shard: String,
    },

    /// The weights lack a tensor.
    #[error("{}: missing tensor {tensor:?}", .path.display())]
    MissingTensor {
        /// The weight file, or the index of shards.
        path: PathBuf,
        /// The tensor that was asked for.
        tensor: String,
    },

    /// A tensor's numbers are of a type that the reader of it cannot use.
    #[error("tensor {tensor:?}: expected {expected} numbers, got {got}")]
    TensorType {
        /// The tensor.
        tensor: String,
        /// The types that would do.
        expected: &'static str,
        /// The type in the file.
        got: String,
    },

    /// A tensor is quantised in a way that is not read.
    #[error("{}: tensor {tensor:?} is quantised as {got}", .path.display())]
    UnknownBlocks {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What llama.cpp calls the type.
        got: String,
    },

    /// A model directory holds no tokenizer.
    #[error("{}: no tokenizer; looked for {}", .dir.display(), .looked_for.join(", "))]
    NoTokenizer {
        /// The model directory.
        dir: PathBuf,
        /// The file names that were tried.
        looked_for: &'static [&'static str],
    },

    /// A tokenizer file cannot be used.
    #[error("{source_name}: {what}")]
    BadTokenizer {
        /// The file, or what the caller called the bytes.
        source_name: String,
        /// What is wrong.
        what: String,
    },

    /// The vocabulary and the declared special tokens disagree.
    #[error("{source_name}: {role} token {token:?}: expected {expected}, got {got}")]
    SpecialToken {
        /// The file, or what the caller called the bytes.
        source_name: String,
        /// What the token is for: `cls`, `sep`, `mask`, `pad`, `unk`, `template` or `added`.
        role: &'static str,
        /// The token's text.
        token: String,
        /// What the declaration says.
        expected: String,
        /// What the vocabulary says.
        got: String,
    },

    /// The tokenizer could not split a text.
    #[error("text could not be tokenized: {what}")]
    Encode {
        /// The reason the tokenizer gives.
        what: String,
    },

    /// Fewer tokens are allowed than the special tokens alone need.
    #[error("at most {max_tokens} tokens are allowed, and the special tokens alone are {special}")]
    NoRoom {
        /// The number of tokens allowed.
        max_tokens: usize,
        /// The number of special tokens in the encoding.
        special: usize,
    },

    /// A library that this crate calls panicked.
    #[error("{library} panicked while {doing}: {what}")]
    Panic {
        /// The library.
        library: &'static str,
        /// What it was asked to do.
        doing: &'static str,
        /// The message of the panic.
        what: String,
    },

    /// A `config.json` lacks a value, or holds one that cannot be used.
    #[error("{}: {what}", .path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// The key, with what was expected and found.
        what: String,
    },

    /// A `config.json` asks for something that this program does not have.
    #[error("{}: {what}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key, with what is supported and what was found.
        what: String,
    },

    /// A model of a family that is not supported.
    #[error("{}: unknown model family {got:?}", .path.display())]
    UnknownFamily {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`, or its architecture.
        got: String,
    },

    /// A supported family, saved for a task that is not supported.
    #[error("{}: unknown architecture {got:?}; expected {}", .path.display(), .supported.join(" or "))]
    UnknownArchitecture {
        /// The configuration.
        path: PathBuf,
        /// Its architecture.
        got: String,
        /// The architectures that the family has.
        supported: Vec<&'static str>,
    },

    /// A tensor of another shape than the configuration demands.
    #[error("tensor {tensor:?}: expected shape {expected:?} from config.json, got {got:?}")]
    TensorShape {
        /// The tensor.
        tensor: String,
        /// The shape that fits the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },

    /// A tokenizer with ids that have no embedding.
    #[error(
        "the tokenizer has ids from 0 to {}, but the model has only {embeddings} embeddings",
        .tokens.saturating_sub(1)
    )]
    Vocabulary {
        /// One more than the tokenizer's largest id.
        tokens: usize,
        /// Rows of the word embeddings.
        embeddings: usize,
    },

    /// A text that the model cannot read whole.
    #[error("the text has {tokens} tokens; the model reads at most {limit}")]
    TooLong {
        /// Tokens of the text, special ones included.
        tokens: usize,
        /// The most that the model reads.
        limit: usize,
    },

    /// A segment that the model has no embedding for.
    #[error("segment {segment} is asked for; the model has {segments}")]
    Segment {
        /// The segment.
        segment: u32,
        /// Number of segments.
        segments: usize,
    },

    /// A label that the model does not have.
    #[error("unknown label {label:?}; the model has {}", list(.labels))]
    UnknownLabel {
        /// What was asked for.
        label: String,
        /// The labels there are.
        labels: Vec<String>,
    },

    /// A name that is not one of a site.
    #[error("unknown site {site:?}")]
    UnknownSite {
        /// The name.
        site: String,
    },

    /// A site that this model does not have.
    #[error("the model has no {site}: it has {layers} layers")]
    NoSuchSite {
        /// The site.
        site: crate::Site,
        /// Number of layers.
        layers: usize,
    },

    /// A value or gradient that a trace was not asked to keep, or has not seen yet.
    #[error("{site} was not traced: ask for it before the forward pass")]
    NotTraced {
        /// The site.
        site: crate::Site,
    },

    /// An edit that gave another shape or type.
    #[error("the edit at {site} changed the shape or type: expected {expected}, got {got}")]
    EditShape {
        /// The site.
        site: crate::Site,
        /// What came in.
        expected: String,
        /// What came out.
        got: String,
    },

    /// An edit whose result does not depend differentiably on its input.
    #[error("the edit at {site} loses the gradient")]
    EditLosesGradient {
        /// The site.
        site: crate::Site,
    },

    /// Embeddings that do not belong to the batch.
    #[error("embeddings: expected shape {expected:?}, got {got:?}")]
    EmbeddingShape {
        /// `[batch, tokens, width]`
        expected: Vec<usize>,
        /// The shape that came.
        got: Vec<usize>,
    },

    /// A model that cannot be changed to a task.
    #[error("{family} models cannot be trained for {}", .task.id())]
    NoSuchTask {
        /// The family.
        family: &'static str,
        /// The task that was asked for.
        task: crate::Task,
        /// Those that the family has.
        tasks: Vec<crate::Task>,
    },

    /// A batch of one part for a model that reads two.
    #[error("the model reads two texts (a source and its answer, or two to compare), got one")]
    OnePart,

    /// A text in which there is nothing to read.
    #[error("the text has no tokens")]
    NoTokens,

    /// An architecture that is not known.
    #[error("unknown architecture {got:?}; there are {}", .known.join(", "))]
    NoArchitecture {
        /// What was asked for.
        got: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },

    /// A setting that has no place in an architecture's configuration.
    #[error("{place}: expected {expected}")]
    Override {
        /// Where it was to go.
        place: String,
        /// What would fit.
        expected: &'static str,
    },

    /// An operation failed.
    #[error(transparent)]
    Op(#[from] glossator_ops::Error),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Op(error.into())
    }
}

/// Names for a message, cut where there are very many.
fn list(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What a file can hold in place of its real content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StandIn {
    /// The text file that Git LFS leaves where the real file was not downloaded.
    GitLfsPointer,
    /// A web page: a download that ended at a login or error page.
    WebPage,
}

impl std::fmt::Display for StandIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => "a git-lfs pointer",
            Self::WebPage => "a web page",
        })
    }
}

impl Error {
    /// Gives one line of what to do, when there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "check the path; a model is a directory with config.json, weights and a tokenizer"
                    .to_owned()
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "give this user the right to read the file".to_owned()
            }
            Self::NotADirectory { path } => match path.parent() {
                Some(parent) if parent != Path::new("") => {
                    format!("name the model's directory: {}", parent.display())
                }
                _ => "name the model's directory".to_owned(),
            },
            Self::SeveralModels { first, .. } => {
                format!("name one of the files, such as {}", first.display())
            }
            Self::NoBase { .. } => {
                "correct base_model_name_or_path to a directory (from the adapter's own), or to a \
                 model that has been downloaded"
                    .to_owned()
            }
            Self::BadModelId { .. } => {
                "name a directory, a GGUF file, or a model as org/name or org/name@revision"
                    .to_owned()
            }
            Self::NoCache => "set HF_HOME to a directory".to_owned(),
            Self::NotCached { id, .. } => {
                let (repository, revision) = id.split_once('@').unwrap_or((id, "main"));
                let revision = match revision {
                    "main" => String::new(),
                    other => format!(" --revision {other}"),
                };
                format!("get it with `hf download {repository}{revision}`, or name a directory")
            }
            Self::NothingToDownload { .. } => {
                "download the file that you want by hand, and name it".to_owned()
            }
            Self::Refused { status: 401 | 403, .. } => {
                "set HF_TOKEN to a token that may read the model; its page may have conditions to \
                 accept first"
                    .to_owned()
            }
            Self::Refused { status: 404, .. } => {
                "check the model's id and revision; one that is not public needs HF_TOKEN".to_owned()
            }
            Self::Refused { .. } | Self::Download { .. } => {
                "check the connection and try again: what has arrived is kept".to_owned()
            }
            Self::UnknownBlocks { .. } => {
                "use a file quantised as Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K, or F16, BF16"
                    .to_owned()
            }
            Self::NoWeights { dir, found: Some(found), .. } if found.ends_with(".gguf") => {
                format!("name the GGUF file itself: {}", dir.join(found).display())
            }
            Self::NoWeights { found: Some(found), .. } => {
                format!("{found} is in a format that is not read: save the model as safetensors")
            }
            Self::NoWeights { .. } => {
                "name a directory that a Hugging Face model was saved to".to_owned()
            }
            Self::StandIn { got: StandIn::GitLfsPointer, .. } => {
                "run `git lfs pull` in the model's repository to get the real file".to_owned()
            }
            Self::StandIn { got: StandIn::WebPage, .. }
            | Self::EmptyFile { .. }
            | Self::MissingShard { .. } => "download the file again".to_owned(),
            Self::BadWeights { .. } | Self::BadTensor { .. } => {
                "the file is damaged or unusual: download it again, or save the model as \
                 safetensors"
                    .to_owned()
            }
            Self::RefusedGlobal { .. } => {
                "only state dicts are read from pickles; if you trust the file, save its state \
                 dict as safetensors with Python"
                    .to_owned()
            }
            Self::NoTokenizer { .. } => {
                "save the tokenizer next to the weights: tokenizer.save_pretrained(directory)"
                    .to_owned()
            }
            Self::SpecialToken { .. } => {
                "the tokenizer's files belong to different models or versions: take all of them \
                 from one place"
                    .to_owned()
            }
            Self::BadTokenizer { .. } => {
                "save the tokenizer again: tokenizer.save_pretrained(directory)".to_owned()
            }
            Self::FileTooLarge { .. } => {
                "this is not the file that its name promises: download it again".to_owned()
            }
            Self::BadConfig { .. } => {
                "correct the file, or take it again from where the model came from".to_owned()
            }
            Self::Unsupported { .. } => {
                "models with this setting are not supported: use another model".to_owned()
            }
            Self::UnknownArchitecture { .. } => {
                "use a model that was fine-tuned for one of the supported tasks".to_owned()
            }
            Self::MissingTensor { .. } => {
                "the weights are not those that config.json describes: take all files from one place"
                    .to_owned()
            }
            Self::TensorType { .. } => {
                "save the weights as float32, float16 or bfloat16".to_owned()
            }
            Self::NoTokens => "give a text of at least one word".to_owned(),
            Self::NoRoom { special, .. } => format!("allow more than {special} tokens"),
            Self::Panic { .. } => "this is a bug; please report it with the input".to_owned(),
            Self::UnknownFamily { .. } => {
                let known: Vec<_> = crate::FAMILIES.iter().map(|family| family.id).collect();
                format!("supported families: {}", known.join(", "))
            }
            Self::TooLong { .. } => {
                "shorten the text, or cut it with --truncate".to_owned()
            }
            Self::TensorShape { .. } | Self::Vocabulary { .. } => {
                "the directory's files belong to different models: take all of them from one place"
                    .to_owned()
            }
            Self::NoSuchTask { tasks, .. } => {
                let tasks: Vec<_> = tasks.iter().map(|task| task.id()).collect();
                format!("start from another model, or train it for {}", tasks.join(", "))
            }
            Self::UnknownSite { .. } => {
                "sites are embeddings, logits and layers.N.residual, .mlp, .attention.values, \
                 .attention.scores, .attention.probabilities, .attention.output; \
                 `glossator models inspect` names those of a model"
                    .to_owned()
            }
            Self::EditLosesGradient { .. } => {
                "use differentiable operations, or Trace::replace to cut the gradient on purpose"
                    .to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    /// Tells whether the user's files or text are at fault (exit code 2) rather than this program
    /// (exit code 3).
    #[must_use]
    pub fn is_input_error(&self) -> bool {
        !matches!(self, Self::Panic { .. } | Self::Op(_))
    }

    /// An [`Error::Io`] about `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// An [`Error::BadWeights`] about `path`.
    pub(crate) fn weights(path: &Path, what: impl Into<String>) -> Self {
        Self::BadWeights { path: path.to_owned(), what: clip(what.into()) }
    }

    /// An [`Error::BadTensor`] about `tensor` in `path`.
    pub(crate) fn tensor(path: &Path, tensor: &str, what: impl Into<String>) -> Self {
        Self::BadTensor {
            path: path.to_owned(),
            tensor: clip(tensor.to_owned()),
            what: clip(what.into()),
        }
    }
}

/// Cuts what a file says about itself: a damaged one may have names of megabytes.
pub(crate) fn clip(mut text: String) -> String {
    const MOST: usize = 400;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_thing_first() {
        let missing =
            Error::MissingTensor { path: "m/model.safetensors".into(), tensor: "a.b".into() };
        assert_eq!(missing.to_string(), "m/model.safetensors: missing tensor \"a.b\"");
        let lfs =
            Error::StandIn { path: "m/x".into(), expected: "weights", got: StandIn::GitLfsPointer };
        assert_eq!(lfs.to_string(), "m/x: expected weights, got a git-lfs pointer");
        assert!(lfs.hint().is_some_and(|hint| hint.contains("git lfs pull")));
    }

    #[test]
    fn only_our_own_failures_are_not_input_errors() {
        assert!(Error::EmptyFile { path: "x".into() }.is_input_error());
        let panic = Error::Panic { library: "l", doing: "d", what: "w".into() };
        assert!(!panic.is_input_error());
    }
}
