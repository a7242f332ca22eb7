//! Exit codes, and how an error looks.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// Usage, or an input or model that cannot be used.
    BadInput,
    /// Something of ours failed.
    Failure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::BadInput => 2,
            Exit::Failure => 3,
        })
    }
}

/// An error with its line of advice and its exit code.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) exit: Exit,
}

impl CliError {
    /// An error of the user's.
    pub(crate) fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), exit: Exit::BadInput }
    }

    /// Puts where it happened before the message.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Prints the error: a line of what is wrong, a line of what to do.
    #[expect(clippy::print_stderr, reason = "this is where errors go")]
    pub(crate) fn print(&self) {
        // Names of files and tensors are not ours: they must not move the cursor.
        eprintln!("error: {}", printable(&self.message));
        if let Some(hint) = &self.hint {
            eprintln!("hint: {}", printable(hint));
        }
    }
}

/// The text with control characters spelled out.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect()
}

impl From<glossator_interpret::Error> for CliError {
    fn from(error: glossator_interpret::Error) -> Self {
        let exit = if error.is_input_error() { Exit::BadInput } else { Exit::Failure };
        Self { message: error.to_string(), hint: error.hint(), exit }
    }
}

impl From<glossator_models::Error> for CliError {
    fn from(error: glossator_models::Error) -> Self {
        glossator_interpret::Error::from(error).into()
    }
}

/// Why a command stopped.
pub(crate) enum Stop {
    Error(CliError),
    /// Whoever read our output has seen enough.
    BrokenPipe,
}

impl<E: Into<CliError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Stop {
    /// An error while writing to `target`.
    pub(crate) fn writing(target: &str, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        // A document that fails its own check is our failure; the rest is the disk or the reader.
        let exit = match error.kind() {
            std::io::ErrorKind::InvalidData => Exit::Failure,
            _ => Exit::BadInput,
        };
        Self::Error(CliError { message: format!("{target}: {error}"), hint: None, exit })
    }
}

/// The message of the last panic, for [`guard`].
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Runs a command; no panic reaches the user as anything but an error with exit code 3.
pub(crate) fn guard(run: impl FnOnce() -> Result<Exit, Stop>) -> Option<Exit> {
    std::panic::set_hook(Box::new(|panic| {
        // Printed below, and only if nothing catches it on the way.
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    match std::panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(exit)) => Some(exit),
        Ok(Err(Stop::BrokenPipe)) => Some(Exit::Success),
        Ok(Err(Stop::Error(error))) => {
            error.print();
            Some(error.exit)
        }
        Err(_) => {
            let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).replace('\n', " ");
            let hint = "this is a bug in glossator; please report it with the command and input";
            CliError { message: panic, hint: Some(hint.to_owned()), exit: Exit::Failure }.print();
            Some(Exit::Failure)
        }
    }
}
