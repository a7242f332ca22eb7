//! A variable's memory, changed where it lies: a copy of all weights at each step would cost as
//! much as the step.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

struct InPlace<F>(Mutex<F>);

impl<F: FnMut(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(elements) = storage else { bail!("weights are trained in f32") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("weights are trained in contiguous memory")
        };
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(&mut elements[start..end]);
        Ok(())
    }
}

/// Changes the elements of a variable.
pub(crate) fn in_place(variable: &Tensor, change: impl FnMut(&mut [f32])) -> Result<()> {
    variable.inplace_op1(&InPlace(Mutex::new(change)))
}

/// Reads the elements of a tensor; only where it is not contiguous are they copied.
pub(crate) fn read<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (candle_core::Storage::Cpu(CpuStorage::F32(elements)), Some((start, end))) => {
            Ok(f(&elements[start..end]))
        }
        _ => bail!("weights are trained in f32 on the processor"),
    }
}
