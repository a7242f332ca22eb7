//! The threads that compute.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use glossator_ops::threads;

use super::Shared;
use crate::problem::{Code, Failure};
use crate::task::{Done, Task};

/// Starts the workers. They end when the server closes and nothing waits.
pub(super) fn spawn(shared: &Arc<Shared>) -> std::io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(shared.workers)
        .thread_name(|n| format!("shard-{n}"))
        .build()
        .map_err(std::io::Error::other)?;
    let pool = Arc::new(pool);
    for n in 0..shared.workers {
        let (shared, pool) = (Arc::clone(shared), Arc::clone(&pool));
        let worker = std::thread::Builder::new().name(format!("worker-{n}"));
        worker.spawn(move || {
            while let Some((task, alone)) = next(&shared) {
                let done = compute(&shared, &pool, &task, alone);
                conclude(&shared, &task, done);
            }
        })?;
    }
    Ok(())
}

/// Waits for a task; none when the server closes. Also tells whether it is the only one.
fn next(shared: &Shared) -> Option<(Arc<Task>, bool)> {
    let mut board = shared.lock();
    loop {
        if let Some(task) = board.queue.pop_front() {
            let alone = board.running.is_empty() && board.queue.is_empty();
            board.running.push(Arc::clone(&task));
            return Some((task, alone));
        }
        if board.closing {
            return None;
        }
        board = shared.news.wait(board).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Runs a task. One that is alone is split over all threads; of several, each keeps to its own,
/// which gives the same numbers.
fn compute(
    shared: &Shared,
    pool: &rayon::ThreadPool,
    task: &Arc<Task>,
    alone: bool,
) -> Result<Done, Failure> {
    let work = task.start()?;
    let run = || {
        let progress: &Task = task;
        catch_unwind(AssertUnwindSafe(|| work(progress)))
    };
    let result = if alone { pool.install(run) } else { threads::serial(run) };
    match result {
        Ok(Err(failure)) if failure.code == Code::Cancelled => Err(task.stopped()),
        Ok(result) => result,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
            let what = what.unwrap_or("no message");
            (shared.report)(&format!("{} panicked: {what}", task.kind));
            Err(Failure::internal())
        }
    }
}

/// Keeps the result, counts, and tells those who wait.
fn conclude(shared: &Shared, task: &Arc<Task>, done: Result<Done, Failure>) {
    // The time that it took is read below.
    let result = done.as_ref().map(|done| done.json.clone()).map_err(Clone::clone);
    let mut board = shared.lock();
    board.running.retain(|other| !Arc::ptr_eq(other, task));
    if board.flying.get(&task.key).is_some_and(|(other, _)| Arc::ptr_eq(other, task)) {
        board.flying.remove(&task.key);
    }
    board.counts.evaluations += task.evaluations();
    match done {
        Ok(done) => {
            board.counts.computed += 1;
            // Follows what is asked for, without jumping at one of them.
            board.usual += 0.1 * (task.busy().as_secs_f64() - board.usual);
            if done.keep {
                board.cache.insert(task.key, done.json);
            }
        }
        Err(failure) if failure.code == Code::Cancelled => board.counts.cancelled += 1,
        Err(_) => board.counts.failed += 1,
    }
    drop(board);
    task.finish(result);
}
