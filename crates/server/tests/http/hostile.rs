//! Text is text: what looks like markup goes through every form without becoming any.

use std::path::Path;

use glossator_server::{Catalogue, Location, Server};
use serde_json::json;

use crate::client::{get, post, settings, tiny};

const MARKUP: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";

/// A copy of the tiny classifier in a directory with such a name, with such labels and a card.
fn hostile(root: &Path) -> std::path::PathBuf {
    // A file's name cannot hold a slash.
    let dir = root.join("<script>alert(3)<script>\"'&");
    std::fs::create_dir(&dir).unwrap();
    let Location::Path(tiny) = tiny("bert-cls") else { unreachable!() };
    for entry in std::fs::read_dir(tiny).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    let path = dir.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let label = |i: usize| format!("{i}{MARKUP}");
    config["id2label"] = json!({"0": label(0), "1": label(1), "2": label(2)});
    config["label2id"] = json!({label(0): 0, label(1): 1, label(2): 2});
    std::fs::write(path, config.to_string()).unwrap();
    let card = format!("---\nlicense: {MARKUP}\n---\n\n# x\n\nSays {MARKUP} of a text.\n");
    std::fs::write(dir.join("MODEL_CARD.md"), card).unwrap();
    dir
}

/// The form has no more scripts and pictures than that of a text without markup.
fn is_tame(text: &str, plain: &str, what: &str) {
    let (text, plain) = (text.to_lowercase(), plain.to_lowercase());
    for tag in ["<script", "</script", "<img"] {
        assert_eq!(text.matches(tag).count(), plain.matches(tag).count(), "{what}: {text}");
    }
    assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{what}: {text}");
}

#[tokio::test]
async fn markup_stays_text_in_every_form() {
    let root = tempfile::tempdir().unwrap();
    let mut models = Catalogue::new();
    let dir = hostile(root.path());
    let id = dir.file_name().unwrap().to_str().unwrap().to_owned();
    models.add(id.clone(), Location::Path(dir));
    models.add("plain", tiny("bert-cls"));
    let router = Server::start(settings(), models).unwrap().router();
    let text = format!("the cat {MARKUP} was good");
    // The tiny model reads forty tokens.
    let cut = json!({"truncate": true});
    for (path, mut body) in [
        ("/v1/explain", json!({"method": "gradient", "options": cut})),
        ("/v1/attack", json!({"attack": "hotflip", "settings": {"max-edits": 1}, "options": cut})),
    ] {
        body["model"] = json!(id);
        body["input"] = json!({"text": text, "pair": MARKUP});
        let answer = post(&router, path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json()["input"]["fields"][0]["text"], text);
        assert_eq!(answer.json()["model"]["id"], id);
        for form in ["svg", "html"] {
            if path == "/v1/attack" && form == "svg" {
                continue;
            }
            let answer = post(&router, &format!("{path}?format={form}"), &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            body["input"] = json!({"text": "the cat was good", "pair": "a film"});
            body["model"] = json!("plain");
            let plain = post(&router, &format!("{path}?format={form}"), &body).await;
            assert_eq!(plain.status, 200, "{}", plain.text());
            is_tame(answer.text(), plain.text(), form);
            body["model"] = json!(id);
            body["input"] = json!({"text": text, "pair": MARKUP});
            assert!(answer.text().contains("&lt;script&gt;"), "{form}: {}", answer.text());
            assert!(!answer.header("content-disposition").contains('<'));
        }
        let answer = post(&router, &format!("{path}?format=csv"), &body).await;
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    }
    // Problems repeat what was sent, as JSON that nobody takes for a page.
    let wrong = json!({"model": MARKUP, "input": {"text": text}});
    let answer = post(&router, "/v1/explain", &wrong).await;
    assert_eq!(answer.code(), "unknown_model");
    let wrong = json!({"input": {"text": text}, "target": MARKUP});
    let answer = post(&router, "/v1/explain", &wrong).await;
    assert_eq!(answer.code(), "bad_target");
    let answer = get(&router, "/v1/jobs/%3Cscript%3E").await;
    assert_eq!(answer.code(), "not_found");
    let models = get(&router, "/v1/models").await;
    assert_eq!(models.header("content-type"), "application/json");
    let model = &models.json()["models"][0];
    assert!(model["description"].as_str().unwrap().contains("script"), "{model}");
    assert_eq!(model["labels"][0], format!("0{MARKUP}"));
}

#[tokio::test]
async fn any_characters_are_texts() {
    let mut models = Catalogue::new();
    models.add("bert-cls", tiny("bert-cls"));
    let router = Server::start(settings(), models).unwrap().router();
    for text in ["\0\u{1b}[31m\u{202e}", "\r\n\r\ndata: x\n\nevent: result", "𝔘𝔫𝔦", "\u{feff}", " "]
    {
        let body = json!({"input": {"text": text}, "method": "gradient"});
        let answer = post(&router, "/v1/explain", &body).await;
        assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
        for form in ["svg", "html", "csv"] {
            let answer = post(&router, &format!("/v1/explain?format={form}"), &body).await;
            assert_eq!(answer.status, 200, "{text:?} {form}");
            let control = |c: char| c.is_control() && c != '\n' && c != '\r';
            assert!(form == "csv" || !answer.text().contains(control), "{text:?} {form}");
        }
    }
}
