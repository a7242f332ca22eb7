//! Integrals over [0, 1] of vector functions that are the derivative of a known scalar, piece by
//! piece: fixed rules, and an adaptive mesh with a check that a missed turn cannot pass.

mod mesh;
mod rules;

pub use mesh::{FIRST_POINTS, adaptive};
pub use rules::Rule;

/// What is known at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The scalar F there.
    pub value: f64,
    /// The vector function there; its elements sum to dF/dα.
    pub derivative: Vec<f64>,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Errors allowed, as a share of the integral's scale (see [`Integral::scale`]).
    pub tolerance: f64,
    /// Evaluations allowed; at least [`FIRST_POINTS`].
    pub max_evaluations: usize,
    /// Relative rounding error of one evaluation: an error estimate below it is not believed.
    pub rounding: f64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Integral {
    /// The integral of each element.
    pub values: Vec<f64>,
    /// Estimated absolute error of each.
    pub errors: Vec<f64>,
    /// F(0) and F(1).
    pub ends: (f64, f64),
    /// Σ values - (F(1) - F(0)).
    pub completeness_error: f64,
    /// What errors are relative to: the larger of |F(1) - F(0)| and the largest |value|.
    pub scale: f64,
    /// Whether every error is within the tolerance.
    pub converged: bool,
    /// Evaluations spent.
    pub evaluations: usize,
    /// Why it stopped early, if it did.
    pub stopped: Option<Stopped>,
}

impl Integral {
    /// Not converged, for all that is known.
    fn new(values: Vec<f64>, errors: Vec<f64>, ends: (f64, f64), evaluations: usize) -> Self {
        let difference = ends.1 - ends.0;
        Self {
            completeness_error: values.iter().sum::<f64>() - difference,
            scale: values.iter().map(|v| v.abs()).fold(difference.abs(), f64::max),
            values,
            errors,
            ends,
            converged: false,
            evaluations,
            stopped: None,
        }
    }
}

/// Why an integral is not converged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The budget ended.
    Budget,
    /// The function turns faster than the arithmetic can resolve.
    Violent,
}
