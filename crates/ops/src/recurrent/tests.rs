use proptest::prelude::*;

use super::*;
use crate::testing::{assert_f32, assert_gradient, assert_same, constant, max_abs, random};

const CELLS: [Cell; 3] = [Cell::Rnn, Cell::Gru, Cell::Lstm];

/// `x`, `w_ih`, `w_hh`, `b_ih`, `b_hh`, `h` and for an LSTM `c`.
fn inputs(
    cell: Cell,
    batch: usize,
    tokens: usize,
    n_in: usize,
    h: usize,
    seed: u64,
) -> Vec<Tensor> {
    let wide = cell.gates() * h;
    let mut dims = vec![vec![batch, tokens, n_in], vec![wide, n_in], vec![wide, h]];
    dims.extend([vec![wide], vec![wide], vec![batch, h]]);
    if cell == Cell::Lstm {
        dims.push(vec![batch, h]);
    }
    dims.iter().zip(seed..).map(|(dims, seed)| random(seed, dims)).collect()
}

fn state(x: &[Tensor]) -> State {
    State { hidden: x[0].clone(), cell: x.get(1).cloned() }
}

fn trained(cell: Cell, x: &[Tensor]) -> Result<Recurrent> {
    let weight = |i: usize| Weight::from_tensor(x[i].clone());
    Recurrent::new(cell, weight(1), weight(2), Some(weight(3)), Some(weight(4)))
}

fn frozen(cell: Cell, x: &[Tensor]) -> Result<Recurrent> {
    let weight = |i: usize| constant(&x[i]);
    Recurrent::new(cell, weight(1), weight(2), Some(weight(3)), Some(weight(4)))
}

/// Outputs and final states in one tensor.
fn joined((output, state): (Tensor, State)) -> Result<Tensor> {
    let mut parts = vec![output.flatten_all()?, state.hidden.flatten_all()?];
    parts.extend(state.cell.map(|cell| cell.flatten_all()).transpose()?);
    Tensor::cat(&parts, 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gradients_over_random_shapes(
        batch in 1usize..4, tokens in 1usize..5, n_in in 1usize..4, h in 1usize..4,
        reverse in any::<bool>(), padded in any::<bool>(), started in any::<bool>(),
        seed in 0u64..1000,
    ) {
        // A sequence without any token keeps its state.
        let lengths: Vec<usize> =
            (0..batch).map(|b| (seed as usize + 2 * b) % (tokens + 1)).collect();
        let lengths = padded.then_some(lengths.as_slice());
        for cell in CELLS {
            let mut all = inputs(cell, batch, tokens, n_in, h, seed);
            if !started {
                all.truncate(5);
            }
            let initial = |x: &[Tensor]| started.then(|| state(&x[5..]));
            let fast = |x: &[Tensor]| {
                joined(trained(cell, x)?.forward(&x[0], lengths, reverse, initial(x).as_ref())?)
            };
            let composed = |x: &[Tensor]| {
                let hook = &mut |_, _, x| Ok(x);
                let map = trained(cell, x)?;
                joined(map.forward_observed(&x[0], lengths, reverse, initial(x).as_ref(), hook)?)
            };
            if tokens > 0 && lengths.is_none_or(|n| n.iter().any(|&n| n > 0)) {
                assert_gradient(&all, fast);
                assert_same(&all, fast, composed);
            }
            assert_f32(&all, fast, 1e-5);

            let map = frozen(cell, &all).unwrap();
            let narrow = |x: &[Tensor]| {
                let mut narrow = all.clone();
                narrow[0] = x[0].clone();
                narrow.truncate(5);
                narrow.extend_from_slice(&x[1..]);
                narrow
            };
            let frozen_fast = |x: &[Tensor]| {
                let initial = started.then(|| state(&x[1..]));
                joined(map.forward(&x[0], lengths, reverse, initial.as_ref())?)
            };
            let own = [&all[..1], &all[5..]].concat();
            if lengths.is_none_or(|n| n.iter().any(|&n| n > 0)) {
                assert_gradient(&own, frozen_fast);
                assert_same(&own, frozen_fast, |x| composed(&narrow(x)));
            }
        }
    }
}

/// Sizes that reach the kernels of several rows and panels, and threads.
#[test]
fn threads_and_kernels_change_nothing_but_rounding() {
    for cell in CELLS {
        let all = inputs(cell, 11, 6, 96, 200, 1);
        let narrow: Vec<Tensor> = all
            .iter()
            .map(|x| (x * 0.1).unwrap().to_dtype(candle_core::DType::F32).unwrap())
            .collect();
        let lengths = [6, 5, 6, 4, 6, 1, 2, 6, 6, 3, 6];
        let run = |threads: usize, x: &[Tensor], train: bool| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x: Vec<_> =
                    x.iter().map(|x| candle_core::Var::from_tensor(x).unwrap()).collect();
                let x: Vec<Tensor> = x.iter().map(|x| x.as_tensor().clone()).collect();
                let map = if train { trained(cell, &x) } else { frozen(cell, &x) }.unwrap();
                let initial = state(&x[5..]);
                let y = map.forward(&x[0], Some(&lengths), true, Some(&initial)).unwrap();
                let y = joined(y).unwrap();
                let mut grads = y.sqr().unwrap().backward().unwrap();
                let count = if train { x.len() } else { 1 };
                let mut results = vec![y];
                results.extend((0..count).map(|i| grads.remove(&x[i]).unwrap()));
                results
            })
        };
        for train in [false, true] {
            let one = run(1, &narrow, train);
            let wide: Vec<Tensor> =
                narrow.iter().map(|x| x.to_dtype(candle_core::DType::F64).unwrap()).collect();
            let exact = run(1, &wide, train);
            for ((one, three), exact) in one.iter().zip(run(3, &narrow, train)).zip(&exact) {
                assert_eq!(max_abs(&(one - three).unwrap()), 0.0);
                let one = one.to_dtype(candle_core::DType::F64).unwrap();
                let error = max_abs(&(&one - exact).unwrap()) / max_abs(exact);
                assert!(error < 1e-5, "{cell:?} {train} {error}");
            }
        }
    }
}

