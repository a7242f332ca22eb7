//! From the tensors of a checkpoint to the weights of a model.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use glossator_ops::{DType, Device, LayerNorm, Linear, RmsNorm, Tensor, Var, Weight};

use crate::blocks::norm::Norm;
use crate::checkpoint::{Checkpoint, RawTensor, RawType};
use crate::error::{Error, Result};
use crate::initial::Init;
use crate::registry::{LoadOptions, Parameters};

/// A checkpoint seen through a model's expectations: names, shapes, element type.
pub struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    options: LoadOptions,
    /// Tried before each name: checkpoints saved from a bare encoder lack the prefix.
    prefix: &'static str,
    trained: RefCell<Variables>,
    /// With a seed, tensors that the checkpoint lacks, or holds in another shape, are made anew.
    seed: Option<u64>,
    /// Elements of each tensor that was read.
    read: RefCell<BTreeMap<String, u64>>,
}

/// Variables in the order in which they were made, found by name.
#[derive(Default)]
struct Variables {
    all: Vec<(String, Var)>,
    places: BTreeMap<String, usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&Var> {
        self.places.get(name).and_then(|&place| self.all.get(place)).map(|(_, var)| var)
    }

    fn add(&mut self, name: String, var: Var) {
        self.places.insert(name.clone(), self.all.len());
        self.all.push((name, var));
    }
}

/// The elements of a mapped file as a weight's memory.
struct MappedF32(RawTensor);

impl AsRef<[f32]> for MappedF32 {
    fn as_ref(&self) -> &[f32] {
        // Checked when this was made; alignment and type of a tensor do not change.
        self.0.as_f32_slice().unwrap_or(&[])
    }
}

impl<'a> Weights<'a> {
    /// The weights of `checkpoint`, whose encoder tensors may begin with `prefix`.
    #[must_use]
    pub fn new(checkpoint: &'a Checkpoint, options: LoadOptions, prefix: &'static str) -> Self {
        let (trained, read) = (RefCell::default(), RefCell::default());
        Self { checkpoint, options, prefix, trained, seed: None, read }
    }

    /// These with variables that are there already: a model around them.
    pub(crate) fn with_variables(self, variables: &[(String, Var)]) -> Self {
        for (name, var) in variables {
            self.trained.borrow_mut().add(name.clone(), var.clone());
        }
        self
    }

    /// These with new tensors for those that the checkpoint lacks or holds in another shape.
    pub(crate) fn initialising(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The name under which the checkpoint holds a tensor: as it is, without the prefix, or in the
    /// spelling that TensorFlow's conversions left (`gamma`, `beta` for a norm's weight and bias).
    fn resolve(&self, name: &str) -> String {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        for candidate in [name, bare] {
            if self.checkpoint.contains(candidate) {
                return candidate.to_owned();
            }
            for (new, old) in
                [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]
            {
                if let Some(stem) = candidate.strip_suffix(new) {
                    let old = format!("{stem}{old}");
                    if self.checkpoint.contains(&old) {
                        return old;
                    }
                }
            }
        }
        name.to_owned()
    }

    /// Whether the checkpoint has a tensor.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let known = self.trained.borrow().get(name).is_some();
        known || self.checkpoint.contains(&self.resolve(name))
    }

