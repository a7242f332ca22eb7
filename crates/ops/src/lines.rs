//! The one layout of the operands of a [packed product](crate::packed): lines of sixteen.

use std::cell::RefCell;

use bytemuck::{Pod, Zeroable};

use crate::storage::simd;
use crate::threads;

/// Numbers in a line: one cache line, one AVX-512 register, two of AVX2.
pub(crate) const LINE: usize = 16;

/// Sixteen neighbours along the long side of [`Lines`].
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LINE]);

#[expect(unsafe_code, reason = "the only way to see lines as numbers")]
// SAFETY: sixteen numbers of four bytes at an alignment of 64: no padding, and all bits are valid.
unsafe impl Zeroable for Line {}
#[expect(unsafe_code, reason = "the only way to see lines as numbers")]
// SAFETY: as above.
unsafe impl Pod for Line {}

/// A matrix cut into blocks of sixteen along its first side; a block holds one line for each index
/// of its second side.
///
/// Both operands of a product have this form. What a kernel streams as vectors, sixteen columns
/// at a time, and what it spreads number by number, differ only in which side the sum runs along.
/// So one copy of a weight serves `X Wᵀ` (as vectors) and `dY W` (number by number).
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    data: &'a [Line],
    /// Lines from one block to the next.
    stride: usize,
}

impl<'a> Lines<'a> {
    /// The lines of a block from `index` on, to the end of everything.
    #[inline(always)]
    pub(crate) fn from(&self, block: usize, index: usize) -> &'a [Line] {
        &self.data[block * self.stride + index..]
    }

    /// All lines, and the distance between blocks.
    #[inline(always)]
    pub(crate) fn parts(&self) -> (&'a [Line], usize) {
        (self.data, self.stride)
    }
}

/// Lines that a tile may read beyond the last one, without using them.
pub(crate) const BEYOND: usize = 16;

/// Owned [`Lines`].
pub(crate) struct LinesBuf {
    data: Vec<Line>,
    stride: usize,
    /// Whether the memory goes back to [`SPARE`].
    reuse: bool,
}

/// A row-major matrix in a slice, rows `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl Matrix<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.stride..][..self.columns]
    }
}

thread_local! {
    /// Buffers of operands that are no longer needed: fresh memory costs more than packing.
    static SPARE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

impl LinesBuf {
    pub(crate) fn as_lines(&self) -> Lines<'_> {
        Lines { data: &self.data, stride: self.stride }
    }

    /// Lines along the rows of `matrix`: a block is sixteen columns, and the index is a row.
    ///
    /// The numbers go through `map`, and are multiplied by those of `times`, which has the same
    /// form. In the rest of the last lines may be any numbers.
    pub(crate) fn along_rows(
        matrix: Matrix<'_>,
        map: impl Fn(&mut [f32]) + Sync,
        times: Option<Matrix<'_>>,
    ) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        // An odd distance: a power of two would put all blocks into the same sets of the cache.
        let stride = rows | 1;
        let blocks = columns.div_ceil(LINE);
        let mut data = spare(blocks * stride + BEYOND);
        let parts = threads::parts_for(rows * columns * MAP_COST);
        threads::split_rows(&mut data[..blocks * stride], stride, parts, |first, data| {
            for (block, lines) in data.chunks_mut(stride).enumerate() {
                let lines = &mut lines[..rows];
                let from = (first + block) * LINE;
                simd!(copy(matrix, from, lines));
                map(bytemuck::cast_slice_mut(lines));
                if let Some(times) = times {
                    simd!(multiply(times, from, lines));
                }
            }
        });
        Self { data, stride, reuse: true }
    }

    /// Lines along the columns of `matrix`: a block is sixteen rows, and the index is a column.
    /// Beyond the last row may be any numbers.
    pub(crate) fn along_columns(matrix: Matrix<'_>) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        let stride = columns.max(1);
        let blocks = rows.div_ceil(LINE);
        let mut data = spare(blocks * stride + BEYOND);
        let parts = threads::parts_for(rows * columns * COPY_COST);
        threads::split_rows(&mut data[..blocks * stride], stride, parts, |first, data| {
            for (block, lines) in data.chunks_mut(stride).enumerate() {
                simd!(transpose(matrix, (first + block) * LINE, lines));
            }
        });
        Self { data, stride, reuse: true }
    }

    /// [`LinesBuf::along_columns`] to keep. It runs on the calling thread, which others may be
    /// waiting for.
    pub(crate) fn kept_along_columns(matrix: Matrix<'_>) -> Self {
        let stride = matrix.columns.max(1);
        let mut data = vec![Line::zeroed(); matrix.rows.div_ceil(LINE) * stride + BEYOND];
        let blocks = data.chunks_mut(stride).take(matrix.rows.div_ceil(LINE));
        for (block, lines) in blocks.enumerate() {
            simd!(transpose(matrix, block * LINE, lines));
        }
        Self { data, stride, reuse: false }
    }
}

/// What copying a number, and mapping one, costs in multiply-adds: they are counted sixteen a time.
const COPY_COST: usize = 8;
const MAP_COST: usize = 32;

/// Copies the columns from `from` on, as many as a line holds and `matrix` has.
#[inline(always)]
fn copy(matrix: Matrix<'_>, from: usize, lines: &mut [Line]) {
    for (row, line) in lines.iter_mut().enumerate() {
        let row = &matrix.row(row)[from..];
        match row.first_chunk::<LINE>() {
            Some(whole) => line.0 = *whole,
            None => line.0[..row.len()].copy_from_slice(row),
        }
    }
}

#[inline(always)]
fn multiply(matrix: Matrix<'_>, from: usize, lines: &mut [Line]) {
    for (row, line) in lines.iter_mut().enumerate() {
        for (value, by) in line.0.iter_mut().zip(&matrix.row(row)[from..]) {
            *value *= by;
        }
    }
}

/// Writes up to sixteen rows from `first` on as the columns of `lines`.
#[expect(clippy::needless_range_loop, reason = "unrolled loops over small squares")]
#[inline(always)]
fn transpose(matrix: Matrix<'_>, first: usize, lines: &mut [Line]) {
    let count = LINE.min(matrix.rows - first);
    // Four rows at a time, four columns at a time: as many as a register holds.
    for r in (0..count).step_by(4) {
        // Beyond the edge the last row again.
        let row = |i: usize| matrix.row(first + (r + i).min(count - 1));
        let rows = [row(0), row(1), row(2), row(3)];
        let parts = rows.map(|row| row.as_chunks::<4>());
        let len = parts[0].0.len();
        let wholes = parts.map(|(whole, _)| &whole[..len]);
        let (squares, rest) = lines.as_chunks_mut::<4>();
        for (at, square) in squares.iter_mut().enumerate().take(len) {
            let square_rows = [wholes[0][at], wholes[1][at], wholes[2][at], wholes[3][at]];
            for (c, line) in square.iter_mut().enumerate() {
                for i in 0..4 {
                    line.0[r + i] = square_rows[i][c];
                }
            }
        }
        for (c, line) in rest.iter_mut().enumerate() {
            for i in 0..4 {
                line.0[r + i] = parts[i].1[c];
            }
        }
    }
}

fn spare(len: usize) -> Vec<Line> {
    let mut data = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if data.len() < len {
        data.resize(len, Line::zeroed());
    }
    data
}

impl Drop for LinesBuf {
    fn drop(&mut self) {
        if self.reuse {
            let data = std::mem::take(&mut self.data);
            // Not while the thread ends: then the list is gone already.
            let _ = SPARE.try_with(|spare| spare.borrow_mut().push(data));
        }
    }
}
