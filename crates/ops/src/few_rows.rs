//! Matrix products for the few rows of one or some sentences, where a packing GEMM is weak.
//!
//! With M rows each weight takes part in M multiply-adds only: for a sentence, getting the weights
//! out of memory takes as long as computing with them. `gemm` 0.19 first copies them into its own
//! layout (and for `X Wᵀ` transposes them); these kernels read them once, in place, and fetch the
//! next ones while they compute with the last. Measured, GFLOP/s of one Zen 4 core (peak 118) with
//! weights out of memory, this module : `gemm`, for `k` x `n` of
//!
//! | rows | `X Wᵀ` 384 x 1536 | 1536 x 384 | 768 x 768 | `dY W` 384 x 1536 | 1536 x 384 | 768 x 768 |
//! |---|---|---|---|---|---|---|
//! TABLE
//!
//! Every result is a sum in an order that depends on `k` only, never on the number of rows or
//! columns, so that splitting columns over threads changes nothing.

use pulp::{Arch, Simd, WithSimd};

/// Most rows for which [`product_nt`] is used. Above, the copy pays.
pub(crate) const MAX_ROWS: usize = 160;

/// Shorter sums spend their time at the edges of the tiles.
pub(crate) const MIN_K: usize = 128;

/// Columns of [`product_nn`] come in panels that divide this, at every SIMD level.
pub(crate) const COLUMNS: usize = 96;

/// `[rows, k]` or `[k, n]` in a slice, rows contiguous and `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn part(&self, row: usize, start: usize, len: usize) -> &'a [f32] {
        &self.data[row * self.stride + start..][..len]
    }
}

/// A matrix to write, rows contiguous and `stride` apart.
pub(crate) struct RowsMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) stride: usize,
}

/// `out[m, n] = a[m, k] b[n, k]ᵀ`.
pub(crate) fn product_nt(
    (m, k, n): (usize, usize, usize),
    a: Rows<'_>,
    b: Rows<'_>,
    out: RowsMut<'_>,
) {
    Arch::new().dispatch(ProductNt { m, k, n, a, b, out });
}

/// `out[m, n] = a[m, k] b[k, n]`, or `+=` with `accumulate`.
pub(crate) fn product_nn(
    (m, k, n): (usize, usize, usize),
    a: Rows<'_>,
    b: Rows<'_>,
    accumulate: bool,
    out: RowsMut<'_>,
) {
    Arch::new().dispatch(ProductNn { m, k, n, a, b, accumulate, out });
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Tells the processor that `data` will be read soon.
#[inline(always)]
fn prefetch(data: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in data.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint that reads nothing and cannot fault.
        #[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Registers of a sum's loop between two prefetches.
const STEP: usize = 8;

/// Dot products of rows: tiles of several rows of `a` by several rows of `b`, `k` along the
/// registers.
struct ProductNt<'a> {
    m: usize,
    k: usize,
    n: usize,
    a: Rows<'a>,
    b: Rows<'a>,
    out: RowsMut<'a>,
}

/// Elements of `a` per pass: they stay in the second-level cache while `b` streams by.
const A_BLOCK: usize = 192 * 1024;

impl WithSimd for ProductNt<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sums, one row of `a` and one value of `b` must fit the registers: with 16 of them the
        // large tile runs at half the speed of the small one.
        if S::REGISTER_COUNT >= 32 { self.run::<S, 4, 6>(simd) } else { self.run::<S, 2, 4>(simd) }
    }
}

