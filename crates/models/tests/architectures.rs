//! Every architecture that can be trained from nothing, with small sizes: what its numbers depend
//! on, what can be looked into, what comes back from the disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod common;
#[path = "common/compare.rs"]
mod compare;
mod small;

use common::{open, values};
use compare::{assert_same, distance, split};
use glossator_models::classic::{ARCHITECTURES, Architecture};
use glossator_models::text::{Marks, Unit, build_vocabulary};
use glossator_models::{
    Batch, DType, Device, Encoding, Model, Site, Stored, Task, Tensor, Trace, Trainable, Var,
};
use glossator_ops::gradient;
use small::{encode, every};

fn logits(model: &dyn Model, x: &Tensor, batch: &Batch, mut trace: Trace<'_>) -> Tensor {
    model.forward(x, batch, &mut trace).unwrap().logits
}

/// A number that depends on every output of real tokens, each with another weight.
fn score(logits: &Tensor, real: &[bool]) -> Tensor {
    let n = logits.elem_count();
    let per = n / real.len();
    let weights: Vec<f64> =
        (0..n).map(|i| if real[i / per] { 1.0 - 0.37 * (i % 11) as f64 } else { 0.0 }).collect();
    let weights = Tensor::from_vec(weights, logits.dims(), &Device::Cpu).unwrap();
    (logits * weights.to_dtype(logits.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

/// Which rows of the logits are of real tokens.
fn real(model: &dyn Model, encodings: &[Encoding], batch: &Batch) -> Vec<bool> {
    let rows = |tokens: usize, length: &dyn Fn(&Encoding) -> usize| {
        encodings.iter().flat_map(|e| (0..tokens).map(|t| t < length(e))).collect::<Vec<_>>()
    };
    match model.info().task {
        Task::TokenClassification | Task::CausalLm => rows(batch.tokens(), &|e| e.tokens.len()),
        Task::Seq2SeqLm => rows(batch.tokens() - batch.second().unwrap(), &second),
        _ => vec![true; batch.rows()],
    }
}

/// Tokens of an encoding's second part.
fn second(encoding: &Encoding) -> usize {
    encoding.tokens.len() - encoding.second.unwrap()
}

/// The outputs of one row that are not padding's.
fn of_row(task: Task, logits: &Tensor, row: usize, encoding: &Encoding, batch: &Batch) -> Vec<f64> {
    let mine = logits.narrow(0, row, 1).unwrap();
    values(&match task {
        Task::TokenClassification | Task::CausalLm => {
            mine.narrow(1, 0, encoding.tokens.len()).unwrap()
        }
        Task::Seq2SeqLm => mine.narrow(1, 0, second(encoding)).unwrap(),
        Task::QuestionAnswering => {
            mine.narrow(2, batch.second().unwrap(), second(encoding)).unwrap()
        }
        _ => mine,
    })
}

/// Two inputs of unequal lengths, in the type of the model.
fn pair(model: &dyn Model) -> (Vec<Encoding>, Batch, Var) {
    let encodings = vec![encode(model, 0), encode(model, 1)];
    let batch = Batch::new(&encodings.iter().collect::<Vec<_>>(), model.pad_id());
    let x = Var::from_tensor(&model.embed(&batch).unwrap().detach()).unwrap();
    (encodings, batch, x)
}

#[test]
fn every_architecture_and_task_is_tried() {
    let tried: Vec<(&str, Task)> = every().iter().map(|small| (small.id, small.task)).collect();
    let listed = ARCHITECTURES.iter().flat_map(|a| a.tasks.iter().map(move |&task| (a.id, task)));
    assert_eq!(tried, listed.collect::<Vec<_>>());
}

/// A row's numbers do not depend on what else is in the batch. Reached: 1e-15, roundings.
#[test]
fn batching_and_padding_change_nothing() {
    for small in every() {
        let model = small.load(DType::F64);
        let (encodings, batch, x) = pair(&*model);
        let whole = logits(&*model, &x, &batch, Trace::new());
        let real = real(&*model, &encodings, &batch);
        let gradient = gradient(&score(&whole, &real), &x).unwrap();
        for (row, encoding) in encodings.iter().enumerate() {
            let alone = Batch::repeat(encoding, 1);
            let y = Var::from_tensor(&model.embed(&alone).unwrap().detach()).unwrap();
            let got = logits(&*model, &y, &alone, Trace::new());
            let task = model.info().task;
            let got = of_row(task, &got, 0, encoding, &alone);
            let d = distance(&got, &of_row(task, &whole, row, encoding, &batch));
            assert!(d <= 1e-12, "{small}: row {row} differs by {d:e}");
        }
        if batch.second().is_none() {
            let (_, padding) = split(&gradient, 1, batch.lengths());
            assert!(padding.iter().all(|&g| g == 0.0), "{small}");
        }
    }
}

/// What is computed in f32 and in visible steps is what is computed in f64 at once.
#[test]
fn types_and_visible_steps_agree() {
    for small in every() {
        let model = small.load(DType::F64);
        let (_, batch, x) = pair(&*model);
        let fused = logits(&*model, &x, &batch, Trace::new());
        let all = model.info().sites().iter().fold(Trace::new(), |trace, &site| trace.keep(site));
        let d = distance(&values(&logits(&*model, &x, &batch, all)), &values(&fused));
        // Reached: 1e-15; sums are in another order.
        assert!(d <= 1e-13, "{small}: {d:e}");
        let single = small.load(DType::F32);
        let (_, batch, x) = pair(&*single);
        let d = distance(&values(&logits(&*single, &x, &batch, Trace::new())), &values(&fused));
        // Reached: 1e-6, some roundings.
        assert!(d <= 2e-5, "{small}: {d:e}");
    }
}

/// The gradient at a site is what a small change of one element there does to the output: central
/// differences with a step of 1e-6. Their own error reaches 1e-7 in the Transformers, whose weights are
/// large here and whose norms bend what passes.
#[test]
fn gradients_at_every_site_agree_with_central_differences() {
    const STEP: f64 = 1e-6;
    for small in every() {
        let model = small.load(DType::F64);
        let (encodings, batch, x) = pair(&*model);
        let real = real(&*model, &encodings, &batch);
        for &site in model.info().sites() {
            let mut trace = Trace::new().gradient_at(site).keep(site);
            let output = model.forward(&x, &batch, &mut trace).unwrap().logits;
            gradient(&score(&output, &real), &x).unwrap();
            let gradient = trace.gradient(site).unwrap();
            let value = trace.value(site).unwrap().detach();
            assert_eq!(gradient.dims(), value.dims(), "{small}: {site}");
            let (flat, analytic) = (values(&value), values(&gradient));
            let largest = analytic.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            assert!(largest > 1e-6, "{small}: {site}: the gradient is {largest:e} at most");
            let n = analytic.len();
            let most = (0..n).max_by(|&a, &b| analytic[a].abs().total_cmp(&analytic[b].abs()));
            let recurrent = matches!(site, Site::Recurrent(..));
            for element in (0..4).map(|i| (i * n) / 4 + i % 3).filter(|&i| i < n).chain(most) {
                if !flat[element].is_finite() {
                    assert_eq!(analytic[element], 0.0, "{small}: {site}");
                    continue;
                }
                let at = |delta: f64| {
                    let trace = if recurrent {
                        // Step by step: which step it is, the edit has to count.
                        let dims = value.dims().to_vec();
                        let (tokens, width) = (dims[1], dims[2]);
                        let (row, time) = (element / width / tokens, element / width % tokens);
                        let backward = site.to_string().contains(".backward.");
                        let mut step = 0;
                        Trace::new().edit(site, move |x| {
                            let now = if backward { tokens - 1 - step } else { step };
                            step += 1;
                            let mut bump = vec![0.0; x.elem_count()];
                            if now == time {
                                bump[row * width + element % width] = delta;
                            }
                            Ok((x + Tensor::from_vec(bump, x.dims(), &Device::Cpu)?)?)
                        })
                    } else {
                        Trace::new().edit(site, move |x| {
                            let mut bump = vec![0.0; x.elem_count()];
                            bump[element] = delta;
                            Ok((x + Tensor::from_vec(bump, x.dims(), &Device::Cpu)?)?)
                        })
                    };
                    values(&score(&logits(&*model, &x, &batch, trace), &real))[0]
                };
                let (above, below) = (at(STEP), at(-STEP));
                let numeric = (above - below) / (2.0 * STEP);
                // Where no answer can be, a reader's outputs are -10000: their sum is large, and the
                // difference of two such sums has lost that many places.
                let rounding = 2.0 * f64::EPSILON * above.abs() / STEP;
                let d = (numeric - analytic[element]).abs() / largest.max(1.0);
                let got = analytic[element];
                assert!(
                    d <= 1e-6 + rounding,
                    "{small}: {site}, element {element}: {numeric} and {got}"
                );
            }
        }
    }
}

#[test]
fn putting_back_the_kept_value_changes_nothing() {
    for small in every() {
        let model = small.load(DType::F64);
        let (_, batch, x) = pair(&*model);
        for &site in model.info().sites() {
            let mut trace = Trace::new().keep(site);
            let kept = model.forward(&x, &batch, &mut trace).unwrap().logits;
            let value = trace.value(site).unwrap().detach();
            let again = logits(&*model, &x, &batch, Trace::new().replace(site, value));
            assert_same(&kept, &again, &format!("{small}: {site}"));
        }
    }
}

#[test]
fn an_edit_changes_the_output() {
    for small in every() {
        let model = small.load(DType::F64);
        let (_, batch, x) = pair(&*model);
        let plain = logits(&*model, &x, &batch, Trace::new());
        for &site in model.info().sites() {
            let edited = Trace::new().edit(site, |x| Ok((x * 1.5)?));
            let d = distance(&values(&logits(&*model, &x, &batch, edited)), &values(&plain));
            assert!(d > 1e-9, "{small}: {site}: the output moved by {d:e} only");
        }
    }
}

/// What is trained is what is opened.
#[test]
fn models_come_back_from_the_disk() {
    for small in every() {
        let trainable = small.trainable();
        let model = trainable.model().unwrap();
        let dir = tempfile::tempdir().unwrap();
        trainable.save(dir.path(), Stored::F32).unwrap();
        let opened = open(dir.path(), DType::F32);
        assert_eq!(opened.info().parameters, model.info().parameters);
        let (encodings, batch, x) = pair(&*opened);
        let (_, _, y) = pair(&*model);
        let d = distance(
            &values(&logits(&*opened, &x, &batch, Trace::new())),
            &values(&logits(&*model, &y, &batch, Trace::new())),
        );
        assert!(d <= 2e-5, "{small}: {d:e}");
        // Every variable is reached by a gradient of the outputs.
        let embedded = model.embed(&batch).unwrap();
        let output = logits(&*model, &embedded, &batch, Trace::new());
        let gradients = score(&output, &real(&*model, &encodings, &batch)).backward().unwrap();
        for (name, var) in trainable.variables() {
            let reached = gradients.get(var).is_some();
            // A chain scores labels behind the logits.
            assert!(reached || name.starts_with("crf."), "{small}: no gradient of {name}");
        }
    }
}

/// The mean over a vocabulary is that of its tokens' embeddings, of words at least.
#[test]
fn the_mean_embedding_is_that_of_the_vocabulary() {
    for small in every() {
        let model = small.load(DType::F64);
        let mean = values(&model.mean_embedding().unwrap());
        assert_eq!(mean.len(), model.info().width, "{small}");
        assert!(!model.info().norms_embeddings);
        assert!(mean.iter().all(|x| x.is_finite()));
    }
}

/// What is generated is what whole passes over the text so far would say.
#[test]
fn generation_carries_its_state() {
    for small in every().into_iter().filter(|small| small.task == Task::CausalLm) {
        let model = small.load(DType::F64);
        let encoding = encode(&*model, 0);
        let made = model.generate(&encoding, 6, &[]).unwrap().unwrap();
        assert_eq!(made.len(), 6, "{small}");
        let mut text = encoding;
        for &id in &made {
            let batch = Batch::repeat(&text, 1).reading(&[text.tokens.len() - 1]);
            let row = values(&logits(&*model, &model.embed(&batch).unwrap(), &batch, Trace::new()));
            let best = (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            assert_eq!(best as u32, id, "{small}");
            let mut token = text.tokens[0].clone();
            token.id = id;
            text.tokens.push(token);
        }
    }
}

/// Two architectures that are there to be compared have equal budgets, to 1 %.
#[test]
fn convolutions_and_transformers_have_as_many_parameters() {
    let [a, b] = ["gated-cnn", "transformer"].map(|id| {
        let config = Architecture::find(id).unwrap().config(
            Task::CausalLm,
            &[],
            500,
            &serde_json::Value::Null,
        );
        let bytes = build_vocabulary(["a b"], Unit::Word, 500, 1, true, Marks::None).unwrap();
        let model = Trainable::from_config(config.unwrap(), &bytes, 0).unwrap().model().unwrap();
        model.info().parameters as f64
    });
    assert!((a / b - 1.0).abs() < 0.01, "{a} and {b}");
}

/// A causal model's outputs do not depend on what follows.
#[test]
fn language_models_do_not_look_ahead() {
    for small in every().into_iter().filter(|small| small.task == Task::CausalLm) {
        let model = small.load(DType::F64);
        let encoding = encode(&*model, 0);
        let batch = Batch::repeat(&encoding, 1);
        let x = Var::from_tensor(&model.embed(&batch).unwrap()).unwrap();
        let at = 2;
        let output = logits(&*model, &x, &batch, Trace::new()).narrow(1, at, 1).unwrap();
        let gradient = gradient(&output.sqr().unwrap().sum_all().unwrap(), &x).unwrap();
        let width = model.info().width;
        let all = values(&gradient);
        let (before, after) = all.split_at((at + 1) * width);
        assert!(before.iter().any(|&g| g != 0.0) && after.iter().all(|&g| g == 0.0), "{small}");
    }
}

#[test]
fn a_text_without_tokens_is_an_error() {
    for small in every() {
        let model = small.load(DType::F32);
        if model.info().reads_pairs || model.info().decoder.is_some() {
            continue;
        }
        let empty = model.encode("", false).unwrap();
        let batch = Batch::repeat(&empty, 1);
        let error = model.embed(&batch).unwrap_err();
        assert!(error.is_input_error() && error.hint().is_some(), "{small}: {error}");
    }
}
