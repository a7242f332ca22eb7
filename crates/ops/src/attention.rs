//! Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1) over heads,
//! with padding, causal and local masks, grouped key-value heads, added biases (relative
//! positions) and soft-capped scores.
//!
//! [`attention`] and its packed forms are the fast path. [`attention_observed`] is the composed
//! form; it shows scores, probabilities and values to a hook, which may replace them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType,
};

use crate::error::shape_error;
use crate::linear::storage_dtype;
use crate::matmul::{View, product, product_nt};
use crate::real::Real;
use crate::softmax::{softmax, softmax_backward_row, softmax_row};
use crate::storage::{contiguous, for_real, simd, tensor, with_slice};
use crate::threads;
use crate::weight::Weight;

/// Number and width of the heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; a divisor of `queries`. Fewer than `queries` is grouped-query
    /// attention (Ainslie et al. 2023, arXiv 2305.13245).
    pub keys: usize,
    /// Elements of one head.
    pub width: usize,
}

impl Heads {
    /// As many key-value heads as query heads.
    pub fn equal(heads: usize, width: usize) -> Self {
        Self { queries: heads, keys: heads, width }
    }
}

/// How far a query sees, for local attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last `n` keys up to the query's own position, that one included.
    Before(usize),
    /// Keys at most `n` positions away, on both sides.
    Around(usize),
}

/// Which keys each query may see.
#[derive(Debug, Clone, Default)]
pub struct AttentionMask {
    /// Number of real keys of each sequence; the rest is padding. `None`: no padding.
    pub key_lengths: Option<Arc<[usize]>>,
    /// Query `i` of the last `Tq` positions sees keys up to its own position.
    pub causal: bool,
    /// Query `i` of the last `Tq` positions sees keys near its own position.
    pub window: Option<Window>,
    /// Where each query stands, if the queries are not the last `Tq` positions in order.
    pub query_positions: Option<Arc<[usize]>>,
}

impl AttentionMask {
    /// The keys that query `query` of sequence `batch` sees. A query that would see none (padding
    /// far beyond the last real key) sees all real ones: what it computes reaches nothing, but it
    /// must be a number.
    fn visible(&self, batch: usize, query: usize, n_queries: usize, n_keys: usize) -> Range<usize> {
        let length = match &self.key_lengths {
            Some(lengths) => lengths.get(batch).copied().unwrap_or(n_keys).min(n_keys),
            None => n_keys,
        };
        let position = match &self.query_positions {
            Some(positions) => positions.get(query).copied().unwrap_or(0),
            None => (n_keys + query).saturating_sub(n_queries),
        };
        let mut range = 0..length;
        if self.causal {
            range.end = range.end.min(position + 1);
        }
        match self.window {
            Some(Window::Before(n)) => range.start = (position + 1).saturating_sub(n),
            Some(Window::Around(n)) => {
                range.start = position.saturating_sub(n);
                range.end = range.end.min(position.saturating_add(n + 1));
            }
            None => {}
        }
        if range.start < range.end { range } else { 0..length }
    }

    /// One past the last key that any query of a sequence sees.
    fn seen(&self, batch: usize, n_queries: usize, n_keys: usize) -> usize {
        let end = |query| self.visible(batch, query, n_queries, n_keys).end;
        if self.query_positions.is_none() && self.window.is_none() {
            return end(n_queries.saturating_sub(1));
        }
        (0..n_queries).map(end).max().unwrap_or(0)
    }

    /// `0` where a query sees a key, `-∞` where not: `[batch, 1, queries, keys]`.
    fn additive(&self, batch: usize, n_queries: usize, n_keys: usize) -> Vec<f64> {
        let mut mask = vec![f64::NEG_INFINITY; batch * n_queries * n_keys];
        for (row, values) in mask.chunks_mut(n_keys.max(1)).enumerate() {
            let (b, query) = (row / n_queries.max(1), row % n_queries.max(1));
            values[self.visible(b, query, n_queries, n_keys)].fill(0.0);
        }
        mask
    }
}

/// Everything about one attention call except its tensors.
#[derive(Debug, Clone)]
pub struct AttentionSettings {
    /// Number and width of the heads.
    pub heads: Heads,
    /// Factor of the scores, usually `1 / sqrt(width)`.
    pub scale: f64,
    /// Which keys each query may see.
    pub mask: AttentionMask,
    /// Added to the scaled scores: `[heads, queries, keys]`, or `[batch, heads, queries, keys]`,
    /// which only the composed form takes. A bias that is a tensor gets its gradient.
    pub bias: Option<Weight>,
    /// Scores `s` become `c tanh(s / c)` (Gemma 2, arXiv 2408.00118, section 2).
    pub softcap: Option<f64>,
}

