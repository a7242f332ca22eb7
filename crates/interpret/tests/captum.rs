//! Agreement with PyTorch and Captum, in f64, on the tiny random model `bert-cls`.
//!
//! The goldens hold `[tokens, width]`; methods give one number a token, so goldens are summed over
//! the width here. `testdata/README.md` names the tensors, and tells where Captum's own rules
//! differ from the textbook's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the accuracy that is reached")]

mod common;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use glossator_interpret::quadrature::Rule;
use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::{
    Attribution, Baseline, BaselineKind, Gradient, InputXGradient, IntegratedGradients, Method,
    Occlusion, Quantity, Reduction, Silent, SmoothGrad, SpecialTokens, Subject, TargetSpec, find,
};
use glossator_models::{Encoding, Model};

use crate::common::{distance, largest, largest_difference, open, testdata};

/// Both sides compute the same formula in f64 and differ by the order of sums through two layers
/// only. Reached: 1e-14 (each test prints it).
const F64: f64 = 1e-12;

/// Captum casts the weights of its rules, and the points of the Riemann ones, to f32 (6e-8
/// relative), which a gradient that turns along the path magnifies. Reached: 4e-7.
const CAPTUM: f64 = 1e-6;

const CASES: [&str; 3] = ["one-word", "short", "sentence"];

const QUANTITIES: [&str; 5] = ["logit", "probability", "log_probability", "loss", "contrast"];

const KINDS: [(&str, BaselineKind); 4] = [
    ("zero", BaselineKind::Zero),
    ("pad", BaselineKind::Pad),
    ("mask", BaselineKind::Mask),
    ("mean", BaselineKind::Mean),
];

const SCOPES: [(&str, SpecialTokens); 2] =
    [("all", SpecialTokens::Replace), ("keep_special", SpecialTokens::Keep)];

const RULES: [(&str, FixedRule); 5] = [
    ("gausslegendre", FixedRule::GaussLegendre),
    ("riemann_middle", FixedRule::Midpoint),
    ("riemann_trapezoid", FixedRule::Trapezoid),
    ("riemann_left", FixedRule::RiemannLeft),
    ("riemann_right", FixedRule::RiemannRight),
];

const STEPS: [usize; 2] = [8, 32];

struct Golden {
    case: &'static str,
    tensors: HashMap<String, Tensor>,
    facts: serde_json::Value,
}

impl Golden {
    fn read(case: &'static str) -> Self {
        let path = testdata("golden/captum").join(case);
        let tensors =
            candle_core::safetensors::load(path.with_extension("safetensors"), &Device::Cpu);
        let facts = std::fs::read(path.with_extension("json")).unwrap();
        Self { case, tensors: tensors.unwrap(), facts: serde_json::from_slice(&facts).unwrap() }
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.case))
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.tensor(name).flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    /// The sum over the last dimension.
    fn by_token(&self, name: &str) -> Vec<f64> {
        let width = self.tensor(name).dims()[1];
        self.values(name).chunks(width).map(|row| row.iter().sum()).collect()
    }

    /// The Euclidean norm over the last dimension.
    fn norms(&self, name: &str) -> Vec<f64> {
        let width = self.tensor(name).dims()[1];
        let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        self.values(name).chunks(width).map(norm).collect()
    }

    fn encoding(&self, model: &dyn Model) -> Encoding {
        let encoding = model.encode(self.facts["text"].as_str().unwrap(), false).unwrap();
        let ids: Vec<f64> = encoding.ids().iter().map(|&id| f64::from(id)).collect();
        assert_eq!(ids, self.values("input_ids"), "{}", self.case);
        encoding
    }

    fn target(&self, quantity: &str) -> (TargetSpec, Quantity) {
        let label = |value: &serde_json::Value| value.as_u64().unwrap().to_string();
        let target = TargetSpec::Label(label(&self.facts["target"]));
        match quantity {
            "logit" => (target, Quantity::Logit),
            "probability" => (target, Quantity::Probability),
            "log_probability" => (target, Quantity::LogProbability),
            "loss" => (target, Quantity::Loss),
            "contrast" => {
                let [a, b] = [0, 1].map(|i| label(&self.facts["contrast"][i]));
                (TargetSpec::Contrast(a, b), Quantity::Logit)
            }
            other => panic!("{other}"),
        }
    }
}

