//! The grid of written tokens: which of the tokens before each spoke for it.

use unicode_width::UnicodeWidthStr;

use super::style::{Line, Style};
use crate::grid::Grid;
use crate::render::summary;
use crate::text::{Marks, cut, label, visible};
use crate::wire::Document;

/// Columns of a row's name at most.
const NAME: usize = 12;
/// Columns of a token above its numbers at most.
const HEAD: usize = 8;
/// So many tokens are shown; of more, the strongest. All of them would be pages of small numbers.
const MOST: usize = 40;
const INDENT: usize = 2;
const GAP: usize = 1;

/// Lays out the grid in at most `width` columns, in blocks below each other.
pub(super) fn lines(grid: &Grid<'_>, document: &Document, marks: Marks, width: usize) -> Vec<Line> {
    let shown = grid.strongest(MOST);
    let named = |text: &str| cut(&label(text, marks), NAME.min(width / 4), marks).into_owned();
    let names: Vec<String> = grid.rows.iter().map(|row| named(row.text)).collect();
    let name = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let columns: Vec<Column> = shown.iter().map(|&c| Column::new(grid, c, marks)).collect();
    let quantity = grid
        .rows
        .first()
        .map_or_else(String::new, |row| summary::quantity(&row.explanation.target, marks));
    let mut title = format!("each written token's {quantity} by the tokens before it");
    if shown.len() < grid.columns.len() {
        title += &format!(" (the strongest {} of {})", shown.len(), grid.columns.len());
    }
    let mut lines: Vec<Line> =
        super::wrap(&[super::Span::new(title, Style::Dim)], width, 0, INDENT);
    let several = document.input.fields.len() > 1;
    for block in blocks(&columns, width.saturating_sub(INDENT + name)) {
        lines.push(Line::new());
        if several {
            lines.push(fields(block, document, INDENT + name, width, marks));
        }
        let mut head = vec![(" ".repeat(INDENT + name), Style::Plain)];
        for column in block {
            let style = if column.special { Style::Dim } else { Style::Plain };
            head.push((right(&column.head, column.width), style));
        }
        lines.push(head);
        for (r, row) in names.iter().enumerate() {
            let pad = " ".repeat(name - row.width());
            let mut line = vec![(format!("{:INDENT$}{row}{pad}", ""), Style::Plain)];
            for column in block {
                let (text, score) = &column.cells[r];
                let style = score.map_or(Style::Dim, |score| Style::heat(score, &grid.scale));
                // The colour lies under the number, not under the space before it.
                let space = column.width - text.width();
                line.push((" ".repeat(space), Style::Plain));
                line.push((text.clone(), style));
            }
            lines.push(line);
        }
    }
    lines
}

/// A token with the numbers below it.
struct Column {
    head: String,
    /// Each with the score to colour it by.
    cells: Vec<(String, Option<f64>)>,
    width: usize,
    field: usize,
    special: bool,
}

impl Column {
    fn new(grid: &Grid<'_>, c: usize, marks: Marks) -> Self {
        let column = &grid.columns[c];
        let head = cut(&label(column.text, marks), HEAD, marks).into_owned();
        let cell = |score: Option<f64>| match score {
            Some(score) => (grid.scale.short(score), Some(score)),
            None => (marks.pick("·", ".").to_owned(), None),
        };
        let cells: Vec<_> = grid.rows.iter().map(|row| cell(row.scores[c])).collect();
        let widest = cells.iter().map(|(text, _)| text.width()).chain([head.width()]).max();
        let width = GAP + widest.unwrap_or(0);
        Self { head, cells, width, field: column.field, special: column.special }
    }
}

/// As many columns side by side as there is room for.
fn blocks(columns: &[Column], room: usize) -> Vec<&[Column]> {
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < columns.len() {
        let mut used = 0;
        let fits = columns[start..].iter().take_while(|column| {
            used += column.width;
            used <= room
        });
        let count = fits.count().max(1);
        blocks.push(&columns[start..start + count]);
        start += count;
    }
    blocks
}

/// The names of the fields, each above its first column.
fn fields(
    block: &[Column],
    document: &Document,
    indent: usize,
    width: usize,
    marks: Marks,
) -> Line {
    let mut text = " ".repeat(indent);
    let mut at = indent;
    let mut last = None;
    for column in block {
        if last != Some(column.field) {
            let begins = at + GAP;
            // A name that would run into the next gives way.
            if text.width() < begins {
                text += &" ".repeat(begins - text.width());
                let name = document.input.fields.get(column.field).map_or("", |f| &f.name);
                let room = width.saturating_sub(begins);
                text += &cut(&visible(name, marks), room, marks);
            }
            last = Some(column.field);
        }
        at += column.width;
    }
    vec![(text, Style::Dim)]
}

fn right(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.width())) + text
}
