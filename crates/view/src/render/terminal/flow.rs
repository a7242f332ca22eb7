//! Running text in lines of a given width.
//!
//! Lines break at spaces, beside the wide characters of Chinese and Japanese, and anywhere in a
//! word that is longer than the line. Widths are counted in columns, per character as a reader sees
//! it (grapheme cluster).

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::style::{Line, Style};

/// Text of one style.
#[derive(Debug, Clone)]
pub(super) struct Span {
    text: String,
    style: Style,
}

impl Span {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// One character as a reader sees it.
#[derive(Debug, Clone, Copy)]
struct Atom<'a> {
    text: &'a str,
    width: usize,
    style: Style,
}

/// Marks that must not begin a line, and marks that must not end one.
const CLOSING: &str = "，。、！？；：」』）】》〉”’…,.!?;:)]}⟧";
const OPENING: &str = "「『（【《〈“‘([{⟦";

/// Breaks spans into lines of at most `width` columns, indented by `indent`, and by `hanging` more
/// after the first.
pub(super) fn wrap(spans: &[Span], width: usize, indent: usize, hanging: usize) -> Vec<Line> {
    let text: String = spans.iter().map(|span| span.text.as_str()).collect();
    let mut lines = Lines { width, indent, hanging, ..Lines::default() };
    let mut word: Vec<Atom<'_>> = Vec::new();
    for atom in atoms(&text, spans) {
        match atom.text {
            "\n" => {
                lines.word(&mut word);
                lines.end();
            }
            " " => {
                lines.word(&mut word);
                lines.spaces.push(atom);
            }
            _ => {
                if word.last().is_some_and(|last| may_break(*last, atom)) {
                    lines.word(&mut word);
                }
                word.push(atom);
            }
        }
    }
    lines.word(&mut word);
    lines.end();
    lines.done
}

fn may_break(before: Atom<'_>, after: Atom<'_>) -> bool {
    (before.width > 1 || after.width > 1)
        && !OPENING.contains(before.text)
        && !CLOSING.contains(after.text)
}

/// Splits the text into characters; one that spans two styles has that of its beginning.
fn atoms<'a>(text: &'a str, spans: &[Span]) -> Vec<Atom<'a>> {
    let mut atoms = Vec::with_capacity(text.len());
    let mut ends = spans.iter().scan(0, |end, span| {
        *end += span.text.len();
        Some((*end, span.style))
    });
    let mut current = ends.next();
    for (at, grapheme) in text.grapheme_indices(true) {
        while current.is_some_and(|(end, _)| end <= at) {
            current = ends.next();
        }
        let style = current.map_or(Style::Plain, |(_, style)| style);
        let width = grapheme.width();
        if width <= 4 {
            atoms.push(Atom { text: grapheme, width, style });
            continue;
        }
        // A base with a heap of spacing marks could fill any line: break it up.
        for (at, c) in grapheme.char_indices() {
            let text = &grapheme[at..at + c.len_utf8()];
            atoms.push(Atom { text, width: text.width(), style });
        }
    }
    atoms
}

/// The lines done so far and the one being filled.
#[derive(Default)]
struct Lines<'a> {
    width: usize,
    indent: usize,
    hanging: usize,
    done: Vec<Line>,
    line: Line,
    used: usize,
    spaces: Vec<Atom<'a>>,
}

impl<'a> Lines<'a> {
    /// Columns for text in the current line.
    fn room(&self) -> usize {
        self.width.saturating_sub(self.margin()).max(1)
    }

    fn margin(&self) -> usize {
        self.indent + if self.done.is_empty() { 0 } else { self.hanging }
    }

    /// Sets a word and the spaces before it, on a new line when it does not fit on this one.
    fn word(&mut self, word: &mut Vec<Atom<'a>>) {
        if word.is_empty() {
            return;
        }
        let width = |atoms: &[Atom<'_>]| atoms.iter().map(|atom| atom.width).sum::<usize>();
        let spaces = std::mem::take(&mut self.spaces);
        if self.used + width(&spaces) + width(word) <= self.room() {
            spaces.into_iter().for_each(|space| self.push(space));
        } else if self.used > 0 {
            // Half a line of a word too long for any is better than a ragged edge.
            let long = width(word) > self.room();
            if long && self.used + width(&spaces) < self.room() / 2 {
                spaces.into_iter().for_each(|space| self.push(space));
            } else {
                self.end();
            }
        }
        for atom in word.drain(..) {
            if self.used + atom.width > self.room() {
                self.end();
            }
            self.push(atom);
        }
    }

    fn push(&mut self, atom: Atom<'a>) {
        if self.line.is_empty() {
            let margin = " ".repeat(self.margin());
            self.line.push((margin, Style::Plain));
        }
        self.used += atom.width;
        match self.line.last_mut() {
            Some((text, style)) if *style == atom.style => text.push_str(atom.text),
            _ => self.line.push((atom.text.to_owned(), atom.style)),
        }
    }

    fn end(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        self.used = 0;
        self.spaces.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize, indent: usize, hanging: usize) -> String {
        let spans: Vec<_> = text.split_inclusive(' ').map(|t| Span::new(t, Style::Plain)).collect();
        let line = |line: Line| line.into_iter().map(|(text, _)| text).collect::<String>() + "|";
        wrap(&spans, width, indent, hanging).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn breaks_at_spaces_and_keeps_line_breaks() {
        insta::assert_snapshot!(wrapped("a touching film\n\nthat moves", 12, 2, 2), @"
          a touching|
            film|
        |
            that|
            moves|
        ");
    }

    #[test]
    fn breaks_beside_wide_characters_but_not_before_a_comma() {
        insta::assert_snapshot!(wrapped("这部电影很感人，但是太长了。", 10, 0, 0), @"
        这部电影很|
        感人，但是|
        太长了。|
        ");
    }

    #[test]
    fn breaks_a_word_that_fits_on_no_line() {
        insta::assert_snapshot!(wrapped("see https://example.org/a/b now", 10, 0, 2), @"
        see https:|
          //exampl|
          e.org/a/|
          b now|
        ");
    }

    #[test]
    fn no_text_is_one_empty_line() {
        assert_eq!(wrapped("", 10, 2, 2), "|");
    }
}
