//! Every task's predictions and explanations are those of transformers and Captum, on tiny random
//! models, in f64.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use glossator_interpret::prediction::Answer;
use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::{
    Aggregation, Baseline, BaselineKind, Candidate, Choice, Decision, Element, Explainer, Gradient,
    Input, InputXGradient, IntegratedGradients, Method, Occlusion, Prediction, Quantity, Silent,
    SpecialTokens, Subject, TASKS, Target, TargetSpec, TaskOptions, tasks,
};
use glossator_models::{DType, Encoding, LoadOptions, Model, Problem, Task, load};
use serde_json::Value;

/// Relative to the largest number of its kind. Reached: 2e-13; the reference itself moves by 2e-11
/// where x moves by 1e-13.
const F64: f64 = 1e-9;

fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(path)
}

fn golden(task: &str) -> Vec<Value> {
    let file = std::fs::read(testdata(&format!("golden/tasks/{task}.json"))).unwrap();
    let golden: Value = serde_json::from_slice(&file).unwrap();
    golden["cases"].as_array().unwrap().clone()
}

fn open(case: &Value) -> Box<dyn Model> {
    let name = case["model"].as_str().unwrap().strip_prefix("testdata/").unwrap();
    let options = LoadOptions { dtype: DType::F64, ..Default::default() };
    load(&testdata(name), &options).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    indices(value).into_iter().map(|id| id as u32).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(1e-3_f64, |m, x| m.max(x.abs()));
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= F64 * largest, "{what} {i}: {a} is not {b}");
    }
}

/// The one encoding of an input.
fn encode(model: &dyn Model, input: &Input, options: &TaskOptions) -> Encoding {
    let mut windows = tasks::of(model).encode(model, input, options).unwrap();
    assert_eq!(windows.len(), 1);
    windows.remove(0)
}

/// Compares each recorded target of a case, on the encoding's leading tokens.
fn compare_targets(case: &Value, model: &dyn Model, encoding: &Encoding) {
    let zero = Baseline { kind: BaselineKind::Zero, special: Some(SpecialTokens::Replace) };
    let quadrature = Quadrature::Fixed { rule: FixedRule::GaussLegendre, steps: 32 };
    let integrated = IntegratedGradients { baseline: zero.clone(), quadrature, tolerance: 0.01 };
    let occlusion = Occlusion { baseline: zero };
    let methods: [(&str, &dyn Method); 4] = [
        ("input_x_gradient", &InputXGradient),
        ("gradient_l2", &Gradient::default()),
        ("integrated_gradients", &integrated),
        ("occlusion_zero", &occlusion),
    ];
    for wanted in case["targets"].as_array().unwrap() {
        let what = format!("{}: {}", case["model"], wanted["description"]);
        let all = ids(&wanted["ids"]);
        let encoding = encoding.prefix(all.len());
        assert_eq!(encoding.ids(), all, "{what}");
        assert_eq!(encoding.second.map(|s| s as u64), wanted["second"].as_u64(), "{what}");
        let elements = |name: &str| -> Vec<Element> {
            let Some(pairs) = wanted[name].as_array() else { return Vec::new() };
            let pair = |pair: &Value| Element {
                row: pair[0].as_u64().unwrap() as usize,
                column: pair[1].as_u64().unwrap() as usize,
            };
            pairs.iter().map(pair).collect()
        };
        let similarity = model.info().task == Task::SentenceSimilarity;
        let (quantity, problem, outputs) = if similarity {
            (Quantity::Logit, Problem::Regression, vec![Element { row: 0, column: 0 }])
        } else {
            let quantity = text(&wanted["quantity"]).replace('_', "-").parse().unwrap();
            (quantity, Problem::SingleLabel, elements("elements"))
        };
        let mut target = Target::new(Decision::Similarity, outputs, quantity, problem).unwrap();
        target.against = elements("against");
        target.choices = wanted["choices"].as_array().map(|_| indices(&wanted["choices"]));
        let pass = Subject::for_target(model, &encoding, target, &Silent);
        let subject = pass.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_close(&[subject.output()], &[wanted["output"].as_f64().unwrap()], &what);
        for (name, method) in methods {
            let got = method.attribute(&subject).unwrap();
            assert_close(&got.scores, &numbers(&wanted[name]), &format!("{what}: {name}"));
            if name == "integrated_gradients" {
                let start = wanted["baseline_output"].as_f64().unwrap();
                assert_close(&[got.baseline_output.unwrap()], &[start], &what);
            }
        }
    }
}

