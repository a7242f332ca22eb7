//! Rotary settings out of a configuration, of files old and new.

use std::sync::Arc;

use crate::blocks::positions::RotarySettings;
use crate::config::Config;
use crate::error::Result;

/// Where a configuration keeps the settings of one kind of layer.
#[derive(Clone, Copy)]
pub(super) struct RopeKeys {
    /// The kind of layer inside `rope_parameters`, where kinds differ.
    pub(super) kind: Option<&'static str>,
    /// The base in files that have no `rope_parameters`.
    pub(super) base: &'static str,
    /// The base where no key names it.
    pub(super) default_base: f64,
    /// Whether `rope_scaling` of old files is about this kind.
    pub(super) scaled: bool,
}

impl RopeKeys {
    /// For families whose layers are all of one kind.
    pub(super) const USUAL: Self =
        Self { kind: None, base: "rope_theta", default_base: 10_000.0, scaled: true };
}

/// No published model comes near.
const MAX_WIDTH: usize = 1 << 16;

/// The rotations of the first `width` elements of a head.
pub(super) fn rotary(config: &Config, keys: RopeKeys, width: usize) -> Result<Arc<RotarySettings>> {
    // Before anything of that size is made.
    if width > MAX_WIDTH {
        return Err(config.contradiction(format!("heads of {width} elements are not supported")));
    }
    let mut section = config.section("rope_parameters")?;
    if let (Some(all), Some(kind)) = (&section, keys.kind)
        && let Some(own) = all.section(kind)?
    {
        section = Some(own);
    }
    let old = if keys.scaled { config.section("rope_scaling")? } else { None };
    let base = match &section {
        Some(section) if !section.is_absent("rope_theta") => {
            section.number_or("rope_theta", keys.default_base)?
        }
        _ => config.number_or(keys.base, keys.default_base)?,
    };
    let mut frequencies: Vec<f64> =
        (0..width / 2).map(|i| base.powf(-2.0 * i as f64 / width as f64)).collect();
    // GGUF files hold Llama 3's scaling as the factors that come of it.
    if let Some(section) = &section
        && let Some(factors) = section.numbers("frequency_factors")?
    {
        if factors.len() != frequencies.len() {
            let what = format!("expected {} frequency_factors", frequencies.len());
            return Err(config.contradiction(what));
        }
        frequencies.iter_mut().zip(factors).for_each(|(frequency, factor)| *frequency /= factor);
    }
    let Some(scaling) = section.or(old) else {
        return Ok(Arc::new(RotarySettings { frequencies, scale: 1.0 }));
    };
    let kind = match scaling.string("rope_type")? {
        Some(kind) => kind,
        None => scaling.string("type")?.unwrap_or("default"),
    };
    let settings = match kind {
        // Dynamic scaling begins beyond the length that texts are held to.
        "default" | "dynamic" => RotarySettings { frequencies, scale: 1.0 },
        "linear" => {
            let factor = scaling.number_or("factor", 1.0)?.max(f64::MIN_POSITIVE);
            let frequencies = frequencies.iter().map(|f| f / factor).collect();
            RotarySettings { frequencies, scale: 1.0 }
        }
        "llama3" => {
            RotarySettings { frequencies: llama3(config, &scaling, &frequencies)?, scale: 1.0 }
        }
        "yarn" => yarn(config, &scaling, &frequencies, base)?,
        _ => {
            let expected = "default, linear, dynamic, llama3 or yarn";
            return Err(scaling.unsupported("rope_type", expected));
        }
    };
    Ok(Arc::new(settings))
}

fn original_length(config: &Config, scaling: &Config) -> Result<f64> {
    let default = config.count_or("max_position_embeddings", 2048)?;
    Ok(scaling.count_or("original_max_position_embeddings", default)? as f64)
}

/// Slow rotations are slowed down by a factor, fast ones are left, those between blend (Llama 3.1,
/// arXiv 2407.21783, section 3.4.2).
fn llama3(config: &Config, scaling: &Config, frequencies: &[f64]) -> Result<Vec<f64>> {
    let factor = scaling.number_or("factor", 8.0)?.max(f64::MIN_POSITIVE);
    let low = scaling.number_or("low_freq_factor", 1.0)?;
    let high = scaling.number_or("high_freq_factor", 4.0)?;
    let length = original_length(config, scaling)?;
    let scaled = |&f: &f64| {
        let turns = length * f / std::f64::consts::TAU;
        if turns > high {
            f
        } else if turns < low {
            f / factor
        } else {
            let smooth = (turns - low) / (high - low);
            (1.0 - smooth) * f / factor + smooth * f
        }
    };
    Ok(frequencies.iter().map(scaled).collect())
}

/// YaRN (Peng et al. 2023, arXiv 2309.00071, section 3.2 and equation 15).
fn yarn(
    config: &Config,
    scaling: &Config,
    frequencies: &[f64],
    base: f64,
) -> Result<RotarySettings> {
    let factor = scaling.number_or("factor", 1.0)?.max(f64::MIN_POSITIVE);
    let length = original_length(config, scaling)?;
    let width = 2.0 * frequencies.len() as f64;
    let dimension =
        |turns: f64| width * (length / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln());
    let mut low = dimension(scaling.number_or("beta_fast", 32.0)?);
    let mut high = dimension(scaling.number_or("beta_slow", 1.0)?);
    if scaling.flag_or("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(width - 1.0));
    if low == high {
        high += 0.001;
    }
    let blend = |(i, f): (usize, &f64)| {
        let slowed = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        f / factor * slowed + f * (1.0 - slowed)
    };
    let usual = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
    Ok(RotarySettings {
        frequencies: frequencies.iter().enumerate().map(blend).collect(),
        scale: scaling.number_or("attention_factor", usual)?,
    })
}
