//! The grid of written tokens in the picture.

use super::explanation::{SMALL, shade};
use super::{Canvas, INK, MARGIN, MARKS, QUIET, metrics};
use crate::grid::Grid;
use crate::palette::ink;
use crate::render::markup::escape;
use crate::render::summary;
use crate::text::{label, visible};
use crate::wire::Document;

/// Size of tokens and numbers, in pixels.
const TOKEN: f64 = 10.0;
const NUMBER: f64 = 9.0;
/// The size of a cell, and the room for a row's name.
const CELL: (f64, f64) = (44.0, 18.0);
const NAME: f64 = 84.0;

/// Draws the grid, in blocks below each other.
pub(super) fn draw(grid: &Grid<'_>, document: &Document, canvas: &mut Canvas) {
    let quantity = grid
        .rows
        .first()
        .map_or_else(String::new, |row| summary::quantity(&row.explanation.target, MARKS));
    let title = format!("each written token's {quantity} by the tokens before it");
    canvas.skip(6.0);
    canvas.prose(&title, SMALL, QUIET, false);
    let across = ((canvas.room() - NAME) / CELL.0).floor().max(1.0) as usize;
    let columns: Vec<usize> = (0..grid.columns.len()).collect();
    for block in columns.chunks(across) {
        canvas.skip(4.0);
        if document.input.fields.len() > 1 {
            fields(block, grid, document, canvas);
        }
        canvas.skip(CELL.1);
        for (i, &c) in block.iter().enumerate() {
            let column = &grid.columns[c];
            let dim = if column.special { " opacity=\"0.55\"" } else { "" };
            let text = short(column.text, CELL.0 - 2.0, canvas);
            canvas.body += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{TOKEN}\" fill=\"{INK}\" \
                 text-anchor=\"middle\"{dim}>{}</text>\n",
                middle(i),
                canvas.y - 5.0,
                escape(&text)
            );
        }
        for r in 0..grid.rows.len() {
            row(grid, r, block, canvas);
        }
    }
    canvas.skip(12.0);
}

/// The middle of a block's column.
fn middle(i: usize) -> f64 {
    MARGIN + NAME + (i as f64 + 0.5) * CELL.0
}

fn row(grid: &Grid<'_>, r: usize, block: &[usize], canvas: &mut Canvas) {
    let (top, base) = (canvas.y, canvas.y + 12.5);
    let name = short(grid.rows[r].text, NAME - 6.0, canvas);
    canvas.body += &format!(
        "<text x=\"{MARGIN}\" y=\"{base:.1}\" font-size=\"{TOKEN}\" fill=\"{INK}\">{}</text>\n",
        escape(&name)
    );
    for (i, &c) in block.iter().enumerate() {
        let Some(score) = grid.rows[r].scores[c] else { continue };
        let colour = shade(grid.scale.share(score), &grid.scale);
        let number = grid.scale.short(score).replace('-', "\u{2212}");
        canvas.body += &format!(
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\" \
             stroke=\"#dcdfe5\"/><text x=\"{:.1}\" y=\"{base:.1}\" font-size=\"{NUMBER}\" \
             fill=\"{}\" text-anchor=\"middle\">{}</text>\n",
            middle(i) - CELL.0 / 2.0,
            CELL.0,
            CELL.1,
            middle(i),
            ink(colour),
            escape(&number)
        );
    }
    canvas.skip(CELL.1);
}

/// Writes the names of the fields, each above its first column.
fn fields(block: &[usize], grid: &Grid<'_>, document: &Document, canvas: &mut Canvas) {
    canvas.skip(SMALL + 2.0);
    let mut first = 0;
    for run in block.chunk_by(|a, b| grid.columns[*a].field == grid.columns[*b].field) {
        let field = document.input.fields.get(grid.columns[run[0]].field);
        let name = visible(field.map_or("", |field| &field.name), MARKS).into_owned();
        let name = short(&name, run.len() as f64 * CELL.0 - 2.0, canvas);
        canvas.body += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{TOKEN}\" font-weight=\"bold\" \
             fill=\"{QUIET}\">{}</text>\n",
            middle(first) - CELL.0 / 2.0,
            canvas.y - 2.0,
            escape(&name)
        );
        first += run.len();
    }
}

/// A token, cut to the room it has.
fn short(text: &str, room: f64, canvas: &Canvas) -> String {
    let text = label(text, MARKS);
    let width = |text: &str| metrics::width(text, canvas.font) * TOKEN;
    if width(&text) <= room {
        return text;
    }
    let cut = super::layout::parts(&text, (room - width("…")) / TOKEN, canvas.font);
    cut.into_iter().next().unwrap_or_default() + "…"
}
