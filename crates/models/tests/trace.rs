//! Looking into a forward pass, reaching into it, and what must never change its result.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/compare.rs"]
mod compare;

use std::collections::HashMap;
use std::path::Path;

use common::{open, testdata, values};
use compare::{assert_same, distance, split};
use glossator_models::{
    Batch, DType, Device, Encoding, Error, Model, ModelInfo, Site, Tensor, Trace, Var,
};
use glossator_ops::gradient;
use proptest::prelude::*;

const TEXTS: [&str; 5] = [
    "the plot was almost perfect",
    "boring",
    "I really loved the funny actor, but the story of the movie was very dull and cold.",
    "我喜欢电影",
    "",
];

fn model(dtype: DType) -> Box<dyn Model> {
    open(&testdata("models/bert-cls"), dtype)
}

fn encode(model: &dyn Model, texts: &[&str]) -> Vec<Encoding> {
    texts.iter().map(|text| model.encode(text, false).unwrap()).collect()
}

/// A batch of two rows, the second padded, with its embeddings.
fn padded_pair(model: &dyn Model) -> (Batch, Var) {
    let encodings = encode(model, &TEXTS[..2]);
    let batch = Batch::new(&[&encodings[0], &encodings[1]], model.pad_id());
    assert!(batch.is_padded());
    let embeddings = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
    (batch, embeddings)
}

fn logits(model: &dyn Model, x: &Tensor, batch: &Batch, mut trace: Trace<'_>) -> Tensor {
    model.forward(x, batch, &mut trace).unwrap().logits
}

