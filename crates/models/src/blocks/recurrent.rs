//! Recurrent layers, one way or both, with every gate and state a site.

use glossator_ops::Tensor;
use glossator_ops::recurrent::{Cell, Recurrent, Stage, State};

use crate::error::{Error, Result};
use crate::trace::{Direction, Site, Trace};

/// A recurrent layer. Both ways read the same tokens; their outputs stand side by side.
pub struct RecurrentLayer {
    /// From the first token to the last.
    pub forward: Recurrent,
    /// From the last token to the first, if the layer reads both ways.
    pub backward: Option<Recurrent>,
}

/// The stages of a unit, in the order in which it makes them.
pub(crate) fn stages(cell: Cell) -> &'static [Stage] {
    match cell {
        Cell::Rnn => &[Stage::Hidden],
        Cell::Gru => &[Stage::ResetGate, Stage::UpdateGate, Stage::Candidate, Stage::Hidden],
        Cell::Lstm => &[
            Stage::InputGate,
            Stage::ForgetGate,
            Stage::Candidate,
            Stage::OutputGate,
            Stage::Cell,
            Stage::Hidden,
        ],
    }
}

impl RecurrentLayer {
    /// Elements of an output.
    #[must_use]
    pub fn width(&self) -> usize {
        let both = if self.backward.is_some() { 2 } else { 1 };
        self.forward.hidden_features() * both
    }

    /// The sites of layer `l`.
    pub(crate) fn sites(&self, l: usize) -> Vec<Site> {
        let ways = [
            Some((Direction::Forward, &self.forward)),
            self.backward.as_ref().map(|backward| (Direction::Backward, backward)),
        ];
        let of = |(way, unit): (Direction, &Recurrent)| {
            stages(unit.cell()).iter().map(move |&stage| Site::Recurrent(l, way, stage))
        };
        ways.into_iter().flatten().flat_map(of).collect()
    }

    /// The outputs, and the state that each way leaves.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, in]`
    /// - result: `[batch, tokens, width]`, 0 at padding
    ///
    /// # Errors
    /// If the shapes do not fit, or an edit of the trace fails.
    pub(crate) fn run(
        &self,
        l: usize,
        x: &Tensor,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        trace: &mut Trace<'_>,
    ) -> Result<(Tensor, Vec<State>)> {
        let way = Direction::Forward;
        let (y, state) = run(&self.forward, l, way, x, lengths, initial, trace)?;
        let Some(backward) = &self.backward else { return Ok((y, vec![state])) };
        let way = Direction::Backward;
        let (z, other) = run(backward, l, way, x, lengths, None, trace)?;
        Ok((Tensor::cat(&[y, z], 2)?, vec![state, other]))
    }
}

/// One way of a layer: fused, or step by step where the trace asks for something inside.
fn run(
    unit: &Recurrent,
    l: usize,
    way: Direction,
    x: &Tensor,
    lengths: Option<&[usize]>,
    initial: Option<&State>,
    trace: &mut Trace<'_>,
) -> Result<(Tensor, State)> {
    let reverse = way == Direction::Backward;
    let inside = |site| matches!(site, Site::Recurrent(at, d, _) if at == l && d == way);
    if !trace.wants(inside) {
        return Ok(unit.forward(x, lengths, reverse, initial)?);
    }
    let tokens = x.dim(1)?;
    observed(trace, |hook| {
        let hook =
            &mut |stage, time, value| hook(Site::Recurrent(l, way, stage), time, tokens, value);
        unit.forward_observed(x, lengths, reverse, initial, hook)
    })
}

/// What shows a step to a trace.
type Show<'a> = dyn FnMut(Site, usize, usize, Tensor) -> candle_core::Result<Tensor> + 'a;

/// Runs an operation whose hook is the trace: candle's error type carries ours through it.
pub(crate) fn observed<T>(
    trace: &mut Trace<'_>,
    run: impl FnOnce(&mut Show<'_>) -> candle_core::Result<T>,
) -> Result<T> {
    let mut failed: Option<Error> = None;
    let result = run(&mut |site, time, tokens, value| {
        trace.at_step(site, time, tokens, value).map_err(|error| {
            let message = error.to_string();
            failed = Some(error);
            candle_core::Error::Msg(message)
        })
    });
    match (result, failed) {
        (_, Some(error)) => Err(error),
        (result, None) => Ok(result?),
    }
}

/// The hidden states that the ways of a layer leave, side by side: `[batch, width]`.
pub(crate) fn last_hidden(states: &[State]) -> Result<Tensor> {
    let hidden: Vec<&Tensor> = states.iter().map(|state| &state.hidden).collect();
    Ok(Tensor::cat(&hidden, 1)?)
}
