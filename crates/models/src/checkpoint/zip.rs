//! The part of the ZIP format that PyTorch files need: the directory, and where each entry lies.
//!
//! A reader of our own because entries have to be found without being copied: PyTorch stores
//! tensors uncompressed and aligned, so that they can be used from the mapped file.
//!
//! # References
//! PKWARE, APPNOTE.TXT 6.3.10; the section numbers follow.

use std::collections::BTreeMap;
use std::ops::Range;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZipEntry {
    /// Its bytes in the archive.
    pub(super) stored: Range<usize>,
    /// Its size after inflating, if it is deflated.
    pub(super) inflated: Option<usize>,
}

/// The signature of a local file header (4.3.7), with which an archive begins.
pub(super) const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_HEADER: &[u8] = b"PK\x01\x02"; // 4.3.12
const END: &[u8] = b"PK\x05\x06"; // 4.3.16
const END_64: &[u8] = b"PK\x06\x06"; // 4.3.14
const LOCATOR_64: &[u8] = b"PK\x06\x07"; // 4.3.15
const END_SIZE: usize = 22;
const LOCATOR_SIZE: usize = 20;
const DIRECTORY_HEADER_SIZE: usize = 46;

/// Deflate cannot do better than 258 bytes for two bits (RFC 1951, 3.2.5).
const MAX_RATIO: usize = 1032;

/// Reads the directory of an archive.
///
/// # Errors
/// A sentence about the rule that the archive breaks.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, ZipEntry>, String> {
    let (directory, count) = find_directory(bytes)?;
    let mut rest = bytes.get(directory.clone()).ok_or_else(|| {
        format!("zip: its directory ends at byte {}, the file at {}", directory.end, bytes.len())
    })?;
    let mut entries = BTreeMap::new();
    // The count is not trusted with an allocation: each turn consumes a header.
    for index in 0..count {
        let bad = || format!("zip: directory entry {index} of {count} is damaged");
        if !rest.starts_with(DIRECTORY_HEADER) {
            return Err(bad());
        }
        let flags = u16_at(rest, 8).ok_or_else(bad)?;
        let method = u16_at(rest, 10).ok_or_else(bad)?;
        let mut sizes = [u32_at(rest, 24), u32_at(rest, 20), u32_at(rest, 42)];
        let name_length = u16_at(rest, 28).ok_or_else(bad)? as usize;
        let extra_length = u16_at(rest, 30).ok_or_else(bad)? as usize;
        let comment_length = u16_at(rest, 32).ok_or_else(bad)? as usize;
        let after = rest.get(DIRECTORY_HEADER_SIZE..).ok_or_else(bad)?;
        let (name, after) = after.split_at_checked(name_length).ok_or_else(bad)?;
        let (extra, after) = after.split_at_checked(extra_length).ok_or_else(bad)?;
        rest = after.get(comment_length..).ok_or_else(bad)?;

        widen(&mut sizes, extra).ok_or_else(bad)?;
        let [Some(size), Some(stored), Some(offset)] = sizes else { return Err(bad()) };
        let name = String::from_utf8_lossy(name).into_owned();
        // Bit 0: encrypted (4.4.4).
        if flags & 1 != 0 {
            return Err(format!("zip: entry {name:?} is encrypted"));
        }
        let start = data_start(bytes, offset)
            .ok_or_else(|| format!("zip: entry {name:?} has no header at byte {offset}"))?;
        let stored = usize::try_from(stored)
            .ok()
            .and_then(|stored| Some(start..start.checked_add(stored)?))
            .filter(|stored| stored.end <= bytes.len())
            .ok_or_else(|| format!("zip: truncated: entry {name:?} is not within the file"))?;
        let size = usize::try_from(size).map_err(|_| bad())?;
        let inflated = match method {
            0 if size == stored.len() => None,
            0 => {
                return Err(format!(
                    "zip: entry {name:?}: expected {size} bytes, got {}",
                    stored.len()
                ));
            }
            8 if size / MAX_RATIO > stored.len() => {
                return Err(format!(
                    "zip: entry {name:?}: {} bytes cannot inflate to {size}",
                    stored.len()
                ));
            }
            8 => Some(size),
            _ => return Err(format!("zip: entry {name:?} uses compression method {method}")),
        };
        if entries.contains_key(&name) {
            return Err(format!("zip: entry {name:?} stands twice"));
        }
        entries.insert(name, ZipEntry { stored, inflated });
    }
    Ok(entries)
}