/// A number that depends on every logit, each with another weight.
fn score(logits: &Tensor) -> Tensor {
    let weights: Vec<f64> = (0..logits.elem_count()).map(|i| 1.0 - 0.37 * i as f64).collect();
    let weights = Tensor::from_vec(weights, logits.dims(), &Device::Cpu).unwrap();
    (logits * weights.to_dtype(logits.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

fn number(scalar: &Tensor) -> f64 {
    scalar.to_scalar().unwrap()
}

/// The shape that the documentation of a site states.
fn documented_shape(site: Site, info: &ModelInfo, batch: &Batch) -> Vec<usize> {
    let (rows, tokens) = (batch.rows(), batch.tokens());
    match site {
        Site::Embeddings | Site::Residual(_) | Site::AttentionOutput(_) | Site::Mlp(_) => {
            vec![rows, tokens, info.width]
        }
        Site::AttentionValues(_) => vec![rows, info.heads, tokens, info.width / info.heads],
        Site::AttentionScores(_) | Site::AttentionProbabilities(_) => {
            vec![rows, info.heads, tokens, tokens]
        }
        Site::Logits => vec![rows, info.labels.names.len()],
        other => panic!("{other} has no documented shape"),
    }
}

// What must not change a result.

/// A row's logits and gradient do not depend on what else is in the batch, on the order of rows, or
/// on the id that fills up. Reached: 2e-15 in f64 and 2e-6 in f32, which is the order of sums: how
/// a product is cut into tiles depends on its number of rows.
fn batching_changes_nothing(model: &dyn Model, texts: &[&str], tolerance: f64) -> f64 {
    let run = |encodings: &[&Encoding], pad| {
        let batch = Batch::new(encodings, pad);
        let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
        let logits = logits(model, &x, &batch, Trace::new());
        let chosen = logits.narrow(1, 1, 1).unwrap();
        let gradient = gradient(&chosen, &x).unwrap();
        assert!(split(&gradient, 1, batch.lengths()).1.iter().all(|&x| x == 0.0));
        (logits, gradient)
    };
    let encodings = encode(model, texts);
    let alone: Vec<_> = encodings.iter().map(|encoding| run(&[encoding], 0)).collect();
    let n = encodings.len();
    let orders: Vec<Vec<usize>> = vec![
        (0..n).collect(),
        (0..n).rev().collect(),
        (0..n).map(|i| (i + n / 2) % n).collect(),
        // Only the short ones, and one of them twice.
        (0..n).chain([1]).filter(|&i| encodings[i].tokens.len() < 10).collect(),
    ];
    let mut worst = 0.0_f64;
    for order in orders {
        let rows: Vec<&Encoding> = order.iter().map(|&i| &encodings[i]).collect();
        let (logits, gradient) = run(&rows, model.pad_id());
        for (row, &i) in order.iter().enumerate() {
            let length = encodings[i].tokens.len();
            let (alone_logits, alone_gradient) = &alone[i];
            let mine = gradient.get(row).unwrap().narrow(0, 0, length).unwrap();
            for (got, want) in [
                (values(&logits.get(row).unwrap()), values(alone_logits)),
                (values(&mine), values(alone_gradient)),
            ] {
                let d = distance(&got, &want);
                assert!(d <= tolerance, "row {row} of {order:?}: {d:e}");
                worst = worst.max(d);
            }
        }
        // The id that fills up has an embedding of its own, which nothing may see.
        let (other_logits, other_gradient) = run(&rows, 7);
        assert_same(&logits, &other_logits, "another id to fill up");
        assert_same(&gradient, &other_gradient, "another id to fill up");
    }
    worst
}

#[test]
fn batching_and_padding_change_nothing() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let worst = batching_changes_nothing(&*model(dtype), &TEXTS, tolerance);
        println!("{dtype:?}: {worst:.1e}");
    }
}

/// A model that is wide enough for its operations to be split over threads.
fn wide(dtype: DType) -> Box<dyn Model> {
    open(&testdata("../models/sentiment-en"), dtype)
}

const LONG: &str = "the director has made a film that is by turns funny , touching and wise , and \
    whose actors , none of them famous , carry even the slow middle part with grace ; what it has \
    to say about age and memory is neither new nor deep , but it is said with so much warmth that \
    one forgives it everything , even the dreadful song at the end of its last scene";

#[test]
fn batching_changes_nothing_in_a_wide_model() {
    let texts = [LONG, "a touching , funny and wise film", "a mess", ""];
    let worst = batching_changes_nothing(&*wide(DType::F32), &texts, 1e-5);
    println!("wide, f32: {worst:.1e}");
}

/// Work is split over threads by element of the output, never within a sum: the bits are the same.
#[test]
fn the_number_of_threads_changes_nothing() {
    for (dtype, rows) in [(DType::F32, 1), (DType::F32, 3), (DType::F64, 1)] {
        let model = wide(dtype);
        let encodings = encode(&*model, &[LONG, "a touching , funny and wise film", "a mess"]);
        let batch = Batch::new(&encodings.iter().take(rows).collect::<Vec<_>>(), model.pad_id());
        let kept = [Site::AttentionProbabilities(1), Site::Residual(3)];
        let run = |threads: usize, looking: bool| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
                let mut trace = Trace::new();
                if looking {
                    trace = kept.iter().fold(trace, |trace, &site| trace.keep(site));
                }
                let logits = model.forward(&x, &batch, &mut trace).unwrap().logits;
                let mut all = vec![gradient(&score(&logits), &x).unwrap(), logits];
                all.extend(kept.iter().filter_map(|&site| trace.value(site).ok().cloned()));
                all
            })
        };
        for looking in [false, true] {
            let one = run(1, looking);
            assert_eq!(one.len(), if looking { 4 } else { 2 });
            for threads in [2, 3] {
                for (a, b) in one.iter().zip(&run(threads, looking)) {
                    assert_same(a, b, &format!("{dtype:?}, {threads} threads"));
                }
            }
        }
    }
}

