//! Reading the gradient at an intermediate value.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

/// A place in a computation whose gradient is wanted.
///
/// candle drops the gradients of intermediate values during the backward pass. A tap is an
/// identity operation that keeps a copy of the one that flows through it.
#[derive(Debug, Clone, Default)]
pub struct Tap {
    gradient: Arc<Mutex<Option<Tensor>>>,
}

impl Tap {
    /// A tap that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The identity of `x`, remembering the gradient that comes back.
    ///
    /// # Errors
    /// If `x` is not on the CPU or has no floating-point type.
    pub fn watch(&self, x: &Tensor) -> Result<Tensor> {
        // `x + 0` outside the CPU: candle's own identity keeps no gradient to read.
        x.contiguous()?.apply_op1(Watch { gradient: Arc::clone(&self.gradient) })
    }

    /// The gradient, once a backward pass has run through the tap.
    pub fn gradient(&self) -> Option<Tensor> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Watch {
    gradient: Arc<Mutex<Option<Tensor>>>,
}

impl CustomOp1 for Watch {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        crate::storage::for_real!(self.name(), crate::linear::storage_dtype(storage), T => {
            let x = crate::storage::contiguous::<T>(self.name(), storage, layout)?;
            let copy = T::to_cpu_storage(x);
            Ok((copy, layout.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        *gradient = Some(dy.detach());
        Ok(Some(dy.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_the_gradient_of_an_intermediate_value() {
        let x = candle_core::Var::new(&[1.0, 2.0, 3.0], &candle_core::Device::Cpu).unwrap();
        let tap = Tap::new();
        let y = tap.watch(&x.sqr().unwrap()).unwrap();
        let z = (&y * 5.0).unwrap();
        assert!(tap.gradient().is_none());
        let gradient = crate::gradient(&z.sum_all().unwrap(), &x).unwrap();
        assert_eq!(tap.gradient().unwrap().to_vec1::<f64>().unwrap(), [5.0; 3]);
        assert_eq!(gradient.to_vec1::<f64>().unwrap(), [10.0, 20.0, 30.0]);
    }
}
