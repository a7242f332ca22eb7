//! Table look-up.

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::leaves;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, tensor, with_slice};
use crate::weight::Weight;

/// The rows of `table` at `ids`, on the device of a tensor weight and on the CPU for a constant.
///
/// # Shapes
/// - `table`: `[entries, width]`
/// - `ids`: any number, viewed as `[batch, tokens]` with `dims`
/// - result: `dims + [width]`
///
/// # Errors
/// If an id is not below the number of entries.
pub fn embedding(table: &Weight, ids: &[u32], dims: &[usize]) -> Result<Tensor> {
    let &[entries, width] = table.shape() else {
        return Err(shape_error("embedding", "table", "[entries, width]", table.shape()));
    };
    if dims.iter().product::<usize>() != ids.len() {
        return Err(shape_error("embedding", "number of ids", dims, ids.len()));
    }
    if let Some(id) = ids.iter().find(|&&id| id as usize >= entries) {
        let expected = format!("an id below {entries}");
        return Err(shape_error("embedding", "id", expected, id));
    }
    let mut out_dims = dims.to_vec();
    out_dims.push(width);
    if !table.is_constant() {
        let table = table.to_tensor(&Device::Cpu)?;
        let ids = Tensor::from_slice(ids, ids.len(), table.device())?;
        if table.device().is_cpu() {
            return table.contiguous()?.apply_op2(&ids, Lookup)?.reshape(out_dims);
        }
        return table.index_select(&ids, 0)?.reshape(out_dims);
    }
    for_real!("embedding", table.dtype(), T => {
        let Some(table) = T::constant(table) else {
            return Err(shape_error("embedding", "element type", T::DTYPE, table.dtype()));
        };
        tensor(gather(table, ids, width), out_dims)
    })
}

fn gather<T: Real>(table: &[T], ids: &[u32], width: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(ids.len() * width);
    for &id in ids {
        out.extend_from_slice(&table[id as usize * width..][..width]);
    }
    out
}

/// Look-up in a table that is trained.
struct Lookup;

impl CustomOp2 for Lookup {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(
        &self,
        table: &CpuStorage,
        table_layout: &Layout,
        ids: &CpuStorage,
        ids_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = table_layout.shape().dims2()?;
        let ids = u32::cpu_storage_as_slice(ids)?;
        for_real!(self.name(), storage_dtype(table), T => {
            let table = contiguous::<T>(self.name(), table, table_layout)?;
            let out = gather(table, ids, width);
            let rows = ids_layout.shape().elem_count();
            Ok((T::to_cpu_storage_owned(out), Shape::from((rows, width))))
        })
    }

    /// Row `i` of the table gets the sum of the gradients of the places that read it.
    fn bwd(
        &self,
        table: &Tensor,
        ids: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, width) = table.dims2()?;
        let ids = ids.to_vec1::<u32>()?;
        let dout = dout.contiguous()?;
        for_real!(self.name(), table.dtype(), T => {
            let dtable = leaves::gradient::<T>(out, table, |dtable, _| {
                with_slice::<T, _>(self.name(), &dout, |dout| {
                    for (&id, dout) in ids.iter().zip(dout.chunks(width.max(1))) {
                        let row = &mut dtable[id as usize * width..][..width];
                        for (sum, &value) in row.iter_mut().zip(dout) {
                            *sum += value;
                        }
                    }
                    Ok(())
                })
            })?;
            Ok((dtable, None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, constant, max_abs, random};

    #[test]
    fn rows_and_their_gradients() {
        let table = random(1, &[5, 3]);
        let ids = [4, 0, 4, 2];
        let trained = |x: &[Tensor]| embedding(&Weight::from_tensor(x[0].clone()), &ids, &[2, 2]);
        assert_gradient(std::slice::from_ref(&table), trained);
        let frozen = embedding(&constant(&table), &ids, &[2, 2]).unwrap();
        assert_eq!(frozen.dims(), [2, 2, 3]);
        assert_eq!(
            max_abs(&(frozen - trained(std::slice::from_ref(&table)).unwrap()).unwrap()),
            0.0
        );
        let error = embedding(&constant(&table), &[5], &[1, 1]).unwrap_err().to_string();
        assert!(error.contains("an id below 5"), "{error}");
    }
}
