//! Weights of a model and of classes.

use glossator_models::Labels;
use glossator_ops::Var;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::item::{Gold, IGNORE, Item};
use crate::optimizer::read;
use crate::settings::{ClassWeights, fits};

/// The variables that no pattern freezes.
pub(super) fn trained(all: &[(String, Var)], freeze: &[String]) -> Result<Vec<(String, Var)>> {
    for pattern in freeze {
        if !all.iter().any(|(name, _)| fits(pattern, name)) {
            let names = all.iter().map(|(name, _)| name.as_str()).take(3);
            let some: Vec<_> = names.collect();
            let what = format!("--freeze {pattern:?} fits no weight of the model");
            let hint = format!("* stands for any characters; names are like {}", some.join(", "));
            return Err(Error::settings(what, hint));
        }
    }
    let kept = |(name, _): &&(String, Var)| !freeze.iter().any(|pattern| fits(pattern, name));
    let trained: Vec<_> = all.iter().filter(kept).cloned().collect();
    if trained.is_empty() {
        return Err(Error::settings("--freeze leaves nothing to train", "freeze less"));
    }
    Ok(trained)
}

/// SHA-256 of all names, shapes and elements.
pub(super) fn sha256(variables: &[(String, Var)]) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, var) in variables {
        hash.update(format!("{name} {:?}\n", var.dims()));
        read(var, |elements| hash.update(bytemuck::cast_slice(elements)))?;
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The factor of each label.
pub(super) fn of_classes(
    weights: &ClassWeights,
    labels: &Labels,
    items: &[Item],
) -> Result<Vec<f64>> {
    let count = labels.names.len();
    match weights {
        ClassWeights::Given(given) => {
            let mut factors = vec![1.0; count];
            for (label, &weight) in given {
                let index = labels.names.iter().position(|name| name == label);
                let index = index.ok_or_else(|| {
                    let what = format!("--class-weights: there is no label {label:?}");
                    let hint = format!("labels are {}", labels.names.join(", "));
                    Error::settings(what, hint)
                })?;
                factors[index] = weight;
            }
            Ok(factors)
        }
        ClassWeights::Balanced => {
            let mut counts = vec![0_u64; count];
            let mut add = |label: u32| {
                if let Some(n) = counts.get_mut(label as usize) {
                    *n += 1;
                }
            };
            for item in items {
                match &item.gold {
                    Gold::Label(label) => add(*label),
                    Gold::Tokens(tokens) => {
                        tokens.iter().filter(|&&t| t != IGNORE).for_each(|&t| add(t));
                    }
                    Gold::Flags(flags) => {
                        let there = flags.iter().enumerate().filter(|(_, flag)| **flag > 0.5);
                        there.for_each(|(label, _)| add(label as u32));
                    }
                    Gold::Number(_) | Gold::Answer { .. } | Gold::Hidden => {}
                }
            }
            let total: u64 = counts.iter().sum();
            let factor = |&n: &u64| match n {
                // No item has it: its factor is of no consequence.
                0 => 1.0,
                n => total as f64 / (count as f64 * n as f64),
            };
            Ok(counts.iter().map(factor).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_models::Problem;
    use glossator_ops::Device;

    #[test]
    fn patterns_freeze_and_must_fit() {
        let var = Var::new(&[1.0_f32], &Device::Cpu).unwrap();
        let all: Vec<_> = ["a.x", "a.y", "b"].map(|name| (name.to_owned(), var.clone())).into();
        let names = |freeze: &[&str]| {
            let freeze: Vec<_> = freeze.iter().map(|&pattern| pattern.to_owned()).collect();
            trained(&all, &freeze).map(|kept| kept.into_iter().map(|(n, _)| n).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a.*"]).unwrap(), ["b"]);
        assert_eq!(names(&[]).unwrap().len(), 3);
        assert!(names(&["c*"]).unwrap_err().to_string().contains("fits no weight"));
        assert!(names(&["*"]).unwrap_err().to_string().contains("nothing to train"));
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let labels = Labels { names: labels, problem: Problem::SingleLabel };
        let items: Vec<_> =
            [0, 0, 0, 1].map(|l| Item::of_ids(vec![0], Gold::Label(l))).into_iter().collect();
        let factors = of_classes(&ClassWeights::Balanced, &labels, &items).unwrap();
        // 4 / (3 * 3), 4 / (3 * 1).
        assert_eq!(factors, [4.0 / 9.0, 4.0 / 3.0, 1.0]);
        let given = ClassWeights::Given([("b".to_owned(), 2.0)].into());
        assert_eq!(of_classes(&given, &labels, &items).unwrap(), [1.0, 2.0, 1.0]);
        let given = ClassWeights::Given([("x".to_owned(), 2.0)].into());
        assert!(of_classes(&given, &labels, &items).is_err());
    }
}
