//! What is computed, in every form.

use glossator_view::wire;
use serde_json::{Value, json};

use crate::client::{get, post, server};

#[tokio::test]
async fn predictions_of_every_task() {
    let router = server(|_| {});
    let cases = [
        ("bert-cls", json!({"text": "the cat was good"}), "label"),
        (
            "bert-question-answering",
            json!({"question": "was it good", "context": "the cat was good"}),
            "answer",
        ),
        (
            "bert-question-answering",
            json!({"question": "was it good", "text": "the cat was good"}),
            "answer",
        ),
        ("bert-token-classification", json!({"text": "the cat was good"}), "entities"),
        ("bert-masked-lm", json!({"text": "the [MASK] was good"}), "masks"),
        ("gpt2", json!({"text": "the cat"}), "next"),
        ("t5", json!({"text": "the cat"}), "next"),
        ("bert-sentence-similarity", json!({"text": "the cat", "pair": "a film"}), "similarity"),
    ];
    for (model, input, key) in cases {
        let answer = post(&router, "/v1/predict", &json!({"model": model, "input": input})).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let document: wire::PredictDocument = serde_json::from_slice(&answer.body).unwrap();
        document.check().unwrap();
        assert_eq!(document.model.sha256.as_ref().map(String::len), Some(64));
        assert!(!answer.json()["prediction"][key].is_null(), "{model}: {}", answer.text());
    }
}

