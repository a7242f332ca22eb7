//! Several inputs side by side.

use std::ops::Range;
use std::sync::Arc;

use crate::text::Encoding;

/// The ids of several inputs, padded on the right to the length of the longest.
///
/// Models that read two sequences apart from each other (an encoder-decoder, or two texts to
/// compare) have batches of two parts, each padded by itself, one behind the other.
#[derive(Debug, Clone)]
pub struct Batch {
    ids: Vec<u32>,
    segments: Vec<u32>,
    lengths: Arc<[usize]>,
    tokens: usize,
    second: Option<Second>,
    read: Option<Arc<[usize]>>,
    written: Written,
}

/// How the tokens stand in their texts.
#[derive(Debug, Clone, Default)]
struct Written {
    text: String,
    /// The bytes of each token; those of a few rows that repeat. None: nothing is known.
    spans: Arc<[Range<usize>]>,
}

impl Written {
    /// Adds one token's text.
    fn push(&mut self, spans: &mut Vec<Range<usize>>, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        spans.push(start..self.text.len());
    }
}

/// The second part of a batch.
#[derive(Debug, Clone)]
struct Second {
    /// Where it begins in each row.
    start: usize,
    lengths: Arc<[usize]>,
}

impl Batch {
    /// The inputs as rows; places beyond the end of an input, or of its part, hold `pad`.
    #[must_use]
    pub fn new(encodings: &[&Encoding], pad: u32) -> Self {
        let first_length = |e: &Encoding| e.second.unwrap_or(e.tokens.len());
        let first: Arc<[usize]> = encodings.iter().map(|e| first_length(e)).collect();
        let start = first.iter().copied().max().unwrap_or(0);
        let second: Option<Arc<[usize]>> = encodings
            .iter()
            .any(|e| e.second.is_some())
            .then(|| encodings.iter().map(|e| e.tokens.len() - first_length(e)).collect());
        let behind = second.as_ref().and_then(|n| n.iter().copied().max()).unwrap_or(0);
        let tokens = start + behind;
        let mut ids = Vec::with_capacity(encodings.len() * tokens);
        let mut segments = Vec::with_capacity(encodings.len() * tokens);
        let (mut written, mut spans) = (Written::default(), Vec::new());
        for encoding in encodings {
            let row = ids.len();
            let (before, after) = encoding.tokens.split_at(first_length(encoding));
            for (part, end) in [(before, row + start), (after, row + tokens)] {
                ids.extend(part.iter().map(|token| token.id));
                ids.resize(end, pad);
                segments.extend(part.iter().map(|token| token.segment));
                segments.resize(end, 0);
                part.iter().for_each(|token| written.push(&mut spans, encoding.written(token)));
                spans.resize(end, 0..0);
            }
        }
        written.spans = spans.into();
        let second = second.map(|lengths| Second { start, lengths });
        Self { ids, segments, lengths: first, tokens, second, read: None, written }
    }

    /// The same input in each of `rows` rows: the points of a path, or samples around it.
    #[must_use]
    pub fn repeat(encoding: &Encoding, rows: usize) -> Self {
        let tokens = encoding.tokens.len();
        let first = encoding.second.unwrap_or(tokens);
        let (mut written, mut spans) = (Written::default(), Vec::with_capacity(tokens));
        for token in &encoding.tokens {
            written.push(&mut spans, encoding.written(token));
        }
        written.spans = spans.into();
        Self {
            written,
            ids: encoding.ids().repeat(rows),
            segments: encoding.segments().repeat(rows),
            lengths: vec![first; rows].into(),
            tokens,
            second: encoding
                .second
                .map(|start| Second { start, lengths: vec![tokens - start; rows].into() }),
            read: None,
        }
    }

    /// One sequence of these ids.
    pub(crate) fn of_ids(ids: Vec<u32>) -> Self {
        let tokens = ids.len();
        let segments = vec![0; tokens];
        let (second, read, written) = (None, None, Written::default());
        Self { ids, segments, lengths: [tokens].into(), tokens, second, read, written }
    }

