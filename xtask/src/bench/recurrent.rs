//! `cargo xtask bench recurrent`: a stacked BiLSTM, 50 steps of integrated gradients of ours beside
//! the ten that AllenNLP Interpret took, one by one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::report::{date, load_average, processor, ratio};
use super::worker::Worker;
use super::{AGREEMENT, Turns, build_programs, disagreement, median, note, run, say, turn};

const USAGE: &str = "\
cargo xtask bench recurrent [--threads 2] [--rounds 7] [--tokens 16,64]";

/// Compares, prints the table and writes `target/bench/recurrent.md`.
pub(crate) fn recurrent(args: &[String]) -> Result<()> {
    let (mut threads, mut rounds, mut lengths) = (2_usize, 7_usize, vec![16_usize, 64]);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "--threads" => threads = value()?.parse::<usize>()?.max(1),
            "--rounds" => rounds = value()?.parse::<usize>()?.max(1),
            "--tokens" => {
                lengths = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            other => bail!("unknown argument {other}\n{USAGE}"),
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let python = crate::python::environment(root)?;
    let script = root.join("tools/bench/recurrent_worker.py");
    let model = root.join("target/bench/models/bilstm");
    if !model.join("model.safetensors").exists() {
        note("making the bilstm model")?;
        run(Command::new(&python).arg(&script).arg("make").arg(&model))?;
    }
    build_programs(root)?;
    let threads = threads.to_string();
    let mut ours = Command::new(root.join("target/release/examples/bench_worker"));
    ours.arg("--model").arg(&model).args(["--threads", &threads]);
    let mut theirs = Command::new(&python);
    theirs.arg(&script).arg("work").arg(&model).arg(&threads);
    let load_before = load_average();
    let (mut ours, mut theirs) = (Worker::start(ours)?, Worker::start(theirs)?);
    let mut table = String::new();
    for tokens in lengths {
        note(&format!("{tokens} tokens: {rounds} turns each"))?;
        let words: Vec<String> = (0..tokens).map(|i| format!("w{}", 1000 + 7 * i)).collect();
        let text = words.join(" ");
        let gradient = format!("gradient 0 {text}");
        let (ours_at, theirs_at) = (ours.run(&gradient)?, theirs.run(&gradient)?);
        let apart = disagreement(&ours_at.scores, &theirs_at.scores);
        ensure!(apart < AGREEMENT, "the gradients differ by {apart:.0e}: not the same model");
        let (mut us, mut them) = (Turns::default(), Turns::default());
        for _ in 0..rounds {
            turn(&mut ours, &format!("ig50 0 {text}"), 1, &mut us)?;
            turn(&mut theirs, &format!("ig10 0 {text}"), 1, &mut them)?;
        }
        writeln!(
            table,
            "| {tokens} | {:.0} | {:.0} | {} | {} | {apart:.0e} |",
            median(us.wall.iter().copied()),
            median(them.wall.iter().copied()),
            ratio(&us.wall, &them.wall),
            ratio(&us.cpu, &them.cpu),
        )?;
    }
    let report = format!(
        "# A stacked BiLSTM side by side with AllenNLP's way through PyTorch\n\n\
         - two layers, 512 each way, over words of width 300; {}, {threads} threads for both\n\
         - {}; load average {load_before} before, {} after\n\
         - {rounds} turns each, alternating; medians; a ratio is the median over the turns of ours / \
         theirs, with the lowest and the highest\n\n\
         | tokens | ours, 50 steps, ms | theirs, 10 steps, ms | wall ratio | CPU ratio | gradients \
         differ by |\n|---|---|---|---|---|---|\n{table}",
        processor(),
        date(),
        load_average(),
    );
    say(&report)?;
    let path: PathBuf = root.join("target/bench/recurrent.md");
    std::fs::write(&path, &report).with_context(|| path.display().to_string())?;
    say(&format!("written to {}", path.display()))
}
