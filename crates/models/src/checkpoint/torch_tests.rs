//! Both PyTorch formats, from pickles that are written by hand.

use std::path::Path;

use super::bytes::Bytes;
use super::view::{self, Entry};
use super::zip::tests::{Made, archive, entry};
use super::{torch_legacy, torch_zip};
use crate::error::{Error, Result};

fn path() -> &'static Path {
    Path::new("m.bin")
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(number: i64) -> Vec<u8> {
    [b"\x8a\x08", &number.to_le_bytes()[..]].concat()
}

fn ints(numbers: &[i64]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|&number| int(number)).collect();
    [b"(", &numbers[..], b"t"].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

/// A dict of names and values.
fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> =
        items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

/// A storage: `kind` is its type, `part` what old files add.
fn storage(kind: &str, key: &str, numbers: i64, part: &[u8]) -> Vec<u8> {
    let kind = format!("ctorch\n{kind}\n").into_bytes();
    [b"(", &text("storage")[..], &kind, &text(key), &text("cpu"), &int(numbers), part, b"tQ"]
        .concat()
}

fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(";
    let view = [int(offset), ints(shape), ints(strides)].concat();
    [rebuild, storage, &view[..], b"\x89ccollections\nOrderedDict\n)RtR"].concat()
}

fn bytes(numbers: u8) -> Vec<u8> {
    (0..numbers).collect()
}

/// An archive with a pickle and two storages of 12 bytes and of 4.
fn zipped(state: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let (pickle, first) = (pickle(state), bytes(12));
    read_zip(&archive(&[
        entry("x/data.pkl", &pickle),
        entry("x/byteorder", b"little"),
        entry("x/data/0", &first),
        entry("x/data/1", b"wxyz"),
    ]))
}

fn read_zip(file: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let file = Bytes::from(file.to_vec());
    numbers(torch_zip::read(path(), &file, 0)?, &file)
}

/// A file of the old format with storages of the given sizes.
fn legacy(state: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19".to_vec();
    let machine = dict(&[("little_endian", b"\x88".to_vec())]);
    let keys: Vec<u8> = storages.iter().flat_map(|(key, _, _)| text(key)).collect();
    let keys = [b"](", &keys[..], b"e"].concat();
    let mut file: Vec<u8> =
        [&magic, &int(1001), &machine, state, &keys].into_iter().flat_map(pickle).collect();
    for (_, count, data) in storages {
        file.extend(count.to_le_bytes());
        file.extend(*data);
    }
    file
}

fn read_legacy(file: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    assert!(torch_legacy::is_legacy(file));
    let file = Bytes::from(file.to_vec());
    numbers(torch_legacy::read(path(), file.as_slice(), 0)?, &file)
}

fn numbers(entries: Vec<(String, Entry)>, file: &Bytes) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |(name, entry): (String, Entry)| {
        let storage = view::load(path(), &name, file, &entry.source)?;
        let bytes = entry.view.collect(&storage).unwrap();
        Ok((name, bytes.as_slice().to_vec()))
    };
    entries.into_iter().map(read).collect()
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn views_of_one_storage_are_read() {
    let whole = storage("ByteStorage", "0", 12, b"");
    let state = dict(&[
        ("whole", tensor(&whole, 0, &[3, 4], &[4, 1])),
        ("step", b"K\x07".to_vec()),
        ("turned", tensor(&whole, 1, &[2, 3], &[1, 4])),
        ("one", tensor(&whole, 11, &[], &[])),
        ("other", tensor(&storage("HalfStorage", "1", 2, b"N"), 1, &[1], &[1])),
        ("nothing", b"N".to_vec()),
    ]);
    let expected = [
        ("whole", bytes(12)),
        ("turned", vec![1, 5, 9, 2, 6, 10]),
        ("one", vec![11]),
        ("other", b"yz".to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes));
    assert_eq!(zipped(&state).unwrap(), expected);
    let file = legacy(&state, &[("0", 12, &bytes(12)), ("1", 2, b"wxyz")]);
    assert_eq!(read_legacy(&file).unwrap(), expected);
}