/// A method that costs nothing, for tests of predictions.
const CHEAP: InputXGradient = InputXGradient;

fn answer(
    model: &dyn Model,
    input: &Input,
    options: &TaskOptions,
    spec: &TargetSpec,
) -> glossator_interpret::Answer {
    Explainer::new(model, &CHEAP).explain_input(input, options, spec, Quantity::Logit).unwrap()
}

fn predicted(model: &dyn Model, input: &Input, options: &TaskOptions) -> Prediction {
    answer(model, input, options, &TargetSpec::Predicted).prediction
}

fn assert_candidates(got: &[Candidate], wanted: &Value, what: &str) {
    assert_eq!(got.iter().map(|c| c.id).collect::<Vec<_>>(), ids(&wanted["ids"]), "{what}");
    let logits: Vec<f64> = got.iter().map(|c| c.logit).collect();
    assert_close(&logits, &numbers(&wanted["logits"]), what);
    let shares: Vec<f64> = got.iter().map(|c| c.probability).collect();
    assert_close(&shares, &numbers(&wanted["probabilities"]), what);
}

#[test]
fn pairs_of_texts() {
    for case in golden("text-classification-pair") {
        let model = open(&case);
        let input = Input::pair(text(&case["text"]), text(&case["pair"]));
        let options = TaskOptions::default();
        let got = answer(&*model, &input, &options, &TargetSpec::Predicted);
        let probabilities: Vec<f64> =
            got.prediction.labels().iter().map(|l| l.probability.unwrap()).collect();
        assert_close(&probabilities, &numbers(&case["probabilities"]), "probabilities");
        assert_eq!(got.prediction.best() as u64, case["predicted"].as_u64().unwrap());
        compare_targets(&case, &*model, &got.encoding);
    }
}

#[test]
fn entities_are_those_of_the_pipeline() {
    let compare = |model: &dyn Model, case: &Value| {
        for (name, aggregation) in Aggregation::ALL {
            let options = TaskOptions { aggregation, ..TaskOptions::default() };
            let got = predicted(model, &Input::text(text(&case["text"])), &options);
            let Prediction::TokenClassification(got) = got else { panic!("{got:?}") };
            let wanted = case["entities"][name].as_array().unwrap();
            let what = format!("{name}: {}", case["text"]);
            assert_eq!(got.len(), wanted.len(), "{what}: {got:#?}");
            for (got, wanted) in got.iter().zip(wanted) {
                assert_eq!(got.label, text(&wanted["entity_group"]), "{what}");
                assert_eq!(got.tokens, indices(&wanted["tokens"]), "{what}");
                let bytes = indices(&wanted["bytes"]);
                assert_eq!([got.span.start, got.span.end], bytes[..], "{what}");
                let score = wanted["score"].as_f64().unwrap();
                // The pipeline computes in f32.
                assert!((got.probability - score).abs() < 1e-6, "{what}: {got:?}, not {score}");
            }
        }
    };
    for case in golden("token-classification") {
        let model = open(&case);
        compare(&*model, &case);
        for more in case["more"].as_array().into_iter().flatten() {
            compare(&*model, more);
        }
        let input = Input::text(text(&case["text"]));
        let encoding = encode(&*model, &input, &TaskOptions::default());
        compare_targets(&case, &*model, &encoding);
        // Each entity is a target of its own, with the labels of its tokens.
        let got = answer(&*model, &input, &TaskOptions::default(), &TargetSpec::Predicted);
        let simple = case["entities"]["simple"].as_array().unwrap();
        assert_eq!(got.explanations.len(), simple.len());
        for (explanation, entity) in got.explanations.iter().zip(simple) {
            let positions = explanation.target.positions.as_ref().unwrap();
            assert_eq!(*positions, indices(&entity["tokens"]));
            assert!(matches!(&explanation.target.decision,
                Decision::Entity { label, .. } if *label == text(&entity["entity_group"])));
        }
        // By name: some of them.
        let label = text(&simple[0]["entity_group"]).to_owned();
        let spec = TargetSpec::Label(label.clone());
        let some = answer(&*model, &input, &TaskOptions::default(), &spec);
        let of_label = simple.iter().filter(|e| text(&e["entity_group"]) == label).count();
        assert_eq!(some.explanations.len(), of_label);
    }
}

