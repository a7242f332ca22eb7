//! From the library's own types to the wire.

mod attack;
mod decision;
mod reading;
mod request;
mod service;

use std::collections::BTreeMap;

use glossator_interpret::words::{word_places, word_scores};
use glossator_interpret::{Answer, Attribution, Method, Setting};
use glossator_models::{Encoding, ModelInfo};
use serde_json::Value;

use crate::wire;

pub use self::attack::{AttackHead, count};
pub use self::reading::{attention_document, predict_document};
pub use self::request::{InputError, input, options, settings, useless};
pub use self::service::{attack_entry, constraint_entry, method_entry};

/// What the documents of one run have in common.
#[derive(Debug, Clone)]
pub struct Head {
    model: wire::Model,
    method: wire::Method,
}

impl Head {
    /// The model and method as the wire names them. `sha256` is of the weights, where known.
    pub fn new(info: &ModelInfo, sha256: Option<String>, method: &dyn Method) -> Self {
        let settings = method.settings_for(info).into_iter();
        let settings: BTreeMap<String, Value> =
            settings.map(|(name, setting)| (name.to_owned(), value(setting))).collect();
        Self { model: model(info, sha256), method: wire::Method::new(method.info().id, settings) }
    }

    /// The document of one answer.
    pub fn document(&self, answer: &Answer) -> wire::Document {
        let encoding = &answer.encoding;
        let input = wire::Input::new(fields(encoding));
        let prediction = decision::prediction(encoding, &answer.prediction);
        let (model, method) = (self.model.clone(), self.method.clone());
        let mut document = wire::Document::new(model, method, input, prediction);
        document.truncated = (encoding.truncated > 0).then_some(encoding.truncated);
        document.explanations = answer
            .explanations
            .iter()
            .map(|explanation| {
                let target = decision::target(encoding, &explanation.target);
                explanation_of(encoding, target, &explanation.attribution)
            })
            .collect();
        document
    }
}

/// The model as the wire names it. `sha256` is of the weights, where known.
pub fn model(info: &ModelInfo, sha256: Option<String>) -> wire::Model {
    wire::Model::new(&info.id, info.family, info.task.id(), sha256)
}

fn value(setting: Setting) -> Value {
    match setting {
        Setting::Bool(on) => on.into(),
        Setting::Integer(n) => n.into(),
        Setting::Number(x) => x.into(),
        Setting::Text(text) => text.into(),
    }
}

fn fields(encoding: &Encoding) -> Vec<wire::Field> {
    let places = word_places(encoding);
    let tokens = split(
        encoding,
        encoding.tokens.iter().map(|token| {
            if token.special {
                // At the place in the text where it stands: before everything or after it.
                wire::Token::special(&token.text, token.start)
            } else {
                // Words that no token stands for are not in the lists of scores either.
                let place = |word| places.get(token.field)?.get(word).copied().flatten();
                let word = token.word.and_then(place);
                wire::Token::new(&token.text, token.start, token.end, word)
            }
        }),
    );
    let fields = encoding.fields.iter().zip(tokens);
    fields.map(|(field, tokens)| wire::Field::new(&field.name, &field.text, tokens)).collect()
}

/// What belongs to each token, by field.
fn split<T>(encoding: &Encoding, items: impl Iterator<Item = T>) -> Vec<Vec<T>> {
    let mut fields: Vec<Vec<T>> = encoding.fields.iter().map(|_| Vec::new()).collect();
    for (token, item) in encoding.tokens.iter().zip(items) {
        if let Some(field) = fields.get_mut(token.field) {
            field.push(item);
        }
    }
    fields
}

fn explanation_of(
    encoding: &Encoding,
    target: wire::Target,
    attribution: &Attribution,
) -> wire::Explanation {
    let scores = split(encoding, attribution.scores.iter().copied());
    let words = word_scores(encoding, &attribution.scores).into_iter().map(|words| {
        let score = |word: glossator_interpret::words::WordScore| {
            wire::WordScore::new(word.span.start, word.span.end, word.score)
        };
        words.into_iter().map(score).collect()
    });
    let mut out = wire::Explanation::new(target, scores, words.collect(), attribution.output);
    out.baseline_output = attribution.baseline_output;
    out.delta = attribution.completeness_error;
    out.error_estimate = attribution.largest_error();
    out.converged = attribution.converged;
    out.gradient_evaluations = attribution.gradient_evaluations as u64;
    out.token_error_estimates =
        attribution.token_errors.as_ref().map(|errors| split(encoding, errors.iter().copied()));
    out.magnitudes = attribution.magnitudes;
    out.notes = attribution.notes.clone();
    out
}
