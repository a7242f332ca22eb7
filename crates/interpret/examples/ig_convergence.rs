//! What integrated gradients cost and miss on the bundled model: the tables of the documentation.
//!
//! `cargo run --release -p glossator-interpret --example ig_convergence [-- BASELINE...]`
//!
//! Sixty sentences of 5 to 40 words as reviews have them; the predicted label's logit, in f32.
//! It takes some ten minutes on two cores. Times play no part in what it prints, so the numbers are
//! the same on every machine but for the last digits.

#![expect(clippy::print_stdout, reason = "an example prints")]

use glossator_interpret::saliency::integrated_gradients::{FixedRule, Quadrature};
use glossator_interpret::{
    Attribution, Baseline, BaselineKind, IntegratedGradients, Method, Quantity, Silent, Subject,
    TargetSpec,
};
use glossator_models::{BUNDLED, Encoding, LoadOptions, Model, load_bundled};
use glossator_ops::threads;
use rayon::prelude::*;

type Error = Box<dyn std::error::Error + Send + Sync>;

const MAX_EVALUATIONS: usize = 1500;

const BASELINES: [(&str, BaselineKind); 4] = [
    ("zero", BaselineKind::Zero),
    ("pad", BaselineKind::Pad),
    ("mask", BaselineKind::Mask),
    ("mean", BaselineKind::Mean),
];

fn main() -> Result<(), Error> {
    let model = load_bundled(&BUNDLED[0], &LoadOptions::default())?;
    let encodings = SENTENCES
        .iter()
        .map(|text| model.encode(text, false))
        .collect::<Result<Vec<Encoding>, _>>()?;
    let mut lengths: Vec<f64> = encodings.iter().map(|e| e.tokens.len() as f64).collect();
    lengths.sort_by(f64::total_cmp);
    let (shortest, longest) = (lengths[0], lengths[lengths.len() - 1]);
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|other| other == name);
    let baselines: Vec<_> = BASELINES.into_iter().filter(|(name, _)| wanted(name)).collect();
    println!("{} sentences of {shortest} to {longest} tokens\n", encodings.len());

    println!(
        "| baseline | tolerance | evaluations: median | p90 | max | converged | largest true error |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, kind) in &baselines {
        // Ten times tighter than the tightest below: the truth for all of them.
        let truth = run(&*model, &encodings, &adaptive(kind, 1e-4, 20 * MAX_EVALUATIONS))?;
        for tolerance in [0.05, 0.01, 0.001] {
            let got = run(&*model, &encodings, &adaptive(kind, tolerance, MAX_EVALUATIONS))?;
            let counts = got.iter().map(|a| a.gradient_evaluations as f64);
            let [median, p90, max] = quantiles(counts.collect());
            let converged = got.iter().filter(|a| a.converged == Some(true)).count();
            let errors = got.iter().zip(&truth).filter(|(a, _)| a.converged == Some(true));
            let [_, _, error] = quantiles(errors.map(|(a, b)| distance(a, b)).collect());
            println!(
                "| {name} | {tolerance} | {median} | {p90} | {max} | {converged} of {} | {error:.1e} |",
                got.len()
            );
        }
    }

    println!("\n| baseline | rule | steps | completeness error: median | p90 | max |");
    println!("|---|---|---|---|---|---|");
    let rules = [("gauss-legendre", FixedRule::GaussLegendre), ("trapezoid", FixedRule::Trapezoid)];
    for (name, kind) in &baselines {
        for (id, rule) in rules {
            for steps in [10, 20, 50] {
                let quadrature = Quadrature::Fixed { rule, steps };
                let method = IntegratedGradients { quadrature, ..adaptive(kind, 0.01, 15) };
                let got = run(&*model, &encodings, &method)?;
                let [median, p90, max] = quantiles(got.iter().map(incompleteness).collect());
                println!(
                    "| {name} | {id} | {steps} | {} | {} | {} |",
                    percent(median),
                    percent(p90),
                    percent(max)
                );
            }
        }
    }
    Ok(())
}

fn adaptive(kind: &BaselineKind, tolerance: f64, max_evaluations: usize) -> IntegratedGradients {
    IntegratedGradients {
        baseline: Baseline { kind: kind.clone(), special: None },
        quadrature: Quadrature::Adaptive { max_evaluations },
        tolerance,
    }
}

fn run(
    model: &dyn Model,
    encodings: &[Encoding],
    method: &IntegratedGradients,
) -> Result<Vec<Attribution>, Error> {
    let explain = |encoding| {
        threads::serial(|| {
            let (target, quantity) = (TargetSpec::Predicted, Quantity::Logit);
            let subject = Subject::new(model, encoding, &target, quantity, &Silent)?;
            Ok(method.attribute(&subject)?)
        })
    };
    encodings.par_iter().map(explain).collect()
}

/// |F(x) - F(x')|
fn rise(attribution: &Attribution) -> f64 {
    (attribution.output - attribution.baseline_output.unwrap_or(0.0)).abs()
}

