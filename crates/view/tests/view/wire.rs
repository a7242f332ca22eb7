//! The wire format: its JSON, its check, its schema.

use glossator_view::wire::{Answer, Document, Prediction, Target, schema};
use serde_json::{Value, json};

use crate::{sample, tasks};

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
fn predictions_of_every_task_have_their_keys() {
    let said = |document: &Document| serde_json::to_value(&document.prediction).unwrap();
    let target = |document: &Document, e: usize| {
        serde_json::to_value(&document.explanations[e].target).unwrap()
    };
    let document = tasks::entities("In Paris", &[("LOC", "Paris")]);
    let entity = json!({
        "label": "LOC", "probability": 0.97, "field": 0, "start": 3, "end": 8, "text": "Paris"
    });
    assert_eq!(said(&document), json!({"task": "token-classification", "entities": [entity]}));
    let expected =
        json!({"kind": "entity", "label": "LOC", "field": 0, "span": [3, 8], "quantity": "logit"});
    assert_eq!(target(&document, 0), expected);

    let document = tasks::answer("Where?", "In Paris", Some("Paris"));
    let best = json!({"answer": "Paris", "start": 3, "end": 8, "probability": 0.93});
    let other = json!({"answer": "In", "start": 0, "end": 2, "probability": 0.04});
    let mut expected = best.clone();
    expected["task"] = "question-answering".into();
    expected["field"] = 1.into();
    expected["answers"] = json!([best, other]);
    assert_eq!(said(&document), expected);
    let expected = json!({
        "kind": "answer", "field": 1, "span": [3, 8], "text": "Paris", "quantity": "logit"
    });
    assert_eq!(target(&document, 0), expected);
    let none = tasks::answer("Who?", "In Paris", None);
    assert_eq!(said(&none)["answer"], json!(null));
    assert_eq!(said(&none)["start"], json!(null));
    let expected =
        json!({"kind": "answer", "field": 1, "span": null, "text": null, "quantity": "logit"});
    assert_eq!(target(&none, 0), expected);

    let document = tasks::masks("A MASK");
    let said_masks = said(&document);
    assert_eq!(said_masks["task"], "masked-lm");
    let mask = &said_masks["masks"][0];
    assert_eq!(
        (&mask["field"], &mask["token"], &mask["start"], &mask["end"]),
        (&json!(0), &json!(2), &json!(2), &json!(6))
    );
    let candidate = json!({"token": "cat", "id": 100, "probability": 0.6, "logit": 9.5});
    assert_eq!(mask["candidates"][0], candidate);
    let expected = json!({"kind": "token", "token": "cat", "position": 2, "quantity": "logit"});
    assert_eq!(target(&document, 0), expected);

    let document = tasks::next("It is");
    let said_next = said(&document);
    assert_eq!(said_next["task"], "causal-lm");
    let next = &said_next["next"][0];
    assert_eq!(
        (&next["token"], &next["id"], &next["logit"], &next["candidates"][1]["token"]),
        (&json!(" Paris"), &json!(100), &json!(9.5), &json!(" the"))
    );
    let expected = json!({
        "kind": "token-contrast", "token": " Paris", "versus": " the", "position": 4,
        "quantity": "logit"
    });
    assert_eq!(target(&document, 0), expected);
    let Prediction::CausalLm(next) = document.prediction else { panic!("a language model") };
    assert_eq!(serde_json::to_value(Prediction::Seq2SeqLm(next)).unwrap()["task"], "seq2seq-lm");

    let document = tasks::similarity("a", "b");
    assert_eq!(said(&document), json!({"task": "sentence-similarity", "similarity": 0.8123}));
    assert_eq!(target(&document, 0), json!({"kind": "similarity", "quantity": "value"}));
}

#[test]
fn every_task_reads_back() {
    for (name, document) in tasks::all() {
        document.check().unwrap();
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document, "{name}");
    }
}

