//! Universal triggers: one phrase that turns many predictions.
//!
//! Wallace, Feng, Kandpal, Gardner and Singh 2019, arXiv:1908.07125. The phrase stands before every
//! text. At each of its places the gradients of a batch of texts are added up, the words that they
//! promise most of are tried on the whole batch, and a beam goes on with the best.

use std::sync::OnceLock;

use glossator_models::{Model, Task};

use super::attacker::AttackInfo;
use super::constraints::{Constraint, Proposal};
use super::dataset::{Mean, wilson};
use super::edits::{Edit, EditedTexts};
use super::goal::{Aim, Goal, Seen, goals};
use super::victim::{Limits, Reading, Victim};
use super::vocabulary::{Form, Kind, Vocabulary};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;
use crate::progress::Progress;
use crate::tasks::{Input, TaskOptions};

/// How a trigger is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerSearch {
    /// Words of the phrase.
    pub words: usize,
    /// Words that are tried at each place.
    pub candidates: usize,
    /// Phrases that are followed side by side.
    pub beam: usize,
    /// Times that all places are gone through at most.
    pub rounds: usize,
    /// Texts of a batch.
    pub batch: usize,
    /// What the predictions are to become; none: anything else.
    pub aim: Aim,
}

impl Default for TriggerSearch {
    fn default() -> Self {
        let (words, candidates, beam, rounds, batch) = (3, 20, 2, 4, 32);
        Self { words, candidates, beam, rounds, batch, aim: Aim::Change }
    }
}

/// A phrase, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The phrase.
    pub text: String,
    /// The share of the texts it was searched on that it turns.
    pub seen: Mean,
    /// The share of the texts that were held out that it turns: what to expect of others.
    pub held_out: Option<Mean>,
    /// Texts it was searched on.
    pub searched_on: usize,
    /// Texts that were held out.
    pub tested_on: usize,
    /// Texts that the model says the wanted of without it, or that it cannot read.
    pub skipped: usize,
    /// Forward passes, those of gradients included.
    pub forward_passes: usize,
    /// Gradients.
    pub gradient_evaluations: usize,
}

/// A text with what is to become of it.
struct Subject<'a> {
    input: &'a Input,
    goal: Goal,
    reading: Reading,
}

/// What it is, for help and documentation.
pub static INFO: AttackInfo = AttackInfo {
    id: "trigger",
    name: "Universal trigger",
    meaning: "Searches one phrase that turns as many predictions as it can when it stands before a \
              text; half of the texts are held out to say what it does to others.",
    caution: "A phrase for one set of texts need not do the same elsewhere: the rate on texts held \
              out is the one to quote.",
    citation: "Wallace, Feng, Kandpal, Gardner & Singh 2019, arXiv:1908.07125",
    cost: "rounds x words x beam x (candidates + 3) forward passes of a batch",
    gradients: true,
    parameters: &[
        ParameterInfo { name: "words", value: "N", help: "Words of the phrase", default: "3" },
        ParameterInfo {
            name: "candidates",
            value: "N",
            help: "Words that are tried at each place",
            default: "20",
        },
        ParameterInfo {
            name: "beam",
            value: "N",
            help: "Phrases that are followed side by side",
            default: "2",
        },
        ParameterInfo {
            name: "rounds",
            value: "N",
            help: "Times that all places are gone through at most",
            default: "4",
        },
        ParameterInfo { name: "batch", value: "N", help: "Texts of a batch", default: "32" },
    ],
};

impl TriggerSearch {
    /// Reads the settings.
    ///
    /// # Errors
    /// If one has a value that it cannot have.
    pub fn from_options(options: &Options, aim: Aim) -> Result<Self> {
        let default = Self::default();
        let count = |name: &str, default: usize| {
            options.get(name, default, "a count from 1 to 1000", |n| (1..=1000).contains(n))
        };
        Ok(Self {
            words: count("words", default.words)?,
            candidates: count("candidates", default.candidates)?,
            beam: count("beam", default.beam)?,
            rounds: count("rounds", default.rounds)?,
            batch: count("batch", default.batch)?,
            aim,
        })
    }