impl AttentionSettings {
    /// Attention with the usual scale, `1 / sqrt(width)`, that sees everything.
    #[must_use]
    pub fn new(heads: Heads) -> Self {
        Self {
            heads,
            scale: 1.0 / (heads.width as f64).sqrt(),
            mask: AttentionMask::default(),
            bias: None,
            softcap: None,
        }
    }

    /// Whether the fast path serves these settings.
    fn is_fast(&self) -> bool {
        self.bias.as_ref().is_none_or(|bias| bias.is_constant() && bias.shape().len() == 3)
    }
}

/// Attention from separate queries, keys and values.
///
/// # Shapes
/// - `q`: `[batch, queries, heads.queries * heads.width]`
/// - `k`, `v`: `[batch, keys, heads.keys * heads.width]`
/// - result: as `q`
///
/// # Errors
/// If the shapes do not fit together.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    settings: &AttentionSettings,
) -> Result<Tensor> {
    check(q, k, v, settings)?;
    if !q.device().is_cpu() || !settings.is_fast() {
        return attention_observed(q, k, v, settings, &mut |_, x| Ok(x));
    }
    let operation = Attention::new(settings);
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, operation)
}

/// Self-attention from queries, keys and values side by side, as one linear operation makes them.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, (heads.queries + 2 heads.keys) * heads.width]`
/// - result: `[batch, tokens, heads.queries * heads.width]`
///
/// # Errors
/// If the shape does not fit the heads.
pub fn attention_packed(qkv: &Tensor, settings: &AttentionSettings) -> Result<Tensor> {
    let Heads { queries, keys, width } = settings.heads;
    let (_, _, last) = qkv.dims3()?;
    if last != (queries + 2 * keys) * width {
        let expected = (queries + 2 * keys) * width;
        return Err(shape_error("attention", "width of q, k, v side by side", expected, last));
    }
    if !qkv.device().is_cpu() || !settings.is_fast() {
        let part =
            |start: usize, heads: usize| qkv.narrow(2, start * width, heads * width)?.contiguous();
        let (q, k, v) = (part(0, queries)?, part(queries, keys)?, part(queries + keys, keys)?);
        return attention(&q, &k, &v, settings);
    }
    let n = qkv.dim(1)?;
    check_bias(settings, n, n)?;
    qkv.contiguous()?.apply_op1(Attention::new(settings))
}

/// Attention from queries, and keys and values side by side.
///
/// # Shapes
/// - `q`: `[batch, queries, heads.queries * heads.width]`
/// - `kv`: `[batch, keys, 2 * heads.keys * heads.width]`
/// - result: as `q`
///
/// # Errors
/// If the shapes do not fit together.
pub fn attention_packed_kv(
    q: &Tensor,
    kv: &Tensor,
    settings: &AttentionSettings,
) -> Result<Tensor> {
    let kv_width = settings.heads.keys * settings.heads.width;
    let (_, _, last) = kv.dims3()?;
    if last != 2 * kv_width {
        return Err(shape_error("attention", "width of k, v side by side", 2 * kv_width, last));
    }
    if !q.device().is_cpu() || !settings.is_fast() {
        let k = kv.narrow(2, 0, kv_width)?.contiguous()?;
        let v = kv.narrow(2, kv_width, kv_width)?.contiguous()?;
        return attention(q, &k, &v, settings);
    }
    check_bias(settings, q.dim(1)?, kv.dim(1)?)?;
    q.contiguous()?.apply_op2(&kv.contiguous()?, Attention::new(settings))
}

/// What [`attention_observed`] shows to its hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionStage {
    /// `[batch, key heads, keys, width]`
    Values,
    /// Scaled, biased, capped and masked (`-∞`): `[batch, heads, queries, keys]`.
    Scores,
    /// Rows sum to 1: `[batch, heads, queries, keys]`.
    Probabilities,
}

