//! What is explained, and how it is measured.

use super::{name, quote};
use crate::text::{Marks, visible};
use crate::wire::{Document, Prediction, Target};

/// The question: `why positive`, `why positive rather than negative`, `why “Berlin” is LOC`.
pub(crate) fn question(document: &Document, target: &Target, marks: Marks) -> String {
    match target {
        Target::Label { label, .. } => format!("why {}", name(label, marks)),
        Target::Contrast { label, versus, .. } => {
            format!("why {} rather than {}", name(label, marks), name(versus, marks))
        }
        Target::Entity { label, field, span: [start, end], .. } => {
            let field = document.input.fields.get(*field);
            let text = field.and_then(|field| field.text.get(*start..*end)).unwrap_or("");
            format!("why {} is {}", quote(text, marks), name(label, marks))
        }
        Target::Answer { text, versus, .. } => {
            let versus = versus.as_ref().map(|text| format!(" rather than {}", quote(text, marks)));
            let versus = versus.unwrap_or_default();
            match text {
                Some(text) => format!("why the answer {}{versus}", quote(text, marks)),
                None => format!("why there is no answer{versus}"),
            }
        }
        Target::Token { token, position, .. } => {
            format!("why {}{}", quote(token, marks), place(document, *position))
        }
        Target::TokenContrast { token, versus, position, .. } => {
            let (token, versus) = (quote(token, marks), quote(versus, marks));
            format!("why {token} rather than {versus}{}", place(document, *position))
        }
        Target::Similarity { .. } => "why this similarity".into(),
    }
}

/// Which of several masks or written tokens: ` (token 2 of 7)`.
fn place(document: &Document, position: usize) -> String {
    let fields = &document.input.fields;
    let (what, index, count) = match &document.prediction {
        Prediction::MaskedLm(masks) => {
            let before = |field: usize| -> usize {
                fields.iter().take(field).map(|field| field.tokens.len()).sum()
            };
            let here = |mask: &crate::wire::Mask| before(mask.field) + mask.token == position;
            ("mask", masks.masks.iter().position(here), masks.masks.len())
        }
        prediction => {
            let tokens: usize = fields.iter().map(|field| field.tokens.len()).sum();
            let count = prediction.next().len();
            let index = (position + count).checked_sub(tokens).filter(|index| *index < count);
            ("token", index, count)
        }
    };
    match index {
        Some(index) if count > 1 => format!(" ({what} {} of {count})", index + 1),
        _ => String::new(),
    }
}

/// The quantity: `logit`, or `difference in logit`.
pub(crate) fn quantity(target: &Target, marks: Marks) -> String {
    let quantity = visible(target.quantity(), marks);
    match target.parts() {
        (_, None) => quantity.into_owned(),
        (_, Some(_)) => format!("difference in {quantity}"),
    }
}

/// The quantity with what it is a quantity of, where that is not one output: `logit of its tokens
/// together`.
pub(crate) fn measure(target: &Target, marks: Marks) -> String {
    let quantity = quantity(target, marks);
    match target {
        Target::Entity { .. } => format!("{quantity} of its tokens together"),
        Target::Answer { .. } => format!("{quantity} of start and end together"),
        _ => quantity,
    }
}

/// The target in a few words: `positive`, or `positive rather than negative`.
pub(crate) fn describe(target: &Target, marks: Marks) -> String {
    name(target.describe().trim(), marks)
}

/// What the marked part of the text is.
pub(crate) fn focus(document: &Document, target: &Target) -> &'static str {
    match (target, &document.prediction) {
        (Target::Entity { .. }, _) => "the entity",
        (Target::Answer { .. }, _) => "the answer",
        (_, Prediction::MaskedLm(_)) => "the mask",
        _ => "the token",
    }
}
