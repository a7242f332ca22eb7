//! HotFlip: the few words whose replacement turns a prediction.
//!
//! Ebrahimi, Rao, Lowd and Dou 2018, arXiv:1712.06751: the gradient says to first order what each
//! flip would do; equation 3 of Michel, Li, Neubig and Pino 2019, arXiv:1903.06620, is the form for
//! words. Here the best of a beam are then tried, in growing batches, and only what the model says
//! of the edited text counts.

use std::collections::HashMap;

use super::attacker::{Attack, AttackEntry, AttackInfo};
use super::case::{AttackResult, Case, Stopped, Tried, Visited};
use super::certify::{self, Certificate};
use super::constraints::Proposal;
use super::edits::{Edit, EditedTexts, deletions, is_wide};
use super::units::{Grain, Unit, units};
use super::victim::{AtTokens, Reading};
use super::vocabulary::{Kind, Vocabulary};
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

/// A flip with what the gradient promises of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// The edit of the original text.
    pub edit: Edit,
    /// How much nearer to the goal it leads, to first order, in logits.
    pub gain: f64,
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

/// Products of slopes and embeddings that are held at once: 64 MiB of them, however large the
/// vocabulary and long the text.
const PRODUCTS: usize = 16 << 20;

/// The flips that the gradient promises most of and constraints allow, the best first. No place and
/// no word has more than `share` of them.
fn best_flips(
    case: &Case<'_>,
    places: &[Unit],
    slope: &AtTokens,
    settings: &HotFlip,
    (most, share): (usize, usize),
) -> Result<Vec<Flip>> {
    let vocabulary = case.vocabulary()?;
    let entries = vocabulary.entries().len();
    let mut all: Vec<(Flip, u32)> = Vec::new();
    for group in places.chunks((PRODUCTS / entries.max(1)).max(1)) {
        let slopes: Vec<f64> =
            group.iter().flat_map(|unit| slope.slope(unit.tokens[0]).to_vec()).collect();
        let products = vocabulary.products(&slopes)?;
        for (unit, row) in group.iter().zip(products.chunks(entries.max(1))) {
            all.extend(at_place(case, vocabulary, unit, row, slope, settings, share));
        }
    }
    // Stable: equal gains stay in the order of the text.
    all.sort_by(|a, b| b.0.gain.total_cmp(&a.0.gain));
    let mut with_word = HashMap::<u32, usize>::new();
    let mut flips = Vec::with_capacity(most.min(all.len()));
    for (flip, word) in all {
        let used = with_word.entry(word).or_default();
        if word != NO_WORD && *used >= share {
            continue;
        }
        *used += 1;
        flips.push(flip);
        if flips.len() >= most {
            break;
        }
    }
    Ok(flips)
}

/// In place of a word of the vocabulary, where a word is deleted.
const NO_WORD: u32 = u32::MAX;

/// The best flips at one place, at most `share`, each with its word. `products`: `g · E` of every
/// word of the vocabulary.
fn at_place(
    case: &Case<'_>,
    vocabulary: &Vocabulary,
    unit: &Unit,
    products: &[f32],
    slope: &AtTokens,
    settings: &HotFlip,
    share: usize,
) -> Vec<(Flip, u32)> {
    let own: f64 = unit.tokens.iter().map(|&t| slope.dot(t)).sum();
    let mut ranked: Vec<(f32, u32, Change)> = Vec::new();
    for (e, (entry, &product)) in vocabulary.entries().iter().zip(products).enumerate() {
        if unit.takes(entry) {
            ranked.push((product - own as f32, e as u32, Change::Replace));
            if settings.insert {
                ranked.push((product, e as u32, Change::Insert));
            }
        }
    }
    if settings.delete {
        ranked.push((-own as f32, NO_WORD, Change::Delete));
    }
    let order =
        |a: &(f32, u32, Change), b: &(f32, u32, Change)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let vector = slope.mean(&unit.tokens);
    let tokenizer = case.victim.model().tokenizer();
    let mut flips = Vec::new();
    let mut rest = ranked.as_mut_slice();
    // Only as much is sorted as constraints leave over.
    let mut chunk = share.saturating_mul(4).max(64);
    while !rest.is_empty() && flips.len() < share {
        let n = chunk.min(rest.len());
        chunk = chunk.saturating_mul(4);
        if n < rest.len() {
            rest.select_nth_unstable_by(n - 1, order);
        }
        let (head, tail) = rest.split_at_mut(n);
        head.sort_unstable_by(order);
        for &(gain, e, change) in head.iter() {
            if flips.len() >= share {
                break;
            }
            let place = (e != NO_WORD).then_some(e as usize);
            let Some(edit) = edit(case, vocabulary, unit, place, change) else { continue };
            let Some(original) = case.texts.originals().get(edit.field) else { continue };
            let vector: &[f32] = if change == Change::Insert { &[] } else { &vector };
            let proposal = Proposal { edit: &edit, original, vocabulary, tokenizer, vector, place };
            if case.may_edit(&edit) && case.constraints.iter().all(|c| c.allows(&proposal)) {
                flips.push((Flip { edit, gain: f64::from(gain) }, e));
            }
        }
        rest = tail;
    }
    flips
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Replace,
    Insert,
    Delete,
}

fn edit(
    case: &Case<'_>,
    vocabulary: &Vocabulary,
    unit: &Unit,
    entry: Option<usize>,
    change: Change,
) -> Option<Edit> {
    let entry = entry.and_then(|e| vocabulary.entries().get(e));
    match change {
        Change::Replace => unit.replaced(entry?, vocabulary.is_cased()),
        Change::Insert => {
            // Behind the word, with a space where its script has some.
            let text = case.texts.originals().get(unit.field)?;
            let at = super::constraints::word_around(text, unit.original.clone()).end;
            let space = if unit.text.chars().all(is_wide) { "" } else { " " };
            let to = format!("{space}{}", entry?.text);
            Some(Edit { field: unit.field, start: at, end: at, from: String::new(), to })
        }
        Change::Delete => {
            let text = case.texts.originals().get(unit.field)?;
            deletions(unit.field, text, std::slice::from_ref(&unit.original), |_| true).pop()
        }
    }
}

impl AtTokens {
    /// The mean embedding of some tokens.
    fn mean(&self, tokens: &[usize]) -> Vec<f32> {
        let width = self.slope(0).len();
        let mut mean = vec![0.0; width];
        for &t in tokens {
            let embedding = self.embeddings.get(t * width..(t + 1) * width).unwrap_or_default();
            mean.iter_mut().zip(embedding).for_each(|(sum, &x)| *sum += x as f32);
        }
        mean.iter_mut().for_each(|sum| *sum /= tokens.len().max(1) as f32);
        mean
    }
}

/// Whether a certificate says that nothing smaller exists.
#[must_use]
pub fn is_proven(certificate: &Certificate) -> bool {
    !matches!(certificate, Certificate::Spent { .. })
}
