//! Input reduction: the shortest text with the same prediction.
//!
//! Feng et al. 2018, arXiv:1804.07781. Words go where the gradient says that they matter least. As
//! long as the text is long, many go at once and fewer where that is too many, so that a text of n
//! words takes about log n gradients; near the end a beam takes them one by one.

use std::collections::BTreeSet;
use std::ops::Range;

use glossator_models::Encoding;

use super::attacker::{Attack, AttackEntry, AttackInfo};
use super::case::{AttackResult, Case, Stopped, Visited};
use super::certify::{self, Certificate, Choices, Exhaustive, number};
use super::edits::{EditedTexts, deletions};
use super::victim::{AtTokens, Reading};
use crate::error::Result;
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;
use crate::target::Target;

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

/// The words of the attacked fields.
struct Words {
    /// Each with its field and bytes.
    all: Vec<(usize, Range<usize>)>,
    /// The places in `all` of those that may go.
    free: Vec<usize>,
    /// Fields without any word that must stay: one word has to be left in each.
    open: Vec<usize>,
}

/// Some of the words that may go are left: their places among those.
type Left = BTreeSet<usize>;

/// A text that keeps the prediction.
#[derive(Debug, Clone)]
struct State {
    left: Left,
    texts: EditedTexts,
    confidence: f64,
    encoding: Encoding,
    loss: Target,
}

impl Words {
    fn new(case: &Case<'_>) -> Self {
        let window = case.window();
        let tokenizer = case.victim.model().tokenizer();
        let (mut all, mut free) = (Vec::new(), Vec::new());
        let mut open: Vec<usize> = Vec::new();
        for &field in case.fields {
            let Some(words) = window.fields.get(field).map(|field| &field.words) else { continue };
            let mut fixed = false;
            for (w, span) in words.iter().enumerate() {
                // A mask that is written out is what the task is about.
                let special = window.tokens.iter().any(|token| {
                    token.field == field
                        && token.word == Some(w)
                        && tokenizer.is_special(token.id)
                        && tokenizer.unk_token() != Some(token.id)
                });
                if special || case.is_protected(field, span.clone()) {
                    fixed = true;
                } else {
                    free.push(all.len());
                }
                all.push((field, span.clone()));
            }
            if !fixed && !words.is_empty() {
                open.push(field);
            }
        }
        Self { all, free, open }
    }

    /// The fewest words that may be left of those that may go.
    fn fewest(&self) -> usize {
        self.open.len()
    }

    /// Whether no field is left without a word.
    fn is_text(&self, left: &Left) -> bool {
        let has = |field: &usize| left.iter().any(|&one| self.all[self.free[one]].0 == *field);
        self.open.iter().all(has)
    }

    /// The text with only these words left.
    fn texts(&self, case: &Case<'_>, left: &Left) -> Option<EditedTexts> {
        let mut gone = vec![false; self.all.len()];
        for (one, &word) in self.free.iter().enumerate() {
            gone[word] = !left.contains(&one);
        }
        let mut edits = Vec::new();
        for &field in case.fields {
            let text = case.texts.originals().get(field)?;
            let here: Vec<usize> =
                (0..self.all.len()).filter(|&w| self.all[w].0 == field).collect();
            let spans: Vec<_> = here.iter().map(|&w| self.all[w].1.clone()).collect();
            edits.extend(deletions(field, text, &spans, |w| gone[here[w]]));
        }
        case.texts.replaced(edits)
    }

    /// How much each of the words that are left matters.
    fn importance(&self, state: &State, slope: &AtTokens, rule: Rule) -> Vec<(usize, f64)> {
        let mut sums = vec![0.0; self.all.len()];
        for (t, token) in state.encoding.tokens.iter().enumerate() {
            if token.special || token.start >= token.end {
                continue;
            }
            let place = state.texts.to_original(token.field, token.start..token.end);
            let own = |range: &Range<usize>| {
                let inside = |(field, span): &(usize, Range<usize>)| {
                    *field == token.field && span.start < range.end && range.start < span.end
                };
                self.all.iter().position(inside)
            };
            // A byte-level token begins with a space, which may be an edit's: its end is its own.
            let end = || state.texts.to_original(token.field, token.end - 1..token.end);
            let Some(word) = place.and_then(|p| own(&p)).or_else(|| own(&end()?)) else { continue };
            sums[word] += match rule {
                Rule::Feng => -slope.dot(t),
                Rule::AllenNlp => slope.slope(t).iter().map(|g| g * g).sum::<f64>(),
            };
        }
        state.left.iter().map(|&one| (one, sums[self.free[one]])).collect()
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

/// The tokens of the original that are left, of all fields.
fn kept(case: &Case<'_>, words: &Words, left: &Left) -> Vec<usize> {
    let gone: Vec<&(usize, Range<usize>)> = (0..words.free.len())
        .filter(|one| !left.contains(one))
        .map(|one| &words.all[words.free[one]])
        .collect();
    let stays = |token: &glossator_models::Token| {
        let inside = |(field, span): &&(usize, Range<usize>)| {
            *field == token.field && span.start < token.end && token.start < span.end
        };
        !token.special && token.start < token.end && !gone.iter().any(inside)
    };
    let tokens = case.window().tokens.iter().enumerate();
    tokens.filter(|(_, token)| stays(token)).map(|(t, _)| t).collect()
}

struct Search<'a> {
    case: &'a Case<'a>,
    words: &'a Words,
    rule: &'a InputReduction,
    visited: Visited,
    /// Whether a limit ended it.
    spent: bool,
}

impl Search<'_> {
    /// How certain the prediction is, if it is the same and certain enough.
    fn confidence(&self, reading: &Reading, texts: &EditedTexts) -> Option<f64> {
        let seen = self.case.seen(reading, texts);
        let confidence = self.case.goal.confidence(&seen);
        let same = !self.case.goal.reached(&seen) && confidence > 0.0;
        (same && confidence >= self.rule.confidence).then_some(confidence)
    }

