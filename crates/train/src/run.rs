//! A training run, from data files to a directory that [`load`](glossator_models::load) opens.

mod card;
mod checkpoint;
mod directory;
mod gradients;
mod history;
mod labels;
mod new_model;
mod survey;
mod weights;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use card::About;
use glossator_models::{Model, Problem, Stored, Task, Trainable};
use glossator_ops::Var;
pub use history::{History, Record, StepRecord};
pub use labels::Origin;
pub use new_model::NewModel;
use serde_json::{Value, json};
pub use survey::{Data, DataFile};

use self::card::Card;
use self::checkpoint::{Best, State};
use self::directory::RunDirectory;
use self::gradients::{Gradients, Pass};
use self::history::Log;
use self::survey::{Part, Selected, Survey};
use crate::batching::{Batching, mix};
use crate::data;
use crate::encode::{Encoder, Limits, hider};
use crate::error::{Error, Result};
use crate::evaluate::{EvaluateOptions, Evaluation, Watch, evaluate};
use crate::item::{Hider, Item};
use crate::metrics::Score;
use crate::metrics::bootstrap::Bootstrap;
use crate::objective::Objective;
use crate::optimizer::Step;
use crate::schedule::Schedule;
use crate::settings::{Length, Settings, Warmup};

/// What is to be trained.
pub struct Request<'a> {
    /// The task.
    pub task: Task,
    /// What to begin from.
    pub origin: Origin<'a>,
    /// How labels are read; else as the model reads them, or one of several.
    pub problem: Option<Problem>,
    /// The labels in their order; else the model's if it has them all, else the data's.
    pub labels: Option<Vec<String>>,
    /// The data.
    pub data: Data,
    /// How tags are read when entities are measured, and such.
    pub measuring: EvaluateOptions,
    /// The settings.
    pub settings: Settings,
    /// The directory that it leaves.
    pub out: PathBuf,
    /// Whether there must be an unfinished run to go on with.
    pub resume: bool,
    /// The log, if it is not `training.jsonl` in `out`.
    pub log: Option<PathBuf>,
    /// A checkpoint each so many steps.
    pub checkpoint_steps: Option<u64>,
    /// A checkpoint each so many seconds.
    pub checkpoint_seconds: f64,
    /// The type of the weights that it leaves.
    pub stored: Stored,
    /// What the card tells.
    pub about: About,
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something that a user should know.
    Note(String),
    /// Data is read, the model is there.
    Begin(&'a Begin),
    /// A step is done.
    Step(&'a StepRecord),
    /// The model was measured.
    Evaluation {
        /// Steps that are done.
        step: u64,
        /// The scores, the one that decides first.
        scores: &'a [Score],
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint is on the disk.
    Checkpoint {
        /// Steps that it holds.
        step: u64,
    },
}

/// What a run is, before its first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Begin {
    /// Steps that are done already, if an unfinished run goes on.
    pub done: u64,
    /// All steps.
    pub steps: u64,
    /// Steps of an epoch.
    pub per_epoch: u64,
    /// Examples to learn from and to measure with.
    pub examples: (usize, usize),
    /// Items that examples became (windows of long contexts, blocks of text).
    pub items: usize,
    /// Examples of which tokens were cut off.
    pub truncated: usize,
    /// Parameters, and those that are trained.
    pub parameters: (u64, u64),
}

/// Watches a run.
pub trait Observer: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);

    /// Whether to stop at the next step, with a checkpoint.
    fn stops(&self) -> bool {
        false
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Steps that were done.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Tokens that were seen.
    pub tokens: u64,
    /// The step whose weights were kept.
    pub best: Option<u64>,
    /// The last measurement, if there was data for one.
    pub evaluation: Option<Evaluation>,
    /// The log.
    pub log: PathBuf,
}