    /// A tensor's shape, if the checkpoint has it and the model must keep to it.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        if self.seed.is_some() {
            return None;
        }
        if let Some(var) = self.trained.borrow().get(name) {
            return Some(var.dims().to_vec());
        }
        self.checkpoint.describe(&self.resolve(name)).map(|(shape, _)| shape.to_vec())
    }

    /// A tensor of the shape that the model needs.
    ///
    /// # Errors
    /// If it is missing, has another shape, or does not hold floating-point numbers.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Weight> {
        self.get_init(name, shape, Init::usual(name, shape))
    }

    /// [`Weights::get`], where a tensor that is made anew begins with `init`.
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn get_init(&self, name: &str, shape: &[usize], init: Init) -> Result<Weight> {
        if self.options.parameters == Parameters::Trained {
            return Ok(Weight::from_tensor(self.variable(name, shape, init)?));
        }
        let raw = self.raw(name, shape)?;
        if !self.options.device.is_cpu() {
            return Ok(Weight::from_tensor(self.tensor(&raw)?));
        }
        Ok(match self.options.dtype {
            DType::F64 => Weight::from_f64(Arc::new(raw.to_f64_vec()?), shape)?,
            // As stored, if the file lets us: nothing is copied.
            _ if raw.dtype == RawType::F32 && raw.as_f32_slice().is_some() => {
                let elements = Arc::new(MappedF32(raw));
                let read = Arc::clone(&elements);
                Weight::from_f32_then(elements, shape, move || read.0.release())?
            }
            _ => Weight::from_f32(Arc::new(raw.to_f32_vec()?), shape)?,
        })
    }

    /// A tensor of this shape in the checkpoint.
    fn raw(&self, name: &str, shape: &[usize]) -> Result<RawTensor> {
        let raw = self.checkpoint.get(&self.resolve(name))?;
        if raw.shape != shape {
            let (expected, got) = (shape.to_vec(), raw.shape.clone());
            return Err(Error::TensorShape { tensor: raw.name, expected, got });
        }
        self.read.borrow_mut().insert(raw.name.clone(), raw.len() as u64);
        Ok(raw)
    }

    /// The variable of a tensor that is trained; one that several weights are part of is made once.
    fn variable(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let mut trained = self.trained.borrow_mut();
        if let Some(var) = trained.get(name) {
            if var.dims() != shape {
                let (expected, got) = (shape.to_vec(), var.dims().to_vec());
                return Err(Error::TensorShape { tensor: name.to_owned(), expected, got });
            }
            self.read.borrow_mut().insert(name.to_owned(), var.elem_count() as u64);
            return Ok(var.as_tensor().clone());
        }
        let tensor = match (self.raw(name, shape), self.seed) {
            (Ok(raw), _) => self.tensor(&raw)?,
            (Err(Error::MissingTensor { .. } | Error::TensorShape { .. }), Some(seed)) => {
                let count = shape.iter().map(|&n| n as u64).product();
                self.read.borrow_mut().insert(name.to_owned(), count);
                init.tensor(name, shape, seed, self.options.dtype, &self.options.device)?
            }
            (Err(error), _) => return Err(error),
        };
        let var = Var::from_tensor(&tensor)?;
        let tensor = var.as_tensor().clone();
        trained.add(name.to_owned(), var);
        Ok(tensor)
    }

    /// A weight that the checkpoint holds in another layout: `change` makes it of the tensor.
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn changed(
        &self,
        name: &str,
        shape: &[usize],
        change: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Weight> {
        self.changed_init(name, shape, Init::usual(name, shape), change)
    }

    fn changed_init(
        &self,
        name: &str,
        shape: &[usize],
        init: Init,
        change: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Weight> {
        if self.options.parameters == Parameters::Trained {
            return Ok(Weight::from_tensor(change(&self.variable(name, shape, init)?)?));
        }
        let raw = self.raw(name, shape)?;
        let changed = change(&self.tensor(&raw)?)?;
        if !self.options.device.is_cpu() {
            return Ok(Weight::from_tensor(changed));
        }
        let flat = changed.flatten_all()?;
        Ok(match changed.dtype() {
            DType::F64 => Weight::from_f64(Arc::new(flat.to_vec1::<f64>()?), changed.dims())?,
            _ => Weight::from_f32(Arc::new(flat.to_vec1::<f32>()?), changed.dims())?,
        })
    }

    /// A constant of the model's type that the checkpoint does not hold, such as a table of
    /// sinusoids.
    ///
    /// # Errors
    /// If the number of elements is not that of the shape.
    pub fn constant(&self, values: Vec<f64>, shape: &[usize]) -> Result<Weight> {
        if !self.options.device.is_cpu() {
            let tensor = Tensor::from_vec(values, shape, &self.options.device)?;
            return Ok(Weight::from_tensor(tensor.to_dtype(self.options.dtype)?));
        }
        Ok(match self.options.dtype {
            DType::F64 => Weight::from_f64(Arc::new(values), shape)?,
            _ => {
                let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
                Weight::from_f32(Arc::new(values), shape)?
            }
        })
    }

    fn tensor(&self, raw: &RawTensor) -> Result<Tensor> {
        let device: &Device = &self.options.device;
        Ok(match self.options.dtype {
            DType::F64 => Tensor::from_vec(raw.to_f64_vec()?, raw.shape.as_slice(), device)?,
            _ => Tensor::from_vec(raw.to_f32_vec()?, raw.shape.as_slice(), device)?,
        })
    }

    /// A linear map with the tensors `{name}.weight: [out, in]` and `{name}.bias: [out]`.
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn linear(&self, name: &str, n_in: usize, n_out: usize) -> Result<Linear> {
        self.map(name, n_in, n_out, true)
    }

    /// A linear map with or without a bias.
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn map(&self, name: &str, n_in: usize, n_out: usize, bias: bool) -> Result<Linear> {
        let weight = self.get(&format!("{name}.weight"), &[n_out, n_in])?;
        let bias = bias.then(|| self.get(&format!("{name}.bias"), &[n_out])).transpose()?;
        Ok(Linear::new(weight, bias)?)
    }

    /// A tensor that the checkpoint may lack.
    ///
    /// # Errors
    /// As for [`Weights::get`], but for a missing one.
    pub fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<Weight>> {
        self.contains(name).then(|| self.get(name, shape)).transpose()
    }

    /// A layer norm with the tensors `{name}.weight` and `{name}.bias`, each `[width]`.
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn layer_norm(&self, name: &str, width: usize, eps: f64) -> Result<Norm> {
        let weight = self.get(&format!("{name}.weight"), &[width])?;
        let bias = self.get(&format!("{name}.bias"), &[width])?;
        Ok(Norm::Layer(LayerNorm::new(weight, Some(bias), eps)?))
    }

    /// An RMS norm with the tensor `{name}.weight: [width]`, to which `plus` is added (Gemma keeps
    /// its difference from 1).
    ///
    /// # Errors
    /// As for [`Weights::get`].
    pub fn rms_norm(&self, name: &str, width: usize, eps: f64, plus: f64) -> Result<Norm> {
        let name = format!("{name}.weight");
        let weight = if plus == 0.0 {
            self.get(&name, &[width])?
        } else {
            self.changed_init(&name, &[width], Init::Constant(1.0 - plus), |w| w + plus)?
        };
        Ok(Norm::Rms(RmsNorm::new(weight, eps)?))
    }

    /// The number of parameters read so far.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.read.borrow().values().sum()
    }

    /// The variables made so far, in the order in which they were read.
    #[must_use]
    pub fn into_trained(self) -> Vec<(String, Var)> {
        self.trained.into_inner().all
    }
}

/// The first floating-point tensor of a checkpoint that holds a NaN or an infinity.
pub(crate) fn first_bad_weight(checkpoint: &Checkpoint) -> Result<Option<String>> {
    for name in checkpoint.names() {
        let raw = checkpoint.get(name)?;
        if raw.dtype.is_float() && raw.to_f32_vec()?.iter().any(|x| !x.is_finite()) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}
