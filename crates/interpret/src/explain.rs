//! The main entry: a model, a method, an input.

use glossator_models::{Encoding, Model};

use crate::error::Result;
use crate::method::{Attribution, Method};
use crate::predict::{Predicted, predict};
use crate::prediction::Prediction;
use crate::progress::{Progress, Silent};
use crate::subject::Subject;
use crate::target::{Quantity, Target, TargetSpec};
use crate::tasks::{self, AtInput, Input, TaskOptions};

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
    /// The input as the model read it: of a long context, the window with the answer.
    pub encoding: Encoding,
    /// What it says.
    pub prediction: Prediction,
    /// One for each independent decision: a classifier of texts makes one, one of tokens as many as
    /// there are entities, a language model one for each token.
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
    /// If the input lacks what the task needs, the target or quantity does not exist, or the
    /// method fails.
    pub fn explain_input(
        &self,
        input: &Input,
        options: &TaskOptions,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Answer> {
        let Predicted { encoding, prediction, pass } =
            predict(self.model, input, options, self.progress)?;
        self.decide(encoding, prediction, pass, spec, quantity)
    }

    /// Predicts and explains an input that is tokens already.
    ///
    /// # Errors
    /// As for [`Explainer::explain_input`].
    pub fn explain(
        &self,
        encoding: &Encoding,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Answer> {
        self.explain_encoding(encoding.clone(), &TaskOptions::default(), spec, quantity)
    }

    fn explain_encoding(
        &self,
        encoding: Encoding,
        options: &TaskOptions,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Answer> {
        let (prediction, pass) = tasks::predict(self.model, &encoding, options, self.progress)?;
        self.decide(encoding, prediction, Some(pass), spec, quantity)
    }

    /// Explains each decision of a prediction.
    fn decide(
        &self,
        encoding: Encoding,
        prediction: Prediction,
        mut pass: Option<AtInput>,
        spec: &TargetSpec,
        quantity: Quantity,
    ) -> Result<Answer> {
        let task = tasks::of(self.model);
        let targets = task.targets(self.model, &encoding, &prediction, spec, quantity)?;
        let tokens = encoding.tokens.len();
        let mut explanations = Vec::with_capacity(targets.len());
        for target in targets {
            let prefix = target.prefix.map(|count| encoding.prefix(count));
            let read = prefix.as_ref().unwrap_or(&encoding);
            let (prediction, pass) = (prediction.clone(), pass.take());
            let subject = Subject::of_target(
                self.model,
                read,
                target.clone(),
                prediction,
                pass,
                self.progress,
            )?;
            let mut attribution = self.method.attribute(&subject)?;
            // What comes after the prefix was not read: it did exactly nothing.
            attribution.scores.resize(tokens, 0.0);
            if let Some(errors) = &mut attribution.token_errors {
                errors.resize(tokens, 0.0);
            }
            explanations.push(Explanation { target, attribution });
        }
        Ok(Answer { encoding, prediction, explanations })
    }
}
