//! Glossator's output: the wire format and everything that draws it.
//!
//! [`wire`] holds the one JSON shape in which explanations leave the house; [`render`] turns it
//! into text for a terminal, HTML, SVG, CSV and JSON. This is the only crate that serialises, and
//! the only one that rounds, normalises or colours a score.
//!
//! # Architecture invariants
//! - Nothing here computes a score; nothing outside draws one.
//! - Every renderer takes a [`wire::Document`] and checks it first, so each can rely on spans and
//!   alignments, and no output ever holds a NaN.
//! - Text from a document is data: it cannot move the cursor, reorder a line or become markup.
//! - Colour is never the only sign.

pub mod convert;
pub mod evaluation;
pub mod palette;
pub mod render;
pub mod wire;

mod diff;
mod grid;
mod number;
mod text;
mod units;

pub use units::By;