/// Inflates raw deflate data that must give exactly `size` bytes.
///
/// # Errors
/// A sentence about why it does not.
pub(super) fn inflate(stored: &[u8], size: usize) -> Result<Vec<u8>, String> {
    if size / MAX_RATIO > stored.len() {
        return Err(format!("{} bytes cannot inflate to {size}", stored.len()));
    }
    let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(stored, size)
        .map_err(|error| format!("bad deflate data: {error}"))?;
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(format!("expected to inflate to {size} bytes, got {}", bytes.len()))
    }
}

/// The span of the directory and its number of entries.
fn find_directory(bytes: &[u8]) -> Result<(Range<usize>, u64), String> {
    let missing = || "not a whole zip archive: its directory is missing; truncated?".to_owned();
    // The end record is last but for a comment of at most 65535 bytes.
    let last = bytes.len().checked_sub(END_SIZE).ok_or_else(missing)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| bytes[at..].starts_with(END)).ok_or_else(missing)?;
    let mut count = u16_at(bytes, end + 10).map(u64::from);
    let mut size = u32_at(bytes, end + 12);
    let mut offset = u32_at(bytes, end + 16);

    let locator = end.checked_sub(LOCATOR_SIZE).filter(|&at| bytes[at..].starts_with(LOCATOR_64));
    if let Some(locator) = locator {
        let end_64 = u64_at(bytes, locator + 8)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(END_64)))
            .ok_or_else(missing)?;
        count = u64_at(bytes, end_64.saturating_add(32));
        size = u64_at(bytes, end_64.saturating_add(40));
        offset = u64_at(bytes, end_64.saturating_add(48));
    }
    let (Some(count), Some(size), Some(offset)) = (count, size, offset) else {
        return Err(missing());
    };
    let start = usize::try_from(offset).map_err(|_| missing())?;
    let stop = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
    Ok((start..stop.ok_or_else(missing)?, count))
}

/// Replaces the sizes that did not fit 32 bits by those of the ZIP64 field (4.5.3), which holds
/// only those, in the order: size, stored size, offset.
fn widen(sizes: &mut [Option<u64>; 3], mut extra: &[u8]) -> Option<()> {
    const TOO_LARGE: u64 = u32::MAX as u64;
    if !sizes.contains(&Some(TOO_LARGE)) {
        return Some(());
    }
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0)?, u16_at(extra, 2)? as usize);
        let field = extra.get(4..4 + length)?;
        if id == 1 {
            let wide = sizes.iter_mut().filter(|size| **size == Some(TOO_LARGE));
            for (index, size) in wide.enumerate() {
                *size = Some(u64_at(field, 8 * index)?);
            }
            return Some(());
        }
        extra = &extra[4 + length..];
    }
    None
}

