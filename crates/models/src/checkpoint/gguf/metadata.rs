//! The keys and values at the start of a GGUF file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use crate::error::{Error, Result, clip};

/// The keys of a file. Files in use have some forty.
const MAX_KEYS: u64 = 1 << 16;

/// The values of a list that is read; merges, the longest lists in use, are half a million.
const MAX_LIST: usize = 1 << 23;

/// A value as it stands in the file; text and lists are parts of it.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Whole(i128),
    Single(f32),
    Double(f64),
    Flag(bool),
    Text(&'a [u8]),
    List(List<'a>),
}

#[derive(Debug, Clone, Copy)]
struct List<'a> {
    kind: u32,
    count: usize,
    bytes: &'a [u8],
}

const TEXT: u32 = 8;
const LIST: u32 = 9;

/// The number of bytes of a value of a kind, for kinds of one size.
fn size(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

impl<'a> Value<'a> {
    fn read(cursor: &mut Cursor<'a>, kind: u32) -> Result<Self, String> {
        Ok(match kind {
            0 => Self::Whole(u8::from_le_bytes(cursor.array()?).into()),
            1 => Self::Whole(i8::from_le_bytes(cursor.array()?).into()),
            2 => Self::Whole(u16::from_le_bytes(cursor.array()?).into()),
            3 => Self::Whole(i16::from_le_bytes(cursor.array()?).into()),
            4 => Self::Whole(u32::from_le_bytes(cursor.array()?).into()),
            5 => Self::Whole(i32::from_le_bytes(cursor.array()?).into()),
            6 => Self::Single(f32::from_le_bytes(cursor.array()?)),
            7 => match cursor.array::<1>()? {
                [0] => Self::Flag(false),
                [1] => Self::Flag(true),
                [other] => return Err(format!("expected 0 or 1 for a flag, got {other}")),
            },
            TEXT => Self::Text(cursor.string()?),
            LIST => Self::List(List::read(cursor)?),
            10 => Self::Whole(u64::from_le_bytes(cursor.array()?).into()),
            11 => Self::Whole(i64::from_le_bytes(cursor.array()?).into()),
            12 => Self::Double(f64::from_le_bytes(cursor.array()?)),
            _ => return Err(format!("a value of kind {kind} is not known")),
        })
    }

    fn describe(self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Single(x) => x.to_string(),
            Self::Double(x) => x.to_string(),
            Self::Flag(on) => on.to_string(),
            Self::Text(text) => {
                let start = text.get(..60).unwrap_or(text);
                format!("{:?}", String::from_utf8_lossy(start))
            }
            Self::List(list) => format!("a list of {}", list.count),
        }
    }
}

impl<'a> List<'a> {
    /// Finds the end of a list without keeping anything of it.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let kind = cursor.u32()?;
        let count = cursor.u64()?;
        let too_long = || {
            let left = cursor.left();
            format!("truncated: a list of {count} values is expected, {left} bytes are left")
        };
        // A text takes eight bytes at least, so a count that passes can be walked through.
        let least = if kind == TEXT { Some(8) } else { size(kind) };
        let least = least.ok_or_else(|| format!("a list of values of kind {kind} is not known"))?;
        let count = usize::try_from(count).map_err(|_| too_long())?;
        let bytes = count.checked_mul(least).filter(|&bytes| bytes <= cursor.left());
        let bytes = bytes.ok_or_else(too_long)?;
        let bytes = if kind == TEXT {
            let mut ahead = Cursor::new(cursor.rest());
            for _ in 0..count {
                ahead.string()?;
            }
            cursor.take(ahead.at())?
        } else {
            cursor.take(bytes)?
        };
        Ok(Self { kind, count, bytes })
    }

    fn values(self) -> impl Iterator<Item = Result<Value<'a>, String>> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map(move |_| Value::read(&mut cursor, self.kind))
    }
}

