//! The main entry: a model, an attack, an input.

use std::sync::OnceLock;

use glossator_models::{Encoding, Model, Task};

use super::case::{AttackResult, Case};
use super::constraints::{CONSTRAINTS, Constraint};
use super::edits::EditedTexts;
use super::goal::{Aim, Goal, Seen, goals};
use super::victim::{Limits, Reading, Victim};
use super::vocabulary::Vocabulary;
use super::{greedy, hotflip, input_reduction};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;
use crate::prediction::Prediction;
use crate::progress::{Progress, Silent};
use crate::tasks::{Input, TaskOptions};

/// Every attack on one input. A new one is one line here and one file.
pub static ATTACKS: &[&AttackEntry] = &[&hotflip::ENTRY, &input_reduction::ENTRY, &greedy::ENTRY];

/// How a decision is attacked. An attack's settings are its own fields.
pub trait Attack: Send + Sync {
    /// What the attack is.
    fn info(&self) -> &'static AttackInfo;

    /// Every setting with its value, for the record.
    fn settings(&self) -> Settings;

    /// Whether it is to change a prediction; a reduction is to keep it.
    fn changes(&self) -> bool {
        true
    }

    /// Attacks one decision.
    ///
    /// # Errors
    /// If the caller cancelled, or the model fails. Not finding anything is no error.
    fn attack(&self, case: &Case<'_>) -> Result<AttackResult>;
}

/// What an attack is, for help, documentation and pages.
#[derive(Debug)]
pub struct AttackInfo {
    /// The name in the wire format and on the command line.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
    /// When it misleads.
    pub caution: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// What it costs.
    pub cost: &'static str,
    /// Whether it takes gradients.
    pub gradients: bool,
    /// The settings.
    pub parameters: &'static [ParameterInfo],
}

/// An attack in the list.
pub struct AttackEntry {
    /// What it is.
    pub info: &'static AttackInfo,
    /// Makes the attack from what a user gave.
    pub build: fn(&Options) -> Result<Box<dyn Attack>>,
}

/// The attack with an id.
///
/// # Errors
/// [`Error::Input`] with the ids there are.
pub fn find(id: &str) -> Result<&'static AttackEntry> {
    ATTACKS.iter().copied().find(|entry| entry.info.id == id).ok_or_else(|| {
        let known: Vec<_> = ATTACKS.iter().map(|entry| entry.info.id).collect();
        Error::Input {
            what: format!("unknown attack {id:?}; attacks are {}", known.join(", ")),
            hint: "`glossator attacks` describes them".to_owned(),
        }
    })
}

/// A setting that was given though neither an attack with these parameters nor any constraint has it.
#[must_use]
pub fn useless_setting<'a>(
    options: &'a Options,
    parameters: &'static [ParameterInfo],
) -> Option<&'a str> {
    let constraints = || CONSTRAINTS.iter().flat_map(|entry| entry.info.parameters);
    options.names().find(|name| !parameters.iter().chain(constraints()).any(|p| p.name == *name))
}

/// Which fields may be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldChoice {
    /// What is usual: all texts of a classifier; the question about a context; of a pair that is
    /// reduced the second text.
    #[default]
    Usual,
    /// All.
    All,
    /// One by its name: text, pair, premise, hypothesis, question or context.
    Named(String),
}

impl FieldChoice {
    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if name == "all" { Self::All } else { Self::Named(name.to_owned()) }
    }

    /// The indices of the fields, in the order in which the model reads them.
    fn indices(&self, task: Task, fields: usize, attack: &dyn Attack) -> Result<Vec<usize>> {
        let question = task == Task::QuestionAnswering;
        let all = (0..fields).collect();
        let name = match self {
            Self::All => return Ok(all),
            Self::Usual if question => return Ok(vec![0]),
            Self::Usual if fields > 1 && !attack.changes() => return Ok(vec![1]),
            Self::Usual => return Ok(all),
            Self::Named(name) => name,
        };
        let known: &[(&str, usize)] = match (question, fields) {
            (true, _) => &[("question", 0), ("context", 1)],
            (false, 1) => &[("text", 0)],
            (false, _) => &[("text", 0), ("premise", 0), ("pair", 1), ("hypothesis", 1)],
        };
        match known.iter().find(|(field, _)| field == name) {
            Some((_, index)) => Ok(vec![*index]),
            None => {
                let names: Vec<_> = known.iter().map(|(field, _)| *field).collect();
                Err(Error::Input {
                    what: format!("--field {name:?}: expected {} or all", names.join(", ")),
                    hint: "name a field that the input has".to_owned(),
                })
            }
        }
    }
}

/// Which of several decisions is attacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DecisionChoice {
    /// Each, one after the other.
    #[default]
    All,
    /// The one of that number, from 1.
    Number(usize),
    /// An entity by its text.
    Text(String),
}

impl DecisionChoice {
    /// Reads a number or a text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) if number > 0 => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        }
    }

    fn choose(
        &self,
        goals: Vec<Goal>,
        prediction: &Prediction,
        texts: &[String],
    ) -> Result<Vec<Goal>> {
        let found: Vec<Goal> = match self {
            Self::All => return Ok(goals),
            Self::Number(number) => goals.iter().skip(number - 1).take(1).cloned().collect(),
            Self::Text(wanted) => {
                let is_wanted = |goal: &&Goal| match goal.protected.first() {
                    Some((field, span)) => {
                        texts.get(*field).and_then(|text| text.get(span.clone()))
                            == Some(wanted.trim())
                    }
                    None => false,
                };
                goals.iter().filter(is_wanted).cloned().collect()
            }
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let what = match prediction {
            Prediction::TokenClassification(_) => {
                let entities: Vec<_> = goals
                    .iter()
                    .filter_map(|goal| goal.protected.first())
                    .filter_map(|(field, span)| texts.get(*field)?.get(span.clone()))
                    .collect();
                format!("the entities are {}", entities.join(", "))
            }
            _ => format!("there are {}", goals.len()),
        };
        let asked = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::All => String::new(),
        };
        Err(Error::Input {
            what: format!("--decision {asked}: no such decision; {what}"),
            hint: "give the number of one, from 1, or the text of an entity".to_owned(),
        })
    }
}

