//! Integration over a mesh that is refined where the integrand turns, and never forgets a point.
//!
//! Between two neighbouring points the integrand is taken as the polynomial through the eight
//! nearest points. That converges with the eighth power of the spacing, and unlike splitting panels
//! that carry a rule of their own, it uses every evaluation ever made: 2 to 3 times fewer than
//! bisected 15-point Gauss-Kronrod panels at a tolerance of 1 %, on encoders and on language models.
//!
//! F is known at each point, so on *every* interval the sum of the scores is known exactly. That
//! tells how good the polynomials are, and shows turns that fall between points.

use super::{Integral, Limits, Sample, Stopped};
use crate::error::Result;

/// Points of the polynomials, and of those whose difference to them is the error estimate.
const ORDER: usize = 8;
const LOWER: usize = 6;

/// Points of the first mesh.
pub const FIRST_POINTS: usize = 15;

/// Intervals narrower than this times their distance from 0 (or than its square, at 0) are not
/// split again: points would coincide in the model's arithmetic.
const NARROWEST: f64 = 1e-7;

/// The share of all badness that is refined in each round.
const MARKED: f64 = 0.8;

/// No interval is wider than this times its neighbour: polynomials through points of very
/// different spacing overshoot, and turns come in clusters.
const BALANCE: f64 = 2.1;

/// The rounding of F, in roundings of a gradient's elements.
const VALUE_ROUNDING: f64 = 0.1;

struct Point {
    at: f64,
    sample: Sample,
}

/// What is known of one interval between neighbouring points.
struct Interval {
    values: Vec<f64>,
    errors: Vec<f64>,
    /// |Σ values - ΔF|, as far as it is more than rounding.
    completeness: f64,
}

impl Interval {
    fn badness(&self) -> f64 {
        self.errors.iter().copied().fold(self.completeness, f64::max)
    }
}

/// The points so far, in order, between the ends.
///
/// The ends themselves are no points: a baseline of zeros is where derivatives may not exist (a
/// rectifier's, a norm's), and nothing of the integral depends on a single point.
struct Mesh {
    points: Vec<Point>,
    /// F(0) and F(1).
    ends: (f64, f64),
}

impl Mesh {
    /// Interval `i` lies behind `i` points: its ends, with F there.
    fn interval(&self, i: usize) -> [(f64, f64); 2] {
        let point = |point: &Point| (point.at, point.sample.value);
        let before = i.checked_sub(1).and_then(|i| self.points.get(i)).map(point);
        let after = self.points.get(i).map(point);
        [before.unwrap_or((0.0, self.ends.0)), after.unwrap_or((1.0, self.ends.1))]
    }

    fn width(&self, i: usize) -> f64 {
        let [(a, _), (b, _)] = self.interval(i);
        b - a
    }

    fn can_split(&self, i: usize) -> bool {
        self.width(i) > NARROWEST * self.interval(i)[0].0.max(NARROWEST)
    }

    fn intervals(&self) -> usize {
        self.points.len() + 1
    }
}

/// The first points: the roots of a Chebyshev polynomial, denser towards both ends, where
/// polynomials are one-sided.
fn first() -> Vec<f64> {
    let angle = |k: usize| std::f64::consts::PI * (k as f64 + 0.5) / FIRST_POINTS as f64;
    (0..FIRST_POINTS).map(|k| (1.0 - angle(k).cos()) / 2.0).collect()
}

/// Integrates from 0 to 1 until every element's estimated error, and the completeness errors of all
/// intervals together, are within the tolerance.
///
/// `ends` are F(0) and F(1); `evaluate(points)` gives a [`Sample`] for each point between them. The intervals with most of the error are
/// halved, all of a round in one call. Completeness errors may not cancel, and a last round that
/// changed more than was estimated before it is followed by another.
///
/// # Errors
/// If an evaluation fails.
pub fn adaptive(
    ends: (f64, f64),
    limits: Limits,
    mut evaluate: impl FnMut(&[f64]) -> Result<Vec<Sample>>,
) -> Result<Integral> {
    let mut mesh = Mesh { points: Vec::new(), ends };
    let mut wanted = first();
    let mut before: Option<Integral> = None;
    loop {
        let samples = evaluate(&wanted)?;
        let made = wanted.iter().zip(samples).map(|(&at, sample)| Point { at, sample });
        mesh.points.extend(made);
        mesh.points.sort_by(|a, b| a.at.total_cmp(&b.at));
        let intervals: Vec<Interval> =
            (0..mesh.intervals()).map(|i| interval(&mesh, i, limits.rounding)).collect();
        let mut integral = total(&mesh, &intervals);
        let allowed = limits.tolerance * integral.scale;
        if within(intervals.iter(), allowed)
            && before.as_ref().is_none_or(|before| kept(before, &integral, allowed))
        {
            integral.converged = true;
            return Ok(integral);
        }
        // Where intervals that cannot be split are too bad already and all others are good enough,
        // the rest of the budget would be spent on rounding errors.
        let all = || (0..intervals.len()).zip(&intervals);
        let narrow = all().filter(|&(i, _)| !mesh.can_split(i)).map(|(_, interval)| interval);
        let others = all().filter(|&(i, _)| mesh.can_split(i)).map(|(_, interval)| interval);
        if !within(narrow, allowed) && within(others, allowed) {
            integral.stopped = Some(Stopped::Violent);
            return Ok(integral);
        }
        wanted = refined(&mesh, &intervals);
        let affordable = limits.max_evaluations.saturating_sub(mesh.points.len());
        if wanted.is_empty() || affordable == 0 {
            let reason = if wanted.is_empty() { Stopped::Violent } else { Stopped::Budget };
            integral.stopped = Some(reason);
            return Ok(integral);
        }
        wanted.truncate(affordable);
        before = Some(integral);
    }
}

