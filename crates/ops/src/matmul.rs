//! Matrix products on slices: the `gemm` crate, and a kernel of our own where it is weak.
//!
//! A weight is kept once, as stored: `[out, in]`, row-major. The backward product `dY W` reads it
//! along its rows, which every GEMM likes. The forward product `X Wᵀ` makes a packing GEMM
//! transpose all of `W` first, which for the few rows of one sentence costs more than the
//! product: [`product_nt`] then takes dot products of rows instead, which packs nothing.

use pulp::{Arch, Simd, WithSimd};

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

/// At most this many rows go to the dot-product kernel; measured break-even with `gemm` 0.19 on
/// Zen 4 (`cargo bench -p glossator-ops matmul`).
const FEW_ROWS: usize = 96;

/// `out[m, n] = a[m, k] b[n, k]ᵀ`: both inputs have contiguous rows. `out` has rows of
/// `out_stride` and is overwritten in its first `n` columns.
pub(crate) fn product_nt<T: Real>(
    dims: (usize, usize, usize),
    a: View<'_, T>,
    b: View<'_, T>,
    out: &mut [T],
    out_stride: usize,
) {
    let (m, k, n) = dims;
    if m <= FEW_ROWS
        && k > 0
        && let (Some(a32), Some(b32)) = (T::as_f32(a.data), T::as_f32(b.data))
        && let Some(out32) = T::as_f32_mut(out)
    {
        let (a, b) = (View { data: a32, ..a.cast() }, View { data: b32, ..b.cast() });
        a.check(m, k);
        b.check(n, k);
        check_extent(out32.len(), m, n, out_stride, 1);
        Arch::new().dispatch(DotRows { dims, a, b, out: out32, out_stride });
    } else {
        product(dims, T::ONE, a, b.transposed(), false, out, out_stride);
    }
}

impl<T> View<'_, T> {
    /// The same geometry over no data, to carry it to another scalar type.
    fn cast<U>(&self) -> View<'static, U> {
        View { data: &[], row_stride: self.row_stride, col_stride: self.col_stride }
    }
}

/// The dot-product kernel: tiles of 4 x 4 (two or four SIMD registers of loads feed sixteen
/// multiply-adds), the longest dimension along the registers.
struct DotRows<'a> {
    dims: (usize, usize, usize),
    a: View<'a, f32>,
    b: View<'a, f32>,
    out: &'a mut [f32],
    out_stride: usize,
}

/// Columns of `k` per pass, so that four rows of `b` stay in the first-level cache.
const K_BLOCK: usize = 1024;

impl WithSimd for DotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dims: (m, k, n), a, b, out, out_stride } = self;
        let a_row = |r: usize, k0: usize, k1: usize| &a.data[r * a.row_stride..][k0..k1];
        let b_row = |r: usize, k0: usize, k1: usize| &b.data[r * b.row_stride..][k0..k1];
        let mut k0 = 0;
        while k0 < k {
            let k1 = k.min(k0 + K_BLOCK);
            let first = k0 == 0;
            let mut j = 0;
            while j < n {
                let nj = (n - j).min(4);
                // Rows beyond the edge repeat the last one; their products are not stored.
                let bs = std::array::from_fn(|c| b_row(j + c.min(nj - 1), k0, k1));
                let mut i = 0;
                while i < m {
                    let mi = (m - i).min(4);
                    let rows = std::array::from_fn(|r| a_row(i + r.min(mi - 1), k0, k1));
                    let tile = dot_tile(simd, rows, bs);
                    for (r, sums) in tile.iter().enumerate().take(mi) {
                        let target = &mut out[(i + r) * out_stride + j..][..nj];
                        for (value, &sum) in target.iter_mut().zip(sums) {
                            *value = if first { sum } else { *value + sum };
                        }
                    }
                    i += 4;
                }
                j += 4;
            }
            k0 = k1;
        }
    }
}

