//! Models by directory or by name.

use std::path::Path;

use glossator_models::{
    BUNDLED, Bundled, Family, LoadOptions, Model, Task, load, load_bundled, registry,
};

use crate::exit::CliError;

/// Where a model comes from.
pub(crate) enum Source<'a> {
    Bundled(&'static Bundled),
    Directory(&'a Path),
}

impl<'a> Source<'a> {
    /// What a user named: a directory, or a bundled model; without a name, the first of those.
    pub(crate) fn find(path: Option<&'a Path>) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self::Bundled(&BUNDLED[0])) };
        // A directory wins over a bundled model of the same name.
        let bundled = BUNDLED.iter().find(|model| path.as_os_str() == model.id);
        match bundled {
            Some(bundled) if !path.exists() => Ok(Self::Bundled(bundled)),
            None if !path.exists() && path.components().count() == 1 => {
                let name = path.display();
                let known: Vec<_> = BUNDLED.iter().map(|model| model.id).collect();
                Err(CliError::input(
                    format!("{name}: no such directory, and no bundled model of that name"),
                    format!(
                        "bundled models: {}; others are Hugging Face directories",
                        known.join(", ")
                    ),
                ))
            }
            _ => Ok(Self::Directory(path)),
        }
    }

    /// The family and task, where the configuration alone tells them.
    pub(crate) fn identify(&self) -> Option<(&'static Family, Task)> {
        match self {
            Self::Bundled(_) => None,
            Self::Directory(path) => registry::identify(path).ok(),
        }
    }

    /// Reads the model.
    pub(crate) fn load(&self) -> Result<Box<dyn Model>, CliError> {
        let options = LoadOptions::default();
        Ok(match self {
            Self::Bundled(bundled) => load_bundled(bundled, &options)?,
            Self::Directory(path) => load(path, &options)?,
        })
    }
}
