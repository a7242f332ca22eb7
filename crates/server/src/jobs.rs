//! Who computes, who waits, and what is kept.
//!
//! Computation runs on threads of its own, never on those that answer. A bounded number of tasks
//! waits; more are turned away. Requests that ask for the same share one task, which is cancelled
//! when the last of them has gone. Jobs that are asked for later hold on to their task by a name.

mod handles;
mod pool;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;

use crate::cache::{Cache, Key};
use crate::problem::{Code, Failure};
use crate::settings::{Report, Settings};
use crate::task::{Asked, Phase, Task, cancelled};

pub(crate) use handles::Handle;
use handles::Handles;

/// All tasks of a server.
#[derive(Clone)]
pub(crate) struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    board: Mutex<Board>,
    /// A task came, or the server closes.
    news: Condvar,
    workers: usize,
    queue: usize,
    timeout: Duration,
    report: Report,
}

/// What may change, under one lock that is never held while anything is computed.
struct Board {
    queue: VecDeque<Arc<Task>>,
    running: Vec<Arc<Task>>,
    /// Tasks that are not finished, with the number of those who wait for each.
    flying: HashMap<Key, (Arc<Task>, usize)>,
    cache: Cache,
    handles: Handles,
    closing: bool,
    counts: Counts,
    /// Seconds that a task took of late.
    usual: f64,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tasks that were computed.
    pub(crate) computed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Requests that joined a task.
    pub(crate) joined: u64,
    pub(crate) hits: u64,
    /// Requests that were turned away.
    pub(crate) refused: u64,
    pub(crate) evaluations: u64,
}

/// What the metrics show.
pub(crate) struct Gauge {
    pub(crate) counts: Counts,
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) handles: usize,
    pub(crate) cached: usize,
    pub(crate) cached_bytes: usize,
}

/// What a request got.
pub(crate) enum Place {
    /// The result was there.
    Known(Bytes),
    /// A task that somebody computes.
    Waiting(Hold),
}

impl Jobs {
    /// Starts the workers.
    pub(crate) fn start(settings: &Settings) -> std::io::Result<Self> {
        let board = Board {
            queue: VecDeque::new(),
            running: Vec::new(),
            flying: HashMap::new(),
            cache: Cache::new(settings.cache),
            handles: Handles::new(settings.cache),
            closing: false,
            counts: Counts::default(),
            usual: 0.5,
        };
        let shared = Arc::new(Shared {
            board: Mutex::new(board),
            news: Condvar::new(),
            workers: settings.workers.max(1),
            queue: settings.queue,
            timeout: settings.limits.timeout,
            report: Arc::clone(&settings.report),
        });
        pool::spawn(&shared)?;
        Ok(Self { shared })
    }

    /// A place for a request: the result if it is known, a task that asks for the same, or a new
    /// one.
    pub(crate) fn place(&self, asked: Asked) -> Result<Place, Failure> {
        let mut board = self.shared.lock();
        if let Some(known) = board.cache.get(&asked.key) {
            board.counts.hits += 1;
            return Ok(Place::Known(known));
        }
        self.hold(&mut board, asked).map(Place::Waiting)
    }

    fn hold(&self, board: &mut Board, asked: Asked) -> Result<Hold, Failure> {
        if let Some((task, holders)) = board.flying.get_mut(&asked.key) {
            *holders += 1;
            let task = Arc::clone(task);
            board.counts.joined += 1;
            return Ok(Hold { task, shared: Arc::clone(&self.shared) });
        }
        if board.closing {
            return Err(closing());
        }
        // A worker that is free takes it at once, whatever the queue may hold.
        let free = self.shared.workers.saturating_sub(board.running.len());
        if board.queue.len() >= self.shared.queue + free {
            board.counts.refused += 1;
            return Err(self.busy(board));
        }
        let task = Arc::new(Task::new(asked, self.shared.timeout));
        board.flying.insert(task.key, (Arc::clone(&task), 1));
        board.queue.push_back(Arc::clone(&task));
        self.shared.news.notify_one();
        Ok(Hold { task, shared: Arc::clone(&self.shared) })
    }

    fn busy(&self, board: &Board) -> Failure {
        let waiting = board.queue.len();
        let seconds = board.usual * waiting as f64 / self.shared.workers as f64;
        let detail = format!("{waiting} requests are waiting, which is as many as may");
        Failure::new(Code::Busy, detail)
            .with_hint("try again after the seconds that Retry-After names")
            .retry_after((seconds.ceil() as u64).clamp(1, 60))
    }

