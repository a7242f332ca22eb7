//! One tensor as the file holds it, and its numbers as floats.

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use super::blocks::BlockType;
use super::bytes::Bytes;
use crate::error::{Error, Result};

/// The type of the numbers of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RawType {
    /// IEEE 754 double precision.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// 8-bit float: 4 bits of exponent, 3 of mantissa.
    F8E4M3,
    /// 8-bit float: 5 bits of exponent, 2 of mantissa.
    F8E5M2,
    /// Complex number of two single precision parts.
    C64,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 64-bit integer.
    U64,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 8-bit integer.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// Quantised numbers.
    Blocks(BlockType),
}

impl RawType {
    /// The number of bytes of one number; of one block, where numbers are quantised.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Blocks(kind) => kind.bytes(),
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F8E4M3 | Self::F8E5M2 | Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The numbers in [`RawType::size`] bytes: one, unless they are quantised.
    #[must_use]
    pub fn block(self) -> usize {
        match self {
            Self::Blocks(kind) => kind.numbers(),
            _ => 1,
        }
    }

    /// The name that safetensors files use, or GGUF files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks(kind) => kind.name(),
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E5M2 => "F8_E5M2",
            Self::C64 => "C64",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    /// The type with a safetensors name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        const ALL: [RawType; 16] = [
            RawType::F64,
            RawType::F32,
            RawType::F16,
            RawType::BF16,
            RawType::F8E4M3,
            RawType::F8E5M2,
            RawType::C64,
            RawType::I64,
            RawType::I32,
            RawType::I16,
            RawType::I8,
            RawType::U64,
            RawType::U32,
            RawType::U16,
            RawType::U8,
            RawType::Bool,
        ];
        ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Whether [`RawTensor::to_f32_vec`] can read it.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16 | Self::Blocks(_))
    }
}

impl std::fmt::Display for RawType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor of a checkpoint: its numbers in row-major order, little endian, not yet converted.
///
/// A tensor from [`Checkpoint::get`](super::Checkpoint::get) has exactly as many bytes as its shape
/// and type need.
#[derive(Debug, Clone)]
pub struct RawTensor {
    /// The name in the checkpoint.
    pub name: String,
    /// The type of the numbers.
    pub dtype: RawType,
    /// The size of each axis, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers.
    pub bytes: Bytes,
}

impl RawTensor {
    /// The number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size() * self.dtype.block()
    }

    /// Whether there are no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The numbers without a copy, when the file holds single precision, aligned in memory, on a
    /// little endian machine.
    #[must_use]
    pub fn as_f32_slice(&self) -> Option<&[f32]> {
        if self.dtype != RawType::F32 || cfg!(target_endian = "big") {
            return None;
        }
        bytemuck::try_cast_slice(self.bytes.as_slice()).ok()
    }

    /// Gives the memory of a mapped file back to the system until the numbers are read again.
    pub(crate) fn release(&self) {
        self.bytes.release();
    }

    /// The numbers as single precision; double precision is rounded.
    ///
    /// # Errors
    /// If the tensor does not hold floats.
    pub fn to_f32_vec(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.len()];
        self.write_f32(&mut out)?;
        Ok(out)
    }

    /// Writes the numbers into `out`, which must be as long as the tensor.
    ///
    /// # Errors
    /// If the tensor does not hold floats.
    ///
    /// # Panics
    /// If `out` has another length than the tensor.
    pub fn write_f32(&self, out: &mut [f32]) -> Result<()> {
        assert_eq!(out.len(), self.len(), "the output is as long as the tensor");
        let bytes = self.bytes.as_slice();
        match self.dtype {
            RawType::F32 => match self.as_f32_slice() {
                Some(numbers) => out.copy_from_slice(numbers),
                None => each(bytes, out, f32::from_le_bytes),
            },
            RawType::F64 => each(bytes, out, |number| f64::from_le_bytes(number) as f32),
            // Widening needs no rounding, so the upper half is the whole number.
            RawType::BF16 => each(bytes, out, |number| {
                f32::from_bits(u32::from(u16::from_le_bytes(number)) << 16)
            }),
            RawType::F16 => f16_to_f32(bytes, out),
            RawType::Blocks(kind) => kind.read_f32(bytes, out),
            _ => return Err(self.not_floats()),
        }
        Ok(())
    }

    /// The numbers as double precision.
    ///
    /// # Errors
    /// If the tensor does not hold floats.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        let bytes = self.bytes.as_slice();
        let mut out = vec![0.0; self.len()];
        match self.dtype {
            RawType::F64 => each(bytes, &mut out, f64::from_le_bytes),
            RawType::F32 => each(bytes, &mut out, |number| f64::from(f32::from_le_bytes(number))),
            RawType::F16 => each(bytes, &mut out, |number| f16::from_le_bytes(number).to_f64()),
            RawType::BF16 => each(bytes, &mut out, |number| bf16::from_le_bytes(number).to_f64()),
            RawType::Blocks(kind) => kind.read_f64(bytes, &mut out),
            _ => return Err(self.not_floats()),
        }
        Ok(out)
    }

    fn not_floats(&self) -> Error {
        Error::TensorType {
            tensor: self.name.clone(),
            expected: "F32, F64, F16 or BF16",
            got: self.dtype.to_string(),
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], out: &mut [T], convert: impl Fn([u8; N]) -> T) {
    let (numbers, _) = bytes.as_chunks::<N>();
    for (out, number) in out.iter_mut().zip(numbers) {
        *out = convert(*number);
    }
}

