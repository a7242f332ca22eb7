//! Bytes that many tensors can share: a part of a mapped file, of memory, or of the program.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result, StandIn};

/// A read-only run of bytes that is cheap to clone and keeps its owner alive.
#[derive(Clone)]
pub struct Bytes {
    owner: Owner,
    /// Always within the owner: every constructor and [`Bytes::slice`] checks it.
    range: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    Mapped(Arc<Mmap>),
    Heap(Arc<Vec<u8>>),
    Numbers(Arc<Vec<f64>>),
    Static(&'static [u8]),
}

impl Bytes {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Mapped(map) => map,
            Owner::Heap(heap) => heap,
            Owner::Numbers(numbers) => bytemuck::cast_slice(numbers),
            Owner::Static(bytes) => bytes,
        };
        all.get(self.range.clone()).unwrap_or_default()
    }

    /// Gives the memory of a mapped file back to the system until the bytes are read again. Other
    /// bytes stay where they are.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &self.owner {
            // SAFETY: the map is of a file, private and never written through (see `map`): its
            // pages hold nothing that the file does not, and reading them brings them back. A
            // refusal by the system changes nothing.
            #[expect(unsafe_code, reason = "the advice would lose what was written to a map")]
            let _ = unsafe {
                let (start, len) = (self.range.start, self.range.len());
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len)
            };
        }
    }

    /// Numbers in double precision, little endian as in a file.
    pub(super) fn from_numbers(mut numbers: Vec<f64>) -> Self {
        for number in &mut numbers {
            *number = f64::from_bits(number.to_bits().to_le());
        }
        let range = 0..size_of_val(&*numbers);
        Self { owner: Owner::Numbers(Arc::new(numbers)), range }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes of `range`, sharing the owner; `None` if the range is not within these bytes.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        let range = start..start + range.len();
        Some(Self { owner: self.owner.clone(), range })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { owner: Owner::Heap(Arc::new(bytes)), range }
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self { owner: Owner::Static(bytes), range: 0..bytes.len() }
    }
}

impl std::fmt::Debug for Bytes {
    /// The length only: weights are long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

/// Maps a file of weights into memory without reading it.
///
/// # Errors
/// If the file cannot be opened, is not a regular file, is empty, or is only a stand-in.
pub(super) fn map_file(path: &Path) -> Result<Bytes> {
    let file = open_regular(path)?;
    let map = map(&file).map_err(|source| Error::io(path, source))?;
    let range = 0..map.len();
    let bytes = Bytes { owner: Owner::Mapped(Arc::new(map)), range };
    refuse_stand_in(path, bytes.as_slice(), "weights")?;
    Ok(bytes)
}

#[expect(unsafe_code, reason = "mapping a file is the only way not to copy gigabytes of weights")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is private to this process and nothing here writes through it, so the only
    // way its bytes can change is another program that overwrites or shortens the file in place
    // while a model is loaded. That is the contract of every reader of weights (safetensors,
    // PyTorch, llama.cpp): the file stays as it is. The bytes are only ever read as plain
    // integers and floats, for which every bit pattern is valid, and every offset is checked
    // against the length of the map, so a changed file gives wrong numbers, not wrong memory
    // accesses; a shortened one ends the program with SIGBUS. Tools that replace files, such as
    // huggingface_hub and git, write a new file and rename it, which leaves the map intact.
    unsafe { Mmap::map(file) }
}

/// Reads a small file whole.
///
/// # Errors
/// If the file cannot be read, is not a regular file, is empty, is larger than `limit` bytes, or is
/// only a stand-in for what is `expected`.
pub(crate) fn read_file(path: &Path, limit: u64, expected: &'static str) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows a file that grew after its length was asked for.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| Error::io(path, source))?;
    if bytes.len() as u64 > limit {
        let got = fs::metadata(path).map_or(bytes.len() as u64, |meta| meta.len());
        return Err(Error::FileTooLarge { path: path.to_owned(), limit, got });
    }
    refuse_stand_in(path, &bytes, expected)?;
    Ok(bytes)
}

/// Tells whether a directory entry exists. A link to nowhere does, so that opening it says why the
/// file cannot be read instead of passing it over.
///
/// # Errors
/// If the system does not say.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Checks that `dir` is a directory.
///
/// # Errors
/// If it is not there or is something else.
pub(crate) fn check_directory(dir: &Path) -> Result<()> {
    let meta = fs::metadata(dir).map_err(|source| Error::io(dir, source))?;
    if meta.is_dir() { Ok(()) } else { Err(Error::NotADirectory { path: dir.to_owned() }) }
}

fn open_regular(path: &Path) -> Result<File> {
    // Asked before opening: opening a pipe would wait for a writer.
    let meta = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !meta.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if meta.len() == 0 {
        return Err(Error::EmptyFile { path: path.to_owned() });
    }
    File::open(path).map_err(|source| Error::io(path, source))
}

/// Refuses the files that commonly lie where a real one should be.
pub(super) fn refuse_stand_in(path: &Path, bytes: &[u8], expected: &'static str) -> Result<()> {
    if bytes.is_empty() {
        return Err(Error::EmptyFile { path: path.to_owned() });
    }
    let head = bytes.get(..64).unwrap_or(bytes).trim_ascii_start().to_ascii_lowercase();
    let got = if head.starts_with(b"version https://git-lfs") {
        StandIn::GitLfsPointer
    } else if head.starts_with(b"<!doctype html") || head.starts_with(b"<html") {
        StandIn::WebPage
    } else {
        return Ok(());
    };
    Err(Error::StandIn { path: path.to_owned(), expected, got })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_stay_within_their_owner() {
        let bytes = Bytes::from(vec![0, 1, 2, 3]);
        let part = bytes.slice(1..3).unwrap();
        assert_eq!(part.as_slice(), [1, 2]);
        assert_eq!(part.slice(1..2).unwrap().as_slice(), [2]);
        assert!(part.slice(0..3).is_none());
        assert!(part.slice(usize::MAX - 1..usize::MAX).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
        let reversed = part.slice(2..1);
        assert!(reversed.is_none());
        assert!(part.slice(2..2).unwrap().is_empty());
    }

    #[test]
    fn small_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5, "a thing").unwrap(), b"12345");
        let error = read_file(&path, 4, "a thing").unwrap_err().to_string();
        assert!(error.ends_with("x: 5 bytes; expected at most 4"), "{error}");
        let error = read_file(dir.path(), 4, "a thing").unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }));
    }

    fn shared<T: Send + Sync + 'static>() {}

    #[test]
    fn bytes_may_be_shared_between_threads() {
        shared::<Bytes>();
        shared::<crate::checkpoint::Checkpoint>();
    }
}
