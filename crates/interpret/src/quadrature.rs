//! Integrals over [0, 1] of vector functions that are the derivative of a known scalar, piece by
//! piece: fixed rules, and adaptive Gauss-Kronrod with a check that a missed turn cannot pass.

use crate::error::Result;

/// Points and weights of a fixed rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Points in [0, 1].
    pub points: Vec<f64>,
    /// Their weights; they sum to 1.
    pub weights: Vec<f64>,
}

impl Rule {
    /// `k/n`, k from 0: includes 0, biased by half a step.
    #[must_use]
    pub fn riemann_left(n: usize) -> Self {
        Self::equal(n, |k| k as f64 / n as f64)
    }

    /// `k/n`, k from 1: includes 1, biased by half a step.
    #[must_use]
    pub fn riemann_right(n: usize) -> Self {
        Self::equal(n, |k| (k as f64 + 1.0) / n as f64)
    }

    /// `(k + 1/2)/n`.
    #[must_use]
    pub fn midpoint(n: usize) -> Self {
        Self::equal(n, |k| (k as f64 + 0.5) / n as f64)
    }

    /// `k/(n-1)`, ends with half weight. A single point is the midpoint.
    #[must_use]
    pub fn trapezoid(n: usize) -> Self {
        if n < 2 {
            return Self::midpoint(n);
        }
        let step = 1.0 / (n as f64 - 1.0);
        let weight = |k: usize| if k == 0 || k == n - 1 { step / 2.0 } else { step };
        Self {
            points: (0..n).map(|k| k as f64 * step).collect(),
            weights: (0..n).map(weight).collect(),
        }
    }

    /// The n-point Gauss-Legendre rule, exact for polynomials up to degree 2n - 1. The points are
    /// roots of the Legendre polynomial, by Newton's method from the usual first guess
    /// (Abramowitz & Stegun 1964, 25.4.29 and 22.16.6).
    #[must_use]
    pub fn gauss_legendre(n: usize) -> Self {
        let (mut points, mut weights) = (vec![0.0; n], vec![0.0; n]);
        for i in 0..n.div_ceil(2) {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            // Newton doubles the digits each time; ten rounds are far more than it needs.
            for _ in 0..10 {
                let (p, derivative) = legendre(n, x);
                slope = derivative;
                let step = p / derivative;
                x -= step;
                if step.abs() < 1e-16 {
                    slope = legendre(n, x).1;
                    break;
                }
            }
            let weight = 1.0 / ((1.0 - x * x) * slope * slope);
            points[i] = (1.0 - x) / 2.0;
            points[n - 1 - i] = (1.0 + x) / 2.0;
            weights[i] = weight;
            weights[n - 1 - i] = weight;
        }
        Self { points, weights }
    }

    fn equal(n: usize, point: impl Fn(usize) -> f64) -> Self {
        Self { points: (0..n).map(point).collect(), weights: vec![1.0 / n as f64; n] }
    }
}

/// The Legendre polynomial P_n and its derivative at x.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut now) = (1.0, x);
    if n == 0 {
        return (1.0, 0.0);
    }
    for k in 2..=n {
        let k = k as f64;
        (before, now) = (now, ((2.0 * k - 1.0) * x * now - (k - 1.0) * before) / k);
    }
    (now, n as f64 * (x * now - before) / (x * x - 1.0))
}

/// Points of the 15-point Kronrod rule on [-1, 1], from the outside in; every second one, from the
/// second on, is a point of the 7-point Gauss rule (Kronrod 1965; digits as in QUADPACK,
/// Piessens et al. 1983, and recomputed in the tests from their defining equations).
const KRONROD_POINTS: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD_WEIGHTS: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_55,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS_WEIGHTS: [f64; 4] = [
    0.129_484_966_168_869_7,
    0.279_705_391_489_276_64,
    0.381_830_050_505_118_9,
    0.417_959_183_673_469_4,
];

/// Evaluations of one panel.
pub const PANEL_POINTS: usize = 15;

/// The 15 points of a panel, ascending.
fn panel_points(a: f64, b: f64) -> impl Iterator<Item = f64> {
    let (centre, half) = ((a + b) / 2.0, (b - a) / 2.0);
    let left = KRONROD_POINTS.into_iter().map(move |x| centre - half * x);
    let right = KRONROD_POINTS.into_iter().rev().skip(1).map(move |x| centre + half * x);
    left.chain(right)
}