/// Converts in blocks, because the conversion with the processor's instruction wants a slice of
/// aligned `f16` and files promise neither the alignment nor the byte order.
fn f16_to_f32(bytes: &[u8], out: &mut [f32]) {
    const BLOCK: usize = 1024;
    let mut block = [f16::ZERO; BLOCK];
    let (numbers, _) = bytes.as_chunks::<2>();
    for (out, numbers) in out.chunks_mut(BLOCK).zip(numbers.chunks(BLOCK)) {
        for (half, number) in block.iter_mut().zip(numbers) {
            *half = f16::from_le_bytes(*number);
        }
        let length = out.len().min(numbers.len());
        block[..length].convert_to_f32_slice(&mut out[..length]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensor(dtype: RawType, bytes: Vec<u8>) -> RawTensor {
        let shape = vec![bytes.len() / dtype.size()];
        RawTensor { name: "t".to_owned(), dtype, shape, bytes: bytes.into() }
    }

    /// The same bytes at an odd address.
    fn misaligned(tensor: &RawTensor) -> RawTensor {
        let bytes = [&[0], tensor.bytes.as_slice()].concat();
        let length = bytes.len();
        let bytes = Bytes::from(bytes).slice(1..length).unwrap();
        RawTensor { bytes, ..tensor.clone() }
    }

    #[test]
    fn every_half_is_widened_as_defined() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        for dtype in [RawType::F16, RawType::BF16] {
            let tensor = tensor(dtype, bytes.clone());
            let wide = tensor.to_f32_vec().unwrap();
            let wider = misaligned(&tensor).to_f64_vec().unwrap();
            for ((&half, wide), wider) in halves.iter().zip(wide).zip(wider) {
                let expected = match dtype {
                    RawType::F16 => f16::from_bits(half).to_f64(),
                    _ => bf16::from_bits(half).to_f64(),
                };
                let same = |got: f64| got == expected || got.is_nan() && expected.is_nan();
                assert!(same(wide.into()) && same(wider), "{dtype} {half:#x}: {wide} {wider}");
            }
        }
    }

    #[test]
    fn singles_are_shared_only_when_aligned() {
        let numbers = [1.5_f32, -0.0, f32::MIN_POSITIVE];
        let aligned = tensor(RawType::F32, numbers.iter().flat_map(|n| n.to_le_bytes()).collect());
        assert_eq!(aligned.as_f32_slice(), Some(&numbers[..]));
        let odd = misaligned(&aligned);
        assert_eq!(odd.as_f32_slice(), None);
        assert_eq!(odd.to_f32_vec().unwrap(), numbers);
        assert_eq!(tensor(RawType::I32, vec![0; 8]).as_f32_slice(), None);
    }

    #[test]
    fn integers_are_not_floats() {
        let error = tensor(RawType::I64, vec![0; 16]).to_f32_vec().unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor \"t\": expected F32, F64, F16 or BF16 numbers, got I64"
        );
        assert!(tensor(RawType::Bool, vec![1]).to_f64_vec().is_err());
    }

    #[test]
    fn names_are_those_of_safetensors() {
        assert_eq!(RawType::from_name("F8_E4M3"), Some(RawType::F8E4M3));
        assert_eq!(RawType::from_name("f32"), None);
    }

    proptest! {
        #[test]
        fn doubles_round_to_singles(numbers in prop::collection::vec(any::<f64>(), 0..50)) {
            let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            let tensor = tensor(RawType::F64, bytes);
            prop_assert_eq!(&tensor.to_f64_vec().unwrap(), &numbers);
            let singles: Vec<f32> = numbers.iter().map(|&n| n as f32).collect();
            prop_assert_eq!(tensor.to_f32_vec().unwrap(), singles);
        }
    }
}
