//! The JSON of the Stanford question answering data set (Rajpurkar et al. 2016, 2018).

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::columns::located;
use super::{Content, Example, Part, Place, Question, ReadOptions, lines};
use crate::error::{Error, Result};

/// A larger file is not of this format: it is read as a whole.
const MAX_FILE: u64 = 1 << 30;

#[derive(Deserialize)]
struct File {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    id: serde_json::Value,
    question: String,
    #[serde(default)]
    answers: Vec<Given>,
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct Given {
    text: String,
    answer_start: usize,
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Part> {
    let reader = lines::open(path)?;
    let size = reader.get_ref().metadata().map_or(0, |metadata| metadata.len());
    if size > MAX_FILE {
        let what = format!("expected a file of at most {MAX_FILE} bytes, got {size}");
        return Err(Error::data(path.display(), what, "split it, or convert it to JSON Lines"));
    }
    let no_answer = options.no_answer.clone();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut { reader }, &mut bytes)
        .map_err(|error| Error::io(path, error))?;
    let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let file: File = serde_json::from_slice(json).map_err(|error| {
        let place = Place { file: path.display().to_string().into(), line: error.line() };
        let hint = "the format is {\"data\": [{\"paragraphs\": [{\"context\", \"qas\": [..]}]}]}; \
                    objects on lines are --data-format jsonl";
        Error::data(place, format!("not SQuAD's JSON: {error}"), hint)
    })?;
    let name = path.display().to_string();
    let paragraphs = file.data.into_iter().flat_map(|article| article.paragraphs);
    Ok(Box::new(paragraphs.flat_map(move |Paragraph { context, qas }| {
        let context: Arc<str> = context.into();
        let (name, no_answer) = (name.clone(), no_answer.clone());
        qas.into_iter().map(move |asked| example(&name, &context, asked, no_answer.as_deref()))
    })))
}

fn example(file: &str, context: &str, asked: Asked, no_answer: Option<&str>) -> Result<Example> {
    let id = match &asked.id {
        serde_json::Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    let file = format!("{file}: question {id}").into();
    let place = Place { file, line: 0 };
    let mut answers = Vec::new();
    if !asked.is_impossible {
        for Given { text, answer_start } in asked.answers {
            if text.is_empty() || Some(text.as_str()) == no_answer {
                continue;
            }
            answers.push(located(context, &text, answer_start, &place)?);
        }
    }
    let (question, context) = (asked.question, context.to_owned());
    Ok(Example { place, content: Content::Question(Question { question, context, answers }) })
}