/// What is known at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The scalar F there.
    pub value: f64,
    /// The vector function there; its elements sum to dF/dα.
    pub derivative: Vec<f64>,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Errors allowed, as a share of the integral's scale (see [`Integral::scale`]).
    pub tolerance: f64,
    /// Evaluations allowed.
    pub max_evaluations: usize,
    /// Relative rounding error of one evaluation: an error estimate below it is not believed.
    pub rounding: f64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Integral {
    /// The integral of each element.
    pub values: Vec<f64>,
    /// Estimated absolute error of each.
    pub errors: Vec<f64>,
    /// Σ values - (F(1) - F(0)).
    pub completeness_error: f64,
    /// What errors are relative to: the larger of |F(1) - F(0)| and the largest |value|.
    pub scale: f64,
    /// Whether every error is within the tolerance.
    pub converged: bool,
    /// Evaluations spent.
    pub evaluations: usize,
    /// Why it stopped early, if it did.
    pub stopped: Option<Stopped>,
}

/// Why an integral is not converged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The next split would have cost more than the budget.
    Budget,
    /// The function turns faster than the arithmetic can resolve.
    Violent,
}

/// A part of [0, 1].
struct Panel {
    a: f64,
    b: f64,
    /// F at both ends and in the middle, where the panel would be split.
    ends: [f64; 3],
    values: Vec<f64>,
    errors: Vec<f64>,
    /// Σ values - (F(b) - F(a)): exactly zero if the panel is resolved.
    completeness: f64,
}

/// Panels narrower than this times their distance from 0 (or than its square, at 0) are not split
/// again: points would coincide in the model's arithmetic.
const NARROWEST: f64 = 1e-7;

impl Panel {
    fn new(a: f64, b: f64, ends: (f64, f64), samples: &[Sample], rounding: f64) -> Self {
        let half = (b - a) / 2.0;
        let n = samples.first().map_or(0, |sample| sample.derivative.len());
        let (mut values, mut errors, mut floors) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut gauss_sum = 0.0;
        for t in 0..n {
            let at = |i: usize| samples[i].derivative[t];
            let (mut kronrod, mut gauss, mut absolute) = (0.0, 0.0, 0.0);
            for i in 0..PANEL_POINTS {
                let fold = i.min(PANEL_POINTS - 1 - i);
                kronrod += KRONROD_WEIGHTS[fold] * at(i);
                absolute += KRONROD_WEIGHTS[fold] * at(i).abs();
                if fold % 2 == 1 {
                    gauss += GAUSS_WEIGHTS[fold / 2] * at(i);
                }
            }
            values[t] = kronrod * half;
            errors[t] = (kronrod - gauss).abs() * half;
            floors[t] = rounding * absolute * half;
            gauss_sum += gauss * half;
        }
        let difference = ends.1 - ends.0;
        let completeness = values.iter().sum::<f64>() - difference;
        // The difference of the two rules is the error of the worse one. How much smaller the
        // better one's is, is known exactly for the sum over elements; ten times that is taken
        // for each element, and never less than a tenth of the difference, lest the sum's error
        // has cancelled. (QUADPACK's power law of the difference is for tolerances of many
        // digits: at half a percent it already gives up, which measured three times the cost.)
        // Where elements cancel so well that the sum shows nothing of their differences, nothing
        // is known.
        let (gauss_error, differences) =
            ((gauss_sum - difference).abs(), errors.iter().sum::<f64>());
        let informative = gauss_error > 0.01 * differences;
        let improvement = if informative { completeness.abs() / gauss_error } else { 1.0 };
        let factor = (10.0 * improvement).clamp(0.1, 1.0);
        for (error, floor) in errors.iter_mut().zip(&floors) {
            *error = (*error * factor).max(*floor);
        }
        // Where the sum is off by more than the estimates admit, the points have missed
        // something: no estimate is believed beyond that.
        let (total_error, total): (f64, f64) =
            (errors.iter().sum(), values.iter().map(|v| v.abs()).sum());
        let missed = completeness.abs();
        if missed > total_error && total > 0.0 {
            for (error, value) in errors.iter_mut().zip(&values) {
                *error = error.max(missed * value.abs() / total);
            }
        }
        let ends = [ends.0, samples.get(PANEL_POINTS / 2).map_or(0.0, |s| s.value), ends.1];
        Self { a, b, ends, values, errors, completeness }
    }

    /// What decides which panel is split first.
    fn badness(&self) -> f64 {
        self.errors.iter().copied().fold(self.completeness.abs(), f64::max)
    }

    fn can_split(&self) -> bool {
        let width = self.b - self.a;
        width > NARROWEST * self.a.max(NARROWEST)
    }
}

