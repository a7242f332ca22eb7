//! Misspellings: few letters change.

use super::{Constraint, ConstraintEntry, ConstraintInfo, Proposal};
use crate::method::{ParameterInfo, Setting, Settings};

/// Each edit changes at most so many characters.
#[derive(Debug, Clone, Copy)]
struct EditDistance {
    most: usize,
}

static INFO: ConstraintInfo = ConstraintInfo {
    id: "edit-distance",
    meaning: "Each new word is at most so many insertions, deletions and substitutions of \
              characters away from the old one.",
    citation: "Levenshtein 1966; Gao, Lanchantin, Soffa & Qi 2018, arXiv:1801.04354",
    parameters: &[ParameterInfo {
        name: "max-distance",
        value: "N",
        help: "Characters of a word that may change",
        default: "any number",
    }],
};

pub(super) static ENTRY: ConstraintEntry = ConstraintEntry {
    info: &INFO,
    build: |options, _| {
        if options.text("max-distance").is_none() {
            return Ok(None);
        }
        let most = options.get("max-distance", 1, "a count from 1", |&n: &usize| n >= 1)?;
        Ok(Some(Box::new(EditDistance { most })))
    },
};

impl Constraint for EditDistance {
    fn info(&self) -> &'static ConstraintInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("max-distance", Setting::Integer(self.most as u64))])
    }

    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        let (from, to) = (proposal.edit.from.trim(), proposal.edit.to.trim());
        distance(from, to, self.most) <= self.most
    }
}

/// The number of characters to insert, delete and substitute to make one text of another; any
/// number above `most` if it is more than that.
pub(crate) fn distance(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting", 9), 3);
        assert_eq!(distance("good", "god", 1), 1);
        assert_eq!(distance("", "abc", 9), 3);
        assert_eq!(distance("电影", "电视", 9), 1);
        assert!(distance("a", "abcdef", 2) > 2);
        assert_eq!(distance("same", "same", 0), 0);
    }
}
