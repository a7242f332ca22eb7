//! The log of a run: `training.jsonl`, one JSON object a line.
//!
//! `{"kind":"start", ...}` holds the settings, `{"kind":"step", ...}` each step, and
//! `{"kind":"evaluation", ...}` each measurement. A run that goes on cuts the log to where its
//! checkpoint was, so that no step is in it twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// How the run began.
    Start {
        /// The version of this program.
        version: String,
        /// The task.
        task: String,
        /// Settings, data and model.
        settings: serde_json::Value,
    },
    /// A step.
    Step(StepRecord),
    /// A measurement.
    Evaluation {
        /// Steps that were done.
        step: u64,
        /// Epochs that were done.
        epoch: f64,
        /// Scores by name.
        scores: BTreeMap<String, f64>,
        /// Whether it is the best so far.
        best: bool,
    },
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub step: u64,
    /// Epochs that are done.
    pub epoch: f64,
    /// The mean loss of its batches.
    pub loss: f64,
    /// The learning rate.
    pub rate: f64,
    /// The norm of the gradient before it was clipped.
    pub gradient_norm: f64,
    /// Examples of its batches.
    pub examples: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The log of a run, to write to.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Whether it can be cut; a device cannot.
    regular: bool,
}

impl Log {
    /// Opens a log and cuts it to its first `length` bytes.
    pub(super) fn open(path: &Path, length: u64) -> Result<Self> {
        let fail = |error| Error::io(path, error);
        let mut file =
            File::options().create(true).truncate(false).write(true).open(path).map_err(fail)?;
        let regular = file.metadata().map_err(fail)?.is_file();
        if regular {
            file.set_len(length).map_err(fail)?;
            file.seek(SeekFrom::End(0)).map_err(fail)?;
        }
        Ok(Self { path: path.to_owned(), file, regular })
    }

    /// Adds a line.
    pub(super) fn add(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| Error::io(&self.path, error))
    }

    /// Its length, with all of it on the disk.
    pub(super) fn synced(&mut self) -> Result<u64> {
        if !self.regular {
            return Ok(0);
        }
        let fail = |error| Error::io(&self.path, error);
        self.file.sync_data().map_err(fail)?;
        self.file.stream_position().map_err(fail)
    }
}

/// What the log of a run tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// Its measurements: the step, the scores by name, whether it was the best so far.
    pub evaluations: Vec<(u64, BTreeMap<String, f64>, bool)>,
}

impl History {
    /// Reads a log; what is no file has nothing to tell. A last line that is not whole is left out: the run may still be writing it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |error| Error::io(path, error);
        let mut history = Self::default();
        let file = File::open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Ok(history);
        }
        for line in BufReader::new(file).lines() {
            match serde_json::from_str(&line.map_err(fail)?) {
                Ok(Record::Step(step)) => history.steps.push(step),
                Ok(Record::Evaluation { step, scores, best, .. }) => {
                    history.evaluations.push((step, scores, best));
                }
                Ok(Record::Start { .. }) | Err(_) => {}
            }
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("training.jsonl");
        let step = |step| {
            let (epoch, loss, rate, gradient_norm) = (0.5, 0.25, 1e-3, 2.0);
            let (examples, tokens, seconds) = (4, 40, 0.1);
            StepRecord { step, epoch, loss, rate, gradient_norm, examples, tokens, seconds }
        };
        let mut log = Log::open(&path, 0).unwrap();
        log.add(&Record::Step(step(1))).unwrap();
        let length = log.synced().unwrap();
        log.add(&Record::Step(step(2))).unwrap();
        drop(log);
        let mut log = Log::open(&path, length).unwrap();
        log.add(&Record::Step(step(3))).unwrap();
        let scores = BTreeMap::from([("loss".to_owned(), 0.5)]);
        let record = Record::Evaluation { step: 3, epoch: 1.0, scores: scores.clone(), best: true };
        log.add(&record).unwrap();
        drop(log);
        let history = History::read(&path).unwrap();
        assert_eq!(history.steps, [step(1), step(3)]);
        assert_eq!(history.evaluations, [(3, scores, true)]);
    }
}
