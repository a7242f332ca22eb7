//! Where a tensor's numbers lie in a file, and how to collect them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::bytes::Bytes;
use super::tensor::RawType;
use crate::error::{Error, Result};

/// One tensor of a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Which of the checkpoint's files holds it.
    pub(super) file: usize,
    /// Where in that file.
    pub(super) source: Source,
    /// How its numbers are arranged there. Shared by names for one tensor, so that a small pickle
    /// with many names cannot take much memory.
    pub(super) view: Arc<View>,
}

/// A run of bytes of a file that holds the numbers of one or more tensors.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The bytes of the file. Checked to be within it when the entry was made.
    pub(super) storage: Range<usize>,
    /// The size after inflating, if the bytes are deflated.
    pub(super) inflated: Option<usize>,
}

impl Source {
    /// The number of bytes that views of it may use.
    pub(super) fn len(&self) -> usize {
        self.inflated.unwrap_or(self.storage.len())
    }
}

/// The arrangement of a tensor within its storage, counted in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) dtype: RawType,
    pub(super) shape: Vec<usize>,
    /// Where the first number is, counted in bytes because old files place views freely.
    offset: usize,
    /// The distance between neighbours on each axis; `None` if row-major without gaps.
    strides: Option<Vec<usize>>,
    /// What has to be done to the numbers.
    change: Change,
}

/// How the numbers in the file differ from those of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Not at all.
    None,
    /// In each of so many heads, rows of the first and of the second half alternate.
    Alternating(usize),
    /// They are larger by one; they are in single precision.
    PlusOne,
}

/// The number of bytes of a tensor, or `None` if it is beyond counting.
pub(super) fn byte_size(shape: &[usize], dtype: RawType) -> Option<usize> {
    // A zero axis does not excuse the product of the others from fitting, as in safetensors.
    let numbers = shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis))?;
    // A slice can have at most `isize::MAX` bytes.
    // Blocks do not cross rows.
    if dtype.block() > 1 && shape.last().is_none_or(|row| row % dtype.block() != 0) {
        return None;
    }
    let blocks = numbers / dtype.block();
    blocks.checked_mul(dtype.size()).filter(|&bytes| isize::try_from(bytes).is_ok())
}

impl View {
    /// A tensor that is its whole storage.
    pub(super) fn whole(dtype: RawType, shape: Vec<usize>) -> Self {
        Self::changed(dtype, shape, Change::None)
    }

    /// A tensor that is its whole storage, in which its numbers are not as they should be.
    pub(super) fn changed(dtype: RawType, shape: Vec<usize>, change: Change) -> Self {
        Self { dtype, shape, offset: 0, strides: None, change }
    }

    /// A tensor that is a part of a storage of `storage` bytes.
    ///
    /// # Errors
    /// A sentence about what is wrong: the view leaves its storage, or needs more bytes than
    /// `limit`, which bounds the repetition that a stride of zero asks for.
    pub(super) fn strided(
        dtype: RawType,
        shape: Vec<usize>,
        mut strides: Vec<usize>,
        offset: usize,
        storage: usize,
        limit: usize,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!("{} axes but {} strides", shape.len(), strides.len()));
        }
        let bytes = byte_size(&shape, dtype).ok_or("its shape is too large to count")?;
        if bytes > limit {
            return Err(format!("its shape needs {bytes} bytes; expected at most {limit}"));
        }
        // The stride of an axis of one is never walked and may be any number.
        for (&axis, stride) in shape.iter().zip(&mut strides) {
            if axis == 1 {
                *stride = 0;
            }
        }
        let dense = is_dense(&shape, &strides);
        let used = if bytes == 0 {
            Some(0)
        } else {
            shape
                .iter()
                .zip(&strides)
                .try_fold(0_usize, |last, (&axis, &stride)| {
                    last.checked_add((axis - 1).checked_mul(stride)?)
                })
                .and_then(|last| last.checked_add(1)?.checked_mul(dtype.size()))
        };
        let end = used.and_then(|used| used.checked_add(offset));
        if end.is_none_or(|end| end > storage) {
            let end = end.map_or_else(|| "beyond counting".to_owned(), |end| end.to_string());
            return Err(format!("its last byte is {end} of a storage of {storage}"));
        }
        let strides = (!dense).then_some(strides);
        Ok(Self { dtype, shape, offset, strides, change: Change::None })
    }

    /// The tensor's bytes in row-major order: a part of `storage` where that is possible, else a
    /// copy. `None` if `storage` is shorter than the view was checked against.
    pub(super) fn collect(&self, storage: &Bytes) -> Option<Bytes> {
        let size = byte_size(&self.shape, self.dtype)?;
        let Some(strides) = &self.strides else {
            let stored = storage.slice(self.offset..self.offset.checked_add(size)?)?;
            return match self.change {
                Change::None => Some(stored),
                Change::Alternating(heads) => self.apart(heads, stored.as_slice()),
                Change::PlusOne => Some(less_one(stored.as_slice())),
            };
        };
        let mut out = Vec::with_capacity(size);
        if size > 0 {
            gather(
                storage.as_slice().get(self.offset..)?,
                &self.shape,
                strides,
                self.dtype.size(),
                &mut out,
            )?;
        }
        Some(out.into())
    }
}

impl View {
    /// The rows with the two halves of each head one after the other.
    fn apart(&self, heads: usize, stored: &[u8]) -> Option<Bytes> {
        let rows = *self.shape.first()?;
        let width = rows.checked_div(heads).filter(|w| w % 2 == 0 && w * heads == rows)?;
        let mut out = Vec::with_capacity(stored.len());
        if width > 0 {
            let row = stored.len() / rows;
            for head in stored.chunks(row.checked_mul(width)?.max(1)) {
                for i in (0..width).step_by(2).chain((1..width).step_by(2)) {
                    out.extend_from_slice(head.get(i * row..(i + 1) * row)?);
                }
            }
        }
        Some(out.into())
    }
}

