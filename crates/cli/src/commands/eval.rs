//! `glossator eval`

use glossator_models::Task;
use glossator_train::metrics::bootstrap::Bootstrap;
use glossator_train::{EvaluateOptions, Limits, data, evaluate};
use glossator_view::evaluation::Evaluation;

use crate::args::data::DataArgs;
use crate::args::train::{EvalArgs, EvalFormat, ScoringArgs, YesNo};
use crate::exit::{CliError, Exit, Stop, say};
use crate::interrupt;
use crate::model::Source;
use crate::output::Output;
use crate::training::Measuring;

pub(crate) fn run(args: &EvalArgs) -> Result<Exit, Stop> {
    let options = args.data.options()?;
    let measuring = measuring(args)?;
    if let Some(n) = args.threads {
        // Fails only if the pool exists already, which nothing has made yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(n.into()).build_global();
    }
    let model = Source::find(Some(&args.model), args.download.asked())?.load()?;
    let info = model.info();
    check_flags(&args.data, &given(args), info.task)?;
    let mut examples = data::read(&args.data.data, info.task, &options)?;
    interrupt::ask();
    let mut output = Output::open(args.output.as_deref())?;
    let watch = Measuring::new(args.quiet, &info.id);
    let evaluation = evaluate(model.as_ref(), examples.by_ref(), &measuring, &watch);
    watch.finish();
    if examples.skipped() > 0 && !args.quiet {
        say("note", &format!("{} rows that cannot be used are left out", examples.skipped()));
    }
    let evaluation = match evaluation {
        Err(_) if interrupt::asked() => {
            crate::output::abandon();
            return Err(interrupted("nothing was written").into());
        }
        other => other?,
    };
    // Hashing reads every byte of the weights.
    let sha256 = (args.format == EvalFormat::Json).then(|| model.sha256());
    let wire = Evaluation::new(info, sha256, &evaluation);
    let text = match args.format {
        EvalFormat::Text => wire.text(),
        EvalFormat::Json => wire.json(),
    };
    let name = output.name();
    let fail = |error: std::io::Error| Stop::writing(&name, &error);
    output.writer().write_all(text.as_bytes()).map_err(fail)?;
    output.finish(true)?;
    Ok(Exit::Success)
}

/// The error of a run that was stopped from outside.
pub(crate) fn interrupted(hint: &str) -> CliError {
    let (message, hint) = ("interrupted".to_owned(), Some(hint.to_owned()));
    CliError { message, hint, exit: Exit::Interrupted }
}

fn measuring(args: &EvalArgs) -> Result<EvaluateOptions, CliError> {
    let usual = EvaluateOptions::default();
    let mask_rate = args.mask_rate.unwrap_or(usual.mask_rate);
    if !(mask_rate > 0.0 && mask_rate < 1.0) {
        let message = format!("--mask-rate: expected a share between 0 and 1, got {mask_rate}");
        return Err(CliError::input(message, "for example --mask-rate 0.15"));
    }
    Ok(EvaluateOptions {
        limits: limits(args.max_tokens, args.stride, args.block),
        bootstrap: Bootstrap { samples: args.bootstrap as usize, seed: args.seed },
        mask_rate,
        unanswerable: args.unanswerable.map(|answer| answer == YesNo::Yes),
        ..scoring(&args.scoring)?
    })
}

/// How scores are counted.
pub(crate) fn scoring(args: &ScoringArgs) -> Result<EvaluateOptions, CliError> {
    let usual = EvaluateOptions::default();
    Ok(EvaluateOptions {
        mode: args.tag_scheme.as_deref().map_or(Ok(usual.mode), str::parse)?,
        max_answer: args.max_answer.map_or(usual.max_answer, |n| n as usize),
        ..usual
    })
}

/// How inputs are cut.
pub(crate) fn limits(max_tokens: Option<u32>, stride: Option<u32>, block: Option<u32>) -> Limits {
    let usual = Limits::default();
    Limits {
        max_tokens: max_tokens.map(|n| n as usize),
        stride: stride.map_or(usual.stride, |n| n as usize),
        block: block.map_or(usual.block, |n| n as usize),
    }
}

type Given = Vec<(&'static str, &'static [&'static str])>;

fn given(args: &EvalArgs) -> Given {
    let all: [(bool, &'static str, &'static [&'static str]); 6] = [
        (args.scoring.tag_scheme.is_some(), "--tag-scheme", &["token-classification"]),
        (args.scoring.max_answer.is_some(), "--max-answer", &["question-answering"]),
        (args.unanswerable.is_some(), "--unanswerable", &["question-answering"]),
        (args.stride.is_some(), "--stride", &["question-answering"]),
        (args.block.is_some(), "--block", &["causal-lm"]),
        (args.mask_rate.is_some(), "--mask-rate", &["masked-lm"]),
    ];
    all.into_iter().filter(|(given, ..)| *given).map(|(_, flag, tasks)| (flag, tasks)).collect()
}

/// Checks that the task has a use for all flags.
pub(crate) fn check_flags(data: &DataArgs, given: &Given, task: Task) -> Result<(), CliError> {
    let id = task.id();
    let of_data = data.given();
    let all = of_data.iter().chain(given);
    match all.into_iter().find(|(_, tasks)| !tasks.contains(&id)) {
        None => Ok(()),
        Some((flag, tasks)) => Err(CliError::input(
            format!("{flag} is for {}, not for {id}", tasks.join(", ")),
            format!("leave out {flag}"),
        )),
    }
}
