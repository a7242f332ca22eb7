//! Readers: what they read, what they refuse, and that nothing makes them panic.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn write(dir: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The contents of one file, or its error without the directory.
fn read_one(
    name: &str,
    bytes: impl AsRef<[u8]>,
    task: Task,
    options: &ReadOptions,
) -> Result<Vec<Content>, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, name, bytes);
    let all = read(&[file], task, options).and_then(Iterator::collect::<Result<Vec<_>>>);
    let prefix = format!("{}/", dir.path().display());
    all.map(|all| all.into_iter().map(|example| example.content).collect())
        .map_err(|error| error.to_string().replace(&prefix, ""))
}

fn labelled(text: &str, pair: Option<&str>, labels: &[&str]) -> Content {
    Content::Labelled {
        text: text.to_owned(),
        pair: pair.map(str::to_owned),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
    }
}

fn columns(pairs: &[(&str, &str)]) -> ReadOptions {
    let mut options = ReadOptions::default();
    for &(flag, column) in pairs {
        let columns = &mut options.columns;
        let slot = match flag {
            "text" => &mut columns.text,
            "pair" => &mut columns.pair,
            "label" => &mut columns.label,
            "question" => &mut columns.question,
            "context" => &mut columns.context,
            "answer" => &mut columns.answer,
            "start" => &mut columns.start,
            "target" => &mut columns.target,
            "tokens" => &mut columns.tokens,
            "tags" => &mut columns.tags,
            other => panic!("{other}"),
        };
        *slot = Some(column.to_owned());
    }
    options
}

const TEXTS: Task = Task::TextClassification;

#[test]
fn csv_with_header_quotes_and_windows_line_ends() {
    let bytes = "\u{feff}label,review\r\n1,\"good, \"\"very\"\"\r\nindeed\"\r\n\r\n0,bad\r\n";
    let options = columns(&[("text", "review")]);
    let got = read_one("a.csv", bytes, TEXTS, &options).unwrap();
    let expected =
        [labelled("good, \"very\"\r\nindeed", None, &["1"]), labelled("bad", None, &["0"])];
    assert_eq!(got, expected);
}

#[test]
fn tsv_by_number_keeps_quotes() {
    let options = columns(&[("text", "2"), ("label", "1")]);
    let got = read_one("a.tsv", "pos\t\" conan \" is\nneg\tbad\n", TEXTS, &options).unwrap();
    let expected = [labelled("\" conan \" is", None, &["pos"]), labelled("bad", None, &["neg"])];
    assert_eq!(got, expected);
    let quoted = ReadOptions { quotes: Some(true), header: Some(true), ..options };
    let got = read_one("a.tsv", "x\ty\npos\t\"a \"\"b\"\"\"\n", TEXTS, &quoted).unwrap();
    assert_eq!(got, [labelled("a \"b\"", None, &["pos"])]);
}

#[test]
fn pairs_several_labels_and_other_names() {
    let mut options = columns(&[("text", "s1"), ("pair", "s2"), ("label", "gold")]);
    options.label_separator = Some("|".to_owned());
    options.rename_labels = vec![("x".to_owned(), "ex".to_owned())];
    let got = read_one("a.tsv", "s1\ts2\tgold\na\tb\tx|y\nc\td\t\n", TEXTS, &options).unwrap();
    assert_eq!(got, [labelled("a", Some("b"), &["ex", "y"]), labelled("c", Some("d"), &[])]);
    let object = "{\"s1\": \"a\", \"s2\": \"b\", \"gold\": [\"x\"]}\n\n{\"s1\": \"a\", \"s2\": \"b\", \"gold\": 1}\n";
    let got = read_one("a.jsonl", object, TEXTS, &options).unwrap();
    assert_eq!(got, [labelled("a", Some("b"), &["ex"]), labelled("a", Some("b"), &["1"])]);
}

