//! `glossator attack` and `glossator attacks`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;

use common::{glossator, good, run};
use serde_json::Value;

const POSITIVE: &str = "a touching , funny and wise film";

fn attack(args: &[&str]) -> assert_cmd::Command {
    let mut all = vec!["attack"];
    all.extend(args);
    glossator(&all)
}

fn json(args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["--format", "json"]);
    serde_json::from_str(&good(&mut attack(&all))).unwrap()
}

#[test]
fn a_flip_is_shown_with_and_without_colour() {
    let plain = good(&mut attack(&["hotflip", POSITIVE]));
    assert!(plain.starts_with("positive "), "{plain}");
    assert!(plain.contains("[-") && plain.contains("-]{+") && plain.contains("+}"), "{plain}");
    let edits = plain.matches("[-").count();
    let plural = if edits == 1 { "edit" } else { "edits" };
    assert!(plain.contains(&format!("flipped by {edits} {plural};")), "{plain}");
    assert!(plain.contains("negative "), "{plain}");
    assert!(!plain.contains('\u{1b}'));
    let coloured = good(&mut attack(&["hotflip", "--color", "always", POSITIVE]));
    // Struck through, and underlined.
    assert!(coloured.contains("\u{1b}[9;") && coloured.contains("\u{1b}[1;4;"), "{coloured}");
}

#[test]
fn json_is_the_wire_format() {
    let document = json(&["hotflip", "--target", "negative", "--certify", POSITIVE]);
    assert_eq!(document["version"], 1);
    assert_eq!(document["attack"]["id"], "hotflip");
    assert_eq!(document["attack"]["settings"]["target"], "negative");
    assert_eq!(document["original"]["label"], "positive");
    assert_eq!(document["model"]["sha256"].as_str().unwrap().len(), 64);
    let result = &document["results"][0];
    assert_eq!(result["success"], true);
    assert_eq!(result["prediction"]["label"], "negative");
    let edit = &result["edits"][0];
    let (start, end) = (edit["start"].as_u64().unwrap(), edit["end"].as_u64().unwrap());
    assert_eq!(&POSITIVE[start as usize..end as usize], edit["from"].as_str().unwrap());
    let text = result["final"]["fields"][0]["text"].as_str().unwrap();
    assert!(text.contains(edit["to"].as_str().unwrap()));
    assert_eq!(result["certificate"]["kind"], "minimal");
    assert!(result["kept"].is_null());
    // What is reported is what anyone sees who asks.
    let explained =
        good(&mut glossator(&["explain", "--format", "json", "--method", "gradient", text]));
    let explained: Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["prediction"], result["prediction"]);
}

#[test]
fn a_reduction_tells_what_is_left_by_index() {
    let document = json(&["input-reduction", "--certify", POSITIVE]);
    let result = &document["results"][0];
    let kept = result["kept"][0].as_array().unwrap();
    let tokens = &document["input"]["fields"][0]["tokens"];
    let spelled: Vec<&str> = kept
        .iter()
        .map(|t| tokens[t.as_u64().unwrap() as usize]["text"].as_str().unwrap())
        .collect();
    assert_eq!(spelled.join(" "), result["final"]["fields"][0]["text"].as_str().unwrap());
    assert_eq!(result["certificate"]["kind"], "minimal");
    let text = good(&mut attack(&["input-reduction", "--certify", POSITIVE]));
    assert!(text.contains("reduced to ") && text.contains("proven: no reduction"), "{text}");
}

