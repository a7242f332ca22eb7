//! One file for each model family, mostly a table of its weight names.

pub mod bert;
