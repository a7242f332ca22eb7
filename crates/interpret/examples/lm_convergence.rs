//! What integrated gradients cost and miss on a causal language model: the table of the
//! documentation.
//!
//! `cargo run --release -p glossator-interpret --example lm_convergence -- --model PATH
//!  [--baselines auto,token:<|endoftext|>,zero] [--prompts 50] [--tolerance 0.01]
//!  [--max-evaluations 1500] [--truth]`
//!
//! Fifty prompts of 5 to 30 tokens; the logit of the predicted next token, in f32. With `--truth`
//! the scores are compared with those at a tenth of the tolerance, which costs several times more.
//! On SmolLM2-135M and two cores it takes a quarter of an hour for each baseline.

#![expect(clippy::print_stdout, reason = "an example prints")]
#![expect(clippy::print_stderr, reason = "an example tells how far it is")]

use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::{
    Attribution, Baseline, IntegratedGradients, Method, Options, Quantity, Silent, Subject,
    TargetSpec,
};
use glossator_models::{Encoding, LoadOptions, Model, load};

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let path = option("--model").ok_or("--model PATH is needed")?;
    let model = load(path.as_ref(), &LoadOptions::default())?;
    let prompts: usize = option("--prompts").map_or(Ok(PROMPTS.len()), |n| n.parse())?;
    let tolerance: f64 = option("--tolerance").map_or(Ok(0.01), |x| x.parse())?;
    let max_evaluations: usize = option("--max-evaluations").map_or(Ok(1500), |n| n.parse())?;
    let truth = args.iter().any(|arg| arg == "--truth");
    let baselines = option("--baselines").unwrap_or_else(|| "auto".to_owned());
    let encodings: Vec<Encoding> = PROMPTS
        .iter()
        .take(prompts)
        .map(|text| model.encode(text, false))
        .collect::<Result<_, _>>()?;
    let lengths = || encodings.iter().map(|e| e.tokens.len());
    println!(
        "{}: {} prompts of {} to {} tokens, tolerance {tolerance}, at most {max_evaluations} \
         gradients\n",
        model.info().id,
        encodings.len(),
        lengths().min().unwrap_or(0),
        lengths().max().unwrap_or(0),
    );
    println!(
        "| baseline | converged | gradients: median, p90, max | completeness error: max | true error \
         of a token: max | Gauss-Legendre 20: completeness error, median, max | 50 |"
    );
    println!("|---|---|---|---|---|---|---|");
    for name in baselines.split(',') {
        let baseline = Baseline::from_options(&Options::new().with("baseline", name))?;
        let mut rows = Vec::new();
        for (i, encoding) in encodings.iter().enumerate() {
            let row = measure(&*model, encoding, &baseline, tolerance, max_evaluations, truth)?;
            eprintln!(
                "{name} {i}: {} tokens, {} gradients, converged {:?}, completeness error {:.3} %",
                encoding.tokens.len(),
                row.adaptive.gradient_evaluations,
                row.adaptive.converged,
                100.0 * row.incomplete,
            );
            rows.push(row);
        }
        print_row(name, &baseline, &*model, &rows);
    }
    Ok(())
}

struct Row {
    adaptive: Attribution,
    /// Of the adaptive rule, as a share of the scale that the tolerance is of.
    incomplete: f64,
    true_error: Option<f64>,
    /// |Σ - (F(x) - F(x'))| / |F(x) - F(x')| of the fixed rule with 20 and with 50 points.
    fixed: [f64; 2],
}

fn measure(
    model: &dyn Model,
    encoding: &Encoding,
    baseline: &Baseline,
    tolerance: f64,
    max_evaluations: usize,
    truth: bool,
) -> Result<Row, Error> {
    let (target, quantity) = (TargetSpec::Predicted, Quantity::Logit);
    let subject = Subject::new(model, encoding, &target, quantity, &Silent)?;
    let run = |quadrature, tolerance| {
        let baseline = baseline.clone();
        IntegratedGradients { baseline, quadrature, tolerance }.attribute(&subject)
    };
    let adaptive = run(Quadrature::Adaptive { max_evaluations }, tolerance)?;
    let rise = (adaptive.output - adaptive.baseline_output.unwrap_or(0.0)).abs();
    let scale = adaptive.scores.iter().map(|s| s.abs()).fold(rise, f64::max);
    let true_error = if truth {
        let many = Quadrature::Adaptive { max_evaluations: 20 * max_evaluations };
        let best = run(many, tolerance / 10.0)?;
        let differences = adaptive.scores.iter().zip(&best.scores).map(|(a, b)| (a - b).abs());
        Some(differences.fold(0.0, f64::max) / scale)
    } else {
        None
    };
    let fixed = |steps| -> Result<f64, Error> {
        let rule = FixedRule::GaussLegendre;
        let got = run(Quadrature::Fixed { rule, steps }, tolerance)?;
        Ok(got.completeness_error.unwrap_or(f64::NAN).abs() / rise)
    };
    let fixed = [fixed(20)?, fixed(50)?];
    let incomplete = adaptive.completeness_error.unwrap_or(f64::NAN).abs() / scale;
    Ok(Row { adaptive, incomplete, true_error, fixed })
}

