//! Attacks as CSV: one row for each decision that was attacked.

use std::io::{self, Write};

use super::{number, of_writer, optional};
use crate::render::attack::{AttackRenderer, check, said};
use crate::render::summary;
use crate::text::Marks;
use crate::wire::{AttackDocument, Certificate, TriggerDocument};

/// The columns, in order.
///
/// `input` and `result` count from 0. `text` and `final_text` are the first field, `pair` and
/// `final_pair` the second, if there is one; `original` and `prediction` say in words what the model
/// said of both. `edits` is a JSON array as in the wire format. `certificate` is `minimal`,
/// `nothing`, `spent` or empty, and `certified_size` its size.
pub const ATTACK_COLUMNS: [&str; 19] = [
    "input",
    "place",
    "result",
    "target",
    "success",
    "stopped",
    "original",
    "prediction",
    "text",
    "final_text",
    "pair",
    "final_pair",
    "edits",
    "edit_count",
    "kept_tokens",
    "forward_passes",
    "gradient_evaluations",
    "certificate",
    "certified_size",
];

/// Writes a header once, then rows; a trigger has a header of its own.
#[derive(Debug, Clone, Default)]
pub struct Attacks {
    inputs: usize,
    begun: bool,
}

impl Attacks {
    /// Makes the renderer.
    pub fn new() -> Self {
        Self::default()
    }

    fn head(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(ATTACK_COLUMNS).map_err(of_writer)?;
        writer.flush()
    }
}

impl AttackRenderer for Attacks {
    fn attack(&mut self, document: &AttackDocument, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        self.head(out)?;
        let mut writer = csv::Writer::from_writer(out);
        let original = said(document, &document.input, &document.original);
        let field = |fields: &[crate::wire::Field], f: usize| {
            fields.get(f).map(|field| field.text.clone()).unwrap_or_default()
        };
        for (r, result) in document.results.iter().enumerate() {
            let now = said(document, &result.r#final, &result.prediction);
            let (old, new) = (&document.input.fields, &result.r#final.fields);
            let kept = result.kept.as_ref().map(|kept| kept.iter().map(Vec::len).sum::<usize>());
            let (certificate, size) = match &result.certificate {
                None => ("", None),
                Some(Certificate::Minimal { size, .. }) => ("minimal", Some(*size)),
                Some(Certificate::Nothing { size, .. }) => ("nothing", Some(*size)),
                Some(Certificate::Spent { size, .. }) => ("spent", Some(*size)),
            };
            let count = |n: Option<usize>| n.map(|n| n.to_string()).unwrap_or_default();
            let row = [
                self.inputs.to_string(),
                document.place.clone().unwrap_or_default(),
                r.to_string(),
                result.target.describe(),
                result.success.to_string(),
                result.stopped.clone(),
                summary::headline(&original, Marks::Unicode),
                summary::headline(&now, Marks::Unicode),
                field(old, 0),
                field(new, 0),
                field(old, 1),
                field(new, 1),
                serde_json::to_string(&result.edits)?,
                result.edits.len().to_string(),
                count(kept),
                result.forward_passes.to_string(),
                result.gradient_evaluations.to_string(),
                certificate.to_owned(),
                count(size),
            ];
            writer.write_record(row).map_err(of_writer)?;
        }
        self.inputs += 1;
        writer.flush()
    }

    fn trigger(&mut self, document: &TriggerDocument, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        let trigger = &document.trigger;
        let columns = [
            "trigger",
            "turned",
            "searched_on",
            "turned_held_out",
            "tested_on",
            "forward_passes",
            "gradient_evaluations",
        ];
        let row = [
            trigger.text.clone(),
            number(trigger.seen.mean),
            trigger.searched_on.to_string(),
            optional(trigger.held_out.map(|mean| mean.mean)),
            trigger.tested_on.to_string(),
            trigger.forward_passes.to_string(),
            trigger.gradient_evaluations.to_string(),
        ];
        writer.write_record(columns).map_err(of_writer)?;
        writer.write_record(row).map_err(of_writer)?;
        writer.flush()
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.inputs == 0 { Ok(()) } else { self.head(out) }
    }
}
