//! `cargo xtask bench attacks`: side by side with AllenNLP's algorithms written the obvious way in
//! PyTorch, and with TextAttack.
//!
//! Both sides attack the same sentences with the same weights, ten sentences each in turn, so that
//! what the machine does meanwhile hits both. Sentences are what we compute side by side, on a
//! thread each, as with `--file`; PyTorch has its threads within an operation.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::report::{date, load_average, processor};
use super::worker::Worker;
use super::{build_programs, note, say};

const USAGE: &str = "\
cargo xtask bench attacks [--data FILE] [--sentences 100] [--threads 2] [--only hotflip,quick,reduce,greedy]

FILE has a sentence on each line, alone or behind a label and a tab; without it sentences are made of
templates. quick is HotFlip with --candidates 8 --beam 1.";

/// Sentences of a turn.
const TURN: usize = 10;

struct Settings {
    root: PathBuf,
    data: Option<PathBuf>,
    sentences: usize,
    threads: usize,
    only: Vec<String>,
}

impl Settings {
    fn parse(args: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let only = ["hotflip", "quick", "reduce", "greedy"].map(str::to_owned).to_vec();
        let mut settings =
            Self { root: root.to_owned(), data: None, sentences: 100, threads: 2, only };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--data" => settings.data = Some(PathBuf::from(value()?)),
                "--sentences" => settings.sentences = value()?.parse::<usize>()?.max(1),
                "--threads" => settings.threads = value()?.parse::<usize>()?.max(1),
                "--only" => settings.only = value()?.split(',').map(str::to_owned).collect(),
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        Ok(settings)
    }

