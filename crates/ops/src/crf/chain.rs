//! The recursions over one sequence, in the log domain.

/// Scores of transitions, of starting and of ending.
pub(super) struct Chain {
    tags: usize,
    /// `[from, to]`
    transitions: Vec<f64>,
    /// `[to, from]`
    into: Vec<f64>,
    start: Vec<f64>,
    end: Vec<f64>,
}

/// `ln Σ e^v`; -∞ if there is nothing to add.
fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    // Also when all are NaN, which `max` passes over: the sum then is NaN.
    if max.is_infinite() && !values.clone().any(f64::is_nan) {
        return max;
    }
    max + values.map(|value| (value - max).exp()).sum::<f64>().ln()
}

/// Subtracts the largest of some values from each, if it is a number, and returns it.
fn shift(values: &mut [f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0.0;
    }
    values.iter_mut().for_each(|value| *value -= largest);
    largest
}

impl Chain {
    /// From transitions `[from, to]`, start and end scores in a row.
    pub(super) fn new(scores: &[f64], tags: usize) -> Self {
        let (transitions, rest) = scores.split_at(tags * tags);
        let (start, end) = rest.split_at(tags);
        let into = (0..tags * tags).map(|i| transitions[i % tags * tags + i / tags]).collect();
        Self {
            tags,
            transitions: transitions.to_vec(),
            into,
            start: start.to_vec(),
            end: end.to_vec(),
        }
    }

    /// The tags that token `t` may have.
    fn at(&self, clamped: &[Option<usize>], t: usize) -> std::ops::Range<usize> {
        match clamped.get(t) {
            Some(&Some(tag)) => tag..tag + 1,
            _ => 0..self.tags,
        }
    }

    /// For each token and tag the log of the sum of `e^score` over all beginnings that end there,
    /// emission included (-∞ where the tag is not allowed), and over all whole sequences. The
    /// former are known up to a number that is the same for all tags of a token.
    ///
    /// What a token gets from the one before it is shifted so that its largest is 0. Where
    /// transitions tell nothing, it is then exactly 0 for every tag, whatever came before: a tag
    /// that is given somewhere else leaves a token's marginals as they are, to the last bit.
    pub(super) fn forward(&self, emissions: &[f64], clamped: &[Option<usize>]) -> (Vec<f64>, f64) {
        let tags = self.tags;
        let mut variables = vec![f64::NEG_INFINITY; emissions.len()];
        let mut reached = vec![f64::NEG_INFINITY; tags];
        let mut shifts = 0.0;
        for t in 0..emissions.len() / tags {
            let (before, here) = variables.split_at_mut(t * tags);
            let allowed = self.at(clamped, t);
            if t == 0 {
                reached.copy_from_slice(&self.start);
            } else {
                let from = self.at(clamped, t - 1);
                let before = &before[(t - 1) * tags..][from.clone()];
                for tag in allowed.clone() {
                    let into = &self.into[tag * tags..][from.clone()];
                    reached[tag] = log_sum(before.iter().zip(into).map(|(a, b)| a + b));
                }
                shifts += shift(&mut reached[allowed.clone()]);
            }
            for tag in allowed {
                here[tag] = reached[tag] + emissions[t * tags + tag];
            }
        }
        let last = &variables[emissions.len() - tags..];
        let total = log_sum(last.iter().zip(&self.end).map(|(a, b)| a + b));
        (variables, shifts + total)
    }

    /// Adds `factor` times the probability of each tag at each token to `marginals`, and `factor`
    /// times the expected counts of transitions, starts and ends to `counts`.
    pub(super) fn backward(
        &self,
        emissions: &[f64],
        clamped: &[Option<usize>],
        forward: &[f64],
        factor: f64,
        marginals: &mut [f64],
        mut counts: Option<&mut [f64]>,
    ) {
        let tags = self.tags;
        let tokens = emissions.len() / tags;
        // The log of the sum over all endings that follow a tag, shifted like the beginnings.
        let mut after = self.end.clone();
        let mut before = vec![f64::NEG_INFINITY; tags];
        for t in (0..tokens).rev() {
            let here = self.at(clamped, t);
            let whole = |tag: usize| forward[t * tags + tag] + after[tag];
            let all = log_sum(here.clone().map(whole));
            for tag in here.clone() {
                let expected = factor * (whole(tag) - all).exp();
                marginals[t * tags + tag] += expected;
                if let Some(counts) = counts.as_deref_mut() {
                    if t == 0 {
                        counts[tags * tags + tag] += expected;
                    }
                    if t + 1 == tokens {
                        counts[tags * (tags + 1) + tag] += expected;
                    }
                }
            }
            if t == 0 {
                break;
            }
            before.fill(f64::NEG_INFINITY);
            let origins = self.at(clamped, t - 1);
            let ending = |from: usize, tag: usize| {
                self.transitions[from * tags + tag] + emissions[t * tags + tag] + after[tag]
            };
            for from in origins.clone() {
                before[from] = log_sum(here.clone().map(|tag| ending(from, tag)));
            }
            if let Some(counts) = counts.as_deref_mut() {
                let beginning = |from: usize| forward[(t - 1) * tags + from];
                let all = log_sum(origins.clone().map(|from| beginning(from) + before[from]));
                for from in origins.clone() {
                    for tag in here.clone() {
                        let log_probability = beginning(from) + ending(from, tag) - all;
                        counts[from * tags + tag] += factor * log_probability.exp();
                    }
                }
            }
            shift(&mut before[origins]);
            std::mem::swap(&mut after, &mut before);
        }
    }

    /// The tags of the largest score, and that score.
    pub(super) fn viterbi(&self, emissions: &[f64]) -> (Vec<usize>, f64) {
        let tags = self.tags;
        let tokens = emissions.len() / tags;
        let mut best: Vec<f64> = self.start.iter().zip(emissions).map(|(a, b)| a + b).collect();
        let mut came_from = vec![0; emissions.len()];
        for t in 1..tokens {
            let mut next = Vec::with_capacity(tags);
            for tag in 0..tags {
                let into = &self.into[tag * tags..][..tags];
                let (from, score) = largest(best.iter().zip(into).map(|(a, b)| a + b));
                came_from[t * tags + tag] = from;
                next.push(score + emissions[t * tags + tag]);
            }
            best = next;
        }
        let (mut tag, score) = largest(best.iter().zip(&self.end).map(|(a, b)| a + b));
        let mut path = vec![0; tokens];
        for t in (0..tokens).rev() {
            path[t] = tag;
            tag = came_from[t * tags + tag];
        }
        (path, score)
    }
}

/// The first largest of some values, and where it is.
fn largest(values: impl Iterator<Item = f64>) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best
}
