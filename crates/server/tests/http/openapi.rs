//! The description of the interface: current, and true of the routes.

use serde_json::Value;

use crate::client::{get, server};

fn committed() -> std::path::PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json").into()
}

/// `GLOSSATOR_UPDATE=1` writes it again.
#[test]
fn the_committed_document_is_current() {
    let document = format!("{:#}\n", glossator_server::openapi());
    if std::env::var_os("GLOSSATOR_UPDATE").is_some() {
        std::fs::write(committed(), &document).unwrap();
    }
    let written = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(written == document, "docs/openapi.json is old: run with GLOSSATOR_UPDATE=1");
}

/// Every reference in a document.
fn references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

#[tokio::test]
async fn it_is_whole_and_served() {
    let document = glossator_server::openapi();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let router = server(|_| {});
    let served = get(&router, "/openapi.json").await;
    assert_eq!((served.json(), served.header("content-type")), (document, "application/json"));
}

#[test]
fn every_operation_has_an_id_a_summary_and_its_problems() {
    let document = glossator_server::openapi();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key("403"), "{what}");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{what}");
            for (status, answer) in answers {
                assert!(!answer["description"].as_str().unwrap().is_empty(), "{what} {status}");
                let content = answer.get("content").and_then(Value::as_object);
                if !status.starts_with('2') {
                    let schema = &content.unwrap()["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{what} {status}");
                }
            }
            if method == "post" {
                assert!(answers.contains_key("429") && answers.contains_key("422"), "{what}");
                let body = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert!(body["$ref"].is_string(), "{what}");
            }
        }
    }
    assert_eq!(ids.len(), 12, "{ids:?}");
}
