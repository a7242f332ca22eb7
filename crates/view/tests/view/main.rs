//! Tests of the wire format and the renderers, through the public interface alone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as the test does")]

mod any;
mod attack;
mod csv;
mod html;
mod pictures;
mod property;
mod sample;
mod svg;
mod tasks;
mod terminal;
mod wire;
