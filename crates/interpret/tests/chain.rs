//! Entities of a tagger whose labels depend on their neighbours: what is explained is the
//! probability of an entity's labels, and nothing falls on tokens that have nothing to do with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use glossator_interpret::{
    Aggregation, Explainer, Input, METHODS, Options, Prediction, Quantity, Target, TargetSpec,
    TaskOptions,
};
use glossator_models::{Batch, DType, Device, LoadOptions, Model, Site, Tensor, Trace, Var, load};
use glossator_ops::gradient;

const TEXT: &str = "John lives in New York";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models/classic-tagger-crf")
}

fn open(dir: &Path) -> Box<dyn Model> {
    load(dir, &LoadOptions { dtype: DType::F64, ..LoadOptions::default() }).unwrap()
}

/// The same model, whose labels do not depend on each other.
fn without_transitions() -> Box<dyn Model> {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(directory().join(name), dir.path().join(name)).unwrap();
    }
    let file = directory().join("model.safetensors");
    let mut tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    for (name, tensor) in &mut tensors {
        if name.starts_with("crf.") {
            *tensor = tensor.zeros_like().unwrap();
        }
    }
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    open(dir.path())
}

fn entities(model: &dyn Model) -> Vec<Target> {
    let entry = METHODS.iter().find(|entry| entry.info.id == "gradient").unwrap();
    let method = entry.method(&Options::new()).unwrap();
    let answer = Explainer::new(model, &*method)
        .explain_input(
            &Input::text(TEXT),
            &TaskOptions::default(),
            &TargetSpec::Predicted,
            Quantity::Logit,
        )
        .unwrap();
    answer.explanations.into_iter().map(|explanation| explanation.target).collect()
}

/// The gradient of a target with respect to the scores of each token's labels.
fn at_labels(model: &dyn Model, target: &Target) -> Vec<Vec<f64>> {
    let encoding = model.encode(TEXT, false).unwrap();
    let batch = Batch::repeat(&encoding, 1);
    let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
    let mut trace = Trace::new().gradient_at(Site::Logits);
    let output = model.forward(&x, &batch, &mut trace).unwrap();
    gradient(&target.score(&output).unwrap(), &x).unwrap();
    trace.gradient(Site::Logits).unwrap().squeeze(0).unwrap().to_vec2().unwrap()
}

fn tokens_of(target: &Target) -> Vec<usize> {
    target.outputs.iter().map(|element| element.row).collect()
}

#[test]
fn an_entity_is_measured_by_the_probability_of_its_labels() {
    let model = open(&directory());
    let targets = entities(&*model);
    assert!(!targets.is_empty());
    for target in &targets {
        assert_eq!(target.quantity, Quantity::LogProbability);
        let encoding = model.encode(TEXT, false).unwrap();
        let batch = Batch::repeat(&encoding, 1);
        let output = model.forward(&model.embed(&batch).unwrap(), &batch, &mut Trace::new());
        let output = output.unwrap();
        let score = |quantity| {
            let target = Target { quantity, ..target.clone() };
            target.score(&output).unwrap().to_vec1::<f64>().unwrap()[0]
        };
        let log = score(Quantity::LogProbability);
        assert!(log < 0.0);
        assert!((score(Quantity::Probability) - log.exp()).abs() < 1e-15);
        assert!((score(Quantity::Loss) + log).abs() < 1e-15);
    }
}

/// Off the entity, what remains is by how much the entity's labels make a neighbour's label
/// likelier: a difference of two distributions, whose sum is zero. Nothing is added that is the
/// same for every entity, as where a mask leaves the first token's score in the partition alone.
#[test]
fn nothing_spurious_falls_on_other_tokens() {
    let model = open(&directory());
    for target in entities(&*model) {
        let own = tokens_of(&target);
        for (t, row) in at_labels(&*model, &target).iter().enumerate() {
            let sum: f64 = row.iter().sum();
            assert!(sum.abs() < 1e-14, "token {t}: {sum:e}");
            assert!(row.iter().all(|g| g.abs() < 1.0));
            let largest = row.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            assert!(own.contains(&t) || largest < 0.5, "token {t}: {largest}");
        }
    }
}

#[test]
fn without_transitions_other_tokens_have_no_gradient_at_all() {
    let model = without_transitions();
    let targets = entities(&*model);
    assert!(!targets.is_empty());
    for target in targets {
        let own = tokens_of(&target);
        for (t, row) in at_labels(&*model, &target).iter().enumerate() {
            if own.contains(&t) {
                assert!(row.iter().any(|g| g.abs() > 1e-3), "token {t}: {row:?}");
            } else {
                assert!(row.iter().all(|&g| g == 0.0), "token {t}: {row:?}");
            }
        }
    }
}

/// Labels come from the likeliest sequence, and probabilities from all sequences.
#[test]
fn entities_are_those_of_the_likeliest_sequence() {
    let model = open(&directory());
    let encoding = model.encode(TEXT, false).unwrap();
    let batch = Batch::repeat(&encoding, 1);
    let output = model.forward(&model.embed(&batch).unwrap(), &batch, &mut Trace::new()).unwrap();
    let chain = output.chain.unwrap();
    let best = chain.best(&output.logits).unwrap().remove(0);
    let shares: Vec<Vec<f64>> =
        chain.marginals(&output.logits).unwrap().squeeze(0).unwrap().to_vec2().unwrap();
    for (_, aggregation) in Aggregation::ALL {
        let entry = METHODS.iter().find(|entry| entry.info.id == "gradient").unwrap();
        let method = entry.method(&Options::new()).unwrap();
        let options = TaskOptions { aggregation, ..TaskOptions::default() };
        let answer = Explainer::new(&*model, &*method)
            .explain_input(&Input::text(TEXT), &options, &TargetSpec::Predicted, Quantity::Loss)
            .unwrap();
        let Prediction::TokenClassification(found) = &answer.prediction else { panic!() };
        assert!(!found.is_empty());
        if !matches!(aggregation, Aggregation::Simple | Aggregation::First) {
            continue;
        }
        let labelled: Vec<usize> = (0..best.len()).filter(|&t| best[t] != 0).collect();
        let tokens: Vec<usize> = found.iter().flat_map(|e| e.tokens.clone()).collect();
        assert_eq!(tokens, labelled);
        for entity in found {
            let of = entity.tokens.iter().zip(&entity.labels);
            let mean = of.map(|(&t, &label)| shares[t][label]).sum::<f64>();
            let mean = mean / entity.tokens.len() as f64;
            assert!((entity.probability - mean).abs() < 1e-12);
            assert!(entity.labels.iter().zip(&entity.tokens).all(|(&l, &t)| best[t] == l));
        }
    }
}
