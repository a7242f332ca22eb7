//! Matrix products for the few rows of one or some sentences, where a packing GEMM is weak.
//!
//! With M rows each weight takes part in M multiply-adds only: for a sentence, getting the weights
//! out of memory takes as long as computing with them. `gemm` 0.19 first copies them into its own
//! layout (and for `X Wᵀ` transposes them); these kernels read them once, in place, and fetch the
//! next ones while they compute with the last. GFLOP/s of one core (Zen 4 at 118 peak, weights out
//! of memory, the machine shared with compilers), this module : `gemm`, for `k` x `n` of
//!
//! | rows | `X Wᵀ` 384 x 384 | 768 x 768 | 3072 x 768 | `dY W` 384 x 384 | 768 x 768 | 3072 x 768 |
//! |---|---|---|---|---|---|---|
//! | 1 | 5 : 10 | 7 : 11 | 10 : 9 | 4 : 9 | 5 : 9 | 5 : 9 |
//! | 4 | 21 : 13 | 26 : 8 | 33 : 3 | 18 : 16 | 17 : 13 | 18 : 15 |
//! | 16 | 46 : 32 | 52 : 25 | 60 : 9 | 55 : 34 | 57 : 38 | 57 : 38 |
//! | 32 | 78 : 56 | 84 : 44 | 88 : 18 | 86 : 56 | 83 : 54 | 86 : 56 |
//! | 64 | 73 : 73 | 80 : 58 | 60 : 21 | 89 : 77 | 86 : 77 | 82 : 74 |
//! | 128 | 76 : 85 | 86 : 75 | 77 : 35 | 97 : 91 | 95 : 91 | 85 : 82 |
//! | 256 | 61 : 89 | 92 : 85 | 85 : 64 | 98 : 90 | 76 : 78 | 71 : 54 |
//!
//! Every element is a sum in an order that depends on `k` only, so that splitting columns over
//! threads changes nothing.

use pulp::{Arch, Simd, WithSimd};

/// Whether [`product_nt`] is the faster: see the table above. Sums shorter than 128 (an attention
/// head) spend their time at the edges of the tiles.
pub(crate) fn serves_nt(m: usize, k: usize) -> bool {
    match k {
        0..128 => false,
        128..512 => (2..=64).contains(&m),
        _ => (2..=384).contains(&m),
    }
}

/// Whether [`product_nn`] is the faster.
pub(crate) fn serves_nn(m: usize, k: usize) -> bool {
    k >= 128 && (2..=160).contains(&m)
}

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

