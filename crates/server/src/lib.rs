//! Glossator over HTTP, on one's own machine: predictions, explanations, attacks and attention, and a
//! page that shows them.
//!
//! ```no_run
//! use std::net::TcpListener;
//!
//! use glossator_models::BUNDLED;
//! use glossator_server::{Catalogue, Location, Server, Settings};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut models = Catalogue::new();
//! models.add("sentiment-en", Location::Bundled(&BUNDLED[0]));
//! let server = Server::start(Settings::new(listener.local_addr()?), models)?;
//! server.run(listener)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Invariants
//!
//! * Nothing is computed on a thread that answers.
//! * Nothing that a client writes is a path, and none of it becomes markup.
//! * Whatever a request holds, the answer is a document or a problem with a code.
//! * Routes and their description in OpenAPI are one list.

mod accept;
mod app;
mod assets;
mod body;
mod cache;
mod card;
mod events;
mod examples;
mod guard;
mod jobs;
mod metrics;
mod models;
mod openapi;
mod problem;
mod render;
mod routes;
mod serve;
mod settings;
mod task;
mod work;

pub use models::{Catalogue, Location};
pub use openapi::document as openapi;
pub use serve::{Ended, Server};
pub use settings::{Limits, Report, Settings};
