//! What a model reads of each token: its word embedding, its characters, its casing, side by side.

use std::collections::HashMap;

use glossator_ops::conv1d::max_over_tokens;
use glossator_ops::{Tensor, Weight, embedding};

use crate::batch::Batch;
use crate::blocks::convolution::Convolution;
use crate::blocks::recurrent::{RecurrentLayer, last_hidden};
use crate::error::Result;
use crate::text::Tokenizer;
use crate::trace::Trace;

/// The embedding layer.
pub struct Features {
    /// `[vocabulary, size]`
    pub words: Weight,
    /// What the characters of a token say.
    pub characters: Option<Characters>,
    /// `[`[`Casing::ALL`]`, size]`: how a token is written.
    pub casing: Option<Weight>,
}

/// The characters of a token as a vector (a convolution: Santos & Zadrozny 2014; recurrent layers:
/// Lample et al. 2016, arXiv 1603.01360).
pub struct Characters {
    /// `[2 + alphabet, size]`; row 0 fills up, row 1 is any other character.
    pub table: Weight,
    /// The row of each character.
    pub rows: HashMap<char, u32>,
    /// How they become one vector.
    pub reader: CharacterReader,
    /// The most that are read of a token.
    pub most: usize,
    /// Shorter tokens are filled up to so many, and what fills up is read like characters. Models
    /// that were trained without a mask expect that.
    pub fill: usize,
}

/// How characters become one vector.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum CharacterReader {
    /// The maximum of filters over them.
    Convolution(Convolution),
    /// The states that a recurrent layer leaves.
    Recurrent(RecurrentLayer),
}

/// Any character that is not in the alphabet.
const OTHER: u32 = 1;
/// How many texts are read side by side.
const CHUNK: usize = 1024;

impl Characters {
    /// Elements of a token's vector.
    #[must_use]
    pub fn width(&self) -> usize {
        match &self.reader {
            CharacterReader::Convolution(convolution) => convolution.width(),
            CharacterReader::Recurrent(layer) => layer.width(),
        }
    }

    /// A vector for each text: `[texts, width]`. A text without characters counts as one that
    /// fills up.
    fn read(&self, texts: &[&str]) -> Result<Tensor> {
        let mut parts = Vec::new();
        for texts in texts.chunks(CHUNK) {
            let row = |c: char| self.rows.get(&c).copied().unwrap_or(OTHER);
            let rows: Vec<Vec<u32>> =
                texts.iter().map(|text| text.chars().take(self.most).map(row).collect()).collect();
            let lengths: Vec<usize> =
                rows.iter().map(|row| row.len().max(self.fill).max(1)).collect();
            let longest = lengths.iter().copied().max().unwrap_or(1);
            let mut ids = Vec::with_capacity(rows.len() * longest);
            for row in &rows {
                ids.extend_from_slice(row);
                ids.resize(ids.len() + longest - row.len(), 0);
            }
            let x = embedding(&self.table, &ids, &[rows.len(), longest])?;
            let padded = lengths.iter().any(|&length| length < longest);
            let real = padded.then_some(lengths.as_slice());
            let trace = &mut Trace::new();
            parts.push(match &self.reader {
                CharacterReader::Convolution(convolution) => {
                    max_over_tokens(&convolution.forward(0, &x, real, trace)?, real)?
                }
                CharacterReader::Recurrent(layer) => {
                    last_hidden(&layer.run(0, &x, real, None, trace)?.1)?
                }
            });
        }
        Ok(Tensor::cat(&parts, 0)?)
    }
}

/// How a token is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casing {
    /// No token.
    Padding,
    /// Anything else, punctuation for instance.
    Other,
    /// Digits only.
    Numeric,
    /// More than half of it digits.
    MainlyNumeric,
    /// Lower case only.
    AllLower,
    /// Upper case only.
    AllUpper,
    /// Upper case first.
    InitialUpper,
    /// Some digit.
    ContainsDigit,
}

impl Casing {
    /// Every kind; the index is the row of the table.
    pub const ALL: [Self; 8] = [
        Self::Padding,
        Self::Other,
        Self::Numeric,
        Self::MainlyNumeric,
        Self::AllLower,
        Self::AllUpper,
        Self::InitialUpper,
        Self::ContainsDigit,
    ];

