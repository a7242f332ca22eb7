//! Matrix products with a weight that was packed once: `X Wᵀ` and `dY W` out of one copy.
//!
//! A general product packs both operands in every call. The weight of an explained model never
//! changes, so it is packed at its first use, and what is left to do is what the processor can do
//! at its peak. See [`Lines`] for the layout that serves both directions.
//!
//! Every number of a result is a sum in an order that depends on the length of the sum only, so
//! that splitting rows or columns over threads changes nothing.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::lines::{LINE, Line, Lines};

/// Terms of the sum per pass: a block of sixteen columns so long stays in the first-level cache.
const DEPTH: usize = 256;

/// Rows per pass: so many of [`DEPTH`] terms stay in the second-level cache.
const ROWS: usize = 192;

/// How a table `t[i, j]` is written.
#[derive(Clone, Copy)]
pub(crate) enum Store<'a> {
    /// `out[i, j] = t[i, j] + bias[j]`, with `bias` from the first column of the part on.
    Rows { bias: Option<&'a [f32]> },
    /// `out[j, i] = t[i, j]`, or `+=`.
    Columns { accumulate: bool },
}

/// A part of the table `t[i, j] = Σₚ a[i, p] b[j, p]`.
pub(crate) struct Product<'a> {
    /// Lines along `p`: block `p / 16`, index `i`.
    pub(crate) a: Lines<'a>,
    /// Lines along `j`: block `j / 16`, index `p`.
    pub(crate) b: Lines<'a>,
    /// The length of the sum.
    pub(crate) terms: usize,
    /// The `i` of the part.
    pub(crate) rows: Range<usize>,
    /// The `j` of the part, from a multiple of sixteen on.
    pub(crate) columns: Range<usize>,
    pub(crate) store: Store<'a>,
    /// From the part's first number on, in rows of `stride`.
    pub(crate) out: &'a mut [f32],
    pub(crate) stride: usize,
}

/// Computes it at the best SIMD level of this machine.
pub(crate) fn product(product: Product<'_>) {
    Arch::new().dispatch(product);
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sums, a step of `b` and one number of `a` must fit the registers.
        match (S::F32_LANES, S::REGISTER_COUNT) {
            (16, _) => self.run::<S, 12, 6, 2, 2, 1, 1>(simd),
            (8, _) => self.run::<S, 6, 3, 1, 1, 2, 1>(simd),
            (4, 32..) => self.run::<S, 6, 3, 1, 1, 4, 2>(simd),
            (4, _) => self.run::<S, 2, 2, 1, 1, 4, 2>(simd),
            _ => self.run::<S, 1, 1, 1, 1, 16, 8>(simd),
        }
    }
}

/// A tile's place: its first row and column, and the terms of this pass.
#[derive(Clone, Copy)]
struct Place {
    i: usize,
    j: usize,
    p0: usize,
    p1: usize,
}

impl Product<'_> {
    /// Tiles of `R` (near the edge `H` or `Q`) rows by `P` lines of `V` registers (near the edge
    /// one line, or `W` registers).
    #[inline(always)]
    fn run<
        S: Simd,
        const R: usize,
        const H: usize,
        const Q: usize,
        const P: usize,
        const V: usize,
        const W: usize,
    >(
        mut self,
        simd: S,
    ) {
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        for (p0, p1) in parts(0..self.terms, DEPTH, LINE) {
            for (i0, i1) in parts(rows.clone(), ROWS, R) {
                let mut j = columns.start;
                while j < columns.end {
                    let left = columns.end - j;
                    let mut i = i0;
                    while i < i1 {
                        let place = Place { i, j, p0, p1 };
                        let at_most = if P > 1 && left > LINE {
                            self.tiles::<S, R, H, Q, P, V>(simd, place, i1)
                        } else if left > W * S::F32_LANES {
                            self.tiles::<S, R, H, Q, 1, V>(simd, place, i1)
                        } else {
                            self.tiles::<S, R, H, Q, 1, W>(simd, place, i1)
                        };
                        i += at_most;
                    }
                    j += if left > LINE { P * LINE } else { LINE };
                }
            }
        }
    }

    /// The tile at a place, and how many rows it has at most.
    #[inline(always)]
    fn tiles<
        S: Simd,
        const R: usize,
        const H: usize,
        const Q: usize,
        const P: usize,
        const V: usize,
    >(
        &mut self,
        simd: S,
        place: Place,
        end: usize,
    ) -> usize {
        let left = end - place.i;
        if left > H {
            self.tile::<S, R, P, V>(simd, place, left);
            R
        } else if left > Q {
            self.tile::<S, H, P, V>(simd, place, left);
            H
        } else {
            self.tile::<S, Q, P, V>(simd, place, left);
            Q
        }
    }

    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        place: Place,
        rows: usize,
    ) {
        let sums = self.sums::<S, R, P, V>(simd, place);
        let (rows, columns) = (rows.min(R), (self.columns.end - place.j).min(P * V * S::F32_LANES));
        let (i, j) = (place.i - self.rows.start, place.j - self.columns.start);
        match self.store {
            Store::Rows { bias } => {
                let bias = bias.filter(|_| place.p0 == 0).map(|bias| &bias[j..][..columns]);
                for r in 0..rows {
                    let out = &mut self.out[(i + r) * self.stride + j..][..columns];
                    store_row::<S, P, V>(simd, &sums[r], place.p0 > 0, bias, out);
                }
            }
            Store::Columns { accumulate } => {
                let mut tile = [[[0.0; LINE]; P]; R];
                for r in 0..R {
                    for q in 0..P {
                        let line = S::as_mut_simd_f32s(&mut tile[r][q]).0;
                        line[..V].copy_from_slice(&sums[r][q]);
                    }
                }
                let add = accumulate || place.p0 > 0;
                for c in 0..columns {
                    let out = &mut self.out[(j + c) * self.stride + i..][..rows];
                    let column = |r: usize| tile[r][c / LINE][c % LINE];
                    match out.first_chunk_mut::<R>() {
                        Some(out) if add => (0..R).for_each(|r| out[r] += column(r)),
                        Some(out) => (0..R).for_each(|r| out[r] = column(r)),
                        None if add => (0..rows).for_each(|r| out[r] += column(r)),
                        None => (0..rows).for_each(|r| out[r] = column(r)),
                    }
                }
            }
        }
    }

    /// The sums of a tile over the terms of a pass.
    ///
    /// Plain loops over arrays of constant size: they unroll into registers. With closures they
    /// would compile to calls outside of the SIMD level.
    #[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
    #[inline(always)]
    fn sums<S: Simd, const R: usize, const P: usize, const V: usize>(
        &self,
        simd: S,
        Place { i, j, p0, p1 }: Place,
    ) -> [[[S::f32s; V]; P]; R] {
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
        let none: &[Line] = &[];
        let mut b = [none; P];
        for q in 0..P {
            b[q] = &self.b.from(j / LINE + q, p0)[..p1 - p0];
        }
        let (a, stride) = self.a.parts();
        let mut at = p0 / LINE * stride + i;
        let mut p = 0;
        while p < p1 - p0 {
            let Some(x) = a[at..].first_chunk::<R>() else { break };
            let whole = whole_blocks::<P>(&b, p);
            if let Some(y) = whole {
                // What the next tile needs.
                for r in 0..R {
                    prefetch(a, at + R + r);
                }
                for t in 0..LINE {
                    let mut lines = [&y[0][t]; P];
                    for q in 1..P {
                        lines[q] = &y[q][t];
                    }
                    step::<S, R, P, V>(simd, x, t, lines, &mut sums);
                }
            } else {
                for t in 0..p1 - p0 - p {
                    let mut lines = [&b[0][p + t]; P];
                    for q in 1..P {
                        lines[q] = &b[q][p + t];
                    }
                    step::<S, R, P, V>(simd, x, t, lines, &mut sums);
                }
            }
            at += stride;
            p += LINE;
        }
        sums
    }
}

