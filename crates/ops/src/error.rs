//! What can go wrong in an operation.

/// The error of every operation in this crate.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gradient of an output with respect to an input does not exist, because no
    /// differentiable path joins them. Never reported as zeros.
    #[error("no gradient reached {of}: the output does not depend on it differentiably")]
    MissingGradient {
        /// What the gradient was asked for.
        of: String,
    },
    /// Shapes that do not fit together.
    #[error("{op}: {what}, expected {expected}, got {got}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Which of its inputs.
        what: &'static str,
        /// The shape that would fit.
        expected: String,
        /// The shape that came.
        got: String,
    },
    /// The tensor library's own error.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(inner) => inner,
            // Not `wrap`: with RUST_BACKTRACE set it makes a backtrace part of the message.
            other => Self::Wrapped(Box::new(other)),
        }
    }
}

/// A shape error for use inside candle's custom operations.
pub(crate) fn shape_error(
    op: &'static str,
    what: &'static str,
    expected: impl std::fmt::Debug,
    got: impl std::fmt::Debug,
) -> candle_core::Error {
    // Words are not quoted, as in `expected an id below 5`.
    let text = |debug: String| debug.trim_matches('"').to_owned();
    let (expected, got) = (text(format!("{expected:?}")), text(format!("{got:?}")));
    Error::Shape { op, what, expected, got }.into()
}
