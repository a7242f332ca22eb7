//! Losses: what training makes small. Means, with the weights of PyTorch.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::real::Real;
use crate::softmax::composed_log_softmax;
use crate::storage::{contiguous, for_real, lane_max, lane_sum, simd, tensor, with_slice};
use crate::threads;

/// Options of [`cross_entropy`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy<'a> {
    /// Rows with this target do not count.
    pub ignore: Option<u32>,
    /// A factor of each class, `[classes]`. `None`: 1.
    pub class_weights: Option<&'a [f64]>,
    /// The part `ε` of each target that is spread over all classes (Szegedy et al. 2016, arXiv
    /// 1512.00567, section 7): from 0 to 1.
    pub label_smoothing: f64,
}

/// The mean cross-entropy of rows of logits with their targets.
///
/// With `l = -log softmax(logits)`, weights `w` of classes, `C` classes and targets `t`, it is
/// `Σᵢ ((1 - ε) w[tᵢ] l[i, tᵢ] + ε / C Σ_c w[c] l[i, c]) / Σᵢ w[tᵢ]` over the rows that count.
///
/// # Shapes
/// - `logits`: `[rows, classes]`
/// - `targets`: one class for each row
/// - result: a scalar
///
/// # Errors
/// If the shapes do not fit together, a target is not a class, an option is out of range, or no
/// row has any weight.
pub fn cross_entropy(
    logits: &Tensor,
    targets: &[u32],
    options: CrossEntropy<'_>,
) -> Result<Tensor> {
    let rows = RowWeights::new(logits, targets, options)?;
    if !logits.device().is_cpu() {
        return composed_cross_entropy(logits, &rows);
    }
    logits.contiguous()?.apply_op1(rows)
}

/// [`cross_entropy`] written with candle's own operations.
fn composed_cross_entropy(logits: &Tensor, rows: &RowWeights) -> Result<Tensor> {
    let (count, classes) = logits.dims2()?;
    let mut factors = vec![0.0; count * classes];
    for (row, factors) in factors.chunks_mut(classes).enumerate() {
        rows.factors(row, factors);
    }
    let factors = Tensor::from_vec(factors, (count, classes), logits.device())?;
    (composed_log_softmax(logits)? * factors.to_dtype(logits.dtype())?)?.sum_all()?.neg()
}

/// What a row contributes: a factor of the loss at its target, and one of each class.
struct RowWeights {
    targets: Vec<u32>,
    ignore: Option<u32>,
    /// `w[t] (1 - ε) / Σ w` by class.
    at_target: Vec<f64>,
    /// `w[c] ε / (C Σ w)` by class; empty without smoothing.
    everywhere: Vec<f64>,
}

impl RowWeights {
    fn new(logits: &Tensor, targets: &[u32], options: CrossEntropy<'_>) -> Result<Self> {
        const OP: &str = "cross entropy";
        let &[rows, classes] = logits.dims() else {
            return Err(shape_error(OP, "logits", "[rows, classes]", logits.dims()));
        };
        if targets.len() != rows {
            return Err(shape_error(OP, "number of targets", rows, targets.len()));
        }
        let CrossEntropy { ignore, class_weights, label_smoothing } = options;
        if !(0.0..=1.0).contains(&label_smoothing) {
            return Err(shape_error(OP, "label smoothing", "0 to 1", label_smoothing));
        }
        let weights = match class_weights {
            None => vec![1.0; classes],
            Some(weights) if weights.len() == classes => weights.to_vec(),
            Some(weights) => {
                return Err(shape_error(OP, "number of class weights", classes, weights.len()));
            }
        };
        if let Some(weight) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
            return Err(shape_error(OP, "class weight", "a finite number from 0 on", weight));
        }
        let counted = targets.iter().filter(|&&target| Some(target) != ignore);
        let mut total = 0.0;
        for &target in counted {
            let Some(weight) = weights.get(target as usize) else {
                let expected = format!("a class below {classes}");
                return Err(shape_error(OP, "target", expected, target));
            };
            total += weight;
        }
        if total == 0.0 {
            let expected = "a row that counts";
            return Err(shape_error(OP, "targets", expected, "only rows of no weight"));
        }
        let scaled = |factor: f64| weights.iter().map(|w| w * factor / total).collect();
        let everywhere = match label_smoothing {
            0.0 => Vec::new(),
            smoothing => scaled(smoothing / classes as f64),
        };
        Ok(Self {
            targets: targets.to_vec(),
            ignore,
            at_target: scaled(1.0 - label_smoothing),
            everywhere,
        })
    }

    /// The class of a row and the factor of its loss there, if the row counts.
    fn target(&self, row: usize) -> Option<(usize, f64)> {
        let &target = self.targets.get(row)?;
        let factor = *self.at_target.get(target as usize)?;
        (Some(target) != self.ignore).then_some((target as usize, factor))
    }

    /// The factors of `-log softmax` in a row.
    fn factors(&self, row: usize, factors: &mut [f64]) {
        factors.fill(0.0);
        let Some((target, factor)) = self.target(row) else { return };
        for (to, from) in factors.iter_mut().zip(&self.everywhere) {
            *to = *from;
        }
        factors[target] += factor;
    }

    /// The part of the loss that one row makes.
    #[inline(always)]
    fn row<T: Real>(&self, row: usize, x: &[T]) -> f64 {
        let Some((target, factor)) = self.target(row) else { return 0.0 };
        let log_sum = log_sum(x).to_f64();
        let mut loss = factor * (log_sum - x[target].to_f64());
        for (weight, &x) in self.everywhere.iter().zip(x) {
            // A class of no weight may have a logit of -∞.
            if *weight > 0.0 {
                loss += weight * (log_sum - x.to_f64());
            }
        }
        loss
    }

    /// The gradient of one row, scaled: with factors `f` of the row, `softmax(x) Σ f - f`.
    #[inline(always)]
    fn row_gradient<T: Real>(&self, row: usize, x: &[T], scale: f64, dx: &mut [T]) {
        let Some((target, factor)) = self.target(row) else {
            dx.fill(T::ZERO);
            return;
        };
        let spread: f64 = self.everywhere.iter().sum();
        let log_sum = log_sum(x);
        let total = T::of((factor + spread) * scale);
        for (dx, &x) in dx.iter_mut().zip(x) {
            *dx = (x - log_sum).exp() * total;
        }
        for (dx, weight) in dx.iter_mut().zip(&self.everywhere) {
            *dx -= T::of(weight * scale);
        }
        dx[target] -= T::of(factor * scale);
    }
}

