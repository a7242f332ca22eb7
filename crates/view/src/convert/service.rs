//! Methods, attacks and constraints, from their lists to the wire.

use glossator_interpret::attack::{AttackInfo, ConstraintInfo};
use glossator_interpret::{MethodInfo, ParameterInfo};

use crate::wire::{ConstraintEntry, MethodEntry, SettingEntry, SettingKind};

/// A method as the wire lists it.
pub fn method_entry(info: &MethodInfo) -> MethodEntry {
    MethodEntry {
        id: info.id.to_owned(),
        title: info.name.to_owned(),
        summary: info.meaning.to_owned(),
        caution: info.caution.to_owned(),
        citation: info.citation.to_owned(),
        cost: info.cost.to_owned(),
        allennlp: info.allennlp.map(str::to_owned),
        settings: info.parameters.iter().map(setting_entry).collect(),
    }
}

/// An attack as the wire lists it.
pub fn attack_entry(info: &AttackInfo) -> MethodEntry {
    MethodEntry {
        id: info.id.to_owned(),
        title: info.name.to_owned(),
        summary: info.meaning.to_owned(),
        caution: info.caution.to_owned(),
        citation: info.citation.to_owned(),
        cost: info.cost.to_owned(),
        allennlp: None,
        settings: info.parameters.iter().map(setting_entry).collect(),
    }
}

/// A constraint as the wire lists it.
pub fn constraint_entry(info: &ConstraintInfo) -> ConstraintEntry {
    ConstraintEntry {
        name: info.id.to_owned(),
        help: info.meaning.to_owned(),
        citation: info.citation.to_owned(),
        settings: info.parameters.iter().map(setting_entry).collect(),
    }
}

fn setting_entry(parameter: &ParameterInfo) -> SettingEntry {
    let (kind, choices) = match parameter.value {
        "" => (SettingKind::Boolean, None),
        value if value.contains('|') => {
            (SettingKind::Choice, Some(value.split('|').map(str::to_owned).collect()))
        }
        "N" | "K" => (SettingKind::Integer, None),
        "X" | "P" | "SHARE" => (SettingKind::Number, None),
        _ => (SettingKind::Text, None),
    };
    SettingEntry {
        name: parameter.name.to_owned(),
        help: parameter.help.to_owned(),
        default: parameter.default.to_owned(),
        kind,
        choices,
        most: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_interpret::attack::{ATTACKS, CONSTRAINTS};
    use glossator_interpret::{METHODS, Options};

    /// A choice that is listed is one that can be made, and nothing else is one.
    #[test]
    fn choices_are_those_that_are_taken() {
        let methods = METHODS.iter().map(|entry| method_entry(entry.info));
        let attacks = ATTACKS.iter().map(|entry| attack_entry(entry.info));
        let mut choices = 0;
        for entry in methods.chain(attacks) {
            for setting in &entry.settings {
                let builds = |value: &str| {
                    let options = Options::new().with(&setting.name, value);
                    match glossator_interpret::find(&entry.id) {
                        Ok(method) => method.method(&options).err(),
                        Err(_) => {
                            let attack = glossator_interpret::attack::find(&entry.id).unwrap();
                            (attack.build)(&options).err()
                        }
                    }
                };
                for choice in setting.choices.iter().flatten() {
                    choices += 1;
                    // WordNet may not be installed, which is no objection to the name.
                    let refused = builds(choice).map(|error| error.to_string());
                    let refused = refused.filter(|error| error.contains("expected"));
                    assert_eq!(refused, None, "{} {}={choice}", entry.id, setting.name);
                }
                if setting.kind == SettingKind::Choice || setting.kind == SettingKind::Integer {
                    let taken = builds("nothing of the kind").is_none();
                    let alone = setting.name.starts_with("certify-");
                    assert!(!taken || alone, "{} takes any {}", entry.id, setting.name);
                }
            }
        }
        assert!(choices >= 12, "{choices} choices are listed");
        let constraints = CONSTRAINTS.iter().map(|entry| constraint_entry(entry.info));
        assert!(constraints.flat_map(|entry| entry.settings).count() >= 8);
    }
}
