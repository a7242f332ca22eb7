//! How work is split over threads.
//!
//! Two levels never nest. A batch is sharded by sequence, each shard on one thread, under
//! [`serial`]; a single sequence is split inside each operation. Splits are by output element
//! and never change the order of a sum, so results do not depend on the number of threads.
//!
//! candle has a thread pool of its own for elementwise operations on large tensors, which spins
//! while it waits and takes one caller at a time: beside ours it measured a third of all processor
//! time. It reads the environment variable `CANDLE_NUM_THREADS` once, at its first use. Programs
//! should set it to 1 before they start any thread, as `glossator` does.

use std::cell::Cell;

thread_local! {
    static SERIAL: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with operations kept on the calling thread.
pub fn serial<R>(f: impl FnOnce() -> R) -> R {
    /// Restores the flag even when `f` unwinds.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SERIAL.set(self.0);
        }
    }
    let _restore = Restore(SERIAL.replace(true));
    f()
}

/// The number of threads that an operation may use here.
pub fn available() -> usize {
    if SERIAL.get() { 1 } else { rayon::current_num_threads() }
}

/// Below this many multiply-adds a second thread costs more than it saves (waking one takes
/// some tens of microseconds).
pub(crate) const GRAIN: usize = 1 << 20;

/// The number of parts to split `work` multiply-adds into.
pub(crate) fn parts_for(work: usize) -> usize {
    available().min(work / GRAIN).max(1)
}

/// Runs `f` on consecutive chunks of whole rows of `out`, `parts` at a time.
///
/// `f` gets the index of its first row and its rows.
pub(crate) fn split_rows<T: Send>(
    out: &mut [T],
    row: usize,
    parts: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = out.len().checked_div(row).unwrap_or(0);
    if parts <= 1 || rows <= 1 {
        f(0, out);
        return;
    }
    let per_part = rows.div_ceil(parts);
    rayon::scope(|scope| {
        let f = &f;
        for (part, chunk) in out.chunks_mut(per_part * row).enumerate() {
            scope.spawn(move |_| serial(|| f(part * per_part, chunk)));
        }
    });
}

/// [`split_rows`] of two arrays with as many rows, of `widths` (the second not 0) elements each.
pub(crate) fn split_two<A: Send, B: Send>(
    a: &mut [A],
    b: &mut [B],
    widths: (usize, usize),
    parts: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    let rows = b.len().checked_div(widths.1).unwrap_or(0);
    if parts <= 1 || rows <= 1 || widths.0 == 0 {
        f(0, a, b);
        return;
    }
    let per_part = rows.div_ceil(parts);
    rayon::scope(|scope| {
        let f = &f;
        let chunks = a.chunks_mut(per_part * widths.0).zip(b.chunks_mut(per_part * widths.1));
        for (part, (a, b)) in chunks.enumerate() {
            scope.spawn(move |_| serial(|| f(part * per_part, a, b)));
        }
    });
}
