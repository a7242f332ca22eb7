//! One explanation in the picture.

use super::layout::{Cell, Start, breaks_between, is_rtl, lines, parts, place};
use super::{ALERT, Canvas, INK, MARGIN, MARKS, QUIET, metrics};
use crate::palette::{Rgb, Scheme, diverging, ink, sequential};
use crate::render::markup::escape;
use crate::render::summary;
use crate::text::{label, visible, visible_lines};
use crate::units::{By, FieldUnits, Piece, Scale, Unit, View};
use crate::wire::{Document, Explanation};

/// Size of the text and of the numbers below it, in pixels.
const TEXT: f64 = 16.0;
const NUMBER: f64 = 9.0;
/// Size of everything said in small print.
pub(super) const SMALL: f64 = 11.0;
/// From one line of text to the next.
const LINE: f64 = 38.0;
/// Room at both sides of a shaded word.
const PAD: f64 = 2.5;
/// A smaller share than this has no shade that could be seen.
const FAINTEST: f64 = 0.02;
/// Up to so many words, every number is shown; then only those of the strong ones.
const FEW: usize = 60;
/// The scale below the text, where there is room.
const SCALE_WIDTH: f64 = 190.0;

/// Draws the fields of a document that explains nothing.
pub(super) fn unexplained(document: &Document, canvas: &mut Canvas) {
    for field in &document.input.fields {
        name(document, &field.name, canvas);
        for line in visible_lines(&field.text, MARKS).split('\n') {
            canvas.prose(line, TEXT, INK, false);
        }
    }
    if let Some(why) = summary::unexplained(document) {
        canvas.prose(why, SMALL, QUIET, false);
    }
    notes(document, None, canvas);
}

/// Draws one explanation.
pub(super) fn draw(document: &Document, one: &Explanation, by: By, canvas: &mut Canvas) {
    let view = View::new(document, one, by);
    let mut how =
        vec![summary::question(document, &one.target, MARKS), summary::measure(&one.target, MARKS)];
    how.extend(summary::method(&document.method, MARKS));
    how.push(visible(&document.model.id, MARKS).into_owned());
    canvas.prose(&how.join(" · "), SMALL, QUIET, false);
    canvas.skip(8.0);
    for field in &view.fields {
        name(document, &field.field.name, canvas);
        text(field, &view, canvas);
    }
    scale(&view, canvas);
    if view.has_focus() {
        let what = format!("boxed: {}", summary::focus(document, &one.target));
        canvas.prose(&what, SMALL, QUIET, false);
    }
    let mut figures = summary::figures(&view);
    figures.extend(summary::rest(&view));
    canvas.prose(&figures.join(" · "), SMALL, QUIET, false);
    if let Some((what, rest)) = summary::warning(one) {
        canvas.prose(&format!("{what}: {rest}"), SMALL, ALERT, true);
    }
    notes(document, Some(one), canvas);
    canvas.descriptions.push(describe(document, &view));
}

fn name(document: &Document, name: &str, canvas: &mut Canvas) {
    if document.input.fields.len() > 1 {
        canvas.prose(&visible(name, MARKS), SMALL, QUIET, true);
    }
}

fn notes(document: &Document, explanation: Option<&Explanation>, canvas: &mut Canvas) {
    for note in summary::notes(document, explanation, MARKS) {
        canvas.prose(&format!("Note: {note}"), SMALL, QUIET, false);
    }
}

/// Says in words what the picture shows, for those who do not see it.
fn describe(document: &Document, view: &View<'_>) -> String {
    let mut units: Vec<&Unit> = view.fields.iter().flat_map(|f| &f.units).collect();
    units.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
    let strongest = units.iter().take(10).filter(|unit| unit.score != 0.0);
    let strongest: Vec<_> = strongest
        .map(|unit| format!("{} {}", label(&unit.text, MARKS), view.scale.number(unit.score)))
        .collect();
    let target = &view.explanation.target;
    let (why, of) = (summary::question(document, target, MARKS), summary::measure(target, MARKS));
    match strongest.is_empty() {
        true => format!("{why} ({of}): every score is zero"),
        false => format!("{why} ({of}); strongest first: {}", strongest.join(", ")),
    }
}