/// Whether all errors of some intervals together are allowed.
fn within<'a>(intervals: impl Iterator<Item = &'a Interval>, allowed: f64) -> bool {
    let (mut errors, mut incomplete) = (Vec::new(), 0.0);
    for interval in intervals {
        errors.resize(interval.errors.len(), 0.0);
        errors.iter_mut().zip(&interval.errors).for_each(|(sum, error)| *sum += error);
        // Completeness errors may cancel in the sum; that is luck, not convergence.
        incomplete += interval.completeness;
    }
    incomplete <= allowed && errors.iter().all(|&error| error <= allowed)
}

/// Whether a round changed no more than was estimated before it.
fn kept(before: &Integral, after: &Integral, allowed: f64) -> bool {
    let changes = before.values.iter().zip(&after.values).map(|(a, b)| (a - b).abs());
    changes.zip(&before.errors).all(|(change, &estimate)| change <= estimate + 0.1 * allowed)
}

/// The middles of the worst intervals, and of those that would be too wide beside them.
fn refined(mesh: &Mesh, intervals: &[Interval]) -> Vec<f64> {
    let width = |i: usize| mesh.width(i);
    let can_split = |i: usize| mesh.can_split(i);
    let mut order: Vec<usize> = (0..intervals.len()).filter(|&i| can_split(i)).collect();
    let badness: Vec<f64> = intervals.iter().map(Interval::badness).collect();
    order.sort_by(|&a, &b| badness[b].total_cmp(&badness[a]));
    let total: f64 = order.iter().map(|&i| badness[i]).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let mut split = vec![false; intervals.len()];
    let mut sum = 0.0;
    for &i in &order {
        if sum >= MARKED * total {
            break;
        }
        sum += badness[i];
        split[i] = true;
    }
    // The worst come first: a budget that ends here is spent where it matters.
    let mut chosen: Vec<usize> = order.into_iter().filter(|&i| split[i]).collect();
    loop {
        let size = |i: usize| if split[i] { width(i) / 2.0 } else { width(i) };
        let too_wide = |&i: &usize| {
            !split[i]
                && can_split(i)
                && [i.checked_sub(1), Some(i + 1).filter(|&j| j < intervals.len())]
                    .into_iter()
                    .flatten()
                    .any(|j| width(i) > BALANCE * size(j))
        };
        let more: Vec<usize> = (0..intervals.len()).filter(too_wide).collect();
        if more.is_empty() {
            break;
        }
        for i in more {
            split[i] = true;
            chosen.push(i);
        }
    }
    let middle = |i: usize| {
        let [(a, _), (b, _)] = mesh.interval(i);
        (a + b) / 2.0
    };
    chosen.into_iter().map(middle).collect()
}

