//! Every task by its flags: pairs, entities, questions, masks, written tokens, similarity.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Answer, glossator, good, run};
use glossator_view::wire::{Document, Prediction, Target};

/// The directory of a small model; none, with a word about it, where it has not been made.
#[expect(clippy::print_stdout, reason = "a test that checks nothing says so")]
fn tiny(name: &str) -> Option<String> {
    let path = format!("../../testdata/models/{name}");
    if std::path::Path::new(&path).join("config.json").exists() {
        return Some(path);
    }
    println!("skipped: there is no {path}");
    None
}

/// The arguments of `glossator explain`, with one gradient: quick, and the same everywhere.
fn explain(model: &str, args: &[&str]) -> assert_cmd::Command {
    let mut command = glossator(&["explain", "--model", model, "--method", "input-x-gradient"]);
    command.args(args);
    command
}

fn documents(model: &str, args: &[&str]) -> Vec<Document> {
    let lines = good(explain(model, args).args(["--format", "json"]));
    let documents = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    documents.inspect(|document: &Document| document.check().unwrap()).collect()
}

fn document(model: &str, args: &[&str]) -> Document {
    documents(model, args).remove(0)
}

fn fields(document: &Document) -> Vec<(&str, &str)> {
    document.input.fields.iter().map(|field| (field.name.as_str(), field.text.as_str())).collect()
}

/// Runs what has to fail in two lines, and returns them.
fn bad(model: &str, args: &[&str]) -> String {
    let Answer { code, out, err } = run(&mut explain(model, args));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 2), "{err}");
    err
}

/// The same answer in all formats but JSON.
fn drawn(model: &str, args: &[&str]) -> String {
    for format in ["html", "svg", "csv"] {
        assert!(good(explain(model, args).args(["--format", format])).len() > 100);
    }
    for width in ["30", "80"] {
        let text = good(explain(model, args).args(["--width", width]));
        let most = width.parse().unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= most), "{text}");
    }
    good(&mut explain(model, args))
}

