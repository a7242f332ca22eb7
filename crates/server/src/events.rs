//! A job as server-sent events: its progress, then what came of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use glossator_view::wire::JobProgress;

use crate::app::App;
use crate::jobs::Handle;
use crate::problem::Code;
use crate::task::Phase;

/// Time between two events about the progress.
const PAUSE: Duration = Duration::from_millis(100);

/// Who follows a job.
struct Follower {
    app: Arc<App>,
    handle: Arc<Handle>,
    /// What was told last.
    told: Option<JobProgress>,
    over: bool,
}

/// The events of a job, from where it stands now to its end.
pub(crate) fn follow(app: Arc<App>, handle: Arc<Handle>) -> Response {
    let follower = Follower { app, handle, told: None, over: false };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

impl Follower {
    /// The next event; none behind the last.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        // One event about the progress comes first, whatever follows.
        if let Some(told) = self.told.clone() {
            let told = self.changed(told).await;
            if let Some(last) = self.last() {
                self.over = true;
                return Some(last);
            }
            return Some(self.tell(told));
        }
        let progress = self.progress();
        Some(self.tell(progress))
    }

    /// Waits until there is more to say, but no more often than so many times a second.
    async fn changed(&self, told: JobProgress) -> JobProgress {
        let (mut phase, mut cancelled) = (self.handle.task.watch(), self.handle.watch());
        loop {
            tokio::select! {
                _ = phase.wait_for(|phase| matches!(phase, Phase::Finished(_))) => {}
                _ = cancelled.wait_for(|cancelled| *cancelled) => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
            let now = self.progress();
            let moved = (now.state, now.evaluations, now.position)
                != (told.state, told.evaluations, told.position);
            if moved || self.last().is_some() {
                return now;
            }
        }
    }

    fn progress(&self) -> JobProgress {
        self.handle.task.progress(self.app.jobs.position(&self.handle.task))
    }

    fn tell(&mut self, progress: JobProgress) -> Event {
        let data = serde_json::to_string(&progress).unwrap_or_default();
        self.told = Some(progress);
        Event::default().event("progress").data(data)
    }

    /// The event that ends it, once it is over.
    fn last(&self) -> Option<Event> {
        if self.handle.is_cancelled() {
            return Some(Event::default().event("cancelled").data("{}"));
        }
        let Phase::Finished(result) = self.handle.task.phase() else { return None };
        Some(match result {
            Ok(json) => {
                let json = String::from_utf8_lossy(&json).into_owned();
                Event::default().event("result").data(json)
            }
            Err(failure) if failure.code == Code::Cancelled => {
                Event::default().event("cancelled").data("{}")
            }
            Err(failure) => {
                let problem = serde_json::to_string(&failure.problem()).unwrap_or_default();
                Event::default().event("problem").data(problem)
            }
        })
    }
}