    /// Asks for the outputs at these positions only, of models with an output for each token. In a
    /// batch of two parts, positions count from the beginning of the second.
    #[must_use]
    pub fn reading(mut self, positions: &[usize]) -> Self {
        self.read = Some(positions.into());
        self
    }

    /// The positions whose outputs are asked for; none: all.
    #[must_use]
    pub fn read(&self) -> Option<&[usize]> {
        self.read.as_deref()
    }

    /// What stands from position `start` on in each row. Positions that are asked for must lie there;
    /// they count from `start` then.
    #[must_use]
    pub fn behind(&self, start: usize) -> Self {
        let rest = |all: &[u32]| -> Vec<u32> {
            let rows = all.chunks(self.tokens.max(1));
            rows.flat_map(|row| row.get(start..).unwrap_or(&[]).iter().copied()).collect()
        };
        let read = self.read.as_ref();
        Self {
            ids: rest(&self.ids),
            segments: rest(&self.segments),
            lengths: self.lengths.iter().map(|length| length.saturating_sub(start)).collect(),
            tokens: self.tokens.saturating_sub(start),
            second: None,
            read: read.map(|read| read.iter().map(|at| at.saturating_sub(start)).collect()),
            written: Written::default(),
        }
    }

    /// The number of inputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The number of tokens of each row, padding included.
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

    /// How a token stands in its text, letter case and all; what it is called in the vocabulary if
    /// it stands in none. Empty at padding, for tokens that a template added, and in batches of
    /// bare ids.
    #[must_use]
    pub fn written(&self, row: usize, token: usize) -> &str {
        let Written { text, spans } = &self.written;
        let at = (row * self.tokens + token).checked_rem(spans.len());
        at.and_then(|at| text.get(spans[at].clone())).unwrap_or("")
    }

    /// The number of real tokens in each row, of its first part if there are two.
    #[must_use]
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// Where the second part begins in each row, if there are two.
    #[must_use]
    pub fn second(&self) -> Option<usize> {
        self.second.as_ref().map(|second| second.start)
    }

    /// Whether some row is shorter than the longest, in its first part if there are two.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        let tokens = self.second().unwrap_or(self.tokens);
        self.lengths.iter().any(|&length| length < tokens)
    }

    /// The lengths, where some row is padded.
    pub(crate) fn padding(&self) -> Option<Arc<[usize]>> {
        self.is_padded().then(|| Arc::clone(&self.lengths))
    }

    /// Both parts as batches of their own, if there are two.
    pub(crate) fn parts(&self) -> Option<(Self, Self)> {
        let second = self.second.as_ref()?;
        let cut = |all: &[u32], from: usize, to: usize| -> Vec<u32> {
            all.chunks(self.tokens.max(1)).flat_map(|row| row[from..to].iter().copied()).collect()
        };
        let part = |from: usize, to: usize, lengths: &Arc<[usize]>, read| Self {
            ids: cut(&self.ids, from, to),
            segments: cut(&self.segments, from, to),
            lengths: Arc::clone(lengths),
            tokens: to - from,
            second: None,
            read,
            // Whoever takes a batch apart has looked up its tokens before.
            written: Written::default(),
        };
        Some((
            part(0, second.start, &self.lengths, None),
            part(second.start, self.tokens, &second.lengths, self.read.clone()),
        ))
    }

    /// The rows of two batches of one part, one behind the other.
    pub(crate) fn stack(first: &Self, second: &Self, pad: u32) -> Self {
        let tokens = first.tokens.max(second.tokens);
        let (mut ids, mut segments) = (Vec::new(), Vec::new());
        for part in [first, second] {
            let rows = part.ids.chunks(part.tokens.max(1));
            for (row, kinds) in rows.zip(part.segments.chunks(part.tokens.max(1))) {
                let end = ids.len() + tokens;
                ids.extend_from_slice(row);
                ids.resize(end, pad);
                segments.extend_from_slice(kinds);
                segments.resize(end, 0);
            }
        }
        let lengths = first.lengths.iter().chain(second.lengths.iter()).copied().collect();
        let (second, read, written) = (None, None, Written::default());
        Self { ids, segments, lengths, tokens, second, read, written }
    }
}
