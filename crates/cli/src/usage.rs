//! Usage errors: clap finds them, and they look like all the others.

use clap::CommandFactory;
use clap::error::{Error, ErrorKind};

use crate::args::Args;
use crate::exit::{CliError, Exit, Stop};

/// What comes of arguments that name nothing to run: help, the version, or an error.
pub(crate) fn answer(error: &Error) -> Result<Exit, Stop> {
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit::BadInput,
        _ => return Err(explained(error, std::env::args_os().nth(1).as_deref()).into()),
    };
    error.print().map_err(|error| Stop::writing("standard output", &error))?;
    Ok(exit)
}

/// Makes a line of what is wrong and a line of what to do out of clap's paragraphs.
fn explained(error: &Error, command: Option<&std::ffi::OsStr>) -> CliError {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let lines: Vec<_> = paragraph.lines().map(str::trim).collect();
        lines.join(" ")
    });
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    // Two sentences in one line.
    let what = match what.split_once(" [possible values: ") {
        Some((what, values)) => format!("{what}; it can be {}", values.trim_end_matches(']')),
        None => what.to_owned(),
    };
    let tips: Vec<_> =
        paragraphs.filter_map(|p| Some(p.strip_prefix("tip: ")?.to_owned())).collect();
    let known = command.and_then(|name| Args::command().find_subcommand(name).cloned());
    let name = known.as_ref().map_or("", clap::Command::get_name).to_owned();
    let takes_texts = matches!(name.as_str(), "explain" | "attack");
    // clap proposes -- for every flag that it does not know.
    let dashes = tips.iter().any(|tip| tip.contains("use '--"));
    let hint = if takes_texts && dashes {
        format!(
            "`glossator {name} --help` lists the flags; a text that begins with a dash goes after --"
        )
    } else if tips.is_empty() || dashes {
        let command = known.map(|command| format!(" {}", command.get_name())).unwrap_or_default();
        format!("`glossator{command} --help` lists what can be given")
    } else {
        tips.join("; ")
    };
    CliError::input(what, hint)
}
