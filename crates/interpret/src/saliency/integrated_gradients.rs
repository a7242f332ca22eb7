//! Integrated gradients, with quadrature that knows when it is done.

use glossator_models::ModelInfo;
use glossator_ops::DType;

use crate::baseline::{BASELINE, Baseline, BaselineKind, SPECIAL_TOKENS};
use crate::error::{Error, Result};
use crate::method::{Attribution, Method, MethodInfo, ParameterInfo, Setting, Settings};
use crate::options::Options;
use crate::quadrature::{self, FIRST_POINTS, Integral, Limits, Rule, Sample, Stopped};
use crate::registry::Entry;
use crate::saliency::reduction::shares;
use crate::subject::Subject;

/// `(x - x')_t · ∫₀¹ ∂F/∂x_t (x' + α (x - x')) dα` for each token t, signed. The scores sum to
/// F(x) - F(x').
#[derive(Debug, Clone)]
pub struct IntegratedGradients {
    /// The start of the path, x'.
    pub baseline: Baseline,
    /// How the integral is computed.
    pub quadrature: Quadrature,
    /// Error allowed, of each token's score and of completeness, as a share of the larger of
    /// |F(x) - F(x')| and the largest |score|. For a fixed rule it only decides whether the
    /// completeness error is reported as converged.
    pub tolerance: f64,
}

/// How the integral is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quadrature {
    /// A mesh that is refined where the path turns, until the tolerance is met.
    Adaptive {
        /// Gradient evaluations allowed.
        max_evaluations: usize,
    },
    /// A fixed rule.
    Fixed {
        /// Which.
        rule: FixedRule,
        /// Number of points, and of gradient evaluations.
        steps: usize,
    },
}

/// The fixed rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedRule {
    /// Exact for polynomials up to degree `2 steps - 1`.
    GaussLegendre,
    /// The middles of equal parts.
    Midpoint,
    /// Equally spaced points, both ends among them.
    Trapezoid,
    /// The left ends of equal parts.
    RiemannLeft,
    /// The right ends of equal parts.
    RiemannRight,
}

const RULES: [(&str, FixedRule); 5] = [
    ("gauss-legendre", FixedRule::GaussLegendre),
    ("midpoint", FixedRule::Midpoint),
    ("trapezoid", FixedRule::Trapezoid),
    ("riemann-left", FixedRule::RiemannLeft),
    ("riemann-right", FixedRule::RiemannRight),
];

const TOLERANCE: f64 = 0.01;
const MAX_EVALUATIONS: usize = 1500;
const STEPS: usize = 50;

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self {
            baseline: Baseline::default(),
            quadrature: Quadrature::Adaptive { max_evaluations: MAX_EVALUATIONS },
            tolerance: TOLERANCE,
        }
    }
}

const PARAMETERS: &[ParameterInfo] = &[
    BASELINE,
    SPECIAL_TOKENS,
    ParameterInfo {
        name: "rule",
        value: "adaptive|gauss-legendre|midpoint|trapezoid|riemann-left|riemann-right",
        help: "How the path is integrated: adaptively, or by a fixed rule",
        default: "adaptive",
    },
    ParameterInfo {
        name: "steps",
        value: "N",
        help: "Points of a fixed rule",
        default: "50, for fixed rules only",
    },
    ParameterInfo {
        name: "tolerance",
        value: "SHARE",
        help: "Error allowed, of each score and of their sum, as a share of the whole effect",
        default: "0.01",
    },
    ParameterInfo {
        name: "max-evaluations",
        value: "N",
        help: "Gradients that the adaptive rule may spend before it gives up and says so",
        default: "1500, for the adaptive rule only",
    },
];

static INFO: MethodInfo = MethodInfo {
    id: "integrated-gradients",
    name: "Integrated gradients",
    meaning: "How much each token moves the output on the straight way from the baseline to the \
              input. The scores sum to the difference of the outputs (completeness).",
    caution: "Depends on the baseline; a fixed number of steps can be arbitrarily wrong, which \
              the completeness error shows. The adaptive rule says when it has not converged.",
    citation: "Sundararajan, Taly & Yan 2017, arXiv:1703.01365",
    cost: "15 gradients for a tame path, more where it turns (30 to 40 are usual for encoders, 300 \
           to 500 for language models); N for a fixed rule",
    parameters: PARAMETERS,
    allennlp: Some(
        "10 left Riemann steps of the loss from zero embeddings, magnitudes as shares of their sum",
    ),
};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: &INFO,
    build: |options| Ok(Box::new(IntegratedGradients::from_options(options)?)),
    allennlp: Some(|| Box::new(AllenNlp)),
};

