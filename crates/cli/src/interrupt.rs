//! Ctrl-C: exit code 130, and no output that looks whole.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::say;
use crate::output;

/// Ends the program on an interrupt or a request to terminate.
///
/// Where a parent has set such a signal aside (`nohup`, a job in the background), it stays so.
pub(crate) fn watch() {
    // Without a handler the signal ends the program by itself, only less tidily.
    let _ = ctrlc::try_set_handler(end);
}

/// Whether a training run is to stop.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Makes the first interrupt one that [`asked`] tells of; the second ends the program.
pub(crate) fn ask() {
    let _ = ctrlc::try_set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            end();
        }
    });
}

/// Whether there was an interrupt.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

#[expect(clippy::exit, reason = "workers may be in the middle of a long explanation or a read")]
fn end() {
    // Behind what a terminal shows of the key, or of the progress.
    let line = if std::io::stderr().is_terminal() { "\n" } else { "" };
    say(&format!("{line}error"), "interrupted");
    // From here on no document is begun: the lock is held until the process is gone.
    let unfinished = output::abandon();
    if let Some(kept) = &unfinished.kept {
        say("hint", &format!("what was done by then is in {}", kept.display()));
    }
    std::process::exit(130);
}