impl ProductNt<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const C: usize>(mut self, simd: S) {
        let Self { m, k, n, .. } = self;
        let block = (A_BLOCK / k.max(1)).max(R) / R * R;
        for i0 in (0..m).step_by(block) {
            let tiles = m.min(i0 + block).div_ceil(R) - i0 / R;
            // Each tile fetches this many of the next C rows of `b`.
            let fetch = C.div_ceil(tiles);
            for j in (0..n).step_by(C) {
                for t in 0..tiles {
                    let i = i0 + t * R;
                    let first = (j + C + t * fetch).min(n);
                    let last = (first + fetch).min(j + 2 * C).min(n).max(first);
                    // A tile of fewer rows for the last ones, for short inputs.
                    match m - i {
                        1 => self.tile::<S, 1, C>(simd, i, j, first..last),
                        2 => self.tile::<S, 2, C>(simd, i, j, first..last),
                        3 if R > 3 => self.tile::<S, 3, C>(simd, i, j, first..last),
                        _ => self.tile::<S, R, C>(simd, i, j, first..last),
                    }
                }
            }
        }
    }

    /// The dot products of `R` rows of `a` from `i` on with `C` rows of `b` from `j` on; fetches
    /// rows `next` of `b`.
    ///
    /// Plain loops over arrays of constant size: they unroll into registers. (With closures, as
    /// in `array::from_fn`, the sums below compile to calls outside the SIMD level: a third of
    /// the speed.)
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        i: usize,
        j: usize,
        next: std::ops::Range<usize>,
    ) {
        let Self { k, n, .. } = *self;
        let columns = C.min(n - j);
        let empty: (&[S::f32s], &[f32]) = (&[], &[]);
        let (mut a, mut b) = ([empty; R], [empty; C]);
        for r in 0..R {
            a[r] = S::as_simd_f32s(self.a.part(i + r, 0, k));
        }
        for c in 0..C {
            // Beyond the edge the last row again; its products are not stored.
            b[c] = S::as_simd_f32s(self.b.part(j + c.min(columns - 1), 0, k));
        }
        let len = a[0].0.len();
        let none: &[S::f32s] = &[];
        let (mut x, mut y) = ([none; R], [none; C]);
        for r in 0..R {
            x[r] = &a[r].0[..len];
        }
        for c in 0..C {
            y[c] = &b[c].0[..len];
        }
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        for start in (0..len).step_by(STEP) {
            let end = len.min(start + STEP);
            for row in next.clone() {
                let lanes = S::F32_LANES;
                prefetch(self.b.part(row, start * lanes, (end - start) * lanes));
            }
            for p in start..end {
                for r in 0..R {
                    for c in 0..C {
                        sums[r][c] = simd.mul_add_f32s(x[r][p], y[c][p], sums[r][c]);
                    }
                }
            }
        }
        for r in 0..R {
            let out = &mut self.out.data[(i + r) * self.out.stride + j..][..columns];
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

/// Sums of rows of `b`: tiles of several rows by several registers of columns, a number of `a`
/// times a stretch of a row of `b` at a time.
struct ProductNn<'a> {
    m: usize,
    k: usize,
    n: usize,
    a: Rows<'a>,
    b: Rows<'a>,
    accumulate: bool,
    out: RowsMut<'a>,
}

/// Rows of `b` per pass: a panel of them stays in the first-level cache.
const K_BLOCK: usize = 128;

impl WithSimd for ProductNn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 4, 6>(simd) } else { self.run::<S, 4, 2>(simd) }
    }
}

/// A tile's place: rows, columns and the pass over `k`.
#[derive(Clone, Copy)]
struct Place {
    i: usize,
    j: usize,
    k0: usize,
    k1: usize,
}

impl ProductNn<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(mut self, simd: S) {
        let Self { m, k, n, .. } = self;
        let panel = V * S::F32_LANES;
        let tiles = m.div_ceil(R);
        // Of the next panel, each tile fetches this many rows in each step.
        let fetch = STEP.div_ceil(tiles);
        for k0 in (0..k).step_by(K_BLOCK) {
            let k1 = k.min(k0 + K_BLOCK);
            for j in (0..n).step_by(panel) {
                let next = if j + panel < n { (k0, j + panel) } else { (k1, 0) };
                for t in 0..tiles {
                    let place = Place { i: t * R, j, k0, k1 };
                    let next = (next.0 + t * fetch * (K_BLOCK / STEP), next.1, fetch);
                    match m - place.i {
                        1 => self.tile::<S, 1, V>(simd, place, next),
                        2 => self.tile::<S, 2, V>(simd, place, next),
                        3 => self.tile::<S, 3, V>(simd, place, next),
                        _ => self.tile::<S, R, V>(simd, place, next),
                    }
                }
            }
        }
    }

    /// `R` rows of the result by `V` registers of columns; fetches `next.2` rows of `b` from row
    /// `next.0`, column `next.1` on in each step.
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        Place { i, j, k0, k1 }: Place,
        (mut next_row, next_column, fetch): (usize, usize, usize),
    ) {
        let Self { k, n, .. } = *self;
        let panel = V * S::F32_LANES;
        let columns = panel.min(n - j);
        let next_columns = panel.min(n - next_column);
        let empty: &[f32] = &[];
        let mut a = [empty; R];
        for r in 0..R {
            a[r] = self.a.part(i + r, k0, k1 - k0);
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for start in (0..k1 - k0).step_by(STEP) {
            for row in next_row..(next_row + fetch).min(k) {
                prefetch(self.b.part(row, next_column, next_columns));
            }
            next_row += fetch;
            for p in start..(start + STEP).min(k1 - k0) {
                let b = self.b.part(k0 + p, j, columns);
                let mut x = [simd.splat_f32s(0.0); V];
                load(simd, b, &mut x);
                for r in 0..R {
                    let y = simd.splat_f32s(a[r][p]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_f32s(y, x[v], sums[r][v]);
                    }
                }
            }
        }
        let add = self.accumulate || k0 > 0;
        for r in 0..R {
            let out = &mut self.out.data[(i + r) * self.out.stride + j..][..columns];
            if add {
                let mut before = [simd.splat_f32s(0.0); V];
                load(simd, out, &mut before);
                for v in 0..V {
                    sums[r][v] = simd.add_f32s(before[v], sums[r][v]);
                }
            }
            store(simd, &sums[r], out);
        }
    }
}

