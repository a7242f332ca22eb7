//! HotFlip: the few words whose replacement turns a prediction.
//!
//! Ebrahimi, Rao, Lowd and Dou 2018, arXiv:1712.06751: the gradient says to first order what each
//! flip would do; equation 3 of Michel, Li, Neubig and Pino 2019, arXiv:1903.06620, is the form for
//! words. Here the best of a beam are then tried, in growing batches, and only what the model says
//! of the edited text counts.

mod ranking;

pub use self::ranking::Flip;

use self::ranking::best_flips;
use super::attacker::{Attack, AttackEntry, AttackInfo};
use super::case::{AttackResult, Case, Stopped, Tried, Visited};
use super::certify::{self, Certificate};
use super::edits::{Edit, EditedTexts};
use super::units::{Grain, Unit, units};
use super::victim::{AtTokens, Reading};
use super::vocabulary::Kind;
use crate::error::Result;
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;
use crate::target::Target;
use glossator_models::Encoding;

/// Beam search over first-order flips, each verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotFlip {
    /// Edits at most.
    pub max_edits: usize,
    /// Texts that are followed at each number of edits.
    pub beam: usize,
    /// Flips that are tried at each step.
    pub candidates: usize,
    /// What is replaced as a whole.
    pub grain: Grain,
    /// Whether words may be inserted.
    pub insert: bool,
    /// Whether words may be deleted.
    pub delete: bool,
    /// Whether punctuation may be changed.
    pub punctuation: bool,
    /// The search for anything smaller, if it is wanted.
    pub certify: Option<certify::Exhaustive>,
}

impl Default for HotFlip {
    fn default() -> Self {
        Self {
            max_edits: 10,
            beam: 3,
            candidates: 32,
            grain: Grain::Word,
            insert: false,
            delete: false,
            punctuation: false,
            certify: None,
        }
    }
}

pub(super) const MAX_EDITS: ParameterInfo = ParameterInfo {
    name: "max-edits",
    value: "K",
    help: "Words that may be changed at most",
    default: "10",
};

static INFO: AttackInfo = AttackInfo {
    id: "hotflip",
    name: "HotFlip",
    meaning: "Replaces as few words as it can until the prediction turns, or becomes the target; \
              the gradient proposes, the model decides on the text itself.",
    caution: "A word that turns the prediction need not keep the meaning: add constraints. Not \
              finding a flip is no proof that there is none; --certify is, for the flips it names.",
    citation: "Ebrahimi, Rao, Lowd & Dou 2018, arXiv:1712.06751; Wallace et al. 2019, \
               arXiv:1909.09251",
    cost: "a gradient a text of the beam, and 1 to 32 forward passes, at each number of edits",
    gradients: true,
    parameters: &[
        MAX_EDITS,
        ParameterInfo {
            name: "beam",
            value: "N",
            help: "Texts that are followed side by side",
            default: "3; of input-reduction 5, with --rule allennlp 3",
        },
        ParameterInfo {
            name: "candidates",
            value: "N",
            help: "Flips that are tried at each step, the most promising first",
            default: "32; of greedy 50 for each word",
        },
        ParameterInfo {
            name: "unit",
            value: "word|token",
            help: "What is replaced as a whole",
            default: "word",
        },
        ParameterInfo { name: "insert", value: "", help: "Words may be inserted", default: "no" },
        ParameterInfo { name: "delete", value: "", help: "Words may be deleted", default: "no" },
        ParameterInfo {
            name: "punctuation",
            value: "",
            help: "Punctuation may be changed, to other punctuation",
            default: "no",
        },
        certify::CERTIFY,
        certify::REPLACEMENTS,
        certify::PASSES,
    ],
};

/// The registry's entry.
pub static ENTRY: AttackEntry =
    AttackEntry { info: &INFO, build: |options| Ok(Box::new(HotFlip::from_options(options)?)) };

impl HotFlip {
    /// Reads the settings.
    ///
    /// # Errors
    /// If one has a value that it cannot have.
    pub fn from_options(options: &Options) -> Result<Self> {
        let default = Self::default();
        let count = |name: &str, default: usize| {
            options.get(name, default, "a count from 1 to 100000", |n| (1..=100_000).contains(n))
        };
        let grains = [("word", Grain::Word), ("token", Grain::Token)];
        Ok(Self {
            max_edits: count("max-edits", default.max_edits)?,
            beam: count("beam", default.beam)?,
            candidates: count("candidates", default.candidates)?,
            grain: options.choice("unit", default.grain, &grains)?,
            insert: options.switch("insert")?,
            delete: options.switch("delete")?,
            punctuation: options.switch("punctuation")?,
            certify: certify::Exhaustive::from_options(options)?,
        })
    }
}

/// A text of the beam.
struct State {
    texts: EditedTexts,
    margin: f64,
    encoding: Encoding,
    towards: Target,
}