fn print_row(name: &str, baseline: &Baseline, model: &dyn Model, rows: &[Row]) {
    let resolved = &baseline.resolved(model.info()).settings()[0].1;
    let shown = match resolved {
        glossator_interpret::Setting::Text(text) if text != name => format!("{name} ({text})"),
        _ => name.to_owned(),
    };
    let converged = rows.iter().filter(|row| row.adaptive.converged == Some(true)).count();
    let counts = rows.iter().map(|row| row.adaptive.gradient_evaluations as f64);
    let [median, p90, max] = quantiles(counts.collect());
    let [_, _, incomplete] = quantiles(rows.iter().map(|row| row.incomplete).collect());
    let errors: Vec<f64> = rows
        .iter()
        .filter(|row| row.adaptive.converged == Some(true))
        .filter_map(|row| row.true_error)
        .collect();
    let error = match quantiles(errors)[2] {
        error if error.is_nan() => "-".to_owned(),
        error => percent(error),
    };
    let fixed = [0, 1].map(|i| {
        let [median, _, max] = quantiles(rows.iter().map(|row| row.fixed[i]).collect());
        format!("{}, {}", percent(median), percent(max))
    });
    println!(
        "| {shown} | {converged} of {} | {median}, {p90}, {max} | {} | {error} | {} | {} |",
        rows.len(),
        percent(incomplete),
        fixed[0],
        fixed[1]
    );
}

/// Median, 90th percentile and maximum.
fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
    [0.5, 0.9, 1.0].map(|share| at(share).unwrap_or(f64::NAN))
}

fn percent(share: f64) -> String {
    match share {
        share if share < 0.001 => format!("{:.3} %", 100.0 * share),
        share if share < 0.1 => format!("{:.1} %", 100.0 * share),
        share => format!("{:.0} %", 100.0 * share),
    }
}

const PROMPTS: [&str; 50] = [
    "The capital of France is",
    "Water boils at one hundred degrees",
    "Although the film was long, the audience",
    "The nurse said that the doctor would call because",
    "She opened the window because the room was too",
    "After the rain stopped, the children ran outside to play in the",
    "The opposite of hot is",
    "Two plus three is equal to",
    "My favourite colour of all is",
    "The old grey cat sat on the",
    "In winter the days are shorter and the nights are",
    "He forgot his umbrella, so he came home completely",
    "The recipe says to bake the bread for forty minutes in a hot",
    "The largest planet in our solar system is",
    "Once upon a time there lived a king who had three",
    "The keys to the cabinet in the hallway",
    "When the bell rang, all of the students stood up and left the",
    "The train to the airport leaves every fifteen minutes from platform",
    "The scientist who discovered the new element was awarded a",
    "If you mix blue and yellow paint, you get",
    "The river flows through the old town and under a narrow stone",
    "Please remember to turn off the lights before you leave the",
    "The first president of the United States was George",
    "Every morning before breakfast my grandfather walks his dog around the",
    "The book that my sister borrowed from the library last week is about the history of",
    "Bees make honey, hens lay eggs and cows give",
    "The museum is closed on Mondays, but it is open on all other",
    "Because the bridge was damaged in the storm, the drivers had to take a different",
    "A triangle has three sides and a square has",
    "The lawyer asked the witness to describe what she had seen on the night of the",
    "Plants need sunlight, water and",
    "The new version of the software is faster, but it uses a lot more",
    "As soon as the plane landed, the passengers took out their phones and began to call their",
    "The farmer looked at the dark clouds and decided to bring in the hay before it started to",
    "In 1969 the first human being walked on the",
    "The committee has not yet decided whether the meeting will take place in the morning or in the",
    "To make a good cup of tea you should first warm the",
    "The old man told us a story about a ship that had disappeared a hundred years ago with all of its",
    "Neither the teacher nor the parents knew why the boy refused to go to",
    "The price of bread has doubled since last year, and many families in the north of the country can no longer afford to buy as much as they",
    "Three of the eggs in the basket were broken, so we had to go back to the shop and buy",
    "The play was written by William",
    "My neighbour plays the piano so loudly at night that I can not",
    "The team lost the match by one goal in the last minute, and the coach was very",
    "If the temperature falls below zero tonight, the water in the pipes will",
    "It was so quiet in the library that one could hear the pages being",
    "The letter was written in a language that none of us could",
    "The doctor told him that he should eat less sugar, sleep more and do some",
    "We took the wrong road, and by the time we noticed it we were already more than fifty miles away from the",
    "Some people believe that the moon influences the weather, but although it has been studied for a long time there is very little scientific",
];