/// Padding changes nothing: a sequence in a batch is what it is alone.
#[test]
fn padding_does_not_exist() {
    for (cell, reverse) in CELLS.into_iter().flat_map(|cell| [(cell, false), (cell, true)]) {
        let all = inputs(cell, 3, 5, 2, 3, 9);
        let map = frozen(cell, &all).unwrap();
        let lengths = [3, 5, 1];
        // Whatever stands at padding, even if it is no number.
        let mask: Vec<f64> =
            (0..15).map(|i| if i % 5 < lengths[i / 5] { 0.0 } else { f64::NAN }).collect();
        let mask = Tensor::from_vec(mask, (3, 5, 1), all[0].device()).unwrap();
        let x = all[0].broadcast_add(&mask).unwrap();
        let (output, last) = map.forward(&x, Some(&lengths), reverse, None).unwrap();
        for (b, &length) in lengths.iter().enumerate() {
            let x = all[0].narrow(0, b, 1).unwrap().narrow(1, 0, length).unwrap();
            let (alone, end) = map.forward(&x, None, reverse, None).unwrap();
            let row = output.narrow(0, b, 1).unwrap();
            let real = row.narrow(1, 0, length).unwrap();
            assert!(max_abs(&(real - alone).unwrap()) < 1e-12);
            let last = last.hidden.narrow(0, b, 1).unwrap();
            assert!(max_abs(&(last - end.hidden).unwrap()) < 1e-12);
            if length < 5 {
                let padding = row.narrow(1, length, 5 - length).unwrap();
                assert_eq!(max_abs(&padding), 0.0);
            }
        }
    }
}

#[test]
fn a_hook_sees_and_replaces() {
    let all = inputs(Cell::Lstm, 2, 4, 3, 3, 5);
    let map = frozen(Cell::Lstm, &all).unwrap();
    let mut seen = Vec::new();
    let hook = &mut |stage, time, value: Tensor| {
        seen.push((stage, time));
        // A forget gate of 1 and an input gate of 0 keep the cell as it was.
        match stage {
            Stage::ForgetGate => value.ones_like(),
            Stage::InputGate => value.zeros_like(),
            _ => Ok(value),
        }
    };
    let initial = state(&all[5..]);
    let (_, last) = map.forward_observed(&all[0], None, true, Some(&initial), hook).unwrap();
    assert_eq!(max_abs(&(last.cell.unwrap() - &all[6]).unwrap()), 0.0);
    let gates = [Stage::InputGate, Stage::ForgetGate, Stage::Candidate, Stage::OutputGate];
    let first = [&gates[..], &[Stage::Cell, Stage::Hidden]].concat();
    let first: Vec<_> = first.into_iter().map(|stage| (stage, 3)).collect();
    assert_eq!(seen[..6], first);
    assert_eq!(seen.len(), 24);
}

#[test]
fn empty_batches_and_sequences_have_empty_outputs() {
    for cell in CELLS {
        for (batch, tokens) in [(0, 3), (2, 0)] {
            let all = inputs(cell, batch, tokens, 2, 3, 1);
            for map in [frozen(cell, &all).unwrap(), trained(cell, &all).unwrap()] {
                let (output, last) = map.forward(&all[0], None, false, None).unwrap();
                assert_eq!(
                    (output.dims(), last.hidden.dims()),
                    (&[batch, tokens, 3][..], &[batch, 3][..])
                );
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let all = inputs(Cell::Gru, 2, 3, 2, 4, 1);
    let map = frozen(Cell::Gru, &all).unwrap();
    let message = |result: Result<(Tensor, State)>| result.unwrap_err().to_string();
    let wide = random(1, &[2, 3, 5]);
    let error = message(map.forward(&wide, None, false, None));
    assert!(error.contains("recurrent: last dimension of the input"), "{error}");
    assert!(message(map.forward(&all[0], Some(&[3, 4]), false, None)).contains("at most 3"));
    assert!(map.forward(&all[0], Some(&[3]), false, None).is_err());
    let small = State { hidden: random(1, &[2, 3]), cell: None };
    assert!(map.forward(&all[0], None, false, Some(&small)).is_err());
    let celled = State { hidden: all[5].clone(), cell: Some(all[5].clone()) };
    assert!(map.forward(&all[0], None, false, Some(&celled)).is_err());
    assert!(trained(Cell::Lstm, &all).is_err());
    let weight = |i: usize| constant(&all[i]);
    let short = Some(constant(&random(1, &[3])));
    assert!(Recurrent::new(Cell::Gru, weight(1), weight(2), short, None).is_err());
    assert!(Recurrent::new(Cell::Gru, weight(2), weight(1), None, None).is_err());
}