/// The configuration asks for dropout, which belongs to training.
#[test]
fn a_forward_pass_is_deterministic_and_leaves_no_state() {
    for dtype in [DType::F32, DType::F64] {
        let model = model(dtype);
        let (batch, x) = padded_pair(&*model);
        let plain = || {
            let logits = logits(&*model, &x, &batch, Trace::new());
            (gradient(&score(&logits), &x).unwrap(), logits)
        };
        let first = plain();
        let same = |what: &str| {
            let again = plain();
            assert_same(&first.0, &again.0, what);
            assert_same(&first.1, &again.1, what);
        };
        same("again");
        for site in Site::all(model.info().sites()) {
            let mut trace =
                Trace::new().keep(site).gradient_at(site).edit(site, |x| Ok((x * 3.0)?));
            let edited = model.forward(&x, &batch, &mut trace).unwrap().logits;
            gradient(&score(&edited), &x).unwrap();
            same(&format!("after a trace of {site}"));
        }
        let mut failing = Trace::new().edit(Site::Mlp(1), |x| Ok(x.narrow(0, 0, 1)?));
        assert!(model.forward(&x, &batch, &mut failing).is_err());
        same("after a pass that failed");
    }
}

// Looking, and reaching in.

#[test]
fn kept_values_have_the_documented_shapes() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let sites: Vec<Site> = Site::all(model.info().sites()).collect();
    let trace = sites.iter().fold(Trace::new(), |trace, &site| trace.keep(site).gradient_at(site));
    let mut trace = trace;
    let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
    gradient(&score(&output), &x).unwrap();
    for &site in &sites {
        let shape = documented_shape(site, model.info(), &batch);
        assert_eq!(trace.value(site).unwrap().dims(), shape, "{site}");
        assert_eq!(trace.gradient(site).unwrap().dims(), shape, "{site}");
    }
    assert_same(trace.value(Site::Embeddings).unwrap(), &x, "embeddings");
    assert_same(trace.value(Site::Logits).unwrap(), &output, "logits");
    let probabilities = values(trace.value(Site::AttentionProbabilities(0)).unwrap());
    for row in probabilities.chunks(batch.tokens()) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() <= 1e-14);
    }
    // Keys 3 and on are padding of the second row.
    let scores = trace.value(Site::AttentionScores(1)).unwrap().get(1).unwrap();
    for row in values(&scores).chunks(batch.tokens()) {
        assert!(row[..3].iter().all(|s| s.is_finite()));
        assert!(row[3..].iter().all(|&s| s == f64::NEG_INFINITY));
    }
}

/// The gradient at a site is what a small change of one element there does to the output: central
/// differences with a step of 1e-5, whose own error is near 1e-10 here. Reached: 5e-10.
#[test]
fn gradients_at_every_site_agree_with_central_differences() {
    const STEP: f64 = 1e-5;
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let mut worst = 0.0_f64;
    for site in Site::all(model.info().sites()) {
        let mut trace = Trace::new().gradient_at(site);
        let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
        gradient(&score(&output), &x).unwrap();
        let gradient = trace.gradient(site).unwrap();
        let analytic = values(&gradient);
        let largest = analytic.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        assert!(largest > 1e-3, "{site}: the gradient is {largest:e} at most");

        // Some elements here and there, and the one that matters most. Masked scores (-∞) cannot
        // be bumped: there the difference is 0, and so is the gradient.
        let n = analytic.len();
        let most = (0..n).max_by(|&a, &b| analytic[a].abs().total_cmp(&analytic[b].abs()));
        for element in (0..12).map(|i| (i * n) / 12 + i % 3).filter(|&i| i < n).chain(most) {
            let at = |delta: f64| {
                let bump = |x: &Tensor| {
                    let mut bump = vec![0.0; x.elem_count()];
                    bump[element] = delta;
                    Ok((x + Tensor::from_vec(bump, x.dims(), &Device::Cpu)?)?)
                };
                number(&score(&logits(&*model, &x, &batch, Trace::new().edit(site, bump))))
            };
            let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let d = (numeric - analytic[element]).abs() / largest.max(1.0);
            assert!(d <= 1e-8, "{site}, element {element}: {numeric} and {}", analytic[element]);
            worst = worst.max(d);
        }
    }
    println!("central differences: {worst:.1e}");
}