#[test]
fn the_check_knows_every_task() {
    let broken = |mut document: Document, change: &dyn Fn(&mut Document)| {
        document.check().unwrap();
        change(&mut document);
        document.check().unwrap_err().to_string()
    };
    let entities = || tasks::entities("In Paris", &[("LOC", "Paris")]);
    let entity = |change: &dyn Fn(&mut glossator_view::wire::Entity)| {
        broken(entities(), &|d| match &mut d.prediction {
            Prediction::TokenClassification(entities) => change(&mut entities.entities[0]),
            _ => panic!("entities"),
        })
    };
    insta::assert_snapshot!(entity(&|e| e.probability = 1.5), @"prediction.entities[0].probability: 1.5 is not a probability");
    insta::assert_snapshot!(entity(&|e| e.field = 1), @"prediction.entities[0].field: there is no field 1; the last is 0");
    insta::assert_snapshot!(entity(&|e| e.end = 99), @"prediction.entities[0]: 3..99 is not a span of whole characters in a text of 8 bytes");
    insta::assert_snapshot!(entity(&|e| e.text = "Rome".into()), @r#"prediction.entities[0].text: "Rome" is not what stands at 3..8"#);
    insta::assert_snapshot!(broken(entities(), &|d| d.explanations[0].target = Target::entity("x", 0, (5, 2), "logit")), @"explanations[0].target.span: 5..2 is not a span of whole characters in a text of 8 bytes");
    insta::assert_snapshot!(broken(entities(), &|d| d.explanations[0].target = Target::entity("x", 9, (5, 2), "logit")), @"explanations[0].target.field: there is no field 9; the last is 0");
    let answers = || tasks::answer("Where?", "In Paris", Some("Paris"));
    let best = |change: &dyn Fn(&mut Answer)| {
        broken(answers(), &|d| match &mut d.prediction {
            Prediction::QuestionAnswering(answers) => change(&mut answers.answers[1]),
            _ => panic!("answers"),
        })
    };
    insta::assert_snapshot!(best(&|a| a.start = None), @"prediction.answers[1]: a text, a start and an end are either all there or all null");
    insta::assert_snapshot!(best(&|a| a.start = Some(1)), @r#"prediction.answers[1].text: "In" is not what stands at 1..2"#);
    insta::assert_snapshot!(best(&|a| a.probability = f64::NAN), @"prediction.answers[1].probability: NaN is not a finite number");
    insta::assert_snapshot!(broken(answers(), &|d| d.explanations[0].target = Target::answer(0, 0, "Paris", "logit")), @r#"explanations[0].target.text: "Paris" is not what stands at 0..5"#);
    insta::assert_snapshot!(broken(tasks::masks("A MASK"), &|d| match &mut d.prediction {
        Prediction::MaskedLm(masks) => masks.masks[0].token = 4,
        _ => panic!("masks"),
    }), @"prediction.masks[0].token: there is no token 4; the last is 3");
    insta::assert_snapshot!(broken(tasks::next("A"), &|d| match &mut d.prediction {
        Prediction::CausalLm(next) => next.next[0].candidates[2].logit = f64::INFINITY,
        _ => panic!("tokens"),
    }), @"prediction.next[0].candidates[2].logit: inf is not a finite number");
    insta::assert_snapshot!(broken(tasks::next("A"), &|d| d.explanations[0].target = Target::token("x", 4, "logit")), @"explanations[0].target.position: there is no position 4; the last is 3");
    insta::assert_snapshot!(broken(tasks::similarity("a", "b"), &|d| match &mut d.prediction {
        Prediction::SentenceSimilarity(one) => one.similarity = f64::NAN,
        _ => panic!("a similarity"),
    }), @"prediction.similarity: NaN is not a finite number");
}

#[test]
fn a_document_of_the_first_release_is_still_read() {
    // As version 0.1.0 wrote it, with the keys that were optional left out.
    let old = json!({
        "version": 1,
        "model": {"id": "m", "family": "bert", "task": "text-classification", "sha256": null},
        "method": {"id": "gradient", "settings": {}},
        "input": {"fields": [{"name": "text", "text": "Ok", "tokens": [
            {"text": "Ok", "start": 0, "end": 2, "word": 0, "special": false}]}]},
        "prediction": {"task": "text-classification", "kind": "single-label", "label": "a",
            "probability": 1.0, "labels": [{"label": "a", "probability": 1.0, "logit": null}]},
        "explanations": [{
            "target": {"kind": "contrast", "label": "a", "versus": "b", "quantity": "logit"},
            "scores": [[0.5]], "words": [[{"start": 0, "end": 2, "score": 0.5}]], "output": 1.0,
            "baseline_output": null, "delta": null, "error_estimate": null, "converged": null,
            "gradient_evaluations": 1}]
    });
    let document: Document = serde_json::from_value(old.clone()).unwrap();
    document.check().unwrap();
    assert_eq!(serde_json::to_value(document).unwrap(), old);
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
    let all = tasks::all().into_iter().map(|(_, document)| document);
    for document in all.chain([sample::film(), other]) {
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
            "minItems" | "maxItems" => {
                let (count, rule) = (value.as_array().map(Vec::len), rule.as_u64().unwrap());
                let fits = |count: usize| match keyword.as_str() {
                    "minItems" => count as u64 >= rule,
                    _ => count as u64 <= rule,
                };
                check(count.is_none_or(fits), &rule.into())?;
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

#[test]
fn the_front_end_has_these_schemas() {
    for (name, schema) in [
        ("explain", glossator_view::wire::schema()),
        ("attack", glossator_view::wire::attack_schema()),
    ] {
        let path = format!("{}/../../web/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let hint =
            "write web/schema again with `glossator schema`, then run `npm run types` in web";
        assert!(written == schema, "{name}: {hint}");
    }
}