    /// Waits for a request's result.
    pub(crate) async fn result(&self, asked: Asked) -> Result<Bytes, Failure> {
        let hold = match self.place(asked)? {
            Place::Known(result) => return Ok(result),
            Place::Waiting(hold) => hold,
        };
        let mut watch = hold.task.watch();
        // A forward pass cannot be interrupted: beyond both limits nobody waits for its end.
        let most = self.shared.timeout * 2 + Duration::from_secs(5);
        let finished = watch.wait_for(|phase| matches!(phase, Phase::Finished(_)));
        match tokio::time::timeout(most, finished).await {
            Ok(Ok(phase)) => match &*phase {
                Phase::Finished(result) => result.clone(),
                Phase::Queued | Phase::Running => Err(Failure::internal()),
            },
            Ok(Err(_)) => Err(Failure::internal()),
            Err(_) => Err(hold.task.stopped()),
        }
    }

    /// Gives a request a name under which it is asked for later.
    pub(crate) fn detach(&self, asked: Asked) -> Result<Arc<Handle>, Failure> {
        let mut gone = Vec::new();
        let mut board = self.shared.lock();
        if board.closing {
            return Err(closing());
        }
        if let Err(full) = board.handles.make_room(&mut gone) {
            board.counts.refused += 1;
            return Err(full);
        }
        let handle = if let Some(known) = board.cache.get(&asked.key) {
            board.counts.hits += 1;
            Handle::new(Arc::new(Task::known(asked, known)), None)
        } else {
            let hold = self.hold(&mut board, asked)?;
            Handle::new(Arc::clone(&hold.task), Some(hold))
        };
        let handle = Arc::new(handle);
        board.handles.insert(Arc::clone(&handle));
        drop(board);
        // Each takes the lock when it goes.
        drop(gone);
        Ok(handle)
    }

    /// The job of a name.
    pub(crate) fn handle(&self, id: &str) -> Option<Arc<Handle>> {
        let mut gone = Vec::new();
        let mut board = self.shared.lock();
        board.handles.expire(&mut gone);
        let found = board.handles.get(id);
        drop(board);
        drop(gone);
        found
    }

    /// Cancels a job; one that is finished is forgotten.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let Some(handle) = self.handle(id) else { return false };
        if handle.task.is_finished() {
            let gone = self.shared.lock().handles.remove(id);
            drop(gone);
        } else {
            handle.cancel();
        }
        true
    }

    /// A task's place among those that wait.
    pub(crate) fn position(&self, task: &Arc<Task>) -> Option<usize> {
        self.shared.lock().queue.iter().position(|other| Arc::ptr_eq(other, task))
    }

    /// Takes no new tasks.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.news.notify_all();
    }

    /// Whether anything waits or is computed.
    pub(crate) fn is_idle(&self) -> bool {
        let board = self.shared.lock();
        board.queue.is_empty() && board.running.is_empty()
    }

    /// Cancels everything.
    pub(crate) fn abandon(&self) {
        let mut board = self.shared.lock();
        board.closing = true;
        let waiting: Vec<_> = board.queue.drain(..).collect();
        for task in waiting.iter().chain(&board.running) {
            task.cancel();
        }
        board.flying.clear();
        drop(board);
        for task in waiting {
            task.finish(Err(closing()));
        }
    }

    pub(crate) fn gauge(&self) -> Gauge {
        let board = self.shared.lock();
        Gauge {
            counts: board.counts,
            waiting: board.queue.len(),
            running: board.running.len(),
            handles: board.handles.len(),
            cached: board.cache.len(),
            cached_bytes: board.cache.bytes(),
        }
    }
}

fn closing() -> Failure {
    Failure::new(Code::ShuttingDown, "it takes no more requests").retry_after(10)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a task. When the last one goes, the task is cancelled.
pub(crate) struct Hold {
    task: Arc<Task>,
    shared: Arc<Shared>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut board = self.shared.lock();
        let Some((task, holders)) = board.flying.get_mut(&self.task.key) else { return };
        // Another task of the same key may have come since.
        if !Arc::ptr_eq(task, &self.task) {
            return;
        }
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        board.flying.remove(&self.task.key);
        self.task.cancel();
        let place = board.queue.iter().position(|other| Arc::ptr_eq(other, &self.task));
        if let Some(place) = place {
            board.queue.remove(place);
            board.counts.cancelled += 1;
            drop(board);
            self.task.finish(Err(cancelled()));
        }
    }
}
