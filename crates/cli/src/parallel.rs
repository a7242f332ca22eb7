//! Many inputs side by side, with their results in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use glossator_ops::threads;

use crate::exit::Stop;

/// How many inputs may be under way or waiting for an earlier one to be written.
const AHEAD: usize = 64;

/// Works on items side by side, one thread each, and emits what comes of them in their order.
/// `cancel` ends what is under way once nobody reads our output any more.
pub(crate) fn in_order<I, O: Send>(
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> O + Sync,
    cancel: impl Fn(),
    emit: &mut dyn FnMut(O) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let source = Mutex::new(items.enumerate());
    // Number of results written; workers that are too far ahead of it wait.
    let (written, changed) = (Mutex::new(0_usize), Condvar::new());
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            let (sender, source, work) = (sender.clone(), &source, &work);
            let (written, changed) = (&written, &changed);
            scope.spawn(move || {
                threads::serial(|| {
                    loop {
                        let Some((index, item)) = lock(source).next() else { return };
                        let mut done = lock(written);
                        while index >= done.saturating_add(AHEAD) {
                            done = changed.wait(done).unwrap_or_else(PoisonError::into_inner);
                        }
                        drop(done);
                        // A closed channel means that nobody reads our output any more.
                        if sender.send((index, work(item))).is_err() {
                            return;
                        }
                    }
                });
            });
        }
        drop(sender);
        let result = sorted(&receiver, |one| {
            emit(one)?;
            *lock(&written) += 1;
            changed.notify_all();
            Ok(())
        });
        // Lets workers see that nobody waits for them.
        if result.is_err() {
            cancel();
        }
        drop(receiver);
        *lock(&written) = usize::MAX;
        changed.notify_all();
        result
    })
}

/// Passes on what arrives in the order of its index.
fn sorted<T>(
    receiver: &mpsc::Receiver<(usize, T)>,
    mut emit: impl FnMut(T) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, result) in receiver {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&next) {
            next += 1;
            emit(result)?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
