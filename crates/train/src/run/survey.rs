//! A first look at the data: what it is, how much of it, which labels.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use glossator_models::{Problem, Task};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batching::mix;
use crate::data::{self, Content, Example, ReadOptions};
use crate::error::{Error, Result};

/// The data of a run.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Files to learn from.
    pub train: Vec<PathBuf>,
    /// Files to measure with.
    pub dev: Vec<PathBuf>,
    /// How all of them are read.
    pub options: ReadOptions,
}

/// A data file, as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its name, without directories.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Of its content, hexadecimal.
    pub sha256: String,
}

impl DataFile {
    /// Looks at a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn look(path: &Path) -> Result<Self> {
        let fail = |error| Error::io(path, error);
        let mut file = File::open(path).map_err(fail)?;
        let (mut hash, mut bytes, mut part) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut part).map_err(fail)?;
            if read == 0 {
                break;
            }
            hash.update(&part[..read]);
            bytes += read as u64;
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name, bytes, sha256 })
    }
}

/// What the examples to learn from are.
pub(super) struct Survey {
    /// How many there are in the files, those to measure with included.
    pub(super) examples: usize,
    /// How often each label is there.
    pub(super) labels: BTreeMap<String, u64>,
    /// Rows that were left out.
    pub(super) skipped: usize,
}

impl Survey {
    /// Reads all of them once.
    pub(super) fn of(data: &Data, task: Task) -> Result<Self> {
        let mut survey = Self { examples: 0, labels: BTreeMap::new(), skipped: 0 };
        // A column of numbers to predict has as many as there are rows.
        const MOST: usize = 10_000;
        let mut examples = data::read(&data.train, task, &data.options)?;
        for example in examples.by_ref() {
            let example = example?;
            survey.examples += 1;
            let labels: &[String] = match &example.content {
                Content::Labelled { labels, .. } => labels,
                Content::Tagged(tagged) => &tagged.tags,
                _ => &[],
            };
            for label in labels {
                if let Some(count) = survey.labels.get_mut(label) {
                    *count += 1;
                } else if survey.labels.len() < MOST {
                    survey.labels.insert(label.clone(), 1);
                }
            }
        }
        survey.skipped = examples.skipped();
        Ok(survey)
    }

    /// The labels in the order in which a new model has them: numbers by size, tags by kind, and
    /// `O` first.
    pub(super) fn ordered(&self) -> Vec<String> {
        let mut names: Vec<String> = self.labels.keys().cloned().collect();
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            let number = |name: &String| name.parse::<f64>().unwrap_or(0.0);
            names.sort_by(|a, b| number(a).total_cmp(&number(b)));
        } else {
            let kind = |name: &str| match name.split_once('-') {
                Some((place, kind)) if place.len() == 1 => (kind.to_owned(), place.to_owned()),
                _ => (name.to_owned(), String::new()),
            };
            names.sort_by_key(|name| (name != "O", kind(name)));
        }
        names
    }

    /// Whether labels look like what the problem needs.
    pub(super) fn check(&self, task: Task, problem: Option<Problem>) -> Result<()> {
        if self.examples == 0 {
            let hint = "check --data and its columns";
            return Err(Error::settings("the data has no examples", hint));
        }
        let classifies = task == Task::TokenClassification || task == Task::TextClassification;
        let several = problem == Some(Problem::MultiLabel) || problem == Some(Problem::Regression);
        if !classifies || several {
            return Ok(());
        }
        if let (1, Some(label)) = (self.labels.len(), self.labels.keys().next()) {
            let what = format!("all examples have the same label, {label:?}");
            let hint = "a classifier needs two labels; numbers to predict are --problem regression";
            return Err(Error::settings(what, hint));
        }
        const MOST: usize = 1000;
        if self.labels.len() > MOST {
            let what = format!("the data has more than {MOST} labels");
            let hint = "check --label; numbers to predict are --problem regression";
            return Err(Error::settings(what, hint));
        }
        Ok(())
    }
}

/// Which part of the training files an example is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Dev,
}

/// Examples of one part.
pub(super) type Selected = Box<dyn Iterator<Item = Result<Example>> + Send>;

/// One part of the training files: what `share` keeps for measuring, or the rest. Of a stream of
/// text the end is kept, of other examples a random choice.
pub(super) fn part(
    data: &Data,
    task: Task,
    share: f64,
    total: usize,
    seed: u64,
    wanted: Part,
) -> Result<Selected> {
    let all = data::read(&data.train, task, &data.options)?;
    if share == 0.0 {
        return Ok(if wanted == Part::Dev { Box::new(std::iter::empty()) } else { Box::new(all) });
    }
    let tail = total - (share * total as f64).ceil() as usize;
    let is_dev = move |i: usize| match task {
        Task::CausalLm => i >= tail,
        _ => (mix(&[seed, i as u64]) >> 11) as f64 / (1_u64 << 53) as f64 <= share,
    };
    let keep = move |(i, example): (usize, Result<Example>)| {
        let of_part = is_dev(i) == (wanted == Part::Dev);
        (of_part || example.is_err()).then_some(example)
    };
    Ok(Box::new(all.enumerate().filter_map(keep)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_an_order() {
        let ordered = |names: &[&str]| {
            let labels = names.iter().map(|&name| (name.to_owned(), 1)).collect();
            Survey { examples: 1, labels, skipped: 0 }.ordered().join(" ")
        };
        assert_eq!(ordered(&["pos", "neg"]), "neg pos");
        assert_eq!(ordered(&["10", "2", "-1"]), "-1 2 10");
        let tags = ["I-PER", "B-PER", "O", "B-LOC", "I-LOC"];
        assert_eq!(ordered(&tags), "O B-LOC I-LOC B-PER I-PER");
    }

    #[test]
    fn parts_are_apart_and_all_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.csv");
        let rows: String = (0..1000).map(|i| format!("t{i},{}\n", i % 2)).collect();
        std::fs::write(&file, format!("text,label\n{rows}")).unwrap();
        let data = Data { train: vec![file], ..Data::default() };
        let task = Task::TextClassification;
        let lines = |wanted| -> Vec<usize> {
            let part = part(&data, task, 0.1, 1000, 3, wanted).unwrap();
            part.map(|example| example.unwrap().place.line).collect()
        };
        let (mut train, dev) = (lines(Part::Train), lines(Part::Dev));
        // Binomial: 100 with a standard deviation of 9.5.
        assert!((60..140).contains(&dev.len()), "{}", dev.len());
        train.extend(dev);
        train.sort_unstable();
        assert_eq!(train, (2..=1001).collect::<Vec<_>>());
    }

    #[test]
    fn files_are_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let file = DataFile::look(&path).unwrap();
        // FIPS 180-4's example.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((file.bytes, file.sha256.as_str()), (3, sha256));
    }
}
