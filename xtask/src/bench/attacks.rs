//! `cargo xtask bench attacks`: side by side with AllenNLP's algorithms written the obvious way in
//! PyTorch, and with TextAttack.
//!
//! Both sides attack the same sentences with the same weights, one sentence each in turn, so that
//! what the machine does meanwhile hits both.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::report::{date, load_average, processor};
use super::worker::Worker;
use super::{build_programs, note, say};

const USAGE: &str = "\
cargo xtask bench attacks [--data FILE] [--sentences 100] [--threads 2] [--only hotflip,reduce,greedy]

FILE has a sentence on each line, alone or behind a label and a tab; without it sentences are made of
templates.";

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
        let only = ["hotflip", "reduce", "greedy"].map(str::to_owned).to_vec();
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
    milliseconds: f64,
    success: bool,
    edits: f64,
    /// Whether it is a success for whoever reads the text.
    holds: bool,
}

fn ask(worker: &mut Worker, command: &str, sentence: &str) -> Result<Answer> {
    let line = worker.ask(&format!("{command} {sentence}"))?;
    let mut parts = line.splitn(5, ' ');
    let mut number = || -> Result<f64> {
        parts.next().with_context(|| line.clone())?.parse().with_context(|| line.clone())
    };
    let (milliseconds, success, edits, holds) = (number()?, number()?, number()?, number()?);
    Ok(Answer { milliseconds, success: success > 0.0, edits, holds: holds > 0.0 })
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
    for (command, contender) in
        [("hotflip", "allennlp"), ("reduce", "allennlp"), ("greedy", "textattack")]
    {
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
        ask(&mut ours, command, &sentences[0])?;
        ask(&mut theirs, command, &sentences[0])?;
        let mut pairs = Vec::new();
        for (i, sentence) in sentences.iter().enumerate() {
            if i % 10 == 0 {
                note(&format!("{command}: {i} of {}", sentences.len()))?;
            }
            pairs.push((ask(&mut ours, command, sentence)?, ask(&mut theirs, command, sentence)?));
        }
        row(&mut out, command, contender, &pairs)?;
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

fn row(out: &mut String, command: &str, contender: &str, pairs: &[(Answer, Answer)]) -> Result<()> {
    let time = |pick: fn(&(Answer, Answer)) -> &Answer| -> f64 {
        pairs.iter().map(|pair| pick(pair).milliseconds).sum::<f64>() / 1e3
    };
    let count = |of: fn(&(Answer, Answer)) -> bool| pairs.iter().filter(|pair| of(pair)).count();
    let (ours, theirs) = (time(|pair| &pair.0), time(|pair| &pair.1));
    let mut ratios: Vec<f64> = pairs.iter().map(|(a, b)| a.milliseconds / b.milliseconds).collect();
    ratios.sort_by(f64::total_cmp);
    let successes = (count(|(a, _)| a.success), count(|(_, b)| b.success));
    let holding = (count(|(a, _)| a.holds), count(|(_, b)| b.holds));
    let both: Vec<&(Answer, Answer)> =
        pairs.iter().filter(|(a, b)| a.success && b.success).collect();
    let mean = |pick: fn(&(Answer, Answer)) -> f64| {
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
