//! The GGUF format of llama.cpp: metadata, a list of tensors, then their numbers, often quantised.
//!
//! One file holds what a Hugging Face directory has three for. The weights get the names, the order
//! of rows and the numbers that transformers gives them (`names`), and the metadata becomes a
//! configuration (`config`); the tokenizer is made of it in `text/gguf.rs`.
//!
//! # References
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod config;
mod cursor;
mod metadata;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::cursor::Cursor;
pub(crate) use self::metadata::Metadata;
use self::names::Architecture;
use super::blocks::BlockType;
use super::bytes::{self, Bytes};
use super::tensor::RawType;
use super::view::{Change, Entry, Source, View, byte_size};
use super::{Checkpoint, WeightFile};
use crate::config::Config;
use crate::error::{Error, Result, clip};

const MAGIC: &[u8; 4] = b"GGUF";

/// The tensors of a file. The largest models in use have some two thousand.
const MAX_TENSORS: u64 = 1 << 16;

/// The format's own limit.
const MAX_AXES: u32 = 4;

/// A GGUF file whose metadata and list of tensors have been checked.
#[derive(Debug)]
pub(crate) struct Gguf<'a> {
    metadata: Metadata<'a>,
    architecture: Architecture,
    tensors: BTreeMap<&'a str, Info>,
}

/// One tensor, under the name in the file.
#[derive(Debug)]
struct Info {
    shape: Vec<usize>,
    dtype: RawType,
    /// The bytes in the file.
    start: usize,
    end: usize,
}

/// Maps a GGUF file into memory.
///
/// # Errors
/// If it cannot be opened, or is empty or only a stand-in.
pub(crate) fn map(path: &Path) -> Result<Bytes> {
    bytes::map_file(path)
}

/// The GGUF file that a path means: itself, or the only one in a directory without a
/// `config.json`.
///
/// # Errors
/// If there are several, or if the directory cannot be read.
pub(crate) fn find(path: &Path) -> Result<Option<PathBuf>> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if metadata.is_file() {
        return Ok((is_gguf(path) || begins_with_magic(path)).then(|| path.to_owned()));
    }
    if !metadata.is_dir() || bytes::exists(&path.join("config.json"))? {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let entry = entry.map_err(|error| Error::io(path, error))?.path();
        if is_gguf(&entry) {
            found.push(entry);
        }
    }
    found.sort_unstable();
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        count => {
            let first = found.swap_remove(0);
            Err(Error::SeveralModels { dir: path.to_owned(), count, first })
        }
    }
}

fn begins_with_magic(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 4];
    let file = std::fs::File::open(path);
    file.and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}

/// The type of a tensor by its number in the file.
fn dtype(number: u32) -> Option<RawType> {
    Some(match number {
        0 => RawType::F32,
        1 => RawType::F16,
        2 => RawType::Blocks(BlockType::Q4_0),
        3 => RawType::Blocks(BlockType::Q4_1),
        6 => RawType::Blocks(BlockType::Q5_0),
        7 => RawType::Blocks(BlockType::Q5_1),
        8 => RawType::Blocks(BlockType::Q8_0),
        10 => RawType::Blocks(BlockType::Q2K),
        11 => RawType::Blocks(BlockType::Q3K),
        12 => RawType::Blocks(BlockType::Q4K),
        13 => RawType::Blocks(BlockType::Q5K),
        14 => RawType::Blocks(BlockType::Q6K),
        24 => RawType::I8,
        25 => RawType::I16,
        26 => RawType::I32,
        27 => RawType::I64,
        28 => RawType::F64,
        30 => RawType::BF16,
        _ => return None,
    })
}

/// The name of a type that is not read, for messages.
fn foreign_type(number: u32) -> String {
    let name = match number {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        _ => return format!("number {number}"),
    };
    name.to_owned()
}

