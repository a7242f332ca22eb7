//! Weights on disk: finding the files of a model, and reading tensors out of them.
//!
//! Five layouts are read: one safetensors file, shards of them with an index, the same two for
//! PyTorch's own files, and GGUF files, which hold configuration and tokenizer too. A file is mapped into memory, and a tensor's bytes are read when they are
//! asked for. All files are taken to be hostile: whatever they hold, the result is a tensor or an
//! error that names the file and the tensor, and no more memory is used than the file accounts for.

pub(crate) mod adapter;
mod blocks;
mod bytes;
pub(crate) mod gguf;
mod pickle;
mod safetensors;
mod state_dict;
mod tensor;
mod torch_legacy;
#[cfg(test)]
mod torch_tests;
mod torch_zip;
mod view;
mod zip;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

pub use self::blocks::BlockType;
pub use self::bytes::Bytes;
pub(crate) use self::bytes::{check_directory, exists, read_file};
pub use self::tensor::{RawTensor, RawType};
use self::view::Entry;
use crate::error::{Error, Result, clip};

/// The files that may hold a model's weights, in the order in which they are looked for.
const CANDIDATES: &[&str] = &[
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Endings of weights that other programs read.
const FOREIGN: [&str; 6] = [".h5", ".msgpack", ".gguf", ".onnx", ".ckpt.index", ".tflite"];

/// The largest index of shards; a tensor takes about 100 bytes.
const MAX_INDEX: u64 = 100_000_000;

/// The weights of a model.
#[derive(Debug)]
pub struct Checkpoint {
    /// What errors about the whole name: the file, or the index of the shards.
    path: PathBuf,
    files: Vec<WeightFile>,
    tensors: BTreeMap<String, Entry>,
    /// What an adapter changes.
    changes: BTreeMap<String, adapter::Change>,
    sha256: OnceLock<String>,
}

#[derive(Debug)]
struct WeightFile {
    path: PathBuf,
    bytes: Bytes,
}

impl Checkpoint {
    /// Opens the weights in a model directory: `model.safetensors`, else its shards, else
    /// `pytorch_model.bin`, else its shards.
    ///
    /// # Errors
    /// If there are none, or if a file breaks the rules of its format.
    pub fn open(dir: &Path) -> Result<Self> {
        bytes::check_directory(dir)?;
        for name in CANDIDATES {
            let path = dir.join(name);
            if !bytes::exists(&path)? {
                continue;
            }
            if name.ends_with(".index.json") {
                return Self::open_index(dir, path);
            }
            let mut checkpoint = Self::empty(path.clone());
            for (tensor, entry) in checkpoint.add_file(path)? {
                checkpoint.add_tensor(tensor, entry)?;
            }
            return Ok(checkpoint);
        }
        Err(Error::NoWeights { dir: dir.to_owned(), looked_for: CANDIDATES, found: foreign(dir) })
    }

    /// Reads weights that are part of the program, in the safetensors format. `name` stands for the
    /// file in errors.
    ///
    /// For [`RawTensor::as_f32_slice`] to work, the bytes must be aligned for `f32`.
    ///
    /// # Errors
    /// If the bytes break a rule of the format.
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        let path = PathBuf::from(name);
        bytes::refuse_stand_in(&path, bytes, "weights")?;
        let mut checkpoint = Self::empty(path.clone());
        for (tensor, entry) in safetensors::read(&path, bytes, 0)? {
            checkpoint.add_tensor(tensor, entry)?;
        }
        checkpoint.files.push(WeightFile { path, bytes: bytes.into() });
        Ok(checkpoint)
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape and type of a tensor, without touching its numbers.
    #[must_use]
    pub fn describe(&self, name: &str) -> Option<(&[usize], RawType)> {
        self.tensors.get(name).map(|entry| (&entry.view.shape[..], entry.view.dtype))
    }

    /// Reads a tensor. Its bytes are a part of the mapped file unless the file holds them
    /// compressed or in another order.
    ///
    /// # Errors
    /// If there is none of that name, or if its compressed bytes are damaged.
    pub fn get(&self, name: &str) -> Result<RawTensor> {
        let missing = || Error::MissingTensor { path: self.path.clone(), tensor: name.to_owned() };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        let raw = self.read(name, entry)?;
        match self.changes.get(name) {
            Some(change) => self.changed(raw, change),
            None => Ok(raw),
        }
    }

    /// Reads the tensor of an entry.
    fn read(&self, name: &str, entry: &Entry) -> Result<RawTensor> {
        let missing = || Error::MissingTensor { path: self.path.clone(), tensor: name.to_owned() };
        let file = self.files.get(entry.file).ok_or_else(missing)?;
        let storage = view::load(&file.path, name, &file.bytes, &entry.source)?;
        let bytes = entry
            .view
            .collect(&storage)
            .ok_or_else(|| Error::tensor(&file.path, name, "its bytes are not within the file"))?;
        Ok(RawTensor {
            name: name.to_owned(),
            dtype: entry.view.dtype,
            shape: entry.view.shape.clone(),
            bytes,
        })
    }

    /// The SHA-256 of the bytes of the weight files in their order, as 64 hexadecimal digits. For a
    /// single file it is what `sha256sum` prints. The first call reads the files.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let mut hasher = Sha256::new();
            for file in &self.files {
                hasher.update(file.bytes.as_slice());
            }
            hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// The weight files, shards in the order of their names.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The size of the weight files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }

    /// No weights; `path` is what errors call them.
    pub(crate) fn empty(path: PathBuf) -> Self {
        let (files, tensors, changes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { path, files, tensors, changes, sha256: OnceLock::new() }
    }

    /// Opens one weight file and tells what is in it.
    fn add_file(&mut self, path: PathBuf) -> Result<Vec<(String, Entry)>> {
        let bytes = bytes::map_file(&path)?;
        let index = self.files.len();
        let content = bytes.as_slice();
        // By content, not by name: files of either kind are found under both names.
        let entries = if torch_zip::is_zip(content) {
            torch_zip::read(&path, &bytes, index)
        } else if torch_legacy::is_legacy(content) {
            torch_legacy::read(&path, content, index)
        } else if path.extension().is_some_and(|extension| extension == "bin") {
            Err(Error::weights(&path, "not a PyTorch file: expected a zip archive or a pickle"))
        } else {
            safetensors::read(&path, content, index)
        }?;
        self.files.push(WeightFile { path, bytes });
        Ok(entries)
    }

    fn add_tensor(&mut self, name: String, entry: Entry) -> Result<()> {
        match self.tensors.entry(name) {
            btree_map::Entry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(place) => {
                Err(Error::tensor(&self.path, place.key(), "it stands twice"))
            }
        }
    }

    fn open_index(dir: &Path, path: PathBuf) -> Result<Self> {
        let json = bytes::read_file(&path, MAX_INDEX, "an index of shards")?;
        let index: Index = serde_json::from_slice(&json)
            .map_err(|error| Error::weights(&path, format!("bad index of shards: {error}")))?;
        let mut shards = BTreeMap::<String, Vec<String>>::new();
        for (tensor, shard) in index.weight_map.0 {
            shards.entry(shard).or_default().push(tensor);
        }
        let mut checkpoint = Self::empty(path);
        for (shard, tensors) in shards {
            if !is_plain_name(&shard) {
                return Err(Error::ShardName { index: checkpoint.path, shard: clip(shard) });
            }
            let file = dir.join(&shard);
            if !bytes::exists(&file)? {
                return Err(Error::MissingShard { index: checkpoint.path, shard: clip(shard) });
            }
            let mut found = BTreeMap::new();
            for (tensor, entry) in checkpoint.add_file(file.clone())? {
                if let Some((tensor, _)) = found.insert(tensor.clone(), (tensor, entry)) {
                    return Err(Error::tensor(&file, &tensor, "it stands twice"));
                }
            }
            for tensor in tensors {
                let Some((_, entry)) = found.get(&tensor) else {
                    let what = format!("expected in {shard:?}, which lacks it");
                    return Err(Error::tensor(&checkpoint.path, &tensor, what));
                };
                checkpoint.add_tensor(tensor, entry.clone())?;
            }
        }
        if checkpoint.files.is_empty() {
            return Err(Error::weights(&checkpoint.path, "the index names no shards"));
        }
        Ok(checkpoint)
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: Pairs,
}

/// The pairs of an object as they stand, so that a name that stands twice is not lost.
struct Pairs(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of tensors and their files")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// Whether a name is one of a file in the directory at hand, on every operating system.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(part)) if part == name)
        && components.next().is_none()
        && !name.contains(['/', '\\', ':', '\0'])
}

/// The name of a file of weights that this program cannot read.
fn foreign(dir: &Path) -> Option<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| FOREIGN.iter().any(|ending| name.ends_with(ending)))
        .collect();
    names.sort_unstable();
    names.into_iter().next()
}
