//! The safetensors format: an 8-byte length, a JSON header of that length, then the numbers.
//!
//! The header is read here rather than with the safetensors crate because its errors name neither
//! the file nor, mostly, the tensor, and because it accepts a name that stands twice.
//!
//! # References
//! The format: <https://github.com/huggingface/safetensors#format>.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::tensor::RawType;
use super::view::{Entry, Source, View};
use crate::error::{Error, Result};

/// The format's own limit on the header.
const MAX_HEADER: u64 = 100_000_000;

/// Reads the header of `bytes`, the content of `path`, which becomes file number `file`.
///
/// # Errors
/// If the header breaks a rule of the format; the numbers are not looked at.
pub(super) fn read(path: &Path, bytes: &[u8], file: usize) -> Result<Vec<(String, Entry)>> {
    let total = bytes.len();
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Error::weights(
            path,
            format!("truncated: a safetensors file has at least 8 bytes, this has {total}"),
        ));
    };
    let length = u64::from_le_bytes(*length);
    // A file of another kind shows up here: its first bytes make an enormous number.
    if length > MAX_HEADER {
        return Err(Error::weights(
            path,
            format!(
                "not a safetensors file: its header would have {length} bytes, more than the \
                 {MAX_HEADER} allowed"
            ),
        ));
    }
    let length = length as usize;
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(Error::weights(
            path,
            format!("truncated: the header has {length} bytes, the file {total}"),
        ));
    };
    let header = parse_header(path, header)?;

    let mut entries = Vec::with_capacity(header.len());
    let mut spans = Vec::with_capacity(header.len());
    for (name, info) in header {
        let bad = |what: String| Error::tensor(path, &name, what);
        let dtype = RawType::from_name(&info.dtype)
            .ok_or_else(|| bad(format!("numbers of type {:?} are not known", info.dtype)))?;
        let needed = super::view::byte_size(&info.shape, dtype)
            .ok_or_else(|| bad("its shape is too large to count".to_owned()))?;
        let (start, end) = info.data_offsets;
        if start > end {
            return Err(bad(format!("it ends at byte {end}, before its start at {start}")));
        }
        if end > data.len() as u64 {
            return Err(bad(format!(
                "truncated: it ends at byte {end} of the data, which has {}",
                data.len()
            )));
        }
        if end - start != needed as u64 {
            return Err(bad(format!(
                "expected {needed} bytes for its shape and type, got {}",
                end - start
            )));
        }
        let (start, end) = (start as usize, end as usize);
        spans.push((start, end, entries.len()));
        let offset = 8 + length;
        let source = Source { storage: offset + start..offset + end, inflated: None };
        entries.push((name, Entry { file, source, view: View::whole(dtype, info.shape).into() }));
    }
    check_cover(path, &mut spans, &entries, data.len())?;
    Ok(entries)
}

