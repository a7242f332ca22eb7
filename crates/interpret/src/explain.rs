//! The main entry: a model, a method, an input.

use glossator_models::{Encoding, Model};

use crate::error::Result;
use crate::method::{Attribution, Method};
use crate::prediction::Prediction;
use crate::progress::{Progress, Silent};
use crate::subject::Subject;
use crate::target::{Quantity, Target, TargetSpec};

/// Explains inputs with one method.
#[derive(Clone, Copy)]
pub struct Explainer<'a> {
    model: &'a dyn Model,
    method: &'a dyn Method,
    progress: &'a dyn Progress,
}

/// What the model says of an input, and why.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it says.
    pub prediction: Prediction,
    /// One for each independent decision; a classifier makes one.
    pub explanations: Vec<Explanation>,
}

/// Why the model said one thing.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What is explained.
    pub target: Target,
    /// The scores.
    pub attribution: Attribution,
}

impl<'a> Explainer<'a> {
    /// An explainer that reports no progress.
    #[must_use]
    pub fn new(model: &'a dyn Model, method: &'a dyn Method) -> Self {
        Self { model, method, progress: &Silent }
    }

    /// The same with progress reported.
    #[must_use]
    pub fn with_progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Predicts and explains one input.
    ///
    /// Inputs are independent: to explain many, call this from several threads, each under
    /// [`glossator_ops::threads::serial`].
    ///
    /// # Errors
    /// If the target or quantity does not exist, or the method fails.
    pub fn explain(
        &self,
        encoding: &Encoding,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Answer> {
        let subject = Subject::new(self.model, encoding, spec, quantity, self.progress)?;
        let attribution = self.method.attribute(&subject)?;
        let explanation = Explanation { target: subject.target(), attribution };
        Ok(Answer { prediction: subject.prediction().clone(), explanations: vec![explanation] })
    }
}