/// [`attention`] in separate steps, each shown to `hook`, which returns it or a replacement.
///
/// # Errors
/// If the shapes do not fit together, or the hook fails.
pub fn attention_observed(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    settings: &AttentionSettings,
    hook: &mut dyn FnMut(AttentionStage, Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    check(q, k, v, settings)?;
    let Heads { queries, keys, width } = settings.heads;
    let (batch, n_queries, _) = q.dims3()?;
    let n_keys = k.dim(1)?;
    let split = |x: &Tensor, n: usize, heads: usize| {
        x.reshape((batch, n, heads, width))?.transpose(1, 2)?.contiguous()
    };
    let q = split(q, n_queries, queries)?;
    let k = repeat_heads(&split(k, n_keys, keys)?, queries / keys)?;
    let v = hook(AttentionStage::Values, split(v, n_keys, keys)?)?;
    let v = repeat_heads(&v, queries / keys)?;
    let mask = settings.mask.additive(batch, n_queries, n_keys);
    let mask = Tensor::from_vec(mask, (batch, 1, n_queries, n_keys), q.device())?;
    let mut scores = (q.matmul(&k.t()?)? * settings.scale)?;
    if let Some(bias) = &settings.bias {
        scores = scores.broadcast_add(&bias.to_tensor(q.device())?.to_dtype(q.dtype())?)?;
    }
    if let Some(cap) = settings.softcap {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    let scores = scores.broadcast_add(&mask.to_dtype(q.dtype())?)?;
    let scores = hook(AttentionStage::Scores, scores)?;
    let probabilities = hook(AttentionStage::Probabilities, softmax(&scores)?)?;
    let context = probabilities.contiguous()?.matmul(&v.contiguous()?)?;
    context.transpose(1, 2)?.reshape((batch, n_queries, queries * width))
}

/// Repeats each key-value head for the query heads of its group.
fn repeat_heads(x: &Tensor, times: usize) -> Result<Tensor> {
    if times == 1 {
        return Ok(x.clone());
    }
    let (batch, heads, n, width) = x.dims4()?;
    x.unsqueeze(2)?.expand((batch, heads, times, n, width))?.reshape((
        batch,
        heads * times,
        n,
        width,
    ))
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, settings: &AttentionSettings) -> Result<()> {
    let heads = settings.heads;
    let (batch, n_queries, q_width) = q.dims3()?;
    let (k_batch, n_keys, k_width) = k.dims3()?;
    if heads.keys == 0 || !heads.queries.is_multiple_of(heads.keys) {
        let expected = "a divisor of the query heads";
        return Err(shape_error("attention", "key heads", expected, heads));
    }
    if q_width != heads.queries * heads.width {
        let expected = heads.queries * heads.width;
        return Err(shape_error("attention", "width of the queries", expected, q_width));
    }
    if k_width != heads.keys * heads.width || k_batch != batch {
        let expected = (batch, n_keys, heads.keys * heads.width);
        return Err(shape_error("attention", "keys", expected, k.dims()));
    }
    if v.dims() != k.dims() {
        return Err(shape_error("attention", "values", k.dims(), v.dims()));
    }
    check_bias(settings, n_queries, n_keys)
}

fn check_bias(settings: &AttentionSettings, n_queries: usize, n_keys: usize) -> Result<()> {
    let Some(bias) = &settings.bias else { return Ok(()) };
    let expected = [settings.heads.queries, n_queries, n_keys];
    match bias.shape() {
        shape if shape == expected || (shape.len() == 4 && shape[1..] == expected) => Ok(()),
        other => Err(shape_error("attention", "bias", expected, other)),
    }
}

/// One call of the fast path.
pub(crate) struct Attention {
    settings: AttentionSettings,
    /// Probabilities `[batch, heads, queries, keys]` of the forward pass.
    probabilities: OnceLock<CpuStorage>,
}

/// A `[batch, n, width]` operand inside a wider row.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) row: usize,
    pub(crate) n: usize,
}

impl<'a, T> Operand<'a, T> {
    /// The rows of one head of one sequence.
    fn head(&self, batch: usize, head: usize, width: usize) -> View<'a, T> {
        View::rows(&self.data[batch * self.n * self.row + head * width..], self.row)
    }
}

impl Attention {
    pub(crate) fn new(settings: &AttentionSettings) -> Self {
        Self { settings: settings.clone(), probabilities: OnceLock::new() }
    }

