//! Draws documents of every kind into a folder, to look at.
//!
//! `cargo run -p glossator-view --example gallery -- target/gallery`

#![expect(clippy::print_stdout, reason = "an example says where its files are")]

#[path = "../tests/view/sample.rs"]
mod sample;
#[path = "../tests/view/tasks.rs"]
mod tasks;

use std::path::PathBuf;

use glossator_view::By;
use glossator_view::render::terminal::Colors;
use glossator_view::render::{Renderer, csv, html, json, svg, terminal, to_string};
use glossator_view::wire::{Document, LabelScore, Prediction, Target};

/// A score between -1 and 1 that looks arbitrary but is always the same.
fn wave(n: usize) -> f64 {
    let n = n as f64;
    (n * 1.7).sin() * (n * 0.61 + 1.0).cos().powi(3)
}

fn documents() -> Vec<(&'static str, Document)> {
    let labels = || {
        let names = ["sadness", "joy", "love", "anger", "fear", "surprise", "disgust", "shame"];
        let scores = [0.07, 0.61, 0.55, 0.02, 0.004, 0.31, 0.001, 0.00001];
        names.iter().zip(scores).map(|(n, p)| LabelScore::new(*n, p, Some(p))).collect::<Vec<_>>()
    };
    let mut documents = vec![("short", sample::film())];
    let pair = [
        ("premise", "A soccer game with multiple males playing."),
        ("hypothesis", "Some men are playing a sport, or so they say."),
    ];
    let mut entailment = sample::document(&pair, |n, _| wave(n));
    let one = &mut entailment.explanations[0];
    one.target = Target::contrast("entailment", "neutral", "logit");
    let errors = one.scores.iter().map(|row| row.iter().map(|s| s.abs() / 8.0).collect());
    one.token_error_estimates = Some(errors.collect());
    one.notes.push("the estimates are standard errors of 50 samples".into());
    let mut second = one.clone();
    second.target = Target::label("entailment", "probability");
    entailment.explanations.push(second);
    documents.push(("pair", entailment));

    let sentence = "The first hour of this film is a patient, oddly funny study of two people \
                    who do not like each other, and it is only when the train stops (somewhere \
                    between Ulm and nowhere) that anything resembling a plot turns up.\n\n";
    let mut long = sample::document(&[("text", &sentence.repeat(48))], |n, _| wave(n) * 0.02);
    long.truncated = Some(211);
    documents.push(("long", long));

    let chinese =
        "这部电影很感人，但是太长了。演员的表演非常出色，尤其是女主角；可惜结局不够有力。";
    documents.push(("chinese", sample::document(&[("text", chinese)], |n, _| wave(n))));
    let arabic =
        "هذا الفيلم رائع جدا، لكنه طويل بعض الشيء. شاهدته في The Grand Cinema مع صديقي، ولم يعجبه.";
    documents.push(("arabic", sample::document(&[("text", arabic)], |n, _| wave(n))));
    documents
        .push(("one word", sample::document(&[("text", "Great")], |n, _| [0.1, 1.3][n.min(1)])));

    let mut off = sample::film();
    off.explanations[0].converged = Some(false);
    off.explanations[0].delta = Some(-0.3121);
    documents.push(("not converged", off));

    let script =
        "<script>alert('x')</script> & \u{1b}[31mred\u{1b}[0m \u{202e}txet\u{202c} \u{0} tab\there";
    documents.push((
        "script",
        sample::document(&[(script, script), ("b", "<b>bold</b>")], |n, _| wave(n)),
    ));
    documents.push(("zero", sample::document(&[("text", "Nothing matters here.")], |_, _| 0.0)));
    let feeling = "I never thought I would cry over a spreadsheet, yet here we are, again";
    documents
        .push(("unsigned", sample::labelled(&[("text", feeling)], labels(), |n, _| wave(n).abs())));
    let mut multi = sample::labelled(&[("text", feeling)], labels(), |n, _| wave(n) * 1e-7);
    if let Prediction::TextClassification(glossator_view::wire::Classification::SingleLabel(l)) =
        &multi.prediction
    {
        multi.prediction = Prediction::multi_label(l.clone());
    }
    documents.push(("multi-label, tiny scores", multi));
    let mut number =
        sample::document(&[("a", "Two dogs run."), ("b", "Dogs are running")], |n, _| {
            wave(n) * 100.0
        });
    number.prediction = Prediction::regression("similarity", 3.82);
    documents.push(("regression", number));
    let mut none = sample::film();
    none.explanations.clear();
    documents.push(("no explanation", none));
    documents.extend(tasks::all());
    documents
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: gallery FOLDER")?);
    std::fs::create_dir_all(&folder)?;
    let documents = documents();
    let all = || documents.iter().map(|(_, document)| document);
    for (by, suffix) in [(By::Word, "word"), (By::Token, "token")] {
        let mut outputs: Vec<(String, Box<dyn Renderer>)> = vec![
            (
                format!("{suffix}.html"),
                Box::new(html::Html::new(html::Options { by, ..Default::default() })),
            ),
            (format!("{suffix}.csv"), Box::new(csv::Csv::new(csv::Options { by }))),
        ];
        for width in [360, 720] {
            let options = svg::Options { by, width, ..Default::default() };
            outputs.push((format!("{suffix}-{width}.svg"), Box::new(svg::Svg::new(options))));
        }
        for width in [30, 40, 80, 120] {
            for colors in [Colors::None, Colors::Ansi256, Colors::TrueColor] {
                let options = terminal::Options { width, colors, by, unicode: width != 30 };
                let name = format!("{suffix}-{width}-{colors:?}.txt").to_lowercase();
                outputs.push((name, Box::new(terminal::Terminal::new(options))));
            }
        }
        for (name, mut renderer) in outputs {
            std::fs::write(folder.join(name), to_string(&mut *renderer, all())?)?;
        }
    }
    for (name, document) in &documents {
        let options = svg::Options { font: svg::Font::Serif, ..Default::default() };
        let image = to_string(&mut svg::Svg::new(options), [document])?;
        std::fs::write(folder.join(format!("serif {name}.svg")), image)?;
    }
    let lines = to_string(&mut json::Json::default(), all())?;
    std::fs::write(folder.join("all.jsonl"), lines)?;
    println!("{}", folder.display());
    Ok(())
}
