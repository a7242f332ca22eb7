//! Quantised numbers: blocks of small integers with scales of their own, as GGUF files hold them.
//!
//! A number is `scale * q + offset`, computed in single precision in the order in which ggml does,
//! so that it comes out the same to the last bit. Where a block has parts with scales of their own,
//! those are small integers too, times a scale of the block.
//!
//! # References
//! The layouts: `ggml-common.h` and `ggml-quants.c` of <https://github.com/ggml-org/ggml>.

use half::f16;
use rayon::prelude::*;

/// A kind of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockType {
    /// 32 numbers of 4 bits around 8, one scale.
    Q4_0,
    /// 32 numbers of 4 bits, one scale, one offset.
    Q4_1,
    /// 32 numbers of 5 bits around 16, one scale.
    Q5_0,
    /// 32 numbers of 5 bits, one scale, one offset.
    Q5_1,
    /// 32 numbers of 8 bits, one scale.
    Q8_0,
    /// 256 numbers of 2 bits in 16 parts, each with a scale and an offset of 4 bits.
    Q2K,
    /// 256 numbers of 3 bits around 4 in 16 parts, each with a scale of 6 bits.
    Q3K,
    /// 256 numbers of 4 bits in 8 parts, each with a scale and an offset of 6 bits.
    Q4K,
    /// 256 numbers of 5 bits in 8 parts, each with a scale and an offset of 6 bits.
    Q5K,
    /// 256 numbers of 6 bits around 32 in 16 parts, each with a scale of 8 bits.
    Q6K,
}

impl BlockType {
    /// The bytes of a block.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// The numbers in a block.
    #[must_use]
    pub fn numbers(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// The name that ggml uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Writes the numbers of whole blocks into `out`, on several threads where there are many. What
    /// has no counterpart on the other side is left.
    pub(super) fn read_f32(self, bytes: &[u8], out: &mut [f32]) {
        let parts = bytes.par_chunks(PART * self.bytes());
        let outs = out.par_chunks_mut(PART * self.numbers());
        parts.zip(outs).for_each(|(bytes, out)| self.decode(bytes, out));
    }

    /// As [`BlockType::read_f32`], in double precision: the same numbers.
    pub(super) fn read_f64(self, bytes: &[u8], out: &mut [f64]) {
        let parts = bytes.par_chunks(PART * self.bytes());
        let outs = out.par_chunks_mut(PART * self.numbers());
        parts.zip(outs).for_each(|(bytes, out)| {
            let mut singles = vec![0.0; out.len()];
            self.decode(bytes, &mut singles);
            for (out, single) in out.iter_mut().zip(singles) {
                *out = single.into();
            }
        });
    }

    fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::Q4_0 => each(bytes, out, q4_0),
            Self::Q4_1 => each(bytes, out, q4_1),
            Self::Q5_0 => each(bytes, out, q5_0),
            Self::Q5_1 => each(bytes, out, q5_1),
            Self::Q8_0 => each(bytes, out, q8_0),
            Self::Q2K => each(bytes, out, q2_k),
            Self::Q3K => each(bytes, out, q3_k),
            Self::Q4K => each(bytes, out, q4_k),
            Self::Q5K => each(bytes, out, q5_k),
            Self::Q6K => each(bytes, out, q6_k),
        }
    }
}

/// The blocks that one thread takes at a time.
const PART: usize = 512;

fn each<const B: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; B], &mut [f32; N]),
) {
    let (blocks, _) = bytes.as_chunks::<B>();
    let (outs, _) = out.as_chunks_mut::<N>();
    for (block, out) in blocks.iter().zip(outs) {
        decode(block, out);
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half(block, 0);
    for i in 0..16 {
        let two = block[2 + i];
        out[i] = f32::from((two & 15) as i8 - 8) * scale;
        out[16 + i] = f32::from((two >> 4) as i8 - 8) * scale;
    }
}

fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for i in 0..16 {
        let two = block[4 + i];
        out[i] = f32::from(two & 15) * scale + offset;
        out[16 + i] = f32::from(two >> 4) * scale + offset;
    }
}

/// The fifth bits of 32 numbers.
fn fifth(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let (scale, high) = (half(block, 0), fifth(block, 2));
    let bit = |i: usize| (high >> i & 1) as u8 * 16;
    for i in 0..16 {
        let two = block[6 + i];
        out[i] = f32::from((two & 15 | bit(i)) as i8 - 16) * scale;
        out[16 + i] = f32::from((two >> 4 | bit(16 + i)) as i8 - 16) * scale;
    }
}

fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, offset, high) = (half(block, 0), half(block, 2), fifth(block, 4));
    let bit = |i: usize| (high >> i & 1) as u8 * 16;
    for i in 0..16 {
        let two = block[8 + i];
        out[i] = f32::from(two & 15 | bit(i)) * scale + offset;
        out[16 + i] = f32::from(two >> 4 | bit(16 + i)) * scale + offset;
    }
}

fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half(block, 0);
    for i in 0..32 {
        out[i] = f32::from(block[2 + i] as i8) * scale;
    }
}

fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (scale, offset) = (half(block, 80), half(block, 82));
    for part in 0..16 {
        let both = block[part];
        let (scale, offset) = (scale * f32::from(both & 15), offset * f32::from(both >> 4));
        // Half a block has 32 bytes; each byte holds a number of four pairs of parts.
        let (bytes, shift) = (16 + part / 8 * 32 + part % 2 * 16, part % 8 / 2 * 2);
        for i in 0..16 {
            out[part * 16 + i] = scale * f32::from(block[bytes + i] >> shift & 3) - offset;
        }
    }
}

fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let scale = half(block, 108);
    for part in 0..16 {
        // Low four bits in the first eight bytes, two high bits in the last four.
        let low = block[96 + part % 8] >> (part / 8 * 4) & 15;
        let high = block[104 + part % 4] >> (part / 4 * 2) & 3;
        let scale = scale * f32::from((low | high << 4) as i8 - 32);
        let (bytes, shift) = (32 + part / 8 * 32 + part % 2 * 16, part % 8 / 2 * 2);
        let (masks, mask) = (part % 2 * 16, part / 2);
        for i in 0..16 {
            let low = (block[bytes + i] >> shift & 3) as i8;
            // A set bit means that nothing is taken away.
            let high = (block[masks + i] >> mask & 1) as i8;
            out[part * 16 + i] = scale * f32::from(low + 4 * high - 4);
        }
    }
}

/// The scale and the offset of one of eight parts, 6 bits each, out of 12 bytes.
fn six_bits(packed: &[u8], part: usize) -> (f32, f32) {
    let (scale, offset) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
    };
    (scale.into(), offset.into())
}

fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for part in 0..8 {
        let (s, o) = six_bits(&block[4..16], part);
        let (scale, offset) = (scale * s, offset * o);
        let (bytes, shift) = (16 + part / 2 * 32, part % 2 * 4);
        for i in 0..32 {
            out[part * 32 + i] = scale * f32::from(block[bytes + i] >> shift & 15) - offset;
        }
    }
}

fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for part in 0..8 {
        let (s, o) = six_bits(&block[4..16], part);
        let (scale, offset) = (scale * s, offset * o);
        let (bytes, shift) = (48 + part / 2 * 32, part % 2 * 4);
        for i in 0..32 {
            let high = block[16 + i] >> part & 1;
            let q = block[bytes + i] >> shift & 15 | high << 4;
            out[part * 32 + i] = scale * f32::from(q) - offset;
        }
    }
}

fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half(block, 208);
    for part in 0..16 {
        let scale = scale * f32::from(block[192 + part] as i8);
        // Half a block: four runs of 32 numbers. Low bits of runs 0 and 2, and of 1 and 3, share
        // bytes; high bits of all four do.
        let (of_half, run, first) = (part / 8, part % 8 / 2, part % 2 * 16);
        let low = of_half * 64 + run % 2 * 32 + first;
        let high = 128 + of_half * 32 + first;
        for i in 0..16 {
            let q = block[low + i] >> (run / 2 * 4) & 15 | (block[high + i] >> (run * 2) & 3) << 4;
            out[part * 16 + i] = scale * f32::from(q as i8 - 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    /// What the `gguf` package for Python makes of random blocks, to the last bit.
    #[test]
    fn every_type_agrees_with_the_reference_in_every_bit() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/gguf.safetensors");
        let bytes = std::fs::read(golden).unwrap();
        let golden = Checkpoint::from_static("gguf.safetensors", bytes.leak()).unwrap();
        use BlockType::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        for kind in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
            let bytes = golden.get(&format!("{}.bytes", kind.name())).unwrap();
            let want = golden.get(&format!("{}.values", kind.name())).unwrap();
            assert_eq!(bytes.shape, [6, kind.bytes()]);
            assert_eq!(want.shape, [6, kind.numbers()]);
            let want = want.to_f32_vec().unwrap();
            let mut got = vec![0.0; want.len()];
            kind.read_f32(bytes.bytes.as_slice(), &mut got);
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!(got == want, "{} number {i}: {got} {want}", kind.name());
            }
            let mut wide = vec![0.0; want.len()];
            kind.read_f64(bytes.bytes.as_slice(), &mut wide);
            assert!(wide.iter().zip(&want).all(|(&wide, &want)| wide == f64::from(want)));
        }
    }

    #[test]
    fn many_blocks_are_the_same_as_one_after_the_other() {
        let bytes: Vec<u8> = (0..2000 * 20_u32).map(|i| (i % 60) as u8).collect();
        let (mut all, mut one) = (vec![0.0; 2000 * 32], vec![0.0; 2000 * 32]);
        BlockType::Q4_1.read_f32(&bytes, &mut all);
        BlockType::Q4_1.decode(&bytes, &mut one);
        assert_eq!(all, one);
    }
}
