//! Attacks in every format.

use std::collections::BTreeMap;

use glossator_view::render::attack::AttackRenderer;
use glossator_view::render::{csv, html, json, terminal};
use glossator_view::wire::{
    AttackDocument, AttackResult, AttackSummary, Certificate, Counts, Edit, Field, Input,
    LabelScore, Labels, Mean, Method, Model, Prediction, Target, Token, Trigger, TriggerDocument,
    attack_schema,
};

fn model() -> Model {
    Model::new("tiny", "bert", "text-classification", None)
}

fn method(id: &str) -> Method {
    Method::new(id, BTreeMap::from([("beam".to_owned(), 3.into())]))
}

fn said(positive: f64) -> Prediction {
    let labels = vec![
        LabelScore::new("negative", 1.0 - positive, Some(0.0)),
        LabelScore::new("positive", positive, Some(0.0)),
    ];
    Prediction::single_label(Labels::new(labels).unwrap())
}

fn input(text: &str) -> Input {
    let mut at = 0;
    let words = text.split(' ').enumerate().map(|(w, word)| {
        let start = at;
        at += word.len() + 1;
        Token::new(word, start, start + word.len(), Some(w))
    });
    Input::new(vec![Field::new("text", text, words.collect())])
}

fn flip() -> AttackDocument {
    let mut document =
        AttackDocument::new(model(), method("hotflip"), input("a <good> film"), said(0.9));
    let target = Target::label("positive", "logit");
    let mut result = AttackResult::new(target, true, input("a bad film"), said(0.1));
    result.edits = vec![Edit::new(0, 2, "<good>", "bad")];
    let set = "30 replacements of 3 words, no word twice".to_owned();
    result.certificate = Some(Certificate::Minimal { size: 1, evaluated: 0, set });
    result.forward_passes = 6;
    result.gradient_evaluations = 1;
    document.results.push(result);
    document
}

fn reduction() -> AttackDocument {
    let attack = method("input-reduction");
    let mut document = AttackDocument::new(model(), attack, input("a good film"), said(0.9));
    let target = Target::label("positive", "logit");
    let mut result = AttackResult::new(target, true, input("good"), said(0.8));
    result.edits = vec![Edit::new(0, 0, "a ", ""), Edit::new(0, 6, " film", "")];
    result.kept = Some(vec![vec![1]]);
    result.others = vec![vec!["film".to_owned()]];
    document.results.push(result);
    document
}

fn summary() -> AttackSummary {
    let mut counts = Counts::default();
    (counts.inputs, counts.attacked, counts.succeeded) = (4, 3, 2);
    counts.success_rate = Some(Mean::new(2.0 / 3.0, [0.2, 0.9]));
    counts.edits = Some(Mean::new(1.5, [1.0, 2.0]));
    AttackSummary::new(model(), method("hotflip"), counts)
}

fn trigger() -> TriggerDocument {
    let seen = Mean::new(0.5, [0.2, 0.8]);
    TriggerDocument::new(model(), method("trigger"), Trigger::new("so <dull>", seen, None))
}

fn written(renderer: &mut dyn AttackRenderer) -> String {
    let mut out = Vec::new();
    renderer.begin(&mut out).unwrap();
    renderer.attack(&flip(), &mut out).unwrap();
    renderer.attack(&reduction(), &mut out).unwrap();
    renderer.summary(&summary(), &mut out).unwrap();
    renderer.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text_reads_without_colour() {
    let text = written(&mut terminal::Terminal::default());
    assert!(text.contains("  a [-<good>-]{+bad+} film\n"), "{text}");
    assert!(text.contains("flipped by 1 edit; 6 forward passes, 1 gradient"), "{text}");
    assert!(text.contains("proven: no flip of less than 1 edit among 30 replacements"), "{text}");
    assert!(text.contains("  [-a-] good [-film-]\n"), "{text}");
    assert!(
        text.contains("reduced to 1 of 3 tokens;") && text.contains("as short: “film”"),
        "{text}"
    );
    assert!(
        text.contains("success rate") && text.contains("66.7% (95% interval 20.0% to 90.0%)"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
    let options = terminal::Options { colors: terminal::Colors::Ansi256, ..Default::default() };
    let coloured = written(&mut terminal::Terminal::new(options));
    assert!(coloured.contains("\u{1b}[9;") && coloured.contains("[-<good>-]"), "{coloured}");
    for width in [30, 40, 200] {
        let options = terminal::Options { width, ..Default::default() };
        let text = written(&mut terminal::Terminal::new(options));
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
    }
}

#[test]
fn pages_mark_what_goes_and_comes() {
    let page = crate::without_scripts(&written(&mut html::Html::default()));
    assert!(page.contains("a <del>&lt;good&gt;</del><ins>bad</ins> film"), "{page}");
    assert!(page.contains("<del>a</del> good <del>film</del>"), "{page}");
    assert!(page.contains("<dt>success rate</dt>"), "{page}");
    assert!(page.trim_end().ends_with("</html>"));
}

#[test]
fn rows_hold_both_texts() {
    let rows = written(&mut csv::Attacks::new());
    let lines: Vec<&str> = rows.lines().collect();
    assert_eq!(lines.len(), 3, "{rows}");
    assert_eq!(lines[0], csv::ATTACK_COLUMNS.join(","));
    assert!(lines[1].contains("a <good> film,a bad film"), "{rows}");
    assert!(lines[2].contains("a good film,good"), "{rows}");
}

#[test]
fn json_reads_back() {
    let lines = written(&mut json::Json::default());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(serde_json::from_str::<AttackDocument>(lines[0]).unwrap(), flip());
    assert_eq!(serde_json::from_str::<AttackDocument>(lines[1]).unwrap(), reduction());
    assert_eq!(serde_json::from_str::<AttackSummary>(lines[2]).unwrap(), summary());
    let schema = attack_schema().to_string();
    for key in ["results", "edits", "certificate", "success_rate", "held_out"] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn a_trigger_has_a_line_of_its_own() {
    for renderer in [
        &mut terminal::Terminal::default() as &mut dyn AttackRenderer,
        &mut json::Json::default(),
        &mut html::Html::default(),
        &mut csv::Attacks::new(),
    ] {
        let mut out = Vec::new();
        renderer.trigger(&trigger(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("dull"), "{out}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let spoiled: [fn(&mut AttackDocument); 7] = [
        |d| d.version = 2,
        |d| d.results[0].edits[0].start = 3,
        |d| d.results[0].edits[0].field = 1,
        |d| d.results[0].edits[0].to = "worse".to_owned(),
        |d| d.results[0].edits.push(Edit::new(0, 2, "<good>", "bad")),
        |d| d.results[0].kept = Some(vec![vec![9]]),
        |d| d.results[0].r#final.fields.clear(),
    ];
    assert!(flip().check().is_ok() && reduction().check().is_ok());
    for (i, spoil) in spoiled.into_iter().enumerate() {
        let mut document = flip();
        spoil(&mut document);
        assert!(document.check().is_err(), "{i}");
        let mut out = Vec::new();
        let error = AttackRenderer::attack(&mut html::Html::default(), &document, &mut out);
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{i}");
    }
}
