//! Edits of texts, in the coordinates of the texts as they were given.

use std::ops::Range;
use std::sync::Arc;

/// Some bytes of a field's text replaced by others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edit {
    /// The field, an index into the input's fields in the order in which the model reads them.
    pub field: usize,
    /// The first byte in the original text.
    pub start: usize,
    /// One past the last; equal to `start` where something is inserted.
    pub end: usize,
    /// What stands there; empty where something is inserted.
    pub from: String,
    /// What comes in its place; empty where something is deleted.
    pub to: String,
}

impl Edit {
    /// Whether two edits cannot both be made: they share a byte, or insert at the same place.
    fn collides(&self, other: &Self) -> bool {
        self.field == other.field
            && (overlaps(self.start..self.end, other.start..other.end)
                || (self.start == self.end
                    && self.start == other.start
                    && other.start == other.end))
    }
}

/// Whether two ranges share a byte, or one of them is empty and strictly inside of the other.
fn overlaps(a: Range<usize>, b: Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Texts with edits that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EditedTexts {
    originals: Arc<[String]>,
    edits: Vec<Edit>,
}

impl EditedTexts {
    /// The texts as they were given, a field each.
    #[must_use]
    pub fn new(originals: Vec<String>) -> Self {
        Self { originals: originals.into(), edits: Vec::new() }
    }

    /// The texts without the edits.
    #[must_use]
    pub fn originals(&self) -> &[String] {
        &self.originals
    }

    /// The edits, by field and place.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// This with one edit more; none if it does not fit the text, or collides with another.
    #[must_use]
    pub fn with(&self, edit: Edit) -> Option<Self> {
        let text = self.originals.get(edit.field)?;
        if text.get(edit.start..edit.end)? != edit.from
            || self.edits.iter().any(|other| other.collides(&edit))
        {
            return None;
        }
        let mut edits = self.edits.clone();
        let at = edits.partition_point(|other| *other < edit);
        edits.insert(at, edit);
        Some(Self { originals: Arc::clone(&self.originals), edits })
    }

    /// This without the edit of that number.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut edited = self.clone();
        if index < edited.edits.len() {
            edited.edits.remove(index);
        }
        edited
    }

    /// The original texts with these edits instead.
    #[must_use]
    pub fn replaced(&self, edits: impl IntoIterator<Item = Edit>) -> Option<Self> {
        let plain = Self { originals: Arc::clone(&self.originals), edits: Vec::new() };
        edits.into_iter().try_fold(plain, |texts, edit| texts.with(edit))
    }

    /// The texts with the edits made.
    #[must_use]
    pub fn render(&self) -> Vec<String> {
        let mut out = Vec::with_capacity(self.originals.len());
        for (field, text) in self.originals.iter().enumerate() {
            let mut edited = String::with_capacity(text.len() + 16);
            let mut at = 0;
            for edit in self.edits.iter().filter(|edit| edit.field == field) {
                edited.push_str(&text[at..edit.start]);
                edited.push_str(&edit.to);
                at = edit.end;
            }
            edited.push_str(&text[at..]);
            out.push(edited);
        }
        out
    }

    /// The bytes of the original text that a range of the edited text is; none where it touches
    /// what was edited.
    #[must_use]
    pub fn to_original(&self, field: usize, range: Range<usize>) -> Option<Range<usize>> {
        // How much longer the edited text is so far.
        let (mut longer, mut shorter) = (0, 0);
        for edit in self.edits.iter().filter(|edit| edit.field == field) {
            let start = edit.start + longer - shorter;
            let end = start + edit.to.len();
            if overlaps(start..end, range.clone()) {
                return None;
            }
            if end > range.start {
                break;
            }
            longer += edit.to.len();
            shorter += edit.end - edit.start;
        }
        Some(range.start + shorter - longer..range.end + shorter - longer)
    }

    /// The bytes of the edited text that a range of the original text has become; none where an
    /// edit touches it.
    #[must_use]
    pub fn to_edited(&self, field: usize, range: Range<usize>) -> Option<Range<usize>> {
        let (mut longer, mut shorter) = (0, 0);
        for edit in self.edits.iter().filter(|edit| edit.field == field) {
            if overlaps(edit.start..edit.end, range.clone()) {
                return None;
            }
            if edit.end > range.start {
                break;
            }
            longer += edit.to.len();
            shorter += edit.end - edit.start;
        }
        Some(range.start + longer - shorter..range.end + longer - shorter)
    }
}

/// The edits that take words out of a text. `words` are apart from each other and in order, and
/// `removed` says which of them go.
///
/// One of the spaces around goes with them: the one behind, or at the end of the text the one
/// before. Where taking a word out would join two others into one, a space comes in its place.
#[must_use]
pub fn deletions(
    field: usize,
    text: &str,
    words: &[Range<usize>],
    removed: impl Fn(usize) -> bool,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut first = 0;
    while first < words.len() {
        if !removed(first) {
            first += 1;
            continue;
        }
        let mut last = first;
        while last + 1 < words.len() && removed(last + 1) {
            last += 1;
        }
        let (mut start, mut end) = (words[first].start, words[last].end);
        let before = text[..start].trim_end().len();
        let after = text.len() - text[end..].trim_start().len();
        let mut to = String::new();
        if after == text.len() {
            start = before;
            end = after;
        } else if before == 0 || before < start {
            end = after;
            if before == 0 {
                start = 0;
            }
        } else if after == end {
            // No space on either side: letters must not run together.
            let left = text[..start].chars().next_back();
            let right = text[end..].chars().next();
            let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_wide(c));
            if joins(left) && joins(right) {
                to.push(' ');
            }
        }
        let from = text[start..end].to_owned();
        edits.push(Edit { field, start, end, from, to });
        first = last + 1;
    }
    edits
}

/// Whether a character belongs to a script that puts no spaces between words.
pub(crate) fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..0x0f00 | 0x1780..0x1800 | 0x2e80..0xa000 | 0xf900..0xfb00 | 0xff00..0xfff0
        | 0x20000..0x32000)
}

#[cfg(test)]
mod tests;