/// |Σ - (F(x) - F(x'))| / |F(x) - F(x')|
fn incompleteness(attribution: &Attribution) -> f64 {
    attribution.completeness_error.unwrap_or(f64::NAN).abs() / rise(attribution)
}

/// The largest error of a score, as the tolerance measures it: a share of the larger of
/// |F(x) - F(x')| and the largest |score|.
fn distance(got: &Attribution, truth: &Attribution) -> f64 {
    let scale = truth.scores.iter().map(|s| s.abs()).fold(rise(truth), f64::max);
    let differences = got.scores.iter().zip(&truth.scores).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / scale
}

/// Median, 90th percentile and maximum.
fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
    [0.5, 0.9, 1.0].map(|share| at(share).unwrap_or(f64::NAN))
}

fn percent(share: f64) -> String {
    let digits = if share < 0.01 { 3 } else { 1 };
    format!("{:.digits$} %", 100.0 * share)
}

const SENTENCES: [&str; 60] = [
    "a warm and quietly funny film",
    "i laughed more than once",
    "utterly lifeless from start to finish",
    "the best documentary of the year",
    "nobody asked for this sequel",
    "not nearly as bad as i feared",
    "a waste of two good actors",
    "it never finds its rhythm or its heart",
    "charming , odd and over far too soon",
    "the jokes land about half of the time",
    "this is what happens when a script is written by committee",
    "i wanted to like it , but the third act made that impossible",
    "a small miracle of patience , light and silence",
    "the direction is competent and the result is forgettable",
    "hardly a masterpiece , yet i could not look away",
    "for once the special effects serve the story instead of burying it",
    "everything about the ending feels borrowed from better and shorter films",
    "she gives the role a dignity that the screenplay does not deserve",
    "there is less here than meets the eye , and not much meets the eye",
    "if you have seen the trailer you have seen the only three good scenes",
    "the soundtrack is lovely , which is more than i can say for the rest",
    "a thriller without thrills , a romance without romance and a comedy without a single joke",
    "it is impossible not to be moved by the last ten minutes of this modest drama",
    "i have rarely been so bored by so many explosions in so short a time",
    "the dialogue crackles , the editing is sharp and the two leads have real chemistry together",
    "what could have been a sentimental mess turns out to be honest , restrained and often very funny",
    "the plot makes no sense , the villain is a cartoon and the hero has all the charm of a parking ticket",
    "despite a slow first half hour , the film gathers force and ends on a note of unexpected grace",
    "my children loved it , my wife fell asleep , and i spent most of it wondering about the budget",
    "one of those rare adaptations that respects the book and still manages to be a film of its own",
    "the camera work is so restless that i left the cinema with a headache and no idea what had happened",
    "neither frightening enough to be a horror film nor clever enough to be a parody of one , it just sits there",
    "a director of real talent has made , for reasons that escape me , a long commercial for a very expensive watch",
    "there are moments of beauty in it , but they are scattered over two and a half hours of people staring out of windows",
    "it may not break new ground , but it walks the old ground with so much wit and affection that i did not mind at all",
    "the first film was a pleasant surprise , the second a mild disappointment , and this third one is an insult to everybody who paid for a ticket",
    "what begins as a simple story about a boy and his dog becomes , almost without your noticing , a deeply felt film about grief and the ways in which families avoid it",
    "i cannot recommend it to anyone who dislikes subtitles , long takes , unhappy endings or goats , but for the rest of us it is one of the finest films in years",
    "the cast is wonderful , the costumes are wonderful , the locations are wonderful , and yet somehow nothing in this stately , airless production ever comes to life for a moment",
    "a clumsy and manipulative tearjerker",
    "fresh , fearless and unforgettable filmmaking",
    "two hours i will never get back",
    "good performances cannot save a bad script",
    "an unflinching portrait of a marriage falling apart",
    "more of the same , and less of it",
    "i would not call it good , but i would not call it dull either",
    "the humor is gentle and the stakes are low , and that is exactly why it works",
    "overlong , overwrought and overacted , but never less than watchable",
    "a masterclass in how not to adapt a beloved novel for the screen",
    "the kind of film that makes you want to call your mother",
    "it tries to be three films at once and fails at all of them",
    "visually stunning , emotionally empty , and about forty minutes too long for its own good",
    "the supporting players steal every scene that they are in , which says a lot about the star",
    "far from perfect , far from boring , and far better than the reviews would have you believe",
    "i went in expecting nothing and came out with a new favorite",
    "even the outtakes during the credits are not funny",
    "its heart is in the right place , even if its camera rarely is",
    "a dazzling , exhausting , occasionally infuriating piece of work that i am very glad to have seen and in no hurry to see again",
    "the writing is lazy , the pacing is glacial , and the message , which is repeated every ten minutes in case we missed it , is one that nobody over the age of six , and very few below it , could possibly disagree with",
    "a pleasant way to spend a rainy afternoon , and nothing more",
];
