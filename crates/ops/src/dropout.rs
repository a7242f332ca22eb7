//! Dropout (Srivastava et al. 2014, JMLR 15:1929), for training only: no explanation calls it.

use candle_core::{Result, Tensor};

/// Zeroes each element with probability `rate` and scales the rest by `1 / (1 - rate)`.
///
/// The mask is a pure function of `seed` and the element's index (a 64-bit mix, splitmix64), so
/// that a resumed run and any number of threads draw the same one. `rate` 0 is the identity.
///
/// # Errors
/// If `rate` is not in `0.0..1.0`.
pub fn dropout(x: &Tensor, rate: f64, seed: u64) -> Result<Tensor> {
    if !(0.0..1.0).contains(&rate) {
        return Err(crate::error::shape_error("dropout", "rate", "0 <= rate < 1", rate));
    }
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let keep = 1.0 / (1.0 - rate);
    let mask: Vec<f64> = (0..x.elem_count() as u64)
        .map(|index| if uniform(seed, index) < rate { 0.0 } else { keep })
        .collect();
    let mask = Tensor::from_vec(mask, x.dims(), x.device())?.to_dtype(x.dtype())?;
    x * mask
}

/// A number in `0.0..1.0` from a seed and an index.
fn uniform(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

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

    #[test]
    fn gradient_is_the_mask() {
        let x = Var::ones(64, DType::F64, &Device::Cpu).unwrap();
        let y = dropout(&x, 0.5, 3).unwrap();
        let gradient = crate::gradient(&y.sum_all().unwrap(), &x).unwrap();
        assert_eq!(gradient.to_vec1::<f64>().unwrap(), y.to_vec1::<f64>().unwrap());
    }
}
