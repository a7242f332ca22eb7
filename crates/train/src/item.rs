//! Examples as tokens: what a training run keeps of its data.

use glossator_models::{Encoding, Field, Token};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A target that does not count: padding, and the later pieces of a word. (PyTorch's -100.)
pub(crate) const IGNORE: u32 = u32::MAX;

/// One example, or one window of it, as ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    ids: Vec<u32>,
    /// Empty where all are 0.
    segments: Vec<u8>,
    /// The tokens as they stand in the text, one behind the other: models may read characters.
    written: String,
    /// Where each token's part of it ends; empty if nothing is known.
    ends: Vec<u32>,
    second: Option<usize>,
    pub(crate) gold: Gold,
}

/// What is right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Gold {
    /// A label.
    Label(u32),
    /// Each label by itself.
    Flags(Vec<f32>),
    /// A number.
    Number(f32),
    /// A label or a token at each position (of the decoder, if there is one), or [`IGNORE`].
    Tokens(Vec<u32>),
    /// The first and last token of an answer, and the places where one can begin and end.
    Answer { first: u32, last: u32, choices: Vec<u32> },
    /// Tokens are hidden anew each time that the example is seen.
    Hidden,
}

impl Item {
    pub(crate) fn new(encoding: &Encoding, gold: Gold) -> Self {
        let segments = encoding.tokens.iter().map(|t| u8::try_from(t.segment).unwrap_or(u8::MAX));
        let mut segments: Vec<u8> = segments.collect();
        if segments.iter().all(|&segment| segment == 0) {
            segments = Vec::new();
        }
        let (mut written, mut ends) = (String::new(), Vec::with_capacity(encoding.tokens.len()));
        for token in &encoding.tokens {
            if !token.special {
                let field = encoding.fields.get(token.field).map_or("", |f| f.text.as_str());
                let there = field.get(token.start..token.end).filter(|text| !text.is_empty());
                written.push_str(there.unwrap_or(&token.text));
            }
            ends.push(written.len() as u32);
        }
        let (ids, second) = (encoding.ids(), encoding.second);
        Self { ids, segments, written, ends, second, gold }
    }

    /// Some tokens of a stream.
    pub(crate) fn of_ids(ids: Vec<u32>, gold: Gold) -> Self {
        let (segments, written, ends) = (Vec::new(), String::new(), Vec::new());
        Self { ids, segments, written, ends, second: None, gold }
    }

