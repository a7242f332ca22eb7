//! Gradient times input.

use crate::error::Result;
use crate::method::{Attribution, Method, MethodInfo, Settings};
use crate::registry::Entry;
use crate::saliency::reduction::dot_rows;
use crate::subject::Subject;

/// `e_t · ∂F/∂e_t` for each token t, signed.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputXGradient;

static INFO: MethodInfo = MethodInfo {
    id: "input-x-gradient",
    name: "Input x gradient",
    meaning: "How much the output would fall, to first order, if a token's embedding were shrunk \
              to zero: positive scores speak for the output, negative against.",
    caution: "Exact only where the model is linear between the embedding and zero; integrated \
              gradients follow the whole way.",
    citation: "Shrikumar, Greenside, Shcherbina & Kundaje 2016, arXiv:1605.01713",
    cost: "1 gradient",
    parameters: &[],
    allennlp: None,
};

/// The registry's entry.
pub static ENTRY: Entry =
    Entry { info: &INFO, build: |_| Ok(Box::new(InputXGradient)), allennlp: None };

impl Method for InputXGradient {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::new()
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let scores = dot_rows(&subject.gradient()?, subject.embeddings(), subject.width());
        Ok(Attribution::new(scores, subject.output(), 1))
    }
}
