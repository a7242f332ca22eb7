//! Attacks in every format: a document for each input, then a summary; or one trigger.

use std::io::{self, Write};

use crate::number::percent;
use crate::wire::{
    AttackDocument, AttackResult, AttackSummary, Certificate, Document, Input, Mean, Prediction,
    TriggerDocument,
};

/// Turns attacks into one output.
pub trait AttackRenderer {
    /// Writes what comes before the first document. The default writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes one attacked input.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidData` when the document does not pass its check.
    fn attack(&mut self, document: &AttackDocument, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what came of all inputs. The default writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    fn summary(&mut self, _summary: &AttackSummary, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes a trigger.
    ///
    /// # Errors
    /// Those of the writer.
    fn trigger(&mut self, trigger: &TriggerDocument, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what comes after the last document. The default writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses a document that breaks the promises of the wire format.
pub(super) fn check(document: &AttackDocument) -> io::Result<()> {
    document.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A document of explanations that says the same of an input, for what both have in common.
pub(super) fn said(document: &AttackDocument, input: &Input, prediction: &Prediction) -> Document {
    let (model, attack) = (document.model.clone(), document.attack.clone());
    Document::new(model, attack, input.clone(), prediction.clone())
}

/// Whether an attack is to keep the prediction.
pub(super) fn reduces(document: &AttackDocument) -> bool {
    document.attack.id == "input-reduction"
}

/// What came of it, in a phrase: the first part is to be set in bold.
pub(super) fn verdict(document: &AttackDocument, result: &AttackResult) -> (String, String) {
    let edits = result.edits.len();
    let edits = if edits == 1 { "1 edit".to_owned() } else { format!("{edits} edits") };
    let passes = count(result.forward_passes, "forward pass", "forward passes");
    let gradients = count(result.gradient_evaluations, "gradient", "gradients");
    let cost = format!("{passes}, {gradients}");
    let why = match result.stopped.as_str() {
        "spent" => "a limit was reached first",
        "fixed" => "nothing may be changed",
        _ => "all that it would try was tried",
    };
    match (result.success, reduces(document)) {
        (true, true) => {
            let kept: usize = result.kept.iter().flatten().map(Vec::len).sum();
            let tokens = document.input.fields.iter().flat_map(|field| &field.tokens);
            let all = tokens.filter(|token| !token.special).count();
            ("reduced".to_owned(), format!("to {kept} of {all} tokens; {cost}"))
        }
        (true, false) => ("flipped".to_owned(), format!("by {edits}; {cost}")),
        (false, true) => ("not reduced:".to_owned(), format!("{why}; {cost}")),
        (false, false) => ("not flipped:".to_owned(), format!("{why}; {cost}")),
    }
}

fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// What a certificate says, as a sentence.
pub(super) fn proof(document: &AttackDocument, certificate: &Certificate) -> String {
    let (what, unit) = if reduces(document) { ("reduction", "word") } else { ("flip", "edit") };
    let units = |n: usize| if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") };
    match certificate {
        Certificate::Minimal { size, evaluated, set } => format!(
            "proven: no {what} of less than {} among {set} ({evaluated} texts tried)",
            units(*size)
        ),
        Certificate::Nothing { size, evaluated, set } => format!(
            "proven: no {what} of up to {} among {set} ({evaluated} texts tried)",
            units(*size)
        ),
        Certificate::Spent { size, evaluated, of, set } => format!(
            "not proven: the budget ended after {evaluated} of {of} texts; no {what} of less than \
             {} among {set}",
            units(*size)
        ),
    }
}

/// The lines of a summary: a name and a value each.
pub(super) fn lines(summary: &AttackSummary) -> Vec<(&'static str, String)> {
    let counts = &summary.summary;
    let share = |mean: &Mean| {
        let [low, high] = mean.interval;
        format!("{} (95% interval {} to {})", percent(mean.mean), percent(low), percent(high))
    };
    let mean = |mean: &Mean| {
        let [low, high] = mean.interval;
        format!("{:.2} (95% interval {low:.2} to {high:.2})", mean.mean)
    };
    let mut lines = vec![
        ("inputs", counts.inputs.to_string()),
        ("attacked", counts.attacked.to_string()),
        ("succeeded", counts.succeeded.to_string()),
    ];
    let optional: [(&'static str, Option<String>); 8] = [
        ("wrong before", (counts.wrong > 0).then(|| counts.wrong.to_string())),
        ("errors", (counts.errors > 0).then(|| counts.errors.to_string())),
        ("ended by a limit", (counts.spent > 0).then(|| counts.spent.to_string())),
        ("success rate", counts.success_rate.as_ref().map(share)),
        ("edits of a success", counts.edits.as_ref().map(mean)),
        ("tokens kept", counts.kept.as_ref().map(share)),
        ("forward passes", counts.forward_passes.as_ref().map(mean)),
        ("gradients", counts.gradient_evaluations.as_ref().map(mean)),
    ];
    lines.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines
}

/// The lines of a trigger.
pub(super) fn trigger_lines(document: &TriggerDocument) -> Vec<(&'static str, String)> {
    let trigger = &document.trigger;
    let share = |mean: &Mean, of: usize| {
        let [low, high] = mean.interval;
        let (low, high) = (percent(low), percent(high));
        format!("{} of {of} (95% interval {low} to {high})", percent(mean.mean))
    };
    let mut lines =
        vec![("turns, of those it was made for", share(&trigger.seen, trigger.searched_on))];
    if let Some(held_out) = &trigger.held_out {
        lines.push(("turns, of others", share(held_out, trigger.tested_on)));
    }
    if trigger.skipped > 0 {
        lines.push(("no use", trigger.skipped.to_string()));
    }
    lines.push(("forward passes", trigger.forward_passes.to_string()));
    lines.push(("gradients", trigger.gradient_evaluations.to_string()));
    lines
}

impl AttackRenderer for super::json::Json {
    fn attack(&mut self, document: &AttackDocument, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        self.write(document, out)
    }

    fn summary(&mut self, summary: &AttackSummary, out: &mut dyn Write) -> io::Result<()> {
        self.write(summary, out)
    }

    fn trigger(&mut self, trigger: &TriggerDocument, out: &mut dyn Write) -> io::Result<()> {
        self.write(trigger, out)
    }
}
