//! Weight files: every layout gives the same numbers, and no damage does more than an error.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use glossator_models::Error;
use glossator_models::checkpoint::{Checkpoint, RawType};
use sha2::{Digest as _, Sha256};

/// Counts what each thread holds, to show that damaged files do not make the readers allocate.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // Threads that are ending have no counter any more, and nothing to measure.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f` and tells how many bytes it held at its worst.
fn peak<T>(f: impl FnOnce() -> T) -> (T, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = f();
    (result, PEAK.get() - before)
}

fn model(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models")).join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&model(name)).unwrap()
}

/// A directory with one file.
fn with_file(name: &str, content: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    dir
}

fn failure(dir: &Path) -> Error {
    Checkpoint::open(dir).unwrap_err()
}

/// The name that the legacy file, written as in 2019, has for a tensor.
fn old_name(name: &str) -> String {
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

fn assert_same(left: &Checkpoint, right: &Checkpoint, rename: impl Fn(&str) -> String) {
    assert!(left.names().len() > 30);
    for name in left.names() {
        let (a, b) = (left.get(name).unwrap(), right.get(&rename(name)).unwrap());
        assert_eq!((a.dtype, &a.shape), (b.dtype, &b.shape), "{name}");
        assert_eq!(a.bytes.as_slice(), b.bytes.as_slice(), "{name}");
        assert_eq!(left.describe(name), Some((&a.shape[..], a.dtype)));
    }
}

#[test]
fn every_layout_holds_the_same_numbers() {
    let plain = open("bert-cls");
    let same = |name: &str| name.to_owned();
    assert_same(&plain, &open("bert-sharded"), same);
    assert_same(&plain, &open("bert-bin"), same);
    assert_same(&plain, &open("bert-bin-legacy"), old_name);
    assert_same(&open("bert-f16"), &open("bert-bin-f16"), same);
    let ids = open("bert-bin").get("bert.embeddings.position_ids").unwrap();
    assert_eq!((ids.dtype, &ids.shape[..]), (RawType::I64, &[1, 40][..]));
}

#[test]
fn halves_are_the_rounded_numbers() {
    let plain = open("bert-cls");
    for (name, unit) in [("bert-f16", 2_f32.powi(-11)), ("bert-bf16", 2_f32.powi(-8))] {
        let halves = open(name);
        for tensor in plain.names() {
            let exact = plain.get(tensor).unwrap();
            let half = halves.get(tensor).unwrap();
            assert_eq!(half.dtype.size(), 2);
            let wide: Vec<f64> = half.to_f32_vec().unwrap().into_iter().map(f64::from).collect();
            assert_eq!(wide, half.to_f64_vec().unwrap());
            for (&exact, half) in
                exact.as_f32_slice().unwrap().iter().zip(half.to_f32_vec().unwrap())
            {
                let error = (exact - half).abs();
                assert!(error <= unit * exact.abs() + 1e-7, "{name} {tensor}: {exact} {half}");
            }
        }
    }
}

#[test]
fn names_are_sorted_and_files_listed() {
    let sharded = open("bert-sharded");
    assert!(sharded.names().is_sorted());
    assert!(sharded.contains("classifier.weight") && !sharded.contains("classifier"));
    let files: Vec<_> = sharded.files().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(files.len(), 3);
    assert!(files.is_sorted());
    let sizes: u64 = sharded.files().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert_eq!(sharded.total_bytes(), sizes);
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    for name in ["bert-cls", "bert-sharded", "bert-bin"] {
        let checkpoint = open(name);
        let bytes: Vec<u8> = checkpoint.files().flat_map(|file| fs::read(file).unwrap()).collect();
        let expected: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(checkpoint.sha256(), expected);
    }
}

#[test]
fn weights_can_be_part_of_the_program() {
    let bytes = fs::read(model("bert-cls").join("model.safetensors")).unwrap().leak();
    let checkpoint = Checkpoint::from_static("built in", bytes).unwrap();
    let opened = open("bert-cls");
    assert_same(&checkpoint, &opened, str::to_owned);
    assert_eq!(checkpoint.sha256(), opened.sha256());
    let error = checkpoint.get("nothing").unwrap_err();
    assert_eq!(error.to_string(), "built in: missing tensor \"nothing\"");
    assert!(Checkpoint::from_static("built in", b"").is_err());
}

#[test]
fn opening_reads_no_numbers() {
    let ((), bytes) = peak(|| drop(open("bert-cls")));
    assert!(bytes < 40_000, "{bytes}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let header = r#"{"a":{"dtype":"U8","shape":[1000000000],"data_offsets":[0,1000000000]}}"#;
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat())
        .unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1_000_000_000 + 8 + header.len() as u64).unwrap();
    let (checkpoint, bytes) = peak(|| Checkpoint::open(dir.path()).unwrap());
    assert!(bytes < 20_000, "{bytes}");
    let (tensor, bytes) = peak(|| checkpoint.get("a").unwrap());
    assert!(bytes < 20_000 && tensor.len() == 1_000_000_000, "{bytes}");
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = failure(&dir.path().join("nowhere"));
    assert!(matches!(nowhere, Error::Io { .. }) && nowhere.hint().is_some());
    let empty = failure(dir.path());
    assert!(empty.to_string().contains("no weights; looked for model.safetensors, "), "{empty}");
    fs::write(dir.path().join("tf_model.h5"), "x").unwrap();
    assert!(failure(dir.path()).hint().unwrap().starts_with("tf_model.h5 is in a format"));
    fs::create_dir(dir.path().join("pytorch_model.bin")).unwrap();
    assert!(matches!(failure(dir.path()), Error::NotAFile { .. }));
    fs::write(dir.path().join("model.safetensors"), "").unwrap();
    assert!(matches!(failure(dir.path()), Error::EmptyFile { .. }));
    assert!(matches!(failure(&dir.path().join("tf_model.h5")), Error::NotADirectory { .. }));
}