impl IntegratedGradients {
    fn from_options(options: &Options) -> Result<Self> {
        let fixed = match options.text("rule") {
            None | Some("adaptive") => None,
            Some(_) => {
                let choices = RULES.map(|(id, rule)| (id, Some(rule)));
                let error = |e| match e {
                    Error::BadSetting { setting, expected, got } => Error::BadSetting {
                        setting,
                        expected: format!("adaptive, {expected}"),
                        got,
                    },
                    other => other,
                };
                options.choice("rule", None, &choices).map_err(error)?
            }
        };
        let conflict = |what: &str| Err(Error::Conflict { what: what.to_owned() });
        let quadrature = match fixed {
            None if options.text("steps").is_some() => {
                return conflict(
                    "--steps needs a fixed --rule such as gauss-legendre; the adaptive rule \
                     chooses its own number of evaluations (--max-evaluations bounds it)",
                );
            }
            None => {
                let expected = "a number from 15 to 10000000";
                let valid = |n: &usize| (FIRST_POINTS..=10_000_000).contains(n);
                let max_evaluations =
                    options.get("max-evaluations", MAX_EVALUATIONS, expected, valid)?;
                Quadrature::Adaptive { max_evaluations }
            }
            Some(_) if options.text("max-evaluations").is_some() => {
                return conflict("--max-evaluations is for --rule adaptive; use --steps");
            }
            Some(rule) => {
                // The trapezoid has a point at each end; fewer than two are not a trapezoid.
                let least = if rule == FixedRule::Trapezoid { 2 } else { 1 };
                let expected = format!("a number from {least} to 100000");
                let valid = |n: &usize| (least..=100_000).contains(n);
                Quadrature::Fixed { rule, steps: options.get("steps", STEPS, &expected, valid)? }
            }
        };
        let share = |x: &f64| x.is_finite() && *x > 0.0;
        Ok(Self {
            baseline: Baseline::from_options(options)?,
            quadrature,
            tolerance: options.get("tolerance", TOLERANCE, "a number above 0", share)?,
        })
    }

    fn integrate(&self, subject: &Subject<'_>) -> Result<Integral> {
        let base = self.baseline.embeddings(subject)?;
        let (x, width) = (subject.embeddings(), subject.width());
        let difference: Vec<f64> = x.iter().zip(&base).map(|(x, b)| x - b).collect();
        let start = subject.values(1, |_, out| out.copy_from_slice(&base))?[0];
        let ends = (start, subject.output());
        let evaluate = |points: &[f64]| -> Result<Vec<Sample>> {
            subject.gradients(
                points.len(),
                |i, out| {
                    for ((out, base), step) in out.iter_mut().zip(&base).zip(&difference) {
                        *out = base + points[i] * step;
                    }
                },
                |_, value, gradient| Sample {
                    value,
                    derivative: dot(gradient, &difference, width),
                },
            )
        };
        let integral = match self.quadrature {
            Quadrature::Adaptive { max_evaluations } => {
                // Nothing to integrate: the input is its own baseline.
                if difference.iter().all(|&d| d == 0.0) {
                    return Ok(nothing(subject.tokens(), subject.output()));
                }
                // One gradient carries some tens of roundings of the model's arithmetic.
                let rounding = match subject.model().info().dtype {
                    DType::F64 => 1e-14,
                    _ => 3e-6,
                };
                let limits = Limits { tolerance: self.tolerance, max_evaluations, rounding };
                quadrature::adaptive(ends, limits, evaluate)?
            }
            Quadrature::Fixed { rule, steps } => {
                let rule = match rule {
                    FixedRule::GaussLegendre => Rule::gauss_legendre(steps),
                    FixedRule::Midpoint => Rule::midpoint(steps),
                    FixedRule::Trapezoid => Rule::trapezoid(steps),
                    FixedRule::RiemannLeft => Rule::riemann_left(steps),
                    FixedRule::RiemannRight => Rule::riemann_right(steps),
                };
                self.fixed(&rule, ends, subject.tokens(), evaluate)?
            }
        };
        Ok(integral)
    }

