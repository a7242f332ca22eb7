//! One explanation on the page: the text, the strongest words, the legend, the table.

use unicode_width::UnicodeWidthStr;

use super::{MARKS, STEPS};
use crate::render::markup::{bdi, escape};
use crate::render::summary::{self, unit_name};
use crate::text::{label, visible, visible_lines};
use crate::units::{By, FieldUnits, Piece, Scale, Unit, View};
use crate::wire::{Document, Explanation};

/// So many of the strongest words are listed beside the text.
const STRONGEST: usize = 10;
/// Up to so many words, nearly every number stands under its word; then only the strong ones do.
const FEW: usize = 60;

/// Writes the fields of a document that explains nothing.
pub(super) fn unexplained(document: &Document, page: &mut String) {
    for field in &document.input.fields {
        title(document, &field.name, page);
        let text = escape(&visible_lines(&field.text, MARKS));
        *page += &format!("<p class=\"text\" dir=\"auto\">{text}</p>\n");
    }
    if let Some(why) = summary::unexplained(document) {
        *page += &format!("<p class=\"quiet\">{why}</p>\n");
    }
    notes(document, None, page);
}

/// Writes one explanation.
pub(super) fn section(document: &Document, one: &Explanation, by: By, page: &mut String) {
    let view = View::new(document, one, by);
    *page += "<section>\n";
    *page += &format!("<h3>{}</h3>\n", escape(&summary::question(document, &one.target, MARKS)));
    let mut how = vec![summary::measure(&one.target, MARKS)];
    how.extend(summary::method(&document.method, MARKS));
    let how: Vec<_> = how.iter().map(|item| bdi(item)).collect();
    *page += &format!("<p class=\"quiet\">{}</p>\n", how.join(" · "));
    if let Some((what, rest)) = summary::warning(one) {
        *page += &format!("<p class=\"alert\"><strong>{what}</strong>: {}</p>\n", escape(&rest));
    }
    *page += "<div class=\"columns\">\n<div class=\"reading\">\n";
    for field in &view.fields {
        title(document, &field.field.name, page);
        text(field, &view, page);
    }
    *page += "</div>\n";
    strongest(&view, page);
    *page += "</div>\n";
    legend(document, &view, page);
    table(&view, by, page);
    *page += "<ul class=\"figures\">\n";
    for figure in summary::figures(&view).into_iter().chain(summary::rest(&view)) {
        *page += &format!("<li>{}</li>\n", escape(&figure));
    }
    *page += "</ul>\n";
    notes(document, Some(one), page);
    *page += "</section>\n";
}

fn title(document: &Document, name: &str, page: &mut String) {
    if document.input.fields.len() > 1 {
        *page += &format!("<h4>{}</h4>\n", bdi(&visible(name, MARKS)));
    }
}

fn notes(document: &Document, explanation: Option<&Explanation>, page: &mut String) {
    for note in summary::notes(document, explanation, MARKS) {
        *page += &format!("<p class=\"note\">{}</p>\n", escape(&note));
    }
}

/// Writes a field's text, each unit on its shade.
fn text(field: &FieldUnits<'_>, view: &View<'_>, page: &mut String) {
    *page += "<p class=\"text\" dir=\"auto\">";
    let pieces = field.pieces();
    let mut inside = false;
    for (piece, focused) in &pieces {
        if *focused != inside {
            *page += if *focused { "<mark>" } else { "</mark>" };
            inside = *focused;
        }
        match piece {
            Piece::Plain(text) => *page += &escape(&visible_lines(text, MARKS)),
            Piece::Scored(unit) => mark(unit, view, page),
        }
    }
    if inside {
        *page += "</mark>";
    }
    if pieces.is_empty() {
        *page += "<span class=\"special\">(empty)</span>";
    }
    *page += "</p>\n";
}

fn mark(unit: &Unit, view: &View<'_>, page: &mut String) {
    let covers = unit.start < unit.end;
    let text = if covers { visible_lines(&unit.text, MARKS) } else { label(&unit.text, MARKS) };
    let step = step(&view.scale, unit.score);
    let mut classes = vec!["w".to_owned()];
    classes.extend(shade(&view.scale, unit.score));
    if unit.special {
        classes.push("special".into());
    }
    if !covers {
        classes.push("mark".into());
    }
    let from = if view.len() <= FEW { 1 } else { STEPS * 2 / 5 };
    let number =
        (step >= from && covers).then(|| view.scale.short(unit.score).replace('-', "\u{2212}"));
    if let Some(number) = &number {
        classes.extend(room(number, &text));
    }
    // Were a mark not isolated, `[CLS]` would make every text one that runs from left to right.
    let element = if covers { "span" } else { "bdi" };
    // Exact, and with its error: what the page rounds can be looked up.
    let error = unit.error.map(|error| format!(" ± {error:?}")).unwrap_or_default();
    let number = number.map(|n| format!(" data-v=\"{}\"", escape(&n))).unwrap_or_default();
    *page += &format!(
        "<{element} class=\"{}\" title=\"{:?}{error}\"{number}>{}</{element}>",
        classes.join(" "),
        unit.score,
        escape(&text)
    );
}

