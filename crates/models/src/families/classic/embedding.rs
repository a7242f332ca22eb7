//! The section `embedding`.

use std::collections::HashMap;

use glossator_ops::Weight;

use super::encoder::{convolution, recurrent};
use super::{MAX_TOKENS, MAX_WIDTH, table};
use crate::blocks::convolution::Sight;
use crate::blocks::features::{Casing, CharacterReader, Characters, Features};
use crate::blocks::positions::sinusoids;
use crate::config::Config;
use crate::error::Result;
use crate::model::Task;
use crate::registry::Builder;

/// The largest alphabet.
const MAX_ALPHABET: usize = 1 << 16;
/// The most characters that are read of a token.
const MAX_CHARACTERS: usize = 1 << 10;
/// The most numbers in a table of sinusoids, which is made, not read.
const MAX_TABLE: usize = 1 << 26;

/// The section itself.
pub(super) fn section(builder: &Builder<'_>) -> Result<Config> {
    let config = builder.config;
    config.section("embedding")?.ok_or_else(|| config.bad("embedding", "an object"))
}

/// What is read of each token.
pub(super) fn features(builder: &Builder<'_>) -> Result<Features> {
    let (config, section) = (builder.config, section(builder)?);
    let words = section.section("words")?.ok_or_else(|| section.bad("words", "an object"))?;
    let size = words.count_within("size", MAX_WIDTH)?;
    let vocabulary = config.count("vocab_size")?;
    let words = table(builder, "embedding.words.weight", &[vocabulary, size])?;
    let characters = section.section("characters")?;
    let casing = section.section("casing")?;
    if builder.task.is_language_model() {
        let expected = "nothing: what a language model writes is known by its id alone";
        for (key, part) in [("characters", &characters), ("casing", &casing)] {
            if part.is_some() {
                return Err(section.bad(key, expected));
            }
        }
    }
    let casing = casing.map(|casing| {
        let size = casing.count_within("size", MAX_WIDTH)?;
        table(builder, "embedding.casing.weight", &[Casing::ALL.len(), size])
    });
    Ok(Features {
        words,
        characters: characters.map(|section| read_characters(builder, &section)).transpose()?,
        casing: casing.transpose()?,
    })
}

fn read_characters(builder: &Builder<'_>, section: &Config) -> Result<Characters> {
    let prefix = "embedding.characters";
    let alphabet = section.string("alphabet")?.unwrap_or_default();
    let expected = "a string of some different characters";
    // Rows 0 and 1 are no characters.
    let rows: HashMap<char, u32> = alphabet.chars().zip(2..).collect();
    let n = alphabet.chars().count();
    if n == 0 || n > MAX_ALPHABET || rows.len() != n {
        return Err(section.bad("alphabet", expected));
    }
    let size = section.count_within("size", MAX_WIDTH)?;
    let table = super::table(builder, &format!("{prefix}.weight"), &[n + 2, size])?;
    let most = if section.is_absent("most") {
        64
    } else {
        section.count_within("most", MAX_CHARACTERS)?
    };
    let reader = match section.string("kind")? {
        Some("cnn") => CharacterReader::Convolution(convolution(
            builder,
            section,
            prefix,
            size,
            Sight::Around,
        )?),
        Some("rnn" | "gru" | "lstm") => {
            CharacterReader::Recurrent(recurrent(builder, section, prefix, size, "hidden")?)
        }
        _ => return Err(section.unsupported("kind", "cnn, rnn, gru or lstm")),
    };
    let fill = if section.is_absent("fill") { 0 } else { section.count_within("fill", most)? };
    Ok(Characters { table, rows, reader, most, fill })
}

/// What is added to what the first layer reads, if the section says so, and how many positions
/// there are.
pub(super) fn positions(builder: &Builder<'_>, width: usize) -> Result<Option<Weight>> {
    let Some(section) = section(builder)?.section("positions")? else { return Ok(None) };
    let count = section.count_within("count", MAX_TOKENS)?;
    let shape = [count, width];
    Ok(Some(match section.string("kind")? {
        Some("learned") => table(builder, "embedding.positions.weight", &shape)?,
        Some("sinusoidal") if count.saturating_mul(width) <= MAX_TABLE => {
            builder.weights.constant(sinusoids(count, width), &shape)?
        }
        Some("sinusoidal") => return Err(section.bad("count", "fewer positions")),
        _ => return Err(section.unsupported("kind", "learned or sinusoidal")),
    }))
}

/// The most tokens that are read.
pub(super) fn max_tokens(builder: &Builder<'_>, positions: Option<&Weight>) -> Result<usize> {
    let limit = super::max_tokens(builder.config)?;
    Ok(positions.map_or(limit, |table| limit.min(table.shape()[0])))
}

/// Whether a task's layers may look ahead.
pub(super) fn sight(task: Task) -> Sight {
    if task == Task::CausalLm { Sight::Before } else { Sight::Around }
}
