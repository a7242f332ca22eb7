//! The vanilla gradient.

use crate::error::Result;
use crate::method::{Attribution, Method, MethodInfo, Setting, Settings};
use crate::options::Options;
use crate::registry::Entry;
use crate::saliency::reduction::{REDUCTION, Reduction, dot_rows, rounding_note, shares};
use crate::subject::Subject;

/// `‖∂F/∂e_t‖` for each token t: how much F would change, to first order, if the token's
/// embedding moved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gradient {
    /// How a token's vector becomes a number.
    pub reduction: Reduction,
}

static INFO: MethodInfo = MethodInfo {
    id: "gradient",
    name: "Gradient",
    meaning: "How much the output would move, to first order, if a token's embedding moved: the \
              norm of the gradient, without a direction.",
    caution: "Says how sensitive the output is to a token, not what the token contributed; \
              saturated outputs have small gradients everywhere.",
    citation: "Simonyan, Vedaldi & Zisserman 2014, arXiv:1312.6034",
    cost: "1 gradient",
    parameters: &[REDUCTION],
    allennlp: Some("|gradient . embedding| of the loss, as shares of their sum"),
};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: &INFO,
    build: |options: &Options| {
        Ok(Box::new(Gradient { reduction: Reduction::from_options(options)? }))
    },
    allennlp: Some(|| Box::new(AllenNlp)),
};

impl Method for Gradient {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("reduction", self.reduction.id().into())])
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let gradient = subject.gradient()?;
        let scores = self.reduction.apply(&gradient, subject.width());
        let note = match self.reduction {
            Reduction::Sum => rounding_note(&gradient, &scores, subject.width()),
            Reduction::L2 => None,
        };
        let mut attribution = Attribution::new(scores, subject.output(), 1);
        attribution.magnitudes = self.reduction == Reduction::L2;
        attribution.notes.extend(note);
        Ok(attribution)
    }
}

/// AllenNLP's `simple-gradient`: gradient times input, magnitudes as shares of their sum. Without
/// the defect of its versions 1.2.1 to 2.10, which multiplied by the first token's embedding.
struct AllenNlp;

impl Method for AllenNlp {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([("preset", Setting::from("allennlp"))])
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let mut scores = dot_rows(&subject.gradient()?, subject.embeddings(), subject.width());
        shares(&mut scores);
        let mut attribution = Attribution::new(scores, subject.output(), 1);
        attribution.magnitudes = true;
        Ok(attribution)
    }
}
