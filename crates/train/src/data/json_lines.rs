//! One JSON object a line.

use std::path::Path;

use glossator_models::Task;
use serde_json::{Map, Value};

use super::columns::{Use, content, labelled, renamed, short};
use super::lines::{Line, Lines};
use super::{Content, Example, Part, Place, ReadOptions, Tagged};
use crate::error::{Error, Result};

pub(super) fn read(path: &Path, task: Task, options: &ReadOptions) -> Result<Part> {
    let (options, uses) = (options.clone(), options.columns.of(task));
    let lines = Lines::open(path, false)?;
    Ok(Box::new(lines.filter_map(move |line| match line {
        Ok(line) if line.text.trim().is_empty() => None,
        Ok(line) => Some(example(line, &uses, task, &options)),
        Err(error) => Some(Err(error)),
    })))
}

fn example(line: Line, uses: &[Use], task: Task, options: &ReadOptions) -> Result<Example> {
    let Line { text, place, .. } = line;
    let hint = "each line is one JSON object";
    let object = match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => object,
        Ok(other) => {
            let what = format!("expected an object, got {}", kind(&other));
            return Err(Error::data(&place, what, hint));
        }
        Err(error) => {
            let what = error.to_string().replace(" at line 1", "");
            return Err(Error::data(&place, format!("not JSON: {what}"), hint));
        }
    };
    let content = match (task, uses) {
        (Task::TokenClassification, [tokens, tags]) => {
            let tokens = list(get(&object, tokens, &place)?, tokens, &place)?;
            let tags = list(get(&object, tags, &place)?, tags, &place)?;
            let tags = tags.iter().map(|tag| renamed(tag, options).to_owned()).collect();
            Content::Tagged(Tagged::new(tokens, tags, &place)?)
        }
        (Task::TextClassification, [text, label, ..])
            if matches!(get(&object, label, &place), Ok(Value::Array(_))) =>
        {
            let labels = list(get(&object, label, &place)?, label, &place)?;
            let text = string(get(&object, text, &place)?, text, &place)?;
            let pair = uses.get(2).map(|used| string(get(&object, used, &place)?, used, &place));
            labelled(text, pair.transpose()?, labels, &several(options), &place)?
        }
        _ => {
            let mut values = Vec::with_capacity(uses.len());
            for used in uses {
                values.push(string(get(&object, used, &place)?, used, &place)?);
            }
            content(task, values, options, &place)?
        }
    };
    Ok(Example { place, content })
}

/// A list of labels may be empty.
fn several(options: &ReadOptions) -> ReadOptions {
    let mut options = options.clone();
    options.label_separator.get_or_insert_with(|| ",".to_owned());
    options
}

/// The value at a key, or at a path of keys.
fn get<'a>(object: &'a Map<String, Value>, used: &Use, place: &Place) -> Result<&'a Value> {
    let inner = || {
        let mut keys = used.column.split('.');
        let first = object.get(keys.next()?)?;
        keys.try_fold(first, |value, key| value.as_object()?.get(key))
    };
    object.get(&used.column).or_else(inner).ok_or_else(|| {
        let known: Vec<_> = object.keys().take(40).map(|key| format!("{:?}", short(key))).collect();
        let what =
            format!("no key {:?} ({}); there are {}", used.column, used.flag, known.join(", "));
        Error::data(place, what, format!("name the key with {}", used.flag))
    })
}

fn string(value: &Value, used: &Use, place: &Place) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null if used.flag == "--answer" => Ok(String::new()),
        other => {
            let what =
                format!("{:?}: expected a text or a number, got {}", used.column, kind(other));
            Err(Error::data(place, what, format!("{} names the key of a text", used.flag)))
        }
    }
}

fn list(value: &Value, used: &Use, place: &Place) -> Result<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(|item| string(item, used, place)).collect(),
        other => {
            let what = format!("{:?}: expected a list of texts, got {}", used.column, kind(other));
            Err(Error::data(place, what, format!("{} names the key of a list", used.flag)))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
