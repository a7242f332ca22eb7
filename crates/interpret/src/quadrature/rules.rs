//! Rules with points that are fixed beforehand.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
