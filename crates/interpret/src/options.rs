//! Settings as a user writes them: names and values, checked by the method that takes them.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::method::MethodInfo;

/// The settings that a user gave. What was not given takes the method's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
}

impl Options {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a setting.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// The names that were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Checks that the method has every setting that was given.
    ///
    /// # Errors
    /// [`Error::UnknownSetting`] with the first that it does not have.
    pub fn check(&self, info: &'static MethodInfo) -> Result<()> {
        let known = |name: &str| info.parameters.iter().any(|p| p.name == name);
        match self.names().find(|name| !known(name)) {
            Some(name) => Err(Error::UnknownSetting { method: info.id, setting: name.to_owned() }),
            None => Ok(()),
        }
    }

    /// A setting's text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A setting, or its default.
    ///
    /// # Errors
    /// If it cannot be read as a `T` that `valid` accepts; `expected` says what would do.
    pub fn get<T: FromStr>(
        &self,
        name: &str,
        default: T,
        expected: &str,
        valid: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse().ok().filter(valid).ok_or_else(|| Error::BadSetting {
            setting: name.to_owned(),
            expected: expected.to_owned(),
            got: text.to_owned(),
        })
    }

    /// A switch: given without a value, or as `true` or `false`.
    ///
    /// # Errors
    /// If it has another value.
    pub fn switch(&self, name: &str) -> Result<bool> {
        self.get(name, false, "true or false", |_| true)
    }

    /// One of several choices by their names, or the default.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        let Some(text) = self.text(name) else { return Ok(default) };
        choices.iter().find(|(id, _)| *id == text).map(|(_, value)| *value).ok_or_else(|| {
            let ids: Vec<_> = choices.iter().map(|(id, _)| *id).collect();
            Error::BadSetting {
                setting: name.to_owned(),
                expected: ids.join(", "),
                got: text.to_owned(),
            }
        })
    }
}
