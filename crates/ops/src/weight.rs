//! Model weights: constants of an explanation, variables of a training run.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Result, Tensor};

use crate::lines::{LINE, Lines, LinesBuf, Matrix};

/// A parameter of a model.
///
/// A *constant* keeps its elements in host memory that it may share with a memory-mapped file,
/// so that loading a checkpoint copies nothing; no gradient is ever computed for it. A weight
/// made [from a tensor](Weight::from_tensor) lives on that tensor's device, and takes part in
/// training when the tensor is a variable.
#[derive(Clone)]
pub struct Weight {
    data: Data,
    shape: Vec<usize>,
}

/// Host memory of elements, owned or borrowed from a file mapping.
pub type SharedElements<T> = Arc<dyn AsRef<[T]> + Send + Sync>;

#[derive(Clone)]
enum Data {
    F32(SharedElements<f32>, Arc<Packed>),
    F64(SharedElements<f64>),
    Tensor(Tensor),
}

/// The form of a constant that matrix products read, made at its first use for all clones.
#[derive(Default)]
struct Packed {
    lines: OnceLock<LinesBuf>,
    /// Called once, when `lines` are made.
    then: Option<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weight({:?}, {:?})", self.dtype(), self.shape)
    }
}

impl Weight {
    /// A constant of 32-bit elements in row-major order.
    ///
    /// # Errors
    /// If the number of elements is not the product of `shape`.
    pub fn from_f32(elements: SharedElements<f32>, shape: &[usize]) -> Result<Self> {
        check_len((*elements).as_ref().len(), shape)?;
        Ok(Self { data: Data::F32(elements, Arc::default()), shape: shape.to_vec() })
    }

    /// Like [`Weight::from_f32`]; `then` is called once the products have a copy of their own, in
    /// another order, and the elements will hardly be read again. A mapped file can then give its
    /// pages back.
    ///
    /// # Errors
    /// If the number of elements is not the product of `shape`.
    pub fn from_f32_then(
        elements: SharedElements<f32>,
        shape: &[usize],
        then: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        check_len((*elements).as_ref().len(), shape)?;
        let packed = Packed { then: Some(Box::new(then)), ..Packed::default() };
        Ok(Self { data: Data::F32(elements, Arc::new(packed)), shape: shape.to_vec() })
    }

    /// A constant of 64-bit elements in row-major order.
    ///
    /// # Errors
    /// If the number of elements is not the product of `shape`.
    pub fn from_f64(elements: SharedElements<f64>, shape: &[usize]) -> Result<Self> {
        check_len((*elements).as_ref().len(), shape)?;
        Ok(Self { data: Data::F64(elements), shape: shape.to_vec() })
    }

    /// A weight that is a tensor: trained if it is a variable (or computed from one), on
    /// whichever device it lives.
    pub fn from_tensor(tensor: Tensor) -> Self {
        Self { shape: tensor.dims().to_vec(), data: Data::Tensor(tensor) }
    }

    /// The shape, `[out, in]` for a linear map.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match &self.data {
            Data::F32(..) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::Tensor(tensor) => tensor.dtype(),
        }
    }

    /// The weight as a tensor on `device`; a constant is copied.
    ///
    /// # Errors
    /// If the device refuses the memory.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        match &self.data {
            Data::F32(data, _) => {
                Tensor::from_slice((**data).as_ref(), self.shape.as_slice(), device)
            }
            Data::F64(data) => Tensor::from_slice((**data).as_ref(), self.shape.as_slice(), device),
            Data::Tensor(tensor) => tensor.to_device(device),
        }
    }

    pub(crate) fn elements_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(data, _) => Some((**data).as_ref()),
            _ => None,
        }
    }

    pub(crate) fn elements_f64(&self) -> Option<&[f64]> {
        match &self.data {
            Data::F64(data) => Some((**data).as_ref()),
            _ => None,
        }
    }

    /// Whether products read this weight in its packed form: a question of type and shape alone,
    /// so that the same product is always computed in the same way.
    ///
    /// Not a vocabulary: its products have a row for each word that is asked for, and its rows
    /// are also the embeddings.
    pub(crate) fn is_packed(&self) -> bool {
        let &[rows, columns] = &*self.shape else { return false };
        matches!(self.data, Data::F32(..)) && rows >= LINE && columns >= LINE && rows <= 8 * columns
    }

    /// The packed form, with a line for sixteen rows and each column.
    pub(crate) fn lines(&self) -> Option<Lines<'_>> {
        let (Data::F32(elements, packed), &[rows, columns]) = (&self.data, &*self.shape) else {
            return None;
        };
        if !self.is_packed() {
            return None;
        }
        let lines = packed.lines.get_or_init(|| {
            let data = (**elements).as_ref();
            let lines =
                LinesBuf::kept_along_columns(Matrix { data, rows, columns, stride: columns });
            if let Some(then) = &packed.then {
                then();
            }
            lines
        });
        Some(lines.as_lines())
    }

    /// Whether this weight is a constant in host memory.
    pub(crate) fn is_constant(&self) -> bool {
        !matches!(self.data, Data::Tensor(_))
    }
}

fn check_len(len: usize, shape: &[usize]) -> Result<()> {
    let expected = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if expected == Some(len) {
        Ok(())
    } else {
        Err(crate::error::shape_error("weight", "number of elements", shape, len))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn clones_are_packed_once() {
        let count = Arc::new(AtomicUsize::new(0));
        let calls = Arc::clone(&count);
        let then = move || {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let weight = Weight::from_f32_then(Arc::new(vec![1.0; 20 * 16]), &[20, 16], then).unwrap();
        let clone = weight.clone();
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert!(clone.lines().is_some() && weight.lines().is_some());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(weight.to_tensor(&Device::Cpu).unwrap().dims(), [20, 16]);
    }

    #[test]
    fn vocabularies_vectors_and_other_types_are_not_packed() {
        let weight = |shape: &[usize]| {
            Weight::from_f32(Arc::new(vec![1.0; shape.iter().product()]), shape).unwrap()
        };
        assert!(weight(&[128, 16]).is_packed());
        for shape in [&[129, 16][..], &[15, 16], &[16, 15], &[256], &[4, 16, 16]] {
            assert!(!weight(shape).is_packed() && weight(shape).lines().is_none(), "{shape:?}");
        }
        let double = Weight::from_f64(Arc::new(vec![1.0; 256]), &[16, 16]).unwrap();
        assert!(!double.is_packed() && double.lines().is_none());
    }
}
