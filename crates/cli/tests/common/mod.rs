//! Running the real binary.

use assert_cmd::Command;

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program in an environment that says nothing about the terminal.
pub(crate) fn glossator(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("glossator").unwrap();
    command.args(args);
    for name in ["CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "NO_COLOR", "TERM"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8");
    // Whatever this machine has in its cache is not part of a test.
    command.env("HF_HUB_CACHE", "no-cache");
    command.env("XDG_DATA_HOME", "no-data").env_remove("GLOSSATOR_MODELS");
    command
}

/// `glossator explain` with a small random model, so that tests are quick.
pub(crate) fn explain(args: &[&str]) -> Command {
    let mut command = glossator(&["explain", "--model", "../../testdata/models/bert-cls"]);
    command.args(args);
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that has to succeed without a word on standard error.
pub(crate) fn good(command: &mut Command) -> String {
    let answer = run(command);
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""), "{answer:?}");
    answer.out
}