#[test]
fn a_parameter_is_its_tensor() {
    let inner = tensor(&storage("ByteStorage", "0", 12, b""), 0, &[2], &[1]);
    let parameter = [b"ctorch._utils\n_rebuild_parameter\n", &inner[..], b"\x88}\x87R"].concat();
    let read = zipped(&dict(&[("p", parameter)])).unwrap();
    assert_eq!(read, [("p".to_owned(), vec![0, 1])]);
}

#[test]
fn the_state_dict_may_be_a_part_of_what_was_saved() {
    let inner = dict(&[("t", tensor(&storage("ByteStorage", "0", 12, b""), 0, &[1], &[1]))]);
    for name in ["state_dict", "model_state_dict", "model"] {
        let outer = dict(&[("epoch", b"K\x01".to_vec()), (name, inner.clone())]);
        assert_eq!(zipped(&outer).unwrap().len(), 1, "{name}");
    }
    assert!(message(zipped(&dict(&[("weights", inner)]))).contains("no tensors in the pickle"));
    assert!(message(zipped(b"]")).contains("expected a dict of tensors"));
}

#[test]
fn old_files_may_use_a_part_of_a_storage() {
    let part = |first: i64, count: i64| {
        let part = [&b"("[..], &text("view"), &int(first), &int(count), b"t"].concat();
        let storage = storage("ShortStorage", "0", 6, &part);
        let state = dict(&[("t", tensor(&storage, 1, &[1], &[1]))]);
        read_legacy(&legacy(&state, &[("0", 6, &bytes(12))]))
    };
    assert_eq!(part(2, 2).unwrap()[0].1, [6, 7]);
    assert!(message(part(2, 1)).contains("last byte is 8 of a storage of 6"));
    assert!(message(part(5, 2)).contains("a part that its storage does not have"));
    assert!(message(part(i64::MAX, 2)).contains("a part that its storage does not have"));
    assert!(message(part(-1, 2)).contains("not described"));
}

#[test]
fn tensors_that_cannot_be_are_named() {
    let one = |tensor: Vec<u8>| message(zipped(&dict(&[("t", tensor)])));
    let whole = storage("ByteStorage", "0", 12, b"");
    assert!(one(tensor(&whole, 0, &[13], &[1])).starts_with("m.bin: tensor \"t\": its last byte"));
    assert!(one(tensor(&whole, 12, &[1], &[1])).contains("last byte is 13"));
    assert!(one(tensor(&whole, -1, &[1], &[1])).contains("not described"));
    assert!(one(tensor(&whole, 0, &[-1], &[1])).contains("not sizes"));
    assert!(one(tensor(&whole, 0, &[1; 9], &[1; 9])).contains("9 axes; expected at most 8"));
    assert!(one(tensor(&whole, 0, &[1 << 40], &[0])).contains("needs 1099511627776 bytes"));
    assert!(one(tensor(&whole, 0, &[i64::MAX, i64::MAX], &[0, 0])).contains("too large"));
    assert!(
        one(tensor(&storage("ByteStorage", "7", 1, b""), 0, &[1], &[1]))
            .contains("\"7\" is not in")
    );
    assert!(
        one(tensor(&storage("ByteStorage", "../data/0", 1, b""), 0, &[1], &[1]))
            .contains("is not in")
    );
    assert!(
        one(tensor(&storage("LongStorage", "0", 2, b""), 0, &[1], &[1])).contains("expected 16")
    );
    assert!(
        one(tensor(&storage("ByteStorage", "0", i64::MAX, b""), 0, &[1], &[1]))
            .contains("expected")
    );
    assert!(one(tensor(b"N", 0, &[1], &[1])).contains("not described"));
    let unnamed = [b"}K\x01", &tensor(&whole, 0, &[1], &[1])[..], b"s"].concat();
    assert!(message(zipped(&unnamed)).contains("whose name is no string"));
    let evil = dict(&[("t", b"cos\nsystem\n(X\x01\0\0\0xtR".to_vec())]);
    assert!(
        matches!(zipped(&evil), Err(Error::RefusedGlobal { global, .. }) if global == "os.system")
    );
}

