//! The steps of a recurrent layer over slices, forwards and backwards.
//!
//! Sequences do not depend on each other, so threads get some sequences each and never wait for
//! one another. Within a thread, a step is one product for all of its sequences that have a token
//! there, and a pass over their gates. The kernel of the product treats every row alike, however
//! many there are: so neither threads nor padding change any sum.

use crate::lines::{self, Lines, LinesBuf};
use crate::matmul::{View, product, product_nt, product_parallel};
use crate::packed::{self, Product, Store};
use crate::real::Real;
use crate::recurrent::Cell;
use crate::storage::simd;
use crate::threads;

/// The sizes of one call.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    pub(super) cell: Cell,
    pub(super) batch: usize,
    pub(super) tokens: usize,
    pub(super) hidden: usize,
    pub(super) reverse: bool,
    /// Real tokens of each sequence.
    pub(super) lengths: Vec<usize>,
}

/// `W_hh: [gates * hidden, hidden]`, packed if it is of `f32`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) rows: &'a [T],
    pub(super) lines: Option<Lines<'a>>,
}

/// What a forward sweep leaves.
pub(super) struct Kept<T> {
    /// Gates after their activations, `[batch, tokens, gates * hidden]`.
    pub(super) gates: Vec<T>,
    /// A row for each sequence: `[tokens, hidden]` of what [`Cell::keeps`], `[tokens, hidden]` of
    /// outputs, and the final state.
    pub(super) memory: Vec<T>,
}

impl Cell {
    /// Whether the backward pass needs one more vector of each step: `c'` of an LSTM, `uₙ` of a
    /// GRU.
    fn keeps(self) -> usize {
        usize::from(self != Self::Rnn)
    }
}

/// The gradients of projections, `W_hh h + b_hh` and the initial state.
pub(super) struct Gradients<T> {
    pub(super) gates: Vec<T>,
    pub(super) state: Vec<T>,
}

impl Sweep {
    fn gates_width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    pub(super) fn state_width(&self) -> usize {
        self.cell.states() * self.hidden
    }

    /// Elements of all outputs, before those of the final states.
    pub(super) fn outputs(&self) -> usize {
        self.batch * self.tokens * self.hidden
    }

    /// Elements of a sequence's row of [`Kept::memory`].
    fn memory_width(&self) -> usize {
        (self.cell.keeps() + 1) * self.tokens * self.hidden + self.state_width()
    }

    /// Threads for the sweep. Only the packed product treats all rows alike.
    fn parts<T: Real>(&self) -> usize {
        let work = self.batch * self.tokens * self.gates_width() * self.hidden;
        let most = if T::as_f32(&[]).is_some() { self.batch / 4 } else { 1 };
        threads::parts_for(work).min(most).max(1)
    }

    fn time(&self, step: usize) -> usize {
        if self.reverse { self.tokens - 1 - step } else { step }
    }

    /// The sequences from `first` on that have a token at `time`, counted from `first`.
    fn active(&self, first: usize, rows: usize, time: usize, active: &mut Vec<usize>) {
        active.clear();
        active.extend((0..rows).filter(|row| time < self.lengths[first + row]));
    }

    /// The position of the token that is read before that at `time`.
    fn before(&self, sequence: usize, time: usize) -> Option<usize> {
        if self.reverse {
            Some(time + 1).filter(|&before| before < self.lengths[sequence])
        } else {
            time.checked_sub(1)
        }
    }

    /// From projections `gates: [batch, tokens, gates * hidden]` and the initial state (`h` and
    /// `c` side by side; empty: zeros) to outputs and final states.
    pub(super) fn forward<T: Real>(
        &self,
        weights: Matrix<'_, T>,
        bias: &[T],
        mut gates: Vec<T>,
        initial: &[T],
    ) -> Kept<T> {
        let mut memory = vec![T::ZERO; self.batch * self.memory_width()];
        let widths = (self.tokens * self.gates_width(), self.memory_width());
        let parts = self.parts::<T>();
        threads::split_two(&mut gates, &mut memory, widths, parts, |first, gates, memory| {
            self.forward_block((weights, bias), initial, first, gates, memory);
        });
        Kept { gates, memory }
    }

