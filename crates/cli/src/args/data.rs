//! Flags that say how data files are read.

use std::path::PathBuf;

use glossator_train::data::{Columns, Format, ReadOptions};

use crate::exit::CliError;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Files of examples, one after the other
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) data: Vec<PathBuf>,

    /// How files are read: csv, tsv, jsonl, conll (columns), conllu, squad (JSON), text, or parallel
    /// (line n of each file is example n, and file k is column k) [default: by the file's ending]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    data_format: Option<Format>,

    /// Whether tables begin with names of columns [default: yes if a column is named, no if all are
    /// given by number]
    #[arg(long, value_name = "YES|NO", value_parser = yes_no)]
    header: Option<bool>,

    /// Whether fields of tables may be in quotes [default: yes for csv, no for tsv]
    #[arg(long, value_name = "YES|NO", value_parser = yes_no)]
    quotes: Option<bool>,

    /// Read no more examples than N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Leave out rows that cannot be used, instead of ending with an error
    #[arg(long)]
    skip_bad_rows: bool,

    #[command(flatten)]
    columns: ColumnArgs,
}

/// Columns by name, or by number from 1; keys of JSON objects may be paths, a.b
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Columns (a name, a number from 1, or a key such as a.b)")]
struct ColumnArgs {
    /// Text to classify or to model, or the source of a rewriting [default: text]
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,

    /// Second text of a pair
    #[arg(long, value_name = "COLUMN")]
    pair: Option<String>,

    /// Label, labels or number [default: label]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// What stands between several labels of one text
    #[arg(long, value_name = "TEXT")]
    label_separator: Option<String>,

    /// Labels that are called otherwise in the files
    #[arg(long, value_name = "THERE=HERE,..")]
    rename_labels: Option<String>,

    /// Tokens of a sentence [default: tokens; column 1 of conll; FORM of conllu]
    #[arg(long, value_name = "COLUMN")]
    tokens: Option<String>,

    /// Their tags [default: tags; the last column of conll; UPOS of conllu]
    #[arg(long, value_name = "COLUMN")]
    tags: Option<String>,

    /// Question [default: question]
    #[arg(long, value_name = "COLUMN")]
    question: Option<String>,

    /// Context of a question [default: context]
    #[arg(long, value_name = "COLUMN")]
    context: Option<String>,

    /// Answer, words of the context [default: answer]
    #[arg(long, value_name = "COLUMN")]
    answer: Option<String>,

    /// Character at which the answer starts, from 0 [default: where it is found first]
    #[arg(long, value_name = "COLUMN")]
    start: Option<String>,

    /// An answer that says that there is none; an empty one does too
    #[arg(long, value_name = "TEXT")]
    no_answer: Option<String>,

    /// What is to be written in answer to the text [default: target]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,

    /// Keep \r\n and \r in plain text, instead of \n
    #[arg(long)]
    keep_line_ends: bool,
}

impl DataArgs {
    pub(crate) fn options(&self) -> Result<ReadOptions, CliError> {
        let columns = &self.columns;
        let mut rename_labels = Vec::new();
        for part in columns.rename_labels.iter().flat_map(|text| text.split(',')) {
            let (there, here) = part.split_once('=').ok_or_else(|| {
                let message = format!("--rename-labels: expected THERE=HERE, got {part:?}");
                CliError::input(message, "for example --rename-labels pos=positive,neg=negative")
            })?;
            rename_labels.push((there.to_owned(), here.to_owned()));
        }
        Ok(ReadOptions {
            format: self.data_format,
            columns: Columns {
                text: columns.text.clone(),
                pair: columns.pair.clone(),
                label: columns.label.clone(),
                question: columns.question.clone(),
                context: columns.context.clone(),
                answer: columns.answer.clone(),
                start: columns.start.clone(),
                target: columns.target.clone(),
                tokens: columns.tokens.clone(),
                tags: columns.tags.clone(),
            },
            header: self.header,
            quotes: self.quotes,
            label_separator: columns.label_separator.clone(),
            rename_labels,
            no_answer: columns.no_answer.clone(),
            keep_line_ends: columns.keep_line_ends,
            skip_bad_rows: self.skip_bad_rows,
            limit: self.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        })
    }

    /// The flags that were given and are for some tasks only, each with these tasks.
    pub(crate) fn given(&self) -> Vec<(&'static str, &'static [&'static str])> {
        const TEXTS: &[&str] = &["text-classification", "sentence-similarity"];
        const TAGS: &[&str] = &["token-classification"];
        const ANSWERS: &[&str] = &["question-answering"];
        const STREAMS: &[&str] = &["masked-lm", "causal-lm", "seq2seq-lm"];
        const ALL_TEXTS: &[&str] =
            &["text-classification", "sentence-similarity", "masked-lm", "causal-lm", "seq2seq-lm"];
        const LABELLED: &[&str] = &["text-classification", "token-classification"];
        let columns = &self.columns;
        let all: [(bool, &'static str, &'static [&'static str]); 14] = [
            (columns.text.is_some(), "--text", ALL_TEXTS),
            (columns.pair.is_some(), "--pair", TEXTS),
            (columns.label.is_some(), "--label", TEXTS),
            (columns.label_separator.is_some(), "--label-separator", &["text-classification"]),
            (columns.rename_labels.is_some(), "--rename-labels", LABELLED),
            (columns.tokens.is_some(), "--tokens", TAGS),
            (columns.tags.is_some(), "--tags", TAGS),
            (columns.question.is_some(), "--question", ANSWERS),
            (columns.context.is_some(), "--context", ANSWERS),
            (columns.answer.is_some(), "--answer", ANSWERS),
            (columns.start.is_some(), "--start", ANSWERS),
            (columns.no_answer.is_some(), "--no-answer", ANSWERS),
            (columns.target.is_some(), "--target", &["seq2seq-lm"]),
            (columns.keep_line_ends, "--keep-line-ends", STREAMS),
        ];
        all.into_iter().filter(|(given, ..)| *given).map(|(_, flag, tasks)| (flag, tasks)).collect()
    }
}

fn format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.iter().find(|(id, ..)| *id == text);
    found.map(|(_, format, _)| *format).ok_or_else(|| {
        let ids: Vec<_> = Format::ALL.iter().map(|(id, ..)| *id).collect();
        format!("formats are {}", ids.join(", "))
    })
}

fn yes_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}
