//! From a vector a token to a number a token.

use crate::error::Result;
use crate::method::ParameterInfo;
use crate::options::Options;

/// How a token's vector becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// The Euclidean norm: how much, without a direction.
    #[default]
    L2,
    /// The sum with its sign. Zero by construction where a LayerNorm follows the embeddings.
    Sum,
}

pub(crate) const REDUCTION: ParameterInfo = ParameterInfo {
    name: "reduction",
    value: "l2|sum",
    help: "How the gradient's vector at a token becomes a number: Euclidean norm or signed sum",
    default: "l2",
};

impl Reduction {
    pub(crate) fn from_options(options: &Options) -> Result<Self> {
        options.choice("reduction", Self::L2, &[("l2", Self::L2), ("sum", Self::Sum)])
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Sum => "sum",
        }
    }

    /// One number for each row of `[tokens, width]`.
    #[must_use]
    pub fn apply(self, vectors: &[f64], width: usize) -> Vec<f64> {
        let rows = vectors.chunks(width.max(1));
        match self {
            Self::L2 => rows.map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).collect(),
            Self::Sum => rows.map(|row| row.iter().sum()).collect(),
        }
    }
}

/// The dot product of each pair of rows.
pub(crate) fn dot_rows(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    let rows = a.chunks(width.max(1)).zip(b.chunks(width.max(1)));
    rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect()
}

/// Magnitudes as shares of their sum, as AllenNLP returned them; zeros stay zeros.
pub(crate) fn shares(scores: &mut [f64]) {
    let total: f64 = scores.iter().map(|score| score.abs()).sum();
    for score in scores {
        *score = if total > 0.0 { score.abs() / total } else { 0.0 };
    }
}

/// A warning where signed sums over dimensions are nothing but rounding error.
///
/// A LayerNorm after the embeddings does not see a constant added to a token's vector, so that
/// the gradient's elements sum to zero exactly in real arithmetic.
pub(crate) fn rounding_note(vectors: &[f64], sums: &[f64], width: usize) -> Option<String> {
    let rows = vectors.chunks(width.max(1));
    let size = rows.map(|row| row.iter().map(|x| x.abs()).sum()).fold(0.0, f64::max);
    let largest = sums.iter().map(|x| x.abs()).fold(0.0, f64::max);
    // 1e-4 of the vector's L1 norm is far above f32 rounding and far below any real sum.
    (size > 0.0 && largest < 1e-4 * size).then(|| {
        "signed sums of the gradient are zero by construction in this model (a LayerNorm follows \
         the embeddings): these scores are rounding error; use the l2 reduction or input x gradient"
            .to_owned()
    })
}
