//! One token a line: CoNLL's columns, and those of Universal Dependencies.

use std::path::Path;

use super::columns::{number, renamed, short};
use super::lines::{Line, Lines};
use super::{Content, Example, Part, Place, ReadOptions, Tagged};
use crate::error::{Error, Result};

/// A sentence of more tokens than this is a file without blank lines.
const MAX_TOKENS: usize = 1 << 20;

/// The columns of Universal Dependencies (CoNLL-U).
const UNIVERSAL: [&str; 10] =
    ["ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"];

/// Which fields of a line are read.
#[derive(Clone, Copy)]
struct Fields {
    token: usize,
    /// `None`: the last.
    tag: Option<usize>,
    universal: bool,
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Part> {
    let column = |given: &Option<String>, flag: &str| match given.as_deref() {
        None | Some("last") => Ok(None),
        Some(column) => number(column).map(|n| Some(n - 1)).ok_or_else(|| {
            let what = format!("{flag}: expected the number of a column, got {column:?}");
            Error::data(path.display(), what, "columns of CoNLL have no names; count from 1")
        }),
    };
    let token = column(&options.columns.tokens, "--tokens")?.unwrap_or(0);
    let tag = column(&options.columns.tags, "--tags")?;
    sentences(path, Fields { token, tag, universal: false }, options)
}

pub(super) fn read_universal(path: &Path, options: &ReadOptions) -> Result<Part> {
    let column = |given: &Option<String>, flag: &str, usual: usize| {
        let Some(column) = given else { return Ok(usual) };
        let named = UNIVERSAL.iter().position(|name| name.eq_ignore_ascii_case(column));
        let numbered = || number(column).map(|n| n - 1).filter(|&n| n < UNIVERSAL.len());
        named.or_else(numbered).ok_or_else(|| {
            let what = format!("{flag}: no column {column:?}");
            let hint = format!("columns are {}", UNIVERSAL.join(", "));
            Error::data(path.display(), what, hint)
        })
    };
    let token = column(&options.columns.tokens, "--tokens", 1)?;
    let tag = Some(column(&options.columns.tags, "--tags", 3)?);
    sentences(path, Fields { token, tag, universal: true }, options)
}

fn sentences(path: &Path, fields: Fields, options: &ReadOptions) -> Result<Part> {
    let (mut lines, options) = (Lines::open(path, false)?, options.clone());
    Ok(Box::new(std::iter::from_fn(move || {
        let mut sentence = Sentence::default();
        for line in lines.by_ref() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            if line.text.trim().is_empty() {
                if sentence.words.is_empty() {
                    continue;
                }
                break;
            }
            if let Err(error) = sentence.push(&line, fields, &options) {
                return Some(Err(error));
            }
        }
        sentence.finish()
    })))
}

#[derive(Default)]
struct Sentence {
    place: Option<Place>,
    words: Vec<String>,
    tags: Vec<String>,
    spaced: Vec<Option<bool>>,
}

impl Sentence {
    fn push(&mut self, line: &Line, at: Fields, options: &ReadOptions) -> Result<()> {
        let text = &line.text;
        if (at.universal && text.starts_with('#')) || text.starts_with("-DOCSTART-") {
            return Ok(());
        }
        let fields: Vec<&str> = if text.contains('\t') {
            text.split('\t').collect()
        } else {
            text.split_whitespace().collect()
        };
        let fail = |what: String, hint: &str| Err(Error::data(&line.place, what, hint));
        if at.universal {
            if fields.len() != UNIVERSAL.len() {
                return fail(
                    format!("expected 10 columns between tabs, got {}", fields.len()),
                    "CoNLL-U has the columns ID to MISC; others are --data-format conll",
                );
            }
            // Ranges of words that are written together, and words that are not written.
            if fields[0].contains(['-', '.']) {
                return Ok(());
            }
        }
        let tag = at.tag.unwrap_or(fields.len() - 1);
        let needed = at.token.max(tag).max(1) + 1;
        if fields.len() < needed {
            return fail(
                format!("expected {needed} columns, got {}: {:?}", fields.len(), short(text)),
                "put token and tag on each line, and a blank line between sentences; --tokens and \
                 --tags name the columns",
            );
        }
        let (word, tag) = (fields[at.token], fields[tag].trim());
        if word.trim().is_empty() || tag.is_empty() {
            return fail("the token or its tag is empty".to_owned(), "give each token a tag");
        }
        if self.words.len() >= MAX_TOKENS {
            return fail(
                format!("the sentence has more than {MAX_TOKENS} tokens"),
                "put a blank line between sentences",
            );
        }
        let misc = if at.universal { fields[9] } else { "" };
        let apart = !misc.split('|').any(|note| note == "SpaceAfter=No");
        self.place.get_or_insert_with(|| line.place.clone());
        self.words.push(word.to_owned());
        self.tags.push(renamed(tag, options).to_owned());
        self.spaced.push(at.universal.then_some(apart));
        Ok(())
    }

    fn finish(self) -> Option<Result<Example>> {
        let place = self.place?;
        let tagged = Tagged::spaced(self.words, self.tags, &self.spaced, &place);
        Some(tagged.map(|tagged| Example { place, content: Content::Tagged(tagged) }))
    }
}
