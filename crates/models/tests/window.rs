//! Models that read a fixed number of tokens: what they see of a text, what they do not, and
//! configurations that cannot be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{open, testdata, values};
use glossator_models::{
    Batch, DType, Device, Encoding, LoadOptions, Model, Site, Tensor, Trace, Var, load,
};
use glossator_ops::gradient;
use serde_json::{Value, json};

fn model(name: &str) -> Box<dyn Model> {
    open(&testdata("models").join(name), DType::F64)
}

/// The gradient of the sum of squared outputs, token by token: whether there is any.
fn read(model: &dyn Model, encoding: &Encoding) -> Vec<bool> {
    let batch = Batch::repeat(encoding, 1).reading(&[encoding.tokens.len() - 1]);
    let x = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
    let output = model.forward(&x, &batch, &mut Trace::new()).unwrap().logits;
    let gradient = gradient(&output.sqr().unwrap().sum_all().unwrap(), &x).unwrap();
    let width = model.info().width;
    values(&gradient).chunks(width).map(|token| token.iter().any(|&g| g != 0.0)).collect()
}

#[test]
fn only_the_last_tokens_are_read_and_unknown_ones_are_left_out() {
    let classifier = model("classic-window");
    // A window of six; "x" is unknown.
    let encoding = classifier.encode("the cat x was good x and we loved", false).unwrap();
    let want = [false, true, false, true, true, false, true, true, true];
    assert_eq!(read(&*classifier, &encoding), want);
    let longer = classifier.encode("it is the cat x was good x and we loved", false).unwrap();
    let outputs = [encoding, longer].map(|encoding| {
        let batch = Batch::repeat(&encoding, 1);
        let x = classifier.embed(&batch).unwrap();
        values(&classifier.forward(&x, &batch, &mut Trace::new()).unwrap().logits)
    });
    assert_eq!(outputs[0], outputs[1]);

    let language = model("classic-lm-window");
    let encoding = language.encode("the cat was good and we loved", false).unwrap();
    let want = [false, false, true, true, true, true, true];
    assert_eq!(read(&*language, &encoding), want);
}

/// A text of unknown words alone is what fills up, and no word does anything.
#[test]
fn a_text_without_a_known_word_has_a_prediction() {
    let model = model("classic-window");
    let [one, two] = ["x", "x y z"].map(|text| {
        let encoding = model.encode(text, false).unwrap();
        assert!(read(&*model, &encoding).iter().all(|&any| !any));
        let batch = Batch::repeat(&encoding, 1);
        let x = model.embed(&batch).unwrap();
        values(&model.forward(&x, &batch, &mut Trace::new()).unwrap().logits)
    });
    assert_eq!(one, two);
}

/// Gradients at the sites of a window, by central differences. Reached: 1e-9, their own error.
#[test]
fn gradients_inside_a_window_agree_with_central_differences() {
    const STEP: f64 = 1e-6;
    for name in ["classic-window", "classic-lm-window"] {
        let model = model(name);
        let encoding = model.encode("we loved the very good film", false).unwrap();
        let batch = Batch::repeat(&encoding, 1);
        let x = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
        let score = |trace: &mut Trace<'_>| {
            let output = model.forward(&x, &batch, trace).unwrap().logits;
            output.sqr().unwrap().sum_all().unwrap()
        };
        let sites = model.info().sites().iter().filter(|s| !matches!(s, Site::Recurrent(..)));
        for &site in sites {
            let mut trace = Trace::new().gradient_at(site);
            gradient(&score(&mut trace), &x).unwrap();
            let gradient = values(&trace.gradient(site).unwrap());
            let most = (0..gradient.len())
                .max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()))
                .unwrap();
            assert!(gradient[most].abs() > 1e-6, "{name}: {site}");
            for element in [0, gradient.len() / 2, most] {
                let at = |delta: f64| {
                    let mut trace = Trace::new().edit(site, move |x| {
                        let mut bump = vec![0.0; x.elem_count()];
                        bump[element] = delta;
                        Ok((x + Tensor::from_vec(bump, x.dims(), &Device::Cpu)?)?)
                    });
                    values(&score(&mut trace))[0]
                };
                let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let d = (numeric - gradient[element]).abs() / gradient[most].abs().max(1.0);
                assert!(d <= 1e-6, "{name}: {site}, element {element}: {d:e}");
            }
        }
    }
}

/// The configuration of a model with these keys in the places of its own, which must be refused.
fn refused(name: &str, keys: &Value) -> String {
    let from = testdata("models").join(name);
    let dir = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "model.safetensors"] {
        std::fs::copy(from.join(file), dir.path().join(file)).unwrap();
    }
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    match load(dir.path(), &LoadOptions::default()) {
        Ok(_) => panic!("{name} opens with {keys}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_read_so_is_refused() {
    let wrong = [
        ("classic-window", json!({"window": {"tokens": 0}}), "window.tokens"),
        ("classic-window", json!({"window": {"tokens": 6, "fill": 999}}), "window.fill"),
        ("classic-window", json!({"window": {"tokens": 6, "skip": [1, 999]}}), "window.skip"),
        ("classic-window", json!({"window": {"tokens": 7}}), "embedding.positions.count"),
        ("classic-tagger", json!({"window": {"tokens": 6}}), "window"),
        ("classic-esim", json!({"window": {"tokens": 6}}), "window"),
        ("classic-esim", json!({"concatenate_layers": true}), "concatenate_layers"),
        ("classic-seq2seq-rnn", json!({"concatenate_layers": true}), "concatenate_layers"),
        ("classic-lm-window", json!({"pooling": {"kind": "max"}}), "pooling.kind"),
        ("classic-lm-window", json!({"concatenate_layers": false}), "pooling.map"),
        ("classic-tagger", json!({"pooling": {"kind": "max"}}), "pooling"),
    ];
    for (name, keys, named) in wrong {
        let error = refused(name, &keys);
        assert!(error.contains(named), "{name}, {keys}: {error}");
    }
}
