//! One decision under attack, and trying texts on it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use glossator_models::Encoding;
use glossator_ops::threads;
use rayon::prelude::*;

use super::certify::Certificate;
use super::constraints::{Constraint, word_around};
use super::edits::{Edit, EditedTexts};
use super::goal::{Goal, Seen};
use super::victim::{Encoded, Reading, Victim};
use super::vocabulary::Vocabulary;
use crate::error::Result;
use crate::target::Target;

/// One decision of a model about one input, with what an attack may do to it.
pub struct Case<'a> {
    /// The model, and what it was asked so far.
    pub victim: &'a Victim<'a>,
    /// What is to be brought about.
    pub goal: &'a Goal,
    /// The texts as they were given.
    pub texts: &'a EditedTexts,
    /// What the model says of them.
    pub reading: &'a Reading,
    /// The fields that may be changed.
    pub fields: &'a [usize],
    /// What an edited text must still be.
    pub constraints: &'a [Box<dyn Constraint>],
    pub(super) vocabulary: &'a OnceLock<Vocabulary>,
}

/// A text that was tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The text.
    pub texts: EditedTexts,
    /// Whether it brings about what is wanted.
    pub reached: bool,
    /// How near it is to that, in logits.
    pub margin: f64,
    /// What to take the next gradient of, where it does not.
    pub(super) next: Option<(Encoding, Target)>,
    /// What the model says of it, where it does and was tried by itself.
    pub(super) alone: Option<Reading>,
}

impl Tried {
    /// A text with a judgement of one's own, for a search that takes no gradients.
    #[must_use]
    pub fn new(texts: EditedTexts, reached: bool, margin: f64) -> Self {
        Self { texts, reached, margin, next: None, alone: None }
    }
}

/// The ids of the texts that were tried: none is tried twice, and none that reads as the original
/// does.
#[derive(Debug, Default)]
pub(crate) struct Visited(HashSet<Vec<u32>>);

impl Visited {
    /// Whether a text is new.
    pub(crate) fn insert(&mut self, encoded: &Encoded) -> bool {
        let mut key = Vec::new();
        for window in &encoded.windows {
            key.extend(window.tokens.iter().map(|token| token.id));
            key.push(u32::MAX);
        }
        self.0.insert(key)
    }
}

/// Why an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It found what it was for.
    Found,
    /// It has tried what it would try.
    Searched,
    /// A limit was reached: of forward passes, or of time.
    Spent,
    /// Nothing may be changed.
    Fixed,
}

impl Stopped {
    /// The name in the wire format.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Searched => "searched",
            Self::Spent => "spent",
            Self::Fixed => "fixed",
        }
    }
}

/// What came of an attack on one decision.
#[derive(Debug, Clone)]
pub struct AttackResult {
    /// What the model decided about the original.
    pub target: Target,
    /// Whether the attack succeeded: the final text, read by itself, has what was wanted.
    pub success: bool,
    /// Why it ended.
    pub stopped: Stopped,
    /// The final text; without success the nearest that was found.
    pub texts: EditedTexts,
    /// What the model says of the final text, read by itself.
    pub reading: Reading,
    /// Of a reduction the tokens of the original that are left, indices into its encoding.
    pub kept: Option<Vec<usize>>,
    /// Other texts that are as good.
    pub others: Vec<EditedTexts>,
    /// What is known of anything smaller.
    pub certificate: Option<Certificate>,
    /// Forward passes, those of gradients included.
    pub forward_passes: usize,
    /// Gradients.
    pub gradient_evaluations: usize,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl<'a> Case<'a> {
    /// The vocabulary of the model, made once.
    ///
    /// # Errors
    /// If the model cannot embed its own tokens.
    pub fn vocabulary(&self) -> Result<&'a Vocabulary> {
        if let Some(vocabulary) = self.vocabulary.get() {
            return Ok(vocabulary);
        }
        let made = Vocabulary::new(self.victim.model())?;
        Ok(self.vocabulary.get_or_init(|| made))
    }