/// Runs `check(golden, quantity, subject)` for every case and quantity.
fn for_each_subject(dtype: DType, mut check: impl FnMut(&Golden, &str, &Subject<'_>)) {
    let model = open(&testdata("models/bert-cls"), dtype);
    for case in CASES {
        let golden = Golden::read(case);
        let encoding = golden.encoding(&*model);
        for quantity in QUANTITIES {
            let (spec, measure) = golden.target(quantity);
            let subject = Subject::new(&*model, &encoding, &spec, measure, &Silent).unwrap();
            check(&golden, quantity, &subject);
        }
    }
}

/// Keeps the largest of the distances that it was shown, and asserts each.
struct Worst {
    of: &'static str,
    tolerance: f64,
    seen: f64,
    checks: usize,
}

impl Worst {
    fn new(of: &'static str, tolerance: f64) -> Self {
        Self { of, tolerance, seen: 0.0, checks: 0 }
    }

    #[track_caller]
    fn see(&mut self, distance: f64, what: &str) {
        assert!(distance <= self.tolerance, "{}: {what} differs by {distance:e}", self.of);
        self.seen = self.seen.max(distance);
        self.checks += 1;
    }
}

impl Drop for Worst {
    fn drop(&mut self) {
        println!(
            "{}: {:.1e} (of {:.0e}), {} checks",
            self.of, self.seen, self.tolerance, self.checks
        );
    }
}

fn integrated(
    kind: &BaselineKind,
    special: SpecialTokens,
    quadrature: Quadrature,
) -> IntegratedGradients {
    IntegratedGradients {
        baseline: Baseline { kind: kind.clone(), special: Some(special) },
        quadrature,
        ..IntegratedGradients::default()
    }
}

#[test]
fn outputs_and_embeddings() {
    let mut worst = Worst::new("outputs", F64);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        // Weights are stored in f32, which f64 holds exactly.
        assert_eq!(subject.embeddings(), golden.values("embeddings"));
        worst.see(
            distance(&[subject.output()], &golden.values(&format!("output.{quantity}"))),
            quantity,
        );
    });
}

#[test]
fn gradients() {
    let mut worst = Worst::new("gradients", F64);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        let name = format!("saliency.{quantity}");
        let want = golden.values(&name);
        worst.see(distance(&subject.gradient().unwrap(), &want), &name);

        let norm = Gradient { reduction: Reduction::L2 }.attribute(subject).unwrap();
        worst.see(distance(&norm.scores, &golden.norms(&name)), &name);
        assert_eq!(norm.notes, [""; 0]);

        // Zero by construction, as a LayerNorm follows the embeddings: there is no scale but that
        // of the gradient itself, and a user must be told.
        let sum = Gradient { reduction: Reduction::Sum }.attribute(subject).unwrap();
        worst.see(largest_difference(&sum.scores, &golden.by_token(&name)) / largest(&want), &name);
        assert!(sum.notes.iter().any(|note| note.contains("rounding")), "{:?}", sum.notes);

        let name = format!("input_x_gradient.{quantity}");
        let product = InputXGradient.attribute(subject).unwrap();
        worst.see(distance(&product.scores, &golden.by_token(&name)), &name);
    });
}

/// Our rules are the textbook's; Captum's are those in f32, but for the trapezoid's weights, which
/// are too small by (n-1)/n.
#[test]
fn rules() {
    let golden =
        candle_core::safetensors::load(testdata("golden/captum/rules.safetensors"), &Device::Cpu)
            .unwrap();
    let values = |name: String| golden[&name].to_vec1::<f64>().unwrap();
    // Newton's method here, eigenvalues in NumPy: the last bits differ.
    let mut exact = Worst::new("rules, by definition", 1e-14);
    // Half a unit in the last place of f32 is 6e-8 relative; Captum's points are a sum of two.
    let mut captum = Worst::new("rules, Captum's", 2e-7);
    for (id, rule) in RULES {
        for n in STEPS {
            let ours = match rule {
                FixedRule::GaussLegendre => Rule::gauss_legendre(n),
                FixedRule::Midpoint => Rule::midpoint(n),
                FixedRule::Trapezoid => Rule::trapezoid(n),
                FixedRule::RiemannLeft => Rule::riemann_left(n),
                FixedRule::RiemannRight => Rule::riemann_right(n),
            };
            let name = |source: &str, of: &str| format!("{source}.{id}.{n}.{of}");
            exact.see(distance(&ours.points, &values(name("exact", "alphas"))), id);
            exact.see(distance(&ours.weights, &values(name("exact", "weights"))), id);
            captum.see(distance(&ours.points, &values(name("captum", "alphas"))), id);
            let short =
                if rule == FixedRule::Trapezoid { (n as f64 - 1.0) / n as f64 } else { 1.0 };
            let weights: Vec<f64> = ours.weights.iter().map(|weight| weight * short).collect();
            captum.see(distance(&weights, &values(name("captum", "weights"))), id);
        }
    }
}

