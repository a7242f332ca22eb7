//! One bench a method, with its default settings, on the bundled model and one sentence.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use glossator_interpret::{Explainer, METHODS, Options, Quantity, TargetSpec};
use glossator_models::{BUNDLED, LoadOptions, load_bundled};

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

criterion_group!(benches, methods);
criterion_main!(benches);
