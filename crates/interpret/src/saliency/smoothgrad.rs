//! SmoothGrad: the gradient averaged over noisy copies of the input.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::error::Result;
use crate::method::{Attribution, Method, MethodInfo, ParameterInfo, Setting, Settings};
use crate::registry::Entry;
use crate::saliency::reduction::{REDUCTION, Reduction, rounding_note, shares};
use crate::subject::Subject;

/// `(1/n) Σ M(x + ε_k)` with ε ~ N(0, σ²), M the gradient.
#[derive(Debug, Clone)]
pub struct SmoothGrad {
    /// Number of noisy copies, n.
    pub samples: usize,
    /// σ as a share of the range (maximum - minimum) of all elements of the input's embeddings.
    pub sigma: f64,
    /// Seed of the noise. Copy k draws from its own stream, whatever the number of threads.
    pub seed: u64,
    /// Whether each gradient is multiplied by its noisy input.
    pub times_input: bool,
    /// Whether squares are averaged (SmoothGrad², Hooker et al. 2019, arXiv 1806.10758).
    pub squared: bool,
    /// How the mean vector at a token becomes a number; with `times_input` or `squared`, the sum.
    pub reduction: Reduction,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self {
            samples: 50,
            sigma: 0.15,
            seed: 0,
            times_input: false,
            squared: false,
            reduction: Reduction::L2,
        }
    }
}

const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "samples",
        value: "N",
        help: "Number of noisy copies of the input",
        default: "50",
    },
    ParameterInfo {
        name: "sigma",
        value: "SHARE",
        help: "Standard deviation of the noise, as a share of the embeddings' range",
        default: "0.15",
    },
    ParameterInfo { name: "seed", value: "N", help: "Seed of the noise", default: "0" },
    ParameterInfo {
        name: "times-input",
        value: "",
        help: "Multiply each gradient by its noisy input; scores are then signed",
        default: "off",
    },
    ParameterInfo {
        name: "squared",
        value: "",
        help: "Average the squares (SmoothGrad squared)",
        default: "off",
    },
    REDUCTION,
];

static INFO: MethodInfo = MethodInfo {
    id: "smoothgrad",
    name: "SmoothGrad",
    meaning: "The gradient averaged over noisy copies of the input, which takes out how it \
              flickers from point to point.",
    caution: "Explains the neighbourhood of the input, whose size sigma sets; noisy embeddings \
              are not embeddings of any text.",
    citation: "Smilkov, Thorat, Kim, Viegas & Wattenberg 2017, arXiv:1706.03825",
    cost: "1 gradient a sample",
    parameters: PARAMETERS,
    allennlp: Some(
        "10 samples, sigma 0.01, signed sum over dimensions of the loss's gradient, magnitudes as \
         shares of their sum",
    ),
};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: &INFO,
    build: |options| {
        let default = SmoothGrad::default();
        let count = |n: &usize| (1..=1_000_000).contains(n);
        let share = |sigma: &f64| sigma.is_finite() && *sigma >= 0.0;
        Ok(Box::new(SmoothGrad {
            samples: options.get(
                "samples",
                default.samples,
                "a number from 1 to 1000000",
                count,
            )?,
            sigma: options.get("sigma", default.sigma, "a number of at least 0", share)?,
            seed: options.get("seed", default.seed, "a whole number", |_| true)?,
            times_input: options.switch("times-input")?,
            squared: options.switch("squared")?,
            reduction: Reduction::from_options(options)?,
        }))
    },
    allennlp: Some(|| Box::new(AllenNlp)),
};

/// Sums over noisy copies, each divided by their number at the end.
struct Means {
    /// Mean of the vectors, `[tokens, width]`.
    vectors: Vec<f64>,
    /// Sum over dimensions of each copy's vectors: `[samples][tokens]`.
    per_sample: Vec<Vec<f64>>,
}

impl SmoothGrad {
    /// σ in the embeddings' own unit.
    fn deviation(&self, subject: &Subject<'_>) -> f64 {
        let x = subject.embeddings();
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = x.iter().copied().fold(f64::INFINITY, f64::min);
        self.sigma * (max - min)
    }

