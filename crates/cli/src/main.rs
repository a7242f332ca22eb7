//! The binary `glossator`.

mod args;
mod attack_flags;
mod commands;
mod exit;
mod input;
mod installed;
mod interrupt;
mod memory;
mod method_flags;
mod model;
mod output;
mod parallel;
mod progress;
mod task;
mod terminal;
mod training;
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
    keep_candle_serial();
    exit::hush_panics();
    exit::conclude(exit::caught(run)).into()
}

/// Turns off candle's own thread pool, which fights with ours; see `glossator_ops::threads`.
fn keep_candle_serial() {
    #[expect(unsafe_code, reason = "candle reads its number of threads from the environment only")]
    // SAFETY: the first statement of `main`: there is no other thread that could read the
    // environment meanwhile.
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
}

fn run() -> Result<Exit, Stop> {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage::answer(&error),
    };
    match args.command {
        Command::Explain(args) => commands::explain::run(&args),
        Command::Attack(args) => commands::attack::run(&args),
        Command::Attacks(args) => commands::attacks::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Methods(args) => commands::methods::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Schema { command } => commands::generate::schema(command),
        Command::Completions { shell } => commands::generate::completions(shell),
        Command::Man { command } => commands::generate::man(command.as_deref()),
    }
}