#[test]
fn stand_ins_are_recognised() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 438000000\n";
    for name in ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"] {
        let error = failure(with_file(name, pointer).path());
        assert!(error.to_string().ends_with("got a git-lfs pointer"), "{error}");
        assert!(error.hint().unwrap().contains("git lfs pull"));
    }
    let error = failure(with_file("pytorch_model.bin", b"<!DOCTYPE html><html>").path());
    assert!(error.to_string().ends_with("expected weights, got a web page"), "{error}");
    let error = failure(with_file("pytorch_model.bin", b"hello").path());
    assert!(error.to_string().contains("not a PyTorch file"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_and_rights_are_reported() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    symlink("../blobs/gone", &path).unwrap();
    let error = failure(dir.path());
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("model.safetensors")));
    fs::remove_file(&path).unwrap();
    // A link to a file elsewhere is how the Hugging Face cache is laid out.
    symlink(model("bert-cls").join("model.safetensors"), &path).unwrap();
    assert!(Checkpoint::open(dir.path()).is_ok());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same, and then finds it damaged.
    assert!(matches!(failure(dir.path()), Error::Io { .. } | Error::BadWeights { .. }));
}

/// An index with the given map from tensors to shards.
fn index(map: &str) -> tempfile::TempDir {
    let json = format!("{{\"metadata\":{{}},\"weight_map\":{map}}}");
    let dir = with_file("model.safetensors.index.json", json.as_bytes());
    let header = br#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let shard = [&(header.len() as u64).to_le_bytes()[..], header, b"\x05"].concat();
    fs::write(dir.path().join("one.safetensors"), shard).unwrap();
    dir
}

