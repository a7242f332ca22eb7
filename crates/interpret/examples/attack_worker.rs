//! The worker of `cargo xtask bench attacks`: this library behind the line protocol of
//! `tools/bench/attack_worker.py`.
//!
//! ```text
//! attack_worker --model DIR --threads N
//! hotflip TEXT        answered by: milliseconds, success, edits, whether it holds
//! quick TEXT          the same, with `--candidates 8 --beam 1`
//! reduce TEXT         the same, with the tokens that are left for the edits
//! greedy TEXT
//! ```
//!
//! Several texts may stand there, with tabs between them: the milliseconds are those of all, and
//! the other numbers follow for each.

use std::io::{BufRead, Write};
use std::time::Instant;

use glossator_interpret::attack::{
    Attack, Attacked, Attacker, Greedy, HotFlip, InputReduction, Rule,
};
use glossator_interpret::{Explainer, Gradient, Input, Quantity, TargetSpec, TaskOptions};
use glossator_models::{LoadOptions, Model, load};
use glossator_ops::threads;
use rayon::prelude::*;

/// As the command line tool has it.
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
    let hotflip = HotFlip { max_edits: 30, ..HotFlip::default() };
    let quick = HotFlip { candidates: 8, beam: 1, ..hotflip.clone() };
    let reduce = InputReduction { rule: Rule::AllenNlp, beam: 3, ..InputReduction::default() };
    let greedy = Greedy { max_edits: 100, ..Greedy::default() };
    // The vocabulary is made once, as the peers make their tables.
    let attackers = [
        ("hotflip", Attacker::new(model, &hotflip as &dyn Attack)),
        ("quick", Attacker::new(model, &quick)),
        ("reduce", Attacker::new(model, &reduce)),
        ("greedy", Attacker::new(model, &greedy)),
    ];
    for (_, attacker) in &attackers {
        attacker.attack_input(&Input::text("a warm film"))?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (name, texts) = line.split_once(' ').ok_or("a command without a text")?;
        let (_, attacker) =
            attackers.iter().find(|(known, _)| *known == name).ok_or("an unknown command")?;
        let inputs: Vec<Input> = texts.split('\t').map(Input::text).collect();
        let start = Instant::now();
        let attacked: Vec<Attacked> = pool.install(|| match inputs.as_slice() {
            [input] => attacker.attack_input(input).map(|attacked| vec![attacked]),
            // As the command line tool attacks the lines of a file.
            inputs => inputs
                .par_iter()
                .map(|input| threads::serial(|| attacker.attack_input(input)))
                .collect(),
        })?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        write!(out, "{milliseconds:.4}")?;
        for (input, attacked) in inputs.iter().zip(&attacked) {
            let result = attacked.results.first().ok_or("no result")?;
            let edits = match &result.kept {
                Some(kept) => kept.len(),
                None => result.texts.edits().len(),
            };
            let edited = result.texts.render().swap_remove(0);
            // A reduction of one word is the word itself.
            let success = result.success || name == "reduce";
            let same = label(model, &input.text)? == label(model, &edited)?;
            let holds = success && same == (name == "reduce");
            write!(out, " {} {edits} {}", u8::from(success), u8::from(holds))?;
        }
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

/// What anyone sees who asks the model about a text.
fn label(model: &dyn Model, text: &str) -> Result<usize> {
    let method = Gradient::default();
    let explainer = Explainer::new(model, &method);
    let options = TaskOptions::default();
    let (spec, quantity) = (TargetSpec::Predicted, Quantity::Logit);
    Ok(explainer.explain_input(&Input::text(text), &options, &spec, quantity)?.prediction.best())
}
