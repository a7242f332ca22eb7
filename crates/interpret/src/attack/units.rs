//! The places of a text where something can be put.

use std::ops::Range;

use glossator_models::Encoding;

use super::case::Case;
use super::edits::{Edit, EditedTexts};
use super::vocabulary::{Entry, Form, Kind};
use crate::error::Result;

/// What is replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grain {
    /// Words, whether they are one token or several.
    #[default]
    Word,
    /// Single tokens; those that share bytes, as the pieces of one character do, are one.
    Token,
}

/// A place of a text: some tokens that stand for bytes of the original.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) field: usize,
    /// Its bytes in the original text, without space around them.
    pub(crate) original: Range<usize>,
    /// Its tokens, indices into the encoding.
    pub(crate) tokens: Vec<usize>,
    pub(crate) text: String,
    pub(crate) kind: Kind,
    form: Form,
    starts_word: bool,
}

/// The places of an edited text that may be changed: not those that were changed already, special
/// tokens, or what is protected.
pub(crate) fn units(
    case: &Case<'_>,
    encoding: &Encoding,
    texts: &EditedTexts,
    grain: Grain,
) -> Result<Vec<Unit>> {
    let vocabulary = case.vocabulary()?;
    let tokenizer = case.victim.model().tokenizer();
    let mut groups: Vec<(usize, Range<usize>, Vec<usize>)> = Vec::new();
    for (t, token) in encoding.tokens.iter().enumerate() {
        if token.special || token.start >= token.end || !case.fields.contains(&token.field) {
            continue;
        }
        let span = token.start..token.end;
        let joins = groups.last().is_some_and(|(field, before, tokens)| {
            let last = tokens.last().and_then(|&last| encoding.tokens[last].word);
            let same_word = token.word.is_some() && last == token.word;
            *field == token.field
                && match grain {
                    Grain::Word => same_word,
                    Grain::Token => span.start < before.end,
                }
        });
        match groups.last_mut() {
            Some((_, before, tokens)) if joins => {
                before.end = before.end.max(span.end);
                tokens.push(t);
            }
            _ => groups.push((token.field, span, vec![t])),
        }
    }
    let mut units = Vec::new();
    for (field, span, tokens) in groups {
        let Some(text) = encoding.fields.get(field).map(|field| field.text.as_str()) else {
            continue;
        };
        let first = &encoding.tokens[tokens[0]];
        let span = match (grain, first.word) {
            (Grain::Word, Some(word)) => encoding.fields[field].words[word].clone(),
            _ => trimmed(text, span),
        };
        // Written out in the text, a special token is what the task is about.
        let special = |&t: &usize| tokenizer.is_special(encoding.tokens[t].id);
        let unknown = tokenizer.unk_token();
        if span.is_empty()
            || tokens.iter().any(|t| special(t) && Some(encoding.tokens[*t].id) != unknown)
        {
            continue;
        }
        let Some(original) = texts.to_original(field, span.clone()) else { continue };
        if case.is_protected(field, original.clone()) {
            continue;
        }
        let before = tokens[0].checked_sub(1).map(|before| &encoding.tokens[before]);
        let starts_word = first.word.is_none()
            || before.is_none_or(|b| b.special || b.field != field || b.word != first.word);
        units.push(Unit {
            field,
            original,
            kind: Kind::of(&text[span.clone()]),
            text: text[span].to_owned(),
            form: vocabulary.form(first.id).unwrap_or(Form::Begins),
            tokens,
            starts_word,
        });
    }
    Ok(units)
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = text.get(span.clone()).unwrap_or_default();
    let start = span.start + (part.len() - part.trim_start().len());
    start..(span.start + part.trim_end().len()).max(start)
}

impl Unit {
    /// Whether a token of the vocabulary may stand here: like for like, and the beginning of a word
    /// stays one.
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        entry.kind == self.kind && entry.form == self.form && (entry.word || !self.starts_word)
    }

    /// Its text replaced by an entry's; none if that changes nothing.
    pub(crate) fn replaced(&self, entry: &Entry, cased: bool) -> Option<Edit> {
        let to = if cased { entry.text.clone() } else { like(&self.text, &entry.text) };
        let same =
            if cased { to == self.text } else { to.to_lowercase() == self.text.to_lowercase() };
        (!same).then(|| self.edit(to))
    }

    /// Its text replaced by any other.
    pub(crate) fn edit(&self, to: String) -> Edit {
        let Range { start, end } = self.original;
        Edit { field: self.field, start, end, from: self.text.clone(), to }
    }
}

/// A word with the capitals of another, for vocabularies that know none.
pub(crate) fn like(model: &str, word: &str) -> String {
    let mut letters = model.chars().filter(|c| c.is_alphabetic());
    let (first, second) = (letters.next(), letters.next());
    let is_upper = |c: Option<char>| c.is_some_and(char::is_uppercase);
    if is_upper(first) && is_upper(second) {
        return word.to_uppercase();
    }
    if !is_upper(first) {
        return word.to_owned();
    }
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_kept() {
        assert_eq!(like("Good", "bad"), "Bad");
        assert_eq!(like("GOOD", "bad"), "BAD");
        assert_eq!(like("good", "bad"), "bad");
        assert_eq!(like("A", "bad"), "Bad");
        assert_eq!(like("电", "影"), "影");
    }
}
