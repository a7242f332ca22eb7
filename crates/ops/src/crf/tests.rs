use proptest::prelude::*;

use super::*;
use crate::testing::{assert_f32, assert_gradient, constant, max_abs, random};

fn field(x: &[Tensor]) -> Result<Crf> {
    let [transitions, start, end] = [0, 1, 2].map(|i| Weight::from_tensor(x[i].clone()));
    Crf::new(transitions, start, end)
}

/// All sequences of tags with their scores.
fn enumerate(crf: &[Tensor], emissions: &[Vec<f64>]) -> Vec<(Vec<usize>, f64)> {
    let transitions = crf[0].to_vec2::<f64>().unwrap();
    let (start, end) = (crf[1].to_vec1::<f64>().unwrap(), crf[2].to_vec1::<f64>().unwrap());
    let tags = start.len();
    let mut paths: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in emissions {
        let longer = |path: &Vec<usize>| {
            let path = path.clone();
            (0..tags).map(move |tag| [&path[..], &[tag]].concat())
        };
        paths = paths.iter().flat_map(longer).collect();
    }
    let score = |path: &Vec<usize>| {
        let mut score = start[path[0]] + end[path[path.len() - 1]];
        for (t, &tag) in path.iter().enumerate() {
            score += emissions[t][tag];
            if t > 0 {
                score += transitions[path[t - 1]][tag];
            }
        }
        score
    };
    paths.into_iter().map(|path| (path.clone(), score(&path))).collect()
}

fn sum<'a>(paths: impl Iterator<Item = &'a (Vec<usize>, f64)>) -> f64 {
    paths.map(|(_, score)| score.exp()).sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn agrees_with_the_enumeration_of_all_sequences(
        batch in 1usize..3, tokens in 1usize..6, tags in 1usize..5, seed in 0u64..1000,
    ) {
        let weights = [
            random(seed, &[tags, tags]), random(seed + 1, &[tags]), random(seed + 2, &[tags]),
        ];
        let emissions = random(seed + 3, &[batch, tokens, tags]);
        let crf = Crf::new(constant(&weights[0]), constant(&weights[1]), constant(&weights[2]));
        let crf = crf.unwrap();
        let lengths: Vec<usize> = (0..batch).map(|b| 1 + (seed as usize + b) % tokens).collect();
        let gold: Vec<Vec<usize>> = (0..batch)
            .map(|b| (0..tokens).map(|t| (seed as usize + 3 * t + b) % tags).collect()).collect();
        let span: Vec<Vec<(usize, usize)>> = lengths.iter().enumerate()
            .map(|(b, &n)| (n / 2..n).map(|t| (t, gold[b][t])).collect()).collect();
        let real = lengths.clone();
        let lengths = Some(lengths.as_slice());
        let vector = |x: Result<Tensor>| x.unwrap().to_vec1::<f64>().unwrap();
        let log_partition = vector(crf.log_partition(&emissions, lengths));
        let constrained = vector(crf.constrained_log_partition(&emissions, lengths, &span));
        let likelihood = vector(crf.log_likelihood(&emissions, &gold, lengths));
        let marginals = crf.marginals(&emissions, lengths).unwrap().to_vec3::<f64>().unwrap();
        let best = crf.viterbi(&emissions, lengths).unwrap();
        for (b, &n) in real.iter().enumerate() {
            let rows = emissions.get(b).unwrap().to_vec2::<f64>().unwrap();
            let paths = enumerate(&weights, &rows[..n]);
            let all = sum(paths.iter());
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + b.abs());
            prop_assert!(near(log_partition[b], all.ln()));
            let fits = |path: &[usize]| span[b].iter().all(|&(t, tag)| path[t] == tag);
            let some = sum(paths.iter().filter(|(path, _)| fits(path)));
            prop_assert!(near(constrained[b], some.ln()));
            let gold = paths.iter().find(|(path, _)| path[..] == gold[b][..n]).unwrap();
            prop_assert!(near(likelihood[b], gold.1 - all.ln()));
            for (t, row) in marginals[b].iter().enumerate() {
                for (tag, &marginal) in row.iter().enumerate() {
                    let here = paths.iter().filter(|(path, _)| path.get(t) == Some(&tag));
                    prop_assert!((marginal - sum(here) / all).abs() < 1e-12);
                }
            }
            let top = paths.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(near(best[b].1, top));
            let found = paths.iter().find(|(path, _)| *path == best[b].0).unwrap();
            prop_assert!(near(found.1, top));
        }

        // Gradients: of the emissions alone, and with all scores.
        let values = [&weights[..], &[emissions]].concat();
        assert_gradient(&values, |x| field(x)?.log_partition(&x[3], lengths));
        assert_gradient(&values, |x| field(x)?.constrained_log_partition(&x[3], lengths, &span));
        assert_gradient(&values, |x| field(x)?.log_likelihood(&x[3], &gold, lengths));
        assert_gradient(&values[3..], |x| crf.log_likelihood(&x[0], &gold, lengths));
        assert_f32(&values, |x| field(x)?.log_partition(&x[3], lengths), 1e-6);
    }
}

