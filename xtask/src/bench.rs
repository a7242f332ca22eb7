//! `cargo xtask bench`: side by side with PyTorch and Captum.
//!
//! Both contenders are processes that stay up and take one command a line, in turns: ours, theirs,
//! ours, theirs. What the machine does meanwhile thus hits both, and the ratio of each turn is
//! worth more than any number of milliseconds. Wall time is what each worker measures around the
//! explanation itself; processor time and peak memory come from `/proc`, with the same instrument
//! for both.

mod attacks;
mod recurrent;
mod report;
mod worker;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub(crate) use attacks::attacks;
pub(crate) use recurrent::recurrent;
use report::report;
pub(crate) use report::{date, load_average, processor, ratio};
use worker::Worker;

const USAGE: &str = "\
cargo xtask bench peers [--quick] [--threads 2] [--models minilm,base,smollm2]
                        [--tokens 32,128] [--rounds N] [--program target/release/glossator] [--eager]";

/// The model that writes texts, converted from a package; the others have random weights.
const LANGUAGE_MODEL: &str = "smollm2";

/// Words that are one token each to it.
const WORDS: [&str; 10] =
    ["time", "people", "day", "man", "thing", "woman", "life", "child", "world", "school"];

/// How far two engines may differ, relative to the largest score: both compute in f32.
const AGREEMENT: f64 = 1e-3;

struct Settings {
    root: PathBuf,
    threads: usize,
    models: Vec<String>,
    /// Lengths of the inputs, if not those of each model.
    tokens: Option<Vec<usize>>,
    rounds: usize,
    /// Measured explanations in one turn of a case that takes milliseconds.
    repeats: usize,
    program: Option<PathBuf>,
    attention: &'static str,
}

