//! Going on where an earlier run ended.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use glossator_view::wire;

use crate::args::{AttackArgs, Format};
use crate::exit::CliError;

/// What an earlier run wrote.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) documents: Vec<wire::AttackDocument>,
    /// Where their inputs came from.
    pub(super) places: HashSet<String>,
}

/// Checks that there can be something to go on with.
pub(super) fn check(args: &AttackArgs) -> Result<(), CliError> {
    if !args.resume {
        return Ok(());
    }
    if args.format != Format::Json {
        let message = "--resume reads what was written, which only json can be";
        return Err(CliError::input(message, "add --format json"));
    }
    if args.file.is_none() {
        let message = "--resume knows inputs by their lines, and there is no file";
        return Err(CliError::input(message, "give the inputs with --file"));
    }
    Ok(())
}

/// Reads what an earlier run wrote to the same file, or to its partial one; nothing if there is
/// none.
pub(super) fn read(args: &AttackArgs) -> Result<Earlier, CliError> {
    let mut earlier = Earlier::default();
    let Some(path) = &args.output else { return Ok(earlier) };
    let mut partial = path.clone();
    partial.as_mut_os_string().push(".partial");
    let Some(path) = [path.clone(), partial].into_iter().find(|path| path.exists()) else {
        return Ok(earlier);
    };
    let bad = |what: String| {
        let hint = "remove the file to begin anew, or choose another --output";
        CliError::input(format!("{}: {what}", path.display()), hint)
    };
    let file = File::open(&path).map_err(|error| bad(error.to_string()))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| bad(error.to_string()))?;
        let value: serde_json::Value = serde_json::from_str(&line)
            .map_err(|error| bad(format!("line {}: {error}", number + 1)))?;
        // The summary of then is made anew.
        if value.get("summary").is_some() {
            continue;
        }
        let document: wire::AttackDocument = serde_json::from_value(value)
            .map_err(|error| bad(format!("line {}: not an attack: {error}", number + 1)))?;
        if document.attack.id != args.attack {
            let what = format!("line {}: is of {}", number + 1, document.attack.id);
            return Err(bad(what));
        }
        document.check().map_err(|error| bad(format!("line {}: {error}", number + 1)))?;
        earlier.places.extend(document.place.clone());
        earlier.documents.push(document);
    }
    Ok(earlier)
}

/// The partial file that a finished run leaves behind.
pub(super) fn partial(args: &AttackArgs) -> Option<PathBuf> {
    let mut path = args.output.clone()?;
    path.as_mut_os_string().push(".partial");
    (args.resume && path.exists()).then_some(path)
}