    pub(crate) fn forward<T: Real>(
        &self,
        batch: usize,
        q: Operand<'_, T>,
        k: Operand<'_, T>,
        v: Operand<'_, T>,
    ) -> Result<Vec<T>> {
        let Heads { queries: heads, keys, width } = self.settings.heads;
        let (mask, group) = (&self.settings.mask, heads / keys);
        let (nq, nk) = (q.n, k.n);
        let bias = self.bias::<T>()?;
        let parts = threads::parts_for(2 * batch * heads * nq * nk * width);
        let mut probabilities = vec![T::ZERO; batch * heads * nq * nk];
        threads::split_rows(&mut probabilities, nq * nk, parts, |first, chunk| {
            for (i, p) in chunk.chunks_mut((nq * nk).max(1)).enumerate() {
                let (b, h) = ((first + i) / heads, (first + i) % heads);
                let seen = mask.seen(b, nq, nk);
                let (qh, kh) = (q.head(b, h, width), k.head(b, h / group, width));
                product_nt((nq, width, seen), qh, kh, p, nk);
                self.finish_scores(p, bias.map(|bias| &bias[h * nq * nk..][..nq * nk]));
                simd!({
                    for (query, row) in p.chunks_mut(nk).enumerate() {
                        softmax_row(&mut row[mask.visible(b, query, nq, nk)]);
                    }
                });
                // The product also wrote the keys that some queries see and others do not.
                if mask.causal || mask.window.is_some() {
                    for (query, row) in p.chunks_mut(nk).enumerate() {
                        let Range { start, end } = mask.visible(b, query, nq, nk);
                        row[..start].fill(T::ZERO);
                        row[end..].fill(T::ZERO);
                    }
                }
            }
        });
        let mut context = vec![T::ZERO; batch * heads * nq * width];
        threads::split_rows(&mut context, nq * width, parts, |first, chunk| {
            for (i, out) in chunk.chunks_mut((nq * width).max(1)).enumerate() {
                let (b, h) = ((first + i) / heads, (first + i) % heads);
                let p = View::rows(&probabilities[(first + i) * nq * nk..], nk);
                let seen = mask.seen(b, nq, nk);
                let vh = v.head(b, h / group, width);
                product((nq, seen, width), T::ONE, p, vh, false, out, width);
            }
        });
        let mut out = vec![T::ZERO; batch * nq * heads * width];
        let shape = (batch, heads, nq, width);
        scatter_heads(&context, nq * width, shape, &mut out, heads * width, 1);
        let _ = self.probabilities.set(T::to_cpu_storage_owned(probabilities));
        Ok(out)
    }

    /// The bias in the type of the call.
    fn bias<T: Real>(&self) -> Result<Option<&[T]>> {
        let Some(bias) = &self.settings.bias else { return Ok(None) };
        let elements = T::constant(bias);
        elements.map(Some).ok_or_else(|| {
            shape_error("attention", "element type of the bias", T::DTYPE, bias.dtype())
        })
    }

    /// From products of queries and keys to scores: scale, bias, cap.
    fn finish_scores<T: Real>(&self, scores: &mut [T], bias: Option<&[T]>) {
        let scale = T::of(self.settings.scale);
        simd!({
            match bias {
                None => {
                    for value in scores.iter_mut() {
                        *value *= scale;
                    }
                }
                Some(bias) => {
                    for (value, &bias) in scores.iter_mut().zip(bias) {
                        *value = *value * scale + bias;
                    }
                }
            }
            if let Some(cap) = self.settings.softcap {
                let cap = T::of(cap);
                for value in scores.iter_mut() {
                    *value = cap * (*value / cap).tanh();
                }
            }
        });
    }

