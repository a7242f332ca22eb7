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
    if dots_are_faster(m, k)
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

/// Whether dot products of rows beat `gemm` 0.19, which packs a transposed copy of `b` first.
///
/// GFLOP/s of one Zen 4 core (peak 118), dots against gemm, for `k` x `n` of
///
/// | rows | 32 x 32 | 384 x 384 | 768 x 768 | 1536 x 384 | 3072 x 768 |
/// |---|---|---|---|---|---|
/// | 8 | 17 : 22 | 77 : 26 | 87 : 15 | 91 : 7 | 76 : 4 |
/// | 32 | 24 : 56 | 87 : 69 | 92 : 43 | 100 : 23 | 74 : 16 |
/// | 128 | 24 : 88 | 88 : 97 | 94 : 74 | 98 : 56 | 68 : 35 |
/// | 256 | 24 : 94 | 83 : 103 | 95 : 94 | 99 : 76 | 78 : 70 |
/// | 512 | 25 : 87 | 94 : 111 | 92 : 86 | 97 : 91 | 72 : 74 |
///
/// Short rows (one attention head) spend their time adding up registers: gemm's.
fn dots_are_faster(m: usize, k: usize) -> bool {
    match k {
        0..128 => false,
        128..512 => m <= 96,
        _ => m <= 384,
    }
}

impl<T> View<'_, T> {
    /// The same geometry over no data, to carry it to another scalar type.
    fn cast<U>(&self) -> View<'static, U> {
        View { data: &[], row_stride: self.row_stride, col_stride: self.col_stride }
    }
}

/// The dot-product kernel: tiles of several rows of `a` by several rows of `b`, the longest
/// dimension along the registers.
struct DotRows<'a> {
    dims: (usize, usize, usize),
    a: View<'a, f32>,
    b: View<'a, f32>,
    out: &'a mut [f32],
    out_stride: usize,
}

/// Elements of `a` per pass: they stay in the second-level cache while `b` streams by.
const A_BLOCK: usize = 192 * 1024;

impl WithSimd for DotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sums, one row of `a` and one value of `b` must fit the registers: with 16 of them the
        // large tile would run at half the speed of the small one.
        if S::REGISTER_COUNT >= 32 { self.run::<S, 4, 6>(simd) } else { self.run::<S, 2, 4>(simd) }
    }
}

impl DotRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const COLS: usize>(mut self, simd: S) {
        let (m, k, n) = self.dims;
        let block = (A_BLOCK / k.max(1)).max(ROWS) / ROWS * ROWS;
        for i0 in (0..m).step_by(block) {
            for j in (0..n).step_by(COLS) {
                for i in (i0..m.min(i0 + block)).step_by(ROWS) {
                    // A tile of fewer rows for the last ones, for short inputs.
                    match m - i {
                        1 => self.tile::<S, 1, COLS>(simd, i, j),
                        2 => self.tile::<S, 2, COLS>(simd, i, j),
                        3 if ROWS > 3 => self.tile::<S, 3, COLS>(simd, i, j),
                        _ => self.tile::<S, ROWS, COLS>(simd, i, j),
                    }
                }
            }
        }
    }

    /// The dot products of `ROWS` rows of `a` from `i` on with `COLS` rows of `b` from `j` on.
    ///
    /// Plain loops over arrays of constant size: they unroll into registers. (With closures, as
    /// in `array::from_fn`, the sums below compile to calls outside the SIMD level: a third of
    /// the speed.)
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const COLS: usize>(&mut self, simd: S, i: usize, j: usize) {
        let (_, k, n) = self.dims;
        let columns = COLS.min(n - j);
        let empty: (&[S::f32s], &[f32]) = (&[], &[]);
        let (mut a, mut b) = ([empty; ROWS], [empty; COLS]);
        for r in 0..ROWS {
            a[r] = S::as_simd_f32s(&self.a.data[(i + r) * self.a.row_stride..][..k]);
        }
        for c in 0..COLS {
            // Beyond the edge the last row again; its products are not stored.
            let row = j + c.min(columns - 1);
            b[c] = S::as_simd_f32s(&self.b.data[row * self.b.row_stride..][..k]);
        }
        let len = a[0].0.len();
        let none: &[S::f32s] = &[];
        let (mut x, mut y) = ([none; ROWS], [none; COLS]);
        for r in 0..ROWS {
            x[r] = &a[r].0[..len];
        }
        for c in 0..COLS {
            y[c] = &b[c].0[..len];
        }
        let mut sums = [[simd.splat_f32s(0.0); COLS]; ROWS];
        for p in 0..len {
            for r in 0..ROWS {
                for c in 0..COLS {
                    sums[r][c] = simd.mul_add_f32s(x[r][p], y[c][p], sums[r][c]);
                }
            }
        }
        for r in 0..ROWS {
            let out = &mut self.out[(i + r) * self.out_stride + j..][..columns];
            for c in 0..columns {
                let mut sum = simd.reduce_sum_f32s(sums[r][c]);
                for (x, y) in a[r].1.iter().zip(b[c].1) {
                    sum += x * y;
                }
                out[c] = sum;
            }
        }
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

    /// The kernel with the tile of machines with few registers.
    struct SmallTile<'a>(DotRows<'a>);

    impl WithSimd for SmallTile<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run::<S, 2, 4>(simd);
        }
    }

    proptest! {
        /// The dot-product kernel agrees with the definition on all edge sizes (tiles of 4 x 6 and
        /// 2 x 4, registers of 4 to 16, blocks), and writes only its columns.
        #[test]
        fn dot_rows_agree_with_the_definition(
            m in 1usize..10, k in 1usize..70, n in 1usize..40, long in proptest::bool::ANY,
        ) {
            let k = if long { k + A_BLOCK / 4 } else { k };
            let value = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..n * k).map(|i| value(i + 77)).collect();
            let expected = naive(m, k, n, &a, &b);
            for small in [false, true] {
                let out_stride = n + 3;
                let mut out = vec![7.0; m * out_stride];
                let dots = DotRows {
                    dims: (m, k, n),
                    a: View::rows(&a, k),
                    b: View::rows(&b, k),
                    out: &mut out,
                    out_stride,
                };
                if small {
                    Arch::new().dispatch(SmallTile(dots));
                } else {
                    Arch::new().dispatch(dots);
                }
                for (out, want) in out.chunks(out_stride).zip(expected.chunks(n)) {
                    prop_assert_eq!(&out[n..], &[7.0; 3]);
                    for (got, want) in out.iter().zip(want) {
                        // Sums of k products below 1: a few units in the last place of k.
                        prop_assert!((got - want).abs() < 1e-6 * k as f32 + 1e-6, "{got} {want}");
                    }
                }
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
