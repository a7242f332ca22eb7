//! The directory of a run: fresh, unfinished or finished.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoint::replace;
use crate::error::{Error, Result};

/// The directory of a run that is under way. Nobody else can open it meanwhile.
pub(super) struct RunDirectory {
    pub(super) out: PathBuf,
    /// Whether it holds a checkpoint to go on from.
    pub(super) resumes: bool,
    /// Held until the run is over; the system lets go of it when the process ends, however it does.
    _lock: File,
}

const CHECKPOINT: &str = "checkpoint";

impl RunDirectory {
    /// Makes the directory, or opens that of an unfinished run with the same settings.
    pub(super) fn open(out: &Path, settings: &Value, resume: bool) -> Result<Self> {
        let shown = out.display().to_string();
        let fail = |error| Error::io(out, error);
        let inner = out.join(CHECKPOINT);
        let run = inner.join("run.json");
        let known = out.exists() && !empty(out, &inner).map_err(fail)?;
        if known && !run.exists() {
            let finished = out.join("config.json").exists() && out.join("training.jsonl").exists();
            return Err(if finished {
                Error::data(shown, "holds a finished run", "choose another --out, or delete it")
            } else if out.is_dir() {
                let hint = "choose a new directory for --out";
                Error::data(shown, "exists and is not the directory of a run", hint)
            } else {
                Error::data(shown, "is not a directory", "choose a new directory for --out")
            });
        }
        if resume && !known {
            let hint = "leave out --resume to begin one";
            return Err(Error::data(shown, "holds no unfinished run to go on with", hint));
        }
        std::fs::create_dir_all(&inner).map_err(fail)?;
        let lock = File::create(inner.join("lock")).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let hint = "wait for it, or choose another --out";
                return Err(Error::data(shown, "another process is training there", hint));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        // A run that has no checkpoint yet has nothing that could be lost.
        let resumes = inner.join("state.safetensors").exists();
        if resumes && run.exists() {
            let bytes = std::fs::read(&run).map_err(|error| Error::io(&run, error))?;
            let before: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some((what, was, is)) = difference("", &before, settings) {
                return Err(Error::data(
                    shown,
                    format!("holds an unfinished run with {what} {was}, not {is}"),
                    "give the settings that it began with, choose another --out, or delete it",
                ));
            }
        } else {
            let text = serde_json::to_vec_pretty(settings).unwrap_or_default();
            replace(&run, |to| std::fs::write(to, &text).map_err(|error| Error::io(&run, error)))?;
        }
        Ok(Self { out: out.to_owned(), resumes, _lock: lock })
    }

    /// Where the checkpoint is.
    pub(super) fn state(&self) -> PathBuf {
        self.out.join(CHECKPOINT).join("state.safetensors")
    }

    /// Where the best weights are.
    pub(super) fn best(&self) -> PathBuf {
        self.out.join(CHECKPOINT).join("best.safetensors")
    }

    /// Removes what only an unfinished run needs.
    pub(super) fn finish(self) -> Result<()> {
        let inner = self.out.join(CHECKPOINT);
        std::fs::remove_dir_all(&inner).map_err(|error| Error::io(&inner, error))
    }
}

/// Whether a directory holds nothing, or only what was made before a run could begin.
fn empty(out: &Path, inner: &Path) -> std::io::Result<bool> {
    if !out.is_dir() {
        return Ok(false);
    }
    for entry in std::fs::read_dir(out)? {
        if entry?.path() != *inner || inner.join("run.json").exists() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first value in which two settings differ: its path, and both values.
fn difference(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(x), Value::Object(y)) = (a, b) {
        let keys = x.keys().chain(y.keys().filter(|key| !x.contains_key(*key)));
        return keys.into_iter().find_map(|key| {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            difference(
                &inner,
                x.get(key).unwrap_or(&Value::Null),
                y.get(key).unwrap_or(&Value::Null),
            )
        });
    }
    (a != b).then(|| (path.to_owned(), a.to_string(), b.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(out: &Path, settings: &Value, resume: bool) -> String {
        let error = RunDirectory::open(out, settings, resume).err().unwrap().to_string();
        error.replace(&out.display().to_string(), "OUT")
    }

    #[test]
    fn a_directory_is_fresh_unfinished_finished_or_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let (out, settings) = (dir.path().join("run"), json!({"a": {"seed": 1}, "b": 2}));
        assert_eq!(error(&out, &settings, true), "OUT: holds no unfinished run to go on with");
        let run = RunDirectory::open(&out, &settings, false).unwrap();
        assert!(!run.resumes);
        assert_eq!(error(&out, &settings, false), "OUT: another process is training there");
        drop(run);
        let other = json!({"a": {"seed": 7}, "b": 2});
        // Nothing could be lost yet: other settings begin anew.
        for settings in [&other, &settings] {
            assert!(!RunDirectory::open(&out, settings, false).unwrap().resumes);
        }
        std::fs::write(out.join("checkpoint/state.safetensors"), "x").unwrap();
        let expected = "OUT: holds an unfinished run with a.seed 1, not 7";
        assert_eq!(error(&out, &other, false), expected);
        let run = RunDirectory::open(&out, &settings, true).unwrap();
        assert!(run.resumes);
        run.finish().unwrap();
        for name in ["config.json", "training.jsonl"] {
            std::fs::write(out.join(name), "{}").unwrap();
        }
        assert_eq!(error(&out, &settings, false), "OUT: holds a finished run");
        std::fs::remove_file(out.join("config.json")).unwrap();
        let expected = "OUT: exists and is not the directory of a run";
        assert_eq!(error(&out, &settings, false), expected);
    }

    #[test]
    fn what_was_made_before_a_run_began_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        std::fs::create_dir_all(out.join("checkpoint")).unwrap();
        std::fs::write(out.join("checkpoint/run.json.tmp"), "{").unwrap();
        assert!(!RunDirectory::open(&out, &json!({}), false).unwrap().resumes);
    }
}
