//! Files side by side: line n of each belongs to example n.

use std::path::PathBuf;

use glossator_models::Task;

use super::columns::{content, number};
use super::lines::Lines;
use super::{Example, Part, ReadOptions};
use crate::error::{Error, Result};

pub(super) fn read(files: &[PathBuf], task: Task, options: &ReadOptions) -> Result<Part> {
    if matches!(task, Task::TokenClassification | Task::CausalLm | Task::MaskedLm) {
        let what = format!("--data-format parallel has no examples of {}", task.id());
        return Err(Error::settings(what, "it is for texts with labels, questions or targets"));
    }
    let mut columns = Vec::new();
    for used in options.columns.of(task) {
        let column = number(&used.column).filter(|&n| n <= files.len());
        let Some(column) = column else {
            let (flag, column, count) = (used.flag, used.column, files.len());
            return Err(Error::settings(
                format!("{flag}: expected the number of a file, 1 to {count}, got {column:?}"),
                "with --data-format parallel, file 1 of --data is column 1: --text 1 --label 2",
            ));
        };
        columns.push(column - 1);
    }
    let mut readers = Vec::new();
    for file in files {
        readers.push(Lines::open(file, false)?);
    }
    let options = options.clone();
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Ok(Box::new(std::iter::from_fn(move || {
        let mut lines = Vec::with_capacity(readers.len());
        let mut ended = None;
        for (i, reader) in readers.iter_mut().enumerate() {
            match reader.next() {
                Some(Ok(line)) => lines.push(line),
                Some(Err(error)) => return Some(Err(error)),
                None => ended = Some(i),
            }
        }
        let first = lines.first()?;
        if let Some(short) = ended {
            let what = format!("there is a line, but {} has ended", names[short]);
            let hint = "files side by side have as many lines as each other";
            return Some(Err(Error::data(&first.place, what, hint)));
        }
        let place = first.place.clone();
        let values = columns.iter().map(|&column| lines[column].text.clone()).collect();
        let content = content(task, values, &options, &place);
        Some(content.map(|content| Example { place, content }))
    })))
}