    /// Gradients of queries, keys and values, by head.
    pub(crate) fn backward<T: Real>(
        &self,
        batch: usize,
        operands: [Operand<'_, T>; 3],
        dout: &[T],
    ) -> Result<HeadGradients<T>> {
        let Heads { queries: heads, keys, width } = self.settings.heads;
        let group = heads / keys;
        let [q, k, v] = operands;
        let (nq, nk) = (q.n, k.n);
        let Some(probabilities) = self.probabilities.get() else {
            candle_core::bail!("attention: backward before forward");
        };
        let probabilities = T::cpu_storage_as_slice(probabilities)?;
        let scale = T::of(self.settings.scale);
        let dout = Operand { data: dout, row: heads * width, n: nq };
        let bias = self.bias::<T>()?;
        let per_head = (nq + 2 * nk) * width;
        let mut grads = vec![T::ZERO; batch * heads * per_head];
        let parts = threads::parts_for(5 * batch * heads * nq * nk * width);
        threads::split_rows(&mut grads, per_head, parts, |first, chunk| {
            let mut ds = vec![T::ZERO; nq * nk];
            for (i, grads) in chunk.chunks_mut(per_head.max(1)).enumerate() {
                let (b, h) = ((first + i) / heads, (first + i) % heads);
                let seen = self.settings.mask.seen(b, nq, nk);
                let p = &probabilities[(first + i) * nq * nk..][..nq * nk];
                let (dq, rest) = grads.split_at_mut(nq * width);
                let (dk, dv) = rest.split_at_mut(nk * width);
                let dout = dout.head(b, h, width);
                let (qh, kh) = (q.head(b, h, width), k.head(b, h / group, width));
                let vh = v.head(b, h / group, width);
                // dV = Pᵀ dO, dP = dO Vᵀ
                let p_view = View::rows(p, nk);
                product((seen, nq, width), T::ONE, p_view.transposed(), dout, false, dv, width);
                product_nt((nq, width, seen), dout, vh, &mut ds, nk);
                // dS = P (dP - Σ P dP)
                simd!({
                    for (p, ds) in p.chunks(nk).zip(ds.chunks_mut(nk)) {
                        softmax_backward_row(&p[..seen], &mut ds[..seen]);
                    }
                });
                if let Some(cap) = self.settings.softcap {
                    // Through c tanh(s / c), whose slope is 1 - (value / c)². The scores are
                    // computed again: keeping them would double what a forward pass keeps.
                    let mut scores = vec![T::ZERO; nq * nk];
                    product_nt((nq, width, seen), qh, kh, &mut scores, nk);
                    self.finish_scores(
                        &mut scores,
                        bias.map(|bias| &bias[h * nq * nk..][..nq * nk]),
                    );
                    let cap = T::of(cap);
                    simd!({
                        for (ds, &score) in ds.iter_mut().zip(&scores) {
                            let value = score / cap;
                            *ds *= T::ONE - value * value;
                        }
                    });
                }
                // dQ = scale dS K, dK = scale dSᵀ Q
                let ds_view = View::rows(&ds, nk);
                product((nq, seen, width), scale, ds_view, kh, false, dq, width);
                product((seen, nq, width), scale, ds_view.transposed(), qh, false, dk, width);
            }
        });
        Ok(HeadGradients { grads, batch, heads, group, nq, nk, width })
    }
}

/// What [`Attention::backward`] returns: for each head `[dQ (nq x width) | dK (nk x width) |
/// dV (nk x width)]`.
pub(crate) struct HeadGradients<T> {
    grads: Vec<T>,
    batch: usize,
    heads: usize,
    group: usize,
    nq: usize,
    nk: usize,
    width: usize,
}

impl<T: Real> HeadGradients<T> {
    /// Writes dQ into rows of `row` elements, which hold zeros.
    pub(crate) fn queries(&self, out: &mut [T], row: usize) {
        self.scatter((0, self.nq, 1), out, row);
    }

    /// Writes dK into rows of `row` elements, which hold zeros.
    pub(crate) fn keys(&self, out: &mut [T], row: usize) {
        self.scatter((self.nq * self.width, self.nk, self.group), out, row);
    }

    /// Writes dV into rows of `row` elements, which hold zeros.
    pub(crate) fn values(&self, out: &mut [T], row: usize) {
        self.scatter(((self.nq + self.nk) * self.width, self.nk, self.group), out, row);
    }

    /// Writes `[dQ | dK | dV]` rows into `out`, which holds zeros.
    pub(crate) fn packed(&self, out: &mut [T]) {
        let (q_row, k_row) = (self.heads * self.width, self.heads / self.group * self.width);
        let row = q_row + 2 * k_row;
        self.queries(out, row);
        self.keys(out.get_mut(q_row..).unwrap_or_default(), row);
        self.values(out.get_mut(q_row + k_row..).unwrap_or_default(), row);
    }

