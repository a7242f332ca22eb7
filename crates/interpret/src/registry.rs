//! The list of methods: help, documentation, pages and tests read it.

use crate::error::{Error, Result};
use crate::method::{Method, MethodInfo};
use crate::options::Options;
use crate::perturb::occlusion;
use crate::saliency::{gradient, input_x_gradient, integrated_gradients, smoothgrad};

/// Every method. A new one is one line here and one file.
pub static METHODS: &[&Entry] = &[
    &gradient::ENTRY,
    &input_x_gradient::ENTRY,
    &integrated_gradients::ENTRY,
    &smoothgrad::ENTRY,
    &occlusion::ENTRY,
];

/// A method in the list.
pub struct Entry {
    /// What it is.
    pub info: &'static MethodInfo,
    /// Makes the method from what a user gave.
    pub build: fn(&Options) -> Result<Box<dyn Method>>,
    /// Makes the method as AllenNLP's code had it, if it had it.
    pub allennlp: Option<fn() -> Box<dyn Method>>,
}

impl Entry {
    /// Makes the method, after checking that it has every setting that was given.
    ///
    /// # Errors
    /// If a setting is unknown or has a value that it cannot have.
    pub fn method(&self, options: &Options) -> Result<Box<dyn Method>> {
        options.check(self.info)?;
        (self.build)(options)
    }
}

/// The method with an id.
///
/// # Errors
/// [`Error::UnknownMethod`] with the ids there are.
pub fn find(id: &str) -> Result<&'static Entry> {
    METHODS.iter().copied().find(|entry| entry.info.id == id).ok_or_else(|| {
        let known = METHODS.iter().map(|entry| entry.info.id).collect();
        Error::UnknownMethod { id: id.to_owned(), known }
    })
}