/// Integrates from 0 to 1 until every element's estimated error and the completeness errors of all
/// panels together are within the tolerance.
///
/// `evaluate(points)` gives a [`Sample`] for each point. Panels are split where the error is
/// largest first; as the vector's elements sum to dF/dα, each panel's sum must equal the
/// difference of F at its ends, which costs nothing to check (a panel is split at one of its own
/// points) and catches turns between the points, which error estimates miss.
///
/// # Errors
/// If an evaluation fails.
pub fn adaptive(
    ends: (f64, f64),
    limits: Limits,
    mut evaluate: impl FnMut(&[f64]) -> Result<Vec<Sample>>,
) -> Result<Integral> {
    let mut evaluations = 0;
    let mut make = |parts: &[(f64, f64, (f64, f64))]| -> Result<Vec<Panel>> {
        let points: Vec<f64> = parts.iter().flat_map(|&(a, b, _)| panel_points(a, b)).collect();
        let samples = evaluate(&points)?;
        evaluations += points.len();
        let panels = parts.iter().zip(samples.chunks(PANEL_POINTS));
        Ok(panels
            .map(|(&(a, b, ends), samples)| Panel::new(a, b, ends, samples, limits.rounding))
            .collect())
    };
    let mut panels = make(&[(0.0, 1.0, ends)])?;
    let mut spent = PANEL_POINTS;
    loop {
        let mut integral = total(&panels, ends);
        integral.evaluations = spent;
        let allowed = limits.tolerance * integral.scale;
        if within(panels.iter(), allowed) {
            integral.converged = true;
            return Ok(integral);
        }
        panels.sort_by(|x, y| y.badness().total_cmp(&x.badness()));
        let worst = panels.iter().filter(|p| p.can_split()).map(Panel::badness).next();
        // Where panels that cannot be split are too bad already and all others are good enough,
        // the rest of the budget would be spent on rounding errors.
        let stuck = !within(panels.iter().filter(|p| !p.can_split()), allowed)
            && within(panels.iter().filter(|p| p.can_split()), allowed);
        let Some(worst) = worst.filter(|&w| w > 0.0 && !stuck) else {
            integral.stopped = Some(Stopped::Violent);
            return Ok(integral);
        };
        // The worst panel, and with it those that are nearly as bad: one batch.
        let affordable = limits.max_evaluations.saturating_sub(spent) / (2 * PANEL_POINTS);
        let chosen: Vec<usize> = (0..panels.len())
            .filter(|&i| panels[i].can_split() && panels[i].badness() >= 0.5 * worst)
            .take(affordable)
            .collect();
        if chosen.is_empty() {
            integral.stopped = Some(Stopped::Budget);
            return Ok(integral);
        }
        let mut parts = Vec::with_capacity(2 * chosen.len());
        for &i in chosen.iter().rev() {
            let Panel { a, b, ends: [fa, fm, fb], .. } = panels.swap_remove(i);
            let middle = (a + b) / 2.0;
            parts.push((a, middle, (fa, fm)));
            parts.push((middle, b, (fm, fb)));
        }
        spent += PANEL_POINTS * parts.len();
        panels.extend(make(&parts)?);
    }
}

/// Whether the panels' errors together, of each element and of completeness, are at most `allowed`.
fn within<'a>(panels: impl Iterator<Item = &'a Panel>, allowed: f64) -> bool {
    let (mut errors, mut incomplete) = (Vec::new(), 0.0);
    for panel in panels {
        errors.resize(panel.errors.len(), 0.0);
        errors.iter_mut().zip(&panel.errors).for_each(|(sum, error)| *sum += error);
        // Completeness errors may cancel in the sum; that is luck, not convergence.
        incomplete += panel.completeness.abs();
    }
    incomplete <= allowed && errors.iter().all(|&error| error <= allowed)
}