#[test]
fn forbidden_transitions_have_no_part_in_anything() {
    let inf = f64::NEG_INFINITY;
    let device = Device::Cpu;
    let transitions = Tensor::new(&[[0.5, inf], [inf, 0.1]], &device).unwrap();
    let zeros = Tensor::zeros(2, DType::F64, &device).unwrap();
    let crf = Crf::new(constant(&transitions), constant(&zeros), constant(&zeros)).unwrap();
    let x = candle_core::Var::from_tensor(&random(1, &[1, 3, 2])).unwrap();
    let log_partition = crf.log_partition(&x, None).unwrap();
    let gradient = crate::gradient(&log_partition, &x).unwrap();
    let marginals = crf.marginals(&x, None).unwrap();
    assert!(max_abs(&(&gradient - &marginals).unwrap()) < 1e-15);
    // Both tags all along, or not at all.
    let rows = marginals.to_vec3::<f64>().unwrap();
    assert!(rows[0].iter().all(|row| (row[0] - rows[0][0][0]).abs() < 1e-15));
    // What cannot be has probability 0, and no gradient.
    let cannot = crf.constrained_log_partition(&x, None, &[vec![(0, 0), (1, 1)]]).unwrap();
    assert_eq!(cannot.to_vec1::<f64>().unwrap(), [inf]);
    let error = crate::gradient(&cannot, &x).unwrap_err().to_string();
    assert!(error.contains("a sequence of tags that is possible"), "{error}");
}

#[test]
fn large_scores_do_not_overflow() {
    let weights = [random(1, &[3, 3]), random(2, &[3]), random(3, &[3])];
    let crf = field(&weights).unwrap();
    let x = random(4, &[1, 4, 3]);
    let shifted = crf.log_partition(&(&x + 1e4).unwrap(), None).unwrap();
    let plain = crf.log_partition(&x, None).unwrap();
    assert!(max_abs(&((shifted - plain).unwrap() - 4e4).unwrap()) < 1e-10);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let weights = [random(1, &[3, 3]), random(2, &[3]), random(3, &[3])];
    assert!(field(&[random(1, &[3, 2]), weights[1].clone(), weights[2].clone()]).is_err());
    assert!(field(&[weights[0].clone(), random(1, &[2]), weights[2].clone()]).is_err());
    let crf = field(&weights).unwrap();
    let x = random(4, &[1, 2, 3]);
    assert!(crf.log_partition(&random(4, &[1, 2, 4]), None).is_err());
    assert!(crf.log_partition(&x, Some(&[0])).is_err());
    assert!(crf.log_partition(&x, Some(&[3])).is_err());
    assert!(crf.log_partition(&x, Some(&[1, 1])).is_err());
    assert!(crf.log_likelihood(&x, &[vec![0]], None).is_err());
    assert!(crf.log_likelihood(&x, &[vec![0, 3]], None).is_err());
    for pairs in [vec![(2, 0)], vec![(0, 3)], vec![(0, 0), (0, 1)]] {
        assert!(crf.constrained_log_partition(&x, None, &[pairs]).is_err());
    }
}
