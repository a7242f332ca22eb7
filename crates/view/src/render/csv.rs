//! CSV (RFC 4180): one row for each word or token, for spreadsheets and data frames.
//!
//! Numbers are written so that they read back as the very same f64. An absent number is empty.
//!
//! Text is written as it is. A spreadsheet may take a cell that begins with `=`, `+`, `-` or `@`
//! for a formula; import such a file with the columns `text`, `field` and `target` set to text.

mod attack;

use std::io::{self, Write};

pub use self::attack::{ATTACK_COLUMNS, Attacks};
use super::{Renderer, check};
use crate::units::By;
use crate::wire::{Document, Explanation, Field, Target};

/// The columns, in order.
///
/// `input`, `explanation` and `index` count from 0; `index` is the word's or token's place in its
/// field. `target` is the label, token or answer, or `label - versus` for a contrast; an entity's is
/// `label: words`. `unit` is `word` or `token`;
/// `start` and `end` are bytes in the field's text. `error_estimate` belongs to the row's score;
/// everything from `output` on belongs to the whole explanation.
pub const COLUMNS: [&str; 20] = [
    "input",
    "explanation",
    "target",
    "quantity",
    "field",
    "unit",
    "index",
    "text",
    "start",
    "end",
    "special",
    "score",
    "error_estimate",
    "output",
    "baseline_output",
    "delta",
    "converged",
    "gradient_evaluations",
    "method",
    "model",
];

/// Settings of [`Csv`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// One row for each of what. By word, a token of no word (a special one) still has its own row
    /// with the unit `token`, so that the column `score` adds up.
    pub by: By,
}

/// Writes a header once, then rows.
#[derive(Debug, Clone, Default)]
pub struct Csv {
    options: Options,
    inputs: usize,
}

impl Csv {
    /// Makes the renderer.
    pub fn new(options: Options) -> Self {
        Self { options, inputs: 0 }
    }
}

impl Renderer for Csv {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS).map_err(of_writer)?;
        writer.flush()
    }

    fn document(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        let mut writer = csv::Writer::from_writer(out);
        for (e, explanation) in document.explanations.iter().enumerate() {
            let head = [
                self.inputs.to_string(),
                e.to_string(),
                target(document, &explanation.target),
                explanation.target.quantity().to_owned(),
            ];
            let tail = tail(document, explanation);
            for (f, field) in document.input.fields.iter().enumerate() {
                for row in rows(field, f, explanation, self.options.by) {
                    let field = std::slice::from_ref(&field.name);
                    let record = head.iter().chain(field).chain(&row).chain(&tail);
                    writer.write_record(record).map_err(of_writer)?;
                }
            }
        }
        self.inputs += 1;
        writer.flush()
    }
}

/// The writer's own error, so that a broken pipe looks like one.
fn of_writer(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The columns from `unit` to `error_estimate`.
type Row = [String; 8];

fn rows(field: &Field, f: usize, explanation: &Explanation, by: By) -> Vec<Row> {
    let errors = explanation.token_error_estimates.as_ref().map(|errors| &errors[f]);
    let word_errors = crate::units::word_errors(field, f, explanation);
    let words = explanation.words[f].iter().enumerate().map(|(w, word)| {
        let error = word_errors.as_ref().map(|errors| errors[w]);
        [
            "word".into(),
            w.to_string(),
            field.text[word.start..word.end].to_owned(),
            word.start.to_string(),
            word.end.to_string(),
            false.to_string(),
            number(word.score),
            optional(error),
        ]
    });
    let tokens = field.tokens.iter().enumerate().map(|(t, token)| {
        [
            "token".into(),
            t.to_string(),
            token.text.clone(),
            token.start.to_string(),
            token.end.to_string(),
            token.special.to_string(),
            number(explanation.scores[f][t]),
            optional(errors.map(|errors| errors[t])),
        ]
    });
    match by {
        By::Token => tokens.collect(),
        By::Word => {
            let wordless = tokens.zip(&field.tokens).filter(|(_, token)| token.word.is_none());
            words.chain(wordless.map(|(row, _)| row)).collect()
        }
    }
}

/// The columns from `output` on.
fn tail(document: &Document, explanation: &Explanation) -> [String; 7] {
    [
        number(explanation.output),
        optional(explanation.baseline_output),
        optional(explanation.delta),
        explanation.converged.map(|converged| converged.to_string()).unwrap_or_default(),
        explanation.gradient_evaluations.to_string(),
        document.method.id.clone(),
        document.model.id.clone(),
    ]
}

fn target(document: &Document, target: &Target) -> String {
    if let Target::Entity { label, field, span: [start, end], .. } = target {
        return format!("{label}: {}", &document.input.fields[*field].text[*start..*end]);
    }
    match target.parts() {
        (what, Some(versus)) => format!("{what} - {versus}"),
        (what, None) => what.to_owned(),
    }
}

/// The shortest digits that read back the same; `Debug`, unlike `Display`, writes 1e300 as such.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}
