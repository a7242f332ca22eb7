//! Flags that only some tasks have a use for.

use glossator_interpret::{Aggregation, TaskOptions, uses};
use glossator_models::Task;

use crate::args::{self, ExplainArgs};
use crate::exit::CliError;

/// The flags that were given, each with the tasks that it is for.
fn given(args: &ExplainArgs) -> Vec<(String, &'static [Task])> {
    let all = [
        (args.pair.is_some(), "pair"),
        (args.question.is_some(), "question"),
        (args.continuation.is_some(), "continuation"),
        (args.generate.is_some(), "generate"),
        (args.top.is_some(), "top"),
        (args.aggregation.is_some(), "aggregation"),
        (args.stride.is_some(), "stride"),
        (args.max_answer.is_some(), "max-answer"),
        (args.unanswerable, "unanswerable"),
    ];
    let given = all.into_iter().filter(|(given, _)| *given);
    given.map(|(_, name)| (format!("--{name}"), uses::of(name))).collect()
}

/// Checks that one task has a use for all flags.
pub(crate) fn check_flags(args: &ExplainArgs) -> Result<(), CliError> {
    let given = given(args);
    for (i, (flag, tasks)) in given.iter().enumerate() {
        let apart =
            |(_, others): &&(String, &[Task])| !others.iter().any(|task| tasks.contains(task));
        if let Some((other, others)) = given[..i].iter().find(apart) {
            return Err(CliError::input(
                format!("{flag} is for {}, {other} for {}", uses::list(tasks), uses::list(others)),
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
            format!("{flag} is for {}; {model} does {}", uses::list(tasks), task.id()),
            format!("leave out {flag}, or name another --model; `glossator models` lists families"),
        )),
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
