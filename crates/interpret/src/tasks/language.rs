//! What the language-modelling tasks share: candidates, and tokens by their text.

use glossator_models::{Encoding, Model, Problem, Tokenizer};

use super::bad_input;
use crate::error::{Error, Result};
use crate::prediction::{Candidate, Choice, softmax};
use crate::target::{Decision, Element, Quantity, Target, TargetSpec};

/// The choice at a place, out of a row of logits. `chosen`: the token that is there; else the best.
pub(super) fn choice(
    tokenizer: &Tokenizer,
    at: usize,
    logits: &[f64],
    chosen: Option<u32>,
    top: usize,
) -> Choice {
    let shares = softmax(logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    let n = top.max(1).min(order.len());
    if n < order.len() {
        order.select_nth_unstable_by(n, by_logit);
        order.truncate(n);
    }
    order.sort_by(by_logit);
    let candidate = |i: usize| Candidate {
        id: i as u32,
        text: text(tokenizer, i as u32),
        logit: logits.get(i).copied().unwrap_or(f64::NEG_INFINITY),
        probability: shares.get(i).copied().unwrap_or(0.0),
    };
    let best = order.first().copied().unwrap_or(0);
    Choice {
        at,
        chosen: candidate(chosen.map_or(best, |id| id as usize)),
        candidates: order.into_iter().map(candidate).collect(),
    }
}

/// What a token adds to a text, or its name in the vocabulary if that is nothing, or only some of a
/// character's bytes, which would all look alike.
pub(super) fn text(tokenizer: &Tokenizer, id: u32) -> String {
    match tokenizer.token_text(id) {
        Some(text) if !text.is_empty() && !text.contains('\u{fffd}') => text,
        _ => tokenizer.id_to_token(id).unwrap_or_else(|| format!("[{id}]")),
    }
}

/// The token that a user means: a name in the vocabulary, or a text that is one token, at the
/// beginning of a word or inside of one.
pub(super) fn token(model: &dyn Model, wanted: &str, flag: &str) -> Result<u32> {
    let tokenizer = model.tokenizer();
    let spaced = format!(" {wanted}");
    let one = |text: &str| match tokenizer.ids_of(text).ok()?.as_slice() {
        // What stands for every word that the vocabulary lacks is not the word that was meant.
        [id] if Some(*id) != tokenizer.unk_token() => Some(*id),
        _ => None,
    };
    let begins = !wanted.starts_with(char::is_whitespace);
    let found = begins.then(|| one(&spaced)).flatten().or_else(|| one(wanted));
    // A name such as `<|endoftext|>` is no word.
    let special = tokenizer.token_to_id(wanted).filter(|&id| tokenizer.is_special(id));
    if let Some(id) = special.or(found).or_else(|| tokenizer.token_to_id(wanted)) {
        return Ok(id);
    }
    let pieces = tokenizer.ids_of(&spaced)?.len();
    let what = match pieces {
        0 | 1 => "is not in the vocabulary".to_owned(),
        pieces => format!("is {pieces} tokens, not one"),
    };
    Err(bad_input(
        format!("--{flag} {wanted:?} {what}"),
        "give a shorter word, or a token as the vocabulary spells it",
    ))
}

const TARGET: &str = "target";

/// Where a choice is read.
pub(super) struct Place {
    /// The row of the position among those that are read.
    pub(super) position: usize,
    /// The leading tokens that matter.
    pub(super) prefix: Option<usize>,
}

/// The targets of what is written, each read at the position before it; positions count from token
/// `start`. `hint`: what to do where one token is named for several.
pub(super) fn written(
    model: &dyn Model,
    encoding: &Encoding,
    choices: &[Choice],
    start: usize,
    spec: &TargetSpec,
    quantity: Quantity,
    hint: &str,
) -> Result<Vec<Target>> {
    if !matches!(spec, TargetSpec::Predicted) && choices.len() > 1 {
        return Err(bad_input("--target names one token, but several are written", hint));
    }
    choices
        .iter()
        .map(|choice| {
            let prefix = (choice.at < encoding.tokens.len()).then_some(choice.at);
            let place = Place { position: choice.at - 1 - start, prefix };
            target(model, choice, &place, spec, quantity)
        })
        .collect()
}

/// The target of one choice.
pub(super) fn target(
    model: &dyn Model,
    choice: &Choice,
    place: &Place,
    spec: &TargetSpec,
    quantity: Quantity,
) -> Result<Target> {
    let of = |id: u32| vec![Element { row: 0, column: id as usize }];
    let name = |id: u32| text(model.tokenizer(), id);
    let at = choice.at;
    let (decision, outputs, against) = match spec {
        TargetSpec::Predicted => {
            let token = choice.chosen.text.clone();
            (Decision::Token { token, at }, of(choice.chosen.id), Vec::new())
        }
        TargetSpec::Label(wanted) => {
            let id = token(model, wanted, TARGET)?;
            (Decision::Token { token: name(id), at }, of(id), Vec::new())
        }
        TargetSpec::Contrast(a, b) => {
            let (first, second) = (token(model, a, TARGET)?, token(model, b, TARGET)?);
            if first == second {
                let what = format!("--target {a}-vs-{b}: a token does not contrast with itself");
                return Err(Error::Conflict { what });
            }
            let decision = Decision::TokenContrast { token: name(first), versus: name(second), at };
            (decision, of(first), of(second))
        }
    };
    let mut target = Target::new(decision, outputs, quantity, Problem::SingleLabel)?;
    target.against = against;
    target.positions = Some(vec![place.position]);
    target.prefix = place.prefix;
    Ok(target)
}
