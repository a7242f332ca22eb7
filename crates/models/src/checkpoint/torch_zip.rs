//! PyTorch files since 1.6: a zip archive with a pickle and one entry per storage.
//!
//! ```text
//! name/data.pkl     the state dict; tensors refer to storages by number
//! name/byteorder    "little" or "big"; absent in files of before 2.1, which are little endian
//! name/data/0       the bytes of storage 0, stored without compression
//! ```

use std::path::Path;

use super::bytes::Bytes;
use super::state_dict;
use super::view::{self, Entry, Source};
use super::zip::{self, ZipEntry};
use crate::error::{Error, Result};

/// The largest pickle: PyTorch needs about 200 bytes for a tensor.
const MAX_PICKLE: usize = 64 << 20;
const PICKLE: &str = "/data.pkl";

/// Whether a file begins as an archive does.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(zip::LOCAL_HEADER)
}

/// Reads the names and places of the tensors of `bytes`, the content of `path`, which becomes file
/// number `file`.
///
/// # Errors
/// If the archive or its pickle is damaged, or the pickle asks for anything but a state dict.
pub(super) fn read(path: &Path, bytes: &Bytes, file: usize) -> Result<Vec<(String, Entry)>> {
    let archive = zip::read(bytes.as_slice()).map_err(|what| Error::weights(path, what))?;
    let mut pickles = archive
        .iter()
        .filter_map(|(name, entry)| Some((name.strip_suffix(PICKLE)?, entry)))
        .filter(|(prefix, _)| !prefix.contains('/'));
    let Some((prefix, pickle)) = pickles.next() else {
        return Err(Error::weights(path, "not a PyTorch file: the archive has no data.pkl"));
    };
    if pickles.next().is_some() {
        return Err(Error::weights(path, "the archive has more than one data.pkl"));
    }
    if archive.contains_key(&format!("{prefix}/constants.pkl")) {
        return Err(Error::weights(path, "expected a state dict, got a TorchScript program"));
    }
    if let Some(order) = archive.get(&format!("{prefix}/byteorder")) {
        let order = load(path, "byteorder", bytes, order, 64)?;
        if order.as_slice() != b"little" {
            let order = String::from_utf8_lossy(order.as_slice()).into_owned();
            return Err(Error::weights(
                path,
                format!("byte order: expected little, got {order:?}"),
            ));
        }
    }
    let pickle = load(path, "data.pkl", bytes, pickle, MAX_PICKLE)?;
    let pickle = state_dict::run(path, pickle.as_slice())?;
    state_dict::entries(path, &pickle, file, bytes.len(), |key| {
        archive.get(&format!("{prefix}/data/{key}")).map(source)
    })
}

fn source(entry: &ZipEntry) -> Source {
    Source { storage: entry.stored.clone(), inflated: entry.inflated }
}

/// Reads a small entry.
fn load(path: &Path, name: &str, bytes: &Bytes, entry: &ZipEntry, limit: usize) -> Result<Bytes> {
    let source = source(entry);
    if source.len() > limit {
        let what = format!("{name} has {} bytes; expected at most {limit}", source.len());
        return Err(Error::weights(path, what));
    }
    view::load(path, name, bytes, &source)
}