/// Loads up to `V` registers; zeros beyond the end.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, from: &[f32], to: &mut [S::f32s; V]) {
    if from.len() == V * S::F32_LANES {
        let (whole, _) = S::as_simd_f32s(from);
        to.copy_from_slice(whole);
    } else {
        for (to, from) in to.iter_mut().zip(from.chunks(S::F32_LANES)) {
            *to = simd.partial_load_f32s(from);
        }
    }
}

/// Stores as many elements as `to` has.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, from: &[S::f32s; V], to: &mut [f32]) {
    for (&from, to) in from.iter().zip(to.chunks_mut(S::F32_LANES)) {
        simd.partial_store_f32s(to, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The kernels with the tiles of machines with few registers.
    struct SmallTiles<T>(T);

    impl WithSimd for SmallTiles<ProductNt<'_>> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run::<S, 2, 4>(simd);
        }
    }

    impl WithSimd for SmallTiles<ProductNn<'_>> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run::<S, 4, 2>(simd);
        }
    }

    fn value(i: usize) -> f32 {
        ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0
    }

    proptest! {
        /// Both kernels agree with the definition on all edge sizes, with all tiles, and write
        /// only their columns.
        #[test]
        fn agree_with_the_definition(
            m in 1usize..14, k in 1usize..300, n in 1usize..210, long in 0usize..10,
            accumulate in any::<bool>(),
        ) {
            // Long enough for several blocks of rows of `a`.
            let k = if long == 0 { k + A_BLOCK / 4 } else { k };
            let n = if long == 0 { n.min(9) } else { n };
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..n * k).map(|i| value(i + 77)).collect();
            let transposed: Vec<f32> =
                (0..n * k).map(|i| b[i % n * k + i / n]).collect();
            let (rows, columns) = (Rows { data: &a, stride: k }, Rows { data: &b, stride: k });
            let rows_of_b = Rows { data: &transposed, stride: n };
            let stride = n + 3;
            let check = |out: &[f32], start: f32| {
                for (i, out) in out.chunks(stride).enumerate() {
                    prop_assert_eq!(&out[n..], &[7.0; 3]);
                    for (j, &got) in out[..n].iter().enumerate() {
                        let dot = a[i * k..][..k].iter().zip(&b[j * k..][..k]);
                        let want = dot.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
                        // Sums of k products below 1: a few units in the last place of k.
                        let error = (f64::from(got - start) - want).abs();
                        prop_assert!(error < 1e-6 * k as f64 + 2e-6, "{got} {want}");
                    }
                }
                Ok(())
            };
            for small in [false, true] {
                let mut data = vec![7.0; m * stride];
                let out = RowsMut { data: &mut data, stride };
                let nt = ProductNt { m, k, n, a: rows, b: columns, out };
                if small {
                    Arch::new().dispatch(SmallTiles(nt));
                } else {
                    Arch::new().dispatch(nt);
                }
                check(&data, 0.0)?;

                let mut data = vec![7.0; m * stride];
                let out = RowsMut { data: &mut data, stride };
                let nn = ProductNn { m, k, n, a: rows, b: rows_of_b, accumulate, out };
                if small {
                    Arch::new().dispatch(SmallTiles(nn));
                } else {
                    Arch::new().dispatch(nn);
                }
                check(&data, if accumulate { 7.0 } else { 0.0 })?;
            }
        }
    }
}