/// Numbers in single precision, each less one. It is exact for what was a number in single
/// precision before one was added to it.
fn less_one(stored: &[u8]) -> Bytes {
    let (numbers, _) = stored.as_chunks::<4>();
    let less = |number: &[u8; 4]| (f32::from_le_bytes(*number) - 1.0).to_le_bytes();
    numbers.iter().flat_map(less).collect::<Vec<u8>>().into()
}

/// Whether strides describe row-major order without gaps; an axis of one may have any stride.
fn is_dense(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    for (&axis, &stride) in shape.iter().zip(strides).rev() {
        if axis != 1 && stride != expected {
            // Without numbers there is nothing to be out of order.
            return shape.contains(&0);
        }
        expected = expected.saturating_mul(axis);
    }
    true
}

/// Copies the numbers of a view without empty axes in row-major order, like an odometer.
fn gather(
    bytes: &[u8],
    shape: &[usize],
    strides: &[usize],
    size: usize,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut index = vec![0_usize; shape.len()];
    let mut at = 0_usize;
    loop {
        out.extend_from_slice(bytes.get(at * size..(at + 1) * size)?);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return Some(());
            }
            axis -= 1;
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}

/// Reads the bytes of a source out of the content of its file.
///
/// # Errors
/// If deflated bytes do not inflate to the size that was declared.
pub(super) fn load(path: &Path, tensor: &str, file: &Bytes, source: &Source) -> Result<Bytes> {
    let stored = file
        .slice(source.storage.clone())
        .ok_or_else(|| Error::tensor(path, tensor, "its bytes are not within the file"))?;
    let Some(inflated) = source.inflated else { return Ok(stored) };
    let bytes = super::zip::inflate(stored.as_slice(), inflated)
        .map_err(|what| Error::tensor(path, tensor, what))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A storage of the bytes 0, 1, 2, ...
    fn storage(length: u8) -> Bytes {
        (0..length).collect::<Vec<u8>>().into()
    }

    fn bytes(shape: &[usize], strides: &[usize], offset: usize) -> Result<Vec<u8>, String> {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        let view = View::strided(RawType::U8, shape, strides, offset, 24, 24)?;
        Ok(view.collect(&storage(24)).unwrap().as_slice().to_vec())
    }

    #[test]
    fn views_are_collected_in_order() {
        assert_eq!(bytes(&[2, 3], &[3, 1], 4).unwrap(), [4, 5, 6, 7, 8, 9]);
        assert_eq!(bytes(&[3, 2], &[1, 3], 0).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(bytes(&[2, 2], &[12, 5], 1).unwrap(), [1, 6, 13, 18]);
        assert_eq!(bytes(&[2, 3], &[0, 1], 2).unwrap(), [2, 3, 4, 2, 3, 4]);
        assert_eq!(bytes(&[], &[], 23).unwrap(), [23]);
        assert_eq!(bytes(&[0, 3], &[9, 9], 24).unwrap(), [0_u8; 0]);
        assert_eq!(bytes(&[2, 1, 2], &[2, usize::MAX, 1], 0).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn row_major_views_share_their_storage() {
        let view = View::strided(RawType::F16, vec![2, 1, 3], vec![3, 77, 1], 6, 24, 24).unwrap();
        let storage = storage(24);
        let part = view.collect(&storage).unwrap();
        assert_eq!(part.as_slice().as_ptr(), storage.as_slice()[6..].as_ptr());
        assert_eq!(part.len(), 12);
        assert_eq!(view.collect(&storage.slice(0..10).unwrap()).map(|part| part.len()), None);
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        assert!(bytes(&[25], &[1], 0).unwrap_err().contains("needs 25 bytes"));
        assert!(bytes(&[24], &[1], 1).unwrap_err().contains("last byte is 25"));
        assert!(bytes(&[2], &[24], 0).unwrap_err().contains("last byte is 25"));
        assert!(bytes(&[2], &[usize::MAX], 0).unwrap_err().contains("beyond counting"));
        assert!(bytes(&[1], &[1], usize::MAX).unwrap_err().contains("beyond counting"));
        assert!(bytes(&[1 << 40], &[0], 0).unwrap_err().contains("needs"));
        assert!(bytes(&[usize::MAX, 2], &[0, 0], 0).unwrap_err().contains("too large"));
        assert!(bytes(&[2], &[], 0).unwrap_err().contains("1 axes but 0 strides"));
    }

    proptest! {
        #[test]
        fn collecting_agrees_with_counting(
            axes in prop::collection::vec((0_usize..4, 0_usize..9), 0..4),
            offset in 0_usize..30,
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let mut expected = vec![offset];
            for (&axis, &stride) in shape.iter().zip(&strides) {
                let steps = |at: usize| (0..axis).map(move |step| at + step * stride);
                expected = expected.into_iter().flat_map(steps).collect();
            }
            let fits = expected.len() <= 24
                && expected.iter().all(|&at| at < 24)
                && (!expected.is_empty() || offset <= 24);
            let got = bytes(&shape, &strides, offset);
            prop_assert_eq!(got.is_ok(), fits, "{:?}", got);
            if let Ok(got) = got {
                prop_assert!(got.iter().map(|&byte| usize::from(byte)).eq(expected));
            }
        }
    }
}
