//! Estimated widths of text, in em.
//!
//! After the advance widths of Helvetica, rounded and grouped; a little too wide rather than too
//! narrow, so that words do not run into each other in another font.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::Font;

/// Estimates how wide a text is, in em.
pub(super) fn width(text: &str, font: Font) -> f64 {
    let factor = match font {
        Font::Sans => 1.0,
        // Times is narrower, what replaces it where it is missing is not.
        Font::Serif => 1.05,
    };
    text.graphemes(true).map(|grapheme| advance(grapheme) * factor).sum()
}

fn advance(grapheme: &str) -> f64 {
    let mut chars = grapheme.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() => match c {
            'i' | 'j' | 'l' | '\'' | '|' => 0.25,
            'f' | 't' | 'I' | ' ' | '.' | ',' | ':' | ';' | '!' | '/' | '\\' | '[' | ']' => 0.30,
            'r' | '(' | ')' | '-' | '`' | '{' | '}' | '"' => 0.36,
            'c' | 'k' | 's' | 'v' | 'x' | 'y' | 'z' | 'J' => 0.51,
            'm' | 'M' => 0.86,
            'w' => 0.73,
            'W' | '@' => 1.0,
            '%' => 0.90,
            'C' | 'D' | 'G' | 'H' | 'N' | 'O' | 'Q' | 'R' | 'U' => 0.76,
            'A'..='Z' | '&' => 0.68,
            '+' | '<' | '=' | '>' | '~' => 0.59,
            _ => 0.57,
        },
        // Other scripts by columns: two for Chinese, which is one em, none for a lone mark.
        _ => match grapheme.width() {
            0 => 0.0,
            1 => 0.62,
            columns => 0.5 * columns as f64,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_near_helvetica() {
        // Sum of the advance widths in the font's published metrics: 3.890 em.
        assert!((width("touching", Font::Sans) - 3.89).abs() < 0.15);
        assert_eq!(width("电影", Font::Sans), 2.0);
        assert_eq!(width("e\u{301}", Font::Sans), 0.62);
        assert_eq!(width("", Font::Serif), 0.0);
    }
}
