//! How far numbers are from each other, for the tests that compare two ways to compute one thing.

use glossator_models::Tensor;

use crate::common::values;

/// The largest difference, divided by the largest absolute value of `want`. Infinite if a number is
/// not finite in one of the two only.
pub(crate) fn distance(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let differences = got.iter().zip(want).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    // f64::max would drop a NaN.
    let worst =
        differences.fold(0.0_f64, |worst, d| if d.is_nan() { f64::INFINITY } else { worst.max(d) });
    if worst == 0.0 { 0.0 } else { worst / largest }
}

/// Asserts that two tensors have the same shape and the same bits, but for the sign of zero.
#[track_caller]
pub(crate) fn assert_same(a: &Tensor, b: &Tensor, what: &str) {
    assert_eq!((a.dims(), a.dtype()), (b.dims(), b.dtype()), "{what}");
    assert_eq!(distance(&values(a), &values(b)), 0.0, "{what}");
}

/// The elements of `x` that belong to real tokens, and those that belong to padding; `tokens` is
/// the dimension that counts tokens, and dimension 0 the rows of the batch, of these `lengths`.
pub(crate) fn split(x: &Tensor, tokens: usize, lengths: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let dims = x.dims();
    assert_eq!(dims[0], lengths.len());
    let row: usize = dims[1..].iter().product();
    let token: usize = dims[tokens + 1..].iter().product();
    let (mut real, mut padding) = (Vec::new(), Vec::new());
    for (i, value) in values(x).into_iter().enumerate() {
        let is_real = i / token % dims[tokens] < lengths[i / row];
        if is_real { real.push(value) } else { padding.push(value) }
    }
    (real, padding)
}
