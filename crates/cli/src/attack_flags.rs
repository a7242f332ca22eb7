//! Flags made from the lists of attacks and constraints: a setting that one adds is a flag, with
//! help.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use glossator_interpret::attack::{ATTACKS, CONSTRAINTS, triggers};
use glossator_interpret::{Options, ParameterInfo};

/// The settings that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttackFlags(pub(crate) Options);

/// A setting with what has it.
type Flag = (&'static ParameterInfo, Vec<&'static str>);

/// Every distinct setting of attacks, then of constraints.
fn parameters() -> [(&'static str, BTreeMap<&'static str, Flag>); 2] {
    let mut attacks: BTreeMap<&'static str, Flag> = BTreeMap::new();
    let infos = ATTACKS.iter().map(|entry| entry.info).chain([&triggers::INFO]);
    for info in infos {
        for parameter in info.parameters {
            let (_, owners) = attacks.entry(parameter.name).or_insert((parameter, Vec::new()));
            owners.push(info.id);
        }
    }
    let mut constraints: BTreeMap<&'static str, Flag> = BTreeMap::new();
    for entry in CONSTRAINTS {
        for parameter in entry.info.parameters {
            constraints.insert(parameter.name, (parameter, vec![entry.info.id]));
        }
    }
    [("Settings of attacks", attacks), ("Constraints", constraints)]
}

impl clap::Args for AttackFlags {
    fn augment_args(mut command: Command) -> Command {
        for (heading, flags) in parameters() {
            for (name, (parameter, owners)) in flags {
                let help = format!(
                    "{} [default: {}] (for {})",
                    parameter.help,
                    parameter.default,
                    owners.join(", ")
                );
                let arg = Arg::new(name).long(name).help(help).help_heading(heading);
                command = command.arg(if parameter.value.is_empty() {
                    arg.action(ArgAction::SetTrue)
                } else {
                    // A negative number is a value to reject with its name, not an unknown flag.
                    arg.value_name(parameter.value).allow_negative_numbers(true)
                });
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for AttackFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (_, flags) in parameters() {
            for (name, (parameter, _)) in flags {
                if parameter.value.is_empty() {
                    if matches.get_flag(name) {
                        self.0.set(name, "true");
                    }
                } else if let Some(value) = matches.get_one::<String>(name) {
                    self.0.set(name, value);
                }
            }
        }
        Ok(())
    }
}