    /// The noise of copy `k`, standard normal times the deviation.
    fn noise(&self, k: usize, deviation: f64, out: &mut [f64]) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(k as u64);
        for x in out {
            let normal: f64 = StandardNormal.sample(&mut rng);
            *x = deviation * normal;
        }
    }

    /// Attributes with noise of the caller's: `noise(k, out)` fills `[tokens, width]`.
    ///
    /// # Errors
    /// As for [`Method::attribute`].
    pub fn attribute_with_noise(
        &self,
        subject: &Subject<'_>,
        noise: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Result<Attribution> {
        let width = subject.width();
        let means = self.means(subject, noise)?;
        let signed = self.times_input || self.squared || self.reduction == Reduction::Sum;
        let reduction = if signed { Reduction::Sum } else { Reduction::L2 };
        let scores = reduction.apply(&means.vectors, width);
        let mut attribution = Attribution::new(scores, subject.output(), self.samples);
        attribution.magnitudes = self.squared || !signed;
        if signed {
            // A sum is linear in the samples, so their spread is its error; a norm is not.
            attribution.token_errors = standard_errors(&means.per_sample, &attribution.scores);
        }
        if signed && !self.times_input && !self.squared {
            let note = rounding_note(&means.vectors, &attribution.scores, width);
            attribution.notes.extend(note);
        }
        Ok(attribution)
    }

    fn means(
        &self,
        subject: &Subject<'_>,
        noise: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Result<Means> {
        let (x, width) = (subject.embeddings(), subject.width());
        let point = |k: usize, out: &mut [f64]| {
            noise(k, out);
            for (out, x) in out.iter_mut().zip(x) {
                *out += x;
            }
        };
        let mut means = Means { vectors: vec![0.0; x.len()], per_sample: Vec::new() };
        // In groups, so that the gradients of a million samples are never in memory together.
        const GROUP: usize = 64;
        for start in (0..self.samples).step_by(GROUP) {
            let n = GROUP.min(self.samples - start);
            let vectors = subject.gradients(
                n,
                |i, out| point(start + i, out),
                |i, _, gradient| {
                    let mut vectors = gradient.to_vec();
                    if self.times_input {
                        let mut input = vec![0.0; x.len()];
                        point(start + i, &mut input);
                        vectors.iter_mut().zip(&input).for_each(|(g, x)| *g *= x);
                    }
                    if self.squared {
                        vectors.iter_mut().for_each(|g| *g *= *g);
                    }
                    vectors
                },
            )?;
            for vectors in vectors {
                means.per_sample.push(Reduction::Sum.apply(&vectors, width));
                means.vectors.iter_mut().zip(&vectors).for_each(|(sum, v)| *sum += v);
            }
        }
        let n = self.samples as f64;
        means.vectors.iter_mut().for_each(|sum| *sum /= n);
        Ok(means)
    }
}

/// The standard error of each mean, `s / sqrt(n)`; none for a single sample.
fn standard_errors(samples: &[Vec<f64>], means: &[f64]) -> Option<Vec<f64>> {
    let n = samples.len() as f64;
    (samples.len() > 1).then(|| {
        let variance = |t: usize, mean: f64| {
            samples.iter().map(|sample| (sample[t] - mean).powi(2)).sum::<f64>() / (n - 1.0)
        };
        means.iter().enumerate().map(|(t, &mean)| (variance(t, mean) / n).sqrt()).collect()
    })
}

impl Method for SmoothGrad {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        let reduction =
            if self.times_input || self.squared { Reduction::Sum } else { self.reduction };
        Settings::from([
            ("samples", Setting::Integer(self.samples as u64)),
            ("sigma", Setting::Number(self.sigma)),
            ("seed", Setting::Integer(self.seed)),
            ("times-input", Setting::Bool(self.times_input)),
            ("squared", Setting::Bool(self.squared)),
            ("reduction", reduction.id().into()),
        ])
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let deviation = self.deviation(subject);
        self.attribute_with_noise(subject, |k, out| self.noise(k, deviation, out))
    }
}

/// AllenNLP's `smooth-gradient`. Its noise had no seed; ours has.
struct AllenNlp;

impl Method for AllenNlp {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("preset", Setting::from("allennlp")), ("seed", Setting::Integer(0))])
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let smooth = SmoothGrad {
            samples: 10,
            sigma: 0.01,
            reduction: Reduction::Sum,
            ..SmoothGrad::default()
        };
        let mut attribution = smooth.attribute(subject)?;
        attribution.token_errors = None;
        shares(&mut attribution.scores);
        attribution.magnitudes = true;
        Ok(attribution)
    }
}
