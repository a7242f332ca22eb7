//! One self-contained HTML page: it can be mailed, printed, and opened offline.
//!
//! Each document is there twice: as an article that needs no script, and as the JSON that the
//! elements of `web/` draw instead where scripts run. The page's own policy forbids every request and
//! all scripts but that one, by its hash. It follows the reader's choice of light or dark, and each
//! text has a table behind it. Sign shows in the line under a word, solid or dotted, and in the number
//! below it, not only in colour.

mod attack;
mod explanation;
mod grid;
mod live;

use std::io::{self, Write};

use super::markup::{bdi, escape};
use super::summary::{Answer, Group};
use super::{Renderer, check, summary};
use crate::grid::Grid;
use crate::palette::{Rgb, Scheme, diverging, ink, sequential};
use crate::text::{Marks, visible};
use crate::units::By;
use crate::wire::Document;

/// Marks of this output; a page can always show Unicode.
const MARKS: Marks = Marks::Unicode;
/// Shades of each hue; a class each, which keeps long texts small.
const STEPS: u32 = 10;

/// Settings of [`Html`].
#[derive(Debug, Clone)]
pub struct Options {
    /// What gets a score of its own.
    pub by: By,
    /// The page's title.
    pub title: String,
    /// The language of the page's own words, as a BCP 47 tag; they are English.
    pub lang: String,
}

impl Default for Options {
    /// Words, titled "Glossator", in English.
    fn default() -> Self {
        Self { by: By::Word, title: "Glossator".into(), lang: "en".into() }
    }
}

/// Writes one page with an article for each input.
#[derive(Debug, Clone, Default)]
pub struct Html {
    options: Options,
}

impl Html {
    /// Makes the renderer.
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Renderer for Html {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let title = escape(&visible(&self.options.title, MARKS));
        let lang = escape(&visible(&self.options.lang, MARKS));
        writeln!(
            out,
            "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             script-src '{hash}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
             form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{style}</style>\n<script type=\"module\">{script}</script>\n</head>\n<body>\n\
             <main>\n<h1>{title}</h1>",
            hash = live::hash(),
            script = live::ELEMENTS,
            style = style()
        )
    }

    fn document(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        let mut page = String::from("<article>\n");
        prediction(document, &mut page);
        if document.explanations.is_empty() {
            explanation::unexplained(document, &mut page);
        }
        if let Some(grid) = Grid::of(document) {
            grid::table(&grid, document, &mut page);
        }
        for one in &document.explanations {
            explanation::section(document, one, self.options.by, &mut page);
        }
        page.push_str("</article>\n");
        live::report(document, self.options.by, &page, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"</main>\n</body>\n</html>\n")
    }
}

/// Up to so many decisions, the candidates of each are in sight.
const OPEN: usize = 8;

/// Writes what the model said.
fn prediction(document: &Document, page: &mut String) {
    let groups = summary::groups(document, MARKS);
    *page += &format!("<header>\n<h2>{}</h2>\n", headline(document));
    let lists = groups.iter().filter(|group| group.title.is_some() || group.answers.len() > 1);
    let folded = groups.len() > OPEN;
    if folded {
        let count = groups.len();
        *page += &format!("<details>\n<summary>{count} tokens with their candidates</summary>\n");
    }
    lists.for_each(|group| list(group, page));
    if folded {
        *page += "</details>\n";
    }
    let model = &document.model;
    let family = visible(&model.family, MARKS);
    *page += &format!(
        "<p class=\"quiet\">{} ({})</p>\n",
        bdi(&visible(&model.id, MARKS)),
        escape(&family)
    );
    *page += "</header>\n";
}

/// What holds, each name apart from its neighbours' direction of writing.
fn headline(document: &Document) -> String {
    let (holding, left) = summary::holding(document, MARKS);
    if holding.is_empty() {
        return bdi(&summary::headline(document, MARKS));
    }
    let phrase =
        |a: &Answer| format!("{} <span class=\"value\">{}</span>", bdi(&a.label), escape(&a.value));
    let mut phrases: Vec<_> = holding.iter().map(phrase).collect();
    if left > 0 {
        phrases.push(format!("{left} more"));
    }
    phrases.join(", ")
}

/// Writes all answers to one decision with their bars.
fn list(group: &Group, page: &mut String) {
    *page += "<ul class=\"answers\">\n";
    if let Some(title) = &group.title {
        *page += &format!("<li class=\"more\">{}</li>\n", escape(title));
    }
    for answer in &group.answers {
        let share = answer.probability.unwrap_or(0.0).clamp(0.0, 1.0);
        *page += &format!(
            "<li>{} <span class=\"track\"><span style=\"--v:{share:.3}\"></span></span> \
             <span class=\"value\">{}</span></li>\n",
            bdi(&answer.label),
            escape(&answer.value)
        );
    }
    if group.hidden > 0 {
        *page += &format!("<li class=\"more\">{} more</li>\n", group.hidden);
    }
    *page += "</ul>\n";
}

/// The style sheet: layout from a file, shades from the palette.
fn style() -> String {
    let shades = |scheme| {
        let rule = |class: char, step: u32, colour: Rgb| {
            format!(".{class}{step}{{background:{colour};color:{}}}\n", ink(colour))
        };
        let steps = (1..=STEPS).map(|step| (step, f64::from(step) / f64::from(STEPS)));
        steps
            .flat_map(|(step, share)| {
                [
                    rule('p', step, diverging(share, scheme)),
                    rule('n', step, diverging(-share, scheme)),
                    rule('s', step, sequential(share, scheme)),
                ]
            })
            .collect::<String>()
    };
    format!(
        "{}{}@media (prefers-color-scheme: dark) {{\n{}}}\n",
        include_str!("html/page.css"),
        shades(Scheme::Light),
        shades(Scheme::Dark)
    )
}
