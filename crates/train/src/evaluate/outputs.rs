//! The outputs of a model for many inputs, side by side.

use glossator_models::{Batch, Encoding, Model, Trace};
use glossator_ops::{Tensor, threads};
use rayon::prelude::*;

use crate::error::Result;

/// Inputs of like length go through a model together, so many and so many tokens at most.
const ROWS: usize = 16;
const TOKENS: usize = 2048;

/// What `read` makes of each input's logits, `[labels]` or `[positions, labels]`, padding included;
/// it is told where the second parts of the batch begin, if it has two.
pub(super) fn outputs<T: Send>(
    model: &dyn Model,
    encodings: &[Encoding],
    read: impl Fn(usize, &Tensor, Option<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut order: Vec<usize> = (0..encodings.len()).collect();
    order.sort_by_key(|&i| encodings[i].tokens.len());
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for i in order {
        let tokens = encodings[i].tokens.len();
        match groups.last_mut() {
            Some(group) if group.len() < ROWS && (group.len() + 1) * tokens <= TOKENS => {
                group.push(i);
            }
            _ => groups.push(vec![i]),
        }
    }
    let one = |group: &Vec<usize>| -> Result<Vec<(usize, T)>> {
        let rows: Vec<&Encoding> = group.iter().map(|&i| &encodings[i]).collect();
        let batch = Batch::new(&rows, model.pad_id());
        let output = model.forward(&model.embed(&batch)?, &batch, &mut Trace::new())?;
        let logits = output.logits.detach();
        let rows = group.iter().enumerate();
        rows.map(|(row, &i)| Ok((i, read(i, &logits.get(row)?, batch.second())?))).collect()
    };
    let made: Result<Vec<_>> = if groups.len() < threads::available() {
        groups.iter().map(one).collect()
    } else {
        groups.par_iter().map(|group| threads::serial(|| one(group))).collect()
    };
    let mut made: Vec<(usize, T)> = made?.into_iter().flatten().collect();
    made.sort_by_key(|(i, _)| *i);
    Ok(made.into_iter().map(|(_, value)| value).collect())
}

/// A row of logits.
pub(super) fn row(logits: &Tensor) -> Result<Vec<f32>> {
    let row: Vec<f32> = logits.to_dtype(glossator_ops::DType::F32)?.to_vec1()?;
    finite(&row)?;
    Ok(row)
}

/// Rows of logits.
pub(super) fn rows(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    let rows: Vec<Vec<f32>> = logits.to_dtype(glossator_ops::DType::F32)?.to_vec2()?;
    rows.iter().try_for_each(|row| finite(row))?;
    Ok(rows)
}

fn finite(row: &[f32]) -> Result<()> {
    if row.iter().all(|z| z.is_finite()) {
        return Ok(());
    }
    let what = "the output";
    Err(glossator_interpret::Error::NotFinite { what, at: String::new() }.into())
}
