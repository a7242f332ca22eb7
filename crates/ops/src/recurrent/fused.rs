//! The sequence as one operation: with constant weights of the input and the state, with trained
//! ones of projections, weights and state.

use std::sync::OnceLock;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType,
};

use super::sweep::{Kept, Matrix, Sweep, pack};
use super::{Cell, Recurrent, State};
use crate::error::shape_error;
use crate::linear::{Input, storage_dtype};
use crate::lines::LinesBuf;
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};
use crate::weight::Weight;

impl Recurrent {
    /// The fast path of [`Recurrent::forward`].
    pub(super) fn fused(
        &self,
        x: &Tensor,
        sweep: Sweep,
        initial: Option<&State>,
    ) -> Result<(Tensor, State)> {
        let state = match initial {
            // An untracked scalar, which gets no gradient.
            None => Tensor::zeros((), x.dtype(), x.device())?,
            Some(State { hidden, cell: None }) => hidden.contiguous()?,
            Some(State { hidden, cell: Some(cell) }) => Tensor::cat(&[hidden, cell], 1)?,
        };
        let kept = OnceLock::new();
        let Sweep { batch, tokens, hidden, .. } = sweep;
        let (outputs, width) = (sweep.outputs(), sweep.state_width());
        let biased = self.b_hh.as_ref().is_none_or(Weight::is_constant);
        let flat = if self.projection.is_constant() && self.w_hh.is_constant() && biased {
            let operation = Frozen { map: self.clone(), sweep, kept };
            x.contiguous()?.apply_op2(&state, operation)?
        } else {
            let w_hh = self.w_hh.to_tensor(x.device())?.flatten_all()?;
            let b_hh = match &self.b_hh {
                Some(bias) => bias.to_tensor(x.device())?,
                None => Tensor::zeros(self.w_hh.shape()[0], w_hh.dtype(), x.device())?,
            };
            let weights = Tensor::cat(&[w_hh, b_hh], 0)?;
            self.projection.forward(x)?.apply_op3(&weights, &state, Trained { sweep, kept })?
        };
        let part = |start: usize, dims: Vec<usize>| flat.apply_op1(Part { start, dims });
        let output = part(0, vec![batch, tokens, hidden])?;
        let last = part(outputs, vec![batch, width])?;
        if self.cell != Cell::Lstm {
            return Ok((output, State { hidden: last, cell: None }));
        }
        let half = |start| last.narrow(1, start, hidden)?.contiguous();
        Ok((output, State { hidden: half(0)?, cell: Some(half(hidden)?) }))
    }
}

fn constant<T: Real>(weight: &Weight) -> Result<&[T]> {
    T::constant(weight).ok_or_else(|| {
        shape_error("recurrent", "element type of the weight", T::DTYPE, weight.dtype())
    })
}

/// Gates and memory of the forward pass.
type Stored = OnceLock<(CpuStorage, CpuStorage)>;

fn store<T: Real>(place: &Stored, kept: Kept<T>) {
    // A second forward pass of the same instance cannot happen: one is made per call.
    let _ = place.set((T::to_cpu_storage_owned(kept.gates), T::to_cpu_storage_owned(kept.memory)));
}

fn stored<T: Real>(place: &Stored) -> Result<(&[T], &[T])> {
    let Some((gates, memory)) = place.get() else {
        candle_core::bail!("recurrent: backward before forward");
    };
    Ok((T::cpu_storage_as_slice(gates)?, T::cpu_storage_as_slice(memory)?))
}

/// The initial state; empty if there is none.
fn state_slice<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.dims() {
        [] => Ok(&[]),
        _ => contiguous::<T>("recurrent", storage, layout),
    }
}

/// With constant weights, projection included.
struct Frozen {
    map: Recurrent,
    sweep: Sweep,
    kept: Stored,
}

