//! Files for other programs: the schema, completions, manual pages.

use clap::CommandFactory;

use crate::args::{Args, SchemaOf};
use crate::commands::methods::print;
use crate::exit::{CliError, Exit, Stop};

/// `glossator schema [COMMAND]`
pub(crate) fn schema(command: SchemaOf) -> Result<Exit, Stop> {
    let schema = match command {
        SchemaOf::Explain => glossator_view::wire::schema(),
        SchemaOf::Attack => glossator_view::wire::attack_schema(),
        SchemaOf::Http => glossator_server::openapi(),
    };
    print(&format!("{schema:#}\n"))
}

/// `glossator completions SHELL`
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Stop> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "glossator", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// `glossator man [COMMAND]`
pub(crate) fn man(command: Option<&str>) -> Result<Exit, Stop> {
    let mut root = Args::command();
    root.build();
    let page = match command {
        None => root,
        Some(name) => {
            // The page of `models inspect` is called models-inspect.
            let parts: Vec<_> = name.split('-').collect();
            let inner = |parts: &[&str]| {
                let mut at = &root;
                for part in parts {
                    at = at.find_subcommand(part)?;
                }
                Some(at.clone())
            };
            let found = inner(&[name]).or_else(|| inner(&parts));
            let commands: Vec<_> = root.get_subcommands().map(clap::Command::get_name).collect();
            found.ok_or_else(|| {
                let hint = format!("commands are {}", commands.join(", "));
                CliError::input(format!("unknown command {name:?}"), hint)
            })?
        }
    };
    let mut out = Vec::new();
    let fail = |error: std::io::Error| Stop::writing("standard output", &error);
    clap_mangen::Man::new(page).render(&mut out).map_err(fail)?;
    print(&String::from_utf8_lossy(&out))
}
