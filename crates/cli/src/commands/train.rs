//! `glossator train`

use std::path::{Path, PathBuf};

use glossator_models::classic::{ARCHITECTURES, Architecture};
use glossator_models::{Problem, Stored, Task};
use glossator_train::evaluate::EvaluateOptions;
use glossator_train::optimizer::{Clip, Optimizer};
use glossator_train::run::{About, Data, Finished, History, NewModel, Origin};
use glossator_train::settings::{Length, Settings};
use glossator_train::{Request, train};
use glossator_view::evaluation::Evaluation;
use glossator_view::render::curves::{self, Curves, Panel, Series};

use super::eval;
use crate::args::train::{OptimizerArg, ProblemArg, StoredArg, TrainArgs};
use crate::exit::{CliError, Exit, Stop, say};
use crate::model::Source;
use crate::output::Output;
use crate::training::Progress;
use crate::{interrupt, memory};

pub(crate) fn run(args: &TrainArgs) -> Result<Exit, Stop> {
    let task = task(&args.task)?;
    eval::check_flags(&args.data, &given(args), task)?;
    let data = Data {
        train: args.data.data.clone(),
        dev: args.dev.dev.clone(),
        options: args.data.options()?,
    };
    let settings = settings(args)?;
    let limits = eval::limits(args.model.max_tokens, args.model.stride, args.model.block);
    let measuring = EvaluateOptions { limits, ..eval::scoring(&args.dev.scoring)? };
    if let Some(n) = args.run.threads {
        // Fails only if the pool exists already, which nothing has made yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(n.into()).build_global();
    }
    let found;
    let origin = match new_model(args, task)? {
        Some(new) => Origin::New(Box::new(new)),
        None => {
            found = directory(args)?;
            Origin::Directory(&found)
        }
    };
    let seconds = args.run.checkpoint_minutes * 60.0;
    if !(seconds.is_finite() && seconds >= 0.0) {
        let message = format!(
            "--checkpoint-minutes: expected a number from 0 on, got {}",
            args.run.checkpoint_minutes
        );
        return Err(CliError::input(message, "0 makes one after each step").into());
    }
    let request = Request {
        task,
        origin,
        problem: args.model.problem.map(|problem| match problem {
            ProblemArg::SingleLabel => Problem::SingleLabel,
            ProblemArg::MultiLabel => Problem::MultiLabel,
            ProblemArg::Regression => Problem::Regression,
        }),
        labels: args.model.labels.clone(),
        data,
        measuring,
        settings,
        out: args.run.out.clone(),
        resume: args.run.resume,
        log: args.run.log.clone(),
        checkpoint_steps: args.run.checkpoint_every,
        checkpoint_seconds: seconds,
        stored: match args.model.dtype {
            StoredArg::F32 => Stored::F32,
            StoredArg::F16 => Stored::F16,
        },
        about: About {
            title: args.card.title.clone(),
            description: args.card.description.clone(),
            license: args.card.license.clone(),
            data_license: args.card.data_license.clone(),
            language: args.card.language.clone(),
        },
    };
    interrupt::ask();
    memory::keep();
    let progress = Progress::new(args.run.quiet);
    let result = train(&request, &progress);
    progress.finish();
    let finished = match result {
        Err(glossator_train::Error::Interrupted { step }) => {
            let hint = format!("step {step} is in a checkpoint; the same command goes on from it");
            return Err(eval::interrupted(&hint).into());
        }
        other => other?,
    };
    draw(&finished, &args.run.out)?;
    if !args.run.quiet {
        report(&finished, args)?;
    }
    Ok(Exit::Success)
}

/// The architecture that `--from` names, with its settings; none if it names a model.
fn new_model(args: &TrainArgs, task: Task) -> Result<Option<NewModel>, CliError> {
    let (from, new) = (&args.model.from, &args.new);
    let named = from.to_str().and_then(|id| ARCHITECTURES.iter().find(|known| known.id == id));
    let Some(architecture) = named.filter(|_| !from.exists()) else {
        let given = [
            (!new.set.is_empty(), "--set"),
            (new.unit.is_some(), "--unit"),
            (new.vocabulary.is_some(), "--vocabulary"),
            (new.min_count.is_some(), "--min-count"),
            (new.lowercase, "--lowercase"),
            (new.marks.is_some(), "--marks"),
            (new.vectors.is_some(), "--vectors"),
        ];
        if from.as_os_str() == "list" && !from.exists() {
            let of_task = |known: &&Architecture| known.tasks.contains(&task);
            let ids: Vec<_> = ARCHITECTURES.iter().filter(of_task).map(|known| known.id).collect();
            let message =
                format!("--from list: architectures for {} are {}", task.id(), ids.join(", "));
            return Err(CliError::input(message, "give one of them, or the directory of a model"));
        }
        return match given.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(CliError::input(
                format!("{flag} is for models that begin from nothing; --from names a model"),
                format!("leave out {flag}, or give an architecture: --from list"),
            )),
            None => Ok(None),
        };
    };
    let mut overrides = serde_json::Value::Null;
    for setting in &new.set {
        let Some((path, value)) = setting.split_once('=') else {
            let message = format!("--set: expected KEY=VALUE, got {setting:?}");
            return Err(CliError::input(message, "for example --set encoder.0.size=64"));
        };
        // What is not JSON is text: --set pooling.kind=mean.
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let mut at = &mut overrides;
        for key in path.split('.') {
            if !at.is_object() {
                *at = serde_json::Value::Object(serde_json::Map::new());
            }
            at = &mut at[key];
        }
        *at = value;
    }
    let usual = NewModel::new(architecture);
    let count = |given: Option<u32>, usual: usize| given.map_or(usual, |n| n as usize);
    Ok(Some(NewModel {
        overrides,
        unit: new.unit.unwrap_or(usual.unit),
        vocabulary: count(new.vocabulary, usual.vocabulary),
        min_count: count(new.min_count, usual.min_count),
        lowercase: new.lowercase,
        marks: new.marks,
        vectors: new.vectors.clone(),
        ..usual
    }))
}

