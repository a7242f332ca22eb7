//! The grid of written tokens, as a table.

use super::MARKS;
use super::explanation::shade;
use crate::grid::Grid;
use crate::render::markup::{bdi, escape};
use crate::render::summary;
use crate::text::{label, visible};
use crate::wire::Document;

/// Writes the grid: a row for each written token, a column for each token before it.
pub(super) fn table(grid: &Grid<'_>, document: &Document, page: &mut String) {
    let quantity = grid
        .rows
        .first()
        .map_or_else(String::new, |row| summary::quantity(&row.explanation.target, MARKS));
    *page += &format!(
        "<section>\n<h3>each written token by the tokens before it</h3>\n\
         <p class=\"quiet\">rows are written tokens; a number says what the column's token did \
         for the row's {}; full colour: {}{}</p>\n\
         <div class=\"scroll grid\">\n<table>\n<thead>\n",
        escape(&quantity),
        if grid.scale.signed { "±" } else { "" },
        grid.scale.bare(grid.scale.max),
    );
    if document.input.fields.len() > 1 {
        fields(grid, document, page);
    }
    *page += "<tr><td></td>";
    for column in &grid.columns {
        let class = if column.special { " class=\"special\"" } else { "" };
        *page += &format!("<th scope=\"col\"{class}>{}</th>", bdi(&label(column.text, MARKS)));
    }
    *page += "</tr>\n</thead>\n<tbody>\n";
    for row in &grid.rows {
        *page += &format!("<tr><th scope=\"row\">{}</th>", bdi(&label(row.text, MARKS)));
        for score in &row.scores {
            let Some(score) = score else {
                *page += "<td></td>";
                continue;
            };
            let class = shade(&grid.scale, *score).map(|shade| format!(" class=\"{shade}\""));
            let number = grid.scale.short(*score).replace('-', "\u{2212}");
            *page += &format!(
                "<td{} title=\"{score:?}\">{}</td>",
                class.unwrap_or_default(),
                escape(&number)
            );
        }
        *page += "</tr>\n";
    }
    *page += "</tbody>\n</table>\n</div>\n</section>\n";
}

/// Writes the names of the fields above their tokens.
fn fields(grid: &Grid<'_>, document: &Document, page: &mut String) {
    *page += "<tr><td></td>";
    for run in grid.columns.chunk_by(|a, b| a.field == b.field) {
        let name = document.input.fields.get(run[0].field).map_or("", |field| &field.name);
        *page += &format!(
            "<th scope=\"colgroup\" colspan=\"{}\">{}</th>",
            run.len(),
            bdi(&visible(name, MARKS))
        );
    }
    *page += "</tr>\n";
}
