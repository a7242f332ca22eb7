//! Examples out of data files, read as a stream.
//!
//! A [`Format`] turns a file into records (rows of a table, objects, sentences, questions, lines);
//! [`Columns`] say which part of a record is what; the result is one [`Example`] a record. A record
//! that does not fit is an error that names its file and line, what was expected and what is there.

mod columns;
mod conll;
mod json_lines;
mod lines;
mod parallel;
mod squad;
mod table;
mod tagged;
mod text;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use columns::Columns;
use glossator_models::Task;
pub use tagged::Tagged;

use crate::error::{Error, Result};

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// Values between tabs; quotes are ordinary characters unless asked for.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// One token a line in columns between tabs or spaces; a blank line ends a sentence.
    Conll,
    /// The ten columns of Universal Dependencies.
    ConllU,
    /// The JSON of the Stanford question answering data set, version 1.1 or 2.0.
    Squad,
    /// Plain text.
    Text,
    /// Plain files side by side: line n of each is example n, and file k is column k.
    Parallel,
}

impl Format {
    /// Each with its name and the endings of files that are read so.
    pub const ALL: [(&'static str, Self, &'static [&'static str]); 8] = [
        ("csv", Self::Csv, &["csv"]),
        ("tsv", Self::Tsv, &["tsv", "tab"]),
        ("jsonl", Self::JsonLines, &["jsonl", "ndjson"]),
        ("conll", Self::Conll, &["conll", "bio", "iob"]),
        ("conllu", Self::ConllU, &["conllu"]),
        ("squad", Self::Squad, &["json"]),
        ("text", Self::Text, &["txt", "text"]),
        ("parallel", Self::Parallel, &[]),
    ];

    /// The name on the command line.
    #[must_use]
    pub fn id(self) -> &'static str {
        Self::ALL.iter().find(|(_, format, _)| *format == self).map_or("", |(id, ..)| id)
    }

    /// The format of a file by its ending.
    ///
    /// # Errors
    /// If no format has that ending.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let found = Self::ALL.iter().find(|(.., endings)| endings.contains(&ending.as_str()));
        found.map(|(_, format, _)| *format).ok_or_else(|| {
            let ids: Vec<_> = Self::ALL.iter().map(|(id, ..)| *id).collect();
            let what = match ending.as_str() {
                "" => "the name has no ending that tells its format".to_owned(),
                ending => format!("the ending .{ending} tells no format"),
            };
            let hint = format!("give --data-format; formats are {}", ids.join(", "));
            Error::data(path.display(), what, hint)
        })
    }
}

/// Where an example stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One thing to learn from or to measure with.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What an example holds, by task.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text, or two, with its labels (one, several, or a number as text).
    Labelled {
        /// The text.
        text: String,
        /// The second of a pair.
        pair: Option<String>,
        /// What is right.
        labels: Vec<String>,
    },
    /// Words with a tag each.
    Tagged(Tagged),
    /// A question about a context.
    Question(Question),
    /// A text to model. Those of one file may be pieces of one stream.
    Document {
        /// The text.
        text: String,
        /// Whether the text goes on in the next document.
        goes_on: bool,
    },
    /// A source and what is written in answer to it.
    Rewriting {
        /// What is read.
        source: String,
        /// What is written.
        target: String,
    },
}

/// A question about a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub question: String,
    /// The context.
    pub context: String,
    /// The answers that are right, each with its first byte in the context; none: there is none.
    pub answers: Vec<(String, usize)>,
}

/// How files are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// The format of all files; else each by its ending.
    pub format: Option<Format>,
    /// Which column is what.
    pub columns: Columns,
    /// Whether tables begin with names of columns; else they do if a column is named.
    pub header: Option<bool>,
    /// Whether fields of tables may be quoted; else those of CSV may.
    pub quotes: Option<bool>,
    /// What stands between several labels of one text; else there is one label.
    pub label_separator: Option<String>,
    /// Labels that are called otherwise in the files: `(there, here)`.
    pub rename_labels: Vec<(String, String)>,
    /// An answer that says that there is none.
    pub no_answer: Option<String>,
    /// Keep `\r\n` and `\r` in plain text; else lines end with `\n`.
    pub keep_line_ends: bool,
    /// Read no more examples than these.
    pub limit: Option<usize>,
    /// Leave out rows that cannot be used, instead of ending with an error.
    pub skip_bad_rows: bool,
}

/// Examples of one file, or of several.
type Part = Box<dyn Iterator<Item = Result<Example>> + Send>;

/// Examples as they are read.
pub struct Examples {
    parts: Part,
    skips: bool,
    skipped: usize,
    left: usize,
    failed: bool,
}

impl Examples {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        let parts = Box::new(std::iter::empty());
        Self { parts, skips: false, skipped: 0, left: 0, failed: false }
    }

    /// How many rows were left out so far, because they cannot be used.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 && !self.failed {
            match self.parts.next()? {
                Err(Error::Data { .. }) if self.skips => self.skipped += 1,
                item => {
                    self.left -= 1;
                    self.failed = item.is_err();
                    return Some(item);
                }
            }
        }
        None
    }
}

/// The examples of files for a task, one file after the other.
///
/// # Errors
/// If a file cannot be opened or its format does not serve the task. The iterator gives an error
/// for a row that cannot be used, and ends behind it.
pub fn read(files: &[PathBuf], task: Task, options: &ReadOptions) -> Result<Examples> {
    let mut parts: Vec<Part> = Vec::new();
    if options.format == Some(Format::Parallel) {
        parts.push(parallel::read(files, task, options)?);
    } else {
        for file in files {
            let format = options.format.map_or_else(|| Format::of(file), Ok)?;
            parts.push(read_file(file, format, task, options)?);
        }
    }
    Ok(Examples {
        parts: Box::new(parts.into_iter().flatten()),
        skips: options.skip_bad_rows,
        skipped: 0,
        left: options.limit.unwrap_or(usize::MAX),
        failed: false,
    })
}

fn read_file(path: &Path, format: Format, task: Task, options: &ReadOptions) -> Result<Part> {
    match (format, task) {
        (Format::Csv | Format::Tsv, Task::TokenClassification) => {}
        (Format::Csv, _) => return table::read(path, b',', task, options),
        (Format::Tsv, _) => return table::read(path, b'\t', task, options),
        (Format::JsonLines, _) => return json_lines::read(path, task, options),
        (Format::Conll, Task::TokenClassification) => return conll::read(path, options),
        (Format::ConllU, Task::TokenClassification) => return conll::read_universal(path, options),
        (Format::Squad, Task::QuestionAnswering) => return squad::read(path, options),
        (Format::Text, Task::MaskedLm | Task::CausalLm) => return text::read(path, task, options),
        _ => {}
    }
    let serves = match task {
        Task::TokenClassification => "conll, conllu, jsonl",
        Task::QuestionAnswering => "squad, csv, tsv, jsonl",
        Task::MaskedLm | Task::CausalLm => "text, csv, tsv, jsonl",
        _ => "csv, tsv, jsonl, parallel",
    };
    Err(Error::data(
        path.display(),
        format!("the format {} has no examples of {}", format.id(), task.id()),
        format!("give --data-format, one of {serves}; or choose another task"),
    ))
}
