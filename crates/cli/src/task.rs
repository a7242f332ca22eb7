//! Flags that only some tasks have a use for.

use glossator_interpret::{Aggregation, TaskOptions};
use glossator_models::Task;

use crate::args::{self, ExplainArgs};
use crate::exit::CliError;

const LANGUAGE: &[Task] = &[Task::CausalLm, Task::Seq2SeqLm];
const ANSWERS: &[Task] = &[Task::QuestionAnswering];

/// The flags that were given, each with the tasks that it is for.
fn given(args: &ExplainArgs) -> Vec<(&'static str, &'static [Task])> {
    let pairs = &[Task::TextClassification, Task::MaskedLm, Task::SentenceSimilarity];
    let candidates = &[Task::QuestionAnswering, Task::MaskedLm, Task::CausalLm, Task::Seq2SeqLm];
    let all: [(bool, &'static str, &'static [Task]); 9] = [
        (args.pair.is_some(), "--pair", pairs),
        (args.question.is_some(), "--question", ANSWERS),
        (args.continuation.is_some(), "--continuation", LANGUAGE),
        (args.generate.is_some(), "--generate", LANGUAGE),
        (args.top.is_some(), "--top", candidates),
        (args.aggregation.is_some(), "--aggregation", &[Task::TokenClassification]),
        (args.stride.is_some(), "--stride", ANSWERS),
        (args.max_answer.is_some(), "--max-answer", ANSWERS),
        (args.unanswerable, "--unanswerable", ANSWERS),
    ];
    all.into_iter().filter(|(given, ..)| *given).map(|(_, flag, tasks)| (flag, tasks)).collect()
}

/// Checks that one task has a use for all flags.
pub(crate) fn check_flags(args: &ExplainArgs) -> Result<(), CliError> {
    let given = given(args);
    for (i, (flag, tasks)) in given.iter().enumerate() {
        let apart =
            |(_, others): &&(&str, &[Task])| !others.iter().any(|task| tasks.contains(task));
        if let Some((other, others)) = given[..i].iter().find(apart) {
            return Err(CliError::input(
                format!("{flag} is for {}, {other} for {}", list(tasks), list(others)),
                format!("leave out {flag} or {other}"),
            ));
        }
    }
    Ok(())
}

/// Checks that the model's task has a use for all flags.
pub(crate) fn check_task(args: &ExplainArgs, model: &str, task: Task) -> Result<(), CliError> {
    match given(args).into_iter().find(|(_, tasks)| !tasks.contains(&task)) {
        None => Ok(()),
        Some((flag, tasks)) => Err(CliError::input(
            format!("{flag} is for {}; {model} does {}", list(tasks), task.id()),
            format!("leave out {flag}, or name another --model; `glossator models` lists families"),
        )),
    }
}

fn list(tasks: &[Task]) -> String {
    let names: Vec<_> = tasks.iter().map(|task| task.id()).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// The options of all tasks.
pub(crate) fn options(args: &ExplainArgs) -> TaskOptions {
    let default = TaskOptions::default();
    let count = |given: Option<u32>, default: usize| given.map_or(default, |n| n as usize);
    TaskOptions {
        truncate: args.truncate,
        top: count(args.top, default.top),
        generate: count(args.generate, default.generate),
        aggregation: match args.aggregation {
            None => default.aggregation,
            Some(args::Aggregation::Simple) => Aggregation::Simple,
            Some(args::Aggregation::First) => Aggregation::First,
            Some(args::Aggregation::Average) => Aggregation::Average,
            Some(args::Aggregation::Max) => Aggregation::Max,
        },
        stride: count(args.stride, default.stride),
        max_answer: count(args.max_answer, default.max_answer),
        unanswerable: args.unanswerable,
    }
}
