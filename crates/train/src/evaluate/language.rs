//! Tokens that a language model is to say.

use glossator_models::{Encoding, Model, Task};
use glossator_ops::Tensor;

use super::outputs::outputs;
use super::{EvaluateOptions, Evaluation, Measure, Scores, largest, log_sum_exp, nothing};
use crate::batching::mix;
use crate::data::Example;
use crate::encode::{Encoder, hider};
use crate::error::Result;
use crate::item::{Gold, Hider, IGNORE, Item};
use crate::metrics::language::{Language, Piece};

pub(super) struct Tokens<'a> {
    model: &'a dyn Model,
    options: &'a EvaluateOptions,
    encoder: Encoder<'a>,
    hider: Option<Hider>,
    language: Language,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(model: &'a dyn Model, options: &'a EvaluateOptions) -> Result<Self> {
        let masked = model.info().task == Task::MaskedLm;
        let hider = masked.then(|| hider(model, options.mask_rate)).transpose()?;
        let encoder = Encoder::new(model, options.limits);
        Ok(Self { model, options, encoder, hider, language: Language::default() })
    }

    fn items(&mut self, items: Vec<Item>) -> Result<()> {
        let mut encodings: Vec<Encoding> = Vec::with_capacity(items.len());
        let mut golds = Vec::with_capacity(items.len());
        for item in items {
            let (encoding, gold) = match &self.hider {
                // The same tokens each time that the same data is measured.
                Some(hider) => hider.hide(
                    &item,
                    mix(&[
                        self.options.bootstrap.seed,
                        (self.language.items.len() + golds.len()) as u64,
                    ]),
                ),
                None => (item.encoding(), item.gold),
            };
            encodings.push(encoding);
            golds.push(gold);
        }
        let pieces = outputs(self.model, &encodings, |i, logits, _| piece(&golds[i], logits))?;
        self.language.items.extend(pieces);
        Ok(())
    }
}

/// What the model says of the tokens of one item.
fn piece(gold: &Gold, logits: &Tensor) -> Result<Piece> {
    let Gold::Tokens(right) = gold else { return Ok(Piece::default()) };
    let mut piece = Piece::default();
    for (position, &right) in right.iter().enumerate() {
        if right == IGNORE {
            continue;
        }
        // One row at a time: a vocabulary for each position of all rows is much memory.
        let row: Vec<f32> = logits.get(position)?.to_vec1()?;
        let nats = log_sum_exp(&row) - row.get(right as usize).copied().map_or(f64::NAN, f64::from);
        if !nats.is_finite() {
            let what = "the output";
            return Err(glossator_interpret::Error::NotFinite { what, at: String::new() }.into());
        }
        piece.nats += nats;
        piece.tokens += 1;
        piece.first += u64::from(largest(&row) == right as usize);
    }
    Ok(piece)
}

impl Measure for Tokens<'_> {
    fn measure(&mut self, examples: &[Example]) -> Result<()> {
        let mut items = Vec::new();
        for example in examples {
            items.extend(self.encoder.items(example)?);
        }
        self.items(items)
    }

    fn finish(mut self: Box<Self>) -> Result<Evaluation> {
        let rest = self.encoder.rest();
        self.items(rest.into_iter().collect())?;
        self.language.items.retain(|piece| piece.tokens > 0);
        if self.language.items.is_empty() {
            return Err(nothing("token"));
        }
        let mut scores = Scores::new(self.language.items.len(), &self.options.bootstrap);
        scores.add("loss", false, |sample| self.language.nats(sample));
        scores.add("perplexity", false, |sample| self.language.perplexity(sample));
        scores.add("accuracy", true, |sample| self.language.accuracy(sample));
        Ok(Evaluation {
            task: self.model.info().task,
            examples: self.language.items.len(),
            truncated: self.encoder.truncated,
            scores: scores.made,
            classes: Vec::new(),
            confusion: Vec::new(),
        })
    }
}
