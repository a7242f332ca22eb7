//! The one layout of the operands of a [packed product](crate::packed): lines of sixteen.

use std::cell::RefCell;

use bytemuck::{Pod, Zeroable};

use crate::storage::simd;

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
    /// `map` is applied to all numbers (and to what stands in the rest of the last lines).
    pub(crate) fn along_rows(matrix: Matrix<'_>, map: impl Fn(&mut [f32])) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        // An odd distance: a power of two would put all blocks into the same sets of the cache.
        let stride = rows | 1;
        let mut data = spare(columns.div_ceil(LINE) * stride + BEYOND);
        simd!({
            for row in 0..rows {
                let (whole, rest) = matrix.row(row).as_chunks::<LINE>();
                for (block, line) in whole.iter().enumerate() {
                    data[block * stride + row] = Line(*line);
                }
                if !rest.is_empty() {
                    data[whole.len() * stride + row].0[..rest.len()].copy_from_slice(rest);
                }
            }
        });
        for block in data.chunks_mut(stride).take(columns.div_ceil(LINE)) {
            map(bytemuck::cast_slice_mut(&mut block[..rows]));
        }
        Self { data, stride, reuse: true }
    }

    /// Lines along the columns of `matrix`: a block is sixteen rows, and the index is a column.
    /// Beyond the last row there may be any numbers.
    pub(crate) fn along_columns(matrix: Matrix<'_>) -> Self {
        let data = spare(matrix.rows.div_ceil(LINE) * matrix.columns + BEYOND);
        Self { data: transposed(matrix, data), stride: matrix.columns, reuse: true }
    }

    /// [`LinesBuf::along_columns`] to keep.
    pub(crate) fn kept_along_columns(matrix: Matrix<'_>) -> Self {
        let len = matrix.rows.div_ceil(LINE) * matrix.columns + BEYOND;
        let data = transposed(matrix, vec![Line::zeroed(); len]);
        Self { data, stride: matrix.columns, reuse: false }
    }
}

fn transposed(matrix: Matrix<'_>, mut data: Vec<Line>) -> Vec<Line> {
    let blocks = data.chunks_mut(matrix.columns.max(1)).take(matrix.rows.div_ceil(LINE));
    for (block, lines) in blocks.enumerate() {
        simd!(transpose(matrix, block * LINE, lines));
    }
    data
}

/// Writes up to sixteen rows from `first` on as the columns of `lines`.
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
