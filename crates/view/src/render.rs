//! Renderers: a document in, bytes out, as many documents as come.
//!
//! All renderers are driven alike: [`Renderer::begin`], then [`Renderer::document`] for each input
//! in order, then [`Renderer::end`]. Nothing is kept that need not be: millions of rows stream
//! through all of them but SVG, which is one picture and has to know its height.
//!
//! Every renderer checks the document first; a bad one is an error of kind
//! [`io::ErrorKind::InvalidData`] that holds the [`CheckError`](crate::wire::CheckError).
//!
//! Scores are coloured by their share of the strongest score of the whole explanation, over all
//! fields and special tokens. An explanation without any negative score is drawn in one hue.

pub mod attack;
pub mod csv;
pub mod curves;
pub mod html;
pub mod json;
pub mod svg;
pub mod terminal;

mod markup;
mod summary;

use std::io::{self, Write};

use crate::wire::Document;

/// Turns documents into one output.
pub trait Renderer {
    /// Writes what comes before the first document. The default writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes one document.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidData` when the document does not pass its check.
    fn document(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what comes after the last document. The default writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Renders documents into a string; for tests, pages and other small outputs.
///
/// # Errors
/// `InvalidData` when a document does not pass its check.
pub fn to_string<'a>(
    renderer: &mut dyn Renderer,
    documents: impl IntoIterator<Item = &'a Document>,
) -> io::Result<String> {
    let mut out = Vec::new();
    renderer.begin(&mut out)?;
    for document in documents {
        renderer.document(document, &mut out)?;
    }
    renderer.end(&mut out)?;
    String::from_utf8(out).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Refuses a document that breaks the promises of the wire format.
fn check(document: &Document) -> io::Result<()> {
    document.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
