//! `glossator explain`

use glossator_interpret::{Explainer, Method, Quantity, TargetSpec, TaskOptions, registry};
use glossator_models::{Model, Task};
use glossator_view::convert::Head;
use glossator_view::render::{self, Renderer};
use glossator_view::{By, wire};

use crate::args::{self, ExplainArgs, Format, Preset};
use crate::exit::{CliError, Exit, Stop, caught, say};
use crate::input::{self, Item};
use crate::interrupt;
use crate::model::Source;
use crate::output::Output;
use crate::progress::Watch;
use crate::{parallel, task, terminal};

/// Everything that the inputs of one run share.
struct Run<'a> {
    model: &'a dyn Model,
    method: &'a dyn Method,
    target: TargetSpec,
    quantity: Quantity,
    options: TaskOptions,
    head: Head,
    watch: Watch,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Stop> {
    // Everything that can be wrong with the arguments is found before the model is loaded.
    let entry = registry::find(&args.method)?;
    let mut quantity = args.quantity.as_deref().map(str::parse::<Quantity>).transpose()?;
    let method = match args.preset {
        None => entry.method(&args.settings.0)?,
        Some(Preset::Allennlp) => {
            quantity = Some(Quantity::Loss);
            preset(args, entry)?
        }
    };
    task::check_flags(args)?;
    let (items, single) = input::items(args)?;
    if let Some(n) = args.threads {
        // Fails only if the pool exists already, which nothing has made yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(n.into()).build_global();
    }
    let source = Source::find(args.model.as_deref(), args.download.asked())?;
    if let (Some((_, task)), Some(path)) = (source.identify(), &args.model) {
        task::check_task(args, &path.display().to_string(), task)?;
    }
    let model = source.load()?;
    let info = model.info();
    task::check_task(args, &info.id, info.task)?;
    let target = TargetSpec::for_model(args.target.as_deref(), info)?;
    // Hashing reads every byte of the weights: only the formats that record it pay for it.
    let sha256 = (args.format == Format::Json).then(|| model.sha256());
    let run = Run {
        model: model.as_ref(),
        method: method.as_ref(),
        target,
        quantity: quantity.unwrap_or_default(),
        options: task::options(args),
        head: Head::new(model.info(), sha256, method.as_ref()),
        watch: Watch::new(args.quiet, "explained"),
    };
    let mut renderer = renderer(args);
    interrupt::watch();
    let mut output = Output::open(args.output.as_deref())?;
    let name = output.name();
    let fail = |error: std::io::Error| Stop::writing(&name, &error);
    renderer.begin(output.writer()).map_err(fail)?;
    let mut failed = None;
    let mut explained = 0;
    let mut emit = |result: Result<wire::Document, CliError>| -> Result<(), Stop> {
        match result {
            Ok(document) => {
                explained += 1;
                run.watch.explained(explained);
                let write = || output.document(|out| renderer.document(&document, out));
                run.watch.suspend(write).map_err(fail)
            }
            Err(error) => {
                run.watch.suspend(|| error.print());
                // Our own failure weighs more than a bad input.
                let worst = failed.unwrap_or(error.exit);
                failed = Some(if error.exit == Exit::Failure { Exit::Failure } else { worst });
                Ok(())
            }
        }
    };
    if single {
        for item in items {
            emit(explain(&run, item))?;
        }
    } else {
        parallel::in_order(items, |item| explain(&run, item), || run.watch.cancel(), &mut emit)?;
    }
    run.watch.finish();
    if failed.is_some() && explained == 0 {
        // Nothing to write: no page without content, no file.
        return Ok(failed.unwrap_or(Exit::BadInput));
    }
    if explained == 0 && !args.quiet {
        say("warning", "there was no text to explain");
    }
    renderer.end(output.writer()).map_err(fail)?;
    if let Some(path) = output.finish(failed.is_none())?
        && failed.is_some()
    {
        let message = format!("{}: some inputs are missing from it", path.display());
        CliError::input(message, "see the errors above").print();
    }
    Ok(failed.unwrap_or(Exit::Success))
}

/// AllenNLP's method of that name, if nothing else was asked for.
fn preset(args: &ExplainArgs, entry: &registry::Entry) -> Result<Box<dyn Method>, CliError> {
    let Some(make) = entry.allennlp else {
        let with: Vec<_> = registry::METHODS
            .iter()
            .filter(|entry| entry.allennlp.is_some())
            .map(|entry| entry.info.id)
            .collect();
        let message = format!("--preset allennlp: AllenNLP had no {}", entry.info.id);
        return Err(CliError::input(message, format!("it had {}", with.join(", "))));
    };
    let conflict = |what: &str, why: &str| {
        Err(CliError::input(format!("--preset allennlp does not go with {what}"), why))
    };
    if let Some(name) = args.settings.0.names().next() {
        return conflict(&format!("--{name}"), "the preset fixes every setting of the method");
    }
    if args.quantity.as_deref().is_some_and(|quantity| quantity != "loss") {
        return conflict("--quantity", "AllenNLP explained the loss");
    }
    if args.target.as_deref().is_some_and(|target| target != "predicted") {
        return conflict("--target", "AllenNLP explained the predicted label");
    }
    Ok(make())
}

fn renderer(args: &ExplainArgs) -> Box<dyn Renderer> {
    let by = match args.by {
        args::By::Word => By::Word,
        args::By::Token => By::Token,
    };
    match args.format {
        Format::Text => {
            let options = terminal::options(args.color, args.width, args.output.is_some(), by);
            Box::new(render::terminal::Terminal::new(options))
        }
        Format::Json => Box::new(render::json::Json::default()),
        Format::Html => {
            let options = render::html::Options { by, ..Default::default() };
            Box::new(render::html::Html::new(options))
        }
        Format::Svg => {
            let default = render::svg::Options::default();
            let width = args.width.unwrap_or(default.width);
            Box::new(render::svg::Svg::new(render::svg::Options { by, width, ..default }))
        }
        Format::Csv => Box::new(render::csv::Csv::new(render::csv::Options { by })),
    }
}

fn explain(run: &Run<'_>, item: Result<Item, CliError>) -> Result<wire::Document, CliError> {
    let Item { place, input, asks, label: _ } = item?;
    let answer = || -> Result<wire::Document, CliError> {
        let info = run.model.info();
        if asks && info.task != Task::QuestionAnswering {
            let message = format!("a question; {} does {}", info.id, info.task.id());
            let hint = "give the second text of a pair with the key \"pair\"";
            return Err(CliError::input(message, hint));
        }
        let explainer = Explainer::new(run.model, run.method).with_progress(&run.watch);
        let answer = explainer.explain_input(&input, &run.options, &run.target, run.quantity)?;
        let document = run.head.document(&answer);
        document.check().map_err(|error| CliError::bug(error.to_string()))?;
        Ok(document)
    };
    // A panic must cost one input its answer, and not the others.
    caught(answer).map_err(|error| match &place {
        Some(place) => error.at(place),
        None => error,
    })
}
