//! The card of a model: what it was made of, how, and how good it is.

use std::fmt::Write as _;

use glossator_models::{ModelInfo, Task};

use super::survey::DataFile;
use crate::evaluate::Evaluation;
use crate::metrics::Score;
use crate::settings::Settings;

/// What only the user knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The name of the model.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The licence of the model, as an SPDX id.
    pub license: Option<String>,
    /// The licence of the data.
    pub data_license: Option<String>,
    /// The language of the texts, as a BCP 47 tag.
    pub language: Option<String>,
}

/// Everything that a card tells.
pub(super) struct Card<'a> {
    pub(super) about: &'a About,
    pub(super) info: &'a ModelInfo,
    /// What the run began from.
    pub(super) base: &'a str,
    pub(super) settings: &'a Settings,
    pub(super) train: &'a [DataFile],
    pub(super) dev: &'a [DataFile],
    /// Examples to learn from and to measure with.
    pub(super) examples: (usize, usize),
    pub(super) steps: u64,
    pub(super) epochs: f64,
    pub(super) seconds: f64,
    /// The step whose weights these are, and the score that they were chosen by.
    pub(super) best: Option<(u64, &'a str)>,
    pub(super) evaluation: Option<&'a Evaluation>,
    pub(super) sha256: &'a str,
}

const FILL_IN: &str = "*(not stated)*";

impl Card<'_> {
    pub(super) fn markdown(&self) -> String {
        let mut out = self.header();
        let title = self.about.title.as_deref().unwrap_or(&self.info.id);
        let _ = writeln!(out, "# {title}\n");
        if let Some(description) = &self.about.description {
            let _ = writeln!(out, "{description}\n");
        }
        let info = self.info;
        let _ = writeln!(
            out,
            "A model for {} of the family {}, with {} parameters, trained with glossator {}.\n",
            info.task.id(),
            info.family,
            grouped(info.parameters),
            env!("CARGO_PKG_VERSION"),
        );
        if !info.labels.names.is_empty() && info.task != Task::QuestionAnswering {
            let names: Vec<_> = info.labels.names.iter().map(|name| code(name)).collect();
            let _ = writeln!(out, "Labels: {}.\n", names.join(", "));
        }
        self.data(&mut out);
        self.training(&mut out);
        self.scores(&mut out);
        let _ = writeln!(out, "## Licence\n");
        let license = self.about.license.as_deref().unwrap_or(FILL_IN);
        let data = self.about.data_license.as_deref().unwrap_or(FILL_IN);
        let _ = writeln!(out, "- Model: {license}\n- Data: {data}");
        out
    }

    fn header(&self) -> String {
        let mut out = "---\n".to_owned();
        let mut line = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                let value = serde_json::Value::from(value);
                let _ = writeln!(out, "{key}: {value}");
            }
        };
        line("license", self.about.license.as_deref());
        line("language", self.about.language.as_deref());
        line("library_name", Some("glossator"));
        line("pipeline_tag", Some(self.info.task.id()));
        out + "---\n\n"
    }

    fn data(&self, out: &mut String) {
        let _ =
            writeln!(out, "## Data\n\n| file | used for | bytes | SHA-256 |\n|---|---|---|---|");
        let rows = self.train.iter().map(|file| ("training", file));
        for (what, file) in rows.chain(self.dev.iter().map(|file| ("measuring", file))) {
            let DataFile { name, bytes, sha256 } = file;
            let _ = writeln!(out, "| {} | {what} | {} | `{sha256}` |", code(name), grouped(*bytes));
        }
        let (train, dev) = self.examples;
        let share = self.settings.dev_share;
        let held = match (dev, share > 0.0) {
            (0, _) => "none to measure with".to_owned(),
            (n, true) => format!("{n} to measure with, held out of the training files"),
            (n, false) => format!("{n} to measure with"),
        };
        let _ = writeln!(out, "\n{train} examples to learn from, {held}.\n");
    }

    fn training(&self, out: &mut String) {
        let _ = writeln!(out, "## Training\n");
        let _ = writeln!(
            out,
            "{} steps ({:.2} epochs) in {:.0} s, from {}.{}\n",
            self.steps,
            self.epochs,
            self.seconds,
            code(self.base),
            match self.best {
                Some((step, name)) =>
                    format!(" The weights are those of step {step}, the best by {name}."),
                None => String::new(),
            }
        );
        let settings = serde_json::to_value(self.settings).unwrap_or_default();
        let _ = writeln!(out, "| setting | |\n|---|---|");
        for (key, value) in settings.as_object().into_iter().flatten() {
            if !value.is_null() {
                let _ = writeln!(out, "| {key} | {} |", code(&value.to_string()));
            }
        }
        let _ = writeln!(out, "\nThe log is `training.jsonl`, its curves are `curves.svg`.");
        let _ = writeln!(out, "SHA-256 of the weights: `{}`\n", self.sha256);
    }

    fn scores(&self, out: &mut String) {
        let _ = writeln!(out, "## Scores\n");
        let Some(evaluation) = self.evaluation else {
            let _ = writeln!(out, "Not measured: the run had no data to measure with.\n");
            return;
        };
        let _ = writeln!(
            out,
            "On {} examples that the model did not learn from{}; intervals are 95 % of 1000 bootstrap \
             samples.\n\n| | score | interval |\n|---|---|---|",
            evaluation.examples,
            if self.best.is_some() { " (but its best step was chosen by them)" } else { "" },
        );
        for Score { name, value, interval, .. } in &evaluation.scores {
            let interval = match interval {
                Some((low, high)) => format!("{low:.4} – {high:.4}"),
                None => String::new(),
            };
            let _ = writeln!(out, "| {name} | {value:.4} | {interval} |");
        }
        if !evaluation.classes.is_empty() {
            let _ = writeln!(
                out,
                "\n| label | precision | recall | F1 | examples |\n|---|---|---|---|---|"
            );
        }
        for class in &evaluation.classes {
            let (label, support) = (code(&class.label), class.support);
            let (precision, recall, f1) = (class.precision, class.recall, class.f1);
            let _ =
                writeln!(out, "| {label} | {precision:.4} | {recall:.4} | {f1:.4} | {support} |");
        }
        let _ = writeln!(out);
    }
}

/// Text that is not ours, as code: it cannot become markup, nor leave its cell.
fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '`' | '|' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    format!("`{plain}`")
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_in_its_cell() {
        assert_eq!(code("a`|b\nc"), "`a''b c`");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
    }
}
