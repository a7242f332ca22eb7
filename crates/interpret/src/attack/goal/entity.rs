//! An entity that is none any more, or one of another kind.

use std::ops::Range;

use super::{Aim, Goal, Judge, Kind, Seen, already, best, recorded};
use crate::error::Result;
use crate::prediction::{Entity, Prediction};
use crate::target::{Decision, Element, Quantity, Target};
use crate::tasks::entity_kind;

/// One entity, which keeps its own words; what stands around it changes.
#[derive(Debug, Clone)]
pub(super) struct EntityGoal {
    field: usize,
    /// Its bytes in the original text, without space at their ends.
    span: Range<usize>,
    label: String,
    /// The labels of its tokens.
    labels: Vec<usize>,
    wanted: Option<String>,
}

pub(super) fn goals(seen: &Seen<'_>, entities: &[Entity], aim: &Aim) -> Result<Vec<Goal>> {
    let labels = &seen.model.info().labels;
    let wanted = match aim {
        Aim::Change => None,
        Aim::Become(wanted) => {
            let kinds = || labels.names.iter().filter_map(|name| entity_kind(name));
            let found = kinds().find(|kind| kind == wanted);
            let found = match found {
                Some(kind) => kind,
                None => {
                    let label = labels.find(wanted)?;
                    entity_kind(&labels.names[label]).unwrap_or(&labels.names[label])
                }
            };
            Some(found.to_owned())
        }
    };
    let mut goals = Vec::new();
    for (i, entity) in entities.iter().enumerate() {
        if wanted.as_ref() == Some(&entity.label) {
            continue;
        }
        let text = &seen.texts.originals()[entity.field];
        let span = trimmed(text, entity.span.clone());
        let goal = EntityGoal {
            field: entity.field,
            span: span.clone(),
            label: entity.label.clone(),
            labels: entity.labels.clone(),
            // Outside is not a kind: no longer an entity is what any change can be.
            wanted: wanted.clone(),
        };
        let protected = vec![(entity.field, span)];
        goals.push(Goal { kind: Kind::Entity(goal), target: recorded(seen, i)?, protected });
    }
    match (&wanted, goals.is_empty(), entities.is_empty()) {
        (Some(wanted), true, false) => Err(already(wanted)),
        _ => Ok(goals),
    }
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let Some(part) = text.get(span.clone()) else { return span };
    let start = span.end - part.trim_start().len();
    let end = span.start + part.trim_end().len();
    if start < end { start..end } else { span }
}

impl EntityGoal {
    /// Where the entity is now.
    fn place(&self, seen: &Seen<'_>) -> Option<Range<usize>> {
        seen.texts.to_edited(self.field, self.span.clone())
    }

    /// The entity of exactly these words, if there still is one.
    fn found<'a>(&self, seen: &'a Seen<'_>) -> Option<&'a Entity> {
        let Prediction::TokenClassification(entities) = &seen.reading.prediction else {
            return None;
        };
        let place = self.place(seen)?;
        let text = &seen.reading.windows.first()?.fields.get(self.field)?.text;
        let same = |entity: &&Entity| {
            entity.field == self.field && trimmed(text, entity.span.clone()) == place
        };
        entities.iter().find(same)
    }

    /// Its tokens.
    fn tokens(&self, seen: &Seen<'_>) -> Vec<usize> {
        let (Some(place), Some(window)) = (self.place(seen), seen.reading.windows.first()) else {
            return Vec::new();
        };
        let tokens = window.tokens.iter().enumerate();
        let inside = tokens.filter(|(_, token)| {
            let own = !token.special && token.field == self.field && token.start < token.end;
            let text = &window.fields[self.field].text;
            let span = trimmed(text, token.start..token.end);
            own && span.start < place.end && place.start < span.end
        });
        inside.map(|(t, _)| t).collect()
    }

    fn is(&self, seen: &Seen<'_>, column: usize, kind: &str) -> bool {
        let name = seen.model.info().labels.names.get(column);
        name.is_some_and(|name| entity_kind(name).unwrap_or(name) == kind)
    }