#[tokio::test]
async fn explanations_are_those_of_the_library() {
    let router = server(|_| {});
    let text = "the cat was good and we loved the film";
    let body = json!({
        "model": "bert-cls", "input": {"text": text}, "method": "smoothgrad",
        "settings": {"samples": 3.0, "seed": "7", "squared": true},
        "target": "1-vs-0", "quantity": "probability",
    });
    let answer = post(&router, "/v1/explain", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document: wire::Document = serde_json::from_slice(&answer.body).unwrap();
    document.check().unwrap();
    assert_eq!(document.method.settings["samples"], 3);
    assert_eq!(document.method.settings["seed"], 7);
    assert_eq!(document.method.settings["squared"], true);

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/bert-cls");
    let model = glossator_models::load(root.as_ref(), &Default::default()).unwrap();
    let method = glossator_interpret::SmoothGrad {
        samples: 3,
        seed: 7,
        squared: true,
        ..Default::default()
    };
    let spec = glossator_interpret::TargetSpec::parse("1-vs-0", &model.info().labels).unwrap();
    let explainer = glossator_interpret::Explainer::new(model.as_ref(), &method);
    let encoding = model.encode(text, false).unwrap();
    let expected =
        explainer.explain(&encoding, &spec, glossator_interpret::Quantity::Probability).unwrap();
    let scores = &document.explanations[0].scores[0];
    assert_eq!(scores, &expected.explanations[0].attribution.scores);
}

#[tokio::test]
async fn presets_options_and_defaults() {
    let router = server(|_| {});
    let input = json!({"text": "the cat was good"});
    let answer = post(&router, "/v1/explain", &json!({"input": input})).await.json();
    assert_eq!(answer["model"]["id"], "bert-cls", "the default is the first");
    assert_eq!(answer["method"]["id"], "integrated-gradients");
    let preset = json!({"input": input, "method": "gradient", "preset": "allennlp"});
    let answer = post(&router, "/v1/explain", &preset).await.json();
    assert_eq!(answer["explanations"][0]["target"]["quantity"], "loss");
    let top = json!({"model": "gpt2", "input": {"text": "the cat"}, "options": {"top": 2, "generate": 3}});
    let answer = post(&router, "/v1/explain", &top).await.json();
    assert_eq!(answer["explanations"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["prediction"]["next"][0]["candidates"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn attacks_with_constraints() {
    let router = server(|_| {});
    let body = json!({
        "model": "sentiment-en", "input": {"text": "a touching and funny film"},
        "attack": "hotflip", "settings": {"protect": "film", "max-edits": 3, "max-distance": 20},
    });
    let answer = post(&router, "/v1/attack", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document: wire::AttackDocument = serde_json::from_slice(&answer.body).unwrap();
    document.check().unwrap();
    assert!(document.results[0].success, "{}", answer.text());
    assert_eq!(document.attack.settings["max-distance"], 20);
    let kept = post(
        &router,
        "/v1/attack",
        &json!({"model": "sentiment-en", "input": {"text": "a funny film"}, "attack": "input-reduction"}),
    )
    .await;
    assert!(!kept.json()["results"][0]["kept"].is_null(), "{}", kept.text());
    // Another model judges: one of the server's, by its name.
    let judged = json!({
        "model": "bert-cls", "input": {"text": "the cat was good"}, "attack": "greedy",
        "settings": {"plausible-by": "bert-masked-lm", "candidates": 5},
    });
    let answer = post(&router, "/v1/attack", &judged).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["attack"]["settings"]["plausible-by"], "bert-masked-lm");
}

#[tokio::test]
async fn attention_by_layer_head_query_and_key() {
    let router = server(|_| {});
    let body = json!({"input": {"text": "the cat was good", "pair": "a film"}});
    let answer = post(&router, "/v1/attention", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document: wire::AttentionDocument = serde_json::from_slice(&answer.body).unwrap();
    document.check().unwrap();
    assert_eq!((document.layers, document.heads), (2, 4));
    let tokens: usize = document.input.fields.iter().map(|field| field.tokens.len()).sum();
    assert_eq!(document.queries, (0..tokens).collect::<Vec<_>>());
    let rows = document.attention.iter().flatten().flatten().chain(&document.rollout);
    for row in rows {
        // Rounded to five digits.
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5 * tokens as f64, "{row:?}");
    }
    // Of a decoder nobody reads what comes later.
    let causal = json!({"model": "gpt2", "input": {"text": "the cat was good"}});
    let answer = post(&router, "/v1/attention", &causal).await.json();
    assert_eq!(answer["attention"][0][0][0][1], 0.0, "{answer}");
}

#[tokio::test]
async fn forms_are_files_to_keep() {
    let router = server(|_| {});
    let body = json!({"input": {"text": "the cat was good"}, "method": "gradient"});
    let attack = json!({"input": {"text": "the cat was good"}, "attack": "hotflip", "settings": {"max-edits": 1}});
    for (path, body, kind, begins) in [
        ("/v1/explain?format=svg", &body, "image/svg+xml", "<svg"),
        ("/v1/explain?format=html", &body, "text/html; charset=utf-8", "<!doctype html>"),
        ("/v1/explain?format=csv", &body, "text/csv; charset=utf-8", "input,explanation"),
        ("/v1/attack?format=html", &attack, "text/html; charset=utf-8", "<!doctype html>"),
        ("/v1/attack?format=csv", &attack, "text/csv; charset=utf-8", "place"),
    ] {
        let answer = post(&router, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{path}");
        assert!(answer.text().contains(begins), "{path}: {}", answer.text());
        let disposition = answer.header("content-disposition");
        assert!(disposition.starts_with("attachment; filename="), "{path}: {disposition}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let plain = post(&router, "/v1/explain?format=json", &body).await;
    assert_eq!(plain.header("content-type"), "application/json");
    assert_eq!(plain.header("cache-control"), "no-store");
}

#[tokio::test]
async fn lists_say_what_there_is() {
    let router = server(|_| {});
    let models = get(&router, "/v1/models").await.json();
    let models = models["models"].as_array().unwrap();
    assert_eq!(models.len(), 8);
    let by = |id: &str| models.iter().find(|model| model["id"] == id).unwrap();
    let first = by("bert-cls");
    assert_eq!(
        (&first["default"], &first["layers"], &first["heads"]),
        (&json!(true), &json!(2), &json!(4))
    );
    assert_eq!(first["labels"].as_array().map(Vec::len), Some(3));
    assert_eq!(first["fields"], json!(["text", "pair"]));
    assert_eq!(by("bert-question-answering")["fields"], json!(["context", "question"]));
    assert_eq!(by("gpt2")["fields"], json!(["text", "continuation"]));
    assert_eq!((&by("t5")["attention"], &by("gpt2")["attention"]), (&json!(false), &json!(true)));
    let bundled = by("sentiment-en");
    assert_eq!((&bundled["default"], &bundled["license"]), (&json!(false), &json!("Apache-2.0")));
    assert!(bundled["bytes"].as_u64().unwrap() > 20_000_000 && bundled["problem"].is_null());
    // Every example can be posted as it is, where the model knows the words.
    for example in bundled["examples"].as_array().unwrap() {
        let body = json!({"model": "sentiment-en", "input": example["input"]});
        assert_eq!(post(&router, "/v1/predict", &body).await.status, 200, "{example}");
    }

    let methods = get(&router, "/v1/methods").await.json();
    assert_eq!(methods["default"], "integrated-gradients");
    assert_eq!(methods["quantities"].as_array().map(Vec::len), Some(4));
    let all: Vec<&Value> = methods["methods"].as_array().unwrap().iter().collect();
    let smooth = all.iter().find(|method| method["id"] == "smoothgrad").unwrap();
    let samples =
        smooth["settings"].as_array().unwrap().iter().find(|s| s["name"] == "samples").unwrap();
    assert_eq!((&samples["kind"], &samples["most"]), (&json!("integer"), &json!(5000)));
    let attacks = get(&router, "/v1/attacks").await.json();
    assert!(attacks["attacks"].as_array().unwrap().len() >= 3, "{attacks}");
    assert!(attacks["constraints"].as_array().unwrap().len() >= 8, "{attacks}");
    assert_eq!(get(&router, "/healthz").await.json(), json!({"status": "ok"}));
}