    /// The same with a decoder's tokens from `second` on.
    pub(crate) fn with_second(self, second: usize) -> Self {
        Self { second: Some(second), ..self }
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The tokens with nothing but what a model reads of them.
    pub(crate) fn encoding(&self) -> Encoding {
        self.with_ids(&self.ids)
    }

    /// The same places with these tokens; one that is another than before stands in no text.
    fn with_ids(&self, ids: &[u32]) -> Encoding {
        let mut start = 0;
        let token = |(i, &id): (usize, &u32)| {
            let end = self.ends.get(i).map_or(0, |&end| end as usize);
            let span = if self.ids[i] == id { start..end } else { 0..0 };
            start = end;
            Token {
                id,
                text: String::new(),
                special: span.is_empty(),
                start: span.start,
                end: span.end,
                word: None,
                field: 0,
                segment: self.segments.get(i).copied().unwrap_or(0).into(),
            }
        };
        let tokens = ids.iter().enumerate().map(token).collect();
        let field = Field { name: String::new(), text: self.written.clone(), words: Vec::new() };
        Encoding { tokens, fields: vec![field], truncated: 0, second: self.second }
    }
}

impl Gold {
    /// The same for an item of a batch whose second parts begin at `second`: places in the second
    /// part are counted behind the padding of the first.
    pub(crate) fn shifted(&self, encoding: &Encoding, second: Option<usize>) -> Self {
        let (Self::Answer { first, last, choices }, Some(from), Some(to)) =
            (self, encoding.second, second)
        else {
            return self.clone();
        };
        let shift =
            |place: u32| place + if place as usize >= from { (to - from) as u32 } else { 0 };
        let choices = choices.iter().copied().map(shift).collect();
        Self::Answer { first: shift(*first), last: shift(*last), choices }
    }
}

/// Hides tokens for a masked language model to find (Devlin et al. 2019, section 3.1): of those that
/// are chosen, 80 % become the mask, 10 % any token, and 10 % stay.
#[derive(Debug, Clone)]
pub(crate) struct Hider {
    pub(crate) mask: u32,
    pub(crate) vocabulary: u32,
    /// Tokens that are never chosen, by id.
    pub(crate) special: Vec<bool>,
    /// The share that is chosen.
    pub(crate) rate: f64,
}

impl Hider {
    /// The item with some tokens hidden, and what they were. At least one is, if any can be.
    pub(crate) fn hide(&self, item: &Item, seed: u64) -> (Encoding, Gold) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let can = |id: u32| !self.special.get(id as usize).copied().unwrap_or(false);
        let candidates: Vec<usize> = (0..item.ids.len()).filter(|&i| can(item.ids[i])).collect();
        let mut chosen: Vec<usize> =
            candidates.iter().copied().filter(|_| random.random::<f64>() < self.rate).collect();
        if chosen.is_empty() && !candidates.is_empty() {
            chosen.push(candidates[random.random_range(0..candidates.len())]);
        }
        let mut ids = item.ids.clone();
        let mut right = vec![IGNORE; ids.len()];
        for i in chosen {
            right[i] = ids[i];
            let chance = random.random::<f64>();
            if chance < 0.8 {
                ids[i] = self.mask;
            } else if chance < 0.9 {
                ids[i] = random.random_range(0..self.vocabulary.max(1));
            }
        }
        (item.with_ids(&ids), Gold::Tokens(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hidden_in_the_shares_of_the_paper() {
        let mut special = vec![false; 100];
        special[7] = true;
        let hider = Hider { mask: 99, vocabulary: 100, special, rate: 0.15 };
        let ids: Vec<u32> = (0..100_000).map(|i| if i % 10 == 0 { 7 } else { 50 }).collect();
        let item = Item::of_ids(ids.clone(), Gold::Hidden);
        let (encoding, gold) = hider.hide(&item, 3);
        let Gold::Tokens(right) = gold.clone() else { panic!("{gold:?}") };
        let (mut chosen, mut masked, mut kept) = (0.0, 0.0, 0.0);
        for ((new, old), right) in encoding.ids().into_iter().zip(ids).zip(right) {
            if right == IGNORE {
                assert_eq!(new, old);
                continue;
            }
            assert_eq!((right, old), (50, 50));
            chosen += 1.0;
            masked += f64::from(new == 99);
            kept += f64::from(new == 50);
        }
        // 90,000 candidates: standard deviations are 0.0012, 0.0034 and 0.0027.
        assert!((chosen / 90_000.0 - 0.15_f64).abs() < 0.006);
        assert!((masked / chosen - 0.801_f64).abs() < 0.015);
        assert!((kept / chosen - 0.101_f64).abs() < 0.012);
        assert_eq!(hider.hide(&item, 3).1, gold);
        assert_ne!(hider.hide(&item, 4).1, gold);
    }

    #[test]
    fn at_least_one_token_is_hidden() {
        let hider = Hider { mask: 9, vocabulary: 10, special: vec![true], rate: 0.0 };
        let (_, gold) = hider.hide(&Item::of_ids(vec![0, 4, 0], Gold::Hidden), 1);
        assert_eq!(gold, Gold::Tokens(vec![IGNORE, 4, IGNORE]));
        let (_, gold) = hider.hide(&Item::of_ids(vec![0, 0], Gold::Hidden), 1);
        assert_eq!(gold, Gold::Tokens(vec![IGNORE, IGNORE]));
    }
}
