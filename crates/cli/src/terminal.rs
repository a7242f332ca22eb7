//! What the terminal can show.

use std::io::IsTerminal;

use glossator_view::By;
use glossator_view::render::terminal::{Colors, Options};

use crate::args::Color;

/// How text is laid out: the width, colours and characters of standard output.
pub(crate) fn options(color: Color, width: Option<u32>, to_file: bool, by: By) -> Options {
    let width = width.map_or_else(|| columns(to_file), |n| n as usize);
    Options { width, colors: colors(color, to_file), unicode: unicode(), by }
}

fn columns(to_file: bool) -> usize {
    let of_terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let of_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    let known = if to_file { None } else { of_terminal().or_else(of_environment) };
    // Zero is what a terminal says that does not know; a narrower one than 30 is laid out for 30.
    known.filter(|&n| n > 0).unwrap_or(80).max(30)
}

/// Whether the terminal can do nothing but print.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// `NO_COLOR` (no-color.org), `CLICOLOR_FORCE` and `TERM=dumb` decide where --color is auto.
fn colors(color: Color, to_file: bool) -> Colors {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let wanted = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let forced = set("CLICOLOR_FORCE")
                && std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
            let shows = || !to_file && !is_dumb() && std::io::stdout().is_terminal();
            !set("NO_COLOR") && (forced || shows())
        }
    };
    let depth = std::env::var("COLORTERM").unwrap_or_default();
    match (wanted, depth.as_str()) {
        (false, _) => Colors::None,
        (true, "truecolor" | "24bit") => Colors::TrueColor,
        (true, _) => Colors::Ansi256,
    }
}

/// Whether bars may be drawn with block characters: unless the locale says otherwise.
fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