#[test]
fn an_edit_changes_the_output_and_the_kept_value() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let plain = logits(&*model, &x, &batch, Trace::new());
    for site in Site::all(model.info().sites()) {
        let mut seen = None;
        let mut trace = Trace::new()
            .edit(site, |x| {
                seen = Some(x.detach());
                Ok((x * 1.5)?)
            })
            .keep(site);
        let edited = model.forward(&x, &batch, &mut trace).unwrap().logits;
        let kept = values(trace.value(site).unwrap());
        drop(trace);
        let d = distance(&values(&edited), &values(&plain));
        assert!(d > 1e-3, "{site}: the output moved by {d:e} only");
        let expected = (seen.unwrap() * 1.5).unwrap();
        assert_eq!(kept, values(&expected), "{site}");
        // Gradients flow through an edit.
        assert!(gradient(&score(&edited), &x).is_ok(), "{site}");
    }
}

#[test]
fn putting_back_the_kept_value_changes_nothing() {
    for dtype in [DType::F32, DType::F64] {
        let model = model(dtype);
        let (batch, x) = padded_pair(&*model);
        for site in Site::all(model.info().sites()) {
            let mut trace = Trace::new().keep(site);
            let kept = model.forward(&x, &batch, &mut trace).unwrap().logits;
            let value = trace.value(site).unwrap().detach();
            let again = logits(&*model, &x, &batch, Trace::new().replace(site, value));
            assert_same(&kept, &again, &site.to_string());
        }
    }
}

/// A constant cuts the gradient where every path runs through it, which is an error, not zeros. A
/// variable in its place has the gradient of the value that it replaces.
#[test]
fn a_replaced_value_has_no_gradient_unless_it_is_a_variable() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    for site in Site::all(model.info().sites()) {
        let mut trace = Trace::new().keep(site).gradient_at(site);
        let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
        gradient(&score(&output), &x).unwrap();
        let (value, expected) =
            (trace.value(site).unwrap().detach(), trace.gradient(site).unwrap());

        let cuts = matches!(site, Site::Embeddings | Site::Residual(_) | Site::Logits);
        let mut trace = Trace::new().replace(site, value.clone()).gradient_at(site);
        let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
        let reached = gradient(&score(&output), &x);
        assert_eq!(reached.is_err(), cuts, "{site}");
        let message = trace.gradient(site).unwrap_err().to_string();
        let expected_message =
            format!("no gradient reached {site}: the output does not depend on it differentiably");
        assert_eq!(message, expected_message);

        let variable = Var::from_tensor(&value).unwrap();
        let trace = Trace::new().replace(site, variable.as_tensor().clone());
        let output = logits(&*model, &x.detach(), &batch, trace);
        let got = gradient(&score(&output), &variable).unwrap();
        let d = distance(&values(&got), &values(&expected));
        assert!(d <= 1e-12, "{site}: {d:e}");
    }
}

/// With uniform attention, each position gets the mean of the values of the real tokens.
#[test]
fn attention_can_be_made_uniform() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let info = model.info();
    let (rows, tokens) = (batch.rows(), batch.tokens());
    let uniform: Vec<f64> = (0..rows * info.heads * tokens * tokens)
        .map(|i| {
            let length = batch.lengths()[i / (info.heads * tokens * tokens)];
            if i % tokens < length { 1.0 / length as f64 } else { 0.0 }
        })
        .collect();
    let uniform =
        Tensor::from_vec(uniform, (rows, info.heads, tokens, tokens), &Device::Cpu).unwrap();
    let by_probabilities = Trace::new()
        .replace(Site::AttentionProbabilities(0), uniform)
        .keep(Site::AttentionOutput(0));
    let by_scores = Trace::new()
        .edit(Site::AttentionScores(0), |scores| {
            // -∞ times zero is not a number: keep the mask.
            let masked = scores.eq(f64::NEG_INFINITY)?;
            Ok(masked.where_cond(scores, &scores.zeros_like()?)?)
        })
        .keep(Site::AttentionOutput(0));
    let plain = logits(&*model, &x, &batch, Trace::new());
    let mut results = Vec::new();
    for mut trace in [by_probabilities, by_scores] {
        let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
        assert!(distance(&values(&output), &values(&plain)) > 1e-3);
        // All queries of a row see the same.
        let attended = trace.value(Site::AttentionOutput(0)).unwrap();
        for row in 0..rows {
            let attended = attended.get(row).unwrap();
            for token in 1..tokens {
                let (a, b) = (attended.get(0).unwrap(), attended.get(token).unwrap());
                assert!(distance(&values(&a), &values(&b)) <= 1e-12);
            }
        }
        results.push(output);
    }
    assert!(distance(&values(&results[0]), &values(&results[1])) <= 1e-12);
}