/// Trains a model, or goes on with an unfinished run of the same settings.
///
/// # Errors
/// If settings, data or model do not fit each other, the loss is not a number, the disk is full, or
/// the observer stops the run; what was done by then is in the checkpoint.
pub fn train(request: &Request<'_>, observer: &dyn Observer) -> Result<Finished> {
    let settings = &request.settings;
    settings.check()?;
    check_task(request)?;
    let survey = Survey::of(&request.data, request.task)?;
    if survey.skipped > 0 {
        let note = format!("{} rows that cannot be used are left out", survey.skipped);
        observer.event(&Event::Note(note));
    }
    let trainable = labels::open(request, &survey, observer)?;
    let model = trainable.model()?;
    let (identity, files) = identity(request, &trainable)?;
    let directory = RunDirectory::open(&request.out, &identity, request.resume)?;
    let (items, truncated, learned) = encode(request, model.as_ref(), &survey)?;
    let dev_examples = check_dev(request, model.as_ref(), &survey)?;
    let mut run = Run::new(request, observer, &trainable, items, directory)?;
    let begin = Begin {
        done: run.state.step,
        steps: run.schedule.total,
        per_epoch: run.per_epoch,
        examples: (learned, dev_examples),
        items: run.items.len(),
        truncated,
        parameters: (
            trainable.variables().iter().map(|(_, var)| var.elem_count() as u64).sum(),
            run.variables.iter().map(|(_, var)| var.elem_count() as u64).sum(),
        ),
    };
    observer.event(&Event::Begin(&begin));
    if run.state.step == 0 {
        run.log.add(&Record::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            task: request.task.id().to_owned(),
            settings: identity,
        })?;
    }
    if !run.state.done {
        run.steps(dev_examples > 0, survey.examples)?;
    }
    run.finish(&survey, &begin, &files)
}

/// Checks that settings make sense for the task.
fn check_task(request: &Request<'_>) -> Result<()> {
    let (task, settings) = (request.task, &request.settings);
    let refuse = |flag: &str, why: &str| {
        let what = format!("{flag} is not for {}", task.id());
        Err(Error::settings(what, why))
    };
    let labelled = matches!(task, Task::TextClassification | Task::TokenClassification);
    let regression = request.problem == Some(Problem::Regression);
    if settings.class_weights.is_some() && (!labelled || regression) {
        return refuse("--class-weights", "it is for classification of texts and tokens");
    }
    if settings.label_smoothing > 0.0 && (task == Task::QuestionAnswering || regression) {
        return refuse("--label-smoothing", "it is for labels and for tokens of a vocabulary");
    }
    if request.problem.is_some() && task != Task::TextClassification {
        return refuse("--problem", "it is for text-classification");
    }
    if request.labels.is_some() && !labelled {
        return refuse("--labels", "it is for classification of texts and tokens");
    }
    if task == Task::SentenceSimilarity {
        let hint = "similarity is measured, not trained; train text-classification with --pair and \
                    --problem regression";
        return Err(Error::settings("sentence-similarity cannot be trained", hint));
    }
    if settings.patience.is_some() && request.data.dev.is_empty() && settings.dev_share == 0.0 {
        let hint = "give --dev FILE or --dev-share 0.1";
        return Err(Error::settings("--patience needs data to measure with", hint));
    }
    if !request.data.dev.is_empty() && settings.dev_share > 0.0 {
        let hint = "leave out one of them";
        return Err(Error::settings("--dev and --dev-share are two ways to measure", hint));
    }
    Ok(())
}

/// Everything that decides the result, and the data files.
fn identity(request: &Request<'_>, trainable: &Trainable) -> Result<(Value, [Vec<DataFile>; 2])> {
    let look = |files: &[PathBuf]| files.iter().map(|file| DataFile::look(file)).collect();
    let files: [Result<Vec<DataFile>>; 2] = [look(&request.data.train), look(&request.data.dev)];
    let [train, dev] = files;
    let files = [train?, dev?];
    let hashes = |files: &[DataFile]| -> Vec<String> {
        files.iter().map(|file| file.sha256.clone()).collect()
    };
    let mut settings = serde_json::to_value(&request.settings).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.insert("reading".to_owned(), format!("{:?}", request.data.options).into());
        settings.insert("measuring".to_owned(), format!("{:?}", request.measuring).into());
    }
    let vocabulary = trainable.tokenizer().vocab_size();
    let identity = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "task": request.task.id(),
        "settings": settings,
        "data": { "train": hashes(&files[0]), "dev": hashes(&files[1]) },
        "model": { "from": request.origin.name(), "sha256": weights::sha256(trainable.variables())? },
        "labels": trainable.model()?.info().labels.names,
        "vocabulary": vocabulary,
    });
    Ok((identity, files))
}

/// The items to learn from; how many examples were cut, and how many there are.
fn encode(
    request: &Request<'_>,
    model: &dyn Model,
    survey: &Survey,
) -> Result<(Vec<Item>, usize, usize)> {
    let settings = &request.settings;
    let mut encoder = Encoder::new(model, limits(settings));
    let (mut items, mut count) = (Vec::new(), 0);
    for example in part_of(request, survey.examples, Part::Train)? {
        items.extend(encoder.items(&example?)?);
        count += 1;
    }
    items.extend(encoder.rest());
    if items.is_empty() {
        let hint = "check --data and its columns, and lower --dev-share if it keeps all";
        return Err(Error::settings("the data has nothing to learn from", hint));
    }
    Ok((items, encoder.truncated, count))
}

