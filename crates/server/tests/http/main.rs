//! The server, asked as a client asks it: through its routes, and over sockets where a connection
//! matters.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod documents;
mod flow;
mod fuzz;
mod hostile;
mod jobs;
mod openapi;
mod page;
mod problems;
mod sockets;