#[test]
fn a_pair_is_two_fields() {
    let model = "../../testdata/models/bert-cls";
    let args = ["it was good", "--pair", "a film"];
    let document = document(model, &args);
    assert_eq!(fields(&document), [("text", "it was good"), ("text_pair", "a film")]);
    assert!(document.explanations[0].scores[1].iter().any(|score| *score != 0.0));
    let text = drawn(model, &args);
    assert!(text.contains("\ntext_pair\n  a film\n"), "{text}");
    // With any method, and a second text that begins with a dash or is empty.
    good(&mut common::explain(&args));
    assert_eq!(fields(&self::document(model, &["x", "--pair", "-y"]))[1].1, "-y");
    assert_eq!(fields(&self::document(model, &["x", "--pair", ""]))[1].1, "");
    insta::assert_snapshot!(bad(model, &["x", "--pair", "y", "--question", "z"]), @"
    error: the argument '--pair <TEXT>' cannot be used with '--question <TEXT>'
    hint: `glossator explain --help` lists what can be given
    ");
}

#[test]
fn entities_are_explained_one_by_one() {
    let Some(model) = tiny("bert-token-classification") else { return };
    let document = document(&model, &["it was a good film"]);
    let Prediction::TokenClassification(entities) = &document.prediction else {
        panic!("{:?}", document.prediction)
    };
    assert_eq!(document.explanations.len(), entities.entities.len());
    for (one, entity) in document.explanations.iter().zip(&entities.entities) {
        let span = (entity.start, entity.end);
        assert_eq!(one.target, Target::entity(&entity.label, 0, span, "logit"));
    }
    drawn(&model, &["it was a good film"]);
    // None of one kind, or all of it: no error either way.
    for kind in ["PER", "LOC", "B-LOC"] {
        let text = drawn(&model, &["it was a good film", "--target", kind]);
        assert!(text.contains("is LOC") == kind.contains("LOC"), "{text}");
    }
    for how in ["simple", "first", "average", "max"] {
        drawn(&model, &["it was a good film", "--aggregation", how]);
    }
    let errors = [
        bad(&model, &["x", "--target", "NOPE"]),
        bad(&model, &["x", "--target", "PER-vs-LOC"]),
        bad(&model, &["x", "--aggregation", "mean"]),
        bad(&model, &["x", "--pair", "y"]),
        bad("../../testdata/models/bert-cls", &["x", "--aggregation", "max"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    error: unknown label "NOPE"; the model has "O", "B-PER", "I-PER", "B-LOC", "I-LOC"
    hint: --target takes one of them, A-vs-B for two of them, or predicted

    error: --target A-vs-B is not defined for entities of several tokens
    hint: give one kind of entity, or none for all

    error: invalid value 'mean' for '--aggregation <HOW>'; it can be simple, first, average, max
    hint: a similar value exists: 'max'

    error: --pair is for text-classification, masked-lm or sentence-similarity; ../../testdata/models/bert-token-classification does token-classification
    hint: leave out --pair, or name another --model; `glossator models` lists families

    error: --aggregation is for token-classification; ../../testdata/models/bert-cls does text-classification
    hint: leave out --aggregation, or name another --model; `glossator models` lists families
    "#);
}

#[test]
fn a_question_is_answered_from_its_context() {
    let Some(model) = tiny("bert-question-answering") else { return };
    let context = "it was a good film and a bad one";
    let document = document(&model, &[context, "--question", "what was good"]);
    assert_eq!(fields(&document), [("question", "what was good"), ("context", context)]);
    let Prediction::QuestionAnswering(answers) = &document.prediction else { panic!() };
    assert_eq!(answers.answers.len(), 5);
    assert_eq!(answers.best, answers.answers[0]);
    let text = drawn(&model, &[context, "--question", "what was good"]);
    assert!(text.contains("⟦⟧ the answer"), "{text}");

    let count = |args: &[&str]| {
        let document = self::document(&model, &[&[context, "--question", "what"], args].concat());
        let Prediction::QuestionAnswering(answers) = document.prediction else { panic!() };
        let words = answers.best.answer.unwrap_or_default().split(' ').count();
        (answers.answers.len(), words)
    };
    assert_eq!(count(&["--top", "2"]).0, 2);
    assert_eq!(count(&["--max-answer", "1"]).1, 1);
    assert!(count(&["--unanswerable"]).0 > 0);
    // A context longer than the model reads, in windows.
    let long = "it was a good film ".repeat(40);
    let args = [long.as_str(), "--question", "what", "--stride", "5"];
    assert_eq!(fields(&self::document(&model, &args))[1].1, long);

    let target = |target: &str| {
        let args = [context, "--question", "what", "--target", target];
        self::document(&model, &args).explanations.remove(0).target
    };
    assert_eq!(target("bad one"), Target::answer(1, 25, "bad one", "logit"));
    let Target::Answer { text, versus, .. } = target("film-vs-bad one") else { panic!() };
    assert_eq!((text.as_deref(), versus.as_deref()), (Some("film"), Some("bad one")));

    let errors = [
        bad(&model, &[context]),
        bad(&model, &[context, "--question", "what", "--target", "nowhere"]),
        bad(&model, &[context, "--question", "what", "--max-answer", "0"]),
        bad(&model, &[context, "--question", "what", "--generate", "3"]),
        bad("../../testdata/models/bert-cls", &["x", "--question", "what"]),
        bad("../../testdata/models/bert-cls", &["x", "--unanswerable"]),
        bad("../../testdata/models/bert-cls", &["x", "--stride", "3"]),
        bad("../../testdata/models/bert-cls", &["x", "--max-answer", "3"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    error: a context, and no question about it
    hint: give the question with --question TEXT

    error: --target "nowhere" is not a part of the context that the model reads
    hint: give some words of the context as they stand there

    error: invalid value '0' for '--max-answer <N>': 0 is not in 1..=100000
    hint: `glossator explain --help` lists what can be given

    error: --generate is for causal-lm or seq2seq-lm, --question for question-answering
    hint: leave out --generate or --question

    error: --question is for question-answering; ../../testdata/models/bert-cls does text-classification
    hint: leave out --question, or name another --model; `glossator models` lists families

    error: --unanswerable is for question-answering; ../../testdata/models/bert-cls does text-classification
    hint: leave out --unanswerable, or name another --model; `glossator models` lists families

    error: --stride is for question-answering; ../../testdata/models/bert-cls does text-classification
    hint: leave out --stride, or name another --model; `glossator models` lists families

    error: --max-answer is for question-answering; ../../testdata/models/bert-cls does text-classification
    hint: leave out --max-answer, or name another --model; `glossator models` lists families
    "#);
}

#[test]
fn each_mask_is_explained() {
    let Some(model) = tiny("bert-masked-lm") else { return };
    let args = ["it was a [MASK] [MASK]", "--top", "3"];
    let document = document(&model, &args);
    let Prediction::MaskedLm(masks) = &document.prediction else { panic!() };
    assert_eq!(masks.masks.len(), 2);
    assert_eq!(document.explanations.len(), 2);
    for (mask, one) in masks.masks.iter().zip(&document.explanations) {
        assert_eq!(mask.candidates.len(), 3);
        let best = mask.candidates[0].token.as_str();
        assert_eq!(one.target, Target::token(best, mask.token, "logit"));
        assert_eq!(&document.input.fields[0].text[mask.start..mask.end], "[MASK]");
    }
    let text = drawn(&model, &args);
    assert!(text.contains("mask 1:") && text.contains("(mask 2 of 2)"), "{text}");
    let contrast = ["it was a [MASK] film", "--target", "good-vs-film"];
    let target = self::document(&model, &contrast).explanations.remove(0).target;
    assert_eq!(target.parts(), ("good", Some("film")));
    // A mask in the second text.
    let args = ["it was", "--pair", "a [MASK]"];
    let document = self::document(&model, &args);
    let Prediction::MaskedLm(masks) = &document.prediction else { panic!() };
    assert_eq!(masks.masks[0].field, 1);
    assert!(drawn(&model, &args).contains("⟦[MASK]⟧"));
    let errors = [
        bad(&model, &["it was good"]),
        bad(&model, &["it was [MASK]", "--target", "unbelievably long"]),
        bad(&model, &["it was [MASK]", "--target", "zebra"]),
        bad(&model, &["it was [MASK]", "--top", "0"]),
        bad("../../testdata/models/bert-cls", &["x", "--top", "3"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    error: the text has no mask to fill
    hint: write [MASK] where the model is to choose a token

    error: --target "unbelievably long" is 2 tokens, not one
    hint: give a shorter word, or a token as the vocabulary spells it

    error: --target "zebra" is not in the vocabulary
    hint: give a shorter word, or a token as the vocabulary spells it

    error: invalid value '0' for '--top <K>': 0 is not in 1..=1000
    hint: `glossator explain --help` lists what can be given

    error: --top is for question-answering, masked-lm, causal-lm or seq2seq-lm; ../../testdata/models/bert-cls does text-classification
    hint: leave out --top, or name another --model; `glossator models` lists families
    "#);
}

#[test]
fn a_language_model_says_what_comes_next() {
    let Some(model) = tiny("gpt2") else { return };
    let document = document(&model, &["it was a", "--top", "4"]);
    let Prediction::CausalLm(next) = &document.prediction else { panic!() };
    assert_eq!((next.next.len(), next.next[0].candidates.len()), (1, 4));
    let tokens = document.input.fields[0].tokens.len();
    assert_eq!(document.explanations[0].target.position(), Some(tokens));
    drawn(&model, &["it was a"]);
    let args = ["it was a", "--target", "f-vs-o"];
    let target = self::document(&model, &args).explanations.remove(0).target;
    assert_eq!(target.parts(), ("f", Some("o")));
}

#[test]
fn written_tokens_are_explained_one_by_one() {
    for name in ["gpt2", "llama", "t5", "bart"] {
        let Some(model) = tiny(name) else { continue };
        for flags in [["--generate", "3"], ["--continuation", " good film"]] {
            let args = [&["it was a"], &flags[..]].concat();
            let document = document(&model, &args);
            let count = document.explanations.len();
            assert_eq!(document.prediction.next().len(), count, "{name}");
            assert!(count > 1, "{name}");
            let last = document.input.fields.last().unwrap();
            if flags[0] == "--continuation" {
                assert_eq!(last.text.trim(), "good film", "{name}");
            }
            let text = drawn(&model, &args);
            assert!(text.contains("by the tokens before it"), "{text}");
            assert!(text.contains(&format!("(token {count} of {count})")), "{text}");
        }
    }
    let Some(model) = tiny("gpt2") else { return };
    let errors = [
        bad(&model, &["it was", "--generate", "0"]),
        bad(&model, &["it was", "--generate", "2", "--continuation", "x"]),
        bad(&model, &["it was", "--generate", "2", "--target", "f"]),
        bad(&model, &["it was", "--continuation", ""]),
        bad(&model, &["it was", "--pair", "x"]),
        bad("../../testdata/models/bert-cls", &["x", "--generate", "3"]),
        bad("../../testdata/models/bert-cls", &["x", "--continuation", "y"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    error: invalid value '0' for '--generate <N>': 0 is not in 1..=100000
    hint: `glossator explain --help` lists what can be given

    error: the argument '--generate <N>' cannot be used with '--continuation <TEXT>'
    hint: `glossator explain --help` lists what can be given

    error: --target names one token, but several are written
    hint: leave out --target, or write one token

    error: the continuation has no tokens
    hint: leave out --continuation

    error: --pair is for text-classification, masked-lm or sentence-similarity; ../../testdata/models/gpt2 does causal-lm
    hint: leave out --pair, or name another --model; `glossator models` lists families

    error: --generate is for causal-lm or seq2seq-lm; ../../testdata/models/bert-cls does text-classification
    hint: leave out --generate, or name another --model; `glossator models` lists families

    error: --continuation is for causal-lm or seq2seq-lm; ../../testdata/models/bert-cls does text-classification
    hint: leave out --continuation, or name another --model; `glossator models` lists families
    ");
}

#[test]
fn two_texts_are_compared() {
    let Some(model) = tiny("bert-sentence-similarity") else { return };
    let args = ["it was good", "--pair", "a film"];
    let document = document(&model, &args);
    let Prediction::SentenceSimilarity(one) = &document.prediction else { panic!() };
    assert!((-1.0..=1.0).contains(&one.similarity));
    assert_eq!(document.explanations[0].target, Target::similarity("value"));
    assert!((document.explanations[0].output - one.similarity).abs() < 1e-6);
    assert!(drawn(&model, &args).starts_with("similarity "));
    let errors = [
        bad(&model, &["it was good"]),
        bad(&model, &["it was", "--pair", "good", "--target", "x"]),
        bad(&model, &["it was", "--pair", "good", "--quantity", "loss"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    error: one text to compare, and no other
    hint: give it with --pair TEXT

    error: --target: two texts have one similarity, and nothing to choose
    hint: leave out --target

    error: the quantity loss is not defined for a regression: its outputs are numbers, not labels
    hint: explain the value itself: --quantity logit
    ");
}

/// The model is not even looked for where the flags contradict each other.
#[test]
fn flags_that_no_task_has_together_fail_first() {
    let errors = [
        bad("no-such", &["x", "--question", "y", "--aggregation", "max"]),
        bad("no-such", &["x", "--pair", "y", "--stride", "3"]),
        bad("no-such", &["x", "--generate", "3", "--unanswerable"]),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    error: --aggregation is for token-classification, --question for question-answering
    hint: leave out --aggregation or --question

    error: --stride is for question-answering, --pair for text-classification, masked-lm or sentence-similarity
    hint: leave out --stride or --pair

    error: --unanswerable is for question-answering, --generate for causal-lm or seq2seq-lm
    hint: leave out --unanswerable or --generate
    ");
}

#[test]
fn lines_may_have_all_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let file = path.to_str().unwrap();
    let write = |lines: &[&str]| std::fs::write(&path, lines.join("\n")).unwrap();
    let model = "../../testdata/models/bert-cls";
    write(&[
        r#"{"text": "it was", "pair": "good"}"#,
        r#"{"text": "it was", "pair": null}"#,
        r#""a film""#,
    ]);
    let pairs = |args: &[&str]| {
        let documents = documents(model, &[&["--file", file], args].concat());
        let pair = |document: &Document| Some(document.input.fields.get(1)?.text.clone());
        documents.iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&[]), [Some("good".to_owned()), None, None]);
    // A line goes before the flag.
    let other = Some("bad".to_owned());
    assert_eq!(pairs(&["--pair", "bad"]), [Some("good".to_owned()), other.clone(), other]);

    write(&[
        r#"{"text": "x", "question": "y"}"#,
        r#"{"text": "x", "pair": 3}"#,
        r#"{"pair": "x"}"#,
        r#"{"text": "x", "pair": "y", "question": "z"}"#,
        r#"{"text": "x", "continuation": "y"}"#,
    ]);
    let answer = run(&mut explain(model, &["--file", file]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(answer.err.replace(file, "FILE"), @r#"
    error: FILE:1: a question; bert-cls does text-classification
    hint: give the second text of a pair with the key "pair"
    error: FILE:2: the value of "pair" is not a string
    hint: each line is an object with the key "text" (--text-key), or a string
    error: FILE:3: no key "text"
    hint: each line is an object with the key "text" (--text-key), or a string
    error: FILE:4: an object with the key "question" and the key "pair"
    hint: give one of them
    error: FILE:5: a classifier writes nothing
    hint: leave out --continuation
    "#);

    let Some(model) = tiny("bert-question-answering") else { return };
    write(&[
        r#"{"question": "what", "context": "it was good"}"#,
        r#"{"question": "who", "text": "a film"}"#,
        r#"{"context": "it was bad"}"#,
    ]);
    let documents = documents(&model, &["--file", file, "--question", "which"]);
    let all: Vec<_> = documents.iter().map(fields).collect();
    let expected = [("what", "it was good"), ("who", "a film"), ("which", "it was bad")];
    let expected = expected.map(|(q, c)| [("question", q), ("context", c)]);
    assert_eq!(all, expected);

    let Some(model) = tiny("gpt2") else { return };
    write(&[r#"{"text": "it was", "continuation": " good"}"#]);
    let document = document(&model, &["--file", file]);
    assert_eq!(fields(&document), [("text", "it was"), ("continuation", " good")]);
}

#[test]
fn models_are_looked_into() {
    let inspect = |model: &str| good(&mut glossator(&["models", "inspect", model]));
    insta::assert_snapshot!(inspect("../../testdata/models/bert-multilabel"), @"
    bert-multilabel
    family        bert (BERT)
    task          text-classification
    parameters    8420
    layers        2
    heads         2
    width         16
    vocabulary    183
    max tokens    40
    labels        4 (each is right or wrong): funny, sad, long, scary
    sites         15: embeddings, layers.N.residual, layers.N.attention.values,
                  layers.N.attention.scores, layers.N.attention.probabilities,
                  layers.N.attention.output, layers.N.mlp, logits
    sha256        2536be2f0807a7830fff38d415f41105db12874aa48176bd68b77235b7fdff70
    ");
    let text = inspect("../../testdata/models/classic-window");
    assert!(text.contains("65536, of which a prediction reads the last 6 (fewer are"), "{text}");
    for name in ["gpt2", "t5", "bert-token-classification", "bert-sentence-similarity"] {
        let Some(model) = tiny(name) else { continue };
        let text = inspect(&model);
        assert!(text.starts_with(&format!("{name}\nfamily ")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(inspect("sentiment-en").contains("parameters    12.1 M"));
}

#[test]
fn what_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let source = std::path::Path::new("../../testdata/models/bert-cls");
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(source.join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().to_str().unwrap();
    let answer = run(&mut glossator(&["models", "inspect", path]));
    assert_eq!(answer.code, Some(2));
    // A flag of another task is noticed before the weights are looked for.
    let error = bad(path, &["x", "--question", "y"]);
    assert!(
        error.contains("DIR does text-classification".replace("DIR", path).as_str()),
        "{error}"
    );
    insta::assert_snapshot!(format!("{}{}", answer.out, answer.err.replace(path, "DIR")), @"
    family        bert (BERT)
    task          text-classification
    error: DIR: no weights; looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json
    hint: name a directory that a Hugging Face model was saved to
    ");
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    let config = config.replace("\"bert\"", "\"\\u001b[31mnot-bert\"");
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    let answer = run(&mut glossator(&["models", "inspect", path]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(answer.err.replace(path, "DIR"), @r#"
    error: DIR/config.json: unknown model family "\u{1b}[31mnot-bert"
    hint: supported families: bert, roberta, xlm-roberta, distilbert, electra, albert, mpnet, deberta-v2, modernbert, gpt2, gpt-neox, llama, mistral, qwen2, qwen3, gemma2, gemma3, t5, bart, marian, glossator
    "#);
    for (args, expected) in [
        (
            &["models", "inspect"][..],
            "error: the following required arguments were not provided: <MODEL>",
        ),
        (
            &["models", "inspect", "no-such"],
            "error: no-such: no such directory, and no model of that name",
        ),
        (&["models", "look"], "error: unrecognized subcommand 'look'"),
    ] {
        let answer = run(&mut glossator(args));
        assert_eq!(answer.code, Some(2));
        assert_eq!(answer.err.lines().next(), Some(expected));
    }
}