    fn scatter(&self, (offset, n, group): (usize, usize, usize), out: &mut [T], row: usize) {
        let per_head = (self.nq + 2 * self.nk) * self.width;
        let shape = (self.batch, self.heads, n, self.width);
        scatter_heads(self.grads.get(offset..).unwrap_or(&[]), per_head, shape, out, row, group);
    }
}

/// Moves `[batch, heads, n, width]`, heads `per_head` elements apart, into rows
/// `[batch, n, row]`, head `h` at column `h / group * width`; the heads of a group add up.
fn scatter_heads<T: Real>(
    from: &[T],
    per_head: usize,
    (batch, heads, n, width): (usize, usize, usize, usize),
    out: &mut [T],
    row: usize,
    group: usize,
) {
    let parts = threads::parts_for(batch * heads * n * width);
    threads::split_rows(out, (n * row).max(1), parts, |first, out| {
        for (b, out) in out.chunks_mut((n * row).max(1)).enumerate() {
            let b = first + b;
            if b >= batch {
                break;
            }
            for h in 0..heads {
                for t in 0..n {
                    let source = &from[(b * heads + h) * per_head + t * width..][..width];
                    let target = &mut out[t * row + h / group * width..][..width];
                    if group == 1 {
                        target.copy_from_slice(source);
                    } else {
                        for (target, &source) in target.iter_mut().zip(source) {
                            *target += source;
                        }
                    }
                }
            }
        }
    });
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, nq, q_row) = q_layout.shape().dims3()?;
        let (_, nk, k_row) = k_layout.shape().dims3()?;
        let name = CustomOp3::name(self);
        for_real!(name, storage_dtype(q), T => {
            let q = Operand { data: contiguous::<T>(name, q, q_layout)?, row: q_row, n: nq };
            let k = Operand { data: contiguous::<T>(name, k, k_layout)?, row: k_row, n: nk };
            let v = Operand { data: contiguous::<T>(name, v, v_layout)?, row: k_row, n: nk };
            let out = self.forward(batch, q, k, v)?;
            Ok((T::to_cpu_storage_owned(out), q_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dout = dout.contiguous()?;
        let (batch, nq, q_row) = q.dims3()?;
        let (_, nk, k_row) = k.dims3()?;
        let name = CustomOp3::name(self);
        for_real!(name, q.dtype(), T => {
            let mut dq = vec![T::ZERO; q.elem_count()];
            let mut dk = vec![T::ZERO; k.elem_count()];
            let mut dv = vec![T::ZERO; v.elem_count()];
            with_slice::<T, _>(name, q, |qs| with_slice::<T, _>(name, k, |ks| {
                with_slice::<T, _>(name, v, |vs| with_slice::<T, _>(name, &dout, |dout| {
                    let operands = [
                        Operand { data: qs, row: q_row, n: nq },
                        Operand { data: ks, row: k_row, n: nk },
                        Operand { data: vs, row: k_row, n: nk },
                    ];
                    let grads = self.backward(batch, operands, dout)?;
                    grads.queries(&mut dq, q_row);
                    grads.keys(&mut dk, k_row);
                    grads.values(&mut dv, k_row);
                    Ok(())
                }))
            }))?;
            Ok((
                Some(tensor(dq, q.dims())?),
                Some(tensor(dk, k.dims())?),
                Some(tensor(dv, v.dims())?),
            ))
        })
    }
}

impl CustomOp2 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        kv: &CpuStorage,
        kv_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, nq, q_row) = q_layout.shape().dims3()?;
        let (_, nk, row) = kv_layout.shape().dims3()?;
        let name = CustomOp2::name(self);
        for_real!(name, storage_dtype(q), T => {
            let q = Operand { data: contiguous::<T>(name, q, q_layout)?, row: q_row, n: nq };
            let kv = contiguous::<T>(name, kv, kv_layout)?;
            let k = Operand { data: kv, row, n: nk };
            let v = Operand { data: kv.get(row / 2..).unwrap_or(&[]), row, n: nk };
            let out = self.forward(batch, q, k, v)?;
            Ok((T::to_cpu_storage_owned(out), q_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        kv: &Tensor,
        _out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dout = dout.contiguous()?;
        let (batch, nq, q_row) = q.dims3()?;
        let (_, nk, row) = kv.dims3()?;
        let name = CustomOp2::name(self);
        for_real!(name, q.dtype(), T => {
            let mut dq = vec![T::ZERO; q.elem_count()];
            let mut dkv = vec![T::ZERO; kv.elem_count()];
            with_slice::<T, _>(name, q, |qs| with_slice::<T, _>(name, kv, |kvs| {
                with_slice::<T, _>(name, &dout, |dout| {
                    let operands = [
                        Operand { data: qs, row: q_row, n: nq },
                        Operand { data: kvs, row, n: nk },
                        Operand { data: kvs.get(row / 2..).unwrap_or(&[]), row, n: nk },
                    ];
                    let grads = self.backward(batch, operands, dout)?;
                    grads.queries(&mut dq, q_row);
                    grads.keys(&mut dkv, row);
                    grads.values(dkv.get_mut(row / 2..).unwrap_or_default(), row);
                    Ok(())
                })
            }))?;
            Ok((Some(tensor(dq, q.dims())?), Some(tensor(dkv, kv.dims())?)))
        })
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, n, row) = layout.shape().dims3()?;
        let name = CustomOp1::name(self);
        for_real!(name, storage_dtype(qkv), T => {
            let [q, k, v] = self.unpack(contiguous::<T>(name, qkv, layout)?, row, n);
            let out = self.forward(batch, q, k, v)?;
            let width = self.settings.heads.queries * self.settings.heads.width;
            Ok((T::to_cpu_storage_owned(out), Shape::from((batch, n, width))))
        })
    }

    fn bwd(&self, qkv: &Tensor, _out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let dout = dout.contiguous()?;
        let (batch, n, row) = qkv.dims3()?;
        let name = CustomOp1::name(self);
        for_real!(name, qkv.dtype(), T => {
            let mut packed = vec![T::ZERO; qkv.elem_count()];
            with_slice::<T, _>(name, qkv, |qkv| with_slice::<T, _>(name, &dout, |dout| {
                self.backward(batch, self.unpack(qkv, row, n), dout)?.packed(&mut packed);
                Ok(())
            }))?;
            tensor(packed, qkv.dims()).map(Some)
        })
    }
}

impl Attention {
    /// Queries, keys and values that lie side by side in rows.
    pub(crate) fn unpack<'a, T>(&self, qkv: &'a [T], row: usize, n: usize) -> [Operand<'a, T>; 3] {
        let Heads { queries, keys, width } = self.settings.heads;
        [0, queries * width, (queries + keys) * width].map(|start| Operand {
            data: qkv.get(start..).unwrap_or(&[]),
            row,
            n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_f32, assert_gradient, assert_same, constant, max_abs, random};
    use proptest::prelude::*;

    fn settings(heads: Heads, lengths: Option<Vec<usize>>, causal: bool) -> AttentionSettings {
        let mask = AttentionMask {
            key_lengths: lengths.map(Into::into),
            causal,
            ..AttentionMask::default()
        };
        AttentionSettings { mask, ..AttentionSettings::new(heads) }
    }

    fn observed(x: &[Tensor], settings: &AttentionSettings) -> Result<Tensor> {
        attention_observed(&x[0], &x[1], &x[2], settings, &mut |_, x| Ok(x))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn gradients_over_random_shapes(
            batch in 1usize..3, nq in 1usize..5, extra in 0usize..3, groups in 1usize..3,
            kv_heads in 1usize..3, width in 1usize..5, seed in 0u64..1000,
            padded in any::<bool>(), causal in any::<bool>(),
        ) {
            let heads = Heads { queries: kv_heads * groups, keys: kv_heads, width };
            let nk = nq + extra;
            // Each query of a causal call sees at least one key when no key is padding.
            let lengths = padded.then(|| (0..batch).map(|b| 1 + (seed as usize + b) % nk).collect());
            let settings = settings(heads, lengths, causal);
            let inputs = [
                random(seed, &[batch, nq, heads.queries * width]),
                random(seed + 1, &[batch, nk, heads.keys * width]),
                random(seed + 2, &[batch, nk, heads.keys * width]),
            ];
            let fast = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], &settings);
            assert_gradient(&inputs, fast);
            assert_same(&inputs, fast, |x| observed(x, &settings));
            assert_f32(&inputs, fast, 1e-5);
            assert_same(&inputs, |x| {
                attention_packed_kv(&x[0], &Tensor::cat(&x[1..], 2)?, &settings)
            }, |x| observed(x, &settings));
            if extra == 0 {
                assert_same(&inputs, |x| attention_packed(&Tensor::cat(x, 2)?, &settings),
                    |x| observed(x, &settings));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn windows_biases_and_caps_have_exact_gradients(
            batch in 1usize..3, n in 1usize..7, groups in 1usize..3, width in 1usize..4,
            near in 1usize..4, kind in 0usize..3, capped in any::<bool>(), biased in any::<bool>(),
            padded in any::<bool>(), seed in 0u64..1000,
        ) {
            let heads = Heads { queries: 2 * groups, keys: 2, width };
            let lengths: Option<Vec<usize>> =
                padded.then(|| (0..batch).map(|b| 1 + (seed as usize + b) % n).collect());
            let mut settings = settings(heads, lengths, kind == 0);
            settings.mask.window = match kind {
                0 => Some(Window::Before(near)),
                1 => Some(Window::Around(near - 1)),
                _ => None,
            };
            settings.softcap = capped.then_some(0.7);
            let bias = random(seed + 7, &[heads.queries, n, n]);
            settings.bias = biased.then(|| constant(&bias));
            let inputs = [
                random(seed, &[batch, n, heads.queries * width]),
                random(seed + 1, &[batch, n, heads.keys * width]),
                random(seed + 2, &[batch, n, heads.keys * width]),
            ];
            let fast = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], &settings);
            assert_gradient(&inputs, fast);
            assert_same(&inputs, fast, |x| observed(x, &settings));
            // A bias that depends on something gets its gradient.
            let with_bias = [&inputs[..], &[bias]].concat();
            assert_gradient(&with_bias, |x| {
                let bias = Some(Weight::from_tensor(x[3].clone()));
                attention(&x[0], &x[1], &x[2], &AttentionSettings { bias, ..settings.clone() })
            });
        }
    }

    /// Queries at chosen positions see what the same rows of a full pass see.
    #[test]
    fn chosen_queries_see_what_they_see_in_a_full_pass() {
        let heads = Heads::equal(2, 3);
        let x: Vec<Tensor> = (0..3).map(|i| random(i, &[2, 6, 6])).collect();
        for window in [None, Some(Window::Before(2)), Some(Window::Around(1))] {
            let mut settings = settings(heads, Some(vec![6, 5]), window != Some(Window::Around(1)));
            settings.mask.window = window;
            let full = attention(&x[0], &x[1], &x[2], &settings).unwrap();
            let chosen = [3, 1];
            settings.mask.query_positions = Some(chosen.to_vec().into());
            let pick = |x: &Tensor| {
                let rows = chosen.map(|at| x.narrow(1, at, 1).unwrap());
                Tensor::cat(&rows, 1).unwrap()
            };
            let q = pick(&x[0]);
            let some = attention(&q, &x[1], &x[2], &settings).unwrap();
            assert!(max_abs(&(some - pick(&full)).unwrap()) < 1e-12, "{window:?}");
            let slow = observed(&[q, x[1].clone(), x[2].clone()], &settings).unwrap();
            assert!(max_abs(&(slow - pick(&full)).unwrap()) < 1e-12, "{window:?}");
        }
    }

    /// Rows sum to one, hidden keys get exactly zero, and neither hidden keys nor their values
    /// change anything or receive any gradient.
    #[test]
    fn hidden_keys_do_not_exist() {
        let heads = Heads::equal(2, 3);
        let settings = settings(heads, Some(vec![2, 4]), false);
        let inputs: Vec<Tensor> = (0..3).map(|i| random(i, &[2, 4, 6])).collect();
        let out = attention(&inputs[0], &inputs[1], &inputs[2], &settings).unwrap();
        let mut probabilities = None;
        let hook = &mut |stage, x: Tensor| {
            if stage == AttentionStage::Probabilities {
                probabilities = Some(x.clone());
            }
            Ok(x)
        };
        attention_observed(&inputs[0], &inputs[1], &inputs[2], &settings, hook).unwrap();
        let p = probabilities.unwrap();
        assert!(max_abs(&(p.sum(3).unwrap() - 1.0).unwrap()) < 1e-12);
        assert_eq!(max_abs(&p.narrow(0, 0, 1).unwrap().narrow(3, 2, 2).unwrap()), 0.0);

        let loud =
            Tensor::cat(&[random(9, &[1, 2, 6]), (random(10, &[1, 2, 6]) * 1e6).unwrap()], 1)
                .unwrap();
        let k = Tensor::cat(&[loud, inputs[1].narrow(0, 1, 1).unwrap()], 0).unwrap();
        let first = inputs[1].narrow(0, 0, 1).unwrap().narrow(1, 0, 2).unwrap();
        let k = k.slice_assign(&[0..1, 0..2, 0..6], &first).unwrap();
        let other = attention(&inputs[0], &k, &inputs[2], &settings).unwrap();
        assert_eq!(max_abs(&(out - other).unwrap()), 0.0);

        let vars: Vec<_> =
            inputs.iter().map(|x| candle_core::Var::from_tensor(x).unwrap()).collect();
        let out = attention(&vars[0], &vars[1], &vars[2], &settings).unwrap();
        let grads = out.sqr().unwrap().backward().unwrap();
        for var in &vars[1..] {
            let hidden = grads.get(var).unwrap().narrow(0, 0, 1).unwrap().narrow(1, 2, 2).unwrap();
            assert_eq!(max_abs(&hidden), 0.0);
        }
    }

    #[test]
    fn threads_change_nothing() {
        let settings = settings(Heads::equal(8, 32), None, false);
        let qkv = random(1, &[1, 96, 3 * 256]);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| attention_packed(&qkv, &settings).unwrap())
        };
        assert_eq!(max_abs(&(run(1) - run(3)).unwrap()), 0.0);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let settings = settings(Heads { queries: 3, keys: 2, width: 2 }, None, false);
        let x = random(1, &[1, 2, 6]);
        assert!(attention(&x, &x, &x, &settings).is_err());
        assert!(attention_packed(&x, &settings).is_err());
    }
}
