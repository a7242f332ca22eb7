//! Telling a caller how far a long explanation is, and being told to stop.

/// Watches one or many explanations.
pub trait Progress: Sync {
    /// `count` more forward or gradient evaluations are done.
    fn evaluated(&self, count: usize);

    /// Whether to stop with [`Error::Cancelled`](crate::Error::Cancelled).
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn evaluated(&self, _count: usize) {}
}
