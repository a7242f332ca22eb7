//! Styles and their escape sequences (ECMA-48, select graphic rendition).

use std::io::{self, Write};

use super::Colors;
use crate::palette::{Rgb, ink};
use crate::units::Scale;

/// How a run of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Dim,
    Bold,
    Alert,
    /// What is taken out of a text: struck through.
    Gone,
    /// What is put into a text: underlined.
    New,
    /// A word of the text by its strength, 1 to 3.
    Heat(Hue, u8),
    /// A bar of the list.
    Bar(Hue),
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hue {
    Raises,
    Lowers,
    /// A score without a sign.
    Strength,
}

impl Style {
    /// Picks the style of a word: plain below a tenth of the strongest score.
    pub(super) fn heat(score: f64, scale: &Scale) -> Self {
        let share = scale.share(score);
        let hue = Hue::of(share, scale.signed);
        match share.abs() {
            s if s >= 0.6 => Style::Heat(hue, 3),
            s if s >= 0.3 => Style::Heat(hue, 2),
            s if s >= 0.1 => Style::Heat(hue, 1),
            _ => Style::Plain,
        }
    }

    /// Returns the parameters of the escape sequence; empty when there is nothing to change.
    fn parameters(self, colors: Colors) -> String {
        match self {
            _ if colors == Colors::None => String::new(),
            Style::Plain => String::new(),
            Style::Dim => "2".into(),
            Style::Bold => "1".into(),
            Style::Alert => "1;31".into(),
            Style::Gone => format!("9;{}", foreground(Hue::Lowers.colour(), colors)),
            Style::New => format!("1;4;{}", foreground(Hue::Raises.colour(), colors)),
            Style::Bar(hue) => foreground(hue.colour(), colors),
            Style::Heat(hue, strength) => {
                // Underlining tells the signs apart where colours do not.
                let underline = if hue == Hue::Lowers { "4;" } else { "" };
                let colour = match strength {
                    0 | 1 => foreground(hue.colour(), colors),
                    2 => format!("1;{}", foreground(hue.colour(), colors)),
                    _ => {
                        let text = foreground(ink(hue.colour()), colors);
                        format!("1;{text};{}", background(hue.colour(), colors))
                    }
                };
                format!("{underline}{colour}")
            }
        }
    }
}

impl Hue {
    /// Picks the hue of a score.
    pub(super) fn of(share: f64, signed: bool) -> Self {
        match (signed, share < 0.0) {
            (false, _) => Hue::Strength,
            (true, false) => Hue::Raises,
            (true, true) => Hue::Lowers,
        }
    }

    /// Colours of middle lightness: they read on black and on white alike.
    fn colour(self) -> Rgb {
        match self {
            Hue::Raises => Rgb(0xd7, 0x5f, 0x00),
            Hue::Lowers => Rgb(0x00, 0x87, 0xd7),
            Hue::Strength => Rgb(0xaf, 0x5f, 0xd7),
        }
    }
}

fn foreground(colour: Rgb, colors: Colors) -> String {
    format!("38;{}", code(colour, colors))
}

fn background(colour: Rgb, colors: Colors) -> String {
    format!("48;{}", code(colour, colors))
}

fn code(colour: Rgb, colors: Colors) -> String {
    let Rgb(r, g, b) = colour;
    if colors == Colors::TrueColor {
        return format!("2;{r};{g};{b}");
    }
    // The colour cube of xterm: 16 + 36 r + 6 g + b, each 0 to 5 for 0, 95, 135, 175, 215, 255.
    let [r, g, b] = [r, g, b].map(|byte| match byte {
        0..48 => 0,
        48..115 => 1,
        _ => (u32::from(byte) - 35) / 40,
    });
    format!("5;{}", 16 + 36 * r + 6 * g + b)
}

/// A line as runs of one style each.
pub(super) type Line = Vec<(String, Style)>;

/// Writes one line. White space at its end is dropped, no-break spaces become ordinary ones.
pub(super) fn paint(line: &Line, colors: Colors, out: &mut dyn Write) -> io::Result<()> {
    let end = line.iter().rposition(|(text, _)| !text.trim_end().is_empty()).map_or(0, |i| i + 1);
    let mut runs: Line = Vec::new();
    for (i, (text, style)) in line[..end].iter().enumerate() {
        let text = if i + 1 == end { text.trim_end() } else { text };
        let text = text.replace('\u{a0}', " ");
        match runs.last_mut() {
            Some((run, last)) if last == style => run.push_str(&text),
            _ => runs.push((text, *style)),
        }
    }
    for (text, style) in runs {
        let parameters = style.parameters(colors);
        if parameters.is_empty() || text.is_empty() {
            write!(out, "{text}")?;
        } else {
            write!(out, "\u{1b}[{parameters}m{text}\u{1b}[0m")?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::contrast;

    #[test]
    fn colours_read_on_black_and_on_white_and_are_in_the_cube() {
        for hue in [Hue::Raises, Hue::Lowers, Hue::Strength] {
            let Rgb(r, g, b) = hue.colour();
            for page in [Rgb(0, 0, 0), Rgb(255, 255, 255)] {
                // 3 : 1 is what WCAG asks of bold text and of graphics.
                let ratio = contrast(hue.colour(), page);
                assert!(ratio >= 3.0, "{hue:?}: {ratio}");
            }
            assert!([r, g, b].iter().all(|v| [0, 95, 135, 175, 215, 255].contains(v)));
            assert!(contrast(ink(hue.colour()), hue.colour()) >= 4.5);
        }
        assert_eq!(foreground(Rgb(0xd7, 0x5f, 0), Colors::Ansi256), "38;5;166");
        assert_eq!(foreground(Rgb(0xd7, 0x5f, 0), Colors::TrueColor), "38;2;215;95;0");
    }
}