/// Draws a field's text.
fn text(field: &FieldUnits<'_>, view: &View<'_>, canvas: &mut Canvas) {
    let rtl = is_rtl(&field.field.text).unwrap_or(false);
    let room = canvas.room();
    for line in lines(cells(field, view, canvas), room) {
        let placed = place(&line, room, rtl);
        for (x, cell) in &placed {
            draw_cell(cell, MARGIN + x, &view.scale, canvas);
        }
        for run in placed.chunk_by(|a, b| a.1.focus == b.1.focus).filter(|run| run[0].1.focus) {
            let (first, last) = (&run[0], &run[run.len() - 1]);
            canvas.body += &format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"26\" rx=\"4\" \
                 fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.5\"/>\n",
                MARGIN + first.0 - 1.0,
                canvas.y - 2.0,
                last.0 + last.1.width - first.0 + 2.0
            );
        }
        canvas.skip(LINE);
    }
}

/// Cuts the text into cells.
fn cells(field: &FieldUnits<'_>, view: &View<'_>, canvas: &Canvas) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut space = false;
    let mut newline = false;
    for (piece, focus) in field.pieces() {
        let (text, unit) = match piece {
            Piece::Plain(text) => (visible_lines(text, MARKS), None),
            Piece::Scored(unit) if unit.start == unit.end => {
                space = true;
                (label(&unit.text, MARKS).replace(' ', "\u{a0}"), Some(unit))
            }
            Piece::Scored(unit) => (visible_lines(&unit.text, MARKS), Some(unit)),
        };
        let mut first = true;
        for (i, line) in text.split('\n').enumerate() {
            newline |= i > 0;
            for (j, word) in line.split(' ').enumerate() {
                space |= j > 0;
                if word.is_empty() {
                    continue;
                }
                for part in parts(word, (canvas.room() - 2.0 * PAD) / TEXT, canvas.font) {
                    let mut cell = cell(part, unit, first, view, canvas);
                    cell.focus = focus;
                    let before = cells.last().map_or("", |cell| &cell.text);
                    if newline {
                        cell.start = Start::Must;
                    } else if !space && !breaks_between(before, &cell.text) {
                        cell.start = Start::Hardly;
                    }
                    cell.gap = if space { 0.25 * TEXT } else { 1.0 };
                    cells.push(cell);
                    (space, newline, first) = (false, false, false);
                }
            }
        }
        space |= unit.is_some_and(|unit| unit.start == unit.end);
    }
    cells
}

/// Makes one cell; of a unit in several parts, the first bears the number.
fn cell(text: String, unit: Option<&Unit>, first: bool, view: &View<'_>, canvas: &Canvas) -> Cell {
    let share = unit.map_or(0.0, |unit| view.scale.share(unit.score).abs());
    let least = if view.len() <= FEW { FAINTEST } else { 0.35 };
    let number = unit
        .filter(|_| first && share >= least)
        .map(|unit| view.scale.short(unit.score).replace('-', "\u{2212}"));
    let pad = if share >= FAINTEST { PAD } else { 1.0 };
    let width = metrics::width(&text, canvas.font) * TEXT + 2.0 * pad;
    let below = number.as_ref().map_or(0.0, |n| metrics::width(n, canvas.font) * NUMBER + 2.0);
    Cell {
        text,
        number,
        score: unit.map(|unit| unit.score),
        special: unit.is_some_and(|unit| unit.special),
        focus: false,
        width: width.max(below),
        gap: 0.0,
        start: Start::May,
    }
}

