//! What all pictures say in words: the prediction, the question, the figures, the warnings.
//!
//! Names come from files of other people, so everything here is already spelled out by
//! [`visible`]; markup is escaped by each renderer.

mod prediction;
mod question;

pub(crate) use prediction::{Answer, Group, groups, headline, holding, unexplained};
pub(crate) use question::{describe, focus, measure, quantity, question};

use crate::number::{self, amount, percent, with_sign};
use crate::text::{Marks, cut, quoted, visible};
use crate::units::{By, View};
use crate::wire::{Document, Explanation, Method};

/// Columns of a name. Longer ones come from broken or hostile files, and would bury the rest.
const LONGEST: usize = 100;

/// A label, model or setting, fit to stand in a sentence.
pub(crate) fn name(text: &str, marks: Marks) -> String {
    // Cut before it is spelled out, which may make it six times as long.
    cut(&visible(&cut(text, LONGEST, marks), marks), LONGEST, marks).into_owned()
}

/// Some words of a text in quotation marks, fit to stand in a sentence; line breaks are spaces.
pub(crate) fn quote(text: &str, marks: Marks) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = if joined.is_empty() { text } else { &joined };
    quoted(&name(text, marks), marks)
}

/// The method and its settings, one item each.
pub(crate) fn method(method: &Method, marks: Marks) -> Vec<String> {
    let settings = method.settings.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={}", visible(name, marks), self::name(&value, marks))
    });
    std::iter::once(visible(&method.id, marks).into_owned()).chain(settings).collect()
}

/// The figures under a picture.
pub(crate) fn figures(view: &View<'_>) -> Vec<String> {
    let explanation = view.explanation;
    let mut figures = vec![format!("F(x) {}", amount(explanation.output))];
    if let Some(baseline) = explanation.baseline_output {
        figures.push(format!("F(baseline) {}", amount(baseline)));
    }
    // Scores that promise no sum, such as norms, do not sum to anything.
    if let Some(delta) = explanation.delta {
        let total = explanation.total();
        figures.push(format!("sum {}", with_sign(total, amount(total))));
        figures.push(format!("completeness error {}", completeness(explanation, delta)));
    }
    if let Some(error) = explanation.error_estimate {
        figures.push(format!("error estimate {}", number::error(error)));
    }
    figures.push(match explanation.gradient_evaluations {
        1 => "1 gradient evaluation".into(),
        n => format!("{n} gradient evaluations"),
    });
    figures
}

/// What words leave out of the sum, for pictures that do not list it.
pub(crate) fn rest(view: &View<'_>) -> Option<String> {
    view.rest.map(|rest| format!("{} {}", rest.name(), view.scale.number(rest.score)))
}

/// The completeness error, and its share of what the scores should add up to.
fn completeness(explanation: &Explanation, delta: f64) -> String {
    let difference = explanation.baseline_output.map(|b| explanation.output - b);
    let error = with_sign(delta, number::error(delta));
    match difference {
        Some(difference) if difference != 0.0 => {
            let share = (delta / difference).abs();
            // A difference near 0 makes the share meaningless.
            let share = if share > 9.995 { ">999%".into() } else { percent(share) };
            format!("{error} ({share})")
        }
        _ => error,
    }
}

/// The warning for scores that are not as accurate as asked for: a first phrase to set in bold,
/// and the rest.
pub(crate) fn warning(explanation: &Explanation) -> Option<(&'static str, String)> {
    if explanation.converged != Some(false) {
        return None;
    }
    let error = match (explanation.delta, explanation.error_estimate) {
        (Some(delta), _) => {
            format!("the completeness error is {}; ", completeness(explanation, delta))
        }
        (None, Some(error)) => format!("the estimated error is {}; ", number::error(error)),
        (None, None) => String::new(),
    };
    let advice = "use --rule adaptive with more --max-evaluations, or another --baseline";
    Some(("NOT CONVERGED", format!("{error}{advice}")))
}

/// What else to know: the method's notes, and what the model did not read.
pub(crate) fn notes(
    document: &Document,
    explanation: Option<&Explanation>,
    marks: Marks,
) -> Vec<String> {
    let notes = explanation.iter().flat_map(|e| &e.notes);
    let mut notes: Vec<_> = notes.map(|note| visible(note, marks).into_owned()).collect();
    match document.truncated {
        None | Some(0) => {}
        Some(1) => notes.push("1 token did not fit the model and was not read".into()),
        Some(n) => notes.push(format!("{n} tokens did not fit the model and were not read")),
    }
    notes
}

/// What the units are called.
pub(crate) fn unit_name(by: By, count: usize) -> &'static str {
    match (by, count) {
        (By::Word, 1) => "word",
        (By::Word, _) => "words",
        (By::Token, 1) => "token",
        (By::Token, _) => "tokens",
    }
}
