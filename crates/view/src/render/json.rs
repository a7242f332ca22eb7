//! JSON: one object per line, or one object to read.

use std::io::{self, Write};

use serde::Serialize;

use super::{Renderer, check};
use crate::wire::Document;

/// Settings of [`Json`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Spreads each object over indented lines; by default it is one line (JSON Lines).
    pub pretty: bool,
}

/// Writes the wire format itself. Every number reads back as the very same f64.
#[derive(Debug, Clone, Default)]
pub struct Json {
    options: Options,
}

impl Json {
    /// Makes the renderer.
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Renderer for Json {
    fn document(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        self.write(document, out)
    }
}

impl Json {
    pub(super) fn write<T: Serialize>(&self, value: &T, out: &mut dyn Write) -> io::Result<()> {
        if self.options.pretty {
            serde_json::to_writer_pretty(&mut *out, value)?;
        } else {
            serde_json::to_writer(&mut *out, value)?;
        }
        out.write_all(b"\n")
    }
}
