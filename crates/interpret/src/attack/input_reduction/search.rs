//! The search for the shortest text: many words at once, then single ones, and all selections where
//! a certificate is wanted.

use std::collections::{BTreeSet, HashMap};

use glossator_models::Encoding;

use super::InputReduction;
use super::words::{Left, Words};
use crate::attack::case::{Case, Visited};
use crate::attack::certify::{Certificate, Choices, Exhaustive, number};
use crate::attack::edits::EditedTexts;
use crate::attack::victim::{AtTokens, Reading};
use crate::error::Result;
use crate::target::Target;

/// A text that keeps the prediction.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) left: Left,
    pub(super) texts: EditedTexts,
    pub(super) confidence: f64,
    pub(super) encoding: Encoding,
    pub(super) loss: Target,
}

pub(super) struct Search<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) words: &'a Words,
    pub(super) rule: &'a InputReduction,
    pub(super) visited: Visited,
    /// Whether a limit ended it.
    pub(super) spent: bool,
}

impl Search<'_> {
    /// How certain the prediction is, if it is the same and certain enough.
    pub(super) fn confidence(&self, reading: &Reading, texts: &EditedTexts) -> Option<f64> {
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
        let lefts: HashMap<EditedTexts, Left> =
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
    pub(super) fn shortest(&mut self, first: State) -> Result<Vec<State>> {
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
    pub(super) fn certify(
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
