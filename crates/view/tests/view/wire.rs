//! The wire format: its JSON, its check, its schema.

use glossator_view::wire::{Document, Prediction, Target, schema};
use serde_json::{Value, json};

use crate::sample;

#[test]
fn is_what_the_design_says() {
    let mut document = sample::document(&[("text", "Ok")], |_, _| 0.5);
    document.truncated = Some(3);
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap(), @r#"
    {
      "version": 1,
      "model": {
        "id": "sst2-tiny",
        "family": "bert",
        "task": "text-classification",
        "sha256": "5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c"
      },
      "method": {
        "id": "integrated-gradients",
        "settings": {
          "baseline": "mask",
          "steps": 50
        }
      },
      "input": {
        "fields": [
          {
            "name": "text",
            "text": "Ok",
            "tokens": [
              {
                "text": "[CLS]",
                "start": 0,
                "end": 0,
                "word": null,
                "special": true
              },
              {
                "text": "Ok",
                "start": 0,
                "end": 2,
                "word": 0,
                "special": false
              },
              {
                "text": "[SEP]",
                "start": 2,
                "end": 2,
                "word": null,
                "special": true
              }
            ]
          }
        ]
      },
      "prediction": {
        "task": "text-classification",
        "kind": "single-label",
        "label": "positive",
        "probability": 0.998,
        "labels": [
          {
            "label": "negative",
            "probability": 0.002,
            "logit": -3.1
          },
          {
            "label": "positive",
            "probability": 0.998,
            "logit": 3.25
          }
        ]
      },
      "explanations": [
        {
          "target": {
            "kind": "label",
            "label": "positive",
            "quantity": "logit"
          },
          "scores": [
            [
              0.5,
              0.5,
              0.5
            ]
          ],
          "words": [
            [
              {
                "start": 0,
                "end": 2,
                "score": 0.5
              }
            ]
          ],
          "output": 3.25,
          "baseline_output": 1.7513,
          "delta": 0.0013,
          "error_estimate": 0.0004,
          "converged": true,
          "gradient_evaluations": 50
        }
      ],
      "truncated": 3
    }
    "#);
}

#[test]
fn a_regression_is_flat_too() {
    let value = serde_json::to_value(Prediction::regression("similarity", 3.5)).unwrap();
    assert_eq!(
        value,
        json!({"task": "text-classification", "kind": "regression", "label": "similarity", "value": 3.5})
    );
    let target = serde_json::to_value(Target::contrast("a", "b", "logit")).unwrap();
    assert_eq!(
        target,
        json!({"kind": "contrast", "label": "a", "versus": "b", "quantity": "logit"})
    );
}

#[test]
fn unknown_keys_are_ignored_and_optional_ones_may_be_absent() {
    let document = sample::film();
    let mut value = serde_json::to_value(&document).unwrap();
    value["from_the_future"] = json!({"x": 1});
    value["prediction"]["mood"] = json!("good");
    value["explanations"][0]["target"]["mood"] = json!("good");
    assert_eq!(serde_json::from_value::<Document>(value.clone()).unwrap(), document);
    let one = value["explanations"][0].as_object_mut().unwrap();
    assert!(one.remove("error_estimate").is_some());
    assert_eq!(
        serde_json::from_value::<Document>(value).unwrap().explanations[0].error_estimate,
        None
    );
}

