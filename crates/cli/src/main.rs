//! The binary `glossator`.

mod args;
mod commands;
mod exit;
mod input;
mod interrupt;
mod method_flags;
mod output;
mod progress;
mod terminal;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::{Exit, Stop};

/// Keeps large blocks between evaluations: with the system's allocator each activation is mapped
/// and unmapped, and page faults cost up to 40 % of an explanation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::hush_panics();
    exit::conclude(exit::caught(run)).into()
}

fn run() -> Result<Exit, Stop> {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage::answer(&error),
    };
    match args.command {
        Command::Explain(args) => commands::explain::run(&args),
        Command::Methods(args) => commands::methods::run(&args),
        Command::Models => commands::models::run(),
        Command::Schema => commands::generate::schema(),
        Command::Completions { shell } => commands::generate::completions(shell),
        Command::Man { command } => commands::generate::man(command.as_deref()),
    }
}
