//! Where results go: standard output, or a file that appears only when it is complete.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exit::Stop;

/// An open destination.
pub(crate) enum Output {
    Stdout(BufWriter<io::StdoutLock<'static>>),
    /// A device or a pipe: there is no other file that could take its place.
    Device {
        path: PathBuf,
        file: BufWriter<File>,
    },
    /// Written under a temporary name beside its own.
    File {
        path: PathBuf,
        file: BufWriter<tempfile::NamedTempFile>,
    },
}

/// The file that is being written, for an interrupt to find.
static UNFINISHED: Mutex<Option<Unfinished>> = Mutex::new(None);

struct Unfinished {
    temporary: PathBuf,
    partial: PathBuf,
    documents: usize,
}

impl Output {
    /// Standard output, or a file.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Stop> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout().lock())));
        };
        Self::create(path).map_err(|error| Stop::writing(&path.display().to_string(), &error))
    }

    fn create(path: &Path) -> io::Result<Self> {
        // A link stays a link: the file that it leads to is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let old = fs::metadata(&target).ok();
        if old.as_ref().is_some_and(Metadata::is_dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let file = BufWriter::new(File::options().write(true).open(&target)?);
            return Ok(Self::Device { path: path.to_owned(), file });
        }
        let dir = match target.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        // Asked first for the system's own words: those of a temporary file would name that one.
        fs::metadata(dir)?;
        let file = temporary(dir, old.as_ref()).map_err(|error| io::Error::from(error.kind()))?;
        *unfinished() = Some(Unfinished {
            temporary: file.path().to_owned(),
            partial: partial(&target),
            documents: 0,
        });
        Ok(Self::File { path: target, file: BufWriter::new(file) })
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout(_) => "standard output".to_owned(),
            Self::Device { path, .. } | Self::File { path, .. } => path.display().to_string(),
        }
    }

    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::Device { file, .. } => file,
            Self::File { file, .. } => file,
        }
    }

    /// Writes a document and flushes it: a reader of a pipe must not wait for the next one.
    pub(crate) fn document(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        // An interrupt waits until the document is whole, if the disk does not keep it waiting.
        let mut unfinished = matches!(self, Self::File { .. }).then(unfinished);
        write(self.writer())?;
        self.writer().flush()?;
        if let Some(unfinished) = unfinished.as_mut().and_then(|guard| guard.as_mut()) {
            unfinished.documents += 1;
        }
        Ok(())
    }

    /// Flushes; a file gets its name, with `.partial` behind it where inputs are missing from it.
    /// Returns the name it got.
    pub(crate) fn finish(mut self, complete: bool) -> Result<Option<PathBuf>, Stop> {
        let name = self.name();
        let fail = |error: io::Error| Stop::writing(&name, &error);
        self.writer().flush().map_err(fail)?;
        let Self::File { path, file } = self else { return Ok(None) };
        let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
        let path = if complete { path } else { partial(&path) };
        // An interrupt finds either the temporary file or the finished one.
        let mut unfinished = unfinished();
        file.persist(&path).map_err(|error| fail(error.error))?;
        *unfinished = None;
        Ok(Some(path))
    }
}

/// What is left of an output that will not be finished.
pub(crate) struct Abandoned {
    /// Where its documents are, if it had any.
    pub(crate) kept: Option<PathBuf>,
    /// Keeps everybody else from writing.
    _lock: MutexGuard<'static, Option<Unfinished>>,
}

/// Stops writing: whole documents are kept under a name that ends in `.partial`.
pub(crate) fn abandon() -> Abandoned {
    let mut lock = unfinished();
    let mut kept = None;
    if let Some(Unfinished { temporary, partial, documents }) = lock.take() {
        // A picture of all inputs has nothing yet.
        let empty = fs::metadata(&temporary).map_or(true, |file| file.len() == 0);
        if documents > 0 && !empty && fs::rename(&temporary, &partial).is_ok() {
            kept = Some(partial);
        } else {
            let _ = fs::remove_file(&temporary);
        }
    }
    Abandoned { kept, _lock: lock }
}

fn unfinished() -> MutexGuard<'static, Option<Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn partial(path: &Path) -> PathBuf {
    let mut partial = path.to_owned();
    partial.as_mut_os_string().push(".partial");
    partial
}

/// A temporary file with the rights of the file that it replaces, or of any new file.
fn temporary(dir: &Path, old: Option<&Metadata>) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".glossator-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(dir)?;
    if let Some(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    Ok(file)
}
