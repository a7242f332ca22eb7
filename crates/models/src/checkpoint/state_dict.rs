//! The tensors of a pickled state dict, and the storages they lie in.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::pickle::{Global, Id, Pickle, PickleError, Value};
use super::tensor::RawType;
use super::view::{Entry, Source, View};
use crate::error::{Error, Result};

/// Where training scripts put the state dict when they save more than it.
const NESTED: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The most axes of a tensor. Names may share a tensor's description, so its size is bounded.
const MAX_AXES: usize = 8;

/// A storage that a pickle refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    /// The name under which the file holds it.
    pub(super) key: &'a str,
    /// The type of its numbers.
    pub(super) dtype: RawType,
    /// The number of its numbers.
    pub(super) numbers: usize,
    /// The part of it that this reference means: the first number, and how many.
    part: Option<(usize, usize)>,
}

/// Runs a pickle and puts the file's name to what goes wrong.
///
/// # Errors
/// If the pickle is damaged or asks for anything but a state dict.
pub(super) fn run<'a>(path: &Path, bytes: &'a [u8]) -> Result<Pickle<'a>> {
    Pickle::read(bytes).map_err(|error| match error {
        PickleError::Refused(global) => Error::RefusedGlobal { path: path.to_owned(), global },
        PickleError::Bad(what) => Error::weights(path, what),
    })
}

/// All storages that a pickle refers to, by key.
///
/// # Errors
/// If a reference is malformed, or if references to one storage disagree.
pub(super) fn storages<'a>(
    path: &Path,
    pickle: &Pickle<'a>,
) -> Result<BTreeMap<&'a str, Storage<'a>>> {
    let mut storages = BTreeMap::<_, Storage<'_>>::new();
    for value in pickle.values() {
        let &Value::Persistent(description) = value else { continue };
        let storage = storage(pickle, description)
            .ok_or_else(|| Error::weights(path, "bad pickle: a storage that is not described"))?;
        let known = storages.entry(storage.key).or_insert(storage);
        if (known.dtype, known.numbers) != (storage.dtype, storage.numbers) {
            return Err(Error::weights(
                path,
                format!("bad pickle: storage {:?} is described in two ways", storage.key),
            ));
        }
    }
    Ok(storages)
}

/// The tensors of the state dict, found in file number `file` of `file_size` bytes with the help of
/// `locate`, which tells where a storage lies.
///
/// # Errors
/// If the pickle is no state dict, or a tensor is not within its storage.
pub(super) fn entries(
    path: &Path,
    pickle: &Pickle<'_>,
    file: usize,
    file_size: usize,
    locate: impl Fn(&str) -> Option<Source>,
) -> Result<Vec<(String, Entry)>> {
    let mut views = HashMap::<Id, (Source, Arc<View>)>::new();
    let mut entries = Vec::new();
    for (key, tensor, arguments) in find_tensors(path, pickle)? {
        let name = pickle
            .text(key)
            .ok_or_else(|| Error::weights(path, "bad pickle: a tensor whose name is no string"))?;
        let (source, view) = match views.get(&tensor) {
            Some(known) => known.clone(),
            None => {
                let (source, view) = resolve(pickle, arguments, file_size, &locate)
                    .map_err(|what| Error::tensor(path, name, what))?;
                let made = (source, Arc::new(view));
                views.insert(tensor, made.clone());
                made
            }
        };
        entries.push((name.to_owned(), Entry { file, source, view }));
    }
    Ok(entries)
}

