//! One SVG image, for papers and slides.
//!
//! Every word has its place computed here, so the picture looks alike in browsers, Inkscape and
//! LaTeX; widths are estimated (see `metrics`), because an image cannot know the reader's fonts,
//! and each word is centred on its place, so that a wrong estimate stays small. All documents go
//! one below the other into the same image, which is written by [`Renderer::end`].

mod explanation;
mod grid;
mod layout;
mod metrics;

use std::io::{self, Write};

use super::markup::escape;
use super::{Renderer, check, summary};
use crate::grid::Grid;
use crate::palette::Rgb;
use crate::text::Marks;
use crate::units::By;
use crate::wire::{Document, Prediction};

const MARKS: Marks = Marks::Unicode;
const MARGIN: f64 = 24.0;
/// Up to so many decisions are drawn with their candidates.
const MOST: usize = 8;
const NARROWEST: u32 = 240;
const INK: Rgb = Rgb(0x16, 0x18, 0x1d);
const QUIET: Rgb = Rgb(0x5b, 0x61, 0x6e);
const ALERT: Rgb = Rgb(0x8f, 0x1d, 0x0a);

/// The typeface of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Font {
    /// Helvetica or whatever stands in for it.
    #[default]
    Sans,
    /// Times or whatever stands in for it, to match a paper.
    Serif,
}

/// What is behind the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// A white sheet.
    #[default]
    White,
    /// Nothing; the page should be light, since the text is dark.
    Transparent,
}

/// Settings of [`Svg`].
#[derive(Debug, Clone)]
pub struct Options {
    /// What gets a score of its own.
    pub by: By,
    /// The image's width in CSS pixels; less than 240 is taken for 240. The height follows.
    pub width: u32,
    /// The typeface.
    pub font: Font,
    /// What is behind the picture.
    pub background: Background,
}

impl Default for Options {
    /// Words, 720 pixels wide, sans-serif on white.
    fn default() -> Self {
        Self { by: By::Word, width: 720, font: Font::Sans, background: Background::White }
    }
}

/// Collects documents and writes one image at the end.
#[derive(Debug, Clone, Default)]
pub struct Svg {
    options: Options,
    canvas: Canvas,
}

impl Svg {
    /// Makes the renderer.
    pub fn new(options: Options) -> Self {
        Self { options, canvas: Canvas::default() }
    }
}

impl Renderer for Svg {
    /// Starts a new image: the renderer can be used again.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        let width = f64::from(self.options.width.max(NARROWEST));
        let font = self.options.font;
        self.canvas = Canvas { width, font, y: MARGIN, ..Canvas::default() };
        Ok(())
    }

    fn document(&mut self, document: &Document, _out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        let canvas = &mut self.canvas;
        if !canvas.titles.is_empty() {
            canvas.rule();
        }
        let headline = summary::headline(document, MARKS);
        canvas.prose(&headline, 18.0, INK, true);
        canvas.titles.push(headline);
        candidates(document, canvas);
        if document.explanations.is_empty() {
            explanation::unexplained(document, canvas);
        }
        if let Some(grid) = Grid::of(document) {
            grid::draw(&grid, document, canvas);
        }
        for (e, one) in document.explanations.iter().enumerate() {
            canvas.skip(if e > 0 { 18.0 } else { 0.0 });
            explanation::draw(document, one, self.options.by, canvas);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let canvas = std::mem::take(&mut self.canvas);
        let (width, height) = (canvas.width, (canvas.y + MARGIN).ceil());
        let family = match canvas.font {
            Font::Sans => "Helvetica, Arial, 'Liberation Sans', 'Noto Sans', sans-serif",
            Font::Serif => "Times, 'Times New Roman', 'Liberation Serif', 'Noto Serif', serif",
        };
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" font-family=\"{family}\">\n\
             <title>{}</title>\n<desc>{}</desc>",
            escape(&canvas.titles.join("; ")),
            escape(&canvas.descriptions.join("\n")),
        )?;
        if self.options.background == Background::White {
            writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>")?;
        }
        out.write_all(canvas.body.as_bytes())?;
        out.write_all(b"</svg>\n")
    }
}

/// Writes what else could be, for tasks whose answers are not a list of labels.
fn candidates(document: &Document, canvas: &mut Canvas) {
    if let Prediction::TextClassification(_) | Prediction::TokenClassification(_) =
        document.prediction
    {
        return;
    }
    let groups = summary::groups(document, MARKS);
    // A picture has no room for the candidates of a long text; other formats have them.
    if groups.len() > MOST {
        return;
    }
    for group in groups.iter().filter(|group| group.title.is_some() || group.answers.len() > 1) {
        let title = group.title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
        let answers =
            group.answers.iter().map(|answer| format!("{} {}", answer.label, answer.value));
        let line = title + &answers.collect::<Vec<_>>().join(" · ");
        canvas.prose(&line, explanation::SMALL, QUIET, false);
    }
}

/// A line of prose as markup: words that are written from right to left do not draw the numbers
/// beside them into their own order.
fn isolated(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let rtl = |word: &str| layout::is_rtl(word).unwrap_or(false);
    let runs = words.chunk_by(|a, b| rtl(a) == rtl(b)).map(|run| {
        let text = escape(&run.join(" "));
        if rtl(run[0]) { format!("<tspan unicode-bidi=\"isolate\">{text}</tspan>") } else { text }
    });
    runs.collect::<Vec<_>>().join(" ")
}

/// The picture so far.
#[derive(Debug, Clone, Default)]
struct Canvas {
    width: f64,
    font: Font,
    /// Where the next thing goes, from the top.
    y: f64,
    body: String,
    titles: Vec<String>,
    descriptions: Vec<String>,
    /// How many colour scales there are; each needs a name of its own.
    scales: usize,
}

impl Canvas {
    /// Returns the width between the margins.
    fn room(&self) -> f64 {
        self.width - 2.0 * MARGIN
    }

    /// Leaves room.
    fn skip(&mut self, height: f64) {
        self.y += height;
    }

    /// Writes a paragraph, broken into lines.
    fn prose(&mut self, text: &str, size: f64, colour: Rgb, bold: bool) {
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        // Bold letters are about a tenth wider.
        let room = self.room() / size / if bold { 1.1 } else { 1.0 };
        for line in layout::lines_of(text, room, self.font) {
            self.y += size;
            self.body += &format!(
                "<text x=\"{MARGIN}\" y=\"{:.1}\" font-size=\"{size}\" fill=\"{colour}\"{weight}>{}</text>\n",
                self.y,
                isolated(&line)
            );
            self.y += 0.4 * size;
        }
    }

    /// Draws a line between two documents.
    fn rule(&mut self) {
        self.skip(16.0);
        let right = self.width - MARGIN;
        self.body += &format!("<path d=\"M{MARGIN} {:.1}H{right}\" stroke=\"#dcdfe5\"/>\n", self.y);
        self.skip(16.0);
    }
}