    /// For each token what is to win and what it has to beat.
    fn rivals(&self, seen: &Seen<'_>) -> Vec<Rivals> {
        let Some(rows) = seen.reading.rows.first() else { return Vec::new() };
        let rival = |t: usize| {
            let row = rows.get(t)?;
            let kind = self.wanted.as_ref().unwrap_or(&self.label);
            let own = best(row, |column| self.is(seen, column, kind))?;
            let other = best(row, |column| !self.is(seen, column, kind))?;
            let (wins, loses) = if self.wanted.is_some() { (own, other) } else { (other, own) };
            Some(Rivals { token: t, wins, loses })
        };
        self.tokens(seen).into_iter().filter_map(rival).collect()
    }
}

/// What is to win at a token, and what it has to beat: columns of the logits, with their values.
struct Rivals {
    token: usize,
    wins: (usize, f64),
    loses: (usize, f64),
}

impl Rivals {
    fn gap(&self) -> f64 {
        self.wins.1 - self.loses.1
    }
}

impl Judge for EntityGoal {
    fn reached(&self, seen: &Seen<'_>) -> bool {
        let found = self.found(seen);
        match &self.wanted {
            None => found.is_none_or(|entity| entity.label != self.label),
            Some(wanted) => match entity_kind(wanted) {
                None => found.is_none(),
                Some(_) => found.is_some_and(|entity| entity.label == *wanted),
            },
        }
    }

    fn margin(&self, seen: &Seen<'_>) -> f64 {
        let gaps = self.rivals(seen).into_iter().map(|rivals| rivals.gap());
        match self.wanted {
            // One token of another kind breaks the entity; for another kind all must be of it.
            None => gaps.fold(f64::NEG_INFINITY, f64::max),
            Some(_) => gaps.reduce(f64::min).unwrap_or(f64::NEG_INFINITY),
        }
    }

    fn towards(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let mut rivals = self.rivals(seen);
        if self.wanted.is_none() {
            rivals.sort_by(|a, b| b.gap().total_cmp(&a.gap()));
            rivals.truncate(1);
        }
        let elements = |pick: fn(&Rivals) -> usize| {
            let columns = rivals.iter().map(pick).enumerate();
            columns.map(|(row, column)| Element { row, column }).collect::<Vec<_>>()
        };
        let mut target = self.target(elements(|rivals| rivals.wins.0), Quantity::Logit)?;
        target.against = elements(|rivals| rivals.loses.0);
        target.positions = Some(rivals.iter().map(|rivals| rivals.token).collect());
        Ok((0, target))
    }

    fn loss(&self, seen: &Seen<'_>) -> Result<(usize, Target)> {
        let tokens = self.tokens(seen);
        let rows = seen.reading.rows.first();
        let column = |(i, &t): (usize, &usize)| {
            let same = (tokens.len() == self.labels.len()).then(|| self.labels[i]);
            // Split otherwise than before: the best of the entity's own labels.
            let own = || best(rows?.get(t)?, |column| self.is(seen, column, &self.label));
            Element { row: i, column: same.or_else(|| Some(own()?.0)).unwrap_or(0) }
        };
        let outputs = tokens.iter().enumerate().map(column).collect();
        let mut target = self.target(outputs, Quantity::Loss)?;
        target.positions = Some(tokens);
        Ok((0, target))
    }

    fn confidence(&self, seen: &Seen<'_>) -> f64 {
        let found = self.found(seen).filter(|entity| entity.label == self.label);
        found.map_or(0.0, |entity| entity.probability)
    }
}

impl EntityGoal {
    fn target(&self, outputs: Vec<Element>, quantity: Quantity) -> Result<Target> {
        let decision = Decision::Entity {
            label: self.label.clone(),
            field: self.field,
            span: self.span.clone(),
        };
        Target::new(decision, outputs, quantity, glossator_models::Problem::SingleLabel)
    }
}
