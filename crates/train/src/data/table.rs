//! Comma- and tab-separated values.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glossator_models::Task;

use super::columns::{content, number, short};
use super::{Example, Part, Place, ReadOptions, lines};
use crate::error::{Error, Result};

/// A row longer than this is not one that any model reads: a quote was not closed.
const MAX_ROW: u64 = 64 << 20;

/// What went by on the way to the parser.
struct Seen {
    /// How many bytes the present row may still take.
    left: u64,
    /// The line that is being read.
    line: u64,
    /// Whether nothing of it has been read.
    fresh: bool,
    /// Runs of empty lines ahead of the present row: the parser skips them, and says that a row
    /// behind them begins where they do.
    empty: VecDeque<Range<u64>>,
}

impl Seen {
    fn pass(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        for &byte in bytes {
            match byte {
                b'\n' => {
                    if self.fresh {
                        match self.empty.back_mut() {
                            Some(run) if run.end == self.line => run.end += 1,
                            _ => self.empty.push_back(self.line..self.line + 1),
                        }
                    }
                    self.line += 1;
                    self.fresh = true;
                }
                b'\r' => {}
                _ => self.fresh = false,
            }
        }
    }

    /// The line on which a row begins that the parser says to begin on `line`.
    fn first_line(&mut self, line: u64) -> u64 {
        while self.empty.front().is_some_and(|run| run.end <= line) {
            self.empty.pop_front();
        }
        self.empty.front().filter(|run| run.contains(&line)).map_or(line, |run| run.end)
    }
}

/// Fails where a row takes more bytes than [`MAX_ROW`].
struct Limited<R> {
    inner: R,
    seen: Arc<Mutex<Seen>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut seen = lock(&self.seen);
        if seen.left == 0 {
            return Err(std::io::Error::other(format!("a row is longer than {MAX_ROW} bytes")));
        }
        let read = self.inner.read(buffer)?;
        seen.pass(&buffer[..read]);
        Ok(read)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read(path: &Path, delimiter: u8, task: Task, options: &ReadOptions) -> Result<Part> {
    let uses = options.columns.of(task);
    let quotes = options.quotes.unwrap_or(delimiter == b',');
    let named = uses.iter().any(|used| number(&used.column).is_none());
    let has_header = options.header.unwrap_or(named);
    let seen = Seen { left: MAX_ROW, line: 1, fresh: true, empty: VecDeque::new() };
    let seen = Arc::new(Mutex::new(seen));
    let limited = Limited { inner: lines::open(path)?, seen: Arc::clone(&seen) };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quotes)
        .flexible(true)
        .has_headers(false)
        .from_reader(limited);
    let file: Arc<str> = path.display().to_string().into();
    let mut header: Option<Vec<String>> = None;
    if has_header {
        let mut first = csv::ByteRecord::new();
        let there = reader.read_byte_record(&mut first).map_err(|e| broken(&file, e))?;
        if !there {
            return Err(Error::data(&file, "the file is empty", "give a file with a header"));
        }
        header = Some(names(&first, &file)?);
    }
    let mut places = Vec::with_capacity(uses.len());
    for used in &uses {
        places.push(find(&used.column, used.flag, header.as_deref(), &file)?);
    }
    let (options, mut row, mut ended) = (options.clone(), csv::ByteRecord::new(), false);
    let width = header.as_ref().map(Vec::len);
    Ok(Box::new(std::iter::from_fn(move || {
        while !ended {
            lock(&seen).left = MAX_ROW;
            match reader.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => ended = true,
                Err(error) => {
                    ended = true;
                    return Some(Err(broken(&file, error)));
                }
            }
            // A line of white space between rows is no row.
            let blank = row.len() <= 1 && row.iter().all(|field| field.trim_ascii().is_empty());
            if ended || (blank && places.iter().any(|&place| place > 0)) {
                continue;
            }
            let line = row.position().map_or(0, csv::Position::line);
            let line = lock(&seen).first_line(line) as usize;
            let place = Place { file: Arc::clone(&file), line };
            return Some(example(&row, &places, width, task, &options, place));
        }
        None
    })))
}

fn example(
    row: &csv::ByteRecord,
    columns: &[usize],
    width: Option<usize>,
    task: Task,
    options: &ReadOptions,
    place: Place,
) -> Result<Example> {
    let mut values = Vec::with_capacity(columns.len());
    for &column in columns {
        let Some(field) = row.get(column) else {
            let needs = width.unwrap_or(column + 1);
            let what = format!("expected {needs} columns, got {}", row.len());
            let hint = "check the row's delimiters and quotes; --quotes says whether fields may \
                        be quoted";
            return Err(Error::data(&place, what, hint));
        };
        let text = std::str::from_utf8(field).map_err(|error| {
            let what = format!(
                "column {} is not UTF-8 after byte {} of the field",
                column + 1,
                error.valid_up_to()
            );
            Error::data(&place, what, "convert the file to UTF-8")
        })?;
        values.push(text.to_owned());
    }
    let content = content(task, values, options, &place)?;
    Ok(Example { place, content })
}

/// The names in the first row.
fn names(row: &csv::ByteRecord, file: &Arc<str>) -> Result<Vec<String>> {
    let name = |field: &[u8]| match std::str::from_utf8(field) {
        Ok(name) => Ok(name.trim_start_matches('\u{feff}').trim().to_owned()),
        Err(_) => Err(Error::data(
            Place { file: Arc::clone(file), line: 1 },
            "the header is not UTF-8",
            "convert the file to UTF-8",
        )),
    };
    row.iter().map(name).collect()
}

/// The index of a column.
fn find(column: &str, flag: &str, header: Option<&[String]>, file: &Arc<str>) -> Result<usize> {
    let place = Place { file: Arc::clone(file), line: usize::from(header.is_some()) };
    let Some(names) = header else {
        return number(column).map(|n| n - 1).ok_or_else(|| {
            let what = format!("no column {column:?} ({flag}): the file has no header");
            Error::data(&place, what, "give the number of the column, from 1")
        });
    };
    let named = names.iter().position(|name| name == column);
    let numbered = || number(column).map(|n| n - 1).filter(|&n| n < names.len());
    named.or_else(numbered).ok_or_else(|| {
        let known: Vec<_> =
            names.iter().take(40).map(|name| format!("{:?}", short(name))).collect();
        let what = format!("no column {column:?} ({flag}); there are {}", known.join(", "));
        let hint = format!(
            "name the column with {flag}; by its number, from 1, if the first row is no header"
        );
        Error::data(&place, what, hint)
    })
}

fn broken(file: &Arc<str>, error: csv::Error) -> Error {
    let line = error.position().map_or(0, |position| position.line() as usize);
    let path = Place { file: Arc::clone(file), line }.to_string();
    Error::Io { path, error: error.into() }
}
