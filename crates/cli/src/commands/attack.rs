//! `glossator attack`

mod resume;

use std::path::Path;
use std::time::{Duration, Instant};

use glossator_interpret::attack::dataset::Summary;
use glossator_interpret::attack::{
    self, Aim, Attacker, Constraint, DecisionChoice, FieldChoice, Limits, TriggerSearch,
    constraints, triggers,
};
use glossator_interpret::method::Settings;
use glossator_interpret::{Error, Input, Setting};
use glossator_models::{Model, Task};
use glossator_view::convert::{AttackHead, count};
use glossator_view::render::attack::AttackRenderer;
use glossator_view::{By, render, wire};

use crate::args::{AttackArgs, ExplainArgs, Format};
use crate::exit::{CliError, Exit, Stop, caught, say};
use crate::input::{self, Item, Items};
use crate::model::Source;
use crate::output::Output;
use crate::progress::Watch;
use crate::{interrupt, parallel, task, terminal};

/// What was made of settings. Those of attacks and constraints are listed elsewhere than those of
/// methods.
fn set<T>(made: glossator_interpret::Result<T>) -> Result<T, CliError> {
    made.map_err(|error| match &error {
        Error::BadSetting { .. } => {
            let hint = "`glossator attacks` describes the settings of each attack";
            CliError::input(error.to_string(), hint)
        }
        _ => error.into(),
    })
}

/// Everything that the inputs of one run share.
struct Run<'a> {
    model: &'a dyn Model,
    attacker: Attacker<'a>,
    head: AttackHead,
    watch: &'a Watch,
    ends: Option<Instant>,
}

/// What came of one input.
enum Done {
    Attacked(Box<wire::AttackDocument>),
    /// The model had it wrong to begin with.
    Wrong,
    /// The time of the whole run was over.
    Late,
    Failed(CliError),
}

pub(crate) fn run(args: &AttackArgs) -> Result<Exit, Stop> {
    // Everything that can be wrong with the arguments is found before the model is loaded.
    let trigger = args.attack == triggers::INFO.id;
    let parameters = if trigger {
        triggers::INFO.parameters
    } else {
        attack::find(&args.attack)?.info.parameters
    };
    if let Some(name) = attack::useless_setting(&args.settings.0, parameters) {
        let message = format!("--{name} does not apply to {}", args.attack);
        let hint = format!("`glossator attacks {}` lists the settings it has", args.attack);
        return Err(CliError::input(message, hint).into());
    }
    if args.format == Format::Svg {
        let hint = "choose text, json, html or csv";
        return Err(CliError::input("--format svg is for explanations", hint).into());
    }
    let (seconds, total) = (positive(args.max_seconds, "max-seconds")?, args.total_seconds);
    let total = positive(total, "total-seconds")?;
    resume::check(args)?;
    let aim = args.target.clone().map_or(Aim::Change, Aim::Become);
    let inputs = args.inputs();
    task::check_flags(&inputs)?;
    let (items, single) = input::labelled(&inputs, args.label_key.as_deref())?;
    if let Some(n) = args.threads {
        // Fails only if the pool exists already, which nothing has made yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(n.into()).build_global();
    }
    let settings = &args.settings.0;
    let built =
        if trigger { None } else { Some(set((attack::find(&args.attack)?.build)(settings))?) };
    let source = Source::find(args.model.as_deref(), args.download.asked())?;
    if let (Some((_, task)), Some(path)) = (source.identify(), &args.model) {
        task::check_task(&inputs, &path.display().to_string(), task)?;
    }
    let constraints = set(constraints::build(settings, &|name| open(args, name)))?;
    let model = source.load()?;
    let info = model.info();
    task::check_task(&inputs, &info.id, info.task)?;
    if args.label_key.is_some() && info.task != Task::TextClassification {
        let message =
            format!("--label-key is for text-classification; {} does {}", info.id, info.task.id());
        return Err(CliError::input(message, "leave out --label-key").into());
    }
    let sha256 = (args.format == Format::Json).then(|| model.sha256());
    let watch = Watch::new(args.quiet, "attacked");
    let model = model.as_ref();
    let ends = total.map(|total| Instant::now() + total);
    let Some(built) = built else {
        let search = set(TriggerSearch::from_options(settings, aim))?;
        let settings = recorded(&search, &constraints);
        let head = AttackHead::new(info, sha256, triggers::INFO.id, settings);
        return run_trigger(args, &inputs, model, &search, &constraints, &head, items, &watch);
    };
    let mut attacker =
        Attacker::new(model, built.as_ref()).with_constraints(&constraints).with_progress(&watch);
    attacker.options = task::options(&inputs);
    attacker.aim = aim;
    attacker.fields = args.field.as_deref().map_or(FieldChoice::Usual, FieldChoice::parse);
    attacker.decision = args.decision.as_deref().map_or(DecisionChoice::All, DecisionChoice::parse);
    attacker.limits = Limits { passes: args.max_passes.map(|n| n as usize), time: seconds };
    let head = AttackHead::new(info, sha256, built.info().id, attacker.settings());
    let run = Run { model, attacker, head, watch: &watch, ends };
    attack_all(args, &run, items, single)
}

