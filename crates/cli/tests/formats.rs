//! The five formats: each is what it claims to be, for every method.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{explain, glossator, good, run};
use glossator_interpret::METHODS;
use glossator_view::wire::Document;
use serde_json::Value;

const FORMATS: [&str; 5] = ["text", "json", "html", "svg", "csv"];
/// Everything that could be taken for markup, or end a row.
const HOSTILE: &str = "<script>\"1\"</script> & 'it',\n=was ]]>";
const NOT_CONVERGED: [&str; 5] = ["it was good", "--max-evaluations", "15", "--tolerance", "1e-9"];

/// Checks that tags nest, attributes are quoted, and nothing is left bare: well-formed as far as
/// an XML document without entities of its own can fail to be.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        assert_references(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
        while !attributes.trim().is_empty() {
            let (key, value) = attributes.trim_start().split_once("=\"").expect("a value");
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || "-:".contains(c)), "{tag}");
            let (value, more) = value.split_once('"').expect("a quote");
            assert_references(value);
            attributes = more;
        }
        if !closed {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
}

/// Checks that every & begins a reference, and that no character is forbidden.
fn assert_references(text: &str) {
    for part in text.split('&').skip(1) {
        let name = part.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{part}");
    }
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
}

/// Checks that nothing is fetched, and nothing runs.
fn assert_self_contained(page: &str) {
    let page = page.to_lowercase();
    // The name of SVG's namespace is not a place, and url(#...) is in the picture itself.
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("url(#", "");
    for bad in
        ["http:", "https:", "//", "<script", "javascript:", "src=", "@import", "url(", "<link"]
    {
        assert!(!page.contains(bad), "{bad}");
    }
}

fn rows(table: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(header, glossator_view::render::csv::COLUMNS[..]);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn column(name: &str) -> usize {
    glossator_view::render::csv::COLUMNS.iter().position(|column| *column == name).unwrap()
}

/// What is shown where no script runs: a page without its script and without the data for it. Its
/// policy allows the one script, by its hash, and no request.
fn shown(output: &str) -> String {
    let Some((before, rest)) = output.split_once("<script type=\"module\">") else {
        return output.to_owned();
    };
    assert!(before.contains("content=\"default-src 'none'; script-src 'sha256-"), "{before}");
    let mut all = before.to_owned() + rest.split_once("</script>").unwrap().1;
    while let Some((before, rest)) = all.split_once("<script type=\"application/json\">") {
        let (data, after) = rest.split_once("</script>").unwrap();
        serde_json::from_str::<Value>(data).unwrap();
        assert!(!data.contains('<'), "{data}");
        all = format!("{before}{after}");
    }
    all
}

/// Checks an output by its format.
fn check(format: &str, output: &str) {
    match format {
        "text" => assert!(output.contains("\nwhy ") && output.contains("F(x)")),
        "json" => documents(output).iter().for_each(|document| document.check().unwrap()),
        "html" => {
            assert!(output.starts_with("<!doctype html>\n") && output.ends_with("</html>\n"));
            assert_self_contained(&shown(output));
        }
        "svg" => {
            assert_self_contained(output);
            assert_well_formed(output);
        }
        _ => assert!(!rows(output).is_empty()),
    }
}

/// Reads JSON Lines; what is written again is what was read.
fn documents(lines: &str) -> Vec<Document> {
    let read = |line: &str| {
        let document: Document = serde_json::from_str(line).unwrap();
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_value(&document).unwrap(), value);
        document
    };
    lines.lines().map(read).collect()
}

#[test]
fn every_method_writes_every_format() {
    for entry in METHODS {
        for format in FORMATS {
            for by in ["word", "token"] {
                let id = entry.info.id;
                let args = ["--method", id, "--format", format, "--by", by, "it was good"];
                let output = good(&mut explain(&args));
                check(format, &output);
                assert!(shown(&output).contains(id), "{id} in {format}: {output}");
            }
        }
    }
}

#[test]
fn every_preset_writes_every_format() {
    for entry in METHODS.iter().filter(|entry| entry.allennlp.is_some()) {
        for format in FORMATS {
            let args = ["--method", entry.info.id, "--preset", "allennlp", "it was good"];
            check(format, &good(explain(&args).args(["--format", format])));
        }
    }
}

#[test]
fn text_is_data_in_every_format() {
    for format in FORMATS {
        for by in ["word", "token"] {
            let args = [HOSTILE, "--format", format, "--by", by, "--method", "gradient"];
            check(format, &good(&mut explain(&args)));
        }
    }
}

#[test]
fn many_inputs_are_one_output_in_every_format() {
    for format in FORMATS {
        let output = good(&mut explain(&["it was good", "", "a bad film", "--format", format]));
        check(format, &output);
        let inputs = match format {
            "json" => output.lines().count(),
            "html" => shown(&output).matches("<article>").count(),
            "csv" => rows(&output).iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>().len(),
            _ => output.matches("why ").count().min(3),
        };
        assert_eq!(inputs, 3, "{format}: {output}");
    }
}

#[test]
fn every_format_says_that_it_did_not_converge() {
    for format in FORMATS {
        let output = good(explain(&NOT_CONVERGED).args(["--format", format]));
        check(format, &output);
        match format {
            "json" => assert_eq!(documents(&output)[0].explanations[0].converged, Some(false)),
            "csv" => assert!(rows(&output).iter().all(|row| row[column("converged")] == "false")),
            _ => assert!(shown(&output).contains("NOT CONVERGED"), "{output}"),
        }
    }
    // A fixed rule is held to the tolerance as well.
    let args = ["--rule", "riemann-left", "--steps", "3", "it was good"];
    let text = good(&mut explain(&args));
    let advice = "use --rule adaptive with more --max-evaluations";
    assert!(text.replace("\n  ", " ").contains(advice), "{text}");
    assert!(!good(&mut explain(&["it was good"])).contains("CONVERGED"));
}