/// Attacks inputs with one attack.
pub struct Attacker<'a> {
    model: &'a dyn Model,
    attack: &'a dyn Attack,
    constraints: &'a [Box<dyn Constraint>],
    progress: &'a dyn Progress,
    /// How predictions are read.
    pub options: TaskOptions,
    /// What is to become of a prediction.
    pub aim: Aim,
    /// Which fields may be changed.
    pub fields: FieldChoice,
    /// Which decision is attacked.
    pub decision: DecisionChoice,
    /// When to give up, for each decision.
    pub limits: Limits,
    vocabulary: OnceLock<Vocabulary>,
}

/// What the model says of an input, and what came of attacking that.
#[derive(Debug, Clone)]
pub struct Attacked {
    /// The input as the model read it: of a long context, the window with the answer.
    pub encoding: Encoding,
    /// What it says.
    pub prediction: Prediction,
    /// One for each decision; none if the model decides nothing, such as where there is no entity.
    pub results: Vec<AttackResult>,
}

impl<'a> Attacker<'a> {
    /// An attacker without constraints that reports no progress.
    #[must_use]
    pub fn new(model: &'a dyn Model, attack: &'a dyn Attack) -> Self {
        Self {
            model,
            attack,
            constraints: &[],
            progress: &Silent,
            options: TaskOptions::default(),
            aim: Aim::default(),
            fields: FieldChoice::default(),
            decision: DecisionChoice::default(),
            limits: Limits::default(),
            vocabulary: OnceLock::new(),
        }
    }

    /// The same with constraints.
    #[must_use]
    pub fn with_constraints(mut self, constraints: &'a [Box<dyn Constraint>]) -> Self {
        self.constraints = constraints;
        self
    }

    /// The same with progress reported.
    #[must_use]
    pub fn with_progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Every setting of the attack, of its constraints, and of what it is about, for the record.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = self.attack.settings();
        for constraint in self.constraints {
            settings.extend(constraint.settings());
        }
        let mut record = |name, value| settings.insert(name, value);
        if let Aim::Become(target) = &self.aim {
            record("target", Setting::Text(target.clone()));
        }
        match &self.fields {
            FieldChoice::Usual => None,
            FieldChoice::All => record("field", Setting::from("all")),
            FieldChoice::Named(name) => record("field", Setting::Text(name.clone())),
        };
        match &self.decision {
            DecisionChoice::All => None,
            DecisionChoice::Number(number) => record("decision", Setting::Text(number.to_string())),
            DecisionChoice::Text(text) => record("decision", Setting::Text(text.clone())),
        };
        if let Some(passes) = self.limits.passes {
            record("max-passes", Setting::Integer(passes as u64));
        }
        if let Some(time) = self.limits.time {
            record("max-seconds", Setting::Number(time.as_secs_f64()));
        }
        settings
    }

    /// Predicts, and attacks each decision.
    ///
    /// Inputs are independent: to attack many, call this from several threads, each under
    /// [`glossator_ops::threads::serial`].
    ///
    /// # Errors
    /// If the input lacks what the task needs, the task cannot be attacked, or what is wanted does
    /// not exist or is already so.
    pub fn attack_input(&self, input: &Input) -> Result<Attacked> {
        let attack = |case: &Case<'_>| self.attack.attack(case);
        let (reading, results) = self.each(input, attack)?;
        let window = reading.window();
        let Reading { mut windows, prediction, .. } = reading;
        Ok(Attacked { encoding: windows.swap_remove(window), prediction, results })
    }

    /// Runs `f` on each decision about an input: attacks of one's own, or a look at what an attack
    /// sees.
    ///
    /// # Errors
    /// As for [`Attacker::attack_input`].
    pub fn each<R>(
        &self,
        input: &Input,
        mut f: impl FnMut(&Case<'_>) -> Result<R>,
    ) -> Result<(Reading, Vec<R>)> {
        if !self.attack.changes() && self.aim != Aim::Change {
            return Err(Error::Input {
                what: format!("--target: {} keeps the prediction", self.attack.info().id),
                hint: "leave out --target".to_owned(),
            });
        }
        let texts = Victim::texts(self.model.info().task, input);
        let fields = self.fields.indices(self.model.info().task, texts.len(), self.attack)?;
        let texts = EditedTexts::new(texts);
        let mut asks = Victim::new(self.model, input, &self.options, self.limits, self.progress);
        if self.attack.info().gradients {
            asks = asks.keeping_passes();
        }
        let reading = asks.read(&texts.render())?;
        let (model, options) = (self.model, &self.options);
        let seen = Seen { model, options, reading: &reading, texts: &texts };
        let goals = goals(&seen, &self.aim)?;
        let goals = self.decision.choose(goals, &reading.prediction, texts.originals())?;
        let mut results = Vec::with_capacity(goals.len());
        for goal in &goals {
            // Each has its own limits and counts.
            let victim = asks.afresh();
            let case = Case {
                victim: &victim,
                goal,
                texts: &texts,
                reading: &reading,
                fields: &fields,
                constraints: self.constraints,
                vocabulary: &self.vocabulary,
            };
            results.push(f(&case)?);
        }
        Ok((reading, results))
    }
}