/// `ln Σ e^x`
#[inline(always)]
fn log_sum<T: Real>(x: &[T]) -> T {
    let max = lane_max(x);
    let sum = lane_sum(
        x.len(),
        #[inline(always)]
        |i| (x[i] - max).exp(),
    );
    T::of(sum.to_f64().ln()) + max
}

impl CustomOp1 for RowWeights {
    fn name(&self) -> &'static str {
        "cross entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, classes) = layout.shape().dims2()?;
        for_real!(self.name(), storage_dtype(storage), T => {
            let x = contiguous::<T>(self.name(), storage, layout)?;
            // Rows apart, then summed in order: the same for any number of threads.
            let mut losses = vec![0.0; rows];
            let parts = threads::parts_for(EXP * x.len());
            threads::split_rows(&mut losses, 1, parts, |first, losses| {
                simd!({
                    for (i, loss) in losses.iter_mut().enumerate() {
                        *loss = self.row(first + i, &x[(first + i) * classes..][..classes]);
                    }
                });
            });
            let loss = T::of(losses.iter().sum());
            Ok((T::to_cpu_storage_owned(vec![loss]), Shape::from(())))
        })
    }

    fn bwd(&self, x: &Tensor, _loss: &Tensor, dloss: &Tensor) -> Result<Option<Tensor>> {
        let (_, classes) = x.dims2()?;
        let scale = scalar(dloss)?;
        for_real!(self.name(), x.dtype(), T => {
            let mut dx = vec![T::ZERO; x.elem_count()];
            with_slice::<T, _>(self.name(), x, |x| {
                let parts = threads::parts_for(EXP * x.len());
                threads::split_rows(&mut dx, classes, parts, |first, dx| {
                    simd!({
                        for (i, dx) in dx.chunks_mut(classes).enumerate() {
                            let x = &x[(first + i) * classes..][..classes];
                            self.row_gradient(first + i, x, scale, dx);
                        }
                    });
                });
                Ok(())
            })?;
            tensor(dx, x.dims()).map(Some)
        })
    }
}

/// What an exponential costs, in multiply-adds.
const EXP: usize = 16;

fn scalar(x: &Tensor) -> Result<f64> {
    x.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()
}