/// The keys of an object, and of the objects in it.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                keys(value, &at, found);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().for_each(|item| keys(item, &format!("{at}[]"), found));
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

#[test]
fn json_has_the_keys_of_the_format() {
    let json = good(explain(&NOT_CONVERGED).args(["--format", "json"]));
    let mut found = BTreeSet::new();
    keys(&serde_json::from_str(&json).unwrap(), "", &mut found);
    insta::assert_snapshot!(found.into_iter().collect::<Vec<_>>().join("\n"), @"
    explanations[].baseline_output
    explanations[].converged
    explanations[].delta
    explanations[].error_estimate
    explanations[].gradient_evaluations
    explanations[].notes
    explanations[].output
    explanations[].scores[]
    explanations[].target.kind
    explanations[].target.label
    explanations[].target.quantity
    explanations[].token_error_estimates[]
    explanations[].words[][].end
    explanations[].words[][].score
    explanations[].words[][].start
    input.fields[].name
    input.fields[].text
    input.fields[].tokens[].end
    input.fields[].tokens[].special
    input.fields[].tokens[].start
    input.fields[].tokens[].text
    input.fields[].tokens[].word
    method.id
    method.settings.baseline
    method.settings.max-evaluations
    method.settings.rule
    method.settings.special-tokens
    method.settings.tolerance
    model.family
    model.id
    model.sha256
    model.task
    prediction.kind
    prediction.label
    prediction.labels[].label
    prediction.labels[].logit
    prediction.labels[].probability
    prediction.probability
    prediction.task
    version
    ");
}

#[test]
fn json_numbers_hold_what_they_promise() {
    let targets = ["negative", "positive", "positive-vs-negative", "predicted"];
    for quantity in ["logit", "probability", "log-probability", "loss"] {
        for target in targets {
            let args = ["--format", "json", "--quantity", quantity, "--target", target];
            let json = good(explain(&args).arg("it was unbelievably good"));
            let document = documents(&json).remove(0);
            let explanation = &document.explanations[0];
            assert_eq!(explanation.target.quantity(), quantity);
            assert_eq!(explanation.converged, Some(true), "{json}");
            let difference = explanation.output - explanation.baseline_output.unwrap();
            let delta = explanation.total() - difference;
            assert!((delta - explanation.delta.unwrap()).abs() < 1e-9, "{json}");
            assert_eq!(document.model.sha256.map(|digest| digest.len()), Some(64));
        }
    }
}

#[test]
fn each_kind_of_model_has_its_answer() {
    let headline = |model: &str| {
        let model = format!("../../testdata/models/{model}");
        let args = ["explain", "--model", &model, "--method", "gradient", "it was good"];
        let text = good(&mut glossator(&args));
        let words: Vec<_> = text.split_whitespace().collect();
        let mask = |word: &&str| if word.contains('.') { "#" } else { word }.to_owned();
        let before = words.iter().position(|word| *word == "gradient").unwrap();
        words[..before].iter().map(mask).collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(
        ["bert-cls", "bert-multilabel", "bert-regression"].map(headline).join("\n"),
        @"
    negative # neutral # positive # why negative · logit ·
    funny # long # scary # sad # why funny · logit ·
    score # why score · value ·
    "
    );
}

#[test]
fn by_changes_the_rows() {
    let units = |by: &str| {
        let table = good(&mut explain(&["--format", "csv", "--by", by, "a don't word"]));
        let row = |row: &Vec<String>| format!("{} {}", row[column("unit")], row[column("text")]);
        rows(&table).iter().map(row).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(units("word"), @"word a, word don't, word word, token [CLS], token [SEP]");
    assert!(units("token").starts_with("token [CLS], token a, "), "{}", units("token"));
}

#[test]
fn an_svg_is_as_wide_as_asked_for() {
    for width in ["30", "400", "2000"] {
        let svg = good(&mut explain(&["--format", "svg", "--width", width, "it was good"]));
        check("svg", &svg);
    }
    let svg = good(&mut explain(&["--format", "svg", "--width", "400", "it was good"]));
    assert!(svg.contains(" width=\"400\""), "{svg}");
}

#[test]
fn long_names_do_not_bury_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let source = std::path::Path::new("../../testdata/models/bert-cls");
    for entry in std::fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let config = std::fs::read_to_string(source.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let names = ["x".repeat(100_000), "\u{1b}[31m<b>&\n".repeat(9), "\u{202e}predicted".to_owned()];
    for (i, name) in names.iter().enumerate() {
        config["id2label"][i.to_string()] = name.as_str().into();
    }
    config["label2id"] = Value::Null;
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let model = dir.path().to_str().unwrap();
    for format in FORMATS {
        let args = ["explain", "--model", model, "--format", format, "it was good"];
        let answer = run(&mut glossator(&args));
        assert_eq!(answer.code, Some(0), "{answer:?}");
        match format {
            "text" => {
                assert!(answer.out.len() < 3000, "{}", answer.out);
                assert!(
                    answer.out.lines().all(|line| line.chars().count() <= 80),
                    "{}",
                    answer.out
                );
                assert!(!answer.out.contains(['\u{1b}', '\u{202e}']), "{}", answer.out);
            }
            format => check(format, &answer.out),
        }
    }
}