    /// Those of some reductions that keep the prediction.
    fn hold(&mut self, lefts: Vec<Left>) -> Result<Vec<State>> {
        let (case, words) = (self.case, self.words);
        let texts: Vec<(Left, EditedTexts)> = lefts
            .into_iter()
            .filter(|left| words.is_text(left))
            .filter_map(|left| Some((left.clone(), words.texts(case, &left)?)))
            .collect();
        let lefts: std::collections::HashMap<EditedTexts, Left> =
            texts.iter().map(|(left, texts)| (texts.clone(), left.clone())).collect();
        let mut visited = std::mem::take(&mut self.visited);
        let this = &*self;
        let judge = |texts: &EditedTexts, reading: &Reading| {
            let confidence = this.confidence(reading, texts)?;
            let (window, loss) = case.goal.loss(&case.seen(reading, texts)).ok()?;
            Some((confidence, reading.windows.get(window)?.clone(), loss))
        };
        let candidates = texts.into_iter().map(|(_, texts)| texts).collect();
        let judged = case.judge_all(candidates, &mut visited, judge);
        self.visited = visited;
        let (judged, spent) = judged?;
        self.spent |= spent;
        let state = |(texts, judged): (EditedTexts, Option<(f64, Encoding, Target)>)| {
            let (confidence, encoding, loss) = judged?;
            Some(State { left: lefts.get(&texts)?.clone(), texts, confidence, encoding, loss })
        };
        Ok(judged.into_iter().filter_map(state).collect())
    }

    /// The words that are left, the least important first.
    fn order(&self, states: &[&State]) -> Result<Vec<Vec<usize>>> {
        let wanted: Vec<_> =
            states.iter().map(|state| (&state.encoding, state.loss.clone())).collect();
        let slopes = self.case.victim.gradients(&wanted)?;
        let order = |(state, slope): (&&State, &AtTokens)| {
            let mut order = self.words.importance(state, slope, self.rule.rule);
            order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            order.into_iter().map(|(one, _)| one).collect()
        };
        Ok(states.iter().zip(&slopes).map(order).collect())
    }