impl CustomOp2 for Frozen {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        state: &CpuStorage,
        state_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(x), T => {
            let x = contiguous::<T>(self.name(), x, x_layout)?;
            let state = state_slice::<T>(state, state_layout)?;
            let projection = &self.map.projection;
            let (steps, wide) = (self.sweep.batch * self.sweep.tokens, projection.out_features());
            let mut gates = vec![T::ZERO; steps * wide];
            if steps > 0 {
                let x = Input::new(x, projection.in_features());
                projection.forward_slice(&x, &mut gates, wide)?;
            }
            let rows = constant::<T>(&self.map.w_hh)?;
            // Small weights are not kept packed.
            let own = if self.map.w_hh.is_packed() { None } else { pack(rows, self.sweep.hidden) };
            let lines = own.as_ref().map(LinesBuf::as_lines).or_else(|| self.map.w_hh.lines());
            let weights = Matrix { rows, lines };
            let zeros = vec![T::ZERO; wide];
            let bias = self.map.b_hh.as_ref().map(constant::<T>).transpose()?.unwrap_or(&zeros);
            let kept = self.sweep.forward(weights, bias, gates, state);
            let out = self.sweep.collect(&kept);
            store(&self.kept, kept);
            let shape = Shape::from(out.len());
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        state: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let name = self.name();
        for_real!(name, x.dtype(), T => with_slice::<T, _>(name, &dy, |dy| {
            with_slice::<T, _>(name, state, |initial| {
                let initial = if state.rank() == 0 { &[] } else { initial };
                let kept = stored::<T>(&self.kept)?;
                let rows = constant::<T>(&self.map.w_hh)?;
                let own =
                    if self.map.w_hh.is_packed() { None } else { pack(rows, self.sweep.hidden) };
                let lines = own.as_ref().map(LinesBuf::as_lines).or_else(|| self.map.w_hh.lines());
                let weights = Matrix { rows, lines };
                let gradients = self.sweep.backward(weights, kept, initial, dy);
                let mut dx = None;
                if x.track_op() {
                    let projection = &self.map.projection;
                    let (steps, wide) =
                        (self.sweep.batch * self.sweep.tokens, projection.out_features());
                    let mut values = vec![T::ZERO; x.elem_count()];
                    if steps > 0 {
                        let dgates = &gradients.gates;
                        projection.backward_slice(dgates, wide, steps, false, &mut values)?;
                    }
                    dx = Some(tensor(values, x.dims())?);
                }
                let dstate = state.track_op().then(|| tensor(gradients.state, state.dims()));
                Ok((dx, dstate.transpose()?))
            })
        }))
    }
}

/// Of projections, `W_hh` and `b_hh` in a row, and the initial state.
struct Trained {
    sweep: Sweep,
    kept: Stored,
}

impl CustomOp3 for Trained {
    fn name(&self) -> &'static str {
        "recurrent (trained)"
    }

    fn cpu_fwd(
        &self,
        projected: &CpuStorage,
        projected_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        state: &CpuStorage,
        state_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        let hidden = self.sweep.hidden;
        for_real!(name, storage_dtype(projected), T => {
            let gates = contiguous::<T>(name, projected, projected_layout)?.to_vec();
            let weights = contiguous::<T>(name, weights, weights_layout)?;
            let (rows, bias) = weights.split_at(weights.len() / (hidden + 1) * hidden);
            let own = pack(rows, hidden);
            let weights = Matrix { rows, lines: own.as_ref().map(LinesBuf::as_lines) };
            let state = state_slice::<T>(state, state_layout)?;
            let kept = self.sweep.forward(weights, bias, gates, state);
            let out = self.sweep.collect(&kept);
            store(&self.kept, kept);
            let shape = Shape::from(out.len());
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(
        &self,
        projected: &Tensor,
        weights: &Tensor,
        state: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let name = self.name();
        let hidden = self.sweep.hidden;
        for_real!(name, projected.dtype(), T => {
            with_slice::<T, _>(name, &dy, |dy| with_slice::<T, _>(name, state, |initial| {
                let initial = if state.rank() == 0 { &[] } else { initial };
                let kept = stored::<T>(&self.kept)?;
                let gradients = with_slice::<T, _>(name, weights, |weights| {
                    let rows = &weights[..weights.len() / (hidden + 1) * hidden];
                    let own = pack(rows, hidden);
                    let weights = Matrix { rows, lines: own.as_ref().map(LinesBuf::as_lines) };
                    Ok(self.sweep.backward(weights, kept, initial, dy))
                })?;
                let dweights = weights.track_op().then(|| {
                    let values = self.sweep.weight_gradients(kept, initial, &gradients.gates);
                    tensor(values, weights.dims())
                });
                let dstate = state.track_op().then(|| tensor(gradients.state, state.dims()));
                let dprojected =
                    projected.track_op().then(|| tensor(gradients.gates, projected.dims()));
                Ok((dprojected.transpose()?, dweights.transpose()?, dstate.transpose()?))
            }))
        })
    }
}

/// A stretch of a row of numbers, in another shape.
struct Part {
    start: usize,
    dims: Vec<usize>,
}

impl CustomOp1 for Part {
    fn name(&self) -> &'static str {
        "part"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let len = self.dims.iter().product();
        for_real!(self.name(), storage_dtype(storage), T => {
            let all = contiguous::<T>(self.name(), storage, layout)?;
            let part = T::to_cpu_storage(&all[self.start..][..len]);
            Ok((part, Shape::from(self.dims.clone())))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = vec![T::ZERO; x.elem_count()];
            with_slice::<T, _>(self.name(), &dy, |dy| {
                dx[self.start..][..dy.len()].copy_from_slice(dy);
                Ok(())
            })?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}