    pub(crate) fn seen<'s>(&'s self, reading: &'s Reading, texts: &'s EditedTexts) -> Seen<'s> {
        Seen { model: self.victim.model(), options: self.victim.options(), reading, texts }
    }

    /// The window of the original that the decision is about.
    pub(crate) fn window(&self) -> &Encoding {
        &self.reading.windows[self.reading.window()]
    }

    /// Whether some bytes of a field of the original must stay.
    pub(crate) fn is_protected(&self, field: usize, range: Range<usize>) -> bool {
        let overlaps = |(f, kept): &(usize, Range<usize>)| {
            *f == field && kept.start < range.end && range.start < kept.end
        };
        if self.goal.protected.iter().any(overlaps) {
            return true;
        }
        let Some(text) = self.texts.originals().get(field) else { return true };
        let (own, word) = (&text[range.clone()], &text[word_around(text, range.clone())]);
        self.constraints.iter().any(|c| c.protects(own) || c.protects(word))
    }

    /// Whether an edit touches neither what is protected nor the inside of it.
    pub(crate) fn may_edit(&self, edit: &Edit) -> bool {
        let inside = |(field, kept): &(usize, Range<usize>)| {
            *field == edit.field && kept.start < edit.start && edit.start < kept.end
        };
        !self.goal.protected.iter().any(inside)
    }

    /// Tries texts, in batches. Those that were tried before, that the model cannot read, or that
    /// a constraint forbids are left out. The second: whether a limit was reached.
    ///
    /// # Errors
    /// If the caller cancelled, or the model fails.
    pub(crate) fn try_all(
        &self,
        candidates: Vec<EditedTexts>,
        visited: &mut Visited,
    ) -> Result<(Vec<Tried>, bool)> {
        let single = candidates.len() == 1;
        let judge = |texts: &EditedTexts, reading: &Reading| {
            let seen = self.seen(reading, texts);
            let reached = self.goal.reached(&seen);
            let next = || {
                let (window, target) = self.goal.towards(&seen).ok()?;
                Some((reading.windows.get(window)?.clone(), target))
            };
            let next = if reached { None } else { next() };
            let alone = (reached && single).then(|| reading.clone());
            (reached, self.goal.margin(&seen), next, alone)
        };
        let (judged, spent) = self.judge_all(candidates, visited, judge)?;
        let tried =
            |(texts, (reached, margin, next, alone))| Tried { texts, reached, margin, next, alone };
        Ok((judged.into_iter().map(tried).collect(), spent))
    }

    /// As [`Case::try_all`], for any judgement of the model's answers.
    pub(crate) fn judge_all<R: Send>(
        &self,
        candidates: Vec<EditedTexts>,
        visited: &mut Visited,
        judge: impl Fn(&EditedTexts, &Reading) -> R + Sync,
    ) -> Result<(Vec<(EditedTexts, R)>, bool)> {
        let encode = |texts: EditedTexts| {
            let rendered = texts.render();
            let emptied =
                |(old, new): (&String, &String)| new.trim().is_empty() && !old.trim().is_empty();
            // A text of nothing is no text.
            if texts.originals().iter().zip(&rendered).any(emptied) {
                return None;
            }
            let encoded = self.victim.encode(&rendered).ok()?;
            Some((texts, encoded))
        };
        let encoded: Vec<_> = if threads::available() == 1 || candidates.len() < 4 {
            candidates.into_iter().filter_map(encode).collect()
        } else {
            candidates.into_par_iter().filter_map(encode).collect()
        };
        let mut new: Vec<_> =
            encoded.into_iter().filter(|(_, encoded)| visited.insert(encoded)).collect();
        for constraint in self.constraints {
            let texts: Vec<&EditedTexts> = new.iter().map(|(texts, _)| texts).collect();
            let mut allowed = constraint.allows_texts(&texts)?.into_iter();
            new.retain(|_| allowed.next().unwrap_or(false));
        }
        // A window is a pass of its own.
        let wanted: usize = new.iter().map(|(_, encoded)| encoded.windows.len()).sum();
        let room = self.victim.room(wanted);
        let mut used = 0;
        let before = new.len();
        new.retain(|(_, encoded)| {
            used += encoded.windows.len();
            used <= room
        });
        let spent = new.len() < before;
        let (texts, encoded): (Vec<_>, Vec<_>) = new.into_iter().unzip();
        let judged = self.victim.evaluate(encoded, |i, reading| judge(&texts[i], &reading))?;
        let mut out = Vec::with_capacity(texts.len());
        for (texts, judged) in texts.iter().zip(judged) {
            out.push((texts.clone(), judged?));
        }
        Ok((out, spent))
    }

    /// As [`Case::confirm`], of a text that was tried: none is read by itself twice.
    pub(crate) fn confirm_tried(&self, tried: &mut Tried) -> Result<Option<Reading>> {
        match tried.alone.take() {
            Some(reading) => Ok(Some(reading)),
            None => self.confirm(&tried.texts),
        }
    }

    /// Reads a text by itself, as anyone would who asks the model, if it brings about what is
    /// wanted.
    pub(crate) fn confirm(&self, texts: &EditedTexts) -> Result<Option<Reading>> {
        let reading = self.victim.read(&texts.render())?;
        let reached = self.goal.reached(&self.seen(&reading, texts));
        Ok(reached.then_some(reading))
    }

    /// The result of an attack that found nothing: the original, or the nearest text.
    pub(crate) fn failed(
        &self,
        nearest: Option<EditedTexts>,
        stopped: Stopped,
        note: Option<&str>,
    ) -> Result<AttackResult> {
        let (texts, reading) = match nearest {
            Some(texts) => {
                let reading = self.victim.read(&texts.render())?;
                (texts, reading)
            }
            None => (self.texts.clone(), self.reading.clone()),
        };
        let mut result = self.result(texts, reading, false, stopped);
        result.notes.extend(note.map(str::to_owned));
        Ok(result)
    }

    pub(crate) fn result(
        &self,
        texts: EditedTexts,
        reading: Reading,
        success: bool,
        stopped: Stopped,
    ) -> AttackResult {
        AttackResult {
            target: self.goal.target.clone(),
            success,
            stopped,
            texts,
            reading,
            kept: None,
            others: Vec::new(),
            certificate: None,
            forward_passes: self.victim.passes(),
            gradient_evaluations: self.victim.gradient_evaluations(),
            notes: Vec::new(),
        }
    }
}
