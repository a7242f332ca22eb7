//! Small runs on tiny models and generated data.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use glossator_models::{Stored, Task};
use glossator_train::optimizer::Optimizer;
use glossator_train::run::{About, Data, Event, Observer, Origin};
use glossator_train::schedule::Decay;
use glossator_train::settings::{Length, Settings, Warmup};
use glossator_train::{EvaluateOptions, Request};

pub(crate) fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models").join(name)
}

/// Numbers that look random (a linear congruential generator).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }

    /// A letter: a word that is in every tiny vocabulary.
    pub(crate) fn letter(&mut self) -> char {
        char::from(b'a' + self.below(26) as u8)
    }

    pub(crate) fn letters(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.letter().to_string()).collect()
    }
}

/// Settings under which a tiny model learns by heart.
pub(crate) fn by_heart(steps: u64) -> Settings {
    Settings {
        length: Length::Steps(steps),
        rate: 0.01,
        weight_decay: 0.0,
        dropout: 0.0,
        decay: Decay::Cosine,
        warmup: Warmup::Steps(10),
        batch: 32,
        optimizer: Optimizer::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        evaluate_every: Some(steps),
        ..Settings::default()
    }
}

pub(crate) fn request<'a>(
    task: Task,
    from: &'a Path,
    data: Data,
    settings: Settings,
    out: PathBuf,
) -> Request<'a> {
    Request {
        task,
        origin: Origin::Directory(from),
        problem: None,
        labels: None,
        data,
        measuring: EvaluateOptions::default(),
        settings,
        out,
        resume: false,
        log: None,
        checkpoint_steps: None,
        checkpoint_seconds: f64::INFINITY,
        stored: Stored::F32,
        about: About::default(),
    }
}

/// Stops a run after some steps.
pub(crate) struct StopAfter {
    left: AtomicU64,
}

impl StopAfter {
    pub(crate) fn steps(n: u64) -> Self {
        Self { left: AtomicU64::new(n) }
    }

    pub(crate) fn never() -> Self {
        Self::steps(u64::MAX)
    }
}

impl Observer for StopAfter {
    fn event(&self, event: &Event<'_>) {
        if let Event::Step(_) = event {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn stops(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}