#[test]
fn the_check_names_the_place() {
    let broken = |change: fn(&mut Document)| {
        let mut document = sample::film();
        change(&mut document);
        document.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!(broken(|d| d.version = 2), @"version: expected 1, got 2");
    insta::assert_snapshot!(broken(|d| d.explanations[0].output = f64::NAN), @"explanations[0].output: NaN is not a finite number");
    insta::assert_snapshot!(broken(|d| d.explanations[0].scores[0][3] = f64::INFINITY), @"explanations[0].scores[0][3]: inf is not a finite number");
    insta::assert_snapshot!(broken(|d| d.explanations[0].scores[0].truncate(2)), @"explanations[0].scores[0]: expected one entry per token, 11 in all, got 2");
    insta::assert_snapshot!(broken(|d| d.explanations[0].scores.clear()), @"explanations[0].scores: expected one entry per field, 1 in all, got 0");
    insta::assert_snapshot!(broken(|d| d.explanations[0].words[0].truncate(2)), @"input.fields[0].tokens[4].word: word 2 is not one of the 2 words this token can belong to");
    insta::assert_snapshot!(broken(|d| d.explanations[0].words[0][1].score = 7.0), @"explanations[0].words[0][1]: 7 is not the sum of the word's tokens, 2.4");
    insta::assert_snapshot!(broken(|d| d.input.fields[0].tokens[1].end = 99), @"input.fields[0].tokens[1]: 0..99 is not a span of whole characters in a text of 31 bytes");
    insta::assert_snapshot!(broken(|d| d.input.fields[0].tokens[1].start = 2), @"input.fields[0].tokens[1]: 2..1 is not a span of whole characters in a text of 31 bytes");
    insta::assert_snapshot!(broken(|d| d.input.fields[0].tokens[0].word = Some(0)), @"input.fields[0].tokens[0].word: word 0 is not one of the 0 words this token can belong to");
    insta::assert_snapshot!(broken(|d| d.prediction = Prediction::regression("x", f64::NAN)), @"prediction.value: NaN is not a finite number");
}

#[test]
fn a_span_must_not_cut_a_character() {
    let mut document = sample::document(&[("text", "é")], |_, _| 0.5);
    document.input.fields[0].tokens[1].end = 1;
    assert!(document.check().is_err());
}

#[test]
fn the_schema_describes_what_is_written() {
    let schema = schema();
    assert_eq!(schema["properties"]["version"]["const"], 1);
    assert_eq!(schema["properties"]["model"]["description"], "The model that was asked.");
    let mut other = sample::document(&[("a", "x"), ("b", "y z")], |_, _| -0.5);
    other.explanations[0].target = Target::contrast("a", "b", "logit");
    other.explanations[0].token_error_estimates = Some(other.explanations[0].scores.clone());
    other.explanations[0].notes.push("a note".into());
    other.explanations[0].delta = None;
    other.prediction = Prediction::regression("similarity", 0.5);
    for document in [sample::film(), other] {
        let value = serde_json::to_value(&document).unwrap();
        validate(&value, &schema, &schema, "document").unwrap();
    }
}

#[test]
fn the_schema_refuses_what_is_not() {
    let schema = schema();
    for (pointer, bad) in [
        ("/version", json!(2)),
        ("/explanations/0/output", json!(null)),
        ("/explanations/0/scores/0/0", json!("1")),
        ("/explanations/0/target/kind", json!("nothing")),
        ("/input/fields/0/tokens/0/start", json!(-1)),
        ("/prediction/kind", json!("none")),
    ] {
        let mut value = serde_json::to_value(sample::film()).unwrap();
        *value.pointer_mut(pointer).unwrap() = bad;
        assert!(validate(&value, &schema, &schema, "document").is_err(), "{pointer}");
    }
    let mut value = serde_json::to_value(sample::film()).unwrap();
    value["explanations"][0].as_object_mut().unwrap().remove("delta");
    assert!(validate(&value, &schema, &schema, "document").is_err());
}

/// Validates the part of JSON Schema that ours uses; a keyword it does not know is an error.
fn validate(value: &Value, schema: &Value, root: &Value, at: &str) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &json!(false) {
            Err(format!("{at}: nothing may be here"))
        } else {
            Ok(())
        };
    };
    let check = |ok: bool, rule: &Value| {
        if ok { Ok(()) } else { Err(format!("{at}: {value} is not {rule}")) }
    };
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" => {}
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap());
                validate(value, target.expect("the reference leads somewhere"), root, at)?;
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("unknown type {other}"),
                };
                check(rule.as_array().map_or_else(|| is(rule), |any| any.iter().any(is)), rule)?;
            }
            "const" => check(value == rule, rule)?,
            "minimum" => check(value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap()), rule)?,
            "required" => {
                let keys = rule.as_array().unwrap().iter().map(|key| key.as_str().unwrap());
                check(keys.into_iter().all(|key| value.get(key).is_some()), rule)?;
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        validate(value, rule, root, &format!("{at}.{key}"))?;
                    }
                }
            }
            "additionalProperties" => check(rule == &json!(true), rule)?,
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    validate(value, rule, root, &format!("{at}[{i}]"))?;
                }
            }
            "oneOf" | "anyOf" => {
                let fit = |rule: &&Value| validate(value, rule, root, at).is_ok();
                let count = rule.as_array().unwrap().iter().filter(fit).count();
                check(count == 1 || (count > 1 && keyword == "anyOf"), rule)?;
            }
            other => panic!("{at}: the test does not know the keyword {other}"),
        }
    }
    Ok(())
}
