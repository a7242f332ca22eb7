//! Which column of a record is what.

use glossator_models::Task;

use super::{Content, Place, Question, ReadOptions};
use crate::error::{Error, Result};

/// Columns by name or number (from 1); a key of JSON objects may be a path, `a.b`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The text, or the source of a rewriting.
    pub text: Option<String>,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The label, labels or number.
    pub label: Option<String>,
    /// The question.
    pub question: Option<String>,
    /// The context of a question.
    pub context: Option<String>,
    /// The answer to a question.
    pub answer: Option<String>,
    /// The character at which the answer starts.
    pub start: Option<String>,
    /// What is to be written.
    pub target: Option<String>,
    /// The words of a sentence.
    pub tokens: Option<String>,
    /// The tags of the words.
    pub tags: Option<String>,
}

/// One use of a column.
pub(super) struct Use {
    /// The flag that names it.
    pub(super) flag: &'static str,
    /// Its name or number.
    pub(super) column: String,
}

impl Columns {
    /// The columns that a task reads of a table or object, with the names that they have unless
    /// flags give others.
    pub(super) fn of(&self, task: Task) -> Vec<Use> {
        let named = |flag, given: &Option<String>, usual: &str| Use {
            flag,
            column: given.clone().unwrap_or_else(|| usual.to_owned()),
        };
        // Read only if it is named.
        let asked = |flag, given: &Option<String>| given.as_ref().map(|_| named(flag, given, ""));
        let text = named("--text", &self.text, "text");
        match task {
            Task::QuestionAnswering => {
                let mut uses = vec![
                    named("--question", &self.question, "question"),
                    named("--context", &self.context, "context"),
                    named("--answer", &self.answer, "answer"),
                ];
                uses.extend(asked("--start", &self.start));
                uses
            }
            Task::MaskedLm | Task::CausalLm => vec![text],
            Task::Seq2SeqLm => vec![text, named("--target", &self.target, "target")],
            Task::TokenClassification => {
                let tokens = named("--tokens", &self.tokens, "tokens");
                vec![tokens, named("--tags", &self.tags, "tags")]
            }
            _ => {
                let mut uses = vec![text, named("--label", &self.label, "label")];
                if task == Task::SentenceSimilarity {
                    uses.push(named("--pair", &self.pair, "pair"));
                } else {
                    uses.extend(asked("--pair", &self.pair));
                }
                uses
            }
        }
    }
}

/// A column's number, if it is one.
pub(super) fn number(column: &str) -> Option<usize> {
    column.parse().ok().filter(|&n: &usize| n > 0)
}

/// Puts the values of a record's columns, in the order of [`Columns::of`], together.
pub(super) fn content(
    task: Task,
    values: Vec<String>,
    options: &ReadOptions,
    place: &Place,
) -> Result<Content> {
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or_default();
    Ok(match task {
        Task::QuestionAnswering => {
            let (question, context, answer) = (next(), next(), next());
            let start = values.next();
            let answers = answers(&context, answer, start.as_deref(), options, place)?;
            Content::Question(Question { question, context, answers })
        }
        Task::MaskedLm | Task::CausalLm => Content::Document { text: next(), goes_on: false },
        Task::Seq2SeqLm => Content::Rewriting { source: next(), target: next() },
        _ => {
            let (text, label) = (next(), next());
            let labels = match &options.label_separator {
                Some(separator) => label.split(separator.as_str()).map(str::to_owned).collect(),
                None => vec![label],
            };
            labelled(text, values.next(), labels, options, place)?
        }
    })
}

/// A text with its labels as they are called here.
pub(super) fn labelled(
    text: String,
    pair: Option<String>,
    labels: Vec<String>,
    options: &ReadOptions,
    place: &Place,
) -> Result<Content> {
    let several = options.label_separator.is_some() || labels.len() != 1;
    let mut named = Vec::with_capacity(labels.len());
    for label in labels {
        let label = label.trim();
        if label.is_empty() {
            if several {
                continue;
            }
            let hint = "give each text a label, or remove the row";
            return Err(Error::data(place, "the label is empty", hint));
        }
        named.push(renamed(label, options).to_owned());
    }
    Ok(Content::Labelled { text, pair, labels: named })
}

/// A label as it is called here.
pub(super) fn renamed<'a>(label: &'a str, options: &'a ReadOptions) -> &'a str {
    let found = options.rename_labels.iter().find(|(there, _)| there == label);
    found.map_or(label, |(_, here)| here)
}

/// The answer with its first byte: where `start` says, else where it is found first.
fn answers(
    context: &str,
    answer: String,
    start: Option<&str>,
    options: &ReadOptions,
    place: &Place,
) -> Result<Vec<(String, usize)>> {
    if answer.is_empty() || options.no_answer.as_ref() == Some(&answer) {
        return Ok(Vec::new());
    }
    let Some(start) = start else {
        let Some(byte) = context.find(&answer) else {
            let what = format!("the answer {:?} is not a part of the context", short(&answer));
            let hint = "an answer is words of the context as they stand there";
            return Err(Error::data(place, what, hint));
        };
        return Ok(vec![(answer, byte)]);
    };
    // A number, or the first of a pair such as "(12, 20)" or "[12]".
    let digits = start.trim().trim_start_matches(['(', '[']);
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let Ok(character) = digits.parse::<usize>() else {
        let what = format!("--start: expected the number of a character, got {:?}", short(start));
        return Err(Error::data(place, what, "characters are counted from 0"));
    };
    Ok(vec![located(context, &answer, character, place)?])
}

/// The answer that begins at a character, as it stands in the context, with its first byte. White
/// space may differ: some data sets split words and punctuation of answers, but not of contexts.
pub(super) fn located(
    context: &str,
    answer: &str,
    character: usize,
    place: &Place,
) -> Result<(String, usize)> {
    // Where an answer begins with white space, its words begin behind that.
    let lead = answer.chars().take_while(|c| c.is_whitespace()).count();
    for at in [character, character + lead] {
        let byte = context.char_indices().nth(at).map(|(byte, _)| byte);
        if let Some(byte) = byte
            && let Some(length) = matched(&context[byte..], answer)
        {
            return Ok((context[byte..byte + length].to_owned(), byte));
        }
    }
    let there: String = context.chars().skip(character).take(answer.chars().count()).collect();
    let what = format!(
        "expected the answer {:?} at character {character} of the context, got {:?}",
        short(answer),
        short(&there)
    );
    let hint = "answers start at characters counted from 0; --skip-bad-rows leaves such rows out";
    Err(Error::data(place, what, hint))
}

/// How many bytes of a text are the answer, white space apart; none if it does not begin with it.
fn matched(text: &str, answer: &str) -> Option<usize> {
    let mut here = text.char_indices().filter(|(_, c)| !c.is_whitespace());
    let mut end = 0;
    for wanted in answer.chars().filter(|c| !c.is_whitespace()) {
        let (byte, c) = here.next()?;
        if c != wanted {
            return None;
        }
        end = byte + c.len_utf8();
    }
    // An answer does not begin with white space of the context.
    (end > 0 && !text.starts_with(char::is_whitespace)).then_some(end)
}

/// The beginning of a long text, for messages.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((byte, _)) => format!("{}...", &text[..byte]),
        None => text.to_owned(),
    }
}
