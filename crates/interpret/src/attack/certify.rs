//! Certificates: within a stated set, nothing smaller exists.
//!
//! Sizes are searched in ascending order and exhaustively, so the first success is a smallest one.
//! What is left out cannot matter: sizes that are not below one that was found, edits that change
//! no token, and texts that read as one that was tried. A network has no bound that would rule out
//! more without asking it.

use super::case::{Case, Visited};
use super::edits::{Edit, EditedTexts};
use super::victim::Reading;
use crate::error::Result;
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;

/// What is known of anything smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// Every smaller choice was tried, and none will do.
    Minimal {
        /// Edits of the flip, or words of the reduction.
        size: usize,
        /// Texts that were tried for this.
        evaluated: usize,
        /// Out of what was chosen.
        set: String,
    },
    /// Every choice up to this size was tried, and none will do.
    Nothing {
        /// The largest size that was searched.
        size: usize,
        /// Texts that were tried for this.
        evaluated: usize,
        /// Out of what was chosen.
        set: String,
    },
    /// The budget ended first: nothing of a size below this will do.
    Spent {
        /// The size that was not finished.
        size: usize,
        /// Texts that were tried.
        evaluated: usize,
        /// Choices that there are, repetitions included.
        of: u128,
        /// Out of what was chosen.
        set: String,
    },
}

/// An exhaustive search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhaustive {
    /// Replacements of each word.
    pub replacements: usize,
    /// Forward passes at most.
    pub passes: usize,
}

impl Default for Exhaustive {
    fn default() -> Self {
        Self { replacements: 10, passes: 20_000 }
    }
}

pub(super) const CERTIFY: ParameterInfo = ParameterInfo {
    name: "certify",
    value: "",
    help: "Search for anything smaller, exhaustively within a stated set, and say what is proven",
    default: "no",
};

pub(super) const REPLACEMENTS: ParameterInfo = ParameterInfo {
    name: "certify-replacements",
    value: "N",
    help: "Replacements of each word that --certify searches, the most promising",
    default: "10",
};

pub(super) const PASSES: ParameterInfo = ParameterInfo {
    name: "certify-passes",
    value: "N",
    help: "Forward passes that --certify may spend",
    default: "20000",
};

/// Texts that are tried at once.
const CHUNK: usize = 256;

/// A text that will do, with what the model says of it by itself.
type Found = (EditedTexts, Reading);

impl Exhaustive {
    /// Reads the settings; none where no certificate is wanted.
    ///
    /// # Errors
    /// If one has a value that it cannot have.
    pub fn from_options(options: &Options) -> Result<Option<Self>> {
        let default = Self::default();
        let count = |name: &str, default: usize| {
            options.get(name, default, "a count from 1", |&n: &usize| n >= 1)
        };
        let replacements = count("certify-replacements", default.replacements)?;
        let passes = count("certify-passes", default.passes)?;
        if !options.switch("certify")? {
            for name in ["certify-replacements", "certify-passes"] {
                if options.text(name).is_some() {
                    let what = format!("--{name} without --certify; add --certify");
                    return Err(crate::Error::Conflict { what });
                }
            }
            return Ok(None);
        }
        Ok(Some(Self { replacements, passes }))
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::from([
            ("certify", Setting::Bool(true)),
            ("certify-replacements", Setting::Integer(self.replacements as u64)),
            ("certify-passes", Setting::Integer(self.passes as u64)),
        ])
    }