/// Where the data of an entry starts: after its local header, whose lengths may differ from the
/// directory's.
fn data_start(bytes: &[u8], offset: u64) -> Option<usize> {
    let offset = usize::try_from(offset).ok()?;
    let header = bytes.get(offset..)?;
    if !header.starts_with(LOCAL_HEADER) {
        return None;
    }
    let start = 30 + u16_at(header, 26)? as usize + u16_at(header, 28)? as usize;
    // Within the header's slice, so the sum fits.
    (start <= header.len()).then(|| offset + start)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|number| u16::from_le_bytes(*number))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|number| u64::from(u32::from_le_bytes(*number)))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|number| u64::from_le_bytes(*number))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::checkpoint) struct Made<'a> {
        pub(in crate::checkpoint) name: &'a str,
        pub(in crate::checkpoint) stored: &'a [u8],
        pub(in crate::checkpoint) method: u16,
        pub(in crate::checkpoint) size: u32,
        pub(in crate::checkpoint) flags: u16,
    }

    pub(in crate::checkpoint) fn entry<'a>(name: &'a str, stored: &'a [u8]) -> Made<'a> {
        Made { name, stored, method: 0, size: stored.len() as u32, flags: 0 }
    }

    pub(in crate::checkpoint) fn archive(entries: &[Made<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directory = Vec::new();
        for entry in entries {
            let offset = bytes.len() as u32;
            let fields = |extra: u16| {
                let mut fields =
                    [20, entry.flags, entry.method, 0, 0].map(u16::to_le_bytes).concat();
                fields.extend(
                    [0, entry.stored.len() as u32, entry.size].map(u32::to_le_bytes).concat(),
                );
                fields.extend([entry.name.len() as u16, extra].map(u16::to_le_bytes).concat());
                fields
            };
            bytes.extend([LOCAL_HEADER, &fields(3), entry.name.as_bytes(), b"pad"].concat());
            bytes.extend(entry.stored);
            directory.extend([DIRECTORY_HEADER, &[20, 0], &fields(0), &[0; 10]].concat());
            directory.extend(offset.to_le_bytes());
            directory.extend(entry.name.as_bytes());
        }
        let (start, count) = (bytes.len() as u32, entries.len() as u16);
        bytes.extend(&directory);
        bytes.extend([END, &[0; 4]].concat());
        bytes.extend([count, count].map(u16::to_le_bytes).concat());
        bytes.extend([directory.len() as u32, start].map(u32::to_le_bytes).concat());
        bytes.extend([0, 0]);
        bytes
    }

    fn deflated() -> Vec<u8> {
        miniz_oxide::deflate::compress_to_vec(&[5; 1000], 6)
    }

    #[test]
    fn entries_are_found() {
        let stored = deflated();
        let bytes = archive(&[
            entry("a/x", b"hello"),
            Made { method: 8, size: 1000, ..entry("b", &stored) },
            entry("empty", b""),
        ]);
        let entries = read(&bytes).unwrap();
        assert_eq!(&bytes[entries["a/x"].stored.clone()], b"hello");
        assert_eq!(entries["b"].inflated, Some(1000));
        let inflated = inflate(&bytes[entries["b"].stored.clone()], 1000).unwrap();
        assert_eq!(inflated, [5; 1000]);
        assert!(entries["empty"].stored.is_empty());
        let mut with_comment = bytes.clone();
        with_comment.extend([b'x'; 500]);
        assert_eq!(read(&with_comment).unwrap(), entries);
    }

    #[test]
    fn the_wide_field_replaces_what_did_not_fit() {
        let wide = [1_u64, 2].map(u64::to_le_bytes).concat();
        let extra = [&[9, 0, 1, 0, 0, 1, 0, 16, 0][..], &wide].concat();
        let max = Some(u64::from(u32::MAX));
        let mut sizes = [max, Some(5), max];
        widen(&mut sizes, &extra).unwrap();
        assert_eq!(sizes, [Some(1), Some(5), Some(2)]);
        assert_eq!(widen(&mut [max; 3], &extra), None);
        assert_eq!(widen(&mut [max; 3], &extra[..12]), None);
        assert_eq!(widen(&mut [max; 3], &[]), None);
    }

    #[test]
    fn every_broken_rule_is_named() {
        let message = |entries: &[Made<'_>]| read(&archive(entries)).unwrap_err();
        assert!(read(b"").unwrap_err().contains("truncated"));
        assert!(message(&[Made { flags: 1, ..entry("a", b"x") }]).contains("encrypted"));
        assert!(message(&[Made { method: 14, ..entry("a", b"x") }]).contains("method 14"));
        assert!(message(&[Made { size: 9, ..entry("a", b"x") }]).contains("expected 9 bytes"));
        assert!(message(&[entry("a", b"x"), entry("a", b"y")]).contains("stands twice"));
        let bomb = Made { method: 8, size: u32::MAX - 1, ..entry("a", b"0123456789") };
        assert!(message(&[bomb]).contains("10 bytes cannot inflate to 4294967294"));
    }

    #[test]
    fn inflating_stops_at_the_declared_size() {
        let stored = deflated();
        assert!(inflate(&stored, 999).is_err());
        assert!(inflate(&stored, 1001).unwrap_err().contains("expected to inflate to 1001"));
        assert!(inflate(&stored, usize::MAX).unwrap_err().contains("cannot inflate"));
        assert!(inflate(b"\xff\xff", 10).is_err());
    }

    proptest! {
        #[test]
        fn damage_gives_a_result(
            at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            shorten: bool,
        ) {
            let stored = deflated();
            let deflated = Made { method: 8, size: 1000, ..entry("b", &stored) };
            let mut bytes = archive(&[entry("a/data.pkl", b"hello"), deflated]);
            for (index, byte) in at {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if shorten {
                bytes.truncate(cut.index(bytes.len()));
            }
            for entry in read(&bytes).into_iter().flatten().map(|(_, entry)| entry) {
                let stored = &bytes[entry.stored];
                if let Some(size) = entry.inflated {
                    let _ = inflate(stored, size);
                }
            }
        }
    }
}
