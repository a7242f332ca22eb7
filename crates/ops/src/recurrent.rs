//! Recurrent layers over whole sequences: the tanh network (Elman 1990), the gated recurrent unit
//! (Cho et al. 2014, arXiv 1406.1078) and long short-term memory (Hochreiter & Schmidhuber 1997,
//! with forget gates: Gers et al. 2000). Formulas and the order of gates are those of PyTorch.
//!
//! [`Recurrent::forward`] is the fast path. [`Recurrent::forward_observed`] is the composed form;
//! it shows gates and states to a hook, which may replace them.

use candle_core::{Result, Tensor};

use crate::activation::Activation;
use crate::error::shape_error;
use crate::linear::Linear;
use crate::weight::Weight;

mod fused;
mod sweep;
#[cfg(test)]
mod tests;

/// A kind of recurrent unit. With `a = W_ih x + b_ih` and `u = W_hh h + b_hh`, in parts of one
/// gate each:
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// `h' = tanh(a + u)`.
    Rnn,
    /// `r = σ(aᵣ + uᵣ)`, `z = σ(a_z + u_z)`, `n = tanh(aₙ + r uₙ)`, `h' = (1 - z) n + z h`.
    /// Gates in the order r, z, n.
    Gru,
    /// `i, f, o = σ(a + u)`, `g = tanh(a + u)`, `c' = f c + i g`, `h' = o tanh(c')`. Gates in the
    /// order i, f, g, o.
    Lstm,
}

impl Cell {
    /// The number of gates: rows of the weights per hidden element.
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The number of vectors in a state.
    fn states(self) -> usize {
        if self == Self::Lstm { 2 } else { 1 }
    }
}

/// What [`Recurrent::forward_observed`] shows to its hook, each `[batch, hidden]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `i` of an LSTM.
    InputGate,
    /// `f` of an LSTM.
    ForgetGate,
    /// `g` of an LSTM, `n` of a GRU.
    Candidate,
    /// `o` of an LSTM.
    OutputGate,
    /// `r` of a GRU.
    ResetGate,
    /// `z` of a GRU.
    UpdateGate,
    /// `c'` of an LSTM.
    Cell,
    /// `h'`.
    Hidden,
}

/// What a recurrent layer carries from step to step.
#[derive(Debug, Clone)]
pub struct State {
    /// `h`: `[batch, hidden]`.
    pub hidden: Tensor,
    /// `c`: `[batch, hidden]`, of an LSTM only.
    pub cell: Option<Tensor>,
}

/// One direction of one recurrent layer.
#[derive(Debug, Clone)]
pub struct Recurrent {
    cell: Cell,
    hidden: usize,
    /// `W_ih x + b_ih` of all steps at once.
    projection: Linear,
    w_hh: Weight,
    b_hh: Option<Weight>,
}

