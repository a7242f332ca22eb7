//! Nouns stay nouns.

use glossator_models::{Model, Task};

use super::{Constraint, ConstraintEntry, ConstraintInfo, EditedTexts, new_place, word_around};
use crate::attack::victim::{Limits, Reading, Victim};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};
use crate::prediction::largest;
use crate::progress::Silent;
use crate::tasks::{Input, TaskOptions};

/// A tagger gives the new word the tag of the old one, each in its own sentence.
struct PartOfSpeech {
    tagger: Box<dyn Model>,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "part-of-speech",
    meaning: "A tagger gives each new word the tag that it gave the old one.",
    citation: "Ebrahimi, Rao, Lowd & Dou 2018, arXiv:1712.06751; Jin, Jin, Zhou & Szolovits 2020, \
               arXiv:1907.11932",
    parameters: &[ParameterInfo {
        name: "tagger",
        value: "MODEL",
        help: "A token classifier whose labels are parts of speech (universal tags, or those of \
               the Penn Treebank)",
        default: "none",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, open| {
        let Some(name) = options.text("tagger") else { return Ok(None) };
        let tagger = open(name)?;
        let info = tagger.info();
        if info.task != Task::TokenClassification {
            return Err(Error::Input {
                what: format!(
                    "--tagger {name}: expected a token classifier, got {}",
                    info.task.id()
                ),
                hint: "give a model that tags parts of speech".to_owned(),
            });
        }
        const KNOWN: [&str; 6] = ["NOUN", "VERB", "ADJ", "NN", "VB", "JJ"];
        if !info.labels.names.iter().any(|label| KNOWN.contains(&label.as_str())) {
            let names: Vec<_> = info.labels.names.iter().take(8).map(String::as_str).collect();
            return Err(Error::Input {
                what: format!(
                    "--tagger {name}: expected labels such as NOUN or NN, got {}",
                    names.join(", ")
                ),
                hint: "give a model that tags parts of speech".to_owned(),
            });
        }
        Ok(Some(Box::new(PartOfSpeech { tagger })))
    },
};

/// The tag of the first token in a part of a text.
fn tag(reading: &Reading, start: usize, end: usize) -> Option<usize> {
    let (window, rows) = (reading.windows.first()?, reading.rows.first()?);
    let mut tokens = window.tokens.iter().enumerate();
    let inside =
        |token: &glossator_models::Token| !token.special && token.start < end && start < token.end;
    let (t, _) = tokens.find(|(_, token)| inside(token))?;
    Some(largest(rows.get(t)?.iter().copied()))
}

impl Constraint for PartOfSpeech {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("tagger", Setting::Text(self.tagger.info().id.clone()))])
    }

    fn allows_texts(&self, texts: &[&EditedTexts]) -> Result<Vec<bool>> {
        let (input, options) =
            (Input::default(), TaskOptions { truncate: true, ..TaskOptions::default() });
        let victim =
            Victim::new(self.tagger.as_ref(), &input, &options, Limits::default(), &Silent);
        // Each field is a text of its own for the tagger; the original comes once for all.
        let fields = texts.first().map_or(0, |texts| texts.originals().len());
        let mut allowed = vec![true; texts.len()];
        for field in 0..fields {
            let touched: Vec<usize> = (0..texts.len())
                .filter(|&i| allowed[i] && texts[i].edits().iter().any(|e| e.field == field))
                .collect();
            if touched.is_empty() {
                continue;
            }
            let mut all = vec![victim.encode(&[texts[0].originals()[field].clone()])?];
            for &i in &touched {
                all.push(victim.encode(&[texts[i].render().swap_remove(field)])?);
            }
            let read = victim.evaluate(all, |_, reading| reading)?;
            let mut read = read.into_iter();
            let Some(original) = read.next().transpose()? else { continue };
            for (&i, reading) in touched.iter().zip(read) {
                let reading = reading?;
                let rendered = texts[i].render();
                let same = texts[i].edits().iter().filter(|edit| edit.field == field).all(|edit| {
                    let place = new_place(texts[i], edit);
                    if edit.from.trim().is_empty() || place.is_empty() {
                        return true;
                    }
                    let old = word_around(&texts[i].originals()[field], edit.start..edit.end);
                    let new = word_around(&rendered[field], place);
                    tag(&original, old.start, old.end) == tag(&reading, new.start, new.end)
                });
                allowed[i] = same;
            }
        }
        Ok(allowed)
    }
}
