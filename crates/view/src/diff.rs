//! A text with its edits: what stays, what goes, what comes.

use crate::wire::Edit;

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// Splits a field's text at its edits, which have been checked. Space at the ends of what goes or
/// comes is not part of it.
pub(crate) fn parts<'a>(field: usize, text: &'a str, edits: &'a [Edit]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut at = 0;
    let same = |text: &'a str, parts: &mut Vec<Part<'a>>| {
        if !text.is_empty() {
            parts.push(Part::Same(text));
        }
    };
    for edit in edits.iter().filter(|edit| edit.field == field) {
        same(text.get(at..edit.start).unwrap_or_default(), &mut parts);
        let core = edit.from.trim();
        let lead = edit.from.len() - edit.from.trim_start().len();
        let (before, after) = (&edit.from[..lead], &edit.from[lead + core.len()..]);
        let new = edit.to.trim();
        same(before, &mut parts);
        if !core.is_empty() {
            parts.push(Part::Gone(core));
        }
        if before.is_empty() || core.is_empty() {
            let lead = edit.to.len() - edit.to.trim_start().len();
            same(if new.is_empty() { "" } else { &edit.to[..lead] }, &mut parts);
        }
        if !new.is_empty() {
            parts.push(Part::New(new));
        }
        same(after, &mut parts);
        at = edit.end;
    }
    same(text.get(at..).unwrap_or_default(), &mut parts);
    parts
}

#[cfg(test)]
mod tests {
    use super::Part::{Gone, New, Same};
    use super::*;

    #[test]
    fn a_text_is_split_at_its_edits() {
        let edits = [Edit::new(0, 2, "good", "bad"), Edit::new(0, 6, "", " old")];
        let all = parts(0, "a good film", &edits);
        let expected = [Same("a "), Gone("good"), New("bad"), Same(" "), New("old"), Same(" film")];
        assert_eq!(all, expected);
        assert_eq!(parts(1, "a", &edits), [Same("a")]);
        let gone = [Edit::new(0, 0, "a good ", "")];
        assert_eq!(parts(0, "a good film", &gone), [Gone("a good"), Same(" "), Same("film")]);
    }
}
