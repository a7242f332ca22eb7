//! Plain text for language models: a text a line, or one stream.

use std::path::Path;

use glossator_models::Task;

use super::lines::{Line, Lines};
use super::{Content, Example, Part, ReadOptions};
use crate::error::Result;

/// A stream is handed on in pieces of whole lines of about so many bytes.
const PIECE: usize = 1 << 16;

pub(super) fn read(path: &Path, task: Task, options: &ReadOptions) -> Result<Part> {
    let lines = Lines::open(path, true)?;
    if task == Task::MaskedLm {
        return Ok(Box::new(lines.filter_map(|line| match line {
            Ok(line) if line.text.trim().is_empty() => None,
            Ok(Line { text, place, .. }) => {
                let content = Content::Document { text, goes_on: false };
                Some(Ok(Example { place, content }))
            }
            Err(error) => Some(Err(error)),
        })));
    }
    let (keep, mut lines) = (options.keep_line_ends, lines.peekable());
    Ok(Box::new(std::iter::from_fn(move || {
        let first = match lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let (mut text, place) = (String::new(), first.place.clone());
        let mut add = |line: &Line| {
            text.push_str(&line.text);
            text.push_str(if keep || line.end.is_empty() { line.end } else { "\n" });
            text.len()
        };
        let mut length = add(&first);
        while length < PIECE
            && let Some(Ok(line)) = lines.next_if(Result::is_ok)
        {
            length = add(&line);
        }
        let goes_on = lines.peek().is_some();
        Some(Ok(Example { place, content: Content::Document { text, goes_on } }))
    })))
}
