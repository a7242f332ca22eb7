//! Attacks as a page: `del` and `ins`, which are struck through and underlined, and which screen
//! readers know.

use std::io::{self, Write};

use super::live::report;
use super::{Html, MARKS, bdi, escape, headline, list};
use crate::diff::{Part, parts};
use crate::render::attack::{
    AttackRenderer, check, lines, proof, reduces, said, trigger_lines, verdict,
};
use crate::render::{Renderer, summary};
use crate::text::{visible, visible_lines};
use crate::wire::{AttackDocument, AttackResult, AttackSummary, TriggerDocument};

impl AttackRenderer for Html {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        Renderer::begin(self, out)
    }

    fn attack(&mut self, document: &AttackDocument, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        let mut page = String::from("<article>\n<header>\n");
        let original = said(document, &document.input, &document.original);
        page += &format!("<h2>{}</h2>\n", headline(&original));
        let mut how = summary::method(&document.attack, MARKS);
        how.push(visible(&document.model.id, MARKS).into_owned());
        let how: Vec<_> = how.iter().map(|item| bdi(item)).collect();
        page += &format!("<p class=\"quiet\">{}</p>\n</header>\n", how.join(" · "));
        if document.results.is_empty() {
            page += "<p class=\"verdict\">there is nothing to attack</p>\n";
        }
        for result in &document.results {
            section(document, result, &mut page);
        }
        page += "</article>\n";
        report(document, self.options.by, &page, out)
    }

    fn summary(&mut self, summary: &AttackSummary, out: &mut dyn Write) -> io::Result<()> {
        let page = format!(
            "<article>\n<header>\n<h2>summary</h2>\n</header>\n{}</article>\n",
            table(&lines(summary))
        );
        report(summary, self.options.by, &page, out)
    }

    fn trigger(&mut self, document: &TriggerDocument, out: &mut dyn Write) -> io::Result<()> {
        let mut how = summary::method(&document.attack, MARKS);
        how.push(visible(&document.model.id, MARKS).into_owned());
        let how: Vec<_> = how.iter().map(|item| bdi(item)).collect();
        let page = format!(
            "<article>\n<header>\n<h2>{}</h2>\n<p class=\"quiet\">{}</p>\n</header>\n{}</article>\n",
            bdi(&summary::quote(&document.trigger.text, MARKS)),
            how.join(" · "),
            table(&trigger_lines(document))
        );
        report(document, self.options.by, &page, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        Renderer::end(self, out)
    }
}

fn section(document: &AttackDocument, result: &AttackResult, page: &mut String) {
    *page += "<section>\n";
    let original = said(document, &document.input, &document.original);
    let question = summary::question(&original, &result.target, MARKS);
    let decision = question.strip_prefix("why ").unwrap_or(&question);
    *page += &format!("<h3>{}</h3>\n", escape(decision));
    for (f, field) in document.input.fields.iter().enumerate() {
        if document.input.fields.len() > 1 {
            *page += &format!("<h4>{}</h4>\n", bdi(&visible(&field.name, MARKS)));
        }
        *page += "<p class=\"text\" dir=\"auto\">";
        for part in parts(f, &field.text, &result.edits) {
            let shown = |text: &str| escape(&visible_lines(text, MARKS));
            *page += &match part {
                Part::Same(text) => shown(text),
                Part::Gone(text) => format!("<del>{}</del>", shown(text)),
                Part::New(text) => format!("<ins>{}</ins>", shown(text)),
            };
        }
        *page += "</p>\n";
    }
    let (what, rest) = verdict(document, result);
    let class = if result.success { "verdict" } else { "alert" };
    *page += &format!("<p class=\"{class}\"><strong>{what}</strong> {}</p>\n", escape(&rest));
    let now = said(document, &result.r#final, &result.prediction);
    *page += &format!("<p>{}</p>\n", headline(&now));
    for group in summary::groups(&now, MARKS).iter().filter(|group| group.answers.len() > 1) {
        list(group, page);
    }
    if let Some(certificate) = &result.certificate {
        *page += &format!("<p class=\"note\">{}</p>\n", escape(&proof(document, certificate)));
    }
    if reduces(document) && !result.others.is_empty() {
        let count = result.others.len();
        *page += &format!("<details>\n<summary>{count} as short</summary>\n<ul>\n");
        for other in &result.others {
            *page += &format!("<li>{}</li>\n", bdi(&visible_lines(&other.join(" / "), MARKS)));
        }
        *page += "</ul>\n</details>\n";
    }
    for note in &result.notes {
        *page += &format!("<p class=\"note\">{}</p>\n", escape(&visible(note, MARKS)));
    }
    *page += "</section>\n";
}

fn table(lines: &[(&'static str, String)]) -> String {
    let rows: String = lines
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(value)))
        .collect();
    format!("<dl>\n{rows}</dl>\n")
}
