//! One bench an operation: forward, and forward with the input's gradient, at the sizes of a
//! small encoder (384 wide), for one sentence and for a batch. And what none of them can exceed: the
//! machine's multiply-adds in registers (`cargo bench -p glossator-ops --bench ops -- peak`).

#![expect(clippy::unwrap_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glossator_ops::attention::{AttentionSettings, Heads, attention_packed};
use glossator_ops::conv1d::Padding;
use glossator_ops::recurrent::Cell;
use glossator_ops::{
    Activation, Conv1d, Crf, CrossEntropy, Device, GatedMlp, LayerNorm, Linear, Mlp, Recurrent,
    RmsNorm, Rotary, Tensor, Var, Weight, cross_entropy, dropout, glu, gradient, max_over_tokens,
    softmax,
};
use pulp::{Arch, Simd, WithSimd};

const WIDTH: usize = 384;
const TOKENS: usize = 32;
const TAGS: usize = 17;

/// Numbers between -1 and 1 that look random enough.
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn weight(shape: &[usize]) -> Weight {
    Weight::from_f32(Arc::new(numbers(shape.iter().product())), shape).unwrap()
}

fn linear(n_in: usize, n_out: usize) -> Linear {
    Linear::new(weight(&[n_out, n_in]), Some(weight(&[n_out]))).unwrap()
}

fn operations(criterion: &mut Criterion) {
    let norm = LayerNorm::new(weight(&[WIDTH]), Some(weight(&[WIDTH])), 1e-12).unwrap();
    let rms = RmsNorm::new(weight(&[WIDTH]), 1e-6).unwrap();
    let map = linear(WIDTH, WIDTH);
    let mlp = Mlp {
        up: linear(WIDTH, 4 * WIDTH),
        activation: Activation::Gelu,
        down: linear(4 * WIDTH, WIDTH),
    };
    let gated = GatedMlp {
        gate: linear(WIDTH, 4 * WIDTH),
        up: linear(WIDTH, 4 * WIDTH),
        activation: Activation::Silu,
        down: linear(4 * WIDTH, WIDTH),
    };
    let (heads, head_width) = (12, WIDTH / 12);
    let positions: Vec<usize> = (0..TOKENS).collect();
    let rotary = Rotary::new(&positions, &Rotary::frequencies(10_000.0, head_width), 1.0);
    let settings = AttentionSettings::new(Heads::equal(heads, head_width));
    let unit = |cell: Cell| {
        let wide = cell.gates() * WIDTH;
        let shapes = [vec![wide, WIDTH], vec![wide, WIDTH], vec![wide], vec![wide]];
        let [w_ih, w_hh, b_ih, b_hh] = shapes.map(|shape| weight(&shape));
        Recurrent::new(cell, w_ih, w_hh, Some(b_ih), Some(b_hh)).unwrap()
    };
    let (rnn, gru, lstm) = (unit(Cell::Rnn), unit(Cell::Gru), unit(Cell::Lstm));
    let conv = Conv1d::new(weight(&[WIDTH, WIDTH, 3]), Some(weight(&[WIDTH]))).unwrap();
    let crf = Crf::new(weight(&[TAGS, TAGS]), weight(&[TAGS]), weight(&[TAGS])).unwrap();
    let loss = |x: &Tensor| {
        let rows = x.flatten_to(1).unwrap();
        let targets: Vec<u32> = (0..rows.dims()[0]).map(|i| (i % WIDTH) as u32).collect();
        cross_entropy(&rows, &targets, CrossEntropy::default()).unwrap()
    };
    type Operation<'a> = Box<dyn Fn(&Tensor) -> Tensor + 'a>;
    let operations: Vec<(&str, usize, Operation<'_>)> = vec![
        ("linear", WIDTH, Box::new(|x| map.forward(x).unwrap())),
        ("mlp", WIDTH, Box::new(|x| mlp.forward(x).unwrap())),
        ("gated_mlp", WIDTH, Box::new(|x| gated.forward(x).unwrap())),
        ("rotary", WIDTH, Box::new(|x| rotary.forward(x, heads, head_width).unwrap())),
        ("attention", 3 * WIDTH, Box::new(|x| attention_packed(x, &settings).unwrap())),
        ("layer_norm", WIDTH, Box::new(|x| norm.forward(x).unwrap())),
        ("rms_norm", WIDTH, Box::new(|x| rms.forward(x).unwrap())),
        ("gelu", 4 * WIDTH, Box::new(|x| Activation::Gelu.forward(x).unwrap())),
        ("softmax", TOKENS, Box::new(|x| softmax(x).unwrap())),
        ("rnn", WIDTH, Box::new(|x| rnn.forward(x, None, false, None).unwrap().0)),
        ("gru", WIDTH, Box::new(|x| gru.forward(x, None, false, None).unwrap().0)),
        ("lstm", WIDTH, Box::new(|x| lstm.forward(x, None, false, None).unwrap().0)),
        ("conv1d", WIDTH, Box::new(|x| conv.forward(x, Padding::Same).unwrap())),
        ("max_over_tokens", WIDTH, Box::new(|x| max_over_tokens(x, None).unwrap())),
        ("glu", 2 * WIDTH, Box::new(|x| glu(x).unwrap())),
        ("crf", TAGS, Box::new(|x| crf.log_partition(x, None).unwrap())),
        ("cross_entropy", WIDTH, Box::new(loss)),
        ("dropout", WIDTH, Box::new(|x| dropout(x, 0.1, 1).unwrap())),
    ];
    for (name, width, operation) in &operations {
        for batch in [1, 8] {
            let shape = (batch, TOKENS, *width);
            let x = Tensor::from_vec(numbers(batch * TOKENS * width), shape, &Device::Cpu).unwrap();
            criterion.bench_function(&format!("{name}/{batch}x{TOKENS}/forward"), |bencher| {
                bencher.iter(|| black_box(operation(&x)));
            });
            let x = Var::from_tensor(&x).unwrap();
            criterion.bench_function(&format!("{name}/{batch}x{TOKENS}/gradient"), |bencher| {
                bencher.iter(|| black_box(gradient(&operation(&x), &x).unwrap()));
            });
        }
    }
}

