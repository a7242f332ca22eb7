//! Lines of a text file, one at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::Place;
use crate::error::{Error, Result};

/// A line longer than this is not one that any model reads.
const MAX_LINE: u64 = 64 << 20;

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    if file.metadata().map_err(|error| Error::io(path, error))?.is_dir() {
        return Err(Error::data(path.display(), "is a directory", "--data takes files"));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// The lines of a file: UTF-8, without a byte order mark and without what ends them.
pub(super) struct Lines {
    reader: BufReader<File>,
    file: String,
    number: usize,
    ended: bool,
    /// Whether a carriage return alone ends a line, as it did on old Macintosh systems.
    lone_returns: bool,
    /// Set where such a return was the last thing read.
    after_return: bool,
}

/// A line and what ended it.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) end: &'static str,
    pub(super) place: Place,
}

impl Lines {
    pub(super) fn open(path: &Path, lone_returns: bool) -> Result<Self> {
        let (reader, file) = (open(path)?, path.display().to_string());
        Ok(Self { reader, file, number: 0, ended: false, lone_returns, after_return: false })
    }

    /// Reads up to the next end of a line; the bytes have that end.
    fn read(&mut self, line: &mut Vec<u8>) -> std::io::Result<()> {
        if !self.lone_returns {
            Read::take(&mut self.reader, MAX_LINE + 1).read_until(b'\n', line)?;
            return Ok(());
        }
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() || line.len() as u64 > MAX_LINE {
                return Ok(());
            }
            if std::mem::take(&mut self.after_return) {
                // The second byte of a Windows line end belongs to the line before.
                if buffer[0] == b'\n' {
                    line.push(b'\n');
                    self.reader.consume(1);
                }
                return Ok(());
            }
            let end = buffer.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            line.extend_from_slice(&buffer[..taken]);
            let last = line.last().copied();
            self.reader.consume(taken);
            match (end, last) {
                (Some(_), Some(b'\r')) => self.after_return = true,
                (Some(_), _) => return Ok(()),
                (None, _) => {}
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut line = Vec::new();
        let read = self.read(&mut line);
        self.number += 1;
        let place = Place { file: self.file.as_str().into(), line: self.number };
        // What cannot be read is no bad row: nothing behind it can be either.
        let mut fail = |error: std::io::Error| {
            self.ended = true;
            Some(Err(Error::Io { path: place.to_string(), error }))
        };
        if let Err(error) = read {
            return fail(error);
        }
        if line.is_empty() {
            self.ended = true;
            return None;
        }
        if line.len() as u64 > MAX_LINE {
            let what = format!("the line is longer than {MAX_LINE} bytes");
            return fail(std::io::Error::other(what));
        }
        let end = if line.ends_with(b"\r\n") {
            "\r\n"
        } else if line.ends_with(b"\n") {
            "\n"
        } else if self.lone_returns && line.ends_with(b"\r") {
            "\r"
        } else {
            ""
        };
        line.truncate(line.len() - end.len());
        if self.number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        match String::from_utf8(line) {
            Ok(text) => Some(Ok(Line { text, end, place })),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let what = format!("not UTF-8 after byte {at} of the line");
                Some(Err(Error::data(&place, what, "convert the file to UTF-8")))
            }
        }
    }
}
