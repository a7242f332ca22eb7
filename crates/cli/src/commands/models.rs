//! `glossator models`

use std::fmt::Write as _;

use glossator_models::{BUNDLED, FAMILIES, LoadOptions, load_bundled};

use crate::commands::methods::print;
use crate::exit::{Exit, Stop};

pub(crate) fn run() -> Result<Exit, Stop> {
    let mut out = String::from("Bundled models (--model NAME):\n");
    for bundled in BUNDLED {
        let model = load_bundled(bundled, &LoadOptions::default())?;
        let info = model.info();
        let _ = writeln!(
            out,
            "  {}  {}\n      {} of family {}, {} layers, {} wide, {:.1} M parameters, at most {} \
             tokens\n      labels: {}",
            bundled.id,
            bundled.summary,
            info.task.id(),
            info.family,
            info.layers,
            info.width,
            info.parameters as f64 / 1e6,
            info.max_tokens,
            info.labels.names.join(", "),
        );
    }
    out.push_str("\nFamilies (--model DIR, a Hugging Face model directory):\n");
    for family in FAMILIES {
        let architectures = family.architectures.join(", ");
        let _ = writeln!(out, "  {}  {}: {architectures}", family.id, family.name);
    }
    print(&out)
}
