//! The HTML page.

use glossator_view::By;
use glossator_view::render::html::{Html, Options};
use glossator_view::render::to_string;
use glossator_view::wire::Document;

use crate::sample;

fn page(document: &Document, by: By) -> String {
    to_string(&mut Html::new(Options { by, ..Options::default() }), [document]).unwrap()
}

#[test]
fn the_text_is_shaded_and_numbered() {
    let page = page(&sample::film(), By::Word);
    let text = page.lines().find(|line| line.starts_with("<p class=\"text\"")).unwrap();
    insta::assert_snapshot!(text.replace("<span", "\n<span"), @r#"
    <p class="text" dir="auto">
    <span class="w" title="0.0">A</span> 
    <span class="w p10" title="2.4" data-v="+2.4">touching</span> 
    <span class="w p1" title="0.31" data-v="+.3">film</span>
    <span class="w" title="0.0">,</span> 
    <span class="w n2" title="-0.42" data-v="−.4">but</span> 
    <span class="w n5" title="-1.1" data-v="−1.1">not</span> 
    <span class="w" title="0.05">short</span>
    <span class="w" title="0.0">.</span></p>
    "#);
}

#[test]
fn tokens_include_the_special_ones() {
    let page = page(&sample::film(), By::Token);
    let text = page.lines().find(|line| line.starts_with("<p class=\"text\"")).unwrap();
    insta::assert_snapshot!(text.replace("<span", "\n<span").lines().take(5).collect::<Vec<_>>().join("\n"), @r#"
    <p class="text" dir="auto"><bdi class="w p1 special mark" title="0.2">[CLS]</bdi>
    <span class="w" title="0.0">A</span> 
    <span class="w p10" title="1.7999999999999998" data-v="+1.8">touchi</span>
    <span class="w p3 k1" title="0.6" data-v="+.6">ng</span> 
    <span class="w p2" title="0.31" data-v="+.3">film</span>
    "#);
}

#[test]
fn nothing_is_loaded_or_run() {
    let (page, script) = without_script(&page(&sample::film(), By::Word));
    let policy = page.split_once("content=\"").unwrap().1.split_once('"').unwrap().0;
    let (hash, rest) = policy
        .strip_prefix("default-src 'none'; script-src '")
        .and_then(|rest| rest.split_once("'; "))
        .unwrap();
    assert_eq!(
        rest,
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    );
    assert!(hash.starts_with("sha256-"), "{hash}");
    // The one script that may run imports nothing; what else looks like one is data.
    assert!(script.contains("customElements.define"));
    for word in ["import(", "import\"", "import{", "eval(", "innerHTML=this", "fetch("] {
        assert!(!script.contains(word), "{word}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<script type=\"application/json\">").count(), 1);
    for word in ["src=", "href=", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
}

/// The page without its script, and the script.
fn without_script(page: &str) -> (String, String) {
    let (before, rest) = page.split_once("<script type=\"module\">").unwrap();
    let (script, after) = rest.split_once("</script>").unwrap();
    (format!("{before}{after}"), script.to_owned())
}

#[test]
fn the_document_is_there_for_the_script() {
    let document = sample::film();
    let page = page(&document, By::Token);
    let (before, rest) = page.split_once("<script type=\"application/json\">").unwrap();
    assert!(before.ends_with("<glossator-report by=\"token\">\n"));
    let json = rest.split_once("</script>").unwrap().0;
    assert_eq!(serde_json::from_str::<Document>(json).unwrap(), document);
}

#[test]
fn scripts_stay_text_wherever_they_are() {
    let bad = "<script>alert('1')</script>";
    let mut document = sample::document(&[(bad, bad), (bad, bad)], |n, _| n as f64);
    document.model.id = bad.into();
    document.method.id = bad.into();
    document.explanations[0].notes.push(bad.into());
    document.explanations[0].target = glossator_view::wire::Target::label(bad, bad);
    let options = Options { title: bad.into(), lang: "\"><script>".into(), by: By::Token };
    let page = to_string(&mut Html::new(options), [&document]).unwrap();
    let (page, _) = without_script(&page);
    assert_eq!(page.matches("<script").count(), 1);
    let (before, rest) = page.split_once("<script type=\"application/json\">").unwrap();
    let (json, after) = rest.split_once("</script>").unwrap();
    assert!(!json.contains('<') && !after.contains("</script>") && !before.contains("</script>"));
    assert_eq!(serde_json::from_str::<Document>(json).unwrap(), document);
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn not_converged_is_said_aloud() {
    let mut document = sample::film();
    let shown = |document: &Document| crate::without_scripts(&page(document, By::Word));
    assert!(!shown(&document).contains("NOT CONVERGED"));
    document.explanations[0].converged = Some(false);
    assert!(shown(&document).contains("<p class=\"alert\"><strong>NOT CONVERGED</strong>: "));
}

#[test]
fn the_legend_names_what_is_there() {
    let legend = |document: &Document| {
        let page = crate::without_scripts(&page(document, By::Word));
        page.lines().find(|line| line.contains("class=\"legend\"")).unwrap().to_owned()
    };
    insta::assert_snapshot!(legend(&sample::film()), @r#"<p class="legend"><span class="w p7">orange, solid line</span> raises the logit (<bdi>positive</bdi>), <span class="w n7">blue, dotted line</span> lowers it; full colour: ±2.40</p>"#);
    let mut unsigned = sample::document(&[("text", "a b")], |n, _| n as f64);
    unsigned.explanations[0].magnitudes = true;
    insta::assert_snapshot!(legend(&unsigned), @r#"<p class="legend"><span class="w s7">the deeper the purple</span> the more it matters for the logit (<bdi>positive</bdi>); full colour: 2.00</p>"#);
    let zero = sample::document(&[("text", "a b")], |_, _| 0.0);
    insta::assert_snapshot!(legend(&zero), @r#"<p class="legend">every score is zero</p>"#);
}

#[test]
fn the_table_adds_up() {
    let page = crate::without_scripts(&page(&sample::film(), By::Word));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("<tr")).collect();
    assert_eq!(rows.len(), 10);
    insta::assert_snapshot!(rows[8..].join("\n"), @r#"
    <tr class="special"><th scope="row"><bdi>special tokens</bdi></th><td class="value">+0.20</td></tr>
    <tr><th scope="row"><bdi>sum</bdi></th><td class="value">+1.44</td></tr>
    "#);
}

#[test]
fn two_thousand_words_stay_small() {
    let text = "word and ".repeat(1000);
    let document = sample::document(&[("text", &text)], |n, _| (n as f64).sin());
    // Beside the script, which is always the same: the article, and the document as data.
    let shown = crate::without_scripts(&page(&document, By::Word)).len();
    assert!(shown < 400_000, "{shown}");
    let (all, script) = without_script(&page(&document, By::Word));
    assert!(all.len() < 800_000 && script.len() < 200_000, "{} {}", all.len(), script.len());
}
