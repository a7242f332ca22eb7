//! `glossator methods`

use std::fmt::Write as _;

use glossator_interpret::{METHODS, MethodInfo, registry};

use crate::args::MethodsArgs;
use crate::exit::{Exit, Stop};
use crate::output::Output;

pub(crate) fn run(args: &MethodsArgs) -> Result<Exit, Stop> {
    let entries = match &args.method {
        Some(id) => vec![registry::find(id)?],
        None => METHODS.to_vec(),
    };
    let described: Vec<String> = entries.iter().map(|entry| describe(entry.info)).collect();
    print(&described.join("\n"))
}

/// Prints text to standard output.
pub(crate) fn print(text: &str) -> Result<Exit, Stop> {
    let mut output = Output::open(None)?;
    let fail = |error: std::io::Error| Stop::writing("standard output", &error);
    output.writer().write_all(text.as_bytes()).map_err(fail)?;
    output.finish(true)?;
    Ok(Exit::Success)
}

/// Columns of a line of prose.
const WIDTH: usize = 78;

fn describe(info: &MethodInfo) -> String {
    let mut out = format!("{}\n", info.id);
    let mut item = |label: &str, text: &str| {
        let _ = writeln!(out, "{}", wrapped(&format!("  {label:<9}"), text));
    };
    item("meaning", info.meaning);
    item("caution", info.caution);
    item("source", info.citation);
    item("cost", info.cost);
    if let Some(allennlp) = info.allennlp {
        item("allennlp", &format!("--preset allennlp: {allennlp}"));
    }
    for parameter in info.parameters {
        let flag = format!("--{} {}", parameter.name, parameter.value);
        let _ = writeln!(out, "  {}", flag.trim_end());
        let text = format!("{} [default: {}]", parameter.help, parameter.default);
        let _ = writeln!(out, "{}", wrapped("      ", &text));
    }
    out
}

/// The text in lines of at most [`WIDTH`] columns; the first begins with `lead`, the others below
/// its end.
pub(crate) fn wrapped(lead: &str, text: &str) -> String {
    let indent = lead.len();
    let mut lines = vec![lead.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line > indent && line + 1 + word.len() > WIDTH {
            lines.push(" ".repeat(indent));
        }
        if let Some(line) = lines.last_mut() {
            if line.len() > indent {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
