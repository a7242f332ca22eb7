//! Words that stay.

use std::collections::BTreeSet;

use super::{Constraint, ConstraintEntry, ConstraintInfo, Proposal, word_around};
use crate::method::{ParameterInfo, Setting, Settings};

/// These words are never changed.
#[derive(Debug, Clone, Default)]
struct Protected {
    words: BTreeSet<String>,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "protected-words",
    meaning: "These words stay as they are, wherever they stand.",
    citation: "the ignore list of AllenNLP Interpret, arXiv:1909.09251",
    parameters: &[ParameterInfo {
        name: "protect",
        value: "WORDS",
        help: "Words that must stay, with commas between them, in any letter case",
        default: "none",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, _| {
        let Some(list) = options.text("protect") else { return Ok(None) };
        let words = list.split(',').map(|word| word.trim().to_lowercase());
        let words = words.filter(|word| !word.is_empty()).collect();
        Ok(Some(Box::new(Protected { words })))
    },
};

impl Constraint for Protected {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        Settings::from([("protect", Setting::Text(words.join(",")))])
    }

    fn protects(&self, word: &str) -> bool {
        self.words.contains(&word.trim().to_lowercase())
    }

    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        let edit = proposal.edit;
        if edit.from.trim().is_empty() {
            return true;
        }
        let word = word_around(proposal.original, edit.start..edit.end);
        !self.protects(&edit.from) && !self.protects(&proposal.original[word])
    }
}
