//! A label for each token: entities out of BIO, IO, BIOES, BILOU and plain tags.

use std::str::FromStr;

use glossator_models::{Encoding, Model, Task, Tokenizer};
use glossator_ops::{DType, Device, Tensor};

use super::{Decide, Input, TaskOptions, bad_input, no_continuation, no_pair};
use crate::error::{Error, Result};
use crate::prediction::{Entity, Prediction, largest, softmax};
use crate::target::{Decision, Element, Quantity, Target, TargetSpec};

/// How tokens are put together, as `transformers` pipelines name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregation {
    /// Neighbouring tokens with the same label are an entity, words or not.
    #[default]
    Simple,
    /// Each word has the label of its first token.
    First,
    /// Each word has the label with the largest mean probability.
    Average,
    /// Each word has the label of its most certain token.
    Max,
}

impl Aggregation {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("simple", Self::Simple),
        ("first", Self::First),
        ("average", Self::Average),
        ("max", Self::Max),
    ];
}

impl FromStr for Aggregation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, aggregation)| aggregation).ok_or_else(|| Error::BadSetting {
            setting: "aggregation".to_owned(),
            expected: Self::ALL.map(|(name, _)| name).join(", "),
            got: name.to_owned(),
        })
    }
}

pub(super) struct TokenClassification;

/// Where in an entity a token stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// The first of several, or the only one.
    Begin,
    Inside,
    /// The last, or the only one: nothing follows in the same entity.
    End,
    Single,
    /// Not in any.
    Outside,
    /// The tag has no prefix: neighbours with the same tag belong together.
    Plain,
}

/// A label's place and what is left of its name.
fn tag(label: &str) -> (Place, &str) {
    if label == "O" {
        return (Place::Outside, label);
    }
    let Some((prefix, rest)) = label.split_once(['-', '_']) else { return (Place::Plain, label) };
    let place = match prefix {
        "B" => Place::Begin,
        "I" | "M" => Place::Inside,
        "E" | "L" => Place::End,
        "S" | "U" => Place::Single,
        _ => return (Place::Plain, label),
    };
    (place, rest)
}

/// The kind of entity that a label stands for; none for the label of what is no entity.
pub(crate) fn kind(label: &str) -> Option<&str> {
    let (place, kind) = tag(label);
    (place != Place::Outside).then_some(kind)
}

/// Tokens that are labelled together.
struct Unit {
    tokens: Vec<usize>,
    label: usize,
    probability: f64,
}

impl Decide for TokenClassification {
    fn task(&self) -> Task {
        Task::TokenClassification
    }

    fn encode(
        &self,
        model: &dyn Model,
        input: &Input,
        options: &TaskOptions,
    ) -> Result<Vec<Encoding>> {
        no_pair(input, "token classification")?;
        no_continuation(input, "a token classifier")?;
        Ok(vec![model.encode(&input.text, options.truncate)?])
    }

    fn predict(
        &self,
        model: &dyn Model,
        windows: &[(&Encoding, Vec<Vec<f64>>)],
        options: &TaskOptions,
    ) -> Result<Prediction> {
        let mut entities: Vec<Entity> = Vec::new();
        let names = &model.info().labels.names;
        for (encoding, rows) in windows {
            let (mut open, mut merged) = (false, 0.0);
            let read = read(model, rows)?;
            for unit in units(model.tokenizer(), encoding, &read, options.aggregation) {
                let (place, label) = tag(names.get(unit.label).map_or("O", String::as_str));
                let Some(&first) = unit.tokens.first() else { continue };
                if place == Place::Outside {
                    open = false;
                    continue;
                }
                let field = encoding.tokens[first].field;
                let end = unit.tokens.iter().map(|&t| encoding.tokens[t].end).max().unwrap_or(0);
                let goes_on = open && matches!(place, Place::Inside | Place::End | Place::Plain);
                let labels = vec![unit.label; unit.tokens.len()];
                match entities.last_mut() {
                    Some(last) if goes_on && last.label == label && last.field == field => {
                        // The mean over units: a long word does not count for more.
                        merged += 1.0;
                        last.probability += (unit.probability - last.probability) / merged;
                        last.span.end = end;
                        last.tokens.extend(unit.tokens);
                        last.labels.extend(labels);
                    }
                    _ => {
                        merged = 1.0;
                        entities.push(Entity {
                            label: label.to_owned(),
                            probability: unit.probability,
                            field,
                            span: encoding.tokens[first].start..end,
                            tokens: unit.tokens,
                            labels,
                        });
                    }
                }
                open = !matches!(place, Place::End | Place::Single);
            }
        }
        Ok(Prediction::TokenClassification(entities))
    }

