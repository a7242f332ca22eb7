//! Text for a terminal.
//!
//! Everything holds without colour: the list gives each word's sign, number and bar. Colours are
//! three strengths of two hues (or one, where scores have no sign) in the text's own colour, since
//! nobody knows the terminal's background; they read on black and on white.

mod attack;
mod flow;
mod grid;
mod list;
mod style;

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::{Renderer, check, summary};
use crate::grid::Grid;
use crate::text::{Marks, label, visible, visible_lines};
use crate::units::{By, FieldUnits, Piece, View};
use crate::wire::{Document, Explanation};
use flow::{Span, wrap};
use style::{Style, paint};

/// The narrowest terminal that is laid out for.
const NARROWEST: usize = 30;
/// Longer lines of running text are hard to read, however wide the terminal is.
const TEXT_WIDTH: usize = 100;

/// Which colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colors {
    /// None: no escape sequence is written at all.
    #[default]
    None,
    /// The 256 colours of xterm.
    Ansi256,
    /// 24-bit colours.
    TrueColor,
}

/// Settings of [`Terminal`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Columns; no line is wider, but less than 30 is taken for 30.
    pub width: usize,
    /// Which colours to use.
    pub colors: Colors,
    /// Whether bars and marks may use Unicode; the document's own text does in any case.
    pub unicode: bool,
    /// What gets a score of its own.
    pub by: By,
}

impl Default for Options {
    /// 80 columns, no colours, Unicode, words.
    fn default() -> Self {
        Self { width: 80, colors: Colors::None, unicode: true, by: By::Word }
    }
}

/// Writes for people: the prediction, the text with its weight, each word's number, the figures.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    options: Options,
    written: bool,
}

impl Terminal {
    /// Makes the renderer.
    pub fn new(options: Options) -> Self {
        Self { options, written: false }
    }
}

impl Renderer for Terminal {
    fn document(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        let marks = if self.options.unicode { Marks::Unicode } else { Marks::Ascii };
        let width = self.options.width.max(NARROWEST);
        let mut page = Page { options: &self.options, marks, width, out };
        if self.written {
            page.blank()?;
        }
        self.written = true;
        page.prediction(document)?;
        if document.explanations.is_empty() {
            page.unexplained(document)?;
        }
        if let Some(grid) = Grid::of(document) {
            page.blank()?;
            for line in grid::lines(&grid, document, page.marks, page.width) {
                paint(&line, page.options.colors, page.out)?;
            }
            page.blank()?;
        }
        for (e, explanation) in document.explanations.iter().enumerate() {
            if e > 0 {
                page.blank()?;
            }
            page.explanation(document, explanation)?;
        }
        Ok(())
    }
}

