//! Models by directory or by name.

use std::borrow::Cow;
use std::path::Path;

use glossator_models::{
    BUNDLED, Bundled, Family, LoadOptions, Model, Task, hub, load, load_bundled, registry,
};

use crate::exit::CliError;
use crate::installed;

/// Where a model comes from.
pub(crate) enum Source<'a> {
    Bundled(&'static Bundled),
    /// A directory or a GGUF file.
    Path(Cow<'a, Path>),
}

impl<'a> Source<'a> {
    /// What a user named: a directory, a file, a bundled model, or an id such as `org/name`, which
    /// is looked for in the local cache, and fetched if `download` is set; without a name, the
    /// first bundled one.
    pub(crate) fn find(path: Option<&'a Path>, download: bool) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self::Bundled(&BUNDLED[0])) };
        // A directory wins over a bundled model of the same name.
        let bundled = BUNDLED.iter().find(|model| path.as_os_str() == model.id);
        match bundled {
            Some(bundled) if !path.exists() => Ok(Self::Bundled(bundled)),
            None if !path.exists() && path.components().count() == 1 => {
                if let Some(dir) = installed::find(path) {
                    return Ok(Self::Path(Cow::Owned(dir)));
                }
                let name = path.display();
                Err(CliError::input(
                    format!("{name}: no such directory, and no model of that name"),
                    "`glossator models` lists those with names; others are Hugging Face \
                     directories, GGUF files, or ids such as org/name",
                ))
            }
            None if !path.exists() => match id(path) {
                Some(id) => Ok(Self::Path(Cow::Owned(cached(id, download)?))),
                None => Ok(Self::Path(Cow::Borrowed(path))),
            },
            _ => Ok(Self::Path(Cow::Borrowed(path))),
        }
    }

    /// The family and task, where the configuration alone tells them.
    pub(crate) fn identify(&self) -> Option<(&'static Family, Task)> {
        match self {
            Self::Bundled(_) => None,
            Self::Path(path) => registry::identify(path).ok(),
        }
    }

    /// Reads the model.
    pub(crate) fn load(&self) -> Result<Box<dyn Model>, CliError> {
        let options = LoadOptions::default();
        Ok(match self {
            Self::Bundled(bundled) => load_bundled(bundled, &options)?,
            Self::Path(path) => load(path, &options)?,
        })
    }
}

/// The path as the id of a model, if it looks like one.
fn id(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let relative = !text.starts_with(['.', '/', '~']);
    (relative && hub::ModelId::parse(text).is_ok()).then_some(text)
}

/// The directory of a model in the local cache.
fn cached(id: &str, download: bool) -> Result<std::path::PathBuf, CliError> {
    if !download {
        return Ok(hub::find(id)?);
    }
    fetch(id)
}

#[cfg(feature = "download")]
fn fetch(id: &str) -> Result<std::path::PathBuf, CliError> {
    use indicatif::{ProgressBar, ProgressStyle};
    // Hidden where nobody watches.
    let bar = ProgressBar::new(0);
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let mut show = |progress: &hub::Progress<'_>| {
        let hub::Progress { file, index, files, done, total } = *progress;
        bar.set_message(format!("{}/{files} {file}", index + 1));
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = hub::download(id, &mut show);
    bar.finish_and_clear();
    Ok(found?)
}

/// Without the feature there is no flag that could ask for it.
#[cfg(not(feature = "download"))]
fn fetch(id: &str) -> Result<std::path::PathBuf, CliError> {
    Ok(hub::find(id)?)
}