#[test]
fn shards_stay_in_their_directory() {
    let opened = Checkpoint::open(index(r#"{"a":"one.safetensors"}"#).path()).unwrap();
    assert_eq!(opened.get("a").unwrap().bytes.as_slice(), [5]);
    for shard in ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "C:x", "./one.safetensors"]
    {
        let error = failure(index(&format!("{{\"a\":\"{shard}\"}}")).path());
        assert!(matches!(error, Error::ShardName { .. }), "{shard}: {error}");
    }
    let error = failure(index(r#"{"a":"two.safetensors"}"#).path()).to_string();
    assert!(error.ends_with("index.json: missing shard \"two.safetensors\""), "{error}");
    let error = failure(index(r#"{"b":"one.safetensors"}"#).path()).to_string();
    assert!(
        error.ends_with("tensor \"b\": expected in \"one.safetensors\", which lacks it"),
        "{error}"
    );
    let error =
        failure(index(r#"{"a":"one.safetensors","a":"one.safetensors"}"#).path()).to_string();
    assert!(error.ends_with("tensor \"a\": it stands twice"), "{error}");
    for map in ["{}", "[]", "{\"a\":1}", "null"] {
        assert!(matches!(failure(index(map).path()), Error::BadWeights { .. }), "{map}");
    }
}

#[test]
fn a_tensor_that_stands_twice_is_refused() {
    let header = br#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header, b"xy"].concat();
    let error = failure(with_file("model.safetensors", &file).path()).to_string();
    assert!(error.ends_with("model.safetensors: tensor \"a\": it stands twice"), "{error}");
}

/// A small generator of numbers, for damage that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, Vigna (2016), doi:10.1145/2845077.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// A damaged copy of `bytes`: cut, or with some bytes changed, mostly where the structure is.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let length = bytes.len();
        let at = match random.below(4) {
            0 => random.below(length),
            1 => length - 1 - random.below(length.min(6000)),
            _ => random.below(length.min(9000)),
        };
        match random.below(8) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = 0xff,
            3 => bytes[at] = 0,
            4 => bytes[at] = bytes[at].wrapping_add(1),
            5 => bytes[at] = random.below(256) as u8,
            6 => {
                let end = (at + 8).min(length);
                bytes[at..end].fill(if random.below(2) == 0 { 0xff } else { 0x7f });
            }
            _ => {
                let from = random.below(length);
                let count = random.below(40).min(length - from.max(at));
                bytes.copy_within(from..from + count, at);
            }
        }
    }
    bytes
}

#[test]
fn damaged_files_give_errors_and_take_no_memory() {
    let files = [
        ("bert-cls", "model.safetensors"),
        ("bert-bin", "pytorch_model.bin"),
        ("bert-bin-legacy", "pytorch_model.bin"),
        ("bert-sharded", "model.safetensors.index.json"),
    ];
    let rounds = std::env::var("GLOSSATOR_FUZZ_ROUNDS").map_or(400, |n| n.parse().unwrap());
    for (name, file) in files {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(model(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        let path = dir.path().join(file);
        let intact = fs::read(&path).unwrap();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut refused = 0;
        for round in 0..rounds {
            // A new file each time: a file that is mapped must not change.
            fs::remove_file(&path).unwrap();
            fs::write(&path, damage(&intact, &mut random)).unwrap();
            let (opened, bytes) = peak(|| {
                let opened = Checkpoint::open(dir.path())?;
                for tensor in opened.names() {
                    let tensor = opened.get(tensor)?;
                    assert_eq!(
                        tensor.bytes.len(),
                        tensor.shape.iter().product::<usize>() * tensor.dtype.size()
                    );
                    let _ = tensor.to_f32_vec();
                }
                Ok::<_, Error>(())
            });
            refused += usize::from(opened.is_err());
            assert!(bytes < 4_000_000, "{name} round {round}: {bytes} bytes");
            if let Err(error) = opened {
                assert!(error.is_input_error());
                assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
            }
        }
        assert!(refused > rounds / 4, "{name}: {refused} of {rounds} refused");
    }
}
