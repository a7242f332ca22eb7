//! `cargo xtask bench train`: fine-tuning side by side with PyTorch.
//!
//! Both train the same encoder on the same generated data with the same settings, each in a process
//! of its own, in turns. Seconds are those of the steps alone (forward, backward, update), as each
//! measures them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::{build_programs, date, load_average, median, note, processor, ratio, run, say};

const USAGE: &str = "\
cargo xtask bench train [--rounds 3] [--threads 2] [--examples 1600] [--epochs 2] [--batch 32]
                        [--rate 1e-4] [--model DIR] [--program target/release/glossator]";

struct Settings {
    root: PathBuf,
    rounds: usize,
    threads: usize,
    examples: usize,
    epochs: usize,
    batch: usize,
    rate: f64,
    model: Option<PathBuf>,
    program: Option<PathBuf>,
}

impl Settings {
    fn parse(args: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut settings = Self {
            root: root.to_owned(),
            rounds: 3,
            threads: 2,
            examples: 1600,
            epochs: 2,
            batch: 32,
            rate: 1e-4,
            model: None,
            program: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--rounds" => settings.rounds = value()?.parse::<usize>()?.max(1),
                "--threads" => settings.threads = value()?.parse()?,
                "--examples" => settings.examples = value()?.parse()?,
                "--epochs" => settings.epochs = value()?.parse()?,
                "--batch" => settings.batch = value()?.parse()?,
                "--rate" => settings.rate = value()?.parse()?,
                "--model" => settings.model = Some(PathBuf::from(value()?)),
                "--program" => settings.program = Some(PathBuf::from(value()?)),
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        Ok(settings)
    }
}

/// One run of one contender.
struct Outcome {
    seconds: f64,
    accuracy: f64,
}

/// Trains in turns, prints the table and writes `target/bench/train.md`.
pub(crate) fn train(args: &[String]) -> Result<()> {
    let settings = Settings::parse(args)?;
    let root = &settings.root;
    let python = crate::python::environment(root)?;
    let home = root.join("target/bench/train");
    std::fs::create_dir_all(&home)?;
    let script = root.join("tools/bench/peer_train.py");
    let examples = settings.examples.to_string();
    run(Command::new(&python).arg(&script).arg("data").arg(&home).arg(&examples))?;
    let model = match &settings.model {
        Some(model) => model.clone(),
        None => base(&settings, &python, &home)?,
    };
    let program = match &settings.program {
        Some(program) => program.clone(),
        None => {
            build_programs(root)?;
            root.join("target/release/glossator")
        }
    };
    let load_before = load_average();
    let (mut ours, mut theirs, mut versions) = (Vec::new(), Vec::new(), String::new());
    for round in 0..settings.rounds {
        note(&format!("round {} of {}", round + 1, settings.rounds))?;
        ours.push(glossator(&settings, &program, &model, &home, round)?);
        let (outcome, with) = pytorch(&settings, &python, &script, &model, &home, round)?;
        theirs.push(outcome);
        versions = with;
    }
    let seconds = |side: &[Outcome]| side.iter().map(|outcome| outcome.seconds).collect::<Vec<_>>();
    let accuracies = |side: &[Outcome]| {
        let each = side.iter().map(|outcome| format!("{:.1} %", 100.0 * outcome.accuracy));
        each.collect::<Vec<_>>().join(", ")
    };
    let (a, b) = (seconds(&ours), seconds(&theirs));
    let mut out = String::new();
    let Settings { threads, epochs, batch, rate, .. } = settings;
    writeln!(out, "# Fine-tuning side by side with PyTorch\n")?;
    writeln!(out, "- Glossator {}; {versions}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "- {}, {threads} threads for both", processor())?;
    writeln!(out, "- {}; load average {load_before} before, {} after", date(), load_average())?;
    writeln!(
        out,
        "- {} examples, {epochs} epochs, batches of {batch}, rate {rate}, {} turns each, one after \
         the other, with seeds of their own\n",
        settings.examples, settings.rounds
    )?;
    writeln!(out, "| | seconds of training, median | accuracy on 500 unseen |\n|---|---|---|")?;
    writeln!(out, "| Glossator | {:.1} | {} |", median(a.iter().copied()), accuracies(&ours))?;
    writeln!(out, "| PyTorch | {:.1} | {} |", median(b.iter().copied()), accuracies(&theirs))?;
    writeln!(out, "\nTime ratio, Glossator / PyTorch: {}", ratio(&a, &b))?;
    say(&out)?;
    let path = root.join("target/bench/train.md");
    std::fs::write(&path, &out).with_context(|| path.display().to_string())?;
    say(&format!("written to {}", path.display()))
}

/// The encoder of all-MiniLM-L6-v2, whole.
fn base(settings: &Settings, python: &Path, home: &Path) -> Result<PathBuf> {
    let model = home.join("base");
    if !model.join("model.safetensors").exists() {
        note("preparing the encoder of all-MiniLM-L6-v2")?;
        run(Command::new(python)
            .current_dir(&settings.root)
            .arg("tools/recipes/minilm_base.py")
            .arg("--text")
            .arg(home.join("train.csv"))
            .args(["--vocabulary", "30522", "--out"])
            .arg(&model))?;
    }
    Ok(model)
}

fn glossator(
    settings: &Settings,
    program: &Path,
    model: &Path,
    home: &Path,
    seed: usize,
) -> Result<Outcome> {
    let out = home.join("ours");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    run(Command::new(program)
        .args(["train", "text-classification", "--quiet", "--labels", "negative,positive"])
        .arg("--from")
        .arg(model)
        .arg("--data")
        .arg(home.join("train.csv"))
        .arg("--dev")
        .arg(home.join("dev.csv"))
        .arg("--out")
        .arg(&out)
        .args(["--epochs", &settings.epochs.to_string(), "--batch", &settings.batch.to_string()])
        .args(["--learning-rate", &settings.rate.to_string(), "--seed", &seed.to_string()])
        .args(["--threads", &settings.threads.to_string(), "--checkpoint-minutes", "1000"])
        .args(["--evaluate-every", "1000000"]))?;
    let (mut seconds, mut accuracy) = (0.0, f64::NAN);
    for line in std::fs::read_to_string(out.join("training.jsonl"))?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        seconds += record["seconds"].as_f64().unwrap_or(0.0);
        accuracy = record["scores"]["accuracy"].as_f64().unwrap_or(accuracy);
    }
    ensure!(seconds > 0.0 && accuracy.is_finite(), "the log of {} is empty", out.display());
    Ok(Outcome { seconds, accuracy })
}

fn pytorch(
    settings: &Settings,
    python: &Path,
    script: &Path,
    model: &Path,
    home: &Path,
    seed: usize,
) -> Result<(Outcome, String)> {
    let mut command = Command::new(python);
    command.arg(script).arg("train").arg(model).arg(home);
    for value in [seed, settings.threads, settings.epochs, settings.batch] {
        command.arg(value.to_string());
    }
    command.arg(settings.rate.to_string());
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let answer: serde_json::Value = serde_json::from_str(text.trim()).context(text.clone())?;
    let number = |key: &str| answer[key].as_f64().with_context(|| format!("no {key} in {text}"));
    let outcome = Outcome { seconds: number("seconds")?, accuracy: number("accuracy")? };
    Ok((outcome, answer["versions"].as_str().unwrap_or("PyTorch").to_owned()))
}