impl Attack for HotFlip {
    fn info(&self) -> &'static AttackInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::from([
            ("max-edits", Setting::Integer(self.max_edits as u64)),
            ("beam", Setting::Integer(self.beam as u64)),
            ("candidates", Setting::Integer(self.candidates as u64)),
            ("unit", Setting::from(if self.grain == Grain::Word { "word" } else { "token" })),
            ("insert", Setting::Bool(self.insert)),
            ("delete", Setting::Bool(self.delete)),
            ("punctuation", Setting::Bool(self.punctuation)),
        ]);
        if let Some(certify) = &self.certify {
            settings.extend(certify.settings());
        }
        settings
    }

    fn attack(&self, case: &Case<'_>) -> Result<AttackResult> {
        let first = self.state(case, case.texts.clone(), case.reading)?;
        let mut visited = Visited::default();
        visited.insert(&case.victim.encode(&case.texts.render())?);
        let (found, nearest, stopped) = self.search(case, first, &mut visited)?;
        if stopped == Stopped::Fixed {
            let note = "no word may be changed: every one is protected, or nothing may replace it";
            return case.failed(None, stopped, Some(note));
        }
        let found = match found {
            Some((texts, reading)) => Some(take_back(case, texts, reading, &mut visited)?),
            None => None,
        };
        let mut certificate = None;
        let mut best = found;
        if let Some(certify) = &self.certify {
            let sets = self.replacements(case, certify.replacements)?;
            let size = best.as_ref().map(|(texts, _)| texts.edits().len());
            let below = size.map_or(self.max_edits, |size| size - 1);
            let (searched, smaller) = certify.flips(case, &sets, below)?;
            certificate = Some(match (searched, size) {
                // Nothing below a flip that there is: it is a smallest one.
                (Certificate::Nothing { evaluated, set, .. }, Some(size)) => {
                    Certificate::Minimal { size, evaluated, set }
                }
                (searched, _) => searched,
            });
            best = smaller.or(best);
        }
        let mut result = match best {
            Some((texts, reading)) => case.result(texts, reading, true, Stopped::Found),
            None => case.failed(nearest, stopped, None)?,
        };
        result.certificate = certificate;
        Ok(result)
    }
}

/// A text that reaches the goal, with what the model says of it by itself.
type Found = (EditedTexts, Reading);

impl HotFlip {
    fn state(&self, case: &Case<'_>, texts: EditedTexts, reading: &Reading) -> Result<State> {
        let seen = case.seen(reading, &texts);
        let (window, towards) = case.goal.towards(&seen)?;
        let margin = case.goal.margin(&seen);
        Ok(State { encoding: reading.windows[window].clone(), texts, margin, towards })
    }

    /// The beam: what was found, else the nearest text, and why it ended.
    fn search(
        &self,
        case: &Case<'_>,
        first: State,
        visited: &mut Visited,
    ) -> Result<(Option<Found>, Option<EditedTexts>, Stopped)> {
        let mut beam = vec![first];
        let mut nearest: Option<(f64, EditedTexts)> = None;
        for edits in 0..self.max_edits {
            if case.victim.room(beam.len()) < beam.len() {
                return Ok((None, nearest.map(|(_, texts)| texts), Stopped::Spent));
            }
            let states: Vec<&State> = beam.iter().collect();
            let flips = self.flips_of(case, &states, self.candidates)?;
            if flips.is_empty() && edits == 0 {
                return Ok((None, None, Stopped::Fixed));
            }
            let candidates = flips.into_iter().map(|(_, texts)| texts).collect();
            let (found, tried, spent) = try_growing(case, candidates, visited)?;
            if found.is_some() {
                return Ok((found, None, Stopped::Found));
            }
            let mut tried = tried;
            tried.sort_by(|a, b| b.margin.total_cmp(&a.margin));
            if let Some(best) = tried.first()
                && nearest.as_ref().is_none_or(|(margin, _)| best.margin > *margin)
            {
                nearest = Some((best.margin, best.texts.clone()));
            }
            if spent {
                return Ok((None, nearest.map(|(_, texts)| texts), Stopped::Spent));
            }
            tried.truncate(self.beam);
            if tried.is_empty() {
                break;
            }
            let state = |tried: Tried| {
                let (encoding, towards) = tried.next?;
                Some(State { texts: tried.texts, margin: tried.margin, encoding, towards })
            };
            beam = tried.into_iter().filter_map(state).collect();
        }
        Ok((None, nearest.map(|(_, texts)| texts), Stopped::Searched))
    }

