//! Attacks as text: what goes is struck through and in `[-..-]`, what comes is underlined and in
//! `{+..+}`, so that it reads without colours too.

use std::io::{self, Write};

use super::{Page, Span, Style, Terminal};
use crate::diff::{Part, parts};
use crate::render::attack::{
    AttackRenderer, check, lines, proof, reduces, said, trigger_lines, verdict,
};
use crate::render::summary;
use crate::text::{Marks, visible, visible_lines};
use crate::wire::{AttackDocument, AttackResult, AttackSummary, TriggerDocument};

/// Other reductions that are shown.
const OTHERS: usize = 5;

impl AttackRenderer for Terminal {
    fn attack(&mut self, document: &AttackDocument, out: &mut dyn Write) -> io::Result<()> {
        check(document)?;
        self.page(out, |page| {
            page.prediction(&said(document, &document.input, &document.original))?;
            let mut items = summary::method(&document.attack, page.marks);
            items.push(visible(&document.model.id, page.marks).into_owned());
            page.items(None, &items, Style::Dim)?;
            if document.results.is_empty() {
                let nothing = Span::new("there is nothing to attack", Style::Bold);
                return page.flow(&[nothing], 0, 2);
            }
            for (r, result) in document.results.iter().enumerate() {
                page.blank()?;
                page.result(document, r, result)?;
            }
            Ok(())
        })
    }

    fn summary(&mut self, summary: &AttackSummary, out: &mut dyn Write) -> io::Result<()> {
        self.page(out, |page| {
            page.flow(&[Span::new("summary", Style::Bold)], 0, 2)?;
            page.table(&lines(summary))
        })
    }

    fn trigger(&mut self, document: &TriggerDocument, out: &mut dyn Write) -> io::Result<()> {
        self.page(out, |page| {
            let phrase = summary::quote(&document.trigger.text, page.marks);
            page.flow(&[Span::new(phrase, Style::Bold)], 0, 2)?;
            let mut items = summary::method(&document.attack, page.marks);
            items.push(visible(&document.model.id, page.marks).into_owned());
            page.items(None, &items, Style::Dim)?;
            page.table(&trigger_lines(document))
        })
    }
}

impl Terminal {
    /// Writes something with an empty line before it, unless it is the first.
    fn page(
        &mut self,
        out: &mut dyn Write,
        write: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let marks = if self.options.unicode { Marks::Unicode } else { Marks::Ascii };
        let width = self.options.width.max(super::NARROWEST);
        let mut page = Page { options: &self.options, marks, width, out };
        if self.written {
            page.blank()?;
        }
        self.written = true;
        write(&mut page)
    }
}

impl Page<'_> {
    fn result(
        &mut self,
        document: &AttackDocument,
        index: usize,
        result: &AttackResult,
    ) -> io::Result<()> {
        if document.results.len() > 1 {
            let original = said(document, &document.input, &document.original);
            let question = summary::question(&original, &result.target, self.marks);
            let decision = question.strip_prefix("why ").unwrap_or(&question);
            let title = format!("{}. {decision}", index + 1);
            self.flow(&[Span::new(title, Style::Bold)], 0, 2)?;
        }
        for (f, field) in document.input.fields.iter().enumerate() {
            if document.input.fields.len() > 1 {
                let name = visible(&field.name, self.marks).into_owned();
                self.flow(&[Span::new(name, Style::Dim)], 0, 2)?;
            }
            let mut spans = Vec::new();
            for part in parts(f, &field.text, &result.edits) {
                let shown = |text: &str| visible_lines(text, self.marks);
                spans.push(match part {
                    Part::Same(text) => Span::new(shown(text), Style::Plain),
                    Part::Gone(text) => Span::new(format!("[-{}-]", shown(text)), Style::Gone),
                    Part::New(text) => Span::new(format!("{{+{}+}}", shown(text)), Style::New),
                });
            }
            if spans.is_empty() {
                spans.push(Span::new("(empty)", Style::Dim));
            }
            self.flow(&spans, 2, 0)?;
        }
        self.blank()?;
        self.prediction(&said(document, &result.r#final, &result.prediction))?;
        let (what, rest) = verdict(document, result);
        let style = if result.success { Style::Bold } else { Style::Alert };
        let spans = [Span::new(what, style), Span::new(format!(" {rest}"), Style::Plain)];
        self.flow(&spans, 0, 2)?;
        if let Some(certificate) = &result.certificate {
            self.flow(&[Span::new(proof(document, certificate), Style::Plain)], 0, 2)?;
        }
        if reduces(document) && !result.others.is_empty() {
            let quoted = |texts: &Vec<String>| summary::quote(&texts.join(" / "), self.marks);
            let mut shown: Vec<_> = result.others.iter().take(OTHERS).map(quoted).collect();
            let more = result.others.len().saturating_sub(OTHERS);
            if more > 0 {
                shown.push(format!("{more} more"));
            }
            let line = format!("as short: {}", shown.join(", "));
            self.flow(&[Span::new(line, Style::Dim)], 0, 2)?;
        }
        for note in &result.notes {
            let note = visible(note, self.marks).into_owned();
            let spans = [Span::new("note: ", Style::Bold), Span::new(note, Style::Plain)];
            self.flow(&spans, 0, 2)?;
        }
        Ok(())
    }

    fn table(&mut self, lines: &[(&'static str, String)]) -> io::Result<()> {
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            let name = format!("{name:width$}  ").replace(' ', "\u{a0}");
            let spans = [Span::new(name, Style::Dim), Span::new(value.as_str(), Style::Plain)];
            self.flow(&spans, 2, width + 2)?;
        }
        Ok(())
    }
}