    /// The shortest reductions that the search finds, all of one length; the text itself if there
    /// is none.
    fn shortest(&mut self, first: State) -> Result<Vec<State>> {
        let fewest = self.words.fewest();
        let path = self.descend(first)?;
        let Some(end) = path.last() else { return Ok(Vec::new()) };
        let mut best = vec![end.clone()];
        // All that have one word: so few passes, and nothing is shorter.
        for size in fewest.max(1).min(fewest + 1)..=fewest + 1 {
            if size > best[0].left.len() || self.spent || size > 1 && fewest > 1 {
                break;
            }
            let all = 0..self.words.free.len();
            let lefts = match size {
                0 => vec![Left::new()],
                _ => all.map(|one| Left::from([one])).collect(),
            };
            let found = self.hold(lefts)?;
            if size == best[0].left.len() {
                // The path's own end was tried before.
                best.extend(found);
                return Ok(best);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        // The beam starts a little above the end of the path.
        const ABOVE: usize = 6;
        let near = path.iter().find(|state| state.left.len() <= best[0].left.len() + ABOVE);
        if let (Some(near), false) = (near, self.spent) {
            let found = self.beam(near.clone())?;
            let shortest = found.iter().map(|state| state.left.len()).min();
            match shortest {
                Some(n) if n < best[0].left.len() => best = found,
                Some(n) if n == best[0].left.len() => best.extend(found),
                _ => {}
            }
        }
        // No single word of any of them can go: running it again finds nothing more.
        loop {
            let fewer = best.iter().flat_map(|state| {
                state.left.iter().map(|one| {
                    let mut left = state.left.clone();
                    left.remove(one);
                    left
                })
            });
            let fewer: BTreeSet<Left> = fewer.collect();
            let found = self.hold(fewer.into_iter().collect())?;
            if found.is_empty() {
                return Ok(best);
            }
            best = found;
        }
    }

    /// Takes out many words at once, and fewer where that is too many, until no single one can go.
    /// Every text on the way keeps the prediction.
    fn descend(&mut self, first: State) -> Result<Vec<State>> {
        let mut path = vec![first];
        loop {
            let Some(state) = path.last().cloned() else { return Ok(path) };
            let n = state.left.len();
            let most = n - self.words.fewest().min(n);
            if most == 0 || self.spent || self.case.victim.room(1) == 0 {
                self.spent |= most > 0;
                return Ok(path);
            }
            let order = self.order(&[&state])?.swap_remove(0);
            // The largest that keeps the prediction is taken.
            let counts = [most, most - most / 4, most / 2, most / 4, most / 8, 1];
            let counts: BTreeSet<usize> = counts.into_iter().filter(|&n| n > 0).collect();
            let without = |gone: &[usize]| -> Left {
                state.left.iter().copied().filter(|one| !gone.contains(one)).collect()
            };
            let lefts = counts.iter().rev().map(|&count| without(&order[..count])).collect();
            let mut held = self.hold(lefts)?;
            if held.is_empty() && !self.spent {
                let single = order.iter().skip(1).map(|&one| without(&[one])).collect();
                held = self.hold(single)?;
            }
            let better = |a: &State, b: &State| {
                b.left.len().cmp(&a.left.len()).then(a.confidence.total_cmp(&b.confidence))
            };
            match held.into_iter().max_by(better) {
                Some(next) => path.push(next),
                None => return Ok(path),
            }
        }
    }

    /// Takes out one word after the other from several texts side by side: all that are shortest.
    fn beam(&mut self, from: State) -> Result<Vec<State>> {
        let mut beam = vec![from];
        let mut best = Vec::new();
        while !beam.is_empty() && !self.spent {
            if self.case.victim.room(beam.len()) < beam.len() {
                self.spent = true;
                break;
            }
            let orders = self.order(&beam.iter().collect::<Vec<_>>())?;
            let mut lefts = BTreeSet::new();
            for (state, order) in beam.iter().zip(orders) {
                for one in order.into_iter().take(self.rule.beam) {
                    let mut left = state.left.clone();
                    left.remove(&one);
                    lefts.insert(left);
                }
            }
            let mut held = self.hold(lefts.into_iter().collect())?;
            if held.is_empty() {
                break;
            }
            best.clone_from(&held);
            // Merged over all parents: none is preferred for having been first.
            held.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.left.cmp(&b.left)));
            held.truncate(self.rule.beam);
            beam = held;
        }
        Ok(best)
    }

    /// Tries every reduction that is shorter than the best, shortest first.
    fn certify(
        &mut self,
        certify: &Exhaustive,
        best: &[State],
    ) -> Result<(Certificate, Vec<State>)> {
        /// Texts that are tried at once.
        const CHUNK: usize = 256;
        let n = self.words.free.len();
        let (fewest, found) = (self.words.fewest(), best.first().map_or(n, |one| one.left.len()));
        let set = format!("all selections of {n} words");
        let counts = vec![1_usize; n];
        let fixed = self.words.all.len() - n;
        // What was tried on the way is tried again: a proof leans on nothing.
        self.visited = Visited::default();
        let mut evaluated = 0;
        for size in fewest..found {
            let mut choices = Choices::new(&counts, size);
            let mut held = Vec::new();
            while !choices.is_done() {
                if evaluated >= certify.passes || self.spent {
                    let of = (fewest..found).map(|size| number(&counts, size)).sum();
                    let size = size + fixed;
                    return Ok((Certificate::Spent { size, evaluated, of, set }, held));
                }
                let room = CHUNK.min(certify.passes - evaluated);
                let chunk: Vec<Left> = choices
                    .by_ref()
                    .take(room)
                    .map(|choice| choice.into_iter().map(|(one, _)| one).collect())
                    .collect();
                evaluated += chunk.len();
                held.extend(self.hold(chunk)?);
            }
            if !held.is_empty() {
                let size = size + fixed;
                return Ok((Certificate::Minimal { size, evaluated, set }, held));
            }
        }
        let size = found + fixed;
        Ok((Certificate::Minimal { size, evaluated, set }, Vec::new()))
    }
}