/// Where one document is written, and how.
struct Page<'a> {
    options: &'a Options,
    marks: Marks,
    width: usize,
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }

    /// Writes running text; lines after the first are indented by `hanging` more.
    fn flow(&mut self, spans: &[Span], indent: usize, hanging: usize) -> io::Result<()> {
        for line in wrap(spans, self.width.min(TEXT_WIDTH), indent, hanging) {
            paint(&line, self.options.colors, self.out)?;
        }
        Ok(())
    }

    /// Writes items that are not broken where they need not be.
    fn items(&mut self, first: Option<Span>, items: &[String], style: Style) -> io::Result<()> {
        let separator = self.marks.pick(" · ", ", ");
        let separator = separator.strip_suffix(' ').unwrap_or(separator).replace(' ', "\u{a0}");
        let mut spans: Vec<Span> = first.into_iter().collect();
        for item in items {
            if !spans.is_empty() {
                spans.push(Span::new(format!("{separator} "), Style::Dim));
            }
            // An item that fits on no line had better break at its spaces than anywhere.
            let fits = item.width() + 4 <= self.width;
            let item = if fits { item.replace(' ', "\u{a0}") } else { item.clone() };
            spans.push(Span::new(item, style));
        }
        self.flow(&spans, 0, 2)
    }

    fn prediction(&mut self, document: &Document) -> io::Result<()> {
        let groups = summary::groups(document, self.marks);
        let said = groups.iter().any(|group| !group.answers.is_empty());
        if !said || document.prediction.next().len() > 1 {
            let headline = summary::headline(document, self.marks);
            self.flow(&[Span::new(headline, Style::Bold)], 0, 2)?;
        }
        for group in groups.iter().filter(|group| !group.answers.is_empty()) {
            let mut spans = Vec::new();
            if let Some(title) = &group.title {
                let title = title.replace(' ', "\u{a0}");
                spans.push(Span::new(format!("{title}:\u{a0}\u{a0}"), Style::Dim));
            }
            for answer in &group.answers {
                let style = if answer.holds { Style::Bold } else { Style::Dim };
                let text = format!("{} {}", answer.label, answer.value).replace(' ', "\u{a0}");
                spans.extend([Span::new(text, style), Span::new("  ", Style::Plain)]);
            }
            if group.hidden > 0 {
                spans.push(Span::new(format!("+{}\u{a0}more", group.hidden), Style::Dim));
            }
            self.flow(&spans, 0, 2)?;
        }
        Ok(())
    }

    fn unexplained(&mut self, document: &Document) -> io::Result<()> {
        for field in &document.input.fields {
            let text = visible_lines(&field.text, self.marks);
            self.field_name(document, &field.name)?;
            self.flow(&[Span::new(text, Style::Plain)], 2, 0)?;
        }
        if let Some(why) = summary::unexplained(document) {
            self.flow(&[Span::new(why, Style::Dim)], 0, 2)?;
        }
        self.notes(document, None)
    }

    fn explanation(&mut self, document: &Document, explanation: &Explanation) -> io::Result<()> {
        let view = View::new(document, explanation, self.options.by);
        let target = &explanation.target;
        let question = summary::question(document, target, self.marks);
        // Lines break between its words, if they have to.
        let question = Span::new(question, Style::Plain);
        let mut items = vec![summary::measure(target, self.marks)];
        items.extend(summary::method(&document.method, self.marks));
        items.push(visible(&document.model.id, self.marks).into_owned());
        self.items(Some(question), &items, Style::Dim)?;
        self.blank()?;
        for field in &view.fields {
            self.field_name(document, &field.field.name)?;
            let spans = self.text(field, &view);
            self.flow(&spans, 2, 0)?;
        }
        if view.has_focus() {
            let (open, close) = self.brackets();
            let what = format!("{open}{close} {}", summary::focus(document, target));
            self.flow(&[Span::new(what, Style::Dim)], 2, 0)?;
        }
        self.blank()?;
        for line in list::lines(&view, self.marks, self.width) {
            paint(&line, self.options.colors, self.out)?;
        }
        self.blank()?;
        self.items(None, &summary::figures(&view), Style::Dim)?;
        if let Some((what, rest)) = summary::warning(explanation) {
            let rest = Span::new(format!(": {rest}"), Style::Plain);
            self.flow(&[Span::new(what, Style::Alert), rest], 0, 2)?;
        }
        self.notes(document, Some(explanation))
    }

    /// Writes the field's name, when there are several to tell apart.
    fn field_name(&mut self, document: &Document, name: &str) -> io::Result<()> {
        if document.input.fields.len() < 2 {
            return Ok(());
        }
        let name = visible(name, self.marks).into_owned();
        self.flow(&[Span::new(name, Style::Dim)], 0, 2)
    }

    fn notes(&mut self, document: &Document, explanation: Option<&Explanation>) -> io::Result<()> {
        for note in summary::notes(document, explanation, self.marks) {
            let spans = [Span::new("note: ", Style::Bold), Span::new(note, Style::Plain)];
            self.flow(&spans, 0, 2)?;
        }
        Ok(())
    }

    /// What stands around the part of the text that is explained.
    fn brackets(&self) -> (&'static str, &'static str) {
        (self.marks.pick("⟦", "["), self.marks.pick("⟧", "]"))
    }

    /// Colours the field's text.
    fn text(&self, field: &FieldUnits<'_>, view: &View<'_>) -> Vec<Span> {
        let (open, close) = self.brackets();
        let mut spans = Vec::new();
        let mut inside = false;
        for (piece, focused) in field.pieces() {
            if focused != inside {
                spans.push(Span::new(if focused { open } else { close }, Style::Bold));
                inside = focused;
            }
            match piece {
                Piece::Plain(text) => {
                    spans.push(Span::new(visible_lines(text, self.marks), Style::Plain));
                }
                Piece::Scored(unit) if unit.start == unit.end => {
                    // A token that covers nothing stands apart from the text.
                    let text = label(&unit.text, self.marks).replace(' ', "\u{a0}");
                    let style = if unit.special {
                        Style::Dim
                    } else {
                        Style::heat(unit.score, &view.scale)
                    };
                    if !spans.is_empty() {
                        spans.push(Span::new(" ", Style::Plain));
                    }
                    spans.extend([Span::new(text, style), Span::new(" ", Style::Plain)]);
                }
                Piece::Scored(unit) => {
                    let style = if unit.special {
                        Style::Dim
                    } else {
                        Style::heat(unit.score, &view.scale)
                    };
                    spans.push(Span::new(visible_lines(&unit.text, self.marks), style));
                }
            }
        }
        if inside {
            spans.push(Span::new(close, Style::Bold));
        }
        if spans.is_empty() {
            spans.push(Span::new("(empty)", Style::Dim));
        }
        spans
    }
}