/// All sixteen dot products of four rows with four rows.
#[inline(always)]
fn dot_tile<S: Simd>(simd: S, a: [&[f32]; 4], b: [&[f32]; 4]) -> [[f32; 4]; 4] {
    let split = |row| S::as_simd_f32s(row);
    let (a0, a0_tail) = split(a[0]);
    let len = a0.len();
    let (a1, a2, a3) = (&split(a[1]).0[..len], &split(a[2]).0[..len], &split(a[3]).0[..len]);
    let (b0, b1) = (&split(b[0]).0[..len], &split(b[1]).0[..len]);
    let (b2, b3) = (&split(b[2]).0[..len], &split(b[3]).0[..len]);
    let zero = simd.splat_f32s(0.0);
    let mut acc = [[zero; 4]; 4];
    for p in 0..len {
        let (x0, x1, x2, x3) = (a0[p], a1[p], a2[p], a3[p]);
        let (y0, y1, y2, y3) = (b0[p], b1[p], b2[p], b3[p]);
        acc[0][0] = simd.mul_add_f32s(x0, y0, acc[0][0]);
        acc[0][1] = simd.mul_add_f32s(x0, y1, acc[0][1]);
        acc[0][2] = simd.mul_add_f32s(x0, y2, acc[0][2]);
        acc[0][3] = simd.mul_add_f32s(x0, y3, acc[0][3]);
        acc[1][0] = simd.mul_add_f32s(x1, y0, acc[1][0]);
        acc[1][1] = simd.mul_add_f32s(x1, y1, acc[1][1]);
        acc[1][2] = simd.mul_add_f32s(x1, y2, acc[1][2]);
        acc[1][3] = simd.mul_add_f32s(x1, y3, acc[1][3]);
        acc[2][0] = simd.mul_add_f32s(x2, y0, acc[2][0]);
        acc[2][1] = simd.mul_add_f32s(x2, y1, acc[2][1]);
        acc[2][2] = simd.mul_add_f32s(x2, y2, acc[2][2]);
        acc[2][3] = simd.mul_add_f32s(x2, y3, acc[2][3]);
        acc[3][0] = simd.mul_add_f32s(x3, y0, acc[3][0]);
        acc[3][1] = simd.mul_add_f32s(x3, y1, acc[3][1]);
        acc[3][2] = simd.mul_add_f32s(x3, y2, acc[3][2]);
        acc[3][3] = simd.mul_add_f32s(x3, y3, acc[3][3]);
    }
    let tail = a[0].len() - a0_tail.len();
    std::array::from_fn(|r| {
        std::array::from_fn(|c| {
            let rest: f32 = a[r][tail..].iter().zip(&b[c][tail..]).map(|(x, y)| x * y).sum();
            simd.reduce_sum_f32s(acc[r][c]) + rest
        })
    })
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

/// Calls `f` for disjoint column ranges of a row-major `[m, n]` matrix, in parallel if the work
/// pays for it. `f` gets the slice that starts at its first column.
fn split_columns<T: Real>(
    (m, k, n): (usize, usize, usize),
    out: &mut [T],
    out_stride: usize,
    f: impl Fn(std::ops::Range<usize>, &mut [T]) + Sync,
) {
    let parts = threads::parts_for(m * k * n);
    if parts <= 1 {
        f(0..n, out);
        return;
    }
    // Columns in whole cache lines, so that threads do not write to the same one.
    let per_part = n.div_ceil(parts).next_multiple_of(16);
    check_extent(out.len(), m, n, out_stride, 1);
    let needed = if m == 0 { 0 } else { (m - 1) * out_stride + n };
    let base = SendPtr(out.as_mut_ptr());
    rayon::scope(|scope| {
        let f = &f;
        for start in (0..n).step_by(per_part) {
            let columns = start..n.min(start + per_part);
            let base = &base;
            scope.spawn(move |_| {
                // SAFETY: the slice starts inside `out` and ends with it. Slices of different
                // parts overlap as address ranges, but each part writes only its own columns
                // and reads (when accumulating) only those; the closures are this module's
                // two above, and keep to that because `product` touches `columns.len()` columns.
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
    use proptest::prelude::*;

    fn naive(m: usize, k: usize, n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                let dot = (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[j * k + p]));
                out[i * n + j] = dot.sum::<f64>() as f32;
            }
        }
        out
    }

    proptest! {
        /// The dot-product kernel and its split over threads agree with the definition on all
        /// edge sizes (tiles of 4, registers of 4 to 16, blocks of 1,024).
        #[test]
        fn dot_rows_agree_with_the_definition(
            m in 1usize..10, k in 1usize..70, n in 1usize..40, long in proptest::bool::ANY,
        ) {
            let k = if long { k + 1000 } else { k };
            let value = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..n * k).map(|i| value(i + 77)).collect();
            let expected = naive(m, k, n, &a, &b);
            let mut out = vec![f32::NAN; m * n];
            product_nt((m, k, n), View::rows(&a, k), View::rows(&b, k), &mut out, n);
            for (got, want) in out.iter().zip(&expected) {
                // Sums of k products below 1: a few units in the last place of k.
                prop_assert!((got - want).abs() < 1e-6 * k as f32 + 1e-6, "{got} {want}");
            }
        }
    }

    #[test]
    fn columns_split_over_threads_agree_exactly() {
        let (m, k, n) = (33, 384, 200);
        let a: Vec<f32> = (0..m * k).map(|i| ((i * 7919) % 997) as f32 / 997.0).collect();
        let b: Vec<f32> = (0..n * k).map(|i| ((i * 104_729) % 991) as f32 / 991.0).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let mut split = vec![0.0; m * n];
        let (va, vb) = (View::rows(&a, k), View::rows(&b, k));
        pool.install(|| product_nt_parallel((m, k, n), va, vb, &mut split, n));
        let mut whole = vec![0.0; m * n];
        product_nt((m, k, n), va, vb, &mut whole, n);
        assert_eq!(split, whole);
    }
}
