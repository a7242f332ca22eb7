//! Dropout (Srivastava et al. 2014, JMLR 15:1929), for training only: no explanation calls it.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;

/// Zeroes each element with probability `rate` and scales the rest by `1 / (1 - rate)`.
///
/// The mask is a pure function of `seed` and the element's index (a 64-bit mix, splitmix64), so
/// that a resumed run and any number of threads draw the same one. `rate` 0 is the identity.
///
/// # Errors
/// If `rate` is not in `0.0..1.0`.
pub fn dropout(x: &Tensor, rate: f64, seed: u64) -> Result<Tensor> {
    if !(0.0..1.0).contains(&rate) {
        return Err(shape_error("dropout", "rate", "0 <= rate < 1", rate));
    }
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let mask = Mask::new(rate, seed);
    if x.device().is_cpu() { x.contiguous()?.apply_op1(mask) } else { mask.composed(x) }
}

/// Factors of elements: 0, or what keeps the mean.
#[derive(Clone, Copy)]
struct Mask {
    seed: u64,
    /// An element is dropped if the 53 bits of its number are below this.
    dropped: u64,
    keep: f64,
}

impl Mask {
    fn new(rate: f64, seed: u64) -> Self {
        // Multiplying by a power of two is exact.
        let dropped = (rate * (1u64 << 53) as f64).ceil() as u64;
        Self { seed, dropped, keep: 1.0 / (1.0 - rate) }
    }

    #[inline(always)]
    fn factor(self, index: u64) -> f64 {
        let step = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        if z >> 11 < self.dropped { 0.0 } else { self.keep }
    }

    /// Multiplies elements by their factors.
    fn apply<T: Real>(self, x: &[T]) -> Vec<T> {
        let mut out = vec![T::ZERO; x.len()];
        // A number costs as much as some multiply-adds.
        let parts = threads::parts_for(16 * x.len());
        threads::split_rows(&mut out, 1, parts, |first, out| {
            simd!({
                let x = &x[first..][..out.len()];
                for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
                    *out = x * T::of(self.factor((first + i) as u64));
                }
            });
        });
        out
    }

    /// The product with a mask, in candle's own operations.
    fn composed(self, x: &Tensor) -> Result<Tensor> {
        let mask: Vec<f64> = (0..x.elem_count() as u64).map(|i| self.factor(i)).collect();
        x * Tensor::from_vec(mask, x.dims(), x.device())?.to_dtype(x.dtype())?
    }
}

impl CustomOp1 for Mask {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(storage), T => {
            let out = self.apply(contiguous::<T>(self.name(), storage, layout)?);
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    /// The same factors, drawn again: cheaper than to keep them.
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        for_real!(self.name(), x.dtype(), T => {
            let dx = with_slice::<T, _>(self.name(), &dy, |dy| Ok(self.apply(dy)))?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32, assert_gradient, assert_same, random};
    use candle_core::{DType, Device};

    #[test]
    fn keeps_the_mean_drops_the_rate_and_repeats() {
        let x = Tensor::ones(100_000, DType::F64, &Device::Cpu).unwrap();
        let y = dropout(&x, 0.3, 7).unwrap();
        let values = y.to_vec1::<f64>().unwrap();
        let dropped = values.iter().filter(|&&v| v == 0.0).count() as f64 / 1e5;
        // Binomial with n = 1e5: standard deviation 0.0014.
        assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
        assert_eq!(values, dropout(&x, 0.3, 7).unwrap().to_vec1::<f64>().unwrap());
        assert_ne!(values, dropout(&x, 0.3, 8).unwrap().to_vec1::<f64>().unwrap());
        assert!(dropout(&x, 1.0, 7).is_err());
    }

    /// The mask is part of what a seed means: a resumed run draws the same one.
    #[test]
    fn the_mask_of_a_seed_stays() {
        let x = Tensor::ones(16, DType::F64, &Device::Cpu).unwrap();
        let y = dropout(&x, 0.5, 42).unwrap().to_vec1::<f64>().unwrap();
        let bits: String = y.iter().map(|&v| if v == 0.0 { '0' } else { '1' }).collect();
        assert_eq!(bits, "1000010101001110");
    }

    #[test]
    fn gradient_is_the_mask() {
        let x = [random(1, &[5, 7])];
        assert_gradient(&x, |x| dropout(&x[0], 0.4, 3));
        assert_same(&x, |x| dropout(&x[0], 0.4, 3), |x| Mask::new(0.4, 3).composed(&x[0]));
        assert_f32(&x, |x| dropout(&x[0], 0.4, 3), 1e-6);
    }

    #[test]
    fn threads_change_nothing() {
        let x = random(1, &[300, 1000]);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| dropout(&x, 0.1, 5).unwrap().flatten_all().unwrap())
        };
        assert_eq!(run(1).to_vec1::<f64>().unwrap(), run(3).to_vec1::<f64>().unwrap());
    }
}
