//! Reading a model's `config.json`: every value is checked where it is read.

use std::path::{Path, PathBuf};

use glossator_ops::Activation;
use serde_json::Value;

use crate::checkpoint::read_file;
use crate::error::{Error, Result, clip};

/// The content of a `config.json`.
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    /// Where this stands in the file, `encoder.0.` for instance.
    place: String,
    root: serde_json::Map<String, Value>,
}

/// A configuration is a few kilobytes; a label list may make it a few megabytes.
const MAX_BYTES: u64 = 64 << 20;

/// No published model comes near; beyond it a number is a mistake.
const MAX_COUNT: u64 = 1 << 31;

impl Config {
    /// Reads `config.json` in a model directory.
    ///
    /// # Errors
    /// If it is missing, too large, only a stand-in, or not a JSON object.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let bytes = read_file(&path, MAX_BYTES, "a configuration")?;
        Self::parse(path, &bytes)
    }

    /// Reads the bytes of a `config.json`; `path` is what errors call it.
    ///
    /// # Errors
    /// If they are not a JSON object.
    pub fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(root)) => Ok(Self { path, place: String::new(), root }),
            Ok(other) => {
                let got = match other {
                    Value::Array(_) => "an array",
                    Value::String(_) => "a string",
                    Value::Number(_) => "a number",
                    Value::Null | Value::Bool(_) | Value::Object(_) => "a single value",
                };
                let what = format!("expected a JSON object, got {got}");
                Err(Error::BadConfig { path, what })
            }
            Err(error) => Err(Error::BadConfig { path, what: format!("not JSON: {error}") }),
        }
    }

    /// The file that this came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.keys().map(String::as_str)
    }

    /// Puts a value in the place of another.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.root.insert(key.to_owned(), value);
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) {
        self.root.remove(key);
    }

    /// The content of a `config.json` with these values.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // A map of values that were read as JSON can always be written as JSON.
        serde_json::to_vec_pretty(&self.root).unwrap_or_default()
    }

    /// The error of a value that cannot be used.
    pub(crate) fn bad(&self, key: &str, expected: &str) -> Error {
        let path = self.path.clone();
        Error::BadConfig { path, what: self.mismatch(key, expected) }
    }

    /// The error of a value that makes sense, but not to this program.
    pub(crate) fn unsupported(&self, key: &str, expected: &str) -> Error {
        let path = self.path.clone();
        Error::Unsupported { path, what: self.mismatch(key, expected) }
    }

    /// The error of values that do not fit together, or do not fit the weights.
    pub(crate) fn contradiction(&self, what: String) -> Error {
        Error::BadConfig { path: self.path.clone(), what: clip(what) }
    }

    fn mismatch(&self, key: &str, expected: &str) -> String {
        let got = match self.root.get(key) {
            None => "nothing".to_owned(),
            Some(value) => {
                // A value may be a megabyte of JSON; its start tells enough.
                let text = value.to_string();
                let end = text.floor_char_boundary(60.min(text.len()));
                if end < text.len() { format!("{}...", &text[..end]) } else { text }
            }
        };
        format!("{}{key}: expected {expected}, got {got}", self.place)
    }

    /// A positive number.
    ///
    /// # Errors
    /// If it is absent, or not a positive whole number below 2^31.
    pub fn count(&self, key: &str) -> Result<usize> {
        match self.root.get(key).and_then(Value::as_u64) {
            Some(n) if (1..=MAX_COUNT).contains(&n) => Ok(n as usize),
            _ => Err(self.bad(key, "a positive whole number")),
        }
    }

    /// A positive number, or `default` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not a positive whole number below 2^31.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize> {
        if self.is_absent(key) { Ok(default) } else { self.count(key) }
    }

    /// A finite number of at least zero, or `default` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and something else.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        if self.is_absent(key) {
            return Ok(default);
        }
        match self.root.get(key).and_then(Value::as_f64) {
            Some(x) if x.is_finite() && x >= 0.0 => Ok(x),
            _ => Err(self.bad(key, "a number of at least zero")),
        }
    }

    /// A switch, or `default` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not true or false.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(self.bad(key, "true or false")),
        }
    }

    /// The id of a token, or `None` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not a whole number below 2^31.
    pub fn id(&self, key: &str) -> Result<Option<u32>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            // Some files say -1 for none.
            Some(value) if value.as_i64() == Some(-1) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(id) if id <= MAX_COUNT => Ok(Some(id as u32)),
                _ => Err(self.bad(key, "the id of a token")),
            },
        }
    }

    /// The ids of tokens: one, several, or none where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and something else.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let Some(Value::Array(values)) = self.root.get(key) else {
            return Ok(self.id(key)?.into_iter().collect());
        };
        let id = |value: &Value| value.as_u64().filter(|&id| id <= MAX_COUNT).map(|id| id as u32);
        let ids: Option<Vec<u32>> = values.iter().map(id).collect();
        ids.ok_or_else(|| self.bad(key, "ids of tokens"))
    }

    /// A list of strings, or `None` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not a list of strings.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&str>>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => {
                let strings: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
                strings.map(Some).ok_or_else(|| self.bad(key, "a list of strings"))
            }
            Some(_) => Err(self.bad(key, "a list of strings")),
        }
    }

    /// A list of positive numbers, or `None` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and something else.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        if self.is_absent(key) {
            return Ok(None);
        }
        let number = |value: &Value| value.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        let values = self.root.get(key).and_then(Value::as_array);
        let numbers = values.and_then(|values| values.iter().map(number).collect());
        numbers.map(Some).ok_or_else(|| self.bad(key, "a list of positive numbers"))
    }

    /// An object inside this one, or `None` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not an object.
    pub fn section(&self, key: &str) -> Result<Option<Self>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(root)) => Ok(Some(self.inside(key, root))),
            Some(_) => Err(self.bad(key, "an object")),
        }
    }

    /// A list of objects inside this one; empty where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and something else, or longer than `most`.
    pub fn sections(&self, key: &str, most: usize) -> Result<Vec<Self>> {
        if self.is_absent(key) {
            return Ok(Vec::new());
        }
        let list = self.root.get(key).and_then(Value::as_array).filter(|list| list.len() <= most);
        let objects = list.and_then(|list| {
            let of = |(i, value): (usize, &Value)| {
                Some(self.inside(&format!("{key}.{i}"), value.as_object()?))
            };
            list.iter().enumerate().map(of).collect()
        });
        objects.ok_or_else(|| self.bad(key, &format!("a list of at most {most} objects")))
    }

    fn inside(&self, key: &str, root: &serde_json::Map<String, Value>) -> Self {
        let place = format!("{}{key}.", self.place);
        Self { path: self.path.clone(), place, root: root.clone() }
    }

    /// A positive number of at most `most`.
    ///
    /// # Errors
    /// If it is absent or something else.
    pub fn count_within(&self, key: &str, most: usize) -> Result<usize> {
        match self.count(key) {
            Ok(n) if n <= most => Ok(n),
            _ => Err(self.bad(key, &format!("a positive whole number of at most {most}"))),
        }
    }

    /// Positive numbers of at most `most` each; empty where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and something else, or there are more than `many`.
    pub fn counts(&self, key: &str, most: usize, many: usize) -> Result<Vec<usize>> {
        if self.is_absent(key) {
            return Ok(Vec::new());
        }
        let count = |value: &Value| {
            let n = usize::try_from(value.as_u64()?).ok()?;
            (1..=most).contains(&n).then_some(n)
        };
        let list = self.root.get(key).and_then(Value::as_array).filter(|list| list.len() <= many);
        list.and_then(|list| list.iter().map(count).collect()).ok_or_else(|| {
            let expected = format!("a list of at most {many} positive numbers up to {most}");
            self.bad(key, &expected)
        })
    }

    /// A string, or `None` where the key is absent or null.
    ///
    /// # Errors
    /// If it is there and not a string.
    pub fn string(&self, key: &str) -> Result<Option<&str>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(key, "a string")),
        }
    }

    /// The first of the class names that the checkpoint was saved with.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.root.get("architectures")?.as_array()?.first()?.as_str()
    }

    /// Whether a key is absent or null.
    #[must_use]
    pub fn is_absent(&self, key: &str) -> bool {
        self.root.get(key).is_none_or(Value::is_null)
    }

    /// The names of the labels in their order: `id2label`, else `num_labels` names `LABEL_i`, else
    /// two, which is what `transformers` does.
    ///
    /// # Errors
    /// If the ids are not 0, 1, 2, .. or the names are not strings.
    pub fn labels(&self) -> Result<Vec<String>> {
        let expected = "names for the ids 0, 1, 2 and so on";
        if self.is_absent("id2label") {
            let n = self.count_or("num_labels", 2)?;
            if n > 1 << 20 {
                return Err(self.bad("num_labels", "at most a million labels"));
            }
            return Ok((0..n).map(|i| format!("LABEL_{i}")).collect());
        }
        let Some(Value::Object(names)) = self.root.get("id2label") else {
            return Err(self.bad("id2label", expected));
        };
        let mut labels = vec![None; names.len()];
        for (id, name) in names {
            let slot = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id));
            match (slot, name.as_str()) {
                (Some(slot), Some(name)) => *slot = Some(name.to_owned()),
                _ => return Err(self.bad("id2label", expected)),
            }
        }
        let labels: Option<Vec<String>> = labels.into_iter().collect();
        labels.filter(|l| !l.is_empty()).ok_or_else(|| self.bad("id2label", expected))
    }

    /// An activation by its configuration name.
    ///
    /// # Errors
    /// If it is not one that is known.
    pub fn activation(&self, key: &str, default: &str) -> Result<Activation> {
        let name = self.string(key)?.unwrap_or(default);
        Activation::from_name(name)
            .ok_or_else(|| self.unsupported(key, "the name of a supported activation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config> {
        Config::parse("config.json".into(), json.as_bytes())
    }

    #[test]
    fn wrong_values_name_the_key_and_what_was_found() {
        let c = config(r#"{"hidden_size": -3, "eps": "x", "id2label": {"1": "a"}}"#).unwrap();
        let message = c.count("hidden_size").unwrap_err().to_string();
        assert_eq!(message, "config.json: hidden_size: expected a positive whole number, got -3");
        assert!(c.count("absent").unwrap_err().to_string().ends_with("got nothing"));
        assert!(c.number_or("eps", 1.0).is_err());
        assert!(c.labels().is_err());
        assert!(config("[]").is_err() && config("{").is_err());
        assert!(config(r#"{"n": 1e99}"#).unwrap().count("n").is_err());
    }

    #[test]
    fn labels_come_in_the_order_of_their_ids() {
        let c = config(r#"{"id2label": {"1": "b", "0": "a", "2": "c"}}"#).unwrap();
        assert_eq!(c.labels().unwrap(), ["a", "b", "c"]);
        assert_eq!(config("{}").unwrap().labels().unwrap(), ["LABEL_0", "LABEL_1"]);
        let c = config(r#"{"num_labels": 1}"#).unwrap();
        assert_eq!(c.labels().unwrap(), ["LABEL_0"]);
    }
}