#[test]
fn keys_may_be_paths() {
    let options = columns(&[("text", "a.b"), ("target", "c")]);
    let got = read_one("a.jsonl", "{\"a\":{\"b\":\"x\"},\"c\":\"y\"}", Task::Seq2SeqLm, &options);
    let expected = Content::Rewriting { source: "x".to_owned(), target: "y".to_owned() };
    assert_eq!(got.unwrap(), [expected]);
}

fn tagged(text: &str, words: &[&str], tags: &[&str]) -> Content {
    let mut at = 0;
    let words = words.iter().map(|word| {
        let start = at + text[at..].find(word).unwrap();
        at = start + word.len();
        start..at
    });
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    Content::Tagged(Tagged { text: text.to_owned(), words: words.collect(), tags })
}

#[test]
fn conll_columns() {
    let task = Task::TokenClassification;
    let options = ReadOptions::default();
    let got = read_one(
        "a.conll",
        "-DOCSTART- -X- O\n\nEU NNP B-ORG\nsays V O\n\t\nHi X O",
        task,
        &options,
    );
    let expected =
        [tagged("EU says", &["EU", "says"], &["B-ORG", "O"]), tagged("Hi", &["Hi"], &["O"])];
    assert_eq!(got.unwrap(), expected);
    // Chinese characters are put together without spaces.
    let got = read_one("a.bio", "我\tO\n喜\tO\nBTS\tB-X\n", task, &options).unwrap();
    assert_eq!(got, [tagged("我喜 BTS", &["我", "喜", "BTS"], &["O", "O", "B-X"])]);
    let objects = "{\"tokens\": [\"a\", \"b\"], \"tags\": [0, 1]}";
    let got = read_one("a.jsonl", objects, task, &options).unwrap();
    assert_eq!(got, [tagged("a b", &["a", "b"], &["0", "1"])]);
}

#[test]
fn universal_dependencies() {
    let row = |id: &str, form: &str, tag: &str, misc: &str| {
        format!("{id}\t{form}\t_\t{tag}\t_\t_\t0\troot\t_\t{misc}\n")
    };
    let text = ["# text = don't.\n".to_owned(), row("1-2", "don't", "_", "SpaceAfter=No")];
    let text =
        text.concat() + &row("1", "do", "AUX", "SpaceAfter=No") + &row("2", "n't", "PART", "_");
    let text = text + &row("2.1", "x", "X", "_") + &row("3", ".", "PUNCT", "_");
    let got = read_one("a.conllu", text, Task::TokenClassification, &ReadOptions::default());
    let expected = tagged("don't .", &["do", "n't", "."], &["AUX", "PART", "PUNCT"]);
    assert_eq!(got.unwrap(), [expected]);
}

#[test]
fn questions() {
    let task = Task::QuestionAnswering;
    let json = r#"{"data": [{"paragraphs": [{"context": "é is Paris", "qas": [
        {"id": "1", "question": "q", "answers": [{"text": "Paris", "answer_start": 5}]},
        {"id": "2", "question": "r", "answers": [], "is_impossible": true}]}]}]}"#;
    let question = |question: &str, answers: &[(&str, usize)]| {
        let answers = answers.iter().map(|&(text, at)| (text.to_owned(), at)).collect();
        let (question, context) = (question.to_owned(), "é is Paris".to_owned());
        Content::Question(Question { question, context, answers })
    };
    let got = read_one("a.json", json, task, &ReadOptions::default()).unwrap();
    assert_eq!(got, [question("q", &[("Paris", 6)]), question("r", &[])]);
    let csv = "q,c,a,s\nq,é is Paris,Paris,\"(5, 10)\"\nr,é is Paris,NONE,\"(0, 0)\"\n";
    let mut options =
        columns(&[("question", "q"), ("context", "c"), ("answer", "a"), ("start", "s")]);
    options.no_answer = Some("NONE".to_owned());
    assert_eq!(read_one("a.csv", csv, task, &options).unwrap(), got);
    options.columns.start = None;
    assert_eq!(read_one("a.csv", csv, task, &options).unwrap(), got);
}

