//! What users, machines and files do to methods.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/closed.rs"]
mod closed;
mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::DType;
use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::words::word_scores;
use glossator_interpret::{
    Attribution, Baseline, BaselineKind, Entry, Error, Explainer, InputXGradient,
    IntegratedGradients, METHODS, Method, Occlusion, Options, ParameterInfo, Progress, Quantity,
    Setting, Silent, SmoothGrad, SpecialTokens, Subject, TargetSpec, find,
};
use glossator_models::text::WordPieceOptions;
use glossator_models::{
    BUNDLED, Batch, Encoding, LoadOptions, Model, Problem, Tokenizer, Trace, load, load_bundled,
};
use glossator_ops::threads;

use crate::closed::{Closed, attribute, first_logit, random, values, words};
use crate::common::{distance, largest, largest_difference, open, testdata};

fn bundled() -> Box<dyn Model> {
    load_bundled(&BUNDLED[0], &LoadOptions::default()).unwrap()
}

fn bert(dtype: DType) -> Box<dyn Model> {
    open(&testdata("models/bert-cls"), dtype)
}

fn subject<'a>(model: &'a dyn Model, encoding: &'a Encoding) -> Subject<'a> {
    Subject::new(model, encoding, &TargetSpec::Predicted, Quantity::Logit, &Silent).unwrap()
}

/// Every method of the list, as it is by default and as AllenNLP had it.
fn listed() -> impl Iterator<Item = (&'static Entry, Box<dyn Method>)> {
    METHODS.iter().copied().flat_map(|entry| {
        let preset = entry.allennlp.map(|preset| preset());
        preset.into_iter().chain([entry.method(&Options::new()).unwrap()]).map(move |m| (entry, m))
    })
}

const LONG: &str = "though the plot is thin and the pacing drags in the middle , a wonderfully \
                    understated performance by the lead and some genuinely funny moments make \
                    this small film well worth seeing .";

/// The same bits with one, two and three threads, inside [`threads::serial`] and outside.
#[test]
fn the_number_of_threads_changes_nothing() {
    let model = bundled();
    // Long enough for products that are split over threads.
    let encoding = model.encode("a touching , funny and wise film", false).unwrap();
    for (entry, method) in listed() {
        let run = || method.attribute(&subject(&*model, &encoding)).unwrap();
        let on = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run);
        let one = on(1);
        for n in [2, 3] {
            assert_eq!(on(n), one, "{} on {n} threads", entry.info.id);
        }
        assert_eq!(threads::serial(run), one, "{}", entry.info.id);
    }
}

