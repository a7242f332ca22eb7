//! Progress on standard error, where a person watches.

use std::io::IsTerminal;
use std::time::Duration;

use glossator_interpret::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line that appears when a run takes longer than half a second.
pub(crate) struct Watch {
    bar: ProgressBar,
}

impl Watch {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "{spinner} {msg} inputs explained, {human_pos} evaluations, {elapsed}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message("0");
        // Shown late, so that quick answers do not flicker.
        let shown = bar.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Self { bar }
    }

    /// `n` inputs are explained.
    pub(crate) fn explained(&self, n: usize) {
        self.bar.set_message(n.to_string());
    }

    /// Runs `print` with the line out of the way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Watch {
    fn evaluated(&self, count: usize) {
        self.bar.inc(count as u64);
    }
}