#[test]
fn edits_run_in_the_order_of_the_forward_pass_and_then_of_asking() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let order = std::cell::RefCell::new(Vec::new());
    let note = |name: &'static str| {
        let order = &order;
        move |x: &Tensor| {
            order.borrow_mut().push(name);
            Ok(x.affine(1.0, 0.0)?)
        }
    };
    let trace = Trace::new()
        .edit(Site::Logits, note("logits"))
        .edit(Site::AttentionScores(1), note("scores"))
        .edit(Site::AttentionScores(1), note("scores again"))
        .edit(Site::Embeddings, note("embeddings"));
    logits(&*model, &x, &batch, trace);
    assert_eq!(*order.borrow(), ["embeddings", "scores", "scores again", "logits"]);
}

// What is asked for wrongly.

#[test]
fn sites_that_a_model_lacks_are_errors_before_anything_runs() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let missing = [
        Site::Residual(3),
        Site::AttentionValues(2),
        Site::AttentionScores(2),
        Site::AttentionProbabilities(2),
        Site::AttentionOutput(usize::MAX),
        Site::Mlp(2),
    ];
    for site in missing {
        let ran = std::cell::Cell::new(false);
        let asked = [
            Trace::new().keep(site),
            Trace::new().gradient_at(site),
            Trace::new().replace(site, x.detach()),
            Trace::new().edit(site, |x| Ok(x.clone())),
        ];
        for trace in asked {
            let mut trace = trace.edit(Site::Embeddings, |x| {
                ran.set(true);
                Ok(x.clone())
            });
            let error = model.forward(&x, &batch, &mut trace).unwrap_err();
            assert_eq!(error.to_string(), format!("the model has no {site}: it has 2 layers"));
            assert!(matches!(error, Error::NoSuchSite { .. }) && error.is_input_error());
        }
        assert!(!ran.get());
    }
}

#[test]
fn bad_edits_are_named_at_every_site() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    for site in Site::all(model.info().sites()) {
        let fail = |trace: Trace<'_>| model.forward(&x, &batch, &mut { trace }).unwrap_err();

        let error = fail(Trace::new().edit(site, |x| Ok(x.detach())));
        assert!(matches!(error, Error::EditLosesGradient { site: at } if at == site), "{error}");
        assert_eq!(error.to_string(), format!("the edit at {site} loses the gradient"));
        assert!(error.hint().unwrap().contains("Trace::replace"));

        let error = fail(Trace::new().edit(site, |x| Ok(x.narrow(0, 0, 1)?)));
        assert!(matches!(error, Error::EditShape { site: at, .. } if at == site), "{error}");
        let error = fail(Trace::new().edit(site, |x| Ok(x.to_dtype(DType::F32)?)));
        assert!(error.to_string().ends_with("F32"), "{error}");
        let scalar = Tensor::new(1.0, &Device::Cpu).unwrap();
        let error = fail(Trace::new().replace(site, scalar));
        let shape = documented_shape(site, model.info(), &batch);
        assert_eq!(
            error.to_string(),
            format!(
                "the edit at {site} changed the shape or type: expected {shape:?} F64, got [] F64"
            )
        );

        let error = fail(Trace::new().edit(site, |x| Ok(x.reshape(0)?)));
        assert!(error.to_string().starts_with("Shape mismatch"), "{error}");
    }
}

