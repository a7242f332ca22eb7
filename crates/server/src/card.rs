//! What a model's card says in a sentence. Cards are written by anyone: what they say is text.

use std::path::Path;

/// The largest card that is read.
const MOST: u64 = 1 << 20;
/// Characters of a description.
const LONGEST: usize = 300;

/// What is told of a model in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Card {
    /// The first sentence; empty without a card.
    pub(crate) description: String,
    pub(crate) license: Option<String>,
}

impl Card {
    /// The card in a model's directory, or beside its file.
    pub(crate) fn beside(path: &Path) -> Self {
        let dir = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let read = |name: &str| {
            let file = dir.join(name);
            let small = std::fs::metadata(&file).is_ok_and(|file| file.len() <= MOST);
            if small { std::fs::read_to_string(file).ok() } else { None }
        };
        let text = read("MODEL_CARD.md").or_else(|| read("README.md"));
        text.map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Reads a card: settings between lines of three dashes, then Markdown.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let (settings, body) = match text.strip_prefix("---\n").map(|rest| rest.split_once("\n---"))
        {
            Some(Some((settings, body))) => (settings, body),
            _ => ("", text.as_str()),
        };
        let license = settings.lines().find_map(|line| line.strip_prefix("license:"));
        let license = license.map(|name| name.trim().trim_matches(['"', '\'']).to_owned());
        let license = license.filter(|name| !name.is_empty() && name.len() <= 100);
        Self { description: description(body), license }
    }
}

/// The first sentence of the first paragraph that is prose.
fn description(body: &str) -> String {
    let prose = |paragraph: &&str| paragraph.trim().starts_with(|c: char| c.is_alphanumeric());
    let Some(paragraph) = body.split("\n\n").find(prose) else { return String::new() };
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.replace(['`', '*'], "");
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    let mut sentence: String = line[..end].chars().take(LONGEST).collect();
    if sentence.len() < end {
        sentence.push_str("...");
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_gives_its_first_sentence_and_licence() {
        let text = "---\nlicense: apache-2.0\nlanguage:\n- en\n---\n\n# name\n\n![a](b)\n\nSays \
                    whether a `text`\nis good. It has layers.\n\nMore.";
        let card = Card::parse(text);
        assert_eq!(card.description, "Says whether a text is good.");
        assert_eq!(card.license.as_deref(), Some("apache-2.0"));
    }

    #[test]
    fn anything_is_a_card() {
        assert_eq!(Card::parse(""), Card::default());
        assert_eq!(Card::parse("---\nlicense: x").license, None);
        assert_eq!(Card::parse("a\r\n\r\nb").description, "a");
        let long = Card::parse(&"ä".repeat(1000)).description;
        assert_eq!(long.chars().count(), LONGEST + 3);
        assert_eq!(Card::parse("<script>").description, "");
    }
}
