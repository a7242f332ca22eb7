//! The binary `glossator`.

mod args;
mod commands;
mod exit;
mod input;
mod method_flags;
mod output;
mod progress;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::Exit;

/// Keeps large blocks between evaluations: with the system's allocator each activation is mapped
/// and unmapped, and page faults cost up to 40 % of an explanation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::guard(|| {
        let args = Args::parse();
        match args.command {
            Command::Explain(args) => commands::explain::run(&args),
            Command::Methods(args) => commands::methods::run(&args),
            Command::Models => commands::models::run(),
            Command::Schema => commands::generate::schema(),
            Command::Completions { shell } => commands::generate::completions(shell),
            Command::Man { command } => commands::generate::man(command.as_deref()),
        }
    })
    .unwrap_or(Exit::Failure)
    .into()
}
