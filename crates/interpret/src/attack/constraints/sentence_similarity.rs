//! Texts that mean the same to a sentence encoder.

use glossator_models::{Model, Task};

use super::{Constraint, ConstraintEntry, ConstraintInfo, EditedTexts};
use crate::attack::victim::{Limits, Reading, Victim};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};
use crate::prediction::Prediction;
use crate::progress::Silent;
use crate::tasks::{Input, TaskOptions};

/// The edited text and the original have at least this cosine.
struct SentenceSimilarity {
    encoder: Box<dyn Model>,
    least: f64,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "sentence-similarity",
    meaning: "A sentence encoder gives each edited text at least this cosine with the original.",
    citation: "Reimers & Gurevych 2019, arXiv:1908.10084; Jin, Jin, Zhou & Szolovits 2020, \
               arXiv:1907.11932",
    parameters: &[
        ParameterInfo {
            name: "similar-by",
            value: "MODEL",
            help: "A sentence encoder that judges whether a text still means the same",
            default: "none",
        },
        ParameterInfo {
            name: "min-similarity",
            value: "X",
            help: "Least cosine of the original and the edited text, -1 to 1",
            default: "0.8",
        },
    ],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, open| {
        let valid = |x: &f64| (-1.0..=1.0).contains(x);
        let least = options.get("min-similarity", 0.8, "a number from -1 to 1", valid)?;
        let Some(name) = options.text("similar-by") else {
            return match options.text("min-similarity") {
                None => Ok(None),
                Some(_) => Err(Error::Conflict {
                    what: "--min-similarity without --similar-by; give the model too".to_owned(),
                }),
            };
        };
        let encoder = open(name)?;
        let task = encoder.info().task;
        if task != Task::SentenceSimilarity {
            return Err(Error::Input {
                what: format!(
                    "--similar-by {name}: expected a sentence encoder, got {}",
                    task.id()
                ),
                hint: "give a model that compares texts".to_owned(),
            });
        }
        Ok(Some(Box::new(SentenceSimilarity { encoder, least })))
    },
};

impl Constraint for SentenceSimilarity {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([
            ("similar-by", Setting::Text(self.encoder.info().id.clone())),
            ("min-similarity", Setting::Number(self.least)),
        ])
    }

    fn allows_texts(&self, texts: &[&EditedTexts]) -> Result<Vec<bool>> {
        let (input, options) =
            (Input::pair("", ""), TaskOptions { truncate: true, ..TaskOptions::default() });
        let victim =
            Victim::new(self.encoder.as_ref(), &input, &options, Limits::default(), &Silent);
        let (mut pairs, mut owners) = (Vec::new(), Vec::new());
        for (i, texts) in texts.iter().enumerate() {
            for (old, new) in texts.originals().iter().zip(texts.render()) {
                if *old != new {
                    pairs.push(victim.encode(&[old.clone(), new])?);
                    owners.push(i);
                }
            }
        }
        let cosine = |_: usize, reading: Reading| match reading.prediction {
            Prediction::SentenceSimilarity(cosine) => cosine,
            _ => f64::NEG_INFINITY,
        };
        let mut allowed = vec![true; texts.len()];
        for (i, cosine) in owners.into_iter().zip(victim.evaluate(pairs, cosine)?) {
            allowed[i] &= cosine? >= self.least;
        }
        Ok(allowed)
    }
}
