//! Jobs that are asked for later, by names that nobody can guess; bounded in number, bytes and time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngCore;
use tokio::sync::watch;

use super::Hold;
use crate::problem::{Code, Failure};
use crate::task::{Phase, Task};

/// Jobs that are remembered at most.
const MOST: usize = 256;
/// How long a finished one is.
const KEPT: Duration = Duration::from_secs(600);

/// A job by its name.
pub(crate) struct Handle {
    pub(crate) id: String,
    pub(crate) task: Arc<Task>,
    /// Keeps the task from being cancelled.
    hold: Mutex<Option<Hold>>,
    cancelled: watch::Sender<bool>,
    made: Instant,
}

impl Handle {
    pub(super) fn new(task: Arc<Task>, hold: Option<Hold>) -> Self {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        let mut id = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(id, "{byte:02x}");
        }
        let (hold, cancelled) = (Mutex::new(hold), watch::Sender::new(false));
        Self { id, task, hold, cancelled, made: Instant::now() }
    }

    /// Lets go of the task; others may still wait for it.
    pub(crate) fn cancel(&self) {
        self.cancelled.send_replace(true);
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(hold);
    }

    /// Tells whether it was cancelled, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.cancelled.subscribe()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    fn is_over(&self) -> bool {
        self.task.is_finished() || self.is_cancelled()
    }

    /// Since when it is over.
    fn over(&self) -> Instant {
        self.task.finished_at().unwrap_or(self.made)
    }

    fn bytes(&self) -> usize {
        match self.task.phase() {
            Phase::Finished(Ok(result)) => result.len(),
            _ => 0,
        }
    }
}

/// The jobs there are.
pub(super) struct Handles {
    all: HashMap<String, Arc<Handle>>,
    /// Bytes of results at most.
    bytes: usize,
}

impl Handles {
    pub(super) fn new(bytes: usize) -> Self {
        Self { all: HashMap::new(), bytes: bytes.max(1 << 20) }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Handle>> {
        self.all.get(id).cloned()
    }

    pub(super) fn insert(&mut self, handle: Arc<Handle>) {
        self.all.insert(handle.id.clone(), handle);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Handle>> {
        self.all.remove(id)
    }

    /// Forgets jobs that have been over for long. `gone` is to be dropped without the lock.
    pub(super) fn expire(&mut self, gone: &mut Vec<Arc<Handle>>) {
        let old = |handle: &Handle| handle.is_over() && handle.over().elapsed() > KEPT;
        let ids: Vec<_> =
            self.all.values().filter(|handle| old(handle)).map(|h| h.id.clone()).collect();
        gone.extend(ids.iter().filter_map(|id| self.all.remove(id)));
    }

    /// Forgets the oldest finished ones until there is room for one more.
    pub(super) fn make_room(&mut self, gone: &mut Vec<Arc<Handle>>) -> Result<(), Failure> {
        self.expire(gone);
        loop {
            let bytes: usize = self.all.values().map(|handle| handle.bytes()).sum();
            if self.all.len() < MOST && bytes <= self.bytes {
                return Ok(());
            }
            let over = self.all.values().filter(|handle| handle.is_over());
            let Some(id) = over.min_by_key(|handle| handle.over()).map(|h| h.id.clone()) else {
                let detail = format!("{MOST} jobs are not finished, which is as many as may be");
                return Err(Failure::new(Code::Busy, detail).retry_after(10));
            };
            gone.extend(self.all.remove(&id));
        }
    }
}
