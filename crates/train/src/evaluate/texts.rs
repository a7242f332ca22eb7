//! Labels and numbers of whole texts.

use glossator_models::{Encoding, Model, Problem, Task};

use super::outputs::{outputs, row};
use super::{EvaluateOptions, Evaluation, Measure, Scores, largest, log_sum_exp, nothing};
use crate::data::{Content, Example};
use crate::encode::{self, Encoder};
use crate::error::{Error, Result};
use crate::metrics::classification::{MultiLabel, SingleLabel};
use crate::metrics::regression::Numbers;

pub(super) struct Texts<'a> {
    model: &'a dyn Model,
    options: &'a EvaluateOptions,
    encoder: Encoder<'a>,
    single: SingleLabel,
    multi: MultiLabel,
    numbers: Numbers,
    loss: f64,
}

impl<'a> Texts<'a> {
    pub(super) fn new(model: &'a dyn Model, options: &'a EvaluateOptions) -> Self {
        let labels = model.info().labels.names.len();
        Self {
            model,
            options,
            encoder: Encoder::new(model, options.limits),
            single: SingleLabel { items: Vec::new(), labels },
            multi: MultiLabel { items: Vec::new(), labels },
            numbers: Numbers::default(),
            loss: 0.0,
        }
    }

    fn encode(&mut self, text: &str, pair: Option<&str>) -> Result<Encoding> {
        if self.model.info().task != Task::SentenceSimilarity {
            return self.encoder.text(text, pair);
        }
        let second = self.encoder.text(pair.unwrap_or_default(), None)?;
        Ok(self.encoder.text(text, None)?.with_second(second, "text_pair"))
    }
}

impl Measure for Texts<'_> {
    fn measure(&mut self, examples: &[Example]) -> Result<()> {
        let mut encodings = Vec::with_capacity(examples.len());
        let mut right = Vec::with_capacity(examples.len());
        for example in examples {
            let Content::Labelled { text, pair, labels } = &example.content else { continue };
            let encoding = self.encode(text, pair.as_deref());
            let encoding = encoding.map_err(|error| error.at(&example.place))?;
            if encoding.tokens.is_empty() {
                let what = "the text has no tokens";
                return Err(Error::data(&example.place, what, "remove the row"));
            }
            encodings.push(encoding);
            right.push((labels, &example.place));
        }
        let rows = outputs(self.model, &encodings, |_, logits, _| row(logits))?;
        let labels = &self.model.info().labels;
        for ((names, place), row) in right.into_iter().zip(rows) {
            match labels.problem {
                Problem::SingleLabel => {
                    let right = encode::index(labels, encode::one(names, place)?, place)?;
                    self.single.items.push((right, largest(&row)));
                    self.loss += log_sum_exp(&row) - f64::from(row[right]);
                }
                Problem::MultiLabel => {
                    let right = encode::flags(labels, names, place)?;
                    let predicted = row.iter().map(|&z| z > 0.0).collect();
                    for (&z, &right) in row.iter().zip(&right) {
                        let z = f64::from(z);
                        let loss = z.max(0.0) - z * f64::from(right) + (-z.abs()).exp().ln_1p();
                        self.loss += loss / row.len() as f64;
                    }
                    self.multi.items.push((right, predicted));
                }
                Problem::Regression => {
                    let right = encode::number(names, place)?;
                    let predicted = row.first().copied().map_or(f64::NAN, f64::from);
                    self.numbers.items.push((right, predicted));
                    self.loss += (right - predicted).powi(2);
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Evaluation> {
        let info = self.model.info();
        let labels = &info.labels;
        let items = self.single.items.len() + self.multi.items.len() + self.numbers.items.len();
        if items == 0 {
            return Err(nothing("text"));
        }
        let mut scores = Scores::new(items, &self.options.bootstrap);
        let (mut classes, mut confusion) = (Vec::new(), Vec::new());
        match labels.problem {
            Problem::SingleLabel => {
                scores.add("accuracy", true, |sample| self.single.accuracy(sample));
                scores.add("macro-f1", true, |sample| self.single.macro_f1(sample));
                classes = self.single.classes(&labels.names);
                confusion = self.single.confusion();
            }
            Problem::MultiLabel => {
                scores.add("micro-f1", true, |sample| self.multi.micro_f1(sample));
                scores.add("macro-f1", true, |sample| self.multi.macro_f1(sample));
                scores.add("subset-accuracy", true, |sample| self.multi.subset_accuracy(sample));
                classes = self.multi.classes(&labels.names);
            }
            Problem::Regression => {
                scores.add("pearson", true, |sample| self.numbers.pearson(sample));
                scores.add("spearman", true, |sample| self.numbers.spearman(sample));
                scores.add("mae", false, |sample| self.numbers.absolute_error(sample));
                scores.add("rmse", false, |sample| self.numbers.root_squared_error(sample));
            }
        }
        if info.task != Task::SentenceSimilarity {
            scores.plain("loss", self.loss / items as f64);
        }
        Ok(Evaluation {
            task: info.task,
            examples: items,
            truncated: self.encoder.truncated,
            scores: scores.made,
            classes,
            confusion,
        })
    }
}
