//! One bench a method, with its default settings, on the bundled model and one sentence; and what
//! occlusion of a language model gains by reading once what stands before a token, on the model that
//! `cargo xtask bench peers` makes.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use glossator_interpret::{Explainer, METHODS, Options, Quantity, TargetSpec};
use glossator_models::{
    BUNDLED, Batch, LoadOptions, Model, ModelInfo, Output, Result, Tensor, Tokenizer, Trace, Var,
    load, load_bundled,
};

const SENTENCE: &str =
    "the plot is thin , but the cast is wonderful and the music stays with you for days";

fn methods(criterion: &mut Criterion) {
    let model = load_bundled(&BUNDLED[0], &LoadOptions::default()).unwrap();
    let encoding = model.encode(SENTENCE, false).unwrap();
    for entry in METHODS {
        let method = entry.method(&Options::new()).unwrap();
        let explainer = Explainer::new(model.as_ref(), method.as_ref());
        let explain = || explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit);
        criterion.bench_function(entry.info.id, |bencher| {
            bencher.iter(|| black_box(explain().unwrap()));
        });
    }
}

/// A model that offers no prefix: every pass is whole.
struct Whole<'a>(&'a dyn Model);

impl Model for Whole<'_> {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.0.tokenizer()
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        self.0.embed(batch)
    }

    fn forward(&self, embeddings: &Tensor, batch: &Batch, trace: &mut Trace<'_>) -> Result<Output> {
        self.0.forward(embeddings, batch, trace)
    }

    fn mean_embedding(&self) -> Result<Tensor> {
        self.0.mean_embedding()
    }

    fn sha256(&self) -> String {
        self.0.sha256()
    }

    fn parameters(&self) -> &[(String, Var)] {
        self.0.parameters()
    }

    fn first_bad_weight(&self) -> Result<Option<String>> {
        self.0.first_bad_weight()
    }
}

#[expect(clippy::print_stderr, reason = "a bench that is skipped says so")]
fn prefixes(criterion: &mut Criterion) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/models/smollm2");
    if !directory.join("model.safetensors").exists() {
        eprintln!(
            "prefix reuse: skipped; `cargo xtask bench peers --models smollm2` makes its model"
        );
        return;
    }
    let model = load(&directory, &LoadOptions::default()).unwrap();
    // 78 tokens.
    let text = [SENTENCE; 4].join(" , and ");
    let encoding = model.encode(&text, false).unwrap();
    let occlusion = METHODS.iter().find(|entry| entry.info.id == "occlusion").unwrap();
    let method = occlusion.method(&Options::new()).unwrap();
    let mut group = criterion.benchmark_group("occlusion-of-smollm2");
    group.sample_size(10).measurement_time(Duration::from_secs(60));
    let whole = Whole(model.as_ref());
    for (name, model) in [("prefix-once", model.as_ref()), ("whole-passes", &whole)] {
        let explainer = Explainer::new(model, method.as_ref());
        let explain = || explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(explain().unwrap())));
    }
    group.finish();
}

criterion_group!(benches, methods, prefixes);
criterion_main!(benches);