/// Tells the processor that the cache line with element `at` will be read soon, if it is there.
#[inline(always)]
fn prefetch(data: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if at < data.len() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint that reads nothing and cannot fault.
        #[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(data.as_ptr().wrapping_add(at).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, at);
}

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
            let fetch = C.div_ceil(tiles);
            for j in (0..n).step_by(C) {
                for t in 0..tiles {
                    let i = i0 + t * R;
                    // The first tiles share out the next rows of `b`.
                    let next = (j + C + t * fetch) * self.b.stride;
                    let fetch = C.saturating_sub(t * fetch).min(fetch);
                    let next = (self.b.data.get(next..).unwrap_or(&[]), fetch);
                    // A tile of fewer rows for the last ones, for short inputs.
                    match m - i {
                        1 => self.tile::<S, 1, C, true>(simd, i, j, next),
                        2 => self.tile::<S, 2, C, true>(simd, i, j, next),
                        3 if R > 3 => self.tile::<S, 3, C, true>(simd, i, j, next),
                        _ if fetch > 0 => self.tile::<S, R, C, true>(simd, i, j, next),
                        _ => self.tile::<S, R, C, false>(simd, i, j, next),
                    }
                }
            }
        }
    }

    /// The dot products of `R` rows of `a` from `i` on with `C` rows of `b` from `j` on, while
    /// fetching the first `next.1` rows of `next.0` (with `FETCH`).
    ///
    /// Plain loops over arrays of constant size: they unroll into registers. (With closures, as
    /// in `array::from_fn`, the sums below compile to calls outside the SIMD level: a third of
    /// the speed.)
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize, const FETCH: bool>(
        &mut self,
        simd: S,
        i: usize,
        j: usize,
        (next, fetch): (&[f32], usize),
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
        for p in 0..len {
            if FETCH {
                for row in 0..fetch {
                    prefetch(next, row * self.b.stride + p * S::F32_LANES);
                }
            }
            for r in 0..R {
                for c in 0..C {
                    sums[r][c] = simd.mul_add_f32s(x[r][p], y[c][p], sums[r][c]);
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
        // Lines that a tile fetches at a time, so that all tiles together fetch the next panel.
        let fetch = panel.div_ceil(LINE).div_ceil(tiles);
        for k0 in (0..k).step_by(K_BLOCK) {
            let k1 = k.min(k0 + K_BLOCK);
            for j in (0..n).step_by(panel) {
                let (row, column) = if j + panel < n { (k0, j + panel) } else { (k1, 0) };
                let next = self.b.data.get(row * self.b.stride + column..).unwrap_or(&[]);
                for t in 0..tiles {
                    let place = Place { i: t * R, j, k0, k1 };
                    let next = (next, t * (k1 - k0) * fetch, fetch);
                    match (m - place.i, j + panel <= n) {
                        (1, _) => self.tile::<S, 1, V, false>(simd, place, next),
                        (2, _) => self.tile::<S, 2, V, false>(simd, place, next),
                        (3, _) => self.tile::<S, 3, V, false>(simd, place, next),
                        (_, true) => self.tile::<S, R, V, true>(simd, place, next),
                        (_, false) => self.tile::<S, R, V, false>(simd, place, next),
                    }
                }
            }
        }
    }

    /// `R` rows of the result by `V` registers of columns, while fetching the lines of the panel
    /// `next.0` from number `next.1` on, `next.2` at a time. With `WHOLE`, all columns are there: a test of
    /// that in the innermost loop would keep the sums out of registers.
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        Place { i, j, k0, k1 }: Place,
        (next, first_line, fetch): (&[f32], usize, usize),
    ) {
        let n = self.n;
        let panel = V * S::F32_LANES;
        let columns = if WHOLE { panel } else { panel.min(n - j) };
        let lines = panel.div_ceil(LINE);
        // Past its end the panel is fetched already.
        let next = if first_line < lines * (k1 - k0) { next } else { &[] };
        let empty: &[f32] = &[];
        let mut a = [empty; R];
        for r in 0..R {
            a[r] = self.a.part(i + r, k0, k1 - k0);
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for p in 0..k1 - k0 {
            for line in first_line + p * fetch..first_line + (p + 1) * fetch {
                prefetch(next, line / lines * self.b.stride + line % lines * LINE);
            }
            let mut edge = [simd.splat_f32s(0.0); V];
            let x = load::<S, V, WHOLE>(simd, self.b.part(k0 + p, j, columns), &mut edge);
            for r in 0..R {
                let y = simd.splat_f32s(a[r][p]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_f32s(y, x[v], sums[r][v]);
                }
            }
        }
        let add = self.accumulate || k0 > 0;
        for r in 0..R {
            let out = &mut self.out.data[(i + r) * self.out.stride + j..][..columns];
            if add {
                let mut edge = [simd.splat_f32s(0.0); V];
                let before = load::<S, V, WHOLE>(simd, out, &mut edge);
                for v in 0..V {
                    sums[r][v] = simd.add_f32s(before[v], sums[r][v]);
                }
            }
            store(simd, &sums[r], out);
        }
    }
}

/// Up to `V` registers, exactly so many if `WHOLE`: then where they are, not copied. Otherwise in
/// `edge`, which holds zeros.
#[inline(always)]
fn load<'a, S: Simd, const V: usize, const WHOLE: bool>(
    simd: S,
    from: &'a [f32],
    edge: &'a mut [S::f32s; V],
) -> &'a [S::f32s; V] {
    if WHOLE && let Some(whole) = S::as_simd_f32s(from).0.first_chunk() {
        return whole;
    }
    for (to, from) in edge.iter_mut().zip(from.chunks(S::F32_LANES)) {
        *to = simd.partial_load_f32s(from);
    }
    edge
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
                        // Sums of k products below 1: some units in the last place of k (these
                        // numbers are no noise: partial sums grow, and round one way).
                        let error = (f64::from(got - start) - want).abs();
                        prop_assert!(error < 4e-6 * k as f64 + 2e-6, "{got} {want}");
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
