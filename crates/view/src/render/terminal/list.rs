//! The list of words: what, how much, and a bar.

use unicode_width::UnicodeWidthStr;

use super::style::{Hue, Line, Style};
use crate::text::{Marks, cut, label, visible};
use crate::units::{Unit, View};

/// Up to so many words are all listed, in reading order; a longer list would hide what matters.
const ALL: usize = 40;
/// So many of the strongest are listed of a longer text.
const STRONGEST: usize = 20;
/// A bar needs so many columns to show anything, and more than so many only spreads the page.
const BAR: std::ops::RangeInclusive<usize> = 3..=33;
const INDENT: usize = 2;
const GAP: usize = 2;

/// One line of the list.
struct Row {
    label: String,
    number: String,
    error: String,
    /// The bar's length, -1 to 1; None for a sum, which may be longer than the scale.
    share: Option<f64>,
    dim: bool,
}

/// Lays out the list in at most `width` columns.
pub(super) fn lines(view: &View<'_>, marks: Marks, width: usize) -> Vec<Line> {
    let sections = sections(view, marks);
    let rows = || sections.iter().flat_map(|(_, rows)| rows);
    let widest = |text: fn(&Row) -> &str| rows().map(|row| text(row).width()).max().unwrap_or(0);
    let number = widest(|row| &row.number);
    let error = Some(widest(|row| &row.error)).filter(|e| *e > 0 && width >= 50);
    let error_room = error.map_or(0, |error| GAP + error);
    let room = width.saturating_sub(INDENT + GAP + number + error_room + GAP);
    let columns = Columns {
        label: widest(|row| &row.label).min((room * 9 / 20).max(14)).min(room),
        number,
        error,
        bar: 0,
        signed: view.scale.signed,
        marks,
    };
    let bar = room.saturating_sub(columns.label).min(*BAR.end());
    // Both sides of the centre line are equally long.
    let bar = if columns.signed { bar.saturating_sub(1) / 2 * 2 + 1 } else { bar };
    let columns = Columns { bar: if bar < *BAR.start() { 0 } else { bar }, ..columns };
    let mut lines = Vec::new();
    for (title, rows) in &sections {
        if let Some(title) = title {
            lines.push(vec![(cut(title, width, marks).into_owned(), Style::Dim)]);
        }
        lines.extend(rows.iter().map(|row| columns.line(row)));
    }
    lines
}

/// The rows, under the name of their field when there are several.
fn sections(view: &View<'_>, marks: Marks) -> Vec<(Option<String>, Vec<Row>)> {
    let chosen = strongest(view);
    let several = view.fields.len() > 1;
    let mut sections = Vec::new();
    let mut left = (0, 0.0);
    for (f, field) in view.fields.iter().enumerate() {
        let mut units: Vec<&Unit> = field.units.iter().collect();
        if let Some(chosen) = &chosen {
            let rest = field.units.iter().enumerate().filter(|(u, _)| !chosen.contains(&(f, *u)));
            left = rest.fold(left, |(n, sum), (_, unit)| (n + 1, sum + unit.score));
            let of_field = chosen.iter().filter(|(g, _)| *g == f);
            units = of_field.map(|(_, u)| &field.units[*u]).collect();
        }
        if units.is_empty() && several {
            continue;
        }
        let title = several.then(|| visible(&field.field.name, marks).into_owned());
        let rows: Vec<Row> = units.into_iter().map(|unit| row(unit, view, marks)).collect();
        sections.push((title, rows));
    }
    let sum = |label: String, score: f64| Row {
        label,
        number: view.scale.number(score),
        error: String::new(),
        share: None,
        dim: true,
    };
    let mut sums = Vec::new();
    if left.0 > 0 {
        sums.push(sum(format!("{} others", left.0), left.1));
    }
    sums.extend(view.rest.map(|rest| sum(rest.name().into(), rest.score)));
    // Sums belong to no field in particular.
    let untitled = several && !sums.is_empty();
    match sections.last_mut() {
        Some((_, rows)) if !several => rows.extend(sums),
        _ if sums.is_empty() => {}
        _ => sections.push((untitled.then(|| "all fields".into()), sums)),
    }
    sections
}

