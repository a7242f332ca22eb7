//! The scores of a model as JSON and as text.

use std::fmt::Write as _;

use glossator_models::ModelInfo;
use serde::Serialize;

use crate::text::{Marks, label};

/// The wire format of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The version of this format.
    pub version: u32,
    /// What was measured.
    pub model: Model,
    /// Examples that it was measured on.
    pub examples: usize,
    /// Examples of which tokens were cut off.
    pub truncated: usize,
    /// The scores, the most telling first.
    pub scores: Vec<Score>,
    /// The labels, or kinds of entities, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// How often each label (row) was predicted as each (column), in the order of `classes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
}

/// The model that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Its family.
    pub family: String,
    /// What it decides.
    pub task: String,
    /// SHA-256 of its weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// Its value; null where it is not defined.
    pub value: Option<f64>,
    /// The 95 % interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// One label or kind of entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// The label.
    pub label: String,
    /// Correct among predicted.
    pub precision: f64,
    /// Correct among expected.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// How many there are in the data.
    pub support: u64,
}

impl Evaluation {
    /// Makes it of the library's type.
    #[must_use]
    pub fn new(
        info: &ModelInfo,
        sha256: Option<String>,
        evaluation: &glossator_train::Evaluation,
    ) -> Self {
        let score = |score: &glossator_train::metrics::Score| Score {
            name: score.name.to_owned(),
            // JSON has no NaN: the correlation of numbers that are all the same, for one.
            value: score.value.is_finite().then_some(score.value),
            interval: score.interval.map(|(low, high)| [low, high]),
        };
        let class = |class: &glossator_train::metrics::ClassScore| Class {
            label: class.label.clone(),
            precision: class.precision,
            recall: class.recall,
            f1: class.f1,
            support: class.support,
        };
        Self {
            version: 1,
            model: Model {
                id: info.id.clone(),
                family: info.family.to_owned(),
                task: info.task.id().to_owned(),
                sha256,
            },
            examples: evaluation.examples,
            truncated: evaluation.truncated,
            scores: evaluation.scores.iter().map(score).collect(),
            classes: evaluation.classes.iter().map(class).collect(),
            confusion: evaluation.confusion.clone(),
        }
    }

    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        // Numbers, texts and lists: nothing that could fail.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Text for people: scores with their intervals, and a table of labels.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let plural = if self.examples == 1 { "" } else { "s" };
        let model = label(&self.model.id, Marks::Unicode);
        let _ = write!(out, "{model} · {} · {} example{plural}", self.model.task, self.examples);
        if self.truncated > 0 {
            let _ = write!(out, " · {} cut to what the model reads", self.truncated);
        }
        out.push_str("\n\n");
        let widest = self.scores.iter().map(|score| score.name.len()).max().unwrap_or(0);
        for Score { name, value, interval } in &self.scores {
            let value = value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
            let _ = write!(out, "  {name:widest$}  {value:>9}");
            if let Some([low, high]) = interval {
                let _ = write!(out, "  95 % {low:.4} to {high:.4}");
            }
            out.push('\n');
        }
        if !self.classes.is_empty() {
            let names: Vec<_> =
                self.classes.iter().map(|class| label(&class.label, Marks::Unicode)).collect();
            let columns = |name: &str| unicode_width::UnicodeWidthStr::width(name);
            let widest = names.iter().map(|name| columns(name)).max().unwrap_or(0).max(5);
            let _ = writeln!(out, "\n  {:widest$}  precision  recall      f1  examples", "label");
            for (class, name) in self.classes.iter().zip(&names) {
                let Class { precision, recall, f1, support, .. } = class;
                let pad = " ".repeat(widest - columns(name));
                let _ = writeln!(
                    out,
                    "  {name}{pad}  {precision:>9.4}  {recall:>6.4}  {f1:>6.4}  {support:>8}"
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let model = Model {
            id: "m\u{1b}[31m".to_owned(),
            family: "bert".to_owned(),
            task: "text-classification".to_owned(),
            sha256: None,
        };
        let score = |name: &str, value, interval| Score { name: name.to_owned(), value, interval };
        let class = Class {
            label: "好".to_owned(),
            precision: 0.5,
            recall: 1.0,
            f1: 2.0 / 3.0,
            support: 3,
        };
        Evaluation {
            version: 1,
            model,
            examples: 6,
            truncated: 1,
            scores: vec![
                score("accuracy", Some(0.5), Some([0.25, 0.75])),
                score("pearson", None, None),
            ],
            classes: vec![class],
            confusion: Vec::new(),
        }
    }

    #[test]
    fn text_lines_up_and_lets_no_escape_through() {
        let text = evaluation().text();
        assert!(!text.contains('\u{1b}'));
        insta::assert_snapshot!(text.replace("[31m", ""), @"
        m␛ · text-classification · 6 examples · 1 cut to what the model reads

          accuracy     0.5000  95 % 0.2500 to 0.7500
          pearson   undefined

          label  precision  recall      f1  examples
          好        0.5000  1.0000  0.6667         3
        ");
    }

    #[test]
    fn json_has_null_for_what_is_not_defined() {
        let json = evaluation().json();
        assert!(json.ends_with("}\n") && json.contains(r#"{"name":"pearson","value":null}"#));
    }
}