    /// Every setting with its value, for the record.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let count = |n: usize| Setting::Integer(n as u64);
        Settings::from([
            ("words", count(self.words)),
            ("candidates", count(self.candidates)),
            ("beam", count(self.beam)),
            ("rounds", count(self.rounds)),
            ("batch", count(self.batch)),
        ])
    }

    /// Searches a phrase on every other text, and counts what it does on the others.
    ///
    /// # Errors
    /// If the model is no classifier of texts, there are too few texts, or the model fails.
    pub fn search(
        &self,
        model: &dyn Model,
        inputs: &[Input],
        options: &TaskOptions,
        constraints: &[Box<dyn Constraint>],
        progress: &dyn Progress,
    ) -> Result<Trigger> {
        if model.info().task != Task::TextClassification {
            return Err(Error::Input {
                what: format!(
                    "a trigger is for classifiers of texts; {} does {}",
                    model.info().id,
                    model.info().task.id()
                ),
                hint: "give a model for text classification".to_owned(),
            });
        }
        let mut subjects = Vec::new();
        let mut skipped = 0;
        let mut passes = 0;
        for input in inputs {
            let victim = Victim::new(model, input, options, Limits::default(), progress);
            match self.subject(&victim, input) {
                Ok(subject) => subjects.push(subject),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(_) => skipped += 1,
            }
            passes += victim.passes();
        }
        // Every other one: a file that is sorted by its labels must not end up on one side.
        let (search, held): (Vec<_>, Vec<_>) =
            subjects.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
        let search: Vec<Subject<'_>> = search.into_iter().map(|(_, subject)| subject).collect();
        let held: Vec<Subject<'_>> = held.into_iter().map(|(_, subject)| subject).collect();
        if search.is_empty() {
            return Err(Error::Input {
                what: format!("no text to search a trigger on; {skipped} are no use"),
                hint: "give a file with some dozens of texts that the model can read".to_owned(),
            });
        }
        let vocabulary = OnceLock::new();
        let run = Run { model, options, constraints, progress, vocabulary: &vocabulary };
        let mut spent = Spent { passes, gradients: 0 };
        let phrase = self.phrase(&run, &search, &mut spent)?;
        let (seen, _) = run.try_phrase(&phrase, &search, &mut spent)?;
        let (kept, _) = run.try_phrase(&phrase, &held, &mut spent)?;
        let none = Mean { mean: 0.0, interval: (0.0, 1.0) };
        Ok(Trigger {
            text: phrase.join(" "),
            seen: wilson(seen, search.len()).unwrap_or(none),
            held_out: wilson(kept, held.len()),
            searched_on: search.len(),
            tested_on: held.len(),
            skipped,
            forward_passes: spent.passes,
            gradient_evaluations: spent.gradients,
        })
    }

    fn subject<'a>(&self, victim: &Victim<'_>, input: &'a Input) -> Result<Subject<'a>> {
        let texts = EditedTexts::new(Victim::texts(victim.model().info().task, input));
        let reading = victim.read(&texts.render())?;
        let (model, options) = (victim.model(), victim.options());
        let seen = Seen { model, options, reading: &reading, texts: &texts };
        let goal = goals(&seen, &self.aim)?.into_iter().next().ok_or(Error::Cancelled)?;
        Ok(Subject { input, goal, reading })
    }

    fn phrase(
        &self,
        run: &Run<'_>,
        texts: &[Subject<'_>],
        spent: &mut Spent,
    ) -> Result<Vec<String>> {
        let start = run.start(texts)?;
        let mut beam = vec![(f64::NEG_INFINITY, vec![start; self.words])];
        let mut best = beam[0].clone();
        let batch = self.batch.max(1);
        let mut turn = 0;
        for _ in 0..self.rounds {
            let before = best.0;
            for place in 0..self.words {
                // Another batch at each step, so that no text is favoured.
                let n = batch.min(texts.len());
                let chosen: Vec<&Subject<'_>> =
                    (0..n).map(|i| &texts[(turn * n + i) % texts.len()]).collect();
                turn += 1;
                let mut next: Vec<(f64, Vec<String>)> = Vec::new();
                for (_, phrase) in &beam {
                    let words = run.promising(phrase, place, &chosen, self.candidates, spent)?;
                    for word in words.into_iter().chain([phrase[place].clone()]) {
                        let mut phrase = phrase.clone();
                        phrase[place] = word;
                        if next.iter().any(|(_, known)| *known == phrase) {
                            continue;
                        }
                        let (_, margin) = run.try_phrase(&phrase, &chosen, spent)?;
                        next.push((margin, phrase));
                    }
                }
                next.sort_by(|a, b| b.0.total_cmp(&a.0));
                next.truncate(self.beam.max(1));
                beam = next;
            }
            // On all texts: margins of different batches do not compare.
            for (_, phrase) in &beam {
                let (_, margin) = run.try_phrase(phrase, texts, spent)?;
                if margin > best.0 {
                    best = (margin, phrase.clone());
                }
            }
            if best.0 <= before {
                break;
            }
        }
        Ok(best.1)
    }
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    passes: usize,
    gradients: usize,
}

