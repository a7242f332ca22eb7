//! What holds for any document, however hostile its text.

use glossator_view::By;
use glossator_view::render::{Renderer, csv, html, json, svg, terminal, to_string};
use glossator_view::wire::Document;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use crate::any;

/// Removes the escape sequences that are ours: ESC [ digits and semicolons m.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        let rest = end.map_or(part, |end| &part[end..]);
        plain += rest.strip_prefix('m').unwrap_or("\u{1b}");
    }
    plain
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Walks through markup, checking that it nests; returns the names of all elements and the text.
fn parse(markup: &str, void: &[&str]) -> (Vec<String>, String) {
    let (mut names, mut text, mut open) = (Vec::new(), String::new(), Vec::new());
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = rest[at..].find('>').expect("every < of ours is closed") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains('<'), "{tag}");
        let part = |c: &char| c.is_alphanumeric() || *c == '-';
        let name: String = tag.trim_start_matches('/').chars().take_while(part).collect();
        if tag.starts_with('!') {
            continue;
        } else if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        names.push(name.clone());
        // Attributes: an even number of quotes, and nothing odd outside of them.
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(outside.chars().all(|c| c.is_ascii_alphanumeric() || " =-:/".contains(c)), "{tag}");
        if !tag.ends_with('/') && !void.contains(&name.as_str()) {
            open.push(name);
        }
    }
    text.push_str(rest);
    assert!(open.is_empty(), "{open:?}");
    (names, text)
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![Just(By::Word), Just(By::Token)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_document_here_is_sound(document in any::document()) {
        prop_assert!(document.check().is_ok(), "{:?}", document.check());
    }

    #[test]
    fn json_round_trips(document in any::document(), pretty in any::<bool>()) {
        let text = to_string(&mut json::Json::new(json::Options { pretty }), [&document]).unwrap();
        prop_assert_eq!(pretty || text.lines().count() == 1, true);
        prop_assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    }

    #[test]
    fn terminal_is_safe_and_fits(
        document in any::document(),
        by in by(),
        width in 0..160usize,
        unicode in any::<bool>(),
        colors in prop_oneof![
            Just(terminal::Colors::None),
            Just(terminal::Colors::Ansi256),
            Just(terminal::Colors::TrueColor)
        ],
    ) {
        let options = terminal::Options { width, colors, unicode, by };
        let text = to_string(&mut terminal::Terminal::new(options), [&document, &document]).unwrap();
        let plain = without_colours(&text);
        prop_assert!(colors != terminal::Colors::None || plain == text);
        for line in plain.lines() {
            prop_assert!(!line.chars().any(acts), "{line:?}");
            prop_assert!(line.width() <= width.max(30), "{} > {width}: {line:?}", line.width());
            prop_assert_eq!(line.trim_end_matches(' '), line);
        }
    }

    #[test]
    fn html_holds_no_markup_but_ours(document in any::document(), by in by()) {
        let options = html::Options { by, title: document.model.id.clone(), ..Default::default() };
        let page = to_string(&mut html::Html::new(options), [&document]).unwrap();
        let (_, data) = page.split_once("<script type=\"application/json\">").unwrap();
        let data = data.split_once("</script>").unwrap().0;
        prop_assert_eq!(serde_json::from_str::<Document>(data).unwrap(), document);
        let page = crate::without_scripts(&page);
        let style = page.find("</style>").unwrap();
        prop_assert_eq!(page.matches("</style").count(), 1);
        let (names, text) = parse(&page[style + 8..].replacen("</head>", "<head></head>", 1).replacen("</html>", "", 1), &["meta"]);
        for name in names {
            prop_assert!([
                "head", "body", "main", "h1", "h2", "h3", "h4", "article", "header", "section", "div",
                "p", "span", "bdi", "ul", "ol", "li", "details", "summary", "table", "thead", "tbody",
                "tr", "th", "td", "strong", "mark", "glossator-report"
            ].contains(&name.as_str()), "{}", name);
        }
        prop_assert!(!text.chars().any(|c| acts(c) && c != '\n'));
    }

    #[test]
    fn svg_is_xml(document in any::document(), by in by(), width in 0..1200u32, serif in any::<bool>()) {
        let font = if serif { svg::Font::Serif } else { svg::Font::Sans };
        let options = svg::Options { by, width, font, ..Default::default() };
        let image = to_string(&mut svg::Svg::new(options), [&document, &document]).unwrap();
        let (names, text) = parse(&image, &[]);
        for name in names {
            prop_assert!([
                "svg", "title", "desc", "rect", "text", "tspan", "g", "path", "linearGradient", "stop"
            ].contains(&name.as_str()), "{}", name);
        }
        // XML 1.0, production 2: Char.
        let allowed = |c: char| c == '\n' || !(acts(c) || matches!(c, '\u{fffe}' | '\u{ffff}'));
        prop_assert!(text.chars().all(allowed) && image.chars().all(allowed));
        prop_assert!(!image.contains("NaN") && !image.contains("=\"inf"));
    }

    #[test]
    fn csv_reads_back(document in any::document(), by in by()) {
        let mut renderer = csv::Csv::new(csv::Options { by });
        let table = to_string(&mut renderer, [&document, &document]).unwrap();
        crate::csv::check(&table, &document, by)?;
    }

    #[test]
    fn a_renderer_refuses_what_json_cannot_say(mut document in any::document(), bad in prop_oneof![
        Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)
    ]) {
        prop_assume!(!document.explanations.is_empty());
        document.explanations[0].scores[0][0] = bad;
        let renderers: [Box<dyn Renderer>; 5] = [
            Box::<json::Json>::default(),
            Box::<csv::Csv>::default(),
            Box::<terminal::Terminal>::default(),
            Box::<html::Html>::default(),
            Box::<svg::Svg>::default(),
        ];
        for mut renderer in renderers {
            let error = to_string(&mut *renderer, [&document]).unwrap_err();
            prop_assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        }
    }
}