    fn targets(
        &self,
        model: &dyn Model,
        _: &Encoding,
        prediction: &Prediction,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Vec<Target>> {
        let Prediction::TokenClassification(entities) = prediction else { return Ok(Vec::new()) };
        let wanted = match spec {
            TargetSpec::Predicted => None,
            TargetSpec::Label(label) => {
                // By the name of an entity's kind, or of one of the model's own labels.
                let known = model.info().labels.names.iter().any(|name| tag(name).1 == label);
                let label = if known {
                    label.as_str()
                } else {
                    let index = model.info().labels.find(label)?;
                    tag(&model.info().labels.names[index]).1
                };
                Some(label)
            }
            TargetSpec::Contrast(..) => {
                return Err(bad_input(
                    "--target A-vs-B is not defined for entities of several tokens",
                    "give one kind of entity, or none for all",
                ));
            }
        };
        let chain = model.chain().is_some();
        // In a chain, a label has no logit of its own that would decide: what decides is how
        // probable the entity's labels are together.
        let quantity = match quantity {
            Quantity::Logit if chain => Quantity::LogProbability,
            other => other,
        };
        let chosen =
            entities.iter().filter(|entity| wanted.is_none_or(|label| label == entity.label));
        chosen
            .map(|entity| {
                let decision = Decision::Entity {
                    label: entity.label.clone(),
                    field: entity.field,
                    span: entity.span.clone(),
                };
                // Of a chain, all tokens have to be read.
                let row = |i: usize| if chain { entity.tokens[i] } else { i };
                let elements = entity.labels.iter().enumerate();
                let outputs =
                    elements.map(|(i, &column)| Element { row: row(i), column }).collect();
                let problem = model.info().labels.problem;
                let mut target = Target::new(decision, outputs, quantity, problem)?;
                target.positions = (!chain).then(|| entity.tokens.clone());
                Ok(target)
            })
            .collect()
    }
}

/// What a model says of each token.
struct Read {
    /// The probability of each label.
    shares: Vec<Vec<f64>>,
    /// The likeliest label; in a chain, the one in the likeliest sequence.
    labels: Vec<usize>,
}

fn read(model: &dyn Model, rows: &[Vec<f64>]) -> Result<Read> {
    let Some(chain) = model.chain().filter(|_| !rows.is_empty()) else {
        let shares: Vec<Vec<f64>> = rows.iter().map(|row| softmax(row)).collect();
        let labels = shares.iter().map(|row| largest(row.iter().copied())).collect();
        return Ok(Read { shares, labels });
    };
    let shape = (1, rows.len(), rows[0].len());
    let logits = Tensor::from_vec(rows.concat(), shape, &Device::Cpu)?;
    let shares = chain.marginals(&logits)?.squeeze(0)?.to_dtype(DType::F64)?.to_vec2()?;
    let labels = chain.best(&logits)?.into_iter().next().unwrap_or_default();
    Ok(Read { shares, labels })
}

/// Tokens or words with their labels, in order.
fn units(
    tokenizer: &Tokenizer,
    encoding: &Encoding,
    read: &Read,
    aggregation: Aggregation,
) -> Vec<Unit> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (t, token) in encoding.tokens.iter().enumerate() {
        if token.special || read.shares.get(t).is_none() {
            continue;
        }
        match groups.last_mut() {
            Some(group)
                if aggregation != Aggregation::Simple && continues_word(tokenizer, encoding, t) =>
            {
                group.push(t);
            }
            _ => groups.push(vec![t]),
        }
    }
    groups
        .into_iter()
        .map(|tokens| {
            let shares: Vec<&[f64]> = tokens.iter().map(|&t| &read.shares[t][..]).collect();
            let best = |row: &[f64]| largest(row.iter().copied());
            let first = read.labels[tokens[0]];
            let share = |row: &[f64], label: usize| row.get(label).copied().unwrap_or(0.0);
            let (label, probability) = match aggregation {
                Aggregation::Simple | Aggregation::First => (first, share(shares[0], first)),
                Aggregation::Max => {
                    let top = shares.iter().map(|row| row[best(row)]);
                    let row = shares[largest(top)];
                    (best(row), share(row, best(row)))
                }
                Aggregation::Average => {
                    let n = shares.len() as f64;
                    let mean = |c: usize| shares.iter().map(|row| row[c]).sum::<f64>() / n;
                    let row: Vec<f64> = (0..shares[0].len()).map(mean).collect();
                    (best(&row), share(&row, best(&row)))
                }
            };
            Unit { tokens, label, probability }
        })
        .collect()
}

/// Whether a token continues the word of the token before it, as `transformers` pipelines decide:
/// of word pieces, those that are spelled otherwise than in the text (`##ing`); elsewhere, those
/// without a space at their beginning or before it. Punctuation is part of its word there.
fn continues_word(tokenizer: &Tokenizer, encoding: &Encoding, t: usize) -> bool {
    let token = &encoding.tokens[t];
    if tokenizer.unk_token() == Some(token.id) {
        return false;
    }
    let text = encoding.fields.get(token.field).map_or("", |field| field.text.as_str());
    let own = text.get(token.start..token.end).unwrap_or_default();
    if tokenizer.has_continuing_prefix() {
        return token.text.chars().count() != own.chars().count();
    }
    let before = text.get(..token.start).and_then(|before| before.chars().next_back());
    // The reference looks at the token's first character too, which an empty token does not have.
    before.is_some_and(|c| c != ' ') && !text[token.start..].starts_with(' ')
}
