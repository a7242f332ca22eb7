//! Attacks, from the library's own types to the wire.

use std::collections::BTreeMap;

use glossator_interpret::Setting;
use glossator_interpret::attack::dataset::{Mean, One, Summary};
use glossator_interpret::attack::{self, Attacked};
use glossator_interpret::method::Settings;
use glossator_models::{Encoding, ModelInfo};
use serde_json::Value;

use super::{decision, fields, split, value};
use crate::wire;

/// What the attacks of one run have in common.
#[derive(Debug, Clone)]
pub struct AttackHead {
    model: wire::Model,
    attack: wire::Method,
}

impl AttackHead {
    /// The model and attack as the wire names them. `settings` are those of the attack and of its
    /// constraints; `sha256` is of the weights, where known.
    pub fn new(info: &ModelInfo, sha256: Option<String>, id: &str, settings: Settings) -> Self {
        let settings: BTreeMap<String, Value> = settings
            .into_iter()
            .map(|(name, setting): (&str, Setting)| (name.to_owned(), value(setting)))
            .collect();
        Self { model: super::model(info, sha256), attack: wire::Method::new(id, settings) }
    }

    /// The document of one attacked input; `place` is where it came from.
    pub fn document(&self, attacked: &Attacked, place: Option<String>) -> wire::AttackDocument {
        let encoding = &attacked.encoding;
        let original = decision::prediction(encoding, &attacked.prediction);
        let input = wire::Input::new(fields(encoding));
        let (model, method) = (self.model.clone(), self.attack.clone());
        let mut document = wire::AttackDocument::new(model, method, input, original);
        document.place = place;
        document.truncated = (encoding.truncated > 0).then_some(encoding.truncated);
        document.results =
            attacked.results.iter().map(|result| result_of(encoding, result)).collect();
        document
    }

    /// The summary of many inputs.
    pub fn summary(&self, summary: &Summary) -> wire::AttackSummary {
        let counts = wire::Counts {
            inputs: summary.inputs,
            errors: summary.errors,
            wrong: summary.wrong,
            attacked: summary.attacked,
            succeeded: summary.succeeded,
            spent: summary.spent,
            success_rate: summary.success_rate().map(mean),
            edits: summary.edits().map(mean),
            kept: summary.kept().map(mean),
            forward_passes: summary.passes().map(mean),
            gradient_evaluations: summary.gradients().map(mean),
        };
        wire::AttackSummary::new(self.model.clone(), self.attack.clone(), counts)
    }

    /// The document of a trigger.
    pub fn trigger(&self, found: &attack::Trigger) -> wire::TriggerDocument {
        let held_out = found.held_out.map(mean);
        let mut trigger = wire::Trigger::new(&found.text, mean(found.seen), held_out);
        trigger.searched_on = found.searched_on;
        trigger.tested_on = found.tested_on;
        trigger.skipped = found.skipped;
        trigger.forward_passes = found.forward_passes as u64;
        trigger.gradient_evaluations = found.gradient_evaluations as u64;
        wire::TriggerDocument::new(self.model.clone(), self.attack.clone(), trigger)
    }
}

/// Counts a document that was written, now or in an earlier run.
pub fn count(summary: &mut Summary, document: &wire::AttackDocument) {
    summary.add_input();
    let all = document.input.fields.iter().flat_map(|field| &field.tokens);
    let tokens = all.filter(|token| !token.special).count();
    for result in &document.results {
        let kept = result.kept.as_ref().filter(|_| tokens > 0);
        let share = |kept: &Vec<Vec<usize>>| {
            kept.iter().map(Vec::len).sum::<usize>() as f64 / tokens as f64
        };
        summary.add_attack(&One {
            success: result.success,
            spent: result.stopped == attack::Stopped::Spent.id(),
            edits: result.edits.len(),
            passes: result.forward_passes as usize,
            gradients: result.gradient_evaluations as usize,
            kept: kept.map(share),
        });
    }
}

fn mean(mean: Mean) -> wire::Mean {
    wire::Mean::new(mean.mean, [mean.interval.0, mean.interval.1])
}

fn result_of(original: &Encoding, result: &attack::AttackResult) -> wire::AttackResult {
    let window = result.reading.window();
    let r#final = result.reading.windows.get(window).unwrap_or(original);
    let target = decision::target(original, &result.target);
    let prediction = decision::prediction(r#final, &result.reading.prediction);
    let read = wire::Input::new(fields(r#final));
    let mut out = wire::AttackResult::new(target, result.success, read, prediction);
    result.stopped.id().clone_into(&mut out.stopped);
    let edits = result.texts.edits().iter();
    out.edits =
        edits.map(|edit| wire::Edit::new(edit.field, edit.start, &edit.from, &edit.to)).collect();
    out.kept = result.kept.as_ref().map(|kept| {
        let marks = (0..original.tokens.len()).map(|t| kept.binary_search(&t).is_ok());
        let fields = split(original, marks).into_iter();
        let places = |marks: Vec<bool>| {
            let marked = marks.into_iter().enumerate().filter(|(_, mark)| *mark);
            marked.map(|(t, _)| t).collect()
        };
        fields.map(places).collect()
    });
    out.forward_passes = result.forward_passes as u64;
    out.gradient_evaluations = result.gradient_evaluations as u64;
    out.certificate = result.certificate.as_ref().map(certificate);
    out.others = result.others.iter().map(attack::EditedTexts::render).collect();
    out.notes.clone_from(&result.notes);
    out
}

fn certificate(certificate: &attack::Certificate) -> wire::Certificate {
    match certificate.clone() {
        attack::Certificate::Minimal { size, evaluated, set } => {
            wire::Certificate::Minimal { size, evaluated: evaluated as u64, set }
        }
        attack::Certificate::Nothing { size, evaluated, set } => {
            wire::Certificate::Nothing { size, evaluated: evaluated as u64, set }
        }
        attack::Certificate::Spent { size, evaluated, of, set } => {
            wire::Certificate::Spent { size, evaluated: evaluated as u64, of: of as f64, set }
        }
    }
}