fn draw_cell(cell: &Cell, x: f64, scale: &Scale, canvas: &mut Canvas) {
    let share = cell.score.map_or(0.0, |score| scale.share(score));
    let colour = shade(share, scale);
    let (top, middle) = (canvas.y, x + cell.width / 2.0);
    let dim = if cell.special { " opacity=\"0.55\"" } else { "" };
    // The word's own punctuation goes where its script has it; centred text stays in its place.
    let direction = match is_rtl(&cell.text) {
        Some(true) => " direction=\"rtl\"",
        _ => "",
    };
    canvas.body += &format!("<g text-anchor=\"middle\"{dim}>");
    if share.abs() >= FAINTEST {
        canvas.body += &format!(
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"22\" rx=\"3\" fill=\"{colour}\"/>",
            cell.width
        );
    }
    canvas.body += &format!(
        "<text x=\"{middle:.1}\" y=\"{:.1}\" font-size=\"{TEXT}\" fill=\"{}\"{direction}>{}</text>",
        top + 16.5,
        if share.abs() >= FAINTEST { ink(colour) } else { INK },
        escape(&cell.text)
    );
    if let Some(number) = &cell.number {
        canvas.body += &format!(
            "<text x=\"{middle:.1}\" y=\"{:.1}\" font-size=\"{NUMBER}\" fill=\"{QUIET}\">{}</text>",
            top + 31.5,
            escape(number)
        );
    }
    if cell.number.is_none() && share.abs() >= FAINTEST {
        // Without a number the sign is in the line: solid raises, dotted lowers.
        let dots = if share < 0.0 { " stroke-dasharray=\"1.5 2\"" } else { "" };
        canvas.body += &format!(
            "<path d=\"M{:.1} {:.1}H{:.1}\" stroke=\"{}\"{dots}/>",
            x + PAD,
            top + 20.0,
            x + cell.width - PAD,
            ink(colour)
        );
    }
    canvas.body += "</g>\n";
}

pub(super) fn shade(share: f64, scale: &Scale) -> Rgb {
    if scale.signed { diverging(share, Scheme::Light) } else { sequential(share, Scheme::Light) }
}

/// Draws the colours with the numbers at their ends, and what they mean.
fn scale(view: &View<'_>, canvas: &mut Canvas) {
    let scale = &view.scale;
    if scale.max == 0.0 {
        canvas.prose("every score is zero", SMALL, QUIET, false);
        return;
    }
    canvas.skip(4.0);
    let id = format!("glossator-scale-{}", canvas.scales);
    canvas.scales += 1;
    let stops: String = (0..=10)
        .map(|i| {
            let at = f64::from(i) / 10.0;
            let share = if scale.signed { 2.0 * at - 1.0 } else { at };
            format!("<stop offset=\"{at}\" stop-color=\"{}\"/>", shade(share, scale))
        })
        .collect();
    let width = SCALE_WIDTH.min(canvas.room());
    let (y, right) = (canvas.y, MARGIN + width);
    // The words hang below the ends of the bar: there no font can push them into it.
    let (low, high) = if scale.signed {
        let max = scale.bare(scale.max);
        (format!("\u{2212}{max} lowers"), format!("raises +{max}"))
    } else {
        ("0".into(), scale.number(scale.max))
    };
    let label = |x: f64, anchor: &str, text: &str| {
        let (text, y) = (escape(text), y + 21.0);
        format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{SMALL}\" fill=\"{QUIET}\" \
             text-anchor=\"{anchor}\">{text}</text>"
        )
    };
    let words = label(MARGIN, "start", &low) + &label(right, "end", &high);
    canvas.body += &format!(
        "<linearGradient id=\"{id}\">{stops}</linearGradient>\n\
         <rect x=\"{MARGIN}\" y=\"{y:.1}\" width=\"{width}\" height=\"8\" rx=\"2\" \
         fill=\"url(#{id})\" stroke=\"#dcdfe5\"/>{words}\n"
    );
    canvas.skip(30.0);
}