#[test]
fn answers_may_be_split_otherwise_than_their_context() {
    let csv = "question,context,answer,start\nq,It was $35 per-night,$ 35 per - night,7\n";
    let options = columns(&[("start", "start")]);
    let got = read_one("a.csv", csv, Task::QuestionAnswering, &options).unwrap();
    let [Content::Question(question)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(question.answers, [("$35 per-night".to_owned(), 7)]);
}

#[test]
fn answers_may_begin_with_white_space() {
    let csv = "question,context,answer,start\nq,It was $35 per-night,\" $35\",6\n";
    let options = columns(&[("start", "start")]);
    let got = read_one("a.csv", csv, Task::QuestionAnswering, &options).unwrap();
    let [Content::Question(question)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(question.answers, [("$35".to_owned(), 7)]);
}

#[test]
fn bad_rows_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "a.csv", b"text,label\na,x\nb\n\xff,y\nc,z\n");
    let options = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
    let mut examples = read(&[file], TEXTS, &options).unwrap();
    let got: Vec<_> = examples.by_ref().map(|example| example.unwrap().content).collect();
    assert_eq!(got, [labelled("a", None, &["x"]), labelled("c", None, &["z"])]);
    assert_eq!(examples.skipped(), 2);
}

#[test]
fn texts_and_streams() {
    let document = |text: &str, goes_on| Content::Document { text: text.to_owned(), goes_on };
    let options = ReadOptions::default();
    let bytes = "\u{feff}one\rtwo\r\n\r\nthree";
    let got = read_one("a.txt", bytes, Task::MaskedLm, &options).unwrap();
    assert_eq!(got, [document("one", false), document("two", false), document("three", false)]);
    let got = read_one("a.txt", bytes, Task::CausalLm, &options).unwrap();
    assert_eq!(got, [document("one\ntwo\n\nthree", false)]);
    let keep = ReadOptions { keep_line_ends: true, ..options };
    let got = read_one("a.txt", bytes, Task::CausalLm, &keep).unwrap();
    assert_eq!(got, [document("one\rtwo\r\n\r\nthree", false)]);
    let long = "0123456789abcde\n".repeat(10_000);
    let got = read_one("a.txt", &long, Task::CausalLm, &keep).unwrap();
    assert_eq!(got.len(), 3);
    let whole: String = got
        .iter()
        .map(|content| match content {
            Content::Document { text, .. } => text.as_str(),
            _ => "",
        })
        .collect();
    assert_eq!(whole, long);
    assert!(matches!(got[1], Content::Document { goes_on: true, .. }));
    assert!(matches!(got[2], Content::Document { goes_on: false, .. }));
}

#[test]
fn files_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        [write(&dir, "s1", "a\nb\n"), write(&dir, "s2", "c\nd"), write(&dir, "y", "0\n1\n")];
    let mut options = columns(&[("text", "1"), ("pair", "2"), ("label", "3")]);
    options.format = Some(Format::Parallel);
    let got: Vec<_> = read(&files, TEXTS, &options).unwrap().map(|e| e.unwrap().content).collect();
    assert_eq!(got, [labelled("a", Some("c"), &["0"]), labelled("b", Some("d"), &["1"])]);
    let files = [files[0].clone(), files[1].clone(), write(&dir, "z", "0\n")];
    let error = read(&files, TEXTS, &options).unwrap().nth(1).unwrap().unwrap_err();
    assert!(error.to_string().contains("s1:2: there is a line, but"), "{error}");
}