impl Recurrent {
    /// A layer with `w_ih: [gates * hidden, in]`, `w_hh: [gates * hidden, hidden]` and biases
    /// `[gates * hidden]`.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn new(
        cell: Cell,
        w_ih: Weight,
        w_hh: Weight,
        b_ih: Option<Weight>,
        b_hh: Option<Weight>,
    ) -> Result<Self> {
        let &[rows, hidden] = w_hh.shape() else {
            let expected = "[gates * hidden, hidden]";
            return Err(shape_error("recurrent", "hidden weight", expected, w_hh.shape()));
        };
        if hidden == 0 || Some(rows) != hidden.checked_mul(cell.gates()) {
            let expected = [cell.gates().saturating_mul(hidden), hidden];
            return Err(shape_error("recurrent", "hidden weight", expected, w_hh.shape()));
        }
        if w_ih.shape().len() != 2 || w_ih.shape()[0] != rows {
            let expected = format!("[{rows}, in]");
            return Err(shape_error("recurrent", "input weight", expected, w_ih.shape()));
        }
        for bias in [&b_ih, &b_hh].into_iter().flatten() {
            if bias.shape() != [rows] {
                return Err(shape_error("recurrent", "bias", [rows], bias.shape()));
            }
        }
        Ok(Self { cell, hidden, projection: Linear::new(w_ih, b_ih)?, w_hh, b_hh })
    }

    /// The kind of unit.
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// The number of inputs of one step.
    pub fn in_features(&self) -> usize {
        self.projection.in_features()
    }

    /// The width of the state and of the output.
    pub fn hidden_features(&self) -> usize {
        self.hidden
    }

    /// Runs over sequences, from the first token to the last, or with `reverse` from the last
    /// real one to the first.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, in]`
    /// - `lengths`: the number of real tokens of each sequence; the rest is padding, which leaves
    ///   the state unchanged and whose output is 0. `None`: no padding.
    /// - `initial`: the state before the first step; `None`: zeros
    /// - result: the output `[batch, tokens, hidden]`, at the position of its token in both
    ///   directions, and the state after the last step
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn forward(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        reverse: bool,
        initial: Option<&State>,
    ) -> Result<(Tensor, State)> {
        if !x.device().is_cpu() {
            let hook = &mut |_, _, value| Ok(value);
            return self.forward_observed(x, lengths, reverse, initial, hook);
        }
        let (batch, tokens) = self.check(x, lengths, initial)?;
        let lengths = lengths.map_or_else(|| vec![tokens; batch], <[usize]>::to_vec);
        let (cell, hidden) = (self.cell, self.hidden);
        self.fused(x, sweep::Sweep { cell, batch, tokens, hidden, reverse, lengths }, initial)
    }

    /// [`forward`](Self::forward) in visible steps. `hook` gets each gate and state with the
    /// position of the token, and returns it or a replacement. At padding it sees the state that
    /// is kept, and what it returns is not used.
    ///
    /// # Errors
    /// If the shapes do not fit together, or the hook fails.
    pub fn forward_observed(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        reverse: bool,
        initial: Option<&State>,
        hook: &mut dyn FnMut(Stage, usize, Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, State)> {
        let (batch, tokens) = self.check(x, lengths, initial)?;
        let projected = self.projection.forward(x)?;
        let zeros = Tensor::zeros((batch, self.hidden), x.dtype(), x.device())?;
        let (mut hidden, mut cell) = match initial {
            Some(state) => (state.hidden.clone(), state.cell.clone()),
            None => (zeros.clone(), (self.cell == Cell::Lstm).then(|| zeros.clone())),
        };
        let recurrent = Linear::new(self.w_hh.clone(), self.b_hh.clone())?;
        let mut outputs = vec![zeros.clone(); tokens];
        for step in 0..tokens {
            let time = if reverse { tokens - 1 - step } else { step };
            let real = Real::at(time, lengths, batch, self.hidden, x)?;
            let input = projected.narrow(1, time, 1)?.squeeze(1)?;
            let update = recurrent.forward(&hidden)?;
            let mut see = |stage, value: Tensor| hook(stage, time, value);
            let new = match self.cell {
                Cell::Rnn => Activation::Tanh.forward(&(input + update)?)?,
                Cell::Gru => self.gru(&input, &update, &hidden, &mut see)?,
                Cell::Lstm => {
                    let Some(old) = &cell else {
                        return Err(shape_error("recurrent", "state", "a cell state", "none"));
                    };
                    let (new_cell, output) = self.lstm(&(input + update)?, old, &mut see)?;
                    let shown = see(Stage::Cell, real.choose(&new_cell, old)?)?;
                    let new_cell = real.choose(&shown, old)?;
                    let new = (output * Activation::Tanh.forward(&new_cell)?)?;
                    cell = Some(new_cell);
                    new
                }
            };
            let shown = see(Stage::Hidden, real.choose(&new, &hidden)?)?;
            hidden = real.choose(&shown, &hidden)?;
            outputs[time] = real.choose(&hidden, &zeros)?;
        }
        let output = if tokens == 0 {
            Tensor::zeros((batch, 0, self.hidden), x.dtype(), x.device())?
        } else {
            Tensor::stack(&outputs, 1)?
        };
        Ok((output, State { hidden, cell }))
    }

    /// The part of gate `index`.
    fn gate(&self, values: &Tensor, index: usize) -> Result<Tensor> {
        values.narrow(1, index * self.hidden, self.hidden)?.contiguous()
    }

    fn gru(
        &self,
        input: &Tensor,
        update: &Tensor,
        hidden: &Tensor,
        see: &mut dyn FnMut(Stage, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let sum = |index| self.gate(input, index)? + self.gate(update, index)?;
        let reset = see(Stage::ResetGate, Activation::Sigmoid.forward(&sum(0)?)?)?;
        let keep = see(Stage::UpdateGate, Activation::Sigmoid.forward(&sum(1)?)?)?;
        let candidate = (self.gate(input, 2)? + (reset * self.gate(update, 2)?)?)?;
        let candidate = see(Stage::Candidate, Activation::Tanh.forward(&candidate)?)?;
        (keep.affine(-1.0, 1.0)? * candidate)? + (keep * hidden)?
    }

    /// `c'` and `o`.
    fn lstm(
        &self,
        sum: &Tensor,
        cell: &Tensor,
        see: &mut dyn FnMut(Stage, Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let sigmoid = |index| Activation::Sigmoid.forward(&self.gate(sum, index)?);
        let input = see(Stage::InputGate, sigmoid(0)?)?;
        let forget = see(Stage::ForgetGate, sigmoid(1)?)?;
        let candidate = Activation::Tanh.forward(&self.gate(sum, 2)?)?;
        let candidate = see(Stage::Candidate, candidate)?;
        let output = see(Stage::OutputGate, sigmoid(3)?)?;
        Ok((((forget * cell)? + (input * candidate)?)?, output))
    }

    /// `(batch, tokens)`, if everything fits.
    fn check(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
    ) -> Result<(usize, usize)> {
        let &[batch, tokens, width] = x.dims() else {
            return Err(shape_error("recurrent", "input", "[batch, tokens, in]", x.dims()));
        };
        if width != self.in_features() {
            let expected = self.in_features();
            return Err(shape_error("recurrent", "last dimension of the input", expected, width));
        }
        if let Some(lengths) = lengths {
            if lengths.len() != batch {
                let got = lengths.len();
                return Err(shape_error("recurrent", "number of lengths", batch, got));
            }
            if let Some(length) = lengths.iter().find(|&&length| length > tokens) {
                let expected = format!("at most {tokens}");
                return Err(shape_error("recurrent", "length", expected, length));
            }
        }
        if let Some(State { hidden, cell }) = initial {
            let expected = [batch, self.hidden];
            for state in [Some(hidden), cell.as_ref()].into_iter().flatten() {
                if state.dims() != expected {
                    return Err(shape_error("recurrent", "state", expected, state.dims()));
                }
            }
            if cell.is_some() != (self.cell == Cell::Lstm) {
                let (expected, got) = match cell {
                    None => ("one, for an LSTM", "none"),
                    Some(_) => ("none, for a unit without one", "one"),
                };
                return Err(shape_error("recurrent", "cell state", expected, got));
            }
        }
        Ok((batch, tokens))
    }
}

/// Which sequences have a real token at a step: `None` if all have.
struct Real(Option<Tensor>);

impl Real {
    fn at(
        time: usize,
        lengths: Option<&[usize]>,
        batch: usize,
        hidden: usize,
        x: &Tensor,
    ) -> Result<Self> {
        let Some(lengths) = lengths.filter(|lengths| lengths.iter().any(|&n| n <= time)) else {
            return Ok(Self(None));
        };
        let mask: Vec<u8> = lengths.iter().map(|&length| u8::from(time < length)).collect();
        let mask = Tensor::from_vec(mask, (batch, 1), x.device())?;
        Ok(Self(Some(mask.broadcast_as((batch, hidden))?.contiguous()?)))
    }

    /// `real` where there is a token, `padding` where not.
    fn choose(&self, real: &Tensor, padding: &Tensor) -> Result<Tensor> {
        match &self.0 {
            None => Ok(real.clone()),
            Some(mask) => mask.where_cond(real, padding),
        }
    }
}