impl<'a> Gguf<'a> {
    /// Reads the metadata and the list of tensors of `bytes`, the content of `path`.
    ///
    /// # Errors
    /// If they break a rule of the format, or are of a model that is not supported.
    pub(crate) fn read(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let bad = |what: String| Error::weights(path, what);
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.array::<4>().map_err(bad)?;
        if magic != *MAGIC {
            return Err(bad("not a GGUF file: its first bytes are not \"GGUF\"".to_owned()));
        }
        let version = cursor.u32().map_err(bad)?;
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(bad("a big endian file; expected little endian".to_owned()));
            }
            _ => return Err(bad(format!("expected version 2 or 3 of GGUF, got {version}"))),
        }
        let count = cursor.u64().map_err(bad)?;
        let keys = cursor.u64().map_err(bad)?;
        if count > MAX_TENSORS {
            return Err(bad(format!("{count} tensors; expected at most {MAX_TENSORS}")));
        }
        let metadata = Metadata::read(path, &mut cursor, keys)?;
        if metadata.whole("split.count")?.unwrap_or(1) > 1 {
            return Err(metadata.unsupported("split.count", "a model in one file"));
        }
        let architecture = Architecture::of(&metadata)?;
        let tensors = read_infos(path, &metadata, cursor, count, bytes.len())?;
        Ok(Self { metadata, architecture, tensors })
    }

    /// The metadata.
    pub(crate) fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The configuration, as transformers would write it.
    ///
    /// # Errors
    /// If the metadata lacks a value, or asks for something that is not supported.
    pub(crate) fn config(&self, bytes: &[u8]) -> Result<Config> {
        config::write(self, bytes)
    }

    /// The weights; `bytes` are those that this was read from.
    ///
    /// # Errors
    /// If a tensor's shape does not fit the number of heads, or if one stands twice.
    pub(crate) fn checkpoint(&self, bytes: &Bytes) -> Result<Checkpoint> {
        let path = self.metadata.path();
        let mut checkpoint = Checkpoint::empty(path.to_owned());
        for (&name, info) in &self.tensors {
            let change = self.change(name, info)?;
            let source = Source { storage: info.start..info.end, inflated: None };
            let view = View::changed(info.dtype, info.shape.clone(), change).into();
            let name = names::rename(self.architecture, name);
            checkpoint.add_tensor(name, Entry { file: 0, source, view })?;
        }
        checkpoint.files.push(WeightFile { path: path.to_owned(), bytes: bytes.clone() });
        Ok(checkpoint)
    }

    /// What llama.cpp's converter did to a tensor.
    fn change(&self, name: &str, info: &Info) -> Result<Change> {
        let bad = |what: String| Error::tensor(self.metadata.path(), name, what);
        if self.architecture.norms_plus_one() && name.ends_with("norm.weight") {
            return match info.dtype {
                RawType::F32 => Ok(Change::PlusOne),
                other => Err(bad(format!("expected F32 numbers for a norm, got {other}"))),
            };
        }
        let key = match names::alternating(self.architecture, name) {
            None => return Ok(Change::None),
            Some(names::Heads::Queries) => config::QUERY_HEADS,
            Some(names::Heads::Keys) => config::KEY_HEADS,
        };
        let heads = config::heads(&self.metadata, self.architecture, key)?;
        let rows = info.shape.first().copied().unwrap_or(1);
        let fits = heads.checked_mul(2).is_some_and(|unit| rows % unit == 0);
        // A row has to be a whole number of bytes: a list of numbers cannot be quantised.
        if !fits || (info.shape.len() < 2 && info.dtype.block() > 1) {
            let what = format!("expected an even number of rows for each of {heads} heads");
            return Err(bad(format!("{what}, got shape {:?}", info.shape)));
        }
        Ok(Change::Alternating(heads))
    }
}

fn read_infos<'a>(
    path: &Path,
    metadata: &Metadata<'_>,
    mut cursor: Cursor<'a>,
    count: u64,
    total: usize,
) -> Result<BTreeMap<&'a str, Info>> {
    let bad = |what: String| Error::weights(path, what);
    let mut infos = BTreeMap::new();
    for i in 0..count {
        let name = cursor.string().map_err(|what| bad(format!("tensor {i}: {what}")))?;
        let name = std::str::from_utf8(name)
            .map_err(|_| bad(format!("tensor {i}: expected a name in UTF-8, got other bytes")))?;
        let info = read_info(path, name, &mut cursor)?;
        if infos.insert(name, info).is_some() {
            return Err(Error::tensor(path, name, "it stands twice"));
        }
    }
    let alignment = metadata.whole("general.alignment")?.unwrap_or(32);
    let alignment = usize::try_from(alignment).ok().filter(|a| a.is_power_of_two());
    let alignment = alignment.ok_or_else(|| metadata.bad("general.alignment", "a power of two"))?;
    let first = cursor.at().checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
    place(path, &mut infos, first, alignment, total)?;
    Ok(infos)
}

/// Reads a tensor's line of the list; its place is not known yet.
fn read_info(path: &Path, name: &str, cursor: &mut Cursor<'_>) -> Result<Info> {
    let bad = |what: String| Error::tensor(path, name, what);
    let axes = cursor.u32().map_err(bad)?;
    if axes > MAX_AXES {
        return Err(bad(format!("{axes} axes; expected at most {MAX_AXES}")));
    }
    let mut shape = Vec::with_capacity(axes as usize);
    for _ in 0..axes {
        let axis = cursor.u64().map_err(bad)?;
        let axis = usize::try_from(axis).ok().filter(|&axis| axis > 0);
        shape.push(axis.ok_or_else(|| bad("an axis is empty or too large".to_owned()))?);
    }
    // Innermost first in the file.
    shape.reverse();
    let number = cursor.u32().map_err(bad)?;
    let Some(dtype) = dtype(number) else {
        let (path, tensor) = (path.to_owned(), clip(name.to_owned()));
        return Err(Error::UnknownBlocks { path, tensor, got: foreign_type(number) });
    };
    let start = cursor.u64().map_err(bad)?;
    let size = byte_size(&shape, dtype).ok_or_else(|| {
        bad(format!("its shape {shape:?} is not one of whole blocks of {dtype}, or too large"))
    })?;
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    Ok(Info { shape, dtype, start, end: start.saturating_add(size) })
}

/// Turns places within the data into places within the file, and checks that they are there and
/// apart from each other.
fn place(
    path: &Path,
    infos: &mut BTreeMap<&str, Info>,
    first: usize,
    alignment: usize,
    total: usize,
) -> Result<()> {
    for (name, info) in &mut *infos {
        let bad = |what: String| Error::tensor(path, name, what);
        if info.start % alignment != 0 {
            let start = info.start;
            return Err(bad(format!("it starts at byte {start}, no multiple of {alignment}")));
        }
        info.start = info.start.saturating_add(first);
        info.end = info.end.saturating_add(first);
        if info.end > total {
            return Err(bad(format!("truncated: it ends at byte {} of {total}", info.end)));
        }
    }
    let mut order: Vec<(&str, &Info)> = infos.iter().map(|(name, info)| (*name, info)).collect();
    order.sort_unstable_by_key(|(_, info)| (info.start, info.end));
    for pair in order.windows(2) {
        if let [(one, before), (other, after)] = pair
            && after.start < before.end
        {
            return Err(Error::tensor(
                path,
                other,
                format!("it overlaps {:?}", clip((*one).to_owned())),
            ));
        }
    }
    Ok(())
}
