//! One computation: what it does, how far it is, and what came of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use glossator_interpret::Progress;
use glossator_view::wire::{JobProgress, JobState};
use tokio::sync::watch;

use crate::cache::Key;
use crate::problem::{Code, Failure};

/// A document as JSON, and whether it may be kept for others.
pub(crate) struct Done {
    pub(crate) json: Bytes,
    /// What a limit of time cut short is not what another run would give.
    pub(crate) keep: bool,
}

/// The computation itself.
pub(crate) type Work = Box<dyn FnOnce(&dyn Progress) -> Result<Done, Failure> + Send>;

/// What is asked of the workers.
pub(crate) struct Asked {
    /// What it is, for the metrics.
    pub(crate) kind: &'static str,
    pub(crate) key: Key,
    pub(crate) work: Work,
}

/// Where a task stands.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Queued,
    Running,
    Finished(Result<Bytes, Failure>),
}

/// One computation, which any number of requests may wait for.
pub(crate) struct Task {
    pub(crate) kind: &'static str,
    pub(crate) key: Key,
    work: Mutex<Option<Work>>,
    phase: watch::Sender<Phase>,
    evaluations: AtomicU64,
    cancelled: AtomicBool,
    asked: Instant,
    started: OnceLock<Instant>,
    finished: OnceLock<Instant>,
    timeout: Duration,
}

impl Task {
    pub(crate) fn new(asked: Asked, timeout: Duration) -> Self {
        let Asked { kind, key, work } = asked;
        Self {
            kind,
            key,
            work: Mutex::new(Some(work)),
            phase: watch::Sender::new(Phase::Queued),
            evaluations: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            asked: Instant::now(),
            started: OnceLock::new(),
            finished: OnceLock::new(),
            timeout,
        }
    }

    /// A task whose result was there already.
    pub(crate) fn known(asked: Asked, result: Bytes) -> Self {
        let task = Self::new(asked, Duration::ZERO);
        task.finish(Ok(result));
        task
    }

    /// Takes the computation, which happens once; none if it waited too long or nobody waits.
    pub(crate) fn start(&self) -> Result<Work, Failure> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(cancelled());
        }
        let waited = self.asked.elapsed();
        if waited > self.timeout {
            let detail = format!("it waited {:.0} s for its turn", waited.as_secs_f64());
            return Err(Failure::new(Code::Timeout, detail).with_hint("try again later"));
        }
        self.started.get_or_init(Instant::now);
        self.phase.send_replace(Phase::Running);
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.ok_or_else(Failure::internal)
    }

    /// Tells everyone who waits. Only the first call counts.
    pub(crate) fn finish(&self, result: Result<Bytes, Failure>) {
        self.finished.get_or_init(Instant::now);
        self.phase.send_if_modified(|phase| {
            let first = !matches!(phase, Phase::Finished(_));
            if first {
                *phase = Phase::Finished(result);
            }
            first
        });
        // What it holds on to, such as the request, is needed no more.
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Asks a running task to stop.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The failure of a task whose method said that it was told to stop.
    pub(crate) fn stopped(&self) -> Failure {
        if self.cancelled.load(Ordering::Relaxed) {
            return cancelled();
        }
        let detail = format!("it took longer than {} s", self.timeout.as_secs_f64());
        let hint = "give a shorter text, or settings that need fewer evaluations";
        Failure::new(Code::Timeout, detail).with_hint(hint)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Finished(_))
    }

    /// When it finished, if it has.
    pub(crate) fn finished_at(&self) -> Option<Instant> {
        self.finished.get().copied()
    }

    pub(crate) fn evaluations(&self) -> u64 {
        self.evaluations.load(Ordering::Relaxed)
    }

    /// How long it was computed, or is.
    pub(crate) fn busy(&self) -> Duration {
        let end = self.finished_at().unwrap_or_else(Instant::now);
        self.started.get().map_or(Duration::ZERO, |start| end.saturating_duration_since(*start))
    }

    /// How far it is; `position` is its place among those that wait.
    pub(crate) fn progress(&self, position: Option<usize>) -> JobProgress {
        let state = match &*self.phase.borrow() {
            Phase::Queued => JobState::Queued,
            Phase::Running => JobState::Running,
            Phase::Finished(Ok(_)) => JobState::Done,
            Phase::Finished(Err(failure)) if failure.code == Code::Cancelled => JobState::Cancelled,
            Phase::Finished(Err(_)) => JobState::Failed,
        };
        let end = self.finished_at().unwrap_or_else(Instant::now);
        let elapsed = end.saturating_duration_since(self.asked).as_millis();
        JobProgress {
            state,
            evaluations: self.evaluations(),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
            position: position.filter(|_| state == JobState::Queued),
        }
    }
}

impl Progress for Task {
    fn evaluated(&self, count: usize) {
        self.evaluations.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        let late = || self.started.get().is_some_and(|start| start.elapsed() > self.timeout);
        self.cancelled.load(Ordering::Relaxed) || late()
    }
}

pub(crate) fn cancelled() -> Failure {
    Failure::new(Code::Cancelled, "nobody waits for it any more, or it was cancelled")
}
