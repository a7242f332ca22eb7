//! Another token in place of a mask, or behind a text.

use super::{Aim, Goal, Judge, Kind, Seen, already, best, recorded};
use crate::error::Result;
use crate::prediction::{Choice, Prediction};
use crate::target::{Decision, Element, Quantity, Target};
use crate::tasks;
use glossator_models::Problem;

/// One mask by its order, or what comes next.
#[derive(Debug, Clone)]
pub(super) struct ChoiceGoal {
    order: usize,
    current: u32,
    wanted: Option<u32>,
    /// Whether the token is read at the position before it.
    next: bool,
}

pub(super) fn goals(
    seen: &Seen<'_>,
    choices: &[Choice],
    aim: &Aim,
    next: bool,
) -> Result<Vec<Goal>> {
    let wanted = match aim {
        Aim::Change => None,
        Aim::Become(text) => Some((tasks::token(seen.model, text, "target")?, text)),
    };
    let mut goals = Vec::new();
    for (order, choice) in choices.iter().enumerate() {
        let current = choice.chosen.id;
        if wanted.is_some_and(|(id, _)| id == current) {
            continue;
        }
        let wanted = wanted.map(|(id, _)| id);
        let kind = Kind::Choice(ChoiceGoal { order, current, wanted, next });
        goals.push(Goal { kind, target: recorded(seen, order)?, protected: Vec::new() });
    }
    match wanted {
        Some((_, text)) if goals.is_empty() => Err(already(text)),
        _ => Ok(goals),
    }
}

impl ChoiceGoal {
    fn row<'a>(&self, seen: &'a Seen<'_>) -> &'a [f64] {
        seen.reading.rows.first().and_then(|rows| rows.get(self.order)).map_or(&[], Vec::as_slice)
    }

    fn choice<'a>(&self, seen: &'a Seen<'_>) -> Option<&'a Choice> {
        match &seen.reading.prediction {
            Prediction::MaskedLm(choices) | Prediction::CausalLm(choices) => {
                choices.get(self.order)
            }
            _ => None,
        }
    }

    fn rivals(&self, row: &[f64]) -> Option<((usize, f64), (usize, f64))> {
        let pivot = self.wanted.unwrap_or(self.current) as usize;
        let own = (pivot, *row.get(pivot)?);
        let other = best(row, |column| column != pivot)?;
        Some(if self.wanted.is_some() { (own, other) } else { (other, own) })
    }

    fn target(
        &self,
        seen: &Seen<'_>,
        column: usize,
        against: Option<usize>,
        quantity: Quantity,
    ) -> Result<(usize, Target)> {
        let at = self.choice(seen).map_or(0, |choice| choice.at);
        let element = |column| vec![Element { row: 0, column }];
        let decision = Decision::Token { token: String::new(), at };
        let mut target = Target::new(decision, element(column), quantity, Problem::SingleLabel)?;
        target.against = against.map(element).unwrap_or_default();
        target.positions = Some(vec![if self.next { at.saturating_sub(1) } else { at }]);
        Ok((0, target))
    }
}

impl Judge for ChoiceGoal {
    fn reached(&self, seen: &Seen<'_>) -> bool {
        self.choice(seen).is_some_and(|choice| match self.wanted {
            None => choice.chosen.id != self.current,
            Some(wanted) => choice.chosen.id == wanted,
        })
    }

    fn margin(&self, seen: &Seen<'_>) -> f64 {
        let rivals = self.rivals(self.row(seen));
        rivals.map_or(f64::NEG_INFINITY, |((_, wins), (_, loses))| wins - loses)
    }

    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let ((wins, _), (loses, _)) = self.rivals(self.row(seen)).unwrap_or(((0, 0.0), (0, 0.0)));
        self.target(seen, wins, Some(loses), Quantity::Logit)
    }

    fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        self.target(seen, self.current as usize, None, Quantity::Loss)
    }

    fn confidence(&self, seen: &Seen<'_>) -> f64 {
        let same = self.choice(seen).filter(|choice| choice.chosen.id == self.current);
        same.map_or(0.0, |choice| choice.chosen.probability)
    }
}
