//! Words that there are.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use super::{Constraint, ConstraintEntry, ConstraintInfo, EditedTexts, Proposal, changed_words};
use crate::error::{Error, Result};
use crate::method::{ParameterInfo, Setting, Settings};

/// Each new word is in a list.
#[derive(Debug, Clone)]
struct Dictionary {
    name: String,
    /// None: the words that are one token of the vocabulary.
    words: Option<HashSet<String>>,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "dictionary",
    meaning: "Each new word is in a list of words: those that are one token of the model's \
              vocabulary, or a file's.",
    citation: "Pruthi, Dhingra & Lipton 2019, arXiv:1905.11268",
    parameters: &[ParameterInfo {
        name: "dictionary",
        value: "LIST",
        help: "vocabulary, or a file with a word on each line, in any letter case",
        default: "none",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, _| {
        let Some(name) = options.text("dictionary") else { return Ok(None) };
        let words = if name == "vocabulary" { None } else { Some(read(Path::new(name))?) };
        Ok(Some(Box::new(Dictionary { name: name.to_owned(), words })))
    },
};

/// The largest list of words that is read.
const MOST: u64 = 64 << 20;

fn read(path: &Path) -> Result<HashSet<String>> {
    let bad = |what: String| Error::Input {
        what: format!("--dictionary {}: {what}", path.display()),
        hint: "give vocabulary, or a text file with a word on each line".to_owned(),
    };
    let file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MOST {
        return Err(bad(format!("longer than {MOST} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        bad(format!("not UTF-8 after byte {}", error.utf8_error().valid_up_to()))
    })?;
    let words: HashSet<String> =
        text.lines().map(|line| line.trim().to_lowercase()).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        return Err(bad("no words".to_owned()));
    }
    Ok(words)
}

impl Constraint for Dictionary {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("dictionary", Setting::Text(self.name.clone()))])
    }

    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        if self.words.is_some() || proposal.edit.to.trim().is_empty() {
            return true;
        }
        let Some(place) = proposal.place else {
            let text = format!(" {}", proposal.edit.to.trim());
            return proposal.tokenizer.ids_of(&text).is_ok_and(
                |ids| matches!(ids.as_slice(), [id] if proposal.vocabulary.place(*id).is_some()),
            );
        };
        let entry = proposal.vocabulary.entries().get(place);
        // A piece put into the middle of a word makes a word that is in no vocabulary.
        let edit = proposal.edit;
        let whole = super::word_around(proposal.original, edit.start..edit.end);
        entry.is_some_and(|entry| entry.word) && whole == (edit.start..edit.end)
    }

    fn allows_texts(&self, texts: &[&EditedTexts]) -> Result<Vec<bool>> {
        let Some(words) = &self.words else { return Ok(vec![true; texts.len()]) };
        let known = |texts: &&EditedTexts| {
            changed_words(texts).iter().all(|(_, word)| words.contains(&word.to_lowercase()))
        };
        Ok(texts.iter().map(known).collect())
    }
}
