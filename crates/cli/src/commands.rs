//! One file for each command.

pub(crate) mod attack;
pub(crate) mod attacks;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod methods;
pub(crate) mod models;
pub(crate) mod serve;
pub(crate) mod train;
