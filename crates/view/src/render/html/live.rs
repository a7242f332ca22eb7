//! The page's script: the elements of `web/`, which draw a document where scripts run.

use std::io::{self, Write};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::text::acts;
use crate::units::By;

/// All elements, as `web/` builds them: a module that imports nothing.
pub(super) const ELEMENTS: &str = include_str!("../../../../../web/dist/elements.js");

/// The script as a content security policy names it: `sha256-` and its digest.
pub(super) fn hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(ELEMENTS.as_bytes())))
    });
    &HASH
}

/// Writes a document for the script, and around the article that is shown without one.
///
/// # Errors
/// Those of the writer.
pub(super) fn report(
    document: &impl Serialize,
    by: By,
    article: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let by = match by {
        By::Word => "word",
        By::Token => "token",
    };
    let json = inert(&serde_json::to_string(document)?);
    write!(
        out,
        "<glossator-report by=\"{by}\">\n<script type=\"application/json\">{json}</script>\n\
         {article}</glossator-report>\n"
    )
}

/// JSON that nothing can close or act in: `<`, and characters that act on a display, stand in strings
/// only, where they can be escaped.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '<' || acts(c) {
            let units = &mut [0; 2];
            for unit in c.encode_utf16(units) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_ends_where_it_should() {
        // `<!--` and `<script` would change what `</script>` means to a parser.
        for text in ["</script", "<!--", "<script"] {
            assert!(!ELEMENTS.contains(text), "{text}");
        }
        let acting: Vec<char> = ELEMENTS.chars().filter(|&c| acts(c) && c != '\n').collect();
        assert!(acting.is_empty(), "{acting:?}");
    }

    #[test]
    fn the_hash_is_that_of_the_text_between_the_tags() {
        assert!(hash().starts_with("sha256-") && hash().ends_with('='));
        assert_eq!(hash().len(), "sha256-".len() + 44);
    }

    #[test]
    fn nothing_in_a_document_closes_the_script() -> io::Result<()> {
        let mut out = Vec::new();
        let text = "</script><!--<script>\u{202e}\u{e0001}\u{7f}";
        report(&text, By::Word, "", &mut out)?;
        let page = String::from_utf8_lossy(&out);
        let json = page.split_once("json\">").and_then(|(_, rest)| rest.split_once("</script>"));
        let json = json.map(|(json, _)| json).unwrap_or_default();
        assert!(!json.chars().any(|c| c == '<' || acts(c)), "{json}");
        assert_eq!(serde_json::from_str::<String>(json)?, text);
        Ok(())
    }
}
