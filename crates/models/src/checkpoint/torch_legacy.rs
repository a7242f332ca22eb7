//! PyTorch files before 1.6: pickles and storages one after the other.
//!
//! ```text
//! pickle    the magic number
//! pickle    the version, 1001
//! pickle    a dict about the machine that wrote it
//! pickle    the state dict; tensors refer to storages by key
//! pickle    the list of the keys
//! for each key: the number of numbers (8 bytes), then the numbers
//! ```

use std::collections::HashMap;
use std::path::Path;

use super::pickle::{Pickle, Value};
use super::state_dict;
use super::view::{Entry, Source};
use crate::error::{Error, Result};

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const VERSION: i128 = 1001;
/// The pickle of the magic number, after its opcodes for protocol and frame.
const MAGIC_PICKLE: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Whether a file begins with the magic number. Before it stands the pickle's protocol, and from
/// protocol 4 on the length of a frame.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    let head = bytes.get(..2 + 9 + MAGIC_PICKLE.len()).unwrap_or(bytes);
    head.first() == Some(&0x80)
        && head.windows(MAGIC_PICKLE.len()).any(|window| window == MAGIC_PICKLE)
}

/// Reads the names and places of the tensors of `bytes`, the content of `path`, which becomes file
/// number `file`.
///
/// # Errors
/// If the file is damaged, or its pickle asks for anything but a state dict.
pub(super) fn read(path: &Path, bytes: &[u8], file: usize) -> Result<Vec<(String, Entry)>> {
    let mut at = 0;
    let magic = next(path, bytes, &mut at)?;
    expect_int(path, &magic, MAGIC, "magic number")?;
    let version = next(path, bytes, &mut at)?;
    expect_int(path, &version, VERSION, "version of the format")?;
    let machine = next(path, bytes, &mut at)?;
    if let Value::Dict(facts) = machine.get(machine.root) {
        let big = facts.iter().any(|&(key, value)| {
            machine.text(key) == Some("little_endian") && *machine.get(value) == Value::Bool(false)
        });
        if big {
            return Err(Error::weights(path, "byte order: expected little, got big"));
        }
    }
    let state = next(path, bytes, &mut at)?;
    let keys = next(path, bytes, &mut at)?;

    let described = state_dict::storages(path, &state)?;
    let mut sources = HashMap::new();
    let Value::List(list) = keys.get(keys.root) else {
        return Err(Error::weights(path, "expected a list of storages"));
    };
    for &key in list {
        let key = keys
            .text(key)
            .ok_or_else(|| Error::weights(path, "a storage whose key is no string"))?;
        let bad = |what: String| Error::weights(path, format!("storage {key:?}: {what}"));
        let storage = described
            .get(key)
            .ok_or_else(|| bad("its type is unknown: no tensor uses it".to_owned()))?;
        let count = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|count| u64::from_le_bytes(*count))
            .ok_or_else(|| bad("truncated before its length".to_owned()))?;
        if count != storage.numbers as u64 {
            return Err(bad(format!("expected {} numbers, got {count}", storage.numbers)));
        }
        let start = at + 8;
        let end = storage
            .numbers
            .checked_mul(storage.dtype.size())
            .and_then(|size| start.checked_add(size))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| bad("truncated".to_owned()))?;
        if sources.insert(key, start..end).is_some() {
            return Err(bad("it stands twice".to_owned()));
        }
        at = end;
    }
    state_dict::entries(path, &state, file, bytes.len(), |key| {
        Some(Source { storage: sources.get(key)?.clone(), inflated: None })
    })
}

/// Runs the pickle at `at` and moves past it.
fn next<'a>(path: &Path, bytes: &'a [u8], at: &mut usize) -> Result<Pickle<'a>> {
    let pickle = state_dict::run(path, bytes.get(*at..).unwrap_or_default())?;
    *at += pickle.length;
    Ok(pickle)
}

fn expect_int(path: &Path, pickle: &Pickle<'_>, expected: i128, what: &str) -> Result<()> {
    match pickle.get(pickle.root) {
        Value::Int(got) if *got == expected => Ok(()),
        got => Err(Error::weights(path, format!("{what}: expected {expected}, got {got:?}"))),
    }
}
