//! Several inputs side by side.

use std::sync::Arc;

use crate::text::Encoding;

/// The ids of several inputs, padded on the right to the length of the longest.
#[derive(Debug, Clone)]
pub struct Batch {
    ids: Vec<u32>,
    segments: Vec<u32>,
    lengths: Arc<[usize]>,
    tokens: usize,
}

impl Batch {
    /// The inputs as rows; places beyond an input's end hold `pad`.
    #[must_use]
    pub fn new(encodings: &[&Encoding], pad: u32) -> Self {
        let tokens = encodings.iter().map(|e| e.tokens.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(encodings.len() * tokens);
        let mut segments = Vec::with_capacity(encodings.len() * tokens);
        for encoding in encodings {
            let row = ids.len() + tokens;
            ids.extend(encoding.tokens.iter().map(|token| token.id));
            ids.resize(row, pad);
            segments.extend(encoding.tokens.iter().map(|token| token.segment));
            segments.resize(row, 0);
        }
        let lengths = encodings.iter().map(|e| e.tokens.len()).collect();
        Self { ids, segments, lengths, tokens }
    }

    /// The same input in each of `rows` rows: the points of a path, or samples around it.
    #[must_use]
    pub fn repeat(encoding: &Encoding, rows: usize) -> Self {
        Self {
            ids: encoding.ids().repeat(rows),
            segments: encoding.segments().repeat(rows),
            lengths: vec![encoding.tokens.len(); rows].into(),
            tokens: encoding.tokens.len(),
        }
    }

    /// The number of inputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The number of tokens of the longest input.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Token ids, `rows * tokens` of them.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segment (token type) ids, `rows * tokens` of them.
    #[must_use]
    pub fn segments(&self) -> &[u32] {
        &self.segments
    }

    /// The number of real tokens in each row.
    #[must_use]
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// Whether some row is shorter than the longest.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.lengths.iter().any(|&length| length < self.tokens)
    }
}
