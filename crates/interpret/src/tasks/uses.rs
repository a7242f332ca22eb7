//! Which tasks have a use for which part of an input and which option.

use glossator_models::Task;

const LANGUAGE: &[Task] = &[Task::CausalLm, Task::Seq2SeqLm];
const ANSWERS: &[Task] = &[Task::QuestionAnswering];
const PAIRS: &[Task] = &[Task::TextClassification, Task::MaskedLm, Task::SentenceSimilarity];
const CANDIDATES: &[Task] =
    &[Task::QuestionAnswering, Task::MaskedLm, Task::CausalLm, Task::Seq2SeqLm];

/// Parts of an input besides the text, and options, each with the tasks that have a use for it. What
/// is not here is of use to all.
pub static USES: &[(&str, &[Task])] = &[
    ("pair", PAIRS),
    ("question", ANSWERS),
    ("continuation", LANGUAGE),
    ("generate", LANGUAGE),
    ("top", CANDIDATES),
    ("aggregation", &[Task::TokenClassification]),
    ("stride", ANSWERS),
    ("max-answer", ANSWERS),
    ("unanswerable", ANSWERS),
];

/// The tasks that have a use for something of that name; every task where nothing is said.
#[must_use]
pub fn of(name: &str) -> &'static [Task] {
    USES.iter().find(|(known, _)| *known == name).map_or(&Task::ALL, |(_, tasks)| tasks)
}

/// Whether a task has a use for something of that name.
#[must_use]
pub fn fits(name: &str, task: Task) -> bool {
    of(name).contains(&task)
}

/// Tasks in words: `masked-lm, causal-lm or seq2seq-lm`.
#[must_use]
pub fn list(tasks: &[Task]) -> String {
    let names: Vec<_> = tasks.iter().map(|task| task.id()).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_options_belong_to_tasks() {
        assert!(
            fits("question", Task::QuestionAnswering) && !fits("pair", Task::QuestionAnswering)
        );
        assert!(Task::ALL.into_iter().all(|task| fits("truncate", task)));
        assert_eq!(list(of("generate")), "causal-lm or seq2seq-lm");
        assert_eq!(list(of("stride")), "question-answering");
    }
}
