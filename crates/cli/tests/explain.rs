//! `glossator explain` as people use it: what it says, what it reads, where it writes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{explain, glossator, good, run};
use glossator_interpret::METHODS;
use serde_json::Value;

/// The text without what differs from one processor to the next: numbers become `#`, bars one
/// letter, and broken lines are whole again.
fn masked(text: &str) -> String {
    let number = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let bar = word.chars().any(|c| ('▁'..='▟').contains(&c));
        match digits {
            _ if bar => "bar".to_owned(),
            0 => word.to_owned(),
            _ => {
                let mut out = String::new();
                for c in word.chars() {
                    let c = if c.is_ascii_digit() || c == '.' { '#' } else { c };
                    if !(c == '#' && out.ends_with('#')) {
                        out.push(c);
                    }
                }
                out
            }
        }
    };
    let line = |line: &str| line.split_whitespace().map(number).collect::<Vec<_>>().join(" ");
    let paragraph = |paragraph: &str| {
        // The lines of the list are indented from the first on; those of broken text are not.
        let list = paragraph.starts_with("  ");
        paragraph.lines().map(line).collect::<Vec<_>>().join(if list { "\n" } else { " " })
    };
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(explain(&["--format", "json"]).args(args))).unwrap()
}

fn texts(lines: &str) -> Vec<String> {
    let text = |line: &str| {
        let document: Value = serde_json::from_str(line).unwrap();
        document["input"]["fields"][0]["text"].as_str().unwrap().to_owned()
    };
    lines.lines().map(text).collect()
}

