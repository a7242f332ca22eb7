//! One file for each command.

pub(crate) mod attack;
pub(crate) mod attacks;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod methods;
pub(crate) mod models;
