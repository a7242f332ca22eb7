//! Progress on standard error, where a person watches.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glossator_interpret::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// A line that appears when a run takes longer than half a second.
pub(crate) struct Watch {
    bar: ProgressBar,
    cancelled: AtomicBool,
}

impl Watch {
    pub(crate) fn new(quiet: bool, done: &str) -> Self {
        let cancelled = AtomicBool::new(false);
        // The line is redrawn, which a dumb terminal cannot do.
        if quiet || !std::io::stderr().is_terminal() || terminal::is_dumb() {
            return Self { bar: ProgressBar::hidden(), cancelled };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let template =
            format!("{{spinner}} {done} {{msg}}, {{human_pos}} evaluations, {{elapsed}}");
        let style = ProgressStyle::with_template(&template);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(texts(0));
        // Shown late, so that quick answers do not flicker.
        let shown = bar.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Self { bar, cancelled }
    }

    /// `n` inputs are explained, or attacked.
    pub(crate) fn explained(&self, n: usize) {
        self.bar.set_message(texts(n));
    }

    /// Runs `print` with the line out of the way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Ends explanations that nobody waits for any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn texts(n: usize) -> String {
    if n == 1 { "1 text".to_owned() } else { format!("{n} texts") }
}

impl Progress for Watch {
    fn evaluated(&self, count: usize) {
        self.bar.inc(count as u64);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
