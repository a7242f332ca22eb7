//! Flags made from the list of methods: a setting that a method adds is a flag, with help.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use glossator_interpret::{METHODS, Options, ParameterInfo};

/// The settings that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct MethodFlags(pub(crate) Options);

/// Every distinct setting, with the methods that have it.
fn parameters() -> BTreeMap<&'static str, (&'static ParameterInfo, Vec<&'static str>)> {
    let mut all = BTreeMap::new();
    for entry in METHODS {
        for parameter in entry.info.parameters {
            let (_, methods) = all.entry(parameter.name).or_insert((parameter, Vec::new()));
            methods.push(entry.info.id);
        }
    }
    all
}

impl clap::Args for MethodFlags {
    fn augment_args(mut command: Command) -> Command {
        for (name, (parameter, methods)) in parameters() {
            let help = format!(
                "{} [default: {}] (for {})",
                parameter.help,
                parameter.default,
                methods.join(", ")
            );
            let arg = Arg::new(name).long(name).help(help).help_heading("Settings of methods");
            command = command.arg(if parameter.value.is_empty() {
                arg.action(ArgAction::SetTrue)
            } else {
                // A negative number is a value to reject with its name, not an unknown flag.
                arg.value_name(parameter.value).allow_negative_numbers(true)
            });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for MethodFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (name, (parameter, _)) in parameters() {
            if parameter.value.is_empty() {
                if matches.get_flag(name) {
                    self.0.set(name, "true");
                }
            } else if let Some(value) = matches.get_one::<String>(name) {
                self.0.set(name, value);
            }
        }
        Ok(())
    }
}
