//! Words that a masked language model would put there too.

use glossator_models::{Model, Task};

use super::{Constraint, ConstraintEntry, ConstraintInfo, EditedTexts, new_place};
use crate::attack::victim::{Limits, Victim};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};
use crate::progress::Silent;
use crate::tasks::{Input, TaskOptions};

/// Each new word is among the first that a masked language model has for its place.
struct MaskedLm {
    model: Box<dyn Model>,
    mask: String,
    rank: usize,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "masked-lm",
    meaning: "A masked language model that reads the edited text has each new word among its \
              first choices for the place; of a word of several tokens, the first of them.",
    citation: "Garg & Ramakrishnan 2020, arXiv:2004.01970; Li et al. 2020, arXiv:2004.09984",
    parameters: &[
        ParameterInfo {
            name: "plausible-by",
            value: "MODEL",
            help: "A masked language model that judges whether a word is plausible",
            default: "none",
        },
        ParameterInfo {
            name: "plausible-rank",
            value: "N",
            help: "How far down among its choices a word may stand",
            default: "100",
        },
    ],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, open| {
        let valid = |&n: &usize| n >= 1;
        let rank = options.get("plausible-rank", 100, "a count from 1", valid)?;
        let Some(name) = options.text("plausible-by") else {
            return match options.text("plausible-rank") {
                None => Ok(None),
                Some(_) => Err(Error::Conflict {
                    what: "--plausible-rank without --plausible-by; give the model too".to_owned(),
                }),
            };
        };
        let model = open(name)?;
        let task = model.info().task;
        let tokenizer = model.tokenizer();
        let mask = tokenizer.mask_token().and_then(|id| tokenizer.id_to_token(id));
        let Some(mask) = mask.filter(|_| task == Task::MaskedLm) else {
            return Err(Error::Input {
                what: format!(
                    "--plausible-by {name}: expected a masked language model, got {}",
                    task.id()
                ),
                hint: "give a model that fills masks".to_owned(),
            });
        };
        Ok(Some(Box::new(MaskedLm { model, mask, rank })))
    },
};

impl Constraint for MaskedLm {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([
            ("plausible-by", Setting::Text(self.model.info().id.clone())),
            ("plausible-rank", Setting::Integer(self.rank as u64)),
        ])
    }

    fn allows_texts(&self, texts: &[&EditedTexts]) -> Result<Vec<bool>> {
        let (input, options) =
            (Input::default(), TaskOptions { truncate: true, ..TaskOptions::default() });
        let victim = Victim::new(self.model.as_ref(), &input, &options, Limits::default(), &Silent);
        let tokenizer = self.model.tokenizer();
        let mut allowed = vec![true; texts.len()];
        let (mut asked, mut masked) = (Vec::new(), Vec::new());
        for (i, texts) in texts.iter().enumerate() {
            let rendered = texts.render();
            for edit in texts.edits() {
                let place = new_place(texts, edit);
                if place.is_empty() {
                    continue;
                }
                let text = &rendered[edit.field];
                let word = format!(" {}", &text[place.clone()]);
                let Some(&id) = tokenizer.ids_of(&word)?.first() else {
                    allowed[i] = false;
                    continue;
                };
                let text = format!("{}{}{}", &text[..place.start], self.mask, &text[place.end..]);
                match victim.encode(&[text]) {
                    Ok(encoded) => {
                        masked.push(encoded);
                        asked.push((i, id));
                    }
                    // The mask was cut off with the end of a long text.
                    Err(_) => allowed[i] = false,
                }
            }
        }
        let rank = |item: usize, reading: crate::attack::victim::Reading| -> Option<usize> {
            let row = reading.rows.first()?.first()?;
            let own = *row.get(asked.get(item)?.1 as usize)?;
            Some(row.iter().filter(|&&other| other > own).count())
        };
        let ranks = victim.evaluate(masked, rank)?;
        for (&(i, _), rank) in asked.iter().zip(ranks) {
            allowed[i] &= rank?.is_some_and(|rank| rank < self.rank);
        }
        Ok(allowed)
    }
}