/// The state dict's tensors: the name, the tensor, its arguments.
fn find_tensors(path: &Path, pickle: &Pickle<'_>) -> Result<Vec<(Id, Id, Id)>> {
    let Value::Dict(top) = pickle.get(pickle.root) else {
        return Err(Error::weights(path, "expected a dict of tensors in the pickle"));
    };
    let tensors = |dict: &[(Id, Id)]| -> Vec<(Id, Id, Id)> {
        let tensor = |&(key, value)| match *pickle.get(value) {
            Value::Tensor(arguments) => Some((key, value, arguments)),
            _ => None,
        };
        dict.iter().filter_map(tensor).collect()
    };
    let nested = NESTED.iter().filter_map(|name| {
        let found = top.iter().find(|&&(key, _)| pickle.text(key) == Some(name));
        match pickle.get(found?.1) {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    });
    std::iter::once(top)
        .chain(nested)
        .map(|dict| tensors(dict))
        .find(|found| !found.is_empty())
        .ok_or_else(|| {
            Error::weights(
                path,
                format!(
                    "no tensors in the pickle; looked in its dict and in {}",
                    NESTED.join(", ")
                ),
            )
        })
}

fn resolve(
    pickle: &Pickle<'_>,
    arguments: Id,
    file_size: usize,
    locate: impl Fn(&str) -> Option<Source>,
) -> Result<(Source, View), String> {
    let malformed = || "it is not described as PyTorch does".to_owned();
    let Value::Tuple(arguments) = pickle.get(arguments) else { return Err(malformed()) };
    let [persistent, offset, shape, strides, ..] = arguments[..] else { return Err(malformed()) };
    // The seventh argument marks views whose numbers are negated or conjugated when read.
    if let Some(&metadata) = arguments.get(6)
        && matches!(pickle.get(metadata), Value::Dict(marks) if !marks.is_empty())
    {
        return Err("it is a negated or conjugated view".to_owned());
    }
    let &Value::Persistent(description) = pickle.get(persistent) else { return Err(malformed()) };
    let storage = storage(pickle, description).ok_or_else(malformed)?;
    let offset = pickle.size(offset).ok_or_else(malformed)?;
    let shape = sizes(pickle, shape)?;
    let strides = sizes(pickle, strides)?;

    let source = locate(storage.key)
        .ok_or_else(|| format!("its storage {:?} is not in the file", storage.key))?;
    let size = storage.dtype.size();
    let bytes = |numbers: usize| {
        numbers.checked_mul(size).ok_or_else(|| "its storage is too large to count".to_owned())
    };
    let total = bytes(storage.numbers)?;
    if total > source.len() {
        return Err(format!(
            "its storage {:?} has {} bytes; expected {total}",
            storage.key,
            source.len()
        ));
    }
    let (start, end) = match storage.part {
        None => (0, total),
        Some((first, count)) => {
            let (first, count) = (bytes(first)?, bytes(count)?);
            let end = first.checked_add(count).filter(|&end| end <= total);
            (first, end.ok_or("it lies in a part that its storage does not have")?)
        }
    };
    let offset = bytes(offset)?.checked_add(start).ok_or_else(malformed)?;
    let limit = file_size.max(source.len());
    let view = View::strided(storage.dtype, shape, strides, offset, end, limit)?;
    Ok((source, view))
}

/// Reads `("storage", type, key, location, numbers)`, to which old files add a part, or `None`.
fn storage<'a>(pickle: &Pickle<'a>, description: Id) -> Option<Storage<'a>> {
    let Value::Tuple(items) = pickle.get(description) else { return None };
    let (&[kind, dtype, key, _, numbers], rest) = items.split_first_chunk::<5>()?;
    if pickle.text(kind) != Some("storage") {
        return None;
    }
    let &Value::Global(Global::Storage(dtype)) = pickle.get(dtype) else { return None };
    let part = match rest.first().map(|&part| pickle.get(part)) {
        None | Some(Value::Other) => None,
        Some(Value::Tuple(part)) => {
            let [_, first, count] = part[..] else { return None };
            Some((pickle.size(first)?, pickle.size(count)?))
        }
        Some(_) => return None,
    };
    Some(Storage { key: pickle.text(key)?, dtype, numbers: pickle.size(numbers)?, part })
}

fn sizes(pickle: &Pickle<'_>, id: Id) -> Result<Vec<usize>, String> {
    let (Value::Tuple(items) | Value::List(items)) = pickle.get(id) else {
        return Err("its shape or its strides are not a tuple".to_owned());
    };
    if items.len() > MAX_AXES {
        return Err(format!("{} axes; expected at most {MAX_AXES}", items.len()));
    }
    items
        .iter()
        .map(|&item| pickle.size(item))
        .collect::<Option<_>>()
        .ok_or_else(|| "its shape or its strides are not sizes".to_owned())
}