/// Sixteen lines of each slice from `p` on, unless there are fewer: of known number, so that the
/// innermost loop tests no bounds.
#[inline(always)]
fn whole_blocks<'a, const P: usize>(
    b: &[&'a [Line]; P],
    p: usize,
) -> Option<[&'a [Line; LINE]; P]> {
    let mut blocks = [b[0].get(p..)?.first_chunk::<LINE>()?; P];
    for q in 1..P {
        blocks[q] = b[q].get(p..)?.first_chunk::<LINE>()?;
    }
    Some(blocks)
}

/// One term of each sum of a tile.
#[inline(always)]
fn step<S: Simd, const R: usize, const P: usize, const V: usize>(
    simd: S,
    x: &[Line; R],
    t: usize,
    lines: [&Line; P],
    sums: &mut [[[S::f32s; V]; P]; R],
) {
    for r in 0..R {
        let x = simd.splat_f32s(x[r].0[t]);
        for q in 0..P {
            let y = S::as_simd_f32s(&lines[q].0).0;
            for v in 0..V {
                sums[r][q][v] = simd.mul_add_f32s(x, y[v], sums[r][q][v]);
            }
        }
    }
}

/// A row of a tile into as many numbers as `out` has: `sums + bias`, or added to what is there.
#[expect(clippy::needless_range_loop, reason = "unrolled loops over registers")]
#[inline(always)]
fn store_row<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &[[S::f32s; V]; P],
    add: bool,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let columns = out.len();
    let (to, rest) = S::as_mut_simd_f32s(out);
    for q in 0..P {
        for v in 0..V {
            let Some(to) = to.get_mut(q * V + v) else { break };
            let mut sum = sums[q][v];
            if add {
                sum = simd.add_f32s(*to, sum);
            }
            if let Some(bias) = bias {
                let bias = S::as_simd_f32s(bias).0;
                sum = simd.add_f32s(sum, bias[q * V + v]);
            }
            *to = sum;
        }
    }
    if rest.is_empty() {
        return;
    }
    // The last, partial register.
    let first = columns - rest.len();
    for q in 0..P {
        for v in 0..V {
            if (q * V + v) * S::F32_LANES == first {
                let mut sum = sums[q][v];
                if add {
                    sum = simd.add_f32s(simd.partial_load_f32s(rest), sum);
                }
                if let Some(bias) = bias {
                    sum = simd.add_f32s(sum, simd.partial_load_f32s(&bias[first..]));
                }
                simd.partial_store_f32s(rest, sum);
            }
        }
    }
}

/// Cuts a range into parts of nearly equal length, at most `at_most`, that start at multiples of
/// `unit` from its start.
fn parts(
    range: Range<usize>,
    at_most: usize,
    unit: usize,
) -> impl Iterator<Item = (usize, usize)> + Clone {
    let count = range.len().div_ceil(at_most).max(1);
    let length = range.len().div_ceil(count).next_multiple_of(unit).max(1);
    let end = range.end;
    range.step_by(length).map(move |start| (start, end.min(start + length)))
}

/// Tells the processor that a line will be read soon, if it is there.
#[inline(always)]
fn prefetch(lines: &[Line], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if at < lines.len() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint that reads nothing and cannot fault.
        #[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(lines.as_ptr().wrapping_add(at).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (lines, at);
}

#[cfg(test)]
mod tests;
