//! Matrix products on slices: packed weights, the `gemm` crate, and a kernel of our own for few
//! rows of what is not packed.

use crate::few_rows::{self, Rows, RowsMut};
use crate::lines::Lines;
use crate::packed::{self, Product, Store};
use crate::real::Real;
use crate::threads;

/// A matrix in a slice: element `(r, c)` is at `offset + r * row_stride + c * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// Rows of `row_stride` elements, each contiguous.
    pub(crate) fn rows(data: &'a [T], row_stride: usize) -> Self {
        Self { data, row_stride, col_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { data: self.data, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    fn check(&self, rows: usize, cols: usize) {
        check_extent(self.data.len(), rows, cols, self.row_stride, self.col_stride);
    }
}

/// The bounds check that makes the raw-pointer product sound.
fn check_extent(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) {
    if rows > 0 && cols > 0 {
        let last = (rows - 1) * row_stride + (cols - 1) * col_stride;
        assert!(last < len, "matrix of {rows} x {cols} reaches {last} in a slice of {len}");
    }
}

/// `out = alpha * a b`, or `out += alpha * a b` with `accumulate`, for `a: [m, k]`, `b: [k, n]`
/// and `out: [m, n]` with contiguous rows of stride `out_stride`.
pub(crate) fn product<T: Real>(
    (m, k, n): (usize, usize, usize),
    alpha: T,
    a: View<'_, T>,
    b: View<'_, T>,
    accumulate: bool,
    out: &mut [T],
    out_stride: usize,
) {
    if m == 0 || n == 0 {
        return;
    }
    a.check(m, k);
    b.check(k, n);
    check_extent(out.len(), m, n, out_stride, 1);
    assert!(m == 1 || out_stride >= n, "output rows overlap");
    if k == 0 {
        if !accumulate {
            for row in out.chunks_mut(out_stride).take(m) {
                row[..n].fill(T::ZERO);
            }
        }
        return;
    }
    // One head of attention has too few columns for the panels of the kernel.
    if few_rows::serves_nn(m, k)
        && n >= few_rows::COLUMNS
        && alpha == T::ONE
        && (a.col_stride, b.col_stride) == (1, 1)
        && let (Some(a32), Some(b32)) = (T::as_f32(a.data), T::as_f32(b.data))
        && let Some(data) = T::as_f32_mut(out)
    {
        let a = Rows { data: a32, stride: a.row_stride };
        let b = Rows { data: b32, stride: b.row_stride };
        let out = RowsMut { data, stride: out_stride };
        return few_rows::product_nn((m, k, n), a, b, accumulate, out);
    }
    // SAFETY: the three checks above bound every address that the product touches; `out` is
    // borrowed mutably, so it aliases neither input; its rows do not overlap. When not
    // accumulating, gemm does not read `out` (`read_dst` is false).
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `out[m, n] = a[m, k] b[n, k]ᵀ`: both inputs have contiguous rows. `out` has rows of
/// `out_stride` and is overwritten in its first `n` columns.
pub(crate) fn product_nt<T: Real>(
    dims: (usize, usize, usize),
    a: View<'_, T>,
    b: View<'_, T>,
    out: &mut [T],
    out_stride: usize,
) {
    let (m, k, _) = dims;
    if few_rows::serves_nt(m, k)
        && let (Some(a32), Some(b32)) = (T::as_f32(a.data), T::as_f32(b.data))
        && let Some(data) = T::as_f32_mut(out)
    {
        let a = Rows { data: a32, stride: a.row_stride };
        let b = Rows { data: b32, stride: b.row_stride };
        few_rows::product_nt(dims, a, b, RowsMut { data, stride: out_stride });
    } else {
        product(dims, T::ONE, a, b.transposed(), false, out, out_stride);
    }
}

/// [`product_nt`] with the columns of `out` (rows of `b`) split over threads.
pub(crate) fn product_nt_parallel<T: Real>(
    (m, k, n): (usize, usize, usize),
    a: View<'_, T>,
    b: View<'_, T>,
    out: &mut [T],
    out_stride: usize,
) {
    split_columns((m, k, n), out, out_stride, |columns, out| {
        let b = View { data: &b.data[columns.start * b.row_stride..], ..b };
        product_nt((m, k, columns.len()), a, b, out, out_stride);
    });
}

/// [`product`] (`a b`) with the columns of `out` (columns of `b`) split over threads.
pub(crate) fn product_parallel<T: Real>(
    (m, k, n): (usize, usize, usize),
    a: View<'_, T>,
    b: View<'_, T>,
    accumulate: bool,
    out: &mut [T],
    out_stride: usize,
) {
    split_columns((m, k, n), out, out_stride, |columns, out| {
        let b = View { data: &b.data[columns.start * b.col_stride..], ..b };
        product((m, k, columns.len()), T::ONE, a, b, accumulate, out, out_stride);
    });
}

/// `out[rows, n] = x Wᵀ + bias` of packed operands, with the columns of `out` split over threads.
pub(crate) fn packed_forward(
    (rows, k, n): (usize, usize, usize),
    x: Lines<'_>,
    weight: Lines<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
    out_stride: usize,
) {
    split_columns((rows, k, n), out, out_stride, |columns, out| {
        let bias = bias.map(|bias| &bias[columns.clone()]);
        packed::product(Product {
            a: x,
            b: weight,
            terms: k,
            rows: 0..rows,
            columns,
            store: Store::Rows { bias },
            out,
            stride: out_stride,
        });
    });
}

/// `dx[rows, k] = dy W`, or `+=`, of packed operands, with the columns of `dx` split over threads.
pub(crate) fn packed_backward(
    (rows, n, k): (usize, usize, usize),
    dy: Lines<'_>,
    weight: Lines<'_>,
    accumulate: bool,
    dx: &mut [f32],
) {
    split_columns((rows, n, k), dx, k, |columns, dx| {
        packed::product(Product {
            a: weight,
            b: dy,
            terms: n,
            rows: columns,
            columns: 0..rows,
            store: Store::Columns { accumulate },
            out: dx,
            stride: k,
        });
    });
}

/// Calls `f` for disjoint column ranges of a row-major `[m, n]` matrix, in parallel if the work
/// pays for it. `f` gets the slice that starts at its first column.
fn split_columns<T: Real>(
    (m, k, n): (usize, usize, usize),
    out: &mut [T],
    out_stride: usize,
    f: impl Fn(std::ops::Range<usize>, &mut [T]) + Sync,
) {
    // Whole panels for each part, and the columns left over for the last: so no element is computed
    // in another way than without a split. Panels are also whole cache lines, so that threads do
    // not write to the same one.
    let panels = n / few_rows::COLUMNS;
    let parts = threads::parts_for(m * k * n).min(panels);
    if parts <= 1 {
        f(0..n, out);
        return;
    }
    check_extent(out.len(), m, n, out_stride, 1);
    let needed = if m == 0 { 0 } else { (m - 1) * out_stride + n };
    let base = SendPtr(out.as_mut_ptr());
    rayon::scope(|scope| {
        let f = &f;
        for part in 0..parts {
            let start = part * panels / parts * few_rows::COLUMNS;
            let end = (part + 1) * panels / parts * few_rows::COLUMNS;
            let columns = start..if part + 1 == parts { n } else { end };
            let base = &base;
            scope.spawn(move |_| {
                // SAFETY: the slice starts inside `out` and ends with it. Slices of different
                // parts overlap as address ranges, but each part writes only its own columns
                // and reads (when accumulating) only those; the closures are this module's
                // four above, and keep to that because both products touch `columns.len()` columns.
                #[expect(unsafe_code, reason = "interleaved columns cannot be split safely")]
                let part = unsafe {
                    std::slice::from_raw_parts_mut(
                        base.0.add(columns.start),
                        needed - columns.start,
                    )
                };
                threads::serial(|| f(columns, part));
            });
        }
    });
}

/// A pointer that may cross threads; see its one use.
struct SendPtr<T>(*mut T);
#[expect(unsafe_code, reason = "see split_columns")]
// SAFETY: the pointer is only used for disjoint columns, as `split_columns` explains.
unsafe impl<T: Send> Sync for SendPtr<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::{LinesBuf, Matrix};

    #[test]
    fn columns_split_over_threads_agree_exactly() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (m, k, n) in [(33, 384, 300), (1, 700, 5000), (40, 384, 200), (300, 384, 392)] {
            let a: Vec<f32> = (0..m * k).map(|i| ((i * 7919) % 997) as f32 / 997.0).collect();
            let b: Vec<f32> = (0..n * k).map(|i| ((i * 104_729) % 991) as f32 / 991.0).collect();
            let (va, vb, vt) = (View::rows(&a, k), View::rows(&b, k), View::rows(&b, n));
            let (mut split, mut whole) = (vec![0.0; m * n], vec![0.0; m * n]);
            pool.install(|| product_nt_parallel((m, k, n), va, vb, &mut split, n));
            product_nt((m, k, n), va, vb, &mut whole, n);
            assert_eq!(split, whole, "{m} {k} {n}");
            pool.install(|| product_parallel((m, k, n), va, vt, true, &mut split, n));
            product((m, k, n), 1.0, va, vt, true, &mut whole, n);
            assert_eq!(split, whole, "{m} {k} {n}");

            let matrix = |data, rows, columns| Matrix { data, rows, columns, stride: columns };
            let weight = LinesBuf::kept_along_columns(matrix(&b, n, k));
            let forward = || {
                let mut out = vec![0.0; m * n];
                let x = LinesBuf::along_rows(matrix(&a, m, k), |_| (), None);
                packed_forward((m, k, n), x.as_lines(), weight.as_lines(), None, &mut out, n);
                out
            };
            let split = pool.install(forward);
            assert_eq!(split, threads::serial(forward), "{m} {k} {n}");
            let backward = || {
                let mut dx = vec![0.0; m * k];
                let dy = LinesBuf::along_columns(matrix(&split, m, n));
                packed_backward((m, n, k), dy.as_lines(), weight.as_lines(), false, &mut dx);
                dx
            };
            assert_eq!(pool.install(backward), threads::serial(backward), "{m} {k} {n}");
        }
    }
}