#[test]
fn what_was_not_asked_for_or_not_differentiated_is_an_error() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let mut trace = Trace::new().gradient_at(Site::Mlp(0));
    let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
    assert!(matches!(trace.value(Site::Mlp(0)), Err(Error::NotTraced { .. })));
    assert!(matches!(trace.gradient(Site::Mlp(1)), Err(Error::NotTraced { .. })));
    assert!(trace.gradient(Site::Mlp(0)).unwrap_err().to_string().starts_with("no gradient"));
    gradient(&score(&output), &x).unwrap();
    assert!(trace.gradient(Site::Mlp(0)).is_ok());
}

/// A trace may serve several passes; what it shows is of the last one.
#[test]
fn a_gradient_of_an_earlier_pass_is_not_passed_off_as_that_of_the_last() {
    let model = model(DType::F64);
    let (batch, x) = padded_pair(&*model);
    let site = Site::Residual(1);
    let mut trace = Trace::new().gradient_at(site).keep(site);
    let first = model.forward(&x, &batch, &mut trace).unwrap().logits;
    gradient(&score(&first), &x).unwrap();
    let first = (trace.gradient(site).unwrap(), trace.value(site).unwrap().clone());

    let moved = Var::from_tensor(&(x.as_tensor() * 2.0).unwrap()).unwrap();
    let second = model.forward(&moved, &batch, &mut trace).unwrap().logits;
    assert!(trace.gradient(site).is_err(), "nothing was differentiated since");
    gradient(&score(&second), &moved).unwrap();
    assert!(distance(&values(&trace.gradient(site).unwrap()), &values(&first.0)) > 1e-3);
    assert!(distance(&values(trace.value(site).unwrap()), &values(&first.1)) > 1e-3);
}

#[test]
fn embeddings_and_batches_that_do_not_fit_are_errors() {
    let model = model(DType::F32);
    let (batch, x) = padded_pair(&*model);
    let fail = |x: &Tensor, batch: &Batch| model.forward(x, batch, &mut Trace::new()).unwrap_err();
    let error = fail(&x.narrow(1, 0, 3).unwrap(), &batch).to_string();
    assert_eq!(error, "embeddings: expected shape [2, 7, 16], got [2, 3, 16]");

    // Without rows, without tokens, and with too many of them: no panic.
    let encoding = &encode(&*model, &["boring"])[0];
    let empty = Batch::new(&[], model.pad_id());
    let _ = model.embed(&empty).and_then(|x| model.forward(&x, &empty, &mut Trace::new()));
    let none = Batch::repeat(encoding, 0);
    let _ = model.embed(&none).and_then(|x| model.forward(&x, &none, &mut Trace::new()));
    let mut long = encoding.clone();
    long.tokens = vec![encoding.tokens[1].clone(); 41];
    let long = Batch::repeat(&long, 1);
    let error = fail(&model.embed(&long).unwrap(), &long);
    assert!(matches!(error, Error::TooLong { tokens: 41, limit: 40 }), "{error}");

    let mut unknown = encoding.clone();
    unknown.tokens[1].id = 183;
    let error = model.embed(&Batch::repeat(&unknown, 1)).unwrap_err().to_string();
    assert_eq!(error, "embedding: id, expected an id below 183, got 183");
    let mut unknown = encoding.clone();
    unknown.tokens[1].segment = 2;
    let batch = Batch::repeat(&unknown, 1);
    let error = fail(&model.embed(&batch).unwrap(), &batch);
    assert_eq!(error.to_string(), "segment 2 is asked for; the model has 2");

    // Embeddings of another type than the model computes in.
    let batch = Batch::repeat(encoding, 1);
    let x = model.embed(&batch).unwrap().to_dtype(DType::F64).unwrap();
    assert!(model.forward(&x, &batch, &mut Trace::new()).is_err());
}

