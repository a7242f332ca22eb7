//! Where results go: standard output, or a file that appears only when it is complete.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exit::Stop;

/// An open destination.
pub(crate) enum Output {
    Stdout(BufWriter<io::StdoutLock<'static>>),
    File { path: PathBuf, file: BufWriter<tempfile::NamedTempFile> },
}

impl Output {
    /// Standard output, or a file. A file is written under a temporary name beside its own.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Stop> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout().lock())));
        };
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".glossator-")
            .suffix(".tmp")
            .tempfile_in(dir)
            .map_err(|error| Stop::writing(&path.display().to_string(), &error))?;
        Ok(Self::File { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout(_) => "standard output".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::File { file, .. } => file,
        }
    }

    /// Flushes; a file gets its name, with `.partial` behind it where inputs are missing from it.
    /// Returns the name it got.
    pub(crate) fn finish(mut self, complete: bool) -> Result<Option<PathBuf>, Stop> {
        let name = self.name();
        let fail = |error: io::Error| Stop::writing(&name, &error);
        self.writer().flush().map_err(fail)?;
        match self {
            Self::Stdout(_) => Ok(None),
            Self::File { mut path, file } => {
                let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
                if !complete {
                    path.as_mut_os_string().push(".partial");
                }
                share(file.path()).map_err(fail)?;
                file.persist(&path).map_err(|error| fail(error.error))?;
                Ok(Some(path))
            }
        }
    }
}

/// Gives a finished file the rights that a new file usually has; temporary ones are private.
#[cfg(unix)]
fn share(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &Path) -> io::Result<()> {
    Ok(())
}
