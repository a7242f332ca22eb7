//! Gradients of variables, written where they are kept.
//!
//! candle adds each gradient that an operation returns to a tensor of zeros. For the weights of a
//! model in training that is four times the traffic of the gradients themselves. Within
//! [`crate::gradient::backward`] our operations add to one buffer for each variable instead.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use candle_core::{CpuStorage, Result, Tensor, TensorId};

use crate::real::Real;
use crate::storage::tensor;

/// The gradients of one backward pass.
struct Collection {
    /// The nodes of its graph. A thread that waits for others may run other backward passes in
    /// the meantime: their nodes are not these.
    nodes: HashSet<TensorId>,
    leaves: HashMap<TensorId, (CpuStorage, Vec<usize>)>,
}

thread_local! {
    static COLLECTIONS: RefCell<Vec<Collection>> = const { RefCell::new(Vec::new()) };
}

/// Runs a backward pass of `output`, and returns its result with the gradients of variables that
/// our operations wrote.
pub(crate) fn collect<R>(
    output: &Tensor,
    run: impl FnOnce() -> Result<R>,
) -> Result<(R, Vec<(TensorId, Tensor)>)> {
    /// Removes the collection even when the pass unwinds.
    struct Started;
    impl Drop for Started {
        fn drop(&mut self) {
            COLLECTIONS.with_borrow_mut(Vec::pop);
        }
    }
    let nodes = output.sorted_nodes().iter().map(|node| node.id()).collect();
    COLLECTIONS.with_borrow_mut(|all| all.push(Collection { nodes, leaves: HashMap::new() }));
    let started = Started;
    let result = run()?;
    let leaves = COLLECTIONS
        .with_borrow_mut(|all| all.last_mut().map(|last| std::mem::take(&mut last.leaves)));
    drop(started);
    let leaves = leaves.unwrap_or_default().into_iter().map(|(id, (storage, dims))| {
        let gradient = match storage {
            CpuStorage::F32(values) => tensor(values, dims),
            CpuStorage::F64(values) => tensor(values, dims),
            _ => candle_core::bail!("gradients are f32 or f64"),
        };
        Ok((id, gradient?))
    });
    Ok((result, leaves.collect::<Result<_>>()?))
}

/// The gradient that the operation which made `node` returns for its input `leaf`.
///
/// `write` fills zeros with the gradient, or adds the gradient to what is there if its second
/// argument is true. It is not called if nothing tracks `leaf`. The result is `None` then, and if
/// the gradient was collected.
pub(crate) fn gradient<T: Real>(
    node: &Tensor,
    leaf: &Tensor,
    write: impl FnOnce(&mut [T], bool) -> Result<()>,
) -> Result<Option<Tensor>> {
    if !leaf.track_op() {
        return Ok(None);
    }
    let zeros = || vec![T::ZERO; leaf.elem_count()];
    let collected = leaf.is_variable().then(|| take(node, leaf.id())).flatten();
    let Some(before) = collected else {
        let mut values = zeros();
        write(&mut values, false)?;
        return tensor(values, leaf.dims()).map(Some);
    };
    // Not borrowed while `write` runs: it may wait for threads, see `Collection::nodes`.
    let add = before.is_some();
    let mut values = match before {
        Some(storage) => T::owned(storage)?,
        None => zeros(),
    };
    write(&mut values, add)?;
    let kept = (T::to_cpu_storage_owned(values), leaf.dims().to_vec());
    with_collection(node, |collection| collection.leaves.insert(leaf.id(), kept));
    Ok(None)
}

/// What was collected for a variable so far, if there is a collection for the graph of `node`.
fn take(node: &Tensor, leaf: TensorId) -> Option<Option<CpuStorage>> {
    with_collection(node, |collection| collection.leaves.remove(&leaf).map(|(storage, _)| storage))
}

fn with_collection<R>(node: &Tensor, f: impl FnOnce(&mut Collection) -> R) -> Option<R> {
    COLLECTIONS.with_borrow_mut(|all| {
        all.last_mut().filter(|collection| collection.nodes.contains(&node.id())).map(f)
    })
}
