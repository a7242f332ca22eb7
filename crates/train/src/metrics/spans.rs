//! F1 of entities, by the rules of conlleval and of seqeval (Nakayama 2018).
//!
//! An entity is right if its kind and its first and last word are. [`Mode::Lenient`] reads tags as
//! conlleval does, whatever their scheme: a tag that cannot continue what is before it begins a
//! new entity. [`Mode::Strict`] demands the scheme: an entity that is not begun or ended as the
//! scheme has it does not count.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{ClassScore, Counts, mean};
use crate::error::Error;

/// How tags say where entities begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `I-` inside; `B-` only where an entity follows another of its kind.
    Iob1,
    /// `B-` begins each entity.
    Iob2,
    /// `B-` begins, `E-` ends an entity of several words; `S-` is one of a single word.
    Iobes,
    /// The same with the letters of BILOU: `L-` ends, `U-` is single.
    Bilou,
}

/// How strictly tags are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As conlleval reads them.
    #[default]
    Lenient,
    /// Only as the scheme has them.
    Strict(Scheme),
}

impl Mode {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("lenient", Self::Lenient),
        ("iob1", Self::Strict(Scheme::Iob1)),
        ("iob2", Self::Strict(Scheme::Iob2)),
        ("iobes", Self::Strict(Scheme::Iobes)),
        ("bilou", Self::Strict(Scheme::Bilou)),
    ];
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| mode).ok_or_else(|| {
            let known = Self::ALL.map(|(name, _)| name).join(", ");
            let what = format!("--tag-scheme: expected {known}, got {name:?}");
            Error::settings(what, "lenient reads tags as conlleval does")
        })
    }
}

/// An entity: its kind, its first and its last word.
pub type Span = (String, usize, usize);

/// A tag's place in an entity, in the letters of IOBES, and the entity's kind.
fn split(tag: &str) -> (char, &str) {
    if tag == "O" {
        return ('O', "");
    }
    match tag.split_once(['-', '_']) {
        Some(("B", kind)) => ('B', kind),
        Some(("I" | "M", kind)) => ('I', kind),
        Some(("E" | "L", kind)) => ('E', kind),
        Some(("S" | "U", kind)) => ('S', kind),
        // A tag without a place: neighbours with the same tag belong together.
        _ => ('I', tag),
    }
}

/// The entities of a sentence.
#[must_use]
pub fn entities(tags: &[&str], mode: Mode) -> Vec<Span> {
    match mode {
        Mode::Lenient => lenient(tags),
        Mode::Strict(Scheme::Iob1) => strict_iob1(tags),
        Mode::Strict(Scheme::Iob2) => strict_iob2(tags),
        Mode::Strict(Scheme::Iobes | Scheme::Bilou) => strict_iobes(tags),
    }
}

fn lenient(tags: &[&str]) -> Vec<Span> {
    let mut made = Vec::new();
    let mut open: Option<usize> = None;
    let (mut before, mut kind_before) = ('O', "");
    for (i, tag) in tags.iter().copied().chain(["O"]).enumerate() {
        let (place, kind) = split(tag);
        let ends = matches!(before, 'E' | 'S')
            || (matches!(before, 'B' | 'I') && matches!(place, 'B' | 'S' | 'O'))
            || (before != 'O' && kind_before != kind);
        if ends && let Some(start) = open.take() {
            made.push((kind_before.to_owned(), start, i - 1));
        }
        let starts = matches!(place, 'B' | 'S')
            || (matches!(before, 'E' | 'S' | 'O') && matches!(place, 'E' | 'I'))
            || (place != 'O' && kind_before != kind);
        if starts {
            open = Some(i);
        }
        (before, kind_before) = (place, kind);
    }
    made
}

/// Every run of one kind is an entity; `B-` divides it where it follows the same kind. An entity of
/// one `B-` that another kind's `B-` follows does not count, as in seqeval: the second has no place
/// there.
fn strict_iob1(tags: &[&str]) -> Vec<Span> {
    let at = |i: usize| tags.get(i).map_or(('O', ""), |tag| split(tag));
    let mut made = Vec::new();
    let mut i = 0;
    while i < tags.len() {
        let (place, kind) = at(i);
        let before = i.checked_sub(1).map_or(('O', ""), at);
        let begins = match (before.0, place) {
            ('O' | 'B', 'I') => true,
            ('I', 'I') => before.1 != kind,
            ('I' | 'B', 'B') => before.1 == kind,
            _ => false,
        };
        if !begins {
            i += 1;
            continue;
        }
        let mut end = i + 1;
        while at(end) == ('I', kind) && end < tags.len() {
            end += 1;
        }
        let next = at(end);
        if !(at(end - 1).0 == 'B' && next.0 == 'B' && next.1 != kind) {
            made.push((kind.to_owned(), i, end - 1));
        }
        i = end;
    }
    made
}

fn strict_iob2(tags: &[&str]) -> Vec<Span> {
    let mut made = Vec::new();
    let mut i = 0;
    while i < tags.len() {
        let (place, kind) = split(tags[i]);
        let mut end = i + 1;
        if place == 'B' {
            while end < tags.len() && split(tags[end]) == ('I', kind) {
                end += 1;
            }
            made.push((kind.to_owned(), i, end - 1));
        }
        i = end;
    }
    made
}

fn strict_iobes(tags: &[&str]) -> Vec<Span> {
    let mut made = Vec::new();
    let mut i = 0;
    while i < tags.len() {
        let (place, kind) = split(tags[i]);
        let mut end = i + 1;
        match place {
            'S' => made.push((kind.to_owned(), i, i)),
            'B' => {
                while end < tags.len() && split(tags[end]) == ('I', kind) {
                    end += 1;
                }
                if end < tags.len() && split(tags[end]) == ('E', kind) {
                    made.push((kind.to_owned(), i, end));
                    end += 1;
                }
            }
            _ => {}
        }
        i = end;
    }
    made
}

