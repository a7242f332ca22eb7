//! What an attack is to bring about, task by task, and how near a text is to it.

mod answer;
mod choice;
mod entity;
mod label;

use std::ops::Range;

use glossator_models::{Model, Task};

use self::answer::AnswerGoal;
use self::choice::ChoiceGoal;
use self::entity::EntityGoal;
use self::label::{LabelGoal, SwitchGoal};
use super::edits::EditedTexts;
use super::victim::Reading;
use crate::error::{Error, Result};
use crate::prediction::Prediction;
use crate::target::Target;
use crate::tasks::{self, TaskOptions};

/// What is to become of a prediction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Aim {
    /// Anything else.
    #[default]
    Change,
    /// A label, a kind of entity, an answer or a token.
    Become(String),
}

/// One decision of a model, and what is to become of it.
#[derive(Debug, Clone)]
pub struct Goal {
    kind: Kind,
    /// What the model decided about the original, for the record.
    pub target: Target,
    /// Bytes of the original texts, with their fields, that must stay as they are, or the decision
    /// would not be the same one any more.
    pub protected: Vec<(usize, Range<usize>)>,
}

#[derive(Debug, Clone)]
enum Kind {
    Label(LabelGoal),
    Switch(SwitchGoal),
    Entity(EntityGoal),
    Answer(AnswerGoal),
    Choice(ChoiceGoal),
}

/// What a goal asks of the model's outputs for one text.
trait Judge {
    /// Whether the prediction is what the attack wants.
    fn reached(&self, seen: &Seen<'_>) -> bool;

    /// How near the outputs are to it, in logits: the larger the nearer, about 0 where it turns.
    fn margin(&self, seen: &Seen<'_>) -> f64;

    /// A difference of outputs that grows towards it, with the window in which it is.
    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)>;

    /// A number that grows as the original prediction fades, with the window in which it is.
    fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        self.towards(seen)
    }

    /// How probable the original prediction is; 0 where the model does not make it any more.
    fn confidence(&self, seen: &Seen<'_>) -> f64;
}

/// A text and what the model says of it.
pub(crate) struct Seen<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) options: &'a TaskOptions,
    pub(crate) reading: &'a Reading,
    pub(crate) texts: &'a EditedTexts,
}

impl Goal {
    fn judge(&self) -> &dyn Judge {
        match &self.kind {
            Kind::Label(goal) => goal,
            Kind::Switch(goal) => goal,
            Kind::Entity(goal) => goal,
            Kind::Answer(goal) => goal,
            Kind::Choice(goal) => goal,
        }
    }

    pub(crate) fn reached(&self, seen: &Seen<'_>) -> bool {
        self.judge().reached(seen)
    }

    pub(crate) fn margin(&self, seen: &Seen<'_>) -> f64 {
        self.judge().margin(seen)
    }

    pub(crate) fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        self.judge().towards(seen)
    }

    pub(crate) fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        self.judge().loss(seen)
    }

    pub(crate) fn confidence(&self, seen: &Seen<'_>) -> f64 {
        self.judge().confidence(seen)
    }
}

/// The goals of an attack on what the model says of a text: one for each independent decision, so
/// there may be none.
///
/// # Errors
/// If the task makes no decision that could be attacked, or what is wanted does not exist or is
/// already so.
pub(crate) fn goals(seen: &Seen<'_>, aim: &Aim) -> Result<Vec<Goal>> {
    match &seen.reading.prediction {
        Prediction::TextClassification(classification) => label::goals(seen, classification, aim),
        Prediction::TokenClassification(entities) => entity::goals(seen, entities, aim),
        Prediction::QuestionAnswering(answers) => answer::goals(seen, answers, aim),
        Prediction::MaskedLm(choices) => choice::goals(seen, choices, aim, false),
        Prediction::CausalLm(choices) => {
            if seen.reading.windows.iter().any(|window| window.fields.len() > 1) {
                return Err(Error::Input {
                    what: "an attack is on the token that comes next, got a continuation".into(),
                    hint: "leave out --continuation and --generate".into(),
                });
            }
            choice::goals(seen, choices, aim, true)
        }
        Prediction::Seq2SeqLm(_) => Err(unsupported(
            seen.model.info().task,
            "its answer is a whole text, which no single flip turns into another",
        )),
        Prediction::SentenceSimilarity(_) => {
            Err(unsupported(seen.model.info().task, "a cosine is a number and no decision"))
        }
    }
}

fn unsupported(task: Task, why: &str) -> Error {
    Error::Input {
        what: format!("attacks are not defined for {}: {why}", task.id()),
        hint: "attack a classifier, a question answerer, a masked or a causal language model"
            .to_owned(),
    }
}

/// The error of a target that is so without any attack.
fn already(what: &str) -> Error {
    Error::Input {
        what: format!("--target {what:?}: the model says so already"),
        hint: "name another --target, or none for any change".to_owned(),
    }
}

/// The target that the task itself has for its prediction, for the record.
fn recorded(seen: &Seen<'_>, index: usize) -> Result<Target> {
    use crate::target::{Quantity, TargetSpec};
    let window = &seen.reading.windows[seen.reading.window()];
    let task = tasks::of(seen.model);
    let (prediction, spec) = (&seen.reading.prediction, TargetSpec::Predicted);
    let mut targets = task.targets(seen.model, window, prediction, &spec, Quantity::Logit)?;
    if index < targets.len() {
        return Ok(targets.swap_remove(index));
    }
    Err(Error::Input {
        what: "the model decides nothing about this text".to_owned(),
        hint: "attack another text".to_owned(),
    })
}

/// The column with the largest value among some, if there is one.
fn best(row: &[f64], mut of: impl FnMut(usize) -> bool) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for (column, &value) in row.iter().enumerate() {
        if best.is_none_or(|(_, most)| value > most) && of(column) {
            best = Some((column, value));
        }
    }
    best
}
