//! Where each word goes: cells in lines, in the order of the eye.
//!
//! Right-to-left text gets the part of Unicode's bidirectional algorithm that whole words need: a
//! line is laid out in its text's direction, and runs of words of the other direction are turned
//! around (UAX #9, rule L2 with two levels). Within a word the reader's text engine does the rest.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::{Font, metrics};

/// A word, or a part of one, that is set in one piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The number below it.
    pub(super) number: Option<String>,
    /// The score to shade it by; None for text without a score.
    pub(super) score: Option<f64>,
    pub(super) special: bool,
    /// Whether it is what the explanation is about.
    pub(super) focus: bool,
    pub(super) width: f64,
    /// Space before it, unless it begins a line.
    pub(super) gap: f64,
    pub(super) start: Start,
}

/// Whether a line begins at a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The text has a line break here.
    Must,
    /// There is a space, or a script that breaks anywhere.
    May,
    /// It is the middle of a word: only if the word is longer than a line.
    Hardly,
}

/// Breaks cells into lines of at most `room`; every cell fits into a line by itself.
pub(super) fn lines(cells: Vec<Cell>, room: f64) -> Vec<Vec<Cell>> {
    let mut lines: Vec<Vec<Cell>> = vec![Vec::new()];
    let mut used = 0.0;
    let mut cells = cells.into_iter().peekable();
    while let Some(first) = cells.next() {
        let must = first.start == Start::Must;
        let mut word = vec![first];
        while let Some(next) = cells.next_if(|cell| cell.start == Start::Hardly) {
            word.push(next);
        }
        let whole: f64 = word.iter().map(|cell| cell.gap + cell.width).sum();
        for (i, cell) in word.into_iter().enumerate() {
            let fits = used + cell.gap + cell.width <= room;
            let word_fits = i > 0 || used + whole <= room || whole > room;
            let empty = lines.last().is_none_or(Vec::is_empty);
            let here = empty || (fits && word_fits);
            if !here || (must && i == 0) {
                lines.push(Vec::new());
                used = 0.0;
            }
            if let Some(line) = lines.last_mut() {
                used += cell.width + if line.is_empty() { 0.0 } else { cell.gap };
                line.push(cell);
            }
        }
    }
    lines
}

/// Places the cells of a line from left to right; returns each with its left edge.
pub(super) fn place(line: &[Cell], room: f64, rtl: bool) -> Vec<(f64, &Cell)> {
    let order = visual_order(line, rtl);
    let mut x = 0.0;
    let mut placed = Vec::with_capacity(line.len());
    let mut before: Option<usize> = None;
    for i in order {
        // Between two neighbours is the gap that the later of them has in the text.
        x += match before {
            None => 0.0,
            Some(b) if b.abs_diff(i) == 1 => line[b.max(i)].gap,
            Some(_) => line.iter().map(|cell| cell.gap).fold(0.0, f64::max),
        };
        placed.push((x, &line[i]));
        x += line[i].width;
        before = Some(i);
    }
    let shift = if rtl { room - x } else { 0.0 };
    placed.into_iter().map(|(x, cell)| (x + shift, cell)).collect()
}

/// Returns the indices of the cells as they stand from left to right.
fn visual_order(line: &[Cell], rtl: bool) -> Vec<usize> {
    let against = |i: &usize| is_rtl(&line[*i].text).is_some_and(|cell| cell != rtl);
    let mut order: Vec<usize> = (0..line.len()).collect();
    for run in order.chunk_by_mut(|a, b| against(a) && against(b)) {
        run.reverse();
    }
    if rtl {
        order.reverse();
    }
    order
}

/// Returns the direction of the first letter that has one: true for right to left.
pub(super) fn is_rtl(text: &str) -> Option<bool> {
    text.chars().find(|c| c.is_alphabetic()).map(|c| {
        // Hebrew, Arabic and their neighbours, the presentation forms, the historic scripts.
        matches!(u32::from(c), 0x590..0x900 | 0xfb1d..0xfe00 | 0xfe70..0xff00
            | 0x10800..0x11000 | 0x1e800..0x1f000)
    })
}

/// Says whether a line may begin between two characters without a space.
pub(super) fn breaks_between(before: &str, after: &str) -> bool {
    let last = before.graphemes(true).next_back().unwrap_or("");
    let first = after.graphemes(true).next().unwrap_or("");
    let closing = "，。、！？；：」』）】》〉”’…,.!?;:)]}".contains(first);
    (last.width() > 1 || first.width() > 1) && !closing
}

/// Breaks a plain text at spaces, and in words too long for a line; `room` is in em.
pub(super) fn lines_of(text: &str, room: f64, font: Font) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        for (i, part) in parts(word, room, font).into_iter().enumerate() {
            let line = lines.last().map_or("", String::as_str);
            let joined =
                if i == 0 && !line.is_empty() { format!("{line} {part}") } else { part.clone() };
            match lines.last_mut() {
                Some(line)
                    if line.is_empty() || (i == 0 && metrics::width(&joined, font) <= room) =>
                {
                    *line = joined;
                }
                _ => lines.push(part),
            }
        }
    }
    lines
}

/// Cuts a word into parts that fit into `room` em; nearly always there is one.
pub(super) fn parts(word: &str, room: f64, font: Font) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0.0;
    for grapheme in word.graphemes(true) {
        let width = metrics::width(grapheme, font);
        if used + width > room && used > 0.0 {
            parts.push(String::new());
            used = 0.0;
        }
        used += width;
        if let Some(part) = parts.last_mut() {
            part.push_str(grapheme);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Cell> {
        let cell = |word: &str| Cell {
            text: word.into(),
            number: None,
            score: None,
            special: false,
            focus: false,
            width: word.chars().count() as f64,
            gap: 1.0,
            start: if word.starts_with('#') { Start::Hardly } else { Start::May },
        };
        text.split(' ').map(cell).collect()
    }

    fn read(text: &str, room: f64, rtl: bool) -> Vec<String> {
        let line = |line: Vec<Cell>| {
            let placed = place(&line, room, rtl);
            placed.iter().map(|(x, c)| format!("{x}:{}", c.text)).collect::<Vec<_>>().join(" ")
        };
        lines(cells(text), room).into_iter().map(line).collect()
    }

    #[test]
    fn breaks_between_words_not_within() {
        insta::assert_debug_snapshot!(read("a film ab #cd by", 9.0, false), @r#"
        [
            "0:a 2:film",
            "0:ab 3:#cd 7:by",
        ]
        "#);
    }

    #[test]
    fn breaks_within_a_word_longer_than_a_line() {
        insta::assert_debug_snapshot!(read("a abcd #efg #hij", 9.0, false), @r#"
        [
            "0:a 2:abcd",
            "0:#efg 5:#hij",
        ]
        "#);
    }

    #[test]
    fn right_to_left_lines_keep_left_to_right_runs() {
        insta::assert_debug_snapshot!(read("אבג the film דה", 20.0, true), @r#"
        [
            "5:דה 8:the 12:film 17:אבג",
        ]
        "#);
        insta::assert_debug_snapshot!(read("says אבג דה twice", 20.0, false), @r#"
        [
            "0:says 5:דה 8:אבג 12:twice",
        ]
        "#);
    }

    #[test]
    fn prose_is_broken_at_spaces_and_in_long_words() {
        insta::assert_debug_snapshot!(lines_of("nn nn nnnnnnnnnnnn n", 4.0, Font::Sans), @r#"
        [
            "nn nn",
            "nnnnnnn",
            "nnnnn n",
        ]
        "#);
    }
}
