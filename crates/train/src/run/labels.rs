//! What a run begins from, and which labels it has.

use std::path::Path;

use glossator_models::text::Found;
use glossator_models::{Change, LoadOptions, Problem, Task, Trainable, load, registry};

use super::new_model::{Ingredients, NewModel};
use super::survey::{Part, Survey, part};
use super::{Event, Observer, Request};
use crate::data::Content;
use crate::error::Result;

/// What a run begins from.
pub enum Origin<'a> {
    /// A model that is there.
    Directory(&'a Path),
    /// A model that is made.
    New(Box<NewModel>),
}

impl Origin<'_> {
    /// The name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Directory(path) => {
                path.file_name().and_then(|name| name.to_str()).unwrap_or("a directory")
            }
            Self::New(new) => new.architecture.id,
        }
    }
}

/// Opens or makes the model, with the labels of the data.
pub(super) fn open(
    request: &Request<'_>,
    survey: &Survey,
    observer: &dyn Observer,
) -> Result<Trainable> {
    let (task, seed) = (request.task, request.settings.seed);
    let classifies = matches!(task, Task::TextClassification | Task::TokenClassification);
    match &request.origin {
        Origin::New(new) => {
            survey.check(task, request.problem)?;
            let problem = request.problem.unwrap_or(Problem::SingleLabel);
            let labels = if classifies { new_labels(request, survey) } else { Vec::new() };
            let texts = texts(request, survey.examples)?;
            let (made, found) = new.make(Ingredients { task, labels, problem, seed, texts })?;
            let mut note = format!("a vocabulary of {} tokens", made.tokenizer().vocab_size());
            if let Some(Found { tokens, of }) = found {
                note += &format!("; {tokens} of {of} words have a vector");
            }
            observer.event(&Event::Note(note));
            Ok(made)
        }
        Origin::Directory(path) => {
            let (_, base) = registry::identify(path)?;
            let mut change = Change { task: Some(task), seed, ..Change::default() };
            if classifies {
                let kept = if base == task { kept(request, path, survey) } else { None };
                let problem = match kept {
                    Some(problem) => problem,
                    None => {
                        change.labels = Some(new_labels(request, survey));
                        change.problem = request.problem;
                        if task == Task::TextClassification {
                            change.problem.get_or_insert(Problem::SingleLabel);
                        }
                        change.problem.unwrap_or(Problem::SingleLabel)
                    }
                };
                survey.check(task, Some(problem))?;
            } else {
                survey.check(task, None)?;
            }
            let note = match &change.labels {
                _ if base != task => Some(format!("the model gets a new head for {}", task.id())),
                Some(labels) => Some(format!("the model's labels become {}", labels.join(", "))),
                None => None,
            };
            if let Some(note) = note {
                observer.event(&Event::Note(note));
            }
            Ok(Trainable::from_dir(path, &change)?)
        }
    }
}

/// How the base reads its labels, if its head can stay: the labels of the data are among its own.
fn kept(request: &Request<'_>, path: &Path, survey: &Survey) -> Option<Problem> {
    // A bare encoder has no head.
    let model = load(path, &LoadOptions::default()).ok()?;
    let labels = &model.info().labels;
    let problem = labels.problem;
    if request.problem.is_some_and(|wanted| wanted != problem) {
        return None;
    }
    if let Some(wanted) = &request.labels {
        return (*wanted == labels.names).then_some(problem);
    }
    let known = |label: &String| labels.names.contains(label) || labels.find(label).is_ok();
    (problem == Problem::Regression || survey.labels.keys().all(known)).then_some(problem)
}

fn new_labels(request: &Request<'_>, survey: &Survey) -> Vec<String> {
    if request.problem == Some(Problem::Regression) {
        return request.labels.clone().unwrap_or_else(|| vec!["value".to_owned()]);
    }
    request.labels.clone().unwrap_or_else(|| survey.ordered())
}

/// All texts to learn from.
fn texts(request: &Request<'_>, total: usize) -> Result<Box<dyn Iterator<Item = Result<String>>>> {
    let settings = &request.settings;
    let (share, seed) = (settings.dev_share, settings.seed);
    let examples = part(&request.data, request.task, share, total, seed, Part::Train)?;
    Ok(Box::new(examples.flat_map(|example| {
        let texts = example.map(|example| match example.content {
            Content::Labelled { text, pair, .. } => pair.into_iter().chain([text]).collect(),
            Content::Tagged(tagged) => vec![tagged.text],
            Content::Question(question) => vec![question.question, question.context],
            Content::Document { text, .. } => vec![text],
            Content::Rewriting { source, target } => vec![source, target],
        });
        match texts {
            Ok(texts) => texts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    })))
}
