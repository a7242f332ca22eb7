//! What the integration tests of methods share.

use std::path::{Path, PathBuf};

use glossator_models::{DType, LoadOptions, Model, load};

/// A directory of test data.
pub(crate) fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(path)
}

/// Loads a model to compute in `dtype`.
pub(crate) fn open(dir: &Path, dtype: DType) -> Box<dyn Model> {
    load(dir, &LoadOptions { dtype, ..Default::default() })
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
}

/// The largest difference, divided by the largest absolute value of `want`. Infinite if a number
/// is not finite in one of the two only.
pub(crate) fn distance(got: &[f64], want: &[f64]) -> f64 {
    let worst = largest_difference(got, want);
    if worst == 0.0 { 0.0 } else { worst / largest(want) }
}

/// The largest absolute difference.
pub(crate) fn largest_difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    // f64::max would drop a NaN.
    differences.fold(0.0, |worst, d| if d.is_nan() { f64::INFINITY } else { worst.max(d) })
}

/// The largest absolute value.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}
