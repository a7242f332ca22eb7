//! Chores of the workspace: `cargo xtask` lists them.

mod bench;
mod bench_serve;
mod bench_train;
mod cargo;
mod golden;
mod python;
mod test;
mod web;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask test             everything that must hold before a change lands
cargo xtask web              the part of that which is about the front end
cargo xtask golden           write testdata/ again with PyTorch and Captum
cargo xtask bench peers      compare with PyTorch and Captum, side by side
cargo xtask bench recurrent  compare a BiLSTM with AllenNLP's way, side by side
cargo xtask bench attacks    compare with AllenNLP's attacks and TextAttack, side by side
cargo xtask bench train      compare fine-tuning with PyTorch, side by side
cargo xtask bench serve      load the server with many clients on this machine";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its causes, and without the backtrace that the environment may ask for: it says
            // nothing to whoever mistyped an argument.
            drop(bench::note(&format!("error: {error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", ..] => test::run(root, &args[1..]),
        ["web"] => web::check(root, &test::say),
        ["golden", ..] => golden::run(root, &args[1..]),
        ["bench", "peers", ..] => bench::peers(&args[2..]),
        ["bench", "attacks", ..] => bench::attacks(&args[2..]),
        ["bench", "recurrent", ..] => bench::recurrent(&args[2..]),
        ["bench", "train", ..] => bench_train::train(&args[2..]),
        ["bench", "serve", ..] => bench_serve::serve(&args[2..]),
        [] => bail!("{USAGE}"),
        [unknown, ..] => bail!("unknown chore {unknown:?}\n{USAGE}"),
    }
}