/// One gradient of integrated gradients with 50 points through a layer of a 2-layer BiLSTM.
fn long_short_term_memory(criterion: &mut Criterion) {
    const HIDDEN: usize = 512;
    for width in [HIDDEN, 2 * HIDDEN] {
        let wide = 4 * HIDDEN;
        let (w_ih, w_hh) = (weight(&[wide, width]), weight(&[wide, HIDDEN]));
        let bias = Some(weight(&[wide]));
        let map = Recurrent::new(Cell::Lstm, w_ih, w_hh, bias.clone(), bias).unwrap();
        let shape = (50, 30, width);
        let x = Tensor::from_vec(numbers(50 * 30 * width), shape, &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        criterion.bench_function(&format!("lstm {width} to {HIDDEN}/50x30/gradient"), |bencher| {
            bencher.iter(|| {
                let (output, _) = map.forward(&x, None, false, None).unwrap();
                black_box(gradient(&output, &x).unwrap())
            });
        });
    }
}

/// Chains of multiply-adds that do not wait for each other: more than an instruction takes steps.
const CHAINS: usize = 12;
/// Multiply-adds of a chain.
const STEPS: usize = 1 << 22;

/// Multiply-adds that read no memory.
struct Peak;

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, term) = (simd.splat_f32s(0.9999), simd.splat_f32s(1e-6));
        let mut sums = [simd.splat_f32s(0.5); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// The limit of every product, in operations a second: a multiply-add is two.
fn peak(criterion: &mut Criterion) {
    let arch = Arch::new();
    let mut group = criterion.benchmark_group("peak");
    for threads in [1, 2] {
        let operations = 2 * threads * CHAINS * STEPS * arch.dispatch(Lanes);
        group.throughput(Throughput::Elements(operations as u64));
        group.sample_size(20).bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(move || black_box(arch.dispatch(Peak)));
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, long_short_term_memory, peak);
criterion_main!(benches);
