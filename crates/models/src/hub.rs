//! Models by their names on the Hugging Face hub: found in the local cache and, with the feature
//! `download`, fetched into it.
//!
//! The cache is the one that Python's `huggingface_hub` keeps, so either finds what the other
//! fetched: `models--org--name/refs/main` holds the name of a commit, and `snapshots/<commit>/` its
//! files, which are links to `blobs/<hash>`.

#[cfg(feature = "download")]
mod download;
mod id;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[cfg(feature = "download")]
pub use self::download::Progress;
pub use self::id::ModelId;
use crate::checkpoint::{exists, read_file};
use crate::error::{Error, Result};

/// A cache and where it is filled from.
#[derive(Clone)]
pub struct Hub {
    /// The directory of the cache.
    pub cache: PathBuf,
    /// The address that models are fetched from.
    pub endpoint: String,
    /// What lets one read models that are not for everyone. It is sent to `endpoint` only.
    pub token: Option<String>,
}

impl std::fmt::Debug for Hub {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cache, endpoint) = (&self.cache, &self.endpoint);
        f.debug_struct("Hub").field("cache", cache).field("endpoint", endpoint).finish()
    }
}

impl Hub {
    /// What the environment says: `HF_HUB_CACHE`, else `HF_HOME`, else `~/.cache/huggingface`;
    /// `HF_ENDPOINT`, else huggingface.co; `HF_TOKEN`.
    ///
    /// # Errors
    /// If there is no home directory and no variable that names a cache.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(get: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let path = |name| get(name).map(PathBuf::from);
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| path("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
            .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface/hub")))
            .or_else(|| path("USERPROFILE").map(|home| home.join(".cache/huggingface/hub")));
        let text = |name| get(name).and_then(|value| value.into_string().ok());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            cache: cache.ok_or(Error::NoCache)?,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: text("HF_TOKEN").map(|token| token.trim().to_owned()),
        })
    }

    /// The directory of a model in the cache.
    ///
    /// # Errors
    /// [`Error::NotCached`] if it is not there or not complete.
    pub fn find(&self, id: &ModelId) -> Result<PathBuf> {
        let not_cached = || Error::NotCached { id: id.to_string(), cache: self.cache.clone() };
        let repository = self.repository(id);
        let name = repository.join("refs").join(id.revision());
        let commit = if exists(&name)? {
            let bytes = read_file(&name, 256, "the name of a commit")?;
            let commit = String::from_utf8(bytes).ok();
            let commit = commit.map(|commit| commit.trim().to_owned());
            commit.filter(|commit| id::is_hash(commit)).ok_or_else(not_cached)?
        } else {
            // A commit may be named itself.
            id.revision().to_owned()
        };
        let snapshot = repository.join("snapshots").join(commit);
        let complete =
            ["config.json", "adapter_config.json"].iter().any(|name| snapshot.join(name).exists())
                || has_gguf(&snapshot);
        if complete { Ok(snapshot) } else { Err(not_cached()) }
    }

    /// Where the cache keeps a model.
    fn repository(&self, id: &ModelId) -> PathBuf {
        self.cache.join(format!("models--{}", id.repository().replace('/', "--")))
    }
}

fn has_gguf(dir: &Path) -> bool {
    let is_gguf = |path: PathBuf| path.extension().is_some_and(|ending| ending == "gguf");
    std::fs::read_dir(dir).is_ok_and(|files| files.flatten().any(|file| is_gguf(file.path())))
}

/// The directory in the local cache of a model with this id: `org/name`, or `org/name@revision`.
///
/// # Errors
/// If it is not an id, or if the model is not in the cache; the hint says how to get it.
pub fn find(id: &str) -> Result<PathBuf> {
    Hub::from_env()?.find(&ModelId::parse(id)?)
}

/// Fetches what this program reads of a model into the local cache, and gives its directory. Files
/// that are there already are not fetched, and one that was begun is continued.
///
/// # Errors
/// If it is not an id, the model cannot be reached or read, or a file arrives damaged.
#[cfg(feature = "download")]
pub fn download(id: &str, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<PathBuf> {
    Hub::from_env()?.download(&ModelId::parse(id)?, progress)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub> {
        Hub::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_say_where_the_cache_is() {
        let cache = |variables: &[(&str, &str)]| hub(variables).unwrap().cache;
        let home = ("HOME", "/h");
        assert_eq!(cache(&[home]), Path::new("/h/.cache/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[home, ("HF_HOME", "/f")]), Path::new("/f/hub"));
        assert_eq!(cache(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert!(matches!(hub(&[]), Err(Error::NoCache)));
        let with_token =
            hub(&[home, ("HF_TOKEN", "hf_x\n"), ("HF_ENDPOINT", "http://a/")]).unwrap();
        assert_eq!(
            (with_token.token.as_deref(), &*with_token.endpoint),
            (Some("hf_x"), "http://a")
        );
        assert!(!format!("{with_token:?}").contains("hf_x"));
    }

    #[test]
    fn complete_models_are_found_in_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let hub = Hub { cache: dir.path().to_owned(), endpoint: String::new(), token: None };
        let id = ModelId::parse("org/name").unwrap();
        let error = hub.find(&id).unwrap_err();
        assert!(error.to_string().starts_with("org/name: not in the cache"), "{error}");
        assert!(error.hint().unwrap().contains("hf download org/name"));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let repository = dir.path().join("models--org--name");
        let snapshot = repository.join("snapshots").join(commit);
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(repository.join("refs/main"), commit).unwrap();
        assert!(matches!(hub.find(&id), Err(Error::NotCached { .. })));
        fs::write(snapshot.join("config.json"), "{}").unwrap();
        assert_eq!(hub.find(&id).unwrap(), snapshot);
        let exact = ModelId::parse(&format!("org/name@{commit}")).unwrap();
        assert_eq!(hub.find(&exact).unwrap(), snapshot);
        fs::write(repository.join("refs/main"), "../../../etc").unwrap();
        assert!(matches!(hub.find(&id), Err(Error::NotCached { .. })));
    }
}
