//! Looking at attention, and then changing it to see whether it matters.
//!
//! ```sh
//! cargo run --release -p glossator-models --example attention
//! cargo run --release -p glossator-models --example attention -- "an unfunny , lazy film" 5
//! ```
//!
//! The arguments are a text and a layer. What a picture of attention shows is where a layer *reads*;
//! whether the prediction depends on it is another question, which an intervention and a gradient
//! answer. All three are a few lines each: a [`Trace`] is handed to one forward pass and says what
//! to keep, what to change and what to differentiate there.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;

use glossator_models::{Batch, LoadOptions, Model, Site, Tensor, Token, Trace, Var, load};
use glossator_ops::{DType, Device, gradient, softmax};

/// Links that are printed of each kind.
const SHOWN: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    // The model that comes with the program, from its directory; `load` takes any directory that a
    // Hugging Face model was saved to. (`load_bundled` has it inside the binary.)
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sentiment-en");
    let model = load(&directory, &LoadOptions::default())?;

    let mut arguments = std::env::args().skip(1);
    let text = arguments.next().unwrap_or_else(|| "not funny , but never dull".to_owned());
    let layer = arguments.next().map_or(Ok(2), |layer| layer.parse())?;
    let site = Site::AttentionProbabilities(layer);

    // A batch of one text. Several texts, of any lengths, go through the model side by side.
    let encoding = model.encode(&text, false)?;
    let batch = Batch::new(&[&encoding], model.pad_id());

    // A variable, so that gradients flow: they are what the forward pass is differentiated by.
    let embeddings = Var::from_tensor(&model.embed(&batch)?)?;

    // 1. Look: keep the probabilities of one layer, and the gradient that will arrive there.
    let mut trace = Trace::new().keep(site).gradient_at(site);
    let output = model.forward(&embeddings, &batch, &mut trace)?;
    let attention = trace.value(site)?.clone(); // [batch, heads, queries, keys]

    println!("{text}\n");
    let before = report(&*model, "as it is", &output.logits)?;

    println!("\nLayer {layer} reads most, as a mean over its {} heads:", model.info().heads);
    let mean = attention.mean(1)?.get(0)?;
    print_links(&encoding.tokens, &mean, |share| format!("{:3.0} %", 100.0 * share))?;

    // 2. Does it matter? Let every token read all tokens alike, in this layer only. `replace` puts
    // a constant there; `edit` takes a function of the value instead.
    let n = batch.tokens();
    let uniform = Tensor::full(1.0 / n as f32, attention.shape(), &Device::Cpu)?;
    let mut intervention = Trace::new().replace(site, uniform);
    let changed = model.forward(&embeddings, &batch, &mut intervention)?;

    println!();
    let after = report(&*model, "with uniform attention", &changed.logits)?;
    println!("    a change of {:+.1} points", 100.0 * (after - before));

    // 3. Which links matter? The gradient of the predicted logit says how much a little more of a
    // link would raise it; times the link itself, what the link contributes, to first order.
    let logits = values(&output.logits)?;
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
    gradient(&output.logits.narrow(1, best, 1)?, &embeddings)?;
    let contributions = (trace.gradient(site)? * &attention)?.sum(1)?.get(0)?;

    println!("\nLinks that speak most for or against {:?}:", model.info().labels.names[best]);
    print_links(&encoding.tokens, &contributions, |x| format!("{x:+.3}"))?;
    Ok(())
}

/// Prints the probability of the last label, and returns it.
fn report(model: &dyn Model, how: &str, logits: &Tensor) -> Result<f64, Box<dyn Error>> {
    let probabilities = values(&softmax(logits)?)?;
    let (label, p) =
        model.info().labels.names.iter().zip(probabilities).next_back().ok_or("no labels")?;
    println!("{label}: {:.1} % {how}", 100.0 * p);
    Ok(p)
}

/// Prints the largest of the links `[queries, keys]`, by absolute value. Those to special tokens are
/// left out: heads that look for something which a text does not have look at `[CLS]`.
fn print_links(
    tokens: &[Token],
    links: &Tensor,
    number: impl Fn(f64) -> String,
) -> Result<(), Box<dyn Error>> {
    let mut links: Vec<(usize, f64)> = values(links)?.into_iter().enumerate().collect();
    links.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let pair = |i| (&tokens[i / tokens.len()], &tokens[i % tokens.len()]);
    let shown = links.into_iter().filter(|&(i, _)| !pair(i).1.special).take(SHOWN);
    for (i, link) in shown {
        let (query, key) = pair(i);
        println!("  {:>12} reads {:<12} {}", query.text, key.text, number(link));
    }
    Ok(())
}

fn values(x: &Tensor) -> Result<Vec<f64>, Box<dyn Error>> {
    Ok(x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}