impl Settings {
    fn parse(args: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut settings = Self {
            root: root.to_owned(),
            threads: 2,
            models: ["minilm", "base", LANGUAGE_MODEL].map(str::to_owned).into(),
            tokens: None,
            rounds: 7,
            repeats: 5,
            program: None,
            attention: "sdpa",
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--quick" => (settings.rounds, settings.repeats) = (3, 3),
                "--threads" => settings.threads = value()?.parse()?,
                "--models" => settings.models = value()?.split(',').map(str::to_owned).collect(),
                "--tokens" => {
                    let lengths =
                        value()?.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>();
                    settings.tokens = Some(lengths?);
                }
                "--rounds" => settings.rounds = value()?.parse::<usize>()?.max(1),
                "--program" => settings.program = Some(PathBuf::from(value()?)),
                "--eager" => settings.attention = "eager",
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        Ok(settings)
    }

    fn tokens(&self, model: &str) -> Vec<usize> {
        let usual = if model == LANGUAGE_MODEL { vec![64] } else { vec![32, 128] };
        self.tokens.clone().unwrap_or(usual)
    }

    fn python(&self) -> PathBuf {
        self.root.join("target/python/bin/python")
    }

    fn directory(&self, model: &str) -> PathBuf {
        self.root.join("target/bench/models").join(model)
    }

    fn ours(&self, model: &str) -> Command {
        let mut command = Command::new(self.root.join("target/release/examples/bench_worker"));
        command.arg("--model").arg(self.directory(model));
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    fn theirs(&self, model: &str) -> Command {
        let mut command = Command::new(self.python());
        command.arg(self.root.join("tools/bench/peer_worker.py"));
        command.arg("--model").arg(self.directory(model));
        command.args(["--threads", &self.threads.to_string()]);
        command.args(["--attention", self.attention]);
        command
    }
}

/// Compares with PyTorch and Captum, prints the tables and writes `target/bench/peers.md`.
pub(crate) fn peers(args: &[String]) -> Result<()> {
    let settings = Settings::parse(args)?;
    let versions = prepare(&settings)?;
    let load_before = load_average();
    let mut cases = Vec::new();
    for model in &settings.models {
        cases.extend(explanations(&settings, model)?);
    }
    let mut processes = Vec::new();
    for model in &settings.models {
        processes.push(whole_process(&settings, model)?);
    }
    let report = report(&settings, &versions, &load_before, &cases, &processes)?;
    say(&report)?;
    let path = settings.root.join("target/bench/peers.md");
    std::fs::write(&path, &report).with_context(|| path.display().to_string())?;
    say(&format!("\nwritten to {}", path.display()))
}

pub(crate) fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

pub(crate) fn note(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Makes what is missing: the virtual environment, the models, the programs. Returns the versions
/// of the contenders.
fn prepare(settings: &Settings) -> Result<String> {
    let python = settings.python();
    let probe = "import sys, torch, transformers, captum; \
                 print(f'Python {sys.version.split()[0]}, torch {torch.__version__}, '\
                       f'transformers {transformers.__version__}, Captum {captum.__version__}')";
    let versions = |python: &Path| -> Option<String> {
        let output = Command::new(python).args(["-c", probe]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let theirs = match versions(&python) {
        Some(theirs) => theirs,
        None => {
            note("installing PyTorch, transformers and Captum into target/python")?;
            let python = crate::python::environment(&settings.root)?;
            versions(&python).context("PyTorch, transformers and Captum do not import")?
        }
    };
    for model in &settings.models {
        let directory = settings.directory(model);
        let script = if model == LANGUAGE_MODEL { "make_smollm2.py" } else { "make_model.py" };
        if !directory.join("model.safetensors").exists() {
            note(&format!("making the {model} model"))?;
            let script = settings.root.join("tools/bench").join(script);
            run(Command::new(&python).arg(script).arg(model).arg(&directory))?;
        }
    }
    build_programs(&settings.root)?;
    Ok(format!("Glossator {}; {theirs}", env!("CARGO_PKG_VERSION")))
}

/// Builds what answers for us: all of the workspace, as the tests are built, so that the
/// dependencies are built once for both.
pub(crate) fn build_programs(root: &Path) -> Result<()> {
    run(crate::cargo::cargo(root).args([
        "build",
        "--release",
        "--workspace",
        "--features=glossator/download",
        "--bin=glossator",
        "--example=bench_worker",
        "--example=attack_worker",
    ]))
}

/// What one contender needed, a number for each turn.
#[derive(Default)]
struct Turns {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    peak: Option<f64>,
    scores: Vec<f64>,
}

/// One explanation of one model, by both.
struct Case {
    model: String,
    tokens: usize,
    what: String,
    ours: Turns,
    theirs: Turns,
}

impl Case {
    fn disagreement(&self) -> f64 {
        disagreement(&self.ours.scores, &self.theirs.scores)
    }
}

/// The largest difference of a score, as a share of the largest of theirs.
fn disagreement(ours: &[f64], theirs: &[f64]) -> f64 {
    let largest = theirs.iter().map(|score| score.abs()).fold(0.0, f64::max);
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

fn explanations(settings: &Settings, model: &str) -> Result<Vec<Case>> {
    let mut ours = Worker::start(settings.ours(model))?;
    let mut theirs = Worker::start(settings.theirs(model))?;
    let mut cases = Vec::new();
    for tokens in settings.tokens(model) {
        let text = text(model, tokens);
        for name in ["gradient", "ig50"] {
            let (their_command, what) = match name {
                "gradient" => (format!("gradient 0 {text}"), "gradient".to_owned()),
                _ => faster_batch(&mut theirs, &text)?,
            };
            let our_command = format!("{name} 0 {text}");
            let repeats = if name == "gradient" { settings.repeats } else { 1 };
            note(&format!("{model}, {tokens} tokens, {what}: {} turns each", settings.rounds))?;
            let mut case = Case {
                model: model.to_owned(),
                tokens,
                what,
                ours: Turns::default(),
                theirs: Turns::default(),
            };
            for _ in 0..settings.rounds {
                turn(&mut ours, &our_command, repeats, &mut case.ours)?;
                turn(&mut theirs, &their_command, repeats, &mut case.theirs)?;
            }
            // A process of its own, so that the peak is of this case and of no other.
            for (command, line, turns) in [
                (settings.ours(model), &our_command, &mut case.ours),
                (settings.theirs(model), &their_command, &mut case.theirs),
            ] {
                let mut worker = Worker::start(command)?;
                worker.run(line)?;
                worker.run(line)?;
                turns.peak = worker.peak();
            }
            for turns in [&case.ours, &case.theirs] {
                let got = turns.scores.len();
                ensure!(got == tokens, "a text of {got} tokens; expected {tokens}");
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

/// A text of so many tokens.
fn text(model: &str, tokens: usize) -> String {
    let words: Vec<String> = if model == LANGUAGE_MODEL {
        (0..tokens).map(|i| WORDS[i % WORDS.len()].to_owned()).collect()
    } else {
        // Between the tokens that begin and end every text.
        (0..tokens.saturating_sub(2)).map(|i| format!("w{}", 1000 + 7 * i)).collect()
    };
    words.join(" ")
}

/// Captum computes all steps in one batch unless it is told otherwise, which is not always the
/// fastest: the comparison is with the faster of its default and batches of ten.
fn faster_batch(theirs: &mut Worker, text: &str) -> Result<(String, String)> {
    let mut times = [f64::INFINITY; 2];
    for _ in 0..2 {
        for (time, batch) in times.iter_mut().zip([0, 10]) {
            *time = time.min(theirs.run(&format!("ig50 {batch} {text}"))?.wall);
        }
    }
    let (batch, name) = if times[0] <= times[1] { (0, "all") } else { (10, "10") };
    Ok((format!("ig50 {batch} {text}"), format!("IG-50 (Captum batch: {name})")))
}

fn turn(worker: &mut Worker, command: &str, repeats: usize, turns: &mut Turns) -> Result<()> {
    // The other's idle threads may still spin for a while.
    std::thread::sleep(Duration::from_millis(100));
    if repeats > 1 {
        // The other has filled the caches since.
        worker.run(command)?;
    }
    let mut samples = (0..repeats).map(|_| worker.run(command)).collect::<Result<Vec<_>>>()?;
    turns.wall.push(median(samples.iter().map(|sample| sample.wall)));
    turns.cpu.push(median(samples.iter().map(|sample| sample.cpu)));
    turns.scores = samples.pop().map(|sample| sample.scores).unwrap_or_default();
    Ok(())
}

/// Seconds from the start of a process to its end, ours and theirs in turns.
struct Processes {
    model: String,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

fn whole_process(settings: &Settings, model: &str) -> Result<Processes> {
    let text = text(model, 32);
    let default = settings.root.join("target/release/glossator");
    let program = settings.program.as_ref().unwrap_or(&default);
    let threads = settings.threads.to_string();
    let ours = || {
        let mut command = Command::new(program);
        command.args(["explain", "--model"]).arg(settings.directory(model));
        command.args([&text, "--method", "gradient", "--threads", &threads]);
        command
    };
    let theirs = || {
        let mut command = Command::new(settings.python());
        command.arg(settings.root.join("tools/bench/peer_process.py"));
        command.arg(settings.directory(model)).args([&text, "gradient", &threads]);
        command
    };
    let seconds = |mut command: Command| -> Result<f64> {
        let start = Instant::now();
        let output =
            command.stderr(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{command:?} ended with {}", output.status);
        ensure!(!output.stdout.is_empty(), "{command:?} gave no answer");
        Ok(seconds)
    };
    note(&format!("{model}, whole process: {} turns each", settings.rounds))?;
    // Once each before: both find their files in memory, and an answer is checked to come.
    seconds(ours())?;
    seconds(theirs())?;
    let mut result = Processes { model: model.to_owned(), ours: Vec::new(), theirs: Vec::new() };
    for _ in 0..settings.rounds {
        result.ours.push(seconds(ours())?);
        result.theirs.push(seconds(theirs())?);
    }
    Ok(result)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