#[test]
fn the_first_command_of_the_readme() {
    let text = good(&mut glossator(&["explain", "a touching , funny and wise film"]));
    insta::assert_snapshot!(masked(&text), @"
    positive #% negative #% why positive · logit · integrated-gradients · baseline=zero · max-evaluations=# · rule=adaptive · special-tokens=replace · tolerance=# · sentiment-en

    a touching , funny and wise film

    a +# ±# bar
    touching +# ±# bar
    , -# ±# bar
    funny +# ±# bar
    and +# ±# bar
    wise +# ±# bar
    film +# ±# bar
    special tokens +#

    F(x) # · F(baseline) # · sum +# · completeness error -# (<#%) · error estimate # · # gradient evaluations
    ");
}

#[test]
fn the_question_names_target_and_quantity() {
    let question = |args: &[&str]| {
        let text = good(explain(&["--method", "gradient", "it was good"]).args(args));
        text.lines().find(|line| line.starts_with("why ")).unwrap().to_owned()
    };
    let questions = [
        question(&[]),
        question(&["--target", "predicted"]),
        question(&["--target", "positive", "--quantity", "probability"]),
        question(&["--target", "positive-vs-negative", "--quantity", "log-probability"]),
        question(&["--quantity", "loss"]),
    ];
    insta::assert_snapshot!(questions.join("\n"), @"
    why negative · logit · gradient · reduction=l2 · bert-cls
    why negative · logit · gradient · reduction=l2 · bert-cls
    why positive · probability · gradient · reduction=l2 · bert-cls
    why positive rather than negative · difference in log-probability · gradient ·
    why negative · loss · gradient · reduction=l2 · bert-cls
    ");
}

#[test]
fn a_contrast_is_the_difference_of_its_sides() {
    let output = |target: &str| {
        json(&["--target", target, "it was good"])["explanations"][0]["output"].as_f64().unwrap()
    };
    let difference = output("positive") - output("negative");
    assert!((output("positive-vs-negative") - difference).abs() < 1e-5);
}

#[test]
fn every_setting_is_a_flag_and_on_record() {
    // Whatever a method lists can be typed; a value for each that is not its default.
    let value = |name: &str| match name {
        "baseline" => "mean",
        "max-evaluations" => "100",
        "reduction" => "sum",
        "rule" => "midpoint",
        "samples" => "3",
        "seed" => "7",
        "sigma" => "0.5",
        "special-tokens" => "keep",
        "squared" | "times-input" => "",
        "steps" => "9",
        "tolerance" => "0.5",
        other => panic!("the setting {other} needs a value here"),
    };
    for entry in METHODS {
        for parameter in entry.info.parameters {
            let (name, value) = (parameter.name, value(parameter.name));
            let flag = format!("--{name}");
            let mut args = vec!["--method", entry.info.id, &flag];
            args.extend(Some(value).filter(|value| !value.is_empty()));
            if name == "steps" {
                args.extend(["--rule", "midpoint"]);
            }
            args.push("it was good");
            let recorded = &json(&args)["method"]["settings"][name];
            let expected = if value.is_empty() { "true" } else { value };
            let recorded = recorded.as_str().map_or_else(|| recorded.to_string(), str::to_owned);
            assert_eq!(recorded, expected, "{name} of {}", entry.info.id);
        }
    }
}

#[test]
fn the_preset_is_allennlp_s() {
    for entry in METHODS.iter().filter(|entry| entry.allennlp.is_some()) {
        let args = ["--method", entry.info.id, "--preset", "allennlp", "it was good"];
        let document = json(&args);
        let explanation = &document["explanations"][0];
        assert_eq!(explanation["target"]["quantity"], "loss");
        assert_eq!(document["method"]["settings"]["preset"], "allennlp");
        // AllenNLP divides by the sum.
        let scores = explanation["scores"][0].as_array().unwrap();
        let sum: f64 = scores.iter().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{explanation}");
        // What it fixes may be said again.
        let again = ["--quantity", "loss", "--target", "predicted"];
        good(explain(&args).args(again));
    }
}

#[test]
fn a_label_may_be_called_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let source = std::path::Path::new("../../testdata/models/bert-cls");
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let config = fs::read_to_string(source.join("config.json")).unwrap();
    fs::write(dir.path().join("config.json"), config.replace("positive", "predicted")).unwrap();
    let model = dir.path().to_str().unwrap();
    let question = |args: &[&str]| {
        let command = &mut glossator(&["explain", "--model", model, "it was good"]);
        let text = good(command.args(args));
        text.lines().nth(1).unwrap().split(" · ").next().unwrap().to_owned()
    };
    assert_eq!(question(&[]), "why negative");
    assert_eq!(question(&["--target", "predicted"]), "why predicted");
}

#[test]
fn empty_text_is_explained() {
    for text in ["", " ", "\n", "\u{3000}"] {
        let text = good(&mut explain(&[text]));
        assert!(text.contains("special tokens"), "{text}");
    }
    assert!(good(&mut explain(&[""])).contains("  (empty)\n"));
}

#[test]
fn texts_of_all_scripts_are_explained() {
    for text in
        ["电影很感人", "הסרט נהדר", "❤️ 👨\u{200d}👩\u{200d}👧 🎉", "e\u{301}a\u{301}", "a\tb\nc"]
    {
        let lines = good(&mut explain(&["--format", "json", text]));
        assert_eq!(texts(&lines), [text]);
        good(&mut explain(&["--width", "30", text]));
    }
}

#[test]
fn control_characters_are_explained_and_cannot_act() {
    let text = "\u{1b}[31mit\u{1b}[0m \u{7}was\u{8} \u{202e}good\u{200b} \u{1} film\r";
    let lines = good(&mut explain(&["--format", "json", text]));
    assert_eq!(texts(&lines), [text]);
    for format in ["text", "html", "svg"] {
        let output = good(&mut explain(&["--format", format, text]));
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{200b}';
        assert!(!output.contains(acts), "{output:?}");
    }
}

#[test]
fn a_text_that_begins_with_a_dash_goes_after_two() {
    assert_eq!(
        texts(&good(&mut explain(&["--format", "json", "--", "-x", "--by"]))),
        ["-x", "--by"]
    );
}

#[test]
fn long_texts_are_cut_if_that_is_asked_for() {
    let long = "good film ".repeat(110_000);
    let command = &mut explain(&["--truncate", "--method", "gradient", "--format", "json", "-"]);
    let json = good(command.write_stdin(long.as_str()));
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["truncated"], 220_000 - 38);
    assert_eq!(document["input"]["fields"][0]["tokens"].as_array().unwrap().len(), 40);
    assert_eq!(document["input"]["fields"][0]["text"], long);
    let text = "good film ".repeat(20);
    let text = good(&mut explain(&["--truncate", &text]));
    assert!(text.ends_with("note: 2 tokens did not fit the model and were not read\n"), "{text}");
}

#[test]
fn lines_are_texts() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str, content: &[u8], args: &[&str]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let file = ["--format", "json", "--method", "gradient", "--file", path.to_str().unwrap()];
        texts(&good(explain(&file).args(args)))
    };
    // Windows line ends, a byte order mark, a blank line, a last line without an end.
    assert_eq!(
        read("a.txt", b"\xef\xbb\xbfgood\r\n\r\nbad\n film", &[]),
        ["good", "", "bad", " film"]
    );
    assert_eq!(read("a.txt", b"good\n", &[]), ["good"]);
    assert_eq!(read("a.txt", b"\n", &[]), [""]);
    let lines = b"{\"text\": \"a\\nb\", \"id\": 1}\n\n  \n\"bad\"\r\n{\"text\":\"\"}";
    assert_eq!(read("a.jsonl", lines, &[]), ["a\nb", "bad", ""]);
    assert_eq!(read("a.ndjson", lines, &[]), ["a\nb", "bad", ""]);
    assert_eq!(read("a", lines, &["--input-format", "jsonl"]), ["a\nb", "bad", ""]);
    assert_eq!(read("a.jsonl", b"{}", &["--input-format", "lines"]), ["{}"]);
    let key = ["--text-key", "review"];
    assert_eq!(read("a.jsonl", b"{\"text\": 1, \"review\": \"good\"}", &key), ["good"]);
}