#[test]
fn answers_are_the_best_spans_and_long_contexts_have_windows() {
    let mut windowed = 0;
    for case in golden("question-answering") {
        let model = open(&case);
        let input = Input::question(text(&case["question"]), text(&case["context"]));
        let stride = case["stride"].as_u64().unwrap_or(128) as usize;
        let options = TaskOptions { stride, ..TaskOptions::default() };
        let task = tasks::of(&*model);
        let windows = task.encode(&*model, &input, &options).unwrap();
        let got = answer(&*model, &input, &options, &TargetSpec::Predicted);
        let Prediction::QuestionAnswering(answers) = &got.prediction else { panic!() };
        let Answer { span, probability, tokens, window } = answers[0].clone();
        let best = &case["best"];
        let bytes = indices(&best["bytes"]);
        assert_eq!(span, Some(bytes[0]..bytes[1]));
        assert_close(&[probability], &[best["score"].as_f64().unwrap()], "probability");
        let context = &got.encoding.fields[1].text;
        assert_eq!(&context[bytes[0]..bytes[1]], text(&best["text"]));
        if let Some(wanted) = case["windows"].as_array() {
            windowed += 1;
            assert_eq!(windows.len(), wanted.len());
            for (window, wanted) in windows.iter().zip(wanted) {
                assert_eq!(window.ids(), ids(&wanted["ids"]));
            }
            assert!(window > 0, "the best answer is not in the first window");
        } else {
            assert_eq!([tokens.0, tokens.1], indices(&best["tokens"])[..]);
            assert_eq!(windows.len(), 1);
        }
        compare_targets(&case, &*model, &got.encoding);
        // The same span by its text.
        let spec = TargetSpec::Label(text(&best["text"]).to_owned());
        let named = answer(&*model, &input, &options, &spec);
        if context.find(text(&best["text"])) == Some(bytes[0]) {
            let (a, b) = (&named.explanations[0].target, &got.explanations[0].target);
            assert_eq!(a.outputs, b.outputs);
        }
    }
    assert!(windowed > 0);
}

#[test]
fn masks_are_filled() {
    for case in golden("masked-lm") {
        let model = open(&case);
        let input = Input::text(text(&case["text"]));
        let got = answer(&*model, &input, &TaskOptions::default(), &TargetSpec::Predicted);
        let Prediction::MaskedLm(choices) = &got.prediction else { panic!() };
        let masks = case["masks"].as_array().unwrap();
        assert_eq!(choices.len(), masks.len());
        assert_eq!(got.explanations.len(), masks.len());
        for (Choice { at, chosen, candidates }, mask) in choices.iter().zip(masks) {
            assert_eq!(*at as u64, mask["at"].as_u64().unwrap());
            assert_eq!(*chosen, candidates[0]);
            assert_candidates(candidates, mask, "mask");
        }
        compare_targets(&case, &*model, &got.encoding);
        // A filler of one's own choice.
        let other = text(&case["other"]["token"]).to_owned();
        let spec = TargetSpec::Label(other);
        let got = answer(&*model, &input, &TaskOptions::default(), &spec);
        let column = got.explanations[0].target.outputs[0].column;
        assert_eq!(column as u64, case["other"]["id"].as_u64().unwrap());
    }
}

