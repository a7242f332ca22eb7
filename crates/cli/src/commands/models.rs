//! `glossator models`, `glossator models inspect`

use std::fmt::Write as _;
use std::path::Path;

use glossator_models::classic::ARCHITECTURES;
use glossator_models::{
    BUNDLED, FAMILIES, Family, LoadOptions, Model, ModelInfo, Problem, Site, Task, load_bundled,
    registry,
};

use crate::args::{ModelsArgs, ModelsCommand};
use crate::commands::get;
use crate::commands::methods::print;
use crate::exit::{Exit, Stop, printable};
use crate::installed;
use crate::model::Source;

pub(crate) fn run(args: &ModelsArgs) -> Result<Exit, Stop> {
    match &args.command {
        None => list(),
        Some(ModelsCommand::Inspect { model, download }) => inspect(model, download.asked()),
        Some(ModelsCommand::Get(args)) => get::run(args),
    }
}

fn list() -> Result<Exit, Stop> {
    let mut out = String::from("Bundled models (--model NAME):\n");
    for bundled in BUNDLED {
        let model = load_bundled(bundled, &LoadOptions::default())?;
        let info = model.info();
        let _ = writeln!(
            out,
            "  {}  {}\n      {} of family {}, {} layers, {} wide, {} parameters, at most {} \
             tokens\n      labels: {}",
            bundled.id,
            bundled.summary,
            info.task.id(),
            info.family,
            info.layers,
            info.width,
            count(info.parameters),
            info.max_tokens,
            info.labels.names.join(", "),
        );
    }
    let installed = installed::all();
    let others: Vec<_> = installed
        .iter()
        .filter(|(name, _)| !BUNDLED.iter().any(|bundled| bundled.id == name))
        .collect();
    if !others.is_empty() {
        out.push_str("\nModels that are here (--model NAME):\n");
        for (name, dir) in others {
            let what = match registry::identify(dir) {
                Ok((family, task)) => format!("{} of family {}", task.id(), family.id),
                Err(error) => printable(&error.to_string()),
            };
            let _ = writeln!(out, "  {}  {what}", printable(name));
        }
    }
    out.push_str("\nMore models by name: `glossator models get`\n");
    out.push_str("\nFamilies (--model DIR, a Hugging Face model directory) with their tasks:\n");
    let widest = FAMILIES.iter().map(|family| family.id.len()).max().unwrap_or(0);
    for family in FAMILIES {
        let _ = writeln!(out, "  {:widest$}  {}", family.id, family.name);
        let tasks: Vec<_> = family.tasks().into_iter().map(Task::id).collect();
        out.push_str(&wrapped(&tasks.join(", "), widest + 4));
    }
    out.push_str("\nArchitectures to train anew (glossator train --from NAME):\n");
    for architecture in ARCHITECTURES {
        let _ = writeln!(out, "  {:22}  {}", architecture.id, architecture.summary);
    }
    out.push_str("\n`glossator models inspect DIR` tells what a directory holds.\n");
    print(&out)
}

/// Columns of a line.
const WIDTH: usize = 78;

/// Items in lines, each indented.
fn wrapped(items: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in items.split(' ') {
        if let Some(line) = lines.last_mut() {
            let room = WIDTH.saturating_sub(indent);
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(word.to_owned());
            } else {
                let space = if line.is_empty() { "" } else { " " };
                *line += &format!("{space}{word}");
            }
        }
    }
    lines.iter().map(|line| format!("{:indent$}{line}\n", "")).collect()
}

fn inspect(path: &Path, download: bool) -> Result<Exit, Stop> {
    let source = Source::find(Some(path), download)?;
    match source.load() {
        Ok(model) => print(&described(model.as_ref())),
        Err(error) => {
            // What is known in spite of that.
            if let Some((family, task)) = source.identify() {
                print(&identity(family, task))?;
            }
            Err(error.into())
        }
    }
}

fn item(name: &str, text: &str) -> String {
    const NAME: usize = 12;
    let lines = wrapped(&printable(text), NAME + 2);
    format!("{name:NAME$}  {}", lines.trim_start())
}

fn identity(family: &Family, task: Task) -> String {
    item("family", &format!("{} ({})", family.id, family.name)) + &item("task", task.id())
}

fn described(model: &dyn Model) -> String {
    let info = model.info();
    let mut out = format!("{}\n", printable(&info.id));
    match FAMILIES.iter().find(|family| family.id == info.family) {
        Some(family) => out += &identity(family, info.task),
        None => out += &(item("family", info.family) + &item("task", info.task.id())),
    }
    let layers = match info.decoder {
        None => info.layers.to_string(),
        Some(first) => format!("{first} of the encoder, {} of the decoder", info.layers - first),
    };
    out += &item("parameters", &count(info.parameters));
    out += &item("layers", &layers);
    out += &item("heads", &info.heads.to_string());
    out += &item("width", &info.width.to_string());
    out += &item("vocabulary", &info.vocab_size.to_string());
    let read = match info.window {
        None => String::new(),
        Some(n) => format!(", of which a prediction reads the last {n} (fewer are filled up)"),
    };
    out += &item("max tokens", &format!("{}{read}", info.max_tokens));
    out += &item("labels", &labels(info));
    out += &item("sites", &sites(info));
    out + &item("sha256", &model.sha256())
}

/// A number of parameters, as models are spoken of.
fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.2} G", n as f64 / 1e9),
    }
}

fn labels(info: &ModelInfo) -> String {
    /// So many are named; a model may have a million.
    const MOST: usize = 20;
    let names = &info.labels.names;
    let kind = match (info.task, info.labels.problem) {
        (Task::SentenceSimilarity, _) => return "none: the output is the cosine".to_owned(),
        (Task::QuestionAnswering, _) => {
            return "none: the outputs are the places of an answer".to_owned();
        }
        (task, _) if task.is_language_model() || names.is_empty() => {
            return "none: the outputs are the tokens of the vocabulary".to_owned();
        }
        (Task::TokenClassification, _) => "one for each token",
        (_, Problem::SingleLabel) => "one is right",
        (_, Problem::MultiLabel) => "each is right or wrong",
        (_, Problem::Regression) => "a number",
    };
    let shown: Vec<_> = names.iter().take(MOST).map(|name| clip(name)).collect();
    let more = names.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} ({kind}): {}{more}", names.len(), shown.join(", "))
}

/// A name that does not fill the screen.
fn clip(name: &str) -> String {
    const LONGEST: usize = 60;
    let mut clipped: String = name.chars().take(LONGEST).collect();
    if name.chars().nth(LONGEST).is_some() {
        clipped.push_str("...");
    }
    clipped
}

/// The places to look into, layers summed up.
fn sites(info: &ModelInfo) -> String {
    let all: Vec<Site> = Site::all(info.sites()).collect();
    let mut kinds: Vec<String> = Vec::new();
    for site in &all {
        let name = site.to_string();
        let kind = match name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
            Some((_, kind)) => format!("layers.N.{kind}"),
            None => name,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    format!("{}: {}", all.len(), kinds.join(", "))
}