    /// How a text is written, by the rules of Reimers & Gurevych (2017, arXiv 1707.06799).
    #[must_use]
    pub fn of(text: &str) -> Self {
        let (mut all, mut digits, mut upper, mut lower) = (0, 0, 0, 0);
        for c in text.chars() {
            all += 1;
            digits += usize::from(c.is_numeric());
            upper += usize::from(c.is_uppercase());
            lower += usize::from(c.is_lowercase());
        }
        if all == 0 {
            Self::Padding
        } else if digits == all {
            Self::Numeric
        } else if 2 * digits > all {
            Self::MainlyNumeric
        } else if lower > 0 && upper == 0 {
            Self::AllLower
        } else if upper > 0 && lower == 0 {
            Self::AllUpper
        } else if text.chars().next().is_some_and(char::is_uppercase) {
            Self::InitialUpper
        } else if digits > 0 {
            Self::ContainsDigit
        } else {
            Self::Other
        }
    }
}

impl Features {
    /// Elements of what is read of a token.
    #[must_use]
    pub fn width(&self) -> usize {
        let casing = self.casing.as_ref().map_or(0, |table| table.shape()[1]);
        self.words.shape()[1] + self.characters.as_ref().map_or(0, Characters::width) + casing
    }

    /// Rows of the word embeddings.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.words.shape()[0]
    }

    /// What is read of each token of a batch: `[batch, tokens, width]`.
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub(crate) fn lookup(&self, batch: &Batch) -> Result<Tensor> {
        let dims = [batch.rows(), batch.tokens()];
        let words = embedding(&self.words, batch.ids(), &dims)?;
        if self.characters.is_none() && self.casing.is_none() {
            return Ok(words);
        }
        let written: Vec<&str> = (0..batch.rows())
            .flat_map(|row| (0..batch.tokens()).map(move |t| batch.written(row, t)))
            .collect();
        let written = self.of_texts(&written)?;
        let width = written.dim(1)?;
        Ok(Tensor::cat(&[words, written.reshape((dims[0], dims[1], width))?], 2)?)
    }

    /// What is read of texts besides their word embeddings: `[texts, width]`. Each different text
    /// is read once.
    fn of_texts(&self, texts: &[&str]) -> Result<Tensor> {
        let mut different: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        let places: Vec<u32> = texts
            .iter()
            .map(|&text| {
                *known.entry(text).or_insert_with(|| {
                    different.push(text);
                    (different.len() - 1) as u32
                })
            })
            .collect();
        let mut parts = Vec::new();
        if let Some(characters) = &self.characters {
            parts.push(characters.read(&different)?);
        }
        if let Some(table) = &self.casing {
            let row = |text: &&str| Casing::of(text) as u32;
            let rows: Vec<u32> = different.iter().map(row).collect();
            parts.push(embedding(table, &rows, &[rows.len()])?);
        }
        let table = Weight::from_tensor(Tensor::cat(&parts, 1)?);
        Ok(embedding(&table, &places, &[places.len()])?)
    }

    /// The mean over all tokens of the vocabulary, of their own spelling: `[width]`.
    pub(crate) fn mean(&self, tokenizer: &Tokenizer) -> Result<Tensor> {
        let words = crate::architectures::mean_row(&self.words, 1.0)?;
        if self.characters.is_none() && self.casing.is_none() {
            return Ok(words);
        }
        let spelled: Vec<String> = (0..self.vocabulary() as u32)
            .map(|id| match tokenizer.id_to_token(id) {
                Some(text) if !tokenizer.is_special(id) => text,
                _ => String::new(),
            })
            .collect();
        let mut sum: Option<Tensor> = None;
        for part in spelled.chunks(CHUNK) {
            let texts: Vec<&str> = part.iter().map(String::as_str).collect();
            let one = self.of_texts(&texts)?.detach().sum(0)?;
            sum = Some(match sum {
                Some(sum) => (sum + one)?,
                None => one,
            });
        }
        let Some(sum) = sum else { return Ok(words) };
        let mean = (sum / self.vocabulary().max(1) as f64)?;
        Ok(Tensor::cat(&[words, mean], 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casing_is_that_of_the_rules() {
        let cases = [
            ("", Casing::Padding),
            ("1994", Casing::Numeric),
            ("4-1", Casing::MainlyNumeric),
            ("the", Casing::AllLower),
            ("EU", Casing::AllUpper),
            ("U.N.", Casing::AllUpper),
            ("German", Casing::InitialUpper),
            ("a-1", Casing::AllLower),
            ("iPhone", Casing::Other),
            ("iPhone4", Casing::ContainsDigit),
            (".", Casing::Other),
            ("我", Casing::Other),
        ];
        for (text, casing) in cases {
            assert_eq!(Casing::of(text), casing, "{text}");
        }
        assert!(Casing::ALL.iter().enumerate().all(|(i, &casing)| casing as usize == i));
    }
}
