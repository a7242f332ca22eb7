//! How tensors begin that a checkpoint does not hold.

use glossator_ops::{DType, Device, Tensor};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// The values that a new tensor begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// The same value everywhere.
    Constant(f64),
    /// Independent draws from a normal distribution around 0 with this standard deviation.
    Normal(f64),
    /// Independent draws from between minus and plus this bound.
    Uniform(f64),
    /// As many equal parts as there are values, each with one of them everywhere.
    Parts(&'static [f64]),
}

impl Init {
    /// Zero everywhere.
    pub const ZEROS: Self = Self::Constant(0.0);
    /// One everywhere.
    pub const ONES: Self = Self::Constant(1.0);

    /// Uniform draws that keep the spread of what passes through a map (Glorot & Bengio 2010,
    /// equation 16). `shape`: `[out, in]`, or `[out, in, kernel]`.
    #[must_use]
    pub fn glorot(shape: &[usize]) -> Self {
        let inside: usize = shape.iter().skip(2).product();
        let ends = shape.iter().take(2).map(|n| n.saturating_mul(inside));
        Self::Uniform((6.0 / ends.sum::<usize>().max(1) as f64).sqrt())
    }

    /// What is usual for transformers: biases are 0, the weights of norms 1, matrices normal with a
    /// standard deviation of 0.02 (Devlin et al. 2019, after Radford et al. 2018).
    #[must_use]
    pub fn usual(name: &str, shape: &[usize]) -> Self {
        match shape {
            [_] if name.ends_with("bias") || name.ends_with("beta") => Self::ZEROS,
            [_] => Self::ONES,
            _ => Self::Normal(0.02),
        }
    }

    /// The values: a pure function of the seed, the tensor's name and its shape, so that the order
    /// in which a model asks for its tensors is of no consequence.
    pub(crate) fn tensor(
        self,
        name: &str,
        shape: &[usize],
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> glossator_ops::Result<Tensor> {
        let count = shape.iter().product();
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ fingerprint(name));
        let values: Vec<f64> = match self {
            Self::Constant(value) => vec![value; count],
            Self::Normal(deviation) => (0..count)
                .map(|_| {
                    let draw: f64 = StandardNormal.sample(&mut random);
                    deviation * draw
                })
                .collect(),
            Self::Uniform(bound) => {
                (0..count).map(|_| bound * (2.0 * random.random::<f64>() - 1.0)).collect()
            }
            Self::Parts(parts) => {
                let part = |i: usize| i.saturating_mul(parts.len()) / count.max(1);
                (0..count).map(|i| parts.get(part(i)).copied().unwrap_or(0.0)).collect()
            }
        };
        Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
    }
}

/// FNV-1a: different names get different draws.
fn fingerprint(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(init: Init, name: &str, seed: u64) -> Vec<f64> {
        let tensor = init.tensor(name, &[200, 50], seed, DType::F64, &Device::Cpu).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn draws_have_their_spread_and_depend_on_name_and_seed() {
        let normal = values(Init::Normal(0.5), "a", 1);
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / normal.len() as f64;
        // 10,000 draws: the variance of the variance is 2 σ⁴ / n, so 0.25 ± 0.0035.
        assert!((variance - 0.25).abs() < 0.02, "{variance}");
        let uniform = values(Init::Uniform(0.1), "a", 1);
        assert!(uniform.iter().all(|x| x.abs() <= 0.1));
        assert!(uniform.iter().any(|x| *x < -0.09) && uniform.iter().any(|x| *x > 0.09));
        assert_eq!(normal, values(Init::Normal(0.5), "a", 1));
        assert_ne!(normal, values(Init::Normal(0.5), "b", 1));
        assert_ne!(normal, values(Init::Normal(0.5), "a", 2));
        let parts = Init::Parts(&[0.0, 1.0, 2.0]).tensor("b", &[6], 0, DType::F64, &Device::Cpu);
        assert_eq!(parts.unwrap().to_vec1::<f64>().unwrap(), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        // Six over the sum of 2 × 4 inputs and 3 × 4 outputs.
        assert_eq!(Init::glorot(&[3, 2, 4]), Init::Uniform(0.3_f64.sqrt()));
    }

    #[test]
    fn names_tell_what_is_usual() {
        assert_eq!(Init::usual("classifier.bias", &[2]), Init::ZEROS);
        assert_eq!(Init::usual("LayerNorm.weight", &[8]), Init::ONES);
        assert_eq!(Init::usual("classifier.weight", &[2, 8]), Init::Normal(0.02));
    }
}