#[test]
fn fixed_rules_of_integrated_gradients() {
    let mut exact = Worst::new("integrated gradients, by definition", F64);
    let mut captum = Worst::new("integrated gradients, Captum's", CAPTUM);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        for (baseline, kind) in &KINDS {
            for (scope, special) in SCOPES {
                let baseline = format!("{baseline}.{scope}");
                let start = golden.values(&format!("baseline_output.{quantity}.{baseline}"))[0];
                for (id, rule) in RULES {
                    let deltas = format!("ig_delta.{quantity}.{baseline}.{id}");
                    if !golden.has(&deltas) {
                        // Two rules only are stored for some quantities.
                        assert!(!["gausslegendre", "riemann_left"].contains(&id));
                        continue;
                    }
                    for (i, steps) in STEPS.into_iter().enumerate() {
                        let method = integrated(kind, special, Quadrature::Fixed { rule, steps });
                        let got = method.attribute(subject).unwrap();
                        assert_eq!(got.gradient_evaluations, steps);
                        let of = format!("{quantity}.{baseline}.{id}.{steps}");
                        exact.see(
                            distance(&got.scores, &golden.by_token(&format!("ig_exact.{of}"))),
                            &of,
                        );

                        let full = match rule {
                            FixedRule::Trapezoid => steps as f64 / (steps as f64 - 1.0),
                            _ => 1.0,
                        };
                        let theirs: Vec<f64> =
                            golden.by_token(&format!("ig.{of}")).iter().map(|x| x * full).collect();
                        captum.see(distance(&got.scores, &theirs), &of);

                        // F(x'), and the sum's distance from F(x) - F(x').
                        exact.see(distance(&[got.baseline_output.unwrap()], &[start]), &of);
                        let rise = got.output - start;
                        let delta = (golden.values(&deltas)[i] + rise) * full - rise;
                        let scale = largest(&theirs).max(rise.abs());
                        let ours = got.completeness_error.unwrap();
                        captum.see((ours - delta).abs() / scale, &of);
                        exact
                            .see((got.scores.iter().sum::<f64>() - rise - ours).abs() / scale, &of);

                        let tokens = subject.encoding().tokens.iter().zip(&got.scores);
                        for (token, score) in tokens {
                            let kept = token.special && special == SpecialTokens::Keep;
                            assert!(!kept || *score == 0.0, "{of}: {score}");
                        }
                    }
                }
            }
        }
    });
}

/// The adaptive rule at two tolerances against the integral itself.
#[test]
fn adaptive_integrated_gradients() {
    let mut evaluations = Vec::new();
    // The reference is good to 1e-14; what is above a token's own estimate may be rounding only.
    let mut beyond = Worst::new("error beyond the estimate", 1e-12);
    let mut loose = Worst::new("error at the default tolerance", 0.01);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        for (baseline, kind) in &KINDS {
            for (scope, special) in SCOPES {
                let of = format!("{quantity}.{baseline}.{scope}");
                let want = golden.by_token(&format!("ig_reference.{of}"));
                let adaptive = Quadrature::Adaptive { max_evaluations: 1500 };
                let run = |tolerance| -> Attribution {
                    let method = integrated(kind, special, adaptive);
                    let got =
                        IntegratedGradients { tolerance, ..method }.attribute(subject).unwrap();
                    assert_eq!(got.converged, Some(true), "{of}: {got:?}");
                    let rise = got.output - got.baseline_output.unwrap();
                    let scale = largest(&got.scores).max(rise.abs());
                    assert!(got.completeness_error.unwrap().abs() <= tolerance * scale, "{of}");
                    assert!(got.largest_error().unwrap() <= tolerance * scale, "{of}");
                    got
                };
                let got = run(1e-6);
                let errors = got.token_errors.as_ref().unwrap();
                for ((got, want), error) in got.scores.iter().zip(&want).zip(errors) {
                    beyond.see(((got - want).abs() - error).max(0.0), &of);
                }
                let got_loosely = run(0.01);
                let rise = got_loosely.output - got_loosely.baseline_output.unwrap();
                let scale = largest(&want).max(rise.abs());
                loose.see(largest_difference(&got_loosely.scores, &want) / scale, &of);
                evaluations.push((got_loosely.gradient_evaluations, got.gradient_evaluations));
            }
        }
    });
    let most = |f: fn(&(usize, usize)) -> usize| evaluations.iter().map(f).max().unwrap();
    println!("most evaluations: {} at 0.01, {} at 1e-6", most(|e| e.0), most(|e| e.1));
}

