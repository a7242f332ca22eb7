//! Exit codes, and how an error looks.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// The answer is no: no attack succeeded.
    No,
    /// Usage, or an input or model that cannot be used.
    BadInput,
    /// Something of ours failed.
    Failure,
    /// Stopped from outside.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::No => 1,
            Exit::BadInput => 2,
            Exit::Failure => 3,
            Exit::Interrupted => 130,
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

    /// A failure of ours.
    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(REPORT.to_owned()), exit: Exit::Failure }
    }

    /// Puts where it happened before the message.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Prints the error: a line of what is wrong, a line of what to do.
    pub(crate) fn print(&self) {
        say("error", &self.message);
        if let Some(hint) = &self.hint {
            say("hint", hint);
        }
    }
}

const REPORT: &str = "this is a bug in glossator; please report it with the command and input";

/// Prints a line to standard error. Where that is closed or full there is nobody left to tell.
pub(crate) fn say(what: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "{what}: {}", printable(text));
}

/// The text as one line: names of files, labels and tensors are not ours, they must neither move
/// the cursor nor fill the screen.
pub(crate) fn printable(text: &str) -> String {
    const MOST: usize = 2000;
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    let mut line: String = text.chars().take(MOST).map(escape).collect();
    if text.chars().nth(MOST).is_some() {
        line.push_str("...");
    }
    line
}

impl From<glossator_interpret::Error> for CliError {
    fn from(error: glossator_interpret::Error) -> Self {
        let (mut message, mut hint) = (error.to_string(), error.hint());
        if !error.is_input_error() {
            return Self { hint: hint.or_else(|| Some(REPORT.to_owned())), ..Self::bug(message) };
        }
        if hint.is_none() && matches!(error, glossator_interpret::Error::Conflict { .. }) {
            // What is wrong; what would do.
            if let Some((what, advice)) = message.split_once("; ") {
                (message, hint) = (what.to_owned(), Some(advice.to_owned()));
            }
        }
        Self { message, hint: hint.or_else(|| advice(&error)), exit: Exit::BadInput }
    }
}

/// What to type instead, for errors of the library that have no advice of their own.
fn advice(error: &glossator_interpret::Error) -> Option<String> {
    use glossator_interpret::Error;
    let advice = match error {
        Error::BadSetting { setting, .. } if setting == "quantity" => {
            "`glossator explain --help` says what they mean"
        }
        Error::BadSetting { .. } => "`glossator methods` describes the settings of each method",
        Error::Conflict { .. } => "name two different labels",
        Error::Model(glossator_models::Error::UnknownLabel { .. }) => {
            "--target takes one of them, A-vs-B for two of them, or predicted"
        }
        Error::Model(_) => "the model directory needs a config.json, weights and a tokenizer",
        _ => return None,
    };
    Some(advice.to_owned())
}

impl From<glossator_train::Error> for CliError {
    fn from(error: glossator_train::Error) -> Self {
        use glossator_train::Error;
        match error {
            Error::Interpret(error) => error.into(),
            error => {
                let exit = match error {
                    Error::Interrupted { .. } => Exit::Interrupted,
                    _ => Exit::BadInput,
                };
                Self { message: error.to_string(), hint: error.hint(), exit }
            }
        }
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
        let hint = match error.kind() {
            // A document that fails its own check is our failure; the rest is the disk.
            std::io::ErrorKind::InvalidData => {
                return Self::Error(CliError::bug(error.to_string()));
            }
            std::io::ErrorKind::StorageFull => "make room on the disk, or write to another",
            std::io::ErrorKind::NotFound => "make the directory first, or choose another --output",
            std::io::ErrorKind::IsADirectory => "--output takes the name of a file",
            _ => "choose an --output that can be written",
        };
        Self::Error(CliError::input(format!("{target}: {error}"), hint))
    }
}

/// The message of the first panic, for [`caught`].
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics from printing: [`caught`] makes errors of them.
pub(crate) fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut first = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| panic.to_string().replace('\n', " "));
    }));
}

/// Runs `f`; no panic of it reaches the user as anything but an error with exit code 3.
pub(crate) fn caught<T, E: From<CliError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    std::panic::catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(CliError::bug(panic.unwrap_or_else(|| "a panic".to_owned())).into())
    })
}

/// How the program ends after a command; prints the error that stopped it.
pub(crate) fn conclude(result: Result<Exit, Stop>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(Stop::BrokenPipe) => Exit::Success,
        Err(Stop::Error(error)) => {
            error.print();
            error.exit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_ours() {
        let silent = std::panic::take_hook();
        hush_panics();
        let result: Result<(), CliError> = caught(|| panic!("two\nlines"));
        std::panic::set_hook(silent);
        let error = result.unwrap_err();
        assert_eq!(error.exit, Exit::Failure);
        assert!(error.message.ends_with("two lines"), "{}", error.message);
        assert_eq!(error.hint.as_deref(), Some(REPORT));
    }

    #[test]
    fn foreign_text_stays_one_line() {
        assert_eq!(printable("a\u{1b}[31m\nb"), r"a\u{1b}[31m\nb");
        assert_eq!(printable(&"x".repeat(3000)).len(), 2003);
    }
}