/// Attacks the inputs and writes what comes of them.
fn attack_all(args: &AttackArgs, run: &Run<'_>, items: Items, single: bool) -> Result<Exit, Stop> {
    let earlier = if args.resume { resume::read(args)? } else { resume::Earlier::default() };
    let mut renderer = renderer(args);
    interrupt::watch();
    let mut output = Output::open(args.output.as_deref())?;
    let name = output.name();
    let fail = |error: std::io::Error| Stop::writing(&name, &error);
    renderer.begin(output.writer()).map_err(fail)?;
    let mut summary = Summary::default();
    for document in &earlier.documents {
        count(&mut summary, document);
        output.document(|out| renderer.attack(document, out)).map_err(fail)?;
    }
    let mut failed: Option<Exit> = None;
    let (mut written, mut late) = (earlier.documents.len(), 0);
    let mut emit = |done: Done| -> Result<(), Stop> {
        match done {
            Done::Attacked(document) => {
                written += 1;
                run.watch.explained(written);
                count(&mut summary, &document);
                let write = || output.document(|out| renderer.attack(&document, out));
                return run.watch.suspend(write).map_err(fail);
            }
            Done::Wrong => summary.add_wrong(),
            Done::Late => late += 1,
            Done::Failed(error) => {
                summary.add_error();
                run.watch.suspend(|| error.print());
                // Our own failure weighs more than a bad input.
                let worst = failed.unwrap_or(error.exit);
                failed = Some(if error.exit == Exit::Failure { Exit::Failure } else { worst });
            }
        }
        Ok(())
    };
    let work = |item: Result<Item, CliError>| attack_one(run, item);
    if single {
        for item in items {
            emit(work(item))?;
        }
    } else {
        let items = items.filter(|item| match item {
            Ok(item) => !item.place.as_ref().is_some_and(|place| earlier.places.contains(place)),
            Err(_) => true,
        });
        parallel::in_order(items, work, || run.watch.cancel(), &mut emit)?;
    }
    run.watch.finish();
    if failed.is_some() && written == 0 && summary.wrong == 0 {
        // Nothing to write: no page without content, no file.
        return Ok(failed.unwrap_or(Exit::BadInput));
    }
    if summary.inputs == 0 && !args.quiet {
        say("warning", "there was no text to attack");
    }
    if late > 0 && !args.quiet {
        let hint = "--resume goes on from there";
        say("warning", &format!("--total-seconds is over: {late} texts were not attacked; {hint}"));
    }
    if !single {
        let summary = run.head.summary(&summary);
        output.document(|out| renderer.summary(&summary, out)).map_err(fail)?;
    }
    renderer.end(output.writer()).map_err(fail)?;
    let complete = failed.is_none() && late == 0;
    let finished = output.finish(complete)?;
    if let (true, Some(partial)) = (complete, resume::partial(args)) {
        // All that it held is in the finished file.
        let _ = std::fs::remove_file(partial);
    }
    if let Some(path) = finished
        && failed.is_some()
    {
        let message = format!("{}: some inputs are missing from it", path.display());
        CliError::input(message, "see the errors above").print();
    }
    let answer =
        if summary.succeeded > 0 || summary.inputs == 0 { Exit::Success } else { Exit::No };
    Ok(failed.unwrap_or(answer))
}

