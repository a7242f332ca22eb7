//! Labels by name.

use glossator_models::{Labels, Problem};

use crate::data::Place;
use crate::error::{Error, Result};
use crate::item::Gold;

/// The index of a label.
pub(crate) fn index(labels: &Labels, name: &str, place: &Place) -> Result<usize> {
    labels.find(name).map_err(|_| {
        const MOST: usize = 12;
        let mut known: Vec<_> = labels.names.iter().take(MOST).map(|n| format!("{n:?}")).collect();
        if labels.names.len() > MOST {
            known.push("...".to_owned());
        }
        let what =
            format!("the label {name:?} is not one of the model's, which are {}", known.join(", "));
        let hint = format!(
            "--rename-labels {name}=OTHER says what it is called there; check --label and --tags"
        );
        Error::data(place, what, hint)
    })
}

/// A flag for each label.
pub(crate) fn flags(labels: &Labels, names: &[String], place: &Place) -> Result<Vec<bool>> {
    let mut flags = vec![false; labels.names.len()];
    for name in names {
        flags[index(labels, name, place)?] = true;
    }
    Ok(flags)
}

/// The one label, as a number.
pub(crate) fn number(names: &[String], place: &Place) -> Result<f64> {
    let name = one(names, place)?;
    name.parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| {
        let what = format!("expected a number, got {name:?}");
        Error::data(place, what, "the outputs of this model are numbers; check --label")
    })
}

/// The only one of some labels.
pub(crate) fn one<'a>(names: &'a [String], place: &Place) -> Result<&'a str> {
    match names {
        [one] => Ok(one),
        names => {
            let what = format!("expected one label, got {}", names.len());
            Err(Error::data(place, what, "several labels need --problem multi-label"))
        }
    }
}

pub(super) fn gold(labels: &Labels, names: &[String], place: &Place) -> Result<Gold> {
    Ok(match labels.problem {
        Problem::SingleLabel => Gold::Label(index(labels, one(names, place)?, place)? as u32),
        Problem::MultiLabel => {
            let flags = flags(labels, names, place)?;
            Gold::Flags(flags.into_iter().map(|flag| f32::from(u8::from(flag))).collect())
        }
        Problem::Regression => Gold::Number(number(names, place)? as f32),
    })
}