#[test]
fn standard_input_is_read_where_it_is_named() {
    for args in [&["-"][..], &["--file", "-"]] {
        let command = &mut explain(&["--format", "json", "--method", "gradient"]);
        let lines = good(command.args(args).write_stdin("good\nbad\n"));
        assert_eq!(texts(&lines), ["good", "bad"]);
    }
    let jsonl = &mut explain(&["--format", "json", "--input-format", "jsonl", "-"]);
    assert_eq!(texts(&good(jsonl.write_stdin("{\"text\":\"good\"}\n"))), ["good"]);
}

#[test]
fn no_texts_are_no_error_but_worth_a_word() {
    for (format, expected) in [("text", 0), ("json", 0), ("csv", 1)] {
        let answer = run(explain(&["--format", format, "-"]).write_stdin(""));
        assert_eq!((answer.code, answer.out.lines().count()), (Some(0), expected), "{answer:?}");
        assert_eq!(answer.err, "warning: there was no text to explain\n");
    }
    good(explain(&["--quiet", "-"]).write_stdin(""));
}

#[test]
fn many_texts_keep_their_order_on_any_number_of_threads() {
    let lines: Vec<String> = (0..300)
        .map(|i| format!("film {} {i}", "was good ".repeat(if i % 7 == 0 { 15 } else { 1 })))
        .collect();
    let outputs = ["1", "2", "3"].map(|threads| {
        let command = &mut explain(&["--format", "json", "--threads", threads, "-"]);
        good(command.write_stdin(lines.join("\n")))
    });
    assert_eq!(texts(&outputs[0]), lines);
    assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
    // One text at a time is the same answer, up to the order of sums.
    let one = json(&[&lines[0]]);
    let all: Value = serde_json::from_str(outputs[0].lines().next().unwrap()).unwrap();
    let score = |document: &Value| document["explanations"][0]["scores"][0][1].as_f64().unwrap();
    assert!((score(&one) - score(&all)).abs() < 1e-6);
}

#[test]
fn answers_come_as_they_are_ready() {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
    command.args(["explain", "--model", "../../testdata/models/bert-cls", "--format", "json", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for text in ["good", "bad", "film"] {
        writeln!(stdin, "{text}").unwrap();
        // Would wait forever if the program waited for more.
        assert_eq!(texts(&answers.next().unwrap().unwrap()), [text]);
    }
    drop(stdin);
    assert!(answers.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn colour_is_for_those_who_want_it() {
    let coloured = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = explain(&["it was good"]);
        good(command.args(args).envs(environment.iter().copied())).contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&["--color", "always"], &[]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1"), ("TERM", "dumb")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    let deep = |depth: &str| {
        let mut command = explain(&["--color", "always", "it was good"]);
        good(command.env("COLORTERM", depth)).contains("38;2;")
    };
    assert!(deep("truecolor") && !deep(""));
    // Colour adds escape sequences, and nothing else.
    let plain = good(&mut explain(&["it was good"]));
    let coloured = good(&mut explain(&["--color", "always", "it was good"]));
    let mut text = String::new();
    for (i, part) in coloured.split('\u{1b}').enumerate() {
        text += if i == 0 { part } else { part.split_once('m').unwrap().1 };
    }
    let text: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_eq!(text, plain.lines().collect::<Vec<_>>());
}

#[test]
fn other_locales_get_ascii() {
    let text = good(explain(&["it was good"]).env("LC_ALL", "C"));
    assert!(text.is_ascii(), "{text}");
    let text = good(explain(&["it was good"]).env("LC_ALL", "de_CH.utf8"));
    assert!(text.contains('█'), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let long = "an unbelievably extraordinarily-made film, pneumonoultramicroscopicsilicovolcano";
    for width in ["30", "31", "45", "60", "80", "120", "200"] {
        let text = good(&mut explain(&["--truncate", "--width", width, long]));
        let most = width.parse().unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= most), "{width}: {text}");
    }
}

#[test]
fn a_file_appears_whole_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let csv = ["--format", "csv", "it was good"];
    for old in [None, Some("something older and longer than the new one".repeat(1000))] {
        if let Some(old) = old {
            fs::write(&path, old).unwrap();
        }
        assert_eq!(good(explain(&csv).arg("-o").arg(&path)), "");
        assert_eq!(fs::read_to_string(&path).unwrap(), good(&mut explain(&csv)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[cfg(unix)]
#[test]
fn an_old_file_keeps_its_rights_and_a_link_stays_one() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let [real, link] = ["real", "link"].map(|name| dir.path().join(name));
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real", &link).unwrap();
    good(explain(&["it was good", "-o"]).arg(&link));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("why "));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A device stays a device: nothing may take the place of `/dev/null`. A pipe stands for it here,
/// so that a failure of this test breaks nobody's machine.
#[cfg(unix)]
#[test]
fn a_pipe_is_written_into() {
    use std::os::unix::fs::FileTypeExt;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    let answer = run(explain(&["it was good", "-o"]).arg(&pipe));
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo(), "{answer:?}");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(reader.join().unwrap(), good(&mut explain(&["it was good"])));
}