#[test]
fn no_is_an_answer_of_its_own() {
    let answer = run(&mut attack(&["hotflip", "--protect", "good", "good"]));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.out.contains("not flipped: nothing may be changed"), "{answer:?}");
    assert!(answer.err.is_empty());
    let answer = run(&mut attack(&["input-reduction", "good"]));
    assert_eq!(answer.code, Some(1));
    assert!(answer.out.contains("there is one word"), "{answer:?}");
    let tight = ["hotflip", "--min-cosine", "0.9999", POSITIVE];
    assert_eq!(run(&mut attack(&tight)).code, Some(1));
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    for (args, expected) in [
        (vec!["magic", "text"], "unknown attack \"magic\""),
        (vec!["hotflip"], "no text"),
        (vec!["hotflip", "--rule", "feng", "a"], "--rule does not apply to hotflip"),
        (vec!["hotflip", "--target", "positive", POSITIVE], "the model says so already"),
        (vec!["hotflip", "--target", "sad", POSITIVE], "sad"),
        (vec!["hotflip", "--field", "context", POSITIVE], "--field \"context\""),
        (vec!["hotflip", "--decision", "7", POSITIVE], "no such decision"),
        (vec!["hotflip", "--max-edits", "0", POSITIVE], "--max-edits: expected"),
        (vec!["hotflip", "--certify-passes", "9", POSITIVE], "without --certify"),
        (vec!["hotflip", "--max-seconds", "-1", POSITIVE], "--max-seconds"),
        (vec!["hotflip", "--format", "svg", POSITIVE], "--format svg"),
        (vec!["hotflip", "--synonyms", "nowhere", POSITIVE], "no index.noun"),
        (vec!["hotflip", "--tagger", "nowhere", POSITIVE], "nowhere"),
        (vec!["hotflip", "--label-key", "label", POSITIVE], "--label-key"),
        (vec!["input-reduction", "--target", "negative", POSITIVE], "keeps the prediction"),
        (vec!["trigger", "--field", "text", POSITIVE], "--field does not apply to trigger"),
        (vec!["hotflip", "--resume", "--output", "x", POSITIVE], "--resume"),
        (vec!["hotflip", "--model", "../../testdata/models/bert-regression", "a"], "regression"),
        (vec!["hotflip", "--model", "../../testdata/models/t5", "the"], "seq2seq-lm"),
    ] {
        let answer = run(&mut attack(&args));
        assert_eq!(answer.code, Some(2), "{args:?} {answer:?}");
        assert!(answer.err.contains(expected), "{args:?} {}", answer.err);
        assert!(
            answer.err.starts_with("error: ") && answer.err.contains("\nhint: "),
            "{}",
            answer.err
        );
        assert_eq!(answer.err.lines().count(), 2, "{}", answer.err);
    }
    // The hint names the list that has the setting.
    for args in [
        ["hotflip", "--candidates", "0", POSITIVE],
        ["input-reduction", "--rule", "none", POSITIVE],
        ["hotflip", "--min-cosine", "5", POSITIVE],
        ["trigger", "--words", "0", POSITIVE],
    ] {
        let answer = run(&mut attack(&args));
        assert_eq!(answer.code, Some(2), "{args:?} {answer:?}");
        assert!(answer.err.contains("hint: `glossator attacks` describes"), "{}", answer.err);
    }
}

#[test]
fn every_task_is_attacked() {
    let model = |name: &str| format!("../../testdata/models/{name}");
    for (name, args) in [
        ("bert-cls", vec!["--pair", "we loved it", "the film was good"]),
        ("bert-multilabel", vec!["the film was good"]),
        ("bert-token-classification", vec!["the cat loved the film"]),
        (
            "bert-question-answering",
            vec!["--question", "was it good", "the film was good and we loved it"],
        ),
        ("bert-masked-lm", vec!["the [MASK] was good"]),
        ("gpt2", vec!["the film was"]),
        ("xlm-roberta-token-classification", vec!["我电 the film"]),
    ] {
        let path = model(name);
        for id in ["hotflip", "input-reduction", "greedy"] {
            let mut all = vec![id, "--model", path.as_str(), "--format", "json"];
            all.extend(&args);
            let answer = run(&mut attack(&all));
            assert!(matches!(answer.code, Some(0 | 1)), "{all:?} {answer:?}");
            let document: Value = serde_json::from_str(&answer.out).unwrap();
            let any = document["results"].as_array().unwrap().iter().any(|r| r["success"] == true);
            assert_eq!(answer.code == Some(0), any, "{all:?}");
        }
    }
}

#[test]
fn pages_and_tables() {
    let page = good(&mut attack(&["hotflip", "--format", "html", POSITIVE]));
    assert!(
        page.starts_with("<!doctype html>") && page.contains("<del>") && page.contains("<ins>")
    );
    assert!(page.trim_end().ends_with("</html>"));
    let table = good(&mut attack(&["hotflip", "--format", "csv", POSITIVE, "so dull"]));
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let columns = reader.headers().unwrap().clone();
    assert_eq!(columns.len(), 19);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[0][8], POSITIVE);
    assert_eq!(&rows[1][4], "true");
    // Markup in a text is text.
    let hostile = "<b>good</b> & \u{1b}[31m film";
    let page = run(&mut attack(&["hotflip", "--format", "html", hostile])).out;
    // (The page's script has markup of its own, and stands before the body.)
    let body = page.split_once("<body>").unwrap().1;
    assert!(!body.contains("<b>") && !page.contains('\u{1b}'), "{body}");
}

