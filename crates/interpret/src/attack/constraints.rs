//! What an edited text must still be. Constraints combine: a text has to satisfy all that are on.
//!
//! A new one is one file here and one line in [`CONSTRAINTS`]: help, flags and documentation follow.

mod dictionary;
mod edit_distance;
mod embedding_cosine;
mod masked_lm;
mod part_of_speech;
mod protected;
mod sentence_similarity;
mod wordnet;

use std::ops::Range;

use glossator_models::{Model, Tokenizer};

use super::edits::{Edit, EditedTexts, is_wide};
use super::vocabulary::Vocabulary;
use crate::error::Result;
use crate::method::{ParameterInfo, Settings};
use crate::options::Options;

pub use self::wordnet::WordNet;

/// Every constraint.
pub static CONSTRAINTS: &[&ConstraintEntry] = &[
    &protected::ENTRY,
    &edit_distance::ENTRY,
    &embedding_cosine::ENTRY,
    &dictionary::ENTRY,
    &wordnet::ENTRY,
    &part_of_speech::ENTRY,
    &masked_lm::ENTRY,
    &sentence_similarity::ENTRY,
];

/// Opens a model that a constraint needs, by what the user called it.
pub type Opener<'a> = dyn Fn(&str) -> Result<Box<dyn Model>> + 'a;

/// Makes a constraint of what a user gave; none if it is not asked for.
pub type MakeConstraint = fn(&Options, &Opener<'_>) -> Result<Option<Box<dyn Constraint>>>;

/// A constraint in the list.
pub struct ConstraintEntry {
    /// What it is.
    pub info: &'static ConstraintInfo,
    /// Makes it.
    pub build: MakeConstraint,
}

/// What a constraint is, for help and documentation.
#[derive(Debug)]
pub struct ConstraintInfo {
    /// The name in the wire format.
    pub id: &'static str,
    /// What it demands, in a sentence.
    pub meaning: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// The settings; the first switches it on.
    pub parameters: &'static [ParameterInfo],
}

/// An edit that is thought of, with what is known of it.
#[derive(Clone, Copy)]
pub struct Proposal<'a> {
    /// The edit.
    pub edit: &'a Edit,
    /// The original text of its field.
    pub original: &'a str,
    /// What the model can be told.
    pub vocabulary: &'a Vocabulary,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The mean embedding of the tokens that are replaced; empty where something is inserted.
    pub vector: &'a [f32],
    /// The new text's place in the vocabulary, where it is one token.
    pub place: Option<usize>,
}

/// What an edited text must still be.
pub trait Constraint: Send + Sync {
    /// What the constraint is.
    fn info(&self) -> &'static ConstraintInfo;

    /// Every setting with its value, for the record.
    fn settings(&self) -> Settings;

    /// Whether a word of the original must stay as it is.
    fn protects(&self, word: &str) -> bool {
        let _ = word;
        false
    }

    /// Whether an edit may be made, as far as that can be told without running a model.
    fn allows(&self, proposal: &Proposal<'_>) -> bool {
        let _ = proposal;
        true
    }

    /// Whether each of some edited texts is still what it must be.
    ///
    /// # Errors
    /// If a model that has to judge cannot.
    fn allows_texts(&self, texts: &[&EditedTexts]) -> Result<Vec<bool>> {
        Ok(vec![true; texts.len()])
    }
}

/// Makes the constraints that a user asked for.
///
/// # Errors
/// If a setting has a value that it cannot have, or a model or file cannot be read.
pub fn build(options: &Options, open: &Opener<'_>) -> Result<Vec<Box<dyn Constraint>>> {
    let built = CONSTRAINTS.iter().map(|entry| (entry.build)(options, open));
    built.filter_map(Result::transpose).collect()
}

/// The whole word around a range of a text: as far as letters, digits and apostrophes reach. Where
/// words are not divided by spaces it is the range itself.
pub(crate) fn word_around(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = |c: char| (c.is_alphanumeric() && !is_wide(c)) || matches!(c, '\'' | '’');
    let own = text.get(range.clone()).unwrap_or_default();
    if own.is_empty() || !own.chars().any(inner) {
        return range;
    }
    let before = text[..range.start].chars().rev().take_while(|&c| inner(c));
    let after = text[range.end..].chars().take_while(|&c| inner(c));
    let before: usize = before.map(char::len_utf8).sum();
    let after: usize = after.map(char::len_utf8).sum();
    range.start - before..range.end + after
}

/// The words of edited texts that edits made, each with the word that stood there.
pub(crate) fn changed_words(texts: &EditedTexts) -> Vec<(String, String)> {
    let rendered = texts.render();
    let mut changed = Vec::new();
    for edit in texts.edits() {
        let (old, new) = (&texts.originals()[edit.field], &rendered[edit.field]);
        let place = new_place(texts, edit);
        if edit.to.trim().is_empty() || place.is_empty() {
            continue;
        }
        let from = if edit.from.trim().is_empty() {
            String::new()
        } else {
            old[word_around(old, edit.start..edit.end)].trim().to_owned()
        };
        changed.push((from, new[word_around(new, place)].trim().to_owned()));
    }
    changed
}

/// Where an edit's new text stands in the edited text, without space around it.
pub(crate) fn new_place(texts: &EditedTexts, edit: &Edit) -> Range<usize> {
    let (mut longer, mut shorter) = (0, 0);
    for other in texts.edits().iter().filter(|other| other.field == edit.field) {
        if other == edit {
            break;
        }
        longer += other.to.len();
        shorter += other.end - other.start;
    }
    let start = edit.start + longer - shorter;
    let lead = edit.to.len() - edit.to.trim_start().len();
    start + lead..start + lead + edit.to.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_around() {
        assert_eq!(word_around("don't like", 0..3), 0..5);
        assert_eq!(word_around("电影很好", 3..6), 3..6);
        assert_eq!(word_around("a, b", 1..2), 1..2);
        assert_eq!(word_around("unlikely", 2..6), 0..8);
    }

    #[test]
    fn changed_words_are_whole() {
        let texts = EditedTexts::new(vec!["a likely film".to_owned()]);
        let edit = Edit { field: 0, start: 2, end: 6, from: "like".into(), to: "love".into() };
        let texts = texts.with(edit).unwrap();
        assert_eq!(changed_words(&texts), [("likely".to_owned(), "lovely".to_owned())]);
        let insert = Edit { field: 0, start: 8, end: 8, from: String::new(), to: " old".into() };
        let texts = texts.with(insert).unwrap();
        assert_eq!(changed_words(&texts)[1], (String::new(), "old".to_owned()));
    }
}
