//! What can go wrong between a data file and a trained model.

use std::path::Path;

/// The error of this crate.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the model, or of its task.
    #[error(transparent)]
    Interpret(#[from] glossator_interpret::Error),
    /// A data file, or one of its rows, that cannot be used.
    #[error("{place}: {what}")]
    Data {
        /// File and line.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Settings that do not fit the model, the data or each other.
    #[error("{what}")]
    Settings {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The run cannot go on.
    #[error("{what}")]
    Stopped {
        /// What happened, and when.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A file of the run that cannot be written or read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// The system's own words.
        error: std::io::Error,
    },
    /// The caller asked to stop; what was done is in a checkpoint if there is one.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Steps that are done.
        step: u64,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the settings.
    pub(crate) fn settings(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Settings { what: what.into(), hint: hint.into() }
    }

    /// An error of a file or of a row in it.
    pub(crate) fn data(
        place: impl std::fmt::Display,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Data { place: place.to_string(), what: what.into(), hint: hint.into() }
    }

    /// The same with the place of the example that it is about, where it does not name one.
    pub(crate) fn at(self, place: &crate::data::Place) -> Self {
        match self {
            Self::Interpret(error) if error.is_input_error() => {
                let hint =
                    error.hint().unwrap_or_else(|| "change or remove the example".to_owned());
                Self::data(place, error.to_string(), hint)
            }
            other => other,
        }
    }

    /// An error of the system.
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), error }
    }

    /// One line of what to do, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use std::io::ErrorKind;
        Some(match self {
            Self::Interpret(error) => return error.hint(),
            Self::Data { hint, .. } | Self::Settings { hint, .. } | Self::Stopped { hint, .. } => {
                hint.clone()
            }
            Self::Io { error, .. } => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "make room on the disk and run the command again; it goes on from the last \
                     checkpoint"
                        .to_owned()
                }
                ErrorKind::NotFound => "check the path".to_owned(),
                ErrorKind::PermissionDenied => {
                    "give this user the right to it, or choose another path".to_owned()
                }
                _ => "choose a path that can be read and written".to_owned(),
            },
            Self::Interrupted { .. } => return None,
        })
    }

    /// Whether the user's input is at fault (exit code 2) rather than this program (3).
    #[must_use]
    pub fn is_input_error(&self) -> bool {
        match self {
            Self::Interpret(error) => error.is_input_error(),
            _ => true,
        }
    }
}

impl From<glossator_models::Error> for Error {
    fn from(error: glossator_models::Error) -> Self {
        Self::Interpret(error.into())
    }
}

impl From<glossator_ops::Error> for Error {
    fn from(error: glossator_ops::Error) -> Self {
        Self::Interpret(error.into())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Interpret(error.into())
    }
}