/// Checks that the tensors cover the data once and without holes, as the format demands.
fn check_cover(
    path: &Path,
    spans: &mut [(usize, usize, usize)],
    entries: &[(String, Entry)],
    total: usize,
) -> Result<()> {
    spans.sort_unstable();
    let mut covered = 0;
    for &(start, end, index) in &*spans {
        if start != covered {
            let what = if start < covered { "it overlaps another" } else { "a hole is before it" };
            let what = format!("{what}: expected its start at byte {covered}, got {start}");
            return Err(Error::tensor(path, &entries[index].0, what));
        }
        covered = end;
    }
    if covered != total {
        return Err(Error::weights(
            path,
            format!("the tensors have {covered} bytes, the file has {total} after its header"),
        ));
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

fn parse_header(path: &Path, header: &[u8]) -> Result<Vec<(String, Info)>> {
    let mut json = serde_json::Deserializer::from_slice(header);
    json.deserialize_map(Header)
        .and_then(|infos| json.end().map(|()| infos))
        .map_err(|error| Error::weights(path, format!("bad safetensors header: {error}")))
}

struct Header;

impl<'de> Visitor<'de> for Header {
    type Value = Vec<(String, Info)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut infos = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info = map
                .next_value::<Info>()
                .map_err(|error| A::Error::custom(format!("tensor {name:?}: {error}")))?;
            infos.push((name, info));
        }
        Ok(infos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn message(bytes: &[u8]) -> String {
        read(Path::new("m.safetensors"), bytes, 0).unwrap_err().to_string()
    }

    fn one(dtype: &str, shape: &str, offsets: &str) -> String {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    }

    #[test]
    fn a_whole_file_is_read() {
        let header = r#"{"__metadata__":{"format":"pt","x":[1,{}]},
            "b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},
            "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
            "c":{"dtype":"I64","shape":[0,5],"data_offsets":[16,16],"note":1}}"#;
        let bytes = file(header, 16);
        let entries = read(Path::new("m"), &bytes, 3).unwrap();
        let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        let entry = &entries[0].1;
        assert_eq!((entry.file, entry.view.dtype), (3, RawType::F16));
        assert_eq!(entry.view.shape, [2, 3]);
        assert_eq!(entry.source.storage, bytes.len() - 12..bytes.len());
        assert!(read(Path::new("m"), &file("{}", 0), 0).unwrap().is_empty());
    }

    #[test]
    fn every_broken_rule_is_named() {
        assert!(message(b"1234").contains("at least 8 bytes, this has 4"));
        assert!(message(&u64::MAX.to_le_bytes()).contains("not a safetensors file"));
        assert!(message(&file("{}", 0)[..9]).contains("the header has 2 bytes, the file 9"));
        for header in ["", "nul", "[]", "{}x", "{\"a\":1}", "\u{0}", "{\"a\":{}}"] {
            let message = message(&file(header, 0));
            assert!(message.starts_with("m.safetensors: bad safetensors header"), "{message}");
        }
        assert!(message(&file(&one("F32", "[1]", "[0]"), 4)).contains("tensor \"a\""));
        assert!(message(&file(&one("F32", "[-1]", "[0,4]"), 4)).contains("tensor \"a\""));
        assert!(message(&file(&one("F4", "[1]", "[0,4]"), 4)).contains("type \"F4\""));
        assert!(message(&file(&one("F32", "[1]", "[4,0]"), 4)).contains("before its start"));
        assert!(message(&file(&one("F32", "[2]", "[0,8]"), 4)).contains("truncated: it ends"));
        assert!(message(&file(&one("F32", "[2]", "[0,4]"), 4)).contains("expected 8 bytes"));
        assert!(message(&file(&one("F32", "[1]", "[0,4]"), 6)).contains("have 4 bytes"));
        assert!(message(&file(&one("F32", "[1]", "[2,6]"), 6)).contains("a hole is before it"));
        let huge = one("F32", "[4294967296,4294967296,0]", "[0,0]");
        assert!(message(&file(&huge, 0)).contains("too large to count"));
        let huge = one("U8", "[1]", "[0,18446744073709551615]");
        assert!(message(&file(&huge, 1)).contains("truncated: it ends"));
        let overlap = r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
            "b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
        assert!(message(&file(overlap, 3)).contains("tensor \"b\": it overlaps another"));
    }

    #[test]
    fn long_names_make_short_messages() {
        let name = "é".repeat(1 << 20);
        let header =
            format!(r#"{{"{name}":{{"dtype":"{name}","shape":[],"data_offsets":[0,0]}}}}"#);
        assert!(message(&file(&header, 0)).len() < 2000);
        assert!(message(&file(&format!(r#"{{"{name}":1}}"#), 0)).len() < 2000);
    }

    #[test]
    fn deep_nesting_is_refused_without_recursing() {
        let header = format!("{{\"__metadata__\":{}", "[".repeat(1 << 20));
        assert!(message(&file(&header, 0)).contains("bad safetensors header"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result(header in ".{0,80}", data in 0_usize..40, cut in 0_usize..200) {
            let mut bytes = file(&header, data);
            bytes.truncate(cut);
            let _ = read(Path::new("m"), &bytes, 0);
        }

        #[test]
        fn any_numbers_give_a_result(
            shape in prop::collection::vec(any::<u64>(), 0..4),
            start: u64,
            end: u64,
            data in 0_usize..40,
        ) {
            let header = one("F32", &format!("{shape:?}"), &format!("[{start},{end}]"));
            let _ = read(Path::new("m"), &file(&header, data), 0);
        }
    }
}
