//! From what is asked on the wire to the library's own types.

use glossator_interpret::{Aggregation, Input, Options, TaskOptions};
use glossator_models::Task;

use crate::wire::{AggregationRequest, InputRequest, OptionsRequest, SettingRequest};

/// What is wrong with the parts of an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// There is no text.
    #[error("no key \"text\"")]
    NoText,
    /// A second text that is said to be two things.
    #[error("an object with the key \"question\" and the key \"pair\"")]
    QuestionAndPair,
}

/// Reads the texts: a question's text is its context, and it stands where the second text of a pair
/// does.
///
/// # Errors
/// If there is no text, or a question and a pair.
pub fn input(request: InputRequest) -> Result<Input, InputError> {
    let InputRequest { text, context, pair, question, continuation } = request;
    if question.is_some() && pair.is_some() {
        return Err(InputError::QuestionAndPair);
    }
    let context = context.filter(|_| question.is_some());
    let text = context.or(text).ok_or(InputError::NoText)?;
    Ok(Input { text, pair: question.or(pair), continuation })
}

/// A part of an input or an option that was given though a task has no use for it.
pub fn useless(input: &InputRequest, options: &OptionsRequest, task: Task) -> Option<&'static str> {
    let given = [
        (input.pair.is_some(), "pair"),
        (input.question.is_some(), "question"),
        (input.continuation.is_some(), "continuation"),
        (options.generate.is_some(), "generate"),
        (options.top.is_some(), "top"),
        (options.aggregation.is_some(), "aggregation"),
        (options.stride.is_some(), "stride"),
        (options.max_answer.is_some(), "max-answer"),
        (options.unanswerable, "unanswerable"),
    ];
    let fits = |name: &str| glossator_interpret::uses::fits(name, task);
    given.into_iter().find(|(given, name)| *given && !fits(name)).map(|(_, name)| name)
}

/// How predictions are read; what is not said is as usual.
pub fn options(request: &OptionsRequest) -> TaskOptions {
    let usual = TaskOptions::default();
    let count = |given: Option<u32>, usual: usize| given.map_or(usual, |n| n as usize);
    TaskOptions {
        truncate: request.truncate,
        top: count(request.top, usual.top),
        generate: count(request.generate, usual.generate),
        aggregation: match request.aggregation {
            None => usual.aggregation,
            Some(AggregationRequest::Simple) => Aggregation::Simple,
            Some(AggregationRequest::First) => Aggregation::First,
            Some(AggregationRequest::Average) => Aggregation::Average,
            Some(AggregationRequest::Max) => Aggregation::Max,
        },
        stride: count(request.stride, usual.stride),
        max_answer: count(request.max_answer, usual.max_answer),
        unanswerable: request.unanswerable,
    }
}

/// Settings as a user would have written them. A switch that is off is one that was not given.
pub fn settings<'a>(given: impl IntoIterator<Item = (&'a String, &'a SettingRequest)>) -> Options {
    let mut options = Options::new();
    for (name, value) in given {
        options.set(name, &text(value));
    }
    options
}

fn text(value: &SettingRequest) -> String {
    /// Beyond it, neighbouring whole numbers are the same f64.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        SettingRequest::Switch(on) => on.to_string(),
        SettingRequest::Text(text) => text.clone(),
        SettingRequest::Number(number) => match number.as_f64() {
            // A count may come as 20.0 from where all numbers are floating.
            Some(x) if number.is_f64() && x.fract() == 0.0 && x.abs() < EXACT => format!("{x:.0}"),
            _ => number.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Input, InputError> {
        input(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn inputs_are_rows_of_json_lines() {
        assert_eq!(read(r#"{"text": "a", "label": 1}"#), Ok(Input::text("a")));
        assert_eq!(read(r#"{"text": "a", "pair": "b"}"#), Ok(Input::pair("a", "b")));
        let asked = Ok(Input::question("q", "c"));
        assert_eq!(read(r#"{"question": "q", "context": "c"}"#), asked);
        assert_eq!(read(r#"{"question": "q", "context": "c", "text": "t"}"#), asked);
        assert_eq!(read(r#"{"question": "q", "text": "c"}"#), asked);
        assert_eq!(read(r#"{"context": "c"}"#), Err(InputError::NoText));
        let both = r#"{"text": "a", "pair": "b", "question": "q"}"#;
        assert_eq!(read(both), Err(InputError::QuestionAndPair));
    }

    #[test]
    fn settings_are_what_a_user_would_write() {
        let given: crate::wire::SettingsRequest = serde_json::from_str(
            r#"{"samples": 20.0, "seed": 9007199254740993, "sigma": 0.1, "squared": true,
                "baseline": "zero"}"#,
        )
        .unwrap();
        let options = settings(&given);
        assert_eq!(options.text("samples"), Some("20"));
        assert_eq!(options.text("seed"), Some("9007199254740993"));
        assert_eq!(options.text("sigma"), Some("0.1"));
        assert_eq!(options.text("squared"), Some("true"));
        assert_eq!(options.text("baseline"), Some("zero"));
    }

    #[test]
    fn what_a_task_has_no_use_for_is_named() {
        let asked = InputRequest::question("q", "c");
        let none = OptionsRequest::default();
        assert_eq!(useless(&asked, &none, Task::QuestionAnswering), None);
        assert_eq!(useless(&asked, &none, Task::CausalLm), Some("question"));
        let top = OptionsRequest { top: Some(3), ..OptionsRequest::default() };
        let text = InputRequest::text("a");
        assert_eq!(useless(&text, &top, Task::TextClassification), Some("top"));
    }
}