    /// The most promising flips of some texts, the best first, with the texts they make.
    fn flips_of(
        &self,
        case: &Case<'_>,
        states: &[&State],
        most: usize,
    ) -> Result<Vec<(f64, EditedTexts)>> {
        let wanted: Vec<(&Encoding, Target)> =
            states.iter().map(|state| (&state.encoding, state.towards.clone())).collect();
        let slopes = case.victim.gradients(&wanted)?;
        let mut all = Vec::new();
        for (state, slope) in states.iter().zip(&slopes) {
            let flips = self.flips(case, &state.texts, &state.encoding, slope, most)?;
            let promised =
                |flip: Flip| Some((state.margin + flip.gain, state.texts.with(flip.edit)?));
            all.extend(flips.into_iter().filter_map(promised));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.truncate(most);
        Ok(all)
    }

    /// The most promising flips of one text by its gradient.
    fn flips(
        &self,
        case: &Case<'_>,
        texts: &EditedTexts,
        encoding: &Encoding,
        slope: &AtTokens,
        most: usize,
    ) -> Result<Vec<Flip>> {
        let mut places = units(case, encoding, texts, self.grain)?;
        places.retain(|unit| self.punctuation || unit.kind != Kind::Marks);
        // No place and no word may take all: the next one is as likely to turn the prediction.
        let share = most.div_ceil(3).max(4);
        best_flips(case, &places, slope, self, (most, share))
    }

    /// The replacements of each word of the original among which a certificate is given: the most
    /// promising ones of each.
    fn replacements(&self, case: &Case<'_>, each: usize) -> Result<Vec<Vec<Edit>>> {
        let state = self.state(case, case.texts.clone(), case.reading)?;
        let slopes = case.victim.gradients(&[(&state.encoding, state.towards.clone())])?;
        let Some(slope) = slopes.first() else { return Ok(Vec::new()) };
        let mut places = units(case, &state.encoding, case.texts, self.grain)?;
        places.retain(|unit| self.punctuation || unit.kind != Kind::Marks);
        let set = |place: &Unit| -> Result<Vec<Edit>> {
            let flips = best_flips(case, std::slice::from_ref(place), slope, self, (each, each))?;
            Ok(flips.into_iter().map(|flip| flip.edit).collect())
        };
        places.iter().map(set).collect()
    }
}

/// The flips of an input, the most promising first, without trying any.
///
/// # Errors
/// As for an attack.
pub fn first_order(case: &Case<'_>, settings: &HotFlip, most: usize) -> Result<Vec<Flip>> {
    let state = settings.state(case, case.texts.clone(), case.reading)?;
    let slopes = case.victim.gradients(&[(&state.encoding, state.towards.clone())])?;
    match slopes.first() {
        Some(slope) => settings.flips(case, case.texts, &state.encoding, slope, most),
        None => Ok(Vec::new()),
    }
}

/// Takes back each edit that is not needed. What the search has visited does not reach the goal.
fn take_back(
    case: &Case<'_>,
    mut texts: EditedTexts,
    mut reading: Reading,
    visited: &mut Visited,
) -> Result<Found> {
    while texts.edits().len() > 1 {
        let fewer: Vec<_> = (0..texts.edits().len()).map(|i| texts.without(i)).collect();
        let (mut tried, _) = case.try_all(fewer, visited)?;
        tried.retain(|tried| tried.reached);
        tried.sort_by(|a, b| b.margin.total_cmp(&a.margin));
        let mut better = None;
        for mut one in tried {
            if let Some(confirmed) = case.confirm_tried(&mut one)? {
                better = Some((one.texts, confirmed));
                break;
            }
        }
        match better {
            Some(found) => (texts, reading) = found,
            None => break,
        }
    }
    Ok((texts, reading))
}

/// Tries candidates in growing batches until one reaches the goal: the best of its batch.
fn try_growing(
    case: &Case<'_>,
    candidates: Vec<EditedTexts>,
    visited: &mut Visited,
) -> Result<(Option<Found>, Vec<Tried>, bool)> {
    /// The second batch; the next ones are twice as large each. The most promising candidate is
    /// the first: it is tried by itself, for it is often right, and its pass serves the next
    /// gradient where it is not.
    const SECOND: usize = 4;
    let mut all = Vec::new();
    let mut rest = candidates.into_iter().peekable();
    let mut size = 1;
    while rest.peek().is_some() {
        let batch: Vec<_> = rest.by_ref().take(size).collect();
        size = (size * 2).max(SECOND);
        let (mut tried, spent) = case.try_all(batch, visited)?;
        tried.sort_by(|a, b| b.margin.total_cmp(&a.margin));
        for one in tried.iter_mut().filter(|tried| tried.reached) {
            // Beside other texts in a batch the last bits differ: what counts is the text alone.
            if let Some(reading) = case.confirm_tried(one)? {
                return Ok((Some((one.texts.clone(), reading)), all, false));
            }
        }
        all.extend(tried.into_iter().filter(|tried| !tried.reached));
        if spent {
            return Ok((None, all, true));
        }
    }
    Ok((None, all, false))
}

/// Whether a certificate says that nothing smaller exists.
#[must_use]
pub fn is_proven(certificate: &Certificate) -> bool {
    !matches!(certificate, Certificate::Spent { .. })
}