fn attack_one(run: &Run<'_>, item: Result<Item, CliError>) -> Done {
    let Item { place, input, asks, label } = match item {
        Ok(item) => item,
        Err(error) => return Done::Failed(error),
    };
    if run.ends.is_some_and(|ends| Instant::now() >= ends) {
        return Done::Late;
    }
    let attack = || -> Result<Done, CliError> {
        let info = run.model.info();
        if asks && info.task != Task::QuestionAnswering {
            let message = format!("a question; {} does {}", info.id, info.task.id());
            let hint = "give the second text of a pair with the key \"pair\"";
            return Err(CliError::input(message, hint));
        }
        if let Some(label) = &label {
            let right = info.labels.find(label)?;
            let victim = attack::Victim::new(
                run.model,
                &input,
                &run.attacker.options,
                Limits::default(),
                run.watch,
            );
            let reading = victim.read(&attack::Victim::texts(info.task, &input))?;
            if reading.prediction.best() != right {
                return Ok(Done::Wrong);
            }
        }
        let attacked = run.attacker.attack_input(&input)?;
        let document = run.head.document(&attacked, place.clone());
        document.check().map_err(|error| CliError::bug(error.to_string()))?;
        Ok(Done::Attacked(Box::new(document)))
    };
    // A panic must cost one input its answer, and not the others.
    caught(attack).unwrap_or_else(|error: CliError| {
        Done::Failed(match &place {
            Some(place) => error.at(place),
            None => error,
        })
    })
}

#[expect(clippy::too_many_arguments, reason = "each is a part of one run")]
fn run_trigger(
    args: &AttackArgs,
    inputs: &ExplainArgs,
    model: &dyn Model,
    search: &TriggerSearch,
    constraints: &[Box<dyn Constraint>],
    head: &AttackHead,
    items: Items,
    watch: &Watch,
) -> Result<Exit, Stop> {
    for (given, flag) in [
        (args.field.is_some(), "--field"),
        (args.decision.is_some(), "--decision"),
        (args.label_key.is_some(), "--label-key"),
        (args.max_passes.is_some(), "--max-passes"),
        (args.max_seconds.is_some(), "--max-seconds"),
        (args.total_seconds.is_some(), "--total-seconds"),
    ] {
        if given {
            let message = format!("{flag} does not apply to trigger");
            return Err(CliError::input(message, format!("leave out {flag}")).into());
        }
    }
    let texts: Vec<Input> =
        items.map(|item| item.map(|item| item.input)).collect::<Result<_, _>>()?;
    let mut renderer = renderer(args);
    interrupt::watch();
    let options = task::options(inputs);
    let found = search.search(model, &texts, &options, constraints, watch)?;
    watch.finish();
    let mut output = Output::open(args.output.as_deref())?;
    let name = output.name();
    let fail = |error: std::io::Error| Stop::writing(&name, &error);
    renderer.begin(output.writer()).map_err(fail)?;
    let document = head.trigger(&found);
    output.document(|out| renderer.trigger(&document, out)).map_err(fail)?;
    renderer.end(output.writer()).map_err(fail)?;
    output.finish(true)?;
    Ok(if found.seen.mean > 0.0 { Exit::Success } else { Exit::No })
}

fn positive(seconds: Option<f64>, flag: &str) -> Result<Option<Duration>, CliError> {
    let Some(seconds) = seconds else { return Ok(None) };
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    duration.map(Some).ok_or_else(|| {
        let message = format!("--{flag}: expected a number of seconds above 0, got {seconds}");
        CliError::input(message, "give a number such as 10 or 0.5")
    })
}

/// The settings of a search for a trigger, and those of its constraints.
fn recorded(search: &TriggerSearch, constraints: &[Box<dyn Constraint>]) -> Settings {
    let mut settings = search.settings();
    for constraint in constraints {
        settings.extend(constraint.settings());
    }
    if let Aim::Become(target) = &search.aim {
        settings.insert("target", Setting::Text(target.clone()));
    }
    settings
}

/// Opens a model that a constraint needs.
fn open(args: &AttackArgs, name: &str) -> glossator_interpret::Result<Box<dyn Model>> {
    let load = || Source::find(Some(Path::new(name)), args.download.asked())?.load();
    load().map_err(|error: CliError| glossator_interpret::Error::Input {
        what: error.message,
        hint: error.hint.unwrap_or_else(|| "give the directory of a model".to_owned()),
    })
}

fn renderer(args: &AttackArgs) -> Box<dyn AttackRenderer> {
    match args.format {
        Format::Json => Box::new(render::json::Json::default()),
        Format::Html => Box::new(render::html::Html::default()),
        Format::Csv => Box::new(render::csv::Attacks::new()),
        // Refused before.
        Format::Text | Format::Svg => {
            let to_file = args.output.is_some();
            let options = terminal::options(args.color, args.width, to_file, By::Word);
            Box::new(render::terminal::Terminal::new(options))
        }
    }
}
