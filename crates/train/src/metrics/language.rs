//! Scores of language models.

/// What a model said of some tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Piece {
    /// The sum of `-ln p` of the tokens, in nats.
    pub nats: f64,
    /// How many tokens there are.
    pub tokens: u64,
    /// How many of them were the most likely.
    pub first: u64,
}

/// The pieces of a text: items of the bootstrap, since neighbouring tokens hang together.
#[derive(Debug, Clone, Default)]
pub struct Language {
    /// The pieces.
    pub items: Vec<Piece>,
}

impl Language {
    fn total(&self, sample: &[usize]) -> Piece {
        sample.iter().map(|&i| self.items[i]).fold(Piece::default(), |sum, piece| Piece {
            nats: sum.nats + piece.nats,
            tokens: sum.tokens + piece.tokens,
            first: sum.first + piece.first,
        })
    }

    /// Nats per token.
    #[must_use]
    pub fn nats(&self, sample: &[usize]) -> f64 {
        let total = self.total(sample);
        total.nats / total.tokens as f64
    }

    /// The perplexity, `exp` of the nats per token.
    #[must_use]
    pub fn perplexity(&self, sample: &[usize]) -> f64 {
        self.nats(sample).exp()
    }

    /// The share of tokens that were the most likely.
    #[must_use]
    pub fn accuracy(&self, sample: &[usize]) -> f64 {
        let total = self.total(sample);
        total.first as f64 / total.tokens as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_by_their_tokens() {
        let two = Piece { nats: 2.0 * 2.0_f64.ln(), tokens: 2, first: 1 };
        let six = Piece { nats: 6.0 * 8.0_f64.ln(), tokens: 6, first: 1 };
        let metric = Language { items: vec![two, six] };
        // (2 ln 2 + 6 ln 8) / 8 = 20 ln 2 / 8.
        assert!((metric.nats(&[0, 1]) - 2.5 * 2.0_f64.ln()).abs() < 1e-15);
        assert!((metric.perplexity(&[0]) - 2.0).abs() < 1e-15);
        assert_eq!(metric.accuracy(&[0, 1]), 0.25);
    }
}