#[test]
fn a_limit_ends_before_what_is_wrong_behind_it() {
    let options = ReadOptions { limit: Some(1), ..ReadOptions::default() };
    assert_eq!(read_one("a.csv", "text,label\na,b\nc\n", TEXTS, &options).unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let usual = ReadOptions::default();
    let tags = Task::TokenClassification;
    let asks = Task::QuestionAnswering;
    let answers = columns(&[("start", "start")]);
    let check = |name: &str, bytes: &[u8], task, options: &ReadOptions, expected: &str| {
        let error = read_one(name, bytes, task, options).unwrap_err();
        assert_eq!(error, expected);
    };
    check("a.csv", b"", TEXTS, &usual, "a.csv: the file is empty");
    check(
        "a.csv",
        b"txt,label\nx,y\n",
        TEXTS,
        &usual,
        "a.csv:1: no column \"text\" (--text); there are \"txt\", \"label\"",
    );
    check("a.csv", b"text,label\nx,y\n\nz\n", TEXTS, &usual, "a.csv:4: expected 2 columns, got 1");
    check("a.csv", b"text,label\nx,\n", TEXTS, &usual, "a.csv:2: the label is empty");
    check(
        "a.csv",
        b"text,label\n\xff,y\n",
        TEXTS,
        &usual,
        "a.csv:2: column 1 is not UTF-8 after byte 0 of the field",
    );
    check("a.dat", b"x", TEXTS, &usual, "a.dat: the ending .dat tells no format");
    check(
        "a.txt",
        b"x",
        TEXTS,
        &usual,
        "a.txt: the format text has no examples of text-classification",
    );
    check(
        "a.jsonl",
        b"{\"text\": \"x\"}\n",
        TEXTS,
        &usual,
        "a.jsonl:1: no key \"label\" (--label); there are \"text\"",
    );
    check(
        "a.jsonl",
        b"{\"text\": {}, \"label\": 1}\n",
        TEXTS,
        &usual,
        "a.jsonl:1: \"text\": expected a text or a number, got an object",
    );
    check("a.jsonl", b"\n[1]\n", TEXTS, &usual, "a.jsonl:2: expected an object, got a list");
    check(
        "a.jsonl",
        b"{\"tokens\": [\"a\"], \"tags\": []}",
        tags,
        &usual,
        "a.jsonl:1: 1 tokens, but 0 tags",
    );
    check("a.conll", b"a O\nb\n", tags, &usual, "a.conll:2: expected 2 columns, got 1: \"b\"");
    check(
        "a.conllu",
        b"1\ta\n",
        tags,
        &usual,
        "a.conllu:1: expected 10 columns between tabs, got 2",
    );
    check(
        "a.json",
        br#"{"data": [{"paragraphs": [{"context": "ab cd", "qas": [{"id": 7, "question": "q", "answers": [{"text": "cd", "answer_start": 2}]}]}]}]}"#,
        asks,
        &usual,
        "a.json: question 7: expected the answer \"cd\" at character 2 of the context, got \" c\"",
    );
    check(
        "a.csv",
        b"question,context,answer,start\nq,ab,b,one\n",
        asks,
        &answers,
        "a.csv:2: --start: expected the number of a character, got \"one\"",
    );
    check(
        "a.csv",
        b"question,context,answer\nq,ab,c\n",
        asks,
        &usual,
        "a.csv:2: the answer \"c\" is not a part of the context",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is in a file, reading it ends with examples or an error.
    #[test]
    fn nothing_panics(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\":,\\ta-c0-2\\r\\n #_é我-]{0,200}".prop_map(String::into_bytes),
            "(\\{\"(text|label|tokens|tags|question|context|answer)\":(1|\"a\"|\\[\\]|null)\\}\n?){0,5}"
                .prop_map(String::into_bytes),
        ],
        numbered in any::<bool>(),
        quotes in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (id, format, _) in Format::ALL {
            let file = write(&dir, id, &bytes);
            for task in Task::ALL {
                let mut options = if numbered {
                    columns(&[
                        ("text", "1"), ("label", "2"), ("pair", "1"), ("question", "1"),
                        ("context", "2"), ("answer", "2"), ("start", "1"), ("target", "2"),
                        ("tokens", "2"), ("tags", "1"),
                    ])
                } else {
                    ReadOptions::default()
                };
                options.quotes = Some(quotes);
                options.format = Some(format);
                if let Ok(examples) = read(&[file.clone(), file.clone()], task, &options) {
                    for example in examples {
                        if let Ok(Example { content: Content::Tagged(tagged), .. }) = example {
                            prop_assert_eq!(tagged.words.len(), tagged.tags.len());
                            for word in tagged.words {
                                prop_assert!(tagged.text.get(word).is_some());
                            }
                        }
                    }
                }
            }
        }
    }
}