    fn sentences(&self) -> Result<Vec<String>> {
        let Some(path) = &self.data else { return Ok(made(self.sentences)) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let sentence = |line: &str| line.rsplit('\t').next().unwrap_or(line).trim().to_owned();
        let all: Vec<String> = text.lines().map(sentence).filter(|line| !line.is_empty()).collect();
        ensure!(!all.is_empty(), "{} has no sentences", path.display());
        // Spread over the file, which may be sorted.
        let n = self.sentences.min(all.len());
        Ok((0..n).map(|i| all[i * all.len() / n].clone()).collect())
    }

    fn worker(&self, python: &Path, contender: &str) -> Command {
        let mut command = Command::new(python);
        command.arg(self.root.join("tools/bench/attack_worker.py"));
        command.args(["--contender", contender]);
        self.common(command)
    }

    fn common(&self, mut command: Command) -> Command {
        command.arg("--model").arg(self.root.join("models/sentiment-en"));
        command.args(["--threads", &self.threads.to_string()]);
        command
    }
}

/// Sentences of a small grammar.
fn made(count: usize) -> Vec<String> {
    const OPENINGS: [&str; 5] =
        ["this film is", "the story is", "it is", "the acting feels", "i found it"];
    const DEGREES: [&str; 4] = ["very", "rather", "never", "almost always"];
    const QUALITIES: [&str; 10] = [
        "touching", "dull", "funny", "awful", "warm", "boring", "clever", "clumsy", "moving",
        "empty",
    ];
    const ENDINGS: [&str; 5] = [
        ", and everyone should see it",
        ", but the ending drags on and on",
        "and the music helps a lot",
        ", with little to say about its people",
        "from the first scene to the last",
    ];
    (0..count)
        .map(|i| {
            let pick =
                |list: &[&str], step: usize| list[(i * step + i / 7) % list.len()].to_owned();
            let (degree, quality) = (pick(&DEGREES, 3), pick(&QUALITIES, 7));
            format!("{} {degree} {quality} {}", pick(&OPENINGS, 2), pick(&ENDINGS, 4))
        })
        .collect()
}

/// One attack by one contender.
struct Answer {
    success: bool,
    edits: f64,
    /// Whether it is a success for whoever reads the text.
    holds: bool,
}

/// Some sentences' attacks by one contender.
struct Turn {
    milliseconds: f64,
    answers: Vec<Answer>,
}

fn ask(worker: &mut Worker, command: &str, sentences: &[String]) -> Result<Turn> {
    let line = worker.ask(&format!("{command} {}", sentences.join("\t")))?;
    let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
    let numbers = numbers.with_context(|| line.clone())?;
    let (&milliseconds, rest) = numbers.split_first().with_context(|| line.clone())?;
    ensure!(rest.len() == 3 * sentences.len(), "{} sentences answered by {line}", sentences.len());
    let answer = |n: &[f64]| Answer { success: n[0] > 0.0, edits: n[1], holds: n[2] > 0.0 };
    Ok(Turn { milliseconds, answers: rest.chunks(3).map(answer).collect() })
}

/// Compares, prints the table and writes `target/bench/attacks.md`.
pub(crate) fn attacks(args: &[String]) -> Result<()> {
    let settings = Settings::parse(args)?;
    build_programs(&settings.root)?;
    let sentences = settings.sentences()?;
    let load_before = load_average();
    let mut out = String::new();
    writeln!(out, "# Attacks side by side\n")?;
    writeln!(
        out,
        "- {}, {} threads for both; {} sentences",
        processor(),
        settings.threads,
        sentences.len()
    )?;
    writeln!(
        out,
        "\n| attack | against | time, ours / theirs | median ratio | successes | that hold on the text | \
         mean edits (or tokens left) of both's successes | successes a second, ours / theirs |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for (command, contender) in [
        ("hotflip", "allennlp"),
        ("quick", "allennlp"),
        ("reduce", "allennlp"),
        ("greedy", "textattack"),
    ] {
        if !settings.only.iter().any(|only| only == command) {
            continue;
        }
        let python = match contender {
            "textattack" => crate::python::textattack(&settings.root)?,
            _ => crate::python::environment(&settings.root)?,
        };
        let ours = Command::new(settings.root.join("target/release/examples/attack_worker"));
        let mut ours = Worker::start(settings.common(ours))?;
        let mut theirs = Worker::start(settings.worker(&python, contender))?;
        // Caches and first-use costs are nobody's.
        ask(&mut ours, command, &sentences[..1])?;
        ask(&mut theirs, command, &sentences[..1])?;
        let mut turns = Vec::new();
        for (i, some) in sentences.chunks(TURN).enumerate() {
            note(&format!("{command}: {} of {}", i * TURN, sentences.len()))?;
            turns.push((ask(&mut ours, command, some)?, ask(&mut theirs, command, some)?));
        }
        row(&mut out, command, contender, &turns)?;
    }
    writeln!(out, "\n{}; load average {load_before} before, {} after", date(), load_average())?;
    say(&out)?;
    let path = settings.root.join("target/bench/attacks.md");
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(&path, &out).with_context(|| path.display().to_string())?;
    say(&format!("written to {}", path.display()))
}

fn row(out: &mut String, command: &str, contender: &str, turns: &[(Turn, Turn)]) -> Result<()> {
    let time = |pick: fn(&(Turn, Turn)) -> &Turn| -> f64 {
        turns.iter().map(|turn| pick(turn).milliseconds).sum::<f64>() / 1e3
    };
    let pairs: Vec<(&Answer, &Answer)> =
        turns.iter().flat_map(|(a, b)| a.answers.iter().zip(&b.answers)).collect();
    let count = |of: fn(&(&Answer, &Answer)) -> bool| pairs.iter().filter(|pair| of(pair)).count();
    let (ours, theirs) = (time(|turn| &turn.0), time(|turn| &turn.1));
    let mut ratios: Vec<f64> = turns.iter().map(|(a, b)| a.milliseconds / b.milliseconds).collect();
    ratios.sort_by(f64::total_cmp);
    let successes = (count(|(a, _)| a.success), count(|(_, b)| b.success));
    let holding = (count(|(a, _)| a.holds), count(|(_, b)| b.holds));
    let both: Vec<_> = pairs.iter().filter(|(a, b)| a.success && b.success).collect();
    let mean = |pick: fn(&(&Answer, &Answer)) -> f64| {
        both.iter().map(|pair| pick(pair)).sum::<f64>() / both.len().max(1) as f64
    };
    let rate = (holding.0 as f64 / ours) / (holding.1 as f64 / theirs);
    writeln!(
        out,
        "| {command} | {contender} | {ours:.2} s / {theirs:.2} s = {:.3} | {:.3} | {} / {} | {} / {} | \
         {:.2} / {:.2} | {rate:.1} |",
        ours / theirs,
        ratios[ratios.len() / 2],
        successes.0,
        successes.1,
        holding.0,
        holding.1,
        mean(|(a, _)| a.edits),
        mean(|(_, b)| b.edits),
    )?;
    Ok(())
}