/// Picks the strongest units of a long text, as field and index, the strongest first.
fn strongest(view: &View<'_>) -> Option<Vec<(usize, usize)>> {
    if view.len() <= ALL {
        return None;
    }
    let mut all: Vec<_> = view
        .fields
        .iter()
        .enumerate()
        .flat_map(|(f, field)| field.units.iter().enumerate().map(move |(u, unit)| (f, u, unit)))
        .collect();
    all.sort_by(|a, b| b.2.score.abs().total_cmp(&a.2.score.abs()));
    Some(all.into_iter().take(STRONGEST).map(|(f, u, _)| (f, u)).collect())
}

fn row(unit: &Unit, view: &View<'_>, marks: Marks) -> Row {
    let error = |error| format!("{}{}", marks.pick("±", "+-"), view.scale.bare(error));
    Row {
        label: label(&unit.text, marks),
        number: view.scale.number(unit.score),
        error: unit.error.map(error).unwrap_or_default(),
        share: Some(view.scale.share(unit.score)),
        dim: unit.special,
    }
}

/// The widths of the columns.
struct Columns {
    label: usize,
    number: usize,
    error: Option<usize>,
    bar: usize,
    signed: bool,
    marks: Marks,
}

impl Columns {
    fn line(&self, row: &Row) -> Line {
        let style = if row.dim { Style::Dim } else { Style::Plain };
        let label = cut(&row.label, self.label, self.marks);
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()));
        let mut text = " ".repeat(INDENT);
        text += &label;
        text += &pad(&label, self.label + GAP);
        text += &pad(&row.number, self.number);
        text += &row.number;
        if let Some(error) = self.error {
            text += &pad(&row.error, GAP + error);
            text += &row.error;
        }
        let mut line = vec![(text, style)];
        if let Some(share) = row.share.filter(|_| self.bar > 0) {
            line.push((" ".repeat(GAP), Style::Plain));
            let hue = Hue::of(share, self.signed);
            let ink = if row.dim { Style::Dim } else { Style::Bar(hue) };
            self.bar(share, ink, &mut line);
        }
        line
    }

    fn bar(&self, share: f64, ink: Style, line: &mut Line) {
        if !self.signed {
            line.push((bar_right(share, self.bar, self.marks), ink));
            return;
        }
        let half = self.bar / 2;
        let (left, right) = if share < 0.0 {
            (bar_left(-share, half, self.marks), String::new())
        } else {
            (" ".repeat(half), bar_right(share, half, self.marks))
        };
        line.push((left, ink));
        line.push((self.marks.pick("│", "|").into(), Style::Dim));
        line.push((right, ink));
    }
}

/// Draws a bar that grows to the right, in eighths of a column.
fn bar_right(share: f64, width: usize, marks: Marks) -> String {
    if marks == Marks::Ascii {
        return "#".repeat((share * width as f64).round() as usize);
    }
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

/// Draws a bar that grows to the left; Unicode has only an eighth and a half of a column there.
fn bar_left(share: f64, width: usize, marks: Marks) -> String {
    let (full, part) = if marks == Marks::Ascii {
        ("-".repeat((share * width as f64).round() as usize), "")
    } else {
        let eighths = (share * width as f64 * 8.0).round() as usize;
        let part = ["", "▕", "▕", "▐", "▐", "▐", "▐", "█"][eighths % 8];
        ("█".repeat(eighths / 8), part)
    };
    " ".repeat(width.saturating_sub(full.width() + part.width())) + part + &full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_from_the_centre() {
        let bars = [0.0, 0.1, 0.5, 0.97, 1.0].map(|share| {
            let ascii = bar_left(share, 6, Marks::Ascii) + "|" + &bar_right(share, 6, Marks::Ascii);
            let left = bar_left(share, 6, Marks::Unicode);
            format!("{left}│{:6}|  {ascii}", bar_right(share, 6, Marks::Unicode))
        });
        insta::assert_snapshot!(bars.join("\n"), @"
              │      |        |
             ▐│▋     |       -|#
           ███│███   |     ---|###
        ██████│█████▉|  ------|######
        ██████│██████|  ------|######
        ");
    }
}