/// The directory of the model that `--from` names.
fn directory(args: &TrainArgs) -> Result<PathBuf, CliError> {
    let from = &args.model.from;
    match Source::find(Some(from), args.model.download.asked())? {
        Source::Path(path) => Ok(path.into_owned()),
        Source::Bundled(_) => Err(CliError::input(
            format!("--from {}: a bundled model has no files to begin from", from.display()),
            "give the directory of the model, such as models/sentiment-en in a checkout",
        )),
    }
}

fn task(name: &str) -> Result<Task, CliError> {
    let trained = Task::ALL.into_iter().filter(|task| *task != Task::SentenceSimilarity);
    let known: Vec<_> = trained.map(Task::id).collect();
    let found = Task::ALL.into_iter().find(|task| task.id() == name);
    found.ok_or_else(|| {
        let message = format!("unknown task {name:?}");
        CliError::input(message, format!("tasks are {}", known.join(", ")))
    })
}

/// The flags that were given and are for some tasks only.
fn given(args: &TrainArgs) -> Vec<(&'static str, &'static [&'static str])> {
    const LABELLED: &[&str] = &["text-classification", "token-classification"];
    let (model, dev) = (&args.model, &args.dev);
    let all: [(bool, &'static str, &'static [&'static str]); 8] = [
        (dev.scoring.tag_scheme.is_some(), "--tag-scheme", &["token-classification"]),
        (dev.scoring.max_answer.is_some(), "--max-answer", &["question-answering"]),
        (model.stride.is_some(), "--stride", &["question-answering"]),
        (model.block.is_some(), "--block", &["causal-lm"]),
        (model.mask_rate.is_some(), "--mask-rate", &["masked-lm"]),
        (model.labels.is_some(), "--labels", LABELLED),
        (model.problem.is_some(), "--problem", &["text-classification"]),
        (args.learning.class_weights.is_some(), "--class-weights", LABELLED),
    ];
    all.into_iter().filter(|(given, ..)| *given).map(|(_, flag, tasks)| (flag, tasks)).collect()
}

fn settings(args: &TrainArgs) -> Result<Settings, CliError> {
    let (learning, model, dev) = (&args.learning, &args.model, &args.dev);
    let usual = Settings::default();
    let (adam, descent) =
        (learning.optimizer == OptimizerArg::Adamw, learning.optimizer == OptimizerArg::Sgd);
    for (given, flag, fits, of) in [
        (learning.momentum.is_some(), "--momentum", !adam, "sgd and rmsprop"),
        (learning.beta1.is_some(), "--beta1", adam, "adamw"),
        (learning.beta2.is_some(), "--beta2", adam, "adamw"),
        (learning.alpha.is_some(), "--alpha", !adam && !descent, "rmsprop"),
        (learning.epsilon.is_some(), "--epsilon", !descent, "adamw and rmsprop"),
    ] {
        if given && !fits {
            let message = format!("{flag} is for the optimiser {of}");
            return Err(CliError::input(message, format!("leave out {flag}")));
        }
    }
    let epsilon = learning.epsilon.unwrap_or(1e-8);
    let (optimizer, rate, decay) = match learning.optimizer {
        OptimizerArg::Adamw => {
            let beta1 = learning.beta1.unwrap_or(0.9);
            let beta2 = learning.beta2.unwrap_or(0.999);
            (Optimizer::AdamW { beta1, beta2, epsilon }, 5e-5, 0.01)
        }
        OptimizerArg::Sgd => {
            (Optimizer::Sgd { momentum: learning.momentum.unwrap_or(0.9) }, 0.1, 0.0)
        }
        OptimizerArg::Rmsprop => {
            let alpha = learning.alpha.unwrap_or(0.99);
            let momentum = learning.momentum.unwrap_or(0.0);
            (Optimizer::RmsProp { alpha, epsilon, momentum }, 1e-3, 0.0)
        }
    };
    let settings = Settings {
        length: learning.steps.map_or(Length::Epochs(learning.epochs), Length::Steps),
        batch: learning.batch as usize,
        accumulate: learning.accumulate as usize,
        optimizer,
        rate: learning.learning_rate.unwrap_or(rate),
        weight_decay: learning.weight_decay.unwrap_or(decay),
        decay: learning.schedule.parse()?,
        warmup: learning.warmup.parse()?,
        clip: Clip {
            norm: (learning.clip_norm != 0.0).then_some(learning.clip_norm),
            value: learning.clip_value,
        },
        freeze: model.freeze.clone(),
        dropout: learning.dropout,
        label_smoothing: learning.label_smoothing,
        class_weights: learning.class_weights.as_deref().map(str::parse).transpose()?,
        by_length: !learning.mixed_lengths,
        max_tokens: model.max_tokens.map(|n| n as usize),
        stride: model.stride.map_or(usual.stride, |n| n as usize),
        block: model.block.map_or(usual.block, |n| n as usize),
        mask_rate: model.mask_rate.unwrap_or(usual.mask_rate),
        dev_share: dev.dev_share.unwrap_or(0.0),
        evaluate_every: dev.evaluate_every,
        metric: dev.metric.clone(),
        patience: dev.patience,
        seed: learning.seed,
    };
    settings.check()?;
    Ok(settings)
}

const RATE: &str = "learning rate";

/// Draws the curves of the log.
fn draw(finished: &Finished, out: &Path) -> Result<(), Stop> {
    let history = History::read(&finished.log)?;
    let curve = |name: &str, of: fn(&glossator_train::run::StepRecord) -> f64| Series {
        name: name.to_owned(),
        points: history.steps.iter().map(|step| (step.step as f64, of(step))).collect(),
        marked: None,
        // All but the learning rate, which is what was asked for.
        noisy: name != RATE,
    };
    let measured = |name: &String| {
        let points = history
            .evaluations
            .iter()
            .filter_map(|(step, scores, _)| Some((*step as f64, *scores.get(name)?)));
        Series { name: name.clone(), points: points.collect(), marked: None, noisy: false }
    };
    let mut loss = Panel { title: "loss".to_owned(), series: vec![curve("training", |s| s.loss)] };
    let mut scores = Panel { title: "scores".to_owned(), series: Vec::new() };
    let names = history.evaluations.first().map(|(_, scores, _)| scores.keys());
    for name in names.into_iter().flatten() {
        match name.as_str() {
            "loss" => loss.series.push(Series { name: "measured".to_owned(), ..measured(name) }),
            // Of another order than shares.
            "perplexity" | "mae" | "rmse" => {}
            _ => scores.series.push(measured(name)),
        }
    }
    let best = history.evaluations.iter().rposition(|(.., best)| *best);
    scores.series.iter_mut().for_each(|series| series.marked = best);
    let one = |title: &str, series| Panel { title: title.to_owned(), series: vec![series] };
    let title = out.canonicalize().ok();
    let title = title.as_deref().unwrap_or(out).file_name().map(|name| name.to_string_lossy());
    let curves = Curves {
        title: format!("Training of {}", title.unwrap_or_default()),
        x: "step".to_owned(),
        panels: vec![
            loss,
            scores,
            one("gradient norm", curve("gradient norm", |s| s.gradient_norm)),
            one(RATE, curve(RATE, |s| s.rate)),
        ],
    };
    let path = out.join("curves.svg");
    let mut output = Output::open(Some(&path))?;
    let name = output.name();
    curves::draw(&curves, output.writer()).map_err(|error| Stop::writing(&name, &error))?;
    output.finish(true)?;
    Ok(())
}

/// Tells what came of it: the scores on standard output, the rest as notes.
fn report(finished: &Finished, args: &TrainArgs) -> Result<(), Stop> {
    let rate = |count: u64| count as f64 / finished.seconds.max(1e-9);
    let mut text = format!(
        "{} steps in {:.1} s, {:.0} tokens/s",
        finished.steps,
        finished.seconds,
        rate(finished.tokens)
    );
    if let Some(step) = finished.best {
        text += &format!("; the weights are those of step {step}");
    }
    say("note", &text);
    let out = args.run.out.display();
    say("note", &format!("{out}: model, README.md (its card), training.jsonl, curves.svg"));
    if let Some(evaluation) = &finished.evaluation {
        let model =
            glossator_models::load(&args.run.out, &glossator_models::LoadOptions::default())?;
        let wire = Evaluation::new(model.info(), None, evaluation);
        super::methods::print(&wire.text())?;
    }
    Ok(())
}