#[test]
fn what_comes_next() {
    for case in golden("causal-lm") {
        let model = open(&case);
        let mut input = Input::text(text(&case["text"]));
        let options = TaskOptions::default();
        let got = answer(&*model, &input, &options, &TargetSpec::Predicted);
        let Prediction::CausalLm(choices) = &got.prediction else { panic!() };
        assert_candidates(&choices[0].candidates, &case["next"], "next");
        assert_eq!(got.encoding.ids(), ids(&case["ids"]));

        // A continuation: a target for each of its tokens, which depends on what is before it.
        input.continuation = Some(text(&case["continuation"]["text"]).to_owned());
        let got = answer(&*model, &input, &options, &TargetSpec::Predicted);
        let written = ids(&case["continuation"]["ids"]);
        let prompt = ids(&case["ids"]).len();
        assert_eq!(got.encoding.ids()[prompt..], written[..]);
        assert_eq!(got.explanations.len(), written.len());
        let wanted: Vec<&Value> = case["targets"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| text(&t["description"]).contains("continuation"))
            .collect();
        assert_eq!(wanted.len(), written.len());
        for (k, (explanation, wanted)) in got.explanations.iter().zip(wanted).enumerate() {
            let output = wanted["output"].as_f64().unwrap();
            assert_close(&[explanation.attribution.output], &[output], "output");
            let (read, later) = explanation.attribution.scores.split_at(prompt + k);
            assert_close(read, &numbers(&wanted["input_x_gradient"]), "scores");
            assert!(later.iter().all(|&score| score == 0.0));
        }
        compare_targets(&case, &*model, &got.encoding);
    }
}

#[test]
fn what_a_decoder_writes() {
    for case in golden("seq2seq-lm") {
        let model = open(&case);
        let written = ids(&case["written"]);
        let input = Input::text(text(&case["text"]));
        let options = TaskOptions { generate: written.len(), ..TaskOptions::default() };
        let got = answer(&*model, &input, &options, &TargetSpec::Predicted);
        let second = got.encoding.second.unwrap();
        assert_eq!(got.encoding.ids()[..second], ids(&case["ids"])[..]);
        assert_eq!(got.encoding.ids()[second + 1..], written[..]);
        let Prediction::Seq2SeqLm(choices) = &got.prediction else { panic!() };
        for (choice, step) in choices.iter().zip(case["steps"].as_array().unwrap()) {
            assert_candidates(&choice.candidates, step, "step");
        }
        let targets = case["targets"].as_array().unwrap();
        assert_eq!(got.explanations.len(), targets.len());
        for (k, (explanation, wanted)) in got.explanations.iter().zip(targets).enumerate() {
            let (read, later) = explanation.attribution.scores.split_at(second + 1 + k);
            assert_close(read, &numbers(&wanted["input_x_gradient"]), "scores");
            assert!(later.iter().all(|&score| score == 0.0));
        }
        compare_targets(&case, &*model, &got.encoding);
    }
}

#[test]
fn how_alike_texts_are() {
    for case in golden("sentence-similarity") {
        let model = open(&case);
        let input = Input::pair(text(&case["text"]), text(&case["pair"]));
        let got = answer(&*model, &input, &TaskOptions::default(), &TargetSpec::Predicted);
        let Prediction::SentenceSimilarity(cosine) = got.prediction else { panic!() };
        assert_close(&[cosine], &[case["cosine"].as_f64().unwrap()], "cosine");
        compare_targets(&case, &*model, &got.encoding);
    }
}

#[test]
fn every_task_is_in_the_list() {
    for task in Task::ALL {
        assert_eq!(TASKS.iter().filter(|known| known.task() == task).count(), 1, "{task:?}");
    }
}