#[test]
fn smoothgrad() {
    let mut worst = Worst::new("smoothgrad", F64);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        let noise = golden.values("smoothgrad.noise");
        let size = subject.embeddings().len();
        let samples = noise.len() / size;
        let draw = |k: usize, out: &mut [f64]| out.copy_from_slice(&noise[k * size..][..size]);
        let run = |times_input, squared, reduction| {
            let method =
                SmoothGrad { samples, times_input, squared, reduction, ..SmoothGrad::default() };
            method.attribute_with_noise(subject, draw).unwrap()
        };
        let name = |of: &str| format!("smoothgrad.{quantity}.{of}");

        let mean = name("mean_gradient");
        let norm = run(false, false, Reduction::L2);
        assert_eq!(norm.gradient_evaluations, samples);
        worst.see(distance(&norm.scores, &golden.norms(&mean)), &mean);
        // Zero by construction: relative to the gradient, as for the plain one.
        let sum = run(false, false, Reduction::Sum);
        let scale = largest(&golden.values(&mean));
        worst.see(largest_difference(&sum.scores, &golden.by_token(&mean)) / scale, &mean);
        assert!(sum.notes.iter().any(|note| note.contains("rounding")), "{:?}", sum.notes);

        let squared = name("mean_squared_gradient");
        worst.see(
            distance(&run(false, true, Reduction::L2).scores, &golden.by_token(&squared)),
            &squared,
        );
        let times = name("mean_gradient_x_noisy_input");
        worst.see(
            distance(&run(true, false, Reduction::L2).scores, &golden.by_token(&times)),
            &times,
        );

        // The golden's noise is of the size that ours has.
        let x = subject.embeddings();
        let range =
            x.iter().copied().fold(f64::MIN, f64::max) - x.iter().copied().fold(f64::MAX, f64::min);
        let sigma = SmoothGrad::default().sigma * range;
        worst.see(distance(&[sigma], &golden.values("smoothgrad.sigma")), "sigma");
    });
}

/// AllenNLP's rules, from its code's description. The defect of its versions 1.2.1 to 2.10 in
/// `simple-gradient` is not part of them.
#[test]
fn allennlp_presets() {
    let mut worst = Worst::new("AllenNLP", F64);
    let model = open(&testdata("models/bert-cls"), DType::F64);
    for case in CASES {
        let golden = Golden::read(case);
        let encoding = golden.encoding(&*model);
        let subject =
            Subject::new(&*model, &encoding, &TargetSpec::Predicted, Quantity::Loss, &Silent)
                .unwrap();
        assert_eq!(subject.prediction().best() as f64, golden.values("allennlp.predicted")[0]);
        let preset = |id: &str| find(id).unwrap().allennlp.unwrap()().attribute(&subject).unwrap();

        let simple = preset("gradient");
        worst.see(distance(&simple.scores, &golden.values("allennlp.simple.scores")), case);
        let product = InputXGradient.attribute(&subject).unwrap();
        worst.see(distance(&product.scores, &golden.values("allennlp.simple.signed")), case);

        let integrated = preset("integrated-gradients");
        worst.see(distance(&integrated.scores, &golden.values("allennlp.integrated.scores")), case);
        assert_eq!(integrated.gradient_evaluations, 10);

        // Shares of rounding errors are stored nowhere: the mean gradient before its sum is, and
        // the preset says what its scores are.
        let noise = golden.values("allennlp.noise");
        let size = subject.embeddings().len();
        let method = SmoothGrad { samples: 10, ..SmoothGrad::default() };
        let smooth = method
            .attribute_with_noise(&subject, |k, out| {
                out.copy_from_slice(&noise[k * size..][..size])
            })
            .unwrap();
        worst.see(distance(&smooth.scores, &golden.norms("allennlp.smooth.values")), case);
        let preset = preset("smoothgrad");
        assert_eq!(preset.gradient_evaluations, 10);
        assert!(preset.notes.iter().any(|note| note.contains("rounding")), "{:?}", preset.notes);
        for scores in [simple.scores, integrated.scores, preset.scores] {
            assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            assert!(scores.iter().all(|&share| share >= 0.0));
        }
    }
}

