//! Another label of a whole text.

use glossator_models::Problem;

use super::{Aim, Goal, Judge, Kind, Seen, already, best, recorded};
use crate::error::{Error, Result};
use crate::prediction::{Classification, Prediction};
use crate::target::{Decision, Element, Quantity, Target};

/// One label is right.
#[derive(Debug, Clone)]
pub(super) struct LabelGoal {
    current: usize,
    wanted: Option<usize>,
}

/// Each label is right or wrong: one of them is to switch.
#[derive(Debug, Clone)]
pub(super) struct SwitchGoal {
    on: Vec<bool>,
    wanted: Option<usize>,
}

pub(super) fn goals(
    seen: &Seen<'_>,
    classification: &Classification,
    aim: &Aim,
) -> Result<Vec<Goal>> {
    let labels = &seen.model.info().labels;
    let wanted = match aim {
        Aim::Change => None,
        Aim::Become(label) => Some(labels.find(label)?),
    };
    let current = classification.best();
    let mut target = recorded(seen, 0)?;
    let kind = match classification.problem {
        Problem::Regression => {
            return Err(Error::Input {
                what: "attacks are not defined for a regression: a number does not flip".into(),
                hint: "attack a model with labels".into(),
            });
        }
        Problem::SingleLabel => {
            if labels.names.len() < 2 {
                return Err(Error::Input {
                    what: "the model has one label, which no text can change".into(),
                    hint: "attack a model with two labels or more".into(),
                });
            }
            if wanted == Some(current) {
                return Err(already(&labels.names[current]));
            }
            Kind::Label(LabelGoal { current, wanted })
        }
        Problem::MultiLabel => {
            let on: Vec<bool> = classification.labels.iter().map(|one| one.logit >= 0.0).collect();
            if let Some(wanted) = wanted {
                if on.get(wanted) == Some(&true) {
                    return Err(already(&labels.names[wanted]));
                }
                target.decision = Decision::Label(labels.names[wanted].clone());
                target.outputs = vec![Element { row: 0, column: wanted }];
            }
            Kind::Switch(SwitchGoal { on, wanted })
        }
    };
    Ok(vec![Goal { kind, target, protected: Vec::new() }])
}

fn row<'a>(seen: &'a Seen<'_>) -> &'a [f64] {
    seen.reading.rows.first().and_then(|rows| rows.first()).map_or(&[], Vec::as_slice)
}

fn target(
    seen: &Seen<'_>,
    outputs: usize,
    against: Option<usize>,
    quantity: Quantity,
) -> Result<(usize, Target)> {
    let labels = &seen.model.info().labels;
    let name = labels.names.get(outputs).cloned().unwrap_or_default();
    let element = |column| vec![Element { row: 0, column }];
    let mut target =
        Target::new(Decision::Label(name), element(outputs), quantity, labels.problem)?;
    target.against = against.map(element).unwrap_or_default();
    Ok((0, target))
}

impl LabelGoal {
    /// What is to win, and what it has to beat.
    fn rivals(&self, row: &[f64]) -> Option<((usize, f64), (usize, f64))> {
        match self.wanted {
            None => {
                let current = (self.current, *row.get(self.current)?);
                Some((best(row, |column| column != self.current)?, current))
            }
            Some(wanted) => {
                let own = (wanted, *row.get(wanted)?);
                Some((own, best(row, |column| column != wanted)?))
            }
        }
    }
}

impl Judge for LabelGoal {
    fn reached(&self, seen: &Seen<'_>) -> bool {
        let Prediction::TextClassification(now) = &seen.reading.prediction else { return false };
        match self.wanted {
            None => now.best() != self.current,
            Some(wanted) => now.best() == wanted,
        }
    }

    fn margin(&self, seen: &Seen<'_>) -> f64 {
        let rivals = self.rivals(row(seen));
        rivals.map_or(f64::NEG_INFINITY, |((_, wins), (_, loses))| wins - loses)
    }

    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let rivals = self.rivals(row(seen));
        let ((wins, _), (loses, _)) = rivals.unwrap_or(((0, 0.0), (0, 0.0)));
        target(seen, wins, Some(loses), Quantity::Logit)
    }

    fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        target(seen, self.current, None, Quantity::Loss)
    }

    fn confidence(&self, seen: &Seen<'_>) -> f64 {
        let Prediction::TextClassification(now) = &seen.reading.prediction else { return 0.0 };
        if now.best() != self.current {
            return 0.0;
        }
        now.labels.get(self.current).and_then(|label| label.probability).unwrap_or(0.0)
    }
}

impl SwitchGoal {
    /// The label that is nearest to the switch that is wanted, with how far it is beyond it.
    fn nearest(&self, row: &[f64]) -> Option<(usize, f64)> {
        let beyond: Vec<f64> =
            row.iter().zip(&self.on).map(|(&z, &on)| if on { -z } else { z }).collect();
        best(&beyond, |column| self.wanted.is_none_or(|wanted| wanted == column))
    }
}

impl Judge for SwitchGoal {
    fn reached(&self, seen: &Seen<'_>) -> bool {
        let now = row(seen).iter().map(|&z| z >= 0.0);
        now.zip(&self.on)
            .enumerate()
            .any(|(i, (now, &on))| now != on && self.wanted.is_none_or(|wanted| wanted == i))
    }

    fn margin(&self, seen: &Seen<'_>) -> f64 {
        self.nearest(row(seen)).map_or(f64::NEG_INFINITY, |(_, beyond)| beyond)
    }

    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let (label, _) = self.nearest(row(seen)).unwrap_or((0, 0.0));
        let (window, mut towards) = target(seen, label, None, Quantity::Logit)?;
        if self.on.get(label) == Some(&true) {
            // Downwards: the number is subtracted from nothing.
            std::mem::swap(&mut towards.outputs, &mut towards.against);
        }
        Ok((window, towards))
    }

    fn confidence(&self, seen: &Seen<'_>) -> f64 {
        let Prediction::TextClassification(now) = &seen.reading.prediction else { return 0.0 };
        if self.reached(seen) {
            return 0.0;
        }
        // The least certain of the labels: were it to switch, the prediction would be another.
        let certain = now.labels.iter().zip(&self.on).map(|(label, &on)| {
            let probability = label.probability.unwrap_or(0.0);
            if on { probability } else { 1.0 - probability }
        });
        certain.fold(1.0, f64::min)
    }
}