// Configurations that no one thought of.

#[derive(Debug, Clone)]
struct Shape {
    heads: usize,
    head_width: usize,
    hidden: usize,
    words: usize,
    layers: usize,
    positions: usize,
    segments: usize,
    labels: usize,
    activation: &'static str,
    eps: f64,
    length: usize,
    seed: u64,
}

fn shapes() -> impl Strategy<Value = Shape> {
    // Rectifiers have kinks, at which central differences mean nothing; their gradient is checked
    // in the operations' own tests.
    let activation = prop::sample::select(vec!["gelu", "gelu_new", "silu", "tanh"]);
    let eps = prop::sample::select(vec![1e-12, 1e-5, 1e-3]);
    let sizes = (1_usize..=4, 2_usize..=6, 1_usize..=20, 1_usize..=30, 1_usize..=3);
    let other = (2_usize..=14, 1_usize..=2, 1_usize..=4, 0_usize..=100, any::<u64>());
    (sizes, other, activation, eps).prop_map(|(sizes, other, activation, eps)| {
        let (heads, head_width, hidden, words, layers) = sizes;
        let (positions, segments, labels, length, seed) = other;
        // Special tokens take two places.
        let length = length % (positions - 1);
        Shape {
            heads,
            head_width,
            hidden,
            words,
            layers,
            positions,
            segments,
            labels,
            activation,
            eps,
            length,
            seed,
        }
    })
}

/// Uniform numbers in (-1, 1): splitmix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tensor(&mut self, dims: &[usize], scale: f64, shift: f64) -> Tensor {
        let uniform = |bits: u64| (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let n = dims.iter().product();
        let values: Vec<f32> =
            (0..n).map(|_| (shift + scale * uniform(self.next())) as f32).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    }
}

impl Shape {
    fn tensors(&self, random: &mut Random) -> HashMap<String, Tensor> {
        let width = self.heads * self.head_width;
        let mut tensors = HashMap::new();
        let mut add = |name: String, dims: &[usize], scale: f64, shift: f64| {
            tensors.insert(name, random.tensor(dims, scale, shift));
        };
        let e = "bert.embeddings";
        add(format!("{e}.word_embeddings.weight"), &[self.words + 5, width], 1.0, 0.0);
        add(format!("{e}.position_embeddings.weight"), &[self.positions, width], 0.5, 0.0);
        add(format!("{e}.token_type_embeddings.weight"), &[self.segments, width], 0.5, 0.0);
        let mut maps = vec![
            ("bert.pooler.dense".to_owned(), width, width),
            ("classifier".to_owned(), width, self.labels),
        ];
        let mut norms = vec![format!("{e}.LayerNorm")];
        for l in 0..self.layers {
            let layer = format!("bert.encoder.layer.{l}");
            for name in ["self.query", "self.key", "self.value", "output.dense"] {
                maps.push((format!("{layer}.attention.{name}"), width, width));
            }
            maps.push((format!("{layer}.intermediate.dense"), width, self.hidden));
            maps.push((format!("{layer}.output.dense"), self.hidden, width));
            norms.push(format!("{layer}.attention.output.LayerNorm"));
            norms.push(format!("{layer}.output.LayerNorm"));
        }
        for (name, n_in, n_out) in maps {
            let scale = 1.5 / (n_in as f64).sqrt();
            add(format!("{name}.weight"), &[n_out, n_in], scale, 0.0);
            add(format!("{name}.bias"), &[n_out], 0.3, 0.0);
        }
        for name in norms {
            add(format!("{name}.weight"), &[width], 0.3, 1.0);
            add(format!("{name}.bias"), &[width], 0.3, 0.0);
        }
        tensors
    }