#[test]
fn occlusion() {
    let mut worst = Worst::new("occlusion", F64);
    for_each_subject(DType::F64, |golden, quantity, subject| {
        for (id, kind) in &KINDS {
            for (_, special) in SCOPES {
                let method =
                    Occlusion { baseline: Baseline { kind: kind.clone(), special: Some(special) } };
                let got = method.attribute(subject).unwrap();
                let name = format!("occlusion.{quantity}.{id}");
                let mut want = golden.values(&name);
                if special == SpecialTokens::Keep {
                    let tokens = subject.encoding().tokens.iter().zip(&mut want);
                    tokens.filter(|(token, _)| token.special).for_each(|(_, drop)| *drop = 0.0);
                }
                worst.see(distance(&got.scores, &want), &name);
                assert_eq!(got.gradient_evaluations, 0);
            }
        }
    });
}

/// The same in f32, the default type: what a user loses by it.
///
/// A rounding in f32 is 6e-8 of a number; two layers add up some tens of them, and gradients of a
/// random model with attention far from uniform lose another digit. The tolerances leave an order
/// for machines whose SIMD width orders the sums in another way.
#[test]
fn f32_agrees_with_f64() {
    // Reached 1e-6.
    let mut outputs = Worst::new("f32 outputs", 1e-5);
    // Reached 8e-6.
    let mut gradients = Worst::new("f32 gradients", 1e-4);
    // Reached 1e-6.
    let mut integrals = Worst::new("f32 integrated gradients", 1e-5);
    // Reached 4e-6.
    let mut drops = Worst::new("f32 occlusion", 5e-5);
    for_each_subject(DType::F32, |golden, quantity, subject| {
        outputs.see(
            distance(&[subject.output()], &golden.values(&format!("output.{quantity}"))),
            quantity,
        );
        let name = format!("saliency.{quantity}");
        gradients.see(distance(&subject.gradient().unwrap(), &golden.values(&name)), &name);
        let name = format!("input_x_gradient.{quantity}");
        gradients.see(
            distance(&InputXGradient.attribute(subject).unwrap().scores, &golden.by_token(&name)),
            &name,
        );
        for (id, kind) in &KINDS {
            let (rule, steps) = (FixedRule::GaussLegendre, 32);
            let method =
                integrated(kind, SpecialTokens::Replace, Quadrature::Fixed { rule, steps });
            let name = format!("{quantity}.{id}.all.gausslegendre.32");
            let got = method.attribute(subject).unwrap();
            integrals
                .see(distance(&got.scores, &golden.by_token(&format!("ig_exact.{name}"))), &name);

            let adaptive = Quadrature::Adaptive { max_evaluations: 1500 };
            let method = IntegratedGradients {
                tolerance: 1e-4,
                ..integrated(kind, SpecialTokens::Replace, adaptive)
            };
            let got = method.attribute(subject).unwrap();
            assert_eq!(got.converged, Some(true), "{name}: {got:?}");
            let want = golden.by_token(&format!("ig_reference.{quantity}.{id}.all"));
            let (scale, errors) = (largest(&want), got.token_errors.as_ref().unwrap());
            for ((got, want), error) in got.scores.iter().zip(&want).zip(errors) {
                integrals.see(((got - want).abs() - error).max(0.0) / scale, &name);
            }

            let special = Some(SpecialTokens::Replace);
            let method = Occlusion { baseline: Baseline { kind: kind.clone(), special } };
            let name = format!("occlusion.{quantity}.{id}");
            let got = method.attribute(subject).unwrap();
            drops.see(distance(&got.scores, &golden.values(&name)), &name);
        }
    });
}