/// Returns the class that makes room for a number wider than its word, if it is. A digit below is
/// 0.36 em wide, a column of text about 0.5 em, and the space beside the word serves as well.
fn room(number: &str, text: &str) -> Option<String> {
    let missing = number.width() as f64 * 0.36 - text.width() as f64 * 0.5;
    let level = (missing / 0.3).ceil();
    (level >= 1.0).then(|| format!("k{}", level.min(8.0)))
}

/// Returns the shade's step, 0 to [`STEPS`].
fn step(scale: &Scale, score: f64) -> u32 {
    (scale.share(score).abs() * f64::from(STEPS)).round() as u32
}

/// Returns the class of a score's shade: p for raising, n for lowering, s where there is no sign.
pub(super) fn shade(scale: &Scale, score: f64) -> Option<String> {
    let step = step(scale, score);
    (step > 0).then(|| format!("{}{step}", family(scale, score)))
}

fn family(scale: &Scale, score: f64) -> char {
    match (scale.signed, score < 0.0) {
        (false, _) => 's',
        (true, false) => 'p',
        (true, true) => 'n',
    }
}

/// Writes the strongest units with bars; not for a text so short that it shows them all.
fn strongest(view: &View<'_>, page: &mut String) {
    let mut units: Vec<&Unit> = view.fields.iter().flat_map(|f| &f.units).collect();
    units.retain(|unit| view.scale.share(unit.score).abs() >= 0.01);
    units.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
    if units.len() < 3 {
        return;
    }
    *page += "<ol class=\"strongest\" aria-label=\"strongest first\">\n";
    for unit in units.into_iter().take(STRONGEST) {
        let special = if unit.special { " class=\"special\"" } else { "" };
        *page += &format!(
            "<li{special}>{} <span class=\"value\">{}</span> {}</li>\n",
            bdi(&label(&unit.text, MARKS)),
            view.scale.number(unit.score),
            bar(&view.scale, unit.score)
        );
    }
    *page += "</ol>\n";
}

fn bar(scale: &Scale, score: f64) -> String {
    let signed = if scale.signed { "bar signed" } else { "bar" };
    let family = family(scale, score);
    let share = scale.share(score).abs();
    format!(
        "<span class=\"{signed}\"><span class=\"{family}{STEPS}\" style=\"--v:{share:.3}\"></span></span>"
    )
}

/// Writes what the colours mean.
fn legend(document: &Document, view: &View<'_>, page: &mut String) {
    let scale = &view.scale;
    let quantity = escape(&summary::quantity(&view.explanation.target, MARKS));
    let of = bdi(&summary::describe(&view.explanation.target, MARKS));
    let key = |class: &str, text: &str| format!("<span class=\"w {class}7\">{text}</span>");
    let legend = if scale.max == 0.0 {
        "every score is zero".into()
    } else if scale.signed {
        format!(
            "{} raises the {quantity} ({of}), {} lowers it; full colour: ±{}",
            key("p", "orange, solid line"),
            key("n", "blue, dotted line"),
            scale.bare(scale.max)
        )
    } else {
        let strongest = scale.number(scale.max);
        let key = key("s", "the deeper the purple");
        format!("{key} the more it matters for the {quantity} ({of}); full colour: {strongest}")
    };
    let focus = summary::focus(document, &view.explanation.target);
    let focus = view.has_focus().then(|| format!("; boxed: <mark>{focus}</mark>"));
    *page += &format!("<p class=\"legend\">{legend}{}</p>\n", focus.unwrap_or_default());
}

/// Writes all numbers as a table.
fn table(view: &View<'_>, by: By, page: &mut String) {
    let several = view.fields.len() > 1;
    let errors = view.fields.iter().flat_map(|f| &f.units).any(|unit| unit.error.is_some());
    let count = view.len();
    let name = unit_name(by, count);
    *page += &format!(
        "<details>\n<summary>{count} {name} as a table</summary>\n<div class=\"scroll\">\n<table>\n\
         <thead><tr>{}<th scope=\"col\">{}</th><th scope=\"col\" class=\"value\">score</th>{}</tr></thead>\n<tbody>\n",
        if several { "<th scope=\"col\">field</th>" } else { "" },
        unit_name(by, 1),
        if errors { "<th scope=\"col\" class=\"value\">error</th>" } else { "" },
    );
    let mut row = |field: Option<&str>, text: &str, score: f64, error: Option<f64>, dim: bool| {
        let class = if dim { " class=\"special\"" } else { "" };
        let field = field.map(|field| bdi(&visible(field, MARKS)));
        *page += &format!(
            "<tr{class}>{}<th scope=\"row\">{}</th><td class=\"value\">{}</td>{}</tr>\n",
            if several { format!("<td>{}</td>", field.unwrap_or_default()) } else { String::new() },
            bdi(text),
            view.scale.number(score),
            if errors {
                let error = error.map(|error| view.scale.bare(error)).unwrap_or_default();
                format!("<td class=\"value\">{error}</td>")
            } else {
                String::new()
            }
        );
    };
    for field in &view.fields {
        for unit in &field.units {
            let text = label(&unit.text, MARKS);
            row(Some(&field.field.name), &text, unit.score, unit.error, unit.special);
        }
    }
    if let Some(rest) = view.rest {
        row(None, rest.name(), rest.score, None, true);
    }
    row(None, "sum", view.explanation.total(), None, false);
    *page += "</tbody>\n</table>\n</div>\n</details>\n";
}
