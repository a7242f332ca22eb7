//! Bytes, lengths and names of a pickle.

use std::ops::Range;

/// The largest length of a module's or function's name.
pub(super) const MAX_NAME: usize = 256;

/// Why the machine stopped before the end.
pub(super) enum Stop {
    Refused(String),
    Bad(&'static str),
}

/// A pickle and the place up to which it has been read.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(Stop::Bad("truncated"))?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(Stop::Bad("truncated"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        self.array().map(|[byte]| byte)
    }

    /// Text up to the end of the line.
    pub(super) fn line(&mut self) -> Result<&'a str, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().take(MAX_NAME).position(|&byte| byte == b'\n') else {
            let cut = rest.len() < MAX_NAME;
            return Err(Stop::Bad(if cut { "truncated" } else { "a name without an end" }));
        };
        let line = self.take(length)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| Stop::Bad("a name that is not UTF-8"))
    }

    /// A length of `width` bytes, then that many bytes: where they are.
    pub(super) fn span(&mut self, width: usize) -> Result<Range<usize>, Stop> {
        let mut length = [0; 8];
        length[..width].copy_from_slice(self.take(width)?);
        let length = usize::try_from(u64::from_le_bytes(length));
        let start = self.at;
        self.take(length.map_err(|_| Stop::Bad("truncated"))?)?;
        Ok(start..self.at)
    }
}
