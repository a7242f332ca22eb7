//! `glossator attacks`

use std::fmt::Write as _;

use glossator_interpret::ParameterInfo;
use glossator_interpret::attack::{ATTACKS, AttackInfo, CONSTRAINTS, ConstraintInfo, triggers};

use crate::args::AttacksArgs;
use crate::commands::methods::{print, wrapped};
use crate::exit::{CliError, Exit, Stop};

pub(crate) fn run(args: &AttacksArgs) -> Result<Exit, Stop> {
    let attacks = ATTACKS.iter().map(|entry| entry.info).chain([&triggers::INFO]);
    let constraints = CONSTRAINTS.iter().map(|entry| entry.info);
    if let Some(id) = &args.attack {
        let attack = attacks.clone().find(|info| info.id == id).map(attack);
        let found =
            attack.or_else(|| constraints.clone().find(|info| info.id == id).map(constraint));
        let Some(found) = found else {
            let known: Vec<_> =
                attacks.map(|info| info.id).chain(constraints.map(|i| i.id)).collect();
            let message = format!("unknown attack {id:?}");
            return Err(CliError::input(message, format!("there are {}", known.join(", "))).into());
        };
        return print(&found);
    }
    let attacks: Vec<String> = attacks.map(attack).collect();
    let constraints: Vec<String> = constraints.map(constraint).collect();
    print(&format!(
        "Attacks:\n\n{}\nConstraints, which combine:\n\n{}",
        attacks.join("\n"),
        constraints.join("\n")
    ))
}

fn attack(info: &AttackInfo) -> String {
    let mut out = format!("{}\n", info.id);
    item("meaning", info.meaning, &mut out);
    item("caution", info.caution, &mut out);
    item("source", info.citation, &mut out);
    item("cost", info.cost, &mut out);
    flags(info.parameters, &mut out);
    out
}

fn constraint(info: &ConstraintInfo) -> String {
    let mut out = format!("{}\n", info.id);
    item("meaning", info.meaning, &mut out);
    item("source", info.citation, &mut out);
    flags(info.parameters, &mut out);
    out
}

fn item(label: &str, text: &str, out: &mut String) {
    let _ = writeln!(out, "{}", wrapped(&format!("  {label:<9}"), text));
}

fn flags(parameters: &[ParameterInfo], out: &mut String) {
    for parameter in parameters {
        let flag = format!("--{} {}", parameter.name, parameter.value);
        let _ = writeln!(out, "  {}", flag.trim_end());
        let text = format!("{} [default: {}]", parameter.help, parameter.default);
        let _ = writeln!(out, "{}", wrapped("      ", &text));
    }
}