    fn write(&self, dir: &Path, random: &mut Random) {
        let config = serde_json::json!({
            "model_type": "bert",
            "architectures": ["BertForSequenceClassification"],
            "hidden_size": self.heads * self.head_width,
            "num_attention_heads": self.heads,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "vocab_size": self.words + 5,
            "max_position_embeddings": self.positions,
            "type_vocab_size": self.segments,
            "num_labels": self.labels,
            "hidden_act": self.activation,
            "layer_norm_eps": self.eps,
        });
        std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let mut vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
        (0..self.words).for_each(|i| vocab.push_str(&format!("w{i}\n")));
        std::fs::write(dir.join("vocab.txt"), vocab).unwrap();
        let tensors = self.tensors(random);
        candle_core::safetensors::save(&tensors, dir.join("model.safetensors")).unwrap();
    }

    fn text(&self, random: &mut Random) -> String {
        let word = |i: u64| format!("w{}", i % (self.words as u64 + 1));
        (0..self.length).map(|_| word(random.next())).collect::<Vec<_>>().join(" ")
    }
}

proptest! {
    // Seeded, so that a run is like the one before.
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_240_917),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn models_of_any_shape_load_and_have_exact_gradients(shape in shapes()) {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(shape.seed);
        shape.write(dir.path(), &mut random);
        let model = open(dir.path(), DType::F64);
        let info = model.info();
        prop_assert_eq!(info.max_tokens, shape.positions);
        prop_assert_eq!(info.labels.names.len(), shape.labels);
        prop_assert_eq!(model.first_bad_weight().unwrap(), None);

        // A text as long as drawn, beside an empty one.
        let long = model.encode(&shape.text(&mut random), false).unwrap();
        prop_assert_eq!(long.tokens.len(), shape.length + 2);
        let batch = Batch::new(&[&long, &model.encode("", false).unwrap()], model.pad_id());
        let x = model.embed(&batch).unwrap();
        let var = Var::from_tensor(&x).unwrap();
        let fused = logits(&*model, &var, &batch, Trace::new());
        prop_assert_eq!(fused.dims(), [2, shape.labels]);
        prop_assert!(values(&fused).iter().all(|x| x.is_finite()));
        let analytic = gradient(&score(&fused), &var).unwrap();
        prop_assert!(split(&analytic, 1, batch.lengths()).1.iter().all(|&g| g == 0.0));

        // Every site at once: the same numbers by the visible steps.
        let mut trace = Site::all(model.info().sites()).fold(Trace::new(), Trace::keep);
        let visible = model.forward(&var, &batch, &mut trace).unwrap().logits;
        let visible_gradient = gradient(&score(&visible), &var).unwrap();
        prop_assert!(distance(&values(&fused), &values(&visible)) <= 1e-11);
        // Relative to 1 at least: width 2 normalises almost everything away.
        let difference = (&analytic - &visible_gradient).unwrap();
        let largest = |x: &Tensor| values(x).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        prop_assert!(largest(&difference) <= 1e-11 * largest(&analytic).max(1.0));

        // Differences over five points: their error is of the fourth order in the step, which the
        // strong curvature of a norm over few elements needs.
        const STEP: f64 = 1e-4;
        let elements = values(&x);
        let at = |i: usize, delta: f64| {
            let mut moved = elements.clone();
            moved[i] += delta;
            let moved = Tensor::from_vec(moved, x.dims(), &Device::Cpu).unwrap();
            number(&score(&logits(&*model, &moved, &batch, Trace::new())))
        };
        let analytic = values(&analytic);
        for i in (0..16).map(|k| k * elements.len() / 16) {
            let near = at(i, STEP) - at(i, -STEP);
            let far = at(i, 2.0 * STEP) - at(i, -2.0 * STEP);
            let numeric = (8.0 * near - far) / (12.0 * STEP);
            let d = (numeric - analytic[i]).abs() / numeric.abs().max(1.0);
            prop_assert!(d < 1e-6, "element {i}: {numeric} and {}", analytic[i]);
        }
    }
}