    fn fixed(
        &self,
        rule: &Rule,
        ends: (f64, f64),
        tokens: usize,
        evaluate: impl Fn(&[f64]) -> Result<Vec<Sample>>,
    ) -> Result<Integral> {
        let mut values = vec![0.0; tokens];
        for (sample, weight) in evaluate(&rule.points)?.iter().zip(&rule.weights) {
            for (value, derivative) in values.iter_mut().zip(&sample.derivative) {
                *value += weight * derivative;
            }
        }
        let difference = ends.1 - ends.0;
        let completeness_error = values.iter().sum::<f64>() - difference;
        let scale = values.iter().map(|v| v.abs()).fold(difference.abs(), f64::max);
        Ok(Integral {
            values,
            errors: Vec::new(),
            ends,
            completeness_error,
            scale,
            converged: completeness_error.abs() <= self.tolerance * scale,
            evaluations: rule.points.len(),
            stopped: None,
        })
    }
}

/// The integral over a path of no length.
fn nothing(tokens: usize, output: f64) -> Integral {
    Integral {
        values: vec![0.0; tokens],
        errors: vec![0.0; tokens],
        ends: (output, output),
        completeness_error: 0.0,
        scale: 0.0,
        converged: true,
        evaluations: 0,
        stopped: None,
    }
}

/// Row-wise dot products: each token's share of dF/dα.
fn dot(gradient: &[f64], difference: &[f64], width: usize) -> Vec<f64> {
    crate::saliency::reduction::dot_rows(gradient, difference, width)
}

impl Method for IntegratedGradients {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::from(self.baseline.settings());
        settings.insert("tolerance", Setting::Number(self.tolerance));
        match self.quadrature {
            Quadrature::Adaptive { max_evaluations } => {
                settings.insert("rule", "adaptive".into());
                settings.insert("max-evaluations", Setting::Integer(max_evaluations as u64));
            }
            Quadrature::Fixed { rule, steps } => {
                let id = RULES.iter().find(|(_, r)| *r == rule).map_or("", |(id, _)| id);
                settings.insert("rule", id.into());
                settings.insert("steps", Setting::Integer(steps as u64));
            }
        }
        settings
    }

    fn settings_for(&self, info: &ModelInfo) -> Settings {
        let baseline = self.baseline.resolved(info);
        Self { baseline, ..self.clone() }.settings()
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let integral = self.integrate(subject)?;
        let mut attribution =
            Attribution::new(integral.values, subject.output(), integral.evaluations);
        attribution.baseline_output = Some(integral.ends.0);
        attribution.completeness_error = Some(integral.completeness_error);
        attribution.converged = Some(integral.converged);
        match integral.stopped {
            Some(Stopped::Budget) => attribution.notes.push(format!(
                "the budget of evaluations ended before the errors were within {}",
                self.tolerance
            )),
            Some(Stopped::Violent) => attribution.notes.push(
                "the output turns faster along the path than the arithmetic can resolve: another \
                 baseline may have a tamer path"
                    .to_owned(),
            ),
            None => {}
        }
        if matches!(self.quadrature, Quadrature::Adaptive { .. }) {
            attribution.token_errors = Some(integral.errors);
        }
        Ok(attribution)
    }
}

/// AllenNLP's `integrated-gradient`: ten left Riemann steps from zero, magnitudes as shares.
struct AllenNlp;

impl Method for AllenNlp {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("preset", Setting::from("allennlp"))])
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let method = IntegratedGradients {
            baseline: Baseline { kind: BaselineKind::Zero, special: None },
            quadrature: Quadrature::Fixed { rule: FixedRule::RiemannLeft, steps: 10 },
            ..IntegratedGradients::default()
        };
        let mut attribution = method.attribute(subject)?;
        attribution.notes.push(
            "scores are magnitudes as shares of their sum; the completeness error is of the \
             signed sums before that"
                .to_owned(),
        );
        shares(&mut attribution.scores);
        attribution.magnitudes = true;
        Ok(attribution)
    }
}