#[test]
fn archives_that_are_not_of_this_machine_are_refused() {
    let state =
        pickle(&dict(&[("t", tensor(&storage("ByteStorage", "0", 1, b""), 0, &[1], &[1]))]));
    let with = |more: Made<'_>| {
        message(read_zip(&archive(&[entry("x/data.pkl", &state), entry("x/data/0", b"a"), more])))
    };
    assert_eq!(
        with(entry("x/byteorder", b"big")),
        "m.bin: byte order: expected little, got \"big\""
    );
    assert!(with(entry("y/data.pkl", b"")).contains("more than one data.pkl"));
    assert!(with(entry("x/constants.pkl", b"")).contains("TorchScript"));
    assert!(message(read_zip(&archive(&[entry("readme", b"")]))).contains("no data.pkl"));
    let size = (64 << 20) + 1;
    let stored = vec![0; size as usize / 1000];
    let bomb = Made { method: 8, size, ..entry("x/data.pkl", &stored) };
    let text = message(read_zip(&archive(&[bomb])));
    assert!(text.ends_with("data.pkl has 67108865 bytes; expected at most 67108864"), "{text}");
}

#[test]
fn compressed_archives_are_read() {
    let state =
        pickle(&dict(&[("t", tensor(&storage("ByteStorage", "0", 900, b""), 2, &[3], &[4]))]));
    let data = [[1, 2, 3, 4, 5, 6]; 150].concat();
    let (packed_state, packed) = (
        miniz_oxide::deflate::compress_to_vec(&state, 6),
        miniz_oxide::deflate::compress_to_vec(&data, 6),
    );
    let file = archive(&[
        Made { method: 8, size: state.len() as u32, ..entry("x/data.pkl", &packed_state) },
        Made { method: 8, size: 900, ..entry("x/data/0", &packed) },
    ]);
    assert_eq!(read_zip(&file).unwrap()[0].1, [3, 1, 5]);
}

#[test]
fn damaged_old_files_are_errors() {
    let state = dict(&[("t", tensor(&storage("FloatStorage", "0", 3, b""), 0, &[3], &[1]))]);
    let whole = legacy(&state, &[("0", 3, &bytes(12))]);
    assert_eq!(read_legacy(&whole).unwrap()[0].1, bytes(12));
    for length in 15..whole.len() {
        let text = message(read_legacy(&whole[..length]));
        assert!(text.contains("truncated"), "{length}: {text}");
    }
    let message = |storages: &[(&str, u64, &[u8])]| message(read_legacy(&legacy(&state, storages)));
    assert!(message(&[]).contains("its storage \"0\" is not in the file"));
    assert!(message(&[("1", 3, &bytes(12))]).contains("storage \"1\": its type is unknown"));
    assert!(
        message(&[("0", u64::MAX, &bytes(12))])
            .contains("expected 3 numbers, got 18446744073709551615")
    );
    assert!(message(&[("0", 3, &bytes(11))]).contains("storage \"0\": truncated"));
    assert!(message(&[("0", 3, &bytes(12)), ("0", 3, &bytes(12))]).contains("stands twice"));
    let two = dict(&[
        ("a", tensor(&storage("FloatStorage", "0", 3, b""), 0, &[3], &[1])),
        ("b", tensor(&storage("HalfStorage", "0", 6, b""), 0, &[3], &[1])),
    ]);
    let text = super::torch_tests::message(read_legacy(&legacy(&two, &[("0", 3, &bytes(12))])));
    assert!(text.contains("described in two ways"), "{text}");
}