/// What a file says about itself.
#[derive(Debug)]
pub(crate) struct Metadata<'a> {
    path: PathBuf,
    values: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    pub(super) fn read(path: &Path, cursor: &mut Cursor<'a>, count: u64) -> Result<Self> {
        let bad = |what: String| Error::weights(path, what);
        if count > MAX_KEYS {
            return Err(bad(format!("{count} keys; expected at most {MAX_KEYS}")));
        }
        let mut values = BTreeMap::new();
        for i in 0..count {
            let key = cursor.string().map_err(|what| bad(format!("key {i}: {what}")))?;
            let key = std::str::from_utf8(key)
                .map_err(|_| bad(format!("key {i}: expected UTF-8, got other bytes")))?;
            let value = cursor.u32().and_then(|kind| Value::read(cursor, kind));
            let value = value.map_err(|what| bad(format!("{}: {what}", clip(key.to_owned()))))?;
            if values.insert(key, value).is_some() {
                return Err(bad(format!("{}: the key stands twice", clip(key.to_owned()))));
            }
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// The file that this came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The error of a value that cannot be used.
    pub(crate) fn bad(&self, key: &str, expected: &str) -> Error {
        Error::BadConfig { path: self.path.clone(), what: self.mismatch(key, expected) }
    }

    /// The error of a value that makes sense, but not to this program.
    pub(crate) fn unsupported(&self, key: &str, expected: &str) -> Error {
        Error::Unsupported { path: self.path.clone(), what: self.mismatch(key, expected) }
    }

    fn mismatch(&self, key: &str, expected: &str) -> String {
        let got = self.values.get(key).map_or_else(|| "nothing".to_owned(), |v| v.describe());
        format!("{key}: expected {expected}, got {got}")
    }

    /// A text.
    ///
    /// # Errors
    /// If it is there and not a text in UTF-8.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(self.bad(key, "text in UTF-8")),
            },
            Some(_) => Err(self.bad(key, "a text")),
        }
    }

    /// A switch.
    ///
    /// # Errors
    /// If it is there and not one.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Flag(on)) => Ok(Some(*on)),
            Some(_) => Err(self.bad(key, "true or false")),
        }
    }

    /// A whole number that is not negative; of a list with one for each layer, the one that all are.
    ///
    /// # Errors
    /// If it is there and something else.
    pub(crate) fn whole(&self, key: &str) -> Result<Option<u64>> {
        let expected = "a whole number, the same for all layers";
        let same = |list: &List<'a>| {
            let mut values = list.values();
            let first = match values.next() {
                Some(Ok(Value::Whole(first))) => first,
                _ => return None,
            };
            let all = values.all(|value| matches!(value, Ok(Value::Whole(n)) if n == first));
            all.then_some(first)
        };
        let number = match self.values.get(key) {
            None => return Ok(None),
            Some(Value::Whole(n)) => Some(*n),
            Some(Value::List(list)) => same(list),
            Some(_) => None,
        };
        match number.and_then(|n| u64::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(self.bad(key, expected)),
        }
    }

    /// A finite number. Of single precision, it is the shortest decimal number that rounds to it:
    /// 1e-5 is meant where 9.999999747378752e-6 is stored.
    ///
    /// # Errors
    /// If it is there and something else.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = match self.values.get(key) {
            None => return Ok(None),
            Some(Value::Whole(n)) => Some(*n as f64),
            Some(Value::Single(x)) => x.to_string().parse().ok(),
            Some(Value::Double(x)) => Some(*x),
            Some(_) => None,
        };
        match number.filter(|x: &f64| x.is_finite()) {
            Some(x) => Ok(Some(x)),
            None => Err(self.bad(key, "a finite number")),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// If it is there and something else, or not in UTF-8.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        let text = |value| match value {
            Ok(Value::Text(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        self.list(key, "a list of texts in UTF-8", text)
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// If it is there and something else.
    pub(crate) fn wholes(&self, key: &str) -> Result<Option<Vec<i64>>> {
        let number = |value| match value {
            Ok(Value::Whole(n)) => i64::try_from(n).ok(),
            _ => None,
        };
        self.list(key, "a list of whole numbers", number)
    }

    /// A list of numbers in single precision.
    ///
    /// # Errors
    /// If it is there and something else.
    pub(crate) fn singles(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let number = |value| match value {
            Ok(Value::Single(x)) if !x.is_nan() => Some(x),
            _ => None,
        };
        self.list(key, "a list of numbers in single precision", number)
    }

    /// A list of switches; none too where the key has a value of another kind.
    pub(crate) fn flags(&self, key: &str) -> Option<Vec<bool>> {
        let flag = |value| match value {
            Ok(Value::Flag(on)) => Some(on),
            _ => None,
        };
        self.list(key, "a list of flags", flag).ok().flatten()
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(Result<Value<'a>, String>) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::List(list)) if list.count > MAX_LIST => {
                Err(self.bad(key, &format!("at most {MAX_LIST} values")))
            }
            Some(Value::List(list)) => {
                let values: Option<Vec<T>> = list.values().map(convert).collect();
                values.map(Some).ok_or_else(|| self.bad(key, expected))
            }
            Some(_) => Err(self.bad(key, expected)),
        }
    }
}
