//! A server from its start to its end.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::accept::accept;
use crate::app::App;
use crate::models::Catalogue;
use crate::settings::Settings;

/// Why a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to terminate.
    Terminated,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// A server that computes, and answers once it runs.
pub struct Server {
    app: Arc<App>,
}

/// Threads that answer. They compute nothing, so two are enough.
const ANSWERING: usize = 2;
/// Threads that draw at most.
const DRAWING: usize = 8;

impl Server {
    /// Starts the workers, and begins to look at the models.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(settings: Settings, models: Catalogue) -> io::Result<Self> {
        Ok(Self { app: App::start(settings, models)? })
    }

    /// The routes, for a listener of one's own or for tests.
    pub fn router(&self) -> Router {
        self.app.router()
    }

    /// Answers until the process is asked to end; then takes no more connections, and gives what
    /// runs the time of [`Settings::grace`]. A second signal ends it at once.
    ///
    /// # Errors
    /// If the listener cannot be used.
    pub fn run(self, listener: TcpListener) -> io::Result<Ended> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(ANSWERING)
            .max_blocking_threads(DRAWING)
            .thread_name("answer")
            .enable_all()
            .build()?;
        let ended = runtime.block_on(self.answer(listener));
        // A forward pass cannot be interrupted, and nobody waits for it any more.
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended
    }

    async fn answer(self, listener: TcpListener) -> io::Result<Ended> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut signals = Signals::new()?;
        let (stop, stopping) = watch::channel(false);
        let serve = tokio::spawn(accept(listener, self.app.router(), stopping));
        let ended = signals.next().await;
        self.app.jobs.close();
        stop.send_replace(true);
        tokio::select! {
            () = self.drained() => {}
            _ = signals.next() => {}
        }
        self.app.jobs.abandon();
        // Those who waited are told why nothing comes.
        let _ = tokio::time::timeout(Duration::from_secs(1), serve).await;
        Ok(ended)
    }

    /// Waits until nothing is computed any more, or the time for that is over.
    async fn drained(&self) {
        let began = Instant::now();
        while began.elapsed() < self.app.settings.grace && !self.app.jobs.is_idle() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Requests from outside to end.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // Where a parent has set the interrupt aside (a job in the background), it stays so.
        let interrupt = if is_ignored(2) { None } else { Some(signal(SignalKind::interrupt())?) };
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Ended {
        let interrupted = async {
            match &mut self.interrupt {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupted => Ended::Interrupted,
            _ = self.terminate.recv() => Ended::Terminated,
        }
    }
}

/// Whether a signal of that number is ignored, where the system tells.
#[cfg(unix)]
fn is_ignored(number: u32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Ended {
        let _ = tokio::signal::ctrl_c().await;
        Ended::Interrupted
    }
}
