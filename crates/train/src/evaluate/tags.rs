//! Tags of words: entities, or tags one by one where they make none.

use glossator_models::Model;

use super::outputs::{outputs, rows};
use super::{EvaluateOptions, Evaluation, Measure, Scores, largest, log_sum_exp, nothing};
use crate::data::{Content, Example};
use crate::encode::{self, Encoder, first_tokens};
use crate::error::{Error, Result};
use crate::metrics::classification::SingleLabel;
use crate::metrics::spans::Spans;

pub(super) struct Tags<'a> {
    model: &'a dyn Model,
    options: &'a EvaluateOptions,
    encoder: Encoder<'a>,
    spans: Spans,
    words: SingleLabel,
    loss: f64,
    with_loss: u64,
}

impl<'a> Tags<'a> {
    pub(super) fn new(model: &'a dyn Model, options: &'a EvaluateOptions) -> Self {
        let labels = model.info().labels.names.len();
        Self {
            model,
            options,
            encoder: Encoder::new(model, options.limits),
            spans: Spans::default(),
            words: SingleLabel { items: Vec::new(), labels },
            loss: 0.0,
            with_loss: 0,
        }
    }
}

impl Measure for Tags<'_> {
    fn measure(&mut self, examples: &[Example]) -> Result<()> {
        let labels = &self.model.info().labels;
        let mut encodings = Vec::with_capacity(examples.len());
        let mut sentences = Vec::with_capacity(examples.len());
        for example in examples {
            let Content::Tagged(tagged) = &example.content else { continue };
            let encoding = self.encoder.text(&tagged.text, None);
            let encoding = encoding.map_err(|error| error.at(&example.place))?;
            if encoding.tokens.is_empty() {
                let what = "the sentence has no tokens";
                return Err(Error::data(&example.place, what, "remove the sentence"));
            }
            encodings.push(encoding);
            let right: Result<Vec<usize>> =
                tagged.tags.iter().map(|tag| encode::index(labels, tag, &example.place)).collect();
            sentences.push((tagged, right?));
        }
        let chain = self.model.chain();
        let all = outputs(self.model, &encodings, |i, logits, _| {
            let rows = rows(logits)?;
            let Some(chain) = &chain else { return Ok((rows, None)) };
            let logits = logits.narrow(0, 0, encodings[i].tokens.len())?.unsqueeze(0)?;
            Ok((rows, Some((chain.best(&logits)?.swap_remove(0), logits))))
        })?;
        // A word without tokens, or beyond what the model reads, is in no entity.
        let outside = labels.names.iter().position(|name| name == "O").unwrap_or(0);
        for (((tagged, right), encoding), (rows, best)) in
            sentences.into_iter().zip(&encodings).zip(all)
        {
            let tokens = first_tokens(encoding, &tagged.words);
            let mut predicted = Vec::with_capacity(right.len());
            let mut known = vec![None; encoding.tokens.len()];
            for (token, &right) in tokens.into_iter().zip(&right) {
                let Some((token, row)) = token.and_then(|token| Some((token, rows.get(token)?)))
                else {
                    predicted.push(outside);
                    continue;
                };
                if let Some((best, _)) = &best {
                    predicted.push(best.get(token).copied().unwrap_or(outside));
                    known[token].get_or_insert(right);
                    continue;
                }
                predicted.push(largest(row));
                self.loss += log_sum_exp(row) - f64::from(row[right]);
                self.with_loss += 1;
            }
            if let (Some((_, logits)), Some(chain)) = (&best, &chain) {
                // Of the whole sentence, as it is trained.
                let loss = chain.loss(logits, &[known])?;
                self.loss += f64::from(loss.to_scalar::<f32>()?);
                self.with_loss += 1;
            }
            let names = |indices: &[usize]| -> Vec<&str> {
                indices.iter().map(|&i| labels.names[i].as_str()).collect()
            };
            self.spans.push(&names(&right), &names(&predicted), self.options.mode);
            self.words.items.extend(right.into_iter().zip(predicted));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Evaluation> {
        let info = self.model.info();
        if self.words.items.is_empty() {
            return Err(nothing("word"));
        }
        let plain = |name: &String| {
            let placed = |c: char| "BIMELSU".contains(c);
            let mut chars = name.chars();
            !(chars.next().is_some_and(placed) && matches!(chars.next(), Some('-' | '_')))
        };
        // Parts of speech, for one: neighbours with the same tag are no entity.
        let no_entities = info.labels.names.iter().all(plain)
            && !info.labels.names.iter().any(|name| name == "O");
        let bootstrap = &self.options.bootstrap;
        let (mut scores, classes, confusion);
        if no_entities {
            scores = Scores::new(self.words.items.len(), bootstrap);
            scores.add("accuracy", true, |sample| self.words.accuracy(sample));
            scores.add("macro-f1", true, |sample| self.words.macro_f1(sample));
            (classes, confusion) = (self.words.classes(&info.labels.names), self.words.confusion());
        } else {
            scores = Scores::new(self.spans.items.len(), bootstrap);
            scores.add("f1", true, |sample| self.spans.f1(sample));
            scores.add("precision", true, |sample| self.spans.precision(sample));
            scores.add("recall", true, |sample| self.spans.recall(sample));
            scores.add("macro-f1", true, |sample| self.spans.macro_f1(sample));
            scores.add("accuracy", true, |sample| self.spans.accuracy(sample));
            (classes, confusion) = (self.spans.classes(), Vec::new());
        }
        if self.with_loss > 0 {
            scores.plain("loss", self.loss / self.with_loss as f64);
        }
        Ok(Evaluation {
            task: info.task,
            examples: self.spans.items.len(),
            truncated: self.encoder.truncated,
            scores: scores.made,
            classes,
            confusion,
        })
    }
}