struct Run<'a> {
    model: &'a dyn Model,
    options: &'a TaskOptions,
    constraints: &'a [Box<dyn Constraint>],
    progress: &'a dyn Progress,
    vocabulary: &'a OnceLock<Vocabulary>,
}

/// The text with the phrase before it, as an edit of it.
fn with_phrase(input: &Input, task: Task, phrase: &[String]) -> EditedTexts {
    let texts = EditedTexts::new(Victim::texts(task, input));
    let to = format!("{} ", phrase.join(" "));
    let edit = Edit { field: 0, start: 0, end: 0, from: String::new(), to };
    texts.with(edit).unwrap_or(texts)
}

impl Run<'_> {
    fn vocabulary(&self) -> Result<&Vocabulary> {
        if let Some(vocabulary) = self.vocabulary.get() {
            return Ok(vocabulary);
        }
        let made = Vocabulary::new(self.model)?;
        Ok(self.vocabulary.get_or_init(|| made))
    }

    /// What a phrase begins as: the most frequent word, as far as vocabularies are in that order.
    fn start(&self, texts: &[Subject<'_>]) -> Result<String> {
        let kind = texts.first().map_or(Kind::Letters(0), |text| Kind::of(&text.input.text));
        let entries = self.vocabulary()?.entries();
        let plain = |entry: &&super::vocabulary::Entry| {
            entry.word && entry.kind == kind && entry.text.chars().count() > 1
        };
        let known = entries.iter().find(|entry| entry.word && entry.text == "the");
        let first = known.or_else(|| entries.iter().find(plain)).or_else(|| entries.first());
        first.map(|entry| entry.text.clone()).ok_or_else(|| Error::Input {
            what: "the vocabulary has no word to put before a text".to_owned(),
            hint: "use another model".to_owned(),
        })
    }

    /// How many texts a phrase turns, and the mean margin.
    fn try_phrase<'s, S: std::borrow::Borrow<Subject<'s>> + Sync>(
        &self,
        phrase: &[String],
        texts: &[S],
        spent: &mut Spent,
    ) -> Result<(usize, f64)> {
        let Some(first) = texts.first() else { return Ok((0, f64::NEG_INFINITY)) };
        let task = self.model.info().task;
        let input = first.borrow().input;
        let victim = Victim::new(self.model, input, self.options, Limits::default(), self.progress);
        let edited: Vec<EditedTexts> =
            texts.iter().map(|text| with_phrase(text.borrow().input, task, phrase)).collect();
        let mut encoded = Vec::new();
        let mut owners = Vec::new();
        for (i, edited) in edited.iter().enumerate() {
            if let Ok(one) = victim.encode(&edited.render()) {
                encoded.push(one);
                owners.push(i);
            }
        }
        let judge = |item: usize, reading: Reading| {
            let i = owners[item];
            let (model, options) = (self.model, self.options);
            let seen = Seen { model, options, reading: &reading, texts: &edited[i] };
            let goal = &texts[i].borrow().goal;
            (goal.reached(&seen), goal.margin(&seen))
        };
        let judged = victim.evaluate(encoded, judge)?;
        spent.passes += victim.passes();
        let (mut turned, mut sum) = (0, 0.0);
        for one in judged {
            let (reached, margin) = one?;
            turned += usize::from(reached);
            // What is turned already need not be turned further.
            sum += margin.min(1.0);
        }
        Ok((turned, sum / texts.len() as f64))
    }

    /// The words that the gradients of some texts promise most of at one place of the phrase.
    fn promising(
        &self,
        phrase: &[String],
        place: usize,
        texts: &[&Subject<'_>],
        most: usize,
        spent: &mut Spent,
    ) -> Result<Vec<String>> {
        let vocabulary = self.vocabulary()?;
        let task = self.model.info().task;
        let start: usize = phrase[..place].iter().map(|word| word.len() + 1).sum();
        let span = start..start + phrase[place].len();
        let Some(first) = texts.first() else { return Ok(Vec::new()) };
        let victim =
            Victim::new(self.model, first.input, self.options, Limits::default(), self.progress);
        let mut form = Form::Begins;
        let mut read = Vec::new();
        for text in texts {
            let edited = with_phrase(text.input, task, phrase);
            let Ok(mut encoded) = victim.encode(&edited.render()) else { continue };
            let (model, options) = (self.model, self.options);
            let seen = Seen { model, options, reading: &text.reading, texts: &edited };
            let (_, target) = text.goal.towards(&seen)?;
            let window = encoded.windows.swap_remove(0);
            let here = |token: &glossator_models::Token| {
                let overlaps = token.start < span.end && span.start < token.end;
                !token.special && token.field == 0 && overlaps
            };
            let Some(t) = window.tokens.iter().position(here) else { continue };
            form = vocabulary.form(window.tokens[t].id).unwrap_or(form);
            read.push((window, target, t));
        }
        let wanted: Vec<_> =
            read.iter().map(|(window, target, _)| (window, target.clone())).collect();
        let mut sum: Vec<f64> = Vec::new();
        for (slopes, (_, _, t)) in victim.gradients(&wanted)?.iter().zip(&read) {
            let slope = slopes.slope(*t);
            sum.resize(slope.len(), 0.0);
            sum.iter_mut().zip(slope).for_each(|(sum, g)| *sum += g);
        }
        spent.passes += victim.passes();
        spent.gradients += victim.gradient_evaluations();
        let products = vocabulary.products(&sum)?;
        let kind = Kind::of(&phrase[place]);
        let entries = vocabulary.entries().iter().zip(&products).enumerate();
        let mut ranked: Vec<(f32, usize)> = entries
            .filter(|(_, (entry, _))| entry.word && entry.form == form && entry.kind == kind)
            .map(|(e, (_, &product))| (product, e))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let tokenizer = self.model.tokenizer();
        let allowed = |e: usize| {
            let to = vocabulary.entries()[e].text.clone();
            let edit = Edit { field: 0, start: 0, end: 0, from: String::new(), to };
            let proposal = Proposal {
                edit: &edit,
                original: "",
                vocabulary,
                tokenizer,
                vector: &[],
                place: Some(e),
            };
            self.constraints.iter().all(|constraint| constraint.allows(&proposal))
        };
        let words = ranked.into_iter().filter(|&(_, e)| allowed(e)).take(most);
        Ok(words.map(|(_, e)| vocabulary.entries()[e].text.clone()).collect())
    }
}
