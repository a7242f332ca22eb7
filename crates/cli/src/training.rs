//! Progress of a training run on standard error.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Instant;

use glossator_train::evaluate::Watch;
use glossator_train::run::{Begin, Event, Observer, StepRecord};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::{printable, say};
use crate::{interrupt, terminal};

/// How much the newest step counts in what is shown.
const NEWEST: f64 = 0.05;

/// A line that is redrawn where a person watches, and notes.
pub(crate) struct Progress {
    quiet: bool,
    bar: ProgressBar,
    shown: Mutex<Shown>,
}

/// What the line shows.
struct Shown {
    loss: Option<f64>,
    since: Instant,
    steps: u64,
    examples: u64,
    tokens: u64,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = Shown { loss: None, since: Instant::now(), steps: 0, examples: 0, tokens: 0 };
        let watched = !quiet && std::io::stderr().is_terminal() && !terminal::is_dumb();
        let bar = if watched {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { quiet, bar, shown: Mutex::new(shown) }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| say("note", text));
        }
    }

    fn begin(&self, begin: &Begin) {
        self.bar.set_length(begin.steps);
        self.bar.set_position(begin.done);
        let (train, dev) = begin.examples;
        let (all, trained) = begin.parameters;
        let mut text = format!("{train} examples to learn from");
        if begin.items != train {
            text += &format!(" ({} items)", begin.items);
        }
        if dev > 0 {
            text += &format!(", {dev} to measure with");
        }
        text +=
            &format!("; {} steps of {} an epoch; {all} parameters", begin.steps, begin.per_epoch);
        if trained < all {
            text += &format!(", {trained} of them trained");
        }
        self.note(&text);
        if begin.truncated > 0 {
            let n = begin.truncated;
            self.note(&format!("{n} examples are cut to what the model reads (--max-tokens)"));
        }
        if begin.done > 0 {
            self.note(&format!("goes on after step {}", begin.done));
        }
    }

    fn step(&self, step: &StepRecord) {
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let loss = shown.loss.map_or(step.loss, |loss| loss + NEWEST * (step.loss - loss));
        shown.loss = Some(loss);
        shown.steps += 1;
        shown.examples += step.examples;
        shown.tokens += step.tokens;
        let seconds = shown.since.elapsed().as_secs_f64().max(1e-9);
        let left = self.bar.length().unwrap_or(step.step).saturating_sub(step.step);
        let left = left as f64 * seconds / shown.steps as f64;
        self.bar.set_message(format!(
            "epoch {:.2} · loss {loss:.4} · {:.0} examples/s · {:.0} tokens/s · {} left",
            step.epoch,
            shown.examples as f64 / seconds,
            shown.tokens as f64 / seconds,
            indicatif::HumanDuration(std::time::Duration::from_secs_f64(left.min(1e9))),
        ));
        self.bar.set_position(step.step);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Note(text) => self.note(text),
            Event::Begin(begin) => self.begin(begin),
            Event::Step(step) => self.step(step),
            Event::Evaluation { step, scores, best } => {
                let scores: Vec<_> =
                    scores.iter().map(|s| format!("{} {:.4}", s.name, s.value)).collect();
                let best = if *best { " (best)" } else { "" };
                self.note(&format!("step {step}: {}{best}", scores.join(", ")));
            }
            Event::Checkpoint { .. } => {}
        }
    }

    fn stops(&self) -> bool {
        interrupt::asked()
    }
}

/// A line that counts examples as they are measured.
pub(crate) struct Measuring(ProgressBar);

impl Measuring {
    pub(crate) fn new(quiet: bool, model: &str) -> Self {
        if quiet || !std::io::stderr().is_terminal() || terminal::is_dumb() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{spinner} {msg}: measured {human_pos} examples, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(printable(model));
        Self(bar)
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Watch for Measuring {
    fn measured(&self, examples: usize) {
        self.0.inc(examples as u64);
    }

    fn is_cancelled(&self) -> bool {
        interrupt::asked()
    }
}