/// The mean binary cross-entropy of logits with targets of 0 or 1 (or probabilities), each label
/// on its own: the mean over rows and labels of `w (max(x, 0) - x t + ln(1 + e^-|x|))`.
///
/// # Shapes
/// - `logits`, `targets`: `[rows, labels]`; no gradient flows to the targets
/// - `weights`: a factor of each label, `[labels]`; the mean divides by the number of elements,
///   not by their sum
/// - result: a scalar
///
/// # Errors
/// If the shapes do not fit together, there are no elements, or a target is not from 0 to 1.
pub fn binary_cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    weights: Option<&[f64]>,
) -> Result<Tensor> {
    const OP: &str = "binary cross entropy";
    let &[_, labels] = logits.dims() else {
        return Err(shape_error(OP, "logits", "[rows, labels]", logits.dims()));
    };
    check_pair(OP, logits, targets)?;
    let weights = match weights {
        None => vec![1.0; labels],
        Some(weights) if weights.len() == labels => weights.to_vec(),
        Some(weights) => return Err(shape_error(OP, "number of weights", labels, weights.len())),
    };
    let targets = targets.detach().to_dtype(logits.dtype())?.contiguous()?;
    let values = targets.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    if let Some(target) = values.iter().find(|target| !(0.0..=1.0).contains(*target)) {
        return Err(shape_error(OP, "target", "a number from 0 to 1", target));
    }
    if !logits.device().is_cpu() {
        return composed_binary(logits, &targets, &weights);
    }
    let scale = 1.0 / values.len() as f64;
    let weights = weights.iter().map(|weight| weight * scale).collect();
    logits.contiguous()?.apply_op2(&targets, Pointwise { kind: Kind::Binary, weights })
}

/// [`binary_cross_entropy`] written with candle's own operations.
fn composed_binary(logits: &Tensor, targets: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let weights = Tensor::from_slice(weights, weights.len(), logits.device())?;
    let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let losses = ((logits.relu()? - (logits * targets)?)? + tail)?;
    losses.broadcast_mul(&weights.to_dtype(logits.dtype())?)?.mean_all()
}

/// The mean of squared differences.
///
/// # Shapes
/// - `predictions`, `targets`: the same; no gradient flows to the targets
/// - result: a scalar
///
/// # Errors
/// If the shapes differ or there are no elements.
pub fn mean_squared_error(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    check_pair("mean squared error", predictions, targets)?;
    let targets = targets.detach().to_dtype(predictions.dtype())?.contiguous()?;
    if !predictions.device().is_cpu() {
        return (predictions - targets)?.sqr()?.mean_all();
    }
    let weights = vec![1.0 / predictions.elem_count() as f64];
    predictions.contiguous()?.apply_op2(&targets, Pointwise { kind: Kind::Squared, weights })
}

fn check_pair(op: &'static str, x: &Tensor, targets: &Tensor) -> Result<()> {
    if x.dims() != targets.dims() {
        return Err(shape_error(op, "targets", x.dims(), targets.dims()));
    }
    if x.elem_count() == 0 {
        return Err(shape_error(op, "number of elements", "one or more", 0));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Binary,
    Squared,
}

/// A weighted sum of losses of single elements.
struct Pointwise {
    kind: Kind,
    /// Factors that repeat along the elements.
    weights: Vec<f64>,
}

impl Kind {
    /// The loss of one element and its derivative.
    fn at(self, x: f64, target: f64) -> (f64, f64) {
        match self {
            Self::Binary => {
                let small = (-x.abs()).exp();
                let probability = if x < 0.0 { small } else { 1.0 } / (1.0 + small);
                let larger = if x < 0.0 { 0.0 } else { x };
                (larger - x * target + small.ln_1p(), probability - target)
            }
            Self::Squared => ((x - target) * (x - target), 2.0 * (x - target)),
        }
    }
}

impl CustomOp2 for Pointwise {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage_dtype(x), T => {
            let x = contiguous::<T>(self.name(), x, x_layout)?;
            let targets = contiguous::<T>(self.name(), targets, targets_layout)?;
            let pairs = x.iter().zip(targets).zip(self.weights.iter().cycle());
            let losses = pairs.map(|((x, t), w)| w * self.kind.at(x.to_f64(), t.to_f64()).0);
            let loss = T::of(losses.sum());
            Ok((T::to_cpu_storage_owned(vec![loss]), Shape::from(())))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        targets: &Tensor,
        _loss: &Tensor,
        dloss: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = scalar(dloss)?;
        for_real!(self.name(), x.dtype(), T => {
            let dx = with_slice::<T, _>(self.name(), x, |x| {
                with_slice::<T, _>(self.name(), targets, |targets| {
                    let pairs = x.iter().zip(targets).zip(self.weights.iter().cycle());
                    let slope = |x: &T, t: &T| self.kind.at(x.to_f64(), t.to_f64()).1;
                    Ok(pairs.map(|((x, t), w)| T::of(w * scale * slope(x, t))).collect::<Vec<T>>())
                })
            })?;
            Ok((Some(tensor(dx, x.dims())?), None))
        })
    }
}

#[cfg(test)]
mod tests;
