//! Input reduction: the shortest text with the same prediction.
//!
//! Feng et al. 2018, arXiv:1804.07781. Words go where the gradient says that they matter least. As
//! long as the text is long, many go at once and fewer where that is too many, so that a text of n
//! words takes about log n gradients; near the end a beam takes them one by one.

mod search;
mod words;

use self::search::{Search, State};
use self::words::{Words, kept};
use super::attacker::{Attack, AttackEntry, AttackInfo};
use super::case::{AttackResult, Case, Stopped, Visited};
use super::certify::{self, Exhaustive};
use crate::error::Result;
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;

/// Which words matter least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// Those whose absence lowers the loss most, to first order: the largest `g · e`.
    #[default]
    Feng,
    /// Those with the smallest gradient, whatever its direction.
    AllenNlp,
}

/// Beam search for the shortest text.
#[derive(Debug, Clone, PartialEq)]
pub struct InputReduction {
    /// Which words go first.
    pub rule: Rule,
    /// Texts that are followed side by side at the end.
    pub beam: usize,
    /// How probable the prediction must stay.
    pub confidence: f64,
    /// The search for anything shorter, if it is wanted.
    pub certify: Option<Exhaustive>,
}

impl Default for InputReduction {
    fn default() -> Self {
        Self { rule: Rule::Feng, beam: 5, confidence: 0.0, certify: None }
    }
}

static INFO: AttackInfo = AttackInfo {
    id: "input-reduction",
    name: "Input reduction",
    meaning: "Takes out as many words as it can while the prediction stays the same: what is left \
              is enough for the model.",
    caution: "What is enough for the model need not be enough for a reader, nor be why it decided \
              as it did about the whole text.",
    citation: "Feng, Wallace, Grissom, Iyyer, Rodriguez & Boyd-Graber 2018, arXiv:1804.07781",
    cost: "about log n gradients for n words, and n short forward passes",
    gradients: true,
    parameters: &[
        ParameterInfo {
            name: "rule",
            value: "feng|allennlp",
            help: "Which words go first: feng (those whose absence lowers the loss most) or \
                   allennlp (those with the smallest gradient)",
            default: "feng",
        },
        ParameterInfo {
            name: "beam",
            value: "N",
            help: "Texts that are followed side by side",
            default: "5, with --rule allennlp 3",
        },
        ParameterInfo {
            name: "confidence",
            value: "P",
            help: "How probable the prediction must stay, 0 to 1",
            default: "0: it must be the same",
        },
        certify::CERTIFY,
        certify::PASSES,
    ],
};

/// The registry's entry.
pub static ENTRY: AttackEntry = AttackEntry {
    info: &INFO,
    build: |options| Ok(Box::new(InputReduction::from_options(options)?)),
};

impl InputReduction {
    /// Reads the settings.
    ///
    /// # Errors
    /// If one has a value that it cannot have.
    pub fn from_options(options: &Options) -> Result<Self> {
        let rule = options.choice(
            "rule",
            Rule::Feng,
            &[("feng", Rule::Feng), ("allennlp", Rule::AllenNlp)],
        )?;
        let beam = if rule == Rule::Feng { 5 } else { 3 };
        let valid = |n: &usize| (1..=100_000).contains(n);
        let beam = options.get("beam", beam, "a count from 1 to 100000", valid)?;
        let share = |p: &f64| (0.0..=1.0).contains(p);
        let confidence = options.get("confidence", 0.0, "a number from 0 to 1", share)?;
        Ok(Self { rule, beam, confidence, certify: Exhaustive::from_options(options)? })
    }
}

impl Attack for InputReduction {
    fn info(&self) -> &'static AttackInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        let rule = if self.rule == Rule::Feng { "feng" } else { "allennlp" };
        let mut settings = Settings::from([
            ("rule", Setting::from(rule)),
            ("beam", Setting::Integer(self.beam as u64)),
            ("confidence", Setting::Number(self.confidence)),
        ]);
        if let Some(certify) = &self.certify {
            settings.extend(certify.settings());
            settings.remove("certify-replacements");
        }
        settings
    }

    fn changes(&self) -> bool {
        false
    }

    fn attack(&self, case: &Case<'_>) -> Result<AttackResult> {
        let words = Words::new(case);
        let mut visited = Visited::default();
        visited.insert(&case.victim.encode(&case.texts.render())?);
        let first = self.first(case, &words)?;
        if words.free.len() <= words.fewest() {
            let note = match words.free.len() {
                0 => "no word may be taken out",
                _ => "there is one word, and nothing to take out",
            };
            let mut result = case.failed(None, Stopped::Fixed, Some(note))?;
            result.kept = Some(kept(case, &words, &first.left));
            return Ok(result);
        }
        if first.confidence < self.confidence {
            let note = format!(
                "the whole text has the prediction at {:.3} only, below --confidence {}",
                first.confidence, self.confidence
            );
            let mut result = case.failed(None, Stopped::Fixed, Some(&note))?;
            result.kept = Some(kept(case, &words, &first.left));
            return Ok(result);
        }
        let mut search = Search { case, words: &words, rule: self, visited, spent: false };
        let mut best = search.shortest(first)?;
        let mut certificate = None;
        if let Some(certify) = &self.certify {
            let (proof, shorter) = search.certify(certify, &best)?;
            certificate = Some(proof);
            if !shorter.is_empty() {
                best = shorter;
            }
        }
        // The most certain first; each by itself, as anyone sees it who asks.
        best.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.left.cmp(&b.left)));
        let stopped = if search.spent { Stopped::Spent } else { Stopped::Searched };
        let mut best = best.into_iter();
        let mut result = loop {
            let Some(one) = best.next() else {
                let mut result = case.failed(None, stopped, None)?;
                result.kept = Some(kept(case, &words, &(0..words.free.len()).collect()));
                break result;
            };
            let reading = case.victim.read(&one.texts.render())?;
            if search.confidence(&reading, &one.texts).is_some() {
                let success = one.left.len() < words.free.len();
                let stopped = match (success, search.spent) {
                    (true, false) => Stopped::Found,
                    _ => stopped,
                };
                let mut result = case.result(one.texts, reading, success, stopped);
                result.kept = Some(kept(case, &words, &one.left));
                break result;
            }
        };
        result.others = best.map(|state| state.texts).collect();
        result.certificate = certificate;
        Ok(result)
    }
}

impl InputReduction {
    fn first(&self, case: &Case<'_>, words: &Words) -> Result<State> {
        let seen = case.seen(case.reading, case.texts);
        let (window, loss) = case.goal.loss(&seen)?;
        Ok(State {
            left: (0..words.free.len()).collect(),
            texts: case.texts.clone(),
            confidence: case.goal.confidence(&seen),
            encoding: case.reading.windows[window].clone(),
            loss,
        })
    }
}