fn limits(settings: &Settings) -> Limits {
    Limits { max_tokens: settings.max_tokens, stride: settings.stride, block: settings.block }
}

fn part_of(request: &Request<'_>, total: usize, part: Part) -> Result<Selected> {
    let (data, task) = (&request.data, request.task);
    if part == Part::Dev && !data.dev.is_empty() {
        return Ok(Box::new(data::read(&data.dev, task, &data.options)?));
    }
    let settings = &request.settings;
    survey::part(data, task, settings.dev_share, total, settings.seed, part)
}

/// Reads the examples to measure with once, so that what is wrong is told before an hour of
/// training; their number.
fn check_dev(request: &Request<'_>, model: &dyn Model, survey: &Survey) -> Result<usize> {
    let mut encoder = Encoder::new(model, limits(&request.settings));
    let mut count = 0;
    for example in part_of(request, survey.examples, Part::Dev)? {
        encoder.items(&example?)?;
        count += 1;
    }
    if count == 0 && (request.settings.dev_share > 0.0 || !request.data.dev.is_empty()) {
        let hint = "give more data with --dev, or a larger --dev-share";
        return Err(Error::settings("there are no examples to measure with", hint));
    }
    Ok(count)
}

/// A run that is under way.
struct Run<'a> {
    request: &'a Request<'a>,
    observer: &'a dyn Observer,
    trainable: &'a Trainable,
    /// Those that are trained.
    variables: Vec<(String, Var)>,
    items: Vec<Item>,
    batching: Batching,
    schedule: Schedule,
    per_epoch: u64,
    objective: Objective,
    hider: Option<Hider>,
    gradients: Gradients,
    slots: Vec<Vec<Vec<f32>>>,
    state: State,
    directory: RunDirectory,
    log: Log,
    log_path: PathBuf,
    saved: Instant,
}

impl<'a> Run<'a> {
    fn new(
        request: &'a Request<'a>,
        observer: &'a dyn Observer,
        trainable: &'a Trainable,
        items: Vec<Item>,
        directory: RunDirectory,
    ) -> Result<Self> {
        let settings = &request.settings;
        let model = trainable.model()?;
        let variables = weights::trained(trainable.variables(), &settings.freeze)?;
        let batching = Batching {
            lengths: items.iter().map(|item| item.len() as u32).collect(),
            size: settings.batch,
            seed: settings.seed,
            by_length: settings.by_length,
        };
        let per_epoch = (batching.batches() as u64).div_ceil(settings.accumulate.max(1) as u64);
        let total = match settings.length {
            Length::Epochs(epochs) => ((epochs * per_epoch as f64).round() as u64).max(1),
            Length::Steps(steps) => steps,
        };
        let warmup = match settings.warmup {
            Warmup::Share(share) => (share * total as f64).round() as u64,
            Warmup::Steps(steps) => steps.min(total),
        };
        let schedule = Schedule { decay: settings.decay, warmup, total, per_epoch };
        let class_weights = match &settings.class_weights {
            Some(weights) => Some(weights::of_classes(weights, &model.info().labels, &items)?),
            None => None,
        };
        let chain = model.chain().is_some();
        if chain && (class_weights.is_some() || settings.label_smoothing > 0.0) {
            let what = "--class-weights and --label-smoothing are not for labels in a chain";
            return Err(Error::settings(what, "leave them out, or use a model without one"));
        }
        let label_smoothing = settings.label_smoothing;
        let objective = Objective { label_smoothing, class_weights, chain };
        let masked = request.task == Task::MaskedLm;
        let hider = masked.then(|| hider(model.as_ref(), settings.mask_rate)).transpose()?;
        let slot = |(_, var): &(String, Var)| {
            vec![vec![0.0; var.elem_count()]; settings.optimizer.slots()]
        };
        let mut slots: Vec<_> = variables.iter().map(slot).collect();
        let mut state = State::default();
        if directory.resumes {
            state = checkpoint::load(&directory.state(), &variables, &mut slots)?;
        }
        let log_path = request.log.clone().unwrap_or_else(|| request.out.join("training.jsonl"));
        let log = Log::open(&log_path, state.log)?;
        let gradients = Gradients::new(&variables);
        let saved = Instant::now();
        Ok(Self {
            request,
            observer,
            trainable,
            variables,
            items,
            batching,
            schedule,
            per_epoch,
            objective,
            hider,
            gradients,
            slots,
            state,
            directory,
            log,
            log_path,
            saved,
        })
    }

