//! A method written outside of the crate: gradient times the distance from the mean embedding.
//!
//! `cargo run --release -p glossator-interpret --example custom_method -- "a text"`

#![expect(clippy::print_stdout, reason = "an example prints")]

use glossator_interpret::words::word_scores;
use glossator_interpret::{
    Attribution, Baseline, BaselineKind, Explainer, Method, MethodInfo, Quantity, Settings,
    SpecialTokens, Subject, TargetSpec,
};
use glossator_models::{BUNDLED, LoadOptions, load_bundled};

/// `(e_t - ē) · ∂F/∂e_t`: to first order, how much the output falls if a token becomes the mean
/// of all tokens, rather than nothing.
struct GradientXDeviation;

static INFO: MethodInfo = MethodInfo {
    id: "gradient-x-deviation",
    name: "Gradient x deviation",
    meaning: "How much the output would fall, to first order, if a token were the average token.",
    caution: "Exact only where the model is linear between the two.",
    citation: "this example",
    cost: "1 gradient",
    parameters: &[],
    allennlp: None,
};

impl Method for GradientXDeviation {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::new()
    }

    fn attribute(&self, subject: &Subject<'_>) -> glossator_interpret::Result<Attribution> {
        let mean = Baseline { kind: BaselineKind::Mean, special: Some(SpecialTokens::Replace) };
        let (mean, gradient) = (mean.embeddings(subject)?, subject.gradient()?);
        let deviations = subject.embeddings().iter().zip(&mean).map(|(x, mean)| x - mean);
        let terms: Vec<f64> = gradient.iter().zip(deviations).map(|(g, d)| g * d).collect();
        let scores = terms.chunks(subject.width()).map(|token| token.iter().sum()).collect();
        Ok(Attribution::new(scores, subject.output(), 1))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args().nth(1);
    let text = text.as_deref().unwrap_or("the plot is thin , yet i was never bored");
    let model = load_bundled(&BUNDLED[0], &LoadOptions::default())?;
    let encoding = model.encode(text, false)?;
    let explainer = Explainer::new(model.as_ref(), &GradientXDeviation);
    let answer = explainer.explain(&encoding, &TargetSpec::Predicted, Quantity::Logit)?;
    let label = &answer.prediction.labels()[answer.prediction.best()];
    println!("{}: {:.1} %", label.label, 100.0 * label.probability.unwrap_or(f64::NAN));
    let scores = &answer.explanations[0].attribution.scores;
    for word in word_scores(&encoding, scores).into_iter().flatten() {
        println!("{:+7.3}  {}", word.score, &text[word.span]);
    }
    Ok(())
}