/// What was explained before does not matter, nor who explains at the same time.
#[test]
fn explanations_do_not_touch_each_other() {
    let model = bert(DType::F32);
    let texts = ["film", "A touching film!", "", "i love it"];
    for (entry, method) in listed() {
        let explain = |text: &str| first_logit(&*model, &*method, text);
        let forwards: Vec<Attribution> = texts.iter().map(|text| explain(text)).collect();
        let mut backwards: Vec<Attribution> =
            texts.iter().rev().map(|text| explain(text)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards, "{}", entry.info.id);
        let together: Vec<Attribution> = std::thread::scope(|scope| {
            let run = |text| scope.spawn(move || threads::serial(|| explain(text)));
            let running = texts.map(run);
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(forwards, together, "{}", entry.info.id);
    }
}

#[test]
fn a_seed_decides_the_noise() {
    let model = bert(DType::F64);
    let run = |seed, samples| {
        let method = SmoothGrad { seed, samples, ..SmoothGrad::default() };
        first_logit(&*model, &method, "A touching film!").scores
    };
    assert_eq!(run(1, 5), run(1, 5));
    assert_ne!(run(1, 5), run(2, 5));
    assert_ne!(run(0, 5), run(u64::MAX, 5));
    // Copies have streams of their own: with one more, the first five stay as they are.
    let (five, six) = (run(1, 100), run(1, 101));
    assert!(distance(&five, &six) < 0.1 && five != six);
}

/// Texts at the edges of what a model reads, with every method.
#[test]
fn texts_of_every_length() {
    let model = bert(DType::F64);
    let limit = model.info().max_tokens;
    let full = vec!["film"; limit - 2].join(" ");
    for text in ["", " ", "film", "!", "\u{0}", "☃", "[MASK]", "film ".repeat(5).as_str(), &full]
    {
        let encoding = model.encode(text, false).unwrap();
        for (entry, method) in listed() {
            let got = method.attribute(&subject(&*model, &encoding)).unwrap();
            let id = entry.info.id;
            assert_eq!(got.scores.len(), encoding.tokens.len(), "{id} {text:?}");
            assert!(got.scores.iter().all(|score| score.is_finite()), "{id} {text:?}");
            assert!(!got.magnitudes || got.scores.iter().all(|&score| score >= 0.0), "{id}");
            // AllenNLP's ten left steps are not enough for much.
            let preset = method.settings().contains_key("preset");
            assert!(preset || got.converged != Some(false), "{id} {text:?} {got:?}");
        }
    }
    assert_eq!(model.encode(&full, false).unwrap().tokens.len(), limit);
    let over = format!("{full} film");
    let error = Error::from(model.encode(&over, false).unwrap_err());
    assert!(error.is_input_error() && error.hint().unwrap().contains("--truncate"), "{error}");
    let cut = model.encode(&over, true).unwrap();
    assert_eq!((cut.tokens.len(), cut.truncated), (limit, 1));
    // Made by hand, such an encoding is an error of the model, not a panic.
    let long = model.tokenizer().encode(&over).unwrap();
    assert!(
        Subject::new(&*model, &long, &TargetSpec::Predicted, Quantity::Logit, &Silent).is_err()
    );
    // And so is one without any token, whatever the error.
    let mut none = model.encode("", false).unwrap();
    none.tokens.clear();
    if let Ok(subject) =
        Subject::new(&*model, &none, &TargetSpec::Predicted, Quantity::Logit, &Silent)
    {
        for (_, method) in listed() {
            if let Ok(got) = method.attribute(&subject) {
                assert_eq!(got.scores, [0.0; 0]);
            }
        }
    }
}

/// Without words, there is nothing between the input and a baseline that keeps special tokens.
#[test]
fn an_empty_text_has_nothing_to_explain() {
    let model = bert(DType::F32);
    let encoding = model.encode("", false).unwrap();
    for kind in [BaselineKind::Pad, BaselineKind::Mask, BaselineKind::Mean] {
        let baseline = Baseline { kind, special: None };
        let adaptive =
            IntegratedGradients { baseline: baseline.clone(), ..IntegratedGradients::default() };
        let quadrature = Quadrature::Fixed { rule: FixedRule::Trapezoid, steps: 3 };
        let fixed = IntegratedGradients { quadrature, ..adaptive.clone() };
        for method in [&adaptive, &fixed] {
            let got = method.attribute(&subject(&*model, &encoding)).unwrap();
            assert_eq!(got.scores, [0.0; 2]);
            assert_eq!((got.completeness_error, got.converged), (Some(0.0), Some(true)));
        }
        let got = Occlusion { baseline }.attribute(&subject(&*model, &encoding)).unwrap();
        assert_eq!(got.scores, [0.0; 2]);
    }
    assert!(word_scores(&encoding, &[1.0, 2.0])[0].is_empty());
}

#[test]
fn labels_that_do_not_exist() {
    let model = bert(DType::F32);
    let labels = &model.info().labels;
    let encoding = model.encode("film", false).unwrap();
    let explain = |spec: TargetSpec| {
        let method = InputXGradient;
        Explainer::new(&*model, &method).explain(&encoding, &spec, Quantity::Logit)
    };
    for spec in [
        TargetSpec::Label("nonsense".to_owned()),
        TargetSpec::Label("3".to_owned()),
        TargetSpec::Label("-1".to_owned()),
        TargetSpec::Label(String::new()),
        TargetSpec::Contrast("0".to_owned(), "nonsense".to_owned()),
        TargetSpec::Contrast("nonsense".to_owned(), "0".to_owned()),
    ] {
        let error = explain(spec.clone()).unwrap_err();
        assert!(error.is_input_error());
        // The message lists what there is.
        let message = error.to_string();
        assert!(labels.names.iter().all(|name| message.contains(name)), "{message}");
    }
    // A label by name and by number is one label, and does not contrast with itself.
    let name = labels.names[1].clone();
    for other in [name.clone(), "1".to_owned(), name.to_uppercase()] {
        let error = explain(TargetSpec::Contrast(name.clone(), other)).unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
    let parsed = TargetSpec::parse(&format!("{name}-vs-{}", labels.names[0]), labels).unwrap();
    assert_eq!(parsed, TargetSpec::Contrast(name, labels.names[0].clone()));
    assert!(TargetSpec::parse("0-vs-nonsense", labels).is_err());
    assert!(TargetSpec::parse("nonsense", labels).is_err());
    assert!("nonsense".parse::<Quantity>().is_err());
    for quantity in Quantity::ALL {
        assert_eq!(quantity.id().parse::<Quantity>().unwrap(), quantity);
    }
}

#[test]
fn a_regression_has_no_probability() {
    let model = open(&testdata("models/bert-regression"), DType::F64);
    let encoding = model.encode("film", false).unwrap();
    for quantity in Quantity::ALL {
        let method = IntegratedGradients::default();
        let got =
            Explainer::new(&*model, &method).explain(&encoding, &TargetSpec::Predicted, quantity);
        match quantity {
            Quantity::Logit => {
                let answer = got.unwrap();
                let attribution = &answer.explanations[0].attribution;
                assert_eq!(answer.prediction.labels()[0].probability, None);
                assert_eq!(attribution.output, answer.prediction.labels()[0].logit);
                assert_eq!(attribution.converged, Some(true));
            }
            _ => {
                let error = got.unwrap_err();
                assert!(matches!(error, Error::Quantity { .. }), "{error}");
                assert!(error.is_input_error() && error.hint().unwrap().contains("logit"));
            }
        }
    }
}

/// The quantities of labels that are right or wrong by themselves, from the logits, and all
/// gradients against central differences.
#[test]
fn quantities_are_what_they_say() {
    for (dir, multi) in [("models/bert-multilabel", true), ("models/bert-cls", false)] {
        let model = open(&testdata(dir), DType::F64);
        let encoding = model.encode("the plot was almost perfect", false).unwrap();
        let batch = Batch::repeat(&encoding, 1);
        let embeddings = model.embed(&batch).unwrap();
        let logits = values(&model.forward(&embeddings, &batch, &mut Trace::new()).unwrap().logits);
        let total: f64 = logits.iter().map(|z| z.exp()).sum();
        let probability = |i: usize| {
            if multi { 1.0 / (1.0 + (-logits[i]).exp()) } else { logits[i].exp() / total }
        };
        let of = |i: usize, quantity| match quantity {
            Quantity::Logit => logits[i],
            Quantity::Probability => probability(i),
            Quantity::LogProbability => probability(i).ln(),
            Quantity::Loss => -probability(i).ln(),
        };
        let label = |i: usize| TargetSpec::Label(i.to_string());
        let contrast = TargetSpec::Contrast("2".to_owned(), "0".to_owned());
        for quantity in Quantity::ALL {
            let cases = (0..logits.len())
                .map(|i| (label(i), of(i, quantity)))
                .chain([(contrast.clone(), of(2, quantity) - of(0, quantity))]);
            for (spec, want) in cases {
                let subject = Subject::new(&*model, &encoding, &spec, quantity, &Silent).unwrap();
                let got = subject.output();
                assert!((got - want).abs() <= 1e-13 * want.abs().max(1.0), "{spec:?} {quantity:?}");
                for (i, label) in subject.prediction().labels().iter().enumerate() {
                    assert!((label.probability.unwrap() - probability(i)).abs() < 1e-14);
                }

                // With steps of 1e-5 in f64, truncation and rounding are both near 1e-10.
                let gradient = subject.gradient().unwrap();
                let (x, step) = (subject.embeddings(), 1e-5);
                let shifted = |i: usize, out: &mut [f64]| {
                    out.copy_from_slice(x);
                    out[i / 2] += if i.is_multiple_of(2) { step } else { -step };
                };
                let outputs = subject.values(2 * x.len(), shifted).unwrap();
                let numeric: Vec<f64> =
                    outputs.chunks(2).map(|pair| (pair[0] - pair[1]) / (2.0 * step)).collect();
                let d = distance(&gradient, &numeric);
                assert!(d < 1e-6, "{dir} {spec:?} {quantity:?}: {d:e}");
            }
        }
    }
}

/// Probabilities of 0 and 1 to the last bit have logarithms and gradients all the same.
#[test]
fn saturated_outputs_stay_finite() {
    for scale in [1e2, 1e4, 1e8] {
        for problem in [Problem::SingleLabel, Problem::MultiLabel] {
            let w = random(1, &[4 * 2, 3]);
            let mut model = Closed::new(2, 3, 2, move |x| {
                (x.flatten_from(1)?.matmul(&w)? * scale)?.tanh()? * scale
            });
            model.info.labels.problem = problem;
            for label in ["0", "1", "2"] {
                for quantity in Quantity::ALL {
                    for (entry, method) in listed() {
                        let spec = TargetSpec::Label(label.to_owned());
                        let encoding = model.encode(&words(2), false).unwrap();
                        let subject =
                            Subject::new(&model, &encoding, &spec, quantity, &Silent).unwrap();
                        assert!(subject.output().is_finite());
                        let got = method.attribute(&subject).unwrap();
                        let id = entry.info.id;
                        assert!(
                            got.scores.iter().all(|s| s.is_finite()),
                            "{id} {quantity:?} {got:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn unknown_methods_and_settings() {
    let error = find("nonsense").err().unwrap();
    assert!(matches!(error, Error::UnknownMethod { .. }));
    assert!(error.is_input_error() && error.hint().is_some());
    for entry in METHODS {
        assert!(error.to_string().contains(entry.info.id), "{error}");
        let error = entry.method(&Options::new().with("nonsense", "1")).err().unwrap();
        assert!(matches!(error, Error::UnknownSetting { .. }), "{error}");
        assert!(error.to_string().contains("nonsense") && error.is_input_error());
        assert!(error.hint().unwrap().contains(entry.info.id));
    }
    // A setting of one method is not one of another.
    assert!(find("input-x-gradient").unwrap().method(&Options::new().with("sigma", "1")).is_err());
}

#[test]
fn every_method_is_described() {
    let ids: BTreeSet<_> = METHODS.iter().map(|entry| entry.info.id).collect();
    assert_eq!(ids.len(), METHODS.len());
    for entry in METHODS {
        let info = entry.info;
        let id = info.id;
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id}");
        assert!(std::ptr::eq(find(id).unwrap().info, info));
        for text in [info.name, info.meaning, info.caution, info.citation, info.cost] {
            assert!(!text.trim().is_empty(), "{id}");
            assert!(!text.contains("  ") && !text.contains('\n'), "{id}: {text:?}");
        }
        for text in [info.meaning, info.caution] {
            assert!(text.ends_with('.'), "{id}: {text:?}");
        }
        // A citation can be looked up.
        assert!(info.citation.contains("arXiv:"), "{id}: {}", info.citation);
        assert_eq!(info.allennlp.is_some(), entry.allennlp.is_some(), "{id}");
        let names: BTreeSet<_> = info.parameters.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), info.parameters.len(), "{id}");
        for parameter in info.parameters {
            let name = parameter.name;
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id} {name}");
            assert!(
                !parameter.help.trim().is_empty() && !parameter.default.is_empty(),
                "{id} {name}"
            );
            assert!(!parameter.help.contains("  "), "{id} {name}: {:?}", parameter.help);
        }
        // What is recorded are settings that the method has, and its own name.
        let method = entry.method(&Options::new()).unwrap();
        assert_eq!(method.info().id, id);
        for setting in method.settings().keys() {
            assert!(names.contains(setting), "{id}: {setting}");
        }
    }
}

/// Values that a parameter takes, each with what else must be given; and values that it does not.
type Examples =
    (&'static [(&'static str, &'static [(&'static str, &'static str)])], &'static [&'static str]);

fn examples(method: &str, parameter: &ParameterInfo) -> Examples {
    const MIDPOINT: &[(&str, &str)] = &[("rule", "midpoint")];
    const TRAPEZOID: &[(&str, &str)] = &[("rule", "trapezoid")];
    match parameter.name {
        "reduction" => (&[("l2", &[]), ("sum", &[])], &["L2", "l1", "mean"]),
        "baseline" => (
            &[
                ("zero", &[]),
                ("pad", &[]),
                ("mask", &[]),
                ("mean", &[]),
                ("text:", &[]),
                ("text:a film", &[]),
            ],
            &["Zero", "text", "0"],
        ),
        "special-tokens" => (&[("keep", &[]), ("replace", &[])], &["true", "all"]),
        "rule" => (
            &[
                ("adaptive", &[]),
                ("gauss-legendre", &[]),
                ("midpoint", &[]),
                ("trapezoid", &[]),
                ("riemann-left", &[]),
                ("riemann-right", &[]),
            ],
            &["riemann", "gausslegendre"],
        ),
        "steps" => (
            &[("1", MIDPOINT), ("2", TRAPEZOID), ("100000", MIDPOINT)],
            &["0", "-1", "1.5", "100001", "1e3"],
        ),
        "tolerance" => (&[("0.5", &[]), ("1e-9", &[])], &["0", "-0.1", "nan", "inf", "1%"]),
        "max-evaluations" => {
            (&[("15", &[]), ("10000000", &[])], &["14", "0", "-1", "10000001", "1.5"])
        }
        "samples" => (&[("1", &[]), ("1000000", &[])], &["0", "-1", "1.5", "1000001"]),
        "sigma" => (&[("0", &[]), ("2.5", &[])], &["-0.1", "nan", "inf", "1e999"]),
        "seed" => {
            (&[("0", &[]), ("18446744073709551615", &[])], &["-1", "1.5", "18446744073709551616"])
        }
        "times-input" | "squared" => (&[("true", &[]), ("false", &[])], &["1", "yes"]),
        other => panic!("{method}: give examples of the new parameter {other}"),
    }
}

#[test]
fn every_parameter_is_checked() {
    for entry in METHODS {
        let id = entry.info.id;
        for parameter in entry.info.parameters {
            let name = parameter.name;
            let (good, bad) = examples(id, parameter);
            for &(value, others) in good {
                let options = others
                    .iter()
                    .fold(Options::new(), |options, (name, value)| options.with(name, value));
                let method = entry.method(&options.with(name, value));
                let method =
                    method.unwrap_or_else(|error| panic!("{id} --{name} {value}: {error}"));
                // What was given is what is recorded.
                let recorded = match &method.settings()[name] {
                    Setting::Bool(on) => on.to_string(),
                    Setting::Integer(n) => n.to_string(),
                    Setting::Number(x) => {
                        assert_eq!(value.parse(), Ok(*x), "{id} --{name}");
                        value.to_owned()
                    }
                    Setting::Text(text) => text.clone(),
                };
                assert_eq!(recorded, value, "{id} --{name}");
            }
            // Those of `steps` need a rule to be about steps at all.
            let base =
                good[0].1.iter().fold(Options::new(), |o, (name, value)| o.with(name, value));
            for value in bad.iter().chain(&["nonsense", " "]) {
                let error = entry.method(&base.clone().with(name, value)).err();
                let error = error.unwrap_or_else(|| panic!("{id} --{name} {value} was taken"));
                let Error::BadSetting { setting, got, .. } = &error else {
                    panic!("{id} --{name} {value}: {error}")
                };
                assert_eq!((setting.as_str(), got), (name, &(*value).to_owned()));
                assert!(error.is_input_error());
            }
        }
    }
}

/// A default in the help is the default in the code.
#[test]
fn documented_defaults_hold() {
    let mut checked = 0;
    for entry in METHODS {
        let plain = entry.method(&Options::new()).unwrap().settings();
        for parameter in entry.info.parameters {
            let options = match (parameter.name, parameter.default) {
                ("steps", text) => {
                    let steps = text.split(',').next().unwrap();
                    let rule = Options::new().with("rule", "midpoint");
                    let with = entry.method(&rule.clone().with("steps", steps)).unwrap().settings();
                    assert_eq!(with, entry.method(&rule).unwrap().settings());
                    checked += 1;
                    continue;
                }
                ("special-tokens", text) => {
                    assert_eq!(text, "replace for zero, keep for other baselines");
                    for (kind, special) in
                        [("zero", "replace"), ("pad", "keep"), ("text:x", "keep")]
                    {
                        let baseline = Options::new().with("baseline", kind);
                        let settings = entry.method(&baseline).unwrap().settings();
                        assert_eq!(settings["special-tokens"], special.into());
                    }
                    checked += 1;
                    continue;
                }
                (name, "off") => Options::new().with(name, "false"),
                (name, default) => Options::new().with(name, default.split(',').next().unwrap()),
            };
            assert_eq!(entry.method(&options).unwrap().settings(), plain, "{options:?}");
            checked += 1;
        }
    }
    let parameters: usize = METHODS.iter().map(|entry| entry.info.parameters.len()).sum();
    assert_eq!(checked, parameters);
}

#[test]
fn settings_that_contradict_each_other() {
    let entry = find("integrated-gradients").unwrap();
    for options in [
        Options::new().with("steps", "20"),
        Options::new().with("rule", "adaptive").with("steps", "20"),
        Options::new().with("rule", "midpoint").with("max-evaluations", "100"),
    ] {
        let error = entry.method(&options).err().unwrap();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert!(error.is_input_error());
    }
    let one = Options::new().with("rule", "trapezoid").with("steps", "1");
    assert!(matches!(entry.method(&one).err().unwrap(), Error::BadSetting { .. }));
}

#[test]
fn baselines_that_do_not_fit() {
    let model = bert(DType::F32);
    let encoding = model.encode("a film", false).unwrap();
    let with = |text: &str| {
        let baseline = Baseline { kind: BaselineKind::Text(text.to_owned()), special: None };
        Occlusion { baseline }.attribute(&subject(&*model, &encoding))
    };
    assert!(with("").is_ok() && with("film").is_ok() && with("film film").is_ok());
    let error = with("a long film").unwrap_err();
    assert!(matches!(error, Error::BaselineTooLong { got: 3, room: 2 }), "{error}");
    assert!(error.is_input_error() && error.hint().is_some());

    // A shorter text is filled up with padding.
    let scores = |kind| {
        let baseline = Baseline { kind, special: Some(SpecialTokens::Keep) };
        Occlusion { baseline }.attribute(&subject(&*model, &encoding)).unwrap().scores
    };
    assert_eq!(scores(BaselineKind::Text(String::new())), scores(BaselineKind::Pad));

    // A tokenizer without a mask.
    let mut bare = Closed::new(2, 1, 1, |x| x.flatten_from(1)?.sum_keepdim(1));
    let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb";
    bare.tokenizer = Tokenizer::from_vocab_txt(vocabulary, WordPieceOptions::default()).unwrap();
    let encoding = bare.encode(&words(2), false).unwrap();
    for (kind, fits) in [(BaselineKind::Mask, false), (BaselineKind::Pad, true)] {
        let baseline = Baseline { kind, special: None };
        let got = Occlusion { baseline }.attribute(&subject(&bare, &encoding));
        assert_eq!(got.is_ok(), fits);
        if let Err(error) = got {
            assert!(matches!(error, Error::NoBaselineToken { token: "mask" }), "{error}");
            assert!(error.hint().unwrap().contains("mean"));
        }
    }
}

/// A copy of `bert-cls` with one element of a tensor overwritten.
fn damaged(dir: &Path, tensor: &str, index: usize, value: f32) {
    let source = testdata("models/bert-cls");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let info = metadata.info(tensor).unwrap();
    let at = 8 + header + info.data_offsets.0 + 4 * index;
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn damaged_weights_are_named() {
    for (tensor, value) in [
        ("classifier.weight", f32::NAN),
        ("bert.encoder.layer.1.output.dense.bias", f32::INFINITY),
        ("bert.embeddings.LayerNorm.weight", f32::NEG_INFINITY),
    ] {
        let dir = tempfile::tempdir().unwrap();
        damaged(dir.path(), tensor, 3, value);
        for dtype in [DType::F32, DType::F64] {
            let model = open(dir.path(), dtype);
            let encoding = model.encode("film", false).unwrap();
            for (entry, method) in listed() {
                let error = Explainer::new(&*model, &*method)
                    .explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)
                    .unwrap_err();
                assert!(matches!(error, Error::NotFinite { .. }), "{}: {error}", entry.info.id);
                assert!(error.to_string().contains(tensor), "{error}");
                assert!(error.is_input_error());
                assert!(error.hint().unwrap().contains("damaged"), "{error}");
            }
        }
    }
}

/// A damaged row of the embeddings that the input does not use: only a baseline that does fails.
#[test]
fn damage_that_only_a_baseline_meets() {
    let dir = tempfile::tempdir().unwrap();
    let pad = bert(DType::F32).tokenizer().pad_token().unwrap() as usize;
    let name = "bert.embeddings.word_embeddings.weight";
    damaged(dir.path(), name, 16 * pad, f32::NAN);
    let model = load(dir.path(), &LoadOptions::default()).unwrap();
    let encoding = model.encode("film", false).unwrap();
    for (kind, fits) in [
        (BaselineKind::Zero, true),
        (BaselineKind::Mask, true),
        (BaselineKind::Pad, false),
        (BaselineKind::Mean, false),
    ] {
        let baseline = Baseline { kind, special: None };
        let quadrature = Quadrature::Fixed { rule: FixedRule::Midpoint, steps: 3 };
        let adaptive =
            IntegratedGradients { baseline: baseline.clone(), ..IntegratedGradients::default() };
        let methods: [Box<dyn Method>; 3] = [
            Box::new(IntegratedGradients { quadrature, ..adaptive.clone() }),
            Box::new(adaptive),
            Box::new(Occlusion { baseline }),
        ];
        for method in methods {
            let got = method.attribute(&subject(&*model, &encoding));
            assert_eq!(got.is_ok(), fits, "{method:?}", method = method.settings());
            assert!(got.err().is_none_or(|error| matches!(error, Error::NotFinite { .. })));
        }
    }
}

/// Noise beyond every number is an error, not a map of NaN.
#[test]
fn noise_without_bounds_is_an_error() {
    let model = bert(DType::F32);
    let encoding = model.encode("film", false).unwrap();
    let method = SmoothGrad { sigma: 1e300, ..SmoothGrad::default() };
    let error = method.attribute(&subject(&*model, &encoding)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
}

/// Sums over a word's pieces, never averages: nothing is lost but what special tokens have.
#[test]
fn words_sum_their_tokens() {
    let model = bundled();
    for (first, second) in [
        ("an unflinchingly bittersweet masterpiece , wasn't it ? ☃ …", None),
        ("unwatchable", Some("a supercalifragilistic follow-up")),
        ("", None),
        ("  [MASK]  ", Some("")),
    ] {
        let encoding = match second {
            None => model.tokenizer().encode(first).unwrap(),
            Some(second) => model.tokenizer().encode_pair(first, second).unwrap(),
        };
        let scores: Vec<f64> = (0..encoding.tokens.len()).map(|t| 2_f64.powi(t as i32)).collect();
        let fields = word_scores(&encoding, &scores);
        assert_eq!(fields.len(), encoding.fields.len());
        for (index, (field, words)) in encoding.fields.iter().zip(&fields).enumerate() {
            let tokens = encoding.tokens.iter().zip(&scores);
            let own = tokens.filter(|(token, _)| token.field == index && token.word.is_some());
            // Powers of two: equal sums are sums of the same tokens.
            let total: f64 = words.iter().map(|word| word.score).sum();
            assert_eq!(total, own.map(|(_, score)| score).sum::<f64>());
            assert!(words.iter().all(|word| !field.text[word.span.clone()].trim().is_empty()));
            assert!(words.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
        }
    }
    // Of a word in pieces, the score is the sum.
    let text = "unflinchingly good";
    let encoding = model.encode(text, false).unwrap();
    let got = attribute(
        &*model,
        &IntegratedGradients::default(),
        text,
        &TargetSpec::Predicted,
        Quantity::Logit,
    );
    let words = &word_scores(&encoding, &got.scores)[0];
    assert_eq!(words.len(), 2);
    let first: f64 = got.scores[1..got.scores.len() - 2].iter().sum();
    assert!((words[0].score - first).abs() < 1e-12);
    assert!(got.scores.len() > 4, "the word is in one piece: choose another");
}

/// Counts, and cancels after a number of evaluations.
struct Watch {
    seen: AtomicUsize,
    cancel_after: usize,
}

impl Watch {
    fn new(cancel_after: usize) -> Self {
        Self { seen: AtomicUsize::new(0), cancel_after }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Progress for Watch {
    fn evaluated(&self, count: usize) {
        self.seen.fetch_add(count, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.seen() >= self.cancel_after
    }
}

#[test]
fn progress_counts_every_evaluation() {
    let model = bert(DType::F64);
    let encoding = model.encode("A touching film!", false).unwrap();
    for (entry, method) in listed() {
        let watch = Watch::new(usize::MAX);
        let explainer = Explainer::new(&*model, &*method).with_progress(&watch);
        let answer = explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit).unwrap();
        let attribution = &answer.explanations[0].attribution;
        // The prediction, then what the method says that it needs.
        let forwards = match entry.info.id {
            "integrated-gradients" => 2,
            "occlusion" => 1 + encoding.tokens.len(),
            _ => 1,
        };
        assert_eq!(watch.seen(), attribution.gradient_evaluations + forwards, "{}", entry.info.id);
    }
    // Against itself there is nothing to evaluate but the two ends.
    let watch = Watch::new(usize::MAX);
    let baseline =
        Baseline { kind: BaselineKind::Text("A touching film!".to_owned()), special: None };
    let method = IntegratedGradients { baseline, ..IntegratedGradients::default() };
    let answer = Explainer::new(&*model, &method)
        .with_progress(&watch)
        .explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)
        .unwrap();
    assert_eq!(answer.explanations[0].attribution.gradient_evaluations, 0);
    assert_eq!(watch.seen(), 2);
}

#[test]
fn a_caller_can_cancel() {
    let model = bert(DType::F64);
    let encoding = model.encode("A touching film!", false).unwrap();
    for (entry, method) in listed() {
        // Before anything, and between the prediction and the method.
        for (after, most) in [(0, 0), (1, 1)] {
            let watch = Watch::new(after);
            let error = Explainer::new(&*model, &*method)
                .with_progress(&watch)
                .explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)
                .unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{}: {error}", entry.info.id);
            assert_eq!(watch.seen(), most, "{}", entry.info.id);
        }
    }
    // In the middle of a long one: what is running is finished, and nothing else is begun.
    let quadrature = Quadrature::Fixed { rule: FixedRule::Midpoint, steps: 100_000 };
    let long: [Box<dyn Method>; 2] = [
        Box::new(IntegratedGradients { quadrature, ..IntegratedGradients::default() }),
        Box::new(SmoothGrad { samples: 100_000, ..SmoothGrad::default() }),
    ];
    for method in long {
        let watch = Watch::new(50);
        let error = Explainer::new(&*model, &*method)
            .with_progress(&watch)
            .explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)
            .unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert!(watch.seen() < 1000, "{}", watch.seen());
    }
}

/// No differentiable path from the input to the output is an error, never zeros.
#[test]
fn a_gradient_that_does_not_exist_is_an_error() {
    let model = Closed::new(2, 1, 1, |x| x.detach().flatten_from(1)?.sum_keepdim(1));
    let encoding = model.encode(&words(2), false).unwrap();
    for (entry, method) in listed() {
        let got = method.attribute(&subject(&model, &encoding));
        assert_eq!(got.is_ok(), entry.info.id == "occlusion", "{}", entry.info.id);
    }
}

/// The adaptive answer on the bundled model, in the type that users have, against the integral
/// itself: within the tolerance that was asked for.
#[test]
fn tolerances_hold_on_the_bundled_model() {
    let (single, double) = (
        bundled(),
        load_bundled(&BUNDLED[0], &LoadOptions { dtype: DType::F64, ..Default::default() })
            .unwrap(),
    );
    let mut worst = [0.0_f64; 2];
    for text in ["a touching , funny and wise film", "not bad at all", LONG] {
        for kind in [BaselineKind::Zero, BaselineKind::Mask] {
            let baseline = Baseline { kind, special: None };
            let run = |model: &dyn Model, tolerance| {
                let baseline = baseline.clone();
                let quadrature = Quadrature::Adaptive { max_evaluations: 3000 };
                let method = IntegratedGradients { baseline, tolerance, quadrature };
                attribute(model, &method, text, &TargetSpec::Predicted, Quantity::Logit)
            };
            let truth = run(&*double, 1e-5);
            assert_eq!(truth.converged, Some(true), "{text}");
            let scale =
                largest(&truth.scores).max((truth.output - truth.baseline_output.unwrap()).abs());
            for (i, tolerance) in [0.01, 0.001].into_iter().enumerate() {
                let got = run(&*single, tolerance);
                assert_eq!(got.converged, Some(true), "{text} {tolerance}");
                let error = largest_difference(&got.scores, &truth.scores) / scale;
                worst[i] = worst[i].max(error);
                assert!(error <= tolerance, "{text} {tolerance}: {error:e}");
            }
        }
    }
    println!("worst share of the scale: {:.1e} at 0.01, {:.1e} at 0.001", worst[0], worst[1]);
}
