//! The worker of `cargo xtask bench peers`: this library behind the line protocol of
//! `tools/bench/peer_worker.py`.
//!
//! ```text
//! bench_worker --model DIR --threads N
//! gradient 0 TEXT         answered by: milliseconds, then one score a token
//! ig50 0 TEXT
//! ```

use std::io::{BufRead, Write};
use std::time::Instant;

use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::{Explainer, Gradient, IntegratedGradients, Method, Quantity, TargetSpec};
use glossator_models::{LoadOptions, Model, load};

/// As the command line tool has it: an allocator that returns large blocks to the system at once
/// costs a page fault for every 4 KiB of every activation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    // SAFETY: no other thread runs yet.
    #[expect(unsafe_code, reason = "candle's own threads are turned off by a variable only")]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let directory = option("--model").ok_or("--model DIR is missing")?;
    let threads = option("--threads").ok_or("--threads N is missing")?.parse()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let model = load(directory.as_ref(), &LoadOptions::default())?;
    let model = model.as_ref();
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        // The number is the batch size, which is ours to choose.
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(_), Some(text)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("not a command: {line:?}").into());
        };
        let (milliseconds, scores) = pool.install(|| explain(model, name, text))?;
        write!(out, "{milliseconds:.4}")?;
        for score in scores {
            write!(out, " {score:.9e}")?;
        }
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

/// Milliseconds of the explanation, and its scores.
fn explain(model: &dyn Model, name: &str, text: &str) -> Result<(f64, Vec<f64>)> {
    let method: Box<dyn Method> = match name {
        "gradient" => Box::new(Gradient::default()),
        "ig50" => Box::new(IntegratedGradients {
            quadrature: Quadrature::Fixed { rule: FixedRule::GaussLegendre, steps: 50 },
            ..IntegratedGradients::default()
        }),
        other => return Err(format!("unknown command {other:?}").into()),
    };
    let encoding = model.encode(text, false)?;
    let start = Instant::now();
    let explainer = Explainer::new(model, method.as_ref());
    let mut answer = explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let explanation = answer.explanations.pop().ok_or("no explanation")?;
    Ok((milliseconds, explanation.attribution.scores))
}
