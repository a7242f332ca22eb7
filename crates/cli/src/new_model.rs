//! Models that `glossator train` makes anew: an architecture by name, a vocabulary of the data.

use std::path::Path;

use clap::ValueEnum;
use glossator_models::classic::{ARCHITECTURES, Architecture};
use glossator_models::text::{Marks, Unit, build_vocabulary, fill_vectors};
use glossator_models::{DType, Device, Problem, Task, Tensor, Trainable};
use glossator_train::run::{Ingredients, Origin};
use serde_json::Value;

use crate::args::train::NewArgs;
use crate::exit::CliError;
use crate::installed;
use crate::model::Source;

/// What one token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnitArg {
    /// A word or a punctuation mark
    Word,
    /// What stands between spaces
    Spaced,
    /// A character, spaces too
    Character,
}

impl From<UnitArg> for Unit {
    fn from(unit: UnitArg) -> Self {
        match unit {
            UnitArg::Word => Self::Word,
            UnitArg::Spaced => Self::Spaced,
            UnitArg::Character => Self::Character,
        }
    }
}

/// The architecture that `--from` names, unless a model has that name.
pub(crate) fn architecture(from: &Path) -> Option<&'static Architecture> {
    let name = from.to_str()?;
    let known = ARCHITECTURES.iter().find(|architecture| architecture.id == name)?;
    (!from.exists() && installed::find(from).is_none()).then_some(known)
}

/// The model that `--from` names; where there is none, the error tells the architectures too.
pub(crate) fn source(from: &Path, download: bool) -> Result<Source<'_>, CliError> {
    Source::find(Some(from), download).map_err(|error| {
        if from.exists() || from.components().count() > 1 {
            return error;
        }
        let known: Vec<_> = ARCHITECTURES.iter().map(|architecture| architecture.id).collect();
        CliError::input(
            format!("--from {}: no such directory, model or architecture", from.display()),
            format!("architectures are {}", known.join(", ")),
        )
    })
}

/// Fails if a flag of new models is given with a model that is there.
pub(crate) fn refuse(new: &NewArgs) -> Result<(), CliError> {
    let given = [
        (new.unit.is_some(), "--unit"),
        (new.vocabulary.is_some(), "--vocabulary"),
        (new.min_count.is_some(), "--min-count"),
        (new.lowercase, "--lowercase"),
        (new.vectors.is_some(), "--vectors"),
        (new.set.is_some(), "--set"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, flag)) => Err(CliError::input(
            format!("{flag} is for new models, and --from names one that is there"),
            format!("leave out {flag}, or name an architecture"),
        )),
    }
}

/// A model of that architecture without any training yet.
pub(crate) fn origin<'a>(
    architecture: &'static Architecture,
    new: &'a NewArgs,
) -> Result<Origin<'a>, CliError> {
    let overrides: Value = match &new.set {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let example = r#"--set '{"encoder": {"0": {"size": 64}}}'"#;
            CliError::input(format!("--set: not JSON: {error}"), format!("such as {example}"))
        })?,
    };
    let unit = new.unit.unwrap_or(UnitArg::Word);
    let character = unit == UnitArg::Character;
    let size = new.vocabulary.map_or(20_000, |n| n as usize);
    let min_count = new.min_count.map_or(if character { 1 } else { 2 }, |n| n as usize);
    let name = format!(
        "{} of {size} {}s seen {min_count} times{}{}{}",
        architecture.id,
        match unit {
            UnitArg::Word => "word",
            UnitArg::Spaced => "token",
            UnitArg::Character => "character",
        },
        if new.lowercase { ", in lower case" } else { "" },
        new.vectors.as_ref().map(|_| ", with word vectors").unwrap_or_default(),
        new.set.as_ref().map(|set| format!(", {set}")).unwrap_or_default(),
    );
    let make = move |ingredients: Ingredients<'_>| {
        let Ingredients { task, labels, problem, seed, texts } = ingredients;
        let texts = texts.collect::<Result<Vec<String>, _>>()?;
        let marks = if task == Task::Seq2SeqLm { Marks::Decoder } else { Marks::None };
        let words = texts.iter().map(String::as_str);
        let tokenizer =
            build_vocabulary(words, unit.into(), size, min_count, new.lowercase, marks)?;
        let vocabulary = glossator_models::Tokenizer::from_bytes(&tokenizer)?.vocab_size();
        let mut config = architecture.config(task, &labels, vocabulary, &overrides)?;
        match problem {
            Problem::SingleLabel => {}
            Problem::MultiLabel => config["problem_type"] = "multi_label_classification".into(),
            Problem::Regression => config["problem_type"] = "regression".into(),
        }
        let trainable = Trainable::from_config(config, &tokenizer, seed)?;
        if let Some(path) = &new.vectors {
            fill(&trainable, path)?;
        }
        Ok(trainable)
    };
    Ok(Origin::New { name, make: Box::new(make) })
}

/// Puts the vectors of a file into the word embeddings.
fn fill(trainable: &Trainable, path: &Path) -> glossator_models::Result<()> {
    let words = trainable.variables().iter().find(|(name, _)| name == "embedding.words.weight");
    let Some((_, words)) = words else { return Ok(()) };
    let (rows, width) = words.dims2()?;
    let mut table = words.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    fill_vectors(path, trainable.tokenizer(), width, &mut table)?;
    words.set(&Tensor::from_vec(table, (rows, width), &Device::Cpu)?)?;
    Ok(())
}