#[test]
fn files_stream_sum_up_and_resume() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("texts.jsonl");
    let lines = [
        r#"{"text": "a touching , funny and wise film", "label": "positive"}"#,
        r#"{"text": "so dull", "label": "negative"}"#,
        r#"{"text": "so dull", "label": "positive"}"#,
        r#"{"text": "a warm story", "label": 1}"#,
        r#"{"text": "bad label", "label": "sad"}"#,
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let path = path.to_str().unwrap();
    let out = dir.path().join("out.jsonl");
    let base = [
        "hotflip",
        "--file",
        path,
        "--label-key",
        "label",
        "--format",
        "json",
        "--output",
        out.to_str().unwrap(),
    ];
    let answer = run(&mut attack(&base));
    assert_eq!(answer.code, Some(2), "one line has no label of the model: {answer:?}");
    let partial = dir.path().join("out.jsonl.partial");
    let written = std::fs::read_to_string(&partial).unwrap();
    let documents: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 4);
    assert!(documents[0]["place"].as_str().unwrap().ends_with("texts.jsonl:1"));
    let summary = &documents[3]["summary"];
    assert_eq!((summary["inputs"].as_u64(), summary["attacked"].as_u64()), (Some(5), Some(3)));
    assert_eq!((summary["wrong"].as_u64(), summary["errors"].as_u64()), (Some(1), Some(1)));
    let interval = summary["success_rate"]["interval"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() <= summary["success_rate"]["mean"].as_f64().unwrap());
    // The line is mended: what was done is kept, and only the rest is attacked.
    let mended = std::fs::read_to_string(path).unwrap().replace("sad", "negative");
    std::fs::write(path, mended).unwrap();
    let mut again = base.to_vec();
    again.push("--resume");
    assert_eq!(good(&mut attack(&again)), "");
    let written = std::fs::read_to_string(&out).unwrap();
    let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!(last["summary"]["attacked"].as_u64(), Some(4));
    assert_eq!(written.lines().count(), 5);
    assert!(!partial.exists());
    let text = good(&mut attack(&["hotflip", POSITIVE, "so dull"]));
    assert!(text.contains("summary") && text.contains("success rate"), "{text}");
    assert!(text.contains("95% interval"), "{text}");
}

#[test]
fn limits_end_attacks() {
    let answer = run(&mut attack(&["hotflip", "--max-passes", "1", POSITIVE]));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.out.contains("a limit was reached first"), "{answer:?}");
}

#[test]
fn triggers_are_tried_on_other_texts() {
    let texts = [POSITIVE, "a warm story", "one of the best films", "smart and very funny"];
    let args = [
        "trigger",
        "--target",
        "negative",
        "--words",
        "1",
        "--rounds",
        "1",
        "--candidates",
        "5",
        "--format",
        "json",
    ];
    let mut all = args.to_vec();
    all.extend(texts);
    let answer = run(&mut attack(&all));
    assert!(matches!(answer.code, Some(0 | 1)), "{answer:?}");
    let document: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(document["attack"]["id"], "trigger");
    assert_eq!(document["trigger"]["searched_on"], 2);
    assert_eq!(document["trigger"]["tested_on"], 2);
    assert!(document["trigger"]["held_out"]["mean"].is_number());
}

#[test]
fn attacks_and_constraints_are_listed() {
    let list = good(&mut glossator(&["attacks"]));
    for id in
        ["hotflip", "input-reduction", "greedy", "trigger", "edit-distance", "wordnet-synonyms"]
    {
        assert!(list.contains(&format!("\n{id}\n")), "{id}: {list}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 79), "{list}");
    let one = good(&mut glossator(&["attacks", "embedding-cosine"]));
    assert!(one.starts_with("embedding-cosine\n") && one.contains("--min-cosine X"));
    assert_eq!(run(&mut glossator(&["attacks", "magic"])).code, Some(2));
    let schema: Value = serde_json::from_str(&good(&mut glossator(&["schema", "attack"]))).unwrap();
    assert!(schema["anyOf"].as_array().unwrap().len() == 3, "{schema}");
}