/// The integral over interval `i`, through the `k` nearest points: the first of them, and the weight
/// of each.
fn weights(mesh: &Mesh, i: usize, k: usize) -> (usize, Vec<f64>) {
    let n = mesh.points.len();
    let k = k.min(n);
    let first = i.saturating_sub(k / 2).min(n - k);
    let [(a, _), (b, _)] = mesh.interval(i);
    let (centre, half) = ((a + b) / 2.0, (b - a) / 2.0);
    // Four Gauss points integrate polynomials up to degree seven exactly.
    const NODES: [(f64, f64); 4] = [
        (-0.861_136_311_594_052_6, 0.347_854_845_137_453_86),
        (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
        (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
        (0.861_136_311_594_052_6, 0.347_854_845_137_453_86),
    ];
    let stencil = &mesh.points[first..first + k];
    let mut weights = vec![0.0; k];
    for (node, gauss) in NODES {
        let x = centre + half * node;
        for (j, weight) in weights.iter_mut().enumerate() {
            let mut basis = gauss * half;
            for (l, other) in stencil.iter().enumerate() {
                if l != j {
                    basis *= (x - other.at) / (stencil[j].at - other.at);
                }
            }
            *weight += basis;
        }
    }
    (first, weights)
}

fn interval(mesh: &Mesh, i: usize, rounding: f64) -> Interval {
    let points = &mesh.points;
    let n = points[0].sample.derivative.len();
    let apply = |k: usize| {
        let (first, weights) = weights(mesh, i, k);
        let mut values = vec![0.0; n];
        for (point, weight) in points[first..].iter().zip(&weights) {
            for (value, derivative) in values.iter_mut().zip(&point.sample.derivative) {
                *value += weight * derivative;
            }
        }
        values
    };
    let (values, lower) = (apply(ORDER), apply(LOWER));
    let [(a, start), (b, end)] = mesh.interval(i);
    let difference = end - start;
    // The points at both ends of the interval; at an end of the path there is only one.
    let beside = || points[i.saturating_sub(1)..(i + 1).min(points.len())].iter();
    // A difference of F that is within its own rounding tells nothing: where F turns by c for each
    // unit, rounding the point moves F by a multiple of c.
    let slope = |point: &Point| point.sample.derivative.iter().map(|d| d.abs()).sum::<f64>();
    let size = start.abs() + end.abs();
    let noise = VALUE_ROUNDING * rounding * (beside().map(slope).sum::<f64>() + size);
    let raw = values.iter().sum::<f64>() - difference;
    let completeness = (raw.abs() - noise).max(0.0);
    let lower_error = (lower.iter().sum::<f64>() - difference).abs();
    let mut errors: Vec<f64> = values.iter().zip(&lower).map(|(a, b)| (a - b).abs()).collect();
    // As for panels: how much better the higher order is, is known exactly for the sum.
    let differences: f64 = errors.iter().sum();
    let informative = lower_error > 0.01 * differences;
    let improvement = if informative { completeness / lower_error } else { 1.0 };
    let factor = (10.0 * improvement).clamp(0.1, 1.0);
    for (t, error) in errors.iter_mut().enumerate() {
        let largest = beside().map(|p| p.sample.derivative[t].abs()).fold(0.0, f64::max);
        let floor = rounding * (b - a) * largest;
        *error = (*error * factor).max(floor);
    }
    // Before the first point nothing is seen: a turn may go on and on towards 0, as where the output
    // does not depend on the length of what a path of zeros scales, and elements that cancel hide
    // it. Only when what lies there could not matter is it left alone.
    if i == 0 {
        for (t, error) in errors.iter_mut().enumerate() {
            let largest = points[..2].iter().map(|p| p.sample.derivative[t].abs());
            *error = error.max((b - a) * largest.fold(0.0, f64::max));
        }
    }
    let (estimated, size): (f64, f64) = (errors.iter().sum(), values.iter().map(|v| v.abs()).sum());
    let missed = completeness;
    if missed > estimated && size > 0.0 {
        for (error, value) in errors.iter_mut().zip(&values) {
            *error = error.max(missed * value.abs() / size);
        }
    }
    Interval { values, errors, completeness }
}

fn total(mesh: &Mesh, intervals: &[Interval]) -> Integral {
    let n = mesh.points[0].sample.derivative.len();
    let sum = |f: &dyn Fn(&Interval) -> &Vec<f64>| -> Vec<f64> {
        (0..n).map(|t| intervals.iter().map(|interval| f(interval)[t]).sum()).collect()
    };
    let (values, errors) = (sum(&|i| &i.values), sum(&|i| &i.errors));
    Integral::new(values, errors, mesh.ends, mesh.points.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Limits = Limits { tolerance: 1e-9, max_evaluations: 10_000, rounding: 1e-15 };
    const USUAL: Limits = Limits { tolerance: 1e-2, max_evaluations: 3000, rounding: 3e-6 };

    /// F(α) and one vector element that carries all of dF/dα.
    fn run(limits: Limits, f: impl Fn(f64) -> f64, derivative: impl Fn(f64) -> f64) -> Integral {
        adaptive((f(0.0), f(1.0)), limits, |points| {
            let sample = |&x: &f64| Sample { value: f(x), derivative: vec![derivative(x), 0.0] };
            Ok(points.iter().map(sample).collect())
        })
        .unwrap()
    }

    #[test]
    fn smooth_functions_take_the_first_points() {
        let integral = run(USUAL, f64::exp, f64::exp);
        assert!(integral.converged);
        assert_eq!(integral.evaluations, FIRST_POINTS);
        assert!((integral.values[0] - (std::f64::consts::E - 1.0)).abs() < 1e-7);
        assert_eq!(integral.values[1], 0.0);
    }

    /// Polynomials of degree seven are exact, wherever the points are.
    #[test]
    fn weights_are_exact_to_degree_seven() {
        let places = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 0.95, 0.99];
        let sample = || Sample { value: 0.0, derivative: Vec::new() };
        let points = places.iter().map(|&at| Point { at, sample: sample() }).collect();
        let mesh = Mesh { points, ends: (0.0, 0.0) };
        for degree in 0..8 {
            for i in 0..mesh.intervals() {
                let (first, weights) = weights(&mesh, i, ORDER);
                let stencil = mesh.points[first..].iter().zip(&weights);
                let sum: f64 = stencil.map(|(p, w)| w * p.at.powi(degree)).sum();
                let power = |x: f64| x.powi(degree + 1) / f64::from(degree + 1);
                let [(a, _), (b, _)] = mesh.interval(i);
                let exact = power(b) - power(a);
                assert!((sum - exact).abs() < 1e-12, "degree {degree}, {i}: {sum} {exact}");
            }
        }
    }

    /// A turn so narrow that all points miss it: every polynomial agrees on 0, and only the
    /// interval's completeness shows that something is there.
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
        let integral = run(Limits { max_evaluations: 40, ..TIGHT }, f, derivative);
        assert!(!integral.converged);
        assert_eq!(integral.stopped, Some(Stopped::Budget));
        assert!(integral.evaluations <= 40);
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
            assert!(integral.converged);
            let error = (integral.values[0] - k.sin()).abs();
            assert!(error <= integral.errors[0] + 1e-12, "k {k}: {error} {integral:?}");
        }
    }

    /// Paths as language models have them: turns at many places and of many widths, each carried
    /// by elements that cancel in part.
    struct Turns(Vec<[f64; 5]>);

    impl Turns {
        fn new(seed: u64) -> Self {
            use rand::{Rng, SeedableRng};
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let turn = |_| {
                let width = 1e-3 * 10_f64.powf(rng.random_range(0.0..2.0));
                let (at, height) = (rng.random_range(0.1..0.6), rng.random_range(-8.0..8.0));
                [at, height, width, rng.random_range(-1.0..3.0), rng.random_range(0.0..4.0)]
            };
            Self((0..12).map(turn).collect())
        }

        fn at(&self, x: f64) -> Sample {
            let (mut value, mut derivative) = (0.0, vec![0.0; 4]);
            for &[at, height, width, split, owner] in &self.0 {
                let tanh = ((x - at) / width).tanh();
                let slope = height * (1.0 - tanh * tanh) / width;
                value += height * tanh;
                derivative[owner as usize] += split * slope;
                derivative[(owner as usize + 1) % 4] += (1.0 - split) * slope;
            }
            Sample { value, derivative }
        }

        /// What each element integrates to.
        fn truth(&self) -> Vec<f64> {
            let mut truth = vec![0.0; 4];
            for &[at, height, width, split, owner] in &self.0 {
                let change = height * (((1.0 - at) / width).tanh() - (-at / width).tanh());
                truth[owner as usize] += split * change;
                truth[(owner as usize + 1) % 4] += (1.0 - split) * change;
            }
            truth
        }
    }

    #[test]
    fn many_turns_are_resolved_within_the_tolerance() {
        let mut most = 0;
        for seed in 0..60 {
            let turns = Turns::new(seed);
            let evaluate = |points: &[f64]| Ok(points.iter().map(|&x| turns.at(x)).collect());
            let ends = (turns.at(0.0).value, turns.at(1.0).value);
            let integral = adaptive(ends, USUAL, evaluate).unwrap();
            assert!(integral.converged, "{seed}: {integral:?}");
            let errors = integral.values.iter().zip(turns.truth()).map(|(a, b)| (a - b).abs());
            let error = errors.fold(0.0, f64::max) / integral.scale;
            assert!(error < 1e-2, "{seed}: {error}");
            most = most.max(integral.evaluations);
        }
        // Bisected Gauss-Kronrod panels need 555 for the worst of them.
        assert!(most < 260, "{most}");
    }

    /// In the model's arithmetic a point is rounded, and F with it: where it turns fast, refining
    /// finds only that.
    #[test]
    fn rounding_is_not_taken_for_a_turn() {
        let (at, width) = (0.4, 2e-4);
        let rounded = |x: f64| f64::from(x as f32 * 1.000_001);
        let f = |x: f64| 10.0 * ((rounded(x) - at) / width).tanh();
        let derivative = |x: f64| {
            let tanh = ((rounded(x) - at) / width).tanh();
            10.0 * (1.0 - tanh * tanh) / width
        };
        let integral = run(USUAL, f, derivative);
        assert!(integral.converged, "{integral:?}");
        assert!(integral.evaluations < 150, "{integral:?}");
        assert!((integral.values[0] - 20.0).abs() < 0.05);
    }
}