    /// Searches flips of 1 to `most` places, out of a set of edits for each place.
    pub(super) fn flips(
        &self,
        case: &Case<'_>,
        sets: &[Vec<Edit>],
        most: usize,
    ) -> Result<(Certificate, Option<Found>)> {
        let sets: Vec<&[Edit]> =
            sets.iter().map(Vec::as_slice).filter(|set| !set.is_empty()).collect();
        let counts: Vec<usize> = sets.iter().map(|set| set.len()).collect();
        let most = most.min(sets.len());
        let total: usize = counts.iter().sum();
        let set = format!("{total} replacements of {} words, no word twice", sets.len());
        let build = |choice: &[(usize, usize)]| {
            case.texts.replaced(choice.iter().map(|&(place, edit)| sets[place][edit].clone()))
        };
        let reached = |tried: &super::case::Tried| tried.reached;
        let mut visited = Visited::default();
        visited.insert(&case.victim.encode(&case.texts.render())?);
        let mut evaluated = 0;
        for size in 1..=most {
            let mut choices = Choices::new(&counts, size);
            loop {
                let chunk: Vec<EditedTexts> =
                    choices.by_ref().take(CHUNK).filter_map(|choice| build(&choice)).collect();
                if chunk.is_empty() && choices.is_done() {
                    break;
                }
                if evaluated >= self.passes {
                    let of = (1..=most).map(|size| number(&counts, size)).sum();
                    return Ok((Certificate::Spent { size, evaluated, of, set }, None));
                }
                let (mut tried, spent) = case.try_all(chunk, &mut visited)?;
                evaluated += tried.len();
                tried.sort_by(|a, b| b.margin.total_cmp(&a.margin));
                for one in tried.iter().filter(|tried| reached(tried)) {
                    if let Some(reading) = case.confirm(&one.texts)? {
                        let found = Some((one.texts.clone(), reading));
                        return Ok((Certificate::Minimal { size, evaluated, set }, found));
                    }
                }
                if spent {
                    let of = (1..=most).map(|size| number(&counts, size)).sum();
                    return Ok((Certificate::Spent { size, evaluated, of, set }, None));
                }
            }
        }
        // Whether that is a proof for a flip of one edit more, the caller knows.
        Ok((Certificate::Nothing { size: most, evaluated, set }, None))
    }
}

/// The number of ways to choose `size` places and one of each place's edits.
#[must_use]
pub(super) fn number(counts: &[usize], size: usize) -> u128 {
    let mut ways = vec![0_u128; size + 1];
    ways[0] = 1;
    for &count in counts {
        for k in (1..=size).rev() {
            ways[k] = ways[k].saturating_add(ways[k - 1].saturating_mul(count as u128));
        }
    }
    ways[size]
}

/// All choices of `size` places and one of each place's edits, in order.
pub(super) struct Choices<'a> {
    counts: &'a [usize],
    /// The next choice: places ascending, each with an edit.
    next: Option<Vec<(usize, usize)>>,
}

impl<'a> Choices<'a> {
    pub(super) fn new(counts: &'a [usize], size: usize) -> Self {
        let fits = size <= counts.len() && counts.iter().all(|&count| count > 0);
        Self { counts, next: fits.then(|| (0..size).map(|place| (place, 0)).collect()) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// The choice behind this one.
    fn advance(&self, choice: &[(usize, usize)]) -> Option<Vec<(usize, usize)>> {
        let mut choice = choice.to_vec();
        for (place, edit) in choice.iter_mut().rev() {
            *edit += 1;
            if *edit < self.counts[*place] {
                return Some(choice);
            }
            *edit = 0;
        }
        // All edits of these places are through: the next places.
        let size = choice.len();
        let at = (0..size).rev().find(|&i| choice[i].0 + (size - i) < self.counts.len())?;
        let first = choice[at].0 + 1;
        for (i, one) in choice[at..].iter_mut().enumerate() {
            *one = (first + i, 0);
        }
        Some(choice)
    }
}

impl Iterator for Choices<'_> {
    type Item = Vec<(usize, usize)>;

    fn next(&mut self) -> Option<Self::Item> {
        let now = self.next.take()?;
        self.next = self.advance(&now);
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_choice_comes_once() {
        let counts = [2, 1, 3, 2];
        for size in 0..=4 {
            let all: Vec<_> = Choices::new(&counts, size).collect();
            let distinct: HashSet<_> = all.iter().cloned().collect();
            assert_eq!(all.len(), distinct.len());
            assert_eq!(all.len() as u128, number(&counts, size), "size {size}");
            for choice in all {
                assert!(choice.windows(2).all(|pair| pair[0].0 < pair[1].0));
                assert!(choice.iter().all(|&(place, edit)| edit < counts[place]));
            }
        }
        assert_eq!(Choices::new(&counts, 5).count(), 0);
        assert_eq!(number(&[usize::MAX; 40], 20), u128::MAX);
    }
}