/// Entities of sentences: those that are right, those that were predicted, by kind.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    /// The counts of each sentence, by the index of the kind.
    pub items: Vec<Vec<(usize, Counts)>>,
    kinds: BTreeMap<String, usize>,
    words: Vec<(u64, u64)>,
}

impl Spans {
    /// Adds a sentence by its tags.
    pub fn push(&mut self, right: &[&str], predicted: &[&str], mode: Mode) {
        let (expected, found) = (entities(right, mode), entities(predicted, mode));
        let mut counts: BTreeMap<usize, Counts> = BTreeMap::new();
        let kinds = &mut self.kinds;
        let mut of = |kind: &str| {
            let next = kinds.len();
            *kinds.entry(kind.to_owned()).or_insert(next)
        };
        for span in &expected {
            counts.entry(of(&span.0)).or_default().expected += 1;
        }
        for span in &found {
            let count = counts.entry(of(&span.0)).or_default();
            count.predicted += 1;
            // Spans of one sentence are few and different from each other.
            count.correct += u64::from(expected.contains(span));
        }
        self.items.push(counts.into_iter().collect());
        let same = right.iter().zip(predicted).filter(|(a, b)| a == b).count();
        self.words.push((same as u64, right.len() as u64));
    }

    fn counts(&self, sample: &[usize]) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); self.kinds.len()];
        for &(kind, count) in sample.iter().flat_map(|&i| &self.items[i]) {
            counts[kind] += count;
        }
        counts
    }

    fn total(&self, sample: &[usize]) -> Counts {
        let mut total = Counts::default();
        self.counts(sample).into_iter().for_each(|count| total += count);
        total
    }

    /// The F1 of all entities together.
    #[must_use]
    pub fn f1(&self, sample: &[usize]) -> f64 {
        self.total(sample).f1()
    }

    /// The precision of all entities together.
    #[must_use]
    pub fn precision(&self, sample: &[usize]) -> f64 {
        self.total(sample).precision()
    }

    /// The recall of all entities together.
    #[must_use]
    pub fn recall(&self, sample: &[usize]) -> f64 {
        self.total(sample).recall()
    }

    /// The mean F1 over the kinds that are in the sample.
    #[must_use]
    pub fn macro_f1(&self, sample: &[usize]) -> f64 {
        let counts = self.counts(sample);
        mean(counts.iter().filter(|c| c.expected + c.predicted > 0).map(|c| c.f1()))
    }

    /// The share of words with the right tag.
    #[must_use]
    pub fn accuracy(&self, sample: &[usize]) -> f64 {
        let (same, all) = sample
            .iter()
            .fold((0, 0), |(same, all), &i| (same + self.words[i].0, all + self.words[i].1));
        super::ratio(same, all)
    }

    /// The scores of each kind, by name.
    #[must_use]
    pub fn classes(&self) -> Vec<ClassScore> {
        let all: Vec<usize> = (0..self.items.len()).collect();
        let counts = self.counts(&all);
        self.kinds.iter().map(|(kind, &index)| counts[index].score(kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(tags: &str, mode: Mode) -> String {
        let tags: Vec<&str> = tags.split(' ').collect();
        let spans = entities(&tags, mode);
        spans.iter().map(|(k, a, b)| format!("{k}{a}-{b}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lenient_reads_any_scheme() {
        assert_eq!(spans("B-P I-P O B-L", Mode::Lenient), "P0-1 L3-3");
        // A tag that cannot go on begins anew.
        assert_eq!(spans("I-P I-L I-L B-L", Mode::Lenient), "P0-0 L1-2 L3-3");
        assert_eq!(spans("B-P E-P S-L I-L", Mode::Lenient), "P0-1 L2-2 L3-3");
        assert_eq!(spans("PER PER O LOC", Mode::Lenient), "PER0-1 LOC3-3");
        assert_eq!(spans("O O", Mode::Lenient), "");
    }

    #[test]
    fn strict_demands_the_scheme() {
        let iob2 = Mode::Strict(Scheme::Iob2);
        assert_eq!(spans("I-P I-P O B-L I-P I-L", iob2), "L3-3");
        let iobes = Mode::Strict(Scheme::Iobes);
        assert_eq!(spans("B-P I-P E-P S-L B-P I-P O E-P", iobes), "P0-2 L3-3");
        assert_eq!(spans("B-P L-P U-L", Mode::Strict(Scheme::Bilou)), "P0-1 L2-2");
        let iob1 = Mode::Strict(Scheme::Iob1);
        assert_eq!(spans("I-P I-P B-P I-L O I-L", iob1), "P0-1 P2-2 L3-3 L5-5");
    }

    #[test]
    fn counts_by_hand() {
        let mut metric = Spans::default();
        metric.push(&["B-P", "I-P", "O"], &["B-P", "I-P", "B-L"], Mode::Lenient);
        metric.push(&["B-L", "O"], &["B-P", "O"], Mode::Lenient);
        let all = [0, 1];
        // Correct 1, predicted 3, expected 2.
        assert_eq!(metric.f1(&all), 0.4);
        assert_eq!(metric.precision(&all), 1.0 / 3.0);
        assert_eq!(metric.recall(&all), 0.5);
        assert_eq!(metric.accuracy(&all), 0.6);
        assert_eq!(metric.f1(&[0]), 2.0 / 3.0);
        // P: 1 of 2 predicted, 1 of 1: 2/3. L: none of 1.
        assert!((metric.macro_f1(&all) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(metric.classes()[0].label, "L");
    }
}