    /// Trains until the last step, or until nothing gets better.
    fn steps(&mut self, measures: bool, total: usize) -> Result<()> {
        let settings = &self.request.settings;
        let every = settings.evaluate_every.unwrap_or(self.per_epoch).max(1);
        let mut epoch = (u64::MAX, Vec::new());
        while self.state.step < self.schedule.total {
            if self.observer.stops() {
                self.checkpoint()?;
                return Err(Error::Interrupted { step: self.state.step });
            }
            let at = self.state.step / self.per_epoch;
            if epoch.0 != at {
                epoch = (at, self.batching.epoch(at));
            }
            self.step(&epoch.1)?;
            let (step, last) = (self.state.step, self.state.step == self.schedule.total);
            if measures && (step.is_multiple_of(every) || last) && self.measure(total)? {
                break;
            }
            let by_steps =
                self.request.checkpoint_steps.is_some_and(|steps| step.is_multiple_of(steps));
            let by_time = self.saved.elapsed().as_secs_f64() >= self.request.checkpoint_seconds;
            if by_steps || by_time {
                self.checkpoint()?;
            }
        }
        self.state.done = true;
        self.checkpoint()
    }

    /// Takes the next step, out of the batches of its epoch.
    fn step(&mut self, epoch: &[Vec<usize>]) -> Result<()> {
        let begun = Instant::now();
        let settings = &self.request.settings;
        let number = self.state.step + 1;
        let first = (self.state.step % self.per_epoch) as usize * settings.accumulate.max(1);
        let end = (first + settings.accumulate.max(1)).min(epoch.len());
        let batches: Vec<Vec<&Item>> = epoch[first..end]
            .iter()
            .map(|batch| batch.iter().map(|&i| &self.items[i]).collect())
            .collect();
        let examples = batches.iter().map(|batch| batch.len() as u64).sum();
        let model = self.trainable.model()?;
        let pass = Pass {
            model: model.as_ref(),
            objective: &self.objective,
            hider: self.hider.as_ref(),
            dropout: settings.dropout,
            seed: mix(&[settings.seed, number]),
        };
        let outcome = self.gradients.compute(&pass, &self.variables, &batches)?;
        let norm = if outcome.counted { self.gradients.norm() } else { 0.0 };
        if !(outcome.loss.is_finite() && norm.is_finite()) {
            let what = if outcome.loss.is_finite() { "gradient" } else { "loss" };
            let kept =
                if self.directory.state().exists() { "; the last checkpoint is kept" } else { "" };
            return Err(Error::Stopped {
                what: format!("the {what} is not a finite number at step {number}{kept}"),
                hint: "lower --learning-rate, lengthen --warmup, or lower --clip-norm, with \
                       another --out"
                    .to_owned(),
            });
        }
        let rate = settings.rate * self.schedule.factor(number);
        if outcome.counted {
            self.update(number, rate, norm)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        self.state.step = number;
        self.state.seconds += seconds;
        self.state.tokens += outcome.tokens;
        let record = StepRecord {
            step: number,
            epoch: number as f64 / self.per_epoch as f64,
            loss: outcome.loss,
            rate,
            gradient_norm: norm,
            examples,
            tokens: outcome.tokens,
            seconds,
        };
        self.log.add(&Record::Step(record))?;
        self.observer.event(&Event::Step(&record));
        Ok(())
    }

    fn update(&mut self, number: u64, rate: f64, norm: f64) -> Result<()> {
        let settings = &self.request.settings;
        let (scale, clamp) = (settings.clip.scale(norm), settings.clip.clamp());
        for (v, ((_, var), slots)) in self.variables.iter().zip(&mut self.slots).enumerate() {
            // Biases and the weights of norms are vectors; they do not decay.
            let decay = if var.rank() > 1 { settings.weight_decay } else { 0.0 };
            let step = Step { number, rate, decay, scale, clamp };
            let gradient = self.gradients.of(v);
            crate::optimizer::in_place(var, |elements| {
                settings.optimizer.update(&step, elements, gradient, slots);
            })?;
        }
        Ok(())
    }

    /// Measures the model; keeps its weights if they are the best. Whether the run is to end.
    fn measure(&mut self, total: usize) -> Result<bool> {
        let model = self.trainable.model()?;
        let quick = Bootstrap { samples: 0, ..self.request.measuring.bootstrap };
        let mut evaluation = self.evaluate(model.as_ref(), total, quick)?;
        let scores = &mut evaluation.scores;
        let chosen = match &self.request.settings.metric {
            None => 0,
            Some(name) => scores.iter().position(|s| s.name == name).ok_or_else(|| {
                let known: Vec<_> = scores.iter().map(|score| score.name).collect();
                let what = format!("--metric {name}: scores of this task are {}", known.join(", "));
                Error::settings(what, "name one of them")
            })?,
        };
        scores.swap(0, chosen);
        let Score { value, more_is_better, .. } = scores[0];
        // What is not a number is no better than anything.
        let better = |best: Best| {
            if more_is_better { value > best.value } else { value < best.value }
        };
        let best = self.state.best.map_or(value.is_finite(), better);
        if best {
            checkpoint::save(&self.directory.best(), &self.variables, &[], &State::default())?;
            self.state.best = Some(Best { step: self.state.step, value });
            self.state.since_best = 0;
        } else {
            self.state.since_best += 1;
        }
        self.log.add(&Record::Evaluation {
            step: self.state.step,
            epoch: self.state.step as f64 / self.per_epoch as f64,
            scores: scores.iter().map(|s| (s.name.to_owned(), s.value)).collect(),
            best,
        })?;
        self.observer.event(&Event::Evaluation { step: self.state.step, scores, best });
        Ok(self.request.settings.patience.is_some_and(|most| self.state.since_best >= most))
    }

    fn evaluate(
        &self,
        model: &dyn Model,
        total: usize,
        bootstrap: Bootstrap,
    ) -> Result<Evaluation> {
        let settings = &self.request.settings;
        let options = EvaluateOptions {
            limits: limits(settings),
            mask_rate: settings.mask_rate,
            bootstrap,
            ..self.request.measuring
        };
        let examples = part_of(self.request, total, Part::Dev)?;
        // Not stopped in between: the next step looks.
        evaluate(model, examples, &options, &NeverStops)
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.state.log = self.log.synced()?;
        checkpoint::save(&self.directory.state(), &self.variables, &self.slots, &self.state)?;
        self.saved = Instant::now();
        self.observer.event(&Event::Checkpoint { step: self.state.step });
        Ok(())
    }

    /// Leaves the directory of a model: the best weights, measured once more, and a card.
    fn finish(
        self,
        survey: &Survey,
        begin: &Begin,
        files: &[Vec<DataFile>; 2],
    ) -> Result<Finished> {
        let request = self.request;
        if self.state.best.is_some() {
            checkpoint::load(&self.directory.best(), &self.variables, &mut [])?;
        }
        let model = self.trainable.model()?;
        let mut evaluation = None;
        if begin.examples.1 > 0 {
            let bootstrap = request.measuring.bootstrap;
            evaluation = Some(self.evaluate(model.as_ref(), survey.examples, bootstrap)?);
        }
        self.trainable.save(&request.out, request.stored)?;
        let saved = DataFile::look(&request.out.join("model.safetensors"))?;
        let metric = request.settings.metric.as_deref();
        let metric = metric.or_else(|| Some(evaluation.as_ref()?.scores.first()?.name));
        let mut info = model.info().clone();
        info.id = name_of(&request.out);
        let card = Card {
            about: &request.about,
            info: &info,
            base: request.origin.name(),
            settings: &request.settings,
            train: &files[0],
            dev: &files[1],
            examples: begin.examples,
            steps: self.state.step,
            epochs: self.state.step as f64 / self.per_epoch as f64,
            seconds: self.state.seconds,
            best: self.state.best.and_then(|best| Some((best.step, metric?))),
            evaluation: evaluation.as_ref(),
            sha256: &saved.sha256,
        };
        let path = request.out.join("README.md");
        let text = card.markdown();
        checkpoint::replace(&path, |to| {
            std::fs::write(to, &text).map_err(|error| Error::io(&path, error))
        })?;
        let finished = Finished {
            steps: self.state.step,
            seconds: self.state.seconds,
            tokens: self.state.tokens,
            best: self.state.best.map(|best| best.step),
            evaluation,
            log: self.log_path,
        };
        self.directory.finish()?;
        Ok(finished)
    }
}

struct NeverStops;

impl Watch for NeverStops {}

fn name_of(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}
