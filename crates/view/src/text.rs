//! Making foreign text safe and measurable: what is invisible is spelled out.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Which characters our own marks may use; the document's text keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    Unicode,
    Ascii,
}

impl Marks {
    /// Picks the mark that can be shown.
    pub(crate) fn pick<'a>(self, unicode: &'a str, ascii: &'a str) -> &'a str {
        match self {
            Marks::Unicode => unicode,
            Marks::Ascii => ascii,
        }
    }
}

/// Says whether a character would act on the display instead of being seen: controls, direction
/// marks, invisible separators. Joiners and variation selectors stay, words and emoji need them.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
        || is_noncharacter(c)
}

/// Says whether Unicode will never give this code point a meaning; XML forbids two of them.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

/// Spells out the characters that act on the display: `␛` for ESC, `\u{202e}` for the others.
pub(crate) fn visible(text: &str, marks: Marks) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match u32::from(c) {
            code @ 0..0x20 if marks == Marks::Unicode => {
                out.extend(char::from_u32(0x2400 + code));
            }
            0x7f if marks == Marks::Unicode => out.push('␡'),
            _ if acts(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Like [`visible`], but leaves line breaks and turns tabs into spaces: for running text.
pub(crate) fn visible_lines(text: &str, marks: Marks) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', " ");
    text.split('\n').map(|line| visible(line, marks)).collect::<Vec<_>>().join("\n")
}

/// Makes a text fit to stand alone, in a list: white space and nothing at all become visible, and
/// a combining mark gets something to sit on.
pub(crate) fn label(text: &str, marks: Marks) -> String {
    let text: Cow<'_, str> = if text.is_empty() {
        "(empty)".into()
    } else if text.chars().all(|c| c == ' ' || c == '\u{a0}') {
        marks.pick("␣", "_").repeat(text.chars().count()).into()
    } else {
        visible(text, marks)
    };
    let stands_alone = text.graphemes(true).next().is_none_or(|first| first.width() > 0);
    if stands_alone { text.into_owned() } else { format!("{}{text}", marks.pick("◌", "_")) }
}

/// A token of a language model, fit to stand in a list: the spaces that it begins with are shown.
pub(crate) fn token(text: &str, marks: Marks) -> String {
    let body = text.trim_start_matches(' ');
    if body.is_empty() {
        return label(text, marks);
    }
    marks.pick("␣", "_").repeat(text.len() - body.len()) + &label(body, marks)
}

/// A text in quotation marks, without the white space around it.
pub(crate) fn quoted(text: &str, marks: Marks) -> String {
    let body = if text.trim().is_empty() { text } else { text.trim() };
    format!("{}{}{}", marks.pick("“", "\""), label(body, marks), marks.pick("”", "\""))
}

/// Cuts a text to at most `width` columns, the ellipsis included.
pub(crate) fn cut(text: &str, width: usize, marks: Marks) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > width {
            break;
        }
        out.push_str(grapheme);
    }
    out.push_str(marks.pick("…", "~"));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_out_what_acts() {
        let text = "a\u{1b}[31m\u{0}\u{7f}\u{85}\u{202e}x\u{200b}";
        insta::assert_snapshot!(visible(text, Marks::Unicode), @r#"a␛[31m␀␡\u{85}\u{202e}x\u{200b}"#);
        insta::assert_snapshot!(visible(text, Marks::Ascii), @r#"a\u{1b}[31m\u{0}\u{7f}\u{85}\u{202e}x\u{200b}"#);
    }

    #[test]
    fn leaves_joiners_and_emoji() {
        for text in ["می\u{200c}خواهم", "👩\u{200d}👩\u{200d}👧", "☺\u{fe0f}", "e\u{301}"]
        {
            assert!(matches!(visible(text, Marks::Unicode), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn labels_stand_alone() {
        assert_eq!(label("", Marks::Unicode), "(empty)");
        assert_eq!(label("  ", Marks::Unicode), "␣␣");
        assert_eq!(label("\n", Marks::Unicode), "␊");
        assert_eq!(label("\u{301}", Marks::Unicode), "◌\u{301}");
        assert_eq!(token(" Paris", Marks::Unicode), "␣Paris");
        assert_eq!(token("ly", Marks::Ascii), "ly");
        assert_eq!(token("\n", Marks::Unicode), "␊");
        assert_eq!(quoted(" Paris", Marks::Unicode), "“Paris”");
        assert_eq!(quoted(" ", Marks::Ascii), "\"_\"");
    }

    #[test]
    fn cuts_by_columns_and_between_characters() {
        assert_eq!(cut("touching", 8, Marks::Unicode), "touching");
        assert_eq!(cut("touching", 7, Marks::Unicode), "touchi…");
        assert_eq!(cut("电影很感人", 6, Marks::Unicode), "电影…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2, Marks::Ascii), "e\u{301}~");
    }
}
