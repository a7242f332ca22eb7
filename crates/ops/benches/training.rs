//! A training step of a small encoder: 6 layers, 384 wide, 32 sentences of 32 tokens, forward and
//! backward with the gradients of all weights. `tools/bench/training_step.py` is the same in
//! PyTorch. A step takes and gives back half a gigabyte: without `MIMALLOC_PURGE_DELAY=-1` in the
//! environment, the allocator returns it to the system each time, and a quarter of the time goes
//! into fresh pages.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use glossator_ops::attention::{AttentionSettings, Heads, attention_packed};
use glossator_ops::linear::linear_concat;
use glossator_ops::{
    Activation, CrossEntropy, Device, LayerNorm, Linear, Mlp, Tensor, Var, Weight, backward,
    cross_entropy, dropout, embedding,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WIDTH: usize = 384;
const HIDDEN: usize = 4 * WIDTH;
const LAYERS: usize = 6;
const BATCH: usize = 32;
const TOKENS: usize = 32;
const VOCABULARY: usize = 30_522;
const DROPOUT: f64 = 0.1;

struct Layer {
    qkv: [Linear; 3],
    attention: Linear,
    attention_norm: LayerNorm,
    mlp: Mlp,
    norm: LayerNorm,
}

struct Encoder {
    words: Weight,
    positions: Weight,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Linear,
    head: Linear,
}

/// A trained weight of small numbers that look random enough.
fn weight(shape: &[usize]) -> Weight {
    let n = shape.iter().product();
    let values: Vec<f32> =
        (0..n).map(|i: usize| ((i * 7919 + 13) % 2003) as f32 / 20_030.0 - 0.05).collect();
    let var = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
    Weight::from_tensor(var.as_tensor().clone())
}

fn linear(n_in: usize, n_out: usize) -> Linear {
    Linear::new(weight(&[n_out, n_in]), Some(weight(&[n_out]))).unwrap()
}

fn norm() -> LayerNorm {
    LayerNorm::new(weight(&[WIDTH]), Some(weight(&[WIDTH])), 1e-12).unwrap()
}

impl Encoder {
    fn new() -> Self {
        let layer = |_| Layer {
            qkv: [(); 3].map(|()| linear(WIDTH, WIDTH)),
            attention: linear(WIDTH, WIDTH),
            attention_norm: norm(),
            mlp: Mlp {
                up: linear(WIDTH, HIDDEN),
                activation: Activation::Gelu,
                down: linear(HIDDEN, WIDTH),
            },
            norm: norm(),
        };
        Self {
            words: weight(&[VOCABULARY, WIDTH]),
            positions: weight(&[TOKENS, WIDTH]),
            norm: norm(),
            layers: (0..LAYERS).map(layer).collect(),
            pooler: linear(WIDTH, WIDTH),
            head: linear(WIDTH, 2),
        }
    }

    fn step(&self, ids: &[u32], targets: &[u32]) -> f32 {
        let settings = AttentionSettings::new(Heads::equal(12, WIDTH / 12));
        let places: Vec<u32> = (0..BATCH * TOKENS).map(|i| (i % TOKENS) as u32).collect();
        let words = embedding(&self.words, ids, &[BATCH, TOKENS]).unwrap();
        let positions = embedding(&self.positions, &places, &[BATCH, TOKENS]).unwrap();
        let mut x = self.norm.forward_residual(&words, &positions).unwrap();
        x = dropout(&x, DROPOUT, 1).unwrap();
        for (i, layer) in self.layers.iter().enumerate() {
            let seed = 10 * i as u64;
            let qkv = linear_concat(&x, &layer.qkv.each_ref()).unwrap();
            let context = attention_packed(&qkv, &settings).unwrap();
            let out = layer.attention.forward(&context).unwrap();
            let out = dropout(&out, DROPOUT, seed + 2).unwrap();
            x = layer.attention_norm.forward_residual(&out, &x).unwrap();
            let out = dropout(&layer.mlp.forward(&x).unwrap(), DROPOUT, seed + 3).unwrap();
            x = layer.norm.forward_residual(&out, &x).unwrap();
        }
        let first = x.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
        let pooled = self.pooler.forward(&first).unwrap();
        let pooled = Activation::Tanh.forward(&pooled).unwrap();
        let logits = self.head.forward(&pooled).unwrap();
        let loss = cross_entropy(&logits, targets, CrossEntropy::default()).unwrap();
        black_box(backward(&loss).unwrap());
        loss.to_scalar().unwrap()
    }
}

fn training(criterion: &mut Criterion) {
    // SAFETY: no other thread runs yet.
    #[expect(unsafe_code, reason = "how candle's own threads are switched off")]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
    let encoder = Encoder::new();
    let ids: Vec<u32> = (0..BATCH * TOKENS).map(|i| ((i * 7919) % VOCABULARY) as u32).collect();
    let targets: Vec<u32> = (0..BATCH).map(|i| (i % 2) as u32).collect();
    let mut group = criterion.benchmark_group("training");
    group.sample_size(10);
    group.bench_function("encoder 6x384, 32x32", |bencher| {
        bencher.iter(|| encoder.step(&ids, &targets));
    });
    group.finish();
}

criterion_group!(benches, training);
criterion_main!(benches);
