//! What goes wrong: one line of what is wrong, one of what to do, the right exit code, and no
//! output that looks whole.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/signals.rs"]
mod signals;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use assert_cmd::Command;
use common::{explain, glossator, good, run};
use tempfile::TempDir;

/// Runs a command that has to fail over its arguments or input, and to say so in two lines.
fn bad(command: &mut Command) -> String {
    let answer = run(command);
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{answer:?}");
    let lines: Vec<_> = answer.err.lines().collect();
    assert!(lines.len() == 2 && answer.err.ends_with('\n'), "{}", answer.err);
    assert!(lines[0].starts_with("error: ") && lines[1].starts_with("hint: "), "{}", answer.err);
    assert!(!answer.err.trim_end().contains(|c: char| c.is_control() && c != '\n'));
    answer.err
}

/// The errors of several commands, after their arguments.
fn all_bad(cases: &[&[&str]]) -> String {
    let error = |args: &&[&str]| format!("{}\n{}", args.join(" "), bad(&mut explain(args)));
    cases.iter().map(error).collect::<Vec<_>>().join("\n")
}

/// A copy of the small model with something changed in it.
fn damaged(damage: impl FnOnce(&Path)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir("../../testdata/models/bert-cls").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    damage(dir.path());
    dir
}

#[test]
fn usage() {
    let cases: [&[&str]; 7] = [
        &[],
        &["--format", "xml", "x"],
        &["--smaples", "3", "x"],
        &["-not bad"],
        &["--width", "29", "x"],
        &["--threads", "0", "x"],
        &["--preset", "captum", "x"],
    ];
    insta::assert_snapshot!(all_bad(&cases), @"

    error: no text to explain
    hint: give a text as an argument, - for standard input, or --file PATH

    --format xml x
    error: invalid value 'xml' for '--format <FORMAT>'; it can be text, json, html, svg, csv
    hint: a similar value exists: 'html'

    --smaples 3 x
    error: unexpected argument '--smaples' found
    hint: a similar argument exists: '--samples'

    -not bad
    error: unexpected argument '-n' found
    hint: `glossator explain --help` lists the flags; a text that begins with a dash goes after --

    --width 29 x
    error: invalid value '29' for '--width <N>': 29 is not in 30..=10000
    hint: `glossator explain --help` lists what can be given

    --threads 0 x
    error: invalid value '0' for '--threads <N>': 0 is not in 1..=1024
    hint: `glossator explain --help` lists what can be given

    --preset captum x
    error: invalid value 'captum' for '--preset <TOOL>'; it can be allennlp
    hint: `glossator explain --help` lists what can be given
    ");
    let answer = run(&mut glossator(&["frob"]));
    insta::assert_snapshot!(answer.err, @"
    error: unrecognized subcommand 'frob'
    hint: `glossator --help` lists what can be given
    ");
}

#[test]
fn targets_and_quantities() {
    let cases: [&[&str]; 6] = [
        &["--target", "nope", "x"],
        &["--target", "", "x"],
        &["--target", "positive-vs-nope", "x"],
        &["--target", "positive-vs-positive", "x"],
        &["--quantity", "nope", "x"],
        &["--method", "nope", "x"],
    ];
    insta::assert_snapshot!(all_bad(&cases), @r#"
    --target nope x
    error: unknown label "nope"; the model has "negative", "neutral", "positive"
    hint: --target takes one of them, A-vs-B for two of them, or predicted

    --target  x
    error: unknown label ""; the model has "negative", "neutral", "positive"
    hint: --target takes one of them, A-vs-B for two of them, or predicted

    --target positive-vs-nope x
    error: unknown label "nope"; the model has "negative", "neutral", "positive"
    hint: --target takes one of them, A-vs-B for two of them, or predicted

    --target positive-vs-positive x
    error: --target positive-vs-positive: a label does not contrast with itself
    hint: name two different labels

    --quantity nope x
    error: --quantity: expected logit, probability, log-probability, loss, got "nope"
    hint: `glossator explain --help` says what they mean

    --method nope x
    error: unknown method "nope"; methods are gradient, input-x-gradient, integrated-gradients, smoothgrad, occlusion
    hint: `glossator methods` describes them
    "#);
    let regression = "../../testdata/models/bert-regression";
    let args = ["explain", "--model", regression, "--quantity", "loss", "x"];
    insta::assert_snapshot!(bad(&mut glossator(&args)), @"
    error: the quantity loss is not defined for a regression: its outputs are numbers, not labels
    hint: explain the value itself: --quantity logit
    ");
}

#[test]
fn settings() {
    let cases: [&[&str]; 9] = [
        &["--tolerance", "-1", "x"],
        &["--tolerance", "nan", "x"],
        &["--max-evaluations", "14", "x"],
        &["--samples", "-3", "--method", "smoothgrad", "x"],
        &["--steps", "5", "x"],
        &["--rule", "midpoint", "--max-evaluations", "99", "x"],
        &["--baseline", "noise", "x"],
        &["--baseline", "text:a longer text", "x"],
        &["--method", "gradient", "--steps", "4", "x"],
    ];
    insta::assert_snapshot!(all_bad(&cases), @r#"
    --tolerance -1 x
    error: --tolerance: expected a number above 0, got "-1"
    hint: `glossator methods` describes the settings of each method

    --tolerance nan x
    error: --tolerance: expected a number above 0, got "nan"
    hint: `glossator methods` describes the settings of each method

    --max-evaluations 14 x
    error: --max-evaluations: expected a number from 15 to 10000000, got "14"
    hint: `glossator methods` describes the settings of each method

    --samples -3 --method smoothgrad x
    error: --samples: expected a number from 1 to 1000000, got "-3"
    hint: `glossator methods` describes the settings of each method

    --steps 5 x
    error: --steps needs a fixed --rule such as gauss-legendre
    hint: the adaptive rule chooses its own number of evaluations (--max-evaluations bounds it)

    --rule midpoint --max-evaluations 99 x
    error: --max-evaluations is for --rule adaptive
    hint: use --steps

    --baseline noise x
    error: --baseline: expected auto, zero, pad, mask, mean, token:... or text:..., got "noise"
    hint: `glossator methods` describes the settings of each method

    --baseline text:a longer text x
    error: the baseline text has 4 tokens, more than the input's 1
    hint: use a shorter --baseline text:...

    --method gradient --steps 4 x
    error: --steps does not apply to the method gradient
    hint: `glossator methods gradient` lists the settings it has
    "#);
}

#[test]
fn presets() {
    let cases: [&[&str]; 4] = [
        &["--preset", "allennlp", "--method", "occlusion", "x"],
        &["--preset", "allennlp", "--steps", "3", "x"],
        &["--preset", "allennlp", "--quantity", "logit", "x"],
        &["--preset", "allennlp", "--target", "positive", "x"],
    ];
    insta::assert_snapshot!(all_bad(&cases), @"
    --preset allennlp --method occlusion x
    error: --preset allennlp: AllenNLP had no occlusion
    hint: it had gradient, integrated-gradients, smoothgrad

    --preset allennlp --steps 3 x
    error: --preset allennlp does not go with --steps
    hint: the preset fixes every setting of the method

    --preset allennlp --quantity logit x
    error: --preset allennlp does not go with --quantity
    hint: AllenNLP explained the loss

    --preset allennlp --target positive x
    error: --preset allennlp does not go with --target
    hint: AllenNLP explained the predicted label
    ");
}

#[test]
fn inputs() {
    let cases: [&[&str]; 6] = [
        &["--file", "no-such.txt"],
        &["--file", "tests"],
        &["--file", "Cargo.toml", "x"],
        &["--file", "Cargo.toml", "--text-key", "review"],
        &["-", "x"],
        &["--input-format", "jsonl", "x"],
    ];
    insta::assert_snapshot!(all_bad(&cases), @"
    --file no-such.txt
    error: no-such.txt: No such file or directory (os error 2)
    hint: check the path given to --file

    --file tests
    error: tests: is a directory
    hint: --file takes a file; --model takes a directory

    --file Cargo.toml x
    error: the argument '--file <PATH>' cannot be used with '[TEXT]...'
    hint: `glossator explain --help` lists what can be given

    --file Cargo.toml --text-key review
    error: --text-key is for JSON Lines, but Cargo.toml is read as plain lines
    hint: add --input-format jsonl

    - x
    error: - is standard input, which does not go with other texts
    hint: give - alone, or all texts as lines of one file

    --input-format jsonl x
    error: --input-format is for --file and standard input, not for texts as arguments
    hint: leave out --input-format, or give the file with --file
    ");
}

#[test]
fn a_text_over_the_model_s_length() {
    let command = &mut explain(&["-"]);
    insta::assert_snapshot!(bad(command.write_stdin("good film ".repeat(110_000))), @"
    error: standard input:1: the text has 220002 tokens; the model reads at most 40
    hint: shorten the text, or cut it with --truncate
    ");
    // One word of a megabyte is no word of the vocabulary.
    good(explain(&["--method", "gradient", "-"]).write_stdin("a".repeat(1 << 20)));
}

#[test]
fn bad_lines_do_not_stop_the_others() {
    let lines = b"{\"text\":\"good\"}\n{\"txt\":1}\n[1]\n{\"text\":3}\n{bad\n\"\xff\"\n\"bad\"\n";
    let args = ["--format", "json", "--method", "gradient", "--input-format", "jsonl", "-"];
    let answer = run(explain(&args).write_stdin(lines));
    assert_eq!((answer.code, answer.out.lines().count()), (Some(2), 2), "{answer:?}");
    insta::assert_snapshot!(answer.err, @r#"
    error: standard input:2: no key "text"
    hint: each line is an object with the key "text" (--text-key), or a string
    error: standard input:3: neither an object nor a string
    hint: each line is an object with the key "text" (--text-key), or a string
    error: standard input:4: the value of "text" is not a string
    hint: each line is an object with the key "text" (--text-key), or a string
    error: standard input:5: not JSON: key must be a string at byte 2
    hint: each line is an object with the key "text" (--text-key), or a string
    error: standard input:6: not UTF-8 after byte 1
    hint: convert the file to UTF-8
    "#);
    let long = "good ".repeat(100);
    let answer = run(&mut explain(&["--format", "json", "good", &long, "bad"]));
    assert_eq!((answer.code, answer.out.lines().count()), (Some(2), 2), "{answer:?}");
    insta::assert_snapshot!(answer.err, @"
    error: text 2: the text has 102 tokens; the model reads at most 40
    hint: shorten the text, or cut it with --truncate
    ");
}

#[test]
fn an_output_without_all_inputs_says_so_in_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.json");
    let command = &mut explain(&["--format", "json", "--input-format", "jsonl", "-", "-o"]);
    let answer = run(command.arg(&path).write_stdin("\"good\"\n3\n"));
    assert_eq!(answer.code, Some(2));
    let partial = dir.path().join("out.json.partial");
    let said = format!("error: {}: some inputs are missing from it\n", partial.display());
    assert!(answer.err.contains(&said), "{}", answer.err);
    assert_eq!(fs::read_to_string(&partial).unwrap().lines().count(), 1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn without_any_answer_there_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for format in ["text", "json", "html", "svg", "csv"] {
        let path = dir.path().join("out");
        let command = &mut explain(&["--format", format, "--target", "nope", "x", "-o"]);
        bad(command.arg(&path));
        let command = &mut explain(&["--format", format, "--input-format", "jsonl", "-", "-o"]);
        bad(command.arg(&path).write_stdin("3\n"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{format}");
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    insta::assert_snapshot!(all_bad(&[&["x", "-o", "no-such/out"], &["x", "-o", "tests"]]), @"
    x -o no-such/out
    error: no-such/out: No such file or directory (os error 2)
    hint: make the directory first, or choose another --output

    x -o tests
    error: tests: is a directory
    hint: --output takes the name of a file
    ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let mut commands: Vec<Vec<&str>> = [
        &["methods"][..],
        &["models"],
        &["schema"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
    ]
    .map(<[_]>::to_vec)
    .into();
    for format in ["text", "json", "html", "svg", "csv"] {
        commands.push(vec!["explain", "--format", format, "good"]);
    }
    for args in commands {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
        let output = command.args(&args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        let said = "error: standard output: No space left on device (os error 28)\nhint: ";
        assert!(err.starts_with(said) && err.lines().count() == 2, "{args:?}: {err}");
    }
    // Nobody can be told that nobody can be told.
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
    let status = command.args(["explain", "--target", "nope", "x"]).stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(2));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let text = "it was good ".repeat(20_000);
    for format in ["text", "json", "html", "svg", "csv"] {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
        command.args(["explain", "--model", "../../testdata/models/bert-cls", "--truncate"]);
        command.args(["--method", "gradient", "--format", format, "-"]);
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut child = command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        // Gone before the first byte.
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        for _ in 0..3 {
            // Nor is it one that the program stops reading.
            let _ = writeln!(stdin, "{text}");
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn nobody_at_standard_error_is_no_panic() {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
    command.args(["explain", "--target", "nope", "x"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_nothing_that_looks_whole() {
    if signals::are_ignored() {
        return;
    }
    for (format, kept) in [("json", true), ("csv", true), ("html", true), ("svg", false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("glossator"));
        command.args(["explain", "--model", "../../testdata/models/bert-cls"]);
        command.args(["--method", "gradient", "--format", format, "-", "-o"]).arg(&path);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"good\nbad\n").unwrap();
        // Both are written when the temporary file grows no more; the program waits for a third.
        let size = || -> u64 {
            let files = fs::read_dir(dir.path()).unwrap();
            files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len())).sum()
        };
        let (mut before, mut same) = (0, 0);
        while same < 10 {
            std::thread::sleep(std::time::Duration::from_millis(50));
            same = if size() == before && (before > 0 || !kept) { same + 1 } else { 0 };
            before = size();
        }
        let pid = child.id().to_string();
        let kill = std::process::Command::new("sh").args(["-c", "kill -INT $0", &pid]).status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{format}");
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(err.starts_with("error: interrupted\n"), "{err}");
        let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
        let left: Vec<_> = left.collect();
        assert_eq!(left, if kept { vec!["out.partial"] } else { vec![] }, "{format}");
        if format == "json" {
            let lines = fs::read_to_string(dir.path().join("out.partial")).unwrap();
            assert_eq!(lines.lines().count(), 2);
            assert!(lines.ends_with("}\n"));
        }
        drop(stdin);
    }
}

#[test]
fn models() {
    let model = |name: &str| bad(&mut glossator(&["explain", "--model", name, "x"]));
    let cases = ["no-such", "no/such", "Cargo.toml", "tests"].map(model);
    insta::assert_snapshot!(cases.join("\n"), @"
    error: no-such: no such directory, and no model of that name
    hint: `glossator models` lists those with names; others are Hugging Face directories, GGUF files, or ids such as org/name

    error: no/such: not in the cache no-cache
    hint: get it with `hf download no/such`, or name a directory

    error: Cargo.toml: not a directory
    hint: name the model's directory

    error: tests/config.json: No such file or directory (os error 2)
    hint: check the path; a model is a directory with config.json, weights and a tokenizer
    ");
}

#[test]
fn damaged_models() {
    let weights = "model.safetensors";
    let write = |name: &'static str, content: &'static str| {
        move |dir: &Path| fs::write(dir.join(name), content).unwrap()
    };
    let config = |from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let path = dir.join("config.json");
            let config = fs::read_to_string(&path).unwrap();
            assert!(config.contains(from), "{config}");
            fs::write(path, config.replace(from, to)).unwrap();
        }
    };
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    type Damage = Box<dyn FnOnce(&Path)>;
    let cases: [(&str, Damage); 13] = [
        ("no weights", Box::new(remove(weights))),
        ("empty weights", Box::new(write(weights, ""))),
        (
            "a git-lfs pointer",
            Box::new(write(weights, "version https://git-lfs.github.com/spec/v1\n")),
        ),
        ("a web page", Box::new(write(weights, "<!DOCTYPE html><html></html>"))),
        (
            "half the weights",
            Box::new(|dir: &Path| {
                let file = fs::File::options().write(true).open(dir.join("model.safetensors"));
                file.unwrap().set_len(20_000).unwrap();
            }),
        ),
        (
            "a weight that is not a number",
            Box::new(|dir: &Path| {
                let path = dir.join("model.safetensors");
                let mut bytes = fs::read(&path).unwrap();
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                fs::write(path, bytes).unwrap();
            }),
        ),
        ("no tokenizer", Box::new(remove("tokenizer.json"))),
        ("a tokenizer that is none", Box::new(write("tokenizer.json", "{}"))),
        ("a configuration that is none", Box::new(write("config.json", "{\u{1b}[31m"))),
        ("another family", Box::new(config("\"bert\"", "\"gpt\\u001b[31m\""))),
        ("another task", Box::new(config("ForSequenceClassification", "ForMultipleChoice"))),
        (
            "too many layers",
            Box::new(config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")),
        ),
        (
            "an absurd width",
            Box::new(config("\"hidden_size\": 16", "\"hidden_size\": 1000000000000000000")),
        ),
    ];
    let said = cases.map(|(name, damage)| {
        let dir = damaged(damage);
        let path = dir.path().to_str().unwrap();
        let error = bad(&mut glossator(&["explain", "--model", path, "it was good"]));
        format!("{name}\n{}", error.replace(path, "DIR"))
    });
    insta::assert_snapshot!(said.join("\n"), @r#"
    no weights
    error: DIR: no weights; looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json
    hint: name a directory that a Hugging Face model was saved to

    empty weights
    error: DIR/model.safetensors: the file is empty
    hint: download the file again

    a git-lfs pointer
    error: DIR/model.safetensors: expected weights, got a git-lfs pointer
    hint: run `git lfs pull` in the model's repository to get the real file

    a web page
    error: DIR/model.safetensors: expected weights, got a web page
    hint: download the file again

    half the weights
    error: DIR/model.safetensors: tensor "bert.encoder.layer.0.attention.output.dense.weight": truncated: it ends at byte 15744 of the data, which has 15688
    hint: the file is damaged or unusual: download it again, or save the model as safetensors

    a weight that is not a number
    error: the output is not a finite number: tensor "classifier.weight" holds a NaN or an infinity
    hint: the weights are damaged: download or save the model again

    no tokenizer
    error: DIR: no tokenizer; looked for tokenizer.json, vocab.txt
    hint: save the tokenizer next to the weights: tokenizer.save_pretrained(directory)

    a tokenizer that is none
    error: DIR/tokenizer.json: not a tokenizer: Model missing. at line 1 column 2
    hint: save the tokenizer again: tokenizer.save_pretrained(directory)

    a configuration that is none
    error: DIR/config.json: not JSON: key must be a string at line 1 column 2
    hint: correct the file, or take it again from where the model came from

    another family
    error: DIR/config.json: unknown model family "gpt\u{1b}[31m"
    hint: supported families: bert, roberta, xlm-roberta, distilbert, electra, albert, mpnet, deberta-v2, modernbert, gpt2, gpt-neox, llama, mistral, qwen2, qwen3, gemma2, gemma3, t5, bart, marian, glossator

    another task
    error: DIR/config.json: unknown architecture "BertForMultipleChoice"; expected BertForSequenceClassification or BertForTokenClassification or BertForQuestionAnswering or BertForMaskedLM or BertForPreTraining or BertModel
    hint: use a model that was fine-tuned for one of the supported tasks

    too many layers
    error: DIR/model.safetensors: missing tensor "bert.encoder.layer.2.attention.self.query.weight"
    hint: the weights are not those that config.json describes: take all files from one place

    an absurd width
    error: DIR/config.json: hidden_size: expected a positive whole number, got 1000000000000000000
    hint: correct the file, or take it again from where the model came from
    "#);
}

/// Even a name of another's does not make a screen of an error, or act on the terminal.
#[test]
fn labels_of_others_cannot_act() {
    let dir = damaged(|dir| {
        let path = dir.join("config.json");
        let config = fs::read_to_string(&path).unwrap();
        let long = "x".repeat(100_000);
        let config = config.replace("\"negative\"", "\"\\u001b[31m\\nred\"");
        fs::write(path, config.replace("\"neutral\"", &format!("\"{long}\""))).unwrap();
    });
    let model = dir.path().to_str().unwrap();
    let args = ["explain", "--model", model, "--target", "\u{1b}[2J", "it was good"];
    let error = bad(&mut glossator(&args));
    let start = r#"error: unknown label "\u{1b}[2J"; the model has "\u{1b}[31m\nred", "xxx"#;
    assert!(error.starts_with(start) && error.len() < 3000, "{error}");
}