    fn forward_block<T: Real>(
        &self,
        (weights, bias): (Matrix<'_, T>, &[T]),
        initial: &[T],
        first: usize,
        gates: &mut [T],
        memory: &mut [T],
    ) {
        let (h, wide, keep) = (self.hidden, self.gates_width(), self.tokens * self.hidden);
        let width = self.memory_width();
        let outputs = self.cell.keeps() * keep;
        let rows = memory.len() / width;
        let (mut compact, mut update) = (vec![T::ZERO; rows * h], vec![T::ZERO; rows * wide]);
        let state = self.state_width();
        // The state in the last columns of the memory, where it is wanted in the end.
        for (row, memory) in memory.chunks_mut(width).enumerate() {
            if !initial.is_empty() {
                memory[width - state..].copy_from_slice(&initial[(first + row) * state..][..state]);
            }
        }
        let mut active = Vec::with_capacity(rows);
        for step in 0..self.tokens {
            let time = self.time(step);
            self.active(first, rows, time, &mut active);
            if active.is_empty() {
                continue;
            }
            for (compact, &row) in compact.chunks_mut(h).zip(&active) {
                compact.copy_from_slice(&memory[(row + 1) * width - state..][..h]);
            }
            self.update(weights, active.len(), &compact, &mut update);
            simd!({
                for (update, &row) in update.chunks_mut(wide).zip(&active) {
                    let gates = &mut gates[(row * self.tokens + time) * wide..][..wide];
                    let memory = &mut memory[row * width..][..width];
                    let (memory, state) = memory.split_at_mut(width - state);
                    let (kept, out) = memory.split_at_mut(outputs);
                    let out = &mut out[time * h..][..h];
                    let (hidden, cell) = state.split_at_mut(h);
                    match self.cell {
                        Cell::Rnn => rnn(gates, update, bias, hidden),
                        Cell::Gru => {
                            let kept = &mut kept[time * h..][..h];
                            gru(gates, update, bias, kept, hidden);
                        }
                        Cell::Lstm => {
                            lstm(gates, update, bias, cell, hidden);
                            kept[time * h..][..h].copy_from_slice(cell);
                        }
                    }
                    out.copy_from_slice(hidden);
                }
            });
        }
    }

    /// `out[rows, gates * hidden] = hidden W_hhᵀ`
    fn update<T: Real>(&self, weights: Matrix<'_, T>, rows: usize, hidden: &[T], out: &mut [T]) {
        let (h, wide) = (self.hidden, self.gates_width());
        if let Some(weight) = weights.lines
            && let (Some(hidden), Some(out)) = (T::as_f32(hidden), T::as_f32_mut(out))
        {
            let hidden = lines::Matrix { data: hidden, rows, columns: h, stride: h };
            packed::product(Product {
                a: LinesBuf::along_rows(hidden, |_| (), None).as_lines(),
                b: weight,
                terms: h,
                rows: 0..rows,
                columns: 0..wide,
                store: Store::Rows { bias: None },
                out,
                stride: wide,
            });
        } else {
            let (hidden, weight) = (View::rows(hidden, h), View::rows(weights.rows, h));
            product_nt((rows, h, wide), hidden, weight, out, wide);
        }
    }

    /// `out[rows, hidden] = dupdate W_hh`
    fn before_update<T: Real>(
        &self,
        weights: Matrix<'_, T>,
        rows: usize,
        dupdate: &[T],
        out: &mut [T],
    ) {
        let (h, wide) = (self.hidden, self.gates_width());
        if let Some(weight) = weights.lines
            && let (Some(dupdate), Some(out)) = (T::as_f32(dupdate), T::as_f32_mut(out))
        {
            let dupdate = lines::Matrix { data: dupdate, rows, columns: wide, stride: wide };
            packed::product(Product {
                a: weight,
                b: LinesBuf::along_columns(dupdate).as_lines(),
                terms: wide,
                rows: 0..h,
                columns: 0..rows,
                store: Store::Columns { accumulate: false },
                out,
                stride: h,
            });
        } else {
            let (dupdate, weight) = (View::rows(dupdate, wide), View::rows(weights.rows, h));
            product((rows, wide, h), T::ONE, dupdate, weight, false, out, h);
        }
    }

    /// Outputs and final states, in a row: `[batch, tokens, hidden]`, `[batch, states * hidden]`.
    pub(super) fn collect<T: Real>(&self, kept: &Kept<T>) -> Vec<T> {
        let mut out = Vec::with_capacity(self.outputs() + self.batch * self.state_width());
        let (width, state) = (self.memory_width(), self.state_width());
        let outputs = self.cell.keeps() * self.tokens * self.hidden;
        for memory in kept.memory.chunks(width) {
            out.extend_from_slice(&memory[outputs..width - state]);
        }
        for memory in kept.memory.chunks(width) {
            out.extend_from_slice(&memory[width - state..]);
        }
        out
    }

    /// From the gradient of what [`collect`](Self::collect) gives to those of the projections and
    /// of the initial state.
    pub(super) fn backward<T: Real>(
        &self,
        weights: Matrix<'_, T>,
        (gates, memory): (&[T], &[T]),
        initial: &[T],
        dout: &[T],
    ) -> Gradients<T> {
        let mut dgates = vec![T::ZERO; gates.len()];
        let mut dstate = dout[self.outputs()..].to_vec();
        let widths = (self.tokens * self.gates_width(), self.state_width());
        let parts = self.parts::<T>();
        threads::split_two(&mut dgates, &mut dstate, widths, parts, |first, dgates, dstate| {
            let rows = dstate.len() / self.state_width();
            let part = |x: &'_ [T], width: usize| {
                first * width..(first * width + rows * width).min(x.len())
            };
            let gates = &gates[part(gates, widths.0)];
            let memory = &memory[part(memory, self.memory_width())];
            let initial =
                if initial.is_empty() { initial } else { &initial[part(initial, widths.1)] };
            let dout = &dout[part(dout, self.tokens * self.hidden)];
            self.backward_block(weights, (gates, memory), initial, first, dout, dgates, dstate);
        });
        Gradients { gates: dgates, state: dstate }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one block of sequences")]
    fn backward_block<T: Real>(
        &self,
        weights: Matrix<'_, T>,
        (gates, memory): (&[T], &[T]),
        initial: &[T],
        first: usize,
        dout: &[T],
        dgates: &mut [T],
        dstate: &mut [T],
    ) {
        let (h, wide, tokens) = (self.hidden, self.gates_width(), self.tokens);
        let (width, state) = (self.memory_width(), self.state_width());
        let outputs = self.cell.keeps() * tokens * h;
        let rows = dstate.len() / state;
        let (mut dupdate, mut dbefore) = (vec![T::ZERO; rows * wide], vec![T::ZERO; rows * h]);
        let zeros = vec![T::ZERO; h];
        let mut active = Vec::with_capacity(rows);
        for step in (0..tokens).rev() {
            let time = self.time(step);
            self.active(first, rows, time, &mut active);
            if active.is_empty() {
                continue;
            }
            simd!({
                for (dupdate, &row) in dupdate.chunks_mut(wide).zip(&active) {
                    let at = row * tokens + time;
                    let gates = &gates[at * wide..][..wide];
                    let dgates = &mut dgates[at * wide..][..wide];
                    let memory = &memory[row * width..][..width];
                    let kept = if outputs == 0 { &[] } else { &memory[time * h..][..h] };
                    // `h` and `c` of the step before.
                    let (mut hidden, mut cell) = (&zeros[..], &zeros[..]);
                    if let Some(time) = self.before(first + row, time) {
                        hidden = &memory[outputs + time * h..][..h];
                        cell = &memory[time * h..][..h];
                    } else if !initial.is_empty() {
                        let initial = &initial[row * state..][..state];
                        hidden = &initial[..h];
                        cell = &initial[state - h..];
                    }
                    let dstate = &mut dstate[row * state..][..state];
                    let (dhidden, dcell) = dstate.split_at_mut(h);
                    for (dhidden, &dout) in dhidden.iter_mut().zip(&dout[at * h..][..h]) {
                        *dhidden += dout;
                    }
                    match self.cell {
                        Cell::Rnn => {
                            let out = &memory[outputs + time * h..][..h];
                            rnn_backward(out, dhidden, dgates);
                            dupdate.copy_from_slice(dgates);
                        }
                        Cell::Gru => gru_backward(gates, kept, hidden, dhidden, dgates, dupdate),
                        Cell::Lstm => {
                            lstm_backward(gates, kept, cell, dhidden, dcell, dgates);
                            dupdate.copy_from_slice(dgates);
                        }
                    }
                }
            });
            self.before_update(weights, active.len(), &dupdate, &mut dbefore);
            simd!({
                for (dbefore, &row) in dbefore.chunks(h).zip(&active) {
                    let dhidden = &mut dstate[row * state..][..h];
                    for (dhidden, &dbefore) in dhidden.iter_mut().zip(dbefore) {
                        *dhidden += dbefore;
                    }
                }
            });
        }
    }

    /// The gradients of `W_hh` and `b_hh` in a row, each one sum over all steps.
    pub(super) fn weight_gradients<T: Real>(
        &self,
        (gates, memory): (&[T], &[T]),
        initial: &[T],
        dgates: &[T],
    ) -> Vec<T> {
        let (h, wide, tokens) = (self.hidden, self.gates_width(), self.tokens);
        let (width, state) = (self.memory_width(), self.state_width());
        let outputs = self.cell.keeps() * tokens * h;
        let mut before = vec![T::ZERO; self.outputs()];
        for (at, before) in before.chunks_mut(h).enumerate() {
            let (row, time) = (at / tokens, at % tokens);
            if time >= self.lengths[row] {
                continue;
            }
            if let Some(time) = self.before(row, time) {
                before.copy_from_slice(&memory[row * width + outputs + time * h..][..h]);
            } else if !initial.is_empty() {
                before.copy_from_slice(&initial[row * state..][..h]);
            }
        }
        // That of `uₙ` of a GRU is that of its projection times r.
        let mut scaled = Vec::new();
        let dupdate = if self.cell == Cell::Gru {
            scaled.extend_from_slice(dgates);
            simd!({
                for (dupdate, gates) in scaled.chunks_mut(wide).zip(gates.chunks(wide)) {
                    for (dupdate, &reset) in dupdate[2 * h..].iter_mut().zip(&gates[..h]) {
                        *dupdate *= reset;
                    }
                }
            });
            &scaled
        } else {
            dgates
        };
        let mut out = vec![T::ZERO; wide * (h + 1)];
        let steps = self.batch * tokens;
        let (dw, db) = out.split_at_mut(wide * h);
        let (a, b) = (View::rows(dupdate, wide).transposed(), View::rows(&before, h));
        product_parallel((wide, steps, h), a, b, false, dw, h);
        simd!({
            for row in dupdate.chunks(wide) {
                for (sum, &value) in db.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        });
        out
    }
}

/// `W_hh`, packed for one call.
pub(super) fn pack<T: Real>(rows: &[T], hidden: usize) -> Option<LinesBuf> {
    let data = T::as_f32(rows)?;
    let rows = rows.len() / hidden;
    let matrix = lines::Matrix { data, rows, columns: hidden, stride: hidden };
    Some(LinesBuf::along_columns(matrix))
}

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// `gates` from projections to `h'`.
#[inline(always)]
fn rnn<T: Real>(gates: &mut [T], update: &[T], bias: &[T], hidden: &mut [T]) {
    for (((gate, &update), &bias), hidden) in gates.iter_mut().zip(update).zip(bias).zip(hidden) {
        *gate = (*gate + (update + bias)).tanh();
        *hidden = *gate;
    }
}

/// `gates` from projections to r, z, n; `kept` is `uₙ`.
#[inline(always)]
fn gru<T: Real>(gates: &mut [T], update: &[T], bias: &[T], kept: &mut [T], hidden: &mut [T]) {
    let h = hidden.len();
    let (sigmoids, candidates) = gates.split_at_mut(2 * h);
    for ((gate, &update), &bias) in sigmoids.iter_mut().zip(update).zip(bias) {
        *gate = sigmoid(*gate + (update + bias));
    }
    let (reset, keep) = sigmoids.split_at(h);
    for ((kept, &update), &bias) in kept.iter_mut().zip(&update[2 * h..]).zip(&bias[2 * h..]) {
        *kept = update + bias;
    }
    for ((candidate, &reset), &kept) in candidates.iter_mut().zip(reset).zip(&*kept) {
        *candidate = (*candidate + reset * kept).tanh();
    }
    for ((hidden, &keep), &candidate) in hidden.iter_mut().zip(keep).zip(&*candidates) {
        *hidden = (T::ONE - keep) * candidate + keep * *hidden;
    }
}

/// `gates` from projections to i, f, g, o.
#[inline(always)]
fn lstm<T: Real>(gates: &mut [T], update: &[T], bias: &[T], cell: &mut [T], hidden: &mut [T]) {
    let h = hidden.len();
    for (i, gates) in gates.chunks_exact_mut(h).enumerate() {
        let (update, bias) = (&update[i * h..][..h], &bias[i * h..][..h]);
        if i == 2 {
            for ((gate, &update), &bias) in gates.iter_mut().zip(update).zip(bias) {
                *gate = (*gate + (update + bias)).tanh();
            }
        } else {
            for ((gate, &update), &bias) in gates.iter_mut().zip(update).zip(bias) {
                *gate = sigmoid(*gate + (update + bias));
            }
        }
    }
    let (input, rest) = gates.split_at(h);
    let (forget, rest) = rest.split_at(h);
    let (candidate, output) = rest.split_at(h);
    let parts = input.iter().zip(forget).zip(candidate);
    for (((&input, &forget), &candidate), cell) in parts.zip(cell.iter_mut()) {
        *cell = forget * *cell + input * candidate;
    }
    for ((hidden, &output), &cell) in hidden.iter_mut().zip(output).zip(&*cell) {
        *hidden = output * cell.tanh();
    }
}

/// da = dh' (1 - h'²); what reaches h directly is nothing.
#[inline(always)]
fn rnn_backward<T: Real>(out: &[T], dhidden: &mut [T], dgates: &mut [T]) {
    for ((dgate, &out), dhidden) in dgates.iter_mut().zip(out).zip(dhidden) {
        *dgate = *dhidden * (T::ONE - out * out);
        *dhidden = T::ZERO;
    }
}

/// daₙ = dh' (1 - z) (1 - n²), da_z = dh' (h - n) z (1 - z), daᵣ = daₙ uₙ r (1 - r); `dupdate` has
/// duₙ = daₙ r instead of daₙ. `dhidden` becomes what reaches h directly, dh' z.
#[inline(always)]
fn gru_backward<T: Real>(
    gates: &[T],
    kept: &[T],
    hidden: &[T],
    dhidden: &mut [T],
    dgates: &mut [T],
    dupdate: &mut [T],
) {
    let h = hidden.len();
    let (reset, rest) = gates.split_at(h);
    let (keep, candidate) = rest.split_at(h);
    let (dreset, rest) = dgates.split_at_mut(h);
    let (dkeep, dcandidate) = rest.split_at_mut(h);
    let (dsigmoids, dlast) = dupdate.split_at_mut(2 * h);
    let (kept, dlast) = (&kept[..h], &mut dlast[..h]);
    for i in 0..h {
        let (r, z, n, d) = (reset[i], keep[i], candidate[i], dhidden[i]);
        let dn = d * (T::ONE - z) * (T::ONE - n * n);
        dcandidate[i] = dn;
        dlast[i] = dn * r;
        dkeep[i] = d * (hidden[i] - n) * z * (T::ONE - z);
        dreset[i] = dn * kept[i] * r * (T::ONE - r);
        dhidden[i] = d * z;
    }
    dsigmoids[..h].copy_from_slice(dreset);
    dsigmoids[h..].copy_from_slice(dkeep);
}

/// With t = tanh(c'): dc' += dh' o (1 - t²); da_o = dh' t o (1 - o), da_i = dc' g i (1 - i),
/// da_f = dc' c f (1 - f), da_g = dc' i (1 - g²). `dcell` becomes dc' f, `dhidden` nothing.
#[inline(always)]
fn lstm_backward<T: Real>(
    gates: &[T],
    new_cell: &[T],
    cell: &[T],
    dhidden: &mut [T],
    dcell: &mut [T],
    dgates: &mut [T],
) {
    let h = cell.len();
    let (input, rest) = gates.split_at(h);
    let (forget, rest) = rest.split_at(h);
    let (candidate, output) = rest.split_at(h);
    let (dinput, rest) = dgates.split_at_mut(h);
    let (dforget, rest) = rest.split_at_mut(h);
    let (dcandidate, doutput) = rest.split_at_mut(h);
    let (forget, candidate, output) = (&forget[..h], &candidate[..h], &output[..h]);
    let (new_cell, dhidden, dcell) = (&new_cell[..h], &mut dhidden[..h], &mut dcell[..h]);
    let (dforget, dcandidate, doutput) =
        (&mut dforget[..h], &mut dcandidate[..h], &mut doutput[..h]);
    for j in 0..h {
        let (i, f, g, o) = (input[j], forget[j], candidate[j], output[j]);
        let t = new_cell[j].tanh();
        let d = dcell[j] + dhidden[j] * o * (T::ONE - t * t);
        doutput[j] = dhidden[j] * t * o * (T::ONE - o);
        dinput[j] = d * g * i * (T::ONE - i);
        dforget[j] = d * cell[j] * f * (T::ONE - f);
        dcandidate[j] = d * i * (T::ONE - g * g);
        dcell[j] = d * f;
        dhidden[j] = T::ZERO;
    }
}