fn total(panels: &[Panel], ends: (f64, f64)) -> Integral {
    let n = panels.first().map_or(0, |panel| panel.values.len());
    let sum = |f: &dyn Fn(&Panel) -> &Vec<f64>| -> Vec<f64> {
        (0..n).map(|t| panels.iter().map(|panel| f(panel)[t]).sum()).collect()
    };
    let (values, errors) = (sum(&|p| &p.values), sum(&|p| &p.errors));
    let difference = ends.1 - ends.0;
    Integral {
        completeness_error: values.iter().sum::<f64>() - difference,
        scale: values.iter().map(|v| v.abs()).fold(difference.abs(), f64::max),
        values,
        errors,
        converged: false,
        evaluations: 0,
        stopped: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Limits = Limits { tolerance: 1e-9, max_evaluations: 10_000, rounding: 1e-15 };

    /// The i-th Kronrod rule must integrate polynomials up to degree 22 exactly, the Gauss rule up
    /// to 13: that pins every digit.
    #[test]
    fn constants_are_the_kronrod_and_gauss_rules() {
        for degree in (0..=22).step_by(2) {
            let exact = 2.0 / (degree as f64 + 1.0);
            let fold = |i: usize| i.min(PANEL_POINTS - 1 - i);
            let term = |i: usize| KRONROD_POINTS[fold(i)].powi(degree);
            let kronrod: f64 = (0..PANEL_POINTS).map(|i| KRONROD_WEIGHTS[fold(i)] * term(i)).sum();
            assert!((kronrod - exact).abs() < 1e-15, "{degree}: {kronrod} {exact}");
            if degree <= 12 {
                let gauss: f64 = (1..PANEL_POINTS)
                    .step_by(2)
                    .map(|i| GAUSS_WEIGHTS[fold(i) / 2] * term(i))
                    .sum();
                assert!((gauss - exact).abs() < 1e-15, "{degree}: {gauss} {exact}");
            }
        }
        let points: Vec<f64> = panel_points(0.0, 1.0).collect();
        assert_eq!(points.len(), PANEL_POINTS);
        assert!(points.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Invariant 6: Gauss-Legendre is exact up to degree 2n - 1, and not beyond.
    #[test]
    fn gauss_legendre_is_exact_to_its_degree() {
        for n in 1..=40 {
            let rule = Rule::gauss_legendre(n);
            for degree in [0, 1, n, 2 * n - 1] {
                let sum: f64 = rule
                    .points
                    .iter()
                    .zip(&rule.weights)
                    .map(|(x, w)| w * x.powi(degree as i32))
                    .sum();
                let exact = 1.0 / (degree as f64 + 1.0);
                assert!((sum - exact).abs() < 1e-14, "n {n} degree {degree}: {sum} {exact}");
            }
        }
        let rule = Rule::gauss_legendre(2);
        let beyond: f64 = rule.points.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(4)).sum();
        assert!((beyond - 0.2).abs() > 1e-3);
    }

    #[test]
    fn weights_of_every_rule_sum_to_one() {
        for n in [1, 2, 7, 50, 1000] {
            let rules = [
                Rule::riemann_left(n),
                Rule::riemann_right(n),
                Rule::midpoint(n),
                Rule::trapezoid(n),
                Rule::gauss_legendre(n),
            ];
            for rule in rules {
                assert_eq!(rule.points.len(), n);
                assert!((rule.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                assert!(rule.points.iter().all(|x| (0.0..=1.0).contains(x)));
            }
        }
    }

    /// F(α) and one vector element that carries all of dF/dα.
    fn run(limits: Limits, f: impl Fn(f64) -> f64, derivative: impl Fn(f64) -> f64) -> Integral {
        adaptive((f(0.0), f(1.0)), limits, |points| {
            Ok(points
                .iter()
                .map(|&x| Sample { value: f(x), derivative: vec![derivative(x), 0.0] })
                .collect())
        })
        .unwrap()
    }

    #[test]
    fn smooth_functions_take_one_panel() {
        let integral = run(TIGHT, f64::exp, f64::exp);
        assert!(integral.converged);
        assert_eq!(integral.evaluations, PANEL_POINTS);
        assert!((integral.values[0] - (std::f64::consts::E - 1.0)).abs() < 1e-14);
        assert_eq!(integral.values[1], 0.0);
    }

    /// A turn so narrow that all 15 points miss it: the rules agree on 0, and only the panel's
    /// completeness shows that something is there.
    #[test]
    fn a_turn_between_the_points_is_found() {
        let (at, width) = (0.137, 1e-5);
        let f = |x: f64| ((x - at) / width).tanh();
        let derivative = |x: f64| (1.0 - f(x).powi(2)) / width;
        let integral = run(TIGHT, f, derivative);
        assert!(integral.converged, "{integral:?}");
        assert!((integral.values[0] - 2.0).abs() < 1e-8, "{integral:?}");
    }

    #[test]
    fn a_budget_that_ends_early_is_said() {
        let f = |x: f64| ((x - 0.137) / 1e-5).tanh();
        let derivative = |x: f64| (1.0 - f(x).powi(2)) / 1e-5;
        let integral = run(Limits { max_evaluations: 100, ..TIGHT }, f, derivative);
        assert!(!integral.converged);
        assert_eq!(integral.stopped, Some(Stopped::Budget));
        assert!(integral.evaluations <= 100);
        assert!(integral.completeness_error.abs() > 0.1);
    }

    #[test]
    fn a_jump_is_too_violent() {
        let f = |x: f64| if x < 0.3 { 0.0 } else { 1.0 };
        let integral = run(Limits { max_evaluations: 100_000, ..TIGHT }, f, |_| 0.0);
        assert!(!integral.converged);
        assert_eq!(integral.stopped, Some(Stopped::Violent));
    }

    /// The estimates must hold: true errors are below them on functions of many shapes.
    #[test]
    fn estimates_bound_the_errors() {
        for k in 1..60 {
            let k = f64::from(k);
            let limits = Limits { tolerance: 1e-4, max_evaluations: 3000, rounding: 1e-15 };
            let integral = run(limits, |x| (k * x).sin(), |x| k * (k * x).cos());
            let truth = k.sin();
            assert!(integral.converged);
            let error = (integral.values[0] - truth).abs();
            assert!(error <= integral.errors[0] + 1e-12, "k {k}: {error} {integral:?}");
        }
    }
}
